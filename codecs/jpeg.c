/* SPDX-License-Identifier: MIT */
/*
 * JPEG by libjpeg-turbo's classic interface. Its errors come back by longjmp: between setjmp and the
 * end of each function nothing else is held, and what is read after the jump does not change.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>

#include "codecs/jpeg.h"
#include "codecs/lz.h"
#include "core/surface.h"
#include "core/util.h"

enum {
	ROWS_AT_ONCE = 16,
	CHUNK_BYTES = 32 << 10, /* of output */
	SCANS_MAX = 64, /* of progressive JPEGs, each of which is work for the whole picture */
};

struct error_return {
	struct jpeg_error_mgr base;
	jmp_buf jump;
	int err;
};

static void on_error(j_common_ptr common)
{
	struct error_return *errors = container_of(common->err, struct error_return, base);

	longjmp(errors->jump, 1);
}

/* A peer's faults are no news for this program's standard error. */
static void on_message(j_common_ptr common, int level)
{
	(void)common;
	(void)level;
}

static struct jpeg_error_mgr *errors_init(struct error_return *errors, int err)
{
	jpeg_std_error(&errors->base);
	errors->base.error_exit = on_error;
	errors->base.emit_message = on_message;
	errors->err = err;
	return &errors->base;
}

static bool size_acceptable(uint32_t width, uint32_t height)
{
	return width && height && width <= SURFACE_MAX_SIDE && height <= SURFACE_MAX_SIDE &&
		(uint64_t)width * height * 4 <= SURFACE_MAX_BYTES;
}

/* ---- encoder ---- */

struct destination {
	struct jpeg_destination_mgr base;
	struct buf *out;
};

static void more_room(j_compress_ptr jpeg)
{
	struct destination *to = container_of(jpeg->dest, struct destination, base);
	struct error_return *errors = container_of(jpeg->err, struct error_return, base);

	to->base.next_output_byte = buf_reserve(to->out, CHUNK_BYTES);
	to->base.free_in_buffer = CHUNK_BYTES;
	if (!to->base.next_output_byte) {
		errors->err = -ENOMEM;
		longjmp(errors->jump, 1);
	}
}

static boolean chunk_is_full(j_compress_ptr jpeg)
{
	buf_commit(container_of(jpeg->dest, struct destination, base)->out, CHUNK_BYTES);
	more_room(jpeg);
	return TRUE;
}

static void last_chunk(j_compress_ptr jpeg)
{
	struct destination *to = container_of(jpeg->dest, struct destination, base);

	buf_commit(to->out, CHUNK_BYTES - to->base.free_in_buffer);
}

static void write_rows(j_compress_ptr jpeg, const uint8_t *pixels, ptrdiff_t stride)
{
	JSAMPROW rows[ROWS_AT_ONCE];

	while (jpeg->next_scanline < jpeg->image_height) {
		JDIMENSION count =
			MIN(jpeg->image_height - jpeg->next_scanline, (JDIMENSION)ROWS_AT_ONCE);

		for (JDIMENSION i = 0; i < count; i++)
			rows[i] = (JSAMPROW)pixels + stride * (ptrdiff_t)(jpeg->next_scanline + i);
		jpeg_write_scanlines(jpeg, rows, count);
	}
}

int jpeg_picture_encode(struct buf *out, uint32_t width, uint32_t height, const uint8_t *pixels,
	ptrdiff_t stride, int quality, enum jpeg_sampling sampling)
{
	const size_t size_before = out->size;
	struct jpeg_compress_struct jpeg = { 0 };
	struct error_return errors;
	struct destination to = { { .init_destination = more_room,
					  .empty_output_buffer = chunk_is_full,
					  .term_destination = last_chunk },
		out };

	if (!size_acceptable(width, height) || quality < 1 || quality > 100)
		return -EINVAL;
	jpeg.err = errors_init(&errors, -ENOMEM);
	if (setjmp(errors.jump)) {
		jpeg_destroy_compress(&jpeg);
		out->size = size_before;
		return errors.err;
	}
	jpeg_create_compress(&jpeg);
	jpeg.dest = &to.base;
	jpeg.image_width = width;
	jpeg.image_height = height;
	jpeg.input_components = 4;
	jpeg.in_color_space = JCS_EXT_BGRX;
	jpeg_set_defaults(&jpeg);
	jpeg_set_quality(&jpeg, quality, TRUE);
	for (int i = 0; sampling == JPEG_444 && i < jpeg.num_components; i++)
		jpeg.comp_info[i].h_samp_factor = jpeg.comp_info[i].v_samp_factor = 1;
	jpeg_start_compress(&jpeg, TRUE);
	write_rows(&jpeg, pixels, stride);
	jpeg_finish_compress(&jpeg);
	jpeg_destroy_compress(&jpeg);
	return 0;
}

/* ---- decoder ---- */

static void limit_scans(j_common_ptr common)
{
	if (((j_decompress_ptr)(void *)common)->input_scan_number > SCANS_MAX)
		on_error(common);
}

static void read_header(j_decompress_ptr jpeg, const uint8_t *data, size_t size)
{
	jpeg_create_decompress(jpeg);
	jpeg_mem_src(jpeg, data, size);
	jpeg_read_header(jpeg, TRUE);
	if (!size_acceptable(jpeg->image_width, jpeg->image_height))
		on_error((j_common_ptr)jpeg);
}

int jpeg_picture_size(const uint8_t *data, size_t size, uint32_t *width, uint32_t *height)
{
	struct jpeg_decompress_struct jpeg = { 0 };
	struct error_return errors;

	jpeg.err = errors_init(&errors, -EPROTO);
	if (setjmp(errors.jump)) {
		jpeg_destroy_decompress(&jpeg);
		return errors.err;
	}
	read_header(&jpeg, data, size);
	*width = jpeg.image_width;
	*height = jpeg.image_height;
	jpeg_destroy_decompress(&jpeg);
	return 0;
}

static void read_rows(j_decompress_ptr jpeg, uint8_t *pixels, ptrdiff_t stride)
{
	JSAMPROW rows[ROWS_AT_ONCE];

	while (jpeg->output_scanline < jpeg->output_height) {
		JDIMENSION count =
			MIN(jpeg->output_height - jpeg->output_scanline, (JDIMENSION)ROWS_AT_ONCE);

		for (JDIMENSION i = 0; i < count; i++)
			rows[i] = pixels + stride * (ptrdiff_t)(jpeg->output_scanline + i);
		jpeg_read_scanlines(jpeg, rows, count);
	}
}

int jpeg_picture_decode(const uint8_t *data, size_t size, uint32_t width, uint32_t height,
	uint8_t *pixels, ptrdiff_t stride)
{
	struct jpeg_progress_mgr progress = { .progress_monitor = limit_scans };
	struct jpeg_decompress_struct jpeg = { 0 };
	struct error_return errors;

	jpeg.err = errors_init(&errors, -EPROTO);
	if (setjmp(errors.jump)) {
		jpeg_destroy_decompress(&jpeg);
		return errors.err;
	}
	read_header(&jpeg, data, size);
	if (jpeg.image_width != width || jpeg.image_height != height)
		on_error((j_common_ptr)&jpeg);
	jpeg.progress = &progress;
	jpeg.out_color_space = JCS_EXT_BGRA; /* defined to set the fourth byte */
	jpeg_start_decompress(&jpeg);
	read_rows(&jpeg, pixels, stride);
	jpeg_destroy_decompress(&jpeg); /* what follows the last row does not matter */
	return 0;
}

/* ---- with alpha ---- */

int jpeg_alpha_encode(struct buf *out, size_t *jpeg_bytes, uint32_t width, uint32_t height,
	const uint8_t *pixels, ptrdiff_t stride, int quality, enum jpeg_sampling sampling)
{
	const size_t size_before = out->size;
	int err = jpeg_picture_encode(out, width, height, pixels, stride, quality, sampling);

	if (err)
		return err;
	*jpeg_bytes = out->size - size_before;
	err = lz_encode(out, LZ_XXXA, width, height, true, pixels, stride);
	if (err)
		out->size = size_before;
	return err;
}

int jpeg_alpha_decode(const uint8_t *data, size_t size, size_t jpeg_bytes, uint32_t width,
	uint32_t height, uint8_t *pixels, ptrdiff_t stride)
{
	struct lz_header header;
	int err;

	if (jpeg_bytes > size)
		return -EPROTO;
	err = lz_decode_header(data + jpeg_bytes, size - jpeg_bytes, &header);
	if (err)
		return err;
	if (header.type != LZ_XXXA || header.width != width || header.height != height)
		return -EPROTO;
	err = jpeg_picture_decode(data, jpeg_bytes, width, height, pixels, stride);
	return err ? err : lz_decode(data + jpeg_bytes, size - jpeg_bytes, pixels, stride);
}

/* SPDX-License-Identifier: MIT */
/*
 * MJPEG by libjpeg-turbo. All coefficients of a plane are divided by the same step: at the same size
 * this shows moving textures better than the tables of JPEG's Annex K (by more than a decibel on a
 * panned painting).
 *
 * libjpeg's errors come back by longjmp: between setjmp and the end of a function nothing else is
 * held, and what is read after the jump does not change.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "codecs/video_encode.h"
#include "codecs/video_huffman.h"
#include "codecs/video_planes.h"
#include "core/util.h"

enum {
	STRIP_ROWS = 16, /* of a row of the units that are encoded */
	CHUNK_BYTES = 64 << 10,
	QUALITY_MIN = 5, /* however few bytes are asked for */
	TRIES = 3, /* of a frame that comes out much too large */
	TUNE_FRAMES = 90, /* between those that Huffman tables are made for, which costs time */
	TUNE_QUALITY = 12, /* the quality changed so much: new ones */
};

struct mjpeg {
	struct video_encoder base;
	struct jpeg_compress_struct jpeg;
	struct jpeg_error_mgr errors;
	struct jpeg_destination_mgr destination;
	/* A strip of the frame as planes: one of STRIP_ROWS rows, two of half as many. */
	uint8_t *planes[3];
	uint32_t strides[3];
	struct buf *out;
	jmp_buf jump;
	int error;
	uint32_t quality; /* that the next frame begins with; 0: the demanded one */
	/* Made for a frame now and then, and used for those that follow. */
	struct video_huffman huffman[HUFFMAN_TABLES];
	uint32_t tuned_quality; /* of that frame; 0: not yet */
	uint32_t until_tuned; /* frames */
};

static struct mjpeg *of_common(j_common_ptr common)
{
	return container_of(common->err, struct mjpeg, errors);
}

static void on_error(j_common_ptr common)
{
	longjmp(of_common(common)->jump, 1);
}

static void on_message(j_common_ptr common, int level)
{
	(void)common;
	(void)level;
}

/* ---- output ---- */

static void more_room(j_compress_ptr jpeg)
{
	struct mjpeg *mjpeg = of_common((j_common_ptr)jpeg);

	mjpeg->destination.next_output_byte = buf_reserve(mjpeg->out, CHUNK_BYTES);
	mjpeg->destination.free_in_buffer = CHUNK_BYTES;
	if (!mjpeg->destination.next_output_byte) {
		mjpeg->error = -ENOMEM;
		longjmp(mjpeg->jump, 1);
	}
}

static boolean chunk_is_full(j_compress_ptr jpeg)
{
	buf_commit(of_common((j_common_ptr)jpeg)->out, CHUNK_BYTES);
	more_room(jpeg);
	return TRUE;
}

static void last_chunk(j_compress_ptr jpeg)
{
	struct mjpeg *mjpeg = of_common((j_common_ptr)jpeg);

	buf_commit(mjpeg->out, CHUNK_BYTES - mjpeg->destination.free_in_buffer);
}

/* ---- frames ---- */

static JHUFF_TBL **huffman_slot(j_compress_ptr jpeg, uint32_t which)
{
	switch (which) {
	case HUFFMAN_DC_LUMA: return &jpeg->dc_huff_tbl_ptrs[0];
	case HUFFMAN_AC_LUMA: return &jpeg->ac_huff_tbl_ptrs[0];
	case HUFFMAN_DC_CHROMA: return &jpeg->dc_huff_tbl_ptrs[1];
	default: return &jpeg->ac_huff_tbl_ptrs[1];
	}
}

static void set_huffman(struct mjpeg *mjpeg)
{
	for (uint32_t i = 0; i < HUFFMAN_TABLES; i++) {
		JHUFF_TBL **slot = huffman_slot(&mjpeg->jpeg, i);

		if (!*slot)
			*slot = jpeg_alloc_huff_table((j_common_ptr)&mjpeg->jpeg);
		memcpy((*slot)->bits, mjpeg->huffman[i].bits, sizeof((*slot)->bits));
		memcpy((*slot)->huffval, mjpeg->huffman[i].symbols, sizeof((*slot)->huffval));
		(*slot)->sent_table = FALSE;
	}
}

/* Takes over the tables that libjpeg made for the last frame. */
static void take_huffman(struct mjpeg *mjpeg, uint32_t quality)
{
	for (uint32_t i = 0; i < HUFFMAN_TABLES; i++) {
		const JHUFF_TBL *made = *huffman_slot(&mjpeg->jpeg, i);

		video_huffman_complete(&mjpeg->huffman[i], made->bits, made->huffval, i);
	}
	mjpeg->tuned_quality = quality;
	mjpeg->until_tuned = TUNE_FRAMES;
}

static bool wants_tuning(const struct mjpeg *mjpeg, uint32_t quality)
{
	uint32_t tuned = mjpeg->tuned_quality;

	return mjpeg->until_tuned == 0 || quality > tuned + TUNE_QUALITY ||
		quality + TUNE_QUALITY < tuned;
}

/* The step that coefficients are divided by: 1 at 100, 20 at 75, 40 at 50, and so on. */
static unsigned int quality_step(uint32_t quality)
{
	uint32_t step = quality >= 50 ? (100 - quality) * 8 / 10 : 2000 / quality;

	return MAX(step, 1u);
}

/* Colours are seen less sharply. */
static void set_steps(j_compress_ptr jpeg, unsigned int step)
{
	unsigned int steps[DCTSIZE2];

	for (uint32_t table = 0; table < 2; table++) {
		for (uint32_t i = 0; i < DCTSIZE2; i++)
			steps[i] = step << table;
		jpeg_add_quant_table(jpeg, (int)table, steps, 100, TRUE);
	}
}

/*
 * Once the encoder has prepared its divisors: says smaller steps in the file. Of the values that are
 * rounded to the same multiple of the step most lie nearer to zero, the more so the higher the
 * frequency; so the decoder's pictures come out nearer to the source (by 0.4 dB) for nothing.
 */
static void shrink_steps(j_compress_ptr jpeg)
{
	for (uint32_t table = 0; table < 2; table++) {
		for (uint32_t i = 1; i < DCTSIZE2; i++) {
			uint32_t frequency = i % DCTSIZE + i / DCTSIZE; /* 1 to 14 */
			UINT16 *step = &jpeg->quant_tbl_ptrs[table]->quantval[i];
			uint32_t shrunk = (*step * (950 - frequency * 7) + 500) / 1000;

			*step = (UINT16)MAX(shrunk, 1u);
		}
	}
}

/* Repeats the last byte of a row up to the end of its last unit. */
static void pad(uint8_t *row, uint32_t width, uint32_t stride)
{
	memset(row + width, row[width - 1], stride - width);
}

/* Makes the next strip's planes; what lies below the frame is as its last row. */
static void convert_strip(struct mjpeg *mjpeg, const uint8_t *const *rows, uint32_t top)
{
	const uint32_t width = mjpeg->base.width, last = mjpeg->base.height - 1;
	const uint32_t *strides = mjpeg->strides;

	for (uint32_t y = 0; y < STRIP_ROWS; y += 2) {
		struct video_row_pair pair = {
			.bgrx = { rows[MIN(top + y, last)], rows[MIN(top + y + 1, last)] },
			.luma = { mjpeg->planes[0] + (size_t)strides[0] * y,
				mjpeg->planes[0] + (size_t)strides[0] * (y + 1) },
			.blue = mjpeg->planes[1] + (size_t)strides[1] * (y / 2),
			.red = mjpeg->planes[2] + (size_t)strides[2] * (y / 2),
		};

		video_planes_pair(&pair, width, VIDEO_RANGE_FULL);
		pad(pair.luma[0], width, strides[0]);
		pad(pair.luma[1], width, strides[0]);
		pad(pair.blue, DIV_ROUND_UP(width, 2u), strides[1]);
		pad(pair.red, DIV_ROUND_UP(width, 2u), strides[2]);
	}
}

static void write_strip(struct mjpeg *mjpeg)
{
	JSAMPROW rows[3][STRIP_ROWS];
	JSAMPARRAY planes[3] = { rows[0], rows[1], rows[2] };

	for (uint32_t i = 0; i < 3; i++)
		for (uint32_t y = 0; y < (i ? STRIP_ROWS / 2 : STRIP_ROWS); y++)
			rows[i][y] = mjpeg->planes[i] + (size_t)mjpeg->strides[i] * y;
	jpeg_write_raw_data(&mjpeg->jpeg, planes, STRIP_ROWS);
}

static int encode_at(
	struct mjpeg *mjpeg, struct buf *out, const struct video_input *input, uint32_t quality)
{
	j_compress_ptr jpeg = &mjpeg->jpeg;

	mjpeg->out = out;
	mjpeg->error = -EIO;
	if (setjmp(mjpeg->jump)) {
		jpeg_abort_compress(jpeg);
		return mjpeg->error;
	}
	set_steps(jpeg, quality_step(quality));
	set_huffman(mjpeg);
	jpeg->optimize_coding = wants_tuning(mjpeg, quality);
	jpeg_start_compress(jpeg, TRUE);
	shrink_steps(jpeg);
	while (jpeg->next_scanline < jpeg->image_height) {
		convert_strip(mjpeg, input->rows, jpeg->next_scanline);
		write_strip(mjpeg);
	}
	jpeg_finish_compress(jpeg);
	if (wants_tuning(mjpeg, quality))
		take_huffman(mjpeg, quality);
	else
		mjpeg->until_tuned--;
	return 0;
}

/* The quality that would have made `size` bytes `wanted`: sizes go about with the step's inverse. */
static uint32_t adapt(uint32_t quality, size_t size, uint32_t wanted)
{
	uint64_t step = (uint64_t)quality_step(quality) * size / wanted;

	if (step <= 40)
		return (uint32_t)(100 - step * 10 / 8);
	return (uint32_t)MAX(2000 / step, (uint64_t)QUALITY_MIN);
}

static int mjpeg_encode(struct video_encoder *encoder, struct buf *out,
	const struct video_input *input, const struct video_demand *demand)
{
	struct mjpeg *mjpeg = container_of(encoder, struct mjpeg, base);
	const size_t size_before = out->size;
	uint32_t quality = MIN(mjpeg->quality ? mjpeg->quality : demand->quality, demand->quality);
	int ret = 0;

	for (int i = 0; i < TRIES; i++) {
		uint32_t next = demand->quality;
		size_t size;

		out->size = size_before;
		ret = encode_at(mjpeg, out, input, quality);
		if (ret < 0)
			return ret;
		size = out->size - size_before;
		encoder->quality = quality;
		if (demand->bytes)
			next = MIN(adapt(quality, size, demand->bytes), demand->quality);
		/* Half of the way: frames differ. */
		mjpeg->quality = next < quality ? next : (quality + next) / 2;
		if (!demand->bytes || size < (size_t)demand->bytes * 3 / 2 || next >= quality)
			break;
		quality = next;
	}
	return ret;
}

static void mjpeg_destroy(struct video_encoder *encoder)
{
	struct mjpeg *mjpeg = container_of(encoder, struct mjpeg, base);

	if (!setjmp(mjpeg->jump))
		jpeg_destroy_compress(&mjpeg->jpeg);
	free(mjpeg->planes[0]);
	free(mjpeg);
}

static const struct video_encoder_ops mjpeg_ops = {
	.encode = mjpeg_encode,
	.destroy = mjpeg_destroy,
};

static int create_planes(struct mjpeg *mjpeg, uint32_t width)
{
	const uint32_t stride = ALIGN_UP(width, 16u);

	mjpeg->planes[0] = malloc((size_t)stride * STRIP_ROWS * 3 / 2);
	if (!mjpeg->planes[0])
		return -ENOMEM;
	mjpeg->planes[1] = mjpeg->planes[0] + (size_t)stride * STRIP_ROWS;
	mjpeg->planes[2] = mjpeg->planes[1] + (size_t)stride * STRIP_ROWS / 4;
	mjpeg->strides[0] = stride;
	mjpeg->strides[1] = mjpeg->strides[2] = stride / 2;
	return 0;
}

int video_mjpeg_create(struct video_encoder **out, uint32_t width, uint32_t height)
{
	struct mjpeg *mjpeg = calloc(1, sizeof(*mjpeg));
	j_compress_ptr jpeg;

	if (!mjpeg)
		return -ENOMEM;
	mjpeg->base.ops = &mjpeg_ops;
	jpeg = &mjpeg->jpeg;
	jpeg->err = jpeg_std_error(&mjpeg->errors);
	mjpeg->errors.error_exit = on_error;
	mjpeg->errors.emit_message = on_message;
	mjpeg->destination.init_destination = more_room;
	mjpeg->destination.empty_output_buffer = chunk_is_full;
	mjpeg->destination.term_destination = last_chunk;
	if (setjmp(mjpeg->jump)) {
		mjpeg_destroy(&mjpeg->base);
		return -ENOMEM;
	}
	if (create_planes(mjpeg, width) < 0) {
		free(mjpeg);
		return -ENOMEM;
	}
	memcpy(mjpeg->huffman, video_huffman_start, sizeof(mjpeg->huffman));
	jpeg_create_compress(jpeg);
	jpeg->dest = &mjpeg->destination;
	jpeg->image_width = width;
	jpeg->image_height = height;
	jpeg->input_components = 3;
	jpeg->in_color_space = JCS_YCbCr;
	jpeg_set_defaults(jpeg); /* colours of half the width and height */
	jpeg->raw_data_in = TRUE;
	*out = &mjpeg->base;
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* Pictures through the codecs. */
#include "channels/server/picture_encode.h"

#include <errno.h>
#include <string.h>

#include <spice/enums.h>

#include "channels/proto/types.h"
#include "codecs/lz4.h"

enum { LZ4_MIN_BYTES = 256 };

static size_t raw_row_bytes(const struct encoded *out)
{
	return image_format_row_bytes(out->format, out->width);
}

static void keep_raw(struct encoded *out, const struct image *image)
{
	out->type = SPICE_IMAGE_TYPE_BITMAP;
	out->width = image->width;
	out->height = image->height;
	out->stride = image->stride;
}

/* Rows without gaps. */
static int encode_raw(struct encoded *out, const uint8_t *rows, uint32_t stride)
{
	size_t row_bytes = raw_row_bytes(out);
	uint8_t *room = buf_reserve(&out->bytes, row_bytes * out->height);

	if (!room)
		return -ENOMEM;
	for (uint32_t y = 0; y < out->height; y++)
		memcpy(room + y * row_bytes, rows + (size_t)y * stride, row_bytes);
	buf_commit(&out->bytes, row_bytes * out->height);
	out->type = SPICE_IMAGE_TYPE_BITMAP;
	out->stride = (uint32_t)row_bytes;
	return 0;
}

/* False: not smaller than the pixels are. */
static bool encode_lz4(struct encoded *out, const uint8_t *rows, uint32_t stride)
{
	size_t row_bytes = raw_row_bytes(out), raw = row_bytes * out->height;

	if (raw >= LZ4_MIN_BYTES &&
		lz4_image_encode(&out->bytes, proto_bitmap_format(out->format), rows,
			(uint32_t)row_bytes, stride, out->height) == 0 &&
		out->bytes.size < raw) {
		out->type = SPICE_IMAGE_TYPE_LZ4;
		return true;
	}
	buf_clear(&out->bytes);
	return false;
}

void picture_encode(struct encoded *out, const struct image *image, const struct rect *area,
	const struct encode_settings *settings)
{
	bool words = image->format == IMAGE_XRGB8888 || image->format == IMAGE_ARGB8888;
	const uint8_t *rows = image->data;

	out->format = image->format;
	out->width = words ? (uint32_t)rect_width(area) : image->width;
	out->height = words ? (uint32_t)rect_height(area) : image->height;
	if (words) {
		rows += (size_t)area->top * image->stride + (size_t)area->left * 4;
		if (settings->lz4 && settings->compression != SPICE_SERVER_COMPRESSION_OFF &&
			encode_lz4(out, rows, image->stride))
			return;
	}
	if (rect_width(area) * 1u == image->width && rect_height(area) * 1u == image->height)
		keep_raw(out, image);
	else if (encode_raw(out, rows, image->stride) < 0)
		keep_raw(out, image);
}

void encoded_finish(struct encoded *encoded)
{
	buf_finish(&encoded->bytes);
}

/* SPDX-License-Identifier: MIT */
/* LZ4 images. */
#include "codecs/lz4.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <lz4.h>

#include "core/util.h"

enum { HEAD_BYTES = 2, BLOCK_HEAD_BYTES = 4 };

static int encode_block(struct buf *out, const uint8_t *bytes, int size)
{
	int bound = LZ4_compressBound(size);
	uint8_t *room = buf_reserve(out, BLOCK_HEAD_BYTES + (size_t)bound);
	int packed;

	if (!room)
		return -ENOMEM;
	packed = LZ4_compress_default(
		(const char *)bytes, (char *)room + BLOCK_HEAD_BYTES, size, bound);
	if (packed <= 0)
		return -EINVAL;
	room[0] = (uint8_t)(packed >> 24);
	room[1] = (uint8_t)(packed >> 16);
	room[2] = (uint8_t)(packed >> 8);
	room[3] = (uint8_t)packed;
	buf_commit(out, BLOCK_HEAD_BYTES + (size_t)packed);
	return 0;
}

int lz4_image_encode(struct buf *out, uint8_t format, const uint8_t *rows, uint32_t row_bytes,
	uint32_t stride, uint32_t height)
{
	size_t size = (size_t)row_bytes * height;
	uint8_t head[HEAD_BYTES] = { 1, format };
	uint8_t *packed = NULL;
	int ret;

	if (size == 0 || size > LZ4_MAX_INPUT_SIZE || stride < row_bytes)
		return -EINVAL;
	if (stride != row_bytes) {
		packed = malloc(size);
		if (!packed)
			return -ENOMEM;
		for (uint32_t y = 0; y < height; y++)
			memcpy(packed + (size_t)y * row_bytes, rows + (size_t)y * stride,
				row_bytes);
	}
	ret = buf_append(out, head, sizeof(head));
	if (ret == 0)
		ret = encode_block(out, packed ? packed : rows, (int)size);
	free(packed);
	return ret;
}

int lz4_image_parse(struct lz4_image *image, const uint8_t *data, size_t size)
{
	memset(image, 0, sizeof(*image));
	if (size < HEAD_BYTES)
		return -EPROTO;
	image->top_down = data[0] != 0;
	image->format = data[1];
	image->blocks = data + HEAD_BYTES;
	image->size = size - HEAD_BYTES;
	return 0;
}

static uint32_t read_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

int lz4_image_decode(const struct lz4_image *image, uint8_t *out, size_t size)
{
	const uint8_t *at = image->blocks;
	size_t left = image->size, done = 0;
	LZ4_streamDecode_t stream;

	if (size > INT_MAX)
		return -EPROTO;
	memset(&stream, 0, sizeof(stream));
	LZ4_setStreamDecode(&stream, NULL, 0);
	while (left > 0) {
		uint32_t block;
		int made;

		if (left < BLOCK_HEAD_BYTES)
			return -EPROTO;
		block = read_be32(at);
		at += BLOCK_HEAD_BYTES;
		left -= BLOCK_HEAD_BYTES;
		if (block > left || block > INT_MAX)
			return -EPROTO;
		made = LZ4_decompress_safe_continue(&stream, (const char *)at, (char *)out + done,
			(int)block, (int)(size - done));
		/* A block that makes nothing would let a peer spin us for free. */
		if (made <= 0)
			return -EPROTO;
		done += (size_t)made;
		at += block;
		left -= block;
	}
	return done == size ? 0 : -EPROTO;
}

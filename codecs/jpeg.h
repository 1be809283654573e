/* SPDX-License-Identifier: MIT */
/* JPEG, and SPICE's JPEG with alpha. Memory in, memory out. */
#ifndef CODECS_JPEG_H
#define CODECS_JPEG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"

/* 4:2:0 halves the colours' resolution both ways; 4:4:4 keeps it, as coloured text wants. */
enum jpeg_sampling { JPEG_420, JPEG_444 };

/* Appends a picture of bytes B, G, R and one that is ignored. The rows begin at `pixels` and lie
 * `stride` bytes apart (negative for bottom-up pictures: JPEG's first row is the top one). `quality`
 * is 1 to 100. -EINVAL for an empty or too large picture, -ENOMEM. */
int jpeg_picture_encode(struct buf *out, uint32_t width, uint32_t height, const uint8_t *pixels,
	ptrdiff_t stride, int quality, enum jpeg_sampling sampling);

/* The size that a JPEG says it has. -EPROTO when it is none, or larger than a surface may be. */
int jpeg_picture_size(const uint8_t *data, size_t size, uint32_t *width, uint32_t *height);
/* Decodes a JPEG that must have this size, the top row first, to bytes B, G, R, 255. One that ends
 * too early or has lesser faults is decoded as far as it goes. -EPROTO when it cannot be. */
int jpeg_picture_decode(const uint8_t *data, size_t size, uint32_t width, uint32_t height,
	uint8_t *pixels, ptrdiff_t stride);

/* SPICE's JPEG_ALPHA: a JPEG of the colours and behind it an LZ stream of the alpha. Appends both;
 * *jpeg_bytes is where the second begins. Pixels are bytes B, G, R, A. Errors as above. */
int jpeg_alpha_encode(struct buf *out, size_t *jpeg_bytes, uint32_t width, uint32_t height,
	const uint8_t *pixels, ptrdiff_t stride, int quality, enum jpeg_sampling sampling);
/* -EPROTO also when the alpha's size is another; -ENOMEM. */
int jpeg_alpha_decode(const uint8_t *data, size_t size, size_t jpeg_bytes, uint32_t width,
	uint32_t height, uint8_t *pixels, ptrdiff_t stride);

#endif

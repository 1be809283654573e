/* SPDX-License-Identifier: MIT */
/*
 * SPICE's LZ: a dictionary coder whose unit is the pixel (or, with palettes, the byte). Pictures with
 * alpha are two streams, the colours and then the alpha. Memory in, memory out; no global state.
 */
#ifndef CODECS_LZ_H
#define CODECS_LZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"

/* The stream's type word. Pixels in memory: PLT* packed indices; RGB16 a host word of 5:5:5; RGB24
 * bytes B, G, R; RGB32 bytes B, G, R and one that is ignored; RGBA bytes B, G, R, A; XXXA as RGBA of
 * which only the alpha counts; A8 a byte. */
enum lz_type {
	LZ_PLT1_LE = 1,
	LZ_PLT1_BE,
	LZ_PLT4_LE,
	LZ_PLT4_BE,
	LZ_PLT8,
	LZ_RGB16,
	LZ_RGB24,
	LZ_RGB32,
	LZ_RGBA,
	LZ_XXXA,
	LZ_A8,
};

struct lz_header {
	enum lz_type type;
	uint32_t width; /* pixels */
	uint32_t height; /* rows */
	bool top_down;
};

/* Appends the stream of a picture to `out`. The rows begin at `pixels` and lie `stride` bytes apart;
 * `top_down` is only told to the decoder: it means that the first row is the top one. The pixels are
 * copied first, so they may change meanwhile. -EINVAL for an empty or too large picture, -ENOMEM. */
int lz_encode(struct buf *out, enum lz_type type, uint32_t width, uint32_t height, bool top_down,
	const uint8_t *pixels, ptrdiff_t stride);

/* Reads and checks a stream's header. -EPROTO when it is none, or larger than a surface may be. */
int lz_decode_header(const uint8_t *data, size_t size, struct lz_header *header);
/* Bytes of a decoded row: 4 a pixel for RGB24, RGB32, RGBA and XXXA, 2 for RGB16, else packed. */
uint32_t lz_row_bytes(enum lz_type type, uint32_t width);
/* Decodes a whole stream into header.height rows, the top one first whatever the stream's order. The
 * fourth byte of RGB24 and RGB32 becomes 0; XXXA changes nothing but it. -EPROTO when the stream is
 * broken or too short (the pixels are then of no use), -ENOMEM. */
int lz_decode(const uint8_t *data, size_t size, uint8_t *pixels, ptrdiff_t stride);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * QUIC, SPICE's lossless picture codec: the SFALIC family (Starosolski, "Simple fast and adaptive
 * lossless image compression algorithm", 2007) with three interleaved colour channels and runs.
 * Memory in, memory out; no global state.
 */
#ifndef CODECS_QUIC_H
#define CODECS_QUIC_H

#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"

/* The stream's type word. Pixels in memory: GRAY a byte; RGB16 a host word of 5:5:5; RGB24 bytes
 * B, G, R; RGB32 bytes B, G, R and one that is ignored; RGBA bytes B, G, R, A. */
enum quic_type { QUIC_GRAY = 1, QUIC_RGB16, QUIC_RGB24, QUIC_RGB32, QUIC_RGBA };

struct quic_header {
	enum quic_type type;
	uint32_t width;
	uint32_t height;
};

/* Appends the stream of a picture of width x height pixels to `out`. The rows begin at `pixels` and
 * lie `stride` bytes apart (negative: upwards). The pixels may change meanwhile (guest memory): the
 * stream then is of some mixture, still valid. -EINVAL for an empty or too large picture, -ENOMEM. */
int quic_encode(struct buf *out, enum quic_type type, uint32_t width, uint32_t height,
	const uint8_t *pixels, ptrdiff_t stride);

/* Reads and checks a stream's header. -EPROTO when it is none, or larger than a surface may be. */
int quic_decode_header(const uint8_t *data, size_t size, struct quic_header *header);
/* Decodes a whole stream into rows of header.width pixels: of 4 bytes for RGB24 and RGB32 (the
 * fourth byte 0), else as in memory above. -EPROTO when the stream is broken or too short (the
 * pixels are then of no use), -ENOMEM. */
int quic_decode(const uint8_t *data, size_t size, uint8_t *pixels, ptrdiff_t stride);

#endif

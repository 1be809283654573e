/* SPDX-License-Identifier: MIT */
/* What GLZ's encoder, decoder and window share. Literals and length biases are LZ's. */
#ifndef CODECS_GLZ_FORMAT_H
#define CODECS_GLZ_FORMAT_H

#include "codecs/glz.h"
#include "codecs/lz_format.h"

#define GLZ_HEADER_BYTES 33 /* big-endian: magic, version, type, width, height, stride, id, head */
#define GLZ_TYPE_MASK    15
#define GLZ_TOP_DOWN     16 /* in the type's byte */

/* A match is a control byte (3 bits of length, 1 of far, 4 of offset), what 7 units and more add to
 * the length, 8 bits of offset, and a byte that tells how the rest goes on:
 *   near: 2 bits of how many bytes of image distance follow, its low 6 bits;
 *   far: the same 2 bits, 1 of very far, 5 more of offset; very far has 8 more of offset at the end.
 * The offset is the distance less 1 in the same picture, or counts from the start of another. */
#define GLZ_OFFSET_NEAR 4096
#define GLZ_OFFSET_FAR  (1u << 17)
#define GLZ_MATCH_FAR   16
#define GLZ_VERY_FAR    32

/* ---- the decoder's window ---- */

struct glz_image {
	struct surface *surface; /* NULL: not here */
	const uint32_t *pixels; /* in the stream's order */
	size_t count;
	uint64_t head;
};

/* May a picture of so many pixels come in now? 0, -EAGAIN, -EPROTO. */
int glz_window_admit(struct glz_window *window, uint64_t id, uint64_t head, size_t count);
/* The picture with that id. 0; -EAGAIN when it may still come; -EPROTO when it never will. */
int glz_window_find(const struct glz_window *window, uint64_t id, struct glz_image *out);
/* After glz_window_admit(): takes a reference to the image's surface, and lets go of those that left
 * the server's window. -ENOMEM. */
int glz_window_add(struct glz_window *window, uint64_t id, const struct glz_image *image);

#endif

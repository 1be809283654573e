/* SPDX-License-Identifier: MIT */
/* Pointer shapes, as the guest gives them. */
#ifndef CORE_CURSOR_H
#define CORE_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "core/rect.h"

#define CURSOR_MAX_SIDE 512

/* The forms of the SPICE protocol and the QXL device (QXLCursorHeader.type). */
enum cursor_type {
	CURSOR_ALPHA, /* 32-bit premultiplied ARGB words, no mask */
	CURSOR_MONO, /* AND mask then XOR mask, rows padded to bytes, most significant bit left */
	CURSOR_COLOR4, /* palette of 16 behind the pixels, then an AND mask */
	CURSOR_COLOR8,
	CURSOR_COLOR16, /* XRGB1555, then an AND mask */
	CURSOR_COLOR24,
	CURSOR_COLOR32, /* XRGB8888, then an AND mask */
};

/* Immutable once shared. `data` is just behind the struct, laid out as the type says. */
struct cursor_shape {
	int refs; /* atomic */
	enum cursor_type type;
	uint64_t unique; /* the guest's name for it, for viewers' caches; 0: none */
	uint16_t width;
	uint16_t height;
	uint16_t hot_x;
	uint16_t hot_y;
	uint32_t size_bytes;
	uint8_t data[];
};

/* Bytes of `data` that a shape of this type and size needs; 0 when the size is not acceptable. */
uint32_t cursor_shape_bytes(enum cursor_type type, uint16_t width, uint16_t height);
/* A shape with uninitialised data of cursor_shape_bytes(). Returns 0, -EINVAL or -ENOMEM. */
int cursor_shape_create(struct cursor_shape **out, enum cursor_type type, uint16_t width,
	uint16_t height, uint16_t hot_x, uint16_t hot_y);
struct cursor_shape *cursor_shape_ref(struct cursor_shape *shape);
void cursor_shape_unref(struct cursor_shape *shape); /* NULL is ignored */
/* The shape as width*height premultiplied ARGB words; pixels that invert the screen become black
 * with a white rim (there is no inverting cursor in ARGB). */
void cursor_shape_to_argb(const struct cursor_shape *shape, uint32_t *out);

/* The whole state of a pointer. */
struct cursor_state {
	struct cursor_shape *shape; /* NULL: none yet */
	struct point position; /* of the hot spot, pixels of the primary surface */
	bool visible;
};

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Drawing commands as the host owns them: checked, self-contained, immutable once shared. They come
 * from the QXL device or from a SPICE display channel, and go to the canvas, to windows and to
 * SPICE servers. Coordinates are pixels of the destination surface.
 */
#ifndef CORE_DRAW_H
#define CORE_DRAW_H

#include <stdbool.h>
#include <stdint.h>

#include "core/rect.h"
#include "core/surface.h"

enum draw_type {
	DRAW_FILL,
	DRAW_COPY,
	DRAW_COPY_BITS,
};

/* How brush (or source) and destination meet: `op` on them, after each may be inverted and before
 * the result may be. ROP_PUT with no inversion is the plain case. */
enum rop_op { ROP_PUT, ROP_OR, ROP_AND, ROP_XOR, ROP_BLACKNESS, ROP_WHITENESS, ROP_INVERS };

struct rop {
	enum rop_op op;
	bool invert_source; /* source or brush */
	bool invert_dest;
	bool invert_result;
};

enum brush_type { BRUSH_NONE, BRUSH_SOLID, BRUSH_PATTERN };

/* Where pixels come from: an image, or a surface of the same display. */
struct draw_source {
	struct image *image; /* NULL: from the surface */
	uint32_t surface_id; /* when image is NULL */
};

struct brush {
	enum brush_type type;
	uint32_t color; /* BRUSH_SOLID: 0x00RRGGBB (or the surface's own word) */
	struct draw_source pattern; /* BRUSH_PATTERN: repeated, its origin at pattern_origin */
	struct point pattern_origin;
};

/* A 1-bit stencil: only where it is set (clear, when inverted) is drawn. */
struct draw_mask {
	struct image *image; /* 1-bit; NULL: no mask */
	struct point origin; /* the mask's pixel that falls on the drawing's top left */
	bool invert;
};

enum scale_mode { SCALE_INTERPOLATE, SCALE_NEAREST };

struct draw {
	int refs; /* atomic */
	enum draw_type type;
	uint32_t surface_id;
	struct rect box; /* what may change, inside the surface when the device checked it */
	bool clipped; /* only the pixels of `clip` change */
	struct region clip; /* always initialised */
	uint64_t mm_time_ms; /* multimedia time the guest gave; 0: none */
	union {
		struct {
			struct brush brush;
			struct rop rop;
			struct draw_mask mask;
		} fill;
		struct {
			struct draw_source source;
			struct rect area; /* of the source; scaled to box when sizes differ */
			struct rop rop;
			enum scale_mode scale;
			struct draw_mask mask;
		} copy;
		struct {
			struct point from; /* top left of what is moved to box, same surface */
		} copy_bits;
	};
};

/* A zeroed drawing with one reference and an empty, initialised clip. */
int draw_create(
	struct draw **out, enum draw_type type, uint32_t surface_id, const struct rect *box);
struct draw *draw_ref(struct draw *draw);
/* Drops a reference; the last one drops those on the images within. NULL is ignored. */
void draw_unref(struct draw *draw);
/* Whether every pixel of box (within the clip) is replaced without reading what was there. */
bool draw_is_opaque(const struct draw *draw);
/* Whether it reads the surface `surface_id` (as source, pattern, or by reading its destination). */
bool draw_reads_surface(const struct draw *draw, uint32_t surface_id);

#endif

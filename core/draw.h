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
	DRAW_OPAQUE,
	DRAW_ROP3,
	DRAW_TRANSPARENT,
	DRAW_ALPHA_BLEND,
	DRAW_COMPOSITE,
	DRAW_STROKE,
	DRAW_TEXT,
	DRAW_TYPES
};

/* How brush (or source) and destination meet: `op` on them, after each may be inverted and before
 * the result may be; the last three take no inversions. ROP_PUT with no inversion is the plain
 * case. */
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

/* How the picture of a composition is read: pixman's transform, filter and repeat. */
struct draw_sampling {
	bool transformed;
	int32_t matrix[2][3]; /* 16.16, from the destination's pixels to the picture's */
	pixman_filter_t filter; /* none that needs parameters */
	pixman_repeat_t repeat;
};

/* A point on a path, in 1/16 of a pixel. */
struct path_point {
	int32_t x;
	int32_t y;
};

#define PATH_BEGIN  1u
#define PATH_END    2u
#define PATH_CLOSE  4u /* with PATH_END */
#define PATH_BEZIER 8u /* points come in threes: two of control, one of the curve */

struct path_segment {
	uint32_t flags; /* PATH_* */
	uint32_t first; /* its points */
	uint32_t count;
};

/* Host-owned, freed by draw_unref(). */
struct draw_path {
	struct path_segment *segments;
	uint32_t segment_count;
	struct path_point *points;
	uint32_t point_count;
};

#define PATH_POINTS_MAX 16384
#define DASHES_MAX      255

struct glyph {
	struct point position; /* of its origin on the surface */
	struct point origin; /* from there to its top left */
	uint16_t width;
	uint16_t height;
	uint32_t offset; /* of its rows in text_string.bits, the lowest row first, whole bytes each */
};

/* Host-owned, freed by draw_unref(). */
struct text_string {
	uint8_t depth; /* bits of coverage a pixel: 1, 4 or 8; the high bits of a byte are left */
	uint16_t count;
	struct glyph *glyphs;
	uint8_t *bits;
	size_t size; /* of bits */
};

/* Bytes of a row of a glyph. */
uint32_t glyph_row_bytes(uint8_t depth, uint16_t width);
/* Where it is drawn. */
struct rect glyph_box(const struct glyph *glyph);

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
		/* The picture is put, then the brush is drawn on it. */
		struct {
			struct draw_source source;
			struct rect area;
			enum scale_mode scale;
			struct brush brush;
			struct rop rop; /* source: the brush; dest: the picture */
			struct draw_mask mask;
		} opaque;
		struct {
			struct draw_source source;
			struct rect area;
			enum scale_mode scale;
			struct brush brush;
			/* Bit 4p + 2s + d is what bits of brush, source and destination make. */
			uint8_t code;
			struct draw_mask mask;
		} rop3;
		/* A copy without the pixels of one colour; scaled to the nearest pixel. */
		struct {
			struct draw_source source;
			struct rect area;
			uint32_t color; /* 0x00RRGGBB */
			uint32_t source_color; /* the same as the source's own word; not used */
		} transparent;
		struct {
			struct draw_source source;
			struct rect area;
			uint8_t alpha; /* of the whole picture, beside its own */
			bool dest_has_alpha; /* the surface's unused byte is alpha after all */
			bool source_has_alpha; /* that of a source that is a surface */
		} alpha_blend;
		/* Render's composition: op on (source in mask) and the box. */
		struct {
			pixman_op_t op;
			struct draw_source source;
			struct point source_origin;
			struct draw_sampling source_sampling;
			bool source_opaque; /* a source surface's alpha does not count */
			bool dest_opaque;
			bool has_mask;
			bool component_alpha;
			struct draw_source mask;
			struct point mask_origin;
			struct draw_sampling mask_sampling;
		} composite;
		/* Lines one pixel wide, drawn by X's rules; without the last point. */
		struct {
			struct draw_path path;
			struct brush brush;
			struct rop rop;
			struct rop back_rop; /* of the gaps; not used */
			bool start_with_gap;
			uint8_t dash_count; /* 0: solid */
			int32_t *dashes; /* lengths in 1/16 of a pixel; freed by draw_unref() */
		} stroke;
		struct {
			struct text_string string;
			struct brush brush;
			struct rop rop; /* only ROP_PUT draws a background */
			struct rect back_area; /* filled before, with back_brush; may be empty */
			struct brush back_brush;
			struct rop back_rop; /* not used */
		} text;
	};
};

/* Whether pixman knows the operator and the sampling; others draw nothing. */
bool composite_op_valid(uint32_t op);
bool draw_sampling_valid(const struct draw_sampling *sampling);

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
/* The pixels that it reads of the surface, at most; draw_reads_surface() says whether any. What
 * cannot be told is told as everything (a rectangle beyond any surface). */
struct rect draw_read_area(const struct draw *draw, uint32_t surface_id);

/* The images it brings (NULL: none), as many as DRAW_IMAGES_MAX; answers how many. */
#define DRAW_IMAGES_MAX 3
uint32_t draw_images(const struct draw *draw, struct image *images[DRAW_IMAGES_MAX]);
/* The bytes that it keeps in memory beyond itself. */
size_t draw_memory(const struct draw *draw);

#endif

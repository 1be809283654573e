/* SPDX-License-Identifier: MIT */
/* What the canvas's files share. */
#ifndef CORE_CANVAS_INTERNAL_H
#define CORE_CANVAS_INTERNAL_H

#include "core/canvas.h"

#define PIECE_PIXELS 512

struct canvas {
	struct surface *target;
	const struct draw *draw;
	canvas_lookup_fn *lookup;
	void *opaque;
	struct region region; /* the target's pixels that may change, but for the mask */
	const struct draw_mask *mask; /* may be NULL */
};

/* Where words for the target come from, in target coordinates. */
struct feed {
	enum surface_format format; /* the target's */
	bool solid;
	uint32_t color;
	const struct image *image; /* this, */
	const struct surface *surface; /* or this */
	struct point shift; /* source = target + shift */
	bool repeat;
	struct surface *owned; /* made for this drawing */
};

/* Finds what `source` names; false: there is no such thing. A source that is the target itself is
 * copied first. */
bool feed_open(struct feed *feed, struct canvas *canvas, const struct draw_source *source);
/* Reads from a copy of the target as it is now. */
bool feed_open_copy(struct feed *feed, struct canvas *canvas);
/* No brush draws black, as libspice's canvas has it. */
bool feed_open_brush(struct feed *feed, struct canvas *canvas, const struct brush *brush);
void feed_finish(struct feed *feed);
struct rect feed_bounds(const struct feed *feed);
/* The words for target pixels (x, y) and on; the caller has clipped to the source unless it
 * repeats. */
void feed_words(const struct feed *feed, int32_t x, int32_t y, uint32_t count, uint32_t *words);

enum feed_view {
	FEED_AS_TARGET, /* converted to the target's depth, as for plain copies */
	FEED_AS_IS, /* a picture of true colour in its own format, for blending */
};

/* The whole source as pixman reads it, over its own memory where that is possible; it must not
 * outlive the feed. NULL: no memory. */
pixman_image_t *feed_pixman(const struct feed *feed, enum feed_view view);
/* The target, clipped to the region. NULL: no memory. */
pixman_image_t *canvas_pixman(struct canvas *canvas, pixman_format_code_t format);

/* Scaling rounds in two ways: most drawings step through the source in truncated 16.16 from the
 * area's corner, ROP3 in rounded steps from the picture's corner. */
enum scale_rule { SCALE_FROM_AREA, SCALE_FROM_ORIGIN };

/* Makes the feed give `area` of its source over the drawing's box, scaled if the sizes differ, and
 * takes from the region what the source does not reach. */
bool feed_place(struct feed *feed, struct canvas *canvas, const struct rect *area,
	enum scale_mode mode, enum scale_rule rule, bool raw);

/* Words of the region: op on the feed's and the target's. */
void canvas_draw_feed(struct canvas *canvas, const struct feed *feed, const struct rop *rop);
/* The same within one rectangle, still clipped to the region; answers how many rectangles of the
 * region it looked at. */
uint32_t canvas_draw_feed_rect(struct canvas *canvas, const struct feed *feed,
	const struct rop *rop, const struct rect *rect);
/* One pixel, if it lies in the region. */
bool canvas_mask_allows(const struct canvas *canvas, int32_t x, int32_t y);
bool rop_is_plain(const struct rop *rop);

void canvas_draw_rop3(struct canvas *canvas);
void canvas_draw_transparent(struct canvas *canvas);
void canvas_draw_alpha_blend(struct canvas *canvas);
void canvas_draw_composite(struct canvas *canvas);
void canvas_draw_stroke(struct canvas *canvas);
void canvas_draw_text(struct canvas *canvas);

#endif

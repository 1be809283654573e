/* SPDX-License-Identifier: MIT */
/* Rectangles and regions, in pixels. A rectangle holds left <= x < right, top <= y < bottom. */
#ifndef CORE_RECT_H
#define CORE_RECT_H

#include <pixman.h>
#include <stdbool.h>
#include <stdint.h>

struct point {
	int32_t x;
	int32_t y;
};

struct rect {
	int32_t left;
	int32_t top;
	int32_t right;
	int32_t bottom;
};

static inline struct rect rect_make(int32_t x, int32_t y, int32_t width, int32_t height)
{
	return (struct rect){ x, y, x + width, y + height };
}
static inline bool rect_empty(const struct rect *r)
{
	return r->left >= r->right || r->top >= r->bottom;
}
static inline int32_t rect_width(const struct rect *r)
{
	return r->right - r->left;
}
static inline int32_t rect_height(const struct rect *r)
{
	return r->bottom - r->top;
}
/* The common part; an empty one is all zero. */
struct rect rect_intersect(const struct rect *a, const struct rect *b);
/* The smallest rectangle that holds both; an empty one adds nothing. */
struct rect rect_union(const struct rect *a, const struct rect *b);
bool rect_contains(const struct rect *outer, const struct rect *inner);
bool rect_equal(const struct rect *a, const struct rect *b);

/* A set of pixels. Zero-initialised is not valid: region_init() first, region_finish() last. */
struct region {
	pixman_region32_t pixman;
};

void region_init(struct region *region);
void region_init_rect(struct region *region, const struct rect *rect);
void region_finish(struct region *region);
void region_clear(struct region *region);
void region_copy(struct region *to, const struct region *from);
void region_add_rect(struct region *region, const struct rect *rect);
void region_add(struct region *region, const struct region *other);
void region_subtract(struct region *region, const struct region *other);
void region_subtract_rect(struct region *region, const struct rect *rect);
void region_intersect(struct region *region, const struct region *other);
void region_intersect_rect(struct region *region, const struct rect *rect);
/* Makes it the union of rectangles, empty ones ignored. 0 or -ENOMEM, then it is as it was. */
int region_set_rects(struct region *region, const struct rect *rects, uint32_t count);
void region_translate(struct region *region, int32_t dx, int32_t dy);
bool region_empty(const struct region *region);
struct rect region_extents(const struct region *region);
/* Whether the whole rectangle lies inside. */
bool region_contains_rect(const struct region *region, const struct rect *rect);
bool region_overlaps_rect(const struct region *region, const struct rect *rect);
/* Rectangle number i of `count`, in y-x order; valid until the region changes. */
uint32_t region_count(const struct region *region);
struct rect region_rect(const struct region *region, uint32_t i);

#endif

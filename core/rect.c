/* SPDX-License-Identifier: MIT */
/* Rectangles, and regions as a thin cover over pixman's. */
#include "core/rect.h"

#include <errno.h>
#include <stdlib.h>

#include "core/util.h"

struct rect rect_intersect(const struct rect *a, const struct rect *b)
{
	struct rect r = { MAX(a->left, b->left), MAX(a->top, b->top), MIN(a->right, b->right),
		MIN(a->bottom, b->bottom) };

	if (rect_empty(&r))
		return (struct rect){ 0, 0, 0, 0 };
	return r;
}

struct rect rect_union(const struct rect *a, const struct rect *b)
{
	if (rect_empty(a))
		return *b;
	if (rect_empty(b))
		return *a;
	return (struct rect){ MIN(a->left, b->left), MIN(a->top, b->top), MAX(a->right, b->right),
		MAX(a->bottom, b->bottom) };
}

bool rect_contains(const struct rect *outer, const struct rect *inner)
{
	return inner->left >= outer->left && inner->top >= outer->top &&
		inner->right <= outer->right && inner->bottom <= outer->bottom;
}

bool rect_equal(const struct rect *a, const struct rect *b)
{
	return a->left == b->left && a->top == b->top && a->right == b->right &&
		a->bottom == b->bottom;
}

static pixman_box32_t box_of(const struct rect *r)
{
	return (pixman_box32_t){ r->left, r->top, r->right, r->bottom };
}

static struct rect rect_of(const pixman_box32_t *b)
{
	return (struct rect){ b->x1, b->y1, b->x2, b->y2 };
}

/* An empty or inside-out rectangle makes an empty region, not pixman's complaint. */
static void pixman_from_rect(pixman_region32_t *out, const struct rect *rect)
{
	pixman_box32_t box = box_of(rect);

	if (rect_empty(rect))
		pixman_region32_init(out);
	else
		pixman_region32_init_with_extents(out, &box);
}

void region_init(struct region *region)
{
	pixman_region32_init(&region->pixman);
}

void region_init_rect(struct region *region, const struct rect *rect)
{
	pixman_from_rect(&region->pixman, rect);
}

void region_finish(struct region *region)
{
	pixman_region32_fini(&region->pixman);
}

void region_clear(struct region *region)
{
	pixman_region32_clear(&region->pixman);
}

void region_copy(struct region *to, const struct region *from)
{
	pixman_region32_copy(&to->pixman, (pixman_region32_t *)&from->pixman);
}

void region_add_rect(struct region *region, const struct rect *rect)
{
	pixman_region32_t other;

	pixman_from_rect(&other, rect);
	pixman_region32_union(&region->pixman, &region->pixman, &other);
	pixman_region32_fini(&other);
}

void region_add(struct region *region, const struct region *other)
{
	pixman_region32_union(
		&region->pixman, &region->pixman, (pixman_region32_t *)&other->pixman);
}

void region_subtract(struct region *region, const struct region *other)
{
	pixman_region32_subtract(
		&region->pixman, &region->pixman, (pixman_region32_t *)&other->pixman);
}

void region_subtract_rect(struct region *region, const struct rect *rect)
{
	pixman_region32_t other;

	pixman_from_rect(&other, rect);
	pixman_region32_subtract(&region->pixman, &region->pixman, &other);
	pixman_region32_fini(&other);
}

void region_intersect(struct region *region, const struct region *other)
{
	pixman_region32_intersect(
		&region->pixman, &region->pixman, (pixman_region32_t *)&other->pixman);
}

void region_intersect_rect(struct region *region, const struct rect *rect)
{
	pixman_region32_t other;

	pixman_from_rect(&other, rect);
	pixman_region32_intersect(&region->pixman, &region->pixman, &other);
	pixman_region32_fini(&other);
}

int region_set_rects(struct region *region, const struct rect *rects, uint32_t count)
{
	pixman_box32_t *boxes = calloc(MAX(count, 1u), sizeof(*boxes));
	pixman_region32_t made;
	int used = 0;
	bool ok;

	if (!boxes)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		if (!rect_empty(&rects[i]))
			boxes[used++] = box_of(&rects[i]);
	ok = pixman_region32_init_rects(&made, boxes, used);
	free(boxes);
	if (!ok)
		return -ENOMEM;
	pixman_region32_fini(&region->pixman);
	region->pixman = made;
	return 0;
}

void region_translate(struct region *region, int32_t dx, int32_t dy)
{
	pixman_region32_translate(&region->pixman, dx, dy);
}

bool region_empty(const struct region *region)
{
	return !pixman_region32_not_empty((pixman_region32_t *)&region->pixman);
}

struct rect region_extents(const struct region *region)
{
	return rect_of(pixman_region32_extents((pixman_region32_t *)&region->pixman));
}

static pixman_region_overlap_t overlap(const struct region *region, const struct rect *rect)
{
	pixman_box32_t box = box_of(rect);

	if (rect_empty(rect))
		return PIXMAN_REGION_OUT;
	return pixman_region32_contains_rectangle((pixman_region32_t *)&region->pixman, &box);
}

bool region_contains_rect(const struct region *region, const struct rect *rect)
{
	return overlap(region, rect) == PIXMAN_REGION_IN;
}

bool region_overlaps_rect(const struct region *region, const struct rect *rect)
{
	return overlap(region, rect) != PIXMAN_REGION_OUT;
}

uint32_t region_count(const struct region *region)
{
	return (uint32_t)pixman_region32_n_rects((pixman_region32_t *)&region->pixman);
}

struct rect region_rect(const struct region *region, uint32_t i)
{
	int count;
	pixman_box32_t *boxes =
		pixman_region32_rectangles((pixman_region32_t *)&region->pixman, &count);

	return i < (uint32_t)count ? rect_of(&boxes[i]) : (struct rect){ 0, 0, 0, 0 };
}

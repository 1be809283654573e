/* SPDX-License-Identifier: MIT */
/* Drawing commands: lifetime, and what can be said of them without carrying them out. */
#include "core/draw.h"

#include <errno.h>
#include <stdlib.h>

int draw_create(struct draw **out, enum draw_type type, uint32_t surface_id, const struct rect *box)
{
	struct draw *draw = calloc(1, sizeof(*draw));

	if (!draw)
		return -ENOMEM;
	draw->refs = 1;
	draw->type = type;
	draw->surface_id = surface_id;
	draw->box = *box;
	region_init(&draw->clip);
	*out = draw;
	return 0;
}

struct draw *draw_ref(struct draw *draw)
{
	__atomic_add_fetch(&draw->refs, 1, __ATOMIC_RELAXED);
	return draw;
}

void draw_unref(struct draw *draw)
{
	if (!draw || __atomic_sub_fetch(&draw->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	switch (draw->type) {
	case DRAW_FILL:
		image_unref(draw->fill.brush.pattern.image);
		image_unref(draw->fill.mask.image);
		break;
	case DRAW_COPY:
		image_unref(draw->copy.source.image);
		image_unref(draw->copy.mask.image);
		break;
	case DRAW_COPY_BITS: break;
	}
	region_finish(&draw->clip);
	free(draw);
}

static bool rop_ignores_dest(const struct rop *rop)
{
	return rop->op == ROP_PUT || rop->op == ROP_BLACKNESS || rop->op == ROP_WHITENESS;
}

/* An area that leaves its image leaves pixels of the box alone. */
static bool area_inside_image(const struct draw *draw)
{
	struct rect bounds = { 0, 0, (int32_t)draw->copy.source.image->width,
		(int32_t)draw->copy.source.image->height };

	return !rect_empty(&draw->copy.area) && rect_contains(&bounds, &draw->copy.area);
}

bool draw_is_opaque(const struct draw *draw)
{
	switch (draw->type) {
	case DRAW_FILL:
		return rop_ignores_dest(&draw->fill.rop) && !draw->fill.mask.image &&
			draw->fill.brush.type == BRUSH_SOLID;
	case DRAW_COPY:
		return rop_ignores_dest(&draw->copy.rop) && !draw->copy.mask.image &&
			draw->copy.source.image && area_inside_image(draw);
	case DRAW_COPY_BITS: return false;
	}
	return false;
}

bool draw_reads_surface(const struct draw *draw, uint32_t surface_id)
{
	switch (draw->type) {
	case DRAW_FILL:
		if (draw->fill.brush.type == BRUSH_PATTERN && !draw->fill.brush.pattern.image &&
			draw->fill.brush.pattern.surface_id == surface_id)
			return true;
		return draw->surface_id == surface_id && !draw_is_opaque(draw);
	case DRAW_COPY:
		if (!draw->copy.source.image && draw->copy.source.surface_id == surface_id)
			return true;
		return draw->surface_id == surface_id && !draw_is_opaque(draw);
	case DRAW_COPY_BITS: return draw->surface_id == surface_id;
	}
	return false;
}

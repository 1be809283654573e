/* SPDX-License-Identifier: MIT */
/* Drawing commands: lifetime, and what can be said of them without carrying them out. */
#include "core/draw.h"

#include <errno.h>
#include <stdlib.h>

#include "core/util.h"

#define EVERYTHING ((struct rect){ INT32_MIN / 2, INT32_MIN / 2, INT32_MAX / 2, INT32_MAX / 2 })

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

/* ---- what it is made of ---- */

/* Its pictures, brushes and mask; NULL where the type has none. */
struct parts {
	const struct draw_source *source;
	const struct rect *area; /* of the source */
	const struct brush *brush;
	const struct brush *back_brush;
	const struct draw_mask *mask;
	const struct draw_source *mask_source;
};

static struct parts parts_of(const struct draw *draw)
{
	switch (draw->type) {
	case DRAW_FILL:
		return (struct parts){ .brush = &draw->fill.brush, .mask = &draw->fill.mask };
	case DRAW_COPY:
		return (struct parts){ .source = &draw->copy.source,
			.area = &draw->copy.area,
			.mask = &draw->copy.mask };
	case DRAW_OPAQUE:
		return (struct parts){ .source = &draw->opaque.source,
			.area = &draw->opaque.area,
			.brush = &draw->opaque.brush,
			.mask = &draw->opaque.mask };
	case DRAW_ROP3:
		return (struct parts){ .source = &draw->rop3.source,
			.area = &draw->rop3.area,
			.brush = &draw->rop3.brush,
			.mask = &draw->rop3.mask };
	case DRAW_TRANSPARENT:
		return (struct parts){ .source = &draw->transparent.source,
			.area = &draw->transparent.area };
	case DRAW_ALPHA_BLEND:
		return (struct parts){ .source = &draw->alpha_blend.source,
			.area = &draw->alpha_blend.area };
	case DRAW_COMPOSITE:
		return (struct parts){ .source = &draw->composite.source,
			.mask_source = draw->composite.has_mask ? &draw->composite.mask : NULL };
	case DRAW_STROKE: return (struct parts){ .brush = &draw->stroke.brush };
	case DRAW_TEXT:
		return (struct parts){ .brush = &draw->text.brush,
			.back_brush = &draw->text.back_brush };
	case DRAW_COPY_BITS:
	case DRAW_TYPES: break;
	}
	return (struct parts){ 0 };
}

uint32_t draw_images(const struct draw *draw, struct image *images[DRAW_IMAGES_MAX])
{
	struct parts parts = parts_of(draw);
	struct image *all[] = {
		parts.source ? parts.source->image : NULL,
		parts.brush ? parts.brush->pattern.image : NULL,
		parts.back_brush ? parts.back_brush->pattern.image : NULL,
		parts.mask ? parts.mask->image : NULL,
		parts.mask_source ? parts.mask_source->image : NULL,
	};
	uint32_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i] && count < DRAW_IMAGES_MAX)
			images[count++] = all[i];
	return count;
}

size_t draw_memory(const struct draw *draw)
{
	struct image *images[DRAW_IMAGES_MAX];
	uint32_t count = draw_images(draw, images);
	size_t bytes = 0;

	for (uint32_t i = 0; i < count; i++)
		bytes += (size_t)images[i]->stride * images[i]->height;
	if (draw->type == DRAW_STROKE)
		bytes += draw->stroke.path.point_count * sizeof(struct path_point) +
			draw->stroke.path.segment_count * sizeof(struct path_segment);
	if (draw->type == DRAW_TEXT)
		bytes += draw->text.string.size + draw->text.string.count * sizeof(struct glyph);
	return bytes;
}

void draw_unref(struct draw *draw)
{
	struct image *images[DRAW_IMAGES_MAX];
	uint32_t count;

	if (!draw || __atomic_sub_fetch(&draw->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	count = draw_images(draw, images);
	for (uint32_t i = 0; i < count; i++)
		image_unref(images[i]);
	if (draw->type == DRAW_STROKE) {
		free(draw->stroke.path.segments);
		free(draw->stroke.path.points);
		free(draw->stroke.dashes);
	}
	if (draw->type == DRAW_TEXT) {
		free(draw->text.string.glyphs);
		free(draw->text.string.bits);
	}
	region_finish(&draw->clip);
	free(draw);
}

uint32_t glyph_row_bytes(uint8_t depth, uint16_t width)
{
	return DIV_ROUND_UP((uint32_t)width * depth, 8u);
}

struct rect glyph_box(const struct glyph *glyph)
{
	return rect_make(glyph->position.x + glyph->origin.x, glyph->position.y + glyph->origin.y,
		glyph->width, glyph->height);
}

bool composite_op_valid(uint32_t op)
{
	return op <= PIXMAN_OP_SATURATE ||
		(op >= PIXMAN_OP_DISJOINT_CLEAR && op <= PIXMAN_OP_DISJOINT_XOR) ||
		(op >= PIXMAN_OP_CONJOINT_CLEAR && op <= PIXMAN_OP_CONJOINT_XOR) ||
		(op >= PIXMAN_OP_MULTIPLY && op <= PIXMAN_OP_HSL_LUMINOSITY);
}

bool draw_sampling_valid(const struct draw_sampling *sampling)
{
	return sampling->filter <= PIXMAN_FILTER_BILINEAR &&
		sampling->repeat <= PIXMAN_REPEAT_REFLECT;
}

/* ---- what it replaces and reads ---- */

static bool rop_ignores_dest(const struct rop *rop)
{
	return rop->op == ROP_PUT || rop->op == ROP_BLACKNESS || rop->op == ROP_WHITENESS;
}

/* An area that leaves its image leaves pixels of the box alone. */
static bool area_inside_image(const struct draw_source *source, const struct rect *area)
{
	struct rect bounds;

	if (!source->image)
		return false;
	bounds = (struct rect){ 0, 0, (int32_t)source->image->width,
		(int32_t)source->image->height };
	return !rect_empty(area) && rect_contains(&bounds, area);
}

/* A brush that draws wherever it is asked to, from nothing but itself. */
static bool brush_covers(const struct brush *brush)
{
	return brush->type == BRUSH_SOLID || (brush->type == BRUSH_PATTERN && brush->pattern.image);
}

bool draw_is_opaque(const struct draw *draw)
{
	switch (draw->type) {
	case DRAW_FILL:
		return rop_ignores_dest(&draw->fill.rop) && !draw->fill.mask.image &&
			draw->fill.brush.type == BRUSH_SOLID;
	case DRAW_COPY:
		return rop_ignores_dest(&draw->copy.rop) && !draw->copy.mask.image &&
			area_inside_image(&draw->copy.source, &draw->copy.area);
	case DRAW_OPAQUE:
		return !draw->opaque.mask.image && brush_covers(&draw->opaque.brush) &&
			area_inside_image(&draw->opaque.source, &draw->opaque.area);
	case DRAW_COPY_BITS:
	case DRAW_ROP3:
	case DRAW_TRANSPARENT:
	case DRAW_ALPHA_BLEND:
	case DRAW_COMPOSITE:
	case DRAW_STROKE:
	case DRAW_TEXT:
	case DRAW_TYPES: break;
	}
	return false;
}

static bool source_reads(const struct draw_source *source, uint32_t surface_id)
{
	return source && !source->image && source->surface_id == surface_id;
}

static bool brush_reads(const struct brush *brush, uint32_t surface_id)
{
	return brush && brush->type == BRUSH_PATTERN && source_reads(&brush->pattern, surface_id);
}

bool draw_reads_surface(const struct draw *draw, uint32_t surface_id)
{
	struct parts parts = parts_of(draw);

	return source_reads(parts.source, surface_id) ||
		source_reads(parts.mask_source, surface_id) ||
		brush_reads(parts.brush, surface_id) || brush_reads(parts.back_brush, surface_id) ||
		(draw->surface_id == surface_id && !draw_is_opaque(draw));
}

struct rect draw_read_area(const struct draw *draw, uint32_t surface_id)
{
	struct parts parts = parts_of(draw);
	struct rect area = { 0 };

	if (source_reads(parts.mask_source, surface_id) || brush_reads(parts.brush, surface_id) ||
		brush_reads(parts.back_brush, surface_id))
		return EVERYTHING;
	if (source_reads(parts.source, surface_id)) {
		if (!parts.area)
			return EVERYTHING;
		area = *parts.area;
		/* Scaling mixes in the neighbours. */
		if (rect_width(&area) != rect_width(&draw->box) ||
			rect_height(&area) != rect_height(&draw->box))
			area = (struct rect){ area.left - 1, area.top - 1, area.right + 1,
				area.bottom + 1 };
	}
	if (draw->surface_id != surface_id)
		return area;
	if (draw->type == DRAW_COPY_BITS)
		return rect_make(draw->copy_bits.from.x, draw->copy_bits.from.y,
			rect_width(&draw->box), rect_height(&draw->box));
	return draw_is_opaque(draw) ? area : rect_union(&area, &draw->box);
}

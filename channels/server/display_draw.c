/* SPDX-License-Identifier: MIT */
/* Which drawings viewers can be trusted with, and what they read. */
#include "channels/server/display_draw.h"

enum { FAR = 1 << 24 }; /* what moves from beyond, no canvas draws */

/* ---- what is read ---- */

static bool same_size(const struct rect *a, const struct rect *b)
{
	return rect_width(a) == rect_width(b) && rect_height(a) == rect_height(b);
}

static struct point shift_between(const struct rect *from, int32_t x, int32_t y)
{
	return (struct point){ x - from->left, y - from->top };
}

static uint32_t read_area(struct draw_read *read, const struct draw *draw,
	const struct draw_source *source, const struct rect *area)
{
	if (source->image)
		return 0;
	*read = (struct draw_read){ .surface_id = source->surface_id,
		.anywhere = !same_size(area, &draw->box),
		.shift = shift_between(&draw->box, area->left, area->top) };
	return 1;
}

static uint32_t read_brush(struct draw_read *read, const struct brush *brush)
{
	if (brush->type != BRUSH_PATTERN || brush->pattern.image)
		return 0;
	*read = (struct draw_read){ .surface_id = brush->pattern.surface_id, .anywhere = true };
	return 1;
}

static uint32_t read_sampled(struct draw_read *read, const struct draw *draw,
	const struct draw_source *source, const struct draw_sampling *sampling,
	const struct point *origin)
{
	if (source->image)
		return 0;
	*read = (struct draw_read){ .surface_id = source->surface_id,
		.anywhere = sampling->transformed || sampling->repeat != PIXMAN_REPEAT_NONE,
		.shift = shift_between(&draw->box, origin->x, origin->y) };
	return 1;
}

uint32_t display_draw_reads(const struct draw *draw, struct draw_read reads[DRAW_READS_MAX])
{
	uint32_t n = 0;

	switch (draw->type) {
	case DRAW_FILL: return read_brush(reads, &draw->fill.brush);
	case DRAW_COPY: return read_area(reads, draw, &draw->copy.source, &draw->copy.area);
	case DRAW_COPY_BITS:
		reads[0] = (struct draw_read){ .surface_id = draw->surface_id,
			.shift = shift_between(
				&draw->box, draw->copy_bits.from.x, draw->copy_bits.from.y) };
		return 1;
	case DRAW_OPAQUE:
		n = read_area(reads, draw, &draw->opaque.source, &draw->opaque.area);
		return n + read_brush(reads + n, &draw->opaque.brush);
	case DRAW_ROP3:
		n = read_area(reads, draw, &draw->rop3.source, &draw->rop3.area);
		return n + read_brush(reads + n, &draw->rop3.brush);
	case DRAW_TRANSPARENT:
		return read_area(reads, draw, &draw->transparent.source, &draw->transparent.area);
	case DRAW_ALPHA_BLEND:
		return read_area(reads, draw, &draw->alpha_blend.source, &draw->alpha_blend.area);
	case DRAW_COMPOSITE:
		n = read_sampled(reads, draw, &draw->composite.source,
			&draw->composite.source_sampling, &draw->composite.source_origin);
		if (draw->composite.has_mask)
			n += read_sampled(reads + n, draw, &draw->composite.mask,
				&draw->composite.mask_sampling, &draw->composite.mask_origin);
		return n;
	case DRAW_STROKE: return read_brush(reads, &draw->stroke.brush);
	case DRAW_TEXT:
		n = read_brush(reads, &draw->text.brush);
		return n + read_brush(reads + n, &draw->text.back_brush);
	case DRAW_TYPES: break;
	}
	return 0;
}

/* ---- exactness ---- */

struct judge {
	const struct draw *draw;
	const struct server_surface *surfaces;
	const struct draw_abilities *abilities;
	enum surface_format target;
};

static bool is_deep(enum surface_format format)
{
	return format == SURFACE_XRGB8888 || format == SURFACE_ARGB8888;
}

/* Whether all viewers make the same words of the image's pixels. What its unused byte holds gets
 * lost on the way, so that a surface with alpha must not be given it. */
static bool image_fits(const struct judge *judge, const struct image *image)
{
	switch (judge->target) {
	case SURFACE_XRGB8888: return image->format != IMAGE_A8;
	case SURFACE_ARGB8888: return image->format == IMAGE_ARGB8888;
	case SURFACE_RGB565:
	case SURFACE_XRGB1555:
		return image->format == IMAGE_XRGB8888 || image->format == IMAGE_BGR24 ||
			image->format == IMAGE_XRGB1555;
	case SURFACE_A8: return image->format == IMAGE_A8;
	case SURFACE_A1: break;
	}
	return false;
}

static const struct surface *surface_at(const struct judge *judge, uint32_t id)
{
	return id < DISPLAY_MAX_SURFACES ? judge->surfaces[id].surface : NULL;
}

/* A picture that is not scaled and has all that is asked of it. Reading the surface that is
 * drawn on, viewers may read after they wrote. */
static bool source_inside(
	const struct judge *judge, const struct draw_source *source, const struct rect *area)
{
	const struct surface *surface = NULL;
	struct rect bounds = { 0 };

	if (source->image) {
		bounds.right = (int32_t)source->image->width;
		bounds.bottom = (int32_t)source->image->height;
	} else {
		surface = surface_at(judge, source->surface_id);
		if (!surface || source->surface_id == judge->draw->surface_id)
			return false;
		bounds = surface_bounds(surface);
	}
	return same_size(area, &judge->draw->box) && rect_contains(&bounds, area);
}

static bool source_is_exact(
	const struct judge *judge, const struct draw_source *source, const struct rect *area)
{
	enum surface_format format;

	if (!source_inside(judge, source, area))
		return false;
	if (source->image)
		return image_fits(judge, source->image);
	format = surface_at(judge, source->surface_id)->format;
	return format == judge->target ||
		(format == SURFACE_ARGB8888 && judge->target == SURFACE_XRGB8888);
}

static bool brush_is_exact(const struct judge *judge, const struct brush *brush)
{
	if (brush->type == BRUSH_PATTERN)
		return brush->pattern.image && image_fits(judge, brush->pattern.image);
	return brush->type == BRUSH_SOLID;
}

/* A picture whose own alpha counts. */
static bool blended_is_exact(const struct judge *judge, const struct draw_source *source)
{
	const struct surface *surface;

	if (source->image)
		return source->image->format == IMAGE_ARGB8888 ||
			source->image->format == IMAGE_XRGB8888;
	surface = surface_at(judge, source->surface_id);
	return surface && is_deep(surface->format) && source->surface_id != judge->draw->surface_id;
}

static bool alpha_blend_is_exact(const struct judge *judge)
{
	const struct draw *draw = judge->draw;
	const struct draw_source *source = &draw->alpha_blend.source;

	if (!source_inside(judge, source, &draw->alpha_blend.area) ||
		!blended_is_exact(judge, source) || !is_deep(judge->target))
		return false;
	/* An unused byte that counts as alpha after all. */
	return source->image || !draw->alpha_blend.source_has_alpha ||
		surface_at(judge, source->surface_id)->format == SURFACE_ARGB8888;
}

static bool fits_16_bits(const struct point *p)
{
	return p->x >= INT16_MIN && p->x <= INT16_MAX && p->y >= INT16_MIN && p->y <= INT16_MAX;
}

/* Pixels between pixels are each pixman's own art. */
static bool sampled_is_exact(const struct judge *judge, const struct draw_source *source,
	const struct draw_sampling *sampling, const struct point *origin)
{
	const struct surface *surface;

	if (!fits_16_bits(origin) ||
		(sampling->transformed && sampling->filter != PIXMAN_FILTER_NEAREST &&
			sampling->filter != PIXMAN_FILTER_FAST))
		return false;
	if (source->image && source->image->format == IMAGE_A8)
		return true;
	surface = source->image ? NULL : surface_at(judge, source->surface_id);
	/* spice-gtk forgets to take the transform off the surface again: it would bend what is read
	 * of it afterwards. */
	if (surface && sampling->transformed)
		return false;
	if (surface && surface->format == SURFACE_A8)
		return judge->abilities->a8 && source->surface_id != judge->draw->surface_id;
	return blended_is_exact(judge, source);
}

static bool composite_is_exact(const struct judge *judge)
{
	const struct draw *draw = judge->draw;

	return judge->abilities->composite &&
		(is_deep(judge->target) || judge->target == SURFACE_A8) &&
		sampled_is_exact(judge, &draw->composite.source, &draw->composite.source_sampling,
			&draw->composite.source_origin) &&
		(!draw->composite.has_mask ||
			sampled_is_exact(judge, &draw->composite.mask,
				&draw->composite.mask_sampling, &draw->composite.mask_origin));
}

/* Viewers know only those ROPs by the general way that need all three. */
static bool rop3_needs_all(uint8_t code)
{
	return (code >> 4 & 0x0f) != (code & 0x0f) && (code >> 2 & 0x33) != (code & 0x33) &&
		(code >> 1 & 0x55) != (code & 0x55);
}

/* Patterns are left to the canvas: their alpha would count, and what lies behind the text may go
 * undecoded or before the text's own, which no later picture of the GLZ window may refer to. */
static bool text_is_exact(const struct judge *judge)
{
	const struct draw *draw = judge->draw;

	return is_deep(judge->target) && draw->text.string.depth <= 4 &&
		draw->text.brush.type == BRUSH_SOLID &&
		(rect_empty(&draw->text.back_area) || draw->text.back_brush.type == BRUSH_SOLID);
}

/* Whether it is the same done once or twice. */
static bool rop_is_idempotent(const struct rop *rop)
{
	switch (rop->op) {
	case ROP_PUT:
	case ROP_BLACKNESS:
	case ROP_WHITENESS: return true;
	case ROP_OR:
	case ROP_AND: return !rop->invert_dest && !rop->invert_result;
	case ROP_XOR:
	case ROP_INVERS: break;
	}
	return false;
}

/* Dashes each canvas begins in its own way, and where a path crosses itself they differ in how often
 * they draw the pixel. */
static bool stroke_is_exact(const struct judge *judge)
{
	const struct draw *draw = judge->draw;

	return !draw->stroke.dash_count && rop_is_idempotent(&draw->stroke.rop) &&
		brush_is_exact(judge, &draw->stroke.brush);
}

static bool is_exact(const struct judge *judge)
{
	const struct draw *draw = judge->draw;
	bool deep = is_deep(judge->target);

	switch (draw->type) {
	case DRAW_FILL:
		return brush_is_exact(judge, &draw->fill.brush) && (deep || draw_is_opaque(draw));
	case DRAW_COPY:
		return source_is_exact(judge, &draw->copy.source, &draw->copy.area) &&
			(deep || draw_is_opaque(draw));
	case DRAW_COPY_BITS: return true;
	case DRAW_OPAQUE:
		return deep && source_is_exact(judge, &draw->opaque.source, &draw->opaque.area) &&
			brush_is_exact(judge, &draw->opaque.brush);
	case DRAW_ROP3:
		return deep && source_is_exact(judge, &draw->rop3.source, &draw->rop3.area) &&
			brush_is_exact(judge, &draw->rop3.brush) && rop3_needs_all(draw->rop3.code);
	case DRAW_TRANSPARENT:
		return deep &&
			source_is_exact(judge, &draw->transparent.source, &draw->transparent.area);
	case DRAW_ALPHA_BLEND: return alpha_blend_is_exact(judge);
	case DRAW_COMPOSITE: return composite_is_exact(judge);
	case DRAW_STROKE: return deep && stroke_is_exact(judge);
	case DRAW_TEXT: return text_is_exact(judge);
	case DRAW_TYPES: break;
	}
	return false;
}

/* What the simplest viewers can do. */
static bool is_plain(const struct draw *draw)
{
	switch (draw->type) {
	case DRAW_FILL:
		return draw->fill.brush.type == BRUSH_SOLID && draw->fill.rop.op == ROP_PUT &&
			!draw->fill.rop.invert_source && !draw->fill.rop.invert_result &&
			!draw->fill.mask.image;
	case DRAW_COPY:
		return draw->copy.source.image && draw->copy.rop.op == ROP_PUT &&
			!draw->copy.rop.invert_source && !draw->copy.rop.invert_result &&
			!draw->copy.mask.image;
	default: return draw->type == DRAW_COPY_BITS;
	}
}

bool display_draw_is_exact(const struct draw *draw, const struct server_surface *surfaces,
	const struct draw_abilities *abilities)
{
	struct judge judge = { .draw = draw, .surfaces = surfaces, .abilities = abilities };
	const struct surface *target = surface_at(&judge, draw->surface_id);

	if (!target || (abilities->weak && !is_plain(draw)))
		return false;
	judge.target = target->format;
	return is_exact(&judge);
}

bool display_draw_covers(const struct draw *draw)
{
	if (draw->type == DRAW_COPY && !draw->copy.source.image)
		return draw->copy.rop.op == ROP_PUT && !draw->copy.mask.image;
	return draw->type == DRAW_COPY_BITS || draw_is_opaque(draw);
}

bool display_draw_can_crop(const struct draw *draw)
{
	switch (draw->type) {
	case DRAW_FILL: return !draw->fill.mask.image;
	case DRAW_COPY: return !draw->copy.mask.image;
	case DRAW_OPAQUE: return !draw->opaque.mask.image;
	case DRAW_ROP3: return !draw->rop3.mask.image;
	case DRAW_COPY_BITS:
	case DRAW_TRANSPARENT:
	case DRAW_ALPHA_BLEND: return true;
	default: return false;
	}
}

bool display_draw_format_known(enum surface_format format, const struct draw_abilities *abilities)
{
	return format == SURFACE_A8 ? abilities->a8 : format != SURFACE_A1;
}

void display_draw_region(
	const struct draw *draw, const struct surface *surface, struct region *region)
{
	struct rect bounds = surface_bounds(surface);
	struct rect box = rect_intersect(&draw->box, &bounds);
	struct rect far = { -FAR, -FAR, FAR, FAR };

	region_clear(region);
	if (draw->type == DRAW_COPY_BITS) {
		const struct point *from_at = &draw->copy_bits.from;
		struct point shift;
		struct rect from;

		if (!rect_contains(&far,
			    &(struct rect){ from_at->x, from_at->y, from_at->x, from_at->y }) ||
			rect_empty(&box))
			return;
		shift = shift_between(&draw->box, from_at->x, from_at->y);
		from = (struct rect){ bounds.left - shift.x, bounds.top - shift.y,
			bounds.right - shift.x, bounds.bottom - shift.y };

		box = rect_intersect(&box, &from);
	}
	region_add_rect(region, &box);
	if (draw->clipped)
		region_intersect(region, &draw->clip);
}

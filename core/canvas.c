/* SPDX-License-Identifier: MIT */
/*
 * The software canvas: fills, copies and moves, and who draws what. The common drawings (plain fills
 * and copies) move whole rows; all others go through words of the target's own format, a piece of a
 * row at a time. Blending is pixman's.
 *
 * What a drawing means in the corners (rounding, what lies outside a scaled picture, brushes that are
 * not there) follows the canvas of the SPICE clients, since viewers draw the same commands.
 */
#include "core/canvas.h"

#include <stdlib.h>
#include <string.h>

#include "core/canvas_internal.h"
#include "core/util.h"

#define COORDINATE_MAX (1 << 24)

static uint32_t combine(enum rop_op op, uint32_t src, uint32_t dst)
{
	switch (op) {
	case ROP_OR: return src | dst;
	case ROP_AND: return src & dst;
	case ROP_XOR: return src ^ dst;
	case ROP_BLACKNESS: return 0;
	case ROP_WHITENESS: return UINT32_MAX;
	case ROP_INVERS: return ~dst;
	default: return src;
	}
}

bool canvas_mask_allows(const struct canvas *canvas, int32_t x, int32_t y)
{
	const struct draw_mask *mask = canvas->mask;
	int64_t mx, my;

	if (!mask || !mask->image)
		return true;
	mx = (int64_t)x - canvas->draw->box.left + mask->origin.x;
	my = (int64_t)y - canvas->draw->box.top + mask->origin.y;
	if (mx < 0 || my < 0 || mx >= mask->image->width || my >= mask->image->height)
		return false;
	return (image_index_at(mask->image, (uint32_t)mx, (uint32_t)my) != 0) != mask->invert;
}

static void draw_piece(struct canvas *canvas, const struct feed *feed, const struct rop *rop,
	int32_t x, int32_t y, uint32_t count)
{
	uint32_t src[PIECE_PIXELS], dst[PIECE_PIXELS];
	bool inverts = rop->op < ROP_BLACKNESS;
	uint32_t src_flip = inverts && rop->invert_source ? UINT32_MAX : 0;
	uint32_t dst_flip = inverts && rop->invert_dest ? UINT32_MAX : 0;
	uint32_t out_flip = inverts && rop->invert_result ? UINT32_MAX : 0;

	feed_words(feed, x, y, count, src);
	surface_load_words(canvas->target, (uint32_t)x, (uint32_t)y, count, dst);
	for (uint32_t i = 0; i < count; i++)
		if (canvas_mask_allows(canvas, x + (int32_t)i, y))
			dst[i] = combine(rop->op, src[i] ^ src_flip, dst[i] ^ dst_flip) ^ out_flip;
	surface_store_words(canvas->target, (uint32_t)x, (uint32_t)y, count, dst);
}

bool rop_is_plain(const struct rop *rop)
{
	return rop->op == ROP_PUT && rop->invert_source == rop->invert_result;
}

/* Whether the source's words are 32 bits that are copied as they are. */
static bool feed_words_fit(const struct feed *feed)
{
	if (feed->image)
		return feed->image->format == IMAGE_ARGB8888 ||
			(feed->image->format == IMAGE_XRGB8888 &&
				!(feed->image->flags & IMAGE_HIGH_BITS_SET));
	return surface_format_bits(feed->surface->format) == 32;
}

/* In pieces of a vector's size, which the compiler stores at once. */
static void fill_row(uint8_t *to, size_t bytes, uint32_t color)
{
	const uint32_t four[4] = { color, color, color, color };
	size_t i = 0;

	for (; i + sizeof(four) <= bytes; i += sizeof(four))
		memcpy(to + i, four, sizeof(four));
	memcpy(to + i, four, bytes - i);
}

/* Plain fills and copies: rows as they are. Answers whether it could. */
static bool draw_rect_fast(struct canvas *canvas, const struct feed *feed, const struct rect *r)
{
	struct surface *target = canvas->target;
	size_t row_bytes = 4 * (size_t)rect_width(r);

	if (surface_format_bits(target->format) != 32 || feed->repeat ||
		(!feed->solid && !feed_words_fit(feed)))
		return false;
	for (int32_t y = r->top; y < r->bottom; y++) {
		uint8_t *to = surface_row(target, (uint32_t)y) + 4 * (size_t)r->left;

		if (feed->solid) {
			fill_row(to, row_bytes, feed->color);
		} else {
			uint32_t sy = (uint32_t)(y + feed->shift.y);
			const uint8_t *row = feed->image
				? feed->image->data + (size_t)feed->image->stride * sy
				: surface_row(feed->surface, sy);

			memcpy(to, row + 4 * (size_t)(r->left + feed->shift.x), row_bytes);
		}
	}
	return true;
}

static void draw_rect(
	struct canvas *canvas, const struct feed *feed, const struct rop *rop, const struct rect *r)
{
	bool masked = canvas->mask && canvas->mask->image;

	if (rop_is_plain(rop) && !masked && draw_rect_fast(canvas, feed, r))
		return;
	for (int32_t y = r->top; y < r->bottom; y++)
		for (int32_t x = r->left; x < r->right; x += PIECE_PIXELS)
			draw_piece(
				canvas, feed, rop, x, y, (uint32_t)MIN(r->right - x, PIECE_PIXELS));
}

void canvas_draw_feed(struct canvas *canvas, const struct feed *feed, const struct rop *rop)
{
	uint32_t count = region_count(&canvas->region);

	for (uint32_t i = 0; i < count; i++) {
		struct rect r = region_rect(&canvas->region, i);

		draw_rect(canvas, feed, rop, &r);
	}
}

uint32_t canvas_draw_feed_rect(struct canvas *canvas, const struct feed *feed,
	const struct rop *rop, const struct rect *rect)
{
	uint32_t count = region_count(&canvas->region), low = 0, high = count, looks = 0;

	/* They run downwards in bands: the first one that ends below the rectangle's top. */
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (region_rect(&canvas->region, middle).bottom <= rect->top)
			low = middle + 1;
		else
			high = middle;
	}
	for (uint32_t i = low; i < count; i++, looks++) {
		struct rect r = region_rect(&canvas->region, i);

		if (r.top >= rect->bottom)
			break;
		r = rect_intersect(&r, rect);
		if (!rect_empty(&r))
			draw_rect(canvas, feed, rop, &r);
	}
	return looks;
}

static const struct rop rop_put = { .op = ROP_PUT };

static void draw_brush(struct canvas *canvas, const struct brush *brush, const struct rop *rop)
{
	struct feed feed;

	if (!feed_open_brush(&feed, canvas, brush))
		return;
	canvas_draw_feed(canvas, &feed, rop);
	feed_finish(&feed);
}

static void draw_fill(struct canvas *canvas)
{
	const struct draw *draw = canvas->draw;

	canvas->mask = &draw->fill.mask;
	draw_brush(canvas, &draw->fill.brush, &draw->fill.rop);
}

static bool draw_picture(struct canvas *canvas, const struct draw_source *source,
	const struct rect *area, enum scale_mode scale, const struct rop *rop)
{
	bool plain = rop_is_plain(rop), drawn;
	struct feed feed;

	if (!feed_open(&feed, canvas, source))
		return false;
	drawn = feed_place(&feed, canvas, area, scale, SCALE_FROM_AREA, !plain);
	if (drawn)
		canvas_draw_feed(canvas, &feed, rop);
	feed_finish(&feed);
	return drawn;
}

static void draw_copy(struct canvas *canvas)
{
	const struct draw *draw = canvas->draw;

	canvas->mask = &draw->copy.mask;
	draw_picture(
		canvas, &draw->copy.source, &draw->copy.area, draw->copy.scale, &draw->copy.rop);
}

/* The brush may be a pattern of the target itself: of the target with the picture on it. */
static void draw_opaque(struct canvas *canvas)
{
	const struct draw *draw = canvas->draw;

	canvas->mask = &draw->opaque.mask;
	if (draw_picture(
		    canvas, &draw->opaque.source, &draw->opaque.area, draw->opaque.scale, &rop_put))
		draw_brush(canvas, &draw->opaque.brush, &draw->opaque.rop);
}

/* One rectangle within the surface, rows in the order that reads each before it is overwritten. */
static void move_rect(struct surface *target, const struct rect *to, int32_t dx, int32_t dy)
{
	size_t pixel = surface_format_bits(target->format) / 8;
	size_t bytes = (size_t)rect_width(to) * pixel;

	for (int32_t i = 0; i < rect_height(to); i++) {
		int32_t y = dy > 0 ? to->top + i : to->bottom - 1 - i;

		memmove(surface_row(target, (uint32_t)y) + (size_t)to->left * pixel,
			surface_row(target, (uint32_t)(y + dy)) + (size_t)(to->left + dx) * pixel,
			bytes);
	}
}

static void draw_copy_bits(struct canvas *canvas)
{
	const struct draw *draw = canvas->draw;
	int32_t dx = draw->copy_bits.from.x - draw->box.left;
	int32_t dy = draw->copy_bits.from.y - draw->box.top;
	struct rect source = surface_bounds(canvas->target);
	struct feed feed;

	source = (struct rect){ source.left - dx, source.top - dy, source.right - dx,
		source.bottom - dy };
	region_intersect_rect(&canvas->region, &source);
	if (region_count(&canvas->region) == 1 &&
		surface_format_bits(canvas->target->format) >= 8) {
		struct rect to = region_rect(&canvas->region, 0);

		move_rect(canvas->target, &to, dx, dy);
		return;
	}
	if (region_empty(&canvas->region) || !feed_open_copy(&feed, canvas))
		return;
	feed.shift = (struct point){ dx, dy };
	canvas_draw_feed(canvas, &feed, &rop_put);
	feed_finish(&feed);
}

static bool point_in_reach(const struct point *p)
{
	return p->x >= -COORDINATE_MAX && p->x <= COORDINATE_MAX && p->y >= -COORDINATE_MAX &&
		p->y <= COORDINATE_MAX;
}

static bool rect_in_reach(const struct rect *r)
{
	return point_in_reach(&(struct point){ r->left, r->top }) &&
		point_in_reach(&(struct point){ r->right, r->bottom });
}

static bool picture_in_reach(const struct rect *area, const struct brush *brush)
{
	return rect_in_reach(area) && (!brush || point_in_reach(&brush->pattern_origin));
}

/* Coordinates so far out that sums of them might overflow draw nothing. */
static bool draw_in_reach(const struct draw *draw)
{
	if (!rect_in_reach(&draw->box))
		return false;
	switch (draw->type) {
	case DRAW_FILL:
		return point_in_reach(&draw->fill.brush.pattern_origin) &&
			point_in_reach(&draw->fill.mask.origin);
	case DRAW_COPY:
		return rect_in_reach(&draw->copy.area) && point_in_reach(&draw->copy.mask.origin);
	case DRAW_COPY_BITS: return point_in_reach(&draw->copy_bits.from);
	case DRAW_OPAQUE:
		return picture_in_reach(&draw->opaque.area, &draw->opaque.brush) &&
			point_in_reach(&draw->opaque.mask.origin);
	case DRAW_ROP3:
		return picture_in_reach(&draw->rop3.area, &draw->rop3.brush) &&
			point_in_reach(&draw->rop3.mask.origin);
	case DRAW_TRANSPARENT: return picture_in_reach(&draw->transparent.area, NULL);
	case DRAW_ALPHA_BLEND: return picture_in_reach(&draw->alpha_blend.area, NULL);
	case DRAW_COMPOSITE:
		return point_in_reach(&draw->composite.source_origin) &&
			point_in_reach(&draw->composite.mask_origin);
	case DRAW_STROKE: return point_in_reach(&draw->stroke.brush.pattern_origin);
	case DRAW_TEXT:
		return picture_in_reach(&draw->text.back_area, &draw->text.brush) &&
			point_in_reach(&draw->text.back_brush.pattern_origin);
	case DRAW_TYPES: break;
	}
	return false;
}

bool canvas_copies_picture(
	const struct surface *target, const struct draw *draw, struct point *origin)
{
	const struct image *image = draw->type == DRAW_COPY ? draw->copy.source.image : NULL;
	const struct rect *area = &draw->copy.area;
	struct rect bounds;

	if (!image || surface_format_bits(target->format) != 32 || draw->copy.mask.image ||
		!rop_is_plain(&draw->copy.rop) || !draw_in_reach(draw) ||
		(image->format != IMAGE_XRGB8888 && image->format != IMAGE_ARGB8888))
		return false;
	bounds = (struct rect){ 0, 0, (int32_t)image->width, (int32_t)image->height };
	*origin = (struct point){ area->left - draw->box.left, area->top - draw->box.top };
	return rect_contains(&bounds, area) && rect_width(area) == rect_width(&draw->box) &&
		rect_height(area) == rect_height(&draw->box);
}

static void draw_on(struct canvas *canvas)
{
	switch (canvas->draw->type) {
	case DRAW_FILL: draw_fill(canvas); break;
	case DRAW_COPY: draw_copy(canvas); break;
	case DRAW_COPY_BITS: draw_copy_bits(canvas); break;
	case DRAW_OPAQUE: draw_opaque(canvas); break;
	case DRAW_ROP3: canvas_draw_rop3(canvas); break;
	case DRAW_TRANSPARENT: canvas_draw_transparent(canvas); break;
	case DRAW_ALPHA_BLEND: canvas_draw_alpha_blend(canvas); break;
	case DRAW_COMPOSITE: canvas_draw_composite(canvas); break;
	case DRAW_STROKE: canvas_draw_stroke(canvas); break;
	case DRAW_TEXT: canvas_draw_text(canvas); break;
	case DRAW_TYPES: break;
	}
}

void canvas_draw(
	struct surface *target, const struct draw *draw, canvas_lookup_fn *lookup, void *opaque)
{
	struct rect bounds = surface_bounds(target);
	struct rect box = rect_intersect(&draw->box, &bounds);
	struct canvas canvas = {
		.target = target, .draw = draw, .lookup = lookup, .opaque = opaque
	};

	if (rect_empty(&box) || !draw_in_reach(draw))
		return;
	region_init_rect(&canvas.region, &box);
	if (draw->clipped)
		region_intersect(&canvas.region, &draw->clip);
	if (!region_empty(&canvas.region))
		draw_on(&canvas);
	region_finish(&canvas.region);
}

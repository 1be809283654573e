/* SPDX-License-Identifier: MIT */
/* Text: a string's glyphs make one stencil of coverage, through which the brush is drawn. */
#include "core/canvas_internal.h"
#include "core/util.h"

/* Coverage of a glyph's pixel, in the low eight bits; `row` counts from its lowest. The right half of
 * a byte keeps the left half above it: see add_glyph(). */
static uint32_t glyph_coverage(
	const struct text_string *string, const struct glyph *glyph, int32_t column, int32_t row)
{
	const uint8_t *bits = string->bits + glyph->offset +
		(size_t)glyph_row_bytes(string->depth, glyph->width) * (size_t)row;

	switch (string->depth) {
	case 1: return bits[column / 8] >> (7 - column % 8) & 1;
	/* Four bits are the high ones of eight, the low ones 0. */
	case 4: return column % 2 ? (uint32_t)bits[column / 2] << 4 : bits[column / 2] & 0xf0u;
	default: return bits[column];
	}
}

/* `area` is what the stencil covers. Where glyphs overlap the stronger one counts; but for the right
 * halves of bytes libspice's canvas compares before it drops the left half, and so do we. */
static void add_glyph(struct surface *stencil, const struct rect *area,
	const struct text_string *string, const struct glyph *glyph)
{
	struct rect box = glyph_box(glyph);
	struct rect seen = rect_intersect(&box, area);

	for (int32_t y = seen.top; y < seen.bottom; y++) {
		for (int32_t x = seen.left; x < seen.right; x++) {
			uint32_t sx = (uint32_t)(x - area->left), sy = (uint32_t)(y - area->top);
			uint32_t was,
				now = glyph_coverage(
					string, glyph, x - box.left, box.bottom - 1 - y);

			surface_load_words(stencil, sx, sy, 1, &was);
			if (now > was)
				surface_store_words(stencil, sx, sy, 1, &now);
		}
	}
}

static bool glyph_in_reach(const struct glyph *glyph)
{
	const struct point *points[] = { &glyph->position, &glyph->origin };

	for (size_t i = 0; i < ARRAY_SIZE(points); i++)
		if (points[i]->x < -(1 << 24) || points[i]->x > 1 << 24 ||
			points[i]->y < -(1 << 24) || points[i]->y > 1 << 24)
			return false;
	return true;
}

static bool make_stencil(
	struct surface **out, const struct text_string *string, const struct rect *area)
{
	if (surface_create(out, string->depth == 1 ? SURFACE_A1 : SURFACE_A8,
		    (uint32_t)rect_width(area), (uint32_t)rect_height(area)))
		return false;
	for (uint32_t i = 0; i < string->count; i++)
		if (glyph_in_reach(&string->glyphs[i]))
			add_glyph(*out, area, string, &string->glyphs[i]);
	return true;
}

/* The extents of all glyphs. */
static struct rect text_bounds(const struct text_string *string)
{
	struct rect all = { 0 };

	for (uint32_t i = 0; i < string->count; i++) {
		if (glyph_in_reach(&string->glyphs[i])) {
			struct rect box = glyph_box(&string->glyphs[i]);

			all = rect_union(&all, &box);
		}
	}
	return all;
}

/* A colour's part of a solid brush: eight bits of a word, or five on surfaces of 16 bits. */
static uint16_t color_part(uint32_t color, uint32_t bits, uint32_t part)
{
	uint32_t mask = (1u << bits) - 1;

	return (uint16_t)((color >> bits * part & mask) * 0xffff / mask);
}

static pixman_image_t *open_brush(struct canvas *canvas, struct feed *feed)
{
	const struct brush *brush = &canvas->draw->text.brush;
	uint32_t bits = surface_format_bits(canvas->target->format) == 16 ? 5 : 8;
	pixman_image_t *image;
	pixman_color_t color = { .red = color_part(brush->color, bits, 2),
		.green = color_part(brush->color, bits, 1),
		.blue = color_part(brush->color, bits, 0),
		.alpha = 0xffff };

	*feed = (struct feed){ 0 };
	if (brush->type == BRUSH_SOLID)
		return pixman_image_create_solid_fill(&color);
	if (brush->type != BRUSH_PATTERN || !feed_open(feed, canvas, &brush->pattern))
		return NULL;
	image = feed_pixman(feed, FEED_AS_TARGET);
	if (image)
		pixman_image_set_repeat(image, PIXMAN_REPEAT_NORMAL);
	return image;
}

/* A pattern's origin counts from the string's corner here, as in libspice's canvas. */
static void draw_string(struct canvas *canvas)
{
	struct rect bounds = text_bounds(&canvas->draw->text.string);
	struct rect region = region_extents(&canvas->region);
	struct rect area = rect_intersect(&bounds, &region);
	const struct point *origin = &canvas->draw->text.brush.pattern_origin;
	pixman_image_t *brush, *coverage = NULL, *target;
	struct surface *stencil = NULL;
	struct feed feed;

	if (rect_empty(&area))
		return;
	brush = open_brush(canvas, &feed);
	target = canvas_pixman(canvas, surface_format_pixman(canvas->target->format));
	if (brush && target && make_stencil(&stencil, &canvas->draw->text.string, &area))
		coverage = pixman_image_create_bits_no_clear(surface_format_pixman(stencil->format),
			(int)stencil->width, (int)stencil->height,
			(uint32_t *)(void *)stencil->data, stencil->stride);
	if (coverage) {
		pixman_image_composite32(PIXMAN_OP_OVER, brush, coverage, target,
			area.left - bounds.left - origin->x, area.top - bounds.top - origin->y, 0,
			0, area.left, area.top, rect_width(&area), rect_height(&area));
		pixman_image_unref(coverage);
	}
	if (brush)
		pixman_image_unref(brush);
	if (target)
		pixman_image_unref(target);
	surface_unref(stencil);
	feed_finish(&feed);
}

void canvas_draw_text(struct canvas *canvas)
{
	const struct draw *draw = canvas->draw;
	static const struct rop put = { .op = ROP_PUT };
	struct feed back;

	if (!rect_empty(&draw->text.back_area)) {
		if (!rop_is_plain(&draw->text.rop) ||
			!feed_open_brush(&back, canvas, &draw->text.back_brush))
			return;
		canvas_draw_feed_rect(canvas, &back, &put, &draw->text.back_area);
		feed_finish(&back);
	}
	draw_string(canvas);
}

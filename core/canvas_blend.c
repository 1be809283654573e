/* SPDX-License-Identifier: MIT */
/* Drawings that mix more than a source and a destination bit by bit: ROP3, colour keys, alpha. */
#include "core/canvas_internal.h"
#include "core/rop3.h"
#include "core/util.h"

/* ---- ROP3 ---- */

static void rop3_piece(struct canvas *canvas, const struct feed *source, const struct feed *brush,
	int32_t x, int32_t y, uint32_t count)
{
	uint32_t s[PIECE_PIXELS], p[PIECE_PIXELS], d[PIECE_PIXELS];

	feed_words(source, x, y, count, s);
	feed_words(brush, x, y, count, p);
	surface_load_words(canvas->target, (uint32_t)x, (uint32_t)y, count, d);
	for (uint32_t i = 0; i < count; i++)
		if (canvas_mask_allows(canvas, x + (int32_t)i, y))
			d[i] = rop3_word(canvas->draw->rop3.code, p[i], s[i], d[i]);
	surface_store_words(canvas->target, (uint32_t)x, (uint32_t)y, count, d);
}

void canvas_draw_rop3(struct canvas *canvas)
{
	const struct draw *draw = canvas->draw;
	struct feed source, brush;

	canvas->mask = &draw->rop3.mask;
	if (!feed_open(&source, canvas, &draw->rop3.source))
		return;
	if (!feed_open_brush(&brush, canvas, &draw->rop3.brush)) {
		feed_finish(&source);
		return;
	}
	if (feed_place(
		    &source, canvas, &draw->rop3.area, draw->rop3.scale, SCALE_FROM_ORIGIN, true)) {
		for (uint32_t i = 0; i < region_count(&canvas->region); i++) {
			struct rect r = region_rect(&canvas->region, i);

			for (int32_t y = r.top; y < r.bottom; y++)
				for (int32_t x = r.left; x < r.right; x += PIECE_PIXELS)
					rop3_piece(canvas, &source, &brush, x, y,
						(uint32_t)MIN(r.right - x, PIECE_PIXELS));
		}
	}
	feed_finish(&source);
	feed_finish(&brush);
}

/* ---- colour keys ---- */

static uint32_t key_mask(enum surface_format format)
{
	uint32_t bits = surface_format_bits(format);

	return bits == 32 ? 0xffffff : (1u << bits) - 1;
}

static uint32_t key_color(enum surface_format format, uint32_t rgb)
{
	switch (surface_format_bits(format)) {
	case 32: return rgb & 0xffffff;
	case 16: return surface_word_from_argb(format, rgb);
	default: return 0;
	}
}

static void keyed_piece(
	struct canvas *canvas, const struct feed *feed, int32_t x, int32_t y, uint32_t count)
{
	enum surface_format format = canvas->target->format;
	uint32_t key = key_color(format, canvas->draw->transparent.color);
	uint32_t mask = key_mask(format);
	uint32_t src[PIECE_PIXELS], dst[PIECE_PIXELS];

	feed_words(feed, x, y, count, src);
	surface_load_words(canvas->target, (uint32_t)x, (uint32_t)y, count, dst);
	for (uint32_t i = 0; i < count; i++)
		if ((src[i] & mask) != key)
			dst[i] = src[i];
	surface_store_words(canvas->target, (uint32_t)x, (uint32_t)y, count, dst);
}

void canvas_draw_transparent(struct canvas *canvas)
{
	const struct draw *draw = canvas->draw;
	struct feed feed;

	if (!feed_open(&feed, canvas, &draw->transparent.source))
		return;
	if (feed_place(
		    &feed, canvas, &draw->transparent.area, SCALE_NEAREST, SCALE_FROM_AREA, true)) {
		for (uint32_t i = 0; i < region_count(&canvas->region); i++) {
			struct rect r = region_rect(&canvas->region, i);

			for (int32_t y = r.top; y < r.bottom; y++)
				for (int32_t x = r.left; x < r.right; x += PIECE_PIXELS)
					keyed_piece(canvas, &feed, x, y,
						(uint32_t)MIN(r.right - x, PIECE_PIXELS));
		}
	}
	feed_finish(&feed);
}

/* ---- alpha ---- */

/* The target's format, its unused byte taken for alpha if that is asked. */
static pixman_format_code_t with_alpha(enum surface_format format, bool alpha)
{
	if (alpha && format == SURFACE_XRGB8888)
		return PIXMAN_a8r8g8b8;
	return surface_format_pixman(format);
}

static pixman_image_t *surface_pixman(const struct surface *s, pixman_format_code_t format)
{
	return pixman_image_create_bits_no_clear(
		format, (int)s->width, (int)s->height, (uint32_t *)(void *)s->data, s->stride);
}

/* The scale of a drawing from its area to its box, for the picture whole. */
static void set_area(pixman_image_t *source, const struct rect *area, const struct rect *box)
{
	pixman_transform_t transform;

	if (rect_width(area) == rect_width(box) && rect_height(area) == rect_height(box)) {
		pixman_transform_init_translate(&transform, pixman_int_to_fixed(area->left),
			pixman_int_to_fixed(area->top));
	} else {
		pixman_transform_init_scale(&transform,
			(pixman_fixed_t)(((int64_t)rect_width(area) << 16) / rect_width(box)),
			(pixman_fixed_t)(((int64_t)rect_height(area) << 16) / rect_height(box)));
		pixman_transform_translate(&transform, NULL, pixman_int_to_fixed(area->left),
			pixman_int_to_fixed(area->top));
	}
	pixman_image_set_transform(source, &transform);
	pixman_image_set_filter(source, PIXMAN_FILTER_NEAREST, NULL, 0);
	pixman_image_set_repeat(source, PIXMAN_REPEAT_NONE);
}

/* Composes what of the box lies in the region's extents; the images' clips do the rest. */
static void compose(struct canvas *canvas, pixman_op_t op, pixman_image_t *source,
	const struct point *source_at, pixman_image_t *mask, const struct point *mask_at,
	pixman_image_t *target)
{
	struct rect out = region_extents(&canvas->region);
	int32_t dx = out.left - canvas->draw->box.left, dy = out.top - canvas->draw->box.top;

	pixman_image_composite32(op, source, mask, target, source_at->x + dx, source_at->y + dy,
		mask_at->x + dx, mask_at->y + dy, out.left, out.top, rect_width(&out),
		rect_height(&out));
}

static void unref(pixman_image_t *image)
{
	if (image)
		pixman_image_unref(image);
}

void canvas_draw_alpha_blend(struct canvas *canvas)
{
	const struct draw *draw = canvas->draw;
	const struct rect *area = &draw->alpha_blend.area;
	pixman_color_t alpha = { .alpha = (uint16_t)(draw->alpha_blend.alpha * 0x101) };
	pixman_image_t *source, *target, *mask = NULL;
	struct point zero = { 0, 0 };
	struct feed feed;

	if (draw->alpha_blend.alpha == 0 || rect_empty(area) ||
		!feed_open(&feed, canvas, &draw->alpha_blend.source))
		return;
	source = feed.image
		? feed_pixman(&feed, FEED_AS_IS)
		: surface_pixman(feed.surface,
			  with_alpha(feed.surface->format, draw->alpha_blend.source_has_alpha));
	target = canvas_pixman(
		canvas, with_alpha(canvas->target->format, draw->alpha_blend.dest_has_alpha));
	if (draw->alpha_blend.alpha != 0xff)
		mask = pixman_image_create_solid_fill(&alpha);
	if (source && target && (mask || draw->alpha_blend.alpha == 0xff)) {
		set_area(source, area, &draw->box);
		compose(canvas, PIXMAN_OP_OVER, source, &zero, mask, &zero, target);
	}
	unref(mask);
	unref(target);
	unref(source);
	feed_finish(&feed);
}

/* ---- composition ---- */

static pixman_image_t *open_sampled(struct canvas *canvas, struct feed *feed,
	const struct draw_source *source, const struct draw_sampling *sampling, bool opaque)
{
	pixman_transform_t transform = { .matrix = { { 0 }, { 0 }, { 0, 0, pixman_fixed_1 } } };
	pixman_image_t *image;

	if (!feed_open(feed, canvas, source))
		return NULL;
	if (!feed->image && opaque && feed->surface->format == SURFACE_ARGB8888)
		image = surface_pixman(feed->surface, PIXMAN_x8r8g8b8);
	else
		image = feed_pixman(feed, FEED_AS_TARGET);
	if (!image)
		return NULL;
	if (sampling->transformed) {
		for (int i = 0; i < 2; i++)
			for (int j = 0; j < 3; j++)
				transform.matrix[i][j] = sampling->matrix[i][j];
		pixman_image_set_transform(image, &transform);
	}
	pixman_image_set_filter(image, sampling->filter, NULL, 0);
	pixman_image_set_repeat(image, sampling->repeat);
	return image;
}

void canvas_draw_composite(struct canvas *canvas)
{
	const struct draw *draw = canvas->draw;
	pixman_image_t *source, *target, *mask = NULL;
	struct feed feed = { 0 }, mask_feed = { 0 };

	if (!composite_op_valid(draw->composite.op) ||
		!draw_sampling_valid(&draw->composite.source_sampling) ||
		!draw_sampling_valid(&draw->composite.mask_sampling))
		return;
	source = open_sampled(canvas, &feed, &draw->composite.source,
		&draw->composite.source_sampling, draw->composite.source_opaque);
	if (draw->composite.has_mask) {
		mask = open_sampled(canvas, &mask_feed, &draw->composite.mask,
			&draw->composite.mask_sampling, false);
		if (mask)
			pixman_image_set_component_alpha(mask, draw->composite.component_alpha);
	}
	target = canvas_pixman(canvas, surface_format_pixman(canvas->target->format));
	if (source && target && (mask || !draw->composite.has_mask))
		compose(canvas, draw->composite.op, source, &draw->composite.source_origin, mask,
			&draw->composite.mask_origin, target);
	unref(target);
	unref(mask);
	unref(source);
	feed_finish(&mask_feed);
	feed_finish(&feed);
}

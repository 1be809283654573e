/* SPDX-License-Identifier: MIT */
/*
 * Where the canvas's pixels come from: brushes, pictures and surfaces, as words of the target's
 * format or as pixman sees them.
 *
 * A word that goes from one 32-bit format to another is taken as it is, its fourth byte too: that is
 * what libspice's canvas does, and what viewers then have in their surfaces with alpha.
 */
#include <stdlib.h>
#include <string.h>

#include "core/canvas_internal.h"
#include "core/util.h"

void feed_finish(struct feed *feed)
{
	surface_unref(feed->owned);
}

struct rect feed_bounds(const struct feed *feed)
{
	if (feed->image)
		return (struct rect){ 0, 0, (int32_t)feed->image->width,
			(int32_t)feed->image->height };
	return surface_bounds(feed->surface);
}

static uint32_t wrap(int64_t v, uint32_t size)
{
	int64_t r = v % (int64_t)size;

	return (uint32_t)(r < 0 ? r + (int64_t)size : r);
}

static void image_words(
	const struct feed *feed, uint32_t x, uint32_t y, uint32_t count, uint32_t *words)
{
	const struct image *image = feed->image;
	uint32_t high = image->flags & IMAGE_HIGH_BITS_SET ? 0xff000000u : 0;
	/* Those that libspice's canvas lets pixman convert have their alpha, others have none. */
	uint32_t kept = image->format == IMAGE_A8 || image->format == IMAGE_XRGB1555 ? UINT32_MAX
										     : 0xffffff;

	if (surface_format_bits(feed->format) != 32) {
		image_row_to_argb(image, x, y, count, words);
		for (uint32_t i = 0; i < count; i++)
			words[i] = surface_word_from_argb(feed->format, words[i]);
		return;
	}
	if (image->format == IMAGE_ARGB8888 || image->format == IMAGE_XRGB8888) {
		memcpy(words, image->data + (size_t)image->stride * y + 4 * (size_t)x,
			4 * (size_t)count);
		for (uint32_t i = 0; i < count && image->format == IMAGE_XRGB8888; i++)
			words[i] |= high;
		return;
	}
	image_row_to_argb(image, x, y, count, words);
	for (uint32_t i = 0; i < count; i++)
		words[i] = (words[i] & kept) | high;
}

/* Words in the target's format from inside one row of the source. */
static void feed_row(
	const struct feed *feed, uint32_t x, uint32_t y, uint32_t count, uint32_t *words)
{
	enum surface_format from;

	if (feed->image) {
		image_words(feed, x, y, count, words);
		return;
	}
	from = feed->surface->format;
	surface_load_words(feed->surface, x, y, count, words);
	if (from == feed->format ||
		(surface_format_bits(from) == 32 && surface_format_bits(feed->format) == 32))
		return;
	for (uint32_t i = 0; i < count; i++)
		words[i] =
			surface_word_from_argb(feed->format, surface_word_to_argb(from, words[i]));
}

void feed_words(const struct feed *feed, int32_t x, int32_t y, uint32_t count, uint32_t *words)
{
	uint32_t width, height;
	struct rect bounds;

	if (feed->solid) {
		for (uint32_t i = 0; i < count; i++)
			words[i] = feed->color;
		return;
	}
	if (!feed->repeat) {
		feed_row(feed, (uint32_t)(x + feed->shift.x), (uint32_t)(y + feed->shift.y), count,
			words);
		return;
	}
	bounds = feed_bounds(feed);
	width = (uint32_t)bounds.right;
	height = (uint32_t)bounds.bottom;
	for (uint32_t done = 0; done < count;) {
		uint32_t sx = wrap((int64_t)x + done + feed->shift.x, width);
		uint32_t sy = wrap((int64_t)y + feed->shift.y, height);
		uint32_t part = MIN(count - done, width - sx);

		feed_row(feed, sx, sy, part, words + done);
		done += part;
	}
}

/* ---- finding ---- */

bool feed_open_copy(struct feed *feed, struct canvas *canvas)
{
	struct surface *target = canvas->target;
	struct rect all = surface_bounds(target);

	*feed = (struct feed){ .format = target->format };
	if (surface_create(&feed->owned, target->format, target->width, target->height))
		return false;
	surface_copy(feed->owned, 0, 0, target, &all);
	feed->surface = feed->owned;
	return true;
}

bool feed_open(struct feed *feed, struct canvas *canvas, const struct draw_source *source)
{
	struct surface *surface;

	*feed = (struct feed){ .format = canvas->target->format, .image = source->image };
	if (source->image)
		return true;
	surface = canvas->lookup ? canvas->lookup(canvas->opaque, source->surface_id) : NULL;
	if (surface == canvas->target)
		return feed_open_copy(feed, canvas);
	feed->surface = surface;
	return surface != NULL;
}

bool feed_open_brush(struct feed *feed, struct canvas *canvas, const struct brush *brush)
{
	if (brush->type == BRUSH_PATTERN) {
		if (!feed_open(feed, canvas, &brush->pattern))
			return false;
		feed->repeat = true;
		feed->shift = (struct point){ -brush->pattern_origin.x, -brush->pattern_origin.y };
		return true;
	}
	*feed = (struct feed){ .format = canvas->target->format,
		.solid = true,
		.color = brush->type == BRUSH_SOLID ? brush->color : 0 };
	return true;
}

/* ---- as pixman images ---- */

static pixman_image_t *pixman_new(pixman_format_code_t format, const struct rect *size)
{
	return pixman_image_create_bits(format, rect_width(size), rect_height(size), NULL, 0);
}

/* True colour without a copy: what pixman calls the format, or 0. */
static pixman_format_code_t image_pixman_format(enum image_format format)
{
	switch (format) {
	case IMAGE_XRGB8888: return PIXMAN_x8r8g8b8;
	case IMAGE_ARGB8888: return PIXMAN_a8r8g8b8;
	case IMAGE_XRGB1555: return PIXMAN_x1r5g5b5;
	case IMAGE_A8: return PIXMAN_a8;
	default: return (pixman_format_code_t)0;
	}
}

static pixman_format_code_t target_format(const struct feed *feed)
{
	bool alpha = feed->image && feed->image->format == IMAGE_ARGB8888;

	if (surface_format_bits(feed->format) == 32)
		return alpha ? PIXMAN_a8r8g8b8 : PIXMAN_x8r8g8b8;
	return surface_format_pixman(feed->format);
}

static void store_row(pixman_image_t *image, int32_t y, uint32_t width, const uint32_t *words)
{
	struct surface view = { .width = width,
		.height = 1,
		.stride = pixman_image_get_stride(image),
		.data = (uint8_t *)pixman_image_get_data(image) };

	switch (PIXMAN_FORMAT_BPP(pixman_image_get_format(image))) {
	case 32: view.format = SURFACE_XRGB8888; break;
	case 16: view.format = SURFACE_RGB565; break;
	case 8: view.format = SURFACE_A8; break;
	default: view.format = SURFACE_A1; break;
	}
	view.data += (ptrdiff_t)view.stride * y;
	surface_store_words(&view, 0, 0, width, words);
}

/* A copy of the image in the words of `feed`. */
static pixman_image_t *feed_converted(const struct feed *feed, pixman_format_code_t format)
{
	struct rect bounds = feed_bounds(feed);
	uint32_t width = (uint32_t)bounds.right;
	uint32_t *words = malloc(4 * (size_t)width);
	pixman_image_t *image = pixman_new(format, &bounds);

	for (int32_t y = 0; words && image && y < bounds.bottom; y++) {
		feed_row(feed, 0, (uint32_t)y, width, words);
		store_row(image, y, width, words);
	}
	if (!words && image) {
		pixman_image_unref(image);
		image = NULL;
	}
	free(words);
	return image;
}

pixman_image_t *feed_pixman(const struct feed *feed, enum feed_view view)
{
	const struct image *image = feed->image;
	pixman_format_code_t format;
	struct feed wide = *feed;

	if (!image)
		return pixman_image_create_bits_no_clear(
			surface_format_pixman(feed->surface->format), (int)feed->surface->width,
			(int)feed->surface->height, (uint32_t *)(void *)feed->surface->data,
			feed->surface->stride);
	format = image_pixman_format(image->format);
	if (format && (view == FEED_AS_IS || format == target_format(feed)) &&
		!(image->flags & IMAGE_HIGH_BITS_SET && format == PIXMAN_x8r8g8b8))
		return pixman_image_create_bits_no_clear(format, (int)image->width,
			(int)image->height, (uint32_t *)(void *)image->data, (int)image->stride);
	if (view == FEED_AS_IS && (image->format == IMAGE_BGR24 || format)) {
		wide.format = SURFACE_XRGB8888;
		return feed_converted(&wide, PIXMAN_x8r8g8b8);
	}
	/* The colours of a palette are words of the target, the fourth byte (none) included. */
	if (view == FEED_AS_IS && feed->format == SURFACE_ARGB8888) {
		struct image bare = *image;

		bare.flags = 0;
		wide.image = &bare;
		return feed_converted(&wide, PIXMAN_a8r8g8b8);
	}
	return feed_converted(feed, target_format(feed));
}

pixman_image_t *canvas_pixman(struct canvas *canvas, pixman_format_code_t format)
{
	struct surface *target = canvas->target;
	pixman_image_t *image = pixman_image_create_bits_no_clear(format, (int)target->width,
		(int)target->height, (uint32_t *)(void *)target->data, target->stride);

	if (image)
		pixman_image_set_clip_region32(image, &canvas->region.pixman);
	return image;
}

/* ---- placing and scaling ---- */

static int32_t round_down(double v)
{
	int32_t i = (int32_t)v;

	return i > v ? i - 1 : i;
}

/* Sets the transform; answers the source position of the box's corner. */
static struct point set_scale(pixman_image_t *source, const struct canvas *canvas,
	const struct rect *area, enum scale_rule rule)
{
	const struct rect *box = &canvas->draw->box;
	pixman_transform_t transform;
	double sx, sy;

	if (rule == SCALE_FROM_ORIGIN) {
		sx = (double)rect_width(area) / rect_width(box);
		sy = (double)rect_height(area) / rect_height(box);
		pixman_transform_init_scale(
			&transform, pixman_double_to_fixed(sx), pixman_double_to_fixed(sy));
		pixman_image_set_transform(source, &transform);
		return (struct point){ round_down(area->left / sx + 0.5),
			round_down(area->top / sy + 0.5) };
	}
	pixman_transform_init_scale(&transform,
		(pixman_fixed_t)(((int64_t)rect_width(area) << 16) / rect_width(box)),
		(pixman_fixed_t)(((int64_t)rect_height(area) << 16) / rect_height(box)));
	pixman_transform_translate(
		&transform, NULL, pixman_int_to_fixed(area->left), pixman_int_to_fixed(area->top));
	pixman_image_set_transform(source, &transform);
	return (struct point){ 0, 0 };
}

static enum surface_format surface_format_like(pixman_format_code_t format)
{
	switch (format) {
	case PIXMAN_a8r8g8b8: return SURFACE_ARGB8888;
	case PIXMAN_r5g6b5: return SURFACE_RGB565;
	case PIXMAN_x1r5g5b5: return SURFACE_XRGB1555;
	case PIXMAN_a8: return SURFACE_A8;
	case PIXMAN_a1: return SURFACE_A1;
	default: return SURFACE_XRGB8888;
	}
}

/* Replaces the feed by its area scaled to the drawing's box, of which only the part that shows is
 * made. Scaled words of the source's format are the target's words as they are (`raw`), or pixman
 * converts them. */
static bool feed_scale(struct feed *feed, struct canvas *canvas, const struct rect *area,
	enum scale_mode mode, enum scale_rule rule, bool raw)
{
	struct rect bounds = feed_bounds(feed), out = region_extents(&canvas->region);
	const struct rect *box = &canvas->draw->box;
	pixman_image_t *source, *scaled = NULL;
	struct surface *made = NULL;
	enum surface_format format;
	struct point at;

	if (!rect_contains(&bounds, area) || rect_empty(&out))
		return false;
	source = feed_pixman(feed, FEED_AS_TARGET);
	if (!source)
		return false;
	format = raw ? surface_format_like(pixman_image_get_format(source)) : feed->format;
	if (!surface_create(&made, format, (uint32_t)rect_width(&out), (uint32_t)rect_height(&out)))
		scaled = pixman_image_create_bits_no_clear(surface_format_pixman(format),
			(int)made->width, (int)made->height, (uint32_t *)(void *)made->data,
			made->stride);
	if (scaled) {
		at = set_scale(source, canvas, area, rule);
		pixman_image_set_repeat(source, PIXMAN_REPEAT_NONE);
		pixman_image_set_filter(source,
			mode == SCALE_NEAREST ? PIXMAN_FILTER_NEAREST : PIXMAN_FILTER_GOOD, NULL,
			0);
		pixman_image_composite32(PIXMAN_OP_SRC, source, NULL, scaled,
			at.x + out.left - box->left, at.y + out.top - box->top, 0, 0, 0, 0,
			(int)made->width, (int)made->height);
		pixman_image_unref(scaled);
	}
	pixman_image_unref(source);
	feed_finish(feed);
	*feed = (struct feed){ .format = canvas->target->format,
		.surface = made,
		.owned = made,
		.shift = { -out.left, -out.top } };
	return scaled != NULL;
}

bool feed_place(struct feed *feed, struct canvas *canvas, const struct rect *area,
	enum scale_mode mode, enum scale_rule rule, bool raw)
{
	const struct rect *box = &canvas->draw->box;
	struct rect bounds;

	if (rect_empty(area) || rect_empty(box))
		return false;
	feed->shift = (struct point){ area->left - box->left, area->top - box->top };
	if ((rect_width(area) != rect_width(box) || rect_height(area) != rect_height(box)) &&
		!feed_scale(feed, canvas, area, mode, rule, raw))
		return false;
	bounds = feed_bounds(feed);
	bounds = (struct rect){ bounds.left - feed->shift.x, bounds.top - feed->shift.y,
		bounds.right - feed->shift.x, bounds.bottom - feed->shift.y };
	region_intersect_rect(&canvas->region, &bounds);
	return true;
}

/* SPDX-License-Identifier: MIT */
/*
 * The software canvas. The common drawings (plain fills and copies) move whole rows; all others go
 * through words of the target's own format, a piece of a row at a time.
 */
#include "core/canvas.h"

#include <stdlib.h>
#include <string.h>

#include "core/util.h"

#define PIECE_PIXELS   512
#define COORDINATE_MAX (1 << 24)

struct canvas {
	struct surface *target;
	const struct draw *draw;
	canvas_lookup_fn *lookup;
	void *opaque;
	struct region region; /* the target's pixels that may change */
};

/* Where words for the target come from, in target coordinates. */
struct feed {
	enum surface_format format;
	bool solid;
	uint32_t color;
	const struct image *image; /* this, */
	const struct surface *surface; /* or this */
	struct point shift; /* source = target + shift */
	bool repeat;
	struct image *owned_image; /* made for this drawing */
	struct surface *owned_surface;
};

static void feed_finish(struct feed *feed)
{
	image_unref(feed->owned_image);
	surface_unref(feed->owned_surface);
}

static uint32_t feed_width(const struct feed *feed)
{
	return feed->image ? feed->image->width : feed->surface->width;
}

static uint32_t feed_height(const struct feed *feed)
{
	return feed->image ? feed->image->height : feed->surface->height;
}

static struct rect feed_bounds(const struct feed *feed)
{
	return (struct rect){ 0, 0, (int32_t)feed_width(feed), (int32_t)feed_height(feed) };
}

static uint32_t wrap(int64_t v, uint32_t size)
{
	int64_t r = v % (int64_t)size;

	return (uint32_t)(r < 0 ? r + (int64_t)size : r);
}

/* Words in the target's format from inside one row of the source. */
static void feed_row(
	const struct feed *feed, uint32_t x, uint32_t y, uint32_t count, uint32_t *words)
{
	enum surface_format from = SURFACE_ARGB8888;

	if (feed->image) {
		image_row_to_argb(feed->image, x, y, count, words);
	} else {
		surface_load_words(feed->surface, x, y, count, words);
		from = feed->surface->format;
	}
	if (from == feed->format)
		return;
	for (uint32_t i = 0; i < count; i++)
		words[i] =
			surface_word_from_argb(feed->format, surface_word_to_argb(from, words[i]));
}

/* The words for target pixels (x, y) and on; the caller has clipped to the source unless it
 * repeats. */
static void feed_words(
	const struct feed *feed, int32_t x, int32_t y, uint32_t count, uint32_t *words)
{
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
	for (uint32_t done = 0; done < count;) {
		uint32_t sx = wrap((int64_t)x + done + feed->shift.x, feed_width(feed));
		uint32_t sy = wrap((int64_t)y + feed->shift.y, feed_height(feed));
		uint32_t part = MIN(count - done, feed_width(feed) - sx);

		feed_row(feed, sx, sy, part, words + done);
		done += part;
	}
}

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

static bool mask_allows(const struct draw_mask *mask, const struct rect *box, int32_t x, int32_t y)
{
	int64_t mx = (int64_t)x - box->left + mask->origin.x;
	int64_t my = (int64_t)y - box->top + mask->origin.y;

	if (mx < 0 || my < 0 || mx >= mask->image->width || my >= mask->image->height)
		return false;
	return (image_index_at(mask->image, (uint32_t)mx, (uint32_t)my) != 0) != mask->invert;
}

static void draw_piece(struct canvas *canvas, const struct feed *feed, const struct rop *rop,
	const struct draw_mask *mask, int32_t x, int32_t y, uint32_t count)
{
	uint32_t src[PIECE_PIXELS], dst[PIECE_PIXELS];
	uint32_t src_flip = rop->invert_source ? UINT32_MAX : 0;
	uint32_t dst_flip = rop->invert_dest ? UINT32_MAX : 0;
	uint32_t out_flip = rop->invert_result ? UINT32_MAX : 0;

	feed_words(feed, x, y, count, src);
	surface_load_words(canvas->target, (uint32_t)x, (uint32_t)y, count, dst);
	for (uint32_t i = 0; i < count; i++)
		if (!mask->image || mask_allows(mask, &canvas->draw->box, x + (int32_t)i, y))
			dst[i] = combine(rop->op, src[i] ^ src_flip, dst[i] ^ dst_flip) ^ out_flip;
	surface_store_words(canvas->target, (uint32_t)x, (uint32_t)y, count, dst);
}

static bool rop_is_plain(const struct rop *rop)
{
	return rop->op == ROP_PUT && !rop->invert_source && !rop->invert_result;
}

/* Whether the source's 32-bit words are the target's as they are: what has no alpha must not bring
 * its unused byte into what has. */
static bool feed_words_fit(const struct feed *feed)
{
	bool alpha = feed->image ? feed->image->format == IMAGE_ARGB8888
				 : feed->surface->format == SURFACE_ARGB8888;
	bool plain = feed->image ? feed->image->format == IMAGE_XRGB8888
				 : feed->surface->format == SURFACE_XRGB8888;

	return alpha || (plain && feed->format == SURFACE_XRGB8888);
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
			for (size_t i = 0; i < row_bytes; i += 4)
				memcpy(to + i, &feed->color, 4);
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

static void draw_region(struct canvas *canvas, const struct feed *feed, const struct rop *rop,
	const struct draw_mask *mask)
{
	uint32_t count = region_count(&canvas->region);

	for (uint32_t i = 0; i < count; i++) {
		struct rect r = region_rect(&canvas->region, i);

		if (rop_is_plain(rop) && !mask->image && draw_rect_fast(canvas, feed, &r))
			continue;
		for (int32_t y = r.top; y < r.bottom; y++)
			for (int32_t x = r.left; x < r.right; x += PIECE_PIXELS)
				draw_piece(canvas, feed, rop, mask, x, y,
					(uint32_t)MIN(r.right - x, PIECE_PIXELS));
	}
}

/* Reads from a copy of the target as it is now, for what is drawn from itself. */
static bool feed_open_copy(struct feed *feed, struct canvas *canvas)
{
	struct surface *target = canvas->target;
	struct rect all = surface_bounds(target);

	*feed = (struct feed){ .format = target->format };
	if (surface_create(&feed->owned_surface, target->format, target->width, target->height))
		return false;
	surface_copy(feed->owned_surface, 0, 0, target, &all);
	feed->surface = feed->owned_surface;
	return true;
}

/* Finds what `source` names. */
static bool feed_open(struct feed *feed, struct canvas *canvas, const struct draw_source *source)
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

static void draw_fill(struct canvas *canvas)
{
	const struct draw *draw = canvas->draw;
	const struct brush *brush = &draw->fill.brush;
	struct feed feed = {
		.format = canvas->target->format, .solid = true, .color = brush->color
	};

	if (brush->type == BRUSH_NONE)
		return;
	if (brush->type == BRUSH_PATTERN) {
		if (!feed_open(&feed, canvas, &brush->pattern))
			return;
		feed.repeat = true;
		feed.shift = (struct point){ -brush->pattern_origin.x, -brush->pattern_origin.y };
	}
	draw_region(canvas, &feed, &draw->fill.rop, &draw->fill.mask);
	feed_finish(&feed);
}

static void destroy_pixman_words(pixman_image_t *image, void *words)
{
	free(words);
}

/* The source's area as a pixman image of ARGB words. */
static pixman_image_t *feed_area(const struct feed *feed, const struct rect *area)
{
	uint32_t width = (uint32_t)rect_width(area), height = (uint32_t)rect_height(area);
	uint32_t *words = malloc((size_t)width * height * 4);
	struct feed argb = *feed;
	pixman_image_t *image;

	if (!words)
		return NULL;
	argb.format = SURFACE_ARGB8888;
	for (uint32_t y = 0; y < height; y++)
		feed_row(&argb, (uint32_t)area->left, (uint32_t)area->top + y, width,
			words + (size_t)y * width);
	image = pixman_image_create_bits_no_clear(
		PIXMAN_a8r8g8b8, (int)width, (int)height, words, (int)width * 4);
	if (image)
		pixman_image_set_destroy_function(image, destroy_pixman_words, words);
	else
		free(words);
	return image;
}

/* Replaces the feed by its area scaled to the drawing's box, of which only the part that shows is
 * made. */
static bool feed_scale(struct feed *feed, struct canvas *canvas)
{
	const struct draw *draw = canvas->draw;
	struct rect bounds = feed_bounds(feed);
	struct rect out = region_extents(&canvas->region);
	pixman_image_t *source, *scaled;
	pixman_transform_t transform;
	struct image *image = NULL;

	if (!rect_contains(&bounds, &draw->copy.area) || rect_empty(&out) ||
		image_create(&image, IMAGE_ARGB8888, (uint32_t)rect_width(&out),
			(uint32_t)rect_height(&out)))
		return false;
	source = feed_area(feed, &draw->copy.area);
	scaled = pixman_image_create_bits_no_clear(PIXMAN_a8r8g8b8, (int)image->width,
		(int)image->height, (uint32_t *)(void *)image->data, (int)image->stride);
	if (source && scaled) {
		pixman_transform_init_scale(&transform,
			pixman_double_to_fixed(
				(double)rect_width(&draw->copy.area) / rect_width(&draw->box)),
			pixman_double_to_fixed(
				(double)rect_height(&draw->copy.area) / rect_height(&draw->box)));
		pixman_image_set_transform(source, &transform);
		pixman_image_set_repeat(source, PIXMAN_REPEAT_PAD);
		pixman_image_set_filter(source,
			draw->copy.scale == SCALE_NEAREST ? PIXMAN_FILTER_NEAREST
							  : PIXMAN_FILTER_BILINEAR,
			NULL, 0);
		pixman_image_composite32(PIXMAN_OP_SRC, source, NULL, scaled,
			out.left - draw->box.left, out.top - draw->box.top, 0, 0, 0, 0,
			(int)image->width, (int)image->height);
	}
	if (source)
		pixman_image_unref(source);
	if (scaled)
		pixman_image_unref(scaled);
	feed_finish(feed);
	*feed = (struct feed){ .format = canvas->target->format,
		.image = image,
		.owned_image = image,
		.shift = { -out.left, -out.top } };
	return source && scaled;
}

static void draw_copy(struct canvas *canvas)
{
	const struct draw *draw = canvas->draw;
	const struct rect *area = &draw->copy.area;
	struct rect bounds;
	struct feed feed;

	if (rect_empty(area) || !feed_open(&feed, canvas, &draw->copy.source))
		return;
	feed.shift = (struct point){ area->left - draw->box.left, area->top - draw->box.top };
	if (rect_width(area) != rect_width(&draw->box) ||
		rect_height(area) != rect_height(&draw->box)) {
		if (!feed_scale(&feed, canvas))
			goto out;
	}
	bounds = feed_bounds(&feed);
	bounds = (struct rect){ bounds.left - feed.shift.x, bounds.top - feed.shift.y,
		bounds.right - feed.shift.x, bounds.bottom - feed.shift.y };
	region_intersect_rect(&canvas->region, &bounds);
	draw_region(canvas, &feed, &draw->copy.rop, &draw->copy.mask);
out:
	feed_finish(&feed);
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
	static const struct rop put = { .op = ROP_PUT };
	static const struct draw_mask no_mask = { .image = NULL };
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
	draw_region(canvas, &feed, &put, &no_mask);
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
	}
	return false;
}

void canvas_draw(
	struct surface *target, const struct draw *draw, canvas_lookup_fn *lookup, void *opaque)
{
	struct rect bounds = surface_bounds(target);
	struct rect box = rect_intersect(&draw->box, &bounds);
	struct canvas canvas = {
		.target = target, .draw = draw, .lookup = lookup, .opaque = opaque
	};

	if (!draw_in_reach(draw))
		return;
	region_init_rect(&canvas.region, &box);
	if (draw->clipped)
		region_intersect(&canvas.region, &draw->clip);
	switch (draw->type) {
	case DRAW_FILL: draw_fill(&canvas); break;
	case DRAW_COPY: draw_copy(&canvas); break;
	case DRAW_COPY_BITS: draw_copy_bits(&canvas); break;
	}
	region_finish(&canvas.region);
}

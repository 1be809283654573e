/* SPDX-License-Identifier: MIT */
/* Random drawings of every kind. */
#include "tests/channels/server_random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/util.h"

uint32_t random_below(struct random_device *device, uint32_t end)
{
	device->seed = device->seed * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)(device->seed >> 4) * end >> 28);
}

static int32_t between(struct random_device *d, int32_t from, int32_t to)
{
	return from + (int32_t)random_below(d, (uint32_t)(to - from + 1));
}

static struct point random_point(struct random_device *d, int32_t from, int32_t to)
{
	struct point p;

	p.x = between(d, from, to);
	p.y = between(d, from, to);
	return p;
}

/* ---- pictures ---- */

static void premultiply(uint8_t *pixels, size_t count)
{
	for (uint8_t *p = pixels; count > 0; count--, p += 4)
		for (int i = 0; i < 3; i++)
			p[i] = (uint8_t)(p[i] * p[3] / 255);
}

/* Colours that flow, a little noisy. */
static void paint_photograph(struct random_device *d, struct image *image)
{
	for (uint32_t y = 0; y < image->height; y++) {
		uint32_t *row = (uint32_t *)(void *)(image->data + (size_t)y * image->stride);

		for (uint32_t x = 0; x < image->width; x++)
			row[x] = 0xff000000u | (60 + x + random_below(d, 5)) % 256 << 16 |
				(40 + y + random_below(d, 5)) % 256 << 8 |
				(30 + (x + y) / 2 + random_below(d, 5)) % 256;
	}
}

/* Noise in the upper half, few colours below; now and then a photograph. */
static struct image *random_image(
	struct random_device *d, enum image_format format, uint32_t w, uint32_t h)
{
	uint32_t step = 1 + random_below(d, 5);
	struct image *image;

	assert_int_equal(image_create(&image, format, w, h), 0);
	for (size_t i = 0; i < (size_t)image->stride * h; i++)
		image->data[i] = (uint8_t)(i < (size_t)image->stride * h / 2 ? random_below(d, 256)
									     : i / 16 * step);
	if ((format == IMAGE_XRGB8888 || format == IMAGE_ARGB8888) && w * h > 64 * 64 &&
		random_below(d, 2))
		paint_photograph(d, image);
	else if (format == IMAGE_ARGB8888)
		premultiply(image->data, (size_t)(image->stride / 4) * h);
	for (uint32_t i = 0; i < image_format_palette(format); i++)
		image->palette[i] = random_below(d, 1u << 24);
	if (random_below(d, 8) == 0)
		image->flags = IMAGE_HIGH_BITS_SET;
	if (random_below(d, 4) == 0)
		image->flags |= IMAGE_CACHE_ME;
	image->id = ++d->image_id;
	return image;
}

/* One that was drawn before, if it is large enough; else a new one, which is kept. */
static struct image *kept_image(
	struct random_device *d, enum image_format format, uint32_t w, uint32_t h)
{
	struct image **slot = &d->kept[random_below(d, RANDOM_KEPT)];

	if (!*slot || (*slot)->width < w || (*slot)->height < h || random_below(d, 20) == 0) {
		image_unref(*slot);
		*slot = random_image(d, format, MAX(w, 40), MAX(h, 40));
		(*slot)->flags |= IMAGE_CACHE_ME;
	}
	return image_ref(*slot);
}

static struct draw_source random_source(
	struct random_device *d, const struct draw *draw, uint32_t w, uint32_t h)
{
	static const enum image_format formats[] = { IMAGE_XRGB8888, IMAGE_ARGB8888, IMAGE_BGR24,
		IMAGE_8BIT, IMAGE_XRGB1555, IMAGE_A8, IMAGE_1BIT_BE, IMAGE_4BIT_BE };
	enum surface_format target = d->surfaces[draw->surface_id]->format;
	enum image_format format = formats[random_below(d, random_below(d, 2) ? 2 : 8)];
	uint32_t id = random_below(d, RANDOM_SURFACES);

	if (target == SURFACE_A8 && random_below(d, 2))
		format = IMAGE_A8;
	if (d->surfaces[id] && random_below(d, 2))
		return (struct draw_source){ .surface_id = id };
	if (target != SURFACE_A8 && random_below(d, 3) == 0)
		return (struct draw_source){ .image = kept_image(d, format, w, h) };
	return (struct draw_source){ .image = random_image(d, format, w + random_below(d, 9),
					     h + random_below(d, 9)) };
}

/* Mostly unscaled; now and then out of its source. */
static struct rect random_area(
	struct random_device *d, const struct draw *draw, struct draw_source *source)
{
	bool scaled = random_below(d, 8) == 0;
	int32_t w = scaled ? between(d, 1, 40) : rect_width(&draw->box);
	int32_t h = scaled ? between(d, 1, 40) : rect_height(&draw->box);
	int32_t all_w, all_h;
	struct point at;

	*source = random_source(d, draw, (uint32_t)w, (uint32_t)h);
	all_w = (int32_t)(source->image ? source->image->width
					: d->surfaces[source->surface_id]->width);
	all_h = (int32_t)(source->image ? source->image->height
					: d->surfaces[source->surface_id]->height);
	at.x = between(d, 0, MAX(all_w - w, 0));
	at.y = between(d, 0, MAX(all_h - h, 0));
	if (random_below(d, 20) == 0)
		at.x += 5;
	return rect_make(at.x, at.y, w, h);
}

static struct brush random_brush(struct random_device *d, const struct draw *draw)
{
	struct brush brush = { .type = BRUSH_SOLID };

	brush.color = random_below(d, 1u << 24);
	if (random_below(d, 12) == 0)
		brush.type = BRUSH_NONE;
	if (random_below(d, 4) == 0) {
		brush.type = BRUSH_PATTERN;
		brush.pattern = random_source(d, draw, 3, 3);
		brush.pattern_origin = random_point(d, -9, 9);
	}
	return brush;
}

static struct draw_mask random_mask(struct random_device *d)
{
	struct draw_mask mask = { .origin = random_point(d, -3, 3) };

	if (random_below(d, 5) == 0) {
		mask.invert = random_below(d, 2);
		mask.image = random_image(d, random_below(d, 2) ? IMAGE_1BIT_LE : IMAGE_1BIT_BE,
			1 + random_below(d, 60), 1 + random_below(d, 60));
		mask.image->flags = 0;
		mask.image->palette[0] = 0;
		mask.image->palette[1] = 0xffffff;
	}
	return mask;
}

static struct rop random_rop(struct random_device *d)
{
	struct rop rop = { .op = ROP_PUT };

	if (random_below(d, 2))
		return rop;
	rop.op = (enum rop_op)random_below(d, ROP_INVERS + 1);
	if (rop.op < ROP_BLACKNESS) {
		rop.invert_source = random_below(d, 2);
		rop.invert_dest = random_below(d, 2);
		rop.invert_result = random_below(d, 2);
	}
	return rop;
}

/* ---- kinds of drawings ---- */

static struct draw_sampling random_sampling(struct random_device *d)
{
	struct draw_sampling s = { .transformed = random_below(d, 4) == 0 };

	s.filter = random_below(d, 3) ? PIXMAN_FILTER_NEAREST : PIXMAN_FILTER_BILINEAR;
	s.repeat = (pixman_repeat_t)random_below(d, PIXMAN_REPEAT_REFLECT + 1);
	for (int i = 0; i < 6; i++)
		s.matrix[i / 3][i % 3] = between(d, -100000, 100000);
	return s;
}

static void random_composite(struct random_device *d, struct draw *draw)
{
	static const uint8_t ops[] = { 0, 1, 2, 3, 3, 3, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0x24,
		0x30, 0x3b };

	draw->composite.op = (pixman_op_t)ops[random_below(d, ARRAY_SIZE(ops))];
	draw->composite.source = random_source(d, draw, 30, 30);
	draw->composite.source_sampling = random_sampling(d);
	draw->composite.source_origin = random_point(d, -9, 20);
	draw->composite.source_opaque = random_below(d, 2);
	draw->composite.has_mask = random_below(d, 2);
	if (!draw->composite.has_mask)
		return;
	draw->composite.mask = random_source(d, draw, 20, 20);
	draw->composite.mask_sampling = random_sampling(d);
	draw->composite.mask_origin = random_point(d, -9, 9);
	draw->composite.component_alpha = random_below(d, 4) == 0;
}

static void random_stroke(struct random_device *d, struct draw *draw)
{
	struct draw_path *path = &draw->stroke.path;

	draw->stroke.brush = random_brush(d, draw);
	draw->stroke.rop = random_rop(d);
	path->segment_count = 1 + random_below(d, 2);
	path->segments = calloc(path->segment_count, sizeof(*path->segments));
	path->points = calloc(path->segment_count * 8, sizeof(*path->points));
	for (uint32_t i = 0; i < path->segment_count; i++) {
		struct path_segment *s = &path->segments[i];

		s->flags = PATH_BEGIN | PATH_END;
		s->flags |= random_below(d, 2) ? PATH_CLOSE : 0;
		s->flags |= random_below(d, 4) ? 0 : PATH_BEZIER;
		s->first = path->point_count;
		s->count = s->flags & PATH_BEZIER ? 4 : 2 + random_below(d, 4);
		for (uint32_t j = 0; j < s->count; j++) {
			struct point p = random_point(d, -160, 2600);

			path->points[path->point_count++] = (struct path_point){ p.x, p.y };
		}
	}
	if (random_below(d, 4) == 0) {
		draw->stroke.dash_count = 2;
		draw->stroke.dashes = calloc(2, sizeof(*draw->stroke.dashes));
		draw->stroke.dashes[0] = draw->stroke.dashes[1] = 64;
	}
}

static void random_text(struct random_device *d, struct draw *draw)
{
	struct text_string *s = &draw->text.string;
	struct point at = random_point(d, -5, 100);

	draw->text.brush = random_brush(d, draw);
	draw->text.back_brush = random_brush(d, draw);
	if (random_below(d, 2))
		draw->text.back_area = rect_make(at.x, at.y, between(d, 1, 50), between(d, 1, 20));
	s->depth = random_below(d, 2) ? 1 : random_below(d, 2) ? 4 : 8;
	s->count = (uint16_t)(1 + random_below(d, 6));
	s->size = (size_t)s->count * 256;
	s->glyphs = calloc(s->count, sizeof(*s->glyphs));
	s->bits = malloc(s->size);
	for (uint32_t i = 0; i < s->size; i++)
		s->bits[i] = (uint8_t)random_below(d, 256);
	for (uint32_t i = 0; i < s->count; i++)
		s->glyphs[i] = (struct glyph){ { at.x + 12 * (int32_t)i, at.y },
			random_point(d, -4, 2), (uint16_t)(1 + random_below(d, 14)),
			(uint16_t)(1 + random_below(d, 14)), 256 * i };
}

static void random_parts(struct random_device *d, struct draw *draw)
{
	switch (draw->type) {
	case DRAW_FILL:
		draw->fill.brush = random_brush(d, draw);
		draw->fill.rop = random_rop(d);
		draw->fill.mask = random_mask(d);
		break;
	case DRAW_COPY:
		draw->copy.area = random_area(d, draw, &draw->copy.source);
		draw->copy.rop = random_rop(d);
		draw->copy.mask = random_mask(d);
		draw->copy.scale = SCALE_NEAREST;
		break;
	case DRAW_COPY_BITS:
		draw->copy_bits.from.x = draw->box.left + between(d, -20, 20);
		draw->copy_bits.from.y = draw->box.top + between(d, -20, 20);
		break;
	case DRAW_OPAQUE:
		draw->opaque.area = random_area(d, draw, &draw->opaque.source);
		draw->opaque.brush = random_brush(d, draw);
		draw->opaque.rop = random_rop(d);
		draw->opaque.mask = random_mask(d);
		break;
	case DRAW_ROP3:
		draw->rop3.area = random_area(d, draw, &draw->rop3.source);
		draw->rop3.brush = random_brush(d, draw);
		draw->rop3.code = (uint8_t)random_below(d, 256);
		draw->rop3.mask = random_mask(d);
		break;
	case DRAW_TRANSPARENT:
		draw->transparent.area = random_area(d, draw, &draw->transparent.source);
		draw->transparent.color = random_below(d, 2) ? 0 : random_below(d, 1u << 24);
		break;
	case DRAW_ALPHA_BLEND:
		draw->alpha_blend.area = random_area(d, draw, &draw->alpha_blend.source);
		draw->alpha_blend.alpha =
			(uint8_t)(random_below(d, 3) ? random_below(d, 256) : 255);
		draw->alpha_blend.dest_has_alpha = random_below(d, 2);
		draw->alpha_blend.source_has_alpha = random_below(d, 2);
		break;
	case DRAW_COMPOSITE: random_composite(d, draw); break;
	case DRAW_STROKE: random_stroke(d, draw); break;
	default: random_text(d, draw);
	}
}

/* Those that drivers send most come most. */
static enum draw_type random_type(struct random_device *d)
{
	static const enum draw_type often[] = { DRAW_FILL, DRAW_COPY, DRAW_COPY, DRAW_COPY_BITS };

	if (random_below(d, 2))
		return often[random_below(d, ARRAY_SIZE(often))];
	return (enum draw_type)random_below(d, DRAW_TYPES);
}

struct draw *random_draw(struct random_device *d)
{
	uint32_t id = random_below(d, 3) ? 0 : random_below(d, RANDOM_SURFACES);
	struct rect box, part;
	struct draw *draw;
	int32_t w, h;

	if (!d->surfaces[id])
		id = 0;
	w = (int32_t)d->surfaces[id]->width;
	h = (int32_t)d->surfaces[id]->height;
	box.left = between(d, 0, w - 2);
	box.top = between(d, 0, h - 2);
	box.right = between(d, box.left + 1, w);
	box.bottom = between(d, box.top + 1, h);
	assert_int_equal(draw_create(&draw, random_type(d), id, &box), 0);
	draw->clipped = random_below(d, 3) == 0;
	for (uint32_t i = random_below(d, 4); draw->clipped && i > 0; i--) {
		struct point at = random_point(d, -5, 100);

		part = rect_make(at.x, at.y, between(d, 1, 80), between(d, 1, 60));
		region_add_rect(&draw->clip, &part);
	}
	random_parts(d, draw);
	return draw;
}

/* ---- the device ---- */

static void new_surface(struct random_device *d, uint32_t id)
{
	static const enum surface_format formats[] = { SURFACE_XRGB8888, SURFACE_ARGB8888,
		SURFACE_A8, SURFACE_RGB565, SURFACE_XRGB8888, SURFACE_ARGB8888, SURFACE_A1 };
	struct display_sink *sink = display_sink(d->display);
	enum surface_format format = id ? formats[random_below(d, ARRAY_SIZE(formats))]
					: SURFACE_XRGB8888;
	struct surface *surface;

	assert_int_equal(surface_create(&surface, format,
				 id ? 20 + random_below(d, 100) : RANDOM_WIDTH * d->scale,
				 id ? 20 + random_below(d, 100) : RANDOM_HEIGHT * d->scale),
		0);
	for (uint32_t i = 0; id == 0 && i < (uint32_t)surface->stride * surface->height; i++)
		surface->data[i] = (uint8_t)(i * 7 / 5);
	if (d->surfaces[id] && random_below(d, 2))
		sink->ops->surface_destroy(sink, id);
	d->surfaces[id] = surface;
	sink->ops->surface_create(sink, id, surface);
	surface_unref(surface);
}

static void write_pixels(struct random_device *d)
{
	struct rect box = rect_make(between(d, 0, RANDOM_WIDTH - 40),
		between(d, 0, RANDOM_HEIGHT - 30), between(d, 1, 40), between(d, 1, 30));
	struct surface *surface;

	display_lock(d->display);
	surface = display_sync(d->display, DISPLAY_PRIMARY, NULL);
	for (int y = box.top; y < box.bottom; y++)
		for (int x = box.left; x < box.right; x++)
			((uint32_t *)(void *)surface_row(surface, (uint32_t)y))[x] =
				random_below(d, 1 << 24);
	display_unlock(d->display);
	display_sink(d->display)->ops->dirty(display_sink(d->display), DISPLAY_PRIMARY, &box);
}

void random_begin(
	struct random_device *device, struct display *display, uint32_t seed, uint32_t scale)
{
	*device = (struct random_device){ .display = display, .seed = seed, .scale = scale };
	new_surface(device, DISPLAY_PRIMARY);
}

void random_end(struct random_device *d)
{
	for (uint32_t i = 0; i < RANDOM_KEPT; i++)
		image_unref(d->kept[i]);
}

void random_step(struct random_device *d)
{
	struct display_sink *sink = display_sink(d->display);
	uint32_t what = random_below(d, 400), id = 1 + random_below(d, RANDOM_SURFACES - 1);
	struct draw *draw;

	if (what < 12) {
		new_surface(d, what == 0 && random_below(d, 4) == 0 ? DISPLAY_PRIMARY : id);
	} else if (what < 18 && d->surfaces[id]) {
		sink->ops->surface_destroy(sink, id);
		d->surfaces[id] = NULL;
	} else if (what < 30) {
		write_pixels(d);
	} else {
		draw = random_draw(d);
		sink->ops->draw(sink, draw);
		draw_unref(draw);
	}
}

/* ---- comparing ---- */

bool random_equal(uint32_t id, const struct surface *is, const struct surface *should)
{
	uint32_t a[1024], b[1024], seen = UINT32_MAX;

	if (is->width != should->width || is->height != should->height ||
		is->format != should->format) {
		print_message("surface %u is another\n", id);
		return false;
	}
	if (is->format == SURFACE_XRGB8888)
		seen = 0xffffff;
	if (is->format == SURFACE_XRGB1555)
		seen = 0x7fff;
	for (uint32_t y = 0; y < is->height; y++) {
		surface_load_words(is, 0, y, is->width, a);
		surface_load_words(should, 0, y, is->width, b);
		for (uint32_t x = 0; x < is->width; x++) {
			if (!((a[x] ^ b[x]) & seen))
				continue;
			print_message("surface %u, format %d, (%u, %u): is %08x, should be %08x\n",
				id, (int)is->format, x, y, a[x], b[x]);
			return false;
		}
	}
	return true;
}

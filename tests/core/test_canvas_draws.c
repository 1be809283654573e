/* SPDX-License-Identifier: MIT */
/*
 * The canvas against the canvas of the existing SPICE clients: seeded random drawings of each kind,
 * and the hash of the pictures that spice-common 0.15.1's software canvas (with pixman 0.42.2) made
 * of the same ones. The generator and the hashes belong together.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/canvas.h"
#include "core/util.h"

#define W      41
#define H      29
#define ROUNDS 400

static uint32_t seed;

static uint32_t rnd(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)(seed >> 4) * below >> 28);
}

static int32_t between(int32_t from, int32_t to)
{
	return from + (int32_t)rnd((uint32_t)(to - from + 1));
}

/* One number after the other: the order in which arguments are evaluated is the compiler's. */
static struct point random_point(int32_t x0, int32_t x1, int32_t y0, int32_t y1)
{
	struct point p;

	p.x = between(x0, x1);
	p.y = between(y0, y1);
	return p;
}

static struct rect random_rect(int32_t from, int32_t to_x, int32_t to_y, int32_t side)
{
	struct point at = random_point(from, to_x, from, to_y);
	struct point size = random_point(1, side, 1, side);

	return rect_make(at.x, at.y, size.x, size.y);
}

struct world {
	struct surface *target, *other;
};

static struct surface *lookup(void *opaque, uint32_t id)
{
	struct world *world = opaque;

	return id == 1 ? world->other : world->target;
}

/* Colours with alpha are premultiplied; pixman's results for others are nobody's business. */
static void premultiply(uint8_t *pixels, size_t count)
{
	for (uint8_t *p = pixels; count > 0; count--, p += 4)
		for (int i = 0; i < 3; i++)
			p[i] = (uint8_t)(p[i] * p[3] / 255);
}

static struct surface *random_surface(enum surface_format format)
{
	struct surface *s;

	assert_int_equal(surface_create(&s, format, W, H), 0);
	for (uint32_t i = 0; i < (uint32_t)s->stride * H; i++)
		s->data[i] = (uint8_t)rnd(256);
	if (surface_format_bits(format) == 32)
		premultiply(s->data, (size_t)W * H);
	return s;
}

static struct image *random_image(enum image_format format, uint32_t w, uint32_t h)
{
	struct image *image;

	assert_int_equal(image_create(&image, format, w, h), 0);
	for (size_t i = 0; i < (size_t)image->stride * h; i++)
		image->data[i] = (uint8_t)rnd(256);
	if (format == IMAGE_ARGB8888)
		premultiply(image->data, (size_t)w * h);
	for (uint32_t i = 0; i < image_format_palette(format); i++)
		image->palette[i] = rnd(1u << 24);
	if (rnd(3) == 0)
		image->flags = IMAGE_HIGH_BITS_SET;
	return image;
}

/* At least w by h; 16-bit surfaces have palettes of their own words, which we do not. */
static struct draw_source random_source(const struct world *world, uint32_t w, uint32_t h)
{
	static const enum image_format formats[] = { IMAGE_XRGB1555, IMAGE_BGR24, IMAGE_XRGB8888,
		IMAGE_ARGB8888, IMAGE_A8, IMAGE_1BIT_BE, IMAGE_4BIT_BE, IMAGE_8BIT };
	bool deep = surface_format_bits(world->target->format) == 32;
	enum image_format format = formats[rnd(deep ? 8 : 4)];
	struct point more = random_point(0, 19, 0, 19);

	if (rnd(4) == 0)
		return (struct draw_source){ .surface_id = 1 };
	return (struct draw_source){ .image = random_image(
					     format, w + (uint32_t)more.x, h + (uint32_t)more.y) };
}

static struct rect random_area(
	const struct draw *d, struct draw_source *source, struct world *world)
{
	bool scaled = rnd(2);
	int32_t w = scaled ? between(1, 20) : rect_width(&d->box);
	int32_t h = scaled ? between(1, 20) : rect_height(&d->box);
	int32_t all_w = W, all_h = H;
	struct point at;

	*source = random_source(world, (uint32_t)w, (uint32_t)h);
	if (source->image) {
		all_w = (int32_t)source->image->width;
		all_h = (int32_t)source->image->height;
	}
	at = random_point(0, all_w - w, 0, all_h - h);
	return rect_make(at.x, at.y, w, h);
}

static struct brush random_brush(struct world *world)
{
	struct brush brush = { .type = (enum brush_type)rnd(3) };

	brush.color = rnd(1u << 24);
	if (world->target->format == SURFACE_XRGB1555)
		brush.color &= 0x7fff;
	if (world->target->format == SURFACE_RGB565)
		brush.color &= 0xffff;
	if (brush.type == BRUSH_PATTERN) {
		brush.pattern = random_source(world, 1, 1);
		brush.pattern_origin = random_point(-9, 0, -9, 0);
	}
	return brush;
}

static struct draw_mask random_mask(void)
{
	struct draw_mask mask = { .origin = random_point(-3, 3, -3, 3) };
	struct point size = random_point(1, 30, 1, 30);

	mask.invert = rnd(2);
	if (rnd(3) == 0) {
		mask.image = random_image(
			rnd(2) ? IMAGE_1BIT_LE : IMAGE_1BIT_BE, (uint32_t)size.x, (uint32_t)size.y);
		mask.image->flags = 0;
	}
	return mask;
}

static struct rop random_rop(void)
{
	struct rop rop = { .op = (enum rop_op)rnd(ROP_INVERS + 1) };

	if (rnd(2))
		return (struct rop){ .op = ROP_PUT };
	rop.invert_source = rnd(2);
	rop.invert_dest = rnd(2);
	rop.invert_result = rnd(2);
	return rop;
}

static struct draw_sampling random_sampling(void)
{
	struct draw_sampling s = { .transformed = rnd(2) };

	s.filter = (pixman_filter_t)rnd(PIXMAN_FILTER_BILINEAR + 1);
	s.repeat = (pixman_repeat_t)rnd(PIXMAN_REPEAT_REFLECT + 1);
	for (int i = 0; i < 6; i++)
		s.matrix[i / 3][i % 3] = between(-100000, 100000);
	return s;
}

static void random_composite(struct draw *d, struct world *world)
{
	static const uint8_t ops[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0x14, 0x24,
		0x30, 0x31, 0x32, 0x3b };

	d->composite.op = (pixman_op_t)ops[rnd(ARRAY_SIZE(ops))];
	d->composite.source = random_source(world, 3, 3);
	d->composite.source_sampling = random_sampling();
	d->composite.source_origin = random_point(-9, 9, -9, 9);
	d->composite.source_opaque = rnd(2);
	d->composite.dest_opaque = rnd(2);
	d->composite.has_mask = rnd(2);
	if (!d->composite.has_mask)
		return;
	d->composite.mask = (struct draw_source){ .image = random_image(IMAGE_ARGB8888, 9, 9) };
	d->composite.mask_sampling = random_sampling();
	d->composite.mask_origin = random_point(-9, 9, -9, 9);
	d->composite.component_alpha = rnd(2);
}

/* Lines and curves, far ones and closed ones; no dashes. */
static void random_stroke(struct draw *d, struct world *world)
{
	struct draw_path *path = &d->stroke.path;

	d->stroke.brush = random_brush(world);
	/* That canvas cannot draw lines from a surface. */
	if (d->stroke.brush.type == BRUSH_PATTERN && !d->stroke.brush.pattern.image)
		d->stroke.brush.type = BRUSH_SOLID;
	d->stroke.rop = random_rop();
	path->segment_count = 1 + rnd(3);
	path->segments = calloc(path->segment_count, sizeof(*path->segments));
	path->points = calloc(path->segment_count * 8, sizeof(*path->points));
	for (uint32_t i = 0; i < path->segment_count; i++) {
		struct path_segment *s = &path->segments[i];

		s->flags = PATH_BEGIN;
		s->flags |= rnd(2) ? PATH_END : 0;
		s->flags |= rnd(2) ? PATH_CLOSE : 0;
		s->flags |= rnd(3) ? 0 : PATH_BEZIER;
		s->first = path->point_count;
		s->count = s->flags & PATH_BEZIER ? 4 : 2 + rnd(6);
		for (uint32_t j = 0; j < s->count; j++) {
			int32_t far = rnd(10) ? 1 : 40;

			struct point p = random_point(-160, 800, -160, 640);

			path->points[path->point_count++] =
				(struct path_point){ p.x * far, p.y * far };
		}
	}
}

static void random_text(struct draw *d, struct world *world)
{
	struct text_string *s = &d->text.string;

	d->text.brush = random_brush(world);
	d->text.back_brush = random_brush(world);
	if (rnd(2))
		d->text.back_area = random_rect(-5, 20, 20, 30);
	s->depth = rnd(2) ? 1 : 4;
	s->count = (uint16_t)(1 + rnd(4));
	s->size = (size_t)s->count * 128;
	s->glyphs = calloc(s->count, sizeof(*s->glyphs));
	s->bits = malloc(s->size);
	for (uint32_t i = 0; i < s->size; i++)
		s->bits[i] = (uint8_t)rnd(256);
	for (uint32_t i = 0; i < s->count; i++) {
		struct point at = random_point(-5, W, -5, H);
		struct point origin = random_point(-4, 4, -10, 2);
		struct point size = random_point(1, 14, 1, 14);

		s->glyphs[i] =
			(struct glyph){ at, origin, (uint16_t)size.x, (uint16_t)size.y, 128 * i };
	}
}

static void random_parts(struct draw *d, struct world *world)
{
	/* ROPs of all three inputs: that canvas knows no others. */
	static const uint8_t codes[] = { 0x01, 0x02, 0x16, 0x96, 0xe8, 0xb8, 0xac, 0xca, 0x1b, 0x6a,
		0x7e, 0x80, 0xfe, 0x42 };
	enum scale_mode scale = rnd(2) ? SCALE_NEAREST : SCALE_INTERPOLATE;

	switch (d->type) {
	case DRAW_FILL:
		d->fill.brush = random_brush(world);
		d->fill.rop = random_rop();
		d->fill.mask = random_mask();
		break;
	case DRAW_COPY:
		d->copy.area = random_area(d, &d->copy.source, world);
		d->copy.scale = scale;
		d->copy.rop = random_rop();
		d->copy.mask = random_mask();
		break;
	case DRAW_OPAQUE:
		d->opaque.area = random_area(d, &d->opaque.source, world);
		d->opaque.scale = scale;
		d->opaque.brush = random_brush(world);
		d->opaque.rop = random_rop();
		d->opaque.mask = random_mask();
		break;
	case DRAW_ROP3:
		d->rop3.area = random_area(d, &d->rop3.source, world);
		d->rop3.scale = scale;
		d->rop3.brush = random_brush(world);
		d->rop3.code = codes[rnd(ARRAY_SIZE(codes))];
		d->rop3.mask = random_mask();
		break;
	case DRAW_TRANSPARENT:
		d->transparent.area = random_area(d, &d->transparent.source, world);
		d->transparent.color = rnd(2) ? 0 : rnd(1u << 24);
		break;
	case DRAW_ALPHA_BLEND:
		d->alpha_blend.area = random_area(d, &d->alpha_blend.source, world);
		d->alpha_blend.alpha = (uint8_t)(rnd(3) ? rnd(256) : 255);
		d->alpha_blend.dest_has_alpha = rnd(2);
		d->alpha_blend.source_has_alpha = rnd(2);
		break;
	case DRAW_COMPOSITE: random_composite(d, world); break;
	case DRAW_STROKE: random_stroke(d, world); break;
	default: random_text(d, world);
	}
}

static struct draw *random_draw(enum draw_type type, struct world *world)
{
	struct point at = random_point(0, W - 3, 0, H - 3);
	struct point size = random_point(1, W - at.x - 1, 1, H - at.y - 1);
	struct rect box = rect_make(at.x, at.y, size.x, size.y);
	struct draw *d;

	assert_int_equal(draw_create(&d, type, 0, &box), 0);
	d->clipped = rnd(2);
	for (uint32_t i = rnd(4); d->clipped && i > 0; i--) {
		struct rect r = random_rect(-5, W, H, 30);

		region_add_rect(&d->clip, &r);
	}
	random_parts(d, world);
	return d;
}

static uint32_t visible_bits(enum surface_format format)
{
	switch (format) {
	case SURFACE_XRGB8888: return 0xffffff;
	case SURFACE_ARGB8888: return UINT32_MAX;
	case SURFACE_XRGB1555: return 0x7fff;
	default: return 0xffff;
	}
}

static uint64_t hash_surface(uint64_t hash, struct surface *s)
{
	uint32_t words[W];

	for (uint32_t y = 0; y < H; y++) {
		surface_load_words(s, 0, y, W, words);
		for (uint32_t x = 0; x < W; x++)
			hash = (hash ^ (words[x] & visible_bits(s->format))) * 0x100000001b3u;
	}
	return hash;
}

static uint64_t hash_drawings(enum draw_type type)
{
	static const enum surface_format formats[] = { SURFACE_XRGB8888, SURFACE_ARGB8888,
		SURFACE_XRGB1555, SURFACE_RGB565 };
	uint64_t hash = 0xcbf29ce484222325u;

	seed = 20261122 + (uint32_t)type;
	for (uint32_t round = 0; round < ROUNDS; round++) {
		enum surface_format format = formats[round % 4];
		struct world world = { .target = random_surface(format) };
		struct draw *d;

		world.other = random_surface(round % 4 < 2 ? formats[rnd(2)] : format);
		d = random_draw(type, &world);
		canvas_draw(world.target, d, lookup, &world);
		hash = hash_surface(hash, world.target);
		draw_unref(d);
		surface_unref(world.target);
		surface_unref(world.other);
	}
	return hash;
}

static void drawings_are_the_clients_canvas_s(void **state)
{
	static const struct {
		enum draw_type type;
		uint64_t hash;
	} golden[] = {
		{ DRAW_FILL, 0x8174c5a10015293 },
		{ DRAW_COPY, 0x5ed0706cb86abfe0 },
		{ DRAW_OPAQUE, 0x2e57ca7e0f7467be },
		{ DRAW_ROP3, 0xba8dd687c6b442f6 },
		{ DRAW_TRANSPARENT, 0x8e93779cc613ae19 },
		{ DRAW_ALPHA_BLEND, 0xa210658e29b9a823 },
		{ DRAW_COMPOSITE, 0x283fa2e1263ab770 },
		{ DRAW_STROKE, 0x4aef6c667425b631 },
		{ DRAW_TEXT, 0x33c56982516dd0e2 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(golden); i++) {
		uint64_t hash = hash_drawings(golden[i].type);

		if (hash != golden[i].hash)
			fail_msg("type %d makes %#llx, not %#llx", golden[i].type,
				(unsigned long long)hash, (unsigned long long)golden[i].hash);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(drawings_are_the_clients_canvas_s),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

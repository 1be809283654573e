/* SPDX-License-Identifier: MIT */
/*
 * The canvas against a plain model that computes every pixel by itself from the meaning of the
 * drawing, over seeded random drawings; and the corner cases by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/canvas.h"
#include "core/util.h"

#define W 41
#define H 29

static uint32_t seed;

static uint32_t rnd(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)(seed >> 4) * below >> 28);
}

static int32_t rnd_between(int32_t from, int32_t to)
{
	return from + (int32_t)rnd((uint32_t)(to - from + 1));
}

struct world {
	struct surface *target, *other;
	uint32_t before[H][W];
	uint32_t other_words[H][W];
};

static struct surface *lookup(void *opaque, uint32_t id)
{
	struct world *world = opaque;

	return id == 0 ? world->target : id == 1 ? world->other : NULL;
}

static void remember(struct surface *s, uint32_t words[H][W])
{
	for (uint32_t y = 0; y < H; y++)
		surface_load_words(s, 0, y, W, words[y]);
}

static struct surface *random_surface(enum surface_format format)
{
	struct surface *s;

	assert_int_equal(surface_create(&s, format, W, H), 0);
	for (uint32_t y = 0; y < H; y++) {
		for (uint32_t x = 0; x < W; x++) {
			uint32_t word = rnd(1u << 28) * 16 + rnd(16);

			surface_store_words(s, x, y, 1, &word);
		}
	}
	return s;
}

static struct image *random_image(enum image_format format, uint32_t w, uint32_t h)
{
	struct image *image;

	assert_int_equal(image_create(&image, format, w, h), 0);
	for (size_t i = 0; i < (size_t)image->stride * h; i++)
		image->data[i] = (uint8_t)rnd(256);
	for (uint32_t i = 0; i < image_format_palette(format); i++)
		image->palette[i] = rnd(1u << 24);
	return image;
}

static uint32_t image_word(const struct image *image, uint32_t x, uint32_t y)
{
	const uint8_t *row = image->data + (size_t)image->stride * y;
	uint32_t v;

	switch (image->format) {
	case IMAGE_1BIT_LE: return image->palette[row[x >> 3] >> (x & 7) & 1];
	case IMAGE_1BIT_BE: return image->palette[row[x >> 3] << (x & 7) >> 7 & 1];
	case IMAGE_4BIT_LE: return image->palette[row[x >> 1] >> ((x & 1) * 4) & 15];
	case IMAGE_4BIT_BE: return image->palette[row[x >> 1] >> ((~x & 1) * 4) & 15];
	case IMAGE_8BIT: return image->palette[row[x]];
	case IMAGE_XRGB1555:
		v = (uint32_t)row[2 * x] | (uint32_t)row[2 * x + 1] << 8;
		return surface_word_to_argb(SURFACE_XRGB1555, v);
	case IMAGE_BGR24:
		return (uint32_t)row[3 * x] | (uint32_t)row[3 * x + 1] << 8 |
			(uint32_t)row[3 * x + 2] << 16;
	case IMAGE_A8: return (uint32_t)row[x] << 24;
	default:
		return (uint32_t)row[4 * x] | (uint32_t)row[4 * x + 1] << 8 |
			(uint32_t)row[4 * x + 2] << 16 | (uint32_t)row[4 * x + 3] << 24;
	}
}

static uint32_t image_argb(const struct image *image, uint32_t x, uint32_t y)
{
	bool alpha = image->format == IMAGE_ARGB8888 || image->format == IMAGE_A8;

	return image_word(image, x, y) | (alpha ? 0 : 0xff000000u);
}

/* 32-bit words are copied as they are; others are converted by their colours. */
static uint32_t surface_word(enum surface_format from, uint32_t word, enum surface_format to)
{
	if (surface_format_bits(from) == 32 && surface_format_bits(to) == 32)
		return word;
	return surface_word_from_argb(to, surface_word_to_argb(from, word));
}

static bool source_at(struct world *world, const struct draw_source *source, int32_t x, int32_t y,
	bool repeat, uint32_t *out)
{
	enum surface_format format = world->target->format;
	int32_t w = source->image ? (int32_t)source->image->width : W;
	int32_t h = source->image ? (int32_t)source->image->height : H;

	if (repeat) {
		x = ((x % w) + w) % w;
		y = ((y % h) + h) % h;
	}
	if (x < 0 || y < 0 || x >= w || y >= h)
		return false;
	if (!source->image)
		*out = source->surface_id == 0
			? world->before[y][x]
			: surface_word(world->other->format, world->other_words[y][x], format);
	else if (surface_format_bits(format) != 32)
		*out = surface_word_from_argb(
			format, image_argb(source->image, (uint32_t)x, (uint32_t)y));
	else if (source->image->format == IMAGE_ARGB8888 || source->image->format == IMAGE_XRGB8888)
		*out = image_word(source->image, (uint32_t)x, (uint32_t)y);
	else
		*out = image_argb(source->image, (uint32_t)x, (uint32_t)y) &
			(source->image->format == IMAGE_A8 ||
						source->image->format == IMAGE_XRGB1555
					? UINT32_MAX
					: 0xffffff);
	return true;
}

static uint32_t model_rop(const struct rop *rop, uint32_t s, uint32_t d)
{
	uint32_t v;

	s = rop->invert_source ? ~s : s;
	d = rop->invert_dest ? ~d : d;
	switch (rop->op) {
	case ROP_OR: v = s | d; break;
	case ROP_AND: v = s & d; break;
	case ROP_XOR: v = s ^ d; break;
	case ROP_BLACKNESS: return 0;
	case ROP_WHITENESS: return ~0u;
	case ROP_INVERS: return rop->invert_dest ? d : ~d;
	default: v = s;
	}
	return rop->invert_result ? ~v : v;
}

static bool model_mask(const struct draw_mask *mask, const struct rect *box, int32_t x, int32_t y)
{
	int32_t mx = x - box->left + mask->origin.x, my = y - box->top + mask->origin.y;
	bool set;

	if (!mask->image)
		return true;
	if (mx < 0 || my < 0 || mx >= (int32_t)mask->image->width ||
		my >= (int32_t)mask->image->height)
		return false;
	set = mask->image->data[(size_t)mask->image->stride * (size_t)my + (size_t)mx / 8] >>
			(mask->image->format == IMAGE_1BIT_LE ? mx % 8 : 7 - mx % 8) &
		1;
	return set != mask->invert;
}

/* What the pixel becomes; unscaled drawings only. */
static uint32_t model(struct world *world, const struct draw *d, int32_t x, int32_t y)
{
	uint32_t was = world->before[y][x], word = 0;
	struct rect pixel = rect_make(x, y, 1, 1);
	struct draw_source self = { .surface_id = 0 };
	int32_t dx = x - d->box.left, dy = y - d->box.top;

	if (!rect_contains(&d->box, &pixel) ||
		(d->clipped && !region_contains_rect(&d->clip, &pixel)))
		return was;
	switch (d->type) {
	case DRAW_FILL:
		if (!model_mask(&d->fill.mask, &d->box, x, y))
			return was;
		if (d->fill.brush.type == BRUSH_SOLID)
			return model_rop(&d->fill.rop, d->fill.brush.color, was);
		source_at(world, &d->fill.brush.pattern, x - d->fill.brush.pattern_origin.x,
			y - d->fill.brush.pattern_origin.y, true, &word);
		return model_rop(&d->fill.rop, word, was);
	case DRAW_COPY:
		if (!model_mask(&d->copy.mask, &d->box, x, y) ||
			!source_at(world, &d->copy.source, d->copy.area.left + dx,
				d->copy.area.top + dy, false, &word))
			return was;
		return model_rop(&d->copy.rop, word, was);
	case DRAW_COPY_BITS:
		if (!source_at(world, &self, d->copy_bits.from.x + dx, d->copy_bits.from.y + dy,
			    false, &word))
			return was;
		return word;
	default: break;
	}
	return was;
}

static uint32_t visible_bits(enum surface_format format)
{
	switch (format) {
	case SURFACE_XRGB8888: return 0xffffff; /* the x byte means nothing */
	case SURFACE_XRGB1555: return 0x7fff;
	case SURFACE_RGB565: return 0xffff;
	case SURFACE_A8: return 0xff;
	case SURFACE_A1: return 1;
	default: return UINT32_MAX;
	}
}

static struct draw_source random_source(void)
{
	struct draw_source source = { .surface_id = rnd(2) };

	if (rnd(3))
		source.image = random_image(
			(enum image_format)rnd(IMAGE_FORMATS), 1 + rnd(50), 1 + rnd(40));
	return source;
}

static struct draw_mask random_mask(void)
{
	struct draw_mask mask = { 0 };

	if (rnd(4))
		return mask;
	mask.image = random_image(rnd(2) ? IMAGE_1BIT_LE : IMAGE_1BIT_BE, 1 + rnd(50), 1 + rnd(40));
	mask.origin = (struct point){ rnd_between(-5, 5), rnd_between(-5, 5) };
	mask.invert = rnd(2);
	return mask;
}

static struct rop random_rop(void)
{
	if (rnd(2))
		return (struct rop){ .op = ROP_PUT };
	return (struct rop){ (enum rop_op)rnd(ROP_INVERS + 1), rnd(2), rnd(2), rnd(2) };
}

static struct draw *random_draw(void)
{
	struct rect box = rect_make(rnd_between(-10, W), rnd_between(-10, H), (int32_t)rnd(W + 10),
		(int32_t)rnd(H + 10));
	struct draw *d;

	assert_int_equal(draw_create(&d, (enum draw_type)rnd(DRAW_COPY_BITS + 1), 0, &box), 0);
	d->clipped = rnd(2);
	for (uint32_t i = rnd(4); d->clipped && i > 0; i--) {
		struct rect r = rect_make(
			rnd_between(-5, W), rnd_between(-5, H), (int32_t)rnd(30), (int32_t)rnd(30));

		region_add_rect(&d->clip, &r);
	}
	if (d->type == DRAW_FILL) {
		d->fill.brush.type = rnd(2) ? BRUSH_SOLID : BRUSH_PATTERN;
		d->fill.brush.color = rnd(1u << 28);
		if (d->fill.brush.type == BRUSH_PATTERN)
			d->fill.brush.pattern = random_source();
		d->fill.brush.pattern_origin =
			(struct point){ rnd_between(-60, 60), rnd_between(-60, 60) };
		d->fill.rop = random_rop();
		d->fill.mask = random_mask();
	} else if (d->type == DRAW_COPY) {
		d->copy.source = random_source();
		d->copy.area = rect_make(rnd_between(-10, 20), rnd_between(-10, 20),
			rect_width(&box), rect_height(&box));
		d->copy.rop = random_rop();
		d->copy.mask = random_mask();
	} else {
		d->copy_bits.from = (struct point){ rnd_between(-10, W), rnd_between(-10, H) };
	}
	return d;
}

static void random_drawings_equal_the_model(void **state)
{
	static const enum surface_format formats[] = { SURFACE_XRGB8888, SURFACE_ARGB8888,
		SURFACE_RGB565, SURFACE_XRGB1555, SURFACE_A8, SURFACE_A1 };

	seed = 20260101;
	for (int round = 0; round < 4000; round++) {
		enum surface_format format = formats[round % ARRAY_SIZE(formats)];
		uint32_t bits = visible_bits(format), after[H][W];
		struct world world = { .target = random_surface(format),
			.other = random_surface(formats[rnd(4)]) };
		struct draw *d = random_draw();

		remember(world.target, world.before);
		remember(world.other, world.other_words);
		canvas_draw(world.target, d, lookup, &world);
		remember(world.target, after);
		for (int32_t y = 0; y < H; y++)
			for (int32_t x = 0; x < W; x++)
				if ((after[y][x] & bits) != (model(&world, d, x, y) & bits))
					fail_msg("round %d type %d format %d at %d,%d: %x, not %x",
						round, d->type, format, x, y, after[y][x],
						model(&world, d, x, y));
		draw_unref(d);
		surface_unref(world.target);
		surface_unref(world.other);
	}
}

/* A surface whose rows run upwards is drawn like any other. */
static void a_negative_stride_is_a_row_order(void **state)
{
	static uint32_t memory[H][W];
	struct rect box = { 1, 2, 3, 4 };
	struct surface *s;
	struct draw *d;

	assert_int_equal(surface_create_over(&s, SURFACE_XRGB8888, W, H,
				 -(int32_t)sizeof(memory[0]), (uint8_t *)memory[H - 1], NULL, NULL),
		0);
	assert_int_equal(draw_create(&d, DRAW_FILL, 0, &box), 0);
	d->fill.brush = (struct brush){ .type = BRUSH_SOLID, .color = 0x123456 };
	canvas_draw(s, d, NULL, NULL);
	for (int32_t y = 0; y < H; y++)
		for (int32_t x = 0; x < W; x++)
			assert_int_equal(memory[H - 1 - y][x],
				x >= 1 && x < 3 && y >= 2 && y < 4 ? 0x123456 : 0);
	draw_unref(d);
	surface_unref(s);
}

static void nearest_scaling_takes_the_pixel_below(void **state)
{
	struct rect box = { 2, 2, 10, 10 };
	struct surface *s;
	struct draw *d;
	uint32_t word;

	assert_int_equal(surface_create(&s, SURFACE_XRGB8888, W, H), 0);
	assert_int_equal(draw_create(&d, DRAW_COPY, 0, &box), 0);
	seed = 3;
	d->copy.source.image = random_image(IMAGE_XRGB8888, 4, 4);
	d->copy.area = (struct rect){ 0, 0, 4, 4 };
	d->copy.scale = SCALE_NEAREST;
	d->clipped = true;
	region_add_rect(&d->clip, &(struct rect){ 3, 2, 10, 10 }); /* a part of it shows */
	canvas_draw(s, d, NULL, NULL);
	for (uint32_t y = 2; y < 10; y++) {
		for (uint32_t x = 2; x < 10; x++) {
			surface_load_words(s, x, y, 1, &word);
			assert_int_equal(word & 0xffffff,
				x < 3 ? 0
				      : image_argb(d->copy.source.image, (x - 2) / 2, (y - 2) / 2) &
						0xffffff);
		}
	}
	draw_unref(d);
	surface_unref(s);
}

static void far_coordinates_draw_nothing(void **state)
{
	struct rect all = { INT32_MIN, INT32_MIN, INT32_MAX, INT32_MAX };
	struct surface *s;
	struct draw *d;
	uint32_t word = 1;

	assert_int_equal(surface_create(&s, SURFACE_XRGB8888, W, H), 0);
	for (int type = DRAW_FILL; type <= DRAW_COPY_BITS; type++) {
		assert_int_equal(draw_create(&d, (enum draw_type)type, 0, &all), 0);
		if (type == DRAW_COPY)
			d->copy.area = all;
		canvas_draw(s, d, NULL, NULL);
		surface_load_words(s, 0, 0, 1, &word);
		assert_int_equal(word, 0);
		draw_unref(d);
	}
	surface_unref(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_drawings_equal_the_model),
		cmocka_unit_test(a_negative_stride_is_a_row_order),
		cmocka_unit_test(nearest_scaling_takes_the_pixel_below),
		cmocka_unit_test(far_coordinates_draw_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

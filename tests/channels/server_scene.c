/* SPDX-License-Identifier: MIT */
/* Drawings of every kind. */
#include "tests/channels/server_scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/util.h"

static uint32_t noise(uint32_t seed)
{
	seed = (seed ^ 61) ^ (seed >> 16);
	seed *= 9;
	seed ^= seed >> 4;
	seed *= 0x27d4eb2d;
	return seed ^ (seed >> 15);
}

static struct image *picture(
	enum image_format format, uint32_t width, uint32_t height, uint32_t seed)
{
	struct image *image;

	assert_int_equal(image_create(&image, format, width, height), 0);
	for (size_t i = 0; i < (size_t)image->stride * height; i++)
		image->data[i] = (uint8_t)(i / 64 % 3 ? i / 7 + seed : noise((uint32_t)i + seed));
	for (uint32_t i = 0; i < image_format_palette(format); i++)
		image->palette[i] = noise(seed + i) & 0xffffff;
	return image;
}

static struct draw *begin(enum draw_type type, uint32_t surface, int x, int y, int w, int h)
{
	struct rect box = rect_make(x, y, w, h);
	struct draw *draw;

	assert_int_equal(draw_create(&draw, type, surface, &box), 0);
	return draw;
}

static void end(struct display *display, struct draw *draw)
{
	display_sink(display)->ops->draw(display_sink(display), draw);
	draw_unref(draw);
}

static void fill(
	struct display *display, int x, int y, int w, int h, uint32_t color, enum rop_op op)
{
	struct draw *draw = begin(DRAW_FILL, 0, x, y, w, h);

	draw->fill.brush.type = BRUSH_SOLID;
	draw->fill.brush.color = color;
	draw->fill.rop.op = op;
	end(display, draw);
}

static struct draw *copy(
	enum image_format format, uint32_t surface, int x, int y, int w, int h, uint32_t seed)
{
	struct draw *draw = begin(DRAW_COPY, surface, x, y, w, h);

	draw->copy.source.image = picture(format, (uint32_t)w + 5, (uint32_t)h + 3, seed);
	draw->copy.area = rect_make(2, 1, w, h);
	return draw;
}

void scene_begin(struct display *display)
{
	struct display_sink *sink = display_sink(display);
	struct surface *surface;

	assert_int_equal(surface_create(&surface, SURFACE_XRGB8888, SCENE_WIDTH, SCENE_HEIGHT), 0);
	for (uint32_t y = 0; y < SCENE_HEIGHT; y++)
		for (uint32_t x = 0; x < SCENE_WIDTH; x++)
			((uint32_t *)(void *)surface_row(surface, y))[x] =
				(x / 32 + y / 32) % 2 ? noise(y * 640 + x) & 0xffffff : x << 8 | y;
	sink->ops->surface_create(sink, DISPLAY_PRIMARY, surface);
	surface_unref(surface);
	assert_int_equal(surface_create(&surface, SURFACE_XRGB8888, 200, 100), 0);
	sink->ops->surface_create(sink, 5, surface);
	surface_unref(surface);
	end(display, copy(IMAGE_XRGB8888, 5, 0, 0, 200, 100, 99));
}

static void copy_clipped(struct display *display, int x, int y, uint32_t seed)
{
	struct draw *draw = copy(IMAGE_XRGB8888, 0, x, y, 120, 90, seed);
	struct rect a = rect_make(x + 5, y + 5, 40, 30), b = rect_make(x + 30, y + 20, 80, 60);

	draw->clipped = true;
	region_add_rect(&draw->clip, &a);
	region_add_rect(&draw->clip, &b);
	end(display, draw);
}

static void copy_masked(struct display *display, int x, int y, uint32_t seed)
{
	struct draw *draw = copy(IMAGE_XRGB8888, 0, x, y, 64, 48, seed);

	draw->copy.mask.image = picture(IMAGE_1BIT_BE, 64, 48, seed * 3);
	draw->copy.mask.image->palette[0] = 0;
	draw->copy.mask.image->palette[1] = 0xffffff;
	end(display, draw);
}

static void fill_pattern(struct display *display, int x, int y, uint32_t seed)
{
	struct draw *draw = begin(DRAW_FILL, 0, x, y, 100, 70);

	draw->fill.brush.type = BRUSH_PATTERN;
	draw->fill.brush.pattern.image = picture(IMAGE_XRGB8888, 16, 16, seed);
	draw->fill.brush.pattern_origin = (struct point){ 3, 5 };
	end(display, draw);
}

static void from_surface(struct display *display, int x, int y)
{
	struct draw *draw = begin(DRAW_COPY, 0, x, y, 150, 60);

	draw->copy.source.surface_id = 5;
	draw->copy.area = rect_make(20, 10, 150, 60);
	end(display, draw);
}

static void move(struct display *display, int x, int y)
{
	struct draw *draw = begin(DRAW_COPY_BITS, 0, x, y, 200, 150);

	draw->copy_bits.from = (struct point){ x + 13, y + 7 };
	end(display, draw);
}

static void scaled(struct display *display, int x, int y, uint32_t seed)
{
	struct draw *draw = copy(IMAGE_XRGB8888, 0, x, y, 80, 60, seed);

	draw->box = rect_make(x, y, 133, 77);
	end(display, draw);
}

static void frame_buffer(struct display *display, int x, int y, uint32_t seed)
{
	struct rect area = rect_make(x, y, 90, 40);
	struct surface *surface;

	display_lock(display);
	surface = display_sync(display, DISPLAY_PRIMARY, NULL);
	for (int row = area.top; row < area.bottom; row++)
		for (int col = area.left; col < area.right; col++)
			((uint32_t *)(void *)surface_row(surface, (uint32_t)row))[col] =
				noise(seed + (uint32_t)(row * col)) & 0xffffff;
	display_unlock(display);
	display_sink(display)->ops->dirty(display_sink(display), DISPLAY_PRIMARY, &area);
}

void scene_step(struct display *display, uint32_t step)
{
	int x = (int)(noise(step) % 400), y = (int)(noise(step + 7777) % 300);

	switch (step % SCENE_STEPS) {
	case 0: fill(display, x, y, 180, 120, noise(step) & 0xffffff, ROP_PUT); break;
	case 1: end(display, copy(IMAGE_XRGB8888, 0, x, y, 200, 150, step)); break;
	case 2: move(display, x, y); break;
	case 3: fill(display, x, y, 90, 130, 0xff00ff, ROP_XOR); break;
	case 4: from_surface(display, x, y); break;
	case 5: copy_clipped(display, x, y, step); break;
	case 6: end(display, copy(IMAGE_8BIT, 0, x, y, 77, 55, step)); break;
	case 7: fill_pattern(display, x, y, step); break;
	case 8: end(display, copy(IMAGE_BGR24, 0, x, y, 50, 40, step)); break;
	case 9: copy_masked(display, x, y, step); break;
	case 10: scaled(display, x, y, step); break;
	case 11: frame_buffer(display, x, y, step); break;
	}
}

bool scene_equals(struct display *display, const struct image *image)
{
	struct image *now;
	bool equal;

	assert_int_equal(display_snapshot(display, DISPLAY_PRIMARY, NULL, &now), 0);
	equal = image->width == now->width && image->height == now->height;
	for (uint32_t y = 0; equal && y < now->height; y++) {
		uint32_t *a = (uint32_t *)(void *)(now->data + (size_t)y * now->stride);
		uint32_t *b = (uint32_t *)(void *)(image->data + (size_t)y * image->stride);

		for (uint32_t x = 0; equal && x < now->width; x++) {
			equal = !((a[x] ^ b[x]) & 0xffffff);
			if (!equal)
				print_message("(%u, %u) is %06x, should be %06x\n", x, y,
					b[x] & 0xffffff, a[x] & 0xffffff);
		}
	}
	image_unref(now);
	return equal;
}

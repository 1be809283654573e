/* SPDX-License-Identifier: MIT */
/* Every drawing message but the plain ones, surfaces and bitmaps of every format: what is painted,
 * and that a drawing which is left out keeps the caches right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client_scene.h"
#include "core/util.h"

#define WHITE 0xffffffu

static const uint32_t quad[4] = { RED, GREEN, BLUE, 0x123456 };

static struct proto_image quad_image(void)
{
	return scene_bitmap_of(SPICE_BITMAP_FMT_32BIT, 2, 2, 8, quad);
}

static void clear(struct stage *stage, uint32_t color)
{
	struct msg_draw_fill fill = scene_fill_of(0, 0, WIDTH, HEIGHT, color);

	scene_send_fill(stage, &fill);
}

static const struct proto_brush solid = { .type = SPICE_BRUSH_TYPE_SOLID, .color = 0x0000f0 };

/* ---- pictures and brushes ---- */

static void test_opaque(void **state)
{
	struct stage *stage = *state;

	/* The inverted side is the picture's, not the screen's. */
	clear(stage, WHITE);
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_DRAW_OPAQUE, draw_opaque,
		{ .base = scene_base_of(4, 4, 2, 2),
			.source = quad_image(),
			.area = { 0, 0, 2, 2 },
			.brush = solid,
			.rop = SPICE_ROPD_OP_XOR | SPICE_ROPD_INVERS_SRC });
	assert_int_equal(stage_pixel(stage, 0, 4, 4), (~RED & WHITE) ^ 0xf0);
	assert_int_equal(stage_pixel(stage, 0, 5, 5), (~0x123456u & WHITE) ^ 0xf0);
	assert_int_equal(stage_pixel(stage, 0, 6, 5), WHITE);
	scene_assert_alive(stage);
}

static void test_rop3(void **state)
{
	struct stage *stage = *state;

	/* The source where the brush's bits are set, else the destination. */
	clear(stage, 0xaaaaaa);
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_DRAW_ROP3, draw_rop3,
		{ .base = scene_base_of(4, 4, 2, 2),
			.source = quad_image(),
			.area = { 0, 0, 2, 2 },
			.brush = { .type = SPICE_BRUSH_TYPE_SOLID, .color = 0xff00f0 },
			.rop3 = 0xca });
	assert_int_equal(stage_pixel(stage, 0, 4, 4), 0xffaa0a);
	assert_int_equal(stage_pixel(stage, 0, 4, 5), 0x00aafa);
	scene_assert_alive(stage);
}

static void test_transparent(void **state)
{
	struct stage *stage = *state;

	clear(stage, 0x777777);
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_DRAW_TRANSPARENT, draw_transparent,
		{ .base = scene_base_of(4, 4, 4, 4),
			.source = quad_image(),
			.area = { 0, 0, 2, 2 },
			.source_color = 1,
			.true_color = GREEN });
	assert_int_equal(stage_pixel(stage, 0, 5, 5), RED);
	assert_int_equal(stage_pixel(stage, 0, 6, 5), 0x777777);
	assert_int_equal(stage_pixel(stage, 0, 7, 7), 0x123456);
	scene_assert_alive(stage);
}

static void test_alpha_blend(void **state)
{
	struct stage *stage = *state;
	struct msg_draw_alpha_blend blend = { .base = scene_base_of(4, 4, 2, 2),
		.alpha = 0x80,
		.source = quad_image(),
		.area = { 0, 0, 2, 2 } };

	clear(stage, 0x000000);
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_DRAW_ALPHA_BLEND, draw_alpha_blend, blend);
	assert_int_equal(stage_pixel(stage, 0, 4, 4), 0x800000);
	/* A surface's unused byte is alpha only where it is said to be. */
	scene_create_surface(stage, 3, 2, 2, SPICE_SURFACE_FMT_32_xRGB);
	for (int has = 0; has < 2; has++) {
		struct msg_draw_fill fill = scene_fill_of(0, 0, 2, 2, 0x40000040);

		fill.base.surface_id = 3;
		scene_send_fill(stage, &fill);
		clear(stage, 0x808080);
		blend.source = (struct proto_image){ .present = true,
			.type = SPICE_IMAGE_TYPE_SURFACE,
			.width = 2,
			.height = 2,
			.surface_id = 3 };
		blend.alpha = 255;
		blend.flags = has ? SPICE_ALPHA_FLAGS_SRC_SURFACE_HAS_ALPHA : 0;
		STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_DRAW_ALPHA_BLEND, draw_alpha_blend,
			blend);
		assert_int_equal(stage_pixel(stage, 0, 4, 4), has ? 0x6060a0 : 0x000040);
	}
	scene_assert_alive(stage);
}

/* ---- shapes ---- */

static struct path_point at(int32_t x, int32_t y)
{
	return (struct path_point){ x * 16, y * 16 };
}

static void test_stroke(void **state)
{
	struct path_segment segments[] = { { PATH_BEGIN | PATH_END, 0, 2 },
		{ PATH_BEGIN | PATH_END | PATH_CLOSE, 2, 4 } };
	struct path_point points[] = { at(2, 2), at(22, 2), at(30, 10), at(40, 10), at(40, 20),
		at(30, 20) };
	struct draw_path path = { segments, 2, points, 6 };
	static const int32_t dashes[] = { 4 * 16, 2 * 16 };
	struct stage *stage = *state;
	struct msg_draw_stroke stroke = { .base = scene_base_of(0, 0, WIDTH, HEIGHT),
		.path.path = &path,
		.brush = { .type = SPICE_BRUSH_TYPE_SOLID, .color = RED },
		.rop = SPICE_ROPD_OP_PUT };

	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_DRAW_STROKE, draw_stroke, stroke);
	for (uint32_t x = 0; x < 24; x++)
		assert_int_equal(stage_pixel(stage, 0, x, 2), x >= 2 && x < 22 ? RED : 0);
	assert_int_equal(stage_pixel(stage, 0, 35, 10), RED);
	assert_int_equal(stage_pixel(stage, 0, 30, 15), RED); /* closed */
	assert_int_equal(stage_pixel(stage, 0, 35, 15), 0);
	clear(stage, 0);
	stroke.line = (struct proto_line){
		.flags = SPICE_LINE_FLAGS_STYLED, .dash_count = 2, .dashes = dashes
	};
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_DRAW_STROKE, draw_stroke, stroke);
	for (uint32_t x = 2; x < 22; x++)
		assert_int_equal(stage_pixel(stage, 0, x, 2), (x - 2) % 6 < 4 ? RED : 0);
	scene_assert_alive(stage);
}

/* A glyph of 3 x 2, its lower row first, in each depth. */
static void test_text(void **state)
{
	static const struct {
		uint8_t depth;
		uint8_t bits[6];
		uint32_t over_blue, over_gray;
	} cases[] = {
		{ 1, { 0x40, 0xa0 }, GREEN, GREEN },
		/* The most of four bits is not quite all. */
		{ 4, { 0x0f, 0x00, 0xf0, 0xf0 }, 0x00f00f, 0x01f101 },
		{ 8, { 0, 255, 0, 255, 0, 255 }, GREEN, GREEN },
	};
	struct stage *stage = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct glyph glyph = {
			.position = { 10, 20 }, .origin = { 1, -2 }, .width = 3, .height = 2
		};
		uint8_t bits[6];
		struct text_string string = { .depth = cases[i].depth,
			.count = 1,
			.glyphs = &glyph,
			.bits = bits,
			.size = 6 };

		memcpy(bits, cases[i].bits, sizeof(bits));
		clear(stage, 0x101010);
		STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_DRAW_TEXT, draw_text,
			{ .base = scene_base_of(0, 0, WIDTH, HEIGHT),
				.string = { .flags = proto_string_flags(cases[i].depth),
					.string = &string },
				.back_area = { 8, 16, 13, 24 },
				.brush = { .type = SPICE_BRUSH_TYPE_SOLID, .color = GREEN },
				.back_brush = { .type = SPICE_BRUSH_TYPE_SOLID, .color = BLUE },
				.rop = SPICE_ROPD_OP_PUT,
				.back_rop = SPICE_ROPD_OP_PUT });
		assert_int_equal(stage_pixel(stage, 0, 8, 16), BLUE);
		assert_int_equal(stage_pixel(stage, 0, 7, 16), 0x101010);
		for (uint32_t x = 0; x < 3; x++) {
			bool blue = 11 + x < 13;
			uint32_t back = blue ? BLUE : 0x101010;
			uint32_t ink = blue ? cases[i].over_blue : cases[i].over_gray;

			assert_int_equal(stage_pixel(stage, 0, 11 + x, 18), x == 1 ? back : ink);
			assert_int_equal(stage_pixel(stage, 0, 11 + x, 19), x == 1 ? ink : back);
		}
	}
	scene_assert_alive(stage);
}

/* ---- compositions ---- */

static void test_composite(void **state)
{
	static const uint32_t coverage[4] = { 0xffu << 24, 0, 0x80u << 24, 0 };
	static const uint8_t alpha[4] = { 255, 0, 0x80, 0 };
	struct stage *stage = *state;
	struct msg_draw_composite msg = { .base = scene_base_of(0, 0, 4, 1),
		.composite = { .flags = PIXMAN_OP_OVER | SPICE_COMPOSITE_HAS_MASK |
				SPICE_COMPOSITE_HAS_SRC_TRANSFORM,
			.source = quad_image(),
			.mask = scene_bitmap_of(SPICE_BITMAP_FMT_RGBA, 4, 1, 16, coverage),
			/* Half as fast through the source: each of its pixels twice. */
			.source_transform = { { 0x8000, 0, 0 }, { 0, 0x8000, 0 } } } };

	clear(stage, 0);
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_DRAW_COMPOSITE, draw_composite, msg);
	assert_int_equal(stage_pixel(stage, 0, 0, 0), RED);
	assert_int_equal(stage_pixel(stage, 0, 1, 0), 0);
	assert_int_equal(stage_pixel(stage, 0, 2, 0), 0x008000);
	assert_int_equal(stage_pixel(stage, 0, 3, 0), 0);
	/* Glyphs are gathered on a surface of alpha alone, and then stamped. */
	scene_create_surface(stage, 5, 8, 8, SPICE_SURFACE_FMT_8_A);
	msg = (struct msg_draw_composite){ .base = scene_base_of(2, 0, 4, 1),
		.composite = { .flags = PIXMAN_OP_ADD,
			.source = scene_bitmap_of(SPICE_BITMAP_FMT_8BIT_A, 4, 1, 4, alpha) } };
	msg.base.surface_id = 5;
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_DRAW_COMPOSITE, draw_composite, msg);
	msg = (struct msg_draw_composite){ .base = scene_base_of(10, 10, 8, 8),
		.composite = { .flags = PIXMAN_OP_OVER | SPICE_COMPOSITE_HAS_MASK |
				PIXMAN_REPEAT_NORMAL << 14,
			.source = scene_bitmap_of(SPICE_BITMAP_FMT_32BIT, 1, 1, 4, quad),
			.mask = { .present = true,
				.type = SPICE_IMAGE_TYPE_SURFACE,
				.width = 8,
				.height = 8,
				.surface_id = 5 } } };
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_DRAW_COMPOSITE, draw_composite, msg);
	assert_int_equal(stage_pixel(stage, 0, 11, 10), 0);
	assert_int_equal(stage_pixel(stage, 0, 12, 10), RED);
	assert_int_equal(stage_pixel(stage, 0, 14, 10), 0x800000);
	/* An operator that there is not draws nothing, and breaks nothing. */
	msg.composite.flags |= 0xff;
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_DRAW_COMPOSITE, draw_composite, msg);
	assert_int_equal(stage_pixel(stage, 0, 12, 10), RED);
	scene_assert_alive(stage);
}

/* ---- formats ---- */

static void test_16_bit(void **state)
{
	static const struct {
		uint32_t format;
		uint32_t word; /* green */
		uint32_t seen;
	} cases[] = {
		{ SPICE_SURFACE_FMT_16_565, 0x07e0, GREEN },
		{ SPICE_SURFACE_FMT_16_555, 0x03e0, GREEN },
	};
	static const uint32_t pixels[2] = { 0xf83010, 0x08fc88 };
	struct stage *stage = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct proto_image image = scene_bitmap_of(SPICE_BITMAP_FMT_32BIT, 2, 1, 8, pixels);
		struct msg_draw_copy copy = scene_copy_of(4, 0, &image);
		/* Brushes bring the surface's own words. */
		struct msg_draw_fill fill = scene_fill_of(0, 0, 2, 2, cases[i].word);
		struct proto_image whole = { .present = true,
			.type = SPICE_IMAGE_TYPE_SURFACE,
			.width = 16,
			.height = 8,
			.surface_id = 2 };

		scene_create_surface(stage, 2, 16, 8, cases[i].format);
		fill.base.surface_id = 2;
		scene_send_fill(stage, &fill);
		copy.base.surface_id = 2;
		scene_send_copy(stage, &copy);
		STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_COPY_BITS, copy_bits,
			{ .base = { .surface_id = 2, .box = { 8, 2, 10, 3 } }, .from = { 4, 0 } });
		copy = scene_copy_of(20, 20, &whole);
		scene_send_copy(stage, &copy);
		assert_int_equal(stage_pixel(stage, 0, 20, 20), cases[i].seen);
		for (uint32_t x = 0; x < 2; x++) {
			uint32_t lost = cases[i].format == SPICE_SURFACE_FMT_16_565 ? 0xf8fcf8
										    : 0xf8f8f8;

			assert_int_equal(
				stage_pixel(stage, 0, 24 + x, 20) & lost, pixels[x] & lost);
			assert_int_equal(
				stage_pixel(stage, 0, 28 + x, 22) & lost, pixels[x] & lost);
		}
	}
	scene_assert_alive(stage);
}

static void test_bitmap_formats(void **state)
{
	static const uint8_t bits_le[4] = { 0x01 }, bits_be[4] = { 0x80 };
	static const uint8_t nibbles_le[4] = { 0x21 }, nibbles_be[4] = { 0x12 };
	static const uint8_t bytes[4] = { 1, 2 }, bgr[6] = { 3, 2, 1, 6, 5, 4 };
	static const uint16_t words[2] = { 0x7c00, 0x001f };
	static const struct {
		uint8_t format;
		const void *data;
		uint32_t stride;
		uint32_t first, second;
	} cases[] = {
		{ SPICE_BITMAP_FMT_1BIT_LE, bits_le, 4, GREEN, RED },
		{ SPICE_BITMAP_FMT_1BIT_BE, bits_be, 4, GREEN, RED },
		{ SPICE_BITMAP_FMT_4BIT_LE, nibbles_le, 4, GREEN, BLUE },
		{ SPICE_BITMAP_FMT_4BIT_BE, nibbles_be, 4, GREEN, BLUE },
		{ SPICE_BITMAP_FMT_8BIT, bytes, 4, GREEN, BLUE },
		{ SPICE_BITMAP_FMT_16BIT, words, 4, RED, BLUE },
		{ SPICE_BITMAP_FMT_24BIT, bgr, 6, 0x010203, 0x040506 },
		{ SPICE_BITMAP_FMT_32BIT, quad, 8, RED, GREEN },
		{ SPICE_BITMAP_FMT_RGBA, quad, 8, RED, GREEN },
	};
	static const uint32_t palette[3] = { RED, GREEN, BLUE };
	struct stage *stage = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct proto_image image =
			scene_bitmap_of(cases[i].format, 2, 1, cases[i].stride, cases[i].data);
		struct msg_draw_copy copy;

		image.bitmap.palette.count =
			image_format_palette(proto_image_format(cases[i].format)) ? 3 : 0;
		image.bitmap.palette.ents = (const uint8_t *)palette;
		copy = scene_copy_of(6, 7, &image);
		scene_send_copy(stage, &copy);
		if (stage_pixel(stage, 0, 6, 7) != cases[i].first ||
			stage_pixel(stage, 0, 7, 7) != cases[i].second)
			fail_msg("format %u: %06x %06x", cases[i].format,
				stage_pixel(stage, 0, 6, 7), stage_pixel(stage, 0, 7, 7));
	}
	scene_assert_alive(stage);
}

/* The unused byte is set only where the image says so: what is blended from there shows it. */
static void test_high_bits(void **state)
{
	struct stage *stage = *state;
	struct proto_image image = quad_image();

	scene_create_surface(stage, 4, 2, 2, SPICE_SURFACE_FMT_32_ARGB);
	for (int high = 0; high < 2; high++) {
		struct msg_draw_copy copy;

		image.flags = high ? SPICE_IMAGE_FLAGS_HIGH_BITS_SET : 0;
		copy = scene_copy_of(0, 0, &image);
		copy.base.surface_id = 4;
		scene_send_copy(stage, &copy);
		clear(stage, BLUE);
		STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_DRAW_ALPHA_BLEND, draw_alpha_blend,
			{ .base = scene_base_of(0, 0, 2, 2),
				.alpha = 255,
				.flags = SPICE_ALPHA_FLAGS_SRC_SURFACE_HAS_ALPHA,
				.source = { .present = true,
					.type = SPICE_IMAGE_TYPE_SURFACE,
					.width = 2,
					.height = 2,
					.surface_id = 4 },
				.area = { 0, 0, 2, 2 } });
		assert_int_equal(stage_pixel(stage, 0, 0, 0), high ? RED : RED | BLUE);
	}
	scene_assert_alive(stage);
}

/* ---- drawings that are left out ---- */

static void test_left_out(void **state)
{
	struct stage *stage = *state;
	struct proto_image kept = quad_image(),
			   cached = { .present = true,
				   .type = SPICE_IMAGE_TYPE_FROM_CACHE,
				   .width = 2,
				   .height = 2 };
	struct msg_draw_opaque opaque = { .base = scene_base_of(0, 0, 0, 0),
		.source = { .present = true, .type = SPICE_IMAGE_TYPE_FROM_CACHE, .id = 404 },
		.area = { 0, 0, 2, 2 },
		.rop = SPICE_ROPD_OP_PUT,
		.brush = { .type = SPICE_BRUSH_TYPE_PATTERN } };
	struct msg_draw_copy copy;

	/* Of no extent, and with a picture that is not cached: the brush's is kept all the same. */
	kept.id = cached.id = 7;
	kept.flags = SPICE_IMAGE_FLAGS_CACHE_ME;
	opaque.brush.pattern = kept;
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_DRAW_OPAQUE, draw_opaque, opaque);
	copy = scene_copy_of(4, 4, &cached);
	scene_send_copy(stage, &copy);
	assert_int_equal(stage_pixel(stage, 0, 4, 4), RED);
	scene_assert_alive(stage);
}

static void test_bad_glyph(void **state)
{
	struct stage *stage = *state;
	struct glyph glyph = { .position = { 1 << 30, 0 }, .width = 1, .height = 1 };
	uint8_t bits[1] = { 0x80 };
	struct text_string string = {
		.depth = 1, .count = 1, .glyphs = &glyph, .bits = bits, .size = 1
	};

	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_DRAW_TEXT, draw_text,
		{ .base = scene_base_of(0, 0, 8, 8),
			.string = { .flags = SPICE_STRING_FLAGS_RASTER_A1, .string = &string },
			.rop = SPICE_ROPD_OP_PUT });
	scene_assert_ended(stage);
}

int main(void)
{
#define STAGED(test) cmocka_unit_test_setup_teardown(test, scene_setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		STAGED(test_opaque),
		STAGED(test_rop3),
		STAGED(test_transparent),
		STAGED(test_alpha_blend),
		STAGED(test_stroke),
		STAGED(test_text),
		STAGED(test_composite),
		STAGED(test_16_bit),
		STAGED(test_bitmap_formats),
		STAGED(test_high_bits),
		STAGED(test_left_out),
		STAGED(test_bad_glyph),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

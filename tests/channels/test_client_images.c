/* SPDX-License-Identifier: MIT */
/* The pictures that drawings bring: every type, the caches, and what is broken in either. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client_scene.h"
#include "codecs/jpeg.h"
#include "codecs/lz.h"
#include "codecs/lz4.h"
#include "codecs/quic.h"
#include "codecs/zlib_stream.h"
#include "core/util.h"

static void test_palettes(void **state)
{
	static const uint8_t indices[4] = { 0, 1, 1, 0 };
	uint32_t palette[256] = { RED, GREEN };
	struct stage *stage = *state;
	struct proto_image image = scene_bitmap_of(SPICE_BITMAP_FMT_8BIT, 2, 2, 2, indices);
	struct msg_draw_copy copy;

	image.bitmap.palette = (struct proto_palette){
		.cache_me = true, .id = 5, .count = 256, .ents = (const uint8_t *)palette
	};
	copy = scene_copy_of(0, 0, &image);
	scene_send_copy(stage, &copy);
	assert_int_equal(stage_pixel(stage, 0, 0, 0), RED);
	assert_int_equal(stage_pixel(stage, 0, 1, 0), GREEN);
	image.bitmap.palette = (struct proto_palette){ .from_cache = true, .id = 5 };
	copy = scene_copy_of(10, 0, &image);
	scene_send_copy(stage, &copy);
	assert_int_equal(stage_pixel(stage, 0, 11, 0), GREEN);
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_INVAL_PALETTE, inval_one, { 5 });
	copy = scene_copy_of(20, 0, &image);
	scene_send_copy(stage, &copy);
	assert_int_equal(stage_pixel(stage, 0, 20, 0), 0);
	scene_assert_alive(stage);
}

static void test_pixmap_cache(void **state)
{
	static const uint32_t pixels[4] = { RED, RED, RED, RED };
	struct stage *stage = *state;
	struct proto_image image = scene_bitmap_of(SPICE_BITMAP_FMT_32BIT, 2, 2, 8, pixels);
	struct proto_image cached = {
		.present = true, .id = 0x1122334455667788, .type = SPICE_IMAGE_TYPE_FROM_CACHE
	};
	struct proto_resource item = { SPICE_RES_TYPE_PIXMAP, cached.id };
	struct msg_draw_copy copy;

	image.id = cached.id;
	image.flags = SPICE_IMAGE_FLAGS_CACHE_ME;
	cached.width = cached.height = 2;
	copy = scene_copy_of(0, 0, &image);
	scene_send_copy(stage, &copy);
	copy = scene_copy_of(10, 0, &cached);
	scene_send_copy(stage, &copy);
	assert_int_equal(stage_pixel(stage, 0, 11, 1), RED);
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_INVAL_LIST, inval_list,
		{ .list = { .count = 1, .items = &item } });
	copy = scene_copy_of(20, 0, &cached);
	scene_send_copy(stage, &copy);
	assert_int_equal(stage_pixel(stage, 0, 20, 0), 0);
	scene_assert_alive(stage);
}

/* A server that puts more into the cache than it was told fits is cut off. */
static void test_cache_overflow(void **state)
{
	struct stage *stage = *state;
	uint32_t side = 1024;
	uint32_t *pixels = calloc((size_t)side * side, 4);
	struct proto_image image =
		scene_bitmap_of(SPICE_BITMAP_FMT_32BIT, side, side, side * 4, pixels);
	struct client_display *display = &stage->client->display;

	image.flags = SPICE_IMAGE_FLAGS_CACHE_ME;
	for (image.id = 1; image.id < 100 && !stage->events[SPICE_CLIENT_DISCONNECTED];
		image.id++) {
		struct msg_draw_copy copy = scene_copy_of(0, 0, &image);
		uint64_t end = clock_monotonic_ns() + 5000000000u;
		uint32_t items = display->images.cache.items;

		scene_send_copy(stage, &copy);
		while (display->images.cache.items == items && clock_monotonic_ns() < end &&
			!stage->events[SPICE_CLIENT_DISCONNECTED])
			loop_run_once(stage->loop, 10);
	}
	scene_assert_ended(stage);
	assert_true(display->images.cache.pixels <= 2 * display->images.cache.limit_pixels);
	free(pixels);
}

static void test_lz4(void **state)
{
	uint32_t pixels[16 * 16];
	struct stage *stage = *state;
	struct proto_image image = {
		.present = true, .type = SPICE_IMAGE_TYPE_LZ4, .width = 16, .height = 16
	};
	struct buf packed = { 0 };
	struct msg_draw_copy copy;

	for (uint32_t i = 0; i < ARRAY_SIZE(pixels); i++)
		pixels[i] = i * 0x010203;
	assert_int_equal(
		lz4_image_encode(&packed, SPICE_BITMAP_FMT_32BIT, (uint8_t *)pixels, 64, 64, 16),
		0);
	image.packed = (struct wire_bytes){ buf_bytes(&packed), packed.size };
	copy = scene_copy_of(4, 4, &image);
	scene_send_copy(stage, &copy);
	for (uint32_t i = 0; i < ARRAY_SIZE(pixels); i += 7)
		assert_int_equal(stage_pixel(stage, 0, 4 + i % 16, 4 + i / 16), pixels[i]);
	scene_assert_alive(stage);
	/* The sender may turn it upside down. */
	buf_bytes(&packed)[0] = 0;
	scene_send_copy(stage, &copy);
	assert_int_equal(stage_pixel(stage, 0, 4, 19), pixels[0]);
	/* Cut short it is an error, not a crash. */
	image.packed.size = packed.size - 3;
	copy = scene_copy_of(4, 4, &image);
	scene_send_copy(stage, &copy);
	scene_assert_ended(stage);
	buf_finish(&packed);
}

/* A stream with a header of its own: shown; refused when cut short, or of another size than said. */
static void expect_stream(struct stage *stage, uint8_t type, struct buf *stream, int wrong)
{
	struct proto_image image = { .present = true, .type = type, .width = 16, .height = 16 };
	struct msg_draw_copy copy;

	image.packed = (struct wire_bytes){ buf_bytes(stream), stream->size };
	copy = scene_copy_of(4, 4, &image);
	scene_send_copy(stage, &copy);
	for (uint32_t i = 0; i < 256; i += 7)
		assert_int_equal(stage_pixel(stage, 0, 4 + i % 16, 4 + i / 16), i * 0x010203);
	scene_assert_alive(stage);
	if (wrong)
		copy.source.width = 15;
	else
		copy.source.packed.size -= 12;
	scene_send_copy(stage, &copy);
	scene_assert_ended(stage);
	buf_finish(stream);
}

static void fill_pixels(uint32_t pixels[256])
{
	for (uint32_t i = 0; i < 256; i++)
		pixels[i] = i * 0x010203;
}

static void test_quic(void **state)
{
	uint32_t pixels[256];
	struct buf stream = { 0 };

	fill_pixels(pixels);
	assert_int_equal(quic_encode(&stream, QUIC_RGB32, 16, 16, (uint8_t *)pixels, 64), 0);
	expect_stream(*state, SPICE_IMAGE_TYPE_QUIC, &stream, 0);
}

static void test_quic_of_another_size(void **state)
{
	uint32_t pixels[256];
	struct buf stream = { 0 };

	fill_pixels(pixels);
	assert_int_equal(quic_encode(&stream, QUIC_RGB32, 16, 16, (uint8_t *)pixels, 64), 0);
	expect_stream(*state, SPICE_IMAGE_TYPE_QUIC, &stream, 1);
}

static void test_lz(void **state)
{
	uint32_t pixels[256];
	struct buf stream = { 0 };

	fill_pixels(pixels);
	/* Bottom-up on the wire: the rows are given from the last one on. */
	assert_int_equal(lz_encode(&stream, LZ_RGB32, 16, 16, false,
				 (uint8_t *)pixels + 15 * (ptrdiff_t)64, -64),
		0);
	expect_stream(*state, SPICE_IMAGE_TYPE_LZ_RGB, &stream, 0);
}

static void test_lz_palette(void **state)
{
	static const uint8_t indices[8] = { 0x01, 0x10, 0, 0, 0x11, 0x01, 0, 0 };
	uint32_t palette[16] = { RED, GREEN };
	struct stage *stage = *state;
	struct proto_image image = {
		.present = true, .type = SPICE_IMAGE_TYPE_LZ_PLT, .width = 4, .height = 2
	};
	struct buf stream = { 0 };
	struct msg_draw_copy copy;

	assert_int_equal(lz_encode(&stream, LZ_PLT4_BE, 4, 2, true, indices, 4), 0);
	image.lz_palette.top_down = true;
	image.lz_palette.palette =
		(struct proto_palette){ .count = 16, .ents = (const uint8_t *)palette };
	image.lz_palette.data = (struct wire_bytes){ buf_bytes(&stream), stream.size };
	copy = scene_copy_of(0, 0, &image);
	scene_send_copy(stage, &copy);
	assert_int_equal(stage_pixel(stage, 0, 0, 0), RED);
	assert_int_equal(stage_pixel(stage, 0, 1, 0), GREEN);
	assert_int_equal(stage_pixel(stage, 0, 2, 0), GREEN);
	assert_int_equal(stage_pixel(stage, 0, 2, 1), RED);
	assert_int_equal(stage_pixel(stage, 0, 3, 1), GREEN);
	scene_assert_alive(stage);
	/* Indices where colours are due. */
	image = (struct proto_image){
		.present = true, .type = SPICE_IMAGE_TYPE_LZ_RGB, .width = 4, .height = 2
	};
	image.packed = (struct wire_bytes){ buf_bytes(&stream), stream.size };
	copy = scene_copy_of(0, 0, &image);
	scene_send_copy(stage, &copy);
	scene_assert_ended(stage);
	buf_finish(&stream);
}

/* ---- GLZ ---- */

static struct proto_image packed_of(uint8_t type, uint32_t side, const struct buf *stream)
{
	struct proto_image image = { .present = true, .type = type, .width = side, .height = side };

	image.packed = (struct wire_bytes){ buf_bytes(stream), stream->size };
	return image;
}

static void send_at(struct stage *stage, int32_t x, const struct proto_image *image)
{
	struct msg_draw_copy copy = scene_copy_of(x, 4, image);

	scene_send_copy(stage, &copy);
}

static void expect_pixels(struct stage *stage, uint32_t x, const uint32_t pixels[256])
{
	for (uint32_t i = 0; i < 256; i += 7)
		assert_int_equal(
			stage_pixel(stage, 0, x + i % 16, 4 + i / 16), pixels[i] & 0xffffff);
}

static void encode_glz(struct glz_dictionary *dictionary, struct buf *stream, bool top_down,
	const uint32_t pixels[256])
{
	const uint8_t *first = (const uint8_t *)pixels + (top_down ? 0 : 15 * 64);

	buf_clear(stream);
	assert_int_equal(glz_encode(dictionary, stream, LZ_RGB32, 16, 16, top_down, first,
				 top_down ? 64 : -64),
		0);
}

/* Pictures that refer to earlier ones, also to one whose drawing was left out. */
static void test_glz(void **state)
{
	struct stage *stage = *state;
	struct glz_dictionary *dictionary;
	struct proto_image image;
	struct msg_draw_copy copy;
	struct buf stream = { 0 }, zlib = { 0 };
	uint32_t pixels[256];
	size_t first;

	for (uint32_t i = 0; i < 256; i++)
		pixels[i] = i * 2654435761u & 0xffffff;
	assert_int_equal(glz_dictionary_create(&dictionary, 1 << 16), 0);
	encode_glz(dictionary, &stream, true, pixels);
	first = stream.size;
	image = packed_of(SPICE_IMAGE_TYPE_GLZ_RGB, 16, &stream);
	copy = scene_copy_of(0, 4, &image);
	copy.base.surface_id = 5; /* there is no such surface */
	scene_send_copy(stage, &copy);
	encode_glz(dictionary, &stream, true, pixels);
	assert_true(stream.size < first / 2);
	image = packed_of(SPICE_IMAGE_TYPE_GLZ_RGB, 16, &stream);
	send_at(stage, 0, &image);
	expect_pixels(stage, 0, pixels);
	/* From the bottom up, and packed once more. */
	encode_glz(dictionary, &stream, false, pixels);
	assert_int_equal(zlib_stream_encode(&zlib, buf_bytes(&stream), stream.size), 0);
	image = packed_of(SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB, 16, &stream);
	image.zlib_glz.glz_size = (uint32_t)stream.size;
	image.zlib_glz.data = (struct wire_bytes){ buf_bytes(&zlib), zlib.size };
	send_at(stage, 20, &image);
	expect_pixels(stage, 20, pixels);
	scene_assert_alive(stage);
	/* One that refers to a picture which never comes cannot wait for another channel. */
	encode_glz(dictionary, &stream, true, pixels);
	pixels[7] = 0;
	encode_glz(dictionary, &stream, true, pixels);
	image = packed_of(SPICE_IMAGE_TYPE_GLZ_RGB, 16, &stream);
	send_at(stage, 0, &image);
	scene_assert_ended(stage);
	glz_dictionary_destroy(dictionary);
	buf_finish(&stream);
	buf_finish(&zlib);
}

static void test_zlib_bomb(void **state)
{
	struct stage *stage = *state;
	uint8_t *zeros = calloc(1, 1 << 20);
	struct proto_image image = {
		.present = true, .type = SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB, .width = 16, .height = 16
	};
	struct buf zlib = { 0 };

	assert_int_equal(zlib_stream_encode(&zlib, zeros, 1 << 20), 0);
	image.zlib_glz.glz_size = 0xffffffff;
	image.zlib_glz.data = (struct wire_bytes){ buf_bytes(&zlib), zlib.size };
	send_at(stage, 0, &image);
	scene_assert_ended(stage);
	buf_finish(&zlib);
	free(zeros);
}

/* ---- JPEG ---- */

static void fill_gray(uint32_t pixels[256], uint32_t alpha)
{
	for (uint32_t i = 0; i < 256; i++)
		pixels[i] = alpha << 24 | (i % 16 * 8 + 50) * 0x010101;
}

static uint32_t distance(uint32_t a, uint32_t b)
{
	uint32_t most = 0;

	for (int shift = 0; shift < 24; shift += 8)
		most = MAX(most, (uint32_t)abs((int)(a >> shift & 255) - (int)(b >> shift & 255)));
	return most;
}

static void test_jpeg(void **state)
{
	struct stage *stage = *state;
	struct proto_image image;
	struct buf stream = { 0 };
	uint32_t pixels[256];

	fill_gray(pixels, 0);
	assert_int_equal(
		jpeg_picture_encode(&stream, 16, 16, (uint8_t *)pixels, 64, 90, JPEG_444), 0);
	image = packed_of(SPICE_IMAGE_TYPE_JPEG, 16, &stream);
	send_at(stage, 0, &image);
	for (uint32_t i = 0; i < 256; i++)
		assert_true(distance(stage_pixel(stage, 0, i % 16, 4 + i / 16), pixels[i]) < 8);
	image.width = 15;
	send_at(stage, 0, &image);
	scene_assert_ended(stage);
	buf_finish(&stream);
}

static void test_jpeg_alpha(void **state)
{
	struct stage *stage = *state;
	struct proto_image image;
	struct msg_draw_alpha_blend blend = {
		.base = scene_base_of(0, 0, 16, 16), .alpha = 255, .area = { 0, 0, 16, 16 }
	};
	struct buf stream = { 0 };
	struct msg_draw_fill gray = scene_fill_of(0, 0, 16, 16, 0x202020);
	uint32_t pixels[256];
	size_t jpeg_bytes;

	fill_gray(pixels, 255);
	for (uint32_t i = 128; i < 256; i++)
		pixels[i] &= 0xffffff; /* the lower half: premultiplied, it is added */
	assert_int_equal(jpeg_alpha_encode(
				 &stream, &jpeg_bytes, 16, 16, (uint8_t *)pixels, 64, 90, JPEG_444),
		0);
	image = packed_of(SPICE_IMAGE_TYPE_JPEG_ALPHA, 16, &stream);
	image.jpeg_alpha.top_down = true;
	image.jpeg_alpha.jpeg_size = (uint32_t)jpeg_bytes;
	image.jpeg_alpha.data = (struct wire_bytes){ buf_bytes(&stream), stream.size };
	blend.source = image;
	scene_send_fill(stage, &gray);
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_DRAW_ALPHA_BLEND, draw_alpha_blend, blend);
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t expected = (pixels[i] & 0xffffff) + (i < 128 ? 0 : 0x202020);

		assert_true(distance(stage_pixel(stage, 0, i % 16, i / 16), expected) < 8);
	}
	scene_assert_alive(stage);
	buf_finish(&stream);
}

/* ---- what is lossy in the cache ---- */

/* The picture of the id, in another place; black if it is not there. */
static uint32_t cached_pixel(struct stage *stage, uint64_t id, bool lossless)
{
	struct proto_image cached = { .present = true,
		.id = id,
		.type = lossless ? SPICE_IMAGE_TYPE_FROM_CACHE_LOSSLESS
				 : SPICE_IMAGE_TYPE_FROM_CACHE,
		.width = 16,
		.height = 16 };
	struct msg_draw_fill black = scene_fill_of(40, 4, 16, 16, 0);

	scene_send_fill(stage, &black);
	send_at(stage, 40, &cached);
	return stage_pixel(stage, 0, 48, 12);
}

static void test_lossy_cache(void **state)
{
	struct stage *stage = *state;
	struct proto_image lossy, exact;
	struct buf stream = { 0 };
	uint32_t pixels[256];

	fill_gray(pixels, 0);
	assert_int_equal(
		jpeg_picture_encode(&stream, 16, 16, (uint8_t *)pixels, 64, 10, JPEG_420), 0);
	lossy = packed_of(SPICE_IMAGE_TYPE_JPEG, 16, &stream);
	lossy.id = 9;
	lossy.flags = SPICE_IMAGE_FLAGS_CACHE_ME;
	send_at(stage, 0, &lossy);
	assert_int_not_equal(cached_pixel(stage, 9, false), 0);
	assert_int_equal(cached_pixel(stage, 9, true), 0); /* there is only a lossy one */
	exact = scene_bitmap_of(SPICE_BITMAP_FMT_32BIT, 16, 16, 64, pixels);
	exact.id = 9;
	exact.flags = SPICE_IMAGE_FLAGS_CACHE_REPLACE_ME;
	send_at(stage, 0, &exact);
	assert_int_equal(cached_pixel(stage, 9, true), pixels[8 * 16 + 8]);
	assert_int_equal(cached_pixel(stage, 9, false), pixels[8 * 16 + 8]);
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_INVAL_ALL_PIXMAPS, wait_for_channels,
		{ .list = { .count = 0 } });
	assert_int_equal(cached_pixel(stage, 9, false), 0);
	scene_assert_alive(stage);
	lossy.flags = SPICE_IMAGE_FLAGS_CACHE_REPLACE_ME;
	send_at(stage, 0, &lossy);
	scene_assert_ended(stage);
	buf_finish(&stream);
}

/* As many palettes as servers assume, of which any may be replaced. */
static void test_palette_slots(void **state)
{
	static const uint8_t index[4] = { 3 };
	uint32_t colors[16] = { 0 };
	struct stage *stage = *state;
	struct proto_image image = scene_bitmap_of(SPICE_BITMAP_FMT_4BIT_LE, 1, 1, 1, index);
	struct msg_draw_copy copy = scene_copy_of(0, 0, &image);
	struct proto_palette *palette = &copy.source.bitmap.palette;

	for (uint64_t id = 0; id < 400; id++) {
		if (id >= 128) /* all but the first goes, in turn */
			STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_INVAL_PALETTE, inval_one,
				{ id - 127 });
		colors[3] = 0x1000 + (uint32_t)id;
		*palette = (struct proto_palette){
			.cache_me = true, .id = id, .count = 16, .ents = (uint8_t *)colors
		};
		scene_send_copy(stage, &copy);
	}
	*palette = (struct proto_palette){ .from_cache = true, .id = 0 };
	scene_send_copy(stage, &copy);
	assert_int_equal(stage_pixel(stage, 0, 0, 0), 0x1000);
	palette->id = 399;
	scene_send_copy(stage, &copy);
	assert_int_equal(stage_pixel(stage, 0, 0, 0), 0x1000 + 399);
	stage_send(stage, DISPLAY, SPICE_MSG_DISPLAY_INVAL_ALL_PALETTES, NULL);
	palette->id = 0;
	scene_send_copy(stage, &copy);
	assert_int_equal(stage_pixel(stage, 0, 0, 0), 0x1000 + 399); /* left out */
	scene_assert_alive(stage);
}

int main(void)
{
#define STAGED(test) cmocka_unit_test_setup_teardown(test, scene_setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		STAGED(test_palettes),
		STAGED(test_palette_slots),
		STAGED(test_pixmap_cache),
		STAGED(test_cache_overflow),
		STAGED(test_lossy_cache),
		STAGED(test_lz4),
		STAGED(test_quic),
		STAGED(test_quic_of_another_size),
		STAGED(test_lz),
		STAGED(test_lz_palette),
		STAGED(test_glz),
		STAGED(test_zlib_bomb),
		STAGED(test_jpeg),
		STAGED(test_jpeg_alpha),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

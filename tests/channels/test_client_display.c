/* SPDX-License-Identifier: MIT */
/* The display channel: fills and copies, surfaces, limits, and messages that are cut short or changed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "client_scene.h"
#include "core/util.h"

/* ---- drawings ---- */

static void test_fill(void **state)
{
	struct stage *stage = *state;
	struct msg_draw_fill fill = scene_fill_of(10, 10, 20, 20, RED);
	struct rect part = rect_make(12, 12, 4, 4);
	struct region clip;

	scene_send_fill(stage, &fill);
	assert_int_equal(stage_pixel(stage, 0, 10, 10), RED);
	assert_int_equal(stage_pixel(stage, 0, 9, 10), 0);
	assert_int_equal(stage_pixel(stage, 0, 30, 29), 0);
	region_init_rect(&clip, &part);
	fill.brush.color = GREEN;
	fill.base.clip = (struct proto_clip){ .clipped = true, .region = &clip };
	scene_send_fill(stage, &fill);
	assert_int_equal(stage_pixel(stage, 0, 12, 12), GREEN);
	assert_int_equal(stage_pixel(stage, 0, 16, 12), RED);
	region_finish(&clip);
	/* Partly outside, and far outside. */
	fill = scene_fill_of(-10, 40, 20, 100, BLUE);
	scene_send_fill(stage, &fill);
	assert_int_equal(stage_pixel(stage, 0, 9, 47), BLUE);
	fill = scene_fill_of(1000, 1000, 20, 20, BLUE);
	scene_send_fill(stage, &fill);
	/* Inverting raster operation, and the fills that need no brush. */
	fill = scene_fill_of(0, 0, 2, 2, 0);
	fill.rop = SPICE_ROPD_OP_INVERS;
	scene_send_fill(stage, &fill);
	assert_int_equal(stage_pixel(stage, 0, 1, 1), 0xffffff);
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_DRAW_BLACKNESS, draw_masked,
		{ .base = scene_base_of(0, 0, 1, 1) });
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_DRAW_WHITENESS, draw_masked,
		{ .base = scene_base_of(10, 10, 1, 1) });
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_DRAW_INVERS, draw_masked,
		{ .base = scene_base_of(11, 10, 1, 1) });
	assert_int_equal(stage_pixel(stage, 0, 0, 0), 0);
	assert_int_equal(stage_pixel(stage, 0, 10, 10), 0xffffff);
	assert_int_equal(stage_pixel(stage, 0, 11, 10), 0x00ffff);
	scene_assert_alive(stage);
}

static void test_copy(void **state)
{
	static const uint32_t pixels[4] = { RED, GREEN, BLUE, 0x123456 };
	struct stage *stage = *state;
	struct proto_image image = scene_bitmap_of(SPICE_BITMAP_FMT_32BIT, 2, 2, 8, pixels);
	struct msg_draw_copy copy = scene_copy_of(5, 6, &image);
	struct msg_copy_bits bits = { .base = scene_base_of(20, 20, 2, 2), .from = { 5, 6 } };

	scene_send_copy(stage, &copy);
	assert_int_equal(stage_pixel(stage, 0, 5, 6), RED);
	assert_int_equal(stage_pixel(stage, 0, 6, 7), 0x123456);
	/* The same, its rows from the bottom up. */
	copy = scene_copy_of(10, 6, &image);
	copy.source.bitmap.top_down = false;
	scene_send_copy(stage, &copy);
	assert_int_equal(stage_pixel(stage, 0, 10, 6), BLUE);
	assert_int_equal(stage_pixel(stage, 0, 10, 7), RED);
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_COPY_BITS, copy_bits, bits);
	assert_int_equal(stage_pixel(stage, 0, 21, 20), GREEN);
	/* Twice as large, nearest. */
	copy = scene_copy_of(30, 30, &image);
	copy.base.box = rect_make(30, 30, 4, 4);
	copy.scale_mode = SPICE_IMAGE_SCALE_MODE_NEAREST;
	scene_send_copy(stage, &copy);
	assert_int_equal(stage_pixel(stage, 0, 31, 31), RED);
	assert_int_equal(stage_pixel(stage, 0, 32, 31), GREEN);
	scene_assert_alive(stage);
}

static void test_mask(void **state)
{
	static const uint8_t bits[2] = { 0x80, 0x40 }; /* the diagonal */
	struct stage *stage = *state;
	struct msg_draw_fill fill = scene_fill_of(0, 0, 2, 2, RED);

	fill.mask.image = scene_bitmap_of(SPICE_BITMAP_FMT_1BIT_BE, 2, 2, 1, bits);
	scene_send_fill(stage, &fill);
	assert_int_equal(stage_pixel(stage, 0, 0, 0), RED);
	assert_int_equal(stage_pixel(stage, 0, 1, 0), 0);
	assert_int_equal(stage_pixel(stage, 0, 1, 1), RED);
	fill.mask.flags = SPICE_MASK_FLAGS_INVERS;
	fill.brush.color = GREEN;
	scene_send_fill(stage, &fill);
	assert_int_equal(stage_pixel(stage, 0, 1, 0), GREEN);
	assert_int_equal(stage_pixel(stage, 0, 0, 0), RED);
	scene_assert_alive(stage);
}

static void test_surfaces(void **state)
{
	struct stage *stage = *state;
	struct msg_draw_fill fill = scene_fill_of(0, 0, 8, 8, BLUE);
	struct proto_image source = {
		.present = true, .type = SPICE_IMAGE_TYPE_SURFACE, .width = 8, .height = 8
	};
	struct msg_draw_copy copy;

	scene_create_surface(stage, 7, 8, 8, SPICE_SURFACE_FMT_32_xRGB);
	fill.base.surface_id = 7;
	scene_send_fill(stage, &fill);
	source.surface_id = 7;
	copy = scene_copy_of(3, 3, &source);
	scene_send_copy(stage, &copy);
	assert_int_equal(stage_pixel(stage, 0, 3, 3), BLUE);
	assert_int_equal(stage_pixel(stage, 7, 7, 7), BLUE);
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_SURFACE_DESTROY, surface_destroy, { 7 });
	/* From and to a surface that is gone: nothing is drawn, nothing breaks. */
	copy = scene_copy_of(30, 30, &source);
	scene_send_copy(stage, &copy);
	scene_send_fill(stage, &fill);
	assert_int_equal(stage_pixel(stage, 0, 30, 30), 0);
	scene_assert_alive(stage);
	/* The last picture stays in the hub when the session goes. */
	spice_client_destroy(stage->client);
	stage->client = NULL;
	assert_int_equal(stage_pixel(stage, 0, 3, 3), BLUE);
}

/* What no one has told us of is left out; the session goes on. */
static void test_unknown(void **state)
{
	static const uint8_t data[8] = { 0 };
	struct stage *stage = *state;
	struct msg_draw_fill fill = scene_fill_of(0, 0, 4, 4, RED);

	for (uint16_t type = SPICE_MSG_DISPLAY_STREAM_ACTIVATE_REPORT + 1; type < 400; type++) {
		struct buf body = { 0 };

		assert_int_equal(buf_append(&body, data, sizeof(data)), 0);
		stage_send(stage, DISPLAY, type, &body);
	}
	scene_send_fill(stage, &fill);
	assert_int_equal(stage_pixel(stage, 0, 0, 0), RED);
	scene_assert_alive(stage);
}

/* ---- limits ---- */

static void test_surface_too_large(void **state)
{
	struct stage *stage = *state;

	scene_create_surface(stage, 1, SURFACE_MAX_SIDE + 1, 1, SPICE_SURFACE_FMT_32_xRGB);
	scene_assert_ended(stage);
}

static void test_surface_memory(void **state)
{
	struct stage *stage = *state;

	/* 256 MiB each, of address space only: the third is one too many. */
	scene_create_surface(stage, 1, 8192, 8192, SPICE_SURFACE_FMT_32_xRGB);
	scene_assert_alive(stage);
	scene_create_surface(
		stage, 1, 8192, 8192, SPICE_SURFACE_FMT_32_xRGB); /* in its own place */
	scene_assert_alive(stage);
	scene_create_surface(stage, 2, 8192, 8192, SPICE_SURFACE_FMT_32_xRGB);
	scene_assert_ended(stage);
}

static void test_bad_numbers(void **state)
{
	struct stage *stage = *state;
	struct msg_draw_fill fill = scene_fill_of(0, 0, 4, 4, RED);

	fill.base.box.right = INT32_MAX;
	scene_send_fill(stage, &fill);
	scene_assert_ended(stage);
}

static void test_bad_surface_id(void **state)
{
	struct stage *stage = *state;
	struct msg_draw_fill fill = scene_fill_of(0, 0, 4, 4, RED);

	fill.base.surface_id = DISPLAY_MAX_SURFACES;
	scene_send_fill(stage, &fill);
	scene_assert_ended(stage);
}

/* ---- cut and changed messages, straight into the channels ---- */

struct sample {
	uint8_t channel;
	uint16_t type;
	struct buf body;
};

#define SAMPLE(list, count, to, number, name, ...)                                       \
	do {                                                                             \
		struct msg_##name msg_ = __VA_ARGS__;                                    \
		(list)[*(count)].channel = to;                                           \
		(list)[*(count)].type = number;                                          \
		assert_int_equal(msg_##name##_pack(&(list)[(*count)++].body, &msg_), 0); \
	} while (0)

static void make_samples(struct sample *list, uint32_t *count)
{
	static const uint32_t pixels[64] = { RED, GREEN, BLUE };
	static const uint8_t bits[4] = { 0x80, 0x40 };
	static uint8_t resources[9] = { SPICE_RES_TYPE_PIXMAP, 3 };
	struct proto_image image = scene_bitmap_of(SPICE_BITMAP_FMT_32BIT, 4, 4, 16, pixels);
	struct proto_image indexed = scene_bitmap_of(SPICE_BITMAP_FMT_4BIT_BE, 4, 4, 2, pixels);
	struct msg_draw_fill fill = scene_fill_of(0, 0, 9, 9, RED);
	struct msg_draw_copy copy;
	struct proto_cursor cursor = { .type = SPICE_CURSOR_TYPE_ALPHA,
		.width = 4,
		.height = 4,
		.flags = SPICE_CURSOR_FLAGS_CACHE_ME,
		.data = { (const uint8_t *)pixels, sizeof(pixels) } };

	image.id = 3;
	image.flags = SPICE_IMAGE_FLAGS_CACHE_ME;
	indexed.bitmap.palette = (struct proto_palette){
		.cache_me = true, .id = 8, .count = 16, .ents = (const uint8_t *)pixels
	};
	fill.mask.image = scene_bitmap_of(SPICE_BITMAP_FMT_1BIT_LE, 9, 2, 2, bits);
	SAMPLE(list, count, DISPLAY, SPICE_MSG_DISPLAY_DRAW_FILL, draw_fill, fill);
	fill.brush = (struct proto_brush){ .type = SPICE_BRUSH_TYPE_PATTERN, .pattern = image };
	SAMPLE(list, count, DISPLAY, SPICE_MSG_DISPLAY_DRAW_FILL, draw_fill, fill);
	copy = scene_copy_of(3, 3, &image);
	SAMPLE(list, count, DISPLAY, SPICE_MSG_DISPLAY_DRAW_COPY, draw_copy, copy);
	copy = scene_copy_of(3, 3, &indexed);
	SAMPLE(list, count, DISPLAY, SPICE_MSG_DISPLAY_DRAW_COPY, draw_copy, copy);
	SAMPLE(list, count, DISPLAY, SPICE_MSG_DISPLAY_COPY_BITS, copy_bits,
		{ .base = scene_base_of(1, 1, 9, 9), .from = { 2, 2 } });
	SAMPLE(list, count, DISPLAY, SPICE_MSG_DISPLAY_SURFACE_CREATE, surface_create,
		{ 3, 16, 16, SPICE_SURFACE_FMT_16_565, 0 });
	SAMPLE(list, count, DISPLAY, SPICE_MSG_DISPLAY_INVAL_LIST, inval_list,
		{ .list = { .count = 1, .wire = resources } });
	SAMPLE(list, count, DISPLAY, SPICE_MSG_DISPLAY_MONITORS_CONFIG, monitors_config,
		{ .list = { .count = 2, .items = { { .width = 32 }, { .width = 32, .x = 32 } } } });
	SAMPLE(list, count, DISPLAY, SPICE_MSG_DISPLAY_MODE, display_mode, { 32, 32, 32 });
	SAMPLE(list, count, SPICE_CHANNEL_CURSOR, SPICE_MSG_CURSOR_INIT, cursor_init,
		{ .visible = 1, .cursor = cursor });
	SAMPLE(list, count, SPICE_CHANNEL_CURSOR, SPICE_MSG_CURSOR_SET, cursor_set,
		{ .visible = 1, .cursor = cursor });
	SAMPLE(list, count, SPICE_CHANNEL_INPUTS, SPICE_MSG_INPUTS_KEY_MODIFIERS, key_modifiers,
		{ 3 });
	SAMPLE(list, count, SPICE_CHANNEL_MAIN, SPICE_MSG_MAIN_MOUSE_MODE, mouse_mode, { 1, 1 });
	SAMPLE(list, count, SPICE_CHANNEL_MAIN, SPICE_MSG_MAIN_NAME, name,
		{ .name = { (const uint8_t *)"name", 5 } });
	SAMPLE(list, count, SPICE_CHANNEL_MAIN, SPICE_MSG_MAIN_CHANNELS_LIST, channels_list,
		{ .list = { .count = 1, .items = { { SPICE_CHANNEL_DISPLAY, 0 } } } });
}

static struct client_channel *channel_of(struct spice_client *client, uint8_t type)
{
	switch (type) {
	case SPICE_CHANNEL_DISPLAY: return &client->display.base;
	case SPICE_CHANNEL_CURSOR: return &client->cursor.base;
	case SPICE_CHANNEL_INPUTS: return &client->inputs.base;
	default: return &client->main.base;
	}
}

/* From memory of exactly that size, so that the sanitizer sees a byte too many. */
static int feed(
	struct spice_client *client, const struct sample *sample, const uint8_t *bytes, size_t size)
{
	struct client_channel *channel = channel_of(client, sample->channel);
	uint8_t *exact = malloc(size ? size : 1);
	int ret;

	memcpy(exact, bytes, size);
	ret = channel->ops->message(channel, sample->type, exact, size);
	free(exact);
	return ret;
}

static void test_truncated(void **state)
{
	struct stage *stage = *state;
	struct sample samples[32] = { 0 };
	uint32_t count = 0;

	make_samples(samples, &count);
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *bytes = buf_bytes(&samples[i].body);
		size_t size = samples[i].body.size;

		if (feed(stage->client, &samples[i], bytes, size) != 0)
			fail_msg("sample %u was refused whole", i);
		for (size_t cut = 0; cut < size; cut++) {
			int ret = feed(stage->client, &samples[i], bytes, cut);

			/* A cursor may have bytes to spare behind it. */
			if (ret != -EPROTO && samples[i].channel != SPICE_CHANNEL_CURSOR)
				fail_msg("sample %u, cut to %zu of %zu: %d", i, cut, size, ret);
		}
		buf_finish(&samples[i].body);
	}
	scene_assert_alive(stage);
}

static void test_mutated(void **state)
{
	struct stage *stage = *state;
	struct sample samples[32] = { 0 };
	uint32_t count = 0, seed = 12345;

	make_samples(samples, &count);
	for (uint32_t round = 0; round < 20000; round++) {
		struct sample *sample = &samples[round % count];
		uint8_t copy[1024];
		size_t size = MIN(sample->body.size, sizeof(copy));

		memcpy(copy, buf_bytes(&sample->body), size);
		for (int i = 0; i < 3; i++) {
			seed = seed * 1664525 + 1013904223;
			copy[(seed >> 8) % size] = (uint8_t)(seed >> 24);
		}
		feed(stage->client, sample, copy, size);
		if (round % 500 == 0)
			stage_settle(stage);
	}
	/* Whatever it was, it still draws. */
	if (stage->client->display.surfaces[0]) {
		struct msg_draw_fill fill = scene_fill_of(0, 0, 1, 1, GREEN);
		struct sample last = { .channel = DISPLAY, .type = SPICE_MSG_DISPLAY_DRAW_FILL };

		assert_int_equal(msg_draw_fill_pack(&last.body, &fill), 0);
		assert_int_equal(
			feed(stage->client, &last, buf_bytes(&last.body), last.body.size), 0);
		assert_int_equal(stage_pixel(stage, 0, 0, 0), GREEN);
		buf_finish(&last.body);
	}
	for (uint32_t i = 0; i < count; i++)
		buf_finish(&samples[i].body);
}

int main(void)
{
#define STAGED(test) cmocka_unit_test_setup_teardown(test, scene_setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		STAGED(test_fill),
		STAGED(test_copy),
		STAGED(test_mask),
		STAGED(test_surfaces),
		STAGED(test_unknown),
		STAGED(test_surface_too_large),
		STAGED(test_surface_memory),
		STAGED(test_bad_numbers),
		STAGED(test_bad_surface_id),
		STAGED(test_truncated),
		STAGED(test_mutated),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

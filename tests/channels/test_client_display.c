/* SPDX-License-Identifier: MIT */
/* The display channel: what each message paints, the caches, the caps, and messages that are cut
 * short or changed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "client_stage.h"
#include "codecs/lz.h"
#include "codecs/lz4.h"
#include "codecs/quic.h"
#include "core/util.h"

#define DISPLAY SPICE_CHANNEL_DISPLAY

enum { WIDTH = 64, HEIGHT = 48, RED = 0xff0000, GREEN = 0x00ff00, BLUE = 0x0000ff };

/* ---- messages ---- */

static struct proto_base base_of(int32_t x, int32_t y, int32_t width, int32_t height)
{
	return (struct proto_base){ .box = rect_make(x, y, width, height) };
}

static struct msg_draw_fill fill_of(int32_t x, int32_t y, int32_t w, int32_t h, uint32_t color)
{
	return (struct msg_draw_fill){ .base = base_of(x, y, w, h),
		.brush = { .type = SPICE_BRUSH_TYPE_SOLID, .color = color },
		.rop = SPICE_ROPD_OP_PUT };
}

static struct proto_image bitmap_of(
	uint8_t format, uint32_t width, uint32_t height, uint32_t stride, const void *data)
{
	return (struct proto_image){ .present = true,
		.type = SPICE_IMAGE_TYPE_BITMAP,
		.width = width,
		.height = height,
		.bitmap = { .format = format,
			.top_down = true,
			.width = width,
			.height = height,
			.stride = stride,
			.data = { data, (size_t)stride * height } } };
}

static struct msg_draw_copy copy_of(int32_t x, int32_t y, const struct proto_image *image)
{
	return (struct msg_draw_copy){ .base = base_of(
					       x, y, (int32_t)image->width, (int32_t)image->height),
		.source = *image,
		.area = { 0, 0, (int32_t)image->width, (int32_t)image->height },
		.rop = SPICE_ROPD_OP_PUT };
}

static void send_fill(struct stage *stage, const struct msg_draw_fill *fill)
{
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_DRAW_FILL, draw_fill, *fill);
}

static void send_copy(struct stage *stage, const struct msg_draw_copy *copy)
{
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_DRAW_COPY, draw_copy, *copy);
}

static void create_surface(struct stage *stage, uint32_t id, uint32_t width, uint32_t height)
{
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_SURFACE_CREATE, surface_create,
		{ id, width, height, SPICE_SURFACE_FMT_32_xRGB,
			id == 0 ? SPICE_SURFACE_FLAGS_PRIMARY : 0 });
}

static int setup(void **state)
{
	struct stage *stage = malloc(sizeof(*stage));

	stage_open(stage);
	stage_bring_up(stage);
	create_surface(stage, 0, WIDTH, HEIGHT);
	*state = stage;
	return 0;
}

static int teardown(void **state)
{
	stage_close(*state);
	free(*state);
	return 0;
}

static void assert_alive(struct stage *stage)
{
	assert_int_equal(stage->events[SPICE_CLIENT_DISCONNECTED], 0);
}

static void assert_ended(struct stage *stage)
{
	stage_turn(stage, &stage->events[SPICE_CLIENT_DISCONNECTED]);
	assert_non_null(strstr(stage->reason, "broke the SPICE protocol"));
}

/* ---- drawings ---- */

static void test_fill(void **state)
{
	struct stage *stage = *state;
	struct msg_draw_fill fill = fill_of(10, 10, 20, 20, RED);
	struct rect part = rect_make(12, 12, 4, 4);
	struct region clip;

	send_fill(stage, &fill);
	assert_int_equal(stage_pixel(stage, 0, 10, 10), RED);
	assert_int_equal(stage_pixel(stage, 0, 9, 10), 0);
	assert_int_equal(stage_pixel(stage, 0, 30, 29), 0);
	region_init_rect(&clip, &part);
	fill.brush.color = GREEN;
	fill.base.clip = (struct proto_clip){ .clipped = true, .region = &clip };
	send_fill(stage, &fill);
	assert_int_equal(stage_pixel(stage, 0, 12, 12), GREEN);
	assert_int_equal(stage_pixel(stage, 0, 16, 12), RED);
	region_finish(&clip);
	/* Partly outside, and far outside. */
	fill = fill_of(-10, 40, 20, 100, BLUE);
	send_fill(stage, &fill);
	assert_int_equal(stage_pixel(stage, 0, 9, 47), BLUE);
	fill = fill_of(1000, 1000, 20, 20, BLUE);
	send_fill(stage, &fill);
	/* Inverting raster operation, and the fills that need no brush. */
	fill = fill_of(0, 0, 2, 2, 0);
	fill.rop = SPICE_ROPD_OP_INVERS;
	send_fill(stage, &fill);
	assert_int_equal(stage_pixel(stage, 0, 1, 1), 0xffffff);
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_DRAW_BLACKNESS, draw_masked,
		{ .base = base_of(0, 0, 1, 1) });
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_DRAW_WHITENESS, draw_masked,
		{ .base = base_of(10, 10, 1, 1) });
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_DRAW_INVERS, draw_masked,
		{ .base = base_of(11, 10, 1, 1) });
	assert_int_equal(stage_pixel(stage, 0, 0, 0), 0);
	assert_int_equal(stage_pixel(stage, 0, 10, 10), 0xffffff);
	assert_int_equal(stage_pixel(stage, 0, 11, 10), 0x00ffff);
	assert_alive(stage);
}

static void test_copy(void **state)
{
	static const uint32_t pixels[4] = { RED, GREEN, BLUE, 0x123456 };
	struct stage *stage = *state;
	struct proto_image image = bitmap_of(SPICE_BITMAP_FMT_32BIT, 2, 2, 8, pixels);
	struct msg_draw_copy copy = copy_of(5, 6, &image);
	struct msg_copy_bits bits = { .base = base_of(20, 20, 2, 2), .from = { 5, 6 } };

	send_copy(stage, &copy);
	assert_int_equal(stage_pixel(stage, 0, 5, 6), RED);
	assert_int_equal(stage_pixel(stage, 0, 6, 7), 0x123456);
	/* The same, its rows from the bottom up. */
	copy = copy_of(10, 6, &image);
	copy.source.bitmap.top_down = false;
	send_copy(stage, &copy);
	assert_int_equal(stage_pixel(stage, 0, 10, 6), BLUE);
	assert_int_equal(stage_pixel(stage, 0, 10, 7), RED);
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_COPY_BITS, copy_bits, bits);
	assert_int_equal(stage_pixel(stage, 0, 21, 20), GREEN);
	/* Twice as large, nearest. */
	copy = copy_of(30, 30, &image);
	copy.base.box = rect_make(30, 30, 4, 4);
	copy.scale_mode = SPICE_IMAGE_SCALE_MODE_NEAREST;
	send_copy(stage, &copy);
	assert_int_equal(stage_pixel(stage, 0, 31, 31), RED);
	assert_int_equal(stage_pixel(stage, 0, 32, 31), GREEN);
	assert_alive(stage);
}

static void test_mask(void **state)
{
	static const uint8_t bits[2] = { 0x80, 0x40 }; /* the diagonal */
	struct stage *stage = *state;
	struct msg_draw_fill fill = fill_of(0, 0, 2, 2, RED);

	fill.mask.image = bitmap_of(SPICE_BITMAP_FMT_1BIT_BE, 2, 2, 1, bits);
	send_fill(stage, &fill);
	assert_int_equal(stage_pixel(stage, 0, 0, 0), RED);
	assert_int_equal(stage_pixel(stage, 0, 1, 0), 0);
	assert_int_equal(stage_pixel(stage, 0, 1, 1), RED);
	fill.mask.flags = SPICE_MASK_FLAGS_INVERS;
	fill.brush.color = GREEN;
	send_fill(stage, &fill);
	assert_int_equal(stage_pixel(stage, 0, 1, 0), GREEN);
	assert_int_equal(stage_pixel(stage, 0, 0, 0), RED);
	assert_alive(stage);
}

static void test_surfaces(void **state)
{
	struct stage *stage = *state;
	struct msg_draw_fill fill = fill_of(0, 0, 8, 8, BLUE);
	struct proto_image source = {
		.present = true, .type = SPICE_IMAGE_TYPE_SURFACE, .width = 8, .height = 8
	};
	struct msg_draw_copy copy;

	create_surface(stage, 7, 8, 8);
	fill.base.surface_id = 7;
	send_fill(stage, &fill);
	source.surface_id = 7;
	copy = copy_of(3, 3, &source);
	send_copy(stage, &copy);
	assert_int_equal(stage_pixel(stage, 0, 3, 3), BLUE);
	assert_int_equal(stage_pixel(stage, 7, 7, 7), BLUE);
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_SURFACE_DESTROY, surface_destroy, { 7 });
	/* From and to a surface that is gone: nothing is drawn, nothing breaks. */
	copy = copy_of(30, 30, &source);
	send_copy(stage, &copy);
	send_fill(stage, &fill);
	assert_int_equal(stage_pixel(stage, 0, 30, 30), 0);
	assert_alive(stage);
	/* The last picture stays in the hub when the session goes. */
	spice_client_destroy(stage->client);
	stage->client = NULL;
	assert_int_equal(stage_pixel(stage, 0, 3, 3), BLUE);
}

static void test_palettes(void **state)
{
	static const uint8_t indices[4] = { 0, 1, 1, 0 };
	uint32_t palette[256] = { RED, GREEN };
	struct stage *stage = *state;
	struct proto_image image = bitmap_of(SPICE_BITMAP_FMT_8BIT, 2, 2, 2, indices);
	struct msg_draw_copy copy;

	image.bitmap.palette = (struct proto_palette){
		.cache_me = true, .id = 5, .count = 256, .ents = (const uint8_t *)palette
	};
	copy = copy_of(0, 0, &image);
	send_copy(stage, &copy);
	assert_int_equal(stage_pixel(stage, 0, 0, 0), RED);
	assert_int_equal(stage_pixel(stage, 0, 1, 0), GREEN);
	image.bitmap.palette = (struct proto_palette){ .from_cache = true, .id = 5 };
	copy = copy_of(10, 0, &image);
	send_copy(stage, &copy);
	assert_int_equal(stage_pixel(stage, 0, 11, 0), GREEN);
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_INVAL_PALETTE, inval_one, { 5 });
	copy = copy_of(20, 0, &image);
	send_copy(stage, &copy);
	assert_int_equal(stage_pixel(stage, 0, 20, 0), 0);
	assert_alive(stage);
}

static void test_pixmap_cache(void **state)
{
	static const uint32_t pixels[4] = { RED, RED, RED, RED };
	struct stage *stage = *state;
	struct proto_image image = bitmap_of(SPICE_BITMAP_FMT_32BIT, 2, 2, 8, pixels);
	struct proto_image cached = {
		.present = true, .id = 0x1122334455667788, .type = SPICE_IMAGE_TYPE_FROM_CACHE
	};
	uint8_t list[9] = { SPICE_RES_TYPE_PIXMAP, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11 };
	struct msg_draw_copy copy;

	image.id = cached.id;
	image.flags = SPICE_IMAGE_FLAGS_CACHE_ME;
	cached.width = cached.height = 2;
	copy = copy_of(0, 0, &image);
	send_copy(stage, &copy);
	copy = copy_of(10, 0, &cached);
	send_copy(stage, &copy);
	assert_int_equal(stage_pixel(stage, 0, 11, 1), RED);
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_INVAL_LIST, inval_list,
		{ .list = { .count = 1, .wire = list } });
	copy = copy_of(20, 0, &cached);
	send_copy(stage, &copy);
	assert_int_equal(stage_pixel(stage, 0, 20, 0), 0);
	assert_alive(stage);
}

/* A server that puts more into the cache than it was told fits is cut off. */
static void test_cache_overflow(void **state)
{
	struct stage *stage = *state;
	uint32_t side = 1024;
	uint32_t *pixels = calloc((size_t)side * side, 4);
	struct proto_image image = bitmap_of(SPICE_BITMAP_FMT_32BIT, side, side, side * 4, pixels);
	struct client_display *display = &stage->client->display;

	image.flags = SPICE_IMAGE_FLAGS_CACHE_ME;
	for (image.id = 1; image.id < 100 && !stage->events[SPICE_CLIENT_DISCONNECTED];
		image.id++) {
		struct msg_draw_copy copy = copy_of(0, 0, &image);
		uint64_t end = clock_monotonic_ns() + 5000000000u;
		uint32_t items = display->cache.items;

		send_copy(stage, &copy);
		while (display->cache.items == items && clock_monotonic_ns() < end &&
			!stage->events[SPICE_CLIENT_DISCONNECTED])
			loop_run_once(stage->loop, 10);
	}
	assert_ended(stage);
	assert_true(display->cache.pixels <= 2 * (uint64_t)IMAGE_CACHE_PIXELS);
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
	copy = copy_of(4, 4, &image);
	send_copy(stage, &copy);
	for (uint32_t i = 0; i < ARRAY_SIZE(pixels); i += 7)
		assert_int_equal(stage_pixel(stage, 0, 4 + i % 16, 4 + i / 16), pixels[i]);
	assert_alive(stage);
	/* The sender may turn it upside down. */
	buf_bytes(&packed)[0] = 0;
	send_copy(stage, &copy);
	assert_int_equal(stage_pixel(stage, 0, 4, 19), pixels[0]);
	/* Cut short it is an error, not a crash. */
	image.packed.size = packed.size - 3;
	copy = copy_of(4, 4, &image);
	send_copy(stage, &copy);
	assert_ended(stage);
	buf_finish(&packed);
}

/* A stream with a header of its own: shown; refused when cut short, or of another size than said. */
static void expect_stream(struct stage *stage, uint8_t type, struct buf *stream, int wrong)
{
	struct proto_image image = { .present = true, .type = type, .width = 16, .height = 16 };
	struct msg_draw_copy copy;

	image.packed = (struct wire_bytes){ buf_bytes(stream), stream->size };
	copy = copy_of(4, 4, &image);
	send_copy(stage, &copy);
	for (uint32_t i = 0; i < 256; i += 7)
		assert_int_equal(stage_pixel(stage, 0, 4 + i % 16, 4 + i / 16), i * 0x010203);
	assert_alive(stage);
	if (wrong)
		copy.source.width = 15;
	else
		copy.source.packed.size -= 12;
	send_copy(stage, &copy);
	assert_ended(stage);
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
	copy = copy_of(0, 0, &image);
	send_copy(stage, &copy);
	assert_int_equal(stage_pixel(stage, 0, 0, 0), RED);
	assert_int_equal(stage_pixel(stage, 0, 1, 0), GREEN);
	assert_int_equal(stage_pixel(stage, 0, 2, 0), GREEN);
	assert_int_equal(stage_pixel(stage, 0, 2, 1), RED);
	assert_int_equal(stage_pixel(stage, 0, 3, 1), GREEN);
	assert_alive(stage);
	/* Indices where colours are due. */
	image = (struct proto_image){
		.present = true, .type = SPICE_IMAGE_TYPE_LZ_RGB, .width = 4, .height = 2
	};
	image.packed = (struct wire_bytes){ buf_bytes(&stream), stream.size };
	copy = copy_of(0, 0, &image);
	send_copy(stage, &copy);
	assert_ended(stage);
	buf_finish(&stream);
}

/* What comes in a later issue is left out; the session goes on. */
static void test_unsupported(void **state)
{
	static const uint8_t data[8] = { 0 };
	struct stage *stage = *state;
	struct msg_draw_fill fill = fill_of(0, 0, 4, 4, RED);
	struct proto_image image = {
		.present = true, .type = SPICE_IMAGE_TYPE_JPEG, .width = 4, .height = 4
	};
	struct msg_draw_copy copy;

	image.packed = (struct wire_bytes){ data, sizeof(data) };
	copy = copy_of(20, 20, &image);
	send_copy(stage, &copy);
	for (uint16_t type = SPICE_MSG_DISPLAY_STREAM_CREATE; type < 400; type++) {
		struct buf body = { 0 };

		if (type >= SPICE_MSG_DISPLAY_DRAW_FILL && type <= SPICE_MSG_DISPLAY_DRAW_INVERS &&
			type != SPICE_MSG_DISPLAY_DRAW_OPAQUE)
			continue;
		if (type == SPICE_MSG_DISPLAY_SURFACE_CREATE ||
			type == SPICE_MSG_DISPLAY_SURFACE_DESTROY ||
			type == SPICE_MSG_DISPLAY_MONITORS_CONFIG)
			continue;
		assert_int_equal(buf_append(&body, data, sizeof(data)), 0);
		stage_send(stage, DISPLAY, type, &body);
	}
	send_fill(stage, &fill);
	assert_int_equal(stage_pixel(stage, 0, 0, 0), RED);
	assert_int_equal(stage_pixel(stage, 0, 20, 20), 0);
	assert_alive(stage);
}

/* ---- limits ---- */

static void test_surface_too_large(void **state)
{
	struct stage *stage = *state;

	create_surface(stage, 1, SURFACE_MAX_SIDE + 1, 1);
	assert_ended(stage);
}

static void test_surface_memory(void **state)
{
	struct stage *stage = *state;

	/* 256 MiB each, of address space only: the third is one too many. */
	create_surface(stage, 1, 8192, 8192);
	assert_alive(stage);
	create_surface(stage, 1, 8192, 8192); /* in its own place */
	assert_alive(stage);
	create_surface(stage, 2, 8192, 8192);
	assert_ended(stage);
}

static void test_bad_numbers(void **state)
{
	struct stage *stage = *state;
	struct msg_draw_fill fill = fill_of(0, 0, 4, 4, RED);

	fill.base.box.right = INT32_MAX;
	send_fill(stage, &fill);
	assert_ended(stage);
}

static void test_bad_surface_id(void **state)
{
	struct stage *stage = *state;
	struct msg_draw_fill fill = fill_of(0, 0, 4, 4, RED);

	fill.base.surface_id = DISPLAY_MAX_SURFACES;
	send_fill(stage, &fill);
	assert_ended(stage);
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
	struct proto_image image = bitmap_of(SPICE_BITMAP_FMT_32BIT, 4, 4, 16, pixels);
	struct proto_image indexed = bitmap_of(SPICE_BITMAP_FMT_4BIT_BE, 4, 4, 2, pixels);
	struct msg_draw_fill fill = fill_of(0, 0, 9, 9, RED);
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
	fill.mask.image = bitmap_of(SPICE_BITMAP_FMT_1BIT_LE, 9, 2, 2, bits);
	SAMPLE(list, count, DISPLAY, SPICE_MSG_DISPLAY_DRAW_FILL, draw_fill, fill);
	fill.brush = (struct proto_brush){ .type = SPICE_BRUSH_TYPE_PATTERN, .pattern = image };
	SAMPLE(list, count, DISPLAY, SPICE_MSG_DISPLAY_DRAW_FILL, draw_fill, fill);
	copy = copy_of(3, 3, &image);
	SAMPLE(list, count, DISPLAY, SPICE_MSG_DISPLAY_DRAW_COPY, draw_copy, copy);
	copy = copy_of(3, 3, &indexed);
	SAMPLE(list, count, DISPLAY, SPICE_MSG_DISPLAY_DRAW_COPY, draw_copy, copy);
	SAMPLE(list, count, DISPLAY, SPICE_MSG_DISPLAY_COPY_BITS, copy_bits,
		{ .base = base_of(1, 1, 9, 9), .from = { 2, 2 } });
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
	assert_alive(stage);
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
		struct msg_draw_fill fill = fill_of(0, 0, 1, 1, GREEN);
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
#define STAGED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		STAGED(test_fill),
		STAGED(test_copy),
		STAGED(test_mask),
		STAGED(test_surfaces),
		STAGED(test_palettes),
		STAGED(test_pixmap_cache),
		STAGED(test_cache_overflow),
		STAGED(test_lz4),
		STAGED(test_quic),
		STAGED(test_quic_of_another_size),
		STAGED(test_lz),
		STAGED(test_lz_palette),
		STAGED(test_unsupported),
		STAGED(test_surface_too_large),
		STAGED(test_surface_memory),
		STAGED(test_bad_numbers),
		STAGED(test_bad_surface_id),
		STAGED(test_truncated),
		STAGED(test_mutated),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

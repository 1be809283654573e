/* SPDX-License-Identifier: MIT */
/*
 * Pictures on their way to a viewer: whatever the picture, the codec, the caches' sizes and the order
 * of encodings, our viewer ends with the pixels that the canvas makes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "channels/server/picture.h"
#include "channels/server/picture_share.h"
#include "core/canvas.h"
#include "tests/channels/client_stage.h"

enum { WIDTH = 640, HEIGHT = 480, PRIMARY = 0, ALPHA = 1, DEEP16 = 2, SURFACES = 3 };

static const enum surface_format formats[SURFACES] = { SURFACE_XRGB8888, SURFACE_ARGB8888,
	SURFACE_XRGB1555 };

struct fixture {
	struct stage stage;
	struct spice_server *server; /* of it only what pictures need */
	struct image_sender sender;
	struct surface *expected[SURFACES];
	uint32_t seed;
	uint32_t told; /* that a picture is ready */
};

static uint32_t noise(struct fixture *f)
{
	f->seed = f->seed * 1664525u + 1013904223u;
	return f->seed >> 8;
}

static void start_sender(struct fixture *f, int64_t cache_pixels, int32_t window_pixels)
{
	struct msg_display_init init = { .pixmap_cache_size = cache_pixels,
		.glz_window_size = window_pixels };

	assert_int_equal(image_sender_init(&f->sender, f->server,
				 f->stage.channels[SPICE_CHANNEL_DISPLAY]->link, &init, NULL),
		0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	stage_open(&f->stage);
	stage_bring_up(&f->stage);
	f->server = calloc(1, sizeof(*f->server));
	f->server->config.loop = f->stage.loop;
	f->server->config.pool = f->stage.pool;
	assert_int_equal(
		picture_share_create(&f->server->pictures, f->stage.loop, f->stage.pool), 0);
	for (uint32_t i = 0; i < SURFACES; i++) {
		assert_int_equal(surface_create(&f->expected[i], formats[i], WIDTH, HEIGHT), 0);
		STAGE_SEND(&f->stage, SPICE_CHANNEL_DISPLAY, SPICE_MSG_DISPLAY_SURFACE_CREATE,
			surface_create,
			{ .surface_id = i,
				.width = WIDTH,
				.height = HEIGHT,
				.format = proto_surface_format(formats[i]),
				.flags = i == 0 ? SPICE_SURFACE_FLAGS_PRIMARY : 0 });
	}
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	picture_share_destroy(f->server->pictures);
	free(f->server);
	stage_close(&f->stage);
	for (uint32_t i = 0; i < SURFACES; i++)
		surface_unref(f->expected[i]);
	free(f);
	return 0;
}

/* ---- pictures ---- */

enum content { SOLID, TWO, TEN, HUNDRED, TEXT, PHOTO, NOISE, CONTENTS };

static uint32_t colour_at(struct fixture *f, enum content content, uint32_t x, uint32_t y)
{
	switch (content) {
	case SOLID: return 0x336699;
	case TWO: return noise(f) % 5 ? 0xffffff : 0x102030;
	case TEN: return noise(f) % 3 ? 0xffffff : noise(f) % 10 * 0x112233;
	case HUNDRED: return noise(f) % 2 ? 0xeeeeee : noise(f) % 100 * 0x010305;
	case TEXT: return noise(f) % 3 ? 0xffffff : noise(f) % 100000;
	case PHOTO:
		return (x * 2 & 255) << 16 | ((x + y) & 255) << 8 | ((y * 3 + noise(f) % 4) & 255);
	default: return noise(f) ^ noise(f) << 12;
	}
}

/* `high`: what the fourth byte is. */
enum high { HIGH_ZERO, HIGH_ONES, HIGH_ANY, HIGHS };

static struct image *make_image(struct fixture *f, enum image_format format, enum content content,
	enum high high, uint32_t width, uint32_t height)
{
	static const uint32_t fourth[HIGHS] = { 0, 0xff000000, 0 };
	struct image *image;

	assert_int_equal(image_create(&image, format, width, height), 0);
	if (format != IMAGE_XRGB8888 && format != IMAGE_ARGB8888) {
		for (size_t i = 0; i < (size_t)image->stride * height; i++)
			image->data[i] = (uint8_t)noise(f);
		for (uint32_t i = 0; i < image_format_palette(format); i++)
			image->palette[i] = noise(f) & 0xffffff;
		return image;
	}
	for (uint32_t y = 0; y < height; y++) {
		for (uint32_t x = 0; x < width; x++) {
			uint32_t word = (colour_at(f, content, x, y) & 0xffffff) | fourth[high];

			if (high == HIGH_ANY)
				word |= noise(f) << 24;
			memcpy(image->data + (size_t)y * image->stride + (size_t)x * 4, &word, 4);
		}
	}
	return image;
}

/* ---- the way to the viewer ---- */

static void on_ready(void *opaque)
{
	struct fixture *f = opaque;

	f->told++;
}

static struct picture *begin(struct fixture *f, struct image *image, const struct rect *area,
	uint32_t surface, uint32_t flags)
{
	struct picture *picture =
		image_sender_begin(&f->sender, image, area, formats[surface], flags, on_ready, f);

	assert_non_null(picture);
	return picture;
}

static void await(struct fixture *f, struct picture *picture)
{
	while (!picture_ready(picture))
		assert_true(loop_run_once(f->stage.loop, 10000) >= 0);
}

/* Sends the picture as a copy to (x, y) of a surface; draws it on what is expected, too. Gives the
 * type of image that went over the wire. */
static uint8_t send_copy(struct fixture *f, struct picture *picture, struct image *image,
	struct rect area, uint32_t surface, int32_t x, int32_t y)
{
	struct msg_draw_copy msg = {
		.base = { .surface_id = surface,
			.box = rect_make(x, y, rect_width(&area), rect_height(&area)) },
		.area = area,
		.rop = SPICE_ROPD_OP_PUT,
		.scale_mode = SPICE_IMAGE_SCALE_MODE_NEAREST,
	};
	struct buf body = { 0 };
	struct draw *draw;

	await(f, picture);
	assert_int_equal(draw_create(&draw, DRAW_COPY, surface, &msg.base.box), 0);
	draw->copy.source.image = image_ref(image);
	draw->copy.area = area;
	draw->copy.scale = SCALE_NEAREST;
	canvas_draw(f->expected[surface], draw, NULL, NULL);
	draw_unref(draw);
	picture_describe(picture, &msg.source, &msg.area);
	assert_int_equal(msg_draw_copy_pack(&body, &msg), 0);
	stage_send(&f->stage, SPICE_CHANNEL_DISPLAY, SPICE_MSG_DISPLAY_DRAW_COPY, &body);
	picture_unref(picture);
	return msg.source.type;
}

/* Begins and sends all of an image. */
static uint8_t show(struct fixture *f, struct image *image, uint32_t surface, int32_t x, int32_t y)
{
	struct rect all = rect_make(0, 0, (int32_t)image->width, (int32_t)image->height);
	struct picture *picture = begin(f, image, &all, surface, PICTURE_COPIED);

	return send_copy(f, picture, image, all, surface, x, y);
}

/* The first row that differs, copied out, so that nothing is locked when a test fails. */
static bool find_difference(
	struct fixture *f, uint32_t surface, uint32_t *at, uint32_t words[2][WIDTH])
{
	struct display *hub = f->stage.hub;
	struct surface *shown;
	bool differs = false;

	display_lock(hub);
	shown = display_sync(hub, surface, NULL);
	for (uint32_t y = 0; y < HEIGHT && shown && !differs; y++) {
		surface_load_words(shown, 0, y, WIDTH, words[0]);
		surface_load_words(f->expected[surface], 0, y, WIDTH, words[1]);
		/* What is unused on a surface without alpha nobody sees. */
		for (uint32_t x = 0; x < WIDTH && surface == PRIMARY; x++) {
			words[0][x] &= 0xffffff;
			words[1][x] &= 0xffffff;
		}
		differs = memcmp(words[0], words[1], sizeof(words[0])) != 0;
		*at = y;
	}
	display_unlock(hub);
	return differs || !shown;
}

static void assert_shown(struct fixture *f, uint32_t surface, const char *what)
{
	uint32_t words[2][WIDTH] = { { 0 } }, y = 0, x = 0;

	stage_settle(&f->stage);
	if (!find_difference(f, surface, &y, words))
		return;
	while (x < WIDTH - 1 && words[0][x] == words[1][x])
		x++;
	fail_msg("%s, surface %u at %u, %u: %x, not %x", what, surface, x, y, words[0][x],
		words[1][x]);
}

/* ---- every format, content, codec and surface ---- */

static void show_part(struct fixture *f, struct image *image, uint32_t surface)
{
	uint32_t left = noise(f) % image->width, top = noise(f) % image->height;
	struct rect area = rect_make((int32_t)left, (int32_t)top,
		(int32_t)(1 + noise(f) % (image->width - left)),
		(int32_t)(1 + noise(f) % (image->height - top)));
	struct picture *picture = begin(f, image, &area, surface, PICTURE_COPIED);

	send_copy(f, picture, image, area, surface, (int32_t)(noise(f) % 300),
		(int32_t)(noise(f) % 300));
}

static void show_all_kinds(struct fixture *f)
{
	char what[64];

	for (uint32_t format = 0; format < IMAGE_FORMATS; format++) {
		bool words = format == IMAGE_XRGB8888 || format == IMAGE_ARGB8888;

		for (uint32_t i = 0; i < (words ? CONTENTS * HIGHS : 2u); i++) {
			struct image *image = make_image(f, (enum image_format)format,
				(enum content)(i / HIGHS), (enum high)(i % HIGHS),
				1 + noise(f) % 200, 1 + noise(f) % 150);

			if (noise(f) % 4 == 0)
				image->flags |= IMAGE_HIGH_BITS_SET;
			for (uint32_t s = 0; s < SURFACES; s++) {
				/* How alpha alone becomes 16 bits is nobody's business. */
				if (s == DEEP16 && format == IMAGE_A8)
					continue;
				show(f, image, s, (int32_t)(noise(f) % 400),
					(int32_t)(noise(f) % 300));
				show_part(f, image, s);
			}
			image_unref(image);
			snprintf(what, sizeof(what), "mode %u, format %u, kind %u",
				f->server->config.compression, format, i);
			for (uint32_t s = 0; s < SURFACES; s++)
				assert_shown(f, s, what);
		}
	}
}

static void test_all_kinds(void **state)
{
	struct fixture *f = *state;

	for (uint8_t mode = SPICE_SERVER_COMPRESSION_AUTO; mode <= SPICE_SERVER_COMPRESSION_OFF;
		mode++) {
		f->server->config.compression = mode;
		start_sender(f, 0, 1 << 18);
		show_all_kinds(f);
		image_sender_finish(&f->sender);
		/* A new dictionary begins with a new session only. */
		glz_window_clear(f->stage.client->display.images.glz);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all_kinds, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

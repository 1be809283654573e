/* SPDX-License-Identifier: MIT */
/*
 * Pictures on their way to a viewer: whatever the picture, the codec, the caches' sizes and the order
 * of encodings, our viewer ends with the pixels that the canvas makes.
 */
#include <errno.h>
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
	struct picture *picture = image_sender_begin(
		&f->sender, image, area, NULL, formats[surface], flags, on_ready, f);

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

/* ---- what is chosen ---- */

static void test_choice(void **state)
{
	static const uint8_t types[CONTENTS] = {
		[SOLID] = SPICE_IMAGE_TYPE_LZ_PLT,
		[TWO] = SPICE_IMAGE_TYPE_BITMAP, /* of a bit a pixel: noise that LZ does not help */
		[TEN] = SPICE_IMAGE_TYPE_GLZ_RGB,
		[HUNDRED] = SPICE_IMAGE_TYPE_GLZ_RGB,
		[TEXT] = SPICE_IMAGE_TYPE_GLZ_RGB,
		[PHOTO] = SPICE_IMAGE_TYPE_QUIC,
		[NOISE] = SPICE_IMAGE_TYPE_GLZ_RGB,
	};
	struct fixture *f = *state;

	start_sender(f, 0, 1 << 18);
	for (uint32_t content = 0; content < CONTENTS; content++) {
		struct image *image =
			make_image(f, IMAGE_XRGB8888, (enum content)content, HIGH_ANY, 128, 100);

		assert_int_equal(show(f, image, PRIMARY, 0, 0), types[content]);
		image_unref(image);
	}
	/* A viewer without a window gets neither GLZ nor palettes of ours. */
	image_sender_finish(&f->sender);
	start_sender(f, 0, 0);
	for (uint32_t content = 0; content < CONTENTS; content++) {
		struct image *image =
			make_image(f, IMAGE_XRGB8888, (enum content)content, HIGH_ANY, 128, 100);
		uint8_t type = show(f, image, PRIMARY, 200, 0);

		assert_true(type == SPICE_IMAGE_TYPE_QUIC || type == SPICE_IMAGE_TYPE_LZ_RGB ||
			(type == SPICE_IMAGE_TYPE_BITMAP && content == NOISE));
		image_unref(image);
	}
	assert_shown(f, PRIMARY, "choice");
	image_sender_finish(&f->sender);
}

/* The viewer's wish goes before the server's setting; nonsense closes its link only. */
static void test_preferred(void **state)
{
	struct fixture *f = *state;
	struct image *image = make_image(f, IMAGE_XRGB8888, TEXT, HIGH_ZERO, 64, 64);

	f->server->config.compression = SPICE_SERVER_COMPRESSION_OFF;
	start_sender(f, 0, 1 << 18);
	assert_int_equal(show(f, image, PRIMARY, 0, 0), SPICE_IMAGE_TYPE_BITMAP);
	assert_int_equal(image_sender_prefer(&f->sender, SPICE_IMAGE_COMPRESSION_QUIC), 0);
	assert_int_equal(show(f, image, PRIMARY, 64, 0), SPICE_IMAGE_TYPE_QUIC);
	assert_int_equal(image_sender_prefer(&f->sender, SPICE_IMAGE_COMPRESSION_LZ), 0);
	assert_int_equal(show(f, image, PRIMARY, 128, 0), SPICE_IMAGE_TYPE_LZ_RGB);
	assert_int_equal(image_sender_prefer(&f->sender, SPICE_IMAGE_COMPRESSION_AUTO_LZ), 0);
	assert_int_equal(show(f, image, PRIMARY, 192, 0), SPICE_IMAGE_TYPE_LZ_RGB);
	assert_int_equal(image_sender_prefer(&f->sender, SPICE_IMAGE_COMPRESSION_INVALID), -EPROTO);
	assert_int_equal(image_sender_prefer(&f->sender, 200), -EPROTO);
	assert_shown(f, PRIMARY, "preferred");
	image_sender_finish(&f->sender);
	image_unref(image);
}

static void test_jpeg(void **state)
{
	struct fixture *f = *state;
	struct image *photo = make_image(f, IMAGE_XRGB8888, PHOTO, HIGH_ZERO, 128, 100);
	struct image *text = make_image(f, IMAGE_XRGB8888, TEXT, HIGH_ZERO, 128, 100);
	struct rect all = rect_make(0, 0, 128, 100);
	struct picture *picture;

	f->server->config.jpeg = SPICE_SERVER_JPEG_ALWAYS;
	start_sender(f, 0, 1 << 18);
	picture = begin(f, photo, &all, PRIMARY, PICTURE_COPIED | PICTURE_MAY_LOSE);
	await(f, picture);
	assert_true(picture_lossy(picture));
	assert_int_equal(send_copy(f, picture, photo, all, PRIMARY, 0, 0), SPICE_IMAGE_TYPE_JPEG);
	/* Where it must be exact, and what is no photograph, is. */
	assert_int_equal(show(f, photo, PRIMARY, 0, 0), SPICE_IMAGE_TYPE_QUIC);
	picture = begin(f, text, &all, PRIMARY, PICTURE_COPIED | PICTURE_MAY_LOSE);
	await(f, picture);
	assert_false(picture_lossy(picture));
	send_copy(f, picture, text, all, PRIMARY, 200, 0);
	f->server->config.jpeg = SPICE_SERVER_JPEG_NEVER;
	picture = begin(f, photo, &all, PRIMARY, PICTURE_COPIED | PICTURE_MAY_LOSE);
	await(f, picture);
	assert_false(picture_lossy(picture));
	send_copy(f, picture, photo, all, PRIMARY, 300, 200);
	assert_shown(f, PRIMARY, "jpeg");
	image_sender_finish(&f->sender);
	image_unref(photo);
	image_unref(text);
}

/* ---- caches ---- */

static struct image *cached_image(struct fixture *f, uint64_t id, uint32_t width, uint32_t height)
{
	static const enum image_format others[] = { IMAGE_8BIT, IMAGE_1BIT_BE, IMAGE_4BIT_LE,
		IMAGE_XRGB1555, IMAGE_BGR24 };
	enum image_format format = id % 11 < 5 ? others[id % 11] : IMAGE_ARGB8888;
	struct image *image;

	/* Equal ids mean equal pictures. */
	f->seed = (uint32_t)id * 7919u + 1;
	image = make_image(
		f, format, (enum content)(id % CONTENTS), (enum high)(id % HIGHS), width, height);
	image->id = id;
	image->flags |= IMAGE_CACHE_ME;
	return image;
}

/* As it goes over a slow link: by rows that the viewer keeps each for itself. */
static void show_frames(struct fixture *f, struct image *image, uint32_t surface)
{
	int32_t x = (int32_t)(noise(f) % 500), y = (int32_t)(noise(f) % 400);

	for (int32_t top = 0; top < (int32_t)image->height; top += 8) {
		struct rect frame = rect_make(
			0, top, (int32_t)image->width, MIN(8, (int32_t)image->height - top));
		struct rect area = frame;
		struct picture *picture;

		area.left += (int32_t)(noise(f) % 8);
		area.top += (int32_t)(noise(f) % (uint32_t)rect_height(&frame));
		picture = image_sender_begin(&f->sender, image, &area, &frame, formats[surface],
			PICTURE_COPIED, on_ready, f);
		assert_non_null(picture);
		send_copy(f, picture, image, area, surface, x + area.left, y + area.top);
	}
}

/* Far more pictures than the viewer keeps, some again and again, on all surfaces, in parts and whole:
 * our viewer closes the link if it is ever made to keep more than it said, or asked for what it has
 * not. */
static void test_pixmap_cache(void **state)
{
	struct fixture *f = *state;
	uint32_t from_cache = 0, order = 99;

	start_sender(f, 60000, 1 << 18);
	for (uint32_t i = 0; i < 1500; i++) {
		uint64_t id;
		struct image *image;
		uint32_t surface;

		order = order * 1664525u + 1013904223u;
		id = order >> 28 ? 1 + (order >> 16) % 12 : 1 + (order >> 8) % 300;
		image = cached_image(f, id, 20 + (uint32_t)id % 60, 10 + (uint32_t)id % 37);
		f->seed = order;
		surface = order >> 12 & 1;
		if (order >> 14 & 1)
			show_part(f, image, surface);
		else if (order >> 15 & 1)
			show_frames(f, image, surface);
		else
			from_cache += show(f, image, surface, (int32_t)(noise(f) % 500),
					      (int32_t)(noise(f) % 400)) ==
				SPICE_IMAGE_TYPE_FROM_CACHE;
		image_unref(image);
		assert_true(f->sender.pixmaps.pixels <= 60000);
		if (i % 50 == 0) {
			stage_settle(&f->stage);
			assert_int_equal(f->stage.client->display.images.cache.pixels,
				f->sender.pixmaps.pixels);
		}
		if (i % 500 == 499)
			f->server->image_epoch++; /* the guest begins anew */
	}
	assert_true(from_cache > 100);
	assert_shown(f, PRIMARY, "cache");
	assert_shown(f, ALPHA, "cache");
	image_sender_finish(&f->sender);
}

/* A picture kept without its alpha is no use to whom reads that. */
static void test_alpha_in_cache(void **state)
{
	struct fixture *f = *state;
	struct image *image = cached_image(f, CONTENTS * HIGHS * 3 + 2, 50, 40);
	struct rect all = rect_make(0, 0, 50, 40);
	struct picture *picture;

	start_sender(f, 60000, 1 << 18);
	show(f, image, PRIMARY, 0, 0);
	assert_int_equal(show(f, image, PRIMARY, 0, 0), SPICE_IMAGE_TYPE_FROM_CACHE);
	assert_int_not_equal(show(f, image, ALPHA, 0, 0), SPICE_IMAGE_TYPE_FROM_CACHE);
	assert_int_equal(show(f, image, ALPHA, 60, 0), SPICE_IMAGE_TYPE_FROM_CACHE);
	picture = begin(f, image, &all, ALPHA, 0);
	assert_int_not_equal(
		send_copy(f, picture, image, all, ALPHA, 0, 60), SPICE_IMAGE_TYPE_FROM_CACHE);
	assert_int_equal(show(f, image, PRIMARY, 60, 60), SPICE_IMAGE_TYPE_FROM_CACHE);
	assert_shown(f, PRIMARY, "alpha");
	assert_shown(f, ALPHA, "alpha");
	image_sender_finish(&f->sender);
	image_unref(image);
}

/* More palettes than there are slots, in an order that comes back to old ones. */
static void test_palette_cache(void **state)
{
	struct fixture *f = *state;

	start_sender(f, 0, 1 << 18);
	for (uint32_t i = 0; i < 600; i++) {
		uint32_t which = i % 3 ? i % 200 : i % 7;
		struct image *image = make_image(f, IMAGE_XRGB8888, TWO, HIGH_ZERO, 40, 20);

		for (size_t n = 0; n < (size_t)image->stride * image->height; n += 4)
			image->data[n] = (uint8_t)(image->data[n] ^ which);
		show(f, image, PRIMARY, (int32_t)(i % 15) * 40, (int32_t)(i / 15 % 20) * 20);
		image_unref(image);
	}
	assert_shown(f, PRIMARY, "palettes");
	image_sender_finish(&f->sender);
}

/* ---- order, and others ---- */

enum { IN_FLIGHT = 24 };

/* Many begun before any is sent, large and small, in all of the ways: they are made by the pool as it
 * comes, and understood in the order of their beginnings. */
static void test_in_flight(void **state)
{
	struct fixture *f = *state;
	struct picture *pictures[IN_FLIGHT];
	struct image *images[IN_FLIGHT];

	start_sender(f, 1 << 20, 1 << 20);
	for (uint32_t i = 0; i < IN_FLIGHT; i++) {
		struct rect all;

		images[i] = make_image(f, i % 5 ? IMAGE_XRGB8888 : IMAGE_ARGB8888,
			i % 3 ? TEXT : PHOTO, HIGH_ANY, i % 4 ? 400 : 30, i % 4 ? 200 : 30);
		if (i % 2) {
			images[i]->id = 1000 + i;
			images[i]->flags |= IMAGE_CACHE_ME;
		}
		all = rect_make(0, 0, (int32_t)images[i]->width, (int32_t)images[i]->height);
		pictures[i] = begin(f, images[i], &all, ALPHA, PICTURE_COPIED);
	}
	for (uint32_t i = 0; i < IN_FLIGHT; i++) {
		struct rect all =
			rect_make(0, 0, (int32_t)images[i]->width, (int32_t)images[i]->height);

		send_copy(f, pictures[i], images[i], all, ALPHA, (int32_t)i * 8, (int32_t)i * 9);
		image_unref(images[i]);
	}
	assert_true(f->told > 0);
	assert_shown(f, ALPHA, "in flight");
	image_sender_finish(&f->sender);
}

/* A viewer that goes while its pictures are being made. Whether all ends well, tools say. */
static void test_gone(void **state)
{
	struct fixture *f = *state;
	struct image *image = make_image(f, IMAGE_XRGB8888, TEXT, HIGH_ZERO, 600, 400);
	struct rect all = rect_make(0, 0, 600, 400);
	struct picture *pictures[8];

	start_sender(f, 0, 1 << 20);
	for (uint32_t i = 0; i < 8; i++) {
		all.right = 600 - (int32_t)i;
		pictures[i] = begin(f, image, &all, PRIMARY, PICTURE_COPIED);
	}
	for (uint32_t i = 0; i < 8; i += 2)
		picture_unref(pictures[i]);
	loop_run_once(f->stage.loop, 20);
	image_sender_finish(&f->sender);
	f->told = 0;
	for (uint32_t i = 0; i < 20; i++)
		loop_run_once(f->stage.loop, 5);
	assert_int_equal(f->told, 0);
	for (uint32_t i = 1; i < 8; i += 2)
		picture_unref(pictures[i]);
	image_unref(image);
}

/* Two viewers of one picture: it is encoded once, whether the other's is under way or done. */
static void test_shared(void **state)
{
	struct fixture *f = *state;
	struct image *image = make_image(f, IMAGE_XRGB8888, PHOTO, HIGH_ZERO, 600, 400);
	struct rect all = rect_make(0, 0, 600, 400);
	struct image_sender other;
	struct msg_display_init init = { .glz_window_size = 1 << 20 };
	struct picture *picture, *others;
	struct proto_image wire, other_wire;

	start_sender(f, 0, 1 << 20);
	assert_int_equal(image_sender_init(&other, f->server, f->sender.link, &init, NULL), 0);
	picture = begin(f, image, &all, PRIMARY, PICTURE_COPIED);
	others = image_sender_begin(
		&other, image, &all, NULL, SURFACE_XRGB8888, PICTURE_COPIED, on_ready, f);
	assert_non_null(others);
	await(f, picture);
	assert_true(picture_ready(others));
	picture_describe(picture, &wire, &all);
	picture_describe(others, &other_wire, &all);
	assert_int_equal(wire.type, SPICE_IMAGE_TYPE_QUIC);
	assert_ptr_equal(wire.packed.data, other_wire.packed.data);
	picture_unref(picture);
	picture_unref(others);
	/* The second viewer may come after the first has been sent it, but not much later. */
	f->server->viewers = 2;
	for (uint32_t i = 0; i < 400; i++) {
		struct image *next = make_image(f, IMAGE_XRGB8888, PHOTO, HIGH_ZERO, 100, 100);
		const uint8_t *bytes;

		all = rect_make(0, 0, 100, 100);
		picture = begin(f, next, &all, PRIMARY, PICTURE_COPIED);
		picture_describe(picture, &wire, &all);
		bytes = wire.packed.data;
		picture_unref(picture);
		others = image_sender_begin(
			&other, next, &all, NULL, SURFACE_XRGB8888, PICTURE_COPIED, on_ready, f);
		picture_describe(others, &other_wire, &all);
		assert_ptr_equal(other_wire.packed.data, bytes);
		picture_unref(others);
		image_unref(next);
	}
	image_sender_finish(&other);
	image_sender_finish(&f->sender);
	image_unref(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all_kinds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_choice, setup, teardown),
		cmocka_unit_test_setup_teardown(test_preferred, setup, teardown),
		cmocka_unit_test_setup_teardown(test_jpeg, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pixmap_cache, setup, teardown),
		cmocka_unit_test_setup_teardown(test_alpha_in_cache, setup, teardown),
		cmocka_unit_test_setup_teardown(test_palette_cache, setup, teardown),
		cmocka_unit_test_setup_teardown(test_in_flight, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shared, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

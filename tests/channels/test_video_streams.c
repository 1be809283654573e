/* SPDX-License-Identifier: MIT */
/* The streams that the server sends, against viewers that say exactly what the test wants; and the
 * control of their quality. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "channels/server/stream_control.h"
#include "core/log.h"
#include "core/util.h"
#include "tests/channels/server_film.h"
#include "tests/channels/server_side.h"

enum {
	WIDTH = 640,
	HEIGHT = 480,
	SHARED = 40,
	PATIENCE = 600, /* frames, for what has to come some time */
	CAPS_MJPEG = 1u << SPICE_DISPLAY_CAP_STREAM_REPORT,
};

#define CAPS_VP8                                                                                  \
	(CAPS_MJPEG | 1u << SPICE_DISPLAY_CAP_MULTI_CODEC | 1u << SPICE_DISPLAY_CAP_CODEC_MJPEG | \
		1u << SPICE_DISPLAY_CAP_CODEC_VP8)

static const struct rect film_area = { 40, 60, 360, 240 };

struct viewer {
	struct side main, display;
};

struct fixture {
	struct loop *loop;
	struct pool *pool;
	struct display *display;
	struct spice_server *server;
	struct viewer a, b;
	uint32_t frame;
};

/* ---- viewers ---- */

static void view(struct fixture *f, struct viewer *viewer, uint32_t caps)
{
	struct msg_main_init init;

	side_connect(&viewer->main, f->loop, f->server, SPICE_CHANNEL_MAIN, 0, 0);
	assert_true(viewer->main.up);
	for (int i = 0; i < 1000 && side_seek(&viewer->main, SPICE_MSG_MAIN_INIT, 0) < 0; i++)
		loop_run_once(f->loop, 10);
	SIDE_GET(&viewer->main, main_init, SPICE_MSG_MAIN_INIT, 0, &init);
	side_connect(
		&viewer->display, f->loop, f->server, SPICE_CHANNEL_DISPLAY, init.session_id, caps);
	link_send_display_init(viewer->display.link, SPICE_MSGC_DISPLAY_INIT,
		&(struct msg_display_init){ .pixmap_cache_id = 1,
			.pixmap_cache_size = 1 << 20,
			.glz_dictionary_id = 1,
			.glz_window_size = 1 << 20 });
	for (int i = 0; i < 1000 && side_seek(&viewer->display, SPICE_MSG_DISPLAY_MARK, 0) < 0; i++)
		loop_run_once(f->loop, 10);
	assert_true(side_seek(&viewer->display, SPICE_MSG_DISPLAY_MARK, 0) >= 0);
}

static void viewer_finish(struct viewer *viewer)
{
	side_finish(&viewer->display);
	side_finish(&viewer->main);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct spice_server_config config = { 0 };
	struct surface *surface;

	log_set_level(LOG_ERROR);
	assert_int_equal(loop_create(&f->loop), 0);
	assert_int_equal(pool_create(&f->pool, 2), 0);
	assert_int_equal(display_create(&f->display), 0);
	assert_int_equal(surface_create(&surface, SURFACE_XRGB8888, WIDTH, HEIGHT), 0);
	display_sink(f->display)->ops->surface_create(display_sink(f->display), 0, surface);
	surface_unref(surface);
	config.loop = f->loop;
	config.pool = f->pool;
	config.display = f->display;
	assert_int_equal(spice_server_create(&f->server, &config), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	spice_server_destroy(f->server);
	viewer_finish(&f->a);
	viewer_finish(&f->b);
	/* Frames in the making bear that all is gone. */
	pool_destroy(f->pool);
	for (int i = 0; i < 5; i++)
		loop_run_once(f->loop, 1);
	display_destroy(f->display);
	loop_destroy(f->loop);
	free(f);
	return 0;
}

/* ---- the film ---- */

static void wait_ms(struct fixture *f, uint32_t ms)
{
	uint64_t until_ns = clock_monotonic_ns() + ms * 1000000ull;

	while (clock_monotonic_ns() < until_ns)
		loop_run_once(f->loop, 1);
}

static void draw(struct fixture *f, struct draw *draw)
{
	display_sink(f->display)->ops->draw(display_sink(f->display), draw);
	draw_unref(draw);
}

static void film_frame(struct fixture *f)
{
	struct point origin = { film_area.left, film_area.top };

	draw(f, film_draw(film_pixel, f->frame++, origin, &film_area));
	wait_ms(f, 12);
}

/* Plays on until the viewer has the n-th message of that type. */
static void film_until(struct fixture *f, const struct side *side, uint16_t type, uint32_t n)
{
	for (int i = 0; i < PATIENCE && side_seek(side, type, n) < 0; i++)
		film_frame(f);
	assert_true(side_seek(side, type, n) >= 0);
}

/* Decodes the n-th frame; answers how near it is to the film's frame that is the nearest. */
static uint64_t frame_error(struct video_decoder *decoder, const struct side *side, uint32_t n)
{
	uint8_t *pixels = malloc(320 * 180 * 4);
	uint64_t best = UINT64_MAX;
	struct msg_stream_data data;
	uint32_t width, height;

	assert_non_null(pixels);
	SIDE_GET(side, stream_data, SPICE_MSG_DISPLAY_STREAM_DATA, n, &data);
	assert_int_equal(video_decoder_frame(
				 decoder, data.data.data, data.data.size, 1 << 20, &width, &height),
		0);
	assert_int_equal(width, 320);
	assert_int_equal(height, 180);
	assert_int_equal(video_decoder_read(decoder, pixels, 320 * 4), 0);
	for (uint32_t frame = 0; frame < 200; frame++) {
		uint64_t sum = 0;

		for (uint32_t i = 0; i < 320 * 180; i += 37) {
			uint32_t pixel = film_pixel(frame, i % 320, i / 320);

			for (int c = 0; c < 3; c++) {
				int32_t d = pixels[i * 4 + (uint32_t)c] -
					(int32_t)(pixel >> 8 * c & 0xff);

				sum += (uint64_t)(d * d);
			}
		}
		best = MIN(best, sum * 37 / (320 * 180 * 3));
	}
	free(pixels);
	return best;
}

static void check_frames(const struct side *side, enum video_codec codec, uint32_t count)
{
	struct video_decoder *decoder;

	assert_int_equal(video_decoder_create(&decoder, codec), 0);
	for (uint32_t n = 0; n < count; n++)
		assert_true(frame_error(decoder, side, n) < 60);
	video_decoder_destroy(decoder);
}

static uint32_t number(const struct side *side, uint16_t type)
{
	uint32_t n = 0;

	while (side_seek(side, type, n) >= 0)
		n++;
	return n;
}

/* ---- streams ---- */

static void check_stream(struct fixture *f, uint32_t caps, uint8_t wire, enum video_codec codec)
{
	struct side *side = &f->a.display;
	struct msg_stream_activate_report report;
	struct msg_stream_create create;
	struct msg_stream_data data;
	uint32_t copies, last_time = 0;

	view(f, &f->a, caps);
	film_until(f, side, SPICE_MSG_DISPLAY_STREAM_DATA, 0);
	SIDE_GET(side, stream_create, SPICE_MSG_DISPLAY_STREAM_CREATE, 0, &create);
	assert_int_equal(create.codec, wire);
	assert_int_equal(create.flags, SPICE_STREAM_FLAGS_TOP_DOWN);
	assert_int_equal(create.surface_id, 0);
	assert_true(rect_equal(&create.dest, &film_area));
	assert_int_equal(create.source_width, 320);
	assert_int_equal(create.source_height, 180);
	assert_false(create.clip.clipped);
	SIDE_GET(
		side, stream_activate_report, SPICE_MSG_DISPLAY_STREAM_ACTIVATE_REPORT, 0, &report);
	assert_int_equal(report.stream_id, create.stream_id);
	/* From there on nothing else is sent for it. */
	copies = number(side, SPICE_MSG_DISPLAY_DRAW_COPY);
	film_until(f, side, SPICE_MSG_DISPLAY_STREAM_DATA, 9);
	if (number(side, SPICE_MSG_DISPLAY_STREAM_CREATE) == 1)
		assert_int_equal(number(side, SPICE_MSG_DISPLAY_DRAW_COPY), copies);
	for (uint32_t n = 0; n < 10; n++) {
		SIDE_GET(side, stream_data, SPICE_MSG_DISPLAY_STREAM_DATA, n, &data);
		assert_int_equal(data.stream_id, create.stream_id);
		assert_true(n == 0 || data.mm_time > last_time);
		last_time = data.mm_time;
	}
	check_frames(side, codec, 10);
}

static void test_mjpeg(void **state)
{
	check_stream(*state, CAPS_MJPEG, SPICE_VIDEO_CODEC_TYPE_MJPEG, VIDEO_MJPEG);
}

static void test_vp8(void **state)
{
	check_stream(*state, CAPS_VP8, SPICE_VIDEO_CODEC_TYPE_VP8, VIDEO_VP8);
}

/* Viewers say what they would rather have, and what they cannot decode after all. */
static void test_choice_of_codec(void **state)
{
	struct fixture *f = *state;
	struct side *side = &f->a.display;
	const uint8_t preferred[] = { SPICE_VIDEO_CODEC_TYPE_H264, SPICE_VIDEO_CODEC_TYPE_MJPEG };
	struct msg_stream_create create;

	view(f, &f->a, CAPS_VP8);
	film_until(f, side, SPICE_MSG_DISPLAY_STREAM_DATA, 0);
	SIDE_GET(side, stream_create, SPICE_MSG_DISPLAY_STREAM_CREATE, 0, &create);
	assert_int_equal(create.codec, SPICE_VIDEO_CODEC_TYPE_VP8);
	link_send_preferred_video_codecs(side->link, SPICE_MSGC_DISPLAY_PREFERRED_VIDEO_CODEC_TYPE,
		&(struct msg_preferred_video_codecs){ .count = 2, .codecs = { preferred, 2 } });
	film_until(f, side, SPICE_MSG_DISPLAY_STREAM_CREATE, 1);
	assert_true(side_seek(side, SPICE_MSG_DISPLAY_STREAM_DESTROY, 0) <
		side_seek(side, SPICE_MSG_DISPLAY_STREAM_CREATE, 1));
	SIDE_GET(side, stream_create, SPICE_MSG_DISPLAY_STREAM_CREATE, 1, &create);
	assert_int_equal(create.codec, SPICE_VIDEO_CODEC_TYPE_MJPEG);
	/* It cannot: the other one. */
	link_send_stream_report(side->link, SPICE_MSGC_DISPLAY_STREAM_REPORT,
		&(struct msg_stream_report){ .stream_id = create.stream_id, .drops = UINT32_MAX });
	film_until(f, side, SPICE_MSG_DISPLAY_STREAM_CREATE, 2);
	SIDE_GET(side, stream_create, SPICE_MSG_DISPLAY_STREAM_CREATE, 2, &create);
	assert_int_equal(create.codec, SPICE_VIDEO_CODEC_TYPE_VP8);
	/* Nor that: pictures. */
	link_send_stream_report(side->link, SPICE_MSGC_DISPLAY_STREAM_REPORT,
		&(struct msg_stream_report){ .stream_id = create.stream_id, .drops = UINT32_MAX });
	film_until(f, side, SPICE_MSG_DISPLAY_DRAW_COPY,
		number(side, SPICE_MSG_DISPLAY_DRAW_COPY) + 6);
	assert_int_equal(number(side, SPICE_MSG_DISPLAY_STREAM_CREATE), 3);
	/* Of a stream that there is not. */
	link_send_stream_report(side->link, SPICE_MSGC_DISPLAY_STREAM_REPORT,
		&(struct msg_stream_report){ .stream_id = 99, .drops = UINT32_MAX });
	film_frame(f);
	assert_false(side->closed);
}

/* The viewer hears of an overlay's place before it gets the overlay. */
static void test_clip(void **state)
{
	struct fixture *f = *state;
	struct side *side = &f->a.display;
	const struct rect box = { 100, 100, 140, 130 };
	struct msg_stream_clip clip;
	struct region region;
	struct draw *fill;
	int32_t at = -1;

	view(f, &f->a, CAPS_MJPEG);
	film_until(f, side, SPICE_MSG_DISPLAY_STREAM_DATA, 2);
	assert_int_equal(draw_create(&fill, DRAW_FILL, 0, &box), 0);
	fill->fill.brush.type = BRUSH_SOLID;
	draw(f, fill);
	for (int i = 0; i < 1000 && at < 0; i++) {
		loop_run_once(f->loop, 10);
		at = side_seek(side, SPICE_MSG_DISPLAY_DRAW_FILL, 0);
	}
	assert_true(at >= 0);
	assert_in_range(side_seek(side, SPICE_MSG_DISPLAY_STREAM_CLIP, 0), 0, at - 1);
	SIDE_GET(side, stream_clip, SPICE_MSG_DISPLAY_STREAM_CLIP, 0, &clip);
	assert_true(clip.clip.clipped);
	region_init(&region);
	assert_int_equal(proto_clip_region(&clip.clip, &region), 0);
	assert_false(region_overlaps_rect(&region, &box));
	region_finish(&region);
	/* The next frame shows all again. */
	film_until(f, side, SPICE_MSG_DISPLAY_STREAM_CLIP, 1);
	SIDE_GET(side, stream_clip, SPICE_MSG_DISPLAY_STREAM_CLIP, 1, &clip);
	assert_false(clip.clip.clipped);
}

/* In the end the viewer is sent what it really looks like. */
static void test_end(void **state)
{
	struct fixture *f = *state;
	struct side *side = &f->a.display;
	struct region sent;
	int32_t end;

	view(f, &f->a, CAPS_MJPEG);
	film_until(f, side, SPICE_MSG_DISPLAY_STREAM_DATA, 4);
	region_init(&sent);
	for (int i = 0; i < 1000 && !region_contains_rect(&sent, &film_area); i++) {
		loop_run_once(f->loop, 20);
		end = side_seek(side, SPICE_MSG_DISPLAY_STREAM_DESTROY, 0);
		region_clear(&sent);
		for (uint32_t k = 0; end >= 0 && k < side->count; k++) {
			struct msg_draw_copy copy;

			if (side->types[k] != SPICE_MSG_DISPLAY_DRAW_COPY || k < (uint32_t)end)
				continue;
			assert_true(msg_draw_copy_parse(
				&copy, buf_bytes(&side->bodies[k]), side->bodies[k].size));
			assert_int_not_equal(copy.source.type, SPICE_IMAGE_TYPE_JPEG);
			region_add_rect(&sent, &copy.base.box);
		}
	}
	assert_true(region_contains_rect(&sent, &film_area));
	region_finish(&sent);
}

static void test_surface_goes(void **state)
{
	struct fixture *f = *state;
	struct side *side = &f->a.display;

	view(f, &f->a, CAPS_MJPEG);
	film_until(f, side, SPICE_MSG_DISPLAY_STREAM_DATA, 2);
	film_frame(f);
	display_sink(f->display)->ops->surface_destroy(display_sink(f->display), 0);
	for (int i = 0; i < 1000 && side_seek(side, SPICE_MSG_DISPLAY_SURFACE_DESTROY, 0) < 0; i++)
		loop_run_once(f->loop, 10);
	assert_in_range(side_seek(side, SPICE_MSG_DISPLAY_STREAM_DESTROY, 0), 1,
		side_seek(side, SPICE_MSG_DISPLAY_SURFACE_DESTROY, 0) - 1);
}

/* Two viewers that want the same get the same bytes, made once. */
static void test_shared(void **state)
{
	struct fixture *f = *state;
	uint32_t same = 0;

	view(f, &f->a, CAPS_MJPEG);
	view(f, &f->b, CAPS_MJPEG);
	film_until(f, &f->a.display, SPICE_MSG_DISPLAY_STREAM_DATA, SHARED - 1);
	film_until(f, &f->b.display, SPICE_MSG_DISPLAY_STREAM_DATA, SHARED - 1);
	for (uint32_t i = 0; i < SHARED; i++) {
		for (uint32_t k = 0; k < SHARED; k++) {
			struct msg_stream_data a, b;

			SIDE_GET(&f->a.display, stream_data, SPICE_MSG_DISPLAY_STREAM_DATA, i, &a);
			SIDE_GET(&f->b.display, stream_data, SPICE_MSG_DISPLAY_STREAM_DATA, k, &b);
			same += a.mm_time == b.mm_time && a.data.size == b.data.size &&
				!memcmp(a.data.data, b.data.data, a.data.size);
		}
	}
	/* Their links are measured apart, so that their wishes may differ for a while. */
	assert_in_range(same, SHARED / 3, SHARED);
	/* One leaves in the middle of it; a third one comes. */
	viewer_finish(&f->a);
	film_frame(f);
	view(f, &f->a, CAPS_VP8);
	film_until(f, &f->a.display, SPICE_MSG_DISPLAY_STREAM_DATA, 4);
	check_frames(&f->a.display, VIDEO_VP8, 5);
}

static void test_switched_off(void **state)
{
	struct fixture *f = *state;
	struct side *side = &f->a.display;

	view(f, &f->a, CAPS_MJPEG);
	film_until(f, side, SPICE_MSG_DISPLAY_STREAM_DATA, 1);
	spice_server_set_video(f->server, SPICE_SERVER_VIDEO_OFF);
	film_until(f, side, SPICE_MSG_DISPLAY_STREAM_DESTROY, 0);
	film_until(f, side, SPICE_MSG_DISPLAY_DRAW_COPY,
		number(side, SPICE_MSG_DISPLAY_DRAW_COPY) + 8);
	assert_true(side_seek(side, SPICE_MSG_DISPLAY_STREAM_CREATE, 1) < 0);
}

static void test_malformed_report(void **state)
{
	struct fixture *f = *state;
	struct buf body = { 0 };

	view(f, &f->a, CAPS_MJPEG);
	view(f, &f->b, CAPS_MJPEG);
	assert_int_equal(buf_append(&body, "short", 5), 0);
	link_send(f->a.display.link, SPICE_MSGC_DISPLAY_STREAM_REPORT, &body);
	for (int i = 0; i < 1000 && !f->a.display.closed; i++)
		loop_run_once(f->loop, 10);
	assert_true(f->a.display.closed);
	assert_false(f->b.display.closed);
}

/* ---- quality ---- */

static void test_control(void **state)
{
	struct stream_link fast = { 0 }, slow = { .rate = 250000, .streams = 1 };
	struct stream_control control;
	struct video_demand best, less, shared;

	stream_control_init(&control, VIDEO_MJPEG, 640, 360);
	best = stream_control_demand(&control, &fast, 33333);
	assert_in_range(best.quality, 80, 95);
	assert_in_range(best.bytes, 40000, 60000);
	/* Within what a slow link carries, beside other things. */
	less = stream_control_demand(&control, &slow, 33333);
	assert_in_range((uint64_t)less.bytes * 1000000 / less.interval_us, 100000, 190000);
	assert_true(less.average_ms < 1000);
	slow.streams = 2;
	shared = stream_control_demand(&control, &slow, 33333);
	assert_true((uint64_t)shared.bytes * 1000000 / shared.interval_us <=
		(uint64_t)less.bytes * 1000000 / less.interval_us * 6 / 10);
	/* A crawling one gets fewer frames, not ones of a few bytes. */
	slow = (struct stream_link){ .rate = 20000, .streams = 1 };
	less = stream_control_demand(&control, &slow, 33333);
	assert_true(less.interval_us > 100000);
	assert_true(less.bytes > 2000);
	assert_int_equal(control.interval_us, less.interval_us);
}

static void test_control_reports(void **state)
{
	struct stream_link fast = { .rate = 2000000, .streams = 1 };
	struct stream_control control;
	uint32_t before, after;

	stream_control_init(&control, VIDEO_VP8, 1280, 720);
	before = stream_control_demand(&control, &fast, 33333).bytes;
	for (int i = 0; i < 4; i++)
		stream_control_report(&control, 15, 6);
	after = stream_control_demand(&control, &fast, 33333).bytes;
	assert_true(after * 2 < before);
	for (int i = 0; i < 40; i++)
		stream_control_report(&control, 15, 0);
	assert_int_equal(stream_control_demand(&control, &fast, 33333).bytes, before);
	/* One of fifteen is chance. */
	stream_control_report(&control, 15, 1);
	assert_int_equal(stream_control_demand(&control, &fast, 33333).bytes, before);
}

static void test_control_sizes(void **state)
{
	struct stream_link fast = { 0 };
	struct stream_control control;
	int frames;

	/* Frames that are bad at this size are sent at half of it, and whole again later. */
	stream_control_init(&control, VIDEO_MJPEG, 640, 360);
	for (frames = 0; !stream_control_sent(&control, 12, true); frames++)
		assert_in_range(frames, 0, 50);
	assert_int_equal(control.shift, 1);
	for (frames = 0; !stream_control_sent(&control, 75, true); frames++)
		assert_in_range(frames, 0, 200);
	assert_int_equal(control.shift, 0);
	assert_true(frames > 30);
	for (frames = 0; frames < 100; frames++)
		assert_false(stream_control_sent(&control, 12, false));
	/* Where single frames are blurred, there are fewer of them, which are better. */
	stream_control_init(&control, VIDEO_MJPEG, 640, 360);
	for (frames = 0; frames < 20; frames++)
		stream_control_sent(&control, 55, true);
	assert_in_range(stream_control_demand(&control, &fast, 33333).interval_us, 40000, 42000);
	for (frames = 0; frames < 40; frames++)
		stream_control_sent(&control, 85, true);
	assert_int_equal(stream_control_demand(&control, &fast, 33333).interval_us, 33333);
	assert_int_equal(control.interval_us, 0);
}

static void test_lag(void **state)
{
	uint32_t near = stream_lag_ms(0, 10000, 0, 0), far;

	assert_in_range(near, 20, 100);
	/* 20 kB at 250 kB/s take 80 ms. */
	far = stream_lag_ms(0, 20000, 250000, 0);
	assert_in_range(far - near, 75, 85);
	assert_in_range(stream_lag_ms(50000, 20000, 250000, 0) - far, 45, 55);
	assert_true(stream_lag_ms(UINT32_MAX, UINT32_MAX, 1, 0) <= 2000);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_mjpeg),
		T(test_vp8),
		T(test_choice_of_codec),
		T(test_clip),
		T(test_end),
		T(test_surface_goes),
		T(test_shared),
		T(test_switched_off),
		T(test_malformed_report),
		cmocka_unit_test(test_control),
		cmocka_unit_test(test_control_reports),
		cmocka_unit_test(test_control_sizes),
		cmocka_unit_test(test_lag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

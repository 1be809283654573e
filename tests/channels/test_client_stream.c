/* SPDX-License-Identifier: MIT */
/* The viewer's video streams: what is shown, when, and what never appears over later drawings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "channels/client/client_stream_internal.h"
#include "client_scene.h"
#include "codecs/video.h"
#include "core/util.h"

#define MS 1000000ull

enum { SIDE = 32, STREAM = 5 };

/* ---- what the server does ---- */

/* A picture of two halves: one colour above, one below. */
static void paint(uint8_t *pixels, uint32_t width, uint32_t height, uint32_t top, uint32_t bottom)
{
	for (uint32_t i = 0; i < width * height; i++) {
		uint32_t color = i / width < height / 2 ? top : bottom;

		for (int n = 0; n < 3; n++)
			pixels[4 * i + n] = (uint8_t)(color >> 8 * n);
		pixels[4 * i + 3] = 0;
	}
}

static struct video_encoder *encoder_of(enum video_codec codec)
{
	struct video_encoder *encoder;

	assert_int_equal(video_encoder_create(&encoder, codec, SIDE, SIDE), 0);
	return encoder;
}

static void encode(struct video_encoder *encoder, struct buf *frame, uint32_t top, uint32_t bottom,
	uint32_t time_ms)
{
	const struct video_demand demand = { .quality = 95, .interval_us = 33000 };
	const uint8_t *rows[SIDE];
	uint8_t pixels[SIDE * SIDE * 4];

	paint(pixels, SIDE, SIDE, top, bottom);
	for (size_t y = 0; y < SIDE; y++)
		rows[y] = pixels + y * SIDE * 4;
	frame->size = 0;
	while (!frame->size) /* one that was left out is asked for again */
		assert_int_equal(
			video_encoder_encode(encoder, frame, rows, SIDE, SIDE, time_ms++, &demand),
			0);
}

static void create(struct stage *stage, uint8_t codec, uint8_t flags, const struct rect *dest)
{
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_STREAM_CREATE, stream_create,
		{ .stream_id = STREAM,
			.flags = flags,
			.codec = codec,
			.stream_width = SIDE,
			.stream_height = SIDE,
			.source_width = SIDE,
			.source_height = SIDE,
			.dest = *dest });
}

static void send_frame(struct stage *stage, const struct buf *frame, uint32_t mm_time)
{
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_STREAM_DATA, stream_data,
		{ .stream_id = STREAM,
			.mm_time = mm_time,
			.data = { buf_bytes(frame), frame->size } });
}

static bool near(uint32_t a, uint32_t b)
{
	for (int shift = 0; shift < 24; shift += 8)
		if (abs((int)(a >> shift & 255) - (int)(b >> shift & 255)) > 24)
			return false;
	return true;
}

static void wait_pixel(struct stage *stage, uint32_t x, uint32_t y, uint32_t color)
{
	uint64_t end = clock_monotonic_ns() + 10000 * MS;

	while (!near(stage_pixel(stage, 0, x, y), color) && clock_monotonic_ns() < end)
		loop_run_once(stage->loop, 20);
	if (!near(stage_pixel(stage, 0, x, y), color))
		fail_msg("pixel %u,%u is %06x, not %06x", x, y, stage_pixel(stage, 0, x, y), color);
}

/* Until nothing is under way any more. */
static void drain(struct stage *stage)
{
	for (int i = 0; i < 12; i++)
		loop_run_once(stage->loop, 20);
}

/* ---- showing ---- */

static void check_codec(struct stage *stage, enum video_codec codec, uint8_t wire)
{
	struct video_encoder *encoder = encoder_of(codec);
	struct rect dest = rect_make(8, 8, SIDE, SIDE), large = rect_make(0, 0, 64, 48);
	struct msg_stream_data_sized sized = {
		.stream_id = STREAM, .mm_time = 1066, .width = SIDE, .height = SIDE, .dest = large
	};
	struct buf frame = { 0 };

	create(stage, wire, SPICE_STREAM_FLAGS_TOP_DOWN, &dest);
	encode(encoder, &frame, 0xc02020, 0x20c040, 1000);
	send_frame(stage, &frame, 1000);
	wait_pixel(stage, 20, 12, 0xc02020);
	wait_pixel(stage, 20, 36, 0x20c040);
	assert_int_equal(stage_pixel(stage, 0, 7, 12), 0);
	assert_int_equal(stage_pixel(stage, 0, 40, 12), 0);
	encode(encoder, &frame, 0x2020c0, 0x606060, 1033);
	send_frame(stage, &frame, 1033);
	wait_pixel(stage, 20, 12, 0x2020c0);
	/* One that has another place and size. */
	sized.data = (struct wire_bytes){ buf_bytes(&frame), frame.size };
	encode(encoder, &frame, 0xc0c020, 0x20c0c0, 1066);
	sized.data = (struct wire_bytes){ buf_bytes(&frame), frame.size };
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_STREAM_DATA_SIZED, stream_data_sized, sized);
	wait_pixel(stage, 2, 2, 0xc0c020);
	wait_pixel(stage, 62, 46, 0x20c0c0);
	/* An id that is in use: another stream, its rows from the bottom up. */
	create(stage, wire, 0, &dest);
	encode(encoder, &frame, 0x808080, 0xe0e0e0, 1100);
	video_encoder_destroy(encoder);
	encoder = encoder_of(codec);
	encode(encoder, &frame, 0x808080, 0xe0e0e0, 1100);
	send_frame(stage, &frame, 1100);
	wait_pixel(stage, 20, 12, 0xe0e0e0);
	wait_pixel(stage, 20, 36, 0x808080);
	scene_assert_alive(stage);
	buf_finish(&frame);
	video_encoder_destroy(encoder);
}

static void test_mjpeg(void **state)
{
	check_codec(*state, VIDEO_MJPEG, SPICE_VIDEO_CODEC_TYPE_MJPEG);
}

static void test_vp8(void **state)
{
	check_codec(*state, VIDEO_VP8, SPICE_VIDEO_CODEC_TYPE_VP8);
}

/* Many frames at once, as after a stall: the newest is what is seen then, with each codec. */
static void test_burst(void **state)
{
	static const uint8_t wire[] = { SPICE_VIDEO_CODEC_TYPE_MJPEG, SPICE_VIDEO_CODEC_TYPE_VP8 };
	struct stage *stage = *state;
	struct rect dest = rect_make(0, 0, SIDE, SIDE);

	for (int codec = 0; codec < 2; codec++) {
		struct video_encoder *encoder = encoder_of((enum video_codec)codec);
		struct buf frame = { 0 };

		create(stage, wire[codec], SPICE_STREAM_FLAGS_TOP_DOWN, &dest);
		for (uint32_t i = 0; i < 60; i++) {
			uint32_t color = i == 59 ? 0x30d030u + (uint32_t)codec * 0xa00000
						 : 0x202020 + i;

			encode(encoder, &frame, color, color, 33 * i);
			send_frame(stage, &frame, 5000 + 33 * i);
		}
		wait_pixel(stage, 9, 9, 0x30d030u + (uint32_t)codec * 0xa00000);
		buf_finish(&frame);
		video_encoder_destroy(encoder);
	}
}

/* ---- beside drawings ---- */

static void test_later_drawings(void **state)
{
	struct stage *stage = *state;
	struct video_encoder *encoder = encoder_of(VIDEO_MJPEG);
	struct rect dest = rect_make(0, 0, SIDE, SIDE), hole = rect_make(4, 4, 8, 8);
	struct msg_draw_fill fill = scene_fill_of(10, 10, 10, 10, GREEN);
	struct msg_draw_fill part = scene_fill_of(20, 10, 12, 10, RED);
	struct buf frame = { 0 };
	struct region clip;

	create(stage, SPICE_VIDEO_CODEC_TYPE_MJPEG, SPICE_STREAM_FLAGS_TOP_DOWN, &dest);
	encode(encoder, &frame, 0x2020c0, 0x2020c0, 0);
	for (uint32_t i = 0; i < 6; i++) {
		/* The frame is still with the worker, or waits, when the drawings come. */
		send_frame(stage, &frame, 1000 + 40 * i);
		region_init_rect(&clip, &hole);
		fill.base.clip = (struct proto_clip){ 0 };
		scene_send_fill(stage, &fill);
		part.base.clip = (struct proto_clip){ .clipped = true, .region = &clip };
		part.base.box = rect_make(0, 0, 64, 48);
		scene_send_fill(stage, &part);
		region_finish(&clip);
		wait_pixel(stage, 24, 24, 0x2020c0);
		drain(stage);
		assert_int_equal(stage_pixel(stage, 0, 12, 12), GREEN);
		assert_int_equal(stage_pixel(stage, 0, 5, 5), RED);
		assert_true(near(stage_pixel(stage, 0, 30, 12), 0x2020c0));
		fill = scene_fill_of(0, 0, 64, 48, 0);
		scene_send_fill(stage, &fill);
		fill = scene_fill_of(10, 10, 10, 10, GREEN);
	}
	/* The server's own way: the stream's clip shrinks, for frames that came before too. */
	send_frame(stage, &frame, 3000);
	region_init_rect(&clip, &hole);
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_STREAM_CLIP, stream_clip,
		{ .stream_id = STREAM, .clip = { .clipped = true, .region = &clip } });
	wait_pixel(stage, 5, 5, 0x2020c0);
	drain(stage);
	assert_int_equal(stage_pixel(stage, 0, 3, 5), 0);
	assert_int_equal(stage_pixel(stage, 0, 24, 24), 0);
	region_finish(&clip);
	buf_finish(&frame);
	video_encoder_destroy(encoder);
}

/* What reads the stream's place reads a frame that was waiting for its time. */
static void test_reading_drawings(void **state)
{
	struct stage *stage = *state;
	struct video_encoder *encoder = encoder_of(VIDEO_MJPEG);
	struct rect dest = rect_make(0, 0, SIDE, SIDE);
	struct msg_copy_bits bits = { .base = scene_base_of(40, 0, 16, 16), .from = { 8, 8 } };
	const struct client_stream *stream;
	uint64_t begin = clock_monotonic_ns();
	struct buf frame = { 0 };

	create(stage, SPICE_VIDEO_CODEC_TYPE_MJPEG, SPICE_STREAM_FLAGS_TOP_DOWN, &dest);
	stream = stage->client->display.streams->by_id[STREAM];
	encode(encoder, &frame, 0x2020c0, 0x2020c0, 0);
	send_frame(stage, &frame, 1000);
	wait_pixel(stage, 9, 9, 0x2020c0);
	/* One that is late by a second, so that those in time have to wait from then on. */
	for (int i = 0; i < 5; i++)
		drain(stage);
	send_frame(stage, &frame, 1033);
	drain(stage);
	encode(encoder, &frame, 0xc02020, 0xc02020, 0);
	send_frame(stage, &frame, 1000 + (uint32_t)((clock_monotonic_ns() - begin) / MS));
	/* Decoded, it waits for its time. */
	for (int i = 0; i < 1000 && stream->frames && !stream->ready; i++)
		loop_run_once(stage->loop, 10);
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_COPY_BITS, copy_bits, bits);
	assert_true(near(stage_pixel(stage, 0, 45, 5), 0xc02020));
	wait_pixel(stage, 9, 9, 0xc02020);
	buf_finish(&frame);
	video_encoder_destroy(encoder);
}

/* The last frame is shown though its stream has gone, unless something was drawn in its place. */
static void test_destroy(void **state)
{
	struct stage *stage = *state;
	struct video_encoder *encoder = encoder_of(VIDEO_VP8);
	struct rect dest = rect_make(0, 0, SIDE, SIDE);
	struct msg_draw_fill fill = scene_fill_of(0, 0, 16, 64, GREEN);
	struct buf frame = { 0 };

	create(stage, SPICE_VIDEO_CODEC_TYPE_VP8, SPICE_STREAM_FLAGS_TOP_DOWN, &dest);
	encode(encoder, &frame, 0x505050, 0x505050, 0);
	send_frame(stage, &frame, 1000);
	encode(encoder, &frame, 0xc02020, 0xc02020, 400);
	send_frame(stage, &frame, 1400);
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_STREAM_DESTROY, stream_destroy,
		{ .stream_id = STREAM });
	scene_send_fill(stage, &fill);
	wait_pixel(stage, 24, 24, 0xc02020);
	drain(stage);
	assert_int_equal(stage_pixel(stage, 0, 12, 12), GREEN);
	create(stage, SPICE_VIDEO_CODEC_TYPE_MJPEG, SPICE_STREAM_FLAGS_TOP_DOWN, &dest);
	send_frame(stage, &frame, 1500); /* no JPEG */
	stage_send(stage, DISPLAY, SPICE_MSG_DISPLAY_STREAM_DESTROY_ALL, NULL);
	/* The client goes while a frame is with the worker. */
	create(stage, SPICE_VIDEO_CODEC_TYPE_VP8, SPICE_STREAM_FLAGS_TOP_DOWN, &dest);
	send_frame(stage, &frame, 1600);
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_SURFACE_DESTROY, surface_destroy, { 0 });
	send_frame(stage, &frame, 1600);
	scene_assert_alive(stage);
	buf_finish(&frame);
	video_encoder_destroy(encoder);
}

/* ---- reports ---- */

static struct msg_stream_report report_of(struct stage *stage)
{
	const struct buf *body = stage_heard(stage, DISPLAY, SPICE_MSGC_DISPLAY_STREAM_REPORT);
	struct msg_stream_report report;

	assert_true(msg_stream_report_parse(&report, buf_bytes(body), body->size));
	return report;
}

static uint32_t reports(struct stage *stage)
{
	stage_settle(stage);
	return stage_heard_count(stage, DISPLAY, SPICE_MSGC_DISPLAY_STREAM_REPORT);
}

static void test_reports(void **state)
{
	struct stage *stage = malloc(sizeof(*stage));
	struct video_encoder *encoder = encoder_of(VIDEO_MJPEG);
	struct rect dest = rect_make(0, 0, SIDE, SIDE);
	struct msg_stream_report report;
	struct buf frame = { 0 };

	(void)state;
	stage_open(stage);
	stage->server_caps = 1u << SPICE_DISPLAY_CAP_STREAM_REPORT;
	stage_bring_up(stage);
	scene_create_surface(stage, 0, WIDTH, HEIGHT, SPICE_SURFACE_FMT_32_xRGB);
	STAGE_SEND(stage, SPICE_CHANNEL_MAIN, SPICE_MSG_MAIN_MULTI_MEDIA_TIME, multi_media_time,
		{ .time = 100000 });
	create(stage, SPICE_VIDEO_CODEC_TYPE_MJPEG, SPICE_STREAM_FLAGS_TOP_DOWN, &dest);
	encode(encoder, &frame, 0x505050, 0x505050, 0);
	send_frame(stage, &frame, 99000);
	assert_int_equal(reports(stage), 0);
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_STREAM_ACTIVATE_REPORT, stream_activate_report,
		{ .stream_id = STREAM,
			.unique_id = 77,
			.max_window_size = 5,
			.timeout_ms = 1000000 });
	for (uint32_t i = 0; i < 10; i++) {
		uint32_t color = i % 2 ? 0x505050 : 0xb0b0b0;

		encode(encoder, &frame, color, color, 33 * i);
		send_frame(stage, &frame, 4000000 + 33 * i);
		wait_pixel(stage, 9, 9, color); /* each is shown: none is dropped */
		assert_int_equal(reports(stage), (i + 1) / 5);
	}
	report = report_of(stage);
	assert_int_equal(report.stream_id, STREAM);
	assert_int_equal(report.unique_id, 77);
	assert_int_equal(report.frames, 5);
	assert_int_equal(report.start_mm_time, 4000000 + 33 * 5);
	assert_int_equal(report.end_mm_time, 4000000 + 33 * 9);
	assert_in_range(report.last_frame_delay, 3000000, 4000000 - 100000 + 33 * 9);
	assert_int_equal(report.audio_delay, UINT32_MAX);
	/* No such stream, and a codec that nobody asked us to know. */
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_STREAM_DATA, stream_data,
		{ .stream_id = 40, .data = { buf_bytes(&frame), frame.size } });
	report = report_of(stage);
	assert_int_equal(report.stream_id, 40);
	assert_int_equal(report.frames, 0);
	assert_int_equal(report.drops, UINT32_MAX);
	create(stage, SPICE_VIDEO_CODEC_TYPE_H264, 0, &dest);
	report = report_of(stage);
	assert_int_equal(report.stream_id, STREAM);
	assert_int_equal(report.drops, UINT32_MAX);
	buf_finish(&frame);
	video_encoder_destroy(encoder);
	stage_close(stage);
	free(stage);
}

static void test_bad_messages(void **state)
{
	struct stage *stage = *state;
	struct rect dest = rect_make(0, 0, SIDE, SIDE);
	uint8_t bytes[64] = { 0xff, 0xd8, 0xff };
	struct buf frame = { .data = bytes, .size = sizeof(bytes), .capacity = sizeof(bytes) };

	create(stage, SPICE_VIDEO_CODEC_TYPE_MJPEG, SPICE_STREAM_FLAGS_TOP_DOWN, &dest);
	for (uint32_t i = 0; i < 300; i++) {
		frame.size = i % (sizeof(bytes) + 1);
		send_frame(stage, &frame, i * 0x01234567);
	}
	scene_assert_alive(stage);
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_STREAM_CREATE, stream_create,
		{ .stream_id = 100000, .codec = 1, .dest = dest });
	scene_assert_ended(stage);
}

static void test_bad_place(void **state)
{
	struct rect dest = { 0, 0, INT32_MAX, INT32_MAX };

	create(*state, SPICE_VIDEO_CODEC_TYPE_MJPEG, 0, &dest);
	scene_assert_ended(*state);
}

/* ---- the jitter buffer, with a clock of the test's ---- */

static void test_clock(void **state)
{
	struct stream_clock clock = { 0 };
	uint64_t at = 5000 * MS, due, before = 0;
	uint32_t mm = UINT32_MAX - 400; /* wraps on the way */

	(void)state;
	/* An even stream: shown as it comes. */
	for (int i = 0; i < 100; i++, mm += 33, at += 33 * MS) {
		due = stream_clock_frame(&clock, mm, at);
		assert_in_range(due, at, at + 2 * MS);
	}
	/* Frames that come up to 60 ms late: after some, all are shown evenly. */
	for (int i = 0; i < 200; i++, mm += 33, at += 33 * MS) {
		uint64_t came = at + (uint64_t)(i * 7 % 4) * 20 * MS;

		due = stream_clock_frame(&clock, mm, came);
		assert_true(due >= before);
		if (i > 100) {
			assert_in_range(due, at + 20 * MS, at + 100 * MS);
			assert_in_range(due - before, 20 * MS, 60 * MS);
		}
		before = due;
	}
	/* And when they come evenly again the delay goes. */
	for (int i = 0; i < 400; i++, mm += 33, at += 33 * MS)
		due = stream_clock_frame(&clock, mm, at);
	assert_in_range(due, at - 33 * MS, at - 33 * MS + 5 * MS);
	/* A stamp of another clock is no reason to wait. */
	due = stream_clock_frame(&clock, mm + 100000, at);
	assert_int_equal(due, at);
	/* Nothing waits for longer than that, whatever the stamps. */
	for (uint32_t i = 0; i < 100000; i++) {
		mm += i * 2654435761u >> (i % 32);
		at += i % 50 * MS;
		due = stream_clock_frame(&clock, mm, at);
		assert_true(due <= at + (uint64_t)STREAM_CLOCK_DELAY_MAX_MS * MS);
		stream_clock_late(&clock, i * MS);
	}
}

int main(void)
{
#define STAGED(test) cmocka_unit_test_setup_teardown(test, scene_setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		STAGED(test_mjpeg),
		STAGED(test_vp8),
		STAGED(test_burst),
		STAGED(test_later_drawings),
		STAGED(test_reading_drawings),
		STAGED(test_destroy),
		cmocka_unit_test(test_reports),
		STAGED(test_bad_messages),
		STAGED(test_bad_place),
		cmocka_unit_test(test_clock),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

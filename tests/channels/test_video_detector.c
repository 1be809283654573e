/* SPDX-License-Identifier: MIT */
/* What is found to be a video, where, and when its frames are complete. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "channels/server/video_content.h"
#include "channels/server/video_detector.h"
#include "core/util.h"
#include "tests/channels/server_film.h"

enum { WIDTH = 800, HEIGHT = 600, FRAME_MS = 33 };

struct fixture {
	struct loop *loop;
	struct display *display;
	struct video_detector *detector;
	struct video_listener listener;
	uint64_t now_ns; /* of the drawings */
	uint32_t begun, ended, frames, shown_changes;
	struct video *video; /* the newest one */
	struct rect area; /* of it */
	uint64_t first_ns; /* when the first one began */
};

static struct fixture *of_listener(struct video_listener *listener)
{
	return container_of(listener, struct fixture, listener);
}

static void on_begin(struct video_listener *listener, struct video *video)
{
	struct fixture *f = of_listener(listener);

	if (!f->begun++)
		f->first_ns = f->now_ns;
	f->video = video;
	f->area = video->area;
}
static void on_frame(struct video_listener *listener, struct video *video)
{
	of_listener(listener)->frames++;
}
static void on_shown(struct video_listener *listener, struct video *video)
{
	of_listener(listener)->shown_changes++;
}
static void on_end(struct video_listener *listener, struct video *video)
{
	struct fixture *f = of_listener(listener);

	f->ended++;
	if (f->video == video)
		f->video = NULL;
}

static const struct video_listener_ops listener_ops = {
	.begin = on_begin, .frame = on_frame, .shown = on_shown, .end = on_end
};

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));
	struct surface *surface;

	assert_int_equal(loop_create(&f->loop), 0);
	assert_int_equal(display_create(&f->display), 0);
	assert_int_equal(surface_create(&surface, SURFACE_XRGB8888, WIDTH, HEIGHT), 0);
	display_sink(f->display)->ops->surface_create(display_sink(f->display), 0, surface);
	assert_int_equal(video_detector_create(&f->detector, f->loop, f->display), 0);
	video_detector_surface(f->detector, 0, surface);
	surface_unref(surface);
	f->listener.ops = &listener_ops;
	video_detector_listen(f->detector, &f->listener);
	f->now_ns = clock_monotonic_ns();
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	video_detector_unlisten(f->detector, &f->listener);
	video_detector_destroy(f->detector);
	display_destroy(f->display);
	loop_destroy(f->loop);
	test_free(f);
	return 0;
}

/* Draws; answers whether it became part of a video's frame. */
static bool put(struct fixture *f, struct draw *draw)
{
	struct display_sink *sink = display_sink(f->display);
	bool took;

	sink->ops->draw(sink, draw);
	video_detector_draw(f->detector, draw, f->now_ns);
	took = video_detector_took(f->detector) != NULL;
	assert_true(!took || video_detector_took(f->detector) == f->video);
	draw_unref(draw);
	return took;
}

static bool put_film(
	struct fixture *f, uint32_t frame, const struct rect *film, const struct rect *part)
{
	return put(f, film_draw(film_pixel, frame, (struct point){ film->left, film->top }, part));
}

static void next_frame(struct fixture *f)
{
	loop_run_once(f->loop, 0);
	f->now_ns += FRAME_MS * 1000000ull;
}

static void fill(struct fixture *f, const struct rect *box)
{
	struct draw *draw;

	assert_int_equal(draw_create(&draw, DRAW_FILL, 0, box), 0);
	draw->fill.brush.type = BRUSH_SOLID;
	draw->fill.brush.color = 0x123456;
	assert_false(put(f, draw));
}

static void copy_bits(struct fixture *f, const struct rect *box, int32_t dx, int32_t dy)
{
	struct draw *draw;

	assert_int_equal(draw_create(&draw, DRAW_COPY_BITS, 0, box), 0);
	draw->copy_bits.from = (struct point){ box->left - dx, box->top - dy };
	assert_false(put(f, draw));
}

#define assert_rect(a, l, t, r, b)                                               \
	do {                                                                     \
		assert_int_equal((a).left, l), assert_int_equal((a).top, t);     \
		assert_int_equal((a).right, r), assert_int_equal((a).bottom, b); \
	} while (0)

/* ---- what is found ---- */

static void test_whole_frames(void **state)
{
	struct fixture *f = *state;
	const struct rect film = { 50, 70, 371, 250 };
	bool took[12];

	for (uint32_t i = 0; i < ARRAY_SIZE(took); i++, next_frame(f))
		took[i] = put_film(f, i, &film, &film);
	assert_int_equal(f->begun, 1);
	assert_rect(f->area, 50, 70, 371, 250);
	/* Early, and not at once. */
	assert_false(took[0]);
	assert_false(took[1]);
	for (uint32_t i = 5; i < ARRAY_SIZE(took); i++)
		assert_true(took[i]);
	assert_in_range(f->frames, 7, 12);
	assert_int_equal(f->ended, 0);
	assert_in_range(f->video->interval_ns, 30000000, 36000000);
}

/* As X cuts what is too large for a request: all of a frame's strips count from the first on. */
static void test_strips(void **state)
{
	struct fixture *f = *state;
	const struct rect film = { 100, 100, 740, 460 };

	for (uint32_t i = 0; i < 8; i++, next_frame(f)) {
		for (int32_t top = film.top; top < film.bottom; top += 102) {
			struct rect strip = { 100, top, 740, MIN(top + 102, film.bottom) };
			bool took = put_film(f, i, &film, &strip);

			if (i >= 3)
				assert_true(took);
		}
	}
	assert_int_equal(f->begun, 1);
	assert_rect(f->area, 100, 100, 740, 460);
	assert_in_range(f->frames, 5, 6);
}

static void test_changing_rectangles(void **state)
{
	struct fixture *f = *state;
	const struct rect film = { 64, 40, 484, 340 };
	uint32_t seed = 7, taken = 0;

	for (uint32_t i = 0; i < 40; i++, next_frame(f)) {
		/* Any third of it is left out. */
		for (uint32_t k = 0; k < 9; k++) {
			struct rect part = rect_make(
				64 + (int32_t)(k % 3) * 140, 40 + (int32_t)(k / 3) * 100, 140, 100);

			seed = seed * 1103515245 + 12345;
			if ((seed >> 16) % 3)
				taken += put_film(f, i, &film, &part);
		}
	}
	assert_non_null(f->video);
	assert_rect(f->area, 64, 40, 484, 340);
	assert_in_range(taken, 120, 240);
}

static void test_whole_screen(void **state)
{
	struct fixture *f = *state;
	const struct rect film = { 0, 0, WIDTH, HEIGHT };

	for (uint32_t i = 0; i < 6; i++, next_frame(f)) {
		video_detector_dirty(f->detector, 0, &film, f->now_ns);
		put_film(f, i, &film, &film);
	}
	assert_int_equal(f->begun, 1);
	assert_rect(f->area, 0, 0, WIDTH, HEIGHT);
}

static void test_two_videos(void **state)
{
	struct fixture *f = *state;
	const struct rect a = { 10, 10, 200, 150 }, b = { 400, 300, 700, 500 };
	struct video *first;

	for (uint32_t i = 0; i < 6; i++, next_frame(f))
		put_film(f, i, &a, &a);
	first = f->video;
	assert_rect(f->area, 10, 10, 200, 150);
	for (uint32_t i = 0; i < 6; i++, next_frame(f)) {
		struct draw *draw = film_draw(film_pixel, i, (struct point){ 10, 10 }, &a);

		video_detector_draw(f->detector, draw, f->now_ns);
		assert_ptr_equal(video_detector_took(f->detector), first);
		draw_unref(draw);
		put_film(f, i, &b, &b);
	}
	assert_int_equal(f->begun, 2);
	assert_int_equal(f->ended, 0);
	assert_rect(f->area, 400, 300, 700, 500);
}

/* ---- what is none ---- */

static void test_text_is_none(void **state)
{
	struct fixture *f = *state;
	const struct rect page = { 40, 40, 640, 540 };

	/* Drawn anew each time, as some terminals and all web browsers do. */
	for (uint32_t i = 0; i < 30; i++, next_frame(f))
		assert_false(put(f, film_draw(page_pixel, i, (struct point){ 40, 40 }, &page)));
	assert_int_equal(f->begun, 0);
	/* It was its looks, and nothing else. */
	video_detector_set_mode(f->detector, SPICE_SERVER_VIDEO_ALL);
	f->now_ns += 1000000000;
	for (uint32_t i = 0; i < 6; i++, next_frame(f))
		put(f, film_draw(page_pixel, i, (struct point){ 40, 40 }, &page));
	assert_int_equal(f->begun, 1);
}

static void test_scrolling_is_none(void **state)
{
	struct fixture *f = *state;
	const struct rect page = { 40, 40, 640, 526 }, last = { 40, 526, 640, 540 };

	/* Even pictures that scroll by: what comes in below is small. */
	for (uint32_t i = 0; i < 30; i++, next_frame(f)) {
		copy_bits(f, &page, 0, -14);
		assert_false(put_film(f, i, &last, &last));
	}
	assert_int_equal(f->begun, 0);
}

/* A window that is dragged, and drawn anew at each step. */
static void test_moving_window_settles(void **state)
{
	struct fixture *f = *state;

	for (int32_t i = 0; i < 120; i++, next_frame(f)) {
		struct rect window = rect_make(20 + 4 * i, 100, 200, 150);

		put_film(f, 0, &window, &window);
	}
	assert_in_range(f->begun, 0, 4);
	assert_null(f->video);
}

static void test_slow_changes_are_none(void **state)
{
	struct fixture *f = *state;
	const struct rect film = { 50, 70, 371, 250 };

	for (uint32_t i = 0; i < 12; i++, next_frame(f)) {
		assert_false(put_film(f, i, &film, &film));
		f->now_ns += 250000000;
	}
	assert_int_equal(f->begun, 0);
}

static void test_off(void **state)
{
	struct fixture *f = *state;
	const struct rect film = { 50, 70, 371, 250 };

	for (uint32_t i = 0; i < 6; i++, next_frame(f))
		put_film(f, i, &film, &film);
	assert_int_equal(f->begun, 1);
	video_detector_set_mode(f->detector, SPICE_SERVER_VIDEO_OFF);
	assert_int_equal(f->ended, 1);
	for (uint32_t i = 0; i < 6; i++, next_frame(f))
		assert_false(put_film(f, i, &film, &film));
	assert_int_equal(f->begun, 1);
}

/* ---- its life ---- */

static void test_overlay(void **state)
{
	struct fixture *f = *state;
	const struct rect film = { 50, 70, 371, 250 }, menu = { 60, 80, 120, 140 };
	struct region visible;

	for (uint32_t i = 0; i < 6; i++, next_frame(f))
		put_film(f, i, &film, &film);
	assert_true(region_contains_rect(&f->video->shown, &film));
	/* A menu opens above it: from there on the guest's frames leave it out. */
	fill(f, &menu);
	assert_false(region_overlaps_rect(&f->video->shown, &menu));
	region_init_rect(&visible, &film);
	region_subtract_rect(&visible, &menu);
	for (uint32_t i = 6; i < 10; i++, next_frame(f)) {
		struct draw *draw = film_draw(film_pixel, i, (struct point){ 50, 70 }, &film);

		draw->clipped = true;
		region_copy(&draw->clip, &visible);
		assert_true(put(f, draw));
		assert_false(region_overlaps_rect(&f->video->shown, &menu));
	}
	/* It closes. */
	assert_true(put_film(f, 10, &film, &film));
	assert_true(region_contains_rect(&f->video->shown, &film));
	assert_int_equal(f->shown_changes, 2);
	assert_int_equal(f->ended, 0);
	region_finish(&visible);
}

/* What is drawn on each frame anew is a part of it. */
static void test_subtitles(void **state)
{
	struct fixture *f = *state;
	const struct rect film = { 50, 70, 371, 250 }, title = { 100, 220, 300, 240 };
	struct draw *draw;
	bool took = false;

	for (uint32_t i = 0; i < 16; i++, next_frame(f)) {
		put_film(f, i, &film, &film);
		assert_int_equal(draw_create(&draw, DRAW_FILL, 0, &title), 0);
		draw->fill.brush.type = BRUSH_SOLID;
		took = put(f, draw);
	}
	assert_true(took);
	assert_true(region_contains_rect(&f->video->shown, &film));
	assert_in_range(f->shown_changes, 2, 10);
}

/* ---- off-screen ---- */

enum { OFF = 1, OFF_X = 30, OFF_Y = 20 }; /* where the film lies on its surface */

static void off_screen_surface(struct fixture *f)
{
	struct surface *surface;

	assert_int_equal(surface_create(&surface, SURFACE_XRGB8888, 500, 300), 0);
	display_sink(f->display)->ops->surface_create(display_sink(f->display), OFF, surface);
	video_detector_surface(f->detector, OFF, surface);
	surface_unref(surface);
}

/* Answers whether it need not be shown before the video is. */
static bool draw_off_screen(struct fixture *f, uint32_t frame, const struct rect *film,
	uint32_t (*pixel)(uint32_t frame, uint32_t x, uint32_t y))
{
	struct rect at = rect_make(OFF_X, OFF_Y, rect_width(film), rect_height(film));
	struct draw *draw = film_draw(pixel, frame, (struct point){ OFF_X, OFF_Y }, &at);

	draw->surface_id = OFF;
	return put(f, draw);
}

static bool show_off_screen(struct fixture *f, const struct rect *film)
{
	struct draw *draw;

	assert_int_equal(draw_create(&draw, DRAW_COPY, 0, film), 0);
	draw->copy.source.surface_id = OFF;
	draw->copy.area = rect_make(OFF_X, OFF_Y, rect_width(film), rect_height(film));
	draw->copy.rop.op = ROP_PUT;
	return put(f, draw);
}

/* A film that is drawn on a surface of its own and then copied to where it is seen. */
static void test_off_screen(void **state)
{
	struct fixture *f = *state;
	const struct rect film = { 50, 70, 371, 250 };
	struct pixel_rows *picture;

	off_screen_surface(f);
	for (uint32_t i = 0; i < 10; i++, next_frame(f)) {
		bool drawn = draw_off_screen(f, i, &film, film_pixel);
		bool shown = show_off_screen(f, &film);

		if (i >= 5)
			assert_true(drawn && shown);
	}
	assert_int_equal(f->begun, 1);
	assert_rect(f->area, 50, 70, 371, 250);
	assert_int_equal(video_picture(f->detector, f->video, &picture), 0);
	for (uint32_t y = 0; y < 180; y += 7) {
		uint32_t row[321];

		memcpy(row, picture->rows[y], sizeof(row));
		for (uint32_t x = 0; x < 321; x++)
			assert_int_equal(row[x] & 0xffffff, film_pixel(9, x, y));
	}
	pixel_rows_unref(picture);
	/* What is drawn elsewhere on that surface is no part of it, nor is anything once it is
	 * copied no more. */
	assert_false(draw_off_screen(f, 10, &(struct rect){ 50, 70, 380, 250 }, film_pixel));
	/* The same frame once more; a frame that differs a little. */
	assert_true(show_off_screen(f, &film));
	assert_true(show_off_screen(f, &film));
	assert_true(draw_off_screen(f, 10, &(struct rect){ 50, 70, 250, 110 }, film_pixel));
	assert_true(show_off_screen(f, &film));
	/* A window with it, where the viewer would lack the last frames. */
	assert_false(show_off_screen(f, &(struct rect){ 50, 70, 390, 270 }));
	assert_false(draw_off_screen(f, 10, &film, film_pixel));
	assert_true(show_off_screen(f, &film));
	assert_true(draw_off_screen(f, 10, &film, film_pixel));
	for (uint32_t i = 0; i < 8; i++)
		next_frame(f);
	assert_false(draw_off_screen(f, 11, &film, film_pixel));
	video_detector_surface(f->detector, OFF, NULL);
}

/* Copies of what did not change, of other drawings, and of text are none. */
static void test_off_screen_is_none(void **state)
{
	struct fixture *f = *state;
	const struct rect film = { 50, 70, 371, 250 };

	off_screen_surface(f);
	draw_off_screen(f, 1, &film, film_pixel);
	for (uint32_t i = 0; i < 20; i++, next_frame(f)) {
		struct rect dot = { 40, 30, 50, 40 };
		struct draw *draw;

		assert_int_equal(draw_create(&draw, DRAW_FILL, OFF, &dot), 0);
		draw->fill.brush.type = BRUSH_SOLID;
		draw->fill.brush.color = i;
		assert_false(put(f, draw));
		assert_false(show_off_screen(f, &film));
	}
	for (uint32_t i = 0; i < 20; i++, next_frame(f)) {
		assert_false(draw_off_screen(f, i, &film, page_pixel));
		assert_false(show_off_screen(f, &film));
	}
	assert_int_equal(f->begun, 0);
	/* A film in a window that is copied whole goes as it is drawn. */
	for (uint32_t i = 0; i < 20; i++, next_frame(f)) {
		assert_false(draw_off_screen(f, i, &(struct rect){ 50, 70, 200, 170 }, film_pixel));
		assert_false(show_off_screen(f, &film));
	}
	assert_int_equal(f->begun, 0);
}

static void test_pixels_moved_end_it(void **state)
{
	struct fixture *f = *state;
	const struct rect film = { 50, 70, 371, 250 }, moved = { 70, 90, 391, 270 };

	for (uint32_t i = 0; i < 6; i++, next_frame(f))
		put_film(f, i, &film, &film);
	copy_bits(f, &moved, 20, 20);
	assert_int_equal(f->ended, 1);
	/* And it begins again at its new place. */
	for (uint32_t i = 0; i < 6; i++, next_frame(f))
		put_film(f, i, &moved, &moved);
	assert_int_equal(f->begun, 2);
	assert_rect(f->area, 70, 90, 391, 270);
}

static void test_calm(void **state)
{
	struct fixture *f = *state;
	const struct rect film = { 50, 70, 371, 250 };
	uint64_t began_ns = clock_monotonic_ns();

	/* The last drawing is now. */
	f->now_ns = began_ns - 6 * FRAME_MS * 1000000ull;
	for (uint32_t i = 0; i < 6; i++, next_frame(f))
		put_film(f, i, &film, &film);
	assert_int_equal(f->begun, 1);
	while (!f->ended && clock_monotonic_ns() - began_ns < 20000000000)
		loop_run_once(f->loop, 1000);
	assert_int_equal(f->ended, 1);
	/* Where there was one lately, the first picture begins it. */
	f->now_ns = clock_monotonic_ns();
	assert_true(put_film(f, 7, &film, &film));
	assert_int_equal(f->begun, 2);
}

static void test_surface_goes(void **state)
{
	struct fixture *f = *state;
	const struct rect film = { 50, 70, 371, 250 };

	for (uint32_t i = 0; i < 6; i++, next_frame(f))
		put_film(f, i, &film, &film);
	video_detector_surface(f->detector, 0, NULL);
	assert_int_equal(f->ended, 1);
	assert_false(put_film(f, 7, &film, &film));
}

/* The pixels of a frame are those of the moment when it was complete, of all of its strips. */
static void test_picture(void **state)
{
	struct fixture *f = *state;
	const struct rect film = { 64, 64, 364, 264 };
	const struct rect upper = { 64, 64, 364, 164 }, lower = { 64, 164, 364, 264 };
	struct pixel_rows *picture;

	for (uint32_t i = 0; i < 6; i++, next_frame(f)) {
		put_film(f, i, &film, &upper);
		if (f->video && i >= 4)
			assert_int_equal(video_picture(f->detector, f->video, &picture), -EAGAIN);
		put_film(f, i, &film, &lower);
	}
	assert_int_equal(video_picture(f->detector, f->video, &picture), 0);
	assert_int_equal(picture->width, 300);
	assert_int_equal(picture->height, 200);
	for (uint32_t y = 0; y < 200; y += 7) {
		uint32_t row[300];

		memcpy(row, picture->rows[y], sizeof(row));
		for (uint32_t x = 0; x < 300; x++)
			assert_int_equal(row[x] & 0xffffff, film_pixel(5, x, y));
	}
	pixel_rows_unref(picture);
}

/* ---- looks ---- */

static void test_content(void **state)
{
	struct surface *surface;
	const struct rect all = { 0, 0, 400, 300 };
	struct video_content film, page;

	assert_int_equal(surface_create(&surface, SURFACE_XRGB8888, 400, 300), 0);
	for (uint32_t y = 0; y < 300; y++) {
		uint32_t *row = (uint32_t *)(void *)surface_row(surface, y);

		for (uint32_t x = 0; x < 400; x++)
			row[x] = film_pixel(3, x, y);
	}
	film = video_content_measure(surface, &all);
	for (uint32_t y = 0; y < 300; y++) {
		uint32_t *row = (uint32_t *)(void *)surface_row(surface, y);

		for (uint32_t x = 0; x < 400; x++)
			row[x] = page_pixel(3, x, y);
	}
	page = video_content_measure(surface, &all);
	assert_true(video_content_moves(&film));
	assert_false(video_content_moves(&page));
	assert_in_range(page.colors, 1, 2);
	assert_in_range(page.equal, 500, 990);
	/* One pixel, too. */
	page = video_content_measure(surface, &(struct rect){ 7, 7, 8, 8 });
	assert_false(video_content_moves(&page));
	surface_unref(surface);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_whole_frames),
		T(test_strips),
		T(test_changing_rectangles),
		T(test_whole_screen),
		T(test_two_videos),
		T(test_text_is_none),
		T(test_scrolling_is_none),
		T(test_moving_window_settles),
		T(test_slow_changes_are_none),
		T(test_off),
		T(test_overlay),
		T(test_subtitles),
		T(test_off_screen),
		T(test_off_screen_is_none),
		T(test_pixels_moved_end_it),
		T(test_calm),
		T(test_surface_goes),
		T(test_picture),
		cmocka_unit_test(test_content),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

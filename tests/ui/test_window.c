/* SPDX-License-Identifier: MIT */
/* The window on a real X server (an Xvfb of our own): what it shows, pixel by pixel, and what keys
 * and pointer become. A second X client looks at the window and presses its keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <X11/Xlib.h>
#include <X11/Xutil.h>
#include <X11/extensions/Xfixes.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/util.h"
#include "ui/window.h"

enum { SCREEN_WIDTH = 1000, SCREEN_HEIGHT = 700, MAX_EVENTS = 512, PATIENCE_MS = 10000 };

struct fixture {
	pid_t xvfb;
	char display_name[32];
	struct loop *loop;
	sem_t running;
	struct display *display;
	struct window *window;
	pthread_t loop_thread, test_thread;
	struct input_sink input;
	Display *x; /* the test's own eyes */
	Window id;
	pthread_mutex_t lock;
	char events[MAX_EVENTS][64]; /* what the machine heard */
	uint32_t event_count;
	atomic_bool closed, reconnect;
	char failure[256]; /* of the script */
	void (*script)(struct fixture *);
};

__attribute__((format(printf, 2, 3))) static void heard(
	struct input_sink *sink, const char *fmt, ...)
{
	struct fixture *f = container_of(sink, struct fixture, input);
	va_list args;
	va_start(args, fmt);
	pthread_mutex_lock(&f->lock);
	if (f->event_count < MAX_EVENTS)
		vsnprintf(f->events[f->event_count++], sizeof(f->events[0]), fmt, args);
	pthread_mutex_unlock(&f->lock);
	va_end(args);
}

static void on_key(struct input_sink *sink, uint32_t code, bool down)
{
	heard(sink, "key %x %s", code, down ? "down" : "up");
}
static void on_motion(struct input_sink *sink, int32_t dx, int32_t dy)
{
	heard(sink, "motion %d %d", dx, dy);
}
static void on_position(struct input_sink *sink, int32_t x, int32_t y, uint32_t w, uint32_t h)
{
	heard(sink, "position %d %d of %ux%u", x, y, w, h);
}
static void on_button(struct input_sink *sink, enum input_button button, bool down)
{
	heard(sink, "button %d %s", button, down ? "down" : "up");
}
static void on_leds(struct input_sink *sink, uint32_t leds)
{
	heard(sink, "leds %x", leds);
}

static const struct input_sink_ops input_ops = {
	.key = on_key,
	.motion = on_motion,
	.position = on_position,
	.button = on_button,
	.set_leds = on_leds,
};

/* ---- helpers of the scripts ---- */

/* Scripts run on a thread of their own, from which cmocka's jumps must not be made. */
__attribute__((format(printf, 2, 3))) static void fail_script(
	struct fixture *f, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	vsnprintf(f->failure, sizeof(f->failure), fmt, args);
	va_end(args);
	window_quit(f->window);
	pthread_exit(NULL);
}

#define REQUIRE(f, condition)                                                        \
	do {                                                                         \
		if (!(condition))                                                    \
			fail_script(f, "line %d: not so: %s", __LINE__, #condition); \
	} while (0)

static void pause_ms(int ms)
{
	usleep((useconds_t)ms * 1000);
}

__attribute__((format(printf, 2, 3))) static void run_command(
	struct fixture *f, const char *fmt, ...)
{
	char line[512], full[640];
	va_list args;
	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	snprintf(full, sizeof(full), "DISPLAY=%s %s", f->display_name, line);
	if (system(full) != 0)
		fprintf(stderr, "failed: %s\n", full);
}

static bool has_heard(struct fixture *f, const char *text)
{
	bool found = false;
	pthread_mutex_lock(&f->lock);
	for (uint32_t i = 0; i < f->event_count; i++)
		found |= !strcmp(f->events[i], text);
	pthread_mutex_unlock(&f->lock);
	return found;
}

static void expect_heard(struct fixture *f, const char *text)
{
	for (int waited = 0; waited < PATIENCE_MS; waited += 5) {
		if (has_heard(f, text))
			return;
		pause_ms(5);
	}
	for (uint32_t i = 0; i < f->event_count; i++)
		fprintf(stderr, "heard: %s\n", f->events[i]);
	fail_script(f, "the machine did not hear '%s'", text);
}

static void forget_heard(struct fixture *f)
{
	pthread_mutex_lock(&f->lock);
	f->event_count = 0;
	pthread_mutex_unlock(&f->lock);
}

struct call {
	struct fixture *f;
	struct surface *surface;
	struct draw *draw;
	struct cursor_state cursor;
	struct rect area;
};

static void do_create(void *opaque)
{
	struct call *call = opaque;
	struct display_sink *sink = display_sink(call->f->display);
	sink->ops->surface_create(sink, DISPLAY_PRIMARY, call->surface);
}
static void do_dirty(void *opaque)
{
	struct call *call = opaque;
	struct display_sink *sink = display_sink(call->f->display);
	sink->ops->dirty(sink, DISPLAY_PRIMARY, &call->area);
}
static void do_draw(void *opaque)
{
	struct call *call = opaque;
	struct display_sink *sink = display_sink(call->f->display);
	sink->ops->draw(sink, call->draw);
}
static void do_cursor(void *opaque)
{
	struct call *call = opaque;
	struct display_sink *sink = display_sink(call->f->display);
	sink->ops->cursor(sink, &call->cursor);
}

/* A picture in which every pixel differs from its neighbours. */
static uint32_t pattern(uint32_t x, uint32_t y)
{
	return ((x * 7) & 0xff) << 16 | ((y * 5) & 0xff) << 8 | ((x ^ y) & 0xff);
}

static struct surface *show_guest(struct fixture *f, uint32_t width, uint32_t height)
{
	struct call call = { .f = f };
	REQUIRE(f, surface_create(&call.surface, SURFACE_XRGB8888, width, height) == 0);
	for (uint32_t y = 0; y < height; y++)
		for (uint32_t x = 0; x < width; x++)
			((uint32_t *)(void *)surface_row(call.surface, y))[x] = pattern(x, y);
	loop_call(f->loop, do_create, &call);
	return call.surface;
}

static void find_window(struct fixture *f)
{
	Window root, parent, *children = NULL;
	unsigned count = 0;
	XQueryTree(f->x, DefaultRootWindow(f->x), &root, &parent, &children, &count);
	for (unsigned i = 0; i < count; i++) {
		XWindowAttributes a;
		XGetWindowAttributes(f->x, children[i], &a);
		if (a.map_state == IsViewable && a.width > 1)
			f->id = children[i];
	}
	if (children)
		XFree(children);
}

static void window_size(struct fixture *f, int *width, int *height)
{
	XWindowAttributes a = { 0 };
	if (!f->id)
		find_window(f);
	if (f->id)
		XGetWindowAttributes(f->x, f->id, &a);
	*width = a.width;
	*height = a.height;
}

static void wait_size(struct fixture *f, int width, int height)
{
	int w = 0, h = 0;
	for (int waited = 0; waited < PATIENCE_MS; waited += 5) {
		window_size(f, &w, &h);
		if (w == width && h == height)
			return;
		pause_ms(5);
	}
	fail_script(f, "the window is %d x %d, not %d x %d", w, h, width, height);
}

typedef uint32_t pixel_fn(struct fixture *f, uint32_t x, uint32_t y);

static uint32_t first_difference(
	struct fixture *f, pixel_fn *expected, uint32_t *x, uint32_t *y, uint32_t *got)
{
	int width, height;
	uint32_t different = 0;
	window_size(f, &width, &height);
	XImage *image =
		XGetImage(f->x, f->id, 0, 0, (unsigned)width, (unsigned)height, AllPlanes, ZPixmap);
	REQUIRE(f, image);
	for (int row = 0; row < height; row++)
		for (int column = 0; column < width; column++) {
			uint32_t pixel = (uint32_t)XGetPixel(image, column, row) & 0xffffff;
			uint32_t want = expected(f, (uint32_t)column, (uint32_t)row);
			if (pixel != want && different++ == 0) {
				*x = (uint32_t)column;
				*y = (uint32_t)row;
				*got = pixel;
			}
		}
	XDestroyImage(image);
	return different;
}

static void expect_picture(struct fixture *f, pixel_fn *expected)
{
	uint32_t x = 0, y = 0, got = 0, different = 1;
	for (int waited = 0; waited < PATIENCE_MS && different; waited += 20) {
		different = first_difference(f, expected, &x, &y, &got);
		if (different)
			pause_ms(20);
	}
	if (different)
		fail_script(
			f, "%u pixels differ, the first at (%u, %u): %06x", different, x, y, got);
}

/* For a look at what the tests see: SPICEBOX_TEST_DUMP=folder keeps PPM files. */
static void dump(struct fixture *f, const char *name)
{
	const char *folder = getenv("SPICEBOX_TEST_DUMP");
	char path[512];
	int width, height;
	if (!folder)
		return;
	window_size(f, &width, &height);
	XImage *image =
		XGetImage(f->x, f->id, 0, 0, (unsigned)width, (unsigned)height, AllPlanes, ZPixmap);
	snprintf(path, sizeof(path), "%s/%s.ppm", folder, name);
	FILE *file = fopen(path, "wb");
	if (file) {
		fprintf(file, "P6 %d %d 255\n", width, height);
		for (int i = 0; i < width * height; i++) {
			unsigned long p = XGetPixel(image, i % width, i / width);
			fputc((int)(p >> 16 & 255), file);
			fputc((int)(p >> 8 & 255), file);
			fputc((int)(p & 255), file);
		}
		fclose(file);
	}
	XDestroyImage(image);
}

static void set_absolute(void *opaque)
{
	struct fixture *f = opaque;
	input_sink_set_absolute(&f->input, true);
}

/* ---- the stage ---- */

static void on_request(void *opaque, enum window_request request)
{
	struct fixture *f = opaque;
	if (request == WINDOW_REQUEST_CLOSE)
		f->closed = true;
	else
		f->reconnect = true;
}

static void start_xvfb(struct fixture *f)
{
	int fds[2];
	char number[16] = "", fd[16], screen[32];
	assert_int_equal(pipe(fds), 0);
	snprintf(fd, sizeof(fd), "%d", fds[1]);
	snprintf(screen, sizeof(screen), "%dx%dx24", SCREEN_WIDTH, SCREEN_HEIGHT);
	f->xvfb = fork();
	if (f->xvfb == 0) {
		close(fds[0]);
		execlp("Xvfb", "Xvfb", "-displayfd", fd, "-screen", "0", screen, "-nolisten", "tcp",
			"-noreset", (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	FILE *file = fdopen(fds[0], "r");
	bool started = file && fgets(number, sizeof(number), file);
	if (file)
		fclose(file);
	if (!started) {
		puts("skipped: Xvfb does not start here");
		exit(77);
	}
	snprintf(f->display_name, sizeof(f->display_name), ":%d", atoi(number));
	setenv("DISPLAY", f->display_name, 1);
}

static void *run_loop(void *opaque)
{
	struct fixture *f = opaque;
	loop_run(f->loop);
	return NULL;
}

/* Until the loop runs it takes the thread that made it for its own. */
static void on_running(void *opaque)
{
	struct fixture *f = opaque;
	sem_post(&f->running);
}

static void attach(void *opaque)
{
	struct fixture *f = opaque;
	assert_int_equal(window_attach(f->window, &f->input), 0);
}
static void detach(void *opaque)
{
	struct fixture *f = opaque;
	window_detach(f->window);
}

static void *run_script(void *opaque)
{
	struct fixture *f = opaque;
	f->script(f);
	window_quit(f->window);
	return NULL;
}

static void play(void (*script)(struct fixture *))
{
	struct fixture *f = calloc(1, sizeof(*f));
	char *error = NULL;
	struct window_config config = {
		.title = "test - spicebox", .on_request = on_request, .opaque = f
	};
	f->script = script;
	pthread_mutex_init(&f->lock, NULL);
	start_xvfb(f);
	assert_int_equal(loop_create(&f->loop), 0);
	assert_int_equal(display_create(&f->display), 0);
	input_sink_init(&f->input, &input_ops);
	config.loop = f->loop;
	config.display = f->display;
	f->x = XOpenDisplay(f->display_name);
	assert_non_null(f->x);
	assert_int_equal(window_create(&f->window, &config, &error), 0);
	sem_init(&f->running, 0, 0);
	loop_post(f->loop, on_running, f);
	pthread_create(&f->loop_thread, NULL, run_loop, f);
	sem_wait(&f->running);
	loop_call(f->loop, attach, f);
	pthread_create(&f->test_thread, NULL, run_script, f);
	window_run(f->window);
	pthread_join(f->test_thread, NULL);
	loop_call(f->loop, detach, f);
	loop_stop(f->loop);
	pthread_join(f->loop_thread, NULL);
	window_destroy(f->window);
	loop_destroy(f->loop);
	display_destroy(f->display);
	XCloseDisplay(f->x);
	kill(f->xvfb, SIGTERM);
	waitpid(f->xvfb, NULL, 0);
	pthread_mutex_destroy(&f->lock);
	char failure[sizeof(f->failure)];
	memcpy(failure, f->failure, sizeof(failure));
	free(f);
	if (failure[0])
		fail_msg("%s", failure);
}

/* ---- pictures ---- */

static uint32_t plain_pixel(struct fixture *f, uint32_t x, uint32_t y)
{
	return pattern(x, y);
}

static uint32_t double_pixel(struct fixture *f, uint32_t x, uint32_t y)
{
	/* 320 x 200 twice as large in 650 x 406: bars of 5 and 3 pixels. */
	if (x < 5 || y < 3 || x >= 645 || y >= 403)
		return 0;
	return pattern((x - 5) / 2, (y - 3) / 2);
}

static uint32_t filled_pixel(struct fixture *f, uint32_t x, uint32_t y)
{
	return x >= 50 && x < 80 && y >= 60 && y < 90 ? 0x123456 : pattern(x, y);
}

static uint32_t filled_double_pixel(struct fixture *f, uint32_t x, uint32_t y)
{
	if (x < 5 || y < 3 || x >= 645 || y >= 403)
		return 0;
	return filled_pixel(f, (x - 5) / 2, (y - 3) / 2);
}

static void fill_guest(struct fixture *f)
{
	struct call call = { .f = f, .area = { 50, 60, 80, 90 } };
	REQUIRE(f, draw_create(&call.draw, DRAW_FILL, DISPLAY_PRIMARY, &call.area) == 0);
	call.draw->fill.brush.type = BRUSH_SOLID;
	call.draw->fill.brush.color = 0x123456;
	loop_call(f->loop, do_draw, &call);
	draw_unref(call.draw);
}

static void script_pictures(struct fixture *f)
{
	struct surface *guest = show_guest(f, 320, 200);
	wait_size(f, 320, 200);
	expect_picture(f, plain_pixel);
	fill_guest(f);
	expect_picture(f, filled_pixel);
	surface_unref(guest);
	/* The device's own writes. */
	guest = show_guest(f, 320, 200);
	expect_picture(f, plain_pixel);
	struct call call = { .f = f, .area = { 50, 60, 80, 90 } };
	for (uint32_t y = 60; y < 90; y++)
		for (uint32_t x = 50; x < 80; x++)
			((uint32_t *)(void *)surface_row(guest, y))[x] = 0x123456;
	loop_call(f->loop, do_dirty, &call);
	expect_picture(f, filled_pixel);
	surface_unref(guest);
	/* The window takes the guest's new size. */
	guest = show_guest(f, 500, 300);
	wait_size(f, 500, 300);
	expect_picture(f, plain_pixel);
	surface_unref(guest);
	/* The user's size stays, the picture is scaled. */
	guest = show_guest(f, 320, 200);
	wait_size(f, 320, 200);
	XResizeWindow(f->x, f->id, 650, 406);
	XSync(f->x, False);
	expect_picture(f, double_pixel);
	fill_guest(f);
	expect_picture(f, filled_double_pixel);
	dump(f, "double");
	surface_unref(guest);
}

static uint32_t rgb565_pixel(struct fixture *f, uint32_t x, uint32_t y)
{
	uint32_t red = x & 31, green = y & 63, blue = (x + y) & 31;
	return (red << 3 | red >> 2) << 16 | (green << 2 | green >> 4) << 8 |
		(blue << 3 | blue >> 2);
}

static void script_formats(struct fixture *f)
{
	struct call call = { .f = f };
	REQUIRE(f, surface_create(&call.surface, SURFACE_RGB565, 200, 100) == 0);
	for (uint32_t y = 0; y < 100; y++)
		for (uint32_t x = 0; x < 200; x++)
			((uint16_t *)(void *)surface_row(call.surface, y))[x] =
				(uint16_t)((x & 31) << 11 | (y & 63) << 5 | ((x + y) & 31));
	loop_call(f->loop, do_create, &call);
	wait_size(f, 200, 100);
	expect_picture(f, rgb565_pixel);
	surface_unref(call.surface);
	/* Larger than the screen: smaller in the same aspect. */
	struct surface *guest = show_guest(f, 2000, 1000);
	wait_size(f, 1000, 500);
	surface_unref(guest);
}

/* ---- keys ---- */

static void script_keys(struct fixture *f)
{
	struct surface *guest = show_guest(f, 320, 200);
	wait_size(f, 320, 200);
	expect_heard(f, "leds 0");
	run_command(f, "xdotool mousemove 500 350 keydown --window 0 a");
	expect_heard(f, "key 1e down");
	run_command(f, "xdotool keyup a");
	expect_heard(f, "key 1e up");
	run_command(f, "xdotool key Right");
	expect_heard(f, "key 14d up");
	run_command(f, "xdotool key Pause");
	expect_heard(f, "key 21d up");
	run_command(f, "xdotool key ctrl+alt+End");
	expect_heard(f, "key 153 down");
	expect_heard(f, "key 153 up");
	expect_heard(f, "key 38 up");
	run_command(f, "xdotool key shift+F12 key F11 key F11 key b");
	expect_heard(f, "key 30 up");
	REQUIRE(f, !has_heard(f, "key 14f down"));
	REQUIRE(f, !has_heard(f, "key 14f up"));
	REQUIRE(f, !has_heard(f, "key 58 down"));
	REQUIRE(f, !has_heard(f, "key 58 up"));
	REQUIRE(f, !has_heard(f, "key 57 down"));
	REQUIRE(f, !has_heard(f, "key 57 up"));
	/* What is pressed when the focus goes is released. */
	run_command(f, "xdotool keydown Shift_L");
	expect_heard(f, "key 2a down");
	forget_heard(f);
	XSetInputFocus(f->x, PointerRoot, RevertToNone, CurrentTime);
	Window other =
		XCreateSimpleWindow(f->x, DefaultRootWindow(f->x), 900, 600, 50, 50, 0, 0, 0);
	XMapWindow(f->x, other);
	XSync(f->x, False);
	XSetInputFocus(f->x, other, RevertToNone, CurrentTime);
	XSync(f->x, False);
	expect_heard(f, "key 2a up");
	run_command(f, "xdotool keyup Shift_L");
	/* The lock lights are told when it comes back. */
	run_command(f, "xdotool key Num_Lock");
	XSetInputFocus(f->x, f->id, RevertToNone, CurrentTime);
	XSync(f->x, False);
	expect_heard(f, "leds 2");
	surface_unref(guest);
}

/* ---- pointer ---- */

static struct cursor_shape *make_shape(struct fixture *f)
{
	struct cursor_shape *shape;
	REQUIRE(f, cursor_shape_create(&shape, CURSOR_ALPHA, 8, 8, 2, 3) == 0);
	for (int i = 0; i < 64; i++)
		((uint32_t *)(void *)shape->data)[i] = 0xffff0000;
	return shape;
}

static uint32_t cursor_pixel(struct fixture *f, uint32_t x, uint32_t y)
{
	return x >= 98 && x < 106 && y >= 47 && y < 55 ? 0xff0000 : pattern(x, y);
}

static uint32_t moved_cursor_pixel(struct fixture *f, uint32_t x, uint32_t y)
{
	return x >= 198 && x < 206 && y >= 97 && y < 105 ? 0xff0000 : pattern(x, y);
}

static void script_pointer(struct fixture *f)
{
	int x, y;
	Window child;
	struct surface *guest = show_guest(f, 320, 200);
	wait_size(f, 320, 200);
	expect_picture(f, plain_pixel);
	XTranslateCoordinates(f->x, f->id, DefaultRootWindow(f->x), 0, 0, &x, &y, &child);
	/* Motions only: the guest's cursor is part of the picture, a click grabs. */
	struct call call = { .f = f, .cursor = { make_shape(f), { 100, 50 }, true } };
	loop_call(f->loop, do_cursor, &call);
	expect_picture(f, cursor_pixel);
	call.cursor.position = (struct point){ 200, 100 };
	loop_call(f->loop, do_cursor, &call);
	expect_picture(f, moved_cursor_pixel);
	run_command(f, "xdotool mousemove %d %d click 1", x + 20, y + 30);
	pause_ms(100);
	run_command(f, "xdotool mousemove_relative 5 7");
	expect_heard(f, "motion 5 7");
	run_command(f, "xdotool click 3");
	expect_heard(f, "button 2 up");
	REQUIRE(f, !has_heard(f, "button 0 down"));
	REQUIRE(f, !has_heard(f, "button 0 up"));
	run_command(f, "xdotool key shift+F12");
	expect_heard(f, "key 2a up");
	forget_heard(f);
	run_command(f, "xdotool mousemove_relative 5 7 key c");
	expect_heard(f, "key 2e up");
	REQUIRE(f, !has_heard(f, "motion 5 7"));
	/* Positions: no grab; the cursor leaves the picture and becomes the window's. */
	loop_call(f->loop, set_absolute, f);
	expect_picture(f, plain_pixel);
	run_command(f, "xdotool mousemove %d %d", x + 20, y + 30);
	expect_heard(f, "position 20 30 of 320x200");
	run_command(f, "xdotool click 1 click 4 click 5 click 8 click 9");
	expect_heard(f, "button 0 up");
	expect_heard(f, "button 3 up");
	expect_heard(f, "button 4 up");
	expect_heard(f, "button 5 up");
	expect_heard(f, "button 6 up");
	cursor_shape_unref(call.cursor.shape);
	surface_unref(guest);
}

/* What X shows as the pointer: waits until its pixels are `size` wide and all of this colour. */
static void expect_pointer(struct fixture *f, int size, uint32_t argb)
{
	for (int waited = 0; waited < PATIENCE_MS; waited += 20) {
		XFixesCursorImage *image = XFixesGetCursorImage(f->x);
		bool same = image && (size == 0 || (image->width == size && image->height == size));
		for (int i = 0; same && i < image->width * image->height; i++)
			same = (uint32_t)image->pixels[i] == argb;
		if (image)
			XFree(image);
		if (same)
			return;
		pause_ms(20);
	}
	fail_script(f, "the pointer is not %d pixels of %08x", size, argb);
}

/* Where the guest takes positions, its cursor is the window's, as large as the picture makes it. */
static void script_cursor(struct fixture *f)
{
	struct call call = { .f = f, .cursor = { make_shape(f), { 0, 0 }, true } };
	struct surface *guest = show_guest(f, 320, 200);
	wait_size(f, 320, 200);
	loop_call(f->loop, set_absolute, f);
	run_command(f, "xdotool mousemove %d %d", SCREEN_WIDTH / 2, SCREEN_HEIGHT / 2);
	loop_call(f->loop, do_cursor, &call);
	expect_pointer(f, 8, 0xffff0000);
	call.cursor.visible = false;
	loop_call(f->loop, do_cursor, &call);
	expect_pointer(f, 0, 0);
	call.cursor.visible = true;
	loop_call(f->loop, do_cursor, &call);
	expect_pointer(f, 8, 0xffff0000);
	XResizeWindow(f->x, f->id, 640, 400);
	XSync(f->x, False);
	expect_pointer(f, 16, 0xffff0000);
	cursor_shape_unref(call.cursor.shape);
	surface_unref(guest);
}

/* ---- notices ---- */

static void script_notice(struct fixture *f)
{
	struct surface *guest = show_guest(f, 640, 400);
	wait_size(f, 640, 400);
	expect_picture(f, plain_pixel);
	window_set_notice(f->window, "The connection was lost.", true);
	pause_ms(200);
	dump(f, "notice");
	XImage *image = XGetImage(f->x, f->id, 0, 0, 640, 400, AllPlanes, ZPixmap);
	REQUIRE(f, (XGetPixel(image, 10, 20) & 0xffffff) == (pattern(10, 20) >> 1 & 0x7f7f7f));
	XDestroyImage(image);
	run_command(f, "xdotool mousemove 500 350 key Return");
	for (int waited = 0; waited < PATIENCE_MS && !f->reconnect; waited += 10)
		pause_ms(10);
	REQUIRE(f, f->reconnect);
	REQUIRE(f, !has_heard(f, "key 1c down"));
	REQUIRE(f, !has_heard(f, "key 1c up"));
	window_set_notice(f->window, NULL, false);
	expect_picture(f, plain_pixel);
	surface_unref(guest);
}

static void test_pictures(void **state)
{
	play(script_pictures);
}
static void test_formats(void **state)
{
	play(script_formats);
}
static void test_keys(void **state)
{
	play(script_keys);
}
static void test_pointer(void **state)
{
	play(script_pointer);
}
static void test_cursor(void **state)
{
	play(script_cursor);
}
static void test_notice(void **state)
{
	play(script_notice);
}

static void test_no_display(void **state)
{
	struct window *window = NULL;
	char *error = NULL, *what = NULL;
	struct window_config config = { .title = "none" };
	unsetenv("DISPLAY");
	assert_int_equal(window_create(&window, &config, &error), -ENODEV);
	assert_non_null(strstr(error, "DISPLAY is not set"));
	assert_int_equal(window_probe(&what), -ENODEV);
	assert_non_null(what);
	free(error);
	free(what);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_display),
		cmocka_unit_test(test_pictures),
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_pointer),
		cmocka_unit_test(test_cursor),
		cmocka_unit_test(test_notice),
	};
	XInitThreads();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* The small scenes: keys, pointer, key-to-drawing latency, full-size video, idle. */
#include "cpu.h"
#include "font.h"
#include "scene.h"

/* Halts until there is an event; no timer runs. */
static void wait_event(struct event *event)
{
	while (!machine_event(event))
		machine_wait_until(UINT64_MAX);
}

/* 32 x 32: a white disc with a black rim, and pixels around it that invert what is below. */
static void cursor_mono(struct qxl *qxl, int32_t x, int32_t y)
{
	uint8_t bits[2][32 * 4] = { { 0 } }; /* AND mask, XOR mask */

	for (int32_t i = 0; i < 32 * 32; i++) {
		int32_t dx = i % 32 - 16, dy = i / 32 - 16, d = dx * dx + dy * dy;
		uint8_t bit = 0x80 >> i % 8;

		if (d > 100)
			bits[0][i / 8] |= bit;
		if (d < 64 || (d > 140 && d < 220))
			bits[1][i / 8] |= bit;
	}
	qxl_cursor_set(qxl, SPICE_CURSOR_TYPE_MONO, 32, 32, 16, 16, bits, sizeof(bits), x, y);
}

static void scene_plain(struct qxl *qxl, const char *title)
{
	struct image canvas = scene_canvas(qxl);
	struct rect band = rect_make(0, 0, qxl->width, 40);

	qxl_fill(qxl, 0, rect_make(0, 40, qxl->width, qxl->height - 40), 0x1d2733);
	image_fill(&canvas, band, 0x2f6f8f);
	font_draw(&canvas, FONT_BOLD, 16, 26, 0xffffff, title);
	qxl_copy_image(qxl, 0, 0, 0, &canvas, band);
	scene_cursor_set(qxl, qxl->width / 2, qxl->height / 2);
}

/* Cell n, 64 x 64, 12 in a row: its colour from the scancode, its number as text in it. */
static void keys_cell(struct qxl *qxl, uint32_t n, uint16_t key)
{
	struct image canvas = scene_canvas(qxl);
	struct rect cell = rect_make(0, 0, 60, 60);
	uint32_t columns = (qxl->width - 32) / 64, rows = (qxl->height - 72) / 64;
	char text[8];

	image_fill(&canvas, cell,
		rgb((key & 0x7f) * 2, 255 - (key & 0x7f) * 2, key & 0x80 ? 64 : 192));
	text_format(text, sizeof(text), "%02x", key);
	font_draw(&canvas, FONT_NORMAL, 8, 36, 0xffffff, text);
	n %= columns * rows;
	qxl_copy_image(qxl, 0, 16 + n % columns * 64, 56 + n / columns * 64, &canvas, cell);
}

void scene_keys(struct qxl *qxl)
{
	struct event event;
	uint32_t count = 0;

	scene_plain(qxl, "test=keys: each key press and release fills one cell");
	scene_ready(qxl);
	for (;;) {
		wait_event(&event);
		if (event.type != EVENT_KEY)
			continue;
		keys_cell(qxl, count++, event.key);
		log_line("key %x", event.key);
	}
}

void scene_pointer(struct qxl *qxl)
{
	static const uint32_t colors[8] = { 0xe0e0e0, 0xff4040, 0x40ff40, 0xffff40, 0x4080ff,
		0xff40ff, 0x40ffff, 0xffffff };
	int32_t x = qxl->width / 2, y = qxl->height / 2;
	struct event event;

	scene_plain(qxl, "test=pointer: a mark where the pointer is, coloured by its buttons");
	scene_ready(qxl);
	for (;;) {
		wait_event(&event);
		if (event.type != EVENT_POINTER)
			continue;
		scene_pointer_move(&event, &x, &y, qxl->width, qxl->height);
		qxl_cursor_move(qxl, x, y);
		qxl_fill(qxl, 0,
			rect_intersect(rect_make(x - 2, y - 2, 5, 5),
				rect_make(0, 0, qxl->width, qxl->height)),
			colors[event.buttons & 7]);
		log_line("mouse %d %d %x", x, y, event.buttons);
	}
}

/* Each key press shows the next of: alpha arrow, mono disc, none. The pointer moves it. */
void scene_cursor(struct qxl *qxl)
{
	static const char *const names[] = { "alpha", "mono", "hidden" };
	int32_t x = qxl->width / 2, y = qxl->height / 2;
	uint32_t shape = 0;
	struct event event;

	scene_plain(qxl, "test=cursor: each key press changes the cursor");
	scene_ready(qxl);
	for (;;) {
		wait_event(&event);
		if (event.type == EVENT_POINTER) {
			scene_pointer_move(&event, &x, &y, qxl->width, qxl->height);
			if (shape != 2)
				qxl_cursor_move(qxl, x, y);
			continue;
		}
		if (event.type != EVENT_KEY || event.key & 0x80)
			continue;
		shape = (shape + 1) % 3;
		if (shape == 0)
			scene_cursor_set(qxl, x, y);
		else if (shape == 1)
			cursor_mono(qxl, x, y);
		else
			qxl_cursor_hide(qxl);
		log_line("cursor %s", names[shape]);
	}
}

void scene_latency(struct qxl *qxl)
{
	struct event event;
	uint32_t count = 0;

	scene_plain(qxl, "test=bench-latency: a key press fills 64x64 pixels at once");
	scene_ready(qxl);
	for (;;) {
		wait_event(&event);
		if (event.type != EVENT_KEY || event.key & 0x80)
			continue;
		count++;
		qxl_fill(qxl, 0, rect_make(64, 64, 64, 64), count * 0x9e3779 & 0xffffff);
		scene_log_event(&event, 0, 0);
	}
}

void scene_video(struct qxl *qxl)
{
	struct image canvas = scene_canvas(qxl);
	uint64_t next = 0;
	struct event event;

	for (uint32_t frame = 0;; frame++) {
		scene_plasma(&canvas, frame);
		qxl_copy_image(qxl, 0, 0, 0, &canvas, image_rect(&canvas));
		if (!frame) {
			scene_ready(qxl);
			next = machine_time();
		}
		if (frame % 15 == 0 && option_number("log", 0))
			log_line("frame %d", frame);
		next += 1000000000 / 30;
		if (machine_time() > next + 500000000)
			next = machine_time();
		do {
			machine_wait_until(next);
			while (machine_event(&event))
				scene_log_event(&event, 0, 0);
		} while (machine_time() < next);
	}
}

void scene_idle(struct qxl *qxl)
{
	scene_plain(qxl, "test=idle: nothing moves, no timer runs");
	scene_ready(qxl);
	for (;;)
		machine_wait(UINT64_MAX);
}

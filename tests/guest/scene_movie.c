/* SPDX-License-Identifier: MIT */
/* A video beside a text that is typed. */
#include "cpu.h"
#include "font.h"
#include "scene.h"

enum { LEFT = 32, TOP = 72, CELL_WIDTH = 24, CELL_HEIGHT = 24, KEY_ENTER = 0x1c };

/* "movie=480x320" */
static struct rect movie_rect(const struct qxl *qxl)
{
	uint32_t numbers[2] = { 0, 0 }, at = 0;
	char text[16] = "480x320";

	option_text("movie", text, sizeof(text));
	for (const char *c = text; *c; c++) {
		if (*c == 'x')
			at = 1;
		else
			numbers[at] = numbers[at] * 10 + (uint32_t)(*c - '0');
	}
	return rect_intersect(rect_make(LEFT, TOP, (int32_t)numbers[0], (int32_t)numbers[1]),
		rect_make(0, 0, qxl->width, qxl->height - 2 * CELL_HEIGHT));
}

/* Letter number n, below the movie. */
static void type(struct qxl *qxl, uint32_t n, uint16_t key)
{
	uint32_t columns = (uint32_t)(qxl->width - 2 * LEFT) / CELL_WIDTH;
	struct image canvas = scene_canvas(qxl);
	struct rect cell = rect_make(0, 0, CELL_WIDTH, CELL_HEIGHT);
	char text[8];

	image_fill(&canvas, cell, n / columns % 2 ? 0x304050 : 0x102030);
	text_format(text, sizeof(text), "%02x", key);
	font_draw(&canvas, FONT_NORMAL, 3, 17, 0xffffff, text);
	qxl_copy_image(qxl, 0, LEFT + (int32_t)(n % columns) * CELL_WIDTH,
		qxl->height - CELL_HEIGHT, &canvas, cell);
}

void scene_movie(struct qxl *qxl)
{
	struct image canvas = scene_canvas(qxl);
	struct rect movie = movie_rect(qxl);
	struct image picture = { canvas.pixels, movie.width, movie.height, movie.width };
	uint32_t frame = 0, typed = 0;
	bool playing = true;
	uint64_t next;
	struct event event;

	qxl_fill(qxl, 0, rect_make(0, 0, qxl->width, qxl->height), 0x1d2733);
	scene_ready(qxl);
	next = machine_time();
	for (;;) {
		machine_wait_until(playing ? next : UINT64_MAX);
		while (machine_event(&event)) {
			if (event.type != EVENT_KEY || event.key & 0x80)
				continue;
			if (event.key == KEY_ENTER) {
				playing = !playing;
				next = machine_time();
				log_line("movie %s %d", playing ? "on" : "off", frame);
			} else {
				type(qxl, typed++, event.key);
				scene_log_event(&event, 0, 0);
			}
		}
		if (!playing || machine_time() < next)
			continue;
		scene_plasma(&picture, frame++);
		qxl_copy_image(qxl, 0, movie.x, movie.y, &picture, image_rect(&picture));
		if (frame % 15 == 0 && option_number("log", 0))
			log_line("frame %d", frame);
		next += 1000000000 / 30;
		if (machine_time() > next + 500000000)
			next = machine_time();
	}
}

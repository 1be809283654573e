/* SPDX-License-Identifier: MIT */
/* The demo: a live desktop. A ray-traced film, a terminal that echoes keys, a paper that follows the
 * pointer, facts about the machine, and a note that sails along the bottom. */
#include "demo_terminal.h"
#include "desktop.h"
#include "font.h"
#include "scene.h"

enum { FRAME_NS = 1000000000 / 30, FILM_WIDTH = 320, FILM_HEIGHT = 180, NOTE_STEPS = 1200 };

struct demo {
	struct desktop desktop;
	struct window film, terminal, paper, facts, note;
	struct terminal shell;
	int32_t x, y; /* pointer */
	uint8_t buttons;
	bool pointer_changed;
	struct window *dragged;
	int32_t drag_x, drag_y;
	bool note_held; /* it was dragged, and stays where it was put */
	int32_t pen_x, pen_y;
	bool pen_down;
	uint32_t pen_color;
	uint32_t frames, frames_shown;
	uint32_t clock_at_boot; /* seconds since midnight when machine_time() was clock_base */
	uint64_t clock_base;
	uint32_t clock_shown, first_frame_us;
};

static struct demo demo_state;

static void demo_bar(struct demo *demo)
{
	struct image *base = &demo->desktop.base;
	int32_t x;

	for (int32_t y = 0; y < DESKTOP_BAR; y++)
		for (int32_t i = 0; i < base->width; i++)
			image_blend(base, i, y, 0x0a0e1c, y == DESKTOP_BAR - 1 ? 200 : 150);
	image_round(base, rect_make(14, 9, 22, 16), 4, 0x2fb5a2, 256);
	image_round(base, rect_make(17, 12, 16, 10), 2, 0x0f2130, 256);
	x = font_draw(base, FONT_BOLD, 46, 23, 0xffffff, "spicebox");
	font_draw(base, FONT_NORMAL, x + 12, 23, 0xb9c3d6, "demo guest, drawn through native QXL");
}

/* The clock is painted over a piece of the empty bar, kept from the first time. */
static void demo_clock(struct demo *demo, bool show)
{
	enum { WIDTH = 96, HEIGHT = 22 };
	static uint32_t empty[WIDTH * HEIGHT];
	static bool kept;
	struct image *base = &demo->desktop.base;
	struct rect place = rect_make(base->width - WIDTH - 10, 6, WIDTH, HEIGHT);
	uint32_t seconds =
		demo->clock_at_boot + (uint32_t)((machine_time() - demo->clock_base) / 1000000000);
	char text[24];

	if (show && seconds == demo->clock_shown)
		return;
	demo->clock_shown = seconds;
	for (int32_t y = 0; y < HEIGHT; y++) {
		uint32_t *row = base->pixels + (place.y + y) * base->stride + place.x;

		if (kept)
			memcpy(row, empty + y * WIDTH, WIDTH * 4);
		else
			memcpy(empty + y * WIDTH, row, WIDTH * 4);
	}
	kept = true;
	text_format(text, sizeof(text), "%02u:%02u:%02u", seconds / 3600 % 24, seconds / 60 % 60,
		seconds % 60);
	font_draw(base, FONT_BOLD, place.x + WIDTH - 4 - font_width(FONT_BOLD, text), 23, 0xffffff,
		text);
	if (show)
		desktop_base_changed(&demo->desktop, place);
}

static void demo_fact(struct demo *demo, uint32_t line, const char *name, const char *value)
{
	struct image *picture = &demo->facts.picture;
	int32_t y = WINDOW_TITLE + 28 + line * 24;

	image_fill(picture, rect_make(16, y - 16, picture->width - 32, 23), 0xf7f8fa);
	font_draw(picture, FONT_SMALL, 18, y, 0x7b8794, name);
	font_draw(picture, FONT_NORMAL, 128, y, 0x27313d, value);
}

static void demo_facts(struct demo *demo)
{
	struct qxl *qxl = demo->desktop.qxl;
	uint64_t memory = machine_memory_bytes();
	char text[64];

	demo_fact(demo, 0, "processor", machine_cpu_name());
	text_format(text, sizeof(text), "%lu MiB", (memory + (1 << 19)) >> 20);
	demo_fact(demo, 1, "memory", memory ? text : "not told by the boot protocol");
	text_format(text, sizeof(text), "QXL, %d x %d, 32 bits", qxl->width, qxl->height);
	demo_fact(demo, 2, "display", text);
}

static void demo_counters(struct demo *demo, bool show)
{
	struct qxl *qxl = demo->desktop.qxl;
	uint32_t seconds = (uint32_t)(machine_time() / 1000000000);
	char text[64];

	text_format(text, sizeof(text), "%u drawn, %u released", qxl->drawn, qxl->released);
	demo_fact(demo, 3, "commands", text);
	text_format(text, sizeof(text), "%u min %02u s", seconds / 60, seconds % 60);
	demo_fact(demo, 4, "running for", text);
	text_format(text, sizeof(text), "%u.%u ms after the guest's first instruction",
		demo->first_frame_us / 1000, demo->first_frame_us / 100 % 10);
	if (demo->first_frame_us)
		demo_fact(demo, 5, "first picture", text);
	if (show)
		desktop_update(&demo->desktop, &demo->facts,
			rect_make(0, WINDOW_TITLE + 80, demo->facts.frame.width, 90));
}

static void demo_note_draw(struct demo *demo)
{
	struct image *picture = &demo->note.picture;

	image_fill(picture, window_content(&demo->note), 0xfff3c9);
	font_draw(picture, FONT_NORMAL, 18, WINDOW_TITLE + 28, 0x5a4a1c,
		"I move by COPY_BITS. Drag me, or any");
	font_draw(picture, FONT_NORMAL, 18, WINDOW_TITLE + 50, 0x5a4a1c,
		"other window, by the title bar.");
}

/* ---- pointer ---- */

static void demo_paper_text(struct demo *demo)
{
	struct image *picture = &demo->paper.picture;
	struct rect strip = rect_make(0, picture->height - 32, picture->width, 22);
	char text[48];

	image_fill(picture, strip, 0xf7f8fa);
	text_format(text, sizeof(text), "x %d", demo->x);
	font_draw(picture, FONT_NORMAL, 18, strip.y + 16, 0x27313d, text);
	text_format(text, sizeof(text), "y %d", demo->y);
	font_draw(picture, FONT_NORMAL, 86, strip.y + 16, 0x27313d, text);
	for (int32_t i = 0; i < 3; i++) {
		/* Left, middle, right, as they lie on a mouse. */
		static const uint8_t bits[] = { 1, 4, 2 };
		bool down = demo->buttons & bits[i];

		image_round(picture, rect_make(picture->width - 86 + i * 24, strip.y + 3, 20, 16),
			4, down ? 0x2f9e8f : 0xd5dbe1, 256);
	}
	desktop_update(&demo->desktop, &demo->paper, strip);
}

static struct rect demo_paper_area(const struct demo *demo)
{
	return rect_make(14, WINDOW_TITLE + 12, demo->paper.frame.width - 28,
		demo->paper.frame.height - WINDOW_TITLE - 52);
}

static void demo_paper_clear(struct demo *demo)
{
	struct rect area = demo_paper_area(demo);
	struct image *picture = &demo->paper.picture;

	image_fill(picture, area, 0xffffff);
	for (int32_t y = area.y + 14; y < area.y + area.height; y += 16)
		for (int32_t x = area.x + 14; x < area.x + area.width; x += 16)
			image_fill(picture, rect_make(x, y, 2, 2), 0xdde3ea);
	font_draw(picture, FONT_SMALL, area.x + 14, area.y + area.height - 12, 0xa9b4c0,
		"draw here; the right button wipes");
}

static void demo_pen(struct demo *demo)
{
	static const uint32_t colors[] = { 0x2f9e8f, 0xe0604c, 0x4b6fd6, 0xd79a21, 0x8a4fb8 };
	struct rect area = demo_paper_area(demo);
	struct image inner = demo->paper.picture;
	int32_t x = demo->x - demo->paper.frame.x - area.x;
	int32_t y = demo->y - demo->paper.frame.y - area.y;

	inner.pixels += area.y * inner.stride + area.x;
	inner.width = area.width;
	inner.height = area.height;
	if (!demo->pen_down)
		demo->pen_color = (demo->pen_color + 1) % ARRAY_SIZE(colors);
	if (demo->pen_down) {
		int32_t left = min32(x, demo->pen_x) - 4, top = min32(y, demo->pen_y) - 4;
		int32_t right = max32(x, demo->pen_x) + 5, bottom = max32(y, demo->pen_y) + 5;
		struct rect touched = rect_intersect(
			rect_make(left, top, right - left, bottom - top), image_rect(&inner));

		image_line(&inner, demo->pen_x, demo->pen_y, x, y, 3.6f, colors[demo->pen_color]);
		touched.x += area.x;
		touched.y += area.y;
		desktop_update(&demo->desktop, &demo->paper, touched);
	}
	demo->pen_down = true;
	demo->pen_x = x;
	demo->pen_y = y;
}

static void demo_press(struct demo *demo)
{
	struct window *window = desktop_at(&demo->desktop, demo->x, demo->y);

	if (!window)
		return;
	desktop_raise(&demo->desktop, window);
	if (demo->y - window->frame.y < WINDOW_TITLE) {
		demo->dragged = window;
		demo->drag_x = demo->x - window->frame.x;
		demo->drag_y = demo->y - window->frame.y;
	}
}

/* A dragged window follows once a frame, however many motions came. */
static void demo_drag(struct demo *demo)
{
	struct rect *frame = &demo->dragged->frame;
	int32_t x = demo->x - demo->drag_x, y = demo->y - demo->drag_y;

	x = min32(max32(x, 60 - frame->width), demo->desktop.base.width - 60);
	y = min32(max32(y, DESKTOP_BAR + 2), demo->desktop.base.height - WINDOW_TITLE);
	if (demo->dragged == &demo->note && (x != frame->x || y != frame->y))
		demo->note_held = true;
	desktop_move(&demo->desktop, demo->dragged, x, y);
}

static void demo_pointer(struct demo *demo, const struct event *event)
{
	struct desktop *desktop = &demo->desktop;
	uint8_t pressed = event->buttons & ~demo->buttons;
	struct window *window;

	scene_pointer_move(event, &demo->x, &demo->y, desktop->base.width, desktop->base.height);
	demo->buttons = event->buttons;
	demo->pointer_changed = true;
	qxl_cursor_move(desktop->qxl, demo->x, demo->y);
	if (pressed & 1)
		demo_press(demo);
	window = desktop_at(desktop, demo->x, demo->y);
	if (pressed & 2 && window == &demo->paper) {
		demo_paper_clear(demo);
		desktop_update(desktop, &demo->paper, demo_paper_area(demo));
	}
	/* The motion may come together with the release. */
	if (demo->pen_down || (pressed & 1 && !demo->dragged && window == &demo->paper))
		demo_pen(demo);
	if (!(event->buttons & 1)) {
		if (demo->dragged)
			demo_drag(demo);
		demo->dragged = NULL;
		demo->pen_down = false;
	}
}

/* ---- frames ---- */

static void demo_film(struct demo *demo)
{
	struct window *film = &demo->film;
	struct rect content = window_content(film);
	struct image inner = film->picture;

	inner.pixels += content.y * inner.stride;
	inner.height = content.height;
	art_ray_frame(&inner, demo->frames);
	demo->frames_shown++;
}

static void demo_sail(struct demo *demo)
{
	struct desktop *desktop = &demo->desktop;
	int32_t room = desktop->base.width - demo->note.frame.width - 80;
	float t = (float)(demo->frames % NOTE_STEPS) / NOTE_STEPS;

	if (demo->note_held || room < 80)
		return;
	desktop_move(desktop, &demo->note, 40 + (int32_t)(room * (0.5f - 0.5f * sine(t + 0.25f))),
		demo->note.frame.y);
}

static void demo_second(struct demo *demo)
{
	char text[24];

	demo_clock(demo, true);
	demo_counters(demo, true);
	text_format(text, sizeof(text), "%u frames/s", demo->frames_shown);
	demo->frames_shown = 0;
	window_draw_title(&demo->film, text);
	desktop_update(&demo->desktop, &demo->film,
		rect_make(demo->film.frame.width - 120, 9, 112, WINDOW_TITLE - 10));
}

static void demo_frame(struct demo *demo)
{
	demo->frames++;
	if (demo->dragged)
		demo_drag(demo);
	else if (!(demo->frames & 1))
		demo_sail(demo);
	demo_film(demo);
	desktop_update(&demo->desktop, &demo->film, window_content(&demo->film));
	if (demo->pointer_changed)
		demo_paper_text(demo);
	demo->pointer_changed = false;
	if (demo->frames % 30 == 0)
		demo_second(demo);
}

static void demo_layout(struct demo *demo)
{
	int32_t width = demo->desktop.base.width, height = demo->desktop.base.height;
	int32_t right = max32(width - 40 - 500, 300);

	demo->note.frame = rect_make(40, height - 118, 310, 96);
	demo->note.title = "A note at sea";
	demo->facts.frame = rect_make(right + 30, min32(404, height - 330), 430, 204);
	demo->facts.title = "This machine";
	demo->paper.frame = rect_make(64, min32(340, height - 400), 330, 282);
	demo->paper.title = "Pointer";
	demo->terminal.frame = rect_make(right, 74, 480, 296);
	demo->terminal.title = "Keyboard";
	demo->terminal.dark = true;
	demo->film.frame = rect_make(40, 74, FILM_WIDTH, FILM_HEIGHT + WINDOW_TITLE);
	demo->film.title = "Moving picture";
	desktop_add(&demo->desktop, &demo->note);
	desktop_add(&demo->desktop, &demo->facts);
	desktop_add(&demo->desktop, &demo->paper);
	desktop_add(&demo->desktop, &demo->film);
	desktop_add(&demo->desktop, &demo->terminal);
}

static void demo_key(struct demo *demo, const struct event *event)
{
	struct rect changed = terminal_key(&demo->shell, event->key);

	if (!rect_is_empty(changed))
		desktop_update(&demo->desktop, &demo->terminal, changed);
}

static void demo_start(struct demo *demo, struct qxl *qxl)
{
	desktop_init(&demo->desktop, qxl);
	art_wallpaper(&demo->desktop.base);
	demo_bar(demo);
	demo_layout(demo);
	terminal_init(&demo->shell, &demo->terminal.picture, window_content(&demo->terminal));
	demo_note_draw(demo);
	demo_facts(demo);
	demo->x = qxl->width / 2;
	demo->y = qxl->height / 2;
	demo_paper_clear(demo);
	demo_film(demo);
	desktop_show(&demo->desktop);
	scene_cursor_set(qxl, demo->x, demo->y);
	demo->first_frame_us = (uint32_t)(machine_time() / 1000);
	demo->clock_at_boot = machine_seconds_of_day();
	demo->clock_base = machine_time();
	demo_clock(demo, false);
	scene_ready(qxl);
	if (option_number("log", 0))
		log_line("first picture after %u us", demo->first_frame_us);
	desktop_base_changed(&demo->desktop, rect_make(0, 0, qxl->width, DESKTOP_BAR));
	demo_counters(demo, true);
	demo->pointer_changed = true;
}

void scene_demo(struct qxl *qxl)
{
	struct demo *demo = &demo_state;
	uint64_t next;

	demo_start(demo, qxl);
	next = machine_time();
	for (;;) {
		struct event event;

		next += FRAME_NS;
		/* After a pause of the whole machine we do not run after lost frames. */
		if (machine_time() > next + 500000000)
			next = machine_time();
		do {
			machine_wait_until(next);
			while (machine_event(&event)) {
				if (event.type == EVENT_KEY)
					demo_key(demo, &event);
				else if (event.type == EVENT_POINTER)
					demo_pointer(demo, &event);
				scene_log_event(&event, demo->x, demo->y);
			}
		} while (machine_time() < next);
		demo_frame(demo);
	}
}

/* SPDX-License-Identifier: MIT */
/* The demo's compositor. */
#include "desktop.h"
#include "font.h"

enum {
	SURFACE_BASE = 1,
	RADIUS = 9,
	SHADOW = 20,
	SHADOW_DOWN = 6,
	POOL_PIXELS = 2 * 1024 * 1024,
	BASE_PIXELS = 2560 * 1600,
};

static uint32_t pool[POOL_PIXELS] __attribute__((section(".lazy"), aligned(64)));
static uint32_t canvas_pixels[BASE_PIXELS] __attribute__((section(".lazy"), aligned(64)));
static uint32_t pool_used;

static struct rect window_outer(const struct window *window)
{
	struct rect r = window->frame;

	return rect_make(r.x - SHADOW, r.y - SHADOW + SHADOW_DOWN, r.width + 2 * SHADOW,
		r.height + 2 * SHADOW);
}

static struct rect desktop_rect(const struct desktop *desktop)
{
	return image_rect(&desktop->base);
}

void desktop_init(struct desktop *desktop, struct qxl *qxl)
{
	desktop->qxl = qxl;
	desktop->count = 0;
	desktop->base = qxl_image_alloc(qxl, qxl->width, qxl->height);
	desktop->canvas = (struct image){ canvas_pixels, qxl->width, qxl->height, qxl->width };
}

struct rect window_content(const struct window *window)
{
	return rect_make(0, WINDOW_TITLE, window->frame.width, window->frame.height - WINDOW_TITLE);
}

void window_draw_title(struct window *window, const char *right)
{
	struct image *picture = &window->picture;
	uint32_t text = window->dark ? 0xdfe6ee : 0x27313d,
		 faint = window->dark ? 0x8795a5 : 0x7b8794;
	uint32_t line = window->dark ? 0x11161c : 0xccd3da;
	int32_t width = picture->width;

	image_gradient(picture, rect_make(0, 0, width, WINDOW_TITLE),
		window->dark ? 0x36414d : 0xfbfcfd, window->dark ? 0x2b343e : 0xe9edf1);
	image_fill(picture, rect_make(0, WINDOW_TITLE - 1, width, 1), line);
	image_disc(picture, 18, 15.5f, 5.5f, 0x2f9e8f);
	image_disc(picture, 18, 15.5f, 2.2f, window->dark ? 0x2b343e : 0xf4f6f8);
	font_draw(picture, FONT_BOLD, 33, 21, text, window->title);
	if (right)
		font_draw(picture, FONT_SMALL, width - 14 - font_width(FONT_SMALL, right), 20,
			faint, right);
}

void desktop_add(struct desktop *desktop, struct window *window)
{
	uint32_t size = window->frame.width * window->frame.height;

	if (pool_used + size > POOL_PIXELS || desktop->count == DESKTOP_WINDOWS)
		guest_panic("desktop: no room for a window");
	window->picture = (struct image){ pool + pool_used, window->frame.width,
		window->frame.height, window->frame.width };
	pool_used += size;
	desktop->order[desktop->count++] = window;
	window_draw_title(window, NULL);
	image_fill(&window->picture, window_content(window), window->dark ? 0x1b2128 : 0xf7f8fa);
}

/* How far a point lies outside of r, shrunk by its corners' radius; negative inside. */
static float rect_distance(struct rect r, float radius, float x, float y)
{
	float dx = float_abs(x - (r.x + r.width * 0.5f)) - r.width * 0.5f + radius;
	float dy = float_abs(y - (r.y + r.height * 0.5f)) - r.height * 0.5f + radius;

	if (dx <= 0 || dy <= 0)
		return (dx > dy ? dx : dy) - radius;
	return __builtin_sqrtf(dx * dx + dy * dy) - radius;
}

/* The window's shadow and its picture's edge at one pixel. */
static uint32_t window_edge_pixel(const struct window *window, int32_t x, int32_t y, uint32_t under)
{
	struct rect shadow = window->frame;
	float px = x + 0.5f, py = y + 0.5f, distance, cover;

	shadow.y += SHADOW_DOWN;
	distance = rect_distance(shadow, RADIUS + 6, px, py) + SHADOW * 0.5f;
	if (distance < SHADOW * 1.5f) {
		float t = 1 - float_clamp(distance, 0, SHADOW * 1.5f) / (SHADOW * 1.5f);

		under = color_mix(under, 0x02060c, (uint32_t)(t * t * 150));
	}
	distance = rect_distance(window->frame, RADIUS, px, py);
	/* A thin dark rim, then the picture. */
	cover = float_clamp(1.0f - distance, 0, 1);
	under = color_mix(under, 0x0b1118, (uint32_t)(cover * 110));
	if (!rect_contains(window->frame, x, y))
		return under;
	cover = float_clamp(0.5f - distance, 0, 1);
	return color_mix(under,
		window->picture.pixels[(y - window->frame.y) * window->picture.stride + x -
			window->frame.x],
		(uint32_t)(cover * 256));
}

static void compose_window(struct image *canvas, const struct window *window, struct rect damage)
{
	struct rect part = rect_intersect(damage, window_outer(window)), frame = window->frame;

	for (int32_t y = part.y; y < part.y + part.height; y++) {
		uint32_t *row = canvas->pixels + y * canvas->stride;
		int32_t in_left = frame.x, in_right = frame.x + frame.width;
		int32_t x = part.x, right = part.x + part.width;

		if (y < frame.y || y >= frame.y + frame.height) {
			in_right = in_left;
		} else if (y < frame.y + RADIUS || y >= frame.y + frame.height - RADIUS) {
			in_left += RADIUS;
			in_right -= RADIUS;
		}
		if (in_right > in_left) {
			int32_t from = max32(in_left, x), to = min32(in_right, right);

			for (; x < min32(in_left, right); x++)
				row[x] = window_edge_pixel(window, x, y, row[x]);
			if (to > from)
				memcpy(row + from,
					window->picture.pixels +
						(y - frame.y) * window->picture.stride + from -
						frame.x,
					(to - from) * 4);
			x = max32(x, in_right);
		}
		for (; x < right; x++)
			row[x] = window_edge_pixel(window, x, y, row[x]);
	}
}

static void desktop_compose(struct desktop *desktop, struct rect damage)
{
	for (int32_t y = damage.y; y < damage.y + damage.height; y++)
		memcpy(desktop->canvas.pixels + y * desktop->canvas.stride + damage.x,
			desktop->base.pixels + y * desktop->base.stride + damage.x,
			damage.width * 4);
	for (uint32_t i = 0; i < desktop->count; i++)
		compose_window(&desktop->canvas, desktop->order[i], damage);
}

/* Shows a part of the screen as it should be. */
static void desktop_repair(struct desktop *desktop, struct rect damage)
{
	bool plain = true;

	damage = rect_intersect(damage, desktop_rect(desktop));
	if (rect_is_empty(damage))
		return;
	for (uint32_t i = 0; i < desktop->count; i++)
		if (!rect_is_empty(rect_intersect(damage, window_outer(desktop->order[i]))))
			plain = false;
	if (plain) {
		qxl_copy_surface(desktop->qxl, 0, damage, SURFACE_BASE, damage.x, damage.y);
		return;
	}
	desktop_compose(desktop, damage);
	qxl_copy_image(desktop->qxl, 0, damage.x, damage.y, &desktop->canvas, damage);
}

void desktop_show(struct desktop *desktop)
{
	struct rect all = desktop_rect(desktop);

	qxl_surface_create(desktop->qxl, SURFACE_BASE, all.width, all.height);
	qxl_copy_whole(desktop->qxl, SURFACE_BASE, &desktop->base);
	qxl_copy_surface(desktop->qxl, 0, all, SURFACE_BASE, 0, 0);
	for (uint32_t i = 0; i < desktop->count; i++)
		desktop_repair(desktop, window_outer(desktop->order[i]));
}

static uint32_t desktop_index(const struct desktop *desktop, const struct window *window)
{
	uint32_t i = 0;

	while (desktop->order[i] != window)
		i++;
	return i;
}

/* Does a window above `window`, or its shadow, touch r? */
static bool desktop_is_covered(
	const struct desktop *desktop, const struct window *window, struct rect r)
{
	for (uint32_t i = desktop_index(desktop, window) + 1; i < desktop->count; i++)
		if (!rect_is_empty(rect_intersect(r, window_outer(desktop->order[i]))))
			return true;
	return false;
}

/* Does r lie inside the frame's part without round corners? Its rows at least. */
static bool window_part_is_plain(const struct window *window, struct rect part)
{
	return part.y >= RADIUS && part.y + part.height <= window->frame.height - RADIUS;
}

void desktop_update(struct desktop *desktop, const struct window *window, struct rect part)
{
	struct rect place;

	part = rect_intersect(part, image_rect(&window->picture));
	place = rect_make(
		window->frame.x + part.x, window->frame.y + part.y, part.width, part.height);
	place = rect_intersect(place, desktop_rect(desktop));
	if (rect_is_empty(place))
		return;
	if (desktop_is_covered(desktop, window, place) || !window_part_is_plain(window, part)) {
		desktop_repair(desktop, place);
		return;
	}
	part = rect_make(
		place.x - window->frame.x, place.y - window->frame.y, place.width, place.height);
	qxl_copy_image(desktop->qxl, 0, place.x, place.y, &window->picture, part);
}

/* Repairs what of `damage` lies outside of `kept`. */
static void desktop_repair_around(struct desktop *desktop, struct rect damage, struct rect kept)
{
	int32_t bottom = damage.y + damage.height, right = damage.x + damage.width;

	kept = rect_intersect(kept, damage);
	if (rect_is_empty(kept)) {
		desktop_repair(desktop, damage);
		return;
	}
	desktop_repair(desktop, rect_make(damage.x, damage.y, damage.width, kept.y - damage.y));
	desktop_repair(desktop, rect_make(damage.x, kept.y, kept.x - damage.x, kept.height));
	desktop_repair(desktop,
		rect_make(kept.x + kept.width, kept.y, right - kept.x - kept.width, kept.height));
	desktop_repair(desktop,
		rect_make(damage.x, kept.y + kept.height, damage.width,
			bottom - kept.y - kept.height));
}

static struct rect rect_bounds(struct rect a, struct rect b)
{
	int32_t left = min32(a.x, b.x), top = min32(a.y, b.y);
	int32_t right = max32(a.x + a.width, b.x + b.width);
	int32_t bottom = max32(a.y + a.height, b.y + b.height);

	return rect_make(left, top, right - left, bottom - top);
}

void desktop_move(struct desktop *desktop, struct window *window, int32_t x, int32_t y)
{
	struct rect before = window_outer(window), after, from, to, none = { 0 };

	from = rect_make(window->frame.x, window->frame.y + RADIUS, window->frame.width,
		window->frame.height - 2 * RADIUS);
	if (x == window->frame.x && y == window->frame.y)
		return;
	window->frame.x = x;
	window->frame.y = y;
	after = window_outer(window);
	to = rect_make(x, y + RADIUS, from.width, from.height);
	if (desktop_is_covered(desktop, window, before) ||
		desktop_is_covered(desktop, window, after) ||
		rect_intersect(from, desktop_rect(desktop)).width != from.width ||
		rect_intersect(from, desktop_rect(desktop)).height != from.height ||
		rect_intersect(to, desktop_rect(desktop)).width != to.width ||
		rect_intersect(to, desktop_rect(desktop)).height != to.height)
		to = none;
	else
		qxl_copy_bits(desktop->qxl, 0, to, from.x, from.y);
	if (rect_is_empty(rect_intersect(before, after))) {
		desktop_repair(desktop, before);
		desktop_repair_around(desktop, after, to);
	} else {
		desktop_repair_around(desktop, rect_bounds(before, after), to);
	}
}

void desktop_raise(struct desktop *desktop, struct window *window)
{
	uint32_t i = desktop_index(desktop, window);

	if (i == desktop->count - 1)
		return;
	for (; i + 1 < desktop->count; i++)
		desktop->order[i] = desktop->order[i + 1];
	desktop->order[i] = window;
	desktop_repair(desktop, window_outer(window));
}

struct window *desktop_at(const struct desktop *desktop, int32_t x, int32_t y)
{
	for (uint32_t i = desktop->count; i--;)
		if (rect_contains(desktop->order[i]->frame, x, y))
			return desktop->order[i];
	return NULL;
}

void desktop_base_changed(struct desktop *desktop, struct rect part)
{
	qxl_copy_image(desktop->qxl, SURFACE_BASE, part.x, part.y, &desktop->base, part);
	desktop_repair(desktop, part);
}

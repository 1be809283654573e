/* SPDX-License-Identifier: MIT */
/*
 * Brings the guest's picture into the window: straight from the surface's memory into that of the
 * window (shared with the X server), scaled on the way, and only what changed.
 */
#include "core/util.h"
#include "ui/overlay.h"
#include "ui/scale.h"
#include "ui/window_impl.h"

/* Handed to X apart; more are joined. */
enum { MAX_RECTS = 32 };

static SDL_Surface *target_surface(struct window *window, SDL_Surface *screen)
{
	if (screen->format->format == SDL_PIXELFORMAT_RGB888 ||
		screen->format->format == SDL_PIXELFORMAT_ARGB8888)
		return screen;
	SDL_Surface *shadow = window->shadow;
	if (shadow && shadow->w == screen->w && shadow->h == screen->h)
		return shadow;
	SDL_FreeSurface(shadow);
	window->shadow =
		SDL_CreateRGBSurfaceWithFormat(0, screen->w, screen->h, 32, SDL_PIXELFORMAT_RGB888);
	window->repaint_all = true;
	return window->shadow;
}

/* The guest's picture in 32-bit pixels: itself, or a converted copy of `area`. */
static const struct surface *readable(
	struct window *window, struct surface *surface, const struct rect *area)
{
	bool words = surface->format == SURFACE_XRGB8888 || surface->format == SURFACE_ARGB8888;
	struct surface *staging = window->staging;
	if (words && surface->stride % 4 == 0 && (uintptr_t)surface->data % 4 == 0)
		return surface;
	struct rect part = *area;
	if (!staging || staging->width != surface->width || staging->height != surface->height) {
		surface_unref(staging);
		window->staging = NULL;
		if (surface_create(&window->staging, SURFACE_XRGB8888, surface->width,
			    surface->height) < 0)
			return NULL;
		part = surface_bounds(surface);
	}
	surface_copy(window->staging, part.left, part.top, surface, &part);
	return window->staging;
}

/* A region of guest pixels as one of window pixels. */
static void to_window(const struct view *view, struct region *out, const struct region *guest)
{
	for (uint32_t i = 0; i < region_count(guest); i++) {
		struct rect area = region_rect(guest, i);
		struct rect place = view_to_window(view, &area);
		if (!rect_empty(&place))
			region_add_rect(out, &place);
	}
}

/* The guest's pixels that the window's pixels of `place` depend on. */
static struct rect to_guest(const struct view *view, const struct rect *place)
{
	struct point first = view_to_guest(view, place->left, place->top);
	struct point last = view_to_guest(view, place->right - 1, place->bottom - 1);
	struct rect area = { first.x - 1, first.y - 1, last.x + 2, last.y + 2 };
	struct rect all = { 0, 0, (int32_t)view->guest_width, (int32_t)view->guest_height };
	return rect_intersect(&area, &all);
}

/* Paints the picture's part of `region`; false when there is no picture of the view's size. */
static bool paint_picture(
	struct window *window, const struct surface *to, const struct region *region)
{
	bool painted = false;
	const struct view *view = &window->view;
	struct rect extents = region_extents(region);
	struct rect place = rect_intersect(&extents, &view->place);
	if (!view->guest_width || rect_empty(&place))
		return view->guest_width > 0;
	struct rect area = to_guest(view, &place);
	pthread_mutex_lock(&window->attach_lock);
	if (window->attached) {
		display_lock(window->display);
		struct surface *surface = display_sync(window->display, DISPLAY_PRIMARY, &area);
		if (surface && surface->width == view->guest_width &&
			surface->height == view->guest_height) {
			const struct surface *from = readable(window, surface, &area);
			painted = from;
			for (uint32_t i = 0; from && i < region_count(region); i++) {
				struct rect part = region_rect(region, i);
				scale_paint(to, view, from, &part);
			}
		}
		display_unlock(window->display);
	}
	pthread_mutex_unlock(&window->attach_lock);
	return painted;
}

static void black(SDL_Surface *surface, const struct region *region)
{
	for (uint32_t i = 0; i < region_count(region); i++) {
		struct rect r = region_rect(region, i);
		SDL_Rect area = { r.left, r.top, rect_width(&r), rect_height(&r) };
		SDL_FillRect(surface, &area, 0);
	}
}

static void paint(struct window *window, SDL_Surface *target, struct region *region)
{
	struct surface to = { .refs = 1,
		.format = SURFACE_XRGB8888,
		.width = (uint32_t)target->w,
		.height = (uint32_t)target->h,
		.stride = target->pitch,
		.data = target->pixels };
	struct rect all = surface_bounds(&to);
	if (window->repaint_all || window->notice) {
		region_add_rect(region, &all);
		struct region beside;
		region_init_rect(&beside, &all);
		region_subtract_rect(&beside, &window->view.place);
		black(target, &beside);
		region_finish(&beside);
	}
	region_intersect_rect(region, &all);
	/* A cursor that is partly painted over is painted anew, whole. */
	struct rect cursor = window_pointer_place(window);
	if (region_overlaps_rect(region, &cursor))
		region_add_rect(region, &cursor);
	region_intersect_rect(region, &all);
	if (!paint_picture(window, &to, region))
		black(target, region);
	if (region_overlaps_rect(region, &cursor))
		window_pointer_paint(window, &to);
	window->pointer.painted = cursor;
	if (window->notice) {
		overlay_dim(&to, &all);
		overlay_notice(&to, window->notice, MAX(2u, window->zoom * 2));
	}
}

static void show(struct window *window, SDL_Surface *screen, SDL_Surface *target,
	const struct region *region)
{
	SDL_Rect rects[MAX_RECTS];
	uint32_t count = region_count(region);
	for (uint32_t i = 0; i < MIN(count, MAX_RECTS); i++) {
		struct rect r = region_rect(region, i);
		if (count > MAX_RECTS)
			r = region_extents(region);
		rects[i] = (SDL_Rect){ r.left, r.top, rect_width(&r), rect_height(&r) };
		if (target != screen) {
			SDL_Rect to = rects[i];
			SDL_BlitSurface(target, &rects[i], screen, &to);
		}
		if (count > MAX_RECTS)
			count = 1;
	}
	if (count > 0)
		SDL_UpdateWindowSurfaceRects(window->sdl, rects, (int)count);
}

void window_present(struct window *window, struct region *dirty)
{
	SDL_Surface *screen = SDL_GetWindowSurface(window->sdl);
	SDL_Surface *target = screen ? target_surface(window, screen) : NULL;
	struct region region;
	if (!target)
		return;
	if ((uint32_t)target->w != window->view.window_width ||
		(uint32_t)target->h != window->view.window_height) {
		view_fit(&window->view, window->view.guest_width, window->view.guest_height,
			(uint32_t)target->w, (uint32_t)target->h);
		window->repaint_all = true;
	}
	window_pointer_rescale(window);
	region_init(&region);
	to_window(&window->view, &region, dirty);
	struct rect cursor = window_pointer_place(window);
	if (!rect_equal(&cursor, &window->pointer.painted)) {
		region_add_rect(&region, &cursor);
		region_add_rect(&region, &window->pointer.painted);
	}
	paint(window, target, &region);
	show(window, screen, target, &region);
	region_finish(&region);
	window->repaint_all = false;
}

void window_present_finish(struct window *window)
{
	surface_unref(window->staging);
	SDL_FreeSurface(window->shadow);
}

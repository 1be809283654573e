/* SPDX-License-Identifier: MIT */
/* The window: its life, its events, and when it paints. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/util.h"
#include "ui/window_impl.h"

enum {
	FRAME_NS = 1000000000 / 60, /* no more pictures than the screen can show */
	FIRST_WIDTH = 640, /* until the guest's size is known */
	FIRST_HEIGHT = 400,
	FRAME_ROOM = 40, /* of the desktop, for the window manager's frame */
	MIN_SIDE = 64,
};

/* ---- opening ---- */

static void sdl_hints(void)
{
	SDL_SetMainReady();
	SDL_SetHint(SDL_HINT_VIDEODRIVER, "x11");
	SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
	/* A guest's picture must not keep the screen from locking. */
	SDL_SetHint(SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1");
	/* The window's memory shared with X beats GL for a picture that comes from memory. */
	SDL_SetHint(SDL_HINT_FRAMEBUFFER_ACCELERATION, "0");
	SDL_SetHint(SDL_HINT_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR, "0");
	SDL_SetHint(SDL_HINT_MOUSE_FOCUS_CLICKTHROUGH, "1");
	SDL_setenv("SDL_VIDEO_X11_WMCLASS", "spicebox", 0);
	/* Keys are the guest's: no input method of this side may swallow one. */
	SDL_setenv("XMODIFIERS", "@im=none", 1);
}

static char *why_no_display(void)
{
	char *text = NULL;
	const char *display = getenv("DISPLAY");
	if (!display || !*display) {
		if (asprintf(&text,
			    "there is no display to open a window on (DISPLAY is not set)") < 0)
			return NULL;
	} else if (asprintf(&text, "cannot open a window on display '%s' (%s)", display,
			   SDL_GetError()) < 0) {
		return NULL;
	}
	return text;
}

int window_probe(char **what)
{
	*what = NULL;
	sdl_hints();
	if (SDL_InitSubSystem(SDL_INIT_VIDEO) < 0) {
		*what = why_no_display();
		return -ENODEV;
	}
	SDL_DisplayMode mode;
	const char *display = getenv("DISPLAY");
	if (SDL_GetDesktopDisplayMode(0, &mode) == 0 &&
		asprintf(what, "X11 '%s', %d x %d pixels", display ? display : "", mode.w, mode.h) <
			0)
		*what = NULL;
	SDL_QuitSubSystem(SDL_INIT_VIDEO);
	return 0;
}

/* A monitor with a picture on it, in 16 rows of 16 pixels; shown by task bars. */
static void set_icon(SDL_Window *sdl)
{
	static const uint16_t frame[16] = { 0, 0x7ffe, 0xffff, 0xc003, 0xc003, 0xc003, 0xc003,
		0xc003, 0xc003, 0xc003, 0xffff, 0x7ffe, 0x03c0, 0x0ff0, 0, 0 };
	SDL_Surface *icon = SDL_CreateRGBSurfaceWithFormat(0, 32, 32, 32, SDL_PIXELFORMAT_ARGB8888);
	if (!icon)
		return;
	for (int y = 0; y < 32; y++) {
		uint32_t *row = (uint32_t *)(void *)((uint8_t *)icon->pixels + icon->pitch * y);
		for (int x = 0; x < 32; x++) {
			bool inside = x >= 4 && x < 28 && y >= 6 && y < 20;
			row[x] = frame[y / 2] & (0x8000 >> (x / 2)) ? 0xff30363f : 0;
			if (inside)
				row[x] = x + 2 * y < 44 ? 0xff4a90d9 : 0xff2f6fb3;
		}
	}
	SDL_SetWindowIcon(sdl, icon);
	SDL_FreeSurface(icon);
}

static int open_sdl(struct window *window, bool full_screen)
{
	uint32_t flags = SDL_WINDOW_RESIZABLE | SDL_WINDOW_ALLOW_HIGHDPI;
	sdl_hints();
	/* Before, as SDL brings back at its end what it found; after, as it has a handler, too. */
	window_survive_x_errors();
	if (SDL_InitSubSystem(SDL_INIT_VIDEO) < 0)
		return -ENODEV;
	window_survive_x_errors();
	SDL_StopTextInput();
	window->wake_event = SDL_RegisterEvents(1);
	if (full_screen)
		flags |= SDL_WINDOW_FULLSCREEN_DESKTOP;
	window->sdl = SDL_CreateWindow(window->title, SDL_WINDOWPOS_CENTERED,
		SDL_WINDOWPOS_CENTERED, FIRST_WIDTH, FIRST_HEIGHT, flags);
	if (!window->sdl)
		return -ENODEV;
	window->full_screen = full_screen;
	window->sized_width = FIRST_WIDTH;
	window->sized_height = FIRST_HEIGHT;
	window->zoom = window_screen_zoom(window->sdl);
	SDL_SetWindowMinimumSize(window->sdl, MIN_SIDE, MIN_SIDE);
	set_icon(window->sdl);
	return 0;
}

int window_create(struct window **out, const struct window_config *config, char **error)
{
	struct window *window = calloc(1, sizeof(*window));
	int status = -ENOMEM;
	*error = NULL;
	if (!window)
		return -ENOMEM;
	pthread_mutex_init(&window->lock, NULL);
	pthread_mutex_init(&window->attach_lock, NULL);
	region_init(&window->news.dirty);
	window->loop = config->loop;
	window->display = config->display;
	window->on_request = config->on_request;
	window->opaque = config->opaque;
	window->visible = true;
	window->repaint_all = window->update_wanted = true;
	window_sink_init(window);
	window->title = strdup(config->title ? config->title : "spicebox");
	if (!window->title || input_queue_create(&window->queue, config->loop) < 0)
		goto fail;
	status = open_sdl(window, config->full_screen);
	if (status < 0) {
		*error = why_no_display();
		goto fail;
	}
	*out = window;
	return 0;
fail:
	window_destroy(window);
	return status;
}

void window_destroy(struct window *window)
{
	if (!window)
		return;
	if (window->sdl) {
		window_pointer_release(window);
		window_pointer_finish(window);
		window_present_finish(window);
		SDL_DestroyWindow(window->sdl);
	}
	if (SDL_WasInit(SDL_INIT_VIDEO))
		SDL_QuitSubSystem(SDL_INIT_VIDEO);
	input_queue_unref(window->queue);
	region_finish(&window->news.dirty);
	cursor_shape_unref(window->news.cursor.shape);
	free(window->news.title);
	free(window->news.notice);
	free(window->title);
	free(window->notice);
	pthread_mutex_destroy(&window->lock);
	pthread_mutex_destroy(&window->attach_lock);
	free(window);
}

/* ---- from other threads ---- */

void window_wake_locked(struct window *window)
{
	SDL_Event event = { .type = window->wake_event };
	if (!window->news.woken)
		window->news.woken = SDL_PushEvent(&event) == 1;
}

void window_quit(struct window *window)
{
	pthread_mutex_lock(&window->lock);
	window->news.quit = true;
	window_wake_locked(window);
	pthread_mutex_unlock(&window->lock);
}

void window_set_title(struct window *window, const char *title)
{
	char *copy = strdup(title);
	pthread_mutex_lock(&window->lock);
	free(window->news.title);
	window->news.title = copy;
	window->news.texts_changed = true;
	window_wake_locked(window);
	pthread_mutex_unlock(&window->lock);
}

void window_set_notice(struct window *window, const char *text, bool offer_reconnect)
{
	char *copy = NULL;
	if (text &&
		asprintf(&copy, "%s%s", text,
			offer_reconnect ? "\nPress Enter to reconnect." : "") < 0)
		copy = NULL;
	pthread_mutex_lock(&window->lock);
	free(window->news.notice);
	window->news.notice = copy;
	window->news.offer_reconnect = offer_reconnect;
	window->news.texts_changed = true;
	window_wake_locked(window);
	pthread_mutex_unlock(&window->lock);
}

bool window_visible(struct window *window)
{
	return window->visible;
}

/* ---- SDL thread: size and title ---- */

void window_show_title(struct window *window)
{
	char *text = NULL;
	if (window->pointer.grabbed &&
		asprintf(&text, "%s (Shift+F12 releases the pointer)", window->title) < 0)
		text = NULL;
	SDL_SetWindowTitle(window->sdl, text ? text : window->title);
	free(text);
}

void window_toggle_full_screen(struct window *window)
{
	bool full_screen = !window->full_screen;
	uint32_t flags = full_screen ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0;
	if (SDL_SetWindowFullscreen(window->sdl, flags) < 0)
		return;
	window->full_screen = full_screen;
	SDL_SetWindowKeyboardGrab(
		window->sdl, full_screen || window->pointer.grabbed ? SDL_TRUE : SDL_FALSE);
	window->repaint_all = window->update_wanted = true;
}

/* The window takes the guest's size, unless the user gave it another one. */
static void follow_guest_size(struct window *window, uint32_t guest_width, uint32_t guest_height)
{
	SDL_Rect room = { 0, 0, 1024, 768 };
	int width, height, x, y;
	uint32_t new_width, new_height;
	SDL_GetWindowSize(window->sdl, &width, &height);
	if (window->full_screen || (SDL_GetWindowFlags(window->sdl) & SDL_WINDOW_MAXIMIZED) ||
		(uint32_t)width != window->sized_width || (uint32_t)height != window->sized_height)
		return;
	int index = SDL_GetWindowDisplayIndex(window->sdl);
	SDL_GetDisplayUsableBounds(MAX(index, 0), &room);
	/* A guest as large as the screen gets all of it; a frame is allowed for else. */
	uint32_t room_width = (uint32_t)room.w, room_height = (uint32_t)room.h;
	if (guest_height != room_height && room_height > 4 * FRAME_ROOM)
		room_height -= FRAME_ROOM;
	view_window_size(guest_width, guest_height, window->zoom, room_width, room_height,
		&new_width, &new_height);
	new_width = MAX(new_width, (uint32_t)MIN_SIDE);
	new_height = MAX(new_height, (uint32_t)MIN_SIDE);
	window->sized_width = new_width;
	window->sized_height = new_height;
	if ((uint32_t)width == new_width && (uint32_t)height == new_height)
		return;
	SDL_GetWindowPosition(window->sdl, &x, &y);
	int new_x = x + (width - (int)new_width) / 2, new_y = y + (height - (int)new_height) / 2;
	new_x = MAX(MIN(new_x, room.x + room.w - (int)new_width), room.x);
	new_y = MAX(MIN(new_y, room.y + room.h - (int)new_height), room.y);
	SDL_SetWindowSize(window->sdl, (int)new_width, (int)new_height);
	if (new_x != x || new_y != y)
		SDL_SetWindowPosition(window->sdl, new_x, new_y);
}

static void set_guest_size(struct window *window, uint32_t width, uint32_t height)
{
	if (width != window->view.guest_width || height != window->view.guest_height)
		follow_guest_size(window, width, height);
	view_fit(&window->view, width, height, window->view.window_width,
		window->view.window_height);
	/* Without a window size yet the first present fits it. */
	window->view.guest_width = width;
	window->view.guest_height = height;
	window->repaint_all = true;
}

/* ---- SDL thread: news ---- */

static void apply_texts(struct window *window, struct window_news *news)
{
	bool had_notice = window->notice;
	if (news->title) {
		free(window->title);
		window->title = news->title;
		window_show_title(window);
	}
	if (!news->texts_changed)
		return;
	free(window->notice);
	window->notice = news->notice;
	window->offer_reconnect = news->offer_reconnect;
	if (had_notice || window->notice)
		window->repaint_all = true;
}

static void apply_input(struct window *window, const struct window_news *news)
{
	bool fresh = news->has_input && !window->has_input;
	if (!news->has_input)
		window_keys_release(window);
	window->has_input = news->has_input;
	window_pointer_set_absolute(window, news->has_input && news->absolute);
	if (fresh && SDL_GetKeyboardFocus() == window->sdl)
		window_keys_sync_leds(window);
}

/* Takes what other threads left; `dirty` is initialised and receives the guest's dirty pixels. */
static void take_news(struct window *window, struct window_news *news, struct region *dirty)
{
	pthread_mutex_lock(&window->lock);
	*news = window->news;
	/* Regions own memory: this one is copied, news->dirty is not to be used. */
	region_copy(dirty, &window->news.dirty);
	region_clear(&window->news.dirty);
	window->news.title = NULL;
	window->news.woken = window->news.texts_changed = window->news.size_changed = false;
	window->news.cursor_changed = window->news.input_changed = false;
	if (news->texts_changed)
		window->news.notice = NULL;
	if (news->cursor_changed && news->cursor.shape)
		cursor_shape_ref(news->cursor.shape);
	pthread_mutex_unlock(&window->lock);
}

static void update(struct window *window)
{
	struct window_news news;
	struct region dirty;
	/* What is shown before the guest's first picture does not put that off. */
	if (window->view.guest_width)
		window->last_present_ns = clock_monotonic_ns();
	window->update_wanted = false;
	region_init(&dirty);
	take_news(window, &news, &dirty);
	window->quit = news.quit;
	apply_texts(window, &news);
	if (news.size_changed)
		set_guest_size(window, news.width, news.height);
	if (news.input_changed)
		apply_input(window, &news);
	if (news.cursor_changed)
		window_pointer_set_guest(window, &news.cursor);
	if (!window->visible)
		window->repaint_all = true;
	else if (!window->quit)
		window_present(window, &dirty);
	region_finish(&dirty);
}

/* ---- SDL thread: events ---- */

static void on_window_event(struct window *window, const SDL_WindowEvent *event)
{
	switch (event->event) {
	case SDL_WINDOWEVENT_SHOWN:
	case SDL_WINDOWEVENT_RESTORED:
	case SDL_WINDOWEVENT_MAXIMIZED: window->visible = true; goto repaint;
	case SDL_WINDOWEVENT_EXPOSED:
	case SDL_WINDOWEVENT_SIZE_CHANGED:
	repaint:
		window->repaint_all = window->update_wanted = true;
		break;
	case SDL_WINDOWEVENT_HIDDEN:
	case SDL_WINDOWEVENT_MINIMIZED: window->visible = false; break;
	case SDL_WINDOWEVENT_FOCUS_GAINED:
		if (window->has_input)
			window_keys_sync_leds(window);
		break;
	case SDL_WINDOWEVENT_FOCUS_LOST:
		window_keys_release(window);
		window_pointer_release(window);
		break;
	case SDL_WINDOWEVENT_CLOSE: window->on_request(window->opaque, WINDOW_REQUEST_CLOSE); break;
	default: break;
	}
}

static void on_event(struct window *window, const SDL_Event *event)
{
	switch (event->type) {
	case SDL_WINDOWEVENT: on_window_event(window, &event->window); break;
	case SDL_KEYDOWN:
	case SDL_KEYUP: window_key(window, &event->key); break;
	case SDL_MOUSEMOTION: window_pointer_motion(window, &event->motion); break;
	case SDL_MOUSEBUTTONDOWN:
	case SDL_MOUSEBUTTONUP: window_pointer_button(window, &event->button); break;
	case SDL_MOUSEWHEEL: window_pointer_wheel(window, &event->wheel); break;
	default:
		if (event->type == window->wake_event)
			window->update_wanted = true;
		break;
	}
}

/* Milliseconds until the next picture may be shown; -1: nothing to show. */
static int wait_ms(const struct window *window)
{
	if (!window->update_wanted)
		return -1;
	uint64_t since = clock_monotonic_ns() - window->last_present_ns;
	return since >= FRAME_NS ? 0 : (int)((FRAME_NS - since + 999999) / 1000000);
}

void window_run(struct window *window)
{
	SDL_Event event;
	while (!window->quit) {
		int wait = wait_ms(window);
		if (wait == 0) {
			update(window);
			continue;
		}
		int got = wait < 0 ? SDL_WaitEvent(&event) : SDL_WaitEventTimeout(&event, wait);
		if (!got && wait < 0) {
			log_error("window", "waiting for events failed: %s", SDL_GetError());
			return;
		}
		while (got) {
			on_event(window, &event);
			got = SDL_PeepEvents(
				      &event, 1, SDL_GETEVENT, SDL_FIRSTEVENT, SDL_LASTEVENT) > 0;
		}
	}
}

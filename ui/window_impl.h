/* SPDX-License-Identifier: MIT */
/* The window's insides, shared by the files of this folder only. */
#ifndef UI_WINDOW_IMPL_H
#define UI_WINDOW_IMPL_H

#define SDL_MAIN_HANDLED
#include <SDL.h>
#include <pthread.h>
#include <stdatomic.h>

#include "ui/input_queue.h"
#include "ui/view.h"
#include "ui/window.h"

/* What other threads left for the SDL thread. Guarded by window.lock. */
struct window_news {
	bool woken; /* a user event is on its way: no second one is sent */
	bool quit;
	bool texts_changed;
	char *title;
	char *notice; /* NULL: none */
	bool offer_reconnect;
	bool size_changed; /* a new primary surface */
	uint32_t width; /* of the guest's picture; 0: none */
	uint32_t height;
	struct region dirty; /* guest pixels */
	bool cursor_changed;
	struct cursor_state cursor; /* owns a reference on its shape */
	bool input_changed;
	bool has_input;
	bool absolute;
};

/* Keys; SDL thread only. */
struct window_keys {
	bool down[SDL_NUM_SCANCODES]; /* pressed at the guest */
	bool swallow[SDL_NUM_SCANCODES]; /* a hot key: its release is ours, too */
};

/* The pointer; SDL thread only. */
struct window_pointer {
	bool absolute;
	bool grabbed;
	uint32_t buttons; /* pressed at the guest, bit = enum input_button */
	bool swallow_release;
	struct cursor_state guest; /* owns a reference on its shape */
	SDL_Cursor *cursor; /* the guest's, NULL: the arrow is shown */
	uint32_t *pixels; /* the guest's shape as it is shown: premultiplied ARGB */
	struct view scaled_for; /* the view it was scaled with */
	uint32_t width;
	uint32_t height;
	uint32_t hot_x;
	uint32_t hot_y;
	struct rect painted; /* where it lies in the picture, window pixels; or empty */
};

struct window {
	struct display_sink sink;
	struct input_listener listener;
	struct loop *loop;
	struct display *display;
	void (*on_request)(void *opaque, enum window_request request);
	void *opaque;
	struct input_queue *queue;
	uint32_t wake_event;

	pthread_mutex_t lock;
	struct window_news news;

	/* Held by the SDL thread while it reads the display, and to change `attached`. */
	pthread_mutex_t attach_lock;
	bool attached;
	struct input_sink *input; /* loop thread only */

	/* SDL thread only from here, but for `visible`. */
	SDL_Window *sdl;
	atomic_bool visible;
	bool quit;
	char *title;
	char *notice;
	bool offer_reconnect;
	bool has_input;
	bool full_screen;
	uint32_t zoom; /* of the first size: 2 on a screen of twice the usual density */
	uint32_t sized_width; /* the size that we gave the window; another one is the user's choice */
	uint32_t sized_height;
	struct view view;
	struct surface
		*staging; /* the guest's picture as XRGB8888, where its own format is another */
	SDL_Surface *shadow; /* painted on where the screen is not XRGB8888 */
	bool update_wanted; /* news, or something to repaint */
	bool repaint_all;
	uint64_t last_present_ns;
	struct window_keys keys;
	struct window_pointer pointer;
};

/* Makes the SDL thread look at the news; with window.lock held. */
void window_wake_locked(struct window *window);

/* sink.c: the display sink and the input listener, on the loop thread. */
void window_sink_init(struct window *window);

/* present.c. Paints `dirty` (guest pixels; all when repaint_all) and shows it. */
void window_present(struct window *window, struct region *dirty);
void window_present_finish(struct window *window);

/* keyboard.c */
void window_key(struct window *window, const SDL_KeyboardEvent *event);
void window_keys_release(struct window *window);
/* Tells the guest the lock LEDs as they are here. */
void window_keys_sync_leds(struct window *window);

/* pointer.c */
void window_pointer_motion(struct window *window, const SDL_MouseMotionEvent *event);
void window_pointer_button(struct window *window, const SDL_MouseButtonEvent *event);
void window_pointer_wheel(struct window *window, const SDL_MouseWheelEvent *event);
void window_pointer_release(struct window *window); /* buttons and grab */
void window_pointer_set_absolute(struct window *window, bool absolute);
/* A new state of the guest's pointer; takes over the reference on its shape. */
void window_pointer_set_guest(struct window *window, const struct cursor_state *state);
/* Scales the cursor like the picture, when the view changed. */
void window_pointer_rescale(struct window *window);
/* Where the guest's pointer is to be painted into the picture, window pixels; empty: nowhere. */
struct rect window_pointer_place(const struct window *window);
void window_pointer_paint(const struct window *window, const struct surface *to);
void window_pointer_finish(struct window *window);

/* window.c */
void window_show_title(struct window *window);
void window_toggle_full_screen(struct window *window);

/* screen.c: how many window pixels one guest pixel should have on this screen. */
uint32_t window_screen_zoom(SDL_Window *sdl);
/* From here on an X error (a window that has gone) is logged and nothing more. */
void window_survive_x_errors(void);

#endif

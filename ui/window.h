/* SPDX-License-Identifier: MIT */
/*
 * The window: shows a display hub's primary surface and gives keys and pointer to an input sink.
 * SDL runs on the main thread; the loop with the display and the input runs on another one.
 */
#ifndef UI_WINDOW_H
#define UI_WINDOW_H

#include "core/display.h"
#include "core/loop.h"
#include "core/ports.h"

struct window;

enum window_request {
	WINDOW_REQUEST_CLOSE, /* the user closed the window */
	WINDOW_REQUEST_RECONNECT, /* the user accepted the offer to reconnect */
};

struct window_config {
	const char *title; /* copied */
	bool full_screen;
	struct loop *loop; /* runs on another thread */
	struct display *display; /* borrowed */
	/* On the SDL thread. CLOSE: the caller ends window_run() by window_quit() (run: after the
	 * machine is off). */
	void (*on_request)(void *opaque, enum window_request request);
	void *opaque;
};

/* Whether a window could be opened: 0 or -ENODEV. *what (malloc'ed, may stay NULL) is one plain
 * sentence that names the display, or why there is none. */
int window_probe(char **what);

/* Opens the window. Main thread. -ENODEV when there is no display, with *error (malloc'ed, one plain
 * sentence). */
int window_create(struct window **out, const struct window_config *config, char **error);
/* Shows until window_quit(). Main thread. */
void window_run(struct window *window);
/* Any thread. */
void window_quit(struct window *window);
void window_destroy(
	struct window *window); /* Main thread, after its loop stopped or detached it. */

/* Attaches to, detaches from the display and the input (NULL: none now). On the loop thread. */
int window_attach(struct window *window, struct input_sink *input);
void window_detach(struct window *window);

/* Any thread, copied: the title; a notice over the picture (NULL: none), such as "Connecting to ...";
 * with `offer_reconnect` the notice has the line "Press Enter to reconnect". */
void window_set_title(struct window *window, const char *title);
void window_set_notice(struct window *window, const char *text, bool offer_reconnect);
/* Any thread: whether the window is on the screen (not minimised). */
bool window_visible(struct window *window);

#endif

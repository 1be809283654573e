/* SPDX-License-Identifier: MIT */
/* Windows with soft shadows and round corners over a wallpaper. The guest keeps every picture in
 * its own memory; the device gets COPY from an off-screen surface where only wallpaper shows,
 * COPY_BITS where a window moves unhidden, and composed bitmaps for the rest. */
#ifndef GUEST_DESKTOP_H
#define GUEST_DESKTOP_H

#include "qxl.h"

enum { DESKTOP_WINDOWS = 8, DESKTOP_BAR = 34, WINDOW_TITLE = 32 };

struct window {
	struct rect frame;
	struct image picture; /* title bar and content, as large as the frame */
	const char *title;
	bool dark;
};

struct desktop {
	struct qxl *qxl;
	struct image base, canvas; /* wallpaper with the bar; what was composed */
	struct window *order[DESKTOP_WINDOWS]; /* bottom to top */
	uint32_t count;
};

/* Takes qxl's primary surface; base is painted by the caller before desktop_show. */
void desktop_init(struct desktop *desktop, struct qxl *qxl);
/* Gives the window a picture with its title drawn, on top of the others. Not shown yet. */
void desktop_add(struct desktop *desktop, struct window *window);
/* Everything to the screen. */
void desktop_show(struct desktop *desktop);
/* Where a window's own drawing goes, below its title. */
struct rect window_content(const struct window *window);
void window_draw_title(struct window *window, const char *right);
/* Brings part of the window's picture (in its own coordinates) to the screen. */
void desktop_update(struct desktop *desktop, const struct window *window, struct rect part);
void desktop_move(struct desktop *desktop, struct window *window, int32_t x, int32_t y);
void desktop_raise(struct desktop *desktop, struct window *window);
/* The window at a place, or NULL. */
struct window *desktop_at(const struct desktop *desktop, int32_t x, int32_t y);
/* Part of the base was painted anew. */
void desktop_base_changed(struct desktop *desktop, struct rect part);

/* demo_art.c */
void art_wallpaper(struct image *image);
/* Frame `frame` of a ray-traced ball over a chequered floor. */
void art_ray_frame(struct image *image, uint32_t frame);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The display hub: what a graphics device draws into and everyone who shows it reads from. It is a
 * display_sink for its one source (QXL, VGA, a viewer's display channel) and passes all on to the
 * sinks attached to it (windows, SPICE servers). It keeps the surfaces, and the drawings on them that
 * nobody needed the pixels of yet: those are rendered by the canvas when somebody asks.
 *
 * Feeding and attaching happen on the loop thread. display_lock()/display_sync() may be used by a
 * window's thread: the pixels then stay still until display_unlock().
 */
#ifndef CORE_DISPLAY_H
#define CORE_DISPLAY_H

#include "core/pixel_rows.h"
#include "core/ports.h"

struct display;

int display_create(struct display **out);
void display_destroy(struct display *display);

/* The sink that the source feeds. */
struct display_sink *display_sink(struct display *display);

/* Adds a sink, which at once gets the present state: surfaces, cursor, monitors (not the drawings
 * that made them: it reads the pixels with display_sync()). -ENOSPC beyond 64 sinks. Loop thread. */
int display_attach(struct display *display, struct display_sink *sink);
void display_detach(struct display *display, struct display_sink *sink);

/* Keeps surfaces and pixels as they are until display_unlock(). Any thread; hold it shortly. */
void display_lock(struct display *display);
void display_unlock(struct display *display);
/* With the lock held: the surface, all drawings on `area` (NULL: all) rendered; NULL when there is
 * no such surface. Its pixels may be read until display_unlock(); a reference keeps its memory. */
struct surface *display_sync(struct display *display, uint32_t id, const struct rect *area);
/* A copy of a surface's area (NULL: all) as an image. Takes the lock itself. -ENOENT, -ENOMEM. */
int display_snapshot(
	struct display *display, uint32_t id, const struct rect *area, struct image **out);
/* The pixels of a surface's area, which is inside: rows of pictures that wait to be drawn are taken
 * from these as they are, if nothing else drew there; else as display_snapshot() has them. */
int display_rows(
	struct display *display, uint32_t id, const struct rect *area, struct pixel_rows **out);
/* The pointer now; the shape is borrowed. Loop thread. */
const struct cursor_state *display_cursor(struct display *display);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * What one viewer has yet to be sent: drawings in order, and behind them, for each surface, a
 * region whose pixels it lacks ("dirty"). Bounded: when the viewer is slow, drawings become dirty
 * pixels, which are sent as they are by then.
 *
 * What makes it right: the drawings are sent first, then dirty pixels, and a drawing is only queued
 * when it reads nothing that is dirty. So a drawing finds at the viewer what it found at the hub,
 * or lands where the pixels are replaced afterwards.
 */
#ifndef CHANNELS_SERVER_DISPLAY_QUEUE_H
#define CHANNELS_SERVER_DISPLAY_QUEUE_H

#include "channels/server/server_internal.h"

enum queue_kind { QUEUE_DRAW, QUEUE_CREATE, QUEUE_DESTROY };

struct queue_item {
	enum queue_kind kind;
	uint32_t surface_id;
	/* QUEUE_CREATE */
	uint64_t generation;
	enum surface_format format;
	uint32_t width;
	uint32_t height;
	/* QUEUE_DRAW: a reference */
	struct draw *draw;
	size_t bytes;
	struct queue_item *prev, *next;
};

struct queue_view {
	struct region dirty;
	uint64_t sent; /* the generation that the viewer has; 0: no such surface */
	bool created; /* it has one when the queue is through */
	bool no_picture; /* nothing of it was sent: its first picture goes out whole */
};

struct display_queue {
	const struct server_surface *surfaces; /* DISPLAY_MAX_SURFACES, as they are now */
	struct queue_view views[DISPLAY_MAX_SURFACES];
	struct queue_item *first, *last;
	uint32_t items;
	size_t bytes;
};

/* Starts with all surfaces there are, whole. The table is borrowed. */
void display_queue_init(struct display_queue *queue, const struct server_surface *surfaces);
void display_queue_finish(struct display_queue *queue);

/* What the hub tells, after `surfaces` was brought up to date. */
void display_queue_surface_create(struct display_queue *queue, uint32_t id);
void display_queue_surface_destroy(struct display_queue *queue, uint32_t id);
void display_queue_draw(struct display_queue *queue, struct draw *draw);
void display_queue_dirty(struct display_queue *queue, uint32_t id, const struct rect *area);

/* The next item, to be sent and freed; NULL when there is none. */
struct queue_item *display_queue_pop(struct display_queue *queue);
void queue_item_free(struct queue_item *item); /* NULL is ignored */

/* Once there are no items: takes a rectangle out of what is dirty, to be sent from the current
 * pixels: at most max_bytes at four a pixel (but a row at the least), or the whole first picture
 * of a surface when it is within first_max_bytes. False when nothing is dirty. */
bool display_queue_take_dirty(struct display_queue *queue, size_t max_bytes, size_t first_max_bytes,
	uint32_t *id, struct rect *area);

/* The pixels that a drawing may change. */
struct rect display_queue_draw_area(const struct draw *draw);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * What one viewer has yet to be sent. Drawings wait in order; of each, only the region that no
 * later one replaces unread is kept. What cannot be sent as a drawing, and what would pile up, is
 * "owed": pixels that are sent as they are by then.
 *
 * What makes it right: a drawing is only queued where it neither touches nor reads owed pixels
 * (what would be made of them is owed, too). And owed pixels may be sent ("dirty") only when no
 * drawing that is still queued touches or reads them. So each finds at the viewer what it found at
 * the hub, and drawings and dirty pixels may be sent in any mixture.
 *
 * "Stale" are pixels that the viewer shows inexactly, from video or lossy pictures: what it will be
 * once the queue is through. What is drawn from stale pixels is stale. Those that rest become owed.
 */
#ifndef CHANNELS_SERVER_DISPLAY_QUEUE_H
#define CHANNELS_SERVER_DISPLAY_QUEUE_H

#include "channels/server/display_draw.h"

/* QUEUE_PIXELS is for the queue itself: from there on its region is dirty. */
enum queue_kind { QUEUE_DRAW, QUEUE_PIXELS, QUEUE_CREATE, QUEUE_DESTROY };

struct queue_item {
	enum queue_kind kind;
	uint32_t surface_id;
	/* QUEUE_CREATE */
	uint64_t generation;
	enum surface_format format;
	uint32_t width;
	uint32_t height;
	/* QUEUE_DRAW: a reference, and the pixels that it has to draw */
	struct draw *draw;
	struct region region;
	struct rect frame; /* what viewers may keep of its picture as one; empty: all */
	size_t bytes;
	struct queue_item *prev, *next;
	struct queue_item *next_pixels; /* of the view */
};

struct queue_view {
	struct region owed; /* that of QUEUE_PIXELS items, and: */
	struct region dirty;
	struct region refine; /* of dirty: what the viewer has inexactly */
	struct region stale;
	struct region recent[2]; /* of stale: changed in this tick of time, and the one before */
	struct queue_item *pixels; /* the view's QUEUE_PIXELS items, the newest first */
	struct queue_item *create; /* its QUEUE_CREATE item, if still queued */
	uint32_t pending; /* drawings in the queue that touch or read it */
	uint64_t sent; /* the generation that the viewer has; 0: no such surface */
	enum surface_format sent_format;
	bool used; /* the id was, ever */
	bool created; /* it has one when the queue is through */
	bool no_picture; /* nothing was sent to one who came late: at first it goes whole */
};

enum { QUEUE_DRAW_BYTES_MAX = 8 << 20 };

struct display_queue {
	const struct server_surface *surfaces; /* DISPLAY_MAX_SURFACES, as they are now */
	struct draw_abilities abilities;
	struct queue_view *views; /* DISPLAY_MAX_SURFACES */
	/* The ids that were ever used, rising: drivers begin at both ends. */
	uint16_t used[DISPLAY_MAX_SURFACES];
	uint32_t used_count;
	bool may_be_dirty; /* some view; false: none is */
	bool may_be_stale;
	/* A drawing that cannot be sent in parts and keeps more is sent as
	 * pixels; at first QUEUE_DRAW_BYTES_MAX, which is the most of any. */
	size_t whole_bytes;
	uint32_t unweighed; /* drawings since commands and pictures were last compared */
	struct queue_item *first, *last;
	uint32_t items;
	size_t bytes;
};

/* Starts with all surfaces there are, whole. The table is borrowed. 0, -ENOMEM. */
int display_queue_init(struct display_queue *queue, const struct server_surface *surfaces,
	const struct draw_abilities *abilities);
void display_queue_finish(struct display_queue *queue);

/* What the hub tells, after `surfaces` was brought up to date. */
void display_queue_surface_create(struct display_queue *queue, uint32_t id);
void display_queue_surface_destroy(struct display_queue *queue, uint32_t id);
void display_queue_draw(struct display_queue *queue, struct draw *draw);
void display_queue_dirty(struct display_queue *queue, uint32_t id, const struct rect *area);

/* Instead of display_queue_draw() or _dirty(): a stream shows it. */
void display_queue_streamed(struct display_queue *queue, const struct draw *draw);
void display_queue_streamed_area(struct display_queue *queue, uint32_t id, const struct rect *area);
/* Just now the link was given an inexact picture of that area; then, for each item that follows
 * it to the link, in order, display_queue_spread(): what it draws from there will be inexact. */
void display_queue_lossy(struct display_queue *queue, uint32_t id, const struct region *region);
void display_queue_spread(struct display_queue *queue, const struct queue_item *item);
/* Whether display_queue_rest() should be called in QUEUE_REST_MS from now: it owes the viewer
 * what is stale and did not change since the call before the last. */
enum { QUEUE_REST_MS = 100 };
bool display_queue_restless(struct display_queue *queue);
void display_queue_rest(struct display_queue *queue);

/* How large pictures are cut. Those that viewers are to keep stay whole, unless `kept_too`: then it
 * is by rows that do not depend on what is seen of them, so that each part can be kept and comes
 * again. One that the viewer has (`has`, may be NULL) stays whole. */
struct queue_parts {
	size_t max_bytes; /* at four a pixel, about */
	bool kept_too;
	bool (*has)(void *opaque, const struct queue_item *item, const struct image *image);
	void *opaque;
};

/* The next item, to be sent and freed; NULL when there is none. Of one with a large picture the
 * rest stays first. */
struct queue_item *display_queue_pop(struct display_queue *queue, const struct queue_parts *parts);
/* One with an empty region and no drawing; NULL: no memory. */
struct queue_item *queue_item_create(enum queue_kind kind, uint32_t surface_id);
void queue_item_free(struct queue_item *item); /* NULL is ignored */

/* Takes a rectangle out of what is dirty, to be sent from the current pixels: at most max_bytes at
 * four a pixel (but a row at the least), or the whole first picture of a surface when it is within
 * first_max_bytes. *refined: the viewer has it inexactly, and it has to be exact now; such
 * come last, and only if `refine`. False when nothing is dirty. */
bool display_queue_take_dirty(struct display_queue *queue, size_t max_bytes, size_t first_max_bytes,
	bool refine, uint32_t *id, struct rect *area, bool *refined);
/* It could not be sent after all: it is owed. */
void display_queue_owe(struct display_queue *queue, uint32_t id, const struct region *region);
/* How many drawings wait, and surfaces with pixels owed or stale. */
uint32_t display_queue_backlog(const struct display_queue *queue);

#endif

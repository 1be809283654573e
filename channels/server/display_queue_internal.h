/* SPDX-License-Identifier: MIT */
/* What the queue's files share. */
#ifndef CHANNELS_SERVER_DISPLAY_QUEUE_INTERNAL_H
#define CHANNELS_SERVER_DISPLAY_QUEUE_INTERNAL_H

#include "channels/server/display_queue.h"

void queue_unlink(struct display_queue *queue, struct queue_item *item);
void queue_drop(struct display_queue *queue, struct queue_item *item);

/* The region of a surface is replaced, whatever it held: takes it from the drawings that are
 * queued, but for what is read before. Leaves in `free_region` what no drawing touches or reads
 * any more; true if it looked at all. */
bool queue_hide(struct display_queue *queue, uint32_t id, struct region *free_region);
/* These pixels are owed no more: what comes at the queue's end makes them anew. */
void queue_clean(struct display_queue *queue, uint32_t id, const struct region *region);
void queue_owe(struct display_queue *queue, uint32_t id, const struct region *region);

void queue_make_stale(struct display_queue *queue, uint32_t id, const struct region *region);
enum queue_mark { MARK_OWED, MARK_STALE };
/* Adds to `out` what of `region` the drawing makes from pixels elsewhere that are so marked. */
void queue_add_made_of(const struct display_queue *queue, const struct draw *draw,
	const struct region *region, enum queue_mark mark, struct region *out);

/* Makes the region what of the area is inside the surface; false: nothing, or there is no
 * surface. */
bool queue_init_area(struct region *region, const struct display_queue *queue, uint32_t id,
	const struct rect *area);
/* The picture of a drawing that can be sent in parts, and the area of it that falls on the
 * drawing's box; NULL: it cannot. */
const struct image *queue_parted_source(const struct draw *draw, struct rect *area);
uint64_t queue_rect_pixels(const struct rect *rect);
uint64_t queue_region_pixels(const struct region *region);

#endif

/* SPDX-License-Identifier: MIT */
/* What a viewer shows inexactly, until it rests. */
#include "channels/server/display_queue_internal.h"

/* Shown by somebody else, and exactly once it rests. `replaces`: nothing of what was there
 * stays. */
static void shown_elsewhere(
	struct display_queue *queue, uint32_t id, const struct region *region, bool replaces)
{
	struct region gone;

	region_init(&gone);
	region_copy(&gone, region);
	if (replaces) {
		queue_hide(queue, id, &gone);
		queue_clean(queue, id, region);
		queue_make_stale(queue, id, region);
	} else {
		region_subtract(&gone, &queue->views[id].owed);
		queue_make_stale(queue, id, &gone);
	}
	region_finish(&gone);
}

void display_queue_streamed(struct display_queue *queue, const struct draw *draw)
{
	uint32_t id = draw->surface_id;
	struct region region;

	if (!queue->views[id].created || queue->views[id].no_picture)
		return;
	region_init(&region);
	display_draw_region(draw, queue->surfaces[id].surface, &region);
	shown_elsewhere(queue, id, &region, draw_is_opaque(draw));
	region_finish(&region);
}

void display_queue_streamed_area(struct display_queue *queue, uint32_t id, const struct rect *area)
{
	struct region region;

	if (queue_init_area(&region, queue, id, area) && !queue->views[id].no_picture)
		shown_elsewhere(queue, id, &region, true);
	region_finish(&region);
}

void display_queue_lossy(struct display_queue *queue, uint32_t id, const struct region *region)
{
	struct queue_view *view = &queue->views[id];
	struct region inexact;

	if (!view->created)
		return;
	/* What was owed only because it was inexact will be so again once it rests. */
	region_init(&inexact);
	region_copy(&inexact, region);
	region_intersect(&inexact, &view->refine);
	queue_clean(queue, id, &inexact);
	/* What else is owed, too: it may be read before it is sent. */
	queue_make_stale(queue, id, region);
	region_finish(&inexact);
}

void display_queue_spread(struct display_queue *queue, const struct queue_item *item)
{
	struct region inexact;

	if (item->kind != QUEUE_DRAW)
		return;
	region_init(&inexact);
	queue_add_made_of(queue, item->draw, &item->region, MARK_STALE, &inexact);
	queue_make_stale(queue, item->surface_id, &inexact);
	region_finish(&inexact);
}

bool display_queue_restless(struct display_queue *queue)
{
	if (!queue->may_be_stale)
		return false;
	for (uint32_t i = 0; i < queue->used_count; i++)
		if (!region_empty(&queue->views[queue->used[i]].stale))
			return true;
	queue->may_be_stale = false;
	return false;
}

void display_queue_rest(struct display_queue *queue)
{
	if (!queue->may_be_stale)
		return;
	for (uint32_t i = 0; i < queue->used_count; i++) {
		uint32_t id = queue->used[i];
		struct queue_view *view = &queue->views[id];
		struct region rest;

		if (region_empty(&view->stale))
			continue;
		region_init(&rest);
		region_copy(&rest, &view->stale);
		region_subtract(&rest, &view->recent[0]);
		region_subtract(&rest, &view->recent[1]);
		region_copy(&view->recent[1], &view->recent[0]);
		region_clear(&view->recent[0]);
		if (!region_empty(&rest)) {
			queue_owe(queue, id, &rest);
			region_add(&view->refine, &rest);
		}
		region_finish(&rest);
	}
}

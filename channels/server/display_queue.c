/* SPDX-License-Identifier: MIT */
/* One viewer's queue. */
#include "channels/server/display_queue.h"

#include <stdlib.h>
#include <string.h>

enum {
	ITEMS_MAX = 1024,
	BYTES_MAX = 16 << 20, /* of images that only the queue may keep alive */
	DRAW_BYTES_MAX = 8 << 20, /* a drawing's image beyond this is sent as pixels, in pieces */
	HIDE_LOOK_BACK = 64,
	DIRTY_RECTS_MAX = 64,
};

static void queue_push(struct display_queue *queue, struct queue_item *item)
{
	item->prev = queue->last;
	if (queue->last)
		queue->last->next = item;
	else
		queue->first = item;
	queue->last = item;
	queue->items++;
	queue->bytes += item->bytes;
}

static void queue_unlink(struct display_queue *queue, struct queue_item *item)
{
	if (item->prev)
		item->prev->next = item->next;
	else
		queue->first = item->next;
	if (item->next)
		item->next->prev = item->prev;
	else
		queue->last = item->prev;
	item->prev = item->next = NULL;
	queue->items--;
	queue->bytes -= item->bytes;
}

void queue_item_free(struct queue_item *item)
{
	if (!item)
		return;
	draw_unref(item->draw);
	free(item);
}

static struct rect surface_area(const struct display_queue *queue, uint32_t id)
{
	const struct surface *surface = queue->surfaces[id].surface;

	return surface ? surface_bounds(surface) : (struct rect){ 0 };
}

static void mark_dirty(struct display_queue *queue, uint32_t id, const struct rect *area)
{
	struct queue_view *view = &queue->views[id];
	struct rect bounds = surface_area(queue, id);
	struct rect inside = rect_intersect(&bounds, area);

	if (rect_empty(&inside))
		return;
	region_add_rect(&view->dirty, &inside);
	if (region_count(&view->dirty) > DIRTY_RECTS_MAX) {
		struct rect extents = region_extents(&view->dirty);

		region_add_rect(&view->dirty, &extents);
	}
}

/* All of it, in one picture. */
static void mark_whole(struct display_queue *queue, uint32_t id)
{
	struct rect bounds = surface_area(queue, id);

	mark_dirty(queue, id, &bounds);
	queue->views[id].no_picture = true;
}

/* ---- falling behind ---- */

static void push_create(struct display_queue *queue, uint32_t id)
{
	const struct server_surface *slot = &queue->surfaces[id];
	struct queue_item *item = calloc(1, sizeof(*item));

	/* Without memory the viewer lacks the surface; what draws on it is left out then. */
	if (!item)
		return;
	item->kind = QUEUE_CREATE;
	item->surface_id = id;
	item->generation = slot->generation;
	item->format = slot->surface->format;
	item->width = slot->surface->width;
	item->height = slot->surface->height;
	queue_push(queue, item);
	queue->views[id].created = true;
}

static void push_destroy(struct display_queue *queue, uint32_t id)
{
	struct queue_item *item = calloc(1, sizeof(*item));

	queue->views[id].created = false;
	queue->views[id].no_picture = false;
	region_clear(&queue->views[id].dirty);
	if (!item)
		return;
	item->kind = QUEUE_DESTROY;
	item->surface_id = id;
	queue_push(queue, item);
}

/* Gives up on sending drawings one by one: what they change becomes dirty, and surfaces are made
 * what they are now. */
static void collapse(struct display_queue *queue)
{
	while (queue->first) {
		struct queue_item *item = queue->first;

		queue_unlink(queue, item);
		if (item->kind == QUEUE_DRAW) {
			struct rect area = display_queue_draw_area(item->draw);

			mark_dirty(queue, item->surface_id, &area);
		}
		queue_item_free(item);
	}
	for (uint32_t id = 0; id < DISPLAY_MAX_SURFACES; id++) {
		struct queue_view *view = &queue->views[id];
		const struct server_surface *now = &queue->surfaces[id];

		view->created = view->sent != 0;
		if (view->sent == now->generation)
			continue;
		if (view->sent)
			push_destroy(queue, id);
		if (now->surface) {
			push_create(queue, id);
			mark_whole(queue, id);
		}
	}
}

static void bound(struct display_queue *queue)
{
	if (queue->items > ITEMS_MAX || queue->bytes > BYTES_MAX)
		collapse(queue);
}

/* ---- drawings ---- */

struct rect display_queue_draw_area(const struct draw *draw)
{
	struct rect area = draw->box;

	if (draw->clipped) {
		struct rect clip = region_extents(&draw->clip);

		area = rect_intersect(&area, &clip);
	}
	return area;
}

/* Whether viewers draw it exactly as our canvas does: scaling is each canvas's own art. */
static bool is_exact(const struct draw *draw)
{
	switch (draw->type) {
	case DRAW_FILL:
		return draw->fill.brush.type == BRUSH_SOLID ||
			(draw->fill.brush.type == BRUSH_PATTERN && draw->fill.brush.pattern.image);
	case DRAW_COPY:
		/* From the surface to itself: what overlaps, viewers may read after they wrote it. */
		return rect_width(&draw->copy.area) == rect_width(&draw->box) &&
			rect_height(&draw->copy.area) == rect_height(&draw->box) &&
			(draw->copy.source.image ||
				draw->copy.source.surface_id != draw->surface_id);
	case DRAW_COPY_BITS: return true;
	/* The other kinds are sent as the pixels that they make. */
	default: return false;
	}
}

static bool dirty_at(const struct display_queue *queue, uint32_t id, const struct rect *area)
{
	return id < DISPLAY_MAX_SURFACES && region_overlaps_rect(&queue->views[id].dirty, area);
}

/* Whether it would read pixels that the viewer lacks, or a surface that it does not have. */
static bool reads_dirty(const struct display_queue *queue, const struct draw *draw)
{
	struct rect area = display_queue_draw_area(draw);
	uint32_t source = draw->copy.source.surface_id;

	if (draw->type == DRAW_COPY_BITS) {
		struct rect from = rect_make(draw->copy_bits.from.x, draw->copy_bits.from.y,
			rect_width(&draw->box), rect_height(&draw->box));

		return dirty_at(queue, draw->surface_id, &from);
	}
	if (draw->type == DRAW_COPY && !draw->copy.source.image &&
		(source >= DISPLAY_MAX_SURFACES || !queue->views[source].created ||
			dirty_at(queue, source, &draw->copy.area)))
		return true;
	return draw_reads_surface(draw, draw->surface_id) &&
		dirty_at(queue, draw->surface_id, &area);
}

static bool hides(const struct draw *newer, const struct draw *older)
{
	struct rect area = display_queue_draw_area(older);

	return older->surface_id == newer->surface_id && rect_contains(&newer->box, &area) &&
		(!newer->clipped || region_contains_rect(&newer->clip, &area));
}

/* Drops what the drawing paints over before the viewer saw it: back to what reads the surface. */
static void drop_hidden(struct display_queue *queue, const struct draw *draw)
{
	struct queue_item *prev;
	int looks = HIDE_LOOK_BACK;

	for (struct queue_item *item = queue->last; item && looks-- > 0; item = prev) {
		prev = item->prev;
		if (item->kind != QUEUE_DRAW) {
			if (item->surface_id == draw->surface_id)
				return;
			continue;
		}
		if (hides(draw, item->draw)) {
			queue_unlink(queue, item);
			queue_item_free(item);
		} else if (draw_reads_surface(item->draw, draw->surface_id)) {
			return;
		}
	}
}

/* Pixels that are drawn anew need not be sent first. */
static void clean(struct display_queue *queue, const struct draw *draw)
{
	struct region *dirty = &queue->views[draw->surface_id].dirty;
	struct region drawn;

	if (region_empty(dirty))
		return;
	region_init_rect(&drawn, &draw->box);
	if (draw->clipped)
		region_intersect(&drawn, &draw->clip);
	region_subtract(dirty, &drawn);
	region_finish(&drawn);
}

void display_queue_draw(struct display_queue *queue, struct draw *draw)
{
	struct queue_view *view = &queue->views[draw->surface_id];
	struct rect bounds = surface_area(queue, draw->surface_id);
	struct rect area = display_queue_draw_area(draw);
	struct queue_item *item = NULL;

	area = rect_intersect(&area, &bounds);
	/* The first picture will show it. */
	if (rect_empty(&area) || !view->created || view->no_picture)
		return;
	if (is_exact(draw) && draw_memory(draw) <= DRAW_BYTES_MAX && !reads_dirty(queue, draw))
		item = calloc(1, sizeof(*item));
	if (!item) {
		mark_dirty(queue, draw->surface_id, &area);
		return;
	}
	if (draw_is_opaque(draw)) {
		drop_hidden(queue, draw);
		clean(queue, draw);
	}
	item->kind = QUEUE_DRAW;
	item->surface_id = draw->surface_id;
	item->draw = draw_ref(draw);
	item->bytes = draw_memory(draw);
	queue_push(queue, item);
	bound(queue);
}

void display_queue_dirty(struct display_queue *queue, uint32_t id, const struct rect *area)
{
	if (queue->views[id].created)
		mark_dirty(queue, id, area);
}

/* ---- surfaces ---- */

void display_queue_surface_create(struct display_queue *queue, uint32_t id)
{
	if (queue->views[id].created)
		push_destroy(queue, id);
	push_create(queue, id);
	/* What an off-screen surface holds before it is drawn on, nobody says; as
	 * libspice-server we leave it out. */
	if (id == DISPLAY_PRIMARY)
		mark_whole(queue, id);
	bound(queue);
}

void display_queue_surface_destroy(struct display_queue *queue, uint32_t id)
{
	if (!queue->views[id].created)
		return;
	push_destroy(queue, id);
	bound(queue);
}

void display_queue_init(struct display_queue *queue, const struct server_surface *surfaces)
{
	memset(queue, 0, sizeof(*queue));
	queue->surfaces = surfaces;
	for (uint32_t id = 0; id < DISPLAY_MAX_SURFACES; id++)
		region_init(&queue->views[id].dirty);
	collapse(queue);
}

void display_queue_finish(struct display_queue *queue)
{
	struct queue_item *item;

	while ((item = display_queue_pop(queue)))
		queue_item_free(item);
	for (uint32_t id = 0; id < DISPLAY_MAX_SURFACES; id++)
		region_finish(&queue->views[id].dirty);
}

/* ---- taking out ---- */

struct queue_item *display_queue_pop(struct display_queue *queue)
{
	struct queue_item *item = queue->first;

	if (!item)
		return NULL;
	queue_unlink(queue, item);
	if (item->kind == QUEUE_CREATE)
		queue->views[item->surface_id].sent = item->generation;
	else if (item->kind == QUEUE_DESTROY)
		queue->views[item->surface_id].sent = 0;
	return item;
}

bool display_queue_take_dirty(struct display_queue *queue, size_t max_bytes, size_t first_max_bytes,
	uint32_t *id, struct rect *area)
{
	struct queue_view *view = queue->views;
	size_t row_bytes;

	/* The primary surface, which is seen, has the lowest number. */
	while (view < queue->views + DISPLAY_MAX_SURFACES && region_empty(&view->dirty))
		view++;
	if (view == queue->views + DISPLAY_MAX_SURFACES)
		return false;
	*id = (uint32_t)(view - queue->views);
	*area = view->no_picture ? surface_area(queue, *id) : region_rect(&view->dirty, 0);
	row_bytes = (size_t)rect_width(area) * 4;
	if (!view->no_picture || row_bytes * (size_t)rect_height(area) > first_max_bytes) {
		size_t rows = MAX(max_bytes / row_bytes, (size_t)1);

		if ((size_t)rect_height(area) > rows)
			area->bottom = area->top + (int32_t)rows;
	}
	view->no_picture = false;
	region_subtract_rect(&view->dirty, area);
	return true;
}

/* SPDX-License-Identifier: MIT */
/* One viewer's queue. */
#include "channels/server/display_queue_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	ITEMS_MAX = 4096,
	BYTES_MAX = 16 << 20, /* of images that only the queue may keep alive */
	/* How far back one looks for what a drawing hides: the larger it is, the more there is to
	 * gain, and the more it costs anyway. */
	LOOKS_LEAST = 64,
	PIXELS_PER_LOOK = 64,
	/* Of a viewer that lags that much, commands are compared with the picture that they
	 * make: each so many of them, within a place of that grid. */
	LAGGING_ITEMS = 64,
	WEIGH_EACH = 16,
	WEIGHED_MAX = 512,
	PLACE_PIXELS = 64,
	COMMAND_BYTES = 100, /* on the wire, without pictures */
	PACKED = 4, /* how much smaller pictures get, about */
	CUT_RECTS_MAX = 32, /* a drawing is not cut into more pieces */
	OWED_RECTS_MAX = 64,
};

/* ---- the list ---- */

static void count_touched(struct display_queue *queue, const struct queue_item *item, int by)
{
	struct draw_read reads[DRAW_READS_MAX];
	uint32_t count;

	if (item->kind != QUEUE_DRAW)
		return;
	count = display_draw_reads(item->draw, reads);
	queue->views[item->surface_id].pending += (uint32_t)by;
	for (uint32_t i = 0; i < count; i++)
		queue->views[reads[i].surface_id].pending += (uint32_t)by;
}

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
	count_touched(queue, item, 1);
}

void queue_unlink(struct display_queue *queue, struct queue_item *item)
{
	struct queue_view *view = &queue->views[item->surface_id];

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
	count_touched(queue, item, -1);
	if (view->create == item)
		view->create = NULL;
	for (struct queue_item **at = &view->pixels; *at; at = &(*at)->next_pixels) {
		if (*at == item) {
			*at = item->next_pixels;
			break;
		}
	}
}

void queue_drop(struct display_queue *queue, struct queue_item *item)
{
	queue_unlink(queue, item);
	queue_item_free(item);
}

void queue_item_free(struct queue_item *item)
{
	if (!item)
		return;
	draw_unref(item->draw);
	region_finish(&item->region);
	free(item);
}

struct queue_item *queue_item_create(enum queue_kind kind, uint32_t surface_id)
{
	struct queue_item *item = calloc(1, sizeof(*item));

	if (!item)
		return NULL;
	item->kind = kind;
	item->surface_id = surface_id;
	region_init(&item->region);
	return item;
}

/* ---- regions ---- */

static void region_shifted(struct region *out, const struct region *in, int32_t dx, int32_t dy)
{
	region_init(out);
	region_copy(out, in);
	region_translate(out, dx, dy);
}

uint64_t queue_rect_pixels(const struct rect *r)
{
	return rect_empty(r) ? 0 : (uint64_t)rect_width(r) * (uint64_t)rect_height(r);
}

uint64_t queue_region_pixels(const struct region *region)
{
	uint64_t pixels = 0;

	for (uint32_t i = 0; i < region_count(region); i++) {
		struct rect r = region_rect(region, i);

		pixels += queue_rect_pixels(&r);
	}
	return pixels;
}

static void region_limit(struct region *region, uint32_t count)
{
	struct rect extents = region_extents(region);

	if (region_count(region) > count)
		region_add_rect(region, &extents);
}

/* ---- what hides what ---- */

/* Takes from `free` what the item reads of the surface beyond what lies under its own pixels. */
static void keep_what_is_read(
	const struct queue_item *item, uint32_t surface_id, struct region *free_region)
{
	struct draw_read reads[DRAW_READS_MAX];
	uint32_t count = display_draw_reads(item->draw, reads);

	for (uint32_t i = 0; i < count; i++) {
		struct region read;

		if (reads[i].surface_id != surface_id)
			continue;
		if (reads[i].anywhere) {
			region_clear(free_region);
			return;
		}
		region_shifted(&read, &item->region, reads[i].shift.x, reads[i].shift.y);
		region_subtract(free_region, &read);
		region_finish(&read);
	}
}

/* Answers whether anything is left of the item. */
static bool cut(struct display_queue *queue, struct queue_item *item, struct region *free_region)
{
	struct rect extents = region_extents(&item->region);
	struct region left;
	bool gone;

	if (!region_overlaps_rect(free_region, &extents))
		return true;
	region_init(&left);
	region_copy(&left, &item->region);
	region_subtract(&left, free_region);
	gone = region_empty(&left);
	if (gone) {
		queue_drop(queue, item);
	} else if (region_count(&left) <= CUT_RECTS_MAX ||
		region_count(&left) <= region_count(&item->region)) {
		region_copy(&item->region, &left);
	} else {
		/* Too many pieces: it stays as it is, and what it touches is not free. */
		region_subtract(free_region, &item->region);
	}
	region_finish(&left);
	return !gone;
}

bool queue_hide(struct display_queue *queue, uint32_t id, struct region *free_region)
{
	const struct queue_view *view = &queue->views[id];
	struct queue_item *prev;
	uint64_t looks = LOOKS_LEAST + queue_region_pixels(free_region) / PIXELS_PER_LOOK;

	for (struct queue_item *item = queue->last; item; item = prev) {
		bool own = item->surface_id == id;

		if ((!view->pending && !view->create) || region_empty(free_region))
			return true;
		if (looks-- == 0)
			return false;
		prev = item->prev;
		if (item->kind != QUEUE_DRAW) {
			if (own && item->kind != QUEUE_PIXELS)
				return false;
			continue;
		}
		if (!own || cut(queue, item, free_region))
			keep_what_is_read(item, id, free_region);
	}
	return true;
}

void queue_clean(struct display_queue *queue, uint32_t id, const struct region *region)
{
	struct queue_view *view = &queue->views[id];
	struct queue_item *next;

	if (region_empty(&view->owed))
		return;
	region_subtract(&view->owed, region);
	region_subtract(&view->dirty, region);
	region_subtract(&view->refine, region);
	for (struct queue_item *item = view->pixels; item; item = next) {
		next = item->next_pixels;
		region_subtract(&item->region, region);
		if (region_empty(&item->region))
			queue_drop(queue, item);
	}
}

/* ---- pixels that are owed ---- */

/* Owed once all that is queued now is sent. */
static void owe_later(struct display_queue *queue, uint32_t id, const struct region *region)
{
	struct queue_view *view = &queue->views[id];
	struct queue_item *item = queue->last;

	if (region_empty(region))
		return;
	if (!item || item->kind != QUEUE_PIXELS || item->surface_id != id) {
		item = queue_item_create(QUEUE_PIXELS, id);
		if (!item) {
			/* Too early is better than never. */
			region_add(&view->dirty, region);
			queue->may_be_dirty = true;
			return;
		}
		item->next_pixels = view->pixels;
		view->pixels = item;
		queue_push(queue, item);
	}
	region_add(&item->region, region);
}

void queue_owe(struct display_queue *queue, uint32_t id, const struct region *region)
{
	struct queue_view *view = &queue->views[id];
	struct region fresh, now;

	region_subtract(&view->refine, region);
	region_subtract(&view->stale, region);
	region_init(&fresh);
	region_copy(&fresh, region);
	region_add(&fresh, &view->owed);
	region_limit(&fresh, OWED_RECTS_MAX);
	region_subtract(&fresh, &view->owed);
	if (!region_empty(&fresh)) {
		region_init(&now);
		region_copy(&now, &fresh);
		if (!queue_hide(queue, id, &now))
			region_clear(&now);
		region_add(&view->owed, &fresh);
		region_add(&view->dirty, &now);
		queue->may_be_dirty = true;
		region_subtract(&fresh, &now);
		owe_later(queue, id, &fresh);
		region_finish(&now);
	}
	region_finish(&fresh);
}

static void owe_whole(struct display_queue *queue, uint32_t id)
{
	struct rect bounds = surface_bounds(queue->surfaces[id].surface);
	struct region all;

	region_init_rect(&all, &bounds);
	queue_owe(queue, id, &all);
	region_finish(&all);
}

void display_queue_owe(struct display_queue *queue, uint32_t id, const struct region *region)
{
	if (queue->views[id].created)
		queue_owe(queue, id, region);
}

/* ---- falling behind ---- */

static bool viewer_has(const struct display_queue *queue, uint32_t id)
{
	const struct surface *surface = queue->surfaces[id].surface;

	return surface && (id == DISPLAY_PRIMARY || !queue->abilities.weak) &&
		display_draw_format_known(surface->format, &queue->abilities);
}

static void note_used(struct display_queue *queue, uint32_t id)
{
	uint32_t at = queue->used_count;

	if (queue->views[id].used)
		return;
	queue->views[id].used = true;
	for (queue->used_count++; at > 0 && queue->used[at - 1] > id; at--)
		queue->used[at] = queue->used[at - 1];
	queue->used[at] = (uint16_t)id;
}

static void push_create(struct display_queue *queue, uint32_t id)
{
	const struct server_surface *slot = &queue->surfaces[id];
	struct queue_item *item = queue_item_create(QUEUE_CREATE, id);

	/* Without memory the viewer lacks the surface; what draws on it is left out then. */
	if (!item)
		return;
	item->generation = slot->generation;
	item->format = slot->surface->format;
	item->width = slot->surface->width;
	item->height = slot->surface->height;
	queue_push(queue, item);
	queue->views[id].create = item;
	queue->views[id].created = true;
	note_used(queue, id);
}

static void push_destroy(struct display_queue *queue, uint32_t id)
{
	struct queue_item *item = queue_item_create(QUEUE_DESTROY, id);

	if (item)
		queue_push(queue, item);
}

static void view_clear(struct queue_view *view)
{
	view->created = false;
	view->no_picture = false;
	region_clear(&view->owed);
	region_clear(&view->dirty);
	region_clear(&view->refine);
	region_clear(&view->stale);
	region_clear(&view->recent[0]);
	region_clear(&view->recent[1]);
}

/* Gives up on sending drawings one by one: what they change is owed, and surfaces are made what
 * they are now. */
static void collapse(struct display_queue *queue)
{
	while (queue->first) {
		struct queue_item *item = queue->first;
		struct region *owed = &queue->views[item->surface_id].owed;

		if (item->kind == QUEUE_DRAW)
			region_add(owed, &item->region);
		region_limit(owed, 4 * OWED_RECTS_MAX);
		queue_drop(queue, item);
	}
	for (uint32_t id = 0; id < DISPLAY_MAX_SURFACES; id++) {
		struct queue_view *view = &queue->views[id];
		const struct server_surface *now = &queue->surfaces[id];

		if (view->sent != 0 && view->sent == now->generation) {
			region_limit(&view->owed, OWED_RECTS_MAX);
			region_subtract(&view->stale, &view->owed);
			region_copy(&view->dirty, &view->owed);
			queue->may_be_dirty = true;
			continue;
		}
		if (view->created || view->sent)
			view_clear(view);
		if (view->sent)
			push_destroy(queue, id);
		if (viewer_has(queue, id)) {
			push_create(queue, id);
			owe_whole(queue, id);
			view->no_picture = true;
		}
	}
}

static void bound(struct display_queue *queue)
{
	if (queue->items > ITEMS_MAX || queue->bytes > BYTES_MAX)
		collapse(queue);
}

/* ---- drawings ---- */

static void stamp(struct queue_view *view, const struct region *region)
{
	if (!region_empty(&view->stale)) {
		region_add(&view->recent[0], region);
		region_intersect(&view->recent[0], &view->stale);
	}
}

void queue_make_stale(struct display_queue *queue, uint32_t id, const struct region *region)
{
	struct queue_view *view = &queue->views[id];
	struct rect bounds;

	/* Drawings may still be queued for a surface that is gone, or was replaced. */
	if (region_empty(region) || !view->created)
		return;
	bounds = surface_bounds(queue->surfaces[id].surface);
	queue->may_be_stale = true;
	region_add(&view->stale, region);
	region_intersect_rect(&view->stale, &bounds);
	region_limit(&view->stale, OWED_RECTS_MAX);
	stamp(view, region);
}

void queue_add_made_of(const struct display_queue *queue, const struct draw *draw,
	const struct region *region, enum queue_mark mark, struct region *out)
{
	struct draw_read reads[DRAW_READS_MAX];
	uint32_t count = display_draw_reads(draw, reads);

	for (uint32_t i = 0; i < count; i++) {
		const struct queue_view *view = &queue->views[reads[i].surface_id];
		const struct region *marked = mark == MARK_OWED ? &view->owed : &view->stale;
		struct region part;

		if (region_empty(marked))
			continue;
		if (reads[i].anywhere) {
			region_add(out, region);
			return;
		}
		region_shifted(&part, marked, -reads[i].shift.x, -reads[i].shift.y);
		region_intersect(&part, region);
		region_add(out, &part);
		region_finish(&part);
	}
}

static bool reads_missing(const struct display_queue *queue, const struct draw *draw)
{
	struct draw_read reads[DRAW_READS_MAX];
	uint32_t count = display_draw_reads(draw, reads);

	for (uint32_t i = 0; i < count; i++)
		if (reads[i].surface_id >= DISPLAY_MAX_SURFACES ||
			!queue->views[reads[i].surface_id].created)
			return true;
	return false;
}

/* Whatever was there, the item (not queued yet) replaces it. */
static void replace(struct display_queue *queue, const struct queue_item *item)
{
	uint32_t id = item->surface_id;
	struct region gone;

	region_init(&gone);
	region_copy(&gone, &item->region);
	keep_what_is_read(item, id, &gone);
	queue_hide(queue, id, &gone);
	region_finish(&gone);
	queue_clean(queue, id, &item->region);
}

/* Takes the item, which has the drawing's region. */
static void queue_draw(struct display_queue *queue, struct queue_item *item)
{
	struct queue_view *view = &queue->views[item->surface_id];
	bool covers = display_draw_covers(item->draw);
	struct region owed, stale;

	region_init(&owed);
	region_init(&stale);
	queue_add_made_of(queue, item->draw, &item->region, MARK_OWED, &owed);
	region_subtract(&item->region, &owed);
	/* Many small holes in what is owed would cost more than they save. */
	if (!covers || region_count(&view->owed) > OWED_RECTS_MAX)
		region_subtract(&item->region, &view->owed);
	if (covers)
		replace(queue, item);
	queue_add_made_of(queue, item->draw, &item->region, MARK_STALE, &stale);
	if (covers)
		region_subtract(&view->stale, &item->region);
	queue_make_stale(queue, item->surface_id, &stale);
	region_finish(&stale);

	if (region_empty(&item->region)) {
		queue_item_free(item);
		item = NULL;
	} else {
		queue_push(queue, item);
	}
	/* Behind it, since it may read what is overwritten then. */
	if (!region_empty(&owed))
		queue_owe(queue, (uint32_t)(view - queue->views), &owed);
	region_finish(&owed);
}

/* The bytes on the wire, about. */
static uint64_t command_bytes(const struct queue_item *item)
{
	struct image *images[DRAW_IMAGES_MAX];

	if (draw_images(item->draw, images))
		return COMMAND_BYTES + queue_region_pixels(&item->region) * 4 / PACKED;
	return COMMAND_BYTES + item->bytes;
}

/* Around the last drawing: when what is to be drawn there costs more than its picture, it is
 * owed. */
static void weigh(struct display_queue *queue, uint32_t id)
{
	struct rect bounds = surface_bounds(queue->surfaces[id].surface);
	struct rect place = region_extents(&queue->last->region);
	struct queue_item *item = queue->last;
	uint32_t looks = WEIGHED_MAX;
	struct region region;
	uint64_t bytes = 0;

	place = (struct rect){ ALIGN_DOWN(place.left, PLACE_PIXELS),
		ALIGN_DOWN(place.top, PLACE_PIXELS), ALIGN_UP(place.right, PLACE_PIXELS),
		ALIGN_UP(place.bottom, PLACE_PIXELS) };
	place = rect_intersect(&place, &bounds);
	for (; item && looks-- > 0; item = item->prev) {
		struct rect extents = region_extents(&item->region);

		if (item->kind == QUEUE_DRAW && item->surface_id == id &&
			rect_contains(&place, &extents))
			bytes += command_bytes(item);
	}
	if (bytes <= queue_rect_pixels(&place) * 4 / PACKED)
		return;
	region_init_rect(&region, &place);
	queue_owe(queue, id, &region);
	region_finish(&region);
}

void display_queue_draw(struct display_queue *queue, struct draw *draw)
{
	uint32_t id = draw->surface_id;
	struct queue_view *view = &queue->views[id];
	struct queue_item *item;
	struct region region;
	struct rect part;

	/* The first picture will show it. */
	if (!view->created || view->no_picture)
		return;
	region_init(&region);
	display_draw_region(draw, queue->surfaces[id].surface, &region);
	stamp(view, &region);
	item = NULL;
	if (!region_empty(&region) && draw_memory(draw) <= QUEUE_DRAW_BYTES_MAX &&
		(draw_memory(draw) <= queue->whole_bytes || queue_parted_source(draw, &part)) &&
		display_draw_is_exact(draw, queue->surfaces, &queue->abilities) &&
		!reads_missing(queue, draw))
		item = queue_item_create(QUEUE_DRAW, id);
	if (item) {
		item->draw = draw_ref(draw);
		item->bytes = draw_memory(draw);
		region_copy(&item->region, &region);
		queue_draw(queue, item);
		if (queue->items >= LAGGING_ITEMS && queue->last->surface_id == id &&
			++queue->unweighed >= WEIGH_EACH) {
			queue->unweighed = 0;
			weigh(queue, id);
		}
	} else if (!region_empty(&region)) {
		queue_owe(queue, id, &region);
	}
	region_finish(&region);
	bound(queue);
}

bool queue_init_area(struct region *region, const struct display_queue *queue, uint32_t id,
	const struct rect *area)
{
	struct rect bounds = { 0 };

	if (queue->surfaces[id].surface)
		bounds = surface_bounds(queue->surfaces[id].surface);
	bounds = rect_intersect(&bounds, area);
	region_init_rect(region, &bounds);
	return queue->views[id].created && !rect_empty(&bounds);
}

void display_queue_dirty(struct display_queue *queue, uint32_t id, const struct rect *area)
{
	struct region region;

	if (queue_init_area(&region, queue, id, area)) {
		stamp(&queue->views[id], &region);
		queue_owe(queue, id, &region);
		bound(queue);
	}
	region_finish(&region);
}

/* ---- surfaces ---- */

/* What was to be drawn on it, and nobody reads, is not needed. */
static void forget(struct display_queue *queue, uint32_t id)
{
	struct queue_view *view = &queue->views[id];
	struct rect all = { 0, 0, SURFACE_MAX_SIDE, SURFACE_MAX_SIDE };
	struct region region;

	while (view->pixels)
		queue_drop(queue, view->pixels);
	region_init_rect(&region, &all);
	queue_hide(queue, id, &region);
	region_finish(&region);
	view_clear(view);
	if (view->create && !view->pending)
		queue_drop(queue, view->create);
	else
		push_destroy(queue, id);
}

void display_queue_surface_create(struct display_queue *queue, uint32_t id)
{
	if (queue->views[id].created)
		forget(queue, id);
	if (viewer_has(queue, id)) {
		push_create(queue, id);
		/* What an off-screen surface holds before it is drawn on, nobody says; as
		 * libspice-server we leave it out. */
		if (id == DISPLAY_PRIMARY)
			owe_whole(queue, id);
	}
	bound(queue);
}

void display_queue_surface_destroy(struct display_queue *queue, uint32_t id)
{
	if (!queue->views[id].created)
		return;
	forget(queue, id);
	bound(queue);
}

int display_queue_init(struct display_queue *queue, const struct server_surface *surfaces,
	const struct draw_abilities *abilities)
{
	memset(queue, 0, sizeof(*queue));
	queue->surfaces = surfaces;
	queue->abilities = *abilities;
	queue->whole_bytes = QUEUE_DRAW_BYTES_MAX;
	queue->views = calloc(DISPLAY_MAX_SURFACES, sizeof(*queue->views));
	if (!queue->views)
		return -ENOMEM;
	for (uint32_t id = 0; id < DISPLAY_MAX_SURFACES; id++) {
		struct queue_view *view = &queue->views[id];

		region_init(&view->owed);
		region_init(&view->dirty);
		region_init(&view->refine);
		region_init(&view->stale);
		region_init(&view->recent[0]);
		region_init(&view->recent[1]);
	}
	collapse(queue);
	return 0;
}

void display_queue_finish(struct display_queue *queue)
{
	while (queue->views && queue->first)
		queue_drop(queue, queue->first);
	for (uint32_t id = 0; queue->views && id < DISPLAY_MAX_SURFACES; id++) {
		struct queue_view *view = &queue->views[id];

		region_finish(&view->owed);
		region_finish(&view->dirty);
		region_finish(&view->refine);
		region_finish(&view->stale);
		region_finish(&view->recent[0]);
		region_finish(&view->recent[1]);
	}
	free(queue->views);
	queue->views = NULL;
}

/* SPDX-License-Identifier: MIT */
/* What leaves a viewer's queue: whole drawings or parts of them, and pixels. */
#include "channels/server/display_queue_internal.h"

/* The rows of a rectangle that come first, at four bytes a pixel. */
static void limit_rows(struct rect *area, size_t max_bytes)
{
	size_t rows = MAX(max_bytes / ((size_t)rect_width(area) * 4), (size_t)1);

	if ((size_t)rect_height(area) > rows)
		area->bottom = area->top + (int32_t)rows;
}

/* A pattern would go with each part. */
const struct image *queue_parted_source(const struct draw *draw, struct rect *area)
{
	if (!display_draw_can_crop(draw))
		return NULL;
	switch (draw->type) {
	case DRAW_COPY: *area = draw->copy.area; return draw->copy.source.image;
	case DRAW_OPAQUE:
		*area = draw->opaque.area;
		return draw->opaque.brush.type == BRUSH_PATTERN ? NULL : draw->opaque.source.image;
	case DRAW_ROP3:
		*area = draw->rop3.area;
		return draw->rop3.brush.type == BRUSH_PATTERN ? NULL : draw->rop3.source.image;
	case DRAW_TRANSPARENT:
		*area = draw->transparent.area;
		return draw->transparent.source.image;
	case DRAW_ALPHA_BLEND:
		*area = draw->alpha_blend.area;
		return draw->alpha_blend.source.image;
	default: return NULL;
	}
}

/* Worth sending in parts: a large picture, or one of which little is seen. Of those that viewers are
 * to keep, *frame is the first row's. */
static bool has_parts(
	const struct queue_item *item, const struct queue_parts *parts, struct rect *frame)
{
	struct rect extents = region_extents(&item->region), area;
	const struct image *image = queue_parted_source(item->draw, &area);
	uint64_t rows;
	int32_t top;

	if (!image)
		return false;
	if (!(image->flags & IMAGE_CACHE_ME))
		return queue_rect_pixels(&extents) * 4 > parts->max_bytes ||
			queue_rect_pixels(&extents) > 2 * queue_region_pixels(&item->region);
	rows = parts->max_bytes / ((uint64_t)image->width * 4);
	if (!parts->kept_too || rows >= image->height ||
		(parts->has && parts->has(parts->opaque, item, image)))
		return false;
	while (rows & (rows - 1))
		rows &= rows - 1;
	rows = MAX(rows, (uint64_t)1);
	top = extents.top - item->draw->box.top + area.top;
	top -= top % (int32_t)rows;
	*frame = (struct rect){ 0, top, (int32_t)image->width,
		MIN(top + (int32_t)rows, (int32_t)image->height) };
	return true;
}

/* The rows of a drawing that show a frame of its picture. */
static void limit_to_frame(struct rect *rows, const struct draw *draw, const struct rect *frame)
{
	struct rect area;

	queue_parted_source(draw, &area);
	rows->bottom = MIN(rows->bottom, frame->bottom - area.top + draw->box.top);
}

/* Takes the upper part of the first item; NULL: it cannot be parted. */
static struct queue_item *pop_part(struct display_queue *queue, const struct queue_parts *parts)
{
	struct queue_item *first = queue->first, *part;
	struct rect area = region_extents(&first->region), frame = { 0 };

	if (!has_parts(first, parts, &frame) ||
		!(part = queue_item_create(QUEUE_DRAW, first->surface_id)))
		return NULL;
	part->frame = frame;
	if (rect_empty(&frame))
		limit_rows(&area, parts->max_bytes);
	else
		limit_to_frame(&area, first->draw, &frame);
	region_copy(&part->region, &first->region);
	region_intersect_rect(&part->region, &area);
	area = region_extents(&part->region);
	if (queue_rect_pixels(&area) > 2 * queue_region_pixels(&part->region)) {
		area = region_rect(&part->region, 0);
		region_intersect_rect(&part->region, &area);
	}
	part->draw = draw_ref(first->draw);
	region_subtract(&first->region, &part->region);
	if (region_empty(&first->region))
		queue_drop(queue, first);
	return part;
}

struct queue_item *display_queue_pop(struct display_queue *queue, const struct queue_parts *parts)
{
	struct queue_item *item, *part;

	while ((item = queue->first)) {
		struct queue_view *view = &queue->views[item->surface_id];

		if (item->kind == QUEUE_PIXELS) {
			region_add(&view->dirty, &item->region);
			queue->may_be_dirty = true;
			queue_drop(queue, item);
			continue;
		}
		part = item->kind == QUEUE_DRAW ? pop_part(queue, parts) : NULL;
		if (part)
			return part;
		queue_unlink(queue, item);
		if (item->kind == QUEUE_CREATE) {
			view->sent = item->generation;
			view->sent_format = item->format;
		} else if (item->kind == QUEUE_DESTROY) {
			view->sent = 0;
		}
		break;
	}
	return item;
}

/* The next rectangle of what is dirty. With nothing queued for the surface, others of its pixels
 * may go along. */
static struct rect next_rect(const struct queue_view *view, const struct region *dirty)
{
	struct rect extents = region_extents(dirty);

	if (!view->pending && queue_rect_pixels(&extents) <= 2 * queue_region_pixels(dirty))
		return extents;
	return region_rect(dirty, 0);
}

static bool take_from(struct display_queue *queue, struct queue_view *view,
	const struct region *dirty, size_t max_bytes, size_t first_max_bytes, struct rect *area)
{
	uint32_t id = (uint32_t)(view - queue->views);
	struct rect bounds = surface_bounds(queue->surfaces[id].surface);
	struct region taken;

	if (region_empty(dirty))
		return false;
	*area = view->no_picture ? bounds : next_rect(view, dirty);
	if (!view->no_picture || queue_rect_pixels(area) * 4 > first_max_bytes)
		limit_rows(area, max_bytes);
	view->no_picture = false;
	region_init_rect(&taken, area);
	queue_clean(queue, id, &taken);
	if (!view->pending)
		region_subtract(&view->stale, &taken);
	region_finish(&taken);
	return true;
}

bool display_queue_take_dirty(struct display_queue *queue, size_t max_bytes, size_t first_max_bytes,
	bool refine, uint32_t *id, struct rect *area, bool *refined)
{
	bool found = false, any = false;

	if (!queue->may_be_dirty)
		return false;
	/* The primary surface, which is seen, has the lowest number. */
	for (uint32_t pass = 0; !found && pass <= refine; pass++) {
		for (uint32_t i = 0; !found && i < queue->used_count; i++) {
			struct queue_view *view = &queue->views[queue->used[i]];
			struct region dirty;

			if (region_empty(&view->dirty))
				continue;
			any = true;
			region_init(&dirty);
			region_copy(&dirty, &view->dirty);
			if (pass == 0)
				region_subtract(&dirty, &view->refine);
			found = take_from(queue, view, &dirty, max_bytes, first_max_bytes, area);
			region_finish(&dirty);
			*id = queue->used[i];
			*refined = pass > 0;
		}
	}
	queue->may_be_dirty = any;
	return found;
}

uint32_t display_queue_backlog(const struct display_queue *queue)
{
	uint32_t backlog = queue->items;

	if (!queue->may_be_dirty && !queue->may_be_stale)
		return backlog;
	for (uint32_t i = 0; i < queue->used_count; i++) {
		const struct queue_view *view = &queue->views[queue->used[i]];

		backlog += region_empty(&view->dirty) ? 0 : SERVER_STATS_OWED;
		backlog += !region_empty(&view->stale);
	}
	return backlog;
}

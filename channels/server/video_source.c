/* SPDX-License-Identifier: MIT */
/* What off-screen surfaces hold for videos. */
#include "channels/server/video_source.h"

#include "core/surface.h"
#include "core/util.h"

enum { RECTS_MAX = 32 };

void video_sources_init(struct video_sources *sources)
{
	*sources = (struct video_sources){ 0 };
	for (uint32_t i = 0; i < VIDEO_SOURCES_MAX; i++)
		region_init(&sources->all[i].fresh);
}

void video_sources_finish(struct video_sources *sources)
{
	for (uint32_t i = 0; i < VIDEO_SOURCES_MAX; i++)
		region_finish(&sources->all[i].fresh);
}

static struct video_source *find(struct video_sources *sources, uint32_t surface_id)
{
	for (uint32_t i = 0; surface_id && i < VIDEO_SOURCES_MAX; i++)
		if (sources->all[i].surface_id == surface_id)
			return &sources->all[i];
	return NULL;
}

static void forget(struct video_source *source)
{
	region_clear(&source->fresh);
	source->surface_id = 0;
	source->used_ns = source->fed_ns = source->video = 0;
}

void video_sources_forget(struct video_sources *sources, uint32_t surface_id)
{
	struct video_source *source = find(sources, surface_id);

	if (source)
		forget(source);
}

/* In the place of the one that was drawn on least lately. */
static struct video_source *add(struct video_sources *sources, uint32_t surface_id)
{
	struct video_source *oldest = &sources->all[0];

	for (uint32_t i = 1; i < VIDEO_SOURCES_MAX; i++)
		if (sources->all[i].used_ns < oldest->used_ns)
			oldest = &sources->all[i];
	forget(oldest);
	oldest->surface_id = surface_id;
	return oldest;
}

uint64_t video_sources_drawn(struct video_sources *sources, uint32_t surface_id,
	const struct region *region, uint64_t since_ns, uint64_t now_ns)
{
	struct video_source *source = find(sources, surface_id);
	struct rect extents = region_extents(region);

	if (!source)
		source = add(sources, surface_id);
	source->used_ns = now_ns;
	region_add(&source->fresh, region);
	if (region_count(&source->fresh) > RECTS_MAX) {
		struct rect all = region_extents(&source->fresh);

		region_add_rect(&source->fresh, &all);
	}
	if (source->fed_ns < since_ns || !rect_contains(&source->feeds, &extents))
		return 0;
	return source->video;
}

static bool is_picture(const struct image *image)
{
	return image && image_format_palette(image->format) == 0 && image->format != IMAGE_A8;
}

bool video_source_is_picture(const struct draw *draw)
{
	switch (draw->type) {
	case DRAW_COPY: return is_picture(draw->copy.source.image);
	case DRAW_OPAQUE: return is_picture(draw->opaque.source.image);
	case DRAW_ALPHA_BLEND: return is_picture(draw->alpha_blend.source.image);
	case DRAW_COMPOSITE: return is_picture(draw->composite.source.image);
	default: return false;
	}
}

/* What the drawing reads, and where that begins; NULL: nothing, or not pixel for pixel. */
static const struct draw_source *picture_source(const struct draw *draw, struct rect *area)
{
	const struct draw_sampling *sampling = &draw->composite.source_sampling;

	switch (draw->type) {
	case DRAW_COPY: *area = draw->copy.area; return &draw->copy.source;
	case DRAW_OPAQUE: *area = draw->opaque.area; return &draw->opaque.source;
	case DRAW_ALPHA_BLEND: *area = draw->alpha_blend.area; return &draw->alpha_blend.source;
	case DRAW_COMPOSITE:
		*area = draw->box;
		area->left = draw->composite.source_origin.x;
		area->top = draw->composite.source_origin.y;
		if (sampling->transformed || sampling->repeat != PIXMAN_REPEAT_NONE ||
			area->left < 0 || area->left > SURFACE_MAX_SIDE || area->top < 0 ||
			area->top > SURFACE_MAX_SIDE)
			return NULL;
		area->right = area->left + rect_width(&draw->box);
		area->bottom = area->top + rect_height(&draw->box);
		return &draw->composite.source;
	default: return NULL;
	}
}

bool video_source_of(const struct draw *draw, uint32_t *surface_id, struct point *shift)
{
	const struct rect all = { 0, 0, SURFACE_MAX_SIDE, SURFACE_MAX_SIDE };
	const struct draw_source *source;
	struct rect area = { 0 };

	if (!rect_contains(&all, &draw->box))
		return false;
	source = picture_source(draw, &area);
	if (!source || source->image || source->surface_id == draw->surface_id ||
		!rect_contains(&all, &area) || rect_width(&area) != rect_width(&draw->box) ||
		rect_height(&area) != rect_height(&draw->box))
		return false;
	*surface_id = source->surface_id;
	*shift = (struct point){ area.left - draw->box.left, area.top - draw->box.top };
	return true;
}

static uint64_t region_pixels(const struct region *region)
{
	uint64_t pixels = 0;

	for (uint32_t i = 0; i < region_count(region); i++) {
		struct rect r = region_rect(region, i);

		pixels += (uint64_t)rect_width(&r) * (uint64_t)rect_height(&r);
	}
	return pixels;
}

/* Whether all that is read is what a video comes from, to where that is seen. */
static bool is_fed(struct video_source *source, const struct region *read,
	const struct point *shift, uint64_t since_ns)
{
	struct rect extents = region_extents(read);

	if (!source->video || source->fed_ns < since_ns ||
		!region_overlaps_rect(read, &source->feeds))
		return false;
	if (rect_contains(&source->feeds, &extents) && source->shift.x == shift->x &&
		source->shift.y == shift->y)
		return true;
	source->video = 0;
	return false;
}

enum video_copy video_sources_copied(struct video_sources *sources, uint32_t surface_id,
	const struct region *region, const struct point *shift, uint64_t since_ns, uint64_t now_ns,
	uint64_t *video)
{
	struct video_source *source = find(sources, surface_id);
	enum video_copy copy = VIDEO_COPY_OTHER;
	struct region read, fresh;
	bool fed;

	if (!source || region_empty(region))
		return VIDEO_COPY_OTHER;
	region_init(&read);
	region_init(&fresh);
	region_copy(&read, region);
	region_translate(&read, shift->x, shift->y);
	region_copy(&fresh, &source->fresh);
	region_intersect(&fresh, &read);
	fed = is_fed(source, &read, shift, since_ns);
	*video = source->video;
	if (!region_empty(&fresh) && (fed || region_pixels(&fresh) >= region_pixels(&read) * 3 / 4))
		copy = VIDEO_COPY_PICTURE;
	else if (fed)
		copy = VIDEO_COPY_AGAIN;
	region_subtract(&source->fresh, &read);
	source->used_ns = now_ns;
	region_finish(&fresh);
	region_finish(&read);
	return copy;
}

void video_sources_feed(struct video_sources *sources, uint32_t surface_id, uint64_t video,
	const struct rect *area, const struct point *shift, uint64_t now_ns)
{
	struct video_source *source = find(sources, surface_id);

	if (!source)
		return;
	source->video = video;
	source->shift = *shift;
	source->fed_ns = now_ns;
	source->feeds = (struct rect){ area->left + shift->x, area->top + shift->y,
		area->right + shift->x, area->bottom + shift->y };
}

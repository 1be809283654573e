/* SPDX-License-Identifier: MIT */
/* Pictures by id, with what is lossy of them, and palettes by id. */
#include "channels/client/client_cache.h"

#include <errno.h>
#include <stdlib.h>

#include "core/util.h"

/* ---- pictures ---- */

static struct image_cache_item **cache_find(struct image_cache *cache, uint64_t id)
{
	struct image_cache_item **at = &cache->buckets[(id ^ id >> 32) % IMAGE_CACHE_BUCKETS];

	while (*at && (*at)->id != id)
		at = &(*at)->next;
	return at;
}

static uint64_t image_pixels(const struct image *image)
{
	return (uint64_t)image->width * image->height;
}

static void cache_drop(struct image_cache *cache, struct image_cache_item **at)
{
	struct image_cache_item *item = *at;

	*at = item->next;
	cache->pixels -= image_pixels(item->image);
	cache->items--;
	image_unref(item->image);
	free(item);
}

int image_cache_put(struct image_cache *cache, uint64_t id, struct image *image, bool lossy)
{
	struct image_cache_item *item;

	image_cache_remove(cache, id);
	/* The server's count may run ahead of ours by what it removes next. */
	if (cache->pixels + image_pixels(image) > 2 * cache->limit_pixels ||
		cache->items == IMAGE_CACHE_ITEMS_MAX)
		return -EPROTO;
	item = malloc(sizeof(*item));
	if (!item)
		return -ENOMEM;
	*item = (struct image_cache_item){ .id = id, .image = image_ref(image), .lossy = lossy };
	*cache_find(cache, id) = item; /* where its bucket ends */
	cache->pixels += image_pixels(image);
	cache->items++;
	return 0;
}

struct image *image_cache_get(const struct image_cache *cache, uint64_t id, bool lossless)
{
	struct image_cache_item *item = cache->buckets[(id ^ id >> 32) % IMAGE_CACHE_BUCKETS];

	while (item && item->id != id)
		item = item->next;
	return item && !(lossless && item->lossy) ? item->image : NULL;
}

void image_cache_remove(struct image_cache *cache, uint64_t id)
{
	struct image_cache_item **at = cache_find(cache, id);

	if (*at)
		cache_drop(cache, at);
}

void image_cache_clear(struct image_cache *cache)
{
	for (uint32_t i = 0; i < IMAGE_CACHE_BUCKETS; i++)
		while (cache->buckets[i])
			cache_drop(cache, &cache->buckets[i]);
}

/* ---- palettes ---- */

static struct palette *palette_find(const struct palette_cache *cache, uint64_t id)
{
	for (uint32_t i = 0; cache->items && i < PALETTE_CACHE_MAX; i++)
		if (cache->items[i].count && cache->items[i].id == id)
			return &cache->items[i];
	return NULL;
}

const struct palette *palette_cache_get(const struct palette_cache *cache, uint64_t id)
{
	return palette_find(cache, id);
}

void palette_cache_remove(struct palette_cache *cache, uint64_t id)
{
	struct palette *palette = palette_find(cache, id);

	if (palette)
		palette->count = 0;
}

void palette_cache_clear(struct palette_cache *cache)
{
	for (uint32_t i = 0; cache->items && i < PALETTE_CACHE_MAX; i++)
		cache->items[i].count = 0;
}

void palette_cache_finish(struct palette_cache *cache)
{
	free(cache->items);
	cache->items = NULL;
}

int palette_cache_put(struct palette_cache *cache, const struct palette *palette)
{
	struct palette *slot;

	if (!cache->items)
		cache->items = calloc(PALETTE_CACHE_MAX, sizeof(*cache->items));
	if (!cache->items)
		return -ENOMEM;
	palette_cache_remove(cache, palette->id);
	slot = NULL;
	for (uint32_t i = 0; i < PALETTE_CACHE_MAX && !slot; i++)
		if (!cache->items[i].count)
			slot = &cache->items[i];
	if (!slot) { /* a server that never removes any */
		slot = &cache->items[cache->next];
		cache->next = (cache->next + 1) % PALETTE_CACHE_MAX;
	}
	*slot = *palette;
	return 0;
}

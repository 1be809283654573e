/* SPDX-License-Identifier: MIT */
/* A hash of ids, and a list by use. */
#include "channels/server/pixmap_cache.h"

#include <errno.h>
#include <stdlib.h>

enum { ITEMS_MAX = 1 << 15 };

struct pixmap_cache_item {
	uint64_t id;
	uint64_t pixels;
	uint32_t has;
	struct pixmap_cache_item *next; /* in its bucket */
	struct pixmap_cache_item *newer, *older;
};

static struct pixmap_cache_item **find(struct pixmap_cache *cache, uint64_t id)
{
	uint64_t hash = (id * 0x9e3779b97f4a7c15ull) >> 54;
	struct pixmap_cache_item **at = &cache->buckets[hash];

	while (*at && (*at)->id != id)
		at = &(*at)->next;
	return at;
}

static void list_remove(struct pixmap_cache *cache, struct pixmap_cache_item *item)
{
	if (item->newer)
		item->newer->older = item->older;
	else
		cache->newest = item->older;
	if (item->older)
		item->older->newer = item->newer;
	else
		cache->oldest = item->newer;
}

static void list_add(struct pixmap_cache *cache, struct pixmap_cache_item *item)
{
	item->newer = NULL;
	item->older = cache->newest;
	if (cache->newest)
		cache->newest->newer = item;
	else
		cache->oldest = item;
	cache->newest = item;
}

enum pixmap_state pixmap_cache_find(struct pixmap_cache *cache, uint64_t id, uint32_t needs)
{
	struct pixmap_cache_item *item = *find(cache, id);

	if (!item)
		return PIXMAP_MISSING;
	list_remove(cache, item);
	list_add(cache, item);
	return needs & ~item->has ? PIXMAP_LACKING : PIXMAP_THERE;
}

bool pixmap_cache_fits(const struct pixmap_cache *cache, uint64_t pixels)
{
	return pixels <= cache->capacity / 2;
}

int pixmap_cache_add(struct pixmap_cache *cache, uint64_t id, uint64_t pixels, uint32_t has)
{
	struct pixmap_cache_item **at = find(cache, id);
	struct pixmap_cache_item *item = calloc(1, sizeof(*item));

	if (!item)
		return -ENOMEM;
	item->id = id;
	item->pixels = pixels;
	item->has = has;
	item->next = *at;
	*at = item;
	list_add(cache, item);
	cache->pixels += pixels;
	cache->items++;
	return 0;
}

static void drop(struct pixmap_cache *cache, struct pixmap_cache_item **at)
{
	struct pixmap_cache_item *item = *at;

	*at = item->next;
	list_remove(cache, item);
	cache->pixels -= item->pixels;
	cache->items--;
	free(item);
}

void pixmap_cache_remove(struct pixmap_cache *cache, uint64_t id)
{
	struct pixmap_cache_item **at = find(cache, id);

	if (*at)
		drop(cache, at);
}

bool pixmap_cache_evict(struct pixmap_cache *cache, bool *making_room, uint64_t *id)
{
	uint64_t goal = *making_room ? cache->capacity - cache->capacity / 16 : cache->capacity;
	uint32_t items = *making_room ? ITEMS_MAX - ITEMS_MAX / 16 : ITEMS_MAX;
	struct pixmap_cache_item *item = cache->oldest;

	/* The newest is what this is for. */
	if ((cache->pixels <= goal && cache->items <= items) || item == cache->newest)
		return false;
	*making_room = true;
	*id = item->id;
	drop(cache, find(cache, item->id));
	return true;
}

void pixmap_cache_clear(struct pixmap_cache *cache)
{
	uint64_t capacity = cache->capacity;

	while (cache->newest) {
		struct pixmap_cache_item *item = cache->newest;

		cache->newest = item->older;
		free(item);
	}
	*cache = (struct pixmap_cache){ .capacity = capacity };
}

/* SPDX-License-Identifier: MIT */
/* The viewer's palettes, found by a hash of their colours. */
#include "channels/server/palette_cache.h"

#include <stdlib.h>
#include <string.h>

static uint32_t hash_of(const uint32_t *colours, uint32_t count)
{
	uint32_t hash = 2166136261u;

	for (uint32_t i = 0; i < count; i++)
		hash = (hash ^ colours[i]) * 16777619u;
	return hash;
}

bool palette_cache_use(struct palette_cache_server *cache, const uint32_t *colours, uint32_t count,
	uint64_t *id, uint64_t *evicted)
{
	uint32_t hash = hash_of(colours, count);
	struct palette_slot *slot;

	*id = *evicted = 0;
	if (!cache->slots)
		cache->slots = calloc(PALETTE_CACHE_SLOTS, sizeof(*cache->slots));
	if (!cache->slots || count > 256)
		return false;
	for (uint32_t i = 0; i < PALETTE_CACHE_SLOTS; i++) {
		slot = &cache->slots[i];
		if (slot->id && slot->hash == hash && slot->count == count &&
			!memcmp(slot->colours, colours, count * sizeof(*colours))) {
			*id = slot->id;
			return true;
		}
	}
	slot = &cache->slots[cache->next];
	cache->next = (cache->next + 1) % PALETTE_CACHE_SLOTS;
	*evicted = slot->id;
	slot->id = *id = ++cache->last_id;
	slot->count = count;
	slot->hash = hash;
	memcpy(slot->colours, colours, count * sizeof(*colours));
	return false;
}

void palette_cache_server_finish(struct palette_cache_server *cache)
{
	free(cache->slots);
	cache->slots = NULL;
}

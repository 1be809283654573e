/* SPDX-License-Identifier: MIT */
/* What of the guest's pictures a viewer keeps under their ids, as we told it. Pure memory. */
#ifndef CHANNELS_SERVER_PIXMAP_CACHE_H
#define CHANNELS_SERVER_PIXMAP_CACHE_H

#include <stdbool.h>
#include <stdint.h>

struct pixmap_cache_item;

enum { PIXMAP_CACHE_BUCKETS = 1024 };

/* Zero-initialised is empty and takes nothing. */
struct pixmap_cache {
	struct pixmap_cache_item *buckets[PIXMAP_CACHE_BUCKETS];
	struct pixmap_cache_item *newest, *oldest; /* by their last use */
	uint64_t capacity; /* pixels */
	uint64_t pixels;
	uint32_t items;
};

enum pixmap_state {
	PIXMAP_MISSING,
	PIXMAP_LACKING, /* it is there, but not with all that is now needed of it */
	PIXMAP_THERE,
};

/* How the viewer has it, and whether with all of the bits of `needs`; counts as a use. */
enum pixmap_state pixmap_cache_find(struct pixmap_cache *cache, uint64_t id, uint32_t needs);
/* Whether one of so many pixels may be added: it must not push out most of the others. */
bool pixmap_cache_fits(const struct pixmap_cache *cache, uint64_t pixels);
/* Adds one that is not there and fits, which has the bits `has`. What has to go comes by
 * pixmap_cache_evict(). -ENOMEM. */
int pixmap_cache_add(struct pixmap_cache *cache, uint64_t id, uint64_t pixels, uint32_t has);
void pixmap_cache_remove(struct pixmap_cache *cache, uint64_t id);
/* While the cache is too full: takes out what was not used for longest. Once it was, it makes
 * some room beyond that, so that the viewer need not be told each time. */
bool pixmap_cache_evict(struct pixmap_cache *cache, bool *making_room, uint64_t *id);
void pixmap_cache_clear(struct pixmap_cache *cache);

#endif

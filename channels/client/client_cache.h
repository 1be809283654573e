/* SPDX-License-Identifier: MIT */
/* The caches of pictures and palettes that the server manages at our side. */
#ifndef CHANNELS_CLIENT_CLIENT_CACHE_H
#define CHANNELS_CLIENT_CLIENT_CACHE_H

#include "channels/proto/types.h"
#include "core/surface.h"

enum {
	IMAGE_CACHE_BUCKETS = 256,
	IMAGE_CACHE_ITEMS_MAX = 1 << 16,
	PALETTE_CACHE_MAX = 2 * 128, /* servers assume 128, and may run ahead of what they remove */
};

struct image_cache_item {
	struct image_cache_item *next;
	uint64_t id;
	struct image *image;
	bool lossy;
};

/* Pixmaps by id. The server decides what is in it; one that puts in more than it was told fits breaks
 * the protocol. Zero-initialised but for the limit it is empty. */
struct image_cache {
	uint64_t limit_pixels; /* what the server was told */
	struct image_cache_item *buckets[IMAGE_CACHE_BUCKETS];
	uint64_t pixels;
	uint32_t items;
};

/* Takes a reference on the image; replaces what has the id. 0, -EPROTO when over-full, -ENOMEM. */
int image_cache_put(struct image_cache *cache, uint64_t id, struct image *image, bool lossy);
/* Borrowed, or NULL. `lossless`: only one that is. */
struct image *image_cache_get(const struct image_cache *cache, uint64_t id, bool lossless);
void image_cache_remove(struct image_cache *cache, uint64_t id);
void image_cache_clear(struct image_cache *cache);

struct palette {
	uint64_t id;
	uint32_t count; /* 0: free */
	uint32_t colors[PROTO_PALETTE_MAX]; /* 0x00RRGGBB */
};

/* Zero-initialised is empty. */
struct palette_cache {
	struct palette *items; /* PALETTE_CACHE_MAX, or NULL */
	uint32_t next;
};

/* Keeps a copy. -ENOMEM. */
int palette_cache_put(struct palette_cache *cache, const struct palette *palette);
const struct palette *palette_cache_get(
	const struct palette_cache *cache, uint64_t id); /* or NULL */
void palette_cache_remove(struct palette_cache *cache, uint64_t id);
void palette_cache_clear(struct palette_cache *cache);
void palette_cache_finish(struct palette_cache *cache);

#endif

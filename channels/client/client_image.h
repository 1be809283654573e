/* SPDX-License-Identifier: MIT */
/* Pictures as they come from the server, and the caches that it manages at our side. */
#ifndef CHANNELS_CLIENT_CLIENT_IMAGE_H
#define CHANNELS_CLIENT_CLIENT_IMAGE_H

#include "channels/proto/types.h"
#include "core/surface.h"

enum {
	IMAGE_CACHE_PIXELS = 4 << 20, /* what we tell the server that the cache holds */
	IMAGE_CACHE_BUCKETS = 256,
	IMAGE_CACHE_ITEMS_MAX = 1 << 16,
	PALETTE_CACHE_MAX = 128, /* as all servers assume */
};

struct image_cache_item {
	struct image_cache_item *next;
	uint64_t id;
	struct image *image;
};

/* Pixmaps by id. Zero-initialised is empty. The server decides what is in it; a server that puts in
 * more than it was told fits breaks the protocol. */
struct image_cache {
	struct image_cache_item *buckets[IMAGE_CACHE_BUCKETS];
	uint64_t pixels;
	uint32_t items;
};

/* Takes a reference on the image; replaces what has the id. 0, -EPROTO when over-full, -ENOMEM. */
int image_cache_put(struct image_cache *cache, uint64_t id, struct image *image);
struct image *image_cache_get(const struct image_cache *cache, uint64_t id); /* borrowed, or NULL */
void image_cache_remove(struct image_cache *cache, uint64_t id);
void image_cache_clear(struct image_cache *cache);

struct palette_cache {
	struct {
		uint64_t id;
		uint32_t count; /* 0: free */
		uint32_t colors[PROTO_PALETTE_MAX];
	} * items; /* PALETTE_CACHE_MAX, or NULL */
	uint32_t next;
};

void palette_cache_remove(struct palette_cache *cache, uint64_t id);
void palette_cache_clear(struct palette_cache *cache);
void palette_cache_finish(struct palette_cache *cache);

/* Makes an image of a BITMAP, LZ4, FROM_CACHE or FROM_CACHE_LOSSLESS picture (a reference of the
 * caller's). 0; -EPROTO for what breaks the protocol; -ENOTSUP for another compression; -ENOENT for
 * one that is not in the cache; -ENOMEM. */
int client_image_make(struct image **out, const struct proto_image *wire, struct image_cache *cache,
	struct palette_cache *palettes);

#endif

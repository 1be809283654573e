/* SPDX-License-Identifier: MIT */
/* The palettes that a viewer keeps, by their colours. Pure memory. */
#ifndef CHANNELS_SERVER_PALETTE_CACHE_H
#define CHANNELS_SERVER_PALETTE_CACHE_H

#include <stdbool.h>
#include <stdint.h>

enum { PALETTE_CACHE_SLOTS = 128 }; /* what servers of SPICE always assumed */

struct palette_slot {
	uint64_t id; /* 0: free */
	uint32_t count;
	uint32_t hash;
	uint32_t colours[256];
};

/* Zero-initialised is empty. Slots are taken in turn, so that viewers which do so themselves, without
 * being told, come to the same. */
struct palette_cache_server {
	struct palette_slot *slots; /* NULL: none yet */
	uint32_t next;
	uint64_t last_id;
};

/* Finds or adds a palette. *id is its name; *evicted that of one which the viewer has to forget
 * before, or 0. Answers whether the viewer has it. Out of memory *id is 0: it is not to be kept. */
bool palette_cache_use(struct palette_cache_server *cache, const uint32_t *colours, uint32_t count,
	uint64_t *id, uint64_t *evicted);
void palette_cache_server_finish(struct palette_cache_server *cache);

#endif

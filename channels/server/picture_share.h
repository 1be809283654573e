/* SPDX-License-Identifier: MIT */
/*
 * Encoded pictures that all viewers share, those under way included: many viewers cost one encoding.
 * Loop thread; the work itself is done by the pool when it is much.
 */
#ifndef CHANNELS_SERVER_PICTURE_SHARE_H
#define CHANNELS_SERVER_PICTURE_SHARE_H

#include "channels/server/picture_encode.h"
#include "core/pool.h"

struct picture_share;
struct shared_picture;

int picture_share_create(struct picture_share **out, struct loop *loop, struct pool *pool);
/* What is under way is finished for nobody. NULL is ignored. */
void picture_share_destroy(struct picture_share *share);

/* Embedded in who waits; removed before `ready` is called. */
struct picture_waiter {
	loop_fn *ready;
	void *opaque;
	struct shared_picture *waits_for; /* NULL: for none */
	struct picture_waiter *next;
};

/* A reference to the encoding of `area` of an image, begun now unless there is one. With it not ready,
 * `waiter` is told later. `keep`: other viewers will soon ask for it, too. NULL: out of memory. */
struct shared_picture *picture_share_get(struct picture_share *share, struct image *image,
	const struct rect *area, const struct encode_settings *settings, bool keep,
	struct picture_waiter *waiter);
struct shared_picture *shared_picture_ref(struct shared_picture *picture);
/* The result; NULL: not ready yet. */
const struct encoded *shared_picture_encoded(const struct shared_picture *picture);
/* Drops a reference, and what waits with it (may be NULL). NULL is ignored. */
void shared_picture_unref(struct shared_picture *picture, struct picture_waiter *waiter);

#endif

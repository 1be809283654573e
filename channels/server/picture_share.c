/* SPDX-License-Identifier: MIT */
/* The table of encodings. */
#include "channels/server/picture_share.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"

enum {
	INLINE_BYTES = 64 << 10, /* pixels encoded at once, on the loop's thread */
	BUCKETS = 256,
	/* What is kept for viewers that are a little behind. */
	KEPT_MAX = 256,
	KEPT_BYTES = 16 << 20, /* of images and their encodings, of which one is always kept */
};

struct shared_picture {
	uint32_t refs; /* the viewers', and the worker's */
	struct picture_share *share; /* NULL: not in the table */
	struct image *image;
	struct rect area;
	struct encode_settings settings;
	bool ready;
	struct encoded encoded;
	struct picture_waiter *waiters;
	struct shared_picture *next; /* in its bucket */
	struct shared_picture *next_kept;
	size_t kept_bytes;
};

struct picture_share {
	struct loop *loop;
	struct pool *pool;
	struct shared_picture *buckets[BUCKETS];
	struct shared_picture *kept, **kept_end; /* the oldest first; each holds a reference */
	uint32_t kept_count;
	size_t kept_bytes;
};

int picture_share_create(struct picture_share **out, struct loop *loop, struct pool *pool)
{
	struct picture_share *share = calloc(1, sizeof(*share));

	if (!share)
		return -ENOMEM;
	share->loop = loop;
	share->kept_end = &share->kept;
	share->pool = pool;
	*out = share;
	return 0;
}

static struct shared_picture **bucket_of(struct picture_share *share, const struct image *image)
{
	return &share->buckets[((uintptr_t)image >> 5) % BUCKETS];
}

/* Rectangles and settings hold no padding that is not zeroed. */
static bool is_of(const struct shared_picture *p, const struct image *image,
	const struct rect *area, const struct encode_settings *settings)
{
	return p->image == image && rect_equal(&p->area, area) &&
		!memcmp(&p->settings, settings, sizeof(*settings));
}

static void leave_table(struct shared_picture *picture)
{
	struct shared_picture **at;

	if (!picture->share)
		return;
	at = bucket_of(picture->share, picture->image);
	while (*at != picture)
		at = &(*at)->next;
	*at = picture->next;
	picture->share = NULL;
}

static void unref(struct shared_picture *picture)
{
	if (--picture->refs)
		return;
	leave_table(picture);
	image_unref(picture->image);
	encoded_finish(&picture->encoded);
	free(picture);
}

/* ---- kept for others ---- */

static void forget_oldest(struct picture_share *share)
{
	struct shared_picture *oldest = share->kept;

	share->kept = oldest->next_kept;
	if (!share->kept)
		share->kept_end = &share->kept;
	share->kept_count--;
	share->kept_bytes -= oldest->kept_bytes;
	unref(oldest);
}

static void keep(struct picture_share *share, struct shared_picture *picture)
{
	picture->refs++;
	picture->next_kept = NULL;
	picture->kept_bytes = (size_t)picture->image->stride * picture->image->height +
		picture->encoded.bytes.size;
	*share->kept_end = picture;
	share->kept_end = &picture->next_kept;
	share->kept_count++;
	share->kept_bytes += picture->kept_bytes;
	while (share->kept_count > KEPT_MAX ||
		(share->kept_bytes > KEPT_BYTES && share->kept_count > 1))
		forget_oldest(share);
}

void picture_share_destroy(struct picture_share *share)
{
	if (!share)
		return;
	while (share->kept)
		forget_oldest(share);
	for (uint32_t i = 0; i < BUCKETS; i++)
		for (struct shared_picture *p = share->buckets[i]; p; p = p->next)
			p->share = NULL;
	free(share);
}

/* ---- encoding ---- */

static void work(void *opaque)
{
	struct shared_picture *picture = opaque;

	picture_encode(&picture->encoded, picture->image, &picture->area, &picture->settings);
}

static void done(void *opaque)
{
	struct shared_picture *picture = opaque;

	picture->ready = true;
	while (picture->waiters) {
		struct picture_waiter *waiter = picture->waiters;

		picture->waiters = waiter->next;
		waiter->waits_for = NULL;
		waiter->ready(waiter->opaque);
	}
	unref(picture);
}

static struct shared_picture *begin(struct picture_share *share, struct image *image,
	const struct rect *area, const struct encode_settings *settings)
{
	struct shared_picture *picture = calloc(1, sizeof(*picture));

	if (!picture)
		return NULL;
	picture->refs = 1;
	picture->image = image_ref(image);
	picture->area = *area;
	picture->settings = *settings;
	if ((size_t)rect_width(area) * (size_t)rect_height(area) * 4 > INLINE_BYTES) {
		picture->refs++;
		if (pool_submit(share->pool, share->loop, work, done, picture) == 0)
			goto enter;
		picture->refs--;
	}
	work(picture);
	picture->ready = true;
enter:
	picture->share = share;
	picture->next = *bucket_of(share, image);
	*bucket_of(share, image) = picture;
	return picture;
}

struct shared_picture *picture_share_get(struct picture_share *share, struct image *image,
	const struct rect *area, const struct encode_settings *settings, bool keep_it,
	struct picture_waiter *waiter)
{
	struct shared_picture *picture = *bucket_of(share, image);

	while (picture && !is_of(picture, image, area, settings))
		picture = picture->next;
	if (picture) {
		picture->refs++;
	} else {
		picture = begin(share, image, area, settings);
		if (picture && keep_it)
			keep(share, picture);
		else if (!keep_it && share->kept)
			forget_oldest(share);
	}
	if (picture && !picture->ready) {
		waiter->waits_for = picture;
		waiter->next = picture->waiters;
		picture->waiters = waiter;
	}
	return picture;
}

struct shared_picture *shared_picture_ref(struct shared_picture *picture)
{
	picture->refs++;
	return picture;
}

const struct encoded *shared_picture_encoded(const struct shared_picture *picture)
{
	return picture->ready ? &picture->encoded : NULL;
}

void shared_picture_unref(struct shared_picture *picture, struct picture_waiter *waiter)
{
	if (!picture)
		return;
	if (waiter && waiter->waits_for) {
		struct picture_waiter **at = &picture->waiters;

		while (*at != waiter)
			at = &(*at)->next;
		*at = waiter->next;
		waiter->waits_for = NULL;
	}
	unref(picture);
}

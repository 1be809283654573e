/* SPDX-License-Identifier: MIT */
/*
 * Pictures on their way to one viewer: which codec, caches, encoding (once for all viewers, large
 * ones by the pool). Loop thread.
 *
 * The order of image_sender_begin() is the order of the messages: what is begun has to be sent, in
 * that order, as the viewer's caches and dictionary follow what it was sent.
 */
#ifndef CHANNELS_SERVER_PICTURE_H
#define CHANNELS_SERVER_PICTURE_H

#include "channels/server/server_internal.h"
#include "core/surface.h"

#include "channels/server/palette_cache.h"
#include "channels/server/pixmap_cache.h"

struct picture;
struct pace;
struct glz_stage;

/* Ids of pictures lately sent in part or inexactly, which are worth keeping when they come again. */
enum { IMAGE_SENDER_RECENT = 256 };

/* Embedded in a viewer's display channel. */
struct image_sender {
	struct spice_server *server;
	struct link *link;
	const struct pace *pace; /* NULL: the link counts as fast */
	uint8_t preferred; /* SPICE_IMAGE_COMPRESSION_*; INVALID: as the server is set */
	bool lz4;
	uint32_t glz_pixels; /* the viewer's window; 0: it takes neither GLZ nor palettes */
	struct glz_stage *glz; /* NULL: not needed yet */
	uint64_t epoch; /* of the guest's image ids */
	struct pixmap_cache pixmaps;
	struct palette_cache_server palettes;
	uint64_t recent[IMAGE_SENDER_RECENT];
	struct picture *first, *last; /* not all encoded yet, or behind one that is not */
	struct picture *finished; /* to be told of */
	bool *gone; /* of who is telling; NULL: nobody */
};

/* `init` is what the viewer told of its caches, `pace` may be NULL; both and the link are borrowed,
 * `init` only for the call. 0, -ENOMEM. */
int image_sender_init(struct image_sender *sender, struct spice_server *server, struct link *link,
	const struct msg_display_init *init, const struct pace *pace);
/* Pictures that are still held live on, and are never ready. */
void image_sender_finish(struct image_sender *sender);
/* The viewer's PREFERRED_COMPRESSION. -EPROTO for what is none. */
int image_sender_prefer(struct image_sender *sender, uint8_t compression);

enum {
	PICTURE_MAY_LOSE = 1, /* JPEG will do */
	PICTURE_MASK = 2, /* a 1-bit mask: whole, and as it is */
	PICTURE_WHOLE = 4, /* all of the image is needed: a pattern, or a drawing that scales */
	/* Its alpha is copied at most, never read: not for ALPHA_BLEND and COMPOSITE. */
	PICTURE_COPIED = 8,
};

/* Decides how `area` of `image` (inside it; what lies outside makes it PICTURE_WHOLE) goes to a
 * surface of format `target`, and begins encoding unless somebody did already. `frame` is what the
 * viewer may keep of it as one: whole rows that have the area; NULL: all. `ready` is called later
 * unless it is ready at once. NULL when out of memory: nothing was begun. */
struct picture *image_sender_begin(struct image_sender *sender, struct image *image,
	const struct rect *area, const struct rect *frame, enum surface_format target,
	uint32_t flags, loop_fn *ready, void *opaque);
/* Whether the viewer has all of the image, to be drawn on such a surface. */
bool image_sender_has(struct image_sender *sender, const struct image *image,
	enum surface_format target, uint32_t flags);
bool picture_ready(const struct picture *picture);
/* Whether what the viewer sees of it may differ from the image; once it is ready. */
bool picture_lossy(const struct picture *picture);
/* The bytes of its pixels on the wire; once it is ready. */
size_t picture_bytes(const struct picture *picture);

/* Once, when it is ready, before its message is packed: sends what has to precede it, and fills in
 * the image on the wire, whose bytes are borrowed until picture_unref(). *area is the area of
 * the image that is to be read, and becomes the same of what is sent. */
void picture_describe(struct picture *picture, struct proto_image *wire, struct rect *area);
/* NULL is ignored. One that was not described although begun breaks the viewer's caches, which is
 * all right only when its link goes. `ready` is not called any more. */
void picture_unref(struct picture *picture);

#endif

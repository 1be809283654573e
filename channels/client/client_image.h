/* SPDX-License-Identifier: MIT */
/* Pictures as they come from the server. */
#ifndef CHANNELS_CLIENT_CLIENT_IMAGE_H
#define CHANNELS_CLIENT_CLIENT_IMAGE_H

#include "channels/client/client_cache.h"
#include "codecs/glz.h"

enum { CLIENT_IMAGE_KINDS = 11 };

/* What making pictures needs and changes. */
struct client_images {
	struct image_cache cache;
	struct palette_cache palettes;
	struct glz_window *glz; /* one for all display channels of a session: there is one channel */
	uint32_t glz_pixels; /* its size, as the server is told */
	uint64_t received[CLIENT_IMAGE_KINDS]; /* by the table in client_image.c */
};

/* Makes an image of a picture that is no surface (a reference of the caller's; its pixels may be
 * others', too, and are only read). 0; -EPROTO for what breaks the protocol; -ENOENT for one that is
 * not in the cache; -ENOMEM. */
int client_image_make(
	struct image **out, const struct proto_image *wire, struct client_images *images);
/* "lz 3, quic 12": how many of each type have come, into `text`, which has at least one byte. */
void client_images_describe(const struct client_images *images, char *text, size_t size);

#endif

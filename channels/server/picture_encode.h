/* SPDX-License-Identifier: MIT */
/* A part of an image in the form in which it goes over the wire. Pure memory; any thread. */
#ifndef CHANNELS_SERVER_PICTURE_ENCODE_H
#define CHANNELS_SERVER_PICTURE_ENCODE_H

#include <stdbool.h>
#include <stdint.h>

#include "channels/server/server.h"
#include "core/buf.h"
#include "core/surface.h"

/* What a viewer takes, and what is wanted; compared as bytes. */
struct encode_settings {
	uint8_t compression; /* enum spice_image_compression */
	bool lz4; /* the viewer takes LZ4 images */
};

/* Zero-initialised is empty. */
struct encoded {
	uint8_t type; /* SPICE_IMAGE_TYPE_*; BITMAP without bytes: the image as it is, whole */
	enum image_format format; /* of a BITMAP's pixels */
	uint32_t width, height;
	uint32_t stride; /* of a BITMAP's pixels */
	struct buf bytes;
};

/* Encodes `area`, which is inside the image (all of it, if it has a palette). Out of memory it is the
 * image as it is. */
void picture_encode(struct encoded *out, const struct image *image, const struct rect *area,
	const struct encode_settings *settings);
void encoded_finish(struct encoded *encoded);

#endif

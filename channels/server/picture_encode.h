/* SPDX-License-Identifier: MIT */
/* A part of an image in the form in which it goes over the wire. Pure memory; any thread. */
#ifndef CHANNELS_SERVER_PICTURE_ENCODE_H
#define CHANNELS_SERVER_PICTURE_ENCODE_H

#include <stdbool.h>
#include <stdint.h>

#include "channels/server/image_choice.h"
#include "codecs/glz.h"
#include "core/buf.h"
#include "core/surface.h"

/* What a viewer takes, and what is wanted; compared as bytes, so it has no padding. */
struct encode_settings {
	struct image_choice choice;
	bool as_it_is; /* no codec, no cut */
	bool copied; /* alpha is copied at most, never read */
	bool deep; /* for a surface of 32 bits a pixel */
	bool dest_alpha; /* for a surface with alpha */
	uint8_t quality; /* of JPEG; 0 unless choice.jpeg */
};

/* Zero-initialised is empty. */
struct encoded {
	/* SPICE_IMAGE_TYPE_*. BITMAP without bytes: the image's own, `height` whole rows from `top`
	 * on. GLZ_RGB: the viewer's dictionary has still to make it, by encoded_glz(). */
	uint8_t type;
	enum image_format format; /* of a BITMAP's pixels */
	uint32_t left, top; /* what is left out of the image there */
	uint32_t width, height;
	uint32_t stride; /* of a BITMAP's pixels */
	bool high_bits_set; /* the viewer fills the fourth byte with ones */
	bool keeps_alpha; /* of GLZ */
	bool lossy;
	const char *why; /* a literal, for the debug log */
	uint32_t colours; /* of the palette; 0: none */
	uint32_t *palette; /* owned */
	size_t jpeg_bytes; /* of JPEG_ALPHA, where the alpha begins */
	struct buf bytes;
};

/* Encodes `area`, which is inside the image. Out of memory it is the image as it is. */
void picture_encode(struct encoded *out, const struct image *image, const struct rect *area,
	const struct encode_settings *settings);
/* The GLZ stream of what was encoded for that. As glz_encode(). */
int encoded_glz(const struct encoded *encoded, const struct image *image,
	struct glz_dictionary *dictionary, struct buf *out);
void encoded_finish(struct encoded *encoded);

#endif

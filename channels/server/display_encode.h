/* SPDX-License-Identifier: MIT */
/* Drawings and pixels as the bodies of SPICE's display messages. Pure memory; any thread. */
#ifndef CHANNELS_SERVER_DISPLAY_ENCODE_H
#define CHANNELS_SERVER_DISPLAY_ENCODE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/draw.h"

/* Encodes a drawing into an empty buffer; says the message's type. `lz4`: the viewer takes LZ4
 * images. -ENOMEM. */
int display_encode_draw(struct buf *body, uint16_t *type, const struct draw *draw, bool lz4);
/* Encodes a picture that is put at (x, y) of a surface: a DRAW_COPY. */
int display_encode_pixels(struct buf *body, uint16_t *type, uint32_t surface_id, int32_t x,
	int32_t y, const struct image *image, bool lz4);
/* About how many bytes of pixels an encoder will have to go through. */
size_t display_encode_cost(const struct draw *draw);

#endif

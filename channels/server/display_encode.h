/* SPDX-License-Identifier: MIT */
/* Drawings as the bodies of SPICE's display messages, their pictures first. Loop thread. */
#ifndef CHANNELS_SERVER_DISPLAY_ENCODE_H
#define CHANNELS_SERVER_DISPLAY_ENCODE_H

#include "channels/server/display_queue.h"
#include "channels/server/picture.h"

enum encoding_part { PART_SOURCE, PART_BRUSH, PART_MASK, PARTS };

/* One drawing in the making. Zero-initialised has nothing begun. */
struct encoding {
	const struct draw *draw; /* borrowed, as the region */
	const struct region *region;
	struct rect box; /* what of the drawing's box is sent */
	struct picture *pictures[PARTS];
};

/* Begins the pictures of a drawing, of which only `region` is to be drawn, on a surface of format
 * `target`; `frame` is what viewers may keep of its source, NULL: all; `flags` are PICTURE_MAY_LOSE or 0. -ENOMEM. */
int encoding_begin(struct encoding *encoding, struct image_sender *sender, const struct draw *draw,
	const struct region *region, const struct rect *frame, enum surface_format target,
	uint32_t flags, loop_fn *ready, void *opaque);
bool encoding_ready(const struct encoding *encoding);
/* Once it is ready: whether any of its pictures is inexact. */
bool encoding_lossy(const struct encoding *encoding);
/* Once it is ready, once: makes the message's body in an empty buffer. -ENOMEM. */
int encoding_pack(struct encoding *encoding, struct buf *body, uint16_t *type);
void encoding_finish(struct encoding *encoding);

#endif

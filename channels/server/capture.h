/* SPDX-License-Identifier: MIT */
/*
 * Pixels of the hub's surfaces as images, for viewers that are sent pixels. Viewers that ask for
 * the same area in one turn of the loop get the same image, so that it is encoded once. Loop
 * thread.
 */
#ifndef CHANNELS_SERVER_CAPTURE_H
#define CHANNELS_SERVER_CAPTURE_H

#include "core/display.h"
#include "core/loop.h"

struct capture_share;

/* The display is borrowed. -ENOMEM. */
int capture_share_create(struct capture_share **out, struct loop *loop, struct display *display);
void capture_share_destroy(struct capture_share *share); /* NULL is ignored */

/* The hub's pixels change: what was captured is old. */
void capture_share_changed(struct capture_share *share);
/* A reference to an image of the area, which is inside the surface: ARGB8888 or A8 if the
 * surface is, else XRGB8888. -ENOENT, -ENOMEM. */
int capture_share_get(
	struct capture_share *share, uint32_t id, const struct rect *area, struct image **out);

#endif

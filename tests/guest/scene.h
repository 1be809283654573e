/* SPDX-License-Identifier: MIT */
/* What the guest can show. Each function draws its first picture, calls scene_ready() and stays in
 * its own loop for good. */
#ifndef GUEST_SCENE_H
#define GUEST_SCENE_H

#include "machine.h"
#include "qxl.h"

void scene_demo(struct qxl *qxl);
void scene_still(struct qxl *qxl);
void scene_keys(struct qxl *qxl);
void scene_pointer(struct qxl *qxl);
void scene_cursor(struct qxl *qxl);
void scene_latency(struct qxl *qxl);
void scene_video(struct qxl *qxl);
void scene_movie(struct qxl *qxl);
void scene_idle(struct qxl *qxl);
void scene_drawings(struct qxl *qxl);
void scene_bad(struct qxl *qxl);
/* Without QXL's native mode: VGA and Bochs VBE by registers. */
void scene_vga(struct qxl *qxl);

/* The first picture is on its way: tells "READY <w>x<h>", sets up input devices. */
void scene_ready(const struct qxl *qxl);
/* Tells an event on COM1 when the command line asks for it. */
void scene_log_event(const struct event *event, int32_t x, int32_t y);
/* Moves a pointer by an event, within width x height. */
void scene_pointer_move(
	const struct event *event, int32_t *x, int32_t *y, int32_t width, int32_t height);
/* A picture as large as the primary surface, in memory that no boot step clears. */
struct image scene_canvas(const struct qxl *qxl);
/* The arrow that all scenes use as their cursor. */
void scene_cursor_set(struct qxl *qxl, int32_t x, int32_t y);
/* Frame number `frame` of the moving picture, into the whole of image. */
void scene_plasma(struct image *image, uint32_t frame);

#endif

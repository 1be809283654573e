/* SPDX-License-Identifier: MIT */
/* A picture that is made of every kind of drawing, for tests of the server with viewers. */
#ifndef TESTS_CHANNELS_SERVER_SCENE_H
#define TESTS_CHANNELS_SERVER_SCENE_H

#include "core/display.h"

enum { SCENE_WIDTH = 640, SCENE_HEIGHT = 480, SCENE_STEPS = 12 };

/* Makes the primary surface (some noise) and an off-screen one with a picture (number 5). */
void scene_begin(struct display *display);
/* One more drawing, or a few; `step` chooses the kind (modulo SCENE_STEPS) and the place. */
void scene_step(struct display *display, uint32_t step);
/* Whether the image has the pixels (without alpha) that the primary surface has now. */
bool scene_equals(struct display *display, const struct image *image);

#endif

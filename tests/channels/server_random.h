/* SPDX-License-Identifier: MIT */
/* Seeded random work of a graphics device: drawings of all kinds on surfaces that come and go. */
#ifndef TESTS_CHANNELS_SERVER_RANDOM_H
#define TESTS_CHANNELS_SERVER_RANDOM_H

#include "core/display.h"

enum { RANDOM_WIDTH = 160, RANDOM_HEIGHT = 120, RANDOM_SURFACES = 6 };

struct random_device {
	struct display *display;
	uint32_t seed;
	struct surface *surfaces[RANDOM_SURFACES]; /* borrowed */
	uint64_t image_id;
};

uint32_t random_below(struct random_device *device, uint32_t end);
/* A primary surface with a picture. */
void random_begin(struct random_device *device, struct display *display, uint32_t seed);
/* One more thing happens: mostly a drawing. */
void random_step(struct random_device *device);
/* A drawing on a surface that there is; the caller's. */
struct draw *random_draw(struct random_device *device);
/* Whether two surfaces show the same; says where they do not. */
bool random_equal(uint32_t id, const struct surface *is, const struct surface *should);

#endif

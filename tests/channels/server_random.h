/* SPDX-License-Identifier: MIT */
/* Seeded random work of a graphics device: drawings of all kinds on surfaces that come and go. */
#ifndef TESTS_CHANNELS_SERVER_RANDOM_H
#define TESTS_CHANNELS_SERVER_RANDOM_H

#include "core/display.h"

enum { RANDOM_WIDTH = 160, RANDOM_HEIGHT = 120, RANDOM_SURFACES = 6, RANDOM_KEPT = 8 };

struct random_device {
	struct display *display;
	uint32_t seed;
	struct surface *surfaces[RANDOM_SURFACES]; /* borrowed */
	struct image *kept[RANDOM_KEPT]; /* pictures that are drawn again and again */
	uint64_t image_id;
	uint32_t scale; /* of the primary surface */
};

uint32_t random_below(struct random_device *device, uint32_t end);
/* A primary surface with a picture, RANDOM_WIDTH by RANDOM_HEIGHT times `scale`. */
void random_begin(
	struct random_device *device, struct display *display, uint32_t seed, uint32_t scale);
void random_end(struct random_device *device);
/* One more thing happens: mostly a drawing. */
void random_step(struct random_device *device);
/* A drawing on a surface that there is; the caller's. */
struct draw *random_draw(struct random_device *device);
/* Whether two surfaces show the same; says where they do not. */
bool random_equal(uint32_t id, const struct surface *is, const struct surface *should);

#endif

/* SPDX-License-Identifier: MIT */
/* Where the guest's picture lies in the window, and how it is scaled. Pure arithmetic. */
#ifndef UI_VIEW_H
#define UI_VIEW_H

#include "core/rect.h"

struct view {
	uint32_t guest_width; /* 0: nothing to show */
	uint32_t guest_height;
	uint32_t window_width;
	uint32_t window_height;
	struct rect place; /* of the picture in the window; the rest is black */
	uint32_t factor; /* 1, 2, ...: every guest pixel is a square of that side; 0: fractional */
};

/* Fits the picture into the window as large as its aspect allows, centred. A factor that is integral
 * but for a few pixels is made integral, for the picture is sharp then. */
void view_fit(struct view *view, uint32_t guest_width, uint32_t guest_height, uint32_t window_width,
	uint32_t window_height);
/* The window's pixels that depend on this area of the guest's picture. */
struct rect view_to_window(const struct view *view, const struct rect *area);
/* The guest's pixel under a place of the window; the nearest one for a place beside the picture. */
struct point view_to_guest(const struct view *view, int32_t x, int32_t y);
/* A length of the guest's picture in the window, at least 1. */
uint32_t view_scale_length(const struct view *view, uint32_t length);

/* The size of a window for a guest's picture: `zoom` times as large where that fits into the given
 * room, else smaller in the same aspect. */
void view_window_size(uint32_t guest_width, uint32_t guest_height, uint32_t zoom,
	uint32_t room_width, uint32_t room_height, uint32_t *width, uint32_t *height);

#endif

/* SPDX-License-Identifier: MIT */
/* Things that change fast on a display, for tests of what is sent as video. */
#ifndef TESTS_CHANNELS_SERVER_FILM_H
#define TESTS_CHANNELS_SERVER_FILM_H

#include "core/display.h"

/* Pixel (x, y) of frame `frame` of a moving picture: soft shapes and a little noise. */
uint32_t film_pixel(uint32_t frame, uint32_t x, uint32_t y);
/* The same of a page of sharp letters that scrolls by a row of pixels a frame. */
uint32_t page_pixel(uint32_t frame, uint32_t x, uint32_t y);

/* A drawing that puts the part `area` of a picture that lies at `origin` on the surface. */
struct draw *film_draw(uint32_t (*pixel)(uint32_t frame, uint32_t x, uint32_t y), uint32_t frame,
	struct point origin, const struct rect *area);

#endif

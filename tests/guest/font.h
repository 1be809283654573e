/* SPDX-License-Identifier: MIT */
/* A stroke font of our own, drawn smooth at any size. */
#ifndef GUEST_FONT_H
#define GUEST_FONT_H

#include "gfx.h"

/* The styles in use; glyphs are made at their first use. */
enum font_style { FONT_SMALL, FONT_NORMAL, FONT_BOLD, FONT_LARGE, FONT_HUGE, FONT_STYLES };

int32_t font_line_height(enum font_style style);
int32_t font_width(enum font_style style, const char *text);
/* Draws text with its baseline at y; returns x after it. */
int32_t font_draw(struct image *image, enum font_style style, int32_t x, int32_t y, uint32_t color,
	const char *text);

#endif

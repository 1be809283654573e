/* SPDX-License-Identifier: MIT */
/* A small bitmap font for the notices over the picture. */
#ifndef UI_FONT_H
#define UI_FONT_H

#include <stdint.h>

enum {
	FONT_FIRST = 32,
	FONT_LAST = 126,
	FONT_WIDTH = 5,
	FONT_HEIGHT = 9,
	FONT_ADVANCE = 6, /* from one character to the next */
};

/* FONT_HEIGHT rows from the top, bit 4 is the leftmost pixel. An empty box for unknown codes. */
const uint8_t *font_glyph(uint32_t code);

#endif

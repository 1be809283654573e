/* SPDX-License-Identifier: MIT */
/* Text over the picture. Pure memory: 32-bit XRGB pixels. */
#ifndef UI_OVERLAY_H
#define UI_OVERLAY_H

#include "core/surface.h"

/* Halves the brightness of an area (clipped). */
void overlay_dim(const struct surface *to, const struct rect *area);
/* Draws a dark panel with the text (UTF-8; what is not ASCII shows as a box) in its middle, lines
 * broken between words to fit. `zoom` pixels make one of the font's. */
void overlay_notice(const struct surface *to, const char *text, uint32_t zoom);

#endif

/* SPDX-License-Identifier: MIT */
/* Paints the guest's picture into the window's memory, scaled as the view says: copied or repeated
 * pixels for integral factors, bilinear when fractionally enlarged, averaged when made smaller. */
#ifndef UI_SCALE_H
#define UI_SCALE_H

#include "core/surface.h"
#include "ui/view.h"

/* Paints `area` (window pixels; clipped to the picture's place) of `to`, which is as large as the
 * window, from the guest's picture. Both have 32 bits a pixel, rows on 4-byte boundaries; `from` has
 * the size of the view's guest. What a pixel becomes does not depend on the area it is painted with.
 * Returns 0 or -ENOMEM. */
int scale_paint(const struct surface *to, const struct view *view, const struct surface *from,
	const struct rect *area);

#endif

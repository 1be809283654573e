/* SPDX-License-Identifier: MIT */
/* The software canvas: carries out drawing commands on surfaces. Pure memory, no state, any thread. */
#ifndef CORE_CANVAS_H
#define CORE_CANVAS_H

#include "core/draw.h"
#include "core/surface.h"

/* Finds the surface behind an id for drawings that read surfaces; NULL when there is none. */
typedef struct surface *canvas_lookup_fn(void *opaque, uint32_t surface_id);

/* Draws on `target`. Everything is clipped to the target and to the source; a source that is missing
 * draws nothing. Never fails: what cannot be drawn is left out. */
void canvas_draw(
	struct surface *target, const struct draw *draw, canvas_lookup_fn *lookup, void *opaque);

/* Whether all that the drawing does to its box, where it is not clipped, is to copy 32-bit pixels of a
 * picture there, all but their fourth byte as they are. *origin: where in the picture the target's
 * (0, 0) is. */
bool canvas_copies_picture(
	const struct surface *target, const struct draw *draw, struct point *origin);

#endif

/* SPDX-License-Identifier: MIT */
/* What can be said of a drawing for a viewer that carries it out on a canvas of its own. */
#ifndef CHANNELS_SERVER_DISPLAY_DRAW_H
#define CHANNELS_SERVER_DISPLAY_DRAW_H

#include "channels/server/server_internal.h"

/* What a viewer can do. */
struct draw_abilities {
	bool composite; /* Render's compositions */
	bool a8; /* surfaces of coverage */
	bool weak; /* nothing but plain fills, copies and moves, and no off-screen surfaces */
};

/* Pixels that it reads of a surface, beside those of its destination that lie under its own. */
struct draw_read {
	uint32_t surface_id;
	bool anywhere; /* it may read all of the surface */
	struct point shift; /* else: for a pixel drawn, the one read is that much further */
};

#define DRAW_READS_MAX 4
uint32_t display_draw_reads(const struct draw *draw, struct draw_read reads[DRAW_READS_MAX]);

/* Whether viewers' canvases make exactly the pixels of it that ours makes. */
bool display_draw_is_exact(const struct draw *draw, const struct server_surface *surfaces,
	const struct draw_abilities *abilities);
/* Of an exact one: whether it replaces all its pixels whatever they were. */
bool display_draw_covers(const struct draw *draw);
/* Of an exact one: whether any part of it can be drawn with a smaller box, its source moved
 * along. */
bool display_draw_can_crop(const struct draw *draw);
/* Whether the viewer has surfaces of that format. */
bool display_draw_format_known(enum surface_format format, const struct draw_abilities *abilities);

/* Makes an initialised region that of the pixels which may change: within box, clip and surface,
 * and where what is moved comes from. */
void display_draw_region(
	const struct draw *draw, const struct surface *surface, struct region *region);

#endif

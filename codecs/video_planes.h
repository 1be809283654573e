/* SPDX-License-Identifier: MIT */
/* Pixels to the planes that video is made of: BT.601's brightness, and two colours of half the width
 * and height. */
#ifndef CODECS_VIDEO_PLANES_H
#define CODECS_VIDEO_PLANES_H

#include <stddef.h>
#include <stdint.h>

enum video_range {
	VIDEO_RANGE_FULL, /* JPEG's: 0 to 255 */
	VIDEO_RANGE_VIDEO, /* VP8's: 16 to 235, colours to 240 */
};

/* Two rows, and what becomes of them. `luma` takes width bytes each, the colours half as many,
 * rounded up; what lies beyond an odd width or height is what lies before it. */
struct video_row_pair {
	const uint8_t *bgrx[2]; /* the second may be the first */
	uint8_t *luma[2]; /* likewise */
	uint8_t *blue, *red;
};

void video_planes_pair(const struct video_row_pair *pair, uint32_t width, enum video_range range);
/* The same without vectors. */
void video_planes_pair_portable(
	const struct video_row_pair *pair, uint32_t width, enum video_range range);

#endif

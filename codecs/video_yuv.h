/* SPDX-License-Identifier: MIT */
/* VP8's colours, BT.601 with 16 to 235 (SPICE's clients take no other), to bytes B, G, R, 255. */
#ifndef CODECS_VIDEO_YUV_H
#define CODECS_VIDEO_YUV_H

#include <stddef.h>
#include <stdint.h>

/* Planes of brightness and of the two colours, which have half the width and height, rounded up. */
struct video_yuv {
	const uint8_t *planes[3];
	int strides[3];
};

/* Writes width x height pixels; the rows of `pixels` lie `stride` bytes apart. */
void video_yuv_to_bgrx(uint8_t *pixels, ptrdiff_t stride, uint32_t width, uint32_t height,
	const struct video_yuv *yuv);
/* The same without vectors. */
void video_yuv_to_bgrx_portable(uint8_t *pixels, ptrdiff_t stride, uint32_t width, uint32_t height,
	const struct video_yuv *yuv);

#endif

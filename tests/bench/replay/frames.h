/* SPDX-License-Identifier: MIT */
/* A file of the frames that were shown in an area of the screen: a struct frames_header, then for
 * each frame its time (CLOCK_MONOTONIC, uint64_t nanoseconds) and its rows, one byte of brightness
 * a pixel. In the machine's own byte order: it does not leave the machine. */
#ifndef TESTS_BENCH_REPLAY_FRAMES_H
#define TESTS_BENCH_REPLAY_FRAMES_H

#include <stdint.h>

struct frames_header {
	char magic[8]; /* FRAMES_MAGIC */
	int32_t x, y;
	uint32_t width, height;
};

#define FRAMES_MAGIC "sbframes"

/* Rec. 601's brightness of 0xXXRRGGBB words, full range. */
static inline void frames_brightness(uint8_t *out, const uint32_t *pixels, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t r = pixels[i] >> 16 & 255, g = pixels[i] >> 8 & 255, b = pixels[i] & 255;

		out[i] = (uint8_t)((r * 19595 + g * 38470 + b * 7471 + 32768) >> 16);
	}
}

#endif

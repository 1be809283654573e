/* SPDX-License-Identifier: MIT */
/* Pictures in memory, xRGB, and drawing into them. Everything clips. */
#ifndef GUEST_GFX_H
#define GUEST_GFX_H

#include "lib.h"

struct rect {
	int32_t x, y, width, height;
};

struct image {
	uint32_t *pixels;
	int32_t width, height, stride; /* stride in pixels */
};

static inline struct rect rect_make(int32_t x, int32_t y, int32_t width, int32_t height)
{
	return (struct rect){ x, y, width, height };
}

static inline bool rect_is_empty(struct rect r)
{
	return r.width <= 0 || r.height <= 0;
}

static inline bool rect_contains(struct rect r, int32_t x, int32_t y)
{
	return x >= r.x && y >= r.y && x < r.x + r.width && y < r.y + r.height;
}

static inline uint32_t rgb(uint32_t r, uint32_t g, uint32_t b)
{
	return r << 16 | g << 8 | b;
}

struct rect rect_intersect(struct rect a, struct rect b);

static inline struct rect image_rect(const struct image *image)
{
	return rect_make(0, 0, image->width, image->height);
}

/* a + (b - a) * t / 256 for each channel, t in 0..256. */
uint32_t color_mix(uint32_t a, uint32_t b, uint32_t t);

void image_fill(struct image *image, struct rect area, uint32_t color);
/* From top to bottom. */
void image_gradient(struct image *image, struct rect area, uint32_t top, uint32_t bottom);
void image_blend(struct image *image, int32_t x, int32_t y, uint32_t color, uint32_t coverage);
/* A filled rectangle with smooth round corners, mixed in with coverage 0..256. */
void image_round(
	struct image *image, struct rect area, int32_t radius, uint32_t color, uint32_t coverage);
void image_disc(struct image *image, float x, float y, float radius, uint32_t color);
void image_line(
	struct image *image, float x0, float y0, float x1, float y1, float width, uint32_t color);
/* Deterministic CRC-32 (IEEE) of the pixels with the unused byte as 0. */
uint32_t image_crc(const struct image *image);

static inline float float_abs(float v)
{
	return v < 0 ? -v : v;
}

static inline float float_clamp(float v, float low, float high)
{
	return v < low ? low : v > high ? high : v;
}

/* Sine of an angle in turns (1 = full circle); error below 0.001. */
float sine(float turns);

#endif

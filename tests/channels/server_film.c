/* SPDX-License-Identifier: MIT */
/* The film and the page. */
#include "tests/channels/server_film.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static uint32_t wave(uint32_t t)
{
	t &= 255;
	return (t < 128 ? t : 255 - t) * 3 / 4;
}

uint32_t film_pixel(uint32_t frame, uint32_t x, uint32_t y)
{
	uint32_t noise = (x * 2654435761u ^ y * 2246822519u ^ frame * 3266489917u) >> 29;
	uint32_t red = wave(x + 3 * frame) + wave(y) + noise;
	uint32_t green = wave(2 * y + frame) + noise;
	uint32_t blue = wave(x + y + 5 * frame) + 60 + noise;

	return red << 16 | green << 8 | blue;
}

uint32_t page_pixel(uint32_t frame, uint32_t x, uint32_t y)
{
	uint32_t row = y + frame;
	uint32_t letter = (x / 8 * 31 + row / 14 * 17) * 2654435761u >> 20;
	bool ink = x % 8 < 6 && row % 14 < 10 && letter >> (x % 8 / 2 + row % 14 / 3 * 3) & 1;

	return ink ? 0x202020 : 0xf8f8f4;
}

struct draw *film_draw(uint32_t (*pixel)(uint32_t frame, uint32_t x, uint32_t y), uint32_t frame,
	struct point origin, const struct rect *area)
{
	struct image *image;
	struct draw *draw;

	assert_int_equal(image_create(&image, IMAGE_XRGB8888, (uint32_t)rect_width(area),
				 (uint32_t)rect_height(area)),
		0);
	for (uint32_t y = 0; y < image->height; y++) {
		uint32_t *row = (uint32_t *)(void *)(image->data + (size_t)y * image->stride);

		for (uint32_t x = 0; x < image->width; x++)
			row[x] = pixel(frame, x + (uint32_t)(area->left - origin.x),
				y + (uint32_t)(area->top - origin.y));
	}
	assert_int_equal(draw_create(&draw, DRAW_COPY, DISPLAY_PRIMARY, area), 0);
	draw->copy.source.image = image;
	draw->copy.area = (struct rect){ 0, 0, (int32_t)image->width, (int32_t)image->height };
	draw->copy.rop.op = ROP_PUT;
	return draw;
}

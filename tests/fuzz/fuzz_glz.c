/* SPDX-License-Identifier: MIT */
/*
 * GLZ streams from a hostile server: each is preceded by its size in two bytes, all go into one small
 * window. What is decoded is read to the last pixel.
 */
#include <stdint.h>
#include <stdlib.h>

#include "codecs/glz.h"

enum { WINDOW_PIXELS = 1 << 16, STREAMS_MAX = 100 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const struct surface *surface)
{
	uint32_t sum = 0;

	for (uint32_t y = 0; y < surface->height; y++)
		for (uint32_t x = 0; x < 4 * surface->width; x++)
			sum += surface_row(surface, y)[x];
	__asm__ volatile("" : : "r"(sum));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t colours[] = { 1, 2, 3, 4, 5 };
	struct surface *surface;
	struct glz_window *window;

	if (glz_window_create(&window, WINDOW_PIXELS))
		return 0;
	for (int i = 0; i < STREAMS_MAX && size >= 2; i++) {
		size_t bytes = data[0] | (size_t)data[1] << 8;
		uint8_t *stream;

		data += 2;
		size -= 2;
		bytes = bytes < size ? bytes : size;
		stream = malloc(bytes ? bytes : 1); /* exactly: what is read beyond is seen */
		if (!stream)
			break;
		__builtin_memcpy(stream, data, bytes);
		if (!glz_decode(window, stream, bytes, colours, 5, &surface)) {
			read_all(surface);
			surface_unref(surface);
		}
		free(stream);
		data += bytes;
		size -= bytes;
	}
	glz_window_destroy(window);
	return 0;
}

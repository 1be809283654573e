/* SPDX-License-Identifier: MIT */
/*
 * JPEGs, JPEGs with alpha and zlib streams from a hostile server. The first byte chooses; the next two
 * say where the alpha begins, or how long the unpacked data has to be.
 */
#include <stdint.h>
#include <stdlib.h>

#include "codecs/jpeg.h"
#include "codecs/zlib_stream.h"

enum { PICTURE_MAX_PIXELS = 1 << 18 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode_picture(const uint8_t *data, size_t size, bool alpha, size_t jpeg_bytes)
{
	uint32_t width, height;
	uint8_t *out;

	if (jpeg_picture_size(data, size, &width, &height) ||
		(uint64_t)width * height > PICTURE_MAX_PIXELS)
		return;
	out = malloc(4 * (size_t)width * height);
	if (out && alpha)
		jpeg_alpha_decode(data, size, jpeg_bytes, width, height, out, 4 * (ptrdiff_t)width);
	else if (out)
		jpeg_picture_decode(data, size, width, height, out, 4 * (ptrdiff_t)width);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t number;
	uint8_t *out;

	if (size < 3)
		return 0;
	number = data[1] | (size_t)data[2] << 8;
	switch (data[0] % 3) {
	case 0: decode_picture(data + 3, size - 3, false, 0); break;
	case 1: decode_picture(data + 3, size - 3, true, number); break;
	default:
		out = malloc(number ? number : 1);
		if (out)
			zlib_stream_decode(data + 3, size - 3, out, number);
		free(out);
		break;
	}
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * Image streams from a hostile server: the first byte chooses the decoder, the rest is the stream.
 * Pictures of up to a megabyte are decoded into a buffer of exactly their size.
 */
#include <stdint.h>
#include <stdlib.h>

#include "codecs/lz.h"
#include "codecs/lz4.h"
#include "codecs/quic.h"

enum { PICTURE_MAX_BYTES = 1 << 20, LZ4_BYTES_MAX = 1 << 16 };

static void decode_lz4(const uint8_t *data, size_t size)
{
	struct lz4_image image;
	size_t bytes = size < 2 ? 0 : (size_t)(data[0] | data[1] << 8) % LZ4_BYTES_MAX;
	uint8_t *out;

	if (size < 2 || lz4_image_parse(&image, data + 2, size - 2))
		return;
	out = malloc(bytes ? bytes : 1);
	if (out)
		lz4_image_decode(&image, out, bytes);
	free(out);
}

static void decode_lz(const uint8_t *data, size_t size)
{
	struct lz_header header;
	uint64_t row, bytes;
	uint8_t *out;

	if (lz_decode_header(data, size, &header))
		return;
	row = lz_row_bytes(header.type, header.width);
	bytes = row * header.height;
	if (bytes > PICTURE_MAX_BYTES)
		return;
	out = malloc(bytes ? bytes : 1);
	if (out)
		lz_decode(data, size, out, (ptrdiff_t)row);
	free(out);
}

static void decode_quic(const uint8_t *data, size_t size)
{
	static const uint8_t pixel_bytes[] = {
		[QUIC_GRAY] = 1, [QUIC_RGB16] = 2, [QUIC_RGB24] = 4, [QUIC_RGB32] = 4, [QUIC_RGBA] = 4
	};
	struct quic_header header;
	uint64_t row, bytes;
	uint8_t *out;

	if (quic_decode_header(data, size, &header))
		return;
	row = (uint64_t)header.width * pixel_bytes[header.type];
	bytes = row * header.height;
	if (bytes > PICTURE_MAX_BYTES)
		return;
	out = malloc(bytes ? bytes : 1);
	if (out)
		quic_decode(data, size, out, (ptrdiff_t)row);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	switch (data[0] % 3) {
	case 0: decode_lz4(data + 1, size - 1); break;
	case 1: decode_lz(data + 1, size - 1); break;
	default: decode_quic(data + 1, size - 1); break;
	}
	return 0;
}

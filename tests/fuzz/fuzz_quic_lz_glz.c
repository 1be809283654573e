/* SPDX-License-Identifier: MIT */
/*
 * Differential: what the encoders of QUIC, LZ and GLZ make of any pixels, the decoders turn back into
 * the same. The first bytes are the codec, the type and the width; the rest are the pixels. A picture
 * goes through GLZ twice and then without its first row, so that there is something to refer to.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "codecs/glz.h"
#include "codecs/quic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct picture {
	uint32_t width, height, pixel_bytes;
	const uint8_t *pixels;
};

static void check(bool same)
{
	if (!same)
		abort(); /* the finding */
}

/* Pixel by pixel: 555 without its highest bit, 24 bit pixels widened, a fourth byte if it counts. */
static void expect_pixels(
	const struct picture *p, const uint8_t *out, uint32_t out_bytes, uint32_t compared)
{
	for (size_t i = 0; i < (size_t)p->width * p->height; i++) {
		const uint8_t *in = p->pixels + i * p->pixel_bytes;

		if (compared == 2)
			check(in[0] == out[2 * i] && (in[1] & 0x7f) == out[2 * i + 1]);
		else
			check(!memcmp(in, out + i * out_bytes, compared));
	}
}

static void through_quic(const struct picture *p, enum quic_type type, uint8_t *out)
{
	uint32_t out_bytes = type == QUIC_RGB24 ? 4 : p->pixel_bytes;
	struct buf stream = { 0 };

	check(!quic_encode(&stream, type, p->width, p->height, p->pixels,
		(ptrdiff_t)p->width * p->pixel_bytes));
	check(!quic_decode(buf_bytes(&stream), stream.size, out, (ptrdiff_t)p->width * out_bytes));
	expect_pixels(p, out, out_bytes, type == QUIC_RGB32 ? 3 : p->pixel_bytes);
	buf_finish(&stream);
}

static void through_lz(const struct picture *p, enum lz_type type, uint8_t *out)
{
	struct buf stream = { 0 };

	check(!lz_encode(&stream, type, p->width, p->height, true, p->pixels,
		(ptrdiff_t)p->width * p->pixel_bytes));
	check(!lz_decode(
		buf_bytes(&stream), stream.size, out, (ptrdiff_t)lz_row_bytes(type, p->width)));
	expect_pixels(p, out, lz_row_bytes(type, 1), type == LZ_RGB32 ? 3 : p->pixel_bytes);
	buf_finish(&stream);
}

static void through_glz(const struct picture *whole, enum lz_type type)
{
	struct glz_dictionary *dictionary;
	struct glz_window *window;

	check(!glz_dictionary_create(&dictionary, 3000) && !glz_window_create(&window, 3000));
	for (int i = 0; i < 3; i++) {
		struct picture p = *whole;
		struct surface *surface;
		struct buf stream = { 0 };

		if (i == 2 && p.height > 1) {
			p.pixels += (size_t)p.width * p.pixel_bytes;
			p.height--;
		}
		check(!glz_encode(dictionary, &stream, type, p.width, p.height, true, p.pixels,
			(ptrdiff_t)p.width * p.pixel_bytes));
		check(!glz_decode(window, buf_bytes(&stream), stream.size, NULL, 0, &surface));
		if (type != LZ_RGB16)
			expect_pixels(&p, surface->data, 4, type == LZ_RGBA ? 4 : 3);
		surface_unref(surface);
		buf_finish(&stream);
	}
	glz_dictionary_destroy(dictionary);
	glz_window_destroy(window);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t pixel_bytes[] = { 2, 3, 4, 4 };
	struct picture p;
	uint32_t which;
	uint8_t *out;

	if (size < 7)
		return 0;
	which = data[1] % 4;
	p = (struct picture){
		.width = data[2] + 1u, .pixel_bytes = pixel_bytes[which], .pixels = data + 3
	};
	size = size - 3 < 12000 ? size - 3 : 12000; /* at most 3000 pixels of four bytes */
	if (p.width * p.pixel_bytes > size)
		p.width = (uint32_t)size / p.pixel_bytes;
	p.height = (uint32_t)size / (p.width * p.pixel_bytes);
	if ((uint64_t)p.width * p.height > 3000)
		p.height = 3000 / p.width;
	out = malloc(4 * (size_t)p.width * p.height);
	if (!out)
		return 0;
	switch (data[0] % 3) {
	case 0: through_quic(&p, (enum quic_type)(QUIC_RGB16 + which), out); break;
	case 1: through_lz(&p, (enum lz_type)(LZ_RGB16 + which), out); break;
	default: through_glz(&p, (enum lz_type)(LZ_RGB16 + which)); break;
	}
	free(out);
	return 0;
}

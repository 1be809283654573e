/* SPDX-License-Identifier: MIT */
/* LZ: pictures come back, a peer's stream is read, broken ones harm nothing. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codecs/lz.h"
#include "codecs/lz_match.h"
#include "core/util.h"
#include "tests/codecs/pictures.h"

static uint32_t in_row_bytes(enum lz_type type, uint32_t width)
{
	return type == LZ_RGB24 ? 3 * width : lz_row_bytes(type, width);
}

static void expect_row(enum lz_type type, const uint8_t *in, const uint8_t *out, uint32_t width)
{
	uint32_t pixel = type == LZ_RGB24 ? 3 : 4;

	for (uint32_t x = 0; (type == LZ_RGB24 || type == LZ_RGB32) && x < width; x++) {
		assert_memory_equal(in + pixel * (size_t)x, out + 4 * (size_t)x, 3);
		assert_int_equal(out[4 * (size_t)x + 3], 0);
	}
	for (uint32_t x = 0; type == LZ_RGB16 && x < width; x++)
		assert_int_equal((in[2 * x] | in[2 * x + 1] << 8) & 0x7fff,
			out[2 * x] | out[2 * x + 1] << 8);
	for (uint32_t x = 0; type == LZ_XXXA && x < width; x++) {
		assert_int_equal(in[4 * (size_t)x + 3], out[4 * (size_t)x + 3]);
		assert_int_equal(out[4 * (size_t)x], 0x11); /* was there before */
	}
	if (type <= LZ_PLT8 || type == LZ_RGBA || type == LZ_A8)
		assert_memory_equal(in, out, lz_row_bytes(type, width));
}

static void pictures_come_back(void **state)
{
	struct picture_random random = { 123 };

	for (int round = 0; round < 900; round++) {
		enum lz_type type = (enum lz_type)(1 + round % 11);
		uint32_t width = 1 + picture_random(&random, round % 7 ? 70 : 3000);
		uint32_t height = 1 + picture_random(&random, 30);
		size_t stride = in_row_bytes(type, width) + picture_random(&random, 5);
		size_t out_stride = lz_row_bytes(type, width) + 4 * picture_random(&random, 2);
		uint8_t *in = malloc(stride * height), *out = malloc(out_stride * height);
		bool top_down = picture_random(&random, 2);
		struct lz_header header;
		struct buf stream = { 0 };

		picture_fill(&random, (enum picture_kind)picture_random(&random, PICTURE_KINDS), in,
			stride * height, stride, 4);
		memset(out, 0x11, out_stride * height);
		assert_int_equal(
			lz_encode(&stream, type, width, height, top_down, in, (ptrdiff_t)stride),
			0);
		assert_int_equal(lz_decode_header(buf_bytes(&stream), stream.size, &header), 0);
		assert_int_equal(header.type, type);
		assert_int_equal(header.width, width);
		assert_int_equal(header.height, height);
		assert_int_equal(header.top_down, top_down);
		assert_int_equal(
			lz_decode(buf_bytes(&stream), stream.size, out, (ptrdiff_t)out_stride), 0);
		for (uint32_t y = 0; y < height; y++)
			expect_row(type, in + stride * (top_down ? y : height - 1 - y),
				out + out_stride * y, width);
		buf_finish(&stream);
		free(in);
		free(out);
	}
}

/* Larger than what the encoder holds at a time, with matches and literals over the seams. */
static void large_pictures_come_back(void **state)
{
	static const enum lz_type types[] = { LZ_RGB16, LZ_RGB24, LZ_RGB32, LZ_RGBA, LZ_A8,
		LZ_PLT8 };
	enum { FLAT, STRIPES, NOISE, REPEATED, MIXED, FILLS };
	struct picture_random random = { 31 };

	for (int round = 0; round < (int)ARRAY_SIZE(types) * FILLS; round++) {
		enum lz_type type = types[round / FILLS];
		uint32_t width = 600 + picture_random(&random, 3000), height = 2000000 / width;
		size_t in_stride = in_row_bytes(type, width), stride = lz_row_bytes(type, width);
		uint8_t *in = malloc(in_stride * height), *out = calloc(height, stride);
		struct buf stream = { 0 };

		for (size_t i = 0, fill = MIXED; i < in_stride * height; i++) {
			if (i % 100000 == 0 && round % FILLS == MIXED)
				fill = picture_random(&random, MIXED);
			else if (round % FILLS != MIXED)
				fill = (size_t)(round % FILLS);
			in[i] = fill == FLAT      ? 7
				: fill == STRIPES ? (uint8_t)(i / 1000 * 13)
						  : (uint8_t)picture_random(&random, 256);
		}
		assert_int_equal(
			lz_encode(&stream, type, width, height, true, in, (ptrdiff_t)in_stride), 0);
		assert_int_equal(
			lz_decode(buf_bytes(&stream), stream.size, out, (ptrdiff_t)stride), 0);
		for (uint32_t y = 0; y < height; y++)
			expect_row(type, in + in_stride * y, out + stride * y, width);
		if (round % FILLS == FLAT) /* one match */
			assert_true(stream.size < 100 + 2 * (size_t)width * height / 255);
		buf_finish(&stream);
		free(in);
		free(out);
	}
}

static void matches_are_as_long_with_vectors(void **state)
{
	struct picture_random random = { 8 };
	uint8_t a[200 + LZ_MATCH_BEHIND], b[200 + LZ_MATCH_BEHIND];

	for (int round = 0; round < 20000; round++) {
		uint32_t size = 1u << picture_random(&random, 3);
		uint32_t most = 1 + picture_random(&random, 200 / size);

		memset(a, 1, sizeof(a));
		memset(b, 1, sizeof(b));
		if (round % 3)
			a[picture_random(&random, sizeof(a))] = 2;
		assert_int_equal(
			lz_match_length_wide(size, a, b, most), lz_match_length(size, a, b, most));
	}
}

/* Far matches: a picture that repeats itself after more than 8191 pixels, and more than 73726. */
static void far_matches_come_back(void **state)
{
	static const uint32_t heights[] = { 20, 160 };

	for (size_t i = 0; i < ARRAY_SIZE(heights); i++) {
		uint32_t width = 1000, height = heights[i];
		size_t size = (size_t)width * height;
		uint8_t *in = malloc(size * 4), *out = malloc(size * 4);
		struct picture_random random = { 9 };
		struct buf stream = { 0 };

		picture_fill(&random, PICTURE_NOISE, in, size * 2, width * 4, 4);
		memcpy(in + size * 2, in, size * 2);
		for (size_t p = 3; p < size * 4; p += 4)
			in[p] = 0;
		assert_int_equal(
			lz_encode(&stream, LZ_RGB32, width, height, true, in, width * 4), 0);
		if (i == 0)
			assert_true(stream.size < size * 2); /* the second half is matches */
		assert_int_equal(lz_decode(buf_bytes(&stream), stream.size, out, width * 4), 0);
		assert_memory_equal(in, out, size * 4);
		buf_finish(&stream);
		free(in);
		free(out);
	}
}

/* Made by spice-common 0.15.1 of the 6x3 picture below: a run, a match and literals. */
static void a_peers_stream_is_read(void **state)
{
	static const uint8_t stream[] = { 0x20, 0x20, 0x5a, 0x4c, 0x00, 0x01, 0x00, 0x01, 0x00,
		0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x06, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00,
		0x18, 0x00, 0x00, 0x00, 0x01, 0x01, 0x30, 0x20, 0x10, 0x30, 0x20, 0x10, 0xa0, 0x00,
		0x0a, 0x03, 0x02, 0x01, 0x06, 0x04, 0x02, 0x09, 0x06, 0x03, 0x0c, 0x08, 0x04, 0x0f,
		0x0a, 0x05, 0x00, 0x00, 0x00, 0x03, 0x02, 0x01, 0x06, 0x04, 0x02, 0x09, 0x06, 0x03,
		0x0c, 0x08, 0x04, 0x0f, 0x0a, 0x05 };
	uint32_t out[18];

	assert_int_equal(lz_decode(stream, sizeof(stream), (uint8_t *)out, 24), 0);
	for (uint32_t i = 0; i < 18; i++)
		assert_int_equal(out[i], i < 7 ? 0x102030 : 0x010203 * (i % 6));
}

static void broken_streams_are_refused_or_harmless(void **state)
{
	enum { WIDTH = 37, HEIGHT = 11 };
	struct picture_random random = { 5 };
	uint8_t pixels[WIDTH * HEIGHT * 4], out[WIDTH * HEIGHT * 4], *bytes;
	struct lz_header header;
	struct buf stream = { 0 };

	for (int type = LZ_PLT1_LE; type <= LZ_A8; type++) {
		uint32_t row = lz_row_bytes((enum lz_type)type, WIDTH);

		picture_fill(&random, type % 2 ? PICTURE_TEXT : PICTURE_NOISE, pixels,
			sizeof(pixels), WIDTH * 4, 4);
		buf_clear(&stream);
		assert_int_equal(lz_encode(&stream, (enum lz_type)type, WIDTH, HEIGHT, true, pixels,
					 WIDTH * 4),
			0);
		for (size_t size = 0; size < stream.size; size++) {
			uint8_t *cut = malloc(size + 1);

			memcpy(cut, buf_bytes(&stream), size);
			assert_int_equal(lz_decode(cut, size, out, (ptrdiff_t)row), -EPROTO);
			free(cut);
		}
	}
	buf_clear(&stream);
	assert_int_equal(lz_encode(&stream, LZ_RGBA, WIDTH, HEIGHT, true, pixels, WIDTH * 4), 0);
	bytes = malloc(stream.size);
	for (int round = 0; round < 5000; round++) {
		memcpy(bytes, buf_bytes(&stream), stream.size);
		for (int n = 0; n < 3; n++)
			bytes[28 + picture_random(&random, (uint32_t)stream.size - 28)] =
				(uint8_t)picture_random(&random, 256);
		lz_decode(bytes, stream.size, out, WIDTH * 4);
	}
	for (uint32_t at = 0; at < 24; at++) {
		memcpy(bytes, buf_bytes(&stream), stream.size);
		bytes[at] ^= 0x40;
		if (!lz_decode_header(bytes, stream.size, &header))
			assert_true(at >= 16 && header.width <= 16384 && header.height <= 16384);
	}
	free(bytes);
	buf_finish(&stream);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pictures_come_back),
		cmocka_unit_test(large_pictures_come_back),
		cmocka_unit_test(matches_are_as_long_with_vectors),
		cmocka_unit_test(far_matches_come_back),
		cmocka_unit_test(a_peers_stream_is_read),
		cmocka_unit_test(broken_streams_are_refused_or_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

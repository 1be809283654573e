/* SPDX-License-Identifier: MIT */
/* QUIC: streams equal the peer's in every byte, come back as the picture, and broken ones harm
 * nothing. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codecs/quic.h"
#include "codecs/quic_near.h"
#include "codecs/quic_rows.h"
#include "core/util.h"
#include "tests/codecs/pictures.h"

static const uint32_t pixel_bytes[] = { 0, 1, 2, 3, 4, 4 };

/* Size and CRC of what spice-common 0.15.1's encoder makes of the same seeded pictures. */
static const struct {
	enum quic_type type;
	enum picture_kind kind;
	uint32_t width, height, stride;
	size_t size;
	uint32_t crc;
} golden[] = {
	{ 1, 0, 129, 31, 129, 4032, 0x2b6bf65au },
	{ 1, 1, 640, 13, 642, 2768, 0x2c3a6ba7u },
	{ 1, 2, 4100, 3, 4100, 2548, 0xa68245f6u },
	{ 1, 3, 1, 1, 3, 28, 0x1d9dfba8u },
	{ 2, 0, 2, 3, 4, 36, 0xcebef7b5u },
	{ 2, 1, 7, 5, 16, 68, 0xda8ba5c1u },
	{ 2, 2, 64, 64, 128, 1788, 0xde057cffu },
	{ 2, 3, 129, 31, 260, 1808, 0x05ed58b5u },
	{ 3, 0, 640, 13, 1920, 25016, 0x003b68d0u },
	{ 3, 1, 4100, 3, 12302, 13716, 0x4ca234e6u },
	{ 3, 2, 1, 1, 3, 28, 0x52555452u },
	{ 3, 3, 2, 3, 8, 40, 0x6a5d5afau },
	{ 4, 0, 7, 5, 28, 132, 0x2a5dcbd0u },
	{ 4, 1, 64, 64, 258, 5116, 0x563e6673u },
	{ 4, 2, 129, 31, 516, 2840, 0x67c70835u },
	{ 4, 3, 640, 13, 2562, 3372, 0x512ef844u },
	{ 5, 0, 4100, 3, 16400, 49260, 0x1334a27eu },
	{ 5, 1, 1, 1, 6, 28, 0x96ed6b01u },
	{ 5, 2, 2, 3, 8, 44, 0x7ddeebb3u },
	{ 5, 3, 7, 5, 30, 72, 0x1cf5395bu },
};

static void streams_equal_the_peers(void **state)
{
	struct picture_random random = { 20260401 };

	for (size_t i = 0; i < ARRAY_SIZE(golden); i++) {
		size_t size = (size_t)golden[i].stride * golden[i].height;
		uint8_t *pixels = malloc(size);
		struct buf out = { 0 };

		picture_fill(&random, golden[i].kind, pixels, size, golden[i].stride,
			pixel_bytes[golden[i].type]);
		assert_int_equal(quic_encode(&out, golden[i].type, golden[i].width,
					 golden[i].height, pixels, golden[i].stride),
			0);
		assert_int_equal(out.size, golden[i].size);
		assert_int_equal(picture_crc(buf_bytes(&out), out.size), golden[i].crc);
		buf_finish(&out);
		free(pixels);
	}
}

/* What the decoder should give for a pixel of the picture. */
static void expect_pixel(enum quic_type type, const uint8_t *in, const uint8_t *out)
{
	switch (type) {
	case QUIC_RGB16: assert_int_equal(in[0] | (in[1] & 0x7f) << 8, out[0] | out[1] << 8); break;
	case QUIC_RGB24:
	case QUIC_RGB32:
		assert_memory_equal(in, out, 3);
		assert_int_equal(out[3], 0);
		break;
	default: assert_memory_equal(in, out, pixel_bytes[type]); break;
	}
}

static void pictures_come_back(void **state)
{
	struct picture_random random = { 77 };

	for (int round = 0; round < 400; round++) {
		enum quic_type type = (enum quic_type)(1 + round % 5);
		uint32_t width = 1 + picture_random(&random, round % 7 ? 70 : 3000);
		uint32_t height = 1 + picture_random(&random, 30);
		uint32_t in_bytes = pixel_bytes[type], out_bytes = in_bytes == 3 ? 4 : in_bytes;
		size_t stride = (size_t)width * in_bytes + picture_random(&random, 5);
		uint8_t *in = malloc(stride * height),
			*out = malloc((size_t)width * out_bytes * height);
		struct quic_header header;
		struct buf stream = { 0 };

		picture_fill(&random, (enum picture_kind)picture_random(&random, PICTURE_KINDS), in,
			stride * height, stride, in_bytes);
		/* Bottom-up in, top-down out: rows in reverse. */
		assert_int_equal(quic_encode(&stream, type, width, height,
					 in + stride * (height - 1), -(ptrdiff_t)stride),
			0);
		assert_int_equal(quic_decode_header(buf_bytes(&stream), stream.size, &header), 0);
		assert_int_equal(header.type, type);
		assert_int_equal(header.width, width);
		assert_int_equal(header.height, height);
		assert_int_equal(quic_decode(buf_bytes(&stream), stream.size, out,
					 (ptrdiff_t)width * out_bytes),
			0);
		for (uint32_t y = 0; y < height; y++)
			for (uint32_t x = 0; x < width; x++)
				expect_pixel(type,
					in + stride * (height - 1 - y) + (size_t)x * in_bytes,
					out + ((size_t)y * width + x) * out_bytes);
		buf_finish(&stream);
		free(in);
		free(out);
	}
}

static void broken_streams_are_refused_or_harmless(void **state)
{
	enum { WIDTH = 37, HEIGHT = 11 };
	struct picture_random random = { 5 };
	uint8_t pixels[WIDTH * HEIGHT * 4], out[WIDTH * HEIGHT * 4];
	struct quic_header header;
	struct buf stream = { 0 };
	uint8_t *bytes;

	for (int type = QUIC_GRAY; type <= QUIC_RGBA; type++) {
		size_t row = (size_t)WIDTH * (type == QUIC_RGB24 ? 4 : pixel_bytes[type]);

		picture_fill(&random, type % 2 ? PICTURE_TEXT : PICTURE_NOISE, pixels,
			sizeof(pixels), WIDTH * 4, 4);
		buf_clear(&stream);
		assert_int_equal(quic_encode(&stream, (enum quic_type)type, WIDTH, HEIGHT, pixels,
					 WIDTH * 4),
			0);
		/* The last words are not needed. */
		for (size_t size = 0; size < stream.size - 12; size++) {
			uint8_t *cut = malloc(size + 1); /* of just that size, for the sanitizer */

			memcpy(cut, buf_bytes(&stream), size);
			for (int fast = 0; fast <= quic_fast_possible(); fast++)
				assert_int_equal(
					quic_decode_as(fast, cut, size, out, (ptrdiff_t)row),
					-EPROTO);
			free(cut);
		}
	}
	bytes = malloc(stream.size);
	for (int round = 0; round < 3000; round++) {
		memcpy(bytes, buf_bytes(&stream), stream.size);
		for (int n = 0; n < 3; n++)
			bytes[20 + picture_random(&random, (uint32_t)stream.size - 20)] =
				(uint8_t)picture_random(&random, 256);
		quic_decode(bytes, stream.size, out, WIDTH * 4);
	}
	for (uint32_t at = 0; at < 20; at++) { /* each byte of the header counts */
		memcpy(bytes, buf_bytes(&stream), stream.size);
		bytes[at] ^= 0x40;
		if (!quic_decode_header(bytes, stream.size, &header))
			assert_true(at >= 12 && header.width <= 16384 && header.height <= 16384);
	}
	free(bytes);
	buf_finish(&stream);
}

/* ---- each way of doing it: for any processor, and with what newer ones have ---- */

static void both_ways_agree(void **state)
{
	struct picture_random random = { 4711 };

	if (!quic_fast_possible()) {
		print_message("no AVX2, BMI2 and LZCNT\n");
		skip();
	}
	for (int round = 0; round < 500; round++) {
		enum quic_type type = (enum quic_type)(1 + round % 5);
		uint32_t width = 1 + picture_random(&random, round % 7 ? 90 : 3000);
		uint32_t height = 1 + picture_random(&random, 60);
		size_t stride = (size_t)width * 4, size = stride * height;
		uint8_t *in = malloc(size), *out[2] = { calloc(1, size), calloc(1, size) };
		struct buf streams[2] = { 0 };
		int err[2];

		picture_fill(&random, (enum picture_kind)picture_random(&random, PICTURE_KINDS), in,
			size, stride, pixel_bytes[type]);
		for (int fast = 0; fast < 2; fast++)
			assert_int_equal(quic_encode_as(fast, &streams[fast], type, width, height,
						 in, (ptrdiff_t)stride),
				0);
		assert_int_equal(streams[0].size, streams[1].size);
		assert_memory_equal(
			buf_bytes(&streams[0]), buf_bytes(&streams[1]), streams[0].size);
		if (round % 3 == 2) /* broken streams are the same to both, too */
			buf_bytes(&streams[0])[20 +
				picture_random(&random, (uint32_t)streams[0].size - 20)] ^= 0x55;
		for (int fast = 0; fast < 2; fast++)
			err[fast] = quic_decode_as(fast, buf_bytes(&streams[0]), streams[0].size,
				out[fast], (ptrdiff_t)stride);
		assert_int_equal(err[0], err[1]);
		if (!err[0])
			assert_memory_equal(out[0], out[1], size);
		for (int fast = 0; fast < 2; fast++) {
			buf_finish(&streams[fast]);
			free(out[fast]);
		}
		free(in);
	}
}

static void learning_is_the_same_without_vectors(void **state)
{
	static const uint32_t triggers[] = { 110, 350, 900 };
	struct picture_random random = { 12 };

	for (uint32_t bits = 5; bits <= 8; bits += 3) {
		struct quic_channel channels[2];
		struct quic_family family;

		quic_family_init(&family, bits);
		for (int i = 0; i < 2; i++)
			quic_channel_reset(&channels[i], &family);
		for (int round = 0; round < 200000; round++) {
			uint32_t bucket = picture_random(&random, bits);
			uint32_t trigger = triggers[round / 1000 % 3];
			/* Long times of small and of large values: counters far apart. */
			uint8_t value =
				(uint8_t)picture_random(&random, round / 5000 % 2 ? 2 : 1u << bits);

			assert_int_equal(
				quic_channel_learn(&channels[0], &family, trigger, bucket, value),
				quic_channel_learn_portable(
					&channels[1], &family, trigger, bucket, value));
			assert_memory_equal(&channels[0], &channels[1], sizeof(channels[0]));
			for (int code = 0; code < QUIC_MAX_CODES; code++)
				assert_true(channels[0].counters[bucket][code] < 32768);
		}
	}
}

static void rows_are_the_same_without_vectors(void **state)
{
	enum { WIDTH = 300, ROOM = QUIC_ROW_BEFORE + WIDTH + QUIC_ROW_BEHIND };
	static const uint32_t masks[] = { 0xffffff, 0xff000000, 0xff0000 };
	struct picture_random random = { 99 };
	uint32_t memory[2][ROOM], *rows[2], out[2][WIDTH + 5];
	uint64_t same[2][WIDTH / 64 + 1];

	for (int round = 0; round < 3000; round++) {
		uint32_t bits = round % 4 ? 8 : 5, width = 1 + picture_random(&random, WIDTH);
		uint32_t from = 1 + picture_random(&random, width), to, mask = masks[round % 3];
		const uint32_t *above;

		for (int n = 0; n < 2; n++) {
			for (int i = 0; i < ROOM; i++) {
				memory[n][i] = picture_random(&random, UINT32_MAX) &
					(bits == 5 ? 0x1f1f1f1f : UINT32_MAX);
				if (i && picture_random(&random, 3))
					memory[n][i] = memory[n][i - 1];
			}
			rows[n] = memory[n] + QUIC_ROW_BEFORE;
		}
		quic_row_differs(rows[0], width, mask, same[0]);
		quic_row_differs_portable(rows[0], width, mask, same[1]);
		for (uint32_t i = 0; i < width; i++)
			assert_int_equal(
				same[0][i / 64] >> i % 64 & 1, same[1][i / 64] >> i % 64 & 1);
		to = from + picture_random(&random, width - from + 1);
		above = round % 5 ? rows[1] : NULL;
		quic_row_residuals(rows[0], above, bits, from, to, out[0]);
		quic_row_residuals_portable(rows[0], above, bits, from, to, out[1]);
		assert_memory_equal(out[0] + from, out[1] + from, 4 * (to - from));
	}
}

static void near_pixels_are_the_same_without_vectors(void **state)
{
	struct picture_random random = { 3 };
	struct near near[2];

	if (!VECTORS) {
		print_message("no vectors\n");
		skip();
	}
	memset(near, 0, sizeof(near));
	for (int round = 0; round < 100000; round++) {
		uint32_t above =
			picture_random(&random, 1u << 24) * (picture_random(&random, 4) == 0);
		uint32_t residuals =
			picture_random(&random, 1u << 24) * (picture_random(&random, 4) == 0);

		assert_int_equal(near_run(&near[0], true, above), near_run(&near[1], false, above));
		assert_int_equal(near_add(&near[0], true, round % 7 == 0, 0xffffff, residuals),
			near_add(&near[1], false, round % 7 == 0, 0xffffff, residuals));
		if (round % 10 == 9) {
			near_behind_run(&near[0], true, round % 3, above);
			near_behind_run(&near[1], false, round % 3, above);
		}
		assert_int_equal(near_left(&near[0], true), near_left(&near[1], false));
	}
}

static void sizes_are_checked(void **state)
{
	struct buf out = { 0 };
	uint8_t pixel[4] = { 0 };

	assert_int_equal(quic_encode(&out, QUIC_RGB32, 0, 1, pixel, 4), -EINVAL);
	assert_int_equal(quic_encode(&out, QUIC_RGB32, 1, 0, pixel, 4), -EINVAL);
	assert_int_equal(quic_encode(&out, QUIC_RGB32, 1u << 20, 1, pixel, 4), -EINVAL);
	assert_int_equal(quic_encode(&out, (enum quic_type)0, 1, 1, pixel, 4), -EINVAL);
	buf_finish(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_equal_the_peers),
		cmocka_unit_test(pictures_come_back),
		cmocka_unit_test(broken_streams_are_refused_or_harmless),
		cmocka_unit_test(both_ways_agree),
		cmocka_unit_test(learning_is_the_same_without_vectors),
		cmocka_unit_test(rows_are_the_same_without_vectors),
		cmocka_unit_test(near_pixels_are_the_same_without_vectors),
		cmocka_unit_test(sizes_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

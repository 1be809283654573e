/* SPDX-License-Identifier: MIT */
/* JPEG: what comes back is like what went in, alpha is exact, broken ones harm nothing. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codecs/jpeg.h"
#include "tests/codecs/pictures.h"

/* A smooth picture with alpha, rows `stride` bytes apart. */
static void paint(uint8_t *pixels, uint32_t width, uint32_t height, size_t stride)
{
	for (uint32_t y = 0; y < height; y++) {
		for (uint32_t x = 0; x < width; x++) {
			uint8_t *p = pixels + stride * y + 4 * (size_t)x;

			p[0] = (uint8_t)(20 + x);
			p[1] = (uint8_t)(40 + y);
			p[2] = (uint8_t)(60 + (x + y) / 2);
			p[3] = (uint8_t)(x * y);
		}
	}
}

static void expect_near(const uint8_t *a, const uint8_t *b, uint32_t count, int most)
{
	for (uint32_t i = 0; i < 4 * count; i++) {
		if (i % 4 != 3 && abs(a[i] - b[i]) > most)
			fail_msg("byte %u: %d, should be %d", i, b[i], a[i]);
	}
}

static void pictures_come_back(void **state)
{
	struct picture_random random = { 11 };

	for (int round = 0; round < 60; round++) {
		uint32_t width = 1 + picture_random(&random, 100), out_width, out_height;
		uint32_t height = 1 + picture_random(&random, 90);
		size_t stride = 4 * (size_t)width + picture_random(&random, 9);
		uint8_t *in = malloc(stride * height), *out = malloc(stride * height);
		struct buf jpeg = { 0 };

		buf_append(&jpeg, "xy", 2); /* is appended to what is there */
		paint(in, width, height, stride);
		assert_int_equal(jpeg_picture_encode(&jpeg, width, height, in, (ptrdiff_t)stride,
					 95, round % 2 ? JPEG_420 : JPEG_444),
			0);
		buf_consume(&jpeg, 2);
		assert_int_equal(
			jpeg_picture_size(buf_bytes(&jpeg), jpeg.size, &out_width, &out_height), 0);
		assert_int_equal(out_width, width);
		assert_int_equal(out_height, height);
		assert_int_equal(jpeg_picture_decode(buf_bytes(&jpeg), jpeg.size, width, height,
					 out, (ptrdiff_t)stride),
			0);
		for (uint32_t y = 0; y < height; y++) {
			expect_near(in + stride * y, out + stride * y, width, 14);
			for (uint32_t x = 0; x < width; x++)
				assert_int_equal(out[stride * y + 4 * (size_t)x + 3], 255);
		}
		assert_int_equal(jpeg_picture_decode(buf_bytes(&jpeg), jpeg.size, width + 1, height,
					 out, (ptrdiff_t)stride),
			-EPROTO);
		buf_finish(&jpeg);
		free(in);
		free(out);
	}
}

static void bottom_up_rows_are_taken_backwards(void **state)
{
	enum { WIDTH = 64, HEIGHT = 48 };
	uint8_t in[WIDTH * HEIGHT * 4], out[WIDTH * HEIGHT * 4];
	struct buf jpeg = { 0 };

	paint(in, WIDTH, HEIGHT, WIDTH * 4);
	assert_int_equal(jpeg_picture_encode(&jpeg, WIDTH, HEIGHT, in + (HEIGHT - 1) * WIDTH * 4,
				 -WIDTH * 4, 95, JPEG_444),
		0);
	assert_int_equal(
		jpeg_picture_decode(buf_bytes(&jpeg), jpeg.size, WIDTH, HEIGHT, out, WIDTH * 4), 0);
	for (int y = 0; y < HEIGHT; y++)
		expect_near(in + (HEIGHT - 1 - y) * WIDTH * 4, out + y * WIDTH * 4, WIDTH, 14);
	buf_finish(&jpeg);
}

static void quality_costs_bytes(void **state)
{
	enum { SIDE = 100 };
	static uint8_t in[SIDE * SIDE * 4];
	struct picture_random random = { 4 };
	struct buf low = { 0 }, high = { 0 }, full = { 0 };

	picture_fill(&random, PICTURE_NOISE, in, sizeof(in), SIDE * 4, 4);
	assert_int_equal(jpeg_picture_encode(&low, SIDE, SIDE, in, SIDE * 4, 20, JPEG_420), 0);
	assert_int_equal(jpeg_picture_encode(&high, SIDE, SIDE, in, SIDE * 4, 90, JPEG_420), 0);
	assert_int_equal(jpeg_picture_encode(&full, SIDE, SIDE, in, SIDE * 4, 90, JPEG_444), 0);
	assert_true(low.size < high.size && high.size < full.size);
	assert_int_equal(jpeg_picture_encode(&low, SIDE, SIDE, in, SIDE * 4, 0, JPEG_420), -EINVAL);
	assert_int_equal(jpeg_picture_encode(&low, 0, SIDE, in, SIDE * 4, 50, JPEG_420), -EINVAL);
	buf_finish(&low);
	buf_finish(&high);
	buf_finish(&full);
}

static void alpha_comes_back_exactly(void **state)
{
	enum { WIDTH = 90, HEIGHT = 70 };
	uint8_t in[WIDTH * HEIGHT * 4], out[WIDTH * HEIGHT * 4];
	size_t jpeg_bytes;
	struct buf both = { 0 };

	paint(in, WIDTH, HEIGHT, WIDTH * 4);
	assert_int_equal(
		jpeg_alpha_encode(&both, &jpeg_bytes, WIDTH, HEIGHT, in, WIDTH * 4, 95, JPEG_420),
		0);
	assert_int_equal(jpeg_alpha_decode(buf_bytes(&both), both.size, jpeg_bytes, WIDTH, HEIGHT,
				 out, WIDTH * 4),
		0);
	expect_near(in, out, WIDTH * HEIGHT, 14);
	for (size_t i = 3; i < sizeof(in); i += 4)
		assert_int_equal(in[i], out[i]);
	for (size_t cut = 0; cut < both.size - jpeg_bytes; cut++)
		assert_int_equal(jpeg_alpha_decode(buf_bytes(&both), jpeg_bytes + cut, jpeg_bytes,
					 WIDTH, HEIGHT, out, WIDTH * 4),
			-EPROTO);
	assert_int_equal(jpeg_alpha_decode(buf_bytes(&both), both.size, both.size + 1, WIDTH,
				 HEIGHT, out, WIDTH * 4),
		-EPROTO);
	assert_int_equal(jpeg_alpha_decode(buf_bytes(&both), both.size, jpeg_bytes, WIDTH,
				 HEIGHT - 1, out, WIDTH * 4),
		-EPROTO);
	buf_finish(&both);
}

static void broken_jpegs_harm_nothing(void **state)
{
	enum { WIDTH = 50, HEIGHT = 40 };
	uint8_t in[WIDTH * HEIGHT * 4], *out = malloc(sizeof(in));
	struct picture_random random = { 21 };
	struct buf jpeg = { 0 };
	int refused = 0;

	paint(in, WIDTH, HEIGHT, WIDTH * 4);
	assert_int_equal(jpeg_picture_encode(&jpeg, WIDTH, HEIGHT, in, WIDTH * 4, 80, JPEG_420), 0);
	for (int round = 0; round < 3000; round++) {
		size_t size = round < (int)jpeg.size ? (size_t)round : jpeg.size;
		uint8_t *copy = malloc(size + 1);

		memcpy(copy, buf_bytes(&jpeg), size);
		for (int n = 0; size == jpeg.size && n < 3; n++)
			copy[picture_random(&random, (uint32_t)size)] =
				(uint8_t)picture_random(&random, 256);
		refused += jpeg_picture_decode(copy, size, WIDTH, HEIGHT, out, WIDTH * 4) != 0;
		free(copy);
	}
	assert_true(refused > 500);
	buf_finish(&jpeg);
	free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pictures_come_back),
		cmocka_unit_test(bottom_up_rows_are_taken_backwards),
		cmocka_unit_test(quality_costs_bytes),
		cmocka_unit_test(alpha_comes_back_exactly),
		cmocka_unit_test(broken_jpegs_harm_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

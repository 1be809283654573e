/* SPDX-License-Identifier: MIT */
/* LZ4 images: our encoder against the decoder, streams in blocks, and streams that err. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <lz4.h>

#include "codecs/lz4.h"

enum { W = 64, H = 40, STRIDE = W * 4 + 12, SIZE = W * H * 4 };

static void fill(uint8_t *rows)
{
	uint32_t seed = 1;

	for (int y = 0; y < H; y++)
		for (int x = 0; x < STRIDE; x++) {
			seed = seed * 1103515245 + 12345;
			rows[y * STRIDE + x] = (uint8_t)(y % 3 ? (uint32_t)x / 16 : seed >> 24);
		}
}

static void test_round_trip(void **state)
{
	uint8_t rows[STRIDE * H], out[SIZE];
	struct buf packed = { 0 };
	struct lz4_image image;

	fill(rows);
	assert_int_equal(lz4_image_encode(&packed, 8, rows, W * 4, STRIDE, H), 0);
	assert_true(packed.size < SIZE);
	assert_int_equal(lz4_image_parse(&image, buf_bytes(&packed), packed.size), 0);
	assert_true(image.top_down);
	assert_int_equal(image.format, 8);
	assert_int_equal(lz4_image_decode(&image, out, SIZE), 0);
	for (int y = 0; y < H; y++)
		assert_memory_equal(out + y * W * 4, rows + y * STRIDE, W * 4);
	/* Another size than was said is an error, either way. */
	assert_int_equal(lz4_image_decode(&image, out, SIZE - 1), -EPROTO);
	buf_finish(&packed);
}

/* Other servers send rows in blocks that refer to the ones before. */
static void test_linked_blocks(void **state)
{
	uint8_t in[8192], out[8192], stream_bytes[2 + 4 * (4 + 4096)] = { 0, 9 };
	LZ4_stream_t stream;
	struct lz4_image image;
	size_t size = 2;

	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i % 2048 * 37 >> 4);
	LZ4_initStream(&stream, sizeof(stream));
	for (int block = 0; block < 4; block++) {
		int n = LZ4_compress_fast_continue(&stream, (char *)in + block * 2048,
			(char *)stream_bytes + size + 4, 2048, 4096, 1);

		assert_true(n > 0 && n < 2048);
		stream_bytes[size + 2] = (uint8_t)(n >> 8);
		stream_bytes[size + 3] = (uint8_t)n;
		size += 4 + (size_t)n;
	}
	assert_int_equal(lz4_image_parse(&image, stream_bytes, size), 0);
	assert_false(image.top_down);
	assert_int_equal(image.format, 9);
	assert_int_equal(lz4_image_decode(&image, out, sizeof(out)), 0);
	assert_memory_equal(in, out, sizeof(in));
}

static void test_truncated(void **state)
{
	uint8_t rows[STRIDE * H];
	uint8_t *out = malloc(SIZE);
	struct buf packed = { 0 };
	struct lz4_image image;

	fill(rows);
	assert_int_equal(lz4_image_encode(&packed, 8, rows, W * 4, STRIDE, H), 0);
	for (size_t size = 0; size < packed.size; size++) {
		uint8_t *copy = malloc(size + 1);

		memcpy(copy, buf_bytes(&packed), size);
		if (lz4_image_parse(&image, copy, size) == 0)
			assert_int_equal(lz4_image_decode(&image, out, SIZE), -EPROTO);
		else
			assert_true(size < 2);
		free(copy);
	}
	buf_finish(&packed);
	free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_linked_blocks),
		cmocka_unit_test(test_truncated),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

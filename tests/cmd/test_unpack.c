/* SPDX-License-Identifier: MIT */
/* Pictures that the guest's driver packed, through the real codecs. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/unpack.h"
#include "codecs/lz.h"
#include "codecs/quic.h"
#include "core/util.h"

enum { WIDTH = 37, HEIGHT = 23 };

static void fill(uint8_t *pixels, size_t size)
{
	for (size_t i = 0; i < size; i++)
		pixels[i] = (uint8_t)(i / 5 * 3 + i % 3);
}

/* Unpacks it, and whatever is left of it when it is cut off, or said to be of another size. */
static void check(enum qxl_packing packing, const struct buf *stream, enum image_format format,
	const uint8_t *pixels, uint32_t row_bytes, uint32_t mask)
{
	struct image *image = NULL;

	assert_int_equal(
		unpack_image(packing, buf_bytes(stream), stream->size, WIDTH, HEIGHT, &image), 0);
	assert_int_equal(image->format, format);
	for (uint32_t y = 0; y < HEIGHT; y++) {
		for (uint32_t x = 0; x + 4 <= row_bytes; x += 4) {
			uint32_t a, b;

			memcpy(&a, image->data + (size_t)y * image->stride + x, 4);
			memcpy(&b, pixels + (size_t)y * row_bytes + x, 4);
			assert_int_equal(a & mask, b & mask);
		}
	}
	image_unref(image);
	image = NULL;
	assert_int_equal(
		unpack_image(packing, buf_bytes(stream), stream->size, WIDTH + 1, HEIGHT, &image),
		-EINVAL);
	assert_int_equal(
		unpack_image(packing, buf_bytes(stream), stream->size, WIDTH, HEIGHT - 1, &image),
		-EINVAL);
	for (size_t size = 0; size < stream->size / 2; size++) {
		uint8_t *part = malloc(size + 1); /* of its own, so that tools see what is read */

		memcpy(part, buf_bytes(stream), size);
		assert_int_equal(unpack_image(packing, part, size, WIDTH, HEIGHT, &image), -EINVAL);
		free(part);
	}
	assert_null(image);
}

static void test_quic(void **state)
{
	uint8_t pixels[WIDTH * HEIGHT * 4];
	struct buf stream = { 0 };

	fill(pixels, sizeof(pixels));
	assert_int_equal(quic_encode(&stream, QUIC_RGB32, WIDTH, HEIGHT, pixels, WIDTH * 4), 0);
	check(QXL_PACKED_QUIC, &stream, IMAGE_XRGB8888, pixels, WIDTH * 4, 0xffffff);
	buf_clear(&stream);
	assert_int_equal(quic_encode(&stream, QUIC_RGBA, WIDTH, HEIGHT, pixels, WIDTH * 4), 0);
	check(QXL_PACKED_QUIC, &stream, IMAGE_ARGB8888, pixels, WIDTH * 4, UINT32_MAX);
	buf_clear(&stream);
	assert_int_equal(quic_encode(&stream, QUIC_RGB16, WIDTH, HEIGHT, pixels, WIDTH * 2), 0);
	check(QXL_PACKED_QUIC, &stream, IMAGE_XRGB1555, pixels, WIDTH * 2, 0x7fff7fff);
	buf_finish(&stream);
}

static void test_lz(void **state)
{
	uint8_t pixels[WIDTH * HEIGHT * 4];
	struct buf stream = { 0 };
	struct image *image = NULL;

	fill(pixels, sizeof(pixels));
	assert_int_equal(lz_encode(&stream, LZ_RGB32, WIDTH, HEIGHT, true, pixels, WIDTH * 4), 0);
	check(QXL_PACKED_LZ, &stream, IMAGE_XRGB8888, pixels, WIDTH * 4, 0xffffff);
	buf_clear(&stream);
	assert_int_equal(lz_encode(&stream, LZ_RGBA, WIDTH, HEIGHT, true, pixels, WIDTH * 4), 0);
	check(QXL_PACKED_LZ, &stream, IMAGE_ARGB8888, pixels, WIDTH * 4, UINT32_MAX);
	buf_clear(&stream);
	/* Indices without colours are of no use. */
	assert_int_equal(lz_encode(&stream, LZ_PLT8, WIDTH, HEIGHT, true, pixels, WIDTH), 0);
	assert_int_equal(
		unpack_image(QXL_PACKED_LZ, buf_bytes(&stream), stream.size, WIDTH, HEIGHT, &image),
		-ENOTSUP);
	buf_finish(&stream);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quic),
		cmocka_unit_test(test_lz),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* zlib streams: come back, are as long as they have to be, broken ones are refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codecs/zlib_stream.h"
#include "tests/codecs/pictures.h"

static void streams_come_back(void **state)
{
	struct picture_random random = { 8 };

	for (int round = 0; round < 100; round++) {
		size_t size = picture_random(&random, round % 5 ? 3000 : 200000);
		uint8_t *in = malloc(size + 1), *out = malloc(size + 1);
		struct buf stream = { 0 };

		picture_fill(&random, (enum picture_kind)picture_random(&random, PICTURE_KINDS), in,
			size, 100, 4);
		assert_int_equal(zlib_stream_encode(&stream, in, size), 0);
		assert_int_equal(zlib_stream_decode(buf_bytes(&stream), stream.size, out, size), 0);
		assert_memory_equal(in, out, size);
		assert_int_equal(zlib_stream_decode(buf_bytes(&stream), stream.size, out, size + 1),
			-EPROTO);
		if (size)
			assert_int_equal(
				zlib_stream_decode(buf_bytes(&stream), stream.size, out, size - 1),
				-EPROTO);
		buf_finish(&stream);
		free(in);
		free(out);
	}
}

static void broken_streams_are_refused(void **state)
{
	uint8_t in[2000], out[2000], *bytes;
	struct picture_random random = { 2 };
	struct buf stream = { 0 };

	picture_fill(&random, PICTURE_TEXT, in, sizeof(in), 100, 4);
	assert_int_equal(zlib_stream_encode(&stream, in, sizeof(in)), 0);
	for (size_t size = 0; size < stream.size; size++) {
		bytes = malloc(size + 1);
		memcpy(bytes, buf_bytes(&stream), size);
		assert_int_equal(zlib_stream_decode(bytes, size, out, sizeof(out)), -EPROTO);
		free(bytes);
	}
	bytes = malloc(stream.size);
	for (size_t at = 0; at < stream.size; at++) { /* the checksum sees it */
		memcpy(bytes, buf_bytes(&stream), stream.size);
		bytes[at] ^= 0x10;
		if (!zlib_stream_decode(bytes, stream.size, out, sizeof(out)))
			assert_memory_equal(in, out, sizeof(in));
	}
	free(bytes);
	buf_finish(&stream);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_come_back),
		cmocka_unit_test(broken_streams_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

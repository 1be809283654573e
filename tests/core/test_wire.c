/* SPDX-License-Identifier: MIT */
/* Buffers and the bounded reader and writer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/wire.h"

static void what_is_written_is_read(void **state)
{
	struct buf buf = { 0 };
	struct wire_writer w;
	struct wire_reader r;
	uint8_t four[4];

	wire_writer_init(&w, &buf);
	wire_write_u8(&w, 0x12);
	wire_write_u16(&w, 0x3456);
	wire_write_u32(&w, 0);
	wire_write_u64(&w, 0x0123456789abcdefu);
	wire_write_i32(&w, -5);
	wire_write_bytes(&w, "abcd", 4);
	wire_write_zero(&w, 3);
	wire_patch_u32(&w, 3, 0xdeadbeef);
	assert_false(w.failed);
	assert_int_equal(buf.size, 1 + 2 + 4 + 8 + 4 + 4 + 3);
	assert_int_equal(buf_bytes(&buf)[3], 0xef); /* little-endian */

	wire_reader_init(&r, buf_bytes(&buf), buf.size);
	assert_int_equal(wire_read_u8(&r), 0x12);
	assert_int_equal(wire_read_u16(&r), 0x3456);
	assert_int_equal(wire_read_u32(&r), 0xdeadbeef);
	assert_true(wire_read_u64(&r) == 0x0123456789abcdefu);
	assert_int_equal(wire_read_i32(&r), -5);
	wire_read_copy(&r, four, 4);
	assert_memory_equal(four, "abcd", 4);
	assert_int_equal(wire_reader_left(&r), 3);
	wire_skip(&r, 3);
	assert_true(wire_reader_ok(&r));
	buf_finish(&buf);
}

static void a_failed_read_is_sticky_and_zero(void **state)
{
	static const uint8_t bytes[5] = { 1, 2, 3, 4, 5 };
	struct wire_reader r;
	uint8_t out[8];

	wire_reader_init(&r, bytes, sizeof(bytes));
	assert_int_equal(wire_read_u32(&r), 0x04030201);
	assert_int_equal(wire_read_u16(&r), 0);
	assert_false(wire_reader_ok(&r));
	assert_int_equal(wire_read_u8(&r), 0); /* though one byte is left */
	assert_int_equal(wire_reader_left(&r), 0);
	memset(out, 0xff, sizeof(out));
	wire_read_copy(&r, out, sizeof(out));
	for (size_t i = 0; i < sizeof(out); i++)
		assert_int_equal(out[i], 0);
	assert_null(wire_read_bytes(&r, 0));

	wire_reader_init(&r, bytes, sizeof(bytes));
	assert_null(wire_read_bytes(&r, SIZE_MAX));
	assert_false(wire_reader_ok(&r));

	wire_reader_init(&r, bytes, sizeof(bytes));
	wire_seek(&r, 4);
	assert_int_equal(wire_read_u8(&r), 5);
	wire_seek(&r, 5);
	assert_true(wire_reader_ok(&r));
	wire_seek(&r, 6);
	assert_false(wire_reader_ok(&r));
}

/* A queue of random appends and consumes gives out what went in. */
static void a_buffer_is_a_queue(void **state)
{
	struct buf buf = { 0 };
	uint8_t next_in = 0, next_out = 0;
	unsigned seed = 7;

	for (int round = 0; round < 5000; round++) {
		size_t in, out;

		seed = seed * 1103515245u + 12345u;
		in = seed >> 16 & 255;
		for (size_t i = 0; i < in; i++) {
			uint8_t byte = next_in++;

			assert_int_equal(buf_append(&buf, &byte, 1), 0);
		}
		seed = seed * 1103515245u + 12345u;
		out = seed >> 16 & 255;
		if (out > buf.size)
			out = buf.size;
		for (size_t i = 0; i < out; i++)
			assert_int_equal(buf_bytes(&buf)[i], next_out++);
		buf_consume(&buf, out);
	}
	assert_true(buf.capacity < 65536); /* it does not grow with what has passed */
	buf_clear(&buf);
	assert_int_equal(buf.size, 0);
	assert_null(buf_reserve(&buf, SIZE_MAX));
	buf_finish(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(a_failed_read_is_sticky_and_zero),
		cmocka_unit_test(a_buffer_is_a_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

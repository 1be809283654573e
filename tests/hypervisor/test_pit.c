/* SPDX-License-Identifier: MIT */
/* The 8254 with a clock of its own: modes, latches, gate, interrupts without drift. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "hypervisor/pit.h"

#define EPOCH UINT64_C(5000000000)

static struct pit pit;
static uint64_t now;

static int setup(void **state)
{
	now = EPOCH;
	pit_reset(&pit, now);
	return 0;
}

/* The first nanosecond of a tick since the reset. */
static uint64_t at_tick(uint64_t tick)
{
	return EPOCH + (tick * UINT64_C(1000000000) + PIT_HZ - 1) / PIT_HZ;
}

static void out(uint16_t port, uint8_t value)
{
	pit_write(&pit, port, value, now);
}

static uint8_t in(uint16_t port)
{
	return pit_read(&pit, port, now);
}

/* Control word and a count of two bytes. */
static void program(unsigned counter, uint8_t mode, uint16_t count)
{
	out(0x43, (uint8_t)(counter << 6 | 0x30 | mode << 1));
	out((uint16_t)(0x40 + counter), (uint8_t)count);
	out((uint16_t)(0x40 + counter), (uint8_t)(count >> 8));
}

static uint16_t count_of(unsigned counter)
{
	uint8_t low;

	out(0x43, (uint8_t)(counter << 6));
	low = in((uint16_t)(0x40 + counter));
	return (uint16_t)(in((uint16_t)(0x40 + counter)) << 8 | low);
}

static uint8_t status_of(unsigned counter)
{
	out(0x43, (uint8_t)(0xe0 | 2 << counter));
	return in((uint16_t)(0x40 + counter));
}

static void test_count(void **state)
{
	program(0, 2, 1000);
	now = at_tick(1);
	assert_int_equal(count_of(0), 999);
	now = at_tick(999);
	assert_int_equal(count_of(0), 1);
	assert_int_equal(status_of(0), 0x34); /* low for that one tick */
	now = at_tick(1000);
	assert_int_equal(count_of(0), 1000);
	assert_int_equal(status_of(0), 0xb4);
	/* 0 means 65536. */
	program(0, 2, 0);
	now = at_tick(1001);
	assert_int_equal(count_of(0), 0xffff);
	/* BCD: 0 means 10000. */
	out(0x43, 0x31 | 2 << 1);
	out(0x40, 0);
	out(0x40, 0);
	now = at_tick(1002);
	assert_int_equal(count_of(0), 0x9999);
}

static void test_latch(void **state)
{
	program(0, 2, 0x8000);
	now = at_tick(0x10);
	out(0x43, 0x00);
	now = at_tick(0x4000);
	out(0x43, 0x00); /* the first latch holds */
	assert_int_equal(in(0x40), 0xf0);
	assert_int_equal(in(0x40), 0x7f);
	assert_int_equal(in(0x40), 0x00); /* not latched any more */
	assert_int_equal(in(0x40), 0x40);
	/* Read-back of status and count of two counters at once; status comes first. */
	program(1, 0, 0x1234);
	out(0x43, 0xc6);
	now = at_tick(0x5000);
	assert_int_equal(in(0x40), 0xb4);
	assert_int_equal(in(0x40), 0x00);
	assert_int_equal(in(0x40), 0x40);
	assert_int_equal(in(0x41), 0x30);
	assert_int_equal(in(0x41), 0x34);
	assert_int_equal(in(0x41), 0x12);
	/* One byte only. */
	out(0x43, 0x50);
	out(0x41, 0x80);
	assert_int_equal(in(0x41), 0x80);
	out(0x43, 0x60);
	out(0x41, 0x80);
	assert_int_equal(in(0x41), 0x80);
	now = at_tick(0x5001);
	assert_int_equal(in(0x41), 0x7f);
}

static void test_once(void **state)
{
	program(0, 0, 2000);
	assert_int_equal(status_of(0) & 0x80, 0);
	assert_int_equal(pit_next_ns(&pit), at_tick(2000));
	now = at_tick(2000) - 1;
	assert_false(pit_run(&pit, now));
	now = at_tick(2000);
	assert_true(pit_run(&pit, now));
	assert_false(pit_run(&pit, now));
	assert_int_equal(status_of(0) & 0x80, 0x80);
	assert_true(pit_next_ns(&pit) == UINT64_MAX);
	now = at_tick(2002);
	assert_int_equal(count_of(0), 0xfffe); /* it counts on */
	program(0, 4, 500);
	assert_int_equal(pit_next_ns(&pit), at_tick(2503));
}

/* A thousand periods, the clock looked at whenever: as many interrupts, at the right times. */
static void test_periodic(void **state)
{
	const uint64_t period = 11932; /* 100 Hz */

	program(0, 2, (uint16_t)period);
	for (uint64_t i = 1; i <= 1000; i++) {
		assert_int_equal(pit_next_ns(&pit), at_tick(i * period));
		now = at_tick(i * period) + i * 7919 % 5000000; /* late now and then */
		assert_true(pit_run(&pit, now));
		assert_false(pit_run(&pit, now));
	}
	/* Those that nobody looked for are counted, up to a limit, and the phase stays. */
	now = at_tick(1003 * period + 5);
	assert_int_equal(pit_run(&pit, now), 3);
	assert_int_equal(pit_run(&pit, now), 0);
	now = at_tick(1010 * period + 5);
	assert_int_equal(pit_run(&pit, now), 7);
	assert_int_equal(pit_run(&pit, now), 0);
	assert_int_equal(pit_next_ns(&pit), at_tick(1011 * period));
	/* A new count is taken at the end of the period. */
	program(0, 2, 20000);
	now = at_tick(1010 * period + 105);
	out(0x40, 0x10);
	out(0x40, 0x27);
	assert_int_equal(status_of(0), 0xf4);
	assert_int_equal(count_of(0), 19900);
	assert_int_equal(pit_next_ns(&pit), at_tick(1010 * period + 20005));
	now = at_tick(1010 * period + 20006);
	assert_int_equal(count_of(0), 9999);
	assert_true(pit_run(&pit, now));
	assert_int_equal(pit_next_ns(&pit), at_tick(1010 * period + 30005));
	/* The host is not kept busy by a period of a microsecond. */
	program(0, 2, 2);
	assert_true(pit_run(&pit, now + 2000));
	assert_true(pit_next_ns(&pit) > now + 200000);
	now += 1000 * 1000;
	assert_in_range(pit_run(&pit, now), 2, 6);
	now += 1000 * 1000 * 1000;
	assert_int_equal(pit_run(&pit, now), PIT_RISES_MAX);
	assert_int_equal(pit_run(&pit, now), 0);
}

static void test_square(void **state)
{
	program(2, 3, 1000);
	out(0x61, 3);
	assert_int_equal(in(0x61) & 0x23, 0x23);
	now = at_tick(499);
	assert_int_equal(in(0x61) & 0x20, 0x20);
	assert_int_equal(count_of(2), 2);
	now = at_tick(500);
	assert_int_equal(in(0x61) & 0x20, 0);
	assert_int_equal(count_of(2), 1000);
	now = at_tick(1000);
	assert_int_equal(in(0x61) & 0x20, 0x20);
}

/* A delay that is polled begins when it is first looked at; counter 0's, which interrupts, does not. */
static void test_looked_at(void **state)
{
	out(0x61, 1);
	program(2, 0, 1000);
	program(0, 0, 1000);
	now = at_tick(800);
	assert_int_equal(in(0x61) & 0x20, 0);
	now = at_tick(1799);
	assert_int_equal(in(0x61) & 0x20, 0);
	assert_int_equal(status_of(0) & 0x80, 0x80);
	now = at_tick(1801);
	assert_int_equal(in(0x61) & 0x20, 0x20);
	program(2, 0, 1000);
	now = at_tick(2500);
	assert_int_equal(count_of(2), 1000);
	now = at_tick(2600);
	assert_int_equal(count_of(2), 900);
	/* Who comes late to its end sees it at the look after. */
	program(2, 0, 1000);
	assert_int_equal(in(0x61) & 0x20, 0);
	now = at_tick(4000);
	assert_int_equal(in(0x61) & 0x20, 0);
	assert_int_equal(in(0x61) & 0x20, 0x20);
	assert_int_equal(in(0x61) & 0x20, 0x20);
}

/* As Linux calibrates: counter 2 in mode 0, started by its gate, polled through port 0x61. */
static void test_gate(void **state)
{
	uint8_t refresh;

	program(2, 0, 100);
	now = at_tick(500);
	assert_int_equal(in(0x61) & 0x21, 0);
	assert_int_equal(count_of(2), 100); /* held */
	out(0x61, 1);
	now = at_tick(599);
	assert_int_equal(in(0x61) & 0x20, 0);
	now = at_tick(600);
	assert_int_equal(in(0x61) & 0x20, 0x20);
	/* Mode 1 begins at the gate's rise, and again. */
	program(2, 1, 100);
	now = at_tick(700);
	assert_int_equal(in(0x61) & 0x20, 0x20);
	out(0x61, 0);
	out(0x61, 1);
	assert_int_equal(in(0x61) & 0x20, 0);
	now = at_tick(790);
	out(0x61, 0);
	out(0x61, 1);
	now = at_tick(889);
	assert_int_equal(in(0x61) & 0x20, 0);
	now = at_tick(890);
	assert_int_equal(in(0x61) & 0x20, 0x20);
	/* Mode 2's output is high while the gate is low; the count begins anew. */
	program(2, 2, 50);
	now = at_tick(890 + 49);
	assert_int_equal(in(0x61) & 0x20, 0);
	out(0x61, 0);
	assert_int_equal(in(0x61) & 0x20, 0x20);
	now = at_tick(1000);
	out(0x61, 1);
	assert_int_equal(count_of(2), 50);
	refresh = in(0x61) & 0x10;
	now = at_tick(1018);
	assert_int_not_equal(in(0x61) & 0x10, refresh);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_count, setup),
		cmocka_unit_test_setup(test_latch, setup),
		cmocka_unit_test_setup(test_once, setup),
		cmocka_unit_test_setup(test_periodic, setup),
		cmocka_unit_test_setup(test_square, setup),
		cmocka_unit_test_setup(test_looked_at, setup),
		cmocka_unit_test_setup(test_gate, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

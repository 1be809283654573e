/* SPDX-License-Identifier: MIT */
/* The clock with a clock of its own: formats, setting, alarms, periodic interrupts, CMOS memory. */
#include "hypervisor/rtc.h"
#include "tests/hypervisor/legacy_fixture.h"

#define SEC INT64_C(1000000000)

struct fixture {
	struct legacy_pc pc;
	struct rtc *rtc;
	int64_t now_ns;
	unsigned asked; /* how often for the time */
};

static int64_t fake_now(void *opaque)
{
	struct fixture *f = opaque;

	f->asked++;
	return f->now_ns;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct rtc_config config = {
		.ram_below_4g = UINT64_C(3) << 30,
		.ram_above_4g = UINT64_C(5) << 30,
		.cpus = 6,
		.now_ns = fake_now,
		.opaque = f,
	};

	legacy_init(&f->pc);
	f->now_ns = INT64_C(1709251199) * SEC; /* 2024-02-29 23:59:59, a Thursday */
	assert_int_equal(rtc_create(&f->rtc, &f->pc.host, &config), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	rtc_destroy(f->rtc);
	legacy_finish(&f->pc);
	free(f);
	return 0;
}

static uint8_t get(struct fixture *f, uint8_t index)
{
	out8(&f->pc, 0x70, index);
	return in8(&f->pc, 0x71);
}

static void set(struct fixture *f, uint8_t index, uint8_t value)
{
	out8(&f->pc, 0x70, index);
	out8(&f->pc, 0x71, value);
}

static void expect_time(struct fixture *f, uint32_t ymd, uint32_t hms)
{
	uint32_t date = (uint32_t)get(f, 0x32) << 24 | get(f, 9) << 16 | get(f, 8) << 8 | get(f, 7);
	uint32_t time = (uint32_t)get(f, 4) << 16 | get(f, 2) << 8 | get(f, 0);

	assert_int_equal(date, ymd);
	assert_int_equal(time, hms);
}

static void test_time(void **state)
{
	struct fixture *f = *state;

	expect_time(f, 0x20240229, 0x235959);
	assert_int_equal(get(f, 6), 5);
	f->now_ns += SEC;
	expect_time(f, 0x20240301, 0x000000);
	assert_int_equal(get(f, 0x37), 0x20);
	set(f, 0x0b, 0x06); /* binary */
	expect_time(f, 0x14180301, 0);
	set(f, 0x0b, 0x00); /* BCD, 12 hours */
	assert_int_equal(get(f, 4), 0x12);
	f->now_ns += 13 * 3600 * SEC;
	assert_int_equal(get(f, 4), 0x81);
}

static void test_updating(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, 0x0a), 0x26);
	f->now_ns += SEC - 200000;
	assert_int_equal(get(f, 0x0a), 0xa6);
	set(f, 0x0b, 0x82); /* the clock stands */
	assert_int_equal(get(f, 0x0a), 0x26);
	f->now_ns += 5 * SEC;
	expect_time(f, 0x20240229, 0x235959);
}

static void test_set(void **state)
{
	struct fixture *f = *state;
	static const uint8_t values[][2] = { { 0, 0x30 }, { 2, 0x15 }, { 4, 0x08 }, { 7, 0x24 },
		{ 8, 0x12 }, { 9, 0x99 }, { 0x32, 0x19 } };

	set(f, 0x0b, 0x82);
	for (unsigned i = 0; i < ARRAY_SIZE(values); i++)
		set(f, values[i][0], values[i][1]);
	f->now_ns += 10 * SEC;
	set(f, 0x0b, 0x02);
	expect_time(f, 0x19991224, 0x081530);
	f->now_ns += 90 * SEC;
	expect_time(f, 0x19991224, 0x081700);
	set(f, 2, 0x59); /* without stopping it */
	expect_time(f, 0x19991224, 0x085900);
	f->now_ns += 60 * SEC;
	expect_time(f, 0x19991224, 0x090000);
	/* Holding the divider stops it too; it goes on half a second later. */
	set(f, 0x0a, 0x76);
	f->now_ns += 60 * SEC;
	expect_time(f, 0x19991224, 0x090000);
	set(f, 0x0a, 0x26);
	f->now_ns += SEC / 2 - 1;
	expect_time(f, 0x19991224, 0x090000);
	f->now_ns += 1;
	expect_time(f, 0x19991224, 0x090001);
}

/* Nonsense is taken without a crash, and the clock goes on from some time. */
static void test_nonsense(void **state)
{
	struct fixture *f = *state;

	for (unsigned mode = 0; mode < 8; mode += 2) {
		for (unsigned value = 0; value < 256; value += 15) {
			set(f, 0x0b, (uint8_t)(0x80 | mode));
			for (uint8_t i = 0; i < 10; i++)
				set(f, i, (uint8_t)value);
			set(f, 0x32, (uint8_t)value);
			set(f, 0x0b, (uint8_t)(0x70 | mode));
			legacy_turn(&f->pc);
			f->now_ns += 100000 * SEC;
			get(f, 0);
			get(f, 0x0c);
			legacy_turn(&f->pc);
		}
	}
	/* The latest year that there is. */
	set(f, 0x0b, 0x82);
	set(f, 0x32, 0x99);
	set(f, 9, 0x99);
	set(f, 0x0b, 0x02);
	assert_int_equal(get(f, 0x32) << 8 | get(f, 9), 0x2191);
}

static void test_update_interrupt(void **state)
{
	struct fixture *f = *state;

	f->now_ns += SEC / 2;
	set(f, 0x0b, 0x12);
	legacy_turn(&f->pc);
	assert_false(f->pc.line[8]);
	f->now_ns += SEC / 2;
	/* The loop's timer is set to real time: half a second. */
	for (unsigned i = 0; i < 3 && !f->pc.line[8]; i++)
		assert_int_equal(loop_run_once(f->pc.host.loop, 1000), 0);
	assert_true(f->pc.line[8]);
	/* Periods pass too, and the alarm is at midnight, though nobody wants to be told. */
	assert_int_equal(get(f, 0x0c), 0xf0);
	assert_false(f->pc.line[8]);
	assert_int_equal(get(f, 0x0c), 0);
}

static void test_alarm(void **state)
{
	struct fixture *f = *state;

	set(f, 1, 0x05);
	set(f, 3, 0xff);
	set(f, 5, 0x00);
	set(f, 0x0b, 0x22);
	get(f, 0x0c);
	f->now_ns += 5 * SEC; /* 00:00:04 */
	assert_int_equal(get(f, 0x0c) & 0xa0, 0);
	f->now_ns += 1 * SEC;
	legacy_turn(&f->pc); /* also the flags of a timer that came too late */
	assert_int_equal(get(f, 0x0c) & 0xa0, 0xa0);
	f->now_ns += 59 * SEC;
	assert_int_equal(get(f, 0x0c) & 0xa0, 0);
	f->now_ns += 1 * SEC;
	assert_int_equal(get(f, 0x0c) & 0xa0, 0xa0);
	f->now_ns += 100 * 86400 * SEC;
	assert_int_equal(get(f, 0x0c) & 0xa0, 0xa0);
	set(f, 5, 0x77); /* never */
	f->now_ns += 100 * 86400 * SEC;
	assert_int_equal(get(f, 0x0c) & 0xa0, 0);
}

static void test_periodic(void **state)
{
	struct fixture *f = *state;
	unsigned count = 0;

	set(f, 0x0b, 0x42); /* at 1024 Hz */
	legacy_turn(&f->pc);
	for (unsigned i = 0; i < 8; i++) {
		f->now_ns += SEC / 1024 + 1;
		if (get(f, 0x0c) & 0x40)
			count++;
		f->now_ns += 1;
		assert_int_equal(get(f, 0x0c) & 0x40, 0);
	}
	assert_int_equal(count, 8);
	assert_int_equal(f->pc.edges[8], 8);
	/* Nobody looks: the line stays up, and the loop has nothing more to do. */
	f->now_ns += SEC;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(loop_run_once(f->pc.host.loop, 20), 0);
	assert_int_equal(f->pc.edges[8], 9);
	f->asked = 0;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(loop_run_once(f->pc.host.loop, 20), 0);
	assert_int_equal(f->asked, 0);
	rtc_reset(f->rtc);
	assert_false(f->pc.line[8]);
	assert_int_equal(get(f, 0x0b), 0x02);
}

static void test_cmos(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, 0x15) | get(f, 0x16) << 8, 640);
	assert_int_equal(get(f, 0x30) | get(f, 0x31) << 8, 0xffff);
	assert_int_equal(get(f, 0x34) | get(f, 0x35) << 8, (3 << 14) - 256);
	assert_int_equal(get(f, 0x5b) | get(f, 0x5c) << 8 | get(f, 0x5d) << 16, 5 << 14);
	assert_int_equal(get(f, 0x5f), 5);
	assert_int_equal(get(f, 0x0d), 0x80);
	set(f, 0x0d, 0);
	assert_int_equal(get(f, 0x8d), 0x80); /* the upper bit of the index masks NMIs */
	set(f, 0x0f, 0x0a);
	rtc_reset(f->rtc);
	assert_int_equal(get(f, 0x0f), 0x0a);
	set(f, 0x0f, 0);
	bus_write(f->pc.host.ports, 0x70, 0x4240, 2);
	assert_int_equal(get(f, 0x40), 0x42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_updating, setup, teardown),
		cmocka_unit_test_setup_teardown(test_set, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(test_update_interrupt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_alarm, setup, teardown),
		cmocka_unit_test_setup_teardown(test_periodic, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cmos, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

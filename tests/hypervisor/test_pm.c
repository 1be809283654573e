/* SPDX-License-Identifier: MIT */
/* ACPI power management, and reset and A20 by the system's ports. */
#include "hypervisor/pm.h"
#include "tests/hypervisor/legacy_fixture.h"

enum { STATUS = 0x600, ENABLE = 0x602, CONTROL = 0x604, TIMER = 0x608 };

struct fixture {
	struct legacy_pc pc;
	struct pm *pm;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	legacy_init(&f->pc);
	assert_int_equal(pm_create(&f->pm, &f->pc.host, f->pc.control), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pm_destroy(f->pm);
	legacy_finish(&f->pc);
	free(f);
	return 0;
}

static uint16_t in16(struct legacy_pc *pc, uint16_t port)
{
	return (uint16_t)bus_read(pc->host.ports, port, 2);
}

static void out16(struct legacy_pc *pc, uint16_t port, uint16_t value)
{
	bus_write(pc->host.ports, port, value, 2);
}

static void test_power_button(void **state)
{
	struct fixture *f = *state;
	struct legacy_pc *pc = &f->pc;

	/* The SMI port switches ACPI on and off. */
	assert_int_equal(in16(pc, CONTROL), 0);
	out8(pc, PM_SMI_PORT, PM_ACPI_ENABLE);
	assert_int_equal(in16(pc, CONTROL), 1);
	out8(pc, PM_SMI_PORT, PM_ACPI_DISABLE);
	assert_int_equal(in16(pc, CONTROL), 0);
	out8(pc, PM_SMI_PORT, PM_ACPI_ENABLE);

	assert_false(pm_power_button(f->pm)); /* not enabled: nobody hears it */
	assert_false(pc->line[9]);
	assert_int_equal(in16(pc, STATUS), 0x0100);
	out16(pc, STATUS, 0x0100);
	assert_int_equal(in16(pc, STATUS), 0);
	out16(pc, ENABLE, 0x0120);
	assert_int_equal(in16(pc, ENABLE), 0x0120);
	assert_true(pm_power_button(f->pm));
	assert_true(pc->line[9]);
	out8(pc, STATUS, 0xff); /* the other byte */
	assert_true(pc->line[9]);
	out8(pc, STATUS + 1, 0x01);
	assert_false(pc->line[9]);
	pm_power_button(f->pm);
	pm_reset(f->pm);
	assert_false(pc->line[9]);
	assert_int_equal(bus_read(pc->host.ports, STATUS, 4), 0);
}

static void test_sleep(void **state)
{
	struct fixture *f = *state;
	struct legacy_pc *pc = &f->pc;

	out16(pc, CONTROL, 0x0000);
	out16(pc, CONTROL, 0x2000 | 1 << 10); /* not the type of S5 */
	legacy_turn(pc);
	assert_int_equal(pc->power_offs, 0);
	assert_int_equal(in16(pc, CONTROL), 1 << 10); /* SLP_EN reads as zero */
	out16(pc, CONTROL, 0x2000);
	assert_int_equal(pc->power_offs, 0); /* not on the guest's thread */
	out8(pc, CONTROL + 1, 0x20);
	out8(pc, 0xcf9, 0x06);
	legacy_turn(pc);
	legacy_turn(pc);
	assert_int_equal(pc->power_offs, 1);
	assert_int_equal(pc->resets, 0); /* there is nothing to reset any more */
}

static uint32_t ticks(struct legacy_pc *pc)
{
	return (uint32_t)bus_read(pc->host.ports, TIMER, 4);
}

static void test_timer(void **state)
{
	struct fixture *f = *state;
	struct legacy_pc *pc = &f->pc;
	uint64_t around_start = clock_monotonic_ns(), start = ticks(pc);
	uint64_t inside_start = clock_monotonic_ns(), inside_end, around_end, passed;

	do {
		inside_end = clock_monotonic_ns();
	} while (inside_end - inside_start < 5000000);
	passed = ((ticks(pc) - start) & 0xffffff) * UINT64_C(1000000000) / 3579545;
	around_end = clock_monotonic_ns();
	/* However long we were kept from running, but for a tick (280 ns) at each end. */
	assert_true(passed + 600 >= inside_end - inside_start);
	assert_true(passed <= around_end - around_start + 600);
	assert_int_equal(ticks(pc) >> 24, 0);
	out16(pc, TIMER, 0); /* read-only */
	assert_true(ticks(pc) != 0);
}

static void test_timer_interrupt(void **state)
{
	struct fixture *f = *state;
	struct legacy_pc *pc = &f->pc;

	out8(pc, PM_SMI_PORT, PM_ACPI_ENABLE);
	out16(pc, STATUS, 0x0001);
	out16(pc, ENABLE, 0x0001);
	/* Bit 23 changes every 2.34 s: the loop's timer wakes us, nothing else does. */
	for (unsigned i = 0; i < 4 && !pc->line[9]; i++)
		assert_int_equal(loop_run_once(pc->host.loop, 3000), 0);
	assert_true(pc->line[9]);
	assert_int_equal(in16(pc, STATUS) & 1, 1);
	out16(pc, ENABLE, 0);
	assert_false(pc->line[9]);
}

static void test_gpe0(void **state)
{
	struct fixture *f = *state;
	struct legacy_pc *pc = &f->pc;

	bus_write(pc->host.ports, PM_GPE0_BASE, 0x12345678, 4);
	assert_int_equal(bus_read(pc->host.ports, PM_GPE0_BASE, 4), 0x12340000);
	assert_int_equal(in8(pc, PM_GPE0_BASE + 3), 0x12);
	pm_reset(f->pm);
	assert_int_equal(bus_read(pc->host.ports, PM_GPE0_BASE, 4), 0);
}

static void test_reset_ports(void **state)
{
	struct fixture *f = *state;
	struct legacy_pc *pc = &f->pc;

	assert_int_equal(in8(pc, 0x92), 0x02);
	out8(pc, 0x92, 0x00);
	assert_false(system_control_a20(pc->control));
	out8(pc, 0x92, 0x02);
	assert_true(system_control_a20(pc->control));
	out8(pc, 0xcf9, 0x02);
	assert_int_equal(in8(pc, 0xcf9), 0x02);
	legacy_turn(pc);
	assert_int_equal(pc->resets, 0);
	for (unsigned i = 0; i < 100; i++)
		out8(pc, 0xcf9, 0x06); /* a guest in a hurry is one request */
	legacy_turn(pc);
	legacy_turn(pc);
	assert_int_equal(pc->resets, 1);
	out8(pc, 0x92, 0x03);
	legacy_turn(pc);
	assert_int_equal(pc->resets, 2);
	/* A request is forgotten by a reset, and by the end of the machine (legacy_finish). */
	out8(pc, 0x92, 0x03);
	system_control_reset(pc->control);
	legacy_turn(pc);
	assert_int_equal(pc->resets, 2);
	out8(pc, 0x92, 0x03);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_power_button, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sleep, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timer_interrupt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gpe0, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset_ports, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

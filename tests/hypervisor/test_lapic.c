/* SPDX-License-Identifier: MIT */
/* LAPICs as the Intel SDM has them, with a clock of their own: four vCPUs, the PIC and the IOAPIC
 * faked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "hypervisor/lapic.h"

enum {
	ID = 0x20,
	VERSION = 0x30,
	TPR = 0x80,
	PPR = 0xa0,
	EOI = 0xb0,
	LDR = 0xd0,
	DFR = 0xe0,
	SVR = 0xf0,
	ISR = 0x100,
	TMR = 0x180,
	IRR = 0x200,
	ESR = 0x280,
	ICR = 0x300,
	ICR2 = 0x310,
	LVT_TIMER = 0x320,
	LVT_LINT0 = 0x350,
	LVT_ERROR = 0x370,
	INITIAL = 0x380,
	CURRENT = 0x390,
	DIVIDE = 0x3e0,
	CPUS = 4,
};

static struct lapic_group group;
static unsigned kicks[CPUS];
static unsigned ended, ended_vector;
static int pic_vector; /* what the PIC has; -1: nothing */
static uint64_t now;

static void on_kick(void *opaque, unsigned cpu)
{
	kicks[cpu]++;
}

static void on_eoi(void *opaque, uint8_t vector)
{
	ended++;
	ended_vector = vector;
}

static int on_acknowledge(void *opaque)
{
	int vector = pic_vector;

	pic_vector = -1;
	lapic_group_set_lint0(&group, false);
	return vector;
}

/* A time-stamp counter of 2 GHz that began at 0. */
static uint64_t on_tsc_ns(void *opaque, unsigned cpu, uint64_t tsc)
{
	return tsc / 2;
}

static const struct lapic_group_ops ops = {
	.kick = on_kick,
	.eoi = on_eoi,
	.acknowledge = on_acknowledge,
	.tsc_ns = on_tsc_ns,
};

static uint32_t get(unsigned cpu, uint32_t offset)
{
	return lapic_read(&group, cpu, offset, now);
}

static void set(unsigned cpu, uint32_t offset, uint32_t value)
{
	lapic_write(&group, cpu, offset, value, now);
}

static int setup(void **state)
{
	memset(&group, 0, sizeof(group));
	group.ops = &ops;
	group.count = CPUS;
	group.x2apic = true;
	now = 1000000;
	lapic_group_reset(&group);
	for (unsigned i = 0; i < CPUS; i++)
		set(i, SVR, 0x1ff);
	memset(kicks, 0, sizeof(kicks));
	ended = 0;
	pic_vector = -1;
	return 0;
}

static uint32_t events(unsigned cpu)
{
	return group.lapics[cpu].events;
}

static bool send(uint8_t vector, uint8_t mode, bool logical, bool level, uint32_t dest)
{
	const struct apic_message message = {
		.vector = vector, .mode = mode, .logical = logical, .level = level, .dest = dest
	};

	return lapic_group_send(&group, &message);
}

static void ipi(unsigned cpu, uint32_t dest, uint32_t low)
{
	set(cpu, ICR2, dest << 24);
	set(cpu, ICR, low);
}

static void test_power_on(void **state)
{
	lapic_group_reset(&group);
	assert_int_equal(get(2, ID), 2 << 24);
	assert_int_equal(get(0, VERSION), 0x50014);
	assert_int_equal(get(1, SVR), 0xff);
	assert_int_equal(get(1, LVT_LINT0), 0x10000);
	assert_int_equal(get(1, DFR), 0xffffffff);
	/* Disabled by software: LVTs stay masked and no vector is taken. */
	set(1, LVT_TIMER, 0x40);
	assert_int_equal(get(1, LVT_TIMER), 0x10040);
	assert_false(send(0x40, APIC_FIXED, false, false, 1));
	set(1, SVR, 0x1ff);
	set(1, LVT_TIMER, 0x40);
	assert_int_equal(get(1, LVT_TIMER), 0x40);
	set(1, SVR, 0xff);
	assert_int_equal(get(1, LVT_TIMER), 0x10040);
}

static void test_priorities(void **state)
{
	assert_true(send(0x35, APIC_FIXED, false, false, 1));
	assert_int_equal(kicks[1], 1);
	assert_int_equal(get(1, IRR + 0x10), 1 << 0x15);
	send(0x41, APIC_FIXED, false, false, 1);
	assert_int_equal(kicks[1], 1);
	assert_int_equal(lapic_accept(&group, 1), 0x41);
	assert_int_equal(get(1, PPR), 0x40);
	assert_int_equal(get(1, ISR + 0x20), 1 << 1);
	assert_int_equal(events(1), 0); /* 0x35 waits */
	send(0x4f, APIC_FIXED, false, false, 1);
	assert_int_equal(events(1), 0); /* of the same class */
	send(0x50, APIC_FIXED, false, false, 1);
	assert_int_equal(lapic_accept(&group, 1), 0x50);
	set(1, EOI, 0);
	assert_int_equal(events(1), 0);
	set(1, EOI, 0);
	assert_int_equal(lapic_accept(&group, 1), 0x4f);
	set(1, EOI, 0);
	/* The task priority. */
	lapic_set_cr8(&group, 1, 3);
	assert_int_equal(get(1, TPR), 0x30);
	assert_int_equal(events(1), 0);
	assert_int_equal(lapic_accept(&group, 1), -1);
	set(1, TPR, 0x2f);
	assert_int_equal(get(1, PPR), 0x2f);
	assert_int_equal(events(1), LAPIC_EVENT_INTR);
	assert_int_equal(lapic_accept(&group, 1), 0x35);
	assert_int_equal(ended, 0);
}

static void test_level(void **state)
{
	send(0x60, APIC_FIXED, false, true, 0);
	assert_int_equal(get(0, TMR + 0x30), 1);
	assert_int_equal(lapic_accept(&group, 0), 0x60);
	set(0, EOI, 0);
	assert_int_equal(ended, 1);
	assert_int_equal(ended_vector, 0x60);
	send(0x60, APIC_FIXED, false, false, 0);
	assert_int_equal(get(0, TMR + 0x30), 0);
	lapic_accept(&group, 0);
	set(0, EOI, 0);
	set(0, EOI, 0); /* nothing to end */
	assert_int_equal(ended, 1);
}

static unsigned who(void)
{
	unsigned cpus = 0;

	for (unsigned i = 0; i < CPUS; i++)
		if (lapic_accept(&group, i) >= 0) {
			cpus |= 1u << i;
			set(i, EOI, 0);
		}
	return cpus;
}

static void test_destinations(void **state)
{
	assert_false(send(0x40, APIC_FIXED, false, false, 7));
	send(0x40, APIC_FIXED, false, false, 2);
	assert_int_equal(who(), 4);
	send(0x40, APIC_FIXED, false, false, 0xff);
	assert_int_equal(who(), 15);
	for (unsigned i = 0; i < CPUS; i++)
		set(i, LDR, 1u << i << 24);
	send(0x40, APIC_FIXED, true, false, 0x0a);
	assert_int_equal(who(), 10);
	/* Clusters: 0 and 1 are in cluster 1, 2 and 3 in cluster 2. */
	for (unsigned i = 0; i < CPUS; i++) {
		set(i, DFR, 0x0fffffff);
		set(i, LDR, (1 + i / 2) << 28 | 1u << i % 2 << 24);
	}
	send(0x40, APIC_FIXED, true, false, 0x23);
	assert_int_equal(who(), 12);
	send(0x40, APIC_FIXED, true, false, 0xf2);
	assert_int_equal(who(), 10);
	/* Lowest priority: one of those that have the least to do, each in turn. */
	set(0, TPR, 0x50);
	send(0x60, APIC_LOWEST_PRIORITY, false, false, 0xff);
	assert_int_equal(who(), 2);
	send(0x60, APIC_LOWEST_PRIORITY, false, false, 0xff);
	assert_int_equal(who(), 4);
	send(0x60, APIC_LOWEST_PRIORITY, false, false, 0xff);
	send(0x61, APIC_LOWEST_PRIORITY, false, false, 0xff);
	assert_int_equal(who(), 8 | 2);
}

static void test_ipis(void **state)
{
	ipi(1, 3, 0x4077);
	assert_int_equal(who(), 8);
	ipi(1, 0, 0x44077); /* self */
	assert_int_equal(who(), 2);
	ipi(1, 0, 0x84077); /* all */
	assert_int_equal(who(), 15);
	ipi(1, 0, 0xc4077); /* all others */
	assert_int_equal(who(), 13);
	assert_int_equal(get(1, ICR), 0xc4077);
	ipi(1, 2, 0x4400);
	assert_int_equal(events(2), LAPIC_EVENT_NMI);
	assert_int_equal(lapic_take(&group, 2, LAPIC_EVENT_NMI), 0);
	assert_int_equal(lapic_take(&group, 2, LAPIC_EVENT_NMI), -1);
}

static void test_startup(void **state)
{
	ipi(0, 1, 0x4699);
	assert_int_equal(events(1), LAPIC_EVENT_SIPI); /* it waits since power-on */
	assert_int_equal(lapic_take(&group, 1, LAPIC_EVENT_SIPI), 0x99);
	ipi(0, 1, 0x469a);
	assert_int_equal(events(1), 0); /* it runs */
	set(1, TPR, 0x40);
	ipi(0, 1, 0xc500); /* INIT */
	ipi(0, 1, 0x8500); /* its de-assertion */
	ipi(0, 1, 0x469b);
	assert_int_equal(events(1), LAPIC_EVENT_INIT | LAPIC_EVENT_SIPI);
	assert_int_equal(lapic_take(&group, 1, LAPIC_EVENT_INIT), 0);
	assert_int_equal(get(1, TPR), 0);
	assert_int_equal(get(1, SVR), 0xff);
	assert_int_equal(lapic_take(&group, 1, LAPIC_EVENT_SIPI), 0x9b);
	/* The first CPU does not wait after INIT. */
	ipi(1, 0, 0x4500);
	assert_int_equal(lapic_take(&group, 0, LAPIC_EVENT_INIT), 0);
	ipi(1, 0, 0x469b);
	assert_int_equal(events(0), 0);
}

static void test_pic(void **state)
{
	set(0, LVT_LINT0, 0x700);
	set(0, TPR, 0xff);
	pic_vector = 0x08;
	lapic_group_set_lint0(&group, true);
	assert_int_equal(events(0), LAPIC_EVENT_INTR); /* whatever the priority */
	assert_int_equal(events(1), 0);
	assert_int_equal(lapic_accept(&group, 0), 0x08);
	assert_int_equal(get(0, ISR), 0); /* the PIC's own affair */
	assert_int_equal(events(0), 0);
	set(0, LVT_LINT0, 0x10700);
	lapic_group_set_lint0(&group, true);
	assert_int_equal(events(0), 0);
	set(0, LVT_LINT0, 0x700);
	assert_int_equal(events(0), LAPIC_EVENT_INTR);
	assert_int_equal(lapic_accept(&group, 0), -1); /* gone meanwhile */
	/* LINT0 as an ordinary interrupt, and as NMI. */
	set(0, TPR, 0);
	set(0, LVT_LINT0, 0x45);
	lapic_group_set_lint0(&group, true);
	assert_int_equal(lapic_accept(&group, 0), 0x45);
	lapic_group_set_lint0(&group, false);
	set(0, LVT_LINT0, 0x400);
	lapic_group_set_lint0(&group, true);
	assert_int_equal(events(0), LAPIC_EVENT_NMI);
	/* Disabled as a whole, the CPU has INTR itself. */
	assert_true(lapic_msr_write(&group, 0, LAPIC_MSR_BASE, LAPIC_GPA | 0x100, now));
	assert_int_equal(events(0), LAPIC_EVENT_NMI | LAPIC_EVENT_INTR);
}

static void test_errors(void **state)
{
	set(1, LVT_ERROR, 0xfe);
	ipi(1, 0, 0x4007); /* a vector below 16 */
	assert_int_equal(get(1, ESR), 0);
	set(1, ESR, 0);
	assert_int_equal(get(1, ESR), 0x20);
	set(1, ESR, 0);
	assert_int_equal(get(1, ESR), 0);
	assert_int_equal(lapic_accept(&group, 1), 0xfe);
	set(1, EOI, 0);
	send(0x0f, APIC_FIXED, false, false, 1);
	get(1, 0x3f0);
	set(1, ESR, 0);
	assert_int_equal(get(1, ESR), 0xc0);
}

static void run(uint64_t at)
{
	now = at;
	for (unsigned i = 0; i < CPUS; i++)
		lapic_timer_run(&group, i, now);
}

static void test_timer(void **state)
{
	set(1, DIVIDE, 3); /* by 16 */
	set(1, LVT_TIMER, 0x40);
	set(1, INITIAL, 1000);
	assert_int_equal(lapic_timer_next_ns(&group, 1), 1016000);
	now = 1008000;
	assert_int_equal(get(1, CURRENT), 500);
	run(1015999);
	assert_int_equal(events(1), 0);
	run(1016000);
	assert_int_equal(lapic_accept(&group, 1), 0x40);
	set(1, EOI, 0);
	assert_int_equal(get(1, CURRENT), 0);
	assert_true(lapic_timer_next_ns(&group, 1) == UINT64_MAX);
	/* Periodic, looked at late: the phase stays. */
	set(1, DIVIDE, 0xb); /* by 1 */
	set(1, LVT_TIMER, 0x20040);
	set(1, INITIAL, 1000000);
	for (uint64_t i = 1; i <= 100; i++) {
		assert_int_equal(lapic_timer_next_ns(&group, 1), 1016000 + i * 1000000);
		run(1016000 + i * 1000000 + i * 7919 % 900000);
		assert_int_equal(lapic_accept(&group, 1), 0x40);
		set(1, EOI, 0);
	}
	run(1016000 + 200 * 1000000 + 1);
	assert_int_equal(lapic_accept(&group, 1), 0x40);
	set(1, EOI, 0);
	assert_int_equal(events(1), 0);
	assert_int_equal(lapic_timer_next_ns(&group, 1), 1016000 + 201 * 1000000);
	assert_int_equal(get(1, CURRENT), 999999);
	/* Masked it counts, and nobody is woken. */
	set(1, LVT_TIMER, 0x30040);
	assert_true(lapic_timer_next_ns(&group, 1) == UINT64_MAX);
	now = 1016000 + 205 * 1000000 + 400000;
	assert_int_equal(get(1, CURRENT), 600000);
	assert_int_equal(events(1), 0);
	set(1, INITIAL, 0);
	assert_int_equal(get(1, CURRENT), 0);
}

static uint64_t deadline(void)
{
	uint64_t value = 0;

	assert_true(lapic_msr_read(&group, 1, LAPIC_MSR_TSC_DEADLINE, &value, now));
	return value;
}

static void test_deadline(void **state)
{
	set(1, LVT_TIMER, 0x40);
	assert_true(lapic_msr_write(&group, 1, LAPIC_MSR_TSC_DEADLINE, 5000000, now));
	assert_int_equal(deadline(), 0); /* not in that mode */
	set(1, LVT_TIMER, 0x40040);
	assert_true(lapic_msr_write(&group, 1, LAPIC_MSR_TSC_DEADLINE, 5000000, now));
	assert_int_equal(deadline(), 5000000);
	assert_int_equal(lapic_timer_next_ns(&group, 1), 2500000);
	set(1, INITIAL, 5);
	assert_int_equal(lapic_timer_next_ns(&group, 1), 2500000);
	run(2500000);
	assert_int_equal(lapic_accept(&group, 1), 0x40);
	set(1, EOI, 0);
	assert_int_equal(deadline(), 0);
	/* One of the past comes at once; 0 disarms. */
	lapic_msr_write(&group, 1, LAPIC_MSR_TSC_DEADLINE, 1, now);
	assert_int_equal(lapic_accept(&group, 1), 0x40);
	set(1, EOI, 0);
	lapic_msr_write(&group, 1, LAPIC_MSR_TSC_DEADLINE, 6000000, now);
	lapic_msr_write(&group, 1, LAPIC_MSR_TSC_DEADLINE, 0, now);
	assert_true(lapic_timer_next_ns(&group, 1) == UINT64_MAX);
	lapic_msr_write(&group, 1, LAPIC_MSR_TSC_DEADLINE, 6000000, now);
	set(1, LVT_TIMER, 0x40);
	assert_true(lapic_timer_next_ns(&group, 1) == UINT64_MAX);
}

static bool msr(unsigned cpu, uint32_t index, uint64_t value)
{
	return lapic_msr_write(&group, cpu, index, value, now);
}

static void test_x2apic(void **state)
{
	uint64_t value = 0;

	assert_false(lapic_msr_read(&group, 1, 0x802, &value, now));
	assert_false(msr(1, LAPIC_MSR_BASE, LAPIC_GPA | 0x400));
	assert_false(msr(1, LAPIC_MSR_BASE, LAPIC_GPA | 0xa00));
	for (unsigned i = 0; i < CPUS; i++)
		assert_true(msr(i, LAPIC_MSR_BASE, LAPIC_GPA | 0xc00));
	assert_false(msr(1, LAPIC_MSR_BASE, LAPIC_GPA | 0x800));
	assert_true(lapic_msr_read(&group, 3, 0x802, &value, now));
	assert_int_equal(value, 3);
	assert_true(lapic_msr_read(&group, 3, 0x80d, &value, now));
	assert_int_equal(value, 8);
	assert_false(msr(3, 0x80d, 8));
	assert_false(msr(3, 0x80b, 1));
	assert_false(msr(3, 0x808, 0x100));
	assert_false(lapic_msr_read(&group, 3, 0x80e, &value, now));
	assert_false(lapic_msr_read(&group, 3, 0x831, &value, now));
	assert_true(msr(0, 0x830, UINT64_C(2) << 32 | 0x4077));
	assert_int_equal(lapic_accept(&group, 2), 0x77);
	assert_true(msr(2, 0x80b, 0));
	assert_true(msr(0, 0x830, UINT64_C(0xb) << 32 | 0x4877)); /* logical */
	assert_int_equal(events(0) | events(1) << 4 | events(2) << 8 | events(3) << 12, 0x1011);
	assert_true(msr(2, 0x83f, 0x99));
	assert_int_equal(lapic_accept(&group, 2), 0x99);
	/* Off, and on again as after a reset. */
	assert_true(msr(2, LAPIC_MSR_BASE, LAPIC_GPA));
	assert_false(msr(2, LAPIC_MSR_BASE, LAPIC_GPA | 0xc00));
	assert_true(msr(2, LAPIC_MSR_BASE, LAPIC_GPA | 0x800));
	assert_int_equal(get(2, SVR), 0xff);
	group.x2apic = false;
	assert_false(msr(2, LAPIC_MSR_BASE, LAPIC_GPA | 0xc00));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_power_on, setup),
		cmocka_unit_test_setup(test_priorities, setup),
		cmocka_unit_test_setup(test_level, setup),
		cmocka_unit_test_setup(test_destinations, setup),
		cmocka_unit_test_setup(test_ipis, setup),
		cmocka_unit_test_setup(test_startup, setup),
		cmocka_unit_test_setup(test_pic, setup),
		cmocka_unit_test_setup(test_errors, setup),
		cmocka_unit_test_setup(test_timer, setup),
		cmocka_unit_test_setup(test_deadline, setup),
		cmocka_unit_test_setup(test_x2apic, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* The software CPUs' interrupt chips as they are wired: lines, messages, processors' start, timers on
 * their thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "core/util.h"
#include "hypervisor/lapic.h"
#include "hypervisor/soft_internal.h"

enum {
	CPUS = 2,
	IOAPIC_SELECT = 0,
	IOAPIC_DATA = 0x10,
	LAPIC_EOI = 0xb0,
	LAPIC_SVR = 0xf0,
	LAPIC_ICR = 0x300,
	LAPIC_ICR2 = 0x310,
	LAPIC_TIMER = 0x320,
	LAPIC_LINT0 = 0x350,
	LAPIC_INITIAL = 0x380,
	LAPIC_DIVIDE = 0x3e0,
	PATIENCE_MS = 20000,
};

#define IOAPIC_WINDOW_GPA UINT64_C(0xfec00000)
#define MS                UINT64_C(1000000)

struct fixture {
	struct soft_engine engine;
	struct soft_irq *irq;
	struct bus *ports, *mmio;
};

static void lapic_set(struct fixture *f, unsigned cpu, uint32_t offset, uint32_t value)
{
	soft_irq_lapic_write(f->irq, cpu, offset, value, 4);
}

static void ioapic_set(struct fixture *f, uint32_t reg, uint32_t value)
{
	bus_write(f->mmio, IOAPIC_WINDOW_GPA + IOAPIC_SELECT, reg, 4);
	bus_write(f->mmio, IOAPIC_WINDOW_GPA + IOAPIC_DATA, value, 4);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	for (unsigned i = 0; i < CPUS; i++) {
		struct soft_cpu *cpu = aligned_alloc(64, ALIGN_UP(sizeof(*cpu), (size_t)64));

		memset(cpu, 0, sizeof(*cpu));
		cpu->engine = &f->engine;
		cpu->index = i;
		pthread_mutex_init(&cpu->sleep_lock, NULL);
		pthread_cond_init(&cpu->wake, NULL);
		f->engine.cpus[i] = cpu;
	}
	assert_int_equal(bus_create(&f->ports, false, NULL, NULL), 0);
	assert_int_equal(bus_create(&f->mmio, true, NULL, NULL), 0);
	assert_int_equal(soft_irq_create(&f->irq, &f->engine.base.irq, f->engine.cpus, CPUS), 0);
	f->engine.chips = f->irq;
	assert_int_equal(soft_irq_attach(f->irq, f->ports, f->mmio), 0);
	assert_int_equal(soft_irq_attach(f->irq, f->ports, f->mmio), 0);
	for (unsigned i = 0; i < CPUS; i++)
		lapic_set(f, i, LAPIC_SVR, 0x1ff);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	bus_destroy(f->ports);
	bus_destroy(f->mmio);
	soft_irq_destroy(f->irq);
	for (unsigned i = 0; i < CPUS; i++) {
		pthread_mutex_destroy(&f->engine.cpus[i]->sleep_lock);
		pthread_cond_destroy(&f->engine.cpus[i]->wake);
		free(f->engine.cpus[i]);
	}
	free(f);
	return 0;
}

static uint32_t take_requests(struct fixture *f, unsigned cpu)
{
	return __atomic_exchange_n(&f->engine.cpus[cpu]->request, 0, __ATOMIC_SEQ_CST);
}

/* Waits for an interrupt as a CPU that halts, and takes it. */
static int wait_interrupt(struct fixture *f, unsigned cpu)
{
	const struct timespec pause = { .tv_nsec = 100000 };
	uint64_t end = clock_monotonic_ns() + PATIENCE_MS * MS;
	int vector = -1;

	while (vector < 0) {
		assert_true(clock_monotonic_ns() < end);
		if (take_requests(f, cpu) & SOFT_REQUEST_IRQ)
			vector = soft_irq_acknowledge(f->irq, cpu);
		else
			nanosleep(&pause, NULL);
	}
	return vector;
}

/* Ticks that came while the CPU took none follow one by one, each when the one before was taken; those
 * of another count do not, nor those that were masked. */
static void test_ticks_are_not_lost(void **state)
{
	const struct timespec pause = { .tv_nsec = 30 * MS };
	struct fixture *f = *state;
	unsigned ticks = 0;

	bus_write(f->ports, 0x21, 0xff, 1);
	ioapic_set(f, 0x10 + 2 * 2, 0x30);
	bus_write(f->ports, 0x43, 0x34, 1);
	bus_write(f->ports, 0x40, 0xa9, 1); /* 1193 ticks: a millisecond */
	bus_write(f->ports, 0x40, 0x04, 1);
	nanosleep(&pause, NULL);
	/* Each write to the chip has it look at the time. */
	bus_write(f->ports, 0x61, 0, 1);
	while (soft_irq_pending(f->irq, 0) && ticks < 25) {
		assert_int_equal(soft_irq_acknowledge(f->irq, 0), 0x30);
		lapic_set(f, 0, LAPIC_EOI, 0);
		ticks++;
	}
	assert_int_equal(ticks, 25);
	/* A count that never begins, as its other half is not written. */
	nanosleep(&pause, NULL);
	bus_write(f->ports, 0x43, 0x30, 1);
	bus_write(f->ports, 0x40, 0xff, 1);
	assert_int_equal(soft_irq_acknowledge(f->irq, 0), 0x30);
	lapic_set(f, 0, LAPIC_EOI, 0);
	assert_false(soft_irq_pending(f->irq, 0));
	ioapic_set(f, 0x10 + 2 * 2, 0x10030);
	bus_write(f->ports, 0x43, 0x34, 1);
	bus_write(f->ports, 0x40, 0xa9, 1);
	bus_write(f->ports, 0x40, 0x04, 1);
	nanosleep(&pause, NULL);
	bus_write(f->ports, 0x61, 0, 1);
	assert_false(soft_irq_pending(f->irq, 0));
}

/* The PIC through LINT0, and the same line at the IOAPIC. */
static void test_lines(void **state)
{
	struct fixture *f = *state;

	bus_write(f->ports, 0x20, 0x11, 1);
	bus_write(f->ports, 0x21, 0x30, 1);
	bus_write(f->ports, 0x21, 0x04, 1);
	bus_write(f->ports, 0x21, 0x01, 1);
	lapic_set(f, 0, LAPIC_LINT0, 0x700);
	take_requests(f, 0);
	irq_set_gsi(&f->engine.base.irq, 4, true);
	assert_true(soft_irq_pending(f->irq, 0));
	assert_int_equal(wait_interrupt(f, 0), 0x34);
	assert_false(soft_irq_pending(f->irq, 0));
	irq_set_gsi(&f->engine.base.irq, 4, false);
	bus_write(f->ports, 0x21, 0xff, 1);
	/* A level at the IOAPIC, to the second CPU: again until the device is content. */
	ioapic_set(f, 0x10 + 2 * 11 + 1, 1u << 24);
	ioapic_set(f, 0x10 + 2 * 11, 0x8051);
	irq_set_gsi(&f->engine.base.irq, 11, true);
	assert_int_equal(wait_interrupt(f, 1), 0x51);
	assert_false(soft_irq_pending(f->irq, 1));
	lapic_set(f, 1, LAPIC_EOI, 0);
	assert_int_equal(wait_interrupt(f, 1), 0x51);
	irq_set_gsi(&f->engine.base.irq, 11, false);
	lapic_set(f, 1, LAPIC_EOI, 0);
	assert_false(soft_irq_pending(f->irq, 1));
	assert_int_equal(soft_irq_acknowledge(f->irq, 1), -1);
	irq_set_gsi(&f->engine.base.irq, 24, true);
	irq_set_gsi(&f->engine.base.irq, UINT32_MAX, true);
}

static void test_messages(void **state)
{
	struct fixture *f = *state;

	irq_send_msi(&f->engine.base.irq, 0xfee01000, 0x4061);
	irq_send_msi(&f->engine.base.irq, 0xfee01000, 0x4072);
	assert_int_equal(wait_interrupt(f, 1), 0x72);
	assert_false(soft_irq_pending(f->irq, 1)); /* the lesser one waits for the end */
	lapic_set(f, 1, LAPIC_EOI, 0);
	assert_int_equal(wait_interrupt(f, 1), 0x61);
	assert_int_equal(take_requests(f, 0), 0);
	/* Neither to nobody nor elsewhere. */
	irq_send_msi(&f->engine.base.irq, 0xfee05000, 0x4061);
	irq_send_msi(&f->engine.base.irq, UINT64_C(0x1fee00000), 0x4061);
	irq_send_msi(&f->engine.base.irq, 0, 0x4061);
	assert_int_equal(take_requests(f, 0) | take_requests(f, 1), 0);
}

static void test_start(void **state)
{
	struct fixture *f = *state;

	lapic_set(f, 0, LAPIC_ICR2, 1u << 24);
	lapic_set(f, 0, LAPIC_ICR, 0xc500);
	assert_int_equal(take_requests(f, 1), SOFT_REQUEST_INIT);
	lapic_set(f, 0, LAPIC_ICR, 0x4612);
	assert_int_equal(take_requests(f, 1), SOFT_REQUEST_SIPI);
	assert_int_equal(f->engine.cpus[1]->sipi_vector, 0x12);
	lapic_set(f, 0, LAPIC_ICR, 0x4613); /* it runs by now */
	assert_int_equal(take_requests(f, 1), 0);
	assert_int_equal(f->engine.cpus[1]->sipi_vector, 0x12);
	lapic_set(f, 0, LAPIC_ICR, 0x4400);
	assert_int_equal(take_requests(f, 1), SOFT_REQUEST_NMI);
}

static void test_cr8(void **state)
{
	struct fixture *f = *state;

	soft_irq_set_cr8(f->irq, 0, 5);
	assert_int_equal(soft_irq_cr8(f->irq, 0), 5);
	irq_send_msi(&f->engine.base.irq, 0xfee00000, 0x4051);
	assert_int_equal(take_requests(f, 0), 0);
	soft_irq_set_cr8(f->irq, 0, 4);
	assert_int_equal(wait_interrupt(f, 0), 0x51);
}

/* Periodic, and TSC-deadline: never early. */
static void test_lapic_timer(void **state)
{
	struct fixture *f = *state;
	uint64_t begin = clock_monotonic_ns(), value = 1;
	uint64_t deadline;

	lapic_set(f, 0, LAPIC_DIVIDE, 0xb);
	lapic_set(f, 0, LAPIC_TIMER, 0x20040);
	lapic_set(f, 0, LAPIC_INITIAL, (uint32_t)MS);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(wait_interrupt(f, 0), 0x40);
		lapic_set(f, 0, LAPIC_EOI, 0);
	}
	assert_true(clock_monotonic_ns() - begin >= 20 * MS);
	lapic_set(f, 0, LAPIC_INITIAL, 0);
	lapic_set(f, 0, LAPIC_TIMER, 0x40041);
	deadline = soft_tsc(f->engine.cpus[0]) + soft_tsc_hz() / 200;
	while (soft_irq_acknowledge(f->irq, 0) >= 0) /* one of before */
		lapic_set(f, 0, LAPIC_EOI, 0);
	assert_int_equal(soft_irq_msr_write(f->irq, 0, LAPIC_MSR_TSC_DEADLINE, deadline), 0);
	assert_int_equal(wait_interrupt(f, 0), 0x41);
	/* The clocks are told apart by no more than how they are compared. */
	assert_true(soft_tsc(f->engine.cpus[0]) + soft_tsc_hz() / 10000 >= deadline);
	assert_int_equal(soft_irq_msr_read(f->irq, 0, LAPIC_MSR_TSC_DEADLINE, &value), 0);
	assert_int_equal(value, 0);
	assert_int_equal(soft_irq_msr_read(f->irq, 0, 0x802, &value), -EINVAL);
}

/* The interval timer's 1000 Hz at the IOAPIC's input 2. */
static void test_interval_timer(void **state)
{
	struct fixture *f = *state;
	uint64_t begin;

	bus_write(f->ports, 0x21, 0xff, 1);
	ioapic_set(f, 0x10 + 2 * 2 + 1, 0);
	ioapic_set(f, 0x10 + 2 * 2, 0x30);
	bus_write(f->ports, 0x43, 0x34, 1);
	begin = clock_monotonic_ns();
	bus_write(f->ports, 0x40, 0xa9, 1);
	bus_write(f->ports, 0x40, 0x04, 1);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(wait_interrupt(f, 0), 0x30);
		lapic_set(f, 0, LAPIC_EOI, 0);
	}
	assert_true(clock_monotonic_ns() - begin >= 19 * MS);
	/* Nothing of it is left by a reset. */
	soft_irq_reset(f->irq);
	take_requests(f, 0);
	assert_false(soft_irq_pending(f->irq, 0));
	assert_int_equal(soft_irq_lapic_read(f->irq, 0, LAPIC_SVR, 4), 0xff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ticks_are_not_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_messages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_start, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cr8, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lapic_timer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_interval_timer, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

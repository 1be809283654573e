/* SPDX-License-Identifier: MIT */
/* The IOAPIC as its data sheet has it, with LAPICs that take or refuse what it sends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "hypervisor/ioapic.h"
#include "hypervisor/lapic.h"

static struct ioapic ioapic;
static struct apic_message last;
static unsigned sent;
static bool refused;

static bool take(void *opaque, const struct apic_message *message)
{
	if (refused)
		return false;
	last = *message;
	sent++;
	return true;
}

static int setup(void **state)
{
	memset(&ioapic, 0, sizeof(ioapic));
	ioapic.send = take;
	ioapic_reset(&ioapic);
	sent = 0;
	refused = false;
	return 0;
}

static void set(uint8_t reg, uint32_t value)
{
	ioapic_write(&ioapic, 0, reg);
	ioapic_write(&ioapic, 0x10, value);
}

static uint32_t get(uint8_t reg)
{
	ioapic_write(&ioapic, 0, reg);
	return ioapic_read(&ioapic, 0x10);
}

static void test_registers(void **state)
{
	assert_int_equal(get(1), 0x00170020);
	assert_int_equal(get(0x10), 0x10000);
	set(0, 0x0f000000);
	assert_int_equal(get(0), 0x0f000000);
	assert_int_equal(get(2), 0x0f000000);
	set(0x3f, 0xffffffff);
	assert_int_equal(get(0x3f), 0xff000000);
	set(0x3e, 0xffffffff);
	assert_int_equal(get(0x3e), 0x1afff); /* delivery status and remote IRR are read-only */
	assert_int_equal(get(0x40), 0);
	set(0xff, 1);
}

static void test_edge(void **state)
{
	set(0x13, 0x05000000);
	set(0x12, 0x0931); /* logical, lowest priority */
	ioapic_set_input(&ioapic, 1, true);
	assert_int_equal(sent, 1);
	assert_int_equal(last.vector, 0x31);
	assert_int_equal(last.mode, APIC_LOWEST_PRIORITY);
	assert_int_equal(last.dest, 5);
	assert_true(last.logical);
	assert_false(last.level);
	ioapic_set_input(&ioapic, 1, true);
	assert_int_equal(sent, 1);
	ioapic_set_input(&ioapic, 1, false);
	ioapic_set_input(&ioapic, 1, true);
	assert_int_equal(sent, 2);
	/* Masked, an edge is lost. */
	ioapic_set_input(&ioapic, 1, false);
	set(0x12, 0x10931);
	ioapic_set_input(&ioapic, 1, true);
	set(0x12, 0x0931);
	assert_int_equal(sent, 2);
	ioapic_set_input(&ioapic, 24, true);
	ioapic_set_input(&ioapic, UINT32_MAX, true);
}

static void test_level(void **state)
{
	set(0x24, 0x18040); /* input 10: level, masked */
	ioapic_set_input(&ioapic, 10, true);
	assert_int_equal(sent, 0);
	set(0x24, 0x8040);
	assert_int_equal(sent, 1);
	assert_true(last.level);
	assert_int_equal(get(0x24), 0xc040); /* remote IRR */
	ioapic_set_input(&ioapic, 10, false);
	ioapic_set_input(&ioapic, 10, true);
	assert_int_equal(sent, 1); /* it is being served */
	ioapic_eoi(&ioapic, 0x41);
	assert_int_equal(sent, 1);
	ioapic_eoi(&ioapic, 0x40);
	assert_int_equal(sent, 2); /* still high */
	ioapic_set_input(&ioapic, 10, false);
	ioapic_write(&ioapic, 0x40, 0x40); /* the EOI register */
	assert_int_equal(get(0x24), 0x8040);
	assert_int_equal(sent, 2);
	/* Nobody took it: it is tried again. */
	refused = true;
	ioapic_set_input(&ioapic, 10, true);
	assert_int_equal(get(0x24), 0x8040);
	refused = false;
	ioapic_set_input(&ioapic, 10, true);
	assert_int_equal(sent, 3);
	/* Turned to edge, the remote IRR goes. */
	set(0x24, 0x10040);
	set(0x24, 0x18040);
	assert_int_equal(get(0x24), 0x18040);
}

/* Two inputs with one vector end together. */
static void test_shared(void **state)
{
	set(0x20, 0x8050);
	set(0x22, 0x8050);
	ioapic_set_input(&ioapic, 8, true);
	ioapic_set_input(&ioapic, 9, true);
	assert_int_equal(sent, 2);
	ioapic_set_input(&ioapic, 8, false);
	ioapic_eoi(&ioapic, 0x50);
	assert_int_equal(sent, 3);
	assert_int_equal(get(0x20), 0x8050);
	assert_int_equal(get(0x22), 0xc050);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_registers, setup),
		cmocka_unit_test_setup(test_edge, setup),
		cmocka_unit_test_setup(test_level, setup),
		cmocka_unit_test_setup(test_shared, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

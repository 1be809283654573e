/* SPDX-License-Identifier: MIT */
/* A small fake PC for the tests of legacy devices: RAM, buses, interrupt lines that are counted. */
#ifndef TESTS_HYPERVISOR_LEGACY_FIXTURE_H
#define TESTS_HYPERVISOR_LEGACY_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/loop.h"
#include "core/ports.h"
#include "core/util.h"
#include "hypervisor/bus.h"
#include "hypervisor/memory.h"
#include "hypervisor/pci.h"
#include "hypervisor/system_control.h"

enum { LEGACY_RAM = 1 << 20, LEGACY_GSIS = 24 };

struct legacy_pc {
	struct pci_host host;
	struct memory_region ram;
	struct irq_chip chip;
	bool line[LEGACY_GSIS];
	unsigned edges[LEGACY_GSIS]; /* rising ones */
	struct system_control *control;
	unsigned resets;
	unsigned power_offs;
};

static inline void legacy_set_gsi(struct irq_chip *chip, uint32_t gsi, bool level)
{
	struct legacy_pc *pc = container_of(chip, struct legacy_pc, chip);

	pc->edges[gsi] += level && !pc->line[gsi];
	pc->line[gsi] = level;
}

static const struct irq_chip_ops legacy_chip_ops = { .set_gsi = legacy_set_gsi };

static inline void legacy_on_reset(void *opaque)
{
	((struct legacy_pc *)opaque)->resets++;
}

static inline void legacy_on_power_off(void *opaque)
{
	((struct legacy_pc *)opaque)->power_offs++;
}

static const struct system_control_ops legacy_control_ops = {
	.reset = legacy_on_reset,
	.power_off = legacy_on_power_off,
};

static inline void legacy_init(struct legacy_pc *pc)
{
	memset(pc, 0, sizeof(*pc));
	pc->chip.ops = &legacy_chip_ops;
	pc->host.irq = &pc->chip;
	assert_int_equal(loop_create(&pc->host.loop), 0);
	assert_int_equal(guest_memory_create(&pc->host.memory, NULL, NULL), 0);
	assert_int_equal(bus_create(&pc->host.ports, false, NULL, NULL), 0);
	assert_int_equal(bus_create(&pc->host.mmio, true, NULL, NULL), 0);
	pc->ram.name = "ram";
	pc->ram.size = LEGACY_RAM;
	pc->ram.host = memory_region_alloc_host(LEGACY_RAM);
	assert_non_null(pc->ram.host);
	assert_int_equal(guest_memory_map(pc->host.memory, &pc->ram, 0), 0);
	assert_int_equal(
		system_control_create(&pc->control, &pc->host, &legacy_control_ops, pc), 0);
}

static inline void legacy_finish(struct legacy_pc *pc)
{
	system_control_destroy(pc->control);
	guest_memory_unmap(pc->host.memory, &pc->ram);
	memory_region_free_host(pc->ram.host, LEGACY_RAM);
	guest_memory_destroy(pc->host.memory);
	bus_destroy(pc->host.ports);
	bus_destroy(pc->host.mmio);
	loop_destroy(pc->host.loop);
}

/* Runs what is posted and due now. */
static inline void legacy_turn(struct legacy_pc *pc)
{
	assert_int_equal(loop_run_once(pc->host.loop, 0), 0);
}

static inline uint8_t in8(struct legacy_pc *pc, uint16_t port)
{
	return (uint8_t)bus_read(pc->host.ports, port, 1);
}

static inline void out8(struct legacy_pc *pc, uint16_t port, uint8_t value)
{
	bus_write(pc->host.ports, port, value, 1);
}

#endif

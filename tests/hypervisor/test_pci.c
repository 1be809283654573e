/* SPDX-License-Identifier: MIT */
/* PCI on fakes: header rules, BARs, ROM, INTx, MSI-X, routing and assignment. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "core/util.h"
#include "hypervisor/pci.h"

struct fixture {
	struct irq_chip chip;
	struct pci_host host;
	struct pci_bus *bus;
	struct pci_device dev;
	bool gsi[24];
	uint64_t msi_address;
	uint32_t msi_data;
	int msis, resets, changes;
	uint8_t *vram;
	uint8_t rom[3000];
};

static void set_gsi(struct irq_chip *chip, uint32_t gsi, bool level)
{
	struct fixture *f = container_of(chip, struct fixture, chip);

	assert_true(gsi < 24);
	assert_int_not_equal(f->gsi[gsi], level);
	f->gsi[gsi] = level;
}

static void send_msi(struct irq_chip *chip, uint64_t address, uint32_t data)
{
	struct fixture *f = container_of(chip, struct fixture, chip);

	f->msis++;
	f->msi_address = address;
	f->msi_data = data;
}

static const struct irq_chip_ops chip_ops = { set_gsi, send_msi };

static uint64_t port_read(struct bus_region *region, uint64_t offset, unsigned size)
{
	return 0x42 + offset;
}

static const struct bus_ops port_ops = { .read = port_read };

static void on_reset(struct pci_device *dev)
{
	container_of(dev, struct fixture, dev)->resets++;
}

static void on_bar_changed(struct pci_device *dev, unsigned bar)
{
	container_of(dev, struct fixture, dev)->changes++;
}

static const struct pci_device_ops dev_ops = { .reset = on_reset, .bar_changed = on_bar_changed };

/* Configuration access as a guest does it. */
static void select_register(struct fixture *f, unsigned devfn, unsigned offset)
{
	bus_write(f->host.ports, 0xcf8, 0x80000000u | devfn << 8 | (offset & 0xfc), 4);
}

static uint32_t cfg_read(struct fixture *f, unsigned offset, unsigned size)
{
	select_register(f, f->dev.devfn, offset);
	return (uint32_t)bus_read(f->host.ports, 0xcfc + (offset & 3), size);
}

static void cfg_write(struct fixture *f, unsigned offset, uint32_t value, unsigned size)
{
	select_register(f, f->dev.devfn, offset);
	bus_write(f->host.ports, 0xcfc + (offset & 3), value, size);
}

/* BARs: 0 I/O 0x20, 1 MSI-X, 2 64-bit memory 64 KiB, 4 MMIO 4 KiB; a ROM. */
static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	f.chip.ops = &chip_ops;
	f.host.irq = &f.chip;
	assert_int_equal(guest_memory_create(&f.host.memory, NULL, NULL), 0);
	assert_int_equal(bus_create(&f.host.ports, false, NULL, NULL), 0);
	assert_int_equal(bus_create(&f.host.mmio, true, NULL, NULL), 0);
	assert_int_equal(pci_bus_create(&f.bus, &f.host), 0);
	f.vram = memory_region_alloc_host(0x10000);
	pci_device_init(&f.dev, &dev_ops, "test", &f.host, 0x1234, 0x5678, 0x030000, 2, true);
	pci_device_set_subsystem(&f.dev, 0xaaaa, 0xbbbb);
	memset(f.rom, 0x77, sizeof(f.rom));
	f.dev.rom = f.rom;
	f.dev.rom_size = sizeof(f.rom);
	assert_int_equal(pci_bar_io(&f.dev, 0, 0x20, &port_ops), 0);
	assert_int_equal(pci_msix_init(&f.dev, 1, 3), 0);
	assert_int_equal(pci_bar_memory(&f.dev, 2, f.vram, 0x10000, true, true, false), 0);
	assert_int_equal(pci_bar_mmio(&f.dev, 3, 0x1000, false, false, &port_ops), -EBUSY);
	assert_int_equal(pci_bar_mmio(&f.dev, 4, 0x1000, false, false, &port_ops), 0);
	assert_int_equal(pci_bar_mmio(&f.dev, 5, 0x1001, false, false, &port_ops), -EINVAL);
	assert_int_equal(pci_bus_plug(f.bus, &f.dev, 5, 0), 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pci_device_finish(&f->dev);
	for (int i = 0; i < 24; i++)
		assert_false(f->gsi[i]);
	pci_bus_destroy(f->bus);
	bus_destroy(f->host.ports);
	bus_destroy(f->host.mmio);
	guest_memory_destroy(f->host.memory);
	memory_region_free_host(f->vram, 0x10000);
	return 0;
}

static void test_header(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(f->dev.devfn, 5 << 3);
	assert_int_equal(cfg_read(f, 0, 4), 0x56781234);
	assert_int_equal(cfg_read(f, 8, 4), 0x03000002);
	assert_int_equal(cfg_read(f, 0x2c, 4), 0xbbbbaaaa);
	assert_int_equal(cfg_read(f, 0x3d, 1), 1);
	cfg_write(f, 0, 0xffffffff, 4);
	cfg_write(f, 0x2c, 0, 4);
	cfg_write(f, 0x3c, 0xff0b, 2);
	assert_int_equal(cfg_read(f, 0, 4), 0x56781234);
	assert_int_equal(cfg_read(f, 0x2c, 4), 0xbbbbaaaa);
	assert_int_equal(cfg_read(f, 0x3c, 2), 0x010b);
	cfg_write(f, 4, 0xffff, 2);
	assert_int_equal(cfg_read(f, 4, 2), 0x0547);
	/* Another function, another bus, configuration disabled: all ones. */
	select_register(f, f->dev.devfn + 1, 0);
	assert_int_equal(bus_read(f->host.ports, 0xcfc, 4), 0xffffffff);
	bus_write(f->host.ports, 0xcf8, 0x80010000u | (unsigned)f->dev.devfn << 8, 4);
	assert_int_equal(bus_read(f->host.ports, 0xcfc, 4), 0xffffffff);
	bus_write(f->host.ports, 0xcf8, (unsigned)f->dev.devfn << 8, 4);
	assert_int_equal(bus_read(f->host.ports, 0xcfc, 4), 0xffffffff);
	assert_int_equal(bus_read(f->host.ports, 0xcf8, 4), (unsigned)f->dev.devfn << 8);
}

static void test_capability_list(void **state)
{
	struct fixture *f = *state;
	uint32_t cap;

	assert_int_equal(cfg_read(f, 6, 2) & 0x10, 0x10);
	cap = cfg_read(f, 0x34, 1);
	assert_int_equal(cap, 0x40);
	assert_int_equal(cfg_read(f, cap, 4), 0x00020011);
	assert_int_equal(cfg_read(f, cap + 4, 4), 1);
	assert_int_equal(cfg_read(f, cap + 8, 4), 0x801);
	assert_int_equal(pci_capability_add(&f->dev, 9, 0xb4), 0x4c);
	assert_int_equal(f->dev.config[0x4d], 0x40);
	assert_int_equal(pci_capability_add(&f->dev, 9, 4), -ENOSPC);
}

static void test_bar_sizes(void **state)
{
	struct fixture *f = *state;

	cfg_write(f, 4, 3, 2);
	for (unsigned i = 0; i < 7; i++)
		cfg_write(f, 0x10 + 4 * i, 0xffffffff, 4);
	cfg_write(f, 0x30, 0xfffffffe, 4);
	assert_int_equal(cfg_read(f, 0x10, 4), 0xffffffe1);
	assert_int_equal(cfg_read(f, 0x14, 4), 0xfffff000);
	assert_int_equal(cfg_read(f, 0x18, 4), 0xffff000c);
	assert_int_equal(cfg_read(f, 0x1c, 4), 0xffffffff);
	assert_int_equal(cfg_read(f, 0x20, 4), 0xfffff000);
	assert_int_equal(cfg_read(f, 0x24, 4), 0);
	assert_int_equal(cfg_read(f, 0x30, 4), 0xfffff000);
	/* Asking for the size maps nothing. */
	assert_int_equal(f->changes, 0);
	assert_false(pci_bar_mapped(&f->dev, 0));
}

static void test_bar_mapping(void **state)
{
	struct fixture *f = *state;
	uint8_t byte = 0;

	f->vram[5] = 0xab;
	cfg_write(f, 0x10, 0xc000, 4);
	cfg_write(f, 0x18, 0xe0000000, 4);
	cfg_write(f, 0x20, 0xe1000000, 4);
	assert_int_equal(bus_read(f->host.ports, 0xc003, 1), 0xff);
	cfg_write(f, 4, 1, 2);
	assert_int_equal(bus_read(f->host.ports, 0xc003, 1), 0x45);
	assert_int_equal(bus_read(f->host.mmio, 0xe1000001, 1), 0xff);
	cfg_write(f, 4, 3, 2);
	assert_int_equal(bus_read(f->host.mmio, 0xe1000001, 1), 0x43);
	assert_int_equal(guest_read(f->host.memory, 0xe0000005, &byte, 1), 0);
	assert_int_equal(byte, 0xab);
	/* Above 4 GiB: the upper half moves it. */
	cfg_write(f, 0x1c, 1, 4);
	assert_int_equal(guest_read(f->host.memory, 0xe0000005, &byte, 1), -EFAULT);
	assert_int_equal(guest_read(f->host.memory, 0x1e0000005, &byte, 1), 0);
	/* Moved while it decodes. */
	cfg_write(f, 0x10, 0xc100, 4);
	assert_int_equal(bus_read(f->host.ports, 0xc003, 1), 0xff);
	assert_int_equal(bus_read(f->host.ports, 0xc103, 1), 0x45);
	assert_int_equal(f->changes, 5);
	cfg_write(f, 4, 0, 2);
	assert_int_equal(bus_read(f->host.ports, 0xc103, 1), 0xff);
	assert_int_equal(guest_read(f->host.memory, 0x1e0000005, &byte, 1), -EFAULT);
}

static void test_bar_over_ram(void **state)
{
	struct fixture *f = *state;
	struct memory_region ram = { .name = "ram", .size = 0x100000 };

	ram.host = memory_region_alloc_host(ram.size);
	assert_int_equal(guest_memory_map(f->host.memory, &ram, 0), 0);
	cfg_write(f, 0x18, 0x10000, 4);
	cfg_write(f, 4, 2, 2);
	assert_false(pci_bar_mapped(&f->dev, 2));
	assert_ptr_equal(guest_pointer(f->host.memory, 0x10000, 1, true), ram.host + 0x10000);
	cfg_write(f, 0x18, 0x200000, 4);
	assert_true(pci_bar_mapped(&f->dev, 2));
	guest_memory_unmap(f->host.memory, &ram);
	memory_region_free_host(ram.host, ram.size);
}

static void test_rom(void **state)
{
	struct fixture *f = *state;
	uint8_t byte = 0;

	cfg_write(f, 0x30, 0xf0000000, 4);
	cfg_write(f, 4, 2, 2);
	assert_int_equal(guest_read(f->host.memory, 0xf0000000, &byte, 1), -EFAULT);
	cfg_write(f, 0x30, 0xf0000001, 4);
	assert_int_equal(guest_read(f->host.memory, 0xf0000bb7, &byte, 1), 0);
	assert_int_equal(byte, 0x77);
	assert_int_equal(guest_write(f->host.memory, 0xf0000000, &byte, 1), -EFAULT);
	cfg_write(f, 4, 0, 2);
	assert_int_equal(guest_read(f->host.memory, 0xf0000000, &byte, 1), -EFAULT);
}

static void test_intx(void **state)
{
	struct fixture *f = *state;
	uint32_t gsi = pci_intx_gsi(5, 1);

	assert_int_equal(gsi, 10);
	assert_int_equal(pci_intx_gsi(1, 1), 10);
	assert_int_equal(pci_intx_gsi(3, 1), 11);
	assert_int_equal(pci_intx_gsi(4, 4), 11);
	pci_intx_set(&f->dev, true);
	assert_true(f->gsi[gsi]);
	assert_int_equal(cfg_read(f, 6, 2) & 8, 8);
	cfg_write(f, 4, 0x400, 2);
	assert_false(f->gsi[gsi]);
	assert_int_equal(cfg_read(f, 6, 2) & 8, 8);
	cfg_write(f, 4, 0, 2);
	assert_true(f->gsi[gsi]);
	/* The link goes elsewhere with its level; an illegal IRQ brings it back. */
	pci_bus_route_link(f->bus, 0, 5);
	assert_false(f->gsi[gsi]);
	assert_true(f->gsi[5]);
	pci_bus_route_link(f->bus, 1, 7);
	assert_true(f->gsi[5]);
	pci_bus_route_link(f->bus, 0, 0x80);
	assert_true(f->gsi[gsi]);
	pci_intx_set(&f->dev, false);
	assert_int_equal(cfg_read(f, 6, 2) & 8, 0);
}

static void test_intx_shared(void **state)
{
	struct fixture *f = *state;
	struct pci_device other;

	pci_device_init(&other, NULL, "other", &f->host, 1, 1, 0, 0, true);
	assert_int_equal(pci_bus_plug(f->bus, &other, 9, 0), 0);
	pci_intx_set(&f->dev, true);
	pci_intx_set(&other, true);
	pci_intx_set(&f->dev, false);
	assert_true(f->gsi[10]);
	pci_intx_set(&other, false);
	assert_false(f->gsi[10]);
	pci_device_finish(&other);
}

static void map_msix(struct fixture *f)
{
	cfg_write(f, 0x14, 0xe2000000, 4);
	cfg_write(f, 4, 2, 2);
}

static void test_msix(void **state)
{
	struct fixture *f = *state;
	const uint64_t table = 0xe2000000, pba = 0xe2000800;

	map_msix(f);
	pci_msix_notify(&f->dev, 1);
	assert_int_equal(bus_read(f->host.mmio, pba, 8), 0);
	assert_int_equal(bus_read(f->host.mmio, table + 0x1c, 4), 1);
	bus_write(f->host.mmio, table + 0x10, 0x1fee00003, 8);
	bus_write(f->host.mmio, table + 0x18, 0x4041, 4);
	assert_int_equal(bus_read(f->host.mmio, table + 0x10, 8), 0x1fee00000);
	/* INTx goes down while MSI-X is on. */
	pci_intx_set(&f->dev, true);
	assert_true(f->gsi[10]);
	cfg_write(f, 0x42, 0x8000, 2);
	assert_true(pci_msix_enabled(&f->dev));
	assert_false(f->gsi[10]);
	pci_intx_set(&f->dev, false);
	/* Masked: it pends; unmasked: it is sent, once. */
	pci_msix_notify(&f->dev, 1);
	pci_msix_notify(&f->dev, 1);
	assert_int_equal(f->msis, 0);
	assert_int_equal(bus_read(f->host.mmio, pba, 8), 2);
	bus_write(f->host.mmio, table + 0x1c, 0, 4);
	assert_int_equal(f->msis, 1);
	assert_int_equal(f->msi_address, 0x1fee00000);
	assert_int_equal(f->msi_data, 0x4041);
	assert_int_equal(bus_read(f->host.mmio, pba, 4), 0);
	pci_msix_notify(&f->dev, 1);
	assert_int_equal(f->msis, 2);
	/* The mask of all. */
	cfg_write(f, 0x42, 0xc000, 2);
	pci_msix_notify(&f->dev, 1);
	assert_int_equal(f->msis, 2);
	cfg_write(f, 0x42, 0x8000, 2);
	assert_int_equal(f->msis, 3);
	/* What is not there. */
	pci_msix_notify(&f->dev, 3);
	pci_msix_notify(&f->dev, UINT32_MAX);
	bus_write(f->host.mmio, table + 0x30, 0xffffffff, 4);
	bus_write(f->host.mmio, pba, 0xffffffff, 4);
	assert_int_equal(bus_read(f->host.mmio, table + 0x30, 4), 0);
	assert_int_equal(bus_read(f->host.mmio, pba, 4), 0);
	assert_int_equal(bus_read(f->host.mmio, table + 0x12, 2), 0);
	assert_int_equal(f->msis, 3);
}

static void test_reset(void **state)
{
	struct fixture *f = *state;

	map_msix(f);
	cfg_write(f, 0x42, 0x8000, 2);
	bus_write(f->host.mmio, 0xe200000c, 0, 4);
	cfg_write(f, 0x42, 0, 2);
	pci_intx_set(&f->dev, true);
	pci_bus_reset(f->bus);
	assert_int_equal(f->resets, 1);
	assert_false(f->gsi[10]);
	assert_false(pci_bar_mapped(&f->dev, 1));
	assert_int_equal(cfg_read(f, 0x14, 4), 0);
	assert_int_equal(cfg_read(f, 4, 2), 0);
	map_msix(f);
	assert_int_equal(bus_read(f->host.mmio, 0xe200000c, 4), 1);
}

static void test_plugging(void **state)
{
	struct fixture *f = *state;
	struct pci_device devs[3];

	for (int i = 0; i < 3; i++)
		pci_device_init(&devs[i], NULL, "more", &f->host, 1, 1, 0, 0, false);
	assert_int_equal(pci_bus_plug(f->bus, &devs[0], 5, 0), -EBUSY);
	assert_int_equal(pci_bus_plug(f->bus, &devs[0], 32, 0), -EINVAL);
	assert_int_equal(pci_bus_plug(f->bus, &devs[0], 5, 3), 0);
	assert_int_equal(cfg_read(f, 0xe, 1), 0x80);
	assert_int_equal(pci_bus_plug(f->bus, &devs[1], 0, 0), 0);
	assert_int_equal(devs[1].devfn, 2 << 3);
	assert_int_equal(pci_bus_plug(f->bus, &devs[2], 0, 0), 0);
	assert_int_equal(devs[2].devfn, 3 << 3);
	for (int i = 0; i < 3; i++)
		pci_device_finish(&devs[i]);
}

static void test_assignment(void **state)
{
	struct fixture *f = *state;
	uint32_t io, msix, memory, mmio;

	pci_bus_assign(f->bus, 0x100000000);
	io = cfg_read(f, 0x10, 4) & ~3u;
	msix = cfg_read(f, 0x14, 4) & ~15u;
	memory = cfg_read(f, 0x18, 4) & ~15u;
	mmio = cfg_read(f, 0x20, 4) & ~15u;
	assert_int_equal(io, 0xc000);
	assert_int_equal(memory, 0xe0000000);
	assert_int_equal(cfg_read(f, 0x1c, 4), 0);
	assert_in_range(msix, 0xe0010000, 0xe0011000);
	assert_in_range(mmio, 0xe0010000, 0xe0011000);
	assert_int_not_equal(msix, mmio);
	assert_int_equal(cfg_read(f, 0x3c, 1), 10);
	assert_int_equal(cfg_read(f, 4, 2) & 7, 7);
	assert_true(pci_bar_mapped(&f->dev, 0));
	assert_true(pci_bar_mapped(&f->dev, 2));
}

/* Another device takes the places of the first, which decodes there, when all is assigned anew. */
static void test_assignment_again(void **state)
{
	struct fixture *f = *state;
	struct pci_device late;
	uint8_t *memory = memory_region_alloc_host(0x20000);

	pci_bus_assign(f->bus, 0x100000000);
	pci_device_init(&late, NULL, "late", &f->host, 1, 1, 0, 0, false);
	assert_int_equal(pci_bar_memory(&late, 0, memory, 0x20000, false, false, false), 0);
	assert_int_equal(pci_bus_plug(f->bus, &late, 2, 0), 0);
	pci_bus_assign(f->bus, 0x100000000);
	assert_int_equal(late.bars[0].address, 0xe0000000);
	assert_int_equal(f->dev.bars[2].address, 0xe0020000);
	assert_true(pci_bar_mapped(&late, 0));
	assert_true(pci_bar_mapped(&f->dev, 2));
	pci_device_finish(&late);
	memory_region_free_host(memory, 0x20000);
}

static void test_assignment_above_4g(void **state)
{
	struct fixture *f = *state;
	struct pci_device big[2];
	uint64_t size = 0x10000000; /* two of them, aligned, do not fit in the hole */
	uint8_t *memory = memory_region_alloc_host(size);

	for (int i = 0; i < 2; i++) {
		pci_device_init(&big[i], NULL, "big", &f->host, 1, 1, 0, 0, false);
		assert_int_equal(pci_bar_memory(&big[i], 0, memory, size, true, true, false), 0);
		assert_int_equal(pci_bus_plug(f->bus, &big[i], 0, 0), 0);
	}
	pci_bus_assign(f->bus, 0x180000000);
	assert_int_equal(big[0].bars[0].address + big[1].bars[0].address,
		UINT64_C(0xe0000000) + 0x180000000);
	assert_true(pci_bar_mapped(&f->dev, 2));
	for (int i = 0; i < 2; i++)
		pci_device_finish(&big[i]);
	memory_region_free_host(memory, size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_header, setup, teardown),
		cmocka_unit_test_setup_teardown(test_capability_list, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bar_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bar_mapping, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bar_over_ram, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rom, setup, teardown),
		cmocka_unit_test_setup_teardown(test_intx, setup, teardown),
		cmocka_unit_test_setup_teardown(test_intx_shared, setup, teardown),
		cmocka_unit_test_setup_teardown(test_msix, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_plugging, setup, teardown),
		cmocka_unit_test_setup_teardown(test_assignment, setup, teardown),
		cmocka_unit_test_setup_teardown(test_assignment_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_assignment_above_4g, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

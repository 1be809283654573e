/* SPDX-License-Identifier: MIT */
/* A guest's accesses to PCI: configuration ports, BARs wherever it puts them, MSI-X. Each five bytes
 * are one access: what and how wide, then the value. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hypervisor/chipset.h"
#include "hypervisor/pci.h"

#define BAR_SIZE 0x10000u

static void set_gsi(struct irq_chip *chip, uint32_t gsi, bool level)
{
	if (gsi >= 24)
		abort();
}

static void send_msi(struct irq_chip *chip, uint64_t address, uint32_t data)
{
}

static const struct irq_chip_ops chip_ops = { set_gsi, send_msi };

static uint64_t device_read(struct bus_region *region, uint64_t offset, unsigned size)
{
	if (offset + size > region->size)
		abort();
	return offset;
}

static const struct bus_ops device_ops = { .read = device_read };

static void play(struct pci_host *host, struct pci_device *dev, const uint8_t *data, size_t size)
{
	for (; size >= 5; data += 5, size -= 5) {
		unsigned width = 1u << (data[0] >> 3 & 3);
		uint32_t value;

		memcpy(&value, data + 1, sizeof(value));
		switch (data[0] & 7) {
		case 0: bus_write(host->ports, 0xcf8, value | 0x80000000u, 4); break;
		case 1: bus_write(host->ports, 0xcfc + (data[0] >> 5 & 3), value, width); break;
		case 2: bus_read(host->ports, 0xcfc + (data[0] >> 5 & 3), width); break;
		case 3: bus_write(host->mmio, value, value, width); break;
		case 4: bus_read(host->mmio, value, width); break;
		case 5: bus_read(host->ports, value & 0xffff, width); break;
		case 6: pci_msix_notify(dev, value); break;
		default: pci_intx_set(dev, value & 1); break;
		}
	}
}

static void build(struct pci_host *host, struct pci_bus *bus, struct pci_device *dev,
	uint8_t *memory, const uint8_t *rom)
{
	pci_device_init(dev, NULL, "fuzz", host, 0x1234, 0x5678, 0, 0, true);
	dev->rom = rom;
	dev->rom_size = 4096;
	if (pci_bar_io(dev, 0, 0x20, &device_ops) || pci_msix_init(dev, 1, 5) ||
		pci_bar_memory(dev, 2, memory, BAR_SIZE, true, true, false) ||
		pci_bar_mmio(dev, 4, 0x2000, true, false, &device_ops) ||
		pci_bus_plug(bus, dev, 0, 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t rom[4096] = { 0x55, 0xaa };
	struct irq_chip chip = { .ops = &chip_ops };
	struct pci_host host = { .irq = &chip };
	struct memory_region ram = { .name = "ram", .size = 0x100000 };
	uint8_t *memory = memory_region_alloc_host(BAR_SIZE);
	struct chipset chipset = { 0 };
	struct pci_device dev;
	struct pci_bus *bus;

	ram.host = memory_region_alloc_host(ram.size);
	if (!memory || !ram.host || guest_memory_create(&host.memory, NULL, NULL) ||
		bus_create(&host.ports, false, NULL, NULL) ||
		bus_create(&host.mmio, true, NULL, NULL) || pci_bus_create(&bus, &host) ||
		chipset_init(&chipset, &host, bus) || guest_memory_map(host.memory, &ram, 0))
		abort();
	build(&host, bus, &dev, memory, rom);
	play(&host, &dev, data, size);
	pci_bus_reset(bus);
	pci_bus_assign(bus, UINT64_C(1) << 32);
	play(&host, &dev, data, size);
	pci_device_finish(&dev);
	chipset_finish(&chipset);
	pci_bus_destroy(bus);
	guest_memory_destroy(host.memory);
	bus_destroy(host.ports);
	bus_destroy(host.mmio);
	memory_region_free_host(ram.host, ram.size);
	memory_region_free_host(memory, BAR_SIZE);
	return 0;
}

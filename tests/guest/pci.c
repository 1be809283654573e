/* SPDX-License-Identifier: MIT */
/* Finds PCI devices and gives addresses to those that no firmware has set up. */
#include "cpu.h"
#include "pci.h"

/* The window of an i440FX machine below the interrupt chips, used when firmware did not run. */
#define WINDOW_MEMORY     0xe0000000u
#define WINDOW_MEMORY_END 0xfec00000u
#define WINDOW_IO         0xc000u

enum {
	PCI_COMMAND = 0x04,
	PCI_HEADER_TYPE = 0x0e,
	PCI_BAR0 = 0x10,
	PCI_CAPABILITIES = 0x34,
};

static uint32_t next_memory = WINDOW_MEMORY;
static uint32_t next_io = WINDOW_IO;

static uint32_t pci_address(const struct pci_device *pci, uint8_t offset)
{
	return 0x80000000u | (uint32_t)pci->slot << 11 | (uint32_t)pci->function << 8 |
		(offset & 0xfc);
}

uint32_t pci_read32(const struct pci_device *pci, uint8_t offset)
{
	return cpu_call(OP_PCI_READ, pci_address(pci, offset), 0);
}

uint16_t pci_read16(const struct pci_device *pci, uint8_t offset)
{
	return pci_read32(pci, offset) >> (offset & 2) * 8;
}

uint8_t pci_read8(const struct pci_device *pci, uint8_t offset)
{
	return pci_read32(pci, offset) >> (offset & 3) * 8;
}

void pci_write32(const struct pci_device *pci, uint8_t offset, uint32_t value)
{
	port_out32(0xcf8, pci_address(pci, offset));
	port_out32(0xcfc, value);
}

void pci_write16(const struct pci_device *pci, uint8_t offset, uint16_t value)
{
	port_out32(0xcf8, pci_address(pci, offset));
	port_out16(0xcfc + (offset & 2), value);
}

/* Returns the base address that BAR `index` shall have: naturally aligned, from our window. */
static uint32_t pci_window_take(uint32_t size, bool io)
{
	uint32_t *next = io ? &next_io : &next_memory;
	uint32_t base = (*next + size - 1) & ~(size - 1);

	if (!io && (base < *next || base > WINDOW_MEMORY_END - size))
		guest_panic("pci: no room for a BAR of %u KiB", size / 1024);
	*next = base + size;
	return base;
}

/* Sizes BAR `index` and gives it an address when it has none that we can reach. Returns the number
 * of registers it takes. */
static unsigned pci_assign_bar(struct pci_device *pci, unsigned index, bool firmware)
{
	uint8_t offset = PCI_BAR0 + index * 4;
	uint32_t old = pci_read32(pci, offset), old_high = 0, mask, flags;
	bool io, wide;

	pci_write32(pci, offset, 0xffffffff);
	mask = pci_read32(pci, offset);
	pci_write32(pci, offset, old);
	if (!mask || mask == 0xffffffff)
		return 1;
	io = mask & 1;
	wide = (mask & 7) == 4;
	flags = io ? 3 : 15;
	if (wide)
		old_high = pci_read32(pci, offset + 4);
	mask = io ? (mask | 0xffff0000) & ~flags : mask & ~flags;
	pci->bar_size[index] = -mask;
	if (!mask) { /* 4 GiB or more: not for us */
		return 2;
	}
	if (firmware && !old_high && (old & ~flags)) {
		pci->bar[index] = old & ~flags;
	} else {
		pci->bar[index] = pci_window_take(-mask, io);
		pci_write32(pci, offset, pci->bar[index]);
		if (wide)
			pci_write32(pci, offset + 4, 0);
	}
	return wide ? 2 : 1;
}

static void pci_assign(struct pci_device *pci)
{
	uint16_t command = pci_read16(pci, PCI_COMMAND);
	bool firmware = command & 3;
	unsigned index = 0;

	pci_write16(pci, PCI_COMMAND, command & ~3);
	while (index < 6)
		index += pci_assign_bar(pci, index, firmware);
	/* Memory, I/O, bus master; INTx as it was. */
	pci_write16(pci, PCI_COMMAND, command | 7);
}

bool pci_find(struct pci_device *pci, uint16_t vendor, uint16_t device, uint8_t from)
{
	for (uint8_t slot = from; slot < 32; slot++) {
		unsigned functions = 1;

		for (unsigned function = 0; function < functions; function++) {
			uint32_t id;

			memset(pci, 0, sizeof(*pci));
			pci->slot = slot;
			pci->function = function;
			id = pci_read32(pci, 0);
			if ((id & 0xffff) == 0xffff)
				continue;
			if (!function && pci_read8(pci, PCI_HEADER_TYPE) & 0x80)
				functions = 8;
			if (id != ((uint32_t)device << 16 | vendor))
				continue;
			pci->vendor = vendor;
			pci->device = device;
			pci_assign(pci);
			return true;
		}
	}
	return false;
}

uint8_t pci_capability(const struct pci_device *pci, uint8_t id, uint8_t after)
{
	uint8_t at = pci_read8(pci, after ? after + 1 : PCI_CAPABILITIES) & 0xfc;

	for (unsigned tries = 0; at && tries < 48; tries++) {
		if (pci_read8(pci, at) == id)
			return at;
		at = pci_read8(pci, at + 1) & 0xfc;
	}
	return 0;
}

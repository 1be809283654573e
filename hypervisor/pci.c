/* SPDX-License-Identifier: MIT */
/* A PCI device's configuration space and base address registers (PCI Local Bus 3.0, chapter 6). */
#include "hypervisor/pci.h"

#include <errno.h>
#include <string.h>

#include "core/log.h"
#include "core/util.h"
#include "hypervisor/pci_internal.h"

#define ROM_INDEX PCI_BAR_COUNT /* the expansion ROM, counted behind the BARs */

void pci_device_init(struct pci_device *dev, const struct pci_device_ops *ops, const char *name,
	struct pci_host *host, uint16_t vendor, uint16_t device, uint32_t class_code,
	uint8_t revision, bool intx)
{
	memset(dev, 0, sizeof(*dev));
	dev->ops = ops;
	dev->name = name;
	dev->host = host;
	dev->cap_next = PCI_HEADER_END;
	pthread_mutex_init(&dev->lock, NULL);
	pci_config_set16(dev->config, PCI_VENDOR_ID, vendor);
	pci_config_set16(dev->config, PCI_DEVICE_ID, device);
	dev->config[PCI_REVISION] = revision;
	dev->config[PCI_CLASS] = (uint8_t)class_code;
	pci_config_set16(dev->config, PCI_CLASS + 1, (uint16_t)(class_code >> 8));
	pci_config_set16(dev->writable, PCI_COMMAND,
		PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY |
			PCI_COMMAND_SERR | PCI_COMMAND_INTX_OFF);
	dev->writable[PCI_CACHE_LINE] = 0xff;
	dev->writable[PCI_LATENCY] = 0xff;
	if (intx) {
		dev->config[PCI_INTERRUPT_PIN] = 1;
		dev->writable[PCI_INTERRUPT_LINE] = 0xff;
	}
}

void pci_device_set_subsystem(struct pci_device *dev, uint16_t vendor, uint16_t device)
{
	pci_config_set16(dev->config, PCI_SUBSYSTEM_VENDOR, vendor);
	pci_config_set16(dev->config, PCI_SUBSYSTEM, device);
}

void pci_device_finish(struct pci_device *dev)
{
	if (!dev->ops && !dev->host) /* never initialised */
		return;
	if (dev->bus)
		pci_bus_unplug(dev->bus, dev);
	pci_msix_destroy(dev);
	memory_region_free_host(dev->rom_bar.memory.host, dev->rom_bar.memory.size);
	dev->rom_bar.memory.host = NULL;
	pthread_mutex_destroy(&dev->lock);
}

/* ---- declaring BARs ---- */

static int bar_declare(struct pci_device *dev, unsigned index, enum pci_bar_type type,
	uint64_t size, uint32_t flags)
{
	bool is_64bit = flags & PCI_BAR_IS_64BIT;
	struct pci_bar *bar;

	if (index >= PCI_BAR_COUNT || (is_64bit && index + 1 >= PCI_BAR_COUNT) || dev->bus)
		return -EINVAL;
	if (size & (size - 1) || size < (type == PCI_BAR_IO ? 4 : 16) ||
		(type == PCI_BAR_IO && size > 0x1000) || (!is_64bit && size > 0x80000000u))
		return -EINVAL;
	bar = &dev->bars[index];
	if (bar->type != PCI_BAR_NONE || (index > 0 && dev->bars[index - 1].is_64bit))
		return -EBUSY;
	bar->type = type;
	bar->size = size;
	bar->dev = dev;
	bar->is_64bit = is_64bit;
	bar->prefetchable = flags & PCI_BAR_IS_PREFETCHABLE;
	pci_config_set32(dev->config, PCI_BARS + 4 * index, flags);
	pci_config_set32(dev->writable, PCI_BARS + 4 * index, (uint32_t) ~(size - 1) & ~15u);
	if (type == PCI_BAR_IO)
		pci_config_set32(dev->writable, PCI_BARS + 4 * index, (uint32_t) ~(size - 1));
	if (is_64bit)
		pci_config_set32(
			dev->writable, PCI_BARS + 4 * index + 4, (uint32_t)(~(size - 1) >> 32));
	return 0;
}

static uint32_t bar_flags(bool is_64bit, bool prefetchable)
{
	return (is_64bit ? PCI_BAR_IS_64BIT : 0u) | (prefetchable ? PCI_BAR_IS_PREFETCHABLE : 0u);
}

static void bar_set_region(struct pci_bar *bar, const struct bus_ops *ops)
{
	bar->region.ops = ops;
	bar->region.size = bar->size;
	bar->region.priority = 1; /* over the ports of legacy devices */
	if (!bar->region.name)
		bar->region.name = bar->dev->name;
}

int pci_bar_io(struct pci_device *dev, unsigned bar, uint32_t size, const struct bus_ops *ops)
{
	int err = bar_declare(dev, bar, PCI_BAR_IO, size, PCI_BAR_IS_IO);

	if (!err)
		bar_set_region(&dev->bars[bar], ops);
	return err;
}

int pci_bar_mmio(struct pci_device *dev, unsigned bar, uint64_t size, bool is_64bit,
	bool prefetchable, const struct bus_ops *ops)
{
	int err = bar_declare(dev, bar, PCI_BAR_MMIO, size, bar_flags(is_64bit, prefetchable));

	if (!err)
		bar_set_region(&dev->bars[bar], ops);
	return err;
}

int pci_bar_memory(struct pci_device *dev, unsigned bar, uint8_t *host_memory, uint64_t size,
	bool is_64bit, bool prefetchable, bool read_only)
{
	int err;

	if (size < 4096)
		return -EINVAL;
	err = bar_declare(dev, bar, PCI_BAR_MEMORY, size, bar_flags(is_64bit, prefetchable));
	if (err)
		return err;
	dev->bars[bar].memory = (struct memory_region){
		.name = dev->name,
		.host = host_memory,
		.size = size,
		.read_only = read_only,
	};
	return 0;
}

int pci_capability_add(struct pci_device *dev, uint8_t id, uint8_t size)
{
	unsigned offset = ALIGN_UP((unsigned)dev->cap_next, 4u);

	if (size < 2 || offset + size > sizeof(dev->config))
		return -ENOSPC;
	dev->config[offset] = id;
	dev->config[offset + 1] = dev->config[PCI_CAPABILITIES];
	dev->config[PCI_CAPABILITIES] = (uint8_t)offset;
	dev->config[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
	dev->cap_next = (uint8_t)MIN(offset + size, 255u);
	return (int)offset;
}

/* ---- mapping ---- */

/* Where the BAR decodes by what its registers say; false: nowhere. */
static bool bar_decodes(const struct pci_device *dev, unsigned index, uint64_t *address)
{
	const struct pci_bar *bar = index == ROM_INDEX ? &dev->rom_bar : &dev->bars[index];
	uint16_t command = pci_config_get16(dev, PCI_COMMAND);
	uint64_t limit = bar->type == PCI_BAR_IO ? 0xffff : UINT32_MAX - 1;
	unsigned offset = index == ROM_INDEX ? PCI_ROM : PCI_BARS + 4 * index;
	uint64_t base = pci_config_get32(dev, offset);

	if (!(command & (bar->type == PCI_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
		return false;
	if (bar->is_rom && !(base & PCI_ROM_ENABLE))
		return false;
	if (bar->is_64bit) {
		uint64_t high = pci_config_get32(dev, offset + 4);

		/* All ones are written to learn the size, one half after the other: the top of
		 * either 4 GiB is never a place. KVM knows 52 bits at the most. */
		base |= high << 32;
		limit = high ? (UINT64_C(1) << 52) - 1 : limit;
	}
	base &= ~(bar->size - 1);
	*address = base;
	return base != 0 && base + (bar->size - 1) >= base && base + (bar->size - 1) <= limit;
}

static void bar_unmap(struct pci_device *dev, struct pci_bar *bar)
{
	if (bar->type == PCI_BAR_MEMORY)
		guest_memory_unmap(dev->host->memory, &bar->memory);
	else
		bus_remove(
			bar->type == PCI_BAR_IO ? dev->host->ports : dev->host->mmio, &bar->region);
	bar->mapped = false;
}

static int bar_map(struct pci_device *dev, struct pci_bar *bar, uint64_t address)
{
	int err;

	if (bar->type == PCI_BAR_MEMORY)
		err = guest_memory_map(dev->host->memory, &bar->memory, address);
	else
		err = bus_add(bar->type == PCI_BAR_IO ? dev->host->ports : dev->host->mmio,
			&bar->region, address);
	bar->mapped = !err;
	return err;
}

/* Brings a BAR's mapping in line with its registers. Device's lock held. */
static void bar_update(struct pci_device *dev, unsigned index)
{
	struct pci_bar *bar = index == ROM_INDEX ? &dev->rom_bar : &dev->bars[index];
	uint64_t address = 0;
	bool decodes;
	int err;

	if (bar->type == PCI_BAR_NONE)
		return;
	decodes = bar_decodes(dev, index, &address);
	if (decodes == bar->mapped && (!decodes || address == bar->address))
		return;
	if (bar->mapped)
		bar_unmap(dev, bar);
	bar->address = address;
	if (decodes) {
		err = bar_map(dev, bar, address);
		if (err) /* over RAM, or over another BAR: the guest gets what it asked for */
			log_debug(dev->name, "BAR %u cannot be at 0x%llx: %s", index,
				(unsigned long long)address, strerror(-err));
	}
	if (index < PCI_BAR_COUNT && dev->ops && dev->ops->bar_changed)
		dev->ops->bar_changed(dev, index);
}

static void bars_update(struct pci_device *dev)
{
	/* What goes away makes room before anything comes. */
	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned i = 0; i <= ROM_INDEX; i++) {
			struct pci_bar *bar = i == ROM_INDEX ? &dev->rom_bar : &dev->bars[i];
			uint64_t address;

			if (pass == 1 || (bar->mapped && !bar_decodes(dev, i, &address)))
				bar_update(dev, i);
		}
}

/* ---- configuration space ---- */

static bool overlaps(uint32_t offset, unsigned size, uint32_t start, uint32_t end)
{
	return offset < end && offset + size > start;
}

uint32_t pci_device_config_read(struct pci_device *dev, uint32_t offset, unsigned size)
{
	uint32_t value = 0;

	pthread_mutex_lock(&dev->lock);
	if (offset + size > PCI_HEADER_END && dev->ops && dev->ops->config_reading)
		dev->ops->config_reading(dev, offset, size);
	if (overlaps(offset, size, PCI_STATUS, PCI_STATUS + 1)) {
		dev->config[PCI_STATUS] &= (uint8_t)~PCI_STATUS_INTERRUPT;
		if (pci_bus_intx_pending(dev))
			dev->config[PCI_STATUS] |= PCI_STATUS_INTERRUPT;
	}
	for (unsigned i = 0; i < size; i++)
		value |= (uint32_t)dev->config[offset + i] << (8 * i);
	pthread_mutex_unlock(&dev->lock);
	return value;
}

void pci_device_update_intx(struct pci_device *dev)
{
	pci_bus_block_intx(dev,
		pci_config_get16(dev, PCI_COMMAND) & PCI_COMMAND_INTX_OFF || pci_msix_enabled(dev));
}

void pci_device_config_write(struct pci_device *dev, uint32_t offset, uint32_t value, unsigned size)
{
	pthread_mutex_lock(&dev->lock);
	for (unsigned i = 0; i < size; i++) {
		uint8_t byte = (uint8_t)(value >> (8 * i));
		uint8_t mask = dev->writable[offset + i];

		/* Error bits of the status register are cleared by writing ones. */
		if (offset + i == PCI_STATUS + 1)
			dev->config[offset + i] &= (uint8_t) ~(byte & (PCI_STATUS_CLEARABLE >> 8));
		else
			dev->config[offset + i] =
				(uint8_t)((dev->config[offset + i] & ~mask) | (byte & mask));
	}
	if (overlaps(offset, size, PCI_COMMAND, PCI_COMMAND + 2) ||
		overlaps(offset, size, PCI_BARS, PCI_BARS + 4 * PCI_BAR_COUNT) ||
		overlaps(offset, size, PCI_ROM, PCI_ROM + 4))
		bars_update(dev);
	if (dev->msix && offset + size > PCI_HEADER_END)
		pci_msix_config_written(dev);
	pci_device_update_intx(dev);
	if (offset + size > PCI_HEADER_END && dev->ops && dev->ops->config_written)
		dev->ops->config_written(dev, offset, size);
	pthread_mutex_unlock(&dev->lock);
}

void pci_device_reset(struct pci_device *dev)
{
	pthread_mutex_lock(&dev->lock);
	memcpy(dev->config, dev->reset_config, sizeof(dev->config));
	bars_update(dev);
	pci_bus_set_intx(dev, false);
	if (dev->msix)
		pci_msix_reset(dev);
	pci_device_update_intx(dev);
	if (dev->ops && dev->ops->reset)
		dev->ops->reset(dev);
	pthread_mutex_unlock(&dev->lock);
}

/* SPDX-License-Identifier: MIT */
/* The PCI bus: configuration mechanism 1 at ports 0xCF8 and 0xCFC, slots, INTx routing. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/util.h"
#include "hypervisor/pci_internal.h"

#define CONFIG_ENABLE 0x80000000u
#define DEVFN_COUNT   256
#define LINKS         4
#define GSI_COUNT     24
#define ROM_SIZE_MAX  (16u << 20)

struct pci_bus {
	struct pci_host *host;
	struct bus_region address_region;
	struct bus_region data_region;
	_Atomic uint32_t address;
	struct pci_device *devices[DEVFN_COUNT]; /* fixed while the vCPUs run */
	pthread_mutex_t irq_lock; /* guards what follows; innermost */
	uint32_t link_gsi[LINKS];
	uint32_t asserted[GSI_COUNT]; /* devices that hold the line up */
};

/* The links' places when nobody programmed them: as SeaBIOS does, and as _PRT says. */
static uint32_t link_default_gsi(unsigned link)
{
	return link < 2 ? 10 : 11;
}

/* On the i440FX board a slot's pins are turned by its number, slot 1's pin A being link A. */
static unsigned intx_link(unsigned slot, unsigned pin)
{
	return (slot + pin + 2) % LINKS;
}

uint32_t pci_intx_gsi(unsigned slot, unsigned pin)
{
	return link_default_gsi(intx_link(slot, pin));
}

/* ---- INTx ---- */

static void drive(struct pci_bus *bus, uint32_t gsi, bool level)
{
	uint32_t before = bus->asserted[gsi];

	bus->asserted[gsi] = level ? before + 1 : before - 1;
	if (!before != !bus->asserted[gsi])
		irq_set_gsi(bus->host->irq, gsi, level);
}

/* Brings the line in line with what the device asks for. Interrupt lock held. */
static void update_line(struct pci_device *dev)
{
	bool level = dev->intx_level && !dev->intx_blocked;

	if (level == dev->intx_driven)
		return;
	dev->intx_driven = level;
	drive(dev->bus, dev->gsi, level);
}

void pci_bus_set_intx(struct pci_device *dev, bool level)
{
	if (!dev->bus)
		return;
	pthread_mutex_lock(&dev->bus->irq_lock);
	dev->intx_level = level;
	update_line(dev);
	pthread_mutex_unlock(&dev->bus->irq_lock);
}

void pci_bus_block_intx(struct pci_device *dev, bool blocked)
{
	if (!dev->bus)
		return;
	pthread_mutex_lock(&dev->bus->irq_lock);
	dev->intx_blocked = blocked;
	update_line(dev);
	pthread_mutex_unlock(&dev->bus->irq_lock);
}

bool pci_bus_intx_pending(struct pci_device *dev)
{
	bool level;

	if (!dev->bus)
		return false;
	pthread_mutex_lock(&dev->bus->irq_lock);
	level = dev->intx_level;
	pthread_mutex_unlock(&dev->bus->irq_lock);
	return level;
}

void pci_intx_set(struct pci_device *dev, bool level)
{
	pci_bus_set_intx(dev, level);
}

static unsigned device_link(const struct pci_device *dev)
{
	return intx_link(dev->devfn >> 3, dev->config[PCI_INTERRUPT_PIN]);
}

/* ISA IRQs that the PIIX3 can route to: not 0-2, 8 and 13 (its data sheet, PIRQRC). */
static bool routable(uint8_t value)
{
	return value < 16 && !(0x2107u >> value & 1);
}

void pci_bus_route_link(struct pci_bus *bus, unsigned link, uint8_t value)
{
	uint32_t gsi = routable(value) ? value : link_default_gsi(link);

	pthread_mutex_lock(&bus->irq_lock);
	bus->link_gsi[link] = gsi;
	for (unsigned i = 0; i < DEVFN_COUNT; i++) {
		struct pci_device *dev = bus->devices[i];

		if (!dev || !dev->config[PCI_INTERRUPT_PIN] || device_link(dev) != link ||
			dev->gsi == gsi)
			continue;
		if (dev->intx_driven)
			drive(bus, dev->gsi, false);
		dev->gsi = gsi;
		if (dev->intx_driven)
			drive(bus, gsi, true);
	}
	pthread_mutex_unlock(&bus->irq_lock);
}

/* ---- configuration mechanism 1 ---- */

static struct pci_device *addressed(struct pci_bus *bus, uint32_t address)
{
	/* Bus 0 is the only one. */
	if (!(address & CONFIG_ENABLE) || address & 0x00ff0000)
		return NULL;
	return bus->devices[address >> 8 & 0xff];
}

static uint64_t address_read(struct bus_region *region, uint64_t offset, unsigned size)
{
	struct pci_bus *bus = container_of(region, struct pci_bus, address_region);

	if (offset != 0 || size != 4)
		return UINT64_MAX;
	return atomic_load(&bus->address);
}

static void address_write(struct bus_region *region, uint64_t offset, uint64_t value, unsigned size)
{
	struct pci_bus *bus = container_of(region, struct pci_bus, address_region);

	if (offset == 0 && size == 4)
		atomic_store(&bus->address, (uint32_t)value & 0x80fffffc);
}

static uint64_t data_read(struct bus_region *region, uint64_t offset, unsigned size)
{
	struct pci_bus *bus = container_of(region, struct pci_bus, data_region);
	uint32_t address = atomic_load(&bus->address);
	struct pci_device *dev = addressed(bus, address);

	return dev ? pci_device_config_read(dev, (address & 0xfc) + (uint32_t)offset, size)
		   : UINT64_MAX;
}

static void data_write(struct bus_region *region, uint64_t offset, uint64_t value, unsigned size)
{
	struct pci_bus *bus = container_of(region, struct pci_bus, data_region);
	uint32_t address = atomic_load(&bus->address);
	struct pci_device *dev = addressed(bus, address);

	if (dev)
		pci_device_config_write(
			dev, (address & 0xfc) + (uint32_t)offset, (uint32_t)value, size);
}

static const struct bus_ops address_ops = { .read = address_read, .write = address_write };
static const struct bus_ops data_ops = { .read = data_read, .write = data_write };

/* ---- the bus ---- */

int pci_bus_create(struct pci_bus **out, struct pci_host *host)
{
	struct pci_bus *bus = calloc(1, sizeof(*bus));
	int err;

	if (!bus)
		return -ENOMEM;
	bus->host = host;
	pthread_mutex_init(&bus->irq_lock, NULL);
	for (unsigned i = 0; i < LINKS; i++)
		bus->link_gsi[i] = link_default_gsi(i);
	bus->address_region =
		(struct bus_region){ .ops = &address_ops, .name = "pci address", .size = 4 };
	bus->data_region = (struct bus_region){ .ops = &data_ops, .name = "pci data", .size = 4 };
	err = bus_add(host->ports, &bus->address_region, 0xcf8);
	if (!err)
		err = bus_add(host->ports, &bus->data_region, 0xcfc);
	if (err) {
		pci_bus_destroy(bus);
		return err;
	}
	*out = bus;
	return 0;
}

void pci_bus_destroy(struct pci_bus *bus)
{
	if (!bus)
		return;
	for (unsigned i = 0; i < DEVFN_COUNT; i++)
		if (bus->devices[i])
			pci_bus_unplug(bus, bus->devices[i]);
	bus_remove(bus->host->ports, &bus->address_region);
	bus_remove(bus->host->ports, &bus->data_region);
	pthread_mutex_destroy(&bus->irq_lock);
	free(bus);
}

void pci_bus_reset(struct pci_bus *bus)
{
	atomic_store(&bus->address, 0);
	for (unsigned i = 0; i < DEVFN_COUNT; i++)
		if (bus->devices[i])
			pci_device_reset(bus->devices[i]);
	for (unsigned i = 0; i < LINKS; i++)
		pci_bus_route_link(bus, i, 0x80);
}

/* ---- plugging ---- */

/* The ROM's BAR shows a copy, since pages that the guest sees must be whole pages of ours. */
static int rom_declare(struct pci_device *dev)
{
	struct pci_bar *bar = &dev->rom_bar;
	uint64_t size = 4096;

	if (!dev->rom)
		return 0;
	if (dev->rom_size == 0 || dev->rom_size > ROM_SIZE_MAX)
		return -EINVAL;
	while (size < dev->rom_size)
		size *= 2;
	*bar = (struct pci_bar){ .type = PCI_BAR_MEMORY, .size = size, .dev = dev, .is_rom = true };
	bar->memory = (struct memory_region){ .name = dev->name,
		.host = memory_region_alloc_host(size),
		.size = size,
		.read_only = true };
	if (!bar->memory.host)
		return -ENOMEM;
	memcpy(bar->memory.host, dev->rom, dev->rom_size);
	pci_config_set32(dev->writable, PCI_ROM, (uint32_t) ~(size - 1) | PCI_ROM_ENABLE);
	return 0;
}

/* Function 0 says that there are others. */
static void mark_multi_function(struct pci_bus *bus, unsigned slot)
{
	struct pci_device *first = bus->devices[slot << 3];

	for (unsigned i = 1; first && i < 8; i++)
		if (bus->devices[slot << 3 | i]) {
			first->config[PCI_HEADER_TYPE] |= PCI_MULTI_FUNCTION;
			first->reset_config[PCI_HEADER_TYPE] |= PCI_MULTI_FUNCTION;
		}
}

int pci_bus_plug_at(struct pci_bus *bus, struct pci_device *dev, unsigned devfn)
{
	int err;

	if (devfn >= DEVFN_COUNT || dev->bus)
		return -EINVAL;
	if (bus->devices[devfn])
		return -EBUSY;
	err = rom_declare(dev);
	if (err)
		return err;
	dev->devfn = (uint8_t)devfn;
	pthread_mutex_lock(&bus->irq_lock);
	dev->gsi = bus->link_gsi[device_link(dev)];
	bus->devices[devfn] = dev;
	dev->bus = bus;
	memcpy(dev->reset_config, dev->config, sizeof(dev->config));
	mark_multi_function(bus, devfn >> 3);
	pthread_mutex_unlock(&bus->irq_lock);
	return 0;
}

int pci_bus_plug(struct pci_bus *bus, struct pci_device *dev, unsigned slot, unsigned function)
{
	if (slot > 31 || function > 7)
		return -EINVAL;
	if (slot == 0)
		for (slot = 2; slot < 32 && bus->devices[slot << 3 | function]; slot++)
			;
	return slot < 32 ? pci_bus_plug_at(bus, dev, slot << 3 | function) : -ENOSPC;
}

void pci_bus_unplug(struct pci_bus *bus, struct pci_device *dev)
{
	if (dev->bus != bus)
		return;
	pci_device_config_write(dev, PCI_ROM, 0, 4);
	pci_device_config_write(dev, PCI_COMMAND, 0, 2);
	pci_bus_set_intx(dev, false);
	pthread_mutex_lock(&bus->irq_lock);
	bus->devices[dev->devfn] = NULL;
	dev->bus = NULL;
	pthread_mutex_unlock(&bus->irq_lock);
}

/* ---- firmware's part ---- */

#define ASSIGN_MAX (DEVFN_COUNT * PCI_BAR_COUNT)

struct window {
	uint64_t next;
	uint64_t end;
};

static bool window_take(struct window *window, uint64_t size, uint64_t *address)
{
	uint64_t start = ALIGN_UP(window->next, size);

	if (start < window->next || start > window->end || size > window->end - start)
		return false;
	window->next = start + size;
	*address = start;
	return true;
}

static void assign_bar(
	struct pci_bar *bar, struct window *io, struct window *low, struct window *high)
{
	struct pci_device *dev = bar->dev;
	uint32_t offset = (uint32_t)(PCI_BARS + 4 * (bar - dev->bars));
	uint64_t address;

	if (!window_take(bar->type == PCI_BAR_IO ? io : low, bar->size, &address) &&
		!(bar->is_64bit && window_take(high, bar->size, &address))) {
		log_warn(dev->name, "there is no room for BAR %u of %llu bytes",
			(unsigned)(bar - dev->bars), (unsigned long long)bar->size);
		return;
	}
	pci_device_config_write(dev, offset, (uint32_t)address, 4);
	if (bar->is_64bit)
		pci_device_config_write(dev, offset + 4, (uint32_t)(address >> 32), 4);
}

static int compare_size(const void *left, const void *right)
{
	const struct pci_bar *a = *(struct pci_bar *const *)left;
	const struct pci_bar *b = *(struct pci_bar *const *)right;

	return a->size < b->size ? 1 : a->size > b->size ? -1 : 0;
}

void pci_bus_assign(struct pci_bus *bus, uint64_t high_base)
{
	struct window io = { 0xc000, 0xf000 };
	struct window low = { 0xe0000000u, 0xfec00000u };
	struct window high = { high_base, UINT64_C(1) << 39 };
	struct pci_bar *bars[ASSIGN_MAX];
	size_t count = 0;

	for (unsigned i = 0; i < DEVFN_COUNT; i++) {
		if (bus->devices[i]) /* so that none is in another's way while they move */
			pci_device_config_write(bus->devices[i], PCI_COMMAND, 0, 2);
		for (unsigned j = 0; bus->devices[i] && j < PCI_BAR_COUNT; j++)
			if (bus->devices[i]->bars[j].type != PCI_BAR_NONE)
				bars[count++] = &bus->devices[i]->bars[j];
	}
	/* The largest first, so that alignment wastes nothing. */
	qsort(bars, count, sizeof(bars[0]), compare_size);
	for (size_t i = 0; i < count; i++)
		assign_bar(bars[i], &io, &low, &high);
	for (unsigned i = 0; i < DEVFN_COUNT; i++) {
		struct pci_device *dev = bus->devices[i];

		if (!dev)
			continue;
		if (dev->config[PCI_INTERRUPT_PIN])
			pci_device_config_write(dev, PCI_INTERRUPT_LINE, dev->gsi, 1);
		pci_device_config_write(dev, PCI_COMMAND,
			PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	}
}

/* SPDX-License-Identifier: MIT */
/* PCI: configuration space, BARs, INTx and MSI-X (PCI Local Bus 3.0), on an i440FX host bridge. */
#ifndef HYPERVISOR_PCI_H
#define HYPERVISOR_PCI_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/loop.h"
#include "hypervisor/bus.h"
#include "hypervisor/irq.h"
#include "hypervisor/memory.h"

#define PCI_BAR_COUNT 6
#define PCI_MSIX_MAX 64

/* What a device may use of the machine. Lives as long as the machine. */
struct pci_host {
	struct loop *loop;
	struct guest_memory *memory;
	struct bus *ports;
	struct bus *mmio;
	struct irq_chip *irq;
};

enum pci_bar_type { PCI_BAR_NONE, PCI_BAR_IO, PCI_BAR_MMIO, PCI_BAR_MEMORY };

struct pci_bar {
	enum pci_bar_type type;
	uint64_t size; /* a power of two */
	bool is_64bit;
	bool prefetchable;
	struct bus_region region;     /* PCI_BAR_IO, PCI_BAR_MMIO: ops set by the device */
	struct memory_region memory;  /* PCI_BAR_MEMORY: host memory of the device */
	/* Kept by pci.c: */
	struct pci_device *dev;
	uint64_t address;
	bool mapped;
	bool is_rom;
};

struct pci_device;

struct pci_device_ops {
	/* All may be NULL; called with the device's lock held, on a vCPU thread (reset also on the
	 * loop thread). */
	void (*reset)(struct pci_device *dev);
	/* A BAR was mapped at, moved to, or unmapped from `address`. */
	void (*bar_changed)(struct pci_device *dev, unsigned bar);
	/* After a config write outside the header that pci.c handles (device-specific capabilities). */
	void (*config_written)(struct pci_device *dev, uint32_t offset, unsigned size);
	/* Before a config read of device-specific bytes: the device refreshes dev->config. */
	void (*config_reading)(struct pci_device *dev, uint32_t offset, unsigned size);
};

/* Base of every PCI device: embedded first, filled by pci_device_init() and the device, then plugged
 * with pci_bus_plug(). */
struct pci_device {
	const struct pci_device_ops *ops;
	const char *name;
	struct pci_host *host;
	pthread_mutex_t lock; /* recursive is not needed: guards all of the device's guest-visible state */
	uint8_t config[256];
	uint8_t writable[256]; /* bit set: the guest may write it */
	struct pci_bar bars[PCI_BAR_COUNT];
	const uint8_t *rom; /* expansion ROM, borrowed; NULL: none */
	uint32_t rom_size;
	/* Kept by pci.c: */
	struct pci_bus *bus;
	uint8_t reset_config[256]; /* as it was when plugged */
	uint8_t devfn;
	/* Under the bus's interrupt lock: what the device asks for, what it may, what is driven. */
	bool intx_level;
	bool intx_blocked;
	bool intx_driven;
	uint32_t gsi;
	struct pci_bar rom_bar;
	struct pci_msix *msix;
	uint8_t cap_next;
};

struct pci_bus;

int pci_bus_create(struct pci_bus **out, struct pci_host *host);
void pci_bus_destroy(struct pci_bus *bus);
/* Resets every device (config, BARs unmapped, then its reset op). */
void pci_bus_reset(struct pci_bus *bus);

/* Fills the header: ids, class (24 bits: class, subclass, interface), revision, interrupt pin A
 * when intx. Initialises the lock. */
void pci_device_init(struct pci_device *dev, const struct pci_device_ops *ops, const char *name,
		     struct pci_host *host, uint16_t vendor, uint16_t device, uint32_t class_code,
		     uint8_t revision, bool intx);
void pci_device_set_subsystem(struct pci_device *dev, uint16_t vendor, uint16_t device);
void pci_device_finish(struct pci_device *dev);
/* BARs, before plugging. The region's ops and name are set by the caller first. Sizes: powers of
 * two, at least 4096 for memory (16 for I/O). 64-bit BARs take bar and bar + 1. */
int pci_bar_io(struct pci_device *dev, unsigned bar, uint32_t size, const struct bus_ops *ops);
int pci_bar_mmio(struct pci_device *dev, unsigned bar, uint64_t size, bool is_64bit,
		 bool prefetchable, const struct bus_ops *ops);
/* `host_memory` of `size` bytes is the device's; read_only for ROMs. */
int pci_bar_memory(struct pci_device *dev, unsigned bar, uint8_t *host_memory, uint64_t size,
		   bool is_64bit, bool prefetchable, bool read_only);
/* Whether the BAR decodes now, and where. */
static inline bool pci_bar_mapped(const struct pci_device *dev, unsigned bar)
{
	return dev->bars[bar].mapped;
}

/* Reserves a capability of `size` bytes with this id in config space; returns its offset or -ENOSPC. */
int pci_capability_add(struct pci_device *dev, uint8_t id, uint8_t size);
/* MSI-X with its table and pending bits inside a 4 KiB (or larger) MMIO BAR of its own. */
int pci_msix_init(struct pci_device *dev, unsigned bar, uint32_t vectors);
/* Whether the guest enabled MSI-X (then INTx stays low). */
bool pci_msix_enabled(const struct pci_device *dev);
/* Sends (or, masked, pends) a vector. Any thread; takes MSI-X's own lock only. */
void pci_msix_notify(struct pci_device *dev, uint32_t vector);
/* The level of INTx (ignored while MSI-X is on or interrupts are disabled in the command register). */
void pci_intx_set(struct pci_device *dev, bool level);

/* Puts the device on the bus at slot 1-31 (0: the next free one from 2), function 0 unless given.
 * The bus does not own it. -EBUSY, -ENOSPC. Before the machine runs. */
int pci_bus_plug(struct pci_bus *bus, struct pci_device *dev, unsigned slot, unsigned function);
void pci_bus_unplug(struct pci_bus *bus, struct pci_device *dev);
/* For the chipset: like pci_bus_plug(), at a function of any slot. */
int pci_bus_plug_at(struct pci_bus *bus, struct pci_device *dev, unsigned devfn);
/* The PIIX3 routes link 0-3 (PIRQA-D) to this ISA IRQ; a value that names none (bit 7 set, or no
 * legal IRQ) gives back the link's GSI of pci_intx_gsi(). */
void pci_bus_route_link(struct pci_bus *bus, unsigned link, uint8_t value);
/* Does firmware's part for direct boot: gives each BAR an address (I/O 0xC000-0xEFFF, memory
 * 0xE0000000-0xFEBFFFFF, what does not fit there and is 64 bits wide from high_base up), sets the
 * interrupt lines and the enable bits of the command registers. */
void pci_bus_assign(struct pci_bus *bus, uint64_t high_base);

/* INTx routing of slot and pin (1: A) to a GSI: the PIIX3's four links PIRQA-D are at GSI 10, 10, 11, 11
 * as SeaBIOS programs them (see pci.c); ACPI's _PRT says the same. */
uint32_t pci_intx_gsi(unsigned slot, unsigned pin);

#endif

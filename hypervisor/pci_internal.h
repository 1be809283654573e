/* SPDX-License-Identifier: MIT */
/* What the parts of PCI (device, bus, MSI-X) share among themselves. */
#ifndef HYPERVISOR_PCI_INTERNAL_H
#define HYPERVISOR_PCI_INTERNAL_H

#include "hypervisor/pci.h"

/* Offsets and bits of the type 0 header, PCI Local Bus 3.0 section 6.1. */
enum {
	PCI_VENDOR_ID = 0x00,
	PCI_DEVICE_ID = 0x02,
	PCI_COMMAND = 0x04,
	PCI_STATUS = 0x06,
	PCI_REVISION = 0x08,
	PCI_CLASS = 0x09,
	PCI_CACHE_LINE = 0x0c,
	PCI_LATENCY = 0x0d,
	PCI_HEADER_TYPE = 0x0e,
	PCI_BARS = 0x10,
	PCI_SUBSYSTEM_VENDOR = 0x2c,
	PCI_SUBSYSTEM = 0x2e,
	PCI_ROM = 0x30,
	PCI_CAPABILITIES = 0x34,
	PCI_INTERRUPT_LINE = 0x3c,
	PCI_INTERRUPT_PIN = 0x3d,
	PCI_HEADER_END = 0x40,

	PCI_COMMAND_IO = 1 << 0,
	PCI_COMMAND_MEMORY = 1 << 1,
	PCI_COMMAND_MASTER = 1 << 2,
	PCI_COMMAND_PARITY = 1 << 6,
	PCI_COMMAND_SERR = 1 << 8,
	PCI_COMMAND_INTX_OFF = 1 << 10,
	PCI_STATUS_INTERRUPT = 1 << 3,
	PCI_STATUS_CAPABILITIES = 1 << 4,
	PCI_STATUS_CLEARABLE = 0xf900,

	PCI_BAR_IS_IO = 1,
	PCI_BAR_IS_64BIT = 4,
	PCI_BAR_IS_PREFETCHABLE = 8,
	PCI_ROM_ENABLE = 1,
	PCI_MULTI_FUNCTION = 0x80,

	PCI_CAP_MSIX = 0x11,
};

static inline uint16_t pci_config_get16(const struct pci_device *dev, unsigned offset)
{
	return (uint16_t)(dev->config[offset] | dev->config[offset + 1] << 8);
}
static inline uint32_t pci_config_get32(const struct pci_device *dev, unsigned offset)
{
	return pci_config_get16(dev, offset) | (uint32_t)pci_config_get16(dev, offset + 2) << 16;
}
static inline void pci_config_set16(uint8_t *bytes, unsigned offset, uint16_t value)
{
	bytes[offset] = (uint8_t)value;
	bytes[offset + 1] = (uint8_t)(value >> 8);
}
static inline void pci_config_set32(uint8_t *bytes, unsigned offset, uint32_t value)
{
	pci_config_set16(bytes, offset, (uint16_t)value);
	pci_config_set16(bytes, offset + 2, (uint16_t)(value >> 16));
}

/* One access to a device's configuration space; takes the device's lock. size is 1, 2 or 4 and
 * offset + size at most 256. */
uint32_t pci_device_config_read(struct pci_device *dev, uint32_t offset, unsigned size);
void pci_device_config_write(
	struct pci_device *dev, uint32_t offset, uint32_t value, unsigned size);
/* Back to the state in which it was plugged; takes the device's lock. */
void pci_device_reset(struct pci_device *dev);
/* Whether INTx must stay low (command register, MSI-X); tells the bus. Device's lock held. */
void pci_device_update_intx(struct pci_device *dev);

/* Under the bus's own interrupt lock. */
void pci_bus_set_intx(struct pci_device *dev, bool level);
void pci_bus_block_intx(struct pci_device *dev, bool blocked);
bool pci_bus_intx_pending(struct pci_device *dev);

void pci_msix_reset(struct pci_device *dev);
void pci_msix_destroy(struct pci_device *dev);
/* After a write to the capability's bytes. Device's lock held. */
void pci_msix_config_written(struct pci_device *dev);

#endif

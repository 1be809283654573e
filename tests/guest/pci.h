/* SPDX-License-Identifier: MIT */
/* PCI configuration space by ports 0xcf8 and 0xcfc, bus 0. */
#ifndef GUEST_PCI_H
#define GUEST_PCI_H

#include "lib.h"

struct pci_device {
	uint8_t slot, function;
	uint16_t vendor, device;
	/* Base address of each BAR, flag bits removed; 0 when it does not exist. A 64-bit BAR's upper
	 * half is folded into its first entry. */
	uint64_t bar[6];
	uint32_t bar_size[6];
};

uint32_t pci_read32(const struct pci_device *pci, uint8_t offset);
uint16_t pci_read16(const struct pci_device *pci, uint8_t offset);
uint8_t pci_read8(const struct pci_device *pci, uint8_t offset);
void pci_write32(const struct pci_device *pci, uint8_t offset, uint32_t value);
void pci_write16(const struct pci_device *pci, uint8_t offset, uint16_t value);

/* Looks through bus 0 for vendor:device, beginning at slot `from`. On success the device's BARs
 * are assigned (by us where no firmware did it) and decoding and bus mastering are on. */
bool pci_find(struct pci_device *pci, uint16_t vendor, uint16_t device, uint8_t from);

/* Offset of the capability `id` after the one at `after` (0: the first), or 0. */
uint8_t pci_capability(const struct pci_device *pci, uint8_t id, uint8_t after);

#endif

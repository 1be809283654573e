/* SPDX-License-Identifier: MIT */
/* The PCI functions of an i440FX board that firmware and systems look for: the host bridge (slot 0),
 * the PIIX3's ISA bridge and the PIIX4's power management function (slot 1). */
#ifndef HYPERVISOR_CHIPSET_H
#define HYPERVISOR_CHIPSET_H

#include "hypervisor/pci.h"

struct chipset {
	struct pci_device host_bridge;
	struct pci_device isa_bridge;
	struct pci_device pm;
};

/* Plugs the three. 0 or -errno; chipset_finish() is due either way. */
int chipset_init(struct chipset *chipset, struct pci_host *host, struct pci_bus *bus);
void chipset_finish(struct chipset *chipset);

#endif

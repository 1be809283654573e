/* SPDX-License-Identifier: MIT */
/* The QXL PCI device (1b36:0100): VGA compatible at boot, native QXL once its driver is there. */
#ifndef QXL_QXL_H
#define QXL_QXL_H

#include "core/ports.h"
#include "hypervisor/machine.h"
#include "hypervisor/pci.h"

struct qxl;

struct qxl_config {
	uint32_t ram_bytes; /* BAR 0; 0: 64 MiB */
	uint32_t vram_bytes; /* BAR 1; 0: 64 MiB */
	struct machine_blob vga_bios; /* expansion ROM; borrowed */
};

/* Makes the device and plugs it at slot 2, or the next free one. What it shows goes to `sink`
 * (borrowed), on the loop thread. Returns 0 or -errno. */
int qxl_create(struct qxl **out, struct pci_host *host, struct pci_bus *bus,
	const struct qxl_config *config, struct display_sink *sink);
/* After the vCPUs stopped. Destroys its surfaces at the sink. NULL is ignored. */
void qxl_destroy(struct qxl *qxl);

/* Tells the device whether anybody looks (a window that is visible, a viewer): without one the
 * frame-buffer modes are not scanned. Loop thread; starts as true. */
void qxl_set_watched(struct qxl *qxl, bool watched);

#endif

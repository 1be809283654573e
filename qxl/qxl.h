/* SPDX-License-Identifier: MIT */
/* The QXL PCI device (1b36:0100): VGA compatible at boot, native QXL once its driver is there. */
#ifndef QXL_QXL_H
#define QXL_QXL_H

#include "core/ports.h"
#include "core/surface.h"
#include "hypervisor/machine.h"
#include "hypervisor/pci.h"

struct qxl;

/* Pictures that a driver packed itself. */
enum qxl_packing { QXL_PACKED_QUIC, QXL_PACKED_LZ };

/* Unpacks a picture that has to be of width x height pixels, the top row first. Loop thread. 0 and a
 * reference; -EINVAL for what is malformed or of another size; -ENOTSUP for what is not known of;
 * -ENOMEM. */
typedef int qxl_unpack_fn(enum qxl_packing packing, const uint8_t *data, size_t size,
	uint32_t width, uint32_t height, struct image **out);

struct qxl_config {
	uint32_t ram_bytes; /* BAR 0; 0: 64 MiB */
	uint32_t vram_bytes; /* BAR 1; 0: 64 MiB */
	struct machine_blob vga_bios; /* expansion ROM; borrowed */
	qxl_unpack_fn *unpack; /* NULL: drawings with packed pictures are skipped */
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

/* SPDX-License-Identifier: MIT */
/* A virtio disk (Virtual I/O Device 1.2, section 5.2). */
#ifndef HYPERVISOR_VIRTIO_BLK_H
#define HYPERVISOR_VIRTIO_BLK_H

#include "hypervisor/block.h"
#include "hypervisor/pci.h"

struct virtio_blk;

/* Makes the disk and plugs it into the next free slot of bus. The block stays the caller's, is used
 * by this device alone, and is closed after virtio_blk_destroy(). `serial` (at most 20 bytes; NULL:
 * none) is what GET_ID answers. Loop thread, before the machine runs. 0 or -errno. */
int virtio_blk_create(struct virtio_blk **out, struct pci_host *host, struct pci_bus *bus,
	struct block *block, const char *serial);
/* Waits until no request is in flight and takes no new ones, ever: for machine_stop(), after the
 * vCPUs stopped and before any memory that the guest saw is freed. Loop thread. */
void virtio_blk_stop(struct virtio_blk *disk);
/* Stops, unplugs and frees. Loop thread, after the vCPUs stopped. NULL is ignored. */
void virtio_blk_destroy(struct virtio_blk *disk);

#endif

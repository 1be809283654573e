/* SPDX-License-Identifier: MIT */
/* A virtio tablet: absolute pointer with buttons and a wheel (Virtual I/O Device 1.2, section 5.8). */
#ifndef HYPERVISOR_VIRTIO_INPUT_H
#define HYPERVISOR_VIRTIO_INPUT_H

#include "core/ports.h"
#include "hypervisor/pci.h"

struct virtio_input;

/* On the loop thread, no lock held: whether a driver uses the tablet now (it set DRIVER_OK, or was
 * reset). Only told when it changes; inactive at first. */
typedef void virtio_input_active_fn(void *opaque, bool active);

/* Makes the tablet and plugs it into the next free slot of bus. `active` may be NULL. Loop thread,
 * before the machine runs. 0 or -errno. */
int virtio_input_create(struct virtio_input **out, struct pci_host *host, struct pci_bus *bus,
	virtio_input_active_fn *active, void *opaque);
/* Unplugs and frees. Loop thread, after the vCPUs stopped. NULL is ignored. */
void virtio_input_destroy(struct virtio_input *input);

/* The calls below fit input_sink_ops; loop thread. What is told within one turn of the loop reaches
 * the driver as one report, but never so that a press and its release, or a click and the move behind
 * it, are merged. While the driver has given no buffers the newest state is kept, nothing else. */

/* Position in pixels of a screen of width x height; clipped to it. */
void virtio_input_position(
	struct virtio_input *input, int32_t x, int32_t y, uint32_t width, uint32_t height);
void virtio_input_button(struct virtio_input *input, enum input_button button, bool down);

#endif

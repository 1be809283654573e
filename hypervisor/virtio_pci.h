/* SPDX-License-Identifier: MIT */
/*
 * virtio over PCI, modern only (Virtual I/O Device 1.2, sections 2 and 4.1). A device embeds struct
 * virtio_device first, fills its operations, features and config bytes, and plugs it.
 */
#ifndef HYPERVISOR_VIRTIO_PCI_H
#define HYPERVISOR_VIRTIO_PCI_H

#include "core/log.h"
#include "hypervisor/pci.h"
#include "hypervisor/virtqueue.h"

#define VIRTIO_MAX_QUEUES 4
#define VIRTIO_CONFIG_MAX 256
#define VIRTIO_NO_VECTOR  0xffff

struct virtio_device;

/* All run with the device's lock held. */
struct virtio_device_ops {
	/* The driver rang queue `index`, which is enabled, and the device is live (DRIVER_OK set, not
	 * broken). Also called once for each queue when the device goes live. Loop thread. */
	void (*queue_notify)(struct virtio_device *dev, unsigned index);
	/* May be NULL: the driver's writes to the device's config are dropped. A vCPU thread; the
	 * device changes dev->config as it sees fit. offset + size stays inside config_size. */
	void (*config_write)(
		struct virtio_device *dev, uint32_t offset, const uint8_t *bytes, uint32_t size);
	/* May be NULL. The driver has set DRIVER_OK. Loop thread, before the queue_notify calls. */
	void (*live)(struct virtio_device *dev);
	/* May be NULL. The device is being reset, its queues already are: no request of before may
	 * touch guest memory when this returns, so it waits for those in flight (it may release and
	 * take back the lock for that). Loop thread. Comes also for a device that was not live. */
	void (*reset)(struct virtio_device *dev);
};

struct virtio_queue {
	struct virtqueue ring;
	struct virtio_device *dev;
	struct loop_fd *watch;
	int doorbell_fd;
	uint64_t doorbell_gpa; /* where the doorbell is registered; 0: nowhere */
	uint16_t vector;
};

struct virtio_device {
	struct pci_device pci; /* first; its lock guards all of this */
	const struct virtio_device_ops *ops;
	uint64_t features; /* offered; the transport adds VERSION_1, INDIRECT_DESC and EVENT_IDX */
	/* The device-specific config space as the driver reads it. */
	uint8_t config[VIRTIO_CONFIG_MAX];
	uint32_t config_size;
	struct virtio_queue queues[VIRTIO_MAX_QUEUES];
	unsigned queue_count;
	/* Kept by virtio_pci.c. */
	uint64_t driver_features;
	uint32_t device_feature_select;
	uint32_t driver_feature_select;
	uint16_t queue_select;
	uint16_t config_vector;
	uint8_t status;
	uint8_t generation; /* config_generation */
	uint8_t isr;
	uint8_t config_capability; /* where VIRTIO_PCI_CAP_PCI_CFG is in PCI config space */
	bool resetting;
	bool broken_said;
};

/* Makes a device of this virtio type (VIRTIO_ID_*) with queue_count queues of queue_size entries
 * each: PCI ids, BARs, capabilities, doorbells. Loop thread. 0 or -errno; virtio_device_finish() is
 * due only after success. */
int virtio_device_init(struct virtio_device *dev, const struct virtio_device_ops *ops,
	const char *name, struct pci_host *host, uint16_t type, uint32_t class_code,
	unsigned queue_count, uint16_t queue_size);
/* Loop thread, after the vCPUs stopped and the device was unplugged. */
void virtio_device_finish(struct virtio_device *dev);

/* Whether the driver has accepted the feature bit. Lock held. */
static inline bool virtio_device_has(const struct virtio_device *dev, unsigned bit)
{
	return (dev->driver_features >> bit) & 1;
}
/* DRIVER_OK is set and the device is neither broken nor in reset. Lock held. */
bool virtio_device_is_live(const struct virtio_device *dev);
/* Takes a chain of a queue: virtqueue_pop(), and a bad ring breaks the device. 1, 0 or -EPROTO. */
int virtio_device_pop(struct virtio_device *dev, unsigned index, struct virtqueue_chain *chain);
/* Gives a chain back (virtqueue_push()); virtio_device_interrupt() must follow. */
void virtio_device_push(struct virtio_device *dev, unsigned index, uint16_t head, uint32_t written);
/* Interrupts the driver when it wants to know of what was pushed. */
void virtio_device_interrupt(struct virtio_device *dev, unsigned index);
/* Has the queue's queue_notify called again, after others had the loop. */
void virtio_device_serve_again(struct virtio_device *dev, unsigned index);
/* dev->config has changed: new generation, config interrupt. Lock held. */
void virtio_device_config_changed(struct virtio_device *dev);
/* The driver did what it must not: DEVICE_NEEDS_RESET, a config interrupt, one line in the log.
 * Nothing more is taken from the queues until it resets the device. Lock held. */
void virtio_device_break(struct virtio_device *dev, const char *reason);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The driver's side of virtio over PCI, for tests and fuzz targets: a small fake machine (RAM, buses,
 * an interrupt chip that counts) and what a driver does to find, negotiate and feed a device.
 */
#ifndef TESTS_HYPERVISOR_VIRTIO_DRIVER_H
#define TESTS_HYPERVISOR_VIRTIO_DRIVER_H

#include <assert.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>

#include "core/loop.h"
#include "core/util.h"
#include "hypervisor/bus.h"
#include "hypervisor/memory.h"
#include "hypervisor/pci.h"

enum {
	FAKE_RAM = 4 << 20,
	FAKE_SLOT = 2, /* where pci_bus_plug() puts the first device */
	FAKE_BAR = 0xe0000000u,
	FAKE_MSIX_BAR = 0xe0010000u,
	FAKE_QUEUE_GPA = 0x10000, /* of queue 0; 64 KiB each */
	FAKE_QUEUE_STRIDE = 0x10000,
	FAKE_AVAIL = 0x4000, /* from the queue's start, behind the descriptors */
	FAKE_USED = 0x8000,
	FAKE_BUFFERS = 0x100000, /* free for the test */
};

struct fake_machine {
	struct loop *loop;
	struct guest_memory *memory;
	struct memory_region ram;
	struct bus *ports;
	struct bus *mmio;
	struct irq_chip chip;
	struct pci_host host;
	struct pci_bus *bus;
	unsigned msi_count[8]; /* by vector */
	bool intx;
};

static void fake_set_gsi(struct irq_chip *chip, uint32_t gsi, bool level)
{
	container_of(chip, struct fake_machine, chip)->intx = level;
}

static void fake_send_msi(struct irq_chip *chip, uint64_t address, uint32_t data)
{
	container_of(chip, struct fake_machine, chip)->msi_count[data % 8]++;
}

static const struct irq_chip_ops fake_chip_ops = { fake_set_gsi, fake_send_msi };

static inline void fake_machine_init(struct fake_machine *m)
{
	int err;

	memset(m, 0, sizeof(*m));
	m->chip.ops = &fake_chip_ops;
	err = loop_create(&m->loop) || guest_memory_create(&m->memory, NULL, NULL) ||
		bus_create(&m->ports, false, NULL, NULL) || bus_create(&m->mmio, true, NULL, NULL);
	m->ram = (struct memory_region){
		.name = "ram", .host = memory_region_alloc_host(FAKE_RAM), .size = FAKE_RAM
	};
	err = err || !m->ram.host || guest_memory_map(m->memory, &m->ram, 0);
	m->host = (struct pci_host){ m->loop, m->memory, m->ports, m->mmio, &m->chip };
	err = err || pci_bus_create(&m->bus, &m->host);
	if (err)
		abort();
}

static inline void fake_machine_finish(struct fake_machine *m)
{
	pci_bus_destroy(m->bus);
	bus_destroy(m->ports);
	bus_destroy(m->mmio);
	guest_memory_destroy(m->memory);
	memory_region_free_host(m->ram.host, FAKE_RAM);
	loop_destroy(m->loop);
}

/* Lets the loop thread do what is due. */
static inline void fake_run(struct fake_machine *m)
{
	for (int i = 0; i < 4; i++)
		loop_run_once(m->loop, 0);
}

static inline uint32_t fake_config_read(struct fake_machine *m, unsigned offset, unsigned size)
{
	bus_write(m->ports, 0xcf8, 0x80000000u | FAKE_SLOT << 11 | (offset & 0xfc), 4);
	return (uint32_t)bus_read(m->ports, 0xcfc + (offset & 3), size);
}

static inline void fake_config_write(
	struct fake_machine *m, unsigned offset, uint32_t value, unsigned size)
{
	bus_write(m->ports, 0xcf8, 0x80000000u | FAKE_SLOT << 11 | (offset & 0xfc), 4);
	bus_write(m->ports, 0xcfc + (offset & 3), value, size);
}

struct fake_queue {
	uint16_t size;
	uint16_t next_desc; /* descriptors are taken round and round */
	uint16_t avail_idx;
	uint16_t seen_used;
	uint64_t notify_gpa;
};

struct fake_driver {
	struct fake_machine *m;
	/* From the capabilities. */
	uint64_t common, isr, device, notify;
	uint32_t notify_multiplier;
	unsigned pci_cfg; /* the capability's place in config space */
	struct fake_queue queues[4];
};

static inline uint64_t fake_read(struct fake_driver *d, uint64_t gpa, unsigned size)
{
	return bus_read(d->m->mmio, gpa, size);
}

static inline void fake_write(struct fake_driver *d, uint64_t gpa, uint64_t value, unsigned size)
{
	bus_write(d->m->mmio, gpa, value, size);
}

static inline void fake_note_capability(struct fake_driver *d, unsigned at)
{
	uint64_t gpa = FAKE_BAR + fake_config_read(d->m, at + VIRTIO_PCI_CAP_OFFSET, 4);

	switch (fake_config_read(d->m, at + VIRTIO_PCI_CAP_CFG_TYPE, 1)) {
	case VIRTIO_PCI_CAP_COMMON_CFG: d->common = gpa; break;
	case VIRTIO_PCI_CAP_ISR_CFG: d->isr = gpa; break;
	case VIRTIO_PCI_CAP_DEVICE_CFG: d->device = gpa; break;
	case VIRTIO_PCI_CAP_NOTIFY_CFG:
		d->notify = gpa;
		d->notify_multiplier = fake_config_read(d->m, at + VIRTIO_PCI_NOTIFY_CAP_MULT, 4);
		break;
	case VIRTIO_PCI_CAP_PCI_CFG: d->pci_cfg = at; break;
	}
}

/* Places the BARs and reads the capabilities. With msix: vector i (0: config, then queues) sends
 * data i. */
static inline void fake_driver_find(struct fake_driver *d, struct fake_machine *m, bool msix)
{
	unsigned at;

	memset(d, 0, sizeof(*d));
	d->m = m;
	fake_config_write(m, 0x14, FAKE_MSIX_BAR, 4);
	fake_config_write(m, 0x20, FAKE_BAR, 4);
	fake_config_write(m, 0x24, 0, 4);
	fake_config_write(m, 0x04, 6, 2);
	for (at = fake_config_read(m, 0x34, 1); at; at = fake_config_read(m, at + 1, 1)) {
		uint32_t id = fake_config_read(m, at, 1);

		if (id == 0x09)
			fake_note_capability(d, at);
		if (id == 0x11 && msix)
			fake_config_write(m, at + 2, 0x8000, 2);
	}
	for (unsigned i = 0; msix && i < 4; i++) {
		fake_write(d, FAKE_MSIX_BAR + 16 * i, 0xfee00000u, 4);
		fake_write(d, FAKE_MSIX_BAR + 16 * i + 8, i, 4);
		fake_write(d, FAKE_MSIX_BAR + 16 * i + 12, 0, 4);
	}
}

static inline uint8_t fake_status(struct fake_driver *d)
{
	return (uint8_t)fake_read(d, d->common + VIRTIO_PCI_COMMON_STATUS, 1);
}

static inline void fake_add_status(struct fake_driver *d, uint8_t bits)
{
	fake_write(d, d->common + VIRTIO_PCI_COMMON_STATUS, fake_status(d) | bits, 1);
}

static inline uint64_t fake_device_features(struct fake_driver *d)
{
	uint64_t features = 0;

	for (unsigned i = 0; i < 2; i++) {
		fake_write(d, d->common + VIRTIO_PCI_COMMON_DFSELECT, i, 4);
		features |= fake_read(d, d->common + VIRTIO_PCI_COMMON_DF, 4) << (32 * i);
	}
	return features;
}

/* Reset to FEATURES_OK. Whether the device took the features. */
static inline bool fake_negotiate(struct fake_driver *d, uint64_t features)
{
	fake_write(d, d->common + VIRTIO_PCI_COMMON_STATUS, 0, 1);
	memset(d->queues, 0, sizeof(d->queues));
	fake_add_status(d, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	for (unsigned i = 0; i < 2; i++) {
		fake_write(d, d->common + VIRTIO_PCI_COMMON_GFSELECT, i, 4);
		fake_write(
			d, d->common + VIRTIO_PCI_COMMON_GF, (uint32_t)(features >> (32 * i)), 4);
	}
	fake_add_status(d, VIRTIO_CONFIG_S_FEATURES_OK);
	return fake_status(d) & VIRTIO_CONFIG_S_FEATURES_OK;
}

static inline uint64_t fake_queue_gpa(unsigned index)
{
	return FAKE_QUEUE_GPA + (uint64_t)index * FAKE_QUEUE_STRIDE;
}

static inline void fake_queue_setup(struct fake_driver *d, unsigned index, uint16_t size)
{
	struct fake_queue *queue = &d->queues[index];
	uint64_t gpa = fake_queue_gpa(index);
	uint64_t common = d->common;

	memset(d->m->ram.host + gpa, 0, FAKE_QUEUE_STRIDE);
	*queue = (struct fake_queue){ .size = size };
	fake_write(d, common + VIRTIO_PCI_COMMON_Q_SELECT, index, 2);
	fake_write(d, common + VIRTIO_PCI_COMMON_Q_SIZE, size, 2);
	fake_write(d, common + VIRTIO_PCI_COMMON_Q_MSIX, index + 1, 2);
	fake_write(d, common + VIRTIO_PCI_COMMON_Q_DESCLO, gpa, 4);
	fake_write(d, common + VIRTIO_PCI_COMMON_Q_DESCHI, 0, 4);
	fake_write(d, common + VIRTIO_PCI_COMMON_Q_AVAILLO, gpa + FAKE_AVAIL, 4);
	fake_write(d, common + VIRTIO_PCI_COMMON_Q_AVAILHI, 0, 4);
	fake_write(d, common + VIRTIO_PCI_COMMON_Q_USEDLO, gpa + FAKE_USED, 4);
	fake_write(d, common + VIRTIO_PCI_COMMON_Q_USEDHI, 0, 4);
	queue->notify_gpa = d->notify +
		d->notify_multiplier * fake_read(d, common + VIRTIO_PCI_COMMON_Q_NOFF, 2);
	fake_write(d, common + VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
}

/* All of it: the device is live afterwards. */
static inline void fake_driver_start(
	struct fake_driver *d, uint64_t features, unsigned queues, uint16_t size)
{
	bool taken = fake_negotiate(d, features | 1ull << VIRTIO_F_VERSION_1);

	if (!taken)
		abort();
	fake_write(d, d->common + VIRTIO_PCI_COMMON_MSIX, 0, 2);
	for (unsigned i = 0; i < queues; i++)
		fake_queue_setup(d, i, size);
	fake_add_status(d, VIRTIO_CONFIG_S_DRIVER_OK);
}

static inline struct vring_desc *fake_desc(struct fake_driver *d, unsigned index, unsigned desc)
{
	return (struct vring_desc *)(d->m->ram.host + fake_queue_gpa(index)) + desc;
}

static inline uint16_t *fake_avail(struct fake_driver *d, unsigned index)
{
	return (uint16_t *)(d->m->ram.host + fake_queue_gpa(index) + FAKE_AVAIL);
}

static inline uint16_t *fake_used(struct fake_driver *d, unsigned index)
{
	return (uint16_t *)(d->m->ram.host + fake_queue_gpa(index) + FAKE_USED);
}

struct fake_segment {
	uint64_t gpa;
	uint32_t size;
	bool writable;
};

/* Makes the chain available; returns its head. */
static inline uint16_t fake_add(
	struct fake_driver *d, unsigned index, const struct fake_segment *segments, unsigned count)
{
	struct fake_queue *queue = &d->queues[index];
	uint16_t head = queue->next_desc % queue->size;
	uint16_t *avail = fake_avail(d, index);

	for (unsigned i = 0; i < count; i++) {
		uint16_t at = queue->next_desc++ % queue->size;

		*fake_desc(d, index, at) = (struct vring_desc){ .addr = segments[i].gpa,
			.len = segments[i].size,
			.flags = (segments[i].writable ? VRING_DESC_F_WRITE : 0) |
				(i + 1 < count ? VRING_DESC_F_NEXT : 0),
			.next = queue->next_desc % queue->size };
	}
	avail[2 + queue->avail_idx % queue->size] = head;
	avail[1] = ++queue->avail_idx;
	return head;
}

static inline void fake_kick(struct fake_driver *d, unsigned index)
{
	fake_write(d, d->queues[index].notify_gpa, index, 2);
	fake_run(d->m);
}

/* The next used entry, if there is one. */
static inline bool fake_take_used(
	struct fake_driver *d, unsigned index, uint32_t *head, uint32_t *written)
{
	struct fake_queue *queue = &d->queues[index];
	uint16_t *used = fake_used(d, index);
	struct vring_used_elem elem;

	if (used[1] == queue->seen_used)
		return false;
	memcpy(&elem, (uint8_t *)used + 4 + 8 * (queue->seen_used++ % queue->size), sizeof(elem));
	*head = elem.id;
	*written = elem.len;
	return true;
}

#endif

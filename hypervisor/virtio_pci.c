/* SPDX-License-Identifier: MIT */
/*
 * The virtio transport over PCI, modern only. Section numbers are those of Virtual I/O Device 1.2.
 *
 * vCPU threads come in through the BAR, and take the device's lock there. Queues are served on the
 * loop thread: doorbells are eventfds that it watches. What must be done there before the driver may
 * go on (reset, going live) is a loop_call(), made without the lock.
 */
#include "hypervisor/virtio_pci.h"

#include <endian.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/util.h"

enum { VIRTIO_VENDOR = 0x1af4, VIRTIO_DEVICE_BASE = 0x1040, VIRTIO_SUBSYSTEM = 0x1100 };

enum { BAR_MSIX = 1, BAR_VIRTIO = 4 };

/* What is where in BAR_VIRTIO: one page each. */
enum {
	AREA_COMMON = 0x0000,
	AREA_ISR = 0x1000,
	AREA_DEVICE = 0x2000,
	AREA_NOTIFY = 0x3000,
	AREA_SIZE = 0x1000,
	BAR_SIZE = 0x4000,
	DOORBELL_STRIDE = 4,
};

enum { ISR_QUEUE = 1, ISR_CONFIG = 2 };

static struct virtio_device *from_pci(struct pci_device *pci)
{
	return container_of(pci, struct virtio_device, pci);
}

static struct virtio_device *from_region(struct bus_region *region)
{
	return container_of(region, struct virtio_device, pci.bars[BAR_VIRTIO].region);
}

static uint64_t features_offered(const struct virtio_device *dev)
{
	return dev->features | 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_INDIRECT_DESC |
		1ull << VIRTIO_RING_F_EVENT_IDX;
}

bool virtio_device_is_live(const struct virtio_device *dev)
{
	return (dev->status & VIRTIO_CONFIG_S_DRIVER_OK) &&
		!(dev->status & VIRTIO_CONFIG_S_NEEDS_RESET) && !dev->resetting;
}

/* ---- interrupts (4.1.5.3, 4.1.5.4) ---- */

static void interrupt(struct virtio_device *dev, uint16_t vector, uint8_t isr)
{
	if (pci_msix_enabled(&dev->pci)) {
		if (vector != VIRTIO_NO_VECTOR)
			pci_msix_notify(&dev->pci, vector);
		return;
	}
	dev->isr |= isr;
	pci_intx_set(&dev->pci, true);
}

void virtio_device_interrupt(struct virtio_device *dev, unsigned index)
{
	struct virtio_queue *queue = &dev->queues[index];

	if (virtqueue_wants_interrupt(&queue->ring))
		interrupt(dev, queue->vector, ISR_QUEUE);
	else if (queue->ring.broken)
		virtio_device_break(dev, queue->ring.broken);
}

void virtio_device_config_changed(struct virtio_device *dev)
{
	dev->generation++;
	if (dev->status & VIRTIO_CONFIG_S_DRIVER_OK)
		interrupt(dev, dev->config_vector, ISR_CONFIG);
}

void virtio_device_break(struct virtio_device *dev, const char *reason)
{
	if (dev->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	dev->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	if (!dev->broken_said)
		log_warn(dev->pci.name, "the guest's driver broke the device: %s", reason);
	dev->broken_said = true;
	virtio_device_config_changed(dev); /* 2.1.2 */
}

/* ---- queues ---- */

int virtio_device_pop(struct virtio_device *dev, unsigned index, struct virtqueue_chain *chain)
{
	struct virtqueue *ring = &dev->queues[index].ring;
	int popped = virtqueue_pop(ring, chain);

	if (popped < 0 && ring->broken)
		virtio_device_break(dev, ring->broken);
	return popped;
}

void virtio_device_push(struct virtio_device *dev, unsigned index, uint16_t head, uint32_t written)
{
	struct virtqueue *ring = &dev->queues[index].ring;

	if (virtqueue_push(ring, head, written) < 0 && ring->broken)
		virtio_device_break(dev, ring->broken);
}

/* Loop thread. */
static void doorbell_rang(void *opaque, uint32_t events)
{
	struct virtio_queue *queue = opaque;
	struct virtio_device *dev = queue->dev;
	uint64_t count;

	if (read(queue->doorbell_fd, &count, sizeof(count)) < 0)
		return;
	pthread_mutex_lock(&dev->pci.lock);
	if (virtio_device_is_live(dev) && queue->ring.enabled)
		dev->ops->queue_notify(dev, (unsigned)(queue - dev->queues));
	pthread_mutex_unlock(&dev->pci.lock);
}

void virtio_device_serve_again(struct virtio_device *dev, unsigned index)
{
	if (eventfd_write(dev->queues[index].doorbell_fd, 1) < 0)
		return; /* the counter is full, so it is ringing already */
}

/* A doorbell write that reached the bus: not of the size that the bus signals by itself. */
static void ring_doorbell(struct virtio_device *dev, uint64_t offset)
{
	if (offset / DOORBELL_STRIDE < dev->queue_count)
		virtio_device_serve_again(dev, (unsigned)(offset / DOORBELL_STRIDE));
}

static void place_doorbells(struct virtio_device *dev, bool mapped, uint64_t bar_gpa)
{
	for (unsigned i = 0; i < dev->queue_count; i++) {
		struct virtio_queue *queue = &dev->queues[i];
		uint64_t gpa = bar_gpa + AREA_NOTIFY + i * DOORBELL_STRIDE;

		if (queue->doorbell_gpa)
			bus_doorbell_remove(dev->pci.host->mmio, queue->doorbell_gpa, 2, false, 0,
				queue->doorbell_fd);
		queue->doorbell_gpa = 0;
		if (mapped &&
			!bus_doorbell_add(
				dev->pci.host->mmio, gpa, 2, false, 0, queue->doorbell_fd))
			queue->doorbell_gpa = gpa;
	}
}

static void pci_bar_changed(struct pci_device *pci, unsigned bar)
{
	if (bar == BAR_VIRTIO)
		place_doorbells(from_pci(pci), pci_bar_mapped(pci, bar), pci->bars[bar].address);
}

/* ---- device status: reset and going live ---- */

static void reset_on_loop(void *opaque)
{
	struct virtio_device *dev = opaque;

	pthread_mutex_lock(&dev->pci.lock);
	if (dev->ops->reset)
		dev->ops->reset(dev);
	pthread_mutex_unlock(&dev->pci.lock);
}

/* Lock held, given back in between. Any thread. Until it is done the old status is read (4.1.4.3.1:
 * the driver waits for 0). */
static void device_reset(struct virtio_device *dev)
{
	if (dev->resetting)
		return;
	dev->resetting = true;
	for (unsigned i = 0; i < dev->queue_count; i++) {
		virtqueue_reset(&dev->queues[i].ring);
		dev->queues[i].vector = VIRTIO_NO_VECTOR;
	}
	pthread_mutex_unlock(&dev->pci.lock);
	loop_call(dev->pci.host->loop, reset_on_loop, dev);
	pthread_mutex_lock(&dev->pci.lock);
	dev->driver_features = 0;
	dev->device_feature_select = dev->driver_feature_select = 0;
	dev->queue_select = 0;
	dev->config_vector = VIRTIO_NO_VECTOR;
	dev->status = 0;
	dev->isr = 0;
	pci_intx_set(&dev->pci, false);
	dev->resetting = false;
}

static void pci_reset(struct pci_device *pci)
{
	device_reset(from_pci(pci));
}

static void live_on_loop(void *opaque)
{
	struct virtio_device *dev = opaque;

	pthread_mutex_lock(&dev->pci.lock);
	if (virtio_device_is_live(dev) && dev->ops->live)
		dev->ops->live(dev);
	for (unsigned i = 0; i < dev->queue_count; i++)
		if (virtio_device_is_live(dev) && dev->queues[i].ring.enabled)
			dev->ops->queue_notify(dev, i);
	pthread_mutex_unlock(&dev->pci.lock);
}

/* Lock held, given back in between. 3.1.1: the driver only adds bits, or writes 0. */
static void status_write(struct virtio_device *dev, uint8_t value)
{
	uint8_t added = value & ~dev->status & ~VIRTIO_CONFIG_S_NEEDS_RESET;
	bool was_live = virtio_device_is_live(dev);

	if (!value) {
		device_reset(dev);
		return;
	}
	/* 2.2.2: features that we did not offer, or a driver of before 1.0, are not accepted. */
	if ((added & VIRTIO_CONFIG_S_FEATURES_OK) &&
		((dev->driver_features & ~features_offered(dev)) ||
			!virtio_device_has(dev, VIRTIO_F_VERSION_1)))
		added &= (uint8_t)~VIRTIO_CONFIG_S_FEATURES_OK;
	if (!((dev->status | added) & VIRTIO_CONFIG_S_FEATURES_OK))
		added &= (uint8_t)~VIRTIO_CONFIG_S_DRIVER_OK;
	dev->status |= added;
	if (was_live || !virtio_device_is_live(dev))
		return;
	pthread_mutex_unlock(&dev->pci.lock);
	loop_call(dev->pci.host->loop, live_on_loop, dev);
	pthread_mutex_lock(&dev->pci.lock);
}

/* ---- common configuration (4.1.4.3) ---- */

static struct virtio_queue *selected_queue(struct virtio_device *dev)
{
	return dev->queue_select < dev->queue_count ? &dev->queues[dev->queue_select] : NULL;
}

static uint32_t feature_half(uint64_t features, uint32_t select)
{
	return select < 2 ? (uint32_t)(features >> (32 * select)) : 0;
}

static void common_fill(struct virtio_device *dev, struct virtio_pci_common_cfg *cfg)
{
	const struct virtio_queue *queue = selected_queue(dev);

	*cfg = (struct virtio_pci_common_cfg){
		.device_feature_select = htole32(dev->device_feature_select),
		.device_feature =
			htole32(feature_half(features_offered(dev), dev->device_feature_select)),
		.guest_feature_select = htole32(dev->driver_feature_select),
		.guest_feature =
			htole32(feature_half(dev->driver_features, dev->driver_feature_select)),
		.msix_config = htole16(dev->config_vector),
		.num_queues = htole16((uint16_t)dev->queue_count),
		.device_status = dev->status,
		.config_generation = dev->generation,
		.queue_select = htole16(dev->queue_select),
		.queue_msix_vector = htole16(VIRTIO_NO_VECTOR),
	};
	if (!queue)
		return; /* queue_size 0: there is none (4.1.4.3.1) */
	cfg->queue_size = htole16(queue->ring.size);
	cfg->queue_msix_vector = htole16(queue->vector);
	cfg->queue_enable = htole16(queue->ring.enabled);
	cfg->queue_notify_off = htole16(dev->queue_select);
	cfg->queue_desc_lo = htole32((uint32_t)queue->ring.desc_gpa);
	cfg->queue_desc_hi = htole32((uint32_t)(queue->ring.desc_gpa >> 32));
	cfg->queue_avail_lo = htole32((uint32_t)queue->ring.avail_gpa);
	cfg->queue_avail_hi = htole32((uint32_t)(queue->ring.avail_gpa >> 32));
	cfg->queue_used_lo = htole32((uint32_t)queue->ring.used_gpa);
	cfg->queue_used_hi = htole32((uint32_t)(queue->ring.used_gpa >> 32));
}

static void set_half(uint64_t *address, unsigned half, uint32_t value)
{
	unsigned shift = 32 * half;

	*address = (*address & ~(0xffffffffull << shift)) | (uint64_t)value << shift;
}

/* 4.1.5.1.2: a vector that is not there reads back as none. */
static uint16_t checked_vector(const struct virtio_device *dev, uint16_t vector)
{
	return vector <= dev->queue_count ? vector : VIRTIO_NO_VECTOR;
}

static void queue_enable(struct virtio_device *dev, struct virtio_queue *queue)
{
	struct virtqueue *ring = &queue->ring;

	ring->indirect = virtio_device_has(dev, VIRTIO_RING_F_INDIRECT_DESC);
	ring->event_idx = virtio_device_has(dev, VIRTIO_RING_F_EVENT_IDX);
	if (virtqueue_enable(ring) < 0)
		virtio_device_break(dev, ring->broken);
}

static void queue_field_write(
	struct virtio_device *dev, struct virtio_queue *queue, uint32_t offset, uint32_t value)
{
	if (offset == VIRTIO_PCI_COMMON_Q_MSIX) {
		queue->vector = checked_vector(dev, (uint16_t)value);
		return;
	}
	if (queue->ring.enabled)
		return; /* 4.1.4.3.2: the rest is written before */
	switch (offset) {
	case VIRTIO_PCI_COMMON_Q_SIZE: queue->ring.size = (uint16_t)value; break;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		if (value == 1)
			queue_enable(dev, queue);
		break;
	case VIRTIO_PCI_COMMON_Q_DESCLO: set_half(&queue->ring.desc_gpa, 0, value); break;
	case VIRTIO_PCI_COMMON_Q_DESCHI: set_half(&queue->ring.desc_gpa, 1, value); break;
	case VIRTIO_PCI_COMMON_Q_AVAILLO: set_half(&queue->ring.avail_gpa, 0, value); break;
	case VIRTIO_PCI_COMMON_Q_AVAILHI: set_half(&queue->ring.avail_gpa, 1, value); break;
	case VIRTIO_PCI_COMMON_Q_USEDLO: set_half(&queue->ring.used_gpa, 0, value); break;
	case VIRTIO_PCI_COMMON_Q_USEDHI: set_half(&queue->ring.used_gpa, 1, value); break;
	}
}

static void driver_feature_write(struct virtio_device *dev, uint32_t value)
{
	/* 2.2.2: settled once FEATURES_OK is set. */
	if (!(dev->status & VIRTIO_CONFIG_S_FEATURES_OK) && dev->driver_feature_select < 2)
		set_half(&dev->driver_features, dev->driver_feature_select, value);
}

/* The size that each field is written with (4.1.3.1: its own); 0: not written. */
static unsigned common_field_size(uint32_t offset)
{
	switch (offset) {
	case VIRTIO_PCI_COMMON_STATUS: return 1;
	case VIRTIO_PCI_COMMON_MSIX:
	case VIRTIO_PCI_COMMON_Q_SELECT:
	case VIRTIO_PCI_COMMON_Q_SIZE:
	case VIRTIO_PCI_COMMON_Q_MSIX:
	case VIRTIO_PCI_COMMON_Q_ENABLE: return 2;
	case VIRTIO_PCI_COMMON_DFSELECT:
	case VIRTIO_PCI_COMMON_GFSELECT:
	case VIRTIO_PCI_COMMON_GF:
	case VIRTIO_PCI_COMMON_Q_DESCLO:
	case VIRTIO_PCI_COMMON_Q_DESCHI:
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
	case VIRTIO_PCI_COMMON_Q_AVAILHI:
	case VIRTIO_PCI_COMMON_Q_USEDLO:
	case VIRTIO_PCI_COMMON_Q_USEDHI: return 4;
	default: return 0;
	}
}

static void common_write(struct virtio_device *dev, uint32_t offset, uint64_t value, unsigned size)
{
	struct virtio_queue *queue = selected_queue(dev);
	uint32_t low = (uint32_t)value;

	if (size == 8) { /* the queues' addresses are two fields of 4 bytes each */
		common_write(dev, offset, low, 4);
		common_write(dev, offset + 4, value >> 32, 4);
		return;
	}
	if (dev->resetting || size != common_field_size(offset))
		return;
	switch (offset) {
	case VIRTIO_PCI_COMMON_DFSELECT: dev->device_feature_select = low; break;
	case VIRTIO_PCI_COMMON_GFSELECT: dev->driver_feature_select = low; break;
	case VIRTIO_PCI_COMMON_GF: driver_feature_write(dev, low); break;
	case VIRTIO_PCI_COMMON_MSIX: dev->config_vector = checked_vector(dev, (uint16_t)low); break;
	case VIRTIO_PCI_COMMON_STATUS: status_write(dev, (uint8_t)low); break;
	case VIRTIO_PCI_COMMON_Q_SELECT: dev->queue_select = (uint16_t)low; break;
	default:
		if (queue)
			queue_field_write(dev, queue, offset, low);
	}
}

/* ---- BAR accesses; lock held; offset + size is inside the BAR ---- */

static uint64_t load_le(const uint8_t *bytes, uint32_t available, uint32_t offset, unsigned size)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < size && offset + i < available; i++)
		value |= (uint64_t)bytes[offset + i] << (8 * i);
	return value;
}

static uint64_t area_read(struct virtio_device *dev, uint32_t offset, unsigned size)
{
	uint32_t inside = offset % AREA_SIZE;
	struct virtio_pci_common_cfg cfg;
	uint64_t value;

	switch (offset - inside) {
	case AREA_COMMON:
		common_fill(dev, &cfg);
		return load_le((const uint8_t *)&cfg, sizeof(cfg), inside, size);
	case AREA_ISR: /* 4.1.4.5: reading clears it */
		if (inside)
			return 0;
		value = dev->isr;
		dev->isr = 0;
		pci_intx_set(&dev->pci, false);
		return value;
	case AREA_DEVICE: return load_le(dev->config, dev->config_size, inside, size);
	default: return 0;
	}
}

static void area_write(struct virtio_device *dev, uint32_t offset, uint64_t value, unsigned size)
{
	uint32_t inside = offset % AREA_SIZE;
	uint64_t bytes = htole64(value);

	switch (offset - inside) {
	case AREA_COMMON: common_write(dev, inside, value, size); break;
	case AREA_DEVICE:
		if (dev->ops->config_write && inside + size <= dev->config_size && !dev->resetting)
			dev->ops->config_write(dev, inside, (const uint8_t *)&bytes, size);
		break;
	case AREA_NOTIFY: ring_doorbell(dev, inside); break;
	}
}

static uint64_t bar_read(struct bus_region *region, uint64_t offset, unsigned size)
{
	struct virtio_device *dev = from_region(region);
	uint64_t value;

	pthread_mutex_lock(&dev->pci.lock);
	value = area_read(dev, (uint32_t)offset, size);
	pthread_mutex_unlock(&dev->pci.lock);
	return value;
}

static void bar_write(struct bus_region *region, uint64_t offset, uint64_t value, unsigned size)
{
	struct virtio_device *dev = from_region(region);

	pthread_mutex_lock(&dev->pci.lock);
	area_write(dev, (uint32_t)offset, value, size);
	pthread_mutex_unlock(&dev->pci.lock);
}

static const struct bus_ops bar_ops = { .read = bar_read, .write = bar_write };

/* ---- the window in PCI config space (4.1.4.9), for firmware that cannot reach the BAR ---- */

enum { WINDOW_DATA = sizeof(struct virtio_pci_cap) };

/* Whether a config access touches the data, and what the driver set up is an access that may be. */
static bool window_access(struct virtio_device *dev, uint32_t offset, unsigned size,
	uint32_t *area_offset, uint32_t *length)
{
	uint32_t data = dev->config_capability + WINDOW_DATA;
	struct virtio_pci_cap cap;

	if (!dev->config_capability || offset >= data + 4 || offset + size <= data)
		return false;
	memcpy(&cap, dev->pci.config + dev->config_capability, sizeof(cap));
	*area_offset = le32toh(cap.offset);
	*length = le32toh(cap.length);
	return cap.bar == BAR_VIRTIO && (*length == 1 || *length == 2 || *length == 4) &&
		*area_offset % *length == 0 && *area_offset <= BAR_SIZE - *length;
}

static void pci_config_reading(struct pci_device *pci, uint32_t offset, unsigned size)
{
	struct virtio_device *dev = from_pci(pci);
	uint32_t area_offset, length, value;

	if (!window_access(dev, offset, size, &area_offset, &length))
		return;
	value = htole32((uint32_t)area_read(dev, area_offset, length));
	memcpy(pci->config + dev->config_capability + WINDOW_DATA, &value, sizeof(value));
}

static void pci_config_written(struct pci_device *pci, uint32_t offset, unsigned size)
{
	struct virtio_device *dev = from_pci(pci);
	uint32_t area_offset, length, value;

	if (!window_access(dev, offset, size, &area_offset, &length))
		return;
	memcpy(&value, pci->config + dev->config_capability + WINDOW_DATA, sizeof(value));
	area_write(dev, area_offset, le32toh(value), length);
}

static const struct pci_device_ops pci_ops = {
	.reset = pci_reset,
	.bar_changed = pci_bar_changed,
	.config_written = pci_config_written,
	.config_reading = pci_config_reading,
};

/* ---- making and ending ---- */

/* Adds one vendor capability (4.1.4) of `size` bytes; returns its place or -errno. */
static int add_capability(
	struct virtio_device *dev, uint8_t size, uint8_t type, uint32_t offset, uint32_t length)
{
	int at = pci_capability_add(&dev->pci, PCI_CAP_ID_VNDR, size);
	struct virtio_pci_cap cap;

	if (at < 0)
		return at;
	memcpy(&cap, dev->pci.config + at, sizeof(cap));
	cap.cap_len = size;
	cap.cfg_type = type;
	cap.bar = type == VIRTIO_PCI_CAP_PCI_CFG ? 0 : BAR_VIRTIO;
	cap.offset = htole32(offset);
	cap.length = htole32(length);
	memcpy(dev->pci.config + at, &cap, sizeof(cap));
	return at;
}

static int add_capabilities(struct virtio_device *dev)
{
	const uint8_t size = sizeof(struct virtio_pci_cap);
	const uint32_t stride = htole32(DOORBELL_STRIDE);
	int at;

	at = add_capability(dev, size, VIRTIO_PCI_CAP_COMMON_CFG, AREA_COMMON,
		sizeof(struct virtio_pci_common_cfg));
	if (at < 0)
		return at;
	at = add_capability(dev, size, VIRTIO_PCI_CAP_ISR_CFG, AREA_ISR, 1);
	if (at < 0)
		return at;
	/* The whole area: config_size is known only when the device has filled it. */
	at = add_capability(dev, size, VIRTIO_PCI_CAP_DEVICE_CFG, AREA_DEVICE, AREA_SIZE);
	if (at < 0)
		return at;
	at = add_capability(dev, sizeof(struct virtio_pci_notify_cap), VIRTIO_PCI_CAP_NOTIFY_CFG,
		AREA_NOTIFY, dev->queue_count * DOORBELL_STRIDE);
	if (at < 0)
		return at;
	memcpy(dev->pci.config + at + sizeof(struct virtio_pci_cap), &stride, sizeof(stride));
	at = add_capability(dev, sizeof(struct virtio_pci_cfg_cap), VIRTIO_PCI_CAP_PCI_CFG, 0, 0);
	if (at < 0)
		return at;
	dev->config_capability = (uint8_t)at;
	dev->pci.writable[at + VIRTIO_PCI_CAP_BAR] = 0xff;
	memset(dev->pci.writable + at + VIRTIO_PCI_CAP_OFFSET, 0xff,
		sizeof(struct virtio_pci_cfg_cap) - VIRTIO_PCI_CAP_OFFSET);
	return 0;
}

static int init_queue(struct virtio_device *dev, unsigned index, uint16_t size)
{
	struct virtio_queue *queue = &dev->queues[index];

	queue->dev = dev;
	queue->vector = VIRTIO_NO_VECTOR;
	queue->ring.memory = dev->pci.host->memory;
	queue->ring.size_max = size;
	virtqueue_reset(&queue->ring);
	queue->doorbell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (queue->doorbell_fd < 0)
		return -errno;
	queue->watch =
		loop_fd_add(dev->pci.host->loop, queue->doorbell_fd, EPOLLIN, doorbell_rang, queue);
	return queue->watch ? 0 : -ENOMEM;
}

int virtio_device_init(struct virtio_device *dev, const struct virtio_device_ops *ops,
	const char *name, struct pci_host *host, uint16_t type, uint32_t class_code,
	unsigned queue_count, uint16_t queue_size)
{
	int err = 0;

	memset(dev, 0, sizeof(*dev));
	if (queue_count > VIRTIO_MAX_QUEUES || queue_size > VIRTQUEUE_MAX_SIZE)
		return -EINVAL;
	pci_device_init(&dev->pci, &pci_ops, name, host, VIRTIO_VENDOR,
		(uint16_t)(VIRTIO_DEVICE_BASE + type), class_code, 1, true);
	pci_device_set_subsystem(&dev->pci, VIRTIO_VENDOR, VIRTIO_SUBSYSTEM);
	dev->ops = ops;
	dev->queue_count = queue_count;
	dev->config_vector = VIRTIO_NO_VECTOR;
	for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
		dev->queues[i].doorbell_fd = -1;
	for (unsigned i = 0; i < queue_count && !err; i++)
		err = init_queue(dev, i, queue_size);
	if (!err)
		err = pci_bar_mmio(&dev->pci, BAR_VIRTIO, BAR_SIZE, true, true, &bar_ops);
	if (!err)
		err = pci_msix_init(&dev->pci, BAR_MSIX, queue_count + 1);
	if (!err)
		err = add_capabilities(dev);
	if (err)
		virtio_device_finish(dev);
	return err;
}

void virtio_device_finish(struct virtio_device *dev)
{
	if (!dev->ops)
		return;
	place_doorbells(dev, false, 0);
	for (unsigned i = 0; i < dev->queue_count; i++) {
		loop_fd_remove(dev->queues[i].watch);
		if (dev->queues[i].doorbell_fd >= 0)
			close(dev->queues[i].doorbell_fd);
		dev->queues[i].watch = NULL;
		dev->queues[i].doorbell_fd = -1;
	}
	pci_device_finish(&dev->pci);
	dev->ops = NULL;
}

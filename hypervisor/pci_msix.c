/* SPDX-License-Identifier: MIT */
/* MSI-X (PCI Local Bus 3.0, section 6.8.2): the vector table and pending bits in a BAR. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "hypervisor/pci_internal.h"

#define MSIX_BAR_SIZE    4096
#define MSIX_PBA_OFFSET  2048
#define MSIX_ENTRY_SIZE  16
#define MSIX_CAP_SIZE    12
#define MSIX_CONTROL     2 /* in the capability */
#define MSIX_TABLE       4
#define MSIX_PBA         8
#define MSIX_ENABLE      0x8000
#define MSIX_MASK_ALL    0x4000
#define MSIX_VECTOR_MASK 1

struct msix_entry {
	uint64_t address;
	uint32_t data;
	uint32_t control;
};

struct pci_msix {
	pthread_mutex_t lock; /* guards what follows; taken inside the device's lock, or alone */
	uint8_t cap; /* its offset */
	uint32_t vectors;
	bool enabled;
	bool masked; /* all of them */
	uint64_t pending;
	struct msix_entry entries[PCI_MSIX_MAX];
};

static void send_pending(struct pci_device *dev)
{
	struct pci_msix *msix = dev->msix;

	for (uint32_t i = 0; msix->pending && i < msix->vectors; i++) {
		const struct msix_entry *entry = &msix->entries[i];

		if (!msix->enabled || msix->masked || entry->control & MSIX_VECTOR_MASK ||
			!(msix->pending >> i & 1))
			continue;
		msix->pending &= ~(UINT64_C(1) << i);
		irq_send_msi(dev->host->irq, entry->address, entry->data);
	}
}

static uint32_t read_word(const struct pci_msix *msix, uint64_t offset)
{
	const struct msix_entry *entry = &msix->entries[offset / MSIX_ENTRY_SIZE % PCI_MSIX_MAX];

	if (offset >= MSIX_PBA_OFFSET)
		return offset < MSIX_PBA_OFFSET + 8
			? (uint32_t)(msix->pending >> (8 * (offset - MSIX_PBA_OFFSET)))
			: 0;
	if (offset >= (uint64_t)msix->vectors * MSIX_ENTRY_SIZE)
		return 0;
	switch (offset % MSIX_ENTRY_SIZE) {
	case 0: return (uint32_t)entry->address;
	case 4: return (uint32_t)(entry->address >> 32);
	case 8: return entry->data;
	default: return entry->control;
	}
}

static void write_word(struct pci_msix *msix, uint64_t offset, uint32_t value)
{
	struct msix_entry *entry;

	if (offset >= (uint64_t)msix->vectors * MSIX_ENTRY_SIZE)
		return;
	entry = &msix->entries[offset / MSIX_ENTRY_SIZE];
	switch (offset % MSIX_ENTRY_SIZE) {
	case 0: entry->address = (entry->address & ~UINT64_C(0xffffffff)) | (value & ~3u); break;
	case 4: entry->address = (uint32_t)entry->address | (uint64_t)value << 32; break;
	case 8: entry->data = value; break;
	default: entry->control = value & MSIX_VECTOR_MASK; break;
	}
}

/* Only aligned accesses of 4 or 8 bytes are defined; others read as zero and write nothing. */
static uint64_t table_read(struct bus_region *region, uint64_t offset, unsigned size)
{
	struct pci_msix *msix = container_of(region, struct pci_bar, region)->dev->msix;
	uint64_t value;

	if (size < 4 || offset % size)
		return 0;
	pthread_mutex_lock(&msix->lock);
	value = read_word(msix, offset);
	if (size == 8)
		value |= (uint64_t)read_word(msix, offset + 4) << 32;
	pthread_mutex_unlock(&msix->lock);
	return value;
}

static void table_write(struct bus_region *region, uint64_t offset, uint64_t value, unsigned size)
{
	struct pci_device *dev = container_of(region, struct pci_bar, region)->dev;

	if (size < 4 || offset % size)
		return;
	pthread_mutex_lock(&dev->msix->lock);
	write_word(dev->msix, offset, (uint32_t)value);
	if (size == 8)
		write_word(dev->msix, offset + 4, (uint32_t)(value >> 32));
	send_pending(dev);
	pthread_mutex_unlock(&dev->msix->lock);
}

static const struct bus_ops table_ops = {
	.read = table_read,
	.write = table_write,
};

static void clear_table(struct pci_msix *msix)
{
	msix->enabled = false;
	msix->masked = false;
	msix->pending = 0;
	memset(msix->entries, 0, sizeof(msix->entries));
	for (uint32_t i = 0; i < msix->vectors; i++)
		msix->entries[i].control = MSIX_VECTOR_MASK;
}

int pci_msix_init(struct pci_device *dev, unsigned bar, uint32_t vectors)
{
	struct pci_msix *msix;
	int cap, err;

	if (vectors == 0 || vectors > PCI_MSIX_MAX || dev->msix)
		return -EINVAL;
	err = pci_bar_mmio(dev, bar, MSIX_BAR_SIZE, false, false, &table_ops);
	if (err)
		return err;
	cap = pci_capability_add(dev, PCI_CAP_MSIX, MSIX_CAP_SIZE);
	if (cap < 0)
		return cap;
	msix = calloc(1, sizeof(*msix));
	if (!msix)
		return -ENOMEM;
	pthread_mutex_init(&msix->lock, NULL);
	msix->cap = (uint8_t)cap;
	msix->vectors = vectors;
	clear_table(msix);
	dev->msix = msix;
	pci_config_set16(dev->config, (unsigned)cap + MSIX_CONTROL, (uint16_t)(vectors - 1));
	pci_config_set16(dev->writable, (unsigned)cap + MSIX_CONTROL, MSIX_ENABLE | MSIX_MASK_ALL);
	pci_config_set32(dev->config, (unsigned)cap + MSIX_TABLE, bar);
	pci_config_set32(dev->config, (unsigned)cap + MSIX_PBA, MSIX_PBA_OFFSET | bar);
	return 0;
}

void pci_msix_destroy(struct pci_device *dev)
{
	if (!dev->msix)
		return;
	pthread_mutex_destroy(&dev->msix->lock);
	free(dev->msix);
	dev->msix = NULL;
}

void pci_msix_reset(struct pci_device *dev)
{
	pthread_mutex_lock(&dev->msix->lock);
	clear_table(dev->msix);
	pthread_mutex_unlock(&dev->msix->lock);
}

void pci_msix_config_written(struct pci_device *dev)
{
	struct pci_msix *msix = dev->msix;
	uint16_t control = pci_config_get16(dev, msix->cap + MSIX_CONTROL);

	pthread_mutex_lock(&msix->lock);
	msix->enabled = control & MSIX_ENABLE;
	msix->masked = control & MSIX_MASK_ALL;
	send_pending(dev);
	pthread_mutex_unlock(&msix->lock);
}

bool pci_msix_enabled(const struct pci_device *dev)
{
	bool enabled;

	if (!dev->msix)
		return false;
	pthread_mutex_lock(&dev->msix->lock);
	enabled = dev->msix->enabled;
	pthread_mutex_unlock(&dev->msix->lock);
	return enabled;
}

void pci_msix_notify(struct pci_device *dev, uint32_t vector)
{
	struct pci_msix *msix = dev->msix;

	if (!msix || vector >= msix->vectors)
		return;
	pthread_mutex_lock(&msix->lock);
	if (msix->enabled) {
		msix->pending |= UINT64_C(1) << vector;
		send_pending(dev);
	}
	pthread_mutex_unlock(&msix->lock);
}

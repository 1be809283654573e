/* SPDX-License-Identifier: MIT */
/*
 * The firmware configuration device (QEMU's docs/specs/fw_cfg). The selector is little-endian, the
 * DMA register, its descriptor and the file directory are big-endian, the other items little-endian.
 */
#include "hypervisor/fw_cfg.h"

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/util.h"

enum {
	SELECTOR_PORT = 0x510,
	DMA_PORT = 0x514,

	KEY_LOCAL = FW_CFG_LOCAL,
	KEY_WRITE = 0x4000, /* once a way to write, now ignored */
	KEY_INDEX = 0x3fff,
	ITEM_COUNT = FW_CFG_FILE_FIRST + FW_CFG_FILE_COUNT_MAX,
	LOCAL_COUNT = 16,

	ID_TRADITIONAL = 1,
	ID_DMA = 2,

	DMA_ERROR = 0x01,
	DMA_READ = 0x02,
	DMA_SKIP = 0x04,
	DMA_SELECT = 0x08,
	DMA_WRITE = 0x10,

	COPY_CHUNK = 4096,
};

#define DMA_SIGNATURE UINT64_C(0x51454d5520434647) /* "QEMU CFG" */

struct item {
	const uint8_t *bytes;
	uint8_t *owned; /* NULL: borrowed */
	size_t size;
	bool writable;
	char name[FW_CFG_FILE_NAME_SIZE]; /* files only */
};

/* A directory entry as the guest sees it. */
struct directory_entry {
	uint32_t size;
	uint16_t select;
	uint16_t reserved;
	char name[FW_CFG_FILE_NAME_SIZE];
};

/* The DMA descriptor in guest memory. */
struct dma_access {
	uint32_t control;
	uint32_t length;
	uint64_t address;
};

struct fw_cfg {
	struct pci_host *host;
	struct bus_region ports;
	struct bus_region dma;
	struct log_limit limit;

	pthread_mutex_t lock;
	struct item items[ITEM_COUNT];
	struct item local[LOCAL_COUNT];
	unsigned file_count; /* the files, sorted by name, are the items from FW_CFG_FILE_FIRST on */
	uint16_t selected;
	uint64_t offset; /* of the next byte of the selected item; may be behind its end */
	uint64_t dma_address;
};

/* ---- items ---- */

static struct item *find_item(struct fw_cfg *fw, uint16_t key)
{
	unsigned index = key & KEY_INDEX;

	if (key & KEY_LOCAL)
		return index < LOCAL_COUNT ? &fw->local[index] : NULL;
	return index < ITEM_COUNT ? &fw->items[index] : NULL;
}

static int item_set(struct item *item, const void *bytes, size_t size, bool borrowed)
{
	uint8_t *copy = NULL;

	if (size > UINT32_MAX)
		return -EINVAL;
	if (!borrowed) {
		copy = malloc(size ? size : 1);
		if (!copy)
			return -ENOMEM;
		if (size)
			memcpy(copy, bytes, size);
	}
	free(item->owned);
	item->owned = copy;
	item->bytes = borrowed ? bytes : copy;
	item->size = size;
	return 0;
}

static int add_item(struct fw_cfg *fw, uint16_t key, const void *bytes, size_t size, bool borrowed)
{
	struct item *item = find_item(fw, key);
	int rc;

	if (!item || (!(key & KEY_LOCAL) && (key & KEY_INDEX) >= FW_CFG_FILE_FIRST))
		return -EINVAL;
	pthread_mutex_lock(&fw->lock);
	rc = item_set(item, bytes, size, borrowed);
	pthread_mutex_unlock(&fw->lock);
	return rc;
}

int fw_cfg_add(struct fw_cfg *fw, uint16_t key, const void *bytes, size_t size)
{
	return add_item(fw, key, bytes, size, false);
}

int fw_cfg_add_borrowed(struct fw_cfg *fw, uint16_t key, const void *bytes, size_t size)
{
	return add_item(fw, key, bytes, size, true);
}

int fw_cfg_add_u16(struct fw_cfg *fw, uint16_t key, uint16_t value)
{
	value = htole16(value);
	return fw_cfg_add(fw, key, &value, sizeof(value));
}

int fw_cfg_add_u32(struct fw_cfg *fw, uint16_t key, uint32_t value)
{
	value = htole32(value);
	return fw_cfg_add(fw, key, &value, sizeof(value));
}

static int build_directory(struct fw_cfg *fw)
{
	struct {
		uint32_t count;
		struct directory_entry entries[FW_CFG_FILE_COUNT_MAX];
	} directory = { .count = htobe32(fw->file_count) };

	for (unsigned i = 0; i < fw->file_count; i++) {
		const struct item *file = &fw->items[FW_CFG_FILE_FIRST + i];
		struct directory_entry *entry = &directory.entries[i];

		entry->size = htobe32((uint32_t)file->size);
		entry->select = htobe16((uint16_t)(FW_CFG_FILE_FIRST + i));
		memcpy(entry->name, file->name, sizeof(entry->name));
	}
	return item_set(&fw->items[FW_CFG_FILE_DIR], &directory,
		sizeof(uint32_t) + fw->file_count * sizeof(struct directory_entry), false);
}

/* The file of this name, or where it belongs in their order (then *found is false). */
static struct item *find_file(struct fw_cfg *fw, const char *name, bool *found)
{
	unsigned i;

	for (i = 0; i < fw->file_count; i++) {
		int order = strcmp(fw->items[FW_CFG_FILE_FIRST + i].name, name);

		if (order >= 0) {
			*found = order == 0;
			return &fw->items[FW_CFG_FILE_FIRST + i];
		}
	}
	*found = false;
	return &fw->items[FW_CFG_FILE_FIRST + i];
}

static int add_file_locked(
	struct fw_cfg *fw, const char *name, const void *bytes, size_t size, bool writable)
{
	struct item file = { .writable = writable };
	struct item *place;
	bool found;
	int rc;

	place = find_file(fw, name, &found);
	if (!found && fw->file_count == FW_CFG_FILE_COUNT_MAX)
		return -ENOSPC;
	memcpy(file.name, name, strlen(name));
	rc = item_set(&file, bytes, size, false);
	if (rc != 0)
		return rc;
	if (found) {
		free(place->owned);
	} else {
		struct item *end = &fw->items[FW_CFG_FILE_FIRST + fw->file_count];

		memmove(place + 1, place, (size_t)(end - place) * sizeof(*place));
		fw->file_count++;
	}
	*place = file;
	return build_directory(fw);
}

static int add_file(
	struct fw_cfg *fw, const char *name, const void *bytes, size_t size, bool writable)
{
	int rc;

	if (name[0] == '\0' || strlen(name) >= FW_CFG_FILE_NAME_SIZE)
		return -EINVAL;
	pthread_mutex_lock(&fw->lock);
	rc = add_file_locked(fw, name, bytes, size, writable);
	pthread_mutex_unlock(&fw->lock);
	return rc;
}

int fw_cfg_add_file(struct fw_cfg *fw, const char *name, const void *bytes, size_t size)
{
	return add_file(fw, name, bytes, size, false);
}

int fw_cfg_add_file_writable(struct fw_cfg *fw, const char *name, const void *bytes, size_t size)
{
	return add_file(fw, name, bytes, size, true);
}

int64_t fw_cfg_file_read(struct fw_cfg *fw, const char *name, size_t offset, void *out, size_t size)
{
	const struct item *file;
	int64_t copied = -ENOENT;
	bool found;

	pthread_mutex_lock(&fw->lock);
	file = find_file(fw, name, &found);
	if (found) {
		offset = MIN(offset, file->size);
		size = MIN(size, file->size - offset);
		memcpy(out, file->bytes + offset, size);
		copied = (int64_t)size;
	}
	pthread_mutex_unlock(&fw->lock);
	return copied;
}

/* ---- the ports ---- */

static void select_item(struct fw_cfg *fw, uint16_t key)
{
	fw->selected = key & (uint16_t)~KEY_WRITE;
	fw->offset = 0;
}

/* The bytes that are left of the selected item; no item is an empty one. */
static uint64_t selected_left(struct fw_cfg *fw, struct item **item)
{
	*item = find_item(fw, fw->selected);
	return *item && fw->offset < (*item)->size ? (*item)->size - fw->offset : 0;
}

static uint8_t read_byte(struct fw_cfg *fw)
{
	struct item *item;

	if (selected_left(fw, &item) == 0)
		return 0;
	return item->bytes[fw->offset++];
}

static uint64_t ports_read(struct bus_region *region, uint64_t offset, unsigned size)
{
	struct fw_cfg *fw = container_of(region, struct fw_cfg, ports);
	uint64_t value = 0;

	if (offset != 1 || size != 1)
		return 0;
	pthread_mutex_lock(&fw->lock);
	value = read_byte(fw);
	pthread_mutex_unlock(&fw->lock);
	return value;
}

static void ports_write(struct bus_region *region, uint64_t offset, uint64_t value, unsigned size)
{
	struct fw_cfg *fw = container_of(region, struct fw_cfg, ports);

	if (offset != 0 || size != 2)
		return; /* writes to the data port have no effect */
	pthread_mutex_lock(&fw->lock);
	select_item(fw, (uint16_t)value);
	pthread_mutex_unlock(&fw->lock);
}

/* ---- DMA ---- */

/* Copies `length` bytes of the item to the guest, zeroes behind its end. */
static int dma_read(struct fw_cfg *fw, uint64_t gpa, uint32_t length)
{
	static const uint8_t zeroes[COPY_CHUNK];
	struct item *item;
	uint64_t count = MIN(selected_left(fw, &item), length);

	if (count && guest_write(fw->host->memory, gpa, item->bytes + fw->offset, count) != 0)
		return -EFAULT;
	for (uint64_t done = count; done < length;) {
		uint64_t part = MIN(length - done, COPY_CHUNK);

		if (guest_write(fw->host->memory, gpa + done, zeroes, part) != 0)
			return -EFAULT;
		done += part;
	}
	fw->offset += count;
	return 0;
}

static int dma_write(struct fw_cfg *fw, uint64_t gpa, uint32_t length)
{
	struct item *item;
	uint64_t left = selected_left(fw, &item);

	if (!item || !item->writable || length > left)
		return -EINVAL;
	if (guest_read(fw->host->memory, gpa, item->owned + fw->offset, length) != 0)
		return -EFAULT;
	fw->offset += length;
	return 0;
}

static void dma_run(struct fw_cfg *fw, uint64_t gpa)
{
	struct dma_access access;
	uint32_t control, length, result;
	uint64_t address;
	int rc = 0;

	if (guest_read(fw->host->memory, gpa, &access, sizeof(access)) != 0) {
		log_warn_limited(&fw->limit, "fw_cfg", "DMA descriptor outside of memory");
		return;
	}
	control = be32toh(access.control);
	length = be32toh(access.length);
	address = be64toh(access.address);
	if (control & DMA_SELECT)
		select_item(fw, (uint16_t)(control >> 16));
	if (address + length < address)
		rc = -EFAULT;
	else if (control & DMA_READ)
		rc = dma_read(fw, address, length);
	else if (control & DMA_WRITE)
		rc = dma_write(fw, address, length);
	else if (control & DMA_SKIP)
		fw->offset = MIN(fw->offset + length, UINT32_MAX);
	result = htobe32(rc != 0 ? DMA_ERROR : 0);
	if (guest_write(fw->host->memory, gpa, &result, sizeof(result)) != 0)
		log_warn_limited(&fw->limit, "fw_cfg", "DMA descriptor in read-only memory");
}

static uint64_t dma_port_read(struct bus_region *region, uint64_t offset, unsigned size)
{
	uint64_t value = htobe64(DMA_SIGNATURE) >> 8 * offset; /* byte 0 at the lowest address */

	return size == 8 ? value : value & ((UINT64_C(1) << 8 * size) - 1);
}

static void dma_port_write(
	struct bus_region *region, uint64_t offset, uint64_t value, unsigned size)
{
	struct fw_cfg *fw = container_of(region, struct fw_cfg, dma);
	uint64_t gpa;

	pthread_mutex_lock(&fw->lock);
	if (size == 4 && offset == 0) {
		fw->dma_address = (uint64_t)be32toh((uint32_t)value) << 32;
	} else if ((size == 4 && offset == 4) || (size == 8 && offset == 0)) {
		gpa = size == 8 ? be64toh(value) : fw->dma_address | be32toh((uint32_t)value);
		fw->dma_address = 0;
		dma_run(fw, gpa);
	}
	pthread_mutex_unlock(&fw->lock);
}

static const struct bus_ops ports_ops = { .read = ports_read, .write = ports_write };
static const struct bus_ops dma_ops = { .read = dma_port_read, .write = dma_port_write };

/* ---- life ---- */

int fw_cfg_create(struct fw_cfg **out, struct pci_host *host)
{
	struct fw_cfg *fw = calloc(1, sizeof(*fw));
	int rc;

	if (!fw)
		return -ENOMEM;
	fw->host = host;
	fw->ports = (struct bus_region){ .ops = &ports_ops, .name = "fw_cfg", .size = 2 };
	fw->dma = (struct bus_region){ .ops = &dma_ops, .name = "fw_cfg-dma", .size = 8 };
	pthread_mutex_init(&fw->lock, NULL);
	rc = fw_cfg_add(fw, FW_CFG_SIGNATURE, "QEMU", 4);
	if (rc == 0)
		rc = fw_cfg_add_u32(fw, FW_CFG_ID, ID_TRADITIONAL | ID_DMA);
	if (rc == 0)
		rc = build_directory(fw);
	if (rc == 0)
		rc = bus_add(host->ports, &fw->ports, SELECTOR_PORT);
	if (rc == 0)
		rc = bus_add(host->ports, &fw->dma, DMA_PORT);
	if (rc != 0) {
		fw_cfg_destroy(fw);
		return rc;
	}
	*out = fw;
	return 0;
}

void fw_cfg_destroy(struct fw_cfg *fw)
{
	if (!fw)
		return;
	if (fw->ports.mapped)
		bus_remove(fw->host->ports, &fw->ports);
	if (fw->dma.mapped)
		bus_remove(fw->host->ports, &fw->dma);
	for (unsigned i = 0; i < ITEM_COUNT; i++)
		free(fw->items[i].owned);
	for (unsigned i = 0; i < LOCAL_COUNT; i++)
		free(fw->local[i].owned);
	pthread_mutex_destroy(&fw->lock);
	free(fw);
}

void fw_cfg_reset(struct fw_cfg *fw)
{
	pthread_mutex_lock(&fw->lock);
	select_item(fw, FW_CFG_SIGNATURE);
	fw->dma_address = 0;
	pthread_mutex_unlock(&fw->lock);
}

/* SPDX-License-Identifier: MIT */
/* Guest physical memory: a sorted table of regions under a read-write lock. */
#include "hypervisor/memory.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/util.h"

#define PAGE_BITS 12
#define PAGE_SIZE (1u << PAGE_BITS)
#define MAX_SLOTS 256

struct guest_memory {
	pthread_rwlock_t lock;
	const struct memory_backend_ops *ops;
	void *opaque;
	struct memory_region *regions[MAX_SLOTS]; /* by gpa */
	size_t count;
	bool slot_used[MAX_SLOTS];
};

int guest_memory_create(
	struct guest_memory **out, const struct memory_backend_ops *ops, void *opaque)
{
	struct guest_memory *memory = calloc(1, sizeof(*memory));

	if (!memory)
		return -ENOMEM;
	pthread_rwlock_init(&memory->lock, NULL);
	memory->ops = ops;
	memory->opaque = opaque;
	*out = memory;
	return 0;
}

void guest_memory_destroy(struct guest_memory *memory)
{
	if (!memory)
		return;
	while (memory->count > 0)
		guest_memory_unmap(memory, memory->regions[memory->count - 1]);
	pthread_rwlock_destroy(&memory->lock);
	free(memory);
}

uint8_t *memory_region_alloc_host(uint64_t size)
{
	void *host = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return host == MAP_FAILED ? NULL : host;
}

void memory_region_free_host(uint8_t *host, uint64_t size)
{
	if (host)
		munmap(host, size);
}

/* ---- what the devices wrote: the CPU engine's log does not see it ---- */

static size_t dirty_words(const struct memory_region *region)
{
	return (size_t)DIV_ROUND_UP(region->size >> PAGE_BITS, 64);
}

static int dirty_begin(struct memory_region *region)
{
	if (!region->log_dirty || region->dirty)
		return 0;
	region->dirty = calloc(dirty_words(region), sizeof(*region->dirty));
	return region->dirty ? 0 : -ENOMEM;
}

static void dirty_end(struct memory_region *region)
{
	free(region->dirty);
	region->dirty = NULL;
}

static void dirty_mark(const struct guest_memory *memory, struct memory_region *region,
	uint64_t offset, size_t size)
{
	if (memory->ops && memory->ops->written && size > 0)
		memory->ops->written(memory->opaque, region->gpa + offset, size);
	if (!region->dirty || size == 0)
		return;
	for (uint64_t page = offset >> PAGE_BITS; page <= (offset + size - 1) >> PAGE_BITS; page++)
		__atomic_fetch_or(
			&region->dirty[page / 64], UINT64_C(1) << (page % 64), __ATOMIC_RELAXED);
}

/* ---- the table ---- */

/* Index of the first region that ends beyond gpa. */
static size_t find_index(const struct guest_memory *memory, uint64_t gpa)
{
	size_t low = 0, high = memory->count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct memory_region *region = memory->regions[middle];

		if (region->gpa + (region->size - 1) < gpa)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct memory_region *find_region(const struct guest_memory *memory, uint64_t gpa)
{
	size_t index = find_index(memory, gpa);

	if (index == memory->count || memory->regions[index]->gpa > gpa)
		return NULL;
	return memory->regions[index];
}

static int free_slot(const struct guest_memory *memory)
{
	for (int slot = 0; slot < MAX_SLOTS; slot++)
		if (!memory->slot_used[slot])
			return slot;
	return -ENOSPC;
}

static int map_locked(struct guest_memory *memory, struct memory_region *region, uint64_t gpa)
{
	size_t index = find_index(memory, gpa);
	int slot = free_slot(memory);
	int err;

	if (index < memory->count && memory->regions[index]->gpa <= gpa + (region->size - 1))
		return -EEXIST;
	if (slot < 0)
		return slot;
	region->gpa = gpa;
	region->slot = slot;
	err = dirty_begin(region);
	if (!err && memory->ops)
		err = memory->ops->map(memory->opaque, region);
	if (err) {
		dirty_end(region);
		return err;
	}
	memmove(&memory->regions[index + 1], &memory->regions[index],
		(memory->count - index) * sizeof(memory->regions[0]));
	memory->regions[index] = region;
	memory->count++;
	memory->slot_used[slot] = true;
	region->mapped = true;
	return 0;
}

int guest_memory_map(struct guest_memory *memory, struct memory_region *region, uint64_t gpa)
{
	int err;

	if (!region->host || region->size == 0 || (region->size | gpa) & (PAGE_SIZE - 1) ||
		gpa + (region->size - 1) < gpa)
		return -EINVAL;
	pthread_rwlock_wrlock(&memory->lock);
	err = region->mapped ? -EBUSY : map_locked(memory, region, gpa);
	pthread_rwlock_unlock(&memory->lock);
	return err;
}

void guest_memory_unmap(struct guest_memory *memory, struct memory_region *region)
{
	pthread_rwlock_wrlock(&memory->lock);
	if (region->mapped) {
		size_t index = find_index(memory, region->gpa);

		assert(memory->regions[index] == region);
		if (memory->ops)
			memory->ops->unmap(memory->opaque, region);
		memory->count--;
		memmove(&memory->regions[index], &memory->regions[index + 1],
			(memory->count - index) * sizeof(memory->regions[0]));
		memory->slot_used[region->slot] = false;
		region->mapped = false;
		dirty_end(region);
	}
	pthread_rwlock_unlock(&memory->lock);
}

static int set_flags_locked(
	struct guest_memory *memory, struct memory_region *region, bool read_only, bool log_dirty)
{
	bool was_read_only = region->read_only, was_logged = region->log_dirty;
	int err;

	region->read_only = read_only;
	region->log_dirty = log_dirty;
	if (!region->mapped || (was_read_only == read_only && was_logged == log_dirty))
		return 0;
	err = dirty_begin(region);
	if (!err && memory->ops) {
		/* KVM changes logging of a slot in place, but not whether it is read-only. A vCPU
		 * that comes between sees a hole for a moment, as on a chipset that is
		 * reprogrammed. */
		if (was_read_only != read_only)
			memory->ops->unmap(memory->opaque, region);
		err = memory->ops->map(memory->opaque, region);
	}
	if (!region->log_dirty)
		dirty_end(region);
	return err;
}

int guest_memory_set_flags(
	struct guest_memory *memory, struct memory_region *region, bool read_only, bool log_dirty)
{
	int err;

	pthread_rwlock_wrlock(&memory->lock);
	err = set_flags_locked(memory, region, read_only, log_dirty);
	pthread_rwlock_unlock(&memory->lock);
	return err;
}

/* The next region from `index` on that thaws; NULL when there is none. */
static struct memory_region *find_frozen(struct guest_memory *memory, size_t *index)
{
	struct memory_region *found = NULL;

	pthread_rwlock_rdlock(&memory->lock);
	for (; *index < memory->count && !found; ++*index)
		if (memory->regions[*index]->read_only && memory->regions[*index]->thaw)
			found = memory->regions[*index];
	pthread_rwlock_unlock(&memory->lock);
	return found;
}

bool guest_memory_thaw(struct guest_memory *memory)
{
	struct memory_region *region;
	size_t index = 0;
	bool any = false;

	/* Regions live until the vCPUs have stopped, and this is on one of their threads. */
	while ((region = find_frozen(memory, &index))) {
		region->thaw(region);
		any = true;
	}
	return any;
}

int guest_memory_dirty_log(
	struct guest_memory *memory, struct memory_region *region, uint64_t *bitmap)
{
	size_t words = dirty_words(region);
	int err = 0;

	memset(bitmap, 0, words * sizeof(*bitmap));
	/* The read lock keeps the region mapped; the bits themselves are fetched atomically. */
	pthread_rwlock_rdlock(&memory->lock);
	if (region->mapped && region->log_dirty) {
		if (memory->ops)
			err = memory->ops->dirty_log(memory->opaque, region, bitmap);
		for (size_t i = 0; region->dirty && i < words; i++)
			if (__atomic_load_n(&region->dirty[i], __ATOMIC_RELAXED))
				bitmap[i] |=
					__atomic_exchange_n(&region->dirty[i], 0, __ATOMIC_RELAXED);
	}
	pthread_rwlock_unlock(&memory->lock);
	return err;
}

/* ---- access ---- */

/* Copies piece by piece; the guest may write at the same time, so the bytes may be torn. */
static int copy_locked(struct guest_memory *memory, uint64_t gpa, uint8_t *to_host,
	const uint8_t *from_host, size_t size)
{
	while (size > 0) {
		struct memory_region *region = find_region(memory, gpa);
		uint64_t offset;
		size_t piece;

		if (!region || (from_host && region->read_only))
			return -EFAULT;
		offset = gpa - region->gpa;
		piece = (size_t)MIN((uint64_t)size, region->size - offset);
		if (to_host) {
			memcpy(to_host, region->host + offset, piece);
			to_host += piece;
		} else {
			memcpy(region->host + offset, from_host, piece);
			from_host += piece;
			dirty_mark(memory, region, offset, piece);
		}
		gpa += piece;
		size -= piece;
		if (size > 0 && gpa == 0) /* past the end of the address space */
			return -EFAULT;
	}
	return 0;
}

int guest_read(struct guest_memory *memory, uint64_t gpa, void *out, size_t size)
{
	int err;

	pthread_rwlock_rdlock(&memory->lock);
	err = copy_locked(memory, gpa, out, NULL, size);
	pthread_rwlock_unlock(&memory->lock);
	return err;
}

int guest_write(struct guest_memory *memory, uint64_t gpa, const void *bytes, size_t size)
{
	int err;

	pthread_rwlock_rdlock(&memory->lock);
	err = copy_locked(memory, gpa, NULL, bytes, size);
	pthread_rwlock_unlock(&memory->lock);
	return err;
}

void *guest_pointer(struct guest_memory *memory, uint64_t gpa, size_t size, bool for_write)
{
	struct memory_region *region;
	void *pointer = NULL;

	pthread_rwlock_rdlock(&memory->lock);
	region = find_region(memory, gpa);
	if (region && !(for_write && region->read_only) &&
		size <= region->size - (gpa - region->gpa)) {
		pointer = region->host + (gpa - region->gpa);
		/* When the bytes come is not known; they count as written now. */
		if (for_write)
			dirty_mark(memory, region, gpa - region->gpa, size);
	}
	pthread_rwlock_unlock(&memory->lock);
	return pointer;
}

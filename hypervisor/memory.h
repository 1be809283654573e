/* SPDX-License-Identifier: MIT */
/*
 * Guest physical memory: RAM and memory-backed PCI BARs. Devices reach it only through here, and
 * never keep a host pointer to what the guest may change without saying why.
 */
#ifndef HYPERVISOR_MEMORY_H
#define HYPERVISOR_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guest_memory;

/* One piece of host memory that the guest sees. Embedded in its owner (RAM, a BAR, a ROM). */
struct memory_region {
	const char *name;
	uint8_t *host;
	uint64_t size; /* bytes, a multiple of 4096 */
	bool read_only; /* guest writes go to the bus (and are ignored there when nobody listens) */
	bool log_dirty;
	/* May be NULL. The region is read-only only for its owner to learn of the next write, and a
	 * write came that the CPU engine cannot hand over: the owner is to make it writable. On a vCPU
	 * thread, without a lock of the memory's. */
	void (*thaw)(struct memory_region *region);
	/* Kept by memory.c. */
	uint64_t gpa;
	bool mapped;
	int slot;
	uint64_t *dirty; /* pages that devices wrote, while log_dirty and mapped */
};

/* What tells the CPU engine (KVM) of changes; a fake memory in tests has none (NULL). */
struct memory_backend_ops {
	int (*map)(void *opaque, struct memory_region *region);
	void (*unmap)(void *opaque, struct memory_region *region);
	/* Fetches and clears the dirty bits, one a 4 KiB page, into bitmap (64-bit words). */
	int (*dirty_log)(void *opaque, struct memory_region *region, uint64_t *bitmap);
	/* May be NULL. Devices wrote there (guest_write()), or are about to (guest_pointer()). Any
	 * thread, under the memory's lock. */
	void (*written)(void *opaque, uint64_t gpa, uint64_t size);
};

int guest_memory_create(struct guest_memory **out, const struct memory_backend_ops *ops,
			void *opaque);
void guest_memory_destroy(struct guest_memory *memory);

/* Anonymous host memory of `size` bytes, zeroed, taken page by page as touched (MAP_NORESERVE).
 * Returns NULL when there is none. Freed with memory_region_free_host(). */
uint8_t *memory_region_alloc_host(uint64_t size);
void memory_region_free_host(uint8_t *host, uint64_t size);

/* Places a region at gpa (page-aligned). -EEXIST when it overlaps another one. Any thread: takes the
 * memory's lock; readers in guest_read() and the like never see half a change. */
int guest_memory_map(struct guest_memory *memory, struct memory_region *region, uint64_t gpa);
void guest_memory_unmap(struct guest_memory *memory, struct memory_region *region);
/* Changes read_only or log_dirty of a region, mapped or not. */
int guest_memory_set_flags(struct guest_memory *memory, struct memory_region *region,
			   bool read_only, bool log_dirty);
/* Calls thaw of every mapped read-only region that has it. Answers whether there was one. */
bool guest_memory_thaw(struct guest_memory *memory);
/* Dirty bits since the last call; all clear when unmapped. */
int guest_memory_dirty_log(struct guest_memory *memory, struct memory_region *region,
			   uint64_t *bitmap);

/* Copies between host and guest memory; may cross regions that lie side by side. 0 or -EFAULT when
 * any byte is not there (then nothing is promised of the copied part). Any thread. */
int guest_read(struct guest_memory *memory, uint64_t gpa, void *out, size_t size);
int guest_write(struct guest_memory *memory, uint64_t gpa, const void *bytes, size_t size);
/* The host address of [gpa, gpa + size) when it lies in one writable region (or any region, when
 * for_write is false); else NULL. For bulk data (disk I/O), whose owner must not trust the bytes; it
 * stays valid as long as the region is not freed: RAM lives as long as the machine. */
void *guest_pointer(struct guest_memory *memory, uint64_t gpa, size_t size, bool for_write);

#endif

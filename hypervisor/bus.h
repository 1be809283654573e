/* SPDX-License-Identifier: MIT */
/* The dispatch of port and memory-mapped I/O to devices. One bus for ports, one for memory. */
#ifndef HYPERVISOR_BUS_H
#define HYPERVISOR_BUS_H

#include <stdbool.h>
#include <stdint.h>

struct bus;
struct bus_region;

struct bus_ops {
	/* size is 1, 2, 4 or 8 bytes, offset + size stays inside the region. Runs on a vCPU thread
	 * with no lock of the bus held, so it may add and remove regions: the device takes its own
	 * lock. Regions therefore live until their device is destroyed, after the vCPUs stopped.
	 * May be NULL: reads give all ones, writes are dropped. */
	uint64_t (*read)(struct bus_region *region, uint64_t offset, unsigned size);
	void (*write)(struct bus_region *region, uint64_t offset, uint64_t value, unsigned size);
};

/* Embedded in the device. */
struct bus_region {
	const struct bus_ops *ops;
	const char *name;
	uint64_t size;
	/* Kept by the bus. */
	uint64_t base;
	bool mapped;
	int priority; /* a higher one hides a lower one where they overlap */
};

/* Doorbells: a guest write that only signals an eventfd. The engine does it without a vCPU exit
 * (KVM ioeventfd); without an engine (tests) the bus itself signals. */
struct bus_engine_ops {
	int (*doorbell)(void *opaque, bool is_mmio, uint64_t addr, unsigned size, bool match,
			uint64_t value, int event_fd, bool add);
};

int bus_create(struct bus **out, bool is_mmio, const struct bus_engine_ops *engine, void *opaque);
void bus_destroy(struct bus *bus);

/* Adds a region at base. Overlaps are resolved by priority, then the later one wins. Any thread. */
int bus_add(struct bus *bus, struct bus_region *region, uint64_t base);
void bus_remove(struct bus *bus, struct bus_region *region);

/* Signals event_fd (an eventfd, the caller's) on writes of `size` bytes (0: any size) at addr; when
 * `match`, only those of `value`. The bus must not otherwise need the write: it is not dispatched. */
int bus_doorbell_add(struct bus *bus, uint64_t addr, unsigned size, bool match, uint64_t value,
		     int event_fd);
void bus_doorbell_remove(struct bus *bus, uint64_t addr, unsigned size, bool match, uint64_t value,
			 int event_fd);

/* Dispatches one access of a vCPU. A read of nothing gives all ones. An access that crosses the end
 * of a region is split into bytes. */
uint64_t bus_read(struct bus *bus, uint64_t addr, unsigned size);
void bus_write(struct bus *bus, uint64_t addr, uint64_t value, unsigned size);

#endif

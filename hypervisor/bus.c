/* SPDX-License-Identifier: MIT */
/*
 * I/O dispatch. The regions are flattened into a sorted table of what is visible, which each access
 * searches under a read lock that is released before the device is called.
 */
#include "hypervisor/bus.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/log.h"
#include "core/util.h"

#define MAX_REGIONS   512
#define MAX_DOORBELLS 1024

/* A visible piece of a region, first and last address. `base` is where the region was put. */
struct piece {
	uint64_t first;
	uint64_t last;
	uint64_t base;
	struct bus_region *region;
};

struct doorbell {
	uint64_t addr;
	uint64_t value;
	unsigned size; /* 0: any */
	bool match;
	bool in_engine;
	int event_fd;
};

struct bus {
	bool is_mmio;
	const struct bus_engine_ops *engine;
	void *opaque;
	pthread_rwlock_t lock; /* guards what follows */
	struct bus_region *regions[MAX_REGIONS]; /* in order of adding */
	size_t region_count;
	struct piece pieces[2 * MAX_REGIONS]; /* n intervals show at most 2n - 1 pieces */
	size_t piece_count;
	struct doorbell *doorbells;
	size_t doorbell_count;
	size_t own_doorbells; /* those that the engine does not do */
};

int bus_create(struct bus **out, bool is_mmio, const struct bus_engine_ops *engine, void *opaque)
{
	struct bus *bus = calloc(1, sizeof(*bus));

	if (!bus)
		return -ENOMEM;
	pthread_rwlock_init(&bus->lock, NULL);
	bus->is_mmio = is_mmio;
	bus->engine = engine;
	bus->opaque = opaque;
	*out = bus;
	return 0;
}

void bus_destroy(struct bus *bus)
{
	if (!bus)
		return;
	free(bus->doorbells);
	pthread_rwlock_destroy(&bus->lock);
	free(bus);
}

/* ---- regions ---- */

static uint64_t region_last(const struct bus_region *region)
{
	return region->base + (region->size - 1);
}

/* Puts `top` over the pieces there are. */
static void overlay(struct bus *bus, struct bus_region *top)
{
	struct piece old[2 * MAX_REGIONS];
	size_t count = bus->piece_count, n = 0;
	uint64_t first = top->base, last = region_last(top);
	bool placed = false;

	for (size_t i = 0; i < count; i++)
		old[i] = bus->pieces[i];
	for (size_t i = 0; i < count; i++) {
		struct piece piece = old[i];

		if (piece.first < first) {
			struct piece left = piece;

			left.last = MIN(piece.last, first - 1);
			bus->pieces[n++] = left;
		}
		if (!placed && piece.last >= first) {
			bus->pieces[n++] = (struct piece){ first, last, top->base, top };
			placed = true;
		}
		if (piece.last > last) {
			piece.first = MAX(piece.first, last + 1);
			bus->pieces[n++] = piece;
		}
	}
	if (!placed)
		bus->pieces[n++] = (struct piece){ first, last, top->base, top };
	bus->piece_count = n;
}

/* Paints the regions from the lowest priority up, each priority in order of adding. */
static void flatten(struct bus *bus)
{
	struct bus_region *order[MAX_REGIONS];

	for (size_t i = 0; i < bus->region_count; i++) {
		struct bus_region *region = bus->regions[i];
		size_t at = i;

		for (; at > 0 && order[at - 1]->priority > region->priority; at--)
			order[at] = order[at - 1];
		order[at] = region;
	}
	bus->piece_count = 0;
	for (size_t i = 0; i < bus->region_count; i++)
		overlay(bus, order[i]);
}

int bus_add(struct bus *bus, struct bus_region *region, uint64_t base)
{
	int err = 0;

	if (region->size == 0 || base + (region->size - 1) < base)
		return -EINVAL;
	pthread_rwlock_wrlock(&bus->lock);
	if (region->mapped) {
		err = -EBUSY;
	} else if (bus->region_count == MAX_REGIONS) {
		err = -ENOSPC;
	} else {
		region->base = base;
		region->mapped = true;
		bus->regions[bus->region_count++] = region;
		flatten(bus);
	}
	pthread_rwlock_unlock(&bus->lock);
	return err;
}

void bus_remove(struct bus *bus, struct bus_region *region)
{
	size_t n = 0;

	pthread_rwlock_wrlock(&bus->lock);
	if (region->mapped) {
		for (size_t i = 0; i < bus->region_count; i++)
			if (bus->regions[i] != region)
				bus->regions[n++] = bus->regions[i];
		bus->region_count = n;
		region->mapped = false;
		flatten(bus);
	}
	pthread_rwlock_unlock(&bus->lock);
}

/* ---- doorbells ---- */

static struct doorbell *find_doorbell(struct bus *bus, const struct doorbell *like)
{
	for (size_t i = 0; i < bus->doorbell_count; i++) {
		struct doorbell *bell = &bus->doorbells[i];

		if (bell->addr == like->addr && bell->size == like->size &&
			bell->match == like->match && bell->value == like->value &&
			bell->event_fd == like->event_fd)
			return bell;
	}
	return NULL;
}

static int add_doorbell(struct bus *bus, struct doorbell bell)
{
	struct doorbell *grown;

	if (find_doorbell(bus, &bell))
		return -EEXIST;
	if (bus->doorbell_count == MAX_DOORBELLS)
		return -ENOSPC;
	grown = realloc(bus->doorbells, (bus->doorbell_count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	bus->doorbells = grown;
	/* What the engine cannot do, the bus does on the vCPU's exit: slower, not wrong. */
	bell.in_engine = bus->engine &&
		bus->engine->doorbell(bus->opaque, bus->is_mmio, bell.addr, bell.size, bell.match,
			bell.value, bell.event_fd, true) == 0;
	bus->own_doorbells += !bell.in_engine;
	grown[bus->doorbell_count++] = bell;
	return 0;
}

int bus_doorbell_add(
	struct bus *bus, uint64_t addr, unsigned size, bool match, uint64_t value, int event_fd)
{
	struct doorbell bell = {
		.addr = addr, .value = value, .size = size, .match = match, .event_fd = event_fd
	};
	int err;

	pthread_rwlock_wrlock(&bus->lock);
	err = add_doorbell(bus, bell);
	pthread_rwlock_unlock(&bus->lock);
	return err;
}

void bus_doorbell_remove(
	struct bus *bus, uint64_t addr, unsigned size, bool match, uint64_t value, int event_fd)
{
	struct doorbell like = {
		.addr = addr, .value = value, .size = size, .match = match, .event_fd = event_fd
	};
	struct doorbell *bell;

	pthread_rwlock_wrlock(&bus->lock);
	bell = find_doorbell(bus, &like);
	if (bell) {
		if (bell->in_engine)
			bus->engine->doorbell(bus->opaque, bus->is_mmio, addr, size, match, value,
				event_fd, false);
		else
			bus->own_doorbells--;
		*bell = bus->doorbells[--bus->doorbell_count];
	}
	pthread_rwlock_unlock(&bus->lock);
}

static bool ring_doorbell(const struct bus *bus, uint64_t addr, uint64_t value, unsigned size)
{
	const uint64_t one = 1;

	for (size_t i = 0; bus->own_doorbells && i < bus->doorbell_count; i++) {
		const struct doorbell *bell = &bus->doorbells[i];

		if (bell->in_engine || bell->addr != addr || (bell->size && bell->size != size) ||
			(bell->match && bell->value != value))
			continue;
		/* Full only when 2^64 - 2 rings were not taken. */
		if (write(bell->event_fd, &one, sizeof(one)) != sizeof(one))
			log_debug("bus", "a doorbell's eventfd is full");
		return true;
	}
	return false;
}

/* ---- dispatch ---- */

static struct bus_region *find_region(const struct bus *bus, uint64_t addr, uint64_t *offset)
{
	size_t low = 0, high = bus->piece_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (bus->pieces[middle].last < addr)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == bus->piece_count || bus->pieces[low].first > addr)
		return NULL;
	*offset = addr - bus->pieces[low].base;
	return bus->pieces[low].region;
}

static uint64_t all_ones(unsigned size)
{
	return size >= 8 ? UINT64_MAX : (UINT64_C(1) << (size * 8)) - 1;
}

uint64_t bus_read(struct bus *bus, uint64_t addr, unsigned size)
{
	struct bus_region *region;
	uint64_t offset = 0, value = 0;

	pthread_rwlock_rdlock(&bus->lock);
	region = find_region(bus, addr, &offset);
	pthread_rwlock_unlock(&bus->lock);
	if (size > 1 && (!region || region->size - offset < size)) {
		for (unsigned i = 0; i < size; i++)
			value |= bus_read(bus, addr + i, 1) << (8 * i);
		return value;
	}
	if (!region || !region->ops->read)
		return all_ones(size);
	return region->ops->read(region, offset, size) & all_ones(size);
}

void bus_write(struct bus *bus, uint64_t addr, uint64_t value, unsigned size)
{
	struct bus_region *region;
	uint64_t offset = 0;
	bool rung;

	value &= all_ones(size);
	pthread_rwlock_rdlock(&bus->lock);
	rung = ring_doorbell(bus, addr, value, size);
	region = rung ? NULL : find_region(bus, addr, &offset);
	pthread_rwlock_unlock(&bus->lock);
	if (rung)
		return;
	if (size > 1 && (!region || region->size - offset < size)) {
		for (unsigned i = 0; i < size; i++)
			bus_write(bus, addr + i, value >> (8 * i), 1);
		return;
	}
	if (region && region->ops->write)
		region->ops->write(region, offset, value, size);
}

/* SPDX-License-Identifier: MIT */
/* Guest-physical memory as the software CPUs see it: where what is, and who wrote where. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core/util.h"
#include "hypervisor/soft_internal.h"

int soft_memory_init(struct soft_engine *soft)
{
	pthread_rwlock_init(&soft->memory.lock, NULL);
	soft->code_map = mmap(NULL, SOFT_CODE_PAGES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (soft->code_map == MAP_FAILED) {
		soft->code_map = NULL;
		return -ENOMEM;
	}
	return 0;
}

void soft_memory_finish(struct soft_engine *soft)
{
	for (uint32_t i = 0; i < soft->memory.count; i++)
		free(soft->memory.spans[i].dirty);
	if (soft->code_map)
		munmap(soft->code_map, SOFT_CODE_PAGES);
	pthread_rwlock_destroy(&soft->memory.lock);
}

/* ---- changes ---- */

static void begin_change(struct soft_memory *memory)
{
	pthread_rwlock_wrlock(&memory->lock);
	__atomic_store_n(&memory->version, memory->version + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static void end_change(struct soft_engine *soft)
{
	struct soft_memory *memory = &soft->memory;

	__atomic_store_n(&memory->version, memory->version + 1, __ATOMIC_RELEASE);
	pthread_rwlock_unlock(&memory->lock);
	for (unsigned i = 0; i < soft->base.cpus; i++)
		if (soft->cpus[i])
			soft_cpu_request(soft->cpus[i], SOFT_REQUEST_FLUSH);
}

static uint32_t find_span(const struct soft_memory *memory, const struct memory_region *region)
{
	uint32_t i = 0;

	while (i < memory->count && memory->spans[i].region != region)
		i++;
	return i;
}

static void remove_span(struct soft_memory *memory, uint32_t at)
{
	free(memory->spans[at].dirty);
	memory->count--;
	memmove(&memory->spans[at], &memory->spans[at + 1],
		(memory->count - at) * sizeof(memory->spans[0]));
}

static void insert_span(struct soft_memory *memory, const struct soft_span *span)
{
	uint32_t at = memory->count;

	while (at > 0 && memory->spans[at - 1].gpa > span->gpa)
		at--;
	memmove(&memory->spans[at + 1], &memory->spans[at],
		(memory->count - at) * sizeof(memory->spans[0]));
	memory->spans[at] = *span;
	memory->count++;
}

/* Also of a region that is mapped already: its flags change, its dirty bits stay. */
static int memory_map(void *opaque, struct memory_region *region)
{
	struct soft_engine *soft = opaque;
	struct soft_memory *memory = &soft->memory;
	struct soft_span span = {
		.gpa = region->gpa,
		.size = region->size,
		.host = region->host,
		.read_only = region->read_only,
		.log_dirty = region->log_dirty,
		.region = region,
	};
	uint32_t at = find_span(memory, region);

	if (at < memory->count) {
		span.dirty = memory->spans[at].dirty;
	} else if (memory->count == SOFT_MAX_SPANS) {
		return -ENOSPC;
	}
	if (span.log_dirty && !span.dirty) {
		span.dirty = calloc(DIV_ROUND_UP(region->size / SOFT_PAGE, 64), 8);
		if (!span.dirty)
			return -ENOMEM;
	}
	begin_change(memory);
	if (at < memory->count)
		memory->spans[at] = span;
	else
		insert_span(memory, &span);
	end_change(soft);
	return 0;
}

static void memory_unmap(void *opaque, struct memory_region *region)
{
	struct soft_engine *soft = opaque;
	struct soft_memory *memory = &soft->memory;
	uint32_t at = find_span(memory, region);

	if (at == memory->count)
		return;
	begin_change(memory);
	remove_span(memory, at);
	end_change(soft);
}

static int memory_dirty_log(void *opaque, struct memory_region *region, uint64_t *bitmap)
{
	struct soft_engine *soft = opaque;
	struct soft_memory *memory = &soft->memory;
	uint32_t at;

	pthread_rwlock_rdlock(&memory->lock);
	at = find_span(memory, region);
	if (at < memory->count && memory->spans[at].dirty) {
		uint64_t *dirty = memory->spans[at].dirty;

		for (uint64_t i = 0; i < DIV_ROUND_UP(region->size / SOFT_PAGE, 64); i++)
			if (__atomic_load_n(&dirty[i], __ATOMIC_RELAXED))
				bitmap[i] |= __atomic_exchange_n(&dirty[i], 0, __ATOMIC_ACQ_REL);
	}
	pthread_rwlock_unlock(&memory->lock);
	return 0;
}

static void memory_written(void *opaque, uint64_t gpa, uint64_t size)
{
	soft_memory_written(opaque, gpa, size);
}

const struct memory_backend_ops soft_memory_ops = {
	.map = memory_map,
	.unmap = memory_unmap,
	.dirty_log = memory_dirty_log,
	.written = memory_written,
};

/* ---- use ---- */

static const struct soft_span *search(const struct soft_memory *memory, uint64_t gpa)
{
	uint32_t low = 0, high = MIN(memory->count, (uint32_t)SOFT_MAX_SPANS);

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (memory->spans[middle].gpa + (memory->spans[middle].size - 1) < gpa)
			low = middle + 1;
		else
			high = middle;
	}
	if (low >= MIN(memory->count, (uint32_t)SOFT_MAX_SPANS) || memory->spans[low].gpa > gpa)
		return NULL;
	return &memory->spans[low];
}

bool soft_memory_find(struct soft_engine *soft, uint64_t gpa, struct soft_span *span)
{
	struct soft_memory *memory = &soft->memory;

	for (;;) {
		uint32_t version = __atomic_load_n(&memory->version, __ATOMIC_ACQUIRE);
		const struct soft_span *found;

		if (version & 1) {
			/* Wait for the writer as a reader does. */
			pthread_rwlock_rdlock(&memory->lock);
			pthread_rwlock_unlock(&memory->lock);
			continue;
		}
		found = search(memory, gpa);
		if (found)
			*span = *found;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(&memory->version, __ATOMIC_RELAXED) == version)
			return found && gpa - span->gpa < span->size;
	}
}

static uint64_t bus_value(const void *bytes, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, bytes, size);
	return value;
}

/* Devices know accesses of 1, 2, 4 and 8 bytes. */
static void mmio_read(struct soft_cpu *cpu, uint64_t gpa, uint8_t *out, unsigned size)
{
	uint64_t apic = cpu->apic_base & SOFT_PHYS_MASK & SOFT_PAGE_MASK;

	while (size > 0) {
		unsigned piece = size >= 8 ? 8 : size >= 4 ? 4 : size >= 2 ? 2 : 1;
		uint64_t value;

		if ((gpa & SOFT_PAGE_MASK) == apic && (cpu->apic_base & 0x800))
			value = soft_irq_lapic_read(
				cpu->engine->chips, cpu->index, (uint32_t)(gpa & 0xfff), piece);
		else
			value = bus_read(cpu->engine->base.mmio, gpa, piece);
		memcpy(out, &value, piece);
		gpa += piece;
		out += piece;
		size -= piece;
	}
}

static void mmio_write(struct soft_cpu *cpu, uint64_t gpa, const uint8_t *bytes, unsigned size)
{
	uint64_t apic = cpu->apic_base & SOFT_PHYS_MASK & SOFT_PAGE_MASK;

	while (size > 0) {
		unsigned piece = size >= 8 ? 8 : size >= 4 ? 4 : size >= 2 ? 2 : 1;
		uint64_t value = bus_value(bytes, piece);

		if ((gpa & SOFT_PAGE_MASK) == apic && (cpu->apic_base & 0x800))
			soft_irq_lapic_write(cpu->engine->chips, cpu->index,
				(uint32_t)(gpa & 0xfff), value, piece);
		else
			bus_write(cpu->engine->base.mmio, gpa, value, piece);
		gpa += piece;
		bytes += piece;
		size -= piece;
	}
}

/* With one access of the host where the size is one of its own: others look at the same time. */
static void copy_at_once(void *to, const void *from, unsigned size)
{
	switch (size) {
	case 2: memcpy(to, from, 2); break;
	case 4: memcpy(to, from, 4); break;
	case 8: memcpy(to, from, 8); break;
	default: memcpy(to, from, size); break;
	}
}

void soft_phys_read(struct soft_cpu *cpu, uint64_t gpa, void *out, unsigned size)
{
	struct soft_span span;

	if (soft_memory_find(cpu->engine, gpa, &span) && size <= span.size - (gpa - span.gpa))
		copy_at_once(out, span.host + (gpa - span.gpa), size);
	else
		mmio_read(cpu, gpa, out, size);
}

/* A store to memory whose writes are logged. Its span may be gone by now, its host memory is not. */
static void log_write(struct soft_engine *soft, uint64_t gpa)
{
	const struct soft_span *span;

	pthread_rwlock_rdlock(&soft->memory.lock);
	span = search(&soft->memory, gpa);
	if (span && span->dirty) {
		uint64_t page = (gpa - span->gpa) / SOFT_PAGE;
		uint64_t bit = UINT64_C(1) << (page % 64);

		if (!(__atomic_load_n(&span->dirty[page / 64], __ATOMIC_RELAXED) & bit))
			__atomic_fetch_or(&span->dirty[page / 64], bit, __ATOMIC_RELEASE);
	}
	pthread_rwlock_unlock(&soft->memory.lock);
}

void *soft_phys_pointer(struct soft_cpu *cpu, uint64_t gpa, unsigned size)
{
	struct soft_span span;

	if (!soft_memory_find(cpu->engine, gpa, &span) || span.read_only ||
		size > span.size - (gpa - span.gpa))
		return NULL;
	return span.host + (gpa - span.gpa);
}

void soft_phys_wrote(struct soft_cpu *cpu, uint64_t gpa, unsigned size)
{
	struct soft_engine *soft = cpu->engine;
	struct soft_span span;
	uint8_t users;

	if (soft_memory_find(soft, gpa, &span) && span.log_dirty)
		log_write(soft, gpa);
	users = __atomic_load_n(
		&soft->code_map[(gpa & SOFT_PHYS_MASK) / SOFT_PAGE], __ATOMIC_SEQ_CST);
	if (!users)
		return;
	if (users & (1u << cpu->index))
		soft_code_written(cpu, gpa, size);
	for (unsigned i = 0; i < soft->base.cpus; i++)
		if (i != cpu->index && (users & (1u << i)))
			soft_code_post(soft->cpus[i], gpa);
}

void soft_phys_write(struct soft_cpu *cpu, uint64_t gpa, const void *bytes, unsigned size)
{
	void *at = soft_phys_pointer(cpu, gpa, size);

	if (!at) {
		mmio_write(cpu, gpa, bytes, size);
		return;
	}
	copy_at_once(at, bytes, size);
	soft_phys_wrote(cpu, gpa, size);
}

void soft_memory_written(struct soft_engine *soft, uint64_t gpa, uint64_t size)
{
	for (uint64_t page = gpa & SOFT_PAGE_MASK; page < gpa + size; page += SOFT_PAGE) {
		uint8_t users = __atomic_load_n(
			&soft->code_map[(page & SOFT_PHYS_MASK) / SOFT_PAGE], __ATOMIC_SEQ_CST);

		for (unsigned i = 0; users && i < soft->base.cpus; i++)
			if (users & (1u << i))
				soft_code_post(soft->cpus[i], page);
	}
}

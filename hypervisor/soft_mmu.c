/* SPDX-License-Identifier: MIT */
/* The translation cache, and every access that does not hit it. */
#include "core/util.h"
#include "hypervisor/soft_internal.h"

#define NO_TAG UINT64_MAX
/* In a tag: the page is known, but its accesses are not direct. */
#define SLOW UINT64_C(1)

/* ---- filling and forgetting ---- */

static void clear_entry(struct soft_tlb_entry *entry)
{
	entry->read = entry->write = entry->exec = NO_TAG;
}

void soft_tlb_flush(struct soft_cpu *cpu, bool global)
{
	struct soft_mmu *mmu = cpu->mmu;

	for (unsigned user = 0; user < 2; user++) {
		struct soft_tlb *tlb = &mmu->tlbs[user];
		uint32_t kept = 0;

		for (uint32_t i = 0; i < mmu->filled_count[user]; i++) {
			uint16_t at = mmu->filled[user][i];

			if (!global && tlb->info[at].global)
				mmu->filled[user][kept++] = at;
			else
				clear_entry(&tlb->entries[at]);
		}
		mmu->filled_count[user] = kept;
	}
	if (global)
		mmu->has_large = false;
	soft_code_new_key(cpu, true);
}

/* The page of an entry that is not empty. */
static uint64_t page_of(const struct soft_tlb_entry *entry)
{
	uint64_t tag = entry->read != NO_TAG ? entry->read
		: entry->exec != NO_TAG      ? entry->exec
					     : entry->write;

	return tag & ~SLOW;
}

/* All pieces of large pages around. Which page was how large is not known: a gigabyte. */
static void flush_large(struct soft_mmu *mmu, uint64_t linear)
{
	for (unsigned user = 0; user < 2; user++)
		for (uint32_t i = 0; i < mmu->filled_count[user]; i++) {
			uint16_t at = mmu->filled[user][i];
			struct soft_tlb_entry *entry = &mmu->tlbs[user].entries[at];

			if (mmu->tlbs[user].info[at].large && !((page_of(entry) ^ linear) >> 30))
				clear_entry(entry);
		}
}

void soft_tlb_flush_page(struct soft_cpu *cpu, uint64_t linear)
{
	struct soft_mmu *mmu = cpu->mmu;
	uint32_t at = (uint32_t)(linear >> 12) & (SOFT_TLB_SIZE - 1);
	bool large = mmu->has_large && linear >= mmu->large_first && linear <= mmu->large_last;

	if (large)
		flush_large(mmu, linear);
	for (unsigned user = 0; user < 2; user++) {
		struct soft_tlb_entry *entry = &mmu->tlbs[user].entries[at];
		uint64_t page = linear & SOFT_PAGE_MASK;

		/* The index stays in `filled`: an entry is there at most once. */
		if ((entry->read & ~SLOW) == page || (entry->write & ~SLOW) == page ||
			(entry->exec & ~SLOW) == page)
			clear_entry(entry);
	}
	if (large || soft_code_was_at(cpu, linear))
		soft_code_new_key(cpu, true);
}

void soft_tlb_protect(struct soft_cpu *cpu, uint64_t gpa)
{
	struct soft_mmu *mmu = cpu->mmu;

	for (unsigned user = 0; user < 2; user++)
		for (uint32_t i = 0; i < mmu->filled_count[user]; i++) {
			uint16_t at = mmu->filled[user][i];

			if (mmu->tlbs[user].info[at].gpa == (gpa & SOFT_PAGE_MASK))
				mmu->tlbs[user].entries[at].write = NO_TAG;
		}
}

void soft_tlb_protect_all(struct soft_cpu *cpu)
{
	struct soft_mmu *mmu = cpu->mmu;

	for (unsigned user = 0; user < 2; user++)
		for (uint32_t i = 0; i < mmu->filled_count[user]; i++)
			mmu->tlbs[user].entries[mmu->filled[user][i]].write = NO_TAG;
}

static void note_large(struct soft_mmu *mmu, uint64_t linear)
{
	/* Whole gigabytes, the largest page. */
	uint64_t first = linear & ~UINT64_C(0x3fffffff), last = linear | 0x3fffffff;

	mmu->large_first = mmu->has_large ? MIN(mmu->large_first, first) : first;
	mmu->large_last = mmu->has_large ? MAX(mmu->large_last, last) : last;
	mmu->has_large = true;
}

static void remember(struct soft_mmu *mmu, unsigned user, uint32_t at)
{
	const struct soft_tlb_entry *entry = &mmu->tlbs[user].entries[at];
	uint16_t *filled = mmu->filled[user];

	if (entry->read != NO_TAG || entry->write != NO_TAG || entry->exec != NO_TAG)
		return;
	/* One that soft_tlb_flush_page() emptied may be there already: when the log is full,
	 * it is. */
	if (mmu->filled_count[user] == SOFT_TLB_SIZE) {
		for (uint32_t i = 0; i < SOFT_TLB_SIZE; i++)
			filled[i] = (uint16_t)i;
		return;
	}
	filled[mmu->filled_count[user]++] = (uint16_t)at;
}

/* Puts a page into the cache. The tags say what may be done directly. */
static void fill(
	struct soft_cpu *cpu, unsigned user, uint64_t linear, const struct soft_mapping *mapping)
{
	struct soft_mmu *mmu = cpu->mmu;
	uint32_t at = (uint32_t)(linear >> 12) & (SOFT_TLB_SIZE - 1);
	struct soft_tlb_entry *entry = &mmu->tlbs[user].entries[at];
	uint64_t page = linear & SOFT_PAGE_MASK, gpa = mapping->gpa & SOFT_PAGE_MASK;
	struct soft_span span;
	bool memory = soft_memory_find(cpu->engine, gpa, &span);
	bool watched = unlikely(cpu->debug & SOFT_DEBUG_DATA) && soft_debug_watches(cpu, page);
	bool direct = memory && !span.read_only && !span.log_dirty && !watched;

	remember(mmu, user, at);
	if (mapping->large)
		note_large(mmu, linear);
	/* Read after the memory map was: who protects a page does so after marking it. */
	if (direct &&
		__atomic_load_n(&cpu->engine->code_map[(gpa & SOFT_PHYS_MASK) / SOFT_PAGE],
			__ATOMIC_SEQ_CST))
		direct = false;
	mmu->tlbs[user].info[at] = (struct soft_tlb_info){ .gpa = gpa,
		.memory = memory,
		.global = mapping->global,
		.writable = mapping->writable,
		.large = mapping->large };
	entry->addend = memory ? (uintptr_t)(span.host + (gpa - span.gpa)) - page : 0;
	entry->read = memory && !watched ? page : page | SLOW;
	entry->write = !mapping->writable ? NO_TAG : direct ? page : page | SLOW;
	entry->exec = mapping->executable ? page : NO_TAG;
}

/* ---- faults ---- */

static _Noreturn void page_fault(
	struct soft_cpu *cpu, const struct soft_op *op, uint64_t linear, uint32_t error)
{
	cpu->op = op;
	cpu->cr2 = linear;
	soft_raise_error(cpu, SOFT_PAGE_FAULT, error & 0x7fffffff);
}

static void check_canonical(struct soft_cpu *cpu, const struct soft_op *op, uint64_t linear)
{
	if (likely(soft_canonical(linear)) || !soft_long_mode(cpu))
		return;
	cpu->op = op;
	soft_raise_error(cpu, op->seg == SOFT_SS ? SOFT_SS_FAULT : SOFT_GP, 0);
}

/* The gpa of a byte, from the cache or the page tables. */
static uint64_t translate(struct soft_cpu *cpu, const struct soft_op *op, unsigned user,
	uint64_t linear, enum soft_access access)
{
	uint32_t at = (uint32_t)(linear >> 12) & (SOFT_TLB_SIZE - 1);
	const struct soft_tlb *tlb = &cpu->mmu->tlbs[user];
	const struct soft_tlb_entry *entry = &tlb->entries[at];
	uint64_t tag = access == SOFT_WRITE ? entry->write
		: access == SOFT_READ       ? entry->read
					    : entry->exec;
	struct soft_mapping mapping;
	uint32_t error;

	if ((tag & ~SLOW) == (linear & SOFT_PAGE_MASK) && tag != NO_TAG)
		return tlb->info[at].gpa + (linear & 0xfff);
	error = soft_walk(cpu, linear, access, user, &mapping);
	if (error)
		page_fault(cpu, op, linear, error);
	fill(cpu, user, linear, &mapping);
	return mapping.gpa;
}

static uint64_t wrap(const struct soft_cpu *cpu, uint64_t linear)
{
	return soft_long_mode(cpu) ? linear : (uint32_t)linear;
}

/* ---- data ---- */

static void load(struct soft_cpu *cpu, const struct soft_op *op, unsigned user, uint64_t linear,
	uint8_t *out, unsigned size)
{
	unsigned first = (unsigned)MIN(SOFT_PAGE - (linear & 0xfff), (uint64_t)size);
	uint64_t gpa, gpa2;

	check_canonical(cpu, op, linear);
	gpa = translate(cpu, op, user, linear, SOFT_READ);
	if (likely(first == size)) {
		soft_phys_read(cpu, gpa, out, size);
		return;
	}
	check_canonical(cpu, op, linear + first);
	gpa2 = translate(cpu, op, user, wrap(cpu, linear + first), SOFT_READ);
	soft_phys_read(cpu, gpa, out, first);
	soft_phys_read(cpu, gpa2, out + first, size - first);
}

static void store(struct soft_cpu *cpu, const struct soft_op *op, unsigned user, uint64_t linear,
	const uint8_t *bytes, unsigned size)
{
	unsigned first = (unsigned)MIN(SOFT_PAGE - (linear & 0xfff), (uint64_t)size);
	uint64_t gpa, gpa2;

	check_canonical(cpu, op, linear);
	gpa = translate(cpu, op, user, linear, SOFT_WRITE);
	if (likely(first == size)) {
		soft_phys_write(cpu, gpa, bytes, size);
		return;
	}
	check_canonical(cpu, op, linear + first);
	gpa2 = translate(cpu, op, user, wrap(cpu, linear + first), SOFT_WRITE);
	soft_phys_write(cpu, gpa, bytes, first);
	soft_phys_write(cpu, gpa2, bytes + first, size - first);
}

/* Alignment checks (#AC), and what a debugger watches. */
static void check_access(struct soft_cpu *cpu, uint64_t linear, unsigned size, bool write)
{
	if (unlikely(soft_checks_alignment(cpu)) && size <= 8 && !(size & (size - 1)) &&
		(linear & (size - 1)))
		soft_raise_error(cpu, SOFT_AC_FAULT, 0);
	if (unlikely(cpu->debug & SOFT_DEBUG_DATA))
		soft_debug_access(cpu, linear, size, write);
}

void soft_load_slow(
	struct soft_cpu *cpu, const struct soft_op *op, uint64_t linear, void *out, unsigned size)
{
	cpu->op = op;
	linear = wrap(cpu, linear);
	check_access(cpu, linear, size, false);
	load(cpu, op, cpu->cpl == 3, linear, out, size);
}

void soft_store_slow(struct soft_cpu *cpu, const struct soft_op *op, uint64_t linear,
	const void *bytes, unsigned size)
{
	cpu->op = op;
	linear = wrap(cpu, linear);
	check_access(cpu, linear, size, true);
	store(cpu, op, cpu->cpl == 3, linear, bytes, size);
}

void soft_probe_write(
	struct soft_cpu *cpu, const struct soft_op *op, uint64_t linear, unsigned size)
{
	uint64_t last = wrap(cpu, linear + size - 1);

	linear = wrap(cpu, linear);
	check_canonical(cpu, op, linear);
	translate(cpu, op, cpu->cpl == 3, linear, SOFT_WRITE);
	if ((last ^ linear) & SOFT_PAGE_MASK) {
		check_canonical(cpu, op, last);
		translate(cpu, op, cpu->cpl == 3, last & SOFT_PAGE_MASK, SOFT_WRITE);
	}
}

void *soft_atomic_pointer(struct soft_cpu *cpu, const struct soft_op *op, uint64_t linear,
	unsigned size, uint64_t *gpa)
{
	const struct soft_tlb_entry *entry;
	uint64_t page;

	linear = wrap(cpu, linear);
	page = (linear + size - 1) & SOFT_PAGE_MASK;
	entry = soft_tlb_at(cpu, linear);
	if (unlikely(entry->write != page))
		soft_probe_write(cpu, op, linear, size);
	*gpa = SOFT_NO_GPA;
	if (likely(entry->write == page))
		return (void *)(entry->addend + linear);
	if (page != (linear & SOFT_PAGE_MASK))
		return NULL;
	check_access(cpu, linear, size, true);
	/* Memory whose writes are watched: atomic all the same. */
	*gpa = translate(cpu, op, cpu->cpl == 3, linear, SOFT_WRITE);
	return soft_phys_pointer(cpu, *gpa, size);
}

void soft_system_read(struct soft_cpu *cpu, uint64_t linear, void *out, unsigned size)
{
	load(cpu, cpu->op, 0, wrap(cpu, linear), out, size);
}

void soft_system_write(struct soft_cpu *cpu, uint64_t linear, const void *bytes, unsigned size)
{
	store(cpu, cpu->op, 0, wrap(cpu, linear), bytes, size);
}

/* ---- code ---- */

const uint8_t *soft_fetch_page(struct soft_cpu *cpu, uint64_t linear, uint64_t *gpa)
{
	unsigned user = cpu->cpl == 3;
	const struct soft_tlb *tlb = &cpu->mmu->tlbs[user];
	uint32_t at;

	linear = wrap(cpu, linear);
	at = (uint32_t)(linear >> 12) & (SOFT_TLB_SIZE - 1);
	*gpa = translate(cpu, cpu->op, user, linear, SOFT_EXEC) & SOFT_PAGE_MASK;
	if (!tlb->info[at].memory)
		return NULL;
	return (const uint8_t *)(tlb->entries[at].addend + (linear & SOFT_PAGE_MASK));
}

/* ---- with segments, outside of 64-bit mode ---- */

/* Whether an access of `size` bytes at offset is inside of the segment's limit. */
static bool inside_limit(const struct soft_seg *seg, uint64_t offset, unsigned size)
{
	uint64_t last = offset + size - 1;

	if ((seg->attr & (SOFT_ATTR_CODE | SOFT_ATTR_DOWN)) == SOFT_ATTR_DOWN)
		return offset > seg->limit &&
			last <= (seg->attr & SOFT_ATTR_DB ? 0xffffffffu : 0xffffu);
	return last <= seg->limit;
}

uint64_t soft_linear_checked(struct soft_cpu *cpu, const struct soft_op *op, unsigned name,
	uint64_t offset, unsigned size, bool write)
{
	const struct soft_seg *seg = &cpu->segs[name];
	bool ok = seg->attr & SOFT_ATTR_PRESENT;

	/* Real mode has no types. */
	if (soft_real_mode(cpu) || soft_v86(cpu))
		ok = true;
	else if (ok && write)
		ok = (seg->attr & (SOFT_ATTR_CODE | SOFT_ATTR_WRITABLE)) == SOFT_ATTR_WRITABLE;
	else if (ok)
		ok = (seg->attr & (SOFT_ATTR_CODE | SOFT_ATTR_WRITABLE)) != SOFT_ATTR_CODE;
	if (unlikely(!ok || !inside_limit(seg, offset, size))) {
		cpu->op = op;
		soft_raise_error(cpu, name == SOFT_SS ? SOFT_SS_FAULT : SOFT_GP, 0);
	}
	return (uint32_t)(seg->base + offset);
}

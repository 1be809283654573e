/* SPDX-License-Identifier: MIT */
/* The page walk: 2, 3 and 4 levels (Intel SDM vol. 3, chapter 4; AMD APM vol. 2, chapter 5). */
#include "core/util.h"
#include "hypervisor/soft_internal.h"

enum {
	PTE_PRESENT = 1 << 0,
	PTE_WRITE = 1 << 1,
	PTE_USER = 1 << 2,
	PTE_ACCESSED = 1 << 5,
	PTE_DIRTY = 1 << 6,
	PTE_LARGE = 1 << 7,
	PTE_GLOBAL = 1 << 8,
};
#define PTE_NX   (UINT64_C(1) << 63)
#define PTE_ADDR (SOFT_PHYS_MASK & SOFT_PAGE_MASK)
/* Address bits that this CPU does not have. */
#define PTE_RESERVED (UINT64_C(0x000fffffffffffff) & ~SOFT_PHYS_MASK)

enum {
	ERROR_PRESENT = 1 << 0,
	ERROR_WRITE = 1 << 1,
	ERROR_USER = 1 << 2,
	ERROR_RESERVED = 1 << 3,
	ERROR_FETCH = 1 << 4,
};

/* One entry on the way down. */
struct step {
	uint64_t gpa;
	uint64_t value;
	bool wide; /* 64 bits */
};

struct walk {
	struct soft_cpu *cpu;
	uint64_t linear;
	enum soft_access access;
	bool user;
	uint64_t rights; /* of all levels: PTE_WRITE and PTE_USER ANDed, PTE_NX ORed */
	uint64_t page_size;
	struct soft_span span; /* the last that was found: the next table is there, too, mostly */
};

static uint32_t fault(const struct walk *walk, uint32_t error)
{
	if (walk->access == SOFT_WRITE)
		error |= ERROR_WRITE;
	if (walk->user)
		error |= ERROR_USER;
	if (walk->access == SOFT_EXEC && (walk->cpu->efer & SOFT_EFER_NXE) &&
		(walk->cpu->cr4 & SOFT_CR4_PAE))
		error |= ERROR_FETCH;
	return error | 1u << 31;
}

static bool find_span(struct walk *walk, uint64_t gpa)
{
	if (likely(gpa - walk->span.gpa < walk->span.size))
		return true;
	if (soft_memory_find(walk->cpu->engine, gpa, &walk->span))
		return true;
	walk->span.size = 0;
	return false;
}

static void *entry_pointer(struct walk *walk, const struct step *step)
{
	if (!find_span(walk, step->gpa) || walk->span.log_dirty)
		return NULL;
	return walk->span.host + (step->gpa - walk->span.gpa);
}

static uint64_t read_entry(struct walk *walk, const struct step *step)
{
	const void *pointer = entry_pointer(walk, step);

	if (!pointer)
		return 0;
	return step->wide ? __atomic_load_n((const uint64_t *)pointer, __ATOMIC_RELAXED)
			  : __atomic_load_n((const uint32_t *)pointer, __ATOMIC_RELAXED);
}

/* Sets bits in an entry if it still is what was read. False: it changed, walk again. */
static bool mark_entry(struct walk *walk, const struct step *step, uint64_t bits)
{
	struct soft_cpu *cpu = walk->cpu;
	uint64_t wanted = step->value | bits;
	uint64_t was = step->value;
	uint32_t was32 = (uint32_t)was;
	void *pointer;
	bool done;

	if (wanted == step->value)
		return true;
	if (!find_span(walk, step->gpa) || walk->span.read_only)
		return true;
	pointer = walk->span.host + (step->gpa - walk->span.gpa);
	if (step->wide)
		done = __atomic_compare_exchange_n((uint64_t *)pointer, &was, wanted, false,
			__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	else
		done = __atomic_compare_exchange_n((uint32_t *)pointer, &was32, (uint32_t)wanted,
			false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	if (done && cpu->engine->code_map[(step->gpa & SOFT_PHYS_MASK) / SOFT_PAGE])
		soft_memory_written(cpu->engine, step->gpa, step->wide ? 8 : 4);
	return done;
}

static bool reserved_bits(const struct walk *walk, uint64_t entry, uint64_t more)
{
	if (!(walk->cpu->efer & SOFT_EFER_NXE))
		more |= PTE_NX;
	return entry & (PTE_RESERVED | more);
}

/* Whether the rights that all levels gave allow the access. */
static bool allowed(const struct walk *walk)
{
	if (walk->access == SOFT_EXEC && (walk->rights & PTE_NX))
		return false;
	if (walk->user && !(walk->rights & PTE_USER))
		return false;
	return walk->access != SOFT_WRITE || (walk->rights & PTE_WRITE) ||
		(!walk->user && !(walk->cpu->cr0 & SOFT_CR0_WP));
}

/* The last entry is found: checks, accessed and dirty bits, what is mapped. Returns 1 when the walk
 * is to be made again. */
static uint32_t finish(struct walk *walk, struct step *steps, unsigned count, uint64_t base,
	struct soft_mapping *mapping)
{
	struct step *last = &steps[count - 1];
	bool dirty = walk->access == SOFT_WRITE || (last->value & PTE_DIRTY);
	bool can_write = (walk->rights & PTE_WRITE) ||
		(!walk->user && !(walk->cpu->cr0 & SOFT_CR0_WP));

	if (!allowed(walk))
		return fault(walk, ERROR_PRESENT);
	for (unsigned i = 0; i + 1 < count; i++)
		if (!mark_entry(walk, &steps[i], PTE_ACCESSED))
			return 1;
	if (!mark_entry(walk, last,
		    PTE_ACCESSED | (walk->access == SOFT_WRITE ? (uint64_t)PTE_DIRTY : 0)))
		return 1;
	*mapping = (struct soft_mapping){
		.gpa = base + (walk->linear & (walk->page_size - 1)),
		.writable = can_write && dirty,
		.user = walk->rights & PTE_USER,
		.executable = !(walk->rights & PTE_NX),
		.global = (last->value & PTE_GLOBAL) && (walk->cpu->cr4 & SOFT_CR4_PGE),
		.large = walk->page_size > SOFT_PAGE,
	};
	return 0;
}

/* 4 KiB and 4 MiB pages. */
static uint32_t walk_32(struct walk *walk, struct soft_mapping *mapping)
{
	struct soft_cpu *cpu = walk->cpu;
	uint32_t linear = (uint32_t)walk->linear;
	struct step steps[2];
	uint64_t entry;

	walk->rights = PTE_WRITE | PTE_USER;
	steps[0] = (struct step){ .gpa = (cpu->cr3 & 0xfffff000u) + (linear >> 22) * 4 };
	entry = steps[0].value = read_entry(walk, &steps[0]);
	if (!(entry & PTE_PRESENT))
		return fault(walk, 0);
	walk->rights &= entry;
	if ((entry & PTE_LARGE) && (cpu->cr4 & SOFT_CR4_PSE)) {
		/* PSE-36: bits 13-20 are address bits 32-39; bit 21 is reserved. */
		if (entry & (1u << 21))
			return fault(walk, ERROR_PRESENT | ERROR_RESERVED);
		walk->page_size = 1u << 22;
		return finish(walk, steps, 1, (entry & 0xffc00000u) | ((entry >> 13) & 0xff) << 32,
			mapping);
	}
	steps[1] = (struct step){ .gpa = (entry & 0xfffff000u) + ((linear >> 12) & 0x3ff) * 4 };
	entry = steps[1].value = read_entry(walk, &steps[1]);
	if (!(entry & PTE_PRESENT))
		return fault(walk, 0);
	walk->rights &= entry;
	walk->page_size = SOFT_PAGE;
	return finish(walk, steps, 2, entry & 0xfffff000u, mapping);
}

/* From `level` (3: PML4, 2: PDPT, 1: PD, 0: PT) down. */
static uint32_t walk_64(struct walk *walk, uint64_t table, int level, struct soft_mapping *mapping)
{
	struct step steps[4];
	unsigned count = 0;

	walk->rights = PTE_WRITE | PTE_USER;
	for (;; level--) {
		unsigned shift = 12 + 9 * (unsigned)level;
		struct step *step = &steps[count++];
		uint64_t entry, more = 0;

		*step = (struct step){ .gpa = table + ((walk->linear >> shift) & 0x1ff) * 8,
			.wide = true };
		entry = step->value = read_entry(walk, step);
		if (!(entry & PTE_PRESENT))
			return fault(walk, 0);
		if (level == 3)
			more = PTE_LARGE;
		else if (level > 0 && (entry & PTE_LARGE))
			more = ((UINT64_C(1) << shift) - 1) & ~UINT64_C(0x1fff);
		if (reserved_bits(walk, entry, more))
			return fault(walk, ERROR_PRESENT | ERROR_RESERVED);
		walk->rights = (walk->rights & entry & ~PTE_NX) | ((walk->rights | entry) & PTE_NX);
		table = entry & PTE_ADDR;
		if (level > 0 && !(level < 3 && (entry & PTE_LARGE)))
			continue;
		walk->page_size = UINT64_C(1) << shift;
		return finish(walk, steps, count, table & ~(walk->page_size - 1), mapping);
	}
}

static uint32_t walk_pae(struct walk *walk, struct soft_mapping *mapping)
{
	uint64_t entry = walk->cpu->pdpte[(uint32_t)walk->linear >> 30];

	walk->linear = (uint32_t)walk->linear;
	if (!(entry & PTE_PRESENT))
		return fault(walk, 0);
	return walk_64(walk, entry & PTE_ADDR, 1, mapping);
}

bool soft_walk_load_pdptes(struct soft_cpu *cpu, uint64_t cr3)
{
	uint64_t entries[4];

	soft_phys_read(cpu, cr3 & 0xffffffe0u, entries, 16);
	soft_phys_read(cpu, (cr3 & 0xffffffe0u) + 16, entries + 2, 16);
	for (unsigned i = 0; i < 4; i++)
		if ((entries[i] & PTE_PRESENT) &&
			(entries[i] &
				(PTE_RESERVED | PTE_NX | UINT64_C(0x7ff0000000000000) | 0x1e6)))
			return false;
	memcpy(cpu->pdpte, entries, sizeof(entries));
	return true;
}

uint32_t soft_walk(struct soft_cpu *cpu, uint64_t linear, enum soft_access access, bool user,
	struct soft_mapping *mapping)
{
	struct walk walk = { .cpu = cpu, .access = access, .user = user };
	uint32_t error;

	if (!(cpu->cr0 & SOFT_CR0_PG)) {
		*mapping = (struct soft_mapping){
			.gpa = (uint32_t)linear, .writable = true, .user = true, .executable = true
		};
		return 0;
	}
	do {
		walk.linear = linear;
		if (soft_long_mode(cpu))
			error = walk_64(&walk, cpu->cr3 & PTE_ADDR, 3, mapping);
		else if (cpu->cr4 & SOFT_CR4_PAE)
			error = walk_pae(&walk, mapping);
		else
			error = walk_32(&walk, mapping);
	} while (error == 1);
	return error;
}

/* SPDX-License-Identifier: MIT */
/* Segments and descriptors (Intel SDM vol. 3, chapters 3 and 5), and what follows from the mode. */
#include "core/util.h"
#include "hypervisor/soft_internal.h"

void soft_update_mode(struct soft_cpu *cpu)
{
	uint32_t cs = cpu->segs[SOFT_CS].attr;
	uint32_t mode = 0;

	cpu->long64 = soft_long_mode(cpu) && (cs & SOFT_ATTR_L);
	if (cpu->long64) {
		mode = SOFT_MODE_64;
		cpu->segs[SOFT_CS].base = 0;
	} else {
		mode |= cs & SOFT_ATTR_DB ? SOFT_MODE_32 : 0;
		mode |= cpu->segs[SOFT_SS].attr & SOFT_ATTR_DB ? SOFT_MODE_SS32 : 0;
	}
	if (!soft_real_mode(cpu) && !soft_v86(cpu))
		mode |= SOFT_MODE_PE;
	if (!cpu->long64 && cpu->segs[SOFT_CS].limit != 0xffffffff &&
		cpu->segs[SOFT_CS].limit != 0xffff)
		mode |= SOFT_MODE_LIMIT;
	cpu->mode = mode;
	cpu->tlb = &cpu->mmu->tlbs[cpu->cpl == 3];
	if (unlikely((cpu->eflags & SOFT_AC) && (cpu->cr0 & SOFT_CR0_AM) && cpu->cpl == 3))
		cpu->tlb = &cpu->mmu->tlbs[2];
	soft_code_new_key(cpu, false);
}

void soft_set_cpl(struct soft_cpu *cpu, unsigned cpl)
{
	cpu->cpl = (uint8_t)cpl;
	soft_update_mode(cpu);
}

/* ---- descriptors ---- */

static bool table_of(const struct soft_cpu *cpu, uint16_t selector, uint64_t *at)
{
	const struct soft_seg *table = selector & 4 ? &cpu->ldt : &cpu->gdt;
	uint32_t offset = selector & ~7u;

	if ((selector & 4) && !(cpu->ldt.attr & SOFT_ATTR_PRESENT))
		return false;
	*at = table->base + offset;
	return offset + 7 <= table->limit;
}

bool soft_read_descriptor(
	struct soft_cpu *cpu, uint16_t selector, struct soft_descriptor *descriptor)
{
	uint64_t at;

	if (!table_of(cpu, selector, &at))
		return false;
	soft_system_read(cpu, at, descriptor, sizeof(*descriptor));
	return true;
}

void soft_unpack_segment(
	struct soft_seg *seg, uint16_t selector, const struct soft_descriptor *descriptor)
{
	uint32_t low = descriptor->low, high = descriptor->high;

	seg->selector = selector;
	seg->base = (low >> 16) | (high & 0xff) << 16 | (high & 0xff000000u);
	seg->limit = (low & 0xffff) | (high & 0xf0000);
	if (high & SOFT_ATTR_G)
		seg->limit = seg->limit << 12 | 0xfff;
	seg->attr = high & 0x00f0ff00;
}

void soft_mark_accessed(struct soft_cpu *cpu, uint16_t selector, struct soft_descriptor *descriptor)
{
	uint64_t at;

	if ((descriptor->high & SOFT_ATTR_ACCESSED) || !table_of(cpu, selector, &at))
		return;
	descriptor->high |= SOFT_ATTR_ACCESSED;
	soft_system_write(cpu, at + 4, &descriptor->high, 4);
}

/* ---- loading ---- */

void soft_set_real_segment(struct soft_cpu *cpu, unsigned name, uint16_t selector)
{
	struct soft_seg *seg = &cpu->segs[name];

	/* Limit and attributes stay ("unreal mode"), but in virtual-8086 mode they are fixed. */
	seg->selector = selector;
	seg->base = (uint32_t)selector << 4;
	if (soft_v86(cpu)) {
		seg->limit = 0xffff;
		seg->attr = SOFT_ATTR_PRESENT | SOFT_ATTR_S | SOFT_ATTR_WRITABLE |
			SOFT_ATTR_ACCESSED | 3u << SOFT_ATTR_DPL_SHIFT;
	}
	if (name == SOFT_CS || name == SOFT_SS)
		soft_update_mode(cpu);
}

void soft_check_ss(struct soft_cpu *cpu, uint16_t selector, unsigned cpl, enum soft_vector vector,
	struct soft_seg *out)
{
	uint32_t error = selector & ~3u, type = SOFT_ATTR_S | SOFT_ATTR_CODE | SOFT_ATTR_WRITABLE;
	struct soft_descriptor descriptor;

	if (error == 0 || !soft_read_descriptor(cpu, selector, &descriptor))
		soft_raise_error(cpu, vector, error);
	if ((selector & 3u) != cpl || soft_dpl(descriptor.high) != cpl ||
		(descriptor.high & type) != (SOFT_ATTR_S | SOFT_ATTR_WRITABLE))
		soft_raise_error(cpu, vector, error);
	if (!(descriptor.high & SOFT_ATTR_PRESENT))
		soft_raise_error(cpu, SOFT_SS_FAULT, error);
	soft_mark_accessed(cpu, selector, &descriptor);
	soft_unpack_segment(out, selector, &descriptor);
}

static void load_null(struct soft_cpu *cpu, unsigned name, uint16_t selector)
{
	if (name == SOFT_SS && !(cpu->long64 && cpu->cpl < 3 && (selector & 3) == cpu->cpl))
		soft_raise_error(cpu, SOFT_GP, 0);
	cpu->segs[name] = (struct soft_seg){ .selector = selector };
	if (name == SOFT_SS) {
		cpu->segs[name].attr = (uint32_t)cpu->cpl << SOFT_ATTR_DPL_SHIFT | SOFT_ATTR_DB;
		soft_update_mode(cpu);
	}
}

void soft_load_segment(struct soft_cpu *cpu, unsigned name, uint16_t selector)
{
	uint32_t error = selector & ~3u;
	struct soft_descriptor descriptor;

	if (soft_real_mode(cpu) || soft_v86(cpu)) {
		soft_set_real_segment(cpu, name, selector);
		return;
	}
	if (error == 0) {
		load_null(cpu, name, selector);
		return;
	}
	if (name == SOFT_SS) {
		struct soft_seg ss;

		soft_check_ss(cpu, selector, cpu->cpl, SOFT_GP, &ss);
		cpu->segs[SOFT_SS] = ss;
		soft_update_mode(cpu);
		return;
	}
	if (!soft_read_descriptor(cpu, selector, &descriptor) || !(descriptor.high & SOFT_ATTR_S) ||
		(descriptor.high & (SOFT_ATTR_CODE | SOFT_ATTR_WRITABLE)) == SOFT_ATTR_CODE)
		soft_raise_error(cpu, SOFT_GP, error);
	/* Only conforming code is for all levels. */
	if ((descriptor.high & (SOFT_ATTR_CODE | SOFT_ATTR_DOWN)) !=
			(SOFT_ATTR_CODE | SOFT_ATTR_DOWN) &&
		soft_dpl(descriptor.high) < MAX((unsigned)cpu->cpl, selector & 3u))
		soft_raise_error(cpu, SOFT_GP, error);
	if (!(descriptor.high & SOFT_ATTR_PRESENT))
		soft_raise_error(cpu, SOFT_NP, error);
	soft_mark_accessed(cpu, selector, &descriptor);
	soft_unpack_segment(&cpu->segs[name], selector, &descriptor);
}

void soft_load_cs(
	struct soft_cpu *cpu, uint16_t selector, struct soft_descriptor *descriptor, unsigned cpl)
{
	soft_mark_accessed(cpu, selector, descriptor);
	soft_unpack_segment(&cpu->segs[SOFT_CS], (uint16_t)((selector & ~3u) | cpl), descriptor);
	soft_set_cpl(cpu, cpl);
}

/* The stack pointer of a level, out of the present TSS. */
void soft_tss_stack(struct soft_cpu *cpu, unsigned level, uint16_t *ss, uint64_t *sp)
{
	bool wide = cpu->tr.attr & 0x800;
	uint32_t at = wide ? 4 + 8 * level : 2 + 4 * level;

	if (at + (wide ? 5 : 3) > cpu->tr.limit)
		soft_raise_error(cpu, SOFT_TS, cpu->tr.selector & ~3u);
	*sp = soft_system_load(cpu, cpu->tr.base + at, wide ? 4 : 2);
	*ss = (uint16_t)soft_system_load(cpu, cpu->tr.base + at + (wide ? 4 : 2), 2);
}

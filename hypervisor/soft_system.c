/* SPDX-License-Identifier: MIT */
/* System instructions: control and debug registers, descriptor tables, flags, HLT, MSRs, CPUID. */
#include "core/util.h"
#include "hypervisor/soft_ops.h"

static bool iopl_allows(const struct soft_cpu *cpu)
{
	return cpu->cpl <= ((cpu->eflags >> 12) & 3);
}

/* ---- CLI, STI, HLT, PUSHF, POPF ---- */

SOFT_OP_FUNCTION(soft_op_cli)
{
	if (unlikely(!iopl_allows(cpu))) {
		cpu->op = op;
		soft_raise_error(cpu, SOFT_GP, 0);
	}
	cpu->eflags &= ~(uint32_t)SOFT_IF;
	SOFT_NEXT;
}

/* The instruction after STI is not interrupted. It is in the same block, so that only an interrupt
 * that waits already needs care; or one that comes when the block ends here. */
SOFT_OP_FUNCTION(soft_op_sti)
{
	if (unlikely(!iopl_allows(cpu))) {
		cpu->op = op;
		soft_raise_error(cpu, SOFT_GP, 0);
	}
	if (unlikely(!(cpu->eflags & SOFT_IF) && (cpu->irq_waits || op[1].fn == soft_op_follow))) {
		cpu->eflags |= SOFT_IF;
		cpu->shadow = true;
		cpu->regs[SOFT_RIP] += op->next;
		soft_cpu_request(cpu, SOFT_REQUEST_STEP);
		return NULL;
	}
	cpu->eflags |= SOFT_IF;
	SOFT_NEXT;
}

SOFT_OP_FUNCTION(soft_op_hlt)
{
	cpu->op = op;
	if (cpu->cpl != 0)
		soft_raise_error(cpu, SOFT_GP, 0);
	cpu->regs[SOFT_RIP] += op->next;
	cpu->halted = true;
	soft_cpu_request(cpu, SOFT_REQUEST_STEP);
	return NULL;
}

static unsigned flags_size(const struct soft_cpu *cpu, const struct soft_op *op)
{
	return op->flags & SOFT_OP_O16 ? 2 : cpu->long64 ? 8 : 4;
}

static void check_v86(struct soft_cpu *cpu)
{
	if (soft_v86(cpu) && ((cpu->eflags >> 12) & 3) < 3)
		soft_raise_error(cpu, SOFT_GP, 0);
}

static void op_pushf(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t sp = cpu->regs[SOFT_RSP];

	check_v86(cpu);
	soft_push_at(
		cpu, &sp, flags_size(cpu, op), soft_eflags(cpu) & ~(uint32_t)(SOFT_RF | SOFT_VM));
	soft_stack_set(cpu, sp);
}

static void op_popf(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint32_t mask = SOFT_ARITH | SOFT_TF | SOFT_DF | SOFT_NT | SOFT_AC | SOFT_ID;
	uint32_t old = soft_eflags(cpu), flags;
	uint64_t sp = cpu->regs[SOFT_RSP];

	check_v86(cpu);
	flags = (uint32_t)soft_pop_at(cpu, &sp, flags_size(cpu, op));
	soft_stack_set(cpu, sp);
	if (iopl_allows(cpu))
		mask |= SOFT_IF;
	if (cpu->cpl == 0)
		mask |= SOFT_IOPL;
	if (op->flags & SOFT_OP_O16)
		mask &= 0xffff;
	soft_set_eflags(cpu, ((old & ~mask) | (flags & mask)) & ~(uint32_t)SOFT_RF);
}

/* ---- control registers ---- */

void soft_write_cr0(struct soft_cpu *cpu, uint64_t value)
{
	uint64_t old = cpu->cr0;

	value = (value &
			(SOFT_CR0_PE | SOFT_CR0_MP | SOFT_CR0_EM | SOFT_CR0_TS | SOFT_CR0_NE |
				SOFT_CR0_WP | SOFT_CR0_AM | SOFT_CR0_PG | 0x60000000u)) |
		SOFT_CR0_ET;
	if (((value & SOFT_CR0_PG) && !(value & SOFT_CR0_PE)) ||
		((value & 0x20000000u) && !(value & 0x40000000u)))
		soft_raise_error(cpu, SOFT_GP, 0);
	if ((value & ~old & SOFT_CR0_PG) && (cpu->efer & SOFT_EFER_LME)) {
		if (!(cpu->cr4 & SOFT_CR4_PAE) || (cpu->segs[SOFT_CS].attr & SOFT_ATTR_L))
			soft_raise_error(cpu, SOFT_GP, 0);
		cpu->efer |= SOFT_EFER_LMA;
	} else if (old & ~value & SOFT_CR0_PG) {
		if (cpu->long64)
			soft_raise_error(cpu, SOFT_GP, 0);
		cpu->efer &= ~(uint64_t)SOFT_EFER_LMA;
	}
	if ((value & SOFT_CR0_PG) && (cpu->cr4 & SOFT_CR4_PAE) && !soft_long_mode(cpu) &&
		!soft_walk_load_pdptes(cpu, cpu->cr3))
		soft_raise_error(cpu, SOFT_GP, 0);
	cpu->cr0 = value;
	if ((old ^ value) & (SOFT_CR0_PG | SOFT_CR0_WP | SOFT_CR0_PE))
		soft_tlb_flush(cpu, true);
	soft_update_mode(cpu);
}

void soft_write_cr3(struct soft_cpu *cpu, uint64_t value)
{
	if (soft_long_mode(cpu)) {
		if (value & ~(SOFT_PHYS_MASK))
			soft_raise_error(cpu, SOFT_GP, 0);
	} else {
		value = (uint32_t)value;
		if ((cpu->cr0 & SOFT_CR0_PG) && (cpu->cr4 & SOFT_CR4_PAE) &&
			!soft_walk_load_pdptes(cpu, value))
			soft_raise_error(cpu, SOFT_GP, 0);
	}
	cpu->cr3 = value;
	soft_tlb_flush(cpu, false);
}

void soft_write_cr4(struct soft_cpu *cpu, uint64_t value)
{
	const uint64_t known = SOFT_CR4_VME | 2 /* PVI */ | SOFT_CR4_TSD | SOFT_CR4_DE |
		SOFT_CR4_PSE | SOFT_CR4_PAE | SOFT_CR4_MCE | SOFT_CR4_PGE | SOFT_CR4_PCE |
		SOFT_CR4_OSFXSR | SOFT_CR4_OSXMMEXCPT | SOFT_CR4_OSXSAVE;
	uint64_t old = cpu->cr4;

	if ((value & ~known) || (soft_long_mode(cpu) && !(value & SOFT_CR4_PAE)))
		soft_raise_error(cpu, SOFT_GP, 0);
	if ((value & ~old & SOFT_CR4_PAE) && (cpu->cr0 & SOFT_CR0_PG) && !soft_long_mode(cpu) &&
		!soft_walk_load_pdptes(cpu, cpu->cr3))
		soft_raise_error(cpu, SOFT_GP, 0);
	cpu->cr4 = value;
	if ((old ^ value) & SOFT_CR4_DE)
		soft_debug_update(cpu);
	if ((old ^ value) & (SOFT_CR4_PSE | SOFT_CR4_PAE | SOFT_CR4_PGE))
		soft_tlb_flush(cpu, true);
}

static void op_mov_from_cr(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = cpu->long64 ? 8 : 4;
	uint64_t value;

	switch (op->reg) {
	case 0: value = cpu->cr0; break;
	case 2: value = cpu->cr2; break;
	case 3: value = cpu->cr3; break;
	case 4: value = cpu->cr4; break;
	case 8: value = soft_irq_cr8(cpu->engine->chips, cpu->index); break;
	default: soft_raise(cpu, SOFT_UD);
	}
	soft_write_reg(cpu, op->rm, size, value);
}

static void op_mov_to_cr(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t value = soft_read_reg(cpu, op->rm, cpu->long64 ? 8 : 4);

	switch (op->reg) {
	case 0:
		if (value >> 32)
			soft_raise_error(cpu, SOFT_GP, 0);
		soft_write_cr0(cpu, value);
		break;
	case 2: cpu->cr2 = value; break;
	case 3: soft_write_cr3(cpu, value); break;
	case 4: soft_write_cr4(cpu, value); break;
	case 8:
		if (value > 15)
			soft_raise_error(cpu, SOFT_GP, 0);
		soft_irq_set_cr8(cpu->engine->chips, cpu->index, value);
		break;
	default: soft_raise(cpu, SOFT_UD);
	}
}

/* MOV to and from CR ignores ModRM's mod: registers always. */
static void op_clts(struct soft_cpu *cpu, const struct soft_op *op)
{
	cpu->cr0 &= ~(uint64_t)SOFT_CR0_TS;
}

static void op_smsw(struct soft_cpu *cpu, const struct soft_op *op)
{
	soft_write_rm(cpu, op, op->flags & SOFT_OP_MEM ? 2 : soft_operand_size(op), cpu->cr0);
}

static void op_lmsw(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t value = soft_read_rm(cpu, op, 2) & 15;

	/* PE can be set this way, not cleared. */
	soft_write_cr0(cpu, (cpu->cr0 & ~UINT64_C(14)) | value);
}

/* ---- descriptor tables ---- */

static void store_table(
	struct soft_cpu *cpu, const struct soft_op *op, const struct soft_seg *table)
{
	unsigned size = cpu->long64 ? 8 : 4;
	uint64_t linear = soft_operand(cpu, op, size + 2, true);

	soft_probe_write(cpu, op, linear, size + 2);
	soft_store16(cpu, op, linear, (uint16_t)table->limit);
	/* Two bytes at a time: the address need not be aligned better. */
	for (unsigned i = 0; i < size; i += 2)
		soft_store16(cpu, op, linear + 2 + i, (uint16_t)(table->base >> 8 * i));
}

static void load_table(struct soft_cpu *cpu, const struct soft_op *op, struct soft_seg *table)
{
	unsigned size = cpu->long64 ? 8 : 4;
	uint64_t linear = soft_operand(cpu, op, size + 2, false);
	uint16_t limit = soft_load16(cpu, op, linear);
	uint64_t base = soft_load(cpu, op, linear + 2, size);

	if (cpu->long64 && !soft_canonical(base))
		soft_raise_error(cpu, SOFT_GP, 0);
	if (op->flags & SOFT_OP_O16 && !cpu->long64)
		base &= 0xffffff;
	table->limit = limit;
	table->base = base;
}

static void op_sgdt(struct soft_cpu *cpu, const struct soft_op *op)
{
	store_table(cpu, op, &cpu->gdt);
}
static void op_sidt(struct soft_cpu *cpu, const struct soft_op *op)
{
	store_table(cpu, op, &cpu->idt);
}
static void op_lgdt(struct soft_cpu *cpu, const struct soft_op *op)
{
	load_table(cpu, op, &cpu->gdt);
}
static void op_lidt(struct soft_cpu *cpu, const struct soft_op *op)
{
	load_table(cpu, op, &cpu->idt);
}

static void need_protected(struct soft_cpu *cpu)
{
	if (soft_real_mode(cpu) || soft_v86(cpu))
		soft_raise(cpu, SOFT_UD);
}

/* LDT or TSS: a system descriptor, of 16 bytes in long mode. */
static void load_system(struct soft_cpu *cpu, uint16_t selector, bool task, struct soft_seg *out)
{
	uint32_t error = selector & ~3u, type;
	struct soft_descriptor descriptor, upper;

	if ((selector & 4) || !soft_read_descriptor(cpu, selector, &descriptor))
		soft_raise_error(cpu, SOFT_GP, error);
	type = (descriptor.high >> 8) & 0x1f;
	if (task ? type != 9 && (type != 1 || soft_long_mode(cpu)) : type != 2)
		soft_raise_error(cpu, SOFT_GP, error);
	if (!(descriptor.high & SOFT_ATTR_PRESENT))
		soft_raise_error(cpu, SOFT_NP, error);
	soft_unpack_segment(out, selector, &descriptor);
	if (soft_long_mode(cpu)) {
		if (!soft_read_descriptor(cpu, (uint16_t)(selector + 8), &upper))
			soft_raise_error(cpu, SOFT_GP, error);
		out->base |= (uint64_t)upper.low << 32;
		if (!soft_canonical(out->base))
			soft_raise_error(cpu, SOFT_GP, error);
	}
	if (task) {
		descriptor.high |= 0x200; /* busy */
		soft_system_write(cpu, cpu->gdt.base + (selector & ~7u) + 4, &descriptor.high, 4);
		out->attr |= 0x200;
	}
}

static void op_lldt(struct soft_cpu *cpu, const struct soft_op *op)
{
	struct soft_seg seg = { 0 };
	uint16_t selector;

	need_protected(cpu);
	if (cpu->cpl != 0)
		soft_raise_error(cpu, SOFT_GP, 0);
	selector = (uint16_t)soft_read_rm(cpu, op, 2);
	seg.selector = selector;
	if (selector & ~3u)
		load_system(cpu, selector, false, &seg);
	cpu->ldt = seg;
}

static void op_ltr(struct soft_cpu *cpu, const struct soft_op *op)
{
	struct soft_seg seg;
	uint16_t selector;

	need_protected(cpu);
	if (cpu->cpl != 0)
		soft_raise_error(cpu, SOFT_GP, 0);
	selector = (uint16_t)soft_read_rm(cpu, op, 2);
	if ((selector & ~3u) == 0)
		soft_raise_error(cpu, SOFT_GP, 0);
	load_system(cpu, selector, true, &seg);
	cpu->tr = seg;
}

static void op_sldt(struct soft_cpu *cpu, const struct soft_op *op)
{
	need_protected(cpu);
	soft_write_rm(
		cpu, op, op->flags & SOFT_OP_MEM ? 2 : soft_operand_size(op), cpu->ldt.selector);
}

static void op_str(struct soft_cpu *cpu, const struct soft_op *op)
{
	need_protected(cpu);
	soft_write_rm(
		cpu, op, op->flags & SOFT_OP_MEM ? 2 : soft_operand_size(op), cpu->tr.selector);
}

/* LAR, LSL, VERR, VERW: may this level look at the segment? */
static bool visible(
	struct soft_cpu *cpu, uint16_t selector, struct soft_descriptor *out, uint32_t system_types)
{
	if ((selector & ~3u) == 0 || !soft_read_descriptor(cpu, selector, out))
		return false;
	if (!(out->high & SOFT_ATTR_S) && !((system_types >> ((out->high >> 8) & 15)) & 1))
		return false;
	if ((out->high & (SOFT_ATTR_S | SOFT_ATTR_CODE | SOFT_ATTR_DOWN)) ==
		(SOFT_ATTR_S | SOFT_ATTR_CODE | SOFT_ATTR_DOWN))
		return true;
	return soft_dpl(out->high) >= MAX((unsigned)cpu->cpl, selector & 3u);
}

static void set_zero_flag(struct soft_cpu *cpu, bool on)
{
	cpu->cc = (uint16_t)(on ? cpu->cc | SOFT_CC_Z : cpu->cc & ~SOFT_CC_Z);
}

static void op_lar(struct soft_cpu *cpu, const struct soft_op *op)
{
	/* TSS, LDT, gates but interrupt and trap gates. */
	uint32_t types = soft_long_mode(cpu) ? 0x1a04 : 0x1a3e;
	struct soft_descriptor descriptor;
	bool ok;

	need_protected(cpu);
	ok = visible(cpu, (uint16_t)soft_read_rm(cpu, op, 2), &descriptor, types);
	set_zero_flag(cpu, ok);
	if (ok)
		soft_write_reg(cpu, op->reg, soft_operand_size(op), descriptor.high & 0x00ffff00);
}

static void op_lsl(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint32_t types = soft_long_mode(cpu) ? 0x0a04 : 0x0a0e;
	struct soft_descriptor descriptor;
	struct soft_seg seg;
	bool ok;

	need_protected(cpu);
	ok = visible(cpu, (uint16_t)soft_read_rm(cpu, op, 2), &descriptor, types);
	set_zero_flag(cpu, ok);
	if (!ok)
		return;
	soft_unpack_segment(&seg, 0, &descriptor);
	soft_write_reg(cpu, op->reg, soft_operand_size(op), seg.limit);
}

static void op_verr(struct soft_cpu *cpu, const struct soft_op *op)
{
	struct soft_descriptor descriptor;
	bool ok;

	need_protected(cpu);
	ok = visible(cpu, (uint16_t)soft_read_rm(cpu, op, 2), &descriptor, 0) &&
		(descriptor.high & (SOFT_ATTR_CODE | SOFT_ATTR_WRITABLE)) != SOFT_ATTR_CODE;
	set_zero_flag(cpu, ok);
}

static void op_verw(struct soft_cpu *cpu, const struct soft_op *op)
{
	struct soft_descriptor descriptor;
	bool ok;

	need_protected(cpu);
	ok = visible(cpu, (uint16_t)soft_read_rm(cpu, op, 2), &descriptor, 0) &&
		(descriptor.high & (SOFT_ATTR_CODE | SOFT_ATTR_WRITABLE)) == SOFT_ATTR_WRITABLE;
	set_zero_flag(cpu, ok);
}

/* ---- caches, translation, time, identity ---- */

static void op_invlpg(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t linear = soft_ea(cpu, op);

	if (!cpu->long64)
		linear = (uint32_t)(linear + cpu->segs[op->seg].base);
	else if (op->seg >= SOFT_FS)
		linear += cpu->segs[op->seg].base;
	soft_tlb_flush_page(cpu, linear);
}

static void op_nothing(struct soft_cpu *cpu, const struct soft_op *op)
{
}

static void op_swapgs(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t base = cpu->segs[SOFT_GS].base;

	if (!cpu->long64)
		soft_raise(cpu, SOFT_UD);
	if (cpu->cpl != 0)
		soft_raise_error(cpu, SOFT_GP, 0);
	cpu->segs[SOFT_GS].base = cpu->kernel_gs_base;
	cpu->kernel_gs_base = base;
}

static void read_tsc(struct soft_cpu *cpu)
{
	uint64_t tsc;

	if ((cpu->cr4 & SOFT_CR4_TSD) && cpu->cpl != 0)
		soft_raise_error(cpu, SOFT_GP, 0);
	tsc = soft_tsc(cpu);
	cpu->regs[SOFT_RAX] = (uint32_t)tsc;
	cpu->regs[SOFT_RDX] = tsc >> 32;
}

static void op_rdtsc(struct soft_cpu *cpu, const struct soft_op *op)
{
	read_tsc(cpu);
}

static void op_rdtscp(struct soft_cpu *cpu, const struct soft_op *op)
{
	read_tsc(cpu);
	cpu->regs[SOFT_RCX] = (uint32_t)cpu->tsc_aux;
}

static void op_rdpmc(struct soft_cpu *cpu, const struct soft_op *op)
{
	soft_raise_error(cpu, SOFT_GP, 0);
}

static void op_cpuid(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint32_t out[4];

	soft_cpuid(cpu, soft_get32(cpu, SOFT_RAX), soft_get32(cpu, SOFT_RCX), out);
	soft_set32(cpu, SOFT_RAX, out[0]);
	soft_set32(cpu, SOFT_RBX, out[1]);
	soft_set32(cpu, SOFT_RCX, out[2]);
	soft_set32(cpu, SOFT_RDX, out[3]);
}

static void op_rdmsr(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t value = 0;

	if (soft_msr_read(cpu, soft_get32(cpu, SOFT_RCX), &value))
		soft_raise_error(cpu, SOFT_GP, 0);
	cpu->regs[SOFT_RAX] = (uint32_t)value;
	cpu->regs[SOFT_RDX] = value >> 32;
}

static void op_wrmsr(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t value = soft_get32(cpu, SOFT_RAX) | cpu->regs[SOFT_RDX] << 32;

	if (soft_msr_write(cpu, soft_get32(cpu, SOFT_RCX), value))
		soft_raise_error(cpu, SOFT_GP, 0);
}

#define KERNEL     SOFT_ROW_KERNEL
#define KERNEL_END (SOFT_ROW_KERNEL | SOFT_ROW_END)
#define PLAIN(map, opcode, flags, function)                                   \
	{                                                                     \
		map, opcode, SOFT_P_ANY, SOFT_ANY, SOFT_ANY, SOFT_CLASS_NONE, \
			SOFT_ROW_NO_MODRM | (flags), function                 \
	}
#define GROUP(opcode, extension, flags, function)                                             \
	{                                                                                     \
		SOFT_MAP_0F, opcode, SOFT_P_ANY, extension, SOFT_ANY, SOFT_CLASS_NONE, flags, \
			function                                                              \
	}
#define EXACT(opcode, extension, rm, flags, function)                            \
	{                                                                        \
		SOFT_MAP_0F, opcode, SOFT_P_ANY, extension, rm, SOFT_CLASS_NONE, \
			SOFT_ROW_REG | (flags), function                         \
	}

static const struct soft_row rows[] = {
	PLAIN(SOFT_MAP_1, 0x9c, 0, op_pushf),
	PLAIN(SOFT_MAP_1, 0x9d, SOFT_ROW_END, op_popf),
	GROUP(0x00, 0, 0, op_sldt),
	GROUP(0x00, 1, 0, op_str),
	GROUP(0x00, 2, 0, op_lldt),
	GROUP(0x00, 3, 0, op_ltr),
	GROUP(0x00, 4, 0, op_verr),
	GROUP(0x00, 5, 0, op_verw),
	GROUP(0x01, 0, SOFT_ROW_MEM, op_sgdt),
	GROUP(0x01, 1, SOFT_ROW_MEM, op_sidt),
	GROUP(0x01, 2, SOFT_ROW_MEM | KERNEL, op_lgdt),
	GROUP(0x01, 3, SOFT_ROW_MEM | KERNEL, op_lidt),
	GROUP(0x01, 4, 0, op_smsw),
	GROUP(0x01, 6, KERNEL_END, op_lmsw),
	GROUP(0x01, 7, SOFT_ROW_MEM | KERNEL_END, op_invlpg),
	EXACT(0x01, 7, 0, 0, op_swapgs),
	EXACT(0x01, 7, 1, 0, op_rdtscp),
	GROUP(0x02, SOFT_ANY, 0, op_lar),
	GROUP(0x03, SOFT_ANY, 0, op_lsl),
	PLAIN(SOFT_MAP_0F, 0x06, KERNEL, op_clts),
	PLAIN(SOFT_MAP_0F, 0x08, KERNEL, op_nothing),
	PLAIN(SOFT_MAP_0F, 0x09, KERNEL, op_nothing),
	GROUP(0x20, SOFT_ANY, KERNEL | SOFT_ROW_REG, op_mov_from_cr),
	GROUP(0x21, SOFT_ANY, KERNEL | SOFT_ROW_REG, soft_op_mov_from_dr),
	GROUP(0x22, SOFT_ANY, KERNEL_END | SOFT_ROW_REG, op_mov_to_cr),
	GROUP(0x23, SOFT_ANY, KERNEL_END | SOFT_ROW_REG, soft_op_mov_to_dr),
	PLAIN(SOFT_MAP_0F, 0x30, KERNEL_END, op_wrmsr),
	PLAIN(SOFT_MAP_0F, 0x31, 0, op_rdtsc),
	PLAIN(SOFT_MAP_0F, 0x32, KERNEL, op_rdmsr),
	PLAIN(SOFT_MAP_0F, 0x33, 0, op_rdpmc),
	PLAIN(SOFT_MAP_0F, 0xa2, 0, op_cpuid),
};

const struct soft_table soft_system_table = { rows, ARRAY_SIZE(rows) };

/* SPDX-License-Identifier: MIT */
/* Far jumps, calls and returns, software interrupts, IRET, system calls, segment registers. */
#include "core/util.h"
#include "hypervisor/soft_internal.h"

static uint32_t offset_mask(unsigned size)
{
	return size == 2 ? 0xffff : 0xffffffff;
}

static bool flat_modes(const struct soft_cpu *cpu)
{
	return soft_real_mode(cpu) || soft_v86(cpu);
}

static uint64_t next_rip(const struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t rip = cpu->regs[SOFT_RIP] + op->next;

	return cpu->long64 ? rip : (uint32_t)rip;
}

/* ---- JMP and CALL ---- */

enum { TSS16 = 1, CALL_GATE16 = 4, TSS = 9, CALL_GATE = 12 };

struct target {
	uint16_t selector;
	uint64_t offset;
	struct soft_descriptor code;
	unsigned cpl;
};

/* Checks a code segment that a jump or call leads to directly. */
static void check_direct(struct soft_cpu *cpu, struct target *target)
{
	uint32_t error = target->selector & ~3u, high = target->code.high;
	unsigned rpl = target->selector & 3, dpl = soft_dpl(high);

	if (!(high & SOFT_ATTR_CODE))
		soft_raise_error(cpu, SOFT_GP, error);
	if (high & SOFT_ATTR_DOWN ? dpl > cpu->cpl : rpl > cpu->cpl || dpl != cpu->cpl)
		soft_raise_error(cpu, SOFT_GP, error);
	if (soft_long_mode(cpu) &&
		(high & (SOFT_ATTR_L | SOFT_ATTR_DB)) == (SOFT_ATTR_L | SOFT_ATTR_DB))
		soft_raise_error(cpu, SOFT_GP, error);
	if (!(high & SOFT_ATTR_PRESENT))
		soft_raise_error(cpu, SOFT_NP, error);
	target->cpl = cpu->cpl;
}

/* Follows a call gate: its code segment and offset. */
static void check_gate(struct soft_cpu *cpu, struct target *target, bool call, bool *wide)
{
	struct soft_descriptor gate = target->code;
	uint32_t error = target->selector & ~3u;
	unsigned rpl = target->selector & 3, dpl;
	uint64_t high = 0;

	if (soft_dpl(gate.high) < MAX((unsigned)cpu->cpl, rpl))
		soft_raise_error(cpu, SOFT_GP, error);
	if (!(gate.high & SOFT_ATTR_PRESENT))
		soft_raise_error(cpu, SOFT_NP, error);
	if (soft_long_mode(cpu)) {
		struct soft_descriptor upper;

		if (!soft_read_descriptor(cpu, (uint16_t)(target->selector + 8), &upper) ||
			(upper.high & 0x1f00))
			soft_raise_error(cpu, SOFT_GP, error);
		high = upper.low;
	}
	*wide = ((gate.high >> 8) & 15) == CALL_GATE;
	target->selector = (uint16_t)(gate.low >> 16);
	target->offset = (gate.low & 0xffff) | (gate.high & 0xffff0000u) | high << 32;
	if (!*wide)
		target->offset &= 0xffff;
	error = target->selector & ~3u;
	if (error == 0)
		soft_raise_error(cpu, SOFT_GP, 0);
	if (!soft_read_descriptor(cpu, target->selector, &target->code))
		soft_raise_error(cpu, SOFT_GP, error);
	dpl = soft_dpl(target->code.high);
	if ((target->code.high & (SOFT_ATTR_S | SOFT_ATTR_CODE)) !=
			(SOFT_ATTR_S | SOFT_ATTR_CODE) ||
		dpl > cpu->cpl)
		soft_raise_error(cpu, SOFT_GP, error);
	if (soft_long_mode(cpu) &&
		(target->code.high & (SOFT_ATTR_L | SOFT_ATTR_DB)) != SOFT_ATTR_L)
		soft_raise_error(cpu, SOFT_GP, error);
	if (!(target->code.high & SOFT_ATTR_PRESENT))
		soft_raise_error(cpu, SOFT_NP, error);
	target->cpl = target->code.high & SOFT_ATTR_DOWN || !call ? cpu->cpl : dpl;
	if (!call && !(target->code.high & SOFT_ATTR_DOWN) && dpl != cpu->cpl)
		soft_raise_error(cpu, SOFT_GP, error);
}

/* A call through a gate to an inner level: a stack out of the TSS, with the parameters copied. */
static void call_inner(struct soft_cpu *cpu, struct target *target, unsigned count, bool wide)
{
	unsigned size = soft_long_mode(cpu) ? 8 : wide ? 4 : 2;
	struct soft_frame frame = { .mask = UINT64_MAX };
	struct soft_seg ss = { .selector = (uint16_t)target->cpl,
		.attr = target->cpl << SOFT_ATTR_DPL_SHIFT | SOFT_ATTR_DB };
	uint64_t old_sp = cpu->regs[SOFT_RSP] & soft_stack_mask(cpu), parameters[32];
	uint64_t at = old_sp;

	if (size == 8) {
		frame.sp = soft_system_load(cpu, cpu->tr.base + 4 + 8 * target->cpl, 8);
	} else {
		uint16_t selector;

		soft_tss_stack(cpu, target->cpl, &selector, &frame.sp);
		soft_check_ss(cpu, selector, target->cpl, SOFT_TS, &ss);
		frame.base = ss.base;
		frame.mask = ss.attr & SOFT_ATTR_DB ? 0xffffffff : 0xffff;
	}
	if (size == 8)
		count = 0;
	for (unsigned i = 0; i < count; i++)
		parameters[i] = soft_pop_at(cpu, &at, size);
	soft_frame_push(cpu, &frame, size, cpu->segs[SOFT_SS].selector);
	soft_frame_push(cpu, &frame, size, old_sp);
	for (unsigned i = count; i > 0; i--)
		soft_frame_push(cpu, &frame, size, parameters[i - 1]);
	soft_frame_push(cpu, &frame, size, cpu->segs[SOFT_CS].selector);
	soft_frame_push(cpu, &frame, size, next_rip(cpu, cpu->op));
	cpu->segs[SOFT_SS] = ss;
	soft_load_cs(cpu, target->selector, &target->code, target->cpl);
	if (size == 8)
		cpu->regs[SOFT_RSP] = frame.sp;
	else
		soft_stack_set(cpu, frame.sp);
	cpu->regs[SOFT_RIP] = target->offset;
}

static void push_return(struct soft_cpu *cpu, unsigned size)
{
	uint64_t sp = cpu->regs[SOFT_RSP];

	soft_push_at(cpu, &sp, size, cpu->segs[SOFT_CS].selector);
	soft_push_at(cpu, &sp, size, next_rip(cpu, cpu->op));
	soft_stack_set(cpu, sp);
}

static void through_gate(struct soft_cpu *cpu, struct target *target, bool call)
{
	unsigned count = target->code.high & 31;
	bool wide;

	check_gate(cpu, target, call, &wide);
	soft_mark_accessed(cpu, target->selector, &target->code);
	if (call && target->cpl < cpu->cpl) {
		call_inner(cpu, target, count, wide);
		return;
	}
	if (call)
		push_return(cpu, soft_long_mode(cpu) ? 8 : wide ? 4 : 2);
	soft_load_cs(cpu, target->selector, &target->code, target->cpl);
	cpu->regs[SOFT_RIP] = target->offset;
}

static void switch_task(struct soft_cpu *cpu, uint16_t selector, enum soft_task_kind kind)
{
	struct soft_task task = {
		.kind = kind,
		.selector = selector,
		.rip = next_rip(cpu, cpu->op),
		.flags = soft_eflags(cpu),
	};

	soft_task_switch(cpu, &task);
}

static void far_transfer(
	struct soft_cpu *cpu, uint16_t selector, uint64_t offset, unsigned size, bool call)
{
	struct target target = { .selector = selector, .offset = offset };
	uint32_t error = selector & ~3u;
	unsigned type;

	if (flat_modes(cpu)) {
		if (call)
			push_return(cpu, size);
		soft_set_real_segment(cpu, SOFT_CS, selector);
		cpu->regs[SOFT_RIP] = offset & offset_mask(size);
		return;
	}
	if (error == 0)
		soft_raise_error(cpu, SOFT_GP, 0);
	if (!soft_read_descriptor(cpu, selector, &target.code))
		soft_raise_error(cpu, SOFT_GP, error);
	if (target.code.high & SOFT_ATTR_S) {
		check_direct(cpu, &target);
		soft_mark_accessed(cpu, selector, &target.code);
		if (call)
			push_return(cpu, size);
		soft_load_cs(cpu, selector, &target.code, cpu->cpl);
		cpu->regs[SOFT_RIP] = cpu->long64 ? offset : offset & offset_mask(size);
		return;
	}
	type = (target.code.high >> 8) & 15;
	if (type == CALL_GATE || (type == CALL_GATE16 && !soft_long_mode(cpu)))
		through_gate(cpu, &target, call);
	else if (!soft_long_mode(cpu) &&
		(type == TSS || type == TSS16 || type == SOFT_TYPE_TASK_GATE))
		switch_task(cpu, selector, call ? SOFT_TASK_CALL : SOFT_TASK_JUMP);
	else
		soft_raise_error(cpu, SOFT_GP, error);
}

static void op_far_direct(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint16_t selector = (uint16_t)(op->index | op->scale << 8);

	far_transfer(cpu, selector, (uint32_t)op->disp, soft_operand_size(op), op->rm == 0x9a);
}

static void far_indirect(struct soft_cpu *cpu, const struct soft_op *op, bool call)
{
	unsigned size = soft_operand_size(op);
	uint64_t linear = soft_operand(cpu, op, size + 2, false);
	uint64_t offset = soft_load(cpu, op, linear, size);

	far_transfer(cpu, soft_load16(cpu, op, linear + size), offset, size, call);
}

static void op_far_call(struct soft_cpu *cpu, const struct soft_op *op)
{
	far_indirect(cpu, op, true);
}
static void op_far_jump(struct soft_cpu *cpu, const struct soft_op *op)
{
	far_indirect(cpu, op, false);
}

/* ---- RETF and IRET ---- */

struct back {
	uint64_t rip, sp;
	uint16_t cs, ss;
	uint32_t flags;
	struct soft_descriptor code;
	struct soft_seg stack;
};

/* The code segment that is returned to. */
static void check_return(struct soft_cpu *cpu, struct back *back)
{
	uint32_t error = back->cs & ~3u;
	unsigned rpl = back->cs & 3, dpl;

	if (error == 0)
		soft_raise_error(cpu, SOFT_GP, 0);
	if (!soft_read_descriptor(cpu, back->cs, &back->code))
		soft_raise_error(cpu, SOFT_GP, error);
	dpl = soft_dpl(back->code.high);
	if ((back->code.high & (SOFT_ATTR_S | SOFT_ATTR_CODE)) != (SOFT_ATTR_S | SOFT_ATTR_CODE) ||
		rpl < cpu->cpl || (back->code.high & SOFT_ATTR_DOWN ? dpl > rpl : dpl != rpl))
		soft_raise_error(cpu, SOFT_GP, error);
	if (!(back->code.high & SOFT_ATTR_PRESENT))
		soft_raise_error(cpu, SOFT_NP, error);
	soft_mark_accessed(cpu, back->cs, &back->code);
}

/* The stack segment of an outer level; it may be null when 64-bit code is returned to. */
static void check_outer_stack(struct soft_cpu *cpu, struct back *back)
{
	unsigned rpl = back->cs & 3;

	if ((back->ss & ~3u) == 0 && soft_long_mode(cpu) && (back->code.high & SOFT_ATTR_L) &&
		rpl < 3 && (back->ss & 3) == rpl)
		back->stack = (struct soft_seg){ .selector = back->ss,
			.attr = rpl << SOFT_ATTR_DPL_SHIFT | SOFT_ATTR_DB };
	else
		soft_check_ss(cpu, back->ss, rpl, SOFT_GP, &back->stack);
}

/* Data segments that the outer level may not use become null. */
static void drop_segments(struct soft_cpu *cpu, unsigned cpl)
{
	for (unsigned i = 0; i < SOFT_SEGS; i++) {
		struct soft_seg *seg = &cpu->segs[i];

		if (i == SOFT_CS || i == SOFT_SS || !(seg->attr & SOFT_ATTR_S))
			continue;
		if (soft_dpl(seg->attr) < cpl &&
			(seg->attr & (SOFT_ATTR_CODE | SOFT_ATTR_DOWN)) !=
				(SOFT_ATTR_CODE | SOFT_ATTR_DOWN))
			*seg = (struct soft_seg){ 0 };
	}
}

/* Where the return goes to, before anything is changed: the instruction itself faults. */
static void check_return_target(struct soft_cpu *cpu, struct back *back, unsigned size)
{
	uint64_t rip = size == 2 ? (uint16_t)back->rip
		: size == 4      ? (uint32_t)back->rip
				 : back->rip;
	struct soft_seg code;

	soft_unpack_segment(&code, back->cs, &back->code);
	if (soft_long_mode(cpu) && (code.attr & SOFT_ATTR_L) ? !soft_canonical(rip)
							     : (uint32_t)rip > code.limit)
		soft_raise_error(cpu, SOFT_GP, 0);
}

static void go_back(struct soft_cpu *cpu, struct back *back, unsigned size, bool outer)
{
	unsigned cpl = back->cs & 3;

	if (outer) {
		cpu->segs[SOFT_SS] = back->stack;
		drop_segments(cpu, cpl);
	}
	soft_load_cs(cpu, back->cs, &back->code, cpl);
	if (outer)
		soft_stack_set(cpu, back->sp);
	cpu->regs[SOFT_RIP] = cpu->long64 ? back->rip
		: size == 2               ? (uint16_t)back->rip
					  : (uint32_t)back->rip;
}

static void op_retf(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = soft_operand_size(op);
	uint64_t sp = cpu->regs[SOFT_RSP];
	uint16_t extra = (uint16_t)op->disp;
	struct back back;

	back.rip = soft_pop_at(cpu, &sp, size);
	back.cs = (uint16_t)soft_pop_at(cpu, &sp, size);
	if (flat_modes(cpu)) {
		soft_stack_set(cpu, sp + extra);
		soft_set_real_segment(cpu, SOFT_CS, back.cs);
		cpu->regs[SOFT_RIP] = back.rip;
		return;
	}
	check_return(cpu, &back);
	sp += extra;
	if ((back.cs & 3) == cpu->cpl) {
		check_return_target(cpu, &back, size);
		soft_stack_set(cpu, sp);
		go_back(cpu, &back, size, false);
		return;
	}
	back.sp = soft_pop_at(cpu, &sp, size) + extra;
	back.ss = (uint16_t)soft_pop_at(cpu, &sp, size);
	check_outer_stack(cpu, &back);
	check_return_target(cpu, &back, size);
	go_back(cpu, &back, size, true);
}

/* The flags that code of this level may change. */
static void return_flags(struct soft_cpu *cpu, uint32_t flags, unsigned size, unsigned cpl)
{
	uint32_t mask = SOFT_ARITH | SOFT_TF | SOFT_DF | SOFT_NT | SOFT_RF | SOFT_AC | SOFT_ID;
	uint32_t old = soft_eflags(cpu);

	if (cpl <= ((old >> 12) & 3))
		mask |= SOFT_IF;
	if (cpl == 0)
		mask |= SOFT_IOPL | SOFT_VIF | SOFT_VIP;
	if (size == 2)
		mask &= 0xffff;
	soft_set_eflags(cpu, (old & ~mask) | (flags & mask));
	/* Without a breakpoint that it keeps from hitting nobody would clear it. */
	if (!cpu->debug)
		cpu->eflags &= ~(uint32_t)SOFT_RF;
}

static void iret_to_v86(struct soft_cpu *cpu, struct back *back, uint64_t sp)
{
	static const uint8_t order[] = { SOFT_ES, SOFT_DS, SOFT_FS, SOFT_GS };
	uint16_t selectors[4];

	back->sp = soft_pop_at(cpu, &sp, 4);
	back->ss = (uint16_t)soft_pop_at(cpu, &sp, 4);
	for (unsigned i = 0; i < 4; i++)
		selectors[i] = (uint16_t)soft_pop_at(cpu, &sp, 4);
	soft_set_eflags(cpu, back->flags);
	cpu->cpl = 3;
	for (unsigned i = 0; i < 4; i++)
		soft_set_real_segment(cpu, order[i], selectors[i]);
	soft_set_real_segment(cpu, SOFT_SS, back->ss);
	soft_set_real_segment(cpu, SOFT_CS, back->cs);
	soft_update_mode(cpu);
	cpu->regs[SOFT_RSP] = back->sp;
	cpu->regs[SOFT_RIP] = (uint16_t)back->rip;
}

static void iret_flat(struct soft_cpu *cpu, unsigned size)
{
	uint64_t sp = cpu->regs[SOFT_RSP];
	uint32_t mask = SOFT_ARITH | SOFT_TF | SOFT_IF | SOFT_DF | SOFT_IOPL | SOFT_NT;
	struct back back;

	if (soft_v86(cpu)) {
		if (((cpu->eflags >> 12) & 3) < 3)
			soft_raise_error(cpu, SOFT_GP, 0);
		mask &= ~(uint32_t)SOFT_IOPL;
	}
	back.rip = soft_pop_at(cpu, &sp, size);
	back.cs = (uint16_t)soft_pop_at(cpu, &sp, size);
	back.flags = (uint32_t)soft_pop_at(cpu, &sp, size);
	soft_stack_set(cpu, sp);
	soft_set_real_segment(cpu, SOFT_CS, back.cs);
	cpu->regs[SOFT_RIP] = size == 2 ? (uint16_t)back.rip : (uint32_t)back.rip;
	if (size == 4)
		mask |= SOFT_AC | SOFT_ID;
	soft_set_eflags(cpu, (soft_eflags(cpu) & ~mask) | (back.flags & mask));
}

static void op_iret(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = soft_operand_size(op), cpl = cpu->cpl;
	uint64_t sp = cpu->regs[SOFT_RSP];
	struct back back;
	bool outer;

	cpu->nmi_blocked = false;
	if (cpu->nmi_waits)
		soft_cpu_request(cpu, SOFT_REQUEST_STEP);
	if (flat_modes(cpu)) {
		iret_flat(cpu, size);
		return;
	}
	if (cpu->eflags & SOFT_NT) {
		if (soft_long_mode(cpu))
			soft_raise_error(cpu, SOFT_GP, 0);
		switch_task(cpu, 0, SOFT_TASK_RETURN);
		return;
	}
	back.rip = soft_pop_at(cpu, &sp, size);
	back.cs = (uint16_t)soft_pop_at(cpu, &sp, size);
	back.flags = (uint32_t)soft_pop_at(cpu, &sp, size);
	if ((back.flags & SOFT_VM) && !soft_long_mode(cpu) && cpl == 0 && size == 4) {
		iret_to_v86(cpu, &back, sp);
		return;
	}
	check_return(cpu, &back);
	/* 64-bit code always has its stack popped. */
	outer = (back.cs & 3) != cpl || cpu->long64;
	if (outer) {
		back.sp = soft_pop_at(cpu, &sp, size);
		back.ss = (uint16_t)soft_pop_at(cpu, &sp, size);
		check_outer_stack(cpu, &back);
	}
	check_return_target(cpu, &back, size);
	if (!outer)
		soft_stack_set(cpu, sp);
	return_flags(cpu, back.flags, size, cpl);
	go_back(cpu, &back, size, outer);
}

/* ---- INT ---- */

static void software_interrupt(struct soft_cpu *cpu, const struct soft_op *op, unsigned vector)
{
	struct soft_event event = {
		.vector = vector, .kind = SOFT_EVENT_SOFTWARE, .rip = next_rip(cpu, op)
	};

	soft_deliver(cpu, &event);
}

static void op_int(struct soft_cpu *cpu, const struct soft_op *op)
{
	if (soft_v86(cpu) && ((cpu->eflags >> 12) & 3) < 3)
		soft_raise_error(cpu, SOFT_GP, 0);
	software_interrupt(cpu, op, op->imm8);
}
static void op_int3(struct soft_cpu *cpu, const struct soft_op *op)
{
	software_interrupt(cpu, op, SOFT_BP);
}
static void op_into(struct soft_cpu *cpu, const struct soft_op *op)
{
	if (soft_arith_flags(cpu) & SOFT_OF)
		software_interrupt(cpu, op, SOFT_OF_TRAP);
	else
		cpu->regs[SOFT_RIP] = next_rip(cpu, op);
}
static void op_int1(struct soft_cpu *cpu, const struct soft_op *op)
{
	struct soft_event event = {
		.vector = SOFT_DB, .kind = SOFT_EVENT_TRAP, .rip = next_rip(cpu, op)
	};

	soft_deliver(cpu, &event);
}

/* ---- SYSCALL, SYSENTER and back ---- */

static void flat_segment(struct soft_seg *seg, uint16_t selector, unsigned dpl, uint32_t more)
{
	*seg = (struct soft_seg){
		.selector = selector,
		.limit = 0xffffffff,
		.attr = SOFT_ATTR_PRESENT | SOFT_ATTR_S | SOFT_ATTR_WRITABLE | SOFT_ATTR_ACCESSED |
			SOFT_ATTR_G | dpl << SOFT_ATTR_DPL_SHIFT | more,
	};
}

static void op_syscall(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint16_t selector = (uint16_t)(cpu->star >> 32) & 0xfffc;
	uint64_t rip = next_rip(cpu, op);

	if (!(cpu->efer & SOFT_EFER_SCE) || soft_real_mode(cpu))
		soft_raise(cpu, SOFT_UD);
	cpu->regs[SOFT_RCX] = rip;
	if (soft_long_mode(cpu)) {
		cpu->regs[11] = soft_eflags(cpu) & ~(uint32_t)SOFT_RF;
		rip = cpu->long64 ? cpu->lstar : cpu->cstar;
		soft_set_eflags(cpu, soft_eflags(cpu) & ~(uint32_t)(cpu->fmask | SOFT_RF));
	} else {
		rip = (uint32_t)cpu->star;
		soft_set_eflags(cpu, soft_eflags(cpu) & ~(uint32_t)(SOFT_IF | SOFT_VM | SOFT_RF));
	}
	flat_segment(&cpu->segs[SOFT_CS], selector, 0,
		SOFT_ATTR_CODE | (soft_long_mode(cpu) ? SOFT_ATTR_L : SOFT_ATTR_DB));
	flat_segment(&cpu->segs[SOFT_SS], (uint16_t)(selector + 8), 0, SOFT_ATTR_DB);
	cpu->regs[SOFT_RIP] = rip;
	soft_set_cpl(cpu, 0);
}

static void op_sysret(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint16_t selector = (uint16_t)(cpu->star >> 48) | 3;
	bool to64 = op->flags & SOFT_OP_W;

	if (!(cpu->efer & SOFT_EFER_SCE) || soft_real_mode(cpu))
		soft_raise(cpu, SOFT_UD);
	if (soft_long_mode(cpu))
		soft_set_eflags(
			cpu, ((uint32_t)cpu->regs[11] & ~(uint32_t)(SOFT_VM | SOFT_RF)) | 2);
	else
		soft_set_eflags(cpu, soft_eflags(cpu) | SOFT_IF);
	flat_segment(&cpu->segs[SOFT_CS], (uint16_t)(to64 ? selector + 16 : selector), 3,
		SOFT_ATTR_CODE | (to64 ? SOFT_ATTR_L : SOFT_ATTR_DB));
	flat_segment(&cpu->segs[SOFT_SS], (uint16_t)(selector + 8), 3, SOFT_ATTR_DB);
	cpu->regs[SOFT_RIP] = to64 ? cpu->regs[SOFT_RCX] : (uint32_t)cpu->regs[SOFT_RCX];
	soft_set_cpl(cpu, 3);
}

/* As AMD's CPUs, which the CPUID shows: not in long mode. */
static void op_sysenter(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint16_t selector = (uint16_t)cpu->sysenter_cs & 0xfffc;

	if (soft_long_mode(cpu))
		soft_raise(cpu, SOFT_UD);
	if (soft_real_mode(cpu) || selector == 0)
		soft_raise_error(cpu, SOFT_GP, 0);
	soft_set_eflags(cpu, soft_eflags(cpu) & ~(uint32_t)(SOFT_VM | SOFT_IF | SOFT_RF));
	flat_segment(&cpu->segs[SOFT_CS], selector, 0, SOFT_ATTR_CODE | SOFT_ATTR_DB);
	flat_segment(&cpu->segs[SOFT_SS], (uint16_t)(selector + 8), 0, SOFT_ATTR_DB);
	cpu->regs[SOFT_RSP] = (uint32_t)cpu->sysenter_esp;
	cpu->regs[SOFT_RIP] = (uint32_t)cpu->sysenter_eip;
	soft_set_cpl(cpu, 0);
}

static void op_sysexit(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint16_t selector = (uint16_t)cpu->sysenter_cs & 0xfffc;

	if (soft_long_mode(cpu))
		soft_raise(cpu, SOFT_UD);
	if (soft_real_mode(cpu) || selector == 0)
		soft_raise_error(cpu, SOFT_GP, 0);
	flat_segment(&cpu->segs[SOFT_CS], (uint16_t)((selector + 16) | 3), 3,
		SOFT_ATTR_CODE | SOFT_ATTR_DB);
	flat_segment(&cpu->segs[SOFT_SS], (uint16_t)((selector + 24) | 3), 3, SOFT_ATTR_DB);
	cpu->regs[SOFT_RSP] = (uint32_t)cpu->regs[SOFT_RCX];
	cpu->regs[SOFT_RIP] = (uint32_t)cpu->regs[SOFT_RDX];
	soft_set_cpl(cpu, 3);
}

/* ---- segment registers ---- */

static void inhibit(struct soft_cpu *cpu)
{
	cpu->shadow = cpu->shadow_debug = true;
	soft_cpu_request(cpu, SOFT_REQUEST_STEP);
}

static void op_mov_from_seg(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned seg = op->reg & 7;

	if (seg >= SOFT_SEGS)
		soft_raise(cpu, SOFT_UD);
	/* Memory gets 16 bits, a register all of its size. */
	soft_write_rm(cpu, op, op->flags & SOFT_OP_MEM ? 2 : soft_operand_size(op),
		cpu->segs[seg].selector);
}

static void op_mov_to_seg(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned seg = op->reg & 7;

	if (seg >= SOFT_SEGS || seg == SOFT_CS)
		soft_raise(cpu, SOFT_UD);
	soft_load_segment(cpu, seg, (uint16_t)soft_read_rm(cpu, op, 2));
	if (seg == SOFT_SS)
		inhibit(cpu);
}

/* 06, 0E, 16, 1E, 0F A0, 0F A8, and the odd ones that pop. */
static unsigned seg_of(const struct soft_op *op)
{
	return op->rm >= 0xa0 ? (op->rm & 8 ? SOFT_GS : SOFT_FS) : (op->rm >> 3) & 3;
}

static unsigned seg_push_size(const struct soft_cpu *cpu, const struct soft_op *op)
{
	return op->flags & SOFT_OP_O16 ? 2 : cpu->long64 ? 8 : 4;
}

static void op_push_seg(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t sp = cpu->regs[SOFT_RSP];

	soft_push_at(cpu, &sp, seg_push_size(cpu, op), cpu->segs[seg_of(op)].selector);
	soft_stack_set(cpu, sp);
}

static void op_pop_seg(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t sp = cpu->regs[SOFT_RSP];
	uint16_t selector = (uint16_t)soft_pop_at(cpu, &sp, seg_push_size(cpu, op));
	uint64_t mask = soft_stack_mask(cpu);

	soft_load_segment(cpu, seg_of(op), selector);
	/* The new SS has no say yet. */
	if (mask == 0xffff)
		soft_set16(cpu, SOFT_RSP, (uint16_t)sp);
	else
		cpu->regs[SOFT_RSP] = sp;
	if (seg_of(op) == SOFT_SS)
		inhibit(cpu);
}

static void load_far_pointer(struct soft_cpu *cpu, const struct soft_op *op, unsigned seg)
{
	unsigned size = soft_operand_size(op);
	uint64_t linear = soft_operand(cpu, op, size + 2, false);
	uint64_t offset = soft_load(cpu, op, linear, size);

	soft_load_segment(cpu, seg, soft_load16(cpu, op, linear + size));
	soft_write_reg(cpu, op->reg, size, offset);
}

#define LOAD_FAR(name, seg)                                                   \
	static void op_##name(struct soft_cpu *cpu, const struct soft_op *op) \
	{                                                                     \
		load_far_pointer(cpu, op, seg);                               \
	}

LOAD_FAR(les, SOFT_ES)
LOAD_FAR(lds, SOFT_DS)
LOAD_FAR(lss, SOFT_SS)
LOAD_FAR(lfs, SOFT_FS)
LOAD_FAR(lgs, SOFT_GS)

#define PLAIN(map, opcode, flags, function)                                   \
	{                                                                     \
		map, opcode, SOFT_P_ANY, SOFT_ANY, SOFT_ANY, SOFT_CLASS_NONE, \
			SOFT_ROW_NO_MODRM | (flags), function                 \
	}
#define MODRM(map, opcode, extension, flags, function)                                         \
	{                                                                                      \
		map, opcode, SOFT_P_ANY, extension, SOFT_ANY, SOFT_CLASS_NONE, flags, function \
	}

static const struct soft_row rows[] = {
	PLAIN(SOFT_MAP_1, 0x9a, SOFT_ROW_JUMP | SOFT_ROW_NOT64, op_far_direct),
	PLAIN(SOFT_MAP_1, 0xea, SOFT_ROW_JUMP | SOFT_ROW_NOT64, op_far_direct),
	MODRM(SOFT_MAP_1, 0xff, 3, SOFT_ROW_JUMP | SOFT_ROW_MEM, op_far_call),
	MODRM(SOFT_MAP_1, 0xff, 5, SOFT_ROW_JUMP | SOFT_ROW_MEM, op_far_jump),
	PLAIN(SOFT_MAP_1, 0xca, SOFT_ROW_JUMP, op_retf),
	PLAIN(SOFT_MAP_1, 0xcb, SOFT_ROW_JUMP, op_retf),
	PLAIN(SOFT_MAP_1, 0xcc, SOFT_ROW_JUMP, op_int3),
	PLAIN(SOFT_MAP_1, 0xcd, SOFT_ROW_JUMP | SOFT_ROW_IMM8, op_int),
	PLAIN(SOFT_MAP_1, 0xce, SOFT_ROW_JUMP | SOFT_ROW_NOT64, op_into),
	PLAIN(SOFT_MAP_1, 0xcf, SOFT_ROW_JUMP, op_iret),
	PLAIN(SOFT_MAP_1, 0xf1, SOFT_ROW_JUMP, op_int1),
	PLAIN(SOFT_MAP_0F, 0x05, SOFT_ROW_JUMP, op_syscall),
	PLAIN(SOFT_MAP_0F, 0x07, SOFT_ROW_JUMP | SOFT_ROW_KERNEL, op_sysret),
	PLAIN(SOFT_MAP_0F, 0x34, SOFT_ROW_JUMP, op_sysenter),
	PLAIN(SOFT_MAP_0F, 0x35, SOFT_ROW_JUMP | SOFT_ROW_KERNEL, op_sysexit),
	MODRM(SOFT_MAP_1, 0x8c, SOFT_ANY, 0, op_mov_from_seg),
	MODRM(SOFT_MAP_1, 0x8e, SOFT_ANY, SOFT_ROW_END, op_mov_to_seg),
	PLAIN(SOFT_MAP_1, 0x06, SOFT_ROW_NOT64, op_push_seg),
	PLAIN(SOFT_MAP_1, 0x0e, SOFT_ROW_NOT64, op_push_seg),
	PLAIN(SOFT_MAP_1, 0x16, SOFT_ROW_NOT64, op_push_seg),
	PLAIN(SOFT_MAP_1, 0x1e, SOFT_ROW_NOT64, op_push_seg),
	PLAIN(SOFT_MAP_0F, 0xa0, 0, op_push_seg),
	PLAIN(SOFT_MAP_0F, 0xa8, 0, op_push_seg),
	PLAIN(SOFT_MAP_1, 0x07, SOFT_ROW_NOT64 | SOFT_ROW_END, op_pop_seg),
	PLAIN(SOFT_MAP_1, 0x17, SOFT_ROW_NOT64 | SOFT_ROW_END, op_pop_seg),
	PLAIN(SOFT_MAP_1, 0x1f, SOFT_ROW_NOT64 | SOFT_ROW_END, op_pop_seg),
	PLAIN(SOFT_MAP_0F, 0xa1, SOFT_ROW_END, op_pop_seg),
	PLAIN(SOFT_MAP_0F, 0xa9, SOFT_ROW_END, op_pop_seg),
	MODRM(SOFT_MAP_1, 0xc4, SOFT_ANY, SOFT_ROW_NOT64 | SOFT_ROW_MEM, op_les),
	MODRM(SOFT_MAP_1, 0xc5, SOFT_ANY, SOFT_ROW_NOT64 | SOFT_ROW_MEM, op_lds),
	MODRM(SOFT_MAP_0F, 0xb2, SOFT_ANY, SOFT_ROW_MEM | SOFT_ROW_END, op_lss),
	MODRM(SOFT_MAP_0F, 0xb4, SOFT_ANY, SOFT_ROW_MEM, op_lfs),
	MODRM(SOFT_MAP_0F, 0xb5, SOFT_ANY, SOFT_ROW_MEM, op_lgs),
};

const struct soft_table soft_far_table = { rows, ARRAY_SIZE(rows) };

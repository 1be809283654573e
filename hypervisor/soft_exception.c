/* SPDX-License-Identifier: MIT */
/* Exceptions and interrupts: raised, and delivered through gates (Intel SDM vol. 3, chapter 6). */
#include "core/util.h"
#include "hypervisor/soft_internal.h"

enum {
	GATE_TASK = SOFT_TYPE_TASK_GATE,
	GATE_INT16 = 6,
	GATE_TRAP16 = 7,
	GATE_INT32 = 14,
	GATE_TRAP32 = 15
};
enum { ERROR_EXT = 1, ERROR_IDT = 2 };

static _Noreturn void throw(struct soft_cpu * cpu, unsigned vector, bool has_error, uint32_t error)
{
	cpu->exception = (uint8_t)vector;
	cpu->has_error = has_error;
	cpu->error = error;
	cpu->regs[SOFT_RIP] += cpu->op->ip;
	cpu->op = &soft_op_none;
	if (unlikely(cpu->stops_others))
		soft_atomic_end(cpu);
	_longjmp(cpu->fault, 1);
}

_Noreturn void soft_raise(struct soft_cpu *cpu, enum soft_vector vector)
{
	throw(cpu, vector, false, 0);
}

_Noreturn void soft_raise_error(struct soft_cpu *cpu, enum soft_vector vector, uint32_t error)
{
	throw(cpu, vector, true, error);
}

/* ---- flags ---- */

uint32_t soft_eflags(const struct soft_cpu *cpu)
{
	return (cpu->eflags & ~(uint32_t)SOFT_ARITH) | soft_arith_flags(cpu) | 2;
}

void soft_set_eflags(struct soft_cpu *cpu, uint32_t flags)
{
	uint32_t before = cpu->eflags;

	soft_set_arith_flags(cpu, flags);
	cpu->eflags = flags &
		(SOFT_TF | SOFT_IF | SOFT_DF | SOFT_IOPL | SOFT_NT | SOFT_RF | SOFT_VM | SOFT_AC |
			SOFT_VIF | SOFT_VIP | SOFT_ID);
	if (unlikely((cpu->eflags ^ before) & SOFT_AC))
		soft_update_mode(cpu);
	if ((cpu->eflags & SOFT_TF) || ((cpu->eflags & ~before & SOFT_IF) && cpu->irq_waits))
		soft_cpu_request(cpu, SOFT_REQUEST_STEP);
}

/* ---- real mode ---- */

static void deliver_real(struct soft_cpu *cpu, const struct soft_event *event)
{
	uint64_t sp = cpu->regs[SOFT_RSP];
	uint32_t flags = soft_eflags(cpu), entry;

	if (event->vector * 4 + 3 > cpu->idt.limit)
		soft_raise_error(cpu, SOFT_GP, event->vector * 8 + ERROR_IDT);
	soft_system_read(cpu, cpu->idt.base + event->vector * 4, &entry, 4);
	soft_push_at(cpu, &sp, 2, flags);
	soft_push_at(cpu, &sp, 2, cpu->segs[SOFT_CS].selector);
	soft_push_at(cpu, &sp, 2, event->rip);
	soft_stack_set(cpu, sp);
	soft_set_real_segment(cpu, SOFT_CS, (uint16_t)(entry >> 16));
	cpu->regs[SOFT_RIP] = (uint16_t)entry;
	cpu->eflags &= ~(uint32_t)(SOFT_IF | SOFT_TF | SOFT_AC | SOFT_RF);
}

/* ---- gates ---- */

struct gate {
	uint16_t selector;
	uint64_t offset;
	unsigned type;
	unsigned dpl;
	bool present;
	unsigned ist;
};

static void read_gate(struct soft_cpu *cpu, const struct soft_event *event, struct gate *gate)
{
	unsigned size = soft_long_mode(cpu) ? 16 : 8;
	uint32_t words[4] = { 0 };

	if (event->vector * size + size - 1 > cpu->idt.limit)
		soft_raise_error(cpu, SOFT_GP,
			event->vector * 8 + ERROR_IDT + (event->kind != SOFT_EVENT_SOFTWARE));
	soft_system_read(cpu, cpu->idt.base + event->vector * size, words, size);
	*gate = (struct gate){
		.selector = (uint16_t)(words[0] >> 16),
		.offset = (words[0] & 0xffff) | (words[1] & 0xffff0000u) | (uint64_t)words[2] << 32,
		.type = (words[1] >> 8) & 0x1f,
		.dpl = (words[1] >> 13) & 3,
		.present = words[1] & SOFT_ATTR_PRESENT,
		.ist = soft_long_mode(cpu) ? words[1] & 7 : 0,
	};
}

static void check_gate(
	struct soft_cpu *cpu, const struct soft_event *event, const struct gate *gate)
{
	uint32_t error = event->vector * 8 + ERROR_IDT +
		(event->kind != SOFT_EVENT_SOFTWARE ? ERROR_EXT : 0);
	bool known = gate->type == GATE_INT32 || gate->type == GATE_TRAP32;

	if (!soft_long_mode(cpu))
		known = known || gate->type == GATE_INT16 || gate->type == GATE_TRAP16 ||
			gate->type == GATE_TASK;
	if (!known)
		soft_raise_error(cpu, SOFT_GP, error);
	if (event->kind == SOFT_EVENT_SOFTWARE && gate->dpl < cpu->cpl)
		soft_raise_error(cpu, SOFT_GP, error);
	if (!gate->present)
		soft_raise_error(cpu, SOFT_NP, error);
}

/* The code segment that the gate names; its level. */
static unsigned check_code(struct soft_cpu *cpu, const struct soft_event *event, uint16_t selector,
	struct soft_descriptor *code)
{
	uint32_t ext = event->kind != SOFT_EVENT_SOFTWARE ? ERROR_EXT : 0;
	uint32_t error = (selector & ~3u) + ext;
	unsigned dpl;

	if ((selector & ~3u) == 0)
		soft_raise_error(cpu, SOFT_GP, ext);
	if (!soft_read_descriptor(cpu, selector, code))
		soft_raise_error(cpu, SOFT_GP, error);
	dpl = soft_dpl(code->high);
	if ((code->high & (SOFT_ATTR_S | SOFT_ATTR_CODE)) != (SOFT_ATTR_S | SOFT_ATTR_CODE) ||
		dpl > cpu->cpl)
		soft_raise_error(cpu, SOFT_GP, error);
	if (soft_long_mode(cpu) && (code->high & (SOFT_ATTR_L | SOFT_ATTR_DB)) != SOFT_ATTR_L)
		soft_raise_error(cpu, SOFT_GP, error);
	if (!(code->high & SOFT_ATTR_PRESENT))
		soft_raise_error(cpu, SOFT_NP, error);
	soft_mark_accessed(cpu, selector, code);
	if (code->high & SOFT_ATTR_DOWN) /* conforming */
		return cpu->cpl;
	if (soft_v86(cpu) && dpl != 0)
		soft_raise_error(cpu, SOFT_GP, error);
	return dpl;
}

void soft_frame_push(struct soft_cpu *cpu, struct soft_frame *frame, unsigned size, uint64_t value)
{
	uint64_t linear;

	frame->sp = (frame->sp - size) & frame->mask;
	linear = frame->base + frame->sp;
	if (frame->user)
		soft_store_slow(cpu, cpu->op, linear, &value, size);
	else
		soft_system_write(cpu, linear, &value, size);
}

static uint32_t saved_flags(const struct soft_cpu *cpu, const struct soft_event *event)
{
	uint32_t flags = soft_eflags(cpu);

	/* So that the instruction's breakpoint does not hit again. */
	return event->kind == SOFT_EVENT_FAULT ? flags | SOFT_RF : flags;
}

static void enter_gate(struct soft_cpu *cpu, const struct gate *gate)
{
	cpu->eflags &= ~(uint32_t)(SOFT_TF | SOFT_NT | SOFT_RF | SOFT_VM);
	if (!(gate->type & 1))
		cpu->eflags &= ~(uint32_t)SOFT_IF;
}

static void deliver_long(struct soft_cpu *cpu, const struct soft_event *event)
{
	struct soft_frame frame = { .mask = UINT64_MAX };
	struct soft_descriptor code;
	struct gate gate;
	unsigned cpl;

	read_gate(cpu, event, &gate);
	check_gate(cpu, event, &gate);
	cpl = check_code(cpu, event, gate.selector, &code);
	frame.sp = cpu->regs[SOFT_RSP];
	if (gate.ist)
		frame.sp = soft_system_load(cpu, cpu->tr.base + 28 + 8 * gate.ist, 8);
	else if (cpl < cpu->cpl)
		frame.sp = soft_system_load(cpu, cpu->tr.base + 4 + 8 * cpl, 8);
	if (!soft_canonical(frame.sp))
		soft_raise_error(cpu, SOFT_SS_FAULT, 0);
	frame.sp &= ~UINT64_C(15);
	frame.user = cpl == 3;
	soft_frame_push(cpu, &frame, 8, cpu->segs[SOFT_SS].selector);
	soft_frame_push(cpu, &frame, 8, cpu->regs[SOFT_RSP]);
	soft_frame_push(cpu, &frame, 8, saved_flags(cpu, event));
	soft_frame_push(cpu, &frame, 8, cpu->segs[SOFT_CS].selector);
	soft_frame_push(cpu, &frame, 8, event->rip);
	if (event->has_error)
		soft_frame_push(cpu, &frame, 8, event->error);
	enter_gate(cpu, &gate);
	if (cpl < cpu->cpl)
		cpu->segs[SOFT_SS] = (struct soft_seg){
			.selector = (uint16_t)cpl,
			.attr = SOFT_ATTR_PRESENT | SOFT_ATTR_S | SOFT_ATTR_WRITABLE |
				SOFT_ATTR_DB | SOFT_ATTR_G | cpl << SOFT_ATTR_DPL_SHIFT,
			.limit = 0xffffffff,
		};
	cpu->regs[SOFT_RSP] = frame.sp;
	cpu->regs[SOFT_RIP] = gate.offset;
	soft_load_cs(cpu, gate.selector, &code, cpl);
}

/* Out of virtual-8086 mode the data segments are pushed, too, and become null. */
static void push_v86_segments(struct soft_cpu *cpu, struct soft_frame *frame, unsigned size)
{
	static const uint8_t order[] = { SOFT_GS, SOFT_FS, SOFT_DS, SOFT_ES };

	for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
		soft_frame_push(cpu, frame, size, cpu->segs[order[i]].selector);
}

static void deliver_inner(struct soft_cpu *cpu, const struct soft_event *event,
	const struct gate *gate, struct soft_descriptor *code, unsigned cpl)
{
	unsigned size = gate->type & 8 ? 4 : 2;
	struct soft_frame frame = { 0 };
	struct soft_seg ss;
	bool v86 = soft_v86(cpu);
	uint16_t selector;

	soft_tss_stack(cpu, cpl, &selector, &frame.sp);
	soft_check_ss(cpu, selector, cpl, SOFT_TS, &ss);
	frame.base = ss.base;
	frame.mask = ss.attr & SOFT_ATTR_DB ? 0xffffffff : 0xffff;
	if (v86)
		push_v86_segments(cpu, &frame, size);
	soft_frame_push(cpu, &frame, size, cpu->segs[SOFT_SS].selector);
	soft_frame_push(cpu, &frame, size, cpu->regs[SOFT_RSP]);
	soft_frame_push(cpu, &frame, size, saved_flags(cpu, event));
	soft_frame_push(cpu, &frame, size, cpu->segs[SOFT_CS].selector);
	soft_frame_push(cpu, &frame, size, event->rip);
	if (event->has_error)
		soft_frame_push(cpu, &frame, size, event->error);
	for (unsigned i = SOFT_ES; v86 && i < SOFT_SEGS; i++)
		if (i != SOFT_CS && i != SOFT_SS)
			cpu->segs[i] = (struct soft_seg){ 0 };
	enter_gate(cpu, gate);
	cpu->segs[SOFT_SS] = ss;
	soft_load_cs(cpu, gate->selector, code, cpl);
	soft_stack_set(cpu, frame.sp);
	cpu->regs[SOFT_RIP] = size == 2 ? (uint16_t)gate->offset : gate->offset;
}

static void deliver_protected(struct soft_cpu *cpu, const struct soft_event *event)
{
	struct soft_descriptor code;
	struct gate gate;
	unsigned cpl, size;
	uint64_t sp;

	read_gate(cpu, event, &gate);
	check_gate(cpu, event, &gate);
	if (gate.type == GATE_TASK) {
		struct soft_task task = {
			.kind = SOFT_TASK_CALL,
			.gate = true,
			.selector = gate.selector,
			.rip = event->rip,
			.flags = saved_flags(cpu, event),
			.ext = event->kind != SOFT_EVENT_SOFTWARE ? ERROR_EXT : 0,
			.has_error = event->has_error,
			.error = event->error,
		};

		soft_task_switch(cpu, &task);
		return;
	}
	cpl = check_code(cpu, event, gate.selector, &code);
	if (cpl < cpu->cpl) {
		deliver_inner(cpu, event, &gate, &code, cpl);
		return;
	}
	size = gate.type & 8 ? 4 : 2;
	sp = cpu->regs[SOFT_RSP];
	soft_push_at(cpu, &sp, size, saved_flags(cpu, event));
	soft_push_at(cpu, &sp, size, cpu->segs[SOFT_CS].selector);
	soft_push_at(cpu, &sp, size, event->rip);
	if (event->has_error)
		soft_push_at(cpu, &sp, size, event->error);
	soft_stack_set(cpu, sp);
	enter_gate(cpu, &gate);
	soft_load_cs(cpu, gate.selector, &code, cpl);
	cpu->regs[SOFT_RIP] = size == 2 ? (uint16_t)gate.offset : gate.offset;
}

void soft_deliver(struct soft_cpu *cpu, const struct soft_event *event)
{
	if (event->vector == SOFT_DB && event->kind != SOFT_EVENT_SOFTWARE)
		soft_debug_entered(cpu);
	if (soft_real_mode(cpu))
		deliver_real(cpu, event);
	else if (soft_long_mode(cpu))
		deliver_long(cpu, event);
	else
		deliver_protected(cpu, event);
}

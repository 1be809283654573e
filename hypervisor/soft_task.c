/* SPDX-License-Identifier: MIT */
/* Task switches (Intel SDM vol. 3, chapter 7): through a TSS or a task gate, and back by IRET. */
#include "core/util.h"
#include "hypervisor/soft_internal.h"

enum {
	TYPE_BUSY = 2,
	TYPE_WIDE = 8,
	WIDE_SIZE = 0x68,
	NARROW_SIZE = 0x2c,
	WIDE_SELECTORS = 0x48, /* ES, CS, SS, DS, FS, GS */
	NARROW_SELECTORS = 0x22, /* ES, CS, SS, DS */
};

/* A TSS, of either size. */
struct state {
	uint32_t cr3, eip, eflags;
	uint32_t regs[8];
	uint16_t selectors[SOFT_SEGS];
	uint16_t ldt;
	bool trap;
};

static uint32_t word_at(const uint8_t *bytes, unsigned at, unsigned size)
{
	uint32_t value = 0;

	memcpy(&value, bytes + at, size);
	return value;
}

static void read_state(struct soft_cpu *cpu, const struct soft_seg *tss, struct state *state)
{
	bool wide = tss->attr & TYPE_WIDE << 8;
	unsigned size = wide ? 4 : 2, at = wide ? 0x20 : 0x0e;
	uint8_t bytes[WIDE_SIZE] = { 0 };

	soft_system_read(cpu, tss->base, bytes, wide ? WIDE_SIZE : NARROW_SIZE);
	*state = (struct state){
		.cr3 = wide ? word_at(bytes, 0x1c, 4) : 0,
		.eip = word_at(bytes, at, size),
		.eflags = word_at(bytes, at + size, size),
		.ldt = (uint16_t)word_at(bytes, wide ? 0x60 : 0x2a, 2),
		.trap = wide && (bytes[0x64] & 1),
	};
	for (unsigned i = 0; i < 8; i++)
		state->regs[i] = word_at(bytes, at + size * (2 + i), size);
	for (unsigned i = 0; i < (wide ? 6u : 4u); i++)
		state->selectors[i] = (uint16_t)word_at(
			bytes, wide ? WIDE_SELECTORS + 4 * i : NARROW_SELECTORS + 2 * i, 2);
}

static void save_state(struct soft_cpu *cpu, const struct soft_task *task)
{
	const struct soft_seg *tss = &cpu->tr;
	bool wide = tss->attr & TYPE_WIDE << 8;
	unsigned size = wide ? 4 : 2, at = wide ? 0x20 : 0x0e;
	uint32_t words[10] = { (uint32_t)task->rip, task->flags };

	if (task->kind == SOFT_TASK_RETURN)
		words[1] &= ~(uint32_t)SOFT_NT;
	for (unsigned i = 0; i < 8; i++)
		words[2 + i] = (uint32_t)cpu->regs[i];
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
		soft_system_write(cpu, tss->base + at + size * i, &words[i], size);
	for (unsigned i = 0; i < (wide ? 6u : 4u); i++)
		soft_system_write(cpu,
			tss->base + (wide ? WIDE_SELECTORS + 4 * i : NARROW_SELECTORS + 2 * i),
			&cpu->segs[i].selector, 2);
}

/* ---- which task ---- */

static _Noreturn void refuse(struct soft_cpu *cpu, const struct soft_task *task,
	enum soft_vector vector, uint16_t selector)
{
	soft_raise_error(cpu, vector, (selector & ~3u) | task->ext);
}

/* A task gate: the selector in it. */
static void follow_gate(struct soft_cpu *cpu, struct soft_task *task, uint32_t high, uint32_t low)
{
	if (soft_dpl(high) < MAX((unsigned)cpu->cpl, task->selector & 3u))
		refuse(cpu, task, SOFT_GP, task->selector);
	if (!(high & SOFT_ATTR_PRESENT))
		refuse(cpu, task, SOFT_NP, task->selector);
	task->selector = (uint16_t)(low >> 16);
	task->gate = true;
}

/* Checks the TSS's descriptor. */
static void find_task(
	struct soft_cpu *cpu, struct soft_task *task, struct soft_descriptor *descriptor)
{
	bool back = task->kind == SOFT_TASK_RETURN;
	enum soft_vector wrong = back ? SOFT_TS : SOFT_GP;
	unsigned type;

	if ((task->selector & 4) || (task->selector & ~3u) == 0 ||
		!soft_read_descriptor(cpu, task->selector, descriptor))
		refuse(cpu, task, wrong, task->selector);
	type = (descriptor->high >> 8) & 0x1f;
	if (type == SOFT_TYPE_TASK_GATE && !task->gate && !back) {
		follow_gate(cpu, task, descriptor->high, descriptor->low);
		find_task(cpu, task, descriptor);
		return;
	}
	if ((type & ~(unsigned)TYPE_WIDE) != (back ? 3 : 1))
		refuse(cpu, task, wrong, task->selector);
	if (!task->gate && !back &&
		soft_dpl(descriptor->high) < MAX((unsigned)cpu->cpl, task->selector & 3u))
		refuse(cpu, task, SOFT_GP, task->selector);
	if (!(descriptor->high & SOFT_ATTR_PRESENT))
		refuse(cpu, task, SOFT_NP, task->selector);
}

static void set_busy(struct soft_cpu *cpu, uint16_t selector, bool on)
{
	uint64_t at = cpu->gdt.base + (selector & ~7u) + 4;
	uint32_t high = (uint32_t)soft_system_load(cpu, at, 4);

	high = on ? high | TYPE_BUSY << 8 : high & ~(uint32_t)(TYPE_BUSY << 8);
	soft_system_write(cpu, at, &high, 4);
}

/* ---- the new task's segments: faults are its own ---- */

static void load_ldt(struct soft_cpu *cpu, const struct soft_task *task, uint16_t selector)
{
	struct soft_descriptor descriptor;

	cpu->ldt = (struct soft_seg){ .selector = selector };
	if ((selector & ~3u) == 0)
		return;
	if ((selector & 4) || !soft_read_descriptor(cpu, selector, &descriptor) ||
		((descriptor.high >> 8) & 0x1f) != 2 || !(descriptor.high & SOFT_ATTR_PRESENT))
		refuse(cpu, task, SOFT_TS, selector);
	soft_unpack_segment(&cpu->ldt, selector, &descriptor);
}

static void load_code(struct soft_cpu *cpu, const struct soft_task *task, uint16_t selector)
{
	struct soft_descriptor code;
	unsigned rpl = selector & 3;

	if ((selector & ~3u) == 0 || !soft_read_descriptor(cpu, selector, &code) ||
		(code.high & (SOFT_ATTR_S | SOFT_ATTR_CODE)) != (SOFT_ATTR_S | SOFT_ATTR_CODE) ||
		(code.high & SOFT_ATTR_DOWN ? soft_dpl(code.high) > rpl
					    : soft_dpl(code.high) != rpl))
		refuse(cpu, task, SOFT_TS, selector);
	if (!(code.high & SOFT_ATTR_PRESENT))
		refuse(cpu, task, SOFT_NP, selector);
	soft_load_cs(cpu, selector, &code, rpl);
}

static void load_data(
	struct soft_cpu *cpu, const struct soft_task *task, unsigned name, uint16_t selector)
{
	const uint32_t conforming = SOFT_ATTR_CODE | SOFT_ATTR_DOWN;
	struct soft_descriptor data;

	if ((selector & ~3u) == 0)
		return;
	if (!soft_read_descriptor(cpu, selector, &data) || !(data.high & SOFT_ATTR_S) ||
		(data.high & (SOFT_ATTR_CODE | SOFT_ATTR_WRITABLE)) == SOFT_ATTR_CODE ||
		((data.high & conforming) != conforming &&
			soft_dpl(data.high) < MAX((unsigned)cpu->cpl, selector & 3u)))
		refuse(cpu, task, SOFT_TS, selector);
	if (!(data.high & SOFT_ATTR_PRESENT))
		refuse(cpu, task, SOFT_NP, selector);
	soft_mark_accessed(cpu, selector, &data);
	soft_unpack_segment(&cpu->segs[name], selector, &data);
}

static void load_segments(
	struct soft_cpu *cpu, const struct soft_task *task, const struct state *state)
{
	static const uint8_t data[] = { SOFT_ES, SOFT_DS, SOFT_FS, SOFT_GS };
	struct soft_seg ss;

	load_ldt(cpu, task, state->ldt);
	if (soft_v86(cpu)) {
		for (unsigned i = 0; i < SOFT_SEGS; i++)
			soft_set_real_segment(cpu, i, state->selectors[i]);
		return;
	}
	load_code(cpu, task, state->selectors[SOFT_CS]);
	soft_check_ss(cpu, state->selectors[SOFT_SS], cpu->cpl, SOFT_TS, &ss);
	cpu->segs[SOFT_SS] = ss;
	soft_update_mode(cpu);
	for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
		load_data(cpu, task, data[i], state->selectors[data[i]]);
}

/* ---- the switch ---- */

/* From here on what is wrong is the new task's fault. */
static void enter(struct soft_cpu *cpu, const struct soft_task *task, const struct soft_seg *tss,
	const struct state *state)
{
	bool wide = tss->attr & TYPE_WIDE << 8;

	cpu->tr = *tss;
	cpu->tr.attr |= TYPE_BUSY << 8;
	for (unsigned i = 0; i < SOFT_SEGS; i++)
		cpu->segs[i] = (struct soft_seg){ .selector = state->selectors[i] };
	for (unsigned i = 0; i < 8; i++)
		cpu->regs[i] = wide ? state->regs[i] : state->regs[i] | 0xffff0000u;
	cpu->op = &soft_op_none;
	cpu->regs[SOFT_RIP] = state->eip;
	soft_set_eflags(
		cpu, task->kind == SOFT_TASK_CALL ? state->eflags | SOFT_NT : state->eflags);
	cpu->cr0 |= SOFT_CR0_TS;
	cpu->dr[7] &= ~UINT64_C(0x155); /* breakpoints of the task alone */
	soft_set_cpl(cpu, soft_v86(cpu) ? 3 : state->selectors[SOFT_CS] & 3);
	if (wide && (cpu->cr0 & SOFT_CR0_PG))
		soft_write_cr3(cpu, state->cr3);
}

void soft_task_switch(struct soft_cpu *cpu, struct soft_task *task)
{
	struct soft_descriptor descriptor;
	struct state state;
	struct soft_seg tss;
	bool wide;

	if (task->kind == SOFT_TASK_RETURN)
		task->selector = (uint16_t)soft_system_load(cpu, cpu->tr.base, 2);
	find_task(cpu, task, &descriptor);
	soft_unpack_segment(&tss, task->selector, &descriptor);
	wide = tss.attr & TYPE_WIDE << 8;
	if (tss.limit < (wide ? WIDE_SIZE : NARROW_SIZE) - 1u)
		refuse(cpu, task, SOFT_TS, task->selector);
	read_state(cpu, &tss, &state);
	if (task->kind == SOFT_TASK_CALL)
		soft_system_write(cpu, tss.base, &cpu->tr.selector, 2);
	save_state(cpu, task);
	if (task->kind != SOFT_TASK_CALL)
		set_busy(cpu, cpu->tr.selector, false);
	if (task->kind != SOFT_TASK_RETURN)
		set_busy(cpu, task->selector, true);
	enter(cpu, task, &tss, &state);
	load_segments(cpu, task, &state);
	if (task->has_error) {
		uint64_t sp = cpu->regs[SOFT_RSP];

		soft_push_at(cpu, &sp, wide ? 4 : 2, task->error);
		soft_stack_set(cpu, sp);
	}
	if (state.trap)
		soft_debug_task_trap(cpu);
}

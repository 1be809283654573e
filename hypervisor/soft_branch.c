/* SPDX-License-Identifier: MIT */
/* Jumps, calls, returns, the stack, and the ops that call plain functions. */
#include "hypervisor/soft_ops.h"

/* ---- jumps to known places ---- */

/* Outside of 64-bit mode the instruction pointer has the operand's size. */
static inline uint64_t near_mask(const struct soft_op *op)
{
	return op->flags & SOFT_OP_O16 ? 0xffff : 0xffffffff;
}

/* A jump that leads nowhere faults itself; registers are as before. */
SOFT_SLOW_OP(bad_target)
{
	cpu->op = op;
	soft_raise_error(cpu, SOFT_GP, 0);
	return NULL;
}

static inline bool beyond_limit(const struct soft_cpu *cpu, uint64_t target)
{
	return unlikely(target > cpu->segs[SOFT_CS].limit);
}

static inline uint64_t target32(const struct soft_cpu *cpu, const struct soft_op *op)
{
	return (cpu->regs[SOFT_RIP] + op->next + (uint64_t)(int64_t)op->disp) & near_mask(op);
}

SOFT_OP_FUNCTION(soft_op_follow)
{
	cpu->regs[SOFT_RIP] += op->next;
	SOFT_FOLLOW(1);
}

SOFT_OP(jump64)
{
	cpu->regs[SOFT_RIP] += op->next + (uint64_t)(int64_t)op->disp;
	SOFT_FOLLOW(0);
}

SOFT_OP(jump32)
{
	uint64_t target = target32(cpu, op);

	if (beyond_limit(cpu, target))
		SOFT_TAIL_CALL(bad_target(cpu, op));
	cpu->regs[SOFT_RIP] = target;
	SOFT_FOLLOW(0);
}

soft_fn *soft_jump_fn(bool long64)
{
	return long64 ? jump64 : jump32;
}

#define JCC(condition)                                                                 \
	SOFT_OP(j##condition##_64)                                                     \
	{                                                                              \
		if (soft_condition(cpu->cc, condition)) {                              \
			cpu->regs[SOFT_RIP] += op->next + (uint64_t)(int64_t)op->disp; \
			SOFT_FOLLOW(0);                                                \
		}                                                                      \
		cpu->regs[SOFT_RIP] += op->next;                                       \
		SOFT_FOLLOW(1);                                                        \
	}                                                                              \
	SOFT_OP(j##condition##_32)                                                     \
	{                                                                              \
		if (soft_condition(cpu->cc, condition)) {                              \
			uint64_t target = target32(cpu, op);                           \
                                                                                       \
			if (beyond_limit(cpu, target))                                 \
				SOFT_TAIL_CALL(bad_target(cpu, op));                   \
			cpu->regs[SOFT_RIP] = target;                                  \
			SOFT_FOLLOW(0);                                                \
		}                                                                      \
		cpu->regs[SOFT_RIP] += op->next;                                       \
		SOFT_FOLLOW(1);                                                        \
	}
#define ALL_CONDITIONS(X) \
	X(0)              \
	X(1)              \
	X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)

ALL_CONDITIONS(JCC)

#define JCC_ROW(condition) [condition] = { j##condition##_32, j##condition##_64 },

soft_fn *soft_jcc_fn(unsigned condition, bool long64)
{
	static soft_fn *const table[16][2] = { ALL_CONDITIONS(JCC_ROW) };

	return table[condition][long64];
}

/* op->imm8: LOOPNE, LOOPE, LOOP, JCXZ. The count has the address's size. */
SOFT_OP_FUNCTION(soft_op_loop)
{
	uint64_t mask = op->flags & SOFT_OP_A16 ? 0xffff
		: op->flags & SOFT_OP_A32       ? 0xffffffff
						: UINT64_MAX;
	uint64_t count = (cpu->regs[SOFT_RCX] - (op->imm8 != 3)) & mask;
	bool zero = cpu->cc & SOFT_CC_Z;
	bool taken = op->imm8 == 3 ? count == 0 : count != 0;
	uint64_t target = cpu->long64 ? cpu->regs[SOFT_RIP] + op->next + (uint64_t)(int64_t)op->disp
				      : target32(cpu, op);

	if (op->imm8 == 0)
		taken = taken && !zero;
	else if (op->imm8 == 1)
		taken = taken && zero;
	if (taken && !cpu->long64 && beyond_limit(cpu, target))
		SOFT_TAIL_CALL(bad_target(cpu, op));
	if (op->imm8 != 3)
		cpu->regs[SOFT_RCX] = mask == 0xffff ? (cpu->regs[SOFT_RCX] & ~mask) | count
						     : count;
	if (taken) {
		cpu->regs[SOFT_RIP] = target;
		SOFT_FOLLOW(0);
	}
	cpu->regs[SOFT_RIP] += op->next;
	SOFT_FOLLOW(1);
}

/* ---- the stack, in general ---- */

uint64_t soft_stack_mask(const struct soft_cpu *cpu)
{
	if (cpu->long64)
		return UINT64_MAX;
	return cpu->segs[SOFT_SS].attr & SOFT_ATTR_DB ? 0xffffffff : 0xffff;
}

void soft_stack_set(struct soft_cpu *cpu, uint64_t sp)
{
	uint64_t mask = soft_stack_mask(cpu);

	if (mask == 0xffff)
		soft_set16(cpu, SOFT_RSP, (uint16_t)sp);
	else
		cpu->regs[SOFT_RSP] = sp & mask;
}

void soft_push_at(struct soft_cpu *cpu, uint64_t *sp, unsigned size, uint64_t value)
{
	uint64_t at = (*sp - size) & soft_stack_mask(cpu);

	soft_store(cpu, cpu->op, soft_linear(cpu, cpu->op, SOFT_SS, at, size, true), size, value);
	*sp = at;
}

uint64_t soft_pop_at(struct soft_cpu *cpu, uint64_t *sp, unsigned size)
{
	uint64_t at = *sp & soft_stack_mask(cpu);
	uint64_t value =
		soft_load(cpu, cpu->op, soft_linear(cpu, cpu->op, SOFT_SS, at, size, false), size);

	*sp = (at + size) & soft_stack_mask(cpu);
	return value;
}

/* ---- PUSH and POP of registers, memory and immediates ---- */

static void push(struct soft_cpu *cpu, const struct soft_op *op, unsigned size, uint64_t value)
{
	uint64_t sp = cpu->regs[SOFT_RSP];

	cpu->op = op;
	soft_push_at(cpu, &sp, size, value);
	soft_stack_set(cpu, sp);
}

static uint64_t pop(struct soft_cpu *cpu, const struct soft_op *op, unsigned size)
{
	uint64_t sp = cpu->regs[SOFT_RSP], value;

	cpu->op = op;
	value = soft_pop_at(cpu, &sp, size);
	soft_stack_set(cpu, sp);
	return value;
}

static inline unsigned stack_size(const struct soft_cpu *cpu, const struct soft_op *op)
{
	return op->flags & SOFT_OP_O16 ? 2 : cpu->long64 ? 8 : 4;
}

SOFT_SLOW_OP(push_r)
{
	push(cpu, op, stack_size(cpu, op), cpu->regs[op->rm]);
	SOFT_NEXT;
}
SOFT_SLOW_OP(push_i)
{
	push(cpu, op, stack_size(cpu, op), op->imm);
	SOFT_NEXT;
}
SOFT_SLOW_OP(push_m)
{
	unsigned size = stack_size(cpu, op);

	cpu->op = op;
	push(cpu, op, size, soft_read_rm(cpu, op, size));
	SOFT_NEXT;
}
SOFT_SLOW_OP(pop_r)
{
	unsigned size = stack_size(cpu, op);

	soft_write_reg(cpu, op->rm, size, pop(cpu, op, size));
	SOFT_NEXT;
}
SOFT_OP(push_r64)
{
	uint64_t sp = cpu->regs[SOFT_RSP] - 8, value = cpu->regs[op->rm];
	void *at;

	if (!soft_hit_write(cpu, sp, 8, &at))
		SOFT_TAIL_CALL(push_r(cpu, op));
	memcpy(at, &value, 8);
	cpu->regs[SOFT_RSP] = sp;
	SOFT_NEXT;
}
SOFT_OP(pop_r64)
{
	uint64_t sp = cpu->regs[SOFT_RSP], value;
	void *at;

	if (!soft_hit_read(cpu, sp, 8, &at))
		SOFT_TAIL_CALL(pop_r(cpu, op));
	memcpy(&value, at, 8);
	cpu->regs[SOFT_RSP] = sp + 8;
	cpu->regs[op->rm] = value;
	SOFT_NEXT;
}

soft_fn *soft_push_fn(unsigned size, enum soft_form form, bool long64)
{
	if (form == FORM_RI)
		return push_i;
	if (form == FORM_RM)
		return push_m;
	return long64 && size == 3 ? push_r64 : push_r;
}

soft_fn *soft_pop_fn(unsigned size, bool long64)
{
	return long64 && size == 3 ? pop_r64 : pop_r;
}

/* ---- CALL and RET ---- */

static inline bool is_bad_target(const struct soft_cpu *cpu, uint64_t target)
{
	return unlikely(cpu->long64 ? !soft_canonical(target) : target > cpu->segs[SOFT_CS].limit);
}

/* A call's faults on the stack come first. */
SOFT_SLOW_OP(bad_call_target)
{
	unsigned size = stack_size(cpu, op);
	uint64_t sp = (cpu->regs[SOFT_RSP] - size) & soft_stack_mask(cpu);

	cpu->op = op;
	soft_probe_write(cpu, op, soft_linear(cpu, op, SOFT_SS, sp, size, true), size);
	soft_raise_error(cpu, SOFT_GP, 0);
	return NULL;
}

SOFT_SLOW_OP(call_slow)
{
	uint64_t rip = cpu->regs[SOFT_RIP] + op->next;
	uint64_t target = cpu->long64 ? rip + (uint64_t)(int64_t)op->disp : target32(cpu, op);

	if (is_bad_target(cpu, target))
		SOFT_TAIL_CALL(bad_call_target(cpu, op));
	push(cpu, op, stack_size(cpu, op), rip);
	cpu->regs[SOFT_RIP] = target;
	SOFT_FOLLOW(0);
}

SOFT_OP(call64)
{
	uint64_t sp = cpu->regs[SOFT_RSP] - 8, rip = cpu->regs[SOFT_RIP], back = rip + op->next;
	void *at;

	if (!soft_hit_write(cpu, sp, 8, &at))
		SOFT_TAIL_CALL(call_slow(cpu, op));
	memcpy(at, &back, 8);
	cpu->regs[SOFT_RSP] = sp;
	cpu->regs[SOFT_RIP] = back + (uint64_t)(int64_t)op->disp;
	SOFT_FOLLOW(0);
}

soft_fn *soft_call_fn(bool long64)
{
	return long64 ? call64 : call_slow;
}

/* op->imm: bytes to take off the stack. */
SOFT_SLOW_OP(ret_slow)
{
	unsigned size = stack_size(cpu, op);
	uint64_t sp = cpu->regs[SOFT_RSP], target;

	cpu->op = op;
	target = soft_pop_at(cpu, &sp, size);
	if (is_bad_target(cpu, target))
		SOFT_TAIL_CALL(bad_target(cpu, op));
	soft_stack_set(cpu, sp);
	soft_stack_set(cpu, cpu->regs[SOFT_RSP] + (uint16_t)op->imm);
	cpu->regs[SOFT_RIP] = target;
	SOFT_JUMP_RIP;
}

SOFT_OP(ret64)
{
	uint64_t sp = cpu->regs[SOFT_RSP], target;
	void *at;

	if (!soft_hit_read(cpu, sp, 8, &at))
		SOFT_TAIL_CALL(ret_slow(cpu, op));
	memcpy(&target, at, 8);
	if (unlikely(!soft_canonical(target)))
		SOFT_TAIL_CALL(bad_target(cpu, op));
	cpu->regs[SOFT_RSP] = sp + 8 + (uint16_t)op->imm;
	cpu->regs[SOFT_RIP] = target;
	SOFT_JUMP_RIP;
}

soft_fn *soft_ret_fn(bool long64)
{
	return long64 ? ret64 : ret_slow;
}

SOFT_OP(jump_rm)
{
	unsigned size = stack_size(cpu, op);
	uint64_t target;

	cpu->op = op;
	target = soft_read_rm(cpu, op, size);
	if (is_bad_target(cpu, target))
		SOFT_TAIL_CALL(bad_target(cpu, op));
	cpu->regs[SOFT_RIP] = target;
	SOFT_JUMP_RIP;
}
SOFT_OP(jump_r64)
{
	if (unlikely(!soft_canonical(cpu->regs[op->rm])))
		SOFT_TAIL_CALL(bad_target(cpu, op));
	cpu->regs[SOFT_RIP] = cpu->regs[op->rm];
	SOFT_JUMP_RIP;
}
SOFT_OP(call_rm)
{
	unsigned size = stack_size(cpu, op);
	uint64_t target;

	cpu->op = op;
	target = soft_read_rm(cpu, op, size);
	if (is_bad_target(cpu, target)) {
		SOFT_TAIL_CALL(bad_call_target(cpu, op));
	}
	push(cpu, op, size, cpu->regs[SOFT_RIP] + op->next);
	cpu->regs[SOFT_RIP] = target;
	SOFT_JUMP_RIP;
}

soft_fn *soft_jump_rm_fn(bool call, bool memory, bool long64)
{
	if (call)
		return call_rm;
	return long64 && !memory ? jump_r64 : jump_rm;
}

/* ---- out of blocks ---- */

SOFT_OP_FUNCTION(soft_op_stale)
{
	cpu->regs[SOFT_RIP] += op->ip;
	return NULL;
}

SOFT_OP_FUNCTION(soft_op_undefined)
{
	cpu->op = op;
	soft_raise(cpu, SOFT_UD);
}

SOFT_OP_FUNCTION(soft_op_too_long)
{
	cpu->op = op;
	soft_raise_error(cpu, SOFT_GP, 0);
}

/* ---- ops that call ---- */

static inline void check_kernel(struct soft_cpu *cpu)
{
	if (unlikely(cpu->cpl != 0))
		soft_raise_error(cpu, SOFT_GP, 0);
}

SOFT_OP_FUNCTION(soft_op_call)
{
	cpu->op = op;
	op->call(cpu, op);
	SOFT_NEXT;
}

SOFT_OP_FUNCTION(soft_op_call_kernel)
{
	cpu->op = op;
	check_kernel(cpu);
	op->call(cpu, op);
	SOFT_NEXT;
}

SOFT_OP_FUNCTION(soft_op_call_end)
{
	cpu->op = op;
	op->call(cpu, op);
	cpu->regs[SOFT_RIP] += op->next;
	SOFT_JUMP_RIP;
}

SOFT_OP_FUNCTION(soft_op_call_kernel_end)
{
	cpu->op = op;
	check_kernel(cpu);
	op->call(cpu, op);
	cpu->regs[SOFT_RIP] += op->next;
	SOFT_JUMP_RIP;
}

SOFT_OP_FUNCTION(soft_op_call_jump)
{
	cpu->op = op;
	op->call(cpu, op);
	SOFT_JUMP_RIP;
}

SOFT_OP_FUNCTION(soft_op_call_kernel_jump)
{
	cpu->op = op;
	check_kernel(cpu);
	op->call(cpu, op);
	SOFT_JUMP_RIP;
}

SOFT_OP_FUNCTION(soft_op_call_x87)
{
	cpu->op = op;
	if (unlikely(cpu->cr0 & (SOFT_CR0_EM | SOFT_CR0_TS)))
		soft_raise(cpu, SOFT_NM);
	op->call(cpu, op);
	SOFT_NEXT;
}

SOFT_OP_FUNCTION(soft_op_call_fwait)
{
	cpu->op = op;
	if (unlikely((cpu->cr0 & (SOFT_CR0_MP | SOFT_CR0_TS)) == (SOFT_CR0_MP | SOFT_CR0_TS)))
		soft_raise(cpu, SOFT_NM);
	op->call(cpu, op);
	SOFT_NEXT;
}

SOFT_OP_FUNCTION(soft_op_call_mmx)
{
	cpu->op = op;
	if (unlikely(cpu->cr0 & (SOFT_CR0_EM | SOFT_CR0_TS)))
		soft_raise(cpu, cpu->cr0 & SOFT_CR0_EM ? SOFT_UD : SOFT_NM);
	op->call(cpu, op);
	SOFT_NEXT;
}

SOFT_OP_FUNCTION(soft_op_call_sse)
{
	cpu->op = op;
	if (unlikely((cpu->cr0 & (SOFT_CR0_EM | SOFT_CR0_TS)) || !(cpu->cr4 & SOFT_CR4_OSFXSR)))
		soft_raise(cpu,
			(cpu->cr0 & SOFT_CR0_EM) || !(cpu->cr4 & SOFT_CR4_OSFXSR) ? SOFT_UD
										  : SOFT_NM);
	op->call(cpu, op);
	SOFT_NEXT;
}

/* ---- operands of any size ---- */

uint64_t soft_load(struct soft_cpu *cpu, const struct soft_op *op, uint64_t linear, unsigned size)
{
	switch (size) {
	case 1: return soft_load8(cpu, op, linear);
	case 2: return soft_load16(cpu, op, linear);
	case 4: return soft_load32(cpu, op, linear);
	default: return soft_load64(cpu, op, linear);
	}
}

void soft_store(struct soft_cpu *cpu, const struct soft_op *op, uint64_t linear, unsigned size,
	uint64_t value)
{
	switch (size) {
	case 1: soft_store8(cpu, op, linear, (uint8_t)value); break;
	case 2: soft_store16(cpu, op, linear, (uint16_t)value); break;
	case 4: soft_store32(cpu, op, linear, (uint32_t)value); break;
	default: soft_store64(cpu, op, linear, value); break;
	}
}

uint64_t soft_read_reg(const struct soft_cpu *cpu, unsigned reg, unsigned size)
{
	switch (size) {
	case 1: return soft_get8(cpu, reg);
	case 2: return soft_get16(cpu, reg);
	case 4: return soft_get32(cpu, reg);
	default: return cpu->regs[reg];
	}
}

void soft_write_reg(struct soft_cpu *cpu, unsigned reg, unsigned size, uint64_t value)
{
	switch (size) {
	case 1: soft_set8(cpu, reg, (uint8_t)value); break;
	case 2: soft_set16(cpu, reg, (uint16_t)value); break;
	case 4: soft_set32(cpu, reg, (uint32_t)value); break;
	default: cpu->regs[reg] = value; break;
	}
}

uint64_t soft_read_rm(struct soft_cpu *cpu, const struct soft_op *op, unsigned size)
{
	if (!(op->flags & SOFT_OP_MEM))
		return soft_read_reg(cpu, op->rm, size);
	return soft_load(cpu, op, soft_operand(cpu, op, size, false), size);
}

void soft_write_rm(struct soft_cpu *cpu, const struct soft_op *op, unsigned size, uint64_t value)
{
	if (op->flags & SOFT_OP_MEM)
		soft_store(cpu, op, soft_operand(cpu, op, size, true), size, value);
	else
		soft_write_reg(cpu, op->rm, size, value);
}

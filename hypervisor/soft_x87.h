/* SPDX-License-Identifier: MIT */
/*
 * x87: the register stack and the status word are kept here; arithmetic is done by the host's x87
 * with the guest's control word, one instruction at a time on an otherwise empty stack, so that
 * results, rounding and exceptions are the hardware's.
 */
#ifndef HYPERVISOR_SOFT_X87_H
#define HYPERVISOR_SOFT_X87_H

#include "hypervisor/soft_cpu.h"

enum {
	X87_INVALID = 1 << 0,
	X87_DENORMAL = 1 << 1,
	X87_ZERO_DIVIDE = 1 << 2,
	X87_OVERFLOW = 1 << 3,
	X87_UNDERFLOW = 1 << 4,
	X87_PRECISION = 1 << 5,
	X87_EXCEPTIONS = 0x3f,
	X87_BEFORE = X87_INVALID | X87_DENORMAL | X87_ZERO_DIVIDE, /* seen in operands */
	X87_STACK_FAULT = 1 << 6,
	X87_SUMMARY = 1 << 7,
	X87_C0 = 1 << 8,
	X87_C1 = 1 << 9,
	X87_C2 = 1 << 10,
	X87_C3 = 1 << 14,
	X87_BUSY = 1 << 15,
	X87_COMPARED = X87_C0 | X87_C2 | X87_C3,

	X87_CONTROL_DEFAULT = 0x37f,
};

/* ---- the register stack ---- */

static inline unsigned x87_physical(const struct soft_cpu *cpu, unsigned i)
{
	return (cpu->fpu.top + i) & 7;
}
static inline struct soft_f80 *x87_st(struct soft_cpu *cpu, unsigned i)
{
	return &cpu->fpu.regs[x87_physical(cpu, i)];
}
static inline bool x87_is_empty(const struct soft_cpu *cpu, unsigned i)
{
	return cpu->fpu.empty >> x87_physical(cpu, i) & 1;
}
static inline void x87_set_valid(struct soft_cpu *cpu, unsigned i)
{
	cpu->fpu.empty &= (uint8_t) ~(1u << x87_physical(cpu, i));
}
static inline void x87_pop(struct soft_cpu *cpu)
{
	cpu->fpu.empty |= (uint8_t)(1u << cpu->fpu.top);
	cpu->fpu.top = (cpu->fpu.top + 1) & 7;
}
static inline void x87_put(struct soft_cpu *cpu, unsigned i, const struct soft_f80 *value)
{
	struct soft_f80 *to = x87_st(cpu, i);

	to->mantissa = value->mantissa;
	to->exponent = value->exponent;
	x87_set_valid(cpu, i);
}
static inline void x87_push(struct soft_cpu *cpu, const struct soft_f80 *value)
{
	cpu->fpu.top = (cpu->fpu.top - 1) & 7;
	x87_put(cpu, 0, value);
}

extern const struct soft_f80 x87_indefinite;

/* ---- status ---- */

/* Whether ES is as the exceptions and their masks say, after either changed. */
static inline void x87_summarize(struct soft_cpu *cpu)
{
	cpu->fpu.status &= (uint16_t) ~(X87_SUMMARY | X87_BUSY);
	if (cpu->fpu.status & ~cpu->fpu.control & X87_EXCEPTIONS)
		cpu->fpu.status |= X87_SUMMARY | X87_BUSY;
}

/* Takes over what the host's status word says: exceptions, C1 and the condition codes in `codes`. */
static inline void x87_take(struct soft_cpu *cpu, uint16_t host, uint16_t codes)
{
	codes |= X87_C1;
	cpu->fpu.status =
		(uint16_t)((cpu->fpu.status & ~codes) | (host & (codes | X87_EXCEPTIONS)));
	x87_summarize(cpu);
}

/* Exceptions of `host` that the guest does not mask. */
static inline uint16_t x87_unmasked(const struct soft_cpu *cpu, uint16_t host)
{
	return host & (uint16_t)~cpu->fpu.control & X87_EXCEPTIONS;
}

/* A stack fault. Whether it is masked: then the result is the indefinite number. */
static inline bool x87_fault(struct soft_cpu *cpu, bool overflow)
{
	x87_take(cpu, (uint16_t)(X87_INVALID | (overflow ? X87_C1 : 0)), 0);
	cpu->fpu.status |= X87_STACK_FAULT;
	return cpu->fpu.control & X87_INVALID;
}

/* At the begin of an instruction that waits: raises what earlier ones left. Systems that leave
 * CR0.NE clear have it told by an interrupt controller, which is not there. */
static inline void x87_wait(struct soft_cpu *cpu)
{
	if (unlikely(cpu->fpu.status & X87_SUMMARY) && (cpu->cr0 & SOFT_CR0_NE))
		soft_raise(cpu, SOFT_MF);
}
/* Where the instruction is, for the environment; when it can no more fault. */
static inline void x87_note(struct soft_cpu *cpu, const struct soft_op *op)
{
	cpu->fpu.instruction_ip = cpu->regs[SOFT_RIP] + op->ip;
	cpu->fpu.instruction_cs = cpu->segs[SOFT_CS].selector;
	if (op->flags & SOFT_OP_MEM) {
		cpu->fpu.data_address = soft_ea(cpu, op);
		cpu->fpu.data_ds = cpu->segs[op->seg].selector;
	}
}

/* ---- arithmetic (soft_x87_math.c) ---- */

enum x87_arith { X87_ADD, X87_MUL, X87_COM, X87_COMP, X87_SUB, X87_SUBR, X87_DIV, X87_DIVR };
enum x87_source { X87_F80, X87_F32, X87_F64, X87_I16, X87_I32 };

/* *a = *a op the operand at `b`, of the type `source`; comparisons leave *a. The host's status. */
uint16_t x87_arith(const struct soft_cpu *cpu, enum x87_arith arith, enum x87_source source,
	struct soft_f80 *a, const void *b);

/* D9 E0 to D9 FF: what acts upon ST(0), and maybe ST(1) in a[1]. Instructions that push leave the
 * pushed one in a[0] and what it was made from in a[1]; those that pop leave the result in a[0]. */
enum x87_unary {
	X87_CHS = 0x00,
	X87_ABS = 0x01,
	X87_TST = 0x04,
	X87_XAM = 0x05,
	X87_LD1 = 0x08,
	X87_LDZ = 0x0e,
	X87_F2XM1 = 0x10,
	X87_YL2X = 0x11,
	X87_PTAN = 0x12,
	X87_PATAN = 0x13,
	X87_XTRACT = 0x14,
	X87_PREM1 = 0x15,
	X87_DECSTP = 0x16,
	X87_INCSTP = 0x17,
	X87_PREM = 0x18,
	X87_YL2XP1 = 0x19,
	X87_SQRT = 0x1a,
	X87_SINCOS = 0x1b,
	X87_RNDINT = 0x1c,
	X87_SCALE = 0x1d,
	X87_SIN = 0x1e,
	X87_COS = 0x1f,
};
uint16_t x87_math(const struct soft_cpu *cpu, enum x87_unary unary, struct soft_f80 a[2]);
/* FUCOM. */
uint16_t x87_unordered(
	const struct soft_cpu *cpu, const struct soft_f80 *a, const struct soft_f80 *b);
/* FCOMI, FUCOMI; *flags as soft_cpu.cc, which the host may leave as it is. */
uint16_t x87_compare_flags(const struct soft_cpu *cpu, bool unordered, const struct soft_f80 *a,
	const struct soft_f80 *b, uint16_t *flags);
/* FLD of a narrower number; exceptions as if masked. */
uint16_t x87_widen(
	const struct soft_cpu *cpu, enum x87_source source, const void *b, struct soft_f80 *a);
/* Whether it pushes in spite of unmasked exceptions: some hosts do when it is a denormal. */
bool x87_widen_pushes(const struct soft_cpu *cpu, enum x87_source source, const void *b);
void x87_from_integer(int64_t value, struct soft_f80 *a);
void x87_from_bcd(const uint8_t bcd[10], struct soft_f80 *a);
/* FST; *out is only written when the status has no unmasked exception that forbids it. */
uint16_t x87_narrow(
	const struct soft_cpu *cpu, enum x87_source source, const struct soft_f80 *a, void *out);
/* FIST, FISTTP; size 2, 4 or 8. Exceptions as if masked. */
uint16_t x87_to_integer(const struct soft_cpu *cpu, const struct soft_f80 *a, unsigned size,
	bool truncate, int64_t *out);
uint16_t x87_to_bcd(const struct soft_cpu *cpu, const struct soft_f80 *a, uint8_t bcd[10]);

/* ---- the environment (soft_x87_env.c) ---- */

void x87_init(struct soft_cpu *cpu);
void x87_fldenv(struct soft_cpu *cpu, const struct soft_op *op);
void x87_fnstenv(struct soft_cpu *cpu, const struct soft_op *op);
void x87_frstor(struct soft_cpu *cpu, const struct soft_op *op);
void x87_fnsave(struct soft_cpu *cpu, const struct soft_op *op);
static inline void x87_set_control(struct soft_cpu *cpu, uint16_t value)
{
	cpu->fpu.control = (value & 0x1f3f) | 0x40;
	x87_summarize(cpu);
}
static inline uint16_t x87_status(const struct soft_cpu *cpu)
{
	return (uint16_t)(cpu->fpu.status | cpu->fpu.top << 11);
}

#endif

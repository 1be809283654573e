/* SPDX-License-Identifier: MIT */
/* How the functions of ops are written, and where decoding finds them. */
#ifndef HYPERVISOR_SOFT_OPS_H
#define HYPERVISOR_SOFT_OPS_H

#include "hypervisor/soft_internal.h"

/*
 * An op's function ends by going on with the next op. Where the compiler makes a jump of a call in
 * tail position, that is what it is; elsewhere (no optimisation, GCC with the address sanitizer) the
 * next op is returned and soft_cpu_run()'s loop calls it.
 */
#if defined(__clang__)
#define SOFT_TAIL            1
#define SOFT_TAIL_CALL(call) __attribute__((musttail)) return call
#elif defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define SOFT_TAIL            1
#define SOFT_TAIL_CALL(call) return call
#else
#define SOFT_TAIL 0
#endif

#define SOFT_OP_FUNCTION(name) \
	const struct soft_op *name(struct soft_cpu *cpu, const struct soft_op *op)
#define SOFT_OP(name) static SOFT_OP_FUNCTION(name)

#if !SOFT_TAIL
#define SOFT_TAIL_CALL(call) return call
#endif

#if SOFT_TAIL
#define SOFT_GO(target)                               \
	do {                                          \
		const struct soft_op *go_ = (target); \
		SOFT_TAIL_CALL(go_->fn(cpu, go_));    \
	} while (0)
#else
#define SOFT_GO(target) return (target)
#endif
#define SOFT_NEXT SOFT_GO(op + 1)

static inline uint32_t soft_requested(const struct soft_cpu *cpu)
{
	return __atomic_load_n(&cpu->request, __ATOMIC_RELAXED);
}

static inline struct soft_jump *soft_jump_at(struct soft_code *code, uint64_t linear)
{
	return &code->jumps[(linear ^ (linear >> SOFT_JUMP_BITS)) & (SOFT_JUMP_SIZE - 1)];
}

/* RIP was set: to the block there when it is known, else out. */
#define SOFT_JUMP_RIP                                                                  \
	do {                                                                           \
		uint64_t linear_ = cpu->regs[SOFT_RIP] + cpu->segs[SOFT_CS].base;      \
		const struct soft_jump *jump_ = soft_jump_at(cpu->code, linear_);      \
                                                                                       \
		if (likely(jump_->linear == linear_ && jump_->key == cpu->code->key && \
			    !soft_requested(cpu)))                                     \
			SOFT_GO(jump_->block->ops);                                    \
		return NULL;                                                           \
	} while (0)

/* RIP was set to where link 0 or 1 of the op's block leads. */
#define SOFT_FOLLOW(n)                                                                \
	do {                                                                          \
		const struct soft_block *block_ = (const struct soft_block *)op->imm; \
		const struct soft_block *to_ = block_->links[n].to;                   \
                                                                                      \
		if (likely(to_ && !soft_requested(cpu)))                              \
			SOFT_GO(to_->ops);                                            \
		SOFT_TAIL_CALL(soft_leave##n(cpu, op));                               \
	} while (0)

SOFT_OP_FUNCTION(soft_leave0);
SOFT_OP_FUNCTION(soft_leave1);

/* Where the arithmetic flags are in soft_cpu.cc. */
enum {
	SOFT_CC_O = 1 << 0,
	SOFT_CC_C = 1 << 8,
	SOFT_CC_P = 1 << 10,
	SOFT_CC_A = 1 << 12,
	SOFT_CC_Z = 1 << 14,
	SOFT_CC_S = 1 << 15,
};

/* Condition codes of Jcc, SETcc and CMOVcc. */
static inline bool soft_condition(uint32_t cc, unsigned condition)
{
	bool yes = false;

	switch (condition >> 1) {
	case 0: yes = cc & SOFT_CC_O; break;
	case 1: yes = cc & SOFT_CC_C; break;
	case 2: yes = cc & SOFT_CC_Z; break;
	case 3: yes = cc & (SOFT_CC_C | SOFT_CC_Z); break;
	case 4: yes = cc & SOFT_CC_S; break;
	case 5: yes = cc & SOFT_CC_P; break;
	case 6: yes = ((cc >> 15) ^ cc) & 1; break;
	default: yes = (((cc >> 15) ^ cc) & 1) | (cc & SOFT_CC_Z); break;
	}
	return yes != (condition & 1);
}

/* The address of the memory operand: F when nothing but base, index and displacement counts (64-bit
 * mode, 64-bit addresses, neither FS nor GS), G in general. */
static inline uint64_t soft_address_F(
	struct soft_cpu *cpu, const struct soft_op *op, unsigned size, bool write)
{
	return cpu->regs[op->base] + (cpu->regs[op->index] << op->scale) +
		(uint64_t)(int64_t)op->disp;
}
static inline uint64_t soft_address_G(
	struct soft_cpu *cpu, const struct soft_op *op, unsigned size, bool write)
{
	return soft_operand(cpu, op, size, write);
}

/* Where a load or store may go directly. False: it is for the slow path. Functions of ops that are hot
 * leave that to a second function, by a tail call: so they need no stack. */
#define SOFT_SLOW_OP(name) static __attribute__((noinline)) SOFT_OP_FUNCTION(name)

static inline bool soft_hit_read(
	const struct soft_cpu *cpu, uint64_t linear, unsigned size, void **at)
{
	const struct soft_tlb_entry *entry = soft_tlb_at(cpu, linear);

	*at = (void *)(entry->addend + linear);
	return likely(entry->read == ((linear + size - 1) & ~UINT64_C(4095)));
}
static inline bool soft_hit_write(
	const struct soft_cpu *cpu, uint64_t linear, unsigned size, void **at)
{
	const struct soft_tlb_entry *entry = soft_tlb_at(cpu, linear);

	*at = (void *)(entry->addend + linear);
	return likely(entry->write == ((linear + size - 1) & ~UINT64_C(4095)));
}

static inline uint64_t soft_get64(const struct soft_cpu *cpu, unsigned reg)
{
	return cpu->regs[reg];
}
static inline void soft_set64(struct soft_cpu *cpu, unsigned reg, uint64_t value)
{
	cpu->regs[reg] = value;
}

/* What decoding chooses from: operand sizes are 0 to 3 for 8 to 64 bits. */
enum soft_alu { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP, ALU_TEST };
enum soft_unary { UNARY_INC, UNARY_DEC, UNARY_NOT, UNARY_NEG };
enum soft_shift {
	SHIFT_ROL,
	SHIFT_ROR,
	SHIFT_RCL,
	SHIFT_RCR,
	SHIFT_SHL,
	SHIFT_SHR,
	SHIFT_SAL,
	SHIFT_SAR
};
enum soft_form {
	FORM_RR, /* rm, reg */
	FORM_RI, /* rm, immediate */
	FORM_RM, /* reg, memory */
	FORM_MR, /* memory, reg */
	FORM_MI, /* memory, immediate */
	FORMS
};

soft_fn *soft_alu_fn(enum soft_alu alu, unsigned size, enum soft_form form, bool general);
/* The same on registers, without flags. NULL: there is none. */
soft_fn *soft_alu_quiet_fn(enum soft_alu alu, unsigned size, enum soft_form form);
soft_fn *soft_shift_quiet_fn(enum soft_shift shift, unsigned size);
soft_fn *soft_unary_fn(enum soft_unary unary, unsigned size, bool memory, bool general);
/* by_cl: the count is CL, else imm. */
soft_fn *soft_shift_fn(enum soft_shift shift, unsigned size, bool memory, bool by_cl, bool general);
soft_fn *soft_mov_fn(unsigned size, enum soft_form form, bool general);
/* MOVZX, MOVSX, MOVSXD: from 0 to 2, to 1 to 3 (or from 2 to 2 or 1). */
soft_fn *soft_extend_fn(unsigned from, unsigned to, bool sign, bool memory, bool general);
soft_fn *soft_lea_fn(unsigned size, bool general);
soft_fn *soft_imul_fn(unsigned size, bool immediate, bool memory, bool general);
soft_fn *soft_cmov_fn(unsigned size, unsigned condition, bool memory, bool general);
soft_fn *soft_setcc_fn(unsigned condition, bool memory, bool general);
soft_fn *soft_jcc_fn(unsigned condition, bool long64);
/* size: 1 to 3. 64-bit stack only when long64. */
soft_fn *soft_push_fn(unsigned size, enum soft_form form, bool long64);
soft_fn *soft_pop_fn(unsigned size, bool long64);
soft_fn *soft_jump_fn(bool long64); /* JMP rel */
soft_fn *soft_call_fn(bool long64); /* CALL rel */
soft_fn *soft_jump_rm_fn(bool call, bool memory, bool long64);
soft_fn *soft_ret_fn(bool long64);
/* LOOPNE, LOOPE, LOOP, JCXZ: op->imm8 0 to 3. */
SOFT_OP_FUNCTION(soft_op_loop);

SOFT_OP_FUNCTION(soft_op_follow); /* to the block that comes next */
SOFT_OP_FUNCTION(soft_op_stale); /* the code was overwritten: out */
SOFT_OP_FUNCTION(soft_op_undefined); /* #UD */
SOFT_OP_FUNCTION(soft_op_too_long); /* #GP */
SOFT_OP_FUNCTION(soft_op_nop);
SOFT_OP_FUNCTION(soft_op_pause);
SOFT_OP_FUNCTION(soft_op_sti);
SOFT_OP_FUNCTION(soft_op_cli);
SOFT_OP_FUNCTION(soft_op_hlt);
SOFT_OP_FUNCTION(soft_op_xchg_rr32);
SOFT_OP_FUNCTION(soft_op_xchg_rr64);
SOFT_OP_FUNCTION(soft_op_convert); /* CBW, CWDE, CDQE */
SOFT_OP_FUNCTION(soft_op_spread); /* CWD, CDQ, CQO */
SOFT_OP_FUNCTION(soft_op_bswap);
SOFT_OP_FUNCTION(soft_op_moffs); /* MOV AL/eAX with an address in imm; rm: opcode */
/* Locked arithmetic on memory. rm: enum soft_alu, size << 4, 0x40: the source is imm. */
SOFT_OP_FUNCTION(soft_op_lock_alu);
/* rm: enum soft_unary, size << 4. */
SOFT_OP_FUNCTION(soft_op_lock_unary);
/* Calls op->call. The others check what their class asks for first. */
SOFT_OP_FUNCTION(soft_op_call);
SOFT_OP_FUNCTION(soft_op_call_x87);
SOFT_OP_FUNCTION(soft_op_call_fwait);
SOFT_OP_FUNCTION(soft_op_call_mmx);
SOFT_OP_FUNCTION(soft_op_call_sse);
SOFT_OP_FUNCTION(soft_op_call_kernel); /* CPL 0 */
SOFT_OP_FUNCTION(soft_op_call_end); /* the last op: goes on behind it */
SOFT_OP_FUNCTION(soft_op_call_kernel_end);
SOFT_OP_FUNCTION(soft_op_call_jump); /* the function set RIP */
SOFT_OP_FUNCTION(soft_op_call_kernel_jump);

#endif

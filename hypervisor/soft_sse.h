/* SPDX-License-Identifier: MIT */
/*
 * What the MMX and SSE instructions share: operands, and the guest's MXCSR around arithmetic. The
 * host's own instructions do the work, named in inline assembly so that operand order, NaNs and
 * flags are theirs to the bit. The host has SSE4.2 (soft_sse_supported()).
 */
#ifndef HYPERVISOR_SOFT_SSE_H
#define HYPERVISOR_SOFT_SSE_H

#include <emmintrin.h>

#include "hypervisor/soft_ops.h"

enum {
	MXCSR_FLAGS = 0x3f,
	MXCSR_INVALID = 1 << 0,
	MXCSR_DENORMAL = 1 << 1,
	MXCSR_ZERO_DIVIDE = 1 << 2,
	MXCSR_UNDERFLOW = 1 << 4,
	MXCSR_BEFORE = MXCSR_INVALID | MXCSR_DENORMAL | MXCSR_ZERO_DIVIDE, /* seen in operands */
	MXCSR_MASKS = 0x1f80,
	MXCSR_MASK_SHIFT = 7,
	MXCSR_FLUSH = 1 << 15,
	MXCSR_DEFAULT = 0x1f80,
	MXCSR_WRITABLE = 0xffff,
};

/* A row: an instruction's place in the opcode maps and its function. */
#define SSE_ROW(map, opcode, prefix, flags, call)                                                \
	{                                                                                        \
		SOFT_MAP_##map, 0x##opcode, SOFT_P_##prefix, SOFT_ANY, SOFT_ANY, SOFT_CLASS_SSE, \
			flags, call                                                              \
	}
#define MMX_ROW(map, opcode, flags, call)                                                    \
	{                                                                                    \
		SOFT_MAP_##map, 0x##opcode, SOFT_P_NONE, SOFT_ANY, SOFT_ANY, SOFT_CLASS_MMX, \
			flags, call                                                          \
	}

/* Assembly stubs of an instruction with an immediate, one for each value, 16 bytes apart: functions
 * of xmm0 and xmm1 that return xmm0. */
typedef __m128i sse_stub(__m128i a, __m128i b);
#define SSE_STUBS(name)                                                                     \
	__asm__(".pushsection .text\n\t.balign 16\n"                                        \
		"soft_stubs_" #name ":\n\t"                                                 \
		".set soft_imm, 0\n\t.rept 256\n\t.balign 16\n\t" #name                     \
		" $soft_imm, %xmm1, %xmm0\n\tret\n\t.set soft_imm, soft_imm + 1\n\t.endr\n" \
		".popsection\n");                                                           \
	extern const uint8_t soft_stubs_##name[] __attribute__((visibility("hidden")))
#define SSE_STUB(name, imm) ((sse_stub *)(uintptr_t)(soft_stubs_##name + 16 * (unsigned)(imm)))
/* Two XMM operands and an immediate: imm_NAME, by its stubs. */
#define SSE_IMMEDIATE_FUNCTION(name)                                           \
	static void imm_##name(struct soft_cpu *cpu, const struct soft_op *op) \
	{                                                                      \
		__m128i b = sse_source(cpu, op), a = sse_get(cpu, op->reg);    \
                                                                               \
		sse_set(cpu, op->reg, SSE_STUB(name, op->imm8)(a, b));         \
	}

/* ---- what is hot: functions of ops, not of rows ---- */

/* Whether nothing stands against SSE: else soft_op_call_sse() says what. */
static inline bool sse_is_on(const struct soft_cpu *cpu)
{
	return likely(!(cpu->cr0 & (SOFT_CR0_EM | SOFT_CR0_TS)) && (cpu->cr4 & SOFT_CR4_OSFXSR));
}
/* Gives `at`, the host's place of the memory operand of `size` bytes, in 64-bit code with a plain
 * address. What is not usual is left to the row's function. */
#define SSE_HOT_MEMORY(size, alignment, hit, write)                                            \
	uint64_t linear = soft_address_F(cpu, op, size, write);                                \
	void *at;                                                                              \
                                                                                               \
	if (unlikely(!sse_is_on(cpu) || !cpu->long64 || op->seg >= SOFT_FS ||                  \
		    (op->flags & (SOFT_OP_A16 | SOFT_OP_A32)) || (linear & ((alignment)-1)) || \
		    !hit(cpu, linear, size, &at)))                                             \
	SOFT_TAIL_CALL(soft_op_call_sse(cpu, op))
#define SSE_HOT_REGISTER               \
	if (unlikely(!sse_is_on(cpu))) \
	SOFT_TAIL_CALL(soft_op_call_sse(cpu, op))

/* ---- operands ---- */

static inline __m128i sse_get(const struct soft_cpu *cpu, unsigned reg)
{
	return _mm_load_si128((const __m128i *)&cpu->xmm[reg]);
}
static inline void sse_set(struct soft_cpu *cpu, unsigned reg, __m128i value)
{
	_mm_store_si128((__m128i *)&cpu->xmm[reg], value);
}

/* The linear address of an operand of 16 bytes that must be aligned. */
static inline uint64_t sse_aligned(struct soft_cpu *cpu, const struct soft_op *op, bool write)
{
	uint64_t linear = soft_operand(cpu, op, 16, write);

	if (unlikely(linear & 15))
		soft_raise_error(cpu, SOFT_GP, 0);
	return linear;
}
static inline __m128i sse_load(struct soft_cpu *cpu, const struct soft_op *op, uint64_t linear)
{
	union soft_xmm value = soft_load128(cpu, op, linear);

	return _mm_load_si128((const __m128i *)&value);
}
/* xmm/m128 */
static inline __m128i sse_source(struct soft_cpu *cpu, const struct soft_op *op)
{
	if (!(op->flags & SOFT_OP_MEM))
		return sse_get(cpu, op->rm);
	return sse_load(cpu, op, sse_aligned(cpu, op, false));
}
static inline __m128i sse_source_unaligned(struct soft_cpu *cpu, const struct soft_op *op)
{
	if (!(op->flags & SOFT_OP_MEM))
		return sse_get(cpu, op->rm);
	return sse_load(cpu, op, soft_operand(cpu, op, 16, false));
}
/* xmm/m64, xmm/m32: the upper part is of no account. */
static inline uint64_t sse_source64(struct soft_cpu *cpu, const struct soft_op *op)
{
	if (!(op->flags & SOFT_OP_MEM))
		return cpu->xmm[op->rm].q[0];
	return soft_load64(cpu, op, soft_operand(cpu, op, 8, false));
}
static inline uint32_t sse_source32(struct soft_cpu *cpu, const struct soft_op *op)
{
	if (!(op->flags & SOFT_OP_MEM))
		return cpu->xmm[op->rm].d[0];
	return soft_load32(cpu, op, soft_operand(cpu, op, 4, false));
}
static inline __m128i sse_low(uint64_t value)
{
	return _mm_cvtsi64_si128((int64_t)value);
}
static inline uint64_t sse_low_of(__m128i value)
{
	return (uint64_t)_mm_cvtsi128_si64(value);
}

/* ---- MMX registers: the mantissas of the x87 ones ---- */

/* Before an MMX instruction does anything: what x87 still has to say. */
static inline void mmx_check(struct soft_cpu *cpu)
{
	if (unlikely(cpu->fpu.status & 0x80))
		soft_raise(cpu, SOFT_MF);
}
/* What every MMX instruction but EMMS does to the x87 state, when it can no more fault. */
static inline void mmx_enter(struct soft_cpu *cpu)
{
	cpu->fpu.top = 0;
	cpu->fpu.empty = 0;
}
static inline uint64_t mmx_get(const struct soft_cpu *cpu, unsigned reg)
{
	return cpu->fpu.regs[reg & 7].mantissa;
}
static inline void mmx_set(struct soft_cpu *cpu, unsigned reg, uint64_t value)
{
	cpu->fpu.regs[reg & 7].mantissa = value;
	cpu->fpu.regs[reg & 7].exponent = 0xffff;
}
/* mm/m64 */
static inline uint64_t mmx_source(struct soft_cpu *cpu, const struct soft_op *op)
{
	mmx_check(cpu);
	if (!(op->flags & SOFT_OP_MEM))
		return mmx_get(cpu, op->rm);
	return soft_load64(cpu, op, soft_operand(cpu, op, 8, false));
}

/* mm/m32 */
static inline uint64_t mmx_source32(struct soft_cpu *cpu, const struct soft_op *op)
{
	mmx_check(cpu);
	if (!(op->flags & SOFT_OP_MEM))
		return mmx_get(cpu, op->rm);
	return soft_load32(cpu, op, soft_operand(cpu, op, 4, false));
}

/* ---- arithmetic under the guest's MXCSR ---- */

/* With exceptions masked the host's register may stay as the guest's; anything else than the default
 * modes must not be seen by other code of the host, and flags that matter are gathered anew. */
static inline bool sse_is_plain(uint32_t mxcsr)
{
	return (mxcsr & ~(uint32_t)MXCSR_FLAGS) == MXCSR_DEFAULT;
}
/* The compiler's own intrinsics are not kept in order with assembly. */
static inline uint32_t sse_get_host(void)
{
	uint32_t value;

	__asm__ volatile("stmxcsr %0" : "=m"(value) : : "memory");
	return value;
}
static inline void sse_set_host(uint32_t value)
{
	__asm__ volatile("ldmxcsr %0" : : "m"(value) : "memory");
}
static inline void sse_begin(const struct soft_cpu *cpu)
{
	uint32_t want = cpu->mxcsr;

	if (unlikely(!sse_is_plain(want))) {
		/* Unmasked, an underflow is none that is flushed. */
		if (!(want & MXCSR_UNDERFLOW << MXCSR_MASK_SHIFT))
			want &= ~(uint32_t)MXCSR_FLUSH;
		want = (want & ~(uint32_t)MXCSR_FLAGS) | MXCSR_MASKS;
	}
	if (sse_get_host() != want)
		sse_set_host(want);
}
#define SSE_NOT_PLAIN (1u << 31)
/* 0 when all is done; else what sse_judge() wants. */
static inline uint32_t sse_end(struct soft_cpu *cpu)
{
	uint32_t flags = sse_get_host();

	if (likely(sse_is_plain(cpu->mxcsr))) {
		cpu->mxcsr = flags;
		return 0;
	}
	sse_set_host(MXCSR_DEFAULT);
	return (flags & MXCSR_FLAGS) | SSE_NOT_PLAIN;
}
/* Whether the instruction is to be run once more, between sse_begin_tiny() and sse_end_tiny(): an
 * unmasked underflow is one although nothing was lost, which masked execution does not tell. */
static inline bool sse_wants_tiny(const struct soft_cpu *cpu, uint32_t flags)
{
	return !(cpu->mxcsr & MXCSR_UNDERFLOW << MXCSR_MASK_SHIFT) && !(flags & MXCSR_UNDERFLOW);
}
static inline void sse_begin_tiny(const struct soft_cpu *cpu)
{
	sse_set_host((cpu->mxcsr & ~(uint32_t)MXCSR_FLAGS) | MXCSR_MASKS | MXCSR_FLUSH);
}
static inline uint32_t sse_end_tiny(void)
{
	uint32_t flags = sse_get_host();

	sse_set_host(MXCSR_DEFAULT);
	return flags & MXCSR_UNDERFLOW;
}
/* Keeps the flags; raises the unmasked exceptions: #XM, or #UD when the system knows none. */
void sse_judge(struct soft_cpu *cpu, uint32_t flags);

/* Runs `statement`, assembly that changes `value`, under the guest's MXCSR; may raise. Where the host's
 * register is the guest's already, and stays so, it is not loaded: that is what is usual. */
#define SSE_ARITHMETIC(cpu, value, statement)                       \
	do {                                                        \
		__typeof__(value) saved_ = (value);                 \
		uint32_t flags_;                                    \
                                                                    \
		if (likely(sse_is_plain((cpu)->mxcsr))) {           \
			statement;                                  \
			if (likely(sse_get_host() == (cpu)->mxcsr)) \
				break;                              \
			(value) = saved_;                           \
		}                                                   \
		sse_begin(cpu);                                     \
		statement;                                          \
		flags_ = sse_end(cpu);                              \
		if (unlikely(flags_)) {                             \
			__typeof__(value) result_ = (value);        \
                                                                    \
			if (sse_wants_tiny(cpu, flags_)) {          \
				(value) = saved_;                   \
				sse_begin_tiny(cpu);                \
				statement;                          \
				flags_ |= sse_end_tiny();           \
				(value) = result_;                  \
			}                                           \
			sse_judge(cpu, flags_);                     \
		}                                                   \
	} while (0)

#endif

/* SPDX-License-Identifier: MIT */
/* SSE to SSE4.1 arithmetic, comparisons and conversions, under the guest's MXCSR. */
#include "core/util.h"
#include "hypervisor/soft_sse.h"

void sse_judge(struct soft_cpu *cpu, uint32_t flags)
{
	uint32_t unmasked = flags & ~(cpu->mxcsr >> MXCSR_MASK_SHIFT) & MXCSR_FLAGS;

	/* An operand's fault stops the instruction before its result can have any. */
	if (unmasked & MXCSR_BEFORE)
		flags &= MXCSR_BEFORE;
	cpu->mxcsr |= flags & MXCSR_FLAGS;
	if (unmasked)
		soft_raise(cpu, cpu->cr4 & SOFT_CR4_OSXMMEXCPT ? SOFT_XM : SOFT_UD);
}

/* ---- two operands ---- */

/* Packed: from aligned memory. */
#define FP_PACKED(name)                                                                       \
	static void fp_##name(struct soft_cpu *cpu, const struct soft_op *op)                 \
	{                                                                                     \
		__m128i b = sse_source(cpu, op), a = sse_get(cpu, op->reg);                   \
                                                                                              \
		SSE_ARITHMETIC(cpu, a, __asm__ volatile(#name " %1, %0" : "+x"(a) : "x"(b))); \
		sse_set(cpu, op->reg, a);                                                     \
	}
/* Scalar: the rest of the destination stays. */
#define FP_SCALAR(name, bits)                                                                 \
	static void fp_##name(struct soft_cpu *cpu, const struct soft_op *op)                 \
	{                                                                                     \
		__m128i b = sse_low(sse_source##bits(cpu, op)), a = sse_get(cpu, op->reg);    \
                                                                                              \
		SSE_ARITHMETIC(cpu, a, __asm__ volatile(#name " %1, %0" : "+x"(a) : "x"(b))); \
		sse_set(cpu, op->reg, a);                                                     \
	}
#define FP_FOUR(stem) \
	FP_PACKED(stem##ps) FP_PACKED(stem##pd) FP_SCALAR(stem##ss, 32) FP_SCALAR(stem##sd, 64)

FP_FOUR(sqrt)
FP_FOUR(add)
FP_FOUR(mul)
FP_FOUR(sub)
FP_FOUR(min)
FP_FOUR(div)
FP_FOUR(max)
FP_PACKED(haddps)
FP_PACKED(haddpd)
FP_PACKED(hsubps)
FP_PACKED(hsubpd)
FP_PACKED(addsubps)
FP_PACKED(addsubpd)
/* Reciprocals raise nothing; conversions of integers and widenings may. */
FP_PACKED(rcpps)
FP_SCALAR(rcpss, 32)
FP_PACKED(rsqrtps)
FP_SCALAR(rsqrtss, 32)
FP_SCALAR(cvtss2sd, 32)
FP_SCALAR(cvtsd2ss, 64)
FP_PACKED(cvtpd2ps)
FP_PACKED(cvtdq2ps)
FP_PACKED(cvtps2dq)
FP_PACKED(cvttps2dq)
FP_PACKED(cvtpd2dq)
FP_PACKED(cvttpd2dq)
FP_SCALAR(cvtps2pd, 64)
FP_SCALAR(cvtdq2pd, 64)

/* ---- comparisons ---- */

SSE_STUBS(cmpps);
SSE_STUBS(cmppd);
SSE_STUBS(cmpss);
SSE_STUBS(cmpsd);
SSE_STUBS(roundps);
SSE_STUBS(roundpd);
SSE_STUBS(roundss);
SSE_STUBS(roundsd);
SSE_STUBS(dpps);
SSE_STUBS(dppd);

#define FP_IMMEDIATE(name, load)                                              \
	static void fp_##name(struct soft_cpu *cpu, const struct soft_op *op) \
	{                                                                     \
		__m128i b = load, a = sse_get(cpu, op->reg);                  \
                                                                              \
		SSE_ARITHMETIC(cpu, a, a = SSE_STUB(name, op->imm8)(a, b));   \
		sse_set(cpu, op->reg, a);                                     \
	}
FP_IMMEDIATE(cmpps, sse_source(cpu, op))
FP_IMMEDIATE(cmppd, sse_source(cpu, op))
FP_IMMEDIATE(cmpss, sse_low(sse_source32(cpu, op)))
FP_IMMEDIATE(cmpsd, sse_low(sse_source64(cpu, op)))
FP_IMMEDIATE(roundps, sse_source(cpu, op))
FP_IMMEDIATE(roundpd, sse_source(cpu, op))
FP_IMMEDIATE(roundss, sse_low(sse_source32(cpu, op)))
FP_IMMEDIATE(roundsd, sse_low(sse_source64(cpu, op)))
FP_IMMEDIATE(dpps, sse_source(cpu, op))
FP_IMMEDIATE(dppd, sse_source(cpu, op))

#define FP_FLAGS(name, bits)                                                                    \
	static void fp_##name(struct soft_cpu *cpu, const struct soft_op *op)                   \
	{                                                                                       \
		__m128i b = sse_low(sse_source##bits(cpu, op)), a = sse_get(cpu, op->reg);      \
		bool zero = false, parity = false, carry = false;                               \
                                                                                                \
		SSE_ARITHMETIC(cpu, a,                                                          \
			__asm__ volatile(#name " %4, %3"                                        \
					 : "=@ccz"(zero), "=@ccp"(parity), "=@ccc"(carry)       \
					 : "x"(a), "x"(b)));                                    \
		soft_set_arith_flags(cpu,                                                       \
			(zero ? SOFT_ZF : 0) | (parity ? SOFT_PF : 0) | (carry ? SOFT_CF : 0)); \
	}
FP_FLAGS(ucomiss, 32)
FP_FLAGS(ucomisd, 64)
FP_FLAGS(comiss, 32)
FP_FLAGS(comisd, 64)

/* ---- general registers ---- */

static uint64_t general_source(struct soft_cpu *cpu, const struct soft_op *op)
{
	bool wide = op->flags & SOFT_OP_W;

	if (!(op->flags & SOFT_OP_MEM))
		return cpu->regs[op->rm];
	if (wide)
		return soft_load64(cpu, op, soft_operand(cpu, op, 8, false));
	return soft_load32(cpu, op, soft_operand(cpu, op, 4, false));
}

#define FP_FROM_GENERAL(name)                                                 \
	static void fp_##name(struct soft_cpu *cpu, const struct soft_op *op) \
	{                                                                     \
		uint64_t value = general_source(cpu, op);                     \
		__m128i a = sse_get(cpu, op->reg);                            \
                                                                              \
		if (op->flags & SOFT_OP_W)                                    \
			SSE_ARITHMETIC(cpu, a,                                \
				__asm__ volatile(#name "q %1, %0"             \
						 : "+x"(a)                    \
						 : "r"(value)));              \
		else                                                          \
			SSE_ARITHMETIC(cpu, a,                                \
				__asm__ volatile(#name "l %1, %0"             \
						 : "+x"(a)                    \
						 : "r"((uint32_t)value)));    \
		sse_set(cpu, op->reg, a);                                     \
	}
FP_FROM_GENERAL(cvtsi2ss)
FP_FROM_GENERAL(cvtsi2sd)

#define FP_TO_GENERAL(name, bits)                                             \
	static void fp_##name(struct soft_cpu *cpu, const struct soft_op *op) \
	{                                                                     \
		__m128i b = sse_low(sse_source##bits(cpu, op));               \
		uint64_t value = 0;                                           \
		uint32_t narrow = 0;                                          \
                                                                              \
		if (op->flags & SOFT_OP_W) {                                  \
			SSE_ARITHMETIC(cpu, value,                            \
				__asm__ volatile(#name " %1, %0"              \
						 : "=r"(value)                \
						 : "x"(b)));                  \
		} else {                                                      \
			SSE_ARITHMETIC(cpu, narrow,                           \
				__asm__ volatile(#name " %1, %0"              \
						 : "=r"(narrow)               \
						 : "x"(b)));                  \
			value = narrow;                                       \
		}                                                             \
		cpu->regs[op->reg] = value;                                   \
	}
FP_TO_GENERAL(cvttss2si, 32)
FP_TO_GENERAL(cvtss2si, 32)
FP_TO_GENERAL(cvttsd2si, 64)
FP_TO_GENERAL(cvtsd2si, 64)

/* ---- the control register ---- */

static void fp_ldmxcsr(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint32_t value = soft_load32(cpu, op, soft_operand(cpu, op, 4, false));

	if (value & ~(uint32_t)MXCSR_WRITABLE)
		soft_raise_error(cpu, SOFT_GP, 0);
	cpu->mxcsr = value;
}

static void fp_stmxcsr(struct soft_cpu *cpu, const struct soft_op *op)
{
	soft_store32(cpu, op, soft_operand(cpu, op, 4, true), cpu->mxcsr);
}

/* ---- the same, faster: while MXCSR is as systems leave it, and stays as it is ---- */

#define HOT_ARITHMETIC(name, load)                            \
	__m128i a, b;                                         \
                                                              \
	if (unlikely(!sse_is_plain(cpu->mxcsr)))              \
		SOFT_TAIL_CALL(soft_op_call_sse(cpu, op));    \
	a = sse_get(cpu, op->reg);                            \
	b = load;                                             \
	__asm__ volatile(#name " %1, %0" : "+x"(a) : "x"(b)); \
	if (unlikely(sse_get_host() != cpu->mxcsr))           \
		SOFT_TAIL_CALL(soft_op_call_sse(cpu, op));    \
	sse_set(cpu, op->reg, a);                             \
	SOFT_NEXT
#define HOT_REGISTER(name)                                          \
	SOFT_OP(hot_reg_##name)                                     \
	{                                                           \
		SSE_HOT_REGISTER;                                   \
		{                                                   \
			HOT_ARITHMETIC(name, sse_get(cpu, op->rm)); \
		}                                                   \
	}
#define HOT_MEMORY(name, size, alignment, load)                        \
	SOFT_OP(hot_mem_##name)                                        \
	{                                                              \
		SSE_HOT_MEMORY(size, alignment, soft_hit_read, false); \
		{                                                      \
			HOT_ARITHMETIC(name, load);                    \
		}                                                      \
	}
#define HOT_FOUR(stem)                                              \
	HOT_REGISTER(stem##ps)                                      \
	HOT_REGISTER(stem##pd)                                      \
	HOT_REGISTER(stem##ss)                                      \
	HOT_REGISTER(stem##sd)                                      \
	HOT_MEMORY(stem##ps, 16, 16, _mm_loadu_si128(at))           \
	HOT_MEMORY(stem##pd, 16, 16, _mm_loadu_si128(at))           \
	HOT_MEMORY(stem##ss, 4, 1, _mm_cvtsi32_si128(load_int(at))) \
	HOT_MEMORY(stem##sd, 8, 1, _mm_loadl_epi64(at))

static inline int load_int(const void *at)
{
	int value;

	memcpy(&value, at, sizeof(value));
	return value;
}

HOT_FOUR(sqrt)
HOT_FOUR(add)
HOT_FOUR(mul)
HOT_FOUR(sub)
HOT_FOUR(min)
HOT_FOUR(div)
HOT_FOUR(max)
HOT_REGISTER(cvtss2sd)
HOT_REGISTER(cvtsd2ss)
HOT_REGISTER(cvtdq2ps)
HOT_REGISTER(cvttps2dq)

#define HOT_ROW(name)                                     \
	{                                                 \
		fp_##name, hot_reg_##name, hot_mem_##name \
	}
#define HOT_ROWS(stem) HOT_ROW(stem##ps), HOT_ROW(stem##pd), HOT_ROW(stem##ss), HOT_ROW(stem##sd)

static const struct soft_hot hot_rows[] = {
	HOT_ROWS(sqrt),
	HOT_ROWS(add),
	HOT_ROWS(mul),
	HOT_ROWS(sub),
	HOT_ROWS(min),
	HOT_ROWS(div),
	HOT_ROWS(max),
	{ fp_cvtss2sd, hot_reg_cvtss2sd, NULL },
	{ fp_cvtsd2ss, hot_reg_cvtsd2ss, NULL },
	{ fp_cvtdq2ps, hot_reg_cvtdq2ps, NULL },
	{ fp_cvttps2dq, hot_reg_cvttps2dq, NULL },
};

const struct soft_hot_table soft_sse_fp_hot = { hot_rows, ARRAY_SIZE(hot_rows) };

/* ---- the table ---- */

#define FOUR_ROWS(stem, opcode)                                                                 \
	SSE_ROW(0F, opcode, NONE, 0, fp_##stem##ps), SSE_ROW(0F, opcode, 66, 0, fp_##stem##pd), \
		SSE_ROW(0F, opcode, F3, 0, fp_##stem##ss),                                      \
		SSE_ROW(0F, opcode, F2, 0, fp_##stem##sd)
#define CONTROL_ROW(extension, call)                                                               \
	{                                                                                          \
		SOFT_MAP_0F, 0xae, SOFT_P_NONE, extension, SOFT_ANY, SOFT_CLASS_SSE, SOFT_ROW_MEM, \
			call                                                                       \
	}

static const struct soft_row rows[] = {
	FOUR_ROWS(sqrt, 51),
	FOUR_ROWS(add, 58),
	FOUR_ROWS(mul, 59),
	FOUR_ROWS(sub, 5c),
	FOUR_ROWS(min, 5d),
	FOUR_ROWS(div, 5e),
	FOUR_ROWS(max, 5f),
	SSE_ROW(0F, 52, NONE, 0, fp_rsqrtps),
	SSE_ROW(0F, 52, F3, 0, fp_rsqrtss),
	SSE_ROW(0F, 53, NONE, 0, fp_rcpps),
	SSE_ROW(0F, 53, F3, 0, fp_rcpss),
	SSE_ROW(0F, 5a, NONE, 0, fp_cvtps2pd),
	SSE_ROW(0F, 5a, 66, 0, fp_cvtpd2ps),
	SSE_ROW(0F, 5a, F3, 0, fp_cvtss2sd),
	SSE_ROW(0F, 5a, F2, 0, fp_cvtsd2ss),
	SSE_ROW(0F, 5b, NONE, 0, fp_cvtdq2ps),
	SSE_ROW(0F, 5b, 66, 0, fp_cvtps2dq),
	SSE_ROW(0F, 5b, F3, 0, fp_cvttps2dq),
	SSE_ROW(0F, e6, 66, 0, fp_cvttpd2dq),
	SSE_ROW(0F, e6, F3, 0, fp_cvtdq2pd),
	SSE_ROW(0F, e6, F2, 0, fp_cvtpd2dq),
	SSE_ROW(0F, 7c, 66, 0, fp_haddpd),
	SSE_ROW(0F, 7c, F2, 0, fp_haddps),
	SSE_ROW(0F, 7d, 66, 0, fp_hsubpd),
	SSE_ROW(0F, 7d, F2, 0, fp_hsubps),
	SSE_ROW(0F, d0, 66, 0, fp_addsubpd),
	SSE_ROW(0F, d0, F2, 0, fp_addsubps),
	SSE_ROW(0F, c2, NONE, SOFT_ROW_IMM8, fp_cmpps),
	SSE_ROW(0F, c2, 66, SOFT_ROW_IMM8, fp_cmppd),
	SSE_ROW(0F, c2, F3, SOFT_ROW_IMM8, fp_cmpss),
	SSE_ROW(0F, c2, F2, SOFT_ROW_IMM8, fp_cmpsd),
	SSE_ROW(0F3A, 08, 66, SOFT_ROW_IMM8, fp_roundps),
	SSE_ROW(0F3A, 09, 66, SOFT_ROW_IMM8, fp_roundpd),
	SSE_ROW(0F3A, 0a, 66, SOFT_ROW_IMM8, fp_roundss),
	SSE_ROW(0F3A, 0b, 66, SOFT_ROW_IMM8, fp_roundsd),
	SSE_ROW(0F3A, 40, 66, SOFT_ROW_IMM8, fp_dpps),
	SSE_ROW(0F3A, 41, 66, SOFT_ROW_IMM8, fp_dppd),
	SSE_ROW(0F, 2e, NONE, 0, fp_ucomiss),
	SSE_ROW(0F, 2e, 66, 0, fp_ucomisd),
	SSE_ROW(0F, 2f, NONE, 0, fp_comiss),
	SSE_ROW(0F, 2f, 66, 0, fp_comisd),
	SSE_ROW(0F, 2a, F3, 0, fp_cvtsi2ss),
	SSE_ROW(0F, 2a, F2, 0, fp_cvtsi2sd),
	SSE_ROW(0F, 2c, F3, 0, fp_cvttss2si),
	SSE_ROW(0F, 2c, F2, 0, fp_cvttsd2si),
	SSE_ROW(0F, 2d, F3, 0, fp_cvtss2si),
	SSE_ROW(0F, 2d, F2, 0, fp_cvtsd2si),
	CONTROL_ROW(2, fp_ldmxcsr),
	CONTROL_ROW(3, fp_stmxcsr),
};

const struct soft_table soft_sse_fp_table = { rows, ARRAY_SIZE(rows) };

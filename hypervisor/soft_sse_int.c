/* SPDX-License-Identifier: MIT */
/* SSE2 to SSE4.2 on integers: two operands, shifts, packed tests, strings. */
#include "core/util.h"
#include "hypervisor/soft_sse.h"

/* Destination and source in XMM registers, the source maybe in aligned memory. */
#define SSE_INT(name)                                                          \
	static void int_##name(struct soft_cpu *cpu, const struct soft_op *op) \
	{                                                                      \
		__m128i b = sse_source(cpu, op), a = sse_get(cpu, op->reg);    \
                                                                               \
		__asm__(#name " %1, %0" : "+x"(a) : "x"(b));                   \
		sse_set(cpu, op->reg, a);                                      \
	}

/* clang-format off */
#define FOR_EACH_SSE2(X) \
	X(punpcklbw, 60) X(punpcklwd, 61) X(punpckldq, 62) X(packsswb, 63) X(pcmpgtb, 64) \
	X(pcmpgtw, 65) X(pcmpgtd, 66) X(packuswb, 67) X(punpckhbw, 68) X(punpckhwd, 69) \
	X(punpckhdq, 6a) X(packssdw, 6b) X(punpcklqdq, 6c) X(punpckhqdq, 6d) X(pcmpeqb, 74) \
	X(pcmpeqw, 75) X(pcmpeqd, 76) X(psrlw, d1) X(psrld, d2) X(psrlq, d3) X(paddq, d4) \
	X(pmullw, d5) X(psubusb, d8) X(psubusw, d9) X(pminub, da) X(pand, db) \
	X(paddusb, dc) X(paddusw, dd) X(pmaxub, de) X(pandn, df) X(pavgb, e0) X(psraw, e1) \
	X(psrad, e2) X(pavgw, e3) X(pmulhuw, e4) X(pmulhw, e5) X(psubsb, e8) X(psubsw, e9) \
	X(pminsw, ea) X(por, eb) X(paddsb, ec) X(paddsw, ed) X(pmaxsw, ee) X(pxor, ef) \
	X(psllw, f1) X(pslld, f2) X(psllq, f3) X(pmuludq, f4) X(pmaddwd, f5) X(psadbw, f6) \
	X(psubb, f8) X(psubw, f9) X(psubd, fa) X(psubq, fb) X(paddb, fc) X(paddw, fd) \
	X(paddd, fe)

#define FOR_EACH_SSE4(X) \
	X(pshufb, 00) X(phaddw, 01) X(phaddd, 02) X(phaddsw, 03) X(pmaddubsw, 04) \
	X(phsubw, 05) X(phsubd, 06) X(phsubsw, 07) X(psignb, 08) X(psignw, 09) \
	X(psignd, 0a) X(pmulhrsw, 0b) X(pabsb, 1c) X(pabsw, 1d) X(pabsd, 1e) X(pmuldq, 28) \
	X(pcmpeqq, 29) X(packusdw, 2b) X(pcmpgtq, 37) X(pminsb, 38) X(pminsd, 39) \
	X(pminuw, 3a) X(pminud, 3b) X(pmaxsb, 3c) X(pmaxsd, 3d) X(pmaxuw, 3e) X(pmaxud, 3f) \
	X(pmulld, 40) X(phminposuw, 41)

/* Widening: the source in memory is as small as it gets. */
#define FOR_EACH_WIDENING(X) \
	X(pmovsxbw, 20, 8) X(pmovsxbd, 21, 4) X(pmovsxbq, 22, 2) X(pmovsxwd, 23, 8) \
	X(pmovsxwq, 24, 4) X(pmovsxdq, 25, 8) X(pmovzxbw, 30, 8) X(pmovzxbd, 31, 4) \
	X(pmovzxbq, 32, 2) X(pmovzxwd, 33, 8) X(pmovzxwq, 34, 4) X(pmovzxdq, 35, 8)
/* clang-format on */

#define SSE_INT_HOT(name)                                     \
	SOFT_OP(hot_reg_##name)                               \
	{                                                     \
		__m128i a, b;                                 \
                                                              \
		SSE_HOT_REGISTER;                             \
		a = sse_get(cpu, op->reg);                    \
		b = sse_get(cpu, op->rm);                     \
		__asm__(#name " %1, %0" : "+x"(a) : "x"(b));  \
		sse_set(cpu, op->reg, a);                     \
		SOFT_NEXT;                                    \
	}                                                     \
	SOFT_OP(hot_mem_##name)                               \
	{                                                     \
		__m128i a, b;                                 \
		SSE_HOT_MEMORY(16, 16, soft_hit_read, false); \
		a = sse_get(cpu, op->reg);                    \
		b = _mm_loadu_si128(at);                      \
		__asm__(#name " %1, %0" : "+x"(a) : "x"(b));  \
		sse_set(cpu, op->reg, a);                     \
		SOFT_NEXT;                                    \
	}

#define INT_FUNCTION(name, opcode) \
	SSE_INT(name)              \
	SSE_INT_HOT(name)
FOR_EACH_SSE2(INT_FUNCTION)
FOR_EACH_SSE4(INT_FUNCTION)

static uint64_t source_of(struct soft_cpu *cpu, const struct soft_op *op, unsigned size)
{
	uint64_t linear;

	if (!(op->flags & SOFT_OP_MEM))
		return cpu->xmm[op->rm].q[0];
	linear = soft_operand(cpu, op, size, false);
	switch (size) {
	case 2: return soft_load16(cpu, op, linear);
	case 4: return soft_load32(cpu, op, linear);
	default: return soft_load64(cpu, op, linear);
	}
}

#define WIDENING_FUNCTION(name, opcode, size)                                  \
	static void int_##name(struct soft_cpu *cpu, const struct soft_op *op) \
	{                                                                      \
		__m128i a, b = sse_low(source_of(cpu, op, size));              \
                                                                               \
		__asm__(#name " %1, %0" : "=x"(a) : "x"(b));                   \
		sse_set(cpu, op->reg, a);                                      \
	}
FOR_EACH_WIDENING(WIDENING_FUNCTION)

/* ---- shifts by an immediate: of a register ---- */

#define SHIFT_FUNCTION(name)                                                           \
	static void shift_##name(struct soft_cpu *cpu, const struct soft_op *op)       \
	{                                                                              \
		__m128i a = sse_get(cpu, op->rm), count = _mm_cvtsi32_si128(op->imm8); \
                                                                                       \
		__asm__(#name " %1, %0" : "+x"(a) : "x"(count));                       \
		sse_set(cpu, op->rm, a);                                               \
	}
SHIFT_FUNCTION(psrlw)
SHIFT_FUNCTION(psraw)
SHIFT_FUNCTION(psllw)
SHIFT_FUNCTION(psrld)
SHIFT_FUNCTION(psrad)
SHIFT_FUNCTION(pslld)
SHIFT_FUNCTION(psrlq)
SHIFT_FUNCTION(psllq)

static void shift_psrldq(struct soft_cpu *cpu, const struct soft_op *op)
{
	union soft_xmm value = { .q = { 0, 0 } };

	for (unsigned i = op->imm8; i < 16; i++)
		value.b[i - op->imm8] = cpu->xmm[op->rm].b[i];
	cpu->xmm[op->rm] = value;
}

static void shift_pslldq(struct soft_cpu *cpu, const struct soft_op *op)
{
	union soft_xmm value = { .q = { 0, 0 } };

	for (unsigned i = op->imm8; i < 16; i++)
		value.b[i] = cpu->xmm[op->rm].b[i - op->imm8];
	cpu->xmm[op->rm] = value;
}

/* ---- immediates ---- */

SSE_STUBS(palignr);
SSE_STUBS(pblendw);
SSE_STUBS(mpsadbw);
SSE_STUBS(pshufd);
SSE_STUBS(pshufhw);
SSE_STUBS(pshuflw);
SSE_STUBS(pcmpestrm);
SSE_STUBS(pcmpistrm);

SSE_IMMEDIATE_FUNCTION(palignr)
SSE_IMMEDIATE_FUNCTION(pblendw)
SSE_IMMEDIATE_FUNCTION(mpsadbw)
SSE_IMMEDIATE_FUNCTION(pshufd)
SSE_IMMEDIATE_FUNCTION(pshufhw)
SSE_IMMEDIATE_FUNCTION(pshuflw)

/* ---- what is of its own kind ---- */

static void int_pblendvb(struct soft_cpu *cpu, const struct soft_op *op)
{
	__m128i b = sse_source(cpu, op), a = sse_get(cpu, op->reg), mask = sse_get(cpu, 0);

	a = _mm_or_si128(_mm_and_si128(_mm_cmplt_epi8(mask, _mm_setzero_si128()), b),
		_mm_andnot_si128(_mm_cmplt_epi8(mask, _mm_setzero_si128()), a));
	sse_set(cpu, op->reg, a);
}

static void int_blendvps(struct soft_cpu *cpu, const struct soft_op *op)
{
	__m128i b = sse_source(cpu, op), a = sse_get(cpu, op->reg);
	__m128i mask = _mm_srai_epi32(sse_get(cpu, 0), 31);

	sse_set(cpu, op->reg, _mm_or_si128(_mm_and_si128(mask, b), _mm_andnot_si128(mask, a)));
}

static void int_blendvpd(struct soft_cpu *cpu, const struct soft_op *op)
{
	__m128i b = sse_source(cpu, op), a = sse_get(cpu, op->reg);
	__m128i mask = _mm_shuffle_epi32(_mm_srai_epi32(sse_get(cpu, 0), 31), 0xf5);

	sse_set(cpu, op->reg, _mm_or_si128(_mm_and_si128(mask, b), _mm_andnot_si128(mask, a)));
}

static void int_ptest(struct soft_cpu *cpu, const struct soft_op *op)
{
	__m128i b = sse_source(cpu, op), a = sse_get(cpu, op->reg);
	bool zero = false, carry = false;

	__asm__("ptest %3, %2" : "=@ccz"(zero), "=@ccc"(carry) : "x"(a), "x"(b));
	soft_set_arith_flags(cpu, (zero ? SOFT_ZF : 0) | (carry ? SOFT_CF : 0));
}

static void int_pmovmskb(struct soft_cpu *cpu, const struct soft_op *op)
{
	soft_set32(cpu, op->reg, (uint32_t)_mm_movemask_epi8(sse_get(cpu, op->rm)));
}

static void int_movntdqa(struct soft_cpu *cpu, const struct soft_op *op)
{
	sse_set(cpu, op->reg, sse_source(cpu, op));
}

/* ---- strings ---- */

/* ECX and flags, for each immediate; lengths in EDI and ESI. */
struct string_result {
	uint64_t index;
	uint64_t flags;
};
typedef struct string_result string_stub(__m128i a, __m128i b, int length_a, int length_b);
#define STRING_STUBS(name)                                                                       \
	__asm__(".pushsection .text\n\t.balign 32\n"                                             \
		"soft_stubs_" #name ":\n\t"                                                      \
		".set soft_imm, 0\n\t.rept 256\n\t.balign 32\n\t"                                \
		"mov %edi, %eax\n\tmov %esi, %edx\n\t" #name " $soft_imm, %xmm1, %xmm0\n\t"      \
		"pushfq\n\tpop %rdx\n\tmov %ecx, %eax\n\tret\n\t.set soft_imm, soft_imm + 1\n\t" \
		".endr\n.popsection\n");                                                         \
	extern const uint8_t soft_stubs_##name[] __attribute__((visibility("hidden")))
#define STRING_STUB(name, imm) \
	((string_stub *)(uintptr_t)(soft_stubs_##name + 32 * (unsigned)(imm)))
STRING_STUBS(pcmpestri);
STRING_STUBS(pcmpistri);

/* REX.W makes the explicit lengths 64 bits wide; they saturate at 16. */
static int length_of(const struct soft_cpu *cpu, const struct soft_op *op, unsigned reg)
{
	int64_t length = (int64_t)cpu->regs[reg];

	if (!(op->flags & SOFT_OP_W))
		length = (int32_t)cpu->regs[reg];
	return (int)MAX(MIN(length, 16), -16);
}

static void string_index(struct soft_cpu *cpu, const struct soft_op *op, bool explicit)
{
	__m128i b = sse_source_unaligned(cpu, op), a = sse_get(cpu, op->reg);
	string_stub *stub = explicit ? STRING_STUB(pcmpestri, op->imm8)
				     : STRING_STUB(pcmpistri, op->imm8);
	struct string_result result =
		stub(a, b, length_of(cpu, op, SOFT_RAX), length_of(cpu, op, SOFT_RDX));

	soft_set32(cpu, SOFT_RCX, (uint32_t)result.index);
	soft_set_arith_flags(cpu, (uint32_t)result.flags);
}

static void int_pcmpestri(struct soft_cpu *cpu, const struct soft_op *op)
{
	string_index(cpu, op, true);
}

static void int_pcmpistri(struct soft_cpu *cpu, const struct soft_op *op)
{
	string_index(cpu, op, false);
}

/* The flags are those of the index form. The mask's stub has its lengths in EAX and EDX. */
static __m128i explicit_mask(__m128i a, __m128i b, int length_a, int length_b, uint8_t imm)
{
	sse_stub *stub = SSE_STUB(pcmpestrm, imm);
	register __m128i x0 __asm__("xmm0") = a;
	register __m128i x1 __asm__("xmm1") = b;

	/* The red zone is below the stack's top: the call must not write there. */
	__asm__ volatile("lea -128(%%rsp), %%rsp\n\tcall *%2\n\tlea 128(%%rsp), %%rsp"
			 : "+x"(x0), "+x"(x1)
			 : "r"(stub), "a"(length_a), "d"(length_b)
			 : "cc", "memory");
	return x0;
}

static void int_pcmpestrm(struct soft_cpu *cpu, const struct soft_op *op)
{
	__m128i b = sse_source_unaligned(cpu, op), a = sse_get(cpu, op->reg);
	int length_a = length_of(cpu, op, SOFT_RAX), length_b = length_of(cpu, op, SOFT_RDX);
	struct string_result result = STRING_STUB(pcmpestri, op->imm8)(a, b, length_a, length_b);

	sse_set(cpu, 0, explicit_mask(a, b, length_a, length_b, op->imm8));
	soft_set_arith_flags(cpu, (uint32_t)result.flags);
}

static void int_pcmpistrm(struct soft_cpu *cpu, const struct soft_op *op)
{
	__m128i b = sse_source_unaligned(cpu, op), a = sse_get(cpu, op->reg);
	struct string_result result = STRING_STUB(pcmpistri, op->imm8)(a, b, 0, 0);

	sse_set(cpu, 0, SSE_STUB(pcmpistrm, op->imm8)(a, b));
	soft_set_arith_flags(cpu, (uint32_t)result.flags);
}

SOFT_OP(hot_pmovmskb)
{
	SSE_HOT_REGISTER;
	soft_set32(cpu, op->reg, (uint32_t)_mm_movemask_epi8(sse_get(cpu, op->rm)));
	SOFT_NEXT;
}

/* ---- the tables ---- */

#define SHIFT_ROW(opcode, extension, name)                                               \
	{                                                                                \
		SOFT_MAP_0F, 0x##opcode, SOFT_P_66, extension, SOFT_ANY, SOFT_CLASS_SSE, \
			SOFT_ROW_IMM8 | SOFT_ROW_REG, shift_##name                       \
	}
#define SSE2_ROW(name, opcode)           SSE_ROW(0F, opcode, 66, 0, int_##name),
#define SSE4_ROW(name, opcode)           SSE_ROW(0F38, opcode, 66, 0, int_##name),
#define WIDENING_ROW(name, opcode, size) SSE_ROW(0F38, opcode, 66, 0, int_##name),

/* clang-format off */
static const struct soft_row rows[] = {
	FOR_EACH_SSE2(SSE2_ROW)
	FOR_EACH_SSE4(SSE4_ROW)
	FOR_EACH_WIDENING(WIDENING_ROW)
	SHIFT_ROW(71, 2, psrlw),
	SHIFT_ROW(71, 4, psraw),
	SHIFT_ROW(71, 6, psllw),
	SHIFT_ROW(72, 2, psrld),
	SHIFT_ROW(72, 4, psrad),
	SHIFT_ROW(72, 6, pslld),
	SHIFT_ROW(73, 2, psrlq),
	SHIFT_ROW(73, 3, psrldq),
	SHIFT_ROW(73, 6, psllq),
	SHIFT_ROW(73, 7, pslldq),
	SSE_ROW(0F, 70, 66, SOFT_ROW_IMM8, imm_pshufd),
	SSE_ROW(0F, 70, F3, SOFT_ROW_IMM8, imm_pshufhw),
	SSE_ROW(0F, 70, F2, SOFT_ROW_IMM8, imm_pshuflw),
	SSE_ROW(0F, d7, 66, SOFT_ROW_REG, int_pmovmskb),
	SSE_ROW(0F38, 10, 66, 0, int_pblendvb),
	SSE_ROW(0F38, 14, 66, 0, int_blendvps),
	SSE_ROW(0F38, 15, 66, 0, int_blendvpd),
	SSE_ROW(0F38, 17, 66, 0, int_ptest),
	SSE_ROW(0F38, 2a, 66, SOFT_ROW_MEM, int_movntdqa),
	SSE_ROW(0F3A, 0e, 66, SOFT_ROW_IMM8, imm_pblendw),
	SSE_ROW(0F3A, 0f, 66, SOFT_ROW_IMM8, imm_palignr),
	SSE_ROW(0F3A, 42, 66, SOFT_ROW_IMM8, imm_mpsadbw),
	SSE_ROW(0F3A, 60, 66, SOFT_ROW_IMM8, int_pcmpestrm),
	SSE_ROW(0F3A, 61, 66, SOFT_ROW_IMM8, int_pcmpestri),
	SSE_ROW(0F3A, 62, 66, SOFT_ROW_IMM8, int_pcmpistrm),
	SSE_ROW(0F3A, 63, 66, SOFT_ROW_IMM8, int_pcmpistri),
};
/* clang-format on */

const struct soft_table soft_sse_int_table = { rows, ARRAY_SIZE(rows) };

#define HOT_ROW(name, opcode) { int_##name, hot_reg_##name, hot_mem_##name },

/* clang-format off */
static const struct soft_hot hot_rows[] = {
	FOR_EACH_SSE2(HOT_ROW)
	FOR_EACH_SSE4(HOT_ROW)
	{ int_pmovmskb, hot_pmovmskb, NULL },
};
/* clang-format on */

const struct soft_hot_table soft_sse_int_hot = { hot_rows, ARRAY_SIZE(hot_rows) };

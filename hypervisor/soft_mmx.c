/* SPDX-License-Identifier: MIT */
/* MMX, and what SSE and SSSE3 added to it, done in the lower halves of XMM registers: the host's MMX
 * would disturb its x87. */
#include "core/util.h"
#include "hypervisor/soft_sse.h"

/* ---- two operands, element by element ---- */

#define MMX_INT(name)                                                          \
	static void mmx_##name(struct soft_cpu *cpu, const struct soft_op *op) \
	{                                                                      \
		__m128i b = sse_low(mmx_source(cpu, op));                      \
		__m128i a = sse_low(mmx_get(cpu, op->reg));                    \
                                                                               \
		__asm__(#name " %1, %0" : "+x"(a) : "x"(b));                   \
		mmx_enter(cpu);                                                \
		mmx_set(cpu, op->reg, sse_low_of(a));                          \
	}

/* clang-format off */
#define FOR_EACH_MMX(X) \
	X(pcmpgtb, 64) X(pcmpgtw, 65) X(pcmpgtd, 66) X(pcmpeqb, 74) X(pcmpeqw, 75) \
	X(pcmpeqd, 76) X(psrlw, d1) X(psrld, d2) X(psrlq, d3) X(paddq, d4) X(pmullw, d5) \
	X(psubusb, d8) X(psubusw, d9) X(pminub, da) X(pand, db) X(paddusb, dc) \
	X(paddusw, dd) X(pmaxub, de) X(pandn, df) X(pavgb, e0) X(psraw, e1) X(psrad, e2) \
	X(pavgw, e3) X(pmulhuw, e4) X(pmulhw, e5) X(psubsb, e8) X(psubsw, e9) X(pminsw, ea) \
	X(por, eb) X(paddsb, ec) X(paddsw, ed) X(pmaxsw, ee) X(pxor, ef) X(psllw, f1) \
	X(pslld, f2) X(psllq, f3) X(pmuludq, f4) X(pmaddwd, f5) X(psadbw, f6) X(psubb, f8) \
	X(psubw, f9) X(psubd, fa) X(psubq, fb) X(paddb, fc) X(paddw, fd) X(paddd, fe)
#define FOR_EACH_MMX3(X) \
	X(pmaddubsw, 04) X(psignb, 08) X(psignw, 09) X(psignd, 0a) X(pmulhrsw, 0b) \
	X(pabsb, 1c) X(pabsw, 1d) X(pabsd, 1e)
/* clang-format on */

/* Those that take both operands to pieces: both in one register make the result's lower half. */
#define MMX_PAIR(name)                                                                         \
	static void mmx_##name(struct soft_cpu *cpu, const struct soft_op *op)                 \
	{                                                                                      \
		uint64_t b = mmx_source(cpu, op);                                              \
		__m128i a = _mm_set_epi64x((int64_t)b, (int64_t)mmx_get(cpu, op->reg)), c = a; \
                                                                                               \
		__asm__(#name " %1, %0" : "+x"(a) : "x"(c));                                   \
		mmx_enter(cpu);                                                                \
		mmx_set(cpu, op->reg, sse_low_of(a));                                          \
	}
#define FOR_EACH_PAIR(X) X(packsswb, 63) X(packuswb, 67) X(packssdw, 6b)
#define FOR_EACH_PAIR3(X) \
	X(phaddw, 01) X(phaddd, 02) X(phaddsw, 03) X(phsubw, 05) X(phsubd, 06) X(phsubsw, 07)

/* Of the lower halves: four bytes of memory. */
#define MMX_LOW(name)                                                          \
	static void mmx_##name(struct soft_cpu *cpu, const struct soft_op *op) \
	{                                                                      \
		__m128i b = sse_low(mmx_source32(cpu, op));                    \
		__m128i a = sse_low(mmx_get(cpu, op->reg));                    \
                                                                               \
		__asm__(#name " %1, %0" : "+x"(a) : "x"(b));                   \
		mmx_enter(cpu);                                                \
		mmx_set(cpu, op->reg, sse_low_of(a));                          \
	}
/* The upper halves interleaved are the upper half of the lower ones'. */
#define MMX_HIGH(name, low)                                                    \
	static void mmx_##name(struct soft_cpu *cpu, const struct soft_op *op) \
	{                                                                      \
		__m128i b = sse_low(mmx_source(cpu, op));                      \
		__m128i a = sse_low(mmx_get(cpu, op->reg));                    \
                                                                               \
		__asm__(#low " %1, %0" : "+x"(a) : "x"(b));                    \
		mmx_enter(cpu);                                                \
		mmx_set(cpu, op->reg, sse_low_of(_mm_srli_si128(a, 8)));       \
	}

#define MMX_FUNCTION(name, opcode)  MMX_INT(name)
#define PAIR_FUNCTION(name, opcode) MMX_PAIR(name)
FOR_EACH_MMX(MMX_FUNCTION)
FOR_EACH_MMX3(MMX_FUNCTION)
FOR_EACH_PAIR(PAIR_FUNCTION)
FOR_EACH_PAIR3(PAIR_FUNCTION)
MMX_LOW(punpcklbw)
MMX_LOW(punpcklwd)
MMX_LOW(punpckldq)
MMX_HIGH(punpckhbw, punpcklbw)
MMX_HIGH(punpckhwd, punpcklwd)
MMX_HIGH(punpckhdq, punpckldq)

static void mmx_pshufb(struct soft_cpu *cpu, const struct soft_op *op)
{
	__m128i b = sse_low(mmx_source(cpu, op) & UINT64_C(0x8787878787878787));
	__m128i a = sse_low(mmx_get(cpu, op->reg));

	__asm__("pshufb %1, %0" : "+x"(a) : "x"(b));
	mmx_enter(cpu);
	mmx_set(cpu, op->reg, sse_low_of(a));
}

/* ---- shifts by an immediate ---- */

#define MMX_SHIFT(name)                                                                         \
	static void mmx_shift_##name(struct soft_cpu *cpu, const struct soft_op *op)            \
	{                                                                                       \
		__m128i a = sse_low(mmx_get(cpu, op->rm)), count = _mm_cvtsi32_si128(op->imm8); \
                                                                                                \
		mmx_check(cpu);                                                                 \
		__asm__(#name " %1, %0" : "+x"(a) : "x"(count));                                \
		mmx_enter(cpu);                                                                 \
		mmx_set(cpu, op->rm, sse_low_of(a));                                            \
	}
MMX_SHIFT(psrlw)
MMX_SHIFT(psraw)
MMX_SHIFT(psllw)
MMX_SHIFT(psrld)
MMX_SHIFT(psrad)
MMX_SHIFT(pslld)
MMX_SHIFT(psrlq)
MMX_SHIFT(psllq)

/* ---- moves ---- */

/* MOVD and MOVQ with a general register or memory. */
static void mmx_from_general(struct soft_cpu *cpu, const struct soft_op *op)
{
	bool wide = op->flags & SOFT_OP_W;
	uint64_t value;

	mmx_check(cpu);
	if (!(op->flags & SOFT_OP_MEM))
		value = wide ? cpu->regs[op->rm] : soft_get32(cpu, op->rm);
	else if (wide)
		value = soft_load64(cpu, op, soft_operand(cpu, op, 8, false));
	else
		value = soft_load32(cpu, op, soft_operand(cpu, op, 4, false));
	mmx_enter(cpu);
	mmx_set(cpu, op->reg, value);
}

static void mmx_to_general(struct soft_cpu *cpu, const struct soft_op *op)
{
	bool wide = op->flags & SOFT_OP_W;
	uint64_t value = mmx_get(cpu, op->reg);

	mmx_check(cpu);
	if (!(op->flags & SOFT_OP_MEM))
		cpu->regs[op->rm] = wide ? value : (uint32_t)value;
	else if (wide)
		soft_store64(cpu, op, soft_operand(cpu, op, 8, true), value);
	else
		soft_store32(cpu, op, soft_operand(cpu, op, 4, true), (uint32_t)value);
	mmx_enter(cpu);
}

static void mmx_movq(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t value = mmx_source(cpu, op);

	mmx_enter(cpu);
	mmx_set(cpu, op->reg, value);
}

static void mmx_store(struct soft_cpu *cpu, const struct soft_op *op)
{
	mmx_check(cpu);
	if (op->flags & SOFT_OP_MEM)
		soft_store64(cpu, op, soft_operand(cpu, op, 8, true), mmx_get(cpu, op->reg));
	else
		mmx_set(cpu, op->rm, mmx_get(cpu, op->reg));
	mmx_enter(cpu);
}

static void mmx_emms(struct soft_cpu *cpu, const struct soft_op *op)
{
	mmx_check(cpu);
	cpu->fpu.empty = 0xff;
	cpu->fpu.top = 0;
}

/* Bytes whose mask's top bit is set go to [rDI]. All may fault, as on hosts, also those that are not
 * written. */
static void mmx_maskmovq(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t mask = mmx_get(cpu, op->rm), value = mmx_get(cpu, op->reg), linear;
	struct soft_op at = *op;

	mmx_check(cpu);
	at.base = SOFT_RDI;
	at.index = SOFT_ZERO;
	at.disp = 0;
	at.scale = 0;
	linear = soft_linear(cpu, op, op->seg, soft_ea(cpu, &at), 8, true);
	soft_probe_write(cpu, op, linear, 8);
	for (unsigned i = 0; i < 8; i++)
		if (mask >> (8 * i + 7) & 1)
			soft_store8(cpu, op, linear + i, (uint8_t)(value >> 8 * i));
	mmx_enter(cpu);
}

/* ---- of bits, words and immediates ---- */

static void mmx_pmovmskb(struct soft_cpu *cpu, const struct soft_op *op)
{
	mmx_check(cpu);
	soft_set32(cpu, op->reg, (uint32_t)_mm_movemask_epi8(sse_low(mmx_get(cpu, op->rm))));
	mmx_enter(cpu);
}

static void mmx_pshufw(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t source = mmx_source(cpu, op), value = 0;

	for (unsigned i = 0; i < 4; i++)
		value |= (source >> 16 * (op->imm8 >> 2 * i & 3) & 0xffff) << 16 * i;
	mmx_enter(cpu);
	mmx_set(cpu, op->reg, value);
}

static void mmx_palignr(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t low = mmx_source(cpu, op), high = mmx_get(cpu, op->reg), value = 0;
	unsigned shift = op->imm8 * 8u;

	if (shift == 0)
		value = low;
	else if (shift < 64)
		value = low >> shift | high << (64 - shift);
	else if (shift < 128)
		value = high >> (shift - 64);
	mmx_enter(cpu);
	mmx_set(cpu, op->reg, value);
}

static void mmx_pinsrw(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned shift = 16 * (op->imm8 & 3u);
	uint64_t word;

	mmx_check(cpu);
	word = op->flags & SOFT_OP_MEM ? soft_load16(cpu, op, soft_operand(cpu, op, 2, false))
				       : soft_get16(cpu, op->rm);
	mmx_enter(cpu);
	mmx_set(cpu, op->reg,
		(mmx_get(cpu, op->reg) & ~(UINT64_C(0xffff) << shift)) | word << shift);
}

static void mmx_pextrw(struct soft_cpu *cpu, const struct soft_op *op)
{
	mmx_check(cpu);
	soft_set32(cpu, op->reg, mmx_get(cpu, op->rm) >> 16 * (op->imm8 & 3) & 0xffff);
	mmx_enter(cpu);
}

/* ---- between MMX and XMM ---- */

static void mmx_movq2dq(struct soft_cpu *cpu, const struct soft_op *op)
{
	mmx_check(cpu);
	sse_set(cpu, op->reg, sse_low(mmx_get(cpu, op->rm)));
	mmx_enter(cpu);
}

static void mmx_movdq2q(struct soft_cpu *cpu, const struct soft_op *op)
{
	mmx_check(cpu);
	mmx_enter(cpu);
	mmx_set(cpu, op->reg, cpu->xmm[op->rm].q[0]);
}

static void mmx_cvtpi2ps(struct soft_cpu *cpu, const struct soft_op *op)
{
	__m128i b = sse_low(mmx_source(cpu, op)), a = b;

	SSE_ARITHMETIC(cpu, a, __asm__ volatile("cvtdq2ps %1, %0" : "+x"(a) : "x"(b)));
	mmx_enter(cpu);
	cpu->xmm[op->reg].q[0] = sse_low_of(a);
}

/* From memory it does not touch the x87 state. */
static void mmx_cvtpi2pd(struct soft_cpu *cpu, const struct soft_op *op)
{
	bool memory = op->flags & SOFT_OP_MEM;
	uint64_t source = memory ? soft_load64(cpu, op, soft_operand(cpu, op, 8, false))
				 : mmx_source(cpu, op);
	__m128i a;

	__asm__("cvtdq2pd %1, %0" : "=x"(a) : "x"(sse_low(source)));
	if (!memory)
		mmx_enter(cpu);
	sse_set(cpu, op->reg, a);
}

#define MMX_CONVERT(name, instruction, load)                                   \
	static void mmx_##name(struct soft_cpu *cpu, const struct soft_op *op) \
	{                                                                      \
		__m128i b, a;                                                  \
                                                                               \
		mmx_check(cpu);                                                \
		b = load;                                                      \
		a = b;                                                         \
		SSE_ARITHMETIC(cpu, a,                                         \
			__asm__ volatile(#instruction " %1, %0"                \
					 : "+x"(a)                             \
					 : "x"(b)));                           \
		mmx_enter(cpu);                                                \
		mmx_set(cpu, op->reg, sse_low_of(a));                          \
	}
MMX_CONVERT(cvttps2pi, cvttps2dq, sse_low(sse_source64(cpu, op)))
MMX_CONVERT(cvtps2pi, cvtps2dq, sse_low(sse_source64(cpu, op)))
MMX_CONVERT(cvttpd2pi, cvttpd2dq, sse_source(cpu, op))
MMX_CONVERT(cvtpd2pi, cvtpd2dq, sse_source(cpu, op))

/* ---- the table ---- */

#define SHIFT_ROW(opcode, extension, name)                                                 \
	{                                                                                  \
		SOFT_MAP_0F, 0x##opcode, SOFT_P_NONE, extension, SOFT_ANY, SOFT_CLASS_MMX, \
			SOFT_ROW_IMM8 | SOFT_ROW_REG, mmx_shift_##name                     \
	}
#define ROW(name, opcode)  MMX_ROW(0F, opcode, 0, mmx_##name),
#define ROW3(name, opcode) MMX_ROW(0F38, opcode, 0, mmx_##name),

/* clang-format off */
static const struct soft_row rows[] = {
	FOR_EACH_MMX(ROW)
	FOR_EACH_MMX3(ROW3)
	FOR_EACH_PAIR(ROW)
	FOR_EACH_PAIR3(ROW3)
	ROW(punpcklbw, 60)
	ROW(punpcklwd, 61)
	ROW(punpckldq, 62)
	ROW(punpckhbw, 68)
	ROW(punpckhwd, 69)
	ROW(punpckhdq, 6a)
	ROW3(pshufb, 00)
	SHIFT_ROW(71, 2, psrlw),
	SHIFT_ROW(71, 4, psraw),
	SHIFT_ROW(71, 6, psllw),
	SHIFT_ROW(72, 2, psrld),
	SHIFT_ROW(72, 4, psrad),
	SHIFT_ROW(72, 6, pslld),
	SHIFT_ROW(73, 2, psrlq),
	SHIFT_ROW(73, 6, psllq),
	MMX_ROW(0F, 6e, 0, mmx_from_general),
	MMX_ROW(0F, 7e, 0, mmx_to_general),
	MMX_ROW(0F, 6f, 0, mmx_movq),
	MMX_ROW(0F, 7f, 0, mmx_store),
	MMX_ROW(0F, e7, SOFT_ROW_MEM, mmx_store),
	MMX_ROW(0F, 77, SOFT_ROW_NO_MODRM, mmx_emms),
	MMX_ROW(0F, f7, SOFT_ROW_REG, mmx_maskmovq),
	MMX_ROW(0F, d7, SOFT_ROW_REG, mmx_pmovmskb),
	MMX_ROW(0F, 70, SOFT_ROW_IMM8, mmx_pshufw),
	MMX_ROW(0F3A, 0f, SOFT_ROW_IMM8, mmx_palignr),
	MMX_ROW(0F, c4, SOFT_ROW_IMM8, mmx_pinsrw),
	MMX_ROW(0F, c5, SOFT_ROW_IMM8 | SOFT_ROW_REG, mmx_pextrw),
	SSE_ROW(0F, d6, F3, SOFT_ROW_REG, mmx_movq2dq),
	SSE_ROW(0F, d6, F2, SOFT_ROW_REG, mmx_movdq2q),
	SSE_ROW(0F, 2a, NONE, 0, mmx_cvtpi2ps),
	SSE_ROW(0F, 2a, 66, 0, mmx_cvtpi2pd),
	SSE_ROW(0F, 2c, NONE, 0, mmx_cvttps2pi),
	SSE_ROW(0F, 2d, NONE, 0, mmx_cvtps2pi),
	SSE_ROW(0F, 2c, 66, 0, mmx_cvttpd2pi),
	SSE_ROW(0F, 2d, 66, 0, mmx_cvtpd2pi),
};
/* clang-format on */

const struct soft_table soft_mmx_table = { rows, ARRAY_SIZE(rows) };

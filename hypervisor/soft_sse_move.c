/* SPDX-License-Identifier: MIT */
/* SSE to SSE4.1: moves, shuffles, insertion and extraction, fences and hints. */
#include "core/util.h"
#include "hypervisor/soft_sse.h"

/* ---- whole registers ---- */

static void move_load(struct soft_cpu *cpu, const struct soft_op *op)
{
	sse_set(cpu, op->reg, sse_source(cpu, op));
}

static void move_load_unaligned(struct soft_cpu *cpu, const struct soft_op *op)
{
	sse_set(cpu, op->reg, sse_source_unaligned(cpu, op));
}

static void move_store(struct soft_cpu *cpu, const struct soft_op *op)
{
	if (op->flags & SOFT_OP_MEM)
		soft_store128(cpu, op, sse_aligned(cpu, op, true), cpu->xmm[op->reg]);
	else
		cpu->xmm[op->rm] = cpu->xmm[op->reg];
}

static void move_store_unaligned(struct soft_cpu *cpu, const struct soft_op *op)
{
	if (op->flags & SOFT_OP_MEM)
		soft_store128(cpu, op, soft_operand(cpu, op, 16, true), cpu->xmm[op->reg]);
	else
		cpu->xmm[op->rm] = cpu->xmm[op->reg];
}

/* ---- parts ---- */

/* MOVSS, MOVSD: from memory the rest becomes zero, from a register it stays. */
static void move_load32(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint32_t value = sse_source32(cpu, op);

	if (op->flags & SOFT_OP_MEM)
		cpu->xmm[op->reg].q[0] = cpu->xmm[op->reg].q[1] = 0;
	cpu->xmm[op->reg].d[0] = value;
}

static void move_load64(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t value = sse_source64(cpu, op);

	if (op->flags & SOFT_OP_MEM)
		cpu->xmm[op->reg].q[1] = 0;
	cpu->xmm[op->reg].q[0] = value;
}

static void move_store32(struct soft_cpu *cpu, const struct soft_op *op)
{
	if (op->flags & SOFT_OP_MEM)
		soft_store32(cpu, op, soft_operand(cpu, op, 4, true), cpu->xmm[op->reg].d[0]);
	else
		cpu->xmm[op->rm].d[0] = cpu->xmm[op->reg].d[0];
}

static void move_store64(struct soft_cpu *cpu, const struct soft_op *op)
{
	if (op->flags & SOFT_OP_MEM)
		soft_store64(cpu, op, soft_operand(cpu, op, 8, true), cpu->xmm[op->reg].q[0]);
	else
		cpu->xmm[op->rm].q[0] = cpu->xmm[op->reg].q[0];
}

/* MOVLPS and MOVHLPS, MOVLPD. */
static void move_low(struct soft_cpu *cpu, const struct soft_op *op)
{
	if (op->flags & SOFT_OP_MEM)
		cpu->xmm[op->reg].q[0] = soft_load64(cpu, op, soft_operand(cpu, op, 8, false));
	else
		cpu->xmm[op->reg].q[0] = cpu->xmm[op->rm].q[1];
}

/* MOVHPS and MOVLHPS, MOVHPD. */
static void move_high(struct soft_cpu *cpu, const struct soft_op *op)
{
	cpu->xmm[op->reg].q[1] = sse_source64(cpu, op);
}

static void move_store_high(struct soft_cpu *cpu, const struct soft_op *op)
{
	soft_store64(cpu, op, soft_operand(cpu, op, 8, true), cpu->xmm[op->reg].q[1]);
}

/* MOVQ: the upper half becomes zero, also of a register. */
static void move_movq(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t value = sse_source64(cpu, op);

	cpu->xmm[op->reg].q[0] = value;
	cpu->xmm[op->reg].q[1] = 0;
}

static void move_store_movq(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t value = cpu->xmm[op->reg].q[0];

	if (op->flags & SOFT_OP_MEM) {
		soft_store64(cpu, op, soft_operand(cpu, op, 8, true), value);
		return;
	}
	cpu->xmm[op->rm].q[0] = value;
	cpu->xmm[op->rm].q[1] = 0;
}

static void move_movddup(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t value = sse_source64(cpu, op);

	cpu->xmm[op->reg].q[0] = cpu->xmm[op->reg].q[1] = value;
}

static void move_movsldup(struct soft_cpu *cpu, const struct soft_op *op)
{
	sse_set(cpu, op->reg, _mm_shuffle_epi32(sse_source(cpu, op), 0xa0));
}

static void move_movshdup(struct soft_cpu *cpu, const struct soft_op *op)
{
	sse_set(cpu, op->reg, _mm_shuffle_epi32(sse_source(cpu, op), 0xf5));
}

/* ---- general registers ---- */

static uint64_t general_source(struct soft_cpu *cpu, const struct soft_op *op)
{
	bool wide = op->flags & SOFT_OP_W;

	if (!(op->flags & SOFT_OP_MEM))
		return wide ? cpu->regs[op->rm] : soft_get32(cpu, op->rm);
	if (wide)
		return soft_load64(cpu, op, soft_operand(cpu, op, 8, false));
	return soft_load32(cpu, op, soft_operand(cpu, op, 4, false));
}

static void general_dest(struct soft_cpu *cpu, const struct soft_op *op, uint64_t value)
{
	bool wide = op->flags & SOFT_OP_W;

	if (!(op->flags & SOFT_OP_MEM))
		cpu->regs[op->rm] = wide ? value : (uint32_t)value;
	else if (wide)
		soft_store64(cpu, op, soft_operand(cpu, op, 8, true), value);
	else
		soft_store32(cpu, op, soft_operand(cpu, op, 4, true), (uint32_t)value);
}

static void move_from_general(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t value = general_source(cpu, op);

	cpu->xmm[op->reg].q[0] = value;
	cpu->xmm[op->reg].q[1] = 0;
}

static void move_to_general(struct soft_cpu *cpu, const struct soft_op *op)
{
	general_dest(cpu, op, cpu->xmm[op->reg].q[0]);
}

static void move_movmskps(struct soft_cpu *cpu, const struct soft_op *op)
{
	soft_set32(cpu, op->reg, (uint32_t)_mm_movemask_ps(_mm_castsi128_ps(sse_get(cpu, op->rm))));
}

static void move_movmskpd(struct soft_cpu *cpu, const struct soft_op *op)
{
	soft_set32(cpu, op->reg, (uint32_t)_mm_movemask_pd(_mm_castsi128_pd(sse_get(cpu, op->rm))));
}

static void move_movnti(struct soft_cpu *cpu, const struct soft_op *op)
{
	if (op->flags & SOFT_OP_W)
		soft_store64(cpu, op, soft_operand(cpu, op, 8, true), cpu->regs[op->reg]);
	else
		soft_store32(cpu, op, soft_operand(cpu, op, 4, true), soft_get32(cpu, op->reg));
}

static void move_pinsrb(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint8_t value = op->flags & SOFT_OP_MEM
		? soft_load8(cpu, op, soft_operand(cpu, op, 1, false))
		: (uint8_t)cpu->regs[op->rm];

	cpu->xmm[op->reg].b[op->imm8 & 15] = value;
}

static void move_pinsrw(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint16_t value = op->flags & SOFT_OP_MEM
		? soft_load16(cpu, op, soft_operand(cpu, op, 2, false))
		: soft_get16(cpu, op->rm);

	cpu->xmm[op->reg].w[op->imm8 & 7] = value;
}

static void move_pinsrd(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t value = general_source(cpu, op);

	if (op->flags & SOFT_OP_W)
		cpu->xmm[op->reg].q[op->imm8 & 1] = value;
	else
		cpu->xmm[op->reg].d[op->imm8 & 3] = (uint32_t)value;
}

static void move_pextrb(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint8_t value = cpu->xmm[op->reg].b[op->imm8 & 15];

	if (op->flags & SOFT_OP_MEM)
		soft_store8(cpu, op, soft_operand(cpu, op, 1, true), value);
	else
		soft_set32(cpu, op->rm, value);
}

static void move_pextrw_store(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint16_t value = cpu->xmm[op->reg].w[op->imm8 & 7];

	if (op->flags & SOFT_OP_MEM)
		soft_store16(cpu, op, soft_operand(cpu, op, 2, true), value);
	else
		soft_set32(cpu, op->rm, value);
}

/* The older form, from ModRM.rm to ModRM.reg. */
static void move_pextrw(struct soft_cpu *cpu, const struct soft_op *op)
{
	soft_set32(cpu, op->reg, cpu->xmm[op->rm].w[op->imm8 & 7]);
}

static void move_pextrd(struct soft_cpu *cpu, const struct soft_op *op)
{
	const union soft_xmm *from = &cpu->xmm[op->reg];

	general_dest(
		cpu, op, op->flags & SOFT_OP_W ? from->q[op->imm8 & 1] : from->d[op->imm8 & 3]);
}

static void move_extractps(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint32_t value = cpu->xmm[op->reg].d[op->imm8 & 3];

	if (op->flags & SOFT_OP_MEM)
		soft_store32(cpu, op, soft_operand(cpu, op, 4, true), value);
	else
		soft_set32(cpu, op->rm, value);
}

static void move_insertps(struct soft_cpu *cpu, const struct soft_op *op)
{
	bool memory = op->flags & SOFT_OP_MEM;
	uint32_t value = memory ? sse_source32(cpu, op) : cpu->xmm[op->rm].d[op->imm8 >> 6];
	union soft_xmm *to = &cpu->xmm[op->reg];

	to->d[op->imm8 >> 4 & 3] = value;
	for (unsigned i = 0; i < 4; i++)
		if (op->imm8 >> i & 1)
			to->d[i] = 0;
}

/* Bytes whose mask's top bit is set go to [rDI]; all may fault. */
static void move_maskmovdqu(struct soft_cpu *cpu, const struct soft_op *op)
{
	union soft_xmm mask = cpu->xmm[op->rm], value = cpu->xmm[op->reg];
	struct soft_op at = *op;
	uint64_t linear;

	at.base = SOFT_RDI;
	at.index = SOFT_ZERO;
	at.disp = 0;
	at.scale = 0;
	linear = soft_linear(cpu, op, op->seg, soft_ea(cpu, &at), 16, true);
	soft_probe_write(cpu, op, linear, 16);
	for (unsigned i = 0; i < 16; i++)
		if (mask.b[i] & 0x80)
			soft_store8(cpu, op, linear + i, value.b[i]);
}

/* ---- two operands, bits only ---- */

#define BITS(name)                                                              \
	static void bits_##name(struct soft_cpu *cpu, const struct soft_op *op) \
	{                                                                       \
		__m128i b = sse_source(cpu, op), a = sse_get(cpu, op->reg);     \
                                                                                \
		__asm__(#name " %1, %0" : "+x"(a) : "x"(b));                    \
		sse_set(cpu, op->reg, a);                                       \
	}
BITS(unpcklps)
BITS(unpckhps)
BITS(unpcklpd)
BITS(unpckhpd)
BITS(andps)
BITS(andnps)
BITS(orps)
BITS(xorps)

SSE_STUBS(shufps);
SSE_STUBS(shufpd);
SSE_STUBS(blendps);
SSE_STUBS(blendpd);

SSE_IMMEDIATE_FUNCTION(shufps)
SSE_IMMEDIATE_FUNCTION(shufpd)
SSE_IMMEDIATE_FUNCTION(blendps)
SSE_IMMEDIATE_FUNCTION(blendpd)

/* ---- fences and hints ---- */

static void hint_fence(struct soft_cpu *cpu, const struct soft_op *op)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* CLFLUSH faults as a load does. */
static void hint_clflush(struct soft_cpu *cpu, const struct soft_op *op)
{
	(void)soft_load8(cpu, op, soft_operand(cpu, op, 1, false));
}

static void hint_prefetch(struct soft_cpu *cpu, const struct soft_op *op)
{
}

/* ---- the same, faster ---- */

SOFT_OP(hot_copy_from)
{
	SSE_HOT_REGISTER;
	sse_set(cpu, op->reg, sse_get(cpu, op->rm));
	SOFT_NEXT;
}
SOFT_OP(hot_copy_to)
{
	SSE_HOT_REGISTER;
	sse_set(cpu, op->rm, sse_get(cpu, op->reg));
	SOFT_NEXT;
}

#define HOT_LOAD(name, alignment)                                    \
	SOFT_OP(name)                                                \
	{                                                            \
		SSE_HOT_MEMORY(16, alignment, soft_hit_read, false); \
		sse_set(cpu, op->reg, _mm_loadu_si128(at));          \
		SOFT_NEXT;                                           \
	}
#define HOT_STORE(name, alignment)                                   \
	SOFT_OP(name)                                                \
	{                                                            \
		SSE_HOT_MEMORY(16, alignment, soft_hit_write, true); \
		_mm_storeu_si128(at, sse_get(cpu, op->reg));         \
		SOFT_NEXT;                                           \
	}
HOT_LOAD(hot_load, 16)
HOT_LOAD(hot_load_unaligned, 1)
HOT_STORE(hot_store, 16)
HOT_STORE(hot_store_unaligned, 1)

SOFT_OP(hot_load64) /* MOVSD, MOVQ: the upper half becomes zero */
{
	SSE_HOT_MEMORY(8, 1, soft_hit_read, false);
	sse_set(cpu, op->reg, _mm_loadl_epi64(at));
	SOFT_NEXT;
}
SOFT_OP(hot_store64)
{
	SSE_HOT_MEMORY(8, 1, soft_hit_write, true);
	_mm_storel_epi64(at, sse_get(cpu, op->reg));
	SOFT_NEXT;
}
SOFT_OP(hot_load_low)
{
	SSE_HOT_MEMORY(8, 1, soft_hit_read, false);
	memcpy(&cpu->xmm[op->reg].q[0], at, 8);
	SOFT_NEXT;
}
SOFT_OP(hot_load_high)
{
	SSE_HOT_MEMORY(8, 1, soft_hit_read, false);
	memcpy(&cpu->xmm[op->reg].q[1], at, 8);
	SOFT_NEXT;
}

#define HOT_BITS(name)                                       \
	SOFT_OP(hot_##name)                                  \
	{                                                    \
		__m128i a, b;                                \
                                                             \
		SSE_HOT_REGISTER;                            \
		a = sse_get(cpu, op->reg);                   \
		b = sse_get(cpu, op->rm);                    \
		__asm__(#name " %1, %0" : "+x"(a) : "x"(b)); \
		sse_set(cpu, op->reg, a);                    \
		SOFT_NEXT;                                   \
	}
HOT_BITS(unpcklps)
HOT_BITS(unpcklpd)
HOT_BITS(andps)
HOT_BITS(andnps)
HOT_BITS(orps)
HOT_BITS(xorps)

static const struct soft_hot hot_rows[] = {
	{ move_load, hot_copy_from, hot_load },
	{ move_load_unaligned, hot_copy_from, hot_load_unaligned },
	{ move_store, hot_copy_to, hot_store },
	{ move_store_unaligned, hot_copy_to, hot_store_unaligned },
	{ move_load64, NULL, hot_load64 },
	{ move_movq, NULL, hot_load64 },
	{ move_store64, NULL, hot_store64 },
	{ move_store_movq, NULL, hot_store64 },
	{ move_low, NULL, hot_load_low },
	{ move_high, NULL, hot_load_high },
	{ bits_unpcklps, hot_unpcklps, NULL },
	{ bits_unpcklpd, hot_unpcklpd, NULL },
	{ bits_andps, hot_andps, NULL },
	{ bits_andnps, hot_andnps, NULL },
	{ bits_orps, hot_orps, NULL },
	{ bits_xorps, hot_xorps, NULL },
};

const struct soft_hot_table soft_sse_move_hot = { hot_rows, ARRAY_SIZE(hot_rows) };

/* ---- the table ---- */

#define PLAIN_ROW(opcode, extension, flags, call)                                                  \
	{                                                                                          \
		SOFT_MAP_0F, 0x##opcode, SOFT_P_NONE, extension, SOFT_ANY, SOFT_CLASS_NONE, flags, \
			call                                                                       \
	}
#define BOTH_ROWS(opcode, flags, call) \
	SSE_ROW(0F, opcode, NONE, flags, call), SSE_ROW(0F, opcode, 66, flags, call)

static const struct soft_row rows[] = {
	BOTH_ROWS(10, 0, move_load_unaligned),
	SSE_ROW(0F, 10, F3, 0, move_load32),
	SSE_ROW(0F, 10, F2, 0, move_load64),
	BOTH_ROWS(11, 0, move_store_unaligned),
	SSE_ROW(0F, 11, F3, 0, move_store32),
	SSE_ROW(0F, 11, F2, 0, move_store64),
	SSE_ROW(0F, 12, NONE, 0, move_low),
	SSE_ROW(0F, 12, 66, SOFT_ROW_MEM, move_low),
	SSE_ROW(0F, 12, F3, 0, move_movsldup),
	SSE_ROW(0F, 12, F2, 0, move_movddup),
	BOTH_ROWS(13, SOFT_ROW_MEM, move_store64),
	SSE_ROW(0F, 14, NONE, 0, bits_unpcklps),
	SSE_ROW(0F, 14, 66, 0, bits_unpcklpd),
	SSE_ROW(0F, 15, NONE, 0, bits_unpckhps),
	SSE_ROW(0F, 15, 66, 0, bits_unpckhpd),
	SSE_ROW(0F, 16, NONE, 0, move_high),
	SSE_ROW(0F, 16, 66, SOFT_ROW_MEM, move_high),
	SSE_ROW(0F, 16, F3, 0, move_movshdup),
	BOTH_ROWS(17, SOFT_ROW_MEM, move_store_high),
	BOTH_ROWS(28, 0, move_load),
	BOTH_ROWS(29, 0, move_store),
	BOTH_ROWS(2b, SOFT_ROW_MEM, move_store),
	SSE_ROW(0F, 50, NONE, SOFT_ROW_REG, move_movmskps),
	SSE_ROW(0F, 50, 66, SOFT_ROW_REG, move_movmskpd),
	BOTH_ROWS(54, 0, bits_andps),
	BOTH_ROWS(55, 0, bits_andnps),
	BOTH_ROWS(56, 0, bits_orps),
	BOTH_ROWS(57, 0, bits_xorps),
	SSE_ROW(0F, 6e, 66, 0, move_from_general),
	SSE_ROW(0F, 7e, 66, 0, move_to_general),
	SSE_ROW(0F, 7e, F3, 0, move_movq),
	SSE_ROW(0F, d6, 66, 0, move_store_movq),
	SSE_ROW(0F, 6f, 66, 0, move_load),
	SSE_ROW(0F, 6f, F3, 0, move_load_unaligned),
	SSE_ROW(0F, 7f, 66, 0, move_store),
	SSE_ROW(0F, 7f, F3, 0, move_store_unaligned),
	SSE_ROW(0F, e7, 66, SOFT_ROW_MEM, move_store),
	SSE_ROW(0F, f0, F2, SOFT_ROW_MEM, move_load_unaligned),
	SSE_ROW(0F, f7, 66, SOFT_ROW_REG, move_maskmovdqu),
	SSE_ROW(0F, c4, 66, SOFT_ROW_IMM8, move_pinsrw),
	SSE_ROW(0F, c5, 66, SOFT_ROW_IMM8 | SOFT_ROW_REG, move_pextrw),
	SSE_ROW(0F, c6, NONE, SOFT_ROW_IMM8, imm_shufps),
	SSE_ROW(0F, c6, 66, SOFT_ROW_IMM8, imm_shufpd),
	SSE_ROW(0F3A, 0c, 66, SOFT_ROW_IMM8, imm_blendps),
	SSE_ROW(0F3A, 0d, 66, SOFT_ROW_IMM8, imm_blendpd),
	SSE_ROW(0F3A, 14, 66, SOFT_ROW_IMM8, move_pextrb),
	SSE_ROW(0F3A, 15, 66, SOFT_ROW_IMM8, move_pextrw_store),
	SSE_ROW(0F3A, 16, 66, SOFT_ROW_IMM8, move_pextrd),
	SSE_ROW(0F3A, 17, 66, SOFT_ROW_IMM8, move_extractps),
	SSE_ROW(0F3A, 20, 66, SOFT_ROW_IMM8, move_pinsrb),
	SSE_ROW(0F3A, 21, 66, SOFT_ROW_IMM8, move_insertps),
	SSE_ROW(0F3A, 22, 66, SOFT_ROW_IMM8, move_pinsrd),
	/* No SSE state is needed for these. */
	PLAIN_ROW(c3, SOFT_ANY, SOFT_ROW_MEM, move_movnti),
	PLAIN_ROW(ae, 5, SOFT_ROW_REG, hint_fence),
	PLAIN_ROW(ae, 6, SOFT_ROW_REG, hint_fence),
	PLAIN_ROW(ae, 7, SOFT_ROW_REG, hint_fence),
	PLAIN_ROW(ae, 7, SOFT_ROW_MEM, hint_clflush),
	PLAIN_ROW(18, SOFT_ANY, SOFT_ROW_MEM, hint_prefetch),
	PLAIN_ROW(0d, SOFT_ANY, SOFT_ROW_MEM, hint_prefetch),
};

const struct soft_table soft_sse_move_table = { rows, ARRAY_SIZE(rows) };

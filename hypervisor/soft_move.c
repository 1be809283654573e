/* SPDX-License-Identifier: MIT */
/* Moves: MOV, MOVZX, MOVSX, LEA, CMOVcc, SETcc, XCHG of registers, sign spreading. */
#include "hypervisor/soft_ops.h"

/* ---- MOV ---- */

#define STORE_SLOW(bits, kind, form, source, suffix)                            \
	SOFT_SLOW_OP(mov_##form##bits##suffix)                                  \
	{                                                                       \
		uint64_t linear = soft_address_##kind(cpu, op, bits / 8, true); \
                                                                                \
		soft_store##bits(cpu, op, linear, (uint##bits##_t)(source));    \
		SOFT_NEXT;                                                      \
	}
#define LOAD_SLOW(bits, kind, suffix)                                            \
	SOFT_SLOW_OP(mov_rm##bits##suffix)                                       \
	{                                                                        \
		uint64_t linear = soft_address_##kind(cpu, op, bits / 8, false); \
                                                                                 \
		soft_set##bits(cpu, op->reg, soft_load##bits(cpu, op, linear));  \
		SOFT_NEXT;                                                       \
	}
#define STORE_FAST(bits, form, source)                                                            \
	STORE_SLOW(bits, F, form, source, F_slow)                                                 \
	SOFT_OP(mov_##form##bits##F)                                                              \
	{                                                                                         \
		uint##bits##_t value = (uint##bits##_t)(source);                                  \
		void *at;                                                                         \
                                                                                                  \
		if (!soft_hit_write(cpu, soft_address_F(cpu, op, bits / 8, true), bits / 8, &at)) \
			SOFT_TAIL_CALL(mov_##form##bits##F_slow(cpu, op));                        \
		memcpy(at, &value, sizeof(value));                                                \
		SOFT_NEXT;                                                                        \
	}
#define MOV(bits)                                                                                 \
	SOFT_OP(mov_rr##bits)                                                                     \
	{                                                                                         \
		soft_set##bits(cpu, op->rm, soft_get##bits(cpu, op->reg));                        \
		SOFT_NEXT;                                                                        \
	}                                                                                         \
	SOFT_OP(mov_ri##bits)                                                                     \
	{                                                                                         \
		soft_set##bits(cpu, op->rm, (uint##bits##_t)op->imm);                             \
		SOFT_NEXT;                                                                        \
	}                                                                                         \
	LOAD_SLOW(bits, F, F_slow)                                                                \
	SOFT_OP(mov_rm##bits##F)                                                                  \
	{                                                                                         \
		uint##bits##_t value;                                                             \
		void *at;                                                                         \
                                                                                                  \
		if (!soft_hit_read(cpu, soft_address_F(cpu, op, bits / 8, false), bits / 8, &at)) \
			SOFT_TAIL_CALL(mov_rm##bits##F_slow(cpu, op));                            \
		memcpy(&value, at, sizeof(value));                                                \
		soft_set##bits(cpu, op->reg, value);                                              \
		SOFT_NEXT;                                                                        \
	}                                                                                         \
	STORE_FAST(bits, mr, soft_get##bits(cpu, op->reg))                                        \
	STORE_FAST(bits, mi, op->imm)                                                             \
	LOAD_SLOW(bits, G, G)                                                                     \
	STORE_SLOW(bits, G, mr, soft_get##bits(cpu, op->reg), G)                                  \
	STORE_SLOW(bits, G, mi, op->imm, G)

MOV(8)
MOV(16)
MOV(32)
MOV(64)

#define MOV_TABLE(bits, kind)                                                                       \
	{                                                                                           \
		[FORM_RR] = mov_rr##bits, [FORM_RI] = mov_ri##bits, [FORM_RM] = mov_rm##bits##kind, \
		[FORM_MR] = mov_mr##bits##kind, [FORM_MI] = mov_mi##bits##kind,                     \
	}

soft_fn *soft_mov_fn(unsigned size, enum soft_form form, bool general)
{
	static soft_fn *const table[4][2][FORMS] = {
		{ MOV_TABLE(8, F), MOV_TABLE(8, G) },
		{ MOV_TABLE(16, F), MOV_TABLE(16, G) },
		{ MOV_TABLE(32, F), MOV_TABLE(32, G) },
		{ MOV_TABLE(64, F), MOV_TABLE(64, G) },
	};

	return table[size][general][form];
}

/* ---- MOVZX, MOVSX ---- */

#define EXTEND(from, to, sign, type)                                                              \
	SOFT_OP(extend_##sign##from##to##_r)                                                      \
	{                                                                                         \
		soft_set##to(cpu, op->reg, (uint##to##_t)(type)soft_get##from(cpu, op->rm));      \
		SOFT_NEXT;                                                                        \
	}                                                                                         \
	SOFT_SLOW_OP(extend_##sign##from##to##_G)                                                 \
	{                                                                                         \
		uint64_t linear = soft_operand(cpu, op, from / 8, false);                         \
                                                                                                  \
		soft_set##to(cpu, op->reg, (uint##to##_t)(type)soft_load##from(cpu, op, linear)); \
		SOFT_NEXT;                                                                        \
	}                                                                                         \
	SOFT_OP(extend_##sign##from##to##_F)                                                      \
	{                                                                                         \
		uint##from##_t value;                                                             \
		void *at;                                                                         \
                                                                                                  \
		if (!soft_hit_read(cpu, soft_address_F(cpu, op, from / 8, false), from / 8, &at)) \
			SOFT_TAIL_CALL(extend_##sign##from##to##_G(cpu, op));                     \
		memcpy(&value, at, sizeof(value));                                                \
		soft_set##to(cpu, op->reg, (uint##to##_t)(type)value);                            \
		SOFT_NEXT;                                                                        \
	}
#define EXTENDS(from, to)                   \
	EXTEND(from, to, z, uint##from##_t) \
	EXTEND(from, to, s, int##from##_t)

EXTENDS(8, 16)
EXTENDS(8, 32)
EXTENDS(8, 64)
EXTENDS(16, 16)
EXTENDS(16, 32)
EXTENDS(16, 64)
EXTENDS(32, 32)
EXTENDS(32, 64)

#define EXTEND_ROW(from, to)                                                                \
	{                                                                                   \
		{ extend_z##from##to##_r, extend_z##from##to##_F, extend_z##from##to##_G }, \
			{ extend_s##from##to##_r, extend_s##from##to##_F,                   \
				extend_s##from##to##_G },                                   \
	}

soft_fn *soft_extend_fn(unsigned from, unsigned to, bool sign, bool memory, bool general)
{
	static soft_fn *const table[3][3][2][3] = {
		{ EXTEND_ROW(8, 16), EXTEND_ROW(8, 32), EXTEND_ROW(8, 64) },
		{ EXTEND_ROW(16, 16), EXTEND_ROW(16, 32), EXTEND_ROW(16, 64) },
		/* MOVSXD with a 16-bit operand moves 16 bits. */
		{ EXTEND_ROW(16, 16), EXTEND_ROW(32, 32), EXTEND_ROW(32, 64) },
	};

	return table[from][to - 1][sign][memory ? 1 + general : 0];
}

/* ---- LEA ---- */

SOFT_OP(lea64F)
{
	cpu->regs[op->reg] = soft_address_F(cpu, op, 0, false);
	SOFT_NEXT;
}
SOFT_OP(lea32F)
{
	cpu->regs[op->reg] = (uint32_t)soft_address_F(cpu, op, 0, false);
	SOFT_NEXT;
}
SOFT_OP(lea64G)
{
	cpu->regs[op->reg] = soft_ea(cpu, op);
	SOFT_NEXT;
}
SOFT_OP(lea32G)
{
	cpu->regs[op->reg] = (uint32_t)soft_ea(cpu, op);
	SOFT_NEXT;
}
SOFT_OP(lea16)
{
	soft_set16(cpu, op->reg, (uint16_t)soft_ea(cpu, op));
	SOFT_NEXT;
}

soft_fn *soft_lea_fn(unsigned size, bool general)
{
	if (size == 1)
		return lea16;
	if (size == 2)
		return general ? lea32G : lea32F;
	return general ? lea64G : lea64F;
}

/* ---- CMOVcc: memory is always read, and the upper half always cleared ---- */

#define CMOV(condition, bits)                                                             \
	SOFT_OP(cmov##condition##_##bits##_r)                                             \
	{                                                                                 \
		uint##bits##_t value = soft_condition(cpu->cc, condition)                 \
			? soft_get##bits(cpu, op->rm)                                     \
			: soft_get##bits(cpu, op->reg);                                   \
                                                                                          \
		soft_set##bits(cpu, op->reg, value);                                      \
		SOFT_NEXT;                                                                \
	}                                                                                 \
	SOFT_OP(cmov##condition##_##bits##_m)                                             \
	{                                                                                 \
		uint##bits##_t value =                                                    \
			soft_load##bits(cpu, op, soft_operand(cpu, op, bits / 8, false)); \
                                                                                          \
		if (!soft_condition(cpu->cc, condition))                                  \
			value = soft_get##bits(cpu, op->reg);                             \
		soft_set##bits(cpu, op->reg, value);                                      \
		SOFT_NEXT;                                                                \
	}
#define CMOVS(condition)    \
	CMOV(condition, 16) \
	CMOV(condition, 32) \
	CMOV(condition, 64)
#define ALL_CONDITIONS(X) \
	X(0)              \
	X(1)              \
	X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)

ALL_CONDITIONS(CMOVS)

#define CMOV_ROW(condition)                                                 \
	[condition] = { { cmov##condition##_16_r, cmov##condition##_16_m }, \
		{ cmov##condition##_32_r, cmov##condition##_32_m },         \
		{ cmov##condition##_64_r, cmov##condition##_64_m } },

soft_fn *soft_cmov_fn(unsigned size, unsigned condition, bool memory, bool general)
{
	static soft_fn *const table[16][3][2] = { ALL_CONDITIONS(CMOV_ROW) };

	return table[condition][size - 1][memory];
}

/* ---- SETcc ---- */

#define SETCC(condition)                                                    \
	SOFT_OP(set##condition##_r)                                         \
	{                                                                   \
		soft_set8(cpu, op->rm, soft_condition(cpu->cc, condition)); \
		SOFT_NEXT;                                                  \
	}                                                                   \
	SOFT_OP(set##condition##_m)                                         \
	{                                                                   \
		soft_store8(cpu, op, soft_operand(cpu, op, 1, true),        \
			soft_condition(cpu->cc, condition));                \
		SOFT_NEXT;                                                  \
	}

ALL_CONDITIONS(SETCC)

#define SETCC_ROW(condition) [condition] = { set##condition##_r, set##condition##_m },

soft_fn *soft_setcc_fn(unsigned condition, bool memory, bool general)
{
	static soft_fn *const table[16][2] = { ALL_CONDITIONS(SETCC_ROW) };

	return table[condition][memory];
}

/* ---- others ---- */

SOFT_OP_FUNCTION(soft_op_nop)
{
	SOFT_NEXT;
}

SOFT_OP_FUNCTION(soft_op_pause)
{
	__builtin_ia32_pause();
	SOFT_NEXT;
}

SOFT_OP_FUNCTION(soft_op_xchg_rr32)
{
	uint32_t value = soft_get32(cpu, op->rm);

	soft_set32(cpu, op->rm, soft_get32(cpu, op->reg));
	soft_set32(cpu, op->reg, value);
	SOFT_NEXT;
}

SOFT_OP_FUNCTION(soft_op_xchg_rr64)
{
	uint64_t value = cpu->regs[op->rm];

	cpu->regs[op->rm] = cpu->regs[op->reg];
	cpu->regs[op->reg] = value;
	SOFT_NEXT;
}

SOFT_OP_FUNCTION(soft_op_convert)
{
	if (op->flags & SOFT_OP_W)
		cpu->regs[SOFT_RAX] = (uint64_t)(int32_t)cpu->regs[SOFT_RAX];
	else if (op->flags & SOFT_OP_O16)
		soft_set16(cpu, SOFT_RAX, (uint16_t)(int8_t)cpu->regs[SOFT_RAX]);
	else
		soft_set32(cpu, SOFT_RAX, (uint32_t)(int16_t)cpu->regs[SOFT_RAX]);
	SOFT_NEXT;
}

SOFT_OP_FUNCTION(soft_op_spread)
{
	if (op->flags & SOFT_OP_W)
		cpu->regs[SOFT_RDX] = (uint64_t)((int64_t)cpu->regs[SOFT_RAX] >> 63);
	else if (op->flags & SOFT_OP_O16)
		soft_set16(cpu, SOFT_RDX, (uint16_t)((int16_t)cpu->regs[SOFT_RAX] >> 15));
	else
		soft_set32(cpu, SOFT_RDX, (uint32_t)((int32_t)cpu->regs[SOFT_RAX] >> 31));
	SOFT_NEXT;
}

SOFT_OP_FUNCTION(soft_op_bswap)
{
	if (op->flags & SOFT_OP_W)
		cpu->regs[op->rm] = __builtin_bswap64(cpu->regs[op->rm]);
	else if (op->flags & SOFT_OP_O16) /* undefined; this is what CPUs do */
		soft_set16(cpu, op->rm, 0);
	else
		soft_set32(cpu, op->rm, __builtin_bswap32(soft_get32(cpu, op->rm)));
	SOFT_NEXT;
}

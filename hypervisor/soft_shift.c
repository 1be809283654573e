/* SPDX-License-Identifier: MIT */
/* Shifts, rotates, INC, DEC, NOT, NEG and IMUL of two operands. */
#include "hypervisor/soft_ops.h"

/* ---- shifts ---- */

#define KEEP_OTHERS(old, ax) \
	(uint16_t)(((old) & ~(SOFT_CC_C | SOFT_CC_O)) | ((ax) & (SOFT_CC_C | SOFT_CC_O)))

/* A count of zero changes nothing. */
#define SHIFT_HOST(insn, bits, rotates)                                                        \
	static inline uint##bits##_t do_##insn##bits(                                          \
		struct soft_cpu *cpu, uint##bits##_t d, unsigned count)                        \
	{                                                                                      \
		uint16_t ax;                                                                   \
                                                                                               \
		count &= bits == 64 ? 63 : 31;                                                 \
		if (count == 0)                                                                \
			return d;                                                              \
		__asm__("btw $8, %w[old]\n\t" #insn " %%cl, %[d]\n\tlahf\n\tseto %%al"         \
			: [d] "+r"(d), "=&a"(ax)                                               \
			: "c"(count), [old] "r"((uint32_t)cpu->cc)                             \
			: "cc");                                                               \
		cpu->cc = rotates ? KEEP_OTHERS(cpu->cc, ax) : ax;                             \
		return d;                                                                      \
	}                                                                                      \
	SOFT_OP(insn##_ri##bits)                                                               \
	{                                                                                      \
		soft_set##bits(cpu, op->rm,                                                    \
			do_##insn##bits(cpu, soft_get##bits(cpu, op->rm), (uint8_t)op->imm));  \
		SOFT_NEXT;                                                                     \
	}                                                                                      \
	SOFT_OP(insn##_rc##bits)                                                               \
	{                                                                                      \
		soft_set##bits(cpu, op->rm,                                                    \
			do_##insn##bits(cpu, soft_get##bits(cpu, op->rm), soft_get8(cpu, 8))); \
		SOFT_NEXT;                                                                     \
	}                                                                                      \
	static inline void memory_##insn##bits(                                                \
		struct soft_cpu *cpu, const struct soft_op *op, unsigned count)                \
	{                                                                                      \
		uint64_t linear = soft_operand(cpu, op, bits / 8, true);                       \
		uint##bits##_t value;                                                          \
                                                                                               \
		soft_probe_write(cpu, op, linear, bits / 8);                                   \
		value = soft_load##bits(cpu, op, linear);                                      \
		soft_store##bits(cpu, op, linear, do_##insn##bits(cpu, value, count));         \
	}                                                                                      \
	SOFT_OP(insn##_mi##bits)                                                               \
	{                                                                                      \
		memory_##insn##bits(cpu, op, (uint8_t)op->imm);                                \
		SOFT_NEXT;                                                                     \
	}                                                                                      \
	SOFT_OP(insn##_mc##bits)                                                               \
	{                                                                                      \
		memory_##insn##bits(cpu, op, soft_get8(cpu, 8));                               \
		SOFT_NEXT;                                                                     \
	}
#define SHIFT(insn, rotates)          \
	SHIFT_HOST(insn, 8, rotates)  \
	SHIFT_HOST(insn, 16, rotates) \
	SHIFT_HOST(insn, 32, rotates) \
	SHIFT_HOST(insn, 64, rotates)

SHIFT(rol, true)
SHIFT(ror, true)
SHIFT(rcl, true)
SHIFT(rcr, true)
SHIFT(shl, false)
SHIFT(shr, false)
SHIFT(sar, false)

/* The same without flags, where nobody looks at them; the count is not zero. */
#define QUIET(insn, bits, type, operator)                                                    \
	SOFT_OP(quiet_##insn##bits)                                                          \
	{                                                                                    \
		type value = (type)soft_get##bits(cpu, op->rm);                              \
                                                                                             \
		soft_set##bits(                                                              \
			cpu, op->rm, (uint##bits##_t)(value operator(op->imm &(bits - 1)))); \
		SOFT_NEXT;                                                                   \
	}

QUIET(shl, 32, uint32_t, <<)
QUIET(shl, 64, uint64_t, <<)
QUIET(shr, 32, uint32_t, >>)
QUIET(shr, 64, uint64_t, >>)
QUIET(sar, 32, int32_t, >>)
QUIET(sar, 64, int64_t, >>)

soft_fn *soft_shift_quiet_fn(enum soft_shift shift, unsigned size)
{
	static soft_fn *const table[8][2] = {
		[SHIFT_SHL] = { quiet_shl32, quiet_shl64 },
		[SHIFT_SAL] = { quiet_shl32, quiet_shl64 },
		[SHIFT_SHR] = { quiet_shr32, quiet_shr64 },
		[SHIFT_SAR] = { quiet_sar32, quiet_sar64 },
	};

	return size >= 2 ? table[shift][size - 2] : NULL;
}

#define SHIFT_SIZE(insn, bits)                                                              \
	{                                                                                   \
		{ insn##_ri##bits, insn##_rc##bits }, { insn##_mi##bits, insn##_mc##bits }, \
	}
#define SHIFT_TABLE(insn)                                                        \
	{                                                                        \
		SHIFT_SIZE(insn, 8), SHIFT_SIZE(insn, 16), SHIFT_SIZE(insn, 32), \
			SHIFT_SIZE(insn, 64),                                    \
	}

soft_fn *soft_shift_fn(enum soft_shift shift, unsigned size, bool memory, bool by_cl, bool general)
{
	static soft_fn *const table[8][4][2][2] = {
		[SHIFT_ROL] = SHIFT_TABLE(rol),
		[SHIFT_ROR] = SHIFT_TABLE(ror),
		[SHIFT_RCL] = SHIFT_TABLE(rcl),
		[SHIFT_RCR] = SHIFT_TABLE(rcr),
		[SHIFT_SHL] = SHIFT_TABLE(shl),
		[SHIFT_SHR] = SHIFT_TABLE(shr),
		[SHIFT_SAL] = SHIFT_TABLE(shl),
		[SHIFT_SAR] = SHIFT_TABLE(sar),
	};

	return table[shift][size][memory][by_cl];
}

/* ---- INC, DEC, NOT, NEG ---- */

#define HOST_UNARY(insn) \
	__asm__(insn " %[d]\n\tlahf\n\tseto %%al" : [d] "+r"(d), "=&a"(ax) : : "cc")
#define DO_inc             \
	HOST_UNARY("inc"); \
	ax = (uint16_t)((ax & ~SOFT_CC_C) | (cpu->cc & SOFT_CC_C))
#define DO_dec             \
	HOST_UNARY("dec"); \
	ax = (uint16_t)((ax & ~SOFT_CC_C) | (cpu->cc & SOFT_CC_C))
#define DO_not                 \
	d = (__typeof__(d))~d; \
	ax = cpu->cc
#define DO_neg HOST_UNARY("neg")

#define UNARY(insn, bits)                                                  \
	SOFT_OP(insn##_r##bits)                                            \
	{                                                                  \
		uint##bits##_t d = soft_get##bits(cpu, op->rm);            \
		uint16_t ax;                                               \
                                                                           \
		DO_##insn;                                                 \
		soft_set##bits(cpu, op->rm, d);                            \
		cpu->cc = ax;                                              \
		SOFT_NEXT;                                                 \
	}                                                                  \
	SOFT_SLOW_OP(insn##_G##bits)                                       \
	{                                                                  \
		uint64_t linear = soft_operand(cpu, op, bits / 8, true);   \
		uint##bits##_t d;                                          \
		uint16_t ax;                                               \
                                                                           \
		soft_probe_write(cpu, op, linear, bits / 8);               \
		d = soft_load##bits(cpu, op, linear);                      \
		DO_##insn;                                                 \
		soft_store##bits(cpu, op, linear, d);                      \
		cpu->cc = ax;                                              \
		SOFT_NEXT;                                                 \
	}                                                                  \
	SOFT_OP(insn##_F##bits)                                            \
	{                                                                  \
		uint64_t linear = soft_address_F(cpu, op, bits / 8, true); \
		uint##bits##_t d;                                          \
		uint16_t ax;                                               \
		void *at;                                                  \
                                                                           \
		if (!soft_hit_write(cpu, linear, bits / 8, &at))           \
			SOFT_TAIL_CALL(insn##_G##bits(cpu, op));           \
		memcpy(&d, at, sizeof(d));                                 \
		DO_##insn;                                                 \
		memcpy(at, &d, sizeof(d));                                 \
		cpu->cc = ax;                                              \
		SOFT_NEXT;                                                 \
	}
#define UNARIES(insn)   \
	UNARY(insn, 8)  \
	UNARY(insn, 16) \
	UNARY(insn, 32) \
	UNARY(insn, 64)

UNARIES(inc)
UNARIES(dec)
UNARIES(not )
UNARIES(neg)

#define UNARY_SIZE(insn, bits)                                 \
	{                                                      \
		insn##_r##bits, insn##_F##bits, insn##_G##bits \
	}
#define UNARY_TABLE(insn)                                                        \
	{                                                                        \
		UNARY_SIZE(insn, 8), UNARY_SIZE(insn, 16), UNARY_SIZE(insn, 32), \
			UNARY_SIZE(insn, 64),                                    \
	}

soft_fn *soft_unary_fn(enum soft_unary unary, unsigned size, bool memory, bool general)
{
	static soft_fn *const table[4][4][3] = {
		[UNARY_INC] = UNARY_TABLE(inc),
		[UNARY_DEC] = UNARY_TABLE(dec),
		[UNARY_NOT] = UNARY_TABLE(not ),
		[UNARY_NEG] = UNARY_TABLE(neg),
	};

	return table[unary][size][memory ? 1 + general : 0];
}

/* ---- IMUL with two or three operands ---- */

#define IMUL(bits)                                                                                \
	static inline uint##bits##_t multiply##bits(                                              \
		struct soft_cpu *cpu, uint##bits##_t d, uint##bits##_t s)                         \
	{                                                                                         \
		uint16_t ax;                                                                      \
                                                                                                  \
		__asm__("imul %[s], %[d]\n\tlahf\n\tseto %%al"                                    \
			: [d] "+r"(d), "=&a"(ax)                                                  \
			: [s] "r"(s)                                                              \
			: "cc");                                                                  \
		cpu->cc = ax;                                                                     \
		return d;                                                                         \
	}                                                                                         \
	SOFT_OP(imul_r##bits)                                                                     \
	{                                                                                         \
		soft_set##bits(cpu, op->reg,                                                      \
			multiply##bits(                                                           \
				cpu, soft_get##bits(cpu, op->reg), soft_get##bits(cpu, op->rm))); \
		SOFT_NEXT;                                                                        \
	}                                                                                         \
	SOFT_OP(imul_m##bits)                                                                     \
	{                                                                                         \
		uint##bits##_t s =                                                                \
			soft_load##bits(cpu, op, soft_operand(cpu, op, bits / 8, false));         \
                                                                                                  \
		soft_set##bits(                                                                   \
			cpu, op->reg, multiply##bits(cpu, soft_get##bits(cpu, op->reg), s));      \
		SOFT_NEXT;                                                                        \
	}                                                                                         \
	SOFT_OP(imul_ri##bits)                                                                    \
	{                                                                                         \
		soft_set##bits(cpu, op->reg,                                                      \
			multiply##bits(                                                           \
				cpu, soft_get##bits(cpu, op->rm), (uint##bits##_t)op->imm));      \
		SOFT_NEXT;                                                                        \
	}                                                                                         \
	SOFT_OP(imul_mi##bits)                                                                    \
	{                                                                                         \
		uint##bits##_t s =                                                                \
			soft_load##bits(cpu, op, soft_operand(cpu, op, bits / 8, false));         \
                                                                                                  \
		soft_set##bits(cpu, op->reg, multiply##bits(cpu, s, (uint##bits##_t)op->imm));    \
		SOFT_NEXT;                                                                        \
	}

IMUL(16)
IMUL(32)
IMUL(64)

soft_fn *soft_imul_fn(unsigned size, bool immediate, bool memory, bool general)
{
	static soft_fn *const table[3][2][2] = {
		{ { imul_r16, imul_m16 }, { imul_ri16, imul_mi16 } },
		{ { imul_r32, imul_m32 }, { imul_ri32, imul_mi32 } },
		{ { imul_r64, imul_m64 }, { imul_ri64, imul_mi64 } },
	};

	return table[size - 1][immediate][memory];
}

/* SPDX-License-Identifier: MIT */
/* Two-operand arithmetic and logic. The host's own instructions give result and flags. */
#include "hypervisor/soft_ops.h"

/* Result in d, flags in ax as LAHF and SETO leave them. */
#define HOST(insn)                                      \
	__asm__(insn " %[s], %[d]\n\tlahf\n\tseto %%al" \
		: [d] "+r"(d), "=&a"(ax)                \
		: [s] "r"(s)                            \
		: "cc")
#define HOST_CARRY(insn)                                                    \
	__asm__("btw $8, %w[c]\n\t" insn " %[s], %[d]\n\tlahf\n\tseto %%al" \
		: [d] "+r"(d), "=&a"(ax)                                    \
		: [s] "r"(s), [c] "r"((uint32_t)cpu->cc)                    \
		: "cc")

#define DO_add  HOST("add")
#define DO_or   HOST("or")
#define DO_adc  HOST_CARRY("adc")
#define DO_sbb  HOST_CARRY("sbb")
#define DO_and  HOST("and")
#define DO_sub  HOST("sub")
#define DO_xor  HOST("xor")
#define DO_cmp  HOST("cmp")
#define DO_test HOST("test")

#define PUT_add  1
#define PUT_or   1
#define PUT_adc  1
#define PUT_sbb  1
#define PUT_and  1
#define PUT_sub  1
#define PUT_xor  1
#define PUT_cmp  0
#define PUT_test 0

#define REGISTER_FORMS(name, bits)                                                                \
	SOFT_OP(name##_rr##bits)                                                                  \
	{                                                                                         \
		uint##bits##_t d = soft_get##bits(cpu, op->rm), s = soft_get##bits(cpu, op->reg); \
		uint16_t ax;                                                                      \
                                                                                                  \
		DO_##name;                                                                        \
		if (PUT_##name)                                                                   \
			soft_set##bits(cpu, op->rm, d);                                           \
		cpu->cc = ax;                                                                     \
		SOFT_NEXT;                                                                        \
	}                                                                                         \
	SOFT_OP(name##_ri##bits)                                                                  \
	{                                                                                         \
		uint##bits##_t d = soft_get##bits(cpu, op->rm), s = (uint##bits##_t)op->imm;      \
		uint16_t ax;                                                                      \
                                                                                                  \
		DO_##name;                                                                        \
		if (PUT_##name)                                                                   \
			soft_set##bits(cpu, op->rm, d);                                           \
		cpu->cc = ax;                                                                     \
		SOFT_NEXT;                                                                        \
	}

/* The slow forms do anything; the fast ones what hits the cache: one look for reading and writing. */
#define MEMORY_TARGET(name, bits, kind, form, source, suffix)                         \
	SOFT_SLOW_OP(name##_##form##bits##suffix)                                     \
	{                                                                             \
		uint64_t linear = soft_address_##kind(cpu, op, bits / 8, PUT_##name); \
		uint##bits##_t d, s = (uint##bits##_t)(source);                       \
		uint16_t ax;                                                          \
                                                                                      \
		if (PUT_##name)                                                       \
			soft_probe_write(cpu, op, linear, bits / 8);                  \
		d = soft_load##bits(cpu, op, linear);                                 \
		DO_##name;                                                            \
		if (PUT_##name)                                                       \
			soft_store##bits(cpu, op, linear, d);                         \
		cpu->cc = ax;                                                         \
		SOFT_NEXT;                                                            \
	}
#define MEMORY_SOURCE(name, bits, kind, suffix)                                  \
	SOFT_SLOW_OP(name##_rm##bits##suffix)                                    \
	{                                                                        \
		uint64_t linear = soft_address_##kind(cpu, op, bits / 8, false); \
		uint##bits##_t s = soft_load##bits(cpu, op, linear);             \
		uint##bits##_t d = soft_get##bits(cpu, op->reg);                 \
		uint16_t ax;                                                     \
                                                                                 \
		DO_##name;                                                       \
		if (PUT_##name)                                                  \
			soft_set##bits(cpu, op->reg, d);                         \
		cpu->cc = ax;                                                    \
		SOFT_NEXT;                                                       \
	}
#define FAST_TARGET(name, bits, form, source)                                                   \
	MEMORY_TARGET(name, bits, F, form, source, F_slow)                                      \
	SOFT_OP(name##_##form##bits##F)                                                         \
	{                                                                                       \
		uint64_t linear = soft_address_F(cpu, op, bits / 8, PUT_##name);                \
		uint##bits##_t d, s = (uint##bits##_t)(source);                                 \
		uint16_t ax;                                                                    \
		void *at;                                                                       \
                                                                                                \
		if (!(PUT_##name ? soft_hit_write : soft_hit_read)(cpu, linear, bits / 8, &at)) \
			SOFT_TAIL_CALL(name##_##form##bits##F_slow(cpu, op));                   \
		memcpy(&d, at, sizeof(d));                                                      \
		DO_##name;                                                                      \
		if (PUT_##name)                                                                 \
			memcpy(at, &d, sizeof(d));                                              \
		cpu->cc = ax;                                                                   \
		SOFT_NEXT;                                                                      \
	}
#define FAST_SOURCE(name, bits)                                             \
	MEMORY_SOURCE(name, bits, F, F_slow)                                \
	SOFT_OP(name##_rm##bits##F)                                         \
	{                                                                   \
		uint64_t linear = soft_address_F(cpu, op, bits / 8, false); \
		uint##bits##_t s, d = soft_get##bits(cpu, op->reg);         \
		uint16_t ax;                                                \
		void *at;                                                   \
                                                                            \
		if (!soft_hit_read(cpu, linear, bits / 8, &at))             \
			SOFT_TAIL_CALL(name##_rm##bits##F_slow(cpu, op));   \
		memcpy(&s, at, sizeof(s));                                  \
		DO_##name;                                                  \
		if (PUT_##name)                                             \
			soft_set##bits(cpu, op->reg, d);                    \
		cpu->cc = ax;                                               \
		SOFT_NEXT;                                                  \
	}

#define MEMORY_FORMS(name, bits)                                          \
	FAST_SOURCE(name, bits)                                           \
	FAST_TARGET(name, bits, mr, soft_get##bits(cpu, op->reg))         \
	FAST_TARGET(name, bits, mi, op->imm)                              \
	MEMORY_SOURCE(name, bits, G, G)                                   \
	MEMORY_TARGET(name, bits, G, mr, soft_get##bits(cpu, op->reg), G) \
	MEMORY_TARGET(name, bits, G, mi, op->imm, G)

/* The same without flags, where nobody looks at them. */
#define QUIET_FORMS(name, bits, operator)                                                   \
	SOFT_OP(quiet_##name##_rr##bits)                                                    \
	{                                                                                   \
		soft_set##bits(cpu, op->rm,                                                 \
			soft_get##bits(cpu, op->rm) operator soft_get##bits(cpu, op->reg)); \
		SOFT_NEXT;                                                                  \
	}                                                                                   \
	SOFT_OP(quiet_##name##_ri##bits)                                                    \
	{                                                                                   \
		soft_set##bits(cpu, op->rm,                                                 \
			soft_get##bits(cpu, op->rm) operator(uint##bits##_t) op->imm);      \
		SOFT_NEXT;                                                                  \
	}
#define QUIET(name, operator)           \
	QUIET_FORMS(name, 32, operator) \
	QUIET_FORMS(name, 64, operator)

QUIET(add, +)
QUIET(or, |)
QUIET(and, &)
QUIET(sub, -)
QUIET(xor, ^)

#define SIZE_FORMS(name, bits)     \
	REGISTER_FORMS(name, bits) \
	MEMORY_FORMS(name, bits)

#define ALU(name)            \
	SIZE_FORMS(name, 8)  \
	SIZE_FORMS(name, 16) \
	SIZE_FORMS(name, 32) \
	SIZE_FORMS(name, 64)

ALU(add)
ALU(or)
ALU(adc)
ALU(sbb)
ALU(and)
ALU(sub)
ALU(xor)
ALU(cmp)
ALU(test)

#define FORM_TABLE(name, bits, kind)                                                  \
	{                                                                             \
		[FORM_RR] = name##_rr##bits, [FORM_RI] = name##_ri##bits,             \
		[FORM_RM] = name##_rm##bits##kind, [FORM_MR] = name##_mr##bits##kind, \
		[FORM_MI] = name##_mi##bits##kind,                                    \
	}
#define ALU_TABLE(name)                                                       \
	{                                                                     \
		{ FORM_TABLE(name, 8, F), FORM_TABLE(name, 8, G) },           \
			{ FORM_TABLE(name, 16, F), FORM_TABLE(name, 16, G) }, \
			{ FORM_TABLE(name, 32, F), FORM_TABLE(name, 32, G) }, \
			{ FORM_TABLE(name, 64, F), FORM_TABLE(name, 64, G) }, \
	}

soft_fn *soft_alu_fn(enum soft_alu alu, unsigned size, enum soft_form form, bool general)
{
	static soft_fn *const table[][4][2][FORMS] = {
		[ALU_ADD] = ALU_TABLE(add),
		[ALU_OR] = ALU_TABLE(or),
		[ALU_ADC] = ALU_TABLE(adc),
		[ALU_SBB] = ALU_TABLE(sbb),
		[ALU_AND] = ALU_TABLE(and),
		[ALU_SUB] = ALU_TABLE(sub),
		[ALU_XOR] = ALU_TABLE(xor),
		[ALU_CMP] = ALU_TABLE(cmp),
		[ALU_TEST] = ALU_TABLE(test),
	};

	return table[alu][size][general][form];
}

#define QUIET_ROW(name)                                          \
	{                                                        \
		{ quiet_##name##_rr32, quiet_##name##_ri32 },    \
		{                                                \
			quiet_##name##_rr64, quiet_##name##_ri64 \
		}                                                \
	}

soft_fn *soft_alu_quiet_fn(enum soft_alu alu, unsigned size, enum soft_form form)
{
	static soft_fn *const table[ALU_TEST + 1][2][2] = {
		[ALU_ADD] = QUIET_ROW(add),
		[ALU_OR] = QUIET_ROW(or),
		[ALU_AND] = QUIET_ROW(and),
		[ALU_SUB] = QUIET_ROW(sub),
		[ALU_XOR] = QUIET_ROW(xor),
	};

	if (alu == ALU_CMP || alu == ALU_TEST)
		return soft_op_nop;
	return size >= 2 ? table[alu][size - 2][form] : NULL;
}

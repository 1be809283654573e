/* SPDX-License-Identifier: MIT */
/* Integer instructions that are not hot: multiplication and division, decimal, flags, stack frames. */
#include "core/util.h"
#include "hypervisor/soft_internal.h"

/* ---- F6, F7: MUL, IMUL, DIV, IDIV ---- */

/* SF, ZF, AF and PF are undefined; as the host leaves them. */
#define HOST_MULTIPLY(insn, bits)                                                  \
	static void insn##bits(struct soft_cpu *cpu, uint##bits##_t s)             \
	{                                                                          \
		uint##bits##_t low = soft_get##bits(cpu, SOFT_RAX), high;          \
		uint16_t flags;                                                    \
                                                                                   \
		__asm__(#insn " %[s]\n\tmov %%rax, %%rcx\n\tlahf\n\tseto %%al\n\t" \
			      "xchg %%rcx, %%rax"                                  \
			: "+a"(low), "=d"(high), "=&c"(flags)                      \
			: [s] "r"(s)                                               \
			: "cc");                                                   \
		soft_set##bits(cpu, SOFT_RAX, low);                                \
		soft_set##bits(cpu, SOFT_RDX, high);                               \
		cpu->cc = flags;                                                   \
	}
#define HOST_MULTIPLY8(insn)                                                       \
	static void insn##8(struct soft_cpu * cpu, uint8_t s)                      \
	{                                                                          \
		uint16_t product = soft_get8(cpu, 0), flags;                       \
                                                                                   \
		__asm__(#insn " %[s]\n\tmov %%rax, %%rcx\n\tlahf\n\tseto %%al\n\t" \
			      "xchg %%rcx, %%rax"                                  \
			: "+a"(product), "=&c"(flags)                              \
			: [s] "r"(s)                                               \
			: "cc");                                                   \
		soft_set16(cpu, SOFT_RAX, product);                                \
		cpu->cc = flags;                                                   \
	}

static inline uint64_t soft_get64(const struct soft_cpu *cpu, unsigned reg)
{
	return cpu->regs[reg];
}
static inline void soft_set64(struct soft_cpu *cpu, unsigned reg, uint64_t value)
{
	cpu->regs[reg] = value;
}

HOST_MULTIPLY8(mul)
HOST_MULTIPLY(mul, 16)
HOST_MULTIPLY(mul, 32)
HOST_MULTIPLY(mul, 64)
HOST_MULTIPLY8(imul)
HOST_MULTIPLY(imul, 16)
HOST_MULTIPLY(imul, 32)
HOST_MULTIPLY(imul, 64)

static void multiply(struct soft_cpu *cpu, bool sign, unsigned size, uint64_t value)
{
	switch (size) {
	case 1: (sign ? imul8 : mul8)(cpu, (uint8_t)value); break;
	case 2: (sign ? imul16 : mul16)(cpu, (uint16_t)value); break;
	case 4: (sign ? imul32 : mul32)(cpu, (uint32_t)value); break;
	default: (sign ? imul64 : mul64)(cpu, value); break;
	}
}

static int64_t sign_extend(uint64_t value, unsigned size)
{
	unsigned shift = 64 - 8 * size;

	return (int64_t)(value << shift) >> shift;
}

/* Quotient and remainder go to AX's halves (8 bits), or to rAX and rDX. */
static void put_division(struct soft_cpu *cpu, unsigned size, uint64_t quotient, uint64_t rest)
{
	if (size == 1) {
		soft_set16(cpu, SOFT_RAX, (uint16_t)((uint8_t)quotient | (uint8_t)rest << 8));
		return;
	}
	soft_write_reg(cpu, SOFT_RAX, size, quotient);
	soft_write_reg(cpu, SOFT_RDX, size, rest);
}

static unsigned __int128 dividend(const struct soft_cpu *cpu, unsigned size)
{
	if (size == 1)
		return soft_get16(cpu, SOFT_RAX);
	return (unsigned __int128)soft_read_reg(cpu, SOFT_RDX, size) << (8 * size) |
		soft_read_reg(cpu, SOFT_RAX, size);
}

static void divide(struct soft_cpu *cpu, unsigned size, uint64_t by)
{
	unsigned __int128 value = dividend(cpu, size), quotient;

	if (by == 0)
		soft_raise(cpu, SOFT_DE);
	if (!(value >> 64)) {
		/* What is usual needs no 128 bits. */
		quotient = (uint64_t)value / by;
		if (size < 8 && (uint64_t)quotient >> (8 * size))
			soft_raise(cpu, SOFT_DE);
		put_division(cpu, size, (uint64_t)quotient, (uint64_t)value % by);
		return;
	}
	quotient = value / by;
	if (quotient >> (8 * size))
		soft_raise(cpu, SOFT_DE);
	put_division(cpu, size, (uint64_t)quotient, (uint64_t)(value % by));
}

static void divide_signed(struct soft_cpu *cpu, unsigned size, uint64_t operand)
{
	unsigned bits = 16 * size;
	__int128 value = (__int128)(dividend(cpu, size) << (128 - bits)) >> (128 - bits);
	__int128 by = sign_extend(operand, size), quotient;

	if (by == 0)
		soft_raise(cpu, SOFT_DE);
	/* The least number divided by -1 overflows 128 bits, too. */
	if (by == -1 && (unsigned __int128)value == (unsigned __int128)1 << 127)
		soft_raise(cpu, SOFT_DE);
	quotient = value / by;
	if (quotient != sign_extend((uint64_t)quotient, size))
		soft_raise(cpu, SOFT_DE);
	put_division(cpu, size, (uint64_t)quotient, (uint64_t)(value % by));
}

static void group3(struct soft_cpu *cpu, const struct soft_op *op, unsigned size, unsigned kind)
{
	uint64_t value = soft_read_rm(cpu, op, size);

	if (kind < 6)
		multiply(cpu, kind == 5, size, value);
	else if (kind == 6)
		divide(cpu, size, value);
	else
		divide_signed(cpu, size, value);
}

#define GROUP3(name, kind)                                                      \
	static void name##_byte(struct soft_cpu *cpu, const struct soft_op *op) \
	{                                                                       \
		group3(cpu, op, 1, kind);                                       \
	}                                                                       \
	static void name(struct soft_cpu *cpu, const struct soft_op *op)        \
	{                                                                       \
		group3(cpu, op, soft_operand_size(op), kind);                   \
	}

GROUP3(op_mul, 4)
GROUP3(op_imul, 5)
GROUP3(op_div, 6)
GROUP3(op_idiv, 7)

/* ---- decimal ---- */

static uint32_t parity_sign_zero(uint8_t value)
{
	return (__builtin_parity(value) ? 0 : SOFT_PF) | (value & 0x80 ? SOFT_SF : 0) |
		(value ? 0 : SOFT_ZF);
}

static void op_daa_das(struct soft_cpu *cpu, const struct soft_op *op)
{
	bool subtract = op->rm == 0x2f;
	uint8_t old = soft_get8(cpu, 0), al = old;
	uint32_t flags = soft_arith_flags(cpu), out = 0;
	bool carry = flags & SOFT_CF;

	if ((al & 15) > 9 || (flags & SOFT_AF)) {
		bool wraps = subtract ? al < 6 : al > 0xf9;

		out = SOFT_AF | (carry || wraps ? SOFT_CF : 0);
		al = (uint8_t)(subtract ? al - 6 : al + 6);
	}
	if (old > 0x99 || carry) {
		al = (uint8_t)(subtract ? al - 0x60 : al + 0x60);
		out |= SOFT_CF;
	} else if (!subtract) {
		out &= ~(uint32_t)SOFT_CF;
	}
	soft_set8(cpu, 0, al);
	soft_set_arith_flags(cpu, out | parity_sign_zero(al));
}

static void op_aaa_aas(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint16_t ax = soft_get16(cpu, SOFT_RAX);
	bool subtract = op->rm == 0x3f;
	uint32_t flags = 0;

	if ((ax & 15) > 9 || (soft_arith_flags(cpu) & SOFT_AF)) {
		ax = (uint16_t)(subtract ? ax - 0x106 : ax + 0x106);
		flags = SOFT_AF | SOFT_CF;
	}
	soft_set16(cpu, SOFT_RAX, ax & 0xff0f);
	soft_set_arith_flags(cpu, flags | parity_sign_zero(ax & 15));
}

static void op_aam(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint8_t al = soft_get8(cpu, 0);

	if (op->imm8 == 0)
		soft_raise(cpu, SOFT_DE);
	soft_set16(cpu, SOFT_RAX, (uint16_t)((al / op->imm8) << 8 | al % op->imm8));
	soft_set_arith_flags(cpu, parity_sign_zero(soft_get8(cpu, 0)));
}

static void op_aad(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint8_t al = (uint8_t)(soft_get8(cpu, 0) + soft_get8(cpu, 1) * op->imm8);

	soft_set16(cpu, SOFT_RAX, al);
	soft_set_arith_flags(cpu, parity_sign_zero(al));
}

/* ---- flags ---- */

static void op_carry(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint32_t flags = soft_arith_flags(cpu);

	if (op->rm == 0xf5)
		flags ^= SOFT_CF;
	else
		flags = (flags & ~(uint32_t)SOFT_CF) | (op->rm & 1);
	soft_set_arith_flags(cpu, flags);
}

static void op_direction(struct soft_cpu *cpu, const struct soft_op *op)
{
	cpu->eflags = op->rm & 1 ? cpu->eflags | SOFT_DF : cpu->eflags & ~(uint32_t)SOFT_DF;
}

static void op_lahf(struct soft_cpu *cpu, const struct soft_op *op)
{
	soft_set8(cpu, 1, (uint8_t)((soft_arith_flags(cpu) & 0xd5) | 2));
}

static void op_sahf(struct soft_cpu *cpu, const struct soft_op *op)
{
	soft_set_arith_flags(cpu, (soft_arith_flags(cpu) & SOFT_OF) | (soft_get8(cpu, 1) & 0xd5u));
}

static void op_salc(struct soft_cpu *cpu, const struct soft_op *op)
{
	soft_set8(cpu, 0, soft_arith_flags(cpu) & SOFT_CF ? 0xff : 0);
}

/* ---- stack frames ---- */

static void op_pop_rm(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = op->flags & SOFT_OP_O16 ? 2 : cpu->long64 ? 8 : 4;
	uint64_t before = cpu->regs[SOFT_RSP], sp = before;
	uint64_t value = soft_pop_at(cpu, &sp, size), linear;

	if (!(op->flags & SOFT_OP_MEM)) {
		soft_stack_set(cpu, sp);
		soft_write_reg(cpu, op->rm, size, value);
		return;
	}
	/* The address is that with the new stack pointer; a fault finds the old one. */
	soft_stack_set(cpu, sp);
	sp = cpu->regs[SOFT_RSP];
	linear = soft_ea(cpu, op);
	cpu->regs[SOFT_RSP] = before;
	soft_store(cpu, op, soft_linear(cpu, op, op->seg, linear, size, true), size, value);
	cpu->regs[SOFT_RSP] = sp;
}

static void op_pusha(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = soft_operand_size(op);
	uint64_t sp = cpu->regs[SOFT_RSP];

	for (unsigned i = 0; i < 8; i++)
		soft_push_at(cpu, &sp, size, cpu->regs[i]);
	soft_stack_set(cpu, sp);
}

static void op_popa(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = soft_operand_size(op);
	uint64_t sp = cpu->regs[SOFT_RSP], values[8];

	for (unsigned i = 0; i < 8; i++)
		values[7 - i] = soft_pop_at(cpu, &sp, size);
	for (unsigned i = 0; i < 8; i++)
		if (i != SOFT_RSP)
			soft_write_reg(cpu, i, size, values[i]);
	soft_stack_set(cpu, sp);
}

static void op_leave(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = op->flags & SOFT_OP_O16 ? 2 : cpu->long64 ? 8 : 4;
	uint64_t sp = cpu->regs[SOFT_RBP] & soft_stack_mask(cpu);
	uint64_t value = soft_pop_at(cpu, &sp, size);

	soft_stack_set(cpu, sp);
	soft_write_reg(cpu, SOFT_RBP, size, value);
}

/* imm8: the level, disp: bytes of the frame. */
static void op_enter(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = op->flags & SOFT_OP_O16 ? 2 : cpu->long64 ? 8 : 4;
	unsigned level = op->imm8 & 31;
	uint64_t sp = cpu->regs[SOFT_RSP], bp = cpu->regs[SOFT_RBP] & soft_stack_mask(cpu), frame;

	soft_push_at(cpu, &sp, size, cpu->regs[SOFT_RBP]);
	frame = sp;
	for (unsigned i = 1; i < level; i++) {
		uint64_t at = bp - size;

		bp = at & soft_stack_mask(cpu);
		at = bp;
		soft_push_at(cpu, &sp, size, soft_pop_at(cpu, &at, size));
	}
	if (level)
		soft_push_at(cpu, &sp, size, frame);
	soft_write_reg(cpu, SOFT_RBP, size, frame);
	soft_stack_set(cpu, sp - (uint16_t)op->disp);
}

/* ---- others ---- */

static void op_xlat(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t at = cpu->regs[SOFT_RBX] + soft_get8(cpu, 0);

	if (op->flags & SOFT_OP_A16)
		at = (uint16_t)at;
	else if (op->flags & SOFT_OP_A32)
		at = (uint32_t)at;
	soft_set8(cpu, 0, soft_load8(cpu, op, soft_linear(cpu, op, op->seg, at, 1, false)));
}

static void op_bound(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = soft_operand_size(op);
	uint64_t linear = soft_operand(cpu, op, 2 * size, false);
	int64_t low = sign_extend(soft_load(cpu, op, linear, size), size);
	int64_t high = sign_extend(soft_load(cpu, op, linear + size, size), size);
	int64_t index = sign_extend(soft_read_reg(cpu, op->reg, size), size);

	if (index < low || index > high)
		soft_raise(cpu, SOFT_BR);
}

static void op_arpl(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint32_t flags = soft_arith_flags(cpu) & ~(uint32_t)SOFT_ZF;
	uint16_t target, source = soft_get16(cpu, op->reg);

	if (soft_real_mode(cpu) || soft_v86(cpu))
		soft_raise(cpu, SOFT_UD);
	target = (uint16_t)soft_read_rm(cpu, op, 2);
	if ((target & 3) < (source & 3)) {
		soft_write_rm(cpu, op, 2, (target & ~3u) | (source & 3));
		flags |= SOFT_ZF;
	}
	soft_set_arith_flags(cpu, flags);
}

static void op_xchg_ax16(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned reg = op->reg;
	uint16_t value = soft_get16(cpu, reg);

	soft_set16(cpu, reg, soft_get16(cpu, SOFT_RAX));
	soft_set16(cpu, SOFT_RAX, value);
}

static void op_popcnt(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = soft_operand_size(op);
	uint64_t value = soft_read_rm(cpu, op, size);

	soft_write_reg(cpu, op->reg, size, (uint64_t)__builtin_popcountll(value));
	soft_set_arith_flags(cpu, value ? 0 : SOFT_ZF);
}

/* CRC-32C of the operand, least significant bit first. */
static void crc32(struct soft_cpu *cpu, const struct soft_op *op, unsigned size)
{
	uint64_t value = soft_read_rm(cpu, op, size);
	uint32_t crc = soft_get32(cpu, op->reg);

	for (unsigned i = 0; i < size; i++, value >>= 8) {
		crc ^= (uint8_t)value;
		for (unsigned bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	cpu->regs[op->reg] = crc;
}

static void op_crc32(struct soft_cpu *cpu, const struct soft_op *op)
{
	crc32(cpu, op, soft_operand_size(op));
}

static void op_crc32_byte(struct soft_cpu *cpu, const struct soft_op *op)
{
	crc32(cpu, op, 1);
}

#define NO_MODRM(code, function, more)                                             \
	{                                                                          \
		SOFT_MAP_1, code, SOFT_P_ANY, SOFT_ANY, SOFT_ANY, SOFT_CLASS_NONE, \
			SOFT_ROW_NO_MODRM | (more), function                       \
	}
#define GROUP(code, extension, function, more)                                                     \
	{                                                                                          \
		SOFT_MAP_1, code, SOFT_P_ANY, extension, SOFT_ANY, SOFT_CLASS_NONE, more, function \
	}

static const struct soft_row rows[] = {
	GROUP(0xf6, 4, op_mul_byte, SOFT_ROW_BYTE),
	GROUP(0xf6, 5, op_imul_byte, SOFT_ROW_BYTE),
	GROUP(0xf6, 6, op_div_byte, SOFT_ROW_BYTE),
	GROUP(0xf6, 7, op_idiv_byte, SOFT_ROW_BYTE),
	GROUP(0xf7, 4, op_mul, 0),
	GROUP(0xf7, 5, op_imul, 0),
	GROUP(0xf7, 6, op_div, 0),
	GROUP(0xf7, 7, op_idiv, 0),
	NO_MODRM(0x27, op_daa_das, SOFT_ROW_NOT64),
	NO_MODRM(0x2f, op_daa_das, SOFT_ROW_NOT64),
	NO_MODRM(0x37, op_aaa_aas, SOFT_ROW_NOT64),
	NO_MODRM(0x3f, op_aaa_aas, SOFT_ROW_NOT64),
	NO_MODRM(0xd4, op_aam, SOFT_ROW_NOT64 | SOFT_ROW_IMM8),
	NO_MODRM(0xd5, op_aad, SOFT_ROW_NOT64 | SOFT_ROW_IMM8),
	NO_MODRM(0xf5, op_carry, 0),
	NO_MODRM(0xf8, op_carry, 0),
	NO_MODRM(0xf9, op_carry, 0),
	NO_MODRM(0xfc, op_direction, 0),
	NO_MODRM(0xfd, op_direction, 0),
	NO_MODRM(0x9e, op_sahf, 0),
	NO_MODRM(0x9f, op_lahf, 0),
	NO_MODRM(0xd6, op_salc, SOFT_ROW_NOT64),
	GROUP(0x8f, 0, op_pop_rm, 0),
	NO_MODRM(0x60, op_pusha, SOFT_ROW_NOT64),
	NO_MODRM(0x61, op_popa, SOFT_ROW_NOT64),
	NO_MODRM(0xc8, op_enter, 0),
	NO_MODRM(0xc9, op_leave, 0),
	NO_MODRM(0xd7, op_xlat, 0),
	GROUP(0x62, SOFT_ANY, op_bound, SOFT_ROW_NOT64 | SOFT_ROW_MEM),
	GROUP(0x63, SOFT_ANY, op_arpl, SOFT_ROW_NOT64),
	NO_MODRM(0x90, op_xchg_ax16, 0),
	NO_MODRM(0x91, op_xchg_ax16, 0),
	NO_MODRM(0x92, op_xchg_ax16, 0),
	NO_MODRM(0x93, op_xchg_ax16, 0),
	NO_MODRM(0x94, op_xchg_ax16, 0),
	NO_MODRM(0x95, op_xchg_ax16, 0),
	NO_MODRM(0x96, op_xchg_ax16, 0),
	NO_MODRM(0x97, op_xchg_ax16, 0),
	{ SOFT_MAP_0F, 0xb8, SOFT_P_F3, SOFT_ANY, SOFT_ANY, SOFT_CLASS_NONE, 0, op_popcnt },
	{ SOFT_MAP_0F38, 0xf0, SOFT_P_F2, SOFT_ANY, SOFT_ANY, SOFT_CLASS_NONE, SOFT_ROW_BYTE_RM,
		op_crc32_byte },
	{ SOFT_MAP_0F38, 0xf1, SOFT_P_F2, SOFT_ANY, SOFT_ANY, SOFT_CLASS_NONE, 0, op_crc32 },
};

const struct soft_table soft_integer_table = { rows, ARRAY_SIZE(rows) };

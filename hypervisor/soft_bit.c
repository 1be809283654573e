/* SPDX-License-Identifier: MIT */
/* Bit tests, scans, double shifts, exchanges, random numbers. */
#include <errno.h>
#include <sys/random.h>

#include "core/util.h"
#include "hypervisor/soft_atomic.h"

/* ---- BT, BTS, BTR, BTC ---- */

enum bit_action { BIT_TEST, BIT_SET, BIT_RESET, BIT_COMPLEMENT };

static uint64_t modify_set(uint64_t old, uint64_t mask, unsigned size, uint16_t *cc)
{
	return old | mask;
}
static uint64_t modify_reset(uint64_t old, uint64_t mask, unsigned size, uint16_t *cc)
{
	return old & ~mask;
}
static uint64_t modify_complement(uint64_t old, uint64_t mask, unsigned size, uint16_t *cc)
{
	return old ^ mask;
}

static void bit(
	struct soft_cpu *cpu, const struct soft_op *op, enum bit_action action, bool immediate)
{
	static soft_modify *const modify[] = { NULL, modify_set, modify_reset, modify_complement };
	unsigned size = soft_operand_size(op), bits = 8 * size;
	uint64_t index = immediate ? op->imm8 : soft_read_reg(cpu, op->reg, size), old;
	uint64_t mask = UINT64_C(1) << (index % bits);
	uint32_t flags = soft_arith_flags(cpu) & ~(uint32_t)SOFT_CF;
	uint16_t cc = 0;

	if (!(op->flags & SOFT_OP_MEM)) {
		old = soft_read_reg(cpu, op->rm, size);
		if (action != BIT_TEST)
			soft_write_reg(cpu, op->rm, size, modify[action](old, mask, size, &cc));
	} else {
		uint64_t offset = soft_ea(cpu, op), linear;
		int64_t words = 0;

		/* A register's bit may be anywhere, by its sign too. */
		if (!immediate)
			words = (int64_t)(index << (64 - bits)) >> (64 - bits);
		words >>= size == 8 ? 6 : size == 4 ? 5 : 4;
		offset += (uint64_t)words * size;
		if (op->flags & (SOFT_OP_A16 | SOFT_OP_A32))
			offset = op->flags & SOFT_OP_A16 ? (uint16_t)offset : (uint32_t)offset;
		linear = soft_linear(cpu, op, op->seg, offset, size, action != BIT_TEST);
		if (action == BIT_TEST)
			old = soft_load(cpu, op, linear, size);
		else
			old = soft_atomic_modify(cpu, op, linear, size, modify[action], mask, &cc);
	}
	soft_set_arith_flags(cpu, flags | (old & mask ? SOFT_CF : 0));
}

#define BIT(name, action)                                                           \
	static void op_##name(struct soft_cpu *cpu, const struct soft_op *op)       \
	{                                                                           \
		bit(cpu, op, action, false);                                        \
	}                                                                           \
	static void op_##name##_imm(struct soft_cpu *cpu, const struct soft_op *op) \
	{                                                                           \
		bit(cpu, op, action, true);                                         \
	}

BIT(bt, BIT_TEST)
BIT(bts, BIT_SET)
BIT(btr, BIT_RESET)
BIT(btc, BIT_COMPLEMENT)

/* ---- BSF, BSR: with a source of zero the target stays ---- */

static void op_bsf(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = soft_operand_size(op);
	uint64_t value = soft_read_rm(cpu, op, size);
	uint32_t flags = soft_arith_flags(cpu) & ~(uint32_t)SOFT_ZF;

	if (value)
		soft_write_reg(cpu, op->reg, size, (uint64_t)__builtin_ctzll(value));
	soft_set_arith_flags(cpu, flags | (value ? 0 : SOFT_ZF));
}

static void op_bsr(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = soft_operand_size(op);
	uint64_t value = soft_read_rm(cpu, op, size);
	uint32_t flags = soft_arith_flags(cpu) & ~(uint32_t)SOFT_ZF;

	if (value)
		soft_write_reg(cpu, op->reg, size, 63 - (uint64_t)__builtin_clzll(value));
	soft_set_arith_flags(cpu, flags | (value ? 0 : SOFT_ZF));
}

/* ---- SHLD, SHRD ---- */

#define DOUBLE_SHIFT(insn, bits)                                                        \
	static uint64_t insn##bits(                                                     \
		struct soft_cpu *cpu, uint64_t target, uint64_t source, unsigned count) \
	{                                                                               \
		uint##bits##_t d = (uint##bits##_t)target, s = (uint##bits##_t)source;  \
		uint16_t ax;                                                            \
                                                                                        \
		__asm__(#insn " %%cl, %[s], %[d]\n\tlahf\n\tseto %%al"                  \
			: [d] "+r"(d), "=&a"(ax)                                        \
			: [s] "r"(s), "c"(count)                                        \
			: "cc");                                                        \
		cpu->cc = ax;                                                           \
		return d;                                                               \
	}

DOUBLE_SHIFT(shld, 16)
DOUBLE_SHIFT(shld, 32)
DOUBLE_SHIFT(shld, 64)
DOUBLE_SHIFT(shrd, 16)
DOUBLE_SHIFT(shrd, 32)
DOUBLE_SHIFT(shrd, 64)

static void double_shift(struct soft_cpu *cpu, const struct soft_op *op, bool right, unsigned count)
{
	unsigned size = soft_operand_size(op);
	uint64_t value, source = soft_read_reg(cpu, op->reg, size);

	if (op->flags & SOFT_OP_MEM)
		soft_probe_write(cpu, op, soft_operand(cpu, op, size, true), size);
	value = soft_read_rm(cpu, op, size);
	count &= size == 8 ? 63 : 31;
	if (count == 0) {
		/* A register of 32 bits is still extended. */
		soft_write_rm(cpu, op, size, value);
		return;
	}
	if (size == 2)
		value = (right ? shrd16 : shld16)(cpu, value, source, count);
	else if (size == 4)
		value = (right ? shrd32 : shld32)(cpu, value, source, count);
	else
		value = (right ? shrd64 : shld64)(cpu, value, source, count);
	soft_write_rm(cpu, op, size, value);
}

static void op_shld_imm(struct soft_cpu *cpu, const struct soft_op *op)
{
	double_shift(cpu, op, false, op->imm8);
}
static void op_shld_cl(struct soft_cpu *cpu, const struct soft_op *op)
{
	double_shift(cpu, op, false, (uint8_t)cpu->regs[SOFT_RCX]);
}
static void op_shrd_imm(struct soft_cpu *cpu, const struct soft_op *op)
{
	double_shift(cpu, op, true, op->imm8);
}
static void op_shrd_cl(struct soft_cpu *cpu, const struct soft_op *op)
{
	double_shift(cpu, op, true, (uint8_t)cpu->regs[SOFT_RCX]);
}

/* ---- XCHG, XADD, CMPXCHG ---- */

static uint64_t modify_exchange(uint64_t old, uint64_t operand, unsigned size, uint16_t *cc)
{
	return operand;
}

static void xchg(struct soft_cpu *cpu, const struct soft_op *op, unsigned size)
{
	uint64_t value = soft_read_reg(cpu, op->reg, size), old;
	uint16_t cc;

	if (op->flags & SOFT_OP_MEM) {
		old = soft_atomic_modify(cpu, op, soft_operand(cpu, op, size, true), size,
			modify_exchange, value, &cc);
	} else {
		old = soft_read_reg(cpu, op->rm, size);
		soft_write_reg(cpu, op->rm, size, value);
	}
	soft_write_reg(cpu, op->reg, size, old);
}

static uint64_t modify_xadd(uint64_t old, uint64_t operand, unsigned size, uint16_t *cc)
{
	*cc = soft_flags_of_add(size, old, operand);
	return old + operand;
}

static void xadd(struct soft_cpu *cpu, const struct soft_op *op, unsigned size)
{
	uint64_t value = soft_read_reg(cpu, op->reg, size), old;
	uint16_t cc;

	if (op->flags & SOFT_OP_MEM) {
		old = soft_atomic_modify(
			cpu, op, soft_operand(cpu, op, size, true), size, modify_xadd, value, &cc);
		soft_write_reg(cpu, op->reg, size, old);
	} else {
		old = soft_read_reg(cpu, op->rm, size);
		soft_write_reg(cpu, op->reg, size, old);
		soft_write_reg(cpu, op->rm, size, modify_xadd(old, value, size, &cc));
	}
	cpu->cc = cc;
}

static void cmpxchg(struct soft_cpu *cpu, const struct soft_op *op, unsigned size)
{
	uint64_t wanted = soft_read_reg(cpu, SOFT_RAX, size), old = wanted;
	uint64_t value = soft_read_reg(cpu, op->reg, size);
	bool same;

	if (op->flags & SOFT_OP_MEM) {
		same = soft_atomic_compare(
			cpu, op, soft_operand(cpu, op, size, true), size, &old, value);
	} else {
		old = soft_read_reg(cpu, op->rm, size);
		same = old == wanted;
		if (same)
			soft_write_reg(cpu, op->rm, size, value);
	}
	cpu->cc = soft_flags_of_sub(size, wanted, old);
	if (!same)
		soft_write_reg(cpu, SOFT_RAX, size, old);
}

#define SIZED(name)                                                                  \
	static void op_##name##_byte(struct soft_cpu *cpu, const struct soft_op *op) \
	{                                                                            \
		name(cpu, op, 1);                                                    \
	}                                                                            \
	static void op_##name(struct soft_cpu *cpu, const struct soft_op *op)        \
	{                                                                            \
		name(cpu, op, soft_operand_size(op));                                \
	}

SIZED(xchg)
SIZED(xadd)
SIZED(cmpxchg)

static bool compare_16_bytes(void *at, uint64_t expected[2], const uint64_t desired[2])
{
	bool done;

	__asm__ volatile("lock cmpxchg16b %[at]\n\tsete %[done]"
			 : [at] "+m"(*(unsigned __int128 *)at), "+a"(expected[0]),
			 "+d"(expected[1]), [done] "=q"(done)
			 : "b"(desired[0]), "c"(desired[1])
			 : "memory", "cc");
	return done;
}

static bool cmpxchg16b(struct soft_cpu *cpu, const struct soft_op *op, uint64_t linear,
	uint64_t expected[2], const uint64_t desired[2])
{
	uint64_t low, high, gpa;
	void *at;
	bool same;

	if (linear & 15)
		soft_raise_error(cpu, SOFT_GP, 0);
	at = soft_atomic_pointer(cpu, op, linear, 16, &gpa);
	if (at && !((uintptr_t)at & 15)) {
		same = compare_16_bytes(at, expected, desired);
		if (gpa != SOFT_NO_GPA)
			soft_phys_wrote(cpu, gpa, 16);
		return same;
	}
	soft_atomic_begin(cpu);
	low = soft_load64(cpu, op, linear);
	high = soft_load64(cpu, op, linear + 8);
	same = low == expected[0] && high == expected[1];
	soft_store64(cpu, op, linear, same ? desired[0] : low);
	soft_store64(cpu, op, linear + 8, same ? desired[1] : high);
	soft_atomic_end(cpu);
	expected[0] = low;
	expected[1] = high;
	return same;
}

/* CMPXCHG8B and CMPXCHG16B: only ZF changes. */
static void op_cmpxchg_pair(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t expected[2] = { cpu->regs[SOFT_RAX], cpu->regs[SOFT_RDX] };
	const uint64_t desired[2] = { cpu->regs[SOFT_RBX], cpu->regs[SOFT_RCX] };
	uint32_t flags = soft_arith_flags(cpu) & ~(uint32_t)SOFT_ZF;
	bool same;

	if (op->flags & SOFT_OP_W) {
		same = cmpxchg16b(cpu, op, soft_operand(cpu, op, 16, true), expected, desired);
	} else {
		uint64_t old = (uint32_t)expected[0] | expected[1] << 32;

		same = soft_atomic_compare(cpu, op, soft_operand(cpu, op, 8, true), 8, &old,
			(uint32_t)desired[0] | desired[1] << 32);
		expected[0] = (uint32_t)old;
		expected[1] = old >> 32;
	}
	if (!same) {
		cpu->regs[SOFT_RAX] = expected[0];
		cpu->regs[SOFT_RDX] = expected[1];
	}
	soft_set_arith_flags(cpu, flags | (same ? SOFT_ZF : 0));
}

/* The host's random numbers, by its kernel. */
static void op_rdrand(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = soft_operand_size(op);
	uint64_t value = 0;
	bool ok = getrandom(&value, sizeof(value), GRND_NONBLOCK) == sizeof(value);

	soft_write_reg(cpu, op->rm, size, ok ? value : 0);
	soft_set_arith_flags(cpu, ok ? SOFT_CF : 0);
}

#define ROW(opcode, flags, function)                                                         \
	{                                                                                    \
		SOFT_MAP_0F, opcode, SOFT_P_ANY, SOFT_ANY, SOFT_ANY, SOFT_CLASS_NONE, flags, \
			function                                                             \
	}
#define GROUP8(extension, flags, function)                                           \
	{                                                                            \
		SOFT_MAP_0F, 0xba, SOFT_P_ANY, extension, SOFT_ANY, SOFT_CLASS_NONE, \
			SOFT_ROW_IMM8 | (flags), function                            \
	}

static const struct soft_row rows[] = {
	ROW(0xa3, 0, op_bt),
	ROW(0xab, SOFT_ROW_LOCK, op_bts),
	ROW(0xb3, SOFT_ROW_LOCK, op_btr),
	ROW(0xbb, SOFT_ROW_LOCK, op_btc),
	GROUP8(4, 0, op_bt_imm),
	GROUP8(5, SOFT_ROW_LOCK, op_bts_imm),
	GROUP8(6, SOFT_ROW_LOCK, op_btr_imm),
	GROUP8(7, SOFT_ROW_LOCK, op_btc_imm),
	ROW(0xbc, 0, op_bsf),
	ROW(0xbd, 0, op_bsr),
	ROW(0xa4, SOFT_ROW_IMM8, op_shld_imm),
	ROW(0xa5, 0, op_shld_cl),
	ROW(0xac, SOFT_ROW_IMM8, op_shrd_imm),
	ROW(0xad, 0, op_shrd_cl),
	{ SOFT_MAP_1, 0x86, SOFT_P_ANY, SOFT_ANY, SOFT_ANY, SOFT_CLASS_NONE,
		SOFT_ROW_LOCK | SOFT_ROW_BYTE, op_xchg_byte },
	{ SOFT_MAP_1, 0x87, SOFT_P_ANY, SOFT_ANY, SOFT_ANY, SOFT_CLASS_NONE, SOFT_ROW_LOCK,
		op_xchg },
	ROW(0xc0, SOFT_ROW_LOCK | SOFT_ROW_BYTE, op_xadd_byte),
	ROW(0xc1, SOFT_ROW_LOCK, op_xadd),
	ROW(0xb0, SOFT_ROW_LOCK | SOFT_ROW_BYTE, op_cmpxchg_byte),
	ROW(0xb1, SOFT_ROW_LOCK, op_cmpxchg),
	{ SOFT_MAP_0F, 0xc7, SOFT_P_ANY, 1, SOFT_ANY, SOFT_CLASS_NONE, SOFT_ROW_LOCK | SOFT_ROW_MEM,
		op_cmpxchg_pair },
	{ SOFT_MAP_0F, 0xc7, SOFT_P_ANY, 6, SOFT_ANY, SOFT_CLASS_NONE, SOFT_ROW_REG, op_rdrand },
};

const struct soft_table soft_bit_table = { rows, ARRAY_SIZE(rows) };

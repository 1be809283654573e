/* SPDX-License-Identifier: MIT */
/* Translated moves, extensions, exchanges, what depends on conditions, and bit instructions. */
#include "core/util.h"
#include "hypervisor/soft_jit_operand.h"

/* ---- moves ---- */

static bool mov(struct jit *j)
{
	unsigned size = jit_size(j->insn);
	const struct soft_op *op = j->op;
	struct emit_operand reg, to;
	int value;

	if (jit_is_high(size, op->reg) || (!jit_in_memory(op) && jit_is_high(size, op->rm)))
		return false;
	reg = jit_reg_of(size, op->reg);
	if (!jit_in_memory(op)) {
		to = jit_rm(j, size);
		if (to.reg >= 0) {
			emit_load(j->e, size, to.reg, reg);
			return true;
		}
		value = jit_value(j, size, op->reg, H_RAX);
		if (size == 2 && value != H_RAX) {
			emit_load(j->e, 2, H_RAX, emit_in(value));
			value = H_RAX;
		}
		jit_keep(j, size, to, value);
	} else if (j->insn->opcode & 2) {
		struct emit_operand from = jit_memory(j, 1u << size, JIT_READ, false);

		value = reg.reg < 0 ? H_RAX : reg.reg;
		emit_load(j->e, size, value, from);
		jit_keep(j, size, reg, value);
	} else {
		to = jit_memory(j, 1u << size, JIT_WRITE, reg.reg < 0);
		emit_store(j->e, size, to, jit_value(j, size, op->reg, H_RAX));
	}
	return true;
}

static void store_immediate(struct jit *j, unsigned size, struct emit_operand to)
{
	emit_op(j->e, size, size ? 0xc7 : 0xc6, 0, to);
	emit_imm(j->e, size, j->op->imm);
}

static bool mov_immediate(struct jit *j, unsigned size)
{
	struct emit_operand to;
	uint64_t value = size == 2 ? (uint32_t)j->op->imm : j->op->imm;

	if (jit_in_memory(j->op)) {
		store_immediate(j, size, jit_memory(j, 1u << size, JIT_WRITE, false));
		return true;
	}
	if (jit_is_high(size, j->op->rm))
		return false;
	to = jit_rm(j, size);
	if (size < 2) {
		store_immediate(j, size, to);
	} else if (to.reg >= 0) {
		emit_constant(j->e, to.reg, value);
	} else {
		emit_constant(j->e, H_RAX, value);
		emit_store(j->e, 3, to, H_RAX);
	}
	return true;
}

/* from: log2 of the source's bytes. */
static bool extend(struct jit *j, unsigned from, bool sign)
{
	unsigned size = j->insn->osize;
	struct emit_operand to = jit_reg(j->op->reg), source;
	uint32_t code = from == 2
		? 0x63
		: EMIT_0F | (sign ? 0xbeu : 0xb6u) | from | (from == 0 ? EMIT_BYTE_RM : 0u);
	int target = to.reg < 0 ? H_RAX : to.reg;

	if (from == 2 && size == 1)
		return false;
	if (!jit_in_memory(j->op) && jit_is_high(from, j->op->rm))
		return false;
	source = jit_in_memory(j->op) ? jit_memory(j, 1u << from, JIT_READ, false)
				      : jit_reg_of(from, j->op->rm);
	emit_op(j->e, size, code, (unsigned)target, source);
	jit_keep(j, size, to, target);
	return true;
}

static bool lea(struct jit *j)
{
	unsigned size = j->insn->osize;
	struct emit_operand to = jit_reg(j->op->reg);

	if (size == 1)
		return false;
	if (to.reg >= 0) {
		jit_address(j, to.reg);
		if (size == 2)
			emit_load(j->e, 2, to.reg, to);
		return true;
	}
	jit_address(j, H_RAX);
	if (size == 2)
		emit_load(j->e, 2, H_RAX, emit_in(H_RAX));
	emit_store(j->e, 3, to, H_RAX);
	return true;
}

static bool exchange(struct jit *j, unsigned size, unsigned a, unsigned b)
{
	struct emit_operand first = jit_reg(a), second = jit_reg(b);

	emit_load(j->e, size, H_RAX, first);
	emit_load(j->e, size, H_RCX, second);
	emit_store(j->e, 3, first, H_RCX);
	emit_store(j->e, 3, second, H_RAX);
	return true;
}

static bool xchg_memory(struct jit *j, unsigned size)
{
	struct emit_operand to, reg = jit_reg_of(size, j->op->reg);

	if (jit_is_high(size, j->op->reg))
		return false;
	to = jit_memory(j, 1u << size, JIT_WRITE, true);
	if (reg.reg >= 0) {
		emit_op(j->e, size, size ? 0x87 : 0x86, (unsigned)reg.reg, to);
		return true;
	}
	emit_load(j->e, size, H_RAX, reg);
	emit_op(j->e, size, size ? 0x87 : 0x86, H_RAX, to);
	jit_keep(j, size, reg, H_RAX);
	return true;
}

/* 90 to 97, 87 */
static bool xchg(struct jit *j)
{
	uint8_t opcode = j->insn->opcode;

	if (opcode == 0x86 || opcode == 0x87) {
		if (jit_in_memory(j->op))
			return xchg_memory(j, jit_size(j->insn));
		if (opcode == 0x86 || j->insn->osize < 2)
			return false;
	} else if (j->op->fn == soft_op_pause) {
		emit8(j->e, 0xf3);
		emit8(j->e, 0x90);
		return true;
	} else if (j->op->fn == soft_op_nop) {
		return true;
	} else if (j->insn->osize < 2) {
		return false;
	}
	return exchange(j, j->insn->osize, j->op->rm, j->op->reg);
}

/* Guest RAX is in RDX. */
static void convert(struct jit *j)
{
	unsigned size = j->insn->osize;

	if (size == 3)
		emit_op(j->e, 3, 0x63, H_RDX, emit_in(H_RDX));
	else
		emit_op(j->e, size, EMIT_0F | (size == 2 ? 0xbfu : 0xbeu), H_RDX, emit_in(H_RDX));
}

static void spread(struct jit *j)
{
	unsigned size = j->insn->osize;
	int high = soft_jit_host[SOFT_RDX];

	emit_load(j->e, 3, H_RAX, emit_in(H_RDX));
	if (size == 3)
		emit8(j->e, 0x48);
	else if (size == 1)
		emit8(j->e, 0x66);
	emit8(j->e, 0x99);
	emit_load(j->e, size, high, emit_in(H_RDX));
	emit_load(j->e, 3, H_RDX, emit_in(H_RAX));
}

static bool bswap(struct jit *j)
{
	unsigned size = j->insn->osize;
	struct emit_operand to = jit_reg(j->op->rm);
	int reg = jit_target(j, size, to, H_RAX, true);

	if (size == 1)
		return false;
	if (size == 3 || reg & 8)
		emit8(j->e, (uint8_t)(0x40 | (size == 3 ? 8 : 0) | (reg & 8 ? 1 : 0)));
	emit8(j->e, 0x0f);
	emit8(j->e, (uint8_t)(0xc8 | (reg & 7)));
	if (to.reg < 0)
		jit_keep(j, size, to, reg);
	return true;
}

/* ---- by conditions ---- */

static bool cmov(struct jit *j)
{
	unsigned size = j->insn->osize;
	struct emit_operand to = jit_reg(j->op->reg), from;
	int target = to.reg;

	from = jit_in_memory(j->op) ? jit_memory(j, 1u << size, JIT_READ, true) : jit_rm(j, size);
	jit_flags_restore(j);
	if (target < 0) {
		target = H_RAX;
		emit_load(j->e, size, H_RAX, to);
	}
	emit_op(j->e, size, EMIT_0F | j->insn->opcode, (unsigned)target, from);
	if (to.reg < 0)
		jit_keep(j, size, to, target);
	return true;
}

static bool setcc(struct jit *j)
{
	struct emit_operand to;

	if (!jit_in_memory(j->op) && jit_is_high(0, j->op->rm))
		return false;
	to = jit_in_memory(j->op) ? jit_memory(j, 1, JIT_WRITE, true) : jit_rm(j, 0);
	jit_flags_restore(j);
	emit_op(j->e, 0, EMIT_0F | j->insn->opcode, 0, to);
	return true;
}

/* ---- bits ---- */

/* BT and its kin on a register; BT with an immediate on memory, too. */
static bool bit(struct jit *j)
{
	unsigned size = j->insn->osize, kind = jit_extension(j->insn);
	bool immediate = j->insn->opcode == 0xba;
	struct emit_operand to;
	int target, index;

	if (immediate && kind < 4)
		return false;
	if (jit_in_memory(j->op)) {
		if (!immediate || kind != 4)
			return false;
		to = jit_memory(j, 1u << size, JIT_READ, true);
		jit_flags_restore(j);
		emit_op(j->e, size, EMIT_0F | 0xba, 4, to);
		emit8(j->e, j->op->imm8);
		jit_flags_set(j);
		return true;
	}
	if (j->live)
		jit_flags_restore(j);
	to = jit_rm(j, size);
	target = jit_target(j, size, to, H_RAX, true);
	if (immediate) {
		emit_op(j->e, size, EMIT_0F | 0xba, kind, emit_in(target));
		emit8(j->e, j->op->imm8);
	} else {
		index = jit_value(j, size, j->op->reg, H_RCX);
		emit_op(j->e, size, EMIT_0F | j->insn->opcode, (unsigned)index, emit_in(target));
	}
	if (to.reg < 0 && !(immediate ? kind == 4 : j->insn->opcode == 0xa3))
		jit_keep(j, size, to, target);
	jit_flags_set(j);
	return true;
}

static bool popcnt(struct jit *j)
{
	unsigned size = j->insn->osize;
	struct emit_operand to = jit_reg(j->op->reg), from;
	int target = to.reg < 0 ? H_RAX : to.reg;

	if (j->insn->rep != 0xf3)
		return false;
	from = jit_in_memory(j->op) ? jit_memory(j, 1u << size, JIT_READ, false) : jit_rm(j, size);
	emit_op(j->e, size, EMIT_0F | 0xb8 | EMIT_F3, (unsigned)target, from);
	if (to.reg < 0)
		jit_keep(j, size, to, target);
	jit_flags_set(j);
	return true;
}

/* CMC, CLC, STC */
static bool carry(struct jit *j)
{
	if (j->live)
		jit_flags_restore(j);
	emit8(j->e, j->insn->opcode);
	jit_flags_set(j);
	return true;
}

/* ---- locked exchanges ---- */

static bool cmpxchg(struct jit *j)
{
	unsigned size = jit_size(j->insn);
	struct emit_operand to;
	int reg = H_NONE;

	if (!jit_in_memory(j->op) || size < 2 || soft_jit_host[j->op->reg] < 0)
		return false;
	reg = soft_jit_host[j->op->reg];
	to = jit_memory(j, 1u << size, JIT_WRITE, true);
	if (to.index >= 0) {
		emit_lea(j->e, 3, H_RCX, to);
		to = emit_at(H_RCX, 0);
	}
	emit_load(j->e, 3, H_RAX, emit_in(H_RDX));
	emit_op(j->e, size, EMIT_0F | 0xb1 | EMIT_LOCK, (unsigned)reg, to);
	emit_load(j->e, 3, H_RDX, emit_in(H_RAX));
	jit_flags_set(j);
	return true;
}

static bool xadd(struct jit *j)
{
	unsigned size = jit_size(j->insn);
	struct emit_operand to;

	if (!jit_in_memory(j->op) || size < 2 || soft_jit_host[j->op->reg] < 0)
		return false;
	to = jit_memory(j, 1u << size, JIT_WRITE, false);
	emit_op(j->e, size, EMIT_0F | 0xc1 | EMIT_LOCK, (unsigned)soft_jit_host[j->op->reg], to);
	jit_flags_set(j);
	return true;
}

/* ---- by opcode ---- */

static bool map_1(struct jit *j)
{
	const struct soft_insn *insn = j->insn;

	switch (insn->opcode) {
	case 0x63: return extend(j, 2, true);
	case 0x86 ... 0x87:
	case 0x90 ... 0x97: return xchg(j);
	case 0x88 ... 0x8b: return mov(j);
	case 0x8d: return lea(j);
	case 0x98: convert(j); return true;
	case 0x99: spread(j); return true;
	case 0xb0 ... 0xb7: return mov_immediate(j, 0);
	case 0xb8 ... 0xbf: return mov_immediate(j, insn->osize);
	case 0xc6 ... 0xc7: return mov_immediate(j, jit_size(insn));
	case 0xf5:
	case 0xf8 ... 0xf9: return carry(j);
	default: return false;
	}
}

static bool map_0f(struct jit *j)
{
	uint8_t opcode = j->insn->opcode;

	switch (opcode) {
	case 0x18 ... 0x1f: return true;
	case 0x40 ... 0x4f: return cmov(j);
	case 0x90 ... 0x9f: return setcc(j);
	case 0xb1: return cmpxchg(j);
	case 0xc1: return xadd(j);
	case 0xa3:
	case 0xab:
	case 0xb3:
	case 0xbb:
	case 0xba: return bit(j);
	case 0xb6 ... 0xb7: return extend(j, opcode & 1, false);
	case 0xbe ... 0xbf: return extend(j, opcode & 1, true);
	case 0xb8: return popcnt(j);
	case 0xc8 ... 0xcf: return bswap(j);
	default: return false;
	}
}

bool jit_move(struct jit *j)
{
	if (j->insn->map == SOFT_MAP_1)
		return map_1(j);
	return j->insn->map == SOFT_MAP_0F && map_0f(j);
}

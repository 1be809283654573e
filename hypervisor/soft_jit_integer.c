/* SPDX-License-Identifier: MIT */
/* Translated integer instructions: the guest's own, on the registers that hold the guest's. */
#include "core/util.h"
#include "hypervisor/soft_jit_operand.h"

/* ---- what they have to do with the flags ---- */

static unsigned alu_flags(unsigned alu)
{
	return alu == ALU_ADC || alu == ALU_SBB ? JIT_OP_READS | JIT_OP_SETS : JIT_OP_SETS;
}

static unsigned shift_flags(const struct soft_op *op, const struct soft_insn *insn)
{
	bool by_cl = (insn->opcode & 0xfe) == 0xd2;
	unsigned kind = jit_extension(insn), size = jit_size(insn);

	if (kind == SHIFT_RCL || kind == SHIFT_RCR)
		return JIT_OP_READS | JIT_OP_PARTLY;
	if (by_cl || kind < SHIFT_SHL || size < 2)
		return JIT_OP_PARTLY;
	return op->imm & (size == 3 ? 63 : 31) ? JIT_OP_SETS : 0;
}

static unsigned map_1_flags(const struct soft_op *op, const struct soft_insn *insn)
{
	unsigned kind = jit_extension(insn);

	switch (insn->opcode) {
	case 0x80 ... 0x83: return alu_flags(kind);
	case 0x84 ... 0x85:
	case 0xa8 ... 0xa9:
	case 0x69:
	case 0x6b: return JIT_OP_SETS;
	case 0x63:
	case 0x88 ... 0x8b:
	case 0x8d:
	case 0x98 ... 0x99:
	case 0xb0 ... 0xbf:
	case 0xc6 ... 0xc7: return 0;
	case 0x87: return jit_in_memory(op) || insn->osize < 2 ? JIT_OP_SHOWS : 0;
	case 0x90 ... 0x97: return insn->osize < 2 ? JIT_OP_SHOWS : 0;
	case 0xc0 ... 0xc1:
	case 0xd0 ... 0xd3: return shift_flags(op, insn);
	case 0xf5:
	case 0xf8 ... 0xf9: return JIT_OP_PARTLY;
	case 0xf6:
	case 0xf7:
		if (kind < 4)
			return kind == 2 ? 0 : JIT_OP_SETS;
		return insn->opcode == 0xf7 && kind < 6 && insn->osize >= 2 ? JIT_OP_SETS
									    : JIT_OP_SHOWS;
	case 0xfe:
	case 0xff: return kind < 2 ? JIT_OP_PARTLY : JIT_OP_SHOWS;
	default: return JIT_OP_SHOWS;
	}
}

static unsigned map_0f_flags(const struct soft_op *op, const struct soft_insn *insn)
{
	switch (insn->opcode) {
	case 0x40 ... 0x4f:
	case 0x90 ... 0x9f: return JIT_OP_READS;
	case 0xaf: return JIT_OP_SETS;
	case 0x18 ... 0x1f:
	case 0xb6 ... 0xb7:
	case 0xbe ... 0xbf:
	case 0xc8 ... 0xcf: return 0;
	case 0xb8: return insn->rep == 0xf3 ? JIT_OP_SETS : JIT_OP_SHOWS;
	case 0xa3:
	case 0xab:
	case 0xb3:
	case 0xbb:
	case 0xba: return JIT_OP_PARTLY;
	default: return JIT_OP_SHOWS;
	}
}

static bool touches_memory(const struct soft_op *op, const struct soft_insn *insn)
{
	if (!jit_in_memory(op))
		return false;
	if (insn->map == SOFT_MAP_1)
		return insn->opcode != 0x8d;
	return insn->opcode < 0x18 || insn->opcode > 0x1f;
}

unsigned jit_integer_flags(const struct soft_op *op, const struct soft_insn *insn)
{
	unsigned flags = JIT_OP_SHOWS;

	if (insn->map == SOFT_MAP_1 && insn->opcode < 0x40)
		flags = (insn->opcode & 7) < 6 ? alu_flags(insn->opcode >> 3) : JIT_OP_SHOWS;
	else if (insn->map == SOFT_MAP_1)
		flags = map_1_flags(op, insn);
	else if (insn->map == SOFT_MAP_0F)
		flags = map_0f_flags(op, insn);
	return flags | (touches_memory(op, insn) ? JIT_OP_SHOWS : 0);
}

static enum jit_access access_of(unsigned alu)
{
	return alu == ALU_CMP || alu == ALU_TEST ? JIT_READ : JIT_WRITE;
}

static uint32_t lock_of(const struct soft_op *op)
{
	return jit_is_locked(op) ? EMIT_LOCK : 0;
}

/* ---- two-operand arithmetic ---- */

static uint32_t opcode_of(unsigned alu, unsigned size)
{
	return alu == ALU_TEST ? 0x84 | (size ? 1 : 0) : alu << 3 | (size ? 1 : 0);
}

/* The other direction: register from r/m. TEST has none, and needs none. */
static uint32_t opcode_from(unsigned alu, unsigned size)
{
	return opcode_of(alu, size) | (alu == ALU_TEST ? 0 : 2);
}

static void want_carry(struct jit *j, unsigned alu)
{
	if (alu == ALU_ADC || alu == ALU_SBB)
		jit_flags_carry(j);
}

static void alu_registers(struct jit *j, unsigned alu, unsigned size, unsigned rm, unsigned reg)
{
	struct emit_operand to = jit_reg_of(size, rm), from = jit_reg_of(size, reg);
	bool writes = access_of(alu) == JIT_WRITE;
	int target;

	want_carry(j, alu);
	if (to.reg >= 0) {
		emit_op(j->e, size, opcode_from(alu, size), (unsigned)to.reg, from);
	} else if (writes && size == 2) {
		target = jit_target(j, size, to, H_RCX, true);
		emit_op(j->e, size, opcode_from(alu, size), (unsigned)target, from);
		jit_keep(j, size, to, target);
	} else {
		emit_op(j->e, size, opcode_of(alu, size), (unsigned)jit_value(j, size, reg, H_RAX),
			to);
	}
	jit_flags_set(j);
}

static void alu_immediate(struct jit *j, unsigned alu, unsigned size, struct emit_operand to)
{
	int32_t imm = (int32_t)j->op->imm;

	if (alu == ALU_TEST) {
		emit_op(j->e, size, size ? 0xf7 : 0xf6, 0, to);
		emit_imm(j->e, size, (uint64_t)(int64_t)imm);
	} else {
		emit_alu_imm(j->e, size, alu, to, imm);
	}
}

static void alu_register_immediate(struct jit *j, unsigned alu, unsigned size, unsigned rm)
{
	struct emit_operand to = jit_reg_of(size, rm);

	want_carry(j, alu);
	if (to.reg < 0 && size == 2 && access_of(alu) == JIT_WRITE) {
		int target = jit_target(j, size, to, H_RCX, true);

		alu_immediate(j, alu, size, emit_in(target));
		jit_keep(j, size, to, target);
	} else {
		alu_immediate(j, alu, size, to);
	}
	jit_flags_set(j);
}

/* Register from memory. */
static void alu_load(struct jit *j, unsigned alu, unsigned size)
{
	struct emit_operand to = jit_reg_of(size, j->op->reg), from;
	int target;

	from = jit_memory(j, 1u << size, JIT_READ, to.reg < 0);
	if (to.reg < 0)
		emit_load(j->e, size, H_RAX, to);
	target = to.reg < 0 ? H_RAX : to.reg;
	want_carry(j, alu);
	emit_op(j->e, size, opcode_from(alu, size), (unsigned)target, from);
	if (to.reg < 0 && access_of(alu) == JIT_WRITE)
		jit_keep(j, size, to, target);
	jit_flags_set(j);
}

static void alu_store(struct jit *j, unsigned alu, unsigned size)
{
	struct emit_operand from = jit_reg_of(size, j->op->reg);
	struct emit_operand to = jit_memory(j, 1u << size, access_of(alu), from.reg < 0);
	int source = jit_value(j, size, j->op->reg, H_RAX);

	want_carry(j, alu);
	emit_op(j->e, size, opcode_of(alu, size) | lock_of(j->op), (unsigned)source, to);
	jit_flags_set(j);
}

static void alu_store_immediate(struct jit *j, unsigned alu, unsigned size)
{
	struct emit_operand to = jit_memory(j, 1u << size, access_of(alu), false);

	want_carry(j, alu);
	if (jit_is_locked(j->op))
		emit8(j->e, 0xf0);
	alu_immediate(j, alu, size, to);
	jit_flags_set(j);
}

static bool alu(struct jit *j, unsigned alu, unsigned kind)
{
	unsigned size = kind & 1 ? j->insn->osize : 0;
	const struct soft_op *op = j->op;

	if (kind >= 4) {
		alu_register_immediate(j, alu, size, SOFT_RAX);
		return true;
	}
	if (jit_is_high(size, op->reg) || (!jit_in_memory(op) && jit_is_high(size, op->rm)))
		return false;
	if (!jit_in_memory(op))
		alu_registers(j, alu, size, op->rm, op->reg);
	else if (kind & 2)
		alu_load(j, alu, size);
	else
		alu_store(j, alu, size);
	return true;
}

static bool alu_group(struct jit *j, unsigned alu, unsigned size)
{
	if (jit_in_memory(j->op)) {
		alu_store_immediate(j, alu, size);
		return true;
	}
	if (jit_is_high(size, j->op->rm))
		return false;
	alu_register_immediate(j, alu, size, j->op->rm);
	return true;
}

/* ---- one operand ---- */

/* kind: enum soft_unary. INC and DEC keep the carry. */
static void emit_unary(struct jit *j, unsigned kind, unsigned size, struct emit_operand to)
{
	static const uint8_t codes[4][2] = { { 0xfe, 0 }, { 0xfe, 1 }, { 0xf6, 2 }, { 0xf6, 3 } };

	if (kind <= UNARY_DEC && (j->live || jit_in_memory(j->op)))
		jit_flags_carry(j);
	emit_op(j->e, size, codes[kind][0] | (size ? 1u : 0) | lock_of(j->op), codes[kind][1], to);
	if (kind != UNARY_NOT)
		jit_flags_set(j);
}

static bool unary(struct jit *j, unsigned kind, unsigned size)
{
	struct emit_operand to;

	if (jit_in_memory(j->op)) {
		emit_unary(j, kind, size, jit_memory(j, 1u << size, JIT_WRITE, false));
		return true;
	}
	if (jit_is_high(size, j->op->rm))
		return false;
	to = jit_rm(j, size);
	if (to.reg < 0 && size == 2) {
		emit_load(j->e, size, H_RCX, to);
		emit_unary(j, kind, size, emit_in(H_RCX));
		jit_keep(j, size, to, H_RCX);
	} else {
		emit_unary(j, kind, size, to);
	}
	return true;
}

static bool shift(struct jit *j)
{
	unsigned kind = jit_extension(j->insn), size = jit_size(j->insn);
	bool by_cl = (j->insn->opcode & 0xfe) == 0xd2, partly;
	unsigned count = (unsigned)j->op->imm & (size == 3 ? 63 : 31);
	struct emit_operand to;
	int target = H_NONE;

	if (kind == SHIFT_RCL || kind == SHIFT_RCR || jit_in_memory(j->op) ||
		jit_is_high(size, j->op->rm))
		return false;
	partly = shift_flags(j->op, j->insn) & JIT_OP_PARTLY;
	if (partly && j->live)
		jit_flags_restore(j);
	to = jit_rm(j, size);
	if (to.reg < 0 && size == 2) {
		target = H_RAX;
		emit_load(j->e, size, H_RAX, to);
	}
	/* Rotates leave OF undefined but for a count of one; as threaded code has it. */
	if (by_cl || (kind < SHIFT_SHL && count != 1)) {
		if (by_cl)
			emit_load(j->e, 2, H_RCX, emit_in(soft_jit_host[SOFT_RCX]));
		else
			emit_constant(j->e, H_RCX, count);
		emit_op(j->e, size, size ? 0xd3 : 0xd2, kind, target >= 0 ? emit_in(target) : to);
	} else {
		emit_op(j->e, size, size ? 0xc1 : 0xc0, kind, target >= 0 ? emit_in(target) : to);
		emit8(j->e, (uint8_t)count);
	}
	if (target >= 0)
		jit_keep(j, size, to, target);
	if (by_cl || partly || count)
		jit_flags_set(j);
	return true;
}

/* ---- multiplication and division ---- */

/* reg = r/m * immediate, or reg * r/m. */
static bool imul(struct jit *j, bool immediate)
{
	unsigned size = j->insn->osize;
	struct emit_operand to = jit_reg(j->op->reg), from;
	int target = to.reg < 0 ? H_RAX : to.reg;

	from = jit_in_memory(j->op) ? jit_memory(j, 1u << size, JIT_READ, true) : jit_rm(j, size);
	if (immediate) {
		emit_op(j->e, size, 0x69, (unsigned)target, from);
		emit_imm(j->e, size, j->op->imm);
	} else {
		if (to.reg < 0)
			emit_load(j->e, size, H_RAX, to);
		emit_op(j->e, size, EMIT_0F | 0xaf, (unsigned)target, from);
	}
	if (to.reg < 0)
		jit_keep(j, size, to, target);
	jit_flags_set(j);
	return true;
}

/* Guest RAX is in RDX, and RDX in another: the results change places. */
static void put_pair(struct jit *j, unsigned size)
{
	emit_load(j->e, size, soft_jit_host[SOFT_RDX], emit_in(H_RDX));
	emit_load(j->e, size, H_RDX, emit_in(H_RAX));
}

static void multiply(struct jit *j, unsigned kind)
{
	unsigned size = j->insn->osize;
	struct emit_operand from = jit_in_memory(j->op) ? jit_memory(j, 1u << size, JIT_READ, true)
							: jit_rm(j, size);

	emit_load(j->e, size, H_RAX, emit_in(H_RDX));
	emit_op(j->e, size, 0xf7, kind, from);
	put_pair(j, size);
	jit_flags_set(j);
}

/* To RCX, before anything has changed. */
static void take_divisor(struct jit *j, unsigned size)
{
	struct emit_operand from;

	jit_flags_save(j);
	j->flags = JIT_FLAGS_MEMORY;
	from = jit_in_memory(j->op) ? jit_memory(j, 1u << size, JIT_READ, true) : jit_rm(j, size);
	emit_load(j->e, size, H_RCX, from);
}

/* What the host's division cannot do is left to the slow path: then the guest's faults, too. */
static void divide(struct jit *j)
{
	unsigned size = j->insn->osize;
	int high = soft_jit_host[SOFT_RDX];

	take_divisor(j, size);
	emit_op(j->e, size, 0x3b, (unsigned)high, emit_in(H_RCX));
	jit_slow_jump(j, emit_jcc(j->e, CC_AE, 0));
	emit_load(j->e, size, H_RAX, emit_in(H_RDX));
	emit_load(j->e, size, H_RDX, emit_in(high));
	emit_op(j->e, size, 0xf7, 6, emit_in(H_RCX));
	put_pair(j, size);
}

/* Only of what CDQ or CQO made, by anything but 0 and -1. */
static void divide_signed(struct jit *j)
{
	unsigned size = j->insn->osize;
	int high = soft_jit_host[SOFT_RDX];

	take_divisor(j, size);
	emit_lea(j->e, size, H_RAX, emit_at(H_RCX, 1));
	emit_alu_imm(j->e, size, ALU_CMP, emit_in(H_RAX), 1);
	jit_slow_jump(j, emit_jcc(j->e, CC_BE, 0));
	emit_load(j->e, size, H_RAX, emit_in(H_RDX));
	emit_op(j->e, size, 0xc1, 7, emit_in(H_RAX));
	emit8(j->e, size == 3 ? 63 : 31);
	emit_op(j->e, size, 0x3b, (unsigned)high, emit_in(H_RAX));
	jit_slow_jump(j, emit_jcc(j->e, CC_NE, 0));
	emit_load(j->e, size, H_RAX, emit_in(H_RDX));
	emit_load(j->e, size, H_RDX, emit_in(high));
	emit_op(j->e, size, 0xf7, 7, emit_in(H_RCX));
	put_pair(j, size);
}

static bool group3(struct jit *j)
{
	unsigned kind = jit_extension(j->insn), size = jit_size(j->insn);

	if (kind < 2)
		return alu_group(j, ALU_TEST, size);
	if (kind < 4)
		return unary(j, kind == 2 ? UNARY_NOT : UNARY_NEG, size);
	if (size < 2)
		return false;
	if (kind < 6)
		multiply(j, kind);
	else if (kind == 6)
		divide(j);
	else
		divide_signed(j);
	return true;
}

/* ---- by opcode ---- */

static bool map_1(struct jit *j)
{
	const struct soft_insn *insn = j->insn;
	unsigned size = jit_size(insn);

	switch (insn->opcode) {
	case 0x69:
	case 0x6b: return imul(j, true);
	case 0x80 ... 0x83: return alu_group(j, jit_extension(insn), size);
	case 0x84 ... 0x85: return alu(j, ALU_TEST, insn->opcode & 1);
	case 0xa8 ... 0xa9: return alu_group(j, ALU_TEST, size);
	case 0xc0 ... 0xc1:
	case 0xd0 ... 0xd3: return shift(j);
	case 0xf6 ... 0xf7: return group3(j);
	case 0xfe ... 0xff:
		return jit_extension(insn) < 2 &&
			unary(j, jit_extension(insn) ? UNARY_DEC : UNARY_INC, size);
	default: return false;
	}
}

bool jit_integer(struct jit *j)
{
	const struct soft_insn *insn = j->insn;

	if (insn->map == SOFT_MAP_0F)
		return insn->opcode == 0xaf && imul(j, false);
	if (insn->map != SOFT_MAP_1)
		return false;
	if (insn->opcode < 0x40)
		return (insn->opcode & 7) < 6 && alu(j, insn->opcode >> 3, insn->opcode & 7);
	return map_1(j);
}

/* SPDX-License-Identifier: MIT */
/*
 * Translated SSE instructions: the guest's own. Inside of a block guest XMM registers are in the host's
 * of the same number from their first use; what was changed goes back to memory before anything else
 * may look. Arithmetic needs the host's MXCSR to be the guest's, which must be as systems leave it.
 */
#include "core/util.h"
#include "hypervisor/soft_jit_operand.h"
#include "hypervisor/soft_sse.h"

/* ---- registers ---- */

static struct emit_operand slot(unsigned reg)
{
	return emit_at(
		H_RBP, (int32_t)(offsetof(struct soft_cpu, xmm) + sizeof(union soft_xmm) * reg));
}

static void want(struct jit *j, unsigned reg)
{
	if (j->vectors & 1u << reg)
		return;
	emit_op(j->e, 2, EMIT_0F | 0x28, reg, slot(reg)); /* movaps */
	j->vectors |= (uint16_t)(1u << reg);
}

static void changed(struct jit *j, unsigned reg)
{
	j->vectors |= (uint16_t)(1u << reg);
	j->vectors_changed |= (uint16_t)(1u << reg);
}

void jit_vectors_store(struct jit *j, uint16_t which, bool mxcsr)
{
	for (unsigned i = 0; i < 16; i++)
		if (which & 1u << i)
			emit_op(j->e, 2, EMIT_0F | 0x29, i, slot(i));
	if (mxcsr)
		emit_op(j->e, 2, EMIT_0F | 0xae, 3, JIT_CPU(mxcsr));
}

void jit_vectors_load(struct jit *j, uint16_t which, bool mxcsr)
{
	for (unsigned i = 0; i < 16; i++)
		if (which & 1u << i)
			emit_op(j->e, 2, EMIT_0F | 0x28, i, slot(i));
	if (mxcsr)
		emit_op(j->e, 2, EMIT_0F | 0xae, 2, JIT_CPU(mxcsr));
}

void jit_vectors_leave(struct jit *j)
{
	jit_vectors_store(j, j->vectors_changed, j->arithmetic);
	j->vectors = j->vectors_changed = 0;
	j->arithmetic = false;
}

/* ---- what must be so ---- */

static void leave_when(struct jit *j, unsigned condition)
{
	jit_slow_jump(j, emit_jcc(j->e, condition, 0));
	j->slow[j->slow_count - 1].leaves = true;
}

/* Once a block: else threaded code says what is wrong. */
static void check_on(struct jit *j)
{
	struct emit_operand cr4 = JIT_CPU(cr4);

	if (j->vectors_on)
		return;
	jit_flags_save(j);
	j->flags = JIT_FLAGS_MEMORY;
	emit_op(j->e, 0, 0xf6, 0, JIT_CPU(cr0));
	emit8(j->e, SOFT_CR0_EM | SOFT_CR0_TS);
	leave_when(j, CC_NE);
	cr4.disp++;
	emit_op(j->e, 0, 0xf6, 0, cr4);
	emit8(j->e, SOFT_CR4_OSFXSR >> 8);
	leave_when(j, CC_E);
	j->vectors_on = true;
}

static void check_arithmetic(struct jit *j)
{
	struct emitter *e = j->e;
	size_t over;

	if (j->arithmetic)
		return;
	jit_flags_save(j);
	j->flags = JIT_FLAGS_MEMORY;
	emit_load(e, 2, H_RAX, JIT_CPU(mxcsr));
	emit_load(e, 2, H_RCX, emit_in(H_RAX));
	emit_alu_imm(e, 2, ALU_AND, emit_in(H_RCX), ~MXCSR_FLAGS);
	emit_alu_imm(e, 2, ALU_CMP, emit_in(H_RCX), MXCSR_DEFAULT);
	leave_when(j, CC_NE);
	emit_op(e, 2, EMIT_0F | 0xae, 3, JIT_CPU(jit.scratch[0]));
	emit_op(e, 2, 0x3b, H_RAX, JIT_CPU(jit.scratch[0]));
	emit8(e, 0x74); /* je */
	emit8(e, 0);
	over = e->at;
	emit_op(e, 2, EMIT_0F | 0xae, 2, JIT_CPU(mxcsr));
	e->bytes[over - 1] = (uint8_t)(e->at - over);
	j->arithmetic = true;
}

/* ---- instructions ---- */

enum {
	V_NONE = 0, /* not translated */
	V_KNOWN = 1 << 0,
	V_READS = 1 << 1, /* the target, too */
	V_ALIGNED = 1 << 2,
	V_FP = 1 << 3,
	V_IMM = 1 << 4,
	V_STORE = 1 << 5, /* the target is r/m */
	V_FLAGS = 1 << 6, /* sets flags, and no register */
	V_FROM_GENERAL = 1 << 7, /* r/m is a general register or memory */
	V_TO_GENERAL = 1 << 8, /* reg is a general register */
	V_GROUP = 1 << 9, /* ModRM.reg is part of the opcode */
	V_W = 1 << 10, /* REX.W counts */
	V_BYTES_SHIFT = 16, /* of memory */
};

#define V(bytes, flags) (V_KNOWN | (flags) | (bytes) << V_BYTES_SHIFT)
#define PACKED          V(16, V_ALIGNED | V_READS)
#define PACKED_LOAD     V(16, V_ALIGNED)

enum { P_NONE, P_66, P_F2, P_F3 };

static unsigned prefix_of(const struct soft_insn *insn)
{
	return insn->rep == 0xf3 ? P_F3 : insn->rep == 0xf2 ? P_F2 : insn->o_prefix ? P_66 : P_NONE;
}

/* By the prefix: nothing, 66, F2, F3. */
static uint32_t pick(unsigned prefix, uint32_t none, uint32_t p66, uint32_t f2, uint32_t f3)
{
	const uint32_t all[] = { none, p66, f2, f3 };

	return all[prefix];
}

static uint32_t scalar_or_packed(unsigned prefix, uint32_t flags)
{
	return pick(prefix, PACKED | flags, PACKED | flags, V(8, V_READS | flags),
		V(4, V_READS | flags));
}

static uint32_t moves(uint8_t opcode, unsigned p, bool memory)
{
	uint32_t merges = memory ? 0 : V_READS;

	switch (opcode) {
	case 0x10: return pick(p, V(16, 0), V(16, 0), V(8, merges), V(4, merges));
	case 0x11:
		return pick(p, V(16, V_STORE), V(16, V_STORE), V(8, V_STORE | merges),
			V(4, V_STORE | merges));
	case 0x12: return pick(p, V(8, V_READS), memory ? V(8, V_READS) : 0, V(8, 0), PACKED_LOAD);
	case 0x16: return pick(p, V(8, V_READS), memory ? V(8, V_READS) : 0, 0, PACKED_LOAD);
	case 0x13:
	case 0x17: return memory ? pick(p, V(8, V_STORE), V(8, V_STORE), 0, 0) : 0;
	case 0x28: return pick(p, PACKED_LOAD, PACKED_LOAD, 0, 0);
	case 0x29: return pick(p, PACKED_LOAD | V_STORE, PACKED_LOAD | V_STORE, 0, 0);
	case 0x2b: return memory ? moves(0x29, p, memory) : 0;
	case 0x6e: return pick(p, 0, V(4, V_FROM_GENERAL | V_W), 0, 0);
	case 0x6f: return pick(p, 0, PACKED_LOAD, 0, V(16, 0));
	case 0x7e: return pick(p, 0, V(4, V_STORE | V_FROM_GENERAL | V_W), 0, V(8, 0));
	case 0x7f: return pick(p, 0, PACKED_LOAD | V_STORE, 0, V(16, V_STORE));
	case 0xd6: return pick(p, 0, V(8, V_STORE), 0, 0);
	case 0xe7: return memory ? pick(p, 0, PACKED_LOAD | V_STORE, 0, 0) : 0;
	case 0xf0: return memory ? pick(p, 0, 0, V(16, 0), 0) : 0;
	default: return 0;
	}
}

static uint32_t arithmetic(uint8_t opcode, unsigned p)
{
	switch (opcode) {
	case 0x14 ... 0x15:
	case 0x54 ... 0x57: return pick(p, PACKED, PACKED, 0, 0);
	case 0x2a:
		return pick(p, 0, 0, V(4, V_FROM_GENERAL | V_READS | V_FP | V_W),
			V(4, V_FROM_GENERAL | V_READS | V_FP | V_W));
	case 0x2c ... 0x2d:
		return pick(
			p, 0, 0, V(8, V_TO_GENERAL | V_FP | V_W), V(4, V_TO_GENERAL | V_FP | V_W));
	case 0x2e ... 0x2f:
		return pick(
			p, V(4, V_READS | V_FP | V_FLAGS), V(8, V_READS | V_FP | V_FLAGS), 0, 0);
	case 0x50: return pick(p, V(0, V_TO_GENERAL), V(0, V_TO_GENERAL), 0, 0);
	case 0x51:
	case 0x58 ... 0x59:
	case 0x5c ... 0x5f: return scalar_or_packed(p, V_FP);
	case 0x52 ... 0x53: return pick(p, PACKED, 0, 0, V(4, V_READS));
	case 0x5a:
		return pick(p, V(8, V_FP), PACKED_LOAD | V_FP, V(8, V_READS | V_FP),
			V(4, V_READS | V_FP));
	case 0x5b: return pick(p, PACKED_LOAD | V_FP, PACKED_LOAD | V_FP, 0, PACKED_LOAD | V_FP);
	case 0x7c ... 0x7d:
	case 0xd0: return pick(p, 0, PACKED | V_FP, PACKED | V_FP, 0);
	case 0xc2: return scalar_or_packed(p, V_FP | V_IMM);
	case 0xc6: return pick(p, PACKED | V_IMM, PACKED | V_IMM, 0, 0);
	case 0xe6: return pick(p, 0, PACKED_LOAD | V_FP, PACKED_LOAD | V_FP, V(8, V_FP));
	default: return 0;
	}
}

static uint32_t integers(uint8_t opcode, unsigned p, bool memory)
{
	switch (opcode) {
	case 0x60 ... 0x6d:
	case 0x74 ... 0x76:
	case 0xd1 ... 0xd5:
	case 0xd8 ... 0xe5:
	case 0xe8 ... 0xef:
	case 0xf1 ... 0xf6:
	case 0xf8 ... 0xfe: return p == P_66 ? PACKED : 0;
	case 0x70: return p == P_NONE ? 0 : PACKED_LOAD | V_IMM;
	case 0x71 ... 0x73: return p == P_66 && !memory ? V(0, V_GROUP | V_READS | V_IMM) : 0;
	case 0xd7: return p == P_66 ? V(0, V_TO_GENERAL) : 0;
	default: return 0;
	}
}

static uint32_t map_38(uint8_t opcode)
{
	static const uint8_t sizes[] = { 8, 4, 2, 8, 4, 8 };

	switch (opcode) {
	case 0x00 ... 0x0b:
	case 0x1c ... 0x1e:
	case 0x28 ... 0x29:
	case 0x2b:
	case 0x37 ... 0x40: return PACKED;
	case 0x20 ... 0x25:
	case 0x30 ... 0x35: return V(0, 0) | (uint32_t)sizes[opcode & 7] << V_BYTES_SHIFT;
	default: return 0;
	}
}

static uint32_t map_3a(uint8_t opcode)
{
	switch (opcode) {
	case 0x08 ... 0x09: return PACKED_LOAD | V_FP | V_IMM;
	case 0x0a: return V(4, V_READS | V_FP | V_IMM);
	case 0x0b: return V(8, V_READS | V_FP | V_IMM);
	case 0x0c ... 0x0f: return PACKED | V_IMM;
	default: return 0;
	}
}

static uint32_t kind_of(const struct soft_op *op, const struct soft_insn *insn)
{
	unsigned prefix = prefix_of(insn);
	bool memory = jit_in_memory(op);
	uint32_t kind;

	if (insn->map == SOFT_MAP_0F38)
		return prefix == P_66 ? map_38(insn->opcode) : 0;
	if (insn->map == SOFT_MAP_0F3A)
		return prefix == P_66 ? map_3a(insn->opcode) : 0;
	if (insn->map != SOFT_MAP_0F)
		return 0;
	kind = moves(insn->opcode, prefix, memory);
	if (!kind)
		kind = arithmetic(insn->opcode, prefix);
	return kind ? kind : integers(insn->opcode, prefix, memory);
}

static uint32_t code_of(const struct soft_insn *insn)
{
	static const uint32_t prefixes[] = { 0, EMIT_66, EMIT_F2, EMIT_F3 };
	uint32_t map = insn->map == SOFT_MAP_0F38 ? EMIT_0F38
		: insn->map == SOFT_MAP_0F3A      ? EMIT_0F3A
						  : EMIT_0F;

	return map | insn->opcode | prefixes[prefix_of(insn)];
}

static struct emit_operand memory_operand(struct jit *j, uint32_t kind)
{
	unsigned bytes = kind >> V_BYTES_SHIFT;
	struct emit_operand at;

	/* Of 4 or 8 bytes by REX.W; with a vector as the source that is its own. */
	if ((kind & V_W) && (kind & V_FROM_GENERAL) && (j->op->flags & SOFT_OP_W))
		bytes = 8;
	at = jit_memory(j, bytes, kind & V_STORE ? JIT_WRITE : JIT_READ, false);
	if (!(kind & V_ALIGNED))
		return at;
	emit_lea(j->e, 3, H_RCX, at);
	emit_op(j->e, 0, 0xf6, 0, emit_in(H_RCX));
	emit8(j->e, 15);
	jit_slow_jump(j, emit_jcc(j->e, CC_NE, 0));
	return emit_at(H_RCX, 0);
}

/* The other operand: r/m. */
static struct emit_operand operand(struct jit *j, uint32_t kind)
{
	if (jit_in_memory(j->op))
		return memory_operand(j, kind);
	if (kind & V_FROM_GENERAL)
		return jit_reg(j->op->rm);
	if (!(kind & V_STORE) || (kind & V_READS))
		want(j, j->op->rm);
	return emit_in((int)j->op->rm);
}

static void to_general(struct jit *j, uint32_t kind, unsigned size)
{
	struct emit_operand to = jit_reg(j->op->reg), from = operand(j, kind);
	int target = to.reg < 0 ? H_RAX : to.reg;

	emit_op(j->e, size, code_of(j->insn), (unsigned)target, from);
	jit_keep(j, size, to, target);
}

/* MOVD, MOVQ: a general register or memory is the target. */
static void store_general(struct jit *j, uint32_t kind, unsigned size)
{
	struct emit_operand to;

	want(j, j->op->reg);
	to = operand(j, kind);
	if (to.reg < 0 && !jit_in_memory(j->op)) {
		emit_op(j->e, size, code_of(j->insn), j->op->reg, emit_in(H_RAX));
		jit_keep(j, size, to, H_RAX);
	} else {
		emit_op(j->e, size, code_of(j->insn), j->op->reg, to);
	}
}

static void group(struct jit *j)
{
	want(j, j->op->rm);
	emit_op(j->e, 2, code_of(j->insn), jit_extension(j->insn), emit_in((int)j->op->rm));
	emit8(j->e, j->op->imm8);
	changed(j, j->op->rm);
}

static void two_operands(struct jit *j, uint32_t kind, unsigned size)
{
	const struct soft_op *op = j->op;
	struct emit_operand other;

	if ((kind & V_READS) || (kind & V_STORE))
		want(j, op->reg);
	other = operand(j, kind);
	emit_op(j->e, size, code_of(j->insn), op->reg, other);
	if (kind & V_IMM)
		emit8(j->e, op->imm8);
	if (kind & V_FLAGS)
		jit_flags_set(j);
	else if (!(kind & V_STORE))
		changed(j, op->reg);
	else if (!jit_in_memory(op))
		changed(j, op->rm);
}

bool jit_vector(struct jit *j)
{
	uint32_t kind = kind_of(j->op, j->insn);
	unsigned size = (kind & V_W) && (j->op->flags & SOFT_OP_W) ? 3 : 2;

	/* Without a size it is of registers only. */
	if (!kind || (jit_in_memory(j->op) && !(kind >> V_BYTES_SHIFT)))
		return false;
	check_on(j);
	if (kind & V_FP)
		check_arithmetic(j);
	if (kind & V_GROUP)
		group(j);
	else if (kind & V_TO_GENERAL)
		to_general(j, kind, size);
	else if ((kind & V_STORE) && (kind & V_FROM_GENERAL))
		store_general(j, kind, size);
	else
		two_operands(j, kind, size);
	return true;
}

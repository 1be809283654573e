/* SPDX-License-Identifier: MIT */
/* What the translator's parts ask of an instruction and its operands. */
#ifndef HYPERVISOR_SOFT_JIT_OPERAND_H
#define HYPERVISOR_SOFT_JIT_OPERAND_H

#include "hypervisor/soft_jit.h"

static inline bool jit_in_memory(const struct soft_op *op)
{
	return op->flags & SOFT_OP_MEM;
}

static inline unsigned jit_extension(const struct soft_insn *insn)
{
	return (insn->modrm >> 3) & 7;
}

static inline unsigned jit_size(const struct soft_insn *insn)
{
	return insn->opcode & 1 ? insn->osize : 0;
}

static inline bool jit_is_locked(const struct soft_op *op)
{
	return op->flags & SOFT_OP_LOCK;
}

/* ---- operands ---- */

/* AH to BH have no place of their own in host registers. */
static inline bool jit_is_high(unsigned size, unsigned reg)
{
	return size == 0 && (reg & 7);
}

static inline struct emit_operand jit_rm(const struct jit *j, unsigned size)
{
	return jit_reg_of(size, j->op->rm);
}

/* A guest register's value in a host register: its own, or `scratch`. */
static inline int jit_value(struct jit *j, unsigned size, unsigned reg, int scratch)
{
	struct emit_operand from = jit_reg_of(size, reg);

	if (from.reg >= 0)
		return from.reg;
	emit_load(j->e, size, scratch, from);
	return scratch;
}

/* What was computed in `reg` to a guest register, when that is not in a host register. 32 bits clear the
 * upper half. */
static inline void jit_keep(struct jit *j, unsigned size, struct emit_operand to, int reg)
{
	if (to.reg != reg)
		emit_store(j->e, size == 2 ? 3 : size, to, reg);
}

/* Where a result of 32 bits for `to` is computed: in a host register, always. */
static inline int jit_target(
	struct jit *j, unsigned size, struct emit_operand to, int scratch, bool read)
{
	if (to.reg >= 0)
		return to.reg;
	if (read)
		emit_load(j->e, size, scratch, to);
	return scratch;
}

#endif

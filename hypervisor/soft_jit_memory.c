/* SPDX-License-Identifier: MIT */
/* Translated accesses to memory: addresses, and the look into the translation cache. */
#include "core/util.h"
#include "hypervisor/soft_jit.h"

_Static_assert(sizeof(struct soft_tlb_entry) == 32, "an index is shifted by 5");

void jit_slow_jump(struct jit *j, size_t where)
{
	j->slow[j->slow_count++] = (struct jit_slow){ .jump = where,
		.op = (uint16_t)j->index,
		.vectors_changed = j->vectors_changed,
		.mxcsr_changed = j->arithmetic };
}

static bool fits(int64_t value)
{
	return value == (int32_t)value;
}

/* Whether base and index are registers of the host (or none), and nothing else counts. */
static bool is_plain(const struct soft_op *op)
{
	return (op->base == SOFT_ZERO || (op->base < 16 && soft_jit_host[op->base] >= 0)) &&
		(op->index == SOFT_ZERO || soft_jit_host[op->index] >= 0) &&
		!(op->flags & SOFT_OP_A32);
}

static int host_of(unsigned reg)
{
	return reg < 16 ? soft_jit_host[reg] : H_NONE;
}

static struct emit_operand plain(const struct soft_op *op, int32_t more)
{
	return emit_at_index(
		host_of(op->base), host_of(op->index), op->scale, (int32_t)(op->disp + more));
}

bool jit_can_address(const struct jit *j, const struct soft_op *op)
{
	return fits((int64_t)op->disp + 16 + j->begin);
}

/* The offset into the segment, by nothing that changes flags. May change RCX. */
static void offset(struct jit *j, int to)
{
	const struct soft_op *op = j->op;
	struct emitter *e = j->e;
	int32_t disp = op->disp;
	int base = host_of(op->base), index = host_of(op->index);

	if (is_plain(op)) {
		emit_lea(e, 3, to, plain(op, 0));
		return;
	}
	if (op->base == SOFT_RIP) {
		emit_load(e, 3, H_RAX, JIT_CPU(jit.page));
		disp += (int32_t)j->begin;
		base = H_RAX;
	} else if (op->base < 16 && base < 0) {
		emit_load(e, 3, H_RAX, jit_slot(op->base));
		base = H_RAX;
	}
	if (op->index < 16 && index < 0) {
		emit_load(e, 3, H_RCX, jit_slot(op->index));
		index = H_RCX;
	}
	emit_lea(e, 3, to, emit_at_index(base, index, op->scale, disp));
	if (op->flags & SOFT_OP_A32)
		emit_load(e, 2, to, emit_in(to));
}

void jit_address(struct jit *j, int to)
{
	offset(j, to);
}

static int32_t tag_of(enum jit_access access)
{
	return (int32_t)(access == JIT_READ ? offsetof(struct soft_tlb_entry, read)
					    : offsetof(struct soft_tlb_entry, write));
}

/* RCX: the address (its lower half is enough); RAX: that of the last byte. To RCX: the entry. */
static void look_up(struct jit *j, enum jit_access access)
{
	struct emitter *e = j->e;

	emit_op(e, 2, 0xc1, 5, emit_in(H_RCX));
	emit8(e, 12 - 5);
	emit_alu_imm(e, 2, ALU_AND, emit_in(H_RCX), (SOFT_TLB_SIZE - 1) << 5);
	emit_op(e, 3, 0x03, H_RCX, JIT_CPU(tlb));
	emit_alu_imm(e, 3, ALU_AND, emit_in(H_RAX), -JIT_PAGE);
	emit_op(e, 3, 0x3b, H_RAX, emit_at(H_RCX, tag_of(access)));
	jit_slow_jump(j, emit_jcc(e, CC_NE, 0));
	emit_load(e, 3, H_RCX, emit_at(H_RCX, offsetof(struct soft_tlb_entry, addend)));
}

/* At a register and a displacement. */
static struct emit_operand at_base(
	struct jit *j, int base, int32_t disp, unsigned bytes, enum jit_access access)
{
	emit_lea(j->e, 3, H_RAX, emit_at(base, disp + (int32_t)bytes - 1));
	if (disp)
		emit_lea(j->e, 2, H_RCX, emit_at(base, disp));
	else
		emit_load(j->e, 2, H_RCX, emit_in(base));
	look_up(j, access);
	return emit_at_index(H_RCX, base, 0, disp);
}

static struct emit_operand general(struct jit *j, unsigned bytes, enum jit_access access)
{
	const struct soft_op *op = j->op;
	struct emitter *e = j->e;

	offset(j, H_RAX);
	if (op->seg >= SOFT_FS)
		emit_op(e, 3, 0x03, H_RAX,
			op->seg == SOFT_FS ? JIT_CPU(segs[SOFT_FS].base)
					   : JIT_CPU(segs[SOFT_GS].base));
	emit_store(e, 3, JIT_CPU(jit.scratch[0]), H_RAX);
	emit_load(e, 2, H_RCX, emit_in(H_RAX));
	if (bytes > 1)
		emit_alu_imm(e, 3, ALU_ADD, emit_in(H_RAX), (int32_t)bytes - 1);
	look_up(j, access);
	emit_op(e, 3, 0x03, H_RCX, JIT_CPU(jit.scratch[0]));
	return emit_at(H_RCX, 0);
}

/* The page is known, and where in it: RIP is the base. */
static struct emit_operand relative(
	struct jit *j, int32_t disp, enum jit_access access, bool only_rcx)
{
	struct emitter *e = j->e;
	int32_t page = disp & -JIT_PAGE;

	emit_load(e, 3, H_RAX, JIT_CPU(jit.page));
	if (page)
		emit_alu_imm(e, 3, ALU_ADD, emit_in(H_RAX), page);
	emit_load(e, 2, H_RCX, emit_in(H_RAX));
	emit_op(e, 2, 0xc1, 5, emit_in(H_RCX));
	emit8(e, 12 - 5);
	emit_alu_imm(e, 2, ALU_AND, emit_in(H_RCX), (SOFT_TLB_SIZE - 1) << 5);
	emit_op(e, 3, 0x03, H_RCX, JIT_CPU(tlb));
	emit_op(e, 3, 0x3b, H_RAX, emit_at(H_RCX, tag_of(access)));
	jit_slow_jump(j, emit_jcc(e, CC_NE, 0));
	if (only_rcx) {
		emit_op(e, 3, 0x03, H_RAX, emit_at(H_RCX, offsetof(struct soft_tlb_entry, addend)));
		emit_load(e, 3, H_RCX, emit_in(H_RAX));
		return emit_at(H_RCX, disp - page);
	}
	emit_load(e, 3, H_RCX, emit_at(H_RCX, offsetof(struct soft_tlb_entry, addend)));
	return emit_at_index(H_RCX, H_RAX, 0, disp - page);
}

struct emit_operand jit_memory(struct jit *j, unsigned bytes, enum jit_access access, bool only_rcx)
{
	const struct soft_op *op = j->op;
	struct emitter *e = j->e;
	int32_t disp = op->disp + (int32_t)j->begin;

	jit_flags_save(j);
	j->flags = JIT_FLAGS_MEMORY;
	if (op->base == SOFT_RIP && op->index == SOFT_ZERO && op->seg < SOFT_FS &&
		!(op->flags & SOFT_OP_A32) && (disp & (JIT_PAGE - 1)) + bytes <= JIT_PAGE)
		return relative(j, disp, access, only_rcx);
	if (!is_plain(op) || op->seg >= SOFT_FS)
		return general(j, bytes, access);
	if (op->index == SOFT_ZERO && op->base != SOFT_ZERO)
		return at_base(j, host_of(op->base), op->disp, bytes, access);
	emit_lea(e, 3, H_RAX, plain(op, (int32_t)bytes - 1));
	emit_lea(e, 2, H_RCX, plain(op, 0));
	look_up(j, access);
	emit_lea(e, 3, H_RAX, plain(op, 0));
	if (only_rcx) {
		emit_op(e, 3, 0x01, H_RAX, emit_in(H_RCX));
		return emit_at(H_RCX, 0);
	}
	return emit_at_index(H_RCX, H_RAX, 0, 0);
}

struct emit_operand jit_stack(struct jit *j, unsigned reg, int32_t disp, enum jit_access access)
{
	jit_flags_save(j);
	j->flags = JIT_FLAGS_MEMORY;
	return at_base(j, soft_jit_host[reg], disp, 8, access);
}

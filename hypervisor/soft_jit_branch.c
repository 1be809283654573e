/* SPDX-License-Identifier: MIT */
/* Translated jumps, calls and returns, PUSH and POP. */
#include "core/util.h"
#include "hypervisor/soft_jit.h"

/* ---- to where only the linear address is known ---- */

void jit_jump_entry(struct emitter *e)
{
	emit_load(e, 2, H_RCX, emit_in(H_RAX));
	emit_op(e, 2, 0xc1, 5, emit_in(H_RCX));
	emit8(e, SOFT_JUMP_BITS);
	emit_op(e, 2, 0x31, H_RAX, emit_in(H_RCX));
	emit_alu_imm(e, 2, ALU_AND, emit_in(H_RCX), SOFT_JUMP_SIZE - 1);
	emit_op(e, 2, 0xc1, 4, emit_in(H_RCX));
	emit8(e, 5);
	emit_op(e, 3, 0x03, H_RCX, JIT_CPU(jit.jumps));
}

void jit_lookup(struct jit *j, size_t miss[2])
{
	struct emitter *e = j->e;

	jit_jump_entry(e);
	emit_op(e, 3, 0x3b, H_RAX, emit_at(H_RCX, offsetof(struct soft_jit_jump, linear)));
	miss[0] = emit_jcc(e, CC_NE, 0);
	emit_load(e, 3, H_RAX, JIT_CPU(jit.key));
	emit_op(e, 3, 0x3b, H_RAX, emit_at(H_RCX, offsetof(struct soft_jit_jump, key)));
	miss[1] = emit_jcc(e, CC_NE, 0);
}

void jit_lookup_go(struct jit *j)
{
	struct emitter *e = j->e;

	emit_load(e, 3, H_RAX, emit_at(H_RCX, offsetof(struct soft_jit_jump, page)));
	emit_store(e, 3, JIT_CPU(jit.page), H_RAX);
	emit_op(e, 2, 0xff, 4, emit_at(H_RCX, offsetof(struct soft_jit_jump, code)));
}

/* ---- to a known place ---- */

/* The target's offset from the begin of the block's page. */
static int64_t target_of(const struct jit *j, unsigned n)
{
	return (int64_t)j->begin + j->op->next + (n == 0 ? (int64_t)j->op->disp : 0);
}

static void set_rax_to_target(struct jit *j, int64_t target)
{
	struct emitter *e = j->e;

	emit_load(e, 3, H_RAX, JIT_CPU(jit.page));
	if (target == (int32_t)target) {
		emit_lea(e, 3, H_RAX, emit_at(H_RAX, (int32_t)target));
	} else {
		emit_constant(e, H_RCX, (uint64_t)target);
		emit_op(e, 3, 0x01, H_RCX, emit_in(H_RAX));
	}
}

/* Out of the page: by the table. Flags are saved. */
static void leave_page(struct jit *j, int64_t target)
{
	struct emitter *e = j->e;
	size_t miss[2];

	set_rax_to_target(j, target);
	jit_lookup(j, miss);
	jit_lookup_go(j);
	emit_patch(e, miss[0], e->at);
	emit_patch(e, miss[1], e->at);
	set_rax_to_target(j, target);
	emit_store(e, 3, jit_slot(SOFT_RIP), H_RAX);
	emit_jump(e, j->jit->leave);
}

/* The way out by link n, while it leads to no translated block. */
static void make_link_stub(struct jit *j, unsigned n, size_t site)
{
	struct soft_link *link = &j->block->links[n];
	struct emitter *e = j->e;
	size_t stub = e->at;

	emit_patch(e, site, stub);
	jit_flags_save(j);
	set_rax_to_target(j, target_of(j, n));
	emit_store(e, 3, jit_slot(SOFT_RIP), H_RAX);
	emit_constant(e, H_RCX,
		(uint32_t)((const uint8_t *)&j->block->ops[j->index] - j->cpu->jit.arena));
	emit_jump(e, j->jit->leave_link[n]);
	link->site = (uint32_t)site;
	link->stub = (uint32_t)stub;
}

static bool in_page(int64_t target)
{
	return target >= 0 && target < JIT_PAGE;
}

/* A jump that was emitted, and goes by link n. */
static void finish_link(struct jit *j, unsigned n, size_t site)
{
	int64_t target = target_of(j, n);
	bool flags = j->flags == JIT_FLAGS_HOST;

	j->block->links[n].flags = flags;
	if (target == j->begin && !j->block->stale) {
		emit_patch(j->e, site, flags ? j->entry_flags : j->entry);
	} else if (in_page(target)) {
		make_link_stub(j, n, site);
	} else {
		emit_patch(j->e, site, j->e->at);
		jit_flags_save(j);
		leave_page(j, target);
	}
}

static void jump(struct jit *j, unsigned n)
{
	int64_t target = target_of(j, n);

	if (in_page(target)) {
		finish_link(j, n, emit_jump(j->e, 0));
		return;
	}
	jit_flags_save(j);
	leave_page(j, target);
}

static void conditional(struct jit *j)
{
	enum jit_flags flags;
	size_t taken, other;

	jit_flags_restore(j);
	flags = j->flags;
	taken = emit_jcc(j->e, j->insn->opcode & 15, 0);
	if (in_page(target_of(j, 1))) {
		other = emit_jump(j->e, 0);
		finish_link(j, 1, other);
	} else {
		jit_flags_save(j);
		leave_page(j, target_of(j, 1));
	}
	j->flags = flags;
	finish_link(j, 0, taken);
}

/* ---- the stack ---- */

static void move_stack(struct jit *j, int32_t by)
{
	int sp = soft_jit_host[SOFT_RSP];

	emit_lea(j->e, 3, sp, emit_at(sp, by));
}

static void push(struct jit *j, bool immediate)
{
	struct emit_operand to = jit_stack(j, SOFT_RSP, -8, JIT_WRITE);

	if (immediate) {
		emit_op(j->e, 3, 0xc7, 0, to);
		emit32(j->e, (uint32_t)j->op->imm);
	} else if (soft_jit_host[j->op->rm] < 0) {
		emit_load(j->e, 3, H_RAX, jit_slot(j->op->rm));
		emit_store(j->e, 3, to, H_RAX);
	} else {
		emit_store(j->e, 3, to, soft_jit_host[j->op->rm]);
	}
	move_stack(j, -8);
}

static void pop(struct jit *j)
{
	struct emit_operand from = jit_stack(j, SOFT_RSP, 0, JIT_READ);
	int to = soft_jit_host[j->op->rm];

	if (to < 0 || j->op->rm == SOFT_RSP) {
		emit_load(j->e, 3, H_RAX, from);
		move_stack(j, 8);
		emit_store(j->e, 3, jit_reg(j->op->rm), H_RAX);
		return;
	}
	emit_load(j->e, 3, to, from);
	move_stack(j, 8);
}

static void leave(struct jit *j)
{
	int bp = soft_jit_host[SOFT_RBP];

	emit_load(j->e, 3, H_RAX, jit_stack(j, SOFT_RBP, 0, JIT_READ));
	emit_lea(j->e, 3, soft_jit_host[SOFT_RSP], emit_at(bp, 8));
	emit_load(j->e, 3, bp, emit_in(H_RAX));
}

bool jit_stack_op(struct jit *j)
{
	uint8_t opcode = j->insn->opcode;

	if (j->insn->map != SOFT_MAP_1 || j->insn->osize == 1)
		return false;
	if (opcode >= 0x50 && opcode < 0x58)
		push(j, false);
	else if (opcode >= 0x58 && opcode < 0x60)
		pop(j);
	else if (opcode == 0x68 || opcode == 0x6a)
		push(j, true);
	else if (opcode == 0xc9)
		leave(j);
	else
		return false;
	return true;
}

/* ---- calls and returns ---- */

static void call(struct jit *j)
{
	struct emit_operand to = jit_stack(j, SOFT_RSP, -8, JIT_WRITE);

	emit_load(j->e, 3, H_RAX, JIT_CPU(jit.page));
	emit_alu_imm(j->e, 3, ALU_ADD, emit_in(H_RAX), (int32_t)(j->begin + j->op->next));
	emit_store(j->e, 3, to, H_RAX);
	move_stack(j, -8);
	jump(j, 0);
}

static void miss_to_threaded(struct jit *j, const size_t miss[2])
{
	jit_slow_jump(j, miss[0]);
	jit_slow_jump(j, miss[1]);
}

/* Until the target is found there, nothing is changed: threaded code begins anew. */
static void ret(struct jit *j)
{
	size_t miss[2];

	emit_load(j->e, 3, H_RAX, jit_stack(j, SOFT_RSP, 0, JIT_READ));
	jit_lookup(j, miss);
	miss_to_threaded(j, miss);
	move_stack(j, 8 + (uint16_t)j->op->imm);
	jit_lookup_go(j);
}

static void indirect(struct jit *j, bool is_call)
{
	struct emitter *e = j->e;
	size_t miss[2];

	jit_flags_save(j);
	j->flags = JIT_FLAGS_MEMORY;
	emit_load(e, 3, H_RAX,
		j->op->flags & SOFT_OP_MEM ? jit_memory(j, 8, JIT_READ, false)
					   : jit_reg(j->op->rm));
	jit_lookup(j, miss);
	miss_to_threaded(j, miss);
	if (is_call) {
		struct emit_operand to;

		emit_store(e, 3, JIT_CPU(jit.scratch[1]), H_RCX);
		to = jit_stack(j, SOFT_RSP, -8, JIT_WRITE);
		emit_load(e, 3, H_RAX, JIT_CPU(jit.page));
		emit_alu_imm(e, 3, ALU_ADD, emit_in(H_RAX), (int32_t)(j->begin + j->op->next));
		emit_store(e, 3, to, H_RAX);
		move_stack(j, -8);
		emit_load(e, 3, H_RCX, JIT_CPU(jit.scratch[1]));
	}
	jit_lookup_go(j);
}

/* ---- the last op of a block ---- */

static void last_to_threaded(struct jit *j)
{
	jit_flags_save(j);
	jit_slow_jump(j, emit_jump(j->e, 0));
}

static void last_of_map_1(struct jit *j)
{
	uint8_t opcode = j->insn->opcode, extension = (j->insn->modrm >> 3) & 7;

	switch (opcode) {
	case 0x70 ... 0x7f: conditional(j); return;
	case 0xc2:
	case 0xc3: ret(j); return;
	case 0xe8: call(j); return;
	case 0xe9:
	case 0xeb: jump(j, 0); return;
	case 0xff:
		if (extension == 2 || extension == 4) {
			indirect(j, extension == 2);
			return;
		}
		break;
	default: break;
	}
	last_to_threaded(j);
}

void jit_last(struct jit *j)
{
	const struct soft_op *op = j->op;

	jit_vectors_leave(j);
	if (op->fn == soft_op_follow)
		jump(j, 1);
	else if (op->fn == soft_op_undefined || op->fn == soft_op_too_long ||
		!jit_can_address(j, op))
		last_to_threaded(j);
	else if (j->insn->map == SOFT_MAP_1)
		last_of_map_1(j);
	else if (j->insn->map == SOFT_MAP_0F && (j->insn->opcode & 0xf0) == 0x80)
		conditional(j);
	else
		last_to_threaded(j);
}

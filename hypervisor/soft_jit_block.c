/* SPDX-License-Identifier: MIT */
/* Translates a block: where its flags are needed, its ops one by one, and what is out of line. */
#include "core/util.h"
#include "hypervisor/soft_jit.h"

/* ---- flags ---- */

void jit_flags_save(struct jit *j)
{
	if (j->flags != JIT_FLAGS_HOST)
		return;
	emit8(j->e, 0x9f); /* lahf */
	emit_op(j->e, 0, EMIT_0F | 0x90 | CC_O, 0, emit_in(H_RAX));
	emit_store(j->e, 1, JIT_CPU(cc), H_RAX);
	j->flags = JIT_FLAGS_BOTH;
}

static void load_flags(struct emitter *e)
{
	emit_op(e, 2, EMIT_0F | 0xb7, H_RAX, JIT_CPU(cc));
	/* Overflows when SETO said 1. */
	emit8(e, 0x04);
	emit8(e, 0x7f);
	emit8(e, 0x9e); /* sahf */
}

void jit_flags_restore(struct jit *j)
{
	if (j->flags != JIT_FLAGS_MEMORY)
		return;
	load_flags(j->e);
	j->flags = JIT_FLAGS_BOTH;
}

/* Says nothing of the others: who asks sets them. */
void jit_flags_carry(struct jit *j)
{
	if (j->flags != JIT_FLAGS_MEMORY)
		return;
	emit_op(j->e, 1, EMIT_0F | 0xba, 4, JIT_CPU(cc));
	emit8(j->e, 8);
}

void jit_flags_set(struct jit *j)
{
	j->flags = j->live ? JIT_FLAGS_HOST : JIT_FLAGS_NONE;
}

/* Backwards: after which op its flags may still be looked at. */
static void find_live(struct jit *j, unsigned count)
{
	bool live = true;

	for (unsigned i = count; i > 0; i--) {
		unsigned uses = j->uses[i - 1];

		j->lives[i - 1] = live;
		if (uses & (JIT_OP_READS | JIT_OP_SHOWS))
			live = true;
		else if (uses & JIT_OP_SETS)
			live = false;
	}
}

/* Whether the flags that a block begins with are of no account to it. */
static bool ignores_flags(const struct jit *j, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (j->uses[i] & (JIT_OP_READS | JIT_OP_SHOWS | JIT_OP_PARTLY))
			return false;
		if (j->uses[i] & JIT_OP_SETS)
			return true;
	}
	return false;
}

/* ---- ways in ---- */

static size_t request_exit(struct jit *j)
{
	struct emitter *e = j->e;
	size_t at = e->at;

	emit_load(e, 3, H_RAX, JIT_CPU(jit.page));
	emit_alu_imm(e, 3, ALU_ADD, emit_in(H_RAX), (int32_t)j->begin);
	emit_store(e, 3, jit_slot(SOFT_RIP), H_RAX);
	emit_jump(e, j->jit->leave);
	return at;
}

/* With flags in the host's, before the other entry; both look at requests. The displacements of jumps
 * to the ways out. */
static void make_entries(struct jit *j, bool ignores, size_t exits[2])
{
	struct emitter *e = j->e;

	exits[1] = 0;
	j->entry_flags = e->at;
	if (ignores) {
		/* Nothing that changes flags: they are to be saved when there is a request. */
		emit_load(e, 2, H_RCX, JIT_CPU(request));
		emit8(e, 0xe3); /* jrcxz behind the other entry */
		emit8(e, 0);
		{
			size_t over = e->at;

			exits[1] = emit_jump(e, 0);
			j->entry = e->at;
			emit_alu_imm(e, 2, ALU_CMP, JIT_CPU(request), 0);
			exits[0] = emit_jcc(e, CC_NE, 0);
			e->bytes[over - 1] = (uint8_t)(e->at - over);
		}
		return;
	}
	j->flags = JIT_FLAGS_HOST;
	jit_flags_save(j);
	j->entry = e->at;
	emit_alu_imm(e, 2, ALU_CMP, JIT_CPU(request), 0);
	exits[0] = emit_jcc(e, CC_NE, 0);
}

static void make_request_exits(struct jit *j, const size_t exits[2])
{
	size_t plain, with_flags = j->e->at;

	j->flags = JIT_FLAGS_HOST;
	jit_flags_save(j);
	plain = request_exit(j);
	emit_patch(j->e, exits[0], plain);
	if (exits[1])
		emit_patch(j->e, exits[1], with_flags);
	j->block->request_exits[0] = (uint32_t)plain;
	j->block->request_exits[1] = (uint32_t)with_flags;
}

/* ---- out of line ---- */

/* Ops at which translated code leaves or calls are named by their place in the arena of blocks. The
 * first one's function is another one now: a copy of it is called. */
static void name_op(struct jit *j, const struct soft_op *op)
{
	emit_constant(j->e, H_RCX, (uint32_t)((const uint8_t *)op - j->cpu->jit.arena));
	emit_constant(j->e, H_RAX, j->begin);
}

static void call_threaded(struct jit *j, unsigned index)
{
	name_op(j, index ? &j->block->ops[index] : &j->block->first);
	emit_call(j->e, j->jit->call_op);
}

static void leave_to_threaded(struct jit *j, unsigned index)
{
	name_op(j, &j->block->ops[index]);
	emit_jump(j->e, index ? j->jit->leave_op : j->jit->leave_first);
}

static void call_op(struct jit *j)
{
	jit_flags_save(j);
	jit_vectors_leave(j);
	call_threaded(j, j->index);
	j->flags = JIT_FLAGS_MEMORY;
}

void jit_slow_code(struct jit *j)
{
	for (unsigned i = 0; i < j->slow_count; i++) {
		const struct jit_slow *slow = &j->slow[i];
		bool comes_back = slow->back && !slow->leaves;

		emit_patch(j->e, slow->jump, j->e->at);
		jit_vectors_store(j, slow->vectors_changed, slow->mxcsr_changed);
		if (!comes_back) {
			leave_to_threaded(j, slow->op);
			continue;
		}
		call_threaded(j, slow->op);
		jit_vectors_load(j, slow->vectors, slow->mxcsr);
		if (slow->flags)
			load_flags(j->e);
		emit_jump(j->e, slow->back);
	}
}

/* ---- the ops ---- */

static bool is_known(const struct soft_op *op)
{
	return op->fn != soft_op_undefined && op->fn != soft_op_too_long;
}

static void note_uses(struct jit *j, unsigned count)
{
	for (unsigned i = 0; i + 1 < count; i++) {
		const struct soft_op *op = i ? &j->block->ops[i] : &j->block->first;

		j->uses[i] = JIT_OP_SHOWS;
		if (is_known(op) && jit_can_address(j, op))
			j->uses[i] = (uint8_t)jit_integer_flags(op, &j->block->insns[i]);
	}
	j->uses[count - 1] = JIT_OP_READS | JIT_OP_SHOWS;
	find_live(j, count);
}

static void translate_op(struct jit *j)
{
	unsigned first = j->slow_count;

	if (!is_known(j->op) || !jit_can_address(j, j->op) ||
		!(jit_integer(j) || jit_move(j) || jit_stack_op(j) || jit_vector(j)))
		call_op(j);
	for (unsigned i = first; i < j->slow_count; i++) {
		j->slow[i].back = j->e->at;
		j->slow[i].vectors = j->vectors;
		j->slow[i].mxcsr = j->arithmetic;
		j->slow[i].flags = j->flags == JIT_FLAGS_HOST || j->flags == JIT_FLAGS_BOTH;
	}
}

/* Whether the threaded code of an op has to do with the op behind it. */
static bool looks_ahead(const struct soft_block *block)
{
	for (unsigned i = 0; i + 1 < block->count; i++)
		if ((i ? &block->ops[i] : &block->first)->fn == soft_op_sti &&
			block->ops[i + 1].fn == soft_op_follow)
			return true;
	return false;
}

bool jit_translate(struct soft_cpu *cpu, struct soft_block *block)
{
	struct soft_jit *jit = cpu->translator;
	struct jit j = { .cpu = cpu,
		.jit = jit,
		.block = block,
		.e = &jit->e,
		.begin = (uint32_t)(block->gpa & 0xfff) };
	size_t exits[2], body;
	bool ignores;

	if (looks_ahead(block))
		return false;
	note_uses(&j, block->count);
	ignores = ignores_flags(&j, block->count);
	jit->e.at = ALIGN_UP(jit->e.at, (size_t)16);
	make_entries(&j, ignores, exits);
	body = jit->e.at;
	j.flags = ignores ? JIT_FLAGS_NONE : JIT_FLAGS_MEMORY;
	for (unsigned i = 0; i < block->count; i++) {
		j.index = i;
		j.op = i ? &block->ops[i] : &block->first;
		j.insn = &block->insns[i];
		j.live = j.lives[i];
		if (i + 1 == block->count)
			jit_last(&j);
		else
			translate_op(&j);
	}
	jit_slow_code(&j);
	make_request_exits(&j, exits);
	block->body = jit->code + body;
	block->entry = jit->code + j.entry;
	block->entry_flags = jit->code + j.entry_flags;
	return true;
}

/* SPDX-License-Identifier: MIT */
/* Translated code: its memory, the ways in and out of it, and the jumps between its blocks. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/log.h"
#include "core/util.h"
#include "hypervisor/soft_jit.h"

const int8_t soft_jit_host[16] = {
	[SOFT_RAX] = H_RDX,
	[SOFT_RCX] = H_R9,
	[SOFT_RDX] = H_R10,
	[SOFT_RBX] = H_RBX,
	[SOFT_RSP] = H_R11,
	[SOFT_RBP] = H_R15,
	[SOFT_RSI] = H_RSI,
	[SOFT_RDI] = H_RDI,
	[8] = H_R8,
	[9] = H_NONE,
	[10] = H_NONE,
	[11] = H_NONE,
	[12] = H_R12,
	[13] = H_R13,
	[14] = H_R14,
	[15] = H_NONE,
};

/* ---- code that all blocks use ---- */

static const int8_t callee_saved[] = { H_RBX, H_RBP, H_R12, H_R13, H_R14, H_R15 };

static void push(struct emitter *e, int reg)
{
	if (reg & 8)
		emit8(e, 0x41);
	emit8(e, (uint8_t)(0x50 | (reg & 7)));
}

static void pop(struct emitter *e, int reg)
{
	if (reg & 8)
		emit8(e, 0x41);
	emit8(e, (uint8_t)(0x58 | (reg & 7)));
}

static void store_guest(struct emitter *e)
{
	for (unsigned i = 0; i < 16; i++)
		if (soft_jit_host[i] >= 0)
			emit_store(e, 3, jit_slot(i), soft_jit_host[i]);
}

static void load_guest(struct emitter *e)
{
	for (unsigned i = 0; i < 16; i++)
		if (soft_jit_host[i] >= 0)
			emit_load(e, 3, soft_jit_host[i], jit_slot(i));
}

static void move(struct emitter *e, int to, int from)
{
	emit_load(e, 3, to, emit_in(from));
}

/* Gives back the registers of who called `enter`. */
static void epilogue(struct emitter *e)
{
	emit_alu_imm(e, 3, ALU_ADD, emit_in(H_RSP), 8);
	for (size_t i = ARRAY_SIZE(callee_saved); i > 0; i--)
		pop(e, callee_saved[i - 1]);
}

static void jump_to(struct emitter *e, const void *function)
{
	emit_constant(e, H_RAX, (uintptr_t)function);
	emit_op(e, 2, 0xff, 4, emit_in(H_RAX));
}

#define BLOCK(member) \
	((int32_t)offsetof(struct soft_block, member) - (int32_t)offsetof(struct soft_block, ops))

/* A soft_fn: RDI is the CPU, RSI the block's first op. Notes where the block is, and enters it. */
static void make_enter(struct soft_jit *jit)
{
	struct emitter *e = &jit->e;

	jit->enter = e->at;
	for (size_t i = 0; i < ARRAY_SIZE(callee_saved); i++)
		push(e, callee_saved[i]);
	emit_alu_imm(e, 3, ALU_SUB, emit_in(H_RSP), 8);
	move(e, H_RBP, H_RDI);
	emit_load(e, 3, H_RAX, jit_slot(SOFT_RIP));
	jit_jump_entry(e);
	emit_store(e, 3, emit_at(H_RCX, offsetof(struct soft_jit_jump, linear)), H_RAX);
	emit_load(e, 3, H_RDX, JIT_CPU(jit.key));
	emit_store(e, 3, emit_at(H_RCX, offsetof(struct soft_jit_jump, key)), H_RDX);
	emit_load(e, 3, H_RDX, emit_at(H_RSI, BLOCK(entry)));
	emit_store(e, 3, emit_at(H_RCX, offsetof(struct soft_jit_jump, code)), H_RDX);
	emit_alu_imm(e, 3, ALU_AND, emit_in(H_RAX), -JIT_PAGE);
	emit_store(e, 3, emit_at(H_RCX, offsetof(struct soft_jit_jump, page)), H_RAX);
	emit_store(e, 3, JIT_CPU(jit.page), H_RAX);
	emit_load(e, 3, H_RAX, emit_at(H_RSI, BLOCK(body)));
	load_guest(e);
	emit_op(e, 2, 0xff, 4, emit_in(H_RAX));
}

static void make_leave_op(struct soft_jit *jit, size_t *place, int32_t function)
{
	struct emitter *e = &jit->e;

	*place = e->at;
	store_guest(e);
	emit_op(e, 3, 0x03, H_RAX, JIT_CPU(jit.page));
	emit_store(e, 3, jit_slot(SOFT_RIP), H_RAX);
	emit_load(e, 3, H_RSI, JIT_CPU(jit.arena));
	emit_op(e, 3, 0x01, H_RCX, emit_in(H_RSI));
	move(e, H_RDI, H_RBP);
	epilogue(e);
	emit_op(e, 2, 0xff, 4, emit_at(H_RSI, function));
}

static void make_leave(struct soft_jit *jit)
{
	struct emitter *e = &jit->e;

	jit->leave = e->at;
	store_guest(e);
	epilogue(e);
	emit_op(e, 2, 0x31, H_RAX, emit_in(H_RAX));
	emit8(e, 0xc3);
	for (unsigned n = 0; n < 2; n++) {
		jit->leave_link[n] = e->at;
		store_guest(e);
		emit_load(e, 3, H_RSI, JIT_CPU(jit.arena));
		emit_op(e, 3, 0x01, H_RCX, emit_in(H_RSI));
		move(e, H_RDI, H_RBP);
		epilogue(e);
		jump_to(e,
			n ? (const void *)(uintptr_t)soft_leave1
			  : (const void *)(uintptr_t)soft_leave0);
	}
	make_leave_op(jit, &jit->leave_op, (int32_t)offsetof(struct soft_op, fn));
	make_leave_op(jit, &jit->leave_first, BLOCK(first.fn));
}

/* Behind an op that was called: translated code goes on. */
static SOFT_OP_FUNCTION(go_back)
{
	return op;
}

/* Calls an op's function with a copy of the op, behind which comes the way back. Out when the op left its
 * block, or made it stale. */
static void make_call(struct soft_jit *jit)
{
	struct emitter *e = &jit->e;
	size_t left, stale;

	jit->call_op = e->at;
	emit_alu_imm(e, 3, ALU_SUB, emit_in(H_RSP), 8);
	store_guest(e);
	emit_op(e, 3, 0x03, H_RAX, JIT_CPU(jit.page));
	emit_store(e, 3, jit_slot(SOFT_RIP), H_RAX);
	emit_op(e, 3, 0x03, H_RCX, JIT_CPU(jit.arena));
	emit_store(e, 3, emit_at(H_RSP, 0), H_RCX);
	for (int32_t i = 0; i < (int32_t)sizeof(struct soft_op); i += 8) {
		emit_load(e, 3, H_RAX, emit_at(H_RCX, i));
		emit_store(e, 3, emit_at(H_RBP, (int32_t)offsetof(struct soft_cpu, jit.ops[0]) + i),
			H_RAX);
	}
	move(e, H_RDI, H_RBP);
	emit_lea(e, 3, H_RSI, JIT_CPU(jit.ops[0]));
	emit_op(e, 2, 0xff, 2, emit_at(H_RSI, offsetof(struct soft_op, fn)));
	emit_op(e, 3, 0x85, H_RAX, emit_in(H_RAX));
	left = emit_jcc(e, CC_E, 0);
	emit_load(e, 3, H_RCX, emit_at(H_RSP, 0));
	emit_constant(e, H_RAX, (uintptr_t)soft_op_stale);
	emit_op(e, 3, 0x3b, H_RAX, emit_at(H_RCX, offsetof(struct soft_op, fn)));
	stale = emit_jcc(e, CC_E, 0);
	load_guest(e);
	emit_alu_imm(e, 3, ALU_ADD, emit_in(H_RSP), 8);
	emit8(e, 0xc3);
	emit_patch(e, stale, e->at);
	emit_op(e, 2, EMIT_0F | 0xb7, H_RAX, JIT_CPU(jit.ops[0].next));
	emit_op(e, 3, 0x01, H_RAX, jit_slot(SOFT_RIP));
	emit_patch(e, left, e->at);
	emit_alu_imm(e, 3, ALU_ADD, emit_in(H_RSP), 16);
	epilogue(e);
	emit_op(e, 2, 0x31, H_RAX, emit_in(H_RAX));
	emit8(e, 0xc3);
}

/* ---- memory: written through one mapping, executed through another ---- */

static int map_arena(struct soft_jit *jit)
{
	int fd = memfd_create("spicebox code", MFD_CLOEXEC), err = 0;
	void *write, *execute;

	if (fd < 0 || ftruncate(fd, JIT_ARENA_BYTES)) {
		err = -errno;
		goto done;
	}
	write = mmap(NULL, JIT_ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	execute = mmap(NULL, JIT_ARENA_BYTES, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	if (write == MAP_FAILED || execute == MAP_FAILED) {
		err = -errno;
		if (write != MAP_FAILED)
			munmap(write, JIT_ARENA_BYTES);
		if (execute != MAP_FAILED)
			munmap(execute, JIT_ARENA_BYTES);
		goto done;
	}
	jit->e.bytes = write;
	jit->code = execute;
done:
	if (fd >= 0)
		close(fd);
	return err;
}

void soft_jit_create(struct soft_cpu *cpu)
{
	struct soft_jit *jit = calloc(1, sizeof(*jit));
	int err = jit ? map_arena(jit) : -ENOMEM;

	if (err) {
		if (cpu->index == 0)
			log_info("cpu", "no memory to execute translated code from (%s): %s",
				strerror(-err), "the software CPU is slower");
		free(jit);
		return;
	}
	jit->e.at = 16; /* no place is 0 */
	make_enter(jit);
	make_leave(jit);
	make_call(jit);
	jit->begin = ALIGN_UP(jit->e.at, (size_t)16);
	jit->e.at = jit->begin;
	cpu->translator = jit;
	cpu->jit.jumps = jit->jumps;
	cpu->jit.ops[1].fn = go_back;
	cpu->jit.after = JIT_AFTER;
}

void soft_jit_destroy(struct soft_cpu *cpu)
{
	struct soft_jit *jit = cpu->translator;

	if (!jit)
		return;
	munmap(jit->e.bytes, JIT_ARENA_BYTES);
	munmap((void *)(uintptr_t)jit->code, JIT_ARENA_BYTES);
	free(jit);
	cpu->translator = NULL;
	cpu->jit.after = 0;
}

void soft_jit_flush(struct soft_cpu *cpu)
{
	struct soft_jit *jit = cpu->translator;

	if (!jit)
		return;
	jit->e.at = jit->begin;
	memset(jit->jumps, 0, sizeof(jit->jumps));
}

/* ---- blocks ---- */

bool soft_jit_wants(const struct soft_cpu *cpu, const struct soft_block *block)
{
	return cpu->jit.after && (block->mode & SOFT_MODE_64) && !block->crosses &&
		(!(block->mode & SOFT_MODE_STEP) || cpu->jit.steps);
}

static void patch(struct soft_jit *jit, size_t site, size_t target)
{
	emit_patch(&jit->e, site, target);
}

void soft_jit_link(struct soft_cpu *cpu, struct soft_link *link)
{
	struct soft_jit *jit = cpu->translator;
	const struct soft_block *to = link->to;

	if (link->site && to->body)
		patch(jit, link->site,
			(size_t)((link->flags ? to->entry_flags : to->entry) - jit->code));
}

void soft_jit_unlink(struct soft_cpu *cpu, struct soft_link *link)
{
	if (link->site)
		patch(cpu->translator, link->site, link->stub);
}

/* Whoever still comes to the block leaves translated code. */
void soft_jit_kill(struct soft_cpu *cpu, struct soft_block *block)
{
	struct soft_jit *jit = cpu->translator;
	const uint8_t *entries[2] = { block->entry, block->entry_flags };

	block->first.fn = soft_op_stale;
	if (!block->body)
		return;
	for (unsigned i = 0; i < 2; i++) {
		size_t at = (size_t)(entries[i] - jit->code);

		jit->e.bytes[at] = 0xe9;
		patch(jit, at + 1, block->request_exits[i]);
	}
}

/* The function of the first op of blocks that are not hot (yet). */
SOFT_OP_FUNCTION(soft_jit_count)
{
	struct soft_block *block = container_of(op, struct soft_block, ops[0]);
	struct soft_jit *jit = cpu->translator;

	if (++block->heat < cpu->jit.after)
		SOFT_TAIL_CALL(block->first.fn(cpu, op));
	if (jit->e.at + JIT_BLOCK_BYTES > JIT_ARENA_BYTES) {
		/* All anew, this block too. */
		soft_code_flush(cpu);
		return NULL;
	}
	if (!jit_translate(cpu, block)) {
		block->ops[0].fn = block->first.fn;
		SOFT_TAIL_CALL(op->fn(cpu, op));
	}
	block->ops[0].fn = (soft_fn *)(uintptr_t)(jit->code + jit->enter);
	for (struct soft_link *link = block->incoming; link; link = link->next)
		soft_jit_link(cpu, link);
	for (unsigned n = 0; n < 2; n++)
		if (block->links[n].to)
			soft_jit_link(cpu, &block->links[n]);
	SOFT_TAIL_CALL(op->fn(cpu, op));
}

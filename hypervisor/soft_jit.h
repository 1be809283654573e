/* SPDX-License-Identifier: MIT */
/*
 * The translator of hot blocks to host code: what its parts share.
 *
 * Host registers: RBP is the soft_cpu; RAX and RCX are free for anything; the others hold guest
 * registers, always the same ones (soft_jit_host), in all translated code, so that it goes from block
 * to block without storing them. Four guest registers stay in soft_cpu.regs. SOFT_RIP there is not
 * kept: soft_cpu.jit.page is, the page of the code, and it is made of that where it is needed.
 */
#ifndef HYPERVISOR_SOFT_JIT_H
#define HYPERVISOR_SOFT_JIT_H

#include "hypervisor/soft_jit_emit.h"
#include "hypervisor/soft_ops.h"

enum {
	JIT_ARENA_BYTES = 32 << 20,
	JIT_BLOCK_BYTES = 32 << 10, /* more than any block takes */
	JIT_AFTER = 12, /* entries that make a block hot */
	JIT_PAGE = 4096,
};

struct soft_jit {
	struct emitter e;
	const uint8_t *code; /* the same memory, executable */
	size_t begin; /* behind the stubs */
	/* Common code, by its place. */
	size_t enter; /* the function of a translated block's first op */
	size_t leave; /* out: RIP is set */
	size_t leave_op; /* goes on with threaded code: ECX: op, EAX: its block, in the page */
	size_t leave_first; /* the same for a block's first op, whose function is kept elsewhere */
	size_t leave_link[2]; /* soft_leave0(), soft_leave1(); ECX: op. RIP is set */
	size_t call_op; /* executes one op's function; as leave_op */
	struct soft_jit_jump jumps[SOFT_JUMP_SIZE];
};

/* Where the guest's arithmetic flags are. */
enum jit_flags {
	JIT_FLAGS_NONE, /* nowhere: nobody will look at them */
	JIT_FLAGS_HOST, /* in the host's */
	JIT_FLAGS_MEMORY, /* in soft_cpu.cc */
	JIT_FLAGS_BOTH,
};

enum {
	JIT_OP_READS = 1 << 0, /* reads flags */
	JIT_OP_SETS = 1 << 1, /* sets all of them, whatever they were */
	JIT_OP_PARTLY = 1 << 2, /* sets some and keeps others */
	JIT_OP_SHOWS = 1 << 3, /* may fault or call: flags must be in memory before */
};

/* A way out of the fast path, made after it. */
struct jit_slow {
	size_t jump; /* its displacement */
	size_t back; /* 0: to threaded code for the rest of the block */
	uint16_t op;
	bool flags; /* fast code has them in the host's then */
	bool leaves; /* in any case to threaded code */
	bool mxcsr_changed; /* MXCSR and vectors that are not in memory */
	bool mxcsr;
	uint16_t vectors_changed;
	uint16_t vectors; /* what fast code has in the host's then */
};

struct jit {
	struct soft_cpu *cpu;
	struct soft_jit *jit;
	struct soft_block *block;
	struct emitter *e;
	uint32_t begin; /* of the block, in its page */
	unsigned index; /* of the op */
	const struct soft_op *op;
	const struct soft_insn *insn;
	enum jit_flags flags;
	bool live; /* flags after this op */
	bool vectors_on; /* SSE was looked at */
	bool arithmetic; /* the host's MXCSR is the guest's, and the newer one */
	uint16_t vectors; /* XMM registers that are in the host's */
	uint16_t vectors_changed; /* ... and not in memory */
	unsigned slow_count;
	struct jit_slow slow[4 * (SOFT_BLOCK_OPS + 4)];
	uint8_t uses[SOFT_BLOCK_OPS + 4];
	bool lives[SOFT_BLOCK_OPS + 4];
	size_t entry;
	size_t entry_flags;
};

/* The host register of a guest register, or H_NONE. */
extern const int8_t soft_jit_host[16];

#define JIT_CPU(member) emit_at(H_RBP, (int32_t)offsetof(struct soft_cpu, member))
static inline struct emit_operand jit_slot(unsigned reg)
{
	return emit_at(H_RBP, (int32_t)(offsetof(struct soft_cpu, regs) + 8 * reg));
}

/* A guest register as an operand. */
static inline struct emit_operand jit_reg(unsigned reg)
{
	return soft_jit_host[reg] < 0 ? jit_slot(reg) : emit_in(soft_jit_host[reg]);
}
/* One as op->reg and op->rm of an operand of that size name it; not of AH to BH. */
static inline struct emit_operand jit_reg_of(unsigned size, unsigned reg)
{
	return jit_reg(size == 0 ? reg >> 3 : reg);
}

/* ---- flags (soft_jit_block.c) ---- */

void jit_flags_save(struct jit *j); /* so that memory has them, too */
void jit_flags_restore(struct jit *j); /* the host's too; changes RAX when they were not */
void jit_flags_carry(struct jit *j); /* the carry only */
void jit_flags_set(struct jit *j); /* the host's are the guest's now */

/* ---- memory (soft_jit_memory.c) ---- */

enum jit_access { JIT_READ, JIT_WRITE };

/* The memory operand of the op, checked: `bytes` may be accessed there. Saves the flags before it
 * changes them. With `only_rcx` it does not need RAX. */
struct emit_operand jit_memory(
	struct jit *j, unsigned bytes, enum jit_access access, bool only_rcx);
/* The same of a guest register's address and displacement. */
struct emit_operand jit_stack(struct jit *j, unsigned reg, int32_t disp, enum jit_access access);
/* The linear address of the memory operand to a host register; keeps the flags when the segment has
 * no base. False: not for translated code. */
bool jit_can_address(const struct jit *j, const struct soft_op *op);
void jit_address(struct jit *j, int to);
/* A displacement in the page as an operand relative to it. */
void jit_slow_jump(struct jit *j, size_t where);

/* ---- instructions ---- */

/* False: it is not known. */
bool jit_integer(struct jit *j); /* soft_jit_integer.c */
bool jit_move(struct jit *j); /* soft_jit_move.c */
bool jit_vector(struct jit *j); /* soft_jit_sse.c */
/* Vectors and MXCSR to memory and back. */
void jit_vectors_store(struct jit *j, uint16_t which, bool mxcsr);
void jit_vectors_load(struct jit *j, uint16_t which, bool mxcsr);
/* All that was changed to memory; the host's registers may be changed then. */
void jit_vectors_leave(struct jit *j);
unsigned jit_integer_flags(const struct soft_op *op, const struct soft_insn *insn);
/* soft_jit_branch.c: the last op, or a push, pop, ... */
bool jit_stack_op(struct jit *j);
void jit_last(struct jit *j);
/* Everything that is done out of line, after the fast code. */
void jit_slow_code(struct jit *j);

/* RCX: where the table of jumps has the linear address in RAX. */
void jit_jump_entry(struct emitter *e);
/* Looks up RAX: behind this RCX is the entry. The two jumps are taken when it is not known. */
void jit_lookup(struct jit *j, size_t miss[2]);
void jit_lookup_go(struct jit *j);

/* soft_jit_block.c: false: the block is not worth it or cannot be. */
bool jit_translate(struct soft_cpu *cpu, struct soft_block *block);

#endif

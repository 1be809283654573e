/* SPDX-License-Identifier: MIT */
/* What the parts of the software CPU share, beyond soft_cpu.h. */
#ifndef HYPERVISOR_SOFT_INTERNAL_H
#define HYPERVISOR_SOFT_INTERNAL_H

#include <pthread.h>

#include "hypervisor/engine.h"
#include "hypervisor/soft_cpu.h"
#include "hypervisor/soft_irq.h"

/* Family 15, model 107, stepping 1 of AMD: what guests know of it (no flaws that need work-arounds
 * with a price, no MSRs beyond the architecture's) suits this CPU. */
#define SOFT_SIGNATURE  0x00060fb1
#define SOFT_MAX_CPUS   8 /* as many as a byte of soft_engine.code_map has bits */
#define SOFT_PAGE       4096u
#define SOFT_PAGE_MASK  (~UINT64_C(4095))
#define SOFT_PHYS_BITS  40
#define SOFT_PHYS_MASK  ((UINT64_C(1) << SOFT_PHYS_BITS) - 1)
#define SOFT_CODE_PAGES (1u << (SOFT_PHYS_BITS - 12))

/* ---- guest-physical memory (soft_memory.c) ---- */

#define SOFT_MAX_SPANS 256

/* A piece of memory as the CPUs see it. Its host memory lives until they have stopped. */
struct soft_span {
	uint64_t gpa;
	uint64_t size;
	uint8_t *host;
	bool read_only;
	bool log_dirty;
	struct memory_region *region;
	uint64_t *dirty; /* a bit a page; only under the lock */
};

struct soft_memory {
	pthread_rwlock_t lock; /* of writers, and of the dirty bits' readers */
	uint32_t version; /* odd: being changed. Readers look without the lock */
	uint32_t count;
	struct soft_span spans[SOFT_MAX_SPANS]; /* by gpa */
};

struct soft_engine {
	struct engine base;
	struct soft_memory memory;
	/* For each page the CPUs that have decoded code from there, a bit each. */
	uint8_t *code_map;
	struct soft_irq *chips;
	struct soft_tables *tables;
	pthread_mutex_t split_lock; /* of the CPU that is to be alone */
	struct soft_cpu *cpus[SOFT_MAX_CPUS];
};

int soft_memory_init(struct soft_engine *soft);
void soft_memory_finish(struct soft_engine *soft);
extern const struct memory_backend_ops soft_memory_ops;
/* The span that holds gpa. False: none. */
bool soft_memory_find(struct soft_engine *soft, uint64_t gpa, struct soft_span *span);
/* Accesses that do not cross a page, by whatever way: memory or the bus. */
void soft_phys_read(struct soft_cpu *cpu, uint64_t gpa, void *out, unsigned size);
void soft_phys_write(struct soft_cpu *cpu, uint64_t gpa, const void *bytes, unsigned size);
/* The host's pointer to writable memory (NULL: there is none); who writes there says so with
 * soft_phys_wrote(). */
void *soft_phys_pointer(struct soft_cpu *cpu, uint64_t gpa, unsigned size);
void soft_phys_wrote(struct soft_cpu *cpu, uint64_t gpa, unsigned size);
/* Memory of the guest changed by somebody else than a CPU: decoded code from there is stale. */
void soft_memory_written(struct soft_engine *soft, uint64_t gpa, uint64_t size);

/* ---- translation (soft_mmu.c, soft_walk.c) ---- */

enum soft_access { SOFT_READ, SOFT_WRITE, SOFT_EXEC };

struct soft_mapping {
	uint64_t gpa; /* of the byte */
	bool writable; /* and dirty */
	bool user;
	bool executable;
	bool global;
	bool large;
};

struct soft_mmu {
	/* Supervisor, user, and one that nothing is ever found in: for user code whose every access
	 * is looked at (alignment checks). */
	struct soft_tlb tlbs[3];
	uint16_t filled[2][SOFT_TLB_SIZE]; /* indices filled since the last flush */
	uint32_t filled_count[2];
	bool has_large;
	uint64_t large_first; /* linear addresses that large pages were seen between */
	uint64_t large_last;
};

/* The page walk. 0, or the error code of the page fault with bit 31 set. Sets accessed and dirty
 * bits. */
uint32_t soft_walk(struct soft_cpu *cpu, uint64_t linear, enum soft_access access, bool user,
	struct soft_mapping *mapping);
/* Loads the PDPTEs after CR3 or the mode changed. False: reserved bits are set (#GP). */
bool soft_walk_load_pdptes(struct soft_cpu *cpu, uint64_t cr3);

void soft_tlb_flush(struct soft_cpu *cpu, bool global);
void soft_tlb_flush_page(struct soft_cpu *cpu, uint64_t linear);
/* Stores to this page look up again how they may go. */
void soft_tlb_protect(struct soft_cpu *cpu, uint64_t gpa);
void soft_tlb_protect_all(struct soft_cpu *cpu);
/* Where to fetch code at a linear address: its page's host memory and gpa. Raises #PF. */
const uint8_t *soft_fetch_page(struct soft_cpu *cpu, uint64_t linear, uint64_t *gpa);
/* The host's pointer for a locked access, or NULL: then it is to be done with the slow paths, under
 * split_lock. Raises what a store would. *gpa: where it is when soft_phys_wrote() is to be called
 * after the access, else SOFT_NO_GPA. */
#define SOFT_NO_GPA UINT64_MAX
void *soft_atomic_pointer(struct soft_cpu *cpu, const struct soft_op *op, uint64_t linear,
	unsigned size, uint64_t *gpa);
/* Accesses of the CPU itself, with supervisor rights: descriptor tables, TSS. */
void soft_system_read(struct soft_cpu *cpu, uint64_t linear, void *out, unsigned size);
void soft_system_write(struct soft_cpu *cpu, uint64_t linear, const void *bytes, unsigned size);
static inline uint64_t soft_system_load(struct soft_cpu *cpu, uint64_t linear, unsigned size)
{
	uint64_t value = 0;

	soft_system_read(cpu, linear, &value, size);
	return value;
}

static inline bool soft_checks_alignment(const struct soft_cpu *cpu)
{
	return cpu->tlb == &cpu->mmu->tlbs[2];
}

static inline bool soft_canonical(uint64_t linear)
{
	return (uint64_t)((int64_t)linear >> 47) + 1 <= 1;
}

/* ---- locked accesses that the host cannot do at once (soft_atomic.c) ---- */

/* No other CPU executes anything until soft_atomic_end(), which an exception does, too. */
void soft_atomic_begin(struct soft_cpu *cpu);
void soft_atomic_end(struct soft_cpu *cpu);
/* SOFT_REQUEST_STOP: waits. */
void soft_atomic_serve(struct soft_cpu *cpu);

/* ---- blocks (soft_code.c) ---- */

struct soft_link {
	struct soft_block *to;
	struct soft_link *next; /* of those that lead to the same block */
	/* The jump of translated code that goes this way: places in its arena, 0: there is none. */
	uint32_t site;
	uint32_t stub; /* where it leads while `to` has no translation */
	bool flags; /* it has the arithmetic flags in the host's */
};

/* What an op was decoded from, for the translator. */
struct soft_insn {
	uint8_t map; /* enum soft_map */
	uint8_t opcode;
	uint8_t modrm; /* 0 when there is none */
	uint8_t rep; /* 0, 0xf2, 0xf3 */
	uint8_t osize; /* log2 of bytes */
	bool o_prefix;
};

enum { SOFT_BLOCK_OPS = 48 };

struct soft_block {
	uint64_t gpa;
	uint32_t mode;
	uint16_t bytes;
	uint16_t count; /* ops */
	bool crosses; /* its one instruction goes on in another page */
	bool stale;
	uint64_t gpa2; /* of that page */
	struct soft_block *hash_next;
	struct soft_link links[2]; /* taken; not taken, or the following block */
	struct soft_link *incoming;
	/* Translated code (soft_jit.c); NULL: there is none (yet). */
	const uint8_t *body;
	const uint8_t *entry; /* looks at requests first */
	const uint8_t *entry_flags; /* ... and the arithmetic flags are in the host's */
	uint32_t request_exits[2]; /* the entries' ways out */
	uint16_t heat;
	const struct soft_insn *insns; /* of the ops, but for one that only leads on */
	struct soft_op first; /* ops[0] as it was decoded */
	struct soft_op ops[];
};

enum { SOFT_JUMP_BITS = 12, SOFT_JUMP_SIZE = 1 << SOFT_JUMP_BITS };

/* Where a linear address was found the last time. */
struct soft_jump {
	uint64_t linear;
	uint64_t key;
	struct soft_block *block;
};

struct soft_code {
	struct soft_jump jumps[SOFT_JUMP_SIZE];
	uint64_t code_pages[1024]; /* a bit for linear pages, by a hash: jumps may lead there */
	uint64_t key; /* of valid jumps: generation, mode, user */
	uint64_t generation;
	struct soft_link *pending; /* the way that a block was left: to be chained */
	const struct soft_block *pending_from;
	uint64_t pending_linear; /* where that block was */
	uint64_t pending_target; /* where it led */
	struct soft_block **hash;
	struct soft_code_page **pages;
	uint8_t *arena;
	size_t used;
	pthread_mutex_t lock; /* guards what follows, of other threads */
	uint64_t written[64]; /* pages to be dropped */
	unsigned written_count;
	bool written_all;
};

int soft_code_create(struct soft_cpu *cpu);
void soft_code_destroy(struct soft_cpu *cpu);
/* The block at CS:RIP, decoded if need be. Raises what the fetch does. */
struct soft_block *soft_code_find(struct soft_cpu *cpu, bool step);
void soft_code_flush(struct soft_cpu *cpu);
/* The mode, the privilege or translations changed: jumps are to be looked up again. */
void soft_code_new_key(struct soft_cpu *cpu, bool new_generation);
/* Whether jumps may have been remembered that lead to the page. */
bool soft_code_was_at(const struct soft_cpu *cpu, uint64_t linear);
/* This CPU wrote there (one page). */
void soft_code_written(struct soft_cpu *cpu, uint64_t gpa, unsigned size);
/* Serves SOFT_REQUEST_PROTECT, for which others may wait. */
void soft_code_protect(struct soft_cpu *cpu);
/* Another thread did. */
void soft_code_post(struct soft_cpu *cpu, uint64_t gpa);
/* On its own thread, what was posted. */
void soft_code_serve(struct soft_cpu *cpu);

extern const struct soft_op soft_op_none;

/* ---- translation to host code (soft_jit.c) ---- */

/* Without memory that may be executed there is none, and all else goes on. */
void soft_jit_create(struct soft_cpu *cpu);
void soft_jit_destroy(struct soft_cpu *cpu);
void soft_jit_flush(struct soft_cpu *cpu);
/* Of blocks that soft_jit_wants(): the first op's function, which counts. */
bool soft_jit_wants(const struct soft_cpu *cpu, const struct soft_block *block);
const struct soft_op *soft_jit_count(struct soft_cpu *cpu, const struct soft_op *op);
/* The link was made, or is about to be broken; the block is stale. */
void soft_jit_link(struct soft_cpu *cpu, struct soft_link *link);
void soft_jit_unlink(struct soft_cpu *cpu, struct soft_link *link);
void soft_jit_kill(struct soft_cpu *cpu, struct soft_block *block);

/* ---- decoding (soft_decode*.c) ---- */

/* What an instruction has to do with the arithmetic flags. */
enum soft_flags_use {
	SOFT_FLAGS_USED, /* reads them, keeps some, may fault or leave the block: they must be right */
	SOFT_FLAGS_SET, /* sets all of them, whatever they were */
	SOFT_FLAGS_IGNORED,
};

struct soft_decoder {
	const uint8_t *at;
	const uint8_t *end;
	const uint8_t *start;
	struct soft_op *op;
	const struct soft_tables *tables;
	uint32_t mode;
	bool out; /* the bytes ended */
	bool bad; /* no such instruction */
	bool ends; /* the block, which has no op after it */
	bool links; /* the op's imm is to be the block */
	uint8_t flags_use; /* enum soft_flags_use */
	soft_fn *quiet; /* with SOFT_FLAGS_SET: what does the same without the flags; may be NULL */
	bool modrm_read;
	bool lock;
	bool may_lock;
	bool o_prefix; /* 66 */
	bool a_prefix;
	uint8_t rep; /* 0, 0xf2 or 0xf3 */
	uint8_t rex;
	int8_t seg; /* overridden, or -1 */
	uint8_t modrm;
	uint8_t map;
	uint8_t opcode;
	uint8_t osize; /* log2 of bytes: 1, 2, 3 */
	struct soft_op *previous; /* the op before, or NULL */
};

/* Index of all rows, made once. */
struct soft_tables *soft_tables_create(void);
void soft_tables_destroy(struct soft_tables *tables);
/* Decodes one instruction into decoder->op (all but ip and next). */
void soft_decode(struct soft_decoder *decoder);

/* Tables of the core. */
extern const struct soft_table soft_integer_table;
extern const struct soft_table soft_string_table;
extern const struct soft_table soft_system_table;
extern const struct soft_table soft_far_table;
extern const struct soft_table soft_xsave_table;
extern const struct soft_table soft_bit_table;

/* ---- execution (soft_run.c, soft_exception.c, soft_seg.c, soft_system.c) ---- */

enum engine_exit soft_cpu_run(struct soft_cpu *cpu, char *reason, size_t size);
void soft_cpu_reset(struct soft_cpu *cpu, const struct engine_start *start);
/* As at the INIT signal: what RESET does but for FPU, SSE, MSRs and caches. */
void soft_cpu_init_signal(struct soft_cpu *cpu);

uint32_t soft_eflags(const struct soft_cpu *cpu);
/* All bits as given but for bit 1, which is set. Looks after TF and IF. */
void soft_set_eflags(struct soft_cpu *cpu, uint32_t flags);
enum soft_event_kind {
	SOFT_EVENT_FAULT,
	SOFT_EVENT_TRAP, /* an exception after the instruction */
	SOFT_EVENT_INTERRUPT,
	SOFT_EVENT_SOFTWARE, /* INT n, INT3, INTO: the gate's DPL counts */
};
struct soft_event {
	unsigned vector;
	enum soft_event_kind kind;
	bool has_error;
	uint32_t error;
	uint64_t rip; /* to return to */
};
/* Goes through the IDT. May raise; then nothing but memory has changed. */
void soft_deliver(struct soft_cpu *cpu, const struct soft_event *event);
/* Where the stack of an inner level grows. */
struct soft_frame {
	uint64_t base;
	uint64_t mask;
	uint64_t sp;
	bool user;
};
void soft_frame_push(struct soft_cpu *cpu, struct soft_frame *frame, unsigned size, uint64_t value);
/* cpu->mode, cpl's TLB and so on after CS, SS, CR0, EFER or CPL changed. */
void soft_update_mode(struct soft_cpu *cpu);
void soft_set_cpl(struct soft_cpu *cpu, unsigned cpl);

/* ---- debug registers (soft_debug.c) ---- */

/* After DR7, an address or CR4.DE changed. */
void soft_debug_update(struct soft_cpu *cpu);
/* Whether a page has data that is watched. */
bool soft_debug_watches(const struct soft_cpu *cpu, uint64_t page);
/* What instructions do, while breakpoints of the kind are enabled. */
void soft_debug_access(struct soft_cpu *cpu, uint64_t linear, unsigned size, bool write);
void soft_debug_port(struct soft_cpu *cpu, uint16_t port, unsigned size);
/* Before an instruction: whether a breakpoint is there (the bit in DR6 is set). */
bool soft_debug_instruction(struct soft_cpu *cpu);
void soft_debug_task_trap(struct soft_cpu *cpu);
/* After an instruction: whether there is a trap to be delivered; DR6 says why. */
bool soft_debug_trap(struct soft_cpu *cpu, bool stepped);
/* #DB's handler is entered. */
void soft_debug_entered(struct soft_cpu *cpu);
void soft_op_mov_from_dr(struct soft_cpu *cpu, const struct soft_op *op);
void soft_op_mov_to_dr(struct soft_cpu *cpu, const struct soft_op *op);

struct soft_descriptor {
	uint32_t low;
	uint32_t high;
};

/* Reads the descriptor of a selector. False: beyond its table (or null). */
bool soft_read_descriptor(struct soft_cpu *cpu, uint16_t selector, struct soft_descriptor *out);
void soft_unpack_segment(
	struct soft_seg *seg, uint16_t selector, const struct soft_descriptor *descriptor);
/* Sets the accessed bit in the table. */
void soft_mark_accessed(
	struct soft_cpu *cpu, uint16_t selector, struct soft_descriptor *descriptor);
/* MOV and POP to a segment register, LDS and such: not CS. */
void soft_load_segment(struct soft_cpu *cpu, unsigned seg, uint16_t selector);
/* Loads CS with a descriptor that was checked; sets CPL. */
void soft_load_cs(
	struct soft_cpu *cpu, uint16_t selector, struct soft_descriptor *descriptor, unsigned cpl);
void soft_set_real_segment(struct soft_cpu *cpu, unsigned seg, uint16_t selector);
/* Checks a stack segment for a level; faults are #TS or as `vector` says, and #SS when not present. */
void soft_check_ss(struct soft_cpu *cpu, uint16_t selector, unsigned cpl, enum soft_vector vector,
	struct soft_seg *out);
/* Stack of an inner level out of the TSS. */
void soft_tss_stack(struct soft_cpu *cpu, unsigned level, uint16_t *ss, uint64_t *sp);
enum soft_task_kind { SOFT_TASK_JUMP, SOFT_TASK_CALL, SOFT_TASK_RETURN };
enum { SOFT_TYPE_TASK_GATE = 5 };
struct soft_task {
	enum soft_task_kind kind;
	bool gate; /* the selector is out of a task gate, whose level was checked */
	uint16_t selector; /* of a TSS or a task gate; not of a return */
	uint64_t rip; /* where the present task goes on */
	uint32_t flags; /* what it has then */
	uint32_t ext; /* 1 in error codes of what an event leads to */
	bool has_error;
	uint32_t error;
};
/* A fault before the switch is the instruction's, after it the new task's. */
void soft_task_switch(struct soft_cpu *cpu, struct soft_task *task);

int soft_msr_read(struct soft_cpu *cpu, uint32_t msr, uint64_t *value);
int soft_msr_write(struct soft_cpu *cpu, uint32_t msr, uint64_t value);
void soft_cpuid(const struct soft_cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
void soft_write_cr0(struct soft_cpu *cpu, uint64_t value);
void soft_write_cr3(struct soft_cpu *cpu, uint64_t value);
void soft_write_cr4(struct soft_cpu *cpu, uint64_t value);

static inline bool soft_long_mode(const struct soft_cpu *cpu)
{
	return cpu->efer & SOFT_EFER_LMA;
}
static inline bool soft_real_mode(const struct soft_cpu *cpu)
{
	return !(cpu->cr0 & SOFT_CR0_PE);
}
static inline bool soft_v86(const struct soft_cpu *cpu)
{
	return cpu->eflags & SOFT_VM;
}
static inline unsigned soft_dpl(uint32_t attr)
{
	return (attr >> SOFT_ATTR_DPL_SHIFT) & 3;
}
/* Bytes of an operand: 2, 4 or 8. */
static inline unsigned soft_operand_size(const struct soft_op *op)
{
	return op->flags & SOFT_OP_W ? 8 : op->flags & SOFT_OP_O16 ? 2 : 4;
}

/* ---- operands of any size (1, 2, 4, 8 bytes), for what is not hot ---- */

uint64_t soft_read_reg(const struct soft_cpu *cpu, unsigned reg, unsigned size);
void soft_write_reg(struct soft_cpu *cpu, unsigned reg, unsigned size, uint64_t value);
uint64_t soft_read_rm(struct soft_cpu *cpu, const struct soft_op *op, unsigned size);
void soft_write_rm(struct soft_cpu *cpu, const struct soft_op *op, unsigned size, uint64_t value);
uint64_t soft_load(struct soft_cpu *cpu, const struct soft_op *op, uint64_t linear, unsigned size);
void soft_store(struct soft_cpu *cpu, const struct soft_op *op, uint64_t linear, unsigned size,
	uint64_t value);

/* The stack, with SS's size: the pointer is only moved by soft_stack_set(), when all went well. */
uint64_t soft_stack_mask(const struct soft_cpu *cpu);
void soft_stack_set(struct soft_cpu *cpu, uint64_t sp);
void soft_push_at(struct soft_cpu *cpu, uint64_t *sp, unsigned size, uint64_t value);
uint64_t soft_pop_at(struct soft_cpu *cpu, uint64_t *sp, unsigned size);

#endif

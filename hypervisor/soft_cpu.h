/* SPDX-License-Identifier: MIT */
/*
 * The software x86-64 CPU: its state, the decoded instruction, and what instruction code uses. The
 * host is x86-64 too: guest memory order and atomics are the host's own, and arithmetic flags are
 * taken from the host's flags.
 *
 * Guest code is decoded once into blocks, arrays of struct soft_op, each with a pointer to the
 * function that executes it. Those functions (SOFT_OP) call each other in tail position. Plain
 * functions (soft_call) do what is less frequent: tables of struct soft_row name them by opcode.
 */
#ifndef HYPERVISOR_SOFT_CPU_H
#define HYPERVISOR_SOFT_CPU_H

#include <pthread.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

struct soft_cpu;
struct soft_op;
struct soft_block;
struct soft_engine;

/* ---- registers ---- */

enum { SOFT_RAX, SOFT_RCX, SOFT_RDX, SOFT_RBX, SOFT_RSP, SOFT_RBP, SOFT_RSI, SOFT_RDI };
/* Beyond R15: a register that is always zero (no base, no index), and RIP. */
enum { SOFT_ZERO = 16, SOFT_RIP = 17, SOFT_REGS = 18 };

enum soft_seg_name { SOFT_ES, SOFT_CS, SOFT_SS, SOFT_DS, SOFT_FS, SOFT_GS, SOFT_SEGS };

struct soft_seg {
	uint64_t base;
	uint32_t limit; /* bytes, granularity applied */
	uint32_t attr; /* the descriptor's second word, bits 8-23 (SOFT_ATTR_*) */
	uint16_t selector;
};

enum {
	SOFT_ATTR_TYPE = 0xf << 8,
	SOFT_ATTR_ACCESSED = 1 << 8,
	SOFT_ATTR_WRITABLE = 1 << 9, /* of code: readable */
	SOFT_ATTR_DOWN = 1 << 10, /* of code: conforming */
	SOFT_ATTR_CODE = 1 << 11,
	SOFT_ATTR_S = 1 << 12, /* not a system segment */
	SOFT_ATTR_DPL_SHIFT = 13,
	SOFT_ATTR_PRESENT = 1 << 15,
	SOFT_ATTR_AVL = 1 << 20,
	SOFT_ATTR_L = 1 << 21,
	SOFT_ATTR_DB = 1 << 22,
	SOFT_ATTR_G = 1 << 23,
};

enum {
	SOFT_CF = 1 << 0,
	SOFT_PF = 1 << 2,
	SOFT_AF = 1 << 4,
	SOFT_ZF = 1 << 6,
	SOFT_SF = 1 << 7,
	SOFT_TF = 1 << 8,
	SOFT_IF = 1 << 9,
	SOFT_DF = 1 << 10,
	SOFT_OF = 1 << 11,
	SOFT_IOPL = 3 << 12,
	SOFT_NT = 1 << 14,
	SOFT_RF = 1 << 16,
	SOFT_VM = 1 << 17,
	SOFT_AC = 1 << 18,
	SOFT_VIF = 1 << 19,
	SOFT_VIP = 1 << 20,
	SOFT_ID = 1 << 21,
	SOFT_ARITH = SOFT_CF | SOFT_PF | SOFT_AF | SOFT_ZF | SOFT_SF | SOFT_OF,
};

enum {
	SOFT_CR0_PE = 1 << 0,
	SOFT_CR0_MP = 1 << 1,
	SOFT_CR0_EM = 1 << 2,
	SOFT_CR0_TS = 1 << 3,
	SOFT_CR0_ET = 1 << 4,
	SOFT_CR0_NE = 1 << 5,
	SOFT_CR0_WP = 1 << 16,
	SOFT_CR0_AM = 1 << 18,
	SOFT_CR0_PG = 1u << 31,
	SOFT_CR4_VME = 1 << 0,
	SOFT_CR4_TSD = 1 << 2,
	SOFT_CR4_DE = 1 << 3,
	SOFT_CR4_PSE = 1 << 4,
	SOFT_CR4_PAE = 1 << 5,
	SOFT_CR4_MCE = 1 << 6,
	SOFT_CR4_PGE = 1 << 7,
	SOFT_CR4_PCE = 1 << 8,
	SOFT_CR4_OSFXSR = 1 << 9,
	SOFT_CR4_OSXMMEXCPT = 1 << 10,
	SOFT_CR4_OSXSAVE = 1 << 18,
	SOFT_EFER_SCE = 1 << 0,
	SOFT_EFER_LME = 1 << 8,
	SOFT_EFER_LMA = 1 << 10,
	SOFT_EFER_NXE = 1 << 11,
};

enum soft_vector {
	SOFT_DE = 0,
	SOFT_DB = 1,
	SOFT_NMI = 2,
	SOFT_BP = 3,
	SOFT_OF_TRAP = 4,
	SOFT_BR = 5,
	SOFT_UD = 6,
	SOFT_NM = 7,
	SOFT_DOUBLE = 8,
	SOFT_TS = 10,
	SOFT_NP = 11,
	SOFT_SS_FAULT = 12,
	SOFT_GP = 13,
	SOFT_PAGE_FAULT = 14,
	SOFT_MF = 16,
	SOFT_AC_FAULT = 17,
	SOFT_MC = 18,
	SOFT_XM = 19,
};

union soft_xmm {
	uint8_t b[16];
	uint16_t w[8];
	uint32_t d[4];
	uint64_t q[2];
	float f32[4];
	double f64[2];
} __attribute__((aligned(16)));

/* An 80-bit register; an MMX register is its mantissa. */
struct soft_f80 {
	uint64_t mantissa;
	uint16_t exponent; /* bit 15: sign */
	uint16_t pad[3];
};

struct soft_fpu {
	struct soft_f80 regs[8]; /* physical: R0-R7; ST(i) is regs[(top + i) & 7] */
	uint16_t control;
	uint16_t status; /* without TOP, which is in `top` */
	uint8_t top;
	uint8_t empty; /* a bit a physical register: 1 when it is empty */
	uint16_t opcode; /* of the last x87 instruction, 11 bits */
	uint16_t instruction_cs;
	uint16_t data_ds;
	uint64_t instruction_ip;
	uint64_t data_address;
};

/* ---- decoded instructions ---- */

/* Executes one op and goes on with the next one. Its value only says that the block is left. */
typedef const struct soft_op *soft_fn(struct soft_cpu *cpu, const struct soft_op *op);
/* Executes an instruction that does not change the flow of control. */
typedef void soft_call(struct soft_cpu *cpu, const struct soft_op *op);

struct soft_op {
	soft_fn *fn;
	union {
		uint64_t imm; /* sign-extended */
		soft_call *call; /* of rows: what fn calls; their immediate is imm8 */
	};
	int32_t disp;
	uint16_t ip; /* from the block's begin to the instruction's */
	uint16_t next; /* ... to the following instruction's */
	uint8_t reg; /* ModRM.reg with REX.R. 8-bit forms: byte offset into soft_cpu.regs */
	/* ModRM.rm with REX.B when it is a register (SOFT_OP_MEM is not set). Of rows without ModRM
	 * rm is the opcode, and reg its lower three bits with REX.B. */
	uint8_t rm;
	uint8_t base; /* a register, SOFT_ZERO or SOFT_RIP */
	uint8_t index; /* a register or SOFT_ZERO */
	uint8_t scale; /* shift */
	uint8_t seg; /* enum soft_seg_name */
	uint8_t imm8; /* of rows */
	uint8_t flags; /* SOFT_OP_* */
};

enum {
	SOFT_OP_MEM = 1 << 0, /* ModRM.rm is in memory */
	SOFT_OP_A16 = 1 << 1, /* address size 16 bits */
	SOFT_OP_A32 = 1 << 2, /* 32 bits; neither: 64 */
	SOFT_OP_O16 = 1 << 3, /* operand size 16 bits */
	SOFT_OP_W = 1 << 4, /* 64 bits (REX.W); neither: 32 */
	SOFT_OP_LOCK = 1 << 5,
	SOFT_OP_REP = 1 << 6, /* F3 */
	SOFT_OP_REPNE = 1 << 7, /* F2 */
};

/* A row of an instruction table. Rows of a table are sorted by nothing; the first that fits counts. */
enum soft_map { SOFT_MAP_1, SOFT_MAP_0F, SOFT_MAP_0F38, SOFT_MAP_0F3A };
/* The mandatory prefix that must be there. */
enum soft_prefix {
	SOFT_P_ANY, /* whichever: 66, F3 and F2 mean what they usually do */
	SOFT_P_NONE,
	SOFT_P_66,
	SOFT_P_F3,
	SOFT_P_F2
};
/* What must be so before the function is called; else #UD or #NM as the manuals say. */
enum soft_class {
	SOFT_CLASS_NONE,
	SOFT_CLASS_X87, /* #NM when CR0.EM or TS */
	SOFT_CLASS_FWAIT, /* #NM when CR0.MP and TS */
	SOFT_CLASS_MMX, /* #UD when CR0.EM, #NM when TS */
	SOFT_CLASS_SSE, /* #UD when CR0.EM or not CR4.OSFXSR, #NM when TS */
};
enum {
	SOFT_ROW_IMM8 = 1 << 0, /* an immediate byte follows */
	SOFT_ROW_MEM = 1 << 1, /* only with a memory operand; else it does not fit */
	SOFT_ROW_REG = 1 << 2, /* only with a register operand */
	SOFT_ROW_NO_MODRM = 1 << 3,
	SOFT_ROW_LOCK = 1 << 4, /* LOCK is allowed (with memory) */
	SOFT_ROW_KERNEL = 1 << 5, /* CPL 0 only, else #GP(0) */
	SOFT_ROW_NOT64 = 1 << 6, /* #UD in 64-bit mode */
	SOFT_ROW_END = 1 << 7, /* ends the block: what follows may be decoded otherwise, or the
				* function set RIP (SOFT_ROW_JUMP) */
	SOFT_ROW_JUMP = 1 << 8, /* the function sets RIP itself */
	SOFT_ROW_BYTE = 1 << 9, /* op->reg and op->rm are byte registers' offsets */
	SOFT_ROW_BYTE_RM = 1 << 10, /* op->rm is */
};
#define SOFT_ANY (-1)

struct soft_row {
	uint8_t map; /* enum soft_map */
	uint8_t opcode;
	uint8_t prefix; /* enum soft_prefix */
	int8_t reg; /* the opcode's extension in ModRM.reg, or SOFT_ANY */
	int8_t rm; /* with a register operand: ModRM.rm must be this, or SOFT_ANY */
	uint8_t check; /* enum soft_class */
	uint16_t flags; /* SOFT_ROW_* */
	soft_call *call;
};

struct soft_table {
	const struct soft_row *rows;
	size_t count;
};

/* How what `call` does is done faster, on registers and on memory (NULL: it is not). These functions
 * leave to soft_op_call_sse() whatever is not usual. */
struct soft_hot {
	soft_call *call;
	soft_fn *reg;
	soft_fn *mem;
};

struct soft_hot_table {
	const struct soft_hot *rows;
	size_t count;
};

extern const struct soft_hot_table soft_sse_int_hot;
extern const struct soft_hot_table soft_sse_fp_hot;
extern const struct soft_hot_table soft_sse_move_hot;

/* x87 (D8-DF, 9B); MMX and SSE to SSE4.2 (0F, 0F38, 0F3A), EMMS, LDMXCSR, STMXCSR, prefetches and
 * fences. POPCNT, CRC32, MOVBE, FXSAVE and the XSAVE family are in the core's own tables. */
extern const struct soft_table soft_x87_table;
extern const struct soft_table soft_mmx_table;
extern const struct soft_table soft_sse_int_table;
extern const struct soft_table soft_sse_fp_table;
extern const struct soft_table soft_sse_move_table;

/* ---- the CPU ---- */

enum { SOFT_TLB_BITS = 12, SOFT_TLB_SIZE = 1 << SOFT_TLB_BITS };

/* One page of the guest. A tag is the page's linear address when the access may go to `addend` +
 * linear address at once, else with the low bit set (ask the slow path) or all ones. */
struct soft_tlb_entry {
	uint64_t read;
	uint64_t write;
	uint64_t exec;
	uintptr_t addend;
};

/* What the slow path knows of the same page. */
struct soft_tlb_info {
	uint64_t gpa;
	bool memory; /* else the bus */
	bool global;
	bool writable; /* the page tables allow and are dirty already */
	bool large;
};

struct soft_tlb {
	struct soft_tlb_entry entries[SOFT_TLB_SIZE];
	struct soft_tlb_info info[SOFT_TLB_SIZE];
};

/* Asked from outside (any thread, soft_cpu_request()), served between blocks. */
enum soft_request {
	SOFT_REQUEST_KICK = 1 << 0, /* leave run() */
	SOFT_REQUEST_IRQ = 1 << 1, /* the chips have an interrupt: soft_irq_acknowledge() */
	SOFT_REQUEST_NMI = 1 << 2,
	SOFT_REQUEST_INIT = 1 << 3,
	SOFT_REQUEST_SIPI = 1 << 4,
	SOFT_REQUEST_FLUSH = 1 << 5, /* the memory map changed: forget translations */
	SOFT_REQUEST_CODE = 1 << 6, /* others wrote to pages that hold decoded code */
	SOFT_REQUEST_STEP = 1 << 7, /* own thread: something is to be checked after the block */
	SOFT_REQUEST_PROTECT = 1 << 8, /* code was found where stores may go directly */
	SOFT_REQUEST_STOP = 1 << 9, /* another wants to be alone: soft_atomic_begin() */
};

/* Where translated code is found by its linear address. */
struct soft_jit_jump {
	uint64_t linear;
	uint64_t key; /* as in struct soft_jump */
	const uint8_t *code;
	uint64_t page; /* of linear */
};

/* What translated code works with (soft_jit.h). */
struct soft_jit_state {
	uint64_t page; /* of the code: its linear address */
	uint64_t key; /* of valid jumps, as soft_code.key */
	struct soft_jit_jump *jumps;
	uint8_t *arena; /* of blocks */
	uint64_t scratch[2];
	uint16_t after; /* entries that make a block hot; 0: nothing is translated */
	bool steps; /* tests: blocks of one instruction, too */
	struct soft_op ops[2]; /* an op that translated code calls, and the way back */
};

struct soft_cpu {
	uint64_t regs[SOFT_REGS]; /* RIP: of the running block's begin (an offset into CS) */
	uint16_t cc; /* arithmetic flags as LAHF; SETO AL leave them in AX */
	uint8_t cpl;
	bool long64; /* CS.L in long mode */
	uint32_t eflags; /* all others; DF, IF, ... */
	uint32_t request; /* enum soft_request; atomic */
	struct soft_tlb *tlb; /* of the present privilege: tlbs[0] or tlbs[1] */
	const struct soft_op *op; /* in soft_call functions and slow paths: the running one */
	struct soft_seg segs[SOFT_SEGS];
	uint32_t mode; /* what decoding depends on: SOFT_MODE_* */

	union soft_xmm xmm[16];
	struct soft_fpu fpu;
	uint32_t mxcsr;
	uint64_t xcr0;

	struct soft_seg ldt;
	struct soft_seg tr;
	struct soft_seg gdt; /* base and limit */
	struct soft_seg idt;
	uint64_t cr0, cr2, cr3, cr4;
	uint64_t dr[8];
	uint64_t efer, star, lstar, cstar, fmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t pat, tsc_aux, apic_base, misc_enable, mcg_status;
	uint64_t mtrr[32];
	uint64_t pdpte[4]; /* PAE paging */
	int64_t tsc_offset; /* guest minus host */

	/* An exception on its way to soft_cpu_run(). */
	jmp_buf fault;
	uint8_t exception; /* vector */
	bool has_error;
	uint32_t error;

	/* Tests: soft_cpu_run() returns when it came back from blocks this often less one, or at
	 * HLT; 0: no limit. */
	uint32_t limit;
	bool in_guest; /* atomic: blocks are running */
	bool irq_waits; /* IRQ was requested while IF was clear */
	bool halted;
	bool wait_sipi;
	bool shadow; /* interrupts are inhibited for one instruction (STI, MOV SS) */
	bool shadow_debug; /* so are debug traps (MOV SS) */
	uint8_t debug; /* SOFT_DEBUG_*: breakpoints that are enabled */
	uint16_t debug_hits; /* bits of DR6, to be told of after the instruction */
	bool stops_others; /* holds soft_engine.split_lock; nobody else executes */
	bool nmi_blocked;
	bool nmi_waits;
	bool sleeps; /* atomic; in HLT, woken under the lock */
	pthread_mutex_t sleep_lock;
	pthread_cond_t wake;
	uint8_t sipi_vector; /* atomic */
	unsigned index;
	struct soft_engine *engine;
	struct soft_mmu *mmu; /* soft_mmu.c's: TLBs */
	struct soft_code *code; /* soft_code.c's: blocks */
	struct soft_jit_state jit;
	struct soft_jit *translator; /* soft_jit.c's; NULL: there is none */
};

enum {
	SOFT_MODE_64 = 1 << 0, /* 64-bit code */
	SOFT_MODE_32 = 1 << 1, /* CS.D */
	SOFT_MODE_SS32 = 1 << 2, /* SS.B */
	SOFT_MODE_PE = 1 << 3, /* protected, and not virtual-8086 */
	SOFT_MODE_STEP = 1 << 4, /* blocks of one instruction */
	SOFT_MODE_LIMIT = 1 << 5, /* CS ends somewhere unusual: nothing is chained */
};

enum {
	SOFT_DEBUG_EXEC = 1 << 0,
	SOFT_DEBUG_DATA = 1 << 1,
	SOFT_DEBUG_IO = 1 << 2,
	SOFT_DEBUG_TASK = 1 << 3, /* a task with the T bit was entered: in debug_hits */
};

/* ---- exceptions (soft_exception.c) ---- */

/* Raises a fault at the running instruction (cpu->op): registers must be as before it. Never returns:
 * jumps to soft_cpu_run(), so hold no lock and own no memory. */
_Noreturn void soft_raise(struct soft_cpu *cpu, enum soft_vector vector);
_Noreturn void soft_raise_error(struct soft_cpu *cpu, enum soft_vector vector, uint32_t error);

/* ---- memory ---- */

/* The effective address's offset, without the segment. */
static inline uint64_t soft_ea(const struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t ea = cpu->regs[op->base] + (cpu->regs[op->index] << op->scale) +
		(uint64_t)(int64_t)op->disp;

	if (unlikely(op->flags & (SOFT_OP_A16 | SOFT_OP_A32)))
		ea = op->flags & SOFT_OP_A16 ? (uint16_t)ea : (uint32_t)ea;
	return ea;
}

/* The linear address of `size` bytes at `offset` in a segment, checked as an access is outside of
 * 64-bit mode: type and limit, #GP or #SS. */
uint64_t soft_linear_checked(struct soft_cpu *cpu, const struct soft_op *op, unsigned seg,
	uint64_t offset, unsigned size, bool write);

static inline uint64_t soft_linear(struct soft_cpu *cpu, const struct soft_op *op, unsigned seg,
	uint64_t offset, unsigned size, bool write)
{
	if (likely(cpu->long64))
		return seg < SOFT_FS ? offset : offset + cpu->segs[seg].base;
	return soft_linear_checked(cpu, op, seg, offset, size, write);
}

/* The linear address of the memory operand. */
static inline uint64_t soft_operand(
	struct soft_cpu *cpu, const struct soft_op *op, unsigned size, bool write)
{
	return soft_linear(cpu, op, op->seg, soft_ea(cpu, op), size, write);
}

/* The slow paths: page walk, page-crossing, MMIO, code pages. They raise #PF (or #GP/#SS for
 * addresses that are not canonical) at `op`. size <= 16. */
void soft_load_slow(
	struct soft_cpu *cpu, const struct soft_op *op, uint64_t linear, void *out, unsigned size);
void soft_store_slow(struct soft_cpu *cpu, const struct soft_op *op, uint64_t linear,
	const void *bytes, unsigned size);
/* Raises what a store of `size` (<= 4096) bytes would; for instructions that store piece by piece
 * but must fault before the first. */
void soft_probe_write(
	struct soft_cpu *cpu, const struct soft_op *op, uint64_t linear, unsigned size);

static inline const struct soft_tlb_entry *soft_tlb_at(const struct soft_cpu *cpu, uint64_t linear)
{
	return &cpu->tlb->entries[(linear >> 12) & (SOFT_TLB_SIZE - 1)];
}

/* An access that crosses its page never hits: the page of its last byte has another index. */
#define SOFT_DEFINE_ACCESS(bits, type)                                                         \
	static inline type soft_load##bits(                                                    \
		struct soft_cpu *cpu, const struct soft_op *op, uint64_t linear)               \
	{                                                                                      \
		const struct soft_tlb_entry *entry = soft_tlb_at(cpu, linear);                 \
		type value;                                                                    \
                                                                                               \
		if (likely(entry->read == ((linear + sizeof(type) - 1) & ~UINT64_C(4095))))    \
			memcpy(&value, (const void *)(entry->addend + linear), sizeof(value)); \
		else                                                                           \
			soft_load_slow(cpu, op, linear, &value, sizeof(value));                \
		return value;                                                                  \
	}                                                                                      \
	static inline void soft_store##bits(                                                   \
		struct soft_cpu *cpu, const struct soft_op *op, uint64_t linear, type value)   \
	{                                                                                      \
		const struct soft_tlb_entry *entry = soft_tlb_at(cpu, linear);                 \
                                                                                               \
		if (likely(entry->write == ((linear + sizeof(type) - 1) & ~UINT64_C(4095))))   \
			memcpy((void *)(entry->addend + linear), &value, sizeof(value));       \
		else                                                                           \
			soft_store_slow(cpu, op, linear, &value, sizeof(value));               \
	}

SOFT_DEFINE_ACCESS(8, uint8_t)
SOFT_DEFINE_ACCESS(16, uint16_t)
SOFT_DEFINE_ACCESS(32, uint32_t)
SOFT_DEFINE_ACCESS(64, uint64_t)
SOFT_DEFINE_ACCESS(128, union soft_xmm)

/* ---- register operands ---- */

static inline uint32_t soft_get32(const struct soft_cpu *cpu, unsigned reg)
{
	return (uint32_t)cpu->regs[reg];
}
static inline void soft_set32(struct soft_cpu *cpu, unsigned reg, uint32_t value)
{
	cpu->regs[reg] = value;
}
static inline uint16_t soft_get16(const struct soft_cpu *cpu, unsigned reg)
{
	return (uint16_t)cpu->regs[reg];
}
static inline void soft_set16(struct soft_cpu *cpu, unsigned reg, uint16_t value)
{
	memcpy(&cpu->regs[reg], &value, sizeof(value));
}
/* `offset` as op->reg and op->rm of 8-bit forms. */
static inline uint8_t soft_get8(const struct soft_cpu *cpu, unsigned offset)
{
	return ((const uint8_t *)cpu->regs)[offset];
}
static inline void soft_set8(struct soft_cpu *cpu, unsigned offset, uint8_t value)
{
	((uint8_t *)cpu->regs)[offset] = value;
}

/* ---- flags ---- */

static inline uint32_t soft_arith_flags(const struct soft_cpu *cpu)
{
	return ((cpu->cc >> 8) & 0xd5u) | (uint32_t)(cpu->cc & 1) << 11;
}
static inline void soft_set_arith_flags(struct soft_cpu *cpu, uint32_t flags)
{
	cpu->cc = (uint16_t)((flags & 0xd5) << 8 | ((flags >> 11) & 1));
}

/* ---- from other threads ---- */

/* Sets bits of soft_cpu.request and wakes the CPU when it halts. Any thread. */
void soft_cpu_request(struct soft_cpu *cpu, uint32_t bits);

#endif

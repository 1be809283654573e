/* SPDX-License-Identifier: MIT */
/*
 * Translated code against threaded code: random sequences of instructions with flags live across all
 * of them, branches and loops, faults in their midst, stores into the running code, and requests. Both
 * begin alike and must end alike: registers, flags, memory, and the fault that ends each.
 *
 *     test_hypervisor_soft_jit [--cases N] [--seed N] [--show N]
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "core/util.h"
#include "tests/hypervisor/soft_step.h"

enum {
	SKIPPED = 77,
	CASES = 30000,
	CODE_MAX = 0x700,
	BLOCKS_MAX = 400, /* that are entered from outside */
	R_RCX = 1,
	R_RSP = 4,
	R_LOOP = 15,
	EVERY_SECOND = 50,
};

/* Registers that hold addresses, indices and values; of all kinds there are some that translated code
 * has in host registers, and others. */
static const uint8_t pointers[] = { 3, 6, 10, 13 };
static const uint8_t indices[] = { 14, 11 };
static const uint8_t values[] = { 0, 1, 2, 5, 7, 8, 9, 12 };

struct sequence {
	uint64_t random;
	uint8_t code[CODE_MAX];
	unsigned length;
	uint64_t regs[16];
	uint32_t flags;
	uint32_t mxcsr;
	uint64_t xmm[16][2];
	uint8_t window[NATIVE_WINDOW_SIZE];
	bool requested; /* blocks are left one by one */
};

struct result {
	uint64_t regs[SOFT_REGS];
	uint32_t flags;
	uint32_t mxcsr;
	union soft_xmm xmm[16];
	int vector;
	uint32_t error;
	uint64_t address;
	uint8_t window[NATIVE_WINDOW_SIZE];
};

/* ---- chance ---- */

static uint64_t next(struct sequence *s)
{
	s->random ^= s->random >> 12;
	s->random ^= s->random << 25;
	s->random ^= s->random >> 27;
	return s->random * UINT64_C(0x2545f4914f6cdd1d);
}
static unsigned below(struct sequence *s, unsigned limit)
{
	return (unsigned)((next(s) >> 32) % limit);
}
static bool chance(struct sequence *s, unsigned percent)
{
	return below(s, 100) < percent;
}

/* ---- instructions ---- */

static void put(struct sequence *s, uint8_t byte)
{
	s->code[s->length++] = byte;
}
static void put_imm(struct sequence *s, unsigned bytes)
{
	uint64_t value = next(s);

	if (chance(s, EVERY_SECOND))
		value &= 0x3f;
	for (unsigned i = 0; i < bytes; i++)
		put(s, (uint8_t)(value >> (8 * i)));
}

#define PICK(s, table) ((table)[below(s, ARRAY_SIZE(table))])

static unsigned value(struct sequence *s)
{
	return PICK(s, values);
}

/* Vectors in memory are to be aligned, mostly. */
static uint8_t displacement(struct sequence *s)
{
	return (uint8_t)(below(s, 64) & (chance(s, 70) ? 0x30 : 0x3f));
}

/* Prefixes, opcode (0x0fXX: of two bytes) and ModRM with any operand; `imm` bytes follow. Byte operands
 * without REX are AH to BH at times. */
static void put_insn(struct sequence *s, uint8_t prefix, unsigned size, unsigned opcode,
	unsigned reg, bool memory, unsigned imm)
{
	unsigned base = PICK(s, pointers), index = PICK(s, indices), rm = value(s);
	unsigned form = below(s, 8), scale = below(s, 4);
	uint8_t rex = (size == 3 ? 8 : 0) | (reg & 8 ? 4 : 0);
	bool need = size == 0 && !chance(s, 20), fs = memory && chance(s, 5);

	if (!memory)
		rex |= rm & 8 ? 1 : 0;
	else if (form)
		rex |= (base & 8 ? 1 : 0) | (form >= 4 && (index & 8) ? 2 : 0);
	if (fs)
		put(s, 0x64);
	if (memory && chance(s, 3))
		put(s, 0x67);
	if (size == 1)
		put(s, 0x66);
	if (prefix)
		put(s, prefix);
	if (rex || need)
		put(s, 0x40 | rex);
	if (opcode > 0xff)
		put(s, 0x0f);
	put(s, (uint8_t)opcode);
	reg = (reg & 7) << 3;
	if (!memory) {
		put(s, (uint8_t)(0xc0 | reg | (rm & 7)));
	} else if (form == 0) { /* RIP */
		int32_t disp = NATIVE_WINDOW + 512 - 64 + (int32_t)below(s, 128) -
			(int32_t)(NATIVE_START + s->length + 5 + imm);

		put(s, (uint8_t)(reg | 5));
		for (unsigned i = 0; i < 4; i++)
			put(s, (uint8_t)((uint32_t)disp >> (8 * i)));
	} else if (form < 4) {
		put(s, (uint8_t)(0x40 | reg | (base & 7)));
		put(s, displacement(s));
	} else {
		put(s, (uint8_t)(0x40 | reg | 4));
		put(s, (uint8_t)(scale << 6 | (index & 7) << 3 | (base & 7)));
		put(s, displacement(s));
	}
	put_imm(s, imm);
}

static unsigned imm_bytes(unsigned size)
{
	return size == 3 ? 4 : 1u << size;
}

static void arithmetic(struct sequence *s)
{
	unsigned size = below(s, 4), alu = below(s, 8);
	bool memory = chance(s, EVERY_SECOND);

	switch (below(s, 5)) {
	case 0: put_insn(s, 0, size, alu << 3 | (size ? 1 : 0), value(s), memory, 0); break;
	case 1: put_insn(s, 0, size, alu << 3 | 2 | (size ? 1 : 0), value(s), memory, 0); break;
	case 2: put_insn(s, 0, size, size ? 0x81 : 0x80, alu, memory, imm_bytes(size)); break;
	case 3: put_insn(s, 0, size, size ? 0x83 : 0x80, alu, memory, 1); break;
	default: put_insn(s, 0, size, size ? 0x85 : 0x84, value(s), memory, 0); break;
	}
}

static void one_operand(struct sequence *s)
{
	unsigned size = below(s, 4), wide = size ? 1 : 0;
	bool memory = chance(s, 40);

	switch (below(s, 4)) {
	case 0: put_insn(s, 0, size, 0xfe | wide, below(s, 2), memory, 0); break;
	case 1: put_insn(s, 0, size, 0xf6 | wide, 2 + below(s, 2), memory, 0); break;
	case 2: put_insn(s, 0, size, 0xf6 | wide, 0, memory, imm_bytes(size)); break;
	default: put_insn(s, 0, size, 0xf6 | wide, 4 + below(s, 4), memory, 0); break;
	}
}

static void shifts(struct sequence *s)
{
	unsigned size = below(s, 4), wide = size ? 1 : 0, kind = below(s, 8);
	bool memory = chance(s, 25);

	switch (below(s, 4)) {
	case 0: put_insn(s, 0, size, 0xd0 | wide, kind, memory, 0); break;
	case 1: put_insn(s, 0, size, 0xd2 | wide, kind, memory, 0); break;
	case 2: put_insn(s, 0, size, 0xc0 | wide, kind, memory, 1); break;
	default:
		put_insn(s, 0, 1 + below(s, 3), chance(s, EVERY_SECOND) ? 0xfa4 : 0xfac, value(s),
			memory, 1);
		break;
	}
	/* OF is undefined after a rotation by more than one: cmp al, imm8. */
	put(s, 0x3c);
	put_imm(s, 1);
}

/* A shift by one has no flags that are undefined but AF, which is as the host leaves it. */
static void shift_by_one(struct sequence *s)
{
	unsigned size = below(s, 4);

	put_insn(s, 0, size, 0xd0 | (size ? 1 : 0), below(s, 8), chance(s, 25), 0);
}

static void moves(struct sequence *s)
{
	unsigned size = below(s, 4), wide = size ? 1 : 0;
	bool memory = chance(s, 60);

	switch (below(s, 8)) {
	case 0: put_insn(s, 0, size, 0x88 | wide, value(s), memory, 0); break;
	case 1: put_insn(s, 0, size, 0x8a | wide, value(s), memory, 0); break;
	case 2: put_insn(s, 0, size, 0xc6 | wide, 0, memory, imm_bytes(size)); break;
	case 3:
		put_insn(s, 0, 1 + below(s, 3), 0xfb6 | (below(s, 2) * 8) | below(s, 2), value(s),
			memory, 0);
		break;
	case 4: put_insn(s, 0, 1 + below(s, 3), 0x63, value(s), memory, 0); break;
	case 5: put_insn(s, 0, 1 + below(s, 3), 0x8d, value(s), true, 0); break;
	case 6: put_insn(s, 0, size, 0x86 | wide, value(s), memory, 0); break;
	default:
		size = 2 + below(s, 2);
		put(s, (uint8_t)(0x40 | (size == 3 ? 8 : 0)));
		put(s, (uint8_t)(0xb8 | PICK(s, ((uint8_t[]){ 0, 1, 2, 5, 7 }))));
		put_imm(s, 1u << size);
		break;
	}
}

static void by_condition(struct sequence *s)
{
	if (chance(s, EVERY_SECOND))
		put_insn(s, 0, 0, 0xf90 | below(s, 16), 0, chance(s, 30), 0);
	else
		put_insn(s, 0, 1 + below(s, 3), 0xf40 | below(s, 16), value(s), chance(s, 30), 0);
}

static void bits(struct sequence *s)
{
	static const uint8_t tests[] = { 0xa3, 0xab, 0xb3, 0xbb };
	unsigned size = 1 + below(s, 3);

	switch (below(s, 6)) {
	case 0: put_insn(s, 0, size, 0xf00 | PICK(s, tests), value(s), false, 0); break;
	case 1: put_insn(s, 0, size, 0xfba, 4 + below(s, 4), chance(s, 40), 1); break;
	case 2: put_insn(s, 0xf3, size, 0xfb8, value(s), chance(s, 40), 0); break;
	case 3: put_insn(s, 0, size, 0xfbc | below(s, 2), value(s), chance(s, 40), 0); break;
	case 4: put(s, (uint8_t[]){ 0xf5, 0xf8, 0xf9 }[below(s, 3)]); break;
	default:
		put(s, 0x48);
		put(s, 0x0f);
		put(s, (uint8_t)(0xc8 | PICK(s, ((uint8_t[]){ 0, 1, 2, 5, 7 }))));
		break;
	}
}

static void multiplications(struct sequence *s)
{
	unsigned size = 1 + below(s, 3);

	switch (below(s, 4)) {
	case 0: put_insn(s, 0, size, 0xfaf, value(s), chance(s, 40), 0); break;
	case 1: put_insn(s, 0, size, 0x6b, value(s), chance(s, 40), 1); break;
	case 2: put_insn(s, 0, size, 0x69, value(s), chance(s, 40), imm_bytes(size)); break;
	default:
		put(s, chance(s, EVERY_SECOND) ? 0x48 : 0x90);
		put(s, chance(s, EVERY_SECOND) ? 0x99 : 0x98);
		break;
	}
}

static void locked(struct sequence *s)
{
	unsigned size = below(s, 4), wide = size ? 1 : 0;

	switch (below(s, 5)) {
	case 0: put_insn(s, 0xf0, size, 0xfb0 | wide, value(s), true, 0); break;
	case 1: put_insn(s, 0xf0, size, 0xfc0 | wide, value(s), true, 0); break;
	case 2: put_insn(s, 0xf0, size, below(s, 7) << 3 | wide, value(s), true, 0); break;
	case 3: put_insn(s, 0xf0, size, 0x80 | wide, below(s, 7), true, imm_bytes(size)); break;
	default: put_insn(s, 0xf0, size, 0xfe | wide, below(s, 2), true, 0); break;
	}
}

static void stack(struct sequence *s)
{
	unsigned reg = value(s);

	if (reg & 8)
		put(s, 0x41);
	switch (below(s, 4)) {
	case 0: put(s, (uint8_t)(0x50 | (reg & 7))); break;
	case 1: put(s, (uint8_t)(0x58 | (reg & 7))); break;
	case 2:
		put(s, 0x6a);
		put_imm(s, 1);
		break;
	default: put(s, 0x9c); break; /* pushf */
	}
}

/* Opcodes behind 0F, with which prefixes there is one, and what else counts. */
enum { NP = 0x100, P66 = 0x200, PF3 = 0x400, PF2 = 0x800, ALL = 0xf00, IMM = 0x1000, MEM = 0x2000 };
static const uint16_t vector_opcodes[] = {
	0x10 | ALL,
	0x11 | ALL,
	0x12 | NP | PF3 | PF2,
	0x13 | NP | P66 | MEM,
	0x14 | NP | P66,
	0x15 | NP | P66,
	0x16 | NP | PF3,
	0x17 | NP | P66 | MEM,
	0x28 | NP | P66,
	0x29 | NP | P66,
	0x2a | PF3 | PF2,
	0x2b | NP | P66 | MEM,
	0x2c | PF3 | PF2,
	0x2d | PF3 | PF2,
	0x2e | NP | P66,
	0x2f | NP | P66,
	0x51 | ALL,
	0x52 | NP | PF3,
	0x53 | NP | PF3,
	0x54 | NP | P66,
	0x55 | NP | P66,
	0x56 | NP | P66,
	0x57 | NP | P66,
	0x58 | ALL,
	0x59 | ALL,
	0x5a | ALL,
	0x5b | NP | P66 | PF3,
	0x5c | ALL,
	0x5d | ALL,
	0x5e | ALL,
	0x5f | ALL,
	0x60 | P66,
	0x61 | P66,
	0x62 | P66,
	0x63 | P66,
	0x64 | P66,
	0x67 | P66,
	0x6b | P66,
	0x6c | P66,
	0x6d | P66,
	0x6e | P66,
	0x6f | P66 | PF3,
	0x70 | P66 | PF3 | PF2 | IMM,
	0x74 | P66,
	0x76 | P66,
	0x7c | P66 | PF2,
	0x7d | P66 | PF2,
	0x7e | P66 | PF3,
	0x7f | P66 | PF3,
	0xc2 | ALL | IMM,
	0xc6 | NP | P66 | IMM,
	0xd0 | P66 | PF2,
	0xd1 | P66,
	0xd4 | P66,
	0xd6 | P66,
	0xdb | P66,
	0xdf | P66,
	0xe0 | P66,
	0xe6 | P66 | PF3 | PF2,
	0xe7 | P66 | MEM,
	0xeb | P66,
	0xef | P66,
	0xf0 | PF2 | MEM,
	0xf4 | P66,
	0xfa | P66,
	0xfb | P66,
	0xfe | P66,
};

static void vectors(struct sequence *s)
{
	static const uint8_t prefixes[] = { 0, 0x66, 0xf3, 0xf2 };
	unsigned which = PICK(s, vector_opcodes), prefix = below(s, 4);

	while (!(which & NP << prefix))
		prefix = (prefix + 1) & 3;
	put_insn(s, prefixes[prefix], chance(s, 80) ? 2 : 3, 0xf00 | (which & 0xff), value(s),
		(which & MEM) || chance(s, 40), which & IMM ? 1 : 0);
}

/* Shifts by an immediate, masks to general registers. */
static void vector_registers(struct sequence *s)
{
	unsigned opcode = 0xf71 + below(s, 3);

	if (chance(s, 60))
		put_insn(s, 0x66, 2, opcode, 2 + 2 * below(s, opcode == 0xf73 ? 1 : 3), false, 1);
	else
		put_insn(s, 0x66, 2, chance(s, EVERY_SECOND) ? 0xf50 : 0xfd7, value(s), false, 0);
}

static void instruction(struct sequence *s)
{
	switch (below(s, 19)) {
	case 15: vector_registers(s); break;
	case 14: shift_by_one(s); break;
	case 0 ... 2: arithmetic(s); break;
	case 3: one_operand(s); break;
	case 4: shifts(s); break;
	case 5 ... 6: moves(s); break;
	case 7: by_condition(s); break;
	case 8: bits(s); break;
	case 9: multiplications(s); break;
	case 10: locked(s); break;
	case 11: stack(s); break;
	default: vectors(s); break;
	}
}

/* ---- sequences ---- */

static void branch_over(struct sequence *s)
{
	unsigned where;

	put(s, (uint8_t)(0x70 | below(s, 16)));
	put(s, 0);
	where = s->length;
	instruction(s);
	s->code[where - 1] = (uint8_t)(s->length - where);
}

/* CALL to a RET behind it, which comes back to what is behind that. */
static void call_and_return(struct sequence *s)
{
	static const uint8_t text[] = { 0xe8, 2, 0, 0, 0, 0xeb, 1, 0xc3 };

	for (size_t i = 0; i < sizeof(text); i++)
		put(s, text[i]);
}

static void make_code(struct sequence *s)
{
	unsigned count = 1 + below(s, chance(s, 20) ? 70 : 12);
	int32_t back;

	s->length = 0;
	for (unsigned i = 0; i < count; i++) {
		if (chance(s, 12))
			branch_over(s);
		else if (chance(s, 4))
			call_and_return(s);
		else
			instruction(s);
	}
	if (chance(s, 70)) { /* dec r15; jnz */
		put(s, 0x49);
		put(s, 0xff);
		put(s, 0xcf);
		put(s, 0x0f);
		put(s, 0x85);
		back = -(int32_t)(s->length + 4);
		for (unsigned i = 0; i < 4; i++)
			put(s, (uint8_t)((uint32_t)back >> (8 * i)));
	}
	put(s, 0x0f); /* ud2 */
	put(s, 0x0b);
}

static uint64_t pointer(struct sequence *s)
{
	if (chance(s, 2))
		return next(s);
	if (chance(s, 2))
		return NATIVE_DATA + NATIVE_DATA_SIZE - 32;
	if (chance(s, 1))
		return NATIVE_START + below(s, 32);
	if (chance(s, 10))
		return NATIVE_WINDOW + 512 - 32 + below(s, 32);
	return NATIVE_WINDOW + 16 * (8 + below(s, 20));
}

static void make(struct sequence *s)
{
	make_code(s);
	for (unsigned i = 0; i < 16; i++)
		s->regs[i] = chance(s, 30) ? below(s, 256) : next(s);
	for (unsigned i = 0; i < ARRAY_SIZE(pointers); i++)
		s->regs[pointers[i]] = pointer(s);
	for (unsigned i = 0; i < ARRAY_SIZE(indices); i++)
		s->regs[indices[i]] = chance(s, 70) ? 16 * below(s, 4) : below(s, 16);
	s->regs[R_RSP] = NATIVE_WINDOW + 8 * (32 + below(s, 40)) + (chance(s, 10) ? 4 : 0);
	s->regs[R_LOOP] = 1 + below(s, 12);
	s->flags = (uint32_t)next(s) & SOFT_ARITH;
	s->mxcsr = chance(s, 80) ? 0x1f80 | (below(s, 64) & ~2u) : (uint32_t)next(s) & 0xffff;
	for (unsigned i = 0; i < 32; i++) {
		double number = (double)below(s, 1000) / (1 + below(s, 20));

		memcpy(&s->xmm[i / 2][i % 2], &number, 8);
		if (chance(s, 30))
			s->xmm[i / 2][i % 2] = next(s);
	}
	for (unsigned i = 0; i < sizeof(s->window); i++)
		s->window[i] = (uint8_t)next(s);
	s->requested = chance(s, 30);
}

/* ---- running ---- */

/* Code that changed itself may have become a loop without an end: every second all is asked to stop. */
static struct soft_step steps[2];

static void stop_loops(int number)
{
	for (unsigned i = 0; i < 2; i++)
		__atomic_fetch_or(&steps[i].cpu->request, SOFT_REQUEST_STEP, __ATOMIC_SEQ_CST);
}

static void start_timer(void)
{
	const struct itimerval every = { { 1, 0 }, { 1, 0 } };

	signal(SIGALRM, stop_loops);
	setitimer(ITIMER_REAL, &every, NULL);
}

static void set_up(struct soft_step *step, const struct sequence *s)
{
	struct soft_cpu *cpu = step->cpu;

	soft_step_reset(step);
	memset(step->code.host + (NATIVE_START - NATIVE_CODE), 0, 0x800);
	memcpy(step->code.host + (NATIVE_START - NATIVE_CODE), s->code, s->length);
	soft_code_written(cpu, NATIVE_START, 0x800);
	memset(step->data.host, 0, NATIVE_DATA_SIZE);
	memcpy(step->data.host + (NATIVE_WINDOW - NATIVE_DATA), s->window, sizeof(s->window));
	memcpy(cpu->regs, s->regs, sizeof(s->regs));
	cpu->regs[SOFT_RIP] = NATIVE_START;
	soft_set_eflags(cpu, s->flags);
	cpu->mxcsr = s->mxcsr;
	memcpy(cpu->xmm, s->xmm, sizeof(s->xmm));
	cpu->segs[SOFT_FS].base = 32;
	cpu->cr2 = 0;
}

static void run(struct soft_step *step, const struct sequence *s, struct result *result)
{
	struct soft_cpu *cpu = step->cpu;

	set_up(step, s);
	memset(result, 0, sizeof(*result));
	if (_setjmp(cpu->fault)) {
		result->vector = cpu->exception;
		result->error = cpu->has_error ? cpu->error : 0;
		cpu->code->pending = NULL;
	} else {
		result->vector = -1;
		cpu->request = s->requested ? SOFT_REQUEST_STEP : 0;
		for (unsigned i = 0; i < BLOCKS_MAX; i++) {
			const struct soft_op *op;

			op = soft_code_find(cpu, false)->ops;
			while (op)
				op = op->fn(cpu, op);
		}
	}
	cpu->op = &soft_op_none;
	memcpy(result->regs, cpu->regs, sizeof(result->regs));
	result->flags = soft_eflags(cpu);
	result->mxcsr = cpu->mxcsr;
	memcpy(result->xmm, cpu->xmm, sizeof(result->xmm));
	result->address = cpu->cr2;
	memcpy(result->window, step->data.host + (NATIVE_WINDOW - NATIVE_DATA),
		sizeof(result->window));
}

static bool differs(bool show, const char *what, unsigned index, uint64_t a, uint64_t b)
{
	if (a != b && show)
		printf("    %s[%u]: threaded %016" PRIx64 " translated %016" PRIx64 "\n", what,
			index, a, b);
	return a != b;
}

static bool compare(const struct result *a, const struct result *b, bool show)
{
	bool bad = differs(show, "vector", 0, (unsigned)a->vector, (unsigned)b->vector);

	bad |= differs(show, "error", 0, a->error, b->error);
	bad |= differs(show, "cr2", 0, a->address, b->address);
	for (unsigned i = 0; i < SOFT_REGS; i++)
		bad |= differs(show, "reg", i, a->regs[i], b->regs[i]);
	bad |= differs(show, "flags", 0, a->flags, b->flags);
	bad |= differs(show, "mxcsr", 0, a->mxcsr, b->mxcsr);
	for (unsigned i = 0; i < 32; i++)
		bad |= differs(show, "xmm", i, a->xmm[i / 2].q[i % 2], b->xmm[i / 2].q[i % 2]);
	for (unsigned i = 0; i < NATIVE_WINDOW_SIZE; i++)
		bad |= differs(show, "window", i, a->window[i], b->window[i]);
	return bad;
}

static void show_code(const struct sequence *s, uint64_t number)
{
	printf("case %" PRIu64 ", requested %d, loops %" PRIu64 ":\n.byte ", number, s->requested,
		s->regs[R_LOOP]);
	for (unsigned i = 0; i < s->length; i++)
		printf("0x%02x%s", s->code[i], i + 1 < s->length ? "," : "\n");
}

/* Where no file may be large enough to execute code from, threaded code does it all. */
static bool runs_without_translator(void)
{
	struct rlimit before, none;
	struct sequence *s = calloc(1, sizeof(*s));
	struct result *result = calloc(1, sizeof(*result));
	struct soft_step step;
	bool ok = s && result && getrlimit(RLIMIT_FSIZE, &before) == 0;

	if (!ok)
		return false;
	none = (struct rlimit){ 0, before.rlim_max };
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &none);
	ok = soft_step_init(&step) == 0 && !step.cpu->translator;
	setrlimit(RLIMIT_FSIZE, &before);
	if (ok) {
		/* inc rax; ud2 */
		static const uint8_t code[] = { 0x48, 0xff, 0xc0, 0x0f, 0x0b };

		memcpy(s->code, code, sizeof(code));
		s->length = sizeof(code);
		s->mxcsr = 0x1f80;
		soft_step_translate(&step, true);
		run(&step, s, result);
		ok = result->vector == SOFT_UD && result->regs[SOFT_RAX] == 1;
	}
	soft_step_finish(&step);
	free(s);
	free(result);
	return ok;
}

int main(int argc, char **argv)
{
	static struct sequence sequence;
	static struct result results[2];
	uint64_t cases = CASES, differences = 0, seed = 1, faults = 0;
	unsigned shown = 3;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--cases") == 0)
			cases = strtoull(argv[i + 1], NULL, 0);
		else if (strcmp(argv[i], "--seed") == 0)
			seed = strtoull(argv[i + 1], NULL, 0);
		else if (strcmp(argv[i], "--show") == 0)
			shown = (unsigned)strtoul(argv[i + 1], NULL, 0);
	}
	if (soft_step_init(&steps[0]) || soft_step_init(&steps[1])) {
		printf("the test cannot be set up\n");
		return EXIT_FAILURE;
	}
	if (!steps[1].cpu->translator) {
		printf("skipped: no memory may be executed\n");
		return SKIPPED;
	}
	if (!runs_without_translator()) {
		printf("without memory for translated code nothing runs\n");
		return EXIT_FAILURE;
	}
	soft_step_translate(&steps[0], false);
	soft_step_translate(&steps[1], true);
	start_timer();
	for (uint64_t i = 0; i < cases; i++) {
		sequence.random = (seed * 1000003 + i) * UINT64_C(0x9e3779b97f4a7c15) | 1;
		make(&sequence);
		run(&steps[0], &sequence, &results[0]);
		run(&steps[1], &sequence, &results[1]);
		faults += results[0].vector != SOFT_UD;
		if (results[0].vector < 0 || results[1].vector < 0 ||
			!compare(&results[0], &results[1], false))
			continue;
		if (differences++ < shown) {
			show_code(&sequence, i);
			printf("    ends by vector %d at +0x%" PRIx64 "\n", results[0].vector,
				results[0].regs[SOFT_RIP] - NATIVE_START);
			compare(&results[0], &results[1], true);
		}
	}
	printf("%" PRIu64 " cases, %" PRIu64 " ended early: %" PRIu64 " differences (seed %" PRIu64
	       ")\n",
		cases, faults, differences, seed);
	soft_step_finish(&steps[0]);
	soft_step_finish(&steps[1]);
	return differences ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* SPDX-License-Identifier: MIT */
/*
 * The software CPU against the host's own: random instructions with random operands, each executed
 * by both, and everything compared: registers, flags, memory, x87 and SSE state, faults.
 *
 *     test_hypervisor_soft_native [--cases N] [--seed N] [--only NAME] [--show N]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "tests/hypervisor/native_gen.h"
#include "tests/hypervisor/soft_step.h"

enum {
	SKIPPED = 77,
	CASES = 120000,
	PAGE_FAULT = 14,
	SIMD_FAULT = 19,
	X87_FAULT = 16,
	STATUS_C1 = 0x200,
	STATUS_CONDITIONS = 0x4700
};

struct options {
	uint64_t cases;
	uint64_t seed;
	const char *only;
	unsigned show; /* differences that are printed whole */
};

struct tally {
	const char *name;
	unsigned differences;
};

static const char *const names[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8",
	"r9", "r10", "r11", "r12", "r13", "r14", "r15" };

static bool is_vector(const struct native_pattern *pattern)
{
	return pattern->form & (FORM_SSE | FORM_X87);
}

/* ---- comparing ---- */

static bool differs(bool show, const char *what, unsigned index, uint64_t native, uint64_t soft)
{
	if (native == soft)
		return false;
	if (show)
		printf("    %s[%u]: native %016" PRIx64 " soft %016" PRIx64 "\n", what, index,
			native, soft);
	return true;
}

/* What of the status word is defined: the conditions are not after most arithmetic, and processors
 * differ in C1. */
static uint16_t status_mask(const struct native_pattern *pattern, const struct native_case *at)
{
	uint8_t modrm = 0;

	if (!(pattern->form & FORM_X87))
		return UINT16_MAX;
	for (unsigned i = 0; i + 1 < at->length; i++)
		if (at->code[i] == pattern->opcode) {
			modrm = at->code[i + 1];
			break;
		}
	/* FCOMI and its kin; FFREE. */
	if ((pattern->opcode == 0xdb || pattern->opcode == 0xdf) && modrm >= 0xe8)
		return (uint16_t)~STATUS_C1;
	if ((pattern->opcode == 0xdd || pattern->opcode == 0xdf) && modrm >= 0xc0 && modrm < 0xc8)
		return (uint16_t)~STATUS_CONDITIONS;
	return UINT16_MAX;
}

static bool compare_fx(const struct native_pattern *pattern, const struct native_case *at,
	const struct native_fx *soft, bool show)
{
	const struct native_fx *native = &at->after.fx;
	uint32_t unmasked = ~(native->mxcsr >> 7) & native->mxcsr & 0x3f, mxcsr = 0xffff;
	uint16_t status = status_mask(pattern, at);
	bool bad = differs(show, "fcw", 0, native->control, soft->control);

	/* Whether a result was exact that is not stored. */
	if (at->vector == SIMD_FAULT && (unmasked & 0x18))
		mxcsr &= ~0x20u;
	/* Whether the instruction has got that far. */
	if (at->vector == SIMD_FAULT && pattern->map == SOFT_MAP_0F3A)
		mxcsr &= ~0x3fu;
	bad |= differs(show, "mxcsr", 0, native->mxcsr & mxcsr, soft->mxcsr & mxcsr);
	for (unsigned i = 0; i < 16; i++)
		for (unsigned k = 0; k < 2; k++)
			bad |= differs(show, "xmm", i * 10 + k, native->xmm[i][k], soft->xmm[i][k]);
	/* A fault may come before or after MMX takes over the registers. */
	if (at->vector != 1 && pattern->form & FORM_SSE)
		return bad;
	/* From memory, some processors have CVTPI2PS leave them alone. */
	if (pattern->opcode == 0x2a && pattern->form & FORM_SSE)
		return bad;
	bad |= differs(show, "fsw", 0, native->status & status, soft->status & status);
	bad |= differs(show, "valid", 0, native->valid, soft->valid);
	for (unsigned i = 0; i < 8; i++) {
		bad |= differs(show, "st", i, native->st[i].mantissa, soft->st[i].mantissa);
		bad |= differs(show, "st exp", i, native->st[i].exponent, soft->st[i].exponent);
	}
	return bad;
}

/* Linux tells nobody which of its own pages are there; the first byte of a big operand that faults is
 * the processor's choice. */
static bool compare_fault(const struct native_pattern *pattern, const struct native_case *native,
	const struct native_case *soft, bool show)
{
	bool kernel = native->address >> 47,
	     big = pattern->form & (FORM_X87 | FORM_MASKMOV) || pattern->opcode == 0xae;
	uint32_t error = kernel ? ~1u : ~0u;
	uint64_t address = pattern->opcode == 0xae ? 0 : big ? ~UINT64_C(0xfff) : UINT64_MAX;
	bool bad;

	if (native->vector != PAGE_FAULT)
		return differs(show, "error", 0, native->error, soft->error);
	bad = differs(show, "error", 0, native->error & error, soft->error & error);
	bad |= differs(show, "cr2", 0, native->address & address, soft->address & address);
	return bad;
}

/* The address sanitizer's own memory lies where random addresses of 32 bits lead. */
static bool is_in_shadow(const struct native_case *native, const struct native_case *soft)
{
#if defined(__SANITIZE_ADDRESS__)
	const bool sanitized = true;
#elif defined(__has_feature)
	const bool sanitized = __has_feature(address_sanitizer);
#else
	const bool sanitized = false;
#endif

	return sanitized && soft->vector == PAGE_FAULT && soft->address != native->address &&
		soft->address >= 0x7fff8000;
}

/* FXSAVE says which bits of MXCSR there are: processors differ. */
static bool is_mxcsr_mask(const struct native_pattern *pattern, uint64_t native, uint64_t soft)
{
	return pattern->opcode == 0xae && pattern->reg == 0 && native >> 32 == 0x2ffff &&
		soft >> 32 == 0xffff && (uint32_t)native == (uint32_t)soft;
}

/* Flags that processors differ in, besides the pattern's own: OF of shifts by more than one, AF of all
 * shifts, CF of those that shift all out; those of repeated comparisons that faulted. */
static uint64_t undefined_flags(const struct native_pattern *pattern, const struct native_case *at)
{
	unsigned opcode = 0, count;

	if (at->repeats && at->vector != 1)
		return SOFT_ARITH;
	if (!(pattern->form & FORM_COUNT))
		return pattern->undefined;
	for (unsigned i = 0; i < at->length && (opcode & ~3u) != 0xd0 && (opcode & ~1u) != 0xc0;
		i++)
		opcode = at->code[i];
	count = opcode < 0xd0   ? at->code[at->length - 1]
		: opcode < 0xd2 ? 1
				: (uint8_t)at->before.regs[SOFT_RCX];
	/* Counts modulo 64 in some sizes, modulo 32 in others. */
	if ((count & 63) <= 1)
		return count & 63 && pattern->reg >= 4 ? SOFT_AF : 0;
	return pattern->reg < 4 ? SOFT_OF : SOFT_OF | SOFT_AF | ((count & 31) >= 8 ? SOFT_CF : 0);
}

/* Where CALL to an address that there is not may have left where it came from. */
static bool is_call_return(
	const struct native_pattern *pattern, const struct native_case *at, unsigned offset)
{
	uint64_t base = at->bits == 16 ? NATIVE_SEGMENT : 0, sp = at->before.regs[SOFT_RSP];
	uint64_t from = base + (at->bits == 16 ? (uint16_t)sp : sp) - NATIVE_WINDOW - offset;

	return ((pattern->opcode == 0xff && pattern->reg == 2) || pattern->opcode == 0xe8) &&
		at->vector == 13 && from < 16;
}

/* x87 stores nothing when it has an exception to tell: some processors look at the address before. */
static bool is_store_left_out(const struct native_case *native, const struct native_case *soft)
{
	return native->vector == 1 &&
		(native->after.fx.status & ~native->before.fx.status & 0x80) &&
		soft->vector >= 12 && soft->vector <= PAGE_FAULT;
}

/* Whether the two differ in what is defined. */
static bool compare(const struct native_pattern *pattern, const struct native_case *native,
	const struct native_case *soft, bool show)
{
	const struct native_state *a = &native->after, *b = &soft->after;
	/* RF belongs to the stepping. */
	uint64_t flags = (SOFT_ARITH | SOFT_DF) & ~undefined_flags(pattern, native);
	bool bad;

	/* From memory, some processors have CVTPI2PS not wait for x87. */
	if (pattern->opcode == 0x2a && pattern->form & FORM_SSE && soft->vector == X87_FAULT)
		return false;
	if (pattern->form & FORM_X87 && is_store_left_out(native, soft))
		return false;
	/* BOUND: whether the upper bound is read when it is below the lower one. */
	if (pattern->opcode == 0x62 && native->bits != 64 && native->vector == 5 &&
		soft->vector == PAGE_FAULT)
		return false;
	bad = differs(show, "vector", 0, (uint64_t)native->vector, (uint64_t)soft->vector);
	if (native->vector != 1 && native->vector == soft->vector)
		bad |= compare_fault(pattern, native, soft, show);
	/* How far POPA came before its stack faulted. */
	if (native->vector != 1 && native->vector == soft->vector && pattern->opcode == 0x61 &&
		native->bits != 64)
		return bad;
	/* Addresses of 32 bits: whether their registers lose the rest when nothing is done. */
	for (unsigned i = 0; i < 16; i++)
		if (i == SOFT_RSP && native->bits == 16) /* the kernel's way back loses the rest */
			bad |= differs(
				show, names[i], 0, (uint16_t)a->regs[i], (uint16_t)b->regs[i]);
		else if (!native->repeats || native->code[0] != 0x67)
			bad |= differs(show, names[i], 0, a->regs[i], b->regs[i]);
		else
			bad |= differs(
				show, names[i], 0, (uint32_t)a->regs[i], (uint32_t)b->regs[i]);
	bad |= differs(show, "rip", 0, a->rip, b->rip);
	bad |= differs(show, "flags", 0, a->flags & flags, b->flags & flags);
	for (unsigned i = 0; i < NATIVE_WINDOW_SIZE; i += 8) {
		uint64_t x, y;

		memcpy(&x, a->window + i, 8);
		memcpy(&y, b->window + i, 8);
		if (!is_mxcsr_mask(pattern, x, y) && !is_call_return(pattern, native, i))
			bad |= differs(show, "window", i, x, y);
	}
	return bad | (is_vector(pattern) && compare_fx(pattern, native, &b->fx, show));
}

/* ---- telling ---- */

static void show_case(const struct native_pattern *pattern, const struct native_case *at)
{
	const struct native_state *before = &at->before;

	printf("%s:", pattern->name);
	for (unsigned i = 0; i < at->length; i++)
		printf(" %02x", at->code[i]);
	printf("  (%u bits, native: vector %d, flags %" PRIx64 ")\n", at->bits, at->vector,
		before->flags);
	for (unsigned i = 0; i < 16; i++)
		printf("    %s %016" PRIx64 "%s", names[i], before->regs[i],
			i % 4 == 3 ? "\n" : "");
	if (!is_vector(pattern))
		return;
	printf("    fcw %04x fsw %04x valid %02x mxcsr %04x\n", before->fx.control,
		before->fx.status, before->fx.valid, before->fx.mxcsr);
	for (unsigned i = 0; i < 8; i++)
		printf("    st%u %04x:%016" PRIx64 "%s", i, before->fx.st[i].exponent,
			before->fx.st[i].mantissa, i % 3 == 2 || i == 7 ? "\n" : "");
	for (unsigned i = 0; i < 16; i++)
		printf("    xmm%u %016" PRIx64 " %016" PRIx64 "%s", i, before->fx.xmm[i][1],
			before->fx.xmm[i][0], i % 2 ? "\n" : "");
}

static void count_difference(struct tally *tallies, const char *name)
{
	while (tallies->name && strcmp(tallies->name, name) != 0)
		tallies++;
	tallies->name = name;
	tallies->differences++;
}

/* ---- running ---- */

struct run {
	struct options options;
	struct native_cpu *native;
	struct native_gen *gen;
	struct soft_step steps[2]; /* by threaded code, and by translated code */
	struct tally tallies[2048];
	uint64_t differences;
	uint64_t faults;
};

/* The case on the software CPU, by one of the ways that it has. */
static bool run_soft(struct run *run, unsigned way, const struct native_pattern *pattern,
	const struct native_case *at)
{
	struct native_case soft = *at;

	if (!soft_step_run(&run->steps[way], &soft)) {
		printf("this goes on without a jump, with something left on the stack: ");
		show_case(pattern, at);
		return false;
	}
	if (is_in_shadow(at, &soft) || !compare(pattern, at, &soft, false))
		return true;
	if (run->differences++ < run->options.show) {
		printf("%s ", way ? "translated" : "threaded");
		show_case(pattern, at);
		compare(pattern, at, &soft, true);
	}
	count_difference(run->tallies, pattern->name);
	return true;
}

static bool run_batch(struct run *run, unsigned count)
{
	const struct native_pattern *patterns[NATIVE_BATCH];
	struct native_case *cases = native_cpu_cases(run->native);
	unsigned at;

	for (unsigned i = 0; i < count; i++)
		patterns[i] = native_gen_case(run->gen, &cases[i]);
	if (!native_cpu_run(run->native, count, &at)) {
		printf("the native child died at ");
		show_case(patterns[at], &cases[at]);
		return false;
	}
	for (unsigned i = 0; i < count; i++) {
		run->faults += cases[i].vector != 1;
		if (!run_soft(run, 0, patterns[i], &cases[i]) ||
			!run_soft(run, 1, patterns[i], &cases[i]))
			return false;
	}
	return true;
}

static int run_all(struct run *run)
{
	uint64_t left = run->options.cases;

	while (left) {
		unsigned count = (unsigned)MIN(left, (uint64_t)NATIVE_BATCH);

		if (!run_batch(run, count))
			return EXIT_FAILURE;
		left -= count;
	}
	for (unsigned i = 0; run->tallies[i].name; i++)
		printf("%-20s %u differences\n", run->tallies[i].name, run->tallies[i].differences);
	printf("%" PRIu64 " cases, %" PRIu64 " of them faults: %" PRIu64
	       " differences (seed %" PRIu64 ")\n",
		run->options.cases, run->faults, run->differences, run->options.seed);
	return run->differences ? EXIT_FAILURE : EXIT_SUCCESS;
}

static struct options parse(int argc, char **argv)
{
	struct options options = { .cases = CASES, .seed = 1, .only = "", .show = 5 };

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--cases") == 0)
			options.cases = strtoull(argv[i + 1], NULL, 0);
		else if (strcmp(argv[i], "--seed") == 0)
			options.seed = strtoull(argv[i + 1], NULL, 0);
		else if (strcmp(argv[i], "--only") == 0)
			options.only = argv[i + 1];
		else if (strcmp(argv[i], "--show") == 0)
			options.show = (unsigned)strtoul(argv[i + 1], NULL, 0);
	}
	return options;
}

int main(int argc, char **argv)
{
	struct run *run = calloc(1, sizeof(*run));
	int result;

	if (!run)
		return EXIT_FAILURE;
	run->options = parse(argc, argv);
	if (!__builtin_cpu_supports("sse4.2") || !__builtin_cpu_supports("popcnt")) {
		printf("skipped: the host has no SSE4.2\n");
		return SKIPPED;
	}
	run->gen = native_gen_create(run->options.seed);
	if (!run->gen || native_gen_select(run->gen, run->options.only) == 0 ||
		native_cpu_create(&run->native) || soft_step_init(&run->steps[0]) ||
		soft_step_init(&run->steps[1])) {
		printf("the test cannot be set up\n");
		return EXIT_FAILURE;
	}
	soft_step_translate(&run->steps[0], false);
	soft_step_translate(&run->steps[1], true);
	result = run_all(run);
	soft_step_finish(&run->steps[0]);
	soft_step_finish(&run->steps[1]);
	native_cpu_destroy(run->native);
	native_gen_destroy(run->gen);
	free(run);
	return result;
}

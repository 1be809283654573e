/* SPDX-License-Identifier: MIT */
/*
 * Whether test_soft_native.c compares all that the software CPU implements: every encoding that
 * decodes to something (table, opcode, extension, operand in memory or not, prefixes, code size) must be
 * among the instructions that native_gen.c makes, or be named here with the reason why it is not.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "hypervisor/soft_ops.h"
#include "tests/hypervisor/native_gen.h"

/* Cases an opcode. */
enum { CASES = 2000, SET_BITS = 18, SET_SIZE = 1 << SET_BITS };

/* What is done: sizes and kinds of operands have functions of their own, or flags. */
struct key {
	soft_fn *fn;
	soft_call *call;
	uint8_t map, opcode, flags;
	uint8_t bits;
};

struct set {
	struct key keys[SET_SIZE];
	bool used[SET_SIZE];
	unsigned count;
};

/* Not compared, and why. */
static const struct exception {
	uint8_t map, first, last;
	int8_t reg; /* the extension, or SOFT_ANY */
	const char *why;
} exceptions[] = {
	/* Selectors of the host's tables are not those of the test's, and its kernel minds what is in
	 * segment registers. test_soft.c, test_soft_task.c and whole systems. */
	{ SOFT_MAP_1, 0x06, 0x07, SOFT_ANY, "segment registers" },
	{ SOFT_MAP_1, 0x0e, 0x0e, SOFT_ANY, "segment registers" },
	{ SOFT_MAP_1, 0x16, 0x17, SOFT_ANY, "segment registers" },
	{ SOFT_MAP_1, 0x1e, 0x1f, SOFT_ANY, "segment registers" },
	{ SOFT_MAP_1, 0x8c, 0x8c, SOFT_ANY, "segment registers" },
	{ SOFT_MAP_1, 0x8e, 0x8e, SOFT_ANY, "segment registers" },
	{ SOFT_MAP_1, 0xc4, 0xc5, SOFT_ANY, "LES, LDS" },
	{ SOFT_MAP_0F, 0xa0, 0xa1, SOFT_ANY, "segment registers" },
	{ SOFT_MAP_0F, 0xa8, 0xa9, SOFT_ANY, "segment registers" },
	{ SOFT_MAP_0F, 0xb2, 0xb2, SOFT_ANY, "LSS" },
	{ SOFT_MAP_0F, 0xb4, 0xb5, SOFT_ANY, "LFS, LGS" },
	{ SOFT_MAP_1, 0x9a, 0x9a, SOFT_ANY, "far CALL" },
	{ SOFT_MAP_1, 0xea, 0xea, SOFT_ANY, "far JMP" },
	{ SOFT_MAP_1, 0xff, 0xff, 3, "far CALL" },
	{ SOFT_MAP_1, 0xff, 0xff, 5, "far JMP" },
	{ SOFT_MAP_1, 0xca, 0xcb, SOFT_ANY, "RETF" },
	{ SOFT_MAP_1, 0xcf, 0xcf, SOFT_ANY, "IRET" },
	{ SOFT_MAP_0F, 0x02, 0x03, SOFT_ANY, "LAR, LSL" },
	{ SOFT_MAP_0F, 0x00, 0x00, 4, "VERR" },
	{ SOFT_MAP_0F, 0x00, 0x00, 5, "VERW" },
	/* The host's kernel gets them. test_soft.c. */
	{ SOFT_MAP_1, 0xcc, 0xce, SOFT_ANY, "INT3, INT, INTO" },
	{ SOFT_MAP_1, 0xf1, 0xf1, SOFT_ANY, "INT1" },
	{ SOFT_MAP_0F, 0x05, 0x05, SOFT_ANY, "SYSCALL" },
	{ SOFT_MAP_0F, 0x34, 0x34, SOFT_ANY, "SYSENTER" },
	/* It sets TF, by which the host is stepped. */
	{ SOFT_MAP_1, 0x9d, 0x9d, SOFT_ANY, "POPF" },
	/* UMIP: the host's kernel refuses or makes up what they store. */
	{ SOFT_MAP_0F, 0x00, 0x00, 0, "SLDT" },
	{ SOFT_MAP_0F, 0x00, 0x00, 1, "STR" },
	{ SOFT_MAP_0F, 0x01, 0x01, 0, "SGDT" },
	{ SOFT_MAP_0F, 0x01, 0x01, 1, "SIDT" },
	{ SOFT_MAP_0F, 0x01, 0x01, 4, "SMSW" },
	/* Not for level 3, and processors differ in what they look at first. */
	{ SOFT_MAP_0F, 0x01, 0x01, 2, "XGETBV, XSETBV: XCR0 is the host's" },
	{ SOFT_MAP_0F, 0x01, 0x01, 7, "SWAPGS, RDTSCP" },
	{ SOFT_MAP_0F, 0x07, 0x07, SOFT_ANY, "SYSRET" },
	{ SOFT_MAP_0F, 0x35, 0x35, SOFT_ANY, "SYSEXIT" },
	{ SOFT_MAP_0F, 0x20, 0x23, SOFT_ANY, "MOV to and from CR, DR" },
	/* Never twice the same, or about the CPU itself. */
	{ SOFT_MAP_0F, 0x31, 0x31, SOFT_ANY, "RDTSC" },
	{ SOFT_MAP_0F, 0xa2, 0xa2, SOFT_ANY, "CPUID" },
	{ SOFT_MAP_0F, 0xc7, 0xc7, 6, "RDRAND" },
	{ SOFT_MAP_0F, 0xae, 0xae, 4, "XSAVE: its area is the host's" },
	{ SOFT_MAP_0F, 0xae, 0xae, 5, "XRSTOR" },
	/* Undefined: BSWAP of 16 bits. */
	{ SOFT_MAP_0F, 0xc8, 0xcf, SOFT_ANY, "BSWAP" },
};

static bool same(const struct key *a, const struct key *b)
{
	return a->fn == b->fn && a->call == b->call && a->map == b->map && a->opcode == b->opcode &&
		a->flags == b->flags && a->bits == b->bits;
}

/* Answers whether it is new. */
static bool add(struct set *set, const struct key *key)
{
	uint64_t hash = ((uintptr_t)key->fn ^ (uintptr_t)key->call << 7) +
		(key->map | (uint64_t)key->opcode << 8 | (uint64_t)key->flags << 16 |
			(uint64_t)key->bits << 24);
	uint32_t at = (uint32_t)(hash * UINT64_C(0x9e3779b97f4a7c15) >> (64 - SET_BITS));

	while (set->used[at]) {
		if (same(&set->keys[at], key))
			return false;
		at = (at + 1) % SET_SIZE;
	}
	set->used[at] = true;
	set->keys[at] = *key;
	set->count++;
	return true;
}

static bool contains(const struct set *set, const struct key *key)
{
	uint64_t hash = ((uintptr_t)key->fn ^ (uintptr_t)key->call << 7) +
		(key->map | (uint64_t)key->opcode << 8 | (uint64_t)key->flags << 16 |
			(uint64_t)key->bits << 24);
	uint32_t at = (uint32_t)(hash * UINT64_C(0x9e3779b97f4a7c15) >> (64 - SET_BITS));

	for (; set->used[at]; at = (at + 1) % SET_SIZE)
		if (same(&set->keys[at], key))
			return true;
	return false;
}

static bool calls(soft_fn *fn)
{
	return fn == soft_op_call || fn == soft_op_call_x87 || fn == soft_op_call_fwait ||
		fn == soft_op_call_mmx || fn == soft_op_call_sse || fn == soft_op_call_kernel ||
		fn == soft_op_call_end || fn == soft_op_call_kernel_end ||
		fn == soft_op_call_jump || fn == soft_op_call_kernel_jump;
}

/* The flags that mean something to the instruction. */
static uint8_t relevant_flags(const struct soft_op *op, const struct soft_decoder *decoder)
{
	uint8_t flags = SOFT_OP_MEM | SOFT_OP_W | SOFT_OP_LOCK, opcode = decoder->opcode;
	bool vector = op->fn == soft_op_call_x87 || op->fn == soft_op_call_fwait ||
		op->fn == soft_op_call_mmx || op->fn == soft_op_call_sse;

	if (decoder->map == SOFT_MAP_1 &&
		((opcode >= 0x6c && opcode <= 0x6f) || (opcode >= 0xa4 && opcode <= 0xaf)) &&
		opcode != 0xa8 && opcode != 0xa9)
		flags |= SOFT_OP_REP | SOFT_OP_REPNE;
	/* To SSE and MMX 66 is a part of the opcode, to x87 nothing. */
	if (!vector && decoder->map <= SOFT_MAP_0F)
		flags |= SOFT_OP_O16;
	return op->flags & flags;
}

/* False: no such instruction. */
static bool decode(const struct soft_tables *tables, const uint8_t code[16], unsigned bits,
	struct key *key, uint8_t *modrm)
{
	struct soft_op op = { 0 };
	struct soft_decoder decoder = { .at = code,
		.start = code,
		.end = code + 15,
		.op = &op,
		.tables = tables,
		.mode = SOFT_MODE_PE |
			(bits == 64                  ? SOFT_MODE_64
					: bits == 32 ? SOFT_MODE_32 | SOFT_MODE_SS32
						     : 0u) };

	soft_decode(&decoder);
	*key = (struct key){ op.fn, calls(op.fn) ? op.call : NULL, decoder.map, decoder.opcode,
		relevant_flags(&op, &decoder), (uint8_t)bits };
	*modrm = decoder.modrm;
	return op.fn != soft_op_undefined && op.fn != soft_op_too_long;
}

static bool is_prefix(unsigned map, unsigned opcode, unsigned bits)
{
	static const uint8_t prefixes[] = { 0x0f, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67,
		0xf0, 0xf2, 0xf3 };

	if (map == SOFT_MAP_0F)
		return opcode == 0x38 || opcode == 0x3a;
	return map == SOFT_MAP_1 &&
		(memchr(prefixes, (int)opcode, sizeof(prefixes)) ||
			(bits == 64 && (opcode & 0xf0) == 0x40));
}

struct report {
	const struct soft_tables *tables;
	struct set made, seen;
	unsigned covered, excepted, missing;
	bool used[ARRAY_SIZE(exceptions)];
};

static const struct exception *find_exception(const struct key *key, uint8_t modrm)
{
	for (unsigned i = 0; i < ARRAY_SIZE(exceptions); i++)
		if (exceptions[i].map == key->map && exceptions[i].first <= key->opcode &&
			exceptions[i].last >= key->opcode &&
			(exceptions[i].reg == SOFT_ANY || exceptions[i].reg == ((modrm >> 3) & 7)))
			return &exceptions[i];
	return NULL;
}

static void judge(struct report *report, const uint8_t code[16], unsigned bits)
{
	uint8_t modrm;
	struct key key;

	if (!decode(report->tables, code, bits, &key, &modrm) || !add(&report->seen, &key))
		return;
	if (contains(&report->made, &key)) {
		report->covered++;
	} else if (find_exception(&key, modrm)) {
		report->used[find_exception(&key, modrm) - exceptions] = true;
		report->excepted++;
	} else {
		report->missing++;
		printf("not compared, %u bits:", bits);
		for (unsigned i = 0; i < 8; i++)
			printf(" %02x", code[i]);
		printf(" (flags %02x)\n", key.flags);
	}
}

/* All ModRM bytes that may make a difference. */
static void judge_opcode(
	struct report *report, unsigned bits, unsigned prefixes, unsigned map, unsigned opcode)
{
	static const uint8_t mandatory[] = { 0, 0x66, 0xf3, 0xf2 };
	uint8_t code[16] = { 0 };
	unsigned n = 0;

	if (prefixes & 4)
		code[n++] = 0xf0;
	if (prefixes & 3)
		code[n++] = mandatory[prefixes & 3];
	if (prefixes & 8)
		code[n++] = 0x48;
	if (map != SOFT_MAP_1)
		code[n++] = 0x0f;
	if (map > SOFT_MAP_0F)
		code[n++] = map == SOFT_MAP_0F38 ? 0x38 : 0x3a;
	code[n++] = (uint8_t)opcode;
	for (unsigned modrm = 0; modrm < 256; modrm++) {
		/* In memory one address does. */
		if (modrm < 0xc0 && (modrm & 0xc7) != 3)
			continue;
		code[n] = (uint8_t)modrm;
		judge(report, code, bits);
	}
}

static void judge_all(struct report *report)
{
	for (unsigned bits = 16; bits <= 64; bits *= 2)
		for (unsigned prefixes = 0; prefixes < (bits == 64 ? 16 : 8); prefixes++)
			for (unsigned map = SOFT_MAP_1; map <= SOFT_MAP_0F3A; map++)
				for (unsigned opcode = 0; opcode < 256; opcode++)
					if (!is_prefix(map, opcode, bits))
						judge_opcode(report, bits, prefixes, map, opcode);
}

static void make_cases(struct report *report, struct native_gen *gen)
{
	static struct native_case out;
	const struct native_pattern *pattern;

	for (unsigned n = 0; (pattern = native_gen_select_one(gen, n)); n++) {
		unsigned opcodes = pattern->last ? pattern->last - pattern->opcode + 1u : 1;

		for (unsigned i = 0; i < CASES * opcodes; i++) {
			struct key key;
			uint8_t modrm;

			native_gen_case(gen, &out);
			if (decode(report->tables, out.code, out.bits, &key, &modrm))
				add(&report->made, &key);
		}
	}
}

int main(void)
{
	struct report *report = calloc(1, sizeof(*report));
	struct soft_tables *tables = soft_tables_create();
	struct native_gen *gen = native_gen_create(1);
	unsigned missing;

	if (!report || !tables || !gen)
		return EXIT_FAILURE;
	report->tables = tables;
	make_cases(report, gen);
	judge_all(report);
	for (unsigned i = 0; i < ARRAY_SIZE(exceptions); i++)
		if (!report->used[i]) {
			report->missing++;
			printf("there is no %s that is not compared\n", exceptions[i].why);
		}
	printf("%u encodings are compared with the host's CPU, %u are not for a reason, %u missing\n",
		report->covered, report->excepted, report->missing);
	missing = report->missing;
	native_gen_destroy(gen);
	soft_tables_destroy(tables);
	free(report);
	return missing ? EXIT_FAILURE : EXIT_SUCCESS;
}

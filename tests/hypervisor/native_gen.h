/* SPDX-License-Identifier: MIT */
/* Random instructions with random operands, for the comparison of the software CPU with the host's. */
#ifndef TESTS_HYPERVISOR_NATIVE_GEN_H
#define TESTS_HYPERVISOR_NATIVE_GEN_H

#include "hypervisor/soft_cpu.h"
#include "tests/hypervisor/native_cpu.h"

enum native_form {
	FORM_MODRM = 1 << 0,
	FORM_MEM = 1 << 1, /* a memory operand only */
	FORM_REG = 1 << 2, /* a register operand only */
	FORM_IMM8 = 1 << 3,
	FORM_IMM16 = 1 << 4,
	FORM_IMMZ = 1 << 5, /* 2 or 4 bytes */
	FORM_IMMV = 1 << 6, /* 2, 4 or 8 bytes */
	FORM_MOFFS = 1 << 7, /* an address instead of ModRM */
	FORM_STRING = 1 << 8, /* RSI, RDI; REP is tried */
	FORM_STACK = 1 << 9, /* RSP is in the window */
	FORM_FRAME = 1 << 10, /* RBP, too */
	FORM_XLAT = 1 << 11,
	FORM_BITS = 1 << 12, /* ModRM.reg may lead away from the memory operand */
	FORM_LOCK = 1 << 13, /* LOCK is allowed with memory */
	FORM_NO66 = 1 << 14, /* no operand size prefix */
	FORM_MASKMOV = 1 << 15, /* [RDI] */
	FORM_SMALL = 1 << 16, /* RDX is small: division */
	FORM_X87 = 1 << 17,
	FORM_SSE = 1 << 18,
	FORM_OPREG = 1 << 19, /* the opcode's lower three bits are a register */
	FORM_ONLY32 = 1 << 22, /* not in 64-bit code */
	FORM_ONLY64 = 1 << 23,
	FORM_COUNT = 1 << 21, /* AF is undefined after a shift, OF but for a count of 1 */
};

struct native_pattern {
	const char *name;
	uint8_t map; /* enum soft_map */
	uint8_t opcode;
	uint8_t last; /* opcodes up to this one; 0: one */
	uint8_t prefix; /* enum soft_prefix */
	int8_t reg; /* ModRM.reg, or SOFT_ANY */
	uint32_t form;
	uint32_t undefined; /* flags that may differ */
};

struct native_gen;

/* All patterns: the integer ones of native_gen.c and what the tables of rows say. */
struct native_gen *native_gen_create(uint64_t seed);
void native_gen_destroy(struct native_gen *gen);
/* Only patterns whose name begins so. Answers how many there are. */
unsigned native_gen_select(struct native_gen *gen, const char *prefix);
/* Only the pattern of that number; NULL: there are not so many. */
const struct native_pattern *native_gen_select_one(struct native_gen *gen, unsigned number);
/* Makes a case; the pattern that it is one of. */
const struct native_pattern *native_gen_case(struct native_gen *gen, struct native_case *out);

#endif

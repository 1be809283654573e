/* SPDX-License-Identifier: MIT */
/*
 * The host's own CPU as the reference of the software one: a child process executes one instruction
 * a case, single-stepped, with all registers given, and tells what came of it. Everything lies below
 * 4 GiB at fixed addresses, where the software CPU's guest has it too.
 */
#ifndef TESTS_HYPERVISOR_NATIVE_CPU_H
#define TESTS_HYPERVISOR_NATIVE_CPU_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	NATIVE_CODE = 0x10001000, /* one page; the instruction begins in its middle */
	NATIVE_START = NATIVE_CODE + 0x800,
	NATIVE_DATA = 0x10004000, /* two pages; nothing before and behind */
	NATIVE_DATA_SIZE = 0x2000,
	NATIVE_WINDOW_SIZE = 1024, /* of the data: what is given and compared, across the pages */
	NATIVE_WINDOW = NATIVE_DATA + 0x1000 - NATIVE_WINDOW_SIZE / 2,
	/* Of 16 bits: the code's segment begins at NATIVE_CODE, those of data and stack here. */
	NATIVE_SEGMENT = NATIVE_DATA - 0x1000,
	/* Before and behind the window: zeros, not compared. */
	NATIVE_EDGE = NATIVE_DATA_SIZE / 2 - NATIVE_WINDOW_SIZE / 2,
	NATIVE_INSN_MAX = 15,
	NATIVE_BATCH = 512,
	NATIVE_STEPS_MAX = 40, /* of a repeated string instruction */
};

/* FXSAVE's layout. */
struct native_fx {
	uint16_t control;
	uint16_t status;
	uint8_t valid; /* a bit a physical register */
	uint8_t reserved;
	uint16_t opcode;
	uint64_t ip;
	uint64_t data;
	uint32_t mxcsr;
	uint32_t mxcsr_mask;
	struct {
		uint64_t mantissa;
		uint16_t exponent;
		uint16_t pad[3];
	} st[8]; /* ST(0) first */
	uint64_t xmm[16][2];
	uint64_t rest[12];
};

struct native_state {
	uint64_t regs[16]; /* in the order of the encoding: RAX, RCX, RDX, RBX, RSP, ... */
	uint64_t rip;
	uint64_t flags;
	struct native_fx fx;
	uint8_t window[NATIVE_WINDOW_SIZE];
};

struct native_case {
	uint8_t code[16];
	unsigned length;
	uint8_t bits; /* of the code segment: 64, 32 (the first eight registers only), or 16 */
	bool repeats; /* a REP prefix: stepped once an iteration */
	struct native_state before;
	struct native_state after;
	int vector; /* 1: the step was done; else the exception */
	uint32_t error;
	uint64_t address; /* of a page fault */
};

struct native_cpu;

/* Starts the child. 0 or -errno. */
int native_cpu_create(struct native_cpu **out);
void native_cpu_destroy(struct native_cpu *native);
/* The cases' places, NATIVE_BATCH of them, shared with the child. */
struct native_case *native_cpu_cases(struct native_cpu *native);
/* Executes the first `count` of them. False: the child died; *at is the case it was at. */
bool native_cpu_run(struct native_cpu *native, unsigned count, unsigned *at);

#endif

/* SPDX-License-Identifier: MIT */
/* A software CPU in 64-bit user mode that executes one instruction at a time, with memory where the
 * native child of native_cpu.h has it and nothing else mapped. */
#ifndef TESTS_HYPERVISOR_SOFT_STEP_H
#define TESTS_HYPERVISOR_SOFT_STEP_H

#include "hypervisor/soft_internal.h"
#include "tests/hypervisor/native_cpu.h"

struct soft_step {
	struct soft_engine engine;
	struct soft_cpu *cpu;
	struct memory_region tables; /* page tables */
	struct memory_region code;
	struct memory_region data;
};

/* 0 or -errno. */
int soft_step_init(struct soft_step *step);
void soft_step_finish(struct soft_step *step);
/* 64-bit user mode again, whatever was executed. */
void soft_step_reset(struct soft_step *step);
/* From now on everything is executed by translated code, or nothing is. */
void soft_step_translate(struct soft_step *step, bool on);
/* Executes the case's instruction; fills after, vector, error and address as the native CPU does.
 * False: it left something on the host's stack. */
bool soft_step_run(struct soft_step *step, struct native_case *out);

#endif

/* SPDX-License-Identifier: MIT */
/* Read, modify and write of memory or registers, atomically where it is memory. */
#ifndef HYPERVISOR_SOFT_ATOMIC_H
#define HYPERVISOR_SOFT_ATOMIC_H

#include "hypervisor/soft_internal.h"

/* What is to become of the value. The flags are put in *cc. */
typedef uint64_t soft_modify(uint64_t old, uint64_t operand, unsigned size, uint16_t *cc);

/* Replaces the value at `linear` and returns the old one; *cc is what the last call of modify gave
 * (it begins as the CPU's flags). Raises what a store would before anything is changed. */
uint64_t soft_atomic_modify(struct soft_cpu *cpu, const struct soft_op *op, uint64_t linear,
	unsigned size, soft_modify *modify, uint64_t operand, uint16_t *cc);
/* If the value is *expected it becomes `desired`; else *expected becomes the value. */
bool soft_atomic_compare(struct soft_cpu *cpu, const struct soft_op *op, uint64_t linear,
	unsigned size, uint64_t *expected, uint64_t desired);
/* The flags that CMP of a and b, and ADD, leave. */
uint16_t soft_flags_of_sub(unsigned size, uint64_t a, uint64_t b);
uint16_t soft_flags_of_add(unsigned size, uint64_t a, uint64_t b);

#endif

/* SPDX-License-Identifier: MIT */
/* What the tests of page tables of all kinds name alike. */
#ifndef TESTS_HYPERVISOR_SOFT_PAGING_H
#define TESTS_HYPERVISOR_SOFT_PAGING_H

enum {
	LARGE = 0x80,
	/* Of a page fault's error code. */
	PRESENT = 1,
	WRITE = 2,
	USER = 4,
	RESERVED = 8,
	FETCH = 16,
};
#define NX (UINT64_C(1) << 63)

#endif

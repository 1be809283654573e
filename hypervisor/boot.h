/* SPDX-License-Identifier: MIT */
/* Direct boot: puts a kernel and what belongs to it into guest memory, without firmware. */
#ifndef HYPERVISOR_BOOT_H
#define HYPERVISOR_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hypervisor/engine.h"
#include "hypervisor/memory.h"

struct boot_config {
	struct guest_memory *memory;
	uint64_t ram_below_4g; /* bytes; RAM begins at 0, with the hole at 0xA0000-0xBFFFF */
	uint64_t ram_above_4g;
	/* The end of RAM that the tables of the firmware's kind (ACPI) take: they are the caller's. */
	uint64_t tables_gpa;
	uint64_t rsdp_gpa;
	const uint8_t *kernel; /* a Linux bzImage or a PVH ELF; hostile */
	size_t kernel_size;
	const uint8_t *initrd; /* may be NULL */
	size_t initrd_size;
	const char *append; /* may be NULL */
	bool ram_is_zero; /* nothing ran before, so that what must be zero is */
};

/* Loads it, and says how the first vCPU starts. -ENOEXEC when the kernel is of neither kind or
 * broken, -E2BIG when RAM is too small, -EINVAL; with *error (malloc'ed, one plain sentence). */
int boot_load(const struct boot_config *config, struct engine_start *start, char **error);

#endif

/* SPDX-License-Identifier: MIT */
/* What the loaders share: places below 1 MiB, the memory map, errors. */
#ifndef HYPERVISOR_BOOT_INTERNAL_H
#define HYPERVISOR_BOOT_INTERNAL_H

#include "hypervisor/boot.h"

/* Below 1 MiB, where neither kind of kernel is loaded. */
enum {
	BOOT_GDT_GPA = 0x6000,
	BOOT_INFO_GPA = 0x7000, /* hvm_start_info or boot_params, one page */
	BOOT_MAP_GPA = 0x8000, /* PVH's module list and memory map, one page */
	BOOT_CMDLINE_GPA = 0x20000,
	BOOT_CMDLINE_MAX = 0x10000, /* with its NUL */
	BOOT_LOW_END = 0x9fc00, /* of RAM that a kernel may use */
	BOOT_HIGH_GPA = 0x100000,
};

/* Types of the memory map, the same in E820 and PVH. */
enum { BOOT_MEMORY_RAM = 1, BOOT_MEMORY_RESERVED = 2, BOOT_MEMORY_ACPI = 3 };

#define BOOT_MAP_ENTRIES 8

struct boot_map_entry {
	uint64_t gpa;
	uint64_t size;
	uint32_t type;
};

/* Fills at most BOOT_MAP_ENTRIES; returns how many. */
unsigned boot_memory_map(const struct boot_config *config, struct boot_map_entry *map);
/* Puts the command line at BOOT_CMDLINE_GPA; max_size with its NUL. */
int boot_put_cmdline(const struct boot_config *config, size_t max_size, char **error);
/* Puts the initrd as high as it may be, its end at `limit` at the most, above `kernel_end`. */
int boot_put_initrd(const struct boot_config *config, uint64_t kernel_end, uint64_t limit,
	uint64_t *gpa, char **error);
/* The flat GDT, and the start's place of it. */
int boot_put_gdt(const struct boot_config *config, struct engine_start *start);
/* Sets *error and returns err. */
int boot_fail(char **error, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

int boot_load_linux(const struct boot_config *config, struct engine_start *start, char **error);
int boot_load_pvh(const struct boot_config *config, struct engine_start *start, char **error);

#endif

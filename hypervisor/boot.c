/* SPDX-License-Identifier: MIT */
/* Direct boot: which kind of kernel it is, and what the kinds have in common. */
#include "hypervisor/boot.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/util.h"
#include "hypervisor/boot_internal.h"

#define GUEST_PAGE    4096u
#define KVM_PAGES     0xfeffc000u /* of its own, see kvm.c */
#define KVM_PAGES_END 0xff000000u

int boot_fail(char **error, int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (vasprintf(error, fmt, args) < 0)
		*error = NULL;
	va_end(args);
	return err;
}

unsigned boot_memory_map(const struct boot_config *config, struct boot_map_entry *map)
{
	unsigned n = 0;

	map[n++] = (struct boot_map_entry){ 0, BOOT_LOW_END, BOOT_MEMORY_RAM };
	map[n++] = (struct boot_map_entry){ BOOT_LOW_END, 0xa0000 - BOOT_LOW_END,
		BOOT_MEMORY_RESERVED };
	map[n++] = (struct boot_map_entry){ 0xf0000, 0x10000, BOOT_MEMORY_RESERVED };
	map[n++] = (struct boot_map_entry){ BOOT_HIGH_GPA, config->tables_gpa - BOOT_HIGH_GPA,
		BOOT_MEMORY_RAM };
	map[n++] = (struct boot_map_entry){ config->tables_gpa,
		config->ram_below_4g - config->tables_gpa, BOOT_MEMORY_ACPI };
	map[n++] = (struct boot_map_entry){ KVM_PAGES, KVM_PAGES_END - KVM_PAGES,
		BOOT_MEMORY_RESERVED };
	if (config->ram_above_4g)
		map[n++] = (struct boot_map_entry){ UINT64_C(1) << 32, config->ram_above_4g,
			BOOT_MEMORY_RAM };
	return n;
}

int boot_put_cmdline(const struct boot_config *config, size_t max_size, char **error)
{
	const char *append = config->append ? config->append : "";
	size_t size = strlen(append) + 1;

	max_size = MIN(max_size, (size_t)BOOT_CMDLINE_MAX);
	if (size > max_size)
		return boot_fail(error, -EINVAL,
			"the kernel command line is too long: it may have %zu characters",
			max_size - 1);
	return guest_write(config->memory, BOOT_CMDLINE_GPA, append, size);
}

int boot_put_initrd(const struct boot_config *config, uint64_t kernel_end, uint64_t limit,
	uint64_t *gpa, char **error)
{
	*gpa = 0;
	if (config->initrd_size == 0)
		return 0;
	limit = ALIGN_DOWN(MIN(limit, config->tables_gpa), (uint64_t)GUEST_PAGE);
	if (config->initrd_size > limit ||
		ALIGN_DOWN(limit - config->initrd_size, (uint64_t)GUEST_PAGE) < kernel_end)
		return boot_fail(error, -E2BIG,
			"the initrd of %zu MiB does not fit beside the kernel: give the machine more "
			"memory",
			config->initrd_size >> 20);
	*gpa = ALIGN_DOWN(limit - config->initrd_size, (uint64_t)GUEST_PAGE);
	return guest_write(config->memory, *gpa, config->initrd, config->initrd_size);
}

int boot_put_gdt(const struct boot_config *config, struct engine_start *start)
{
	/* 0x10: flat 32-bit code, 0x18: flat data, both present and accessed. */
	static const uint64_t gdt[4] = { 0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff };

	start->gdt_base = BOOT_GDT_GPA;
	start->gdt_limit = sizeof(gdt) - 1;
	return guest_write(config->memory, BOOT_GDT_GPA, gdt, sizeof(gdt));
}

int boot_load(const struct boot_config *config, struct engine_start *start, char **error)
{
	int err;

	*error = NULL;
	*start = (struct engine_start){ .flat32 = true };
	if (config->kernel_size >= 4 && memcmp(config->kernel, "\177ELF", 4) == 0)
		err = boot_load_pvh(config, start, error);
	else if (config->kernel_size >= 0x206 && memcmp(config->kernel + 0x202, "HdrS", 4) == 0)
		err = boot_load_linux(config, start, error);
	else
		return boot_fail(error, -ENOEXEC,
			"the kernel file is neither a Linux bzImage nor an ELF with a PVH entry");
	if (!err)
		err = boot_put_gdt(config, start);
	if (err && !*error)
		boot_fail(error, err, "the kernel cannot be put into guest memory: %s",
			strerror(-err));
	return err;
}

/* SPDX-License-Identifier: MIT */
/* Loads a Linux bzImage by the 32-bit boot protocol (Linux's Documentation/arch/x86/boot.rst). */
#include <asm/bootparam.h>
#include <errno.h>
#include <string.h>

#include "core/util.h"
#include "hypervisor/boot_internal.h"

#define HEADER_OFFSET       0x1f1u
#define HEADER_JUMP         0x201u /* a short jump over the header: where it ends */
#define SECTOR              512u
#define BOOT_FLAG           0xaa55
#define PROTOCOL_OLDEST     0x206 /* the first that says how long a command line may be */
#define PROTOCOL_INIT_SIZE  0x20a
#define LOADER_UNDEFINED    0xff
#define VIDEO_NORMAL        0xffff
#define OLD_INITRD_ADDR_MAX 0x37ffffff

/* Copies the part of the header that the file has, and checks it. */
static int read_header(const struct boot_config *config, struct setup_header *header, char **error)
{
	size_t end;

	memset(header, 0, sizeof(*header));
	if (config->kernel_size < HEADER_OFFSET + sizeof(*header))
		return boot_fail(error, -ENOEXEC, "the kernel file is cut short");
	end = 0x202u + config->kernel[HEADER_JUMP];
	memcpy(header, config->kernel + HEADER_OFFSET, MIN(end - HEADER_OFFSET, sizeof(*header)));
	if (header->boot_flag != BOOT_FLAG || header->version < PROTOCOL_OLDEST)
		return boot_fail(
			error, -ENOEXEC, "the kernel is not a bzImage of Linux 2.6.22 or newer");
	if (!(header->loadflags & LOADED_HIGH))
		return boot_fail(error, -ENOEXEC, "the kernel is a zImage, not a bzImage");
	return 0;
}

static void fill_map(const struct boot_config *config, struct boot_params *params)
{
	struct boot_map_entry map[BOOT_MAP_ENTRIES];
	unsigned n = boot_memory_map(config, map);

	for (unsigned i = 0; i < n; i++) {
		params->e820_table[i].addr = map[i].gpa;
		params->e820_table[i].size = map[i].size;
		params->e820_table[i].type = map[i].type;
	}
	params->e820_entries = (uint8_t)n;
}

/* The end of the memory that the kernel needs while it unpacks itself. */
static uint64_t kernel_end(const struct setup_header *header, size_t size)
{
	uint64_t end = BOOT_HIGH_GPA + size;

	if (header->version >= PROTOCOL_INIT_SIZE)
		end = MAX(end,
			MAX(header->pref_address, (uint64_t)BOOT_HIGH_GPA) + header->init_size);
	return end;
}

int boot_load_linux(const struct boot_config *config, struct engine_start *start, char **error)
{
	struct boot_params params = { 0 };
	struct setup_header *header = &params.hdr;
	uint64_t end, initrd_gpa, limit;
	size_t skip, size;
	int err = read_header(config, header, error);

	if (err)
		return err;
	skip = ((header->setup_sects ? header->setup_sects : 4u) + 1) * SECTOR;
	if (skip >= config->kernel_size)
		return boot_fail(error, -ENOEXEC, "the kernel file is cut short");
	size = config->kernel_size - skip;
	if (header->pref_address >> 32)
		return boot_fail(error, -ENOEXEC, "the kernel wants to be above 4 GiB");
	end = kernel_end(header, size);
	if (end > config->tables_gpa)
		return boot_fail(error, -E2BIG,
			"the kernel needs at least %llu MiB of memory: give the machine more",
			(unsigned long long)(end >> 20) + 2);
	limit = header->initrd_addr_max ? header->initrd_addr_max : OLD_INITRD_ADDR_MAX;
	err = boot_put_initrd(config, end, limit + 1, &initrd_gpa, error);
	if (!err) /* cmdline_size is without the NUL */
		err = boot_put_cmdline(config, (size_t)header->cmdline_size + 1, error);
	if (!err)
		err = guest_write(config->memory, BOOT_HIGH_GPA, config->kernel + skip, size);
	if (err)
		return err;
	header->type_of_loader = LOADER_UNDEFINED;
	header->vid_mode = VIDEO_NORMAL;
	header->code32_start = BOOT_HIGH_GPA;
	header->cmd_line_ptr = BOOT_CMDLINE_GPA;
	header->ramdisk_image = (uint32_t)initrd_gpa;
	header->ramdisk_size = (uint32_t)config->initrd_size;
	params.acpi_rsdp_addr = config->rsdp_gpa;
	fill_map(config, &params);
	start->eip = BOOT_HIGH_GPA;
	start->esi = BOOT_INFO_GPA;
	return guest_write(config->memory, BOOT_INFO_GPA, &params, sizeof(params));
}

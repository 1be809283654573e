/* SPDX-License-Identifier: MIT */
/* The machine's RAM and ROM, and what is put there before the guest starts. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include "core/util.h"
#include "hypervisor/boot.h"
#include "hypervisor/machine_internal.h"
#include "hypervisor/smbios.h"

#define MIB          (1u << 20)
#define RAM_MIN      (16u * MIB)
#define RAM_BELOW_4G 0xc0000000u /* at the most: PCI's windows and the ROM are above */
#define VGA_HOLE     0xa0000u
#define VGA_HOLE_END 0xc0000u
#define FOUR_GIB     (UINT64_C(1) << 32)
#define SHADOW_SIZE  0x20000u /* of the firmware, at the end of the first MiB */
#define SHADOW_END   0x100000u
#define FIRMWARE_MAX (256u << 10)
/* Direct boot: what firmware would have left. Tables at the top of low RAM. */
#define TABLES_SIZE 0x20000u
#define ACPI_SIZE   0x10000u
#define RSDP_GPA    0xf0000u
#define SMBIOS_GPA  0xf0040u

static bool direct_boot(const struct machine *machine)
{
	return machine->config.kernel.size > 0;
}

static int check_size(uint64_t bytes, char **error)
{
	struct sysinfo info;

	if (bytes < RAM_MIN || bytes % MIB)
		return machine_fail(
			error, -EINVAL, "the memory must be at least 16 MiB, and whole MiB");
	if (sysinfo(&info) == 0) {
		uint64_t host = ((uint64_t)info.totalram + info.totalswap) * info.mem_unit;

		if (bytes > host)
			return machine_fail(error, -ENOMEM,
				"%llu MiB of memory are more than this computer has (%llu MiB): give "
				"the machine less",
				(unsigned long long)(bytes / MIB),
				(unsigned long long)(host / MIB));
	}
	return 0;
}

static int map(struct machine *machine, struct memory_region *region, const char *name,
	uint64_t gpa, uint8_t *host, uint64_t size, bool read_only)
{
	*region = (struct memory_region){
		.name = name, .host = host, .size = size, .read_only = read_only
	};
	return guest_memory_map(machine->host.memory, region, gpa);
}

static int create_rom(struct machine *machine, char **error)
{
	struct machine_memory *memory = &machine->memory;
	const struct machine_blob *firmware = &machine->config.firmware;

	if (firmware->size == 0 || firmware->size > FIRMWARE_MAX || firmware->size % 0x10000)
		return machine_fail(
			error, -EINVAL, "there is neither a kernel nor a firmware image to start");
	memory->rom_size = firmware->size;
	memory->rom = memory_region_alloc_host(memory->rom_size);
	if (!memory->rom)
		return -ENOMEM;
	memcpy(memory->rom, firmware->data, firmware->size);
	return map(machine, &memory->rom_region, "firmware", FOUR_GIB - memory->rom_size,
		memory->rom, memory->rom_size, true);
}

int machine_memory_create(struct machine *machine, char **error)
{
	struct machine_memory *memory = &machine->memory;
	uint64_t bytes = machine->config.memory_bytes;
	int err = check_size(bytes, error);

	if (err)
		return err;
	memory->below_4g = MIN(bytes, (uint64_t)RAM_BELOW_4G);
	memory->above_4g = bytes - memory->below_4g;
	memory->ram = memory_region_alloc_host(bytes);
	if (!memory->ram)
		return machine_fail(error, -ENOMEM,
			"this computer has no %llu MiB of memory to give: give the machine less",
			(unsigned long long)(bytes / MIB));
	/* A core dump of ours is not one of the guest. */
	madvise(memory->ram, bytes, MADV_DONTDUMP);
	acpi_config_init(&machine->acpi, machine->config.cpus, memory->below_4g, memory->above_4g);
	err = map(machine, &memory->conventional, "conventional", 0, memory->ram, VGA_HOLE, false);
	if (!err)
		err = map(machine, &memory->low, "low memory", VGA_HOLE_END,
			memory->ram + VGA_HOLE_END, memory->below_4g - VGA_HOLE_END, false);
	if (!err && memory->above_4g)
		err = map(machine, &memory->high, "high memory", FOUR_GIB,
			memory->ram + memory->below_4g, memory->above_4g, false);
	if (!err && !direct_boot(machine))
		err = create_rom(machine, error);
	return err;
}

void machine_memory_destroy(struct machine *machine)
{
	struct machine_memory *memory = &machine->memory;

	guest_memory_destroy(machine->host.memory);
	machine->host.memory = NULL;
	memory_region_free_host(memory->ram, machine->config.memory_bytes);
	memory_region_free_host(memory->rom, memory->rom_size);
}

/* ---- before the guest starts ---- */

static int put_tables(struct machine *machine, uint64_t tables_gpa)
{
	const struct machine_memory *memory = &machine->memory;
	struct smbios_config smbios = {
		.cpus = machine->config.cpus,
		.ram_below_4g = memory->below_4g,
		.ram_above_4g = memory->above_4g,
	};
	int err;

	memcpy(smbios.uuid, machine->uuid, sizeof(smbios.uuid));
	err = acpi_write_to_guest(
		&machine->acpi, machine->host.memory, tables_gpa, ACPI_SIZE, RSDP_GPA);
	if (!err)
		err = smbios_write_to_guest(&smbios, machine->host.memory, SMBIOS_GPA,
			tables_gpa + ACPI_SIZE, TABLES_SIZE - ACPI_SIZE);
	return err;
}

static int boot_kernel(struct machine *machine, struct engine_start *start, char **error)
{
	const struct machine_config *config = &machine->config;
	const struct machine_memory *memory = &machine->memory;
	struct boot_config boot = {
		.memory = machine->host.memory,
		.ram_below_4g = memory->below_4g,
		.ram_above_4g = memory->above_4g,
		.tables_gpa = memory->below_4g - TABLES_SIZE,
		.rsdp_gpa = RSDP_GPA,
		.kernel = config->kernel.data,
		.kernel_size = config->kernel.size,
		.initrd = config->initrd.data,
		.initrd_size = config->initrd.size,
		.append = config->append,
		.ram_is_zero = !machine->was_running,
	};
	int err = boot_load(&boot, start, error);

	if (!err)
		err = put_tables(machine, boot.tables_gpa);
	if (!err)
		pci_bus_assign(machine->pci, machine->acpi.pci_window64);
	return err;
}

int machine_memory_boot(struct machine *machine, struct engine_start *start, char **error)
{
	const struct machine_memory *memory = &machine->memory;
	uint64_t shadow = MIN(memory->rom_size, (uint64_t)SHADOW_SIZE);

	*start = (struct engine_start){ .flat32 = false };
	if (direct_boot(machine))
		return boot_kernel(machine, start, error);
	return guest_write(machine->host.memory, SHADOW_END - shadow,
		memory->rom + memory->rom_size - shadow, shadow);
}

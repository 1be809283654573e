/* SPDX-License-Identifier: MIT */
/* The items of fw_cfg, as SeaBIOS (src/fw/paravirt.c, docs/Runtime_config) and OVMF read them. */
#include "hypervisor/fw_items.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "core/wire.h"

enum {
	E820_RAM = 1,
	E820_RESERVED = 2,

	/* Linux boot protocol, Documentation/arch/x86/boot.rst: offsets in the setup header. */
	SETUP_SECTORS = 0x1f1,
	SETUP_MAGIC = 0x202,
	SETUP_VERSION = 0x206,
	SETUP_LOADER = 0x210,
	SETUP_FLAGS = 0x211,
	SETUP_INITRD = 0x218,
	SETUP_INITRD_SIZE = 0x21c,
	SETUP_HEAP_END = 0x224,
	SETUP_CMDLINE = 0x228,
	SETUP_INITRD_MAX = 0x22c,
	SETUP_HEADER_END = 0x260,
	SECTOR = 512,
	LOADED_HIGH = 0x01,
	CAN_USE_HEAP = 0x80,
	LOADER_QEMU = 0xb0,

	SETUP_GPA = 0x10000,
	CMDLINE_GPA = 0x20000,
	KERNEL_GPA = 0x100000,
	TABLES_ROOM = 0x20000, /* the firmware's own at the end of low RAM */
};

/* KVM's own pages: the identity map and the task state of real mode. */
#define KVM_PAGES_GPA  0xfeffc000
#define KVM_PAGES_SIZE 0x4000

/* ---- memory ---- */

static void write_range(struct wire_writer *w, uint64_t start, uint64_t size, uint32_t type)
{
	if (size == 0)
		return;
	wire_write_u64(w, start);
	wire_write_u64(w, size);
	wire_write_u32(w, type);
}

static int add_memory_map(const struct acpi_config *config, struct fw_cfg *fw)
{
	struct buf map = { 0 };
	struct wire_writer w;
	int rc = -ENOMEM;

	wire_writer_init(&w, &map);
	write_range(&w, KVM_PAGES_GPA, KVM_PAGES_SIZE, E820_RESERVED);
	write_range(&w, 0, config->ram_below_4g, E820_RAM);
	write_range(&w, UINT64_C(4) << 30, config->ram_above_4g, E820_RAM);
	if (!w.failed)
		rc = fw_cfg_add_file(fw, "etc/e820", buf_bytes(&map), map.size);
	buf_finish(&map);
	return rc;
}

/* ---- the legacy keys ---- */

struct key_value {
	uint16_t key;
	uint8_t size; /* 2, 4 or 8 */
	uint64_t value;
};

static int add_values(struct fw_cfg *fw, const struct key_value *values, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t value = htole64(values[i].value);
		int rc = fw_cfg_add(fw, values[i].key, &value, values[i].size);

		if (rc != 0)
			return rc;
	}
	return 0;
}

static int add_machine(const struct fw_items_config *config, struct fw_cfg *fw)
{
	const struct acpi_config *acpi = &config->acpi;
	const struct key_value values[] = {
		{ FW_CFG_RAM_SIZE, 8, acpi->ram_below_4g + acpi->ram_above_4g },
		{ FW_CFG_NOGRAPHIC, 2, 0 },
		{ FW_CFG_NB_CPUS, 2, acpi->cpus },
		{ FW_CFG_MAX_CPUS, 2, acpi->cpus },
		{ FW_CFG_BOOT_DEVICE, 2, 'c' },
		{ FW_CFG_BOOT_MENU, 2, 0 }, /* the menu would wait for a key */
		{ FW_CFG_IRQ0_OVERRIDE, 4, 1 },
	};
	int rc = add_values(fw, values, ARRAY_SIZE(values));

	if (rc == 0)
		rc = fw_cfg_add(fw, FW_CFG_UUID, config->uuid, sizeof(config->uuid));
	return rc;
}

/* ---- files ---- */

static int add_u64_file(struct fw_cfg *fw, const char *name, uint64_t value)
{
	value = htole64(value);
	return fw_cfg_add_file(fw, name, &value, sizeof(value));
}

static int add_files(const struct fw_items_config *config, struct fw_cfg *fw)
{
	/* S0 to S5, bit 7: supported; the other bits are SLP_TYP. Only S0 and S5. */
	static const uint8_t states[6] = { 0x80, 0, 0, 1, 2, 0x80 };
	/* What to do when nothing can be booted: say so and wait, without restarting. */
	static const uint32_t forever = UINT32_MAX;
	int rc = fw_cfg_add_file(fw, "etc/system-states", states, sizeof(states));

	if (rc == 0)
		rc = fw_cfg_add_file(fw, "etc/boot-fail-wait", &forever, sizeof(forever));
	if (rc == 0 && config->acpi.pci_window64)
		rc = add_u64_file(fw, "etc/reserved-memory-end", config->acpi.pci_window64);
	if (rc == 0 && config->boot_order)
		rc = fw_cfg_add_file(
			fw, "bootorder", config->boot_order, strlen(config->boot_order) + 1);
	return rc;
}

/* ---- a kernel for the firmware to load ---- */

static uint32_t get32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return le32toh(value);
}

static void put32(uint8_t *at, uint64_t value)
{
	uint32_t le = htole32((uint32_t)value);

	memcpy(at, &le, sizeof(le));
}

/* Where the initrd goes: as high as kernel and RAM allow. 0: it does not fit. */
static uint32_t initrd_place(const struct fw_items_config *config, uint16_t version)
{
	uint64_t top = version >= 0x203 ? get32(config->kernel + SETUP_INITRD_MAX) : 0x37ffffff;
	uint64_t ram = config->acpi.ram_below_4g;

	top = MIN(top + 1, ram > TABLES_ROOM ? ram - TABLES_ROOM : 0);
	if (config->initrd_size == 0 || config->initrd_size > top)
		return 0;
	return (uint32_t)ALIGN_DOWN(top - config->initrd_size, UINT64_C(4096));
}

static int add_kernel_parts(const struct fw_items_config *config, struct fw_cfg *fw,
	const uint8_t *setup, size_t setup_size, uint32_t initrd_gpa)
{
	const char *cmdline = config->append ? config->append : "";
	size_t cmdline_size = strlen(cmdline) + 1;
	const struct key_value values[] = {
		{ FW_CFG_KERNEL_ADDR, 4, KERNEL_GPA },
		{ FW_CFG_KERNEL_SIZE, 4, config->kernel_size - setup_size },
		{ FW_CFG_SETUP_ADDR, 4, SETUP_GPA },
		{ FW_CFG_SETUP_SIZE, 4, setup_size },
		{ FW_CFG_CMDLINE_ADDR, 4, CMDLINE_GPA },
		{ FW_CFG_CMDLINE_SIZE, 4, cmdline_size },
		{ FW_CFG_INITRD_ADDR, 4, initrd_gpa },
		{ FW_CFG_INITRD_SIZE, 4, config->initrd_size },
	};
	int rc = add_values(fw, values, ARRAY_SIZE(values));

	if (rc == 0)
		rc = fw_cfg_add(fw, FW_CFG_SETUP_DATA, setup, setup_size);
	if (rc == 0)
		rc = fw_cfg_add(fw, FW_CFG_CMDLINE_DATA, cmdline, cmdline_size);
	if (rc == 0)
		rc = fw_cfg_add_borrowed(fw, FW_CFG_KERNEL_DATA, config->kernel + setup_size,
			config->kernel_size - setup_size);
	if (rc == 0 && config->initrd_size)
		rc = fw_cfg_add_borrowed(
			fw, FW_CFG_INITRD_DATA, config->initrd, config->initrd_size);
	return rc;
}

static int add_kernel(const struct fw_items_config *config, struct fw_cfg *fw)
{
	const uint8_t *kernel = config->kernel;
	size_t setup_size;
	uint32_t initrd_gpa;
	uint16_t version;
	uint8_t *setup;
	int rc;

	if (config->kernel_size < SETUP_HEADER_END || config->kernel_size > UINT32_MAX ||
		config->initrd_size > UINT32_MAX || memcmp(kernel + SETUP_MAGIC, "HdrS", 4) != 0)
		return -EINVAL;
	version = (uint16_t)(kernel[SETUP_VERSION] | kernel[SETUP_VERSION + 1] << 8);
	setup_size = ((kernel[SETUP_SECTORS] ? kernel[SETUP_SECTORS] : 4) + 1) * (size_t)SECTOR;
	if (setup_size >= config->kernel_size || version < 0x202 ||
		!(kernel[SETUP_FLAGS] & LOADED_HIGH))
		return -EINVAL;
	initrd_gpa = initrd_place(config, version);
	if (config->initrd_size && initrd_gpa < KERNEL_GPA)
		return -EINVAL;
	setup = malloc(setup_size);
	if (!setup)
		return -ENOMEM;
	memcpy(setup, kernel, setup_size);
	setup[SETUP_LOADER] = LOADER_QEMU;
	setup[SETUP_FLAGS] |= CAN_USE_HEAP;
	put32(setup + SETUP_CMDLINE, CMDLINE_GPA);
	put32(setup + SETUP_INITRD, initrd_gpa);
	put32(setup + SETUP_INITRD_SIZE, config->initrd_size);
	/* The heap ends where the command line begins; counted from the setup's start, less 0x200. */
	setup[SETUP_HEAP_END] = (uint8_t)(CMDLINE_GPA - SETUP_GPA - 0x200);
	setup[SETUP_HEAP_END + 1] = (uint8_t)((CMDLINE_GPA - SETUP_GPA - 0x200) >> 8);
	rc = add_kernel_parts(config, fw, setup, setup_size, initrd_gpa);
	free(setup);
	return rc;
}

int fw_items_add(const struct fw_items_config *config, struct fw_cfg *fw)
{
	struct smbios_config smbios = {
		.cpus = config->acpi.cpus,
		.ram_below_4g = config->acpi.ram_below_4g,
		.ram_above_4g = config->acpi.ram_above_4g,
	};
	int rc = add_machine(config, fw);

	memcpy(smbios.uuid, config->uuid, sizeof(smbios.uuid));
	if (rc == 0)
		rc = add_memory_map(&config->acpi, fw);
	if (rc == 0)
		rc = add_files(config, fw);
	if (rc == 0)
		rc = acpi_add_to_fw_cfg(&config->acpi, fw);
	if (rc == 0)
		rc = smbios_add_to_fw_cfg(&smbios, fw);
	if (rc == 0 && config->kernel)
		rc = add_kernel(config, fw);
	return rc;
}

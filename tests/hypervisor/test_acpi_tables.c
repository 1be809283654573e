/* SPDX-License-Identifier: MIT */
/* ACPI tables: the firmware's way and the direct one give the same; ACPICA can read them. */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hypervisor/acpi_tables.h"
#include "hypervisor/fw_cfg.h"
#include "tests/hypervisor/legacy_fixture.h"

enum { TABLES = 0x80000, TABLES_MAX = 0x10000, RSDP = 0xe0000 };

static const char *const files[] = { "etc/acpi/tables", "etc/acpi/rsdp" };
static const uint32_t gpas[] = { TABLES, RSDP };

static struct acpi_config machine(void)
{
	struct acpi_config config;

	acpi_config_init(&config, 3, UINT64_C(3) << 30, UINT64_C(2) << 30);
	return config;
}

static uint32_t get32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return le32toh(value);
}

static uint8_t sum(const uint8_t *bytes, size_t size)
{
	uint8_t total = 0;

	while (size--)
		total = (uint8_t)(total + *bytes++);
	return total;
}

/* The table at a guest address, its length and checksum looked at. */
static const uint8_t *table_at(struct legacy_pc *pc, uint32_t gpa, const char *signature)
{
	const uint8_t *table = pc->ram.host + gpa;

	assert_in_range(gpa, TABLES, TABLES + TABLES_MAX);
	assert_memory_equal(table, signature, 4);
	assert_in_range(get32(table + 4), 36, TABLES_MAX);
	assert_int_equal(sum(table, get32(table + 4)), 0);
	return table;
}

static void test_direct(void **state)
{
	struct legacy_pc *pc = *state;
	struct acpi_config config = machine();
	const uint8_t *rsdp = pc->ram.host + RSDP, *rsdt, *xsdt, *fadt, *madt;

	assert_int_equal(
		acpi_write_to_guest(&config, pc->host.memory, TABLES, TABLES_MAX, RSDP), 0);
	assert_memory_equal(rsdp, "RSD PTR ", 8);
	assert_int_equal(sum(rsdp, 20), 0);
	assert_int_equal(sum(rsdp, 36), 0);
	assert_int_equal(rsdp[15], 2);
	rsdt = table_at(pc, get32(rsdp + 16), "RSDT");
	xsdt = table_at(pc, get32(rsdp + 24), "XSDT");
	assert_int_equal(get32(rsdt + 4), 36 + 2 * 4);
	assert_int_equal(get32(xsdt + 4), 36 + 2 * 8);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(get32(rsdt + 36 + 4 * i), get32(xsdt + 36 + 8 * i));
		assert_int_equal(get32(xsdt + 40 + 8 * i), 0);
	}
	fadt = table_at(pc, get32(rsdt + 36), "FACP");
	madt = table_at(pc, get32(rsdt + 40), "APIC");
	assert_int_equal(get32(fadt + 4), 244);
	assert_int_equal(get32(fadt + 36) % 64, 0);
	assert_memory_equal(pc->ram.host + get32(fadt + 36), "FACS\x40\0\0\0", 8);
	table_at(pc, get32(fadt + 40), "DSDT");
	assert_int_equal(get32(fadt + 140), get32(fadt + 40));
	assert_int_equal(get32(fadt + 56), 0x600);
	assert_int_equal(get32(fadt + 76), 0x608);
	assert_int_equal(fadt[108], 0x32);
	assert_int_equal(get32(fadt + 120), 0xcf9);
	assert_int_equal(madt[44 + 2 * 8 + 3], 2); /* third local APIC */
}

static void test_room(void **state)
{
	struct legacy_pc *pc = *state;
	struct acpi_config config = machine();

	assert_int_equal(
		acpi_write_to_guest(&config, pc->host.memory, TABLES, 1000, RSDP), -ENOSPC);
	assert_int_equal(
		acpi_write_to_guest(&config, pc->host.memory, TABLES + 8, TABLES_MAX, RSDP),
		-EINVAL);
	assert_int_equal(
		acpi_write_to_guest(&config, pc->host.memory, LEGACY_RAM - 64, TABLES_MAX, RSDP),
		-EFAULT);
	assert_int_equal(
		acpi_write_to_guest(&config, pc->host.memory, 0xffffff00u, TABLES_MAX, RSDP),
		-EINVAL);
}

static uint32_t file_gpa(const uint8_t *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(files); i++)
		if (!strcmp((const char *)name, files[i]))
			return gpas[i];
	fail_msg("no such file: %s", name);
	return 0;
}

/* Carries out one command of the table loader as firmware does. */
static void run_command(struct legacy_pc *pc, struct fw_cfg *fw, const uint8_t *command)
{
	uint32_t gpa = file_gpa(command + 4);
	uint8_t *at;
	uint64_t value = 0;

	switch (get32(command)) {
	case 1:
		assert_int_equal(gpa % get32(command + 60), 0);
		assert_int_equal(command[64], gpa == RSDP ? 2 : 1);
		assert_true(fw_cfg_file_read(fw, (const char *)command + 4, 0, pc->ram.host + gpa,
				    TABLES_MAX) > 0);
		break;
	case 2:
		at = pc->ram.host + gpa + get32(command + 116);
		memcpy(&value, at, command[120]);
		value += file_gpa(command + 60);
		memcpy(at, &value, command[120]);
		break;
	case 3:
		at = pc->ram.host + gpa + get32(command + 60);
		*at = (uint8_t)(*at -
			sum(pc->ram.host + gpa + get32(command + 64), get32(command + 68)));
		break;
	default: fail_msg("unknown command %u", get32(command));
	}
}

static void test_loader(void **state)
{
	struct legacy_pc *pc = *state;
	struct acpi_config config = machine();
	struct fw_cfg *fw;
	static uint8_t commands[8192], direct[LEGACY_RAM];
	int64_t size;

	assert_int_equal(
		acpi_write_to_guest(&config, pc->host.memory, TABLES, TABLES_MAX, RSDP), 0);
	memcpy(direct, pc->ram.host, LEGACY_RAM);
	memset(pc->ram.host, 0, LEGACY_RAM);

	assert_int_equal(fw_cfg_create(&fw, &pc->host), 0);
	assert_int_equal(acpi_add_to_fw_cfg(&config, fw), 0);
	size = fw_cfg_file_read(fw, "etc/table-loader", 0, commands, sizeof(commands));
	assert_true(size > 0 && size % 128 == 0);
	for (int64_t i = 0; i < size; i += 128)
		run_command(pc, fw, commands + i);
	assert_memory_equal(direct, pc->ram.host, LEGACY_RAM);
	fw_cfg_destroy(fw);
}

/* Runs a command in a folder; its exit code. */
static int run_in(const char *folder, const char *command)
{
	char line[512];
	int status;

	snprintf(line, sizeof(line), "cd %s && %s", folder, command);
	status = system(line);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void write_file(const char *folder, const char *name, const uint8_t *bytes, size_t size)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

static void must_say(const char *folder, const char *file, const char *text)
{
	char command[256];

	snprintf(command, sizeof(command), "grep -q -F -e '%s' %s", text, file);
	if (run_in(folder, command) != 0)
		fail_msg("%s has not: %s", file, text);
}

/* ACPICA reads every table back, and compiles its own disassembly of the DSDT without complaint. */
static void test_acpica(void **state)
{
	struct legacy_pc *pc = *state;
	struct acpi_config config = machine();
	char folder[] = "/tmp/spicebox-acpi-XXXXXX";
	const uint8_t *rsdt, *fadt, *madt, *dsdt;

	if (run_in("/", "command -v iasl >/dev/null") != 0) {
		print_message("skipped: iasl (package acpica-tools) is not installed\n");
		skip();
	}
	assert_non_null(mkdtemp(folder));
	assert_int_equal(
		acpi_write_to_guest(&config, pc->host.memory, TABLES, TABLES_MAX, RSDP), 0);
	rsdt = pc->ram.host + get32(pc->ram.host + RSDP + 16);
	fadt = pc->ram.host + get32(rsdt + 36);
	madt = pc->ram.host + get32(rsdt + 40);
	dsdt = pc->ram.host + get32(fadt + 40);
	write_file(folder, "facp.aml", fadt, get32(fadt + 4));
	write_file(folder, "apic.aml", madt, get32(madt + 4));
	write_file(folder, "dsdt.aml", dsdt, get32(dsdt + 4));
	assert_int_equal(run_in(folder, "iasl -d facp.aml apic.aml dsdt.aml >log 2>&1"), 0);
	assert_int_equal(run_in(folder, "iasl -vw 3168 dsdt.dsl >log2 2>&1"), 0);
	/* 3168 is that ACPI 6 has another word for Processor(), which old systems do not know. */
	must_say(folder, "log2", "0 Errors, 0 Warnings");
	must_say(folder, "facp.dsl", "SCI Interrupt : 0009");
	must_say(folder, "facp.dsl", "Reset Register Supported (V2) : 1");
	must_say(folder, "facp.dsl", "Legacy Devices Supported (V2) : 1");
	must_say(folder, "apic.dsl", "Interrupt : 00000002");
	must_say(folder, "dsdt.dsl", "EisaId (\"PNP0A03\")");
	must_say(folder, "dsdt.dsl", "0xC0000000,         // Range Minimum");
	must_say(folder, "dsdt.dsl", "0x0000001000000000, // Range Minimum");
	must_say(folder, "dsdt.dsl", "Name (\\_S5, Package (0x04)");
	must_say(folder, "dsdt.dsl", "Processor (C002, 0x02, 0x00000000, 0x00)");
	assert_int_equal(run_in("/", "true"), 0);
	{
		char command[64];

		snprintf(command, sizeof(command), "rm -r %s", folder);
		assert_int_equal(run_in("/", command), 0);
	}
}

static int setup(void **state)
{
	struct legacy_pc *pc = calloc(1, sizeof(*pc));

	legacy_init(pc);
	*state = pc;
	return 0;
}

static int teardown(void **state)
{
	legacy_finish(*state);
	free(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_direct, setup, teardown),
		cmocka_unit_test_setup_teardown(test_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_loader, setup, teardown),
		cmocka_unit_test_setup_teardown(test_acpica, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

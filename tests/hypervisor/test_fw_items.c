/* SPDX-License-Identifier: MIT */
/* What the firmware is told: memory map, CPUs, boot order, SMBIOS, a kernel. */
#include <endian.h>
#include <errno.h>
#include <stdio.h>

#include "hypervisor/fw_items.h"
#include "tests/hypervisor/legacy_fixture.h"

enum { ANCHOR = 0xf0000, TABLES = 0xf0100 };

struct fixture {
	struct legacy_pc pc;
	struct fw_cfg *fw;
	struct fw_items_config config;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	legacy_init(&f->pc);
	assert_int_equal(fw_cfg_create(&f->fw, &f->pc.host), 0);
	acpi_config_init(&f->config.acpi, 5, UINT64_C(3) << 30, UINT64_C(9) << 30);
	for (uint8_t i = 0; i < 16; i++)
		f->config.uuid[i] = (uint8_t)(0xa0 + i);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fw_cfg_destroy(f->fw);
	legacy_finish(&f->pc);
	free(f);
	return 0;
}

static uint64_t number(const uint8_t *at, unsigned size)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)at[i] << 8 * i;
	return value;
}

static uint64_t key_number(struct fixture *f, uint16_t key, unsigned size)
{
	uint8_t bytes[8];

	bus_write(f->pc.host.ports, 0x510, key, 2);
	for (unsigned i = 0; i < size; i++)
		bytes[i] = in8(&f->pc, 0x511);
	return number(bytes, size);
}

static void test_items(void **state)
{
	struct fixture *f = *state;
	uint8_t got[256];
	int64_t size;

	f->config.boot_order = "/pci@i0cf8/scsi@2/disk@0,0\n";
	assert_int_equal(fw_items_add(&f->config, f->fw), 0);
	assert_int_equal(key_number(f, FW_CFG_RAM_SIZE, 8), UINT64_C(12) << 30);
	assert_int_equal(key_number(f, FW_CFG_NB_CPUS, 2), 5);
	assert_int_equal(key_number(f, FW_CFG_MAX_CPUS, 2), 5);
	assert_int_equal(key_number(f, FW_CFG_BOOT_MENU, 2), 0);
	assert_int_equal(key_number(f, FW_CFG_IRQ0_OVERRIDE, 4), 1);
	assert_int_equal(key_number(f, FW_CFG_UUID, 2), 0xa1a0);
	assert_int_equal(key_number(f, FW_CFG_KERNEL_SIZE, 4), 0);
	size = fw_cfg_file_read(f->fw, "etc/e820", 0, got, sizeof(got));
	assert_int_equal(size, 3 * 20);
	assert_int_equal(number(got, 8), 0xfeffc000);
	assert_int_equal(number(got + 16, 4), 2);
	assert_int_equal(number(got + 20, 8), 0);
	assert_int_equal(number(got + 28, 8), UINT64_C(3) << 30);
	assert_int_equal(number(got + 36, 4), 1);
	assert_int_equal(number(got + 40, 8), UINT64_C(4) << 30);
	assert_int_equal(number(got + 48, 8), UINT64_C(9) << 30);
	assert_int_equal(
		fw_cfg_file_read(f->fw, "etc/reserved-memory-end", 0, got, sizeof(got)), 8);
	assert_int_equal(number(got, 8), UINT64_C(64) << 30);
	assert_int_equal(fw_cfg_file_read(f->fw, "bootorder", 0, got, sizeof(got)), 28);
	assert_string_equal((char *)got, f->config.boot_order);
	assert_int_equal(fw_cfg_file_read(f->fw, "etc/system-states", 0, got, sizeof(got)), 6);
	assert_memory_equal(got, "\x80\0\0\1\2\x80", 6);
	assert_true(fw_cfg_file_read(f->fw, "etc/table-loader", 0, got, 1) == 1);
	assert_int_equal(
		fw_cfg_file_read(f->fw, "etc/smbios/smbios-anchor", 0, got, sizeof(got)), 31);
}

static uint8_t sum(const uint8_t *bytes, size_t size)
{
	uint8_t total = 0;

	while (size--)
		total = (uint8_t)(total + *bytes++);
	return total;
}

static struct smbios_config smbios(const struct fixture *f)
{
	struct smbios_config config = {
		.cpus = 5,
		.ram_below_4g = f->config.acpi.ram_below_4g,
		.ram_above_4g = f->config.acpi.ram_above_4g,
	};

	memcpy(config.uuid, f->config.uuid, 16);
	return config;
}

/* Walks the structures as a system does, by their lengths and strings. */
static void test_smbios(void **state)
{
	struct fixture *f = *state;
	struct smbios_config config = smbios(f);
	const uint8_t *anchor = f->pc.ram.host + ANCHOR, *at = f->pc.ram.host + TABLES, *end;
	static const uint8_t types[] = { 0, 1, 3, 4, 16, 17, 19, 19, 32, 127 };
	size_t largest = 0;

	assert_int_equal(
		smbios_write_to_guest(&config, f->pc.host.memory, ANCHOR, TABLES, 0x1000), 0);
	assert_memory_equal(anchor, "_SM_", 4);
	assert_int_equal(sum(anchor, anchor[5]), 0);
	assert_memory_equal(anchor + 16, "_DMI_", 5);
	assert_int_equal(sum(anchor + 16, 15), 0);
	assert_int_equal(number(anchor + 24, 4), TABLES);
	assert_int_equal(number(anchor + 28, 2), ARRAY_SIZE(types));
	end = at + number(anchor + 22, 2);
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
		const uint8_t *strings = at + at[1];

		assert_true(at + 4 <= end);
		assert_int_equal(at[0], types[i]);
		if (types[i] == 1)
			assert_memory_equal(at + 8, "\xa3\xa2\xa1\xa0\xa5\xa4\xa7\xa6\xa8\xa9", 10);
		if (types[i] == 1)
			assert_string_equal((const char *)strings, "spicebox");
		if (types[i] == 17)
			assert_int_equal(number(at + 12, 2), 12 << 10);
		do
			strings += strlen((const char *)strings) + 1;
		while (*strings);
		largest = MAX(largest, (size_t)(strings + 1 - at));
		if (at[at[1]] == 0)
			strings = at + at[1] + 1; /* no strings: two NULs */
		at = strings + 1;
	}
	assert_ptr_equal(at, end);
	assert_in_range(number(anchor + 8, 2), 0x28, largest);
	assert_int_equal(
		smbios_write_to_guest(&config, f->pc.host.memory, ANCHOR, TABLES, 100), -ENOSPC);
	assert_int_equal(
		smbios_write_to_guest(&config, f->pc.host.memory, ANCHOR + 1, TABLES, 0x1000),
		-EINVAL);
}

/* dmidecode, which system administrators use, finds nothing wrong. */
static void test_dmidecode(void **state)
{
	struct fixture *f = *state;
	struct smbios_config config = smbios(f);
	char path[] = "/tmp/spicebox-dmi-XXXXXX", command[128], line[256];
	int fd = mkstemp(path), lines = 0;
	FILE *file = fdopen(fd, "wb");
	static uint8_t dump[0x2000];

	if (system("command -v dmidecode >/dev/null") != 0) {
		print_message("skipped: dmidecode is not installed\n");
		fclose(file);
		remove(path);
		skip();
	}
	assert_int_equal(
		smbios_write_to_guest(&config, f->pc.host.memory, ANCHOR, 0x20, 0x1000), 0);
	memcpy(dump, f->pc.ram.host + ANCHOR, 31);
	memcpy(dump + 32, f->pc.ram.host + 0x20, 0x1000);
	assert_int_equal(fwrite(dump, 1, sizeof(dump), file), sizeof(dump));
	fclose(file);
	snprintf(command, sizeof(command), "dmidecode --from-dump %s 2>&1", path);
	file = popen(command, "r");
	while (fgets(line, sizeof(line), file)) {
		lines++;
		assert_null(strstr(line, "OUT OF SPEC"));
		assert_null(strstr(line, "roken"));
		assert_null(strstr(line, "Wrong"));
		assert_null(strstr(line, "Invalid"));
	}
	assert_int_equal(pclose(file), 0);
	assert_in_range(lines, 50, 500);
	remove(path);
}

static void make_kernel(uint8_t *kernel, size_t size)
{
	memset(kernel, 0, size);
	kernel[0x1f1] = 3;
	memcpy(kernel + 0x202, "HdrS", 4);
	kernel[0x206] = 0x0f;
	kernel[0x207] = 0x02;
	kernel[0x211] = 0x01;
	memcpy(kernel + 0x22c, (uint32_t[]){ htole32(0x7fffffff) }, 4);
	memset(kernel + 4 * 512, 'k', size - 4 * 512);
}

static void test_kernel(void **state)
{
	struct fixture *f = *state;
	static uint8_t kernel[8192], initrd[5000];

	make_kernel(kernel, sizeof(kernel));
	f->config.kernel = kernel;
	f->config.kernel_size = sizeof(kernel);
	f->config.initrd = initrd;
	f->config.initrd_size = sizeof(initrd);
	f->config.append = "quiet";
	assert_int_equal(fw_items_add(&f->config, f->fw), 0);
	assert_int_equal(key_number(f, FW_CFG_SETUP_SIZE, 4), 4 * 512);
	assert_int_equal(key_number(f, FW_CFG_KERNEL_SIZE, 4), sizeof(kernel) - 4 * 512);
	assert_int_equal(key_number(f, FW_CFG_KERNEL_DATA, 2), 0x6b6b);
	assert_int_equal(key_number(f, FW_CFG_CMDLINE_SIZE, 4), 6);
	assert_int_equal(key_number(f, FW_CFG_CMDLINE_DATA, 5), 0x7465697571);
	assert_int_equal(key_number(f, FW_CFG_INITRD_ADDR, 4), 0x80000000 - 0x2000);
	assert_int_equal(key_number(f, FW_CFG_INITRD_SIZE, 4), sizeof(initrd));
	assert_int_equal(kernel[0x210], 0); /* only the copy was changed */
}

static void test_bad_kernels(void **state)
{
	struct fixture *f = *state;
	static uint8_t kernel[8192];

	f->config.kernel = kernel;
	for (size_t size = 0; size < 4 * 512 + 1; size += 64) {
		make_kernel(kernel, sizeof(kernel));
		f->config.kernel_size = size;
		assert_int_equal(fw_items_add(&f->config, f->fw), -EINVAL);
	}
	f->config.kernel_size = sizeof(kernel);
	kernel[0x1f1] = 255;
	assert_int_equal(fw_items_add(&f->config, f->fw), -EINVAL);
	kernel[0x1f1] = 3;
	kernel[0x211] = 0;
	assert_int_equal(fw_items_add(&f->config, f->fw), -EINVAL);
	kernel[0x211] = 1;
	assert_int_equal(fw_items_add(&f->config, f->fw), 0);
	f->config.initrd = kernel;
	f->config.initrd_size = UINT32_MAX; /* larger than RAM below 4 GiB */
	assert_int_equal(fw_items_add(&f->config, f->fw), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_items, setup, teardown),
		cmocka_unit_test_setup_teardown(test_smbios, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dmidecode, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kernel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_kernels, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

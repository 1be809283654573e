/* SPDX-License-Identifier: MIT */
/* The loaders on fake memory: where things are put, and that no file breaks them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <asm/bootparam.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hypervisor/boot.h"

#define RAM_SIZE   (32u << 20)
#define TABLES_GPA (RAM_SIZE - 0x20000u)
#define ELF_SIZE   0x3000u
#define LINUX_SIZE 0x5000u
#define PROTOCOL   0x20f

struct fixture {
	struct guest_memory *memory;
	struct memory_region low, high;
	uint8_t *ram;
	uint8_t file[0x6000];
	struct boot_config config;
	struct engine_start start;
};

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	assert_int_equal(guest_memory_create(&f.memory, NULL, NULL), 0);
	f.ram = memory_region_alloc_host(RAM_SIZE);
	f.low = (struct memory_region){ .name = "low", .host = f.ram, .size = 0xa0000 };
	f.high = (struct memory_region){
		.name = "high", .host = f.ram + 0xc0000, .size = RAM_SIZE - 0xc0000
	};
	assert_int_equal(guest_memory_map(f.memory, &f.low, 0), 0);
	assert_int_equal(guest_memory_map(f.memory, &f.high, 0xc0000), 0);
	f.config = (struct boot_config){
		.memory = f.memory,
		.ram_below_4g = RAM_SIZE,
		.ram_above_4g = 1u << 20,
		.tables_gpa = TABLES_GPA,
		.rsdp_gpa = 0xf0000,
		.kernel = f.file,
		.append = "console=ttyS0",
		.ram_is_zero = true,
	};
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	guest_memory_destroy(f->memory);
	memory_region_free_host(f->ram, RAM_SIZE);
	return 0;
}

static void put(uint8_t *at, uint64_t value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get(const uint8_t *at, unsigned size)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)at[i] << (8 * i);
	return value;
}

static int load(struct fixture *f, const char *part)
{
	char *error = NULL;
	int err = boot_load(&f->config, &f->start, &error);

	if (err)
		assert_non_null(error);
	else
		assert_null(error);
	if (part && (!error || !strstr(error, part))) {
		print_message("said: %s\n", error ? error : "nothing");
		fail();
	}
	free(error);
	return err;
}

/* Header, load segment (0x800 bytes at 0x1000 of the file, 0x1800 in memory), note. */
static uint8_t *make_elf(struct fixture *f)
{
	uint8_t *elf = f->file, *segment = elf + 64, *note = segment + 56, *content = note + 56;

	memcpy(elf, "\177ELF\2\1\1", 7);
	put(elf + 18, 62, 2);
	put(elf + 32, 64, 8);
	put(elf + 54, 56, 2);
	put(elf + 56, 2, 2);
	put(segment, 1, 4);
	put(segment + 8, 0x1000, 8);
	put(segment + 16, 0xffffffff80000000, 8); /* a virtual address that means nothing here */
	put(segment + 24, 0x200000, 8);
	put(segment + 32, 0x800, 8);
	put(segment + 40, 0x1800, 8);
	put(note, 4, 4);
	put(note + 8, (uint64_t)(content - elf), 8);
	put(note + 32, 48, 8);
	/* Another's note first, its name padded. */
	put(content, 5, 4);
	put(content + 4, 3, 4);
	put(content + 8, 18, 4);
	memcpy(content + 12, "GNU!", 5);
	content += 24;
	put(content, 4, 4);
	put(content + 4, 8, 4);
	put(content + 8, 18, 4);
	memcpy(content + 12, "Xen", 4);
	put(content + 16, 0x200040, 8);
	memset(elf + 0x1000, 0xc3, 0x800);
	f->config.kernel_size = ELF_SIZE;
	return segment;
}

static void test_pvh(void **state)
{
	static const uint8_t initrd[] = "cpio";
	struct fixture *f = *state;
	const uint8_t *info, *list, *map;
	uint64_t initrd_gpa;

	make_elf(f);
	f->config.initrd = initrd;
	f->config.initrd_size = sizeof(initrd);
	f->config.ram_is_zero = false;
	memset(f->ram + 0x200800, 0xee, 0x1001);
	assert_int_equal(load(f, NULL), 0);
	assert_true(f->start.flat32);
	assert_int_equal(f->start.eip, 0x200040);
	assert_int_equal(f->ram[0x2007ff], 0xc3);
	assert_int_equal(f->ram[0x200800], 0);
	assert_int_equal(f->ram[0x2017ff], 0);
	assert_int_equal(f->ram[0x201800], 0xee);
	info = f->ram + f->start.ebx;
	assert_int_equal(get(info, 4), 0x336ec578);
	assert_int_equal(get(info + 4, 4), 1);
	assert_int_equal(get(info + 12, 4), 1);
	assert_string_equal((char *)f->ram + get(info + 24, 8), "console=ttyS0");
	assert_int_equal(get(info + 32, 8), 0xf0000);
	list = f->ram + get(info + 16, 8);
	initrd_gpa = get(list, 8);
	assert_int_equal(get(list + 8, 8), sizeof(initrd));
	assert_in_range(initrd_gpa, 0x201800, TABLES_GPA - sizeof(initrd));
	assert_string_equal((char *)f->ram + initrd_gpa, "cpio");
	map = f->ram + get(info + 40, 8);
	assert_int_equal(get(info + 48, 4), 7);
	assert_int_equal(get(map + 16, 4), 1);
	assert_int_equal(get(map + 6 * 24, 8), UINT64_C(1) << 32);
	assert_int_equal(get(map + 6 * 24 + 8, 8), 1u << 20);
	/* The GDT that both protocols may rely on. */
	assert_int_equal(get(f->ram + f->start.gdt_base + 0x10, 8), 0x00cf9b000000ffff);
	assert_int_equal(f->start.gdt_limit, 31);
}

static void test_pvh_refusals(void **state)
{
	struct fixture *f = *state;
	uint8_t *segment = make_elf(f);

	put(segment + 24, 0x9f000, 8);
	assert_int_equal(load(f, "below 1 MiB"), -ENOEXEC);
	put(segment + 24, TABLES_GPA - 0x1000, 8);
	assert_int_equal(load(f, "more"), -E2BIG);
	put(segment + 24, UINT64_MAX - 0x100, 8);
	assert_int_equal(load(f, NULL), -ENOEXEC);
	put(segment + 24, 0x200000, 8);
	put(segment + 40, 0x7ff, 8); /* less in memory than in the file */
	assert_int_equal(load(f, NULL), -ENOEXEC);
	put(segment + 40, 0x1800, 8);
	put(segment + 32, UINT64_MAX - 0xf, 8);
	assert_int_equal(load(f, NULL), -ENOEXEC);
	put(segment + 32, 0x800, 8);
	put(f->file + 32, UINT64_MAX - 8, 8); /* the table's place */
	assert_int_equal(load(f, NULL), -ENOEXEC);
	put(f->file + 32, 64, 8);
	put(f->file + 18, 40, 2); /* ARM */
	assert_int_equal(load(f, "another machine"), -ENOEXEC);
	put(f->file + 18, 62, 2);
	put(segment + 56, 6, 4); /* no note */
	assert_int_equal(load(f, "without a PVH entry"), -ENOEXEC);
	put(segment + 56, 4, 4);
	assert_int_equal(load(f, NULL), 0);
	f->config.initrd = f->file;
	f->config.initrd_size = RAM_SIZE - 0x200000;
	assert_int_equal(load(f, "initrd"), -E2BIG);
}

static void test_pvh_truncated_and_mutated(void **state)
{
	struct fixture *f = *state;
	unsigned seed = 1, loaded = 0;

	make_elf(f);
	for (size_t size = 0; size < 0x1800; size += size < 300 ? 1 : 97) {
		f->config.kernel_size = size;
		assert_int_not_equal(load(f, NULL), 0);
	}
	for (unsigned i = 0; i < 20000; i++) {
		make_elf(f);
		for (unsigned n = 0; n < 3; n++)
			f->file[(unsigned)rand_r(&seed) % 240] = (uint8_t)rand_r(&seed);
		loaded += load(f, NULL) == 0;
	}
	assert_in_range(loaded, 1, 19999);
}

static struct setup_header *make_linux(struct fixture *f)
{
	struct setup_header *header = (struct setup_header *)(f->file + 0x1f1);

	memset(f->file, 0x90, LINUX_SIZE);
	memset(header, 0, sizeof(*header));
	header->setup_sects = 3;
	header->boot_flag = 0xaa55;
	header->jump = (uint16_t)(0xeb | (0x26c - 0x202) << 8);
	memcpy(&header->header, "HdrS", 4);
	header->version = PROTOCOL;
	header->loadflags = LOADED_HIGH;
	header->cmdline_size = 2047;
	header->initrd_addr_max = 0x7fffffff;
	header->pref_address = 0x1000000;
	header->init_size = 0x800000;
	header->relocatable_kernel = 1;
	header->kernel_alignment = 0x200000;
	f->file[4 * 512] = 0xfc; /* the first byte of the protected-mode part */
	f->config.kernel_size = LINUX_SIZE;
	return header;
}

static void test_linux(void **state)
{
	static const uint8_t initrd[0x1234] = "cpio";
	struct fixture *f = *state;
	const struct boot_params *params;

	make_linux(f);
	f->config.initrd = initrd;
	f->config.initrd_size = sizeof(initrd);
	assert_int_equal(load(f, NULL), 0);
	assert_int_equal(f->start.eip, 0x100000);
	assert_int_equal(f->ram[0x100000], 0xfc);
	assert_int_equal(f->start.ebx, 0);
	params = (const void *)(f->ram + f->start.esi);
	assert_int_equal(params->sentinel, 0);
	assert_int_equal(params->hdr.type_of_loader, 0xff);
	assert_int_equal(params->acpi_rsdp_addr, 0xf0000);
	assert_int_equal(params->e820_entries, 7);
	assert_int_equal(params->e820_table[3].addr, 0x100000);
	assert_int_equal(params->e820_table[3].size, TABLES_GPA - 0x100000);
	assert_string_equal((char *)f->ram + params->hdr.cmd_line_ptr, "console=ttyS0");
	/* Above all that the kernel needs to unpack itself. */
	assert_in_range(params->hdr.ramdisk_image, 0x1800000, TABLES_GPA - sizeof(initrd));
	assert_int_equal(params->hdr.ramdisk_image % 4096, 0);
	assert_int_equal(params->hdr.ramdisk_size, sizeof(initrd));
	assert_string_equal((char *)f->ram + params->hdr.ramdisk_image, "cpio");
}

static void test_linux_refusals(void **state)
{
	struct fixture *f = *state;
	struct setup_header *header = make_linux(f);
	char line[2049];

	header->version = 0x205;
	assert_int_equal(load(f, "bzImage"), -ENOEXEC);
	header->version = PROTOCOL;
	header->loadflags = 0;
	assert_int_equal(load(f, "zImage"), -ENOEXEC);
	header->loadflags = LOADED_HIGH;
	header->setup_sects = 0x40;
	assert_int_equal(load(f, "cut short"), -ENOEXEC);
	header->setup_sects = 3;
	header->pref_address = UINT64_MAX - 1;
	assert_int_equal(load(f, NULL), -ENOEXEC);
	header->pref_address = 0x1000000;
	header->init_size = 0xffffffff;
	assert_int_equal(load(f, "more"), -E2BIG);
	header->init_size = 0x800000;
	f->config.initrd = f->file;
	f->config.initrd_size = 0x800000;
	assert_int_equal(load(f, "initrd"), -E2BIG);
	f->config.initrd_size = 0;
	memset(line, 'x', sizeof(line));
	line[2048] = 0;
	f->config.append = line;
	assert_int_equal(load(f, "2047"), -EINVAL);
	line[2047] = 0;
	assert_int_equal(load(f, NULL), 0);
	for (size_t size = 0; size < 0x801; size++) {
		f->config.kernel_size = size;
		assert_int_not_equal(load(f, NULL), 0);
	}
}

static void test_linux_mutated(void **state)
{
	struct fixture *f = *state;
	unsigned seed = 2, loaded = 0;

	for (unsigned i = 0; i < 20000; i++) {
		make_linux(f);
		for (unsigned n = 0; n < 4; n++)
			f->file[0x1f1 + (unsigned)rand_r(&seed) % 130] = (uint8_t)rand_r(&seed);
		loaded += load(f, NULL) == 0;
	}
	assert_in_range(loaded, 1, 19999);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pvh, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pvh_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pvh_truncated_and_mutated, setup, teardown),
		cmocka_unit_test_setup_teardown(test_linux, setup, teardown),
		cmocka_unit_test_setup_teardown(test_linux_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_linux_mutated, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* The whole machine on KVM: tiny PVH guests of our own, resets of all kinds, ends, stopping while
 * vCPUs wait for the loop, and SeaBIOS to its messages. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/util.h"
#include "hypervisor/machine.h"

#define SEABIOS     "/usr/share/seabios/bios-256k.bin"
#define ELF_CODE    0x1000u
#define LOAD_GPA    0x200000u
#define PATIENCE_NS UINT64_C(60000000000)

struct text_port {
	struct byte_port port;
	pthread_mutex_t lock;
	char text[65536];
	size_t used;
	const char *stop_at; /* ends the loop when the text holds it */
	struct loop *loop;
};

struct fixture {
	struct loop *loop;
	struct loop_timer *patience;
	struct machine *machine;
	struct machine_config config;
	struct text_port serial, firmware;
	uint8_t elf[ELF_CODE + 0x1000];
	unsigned exits, resets;
	enum machine_exit exit;
	char reason[400];
	bool late;
	struct bus_region region; /* port 0x99 */
	unsigned calls;
};

static size_t text_write(struct byte_port *port, const uint8_t *bytes, size_t size)
{
	struct text_port *text = container_of(port, struct text_port, port);

	pthread_mutex_lock(&text->lock);
	for (size_t i = 0; i < size && text->used < sizeof(text->text) - 1; i++)
		text->text[text->used++] = (char)bytes[i];
	if (text->stop_at && strstr(text->text, text->stop_at)) {
		text->stop_at = NULL;
		loop_stop(text->loop);
	}
	pthread_mutex_unlock(&text->lock);
	return size;
}

static const struct byte_port_ops text_ops = { .write = text_write };

static void on_exit_event(void *opaque, enum machine_exit exit, const char *reason)
{
	struct fixture *f = opaque;

	f->exits++;
	f->exit = exit;
	snprintf(f->reason, sizeof(f->reason), "%s", reason ? reason : "");
	loop_stop(f->loop);
}

static void on_reset(void *opaque)
{
	((struct fixture *)opaque)->resets++;
}

static void on_late(void *opaque)
{
	struct fixture *f = opaque;

	f->late = true;
	loop_stop(f->loop);
}

static struct fixture fixture;

static int setup(void **state)
{
	struct fixture *f = &fixture;

	memset(f, 0, sizeof(*f));
	pthread_mutex_init(&f->serial.lock, NULL);
	pthread_mutex_init(&f->firmware.lock, NULL);
	assert_int_equal(loop_create(&f->loop), 0);
	f->patience = loop_timer_add(f->loop, on_late, f);
	f->serial.port.ops = f->firmware.port.ops = &text_ops;
	f->serial.loop = f->firmware.loop = f->loop;
	f->config = (struct machine_config){
		.loop = f->loop,
		.memory_bytes = 32u << 20,
		.cpus = 1,
		.serial = &f->serial.port,
		.on_exit = on_exit_event,
		.on_reset = on_reset,
		.opaque = f,
	};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	machine_destroy(f->machine);
	loop_timer_remove(f->patience);
	loop_destroy(f->loop);
	pthread_mutex_destroy(&f->serial.lock);
	pthread_mutex_destroy(&f->firmware.lock);
	return 0;
}

static void put(uint8_t *at, uint64_t value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

/* An ELF64 with one segment at LOAD_GPA and a PVH note that enters there. */
static void make_kernel(struct fixture *f, const void *code, size_t size)
{
	uint8_t *elf = f->elf, *load = elf + 64, *note = load + 56, *content = note + 56;

	memcpy(elf, "\177ELF\2\1\1", 7);
	put(elf + 18, 62, 2); /* x86-64 */
	put(elf + 32, 64, 8); /* program headers */
	put(elf + 54, 56, 2);
	put(elf + 56, 2, 2);
	put(load, 1, 4);
	put(load + 8, ELF_CODE, 8);
	put(load + 24, LOAD_GPA, 8);
	put(load + 32, 0x1000, 8);
	put(load + 40, 0x2000, 8);
	put(note, 4, 4);
	put(note + 8, (uint64_t)(content - elf), 8);
	put(note + 32, 20, 8);
	put(content, 4, 4);
	put(content + 4, 4, 4);
	put(content + 8, 18, 4);
	memcpy(content + 12, "Xen", 4);
	put(content + 16, LOAD_GPA, 4);
	memcpy(elf + ELF_CODE, code, size);
	f->config.kernel = (struct machine_blob){ elf, sizeof(f->elf) };
}

static void create(struct fixture *f)
{
	char *error = NULL;
	int err = machine_create(&f->machine, &f->config, &error);

	if (err)
		print_message("%s\n", error);
	assert_int_equal(err, 0);
}

static void start_and_run(struct fixture *f)
{
	char *error = NULL;

	assert_int_equal(machine_start(f->machine, &error), 0);
	loop_timer_arm(f->patience, PATIENCE_NS);
	loop_run(f->loop);
	if (f->late)
		print_message("too late; serial \"%s\"\n", f->serial.text);
	assert_false(f->late);
}

/* Writes its command line to COM1 and turns itself off by ACPI. */
/* clang-format off */
static const uint8_t echo_guest[] = {
	0x8b, 0x73, 0x18,	/* mov 24(%ebx), %esi: the command line */
	0xac,			/* lodsb */
	0x84, 0xc0,		/* test %al, %al */
	0x74, 0x07,		/* jz to the end */
	0x66, 0xba, 0xf8, 0x03, /* mov $0x3f8, %dx */
	0xee,			/* out %al, %dx */
	0xeb, 0xf4,		/* jmp to lodsb */
	0x66, 0xba, 0x04, 0x06, /* mov $0x604, %dx */
	0x66, 0xb8, 0x00, 0x20, /* mov $0x2000, %ax: SLP_EN, type 0 */
	0x66, 0xef,		/* out %ax, %dx */
	0xf4, 0xeb, 0xfd,	/* hlt */
};
/* clang-format on */

static void test_command_line_and_power_off(void **state)
{
	struct fixture *f = *state;

	make_kernel(f, echo_guest, sizeof(echo_guest));
	f->config.append = "pattern=7 quiet";
	create(f);
	start_and_run(f);
	assert_int_equal(f->exits, 1);
	assert_int_equal(f->exit, MACHINE_EXIT_POWER_OFF);
	assert_string_equal(f->serial.text, "pattern=7 quiet");
	machine_stop(f->machine);
	machine_stop(f->machine);
	assert_int_equal(f->exits, 1);
}

/* Counts in memory that a reset leaves alone, says the count, and resets in another way each time. */
/* clang-format off */
static const uint8_t reset_guest[] = {
	0xff, 0x05, 0x00, 0x00, 0x30, 0x00, /* incl 0x300000 */
	0xa1, 0x00, 0x00, 0x30, 0x00,	    /* mov 0x300000, %eax */
	0x83, 0xc0, 0x30,		    /* add $'0', %eax */
	0x66, 0xba, 0xf8, 0x03, 0xee,	    /* to COM1 */
	0x3c, 0x31, 0x75, 0x09,		    /* 1: */
	0x66, 0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee, 0xeb, 0x24, /* port 0xCF9 */
	0x3c, 0x32, 0x75, 0x06,		    /* 2: */
	0xb0, 0xfe, 0xe6, 0x64, 0xeb, 0x1a, /* the keyboard controller */
	0x3c, 0x33, 0x75, 0x06,		    /* 3: */
	0xb0, 0x01, 0xe6, 0x92, 0xeb, 0x10, /* port 0x92 */
	0x3c, 0x34, 0x75, 0x02,		    /* 4: */
	0x0f, 0x0b,			    /* a triple fault */
	0x66, 0xba, 0x04, 0x06, 0x66, 0xb8, 0x00, 0x20, 0x66, 0xef, /* else off */
	0x66, 0xba, 0xf8, 0x03, 0xb0, 0x58, 0xee, /* what must not run: 'X' to COM1 */
	0xf4, 0xeb, 0xfd,
};
/* clang-format on */

static void test_resets(void **state)
{
	struct fixture *f = *state;

	make_kernel(f, reset_guest, sizeof(reset_guest));
	f->config.cpus = 2;
	create(f);
	start_and_run(f);
	assert_int_equal(f->exit, MACHINE_EXIT_POWER_OFF);
	assert_string_equal(f->serial.text, "12345");
	assert_int_equal(f->resets, 4);
}

static void test_reset_may_be_the_end(void **state)
{
	struct fixture *f = *state;

	make_kernel(f, reset_guest, sizeof(reset_guest));
	f->config.reboot_is_exit = true;
	create(f);
	start_and_run(f);
	assert_int_equal(f->exit, MACHINE_EXIT_POWER_OFF);
	assert_string_equal(f->serial.text, "1");
	assert_int_equal(f->resets, 0);
}

static void test_failure(void **state)
{
	static const uint8_t code[] = { 0xb8, 0x00, 0x00, 0x00, 0xd8, 0xff, 0xe0 }; /* jmp away */
	struct fixture *f = *state;

	make_kernel(f, code, sizeof(code));
	create(f);
	start_and_run(f);
	assert_int_equal(f->exits, 1);
	assert_int_equal(f->exit, MACHINE_EXIT_FAILED);
	assert_non_null(strstr(f->reason, "0xd8000000"));
}

/* ---- stopping ---- */

static void called_on_loop(void *opaque)
{
	struct fixture *f = opaque;

	if (++f->calls == 50)
		loop_stop(f->loop);
}

static void call_write(struct bus_region *region, uint64_t offset, uint64_t value, unsigned size)
{
	struct fixture *f = container_of(region, struct fixture, region);

	loop_call(f->loop, called_on_loop, f);
}

static const struct bus_ops call_ops = { .write = call_write };

static void stop_inside(void *opaque)
{
	struct fixture *f = opaque;

	machine_stop(f->machine);
	loop_stop(f->loop);
}

static void test_stop_while_a_cpu_waits_for_the_loop(void **state)
{
	static const uint8_t code[] = { 0xe6, 0x99, 0xeb, 0xfc }; /* out to 0x99, for ever */
	struct fixture *f = *state;
	unsigned calls;

	make_kernel(f, code, sizeof(code));
	create(f);
	f->region = (struct bus_region){ .ops = &call_ops, .size = 1, .priority = 5 };
	assert_int_equal(bus_add(machine_pci_host(f->machine)->ports, &f->region, 0x99), 0);
	start_and_run(f);
	assert_true(f->calls >= 50);
	/* In a posted call, with a vCPU's call right behind it in the queue. */
	loop_post(f->loop, stop_inside, f);
	usleep(20000);
	loop_run(f->loop);
	calls = f->calls;
	usleep(20000);
	assert_int_equal(f->calls, calls);
	assert_int_equal(f->exits, 0);
}

static void test_destroy_before_start(void **state)
{
	struct fixture *f = *state;

	make_kernel(f, echo_guest, sizeof(echo_guest));
	create(f);
}

/* ---- refusals ---- */

static void refuse(struct fixture *f, const char *part)
{
	char *error = NULL;

	assert_true(machine_create(&f->machine, &f->config, &error) < 0);
	assert_non_null(error);
	if (!strstr(error, part))
		print_message("said: %s\n", error);
	assert_non_null(strstr(error, part));
	assert_null(strchr(error, '\n'));
	free(error);
	f->machine = NULL;
}

static void test_refusals(void **state)
{
	const struct machine_disk missing = { .path = "/nonexistent/disk.img" };
	struct fixture *f = *state;

	refuse(f, "neither a kernel nor a firmware");
	f->config.kernel = (struct machine_blob){ (const uint8_t *)"#!/bin/sh\n", 10 };
	refuse(f, "neither a Linux bzImage nor an ELF");
	make_kernel(f, echo_guest, sizeof(echo_guest));
	f->config.memory_bytes = 1u << 20;
	refuse(f, "at least 16 MiB");
	f->config.memory_bytes = UINT64_C(1) << 46;
	refuse(f, "more than this computer has");
	f->config.memory_bytes = 32u << 20;
	f->config.cpus = 65;
	refuse(f, "1 to 64");
	f->config.cpus = 1;
	f->config.disks = &missing;
	f->config.disk_count = 1;
	refuse(f, "/nonexistent/disk.img");
	f->config.disk_count = 0;
	f->config.initrd = (struct machine_blob){ f->elf, UINT64_C(64) << 20 };
	refuse(f, "initrd");
}

static void test_memory_above_4g(void **state)
{
	struct fixture *f = *state;
	struct guest_memory *memory;

	make_kernel(f, echo_guest, sizeof(echo_guest));
	f->config.memory_bytes = UINT64_C(4) << 30; /* taken page by page as it is touched */
	create(f);
	memory = machine_pci_host(f->machine)->memory;
	assert_non_null(guest_pointer(memory, 0xbfffffff, 1, true));
	assert_null(guest_pointer(memory, 0xc0000000, 1, false));
	assert_non_null(guest_pointer(memory, 0x100000000, 0x40000000, true));
	assert_null(guest_pointer(memory, 0x140000000, 1, false));
	assert_null(guest_pointer(memory, 0xa0000, 1, false)); /* VGA's */
}

/* ---- firmware ---- */

static uint8_t *use_seabios(struct fixture *f)
{
	uint8_t *image = NULL;
	size_t size = 0;

	if (file_read_all(SEABIOS, 1u << 20, &image, &size)) {
		print_message("skipped: %s is not installed\n", SEABIOS);
		skip();
	}
	f->config.memory_bytes = 64u << 20;
	f->config.firmware = (struct machine_blob){ image, size };
	f->config.firmware_log = &f->firmware.port;
	create(f);
	return image;
}

static void test_seabios_finds_the_machine(void **state)
{
	struct fixture *f = *state;
	uint8_t *image = use_seabios(f);

	f->firmware.stop_at = "Found 1 cpu(s)";
	start_and_run(f);
	assert_non_null(strstr(f->firmware.text, "SeaBIOS (version"));
	assert_non_null(strstr(f->firmware.text, "Running on KVM"));
	assert_non_null(strstr(f->firmware.text, "bdf=00:01.3 id=8086:7113"));
	free(image);
}

static void press(struct fixture *f, uint32_t scancode, bool down)
{
	struct input_sink *input = machine_input(f->machine);

	input->ops->key(input, scancode, down);
}

/* The keyboard's interrupt reaches firmware, which resets the machine, and all begins anew. */
static void test_seabios_ctrl_alt_del(void **state)
{
	struct fixture *f = *state;
	uint8_t *image = use_seabios(f);

	f->firmware.stop_at = "No bootable device.\n";
	start_and_run(f);
	pthread_mutex_lock(&f->firmware.lock);
	memset(f->firmware.text, 0, sizeof(f->firmware.text));
	f->firmware.used = 0;
	f->firmware.stop_at = "Found 1 cpu(s)";
	pthread_mutex_unlock(&f->firmware.lock);
	press(f, 0x1d, true);
	press(f, 0x38, true);
	press(f, 0x153, true);
	loop_timer_arm(f->patience, PATIENCE_NS);
	loop_run(f->loop);
	assert_false(f->late);
	assert_int_equal(f->resets, 1);
	assert_non_null(strstr(f->firmware.text, "SeaBIOS (version"));
	free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_command_line_and_power_off, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset_may_be_the_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failure, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_stop_while_a_cpu_waits_for_the_loop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_destroy_before_start, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory_above_4g, setup, teardown),
		cmocka_unit_test_setup_teardown(test_seabios_finds_the_machine, setup, teardown),
		cmocka_unit_test_setup_teardown(test_seabios_ctrl_alt_del, setup, teardown),
	};
	char *error = NULL;

	if (machine_kvm_probe(&error)) {
		printf("skipped: %s\n", error);
		free(error);
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

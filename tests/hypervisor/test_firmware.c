/* SPDX-License-Identifier: MIT */
/*
 * SeaBIOS, unchanged, on our machine under KVM: it finds its tables, boots a disk's first sector, is
 * reset, boots again, takes a key by interrupt, and the sector turns the machine off by ACPI. Then
 * the same without a disk. On slow KVMs each boot takes several seconds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/util.h"
#include "hypervisor/machine.h"

#define FIRMWARE "/usr/share/seabios/bios-256k.bin"

enum { LOG_SIZE = 64 << 10, PATIENCE_SECONDS = 100, DISK_SIZE = 1 << 20 };

/* The boot sector. First it counts itself in the CMOS memory and resets the machine. The second time
 * it asks the firmware for a key, and sends what it got to COM1. */
__asm__(".pushsection .rodata\n"
	".globl boot_sector\n"
	"boot_sector:\n"
	".code16\n"
	"	movw $0x402, %dx\n"
	"	movb $0x40, %al\n"
	"	outb %al, $0x70\n"
	"	inb $0x71, %al\n"
	"	testb %al, %al\n"
	"	jnz 1f\n"
	"	movb $1, %al\n"
	"	outb %al, $0x71\n"
	"	movb $'R', %al\n"
	"	outb %al, %dx\n"
	"	movw $0xcf9, %dx\n"
	"	movb $6, %al\n"
	"	outb %al, %dx\n"
	"0:	hlt\n"
	"	jmp 0b\n"
	"1:	movb $'K', %al\n"
	"	outb %al, %dx\n"
	"	movb $'\n', %al\n"
	"	outb %al, %dx\n"
	"	xorw %ax, %ax\n"
	"	int $0x16\n"
	"	movw $0x3f8, %dx\n"
	"	outb %al, %dx\n"
	"	movb %ah, %al\n"
	"	outb %al, %dx\n"
	"	movw $0x604, %dx\n"
	"	movw $0x2000, %ax\n"
	"	outw %ax, %dx\n"
	"2:	hlt\n"
	"	jmp 2b\n"
	"	.org boot_sector + 510\n"
	"	.word 0xaa55\n"
	".code64\n"
	".popsection\n");
extern const uint8_t boot_sector[512] __attribute__((visibility("hidden")));

struct fixture {
	struct loop *loop;
	struct machine *machine;
	struct byte_port firmware_log;
	struct byte_port serial;
	struct loop_timer *patience;
	uint8_t *firmware;
	size_t firmware_size;
	char disk[64];
	/* Written on the vCPU's thread, read when the loop has stopped. */
	char log[LOG_SIZE];
	size_t log_used;
	const char *awaited;
	bool seen;
	char sent[16];
	size_t sent_used;
	unsigned resets;
	unsigned exits;
	enum machine_exit exit;
	bool impatient;
};

static void on_awaited(void *opaque)
{
	struct fixture *f = opaque;

	if (!strcmp(f->awaited, "K\n")) {
		struct input_sink *input = machine_input(f->machine);

		input->ops->key(input, 0x2a, true);
		input->ops->key(input, 0x1e, true);
		input->ops->key(input, 0x1e, false);
		input->ops->key(input, 0x2a, false);
	} else {
		loop_stop(f->loop);
	}
}

static size_t log_write_bytes(struct byte_port *port, const uint8_t *bytes, size_t size)
{
	struct fixture *f = container_of(port, struct fixture, firmware_log);

	for (size_t i = 0; i < size && f->log_used < sizeof(f->log) - 1; i++)
		f->log[f->log_used++] = (char)bytes[i];
	if (!f->seen && bytes[size - 1] == '\n' && strstr(f->log, f->awaited)) {
		f->seen = true;
		loop_post(f->loop, on_awaited, f);
	}
	return size;
}

static size_t serial_write_bytes(struct byte_port *port, const uint8_t *bytes, size_t size)
{
	struct fixture *f = container_of(port, struct fixture, serial);

	for (size_t i = 0; i < size && f->sent_used < sizeof(f->sent) - 1; i++)
		f->sent[f->sent_used++] = (char)bytes[i];
	return size;
}

static const struct byte_port_ops log_ops = { .write = log_write_bytes };
static const struct byte_port_ops serial_ops = { .write = serial_write_bytes };

static void on_exit_call(void *opaque, enum machine_exit exit, const char *reason)
{
	struct fixture *f = opaque;

	f->exits++;
	f->exit = exit;
	if (exit == MACHINE_EXIT_FAILED)
		print_message("the machine failed: %s\n", reason);
	loop_stop(f->loop);
}

static void on_reset_call(void *opaque)
{
	((struct fixture *)opaque)->resets++;
}

static void on_impatience(void *opaque)
{
	struct fixture *f = opaque;

	f->impatient = true;
	loop_stop(f->loop);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char *error = NULL;

	*state = f;
	if (machine_kvm_probe(&error) != 0 || access(FIRMWARE, R_OK) != 0) {
		print_message("skipped: %s\n", error ? error : FIRMWARE " is missing");
		free(error);
		return 0;
	}
	f->firmware_log.ops = &log_ops;
	f->serial.ops = &serial_ops;
	assert_int_equal(file_read_all(FIRMWARE, 1 << 20, &f->firmware, &f->firmware_size), 0);
	assert_int_equal(loop_create(&f->loop), 0);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->disk[0])
		unlink(f->disk);
	if (f->loop)
		loop_destroy(f->loop);
	free(f->firmware);
	free(f);
	return 0;
}

static void make_disk(struct fixture *f)
{
	int fd;

	strcpy(f->disk, "/tmp/spicebox-boot-XXXXXX");
	fd = mkstemp(f->disk);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, DISK_SIZE), 0);
	assert_int_equal(write(fd, boot_sector, sizeof(boot_sector)), sizeof(boot_sector));
	close(fd);
}

static void run(struct fixture *f, uint32_t cpus, const char *awaited)
{
	struct machine_disk disk = { .path = f->disk, .snapshot = true };
	struct machine_config config = {
		.loop = f->loop,
		.memory_bytes = 64 << 20,
		.cpus = cpus,
		.firmware = { f->firmware, f->firmware_size },
		.disks = &disk,
		.disk_count = f->disk[0] != '\0',
		.serial = &f->serial,
		.firmware_log = &f->firmware_log,
		.on_exit = on_exit_call,
		.on_reset = on_reset_call,
		.opaque = f,
	};
	char *error = NULL;

	f->awaited = awaited;
	f->patience = loop_timer_add(f->loop, on_impatience, f);
	loop_timer_arm(f->patience, PATIENCE_SECONDS * UINT64_C(1000000000));
	if (machine_create(&f->machine, &config, &error) != 0 ||
		machine_start(f->machine, &error) != 0)
		fail_msg("%s", error);
	assert_int_equal(loop_run(f->loop), 0);
	machine_destroy(f->machine);
	loop_timer_remove(f->patience);
	if (f->impatient)
		fail_msg("nothing happened; the firmware said:\n%s", f->log);
}

static void said(struct fixture *f, const char *text)
{
	if (!strstr(f->log, text))
		fail_msg("the firmware did not say \"%s\":\n%s", text, f->log);
}

static void test_boot(void **state)
{
	struct fixture *f = *state;

	if (!f->loop)
		skip();
	make_disk(f);
	run(f, 1, "K\n");
	assert_int_equal(f->exits, 1);
	assert_int_equal(f->exit, MACHINE_EXIT_POWER_OFF);
	assert_int_equal(f->resets, 1);
	said(f, "R");
	said(f, "QEMU fw_cfg DMA interface supported");
	said(f, "Moving pm_base to 0x600");
	said(f, "Copying SMBIOS");
	said(f, "ACPI: parse DSDT");
	said(f, "PS2 keyboard initialized");
	said(f, "Found 1 serial ports");
	assert_null(strstr(f->log, "WARNING"));
	/* The key as the firmware gave it: character and scan code. */
	assert_memory_equal(f->sent, "A\x1e", 2);
}

static void test_nothing_to_boot(void **state)
{
	struct fixture *f = *state;

	if (!f->loop)
		skip();
	run(f, 2, "No bootable device.");
	assert_int_equal(f->exits, 0);
	said(f, "Found 2 cpu(s) max supported 2 cpu(s)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_boot, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing_to_boot, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

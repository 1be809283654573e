/* SPDX-License-Identifier: MIT */
/* A real driver on the disk: SeaBIOS boots from it, and its boot sector reads and writes sectors. */
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

#define SEABIOS "/usr/share/seabios/bios-256k.bin"

enum { IMAGE = 1 << 20, SECTOR = 512, PATIENCE_S = 39, PACKETS = 0x84 };

/* At 0000:7c00 in 16-bit mode: copies sector 1 to sector 3 by INT 13h, and tells what it reads and
 * how it ended on COM1. */
static const uint8_t boot_code[] = {
	0x31, 0xc0, /* xor ax, ax */
	0x8e, 0xd8, 0x8e, 0xd0, /* mov ds, ax; mov ss, ax */
	0xbc, 0x00, 0x7c, /* mov sp, 0x7c00 */
	0xbe, 0x84, 0x7c, /* mov si, packet 0 */
	0xb4, 0x42, /* mov ah, 0x42: extended read; dl is the drive */
	0xcd, 0x13, /* int 0x13 */
	0x72, 0x18, /* jc failed */
	0xbe, 0x00, 0x80, /* mov si, 0x8000 */
	0xe8, 0x1b, 0x00, /* call print */
	0xbe, 0x94, 0x7c, /* mov si, packet 1 */
	0xb8, 0x00, 0x43, /* mov ax, 0x4300: extended write */
	0xb2, 0x80, /* mov dl, 0x80: print used it */
	0xcd, 0x13, /* int 0x13 */
	0x72, 0x06, /* jc failed */
	0xbe, 0x60, 0x7c, /* mov si, "written" */
	0xeb, 0x04, 0x90, /* jmp tell; nop */
	0xbe, 0x70, 0x7c, /* failed: mov si, "failed" */
	0xe8, 0x03, 0x00, /* tell: call print */
	0xf4, /* rest: hlt */
	0xeb, 0xfd, /* jmp rest */
	0xac, /* print: lodsb */
	0x84, 0xc0, /* test al, al */
	0x74, 0x06, /* jz out */
	0xba, 0xf8, 0x03, /* mov dx, 0x3f8 */
	0xee, /* out dx, al */
	0xeb, 0xf5, /* jmp print */
	0xc3, /* out: ret */
};

/* Sector counts, buffers (0000:8000) and sectors, as INT 13h takes them. */
static const uint8_t packets[2][16] = {
	{ 16, 0, 1, 0, 0x00, 0x80, 0, 0, 1 },
	{ 16, 0, 1, 0, 0x00, 0x80, 0, 0, 3 },
};

struct fixture {
	struct loop *loop;
	struct byte_port serial;
	_Atomic size_t used;
	char text[4096];
	char path[64];
	uint8_t image[IMAGE];
	uint8_t *firmware;
	size_t firmware_size;
};

static size_t serial_write(struct byte_port *port, const uint8_t *bytes, size_t size)
{
	struct fixture *f = container_of(port, struct fixture, serial);

	for (size_t i = 0; i < size && f->used < sizeof(f->text) - 1; i++) {
		f->text[f->used++] = (char)bytes[i];
		if (bytes[i] == '!')
			loop_stop(f->loop);
	}
	return size;
}

static const struct byte_port_ops serial_ops = { .write = serial_write };

static void stop_loop(void *opaque)
{
	loop_stop(((struct fixture *)opaque)->loop);
}

static void on_exit_event(void *opaque, enum machine_exit exit, const char *reason)
{
	print_message("the machine ended: %s\n", reason ? reason : "power off");
	stop_loop(opaque);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fd;

	assert_int_equal(loop_create(&f->loop), 0);
	f->serial.ops = &serial_ops;
	memcpy(f->image, boot_code, sizeof(boot_code));
	strcpy((char *)f->image + 0x60, "written!");
	strcpy((char *)f->image + 0x70, "failed!");
	memcpy(f->image + PACKETS, packets, sizeof(packets));
	f->image[510] = 0x55;
	f->image[511] = 0xaa;
	strcpy((char *)f->image + SECTOR, "sector 1 of the disk, ");
	strcpy(f->path, "/var/tmp/spicebox-boot-XXXXXX");
	fd = mkstemp(f->path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, f->image, IMAGE), IMAGE);
	close(fd);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	loop_destroy(f->loop);
	unlink(f->path);
	free(f->firmware);
	free(f);
	return 0;
}

/* Runs the disk until its boot sector has told its end. */
static void boot(struct fixture *f, bool snapshot, bool read_only)
{
	struct machine_disk disk = {
		.path = f->path, .snapshot = snapshot, .read_only = read_only
	};
	struct machine_config config = { .loop = f->loop,
		.memory_bytes = 64 << 20,
		.cpus = 1,
		.disks = &disk,
		.disk_count = 1,
		.serial = &f->serial,
		.on_exit = on_exit_event,
		.opaque = f };
	struct loop_timer *patience = loop_timer_add(f->loop, stop_loop, f);
	struct machine *machine;
	char *error = NULL;

	if (machine_kvm_probe(&error) ||
		file_read_all(SEABIOS, 1 << 24, &f->firmware, &f->firmware_size)) {
		print_message("skipped: %s\n", error ? error : SEABIOS " is not installed");
		free(error);
		loop_timer_remove(patience);
		skip();
	}
	config.firmware = (struct machine_blob){ f->firmware, f->firmware_size };
	assert_int_equal(machine_create(&machine, &config, &error), 0);
	assert_int_equal(machine_start(machine, &error), 0);
	loop_timer_arm(patience, PATIENCE_S * UINT64_C(1000000000));
	loop_run(f->loop);
	loop_timer_remove(patience);
	machine_destroy(machine);
}

static void assert_image(struct fixture *f)
{
	uint8_t *data;
	size_t size;

	assert_int_equal(file_read_all(f->path, IMAGE, &data, &size), 0);
	assert_int_equal(size, IMAGE);
	assert_memory_equal(data, f->image, IMAGE);
	free(data);
}

static void test_read_and_write(void **state)
{
	struct fixture *f = *state;

	boot(f, false, false);
	assert_string_equal(f->text, "sector 1 of the disk, written!");
	memcpy(f->image + 3 * SECTOR, f->image + SECTOR, SECTOR);
	assert_image(f);
}

static void test_snapshot(void **state)
{
	struct fixture *f = *state;

	boot(f, true, false);
	assert_string_equal(f->text, "sector 1 of the disk, written!");
	assert_image(f);
}

static void test_read_only(void **state)
{
	struct fixture *f = *state;

	boot(f, false, true);
	assert_string_equal(f->text, "sector 1 of the disk, failed!");
	assert_image(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read_and_write, setup, teardown),
		cmocka_unit_test_setup_teardown(test_snapshot, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_only, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

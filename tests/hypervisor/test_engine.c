/* SPDX-License-Identifier: MIT */
/* The KVM engine with tiny hand-assembled guests: exits, interrupts, pausing, reset, failure. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/util.h"
#include "hypervisor/kvm.h"

#define RAM_SIZE 0x200000u
#define CODE_GPA 0x100000u
#define PATIENCE 20000 /* ms: far more than any of this takes */
#define LOG_SIZE 64

struct access {
	uint64_t addr;
	uint64_t value;
	unsigned size;
};

struct fixture {
	struct engine *engine;
	struct guest_memory *memory;
	struct bus *ports, *mmio;
	struct memory_region ram;
	struct bus_region port_region, mmio_region;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct access log[LOG_SIZE];
	unsigned logged, read;
	unsigned rests;
	int exits;
	enum engine_exit exit;
	char reason[ENGINE_REASON_MAX];
};

static void record(struct fixture *f, uint64_t addr, uint64_t value, unsigned size)
{
	pthread_mutex_lock(&f->lock);
	if (f->logged < LOG_SIZE)
		f->log[f->logged++] = (struct access){ addr, value, size };
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

static uint64_t port_read(struct bus_region *region, uint64_t offset, unsigned size)
{
	return 0x1234567890abcdef + offset;
}

static void port_write(struct bus_region *region, uint64_t offset, uint64_t value, unsigned size)
{
	record(container_of(region, struct fixture, port_region), offset, value, size);
}

static void mmio_write(struct bus_region *region, uint64_t offset, uint64_t value, unsigned size)
{
	record(container_of(region, struct fixture, mmio_region), region->base + offset, value,
		size);
}

static const struct bus_ops port_ops = { port_read, port_write };
static const struct bus_ops mmio_ops = { port_read, mmio_write };

static void on_exit_event(void *opaque, enum engine_exit exit, const char *reason)
{
	struct fixture *f = opaque;

	pthread_mutex_lock(&f->lock);
	f->exits++;
	f->exit = exit;
	snprintf(f->reason, sizeof(f->reason), "%s", reason ? reason : "");
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

static void on_rest(void *opaque)
{
	struct fixture *f = opaque;

	pthread_mutex_lock(&f->lock);
	f->rests++;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

static struct timespec deadline(void)
{
	struct timespec at;

	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_sec += PATIENCE / 1000;
	return at;
}

/* The guest's next write to a device. */
static struct access next_access(struct fixture *f)
{
	struct timespec until = deadline();
	struct access access;
	int err = 0;

	pthread_mutex_lock(&f->lock);
	while (!err && f->read == f->logged)
		err = pthread_cond_timedwait(&f->changed, &f->lock, &until);
	access = f->log[f->read];
	if (!err)
		f->read++;
	pthread_mutex_unlock(&f->lock);
	if (f->exits)
		print_message("the guest stopped: %s\n", f->reason);
	assert_int_equal(err, 0);
	return access;
}

static void expect(struct fixture *f, uint64_t addr, uint64_t value, unsigned size)
{
	struct access access = next_access(f);

	assert_int_equal(access.addr, addr);
	assert_int_equal(access.value, value);
	assert_int_equal(access.size, size);
}

static void pause_and_wait(struct fixture *f)
{
	struct timespec until = deadline();
	int err = 0;

	engine_pause(f->engine);
	pthread_mutex_lock(&f->lock);
	while (!err && f->rests == 0)
		err = pthread_cond_timedwait(&f->changed, &f->lock, &until);
	f->rests = 0;
	pthread_mutex_unlock(&f->lock);
	assert_int_equal(err, 0);
	assert_true(engine_resting(f->engine));
}

static int build(struct fixture *f, unsigned cpus)
{
	char *error = NULL;

	memset(f, 0, sizeof(*f));
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->changed, NULL);
	if (kvm_engine_create(&f->engine, cpus, &error)) {
		print_message("%s\n", error);
		free(error);
		return -1;
	}
	guest_memory_create(&f->memory, f->engine->memory_ops, f->engine);
	bus_create(&f->ports, false, f->engine->bus_ops, f->engine);
	bus_create(&f->mmio, true, f->engine->bus_ops, f->engine);
	f->ram = (struct memory_region){ .name = "ram", .size = RAM_SIZE };
	f->ram.host = memory_region_alloc_host(RAM_SIZE);
	assert_int_equal(guest_memory_map(f->memory, &f->ram, 0), 0);
	f->port_region = (struct bus_region){ .ops = &port_ops, .size = 0x10000 };
	f->mmio_region = (struct bus_region){ .ops = &mmio_ops, .size = 0x10000 };
	assert_int_equal(bus_add(f->ports, &f->port_region, 0), 0);
	assert_int_equal(bus_add(f->mmio, &f->mmio_region, 0xd0000000), 0);
	f->engine->ports = f->ports;
	f->engine->mmio = f->mmio;
	f->engine->on_exit = on_exit_event;
	f->engine->on_rest = on_rest;
	f->engine->opaque = f;
	return 0;
}

static struct fixture fixture;

static int setup(void **state)
{
	*state = &fixture;
	return build(&fixture, 1);
}

static int setup_two(void **state)
{
	*state = &fixture;
	return build(&fixture, 2);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	engine_pause(f->engine);
	while (!engine_resting(f->engine))
		usleep(1000);
	guest_memory_destroy(f->memory);
	bus_destroy(f->ports);
	bus_destroy(f->mmio);
	engine_destroy(f->engine);
	memory_region_free_host(f->ram.host, RAM_SIZE);
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->lock);
	return 0;
}

static const struct engine_start flat = {
	.flat32 = true, .eip = CODE_GPA, .ebx = 0x11223344, .esi = 0x55667788
};

static void load(struct fixture *f, const void *code, size_t size)
{
	memcpy(f->ram.host + CODE_GPA, code, size);
	assert_int_equal(engine_reset(f->engine, &flat), 0);
	assert_int_equal(engine_resume(f->engine), 0);
}

#define HALT 0xf4, 0xeb, 0xfd /* hlt; jmp to it */

static void test_ports_and_mmio(void **state)
{
	/* clang-format off */
	static const uint8_t code[] = {
		0xb0, 0x41, /* mov $'A', %al */
		0xe6, 0x80, /* out %al, $0x80 */
		0x66, 0xe5, 0x10, /* in $0x10, %ax */
		0x66, 0xe7, 0x82, /* out %ax, $0x82 */
		0xa1, 0x08, 0x00, 0x00, 0xd0, /* mov 0xd0000008, %eax */
		0xe7, 0x84, /* out %eax, $0x84 */
		0x88, 0x05, 0x01, 0x00, 0x00, 0xd0, /* mov %al, 0xd0000001 */
		0x89, 0x1d, 0x10, 0x00, 0x00, 0xd0, /* mov %ebx, 0xd0000010 */
		0x89, 0x35, 0x20, 0x00, 0x00, 0xd0, /* mov %esi, 0xd0000020 */
		HALT,
	};
	/* clang-format on */
	struct fixture *f = *state;

	load(f, code, sizeof(code));
	expect(f, 0x80, 0x41, 1);
	expect(f, 0x82, 0xcdff, 2);
	expect(f, 0x84, 0x90abcdf7, 4);
	expect(f, 0xd0000001, 0xf7, 1);
	expect(f, 0xd0000010, 0x11223344, 4);
	expect(f, 0xd0000020, 0x55667788, 4);
}

static void test_string_io(void **state)
{
	/* clang-format off */
	static const uint8_t code[] = {
		0xbe, 0x40, 0x00, 0x10, 0x00, /* mov $0x100040, %esi */
		0xb9, 0x03, 0x00, 0x00, 0x00, /* mov $3, %ecx */
		0x66, 0xba, 0x90, 0x00, /* mov $0x90, %dx */
		0xf3, 0x66, 0x6f, /* rep outsw */
		0xbf, 0x80, 0x00, 0x10, 0x00, /* mov $0x100080, %edi */
		0xb9, 0x04, 0x00, 0x00, 0x00, /* mov $4, %ecx */
		0xf3, 0x6c, /* rep insb */
		0xa1, 0x80, 0x00, 0x10, 0x00, /* mov 0x100080, %eax */
		0xe7, 0x84, /* out %eax, $0x84 */
		HALT,
	};
	/* clang-format on */
	struct fixture *f = *state;

	memcpy(f->ram.host + CODE_GPA + 0x40, "abcdef", 6);
	load(f, code, sizeof(code));
	expect(f, 0x90, 0x6261, 2);
	expect(f, 0x90, 0x6463, 2);
	expect(f, 0x90, 0x6665, 2);
	expect(f, 0x84, 0x7f7f7f7f, 4);
}

/* An interrupt gate of the flat code segment. */
static void put_gate(struct fixture *f, unsigned vector, uint32_t handler)
{
	const uint8_t gate[8] = { (uint8_t)handler, (uint8_t)(handler >> 8), 0x10, 0, 0, 0x8e,
		(uint8_t)(handler >> 16), (uint8_t)(handler >> 24) };
	const uint8_t pointer[6] = { 0xff, 0x07, 0x00, 0x30, 0x00, 0x00 };
	static const uint64_t gdt[4] = { 0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff };

	memcpy(f->ram.host + 0x3000 + vector * 8, gate, sizeof(gate));
	memcpy(f->ram.host + 0x4000, pointer, sizeof(pointer));
	memcpy(f->ram.host + 0x5000, gdt, sizeof(gdt));
}

static const struct engine_start flat_with_gdt = {
	.flat32 = true, .eip = CODE_GPA, .gdt_base = 0x5000, .gdt_limit = 31
};

/* Waits for interrupts in HLT; the handler at +0x40 tells port 0x81. */
/* clang-format off */
static const uint8_t interrupt_code[] = {
	0xbc, 0x00, 0x00, 0x08, 0x00, /* mov $0x80000, %esp */
	0x0f, 0x01, 0x1d, 0x00, 0x40, 0x00, 0x00, /* lidt 0x4000 */
	0xc7, 0x05, 0xf0, 0x00, 0xe0, 0xfe, 0xff, 0x01, 0x00, 0x00, /* movl $0x1ff, SVR */
	0xe6, 0x80, /* out %al, $0x80 */
	0xfb, /* sti */
	HALT,
};
/* clang-format on */
/* clang-format off */
static const uint8_t interrupt_handler[] = {
	0xe6, 0x81, /* out %al, $0x81 */
	0xc7, 0x05, 0xb0, 0x00, 0xe0, 0xfe, 0x00, 0x00, 0x00, 0x00, /* movl $0, EOI */
	0x83, 0xc4, 0x0c, /* add $12, %esp: not every KVM has IRET here */
	0xfb, /* sti */
	HALT,
};
/* clang-format on */

static void test_msi(void **state)
{
	struct fixture *f = *state;

	put_gate(f, 0x40, CODE_GPA + 0x40);
	memcpy(f->ram.host + CODE_GPA, interrupt_code, sizeof(interrupt_code));
	memcpy(f->ram.host + CODE_GPA + 0x40, interrupt_handler, sizeof(interrupt_handler));
	assert_int_equal(engine_reset(f->engine, &flat_with_gdt), 0);
	assert_int_equal(engine_resume(f->engine), 0);
	assert_int_equal(next_access(f).addr, 0x80);
	for (int i = 0; i < 3; i++) {
		irq_send_msi(&f->engine->irq, 0xfee00000, 0x40);
		assert_int_equal(next_access(f).addr, 0x81);
	}
}

static void test_doorbells(void **state)
{
	/* clang-format off */
	static const uint8_t code[] = {
		0xb8, 0x07, 0x00, 0x00, 0x00, /* mov $7, %eax */
		0x66, 0xe7, 0xc8, /* out %ax, $0xc8: the doorbell */
		0xa3, 0x00, 0x01, 0x00, 0xd0, /* mov %eax, 0xd0000100: another */
		0x40, /* inc %eax */
		0x66, 0xe7, 0xc8, /* out %ax, $0xc8: another value */
		HALT,
	};
	/* clang-format on */
	struct fixture *f = *state;
	int port_fd = eventfd(0, EFD_NONBLOCK), mmio_fd = eventfd(0, EFD_NONBLOCK);
	uint64_t count = 0;

	assert_int_equal(bus_doorbell_add(f->ports, 0xc8, 2, true, 7, port_fd), 0);
	assert_int_equal(bus_doorbell_add(f->mmio, 0xd0000100, 0, false, 0, mmio_fd), 0);
	load(f, code, sizeof(code));
	expect(f, 0xc8, 8, 2);
	assert_int_equal(read(port_fd, &count, 8), 8);
	assert_int_equal(count, 1);
	assert_int_equal(read(mmio_fd, &count, 8), 8);
	assert_int_equal(count, 1);
	bus_doorbell_remove(f->ports, 0xc8, 2, true, 7, port_fd);
	bus_doorbell_remove(f->mmio, 0xd0000100, 0, false, 0, mmio_fd);
	close(port_fd);
	close(mmio_fd);
}

static void test_read_only_and_dirty(void **state)
{
	/* clang-format off */
	static const uint8_t code[] = {
		0xb8, 0x5a, 0x00, 0x00, 0x00, /* mov $0x5a, %eax */
		0xa3, 0x10, 0x00, 0x00, 0xd0, /* mov %eax, 0xd0000010: a ROM */
		0xa1, 0x00, 0x00, 0x00, 0xd0, /* mov 0xd0000000, %eax */
		0xe7, 0x84, /* out %eax, $0x84 */
		0xa3, 0x08, 0x20, 0x00, 0xd1, /* mov %eax, 0xd1002008: logged */
		0xe7, 0x85, /* out %eax, $0x85 */
		HALT,
	};
	/* clang-format on */
	struct fixture *f = *state;
	struct memory_region rom = { .name = "rom", .size = 0x1000, .read_only = true };
	struct memory_region ram = { .name = "vram", .size = 0x4000 };
	uint64_t dirty[1];

	rom.host = memory_region_alloc_host(rom.size);
	ram.host = memory_region_alloc_host(ram.size);
	memcpy(rom.host, "\x01\x02\x03\x04", 4);
	assert_int_equal(guest_memory_map(f->memory, &rom, 0xd0000000), 0);
	assert_int_equal(guest_memory_map(f->memory, &ram, 0xd1000000), 0);
	assert_int_equal(guest_memory_set_flags(f->memory, &ram, false, true), 0);
	load(f, code, sizeof(code));
	expect(f, 0xd0000010, 0x5a, 4); /* the write goes to the bus */
	expect(f, 0x84, 0x04030201, 4);
	assert_int_equal(next_access(f).addr, 0x85);
	assert_int_equal(guest_memory_dirty_log(f->memory, &ram, dirty), 0);
	assert_int_equal(dirty[0], 1 << 2);
	assert_int_equal(guest_memory_dirty_log(f->memory, &ram, dirty), 0);
	assert_int_equal(dirty[0], 0);
	assert_int_equal(rom.host[0x10], 0);
	guest_memory_unmap(f->memory, &rom);
	guest_memory_unmap(f->memory, &ram);
	memory_region_free_host(rom.host, rom.size);
	memory_region_free_host(ram.host, ram.size);
}

static void test_pause_and_resume(void **state)
{
	/* clang-format off */
	static const uint8_t code[] = {
		0xe6, 0x80, /* out %al, $0x80 */
		0xff, 0x05, 0x00, 0x20, 0x00, 0x00, /* incl 0x2000 */
		0xeb, 0xf8, /* jmp to it */
	};
	/* clang-format on */
	struct fixture *f = *state;
	volatile uint32_t *counter = (void *)(f->ram.host + 0x2000);
	uint32_t seen;

	load(f, code, sizeof(code));
	assert_int_equal(next_access(f).addr, 0x80);
	for (int i = 0; i < 20; i++) {
		pause_and_wait(f);
		seen = *counter;
		usleep(1000);
		assert_int_equal(*counter, seen);
		assert_int_equal(engine_resume(f->engine), 0);
		while (*counter == seen)
			usleep(100);
	}
	assert_int_equal(f->logged, 1);
}

static void test_pause_in_halt_and_reset(void **state)
{
	static const uint8_t code[] = { 0xe6, 0x80, HALT }; /* out %al, $0x80 */
	struct fixture *f = *state;

	load(f, code, sizeof(code));
	for (int i = 0; i < 5; i++) {
		assert_int_equal(next_access(f).addr, 0x80);
		pause_and_wait(f);
		assert_int_equal(engine_reset(f->engine, &flat), 0);
		assert_int_equal(engine_resume(f->engine), 0);
	}
	assert_int_equal(next_access(f).addr, 0x80);
	assert_int_equal(f->exits, 0);
}

static void wait_exit(struct fixture *f)
{
	struct timespec until = deadline();
	int err = 0;

	pthread_mutex_lock(&f->lock);
	while (!err && (f->exits == 0 || f->rests == 0))
		err = pthread_cond_timedwait(&f->changed, &f->lock, &until);
	f->rests = 0;
	pthread_mutex_unlock(&f->lock);
	assert_int_equal(err, 0);
	assert_int_equal(f->exits, 1);
}

static void test_triple_fault(void **state)
{
	static const uint8_t code[] = { 0x0f, 0x0b }; /* ud2, without an IDT */
	struct fixture *f = *state;

	load(f, code, sizeof(code));
	wait_exit(f);
	assert_int_equal(f->exit, ENGINE_EXIT_RESET);
	assert_true(engine_resting(f->engine));
}

static void test_failure_names_the_place(void **state)
{
	/* Code where no memory is cannot be fetched, by any KVM. */
	const struct engine_start nowhere = { .flat32 = true, .eip = 0xd8000000 };
	struct fixture *f = *state;

	assert_int_equal(engine_reset(f->engine, &nowhere), 0);
	assert_int_equal(engine_resume(f->engine), 0);
	wait_exit(f);
	assert_int_equal(f->exit, ENGINE_EXIT_FAILED);
	assert_non_null(strstr(f->reason, "0xd8000000"));
}

/* A region that is read-only to learn of writes; with what comes about when it is thawed. */
struct frozen {
	struct memory_region region, code;
	struct guest_memory *memory;
	int thaws;
};

static void on_thaw(struct memory_region *region)
{
	struct frozen *frozen = container_of(region, struct frozen, region);

	frozen->thaws++;
	guest_memory_set_flags(frozen->memory, region, false, false);
	guest_memory_map(frozen->memory, &frozen->code, 0xd8000000);
}

/* What cannot be emulated is tried again once the frozen memory is thawed. Here it is an instruction
 * that is not there, which thawing puts in its place: so it fails at first on any KVM. */
static void test_failure_thaws_and_tries_again(void **state)
{
	static const uint8_t code[] = { 0xb0, 0x42, 0xe6, 0x80, HALT };
	const struct engine_start nowhere = { .flat32 = true, .eip = 0xd8000000 };
	struct fixture *f = *state;
	struct frozen frozen = {
		.region = { .name = "frozen", .size = 0x1000, .read_only = true, .thaw = on_thaw },
		.code = { .name = "code", .size = 0x1000 },
		.memory = f->memory,
	};

	f->engine->memory = f->memory;
	frozen.region.host = memory_region_alloc_host(frozen.region.size);
	frozen.code.host = memory_region_alloc_host(frozen.code.size);
	memcpy(frozen.code.host, code, sizeof(code));
	assert_int_equal(guest_memory_map(f->memory, &frozen.region, 0xd4000000), 0);
	assert_int_equal(engine_reset(f->engine, &nowhere), 0);
	assert_int_equal(engine_resume(f->engine), 0);
	expect(f, 0x80, 0x42, 1);
	assert_int_equal(frozen.thaws, 1);
	assert_false(frozen.region.read_only);
	pause_and_wait(f);
	guest_memory_unmap(f->memory, &frozen.region);
	guest_memory_unmap(f->memory, &frozen.code);
	memory_region_free_host(frozen.region.host, frozen.region.size);
	memory_region_free_host(frozen.code.host, frozen.code.size);
}

static void test_reset_vector(void **state)
{
	/* At 0xFFFFFFF0, in real mode. */
	static const uint8_t code[] = { 0xb8, 0x34, 0x12, 0xe7, 0x80, HALT };
	const struct engine_start power_on = { .flat32 = false };
	struct fixture *f = *state;
	struct memory_region rom = { .name = "rom", .size = 0x10000, .read_only = true };

	rom.host = memory_region_alloc_host(rom.size);
	memcpy(rom.host + 0xfff0, code, sizeof(code));
	assert_int_equal(guest_memory_map(f->memory, &rom, 0xffff0000), 0);
	assert_int_equal(engine_reset(f->engine, &power_on), 0);
	assert_int_equal(engine_resume(f->engine), 0);
	expect(f, 0x80, 0x1234, 2);
	pause_and_wait(f);
	guest_memory_unmap(f->memory, &rom);
	memory_region_free_host(rom.host, rom.size);
}

static void test_second_cpu(void **state)
{
	/* clang-format off */
	static const uint8_t code[] = {
		/* INIT, then SIPI with page 8, to all but itself. */
		0xc7, 0x05, 0xf0, 0x00, 0xe0, 0xfe, 0xff, 0x01, 0x00, 0x00,
		0xc7, 0x05, 0x00, 0x03, 0xe0, 0xfe, 0x00, 0x45, 0x0c, 0x00,
		0xc7, 0x05, 0x00, 0x03, 0xe0, 0xfe, 0x08, 0x46, 0x0c, 0x00,
		HALT,
	};
	/* clang-format on */
	/* clang-format off */
	static const uint8_t ap[] = {
		0x66, 0xb8, 0x01, 0x00, 0x00, 0x00, /* mov $1, %eax */
		0x0f, 0xa2, /* cpuid */
		0x66, 0x89, 0xd8, /* mov %ebx, %eax */
		0x66, 0xe7, 0x85, /* out %eax, $0x85 */
		HALT,
	};
	/* clang-format on */
	struct fixture *f = *state;
	struct access access;

	memcpy(f->ram.host + 0x8000, ap, sizeof(ap));
	for (int i = 0; i < 2; i++) {
		load(f, code, sizeof(code));
		access = next_access(f);
		assert_int_equal(access.addr, 0x85);
		assert_int_equal(access.value >> 24, 1); /* its APIC id */
		pause_and_wait(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ports_and_mmio, setup, teardown),
		cmocka_unit_test_setup_teardown(test_string_io, setup, teardown),
		cmocka_unit_test_setup_teardown(test_msi, setup, teardown),
		cmocka_unit_test_setup_teardown(test_doorbells, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_only_and_dirty, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pause_and_resume, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pause_in_halt_and_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_triple_fault, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failure_names_the_place, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_failure_thaws_and_tries_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset_vector, setup, teardown),
		cmocka_unit_test_setup_teardown(test_second_cpu, setup_two, teardown),
	};
	char *error = NULL;
	int fd = kvm_open(&error);

	if (fd < 0) {
		printf("skipped: %s\n", error);
		free(error);
		return 77;
	}
	close(fd);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

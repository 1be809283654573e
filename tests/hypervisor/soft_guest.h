/* SPDX-License-Identifier: MIT */
/* Small guests of the software CPU's tests: memory, tables, handlers that tell what came. */
#ifndef TESTS_HYPERVISOR_SOFT_GUEST_H
#define TESTS_HYPERVISOR_SOFT_GUEST_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "hypervisor/soft.h"
#include "hypervisor/soft_internal.h"

enum {
	RAM_BYTES = 4 << 20,
	GDT = 0x1000,
	IDT = 0x2000,
	TSS = 0x4000,
	LOG = 0x5000, /* what a handler leaves: its stack pointer, the vector */
	STUBS = 0x6000,
	STUB_BYTES = 32,
	CODE = 0x9000,
	TABLES = 0x10000, /* PML4, PDPT, PD, PT */
	PT = TABLES + 0x3000,
	DATA = 0x20000,
	STACK = 0x40000,
	IST = 0x48000,
	USER_STACK = 0x50000,
	LIMIT = 100000,
};
enum { CODE64 = 0x08, DATA0 = 0x10, CODE64_USER = 0x1b, DATA_USER = 0x23, CODE32 = 0x28 };
enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, G = 0x100 };

struct guest {
	struct engine *engine;
	struct guest_memory *memory;
	struct memory_region ram;
	struct soft_cpu *cpu;
};

/* A guest's code, at CODE. It may have a label NAME_at: where the fault is expected. */
#define GUEST(name, mode, text)                                                      \
	__asm__(".pushsection .rodata\n" mode "\n" #name "_begin:\n" text "\n" #name \
		"_end:\n.code64\n.popsection");                                      \
	extern const uint8_t name##_begin[], name##_end[] __attribute__((visibility("hidden")))
#define GUEST_AT(name)    extern const uint8_t name##_at[] __attribute__((visibility("hidden")))
#define LOAD(guest, name) load(guest, name##_begin, (size_t)(name##_end - name##_begin))
#define AT(name)          (CODE + (uint64_t)(name##_at - name##_begin))

static inline void put(struct guest *guest, uint32_t at, uint64_t value)
{
	memcpy(guest->ram.host + at, &value, sizeof(value));
}

static inline uint64_t get(const struct guest *guest, uint64_t at)
{
	uint64_t value;

	assert_true(at + 8 <= RAM_BYTES);
	memcpy(&value, guest->ram.host + at, sizeof(value));
	return value;
}

static inline void map(struct guest *guest, uint32_t page, uint64_t entry)
{
	put(guest, PT + page / 4096 * 8, entry);
}

static inline void load(struct guest *guest, const uint8_t *code, size_t size)
{
	memcpy(guest->ram.host + CODE, code, size);
}

static inline void put_handlers(struct guest *guest)
{
	for (unsigned i = 0; i < 256; i++) {
		const uint8_t stub[] = { 0x48, 0x89, 0x24, 0x25, 0x00, 0x50, 0,
			0, /* mov %rsp, LOG */
			0xc7, 0x04, 0x25, 0x08, 0x50, 0, 0, (uint8_t)i, 0, 0,
			0, /* movl $i, LOG+8 */
			0xf4 };
		uint32_t at = STUBS + i * STUB_BYTES;

		memcpy(guest->ram.host + at, stub, sizeof(stub));
		put(guest, IDT + 16 * i,
			(at & 0xffff) | CODE64 << 16 | UINT64_C(0x8e00) << 32 |
				(uint64_t)(at >> 16) << 48);
		put(guest, IDT + 16 * i + 8, 0);
	}
}

static inline struct soft_seg flat(uint16_t selector, uint32_t more)
{
	return (struct soft_seg){ .selector = selector,
		.limit = 0xffffffff,
		.attr = SOFT_ATTR_PRESENT | SOFT_ATTR_S | SOFT_ATTR_WRITABLE | SOFT_ATTR_ACCESSED |
			(selector & 3u) << SOFT_ATTR_DPL_SHIFT | more };
}

/* 64-bit mode at level 0 with RAM mapped one to one in 4 KiB pages. */
static inline void start_long(struct guest *guest)
{
	static const uint64_t gdt[] = { 0, 0x00af9b000000ffff, 0x00cf93000000ffff,
		0x00affb000000ffff, 0x00cff3000000ffff, 0x00cf9b000000ffff,
		0x0000890000000067 | (uint64_t)TSS << 16, 0,
		0x00cf130000000000 /* 0x40: data that is not present */ };
	const struct engine_start start = { .flat32 = false };
	struct soft_cpu *cpu = guest->cpu;

	memset(guest->ram.host, 0, RAM_BYTES);
	assert_int_equal(engine_reset(guest->engine, &start), 0);
	memcpy(guest->ram.host + GDT, gdt, sizeof(gdt));
	put_handlers(guest);
	put(guest, TSS + 4, STACK);
	put(guest, TSS + 36, IST);
	put(guest, TABLES, (TABLES + 0x1000) | P | W | U);
	put(guest, TABLES + 0x1000, (TABLES + 0x2000) | P | W | U);
	put(guest, TABLES + 0x2000, PT | P | W | U);
	for (uint32_t i = 0; i < 512; i++)
		map(guest, i * 4096, i * 4096 | P | W | U);
	for (unsigned i = 0; i < SOFT_SEGS; i++)
		cpu->segs[i] = flat(DATA0, SOFT_ATTR_DB);
	cpu->segs[SOFT_CS] = flat(CODE64, SOFT_ATTR_CODE | SOFT_ATTR_L);
	cpu->gdt = (struct soft_seg){ .base = GDT, .limit = sizeof(gdt) - 1 };
	cpu->idt = (struct soft_seg){ .base = IDT, .limit = 0xfff };
	cpu->tr = (struct soft_seg){
		.selector = 0x30, .base = TSS, .limit = 0x67, .attr = SOFT_ATTR_PRESENT | 0xb00
	};
	cpu->efer = SOFT_EFER_LME | SOFT_EFER_LMA | SOFT_EFER_SCE | SOFT_EFER_NXE;
	cpu->cr0 = SOFT_CR0_PE | SOFT_CR0_PG | SOFT_CR0_WP | SOFT_CR0_ET;
	cpu->cr4 = SOFT_CR4_PAE | SOFT_CR4_PGE | SOFT_CR4_OSFXSR;
	cpu->cr3 = TABLES;
	cpu->regs[SOFT_RIP] = CODE;
	cpu->regs[SOFT_RSP] = STACK - 0x100;
	soft_set_cpl(cpu, 0);
}

static inline void start_user(struct guest *guest)
{
	struct soft_cpu *cpu = guest->cpu;

	start_long(guest);
	for (unsigned i = 0; i < SOFT_SEGS; i++)
		cpu->segs[i] = flat(DATA_USER, SOFT_ATTR_DB);
	cpu->segs[SOFT_CS] = flat(CODE64_USER, SOFT_ATTR_CODE | SOFT_ATTR_L);
	cpu->regs[SOFT_RSP] = USER_STACK;
	soft_set_cpl(cpu, 3);
}

static inline enum engine_exit run(struct guest *guest)
{
	char reason[ENGINE_REASON_MAX];

	put(guest, LOG, 0);
	put(guest, LOG + 8, 0xff);
	guest->cpu->limit = LIMIT;
	return soft_cpu_run(guest->cpu, reason, sizeof(reason));
}

enum { NO_ERROR = -1 };

/* Runs until a handler halts; checks which, its error code and where it returns to. */
static inline void expect(struct guest *guest, unsigned vector, int64_t error, uint64_t rip)
{
	uint64_t frame;

	assert_int_equal(run(guest), ENGINE_EXIT_KICKED);
	assert_true(guest->cpu->halted);
	assert_int_equal((uint32_t)get(guest, LOG + 8), vector);
	frame = get(guest, LOG);
	if (error != NO_ERROR) {
		assert_int_equal(get(guest, frame), error);
		frame += 8;
	}
	assert_int_equal(get(guest, frame), rip);
}

/* Runs until the guest's own HLT. */
static inline void expect_halt(struct guest *guest)
{
	assert_int_equal(run(guest), ENGINE_EXIT_KICKED);
	assert_true(guest->cpu->halted);
	assert_int_equal((uint32_t)get(guest, LOG + 8), 0xff);
}

static inline int set_up(void **state)
{
	struct guest *guest = calloc(1, sizeof(*guest));
	char *error = NULL;

	if (!guest || soft_engine_create(&guest->engine, 1, &error) ||
		guest_memory_create(&guest->memory, guest->engine->memory_ops, guest->engine) ||
		bus_create(&guest->engine->ports, false, NULL, NULL) ||
		bus_create(&guest->engine->mmio, true, NULL, NULL))
		return -1;
	guest->cpu = container_of(guest->engine, struct soft_engine, base)->cpus[0];
	guest->ram = (struct memory_region){
		.name = "ram", .host = memory_region_alloc_host(RAM_BYTES), .size = RAM_BYTES
	};
	*state = guest;
	return guest->ram.host ? guest_memory_map(guest->memory, &guest->ram, 0) : -1;
}

static inline int tear_down(void **state)
{
	struct guest *guest = *state;

	guest_memory_destroy(guest->memory);
	bus_destroy(guest->engine->ports);
	bus_destroy(guest->engine->mmio);
	engine_destroy(guest->engine);
	memory_region_free_host(guest->ram.host, guest->ram.size);
	free(guest);
	return 0;
}

#endif

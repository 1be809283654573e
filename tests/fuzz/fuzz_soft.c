/* SPDX-License-Identifier: MIT */
/* Random bytes as guest code, in every mode and at every level, with exceptions that lead back into
 * them. Byte 0: the mode; 1-8: registers and whether a debugger is at work; the rest is code. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "hypervisor/soft.h"
#include "hypervisor/soft_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of all inputs so far (soft_blocks.c). */
uint64_t fuzz_soft_blocks;

enum {
	RAM_BYTES = 1 << 20,
	WATCHED_GPA = 0x100000, /* memory whose writes are logged, then memory that is read-only */
	READ_ONLY_GPA = 0x110000,
	EXTRA_BYTES = 0x10000,
	GDT = 0x1000,
	IDT = 0x2000,
	TSS = 0x4000,
	TABLES = 0x10000, /* 64-bit: four pages; 32-bit: one more */
	CODE = 0x8000,
	STACK = 0x40000,
	CODE_MAX = 0x800,
	BLOCKS = 200,
};

struct world {
	struct engine *engine;
	struct guest_memory *memory;
	struct memory_region ram, watched, read_only;
	struct soft_cpu *cpu;
};

static void put(struct world *world, uint32_t at, uint64_t value)
{
	memcpy(world->ram.host + at, &value, sizeof(value));
}

/* Never freed: one for the whole run. */
static struct world *world_get(void)
{
	static struct world world;
	char *error = NULL;

	if (world.engine)
		return &world;
	if (soft_engine_create(&world.engine, 1, &error) ||
		guest_memory_create(&world.memory, world.engine->memory_ops, world.engine) ||
		bus_create(&world.engine->ports, false, NULL, NULL) ||
		bus_create(&world.engine->mmio, true, NULL, NULL))
		abort();
	world.ram = (struct memory_region){
		.name = "ram", .host = memory_region_alloc_host(RAM_BYTES), .size = RAM_BYTES
	};
	world.watched = (struct memory_region){ .name = "watched",
		.host = memory_region_alloc_host(EXTRA_BYTES),
		.size = EXTRA_BYTES,
		.log_dirty = true };
	world.read_only = (struct memory_region){ .name = "rom",
		.host = memory_region_alloc_host(EXTRA_BYTES),
		.size = EXTRA_BYTES,
		.read_only = true };
	if (guest_memory_map(world.memory, &world.ram, 0) ||
		guest_memory_map(world.memory, &world.watched, WATCHED_GPA) ||
		guest_memory_map(world.memory, &world.read_only, READ_ONLY_GPA))
		abort();
	world.cpu = container_of(world.engine, struct soft_engine, base)->cpus[0];
	return &world;
}

/* GDT: 0x08 code 64, 0x10 data, 0x18 code 64 user, 0x20 data user, 0x28 code 32, 0x30 code 32 user,
 * 0x38 code 16, 0x40 TSS (16 bytes). Of levels 1 and 2: 0x50 and 0x58 code 32, 0x60 and 0x68 code 64,
 * 0x70 and 0x78 data. 0x80 another TSS (16 bytes), 0x90 a task gate to it, 0x98 a call gate. */
static void put_tables(struct world *world, bool long_mode)
{
	static const uint64_t gdt[] = { 0, 0x00af9b000000ffff, 0x00cf93000000ffff,
		0x00affb000000ffff, 0x00cff3000000ffff, 0x00cf9b000000ffff, 0x00cffb000000ffff,
		0x000f9b000000ffff, 0x0000890000000067 | (uint64_t)TSS << 16, 0, 0x00cfbb000000ffff,
		0x00cfdb000000ffff, 0x00afbb000000ffff, 0x00afdb000000ffff, 0x00cfb3000000ffff,
		0x00cfd3000000ffff, 0x0000e90000000067 | (uint64_t)(TSS + 0x100) << 16, 0,
		0x0000e50000800000, 0x0000ec0000000000 | CODE | 0x28 << 16 };

	memcpy(world->ram.host + GDT, gdt, sizeof(gdt));
	for (unsigned i = 0; i < 256; i++) {
		uint64_t to = CODE + i * 4, type = i & 1 ? 0xee : 0x8e;
		uint64_t gate = to | (long_mode ? 0x08 : 0x28) << 16 | type << 40;

		put(world, IDT + i * (long_mode ? 16 : 8), gate);
		if (long_mode)
			put(world, IDT + i * 16 + 8, 0);
	}
	for (unsigned level = 0; level < 3; level++) {
		static const uint8_t stacks[] = { 0x10, 0x71, 0x7a };

		put(world, TSS + 4 + 8 * level,
			long_mode ? STACK : (uint64_t)STACK | (uint64_t)stacks[level] << 32);
	}
	memcpy(world->ram.host + TSS + 0x100, world->ram.host + TSS, 0x68);
	put(world, TSS + 0x120, CODE | UINT64_C(2) << 32);
	put(world, TSS + 0x138, STACK);
	for (unsigned i = 0; i < 4; i++)
		put(world, TSS + 0x148 + 4 * i, i == 1 ? 0x28 : 0x10);
	/* The first two megabytes one to one, for all; what lies above is missing. */
	put(world, TABLES, (TABLES + 0x1000) | 7);
	put(world, TABLES + 0x1000, (TABLES + 0x2000) | 7);
	put(world, TABLES + 0x2000, (TABLES + 0x3000) | 7);
	for (uint64_t i = 0; i < 512; i++)
		put(world, (uint32_t)(TABLES + 0x3000 + 8 * i), i << 12 | 7);
	put(world, TABLES + 0x4000, (TABLES + 0x5000) | 7);
	for (uint32_t i = 0; i < 512; i++)
		put(world, TABLES + 0x5000 + 8 * i,
			(uint64_t)(2 * i << 12 | 7) | (uint64_t)((2 * i + 1) << 12 | 7) << 32);
}

static struct soft_seg segment(uint16_t selector, bool code, bool is64, bool wide, unsigned dpl)
{
	return (struct soft_seg){
		.selector = (uint16_t)(selector | dpl),
		.limit = wide ? 0xffffffff : 0xffff,
		.attr = SOFT_ATTR_PRESENT | SOFT_ATTR_S | SOFT_ATTR_WRITABLE | SOFT_ATTR_ACCESSED |
			dpl << SOFT_ATTR_DPL_SHIFT | (code ? SOFT_ATTR_CODE : 0) |
			(is64                  ? SOFT_ATTR_L
					: wide ? SOFT_ATTR_DB
					       : 0),
	};
}

/* How code begins. */
static const struct mode {
	uint8_t level;
	uint8_t bits;
	bool protected;
	bool paging;
	bool long_mode;
	bool v86;
	uint8_t cs, data;
} modes[] = {
	{ 0, 16, false, false, false, false, 0, 0 },
	{ 0, 32, true, false, false, false, 0x28, 0x10 },
	{ 0, 32, true, true, false, false, 0x28, 0x10 },
	{ 3, 32, true, true, false, false, 0x30, 0x20 },
	{ 0, 64, true, true, true, false, 0x08, 0x10 },
	{ 3, 64, true, true, true, false, 0x18, 0x20 },
	{ 3, 32, true, true, true, false, 0x30, 0x20 },
	{ 0, 16, true, false, false, false, 0x38, 0x10 },
	{ 1, 32, true, true, false, false, 0x50, 0x70 },
	{ 2, 32, true, true, false, false, 0x58, 0x78 },
	{ 1, 64, true, true, true, false, 0x60, 0x70 },
	{ 2, 64, true, true, true, false, 0x68, 0x78 },
	{ 3, 16, true, true, false, true, 0, 0 },
	{ 3, 16, true, false, false, true, 0, 0 },
	{ 0, 32, true, true, true, false, 0x28, 0x10 },
	{ 1, 32, true, true, true, false, 0x50, 0x70 },
};

static void set_segments(struct soft_cpu *cpu, const struct mode *mode)
{
	bool wide = mode->bits != 16;

	for (unsigned i = 0; i < SOFT_SEGS; i++)
		if (mode->v86)
			soft_set_real_segment(cpu, i, 0);
		else
			cpu->segs[i] = i == SOFT_CS
				? segment(mode->cs, true, mode->bits == 64, wide, mode->level)
				: segment(mode->data, false, false, wide, mode->level);
}

static void set_mode(struct world *world, const struct mode *mode)
{
	struct soft_cpu *cpu = world->cpu;

	put_tables(world, mode->long_mode);
	cpu->gdt = (struct soft_seg){ .base = GDT, .limit = 0x9f };
	cpu->idt = (struct soft_seg){ .base = mode->protected ? IDT : 0, .limit = 0xfff };
	cpu->regs[SOFT_RIP] = CODE;
	if (!mode->protected)
		return;
	cpu->tr = (struct soft_seg){
		.selector = 0x40, .base = TSS, .limit = 0x67, .attr = SOFT_ATTR_PRESENT | 0xb00
	};
	cpu->cr0 = SOFT_CR0_PE | SOFT_CR0_ET;
	cpu->cr4 = SOFT_CR4_OSFXSR | SOFT_CR4_OSXSAVE;
	if (mode->v86)
		soft_set_eflags(cpu, SOFT_VM | SOFT_IOPL);
	set_segments(cpu, mode);
	if (mode->paging) {
		cpu->cr0 |= SOFT_CR0_PG;
		cpu->cr3 = mode->long_mode ? TABLES : TABLES + 0x4000;
		cpu->cr4 |= mode->long_mode ? SOFT_CR4_PAE : 0;
	}
	if (mode->long_mode)
		cpu->efer = SOFT_EFER_LME | SOFT_EFER_LMA | SOFT_EFER_SCE | SOFT_EFER_NXE;
	cpu->lstar = cpu->cstar = CODE;
	cpu->star = UINT64_C(0x0008000800000000);
	soft_set_cpl(cpu, mode->level);
}

/* Now and then breakpoints, single steps, alignment checks. */
static void set_debug(struct soft_cpu *cpu, uint64_t chance)
{
	if (chance % 8 == 0) {
		for (unsigned i = 0; i < 4; i++)
			cpu->dr[i] = (chance >> (8 + 4 * i)) % 0x20 + (i & 1 ? STACK - 0x20 : CODE);
		cpu->dr[7] = 0x400 | (uint32_t)(chance >> 16);
		cpu->cr4 |= SOFT_CR4_DE;
		soft_debug_update(cpu);
	}
	if (chance % 8 == 1)
		soft_set_eflags(cpu, soft_eflags(cpu) | SOFT_TF);
	if (chance % 8 == 2) {
		cpu->cr0 |= SOFT_CR0_AM;
		soft_set_eflags(cpu, soft_eflags(cpu) | SOFT_AC);
	}
}

/* What the code came to, for all that a guest can see. */
struct outcome {
	uint64_t regs[SOFT_REGS];
	uint32_t flags;
	uint32_t mxcsr;
	uint64_t cr2;
	unsigned cpl;
	bool halted;
	union soft_xmm xmm[16];
	uint8_t memory[RAM_BYTES];
	uint8_t watched[EXTRA_BYTES];
};

/* after: as in struct soft_jit_state. */
static void run(struct world *world, const uint8_t *data, size_t size, uint16_t after,
	struct outcome *outcome)
{
	const struct engine_start start = { .flat32 = false };
	struct soft_cpu *cpu = world->cpu;
	char reason[ENGINE_REASON_MAX];
	uint64_t seed;

	memset(world->ram.host, 0, RAM_BYTES);
	memset(world->watched.host, 0, EXTRA_BYTES);
	engine_reset(world->engine, &start);
	cpu->jit.after = cpu->translator ? after : 0;
	set_mode(world, &modes[data[0] % ARRAY_SIZE(modes)]);
	memcpy(&seed, data + 1, sizeof(seed));
	for (unsigned i = 0; i < 16; i++) {
		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
		/* Mostly addresses that there are. */
		cpu->regs[i] = (seed >> 33) % 4 ? (seed >> 36) % 0x120000 : seed;
	}
	cpu->regs[SOFT_RSP] = STACK;
	set_debug(cpu, seed >> 20);
	size = size - 9 < CODE_MAX ? size - 9 : CODE_MAX;
	memcpy(world->ram.host + CODE, data + 9, size);
	for (size_t i = size; i + 1 < CODE_MAX; i += size)
		memcpy(world->ram.host + CODE + i, data + 9,
			i + size < CODE_MAX ? size : CODE_MAX - i);
	cpu->limit = BLOCKS;
	soft_cpu_run(cpu, reason, sizeof(reason));
	fuzz_soft_blocks += BLOCKS - cpu->limit;
	memset(outcome, 0, sizeof(*outcome));
	memcpy(outcome->regs, cpu->regs, sizeof(outcome->regs));
	outcome->flags = soft_eflags(cpu);
	outcome->mxcsr = cpu->mxcsr;
	outcome->cr2 = cpu->cr2;
	outcome->cpl = cpu->cpl;
	outcome->halted = cpu->halted;
	memcpy(outcome->xmm, cpu->xmm, sizeof(outcome->xmm));
	memcpy(outcome->memory, world->ram.host, sizeof(outcome->memory));
	memcpy(outcome->watched, world->watched.host, sizeof(outcome->watched));
}

/* Whether two runs must come to the same: without the clock, ports (those of the timer tell the time,
 * too) and random numbers. */
static bool is_fixed(const uint8_t *data, size_t size)
{
	for (size_t i = 9; i < size; i++) {
		uint8_t next = data[i + 1 < size ? i + 1 : 9];

		if ((data[i] & 0xfe) == 0x6c || (data[i] & 0xf6) == 0xe4)
			return false;
		if (data[i] == 0x0f &&
			(next == 0x31 || next == 0x32 || next == 0x01 || next == 0xc7))
			return false;
	}
	return true;
}

/* Whether translated code came to something else than threaded code, which came to the same twice. Code that
 * has interrupts on may do anything, by the clock: so several times. */
static bool differ(
	struct world *world, const uint8_t *data, size_t size, struct outcome outcomes[3])
{
	for (unsigned i = 0; i < 4; i++) {
		run(world, data, size, 0, &outcomes[2]);
		if (memcmp(&outcomes[0], &outcomes[1], sizeof(outcomes[0])) == 0 ||
			memcmp(&outcomes[0], &outcomes[2], sizeof(outcomes[0])) != 0)
			return false;
		run(world, data, size, 1, &outcomes[1]);
	}
	return true;
}

/* Threaded code and translated code: both must come to the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct outcome outcomes[3];
	const uint8_t *a = (const uint8_t *)&outcomes[0], *b = (const uint8_t *)&outcomes[1];
	struct world *world = world_get();

	if (size < 10)
		return 0;
	run(world, data, size, 0, &outcomes[0]);
	if (!modes[data[0] % ARRAY_SIZE(modes)].long_mode)
		return 0;
	run(world, data, size, 1, &outcomes[1]);
	if (!is_fixed(data, size) || memcmp(a, b, sizeof(outcomes[0])) == 0 ||
		!differ(world, data, size, outcomes))
		return 0;
	for (size_t i = 0; i < sizeof(outcomes[0]); i++)
		if (a[i] != b[i])
			fprintf(stderr, "byte 0x%zx: threaded %02x, translated %02x\n", i, a[i],
				b[i]);
	abort();
}

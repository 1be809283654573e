/* SPDX-License-Identifier: MIT */
/* Random bytes as guest code, in every mode and at both levels that there are, with exceptions that
 * lead back into them. Byte 0: the mode; 1-8: the registers; the rest is code. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "hypervisor/soft.h"
#include "hypervisor/soft_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
	MODES = 8,
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
 * 0x38 code 16, 0x40 TSS. */
static void put_tables(struct world *world, bool long_mode)
{
	static const uint64_t gdt[] = { 0, 0x00af9b000000ffff, 0x00cf93000000ffff,
		0x00affb000000ffff, 0x00cff3000000ffff, 0x00cf9b000000ffff, 0x00cffb000000ffff,
		0x000f9b000000ffff, 0x0000890000000067 | (uint64_t)TSS << 16, 0 };

	memcpy(world->ram.host + GDT, gdt, sizeof(gdt));
	for (unsigned i = 0; i < 256; i++) {
		uint64_t to = CODE + i * 4, type = i & 1 ? 0xee : 0x8e;
		uint64_t gate = to | (long_mode ? 0x08 : 0x28) << 16 | type << 40;

		put(world, IDT + i * (long_mode ? 16 : 8), gate);
		if (long_mode)
			put(world, IDT + i * 16 + 8, 0);
	}
	put(world, TSS + 4, long_mode ? STACK : (uint64_t)STACK | (uint64_t)0x10 << 32);
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

/* Modes: 0 real, 1-2 32-bit without and with paging, 3 the same at level 3, 4 64-bit, 5 at level 3,
 * 6 compatibility mode at level 3, 7 16-bit protected. */
static void set_mode(struct world *world, unsigned mode)
{
	struct soft_cpu *cpu = world->cpu;
	bool long_mode = mode >= 4 && mode <= 6, user = mode == 3 || mode == 5 || mode == 6;
	bool is64 = mode == 4 || mode == 5, wide = mode != 0 && mode != 7;
	uint16_t cs = is64 ? (user ? 0x18 : 0x08) : wide ? (user ? 0x30 : 0x28) : 0x38;

	put_tables(world, long_mode);
	cpu->gdt = (struct soft_seg){ .base = GDT, .limit = 0x4f };
	cpu->idt = (struct soft_seg){ .base = mode ? IDT : 0, .limit = 0xfff };
	cpu->regs[SOFT_RIP] = CODE;
	if (mode == 0)
		return;
	cpu->tr = (struct soft_seg){
		.selector = 0x40, .base = TSS, .limit = 0x67, .attr = SOFT_ATTR_PRESENT | 0xb00
	};
	for (unsigned i = 0; i < SOFT_SEGS; i++)
		cpu->segs[i] = i == SOFT_CS
			? segment(cs, true, is64, wide, user ? 3 : 0)
			: segment(user ? 0x20 : 0x10, false, false, wide, user ? 3 : 0);
	cpu->cr0 = SOFT_CR0_PE | SOFT_CR0_ET;
	cpu->cr4 = SOFT_CR4_OSFXSR | SOFT_CR4_OSXSAVE;
	if (mode != 1 && mode != 7) {
		cpu->cr0 |= SOFT_CR0_PG;
		cpu->cr3 = long_mode ? TABLES : TABLES + 0x4000;
		cpu->cr4 |= long_mode ? SOFT_CR4_PAE : 0;
	}
	if (long_mode)
		cpu->efer = SOFT_EFER_LME | SOFT_EFER_LMA | SOFT_EFER_SCE | SOFT_EFER_NXE;
	cpu->lstar = cpu->cstar = CODE;
	cpu->star = UINT64_C(0x0008000800000000);
	soft_set_cpl(cpu, user ? 3 : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct engine_start start = { .flat32 = false };
	struct world *world = world_get();
	struct soft_cpu *cpu = world->cpu;
	char reason[ENGINE_REASON_MAX];
	uint64_t seed;

	if (size < 10)
		return 0;
	memset(world->ram.host, 0, 0x80000);
	engine_reset(world->engine, &start);
	set_mode(world, data[0] % MODES);
	memcpy(&seed, data + 1, sizeof(seed));
	for (unsigned i = 0; i < 16; i++) {
		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
		/* Mostly addresses that there are. */
		cpu->regs[i] = (seed >> 33) % 4 ? (seed >> 36) % 0x120000 : seed;
	}
	cpu->regs[SOFT_RSP] = STACK;
	size = size - 9 < CODE_MAX ? size - 9 : CODE_MAX;
	memcpy(world->ram.host + CODE, data + 9, size);
	for (size_t i = size; i + 1 < CODE_MAX; i += size)
		memcpy(world->ram.host + CODE + i, data + 9,
			i + size < CODE_MAX ? size : CODE_MAX - i);
	cpu->limit = BLOCKS;
	soft_cpu_run(cpu, reason, sizeof(reason));
	return 0;
}

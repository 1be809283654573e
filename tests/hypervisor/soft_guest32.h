/* SPDX-License-Identifier: MIT */
/* The small guests' protected mode without paging, in a task of 32 bits. */
#ifndef TESTS_HYPERVISOR_SOFT_GUEST32_H
#define TESTS_HYPERVISOR_SOFT_GUEST32_H

#include "tests/hypervisor/soft_guest.h"

enum {
	CS0 = 0x08,
	DS0 = 0x10,
	CS3 = 0x1b,
	DS3 = 0x23,
	TASK_A = 0x28, /* what runs */
	TASK_B = 0x30,
	TASK_16 = 0x38,
	GATE = 0x40, /* to task B */
	CS16 = 0x48,
	DS16 = 0x50,
	NOT_PRESENT = 0x58,
	SHORT = 0x60, /* a TSS that is too short */
	CS_SHORT = 0x68, /* code up to CODE + 0x1f */
	DS_NOT_PRESENT = 0x70,
	GATE_USER = 0x78, /* to task B, for all levels */
	TSS_A = 0x4000,
	TSS_B = 0x4100,
	TSS_16 = 0x4200,
	STACK_B = 0x30000,
	CODE_B = 0xa000,
	BUSY = 2 << 8,
};

static inline uint64_t descriptor(uint32_t base, uint32_t limit, uint32_t attr)
{
	return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
		(uint64_t)((attr & 0xf0ff00) | (limit & 0xf0000) | (base & 0xff000000)) << 32;
}

static inline void put32(struct guest *guest, uint32_t at, uint32_t value)
{
	memcpy(guest->ram.host + at, &value, sizeof(value));
}

static inline void put16(struct guest *guest, uint32_t at, uint16_t value)
{
	memcpy(guest->ram.host + at, &value, sizeof(value));
}

static inline uint32_t get32(const struct guest *guest, uint32_t at)
{
	return (uint32_t)get(guest, at);
}

static inline void put_gdt(struct guest *guest)
{
	const uint64_t gdt[] = {
		0,
		[CS0 / 8] = 0x00cf9b000000ffff,
		[DS0 / 8] = 0x00cf93000000ffff,
		[CS3 / 8] = 0x00cffb000000ffff,
		[DS3 / 8] = 0x00cff3000000ffff,
		[TASK_A / 8] = descriptor(TSS_A, 0x67, 0x8b00),
		[TASK_B / 8] = descriptor(TSS_B, 0x67, 0x8900),
		[TASK_16 / 8] = descriptor(TSS_16, 0x2b, 0x8100),
		[GATE / 8] = (uint64_t)TASK_B << 16 | UINT64_C(0x8500) << 32,
		[CS16 / 8] = descriptor(0, 0xffff, 0x9b00),
		[DS16 / 8] = descriptor(0, 0xffff, 0x9300),
		[NOT_PRESENT / 8] = descriptor(TSS_B, 0x67, 0x0900),
		[SHORT / 8] = descriptor(TSS_B, 0x66, 0x8900),
		[CS_SHORT / 8] = descriptor(0, CODE + 0x1f, 0x409b00),
		[DS_NOT_PRESENT / 8] = descriptor(0, 0xffff, 0x1300),
		[GATE_USER / 8] = (uint64_t)TASK_B << 16 | UINT64_C(0xe500) << 32,
	};

	memcpy(guest->ram.host + GDT, gdt, sizeof(gdt));
	guest->cpu->gdt = (struct soft_seg){ .base = GDT, .limit = sizeof(gdt) - 1 };
}

/* A task of 32 bits, at CODE_B. */
static inline void put_task(struct guest *guest, uint32_t tss)
{
	static const uint16_t selectors[] = { DS0, CS0, DS0, DS0, 0, 0 };

	put32(guest, tss + 0x20, CODE_B);
	put32(guest, tss + 0x24, 2 | SOFT_CF);
	for (uint32_t i = 0; i < 8; i++)
		put32(guest, tss + 0x28 + 4 * i, i == SOFT_RSP ? STACK_B : 0xb0 + i);
	for (uint32_t i = 0; i < ARRAY_SIZE(selectors); i++)
		put32(guest, tss + 0x48 + 4 * i, selectors[i]);
}

static inline void put_task16(struct guest *guest)
{
	static const uint16_t selectors[] = { DS16, CS16, DS16, DS16 };

	put16(guest, TSS_16 + 0x0e, CODE_B);
	put16(guest, TSS_16 + 0x10, 2);
	for (uint32_t i = 0; i < 8; i++)
		put16(guest, TSS_16 + 0x12 + 2 * i, (uint16_t)(i == SOFT_RSP ? 0x8000 : 0xb0 + i));
	for (uint32_t i = 0; i < ARRAY_SIZE(selectors); i++)
		put16(guest, TSS_16 + 0x22 + 2 * i, selectors[i]);
}

static inline void put_handlers32(struct guest *guest)
{
	for (unsigned i = 0; i < 256; i++) {
		/* By SS: out of virtual-8086 mode it is the only one. */
		const uint8_t stub[] = { 0x36, 0x89, 0x25, 0x00, 0x50, 0, 0, /* mov %esp, %ss:LOG */
			0x36, 0xc7, 0x05, 0x08, 0x50, 0, 0, (uint8_t)i, 0, 0,
			0, /* movl $i, %ss:LOG+8 */
			0xf4 };
		uint32_t at = STUBS + i * STUB_BYTES;

		memcpy(guest->ram.host + at, stub, sizeof(stub));
		put(guest, IDT + 8 * i,
			(at & 0xffff) | CS0 << 16 | UINT64_C(0x8e00) << 32 |
				(uint64_t)(at >> 16) << 48);
	}
}

/* Protected mode without paging, in task A. */
static inline void start_protected(struct guest *guest, bool user)
{
	const struct engine_start start = { .flat32 = false };
	struct soft_cpu *cpu = guest->cpu;

	memset(guest->ram.host, 0, RAM_BYTES);
	assert_int_equal(engine_reset(guest->engine, &start), 0);
	put_gdt(guest);
	put_handlers32(guest);
	put_task(guest, TSS_B);
	put_task16(guest);
	put32(guest, TSS_A + 4, STACK);
	put32(guest, TSS_A + 8, DS0);
	for (unsigned i = 0; i < SOFT_SEGS; i++)
		cpu->segs[i] = flat(user ? DS3 : DS0, SOFT_ATTR_DB);
	cpu->segs[SOFT_CS] = flat(user ? CS3 : CS0, SOFT_ATTR_CODE | SOFT_ATTR_DB);
	cpu->idt = (struct soft_seg){ .base = IDT, .limit = 0x7ff };
	cpu->tr = (struct soft_seg){
		.selector = TASK_A, .base = TSS_A, .limit = 0x67, .attr = SOFT_ATTR_PRESENT | 0xb00
	};
	cpu->cr0 = SOFT_CR0_PE | SOFT_CR0_ET;
	cpu->regs[SOFT_RIP] = CODE;
	cpu->regs[SOFT_RSP] = user ? USER_STACK : STACK - 0x100;
	soft_set_cpl(cpu, user ? 3 : 0);
}

static inline void expect32(struct guest *guest, unsigned vector, int64_t error, uint32_t eip)
{
	uint32_t frame;

	assert_int_equal(run(guest), ENGINE_EXIT_KICKED);
	assert_true(guest->cpu->halted);
	assert_int_equal(get32(guest, LOG + 8), vector);
	frame = get32(guest, LOG);
	if (error != NO_ERROR) {
		assert_int_equal(get32(guest, frame), error);
		frame += 4;
	}
	assert_int_equal(get32(guest, frame), eip);
}

#define LOAD_B(guest, name) \
	memcpy((guest)->ram.host + CODE_B, name##_begin, (size_t)(name##_end - name##_begin))

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Debug registers (Intel SDM vol. 3, chapter 17). While a breakpoint is enabled the CPU goes one
 * instruction at a time; data that is watched lies in pages without direct accesses, so that nothing
 * is looked at elsewhere.
 */
#include "core/util.h"
#include "hypervisor/soft_internal.h"

enum { KIND_EXEC, KIND_WRITE, KIND_IO, KIND_ACCESS };
enum { DR6_BD = 1 << 13, DR6_BS = 1 << 14, DR6_BT = 1 << 15, DR7_GD = 1 << 13 };

static unsigned kind_of(const struct soft_cpu *cpu, unsigned n)
{
	return (cpu->dr[7] >> (16 + 4 * n)) & 3;
}

/* In bytes. */
static unsigned length_of(const struct soft_cpu *cpu, unsigned n)
{
	static const uint8_t lengths[] = { 1, 2, 8, 4 };

	return lengths[(cpu->dr[7] >> (18 + 4 * n)) & 3];
}

static bool enabled(const struct soft_cpu *cpu, unsigned n)
{
	return (cpu->dr[7] >> (2 * n)) & 3;
}

static uint64_t address_of(const struct soft_cpu *cpu, unsigned n)
{
	uint64_t at = cpu->dr[n] & ~(uint64_t)(length_of(cpu, n) - 1);

	return soft_long_mode(cpu) ? at : (uint32_t)at;
}

void soft_debug_update(struct soft_cpu *cpu)
{
	uint8_t debug = cpu->debug & SOFT_DEBUG_TASK;

	for (unsigned n = 0; n < 4; n++) {
		unsigned kind = kind_of(cpu, n);

		if (!enabled(cpu, n))
			continue;
		if (kind == KIND_EXEC)
			debug |= SOFT_DEBUG_EXEC;
		else if (kind != KIND_IO)
			debug |= SOFT_DEBUG_DATA;
		else if (cpu->cr4 & SOFT_CR4_DE)
			debug |= SOFT_DEBUG_IO;
	}
	if ((cpu->debug | debug) & SOFT_DEBUG_DATA)
		soft_tlb_flush(cpu, true);
	cpu->debug = debug;
	if (debug)
		soft_cpu_request(cpu, SOFT_REQUEST_STEP);
}

bool soft_debug_watches(const struct soft_cpu *cpu, uint64_t page)
{
	for (unsigned n = 0; n < 4; n++)
		if (enabled(cpu, n) && (kind_of(cpu, n) & KIND_WRITE) &&
			(address_of(cpu, n) & SOFT_PAGE_MASK) == page)
			return true;
	return false;
}

static bool overlaps(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

void soft_debug_access(struct soft_cpu *cpu, uint64_t linear, unsigned size, bool write)
{
	for (unsigned n = 0; n < 4; n++) {
		unsigned kind = kind_of(cpu, n);

		if (enabled(cpu, n) && (kind == KIND_ACCESS || (kind == KIND_WRITE && write)) &&
			overlaps(linear, size, address_of(cpu, n), length_of(cpu, n)))
			cpu->debug_hits |= (uint16_t)(1u << n);
	}
}

void soft_debug_port(struct soft_cpu *cpu, uint16_t port, unsigned size)
{
	for (unsigned n = 0; n < 4 && (cpu->cr4 & SOFT_CR4_DE); n++)
		if (enabled(cpu, n) && kind_of(cpu, n) == KIND_IO &&
			overlaps(port, size, address_of(cpu, n), length_of(cpu, n)))
			cpu->debug_hits |= (uint16_t)(1u << n);
}

bool soft_debug_instruction(struct soft_cpu *cpu)
{
	uint64_t linear = cpu->regs[SOFT_RIP] + cpu->segs[SOFT_CS].base;
	uint32_t hits = 0;

	if (!cpu->long64)
		linear = (uint32_t)linear;
	for (unsigned n = 0; n < 4; n++)
		if (enabled(cpu, n) && kind_of(cpu, n) == KIND_EXEC && address_of(cpu, n) == linear)
			hits |= 1u << n;
	cpu->dr[6] |= hits;
	return hits;
}

void soft_debug_task_trap(struct soft_cpu *cpu)
{
	cpu->debug_hits |= DR6_BT;
	cpu->debug |= SOFT_DEBUG_TASK;
	soft_cpu_request(cpu, SOFT_REQUEST_STEP);
}

bool soft_debug_trap(struct soft_cpu *cpu, bool stepped)
{
	uint16_t hits = cpu->debug_hits;

	cpu->debug_hits = 0;
	cpu->debug &= (uint8_t)~SOFT_DEBUG_TASK;
	cpu->dr[6] |= hits | (stepped ? DR6_BS : 0);
	return hits || stepped;
}

/* ---- MOV to and from debug registers ---- */

static unsigned debug_index(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned index = op->reg;

	if (index > 7 || ((index == 4 || index == 5) && (cpu->cr4 & SOFT_CR4_DE)))
		soft_raise(cpu, SOFT_UD);
	if (cpu->dr[7] & DR7_GD) {
		cpu->dr[6] |= DR6_BD;
		soft_raise(cpu, SOFT_DB);
	}
	return index == 4 || index == 5 ? index + 2 : index;
}

void soft_debug_entered(struct soft_cpu *cpu)
{
	cpu->dr[7] &= ~(uint64_t)DR7_GD;
}

void soft_op_mov_from_dr(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned index = debug_index(cpu, op);

	soft_write_reg(cpu, op->rm, cpu->long64 ? 8 : 4, cpu->dr[index]);
}

void soft_op_mov_to_dr(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t value = soft_read_reg(cpu, op->rm, cpu->long64 ? 8 : 4);
	unsigned index = debug_index(cpu, op);

	if (index >= 6 && value >> 32)
		soft_raise_error(cpu, SOFT_GP, 0);
	if (index == 6)
		value = (value & 0xe00f) | 0xffff0ff0;
	else if (index == 7)
		value = (value & 0xffff2fff) | 0x400;
	cpu->dr[index] = value;
	if (index != 6)
		soft_debug_update(cpu);
}

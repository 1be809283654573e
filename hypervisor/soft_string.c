/* SPDX-License-Identifier: MIT */
/* String instructions, and port I/O. A repeated one is left between two elements when something is
 * requested, and begins again with what the registers say. */
#include "core/util.h"
#include "hypervisor/soft_atomic.h"
#include "hypervisor/soft_ops.h"

/* Elements between two looks at the requests. */
#define BURST 4096

static uint64_t address_mask(const struct soft_op *op)
{
	return op->flags & SOFT_OP_A16 ? 0xffff : op->flags & SOFT_OP_A32 ? 0xffffffff : UINT64_MAX;
}

static void set_address(struct soft_cpu *cpu, unsigned reg, uint64_t value, uint64_t mask)
{
	if (mask == 0xffff)
		soft_set16(cpu, reg, (uint16_t)value);
	else
		cpu->regs[reg] = value & mask;
}

static unsigned element_size(const struct soft_op *op)
{
	return op->rm & 1 ? soft_operand_size(op) : 1;
}

static int64_t step_of(const struct soft_cpu *cpu, unsigned size)
{
	return cpu->eflags & SOFT_DF ? -(int64_t)size : (int64_t)size;
}

static uint64_t linear_of(
	struct soft_cpu *cpu, const struct soft_op *op, unsigned reg, unsigned size, bool write)
{
	unsigned seg = reg == SOFT_RDI ? SOFT_ES : op->seg;

	return soft_linear(cpu, op, seg, cpu->regs[reg] & address_mask(op), size, write);
}

static void advance(struct soft_cpu *cpu, const struct soft_op *op, unsigned reg, int64_t by)
{
	set_address(cpu, reg, cpu->regs[reg] + (uint64_t)by, address_mask(op));
}

/* ---- one element ---- */

static void movs_one(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = element_size(op);
	uint64_t from = linear_of(cpu, op, SOFT_RSI, size, false);
	uint64_t value = soft_load(cpu, op, from, size);

	soft_store(cpu, op, linear_of(cpu, op, SOFT_RDI, size, true), size, value);
	advance(cpu, op, SOFT_RSI, step_of(cpu, size));
	advance(cpu, op, SOFT_RDI, step_of(cpu, size));
}

static void stos_one(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = element_size(op);

	soft_store(cpu, op, linear_of(cpu, op, SOFT_RDI, size, true), size, cpu->regs[SOFT_RAX]);
	advance(cpu, op, SOFT_RDI, step_of(cpu, size));
}

static void lods_one(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = element_size(op);

	soft_write_reg(cpu, SOFT_RAX, size,
		soft_load(cpu, op, linear_of(cpu, op, SOFT_RSI, size, false), size));
	advance(cpu, op, SOFT_RSI, step_of(cpu, size));
}

static void scas_one(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = element_size(op);
	uint64_t value = soft_load(cpu, op, linear_of(cpu, op, SOFT_RDI, size, false), size);

	cpu->cc = soft_flags_of_sub(size, cpu->regs[SOFT_RAX], value);
	advance(cpu, op, SOFT_RDI, step_of(cpu, size));
}

static void cmps_one(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = element_size(op);
	uint64_t b = soft_load(cpu, op, linear_of(cpu, op, SOFT_RDI, size, false), size);
	uint64_t a = soft_load(cpu, op, linear_of(cpu, op, SOFT_RSI, size, false), size);

	cpu->cc = soft_flags_of_sub(size, a, b);
	advance(cpu, op, SOFT_RSI, step_of(cpu, size));
	advance(cpu, op, SOFT_RDI, step_of(cpu, size));
}

/* ---- ports ---- */

/* Ports are for CPL <= IOPL, and for those that the TSS's bitmap allows. */
static void check_permission(struct soft_cpu *cpu, uint16_t port, unsigned size)
{
	unsigned iopl = (cpu->eflags >> 12) & 3;
	uint16_t map, bits;

	if (soft_real_mode(cpu) || (cpu->cpl <= iopl && !soft_v86(cpu)))
		return;
	if (!(cpu->tr.attr & SOFT_ATTR_PRESENT) || (cpu->tr.attr & 0x0d00) != 0x0900 ||
		cpu->tr.limit < 103)
		soft_raise_error(cpu, SOFT_GP, 0);
	soft_system_read(cpu, cpu->tr.base + 102, &map, 2);
	if ((uint32_t)map + port / 8 + 1 > cpu->tr.limit)
		soft_raise_error(cpu, SOFT_GP, 0);
	soft_system_read(cpu, cpu->tr.base + map + port / 8, &bits, 2);
	if ((bits >> (port & 7)) & ((1u << size) - 1))
		soft_raise_error(cpu, SOFT_GP, 0);
}

static void check_port(struct soft_cpu *cpu, uint16_t port, unsigned size)
{
	check_permission(cpu, port, size);
	if (unlikely(cpu->debug & SOFT_DEBUG_IO))
		soft_debug_port(cpu, port, size);
}

static unsigned port_size(const struct soft_op *op)
{
	return !(op->rm & 1) ? 1 : op->flags & SOFT_OP_O16 ? 2 : 4;
}

static uint16_t port_of(const struct soft_cpu *cpu, const struct soft_op *op)
{
	/* E4 to E7 have an immediate. */
	return op->rm < 0xe8 && op->rm >= 0xe4 ? op->imm8 : soft_get16(cpu, SOFT_RDX);
}

static void op_in(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint16_t port = port_of(cpu, op);
	unsigned size = port_size(op);

	check_port(cpu, port, size);
	soft_write_reg(cpu, SOFT_RAX, size, bus_read(cpu->engine->base.ports, port, size));
}

static void op_out(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint16_t port = port_of(cpu, op);
	unsigned size = port_size(op);

	check_port(cpu, port, size);
	bus_write(cpu->engine->base.ports, port, soft_read_reg(cpu, SOFT_RAX, size), size);
}

static void ins_one(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint16_t port = soft_get16(cpu, SOFT_RDX);
	unsigned size = port_size(op);
	uint64_t linear;

	check_port(cpu, port, size);
	linear = linear_of(cpu, op, SOFT_RDI, size, true);
	soft_probe_write(cpu, op, linear, size);
	soft_store(cpu, op, linear, size, bus_read(cpu->engine->base.ports, port, size));
	advance(cpu, op, SOFT_RDI, step_of(cpu, size));
}

static void outs_one(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint16_t port = soft_get16(cpu, SOFT_RDX);
	unsigned size = port_size(op);
	uint64_t value;

	check_port(cpu, port, size);
	value = soft_load(cpu, op, linear_of(cpu, op, SOFT_RSI, size, false), size);
	bus_write(cpu->engine->base.ports, port, value, size);
	advance(cpu, op, SOFT_RSI, step_of(cpu, size));
}

/* ---- many elements at once ---- */

/* How many bytes from the register's address on are in one page and surely inside the segment, when
 * going up; *at is their host memory when it may be accessed directly. 0: none. */
static uint64_t run_of(
	struct soft_cpu *cpu, const struct soft_op *op, unsigned reg, bool write, uint8_t **at)
{
	unsigned name = reg == SOFT_RDI ? SOFT_ES : op->seg;
	uint64_t offset = cpu->regs[reg] & address_mask(op), linear, bytes;
	const struct soft_tlb_entry *entry;

	linear = soft_linear(cpu, op, name, offset, 1, write);
	entry = soft_tlb_at(cpu, linear);
	if ((write ? entry->write : entry->read) != (linear & SOFT_PAGE_MASK))
		return 0;
	*at = (uint8_t *)(entry->addend + linear);
	bytes = SOFT_PAGE - (linear & 0xfff);
	if (!cpu->long64) {
		const struct soft_seg *seg = &cpu->segs[name];

		if ((seg->attr & (SOFT_ATTR_CODE | SOFT_ATTR_DOWN)) == SOFT_ATTR_DOWN)
			return 0;
		bytes = MIN(bytes, (uint64_t)seg->limit - offset + 1);
	}
	/* Up to where the offset wraps. */
	return MIN(bytes, address_mask(op) - offset) + (bytes <= address_mask(op) - offset ? 0 : 1);
}

static void fill(uint8_t *at, uint64_t value, unsigned size, uint64_t count)
{
	if (size == 1) {
		memset(at, (uint8_t)value, count);
		return;
	}
	for (uint64_t i = 0; i < count; i++)
		memcpy(at + i * size, &value, size);
}

/* Elements that were stored; 0: do one the slow way. */
static uint64_t stos_run(struct soft_cpu *cpu, const struct soft_op *op, uint64_t count)
{
	unsigned size = element_size(op);
	uint64_t bytes;
	uint8_t *at;

	if (cpu->eflags & SOFT_DF)
		return 0;
	bytes = run_of(cpu, op, SOFT_RDI, true, &at);
	if (!bytes)
		return 0;
	count = MIN(count, bytes / size);
	fill(at, cpu->regs[SOFT_RAX], size, count);
	advance(cpu, op, SOFT_RDI, (int64_t)(count * size));
	return count;
}

static uint64_t movs_run(struct soft_cpu *cpu, const struct soft_op *op, uint64_t count)
{
	unsigned size = element_size(op);
	uint8_t *from, *to;
	uint64_t bytes, room;

	if (cpu->eflags & SOFT_DF)
		return 0;
	bytes = run_of(cpu, op, SOFT_RSI, false, &from);
	if (!bytes)
		return 0;
	room = run_of(cpu, op, SOFT_RDI, true, &to);
	if (!room)
		return 0;
	bytes = MIN(bytes, room);
	/* Going up over what was just written repeats it: at most that far at once. */
	if (to > from)
		bytes = MIN(bytes, (uint64_t)(to - from));
	count = MIN(count, bytes / size);
	memmove(to, from, count * size);
	advance(cpu, op, SOFT_RSI, (int64_t)(count * size));
	advance(cpu, op, SOFT_RDI, (int64_t)(count * size));
	return count;
}

/* ---- repetition ---- */

typedef uint64_t run_fn(struct soft_cpu *cpu, const struct soft_op *op, uint64_t count);
enum { WHOLE, WHILE_SAME }; /* whether ZF ends it */

static void repeat(
	struct soft_cpu *cpu, const struct soft_op *op, soft_call *one, run_fn *run, int until)
{
	uint64_t mask = address_mask(op), count = cpu->regs[SOFT_RCX] & mask;
	bool same = op->flags & SOFT_OP_REP;

	for (unsigned burst = 0; count > 0;) {
		uint64_t done = run ? run(cpu, op, count) : 0;

		if (!done) {
			one(cpu, op);
			done = 1;
		}
		count -= done;
		set_address(cpu, SOFT_RCX, count, mask);
		if (until == WHILE_SAME && ((cpu->cc & SOFT_CC_Z) != 0) != same)
			break;
		burst += done > BURST ? BURST : (unsigned)done;
		if (count > 0 && (burst >= BURST || soft_requested(cpu))) {
			if (soft_requested(cpu)) {
				cpu->regs[SOFT_RIP] += op->ip;
				return;
			}
			burst = 0;
		}
	}
	cpu->regs[SOFT_RIP] += op->next;
}

#define REPEATED(name, run, until)                                             \
	static void rep_##name(struct soft_cpu *cpu, const struct soft_op *op) \
	{                                                                      \
		repeat(cpu, op, name##_one, run, until);                       \
	}

REPEATED(movs, movs_run, WHOLE)
REPEATED(stos, stos_run, WHOLE)
REPEATED(lods, NULL, WHOLE)
REPEATED(ins, NULL, WHOLE)
REPEATED(outs, NULL, WHOLE)

/* Whether the port may be used counts even when nothing is to be done. */
static void rep_port(struct soft_cpu *cpu, const struct soft_op *op)
{
	check_permission(cpu, soft_get16(cpu, SOFT_RDX), port_size(op));
	(op->rm < 0x6e ? rep_ins : rep_outs)(cpu, op);
}

REPEATED(cmps, NULL, WHILE_SAME)
REPEATED(scas, NULL, WHILE_SAME)

#define STRING(opcode, name, end) STRING_REPEATED(opcode, name, end, rep_##name)
#define STRING_REPEATED(opcode, name, end, repeated)                                  \
	{ SOFT_MAP_1, opcode, SOFT_P_F3, SOFT_ANY, SOFT_ANY, SOFT_CLASS_NONE,         \
		SOFT_ROW_NO_MODRM | SOFT_ROW_JUMP, repeated },                        \
		{ SOFT_MAP_1, opcode, SOFT_P_F2, SOFT_ANY, SOFT_ANY, SOFT_CLASS_NONE, \
			SOFT_ROW_NO_MODRM | SOFT_ROW_JUMP, repeated },                \
	{                                                                             \
		SOFT_MAP_1, opcode, SOFT_P_ANY, SOFT_ANY, SOFT_ANY, SOFT_CLASS_NONE,  \
			SOFT_ROW_NO_MODRM | (end), name##_one                         \
	}
#define PORT(opcode, more, function)                                                 \
	{                                                                            \
		SOFT_MAP_1, opcode, SOFT_P_ANY, SOFT_ANY, SOFT_ANY, SOFT_CLASS_NONE, \
			SOFT_ROW_NO_MODRM | SOFT_ROW_END | (more), function          \
	}

static const struct soft_row rows[] = {
	STRING(0xa4, movs, 0),
	STRING(0xa5, movs, 0),
	STRING(0xa6, cmps, 0),
	STRING(0xa7, cmps, 0),
	STRING(0xaa, stos, 0),
	STRING(0xab, stos, 0),
	STRING(0xac, lods, 0),
	STRING(0xad, lods, 0),
	STRING(0xae, scas, 0),
	STRING(0xaf, scas, 0),
	STRING_REPEATED(0x6c, ins, SOFT_ROW_END, rep_port),
	STRING_REPEATED(0x6d, ins, SOFT_ROW_END, rep_port),
	STRING_REPEATED(0x6e, outs, SOFT_ROW_END, rep_port),
	STRING_REPEATED(0x6f, outs, SOFT_ROW_END, rep_port),
	PORT(0xe4, SOFT_ROW_IMM8, op_in),
	PORT(0xe5, SOFT_ROW_IMM8, op_in),
	PORT(0xe6, SOFT_ROW_IMM8, op_out),
	PORT(0xe7, SOFT_ROW_IMM8, op_out),
	PORT(0xec, 0, op_in),
	PORT(0xed, 0, op_in),
	PORT(0xee, 0, op_out),
	PORT(0xef, 0, op_out),
};

const struct soft_table soft_string_table = { rows, ARRAY_SIZE(rows) };

/* ---- A0 to A3 ---- */

SOFT_OP_FUNCTION(soft_op_moffs)
{
	unsigned size = op->rm & 1 ? soft_operand_size(op) : 1;
	bool write = op->rm & 2;
	uint64_t linear;

	cpu->op = op;
	linear = soft_linear(cpu, op, op->seg, op->imm, size, write);
	if (write)
		soft_store(cpu, op, linear, size, cpu->regs[SOFT_RAX]);
	else
		soft_write_reg(cpu, SOFT_RAX, size, soft_load(cpu, op, linear, size));
	SOFT_NEXT;
}

/* SPDX-License-Identifier: MIT */
/* The x87 environment and state in memory (Intel SDM volume 1, "x87 FPU Environment"). */
#include "hypervisor/soft_x87.h"

enum { ENV_WORDS = 7, REGISTER_BYTES = 10 };

void x87_init(struct soft_cpu *cpu)
{
	struct soft_fpu *fpu = &cpu->fpu;

	fpu->control = X87_CONTROL_DEFAULT;
	fpu->status = 0;
	fpu->top = 0;
	fpu->empty = 0xff;
	fpu->opcode = fpu->instruction_cs = fpu->data_ds = 0;
	fpu->instruction_ip = fpu->data_address = 0;
}

/* The tag word: 0 valid, 1 zero, 2 special, 3 empty; of the physical registers. */
static uint16_t tags(const struct soft_fpu *fpu)
{
	uint16_t word = 0;

	for (unsigned i = 0; i < 8; i++) {
		const struct soft_f80 *reg = &fpu->regs[i];
		unsigned exponent = reg->exponent & 0x7fff, tag = 0;

		if (fpu->empty >> i & 1)
			tag = 3;
		else if (exponent == 0 && reg->mantissa == 0)
			tag = 1;
		else if (exponent == 0 || exponent == 0x7fff || !(reg->mantissa >> 63))
			tag = 2;
		word |= (uint16_t)(tag << 2 * i);
	}
	return word;
}

static bool is_small(const struct soft_op *op)
{
	return op->flags & SOFT_OP_O16;
}

static bool is_protected(const struct soft_cpu *cpu)
{
	return (cpu->cr0 & SOFT_CR0_PE) && !(cpu->eflags & SOFT_VM);
}

static unsigned env_size(const struct soft_op *op)
{
	return is_small(op) ? 2 * ENV_WORDS : 4 * ENV_WORDS;
}

/* Control, status, tags, instruction pointer and its selector, operand pointer and its selector. */
static void pack(const struct soft_cpu *cpu, const struct soft_op *op, uint32_t env[ENV_WORDS])
{
	const struct soft_fpu *fpu = &cpu->fpu;
	uint32_t ip = (uint32_t)fpu->instruction_ip, data = (uint32_t)fpu->data_address;

	env[0] = 0xffff0000 | fpu->control;
	env[1] = 0xffff0000 | x87_status(cpu);
	env[2] = 0xffff0000 | tags(fpu);
	if (is_protected(cpu)) {
		env[3] = ip;
		env[4] = fpu->instruction_cs | (uint32_t)fpu->opcode << 16;
		env[5] = data;
		env[6] = 0xffff0000 | fpu->data_ds;
		return;
	}
	ip += (uint32_t)fpu->instruction_cs << 4;
	data += (uint32_t)fpu->data_ds << 4;
	if (is_small(op)) {
		env[3] = ip;
		env[4] = (ip >> 4 & 0xf000) | fpu->opcode;
		env[5] = data;
		env[6] = data >> 4 & 0xf000;
		return;
	}
	env[3] = 0xffff0000 | (ip & 0xffff);
	env[4] = (ip >> 4 & 0x0ffff000) | fpu->opcode;
	env[5] = 0xffff0000 | (data & 0xffff);
	env[6] = data >> 4 & 0x0ffff000;
}

static void unpack(struct soft_cpu *cpu, const struct soft_op *op, const uint32_t env[ENV_WORDS])
{
	struct soft_fpu *fpu = &cpu->fpu;

	fpu->status = (uint16_t)(env[1] & ~(7u << 11));
	fpu->top = env[1] >> 11 & 7;
	fpu->empty = 0;
	for (unsigned i = 0; i < 8; i++)
		if ((env[2] >> 2 * i & 3) == 3)
			fpu->empty |= (uint8_t)(1u << i);
	if (is_protected(cpu)) {
		fpu->instruction_ip = env[3];
		fpu->instruction_cs = (uint16_t)env[4];
		fpu->opcode = is_small(op) ? 0 : env[4] >> 16 & 0x7ff;
		fpu->data_address = env[5];
		fpu->data_ds = (uint16_t)env[6];
	} else {
		fpu->instruction_ip = (env[3] & 0xffff) | (env[4] & 0x0ffff000) << 4;
		fpu->opcode = env[4] & 0x7ff;
		fpu->data_address = (env[5] & 0xffff) | (env[6] & 0x0ffff000) << 4;
		fpu->instruction_cs = fpu->data_ds = 0;
	}
	x87_set_control(cpu, (uint16_t)env[0]);
}

static void store_env(struct soft_cpu *cpu, const struct soft_op *op, uint64_t linear)
{
	uint32_t env[ENV_WORDS];

	pack(cpu, op, env);
	for (unsigned i = 0; i < ENV_WORDS; i++)
		if (is_small(op))
			soft_store16(cpu, op, linear + 2 * i, (uint16_t)env[i]);
		else
			soft_store32(cpu, op, linear + 4 * i, env[i]);
}

static void load_env(
	struct soft_cpu *cpu, const struct soft_op *op, uint64_t linear, uint32_t env[ENV_WORDS])
{
	for (unsigned i = 0; i < ENV_WORDS; i++)
		env[i] = is_small(op) ? soft_load16(cpu, op, linear + 2 * i)
				      : soft_load32(cpu, op, linear + 4 * i);
}

void x87_fnstenv(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t linear = soft_operand(cpu, op, env_size(op), true);

	soft_probe_write(cpu, op, linear, env_size(op));
	store_env(cpu, op, linear);
	x87_set_control(cpu, cpu->fpu.control | X87_EXCEPTIONS);
}

void x87_fldenv(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint32_t env[ENV_WORDS];

	x87_wait(cpu);
	load_env(cpu, op, soft_operand(cpu, op, env_size(op), false), env);
	unpack(cpu, op, env);
}

void x87_fnsave(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = env_size(op) + 8 * REGISTER_BYTES;
	uint64_t linear = soft_operand(cpu, op, size, true);

	soft_probe_write(cpu, op, linear, size);
	store_env(cpu, op, linear);
	linear += env_size(op);
	for (unsigned i = 0; i < 8; i++, linear += REGISTER_BYTES) {
		soft_store64(cpu, op, linear, x87_st(cpu, i)->mantissa);
		soft_store16(cpu, op, linear + 8, x87_st(cpu, i)->exponent);
	}
	x87_init(cpu);
}

void x87_frstor(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t linear = soft_operand(cpu, op, env_size(op) + 8 * REGISTER_BYTES, false);
	struct soft_f80 regs[8];
	uint32_t env[ENV_WORDS];

	x87_wait(cpu);
	load_env(cpu, op, linear, env);
	linear += env_size(op);
	for (unsigned i = 0; i < 8; i++, linear += REGISTER_BYTES) {
		regs[i].mantissa = soft_load64(cpu, op, linear);
		regs[i].exponent = soft_load16(cpu, op, linear + 8);
	}
	unpack(cpu, op, env);
	for (unsigned i = 0; i < 8; i++) {
		x87_st(cpu, i)->mantissa = regs[i].mantissa;
		x87_st(cpu, i)->exponent = regs[i].exponent;
	}
}

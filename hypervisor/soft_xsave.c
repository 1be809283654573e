/* SPDX-License-Identifier: MIT */
/* FXSAVE, FXRSTOR, the XSAVE family for x87 and SSE, XGETBV, XSETBV (Intel SDM vol. 1, 10.5 and 13). */
#include "core/util.h"
#include "hypervisor/soft_internal.h"
#include "hypervisor/soft_x87.h"

#define MXCSR_MASK 0xffffu
#define LEGACY     512
#define HEADER     64

enum { COMPONENT_X87 = 1, COMPONENT_SSE = 2 };

/* The image's first 512 bytes. */
struct image {
	uint8_t bytes[LEGACY];
};

static void put(struct image *image, unsigned at, uint64_t value, unsigned size)
{
	memcpy(image->bytes + at, &value, size);
}

static uint64_t get(const struct image *image, unsigned at, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, image->bytes + at, size);
	return value;
}

/* ---- x87 ---- */

static void save_x87(const struct soft_cpu *cpu, struct image *image, bool wide)
{
	const struct soft_fpu *fpu = &cpu->fpu;

	put(image, 0, fpu->control, 2);
	put(image, 2, (fpu->status & 0xc7ffu) | (fpu->top & 7u) << 11, 2);
	put(image, 4, (uint8_t)~fpu->empty, 2);
	put(image, 6, fpu->opcode, 2);
	put(image, 8, fpu->instruction_ip, wide ? 8 : 4);
	put(image, 16, fpu->data_address, wide ? 8 : 4);
	if (!wide) {
		put(image, 12, fpu->instruction_cs, 4);
		put(image, 20, fpu->data_ds, 4);
	}
	for (unsigned i = 0; i < 8; i++) {
		const struct soft_f80 *reg = &fpu->regs[(fpu->top + i) & 7];

		put(image, 32 + 16 * i, reg->mantissa, 8);
		put(image, 40 + 16 * i, reg->exponent, 8);
	}
}

static void load_x87(struct soft_cpu *cpu, const struct image *image, bool wide)
{
	struct soft_fpu *fpu = &cpu->fpu;
	uint16_t status = (uint16_t)get(image, 2, 2);

	fpu->status = status & 0xc7ff;
	x87_set_control(cpu, (uint16_t)get(image, 0, 2));
	fpu->top = (status >> 11) & 7;
	fpu->empty = (uint8_t)~get(image, 4, 1);
	fpu->opcode = get(image, 6, 2) & 0x7ff;
	fpu->instruction_ip = get(image, 8, wide ? 8 : 4);
	fpu->data_address = get(image, 16, wide ? 8 : 4);
	fpu->instruction_cs = wide ? 0 : (uint16_t)get(image, 12, 2);
	fpu->data_ds = wide ? 0 : (uint16_t)get(image, 20, 2);
	for (unsigned i = 0; i < 8; i++) {
		struct soft_f80 *reg = &fpu->regs[(fpu->top + i) & 7];

		reg->mantissa = get(image, 32 + 16 * i, 8);
		reg->exponent = (uint16_t)get(image, 40 + 16 * i, 2);
	}
}

static void init_x87(struct soft_cpu *cpu)
{
	memset(&cpu->fpu, 0, sizeof(cpu->fpu));
	cpu->fpu.control = 0x37f;
	cpu->fpu.empty = 0xff;
}

/* ---- SSE: the upper registers are there in 64-bit mode only ---- */

static unsigned xmm_count(const struct soft_cpu *cpu)
{
	return cpu->long64 ? 16 : 8;
}

static void save_sse(const struct soft_cpu *cpu, struct image *image)
{
	memcpy(image->bytes + 160, cpu->xmm, xmm_count(cpu) * 16);
}

static void load_sse(struct soft_cpu *cpu, const struct image *image)
{
	memcpy(cpu->xmm, image->bytes + 160, xmm_count(cpu) * 16);
}

/* ---- memory ---- */

static void read_image(
	struct soft_cpu *cpu, const struct soft_op *op, uint64_t linear, void *out, unsigned size)
{
	for (unsigned i = 0; i < size; i += 16) {
		union soft_xmm part = soft_load128(cpu, op, linear + i);

		memcpy((uint8_t *)out + i, &part, 16);
	}
}

static void write_image(struct soft_cpu *cpu, const struct soft_op *op, uint64_t linear,
	const void *bytes, unsigned size)
{
	for (unsigned i = 0; i < size; i += 16) {
		union soft_xmm part;

		memcpy(&part, (const uint8_t *)bytes + i, 16);
		soft_store128(cpu, op, linear + i, part);
	}
}

static uint64_t aligned_operand(
	struct soft_cpu *cpu, const struct soft_op *op, unsigned size, unsigned align, bool write)
{
	uint64_t linear = soft_operand(cpu, op, size, write);

	if (linear & (align - 1))
		soft_raise_error(cpu, SOFT_GP, 0);
	return linear;
}

/* ---- FXSAVE, FXRSTOR ---- */

static void check_fx(struct soft_cpu *cpu)
{
	if (cpu->cr0 & (SOFT_CR0_EM | SOFT_CR0_TS))
		soft_raise(cpu, SOFT_NM);
}

static void op_fxsave(struct soft_cpu *cpu, const struct soft_op *op)
{
	struct image image;
	uint64_t linear;

	check_fx(cpu);
	linear = aligned_operand(cpu, op, LEGACY, 16, true);
	soft_probe_write(cpu, op, linear, LEGACY);
	read_image(cpu, op, linear, &image, LEGACY); /* what is not written stays */
	save_x87(cpu, &image, op->flags & SOFT_OP_W);
	put(&image, 24, cpu->mxcsr, 4);
	put(&image, 28, MXCSR_MASK, 4);
	if (cpu->cr4 & SOFT_CR4_OSFXSR)
		save_sse(cpu, &image);
	write_image(cpu, op, linear, &image, LEGACY);
}

static void op_fxrstor(struct soft_cpu *cpu, const struct soft_op *op)
{
	struct image image;
	uint64_t linear;
	uint32_t mxcsr;

	check_fx(cpu);
	linear = aligned_operand(cpu, op, LEGACY, 16, false);
	read_image(cpu, op, linear, &image, LEGACY);
	mxcsr = (uint32_t)get(&image, 24, 4);
	if ((cpu->cr4 & SOFT_CR4_OSFXSR) && (mxcsr & ~MXCSR_MASK))
		soft_raise_error(cpu, SOFT_GP, 0);
	load_x87(cpu, &image, op->flags & SOFT_OP_W);
	if (cpu->cr4 & SOFT_CR4_OSFXSR) {
		cpu->mxcsr = mxcsr;
		load_sse(cpu, &image);
	}
}

/* ---- XSAVE, XRSTOR ---- */

static void check_xsave(struct soft_cpu *cpu)
{
	if (!(cpu->cr4 & SOFT_CR4_OSXSAVE))
		soft_raise(cpu, SOFT_UD);
	if (cpu->cr0 & SOFT_CR0_TS)
		soft_raise(cpu, SOFT_NM);
}

static uint64_t requested(const struct soft_cpu *cpu)
{
	return (soft_get32(cpu, SOFT_RAX) | cpu->regs[SOFT_RDX] << 32) & cpu->xcr0;
}

static void op_xsave(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t mask = requested(cpu), linear, present;
	struct image image;

	check_xsave(cpu);
	linear = aligned_operand(cpu, op, LEGACY + HEADER, 64, true);
	soft_probe_write(cpu, op, linear, LEGACY + HEADER);
	read_image(cpu, op, linear, &image, LEGACY);
	if (mask & COMPONENT_X87)
		save_x87(cpu, &image, op->flags & SOFT_OP_W);
	if (mask & COMPONENT_SSE) {
		put(&image, 24, cpu->mxcsr, 4);
		put(&image, 28, MXCSR_MASK, 4);
		save_sse(cpu, &image);
	}
	write_image(cpu, op, linear, &image, LEGACY);
	present = soft_load64(cpu, op, linear + LEGACY);
	soft_store64(cpu, op, linear + LEGACY, present | mask);
}

static void op_xrstor(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t mask = requested(cpu), linear, header[8];
	struct image image;
	uint32_t mxcsr;

	check_xsave(cpu);
	linear = aligned_operand(cpu, op, LEGACY + HEADER, 64, false);
	read_image(cpu, op, linear, &image, LEGACY);
	read_image(cpu, op, linear + LEGACY, header, HEADER);
	mxcsr = (uint32_t)get(&image, 24, 4);
	if ((header[0] & ~cpu->xcr0) || header[1] || header[2] ||
		((mask & COMPONENT_SSE) && (mxcsr & ~MXCSR_MASK)))
		soft_raise_error(cpu, SOFT_GP, 0);
	if (mask & COMPONENT_X87) {
		if (header[0] & COMPONENT_X87)
			load_x87(cpu, &image, op->flags & SOFT_OP_W);
		else
			init_x87(cpu);
	}
	if (mask & COMPONENT_SSE) {
		cpu->mxcsr = mxcsr;
		if (header[0] & COMPONENT_SSE)
			load_sse(cpu, &image);
		else
			memset(cpu->xmm, 0, xmm_count(cpu) * 16);
	}
}

static void op_xgetbv(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint32_t index = soft_get32(cpu, SOFT_RCX);

	if (!(cpu->cr4 & SOFT_CR4_OSXSAVE))
		soft_raise(cpu, SOFT_UD);
	if (index != 0)
		soft_raise_error(cpu, SOFT_GP, 0);
	cpu->regs[SOFT_RAX] = (uint32_t)cpu->xcr0;
	cpu->regs[SOFT_RDX] = cpu->xcr0 >> 32;
}

static void op_xsetbv(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t value = soft_get32(cpu, SOFT_RAX) | cpu->regs[SOFT_RDX] << 32;

	if (!(cpu->cr4 & SOFT_CR4_OSXSAVE))
		soft_raise(cpu, SOFT_UD);
	if (cpu->cpl != 0 || soft_get32(cpu, SOFT_RCX) != 0 || !(value & COMPONENT_X87) ||
		(value & ~(uint64_t)(COMPONENT_X87 | COMPONENT_SSE)))
		soft_raise_error(cpu, SOFT_GP, 0);
	cpu->xcr0 = value;
}

#define GROUP15(extension, function)                                                  \
	{                                                                             \
		SOFT_MAP_0F, 0xae, SOFT_P_NONE, extension, SOFT_ANY, SOFT_CLASS_NONE, \
			SOFT_ROW_MEM, function                                        \
	}
#define EXACT(rm, function)                                                                    \
	{                                                                                      \
		SOFT_MAP_0F, 0x01, SOFT_P_NONE, 2, rm, SOFT_CLASS_NONE, SOFT_ROW_REG, function \
	}

static const struct soft_row rows[] = {
	GROUP15(0, op_fxsave),
	GROUP15(1, op_fxrstor),
	GROUP15(4, op_xsave),
	GROUP15(5, op_xrstor),
	GROUP15(6, op_xsave), /* XSAVEOPT: saving all is allowed */
	EXACT(0, op_xgetbv),
	EXACT(1, op_xsetbv),
};

const struct soft_table soft_xsave_table = { rows, ARRAY_SIZE(rows) };

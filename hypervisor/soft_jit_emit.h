/* SPDX-License-Identifier: MIT */
/* Writing x86-64 instructions (Intel SDM vol. 2, chapter 2), for the translator. */
#ifndef HYPERVISOR_SOFT_JIT_EMIT_H
#define HYPERVISOR_SOFT_JIT_EMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum emit_reg {
	H_RAX,
	H_RCX,
	H_RDX,
	H_RBX,
	H_RSP,
	H_RBP,
	H_RSI,
	H_RDI,
	H_R8,
	H_R9,
	H_R10,
	H_R11,
	H_R12,
	H_R13,
	H_R14,
	H_R15,
	H_NONE = -1,
};

/* Opcodes: the byte, its map, the mandatory prefix, and what else counts. */
enum {
	EMIT_0F = 0x100,
	EMIT_0F38 = 0x200,
	EMIT_0F3A = 0x300,
	EMIT_MAPS = 0x300,
	EMIT_BYTE_RM = 0x400, /* r/m is a byte register, whatever the size */
	EMIT_LOCK = 0x800,
	EMIT_PREFIX_SHIFT = 16,
	EMIT_66 = 0x66 << EMIT_PREFIX_SHIFT,
	EMIT_F3 = 0xf3 << EMIT_PREFIX_SHIFT,
	EMIT_F2 = 0xf2 << EMIT_PREFIX_SHIFT,
};

/* A register, or memory at base + (index << scale) + disp; either may be H_NONE. */
struct emit_operand {
	int8_t reg;
	int8_t base;
	int8_t index;
	uint8_t scale;
	int32_t disp;
};

struct emitter {
	uint8_t *bytes; /* of the arena, writable */
	size_t at;
};

static inline void emit8(struct emitter *e, uint8_t value)
{
	e->bytes[e->at++] = value;
}
static inline void emit32(struct emitter *e, uint32_t value)
{
	memcpy(e->bytes + e->at, &value, sizeof(value));
	e->at += sizeof(value);
}
static inline void emit64(struct emitter *e, uint64_t value)
{
	memcpy(e->bytes + e->at, &value, sizeof(value));
	e->at += sizeof(value);
}

static inline struct emit_operand emit_in(int reg)
{
	return (struct emit_operand){ .reg = (int8_t)reg, .base = H_NONE, .index = H_NONE };
}
static inline struct emit_operand emit_at(int base, int32_t disp)
{
	return (struct emit_operand){
		.reg = H_NONE, .base = (int8_t)base, .index = H_NONE, .disp = disp
	};
}
static inline struct emit_operand emit_at_index(int base, int index, unsigned scale, int32_t disp)
{
	return (struct emit_operand){ .reg = H_NONE,
		.base = (int8_t)base,
		.index = (int8_t)index,
		.scale = (uint8_t)scale,
		.disp = disp };
}

static inline void emit_modrm(struct emitter *e, unsigned reg, const struct emit_operand *rm)
{
	unsigned field = (reg & 7) << 3, mod;

	if (rm->reg >= 0) {
		emit8(e, (uint8_t)(0xc0 | field | (rm->reg & 7)));
		return;
	}
	if (rm->base < 0)
		mod = 0;
	else if (rm->disp == 0 && (rm->base & 7) != H_RBP)
		mod = 0;
	else
		mod = rm->disp == (int8_t)rm->disp ? 1 : 2;
	if (rm->index < 0 && rm->base >= 0 && (rm->base & 7) != H_RSP) {
		emit8(e, (uint8_t)(mod << 6 | field | (rm->base & 7)));
	} else {
		unsigned index = rm->index < 0 ? 4 : rm->index & 7;
		unsigned base = rm->base < 0 ? 5 : rm->base & 7;

		emit8(e, (uint8_t)(mod << 6 | field | 4));
		emit8(e, (uint8_t)((unsigned)rm->scale << 6 | index << 3 | base));
	}
	if (mod == 1)
		emit8(e, (uint8_t)rm->disp);
	else if (mod == 2 || rm->base < 0)
		emit32(e, (uint32_t)rm->disp);
}

/* size: log2 of the operand's bytes. */
static inline void emit_op(
	struct emitter *e, unsigned size, uint32_t code, unsigned reg, struct emit_operand rm)
{
	uint8_t prefix = (uint8_t)(code >> EMIT_PREFIX_SHIFT), rex = 0;

	if (code & EMIT_LOCK)
		emit8(e, 0xf0);
	if (size == 1)
		emit8(e, 0x66);
	if (prefix)
		emit8(e, prefix);
	rex |= size == 3 ? 8 : 0;
	rex |= reg & 8 ? 4 : 0;
	if (rm.reg >= 0)
		rex |= rm.reg & 8 ? 1 : 0;
	else
		rex |= (rm.index >= 0 && (rm.index & 8) ? 2 : 0) |
			(rm.base >= 0 && (rm.base & 8) ? 1 : 0);
	/* SPL to DIL, not AH to BH. */
	if (rex || (size == 0 && reg >= 4) || ((size == 0 || (code & EMIT_BYTE_RM)) && rm.reg >= 4))
		emit8(e, 0x40 | rex);
	if (code & EMIT_MAPS)
		emit8(e, 0x0f);
	if ((code & EMIT_MAPS) == EMIT_0F38)
		emit8(e, 0x38);
	else if ((code & EMIT_MAPS) == EMIT_0F3A)
		emit8(e, 0x3a);
	emit8(e, (uint8_t)code);
	emit_modrm(e, reg, &rm);
}

static inline void emit_imm(struct emitter *e, unsigned size, uint64_t value)
{
	if (size == 0) {
		emit8(e, (uint8_t)value);
	} else if (size == 1) {
		emit8(e, (uint8_t)value);
		emit8(e, (uint8_t)(value >> 8));
	} else {
		emit32(e, (uint32_t)value);
	}
}

/* ---- what is often wanted ---- */

static inline void emit_load(struct emitter *e, unsigned size, int to, struct emit_operand from)
{
	if (from.reg != to || size < 3)
		emit_op(e, size, size ? 0x8b : 0x8a, (unsigned)to, from);
}
static inline void emit_store(struct emitter *e, unsigned size, struct emit_operand to, int from)
{
	emit_op(e, size, size ? 0x89 : 0x88, (unsigned)from, to);
}
static inline void emit_lea(struct emitter *e, unsigned size, int to, struct emit_operand from)
{
	emit_op(e, size, 0x8d, (unsigned)to, from);
}
/* alu: enum soft_alu's first eight. The immediate is of 32 bits, sign-extended. */
static inline void emit_alu_imm(
	struct emitter *e, unsigned size, unsigned alu, struct emit_operand to, int32_t imm)
{
	if (size == 0) {
		emit_op(e, 0, 0x80, alu, to);
		emit8(e, (uint8_t)imm);
	} else if (imm == (int8_t)imm) {
		emit_op(e, size, 0x83, alu, to);
		emit8(e, (uint8_t)imm);
	} else {
		emit_op(e, size, 0x81, alu, to);
		emit_imm(e, size, (uint64_t)(int64_t)imm);
	}
}
/* Keeps the flags. */
static inline void emit_constant(struct emitter *e, int to, uint64_t value)
{
	if (value <= UINT32_MAX) {
		if (to & 8)
			emit8(e, 0x41);
		emit8(e, (uint8_t)(0xb8 | (to & 7)));
		emit32(e, (uint32_t)value);
	} else if ((int64_t)value == (int32_t)value) {
		emit_op(e, 3, 0xc7, 0, emit_in(to));
		emit32(e, (uint32_t)value);
	} else {
		emit8(e, (uint8_t)(0x48 | (to & 8 ? 1 : 0)));
		emit8(e, (uint8_t)(0xb8 | (to & 7)));
		emit64(e, value);
	}
}

/* Jumps with 32-bit displacements: to a known place, or to one that emit_patch() gives later. What they
 * return is where the displacement is. */
static inline void emit_patch(struct emitter *e, size_t where, size_t target)
{
	int32_t relative = (int32_t)((int64_t)target - (int64_t)(where + 4));

	memcpy(e->bytes + where, &relative, sizeof(relative));
}
static inline size_t emit_jump(struct emitter *e, size_t target)
{
	emit8(e, 0xe9);
	emit32(e, 0);
	emit_patch(e, e->at - 4, target);
	return e->at - 4;
}
static inline size_t emit_jcc(struct emitter *e, unsigned condition, size_t target)
{
	emit8(e, 0x0f);
	emit8(e, (uint8_t)(0x80 | condition));
	emit32(e, 0);
	emit_patch(e, e->at - 4, target);
	return e->at - 4;
}
static inline void emit_call(struct emitter *e, size_t target)
{
	emit8(e, 0xe8);
	emit32(e, 0);
	emit_patch(e, e->at - 4, target);
}

enum { CC_O, CC_NO, CC_B, CC_AE, CC_E, CC_NE, CC_BE, CC_A };

#endif

/* SPDX-License-Identifier: MIT */
/* Random instructions: encodings by pattern, addresses inside the window, numbers of all kinds. */
#include "tests/hypervisor/native_gen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"

enum { NAME_SIZE = 24 };

struct native_gen {
	uint64_t random;
	unsigned count;
	unsigned selected_count;
	struct native_pattern *patterns;
	char (*names)[NAME_SIZE];
	unsigned *selected;
	/* The instruction being made. */
	struct native_case *out;
	const struct native_pattern *pattern;
	uint8_t *at;
	bool address32;
	bool operand16;
	uint8_t rex;
	uint64_t target; /* of the memory operand, */
	unsigned base; /* by these */
	unsigned index;
	uint8_t *rip_disp; /* to be patched */
};

/* ---- chance ---- */

/* xorshift64* */
static uint64_t next(struct native_gen *gen)
{
	gen->random ^= gen->random >> 12;
	gen->random ^= gen->random << 25;
	gen->random ^= gen->random >> 27;
	return gen->random * UINT64_C(0x2545f4914f6cdd1d);
}

static unsigned below(struct native_gen *gen, unsigned limit)
{
	return (unsigned)((next(gen) >> 32) % limit);
}

static bool chance(struct native_gen *gen, unsigned percent)
{
	return below(gen, 100) < percent;
}

static uint64_t number(struct native_gen *gen)
{
	static const uint64_t edges[] = { 0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff,
		0x7fffffff, 0x80000000, 0xffffffff, 0x7fffffffffffffff, 0x8000000000000000,
		0xffffffffffffffff, 0xffffffffffffff80, 0xffffffff80000000 };

	switch (below(gen, 4)) {
	case 0: return edges[below(gen, ARRAY_SIZE(edges))];
	case 1: return next(gen) >> below(gen, 64);
	case 2: return edges[below(gen, ARRAY_SIZE(edges))] + below(gen, 5) - 2;
	default: return next(gen);
	}
}

/* An IEEE number of `bits` bits (32 or 64), of all classes. */
static uint64_t real(struct native_gen *gen, unsigned bits)
{
	unsigned fraction_bits = bits == 32 ? 23 : 52;
	uint64_t fraction_mask = (UINT64_C(1) << fraction_bits) - 1;
	uint64_t exponent_max = bits == 32 ? 0xff : 0x7ff, bias = exponent_max / 2;
	uint64_t sign = next(gen) & 1, fraction = next(gen) & fraction_mask, exponent;

	if (chance(gen, 30))
		fraction &= fraction_mask << below(gen, fraction_bits);
	if (chance(gen, 10))
		fraction = chance(gen, 50) ? 0 : fraction_mask;
	switch (below(gen, 12)) {
	case 0: exponent = 0; break; /* denormal or zero */
	case 1:
		exponent = 0;
		fraction = 0;
		break;
	case 2: exponent = exponent_max; break; /* NaN, signalling or not */
	case 3:
		exponent = exponent_max;
		fraction = 0;
		break;
	case 4: exponent = 1 + below(gen, 4); break;
	case 5: exponent = exponent_max - 1 - below(gen, 4); break;
	case 6: exponent = below(gen, (unsigned)exponent_max); break;
	case 7: exponent = bias + 20 + below(gen, 50); break;
	default: exponent = bias - 8 + below(gen, 16); break;
	}
	return sign << (bits - 1) | exponent << fraction_bits | fraction;
}

/* An x87 number, also one that no instruction makes. */
static void extended(struct native_gen *gen, uint64_t *mantissa, uint16_t *exponent)
{
	*mantissa = next(gen) | UINT64_C(1) << 63;
	if (chance(gen, 40))
		*mantissa &= UINT64_MAX << below(gen, 64);
	switch (below(gen, 12)) {
	case 0:
		*exponent = 0;
		*mantissa = 0;
		break;
	case 1:
		*exponent = 0;
		*mantissa &= INT64_MAX;
		break;
	case 2:
		*exponent = 0x7fff;
		*mantissa = UINT64_C(1) << 63;
		break;
	case 3: *exponent = 0x7fff; break;
	case 4: *exponent = (uint16_t)below(gen, 0x7fff); break;
	case 5: *exponent = (uint16_t)(0x3fff + below(gen, 80)); break;
	case 6:
		*exponent = (uint16_t)(chance(gen, 50) ? below(gen, 70) : 0x7ffe - below(gen, 70));
		break;
	case 7: /* as doubles at their limits */
		*exponent = (uint16_t)(chance(gen, 50) ? 0x3fff - 1090 + below(gen, 130)
						       : 0x3fff + 1020 + below(gen, 8));
		break;
	case 8:
		*exponent = (uint16_t)(chance(gen, 50) ? 0x3fff - 160 + below(gen, 50)
						       : 0x3fff + 124 + below(gen, 8));
		break;
	default: *exponent = (uint16_t)(0x3fff - 8 + below(gen, 16)); break;
	}
	if (chance(gen, 4))
		*mantissa &= INT64_MAX; /* unnormal, pseudo-NaN, pseudo-infinity */
	if (chance(gen, 3))
		*exponent = 0;
	*exponent |= (uint16_t)((next(gen) & 1) << 15);
}

/* ---- the patterns of integer instructions ---- */

#define OSZAPC SOFT_ARITH
#define SZAP   (SOFT_SF | SOFT_ZF | SOFT_AF | SOFT_PF)
#define MODRM  FORM_MODRM
#define P(name, map, opcode, last, reg, form, undefined)                                      \
	{                                                                                     \
		name, SOFT_MAP_##map, 0x##opcode, 0x##last, SOFT_P_NONE, reg, form, undefined \
	}

#define ALU(name, base, lock)                                      \
	P(name, 1, base##0, base##1, SOFT_ANY, MODRM | (lock), 0), \
		P(name, 1, base##2, base##3, SOFT_ANY, MODRM, 0),  \
		P(name, 1, base##4, 0, SOFT_ANY, FORM_IMM8, 0),    \
		P(name, 1, base##5, 0, SOFT_ANY, FORM_IMMZ, 0)
#define ALU8(name, base, lock)                                     \
	P(name, 1, base##8, base##9, SOFT_ANY, MODRM | (lock), 0), \
		P(name, 1, base##a, base##b, SOFT_ANY, MODRM, 0),  \
		P(name, 1, base##c, 0, SOFT_ANY, FORM_IMM8, 0),    \
		P(name, 1, base##d, 0, SOFT_ANY, FORM_IMMZ, 0)
#define GROUP1(name, reg, lock)                                        \
	P(name, 1, 80, 0, reg, MODRM | FORM_IMM8 | (lock), 0),         \
		P(name, 1, 81, 0, reg, MODRM | FORM_IMMZ | (lock), 0), \
		P(name, 1, 83, 0, reg, MODRM | FORM_IMM8 | (lock), 0)
#define SHIFTS(name, reg)                                           \
	P(name, 1, c0, c1, reg, MODRM | FORM_IMM8 | FORM_COUNT, 0), \
		P(name, 1, d0, d1, reg, MODRM | FORM_COUNT, 0),     \
		P(name, 1, d2, d3, reg, MODRM | FORM_COUNT, 0)

static const struct native_pattern integer[] = {
	ALU("add", 0, FORM_LOCK),
	ALU8("or", 0, FORM_LOCK),
	ALU("adc", 1, FORM_LOCK),
	ALU8("sbb", 1, FORM_LOCK),
	ALU("and", 2, FORM_LOCK),
	ALU8("sub", 2, FORM_LOCK),
	ALU("xor", 3, FORM_LOCK),
	ALU8("cmp", 3, 0),
	GROUP1("add", 0, FORM_LOCK),
	GROUP1("or", 1, FORM_LOCK),
	GROUP1("adc", 2, FORM_LOCK),
	GROUP1("sbb", 3, FORM_LOCK),
	GROUP1("and", 4, FORM_LOCK),
	GROUP1("sub", 5, FORM_LOCK),
	GROUP1("xor", 6, FORM_LOCK),
	GROUP1("cmp", 7, 0),
	P("group1", 1, 82, 0, 0, MODRM | FORM_IMM8 | FORM_ONLY32 | FORM_LOCK, 0),
	P("group1", 1, 82, 0, 1, MODRM | FORM_IMM8 | FORM_ONLY32 | FORM_LOCK, 0),
	P("group1", 1, 82, 0, 2, MODRM | FORM_IMM8 | FORM_ONLY32 | FORM_LOCK, 0),
	P("group1", 1, 82, 0, 3, MODRM | FORM_IMM8 | FORM_ONLY32 | FORM_LOCK, 0),
	P("group1", 1, 82, 0, 4, MODRM | FORM_IMM8 | FORM_ONLY32 | FORM_LOCK, 0),
	P("group1", 1, 82, 0, 5, MODRM | FORM_IMM8 | FORM_ONLY32 | FORM_LOCK, 0),
	P("group1", 1, 82, 0, 6, MODRM | FORM_IMM8 | FORM_ONLY32 | FORM_LOCK, 0),
	P("group1", 1, 82, 0, 7, MODRM | FORM_IMM8 | FORM_ONLY32, 0),
	P("push", 1, 50, 57, SOFT_ANY, FORM_OPREG | FORM_STACK, 0),
	P("pop", 1, 58, 5f, SOFT_ANY, FORM_OPREG | FORM_STACK, 0),
	P("movsxd", 1, 63, 0, SOFT_ANY, MODRM | FORM_ONLY64, 0),
	P("arpl", 1, 63, 0, SOFT_ANY, MODRM | FORM_ONLY32, 0),
	P("inc", 1, 40, 47, SOFT_ANY, FORM_OPREG | FORM_ONLY32, 0),
	P("dec", 1, 48, 4f, SOFT_ANY, FORM_OPREG | FORM_ONLY32, 0),
	P("daa", 1, 27, 0, SOFT_ANY, FORM_ONLY32, SOFT_OF),
	P("das", 1, 2f, 0, SOFT_ANY, FORM_ONLY32, SOFT_OF),
	P("aaa", 1, 37, 0, SOFT_ANY, FORM_ONLY32, SOFT_OF | SOFT_SF | SOFT_ZF | SOFT_PF),
	P("aas", 1, 3f, 0, SOFT_ANY, FORM_ONLY32, SOFT_OF | SOFT_SF | SOFT_ZF | SOFT_PF),
	P("aam", 1, d4, 0, SOFT_ANY, FORM_IMM8 | FORM_ONLY32, SOFT_OF | SOFT_AF | SOFT_CF),
	P("aad", 1, d5, 0, SOFT_ANY, FORM_IMM8 | FORM_ONLY32, SOFT_OF | SOFT_AF | SOFT_CF),
	P("pusha", 1, 60, 0, SOFT_ANY, FORM_STACK | FORM_ONLY32, 0),
	P("popa", 1, 61, 0, SOFT_ANY, FORM_STACK | FORM_ONLY32, 0),
	P("bound", 1, 62, 0, SOFT_ANY, MODRM | FORM_MEM | FORM_ONLY32, 0),
	P("push", 1, 68, 0, SOFT_ANY, FORM_IMMZ | FORM_STACK, 0),
	P("imul", 1, 69, 0, SOFT_ANY, MODRM | FORM_IMMZ, SZAP),
	P("push", 1, 6a, 0, SOFT_ANY, FORM_IMM8 | FORM_STACK, 0),
	P("imul", 1, 6b, 0, SOFT_ANY, MODRM | FORM_IMM8, SZAP),
	P("jcc", 1, 70, 7f, SOFT_ANY, FORM_IMM8 | FORM_NO66, 0),
	P("test", 1, 84, 85, SOFT_ANY, MODRM, 0),
	P("xchg", 1, 86, 87, SOFT_ANY, MODRM | FORM_LOCK, 0),
	P("mov", 1, 88, 8b, SOFT_ANY, MODRM, 0),
	P("lea", 1, 8d, 0, SOFT_ANY, MODRM | FORM_MEM, 0),
	P("pop", 1, 8f, 0, 0, MODRM | FORM_STACK, 0),
	P("xchg", 1, 90, 97, SOFT_ANY, FORM_OPREG, 0),
	P("cbw", 1, 98, 99, SOFT_ANY, 0, 0),
	P("pushf", 1, 9c, 0, SOFT_ANY, FORM_STACK, 0),
	P("sahf", 1, 9e, 9f, SOFT_ANY, 0, 0),
	P("mov", 1, a0, a3, SOFT_ANY, FORM_MOFFS, 0),
	P("movs", 1, a4, a5, SOFT_ANY, FORM_STRING, 0),
	P("cmps", 1, a6, a7, SOFT_ANY, FORM_STRING, 0),
	P("test", 1, a8, 0, SOFT_ANY, FORM_IMM8, 0),
	P("test", 1, a9, 0, SOFT_ANY, FORM_IMMZ, 0),
	P("stos", 1, aa, ab, SOFT_ANY, FORM_STRING, 0),
	P("lods", 1, ac, ad, SOFT_ANY, FORM_STRING, 0),
	P("scas", 1, ae, af, SOFT_ANY, FORM_STRING, 0),
	P("mov", 1, b0, b7, SOFT_ANY, FORM_OPREG | FORM_IMM8, 0),
	P("mov", 1, b8, bf, SOFT_ANY, FORM_OPREG | FORM_IMMV, 0),
	SHIFTS("rol", 0),
	SHIFTS("ror", 1),
	SHIFTS("rcl", 2),
	SHIFTS("rcr", 3),
	SHIFTS("shl", 4),
	SHIFTS("shr", 5),
	SHIFTS("sal", 6),
	SHIFTS("sar", 7),
	P("ret", 1, c2, 0, SOFT_ANY, FORM_IMM16 | FORM_STACK | FORM_NO66, 0),
	P("ret", 1, c3, 0, SOFT_ANY, FORM_STACK | FORM_NO66, 0),
	P("mov", 1, c6, 0, 0, MODRM | FORM_IMM8, 0),
	P("mov", 1, c7, 0, 0, MODRM | FORM_IMMZ, 0),
	P("enter", 1, c8, 0, SOFT_ANY, FORM_IMM16 | FORM_IMM8 | FORM_STACK | FORM_FRAME, 0),
	P("leave", 1, c9, 0, SOFT_ANY, FORM_STACK | FORM_FRAME, 0),
	P("salc", 1, d6, 0, SOFT_ANY, FORM_ONLY32, 0),
	P("xlat", 1, d7, 0, SOFT_ANY, FORM_XLAT, 0),
	P("loop", 1, e0, e3, SOFT_ANY, FORM_IMM8 | FORM_NO66, 0),
	P("call", 1, e8, 0, SOFT_ANY, FORM_IMMZ | FORM_STACK | FORM_NO66, 0),
	P("jmp", 1, e9, 0, SOFT_ANY, FORM_IMMZ | FORM_NO66, 0),
	P("jmp", 1, eb, 0, SOFT_ANY, FORM_IMM8 | FORM_NO66, 0),
	P("hlt", 1, f4, 0, SOFT_ANY, 0, 0),
	P("cmc", 1, f5, 0, SOFT_ANY, 0, 0),
	P("test", 1, f6, 0, 0, MODRM | FORM_IMM8, 0),
	P("test", 1, f7, 0, 0, MODRM | FORM_IMMZ, 0),
	P("not", 1, f6, f7, 2, MODRM | FORM_LOCK, 0),
	P("neg", 1, f6, f7, 3, MODRM | FORM_LOCK, 0),
	P("mul", 1, f6, f7, 4, MODRM, SZAP),
	P("imul", 1, f6, f7, 5, MODRM, SZAP),
	P("div", 1, f6, f7, 6, MODRM | FORM_SMALL, OSZAPC),
	P("idiv", 1, f6, f7, 7, MODRM | FORM_SMALL, OSZAPC),
	P("clc", 1, f8, f9, SOFT_ANY, 0, 0),
	P("cli", 1, fa, fb, SOFT_ANY, 0, 0),
	P("cld", 1, fc, fd, SOFT_ANY, 0, 0),
	P("inc", 1, fe, ff, 0, MODRM | FORM_LOCK, 0),
	P("dec", 1, fe, ff, 1, MODRM | FORM_LOCK, 0),
	P("call", 1, ff, 0, 2, MODRM | FORM_STACK | FORM_NO66, 0),
	P("jmp", 1, ff, 0, 4, MODRM | FORM_NO66, 0),
	P("push", 1, ff, 0, 6, MODRM | FORM_STACK, 0),
	P("ud2", 0F, 0b, 0, SOFT_ANY, 0, 0),
	P("nop", 0F, 18, 1f, SOFT_ANY, MODRM, 0),
	/* Not for this level: #GP. */
	P("in", 1, e4, e7, SOFT_ANY, FORM_IMM8, 0),
	P("in", 1, ec, ef, SOFT_ANY, 0, 0),
	P("ins", 1, 6c, 6f, SOFT_ANY, FORM_STRING, 0),
	P("lldt", 0F, 00, 0, 2, MODRM, 0),
	P("ltr", 0F, 00, 0, 3, MODRM, 0),
	P("lgdt", 0F, 01, 0, 2, MODRM | FORM_MEM, 0),
	P("lidt", 0F, 01, 0, 3, MODRM | FORM_MEM, 0),
	P("lmsw", 0F, 01, 0, 6, MODRM, 0),
	P("invlpg", 0F, 01, 0, 7, MODRM | FORM_MEM, 0),
	P("clts", 0F, 06, 0, SOFT_ANY, 0, 0),
	P("invd", 0F, 08, 09, SOFT_ANY, 0, 0),
	P("wrmsr", 0F, 30, 0, SOFT_ANY, 0, 0),
	P("rdmsr", 0F, 32, 33, SOFT_ANY, 0, 0),
	{ "pause", SOFT_MAP_1, 0x90, 0, SOFT_P_F3, SOFT_ANY, 0, 0 },
	P("cmov", 0F, 40, 4f, SOFT_ANY, MODRM, 0),
	P("jcc", 0F, 80, 8f, SOFT_ANY, FORM_IMMZ | FORM_NO66, 0),
	P("setcc", 0F, 90, 9f, SOFT_ANY, MODRM, 0),
	P("bt", 0F, a3, 0, SOFT_ANY, MODRM | FORM_BITS, 0),
	P("shld", 0F, a4, 0, SOFT_ANY, MODRM | FORM_IMM8, SOFT_AF),
	P("shld", 0F, a5, 0, SOFT_ANY, MODRM, SOFT_AF),
	P("bts", 0F, ab, 0, SOFT_ANY, MODRM | FORM_BITS | FORM_LOCK, 0),
	P("shrd", 0F, ac, 0, SOFT_ANY, MODRM | FORM_IMM8, SOFT_AF),
	P("shrd", 0F, ad, 0, SOFT_ANY, MODRM, SOFT_AF),
	P("imul", 0F, af, 0, SOFT_ANY, MODRM, SZAP),
	P("cmpxchg", 0F, b0, b1, SOFT_ANY, MODRM | FORM_LOCK, 0),
	P("btr", 0F, b3, 0, SOFT_ANY, MODRM | FORM_BITS | FORM_LOCK, 0),
	P("movzx", 0F, b6, b7, SOFT_ANY, MODRM, 0),
	P("bt", 0F, ba, 0, 4, MODRM | FORM_IMM8, 0),
	P("bts", 0F, ba, 0, 5, MODRM | FORM_IMM8 | FORM_LOCK, 0),
	P("btr", 0F, ba, 0, 6, MODRM | FORM_IMM8 | FORM_LOCK, 0),
	P("btc", 0F, ba, 0, 7, MODRM | FORM_IMM8 | FORM_LOCK, 0),
	P("btc", 0F, bb, 0, SOFT_ANY, MODRM | FORM_BITS | FORM_LOCK, 0),
	P("bsf", 0F, bc, bd, SOFT_ANY, MODRM, OSZAPC & ~SOFT_ZF),
	P("movsx", 0F, be, bf, SOFT_ANY, MODRM, 0),
	P("xadd", 0F, c0, c1, SOFT_ANY, MODRM | FORM_LOCK, 0),
	P("cmpxchg8b", 0F, c7, 0, 1, MODRM | FORM_MEM | FORM_LOCK, 0),
	P("bswap", 0F, c8, cf, SOFT_ANY, FORM_OPREG | FORM_NO66, 0),
	P("fxsave", 0F, ae, 0, 0, MODRM | FORM_MEM | FORM_SSE, 0),
	P("fxrstor", 0F, ae, 0, 1, MODRM | FORM_MEM | FORM_SSE, 0),
	{ "popcnt", SOFT_MAP_0F, 0xb8, 0, SOFT_P_F3, SOFT_ANY, MODRM, 0 },
	{ "crc32", SOFT_MAP_0F38, 0xf0, 0xf1, SOFT_P_F2, SOFT_ANY, MODRM, 0 },
};

/* ---- encoding ---- */

static void put8(struct native_gen *gen, uint8_t byte)
{
	*gen->at++ = byte;
}

static void put(struct native_gen *gen, uint64_t value, unsigned bytes)
{
	memcpy(gen->at, &value, bytes);
	gen->at += bytes;
}

/* Somewhere in the window; mostly aligned, now and then across the pages or where nothing is. */
static uint64_t some_linear(struct native_gen *gen)
{
	const uint64_t end = NATIVE_DATA + NATIVE_DATA_SIZE;

	if (chance(gen, 2))
		return chance(gen, 50) ? end - 20 + below(gen, 24)
				       : NATIVE_DATA - 8 + below(gen, 9);
	if (chance(gen, 6))
		return NATIVE_DATA + 0x1000 - 17 + below(gen, 18);
	if (chance(gen, 60))
		return NATIVE_WINDOW + 128 + below(gen, 20) * 16u;
	return NATIVE_WINDOW + 128 + below(gen, 320);
}

static uint64_t linear_of(const struct native_gen *gen, uint64_t offset)
{
	return gen->out->bits == 16 ? (uint64_t)NATIVE_SEGMENT + (uint16_t)offset : offset;
}

/* As an offset into the segment. */
static uint64_t some_address(struct native_gen *gen)
{
	return some_linear(gen) - (gen->out->bits == 16 ? NATIVE_SEGMENT : 0);
}

static void put_prefixes(struct native_gen *gen)
{
	const struct native_pattern *pattern = gen->pattern;
	bool memory = pattern->form & (FORM_MODRM | FORM_STRING | FORM_MOFFS | FORM_XLAT);
	bool vector = pattern->form & (FORM_SSE | FORM_X87);

	bool code16 = gen->out->bits == 16;
	/* Jumps of 64-bit code have one size, BSWAP one that is undefined. */
	bool one_size = pattern->form & FORM_NO66 &&
		(gen->out->bits == 64 || pattern->form & FORM_OPREG);
	bool other_size = !vector && !one_size && chance(gen, code16 ? 50 : 25);

	gen->operand16 = other_size != code16;
	gen->address32 = memory && gen->out->bits != 32 && chance(gen, code16 ? 30 : 10);
	if (gen->address32)
		put8(gen, 0x67);
	if (other_size || pattern->prefix == SOFT_P_66)
		put8(gen, 0x66);
	if (memory && chance(gen, 3)) /* of no account in 64-bit mode */
		put8(gen, (uint8_t[]){ 0x26, 0x2e, 0x36, 0x3e }[below(gen, 4)]);
	gen->out->repeats = pattern->form & FORM_STRING && chance(gen, 50);
	if (gen->out->repeats)
		put8(gen, chance(gen, 50) ? 0xf3 : 0xf2);
	if (pattern->prefix == SOFT_P_F3 || pattern->prefix == SOFT_P_F2)
		put8(gen, pattern->prefix == SOFT_P_F3 ? 0xf3 : 0xf2);
	gen->rex = gen->out->bits == 64 && chance(gen, 60) ? 0x40 | (uint8_t)below(gen, 16) : 0;
	/* PAUSE with REX.B is XCHG with R8 to some processors. */
	if (pattern->opcode == 0x90 && pattern->prefix == SOFT_P_F3)
		gen->rex &= 0xfe;
}

/* 16-bit forms: two registers at most, whose upper halves are of no account. */
static void put_address16(struct native_gen *gen, unsigned reg)
{
	static const uint8_t bases[8] = { SOFT_RBX, SOFT_RBX, SOFT_RBP, SOFT_RBP, SOFT_RSI,
		SOFT_RDI, SOFT_RBP, SOFT_RBX };
	static const uint8_t indices[8] = { SOFT_RSI, SOFT_RDI, SOFT_RSI, SOFT_RDI, SOFT_ZERO,
		SOFT_ZERO, SOFT_ZERO, SOFT_ZERO };
	uint64_t *regs = gen->out->before.regs, disp = 0;
	unsigned mod = below(gen, 3), rm = below(gen, 8);

	put8(gen, (uint8_t)(mod << 6 | (reg & 7) << 3 | rm));
	gen->base = gen->index = SOFT_ZERO;
	if (mod == 0 && rm == 6) {
		put(gen, gen->target, 2);
		return;
	}
	if (mod != 0)
		disp = mod == 1 ? (uint64_t)(int64_t)(int8_t)next(gen) : next(gen) & 0xffff;
	put(gen, disp, mod);
	gen->base = bases[rm];
	gen->index = indices[rm];
	if (gen->index != SOFT_ZERO)
		disp += regs[gen->index];
	regs[gen->base] = (regs[gen->base] & ~UINT64_C(0xffff)) | ((gen->target - disp) & 0xffff);
}

/* The base register is given the value that leads to the target. False: the index spoils it. */
static bool put_address(struct native_gen *gen, unsigned reg)
{
	uint64_t *regs = gen->out->before.regs, disp = 0, index_value = 0;
	unsigned base = below(gen, 8) | (gen->rex & 1u) << 3, mod = below(gen, 3), index = 4;
	bool sib = (base & 7) == 4 || chance(gen, 30);
	uint8_t scale = 0;

	gen->base = gen->index = SOFT_ZERO;
	if ((base & 7) == 5 && mod == 0) {
		/* RIP-relative, or an absolute address. */
		put8(gen, (uint8_t)((reg & 7) << 3 | (sib ? 4 : 5)));
		if (sib)
			put8(gen, 0x25);
		if (!sib && gen->out->bits == 64)
			gen->rip_disp = gen->at;
		put(gen, gen->target, 4);
		return true;
	}
	if (sib) {
		index = below(gen, 8) | (gen->rex & 2u) << 2;
		scale = (uint8_t)below(gen, 4);
		if (index != 4 && index == base)
			return false;
		if (index != 4) {
			regs[index] = chance(gen, 50) ? below(gen, 64) : number(gen);
			index_value = regs[index] << scale;
		}
	}
	if (mod == 1)
		disp = (uint64_t)(int64_t)(int8_t)next(gen);
	else if (mod == 2)
		disp = (uint64_t)(int64_t)(int32_t)next(gen);
	put8(gen, (uint8_t)(mod << 6 | (reg & 7) << 3 | (sib ? 4 : base & 7)));
	if (sib)
		put8(gen, (uint8_t)(scale << 6 | (index & 7) << 3 | (base & 7)));
	put(gen, disp, mod == 0 ? 0 : mod == 1 ? 1 : 4);
	gen->base = base;
	gen->index = index == 4 ? SOFT_ZERO : index;
	regs[base] = gen->target - disp - index_value;
	if (gen->address32 && chance(gen, 80))
		regs[base] ^= next(gen) << 32;
	return true;
}

/* ModRM and what follows it. */
static bool put_modrm(struct native_gen *gen)
{
	const struct native_pattern *pattern = gen->pattern;
	unsigned reg = pattern->reg == SOFT_ANY ? below(gen, 8) : (unsigned)pattern->reg;
	bool memory = pattern->form & FORM_MEM || (!(pattern->form & FORM_REG) && chance(gen, 50));
	unsigned full = reg | (gen->rex & 4u) << 1;

	if (!memory) {
		put8(gen, (uint8_t)(0xc0 | reg << 3 | below(gen, 8)));
		return true;
	}
	if (gen->out->bits == 16 && !gen->address32)
		put_address16(gen, reg);
	else if (!put_address(gen, reg))
		return false;
	if (pattern->form & FORM_BITS) {
		if (full == gen->base || full == gen->index)
			return false;
		gen->out->before.regs[full] = (uint64_t)(int64_t)((int)below(gen, 1600) - 800);
	}
	return true;
}

static void put_opcode(struct native_gen *gen)
{
	const struct native_pattern *pattern = gen->pattern;
	uint8_t opcode = pattern->opcode;

	if (pattern->last)
		opcode += (uint8_t)below(gen, pattern->last - pattern->opcode + 1u);
	if (gen->rex)
		put8(gen, gen->rex);
	if (pattern->map != SOFT_MAP_1)
		put8(gen, 0x0f);
	if (pattern->map == SOFT_MAP_0F38 || pattern->map == SOFT_MAP_0F3A)
		put8(gen, pattern->map == SOFT_MAP_0F38 ? 0x38 : 0x3a);
	put8(gen, opcode);
}

static void put_immediate(struct native_gen *gen)
{
	uint32_t form = gen->pattern->form;
	bool wide = gen->rex & 8;

	if (form & FORM_IMM16)
		put(gen, form & FORM_FRAME ? below(gen, 64) : below(gen, 256), 2);
	if (form & FORM_IMM8 && form & FORM_FRAME)
		put8(gen, (uint8_t)below(gen, 4)); /* ENTER's level */
	else if (form & FORM_IMM8)
		put8(gen, (uint8_t)number(gen));
	if (form & FORM_IMMZ)
		put(gen, number(gen), gen->operand16 && !wide ? 2 : 4);
	if (form & FORM_IMMV)
		put(gen, number(gen), wide ? 8 : gen->operand16 ? 2 : 4);
	if (form & FORM_MOFFS)
		put(gen, gen->target,
			gen->out->bits == 64 && !gen->address32           ? 8
				: gen->out->bits == 16 && !gen->address32 ? 2
									  : 4);
}

/* ---- operands ---- */

static void fill_vectors(struct native_gen *gen)
{
	struct native_fx *fx = &gen->out->before.fx;
	static const uint32_t masks[] = { 0x1f80, 0x1f80, 0x1f80, 0, 0x1f00 };
	uint32_t mxcsr = chance(gen, 60) ? 0x1f80 : masks[below(gen, ARRAY_SIZE(masks))];

	if (chance(gen, 15))
		mxcsr = (uint32_t)next(gen) & 0x1f80;
	if (chance(gen, 40))
		mxcsr |= (uint32_t)next(gen) & 0xe040;
	mxcsr |= (uint32_t)next(gen) & (chance(gen, 50) ? 0x3f : 0);
	fx->mxcsr = mxcsr;
	for (unsigned i = 0; i < 16; i++) {
		unsigned kind = below(gen, 3);

		for (unsigned k = 0; k < 2; k++)
			fx->xmm[i][k] = kind == 0 ? number(gen)
				: kind == 1       ? real(gen, 64)
						  : real(gen, 32) | real(gen, 32) << 32;
	}
}

static void fill_x87(struct native_gen *gen)
{
	struct native_fx *fx = &gen->out->before.fx;

	fx->control = 0x37f;
	if (chance(gen, 50))
		fx->control = (uint16_t)((next(gen) & 0xf00) | 0x7f);
	if (chance(gen, 30))
		fx->control = (uint16_t)((next(gen) & 0x1f3f) | 0x40);
	fx->status = (uint16_t)(next(gen) & 0x7f00);
	if (chance(gen, 30))
		fx->status |= (uint16_t)(next(gen) & 0x7f);
	/* What is not masked was told before; seldom it is still to be. */
	if (!chance(gen, 3))
		fx->status &= (uint16_t)(fx->control | ~0x3f);
	if (fx->status & ~fx->control & 0x3f)
		fx->status |= 0x8080;
	fx->valid = (uint8_t)(chance(gen, 70) ? 0xff : next(gen));
	if (chance(gen, 30)) /* room for what is pushed */
		fx->valid &= (uint8_t) ~(1u << (((fx->status >> 11) - 1) & 7));
	for (unsigned i = 0; i < 8; i++)
		extended(gen, &fx->st[i].mantissa, &fx->st[i].exponent);
}

/* MMX registers: their exponents are ones. */
static void fill_mmx(struct native_gen *gen)
{
	struct native_fx *fx = &gen->out->before.fx;

	for (unsigned i = 0; i < 8; i++) {
		fx->st[i].mantissa = number(gen);
		fx->st[i].exponent = 0xffff;
	}
}

static void fill_window(struct native_gen *gen)
{
	uint8_t *window = gen->out->before.window;

	for (unsigned i = 0; i < NATIVE_WINDOW_SIZE; i += 8) {
		uint64_t value = next(gen);

		memcpy(window + i, &value, 8);
	}
	/* Around the operand there are numbers of interest. */
	for (unsigned i = 0; i < 4 && gen->pattern->form & (FORM_SSE | FORM_X87); i++) {
		uint64_t offset = linear_of(gen, gen->target) - NATIVE_WINDOW + 8 * i, value;
		uint16_t exponent;
		unsigned kind = below(gen, 4);

		if (offset > NATIVE_WINDOW_SIZE - 8)
			continue;
		value = kind == 0   ? number(gen)
			: kind == 1 ? real(gen, 64)
				    : real(gen, 32) | real(gen, 32) << 32;
		if (gen->pattern->opcode == 0xae) /* LDMXCSR, FXRSTOR: what may be loaded */
			value &= gen->pattern->reg == 1 && i != 3 ? UINT64_MAX : 0xffff;
		if (gen->pattern->form & FORM_X87 && kind == 3) {
			extended(gen, &value, &exponent);
			memcpy(window + offset, &value, 8);
			if (offset <= NATIVE_WINDOW_SIZE - 16)
				memcpy(window + offset + 8, &exponent, 2);
			break;
		}
		memcpy(window + offset, &value, 8);
	}
}

static void fill(struct native_gen *gen)
{
	struct native_state *before = &gen->out->before;

	for (unsigned i = 0; i < 16; i++)
		before->regs[i] = number(gen);
	before->flags = 2 | (next(gen) & SOFT_ARITH) | (chance(gen, 20) ? SOFT_DF : 0) | SOFT_IF;
	memset(&before->fx, 0, sizeof(before->fx));
	fill_vectors(gen);
	fill_x87(gen);
	if (chance(gen, 50) && gen->pattern->form & FORM_SSE)
		fill_mmx(gen);
	gen->target = some_address(gen);
}

/* Registers that instructions take for granted. */
static void set_implied(struct native_gen *gen)
{
	uint64_t *regs = gen->out->before.regs;
	uint32_t form = gen->pattern->form;

	if (form & FORM_STRING) {
		regs[SOFT_RSI] = some_address(gen);
		regs[SOFT_RDI] = some_address(gen);
		regs[SOFT_RCX] = below(gen, 8);
		if (gen->address32 && chance(gen, 50)) {
			regs[SOFT_RSI] |= next(gen) << 32;
			regs[SOFT_RDI] |= next(gen) << 32;
			regs[SOFT_RCX] |= next(gen) << 32;
		}
		/* Matches, too. */
		if (chance(gen, 50))
			regs[SOFT_RAX] = 0;
	}
	if (form & FORM_MASKMOV)
		regs[SOFT_RDI] = gen->target;
	if (form & FORM_XLAT)
		regs[SOFT_RBX] = gen->target - (uint8_t)regs[SOFT_RAX];
	if (form & FORM_FRAME)
		regs[SOFT_RBP] = some_address(gen);
	if (form & FORM_SMALL && chance(gen, 80))
		regs[SOFT_RDX] = chance(gen, 50) ? 0 : UINT64_MAX;
}

static bool make(struct native_gen *gen)
{
	uint32_t form = gen->pattern->form;
	struct native_case *out = gen->out;
	uint64_t *regs = out->before.regs;

	out->bits = 64;
	if (form & FORM_ONLY32 || (!(form & FORM_ONLY64) && chance(gen, 40)))
		out->bits = chance(gen, 50) ? 32 : 16;
	fill(gen);
	gen->at = out->code;
	gen->rip_disp = NULL;
	put_prefixes(gen);
	if (gen->pattern->form & FORM_LOCK && chance(gen, 20))
		*gen->at++ = 0xf0;
	put_opcode(gen);
	if (gen->pattern->form & FORM_STACK)
		regs[SOFT_RSP] = some_address(gen);
	set_implied(gen);
	if (gen->pattern->form & FORM_MODRM && !put_modrm(gen))
		return false;
	put_immediate(gen);
	out->length = (unsigned)(gen->at - out->code);
	if (out->length > NATIVE_INSN_MAX)
		return false;
	if (gen->rip_disp) {
		uint32_t disp = (uint32_t)(gen->target - NATIVE_START - out->length);

		memcpy(gen->rip_disp, &disp, sizeof(disp));
	}
	for (unsigned i = 0; out->bits != 64 && i < 16; i++)
		regs[i] &= i < 8 ? UINT32_MAX : 0;
	memset(out->code + out->length, 0x90, sizeof(out->code) - out->length);
	out->before.rip = out->bits == 16 ? NATIVE_START - NATIVE_CODE : NATIVE_START;
	fill_window(gen);
	/* What RET takes: an address that exists in this mode. */
	if (gen->pattern->form & FORM_STACK) {
		uint64_t offset = linear_of(gen, regs[SOFT_RSP]) - NATIVE_WINDOW,
			 value = next(gen) >> 20;

		if (offset <= NATIVE_WINDOW_SIZE - 8)
			memcpy(out->before.window + offset, &value, 8);
	}
	return true;
}

const struct native_pattern *native_gen_case(struct native_gen *gen, struct native_case *out)
{
	gen->out = out;
	do
		gen->pattern = &gen->patterns[gen->selected[below(gen, gen->selected_count)]];
	while (!make(gen));
	return gen->pattern;
}

/* ---- life ---- */

/* What a table's row says, as a pattern. False: not one that can be compared. */
static bool pattern_of_row(
	const struct soft_row *row, uint32_t form, char name[NAME_SIZE], struct native_pattern *out)
{
	static const char *const maps[] = { "", "0f", "0f38", "0f3a" };
	static const char *const prefixes[] = { "", "", "66", "f3", "f2" };

	if (row->flags & SOFT_ROW_KERNEL)
		return false;
	snprintf(name, NAME_SIZE, "%s:%s%s%02x%s%c", form & FORM_X87 ? "x87" : "sse",
		prefixes[row->prefix], maps[row->map], row->opcode, row->reg >= 0 ? "/" : "",
		row->reg >= 0 ? '0' + row->reg : '\0');
	*out = (struct native_pattern){ name, row->map, row->opcode, 0, row->prefix, row->reg, form,
		0 };
	if (!(row->flags & SOFT_ROW_NO_MODRM))
		out->form |= FORM_MODRM;
	if (row->flags & SOFT_ROW_MEM)
		out->form |= FORM_MEM;
	if (row->flags & SOFT_ROW_REG)
		out->form |= FORM_REG;
	if (row->flags & SOFT_ROW_IMM8)
		out->form |= FORM_IMM8;
	if (row->map == SOFT_MAP_0F && row->opcode == 0xf7)
		out->form |= FORM_MASKMOV;
	return true;
}

static void add_rows(struct native_gen *gen, const struct soft_table *table, uint32_t form)
{
	for (size_t i = 0; i < table->count; i++) {
		char *name = gen->names[gen->count];

		gen->count +=
			pattern_of_row(&table->rows[i], form, name, &gen->patterns[gen->count]);
	}
}

struct native_gen *native_gen_create(uint64_t seed)
{
	static const struct soft_table *const sse[] = { &soft_mmx_table, &soft_sse_int_table,
		&soft_sse_fp_table, &soft_sse_move_table };
	struct native_gen *gen = calloc(1, sizeof(*gen));
	size_t room = ARRAY_SIZE(integer) + soft_x87_table.count;

	if (!gen)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(sse); i++)
		room += sse[i]->count;
	gen->random = seed * 2 + 1;
	gen->patterns = calloc(room, sizeof(*gen->patterns));
	gen->names = calloc(room, sizeof(*gen->names));
	gen->selected = calloc(room, sizeof(*gen->selected));
	if (!gen->patterns || !gen->names || !gen->selected)
		return NULL;
	memcpy(gen->patterns, integer, sizeof(integer));
	gen->count = ARRAY_SIZE(integer);
	for (size_t i = 0; i < ARRAY_SIZE(sse); i++)
		add_rows(gen, sse[i], FORM_SSE);
	add_rows(gen, &soft_x87_table, FORM_X87);
	native_gen_select(gen, "");
	return gen;
}

void native_gen_destroy(struct native_gen *gen)
{
	free(gen->patterns);
	free(gen->names);
	free(gen->selected);
	free(gen);
}

unsigned native_gen_select(struct native_gen *gen, const char *prefix)
{
	gen->selected_count = 0;
	for (unsigned i = 0; i < gen->count; i++)
		if (strncmp(gen->patterns[i].name, prefix, strlen(prefix)) == 0)
			gen->selected[gen->selected_count++] = i;
	return gen->selected_count;
}

const struct native_pattern *native_gen_select_one(struct native_gen *gen, unsigned number)
{
	if (number >= gen->count)
		return NULL;
	gen->selected[0] = number;
	gen->selected_count = 1;
	return &gen->patterns[number];
}

/* SPDX-License-Identifier: MIT */
/* Decoding of the instructions that have functions of their own; all others are rows. */
#include "hypervisor/soft_decode.h"

static bool is64(const struct soft_decoder *d)
{
	return d->mode & SOFT_MODE_64;
}

static bool memory(const struct soft_decoder *d)
{
	return d->op->flags & SOFT_OP_MEM;
}

/* Whether the address needs more than base, index and displacement. */
static bool general(const struct soft_decoder *d)
{
	return !is64(d) || (d->op->flags & SOFT_OP_A32) || d->op->seg >= SOFT_FS;
}

/* Immediates are at most 32 bits long. */
static uint64_t imm(struct soft_decoder *d, unsigned size)
{
	return (uint64_t)soft_decode_imm(d, size > 2 ? 2 : size);
}

/* PUSH, POP and near jumps have 64 bits in 64-bit mode. */
static unsigned stack_size(const struct soft_decoder *d)
{
	return is64(d) ? (d->osize == 1 ? 1 : 3) : d->osize;
}

static unsigned extension(const struct soft_decoder *d)
{
	return (d->modrm >> 3) & 7;
}

static unsigned low_reg(const struct soft_decoder *d)
{
	return (d->opcode & 7u) | (d->rex & 1u) << 3;
}

/* ---- arithmetic ---- */

/* Of registers only: what else there is may fault. ADC and SBB read the carry. */
static void note_flags(
	struct soft_decoder *d, enum soft_alu alu, unsigned size, enum soft_form form)
{
	if (alu == ALU_ADC || alu == ALU_SBB || form > FORM_RI)
		return;
	d->flags_use = SOFT_FLAGS_SET;
	d->quiet = soft_alu_quiet_fn(alu, size, form);
}

static void locked_alu(struct soft_decoder *d, enum soft_alu alu, unsigned size, bool immediate)
{
	d->op->fn = soft_op_lock_alu;
	d->op->rm = (uint8_t)(alu | size << 4 | (immediate ? 0x40u : 0));
	d->may_lock = true;
}

/* Opcodes 00 to 3D, and TEST: by the low bits, which operands. */
static void alu_operands(struct soft_decoder *d, enum soft_alu alu)
{
	unsigned kind = d->opcode & 7, size = kind & 1 ? d->osize : 0;
	enum soft_form form;
	struct soft_op *op = d->op;

	if (kind >= 4) {
		op->rm = 0; /* AL, AX, EAX, RAX */
		op->imm = imm(d, size);
		op->fn = soft_alu_fn(alu, size, FORM_RI, false);
		note_flags(d, alu, size, FORM_RI);
		return;
	}
	soft_decode_modrm(d);
	if (size == 0)
		soft_decode_byte_regs(d);
	if (memory(d))
		form = kind & 2 ? FORM_RM : FORM_MR;
	else
		form = FORM_RR;
	if (form == FORM_RR && (kind & 2)) {
		uint8_t rm = op->rm;

		op->rm = op->reg;
		op->reg = rm;
	}
	if (d->lock && form == FORM_MR && alu < ALU_CMP)
		locked_alu(d, alu, size, false);
	else
		op->fn = soft_alu_fn(alu, size, form, general(d));
	note_flags(d, alu, size, form);
}

/* 80, 81, 83 */
static void alu_group(struct soft_decoder *d)
{
	unsigned size = d->opcode & 1 ? d->osize : 0;
	enum soft_alu alu;

	if (d->opcode == 0x82 && is64(d)) {
		d->bad = true;
		return;
	}
	soft_decode_modrm(d);
	alu = extension(d);
	if (size == 0)
		soft_decode_byte_regs(d);
	d->op->imm = imm(d, d->opcode == 0x83 ? 0 : size);
	if (d->lock && memory(d) && alu < ALU_CMP)
		locked_alu(d, alu, size, true);
	else
		d->op->fn = soft_alu_fn(alu, size, memory(d) ? FORM_MI : FORM_RI, general(d));
	note_flags(d, alu, size, memory(d) ? FORM_MI : FORM_RI);
}

static void test(struct soft_decoder *d)
{
	unsigned size = d->opcode & 1 ? d->osize : 0;

	soft_decode_modrm(d);
	if (size == 0)
		soft_decode_byte_regs(d);
	d->op->fn = soft_alu_fn(ALU_TEST, size, memory(d) ? FORM_MR : FORM_RR, general(d));
	note_flags(d, ALU_TEST, size, memory(d) ? FORM_MR : FORM_RR);
}

static void unary(struct soft_decoder *d, enum soft_unary kind, unsigned size)
{
	if (d->lock && memory(d)) {
		d->op->fn = soft_op_lock_unary;
		d->op->rm = (uint8_t)(kind | size << 4);
		d->may_lock = true;
		return;
	}
	d->op->fn = soft_unary_fn(kind, size, memory(d), general(d));
}

/* F6, F7: TEST, NOT and NEG; the others are rows. */
static void group3(struct soft_decoder *d)
{
	unsigned size = d->opcode & 1 ? d->osize : 0;

	soft_decode_modrm(d);
	if (extension(d) >= 4) {
		soft_decode_row(d);
		return;
	}
	if (size == 0)
		soft_decode_byte_regs(d);
	if (extension(d) < 2) {
		d->op->imm = imm(d, size);
		d->op->fn = soft_alu_fn(ALU_TEST, size, memory(d) ? FORM_MI : FORM_RI, general(d));
	} else {
		unary(d, extension(d) == 2 ? UNARY_NOT : UNARY_NEG, size);
	}
}

/* FE, FF */
static void group5(struct soft_decoder *d)
{
	unsigned size = d->opcode & 1 ? d->osize : 0;
	struct soft_op *op = d->op;

	soft_decode_modrm(d);
	switch (extension(d)) {
	case 0:
	case 1:
		if (size == 0)
			soft_decode_byte_regs(d);
		unary(d, extension(d) ? UNARY_DEC : UNARY_INC, size);
		return;
	case 2:
	case 4:
		if (d->opcode == 0xfe)
			break;
		if (is64(d))
			op->flags &= (uint8_t)~SOFT_OP_O16;
		op->fn = soft_jump_rm_fn(extension(d) == 2, memory(d), is64(d));
		d->ends = true;
		return;
	case 6:
		if (d->opcode == 0xfe)
			break;
		op->fn = soft_push_fn(stack_size(d), memory(d) ? FORM_RM : FORM_RR, is64(d));
		return;
	default:
		if (d->opcode == 0xfe)
			break;
		soft_decode_row(d);
		return;
	}
	d->bad = true;
}

/* C0, C1, D0 to D3 */
static void shift(struct soft_decoder *d)
{
	unsigned size = d->opcode & 1 ? d->osize : 0;
	bool by_cl = (d->opcode & 0xfe) == 0xd2;

	soft_decode_modrm(d);
	if (size == 0)
		soft_decode_byte_regs(d);
	d->op->imm = d->opcode < 0xd0 ? soft_decode_u8(d) : 1;
	d->op->fn = soft_shift_fn(extension(d), size, memory(d), by_cl, general(d));
	/* A count of zero keeps the flags, and rotates keep most. */
	if (!memory(d) && !by_cl && extension(d) >= SHIFT_SHL && (d->op->imm & 31) && size >= 2) {
		d->flags_use = SOFT_FLAGS_SET;
		d->quiet = soft_shift_quiet_fn(extension(d), size);
	}
}

static void imul_immediate(struct soft_decoder *d)
{
	soft_decode_modrm(d);
	d->op->imm = imm(d, d->opcode == 0x6b ? 0 : d->osize);
	d->op->fn = soft_imul_fn(d->osize, true, memory(d), general(d));
}

/* ---- moves ---- */

static void mov(struct soft_decoder *d)
{
	unsigned size = d->opcode & 1 ? d->osize : 0;
	struct soft_op *op = d->op;
	bool load = d->opcode & 2;

	soft_decode_modrm(d);
	if (size == 0)
		soft_decode_byte_regs(d);
	if (memory(d)) {
		op->fn = soft_mov_fn(size, load ? FORM_RM : FORM_MR, general(d));
		return;
	}
	if (load) {
		uint8_t rm = op->rm;

		op->rm = op->reg;
		op->reg = rm;
	}
	op->fn = soft_mov_fn(size, FORM_RR, false);
	d->flags_use = SOFT_FLAGS_IGNORED;
}

/* C6, C7 */
static void mov_immediate(struct soft_decoder *d)
{
	unsigned size = d->opcode & 1 ? d->osize : 0;

	soft_decode_modrm(d);
	if (extension(d) != 0) {
		d->bad = true;
		return;
	}
	if (size == 0)
		soft_decode_byte_regs(d);
	d->op->imm = imm(d, size);
	d->op->fn = soft_mov_fn(size, memory(d) ? FORM_MI : FORM_RI, general(d));
	d->flags_use = memory(d) ? SOFT_FLAGS_USED : SOFT_FLAGS_IGNORED;
}

/* B0 to BF */
static void mov_register_immediate(struct soft_decoder *d)
{
	unsigned size = d->opcode & 8 ? d->osize : 0;

	d->op->rm = (uint8_t)low_reg(d);
	if (size == 0)
		d->op->rm = soft_decode_byte_reg(d, low_reg(d));
	d->op->imm = (uint64_t)soft_decode_imm(d, size);
	d->op->fn = soft_mov_fn(size, FORM_RI, false);
	d->flags_use = SOFT_FLAGS_IGNORED;
}

/* A0 to A3 */
static void moffs(struct soft_decoder *d)
{
	struct soft_op *op = d->op;

	op->rm = d->opcode;
	if (op->flags & SOFT_OP_A16)
		op->imm = (uint16_t)soft_decode_imm(d, 1);
	else if (op->flags & SOFT_OP_A32)
		op->imm = (uint32_t)soft_decode_imm(d, 2);
	else
		op->imm = (uint64_t)soft_decode_imm(d, 3);
	if (d->seg >= 0 && (!is64(d) || d->seg >= SOFT_FS))
		op->seg = (uint8_t)d->seg;
	op->fn = soft_op_moffs;
}

static void lea(struct soft_decoder *d)
{
	soft_decode_modrm(d);
	if (!memory(d)) {
		d->bad = true;
		return;
	}
	d->op->fn = soft_lea_fn(d->osize, !is64(d) || (d->op->flags & SOFT_OP_A32));
	d->flags_use = SOFT_FLAGS_IGNORED;
}

/* 90 to 97 */
static void xchg_rax(struct soft_decoder *d)
{
	d->op->reg = SOFT_RAX;
	d->op->rm = (uint8_t)low_reg(d);
	if (d->op->rm == SOFT_RAX)
		d->op->fn = d->rep == 0xf3 ? soft_op_pause : soft_op_nop;
	else if (d->osize == 1)
		soft_decode_row(d);
	else
		d->op->fn = d->osize == 3 ? soft_op_xchg_rr64 : soft_op_xchg_rr32;
}

static void xchg(struct soft_decoder *d)
{
	soft_decode_modrm(d);
	if (d->opcode == 0x87 && !memory(d) && d->osize >= 2)
		d->op->fn = d->osize == 3 ? soft_op_xchg_rr64 : soft_op_xchg_rr32;
	else
		soft_decode_row(d);
}

static void extend(struct soft_decoder *d, unsigned from, bool sign)
{
	soft_decode_modrm(d);
	if (from == 0 && !memory(d))
		d->op->rm = soft_decode_byte_reg(d, d->op->rm);
	d->op->fn = soft_extend_fn(from, d->osize, sign, memory(d), general(d));
	d->flags_use = memory(d) ? SOFT_FLAGS_USED : SOFT_FLAGS_IGNORED;
}

/* ---- control ---- */

static void jump(struct soft_decoder *d, unsigned size, soft_fn *fn)
{
	if (is64(d))
		d->op->flags &= (uint8_t)~SOFT_OP_O16;
	else if (size && d->osize == 1)
		size = 1;
	d->op->disp = (int32_t)soft_decode_imm(d, size);
	d->op->fn = fn;
	d->op->seg = SOFT_SS;
	d->ends = d->links = true;
}

static void ret(struct soft_decoder *d)
{
	if (is64(d))
		d->op->flags &= (uint8_t)~SOFT_OP_O16;
	d->op->imm = d->opcode == 0xc2 ? (uint16_t)soft_decode_imm(d, 1) : 0;
	d->op->fn = soft_ret_fn(is64(d));
	d->op->seg = SOFT_SS;
	d->ends = true;
}

static void push_pop(struct soft_decoder *d)
{
	d->op->rm = (uint8_t)low_reg(d);
	d->op->seg = SOFT_SS;
	d->op->fn = d->opcode < 0x58 ? soft_push_fn(stack_size(d), FORM_RR, is64(d))
				     : soft_pop_fn(stack_size(d), is64(d));
}

static void push_immediate(struct soft_decoder *d)
{
	d->op->imm = imm(d, d->opcode == 0x6a ? 0 : stack_size(d));
	d->op->seg = SOFT_SS;
	d->op->fn = soft_push_fn(stack_size(d), FORM_RI, is64(d));
}

static void enter(struct soft_decoder *d)
{
	d->op->disp = (uint16_t)soft_decode_imm(d, 1);
	d->op->imm8 = soft_decode_u8(d);
	soft_decode_row(d);
}

/* 9A, EA: offset and selector. */
static void far(struct soft_decoder *d)
{
	uint16_t selector;

	d->op->disp = (int32_t)soft_decode_imm(d, d->osize);
	selector = (uint16_t)soft_decode_imm(d, 1);
	soft_decode_row(d);
	d->op->index = (uint8_t)selector;
	d->op->scale = (uint8_t)(selector >> 8);
}

/* CA, CB */
static void far_return(struct soft_decoder *d)
{
	d->op->disp = d->opcode == 0xca ? (uint16_t)soft_decode_imm(d, 1) : 0;
	soft_decode_row(d);
}

static void loop(struct soft_decoder *d)
{
	d->op->imm8 = d->opcode & 3;
	jump(d, 0, soft_op_loop);
	d->op->imm8 = d->opcode & 3;
}

/* ---- by opcode ---- */

static void one_byte_40_to_7f(struct soft_decoder *d)
{
	switch (d->opcode) {
	case 0x40 ... 0x4f:
		d->op->rm = d->opcode & 7;
		unary(d, d->opcode & 8 ? UNARY_DEC : UNARY_INC, d->osize);
		break;
	case 0x50 ... 0x5f: push_pop(d); break;
	case 0x63:
		if (is64(d))
			extend(d, 2, true);
		else
			soft_decode_row(d);
		break;
	case 0x68:
	case 0x6a: push_immediate(d); break;
	case 0x69:
	case 0x6b: imul_immediate(d); break;
	case 0x70 ... 0x7f: jump(d, 0, soft_jcc_fn(d->opcode & 15, is64(d))); break;
	default: soft_decode_row(d); break;
	}
}

static void one_byte_80_to_bf(struct soft_decoder *d)
{
	switch (d->opcode) {
	case 0x80 ... 0x83: alu_group(d); break;
	case 0x84:
	case 0x85: test(d); break;
	case 0x86:
	case 0x87: xchg(d); break;
	case 0x88 ... 0x8b: mov(d); break;
	case 0x8d: lea(d); break;
	case 0x90 ... 0x97: xchg_rax(d); break;
	case 0x9a: far(d); break;
	case 0x98: d->op->fn = soft_op_convert; break;
	case 0x99: d->op->fn = soft_op_spread; break;
	case 0xa0 ... 0xa3: moffs(d); break;
	case 0xa8:
	case 0xa9:
		d->op->rm = 0;
		d->op->imm = imm(d, d->opcode & 1 ? d->osize : 0);
		d->op->fn = soft_alu_fn(ALU_TEST, d->opcode & 1 ? d->osize : 0, FORM_RI, false);
		break;
	case 0xb0 ... 0xbf: mov_register_immediate(d); break;
	default: soft_decode_row(d); break;
	}
}

static void one_byte_c0_to_ff(struct soft_decoder *d)
{
	switch (d->opcode) {
	case 0xc0:
	case 0xc1:
	case 0xd0 ... 0xd3: shift(d); break;
	case 0xc2:
	case 0xc3: ret(d); break;
	case 0xc6:
	case 0xc7: mov_immediate(d); break;
	case 0xc8: enter(d); break;
	case 0xca:
	case 0xcb: far_return(d); break;
	case 0xea: far(d); break;
	case 0xe0 ... 0xe3: loop(d); break;
	case 0xe8: jump(d, 2, soft_call_fn(is64(d))); break;
	case 0xe9: jump(d, 2, soft_jump_fn(is64(d))); break;
	case 0xeb: jump(d, 0, soft_jump_fn(is64(d))); break;
	case 0xf4:
		d->op->fn = soft_op_hlt;
		d->ends = true;
		break;
	case 0xf6:
	case 0xf7: group3(d); break;
	case 0xfa: d->op->fn = soft_op_cli; break;
	case 0xfb: d->op->fn = soft_op_sti; break;
	case 0xfe:
	case 0xff: group5(d); break;
	default: soft_decode_row(d); break;
	}
}

void soft_decode_one_byte(struct soft_decoder *d)
{
	if (d->opcode < 0x40) {
		if ((d->opcode & 7) < 6)
			alu_operands(d, d->opcode >> 3);
		else
			soft_decode_row(d);
	} else if (d->opcode < 0x80) {
		one_byte_40_to_7f(d);
	} else if (d->opcode < 0xc0) {
		one_byte_80_to_bf(d);
	} else {
		one_byte_c0_to_ff(d);
	}
}

void soft_decode_two_byte(struct soft_decoder *d)
{
	struct soft_op *op = d->op;

	switch (d->opcode) {
	case 0x18 ... 0x1f: /* hints */
		soft_decode_modrm(d);
		op->fn = soft_op_nop;
		break;
	case 0x40 ... 0x4f:
		soft_decode_modrm(d);
		op->fn = soft_cmov_fn(d->osize, d->opcode & 15, memory(d), general(d));
		break;
	case 0x80 ... 0x8f: jump(d, 2, soft_jcc_fn(d->opcode & 15, is64(d))); break;
	case 0x90 ... 0x9f:
		soft_decode_modrm(d);
		if (!memory(d))
			op->rm = soft_decode_byte_reg(d, op->rm);
		op->fn = soft_setcc_fn(d->opcode & 15, memory(d), general(d));
		break;
	case 0xaf:
		soft_decode_modrm(d);
		op->fn = soft_imul_fn(d->osize, false, memory(d), general(d));
		break;
	case 0xb6:
	case 0xb7: extend(d, d->opcode & 1, false); break;
	case 0xbe:
	case 0xbf: extend(d, d->opcode & 1, true); break;
	case 0xc8 ... 0xcf:
		op->rm = (uint8_t)low_reg(d);
		op->fn = soft_op_bswap;
		break;
	default: soft_decode_row(d); break;
	}
}

/* SPDX-License-Identifier: MIT */
/* Decoding: prefixes, ModRM, and the rows of the instruction tables (Intel SDM vol. 2, chapter 2). */
#include <stdlib.h>

#include "core/util.h"
#include "hypervisor/soft_decode.h"

/* ---- the tables ---- */

struct soft_tables {
	/* For each map and opcode: where its rows begin; they end at the next one's. */
	uint32_t begin[4 * 256 + 1];
	struct {
		const struct soft_row *row;
		const struct soft_hot *hot; /* may be NULL */
	} rows[];
};

static const struct soft_hot *find_hot(soft_call *call)
{
	static const struct soft_hot_table *const all[] = { &soft_sse_int_hot, &soft_sse_fp_hot,
		&soft_sse_move_hot };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		for (size_t k = 0; k < all[i]->count; k++)
			if (all[i]->rows[k].call == call)
				return &all[i]->rows[k];
	return NULL;
}

struct soft_tables *soft_tables_create(void)
{
	const struct soft_table *all[] = {
		&soft_integer_table,
		&soft_bit_table,
		&soft_string_table,
		&soft_system_table,
		&soft_far_table,
		&soft_xsave_table,
		&soft_x87_table,
		&soft_mmx_table,
		&soft_sse_int_table,
		&soft_sse_fp_table,
		&soft_sse_move_table,
	};
	struct soft_tables *tables;
	size_t count = 0, n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		count += all[i]->count;
	tables = calloc(1, sizeof(*tables) + count * sizeof(tables->rows[0]));
	if (!tables)
		return NULL;
	for (uint32_t key = 0; key < 4 * 256; key++) {
		tables->begin[key] = (uint32_t)n;
		for (size_t i = 0; i < ARRAY_SIZE(all); i++)
			for (size_t k = 0; k < all[i]->count; k++)
				if (all[i]->rows[k].map * 256u + all[i]->rows[k].opcode == key) {
					tables->rows[n].row = &all[i]->rows[k];
					tables->rows[n++].hot = find_hot(all[i]->rows[k].call);
				}
	}
	tables->begin[4 * 256] = (uint32_t)n;
	return tables;
}

void soft_tables_destroy(struct soft_tables *tables)
{
	free(tables);
}

/* ---- bytes ---- */

uint8_t soft_decode_u8(struct soft_decoder *d)
{
	if (d->at == d->end) {
		d->out = true;
		return 0;
	}
	/* Once: another CPU may be writing there. */
	return __atomic_load_n(d->at++, __ATOMIC_RELAXED);
}

static uint64_t read_bytes(struct soft_decoder *d, unsigned count)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < count; i++)
		value |= (uint64_t)soft_decode_u8(d) << (8 * i);
	return value;
}

int64_t soft_decode_imm(struct soft_decoder *d, unsigned size)
{
	switch (size) {
	case 0: return (int8_t)read_bytes(d, 1);
	case 1: return (int16_t)read_bytes(d, 2);
	case 2: return (int32_t)read_bytes(d, 4);
	default: return (int64_t)read_bytes(d, 8);
	}
}

/* ---- ModRM ---- */

static void set_default_segment(struct soft_decoder *d)
{
	struct soft_op *op = d->op;

	op->seg = op->base == SOFT_RSP || op->base == SOFT_RBP ? SOFT_SS : SOFT_DS;
	/* In 64-bit mode only FS and GS have a base. */
	if (d->seg >= 0 && (!(d->mode & SOFT_MODE_64) || d->seg >= SOFT_FS))
		op->seg = (uint8_t)d->seg;
}

static void address16(struct soft_decoder *d)
{
	static const uint8_t base[8] = { SOFT_RBX, SOFT_RBX, SOFT_RBP, SOFT_RBP, SOFT_RSI, SOFT_RDI,
		SOFT_RBP, SOFT_RBX };
	static const uint8_t index[8] = { SOFT_RSI, SOFT_RDI, SOFT_RSI, SOFT_RDI, SOFT_ZERO,
		SOFT_ZERO, SOFT_ZERO, SOFT_ZERO };
	unsigned mod = d->modrm >> 6, rm = d->modrm & 7;
	struct soft_op *op = d->op;

	op->base = base[rm];
	op->index = index[rm];
	if (mod == 0 && rm == 6) {
		op->base = SOFT_ZERO;
		op->disp = (int32_t)soft_decode_imm(d, 1);
	} else if (mod) {
		op->disp = (int32_t)soft_decode_imm(d, mod - 1);
	}
}

static void address_sib(struct soft_decoder *d)
{
	uint8_t sib = soft_decode_u8(d);
	unsigned mod = d->modrm >> 6;
	struct soft_op *op = d->op;

	op->scale = sib >> 6;
	op->index = (uint8_t)(((sib >> 3) & 7) | (d->rex & 2) << 2);
	if (op->index == SOFT_RSP) {
		op->index = SOFT_ZERO;
		op->scale = 0;
	}
	op->base = (uint8_t)((sib & 7) | (d->rex & 1) << 3);
	if ((sib & 7) == SOFT_RBP && mod == 0) {
		op->base = SOFT_ZERO;
		op->disp = (int32_t)soft_decode_imm(d, 2);
	}
}

static void address32(struct soft_decoder *d)
{
	unsigned mod = d->modrm >> 6, rm = d->modrm & 7;
	struct soft_op *op = d->op;

	if (rm == 4) {
		address_sib(d);
	} else if (mod == 0 && rm == 5) {
		op->base = d->mode & SOFT_MODE_64 ? SOFT_RIP : SOFT_ZERO;
		op->disp = (int32_t)soft_decode_imm(d, 2);
	} else {
		op->base = (uint8_t)(rm | (d->rex & 1) << 3);
	}
	if (mod == 1)
		op->disp = (int32_t)soft_decode_imm(d, 0);
	else if (mod == 2)
		op->disp = (int32_t)soft_decode_imm(d, 2);
}

void soft_decode_modrm(struct soft_decoder *d)
{
	struct soft_op *op = d->op;

	if (d->modrm_read)
		return;
	d->modrm_read = true;
	d->modrm = soft_decode_u8(d);
	op->reg = (uint8_t)(((d->modrm >> 3) & 7) | (d->rex & 4) << 1);
	if (d->modrm >= 0xc0) {
		op->rm = (uint8_t)((d->modrm & 7) | (d->rex & 1) << 3);
		set_default_segment(d); /* MASKMOVQ goes to memory all the same */
		return;
	}
	op->flags |= SOFT_OP_MEM;
	if (op->flags & SOFT_OP_A16)
		address16(d);
	else
		address32(d);
	set_default_segment(d);
}

/* Of registers as 8-bit operands. */
uint8_t soft_decode_byte_reg(const struct soft_decoder *d, unsigned reg)
{
	if (!d->rex && reg >= 4 && reg < 8)
		return (uint8_t)((reg - 4) * 8 + 1);
	return (uint8_t)(reg * 8);
}

void soft_decode_byte_regs(struct soft_decoder *d)
{
	d->op->reg = soft_decode_byte_reg(d, d->op->reg);
	if (!(d->op->flags & SOFT_OP_MEM))
		d->op->rm = soft_decode_byte_reg(d, d->op->rm);
}

/* ---- rows ---- */

static bool row_fits(struct soft_decoder *d, const struct soft_row *row)
{
	uint8_t prefix = d->rep == 0xf3 ? SOFT_P_F3
		: d->rep == 0xf2        ? SOFT_P_F2
		: d->o_prefix           ? SOFT_P_66
					: SOFT_P_NONE;
	bool memory;

	if (row->prefix != SOFT_P_ANY && row->prefix != prefix)
		return false;
	if (row->flags & SOFT_ROW_NO_MODRM)
		return true;
	soft_decode_modrm(d);
	memory = d->op->flags & SOFT_OP_MEM;
	if ((memory && (row->flags & SOFT_ROW_REG)) || (!memory && (row->flags & SOFT_ROW_MEM)))
		return false;
	if (row->reg != SOFT_ANY && row->reg != ((d->modrm >> 3) & 7))
		return false;
	return row->rm == SOFT_ANY || (!memory && row->rm == (d->modrm & 7));
}

static soft_fn *row_fn(const struct soft_row *row)
{
	bool kernel = row->flags & SOFT_ROW_KERNEL;

	switch (row->check) {
	case SOFT_CLASS_X87: return soft_op_call_x87;
	case SOFT_CLASS_FWAIT: return soft_op_call_fwait;
	case SOFT_CLASS_MMX: return soft_op_call_mmx;
	case SOFT_CLASS_SSE: return soft_op_call_sse;
	default: break;
	}
	if (row->flags & SOFT_ROW_JUMP)
		return kernel ? soft_op_call_kernel_jump : soft_op_call_jump;
	if (row->flags & SOFT_ROW_END)
		return kernel ? soft_op_call_kernel_end : soft_op_call_end;
	return kernel ? soft_op_call_kernel : soft_op_call;
}

void soft_decode_row(struct soft_decoder *d)
{
	uint32_t key = d->map * 256u + d->opcode;
	struct soft_op *op = d->op;

	for (uint32_t i = d->tables->begin[key]; i < d->tables->begin[key + 1]; i++) {
		const struct soft_row *row = d->tables->rows[i].row;
		const struct soft_hot *hot = d->tables->rows[i].hot;
		soft_fn *hot_fn;

		if (!row_fits(d, row))
			continue;
		if ((row->flags & SOFT_ROW_NOT64) && (d->mode & SOFT_MODE_64))
			break;
		op->call = row->call;
		op->fn = row_fn(row);
		hot_fn = !hot ? NULL : op->flags & SOFT_OP_MEM ? hot->mem : hot->reg;
		if (hot_fn)
			op->fn = hot_fn;
		if (row->flags & SOFT_ROW_NO_MODRM) {
			op->rm = d->opcode;
			op->reg = (uint8_t)((d->opcode & 7u) | (d->rex & 1u) << 3);
			set_default_segment(d);
		} else if (row->flags & SOFT_ROW_BYTE) {
			soft_decode_byte_regs(d);
		} else if ((row->flags & SOFT_ROW_BYTE_RM) && !(op->flags & SOFT_OP_MEM)) {
			op->rm = soft_decode_byte_reg(d, op->rm);
		}
		if (row->flags & SOFT_ROW_IMM8)
			op->imm8 = soft_decode_u8(d);
		d->ends = row->flags & (SOFT_ROW_END | SOFT_ROW_JUMP);
		d->may_lock = (row->flags & SOFT_ROW_LOCK) && (op->flags & SOFT_OP_MEM);
		return;
	}
	d->bad = true;
}

/* ---- one instruction ---- */

static bool read_prefix(struct soft_decoder *d, uint8_t byte)
{
	switch (byte) {
	case 0x26: d->seg = SOFT_ES; break;
	case 0x2e: d->seg = SOFT_CS; break;
	case 0x36: d->seg = SOFT_SS; break;
	case 0x3e: d->seg = SOFT_DS; break;
	case 0x64: d->seg = SOFT_FS; break;
	case 0x65: d->seg = SOFT_GS; break;
	case 0x66: d->o_prefix = true; break;
	case 0x67: d->a_prefix = true; break;
	case 0xf0: d->lock = true; break;
	case 0xf2:
	case 0xf3: d->rep = byte; break;
	default: return false;
	}
	return true;
}

/* Prefixes and opcode. In 64-bit mode, of segments overrides only FS and GS survive another. */
static void read_opcode(struct soft_decoder *d)
{
	uint8_t byte = soft_decode_u8(d);

	for (;; byte = soft_decode_u8(d)) {
		if (read_prefix(d, byte))
			d->rex = 0;
		else if ((d->mode & SOFT_MODE_64) && (byte & 0xf0) == 0x40)
			d->rex = byte;
		else
			break;
		if (d->out)
			return;
	}
	d->map = SOFT_MAP_1;
	if (byte == 0x0f) {
		d->map = SOFT_MAP_0F;
		byte = soft_decode_u8(d);
		if (byte == 0x38 || byte == 0x3a) {
			d->map = byte == 0x38 ? SOFT_MAP_0F38 : SOFT_MAP_0F3A;
			byte = soft_decode_u8(d);
		}
	}
	d->opcode = byte;
}

static void set_sizes(struct soft_decoder *d)
{
	bool wide = d->mode & SOFT_MODE_32;
	uint8_t flags = 0;

	if (d->mode & SOFT_MODE_64) {
		d->osize = d->rex & 8 ? 3 : d->o_prefix ? 1 : 2;
		flags |= d->a_prefix ? SOFT_OP_A32 : 0;
	} else {
		d->osize = wide != d->o_prefix ? 2 : 1;
		flags |= wide != d->a_prefix ? SOFT_OP_A32 : SOFT_OP_A16;
	}
	flags |= d->osize == 3 ? SOFT_OP_W : d->osize == 1 ? SOFT_OP_O16 : 0;
	flags |= d->lock ? SOFT_OP_LOCK : 0;
	flags |= d->rep == 0xf3 ? SOFT_OP_REP : d->rep == 0xf2 ? SOFT_OP_REPNE : 0;
	d->op->flags = flags;
}

static void reset(struct soft_decoder *d)
{
	*d->op = (struct soft_op){ .base = SOFT_ZERO, .index = SOFT_ZERO, .seg = SOFT_DS };
	d->at = d->start;
	d->out = d->bad = d->ends = d->links = d->modrm_read = false;
	d->lock = d->may_lock = d->o_prefix = d->a_prefix = false;
	d->rep = d->rex = 0;
	d->flags_use = SOFT_FLAGS_USED;
	d->seg = -1;
}

void soft_decode(struct soft_decoder *d)
{
	reset(d);
	read_opcode(d);
	if (!d->out) {
		set_sizes(d);
		if (d->map == SOFT_MAP_1)
			soft_decode_one_byte(d);
		else if (d->map == SOFT_MAP_0F)
			soft_decode_two_byte(d);
		else
			soft_decode_row(d);
	}
	if (d->out && d->end - d->start == 15) {
		d->out = false;
		d->op->fn = soft_op_too_long;
		d->ends = true;
		d->links = false;
		d->op->base = SOFT_ZERO;
	} else if (d->bad || (d->lock && !d->may_lock)) {
		d->op->fn = soft_op_undefined;
		d->ends = true;
		d->links = false;
		d->op->base = SOFT_ZERO;
	}
}

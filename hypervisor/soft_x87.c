/* SPDX-License-Identifier: MIT */
/* x87: opcodes D8 to DF and FWAIT. Each opcode has a function for its memory forms and one for its
 * register forms; ModRM.reg says which instruction it is. */
#include "hypervisor/soft_x87.h"

#include "core/util.h"

const struct soft_f80 x87_indefinite = { UINT64_C(0xc000000000000000), 0xffff, { 0, 0, 0 } };

static _Noreturn void undefined(struct soft_cpu *cpu)
{
	soft_raise(cpu, SOFT_UD);
}

static unsigned extension(const struct soft_op *op)
{
	return op->reg & 7;
}

static unsigned operand(const struct soft_op *op)
{
	return op->rm & 7;
}

/* ---- arithmetic and comparisons ---- */

static bool is_compare(enum x87_arith arith)
{
	return arith == X87_COM || arith == X87_COMP;
}

/* ST(dest) op= *b, or ST(dest) compared with it; then `pops` times off the stack. */
static void arithmetic(struct soft_cpu *cpu, enum x87_arith arith, enum x87_source source,
	unsigned dest, const void *b, unsigned pops)
{
	uint16_t codes = is_compare(arith) ? X87_COMPARED : 0;
	struct soft_f80 a = *x87_st(cpu, dest);
	uint16_t status = x87_arith(cpu, arith, source, &a, b);

	x87_take(cpu, status, codes);
	if (x87_unmasked(cpu, status) & X87_BEFORE)
		return;
	if (!codes)
		x87_put(cpu, dest, &a);
	while (pops--)
		x87_pop(cpu);
}

/* An operand is not there. */
static void arithmetic_fault(
	struct soft_cpu *cpu, enum x87_arith arith, unsigned dest, unsigned pops)
{
	bool masked = x87_fault(cpu, false);

	if (is_compare(arith))
		cpu->fpu.status |= X87_COMPARED;
	if (!masked)
		return;
	if (!is_compare(arith))
		x87_put(cpu, dest, &x87_indefinite);
	while (pops--)
		x87_pop(cpu);
}

static void arithmetic_memory(
	struct soft_cpu *cpu, const struct soft_op *op, enum x87_source source)
{
	enum x87_arith arith = (enum x87_arith)extension(op);
	unsigned pops = arith == X87_COMP;
	union {
		uint64_t q;
		uint32_t d;
		uint16_t w;
	} value = { 0 };

	x87_wait(cpu);
	if (source == X87_F64)
		value.q = soft_load64(cpu, op, soft_operand(cpu, op, 8, false));
	else if (source == X87_I16)
		value.w = soft_load16(cpu, op, soft_operand(cpu, op, 2, false));
	else
		value.d = soft_load32(cpu, op, soft_operand(cpu, op, 4, false));
	x87_note(cpu, op);
	if (x87_is_empty(cpu, 0))
		arithmetic_fault(cpu, arith, 0, pops);
	else
		arithmetic(cpu, arith, source, 0, &value, pops);
}

static void arithmetic_registers(struct soft_cpu *cpu, const struct soft_op *op,
	enum x87_arith arith, unsigned dest, unsigned source, unsigned pops)
{
	struct soft_f80 b = *x87_st(cpu, source);

	x87_wait(cpu);
	x87_note(cpu, op);
	if (x87_is_empty(cpu, dest) || x87_is_empty(cpu, source))
		arithmetic_fault(cpu, arith, dest, pops);
	else
		arithmetic(cpu, arith, X87_F80, dest, &b, pops);
}

static void unordered(struct soft_cpu *cpu, const struct soft_op *op, unsigned pops)
{
	unsigned i = operand(op);
	uint16_t status;

	x87_wait(cpu);
	x87_note(cpu, op);
	if (x87_is_empty(cpu, 0) || x87_is_empty(cpu, i)) {
		arithmetic_fault(cpu, X87_COM, 0, pops);
		return;
	}
	status = x87_unordered(cpu, x87_st(cpu, 0), x87_st(cpu, i));
	x87_take(cpu, status, X87_COMPARED);
	if (x87_unmasked(cpu, status) & X87_BEFORE)
		return;
	while (pops--)
		x87_pop(cpu);
}

static void compare_flags(
	struct soft_cpu *cpu, const struct soft_op *op, bool is_unordered, bool pop)
{
	const uint32_t unordered_flags = SOFT_ZF | SOFT_PF | SOFT_CF;
	unsigned i = operand(op);
	uint16_t status;

	x87_wait(cpu);
	x87_note(cpu, op);
	if (x87_is_empty(cpu, 0) || x87_is_empty(cpu, i)) {
		soft_set_arith_flags(cpu, unordered_flags);
		if (!x87_fault(cpu, false))
			return;
	} else {
		status = x87_compare_flags(
			cpu, is_unordered, x87_st(cpu, 0), x87_st(cpu, i), &cpu->cc);
		x87_take(cpu, status, 0);
		if (x87_unmasked(cpu, status) & X87_BEFORE)
			return;
	}
	if (pop)
		x87_pop(cpu);
}

/* ---- loads ---- */

static void push(struct soft_cpu *cpu, const struct soft_f80 *value)
{
	if (!x87_is_empty(cpu, 7)) {
		if (x87_fault(cpu, true))
			x87_push(cpu, &x87_indefinite);
		return;
	}
	cpu->fpu.status &= (uint16_t)~X87_C1;
	x87_push(cpu, value);
}

static void load_real(struct soft_cpu *cpu, const struct soft_op *op, enum x87_source source)
{
	struct soft_f80 a;
	uint64_t value;
	uint16_t status;

	x87_wait(cpu);
	value = source == X87_F64 ? soft_load64(cpu, op, soft_operand(cpu, op, 8, false))
				  : soft_load32(cpu, op, soft_operand(cpu, op, 4, false));
	x87_note(cpu, op);
	if (x87_is_empty(cpu, 7)) {
		status = x87_widen(cpu, source, &value, &a);
		x87_take(cpu, status, 0);
		if (x87_unmasked(cpu, status) && !x87_widen_pushes(cpu, source, &value))
			return;
	}
	push(cpu, &a);
}

static void load_integer(struct soft_cpu *cpu, const struct soft_op *op, unsigned size)
{
	struct soft_f80 a;
	uint64_t linear;
	int64_t value;

	x87_wait(cpu);
	linear = soft_operand(cpu, op, size, false);
	if (size == 2)
		value = (int16_t)soft_load16(cpu, op, linear);
	else if (size == 4)
		value = (int32_t)soft_load32(cpu, op, linear);
	else
		value = (int64_t)soft_load64(cpu, op, linear);
	x87_note(cpu, op);
	x87_from_integer(value, &a);
	push(cpu, &a);
}

static void load_f80(struct soft_cpu *cpu, const struct soft_op *op, bool bcd)
{
	struct {
		uint64_t low;
		uint16_t high;
	} raw;
	struct soft_f80 a;
	uint64_t linear;

	x87_wait(cpu);
	linear = soft_operand(cpu, op, 10, false);
	raw.low = soft_load64(cpu, op, linear);
	raw.high = soft_load16(cpu, op, linear + 8);
	x87_note(cpu, op);
	if (bcd)
		x87_from_bcd((const uint8_t *)&raw, &a);
	else
		a = (struct soft_f80){ .mantissa = raw.low, .exponent = raw.high };
	push(cpu, &a);
}

static void load_register(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned i = operand(op);
	struct soft_f80 a = *x87_st(cpu, i);

	x87_wait(cpu);
	x87_note(cpu, op);
	if (!x87_is_empty(cpu, i))
		push(cpu, &a);
	else if (x87_fault(cpu, false))
		x87_push(cpu, &x87_indefinite);
}

/* ---- stores ---- */

static void store_real(
	struct soft_cpu *cpu, const struct soft_op *op, enum x87_source source, bool pop)
{
	const uint16_t forbids = X87_INVALID | X87_OVERFLOW | X87_UNDERFLOW;
	unsigned size = source == X87_F64 ? 8 : 4;
	uint64_t linear, value = source == X87_F64 ? UINT64_C(0xfff8000000000000) : 0xffc00000;
	bool empty = x87_is_empty(cpu, 0);
	uint16_t status = X87_INVALID;

	x87_wait(cpu);
	linear = soft_operand(cpu, op, size, true);
	if (!empty)
		status = x87_narrow(cpu, source, x87_st(cpu, 0), &value);
	if (!(x87_unmasked(cpu, status) & (forbids | X87_DENORMAL))) {
		if (size == 8)
			soft_store64(cpu, op, linear, value);
		else
			soft_store32(cpu, op, linear, (uint32_t)value);
	} else {
		soft_probe_write(cpu, op, linear, size);
	}
	x87_note(cpu, op);
	if (empty)
		x87_fault(cpu, false);
	else
		x87_take(cpu, status, 0);
	if (pop && !(x87_unmasked(cpu, status) & (forbids | X87_DENORMAL)))
		x87_pop(cpu);
}

static void store_integer(
	struct soft_cpu *cpu, const struct soft_op *op, unsigned size, bool truncate, bool pop)
{
	bool empty = x87_is_empty(cpu, 0), stores;
	int64_t value = (int64_t)(UINT64_C(1) << (size * 8 - 1));
	uint16_t status = X87_INVALID;
	uint64_t linear;

	x87_wait(cpu);
	linear = soft_operand(cpu, op, size, true);
	if (!empty)
		status = x87_to_integer(cpu, x87_st(cpu, 0), size, truncate, &value);
	stores = !(x87_unmasked(cpu, status) & X87_INVALID);
	if (stores && size == 2)
		soft_store16(cpu, op, linear, (uint16_t)value);
	else if (stores && size == 4)
		soft_store32(cpu, op, linear, (uint32_t)value);
	else if (stores)
		soft_store64(cpu, op, linear, (uint64_t)value);
	else
		soft_probe_write(cpu, op, linear, size);
	x87_note(cpu, op);
	if (empty)
		x87_fault(cpu, false);
	else
		x87_take(cpu, status, 0);
	if (pop && stores)
		x87_pop(cpu);
}

static void store_f80(struct soft_cpu *cpu, const struct soft_op *op, bool bcd)
{
	struct {
		uint64_t low;
		uint16_t high;
	} raw = { UINT64_C(0xc000000000000000), 0xffff };
	bool empty = x87_is_empty(cpu, 0), stores;
	uint16_t status = empty ? X87_INVALID : 0;
	uint64_t linear;

	x87_wait(cpu);
	linear = soft_operand(cpu, op, 10, true);
	if (!empty && bcd) {
		status = x87_to_bcd(cpu, x87_st(cpu, 0), (uint8_t *)&raw);
	} else if (!empty) {
		raw.low = x87_st(cpu, 0)->mantissa;
		raw.high = x87_st(cpu, 0)->exponent;
	}
	stores = !(x87_unmasked(cpu, status) & X87_INVALID);
	soft_probe_write(cpu, op, linear, 10);
	if (stores) {
		soft_store64(cpu, op, linear, raw.low);
		soft_store16(cpu, op, linear + 8, raw.high);
	}
	x87_note(cpu, op);
	if (empty)
		x87_fault(cpu, false);
	else
		x87_take(cpu, status, 0);
	if (stores)
		x87_pop(cpu);
}

static void store_register(struct soft_cpu *cpu, const struct soft_op *op, bool pop)
{
	struct soft_f80 a = *x87_st(cpu, 0);

	x87_wait(cpu);
	x87_note(cpu, op);
	if (x87_is_empty(cpu, 0)) {
		if (!x87_fault(cpu, false))
			return;
		a = x87_indefinite;
	} else {
		cpu->fpu.status &= (uint16_t)~X87_C1;
	}
	x87_put(cpu, operand(op), &a);
	if (pop)
		x87_pop(cpu);
}

/* D9 D8 to DF, an undocumented FSTP that does not mind an empty register. */
static void store_quietly(struct soft_cpu *cpu, const struct soft_op *op)
{
	if (!x87_is_empty(cpu, 0)) {
		store_register(cpu, op, true);
		return;
	}
	x87_wait(cpu);
	x87_note(cpu, op);
	cpu->fpu.status &= (uint16_t)~X87_C1;
	x87_pop(cpu);
}

/* ---- within the stack ---- */

static void exchange(struct soft_cpu *cpu, const struct soft_op *op)
{
	struct soft_f80 a, b;
	unsigned i = operand(op);

	x87_wait(cpu);
	x87_note(cpu, op);
	a = x87_is_empty(cpu, 0) ? x87_indefinite : *x87_st(cpu, 0);
	b = x87_is_empty(cpu, i) ? x87_indefinite : *x87_st(cpu, i);
	if (x87_is_empty(cpu, 0) || x87_is_empty(cpu, i)) {
		if (!x87_fault(cpu, false))
			return;
	} else {
		cpu->fpu.status &= (uint16_t)~X87_C1;
	}
	x87_put(cpu, 0, &b);
	x87_put(cpu, i, &a);
}

static void move_if(struct soft_cpu *cpu, const struct soft_op *op, bool negated)
{
	static const uint32_t conditions[] = { SOFT_CF, SOFT_ZF, SOFT_CF | SOFT_ZF, SOFT_PF };
	bool holds = soft_arith_flags(cpu) & conditions[extension(op)];
	unsigned i = operand(op);
	struct soft_f80 a = *x87_st(cpu, i);

	x87_wait(cpu);
	x87_note(cpu, op);
	if (x87_is_empty(cpu, 0) || x87_is_empty(cpu, i)) {
		if (x87_fault(cpu, false))
			x87_put(cpu, 0, &x87_indefinite);
		return;
	}
	if (holds != negated)
		x87_put(cpu, 0, &a);
}

static void free_register(struct soft_cpu *cpu, const struct soft_op *op, bool pop)
{
	x87_wait(cpu);
	x87_note(cpu, op);
	cpu->fpu.status &= (uint16_t)~X87_C1;
	cpu->fpu.empty |= (uint8_t)(1u << x87_physical(cpu, operand(op)));
	if (pop)
		x87_pop(cpu);
}

/* ---- D9 E0 to D9 FF ---- */

static void change_sign(struct soft_cpu *cpu, bool absolute)
{
	struct soft_f80 *a = x87_st(cpu, 0);

	if (x87_is_empty(cpu, 0)) {
		if (x87_fault(cpu, false))
			x87_put(cpu, 0, &x87_indefinite);
		return;
	}
	cpu->fpu.status &= (uint16_t)~X87_C1;
	a->exponent = absolute ? a->exponent & 0x7fff : a->exponent ^ 0x8000;
}

static void examine(struct soft_cpu *cpu)
{
	struct soft_f80 a[2] = { *x87_st(cpu, 0), *x87_st(cpu, 1) };

	x87_take(cpu, x87_math(cpu, X87_XAM, a), X87_COMPARED);
	if (x87_is_empty(cpu, 0))
		cpu->fpu.status = (uint16_t)((cpu->fpu.status & ~X87_COMPARED) | X87_C3 | X87_C0);
}

static void constant(struct soft_cpu *cpu, enum x87_unary unary)
{
	struct soft_f80 a[2] = { { 0 }, { 0 } };

	x87_math(cpu, unary, a);
	push(cpu, &a[0]);
}

/* What takes ST(0) alone (pops 0), or ST(0) and ST(1) (pops 1: and leaves one). */
static void unary(struct soft_cpu *cpu, enum x87_unary which, bool two, bool pop, uint16_t codes)
{
	struct soft_f80 a[2] = { *x87_st(cpu, 0), *x87_st(cpu, 1) };
	uint16_t status;

	if (x87_is_empty(cpu, 0) || (two && x87_is_empty(cpu, 1))) {
		cpu->fpu.status &= (uint16_t) ~(codes & X87_C2);
		if (which == X87_TST)
			arithmetic_fault(cpu, X87_COM, 0, 0);
		else if (x87_fault(cpu, false)) {
			x87_put(cpu, pop ? 1 : 0, &x87_indefinite);
			if (pop)
				x87_pop(cpu);
		}
		return;
	}
	status = x87_math(cpu, which, a);
	x87_take(cpu, status, X87_COMPARED);
	if ((x87_unmasked(cpu, status) & X87_BEFORE) || which == X87_TST)
		return;
	if (pop)
		x87_pop(cpu);
	x87_put(cpu, 0, &a[0]);
}

/* FPTAN, FSINCOS, FXTRACT: one operand, two results. */
static void splitting(struct soft_cpu *cpu, enum x87_unary which)
{
	uint16_t codes = which == X87_XTRACT ? 0 : X87_C2;
	struct soft_f80 a[2] = { *x87_st(cpu, 0), *x87_st(cpu, 0) };
	uint16_t status;

	if (x87_is_empty(cpu, 0) || !x87_is_empty(cpu, 7)) {
		cpu->fpu.status &= (uint16_t)~codes;
		if (!x87_fault(cpu, !x87_is_empty(cpu, 0)))
			return;
		x87_put(cpu, 0, &x87_indefinite);
		x87_push(cpu, &x87_indefinite);
		return;
	}
	status = x87_math(cpu, which, a);
	x87_take(cpu, status, X87_COMPARED);
	if ((x87_unmasked(cpu, status) & X87_BEFORE) || (status & codes))
		return;
	x87_put(cpu, 0, &a[1]);
	x87_push(cpu, &a[0]);
}

static void rotate(struct soft_cpu *cpu, unsigned by)
{
	cpu->fpu.top = (cpu->fpu.top + by) & 7;
	cpu->fpu.status &= (uint16_t)~X87_C1;
}

static void functions(struct soft_cpu *cpu, const struct soft_op *op)
{
	enum x87_unary which = (enum x87_unary)((op->reg & 3) << 3 | operand(op));

	if ((which >= 2 && which < 8 && which != X87_TST && which != X87_XAM) || which == 0x0f)
		undefined(cpu);
	x87_wait(cpu);
	x87_note(cpu, op);
	switch (which) {
	case X87_CHS:
	case X87_ABS: change_sign(cpu, which == X87_ABS); break;
	case X87_XAM: examine(cpu); break;
	case X87_TST: unary(cpu, which, false, false, X87_COMPARED); break;
	case X87_YL2X:
	case X87_PATAN:
	case X87_YL2XP1: unary(cpu, which, true, true, 0); break;
	case X87_PREM:
	case X87_PREM1: unary(cpu, which, true, false, X87_COMPARED); break;
	case X87_SCALE: unary(cpu, which, true, false, 0); break;
	case X87_SIN:
	case X87_COS: unary(cpu, which, false, false, X87_C2); break;
	case X87_F2XM1:
	case X87_SQRT:
	case X87_RNDINT: unary(cpu, which, false, false, 0); break;
	case X87_PTAN:
	case X87_SINCOS:
	case X87_XTRACT: splitting(cpu, which); break;
	case X87_DECSTP: rotate(cpu, 7); break;
	case X87_INCSTP: rotate(cpu, 1); break;
	default: constant(cpu, which); break;
	}
}

/* ---- the opcodes ---- */

static void d8_memory(struct soft_cpu *cpu, const struct soft_op *op)
{
	arithmetic_memory(cpu, op, X87_F32);
}

static void d8_register(struct soft_cpu *cpu, const struct soft_op *op)
{
	enum x87_arith arith = (enum x87_arith)extension(op);

	arithmetic_registers(cpu, op, arith, 0, operand(op), arith == X87_COMP);
}

static void d9_memory(struct soft_cpu *cpu, const struct soft_op *op)
{
	switch (extension(op)) {
	case 0: load_real(cpu, op, X87_F32); break;
	case 2: store_real(cpu, op, X87_F32, false); break;
	case 3: store_real(cpu, op, X87_F32, true); break;
	case 4: x87_fldenv(cpu, op); break;
	case 5:
		x87_wait(cpu);
		x87_set_control(cpu, soft_load16(cpu, op, soft_operand(cpu, op, 2, false)));
		break;
	case 6: x87_fnstenv(cpu, op); break;
	case 7: soft_store16(cpu, op, soft_operand(cpu, op, 2, true), cpu->fpu.control); break;
	default: undefined(cpu);
	}
}

static void d9_register(struct soft_cpu *cpu, const struct soft_op *op)
{
	switch (extension(op)) {
	case 0: load_register(cpu, op); break;
	case 1: exchange(cpu, op); break;
	case 2:
		if (operand(op) != 0)
			undefined(cpu);
		x87_wait(cpu);
		break;
	case 3: store_quietly(cpu, op); break;
	default: functions(cpu, op); break;
	}
}

static void da_memory(struct soft_cpu *cpu, const struct soft_op *op)
{
	arithmetic_memory(cpu, op, X87_I32);
}

static void da_register(struct soft_cpu *cpu, const struct soft_op *op)
{
	if (extension(op) < 4)
		move_if(cpu, op, false);
	else if (extension(op) == 5 && operand(op) == 1)
		unordered(cpu, op, 2);
	else
		undefined(cpu);
}

static void db_memory(struct soft_cpu *cpu, const struct soft_op *op)
{
	switch (extension(op)) {
	case 0: load_integer(cpu, op, 4); break;
	case 1: store_integer(cpu, op, 4, true, true); break;
	case 2: store_integer(cpu, op, 4, false, false); break;
	case 3: store_integer(cpu, op, 4, false, true); break;
	case 5: load_f80(cpu, op, false); break;
	case 7: store_f80(cpu, op, false); break;
	default: undefined(cpu);
	}
}

/* FNCLEX, FNINIT, and what meant something to coprocessors. None of them waits. */
static void control(struct soft_cpu *cpu, unsigned which)
{
	switch (which) {
	case 0:
	case 1:
	case 4: break;
	case 2:
		cpu->fpu.status &=
			(uint16_t) ~(X87_EXCEPTIONS | X87_STACK_FAULT | X87_SUMMARY | X87_BUSY);
		break;
	case 3: x87_init(cpu); break;
	default: undefined(cpu);
	}
}

static void db_register(struct soft_cpu *cpu, const struct soft_op *op)
{
	switch (extension(op)) {
	case 4: control(cpu, operand(op)); break;
	case 5: compare_flags(cpu, op, true, false); break;
	case 6: compare_flags(cpu, op, false, false); break;
	case 7: undefined(cpu);
	default: move_if(cpu, op, true); break;
	}
}

static void dc_memory(struct soft_cpu *cpu, const struct soft_op *op)
{
	arithmetic_memory(cpu, op, X87_F64);
}

/* With ST(i) as the destination the encodings of SUB and SUBR, DIV and DIVR change places. */
static enum x87_arith reversed(const struct soft_op *op)
{
	return (enum x87_arith)(extension(op) < 4 ? extension(op) : extension(op) ^ 1);
}

static void dc_register(struct soft_cpu *cpu, const struct soft_op *op)
{
	enum x87_arith arith = reversed(op);

	if (is_compare(arith))
		arithmetic_registers(cpu, op, arith, 0, operand(op), arith == X87_COMP);
	else
		arithmetic_registers(cpu, op, arith, operand(op), 0, 0);
}

static void dd_memory(struct soft_cpu *cpu, const struct soft_op *op)
{
	switch (extension(op)) {
	case 0: load_real(cpu, op, X87_F64); break;
	case 1: store_integer(cpu, op, 8, true, true); break;
	case 2: store_real(cpu, op, X87_F64, false); break;
	case 3: store_real(cpu, op, X87_F64, true); break;
	case 4: x87_frstor(cpu, op); break;
	case 6: x87_fnsave(cpu, op); break;
	case 7: soft_store16(cpu, op, soft_operand(cpu, op, 2, true), x87_status(cpu)); break;
	default: undefined(cpu);
	}
}

static void dd_register(struct soft_cpu *cpu, const struct soft_op *op)
{
	switch (extension(op)) {
	case 0: free_register(cpu, op, false); break;
	case 1: exchange(cpu, op); break;
	case 2: store_register(cpu, op, false); break;
	case 3: store_register(cpu, op, true); break;
	case 4: unordered(cpu, op, 0); break;
	case 5: unordered(cpu, op, 1); break;
	default: undefined(cpu);
	}
}

static void de_memory(struct soft_cpu *cpu, const struct soft_op *op)
{
	arithmetic_memory(cpu, op, X87_I16);
}

static void de_register(struct soft_cpu *cpu, const struct soft_op *op)
{
	enum x87_arith arith = reversed(op);

	if (arith == X87_COM)
		arithmetic_registers(cpu, op, arith, 0, operand(op), 1);
	else if (arith != X87_COMP)
		arithmetic_registers(cpu, op, arith, operand(op), 0, 1);
	else if (operand(op) == 1)
		arithmetic_registers(cpu, op, X87_COM, 0, 1, 2);
	else
		undefined(cpu);
}

static void df_memory(struct soft_cpu *cpu, const struct soft_op *op)
{
	switch (extension(op)) {
	case 0: load_integer(cpu, op, 2); break;
	case 1: store_integer(cpu, op, 2, true, true); break;
	case 2: store_integer(cpu, op, 2, false, false); break;
	case 3: store_integer(cpu, op, 2, false, true); break;
	case 4: load_f80(cpu, op, true); break;
	case 5: load_integer(cpu, op, 8); break;
	case 6: store_f80(cpu, op, true); break;
	default: store_integer(cpu, op, 8, false, true); break;
	}
}

static void df_register(struct soft_cpu *cpu, const struct soft_op *op)
{
	switch (extension(op)) {
	case 0: free_register(cpu, op, true); break;
	case 1: exchange(cpu, op); break;
	case 2:
	case 3: store_register(cpu, op, true); break;
	case 4:
		if (operand(op) != 0)
			undefined(cpu);
		soft_set16(cpu, SOFT_RAX, x87_status(cpu));
		break;
	case 5: compare_flags(cpu, op, true, true); break;
	case 6: compare_flags(cpu, op, false, true); break;
	default: undefined(cpu);
	}
}

static void fwait(struct soft_cpu *cpu, const struct soft_op *op)
{
	x87_wait(cpu);
}

/* ---- the table ---- */

#define ROW(opcode, form, flags, call)                                                            \
	{                                                                                         \
		SOFT_MAP_1, 0x##opcode, SOFT_P_ANY, SOFT_ANY, SOFT_ANY, SOFT_CLASS_##form, flags, \
			call                                                                      \
	}
#define ROWS(opcode)                                     \
	ROW(opcode, X87, SOFT_ROW_MEM, opcode##_memory), \
		ROW(opcode, X87, SOFT_ROW_REG, opcode##_register)

static const struct soft_row rows[] = {
	ROWS(d8),
	ROWS(d9),
	ROWS(da),
	ROWS(db),
	ROWS(dc),
	ROWS(dd),
	ROWS(de),
	ROWS(df),
	ROW(9b, FWAIT, SOFT_ROW_NO_MODRM, fwait),
};

const struct soft_table soft_x87_table = { rows, ARRAY_SIZE(rows) };

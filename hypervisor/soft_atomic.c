/* SPDX-License-Identifier: MIT */
/* Locked instructions: the host's compare-and-exchange on guest memory. */
#include "hypervisor/soft_atomic.h"

#include <sched.h>

#include "hypervisor/soft_ops.h"

#define HOST_FLAGS(insn, type)                                  \
	do {                                                    \
		type d = (type)a, s = (type)b;                  \
		__asm__(insn " %[s], %[d]\n\tlahf\n\tseto %%al" \
			: [d] "+r"(d), "=&a"(ax)                \
			: [s] "r"(s)                            \
			: "cc");                                \
	} while (0)
#define HOST_FLAGS_SIZED(insn)                      \
	switch (size) {                             \
	case 1: HOST_FLAGS(insn, uint8_t); break;   \
	case 2: HOST_FLAGS(insn, uint16_t); break;  \
	case 4: HOST_FLAGS(insn, uint32_t); break;  \
	default: HOST_FLAGS(insn, uint64_t); break; \
	}

uint16_t soft_flags_of_sub(unsigned size, uint64_t a, uint64_t b)
{
	uint16_t ax;

	HOST_FLAGS_SIZED("cmp");
	return ax;
}

uint16_t soft_flags_of_add(unsigned size, uint64_t a, uint64_t b)
{
	uint16_t ax;

	HOST_FLAGS_SIZED("add");
	return ax;
}

static uint16_t flags_of_and(unsigned size, uint64_t a, uint64_t b)
{
	uint16_t ax;

	HOST_FLAGS_SIZED("test");
	return ax;
}

static uint64_t load(const void *at, unsigned size)
{
	switch (size) {
	case 1: return __atomic_load_n((const uint8_t *)at, __ATOMIC_RELAXED);
	case 2: return __atomic_load_n((const uint16_t *)at, __ATOMIC_RELAXED);
	case 4: return __atomic_load_n((const uint32_t *)at, __ATOMIC_RELAXED);
	default: return __atomic_load_n((const uint64_t *)at, __ATOMIC_RELAXED);
	}
}

/* The host's own instruction does not mind how the address is aligned. */
#define EXCHANGE(type, suffix)                                                          \
	do {                                                                            \
		type was = (type)*expected;                                             \
		__asm__ volatile("lock cmpxchg" suffix " %[new], %[at]\n\tsete %[done]" \
				 : [at] "+m"(*(type *)at), "+a"(was), [done] "=q"(done) \
				 : [new] "r"((type)desired)                             \
				 : "memory", "cc");                                     \
		*expected = was;                                                        \
	} while (0)

static bool exchange(void *at, unsigned size, uint64_t *expected, uint64_t desired)
{
	bool done;

	switch (size) {
	case 1: EXCHANGE(uint8_t, "b"); break;
	case 2: EXCHANGE(uint16_t, "w"); break;
	case 4: EXCHANGE(uint32_t, "l"); break;
	default: EXCHANGE(uint64_t, "q"); break;
	}
	return done;
}

/* ---- what is not one access of the host's ---- */

void soft_atomic_begin(struct soft_cpu *cpu)
{
	struct soft_engine *soft = cpu->engine;

	/* Whoever is alone now need not wait for this CPU. */
	__atomic_store_n(&cpu->in_guest, false, __ATOMIC_SEQ_CST);
	pthread_mutex_lock(&soft->split_lock);
	__atomic_store_n(&cpu->in_guest, true, __ATOMIC_SEQ_CST);
	cpu->stops_others = true;
	for (unsigned i = 0; i < soft->base.cpus; i++)
		if (i != cpu->index)
			soft_cpu_request(soft->cpus[i], SOFT_REQUEST_STOP);
	for (unsigned i = 0; i < soft->base.cpus; i++)
		while (i != cpu->index &&
			__atomic_load_n(&soft->cpus[i]->in_guest, __ATOMIC_SEQ_CST)) {
			soft_code_protect(cpu);
			sched_yield();
		}
	soft_code_protect(cpu);
}

void soft_atomic_end(struct soft_cpu *cpu)
{
	cpu->stops_others = false;
	pthread_mutex_unlock(&cpu->engine->split_lock);
}

/* Between blocks. The request is gone before the lock is taken: who asks after that asks again. */
void soft_atomic_serve(struct soft_cpu *cpu)
{
	__atomic_store_n(&cpu->in_guest, false, __ATOMIC_SEQ_CST);
	__atomic_fetch_and(&cpu->request, ~(uint32_t)SOFT_REQUEST_STOP, __ATOMIC_SEQ_CST);
	pthread_mutex_lock(&cpu->engine->split_lock);
	pthread_mutex_unlock(&cpu->engine->split_lock);
	__atomic_store_n(&cpu->in_guest, true, __ATOMIC_SEQ_CST);
	soft_code_protect(cpu);
}

uint64_t soft_atomic_modify(struct soft_cpu *cpu, const struct soft_op *op, uint64_t linear,
	unsigned size, soft_modify *modify, uint64_t operand, uint16_t *cc)
{
	uint64_t gpa, old;
	void *at = soft_atomic_pointer(cpu, op, linear, size, &gpa);

	if (at) {
		uint64_t desired;

		old = load(at, size);
		do {
			*cc = cpu->cc;
			desired = modify(old, operand, size, cc);
		} while (!exchange(at, size, &old, desired));
		if (unlikely(gpa != SOFT_NO_GPA))
			soft_phys_wrote(cpu, gpa, size);
		return old;
	}
	soft_atomic_begin(cpu);
	old = soft_load(cpu, op, linear, size);
	*cc = cpu->cc;
	soft_store(cpu, op, linear, size, modify(old, operand, size, cc));
	soft_atomic_end(cpu);
	return old;
}

bool soft_atomic_compare(struct soft_cpu *cpu, const struct soft_op *op, uint64_t linear,
	unsigned size, uint64_t *expected, uint64_t desired)
{
	uint64_t gpa, old;
	void *at = soft_atomic_pointer(cpu, op, linear, size, &gpa);
	bool same;

	if (at) {
		same = exchange(at, size, expected, desired);
		if (unlikely(gpa != SOFT_NO_GPA))
			soft_phys_wrote(cpu, gpa, size);
		return same;
	}
	soft_atomic_begin(cpu);
	old = soft_load(cpu, op, linear, size);
	same = old == *expected;
	soft_store(cpu, op, linear, size, same ? desired : old);
	soft_atomic_end(cpu);
	*expected = old;
	return same;
}

/* ---- locked arithmetic ---- */

static uint64_t mask_of(unsigned size)
{
	return size == 8 ? UINT64_MAX : (UINT64_C(1) << (8 * size)) - 1;
}

static uint64_t modify_add(uint64_t old, uint64_t operand, unsigned size, uint16_t *cc)
{
	*cc = soft_flags_of_add(size, old, operand);
	return old + operand;
}
static uint64_t modify_sub(uint64_t old, uint64_t operand, unsigned size, uint16_t *cc)
{
	*cc = soft_flags_of_sub(size, old, operand);
	return old - operand;
}
static uint64_t modify_or(uint64_t old, uint64_t operand, unsigned size, uint16_t *cc)
{
	*cc = flags_of_and(size, old | operand, UINT64_MAX);
	return old | operand;
}
static uint64_t modify_and(uint64_t old, uint64_t operand, unsigned size, uint16_t *cc)
{
	*cc = flags_of_and(size, old, operand);
	return old & operand;
}
static uint64_t modify_xor(uint64_t old, uint64_t operand, unsigned size, uint16_t *cc)
{
	*cc = flags_of_and(size, old ^ operand, UINT64_MAX);
	return old ^ operand;
}

/* With carry: flags as the manual defines them, bit by bit. */
static uint16_t carry_flags(uint64_t result, uint64_t carries, unsigned size)
{
	uint64_t top = UINT64_C(1) << (8 * size - 1);
	uint16_t cc = 0;

	result &= mask_of(size);
	cc |= carries & top ? SOFT_CC_C : 0;
	cc |= carries & 8 ? SOFT_CC_A : 0;
	cc |= result & top ? SOFT_CC_S : 0;
	cc |= result ? 0 : SOFT_CC_Z;
	cc |= __builtin_parity((uint8_t)result) ? 0 : SOFT_CC_P;
	return cc;
}
static uint64_t modify_adc(uint64_t a, uint64_t b, unsigned size, uint16_t *cc)
{
	uint64_t top = UINT64_C(1) << (8 * size - 1);
	uint64_t result = a + b + (*cc & SOFT_CC_C ? 1 : 0);
	uint64_t carries = (a & b) | ((a | b) & ~result);

	*cc = carry_flags(result, carries, size);
	*cc |= (a ^ result) & (b ^ result) & top ? SOFT_CC_O : 0;
	return result;
}
static uint64_t modify_sbb(uint64_t a, uint64_t b, unsigned size, uint16_t *cc)
{
	uint64_t top = UINT64_C(1) << (8 * size - 1);
	uint64_t result = a - b - (*cc & SOFT_CC_C ? 1 : 0);
	uint64_t borrows = (~a & b) | ((~a | b) & result);

	*cc = carry_flags(result, borrows, size);
	*cc |= (a ^ b) & (a ^ result) & top ? SOFT_CC_O : 0;
	return result;
}

/* In a function of its own: what has a variable that others write to leaves by a call, not a jump, and
 * with each turn of a loop the stack would grow. */
static __attribute__((noinline)) void modify(struct soft_cpu *cpu, const struct soft_op *op,
	unsigned size, soft_modify *how, uint64_t operand)
{
	uint16_t cc;

	cpu->op = op;
	soft_atomic_modify(cpu, op, soft_operand(cpu, op, size, true), size, how, operand, &cc);
	cpu->cc = cc;
}

SOFT_OP_FUNCTION(soft_op_lock_alu)
{
	static soft_modify *const table[] = {
		[ALU_ADD] = modify_add,
		[ALU_OR] = modify_or,
		[ALU_ADC] = modify_adc,
		[ALU_SBB] = modify_sbb,
		[ALU_AND] = modify_and,
		[ALU_SUB] = modify_sub,
		[ALU_XOR] = modify_xor,
	};
	unsigned size = 1u << ((op->rm >> 4) & 3);
	uint64_t operand = op->rm & 0x40 ? op->imm : soft_read_reg(cpu, op->reg, size);

	modify(cpu, op, size, table[op->rm & 7], operand & mask_of(size));
	SOFT_NEXT;
}

static uint64_t modify_inc(uint64_t old, uint64_t operand, unsigned size, uint16_t *cc)
{
	uint16_t carry = *cc & SOFT_CC_C;

	*cc = (uint16_t)((soft_flags_of_add(size, old, 1) & ~SOFT_CC_C) | carry);
	return old + 1;
}
static uint64_t modify_dec(uint64_t old, uint64_t operand, unsigned size, uint16_t *cc)
{
	uint16_t carry = *cc & SOFT_CC_C;

	*cc = (uint16_t)((soft_flags_of_sub(size, old, 1) & ~SOFT_CC_C) | carry);
	return old - 1;
}
static uint64_t modify_not(uint64_t old, uint64_t operand, unsigned size, uint16_t *cc)
{
	return ~old;
}
static uint64_t modify_neg(uint64_t old, uint64_t operand, unsigned size, uint16_t *cc)
{
	*cc = soft_flags_of_sub(size, 0, old);
	return 0 - old;
}

SOFT_OP_FUNCTION(soft_op_lock_unary)
{
	static soft_modify *const table[] = {
		[UNARY_INC] = modify_inc,
		[UNARY_DEC] = modify_dec,
		[UNARY_NOT] = modify_not,
		[UNARY_NEG] = modify_neg,
	};

	modify(cpu, op, 1u << ((op->rm >> 4) & 3), table[op->rm & 3], 0);
	SOFT_NEXT;
}

/* SPDX-License-Identifier: MIT */
/*
 * x87 arithmetic on the host's x87. Every piece of assembly begins and ends with the host's stack
 * empty, no exception pending and its default control word.
 */
#include "hypervisor/soft_x87.h"

static const uint16_t host_control = X87_CONTROL_DEFAULT;

#define BEGIN "fnclex\n\tfldcw %[control]\n\t"
/* With the guest's condition codes and C1, for what leaves some of them alone. */
#define BEGIN_CODES "fldenv %[env]\n\t"
#define END         "\n\tfnstsw %[status]\n\tfnclex\n\tfldcw %[host]\n\t"
#define IN          [control] "m"(control), [host] "m"(host_control)
#define STACK       "st", "st(1)", "st(2)", "memory"
/* The host would be interrupted by an unmasked exception only at an instruction that waits, and there
 * is none before END has cleared it. */
#define CONTROL(cpu) const uint16_t control = (cpu)->fpu.control
#define MASKED(cpu)  const uint16_t control = (cpu)->fpu.control | X87_EXCEPTIONS

/* What FLDENV loads: an empty stack. */
struct environment {
	uint32_t control;
	uint32_t status;
	uint32_t tags;
	uint32_t pointers[4];
};
#define ENVIRONMENT(cpu)                                     \
	const struct environment env = { (cpu)->fpu.control, \
		(cpu)->fpu.status & (X87_COMPARED | X87_C1), 0xffff, { 0, 0, 0, 0 } }
#define IN_CODES [env] "m"(env), [host] "m"(host_control)

/* ---- two operands ---- */

#define ARITH(name, type, instruction)                                                      \
	static uint16_t name(const struct soft_cpu *cpu, struct soft_f80 *a, const void *b) \
	{                                                                                   \
		CONTROL(cpu);                                                               \
		uint16_t status;                                                            \
                                                                                            \
		__asm__ volatile(BEGIN "fldt %[a]\n\t" instruction END "fstpt %[a]"         \
				 : [a] "+m"(*a), [status] "=m"(status)                      \
				 : [b] "m"(*(const type *)b), IN                            \
				 : STACK);                                                  \
		return status;                                                              \
	}
#define ARITH_F80(name, instruction)                                                        \
	static uint16_t name(const struct soft_cpu *cpu, struct soft_f80 *a, const void *b) \
	{                                                                                   \
		CONTROL(cpu);                                                               \
		uint16_t status;                                                            \
                                                                                            \
		__asm__ volatile(BEGIN "fldt %[b]\n\tfldt %[a]\n\t" instruction END         \
				       "fstpt %[a]\n\tfstp %%st(0)"                         \
				 : [a] "+m"(*a), [status] "=m"(status)                      \
				 : [b] "m"(*(const struct soft_f80 *)b), IN                 \
				 : STACK);                                                  \
		return status;                                                              \
	}
#define ARITH_ALL(stem)                                   \
	ARITH_F80(stem##_f80, "f" #stem " %%st(1), %%st") \
	ARITH(stem##_f32, float, "f" #stem "s %[b]")      \
	ARITH(stem##_f64, double, "f" #stem "l %[b]")     \
	ARITH(stem##_i16, int16_t, "fi" #stem "s %[b]")   \
	ARITH(stem##_i32, int32_t, "fi" #stem "l %[b]")

ARITH_ALL(add)
ARITH_ALL(mul)
ARITH_ALL(sub)
ARITH_ALL(subr)
ARITH_ALL(div)
ARITH_ALL(divr)
ARITH_F80(com_f80, "fcom %%st(1)")
ARITH(com_f32, float, "fcoms %[b]")
ARITH(com_f64, double, "fcoml %[b]")
ARITH(com_i16, int16_t, "ficoms %[b]")
ARITH(com_i32, int32_t, "ficoml %[b]")
ARITH_F80(ucom_f80, "fucom %%st(1)")

uint16_t x87_arith(const struct soft_cpu *cpu, enum x87_arith arith, enum x87_source source,
	struct soft_f80 *a, const void *b)
{
	typedef uint16_t function(const struct soft_cpu *, struct soft_f80 *, const void *);
#define ROW(stem)                                                          \
	{                                                                  \
		stem##_f80, stem##_f32, stem##_f64, stem##_i16, stem##_i32 \
	}
	static function *const functions[8][5] = {
		[X87_ADD] = ROW(add),
		[X87_MUL] = ROW(mul),
		[X87_COM] = ROW(com),
		[X87_COMP] = ROW(com),
		[X87_SUB] = ROW(sub),
		[X87_SUBR] = ROW(subr),
		[X87_DIV] = ROW(div),
		[X87_DIVR] = ROW(divr),
	};

	return functions[arith][source](cpu, a, b);
}

uint16_t x87_unordered(
	const struct soft_cpu *cpu, const struct soft_f80 *a, const struct soft_f80 *b)
{
	struct soft_f80 copy = *a;

	return ucom_f80(cpu, &copy, b);
}

uint16_t x87_compare_flags(const struct soft_cpu *cpu, bool unordered, const struct soft_f80 *a,
	const struct soft_f80 *b, uint16_t *flags)
{
	ENVIRONMENT(cpu);
	uint16_t status;

#define COMPARE(instruction)                                                                      \
	__asm__ volatile(BEGIN_CODES                                                              \
			 "fldt %[b]\n\tfldt %[a]\n\tadd $0x7f, %%al\n\tsahf\n\t" instruction      \
			 " %%st(1), %%st\n\tlahf\n\tseto %%al" END "fstp %%st(0)\n\tfstp %%st(0)" \
			 : "+a"(*flags), [status] "=m"(status)                                    \
			 : [a] "m"(*a), [b] "m"(*b), IN_CODES                                     \
			 : STACK, "cc")
	if (unordered)
		COMPARE("fucomi");
	else
		COMPARE("fcomi");
	return status;
}

/* ---- ST(0), ST(1) ---- */

/* The stack's depth afterwards is not known: an unmasked exception keeps it as it was. */
#define MATH(name, instruction)                                                             \
	static uint16_t name(const struct soft_cpu *cpu, struct soft_f80 a[2])              \
	{                                                                                   \
		ENVIRONMENT(cpu);                                                           \
		uint16_t status;                                                            \
                                                                                            \
		__asm__ volatile(BEGIN_CODES "fldt %[a1]\n\tfldt %[a0]\n\t" instruction END \
					     "fstpt %[a0]\n\tfstpt %[a1]\n\tfninit"         \
				 : [a0] "+m"(a[0]), [a1] "+m"(a[1]), [status] "=m"(status)  \
				 : IN_CODES                                                 \
				 : STACK);                                                  \
		return status;                                                              \
	}
MATH(math_tst, "ftst")
MATH(math_xam, "fxam")
MATH(math_ld1, "fld1")
MATH(math_ldl2t, "fldl2t")
MATH(math_ldl2e, "fldl2e")
MATH(math_ldpi, "fldpi")
MATH(math_ldlg2, "fldlg2")
MATH(math_ldln2, "fldln2")
MATH(math_ldz, "fldz")
MATH(math_2xm1, "f2xm1")
MATH(math_yl2x, "fyl2x")
MATH(math_ptan, "fptan")
MATH(math_patan, "fpatan")
MATH(math_xtract, "fxtract")
MATH(math_prem1, "fprem1")
MATH(math_prem, "fprem")
MATH(math_yl2xp1, "fyl2xp1")
MATH(math_sqrt, "fsqrt")
MATH(math_sincos, "fsincos")
MATH(math_rndint, "frndint")
MATH(math_scale, "fscale")
MATH(math_sin, "fsin")
MATH(math_cos, "fcos")

uint16_t x87_math(const struct soft_cpu *cpu, enum x87_unary unary, struct soft_f80 a[2])
{
	typedef uint16_t function(const struct soft_cpu *, struct soft_f80[2]);
	static function *const functions[32] = {
		[X87_TST] = math_tst,
		[X87_XAM] = math_xam,
		[X87_LD1] = math_ld1,
		[X87_LD1 + 1] = math_ldl2t,
		[X87_LD1 + 2] = math_ldl2e,
		[X87_LD1 + 3] = math_ldpi,
		[X87_LD1 + 4] = math_ldlg2,
		[X87_LD1 + 5] = math_ldln2,
		[X87_LDZ] = math_ldz,
		[X87_F2XM1] = math_2xm1,
		[X87_YL2X] = math_yl2x,
		[X87_PTAN] = math_ptan,
		[X87_PATAN] = math_patan,
		[X87_XTRACT] = math_xtract,
		[X87_PREM1] = math_prem1,
		[X87_PREM] = math_prem,
		[X87_YL2XP1] = math_yl2xp1,
		[X87_SQRT] = math_sqrt,
		[X87_SINCOS] = math_sincos,
		[X87_RNDINT] = math_rndint,
		[X87_SCALE] = math_scale,
		[X87_SIN] = math_sin,
		[X87_COS] = math_cos,
	};

	return functions[unary](cpu, a);
}

/* ---- conversions ---- */

uint16_t x87_widen(
	const struct soft_cpu *cpu, enum x87_source source, const void *b, struct soft_f80 *a)
{
	MASKED(cpu);
	uint16_t status;

#define WIDEN(type, instruction)                                    \
	__asm__ volatile(BEGIN instruction " %[b]" END "fstpt %[a]" \
			 : [a] "=m"(*a), [status] "=m"(status)      \
			 : [b] "m"(*(const type *)b), IN            \
			 : STACK)
	if (source == X87_F32)
		WIDEN(float, "flds");
	else
		WIDEN(double, "fldl");
	return status;
}

bool x87_widen_pushes(const struct soft_cpu *cpu, enum x87_source source, const void *b)
{
	CONTROL(cpu);
	uint16_t status;

#define WIDEN_PUSHES(type, instruction)                         \
	__asm__ volatile(BEGIN instruction " %[b]" END "fninit" \
			 : [status] "=m"(status)                \
			 : [b] "m"(*(const type *)b), IN        \
			 : STACK)
	if (source == X87_F32)
		WIDEN_PUSHES(float, "flds");
	else
		WIDEN_PUSHES(double, "fldl");
	return status >> 11 & 7;
}

void x87_from_integer(int64_t value, struct soft_f80 *a)
{
	__asm__ volatile("fildll %1\n\tfstpt %0" : "=m"(*a) : "m"(value) : STACK);
}

void x87_from_bcd(const uint8_t bcd[10], struct soft_f80 *a)
{
	__asm__ volatile("fbld %1\n\tfstpt %0"
			 : "=m"(*a)
			 : "m"(*(const uint8_t(*)[10])bcd)
			 : STACK);
}

uint16_t x87_narrow(
	const struct soft_cpu *cpu, enum x87_source source, const struct soft_f80 *a, void *out)
{
	CONTROL(cpu);
	uint16_t status;

#define NARROW(type, instruction)                                                       \
	__asm__ volatile(BEGIN "fldt %[a]\n\t" instruction " %[out]" END "fstp %%st(0)" \
			 : [out] "+m"(*(type *)out), [status] "=m"(status)              \
			 : [a] "m"(*a), IN                                              \
			 : STACK)
	if (source == X87_F32)
		NARROW(float, "fsts");
	else
		NARROW(double, "fstl");
	return status;
}

uint16_t x87_to_integer(const struct soft_cpu *cpu, const struct soft_f80 *a, unsigned size,
	bool truncate, int64_t *out)
{
	MASKED(cpu);
	uint16_t status;

#define INTEGER(instruction)                                             \
	__asm__ volatile(BEGIN "fldt %[a]\n\t" instruction " %[out]" END \
			 : [out] "+m"(*out), [status] "=m"(status)       \
			 : [a] "m"(*a), IN                               \
			 : STACK)
	*out = 0;
	if (size == 2 && truncate)
		INTEGER("fisttps");
	else if (size == 2)
		INTEGER("fistps");
	else if (size == 4 && truncate)
		INTEGER("fisttpl");
	else if (size == 4)
		INTEGER("fistpl");
	else if (truncate)
		INTEGER("fisttpll");
	else
		INTEGER("fistpll");
	return status;
}

uint16_t x87_to_bcd(const struct soft_cpu *cpu, const struct soft_f80 *a, uint8_t bcd[10])
{
	MASKED(cpu);
	uint16_t status;

	__asm__ volatile(BEGIN "fldt %[a]\n\tfbstp %[out]" END
			 : [out] "=m"(*(uint8_t(*)[10])bcd), [status] "=m"(status)
			 : [a] "m"(*a), IN
			 : STACK);
	return status;
}

/* SPDX-License-Identifier: MIT */
/* Ways from one privilege level to another and what a level may do: SYSENTER, call gates, RETF,
 * IRET, IOPL, the I/O permission bitmap, virtual-8086 mode (Intel SDM vol. 1, 19.5; vol. 2; vol. 3,
 * 5.8 and 21.3). */
#include "tests/hypervisor/soft_guest32.h"

enum {
	GATE_SAME = 0x80, /* call gates, to CODE_B: for level 0 */
	GATE_INNER = 0x88, /* for all, two parameters */
	GATE_MISSING = 0x90, /* not present */
	GATE_DATA = 0x98, /* to a data segment */
	GATE_NULL = 0xa0, /* to no segment */
	GDT_END = 0xa8,
	IO_MAP = 0x68,
};

static void put_gate(struct guest *guest, uint32_t at, uint16_t selector, uint32_t attr)
{
	put(guest, at,
		(CODE_B & 0xffff) | (uint32_t)selector << 16 | (uint64_t)attr << 32 |
			(uint64_t)(CODE_B >> 16) << 48);
}

static void start_gates(struct guest *guest, bool user)
{
	start_protected(guest, user);
	put_gate(guest, GDT + GATE_SAME, CS0, 0x8c00);
	put_gate(guest, GDT + GATE_INNER, CS0, 0xec02);
	put_gate(guest, GDT + GATE_MISSING, CS0, 0x6c00);
	put_gate(guest, GDT + GATE_DATA, DS0, 0xec00);
	put_gate(guest, GDT + GATE_NULL, 0, 0xec00);
	guest->cpu->gdt.limit = GDT_END - 1;
}

/* The last words on the stack, as a list. */
static void expect_stack(struct guest *guest, uint32_t esp, const uint32_t *values, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(get32(guest, esp + 4 * i), values[i]);
}

GUEST(halt, ".code32", "hlt");
GUEST(undefined, ".code32", "ud2");

/* ---- SYSENTER ---- */

GUEST(enter, ".code32", "sysenter");
GUEST(leave, ".code32", "mov $0xa000, %edx; mov $0x50000, %ecx; leave_at: sysexit");
GUEST_AT(leave);

static void start_sysenter(struct guest *guest, bool user)
{
	start_protected(guest, user);
	guest->cpu->sysenter_cs = CS0;
	guest->cpu->sysenter_esp = STACK - 0x40;
	guest->cpu->sysenter_eip = CODE_B;
}

static void test_sysenter(void **state)
{
	struct guest *guest = *state;
	struct soft_cpu *cpu = guest->cpu;

	start_sysenter(guest, true);
	cpu->eflags |= SOFT_IF;
	LOAD(guest, enter);
	LOAD_B(guest, halt);
	expect_halt(guest);
	assert_int_equal(cpu->cpl, 0);
	assert_int_equal(cpu->segs[SOFT_CS].selector, CS0);
	assert_int_equal(cpu->segs[SOFT_SS].selector, DS0);
	assert_int_equal(cpu->segs[SOFT_DS].selector, DS3);
	assert_int_equal(cpu->regs[SOFT_RSP], STACK - 0x40);
	assert_int_equal(cpu->regs[SOFT_RIP], CODE_B + 1);
	assert_int_equal(soft_eflags(cpu) & SOFT_IF, 0);
	start_sysenter(guest, true);
	cpu->sysenter_cs = 3;
	LOAD(guest, enter);
	expect32(guest, SOFT_GP, 0, CODE);
}

static void test_sysexit(void **state)
{
	const uint32_t frame[] = { CODE_B, CS3, 2 | SOFT_RF, USER_STACK, DS3 };
	struct guest *guest = *state;

	start_sysenter(guest, false);
	LOAD(guest, leave);
	LOAD_B(guest, undefined);
	expect32(guest, SOFT_UD, NO_ERROR, CODE_B);
	expect_stack(guest, STACK - sizeof(frame), frame, ARRAY_SIZE(frame));
	start_sysenter(guest, true);
	LOAD(guest, leave);
	expect32(guest, SOFT_GP, 0, (uint32_t)AT(leave));
	start_sysenter(guest, false);
	guest->cpu->sysenter_cs = 0;
	LOAD(guest, leave);
	expect32(guest, SOFT_GP, 0, (uint32_t)AT(leave));
}

/* ---- call gates and RETF ---- */

GUEST(call_same, ".code32", "lcall $0x80, $0x1234; call_same_at: hlt");
GUEST_AT(call_same);
GUEST(returns, ".code32", "mov %esp, %esi; lret");
GUEST(call_inner, ".code32", "push $0x11; push $0x22; lcall $0x88, $0; call_inner_at: ud2");
GUEST_AT(call_inner);
GUEST(returns_out, ".code32", "mov $0x10, %eax; mov %eax, %ds; mov %eax, %gs; lret $8");

static void test_call_gates(void **state)
{
	const uint32_t inner[] = { (uint32_t)AT(call_inner), CS3, 0x22, 0x11, USER_STACK - 8, DS3 };
	struct guest *guest = *state;
	struct soft_cpu *cpu = guest->cpu;

	start_gates(guest, false);
	LOAD(guest, call_same);
	LOAD_B(guest, returns);
	expect_halt(guest);
	assert_int_equal(cpu->regs[SOFT_RSI], STACK - 0x108);
	assert_int_equal(cpu->regs[SOFT_RSP], STACK - 0x100);
	assert_int_equal(get32(guest, STACK - 0x108), AT(call_same));
	assert_int_equal(get32(guest, STACK - 0x104), CS0);
	start_gates(guest, true);
	LOAD(guest, call_inner);
	LOAD_B(guest, halt);
	expect_halt(guest);
	assert_int_equal(cpu->cpl, 0);
	assert_int_equal(cpu->segs[SOFT_CS].selector, CS0);
	assert_int_equal(cpu->segs[SOFT_SS].selector, DS0);
	assert_int_equal(cpu->regs[SOFT_RSP], STACK - sizeof(inner));
	expect_stack(guest, STACK - sizeof(inner), inner, ARRAY_SIZE(inner));
	/* Back: both stacks lose the parameters, segments of the inner level become null. */
	start_gates(guest, true);
	LOAD(guest, call_inner);
	LOAD_B(guest, returns_out);
	expect32(guest, SOFT_UD, NO_ERROR, (uint32_t)AT(call_inner));
	assert_int_equal(get32(guest, STACK - 8), USER_STACK);
	assert_int_equal(get32(guest, STACK - 4), DS3);
	assert_int_equal(cpu->segs[SOFT_DS].selector, 0);
	assert_int_equal(cpu->segs[SOFT_GS].selector, 0);
	assert_int_equal(cpu->segs[SOFT_ES].selector, DS3);
}

GUEST(call_same_user, ".code32", "lcall $0x80, $0");
GUEST(call_rpl, ".code32", "lcall $0x83, $0");
GUEST(call_missing, ".code32", "lcall $0x90, $0");
GUEST(call_data, ".code32", "lcall $0x98, $0");
GUEST(call_null, ".code32", "lcall $0xa0, $0");
GUEST(jump_inner, ".code32", "ljmp $0x88, $0");
#define REFUSED(guest, user, name, vector, error)     \
	do {                                          \
		start_gates(guest, user);             \
		LOAD(guest, name);                    \
		expect32(guest, vector, error, CODE); \
	} while (0)

static void test_gates_refuse(void **state)
{
	struct guest *guest = *state;

	REFUSED(guest, true, call_same_user, SOFT_GP, GATE_SAME);
	REFUSED(guest, false, call_rpl, SOFT_GP, GATE_SAME);
	REFUSED(guest, true, call_missing, SOFT_NP, GATE_MISSING);
	REFUSED(guest, true, call_data, SOFT_GP, DS0);
	REFUSED(guest, true, call_null, SOFT_GP, 0);
	/* JMP does not change the level. */
	REFUSED(guest, true, jump_inner, SOFT_GP, CS0);
}

GUEST(return_inner, ".code32", "push $8; push $0xa000; return_inner_at: lret");
GUEST_AT(return_inner);
GUEST(return_stack, ".code32",
	"push $0x10; push $0x50000; push $0x1b; push $0xa000; return_stack_at: lret");
GUEST_AT(return_stack);
GUEST(return_null, ".code32",
	"push $0; push $0x50000; push $0x1b; push $0xa000; return_null_at: lret");
GUEST_AT(return_null);

static void test_returns_refused(void **state)
{
	struct guest *guest = *state;

	start_gates(guest, true);
	LOAD(guest, return_inner);
	expect32(guest, SOFT_GP, CS0, (uint32_t)AT(return_inner));
	start_gates(guest, false);
	LOAD(guest, return_stack);
	expect32(guest, SOFT_GP, DS0, (uint32_t)AT(return_stack));
	start_gates(guest, false);
	LOAD(guest, return_null);
	expect32(guest, SOFT_GP, 0, (uint32_t)AT(return_null));
}

/* ---- IOPL and the I/O permission bitmap ---- */

GUEST(clear_if, ".code32", "cli; ud2");
GUEST(set_if, ".code32", "sti; ud2");
GUEST(in_byte, ".code32", "in $0x80, %al; ud2");
GUEST(out_byte, ".code32", "out %al, $0x81; ud2");
GUEST(in_word, ".code32", "in $0x80, %ax; ud2");
GUEST(in_two, ".code32", "in $0x81, %ax; ud2");
GUEST(in_other, ".code32", "in $0x7f, %al; ud2");
#define AS_USER(guest, name, more, limit_of_tss, vector, error, eip) \
	do {                                                         \
		start_protected(guest, true);                        \
		put_io_map(guest, limit_of_tss);                     \
		(guest)->cpu->eflags |= (more);                      \
		LOAD(guest, name);                                   \
		expect32(guest, vector, error, eip);                 \
	} while (0)

/* Only ports 0x80 and 0x81 are free. */
static void put_io_map(struct guest *guest, uint32_t limit)
{
	put16(guest, TSS_A + 0x66, IO_MAP);
	memset(guest->ram.host + TSS_A + IO_MAP, 0xff, 0x21);
	guest->ram.host[TSS_A + IO_MAP + 0x10] = 0xfc;
	guest->cpu->tr.limit = limit;
}

static void test_iopl(void **state)
{
	struct guest *guest = *state;

	AS_USER(guest, clear_if, 0, 0x67, SOFT_GP, 0, CODE);
	AS_USER(guest, set_if, SOFT_IOPL & 0x2000, 0x67, SOFT_GP, 0, CODE);
	AS_USER(guest, clear_if, SOFT_IOPL | SOFT_IF, 0x67, SOFT_UD, NO_ERROR, CODE + 1);
	assert_int_equal(get32(guest, STACK - 12) & SOFT_IF, 0);
	AS_USER(guest, set_if, SOFT_IOPL, 0x67, SOFT_UD, NO_ERROR, CODE + 1);
	assert_int_equal(get32(guest, STACK - 12) & SOFT_IF, SOFT_IF);
	AS_USER(guest, in_other, SOFT_IOPL, 0x67, SOFT_UD, NO_ERROR, CODE + 2);
}

static void test_io_map(void **state)
{
	struct guest *guest = *state;

	AS_USER(guest, in_byte, 0, IO_MAP + 0x20, SOFT_UD, NO_ERROR, CODE + 2);
	AS_USER(guest, out_byte, 0, IO_MAP + 0x20, SOFT_UD, NO_ERROR, CODE + 2);
	AS_USER(guest, in_word, 0, IO_MAP + 0x20, SOFT_UD, NO_ERROR, CODE + 3);
	AS_USER(guest, in_two, 0, IO_MAP + 0x20, SOFT_GP, 0, CODE);
	AS_USER(guest, in_other, 0, IO_MAP + 0x20, SOFT_GP, 0, CODE);
	/* Two bytes of the map are read, whatever the port. */
	AS_USER(guest, in_byte, 0, IO_MAP + 0x11, SOFT_UD, NO_ERROR, CODE + 2);
	AS_USER(guest, in_byte, 0, IO_MAP + 0x10, SOFT_GP, 0, CODE);
	AS_USER(guest, in_byte, 0, 0x67, SOFT_GP, 0, CODE);
}

GUEST(pop_flags, ".code32", "push $0x3202; popf; ud2");
enum { POPPED = CODE + 6 };

/* Without the right, POPF leaves IF and IOPL as they are, and does not fault. */
static void test_popf(void **state)
{
	const uint32_t mask = SOFT_IF | SOFT_IOPL;
	struct guest *guest = *state;

	AS_USER(guest, pop_flags, 0, 0x67, SOFT_UD, NO_ERROR, POPPED);
	assert_int_equal(get32(guest, STACK - 12) & mask, 0);
	AS_USER(guest, pop_flags, SOFT_IOPL, 0x67, SOFT_UD, NO_ERROR, POPPED);
	assert_int_equal(get32(guest, STACK - 12) & mask, mask);
	start_protected(guest, false);
	LOAD(guest, pop_flags);
	expect32(guest, SOFT_UD, NO_ERROR, POPPED);
	assert_int_equal(get32(guest, get32(guest, LOG) + 8) & mask, mask);
}

/* ---- virtual-8086 mode ---- */

#define ENTER_V86(flags)                                                    \
	"push $0x500; push $0x400; push $0x300; push $0x200; push $0x700\n" \
	"push $0x100; push $" flags "; push $0xa00; push $0; iret"
GUEST(enter_v86, ".code32", ENTER_V86("0x20002"));
GUEST(enter_v86_iopl, ".code32", ENTER_V86("0x23002"));
GUEST(int_n, ".code16", "int $0x50");
GUEST(int_3, ".code16", "int3");
GUEST(v86_cli, ".code16", "cli");
GUEST(v86_pushf, ".code16", "pushf");
GUEST(v86_iret, ".code16", "iret");
GUEST(v86_flags, ".code16", "sti; pushf; cli; popf; hlt");
GUEST(v86_return, ".code16", "push $0x202; push $0xb00; push $8; iret");
#define IN_V86(guest, iopl, name, vector, error, eip) \
	do {                                          \
		start_protected(guest, false);        \
		if (iopl)                             \
			LOAD(guest, enter_v86_iopl);  \
		else                                  \
			LOAD(guest, enter_v86);       \
		LOAD_B(guest, name);                  \
		put_user_gates(guest);                \
		expect32(guest, vector, error, eip);  \
	} while (0)

/* What INT3 and INT 0x51 come to is for all levels, INT 0x50 is not. */
static void put_user_gates(struct guest *guest)
{
	guest->ram.host[IDT + 8 * 3 + 5] |= 0x60;
	guest->ram.host[IDT + 8 * 0x51 + 5] |= 0x60;
	guest->ram.host[0xb008] = 0xf4;
}

GUEST(int_user, ".code16", "int $0x51");

static void test_v86_int(void **state)
{
	const uint32_t frame[] = { 2, 0xa00, 2 | SOFT_VM | SOFT_IOPL, 0x100, 0x700, 0x200, 0x300,
		0x400, 0x500 };
	struct guest *guest = *state;

	IN_V86(guest, false, int_n, SOFT_GP, 0, 0);
	IN_V86(guest, false, int_user, SOFT_GP, 0, 0);
	IN_V86(guest, true, int_n, SOFT_GP, 0x50 * 8 + 2, 0);
	IN_V86(guest, true, int_user, 0x51, NO_ERROR, 2);
	expect_stack(guest, STACK - sizeof(frame), frame, ARRAY_SIZE(frame));
	assert_int_equal(guest->cpu->segs[SOFT_DS].selector, 0);
	assert_int_equal(guest->cpu->segs[SOFT_GS].selector, 0);
	assert_int_equal(soft_eflags(guest->cpu) & SOFT_VM, 0);
	/* INT3 does not ask for IOPL. */
	IN_V86(guest, false, int_3, 3, NO_ERROR, 1);
}

static void test_v86_flags(void **state)
{
	const uint32_t frame[] = { 8, 0xb00, 2 | SOFT_RF | SOFT_VM | SOFT_IOPL | SOFT_IF, 0x100 };
	struct guest *guest = *state;

	IN_V86(guest, false, v86_cli, SOFT_GP, 0, 0);
	IN_V86(guest, false, v86_pushf, SOFT_GP, 0, 0);
	IN_V86(guest, false, v86_iret, SOFT_GP, 0, 0);
	IN_V86(guest, true, v86_flags, SOFT_GP, 0, 4);
	assert_int_equal(get32(guest, STACK - 28) & SOFT_IF, SOFT_IF);
	/* IRET leaves IOPL and VM. */
	IN_V86(guest, true, v86_return, SOFT_GP, 0, 8);
	expect_stack(guest, STACK - 36, frame, ARRAY_SIZE(frame));
}

/* ---- IRET ---- */

GUEST(iret_outer, ".code32",
	"push $0x23; push $0x50000; push $0x3202; push $0x1b; push $0xa000; iret");
GUEST(iret_vm, ".code32", "push $0x23202; push $0x1b; push $0xa000; iret");

static void test_iret(void **state)
{
	const uint32_t outer[] = { CODE_B, CS3, 2 | SOFT_RF | SOFT_IOPL | SOFT_IF, USER_STACK,
		DS3 };
	const uint32_t same[] = { CODE_B, CS3, 2 | SOFT_RF, USER_STACK, DS3 };
	struct guest *guest = *state;

	start_protected(guest, false);
	LOAD(guest, iret_outer);
	LOAD_B(guest, undefined);
	expect32(guest, SOFT_UD, NO_ERROR, CODE_B);
	expect_stack(guest, STACK - sizeof(outer), outer, ARRAY_SIZE(outer));
	assert_int_equal(guest->cpu->segs[SOFT_DS].selector, 0);
	assert_int_equal(guest->cpu->segs[SOFT_FS].selector, 0);
	/* At level 3 neither VM nor IF nor IOPL is taken. */
	start_protected(guest, true);
	LOAD(guest, iret_vm);
	LOAD_B(guest, undefined);
	expect32(guest, SOFT_UD, NO_ERROR, CODE_B);
	expect_stack(guest, STACK - sizeof(same), same, ARRAY_SIZE(same));
}

GUEST(iret64, ".code64", "push $0; push $0x30000; push $2; push $8; push $0xa000; iretq");
GUEST(iret64_user, ".code64",
	"push $0x23; push $0x50000; push $2; push $0x1b; push $0xa000; iretq");
GUEST(iret64_null, ".code64",
	"push $0; push $0x50000; push $2; push $0x1b; push $0xa000; iret64_null_at: iretq");
GUEST_AT(iret64_null);
GUEST(iret64_far, ".code64",
	"movabs $0x800000000000, %rax; push $0x23; push $0x50000; push $2; push $0x1b; push %rax\n"
	"iret64_far_at: iretq");
GUEST_AT(iret64_far);
GUEST(retf64_far, ".code64",
	"movabs $0x800000000000, %rax; push $8; push %rax; retf64_far_at: lretq");
GUEST_AT(retf64_far);
GUEST(return_beyond, ".code32", "push $0x68; push $0x9020; return_beyond_at: lret");
GUEST_AT(return_beyond);
GUEST(iret_beyond, ".code32", "push $2; push $0x68; push $0x9020; iret_beyond_at: iret");
GUEST_AT(iret_beyond);

/* Where nothing can run is not returned to: the fault is the return's own, at its level. */
static void test_return_beyond(void **state)
{
	struct guest *guest = *state;

	start_long(guest);
	LOAD(guest, iret64_far);
	expect(guest, SOFT_GP, 0, AT(iret64_far));
	assert_int_equal(get(guest, get(guest, LOG) + 16), CODE64);
	start_long(guest);
	LOAD(guest, retf64_far);
	expect(guest, SOFT_GP, 0, AT(retf64_far));
	start_protected(guest, false);
	LOAD(guest, return_beyond);
	expect32(guest, SOFT_GP, 0, (uint32_t)AT(return_beyond));
	start_protected(guest, false);
	LOAD(guest, iret_beyond);
	expect32(guest, SOFT_GP, 0, (uint32_t)AT(iret_beyond));
	assert_int_equal(get32(guest, get32(guest, LOG) + 8), CS0);
}

/* The stack is always popped; a null SS is one for the inner levels of 64-bit code. */
static void test_iret64(void **state)
{
	struct guest *guest = *state;

	start_long(guest);
	LOAD(guest, iret64);
	LOAD_B(guest, halt);
	expect_halt(guest);
	assert_int_equal(guest->cpu->regs[SOFT_RSP], 0x30000);
	assert_int_equal(guest->cpu->segs[SOFT_SS].selector, 0);
	start_long(guest);
	LOAD(guest, iret64_user);
	LOAD_B(guest, undefined);
	expect(guest, SOFT_UD, NO_ERROR, CODE_B);
	assert_int_equal(get(guest, STACK - 32), CODE64_USER);
	assert_int_equal(get(guest, STACK - 16), USER_STACK);
	assert_int_equal(get(guest, STACK - 8), DATA_USER);
	start_long(guest);
	LOAD(guest, iret64_null);
	expect(guest, SOFT_GP, 0, AT(iret64_null));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sysenter),
		cmocka_unit_test(test_sysexit),
		cmocka_unit_test(test_call_gates),
		cmocka_unit_test(test_gates_refuse),
		cmocka_unit_test(test_returns_refused),
		cmocka_unit_test(test_iopl),
		cmocka_unit_test(test_io_map),
		cmocka_unit_test(test_popf),
		cmocka_unit_test(test_v86_int),
		cmocka_unit_test(test_v86_flags),
		cmocka_unit_test(test_iret),
		cmocka_unit_test(test_iret64),
		cmocka_unit_test(test_return_beyond),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

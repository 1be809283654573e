/* SPDX-License-Identifier: MIT */
/* 32-bit guests: task switches (Intel SDM vol. 3, chapter 7), and where CS ends. */
#include "tests/hypervisor/soft_guest32.h"

static bool busy(const struct guest *guest, uint16_t selector)
{
	return get32(guest, GDT + selector + 4) & BUSY;
}

/* ---- task switches ---- */

GUEST(halt, ".code32", "hlt");
GUEST(jump_task, ".code32", "mov $0x1234, %ebx; ljmp $0x30, $0; jump_task_at: nop");
GUEST_AT(jump_task);
GUEST(jump_gate, ".code32", "ljmp $0x40, $0");

static void test_jump(void **state)
{
	struct guest *guest = *state;
	struct soft_cpu *cpu = guest->cpu;

	start_protected(guest, false);
	LOAD(guest, jump_task);
	LOAD_B(guest, halt);
	expect_halt(guest);
	assert_int_equal(cpu->regs[SOFT_RIP], CODE_B + 1);
	assert_int_equal(cpu->regs[SOFT_RBX], 0xb3);
	assert_int_equal(cpu->regs[SOFT_RDI], 0xb7);
	assert_int_equal(cpu->regs[SOFT_RSP], STACK_B);
	assert_int_equal(cpu->tr.selector, TASK_B);
	assert_int_equal(soft_eflags(cpu), 2 | SOFT_CF);
	assert_true(cpu->cr0 & SOFT_CR0_TS);
	assert_false(busy(guest, TASK_A));
	assert_true(busy(guest, TASK_B));
	assert_int_equal(get32(guest, TSS_B), 0);
	/* What was before. */
	assert_int_equal(get32(guest, TSS_A + 0x20), AT(jump_task));
	assert_int_equal(get32(guest, TSS_A + 0x34), 0x1234);
	assert_int_equal(get32(guest, TSS_A + 0x38), STACK - 0x100);
	assert_int_equal(get32(guest, TSS_A + 0x4c) & 0xffff, CS0);
	start_protected(guest, false);
	LOAD(guest, jump_gate);
	LOAD_B(guest, halt);
	expect_halt(guest);
	assert_int_equal(cpu->tr.selector, TASK_B);
}

GUEST(call_task, ".code32", "mov $5, %ecx; lcall $0x30, $0; inc %ecx; hlt");
GUEST(call_task16, ".code32", "mov $0x50005, %ecx; lcall $0x38, $0; inc %ecx; hlt");
GUEST(task_returns, ".code32", "mov $7, %ecx; pushf; iret");
GUEST(task_returns16, ".code16", "mov %ecx, %eax; mov %eax, 0x5010; mov $7, %cx; iret");

/* CALL links the tasks, IRET goes back. */
static void test_call(void **state)
{
	struct guest *guest = *state;

	start_protected(guest, false);
	LOAD(guest, call_task);
	LOAD_B(guest, task_returns);
	expect_halt(guest);
	assert_int_equal(guest->cpu->regs[SOFT_RCX], 6);
	assert_int_equal(guest->cpu->tr.selector, TASK_A);
	assert_int_equal(get32(guest, TSS_B) & 0xffff, TASK_A);
	assert_int_equal(get32(guest, TSS_B + 0x2c), 7);
	assert_int_equal(get32(guest, TSS_B + 0x24) & SOFT_NT, 0);
	assert_int_equal(get32(guest, STACK_B - 4) & SOFT_NT, SOFT_NT);
	assert_true(busy(guest, TASK_A));
	assert_false(busy(guest, TASK_B));
	assert_int_equal(get32(guest, TSS_B + 0x20), CODE_B + 7);
	/* 16 bits: the registers' upper halves are not kept. */
	start_protected(guest, false);
	LOAD(guest, call_task16);
	LOAD_B(guest, task_returns16);
	expect_halt(guest);
	assert_int_equal(guest->cpu->regs[SOFT_RCX], 0x50006);
	assert_int_equal(get32(guest, 0x5010), 0xffff00b1);
	assert_int_equal(get32(guest, TSS_16 + 0x14) & 0xffff, 7);
}

GUEST(faulting, ".code32", "inc %ecx; mov $0x1000, %eax; faulting_at: mov %eax, %ds; hlt");
GUEST_AT(faulting);
GUEST(int_gate, ".code32", "int $0x50; inc %ecx; hlt");
GUEST(handler_halts, ".code32", "pop %eax; hlt");

/* A task gate in the IDT: the error code is on the task's stack. */
static void test_interrupt(void **state)
{
	struct guest *guest = *state;

	start_protected(guest, false);
	put(guest, IDT + 8 * SOFT_GP, (uint64_t)TASK_B << 16 | UINT64_C(0x8500) << 32);
	LOAD(guest, faulting);
	LOAD_B(guest, handler_halts);
	expect_halt(guest);
	assert_int_equal(guest->cpu->regs[SOFT_RAX], 0x1000);
	assert_int_equal(get32(guest, TSS_A + 0x20), AT(faulting));
	assert_true(get32(guest, TSS_A + 0x24) & SOFT_RF);
	start_protected(guest, false);
	put(guest, IDT + 8 * 0x50, (uint64_t)TASK_B << 16 | UINT64_C(0xe500) << 32);
	LOAD(guest, int_gate);
	LOAD_B(guest, task_returns);
	expect_halt(guest);
	assert_int_equal(guest->cpu->regs[SOFT_RCX], 1);
	/* From an outer level: the task has a level of its own. */
	start_protected(guest, true);
	put(guest, IDT + 8 * 0x50, (uint64_t)TASK_B << 16 | UINT64_C(0xe500) << 32);
	LOAD(guest, int_gate);
	LOAD_B(guest, halt);
	expect_halt(guest);
	assert_int_equal(guest->cpu->cpl, 0);
}

GUEST(jump_self, ".code32", "ljmp $0x28, $0");
GUEST(jump_missing, ".code32", "ljmp $0x58, $0");
GUEST(jump_short, ".code32", "ljmp $0x60, $0");
GUEST(jump_user_gate, ".code32", "ljmp $0x78, $0");
GUEST(return_unlinked, ".code32",
	"pushf; orl $0x4000, (%esp); popf; movw $0x30, 0x4000; return_unlinked_at: iret");
GUEST_AT(return_unlinked);

static void test_refused(void **state)
{
	struct guest *guest = *state;

	start_protected(guest, false);
	LOAD(guest, jump_self);
	expect32(guest, SOFT_GP, TASK_A, CODE);
	start_protected(guest, false);
	LOAD(guest, jump_missing);
	expect32(guest, SOFT_NP, NOT_PRESENT, CODE);
	start_protected(guest, false);
	LOAD(guest, jump_short);
	expect32(guest, SOFT_TS, SHORT, CODE);
	assert_int_equal(guest->cpu->tr.selector, TASK_A);
	start_protected(guest, true);
	LOAD(guest, jump_task);
	expect32(guest, SOFT_GP, TASK_B, AT(jump_task) - 7);
	start_protected(guest, true);
	LOAD(guest, jump_gate);
	expect32(guest, SOFT_GP, GATE, CODE);
	start_protected(guest, true);
	LOAD(guest, jump_user_gate);
	LOAD_B(guest, halt);
	expect_halt(guest);
	start_protected(guest, false);
	LOAD(guest, return_unlinked);
	expect32(guest, SOFT_TS, TASK_B, AT(return_unlinked));
}

/* Of level 3, with a stack for handlers at level 0. */
static void put_user_task(struct guest *guest)
{
	static const uint16_t selectors[] = { DS3, CS3, DS3, DS3, 0, 0 };

	for (uint32_t i = 0; i < ARRAY_SIZE(selectors); i++)
		put32(guest, TSS_B + 0x48 + 4 * i, selectors[i]);
	put32(guest, TSS_B + 4, STACK);
	put32(guest, TSS_B + 8, DS0);
}

/* What is wrong with the new task is told in it, before its first instruction. */
static void test_bad_task(void **state)
{
	static const struct {
		uint32_t at;
		uint16_t selector;
		enum soft_vector vector;
	} cases[] = {
		{ 0x60, DS0, SOFT_TS }, /* LDT: data */
		{ 0x60, 0x1000, SOFT_TS }, /* beyond the table */
		{ 0x4c, DS3, SOFT_TS }, /* CS: data */
		{ 0x4c, CS0 | 3, SOFT_TS }, /* of another level */
		{ 0x50, CS3, SOFT_TS }, /* SS: code */
		{ 0x50, DS0, SOFT_TS },
		{ 0x54, DS_NOT_PRESENT | 3, SOFT_TS }, /* DS: the level counts first */
		{ 0x48, DS0 | 3, SOFT_TS }, { 0x5c, TASK_A, SOFT_TS }, /* GS: a TSS */
	};
	struct guest *guest = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		start_protected(guest, false);
		LOAD(guest, jump_task);
		put_user_task(guest);
		put32(guest, TSS_B + cases[i].at, cases[i].selector);
		expect32(guest, cases[i].vector, cases[i].selector & ~3, CODE_B);
		assert_int_equal(guest->cpu->tr.selector, TASK_B);
	}
	start_protected(guest, false);
	LOAD(guest, jump_task);
	put32(guest, TSS_B + 0x54, DS_NOT_PRESENT);
	expect32(guest, SOFT_NP, DS_NOT_PRESENT, CODE_B);
}

static void test_task_trap(void **state)
{
	struct guest *guest = *state;

	start_protected(guest, false);
	LOAD(guest, jump_task);
	LOAD_B(guest, halt);
	put32(guest, TSS_B + 0x64, 1);
	expect32(guest, SOFT_DB, NO_ERROR, CODE_B);
	assert_int_equal(guest->cpu->dr[6] & 0xe00f, 0x8000);
}

GUEST(v86_task, ".code16",
	"push %ds; mov $0x300, %ax; mov %ax, %es; mov $7, %al; mov %al, %es:(5)\n"
	"hlt");

static void test_v86_task(void **state)
{
	static const uint16_t segments[] = { 0x200, CODE_B >> 4, 0x400, 0x222, 0, 0 };
	struct guest *guest = *state;
	uint32_t frame;

	start_protected(guest, false);
	LOAD(guest, jump_task);
	LOAD_B(guest, v86_task);
	for (uint32_t i = 0; i < ARRAY_SIZE(segments); i++)
		put32(guest, TSS_B + 0x48 + 4 * i, segments[i]);
	put32(guest, TSS_B + 0x20, 0);
	put32(guest, TSS_B + 0x24, 2 | SOFT_VM);
	put32(guest, TSS_B + 0x28 + 4 * SOFT_RSP, 0x100);
	put32(guest, TSS_B + 4, STACK);
	put32(guest, TSS_B + 8, DS0);
	expect32(guest, SOFT_GP, 0, (uint32_t)(v86_task_end - v86_task_begin) - 1);
	assert_int_equal(get32(guest, 0x3005) & 0xff, 7);
	assert_int_equal(get32(guest, 0x40fe) & 0xffff, 0x222);
	frame = get32(guest, LOG);
	assert_true(get32(guest, frame + 12) & SOFT_VM);
	assert_int_equal(get32(guest, frame + 24), 0x300); /* ES */
}

/* ---- where CS ends ---- */

GUEST(jump_out, ".code32", "jump_out_at: jmp . + 0x40; hlt");
GUEST_AT(jump_out);
GUEST(branch_out, ".code32", "xor %eax, %eax; jnz . + 0x40; branch_out_at: jz . + 0x40; hlt");
GUEST_AT(branch_out);
GUEST(call_out, ".code32", "nop; call_out_at: call . + 0x40; hlt");
GUEST_AT(call_out);
GUEST(loop_out, ".code32", "mov $3, %ecx; loop_out_at: loop . + 0x40; hlt");
GUEST_AT(loop_out);
GUEST(return_out, ".code32", "push $0x9020; return_out_at: ret");
GUEST_AT(return_out);
GUEST(indirect_out, ".code32", "mov $0x9020, %eax; indirect_out_at: call *%eax");
GUEST_AT(indirect_out);
GUEST(run_out, ".code32", ".fill 30, 1, 0x90; run_out_at: mov $1, %al; nop; movb $1, 0x20000; hlt");
GUEST_AT(run_out);
GUEST(half_out, ".code32", ".fill 29, 1, 0x90; half_out_at: mov $1, %eax; hlt");
GUEST_AT(half_out);
GUEST(just_inside, ".code32", ".fill 29, 1, 0x90; mov $1, %al; hlt");

static void start_short(struct guest *guest)
{
	start_protected(guest, false);
	guest->cpu->segs[SOFT_CS].limit = CODE + 0x1f;
	guest->cpu->segs[SOFT_CS].selector = CS_SHORT;
	soft_update_mode(guest->cpu);
}

static void test_limit(void **state)
{
	struct guest *guest = *state;

	start_short(guest);
	LOAD(guest, jump_out);
	expect32(guest, SOFT_GP, 0, AT(jump_out));
	start_short(guest);
	LOAD(guest, branch_out);
	expect32(guest, SOFT_GP, 0, AT(branch_out));
	start_short(guest);
	LOAD(guest, call_out);
	expect32(guest, SOFT_GP, 0, AT(call_out));
	assert_int_equal(get32(guest, LOG), STACK - 0x100 - 16); /* nothing was pushed */
	start_short(guest);
	LOAD(guest, loop_out);
	expect32(guest, SOFT_GP, 0, AT(loop_out));
	assert_int_equal(guest->cpu->regs[SOFT_RCX], 3);
	start_short(guest);
	LOAD(guest, return_out);
	expect32(guest, SOFT_GP, 0, AT(return_out));
	start_short(guest);
	LOAD(guest, indirect_out);
	expect32(guest, SOFT_GP, 0, AT(indirect_out));
	start_short(guest);
	LOAD(guest, run_out);
	expect32(guest, SOFT_GP, 0, AT(run_out) + 2);
	assert_int_equal(guest->cpu->regs[SOFT_RAX], 1);
	assert_int_equal(get32(guest, 0x20000), 0);
	start_short(guest);
	LOAD(guest, half_out);
	expect32(guest, SOFT_GP, 0, AT(half_out));
	start_short(guest);
	LOAD(guest, just_inside);
	expect_halt(guest);
}

GUEST(in_and_out, ".code32",
	"mov $3, %ecx; again: dec %ecx; jnz over; ljmp $0x68, $0x9000 + shorter - in_and_out_begin\n"
	"over: call 1f; jmp again; shorter: call 1f; 1: .fill 8, 1, 0x90; inc %edx; ret");

/* Blocks that ran under a larger limit do not run under a smaller one. */
static void test_limit_changes(void **state)
{
	struct guest *guest = *state;

	start_protected(guest, false);
	LOAD(guest, in_and_out);
	assert_int_equal(run(guest), ENGINE_EXIT_KICKED);
	assert_int_equal(get32(guest, LOG + 8), SOFT_GP);
	assert_int_equal(guest->cpu->regs[SOFT_RDX], SOFT_SIGNATURE + 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_jump),
		cmocka_unit_test(test_call),
		cmocka_unit_test(test_interrupt),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bad_task),
		cmocka_unit_test(test_task_trap),
		cmocka_unit_test(test_v86_task),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_limit_changes),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* SPDX-License-Identifier: MIT */
/* Breakpoints by the debug registers, and alignment checks (Intel SDM vol. 3, 17.2, 17.3 and 6.15). */
#include "tests/hypervisor/soft_guest.h"

enum { HIT_0 = 1, HIT_1 = 2, HIT_2 = 4, HIT_3 = 8, BD = 1 << 13, BS = 1 << 14 };
enum { EXEC, WRITE, IO, ACCESS };
enum { BYTES_1, BYTES_2, BYTES_8, BYTES_4 };

/* Sets breakpoint n for all tasks. */
static void set_breakpoint(
	struct guest *guest, unsigned n, uint64_t address, unsigned kind, unsigned length)
{
	guest->cpu->dr[n] = address;
	guest->cpu->dr[7] |= UINT64_C(2) << 2 * n | (uint64_t)(kind | length << 2) << (16 + 4 * n);
	soft_debug_update(guest->cpu);
}

static void expect_hits(struct guest *guest, uint64_t rip, uint32_t hits)
{
	expect(guest, SOFT_DB, NO_ERROR, rip);
	assert_int_equal(guest->cpu->dr[6] & 0xe00f, hits);
}

/* ---- instructions ---- */

GUEST(instruction, ".code64", "nop; nop; instruction_at: inc %ecx; inc %ecx; hlt");
GUEST_AT(instruction);

/* A fault before the instruction, with RF in the flags that are saved. */
static void test_instruction(void **state)
{
	struct guest *guest = *state;

	start_long(guest);
	LOAD(guest, instruction);
	set_breakpoint(guest, 2, AT(instruction), EXEC, BYTES_1);
	expect_hits(guest, AT(instruction), HIT_2);
	assert_int_equal(guest->cpu->regs[SOFT_RCX], 0);
	assert_true(get(guest, get(guest, LOG) + 16) & SOFT_RF);
	/* One that is not enabled, and one elsewhere. */
	start_long(guest);
	LOAD(guest, instruction);
	guest->cpu->dr[1] = AT(instruction);
	set_breakpoint(guest, 0, AT(instruction) + 1, EXEC, BYTES_1);
	expect_halt(guest);
	assert_int_equal(guest->cpu->regs[SOFT_RCX], 2);
}

GUEST(resume, ".code64",
	"mov $0x10, %eax; push %rax; push $0x50000; pushfq; orl $0x10000, (%rsp)\n"
	"push $8; lea resume_at(%rip), %rax; push %rax; iretq; resume_at: inc %ecx; jmp resume_at");
GUEST_AT(resume);

/* RF keeps it from hitting once: the second time it does. */
static void test_resume_flag(void **state)
{
	struct guest *guest = *state;

	start_long(guest);
	LOAD(guest, resume);
	set_breakpoint(guest, 0, AT(resume), EXEC, BYTES_1);
	expect_hits(guest, AT(resume), HIT_0);
	assert_int_equal(guest->cpu->regs[SOFT_RCX], 1);
}

/* ---- data ---- */

GUEST(stores, ".code64",
	"mov $0x20010, %esi; mov -1(%rsi), %al; movl $1, 4(%rsi); movb $1, -1(%rsi)\n"
	"mov (%rsi), %eax; movw $7, 2(%rsi); stores_at: nop; hlt");
GUEST_AT(stores);
GUEST(loads, ".code64",
	"mov $0x20010, %esi; movb $1, 8(%rsi); mov -4(%rsi), %eax; mov 6(%rsi), %ax; loads_at:\n"
	"nop; hlt");
GUEST_AT(loads);
GUEST(unwatched, ".code64", "mov $0x20010, %esi; mov (%rsi), %rax; mov %al, 9(%rsi); hlt");
GUEST(exchange, ".code64", "mov $0x20010, %esi; lock addl $1, (%rsi); exchange_at: nop; hlt");
GUEST_AT(exchange);
GUEST(crossing, ".code64", "mov $0x20ffe, %esi; movl $1, (%rsi); crossing_at: nop; hlt");
GUEST_AT(crossing);

static void test_data(void **state)
{
	struct guest *guest = *state;

	start_long(guest);
	LOAD(guest, stores);
	set_breakpoint(guest, 0, 0x20010, WRITE, BYTES_4);
	expect_hits(guest, AT(stores), HIT_0);
	assert_int_equal(get(guest, 0x20010) >> 16 & 0xffff, 7); /* after the store */
	assert_false(get(guest, get(guest, LOG) + 16) & SOFT_RF);
	start_long(guest);
	LOAD(guest, loads);
	set_breakpoint(guest, 3, 0x20010, ACCESS, BYTES_8);
	expect_hits(guest, AT(loads), HIT_3);
	start_long(guest);
	LOAD(guest, unwatched);
	set_breakpoint(guest, 0, 0x20010, WRITE, BYTES_8);
	set_breakpoint(guest, 1, 0x20018, ACCESS, BYTES_1);
	expect_halt(guest);
	start_long(guest);
	LOAD(guest, exchange);
	set_breakpoint(guest, 1, 0x20012, WRITE, BYTES_1);
	set_breakpoint(guest, 2, 0x20010, ACCESS, BYTES_2);
	expect_hits(guest, AT(exchange), HIT_1 | HIT_2);
	start_long(guest);
	LOAD(guest, crossing);
	set_breakpoint(guest, 0, 0x21000, WRITE, BYTES_2);
	expect_hits(guest, AT(crossing), HIT_0);
}

/* The address has fewer bits than the length: those below do not count. */
static void test_alignment_of_breakpoints(void **state)
{
	struct guest *guest = *state;

	start_long(guest);
	LOAD(guest, stores);
	set_breakpoint(guest, 0, 0x20013, WRITE, BYTES_4);
	expect_hits(guest, AT(stores), HIT_0);
}

GUEST(repeated_stores, ".code64",
	"mov $0x20000, %edi; mov $64, %ecx; repeated_stores_at: rep stosl; hlt");
GUEST_AT(repeated_stores);

/* Between two elements: the instruction is not over. */
static void test_repeated(void **state)
{
	struct guest *guest = *state;

	start_long(guest);
	LOAD(guest, repeated_stores);
	set_breakpoint(guest, 0, 0x20020, WRITE, BYTES_1);
	expect_hits(guest, AT(repeated_stores), HIT_0);
	assert_int_equal(guest->cpu->regs[SOFT_RCX], 64 - 9);
}

GUEST(stack_segment, ".code64",
	"mov $0x20000, %esi; mov (%rsi), %ss; inc %ecx; stack_segment_at:\n"
	"inc %ecx; hlt");
GUEST_AT(stack_segment);

/* MOV SS holds the trap back for one instruction. */
static void test_stack_segment(void **state)
{
	struct guest *guest = *state;

	start_long(guest);
	LOAD(guest, stack_segment);
	put(guest, 0x20000, DATA0);
	set_breakpoint(guest, 0, 0x20000, ACCESS, BYTES_2);
	expect_hits(guest, AT(stack_segment), HIT_0);
	assert_int_equal(guest->cpu->regs[SOFT_RCX], 1);
}

GUEST(both, ".code64", "mov $0x20000, %esi; pushq $0x102; popfq; movb $1, (%rsi); both_at: nop");
GUEST_AT(both);

static void test_with_single_step(void **state)
{
	struct guest *guest = *state;

	start_long(guest);
	LOAD(guest, both);
	set_breakpoint(guest, 1, 0x20000, WRITE, BYTES_1);
	expect_hits(guest, AT(both), HIT_1 | BS);
}

/* ---- ports ---- */

GUEST(ports, ".code64", "mov $0x70, %edx; out %al, $0x71; in (%dx), %eax; ports_at: nop; hlt");
GUEST_AT(ports);

static void test_ports(void **state)
{
	struct guest *guest = *state;

	start_long(guest);
	LOAD(guest, ports);
	guest->cpu->cr4 |= SOFT_CR4_DE;
	set_breakpoint(guest, 0, 0x72, IO, BYTES_2);
	expect_hits(guest, AT(ports), HIT_0);
	start_long(guest);
	LOAD(guest, ports);
	set_breakpoint(guest, 0, 0x72, IO, BYTES_2);
	expect_halt(guest);
}

/* ---- the registers themselves ---- */

GUEST(general, ".code64",
	"mov $0x2000, %eax; mov %rax, %dr7; mov $5, %ecx; general_at: mov %dr6, %rcx; hlt");
GUEST_AT(general);
GUEST(set_and_hit, ".code64",
	"mov $0x20000, %eax; mov %rax, %dr0; mov $0x10001, %eax; mov %rax, %dr7\n"
	"mov %dr7, %rbx; incl 0x20000; set_and_hit_at: nop; hlt");
GUEST_AT(set_and_hit);
GUEST(alias_extended, ".code64",
	"mov %cr4, %rax; or $8, %al; mov %rax, %cr4; alias_extended_at: mov %dr4, %rax; hlt");
GUEST_AT(alias_extended);
GUEST(high_bits, ".code64", "mov $0x100000400, %rax; high_bits_at: mov %rax, %dr7; hlt");
GUEST_AT(high_bits);

static void test_registers(void **state)
{
	struct guest *guest = *state;

	start_long(guest);
	LOAD(guest, general);
	expect_hits(guest, AT(general), BD);
	assert_int_equal(guest->cpu->regs[SOFT_RCX], 5);
	assert_int_equal(guest->cpu->dr[7], 0x400); /* GD is off for the handler */
	start_long(guest);
	LOAD(guest, set_and_hit);
	expect_hits(guest, AT(set_and_hit), HIT_0);
	assert_int_equal(guest->cpu->regs[SOFT_RBX], 0x10401);
	start_long(guest);
	LOAD(guest, alias_extended);
	expect(guest, SOFT_UD, NO_ERROR, AT(alias_extended));
	start_long(guest);
	LOAD(guest, high_bits);
	expect(guest, SOFT_GP, 0, AT(high_bits));
}

/* ---- alignment checks ---- */

GUEST(unaligned, ".code64", "mov $0x20001, %esi; unaligned_at: mov (%rsi), %eax; hlt");
GUEST_AT(unaligned);
GUEST(unaligned_push, ".code64", "mov $0x50001, %esp; unaligned_push_at: push %rax; hlt");
GUEST_AT(unaligned_push);
GUEST(unaligned_add, ".code64", "mov $0x20006, %esi; unaligned_add_at: lock addl $1, (%rsi); hlt");
GUEST_AT(unaligned_add);
GUEST(aligned, ".code64",
	"mov $0x20002, %esi; mov (%rsi), %ax; mov 2(%rsi), %eax; mov 6(%rsi), %rax\n"
	"mov 1(%rsi), %al; movups -1(%rsi), %xmm0; mov %al, 5(%rsi); push %rax; aligned_at: hlt");
GUEST_AT(aligned);
GUEST(cleared, ".code64", "pushq $2; popfq; mov 0x20001, %rax; cleared_at: hlt");
GUEST_AT(cleared);
GUEST(set, ".code64", "mov 0x20001, %rax; pushq $0x40002; popfq; set_at: mov 0x20001, %rax; hlt");
GUEST_AT(set);

static void start_checked(struct guest *guest)
{
	start_user(guest);
	soft_write_cr0(guest->cpu, guest->cpu->cr0 | SOFT_CR0_AM);
	soft_set_eflags(guest->cpu, SOFT_AC);
}

static void test_alignment(void **state)
{
	struct guest *guest = *state;

	start_checked(guest);
	LOAD(guest, unaligned);
	expect(guest, SOFT_AC_FAULT, 0, AT(unaligned));
	start_checked(guest);
	LOAD(guest, unaligned_push);
	expect(guest, SOFT_AC_FAULT, 0, AT(unaligned_push));
	assert_int_equal(get(guest, get(guest, LOG) + 32), 0x50001); /* RSP is as it was */
	start_checked(guest);
	LOAD(guest, unaligned_add);
	expect(guest, SOFT_AC_FAULT, 0, AT(unaligned_add));
	/* HLT is not for this level: that far it came. */
	start_checked(guest);
	LOAD(guest, aligned);
	expect(guest, SOFT_GP, 0, AT(aligned));
	start_checked(guest);
	LOAD(guest, cleared);
	expect(guest, SOFT_GP, 0, AT(cleared));
	start_checked(guest);
	soft_set_eflags(guest->cpu, 0);
	LOAD(guest, set);
	expect(guest, SOFT_AC_FAULT, 0, AT(set));
}

/* Only with CR0.AM, and only at level 3. */
static void test_no_alignment(void **state)
{
	struct guest *guest = *state;

	start_user(guest);
	soft_set_eflags(guest->cpu, SOFT_AC);
	LOAD(guest, unaligned);
	expect(guest, SOFT_GP, 0, AT(unaligned) + 2);
	start_long(guest);
	soft_write_cr0(guest->cpu, guest->cpu->cr0 | SOFT_CR0_AM);
	soft_set_eflags(guest->cpu, SOFT_AC);
	LOAD(guest, unaligned);
	expect_halt(guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_instruction),
		cmocka_unit_test(test_resume_flag),
		cmocka_unit_test(test_data),
		cmocka_unit_test(test_alignment_of_breakpoints),
		cmocka_unit_test(test_repeated),
		cmocka_unit_test(test_stack_segment),
		cmocka_unit_test(test_with_single_step),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_registers),
		cmocka_unit_test(test_alignment),
		cmocka_unit_test(test_no_alignment),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

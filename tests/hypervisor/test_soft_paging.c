/* SPDX-License-Identifier: MIT */
/* Page tables of four levels: rights, large pages, reserved bits, what is marked and what is kept
 * (Intel SDM vol. 3, 4.5 to 4.10). */
#include "tests/hypervisor/soft_guest.h"
#include "tests/hypervisor/soft_paging.h"

enum {
	PML4 = TABLES,
	PDPT = TABLES + 0x1000,
	PD = TABLES + 0x2000,
	PT2 = TABLES + 0x4000,
};

GUEST(read_data, ".code64", "mov 0x20000, %eax; hlt");
GUEST(write_data, ".code64", "movl $5, 0x20000; hlt");
GUEST(jump_data, ".code64", "mov $0x20000, %eax; jmp *%rax");
GUEST(write_again, ".code64", "movl $5, 0x220000; hlt");
GUEST(jump_again, ".code64", "mov $0x220000, %eax; jmp *%rax");
GUEST(far_read, ".code64", "movabs $0x8000000000, %rbx; far_read_at: mov (%rbx), %eax; hlt");
GUEST_AT(far_read);
GUEST(large, ".code64", "mov 0x200120, %eax; movl $7, 0x200124; hlt");
GUEST(huge, ".code64", "mov 0x40020000, %eax; hlt");

static void expect_page_fault(struct guest *guest, uint32_t error, uint64_t rip, uint64_t cr2)
{
	expect(guest, SOFT_PAGE_FAULT, error, rip);
	assert_int_equal(guest->cpu->cr2, cr2);
}

static void test_no_execute(void **state)
{
	struct guest *guest = *state;

	start_long(guest);
	map(guest, DATA, DATA | P | W | U | NX);
	LOAD(guest, jump_data);
	expect_page_fault(guest, PRESENT | FETCH, DATA, DATA);
	start_user(guest);
	map(guest, DATA, DATA | P | W | U | NX);
	LOAD(guest, jump_data);
	expect_page_fault(guest, PRESENT | USER | FETCH, DATA, DATA);
	/* At any level. */
	start_long(guest);
	put(guest, TABLES + 0x2000 + 8, 0x200000 | P | W | LARGE | NX);
	guest->cpu->regs[SOFT_RIP] = 0x200000;
	expect_page_fault(guest, PRESENT | FETCH, 0x200000, 0x200000);
	/* Reading is allowed. */
	start_long(guest);
	map(guest, DATA, DATA | P | NX);
	LOAD(guest, read_data);
	expect_halt(guest);
}

static void test_reserved(void **state)
{
	struct guest *guest = *state;

	start_long(guest);
	map(guest, DATA, DATA | P | W | UINT64_C(1) << 45);
	LOAD(guest, read_data);
	expect_page_fault(guest, PRESENT | RESERVED, CODE, DATA);
	start_long(guest);
	guest->cpu->efer &= ~(uint64_t)SOFT_EFER_NXE;
	map(guest, DATA, DATA | P | W | NX);
	LOAD(guest, write_data);
	expect_page_fault(guest, PRESENT | WRITE | RESERVED, CODE, DATA);
	start_long(guest);
	put(guest, PD + 8, 0x200000 | P | W | LARGE | 0x2000);
	LOAD(guest, large);
	expect_page_fault(guest, PRESENT | RESERVED, CODE, 0x200120);
}

/* The rights of all levels count: DATA by another table at 0x220000, all rights in its entry. */
static void map_again(struct guest *guest, uint64_t table_rights)
{
	put(guest, PD + 8, PT2 | table_rights);
	put(guest, PT2 + 0x20 * 8, DATA | P | W | U);
}

static void test_levels_of_tables(void **state)
{
	struct guest *guest = *state;

	start_long(guest);
	map_again(guest, P);
	LOAD(guest, write_again);
	expect_page_fault(guest, PRESENT | WRITE, CODE, 0x220000);
	start_long(guest);
	map_again(guest, P);
	guest->cpu->cr0 &= ~(uint64_t)SOFT_CR0_WP;
	LOAD(guest, write_again);
	expect_halt(guest);
	start_user(guest);
	map_again(guest, P | W);
	LOAD(guest, write_again);
	expect_page_fault(guest, PRESENT | WRITE | USER, CODE, 0x220000);
	start_user(guest);
	map_again(guest, P | U);
	guest->cpu->cr0 &= ~(uint64_t)SOFT_CR0_WP; /* only for supervisors */
	LOAD(guest, write_again);
	expect_page_fault(guest, PRESENT | WRITE | USER, CODE, 0x220000);
	start_long(guest);
	map_again(guest, P | W | NX);
	LOAD(guest, jump_again);
	expect_page_fault(guest, PRESENT | FETCH, 0x220000, 0x220000);
	/* Nothing there. */
	start_long(guest);
	LOAD(guest, far_read);
	expect_page_fault(guest, 0, AT(far_read), UINT64_C(0x8000000000));
}

static void test_large_pages(void **state)
{
	struct guest *guest = *state;

	start_long(guest);
	put(guest, PD + 8, 0x200000 | P | W | LARGE);
	put(guest, 0x200120, 1234);
	LOAD(guest, large);
	expect_halt(guest);
	assert_int_equal(guest->cpu->regs[SOFT_RAX], 1234);
	assert_int_equal(get(guest, 0x200124), 7);
	assert_int_equal(get(guest, PD + 8) & (A | D), A | D);
	start_long(guest);
	put(guest, PDPT + 8, 0 | P | W | LARGE);
	put(guest, DATA, 4321);
	LOAD(guest, huge);
	expect_halt(guest);
	assert_int_equal(guest->cpu->regs[SOFT_RAX], 4321);
	assert_int_equal(get(guest, PDPT + 8) & (A | D), A);
}

/* Accessed at all levels, dirty only in the last, and nothing where the access fails. */
static void test_marks(void **state)
{
	struct guest *guest = *state;

	start_long(guest);
	LOAD(guest, read_data);
	expect_halt(guest);
	for (uint32_t table = PML4; table < PT; table += 0x1000)
		assert_int_equal(get(guest, table) & (A | D), A);
	assert_int_equal(get(guest, PT + DATA / 4096 * 8) & (A | D), A);
	start_long(guest);
	LOAD(guest, write_data);
	expect_halt(guest);
	assert_int_equal(get(guest, PT + DATA / 4096 * 8) & (A | D), A | D);
	start_long(guest);
	map(guest, DATA, DATA | P);
	LOAD(guest, write_data);
	expect_page_fault(guest, PRESENT | WRITE, CODE, DATA);
	assert_int_equal(get(guest, PT + DATA / 4096 * 8) & D, 0);
}

GUEST(global, ".code64",
	"mov 0x20000, %eax; movq $0x21103, 0x13100; mov %cr3, %rdx; mov %rdx, %cr3\n"
	"mov 0x20000, %ebx; mov %cr4, %rdx; xor $0x80, %dl; mov %rdx, %cr4; mov 0x20000, %ecx; hlt");

/* Turning CR4.PGE off forgets global pages, too. */
static void test_global(void **state)
{
	struct guest *guest = *state;

	start_long(guest);
	map(guest, DATA, DATA | P | W | G);
	put(guest, 0x20000, 1);
	put(guest, 0x21000, 2);
	LOAD(guest, global);
	expect_halt(guest);
	assert_int_equal(guest->cpu->regs[SOFT_RAX], 1);
	assert_int_equal(guest->cpu->regs[SOFT_RBX], 1);
	assert_int_equal(guest->cpu->regs[SOFT_RCX], 2);
}

GUEST(bad_cr3, ".code64", "movabs $0x10000000000, %rax; bad_cr3_at: mov %rax, %cr3; hlt");
GUEST_AT(bad_cr3);
GUEST(no_pae, ".code64", "mov %cr4, %rax; and $~0x20, %al; no_pae_at: mov %rax, %cr4; hlt");
GUEST_AT(no_pae);
GUEST(no_paging, ".code64", "mov %cr0, %rax; btr $31, %rax; no_paging_at: mov %rax, %cr0; hlt");
GUEST_AT(no_paging);
GUEST(unknown_cr4, ".code64", "mov $0x100000, %eax; unknown_cr4_at: mov %rax, %cr4; hlt");
GUEST_AT(unknown_cr4);

/* What control registers do not take. SMEP is not there. */
static void test_control_registers(void **state)
{
	struct guest *guest = *state;

	start_long(guest);
	LOAD(guest, bad_cr3);
	expect(guest, SOFT_GP, 0, AT(bad_cr3));
	start_long(guest);
	LOAD(guest, no_pae);
	expect(guest, SOFT_GP, 0, AT(no_pae));
	start_long(guest);
	LOAD(guest, no_paging);
	expect(guest, SOFT_GP, 0, AT(no_paging));
	start_long(guest);
	LOAD(guest, unknown_cr4);
	expect(guest, SOFT_GP, 0, AT(unknown_cr4));
}

GUEST(tsc_adjust, ".code64",
	"mov $0x3b, %ecx; rdmsr; mov %eax, %ebx; mov $1000, %eax; xor %edx, %edx; wrmsr\n"
	"mov $0x10, %ecx; rdtsc; add $0x100000, %rax; wrmsr; mov $0x3b, %ecx; rdmsr; hlt");

/* The TSC and what was added to it are one. */
static void test_tsc_adjust(void **state)
{
	struct guest *guest = *state;

	start_long(guest);
	LOAD(guest, tsc_adjust);
	expect_halt(guest);
	assert_int_equal(guest->cpu->regs[SOFT_RBX], 0);
	/* Less the time between reading and writing. */
	assert_true(guest->cpu->regs[SOFT_RAX] <= 1000 + 0x100000 ||
		guest->cpu->regs[SOFT_RDX] == 0xffffffff);
	assert_int_equal((uint32_t)guest->cpu->tsc_offset, guest->cpu->regs[SOFT_RAX]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_execute),
		cmocka_unit_test(test_reserved),
		cmocka_unit_test(test_levels_of_tables),
		cmocka_unit_test(test_large_pages),
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_global),
		cmocka_unit_test(test_control_registers),
		cmocka_unit_test(test_tsc_adjust),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* SPDX-License-Identifier: MIT */
/* Page tables of two levels (with 4 MiB pages and without) and of three (PAE): rights, reserved
 * bits, error codes and marks (Intel SDM vol. 3, 4.3, 4.4, 4.6 to 4.8). */
#include "tests/hypervisor/soft_guest32.h"
#include "tests/hypervisor/soft_paging.h"

enum {
	PD = TABLES + 0x1000,
	PT0 = TABLES + 0x2000,
	PT1 = TABLES + 0x3000,
	NO_FAULT = 0xffff,
};

GUEST(read_data, ".code32", "mov 0x20000, %eax; ud2");
GUEST(write_data, ".code32", "movl $5, 0x20000; ud2");
GUEST(jump_data, ".code32", "mov $0x20000, %eax; jmp *%eax");
GUEST(read_upper, ".code32", "mov 0x420000, %eax; ud2");
GUEST(write_upper, ".code32", "movl $5, 0x420000; ud2");
GUEST(jump_upper, ".code32", "mov $0x420000, %eax; jmp *%eax");

enum access { READ, STORE, JUMP };

static void turn_on(struct guest *guest, uint64_t cr4, bool user)
{
	struct soft_cpu *cpu = guest->cpu;

	cpu->cr3 = TABLES;
	cpu->cr4 = cr4;
	cpu->cr0 |= SOFT_CR0_PG | SOFT_CR0_WP;
	soft_set_cpl(cpu, user ? 3 : 0);
}

/* Two levels: the first 4 MiB one to one in 4 KiB pages. */
static void start_two(struct guest *guest, bool user, uint64_t cr4)
{
	start_protected(guest, user);
	put32(guest, TABLES, PT0 | P | W | U);
	for (uint32_t i = 0; i < 1024; i++)
		put32(guest, PT0 + i * 4, i * 4096 | P | W | U);
	turn_on(guest, cr4, user);
}

/* Three levels, the same: a directory's entry has 2 MiB. */
static void start_three(struct guest *guest, bool user, bool nx)
{
	start_protected(guest, user);
	put(guest, TABLES, PD | P);
	put(guest, PD, PT0 | P | W | U);
	for (uint32_t i = 0; i < 512; i++)
		put(guest, PT0 + i * 8, i * 4096 | P | W | U);
	assert_true(soft_walk_load_pdptes(guest->cpu, TABLES));
	guest->cpu->efer = nx ? SOFT_EFER_NXE : 0;
	turn_on(guest, SOFT_CR4_PAE, user);
}

static void expect_access(struct guest *guest, bool upper, enum access access, uint32_t error)
{
	uint32_t linear = upper ? 0x420000 : DATA;
	uint32_t eip = access == JUMP ? linear : CODE;

	if (access == READ && upper)
		LOAD(guest, read_upper);
	else if (access == READ)
		LOAD(guest, read_data);
	else if (access == STORE && upper)
		LOAD(guest, write_upper);
	else if (access == STORE)
		LOAD(guest, write_data);
	else if (upper)
		LOAD(guest, jump_upper);
	else
		LOAD(guest, jump_data);
	put32(guest, DATA, 0x0b0f0b0f); /* UD2 */
	if (error == NO_FAULT) {
		eip += access == READ ? 5 : access == STORE ? 10 : 0;
		expect32(guest, SOFT_UD, NO_ERROR, eip);
		return;
	}
	expect32(guest, SOFT_PAGE_FAULT, error, eip);
	assert_int_equal(guest->cpu->cr2, linear);
}

struct rights_case {
	bool user, no_wp;
	uint64_t table, page; /* the entry's flags */
	enum access access;
	uint32_t error;
};

/* The rights of both levels count; without NX a fetch is not told from a read. */
static const struct rights_case rights[] = {
	{ .table = P | W | U, .page = 0, .access = READ, .error = 0 },
	{ .table = P | W | U, .page = 0, .access = STORE, .error = WRITE },
	{ .user = true, .table = P | W | U, .page = 0, .access = STORE, .error = USER | WRITE },
	{ .user = true, .table = P | W | U, .page = W | U, .access = READ, .error = USER },
	{ .table = 0, .page = P | W | U, .access = READ, .error = 0 },
	{ .user = true, .table = 0, .page = P | W | U, .access = STORE, .error = USER | WRITE },
	{ .user = true, .table = P | W | U, .page = P | W | U, .access = READ, .error = NO_FAULT },
	{ .user = true, .table = P | W | U, .page = P | W | U, .access = JUMP, .error = NO_FAULT },
	{ .user = true, .table = P | W | U, .page = P | W, .access = READ, .error = PRESENT | USER },
	{ .user = true, .table = P | W, .page = P | W | U, .access = READ, .error = PRESENT | USER },
	{ .user = true,
		.table = P | W,
		.page = P | W | U,
		.access = STORE,
		.error = PRESENT | USER | WRITE },
	{ .user = true,
		.table = P | U,
		.page = P | W | U,
		.access = STORE,
		.error = PRESENT | USER | WRITE },
	{ .user = true,
		.table = P | W | U,
		.page = P | U,
		.access = STORE,
		.error = PRESENT | USER | WRITE },
	{ .user = true,
		.no_wp = true,
		.table = P | W | U,
		.page = P | U,
		.access = STORE,
		.error = PRESENT | USER | WRITE },
	{ .table = P | W, .page = P, .access = STORE, .error = PRESENT | WRITE },
	{ .table = P, .page = P | W, .access = STORE, .error = PRESENT | WRITE },
	{ .table = P, .page = P, .access = READ, .error = NO_FAULT },
	{ .no_wp = true, .table = P, .page = P, .access = STORE, .error = NO_FAULT },
};

static void test_two_levels(void **state)
{
	struct guest *guest = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(rights); i++) {
		const struct rights_case *one = &rights[i];

		start_two(guest, one->user, i & 1 ? SOFT_CR4_PSE : 0);
		put32(guest, TABLES + 4, PT1 | (uint32_t)one->table);
		put32(guest, PT1 + 0x20 * 4, DATA | (uint32_t)one->page);
		if (one->no_wp)
			guest->cpu->cr0 &= ~(uint64_t)SOFT_CR0_WP;
		expect_access(guest, true, one->access, one->error);
	}
	start_two(guest, true, 0);
	put32(guest, PT0 + DATA / 4096 * 4, DATA | P | W);
	expect_access(guest, false, JUMP, PRESENT | USER);
	start_two(guest, true, 0);
	put32(guest, PT0 + DATA / 4096 * 4, 0);
	expect_access(guest, false, JUMP, USER);
}

static void test_three_levels(void **state)
{
	struct guest *guest = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(rights); i++) {
		const struct rights_case *one = &rights[i];

		start_three(guest, one->user, i & 1);
		put(guest, PD + 2 * 8, PT1 | one->table);
		put(guest, PT1 + 0x20 * 8, DATA | one->page);
		if (one->no_wp)
			guest->cpu->cr0 &= ~(uint64_t)SOFT_CR0_WP;
		expect_access(guest, true, one->access, one->error);
	}
}

/* With CR4.PSE clear the bit means nothing in a directory's entry. */
static void test_4m_pages(void **state)
{
	struct guest *guest = *state;

	start_two(guest, true, SOFT_CR4_PSE);
	put32(guest, TABLES + 4, P | W | U | LARGE);
	expect_access(guest, true, READ, NO_FAULT);
	assert_int_equal(guest->cpu->regs[SOFT_RAX], 0x0b0f0b0f);
	assert_int_equal(get32(guest, TABLES + 4) & (A | D), A);
	start_two(guest, true, SOFT_CR4_PSE);
	put32(guest, TABLES + 4, P | W | U | LARGE);
	expect_access(guest, true, STORE, NO_FAULT);
	assert_int_equal(get32(guest, DATA), 5);
	assert_int_equal(get32(guest, TABLES + 4) & (A | D), A | D);
	start_two(guest, true, SOFT_CR4_PSE);
	put32(guest, TABLES + 4, P | U | LARGE);
	expect_access(guest, true, STORE, PRESENT | USER | WRITE);
	assert_int_equal(get32(guest, TABLES + 4) & D, 0);
	/* Bit 21 is reserved. */
	start_two(guest, true, SOFT_CR4_PSE);
	put32(guest, TABLES + 4, P | W | U | LARGE | 1u << 21);
	expect_access(guest, true, READ, PRESENT | USER | RESERVED);
	start_two(guest, false, 0);
	put32(guest, TABLES + 4, PT1 | P | W | LARGE);
	put32(guest, PT1 + 0x20 * 4, DATA | P | W);
	expect_access(guest, true, STORE, NO_FAULT);
	assert_int_equal(get32(guest, TABLES + 4) & (A | D), A);
	assert_int_equal(get32(guest, PT1 + 0x20 * 4) & (A | D), A | D);
}

static void test_2m_pages(void **state)
{
	struct guest *guest = *state;

	start_three(guest, true, true);
	put(guest, PD + 2 * 8, P | W | U | LARGE);
	expect_access(guest, true, STORE, NO_FAULT);
	assert_int_equal(get32(guest, DATA), 5);
	assert_int_equal(get(guest, PD + 2 * 8) & (A | D), A | D);
	/* A page directory pointer's entry has no marks. */
	assert_int_equal(get(guest, TABLES), PD | P);
	start_three(guest, true, true);
	put(guest, PD + 2 * 8, P | W | U | LARGE | NX);
	expect_access(guest, true, JUMP, PRESENT | USER | FETCH);
	start_three(guest, false, true);
	put(guest, PD + 2 * 8, P | W | LARGE | 0x2000);
	expect_access(guest, true, STORE, PRESENT | WRITE | RESERVED);
}

static void test_no_execute(void **state)
{
	struct guest *guest = *state;

	start_three(guest, false, true);
	put(guest, PT0 + DATA / 4096 * 8, DATA | P | W | NX);
	expect_access(guest, false, JUMP, PRESENT | FETCH);
	start_three(guest, false, true);
	put(guest, PT0 + DATA / 4096 * 8, DATA | P | W | NX);
	expect_access(guest, false, STORE, NO_FAULT);
	start_three(guest, true, true);
	put(guest, PD + 2 * 8, PT1 | P | W | U | NX);
	put(guest, PT1 + 0x20 * 8, DATA | P | W | U);
	expect_access(guest, true, JUMP, PRESENT | USER | FETCH);
	/* A fetch of what is not there is told as one, too. */
	start_three(guest, true, true);
	expect_access(guest, true, JUMP, USER | FETCH);
	start_three(guest, true, false);
	expect_access(guest, true, JUMP, USER);
	/* Reserved while EFER.NXE is clear. */
	start_three(guest, false, false);
	put(guest, PT0 + DATA / 4096 * 8, DATA | P | W | NX);
	expect_access(guest, false, READ, PRESENT | RESERVED);
	start_three(guest, true, true);
	put(guest, PT0 + DATA / 4096 * 8, DATA | P | W | U | UINT64_C(1) << 45);
	expect_access(guest, false, READ, PRESENT | USER | RESERVED);
}

GUEST(load_pdptes, ".code32",
	"movl $0, 0x10000; mov 0x20000, %eax; mov %cr3, %ecx; load_pdptes_at: mov %ecx, %cr3");
GUEST_AT(load_pdptes);
GUEST(bad_pdpte, ".code32", "movl $3, 0x10018; mov %cr3, %ecx; bad_pdpte_at: mov %ecx, %cr3");
GUEST_AT(bad_pdpte);

/* They are read when CR3 is loaded, all four, and not before. */
static void test_pdptes(void **state)
{
	struct guest *guest = *state;

	start_three(guest, false, true);
	LOAD(guest, bad_pdpte);
	expect32(guest, SOFT_GP, 0, (uint32_t)AT(bad_pdpte));
	start_three(guest, false, true);
	LOAD(guest, load_pdptes);
	put32(guest, DATA, 77);
	/* Nothing is mapped then, not even the handlers: a triple fault. */
	assert_int_not_equal(run(guest), ENGINE_EXIT_KICKED);
	assert_int_equal(guest->cpu->regs[SOFT_RAX], 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_levels),
		cmocka_unit_test(test_three_levels),
		cmocka_unit_test(test_4m_pages),
		cmocka_unit_test(test_2m_pages),
		cmocka_unit_test(test_no_execute),
		cmocka_unit_test(test_pdptes),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

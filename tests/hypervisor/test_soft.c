/* SPDX-License-Identifier: MIT */
/* Small guests on the software CPU: faults, gates, paging, code that changes itself. What is expected
 * is what the manuals say (Intel SDM vol. 3, chapters 4 to 6). */
#include "tests/hypervisor/soft_guest.h"

/* ---- faults ---- */

GUEST(divide, ".code64", "xor %ecx, %ecx; mov $7, %eax; divide_at: div %ecx; hlt");
GUEST_AT(divide);
GUEST(undefined, ".code64", "inc %eax; undefined_at: ud2; hlt");
GUEST_AT(undefined);
GUEST(canonical, ".code64", "mov $0x800000000000, %rax; canonical_at: mov (%rax), %eax; hlt");
GUEST_AT(canonical);
GUEST(canonical_stack, ".code64", "mov $0x800000000100, %rsp; canonical_stack_at: push %rax; hlt");
GUEST_AT(canonical_stack);
GUEST(selector, ".code64", "mov $0x1000, %eax; selector_at: mov %eax, %ds; hlt");
GUEST_AT(selector);
GUEST(not_present, ".code64", "mov $0x40, %eax; not_present_at: mov %eax, %es; hlt");
GUEST_AT(not_present);
GUEST(stack_not_present, ".code64", "mov $0x40, %eax; stack_not_present_at: mov %eax, %ss; hlt");
GUEST_AT(stack_not_present);
GUEST(unaligned16, ".code64", "mov $0x20008, %esi; unaligned16_at: cmpxchg16b (%rsi); hlt");
GUEST_AT(unaligned16);

static void test_faults(void **state)
{
	struct guest *guest = *state;

	start_long(guest);
	LOAD(guest, divide);
	expect(guest, SOFT_DE, NO_ERROR, AT(divide));
	start_long(guest);
	LOAD(guest, undefined);
	expect(guest, SOFT_UD, NO_ERROR, AT(undefined));
	assert_int_equal(guest->cpu->regs[SOFT_RAX], 1);
	start_long(guest);
	LOAD(guest, canonical);
	expect(guest, SOFT_GP, 0, AT(canonical));
	start_long(guest);
	guest->cpu->segs[SOFT_SS] = flat(DATA0, SOFT_ATTR_DB);
	put(guest, IDT + 16 * SOFT_SS_FAULT + 4, 0x00008e01); /* a stack that works */
	LOAD(guest, canonical_stack);
	expect(guest, SOFT_SS_FAULT, 0, AT(canonical_stack));
	start_long(guest);
	LOAD(guest, selector);
	expect(guest, SOFT_GP, 0x1000, AT(selector));
	start_long(guest);
	LOAD(guest, not_present);
	expect(guest, SOFT_NP, 0x40, AT(not_present));
	start_long(guest);
	LOAD(guest, stack_not_present);
	expect(guest, SOFT_SS_FAULT, 0x40, AT(stack_not_present));
	start_long(guest);
	LOAD(guest, unaligned16);
	expect(guest, SOFT_GP, 0, AT(unaligned16));
}

GUEST(nested, ".code64", "ud2");
GUEST(nothing_left, ".code64", "ud2");

/* A handler that is not present: #NP with the gate's number, and with none for #NP a double fault;
 * without one for that, the CPU shuts down. */
static void test_nested_faults(void **state)
{
	struct guest *guest = *state;

	start_long(guest);
	LOAD(guest, nested);
	put(guest, IDT + 16 * SOFT_UD, 0);
	expect(guest, SOFT_GP, SOFT_UD * 8 + 2 + 1, CODE);
	start_long(guest);
	LOAD(guest, nested);
	put(guest, IDT + 16 * SOFT_UD, 0);
	put(guest, IDT + 16 * SOFT_GP, 0);
	expect(guest, SOFT_DOUBLE, 0, CODE);
	start_long(guest);
	LOAD(guest, nothing_left);
	guest->cpu->idt.limit = 0;
	assert_int_equal(run(guest), ENGINE_EXIT_RESET);
}

/* ---- paging ---- */

GUEST(read20000, ".code64", "mov 0x20000, %eax; hlt");
GUEST(write20000, ".code64", "movl $5, 0x20000; hlt");
GUEST(jump20000, ".code64", "mov $0x20000, %eax; jmp *%rax");

static void expect_page(struct guest *guest, uint64_t entry, bool user, const uint8_t *code,
	size_t size, int64_t error, uint64_t rip)
{
	if (user)
		start_user(guest);
	else
		start_long(guest);
	map(guest, DATA, entry);
	load(guest, code, size);
	expect(guest, SOFT_PAGE_FAULT, error, rip);
	assert_int_equal(guest->cpu->cr2, DATA);
}
#define PAGE_FAULT(guest, entry, user, name, error, rip) \
	expect_page(                                     \
		guest, entry, user, name##_begin, (size_t)(name##_end - name##_begin), error, rip)

static void test_page_faults(void **state)
{
	struct guest *guest = *state;
	const uint64_t reserved = UINT64_C(1) << 45, nx = UINT64_C(1) << 63;

	PAGE_FAULT(guest, 0, false, read20000, 0, CODE);
	PAGE_FAULT(guest, 0, false, write20000, 2, CODE);
	PAGE_FAULT(guest, 0, true, read20000, 4, CODE);
	PAGE_FAULT(guest, DATA | P, false, write20000, 3, CODE);
	PAGE_FAULT(guest, DATA | P | W, true, read20000, 5, CODE);
	PAGE_FAULT(guest, DATA | P | U, true, write20000, 7, CODE);
	PAGE_FAULT(guest, DATA | P | W | reserved, false, read20000, 9, CODE);
	PAGE_FAULT(guest, DATA | P | W | nx, false, jump20000, 0x11, DATA);
	PAGE_FAULT(guest, DATA | P | W | U | nx, true, jump20000, 0x15, DATA);
}

static void test_accessed_and_dirty(void **state)
{
	struct guest *guest = *state;

	start_long(guest);
	map(guest, DATA, DATA | P | W);
	LOAD(guest, read20000);
	expect_halt(guest);
	assert_int_equal(get(guest, PT + DATA / 4096 * 8), DATA | P | W | A);
	assert_true(get(guest, TABLES) & A);
	/* The translation is cached as clean: the first store still finds the entry. */
	LOAD(guest, write20000);
	soft_code_flush(guest->cpu);
	guest->cpu->halted = false;
	guest->cpu->regs[SOFT_RIP] = CODE;
	expect_halt(guest);
	assert_int_equal(get(guest, PT + DATA / 4096 * 8), DATA | P | W | A | D);
	/* Without WP the supervisor writes to what is read-only. */
	start_long(guest);
	guest->cpu->cr0 &= ~(uint64_t)SOFT_CR0_WP;
	map(guest, DATA, DATA | P);
	LOAD(guest, write20000);
	expect_halt(guest);
	assert_int_equal(get(guest, DATA), 5);
}

/* Page 0x20000 becomes 0x21000, and the old one is seen until INVLPG; the page 0x22000 is global and
 * outlives a load of CR3. */
GUEST(translation, ".code64",
	"mov 0x20000, %eax; mov 0x22000, %r8d\n"
	"movq $0x21003, 0x13100; movq $0x21103, 0x13110\n"
	"mov 0x20000, %ebx; invlpg 0x20000; mov 0x20000, %ecx\n"
	"mov %cr3, %rdx; mov %rdx, %cr3; mov 0x22000, %r9d\n"
	"invlpg 0x22000; mov 0x22000, %r10d; hlt");

static void test_translations_are_cached(void **state)
{
	struct guest *guest = *state;
	const struct soft_cpu *cpu = guest->cpu;

	start_long(guest);
	put(guest, 0x20000, 111);
	put(guest, 0x21000, 222);
	put(guest, 0x22000, 333);
	map(guest, 0x22000, 0x22000 | P | W | G);
	LOAD(guest, translation);
	expect_halt(guest);
	assert_int_equal(cpu->regs[SOFT_RAX], 111);
	assert_int_equal(cpu->regs[SOFT_RBX], 111);
	assert_int_equal(cpu->regs[SOFT_RCX], 222);
	assert_int_equal(cpu->regs[8], 333);
	assert_int_equal(cpu->regs[9], 333);
	assert_int_equal(cpu->regs[10], 222);
}

GUEST(crossing_store, ".code64", "mov $0x20ffc, %edi; movq $-1, (%rdi); hlt");
GUEST(repeated, ".code64",
	"mov $0x20f00, %edi; mov $0x200, %ecx; mov $7, %al; repeated_at: rep stosb; hlt");
GUEST_AT(repeated);

static void test_page_crossing(void **state)
{
	struct guest *guest = *state;

	start_long(guest);
	map(guest, 0x21000, 0);
	LOAD(guest, crossing_store);
	expect(guest, SOFT_PAGE_FAULT, 2, CODE + 5);
	assert_int_equal(guest->cpu->cr2, 0x21000);
	assert_int_equal(get(guest, 0x20ff8), 0); /* nothing was stored */
	/* A repeated instruction stops where it is, and can go on. */
	start_long(guest);
	map(guest, 0x21000, 0);
	LOAD(guest, repeated);
	expect(guest, SOFT_PAGE_FAULT, 2, AT(repeated));
	assert_int_equal(guest->cpu->regs[SOFT_RCX], 0x100);
	assert_int_equal(guest->cpu->regs[SOFT_RDI], 0x21000);
	assert_int_equal(get(guest, 0x20ff8), UINT64_C(0x0707070707070707));
}

/* ---- levels ---- */

GUEST(user_hlt, ".code64", "hlt");
GUEST(user_int, ".code64", "int $0x30");
GUEST(user_syscall, ".code64", "syscall");
GUEST(to_user, ".code64",
	"pushq $0x23; pushq $0x50000; pushq $0x202; pushq $0x1b; pushq $0xa000; iretq");

static void test_levels(void **state)
{
	struct guest *guest = *state;
	uint64_t frame;

	start_user(guest);
	LOAD(guest, user_hlt);
	expect(guest, SOFT_GP, 0, CODE);
	frame = get(guest, LOG);
	assert_int_equal(frame, STACK - 48); /* the stack of level 0 */
	assert_int_equal(get(guest, frame + 16), CODE64_USER);
	assert_int_equal(get(guest, frame + 32), USER_STACK);
	assert_int_equal(get(guest, frame + 40), DATA_USER);
	/* A gate of level 0 is not for INT; one of level 3 is. */
	start_user(guest);
	LOAD(guest, user_int);
	expect(guest, SOFT_GP, 0x30 * 8 + 2, CODE);
	start_user(guest);
	LOAD(guest, user_int);
	guest->ram.host[IDT + 16 * 0x30 + 5] |= 0x60;
	guest->ram.host[IDT + 16 * 0x30 + 4] = 1; /* the TSS's first IST */
	expect(guest, 0x30, NO_ERROR, CODE + 2);
	assert_int_equal(get(guest, LOG), IST - 40);
}

static void test_system_calls(void **state)
{
	struct guest *guest = *state;

	start_user(guest);
	LOAD(guest, user_syscall);
	guest->cpu->star = UINT64_C(0x0013000800000000);
	guest->cpu->lstar = STUBS + 0x21 * STUB_BYTES;
	guest->cpu->fmask = SOFT_IF;
	guest->cpu->eflags |= SOFT_IF;
	assert_int_equal(run(guest), ENGINE_EXIT_KICKED);
	assert_int_equal((uint32_t)get(guest, LOG + 8), 0x21);
	assert_int_equal(guest->cpu->regs[SOFT_RCX], CODE + 2);
	assert_true(guest->cpu->regs[11] & SOFT_IF);
	assert_false(guest->cpu->eflags & SOFT_IF);
	assert_int_equal(guest->cpu->cpl, 0);
	assert_int_equal(guest->cpu->segs[SOFT_CS].selector, 8);
	/* IRETQ to level 3, where HLT is not allowed. */
	start_long(guest);
	LOAD(guest, to_user);
	guest->ram.host[0xa000] = 0xf4;
	expect(guest, SOFT_GP, 0, 0xa000);
	assert_int_equal(get(guest, get(guest, LOG) + 16), CODE64_USER);
}

/* ---- code that changes ---- */

/* The next instruction's immediate, in the same block; then that of a loop that ran before. */
GUEST(self_modifying, ".code64",
	"movb $42, 1f+1(%rip)\n1: mov $1, %eax\n"
	"xor %ecx, %ecx\n2: mov $1, %ebx; inc %ecx; cmp $2, %ecx; je 3f\n"
	"movb $77, 2b+1(%rip); jmp 2b\n3: hlt");

static void test_self_modifying(void **state)
{
	struct guest *guest = *state;

	start_long(guest);
	LOAD(guest, self_modifying);
	expect_halt(guest);
	assert_int_equal(guest->cpu->regs[SOFT_RAX], 42);
	assert_int_equal(guest->cpu->regs[SOFT_RBX], 77);
}

/* An instruction that lies in two pages: its second page is another one after INVLPG, and is missing
 * in the end. */
GUEST(crossing_code, ".code64",
	"mov $0x20ffe, %esi; call *%rsi; mov %eax, %ebx\n"
	"movq $0x22003, 0x13108; invlpg 0x21000; call *%rsi; mov %eax, %ecx\n"
	"movq $0, 0x13108; invlpg 0x21000; call *%rsi; hlt");

static void test_crossing_code(void **state)
{
	struct guest *guest = *state;
	const uint8_t first[] = { 0xb8, 1 }, second[] = { 0, 0, 0, 0xc3 },
		      other[] = { 9, 0, 0, 0xc3 };

	start_long(guest);
	memcpy(guest->ram.host + 0x20ffe, first, sizeof(first));
	memcpy(guest->ram.host + 0x21000, second, sizeof(second));
	memcpy(guest->ram.host + 0x22000, other, sizeof(other));
	LOAD(guest, crossing_code);
	expect(guest, SOFT_PAGE_FAULT, 0x10, 0x20ffe);
	assert_int_equal(guest->cpu->cr2, 0x21000);
	assert_int_equal(guest->cpu->regs[SOFT_RBX], 1);
	assert_int_equal(guest->cpu->regs[SOFT_RCX], 0x901);
}

/* A device writes over code that ran. */
static void test_device_writes_code(void **state)
{
	struct guest *guest = *state;
	const uint8_t before[] = { 0xb8, 1, 0, 0, 0, 0xf4 }, after[] = { 0xb8, 2, 0, 0, 0, 0xf4 };

	start_long(guest);
	load(guest, before, sizeof(before));
	expect_halt(guest);
	assert_int_equal(guest->cpu->regs[SOFT_RAX], 1);
	assert_int_equal(guest_write(guest->memory, CODE, after, sizeof(after)), 0);
	guest->cpu->halted = false;
	guest->cpu->regs[SOFT_RIP] = CODE;
	expect_halt(guest);
	assert_int_equal(guest->cpu->regs[SOFT_RAX], 2);
}

/* ---- flags that nobody sees ---- */

static uint64_t next_random(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return *seed >> 33;
}

/* Arithmetic on registers, some of which reads flags. */
static size_t random_code(uint8_t *code, uint64_t *seed)
{
	size_t n = 0;

	for (unsigned i = 0; i < 30; i++) {
		uint8_t modrm = 0xc0 | (next_random(seed) & 0x3f);
		bool wide = next_random(seed) & 1;

		if ((modrm & 7) == SOFT_RSP)
			modrm ^= 1;
		if (wide)
			code[n++] = 0x48;
		switch (next_random(seed) % 8) {
		case 0:
		case 1: code[n++] = (uint8_t)((next_random(seed) % 8) << 3 | 1); break;
		case 2: code[n++] = 0x85; break; /* TEST */
		case 3:
			code[n++] = 0x83;
			code[n++] = modrm;
			modrm = (uint8_t)next_random(seed);
			break;
		case 4:
			code[n++] = 0xc1;
			code[n++] = modrm;
			modrm = (uint8_t)next_random(seed);
			break;
		case 5: code[n++] = 0x89; break; /* MOV */
		case 6: /* CMOVcc */
			code[n++] = 0x0f;
			code[n++] = 0x40 | (next_random(seed) & 15);
			if (((modrm >> 3) & 7) == SOFT_RSP)
				modrm ^= 8;
			break;
		default: code[n++] = 0xd1; break; /* shifts by one */
		}
		code[n++] = modrm;
	}
	code[n++] = 0xf4;
	return n;
}

/* A block leaves the same registers and flags as its instructions one by one. */
static void test_blocks_are_their_instructions(void **state)
{
	struct guest *guest = *state;
	struct soft_cpu *cpu = guest->cpu;
	uint8_t code[256];
	uint64_t seed = 1;

	start_long(guest);
	for (unsigned round = 0; round < 3000; round++) {
		uint64_t regs[16], after[16];
		size_t size = random_code(code, &seed);
		uint16_t cc;

		load(guest, code, size);
		soft_code_flush(cpu);
		for (unsigned i = 0; i < 16; i++)
			regs[i] = i == SOFT_RSP ? STACK : next_random(&seed) << (i * 2);
		memcpy(cpu->regs, regs, sizeof(regs));
		cpu->regs[SOFT_RIP] = CODE;
		cpu->halted = false;
		cpu->cc = 0;
		expect_halt(guest);
		memcpy(after, cpu->regs, sizeof(after));
		cc = cpu->cc;
		memcpy(cpu->regs, regs, sizeof(regs));
		cpu->regs[SOFT_RIP] = CODE;
		cpu->halted = false;
		cpu->cc = 0;
		cpu->limit = 0;
		while (!cpu->halted) {
			cpu->shadow = true; /* one instruction at a time */
			cpu->limit = 3;
			assert_int_equal(soft_cpu_run(cpu, NULL, 0), ENGINE_EXIT_KICKED);
		}
		assert_memory_equal(after, cpu->regs, sizeof(after));
		assert_int_equal(cc, cpu->cc);
	}
}

/* ---- debug, real mode ---- */

GUEST(single_step, ".code64", "pushq $0x102; popfq; single_step_at: nop; nop; hlt");
GUEST_AT(single_step);

static void test_single_step(void **state)
{
	struct guest *guest = *state;

	start_long(guest);
	LOAD(guest, single_step);
	expect(guest, SOFT_DB, NO_ERROR, AT(single_step) + 1);
	assert_true(guest->cpu->dr[6] & 1 << 14);
}

GUEST(real, ".code16",
	"mov $0x1234, %bx; push %bx; pop %cx; int $0x40\n"
	"mov $0xffff, %si; mov (%si), %ax; hlt");

/* INT through the vector table and back; a word at 0xffff is beyond the limit. */
static void test_real_mode(void **state)
{
	struct guest *guest = *state;
	const struct engine_start start = { .flat32 = false };
	struct soft_cpu *cpu = guest->cpu;
	const uint8_t handler[] = { 0xba, 0x55, 0x00, 0xcf }; /* mov $0x55, %dx; iret */

	memset(guest->ram.host, 0, RAM_BYTES);
	assert_int_equal(engine_reset(guest->engine, &start), 0);
	memcpy(guest->ram.host + 0xb000, handler, sizeof(handler));
	put(guest, 0x40 * 4, 0x0b000000);
	put(guest, 13 * 4, 0x0c000000); /* #GP */
	guest->ram.host[0xc000] = 0xf4;
	LOAD(guest, real);
	soft_set_real_segment(cpu, SOFT_CS, CODE >> 4);
	cpu->regs[SOFT_RIP] = 0;
	cpu->regs[SOFT_RSP] = 0x8000;
	cpu->limit = LIMIT;
	assert_int_equal(soft_cpu_run(cpu, NULL, 0), ENGINE_EXIT_KICKED);
	assert_true(cpu->halted);
	assert_int_equal(cpu->regs[SOFT_RCX], 0x1234);
	assert_int_equal(cpu->regs[SOFT_RDX] & 0xffff, 0x55);
	assert_int_equal(cpu->segs[SOFT_CS].selector, 0xc00);
	assert_int_equal(cpu->regs[SOFT_RSP] & 0xffff, 0x8000 - 6);
}

/* ---- */

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_nested_faults),
		cmocka_unit_test(test_page_faults),
		cmocka_unit_test(test_accessed_and_dirty),
		cmocka_unit_test(test_translations_are_cached),
		cmocka_unit_test(test_page_crossing),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_system_calls),
		cmocka_unit_test(test_self_modifying),
		cmocka_unit_test(test_crossing_code),
		cmocka_unit_test(test_device_writes_code),
		cmocka_unit_test(test_blocks_are_their_instructions),
		cmocka_unit_test(test_single_step),
		cmocka_unit_test(test_real_mode),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

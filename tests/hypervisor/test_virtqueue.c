/* SPDX-License-Identifier: MIT */
/* Split rings: what is taken as it is, and every way in which a driver may get them wrong. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <linux/virtio_ring.h>

#include "hypervisor/virtqueue.h"

enum { RAM = 256 * 1024, SIZE = 8, DESC = 0x1000, AVAIL = 0x2000, USED = 0x3000, TABLE = 0x4000 };

struct fixture {
	struct guest_memory *memory;
	struct memory_region ram;
	struct memory_region rom;
	struct virtqueue queue;
	struct vring_desc *desc;
	struct vring_desc *table;
	uint16_t *avail; /* flags, idx, ring, used_event */
	uint16_t *used; /* flags, idx, ring of 4 words each, avail_event */
	struct virtqueue_chain chain;
};

static void start_queue(struct fixture *f, bool indirect, bool event_idx)
{
	virtqueue_reset(&f->queue);
	f->queue.size = SIZE;
	f->queue.desc_gpa = DESC;
	f->queue.avail_gpa = AVAIL;
	f->queue.used_gpa = USED;
	f->queue.indirect = indirect;
	f->queue.event_idx = event_idx;
	memset(f->ram.host, 0, 0x10000);
	assert_int_equal(virtqueue_enable(&f->queue), 0);
}

static int setup(void **state)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;

	memset(f, 0, sizeof(*f));
	assert_int_equal(guest_memory_create(&f->memory, NULL, NULL), 0);
	f->ram = (struct memory_region){
		.name = "ram", .host = memory_region_alloc_host(RAM), .size = RAM
	};
	f->rom = (struct memory_region){ .name = "rom",
		.host = memory_region_alloc_host(4096),
		.size = 4096,
		.read_only = true };
	assert_int_equal(guest_memory_map(f->memory, &f->ram, 0), 0);
	assert_int_equal(guest_memory_map(f->memory, &f->rom, 0x100000), 0);
	f->desc = (struct vring_desc *)(f->ram.host + DESC);
	f->table = (struct vring_desc *)(f->ram.host + TABLE);
	f->avail = (uint16_t *)(f->ram.host + AVAIL);
	f->used = (uint16_t *)(f->ram.host + USED);
	f->queue.memory = f->memory;
	f->queue.size_max = 16;
	start_queue(f, true, false);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	guest_memory_destroy(f->memory);
	memory_region_free_host(f->ram.host, RAM);
	memory_region_free_host(f->rom.host, 4096);
	return 0;
}

static void set_desc(
	struct vring_desc *desc, uint64_t gpa, uint32_t size, uint16_t flags, uint16_t next)
{
	*desc = (struct vring_desc){ gpa, size, flags, next };
}

static void make_available(struct fixture *f, uint16_t head)
{
	f->avail[2 + f->avail[1] % SIZE] = head;
	f->avail[1]++;
}

/* The next pop finds the ring bad, says why, and it stays so until a reset. */
static void pop_breaks(struct fixture *f, const char *words)
{
	assert_int_equal(virtqueue_pop(&f->queue, &f->chain), -EPROTO);
	assert_non_null(f->queue.broken);
	if (!strstr(f->queue.broken, words))
		fail_msg("\"%s\" does not say \"%s\"", f->queue.broken, words);
	assert_int_equal(virtqueue_pop(&f->queue, &f->chain), -EPROTO);
	assert_int_equal(virtqueue_push(&f->queue, 0, 0), -EPROTO);
	assert_int_equal(virtqueue_pending(&f->queue), -EPROTO);
	assert_false(virtqueue_wants_interrupt(&f->queue));
	assert_int_equal(f->used[1], 0);
}

/* ---- what is right ---- */

static void test_pop_and_push(void **state)
{
	struct fixture *f = *state;
	char text[16] = "";

	assert_int_equal(virtqueue_pop(&f->queue, &f->chain), 0);
	set_desc(&f->desc[5], 0x8000, 3, VRING_DESC_F_NEXT, 2);
	set_desc(&f->desc[2], 0x9000, 5, VRING_DESC_F_NEXT, 7);
	set_desc(&f->desc[7], 0xa000, 100, VRING_DESC_F_WRITE, 0);
	make_available(f, 5);
	assert_int_equal(virtqueue_pending(&f->queue), 1);
	assert_int_equal(virtqueue_pop(&f->queue, &f->chain), 1);
	assert_int_equal(f->chain.head, 5);
	assert_int_equal(f->chain.out_count, 2);
	assert_int_equal(f->chain.in_count, 1);
	assert_int_equal(f->chain.out_bytes, 8);
	assert_int_equal(f->chain.in_bytes, 100);
	memcpy(f->ram.host + 0x8000, "abc", 3);
	memcpy(f->ram.host + 0x9000, "defgh", 5);
	assert_int_equal(virtqueue_chain_read(f->memory, &f->chain, 1, text, 5), 0);
	assert_string_equal(text, "bcdef");
	assert_int_equal(virtqueue_chain_read(f->memory, &f->chain, 1, text, 8), -EFAULT);
	assert_int_equal(virtqueue_chain_write(f->memory, &f->chain, 99, "x", 1), 0);
	assert_int_equal(f->ram.host[0xa063], 'x');
	assert_int_equal(virtqueue_chain_write(f->memory, &f->chain, 99, "xy", 2), -EFAULT);
	assert_int_equal(virtqueue_push(&f->queue, 5, 42), 0);
	assert_int_equal(f->used[1], 1);
	assert_int_equal(f->used[2], 5);
	assert_int_equal(f->used[4], 42);
	assert_int_equal(virtqueue_pop(&f->queue, &f->chain), 0);
}

/* The indices are free-running 16 bit numbers. */
static void test_many_rounds(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 70000; i++) {
		uint16_t head = (uint16_t)(i * 3 % SIZE);

		set_desc(&f->desc[head], 0x8000, i % 50 + 1, 0, 0);
		make_available(f, head);
		assert_int_equal(virtqueue_pop(&f->queue, &f->chain), 1);
		assert_int_equal(f->chain.head, head);
		assert_int_equal(f->chain.out_bytes, i % 50 + 1);
		assert_int_equal(virtqueue_push(&f->queue, head, 0), 0);
		assert_int_equal(f->used[1], (uint16_t)(i + 1));
		assert_int_equal(f->used[2 + i % SIZE * 4], head);
	}
}

static void test_indirect(void **state)
{
	struct fixture *f = *state;

	set_desc(&f->table[0], 0x8000, 1, VRING_DESC_F_NEXT, 3);
	set_desc(&f->table[3], 0x9000, 2, VRING_DESC_F_WRITE, 0);
	set_desc(&f->desc[1], TABLE, 4 * 16, VRING_DESC_F_INDIRECT, 0);
	make_available(f, 1);
	assert_int_equal(virtqueue_pop(&f->queue, &f->chain), 1);
	assert_int_equal(f->chain.head, 1);
	assert_int_equal(f->chain.out_count, 1);
	assert_int_equal(f->chain.segments[1].gpa, 0x9000);
	/* 2.7.5.3.2: ordinary descriptors may come before an indirect one. */
	set_desc(&f->desc[4], 0x7000, 9, VRING_DESC_F_NEXT, 1);
	make_available(f, 4);
	assert_int_equal(virtqueue_pop(&f->queue, &f->chain), 1);
	assert_int_equal(f->chain.out_count, 2);
	assert_int_equal(f->chain.out_bytes, 10);
}

/* A chain may be as long as the queue, no longer. */
static void test_longest_chain(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < SIZE; i++)
		set_desc(&f->desc[i], 0x8000, 1, i + 1 < SIZE ? VRING_DESC_F_NEXT : 0,
			(uint16_t)(i + 1));
	make_available(f, 0);
	assert_int_equal(virtqueue_pop(&f->queue, &f->chain), 1);
	assert_int_equal(f->chain.out_count, SIZE);
	for (unsigned i = 0; i < SIZE + 1; i++)
		set_desc(&f->table[i], 0x8000, 1, i < SIZE ? VRING_DESC_F_NEXT : 0,
			(uint16_t)(i + 1));
	set_desc(&f->desc[0], TABLE, (SIZE + 1) * 16, VRING_DESC_F_INDIRECT, 0);
	make_available(f, 0);
	assert_int_equal(virtqueue_pop(&f->queue, &f->chain), -EPROTO);
}

static void test_interrupts(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(virtqueue_push(&f->queue, 0, 0), 0);
	assert_true(virtqueue_wants_interrupt(&f->queue));
	f->avail[0] = VRING_AVAIL_F_NO_INTERRUPT;
	assert_int_equal(virtqueue_push(&f->queue, 0, 0), 0);
	assert_false(virtqueue_wants_interrupt(&f->queue));
}

static void test_event_index(void **state)
{
	struct fixture *f = *state;
	uint16_t *used_event, *avail_event;

	start_queue(f, true, true);
	used_event = &f->avail[2 + SIZE];
	avail_event = &f->used[2 + 4 * SIZE];
	f->avail[0] = VRING_AVAIL_F_NO_INTERRUPT; /* of no meaning here */
	virtqueue_push(&f->queue, 0, 0);
	assert_true(virtqueue_wants_interrupt(&f->queue));
	*used_event = 3; /* when the fourth is given back */
	virtqueue_push(&f->queue, 0, 0);
	assert_false(virtqueue_wants_interrupt(&f->queue));
	virtqueue_push(&f->queue, 0, 0);
	virtqueue_push(&f->queue, 0, 0);
	assert_true(virtqueue_wants_interrupt(&f->queue));
	virtqueue_push(&f->queue, 0, 0);
	assert_false(virtqueue_wants_interrupt(&f->queue));

	set_desc(&f->desc[0], 0x8000, 1, 0, 0);
	make_available(f, 0);
	make_available(f, 0);
	assert_int_equal(virtqueue_pop(&f->queue, &f->chain), 1);
	assert_int_equal(*avail_event, 0); /* more is there: no notification needed */
	assert_int_equal(virtqueue_pop(&f->queue, &f->chain), 1);
	assert_int_equal(virtqueue_pop(&f->queue, &f->chain), 0);
	assert_int_equal(*avail_event, 2);
	make_available(f, 0);
	assert_int_equal(virtqueue_pending(&f->queue), 1);
	assert_int_equal(*avail_event, 3);
}

/* ---- what is wrong ---- */

static void enable_fails(struct fixture *f, const char *words)
{
	assert_int_equal(virtqueue_enable(&f->queue), -EPROTO);
	if (!strstr(f->queue.broken, words))
		fail_msg("\"%s\" does not say \"%s\"", f->queue.broken, words);
	assert_false(f->queue.enabled);
	start_queue(f, true, false);
	f->queue.enabled = false;
}

static void test_bad_places(void **state)
{
	struct fixture *f = *state;
	static const uint16_t sizes[] = { 0, 3, 32, 0x8000, 0xffff };

	f->queue.enabled = false;
	for (unsigned i = 0; i < 5; i++) {
		f->queue.size = sizes[i];
		enable_fails(f, "power of two");
	}
	f->queue.desc_gpa = DESC + 8;
	enable_fails(f, "aligned");
	f->queue.avail_gpa = AVAIL + 1;
	enable_fails(f, "aligned");
	f->queue.used_gpa = USED + 2;
	enable_fails(f, "aligned");
	f->queue.desc_gpa = RAM - 16;
	enable_fails(f, "outside");
	f->queue.avail_gpa = UINT64_MAX - 1;
	enable_fails(f, "outside");
	f->queue.used_gpa = 0x100000; /* read-only */
	enable_fails(f, "outside");
	f->queue.used_gpa = RAM - 16;
	enable_fails(f, "outside");
}

static void test_index_too_far(void **state)
{
	struct fixture *f = *state;

	f->avail[1] = SIZE + 1;
	pop_breaks(f, "ahead of the ring");
}

static void test_bad_head(void **state)
{
	struct fixture *f = *state;

	make_available(f, SIZE);
	pop_breaks(f, "names no descriptor");
}

static void test_bad_next(void **state)
{
	struct fixture *f = *state;

	set_desc(&f->desc[0], 0x8000, 1, VRING_DESC_F_NEXT, SIZE);
	make_available(f, 0);
	pop_breaks(f, "outside of its table");
}

static void test_loop_of_descriptors(void **state)
{
	struct fixture *f = *state;

	set_desc(&f->desc[0], 0x8000, 1, VRING_DESC_F_NEXT, 1);
	set_desc(&f->desc[1], 0x8000, 1, VRING_DESC_F_NEXT, 0);
	make_available(f, 0);
	pop_breaks(f, "loop");
}

static void test_loop_in_indirect(void **state)
{
	struct fixture *f = *state;

	set_desc(&f->table[0], 0x8000, 1, VRING_DESC_F_NEXT, 0);
	set_desc(&f->desc[0], TABLE, 16, VRING_DESC_F_INDIRECT, 0);
	make_available(f, 0);
	pop_breaks(f, "loop");
}

static void test_readable_after_writable(void **state)
{
	struct fixture *f = *state;

	set_desc(&f->desc[0], 0x8000, 1, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
	set_desc(&f->desc[1], 0x8000, 1, 0, 0);
	make_available(f, 0);
	pop_breaks(f, "readable descriptor follows");
}

static void test_wrapping_range(void **state)
{
	struct fixture *f = *state;

	set_desc(&f->desc[0], UINT64_MAX - 10, 100, 0, 0);
	make_available(f, 0);
	pop_breaks(f, "wraps");
}

static void test_bad_indirect(void **state)
{
	static const struct {
		struct vring_desc desc;
		bool negotiated;
		const char *words;
	} cases[] = {
		{ { TABLE, 16, VRING_DESC_F_INDIRECT, 0 }, false, "not negotiated" },
		{ { TABLE, 16, VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT, 1 }, true, "has a next" },
		{ { TABLE, 17, VRING_DESC_F_INDIRECT, 0 }, true, "multiple of 16" },
		{ { TABLE, 0, VRING_DESC_F_INDIRECT, 0 }, true, "multiple of 16" },
		{ { RAM, 16, VRING_DESC_F_INDIRECT, 0 }, true, "outside of memory" },
		{ { UINT64_MAX - 7, 16, VRING_DESC_F_INDIRECT, 0 }, true, "outside of memory" },
		{ { TABLE + 16, 16, VRING_DESC_F_INDIRECT, 0 }, true, "inside an indirect" },
		{ { TABLE + 32, 16, VRING_DESC_F_INDIRECT, 0 }, true, "outside of its table" },
	};
	struct fixture *f = *state;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		start_queue(f, cases[i].negotiated, false);
		set_desc(&f->table[0], 0x8000, 1, 0, 0);
		set_desc(&f->table[1], TABLE, 16, VRING_DESC_F_INDIRECT, 0);
		set_desc(&f->table[2], 0x8000, 1, VRING_DESC_F_NEXT, 1);
		f->desc[0] = cases[i].desc;
		make_available(f, 0);
		pop_breaks(f, cases[i].words);
	}
}

/* The memory below the rings goes away while they are in use (a BAR is moved). */
static void test_memory_goes(void **state)
{
	struct fixture *f = *state;

	set_desc(&f->desc[0], 0x8000, 1, 0, 0);
	make_available(f, 0);
	assert_int_equal(virtqueue_pop(&f->queue, &f->chain), 1);
	guest_memory_unmap(f->memory, &f->ram);
	assert_int_equal(virtqueue_push(&f->queue, 0, 0), -EPROTO);
	assert_int_equal(virtqueue_pop(&f->queue, &f->chain), -EPROTO);
	virtqueue_reset(&f->queue);
	assert_null(f->queue.broken);
	assert_int_equal(f->queue.size, f->queue.size_max);
}

#define QUEUE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		QUEUE_TEST(test_pop_and_push),
		QUEUE_TEST(test_many_rounds),
		QUEUE_TEST(test_indirect),
		QUEUE_TEST(test_longest_chain),
		QUEUE_TEST(test_interrupts),
		QUEUE_TEST(test_event_index),
		QUEUE_TEST(test_bad_places),
		QUEUE_TEST(test_index_too_far),
		QUEUE_TEST(test_bad_head),
		QUEUE_TEST(test_bad_next),
		QUEUE_TEST(test_loop_of_descriptors),
		QUEUE_TEST(test_loop_in_indirect),
		QUEUE_TEST(test_readable_after_writable),
		QUEUE_TEST(test_wrapping_range),
		QUEUE_TEST(test_bad_indirect),
		QUEUE_TEST(test_memory_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

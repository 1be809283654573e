/* SPDX-License-Identifier: MIT */
/* Guest memory: placing, copying, flags and dirty bits. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "core/util.h"
#include "hypervisor/memory.h"

struct fake_backend {
	int maps, unmaps;
	int fail; /* errno of the next map */
	struct memory_region *last;
	uint64_t dirty;
	uint64_t live; /* slots */
};

static int fake_map(void *opaque, struct memory_region *region)
{
	struct fake_backend *fake = opaque;

	fake->maps++;
	fake->last = region;
	if (!fake->fail)
		fake->live |= UINT64_C(1) << region->slot;
	return -fake->fail;
}

static void fake_unmap(void *opaque, struct memory_region *region)
{
	struct fake_backend *fake = opaque;

	fake->unmaps++;
	fake->last = region;
	fake->live &= ~(UINT64_C(1) << region->slot);
}

static int fake_dirty(void *opaque, struct memory_region *region, uint64_t *bitmap)
{
	struct fake_backend *fake = opaque;

	bitmap[0] = fake->dirty;
	fake->dirty = 0;
	return 0;
}

static const struct memory_backend_ops fake_ops = {
	.map = fake_map, .unmap = fake_unmap, .dirty_log = fake_dirty
};

struct fixture {
	struct fake_backend fake;
	struct guest_memory *memory;
	struct memory_region low, high;
};

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	assert_int_equal(guest_memory_create(&f.memory, &fake_ops, &f.fake), 0);
	f.low = (struct memory_region){ .name = "low", .size = 0x10000 };
	f.high = (struct memory_region){ .name = "high", .size = 0x4000 };
	f.low.host = memory_region_alloc_host(f.low.size);
	f.high.host = memory_region_alloc_host(f.high.size);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	guest_memory_destroy(f->memory);
	assert_int_equal(f->fake.live, 0);
	memory_region_free_host(f->low.host, f->low.size);
	memory_region_free_host(f->high.host, f->high.size);
	return 0;
}

static void test_copy_crosses_regions(void **state)
{
	struct fixture *f = *state;
	uint8_t out[8];

	assert_int_equal(guest_memory_map(f->memory, &f->high, 0x10000), 0);
	assert_int_equal(guest_memory_map(f->memory, &f->low, 0), 0);
	assert_int_equal(guest_write(f->memory, 0xfffc, "abcdefgh", 8), 0);
	assert_memory_equal(f->low.host + 0xfffc, "abcd", 4);
	assert_memory_equal(f->high.host, "efgh", 4);
	assert_int_equal(guest_read(f->memory, 0xfffc, out, 8), 0);
	assert_memory_equal(out, "abcdefgh", 8);
	assert_int_equal(guest_read(f->memory, 0x13ffd, out, 4), -EFAULT);
	assert_int_equal(guest_read(f->memory, 0x13ffc, out, 4), 0);
	assert_int_equal(guest_read(f->memory, UINT64_MAX, out, 4), -EFAULT);
	guest_memory_unmap(f->memory, &f->low);
	assert_int_equal(guest_read(f->memory, 0xfffc, out, 8), -EFAULT);
}

static void test_overlaps_are_refused(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(guest_memory_map(f->memory, &f->low, 0x100000), 0);
	assert_int_equal(guest_memory_map(f->memory, &f->low, 0x200000), -EBUSY);
	assert_int_equal(guest_memory_map(f->memory, &f->high, 0x10f000), -EEXIST);
	assert_int_equal(guest_memory_map(f->memory, &f->high, 0xfd000), -EEXIST);
	assert_int_equal(guest_memory_map(f->memory, &f->high, 0x110800), -EINVAL);
	assert_int_equal(guest_memory_map(f->memory, &f->high, UINT64_MAX - 0xfff), -EINVAL);
	assert_int_equal(guest_memory_map(f->memory, &f->high, 0xfc000), 0);
	assert_int_not_equal(f->low.slot, f->high.slot);
}

static void test_backend_failure_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	uint8_t byte;

	f->fake.fail = EIO;
	assert_int_equal(guest_memory_map(f->memory, &f->low, 0), -EIO);
	assert_false(f->low.mapped);
	assert_int_equal(guest_read(f->memory, 0, &byte, 1), -EFAULT);
}

static void test_read_only(void **state)
{
	struct fixture *f = *state;

	f->low.read_only = true;
	assert_int_equal(guest_memory_map(f->memory, &f->low, 0), 0);
	assert_int_equal(guest_write(f->memory, 0, "x", 1), -EFAULT);
	assert_null(guest_pointer(f->memory, 0, 1, true));
	assert_ptr_equal(guest_pointer(f->memory, 0x10, 1, false), f->low.host + 0x10);
	assert_int_equal(guest_memory_set_flags(f->memory, &f->low, false, false), 0);
	/* KVM takes no change of this flag in place. */
	assert_int_equal(f->fake.unmaps, 1);
	assert_int_equal(f->fake.maps, 2);
	assert_int_equal(guest_write(f->memory, 0, "x", 1), 0);
}

static void test_pointer_stays_inside(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(guest_memory_map(f->memory, &f->low, 0x1000), 0);
	assert_int_equal(guest_memory_map(f->memory, &f->high, 0x11000), 0);
	assert_ptr_equal(guest_pointer(f->memory, 0x1000, 0x10000, true), f->low.host);
	assert_null(guest_pointer(f->memory, 0x1000, 0x10001, true));
	assert_null(guest_pointer(f->memory, 0x2000, SIZE_MAX, true));
	assert_null(guest_pointer(f->memory, 0xfff, 1, true));
	assert_null(guest_pointer(f->memory, 0x15000, 1, false));
}

static void test_dirty_log(void **state)
{
	struct fixture *f = *state;
	uint64_t bits[1];

	assert_int_equal(guest_memory_map(f->memory, &f->low, 0), 0);
	assert_int_equal(guest_write(f->memory, 0, "x", 1), 0);
	assert_int_equal(guest_memory_dirty_log(f->memory, &f->low, bits), 0);
	assert_int_equal(bits[0], 0);
	assert_int_equal(guest_memory_set_flags(f->memory, &f->low, false, true), 0);
	assert_int_equal(f->fake.unmaps, 0);
	/* What the CPU wrote and what devices wrote come together, once. */
	f->fake.dirty = 0x4;
	assert_int_equal(guest_write(f->memory, 0xfff, "xy", 2), 0);
	assert_non_null(guest_pointer(f->memory, 0x8000, 0x1000, true));
	assert_int_equal(guest_memory_dirty_log(f->memory, &f->low, bits), 0);
	assert_int_equal(bits[0], 0x107);
	assert_int_equal(guest_memory_dirty_log(f->memory, &f->low, bits), 0);
	assert_int_equal(bits[0], 0);
	f->fake.dirty = 0x1;
	guest_memory_unmap(f->memory, &f->low);
	assert_int_equal(guest_memory_dirty_log(f->memory, &f->low, bits), 0);
	assert_int_equal(bits[0], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_copy_crosses_regions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_overlaps_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_backend_failure_leaves_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pointer_stays_inside, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dirty_log, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

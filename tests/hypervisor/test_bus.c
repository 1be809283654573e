/* SPDX-License-Identifier: MIT */
/* The I/O buses: overlaps, splitting, doorbells, and remapping under load. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/util.h"
#include "hypervisor/bus.h"

struct fake_device {
	struct bus_region region;
	uint8_t tag;
	uint64_t last_offset, last_value;
	unsigned last_size, writes;
};

static uint64_t fake_read(struct bus_region *region, uint64_t offset, unsigned size)
{
	struct fake_device *dev = container_of(region, struct fake_device, region);
	uint64_t value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)(uint8_t)(dev->tag + offset + i) << (8 * i);
	return value;
}

static void fake_write(struct bus_region *region, uint64_t offset, uint64_t value, unsigned size)
{
	struct fake_device *dev = container_of(region, struct fake_device, region);

	dev->last_offset = offset;
	dev->last_value = value;
	dev->last_size = size;
	dev->writes++;
}

static const struct bus_ops fake_ops = { fake_read, fake_write };
static const struct bus_ops silent_ops = { NULL, NULL };

static struct fake_device make(uint8_t tag, uint64_t size, int priority)
{
	return (struct fake_device){
		.region = { .ops = &fake_ops, .name = "fake", .size = size, .priority = priority },
		.tag = tag,
	};
}

static int setup(void **state)
{
	struct bus *bus;

	assert_int_equal(bus_create(&bus, false, NULL, NULL), 0);
	*state = bus;
	return 0;
}

static int teardown(void **state)
{
	bus_destroy(*state);
	return 0;
}

static void test_dispatch(void **state)
{
	struct bus *bus = *state;
	struct fake_device dev = make(0x10, 8, 0);

	assert_int_equal(bus_read(bus, 0x100, 4), 0xffffffff);
	assert_int_equal(bus_add(bus, &dev.region, 0x100), 0);
	assert_int_equal(bus_add(bus, &dev.region, 0x200), -EBUSY);
	assert_int_equal(bus_read(bus, 0x102, 2), 0x1312);
	bus_write(bus, 0x104, 0xffffffff12345678, 4);
	assert_int_equal(dev.last_offset, 4);
	assert_int_equal(dev.last_value, 0x12345678);
	assert_int_equal(dev.last_size, 4);
	bus_remove(bus, &dev.region);
	assert_int_equal(bus_read(bus, 0x102, 1), 0xff);
	bus_remove(bus, &dev.region);
}

static void test_split_at_the_end(void **state)
{
	struct bus *bus = *state;
	struct fake_device a = make(0x10, 4, 0), b = make(0x80, 4, 0);

	assert_int_equal(bus_add(bus, &a.region, 0x100), 0);
	assert_int_equal(bus_add(bus, &b.region, 0x104), 0);
	assert_int_equal(bus_read(bus, 0x102, 4), 0x81801312);
	assert_int_equal(bus_read(bus, 0x106, 4), 0xffff8382);
	assert_int_equal(bus_read(bus, 0xfe, 4), 0x1110ffff);
	bus_write(bus, 0x102, 0x44332211, 4);
	assert_int_equal(a.last_value, 0x22);
	assert_int_equal(a.last_size, 1);
	assert_int_equal(b.last_value, 0x44);
	assert_int_equal(b.writes, 2);
}

static void test_priority(void **state)
{
	struct bus *bus = *state;
	struct fake_device low = make(0x10, 0x20, 0), high = make(0x80, 4, 1),
			   later = make(0xc0, 0x10, 0);

	assert_int_equal(bus_add(bus, &high.region, 0x108), 0);
	assert_int_equal(bus_add(bus, &low.region, 0x100), 0);
	assert_int_equal(bus_read(bus, 0x107, 1), 0x17);
	assert_int_equal(bus_read(bus, 0x108, 1), 0x80);
	assert_int_equal(bus_read(bus, 0x10c, 1), 0x1c);
	assert_int_equal(bus_add(bus, &later.region, 0x104), 0);
	assert_int_equal(bus_read(bus, 0x104, 1), 0xc0);
	assert_int_equal(bus_read(bus, 0x108, 1), 0x80);
	assert_int_equal(bus_read(bus, 0x113, 1), 0xcf);
	assert_int_equal(bus_read(bus, 0x114, 1), 0x24);
	/* A byte of another device inside a wider register (0xCF9 in 0xCF8) hides only itself. */
	assert_int_equal(bus_read(bus, 0x106, 4), 0xc5c4c3c2);
	bus_remove(bus, &later.region);
	bus_remove(bus, &high.region);
	assert_int_equal(bus_read(bus, 0x108, 1), 0x18);
}

static void test_ends_of_address_space(void **state)
{
	struct bus *bus = *state;
	struct fake_device top = make(0x10, 8, 0), bottom = make(0x20, 8, 0),
			   beyond = make(0x30, 16, 0);

	assert_int_equal(bus_add(bus, &top.region, UINT64_MAX - 7), 0);
	assert_int_equal(bus_add(bus, &bottom.region, 0), 0);
	assert_int_equal(bus_add(bus, &beyond.region, UINT64_MAX - 7), -EINVAL);
	assert_int_equal(bus_read(bus, UINT64_MAX - 3, 4), 0x17161514);
	assert_int_equal(bus_read(bus, UINT64_MAX, 2), 0x2017);
	assert_int_equal(bus_read(bus, 0, 8), 0x2726252423222120);
}

static void test_missing_operations(void **state)
{
	struct bus *bus = *state;
	struct bus_region silent = { .ops = &silent_ops, .size = 4 };

	assert_int_equal(bus_add(bus, &silent, 0), 0);
	assert_int_equal(bus_read(bus, 0, 2), 0xffff);
	bus_write(bus, 0, 1, 2);
}

static uint64_t rings(int fd)
{
	uint64_t count = 0;

	return read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

static void test_doorbell_without_engine(void **state)
{
	struct bus *bus = *state;
	struct fake_device dev = make(0, 0x10, 0);
	int fd = eventfd(0, EFD_NONBLOCK), other = eventfd(0, EFD_NONBLOCK);

	assert_int_equal(bus_add(bus, &dev.region, 0x100), 0);
	assert_int_equal(bus_doorbell_add(bus, 0x104, 2, true, 7, fd), 0);
	assert_int_equal(bus_doorbell_add(bus, 0x104, 2, true, 7, fd), -EEXIST);
	assert_int_equal(bus_doorbell_add(bus, 0x108, 0, false, 0, other), 0);
	bus_write(bus, 0x104, 7, 2);
	assert_int_equal(rings(fd), 1);
	assert_int_equal(dev.writes, 0);
	bus_write(bus, 0x104, 6, 2);
	bus_write(bus, 0x104, 7, 4);
	assert_int_equal(rings(fd), 0);
	assert_int_equal(dev.writes, 2);
	bus_write(bus, 0x108, 1, 1);
	bus_write(bus, 0x108, 2, 4);
	assert_int_equal(rings(other), 2);
	bus_doorbell_remove(bus, 0x104, 2, true, 7, fd);
	bus_write(bus, 0x104, 7, 2);
	assert_int_equal(rings(fd), 0);
	assert_int_equal(dev.writes, 3);
	close(fd);
	close(other);
}

static int engine_doorbell(void *opaque, bool is_mmio, uint64_t addr, unsigned size, bool match,
	uint64_t value, int event_fd, bool add)
{
	int *bells = opaque;

	if (addr == 0x200) /* this one cannot */
		return -ENOSPC;
	*bells += add ? 1 : -1;
	return 0;
}

static void test_doorbell_of_an_engine(void **state)
{
	static const struct bus_engine_ops ops = { engine_doorbell };
	struct bus *bus;
	int bells = 0, fd = eventfd(0, EFD_NONBLOCK);

	assert_int_equal(bus_create(&bus, true, &ops, &bells), 0);
	assert_int_equal(bus_doorbell_add(bus, 0x100, 4, false, 0, fd), 0);
	assert_int_equal(bells, 1);
	bus_write(bus, 0x100, 0, 4);
	assert_int_equal(rings(fd), 0);
	assert_int_equal(bus_doorbell_add(bus, 0x200, 4, false, 0, fd), 0);
	bus_write(bus, 0x200, 0, 4);
	assert_int_equal(rings(fd), 1);
	bus_doorbell_remove(bus, 0x100, 4, false, 0, fd);
	bus_doorbell_remove(bus, 0x200, 4, false, 0, fd);
	assert_int_equal(bells, 0);
	bus_destroy(bus);
	close(fd);
}

struct storm {
	struct bus *bus;
	_Atomic bool stop;
	_Atomic unsigned wrong;
};

static void *storm_read(void *opaque)
{
	struct storm *storm = opaque;

	while (!atomic_load(&storm->stop)) {
		uint64_t value = bus_read(storm->bus, 0x104, 1);

		/* Either where the region is, or nothing; never an offset of the other place. */
		if (value != 0x14 && value != 0xff)
			atomic_fetch_add(&storm->wrong, 1);
	}
	return NULL;
}

static void test_remap_under_load(void **state)
{
	struct storm storm = { .bus = *state };
	struct fake_device moving = make(0x10, 8, 0), still = make(0x40, 8, 0);
	pthread_t thread;

	assert_int_equal(bus_add(storm.bus, &still.region, 0x200), 0);
	assert_int_equal(pthread_create(&thread, NULL, storm_read, &storm), 0);
	for (int i = 0; i < 2000; i++) {
		assert_int_equal(bus_add(storm.bus, &moving.region, i & 1 ? 0x300 : 0x100), 0);
		bus_remove(storm.bus, &moving.region);
	}
	atomic_store(&storm.stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(storm.wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_dispatch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_split_at_the_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_priority, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends_of_address_space, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing_operations, setup, teardown),
		cmocka_unit_test_setup_teardown(test_doorbell_without_engine, setup, teardown),
		cmocka_unit_test_setup_teardown(test_doorbell_of_an_engine, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remap_under_load, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

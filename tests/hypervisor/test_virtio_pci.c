/* SPDX-License-Identifier: MIT */
/* The PCI transport, by a device that only counts: capabilities, negotiation, queues, interrupts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hypervisor/virtio_pci.h"
#include "tests/hypervisor/virtio_driver.h"

enum { FEATURE = 1 << 3, QUEUES = 2, QUEUE_SIZE = 64 };

struct counter {
	struct virtio_device dev;
	unsigned notified[QUEUES];
	unsigned lives;
	unsigned resets;
	unsigned taken;
};

struct fixture {
	struct fake_machine m;
	struct fake_driver d;
	struct counter counter;
};

static void counter_notify(struct virtio_device *dev, unsigned index)
{
	struct counter *counter = container_of(dev, struct counter, dev);
	struct virtqueue_chain chain;

	counter->notified[index]++;
	while (virtio_device_pop(dev, index, &chain) == 1) {
		counter->taken++;
		virtio_device_push(dev, index, chain.head, 0);
	}
	virtio_device_interrupt(dev, index);
}

static void counter_live(struct virtio_device *dev)
{
	container_of(dev, struct counter, dev)->lives++;
}

static void counter_reset(struct virtio_device *dev)
{
	struct counter *counter = container_of(dev, struct counter, dev);

	counter->resets++;
	/* The rings are gone already, and the driver still sees the old status. */
	for (unsigned i = 0; i < QUEUES; i++)
		assert_false(dev->queues[i].ring.enabled);
	assert_false(virtio_device_is_live(dev));
}

static void counter_config_write(
	struct virtio_device *dev, uint32_t offset, const uint8_t *bytes, uint32_t size)
{
	memcpy(dev->config + offset, bytes, size);
}

static const struct virtio_device_ops counter_ops = {
	.queue_notify = counter_notify,
	.config_write = counter_config_write,
	.live = counter_live,
	.reset = counter_reset,
};

static int setup_with(void **state, bool msix)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fake_machine_init(&f->m);
	assert_int_equal(virtio_device_init(&f->counter.dev, &counter_ops, "counter", &f->m.host, 2,
				 0xff0000, QUEUES, QUEUE_SIZE),
		0);
	f->counter.dev.features = FEATURE;
	f->counter.dev.config_size = 8;
	memcpy(f->counter.dev.config, "abcdefgh", 8);
	assert_int_equal(pci_bus_plug(f->m.bus, &f->counter.dev.pci, 0, 0), 0);
	fake_driver_find(&f->d, &f->m, msix);
	*state = f;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, true);
}

static int setup_intx(void **state)
{
	return setup_with(state, false);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	virtio_device_finish(&f->counter.dev);
	fake_machine_finish(&f->m);
	free(f);
	return 0;
}

static uint64_t common_read(struct fixture *f, unsigned field, unsigned size)
{
	return fake_read(&f->d, f->d.common + field, size);
}

static void common_write(struct fixture *f, unsigned field, uint64_t value, unsigned size)
{
	fake_write(&f->d, f->d.common + field, value, size);
}

static void test_ids_and_capabilities(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fake_config_read(&f->m, 0x00, 4), 0x10421af4);
	assert_int_equal(fake_config_read(&f->m, 0x08, 1), 1);
	assert_int_equal(fake_config_read(&f->m, 0x2c, 4), 0x11001af4);
	assert_true(f->d.common && f->d.isr && f->d.device && f->d.notify && f->d.pci_cfg);
	assert_int_equal(f->d.notify_multiplier % 2, 0);
	assert_int_equal(common_read(f, VIRTIO_PCI_COMMON_NUMQ, 2), QUEUES);
	assert_int_equal(fake_read(&f->d, f->d.device, 4), 0x64636261);
	assert_int_equal(fake_read(&f->d, f->d.device + 7, 1), 'h');
	assert_int_equal(fake_read(&f->d, f->d.device + 8, 1), 0);
}

static void test_negotiation(void **state)
{
	struct fixture *f = *state;
	const uint64_t version_1 = 1ull << VIRTIO_F_VERSION_1;
	uint64_t offered = fake_device_features(&f->d);

	assert_int_equal(offered,
		version_1 | FEATURE | 1ull << VIRTIO_RING_F_INDIRECT_DESC |
			1ull << VIRTIO_RING_F_EVENT_IDX);
	assert_true(fake_negotiate(&f->d, offered));
	assert_true(fake_negotiate(&f->d, version_1));
	assert_false(fake_negotiate(&f->d, version_1 | 1));
	assert_false(fake_negotiate(&f->d, FEATURE));
	/* Without FEATURES_OK there is no going live; with it, features are settled. */
	fake_add_status(&f->d, VIRTIO_CONFIG_S_DRIVER_OK);
	assert_int_equal(f->counter.lives, 0);
	assert_true(fake_negotiate(&f->d, version_1));
	common_write(f, VIRTIO_PCI_COMMON_GFSELECT, 0, 4);
	common_write(f, VIRTIO_PCI_COMMON_GF, FEATURE, 4);
	assert_false(virtio_device_has(&f->counter.dev, 3));
	common_write(f, VIRTIO_PCI_COMMON_DFSELECT, 2, 4);
	assert_int_equal(common_read(f, VIRTIO_PCI_COMMON_DF, 4), 0);
}

static void test_queue_fields(void **state)
{
	struct fixture *f = *state;

	assert_true(fake_negotiate(&f->d, 1ull << VIRTIO_F_VERSION_1));
	common_write(f, VIRTIO_PCI_COMMON_Q_SELECT, QUEUES, 2);
	assert_int_equal(common_read(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
	common_write(f, VIRTIO_PCI_COMMON_Q_SIZE, 8, 2); /* no queue: nothing happens */
	common_write(f, VIRTIO_PCI_COMMON_Q_SELECT, 1, 2);
	assert_int_equal(common_read(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), QUEUE_SIZE);
	common_write(f, VIRTIO_PCI_COMMON_Q_MSIX, 2, 2);
	assert_int_equal(common_read(f, VIRTIO_PCI_COMMON_Q_MSIX, 2), 2);
	common_write(f, VIRTIO_PCI_COMMON_Q_MSIX, 3, 2);
	assert_int_equal(common_read(f, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_NO_VECTOR);
	common_write(f, VIRTIO_PCI_COMMON_Q_DESCLO, 0x123456789abcdef0, 8);
	assert_int_equal(common_read(f, VIRTIO_PCI_COMMON_Q_DESCLO, 4), 0x9abcdef0);
	assert_int_equal(common_read(f, VIRTIO_PCI_COMMON_Q_DESCHI, 4), 0x12345678);
	fake_queue_setup(&f->d, 1, 16);
	assert_int_equal(common_read(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	assert_int_equal(common_read(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), 16);
	common_write(f, VIRTIO_PCI_COMMON_Q_SIZE, 32, 2); /* too late */
	common_write(f, VIRTIO_PCI_COMMON_Q_USEDLO, 4, 4);
	assert_int_equal(f->counter.dev.queues[1].ring.size, 16);
	assert_int_equal(f->counter.dev.queues[1].ring.used_gpa, fake_queue_gpa(1) + FAKE_USED);
	common_write(f, VIRTIO_PCI_COMMON_STATUS, 0, 1);
	common_write(f, VIRTIO_PCI_COMMON_Q_SELECT, 1, 2);
	assert_int_equal(common_read(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), QUEUE_SIZE);
	assert_int_equal(common_read(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	assert_int_equal(common_read(f, VIRTIO_PCI_COMMON_Q_DESCLO, 8), 0);
	assert_int_equal(common_read(f, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_NO_VECTOR);
}

static const struct fake_segment one_byte = { FAKE_BUFFERS, 1, false };

static void test_doorbells_and_vectors(void **state)
{
	struct fixture *f = *state;

	fake_driver_start(&f->d, 0, QUEUES, QUEUE_SIZE);
	assert_int_equal(f->counter.lives, 1);
	assert_int_equal(f->counter.notified[0], 1); /* what was rung before going live */
	fake_add(&f->d, 1, &one_byte, 1);
	fake_kick(&f->d, 1);
	assert_int_equal(f->counter.notified[1], 2);
	assert_int_equal(f->counter.notified[0], 1);
	assert_int_equal(f->counter.taken, 1);
	assert_int_equal(f->m.msi_count[2], 1);
	/* Rings of other sizes come by the device itself. */
	fake_add(&f->d, 0, &one_byte, 1);
	fake_write(&f->d, f->d.queues[0].notify_gpa, 0, 4);
	fake_run(&f->m);
	assert_int_equal(f->counter.taken, 2);
	/* Moved, the BAR takes its doorbells along. */
	fake_config_write(&f->m, 0x20, FAKE_BAR + 0x100000, 4);
	fake_add(&f->d, 0, &one_byte, 1);
	fake_kick(&f->d, 0);
	assert_int_equal(f->counter.taken, 2);
	bus_write(f->m.mmio, f->d.queues[0].notify_gpa + 0x100000, 0, 2);
	fake_run(&f->m);
	assert_int_equal(f->counter.taken, 3);
	assert_false(f->m.intx);
}

static void test_intx(void **state)
{
	struct fixture *f = *state;

	fake_driver_start(&f->d, 0, QUEUES, QUEUE_SIZE);
	fake_read(&f->d, f->d.isr, 1);
	assert_false(f->m.intx);
	fake_add(&f->d, 0, &one_byte, 1);
	fake_kick(&f->d, 0);
	assert_true(f->m.intx);
	assert_int_equal(fake_read(&f->d, f->d.isr, 1), 1);
	assert_false(f->m.intx);
	assert_int_equal(fake_read(&f->d, f->d.isr, 1), 0);
	virtio_device_config_changed(&f->counter.dev);
	assert_true(f->m.intx);
	assert_int_equal(fake_read(&f->d, f->d.isr, 1), 2);
}

static void test_config_space(void **state)
{
	struct fixture *f = *state;
	uint64_t generation;

	fake_driver_start(&f->d, 0, QUEUES, QUEUE_SIZE);
	generation = common_read(f, VIRTIO_PCI_COMMON_CFGGENERATION, 1);
	fake_write(&f->d, f->d.device + 2, 0x5a59, 2);
	assert_int_equal(fake_read(&f->d, f->d.device, 4), 0x5a596261);
	fake_write(&f->d, f->d.device + 6, 0, 4); /* over the end */
	assert_int_equal(fake_read(&f->d, f->d.device + 4, 4), 0x68676665);
	virtio_device_config_changed(&f->counter.dev);
	assert_int_not_equal(common_read(f, VIRTIO_PCI_COMMON_CFGGENERATION, 1), generation);
	assert_int_equal(f->m.msi_count[0], 1);
}

/* A bad ring: NEEDS_RESET, one config interrupt, nothing more taken, and all is well after a reset. */
static void test_broken_and_reset(void **state)
{
	struct fixture *f = *state;
	unsigned resets;

	fake_driver_start(&f->d, 0, QUEUES, QUEUE_SIZE);
	fake_avail(&f->d, 0)[1] = QUEUE_SIZE + 1;
	fake_kick(&f->d, 0);
	assert_true(fake_status(&f->d) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(f->m.msi_count[0], 1);
	fake_add(&f->d, 1, &one_byte, 1);
	fake_kick(&f->d, 1);
	fake_kick(&f->d, 0);
	assert_int_equal(f->counter.taken, 0);
	assert_int_equal(f->m.msi_count[0], 1);
	resets = f->counter.resets;
	fake_driver_start(&f->d, 0, QUEUES, QUEUE_SIZE);
	assert_int_equal(f->counter.resets, resets + 1);
	assert_false(fake_status(&f->d) & VIRTIO_CONFIG_S_NEEDS_RESET);
	fake_add(&f->d, 1, &one_byte, 1);
	fake_kick(&f->d, 1);
	assert_int_equal(f->counter.taken, 1);
	/* Rings outside of memory are found when they are enabled. */
	assert_true(fake_negotiate(&f->d, 1ull << VIRTIO_F_VERSION_1));
	common_write(f, VIRTIO_PCI_COMMON_Q_SELECT, 0, 2);
	common_write(f, VIRTIO_PCI_COMMON_Q_DESCLO, 0xfffffffffffff000, 8);
	common_write(f, VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
	assert_true(fake_status(&f->d) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void test_machine_reset(void **state)
{
	struct fixture *f = *state;

	fake_driver_start(&f->d, 0, QUEUES, QUEUE_SIZE);
	pci_bus_reset(f->m.bus);
	assert_false(virtio_device_is_live(&f->counter.dev));
	fake_add(&f->d, 0, &one_byte, 1);
	fake_kick(&f->d, 0);
	assert_int_equal(f->counter.taken, 0);
	fake_driver_find(&f->d, &f->m, true);
	assert_int_equal(fake_status(&f->d), 0);
	fake_driver_start(&f->d, 0, QUEUES, QUEUE_SIZE);
	fake_add(&f->d, 0, &one_byte, 1);
	fake_kick(&f->d, 0);
	assert_int_equal(f->counter.taken, 1);
}

/* ---- the window in PCI config space ---- */

static void window_set(struct fixture *f, uint8_t bar, uint32_t offset, uint32_t length)
{
	fake_config_write(&f->m, f->d.pci_cfg + VIRTIO_PCI_CAP_BAR, bar, 1);
	fake_config_write(&f->m, f->d.pci_cfg + VIRTIO_PCI_CAP_OFFSET, offset, 4);
	fake_config_write(&f->m, f->d.pci_cfg + VIRTIO_PCI_CAP_LENGTH, length, 4);
}

static uint32_t window_read(struct fixture *f, uint32_t offset, uint32_t length)
{
	window_set(f, 4, offset, length);
	return fake_config_read(&f->m, f->d.pci_cfg + 16, length);
}

static void window_write(struct fixture *f, uint32_t offset, uint32_t length, uint32_t value)
{
	window_set(f, 4, offset, length);
	fake_config_write(&f->m, f->d.pci_cfg + 16, value, length);
}

static void test_window(void **state)
{
	struct fixture *f = *state;
	uint32_t device = (uint32_t)(f->d.device - FAKE_BAR);

	fake_config_write(&f->m, 0x04, 4, 2); /* the BAR is not decoded */
	assert_int_equal(window_read(f, device, 4), 0x64636261);
	assert_int_equal(window_read(f, device + 2, 1), 'c');
	assert_int_equal(window_read(f, VIRTIO_PCI_COMMON_NUMQ, 2), QUEUES);
	window_write(f, VIRTIO_PCI_COMMON_STATUS, 1, 3);
	assert_int_equal(window_read(f, VIRTIO_PCI_COMMON_STATUS, 1), 3);
	window_write(f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(window_read(f, VIRTIO_PCI_COMMON_STATUS, 1), 0);
	/* Nothing of these is an access. */
	window_set(f, 0, device, 4);
	fake_config_read(&f->m, f->d.pci_cfg + 16, 4);
	window_set(f, 4, 0xfffffffc, 4);
	fake_config_read(&f->m, f->d.pci_cfg + 16, 4);
	fake_config_write(&f->m, f->d.pci_cfg + 16, 0xffffffff, 4);
	window_set(f, 4, VIRTIO_PCI_COMMON_STATUS, 3);
	fake_config_write(&f->m, f->d.pci_cfg + 16, 0xffffffff, 4);
	window_set(f, 4, VIRTIO_PCI_COMMON_STATUS + 1, 4);
	fake_config_write(&f->m, f->d.pci_cfg + 16, 0xffffffff, 4);
	assert_int_equal(window_read(f, VIRTIO_PCI_COMMON_STATUS, 1), 0);
}

/* Whatever is read and written anywhere, in any size: nothing may go wrong, and it can be used. */
static void test_any_access(void **state)
{
	static const unsigned sizes[] = { 1, 2, 4, 8 };
	struct fixture *f = *state;
	unsigned seed = 1;

	for (unsigned i = 0; i < 50000; i++) {
		uint64_t gpa;

		seed = seed * 1103515245u + 12345u;
		gpa = FAKE_BAR + (seed >> 8 & 0x3000) + (seed >> 20) % (i % 3 ? 64 : 4096);
		if (i % 2)
			fake_read(&f->d, gpa, sizes[seed >> 16 & 3]);
		else
			fake_write(&f->d, gpa, seed % 7 ? seed & 0xff : seed * 0x100000001ull,
				sizes[seed >> 16 & 3]);
		if (i % 100 == 0)
			fake_run(&f->m);
	}
	fake_driver_start(&f->d, 0, QUEUES, QUEUE_SIZE);
	f->counter.taken = 0;
	fake_add(&f->d, 0, &one_byte, 1);
	fake_kick(&f->d, 0);
	assert_int_equal(f->counter.taken, 1);
}

#define PCI_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PCI_TEST(test_ids_and_capabilities),
		PCI_TEST(test_negotiation),
		PCI_TEST(test_queue_fields),
		PCI_TEST(test_doorbells_and_vectors),
		cmocka_unit_test_setup_teardown(test_intx, setup_intx, teardown),
		PCI_TEST(test_config_space),
		PCI_TEST(test_broken_and_reset),
		PCI_TEST(test_machine_reset),
		PCI_TEST(test_window),
		PCI_TEST(test_any_access),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

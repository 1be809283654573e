/* SPDX-License-Identifier: MIT */
/* The tablet: what it says of itself, its reports, and what it does without buffers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <linux/input.h>
#include <linux/virtio_input.h>

#include "hypervisor/virtio_input.h"
#include "tests/hypervisor/virtio_driver.h"

enum { EVENTS, STATUS, QUEUE_SIZE = 64, MAX_EVENTS = 64 };

struct fixture {
	struct fake_machine m;
	struct fake_driver d;
	struct virtio_input *input;
	bool active;
	unsigned told;
};

static void set_active(void *opaque, bool active)
{
	struct fixture *f = opaque;

	assert_true(active != f->active);
	f->active = active;
	f->told++;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fake_machine_init(&f->m);
	assert_int_equal(virtio_input_create(&f->input, &f->m.host, f->m.bus, set_active, f), 0);
	fake_driver_find(&f->d, &f->m, true);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	virtio_input_destroy(f->input);
	fake_machine_finish(&f->m);
	free(f);
	return 0;
}

static void give_buffers(struct fixture *f, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct fake_segment buffer = { FAKE_BUFFERS, 8, true };

		buffer.gpa += 8ull * (f->d.queues[EVENTS].next_desc % QUEUE_SIZE);
		fake_add(&f->d, EVENTS, &buffer, 1);
	}
	fake_kick(&f->d, EVENTS);
}

static void start(struct fixture *f, unsigned buffers)
{
	fake_driver_start(&f->d, 1ull << VIRTIO_RING_F_EVENT_IDX, 2, QUEUE_SIZE);
	fake_run(&f->m);
	if (buffers)
		give_buffers(f, buffers);
}

/* The events that came since the last call are exactly these. */
static void assert_events(
	struct fixture *f, const struct virtio_input_event *events, unsigned count)
{
	struct virtio_input_event got;
	uint32_t head = 0, written = 0;

	fake_run(&f->m);
	for (unsigned i = 0; i < count; i++) {
		assert_true(fake_take_used(&f->d, EVENTS, &head, &written));
		assert_int_equal(written, sizeof(got));
		memcpy(&got, f->m.ram.host + FAKE_BUFFERS + 8 * head, sizeof(got));
		assert_int_equal(got.type, events[i].type);
		assert_int_equal(got.code, events[i].code);
		assert_int_equal(got.value, events[i].value);
	}
	assert_false(fake_take_used(&f->d, EVENTS, &head, &written));
}

#define EVENTS_ARE(f, ...)                                             \
	assert_events(f, (struct virtio_input_event[]){ __VA_ARGS__ }, \
		sizeof((struct virtio_input_event[]){ __VA_ARGS__ }) / \
			sizeof(struct virtio_input_event))
#define SYN                           \
	{                             \
		EV_SYN, SYN_REPORT, 0 \
	}

static uint8_t query(struct fixture *f, uint8_t select, uint8_t subsel, void *data, unsigned size)
{
	fake_write(&f->d, f->d.device, select, 1);
	fake_write(&f->d, f->d.device + 1, subsel, 1);
	for (unsigned i = 0; i < size; i++)
		((uint8_t *)data)[i] = (uint8_t)fake_read(&f->d, f->d.device + 8 + i, 1);
	return (uint8_t)fake_read(&f->d, f->d.device + 2, 1);
}

static void test_queries(void **state)
{
	struct fixture *f = *state;
	struct virtio_input_absinfo abs;
	struct virtio_input_devids ids;
	uint8_t bits[128] = { 0 };
	char name[128];

	assert_int_equal(query(f, VIRTIO_INPUT_CFG_ID_NAME, 0, name, 128), 15);
	assert_string_equal(name, "spicebox tablet");
	assert_int_equal(query(f, VIRTIO_INPUT_CFG_ID_SERIAL, 0, name, 128), 1);
	assert_int_equal(query(f, VIRTIO_INPUT_CFG_ID_DEVIDS, 0, &ids, sizeof(ids)), 8);
	assert_int_equal(ids.bustype, BUS_VIRTUAL);
	assert_int_equal(query(f, VIRTIO_INPUT_CFG_PROP_BITS, 0, bits, 128), 0);
	assert_int_equal(query(f, VIRTIO_INPUT_CFG_EV_BITS, EV_KEY, bits, 128), 35);
	assert_int_equal(bits[BTN_LEFT / 8], 1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4);
	assert_int_equal(bits[34], bits[BTN_LEFT / 8]);
	assert_int_equal(query(f, VIRTIO_INPUT_CFG_EV_BITS, EV_ABS, bits, 128), 1);
	assert_int_equal(bits[0], 3);
	assert_int_equal(query(f, VIRTIO_INPUT_CFG_EV_BITS, EV_REL, bits, 128), 2);
	assert_int_equal(bits[1], 1);
	assert_int_equal(query(f, VIRTIO_INPUT_CFG_EV_BITS, EV_LED, bits, 128), 0);
	assert_int_equal(bits[0] | bits[1], 0);
	assert_int_equal(query(f, VIRTIO_INPUT_CFG_ABS_INFO, ABS_Y, &abs, sizeof(abs)), 20);
	assert_int_equal(abs.min, 0);
	assert_int_equal(abs.max, 32767);
	assert_int_equal(query(f, VIRTIO_INPUT_CFG_ABS_INFO, ABS_Z, bits, 128), 0);
	for (unsigned select = 0; select < 256; select++)
		for (unsigned subsel = 0; subsel < 256; subsel += 5)
			assert_true(query(f, (uint8_t)select, (uint8_t)subsel, bits, 1) <= 128);
	fake_write(&f->d, f->d.device + 2, 0xffffffff, 4); /* read-only */
	fake_write(&f->d, f->d.device, 0x0001, 2); /* both at once */
	assert_int_equal(fake_read(&f->d, f->d.device + 2, 1), 15);
}

static void test_active(void **state)
{
	struct fixture *f = *state;

	assert_false(f->active);
	start(f, 0);
	assert_true(f->active);
	fake_write(&f->d, f->d.common + VIRTIO_PCI_COMMON_STATUS, 0, 1);
	fake_run(&f->m);
	assert_false(f->active);
	start(f, 0);
	assert_true(f->active);
	pci_bus_reset(f->m.bus);
	fake_run(&f->m);
	assert_false(f->active);
	assert_int_equal(f->told, 4);
}

static void test_reports(void **state)
{
	struct fixture *f = *state;

	start(f, QUEUE_SIZE);
	virtio_input_position(f->input, 0, 767, 1024, 768);
	EVENTS_ARE(f, { EV_ABS, ABS_X, 0 }, { EV_ABS, ABS_Y, 32767 }, SYN);
	assert_int_equal(f->m.msi_count[1], 1);
	virtio_input_position(f->input, 0, -5, 1024, 768); /* only what changed, clipped */
	EVENTS_ARE(f, { EV_ABS, ABS_Y, 0 }, SYN);
	virtio_input_position(f->input, 0, 0, 1024, 768);
	assert_events(f, NULL, 0);
	virtio_input_button(f->input, INPUT_BUTTON_SIDE, true);
	EVENTS_ARE(f, { EV_KEY, BTN_SIDE, 1 }, SYN);
	virtio_input_button(f->input, INPUT_BUTTON_UP, true);
	virtio_input_button(f->input, INPUT_BUTTON_UP, false);
	virtio_input_button(f->input, INPUT_BUTTON_UP, true);
	EVENTS_ARE(f, { EV_REL, REL_WHEEL, 2 }, SYN);
	virtio_input_button(f->input, INPUT_BUTTON_DOWN, true);
	EVENTS_ARE(f, { EV_REL, REL_WHEEL, (uint32_t)-1 }, SYN);
}

/* Moves of one turn are one report; a click is never merged away, nor moved. */
static void test_batches(void **state)
{
	struct fixture *f = *state;

	start(f, QUEUE_SIZE);
	virtio_input_position(f->input, 1, 1, 32768, 32768);
	virtio_input_position(f->input, 2, 2, 32768, 32768);
	virtio_input_button(f->input, INPUT_BUTTON_LEFT, true);
	virtio_input_button(f->input, INPUT_BUTTON_LEFT, false);
	virtio_input_position(f->input, 3, 2, 32768, 32768);
	virtio_input_button(f->input, INPUT_BUTTON_RIGHT, true);
	virtio_input_button(f->input, INPUT_BUTTON_MIDDLE, true);
	EVENTS_ARE(f, { EV_ABS, ABS_X, 2 }, { EV_ABS, ABS_Y, 2 }, { EV_KEY, BTN_LEFT, 1 }, SYN,
		{ EV_KEY, BTN_LEFT, 0 }, SYN, { EV_ABS, ABS_X, 3 }, { EV_KEY, BTN_RIGHT, 1 },
		{ EV_KEY, BTN_MIDDLE, 1 }, SYN);
}

static void test_no_buffers(void **state)
{
	struct fixture *f = *state;

	start(f, 0);
	for (int i = 1; i <= 1000; i++) {
		virtio_input_position(f->input, i, i / 2, 32768, 32768);
		virtio_input_button(f->input, INPUT_BUTTON_DOWN, true);
		fake_run(&f->m);
	}
	virtio_input_button(f->input, INPUT_BUTTON_LEFT, true);
	give_buffers(f, 4); /* too few for the report: none is used */
	assert_events(f, NULL, 0);
	give_buffers(f, 1);
	EVENTS_ARE(f, { EV_ABS, ABS_X, 1000 }, { EV_ABS, ABS_Y, 500 }, { EV_KEY, BTN_LEFT, 1 },
		{ EV_REL, REL_WHEEL, (uint32_t)-16 }, SYN);
	for (int i = 0; i < 100; i++)
		virtio_input_button(f->input, INPUT_BUTTON_UP, true);
	give_buffers(f, 2);
	EVENTS_ARE(f, { EV_REL, REL_WHEEL, 16 }, SYN);
	/* After a reset everything is told anew. */
	start(f, QUEUE_SIZE);
	EVENTS_ARE(
		f, { EV_ABS, ABS_X, 1000 }, { EV_ABS, ABS_Y, 500 }, { EV_KEY, BTN_LEFT, 1 }, SYN);
}

/* Each pixel comes back exactly, whichever way the guest scales. */
static void test_every_pixel(void **state)
{
	struct fixture *f = *state;
	static const uint32_t widths[] = { 1, 2, 640, 1366, 3840 };

	start(f, QUEUE_SIZE);
	for (unsigned i = 0; i < 5; i++) {
		uint32_t width = widths[i];

		for (uint32_t x = 0; x < width; x++) {
			struct virtio_input_event got = { 0 };
			uint32_t head = 0, written = 0, value = 0;

			virtio_input_position(f->input, (int32_t)x, 0, width, 2);
			fake_run(&f->m);
			while (fake_take_used(&f->d, EVENTS, &head, &written)) {
				memcpy(&got, f->m.ram.host + FAKE_BUFFERS + 8 * head, sizeof(got));
				if (got.type == EV_ABS && got.code == ABS_X)
					value = got.value;
				give_buffers(f, 1);
			}
			assert_int_equal((uint64_t)value * width / 32768, x);
			assert_int_equal((uint64_t)value * (width - 1) / 32767, x);
			assert_int_equal(((uint64_t)value * (width - 1) + 16383) / 32767, x);
		}
	}
}

static void test_status_queue(void **state)
{
	struct fixture *f = *state;
	const struct fake_segment led = { FAKE_BUFFERS, 8, false };
	uint32_t head = 0, written = 0;

	start(f, 0);
	for (unsigned i = 0; i < QUEUE_SIZE; i++)
		fake_add(&f->d, STATUS, &led, 1);
	fake_kick(&f->d, STATUS);
	for (unsigned i = 0; i < QUEUE_SIZE; i++)
		assert_true(fake_take_used(&f->d, STATUS, &head, &written));
	assert_int_equal(written, 0);
}

static void test_bad_buffers(void **state)
{
	struct fixture *f = *state;
	const struct fake_segment bad[] = { { FAKE_BUFFERS, 7, true }, { FAKE_BUFFERS, 8, false },
		{ 0x7000000000, 8, true } };

	for (unsigned i = 0; i < 3; i++) {
		start(f, 0);
		assert_true(f->active);
		for (unsigned j = 0; j < 8; j++)
			fake_add(&f->d, EVENTS, &bad[i], 1);
		fake_kick(&f->d, EVENTS);
		virtio_input_position(f->input, 5 + (int)i, 5, 100, 100);
		fake_run(&f->m);
		assert_true(fake_status(&f->d) & VIRTIO_CONFIG_S_NEEDS_RESET);
		assert_false(f->active);
	}
	start(f, QUEUE_SIZE);
	EVENTS_ARE(f, { EV_ABS, ABS_X, 2398 }, { EV_ABS, ABS_Y, 1736 }, SYN);
}

#define TABLET_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TABLET_TEST(test_queries),
		TABLET_TEST(test_active),
		TABLET_TEST(test_reports),
		TABLET_TEST(test_batches),
		TABLET_TEST(test_no_buffers),
		TABLET_TEST(test_every_pixel),
		TABLET_TEST(test_status_queue),
		TABLET_TEST(test_bad_buffers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

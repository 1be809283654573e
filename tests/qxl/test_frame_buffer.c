/* SPDX-License-Identifier: MIT */
/* The VGA within the device: from ports and the frame buffer to the sink, and when nothing
 * moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/util.h"
#include "qxl/vga.h"
#include "tests/qxl/fake_machine.h"

static int setup(void **state)
{
	static struct fake_machine machine;

	fake_machine_init(&machine);
	*state = &machine;
	return 0;
}

static int teardown(void **state)
{
	fake_machine_finish(*state);
	return 0;
}

static const struct memory_region *ram_region(const struct fake_machine *m)
{
	return &((const struct pci_device *)(const void *)m->qxl)->bars[QXL_RAM_RANGE_INDEX].memory;
}

/* Runs the loop until the condition holds: some seconds are ample for all that is waited for
 * here. */
#define WAIT_FOR(m, condition)                                       \
	do {                                                         \
		uint64_t end_ = clock_monotonic_ns() + 10000000000u; \
		while (!(condition) && clock_monotonic_ns() < end_)  \
			loop_run_once((m)->loop, 20);                \
		assert_true(condition);                              \
	} while (0)

static void vbe(struct fake_machine *m, uint16_t index, uint16_t value)
{
	bus_write(m->host.ports, 0x1ce, index, 2);
	bus_write(m->host.ports, 0x1d0, value, 2);
}

static void out(struct fake_machine *m, uint16_t port, uint8_t value)
{
	bus_write(m->host.ports, port, value, 1);
}

static void set_vbe(struct fake_machine *m, uint16_t width, uint16_t height, uint16_t bpp)
{
	vbe(m, VBE_ENABLE, 0);
	vbe(m, VBE_XRES, width);
	vbe(m, VBE_YRES, height);
	vbe(m, VBE_BPP, bpp);
	vbe(m, VBE_ENABLE, VBE_ENABLED | 0x40);
	bus_read(m->host.ports, 0x3da, 1);
	bus_write(m->host.ports, 0x3c2, 0x63, 1);
	bus_read(m->host.ports, 0x3da, 1);
	out(m, 0x3c0, 0x20);
}

static void test_vbe_ports(void **state)
{
	struct fake_machine *m = *state;

	bus_write(m->host.ports, 0x1ce, VBE_ID, 2);
	assert_int_equal(bus_read(m->host.ports, 0x1d0, 2), 0xb0c5);
	assert_int_equal(bus_read(m->host.ports, 0x1cf, 2), 0xb0c5);
	assert_int_equal(bus_read(m->host.ports, 0x1ce, 2), VBE_ID);
	bus_write(m->host.ports, 0x1ce, VBE_MEMORY_64K, 2);
	assert_int_equal(bus_read(m->host.ports, 0x1cf, 2), 256);
}

static void test_still_screen_sleeps(void **state)
{
	struct fake_machine *m = *state;
	const uint64_t row = 640 * 4;
	uint64_t value = 0x00c0ffee;
	uint32_t dirties;

	set_vbe(m, 640, 480, 32);
	WAIT_FOR(m, m->sink.surfaces[0] != NULL);
	assert_ptr_equal(m->sink.surfaces[0]->data, m->ram);
	assert_true(ram_region(m)->log_dirty);
	/* While it changes the log is read. */
	m->dirty_page = 1 + row * 100 / 4096;
	WAIT_FOR(m, m->sink.dirties > 0);
	assert_true(m->sink.dirty.top <= 100 && m->sink.dirty.bottom > 100);
	assert_false(ram_region(m)->read_only);
	/* Then it is still, and nothing is left to wake up for. */
	WAIT_FOR(m, ram_region(m)->read_only);
	dirties = m->sink.dirties;
	fake_machine_run(m);
	m->dirty_page = 1; /* would be found if anybody looked */
	loop_run_once(m->loop, 200);
	assert_int_equal(m->dirty_page, 1);
	assert_int_equal(m->sink.dirties, dirties);
	m->dirty_page = 0;
	/* The first write is carried out, tells, and opens the memory again. */
	m->sink.dirty = (struct rect){ 0 };
	bus_write(m->host.mmio, m->ram_gpa + row * 200 + 8, value, 4);
	assert_memory_equal(m->ram + row * 200 + 8, &value, 4);
	assert_int_equal(bus_read(m->host.mmio, m->ram_gpa + row * 200 + 8, 4), value);
	assert_false(ram_region(m)->read_only);
	WAIT_FOR(m, m->sink.dirties > dirties);
	assert_true(m->sink.dirty.top <= 200 && m->sink.dirty.bottom > 200);
	assert_true(rect_height(&m->sink.dirty) < 8);
	WAIT_FOR(m, ram_region(m)->read_only);
}

/* A write that the CPU engine cannot hand over goes to the memory itself; the log tells of it. */
static void test_thaw(void **state)
{
	struct fake_machine *m = *state;
	uint32_t dirties;

	assert_false(guest_memory_thaw(m->host.memory)); /* nothing is frozen */
	set_vbe(m, 640, 480, 32);
	WAIT_FOR(m, m->sink.surfaces[0] != NULL);
	WAIT_FOR(m, ram_region(m)->read_only);
	assert_true(guest_memory_thaw(m->host.memory));
	assert_false(ram_region(m)->read_only);
	dirties = m->sink.dirties;
	m->dirty_page = 1 + 640 * 4 * 100 / 4096;
	WAIT_FOR(m, m->sink.dirties > dirties);
}

static struct fake_machine *racing;

static void write_while_unmapped(void)
{
	memset(racing->ram + 640 * 4 * 300, 0x5a, 4);
}

static void test_write_while_freezing(void **state)
{
	struct fake_machine *m = *state;

	set_vbe(m, 640, 480, 32);
	WAIT_FOR(m, m->sink.surfaces[0] != NULL);
	racing = m;
	m->on_unmap = write_while_unmapped;
	m->sink.dirty = (struct rect){ 0 };
	WAIT_FOR(m, ram_region(m)->read_only);
	fake_machine_run(m);
	assert_true(m->sink.dirty.top <= 300 && m->sink.dirty.bottom > 300);
	assert_true(rect_height(&m->sink.dirty) < 8);
	m->on_unmap = NULL;
}

static void test_converted_write_while_freezing(void **state)
{
	struct fake_machine *m = *state;

	set_vbe(m, 640, 480, 24);
	WAIT_FOR(m, m->sink.surfaces[0] != NULL);
	racing = m;
	m->on_unmap = write_while_unmapped;
	WAIT_FOR(m, ram_region(m)->read_only);
	fake_machine_run(m);
	assert_memory_equal(surface_row(m->sink.surfaces[0], 400), "\x5a\x5a\x5a\x00", 4);
	m->on_unmap = NULL;
}

static void test_not_watched(void **state)
{
	struct fake_machine *m = *state;
	uint32_t dirties;

	set_vbe(m, 640, 480, 32);
	WAIT_FOR(m, m->sink.surfaces[0] != NULL);
	qxl_set_watched(m->qxl, false);
	m->dirty_page = 1;
	dirties = m->sink.dirties;
	bus_write(m->host.mmio, 0xa0000, 1, 1);
	loop_run_once(m->loop, 100);
	loop_run_once(m->loop, 100);
	assert_int_equal(m->dirty_page, 1);
	assert_int_equal(m->sink.dirties, dirties);
	qxl_set_watched(m->qxl, true);
	WAIT_FOR(m, m->sink.dirties > dirties);
}

static void test_native_and_back(void **state)
{
	struct fake_machine *m = *state;

	set_vbe(m, 640, 480, 32);
	WAIT_FOR(m, m->sink.surfaces[0] != NULL);
	WAIT_FOR(m, ram_region(m)->read_only);
	/* The driver takes over: its memory is plain memory. */
	guest_start(m, 64, 48);
	assert_int_equal(m->sink.surfaces[0]->width, 64);
	assert_false(ram_region(m)->read_only);
	assert_false(ram_region(m)->log_dirty);
	vbe(m, VBE_XRES, 800);
	fake_machine_run(m);
	assert_int_equal(m->sink.surfaces[0]->width, 64);
	/* A write of a VGA register asks for the VGA again. */
	out(m, 0x3c4, 0);
	WAIT_FOR(m, m->sink.surfaces[0] && m->sink.surfaces[0]->width == 800);
	assert_true(ram_region(m)->log_dirty);
	/* And the driver once more. */
	guest_start(m, 32, 32);
	assert_int_equal(m->sink.surfaces[0]->width, 32);
	guest_push(m, QXL_CMD_DRAW, guest_address(m, guest_fill(m, 0, 0, 0, 1, 1, 1)));
	fake_machine_run(m);
	assert_int_equal(m->sink.draws, 1);
}

static void test_window(void **state)
{
	struct fake_machine *m = *state;

	/* Mode 13h as far as a pixel needs it. */
	static const uint8_t crtc[25] = { 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0, 0x41,
		0, 0, 0, 0, 0, 0, 0x9c, 0x0e, 0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff };

	out(m, 0x3c2, 0x63);
	bus_write(m->host.ports, 0x3c4, 0x0101, 2);
	bus_write(m->host.ports, 0x3c4, 0x0f02, 2);
	bus_write(m->host.ports, 0x3c4, 0x0e04, 2);
	for (uint32_t i = 0; i < 25; i++)
		bus_write(m->host.ports, 0x3d4, (uint32_t)crtc[i] << 8 | i, 2);
	bus_write(m->host.ports, 0x3ce, 0x4005, 2);
	bus_write(m->host.ports, 0x3ce, 0x0506, 2);
	bus_write(m->host.ports, 0x3ce, 0xff08, 2);
	out(m, 0x3c8, 1);
	out(m, 0x3c9, 63);
	out(m, 0x3c9, 0);
	out(m, 0x3c9, 0);
	bus_read(m->host.ports, 0x3da, 1);
	out(m, 0x3c0, 0x20);
	bus_write(m->host.mmio, 0xa0004, 0x01010101, 4);
	WAIT_FOR(m, m->sink.surfaces[0] != NULL);
	assert_int_equal(m->sink.surfaces[0]->height, 400);
	assert_memory_equal(m->sink.surfaces[0]->data + 4 * 8, "\x00\x00\xff\x00", 4);
	assert_int_equal(bus_read(m->host.mmio, 0xa0004, 4), 0x01010101);
	m->sink.dirties = 0;
	bus_write(m->host.mmio, 0xa0000 + 320 * 10, 1, 1);
	WAIT_FOR(m, m->sink.dirties > 0);
	assert_int_equal(m->sink.dirty.bottom, 22);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_vbe_ports, setup, teardown),
		cmocka_unit_test_setup_teardown(test_still_screen_sleeps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_thaw, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_while_freezing, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_converted_write_while_freezing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_watched, setup, teardown),
		cmocka_unit_test_setup_teardown(test_native_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_window, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

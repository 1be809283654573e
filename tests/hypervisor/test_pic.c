/* SPDX-License-Identifier: MIT */
/* The 8259 pair as its data sheet has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "hypervisor/pic.h"

static struct pic pic;

/* As PC firmware does: vectors 0x08 and 0x70, everything unmasked. */
static void init(uint8_t icw4)
{
	static const uint8_t bases[] = { 0x08, 0x70 };

	pic = (struct pic){ 0 };
	pic_reset(&pic);
	for (unsigned i = 0; i < 2; i++) {
		uint16_t port = i ? PIC_SLAVE_PORT : PIC_MASTER_PORT;

		pic_write(&pic, port, 0x11);
		pic_write(&pic, port + 1, bases[i]);
		pic_write(&pic, port + 1, i ? 2 : 4);
		pic_write(&pic, port + 1, icw4);
	}
}

static int setup(void **state)
{
	init(0x01);
	return 0;
}

static void pulse(unsigned irq)
{
	pic_set_irq(&pic, irq, true);
	pic_set_irq(&pic, irq, false);
}

static uint8_t isr(uint16_t port)
{
	pic_write(&pic, port, 0x0b);
	return pic_read(&pic, port);
}

static uint8_t irr(uint16_t port)
{
	pic_write(&pic, port, 0x0a);
	return pic_read(&pic, port);
}

static void test_edge(void **state)
{
	assert_false(pic_output(&pic));
	pic_set_irq(&pic, 1, true);
	assert_true(pic_output(&pic));
	assert_int_equal(irr(0x20), 0x02);
	assert_int_equal(pic_acknowledge(&pic), 0x09);
	assert_int_equal(isr(0x20), 0x02);
	assert_false(pic_output(&pic));
	/* The level alone is no new request. */
	pic_write(&pic, 0x20, 0x20);
	assert_false(pic_output(&pic));
	pic_set_irq(&pic, 1, false);
	pic_set_irq(&pic, 1, true);
	assert_true(pic_output(&pic));
}

static void test_priority(void **state)
{
	pulse(3);
	pulse(6);
	assert_int_equal(pic_acknowledge(&pic), 0x0b);
	assert_false(pic_output(&pic)); /* 6 waits for 3 */
	pulse(1);
	assert_true(pic_output(&pic)); /* 1 does not */
	assert_int_equal(pic_acknowledge(&pic), 0x09);
	pic_write(&pic, 0x20, 0x20); /* ends 1, the most urgent one */
	assert_int_equal(isr(0x20), 0x08);
	pic_write(&pic, 0x20, 0x63);
	assert_int_equal(isr(0x20), 0);
	assert_int_equal(pic_acknowledge(&pic), 0x0e);
}

static void test_cascade(void **state)
{
	pulse(12);
	assert_int_equal(irr(0x20), 0x04);
	assert_int_equal(pic_acknowledge(&pic), 0x74);
	assert_int_equal(isr(0x20), 0x04);
	assert_int_equal(isr(0xa0), 0x10);
	pulse(8); /* more urgent in the slave, but the master serves it: not nested */
	assert_false(pic_output(&pic));
	pic_write(&pic, 0xa0, 0x20);
	pic_write(&pic, 0x20, 0x20);
	assert_int_equal(pic_acknowledge(&pic), 0x70);
}

static void test_special_fully_nested(void **state)
{
	init(0x11);
	pulse(12);
	assert_int_equal(pic_acknowledge(&pic), 0x74);
	pulse(8);
	assert_true(pic_output(&pic));
	assert_int_equal(pic_acknowledge(&pic), 0x70);
}

static void test_level(void **state)
{
	assert_int_equal(pic_read(&pic, 0x4d0), 0);
	assert_int_equal(pic_read(&pic, 0x4d1), 0x0e);
	pic_set_irq(&pic, 10, true);
	assert_int_equal(pic_acknowledge(&pic), 0x72);
	pic_write(&pic, 0xa0, 0x62);
	pic_write(&pic, 0x20, 0x62);
	assert_true(pic_output(&pic)); /* still high */
	pic_set_irq(&pic, 10, false);
	assert_false(pic_output(&pic));
	pic_write(&pic, 0x4d0, 0xff);
	assert_int_equal(pic_read(&pic, 0x4d0), 0xf8);
	pic_write(&pic, 0x4d1, 0xff);
	assert_int_equal(pic_read(&pic, 0x4d1), 0xde);
	/* IRQ 5, now a level that stays through the initialisation. */
	pic_set_irq(&pic, 5, true);
	init(1);
	assert_int_equal(irr(0x20), 0);
}

static void test_spurious(void **state)
{
	assert_int_equal(pic_acknowledge(&pic), 0x0f);
	assert_int_equal(isr(0x20), 0);
	/* The slave's request goes between the master's two acknowledge cycles. */
	pic_set_irq(&pic, 9, true);
	pic.chips[1].irr = 0;
	assert_int_equal(pic_acknowledge(&pic), 0x77);
	assert_int_equal(isr(0x20), 0x04);
	assert_int_equal(isr(0xa0), 0);
}

static void test_mask(void **state)
{
	pic_write(&pic, 0x21, 0xfb);
	pulse(4);
	assert_false(pic_output(&pic));
	assert_int_equal(pic_read(&pic, 0x21), 0xfb);
	pic_write(&pic, 0x21, 0xef);
	assert_int_equal(pic_acknowledge(&pic), 0x0c); /* it was remembered */
	/* Special mask mode: what is masked while served holds up nobody. */
	pic_write(&pic, 0x21, 0x10);
	pulse(6);
	assert_false(pic_output(&pic));
	pic_write(&pic, 0x20, 0x68);
	assert_true(pic_output(&pic));
	assert_int_equal(pic_acknowledge(&pic), 0x0e);
	pic_write(&pic, 0x20, 0x20); /* ends 6, not the masked 4 */
	assert_int_equal(isr(0x20), 0x10);
	pic_write(&pic, 0x20, 0x48);
	pulse(6);
	assert_false(pic_output(&pic));
}

static void test_rotation(void **state)
{
	pulse(3);
	assert_int_equal(pic_acknowledge(&pic), 0x0b);
	pic_write(&pic, 0x20, 0xa0); /* 3 becomes the least urgent */
	pulse(3);
	pulse(7);
	assert_int_equal(pic_acknowledge(&pic), 0x0f);
	pic_write(&pic, 0x20, 0x67);
	pic_write(&pic, 0x20, 0xc6); /* 7 is the most urgent */
	pulse(7);
	assert_int_equal(pic_acknowledge(&pic), 0x0f);
	pic_write(&pic, 0x20, 0xe7); /* ends it, and it is the least urgent */
	assert_int_equal(isr(0x20), 0);
	pulse(7);
	assert_int_equal(pic_acknowledge(&pic), 0x0b);
}

static void test_auto_eoi(void **state)
{
	init(0x03);
	pulse(2); /* nobody is there */
	pulse(4);
	pulse(5);
	assert_int_equal(pic_acknowledge(&pic), 0x0c);
	assert_int_equal(isr(0x20), 0);
	assert_int_equal(pic_acknowledge(&pic), 0x0d);
	assert_false(pic_output(&pic));
	pic_write(&pic, 0x20, 0x80); /* and rotating */
	pulse(0);
	assert_int_equal(pic_acknowledge(&pic), 0x08);
	pulse(0);
	pulse(1);
	assert_int_equal(pic_acknowledge(&pic), 0x09);
}

static void test_poll(void **state)
{
	pic_write(&pic, 0x20, 0x0c);
	assert_int_equal(pic_read(&pic, 0x20), 0);
	pulse(6);
	pic_write(&pic, 0x20, 0x0c);
	assert_int_equal(pic_read(&pic, 0x20), 0x86);
	assert_int_equal(isr(0x20), 0x40);
	assert_int_equal(pic_read(&pic, 0x21), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_edge, setup),
		cmocka_unit_test_setup(test_priority, setup),
		cmocka_unit_test_setup(test_cascade, setup),
		cmocka_unit_test_setup(test_special_fully_nested, setup),
		cmocka_unit_test_setup(test_level, setup),
		cmocka_unit_test_setup(test_spurious, setup),
		cmocka_unit_test_setup(test_mask, setup),
		cmocka_unit_test_setup(test_rotation, setup),
		cmocka_unit_test_setup(test_auto_eoi, setup),
		cmocka_unit_test_setup(test_poll, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

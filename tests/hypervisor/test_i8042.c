/* SPDX-License-Identifier: MIT */
/* Keyboard controller, keyboard and mouse as drivers see them, and guests that do not read. */
#include "hypervisor/i8042.h"
#include "tests/hypervisor/legacy_fixture.h"

struct fixture {
	struct legacy_pc pc;
	struct i8042 *dev;
	uint32_t leds;
	unsigned leds_told;
};

static void on_leds(void *opaque, uint32_t leds)
{
	struct fixture *f = opaque;

	f->leds = leds;
	f->leds_told++;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	legacy_init(&f->pc);
	assert_int_equal(i8042_create(&f->dev, &f->pc.host, f->pc.control, on_leds, f), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	i8042_destroy(f->dev);
	legacy_finish(&f->pc);
	free(f);
	return 0;
}

/* Reads what is there, at most max bytes; the bytes of the mouse if `mouse`, else of the keyboard. */
static size_t drain(struct fixture *f, bool mouse, uint8_t *out, size_t max)
{
	size_t n = 0;
	uint8_t status;

	while (n < max && ((status = in8(&f->pc, 0x64)) & 1)) {
		assert_int_equal(!!(status & 0x20), mouse);
		assert_int_equal(f->pc.line[1], !mouse);
		assert_int_equal(f->pc.line[12], mouse);
		out[n++] = in8(&f->pc, 0x60);
	}
	return n;
}

static void expect(struct fixture *f, bool mouse, const uint8_t *bytes, size_t count)
{
	uint8_t got[256];
	size_t n = drain(f, mouse, got, sizeof(got));

	assert_int_equal(n, count);
	assert_memory_equal(got, bytes, count);
	assert_false(f->pc.line[1] || f->pc.line[12]);
}

#define EXPECT_KEYS(f, ...) \
	expect(f, false, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))
#define EXPECT_MOUSE(f, ...) \
	expect(f, true, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

static void press(struct fixture *f, uint32_t scancode)
{
	i8042_key(f->dev, scancode, true);
	i8042_key(f->dev, scancode, false);
}

static void key_command(struct fixture *f, uint8_t byte)
{
	out8(&f->pc, 0x60, byte);
}

static void mouse_command(struct fixture *f, uint8_t byte)
{
	out8(&f->pc, 0x64, 0xd4);
	out8(&f->pc, 0x60, byte);
}

static void set_mode(struct fixture *f, uint8_t mode)
{
	out8(&f->pc, 0x64, 0x60);
	out8(&f->pc, 0x60, mode);
}

/* By default the guest sees exactly the codes that core/ports.h speaks of. */
static void test_set1(void **state)
{
	struct fixture *f = *state;

	for (uint8_t code = 1; code < 0x80; code++) {
		press(f, code);
		EXPECT_KEYS(f, code, code | 0x80);
		if (code == 0x37)
			continue;
		press(f, 0x100u | code);
		EXPECT_KEYS(f, 0xe0, code, 0xe0, code | 0x80);
	}
	press(f, 0);
	press(f, 0x100);
	press(f, 0x80);
	press(f, 0x3ff);
	press(f, 0xffffffff);
	EXPECT_KEYS(f);
	assert_true(f->pc.edges[1] > 127 * 2);
}

static void test_special_keys(void **state)
{
	struct fixture *f = *state;

	press(f, 0x137);
	EXPECT_KEYS(f, 0xe0, 0x2a, 0xe0, 0x37, 0xe0, 0xb7, 0xe0, 0xaa);
	i8042_key(f->dev, 0x36, true);
	press(f, 0x137);
	i8042_key(f->dev, 0x36, false);
	EXPECT_KEYS(f, 0x36, 0xe0, 0x37, 0xe0, 0xb7, 0xb6);
	i8042_key(f->dev, 0x38, true);
	i8042_key(f->dev, 0x137, true);
	i8042_key(f->dev, 0x38, false); /* it comes up as it went down */
	i8042_key(f->dev, 0x137, false);
	EXPECT_KEYS(f, 0x38, 0x54, 0xb8, 0xd4);
	press(f, 0x21d);
	EXPECT_KEYS(f, 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5);
	i8042_key(f->dev, 0x1d, true);
	press(f, 0x21d);
	EXPECT_KEYS(f, 0x1d, 0xe0, 0x46, 0xe0, 0xc6);
	i8042_key(f->dev, 0x1d, false);
	EXPECT_KEYS(f, 0x9d);
	/* A repeat is a press. */
	i8042_key(f->dev, 0x1e, true);
	i8042_key(f->dev, 0x1e, true);
	i8042_key(f->dev, 0x1e, false);
	EXPECT_KEYS(f, 0x1e, 0x1e, 0x9e);
}

static void test_other_sets(void **state)
{
	struct fixture *f = *state;

	set_mode(f, 0x03); /* no translation */
	press(f, 0x1e);
	press(f, 0x148);
	press(f, 0x41); /* F7 */
	EXPECT_KEYS(f, 0x1c, 0xf0, 0x1c, 0xe0, 0x75, 0xe0, 0xf0, 0x75, 0x83, 0xf0, 0x83);
	press(f, 0x21d);
	EXPECT_KEYS(f, 0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77);
	key_command(f, 0xf0);
	key_command(f, 0x01);
	EXPECT_KEYS(f, 0xfa, 0xfa);
	press(f, 0x14b);
	EXPECT_KEYS(f, 0xe0, 0x4b, 0xe0, 0xcb);
	key_command(f, 0xf0);
	key_command(f, 0x03);
	EXPECT_KEYS(f, 0xfa, 0xfa);
	press(f, 0x1d);
	press(f, 0x11c);
	press(f, 0x137);
	press(f, 0x21d);
	press(f, 0x17f); /* not on this keyboard */
	EXPECT_KEYS(f, 0x11, 0xf0, 0x11, 0x79, 0xf0, 0x79, 0x57, 0xf0, 0x57, 0x62, 0xf0, 0x62);
	key_command(f, 0xf0);
	key_command(f, 0x00);
	EXPECT_KEYS(f, 0xfa, 0xfa, 0x03);
	key_command(f, 0xf0);
	key_command(f, 0x04);
	EXPECT_KEYS(f, 0xfa, 0xfe);
}

static void test_controller(void **state)
{
	struct fixture *f = *state;
	struct legacy_pc *pc = &f->pc;
	static const uint8_t asks[][2] = { { 0xaa, 0x55 }, { 0xab, 0x00 }, { 0xa9, 0x00 },
		{ 0xa4, 0xf1 }, { 0xc0, 0x80 }, { 0x20, 0x43 } };

	assert_int_equal(in8(pc, 0x64), 0x18);
	for (unsigned i = 0; i < ARRAY_SIZE(asks); i++) {
		out8(pc, 0x64, asks[i][0]);
		EXPECT_KEYS(f, asks[i][1]);
	}
	assert_int_equal(in8(pc, 0x64) & 0x04, 0x04); /* the self test was run */
	out8(pc, 0x64, 0x65);
	out8(pc, 0x60, 0x5a);
	out8(pc, 0x64, 0x25);
	EXPECT_KEYS(f, 0x5a);
	out8(pc, 0x64, 0xd2);
	out8(pc, 0x60, 0x77);
	EXPECT_KEYS(f, 0x77);
	out8(pc, 0x64, 0xd3);
	out8(pc, 0x60, 0x78);
	EXPECT_MOUSE(f, 0x78);
	/* A disabled device keeps its bytes; without interrupts the status tells. */
	out8(pc, 0x64, 0xad);
	press(f, 0x1e);
	assert_int_equal(in8(pc, 0x64) & 1, 0);
	out8(pc, 0x64, 0xae);
	EXPECT_KEYS(f, 0x1e, 0x9e);
	set_mode(f, 0x40);
	i8042_key(f->dev, 0x1e, true);
	assert_int_equal(in8(pc, 0x64) & 0x21, 1);
	assert_false(pc->line[1]);
	set_mode(f, 0x41);
	assert_true(pc->line[1]);
	i8042_reset(f->dev);
	assert_int_equal(in8(pc, 0x64), 0x18);
	assert_false(pc->line[1]);
}

static void test_reset_and_a20(void **state)
{
	struct fixture *f = *state;
	struct legacy_pc *pc = &f->pc;

	out8(pc, 0x64, 0xd1);
	out8(pc, 0x60, 0xdd);
	assert_false(system_control_a20(pc->control));
	out8(pc, 0x64, 0xdf);
	assert_true(system_control_a20(pc->control));
	out8(pc, 0x64, 0xdd);
	out8(pc, 0x64, 0xd0);
	EXPECT_KEYS(f, 0xcd);
	out8(pc, 0x64, 0xff);
	legacy_turn(pc);
	assert_int_equal(pc->resets, 0);
	out8(pc, 0x64, 0xfe);
	legacy_turn(pc);
	assert_int_equal(pc->resets, 1);
	out8(pc, 0x64, 0xd1);
	out8(pc, 0x60, 0x02);
	legacy_turn(pc);
	assert_int_equal(pc->resets, 2);
}

static void test_keyboard_commands(void **state)
{
	struct fixture *f = *state;

	key_command(f, 0xff);
	EXPECT_KEYS(f, 0xfa, 0xaa);
	key_command(f, 0xf2);
	EXPECT_KEYS(f, 0xfa, 0xab, 0x41);
	key_command(f, 0xee);
	EXPECT_KEYS(f, 0xee);
	key_command(f, 0x12);
	EXPECT_KEYS(f, 0xfe);
	key_command(f, 0xfe);
	EXPECT_KEYS(f, 0xfe);
	key_command(f, 0xf3);
	key_command(f, 0x20);
	EXPECT_KEYS(f, 0xfa, 0xfa);
	key_command(f, 0xed);
	key_command(f, 0x05);
	EXPECT_KEYS(f, 0xfa, 0xfa);
	assert_int_equal(f->leds_told, 0); /* not on the guest's thread */
	legacy_turn(&f->pc);
	assert_int_equal(f->leds, INPUT_LED_SCROLL | INPUT_LED_CAPS);
	key_command(f, 0xed);
	key_command(f, 0xf4); /* a command where a parameter was due */
	EXPECT_KEYS(f, 0xfa, 0xfa);
	legacy_turn(&f->pc);
	assert_int_equal(f->leds_told, 1);
	key_command(f, 0xff);
	legacy_turn(&f->pc);
	assert_int_equal(f->leds, 0);
	EXPECT_KEYS(f, 0xfa, 0xaa);
	/* An answer waits for the end of a key's bytes. */
	press(f, 0x21d);
	press(f, 0x1e);
	assert_int_equal(in8(&f->pc, 0x60), 0xe1);
	key_command(f, 0xee);
	EXPECT_KEYS(f, 0x1d, 0x45, 0xe1, 0x9d, 0xc5, 0xee, 0x1e, 0x9e);
}

/* Reads a backlog of the keyboard. Linux gives up when it gets 17 bytes without a pause. */
static size_t drain_bursts(struct fixture *f, uint8_t *out, size_t max)
{
	size_t n = 0, burst;

	do {
		burst = drain(f, false, out + n, max - n);
		assert_in_range(burst, 0, 16);
		n += burst;
		for (unsigned i = 0; i < 4 && !(in8(&f->pc, 0x64) & 1); i++)
			assert_int_equal(loop_run_once(f->pc.host.loop, 2), 0);
	} while (in8(&f->pc, 0x64) & 1);
	return n;
}

/* A guest that does not read for long gets whole keys, and no key stays down. */
static void test_full_queue(void **state)
{
	struct fixture *f = *state;
	uint8_t got[512];
	bool down[128] = { false };
	unsigned presses = 0;
	size_t n;

	i8042_key(f->dev, 0x2a, true);
	for (unsigned round = 0; round < 50; round++)
		for (uint8_t code = 2; code < 0x29; code++)
			press(f, code);
	i8042_key(f->dev, 0x2a, false);
	i8042_key(f->dev, 0x39, true); /* still held at the end, and dropped */
	n = drain_bursts(f, got, sizeof(got));
	assert_true(n < sizeof(got));
	for (size_t i = 0; i < n; i++) {
		presses += got[i] < 0x80;
		assert_int_equal(down[got[i] & 0x7f], got[i] >= 0x80); /* each press, its release */
		down[got[i] & 0x7f] = got[i] < 0x80;
	}
	assert_in_range(presses, 10, 40);
	for (unsigned i = 0; i < 128; i++)
		assert_false(down[i]);
	i8042_key(f->dev, 0x39, false); /* the guest knows nothing of it */
	EXPECT_KEYS(f);
	press(f, 0x39);
	EXPECT_KEYS(f, 0x39, 0xb9);
}

static void test_release_while_off(void **state)
{
	struct fixture *f = *state;

	i8042_key(f->dev, 0x1e, true);
	i8042_key(f->dev, 0x138, true);
	EXPECT_KEYS(f, 0x1e, 0xe0, 0x38);
	key_command(f, 0xf5);
	EXPECT_KEYS(f, 0xfa);
	i8042_key(f->dev, 0x1e, false);
	press(f, 0x30);
	i8042_key(f->dev, 0x138, false);
	EXPECT_KEYS(f);
	key_command(f, 0xf4);
	EXPECT_KEYS(f, 0xfa, 0x9e, 0xe0, 0xb8);
	/* A release that the guest's command threw away comes again. */
	i8042_key(f->dev, 0x1e, true);
	EXPECT_KEYS(f, 0x1e);
	i8042_key(f->dev, 0x2e, true);
	i8042_key(f->dev, 0x1e, false);
	assert_int_equal(in8(&f->pc, 0x60), 0x2e);
	out8(&f->pc, 0x64, 0xad); /* the rest is not in the output buffer yet */
	assert_int_equal(in8(&f->pc, 0x60), 0x9e);
	i8042_key(f->dev, 0x2e, false);
	key_command(f, 0xf4);
	EXPECT_KEYS(f, 0xfa, 0xae);
}

static void test_mouse_commands(void **state)
{
	struct fixture *f = *state;

	mouse_command(f, 0xff);
	EXPECT_MOUSE(f, 0xfa, 0xaa, 0x00);
	i8042_motion(f->dev, 5, 5); /* nobody asked */
	EXPECT_MOUSE(f);
	mouse_command(f, 0xf2);
	EXPECT_MOUSE(f, 0xfa, 0x00);
	mouse_command(f, 0xe8);
	mouse_command(f, 0x03);
	mouse_command(f, 0xe7);
	mouse_command(f, 0xf3);
	mouse_command(f, 40);
	mouse_command(f, 0xf4);
	EXPECT_MOUSE(f, 0xfa, 0xfa, 0xfa, 0xfa, 0xfa, 0xfa);
	i8042_button(f->dev, INPUT_BUTTON_RIGHT, true);
	EXPECT_MOUSE(f, 0x0a, 0, 0);
	mouse_command(f, 0xe9);
	EXPECT_MOUSE(f, 0xfa, 0x31, 0x03, 40);
	mouse_command(f, 0xee);
	mouse_command(f, 0x42);
	mouse_command(f, 0xec);
	EXPECT_MOUSE(f, 0xfa, 0x42, 0xfa);
	mouse_command(f, 0xf0); /* only when polled */
	EXPECT_MOUSE(f, 0xfa);
	i8042_motion(f->dev, 1, 2);
	EXPECT_MOUSE(f);
	mouse_command(f, 0xeb);
	EXPECT_MOUSE(f, 0xfa, 0x2a, 1, 0xfe);
	mouse_command(f, 0x01);
	EXPECT_MOUSE(f, 0xfe);
	/* A button let go while the mouse was off does not stick. */
	mouse_command(f, 0xea);
	mouse_command(f, 0xf5);
	EXPECT_MOUSE(f, 0xfa, 0xfa);
	i8042_button(f->dev, INPUT_BUTTON_RIGHT, false);
	mouse_command(f, 0xf4);
	EXPECT_MOUSE(f, 0xfa, 0x08, 0, 0);
	assert_true(f->pc.edges[12] > 10);
}

static void test_mouse_motion(void **state)
{
	struct fixture *f = *state;

	mouse_command(f, 0xf4);
	EXPECT_MOUSE(f, 0xfa);
	i8042_motion(f->dev, 3, -4);
	EXPECT_MOUSE(f, 0x08, 3, 4);
	i8042_motion(f->dev, -1, 1);
	EXPECT_MOUSE(f, 0x38, 0xff, 0xff);
	i8042_motion(f->dev, 300, 0);
	EXPECT_MOUSE(f, 0x08, 255, 0, 0x08, 45, 0);
	i8042_motion(f->dev, 0, 300);
	EXPECT_MOUSE(f, 0x28, 0, 0x01, 0x28, 0, 0xd3);
	i8042_button(f->dev, INPUT_BUTTON_UP, true); /* no wheel on this mouse */
	i8042_button(f->dev, INPUT_BUTTON_UP, false);
	EXPECT_MOUSE(f, 0x08, 0, 0);
	/* Motion is added up behind the packet that is being read; clicks keep their places. */
	i8042_motion(f->dev, 1, 0);
	assert_int_equal(in8(&f->pc, 0x60), 0x08);
	i8042_motion(f->dev, 1, 0);
	i8042_motion(f->dev, 2, 0);
	i8042_button(f->dev, INPUT_BUTTON_LEFT, true);
	i8042_motion(f->dev, 7, 0);
	i8042_button(f->dev, INPUT_BUTTON_LEFT, false);
	EXPECT_MOUSE(f, 1, 0, 0x08, 3, 0, 0x09, 7, 0, 0x08, 0, 0);
	/* An answer waits for the end of the packet. */
	i8042_motion(f->dev, 4, 0);
	i8042_motion(f->dev, 5, 0);
	assert_int_equal(in8(&f->pc, 0x60), 0x08);
	mouse_command(f, 0xf2);
	EXPECT_MOUSE(f, 4, 0, 0xfa, 0x00, 0x08, 5, 0);
}

static void set_rates(struct fixture *f, uint8_t a, uint8_t b, uint8_t c)
{
	const uint8_t rates[] = { a, b, c };

	for (unsigned i = 0; i < 3; i++) {
		mouse_command(f, 0xf3);
		mouse_command(f, rates[i]);
	}
	EXPECT_MOUSE(f, 0xfa, 0xfa, 0xfa, 0xfa, 0xfa, 0xfa);
}

static void test_mouse_wheel(void **state)
{
	struct fixture *f = *state;

	set_rates(f, 200, 100, 80);
	mouse_command(f, 0xf2);
	mouse_command(f, 0xf4);
	EXPECT_MOUSE(f, 0xfa, 0x03, 0xfa);
	i8042_button(f->dev, INPUT_BUTTON_UP, true);
	i8042_button(f->dev, INPUT_BUTTON_UP, false);
	EXPECT_MOUSE(f, 0x08, 0, 0, 0xff);
	set_rates(f, 200, 200, 80);
	mouse_command(f, 0xf2);
	EXPECT_MOUSE(f, 0xfa, 0x04);
	i8042_button(f->dev, INPUT_BUTTON_DOWN, true);
	EXPECT_MOUSE(f, 0x08, 0, 0, 0x01);
	i8042_button(f->dev, INPUT_BUTTON_SIDE, true);
	i8042_button(f->dev, INPUT_BUTTON_EXTRA, true);
	i8042_button(f->dev, INPUT_BUTTON_MIDDLE, true);
	EXPECT_MOUSE(f, 0x08, 0, 0, 0x10, 0x08, 0, 0, 0x30, 0x0c, 0, 0, 0x30);
	for (unsigned i = 0; i < 10; i++)
		i8042_button(f->dev, INPUT_BUTTON_UP, true);
	/* The first click is on its way; the other nine do not fit into one packet of four bits. */
	EXPECT_MOUSE(f, 0x0c, 0, 0, 0x3f, 0x0c, 0, 0, 0x39, 0x0c, 0, 0, 0x3e);
	mouse_command(f, 0xff);
	mouse_command(f, 0xf2);
	EXPECT_MOUSE(f, 0xfa, 0xaa, 0x00, 0xfa, 0x00);
}

static void test_mouse_full(void **state)
{
	struct fixture *f = *state;
	uint8_t got[6000];
	size_t n;

	mouse_command(f, 0xf4);
	EXPECT_MOUSE(f, 0xfa);
	for (unsigned i = 0; i < 10000; i++) {
		i8042_motion(f->dev, INT32_MAX, INT32_MIN);
		i8042_button(f->dev, INPUT_BUTTON_LEFT, i % 2 == 0);
		mouse_command(f, 0xe9);
	}
	i8042_button(f->dev, (enum input_button)99, true);
	mouse_command(f, 0xee); /* so that its echo marks the end */
	n = drain(f, true, got, sizeof(got));
	assert_true(n < sizeof(got));
	mouse_command(f, 0xec);
	n = drain(f, true, got, sizeof(got));
	assert_true(n > 3 && n % 3 == 1); /* the acknowledgement and whole packets */
	assert_int_equal(got[n - 3] & 0x07, 0); /* the button is up in the end */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_set1, setup, teardown),
		cmocka_unit_test_setup_teardown(test_special_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_sets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_controller, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset_and_a20, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keyboard_commands, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(test_release_while_off, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mouse_commands, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mouse_motion, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mouse_wheel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mouse_full, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

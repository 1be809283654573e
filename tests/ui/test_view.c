/* SPDX-License-Identifier: MIT */
/* The window's arithmetic: where the picture lies, which pixels depend on which, how they are scaled,
 * which key is which, how text is broken. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SDL_MAIN_HANDLED
#include <SDL.h>

#include "core/util.h"
#include "ui/font.h"
#include "ui/keymap.h"
#include "ui/overlay.h"
#include "ui/scale.h"
#include "ui/view.h"

static void expect_place(
	uint32_t gw, uint32_t gh, uint32_t ww, uint32_t wh, struct rect place, uint32_t factor)
{
	struct view view;

	view_fit(&view, gw, gh, ww, wh);
	if (!rect_equal(&view.place, &place) || view.factor != factor)
		fail_msg("%ux%u in %ux%u: %d,%d-%d,%d factor %u", gw, gh, ww, wh, view.place.left,
			view.place.top, view.place.right, view.place.bottom, view.factor);
}

static void test_fit(void **state)
{
	expect_place(640, 480, 640, 480, (struct rect){ 0, 0, 640, 480 }, 1);
	expect_place(640, 480, 1280, 960, (struct rect){ 0, 0, 1280, 960 }, 2);
	/* Bars at the sides, above and below. */
	expect_place(640, 480, 1000, 480, (struct rect){ 180, 0, 820, 480 }, 1);
	expect_place(640, 480, 640, 1000, (struct rect){ 0, 260, 640, 740 }, 1);
	/* A few pixels too many: still sharp. */
	expect_place(640, 480, 1290, 966, (struct rect){ 5, 3, 1285, 963 }, 2);
	/* Fractional. */
	expect_place(640, 480, 960, 720, (struct rect){ 0, 0, 960, 720 }, 0);
	expect_place(1920, 1080, 960, 540, (struct rect){ 0, 0, 960, 540 }, 0);
	expect_place(16384, 1, 100, 100, (struct rect){ 0, 49, 100, 50 }, 0);
	expect_place(0, 0, 100, 100, (struct rect){ 0, 0, 0, 0 }, 0);
}

static void test_to_guest(void **state)
{
	struct view view;
	struct point p;

	view_fit(&view, 320, 200, 660, 420);
	for (int32_t y = -50; y < 500; y += 7)
		for (int32_t x = -50; x < 700; x += 7) {
			p = view_to_guest(&view, x, y);
			assert_true(p.x >= 0 && p.x < 320 && p.y >= 0 && p.y < 200);
		}
	view_fit(&view, 320, 200, 640, 400);
	p = view_to_guest(&view, 639, 399);
	assert_true(p.x == 319 && p.y == 199);
	p = view_to_guest(&view, 21, 20);
	assert_true(p.x == 10 && p.y == 10);
}

static void test_window_size(void **state)
{
	uint32_t w, h;

	view_window_size(800, 600, 1, 1280, 1024, &w, &h);
	assert_true(w == 800 && h == 600);
	view_window_size(500, 300, 2, 1280, 1024, &w, &h);
	assert_true(w == 1000 && h == 600);
	view_window_size(800, 600, 2, 1280, 1024, &w, &h);
	assert_true(w == 800 && h == 600);
	view_window_size(2560, 1440, 1, 1280, 1024, &w, &h);
	assert_true(w == 1280 && h == 720);
}

static uint32_t pattern(uint32_t x, uint32_t y)
{
	return (x * 2654435761u ^ y * 40503u * 65537u) & 0xffffff;
}

static struct surface *picture(uint32_t width, uint32_t height)
{
	struct surface *s;

	assert_int_equal(surface_create(&s, SURFACE_XRGB8888, width, height), 0);
	for (uint32_t y = 0; y < height; y++)
		for (uint32_t x = 0; x < width; x++)
			((uint32_t *)(void *)surface_row(s, y))[x] = pattern(x, y);
	return s;
}

static uint32_t at(const struct surface *s, uint32_t x, uint32_t y)
{
	return ((const uint32_t *)(const void *)surface_row(s, y))[x] & 0xffffff;
}

/* What changes in the guest's picture is repainted in the window: painting only what view_to_window()
 * says equals painting all, for every scale. */
static void check_partial(uint32_t gw, uint32_t gh, uint32_t ww, uint32_t wh)
{
	struct surface *guest = picture(gw, gh), *part, *whole;
	struct view view;

	view_fit(&view, gw, gh, ww, wh);
	assert_int_equal(surface_create(&part, SURFACE_XRGB8888, ww, wh), 0);
	assert_int_equal(surface_create(&whole, SURFACE_XRGB8888, ww, wh), 0);
	assert_int_equal(scale_paint(part, &view, guest, &view.place), 0);
	for (uint32_t round = 0; round < 12; round++) {
		struct rect area = rect_make((int32_t)(round * 5 % gw), (int32_t)(round * 3 % gh),
			1 + (int32_t)round % 3, 1 + (int32_t)round % 4);
		struct rect bounds = surface_bounds(guest), place;
		area = rect_intersect(&area, &bounds);
		for (int32_t y = area.top; y < area.bottom; y++)
			for (int32_t x = area.left; x < area.right; x++)
				((uint32_t *)(void *)surface_row(guest, (uint32_t)y))[x] ^=
					0xffffff;
		place = view_to_window(&view, &area);
		assert_int_equal(scale_paint(part, &view, guest, &place), 0);
	}
	assert_int_equal(scale_paint(whole, &view, guest, &view.place), 0);
	for (uint32_t y = 0; y < wh; y++)
		for (uint32_t x = 0; x < ww; x++)
			if (at(part, x, y) != at(whole, x, y))
				fail_msg("%ux%u in %ux%u: pixel %u, %u is %06x, not %06x", gw, gh,
					ww, wh, x, y, at(part, x, y), at(whole, x, y));
	surface_unref(guest);
	surface_unref(part);
	surface_unref(whole);
}

static void test_partial(void **state)
{
	check_partial(40, 30, 40, 30);
	check_partial(40, 30, 80, 60);
	check_partial(40, 30, 123, 91);
	check_partial(40, 30, 61, 47);
	check_partial(40, 30, 59, 100);
	check_partial(40, 30, 39, 29);
	check_partial(40, 30, 17, 13);
	check_partial(40, 30, 3, 2);
}

static void test_integral_pixels(void **state)
{
	struct surface *guest = picture(20, 10), *window;
	struct rect odd = { 7, 5, 52, 28 };
	struct view view;

	view_fit(&view, 20, 10, 60, 30);
	assert_int_equal(view.factor, 3);
	assert_int_equal(surface_create(&window, SURFACE_XRGB8888, 60, 30), 0);
	assert_int_equal(scale_paint(window, &view, guest, &odd), 0);
	for (uint32_t y = 0; y < 30; y++)
		for (uint32_t x = 0; x < 60; x++) {
			bool inside = x >= 7 && x < 52 && y >= 5 && y < 28;
			assert_int_equal(at(window, x, y), inside ? pattern(x / 3, y / 3) : 0);
		}
	surface_unref(guest);
	surface_unref(window);
}

/* Averaging keeps the mean: half black, half white becomes grey; a plain picture stays as it is. */
static void test_average(void **state)
{
	struct surface *guest, *window;
	struct view view;

	assert_int_equal(surface_create(&guest, SURFACE_XRGB8888, 64, 64), 0);
	for (uint32_t y = 0; y < 64; y++)
		for (uint32_t x = 0; x < 64; x++)
			((uint32_t *)(void *)surface_row(guest, y))[x] =
				y < 32 ? ((x + y) % 2 ? 0xffffff : 0) : 0x336699;
	view_fit(&view, 64, 64, 32, 32);
	assert_int_equal(surface_create(&window, SURFACE_XRGB8888, 32, 32), 0);
	assert_int_equal(scale_paint(window, &view, guest, &view.place), 0);
	assert_int_equal(at(window, 3, 3), 0x808080);
	assert_int_equal(at(window, 30, 30), 0x336699);
	surface_unref(guest);
	surface_unref(window);
}

static void test_keymap(void **state)
{
	static const struct {
		SDL_Scancode key;
		uint32_t code;
	} some[] = { { SDL_SCANCODE_A, 0x1e }, { SDL_SCANCODE_RCTRL, 0x11d },
		{ SDL_SCANCODE_PAUSE, 0x21d }, { SDL_SCANCODE_PRINTSCREEN, 0x137 },
		{ SDL_SCANCODE_NONUSBACKSLASH, 0x56 }, { SDL_SCANCODE_KP_ENTER, 0x11c },
		{ SDL_SCANCODE_LANG1, 0x72 }, { SDL_SCANCODE_INTERNATIONAL3, 0x7d },
		{ SDL_SCANCODE_AUDIOMUTE, 0x120 }, { SDL_SCANCODE_F12, 0x58 },
		{ SDL_SCANCODE_UNKNOWN, 0 } };
	uint32_t used[0x300] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(some); i++)
		assert_int_equal(keymap_set1(some[i].key), some[i].code);
	assert_int_equal(keymap_set1(SDL_NUM_SCANCODES), 0);
	assert_int_equal(keymap_set1(UINT32_MAX), 0);
	/* The whole 105-key board and no code twice on it. */
	for (uint32_t key = SDL_SCANCODE_A; key <= SDL_SCANCODE_APPLICATION; key++) {
		uint32_t code = keymap_set1(key);
		if (code == 0)
			fail_msg("no code for key %u", key);
		if (used[code]++ && key != SDL_SCANCODE_NONUSHASH)
			fail_msg("key %u has another's code %x", key, code);
	}
	/* A break code must not be mistaken for another key: seven bits. */
	for (uint32_t key = 0; key < SDL_NUM_SCANCODES; key++)
		assert_int_equal(keymap_set1(key) & 0x80, 0);
}

static void test_overlay(void **state)
{
	struct surface *window = picture(400, 200);
	uint32_t corner = at(window, 2, 2), text = 0;

	overlay_notice(
		window, "The connection was lost. Something rather long is told here, too.", 2);
	for (uint32_t i = 0; i < 400 * 200; i++)
		text += at(window, i % 400, i / 400) == 0xf0f0f0;
	assert_true(text > 500);
	assert_int_equal(at(window, 2, 2), corner);
	/* Nothing that is said breaks it: small windows, long words, odd bytes, many lines. */
	surface_unref(window);
	for (uint32_t side = 1; side < 60; side += 7) {
		window = picture(side, side);
		overlay_notice(window, "", 2);
		overlay_notice(window, "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n", 2);
		overlay_notice(
			window, "Donaudampfschifffahrtsgesellschaftskapit\xc3\xa4n\x80\xff", 3);
		surface_unref(window);
	}
	for (uint32_t code = FONT_FIRST + 1; code <= FONT_LAST; code++) {
		static const uint8_t nothing[FONT_HEIGHT];
		assert_memory_not_equal(font_glyph(code), nothing, FONT_HEIGHT);
		for (uint32_t other = FONT_FIRST; other < code; other++)
			assert_memory_not_equal(font_glyph(code), font_glyph(other), FONT_HEIGHT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fit),
		cmocka_unit_test(test_to_guest),
		cmocka_unit_test(test_window_size),
		cmocka_unit_test(test_partial),
		cmocka_unit_test(test_integral_pixels),
		cmocka_unit_test(test_average),
		cmocka_unit_test(test_keymap),
		cmocka_unit_test(test_overlay),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

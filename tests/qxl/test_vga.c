/* SPDX-License-Identifier: MIT */
/* The VGA's modes, set up through its ports as the BIOS does, against pixels worked out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/util.h"
#include "qxl/vga.h"

enum { RAM_BYTES = 4 << 20, PAGES = RAM_BYTES / VGA_PAGE_BYTES };

struct card {
	struct vga vga;
	struct vga_renderer renderer;
	struct vga_changes changes;
	uint8_t *ram;
};

/* The register values of IBM's BIOS tables: misc, sequencer 1-4, CRTC, graphics, attribute
 * 10-14. */
struct mode {
	uint8_t misc;
	uint8_t seq[4];
	uint8_t crtc[25];
	uint8_t gfx[9];
	uint8_t attr_mode;
	uint8_t attr_panning;
};

static const struct mode text_80x25 = { 0x67, { 0x00, 0x03, 0x00, 0x02 },
	{ 0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c,
		0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff },
	{ 0, 0, 0, 0, 0, 0x10, 0x0e, 0x0f, 0xff }, 0x0c, 0x08 };
static const struct mode text_40x25 = { 0x67, { 0x08, 0x03, 0x00, 0x02 },
	{ 0x2d, 0x27, 0x28, 0x90, 0x2b, 0xa0, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c,
		0x8e, 0x8f, 0x14, 0x1f, 0x96, 0xb9, 0xa3, 0xff },
	{ 0, 0, 0, 0, 0, 0x10, 0x0e, 0x0f, 0xff }, 0x0c, 0x08 };
static const struct mode graphics_12 = { 0xe3, { 0x01, 0x0f, 0x00, 0x06 },
	{ 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0x00, 0x40, 0, 0, 0, 0, 0, 0, 0xea, 0x8c,
		0xdf, 0x28, 0x00, 0xe7, 0x04, 0xe3, 0xff },
	{ 0, 0, 0, 0, 0, 0x00, 0x05, 0x0f, 0xff }, 0x01, 0 };
static const struct mode graphics_0d = { 0x63, { 0x09, 0x0f, 0x00, 0x06 },
	{ 0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0x00, 0xc0, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e,
		0x8f, 0x14, 0x00, 0x96, 0xb9, 0xe3, 0xff },
	{ 0, 0, 0, 0, 0, 0x00, 0x05, 0x0f, 0xff }, 0x01, 0 };
static const struct mode graphics_04 = { 0x63, { 0x09, 0x03, 0x00, 0x02 },
	{ 0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0x00, 0xc1, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e,
		0x8f, 0x14, 0x00, 0x96, 0xb9, 0xa2, 0xff },
	{ 0, 0, 0, 0, 0, 0x30, 0x0f, 0x0f, 0xff }, 0x01, 0 };
static const struct mode graphics_06 = { 0x63, { 0x01, 0x01, 0x00, 0x06 },
	{ 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0xc1, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e,
		0x8f, 0x28, 0x00, 0x96, 0xb9, 0xc2, 0xff },
	{ 0, 0, 0, 0, 0, 0x00, 0x0d, 0x0f, 0xff }, 0x01, 0 };
static const struct mode graphics_13 = { 0x63, { 0x01, 0x0f, 0x00, 0x0e },
	{ 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0x41, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e,
		0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff },
	{ 0, 0, 0, 0, 0, 0x40, 0x05, 0x0f, 0xff }, 0x41, 0 };

static void out(struct card *c, uint16_t port, uint8_t value)
{
	vga_port_write(&c->vga, port, value);
}

static void out_indexed(struct card *c, uint16_t port, uint8_t index, uint8_t value)
{
	out(c, port, index);
	out(c, port + 1, value);
}

static void out_attr(struct card *c, uint8_t index, uint8_t value)
{
	vga_port_read(&c->vga, 0x3da);
	out(c, 0x3c0, index);
	out(c, 0x3c0, value);
}

static void set_color(struct card *c, uint8_t index, uint8_t r, uint8_t g, uint8_t b)
{
	out(c, 0x3c8, index);
	out(c, 0x3c9, r);
	out(c, 0x3c9, g);
	out(c, 0x3c9, b);
}

/* DAC entry i is a colour that says i. */
static uint32_t shade(uint32_t i)
{
	uint32_t r = i & 63, g = i >> 2 & 63, b = (i * 5) & 63;

	return (r << 2 | r >> 4) << 16 | (g << 2 | g >> 4) << 8 | (b << 2 | b >> 4);
}

static void set_mode(struct card *c, const struct mode *mode)
{
	out(c, 0x3c2, mode->misc);
	for (uint8_t i = 0; i < 4; i++)
		out_indexed(c, 0x3c4, i + 1, mode->seq[i]);
	out_indexed(c, 0x3d4, 0x11, 0);
	for (uint8_t i = 0; i < 25; i++)
		out_indexed(c, 0x3d4, i, mode->crtc[i]);
	for (uint8_t i = 0; i < 9; i++)
		out_indexed(c, 0x3ce, i, mode->gfx[i]);
	for (uint8_t i = 0; i < 16; i++)
		out_attr(c, i, i);
	out_attr(c, 0x10, mode->attr_mode);
	out_attr(c, 0x12, 0x0f);
	out_attr(c, 0x13, mode->attr_panning);
	out_attr(c, 0x14, 0);
	vga_port_read(&c->vga, 0x3da);
	out(c, 0x3c0, 0x20);
	for (uint32_t i = 0; i < 256; i++)
		set_color(c, (uint8_t)i, i & 63, i >> 2 & 63, (i * 5) & 63);
}

static void poke(struct card *c, uint32_t address, uint8_t value)
{
	vga_window_write(&c->vga, address - VGA_WINDOW_BASE, value);
}

static uint8_t peek(struct card *c, uint32_t address)
{
	return vga_window_read(&c->vga, address - VGA_WINDOW_BASE);
}

static void show(struct card *c)
{
	uint64_t dirty[PAGES / 64];

	memcpy(dirty, c->vga.dirty, sizeof(dirty));
	memset(c->vga.dirty, 0, sizeof(c->vga.dirty));
	assert_int_equal(vga_render(&c->renderer, &c->vga.regs, dirty, &c->changes), 0);
}

static uint32_t pixel(const struct card *c, uint32_t x, uint32_t y)
{
	uint32_t word;

	assert_true(x < c->renderer.surface->width && y < c->renderer.surface->height);
	memcpy(&word, surface_row(c->renderer.surface, y) + 4 * (size_t)x, 4);
	return word & 0xffffff;
}

static void assert_size(const struct card *c, uint32_t width, uint32_t height)
{
	assert_non_null(c->renderer.surface);
	assert_int_equal(c->renderer.surface->width, width);
	assert_int_equal(c->renderer.surface->height, height);
}

static int setup(void **state)
{
	struct card *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->ram = calloc(1, RAM_BYTES);
	assert_non_null(c->ram);
	vga_init(&c->vga, c->ram, RAM_BYTES);
	vga_renderer_init(&c->renderer, c->ram, RAM_BYTES);
	*state = c;
	return 0;
}

static int teardown(void **state)
{
	struct card *c = *state;

	vga_renderer_finish(&c->renderer);
	free(c->ram);
	free(c);
	return 0;
}

static void test_off_at_first(void **state)
{
	struct card *c = *state;

	show(c);
	assert_null(c->renderer.surface);
	assert_false(c->changes.replaced);
}

/* A font in plane 2, as the BIOS loads it: glyph n's line l is n + l. */
static void load_font(struct card *c, uint32_t at)
{
	out_indexed(c, 0x3c4, 2, 0x04);
	out_indexed(c, 0x3c4, 4, 0x06);
	out_indexed(c, 0x3ce, 5, 0x00);
	out_indexed(c, 0x3ce, 6, 0x04);
	for (uint32_t n = 0; n < 256; n++)
		for (uint32_t line = 0; line < 32; line++)
			poke(c, VGA_WINDOW_BASE + at + n * 32 + line, (uint8_t)(n + line));
	out_indexed(c, 0x3c4, 2, 0x03);
	out_indexed(c, 0x3c4, 4, 0x02);
	out_indexed(c, 0x3ce, 5, 0x10);
	out_indexed(c, 0x3ce, 6, 0x0e);
}

static void assert_glyph(const struct card *c, uint32_t left, uint32_t top, uint8_t character,
	uint32_t on, uint32_t off, bool nine, uint32_t wide)
{
	for (uint32_t line = 0; line < 16; line++) {
		uint8_t bits = (uint8_t)(character + line);

		for (uint32_t x = 0; x < (nine ? 9u : 8u); x++) {
			bool set = x < 8 ? bits >> (7 - x) & 1
					 : bits & 1 && character >= 0xc0 && character <= 0xdf;

			for (uint32_t i = 0; i < wide; i++)
				assert_int_equal(pixel(c, left + x * wide + i, top + line),
					shade(set ? on : off));
		}
	}
}

static void test_text(void **state)
{
	struct card *c = *state;

	set_mode(c, &text_80x25);
	load_font(c, 0);
	out_indexed(c, 0x3d4, 0x0a, 0x20); /* no cursor */
	poke(c, 0xb8000, 'A');
	poke(c, 0xb8001, 0x1e);
	poke(c, 0xb8002, 0xc4);
	poke(c, 0xb8003, 0x07);
	poke(c, 0xb8000 + 2 * (24 * 80 + 79), 'z');
	poke(c, 0xb8001 + 2 * (24 * 80 + 79), 0x9e);
	assert_int_equal(peek(c, 0xb8000), 'A');
	assert_int_equal(peek(c, 0xb8003), 0x07);
	show(c);
	assert_true(c->changes.replaced);
	assert_size(c, 720, 400);
	assert_glyph(c, 0, 0, 'A', 0x0e, 0x01, true, 1);
	assert_glyph(c, 9, 0, 0xc4, 0x07, 0x00, true, 1);
	/* Blinking is on: bit 7 is no colour, and the cell is shown steadily. */
	assert_glyph(c, 79 * 9, 24 * 16, 'z', 0x0e, 0x01, true, 1);
	/* Bit 7 as high intensity. */
	out_attr(c, 0x10, 0x04);
	out(c, 0x3c0, 0x20);
	show(c);
	assert_glyph(c, 79 * 9, 24 * 16, 'z', 0x0e, 0x09, true, 1);
	/* Eight dots. */
	out_indexed(c, 0x3c4, 1, 0x01);
	show(c);
	assert_true(c->changes.replaced);
	assert_size(c, 640, 400);
	assert_glyph(c, 8, 0, 0xc4, 0x07, 0x00, false, 1);
}

static void test_text_changes(void **state)
{
	struct card *c = *state;

	set_mode(c, &text_80x25);
	load_font(c, 0);
	out_indexed(c, 0x3d4, 0x0a, 0x20);
	show(c);
	show(c);
	assert_false(c->changes.replaced);
	assert_int_equal(c->changes.count, 0);
	poke(c, 0xb8000 + 2 * (3 * 80 + 5), 'x');
	poke(c, 0xb8000 + 2 * (3 * 80 + 7), 'y');
	show(c);
	assert_int_equal(c->changes.count, 1);
	assert_int_equal(c->changes.rects[0].left, 5 * 9);
	assert_int_equal(c->changes.rects[0].right, 8 * 9);
	assert_int_equal(c->changes.rects[0].top, 3 * 16);
	assert_int_equal(c->changes.rects[0].bottom, 4 * 16);
	/* The cursor: lines 13 and 14 of cell (1, 2). */
	out_indexed(c, 0x3d4, 0x0a, 13);
	out_indexed(c, 0x3d4, 0x0b, 14);
	out_indexed(c, 0x3d4, 0x0e, 0);
	out_indexed(c, 0x3d4, 0x0f, 2 * 80 + 1);
	poke(c, 0xb8001 + 2 * (2 * 80 + 1), 0x07);
	show(c);
	assert_int_equal(c->changes.count, 1);
	assert_int_equal(c->changes.rects[0].left, 9);
	for (uint32_t x = 9; x < 18; x++) {
		assert_int_equal(pixel(c, x, 2 * 16 + 13), shade(7));
		assert_int_equal(pixel(c, x, 2 * 16 + 14), shade(7));
	}
	/* It goes from one cell to another. */
	out_indexed(c, 0x3d4, 0x0f, 2 * 80 + 2);
	show(c);
	assert_int_equal(c->changes.count, 1);
	assert_int_equal(c->changes.rects[0].left, 9);
	assert_int_equal(c->changes.rects[0].right, 27);
	/* A new font is seen without any cell changing. */
	load_font(c, 0);
	show(c);
	assert_int_equal(c->changes.count, 0);
	out_indexed(c, 0x3c4, 3, 0x05); /* font 1, empty, for both */
	show(c);
	assert_true(c->changes.count > 0);
	assert_int_equal(pixel(c, 5 * 9 + 1, 3 * 16), shade(0));
}

static void test_text_start_and_40_columns(void **state)
{
	struct card *c = *state;

	set_mode(c, &text_40x25);
	load_font(c, 0);
	out_indexed(c, 0x3d4, 0x0a, 0x20);
	poke(c, 0xb8000 + 2 * 1000, 'Q');
	poke(c, 0xb8001 + 2 * 1000, 0x0f);
	out_indexed(c, 0x3d4, 0x0c, 1000 >> 8);
	out_indexed(c, 0x3d4, 0x0d, 1000 & 255);
	show(c);
	assert_size(c, 720, 400);
	assert_glyph(c, 0, 0, 'Q', 0x0f, 0x00, true, 2);
}

static void test_two_fonts(void **state)
{
	struct card *c = *state;

	set_mode(c, &text_80x25);
	load_font(c, 0x2000); /* map 4: what attributes with bit 3 get */
	out_indexed(c, 0x3c4, 3, 0x20);
	out_indexed(c, 0x3d4, 0x0a, 0x20);
	poke(c, 0xb8000, 'A');
	poke(c, 0xb8001, 0x0f);
	poke(c, 0xb8002, 'A');
	poke(c, 0xb8003, 0x07);
	show(c);
	assert_glyph(c, 0, 0, 'A', 0x0f, 0, true, 1);
	for (uint32_t x = 9; x < 18; x++)
		assert_int_equal(pixel(c, x, 3), shade(0));
}

static void test_planar(void **state)
{
	struct card *c = *state;

	set_mode(c, &graphics_12);
	/* Write mode 2 puts a colour where the bit mask is set. */
	out_indexed(c, 0x3ce, 5, 2);
	for (uint32_t x = 0; x < 16; x++) {
		out_indexed(c, 0x3ce, 8, 0x80 >> (x & 7));
		peek(c, 0xa0000 + 80 * 479 + x / 8);
		poke(c, 0xa0000 + 80 * 479 + x / 8, (uint8_t)x);
	}
	show(c);
	assert_size(c, 640, 480);
	for (uint32_t x = 0; x < 16; x++)
		assert_int_equal(pixel(c, x, 479), shade(x));
	/* Only the row that was written. */
	peek(c, 0xa0000 + 80 * 100);
	out_indexed(c, 0x3ce, 8, 0xff);
	poke(c, 0xa0000 + 80 * 100, 15);
	show(c);
	assert_int_equal(c->changes.count, 1);
	assert_int_equal(c->changes.rects[0].top, 100);
	assert_int_equal(c->changes.rects[0].bottom, 101);
	assert_int_equal(pixel(c, 7, 100), shade(15));
	/* The attribute controller's palette, planes and colour select. */
	out_attr(c, 15, 0x2a);
	out_attr(c, 0x14, 0x04);
	out(c, 0x3c0, 0x20);
	show(c);
	assert_int_equal(pixel(c, 7, 100), shade(0x2a | 0x40));
	out_attr(c, 0x12, 0x05);
	out_attr(c, 5, 0x11);
	out(c, 0x3c0, 0x20);
	show(c);
	assert_int_equal(pixel(c, 7, 100), shade(0x51));
}

static void test_write_modes(void **state)
{
	struct card *c = *state;
	const uint32_t at = 0xa1000;
	uint8_t *planes = c->ram + 4 * 0x1000;

	set_mode(c, &graphics_12);
	/* Mode 0: rotation, set/reset on two planes, and the map mask. */
	out_indexed(c, 0x3ce, 3, 4);
	out_indexed(c, 0x3ce, 1, 0x03);
	out_indexed(c, 0x3ce, 0, 0x02);
	out_indexed(c, 0x3c4, 2, 0x07);
	poke(c, at, 0xa1);
	assert_memory_equal(planes, "\x00\xff\x1a\x00", 4);
	/* XOR with the latches under a bit mask. */
	out_indexed(c, 0x3ce, 1, 0);
	out_indexed(c, 0x3ce, 3, 0x18);
	out_indexed(c, 0x3ce, 8, 0x0f);
	out_indexed(c, 0x3c4, 2, 0x0f);
	peek(c, at);
	poke(c, at, 0xff);
	assert_memory_equal(planes, "\x0f\xf0\x15\x0f", 4);
	/* Mode 1 copies the latches. */
	out_indexed(c, 0x3ce, 5, 1);
	peek(c, at);
	poke(c, at + 1, 0x55);
	assert_memory_equal(planes + 4, "\x0f\xf0\x15\x0f", 4);
	/* Mode 3: the byte is a mask for the set/reset colour. */
	out_indexed(c, 0x3ce, 5, 3);
	out_indexed(c, 0x3ce, 3, 0);
	out_indexed(c, 0x3ce, 8, 0xff);
	out_indexed(c, 0x3ce, 0, 0x05);
	peek(c, at);
	poke(c, at, 0x81);
	assert_memory_equal(planes, "\x8f\x70\x95\x0e", 4);
	/* Reading a plane, and comparing colours. */
	out_indexed(c, 0x3ce, 4, 2);
	assert_int_equal(peek(c, at), 0x95);
	out_indexed(c, 0x3ce, 5, 8);
	out_indexed(c, 0x3ce, 2, 0x05);
	out_indexed(c, 0x3ce, 7, 0x0f);
	assert_int_equal(peek(c, at), 0x81);
}

static void test_320_and_scrolling(void **state)
{
	struct card *c = *state;

	set_mode(c, &graphics_0d);
	out_indexed(c, 0x3ce, 5, 2);
	poke(c, 0xa0000 + 40 * 10, 9);
	show(c);
	assert_size(c, 640, 400);
	assert_int_equal(pixel(c, 15, 20), shade(9));
	assert_int_equal(pixel(c, 15, 21), shade(9));
	assert_int_equal(pixel(c, 16, 21), shade(0));
	assert_int_equal(pixel(c, 15, 22), shade(0));
	/* Three pixels to the left, ten rows up. */
	out_attr(c, 0x13, 3);
	out(c, 0x3c0, 0x20);
	out_indexed(c, 0x3d4, 0x0c, 400 >> 8);
	out_indexed(c, 0x3d4, 0x0d, 400 & 255);
	show(c);
	assert_int_equal(pixel(c, 9, 0), shade(9));
	assert_int_equal(pixel(c, 10, 0), shade(0));
	/* The lower part of a split screen begins at 0. */
	out_indexed(c, 0x3d4, 0x18, 199);
	out_indexed(c, 0x3d4, 0x07, 0x0f);
	out_indexed(c, 0x3d4, 0x09, 0x80);
	show(c);
	assert_int_equal(pixel(c, 9, 1), shade(9));
	assert_int_equal(pixel(c, 9, 219), shade(0));
	assert_int_equal(pixel(c, 9, 220), shade(9));
}

static void test_cga(void **state)
{
	struct card *c = *state;

	set_mode(c, &graphics_04);
	poke(c, 0xb8000, 0x1b); /* 0 1 2 3 */
	poke(c, 0xb8001, 0xe4); /* 3 2 1 0 */
	poke(c, 0xb8000 + 0x2000, 0xff); /* the second row's bank */
	poke(c, 0xb8000 + 80, 0x55); /* the third row */
	show(c);
	assert_size(c, 640, 400);
	for (uint32_t x = 0; x < 8; x++)
		assert_int_equal(pixel(c, 2 * x, 0), shade(x < 4 ? x : 7 - x));
	assert_int_equal(pixel(c, 1, 1), shade(0));
	assert_int_equal(pixel(c, 0, 2), shade(3));
	assert_int_equal(pixel(c, 0, 3), shade(3));
	assert_int_equal(pixel(c, 8, 3), shade(0));
	assert_int_equal(pixel(c, 0, 4), shade(1));
	set_mode(c, &graphics_06);
	out_attr(c, 0x12, 1);
	out(c, 0x3c0, 0x20);
	poke(c, 0xb8000 + 0x2000, 0x81);
	show(c);
	assert_size(c, 640, 400);
	assert_int_equal(pixel(c, 0, 2), shade(1));
	assert_int_equal(pixel(c, 1, 2), shade(0));
	assert_int_equal(pixel(c, 7, 3), shade(1));
}

static void test_mode_13(void **state)
{
	struct card *c = *state;

	set_mode(c, &graphics_13);
	for (uint32_t i = 0; i < 320; i++)
		poke(c, 0xa0000 + 320 * 199 + i, (uint8_t)i);
	assert_int_equal(peek(c, 0xa0000 + 320 * 199 + 77), 77);
	show(c);
	assert_size(c, 640, 400);
	for (uint32_t x = 0; x < 640; x++) {
		assert_int_equal(pixel(c, x, 398), shade((x / 2) & 255));
		assert_int_equal(pixel(c, x, 399), shade((x / 2) & 255));
	}
	assert_int_equal(pixel(c, 100, 397), shade(0));
	/* The DAC's mask, and a colour changed. */
	set_color(c, 5, 63, 0, 32);
	show(c);
	assert_int_equal(pixel(c, 10, 399), 0xff0082);
	out(c, 0x3c6, 0x0f);
	show(c);
	assert_int_equal(pixel(c, 2 * 0x21, 399), shade(1));
}

static void test_mode_x(void **state)
{
	struct card *c = *state;

	set_mode(c, &graphics_13);
	out_indexed(c, 0x3c4, 4, 0x06);
	out_indexed(c, 0x3d4, 0x14, 0x00);
	out_indexed(c, 0x3d4, 0x17, 0xe3);
	for (uint8_t plane = 0; plane < 4; plane++) {
		out_indexed(c, 0x3c4, 2, (uint8_t)(1 << plane));
		poke(c, 0xa0000 + 80 * 7 + 3, 0x60 + plane);
		poke(c, 0xa0000 + 16000 + 80 * 7 + 3, 0x20 + plane);
	}
	show(c);
	for (uint32_t x = 0; x < 4; x++) {
		assert_int_equal(pixel(c, 24 + 2 * x, 14), shade(0x60 + x));
		assert_int_equal(pixel(c, 25 + 2 * x, 15), shade(0x60 + x));
	}
	/* The other page. */
	out_indexed(c, 0x3d4, 0x0c, 16000 >> 8);
	out_indexed(c, 0x3d4, 0x0d, 16000 & 255);
	show(c);
	for (uint32_t x = 0; x < 4; x++)
		assert_int_equal(pixel(c, 24 + 2 * x, 14), shade(0x20 + x));
}

static void vbe(struct card *c, uint16_t index, uint16_t value)
{
	vga_vbe_select(&c->vga, index);
	vga_vbe_write(&c->vga, value);
}

static uint16_t vbe_get(struct card *c, uint16_t index)
{
	vga_vbe_select(&c->vga, index);
	return vga_vbe_read(&c->vga);
}

static void set_vbe(struct card *c, uint16_t width, uint16_t height, uint16_t bpp)
{
	set_mode(c, &graphics_13);
	vbe(c, VBE_ENABLE, 0);
	vbe(c, VBE_XRES, width);
	vbe(c, VBE_YRES, height);
	vbe(c, VBE_BPP, bpp);
	vbe(c, VBE_ENABLE, VBE_ENABLED | 0x40);
}

static void linear_write(struct card *c, uint32_t offset, const void *bytes, uint32_t size)
{
	memcpy(c->ram + offset, bytes, size);
	vga_mark_dirty(&c->vga, offset, size);
}

static void test_vbe_in_place(void **state)
{
	struct card *c = *state;
	const struct {
		uint16_t bpp;
		enum surface_format format;
	} modes[] = { { 32, SURFACE_XRGB8888 }, { 16, SURFACE_RGB565 }, { 15, SURFACE_XRGB1555 } };

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		uint32_t bytes = modes[i].bpp == 32 ? 4 : 2;

		set_vbe(c, 800, 600, modes[i].bpp);
		show(c);
		assert_true(c->changes.replaced);
		assert_size(c, 800, 600);
		assert_int_equal(c->renderer.surface->format, modes[i].format);
		assert_ptr_equal(c->renderer.surface->data, c->ram);
		linear_write(c, 800 * bytes * 400, "abcd", 4);
		show(c);
		assert_false(c->changes.replaced);
		assert_int_equal(c->changes.count, 1);
		assert_true(c->changes.rects[0].top <= 400 && c->changes.rects[0].bottom > 400);
		assert_true(rect_height(&c->changes.rects[0]) <= 4);
		/* A larger virtual screen, panned. */
		vbe(c, VBE_VIRT_WIDTH, 1024);
		vbe(c, VBE_X_OFFSET, 16);
		vbe(c, VBE_Y_OFFSET, 100);
		show(c);
		assert_true(c->changes.replaced);
		assert_ptr_equal(c->renderer.surface->data, c->ram + (100 * 1024 + 16) * bytes);
		assert_int_equal(c->renderer.surface->stride, 1024 * bytes);
	}
}

static void test_vbe_converted(void **state)
{
	struct card *c = *state;

	set_vbe(c, 640, 480, 24);
	linear_write(c, (640 * 5 + 1) * 3, "\x11\x22\x33", 3);
	show(c);
	assert_size(c, 640, 480);
	assert_int_equal(pixel(c, 1, 5), 0x332211);
	set_vbe(c, 640, 480, 8);
	linear_write(c, 640 * 479 + 639, "\x2b", 1);
	show(c);
	assert_int_equal(pixel(c, 639, 479), shade(0x2b));
	/* Eight bits a colour. */
	vbe(c, VBE_ENABLE, VBE_ENABLED | 0x40 | VBE_8BIT_DAC);
	set_color(c, 0x2b, 0xfe, 0x81, 0x03);
	show(c);
	assert_int_equal(pixel(c, 639, 479), 0xfe8103);
	/* An odd offset of 16-bit pixels cannot be shown in place. */
	set_vbe(c, 640, 480, 16);
	vbe(c, VBE_VIRT_WIDTH, 800);
	vbe(c, VBE_X_OFFSET, 1);
	linear_write(c, 800 * 2 * 3 + 2, "\xe0\x07", 2);
	show(c);
	assert_int_equal(c->renderer.surface->format, SURFACE_XRGB8888);
	assert_int_equal(pixel(c, 0, 3), 0x00ff00);
	/* Four bits: planes behind the window. */
	set_vbe(c, 800, 600, 4);
	out_indexed(c, 0x3c4, 4, 0x06);
	out_indexed(c, 0x3ce, 5, 2);
	poke(c, 0xa0000 + 100 * 599, 6);
	show(c);
	assert_size(c, 800, 600);
	assert_int_equal(pixel(c, 7, 599), shade(6));
	assert_int_equal(pixel(c, 8, 599), shade(0));
}

static void test_vbe_banks_and_limits(void **state)
{
	struct card *c = *state;

	assert_int_equal(vbe_get(c, VBE_ID), 0xb0c5);
	assert_int_equal(vbe_get(c, VBE_MEMORY_64K), RAM_BYTES >> 16);
	set_vbe(c, 640, 480, 8);
	vbe(c, VBE_BANK, 3);
	poke(c, 0xa0123, 0x77);
	assert_int_equal(c->ram[(3 << 16) + 0x123], 0x77);
	assert_int_equal(peek(c, 0xa0123), 0x77);
	vbe(c, VBE_BANK, 0xffff);
	poke(c, 0xaffff, 1);
	/* What does not fit is cut down. */
	set_vbe(c, 0xffff, 0xffff, 32);
	show(c);
	assert_true((uint32_t)vbe_get(c, VBE_VIRT_WIDTH) * 4 * vbe_get(c, VBE_YRES) <= RAM_BYTES);
	set_vbe(c, 1024, 768, 32);
	vbe(c, VBE_Y_OFFSET, 0xffff);
	vbe(c, VBE_X_OFFSET, 0xffff);
	show(c);
	assert_size(c, 1024, 768);
	assert_true(c->renderer.surface->data + (ptrdiff_t)c->renderer.surface->stride * 768 <=
		c->ram + RAM_BYTES);
	/* A mode that is entered is cleared, unless asked not to. */
	c->ram[10] = 9;
	vbe(c, VBE_ENABLE, 0);
	vbe(c, VBE_ENABLE, VBE_ENABLED | VBE_NO_CLEAR);
	assert_int_equal(c->ram[10], 9);
	vbe(c, VBE_ENABLE, 0);
	vbe(c, VBE_ENABLE, VBE_ENABLED);
	assert_int_equal(c->ram[10], 0);
}

static void test_blank(void **state)
{
	struct card *c = *state;

	set_mode(c, &graphics_13);
	poke(c, 0xa0000, 5);
	show(c);
	assert_int_equal(pixel(c, 0, 0), shade(5));
	out_indexed(c, 0x3c4, 1, 0x21);
	show(c);
	assert_size(c, 640, 400);
	assert_int_equal(c->changes.count, 1);
	assert_int_equal(pixel(c, 0, 0), 0);
	out_indexed(c, 0x3c4, 1, 0x01);
	show(c);
	assert_int_equal(pixel(c, 0, 0), shade(5));
	/* Off while in place: the frame buffer is not touched. */
	set_vbe(c, 640, 480, 32);
	linear_write(c, 0, "abcd", 4);
	show(c);
	vga_port_read(&c->vga, 0x3da);
	out(c, 0x3c0, 0);
	show(c);
	assert_true(c->changes.replaced);
	assert_int_equal(pixel(c, 0, 0), 0);
	assert_memory_equal(c->ram, "abcd", 4);
}

static void test_registers(void **state)
{
	struct card *c = *state;

	set_mode(c, &graphics_13);
	/* Reading the DAC goes on from entry to entry. */
	out(c, 0x3c7, 7);
	for (uint32_t i = 7; i < 9; i++) {
		assert_int_equal(vga_port_read(&c->vga, 0x3c9), i & 63);
		assert_int_equal(vga_port_read(&c->vga, 0x3c9), i >> 2 & 63);
		assert_int_equal(vga_port_read(&c->vga, 0x3c9), (i * 5) & 63);
	}
	/* CRTC 0-7 are protected, but for the line compare bit. */
	out_indexed(c, 0x3d4, 0x11, 0x8e);
	out_indexed(c, 0x3d4, 0x01, 0x12);
	out_indexed(c, 0x3d4, 0x07, 0x00);
	out(c, 0x3d4, 1);
	assert_int_equal(vga_port_read(&c->vga, 0x3d5), 0x4f);
	out(c, 0x3d4, 7);
	assert_int_equal(vga_port_read(&c->vga, 0x3d5), 0x0f);
	/* Monochrome emulation has the CRTC elsewhere. */
	assert_int_equal(vga_port_read(&c->vga, 0x3b5), 0xff);
	out(c, 0x3c2, 0x66);
	out(c, 0x3b4, 1);
	assert_int_equal(vga_port_read(&c->vga, 0x3b5), 0x4f);
	assert_int_equal(vga_port_read(&c->vga, 0x3d5), 0xff);
	assert_int_equal(vga_port_read(&c->vga, 0x3cc), 0x66);
	/* Retrace comes and goes. */
	assert_int_not_equal(vga_port_read(&c->vga, 0x3ba), vga_port_read(&c->vga, 0x3ba));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_off_at_first, setup, teardown),
		cmocka_unit_test_setup_teardown(test_text, setup, teardown),
		cmocka_unit_test_setup_teardown(test_text_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_text_start_and_40_columns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_two_fonts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_planar, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_modes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_320_and_scrolling, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cga, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mode_13, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mode_x, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vbe_in_place, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vbe_converted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vbe_banks_and_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_blank, setup, teardown),
		cmocka_unit_test_setup_teardown(test_registers, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

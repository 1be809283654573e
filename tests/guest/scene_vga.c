/* SPDX-License-Identifier: MIT */
/* vga=keep|text|13h|12h|vbe: VGA and Bochs VBE by their registers, with no BIOS and no native QXL.
 * patterns.md has the formula of each picture. */
#include "cpu.h"
#include "scene.h"

enum {
	VGA_AC = 0x3c0,
	VGA_MISC = 0x3c2,
	VGA_SEQUENCER = 0x3c4,
	VGA_DAC_INDEX = 0x3c8,
	VGA_DAC_DATA = 0x3c9,
	VGA_GRAPHICS = 0x3ce,
	VGA_CRTC = 0x3d4,
	VGA_STATUS = 0x3da,
	VBE_INDEX = 0x1ce,
	VBE_DATA = 0x1cf,
	WINDOW_GRAPHICS = 0xa0000,
	WINDOW_TEXT = 0xb8000,
};

struct vga_mode {
	const char *name;
	int32_t width, height;
	uint8_t misc, sequencer[5], crtc[25], graphics[9], ac_mode, ac_planes, ac_pan;
};

static const struct vga_mode vga_modes[] = {
	{ "text", 720, 400, 0x67, { 0x03, 0x00, 0x03, 0x00, 0x02 },
		{ 0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x20, 0x0e, 0x00,
			0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff },
		{ 0, 0, 0, 0, 0, 0x10, 0x0e, 0x00, 0xff }, 0x0c, 0x0f, 0x08 },
	{ "13h", 320, 200, 0x63, { 0x03, 0x01, 0x0f, 0x00, 0x0e },
		{ 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0x41, 0x00, 0x00, 0x00,
			0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff },
		{ 0, 0, 0, 0, 0, 0x40, 0x05, 0x0f, 0xff }, 0x41, 0x0f, 0x00 },
	{ "12h", 640, 480, 0xe3, { 0x03, 0x01, 0x0f, 0x00, 0x06 },
		{ 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0x00, 0x40, 0x00, 0x00, 0x00,
			0x00, 0x00, 0x00, 0xea, 0x8c, 0xdf, 0x28, 0x00, 0xe7, 0x04, 0xe3, 0xff },
		{ 0, 0, 0, 0, 0, 0x00, 0x05, 0x0f, 0xff }, 0x01, 0x0f, 0x00 },
};

static void vga_write(uint16_t port, uint8_t index, uint8_t value)
{
	port_out16(port, (uint16_t)value << 8 | index);
}

/* Attribute controller: 16 palette entries one to one, then the mode; the screen goes on. */
static void vga_attributes(uint8_t mode, uint8_t planes, uint8_t pan)
{
	uint8_t values[21] = { 0 };

	for (uint8_t i = 0; i < 16; i++)
		values[i] = i;
	values[16] = mode;
	values[18] = planes;
	values[19] = pan;
	port_in8(VGA_STATUS);
	for (uint8_t i = 0; i < sizeof(values); i++) {
		port_out8(VGA_AC, i);
		port_out8(VGA_AC, values[i]);
	}
	port_out8(VGA_AC, 0x20);
}

/* Six-bit levels that every way to make eight bits of them agrees about. */
static uint8_t dac_level(uint32_t k)
{
	return k < 8 ? 2 * k : 49 + 2 * (k - 8);
}

static void vga_palette(void)
{
	port_out8(0x3c6, 0xff);
	port_out8(VGA_DAC_INDEX, 0);
	for (uint32_t i = 0; i < 256; i++) {
		uint8_t levels[3] = { dac_level(i & 15), dac_level(i >> 4),
			dac_level((i * 7 + 3) & 15) };

		port_write(VGA_DAC_DATA, levels, 3);
	}
}

static void vbe_write(uint16_t index, uint16_t value)
{
	port_out16(VBE_INDEX, index);
	port_out16(VBE_DATA, value);
}

static void vga_set(const struct vga_mode *mode)
{
	vbe_write(4, 0);
	port_out8(VGA_MISC, mode->misc);
	vga_write(VGA_SEQUENCER, 0, 1);
	for (uint8_t i = 1; i < 5; i++)
		vga_write(VGA_SEQUENCER, i, mode->sequencer[i]);
	vga_write(VGA_SEQUENCER, 0, 3);
	vga_write(VGA_CRTC, 0x11, mode->crtc[0x11] & 0x7f); /* opens 0-7 */
	for (uint8_t i = 0; i < 25; i++)
		vga_write(VGA_CRTC, i, i == 0x11 ? mode->crtc[i] & 0x7f : mode->crtc[i]);
	vga_write(VGA_CRTC, 0x11, mode->crtc[0x11]);
	for (uint8_t i = 0; i < 9; i++)
		vga_write(VGA_GRAPHICS, i, mode->graphics[i]);
	vga_attributes(mode->ac_mode, mode->ac_planes, mode->ac_pan);
	vga_palette();
}

/* Eight bytes at a time: each access may be an exit to the VMM. */
static void vga_store(uint32_t address, const uint8_t bytes[8])
{
	uint64_t value;

	memcpy(&value, bytes, 8);
	*(volatile uint64_t *)(uintptr_t)address = value;
}

static void vga_font(void)
{
	/* Plane 2 alone, not interleaved, at 0xa0000. */
	vga_write(VGA_SEQUENCER, 2, 0x04);
	vga_write(VGA_SEQUENCER, 4, 0x06);
	vga_write(VGA_GRAPHICS, 5, 0x00);
	vga_write(VGA_GRAPHICS, 6, 0x05);
	for (uint32_t c = 0; c < 256; c++) {
		uint8_t rows[16];

		for (uint32_t row = 0; row < 16; row++)
			rows[row] = c * 17 + row * 37;
		vga_store(WINDOW_GRAPHICS + c * 32, rows);
		vga_store(WINDOW_GRAPHICS + c * 32 + 8, rows + 8);
	}
	vga_write(VGA_SEQUENCER, 2, 0x03);
	vga_write(VGA_SEQUENCER, 4, 0x02);
	vga_write(VGA_GRAPHICS, 5, 0x10);
	vga_write(VGA_GRAPHICS, 6, 0x0e);
}

static void vga_draw_text(void)
{
	vga_font();
	for (uint32_t cell = 0; cell < 80 * 25; cell += 4) {
		uint8_t bytes[8];

		for (uint32_t i = 0; i < 4; i++) {
			uint32_t x = (cell + i) % 80, y = (cell + i) / 80;

			bytes[i * 2] = x + y * 3;
			bytes[i * 2 + 1] = (x * 5 + y * 11) & 0x7f;
		}
		vga_store(WINDOW_TEXT + cell * 2, bytes);
	}
}

static void vga_draw_13h(void)
{
	for (uint32_t at = 0; at < 320 * 200; at += 8) {
		uint8_t bytes[8];

		for (uint32_t i = 0; i < 8; i++)
			bytes[i] = (at + i) % 320 + (at + i) / 320 * 3;
		vga_store(WINDOW_GRAPHICS + at, bytes);
	}
}

static void vga_draw_12h(void)
{
	for (uint32_t plane = 0; plane < 4; plane++) {
		vga_write(VGA_SEQUENCER, 2, 1 << plane);
		for (uint32_t at = 0; at < 80 * 480; at += 8) {
			uint8_t bytes[8];

			for (uint32_t i = 0; i < 64; i++) {
				uint32_t x = at % 80 * 8 + i, y = at / 80;
				uint32_t color = (x ^ x >> 4 ^ y) & 15;

				bytes[i / 8] = bytes[i / 8] << 1 | (color >> plane & 1);
			}
			vga_store(WINDOW_GRAPHICS + at, bytes);
		}
	}
	vga_write(VGA_SEQUENCER, 2, 0x0f);
}

/* Stores the pixel's low `bytes` bytes. */
static uint8_t *vbe_pixel(uint8_t *at, uint32_t depth, uint32_t x, uint32_t y)
{
	uint32_t r = x & 255, g = y & 255, b = (x + y) & 255, value = rgb(r, g, b);
	uint32_t bytes = (depth + 7) / 8;

	if (depth == 8)
		value = (x + y * 3) & 255;
	else if (depth == 15)
		value = r >> 3 << 10 | g >> 3 << 5 | b >> 3;
	else if (depth == 16)
		value = r >> 3 << 11 | g >> 2 << 5 | b >> 3;
	memcpy(at, &value, bytes);
	return at + bytes;
}

static void vbe_show(struct qxl *qxl, int32_t width, int32_t height)
{
	uint32_t depth = option_number("bpp", 32);
	uint8_t *at = (uint8_t *)(uintptr_t)qxl->pci.bar[0];

	vga_attributes(0x41, 0x0f, 0);
	vga_palette();
	vbe_write(0, 0xb0c5);
	vbe_write(4, 0);
	vbe_write(1, width);
	vbe_write(2, height);
	vbe_write(3, depth);
	vbe_write(4, 0x41); /* on, linear frame buffer */
	for (int32_t y = 0; y < height; y++)
		for (int32_t x = 0; x < width; x++)
			at = vbe_pixel(at, depth, x, y);
	qxl->width = width;
	qxl->height = height;
}

void scene_vga(struct qxl *qxl)
{
	char name[16] = "";

	option_text("vga", name, sizeof(name));
	if (text_equal(name, "vbe"))
		vbe_show(qxl, qxl->width, qxl->height);
	for (unsigned i = 0; i < ARRAY_SIZE(vga_modes); i++) {
		if (!text_equal(name, vga_modes[i].name))
			continue;
		vga_set(&vga_modes[i]);
		qxl->width = vga_modes[i].width;
		qxl->height = vga_modes[i].height;
		if (i == 0)
			vga_draw_text();
		else if (i == 1)
			vga_draw_13h();
		else
			vga_draw_12h();
	}
	if (text_equal(name, "keep")) {
		qxl->width = 720;
		qxl->height = 400;
	}
	scene_ready(qxl);
	for (;;)
		machine_wait(UINT64_MAX);
}

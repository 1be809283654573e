/* SPDX-License-Identifier: MIT */
/* The VGA's registers, by port. */
#include "qxl/vga.h"

#include <assert.h>
#include <string.h>

#include "core/util.h"

/* Writable bits; the rest reads as zero. */
static const uint8_t seq_mask[8] = { 0x03, 0x3d, 0x0f, 0x3f, 0x0e };
static const uint8_t gfx_mask[16] = { 0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff };
static const uint8_t attr_mask[32] = { 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f,
	0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0xef, 0xff, 0x3f, 0x0f, 0x0f };

enum { CRTC_LAST = 0x18, CRTC_OVERFLOW = 0x07, CRTC_PROTECT = 0x11 };

void vga_init(struct vga *vga, uint8_t *ram, uint32_t ram_bytes)
{
	assert(ram_bytes >= 256u << 10 && ram_bytes <= VGA_MEMORY_MAX &&
		!(ram_bytes & (ram_bytes - 1)));
	memset(vga, 0, sizeof(*vga));
	vga->ram = ram;
	vga->ram_bytes = ram_bytes;
	vga_reset(vga);
}

void vga_reset(struct vga *vga)
{
	uint8_t *ram = vga->ram;
	uint32_t ram_bytes = vga->ram_bytes;

	memset(vga, 0, sizeof(*vga));
	vga->ram = ram;
	vga->ram_bytes = ram_bytes;
	vga->regs.dac_mask = 0xff;
	vga->regs.vbe[VBE_ID] = 0xb0c5;
	vga->status0 = 0x10; /* a monitor is there */
}

void vga_mark_dirty(struct vga *vga, uint64_t offset, uint64_t size)
{
	uint64_t end;

	if (size == 0 || offset >= vga->ram_bytes)
		return;
	end = MIN(size, vga->ram_bytes - offset) + offset;
	for (uint64_t page = offset / VGA_PAGE_BYTES; page <= (end - 1) / VGA_PAGE_BYTES; page++)
		vga->dirty[page / 64] |= UINT64_C(1) << page % 64;
}

static bool set_shown(uint8_t *reg, uint8_t value)
{
	bool changes = *reg != value;

	*reg = value;
	return changes;
}

/* ---- the DAC ---- */

static uint8_t dac_data_read(struct vga *vga)
{
	uint8_t value = vga->regs.dac[3 * vga->dac_read + vga->dac_part];

	if (++vga->dac_part == 3) {
		vga->dac_part = 0;
		vga->dac_read++;
	}
	return value;
}

static bool dac_data_write(struct vga *vga, uint8_t value)
{
	bool wide = vga->regs.vbe[VBE_ENABLE] & VBE_8BIT_DAC;
	uint8_t *entry = &vga->regs.dac[3 * vga->dac_write];
	bool changes;

	vga->dac_latch[vga->dac_part] = wide ? value : value & 0x3f;
	if (++vga->dac_part < 3)
		return false;
	vga->dac_part = 0;
	vga->dac_write++;
	changes = memcmp(entry, vga->dac_latch, 3) != 0;
	memcpy(entry, vga->dac_latch, 3);
	return changes;
}

/* ---- indexed registers ---- */

static bool attr_write(struct vga *vga, uint8_t value)
{
	bool is_data = vga->attr_is_data;
	bool enabled;

	vga->attr_is_data = !is_data;
	if (is_data) {
		uint8_t index = vga->attr_index & 0x1f;

		return set_shown(&vga->regs.attr[index], value & attr_mask[index]);
	}
	vga->attr_index = value & 0x3f;
	enabled = value & 0x20;
	if (enabled == vga->regs.attr_enabled)
		return false;
	vga->regs.attr_enabled = enabled;
	return true;
}

static bool crtc_write(struct vga *vga, uint8_t value)
{
	uint8_t index = vga->crtc_index;
	uint8_t *reg;

	if (index > CRTC_LAST)
		return false;
	reg = &vga->regs.crtc[index];
	if (vga->regs.crtc[CRTC_PROTECT] & 0x80 && index <= CRTC_OVERFLOW) {
		/* Only the line compare bit can be changed. */
		if (index != CRTC_OVERFLOW)
			return false;
		value = (uint8_t)((*reg & ~0x10) | (value & 0x10));
	}
	return set_shown(reg, value);
}

/* Colour and monochrome emulation put the CRTC at different ports. */
static bool port_is_off(const struct vga *vga, uint16_t port)
{
	bool color = vga->regs.misc & 1;

	if (port >= 0x3b0 && port <= 0x3bf)
		return color;
	return port >= 0x3d0 && !color;
}

uint8_t vga_port_read(struct vga *vga, uint16_t port)
{
	if (port_is_off(vga, port))
		return 0xff;
	switch (port) {
	case 0x3c0: return vga->attr_is_data ? 0 : vga->attr_index;
	case 0x3c1: return vga->regs.attr[vga->attr_index & 0x1f];
	case 0x3c2: return vga->status0;
	case 0x3c4: return vga->seq_index;
	case 0x3c5: return vga->regs.seq[vga->seq_index & 7];
	case 0x3c6: return vga->regs.dac_mask;
	case 0x3c7: return vga->dac_reading ? 3 : 0;
	case 0x3c8: return vga->dac_write;
	case 0x3c9: return dac_data_read(vga);
	case 0x3ca: return vga->feature;
	case 0x3cc: return vga->regs.misc;
	case 0x3ce: return vga->gfx_index;
	case 0x3cf: return vga->regs.gfx[vga->gfx_index & 15];
	case 0x3b4:
	case 0x3d4: return vga->crtc_index;
	case 0x3b5:
	case 0x3d5: return vga->crtc_index <= CRTC_LAST ? vga->regs.crtc[vga->crtc_index] : 0;
	case 0x3ba:
	case 0x3da:
		/* There is no beam: each look finds it elsewhere, so that nobody waits long. */
		vga->attr_is_data = false;
		vga->status1 ^= 0x09;
		return vga->status1;
	default: return 0xff;
	}
}

bool vga_port_write(struct vga *vga, uint16_t port, uint8_t value)
{
	if (port_is_off(vga, port))
		return false;
	switch (port) {
	case 0x3c0: return attr_write(vga, value);
	case 0x3c2: return set_shown(&vga->regs.misc, value & ~0x10);
	case 0x3c4: vga->seq_index = value & 7; return false;
	case 0x3c5:
		return set_shown(&vga->regs.seq[vga->seq_index], value & seq_mask[vga->seq_index]);
	case 0x3c6: return set_shown(&vga->regs.dac_mask, value);
	case 0x3c7:
		vga->dac_read = value;
		vga->dac_part = 0;
		vga->dac_reading = true;
		return false;
	case 0x3c8:
		vga->dac_write = value;
		vga->dac_part = 0;
		vga->dac_reading = false;
		return false;
	case 0x3c9: return dac_data_write(vga, value);
	case 0x3ce: vga->gfx_index = value & 15; return false;
	case 0x3cf:
		return set_shown(&vga->regs.gfx[vga->gfx_index], value & gfx_mask[vga->gfx_index]);
	case 0x3b4:
	case 0x3d4: vga->crtc_index = value; return false;
	case 0x3b5:
	case 0x3d5: return crtc_write(vga, value);
	case 0x3ba:
	case 0x3da: vga->feature = value & 0x10; return false;
	default: return false;
	}
}

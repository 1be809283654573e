/* SPDX-License-Identifier: MIT */
/* The Bochs VBE extension: modes beyond VGA, with a linear frame buffer. */
#include <string.h>

#include "core/util.h"
#include "qxl/vga.h"

enum { VBE_XRES_MAX = 16000, VBE_YRES_MAX = 12000, VBE_ID_FIRST = 0xb0c0, VBE_ID_LAST = 0xb0c5 };

uint16_t vga_vbe_index(const struct vga *vga)
{
	return vga->vbe_index;
}

void vga_vbe_select(struct vga *vga, uint16_t index)
{
	vga->vbe_index = index;
}

uint16_t vga_vbe_read(const struct vga *vga)
{
	if (vga->vbe_index == VBE_MEMORY_64K)
		return (uint16_t)(vga->ram_bytes >> 16);
	if (vga->vbe_index >= VBE_REGISTERS)
		return 0;
	if (vga->regs.vbe[VBE_ENABLE] & VBE_GET_CAPS) {
		switch (vga->vbe_index) {
		case VBE_XRES: return VBE_XRES_MAX;
		case VBE_YRES: return VBE_YRES_MAX;
		case VBE_BPP: return 32;
		default: break;
		}
	}
	return vga->regs.vbe[vga->vbe_index];
}

/* Bytes of memory that `pixels` of a row take. */
static uint32_t row_bytes(uint32_t bpp, uint32_t pixels)
{
	return bpp == 4 ? pixels / 2 : pixels * DIV_ROUND_UP(bpp, 8u);
}

/* Brings geometry that the guest wrote into what memory can hold. */
static void fix_geometry(struct vga *vga)
{
	uint16_t *vbe = vga->regs.vbe;
	uint32_t bpp, bytes, rows;

	switch (vbe[VBE_BPP]) {
	case 4:
	case 8:
	case 15:
	case 16:
	case 24:
	case 32: break;
	case 0: vbe[VBE_BPP] = 8; break;
	default: vbe[VBE_BPP] = 32; break;
	}
	bpp = vbe[VBE_BPP];
	vbe[VBE_XRES] = (uint16_t)(MIN(MAX(vbe[VBE_XRES], 8), VBE_XRES_MAX) & ~7);
	vbe[VBE_VIRT_WIDTH] =
		(uint16_t)(MIN(MAX(vbe[VBE_VIRT_WIDTH], vbe[VBE_XRES]), VBE_XRES_MAX) & ~7);
	bytes = row_bytes(bpp, vbe[VBE_VIRT_WIDTH]);
	rows = vga->ram_bytes / bytes;
	vbe[VBE_YRES] =
		(uint16_t)MIN((uint32_t)MIN(MAX(vbe[VBE_YRES], 1), VBE_YRES_MAX), MAX(rows, 1u));
	vbe[VBE_VIRT_HEIGHT] = (uint16_t)MIN(rows, 0xffffu);
	vbe[VBE_X_OFFSET] = (uint16_t)MIN(vbe[VBE_X_OFFSET], vbe[VBE_VIRT_WIDTH] - vbe[VBE_XRES]);
	vbe[VBE_Y_OFFSET] = (uint16_t)MIN(vbe[VBE_Y_OFFSET], rows - MIN(rows, vbe[VBE_YRES]));
}

static void enable(struct vga *vga, uint16_t value)
{
	uint16_t *vbe = vga->regs.vbe;
	bool was_on = vbe[VBE_ENABLE] & VBE_ENABLED;
	uint32_t size;

	vbe[VBE_ENABLE] = value & ~VBE_NO_CLEAR;
	vbe[VBE_BANK] = 0;
	if (!(value & VBE_ENABLED) || was_on)
		return;
	vbe[VBE_VIRT_WIDTH] = vbe[VBE_XRES];
	vbe[VBE_X_OFFSET] = vbe[VBE_Y_OFFSET] = 0;
	fix_geometry(vga);
	if (value & VBE_NO_CLEAR)
		return;
	size = vbe[VBE_YRES] * row_bytes(vbe[VBE_BPP], vbe[VBE_VIRT_WIDTH]);
	size = MIN(size, vga->ram_bytes);
	memset(vga->ram, 0, size);
	vga_mark_dirty(vga, 0, size);
}

bool vga_vbe_write(struct vga *vga, uint16_t value)
{
	uint16_t *vbe = vga->regs.vbe;
	uint16_t before[VBE_REGISTERS];

	memcpy(before, vbe, sizeof(before));
	switch (vga->vbe_index) {
	case VBE_ID:
		if (value >= VBE_ID_FIRST && value <= VBE_ID_LAST)
			vbe[VBE_ID] = value;
		return false;
	case VBE_XRES:
	case VBE_YRES:
	case VBE_BPP:
	case VBE_VIRT_WIDTH:
	case VBE_X_OFFSET:
	case VBE_Y_OFFSET:
		vbe[vga->vbe_index] = value;
		if (vga_vbe_enabled(&vga->regs))
			fix_geometry(vga);
		break;
	case VBE_BANK: vbe[VBE_BANK] = (uint16_t)(value & ((vga->ram_bytes >> 16) - 1)); break;
	case VBE_ENABLE: enable(vga, value); break;
	default: return false;
	}
	return memcmp(before, vbe, sizeof(before)) != 0;
}

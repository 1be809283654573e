/* SPDX-License-Identifier: MIT */
/* The window at A0000: how a byte of the CPU becomes bytes of four planes, and back. */
#include <string.h>

#include "core/util.h"
#include "qxl/vga.h"

enum { SEQ_MAP_MASK = 2, SEQ_MEMORY = 4 };
enum { SEQ_SEQUENTIAL = 0x04, SEQ_CHAIN4 = 0x08 };
enum {
	GFX_SET_RESET,
	GFX_ENABLE_SET_RESET,
	GFX_COMPARE,
	GFX_ROTATE,
	GFX_READ_MAP,
	GFX_MODE,
	GFX_MISC,
	GFX_COMPARE_CARE,
	GFX_BIT_MASK
};

/* Where an access goes: byte `offset` of the planes in `planes`. */
struct target {
	uint32_t offset;
	uint8_t planes;
	uint8_t read_plane;
};

/* A byte in each plane of a 4-bit mask. */
static uint32_t spread(uint8_t mask)
{
	static const uint32_t bytes[16] = { 0x00000000, 0x000000ff, 0x0000ff00, 0x0000ffff,
		0x00ff0000, 0x00ff00ff, 0x00ffff00, 0x00ffffff, 0xff000000, 0xff0000ff, 0xff00ff00,
		0xff00ffff, 0xffff0000, 0xffff00ff, 0xffffff00, 0xffffffff };

	return bytes[mask & 15];
}

static uint32_t load_planes(const struct vga *vga, uint32_t offset)
{
	uint32_t planes;

	memcpy(&planes, vga->ram + 4 * (size_t)offset, 4);
	return planes;
}

/* The window's part that is decoded; false: the access is for nobody. */
static bool window_offset(const struct vga *vga, uint32_t *offset)
{
	switch (vga->regs.gfx[GFX_MISC] >> 2 & 3) {
	case 0: return *offset < 0x20000;
	case 1: return *offset < 0x10000;
	case 2: *offset -= 0x10000; return *offset < 0x8000;
	default: *offset -= 0x18000; return *offset < 0x8000;
	}
}

/* A VBE mode with whole-byte pixels: the window shows 64 KiB of the linear frame buffer. */
static uint32_t linear_offset(const struct vga *vga, uint32_t offset)
{
	return ((uint32_t)vga->regs.vbe[VBE_BANK] << 16) + (offset & 0xffff);
}

static struct target planar_target(const struct vga *vga, uint32_t offset, bool odd_even)
{
	struct target t = {
		.planes = vga->regs.seq[SEQ_MAP_MASK],
		.read_plane = vga->regs.gfx[GFX_READ_MAP],
	};
	uint32_t limit = 0x10000;

	if (vga->regs.seq[SEQ_MEMORY] & SEQ_CHAIN4) {
		t.planes &= (uint8_t)(1u << (offset & 3));
		t.read_plane = offset & 3;
		offset &= ~3u;
	} else if (odd_even) {
		t.planes &= offset & 1 ? 0x0a : 0x05;
		t.read_plane = (uint8_t)((t.read_plane & 2) | (offset & 1));
		offset &= ~1u;
	}
	if (vga_vbe_enabled(&vga->regs)) {
		offset += (uint32_t)vga->regs.vbe[VBE_BANK] << 16;
		limit = vga->ram_bytes / 4;
	}
	t.offset = offset & (limit - 1);
	return t;
}

uint8_t vga_window_read(struct vga *vga, uint32_t offset)
{
	bool odd_even = vga->regs.gfx[GFX_MODE] & 0x10;
	uint32_t differing;
	struct target t;

	if (!window_offset(vga, &offset))
		return 0xff;
	if (vga_is_linear(&vga->regs)) {
		offset = linear_offset(vga, offset);
		return offset < vga->ram_bytes ? vga->ram[offset] : 0xff;
	}
	t = planar_target(vga, offset, odd_even);
	vga->latch = load_planes(vga, t.offset);
	if (!(vga->regs.gfx[GFX_MODE] & 0x08))
		return (uint8_t)(vga->latch >> (8 * t.read_plane));
	/* Read mode 1: ones where the pixel has the compared colour in the planes that count. */
	differing = (vga->latch ^ spread(vga->regs.gfx[GFX_COMPARE])) &
		spread(vga->regs.gfx[GFX_COMPARE_CARE]);
	return (uint8_t) ~(differing | differing >> 8 | differing >> 16 | differing >> 24);
}

static uint8_t rotate(const struct vga *vga, uint8_t value)
{
	unsigned by = vga->regs.gfx[GFX_ROTATE] & 7;

	return (uint8_t)(value >> by | value << (8 - by));
}

static uint32_t combine(const struct vga *vga, uint32_t value)
{
	switch (vga->regs.gfx[GFX_ROTATE] >> 3 & 3) {
	case 1: return value & vga->latch;
	case 2: return value | vga->latch;
	case 3: return value ^ vga->latch;
	default: return value;
	}
}

/* What the four planes get for a byte of the CPU. */
static uint32_t value_for_planes(const struct vga *vga, uint8_t value)
{
	const uint8_t *gfx = vga->regs.gfx;
	uint32_t bits = gfx[GFX_BIT_MASK] * 0x01010101u;
	uint32_t planes, set;

	switch (gfx[GFX_MODE] & 3) {
	case 0:
		set = spread(gfx[GFX_ENABLE_SET_RESET]);
		planes = (rotate(vga, value) * 0x01010101u & ~set) |
			(spread(gfx[GFX_SET_RESET]) & set);
		break;
	case 1: return vga->latch;
	case 2: planes = spread(value); break;
	default:
		bits &= rotate(vga, value) * 0x01010101u;
		return (spread(gfx[GFX_SET_RESET]) & bits) | (vga->latch & ~bits);
	}
	return (combine(vga, planes) & bits) | (vga->latch & ~bits);
}

bool vga_window_write(struct vga *vga, uint32_t offset, uint8_t value)
{
	bool odd_even = !(vga->regs.seq[SEQ_MEMORY] & SEQ_SEQUENTIAL);
	uint32_t old, new, mask;
	struct target t;

	if (!window_offset(vga, &offset))
		return false;
	if (vga_is_linear(&vga->regs)) {
		offset = linear_offset(vga, offset);
		if (offset >= vga->ram_bytes || vga->ram[offset] == value)
			return false;
		vga->ram[offset] = value;
		vga_mark_dirty(vga, offset, 1);
		return true;
	}
	t = planar_target(vga, offset, odd_even);
	mask = spread(t.planes);
	old = load_planes(vga, t.offset);
	new = (value_for_planes(vga, value) & mask) | (old & ~mask);
	if (new == old)
		return false;
	memcpy(vga->ram + 4 * (size_t)t.offset, &new, 4);
	vga_mark_dirty(vga, 4 * (uint64_t)t.offset, 4);
	return true;
}

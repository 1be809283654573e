/* SPDX-License-Identifier: MIT */
/*
 * A VGA with the Bochs VBE extension ("DISPI"): registers, memory window, rendering. Pure memory:
 * it knows no threads, no bus and no loop; who embeds it locks, and renders from a copy of the
 * registers. Sources: IBM's VGA technical reference, the Bochs VBE DISPI description.
 *
 * The four planes lie interleaved in memory, plane p's byte at `offset` in ram[4 * offset + p];
 * with VBE modes of 8 and more bits the same memory is the linear frame buffer.
 */
#ifndef QXL_VGA_H
#define QXL_VGA_H

#include <stdbool.h>
#include <stdint.h>

#include "core/rect.h"
#include "core/surface.h"

#define VGA_WINDOW_BASE  0xa0000
#define VGA_WINDOW_BYTES 0x20000
#define VGA_PAGE_BYTES   4096
#define VGA_MEMORY_MAX   (64u << 20)

enum { /* VBE registers: what the index port selects */
	VBE_ID,
	VBE_XRES,
	VBE_YRES,
	VBE_BPP,
	VBE_ENABLE,
	VBE_BANK,
	VBE_VIRT_WIDTH,
	VBE_VIRT_HEIGHT,
	VBE_X_OFFSET,
	VBE_Y_OFFSET,
	VBE_REGISTERS,
	VBE_MEMORY_64K = VBE_REGISTERS, /* read only */
};
enum { VBE_ENABLED = 0x01, VBE_GET_CAPS = 0x02, VBE_8BIT_DAC = 0x20, VBE_NO_CLEAR = 0x80 };

/* Everything that decides what is shown, and only that: may be copied and compared. */
struct vga_regs {
	uint8_t misc;
	uint8_t seq[8];
	uint8_t crtc[32];
	uint8_t gfx[16];
	uint8_t attr[32];
	bool attr_enabled; /* the palette address source bit: off blanks the screen */
	uint8_t dac_mask;
	uint8_t dac[768];
	uint16_t vbe[VBE_REGISTERS];
};

struct vga {
	struct vga_regs regs;
	uint8_t *ram;
	uint32_t ram_bytes; /* a power of two */
	uint64_t dirty[VGA_MEMORY_MAX / VGA_PAGE_BYTES / 64]; /* pages written since taken */
	/* Not shown. */
	uint8_t seq_index, crtc_index, gfx_index, attr_index;
	bool attr_is_data; /* the flip-flop of port 3C0 */
	uint8_t dac_read, dac_write, dac_part;
	bool dac_reading;
	uint8_t dac_latch[3];
	uint8_t status0, status1, feature;
	uint16_t vbe_index;
	uint32_t latch; /* plane p in byte p */
};

/* `ram` is borrowed; ram_bytes: a power of two, 256 KiB to VGA_MEMORY_MAX. Resets. */
void vga_init(struct vga *vga, uint8_t *ram, uint32_t ram_bytes);
/* Registers as after power-on; memory stays. */
void vga_reset(struct vga *vga);

/* Ports 3B0-3DF. Writes answer whether what is shown may have changed. */
uint8_t vga_port_read(struct vga *vga, uint16_t port);
bool vga_port_write(struct vga *vga, uint16_t port, uint8_t value);
/* The window at A0000, by offset in it. Writes answer as above, and mark pages dirty. */
uint8_t vga_window_read(struct vga *vga, uint32_t offset);
bool vga_window_write(struct vga *vga, uint32_t offset, uint8_t value);
/* The index and data ports of VBE. */
uint16_t vga_vbe_index(const struct vga *vga);
void vga_vbe_select(struct vga *vga, uint16_t index);
uint16_t vga_vbe_read(const struct vga *vga);
bool vga_vbe_write(struct vga *vga, uint16_t value);

/* Marks bytes of memory as written; beyond its end is ignored. */
void vga_mark_dirty(struct vga *vga, uint64_t offset, uint64_t size);

static inline bool vga_vbe_enabled(const struct vga_regs *regs)
{
	return regs->vbe[VBE_ENABLE] & VBE_ENABLED;
}
/* Whether the guest may change the picture by writing the frame buffer linearly. */
static inline bool vga_is_linear(const struct vga_regs *regs)
{
	return vga_vbe_enabled(regs) && regs->vbe[VBE_BPP] >= 8;
}

/* ---- rendering (vga_render.c, vga_text.c) ---- */

#define VGA_RECTS_MAX 32
#define VGA_CELLS_MAX 65536

struct vga_renderer {
	const uint8_t *ram;
	uint32_t ram_bytes;
	/* For surfaces that lie over `ram`: called with over_opaque when one goes; `hold` before
	 * one is made. May be NULL (memory that outlives the surfaces). */
	void (*hold)(void *opaque);
	void (*release)(void *opaque);
	void *opaque;
	/* What is shown now. */
	struct surface *surface; /* NULL: nothing yet */
	bool in_place; /* it lies over `ram` */
	bool valid; /* regs, cells and fonts are those of the surface */
	struct vga_regs regs;
	uint32_t *cells; /* text: character, attribute and cursor of each cell; VGA_CELLS_MAX */
	uint8_t fonts[2][8192];
	uint32_t palette[256]; /* 0x00RRGGBB: by colour number of the present mode */
};

struct vga_changes {
	bool replaced; /* renderer->surface is another one (or of another place) */
	uint32_t count;
	struct rect rects[VGA_RECTS_MAX]; /* changed pixels, when it was not replaced */
};

void vga_renderer_init(struct vga_renderer *renderer, const uint8_t *ram, uint32_t ram_bytes);
void vga_renderer_finish(struct vga_renderer *renderer);
/* Forgets the surface: the next rendering makes a new one. */
void vga_renderer_drop(struct vga_renderer *renderer);
/* Brings the surface up to date with the registers and with what changed on the pages in `dirty`
 * (one bit each); the memory may be written meanwhile, and then shows in the next. 0, or -ENOMEM
 * (then nothing is promised but that it may be tried again). */
int vga_render(struct vga_renderer *renderer, const struct vga_regs *regs, const uint64_t *dirty,
	struct vga_changes *changes);

/* ---- between the files ---- */

/* How the CRT controller walks the memory. */
struct vga_scan {
	uint32_t width, height; /* pixels shown */
	uint32_t lines; /* scan lines of a character row */
	bool doubled; /* each line is shown twice */
	uint32_t pitch; /* counts from row to row */
	uint32_t start; /* first count */
	uint32_t split; /* the line after which counting starts again at 0 */
	uint32_t dots; /* pixels shown for each dot: 1, or 2 with the halved dot clock */
};

bool vga_scan_of(const struct vga_regs *regs, struct vga_scan *scan);
/* Byte offset in a plane for a count and the scan line in its row. */
uint32_t vga_scan_offset(const struct vga_regs *regs, uint32_t count, uint32_t line);
/* The colour that the attribute controller and the DAC make of a 4-bit pixel, and of an 8-bit
 * one. */
uint32_t vga_color_16(const struct vga_regs *regs, uint8_t pixel);
uint32_t vga_color_256(const struct vga_regs *regs, uint8_t pixel);
void vga_changes_add(struct vga_changes *changes, const struct rect *rect);
bool vga_is_text(const struct vga_regs *regs);
/* The size of a text mode in pixels. */
void vga_text_size(const struct vga_regs *regs, const struct vga_scan *scan, uint32_t *width,
	uint32_t *height);
/* Draws the cells that changed (`all`: every one). */
void vga_text_render(struct vga_renderer *renderer, const struct vga_regs *regs,
	const struct vga_scan *scan, bool all, struct vga_changes *changes);

#endif

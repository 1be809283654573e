/* SPDX-License-Identifier: MIT */
/* Port and memory accesses as the input says, and the picture they make: four bytes an access. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "qxl/vga.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RAM_BYTES = 1 << 20, RENDERS_MAX = 6 };

static void render(struct vga *vga, struct vga_renderer *renderer)
{
	uint64_t dirty[RAM_BYTES / VGA_PAGE_BYTES / 64];
	struct vga_changes changes;
	struct rect bounds;

	memcpy(dirty, vga->dirty, sizeof(dirty));
	memset(vga->dirty, 0, sizeof(vga->dirty));
	if (vga_render(renderer, &vga->regs, dirty, &changes) || !renderer->surface)
		return;
	bounds = surface_bounds(renderer->surface);
	for (uint32_t i = 0; i < changes.count; i++)
		if (rect_empty(&changes.rects[i]) || !rect_contains(&bounds, &changes.rects[i]))
			abort();
	/* Every pixel must be there to be read. */
	for (uint32_t y = 0; y < renderer->surface->height; y++) {
		const volatile uint8_t *row = surface_row(renderer->surface, y);
		uint32_t bytes = renderer->surface->width *
			surface_format_bits(renderer->surface->format) / 8;

		(void)row[0];
		(void)row[bytes - 1];
	}
}

static void one_access(struct vga *vga, const uint8_t *op)
{
	uint32_t offset = (op[1] | (uint32_t)op[2] << 8) + (op[0] & 0x80 ? 0x10000u : 0);

	switch (op[0] & 7) {
	case 0: vga_window_write(vga, offset, op[3]); break;
	case 1: vga_window_read(vga, offset); break;
	case 2:
	case 3: vga_port_write(vga, (uint16_t)(0x3b0 + op[1] % 0x30), op[3]); break;
	case 4: /* an indexed register */
		vga_port_write(vga, (uint16_t)(0x3b0 + op[1] % 0x30), op[2]);
		vga_port_write(vga, (uint16_t)(0x3b1 + op[1] % 0x30), op[3]);
		break;
	case 5: vga_port_read(vga, (uint16_t)(0x3b0 + op[1] % 0x30)); break;
	case 6:
		vga_vbe_select(vga, op[1] % 12);
		vga_vbe_write(vga, (uint16_t)(op[2] | op[3] << 8));
		break;
	default:
		vga->ram[(offset * 16 + op[3]) % RAM_BYTES] = op[3];
		vga_mark_dirty(vga, offset * UINT64_C(16), op[3]);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vga *vga = malloc(sizeof(*vga));
	uint8_t *ram = calloc(1, RAM_BYTES);
	struct vga_renderer renderer;
	int renders = 0;

	if (!vga || !ram)
		abort();
	vga_init(vga, ram, RAM_BYTES);
	vga_renderer_init(&renderer, ram, RAM_BYTES);
	for (size_t i = 0; i + 4 <= size; i += 4) {
		one_access(vga, data + i);
		if ((data[i] & 0x78) == 0x78 && renders++ < RENDERS_MAX)
			render(vga, &renderer);
	}
	render(vga, &renderer);
	vga_renderer_finish(&renderer);
	free(ram);
	free(vga);
	return 0;
}

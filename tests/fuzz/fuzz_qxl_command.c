/* SPDX-License-Identifier: MIT */
/*
 * One command of a hostile guest: the first byte says which kind, the rest is the guest's memory
 * (slot 1, and slot 0 with a delta of 4096), with the command at its start. What is accepted is
 * carried out on small surfaces.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/unpack.h"
#include "core/canvas.h"
#include "core/util.h"
#include "qxl/qxl_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct screen {
	struct surface *surfaces[3];
};

static struct surface *lookup(void *opaque, uint32_t id)
{
	struct screen *screen = opaque;

	return id < ARRAY_SIZE(screen->surfaces) ? screen->surfaces[id] : NULL;
}

static bool surface_size(void *opaque, uint32_t id, uint32_t *width, uint32_t *height)
{
	struct surface *surface = lookup(opaque, id);

	if (!surface)
		return false;
	*width = surface->width;
	*height = surface->height;
	return true;
}

static void run_draw(const struct qxl_parser *parser, struct screen *screen, uint64_t address)
{
	struct draw *draw;

	if (qxl_parse_drawable(parser, address, &draw) || !draw)
		return;
	canvas_draw(screen->surfaces[draw->surface_id], draw, lookup, screen);
	draw_unref(draw);
}

/* All of the surface's memory must be the guest's. */
static void run_surface(const struct qxl_parser *parser, uint64_t address)
{
	struct qxl_surface_cmd cmd;

	if (qxl_parse_surface_cmd(parser, address, &cmd) || !cmd.create)
		return;
	memset(cmd.block, 0, (size_t)cmd.height * (size_t)abs(cmd.stride));
	for (uint32_t y = 0; y < cmd.height; y++)
		cmd.top[(ptrdiff_t)cmd.stride * (ptrdiff_t)y] = 1;
}

static void run_cursor(const struct qxl_parser *parser, uint64_t address)
{
	struct qxl_cursor_cmd cmd;
	uint32_t *argb;

	if (qxl_parse_cursor_cmd(parser, address, &cmd) || !cmd.shape)
		return;
	argb = malloc(4 * (size_t)cmd.shape->width * cmd.shape->height);
	if (argb)
		cursor_shape_to_argb(cmd.shape, argb);
	free(argb);
	cursor_shape_unref(cmd.shape);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct screen screen = { 0 };
	struct qxl_slots slots = { 0 };
	struct qxl_parser parser = {
		.slots = &slots,
		.surface_size = surface_size,
		.opaque = &screen,
		.unpack = unpack_image,
	};
	const uint64_t address = UINT64_C(1) << 56;
	uint8_t *memory;

	if (size < 1)
		return 0;
	memory = malloc(size);
	if (!memory || surface_create(&screen.surfaces[0], SURFACE_XRGB8888, 64, 48) ||
		surface_create(&screen.surfaces[1], SURFACE_RGB565, 40, 30) ||
		surface_create(&screen.surfaces[2], SURFACE_ARGB8888, 16, 16))
		abort();
	memcpy(memory, data + 1, size - 1);
	slots.slot[1] = (struct qxl_slot){ .active = true, .host = memory, .size = size - 1 };
	slots.slot[0] = (struct qxl_slot){
		.active = true, .host = memory, .size = size - 1, .delta = 4096
	};
	parser.compat = data[0] & 0x10;
	parser.compat_16bpp = data[0] & 0x20;
	switch (data[0] & 3) {
	case 0: run_surface(&parser, address); break;
	case 1: run_cursor(&parser, address); break;
	default: run_draw(&parser, &screen, address); break;
	}
	for (size_t i = 0; i < ARRAY_SIZE(screen.surfaces); i++)
		surface_unref(screen.surfaces[i]);
	free(memory);
	return 0;
}

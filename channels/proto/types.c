/* SPDX-License-Identifier: MIT */
/* SPICE's numbers for what core has enums of its own for. */
#include "channels/proto/types.h"

#include <errno.h>

#include <spice/enums.h>

#include "core/util.h"

static const uint8_t bitmap_formats[IMAGE_FORMATS] = {
	[IMAGE_1BIT_LE] = SPICE_BITMAP_FMT_1BIT_LE,
	[IMAGE_1BIT_BE] = SPICE_BITMAP_FMT_1BIT_BE,
	[IMAGE_4BIT_LE] = SPICE_BITMAP_FMT_4BIT_LE,
	[IMAGE_4BIT_BE] = SPICE_BITMAP_FMT_4BIT_BE,
	[IMAGE_8BIT] = SPICE_BITMAP_FMT_8BIT,
	[IMAGE_XRGB1555] = SPICE_BITMAP_FMT_16BIT,
	[IMAGE_BGR24] = SPICE_BITMAP_FMT_24BIT,
	[IMAGE_XRGB8888] = SPICE_BITMAP_FMT_32BIT,
	[IMAGE_ARGB8888] = SPICE_BITMAP_FMT_RGBA,
	[IMAGE_A8] = SPICE_BITMAP_FMT_8BIT_A,
};

uint8_t proto_bitmap_format(enum image_format format)
{
	return format < IMAGE_FORMATS ? bitmap_formats[format] : SPICE_BITMAP_FMT_INVALID;
}

enum image_format proto_image_format(uint8_t bitmap_format)
{
	for (uint32_t i = 0; i < IMAGE_FORMATS; i++)
		if (bitmap_formats[i] == bitmap_format)
			return (enum image_format)i;
	return IMAGE_FORMATS;
}

static const struct {
	enum surface_format format;
	uint32_t wire;
} surface_formats[] = {
	{ SURFACE_XRGB8888, SPICE_SURFACE_FMT_32_xRGB },
	{ SURFACE_ARGB8888, SPICE_SURFACE_FMT_32_ARGB },
	{ SURFACE_RGB565, SPICE_SURFACE_FMT_16_565 },
	{ SURFACE_XRGB1555, SPICE_SURFACE_FMT_16_555 },
	{ SURFACE_A8, SPICE_SURFACE_FMT_8_A },
	{ SURFACE_A1, SPICE_SURFACE_FMT_1_A },
};

uint32_t proto_surface_format(enum surface_format format)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(surface_formats); i++)
		if (surface_formats[i].format == format)
			return surface_formats[i].wire;
	return SPICE_SURFACE_FMT_INVALID;
}

int proto_surface_format_parse(uint32_t wire, enum surface_format *format)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(surface_formats); i++) {
		if (surface_formats[i].wire == wire) {
			*format = surface_formats[i].format;
			return 0;
		}
	}
	return -EINVAL;
}

static const uint16_t rop_bits[] = {
	[ROP_PUT] = SPICE_ROPD_OP_PUT,
	[ROP_OR] = SPICE_ROPD_OP_OR,
	[ROP_AND] = SPICE_ROPD_OP_AND,
	[ROP_XOR] = SPICE_ROPD_OP_XOR,
	[ROP_BLACKNESS] = SPICE_ROPD_OP_BLACKNESS,
	[ROP_WHITENESS] = SPICE_ROPD_OP_WHITENESS,
	[ROP_INVERS] = SPICE_ROPD_OP_INVERS,
};

static uint16_t source_bit(enum proto_rop_sides sides)
{
	return sides == PROTO_ROP_SOURCE ? SPICE_ROPD_INVERS_SRC : SPICE_ROPD_INVERS_BRUSH;
}

static uint16_t dest_bit(enum proto_rop_sides sides)
{
	return sides == PROTO_ROP_OPAQUE ? SPICE_ROPD_INVERS_SRC : SPICE_ROPD_INVERS_DEST;
}

uint16_t proto_rop(const struct rop *rop, enum proto_rop_sides sides)
{
	return (uint16_t)(rop_bits[rop->op] | (rop->invert_source ? source_bit(sides) : 0) |
		(rop->invert_dest ? dest_bit(sides) : 0) |
		(rop->invert_result ? SPICE_ROPD_INVERS_RES : 0));
}

struct rop proto_rop_parse(uint16_t wire, enum proto_rop_sides sides)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(rop_bits); i++)
		if (wire & rop_bits[i])
			return (struct rop){ .op = (enum rop_op)i,
				.invert_source = wire & source_bit(sides),
				.invert_dest = wire & dest_bit(sides),
				.invert_result = wire & SPICE_ROPD_INVERS_RES };
	return (struct rop){ .op = ROP_PUT };
}

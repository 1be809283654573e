/* SPDX-License-Identifier: MIT */
/* Pointer shapes and their conversion to ARGB. */
#include "core/cursor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"

#define OPAQUE_BLACK 0xff000000u
#define OPAQUE_WHITE 0xffffffffu

static uint32_t mask_row_bytes(uint16_t width)
{
	return DIV_ROUND_UP((uint32_t)width, 8u);
}

static uint32_t pixel_row_bytes(enum cursor_type type, uint16_t width)
{
	switch (type) {
	case CURSOR_COLOR4: return DIV_ROUND_UP((uint32_t)width, 2u);
	case CURSOR_COLOR8: return width;
	case CURSOR_COLOR16: return 2u * width;
	case CURSOR_COLOR24: return 3u * width;
	case CURSOR_MONO: return mask_row_bytes(width);
	default: return 4u * width;
	}
}

static uint32_t palette_bytes(enum cursor_type type)
{
	return type == CURSOR_COLOR4 ? 16 * 4 : type == CURSOR_COLOR8 ? 256 * 4 : 0;
}

uint32_t cursor_shape_bytes(enum cursor_type type, uint16_t width, uint16_t height)
{
	uint32_t pixels;

	if (width == 0 || height == 0 || width > CURSOR_MAX_SIDE || height > CURSOR_MAX_SIDE ||
		type > CURSOR_COLOR32)
		return 0;
	pixels = pixel_row_bytes(type, width) * height;
	if (type == CURSOR_ALPHA)
		return pixels;
	return pixels + palette_bytes(type) + mask_row_bytes(width) * height;
}

int cursor_shape_create(struct cursor_shape **out, enum cursor_type type, uint16_t width,
	uint16_t height, uint16_t hot_x, uint16_t hot_y)
{
	uint32_t size = cursor_shape_bytes(type, width, height);
	struct cursor_shape *shape;

	if (size == 0)
		return -EINVAL;
	shape = malloc(sizeof(*shape) + size);
	if (!shape)
		return -ENOMEM;
	memset(shape, 0, sizeof(*shape));
	shape->refs = 1;
	shape->type = type;
	shape->width = width;
	shape->height = height;
	shape->hot_x = MIN(hot_x, (uint16_t)(width - 1));
	shape->hot_y = MIN(hot_y, (uint16_t)(height - 1));
	shape->size_bytes = size;
	*out = shape;
	return 0;
}

struct cursor_shape *cursor_shape_ref(struct cursor_shape *shape)
{
	__atomic_add_fetch(&shape->refs, 1, __ATOMIC_RELAXED);
	return shape;
}

void cursor_shape_unref(struct cursor_shape *shape)
{
	if (shape && __atomic_sub_fetch(&shape->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(shape);
}

static bool mask_bit(const uint8_t *mask, uint16_t width, uint32_t x, uint32_t y)
{
	return mask[mask_row_bytes(width) * y + x / 8] >> (7 - x % 8) & 1;
}

/* The colour of a pixel, without alpha. */
static uint32_t color_at(const struct cursor_shape *s, uint32_t x, uint32_t y)
{
	const uint8_t *row = s->data + (size_t)pixel_row_bytes(s->type, s->width) * y;
	const uint8_t *palette = s->data + (size_t)pixel_row_bytes(s->type, s->width) * s->height;
	uint32_t word = 0;
	uint16_t half;

	switch (s->type) {
	case CURSOR_COLOR4:
		memcpy(&word, palette + 4 * (x % 2 ? row[x / 2] & 15 : row[x / 2] >> 4), 4);
		break;
	case CURSOR_COLOR8: memcpy(&word, palette + 4 * (size_t)row[x], 4); break;
	case CURSOR_COLOR16:
		memcpy(&half, row + 2 * (size_t)x, 2);
		word = (uint32_t)(half >> 10 & 31) << 19 | (uint32_t)(half >> 5 & 31) << 11 |
			(uint32_t)(half & 31) << 3;
		word |= word >> 5 & 0x070707;
		break;
	case CURSOR_COLOR24:
		word = (uint32_t)row[3 * x + 2] << 16 | (uint32_t)row[3 * x + 1] << 8 | row[3 * x];
		break;
	default: memcpy(&word, row + 4 * (size_t)x, 4); break;
	}
	return word & 0xffffff;
}

/* Pixels that invert what is below become black; a white rim keeps them visible on black. */
static void rim_inverting(uint32_t *out, const uint8_t *inverting, int32_t width, int32_t height)
{
	for (int32_t y = 0; y < height; y++)
		for (int32_t x = 0; x < width; x++)
			for (int32_t n = 0; n < 9 && inverting[y * width + x]; n++) {
				int32_t nx = x + n % 3 - 1, ny = y + n / 3 - 1;

				if (nx < 0 || ny < 0 || nx >= width || ny >= height)
					continue;
				if (out[ny * width + nx] == 0 && !inverting[ny * width + nx])
					out[ny * width + nx] = OPAQUE_WHITE;
			}
}

void cursor_shape_to_argb(const struct cursor_shape *shape, uint32_t *out)
{
	size_t pixels = (size_t)shape->width * shape->height;
	const uint8_t *and_mask = shape->data, *xor_mask = NULL;
	uint8_t *inverting;
	bool any = false;

	if (shape->type == CURSOR_ALPHA) {
		memcpy(out, shape->data, pixels * 4);
		return;
	}
	inverting = calloc(1, pixels);
	if (shape->type == CURSOR_MONO)
		xor_mask = shape->data + mask_row_bytes(shape->width) * shape->height;
	else
		and_mask = shape->data + shape->size_bytes -
			mask_row_bytes(shape->width) * shape->height;
	for (uint32_t y = 0; y < shape->height; y++) {
		for (uint32_t x = 0; x < shape->width; x++) {
			uint32_t color = xor_mask
				? (mask_bit(xor_mask, shape->width, x, y) ? 0xffffff : 0)
				: color_at(shape, x, y);
			bool see_through = mask_bit(and_mask, shape->width, x, y);
			size_t at = (size_t)y * shape->width + x;

			out[at] = !see_through ? color | OPAQUE_BLACK : color ? OPAQUE_BLACK : 0;
			if (see_through && color && inverting) {
				inverting[at] = 1;
				any = true;
			}
		}
	}
	if (any)
		rim_inverting(out, inverting, shape->width, shape->height);
	free(inverting);
}

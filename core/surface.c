/* SPDX-License-Identifier: MIT */
/* Surfaces and images: pixel memory with references. */
#include "core/surface.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"

static const struct {
	uint8_t bits;
	pixman_format_code_t pixman;
} surface_formats[] = {
	[SURFACE_XRGB8888] = { 32, PIXMAN_x8r8g8b8 },
	[SURFACE_ARGB8888] = { 32, PIXMAN_a8r8g8b8 },
	[SURFACE_RGB565] = { 16, PIXMAN_r5g6b5 },
	[SURFACE_XRGB1555] = { 16, PIXMAN_x1r5g5b5 },
	[SURFACE_A8] = { 8, PIXMAN_a8 },
	[SURFACE_A1] = { 1, PIXMAN_a1 },
};

static const struct {
	uint8_t bits;
	uint16_t palette;
} image_formats[] = {
	[IMAGE_1BIT_LE] = { 1, 2 },
	[IMAGE_1BIT_BE] = { 1, 2 },
	[IMAGE_4BIT_LE] = { 4, 16 },
	[IMAGE_4BIT_BE] = { 4, 16 },
	[IMAGE_8BIT] = { 8, 256 },
	[IMAGE_XRGB1555] = { 16, 0 },
	[IMAGE_BGR24] = { 24, 0 },
	[IMAGE_XRGB8888] = { 32, 0 },
	[IMAGE_ARGB8888] = { 32, 0 },
	[IMAGE_A8] = { 8, 0 },
};

uint32_t surface_format_bits(enum surface_format format)
{
	return surface_formats[format].bits;
}

pixman_format_code_t surface_format_pixman(enum surface_format format)
{
	return surface_formats[format].pixman;
}

static uint32_t word_from_1555(uint16_t v)
{
	uint32_t r = v >> 10 & 31, g = v >> 5 & 31, b = v & 31;

	return 0xff000000u | (r << 3 | r >> 2) << 16 | (g << 3 | g >> 2) << 8 | (b << 3 | b >> 2);
}

static bool size_acceptable(uint32_t width, uint32_t height, uint64_t stride)
{
	return width > 0 && height > 0 && width <= SURFACE_MAX_SIDE && height <= SURFACE_MAX_SIDE &&
		stride * height <= SURFACE_MAX_BYTES;
}

static void free_data(void *opaque)
{
	free(opaque);
}

int surface_create(
	struct surface **out, enum surface_format format, uint32_t width, uint32_t height)
{
	uint64_t stride =
		ALIGN_UP(DIV_ROUND_UP((uint64_t)width * surface_format_bits(format), 8), 4u);
	uint8_t *data;
	int err;

	if (!size_acceptable(width, height, stride))
		return -EINVAL;
	data = calloc(height, stride);
	if (!data)
		return -ENOMEM;
	err = surface_create_over(
		out, format, width, height, (int32_t)stride, data, free_data, data);
	if (err)
		free(data);
	return err;
}

int surface_create_over(struct surface **out, enum surface_format format, uint32_t width,
	uint32_t height, int32_t stride, uint8_t *data, void (*release)(void *opaque), void *opaque)
{
	struct surface *surface;

	if (!size_acceptable(width, height, (uint64_t)llabs(stride)))
		return -EINVAL;
	surface = malloc(sizeof(*surface));
	if (!surface)
		return -ENOMEM;
	*surface = (struct surface){ .refs = 1,
		.format = format,
		.width = width,
		.height = height,
		.stride = stride,
		.data = data,
		.release = release,
		.opaque = opaque };
	*out = surface;
	return 0;
}

struct surface *surface_ref(struct surface *surface)
{
	__atomic_add_fetch(&surface->refs, 1, __ATOMIC_RELAXED);
	return surface;
}

void surface_unref(struct surface *surface)
{
	if (!surface || __atomic_sub_fetch(&surface->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	if (surface->release)
		surface->release(surface->opaque);
	free(surface);
}

static void copy_rows(struct surface *to, int32_t x, int32_t y, const struct surface *from,
	const struct rect *area)
{
	size_t pixel = surface_format_bits(from->format) / 8;
	size_t bytes = (size_t)rect_width(area) * pixel;

	for (int32_t row = 0; row < rect_height(area); row++)
		memmove(surface_row(to, (uint32_t)(y + row)) + (size_t)x * pixel,
			surface_row(from, (uint32_t)(area->top + row)) + (size_t)area->left * pixel,
			bytes);
}

void surface_load_words(
	const struct surface *s, uint32_t x, uint32_t y, uint32_t count, uint32_t *words)
{
	const uint8_t *row = surface_row(s, y);
	uint16_t half;

	switch (surface_format_bits(s->format)) {
	case 32: memcpy(words, row + 4 * (size_t)x, 4 * (size_t)count); break;
	case 16:
		for (uint32_t i = 0; i < count; i++) {
			memcpy(&half, row + 2 * (size_t)(x + i), 2);
			words[i] = half;
		}
		break;
	case 8:
		for (uint32_t i = 0; i < count; i++)
			words[i] = row[x + i];
		break;
	default:
		for (uint32_t i = x; i < x + count; i++)
			words[i - x] = row[i / 8] >> (i % 8) & 1;
		break;
	}
}

void surface_store_words(
	struct surface *s, uint32_t x, uint32_t y, uint32_t count, const uint32_t *words)
{
	uint8_t *row = surface_row(s, y);
	uint16_t half;

	switch (surface_format_bits(s->format)) {
	case 32: memcpy(row + 4 * (size_t)x, words, 4 * (size_t)count); break;
	case 16:
		for (uint32_t i = 0; i < count; i++) {
			half = (uint16_t)words[i];
			memcpy(row + 2 * (size_t)(x + i), &half, 2);
		}
		break;
	case 8:
		for (uint32_t i = 0; i < count; i++)
			row[x + i] = (uint8_t)words[i];
		break;
	default:
		for (uint32_t i = x; i < x + count; i++)
			row[i / 8] = (uint8_t)((row[i / 8] & ~(1u << i % 8)) |
				(words[i - x] & 1) << i % 8);
		break;
	}
}

uint32_t surface_word_to_argb(enum surface_format format, uint32_t word)
{
	switch (format) {
	case SURFACE_XRGB8888: return word | 0xff000000u;
	case SURFACE_RGB565:
		return 0xff000000u | (word >> 11 & 31) << 19 | (word >> 13 & 7) << 16 |
			(word >> 5 & 63) << 10 | (word >> 9 & 3) << 8 | (word & 31) << 3 |
			(word >> 2 & 7);
	case SURFACE_XRGB1555: return word_from_1555((uint16_t)word);
	case SURFACE_A8: return word << 24;
	case SURFACE_A1: return word ? 0xff000000u : 0;
	default: return word;
	}
}

uint32_t surface_word_from_argb(enum surface_format format, uint32_t argb)
{
	switch (format) {
	case SURFACE_RGB565:
		return (argb >> 19 & 31) << 11 | (argb >> 10 & 63) << 5 | (argb >> 3 & 31);
	case SURFACE_XRGB1555:
		return (argb >> 19 & 31) << 10 | (argb >> 11 & 31) << 5 | (argb >> 3 & 31);
	case SURFACE_A8: return argb >> 24;
	case SURFACE_A1: return argb >> 31;
	default: return argb;
	}
}

static void convert_row(struct surface *to, int32_t to_x, int32_t to_y, const struct surface *from,
	int32_t x, int32_t y, uint32_t width)
{
	uint32_t words[256];

	for (uint32_t done = 0; done < width; done += ARRAY_SIZE(words)) {
		uint32_t count = MIN(width - done, (uint32_t)ARRAY_SIZE(words));

		surface_load_words(from, (uint32_t)x + done, (uint32_t)y, count, words);
		for (uint32_t i = 0; i < count; i++)
			words[i] = surface_word_from_argb(
				to->format, surface_word_to_argb(from->format, words[i]));
		surface_store_words(to, (uint32_t)to_x + done, (uint32_t)to_y, count, words);
	}
}

void surface_copy(struct surface *to, int32_t x, int32_t y, const struct surface *from,
	const struct rect *area)
{
	struct rect bounds = surface_bounds(from);
	struct rect src = rect_intersect(area, &bounds);
	struct rect dst, clipped;

	bounds = surface_bounds(to);
	dst = rect_make(x + (src.left - area->left), y + (src.top - area->top), rect_width(&src),
		rect_height(&src));
	clipped = rect_intersect(&dst, &bounds);
	if (rect_empty(&src) || rect_empty(&clipped))
		return;
	src = rect_make(src.left + (clipped.left - dst.left), src.top + (clipped.top - dst.top),
		rect_width(&clipped), rect_height(&clipped));
	if (to->format == from->format && surface_format_bits(to->format) >= 8) {
		copy_rows(to, clipped.left, clipped.top, from, &src);
		return;
	}
	for (int32_t row = 0; row < rect_height(&src); row++)
		convert_row(to, clipped.left, clipped.top + row, from, src.left, src.top + row,
			(uint32_t)rect_width(&src));
}

/* ---- images ---- */

uint32_t image_format_row_bytes(enum image_format format, uint32_t width)
{
	return (uint32_t)DIV_ROUND_UP((uint64_t)width * image_formats[format].bits, 8);
}

uint32_t image_format_palette(enum image_format format)
{
	return image_formats[format].palette;
}

int image_create(struct image **out, enum image_format format, uint32_t width, uint32_t height)
{
	uint32_t palette = image_format_palette(format);
	struct image *image;
	uint64_t stride;

	if (!size_acceptable(width, height, (uint64_t)width * 4))
		return -EINVAL;
	stride = ALIGN_UP(image_format_row_bytes(format, width), 4u);
	image = calloc(1, sizeof(*image));
	if (!image)
		return -ENOMEM;
	*image = (struct image){ .refs = 1,
		.format = format,
		.width = width,
		.height = height,
		.stride = (uint32_t)stride };
	image->data = malloc(stride * height);
	if (palette)
		image->palette = calloc(palette, sizeof(*image->palette));
	if (!image->data || (palette && !image->palette)) {
		image_unref(image);
		return -ENOMEM;
	}
	*out = image;
	return 0;
}

struct image *image_ref(struct image *image)
{
	__atomic_add_fetch(&image->refs, 1, __ATOMIC_RELAXED);
	return image;
}

void image_unref(struct image *image)
{
	if (!image || __atomic_sub_fetch(&image->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	if (image->release)
		image->release(image);
	free(image->palette);
	free(image->data);
	free(image);
}

int image_from_surface(struct image **out, const struct surface *surface, const struct rect *area)
{
	bool alpha = surface->format == SURFACE_ARGB8888;
	struct rect bounds = surface_bounds(surface);
	struct surface view;
	struct image *image;
	int err;

	err = image_create(&image, alpha ? IMAGE_ARGB8888 : IMAGE_XRGB8888,
		(uint32_t)MAX(rect_width(area), 0), (uint32_t)MAX(rect_height(area), 0));
	if (err)
		return err;
	if (!rect_contains(&bounds, area)) /* else every pixel is copied */
		memset(image->data, 0, (size_t)image->stride * image->height);
	view = (struct surface){ .format = alpha ? SURFACE_ARGB8888 : SURFACE_XRGB8888,
		.width = image->width,
		.height = image->height,
		.stride = (int32_t)image->stride,
		.data = image->data };
	surface_copy(&view, 0, 0, surface, area);
	*out = image;
	return 0;
}

static uint32_t index_in_row(const struct image *image, const uint8_t *row, uint32_t x)
{
	switch (image->format) {
	case IMAGE_1BIT_LE: return row[x / 8] >> (x % 8) & 1;
	case IMAGE_1BIT_BE: return row[x / 8] >> (7 - x % 8) & 1;
	case IMAGE_4BIT_LE: return x % 2 ? row[x / 2] >> 4 : row[x / 2] & 15;
	case IMAGE_4BIT_BE: return x % 2 ? row[x / 2] & 15 : row[x / 2] >> 4;
	default: return row[x];
	}
}

uint32_t image_index_at(const struct image *image, uint32_t x, uint32_t y)
{
	assert(image->palette && x < image->width && y < image->height);
	return index_in_row(image, image->data + (size_t)image->stride * y, x);
}

void image_row_to_argb(
	const struct image *image, uint32_t x, uint32_t y, uint32_t width, uint32_t *out)
{
	const uint8_t *row = image->data + (size_t)image->stride * y;
	uint16_t half;

	assert(y < image->height && x <= image->width && width <= image->width - x);
	if (image->palette) {
		for (uint32_t i = 0; i < width; i++)
			out[i] = image->palette[index_in_row(image, row, x + i)] | 0xff000000u;
		return;
	}
	switch (image->format) {
	case IMAGE_XRGB1555:
		for (uint32_t i = 0; i < width; i++) {
			memcpy(&half, row + 2 * (size_t)(x + i), 2);
			out[i] = word_from_1555(half);
		}
		break;
	case IMAGE_BGR24:
		row += 3 * (size_t)x;
		for (uint32_t i = 0; i < width; i++, row += 3)
			out[i] = 0xff000000u | (uint32_t)row[2] << 16 | (uint32_t)row[1] << 8 |
				row[0];
		break;
	case IMAGE_A8:
		for (uint32_t i = 0; i < width; i++)
			out[i] = (uint32_t)row[x + i] << 24;
		break;
	default:
		memcpy(out, row + 4 * (size_t)x, 4 * (size_t)width);
		if (image->format == IMAGE_XRGB8888)
			for (uint32_t i = 0; i < width; i++)
				out[i] |= 0xff000000u;
		break;
	}
}

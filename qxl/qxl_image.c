/* SPDX-License-Identifier: MIT */
/* Pictures of the guest: QXLImage and QXLBitmap become host-owned images. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <spice/qxl_dev.h>

#include "core/util.h"
#include "qxl/qxl_parse.h"

static int image_format_of(uint8_t spice_format, enum image_format *format)
{
	static const struct {
		uint8_t spice;
		enum image_format format;
	} formats[] = {
		{ SPICE_BITMAP_FMT_1BIT_LE, IMAGE_1BIT_LE },
		{ SPICE_BITMAP_FMT_1BIT_BE, IMAGE_1BIT_BE },
		{ SPICE_BITMAP_FMT_4BIT_LE, IMAGE_4BIT_LE },
		{ SPICE_BITMAP_FMT_4BIT_BE, IMAGE_4BIT_BE },
		{ SPICE_BITMAP_FMT_8BIT, IMAGE_8BIT },
		{ SPICE_BITMAP_FMT_16BIT, IMAGE_XRGB1555 },
		{ SPICE_BITMAP_FMT_24BIT, IMAGE_BGR24 },
		{ SPICE_BITMAP_FMT_32BIT, IMAGE_XRGB8888 },
		{ SPICE_BITMAP_FMT_RGBA, IMAGE_ARGB8888 },
		{ SPICE_BITMAP_FMT_8BIT_A, IMAGE_A8 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		if (formats[i].spice == spice_format) {
			*format = formats[i].format;
			return 0;
		}
	}
	return -EINVAL;
}

/* The colour of a driver that knows 16-bit screens only. */
static uint32_t color_from_16(uint32_t c)
{
	uint32_t r = c >> 10 & 31, g = c >> 5 & 31, b = c & 31;

	return (r << 3 | r >> 2) << 16 | (g << 3 | g >> 2) << 8 | (b << 3 | b >> 2);
}

static int read_palette(const struct qxl_parser *parser, uint64_t address, struct image *image)
{
	uint32_t needed = image_format_palette(image->format);
	QXLPalette palette;
	uint32_t count;

	if (qxl_slots_read(parser->slots, address, &palette, sizeof(palette)))
		return -EFAULT;
	count = MIN((uint32_t)palette.num_ents, needed);
	if (qxl_slots_read(parser->slots, address + sizeof(palette), image->palette,
		    count * sizeof(uint32_t)))
		return -EFAULT;
	for (uint32_t i = 0; i < count; i++)
		image->palette[i] = parser->compat_16bpp ? color_from_16(image->palette[i])
							 : image->palette[i] & 0xffffff;
	image->palette_id = palette.unique;
	return 0;
}

/* Copies `part` (pixels of the guest's bitmap, whole bytes) into the image. */
static int read_rows(const struct qxl_parser *parser, const QXLBitmap *bitmap,
	const struct rect *part, struct image *image)
{
	bool top_down = bitmap->flags & QXL_BITMAP_TOP_DOWN;
	uint32_t skip = image_format_row_bytes(image->format, (uint32_t)part->left);
	uint32_t bytes = image_format_row_bytes(image->format, image->width);
	uint64_t total = (uint64_t)bitmap->stride * bitmap->y;
	uint32_t first = top_down ? (uint32_t)part->top : bitmap->y - (uint32_t)part->bottom;
	struct qxl_chain chain;
	int err;

	if (total > SURFACE_MAX_BYTES)
		return -EINVAL;
	if (bitmap->flags & QXL_BITMAP_DIRECT)
		err = qxl_chain_begin_raw(&chain, parser->slots, bitmap->data, (uint32_t)total);
	else
		err = qxl_chain_begin(&chain, parser->slots, bitmap->data);
	if (!err)
		err = qxl_chain_read(&chain, NULL, (uint64_t)first * bitmap->stride);
	/* Whole rows without gaps go at once. */
	if (!err && top_down && skip == 0 && bytes == bitmap->stride && bytes == image->stride)
		return qxl_chain_read(&chain, image->data, (uint64_t)bytes * image->height);
	for (uint32_t i = 0; !err && i < image->height; i++) {
		uint32_t y = top_down ? i : image->height - 1 - i;

		err = qxl_chain_read(&chain, NULL, i == 0 ? skip : bitmap->stride - bytes);
		if (!err)
			err = qxl_chain_read(
				&chain, image->data + (size_t)y * image->stride, bytes);
	}
	return err;
}

static int check_bitmap(const QXLBitmap *bitmap, enum image_format format)
{
	if (bitmap->x == 0 || bitmap->y == 0 || bitmap->x > SURFACE_MAX_SIDE ||
		bitmap->y > SURFACE_MAX_SIDE ||
		bitmap->stride < image_format_row_bytes(format, bitmap->x) ||
		bitmap->stride > SURFACE_MAX_BYTES / SURFACE_MAX_SIDE * 4)
		return -EINVAL;
	return 0;
}

static int read_bitmap(const struct qxl_parser *parser, const QXLBitmap *bitmap,
	const struct rect *part, bool is_mask, struct image **out)
{
	enum image_format format = IMAGE_A8;
	struct image *image;
	int err;

	err = image_format_of(bitmap->format, &format);
	if (!err)
		err = check_bitmap(bitmap, format);
	if (err)
		return err;
	if (is_mask && format != IMAGE_1BIT_LE && format != IMAGE_1BIT_BE)
		return -EINVAL;
	if (image_format_palette(format) && !bitmap->palette && !is_mask)
		return -EINVAL;
	err = image_create(&image, format, (uint32_t)rect_width(part), (uint32_t)rect_height(part));
	if (err)
		return err;
	if (image->palette && bitmap->palette)
		err = read_palette(parser, bitmap->palette, image);
	if (!err)
		err = read_rows(parser, bitmap, part, image);
	if (err) {
		image_unref(image);
		return err;
	}
	*out = image;
	return 0;
}

static int read_image_header(
	const struct qxl_parser *parser, uint64_t address, QXLImage *image, bool is_bitmap)
{
	size_t size = sizeof(image->descriptor) +
		(is_bitmap ? sizeof(image->bitmap) : sizeof(image->surface_image));

	return qxl_slots_read(parser->slots, address, image, size);
}

/* What of a bitmap is copied for a drawing that uses `area`. */
static struct rect part_needed(const QXLImage *image, const struct rect *area, bool whole)
{
	struct rect all = { 0, 0, (int32_t)image->bitmap.x, (int32_t)image->bitmap.y };
	bool whole_bytes = image->bitmap.format >= SPICE_BITMAP_FMT_8BIT;

	/* Who is to cache it needs all of it. */
	if (!area || whole || image->descriptor.flags & QXL_IMAGE_CACHE || !whole_bytes)
		return all;
	return *area;
}

static int parse_bitmap_image(const struct qxl_parser *parser, const QXLImage *header,
	struct rect *area, bool whole, struct image **out)
{
	struct rect all = { 0, 0, (int32_t)header->bitmap.x, (int32_t)header->bitmap.y };
	struct rect part;
	int err;

	if (header->bitmap.x > SURFACE_MAX_SIDE || header->bitmap.y > SURFACE_MAX_SIDE ||
		(area && (rect_empty(area) || !rect_contains(&all, area))))
		return -EINVAL;
	part = part_needed(header, area, whole);
	err = read_bitmap(parser, &header->bitmap, &part, false, out);
	if (err)
		return err;
	if (header->descriptor.flags & QXL_IMAGE_CACHE) {
		(*out)->id = header->descriptor.id;
		(*out)->flags |= IMAGE_CACHE_ME;
	}
	if (header->descriptor.flags & QXL_IMAGE_HIGH_BITS_SET)
		(*out)->flags |= IMAGE_HIGH_BITS_SET;
	if (area)
		*area = rect_make(area->left - part.left, area->top - part.top, rect_width(area),
			rect_height(area));
	return 0;
}

/* ---- pictures that the driver packed ---- */

/* Small data may stand for many pixels: this is what a large screen has, and takes no long time. */
#define PACKED_PIXELS_MAX (1u << 24)

static int read_packed(const struct qxl_parser *parser, uint64_t address, enum qxl_packing packing,
	const QXLImageDescriptor *descriptor, struct image **out)
{
	uint64_t pixels = (uint64_t)descriptor->width * descriptor->height;
	struct qxl_chain chain;
	uint32_t size;
	uint8_t *data;
	int err;

	if (qxl_slots_read(parser->slots, address, &size, sizeof(size)) ||
		qxl_chain_begin(&chain, parser->slots, address + sizeof(size)))
		return -EFAULT;
	/* No codec makes more of them. */
	if (size == 0 || size > pixels * 16 + 4096)
		return -EINVAL;
	data = malloc(size);
	if (!data)
		return -ENOMEM;
	err = qxl_chain_read(&chain, data, size);
	if (!err)
		err = parser->unpack(
			packing, data, size, descriptor->width, descriptor->height, out);
	free(data);
	return err;
}

static int parse_packed_image(const struct qxl_parser *parser, uint64_t address,
	enum qxl_packing packing, const QXLImageDescriptor *descriptor, const struct rect *area,
	struct image **out)
{
	struct rect all = { 0, 0, (int32_t)descriptor->width, (int32_t)descriptor->height };
	int err;

	if (descriptor->width == 0 || descriptor->height == 0 ||
		descriptor->width > SURFACE_MAX_SIDE || descriptor->height > SURFACE_MAX_SIDE ||
		(area && (rect_empty(area) || !rect_contains(&all, area))))
		return -EINVAL;
	if (!parser->unpack || descriptor->width * descriptor->height > PACKED_PIXELS_MAX)
		return -ENOTSUP;
	err = read_packed(parser, address + sizeof(*descriptor), packing, descriptor, out);
	if (err)
		return err;
	if (descriptor->flags & QXL_IMAGE_CACHE) {
		(*out)->id = descriptor->id;
		(*out)->flags |= IMAGE_CACHE_ME;
	}
	if (descriptor->flags & QXL_IMAGE_HIGH_BITS_SET)
		(*out)->flags |= IMAGE_HIGH_BITS_SET;
	return 0;
}

static int parse_surface_image(
	const struct qxl_parser *parser, uint32_t id, const struct rect *area)
{
	struct rect all = { 0 };
	uint32_t width, height;

	if (id >= QXL_SURFACES_MAX)
		return -EINVAL;
	if (!parser->surface_size(parser->opaque, id, &width, &height))
		return -ERANGE;
	all.right = (int32_t)width;
	all.bottom = (int32_t)height;
	if (area && rect_empty(area))
		return -EINVAL;
	return area && !rect_contains(&all, area) ? -ERANGE : 0;
}

int qxl_parse_image(const struct qxl_parser *parser, uint64_t address, struct rect *area,
	bool whole, struct draw_source *out)
{
	QXLImage image;
	uint8_t type;
	int err;

	*out = (struct draw_source){ 0 };
	/* What is common to all kinds of image, then that kind alone. */
	if (read_image_header(parser, address, &image, false))
		return -EFAULT;
	type = image.descriptor.type;
	switch (type) {
	case SPICE_IMAGE_TYPE_SURFACE:
		out->surface_id = image.surface_image.surface_id;
		return parse_surface_image(parser, out->surface_id, area);
	case SPICE_IMAGE_TYPE_BITMAP:
		err = read_image_header(parser, address, &image, true);
		image.descriptor.type = type;
		return err ? err : parse_bitmap_image(parser, &image, area, whole, &out->image);
	case SPICE_IMAGE_TYPE_QUIC:
		return parse_packed_image(
			parser, address, QXL_PACKED_QUIC, &image.descriptor, area, &out->image);
	case SPICE_IMAGE_TYPE_LZ_RGB:
		return parse_packed_image(
			parser, address, QXL_PACKED_LZ, &image.descriptor, area, &out->image);
	/* No driver has ever made these. */
	case SPICE_IMAGE_TYPE_LZ_PLT:
	case SPICE_IMAGE_TYPE_GLZ_RGB:
	case SPICE_IMAGE_TYPE_JPEG:
	case SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB:
	case SPICE_IMAGE_TYPE_JPEG_ALPHA:
	case SPICE_IMAGE_TYPE_LZ4: return -ENOTSUP;
	default: return -EINVAL;
	}
}

int qxl_parse_mask_image(const struct qxl_parser *parser, uint64_t address, struct image **out)
{
	QXLImage image;
	struct rect all;

	if (read_image_header(parser, address, &image, true))
		return -EFAULT;
	if (image.descriptor.type != SPICE_IMAGE_TYPE_BITMAP)
		return -ENOTSUP;
	if (image.bitmap.x > SURFACE_MAX_SIDE || image.bitmap.y > SURFACE_MAX_SIDE)
		return -EINVAL;
	all = rect_make(0, 0, (int32_t)image.bitmap.x, (int32_t)image.bitmap.y);
	return read_bitmap(parser, &image.bitmap, &all, true, out);
}

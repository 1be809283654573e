/* SPDX-License-Identifier: MIT */
/* The encoder of the display channel. */
#include "channels/server/display_encode.h"

#include <errno.h>
#include <string.h>

#include "channels/proto/messages.h"
#include "codecs/lz4.h"
#include "core/util.h"

enum { LZ4_MIN_BYTES = 256 };

static const struct rop rop_put = { .op = ROP_PUT };

/* ---- images ---- */

static bool is_words(const struct image *image)
{
	return image->format == IMAGE_XRGB8888 || image->format == IMAGE_ARGB8888;
}

/* The whole image as it is: small, or in a format with a palette. */
static void describe_bitmap(struct proto_image *out, const struct image *image)
{
	out->type = SPICE_IMAGE_TYPE_BITMAP;
	out->bitmap.format = proto_bitmap_format(image->format);
	out->bitmap.top_down = true;
	out->bitmap.width = image->width;
	out->bitmap.height = image->height;
	out->bitmap.stride = image->stride;
	out->bitmap.data.data = image->data;
	out->bitmap.data.size = (size_t)image->stride * image->height;
	out->bitmap.palette.count = (uint16_t)image_format_palette(image->format);
	out->bitmap.palette.id = image->palette_id;
	out->bitmap.palette.ents = (const uint8_t *)image->palette;
}

/* Rows of words without gaps. */
static int compact(
	struct buf *out, const uint8_t *rows, uint32_t stride, uint32_t row_bytes, uint32_t height)
{
	uint8_t *room = buf_reserve(out, (size_t)row_bytes * height);

	if (!room)
		return -ENOMEM;
	for (uint32_t y = 0; y < height; y++)
		memcpy(room + (size_t)y * row_bytes, rows + (size_t)y * stride, row_bytes);
	buf_commit(out, (size_t)row_bytes * height);
	return 0;
}

/* Part of an image of words, LZ4 where that is smaller. `store` holds what `out` points to. */
static int describe_words(struct proto_image *out, struct buf *store, const struct image *image,
	const struct rect *area, bool lz4)
{
	const uint8_t *rows =
		image->data + (size_t)area->top * image->stride + (size_t)area->left * 4;
	uint8_t format = proto_bitmap_format(image->format);
	uint32_t row_bytes = (uint32_t)rect_width(area) * 4;
	uint32_t height = (uint32_t)rect_height(area);
	size_t raw = (size_t)row_bytes * height;
	int ret;

	out->width = (uint32_t)rect_width(area);
	out->height = height;
	if (lz4 && raw >= LZ4_MIN_BYTES) {
		ret = lz4_image_encode(store, format, rows, row_bytes, image->stride, height);
		if (ret == 0 && store->size < raw) {
			out->type = SPICE_IMAGE_TYPE_LZ4;
			out->packed.data = buf_bytes(store);
			out->packed.size = store->size;
			return 0;
		}
		buf_clear(store);
	}
	out->type = SPICE_IMAGE_TYPE_BITMAP;
	out->bitmap.format = format;
	out->bitmap.top_down = true;
	out->bitmap.width = out->width;
	out->bitmap.height = height;
	out->bitmap.stride = row_bytes;
	out->bitmap.data.size = raw;
	out->bitmap.data.data = rows;
	if (image->stride == row_bytes)
		return 0;
	ret = compact(store, rows, image->stride, row_bytes, height);
	out->bitmap.data.data = buf_bytes(store);
	return ret;
}

/* `area` becomes what is to be read of the image that is sent, which may be only that part. */
static int describe_image(struct proto_image *out, struct buf *store, const struct image *image,
	struct rect *area, bool lz4)
{
	struct rect bounds = { 0, 0, (int32_t)image->width, (int32_t)image->height };
	int ret;

	out->present = true;
	out->id = image->id;
	out->width = image->width;
	out->height = image->height;
	if (!is_words(image) || !rect_contains(&bounds, area)) {
		describe_bitmap(out, image);
		return 0;
	}
	ret = describe_words(out, store, image, area, lz4);
	*area = (struct rect){ 0, 0, (int32_t)out->width, (int32_t)out->height };
	return ret;
}

static void describe_mask(struct proto_mask *out, const struct draw_mask *mask)
{
	if (!mask->image)
		return;
	out->flags = mask->invert ? SPICE_MASK_FLAGS_INVERS : 0;
	out->origin = mask->origin;
	out->image.present = true;
	out->image.id = mask->image->id;
	out->image.width = mask->image->width;
	out->image.height = mask->image->height;
	describe_bitmap(&out->image, mask->image);
}

static void describe_base(struct proto_base *out, const struct draw *draw)
{
	out->surface_id = draw->surface_id;
	out->box = draw->box;
	out->clip.clipped = draw->clipped;
	out->clip.region = &draw->clip;
}

/* ---- drawings ---- */

static int encode_fill(struct buf *body, const struct draw *draw, bool lz4)
{
	const struct brush *brush = &draw->fill.brush;
	struct msg_draw_fill msg = { .rop = proto_rop(&draw->fill.rop, true) };
	struct buf store = { 0 };
	int ret = 0;

	describe_base(&msg.base, draw);
	describe_mask(&msg.mask, &draw->fill.mask);
	msg.brush.type = SPICE_BRUSH_TYPE_SOLID;
	msg.brush.color = brush->color;
	if (brush->type == BRUSH_PATTERN) {
		const struct image *image = brush->pattern.image;
		struct rect all = { 0, 0, (int32_t)image->width, (int32_t)image->height };

		msg.brush.type = SPICE_BRUSH_TYPE_PATTERN;
		msg.brush.origin = brush->pattern_origin;
		ret = describe_image(&msg.brush.pattern, &store, image, &all, lz4);
	}
	if (ret == 0)
		ret = msg_draw_fill_pack(body, &msg);
	buf_finish(&store);
	return ret;
}

/* An unscaled copy needs no more of its source than what is seen. A mask counts from the box's
 * corner, which then has to stay. */
static void crop(struct msg_draw_copy *msg, const struct draw *draw)
{
	struct rect seen = draw->box;

	if (draw->clipped) {
		struct rect clip = region_extents(&draw->clip);

		seen = rect_intersect(&seen, &clip);
	}
	if (draw->copy.mask.image || rect_empty(&seen))
		return;
	msg->area = (struct rect){
		msg->area.left + seen.left - draw->box.left,
		msg->area.top + seen.top - draw->box.top,
		msg->area.right + seen.right - draw->box.right,
		msg->area.bottom + seen.bottom - draw->box.bottom,
	};
	msg->base.box = seen;
}

static int encode_copy(struct buf *body, const struct draw *draw, bool lz4)
{
	const struct image *image = draw->copy.source.image;
	struct msg_draw_copy msg = {
		.area = draw->copy.area,
		.rop = proto_rop(&draw->copy.rop, false),
		.scale_mode = draw->copy.scale == SCALE_NEAREST
			? SPICE_IMAGE_SCALE_MODE_NEAREST
			: SPICE_IMAGE_SCALE_MODE_INTERPOLATE,
	};
	struct buf store = { 0 };
	int ret = 0;

	describe_base(&msg.base, draw);
	describe_mask(&msg.mask, &draw->copy.mask);
	crop(&msg, draw);
	if (image) {
		ret = describe_image(&msg.source, &store, image, &msg.area, lz4);
	} else {
		msg.source.present = true;
		msg.source.type = SPICE_IMAGE_TYPE_SURFACE;
		msg.source.width = (uint32_t)draw->copy.area.right;
		msg.source.height = (uint32_t)draw->copy.area.bottom;
		msg.source.surface_id = draw->copy.source.surface_id;
	}
	if (ret == 0)
		ret = msg_draw_copy_pack(body, &msg);
	buf_finish(&store);
	return ret;
}

static int encode_copy_bits(struct buf *body, const struct draw *draw)
{
	struct msg_copy_bits msg = { .from = draw->copy_bits.from };

	describe_base(&msg.base, draw);
	return msg_copy_bits_pack(body, &msg);
}

int display_encode_draw(struct buf *body, uint16_t *type, const struct draw *draw, bool lz4)
{
	switch (draw->type) {
	case DRAW_FILL: *type = SPICE_MSG_DISPLAY_DRAW_FILL; return encode_fill(body, draw, lz4);
	case DRAW_COPY: *type = SPICE_MSG_DISPLAY_DRAW_COPY; return encode_copy(body, draw, lz4);
	case DRAW_COPY_BITS:
		*type = SPICE_MSG_DISPLAY_COPY_BITS;
		return encode_copy_bits(body, draw);
	default: return -EINVAL; /* display_queue lets no other through */
	}
}

int display_encode_pixels(struct buf *body, uint16_t *type, uint32_t surface_id, int32_t x,
	int32_t y, const struct image *image, bool lz4)
{
	struct msg_draw_copy msg = {
		.base = { .surface_id = surface_id,
			.box = rect_make(x, y, (int32_t)image->width, (int32_t)image->height) },
		.area = { 0, 0, (int32_t)image->width, (int32_t)image->height },
		.rop = proto_rop(&rop_put, false),
		.scale_mode = SPICE_IMAGE_SCALE_MODE_NEAREST,
	};
	struct buf store = { 0 };
	int ret = describe_image(&msg.source, &store, image, &msg.area, lz4);

	*type = SPICE_MSG_DISPLAY_DRAW_COPY;
	if (ret == 0)
		ret = msg_draw_copy_pack(body, &msg);
	buf_finish(&store);
	return ret;
}

size_t display_encode_cost(const struct draw *draw)
{
	const struct image *image = NULL;

	if (draw->type == DRAW_COPY)
		image = draw->copy.source.image;
	else if (draw->type == DRAW_FILL)
		image = draw->fill.brush.pattern.image;
	return image ? (size_t)image->stride * image->height : 0;
}

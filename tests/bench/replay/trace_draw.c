/* SPDX-License-Identifier: MIT */
/* A trace's drawings. */
#include <errno.h>
#include <string.h>

#include "core/util.h"
#include "tests/bench/replay/trace_internal.h"

/* ---- pictures, brushes, masks ---- */

static uint64_t read_palette(struct trace *trace)
{
	int64_t count = trace_number(trace, "qp.num_ents");
	uint64_t address = 0;
	QXLPalette *palette;

	if (count < 0 || count > UINT16_MAX)
		trace->in.error = -E2BIG;
	else
		address = trace_alloc_zeroed(
			trace, sizeof(*palette) + (uint64_t)count * sizeof(uint32_t));
	if (!address)
		return 0;
	palette = trace_at(trace, address);
	palette->num_ents = (uint16_t)count;
	palette->unique = (uint64_t)trace_number(trace, "unique");
	for (int64_t i = 0; i < count && !trace->in.error; i++) {
		uint32_t entry = (uint32_t)trace_number(trace, "ents");

		memcpy((uint8_t *)palette + sizeof(*palette) + (size_t)i * 4, &entry, 4);
	}
	return address;
}

static void read_bitmap(struct trace *trace, QXLBitmap *bitmap)
{
	uint64_t size;
	bool direct;

	bitmap->format = (uint8_t)trace_number(trace, "bitmap.format");
	bitmap->flags = (uint8_t)trace_number(trace, "bitmap.flags");
	bitmap->x = (uint32_t)trace_number(trace, "bitmap.x");
	bitmap->y = (uint32_t)trace_number(trace, "bitmap.y");
	bitmap->stride = (uint32_t)trace_number(trace, "bitmap.stride");
	if (trace_number(trace, "has_palette"))
		bitmap->palette = read_palette(trace);
	if (bitmap->flags & QXL_BITMAP_DIRECT) {
		bitmap->data = trace_binary(trace, "image_data_flat", 0, &size);
		return;
	}
	bitmap->data =
		trace_pixels(trace, "bitmap.data", (uint64_t)bitmap->stride * bitmap->y, &direct);
	if (direct)
		bitmap->flags |= QXL_BITMAP_DIRECT;
}

/* A packed picture follows its descriptor at once. */
static uint64_t read_quic(struct trace *trace, const QXLImageDescriptor *descriptor)
{
	const uint64_t head = sizeof(*descriptor) + sizeof(QXLQUICData) + sizeof(QXLDataChunk);
	uint32_t data_size = (uint32_t)trace_number(trace, "quic.data_size");
	uint64_t size, address = trace_chunks(trace, "quic.data", head, &size);
	QXLImage *image = trace_at(trace, address);

	if (!address)
		return 0;
	image->descriptor = *descriptor;
	image->quic.data_size = data_size;
	return address;
}

static uint64_t read_image(struct trace *trace)
{
	QXLImageDescriptor descriptor = { 0 };
	uint64_t address;
	QXLImage *image;

	if (!trace_number(trace, "image") || trace->in.error)
		return 0;
	descriptor.id = (uint64_t)trace_number(trace, "descriptor.id");
	descriptor.type = (uint8_t)trace_number(trace, "descriptor.type");
	descriptor.flags = (uint8_t)trace_number(trace, "descriptor.flags");
	descriptor.width = (uint32_t)trace_number(trace, "descriptor.width");
	descriptor.height = (uint32_t)trace_number(trace, "descriptor.height");
	if (descriptor.type == SPICE_IMAGE_TYPE_QUIC)
		return read_quic(trace, &descriptor);
	address = trace_alloc_zeroed(trace, sizeof(*image));
	if (!address)
		return 0;
	image = trace_at(trace, address);
	image->descriptor = descriptor;
	if (descriptor.type == SPICE_IMAGE_TYPE_BITMAP)
		read_bitmap(trace, &image->bitmap);
	else if (descriptor.type == SPICE_IMAGE_TYPE_SURFACE)
		image->surface_image.surface_id =
			(uint32_t)trace_number(trace, "surface_image.surface_id");
	else
		trace->in.error = -EINVAL; /* the recorder stops at others */
	return address;
}

static void read_brush(struct trace *trace, QXLBrush *brush)
{
	brush->type = (uint32_t)trace_number(trace, "type");
	if (brush->type == SPICE_BRUSH_TYPE_SOLID) {
		brush->u.color = (uint32_t)trace_number(trace, "u.color");
	} else if (brush->type == SPICE_BRUSH_TYPE_PATTERN) {
		brush->u.pattern.pat = read_image(trace);
		trace_point(trace, &brush->u.pattern.pos);
	}
}

static void read_mask(struct trace *trace, QXLQMask *mask)
{
	mask->flags = (uint8_t)trace_number(trace, "flags");
	trace_point(trace, &mask->pos);
	mask->bitmap = read_image(trace);
}

/* ---- the drawings' own parts ---- */

static void read_fill(struct trace *trace, QXLFill *fill)
{
	read_brush(trace, &fill->brush);
	fill->rop_descriptor = (uint16_t)trace_number(trace, "rop_descriptor");
	read_mask(trace, &fill->mask);
}

static void read_opaque(struct trace *trace, QXLOpaque *opaque)
{
	opaque->src_bitmap = read_image(trace);
	trace_rect(trace, "src_area", &opaque->src_area);
	read_brush(trace, &opaque->brush);
	opaque->rop_descriptor = (uint16_t)trace_number(trace, "rop_descriptor");
	opaque->scale_mode = (uint8_t)trace_number(trace, "scale_mode");
	read_mask(trace, &opaque->mask);
}

/* And QXLBlend, which is the same. */
static void read_copy(struct trace *trace, QXLCopy *copy)
{
	copy->src_bitmap = read_image(trace);
	trace_rect(trace, "src_area", &copy->src_area);
	copy->rop_descriptor = (uint16_t)trace_number(trace, "rop_descriptor");
	copy->scale_mode = (uint8_t)trace_number(trace, "scale_mode");
	read_mask(trace, &copy->mask);
}

static void read_transparent(struct trace *trace, QXLTransparent *transparent)
{
	transparent->src_bitmap = read_image(trace);
	trace_rect(trace, "src_area", &transparent->src_area);
	transparent->src_color = (uint32_t)trace_number(trace, "src_color");
	transparent->true_color = (uint32_t)trace_number(trace, "true_color");
}

static void read_alpha_blend(struct trace *trace, QXLAlphaBlend *blend)
{
	blend->alpha_flags = (uint16_t)trace_number(trace, "alpha_flags");
	blend->alpha = (uint8_t)trace_number(trace, "alpha");
	blend->src_bitmap = read_image(trace);
	trace_rect(trace, "src_area", &blend->src_area);
}

static void read_compat_alpha_blend(struct trace *trace, QXLCompatAlphaBlend *blend)
{
	blend->alpha = (uint8_t)trace_number(trace, "alpha");
	blend->src_bitmap = read_image(trace);
	trace_rect(trace, "src_area", &blend->src_area);
}

static void read_rop3(struct trace *trace, QXLRop3 *rop3)
{
	rop3->src_bitmap = read_image(trace);
	trace_rect(trace, "src_area", &rop3->src_area);
	read_brush(trace, &rop3->brush);
	rop3->rop3 = (uint8_t)trace_number(trace, "rop3");
	rop3->scale_mode = (uint8_t)trace_number(trace, "scale_mode");
	read_mask(trace, &rop3->mask);
}

static void read_stroke(struct trace *trace, QXLStroke *stroke)
{
	uint64_t size;

	stroke->path = trace_chunks(trace, "path", sizeof(QXLPath), &size);
	if (stroke->path)
		((QXLPath *)trace_at(trace, stroke->path))->data_size = (uint32_t)size;
	stroke->attr.flags = (uint8_t)trace_number(trace, "attr.flags");
	if (stroke->attr.flags & SPICE_LINE_FLAGS_STYLED) {
		stroke->attr.style_nseg = (uint8_t)trace_number(trace, "attr.style_nseg");
		stroke->attr.style = trace_binary(trace, "style", 0, &size);
	}
	read_brush(trace, &stroke->brush);
	stroke->fore_mode = (uint16_t)trace_number(trace, "fore_mode");
	stroke->back_mode = (uint16_t)trace_number(trace, "back_mode");
}

static uint64_t read_string(struct trace *trace)
{
	uint32_t data_size = (uint32_t)trace_number(trace, "data_size");
	uint16_t length = (uint16_t)trace_number(trace, "length");
	uint16_t flags = (uint16_t)trace_number(trace, "flags");
	uint64_t size, address = trace_chunks(trace, "string", sizeof(QXLString), &size);
	QXLString *string = trace_at(trace, address);

	if (!address)
		return 0;
	string->data_size = data_size;
	string->length = length;
	string->flags = flags;
	return address;
}

static void read_text(struct trace *trace, QXLText *text)
{
	text->str = read_string(trace);
	trace_rect(trace, "back_area", &text->back_area);
	read_brush(trace, &text->fore_brush);
	read_brush(trace, &text->back_brush);
	text->fore_mode = (uint16_t)trace_number(trace, "fore_mode");
	text->back_mode = (uint16_t)trace_number(trace, "back_mode");
}

static uint64_t read_transform(struct trace *trace)
{
	uint64_t size, address = trace_binary(trace, "transform", 0, &size);

	if (!trace->in.error && size != sizeof(QXLTransform))
		trace->in.error = -EINVAL;
	return address;
}

static void read_composite(struct trace *trace, QXLComposite *composite)
{
	int64_t x, y;

	composite->flags = (uint32_t)trace_number(trace, "flags");
	composite->src = read_image(trace);
	if (trace_number(trace, "src_transform"))
		composite->src_transform = read_transform(trace);
	if (trace_number(trace, "mask"))
		composite->mask = read_image(trace);
	if (trace_number(trace, "mask_transform"))
		composite->mask_transform = read_transform(trace);
	trace_input_scan(&trace->in, " src_origin % %", &x, &y);
	composite->src_origin = (QXLPoint16){ .x = (int16_t)x, .y = (int16_t)y };
	trace_input_scan(&trace->in, " mask_origin % %", &x, &y);
	composite->mask_origin = (QXLPoint16){ .x = (int16_t)x, .y = (int16_t)y };
}

/* `body` is the union at the end of either drawable. Those that have the same layout in both. */
static void read_body(struct trace *trace, uint8_t type, void *body)
{
	switch (type) {
	case QXL_DRAW_NOP: break;
	case QXL_DRAW_FILL: read_fill(trace, body); break;
	case QXL_DRAW_OPAQUE: read_opaque(trace, body); break;
	case QXL_DRAW_COPY:
	case QXL_DRAW_BLEND: read_copy(trace, body); break;
	case QXL_COPY_BITS: trace_point(trace, &((QXLCopyBits *)body)->src_pos); break;
	case QXL_DRAW_BLACKNESS:
	case QXL_DRAW_WHITENESS:
	case QXL_DRAW_INVERS: read_mask(trace, &((QXLBlackness *)body)->mask); break;
	case QXL_DRAW_ROP3: read_rop3(trace, body); break;
	case QXL_DRAW_STROKE: read_stroke(trace, body); break;
	case QXL_DRAW_TEXT: read_text(trace, body); break;
	case QXL_DRAW_TRANSPARENT: read_transparent(trace, body); break;
	default: trace->in.error = trace->in.error ? trace->in.error : -EINVAL;
	}
}

/* ---- the drawables ---- */

static void read_clip(struct trace *trace, QXLClip *clip)
{
	int64_t count;
	uint64_t size;

	clip->type = (uint32_t)trace_number(trace, "type");
	if (clip->type != SPICE_CLIP_TYPE_RECTS)
		return;
	count = trace_number(trace, "num_rects");
	clip->data = trace_chunks(trace, "clip_rects", sizeof(QXLClipRects), &size);
	if (clip->data)
		((QXLClipRects *)trace_at(trace, clip->data))->num_rects = (uint32_t)count;
}

/* What both layouts have first. */
struct common {
	QXLRect bbox;
	QXLClip clip;
	uint8_t effect;
	uint32_t mm_time;
};

static uint64_t read_native(struct trace *trace, const struct common *common)
{
	uint64_t address = trace_alloc_zeroed(trace, sizeof(QXLDrawable));
	QXLDrawable *d = trace_at(trace, address);

	if (!address)
		return 0;
	d->bbox = common->bbox;
	d->clip = common->clip;
	d->effect = common->effect;
	d->mm_time = common->mm_time;
	d->self_bitmap = (uint8_t)trace_number(trace, "self_bitmap");
	trace_rect(trace, "self_bitmap_area", &d->self_bitmap_area);
	d->surface_id = (uint32_t)trace_number(trace, "surface_id");
	for (size_t i = 0; i < ARRAY_SIZE(d->surfaces_dest); i++) {
		d->surfaces_dest[i] = (int32_t)trace_number(trace, "surfaces_dest");
		trace_rect(trace, "surfaces_rects", &d->surfaces_rects[i]);
	}
	d->type = (uint8_t)trace_number(trace, "type");
	if (d->type == QXL_DRAW_ALPHA_BLEND)
		read_alpha_blend(trace, &d->u.alpha_blend);
	else if (d->type == QXL_DRAW_COMPOSITE)
		read_composite(trace, &d->u.composite);
	else
		read_body(trace, d->type, &d->u);
	return address;
}

static uint64_t read_compat(struct trace *trace, const struct common *common)
{
	uint64_t address = trace_alloc_zeroed(trace, sizeof(QXLCompatDrawable));
	QXLCompatDrawable *d = trace_at(trace, address);

	if (!address)
		return 0;
	d->bbox = common->bbox;
	d->clip = common->clip;
	d->effect = common->effect;
	d->mm_time = common->mm_time;
	d->bitmap_offset = (uint16_t)trace_number(trace, "bitmap_offset");
	trace_rect(trace, "bitmap_area", &d->bitmap_area);
	d->type = (uint8_t)trace_number(trace, "type");
	if (d->type == QXL_DRAW_ALPHA_BLEND)
		read_compat_alpha_blend(trace, &d->u.alpha_blend);
	else
		read_body(trace, d->type, &d->u);
	return address;
}

uint64_t trace_drawable(struct trace *trace, bool *compat)
{
	struct common common = { 0 };

	trace_input_scan(&trace->in, " drawable");
	trace_rect(trace, "bbox", &common.bbox);
	read_clip(trace, &common.clip);
	common.effect = (uint8_t)trace_number(trace, "effect");
	common.mm_time = (uint32_t)trace_number(trace, "mm_time");
	/* Which layout it was is not said. */
	*compat = trace_input_is(&trace->in, "bitmap_offset");
	return *compat ? read_compat(trace, &common) : read_native(trace, &common);
}

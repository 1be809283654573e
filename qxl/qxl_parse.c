/* SPDX-License-Identifier: MIT */
/* The guest's drawing and surface commands become host-owned ones. */
#include "qxl/qxl_parse.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <spice/qxl_dev.h>

#include "core/util.h"

/* Rectangles of a clip that may lie as they like; regions of such may grow with their square. */
#define CLIP_ANY_MAX 1024
/* And of one that is in y-x order, as drivers' own regions are. */
#define CLIP_ORDERED_MAX 65536

/* What both layouts of drawables have in common. */
struct drawable {
	uint32_t surface_id;
	uint8_t type;
	bool self_bitmap;
	struct rect self_area; /* of the surface: a picture that has no address */
	struct rect box;
	QXLClip clip;
	uint32_t mm_time;
	union {
		QXLFill fill;
		QXLCopy copy;
		QXLCopyBits copy_bits;
		QXLBlackness masked;
		QXLOpaque opaque;
		QXLRop3 rop3;
		QXLTransparent transparent;
		QXLAlphaBlend alpha_blend;
		QXLCompatAlphaBlend compat_alpha_blend;
		QXLComposite composite;
		QXLStroke stroke;
		QXLText text;
	} u;
};

static struct rect rect_of(const QXLRect *r)
{
	return (struct rect){ r->left, r->top, r->right, r->bottom };
}

/* ---- the drawable itself ---- */

/* Bytes of the drawing's own part that are used. */
static size_t payload_size(uint8_t type, bool compat)
{
	switch (type) {
	case QXL_DRAW_FILL: return sizeof(QXLFill);
	case QXL_DRAW_COPY:
	case QXL_DRAW_BLEND: return sizeof(QXLCopy);
	case QXL_DRAW_OPAQUE: return sizeof(QXLOpaque);
	case QXL_DRAW_ROP3: return sizeof(QXLRop3);
	case QXL_DRAW_TRANSPARENT: return sizeof(QXLTransparent);
	case QXL_DRAW_ALPHA_BLEND:
		return compat ? sizeof(QXLCompatAlphaBlend) : sizeof(QXLAlphaBlend);
	case QXL_DRAW_COMPOSITE: return sizeof(QXLComposite);
	case QXL_DRAW_STROKE: return sizeof(QXLStroke);
	case QXL_DRAW_TEXT: return sizeof(QXLText);
	case QXL_COPY_BITS: return sizeof(QXLCopyBits);
	case QXL_DRAW_BLACKNESS:
	case QXL_DRAW_WHITENESS:
	case QXL_DRAW_INVERS: return sizeof(QXLBlackness);
	default: return 0;
	}
}

static int read_payload(
	const struct qxl_parser *parser, uint64_t address, struct drawable *drawable)
{
	return qxl_slots_read(
		parser->slots, address, &drawable->u, payload_size(drawable->type, parser->compat));
}

static int read_drawable(const struct qxl_parser *parser, uint64_t address, struct drawable *out)
{
	QXLDrawable d;

	if (qxl_slots_read(parser->slots, address, &d, offsetof(QXLDrawable, u)))
		return -EFAULT;
	*out = (struct drawable){ .surface_id = d.surface_id,
		.type = d.type,
		.self_bitmap = d.self_bitmap,
		.self_area = rect_of(&d.self_bitmap_area),
		.box = rect_of(&d.bbox),
		.clip = d.clip,
		.mm_time = d.mm_time };
	return read_payload(parser, address + offsetof(QXLDrawable, u), out);
}

static int read_compat_drawable(
	const struct qxl_parser *parser, uint64_t address, struct drawable *out)
{
	QXLCompatDrawable d;

	if (qxl_slots_read(parser->slots, address, &d, offsetof(QXLCompatDrawable, u)))
		return -EFAULT;
	*out = (struct drawable){ .surface_id = 0,
		.type = d.type,
		.self_bitmap = d.bitmap_offset,
		.self_area = rect_of(&d.bitmap_area),
		.box = rect_of(&d.bbox),
		.clip = d.clip,
		.mm_time = d.mm_time };
	return read_payload(parser, address + offsetof(QXLCompatDrawable, u), out);
}

/* ---- clips ---- */

static bool in_order(const QXLRect *before, const QXLRect *r)
{
	if (r->left >= r->right || r->top >= r->bottom)
		return false;
	return r->top >= before->bottom ||
		(r->top == before->top && r->bottom == before->bottom && r->left >= before->right);
}

static bool clip_acceptable(const QXLRect *rects, uint32_t count)
{
	for (uint32_t i = 1; count > CLIP_ANY_MAX && i < count; i++)
		if (!in_order(&rects[i - 1], &rects[i]))
			return false;
	return true;
}

static int make_clip(struct draw *draw, const QXLRect *rects, uint32_t count)
{
	pixman_box32_t *boxes = calloc(MAX(count, 1u), sizeof(*boxes));
	uint32_t n = 0;
	bool ok;

	if (!boxes)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		struct rect r = rect_of(&rects[i]);

		r = rect_intersect(&r, &draw->box);
		if (!rect_empty(&r))
			boxes[n++] = (pixman_box32_t){ r.left, r.top, r.right, r.bottom };
	}
	region_finish(&draw->clip);
	ok = pixman_region32_init_rects(&draw->clip.pixman, boxes, (int)n);
	free(boxes);
	if (!ok) {
		region_init(&draw->clip);
		return -ENOMEM;
	}
	draw->clipped = true;
	return 0;
}

static int parse_clip_rects(const struct qxl_parser *parser, uint64_t address, struct draw *draw)
{
	struct qxl_chain chain;
	QXLRect *rects;
	uint32_t count;
	int err;

	if (qxl_slots_read(parser->slots, address, &count, sizeof(count)))
		return -EFAULT;
	if (count > CLIP_ORDERED_MAX)
		return -EINVAL;
	err = qxl_chain_begin(&chain, parser->slots, address + offsetof(QXLClipRects, chunk));
	if (err)
		return err;
	rects = calloc(MAX(count, 1u), sizeof(*rects));
	if (!rects)
		return -ENOMEM;
	err = qxl_chain_read(&chain, rects, (uint64_t)count * sizeof(*rects));
	if (!err && !clip_acceptable(rects, count))
		err = -EINVAL;
	if (!err)
		err = make_clip(draw, rects, count);
	free(rects);
	return err;
}

static int parse_clip(const struct qxl_parser *parser, const QXLClip *clip, struct draw *draw)
{
	switch (clip->type) {
	case SPICE_CLIP_TYPE_NONE: return 0;
	case SPICE_CLIP_TYPE_RECTS: return parse_clip_rects(parser, clip->data, draw);
	default: return -EINVAL;
	}
}

/* ---- brushes, masks, raster operations ---- */

/* The bits say what is inverted; without an operation they do not matter. */
static struct rop parse_rop(uint16_t descriptor, uint16_t invert_source, uint16_t invert_dest)
{
	static const struct {
		uint16_t bit;
		enum rop_op op;
	} ops[] = {
		{ SPICE_ROPD_OP_PUT, ROP_PUT },
		{ SPICE_ROPD_OP_OR, ROP_OR },
		{ SPICE_ROPD_OP_AND, ROP_AND },
		{ SPICE_ROPD_OP_XOR, ROP_XOR },
		{ SPICE_ROPD_OP_BLACKNESS, ROP_BLACKNESS },
		{ SPICE_ROPD_OP_WHITENESS, ROP_WHITENESS },
		{ SPICE_ROPD_OP_INVERS, ROP_INVERS },
	};

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		if (descriptor & ops[i].bit)
			return (struct rop){ .op = ops[i].op,
				.invert_source = descriptor & invert_source,
				.invert_dest = descriptor & invert_dest,
				.invert_result = descriptor & SPICE_ROPD_INVERS_RES };
	return (struct rop){ .op = ROP_PUT };
}

static bool point_acceptable(const QXLPoint *p)
{
	const int32_t most = 1 << 24;

	return p->x >= -most && p->x <= most && p->y >= -most && p->y <= most;
}

static int parse_mask(const struct qxl_parser *parser, const QXLQMask *mask, struct draw_mask *out)
{
	if (!mask->bitmap)
		return 0;
	if (!point_acceptable(&mask->pos))
		return -EINVAL;
	out->origin = (struct point){ mask->pos.x, mask->pos.y };
	out->invert = mask->flags & SPICE_MASK_FLAGS_INVERS;
	return qxl_parse_mask_image(parser, mask->bitmap, &out->image);
}

static uint32_t brush_color(const struct qxl_parser *parser, uint32_t color)
{
	if (!parser->compat_16bpp)
		return color;
	return (color >> 10 & 31) << 19 | (color >> 12 & 7) << 16 | (color >> 5 & 31) << 11 |
		(color >> 7 & 7) << 8 | (color & 31) << 3 | (color >> 2 & 7);
}

static int parse_brush(const struct qxl_parser *parser, const QXLBrush *brush, struct brush *out)
{
	switch (brush->type) {
	case SPICE_BRUSH_TYPE_NONE: return 0;
	case SPICE_BRUSH_TYPE_SOLID:
		out->type = BRUSH_SOLID;
		out->color = brush_color(parser, brush->u.color);
		return 0;
	case SPICE_BRUSH_TYPE_PATTERN:
		if (!point_acceptable(&brush->u.pattern.pos))
			return -EINVAL;
		out->type = BRUSH_PATTERN;
		out->pattern_origin =
			(struct point){ brush->u.pattern.pos.x, brush->u.pattern.pos.y };
		return qxl_parse_image(parser, brush->u.pattern.pat, NULL, true, &out->pattern);
	default: return -EINVAL;
	}
}

/* ---- the drawings ---- */

static int parse_fill(const struct qxl_parser *parser, const QXLFill *fill, struct draw *draw)
{
	int err;

	draw->fill.rop =
		parse_rop(fill->rop_descriptor, SPICE_ROPD_INVERS_BRUSH, SPICE_ROPD_INVERS_DEST);
	err = parse_brush(parser, &fill->brush, &draw->fill.brush);
	return err ? err : parse_mask(parser, &fill->mask, &draw->fill.mask);
}

/* Blackness, whiteness and inversion are fills whose brush does not matter. */
static int parse_masked(
	const struct qxl_parser *parser, const struct drawable *drawable, struct draw *draw)
{
	draw->fill.brush.type = BRUSH_SOLID;
	draw->fill.rop.op = drawable->type == QXL_DRAW_BLACKNESS ? ROP_BLACKNESS
		: drawable->type == QXL_DRAW_WHITENESS           ? ROP_WHITENESS
								 : ROP_INVERS;
	return parse_mask(parser, &drawable->u.masked.mask, &draw->fill.mask);
}

/* Answers 0 when `area` is a proper rectangle inside the surface. */
static int check_area(const struct qxl_parser *parser, uint32_t surface_id, const struct rect *area)
{
	struct rect bounds = { 0 };
	uint32_t width, height;

	if (surface_id >= QXL_SURFACES_MAX)
		return -EINVAL;
	if (!parser->surface_size(parser->opaque, surface_id, &width, &height))
		return -ERANGE;
	bounds.right = (int32_t)width;
	bounds.bottom = (int32_t)height;
	return rect_empty(area) || !rect_contains(&bounds, area) ? -ERANGE : 0;
}

/* The picture of a drawing and the area of it; one without an address is a part of the surface as it
 * is now. */
static int parse_source(const struct qxl_parser *parser, const struct drawable *drawable,
	uint64_t address, struct rect *area, struct draw_source *out)
{
	/* Not checked yet: the differences may not fit their type. */
	bool scaled = (int64_t)area->right - area->left != rect_width(&drawable->box) ||
		(int64_t)area->bottom - area->top != rect_height(&drawable->box);
	const struct rect *self = &drawable->self_area;
	struct rect bounds;
	int err;

	if (address || !drawable->self_bitmap)
		return qxl_parse_image(parser, address, area, scaled, out);
	err = check_area(parser, drawable->surface_id, self);
	if (err)
		return err;
	bounds = rect_make(0, 0, rect_width(self), rect_height(self));
	if (rect_empty(area) || !rect_contains(&bounds, area))
		return -EINVAL;
	*area = (struct rect){ area->left + self->left, area->top + self->top,
		area->right + self->left, area->bottom + self->top };
	*out = (struct draw_source){ .surface_id = drawable->surface_id };
	return 0;
}

static enum scale_mode parse_scale(uint8_t mode)
{
	return mode == SPICE_IMAGE_SCALE_MODE_NEAREST ? SCALE_NEAREST : SCALE_INTERPOLATE;
}

static int parse_copy(
	const struct qxl_parser *parser, const struct drawable *drawable, struct draw *draw)
{
	const QXLCopy *copy = &drawable->u.copy;
	int err;

	draw->copy.rop =
		parse_rop(copy->rop_descriptor, SPICE_ROPD_INVERS_SRC, SPICE_ROPD_INVERS_DEST);
	draw->copy.area = rect_of(&copy->src_area);
	draw->copy.scale = parse_scale(copy->scale_mode);
	err = parse_source(
		parser, drawable, copy->src_bitmap, &draw->copy.area, &draw->copy.source);
	return err ? err : parse_mask(parser, &copy->mask, &draw->copy.mask);
}

static int parse_opaque(
	const struct qxl_parser *parser, const struct drawable *drawable, struct draw *draw)
{
	const QXLOpaque *opaque = &drawable->u.opaque;
	int err;

	draw->opaque.rop =
		parse_rop(opaque->rop_descriptor, SPICE_ROPD_INVERS_BRUSH, SPICE_ROPD_INVERS_SRC);
	draw->opaque.area = rect_of(&opaque->src_area);
	draw->opaque.scale = parse_scale(opaque->scale_mode);
	err = parse_source(
		parser, drawable, opaque->src_bitmap, &draw->opaque.area, &draw->opaque.source);
	if (!err)
		err = parse_brush(parser, &opaque->brush, &draw->opaque.brush);
	return err ? err : parse_mask(parser, &opaque->mask, &draw->opaque.mask);
}

static int parse_rop3(
	const struct qxl_parser *parser, const struct drawable *drawable, struct draw *draw)
{
	const QXLRop3 *rop3 = &drawable->u.rop3;
	int err;

	draw->rop3.code = rop3->rop3;
	draw->rop3.area = rect_of(&rop3->src_area);
	draw->rop3.scale = parse_scale(rop3->scale_mode);
	err = parse_source(
		parser, drawable, rop3->src_bitmap, &draw->rop3.area, &draw->rop3.source);
	if (!err)
		err = parse_brush(parser, &rop3->brush, &draw->rop3.brush);
	return err ? err : parse_mask(parser, &rop3->mask, &draw->rop3.mask);
}

static int parse_transparent(
	const struct qxl_parser *parser, const struct drawable *drawable, struct draw *draw)
{
	const QXLTransparent *transparent = &drawable->u.transparent;

	draw->transparent.area = rect_of(&transparent->src_area);
	draw->transparent.color = transparent->true_color;
	draw->transparent.source_color = transparent->src_color;
	return parse_source(parser, drawable, transparent->src_bitmap, &draw->transparent.area,
		&draw->transparent.source);
}

static int parse_alpha_blend(
	const struct qxl_parser *parser, const struct drawable *drawable, struct draw *draw)
{
	const QXLAlphaBlend *blend = &drawable->u.alpha_blend;
	const QXLCompatAlphaBlend *compat = &drawable->u.compat_alpha_blend;
	uint16_t flags = parser->compat ? 0 : blend->alpha_flags;

	draw->alpha_blend.alpha = parser->compat ? compat->alpha : blend->alpha;
	draw->alpha_blend.dest_has_alpha = flags & SPICE_ALPHA_FLAGS_DEST_HAS_ALPHA;
	draw->alpha_blend.source_has_alpha = flags & SPICE_ALPHA_FLAGS_SRC_SURFACE_HAS_ALPHA;
	draw->alpha_blend.area = parser->compat ? rect_of(&compat->src_area)
						: rect_of(&blend->src_area);
	return parse_source(parser, drawable,
		parser->compat ? compat->src_bitmap : blend->src_bitmap, &draw->alpha_blend.area,
		&draw->alpha_blend.source);
}

static int parse_transform(
	const struct qxl_parser *parser, uint64_t address, struct draw_sampling *out)
{
	QXLTransform t;

	if (!address)
		return 0;
	if (qxl_slots_read(parser->slots, address, &t, sizeof(t)))
		return -EFAULT;
	out->transformed = true;
	out->matrix[0][0] = (int32_t)t.t00;
	out->matrix[0][1] = (int32_t)t.t01;
	out->matrix[0][2] = (int32_t)t.t02;
	out->matrix[1][0] = (int32_t)t.t10;
	out->matrix[1][1] = (int32_t)t.t11;
	out->matrix[1][2] = (int32_t)t.t12;
	return 0;
}

/* The flags' numbers are pixman's: the operator in bits 0-7, then filters and repeats. */
static int parse_composite(
	const struct qxl_parser *parser, const QXLComposite *composite, struct draw *draw)
{
	uint32_t flags = composite->flags;
	struct draw_sampling *source = &draw->composite.source_sampling;
	struct draw_sampling *mask = &draw->composite.mask_sampling;
	int err;

	source->filter = (pixman_filter_t)(flags >> 8 & 7);
	mask->filter = (pixman_filter_t)(flags >> 11 & 7);
	source->repeat = (pixman_repeat_t)(flags >> 14 & 3);
	mask->repeat = (pixman_repeat_t)(flags >> 16 & 3);
	if (!composite_op_valid(flags & 0xff) || !draw_sampling_valid(source) ||
		!draw_sampling_valid(mask))
		return -EINVAL;
	draw->composite.op = (pixman_op_t)(flags & 0xff);
	draw->composite.component_alpha = flags & SPICE_COMPOSITE_COMPONENT_ALPHA;
	draw->composite.source_opaque = flags & SPICE_COMPOSITE_SOURCE_OPAQUE;
	draw->composite.dest_opaque = flags & SPICE_COMPOSITE_DEST_OPAQUE;
	draw->composite.source_origin =
		(struct point){ composite->src_origin.x, composite->src_origin.y };
	draw->composite.mask_origin =
		(struct point){ composite->mask_origin.x, composite->mask_origin.y };
	err = qxl_parse_image(parser, composite->src, NULL, true, &draw->composite.source);
	if (!err)
		err = parse_transform(parser, composite->src_transform, source);
	if (err || !composite->mask)
		return err;
	draw->composite.has_mask = true;
	err = qxl_parse_image(parser, composite->mask, NULL, true, &draw->composite.mask);
	return err ? err : parse_transform(parser, composite->mask_transform, mask);
}

static int parse_stroke(const struct qxl_parser *parser, const QXLStroke *stroke, struct draw *draw)
{
	int err = parse_brush(parser, &stroke->brush, &draw->stroke.brush);

	draw->stroke.rop =
		parse_rop(stroke->fore_mode, SPICE_ROPD_INVERS_BRUSH, SPICE_ROPD_INVERS_DEST);
	draw->stroke.back_rop =
		parse_rop(stroke->back_mode, SPICE_ROPD_INVERS_BRUSH, SPICE_ROPD_INVERS_DEST);
	if (!err)
		err = qxl_parse_path(parser, stroke->path, &draw->stroke.path);
	if (err || !(stroke->attr.flags & SPICE_LINE_FLAGS_STYLED))
		return err;
	draw->stroke.start_with_gap = stroke->attr.flags & SPICE_LINE_FLAGS_START_WITH_GAP;
	err = qxl_parse_dashes(
		parser, stroke->attr.style, stroke->attr.style_nseg, &draw->stroke.dashes);
	if (!err)
		draw->stroke.dash_count = stroke->attr.style_nseg;
	return err;
}

static int parse_text(const struct qxl_parser *parser, const QXLText *text, struct draw *draw)
{
	struct rect bounds = { -(1 << 24), -(1 << 24), 1 << 24, 1 << 24 };
	int err;

	draw->text.back_area = rect_of(&text->back_area);
	if (!rect_empty(&draw->text.back_area) && !rect_contains(&bounds, &draw->text.back_area))
		return -EINVAL;
	draw->text.rop =
		parse_rop(text->fore_mode, SPICE_ROPD_INVERS_BRUSH, SPICE_ROPD_INVERS_DEST);
	draw->text.back_rop =
		parse_rop(text->back_mode, SPICE_ROPD_INVERS_BRUSH, SPICE_ROPD_INVERS_DEST);
	err = parse_brush(parser, &text->fore_brush, &draw->text.brush);
	if (!err)
		err = parse_brush(parser, &text->back_brush, &draw->text.back_brush);
	return err ? err : qxl_parse_string(parser, text->str, &draw->text.string);
}

static int parse_copy_bits(
	const struct qxl_parser *parser, const QXLCopyBits *copy, struct draw *draw)
{
	struct rect from;

	if (!point_acceptable(&copy->src_pos))
		return -EINVAL;
	draw->copy_bits.from = (struct point){ copy->src_pos.x, copy->src_pos.y };
	from = rect_make(
		copy->src_pos.x, copy->src_pos.y, rect_width(&draw->box), rect_height(&draw->box));
	return check_area(parser, draw->surface_id, &from);
}

static int draw_type_of(uint8_t type, enum draw_type *out)
{
	switch (type) {
	case QXL_DRAW_FILL:
	case QXL_DRAW_BLACKNESS:
	case QXL_DRAW_WHITENESS:
	case QXL_DRAW_INVERS: *out = DRAW_FILL; return 0;
	case QXL_DRAW_COPY:
	case QXL_DRAW_BLEND: *out = DRAW_COPY; return 0; /* they differ in nothing */
	case QXL_COPY_BITS: *out = DRAW_COPY_BITS; return 0;
	case QXL_DRAW_OPAQUE: *out = DRAW_OPAQUE; return 0;
	case QXL_DRAW_ROP3: *out = DRAW_ROP3; return 0;
	case QXL_DRAW_STROKE: *out = DRAW_STROKE; return 0;
	case QXL_DRAW_TEXT: *out = DRAW_TEXT; return 0;
	case QXL_DRAW_TRANSPARENT: *out = DRAW_TRANSPARENT; return 0;
	case QXL_DRAW_ALPHA_BLEND: *out = DRAW_ALPHA_BLEND; return 0;
	case QXL_DRAW_COMPOSITE: *out = DRAW_COMPOSITE; return 0;
	default: return -EINVAL;
	}
}

static int parse_payload(
	const struct qxl_parser *parser, const struct drawable *drawable, struct draw *draw)
{
	switch (drawable->type) {
	case QXL_DRAW_FILL: return parse_fill(parser, &drawable->u.fill, draw);
	case QXL_DRAW_COPY:
	case QXL_DRAW_BLEND: return parse_copy(parser, drawable, draw);
	case QXL_COPY_BITS: return parse_copy_bits(parser, &drawable->u.copy_bits, draw);
	case QXL_DRAW_OPAQUE: return parse_opaque(parser, drawable, draw);
	case QXL_DRAW_ROP3: return parse_rop3(parser, drawable, draw);
	case QXL_DRAW_STROKE: return parse_stroke(parser, &drawable->u.stroke, draw);
	case QXL_DRAW_TEXT: return parse_text(parser, &drawable->u.text, draw);
	case QXL_DRAW_TRANSPARENT: return parse_transparent(parser, drawable, draw);
	case QXL_DRAW_ALPHA_BLEND: return parse_alpha_blend(parser, drawable, draw);
	case QXL_DRAW_COMPOSITE: return parse_composite(parser, &drawable->u.composite, draw);
	default: return parse_masked(parser, drawable, draw);
	}
}

int qxl_parse_drawable(const struct qxl_parser *parser, uint64_t address, struct draw **out)
{
	enum draw_type type = DRAW_FILL;
	struct drawable drawable;
	struct draw *draw;
	int err;

	*out = NULL;
	err = parser->compat ? read_compat_drawable(parser, address, &drawable)
			     : read_drawable(parser, address, &drawable);
	if (err || drawable.type == QXL_DRAW_NOP)
		return err;
	err = draw_type_of(drawable.type, &type);
	if (parser->compat && drawable.type == QXL_DRAW_COMPOSITE)
		err = -EINVAL; /* its layout never had it */
	if (!err)
		err = check_area(parser, drawable.surface_id, &drawable.box);
	if (!err)
		err = draw_create(&draw, type, drawable.surface_id, &drawable.box);
	if (err)
		return err;
	draw->mm_time_ms = drawable.mm_time;
	err = parse_clip(parser, &drawable.clip, draw);
	if (!err)
		err = parse_payload(parser, &drawable, draw);
	if (err)
		draw_unref(draw);
	else
		*out = draw;
	return err;
}

/* ---- surfaces ---- */

static int surface_format_of(uint32_t spice_format, enum surface_format *format)
{
	switch (spice_format) {
	case SPICE_SURFACE_FMT_1_A: *format = SURFACE_A1; return 0;
	case SPICE_SURFACE_FMT_8_A: *format = SURFACE_A8; return 0;
	case SPICE_SURFACE_FMT_16_555: *format = SURFACE_XRGB1555; return 0;
	case SPICE_SURFACE_FMT_16_565: *format = SURFACE_RGB565; return 0;
	case SPICE_SURFACE_FMT_32_xRGB: *format = SURFACE_XRGB8888; return 0;
	case SPICE_SURFACE_FMT_32_ARGB: *format = SURFACE_ARGB8888; return 0;
	default: return -EINVAL;
	}
}

int qxl_parse_surface_memory(const struct qxl_slots *slots, uint32_t spice_format, uint64_t address,
	struct qxl_surface_cmd *out)
{
	uint64_t row, size;

	if (surface_format_of(spice_format, &out->format))
		return -EINVAL;
	if (out->width == 0 || out->height == 0 || out->width > SURFACE_MAX_SIDE ||
		out->height > SURFACE_MAX_SIDE || out->stride == INT32_MIN || out->stride & 3)
		return -EINVAL;
	row = (uint64_t)abs(out->stride);
	size = row * out->height;
	if (row * 8 < (uint64_t)out->width * surface_format_bits(out->format) ||
		size > SURFACE_MAX_BYTES)
		return -EINVAL;
	out->block = qxl_slots_map(slots, address, size);
	if (!out->block)
		return -EFAULT;
	/* Pixels are read and written as aligned words. */
	if ((uintptr_t)out->block & 3)
		return -EINVAL;
	out->top = out->stride < 0 ? out->block + (out->height - 1) * row : out->block;
	return 0;
}

int qxl_parse_surface_cmd(
	const struct qxl_parser *parser, uint64_t address, struct qxl_surface_cmd *out)
{
	QXLSurfaceCmd cmd;

	*out = (struct qxl_surface_cmd){ 0 };
	if (qxl_slots_read(parser->slots, address, &cmd, offsetof(QXLSurfaceCmd, u)))
		return -EFAULT;
	/* The primary surface is made and destroyed by I/O ports. */
	if (cmd.surface_id == 0 || cmd.surface_id >= QXL_SURFACES_MAX)
		return -EINVAL;
	out->id = cmd.surface_id;
	if (cmd.type == QXL_SURFACE_CMD_DESTROY)
		return 0;
	if (cmd.type != QXL_SURFACE_CMD_CREATE)
		return -EINVAL;
	if (qxl_slots_read(
		    parser->slots, address + offsetof(QXLSurfaceCmd, u), &cmd.u, sizeof(cmd.u)))
		return -EFAULT;
	out->create = true;
	out->keep_data = cmd.flags & QXL_SURF_FLAG_KEEP_DATA;
	out->width = cmd.u.surface_create.width;
	out->height = cmd.u.surface_create.height;
	out->stride = cmd.u.surface_create.stride;
	return qxl_parse_surface_memory(
		parser->slots, cmd.u.surface_create.format, cmd.u.surface_create.data, out);
}

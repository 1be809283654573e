/* SPDX-License-Identifier: MIT */
/* The messages of the drawings. */
#include "channels/server/display_encode.h"

#include <errno.h>
#include <string.h>

/* ---- pictures ---- */

/* What `begin` needs beside the part. */
struct beginning {
	struct encoding *encoding;
	struct image_sender *sender;
	const struct rect *frame; /* of the source */
	enum surface_format target;
	uint32_t flags;
	loop_fn *ready;
	void *opaque;
	int ret;
};

static void begin(struct beginning *b, enum encoding_part part, struct image *image,
	const struct rect *area, uint32_t flags)
{
	struct rect all;

	if (!image || b->ret < 0)
		return;
	all = (struct rect){ 0, 0, (int32_t)image->width, (int32_t)image->height };
	b->encoding->pictures[part] = image_sender_begin(b->sender, image, area ? area : &all,
		part == PART_SOURCE ? b->frame : NULL, b->target, flags, b->ready, b->opaque);
	if (!b->encoding->pictures[part])
		b->ret = -ENOMEM;
}

/* The area of the source that falls on what is sent of the box. */
static struct rect sent_area(const struct encoding *encoding, const struct rect *area)
{
	const struct rect *box = &encoding->box, *all = &encoding->draw->box;

	return (struct rect){ area->left + box->left - all->left, area->top + box->top - all->top,
		area->right + box->right - all->right, area->bottom + box->bottom - all->bottom };
}

static void begin_source(struct beginning *b, const struct draw_source *source,
	const struct rect *area, uint32_t flags)
{
	struct rect sent = sent_area(b->encoding, area);

	begin(b, PART_SOURCE, source->image, &sent, flags);
}

static void begin_brush(struct beginning *b, const struct brush *brush)
{
	if (brush->type == BRUSH_PATTERN)
		begin(b, PART_BRUSH, brush->pattern.image, NULL, PICTURE_WHOLE | PICTURE_COPIED);
}

static void begin_mask(struct beginning *b, const struct draw_mask *mask)
{
	begin(b, PART_MASK, mask->image, NULL, PICTURE_MASK);
}

static void begin_composite(struct beginning *b, const struct draw *draw)
{
	begin(b, PART_SOURCE, draw->composite.source.image, NULL, PICTURE_WHOLE);
	if (draw->composite.has_mask)
		begin(b, PART_MASK, draw->composite.mask.image, NULL, PICTURE_WHOLE);
}

static void begin_parts(struct beginning *b, const struct draw *draw)
{
	switch (draw->type) {
	case DRAW_FILL:
		begin_brush(b, &draw->fill.brush);
		begin_mask(b, &draw->fill.mask);
		break;
	case DRAW_COPY:
		begin_source(b, &draw->copy.source, &draw->copy.area, b->flags | PICTURE_COPIED);
		begin_mask(b, &draw->copy.mask);
		break;
	case DRAW_OPAQUE:
		begin_source(b, &draw->opaque.source, &draw->opaque.area, PICTURE_COPIED);
		begin_brush(b, &draw->opaque.brush);
		begin_mask(b, &draw->opaque.mask);
		break;
	case DRAW_ROP3:
		begin_source(b, &draw->rop3.source, &draw->rop3.area, PICTURE_COPIED);
		begin_brush(b, &draw->rop3.brush);
		begin_mask(b, &draw->rop3.mask);
		break;
	case DRAW_TRANSPARENT:
		begin_source(b, &draw->transparent.source, &draw->transparent.area, PICTURE_COPIED);
		break;
	case DRAW_ALPHA_BLEND:
		begin_source(b, &draw->alpha_blend.source, &draw->alpha_blend.area, 0);
		break;
	case DRAW_COMPOSITE: begin_composite(b, draw); break;
	case DRAW_STROKE: begin_brush(b, &draw->stroke.brush); break;
	case DRAW_TEXT: /* its brushes are solid: display_draw_is_exact() */
	case DRAW_COPY_BITS:
	case DRAW_TYPES: break;
	}
}

int encoding_begin(struct encoding *encoding, struct image_sender *sender, const struct draw *draw,
	const struct region *region, const struct rect *frame, enum surface_format target,
	uint32_t flags, loop_fn *ready, void *opaque)
{
	struct beginning b = { .encoding = encoding,
		.sender = sender,
		.frame = frame,
		.target = target,
		.flags = flags,
		.ready = ready,
		.opaque = opaque };

	*encoding = (struct encoding){ .draw = draw, .region = region, .box = draw->box };
	if (display_draw_can_crop(draw))
		encoding->box = region_extents(region);
	begin_parts(&b, draw);
	return b.ret;
}

bool encoding_ready(const struct encoding *encoding)
{
	for (uint32_t i = 0; i < PARTS; i++)
		if (encoding->pictures[i] && !picture_ready(encoding->pictures[i]))
			return false;
	return true;
}

bool encoding_lossy(const struct encoding *encoding)
{
	for (uint32_t i = 0; i < PARTS; i++)
		if (encoding->pictures[i] && picture_lossy(encoding->pictures[i]))
			return true;
	return false;
}

void encoding_finish(struct encoding *encoding)
{
	for (uint32_t i = 0; i < PARTS; i++) {
		picture_unref(encoding->pictures[i]);
		encoding->pictures[i] = NULL;
	}
}

/* ---- parts of messages ---- */

static void set_base(struct proto_base *out, const struct encoding *encoding)
{
	out->surface_id = encoding->draw->surface_id;
	out->box = encoding->box;
	out->clip.region = encoding->region;
	out->clip.clipped = !region_contains_rect(encoding->region, &encoding->box);
}

static void set_image(struct proto_image *out, struct encoding *encoding, enum encoding_part part,
	const struct draw_source *source, struct rect *area)
{
	if (source->image) {
		picture_describe(encoding->pictures[part], out, area);
		return;
	}
	*out = (struct proto_image){
		.present = true,
		.type = SPICE_IMAGE_TYPE_SURFACE,
		.width = (uint32_t)MAX(area->right, 0),
		.height = (uint32_t)MAX(area->bottom, 0),
		.surface_id = source->surface_id,
	};
}

/* `sent` becomes what is read of the picture that is sent. */
static void set_source(struct proto_image *out, struct encoding *encoding,
	const struct draw_source *source, const struct rect *area, struct rect *sent)
{
	*sent = sent_area(encoding, area);
	set_image(out, encoding, PART_SOURCE, source, sent);
}

static void set_brush(struct proto_brush *out, struct encoding *encoding, const struct brush *brush)
{
	struct rect all = { 0 };

	out->type = SPICE_BRUSH_TYPE_NONE;
	if (brush->type == BRUSH_SOLID) {
		out->type = SPICE_BRUSH_TYPE_SOLID;
		out->color = brush->color;
	} else if (brush->type == BRUSH_PATTERN) {
		out->type = SPICE_BRUSH_TYPE_PATTERN;
		out->origin = brush->pattern_origin;
		set_image(&out->pattern, encoding, PART_BRUSH, &brush->pattern, &all);
	}
}

static void set_mask(
	struct proto_mask *out, struct encoding *encoding, const struct draw_mask *mask)
{
	struct rect all = { 0 };

	if (!mask->image)
		return;
	out->flags = mask->invert ? SPICE_MASK_FLAGS_INVERS : 0;
	out->origin = mask->origin;
	picture_describe(encoding->pictures[PART_MASK], &out->image, &all);
}

static uint8_t scale_mode(enum scale_mode mode)
{
	return mode == SCALE_NEAREST ? SPICE_IMAGE_SCALE_MODE_NEAREST
				     : SPICE_IMAGE_SCALE_MODE_INTERPOLATE;
}

/* ---- drawings ---- */

static int pack_fill(struct encoding *encoding, struct buf *body)
{
	const struct draw *draw = encoding->draw;
	struct msg_draw_fill msg = { .rop = proto_rop(&draw->fill.rop, PROTO_ROP_BRUSH) };

	set_base(&msg.base, encoding);
	set_brush(&msg.brush, encoding, &draw->fill.brush);
	set_mask(&msg.mask, encoding, &draw->fill.mask);
	return msg_draw_fill_pack(body, &msg);
}

static int pack_copy(struct encoding *encoding, struct buf *body)
{
	const struct draw *draw = encoding->draw;
	struct msg_draw_copy msg = { .rop = proto_rop(&draw->copy.rop, PROTO_ROP_SOURCE),
		.scale_mode = scale_mode(draw->copy.scale) };

	set_base(&msg.base, encoding);
	set_source(&msg.source, encoding, &draw->copy.source, &draw->copy.area, &msg.area);
	set_mask(&msg.mask, encoding, &draw->copy.mask);
	return msg_draw_copy_pack(body, &msg);
}

static int pack_copy_bits(struct encoding *encoding, struct buf *body)
{
	const struct draw *draw = encoding->draw;
	struct msg_copy_bits msg = { .from = draw->copy_bits.from };

	set_base(&msg.base, encoding);
	msg.from.x += encoding->box.left - draw->box.left;
	msg.from.y += encoding->box.top - draw->box.top;
	return msg_copy_bits_pack(body, &msg);
}

static int pack_opaque(struct encoding *encoding, struct buf *body)
{
	const struct draw *draw = encoding->draw;
	struct msg_draw_opaque msg = { .rop = proto_rop(&draw->opaque.rop, PROTO_ROP_OPAQUE),
		.scale_mode = scale_mode(draw->opaque.scale) };

	set_base(&msg.base, encoding);
	set_source(&msg.source, encoding, &draw->opaque.source, &draw->opaque.area, &msg.area);
	set_brush(&msg.brush, encoding, &draw->opaque.brush);
	set_mask(&msg.mask, encoding, &draw->opaque.mask);
	return msg_draw_opaque_pack(body, &msg);
}

static int pack_rop3(struct encoding *encoding, struct buf *body)
{
	const struct draw *draw = encoding->draw;
	struct msg_draw_rop3 msg = { .rop3 = draw->rop3.code,
		.scale_mode = scale_mode(draw->rop3.scale) };

	set_base(&msg.base, encoding);
	set_source(&msg.source, encoding, &draw->rop3.source, &draw->rop3.area, &msg.area);
	set_brush(&msg.brush, encoding, &draw->rop3.brush);
	set_mask(&msg.mask, encoding, &draw->rop3.mask);
	return msg_draw_rop3_pack(body, &msg);
}

static int pack_transparent(struct encoding *encoding, struct buf *body)
{
	const struct draw *draw = encoding->draw;
	struct msg_draw_transparent msg = { .source_color = draw->transparent.source_color,
		.true_color = draw->transparent.color };

	set_base(&msg.base, encoding);
	set_source(&msg.source, encoding, &draw->transparent.source, &draw->transparent.area,
		&msg.area);
	return msg_draw_transparent_pack(body, &msg);
}

static int pack_alpha_blend(struct encoding *encoding, struct buf *body)
{
	const struct draw *draw = encoding->draw;
	struct msg_draw_alpha_blend msg = { .alpha = draw->alpha_blend.alpha };

	if (draw->alpha_blend.dest_has_alpha)
		msg.flags |= SPICE_ALPHA_FLAGS_DEST_HAS_ALPHA;
	if (draw->alpha_blend.source_has_alpha)
		msg.flags |= SPICE_ALPHA_FLAGS_SRC_SURFACE_HAS_ALPHA;
	set_base(&msg.base, encoding);
	set_source(&msg.source, encoding, &draw->alpha_blend.source, &draw->alpha_blend.area,
		&msg.area);
	return msg_draw_alpha_blend_pack(body, &msg);
}

/* The flags' numbers are pixman's: the operator in bits 0-7, then filters and repeats. */
static uint32_t composite_flags(const struct draw *draw)
{
	const struct draw_sampling *source = &draw->composite.source_sampling;
	const struct draw_sampling *mask = &draw->composite.mask_sampling;
	uint32_t flags = (uint32_t)draw->composite.op | (uint32_t)source->filter << 8 |
		(uint32_t)source->repeat << 14;

	if (source->transformed)
		flags |= SPICE_COMPOSITE_HAS_SRC_TRANSFORM;
	if (draw->composite.source_opaque)
		flags |= SPICE_COMPOSITE_SOURCE_OPAQUE;
	if (draw->composite.dest_opaque)
		flags |= SPICE_COMPOSITE_DEST_OPAQUE;
	if (!draw->composite.has_mask)
		return flags;
	flags |= (uint32_t)mask->filter << 11 | (uint32_t)mask->repeat << 16 |
		SPICE_COMPOSITE_HAS_MASK;
	if (mask->transformed)
		flags |= SPICE_COMPOSITE_HAS_MASK_TRANSFORM;
	if (draw->composite.component_alpha)
		flags |= SPICE_COMPOSITE_COMPONENT_ALPHA;
	return flags;
}

static int pack_composite(struct encoding *encoding, struct buf *body)
{
	const struct draw *draw = encoding->draw;
	struct rect all = { 0 };
	struct msg_draw_composite msg = {
		.composite = { .flags = composite_flags(draw),
			.source_origin = draw->composite.source_origin,
			.mask_origin = draw->composite.mask_origin },
	};

	set_base(&msg.base, encoding);
	set_image(&msg.composite.source, encoding, PART_SOURCE, &draw->composite.source, &all);
	if (draw->composite.has_mask)
		set_image(&msg.composite.mask, encoding, PART_MASK, &draw->composite.mask, &all);
	memcpy(msg.composite.source_transform, draw->composite.source_sampling.matrix,
		sizeof(msg.composite.source_transform));
	memcpy(msg.composite.mask_transform, draw->composite.mask_sampling.matrix,
		sizeof(msg.composite.mask_transform));
	return msg_draw_composite_pack(body, &msg);
}

static int pack_stroke(struct encoding *encoding, struct buf *body)
{
	const struct draw *draw = encoding->draw;
	struct msg_draw_stroke msg = { .path = { .path = &draw->stroke.path },
		.rop = proto_rop(&draw->stroke.rop, PROTO_ROP_BRUSH),
		.back_rop = proto_rop(&draw->stroke.back_rop, PROTO_ROP_BRUSH) };

	set_base(&msg.base, encoding);
	set_brush(&msg.brush, encoding, &draw->stroke.brush);
	return msg_draw_stroke_pack(body, &msg);
}

static int pack_text(struct encoding *encoding, struct buf *body)
{
	const struct draw *draw = encoding->draw;
	struct msg_draw_text msg = {
		.string = { .flags = proto_string_flags(draw->text.string.depth),
			.string = &draw->text.string },
		.back_area = draw->text.back_area,
		.rop = proto_rop(&draw->text.rop, PROTO_ROP_BRUSH),
		.back_rop = proto_rop(&draw->text.back_rop, PROTO_ROP_BRUSH),
	};

	set_base(&msg.base, encoding);
	set_brush(&msg.brush, encoding, &draw->text.brush);
	if (!rect_empty(&draw->text.back_area))
		set_brush(&msg.back_brush, encoding, &draw->text.back_brush);
	return msg_draw_text_pack(body, &msg);
}

static const struct {
	uint16_t type;
	int (*pack)(struct encoding *encoding, struct buf *body);
} messages[DRAW_TYPES] = {
	[DRAW_FILL] = { SPICE_MSG_DISPLAY_DRAW_FILL, pack_fill },
	[DRAW_COPY] = { SPICE_MSG_DISPLAY_DRAW_COPY, pack_copy },
	[DRAW_COPY_BITS] = { SPICE_MSG_DISPLAY_COPY_BITS, pack_copy_bits },
	[DRAW_OPAQUE] = { SPICE_MSG_DISPLAY_DRAW_OPAQUE, pack_opaque },
	[DRAW_ROP3] = { SPICE_MSG_DISPLAY_DRAW_ROP3, pack_rop3 },
	[DRAW_TRANSPARENT] = { SPICE_MSG_DISPLAY_DRAW_TRANSPARENT, pack_transparent },
	[DRAW_ALPHA_BLEND] = { SPICE_MSG_DISPLAY_DRAW_ALPHA_BLEND, pack_alpha_blend },
	[DRAW_COMPOSITE] = { SPICE_MSG_DISPLAY_DRAW_COMPOSITE, pack_composite },
	[DRAW_STROKE] = { SPICE_MSG_DISPLAY_DRAW_STROKE, pack_stroke },
	[DRAW_TEXT] = { SPICE_MSG_DISPLAY_DRAW_TEXT, pack_text },
};

int encoding_pack(struct encoding *encoding, struct buf *body, uint16_t *type)
{
	*type = messages[encoding->draw->type].type;
	return messages[encoding->draw->type].pack(encoding, body);
}

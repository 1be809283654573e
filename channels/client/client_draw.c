/* SPDX-License-Identifier: MIT */
/* Drawing messages become core's drawing commands. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channels/client/client_internal.h"
#include "core/util.h"

/* Beyond every surface, and far from where sums of coordinates overflow. */
enum { COORDINATE_MAX = 1 << 20 };

static bool coordinate_ok(int32_t v)
{
	return v >= -COORDINATE_MAX && v <= COORDINATE_MAX;
}

static bool point_ok(const struct point *p)
{
	return coordinate_ok(p->x) && coordinate_ok(p->y);
}

static bool rect_ok(const struct rect *r)
{
	return coordinate_ok(r->left) && coordinate_ok(r->top) && coordinate_ok(r->right) &&
		coordinate_ok(r->bottom) && r->left <= r->right && r->top <= r->bottom;
}

/* ---- parts of drawings. 0: made; 1: the drawing is to be left out; or -errno ---- */

/* A drawing that is left out may still bring pictures that later ones refer to: all its parts are made
 * in any case. */
static int both(int a, int b)
{
	return a < 0 ? a : b < 0 ? b : MAX(a, b);
}

static int make_image(
	struct client_display *display, const struct proto_image *wire, struct image **out)
{
	int err = client_image_make(out, wire, &display->images);

	if (err != -ENOENT)
		return err;
	log_warn_limited(&display->log_limit, "spice",
		"display: the server refers to an image or palette that is not cached");
	return 1;
}

static int make_source(
	struct client_display *display, const struct proto_image *wire, struct draw_source *out)
{
	if (!wire->present)
		return -EPROTO;
	if (wire->type != SPICE_IMAGE_TYPE_SURFACE)
		return make_image(display, wire, &out->image);
	if (wire->surface_id >= DISPLAY_MAX_SURFACES)
		return -EPROTO;
	out->surface_id = wire->surface_id;
	return display->surfaces[wire->surface_id] ? 0 : 1;
}

static int make_brush(
	struct client_display *display, const struct proto_brush *wire, struct brush *out)
{
	switch (wire->type) {
	case SPICE_BRUSH_TYPE_SOLID:
		out->type = BRUSH_SOLID;
		out->color = wire->color;
		return 0;
	case SPICE_BRUSH_TYPE_PATTERN:
		if (!point_ok(&wire->origin))
			return -EPROTO;
		out->type = BRUSH_PATTERN;
		out->pattern_origin = wire->origin;
		return make_source(display, &wire->pattern, &out->pattern);
	default: out->type = BRUSH_NONE; return 0;
	}
}

static int make_mask(
	struct client_display *display, const struct proto_mask *wire, struct draw_mask *out)
{
	int ret;

	if (!wire->image.present)
		return 0;
	if (!point_ok(&wire->origin))
		return -EPROTO;
	if (wire->image.type == SPICE_IMAGE_TYPE_SURFACE)
		return 1; /* no driver's; core has no such masks */
	ret = make_image(display, &wire->image, &out->image);
	if (ret)
		return ret;
	out->origin = wire->origin;
	out->invert = wire->flags & SPICE_MASK_FLAGS_INVERS;
	return out->image->format == IMAGE_1BIT_LE || out->image->format == IMAGE_1BIT_BE ? 0 : 1;
}

/* Makes *out unless it fails. */
static int make_draw(struct client_display *display, enum draw_type type,
	const struct proto_base *base, struct draw **out)
{
	int err;

	if (base->surface_id >= DISPLAY_MAX_SURFACES || !rect_ok(&base->box))
		return -EPROTO;
	err = draw_create(out, type, base->surface_id, &base->box);
	if (err < 0)
		return err;
	(*out)->clipped = base->clip.clipped;
	if (base->clip.clipped)
		err = proto_clip_region(&base->clip, &(*out)->clip);
	if (err < 0)
		return err;
	return !display->surfaces[base->surface_id] || rect_empty(&base->box);
}

static enum scale_mode scale_of(uint8_t wire)
{
	return wire == SPICE_IMAGE_SCALE_MODE_NEAREST ? SCALE_NEAREST : SCALE_INTERPOLATE;
}

/* ---- messages ---- */

static int make_fill(
	struct client_display *display, const uint8_t *body, size_t size, struct draw **out)
{
	struct msg_draw_fill msg;
	int ret;

	if (!msg_draw_fill_parse(&msg, body, size))
		return -EPROTO;
	ret = make_draw(display, DRAW_FILL, &msg.base, out);
	if (ret < 0)
		return ret;
	(*out)->fill.rop = proto_rop_parse(msg.rop, PROTO_ROP_BRUSH);
	ret = both(ret, make_brush(display, &msg.brush, &(*out)->fill.brush));
	return both(ret, make_mask(display, &msg.mask, &(*out)->fill.mask));
}

/* Fills that need no brush. */
static int make_masked(struct client_display *display, enum rop_op op, const uint8_t *body,
	size_t size, struct draw **out)
{
	struct msg_draw_masked msg;
	int ret;

	if (!msg_draw_masked_parse(&msg, body, size))
		return -EPROTO;
	ret = make_draw(display, DRAW_FILL, &msg.base, out);
	if (ret < 0)
		return ret;
	(*out)->fill.brush.type = BRUSH_SOLID;
	(*out)->fill.rop.op = op;
	return both(ret, make_mask(display, &msg.mask, &(*out)->fill.mask));
}

static int make_blackness(
	struct client_display *display, const uint8_t *body, size_t size, struct draw **out)
{
	return make_masked(display, ROP_BLACKNESS, body, size, out);
}

static int make_whiteness(
	struct client_display *display, const uint8_t *body, size_t size, struct draw **out)
{
	return make_masked(display, ROP_WHITENESS, body, size, out);
}

static int make_invers(
	struct client_display *display, const uint8_t *body, size_t size, struct draw **out)
{
	return make_masked(display, ROP_INVERS, body, size, out);
}

/* Also BLEND: a copy with another raster operation. */
static int make_copy(
	struct client_display *display, const uint8_t *body, size_t size, struct draw **out)
{
	struct msg_draw_copy msg;
	int ret;

	if (!msg_draw_copy_parse(&msg, body, size) || !rect_ok(&msg.area))
		return -EPROTO;
	ret = make_draw(display, DRAW_COPY, &msg.base, out);
	if (ret < 0)
		return ret;
	(*out)->copy.rop = proto_rop_parse(msg.rop, PROTO_ROP_SOURCE);
	(*out)->copy.area = msg.area;
	(*out)->copy.scale = scale_of(msg.scale_mode);
	ret = both(ret, make_source(display, &msg.source, &(*out)->copy.source));
	return both(ret, make_mask(display, &msg.mask, &(*out)->copy.mask));
}

static int make_copy_bits(
	struct client_display *display, const uint8_t *body, size_t size, struct draw **out)
{
	struct msg_copy_bits msg;
	int ret;

	if (!msg_copy_bits_parse(&msg, body, size) || !point_ok(&msg.from))
		return -EPROTO;
	ret = make_draw(display, DRAW_COPY_BITS, &msg.base, out);
	if (ret < 0)
		return ret;
	(*out)->copy_bits.from = msg.from;
	return ret;
}

static int make_opaque(
	struct client_display *display, const uint8_t *body, size_t size, struct draw **out)
{
	struct msg_draw_opaque msg;
	int ret;

	if (!msg_draw_opaque_parse(&msg, body, size) || !rect_ok(&msg.area))
		return -EPROTO;
	ret = make_draw(display, DRAW_OPAQUE, &msg.base, out);
	if (ret < 0)
		return ret;
	(*out)->opaque.rop = proto_rop_parse(msg.rop, PROTO_ROP_OPAQUE);
	(*out)->opaque.area = msg.area;
	(*out)->opaque.scale = scale_of(msg.scale_mode);
	ret = both(ret, make_source(display, &msg.source, &(*out)->opaque.source));
	ret = both(ret, make_brush(display, &msg.brush, &(*out)->opaque.brush));
	return both(ret, make_mask(display, &msg.mask, &(*out)->opaque.mask));
}

static int make_rop3(
	struct client_display *display, const uint8_t *body, size_t size, struct draw **out)
{
	struct msg_draw_rop3 msg;
	int ret;

	if (!msg_draw_rop3_parse(&msg, body, size) || !rect_ok(&msg.area))
		return -EPROTO;
	ret = make_draw(display, DRAW_ROP3, &msg.base, out);
	if (ret < 0)
		return ret;
	(*out)->rop3.code = msg.rop3;
	(*out)->rop3.area = msg.area;
	(*out)->rop3.scale = scale_of(msg.scale_mode);
	ret = both(ret, make_source(display, &msg.source, &(*out)->rop3.source));
	ret = both(ret, make_brush(display, &msg.brush, &(*out)->rop3.brush));
	return both(ret, make_mask(display, &msg.mask, &(*out)->rop3.mask));
}

static int make_transparent(
	struct client_display *display, const uint8_t *body, size_t size, struct draw **out)
{
	struct msg_draw_transparent msg;
	int ret;

	if (!msg_draw_transparent_parse(&msg, body, size) || !rect_ok(&msg.area))
		return -EPROTO;
	ret = make_draw(display, DRAW_TRANSPARENT, &msg.base, out);
	if (ret < 0)
		return ret;
	(*out)->transparent.area = msg.area;
	(*out)->transparent.color = msg.true_color;
	(*out)->transparent.source_color = msg.source_color;
	return both(ret, make_source(display, &msg.source, &(*out)->transparent.source));
}

static int make_alpha_blend(
	struct client_display *display, const uint8_t *body, size_t size, struct draw **out)
{
	struct msg_draw_alpha_blend msg;
	int ret;

	if (!msg_draw_alpha_blend_parse(&msg, body, size) || !rect_ok(&msg.area))
		return -EPROTO;
	ret = make_draw(display, DRAW_ALPHA_BLEND, &msg.base, out);
	if (ret < 0)
		return ret;
	(*out)->alpha_blend.area = msg.area;
	(*out)->alpha_blend.alpha = msg.alpha;
	(*out)->alpha_blend.dest_has_alpha = msg.flags & SPICE_ALPHA_FLAGS_DEST_HAS_ALPHA;
	(*out)->alpha_blend.source_has_alpha = msg.flags & SPICE_ALPHA_FLAGS_SRC_SURFACE_HAS_ALPHA;
	return both(ret, make_source(display, &msg.source, &(*out)->alpha_blend.source));
}

static int make_dashes(const struct proto_line *line, struct draw *draw)
{
	if (!(line->flags & SPICE_LINE_FLAGS_STYLED) || !line->dash_count)
		return 0;
	draw->stroke.start_with_gap = line->flags & SPICE_LINE_FLAGS_START_WITH_GAP;
	draw->stroke.dashes = calloc(line->dash_count, sizeof(*draw->stroke.dashes));
	if (!draw->stroke.dashes)
		return -ENOMEM;
	for (uint32_t i = 0; i < line->dash_count; i++)
		draw->stroke.dashes[i] = proto_line_dash(line, i);
	draw->stroke.dash_count = line->dash_count;
	return 0;
}

static int make_stroke(
	struct client_display *display, const uint8_t *body, size_t size, struct draw **out)
{
	struct msg_draw_stroke msg;
	int ret;

	if (!msg_draw_stroke_parse(&msg, body, size))
		return -EPROTO;
	ret = make_draw(display, DRAW_STROKE, &msg.base, out);
	if (ret < 0)
		return ret;
	(*out)->stroke.rop = proto_rop_parse(msg.rop, PROTO_ROP_BRUSH);
	(*out)->stroke.back_rop = proto_rop_parse(msg.back_rop, PROTO_ROP_BRUSH);
	ret = both(ret, proto_path_make(&msg.path, &(*out)->stroke.path));
	ret = both(ret, make_dashes(&msg.line, *out));
	return both(ret, make_brush(display, &msg.brush, &(*out)->stroke.brush));
}

static int make_string(const struct proto_string *wire, struct text_string *out)
{
	int err = proto_string_make(wire, out);

	for (uint32_t i = 0; err == 0 && i < out->count; i++)
		if (!point_ok(&out->glyphs[i].position) || !point_ok(&out->glyphs[i].origin))
			return -EPROTO;
	return err;
}

static int make_text(
	struct client_display *display, const uint8_t *body, size_t size, struct draw **out)
{
	struct msg_draw_text msg;
	int ret;

	if (!msg_draw_text_parse(&msg, body, size))
		return -EPROTO;
	/* Without a background its area may be anything. */
	if (rect_empty(&msg.back_area))
		msg.back_area = (struct rect){ 0 };
	ret = rect_ok(&msg.back_area) ? make_draw(display, DRAW_TEXT, &msg.base, out) : -EPROTO;
	if (ret < 0)
		return ret;
	(*out)->text.back_area = msg.back_area;
	(*out)->text.rop = proto_rop_parse(msg.rop, PROTO_ROP_BRUSH);
	(*out)->text.back_rop = proto_rop_parse(msg.back_rop, PROTO_ROP_BRUSH);
	ret = both(ret, make_string(&msg.string, &(*out)->text.string));
	ret = both(ret, make_brush(display, &msg.brush, &(*out)->text.brush));
	return both(ret, make_brush(display, &msg.back_brush, &(*out)->text.back_brush));
}

static void set_transform(struct draw_sampling *out, const int32_t matrix[2][3])
{
	out->transformed = true;
	memcpy(out->matrix, matrix, sizeof(out->matrix));
}

/* The flags' numbers are pixman's: the operator in bits 0-7, then filters and repeats. Those that
 * pixman does not have are a guest's oddity, passed on. */
static int set_composition(struct draw *draw, const struct proto_composite *wire)
{
	struct draw_sampling *source = &draw->composite.source_sampling;
	struct draw_sampling *mask = &draw->composite.mask_sampling;
	uint32_t flags = wire->flags;

	source->filter = (pixman_filter_t)(flags >> 8 & 7);
	mask->filter = (pixman_filter_t)(flags >> 11 & 7);
	source->repeat = (pixman_repeat_t)(flags >> 14 & 3);
	mask->repeat = (pixman_repeat_t)(flags >> 16 & 3);
	if (flags & SPICE_COMPOSITE_HAS_SRC_TRANSFORM)
		set_transform(source, wire->source_transform);
	if (flags & SPICE_COMPOSITE_HAS_MASK_TRANSFORM)
		set_transform(mask, wire->mask_transform);
	draw->composite.op = (pixman_op_t)(flags & 0xff);
	draw->composite.component_alpha = flags & SPICE_COMPOSITE_COMPONENT_ALPHA;
	draw->composite.source_opaque = flags & SPICE_COMPOSITE_SOURCE_OPAQUE;
	draw->composite.dest_opaque = flags & SPICE_COMPOSITE_DEST_OPAQUE;
	draw->composite.has_mask = flags & SPICE_COMPOSITE_HAS_MASK;
	draw->composite.source_origin = wire->source_origin;
	draw->composite.mask_origin = wire->mask_origin;
	return !composite_op_valid(flags & 0xff) || !draw_sampling_valid(source) ||
		!draw_sampling_valid(mask);
}

static int make_composite(
	struct client_display *display, const uint8_t *body, size_t size, struct draw **out)
{
	struct msg_draw_composite msg;
	int ret;

	if (!msg_draw_composite_parse(&msg, body, size))
		return -EPROTO;
	ret = make_draw(display, DRAW_COMPOSITE, &msg.base, out);
	if (ret < 0)
		return ret;
	ret = both(ret, set_composition(*out, &msg.composite));
	ret = both(ret, make_source(display, &msg.composite.source, &(*out)->composite.source));
	if ((*out)->composite.has_mask)
		ret = both(ret, make_source(display, &msg.composite.mask, &(*out)->composite.mask));
	return ret;
}

/* ---- all of them ---- */

static const struct {
	uint16_t type; /* SPICE_MSG_DISPLAY_* */
	const char *name;
	int (*make)(struct client_display *display, const uint8_t *body, size_t size,
		struct draw **out);
} drawings[CLIENT_DRAW_KINDS] = {
	{ SPICE_MSG_DISPLAY_COPY_BITS, "copy_bits", make_copy_bits },
	{ SPICE_MSG_DISPLAY_DRAW_FILL, "fill", make_fill },
	{ SPICE_MSG_DISPLAY_DRAW_OPAQUE, "opaque", make_opaque },
	{ SPICE_MSG_DISPLAY_DRAW_COPY, "copy", make_copy },
	{ SPICE_MSG_DISPLAY_DRAW_BLEND, "blend", make_copy },
	{ SPICE_MSG_DISPLAY_DRAW_BLACKNESS, "blackness", make_blackness },
	{ SPICE_MSG_DISPLAY_DRAW_WHITENESS, "whiteness", make_whiteness },
	{ SPICE_MSG_DISPLAY_DRAW_INVERS, "invers", make_invers },
	{ SPICE_MSG_DISPLAY_DRAW_ROP3, "rop3", make_rop3 },
	{ SPICE_MSG_DISPLAY_DRAW_STROKE, "stroke", make_stroke },
	{ SPICE_MSG_DISPLAY_DRAW_TEXT, "text", make_text },
	{ SPICE_MSG_DISPLAY_DRAW_TRANSPARENT, "transparent", make_transparent },
	{ SPICE_MSG_DISPLAY_DRAW_ALPHA_BLEND, "alpha_blend", make_alpha_blend },
	{ SPICE_MSG_DISPLAY_DRAW_COMPOSITE, "composite", make_composite },
};

int client_display_draw(
	struct client_display *display, uint16_t type, const uint8_t *body, size_t size)
{
	struct display_sink *sink = display->base.client->out;
	struct draw *draw = NULL;
	size_t kind = 0;
	int ret;

	while (kind < CLIENT_DRAW_KINDS && drawings[kind].type != type)
		kind++;
	if (kind == CLIENT_DRAW_KINDS) {
		client_display_skip(display, type);
		return 0;
	}
	ret = drawings[kind].make(display, body, size, &draw);
	display->drawn[kind] += ret >= 0;
	if (ret == 0) {
		client_streams_before_draw(display->streams, draw);
		sink->ops->draw(sink, draw);
	}
	draw_unref(draw);
	return MIN(ret, 0);
}

void client_draws_describe(const struct client_display *display, char *text, size_t size)
{
	size_t at = 0;

	text[0] = '\0';
	for (size_t i = 0; i < CLIENT_DRAW_KINDS && at < size; i++)
		if (display->drawn[i])
			at += (size_t)snprintf(text + at, size - at, "%s%s %llu", at ? ", " : "",
				drawings[i].name, (unsigned long long)display->drawn[i]);
}

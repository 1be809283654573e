/* SPDX-License-Identifier: MIT */
/* Drawing messages become core's drawing commands. */
#include <errno.h>
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

/* ---- parts of drawings. 0: made; 1: leave the drawing out; or -errno ---- */

static int make_image(
	struct client_display *display, const struct proto_image *wire, struct image **out)
{
	int err = client_image_make(out, wire, &display->cache, &display->palettes);

	switch (err) {
	case -ENOTSUP:
		if (!(display->skipped_images & 1u << (wire->type % 32)))
			log_warn("spice", "display: images of type %u cannot be decoded yet",
				wire->type);
		display->skipped_images |= 1u << (wire->type % 32);
		return 1;
	case -ENOENT:
		log_warn_limited(&display->log_limit, "spice",
			"display: the server refers to an image or palette that is not cached");
		return 1;
	default: return err;
	}
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
	ret = make_image(display, &wire->image, &out->image);
	if (ret)
		return ret;
	out->origin = wire->origin;
	out->invert = wire->flags & SPICE_MASK_FLAGS_INVERS;
	return out->image->format == IMAGE_1BIT_LE || out->image->format == IMAGE_1BIT_BE ? 0 : 1;
}

static int make_draw(struct client_display *display, enum draw_type type,
	const struct proto_base *base, struct draw **out)
{
	int err;

	if (base->surface_id >= DISPLAY_MAX_SURFACES || !rect_ok(&base->box))
		return -EPROTO;
	if (!display->surfaces[base->surface_id] || rect_empty(&base->box))
		return 1;
	err = draw_create(out, type, base->surface_id, &base->box);
	if (err < 0)
		return err;
	(*out)->clipped = base->clip.clipped;
	return base->clip.clipped ? proto_clip_region(&base->clip, &(*out)->clip) : 0;
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
	if (ret)
		return ret;
	(*out)->fill.rop = proto_rop_parse(msg.rop, true);
	ret = make_brush(display, &msg.brush, &(*out)->fill.brush);
	return ret ? ret : make_mask(display, &msg.mask, &(*out)->fill.mask);
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
	if (ret)
		return ret;
	(*out)->fill.brush.type = BRUSH_SOLID;
	(*out)->fill.rop.op = op;
	return make_mask(display, &msg.mask, &(*out)->fill.mask);
}

static int make_copy(
	struct client_display *display, const uint8_t *body, size_t size, struct draw **out)
{
	struct msg_draw_copy msg;
	int ret;

	if (!msg_draw_copy_parse(&msg, body, size) || !rect_ok(&msg.area))
		return -EPROTO;
	ret = make_draw(display, DRAW_COPY, &msg.base, out);
	if (ret)
		return ret;
	(*out)->copy.rop = proto_rop_parse(msg.rop, false);
	(*out)->copy.area = msg.area;
	(*out)->copy.scale = msg.scale_mode == SPICE_IMAGE_SCALE_MODE_NEAREST ? SCALE_NEAREST
									      : SCALE_INTERPOLATE;
	ret = make_source(display, &msg.source, &(*out)->copy.source);
	return ret ? ret : make_mask(display, &msg.mask, &(*out)->copy.mask);
}

static int make_copy_bits(
	struct client_display *display, const uint8_t *body, size_t size, struct draw **out)
{
	struct msg_copy_bits msg;
	int ret;

	if (!msg_copy_bits_parse(&msg, body, size) || !point_ok(&msg.from))
		return -EPROTO;
	ret = make_draw(display, DRAW_COPY_BITS, &msg.base, out);
	if (ret)
		return ret;
	(*out)->copy_bits.from = msg.from;
	return 0;
}

int client_display_draw(
	struct client_display *display, uint16_t type, const uint8_t *body, size_t size)
{
	struct display_sink *sink = display->base.client->out;
	struct draw *draw = NULL;
	int ret;

	switch (type) {
	case SPICE_MSG_DISPLAY_DRAW_FILL: ret = make_fill(display, body, size, &draw); break;
	case SPICE_MSG_DISPLAY_DRAW_COPY:
	case SPICE_MSG_DISPLAY_DRAW_BLEND: /* a copy with another raster operation */
		ret = make_copy(display, body, size, &draw);
		break;
	case SPICE_MSG_DISPLAY_COPY_BITS: ret = make_copy_bits(display, body, size, &draw); break;
	case SPICE_MSG_DISPLAY_DRAW_BLACKNESS:
		ret = make_masked(display, ROP_BLACKNESS, body, size, &draw);
		break;
	case SPICE_MSG_DISPLAY_DRAW_WHITENESS:
		ret = make_masked(display, ROP_WHITENESS, body, size, &draw);
		break;
	case SPICE_MSG_DISPLAY_DRAW_INVERS:
		ret = make_masked(display, ROP_INVERS, body, size, &draw);
		break;
	default: client_display_skip(display, type); return 0;
	}
	if (ret == 0)
		sink->ops->draw(sink, draw);
	draw_unref(draw);
	return MIN(ret, 0);
}

/* SPDX-License-Identifier: MIT */
/* Reading and writing the kinds of fields but images (fields_image.c), paths, strings and
 * compositions (fields_shapes.c). */
#include "channels/proto/fields.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <spice/enums.h>

#include "core/util.h"

enum { RECT_BYTES = 16, RESOURCE_BYTES = 9, WAIT_BYTES = 10 };

void proto_writer_init(struct proto_writer *w, struct buf *body)
{
	memset(w, 0, sizeof(*w));
	wire_writer_init(&w->wire, body);
}

int proto_writer_end(struct proto_writer *w)
{
	for (uint32_t i = 0; i < w->pending_count; i++) {
		wire_patch_u32(&w->wire, w->pending[i].at, (uint32_t)w->wire.buf->size);
		w->pending[i].write(w, w->pending[i].what);
	}
	if (!w->wire.failed)
		return 0;
	buf_clear(w->wire.buf);
	return -ENOMEM;
}

void proto_write_pointer(struct proto_writer *w, proto_pointed_fn *write, const void *what)
{
	if (what) {
		assert(w->pending_count < ARRAY_SIZE(w->pending)); /* no message has more */
		w->pending[w->pending_count].at = w->wire.buf->size;
		w->pending[w->pending_count].write = write;
		w->pending[w->pending_count++].what = what;
	}
	wire_write_u32(&w->wire, 0);
}

/* ---- numbers and bytes ---- */

void proto_read_u8(struct wire_reader *r, uint8_t *v)
{
	*v = wire_read_u8(r);
}

void proto_read_u16(struct wire_reader *r, uint16_t *v)
{
	*v = wire_read_u16(r);
}

void proto_read_u32(struct wire_reader *r, uint32_t *v)
{
	*v = wire_read_u32(r);
}

void proto_read_u64(struct wire_reader *r, uint64_t *v)
{
	*v = wire_read_u64(r);
}

void proto_read_i32(struct wire_reader *r, int32_t *v)
{
	*v = wire_read_i32(r);
}

void proto_read_i64(struct wire_reader *r, int64_t *v)
{
	*v = (int64_t)wire_read_u64(r);
}

void proto_read_rest(struct wire_reader *r, struct wire_bytes *v)
{
	v->size = wire_reader_left(r);
	v->data = wire_read_bytes(r, v->size);
}

void proto_read_blob(struct wire_reader *r, struct wire_bytes *v)
{
	v->size = wire_read_u32(r);
	v->data = wire_read_bytes(r, v->size);
}

void proto_read_uuid(struct wire_reader *r, struct proto_uuid *v)
{
	wire_read_copy(r, v->bytes, sizeof(v->bytes));
}

void proto_write_u8(struct proto_writer *w, const uint8_t *v)
{
	wire_write_u8(&w->wire, *v);
}

void proto_write_u16(struct proto_writer *w, const uint16_t *v)
{
	wire_write_u16(&w->wire, *v);
}

void proto_write_u32(struct proto_writer *w, const uint32_t *v)
{
	wire_write_u32(&w->wire, *v);
}

void proto_write_u64(struct proto_writer *w, const uint64_t *v)
{
	wire_write_u64(&w->wire, *v);
}

void proto_write_i32(struct proto_writer *w, const int32_t *v)
{
	wire_write_i32(&w->wire, *v);
}

void proto_write_i64(struct proto_writer *w, const int64_t *v)
{
	wire_write_u64(&w->wire, (uint64_t)*v);
}

void proto_write_rest(struct proto_writer *w, const struct wire_bytes *v)
{
	if (v->size)
		wire_write_bytes(&w->wire, v->data, v->size);
}

void proto_write_blob(struct proto_writer *w, const struct wire_bytes *v)
{
	wire_write_u32(&w->wire, (uint32_t)v->size);
	proto_write_rest(w, v);
}

void proto_write_uuid(struct proto_writer *w, const struct proto_uuid *v)
{
	wire_write_bytes(&w->wire, v->bytes, sizeof(v->bytes));
}

/* ---- geometry ---- */

void proto_read_point(struct wire_reader *r, struct point *v)
{
	v->x = wire_read_i32(r);
	v->y = wire_read_i32(r);
}

void proto_read_point16(struct wire_reader *r, struct point *v)
{
	v->x = (int16_t)wire_read_u16(r);
	v->y = (int16_t)wire_read_u16(r);
}

void proto_read_rect(struct wire_reader *r, struct rect *v)
{
	v->top = wire_read_i32(r);
	v->left = wire_read_i32(r);
	v->bottom = wire_read_i32(r);
	v->right = wire_read_i32(r);
}

void proto_write_point(struct proto_writer *w, const struct point *v)
{
	wire_write_i32(&w->wire, v->x);
	wire_write_i32(&w->wire, v->y);
}

void proto_write_point16(struct proto_writer *w, const struct point *v)
{
	wire_write_u16(&w->wire, (uint16_t)v->x);
	wire_write_u16(&w->wire, (uint16_t)v->y);
}

void proto_write_rect(struct proto_writer *w, const struct rect *v)
{
	wire_write_i32(&w->wire, v->top);
	wire_write_i32(&w->wire, v->left);
	wire_write_i32(&w->wire, v->bottom);
	wire_write_i32(&w->wire, v->right);
}

/* ---- lists ---- */

void proto_read_channels(struct wire_reader *r, struct proto_channels *v)
{
	v->count = wire_read_u32(r);
	if (v->count > PROTO_CHANNELS_MAX) {
		wire_reader_fail(r);
		return;
	}
	for (uint32_t i = 0; i < v->count; i++) {
		v->items[i].type = wire_read_u8(r);
		v->items[i].id = wire_read_u8(r);
	}
}

void proto_write_channels(struct proto_writer *w, const struct proto_channels *v)
{
	wire_write_u32(&w->wire, v->count);
	for (uint32_t i = 0; i < v->count; i++) {
		wire_write_u8(&w->wire, v->items[i].type);
		wire_write_u8(&w->wire, v->items[i].id);
	}
}

void proto_read_heads(struct wire_reader *r, struct proto_heads *v)
{
	v->count = wire_read_u16(r);
	v->max_allowed = wire_read_u16(r);
	if (v->count > PROTO_HEADS_MAX) {
		wire_reader_fail(r);
		return;
	}
	for (uint32_t i = 0; i < v->count; i++) {
		struct proto_head *head = &v->items[i];

		head->id = wire_read_u32(r);
		head->surface_id = wire_read_u32(r);
		head->width = wire_read_u32(r);
		head->height = wire_read_u32(r);
		head->x = wire_read_u32(r);
		head->y = wire_read_u32(r);
		head->flags = wire_read_u32(r);
	}
}

void proto_write_heads(struct proto_writer *w, const struct proto_heads *v)
{
	wire_write_u16(&w->wire, v->count);
	wire_write_u16(&w->wire, v->max_allowed);
	for (uint32_t i = 0; i < v->count; i++) {
		const struct proto_head *head = &v->items[i];

		wire_write_u32(&w->wire, head->id);
		wire_write_u32(&w->wire, head->surface_id);
		wire_write_u32(&w->wire, head->width);
		wire_write_u32(&w->wire, head->height);
		wire_write_u32(&w->wire, head->x);
		wire_write_u32(&w->wire, head->y);
		wire_write_u32(&w->wire, head->flags);
	}
}

void proto_read_resources(struct wire_reader *r, struct proto_resources *v)
{
	v->count = wire_read_u16(r);
	v->wire = wire_read_bytes(r, (size_t)v->count * RESOURCE_BYTES);
}

void proto_write_resources(struct proto_writer *w, const struct proto_resources *v)
{
	wire_write_u16(&w->wire, v->count);
	for (uint32_t i = 0; i < v->count; i++) {
		struct proto_resource item = v->items ? v->items[i] : proto_resource(v, i);

		wire_write_u8(&w->wire, item.type);
		wire_write_u64(&w->wire, item.id);
	}
}

struct proto_resource proto_resource(const struct proto_resources *list, uint32_t i)
{
	struct proto_resource item;
	struct wire_reader r;

	wire_reader_init(&r, list->wire, (size_t)list->count * RESOURCE_BYTES);
	wire_skip(&r, (size_t)i * RESOURCE_BYTES);
	item.type = wire_read_u8(&r);
	item.id = wire_read_u64(&r);
	return item;
}

void proto_read_waits(struct wire_reader *r, struct proto_waits *v)
{
	v->count = wire_read_u8(r);
	v->wire = wire_read_bytes(r, (size_t)v->count * WAIT_BYTES);
}

void proto_write_waits(struct proto_writer *w, const struct proto_waits *v)
{
	wire_write_u8(&w->wire, v->count);
	for (uint32_t i = 0; i < v->count; i++) {
		struct proto_wait item = v->items ? v->items[i] : proto_wait(v, i);

		wire_write_u8(&w->wire, item.channel_type);
		wire_write_u8(&w->wire, item.channel_id);
		wire_write_u64(&w->wire, item.serial);
	}
}

struct proto_wait proto_wait(const struct proto_waits *list, uint32_t i)
{
	struct proto_wait item;
	struct wire_reader r;

	wire_reader_init(&r, list->wire, (size_t)list->count * WAIT_BYTES);
	wire_skip(&r, (size_t)i * WAIT_BYTES);
	item.channel_type = wire_read_u8(&r);
	item.channel_id = wire_read_u8(&r);
	item.serial = wire_read_u64(&r);
	return item;
}

/* ---- what drawings begin with ---- */

static struct rect clip_rect(const struct proto_clip *clip, uint32_t i)
{
	struct wire_reader r;
	struct rect rect;

	wire_reader_init(&r, clip->wire, (size_t)clip->count * RECT_BYTES);
	wire_skip(&r, (size_t)i * RECT_BYTES);
	proto_read_rect(&r, &rect);
	return rect;
}

/* Whether the rectangles are disjoint and in y-x order, as regions give them. */
static bool clip_in_order(const struct proto_clip *clip)
{
	struct rect before = clip_rect(clip, 0);

	for (uint32_t i = 1; i < clip->count; i++) {
		struct rect rect = clip_rect(clip, i);
		bool beside = rect.top == before.top && rect.bottom == before.bottom &&
			rect.left >= before.right;

		if (rect_empty(&rect) || (!beside && rect.top < before.bottom))
			return false;
		before = rect;
	}
	return true;
}

void proto_read_clip(struct wire_reader *r, struct proto_clip *v)
{
	uint8_t type = wire_read_u8(r);

	if (type == SPICE_CLIP_TYPE_NONE)
		return;
	v->clipped = true;
	v->count = wire_read_u32(r);
	if (type != SPICE_CLIP_TYPE_RECTS || v->count > PROTO_CLIP_RECTS_MAX) {
		wire_reader_fail(r);
		return;
	}
	v->wire = wire_read_bytes(r, (size_t)v->count * RECT_BYTES);
	if (wire_reader_ok(r) && v->count > PROTO_CLIP_ANY_MAX && !clip_in_order(v))
		wire_reader_fail(r);
}

void proto_write_clip(struct proto_writer *w, const struct proto_clip *v)
{
	uint32_t count = v->region ? region_count(v->region) : v->count;

	wire_write_u8(&w->wire, v->clipped ? SPICE_CLIP_TYPE_RECTS : SPICE_CLIP_TYPE_NONE);
	if (!v->clipped)
		return;
	wire_write_u32(&w->wire, count);
	for (uint32_t i = 0; i < count; i++) {
		struct rect rect = v->region ? region_rect(v->region, i) : clip_rect(v, i);

		proto_write_rect(w, &rect);
	}
}

int proto_clip_region(const struct proto_clip *clip, struct region *region)
{
	struct rect *rects = calloc(MAX(clip->count, 1u), sizeof(*rects));
	int err;

	if (!rects)
		return -ENOMEM;
	for (uint32_t i = 0; i < clip->count; i++)
		rects[i] = clip_rect(clip, i);
	err = region_set_rects(region, rects, clip->count);
	free(rects);
	return err;
}

void proto_read_base(struct wire_reader *r, struct proto_base *v)
{
	v->surface_id = wire_read_u32(r);
	proto_read_rect(r, &v->box);
	proto_read_clip(r, &v->clip);
}

void proto_write_base(struct proto_writer *w, const struct proto_base *v)
{
	wire_write_u32(&w->wire, v->surface_id);
	proto_write_rect(w, &v->box);
	proto_write_clip(w, &v->clip);
}

void proto_read_brush(struct wire_reader *r, struct proto_brush *v)
{
	v->type = wire_read_u8(r);
	switch (v->type) {
	case SPICE_BRUSH_TYPE_NONE: break;
	case SPICE_BRUSH_TYPE_SOLID: v->color = wire_read_u32(r); break;
	case SPICE_BRUSH_TYPE_PATTERN:
		proto_read_image(r, &v->pattern);
		proto_read_point(r, &v->origin);
		if (!v->pattern.present)
			wire_reader_fail(r);
		break;
	default: wire_reader_fail(r);
	}
}

void proto_write_brush(struct proto_writer *w, const struct proto_brush *v)
{
	wire_write_u8(&w->wire, v->type);
	if (v->type == SPICE_BRUSH_TYPE_SOLID)
		wire_write_u32(&w->wire, v->color);
	if (v->type != SPICE_BRUSH_TYPE_PATTERN)
		return;
	proto_write_image(w, &v->pattern);
	proto_write_point(w, &v->origin);
}

void proto_read_mask(struct wire_reader *r, struct proto_mask *v)
{
	v->flags = wire_read_u8(r);
	proto_read_point(r, &v->origin);
	proto_read_image(r, &v->image);
}

void proto_write_mask(struct proto_writer *w, const struct proto_mask *v)
{
	wire_write_u8(&w->wire, v->flags);
	proto_write_point(w, &v->origin);
	proto_write_image(w, &v->image);
}

/* ---- cursors ---- */

void proto_read_cursor(struct wire_reader *r, struct proto_cursor *v)
{
	v->flags = wire_read_u16(r);
	if (v->flags & SPICE_CURSOR_FLAGS_NONE)
		return;
	v->unique = wire_read_u64(r);
	v->type = wire_read_u8(r);
	v->width = wire_read_u16(r);
	v->height = wire_read_u16(r);
	v->hot_x = wire_read_u16(r);
	v->hot_y = wire_read_u16(r);
	proto_read_rest(r, &v->data);
	if (v->type > SPICE_CURSOR_TYPE_COLOR32)
		wire_reader_fail(r);
}

void proto_write_cursor(struct proto_writer *w, const struct proto_cursor *v)
{
	wire_write_u16(&w->wire, v->flags);
	if (v->flags & SPICE_CURSOR_FLAGS_NONE)
		return;
	wire_write_u64(&w->wire, v->unique);
	wire_write_u8(&w->wire, v->type);
	wire_write_u16(&w->wire, v->width);
	wire_write_u16(&w->wire, v->height);
	wire_write_u16(&w->wire, v->hot_x);
	wire_write_u16(&w->wire, v->hot_y);
	proto_write_rest(w, &v->data);
}

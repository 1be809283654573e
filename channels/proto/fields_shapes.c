/* SPDX-License-Identifier: MIT */
/* Paths, lines, strings of glyphs and compositions. What they count is capped and checked as they are
 * read; making core's kinds of them then only fails for want of memory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <spice/enums.h>

#include "channels/proto/fields.h"
#include "core/util.h"

enum { POINT_BYTES = 8, DASH_BYTES = 4 };

/* Follows a pointer that must not be null; false: there is none. */
static bool follow(struct wire_reader *r, size_t *back)
{
	uint32_t offset = wire_read_u32(r);

	*back = r->pos;
	if (offset)
		wire_seek(r, offset);
	else
		wire_reader_fail(r);
	return wire_reader_ok(r);
}

/* What was read since `start`, which lies in the same memory. */
static struct wire_bytes read_since(const struct wire_reader *r, size_t start)
{
	return (struct wire_bytes){ r->data + start, wire_reader_ok(r) ? r->pos - start : 0 };
}

/* ---- paths ---- */

static const struct {
	uint8_t wire;
	uint32_t core;
} path_flags[] = {
	{ SPICE_PATH_BEGIN, PATH_BEGIN },
	{ SPICE_PATH_END, PATH_END },
	{ SPICE_PATH_CLOSE, PATH_CLOSE },
	{ SPICE_PATH_BEZIER, PATH_BEZIER },
};

void proto_read_path(struct wire_reader *r, struct proto_path *v)
{
	size_t back, start;

	if (!follow(r, &back))
		return;
	v->segment_count = wire_read_u32(r);
	start = r->pos;
	if (v->segment_count > PATH_POINTS_MAX)
		wire_reader_fail(r);
	for (uint32_t i = 0; i < v->segment_count && wire_reader_ok(r); i++) {
		uint32_t count;

		wire_skip(r, 1);
		count = wire_read_u32(r);
		if (count > PATH_POINTS_MAX - v->point_count)
			wire_reader_fail(r);
		else
			wire_skip(r, (size_t)count * POINT_BYTES);
		v->point_count += count;
	}
	v->wire = read_since(r, start);
	wire_seek(r, back);
}

static void path_write_segment(
	struct wire_writer *w, const struct draw_path *path, const struct path_segment *segment)
{
	uint8_t flags = 0;

	for (uint32_t i = 0; i < ARRAY_SIZE(path_flags); i++)
		if (segment->flags & path_flags[i].core)
			flags |= path_flags[i].wire;
	wire_write_u8(w, flags);
	wire_write_u32(w, segment->count);
	for (uint32_t i = 0; i < segment->count; i++) {
		wire_write_i32(w, path->points[segment->first + i].x);
		wire_write_i32(w, path->points[segment->first + i].y);
	}
}

static void path_write(struct proto_writer *writer, const void *what)
{
	const struct proto_path *v = what;
	struct wire_writer *w = &writer->wire;

	if (!v->path) {
		wire_write_u32(w, v->segment_count);
		wire_write_bytes(w, v->wire.data, v->wire.size);
		return;
	}
	wire_write_u32(w, v->path->segment_count);
	for (uint32_t i = 0; i < v->path->segment_count; i++)
		path_write_segment(w, v->path, &v->path->segments[i]);
}

void proto_write_path(struct proto_writer *w, const struct proto_path *v)
{
	proto_write_pointer(w, path_write, v);
}

static void path_read_segment(struct wire_reader *r, struct draw_path *out)
{
	struct path_segment *segment = &out->segments[out->segment_count++];
	uint8_t flags = wire_read_u8(r);

	for (uint32_t i = 0; i < ARRAY_SIZE(path_flags); i++)
		if (flags & path_flags[i].wire)
			segment->flags |= path_flags[i].core;
	segment->first = out->point_count;
	segment->count = wire_read_u32(r);
	for (uint32_t i = 0; i < segment->count; i++) {
		struct path_point *point = &out->points[out->point_count++];

		point->x = wire_read_i32(r);
		point->y = wire_read_i32(r);
	}
}

int proto_path_make(const struct proto_path *path, struct draw_path *out)
{
	struct wire_reader r;

	out->segments = calloc(MAX(path->segment_count, 1u), sizeof(*out->segments));
	out->points = calloc(MAX(path->point_count, 1u), sizeof(*out->points));
	if (!out->segments || !out->points)
		return -ENOMEM;
	wire_reader_init(&r, path->wire.data, path->wire.size);
	while (out->segment_count < path->segment_count)
		path_read_segment(&r, out);
	return 0;
}

/* ---- lines ---- */

void proto_read_line(struct wire_reader *r, struct proto_line *v)
{
	size_t back;

	v->flags = wire_read_u8(r);
	if (!(v->flags & SPICE_LINE_FLAGS_STYLED))
		return;
	v->dash_count = wire_read_u8(r);
	if (v->dash_count == 0) {
		wire_skip(r, 4);
		return;
	}
	if (!follow(r, &back))
		return;
	v->wire = wire_read_bytes(r, (size_t)v->dash_count * DASH_BYTES);
	wire_seek(r, back);
}

int32_t proto_line_dash(const struct proto_line *line, uint32_t i)
{
	struct wire_reader r;

	wire_reader_init(&r, line->wire, (size_t)line->dash_count * DASH_BYTES);
	wire_skip(&r, (size_t)i * DASH_BYTES);
	return wire_read_i32(&r);
}

static void dashes_write(struct proto_writer *w, const void *what)
{
	const struct proto_line *v = what;

	for (uint32_t i = 0; i < v->dash_count; i++)
		wire_write_i32(&w->wire, v->dashes ? v->dashes[i] : proto_line_dash(v, i));
}

void proto_write_line(struct proto_writer *w, const struct proto_line *v)
{
	wire_write_u8(&w->wire, v->flags);
	if (!(v->flags & SPICE_LINE_FLAGS_STYLED))
		return;
	wire_write_u8(&w->wire, v->dash_count);
	proto_write_pointer(w, dashes_write, v->dash_count ? v : NULL);
}

/* ---- strings ---- */

uint8_t proto_string_depth(uint8_t flags)
{
	return flags & SPICE_STRING_FLAGS_RASTER_A1    ? 1
		: flags & SPICE_STRING_FLAGS_RASTER_A4 ? 4
		: flags & SPICE_STRING_FLAGS_RASTER_A8 ? 8
						       : 0;
}

uint8_t proto_string_flags(uint8_t depth)
{
	return depth == 1    ? SPICE_STRING_FLAGS_RASTER_A1
		: depth == 4 ? SPICE_STRING_FLAGS_RASTER_A4
			     : SPICE_STRING_FLAGS_RASTER_A8;
}

/* The head of a glyph; answers the bytes of its rows, which follow. */
static size_t read_glyph(struct wire_reader *r, uint8_t depth, struct glyph *glyph)
{
	proto_read_point(r, &glyph->position);
	proto_read_point(r, &glyph->origin);
	glyph->width = wire_read_u16(r);
	glyph->height = wire_read_u16(r);
	return (size_t)glyph_row_bytes(depth, glyph->width) * glyph->height;
}

void proto_read_string(struct wire_reader *r, struct proto_string *v)
{
	size_t back, start;
	struct glyph glyph;
	uint8_t depth;

	if (!follow(r, &back))
		return;
	v->count = wire_read_u16(r);
	v->flags = wire_read_u8(r);
	depth = proto_string_depth(v->flags);
	start = r->pos;
	if (!depth)
		wire_reader_fail(r);
	for (uint32_t i = 0; i < v->count && wire_reader_ok(r); i++)
		wire_skip(r, read_glyph(r, depth, &glyph));
	v->wire = read_since(r, start);
	wire_seek(r, back);
}

static void string_write(struct proto_writer *writer, const void *what)
{
	const struct proto_string *v = what;
	struct wire_writer *w = &writer->wire;
	const struct text_string *string = v->string;

	wire_write_u16(w, string ? string->count : v->count);
	wire_write_u8(w, v->flags);
	if (!string) {
		wire_write_bytes(w, v->wire.data, v->wire.size);
		return;
	}
	for (uint32_t i = 0; i < string->count; i++) {
		const struct glyph *glyph = &string->glyphs[i];

		wire_write_i32(w, glyph->position.x);
		wire_write_i32(w, glyph->position.y);
		wire_write_i32(w, glyph->origin.x);
		wire_write_i32(w, glyph->origin.y);
		wire_write_u16(w, glyph->width);
		wire_write_u16(w, glyph->height);
		wire_write_bytes(w, string->bits + glyph->offset,
			(size_t)glyph_row_bytes(string->depth, glyph->width) * glyph->height);
	}
}

void proto_write_string(struct proto_writer *w, const struct proto_string *v)
{
	proto_write_pointer(w, string_write, v);
}

int proto_string_make(const struct proto_string *string, struct text_string *out)
{
	struct wire_reader r;

	out->depth = proto_string_depth(string->flags);
	out->size = string->wire.size;
	out->bits = malloc(MAX(out->size, (size_t)1));
	out->glyphs = calloc(MAX(string->count, 1u), sizeof(*out->glyphs));
	if (!out->bits || !out->glyphs)
		return -ENOMEM;
	if (out->size)
		memcpy(out->bits, string->wire.data, out->size);
	wire_reader_init(&r, out->bits, out->size);
	while (out->count < string->count) {
		struct glyph *glyph = &out->glyphs[out->count++];
		size_t bytes = read_glyph(&r, out->depth, glyph);

		glyph->offset = (uint32_t)r.pos;
		wire_skip(&r, bytes);
	}
	return 0;
}

/* ---- compositions ---- */

static void read_transform(struct wire_reader *r, int32_t matrix[2][3])
{
	for (uint32_t i = 0; i < 6; i++)
		matrix[i / 3][i % 3] = wire_read_i32(r);
}

static void write_transform(struct wire_writer *w, const int32_t matrix[2][3])
{
	for (uint32_t i = 0; i < 6; i++)
		wire_write_i32(w, matrix[i / 3][i % 3]);
}

void proto_read_composite(struct wire_reader *r, struct proto_composite *v)
{
	v->flags = wire_read_u32(r);
	proto_read_image(r, &v->source);
	if (v->flags & SPICE_COMPOSITE_HAS_MASK)
		proto_read_image(r, &v->mask);
	if (v->flags & SPICE_COMPOSITE_HAS_SRC_TRANSFORM)
		read_transform(r, v->source_transform);
	if (v->flags & SPICE_COMPOSITE_HAS_MASK_TRANSFORM)
		read_transform(r, v->mask_transform);
	proto_read_point16(r, &v->source_origin);
	proto_read_point16(r, &v->mask_origin);
}

void proto_write_composite(struct proto_writer *w, const struct proto_composite *v)
{
	wire_write_u32(&w->wire, v->flags);
	proto_write_image(w, &v->source);
	if (v->flags & SPICE_COMPOSITE_HAS_MASK)
		proto_write_image(w, &v->mask);
	if (v->flags & SPICE_COMPOSITE_HAS_SRC_TRANSFORM)
		write_transform(&w->wire, v->source_transform);
	if (v->flags & SPICE_COMPOSITE_HAS_MASK_TRANSFORM)
		write_transform(&w->wire, v->mask_transform);
	proto_write_point16(w, &v->source_origin);
	proto_write_point16(w, &v->mask_origin);
}

/* SPDX-License-Identifier: MIT */
/* Paths, dashes and strings of glyphs: what in drawings has no fixed size. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <spice/qxl_dev.h>

#include "core/util.h"
#include "qxl/qxl_parse.h"

/* A path's points and segment headers, each 8 bytes. */
#define PATH_BYTES_MAX   (2 * PATH_POINTS_MAX * 8)
#define STRING_BYTES_MAX (2u << 20)
#define REACH_MAX        (1 << 24)

/* The whole payload of a chain, for the caller to free. */
static int read_chain(
	const struct qxl_parser *parser, uint64_t address, uint32_t size, uint8_t **out)
{
	struct qxl_chain chain;
	uint8_t *bytes;
	int err = qxl_chain_begin(&chain, parser->slots, address);

	if (err)
		return err;
	bytes = malloc(MAX(size, 1u));
	if (!bytes)
		return -ENOMEM;
	err = qxl_chain_read(&chain, bytes, size);
	if (err) {
		free(bytes);
		return err;
	}
	*out = bytes;
	return 0;
}

/* ---- paths ---- */

static uint32_t path_flags(uint32_t qxl)
{
	return (qxl & QXL_PATH_BEGIN ? PATH_BEGIN : 0) | (qxl & QXL_PATH_END ? PATH_END : 0) |
		(qxl & QXL_PATH_CLOSE ? PATH_CLOSE : 0) | (qxl & QXL_PATH_BEZIER ? PATH_BEZIER : 0);
}

static int add_segment(struct draw_path *path, const uint8_t *bytes, uint32_t size, uint32_t *at)
{
	QXLPathSeg header;

	if (size - *at < sizeof(header))
		return -EINVAL;
	memcpy(&header, bytes + *at, sizeof(header));
	*at += (uint32_t)sizeof(header);
	if (header.count > (size - *at) / sizeof(QXLPointFix) ||
		header.count > PATH_POINTS_MAX - path->point_count)
		return -EINVAL;
	path->segments[path->segment_count++] =
		(struct path_segment){ path_flags(header.flags), path->point_count, header.count };
	for (uint32_t i = 0; i < header.count; i++) {
		QXLPointFix point;

		memcpy(&point, bytes + *at, sizeof(point));
		*at += (uint32_t)sizeof(point);
		path->points[path->point_count++] = (struct path_point){ point.x, point.y };
	}
	return 0;
}

int qxl_parse_path(const struct qxl_parser *parser, uint64_t address, struct draw_path *out)
{
	uint32_t size, at = 0;
	uint8_t *bytes;
	int err;

	if (qxl_slots_read(parser->slots, address, &size, sizeof(size)))
		return -EFAULT;
	if (size > PATH_BYTES_MAX)
		return -EINVAL;
	err = read_chain(parser, address + offsetof(QXLPath, chunk), size, &bytes);
	if (err)
		return err;
	/* Every segment has a header and every point is as large: both fit. */
	out->segments = calloc(size / 8 + 1, sizeof(*out->segments));
	out->points = calloc(size / 8 + 1, sizeof(*out->points));
	if (!out->segments || !out->points)
		err = -ENOMEM;
	while (!err && at < size)
		err = add_segment(out, bytes, size, &at);
	free(bytes);
	return err;
}

int qxl_parse_dashes(
	const struct qxl_parser *parser, uint64_t address, uint8_t count, int32_t **out)
{
	if (count == 0)
		return 0;
	*out = calloc(count, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	return qxl_slots_read(parser->slots, address, *out, count * sizeof(**out));
}

/* ---- strings ---- */

static int string_depth(uint16_t flags, uint8_t *depth)
{
	*depth = flags & SPICE_STRING_FLAGS_RASTER_A1  ? 1
		: flags & SPICE_STRING_FLAGS_RASTER_A4 ? 4
		: flags & SPICE_STRING_FLAGS_RASTER_A8 ? 8
						       : 0;
	/* Outlines are nobody's. */
	return *depth ? 0 : -ENOTSUP;
}

static bool in_reach(const QXLPoint *p)
{
	return p->x >= -REACH_MAX && p->x <= REACH_MAX && p->y >= -REACH_MAX && p->y <= REACH_MAX;
}

/* The glyph at `at`; its bits stay where they are. */
static int read_glyph(const struct text_string *string, size_t *at, struct glyph *out)
{
	QXLRasterGlyph header;
	size_t bytes;

	if (string->size - *at < sizeof(header))
		return -EINVAL;
	memcpy(&header, string->bits + *at, sizeof(header));
	*at += sizeof(header);
	bytes = (size_t)glyph_row_bytes(string->depth, header.width) * header.height;
	if (bytes > string->size - *at || !in_reach(&header.render_pos) ||
		!in_reach(&header.glyph_origin))
		return -EINVAL;
	*out = (struct glyph){ .position = { header.render_pos.x, header.render_pos.y },
		.origin = { header.glyph_origin.x, header.glyph_origin.y },
		.width = header.width,
		.height = header.height,
		.offset = (uint32_t)*at };
	*at += bytes;
	return 0;
}

int qxl_parse_string(const struct qxl_parser *parser, uint64_t address, struct text_string *out)
{
	QXLString header;
	size_t at = 0;
	int err;

	if (qxl_slots_read(parser->slots, address, &header, offsetof(QXLString, chunk)))
		return -EFAULT;
	err = string_depth(header.flags, &out->depth);
	if (err)
		return err;
	if (header.data_size > STRING_BYTES_MAX || header.length == 0 ||
		(uint64_t)header.length * sizeof(QXLRasterGlyph) > header.data_size)
		return -EINVAL;
	err = read_chain(
		parser, address + offsetof(QXLString, chunk), header.data_size, &out->bits);
	if (err)
		return err;
	out->size = header.data_size;
	out->glyphs = calloc(header.length, sizeof(*out->glyphs));
	if (!out->glyphs)
		return -ENOMEM;
	while (!err && out->count < header.length) {
		err = read_glyph(out, &at, &out->glyphs[out->count]);
		if (!err)
			out->count++;
	}
	return err;
}

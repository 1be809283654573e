/* SPDX-License-Identifier: MIT */
/*
 * The guest's commands become host-owned drawing commands. All functions copy what they use out of
 * the slots once and check the copy; they touch nothing else. What they return:
 *   0          the command is good
 *   -ENOTSUP   legal, and not supported: to be skipped
 *   -ERANGE    legal, but of a surface that is not there or is smaller: to be skipped
 *   -ENOMEM    the host has no memory: to be skipped
 *   others     malformed: the device is to be latched broken
 */
#ifndef QXL_QXL_PARSE_H
#define QXL_QXL_PARSE_H

#include <stdint.h>

#include "core/cursor.h"
#include "core/draw.h"
#include "core/ports.h"
#include "core/surface.h"
#include "qxl/qxl.h"
#include "qxl/qxl_slots.h"

#define QXL_SURFACES_MAX DISPLAY_MAX_SURFACES

struct qxl_parser {
	const struct qxl_slots *slots;
	/* Commands in the layout of the first driver (after QXL_IO_SET_MODE), and its colours of 16
	 * bits. */
	bool compat;
	bool compat_16bpp;
	/* The size of a surface; false when there is none. */
	bool (*surface_size)(void *opaque, uint32_t id, uint32_t *width, uint32_t *height);
	void *opaque;
	qxl_unpack_fn *unpack; /* NULL: packed pictures are not supported */
};

/* A QXLDrawable. With 0, *out is a drawing with one reference, or NULL when it draws nothing. */
int qxl_parse_drawable(const struct qxl_parser *parser, uint64_t address, struct draw **out);

/* A QXLImage for a drawing that uses `area` of it (NULL: all): either *image (one reference) or,
 * with *image NULL, *surface_id. When the picture is not to be cached only `area` is copied, and
 * `area` is moved accordingly; `whole` keeps all of it, since scaling mixes in the neighbours. */
int qxl_parse_image(const struct qxl_parser *parser, uint64_t address, struct rect *area,
	bool whole, struct draw_source *out);
/* A QXLPath, the dashes of a line, a QXLString. What they made before an error stays in *out, for
 * draw_unref() to free. */
int qxl_parse_path(const struct qxl_parser *parser, uint64_t address, struct draw_path *out);
int qxl_parse_dashes(
	const struct qxl_parser *parser, uint64_t address, uint8_t count, int32_t **out);
int qxl_parse_string(const struct qxl_parser *parser, uint64_t address, struct text_string *out);
/* The 1-bit bitmap of a mask. */
int qxl_parse_mask_image(const struct qxl_parser *parser, uint64_t address, struct image **out);

struct qxl_surface_cmd {
	uint32_t id;
	bool create; /* else destroy */
	bool keep_data;
	enum surface_format format;
	uint32_t width;
	uint32_t height;
	int32_t stride;
	uint8_t *top; /* device memory: the top row's first byte */
	uint8_t *block; /* the lowest byte, of height * |stride| */
};

int qxl_parse_surface_cmd(
	const struct qxl_parser *parser, uint64_t address, struct qxl_surface_cmd *out);
/* Fills `out`'s format, memory and stride after checking that they fit together. */
int qxl_parse_surface_memory(const struct qxl_slots *slots, uint32_t spice_format, uint64_t address,
	struct qxl_surface_cmd *out);

enum qxl_cursor_op {
	QXL_CURSOR_OP_NONE,
	QXL_CURSOR_OP_SET,
	QXL_CURSOR_OP_MOVE,
	QXL_CURSOR_OP_HIDE
};

struct qxl_cursor_cmd {
	enum qxl_cursor_op op;
	struct point position;
	bool visible;
	struct cursor_shape *shape; /* QXL_CURSOR_OP_SET: one reference, or NULL */
};

int qxl_parse_cursor_cmd(
	const struct qxl_parser *parser, uint64_t address, struct qxl_cursor_cmd *out);

#endif

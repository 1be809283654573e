/* SPDX-License-Identifier: MIT */
/* The guest's cursor commands. */
#include <errno.h>
#include <stddef.h>

#include <spice/qxl_dev.h>

#include "core/util.h"
#include "qxl/qxl_parse.h"

/* QXLCursorHeader.type counts as core's enum does. */
_Static_assert((int)SPICE_CURSOR_TYPE_ALPHA == CURSOR_ALPHA &&
		(int)SPICE_CURSOR_TYPE_MONO == CURSOR_MONO &&
		(int)SPICE_CURSOR_TYPE_COLOR4 == CURSOR_COLOR4 &&
		(int)SPICE_CURSOR_TYPE_COLOR8 == CURSOR_COLOR8 &&
		(int)SPICE_CURSOR_TYPE_COLOR16 == CURSOR_COLOR16 &&
		(int)SPICE_CURSOR_TYPE_COLOR24 == CURSOR_COLOR24 &&
		(int)SPICE_CURSOR_TYPE_COLOR32 == CURSOR_COLOR32,
	"cursor types");

static int parse_shape(const struct qxl_parser *parser, uint64_t address, struct cursor_shape **out)
{
	const size_t chunk_at = offsetof(QXLCursor, chunk);
	struct cursor_shape *shape;
	struct qxl_chain chain;
	QXLCursor cursor;
	uint32_t needed;
	int err;

	if (qxl_slots_read(parser->slots, address, &cursor, chunk_at))
		return -EFAULT;
	if (cursor.header.type > SPICE_CURSOR_TYPE_COLOR32)
		return -EINVAL;
	needed = cursor_shape_bytes(
		(enum cursor_type)cursor.header.type, cursor.header.width, cursor.header.height);
	if (needed == 0)
		return -ERANGE;
	if (cursor.data_size < needed)
		return -EINVAL;
	err = qxl_chain_begin(&chain, parser->slots, address + chunk_at);
	if (!err)
		err = cursor_shape_create(&shape, (enum cursor_type)cursor.header.type,
			cursor.header.width, cursor.header.height, cursor.header.hot_spot_x,
			cursor.header.hot_spot_y);
	if (err)
		return err;
	err = qxl_chain_read(&chain, shape->data, needed);
	if (err) {
		cursor_shape_unref(shape);
		return err;
	}
	shape->unique = cursor.header.unique;
	*out = shape;
	return 0;
}

int qxl_parse_cursor_cmd(
	const struct qxl_parser *parser, uint64_t address, struct qxl_cursor_cmd *out)
{
	QXLCursorCmd cmd;

	*out = (struct qxl_cursor_cmd){ 0 };
	if (qxl_slots_read(parser->slots, address, &cmd, offsetof(QXLCursorCmd, device_data)))
		return -EFAULT;
	switch (cmd.type) {
	case QXL_CURSOR_SET:
		out->op = QXL_CURSOR_OP_SET;
		out->position = (struct point){ cmd.u.set.position.x, cmd.u.set.position.y };
		out->visible = cmd.u.set.visible;
		return cmd.u.set.shape ? parse_shape(parser, cmd.u.set.shape, &out->shape) : 0;
	case QXL_CURSOR_MOVE:
		out->op = QXL_CURSOR_OP_MOVE;
		out->position = (struct point){ cmd.u.position.x, cmd.u.position.y };
		out->visible = true;
		return 0;
	case QXL_CURSOR_HIDE: out->op = QXL_CURSOR_OP_HIDE; return 0;
	case QXL_CURSOR_TRAIL: return 0; /* viewers draw none */
	default: return -EINVAL;
	}
}

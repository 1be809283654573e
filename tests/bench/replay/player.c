/* SPDX-License-Identifier: MIT */
/* Plays a trace into a display sink. */
#include "tests/bench/replay/player.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <spice/qxl_dev.h>

#include "core/log.h"
#include "core/util.h"
#include "qxl/qxl_parse.h"

#define REPLAY_LOG "replay"

static bool surface_size(void *opaque, uint32_t id, uint32_t *width, uint32_t *height)
{
	const struct player *player = opaque;
	const struct surface *surface = id < DISPLAY_MAX_SURFACES ? player->surfaces[id] : NULL;

	if (!surface)
		return false;
	*width = surface->width;
	*height = surface->height;
	return true;
}

static void drop_surface(struct player *player, uint32_t id)
{
	struct surface *surface = player->surfaces[id];

	if (!surface)
		return;
	player->surfaces[id] = NULL;
	player->sink->ops->surface_destroy(player->sink, id);
	surface_unref(surface);
}

/* A surface of ours, with the contents of the guest's where they count. */
static int make_surface(struct player *player, const struct qxl_surface_cmd *cmd)
{
	struct surface *surface;
	int err = surface_create(&surface, cmd->format, cmd->width, cmd->height);

	if (err)
		return err;
	for (uint32_t y = 0; cmd->keep_data && y < cmd->height; y++)
		memcpy(surface_row(surface, y), cmd->top + (ptrdiff_t)cmd->stride * (ptrdiff_t)y,
			MIN((size_t)abs(cmd->stride), (size_t)abs(surface->stride)));
	surface_unref(player->surfaces[cmd->id]);
	player->surfaces[cmd->id] = surface;
	player->sink->ops->surface_create(player->sink, cmd->id, surface);
	return 0;
}

static int make_primary(struct player *player, const struct trace_record *record)
{
	struct qxl_surface_cmd cmd = {
		.create = true,
		.keep_data = record->primary.flags & QXL_SURF_FLAG_KEEP_DATA,
		.width = record->primary.width,
		.height = record->primary.height,
		.stride = record->primary.stride,
	};
	int err = qxl_parse_surface_memory(
		trace_slots(player->trace), record->primary.format, record->primary.memory, &cmd);

	return err ? err : make_surface(player, &cmd);
}

static int play_draw(struct player *player, const struct qxl_parser *parser, uint64_t address)
{
	struct draw *draw;
	int err = qxl_parse_drawable(parser, address, &draw);

	if (err || !draw)
		return err;
	draw->mm_time_ms = 0; /* of another machine's clock */
	player->draws++;
	player->sink->ops->draw(player->sink, draw);
	draw_unref(draw);
	return 0;
}

static int play_surface(struct player *player, const struct qxl_parser *parser, uint64_t address)
{
	struct qxl_surface_cmd cmd;
	int err = qxl_parse_surface_cmd(parser, address, &cmd);

	if (err || cmd.create)
		return err ? err : make_surface(player, &cmd);
	drop_surface(player, cmd.id);
	return 0;
}

static int play_cursor(struct player *player, const struct qxl_parser *parser, uint64_t address)
{
	struct cursor_state *cursor = &player->cursor;
	struct qxl_cursor_cmd cmd;
	int err = qxl_parse_cursor_cmd(parser, address, &cmd);

	if (err || cmd.op == QXL_CURSOR_OP_NONE)
		return err;
	if (cmd.op == QXL_CURSOR_OP_SET) {
		cursor_shape_unref(cursor->shape);
		cursor->shape = cmd.shape;
	}
	if (cmd.op != QXL_CURSOR_OP_HIDE)
		cursor->position = cmd.position;
	cursor->visible = cmd.op != QXL_CURSOR_OP_HIDE && cmd.visible;
	player->sink->ops->cursor(player->sink, cursor);
	return 0;
}

static int play_update(struct player *player, uint64_t address)
{
	QXLUpdateCmd cmd;
	struct rect area, bounds;

	if (qxl_slots_read(trace_slots(player->trace), address, &cmd, sizeof(cmd)))
		return -EFAULT;
	if (cmd.surface_id >= DISPLAY_MAX_SURFACES || !player->surfaces[cmd.surface_id])
		return -ERANGE;
	bounds = surface_bounds(player->surfaces[cmd.surface_id]);
	area = (struct rect){ cmd.area.left, cmd.area.top, cmd.area.right, cmd.area.bottom };
	area = rect_intersect(&area, &bounds);
	if (!rect_empty(&area) && player->sink->ops->update_area)
		player->sink->ops->update_area(player->sink, cmd.surface_id, &area);
	return 0;
}

static int play_command(struct player *player, const struct trace_record *record)
{
	const struct qxl_parser parser = { .slots = trace_slots(player->trace),
		.compat = record->compat,
		.surface_size = surface_size,
		.opaque = player };

	player->commands++;
	switch (record->type) {
	case QXL_CMD_DRAW: return play_draw(player, &parser, record->address);
	case QXL_CMD_UPDATE: return play_update(player, record->address);
	case QXL_CMD_SURFACE: return play_surface(player, &parser, record->address);
	case QXL_CMD_CURSOR: return play_cursor(player, &parser, record->address);
	default: return 0;
	}
}

static void reset_cursor(struct player *player)
{
	struct cursor_shape *shape = player->cursor.shape;

	player->cursor = (struct cursor_state){ 0 };
	player->sink->ops->cursor(player->sink, &player->cursor);
	cursor_shape_unref(shape);
}

void player_step(struct player *player)
{
	const struct trace_record *record = &player->record;
	int err = 0;

	player->ready = false;
	switch (record->kind) {
	case TRACE_COMMAND: err = play_command(player, record); break;
	case TRACE_CREATE_PRIMARY: err = make_primary(player, record); break;
	case TRACE_DESTROY_PRIMARY: drop_surface(player, DISPLAY_PRIMARY); break;
	case TRACE_DESTROY_SURFACES:
		for (uint32_t id = 0; id < DISPLAY_MAX_SURFACES; id++)
			drop_surface(player, id);
		break;
	case TRACE_RESET_CURSOR: reset_cursor(player); break;
	case TRACE_OTHER: break;
	}
	if (!err)
		return;
	player->left_out++;
	if (!player->warned)
		log_warn(REPLAY_LOG, "a command of type %u is left out: %s", record->type,
			strerror(-err));
	player->warned = true;
}

int player_peek(struct player *player)
{
	uint64_t start;
	int ret;

	if (player->ready)
		return 1;
	start = clock_monotonic_ns();
	ret = trace_next(player->trace, &player->record);
	player->read_ns += clock_monotonic_ns() - start;
	player->ready = ret == 1;
	return ret;
}

int player_init(struct player *player, const char *path, struct display_sink *sink)
{
	*player = (struct player){ .sink = sink };
	return trace_open(&player->trace, path);
}

void player_finish(struct player *player)
{
	for (uint32_t id = 0; id < DISPLAY_MAX_SURFACES; id++)
		surface_unref(player->surfaces[id]);
	cursor_shape_unref(player->cursor.shape);
	trace_close(player->trace);
	*player = (struct player){ 0 };
}

/* SPDX-License-Identifier: MIT */
/* The cursor channel: the pointer's shape, place and visibility, each viewer with a cache of
 * shapes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "channels/server/server_internal.h"

/* Shapes that a viewer keeps for us. It never drops one by itself: we say which. */
enum { CACHE_SIZE = 64 };

struct cursor_channel {
	struct channel base;
	struct loop_idle *idle; /* several changes in one turn are one message */
	uint64_t cache[CACHE_SIZE]; /* `unique` numbers, most recently used first */
	uint32_t cached;
	/* What the viewer was told. */
	struct cursor_shape *shape; /* a reference */
	struct point position;
	bool visible;
};

static struct cursor_channel *of_channel(struct channel *channel)
{
	return container_of(channel, struct cursor_channel, base);
}

/* Moves the shape to the front of the cache; answers whether it was in it. */
static bool cache_touch(struct cursor_channel *cursor, uint64_t unique)
{
	uint32_t at = 0;
	bool found;

	while (at < cursor->cached && cursor->cache[at] != unique)
		at++;
	found = at < cursor->cached;
	if (!found && cursor->cached == CACHE_SIZE) {
		struct msg_inval_one inval = { .id = cursor->cache[--at] };

		link_send_inval_one(cursor->base.link, SPICE_MSG_CURSOR_INVAL_ONE, &inval);
	} else if (!found) {
		cursor->cached++;
	}
	memmove(cursor->cache + 1, cursor->cache, at * sizeof(cursor->cache[0]));
	cursor->cache[0] = unique;
	return found;
}

static struct proto_cursor shape_message(struct cursor_channel *cursor, struct cursor_shape *shape)
{
	struct proto_cursor msg = { .flags = SPICE_CURSOR_FLAGS_NONE };

	if (!shape)
		return msg;
	msg = (struct proto_cursor){
		.unique = shape->unique,
		.type = (uint8_t)shape->type, /* enum cursor_type has SPICE's numbers */
		.width = shape->width,
		.height = shape->height,
		.hot_x = shape->hot_x,
		.hot_y = shape->hot_y,
		.data = { shape->data, shape->size_bytes },
	};
	if (!shape->unique)
		return msg;
	if (cache_touch(cursor, shape->unique)) {
		msg.flags = SPICE_CURSOR_FLAGS_FROM_CACHE;
		msg.data.size = 0;
	} else {
		msg.flags = SPICE_CURSOR_FLAGS_CACHE_ME;
	}
	return msg;
}

static void remember(struct cursor_channel *cursor, const struct cursor_state *state)
{
	struct cursor_shape *old = cursor->shape;

	cursor->shape = state->shape ? cursor_shape_ref(state->shape) : NULL;
	cursor_shape_unref(old);
	cursor->position = state->position;
	cursor->visible = state->visible;
}

static void send_init(struct cursor_channel *cursor)
{
	const struct cursor_state *state = &cursor->base.session->server->cursor;
	struct msg_cursor_init init = { .position = state->position, .visible = state->visible };

	init.cursor = shape_message(cursor, state->shape);
	link_send_cursor_init(cursor->base.link, SPICE_MSG_CURSOR_INIT, &init);
	remember(cursor, state);
}

/* Says how the pointer differs from what the viewer knows. */
static void send_changes(struct cursor_channel *cursor)
{
	const struct cursor_state *state = &cursor->base.session->server->cursor;
	struct link *link = cursor->base.link;
	bool moved = state->position.x != cursor->position.x ||
		state->position.y != cursor->position.y;
	struct msg_cursor_set set = { .position = state->position, .visible = 1 };
	struct msg_cursor_move move = { .position = state->position };

	if (!state->visible || !state->shape) {
		if (cursor->visible)
			link_send(link, SPICE_MSG_CURSOR_HIDE, NULL);
	} else if (state->shape != cursor->shape || !cursor->visible) {
		set.cursor = shape_message(cursor, state->shape);
		link_send_cursor_set(link, SPICE_MSG_CURSOR_SET, &set);
	} else if (moved && cursor->base.session->mouse_mode == SPICE_MOUSE_MODE_SERVER) {
		/* A viewer in client mode knows better where its pointer is. */
		link_send_cursor_move(link, SPICE_MSG_CURSOR_MOVE, &move);
	}
	remember(cursor, state);
	/* HIDE was said, or nothing was shown before either. */
	cursor->visible = state->visible && state->shape;
}

static void on_idle(void *opaque)
{
	struct cursor_channel *cursor = opaque;

	/* The state at the time it drains is what counts then. */
	if (!link_is_up(cursor->base.link) || link_congested(cursor->base.link))
		return;
	send_changes(cursor);
	link_flush(cursor->base.link);
}

void cursor_channel_update(struct channel *channel)
{
	loop_idle_schedule(of_channel(channel)->idle);
}

static void cursor_start(struct channel *channel)
{
	send_init(of_channel(channel));
	link_start_acks(channel->link);
}

static int cursor_message(struct channel *channel, uint16_t type, const uint8_t *body, size_t size)
{
	return 0; /* there is none but the common ones */
}

static void cursor_destroy(struct channel *channel)
{
	struct cursor_channel *cursor = of_channel(channel);

	loop_idle_remove(cursor->idle);
	cursor_shape_unref(cursor->shape);
	free(cursor);
}

static const struct channel_ops cursor_ops = {
	.start = cursor_start,
	.message = cursor_message,
	.drained = cursor_channel_update,
	.destroy = cursor_destroy,
};

int cursor_channel_create(struct channel **out, struct session *session)
{
	struct cursor_channel *cursor = calloc(1, sizeof(*cursor));

	if (!cursor)
		return -ENOMEM;
	cursor->idle = loop_idle_add(session->server->config.loop, on_idle, cursor);
	if (!cursor->idle) {
		free(cursor);
		return -ENOMEM;
	}
	channel_init(&cursor->base, &cursor_ops, session, SPICE_CHANNEL_CURSOR);
	*out = &cursor->base;
	return 0;
}

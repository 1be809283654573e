/* SPDX-License-Identifier: MIT */
/* The cursor channel: the pointer's shape, place and visibility, and the shapes' cache. */
#include <errno.h>
#include <string.h>

#include "channels/client/client_internal.h"
#include "core/util.h"

static struct client_cursor *of_channel(struct client_channel *channel)
{
	return container_of(channel, struct client_cursor, base);
}

static void publish(struct client_cursor *cursor)
{
	struct display_sink *out = cursor->base.client->out;

	out->ops->cursor(out, &cursor->state);
}

/* ---- the cache ---- */

static struct cursor_shape *cache_get(const struct client_cursor *cursor, uint64_t unique)
{
	for (uint32_t i = 0; i < CURSOR_CACHE_MAX; i++)
		if (cursor->cache[i] && cursor->cache[i]->unique == unique)
			return cursor->cache[i];
	return NULL;
}

static void cache_drop(struct client_cursor *cursor, uint32_t i)
{
	cursor_shape_unref(cursor->cache[i]);
	cursor->cache[i] = NULL;
}

static void cache_remove(struct client_cursor *cursor, uint64_t unique)
{
	for (uint32_t i = 0; i < CURSOR_CACHE_MAX; i++)
		if (cursor->cache[i] && cursor->cache[i]->unique == unique)
			cache_drop(cursor, i);
}

static void cache_clear(struct client_cursor *cursor)
{
	for (uint32_t i = 0; i < CURSOR_CACHE_MAX; i++)
		cache_drop(cursor, i);
}

static void cache_put(struct client_cursor *cursor, struct cursor_shape *shape)
{
	cache_remove(cursor, shape->unique);
	cache_drop(cursor, cursor->cache_next);
	cursor->cache[cursor->cache_next] = cursor_shape_ref(shape);
	cursor->cache_next = (cursor->cache_next + 1) % CURSOR_CACHE_MAX;
}

/* ---- shapes ---- */

static const enum cursor_type types[] = {
	[SPICE_CURSOR_TYPE_ALPHA] = CURSOR_ALPHA,
	[SPICE_CURSOR_TYPE_MONO] = CURSOR_MONO,
	[SPICE_CURSOR_TYPE_COLOR4] = CURSOR_COLOR4,
	[SPICE_CURSOR_TYPE_COLOR8] = CURSOR_COLOR8,
	[SPICE_CURSOR_TYPE_COLOR16] = CURSOR_COLOR16,
	[SPICE_CURSOR_TYPE_COLOR24] = CURSOR_COLOR24,
	[SPICE_CURSOR_TYPE_COLOR32] = CURSOR_COLOR32,
};

/* The shape of the message, a reference of the caller's; NULL for none. */
static int read_shape(
	struct client_cursor *cursor, const struct proto_cursor *wire, struct cursor_shape **out)
{
	struct cursor_shape *shape;
	uint32_t bytes;
	int err;

	*out = NULL;
	if (wire->flags & SPICE_CURSOR_FLAGS_NONE)
		return 0;
	if (wire->flags & SPICE_CURSOR_FLAGS_FROM_CACHE) {
		shape = cache_get(cursor, wire->unique);
		if (shape)
			*out = cursor_shape_ref(shape);
		else
			log_warn_limited(&cursor->log_limit, "spice",
				"cursor: the server refers to a shape that is not cached");
		return 0;
	}
	if (wire->type >= ARRAY_SIZE(types))
		return -EPROTO;
	bytes = cursor_shape_bytes(types[wire->type], wire->width, wire->height);
	if (!bytes) { /* a guest's oddity, passed on: not worth the session */
		log_warn_limited(&cursor->log_limit, "spice", "cursor: a shape of %u x %u pixels",
			wire->width, wire->height);
		return 0;
	}
	if (wire->data.size < bytes)
		return -EPROTO;
	err = cursor_shape_create(
		&shape, types[wire->type], wire->width, wire->height, wire->hot_x, wire->hot_y);
	if (err < 0)
		return err == -EINVAL ? -EPROTO : err;
	memcpy(shape->data, wire->data.data, bytes);
	shape->unique = wire->unique;
	if (wire->flags & SPICE_CURSOR_FLAGS_CACHE_ME)
		cache_put(cursor, shape);
	*out = shape;
	return 0;
}

static int set_shape(struct client_cursor *cursor, const struct proto_cursor *wire,
	const struct point *position, bool visible)
{
	struct cursor_shape *shape, *old = cursor->state.shape;
	int err = read_shape(cursor, wire, &shape);

	if (err < 0)
		return err;
	cursor->state = (struct cursor_state){ shape, *position, visible };
	publish(cursor);
	cursor_shape_unref(old);
	return 0;
}

/* ---- messages ---- */

static int on_init(struct client_cursor *cursor, const uint8_t *body, size_t size)
{
	struct msg_cursor_init msg;

	if (!msg_cursor_init_parse(&msg, body, size))
		return -EPROTO;
	cache_clear(cursor);
	return set_shape(cursor, &msg.cursor, &msg.position, msg.visible);
}

static int on_set(struct client_cursor *cursor, const uint8_t *body, size_t size)
{
	struct msg_cursor_set msg;

	if (!msg_cursor_set_parse(&msg, body, size))
		return -EPROTO;
	return set_shape(cursor, &msg.cursor, &msg.position, msg.visible);
}

static int on_move(struct client_cursor *cursor, const uint8_t *body, size_t size)
{
	struct msg_cursor_move msg;

	if (!msg_cursor_move_parse(&msg, body, size))
		return -EPROTO;
	cursor->state.position = msg.position;
	cursor->state.visible = true;
	publish(cursor);
	return 0;
}

static int on_inval_one(struct client_cursor *cursor, const uint8_t *body, size_t size)
{
	struct msg_inval_one msg;

	if (!msg_inval_one_parse(&msg, body, size))
		return -EPROTO;
	cache_remove(cursor, msg.id);
	return 0;
}

static int cursor_message(
	struct client_channel *channel, uint16_t type, const uint8_t *body, size_t size)
{
	struct client_cursor *cursor = of_channel(channel);
	struct proto_cursor none = { .flags = SPICE_CURSOR_FLAGS_NONE };

	switch (type) {
	case SPICE_MSG_CURSOR_INIT: return on_init(cursor, body, size);
	case SPICE_MSG_CURSOR_RESET:
		cache_clear(cursor);
		return set_shape(cursor, &none, &(struct point){ 0, 0 }, false);
	case SPICE_MSG_CURSOR_SET: return on_set(cursor, body, size);
	case SPICE_MSG_CURSOR_MOVE: return on_move(cursor, body, size);
	case SPICE_MSG_CURSOR_HIDE:
		cursor->state.visible = false;
		publish(cursor);
		return 0;
	case SPICE_MSG_CURSOR_INVAL_ONE: return on_inval_one(cursor, body, size);
	case SPICE_MSG_CURSOR_INVAL_ALL: cache_clear(cursor); return 0;
	default: return 0; /* trails */
	}
}

static const struct client_channel_ops cursor_ops = {
	.type = SPICE_CHANNEL_CURSOR,
	.name = "cursor",
	.message = cursor_message,
};

void client_cursor_init(struct spice_client *client)
{
	client_channel_init(&client->cursor.base, client, &cursor_ops);
}

void client_cursor_finish(struct spice_client *client)
{
	cache_clear(&client->cursor);
	cursor_shape_unref(client->cursor.state.shape);
}

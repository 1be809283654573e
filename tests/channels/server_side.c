/* SPDX-License-Identifier: MIT */
#include "tests/channels/server_side.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "core/util.h"

static void on_up(struct link_handler *handler)
{
	container_of(handler, struct side, base)->up = true;
}

static int on_message(struct link_handler *handler, uint16_t type, const uint8_t *body, size_t size)
{
	struct side *side = container_of(handler, struct side, base);

	if (side->message) {
		side->message(side, type, body, size);
		return 0;
	}
	assert_true(side->count < SIDE_MESSAGES);
	side->types[side->count] = type;
	assert_int_equal(buf_append(&side->bodies[side->count++], body, size), 0);
	return 0;
}

static void on_closed(struct link_handler *handler, int error, uint32_t spice_error)
{
	struct side *side = container_of(handler, struct side, base);

	side->closed = true;
	side->spice_error = spice_error;
	link_destroy(side->link);
	side->link = NULL;
}

void side_connect(struct side *side, struct loop *loop, struct spice_server *server, uint8_t type,
	uint32_t session, uint32_t caps)
{
	static const struct link_handler_ops ops = {
		.up = on_up,
		.message = on_message,
		.closed = on_closed,
	};
	struct link_connect_config config = {
		.loop = loop,
		.request = { .connection_id = session, .channel_type = type, .channel_caps = caps },
	};
	int fds[2];

	side->base.ops = &ops;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(spice_server_add_client_fd(server, fds[0]), 0);
	assert_int_equal(link_connect(&side->link, &config, fds[1], &side->base), 0);
	for (int i = 0; i < 1000 && !side->up && !side->closed; i++)
		loop_run_once(loop, 10);
	assert_true(side->up || side->closed);
}

void side_finish(struct side *side)
{
	link_destroy(side->link);
	for (uint32_t i = 0; i < side->count; i++)
		buf_finish(&side->bodies[i]);
	memset(side, 0, sizeof(*side));
}

int32_t side_seek(const struct side *side, uint16_t type, uint32_t n)
{
	for (uint32_t i = 0; i < side->count; i++)
		if (side->types[i] == type && n-- == 0)
			return (int32_t)i;
	return -1;
}

/* SPDX-License-Identifier: MIT */
/* Whatever a server sends to our viewer, once a link is up. Input: messages, each a byte that chooses
 * the channel, a 16-bit type, a 16-bit size and the body. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channels/client/client_internal.h"
#include "core/util.h"

static void on_event(void *opaque, enum spice_client_event event, const char *reason)
{
}

/* A link that never comes up: what the client would send is dropped. */
static void give_link(struct client_channel *channel, struct loop *loop, int *peer)
{
	struct link_connect_config config = { .loop = loop };
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		abort();
	*peer = fds[1];
	if (link_connect(&channel->link, &config, fds[0], &channel->handler) < 0)
		abort();
	channel->up = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct spice_client_config config = { .unix_path = "/nonexistent", .on_event = on_event };
	struct client_channel *channels[4];
	struct wire_reader r;
	int peers[4];

	log_set_level(LOG_ERROR);
	struct spice_client *client;
	if (loop_create(&config.loop) < 0 || display_create(&config.display) < 0 ||
		spice_client_create(&client, &config) < 0)
		abort();
	channels[0] = &client->main.base;
	channels[1] = &client->display.base;
	channels[2] = &client->inputs.base;
	channels[3] = &client->cursor.base;
	for (int i = 0; i < 4; i++)
		give_link(channels[i], config.loop, &peers[i]);
	wire_reader_init(&r, data, size);
	while (wire_reader_left(&r)) {
		struct client_channel *channel = channels[wire_read_u8(&r) % 4];
		uint16_t type = wire_read_u16(&r);
		size_t length = wire_read_u16(&r);
		/* Memory of exactly the message's size shows a byte read too far. */
		uint8_t *body;

		length = MIN(length, wire_reader_left(&r));
		body = malloc(length + !length);
		wire_read_copy(&r, body, length);
		if (wire_reader_ok(&r))
			channel->handler.ops->message(&channel->handler, type, body, length);
		free(body);
	}
	display_lock(config.display);
	display_sync(config.display, DISPLAY_PRIMARY, NULL);
	display_unlock(config.display);
	spice_client_destroy(client);
	for (int i = 0; i < 4; i++)
		close(peers[i]);
	display_destroy(config.display);
	loop_destroy(config.loop);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* The main channel: the session's number, its channels, the mouse mode and the VM's name. */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "channels/client/client_internal.h"
#include "core/util.h"

enum { NAME_MAX_BYTES = 128 };

static struct spice_client *client_of(struct client_channel *channel)
{
	return channel->client;
}

/* Absolute positions need no grab: they are asked for wherever the server can take them. */
static void take_mouse_mode(struct client_channel *channel, uint32_t supported, uint32_t current)
{
	struct msg_mouse_mode_request request = { .mode = SPICE_MOUSE_MODE_CLIENT };

	client_inputs_set_mouse_mode(client_of(channel), current);
	if (supported & SPICE_MOUSE_MODE_CLIENT && current != SPICE_MOUSE_MODE_CLIENT)
		link_send_mouse_mode_request(
			channel->link, SPICE_MSGC_MAIN_MOUSE_MODE_REQUEST, &request);
}

static int on_init(struct client_channel *channel, const uint8_t *body, size_t size)
{
	struct spice_client *client = client_of(channel);
	struct msg_main_init init;

	if (client->main.initialised || !msg_main_init_parse(&init, body, size))
		return -EPROTO;
	client->main.initialised = true;
	client->session_id = init.session_id;
	client_streams_set_time(client->display.streams, init.multi_media_time);
	/* The display is there in every server: it is not waited for the list with it. */
	client_channel_open(&client->display.base);
	link_send(channel->link, SPICE_MSGC_MAIN_ATTACH_CHANNELS, NULL);
	take_mouse_mode(channel, init.supported_mouse_modes, init.current_mouse_mode);
	client_tell(client, SPICE_CLIENT_CONNECTED, NULL);
	return 0;
}

/* libspice-server makes an RSA key for each link, one after the other: the display's goes first, the
 * others wait until it is up. */
void client_main_open_rest(struct spice_client *client)
{
	if (!client->display.base.up)
		return;
	if (client->main.has_cursor)
		client_channel_open(&client->cursor.base);
	if (client->main.has_inputs)
		client_channel_open(&client->inputs.base);
}

static int on_list(struct client_channel *channel, const uint8_t *body, size_t size)
{
	struct spice_client *client = client_of(channel);
	struct msg_channels_list list;
	bool display = false;

	if (!client->main.initialised || !msg_channels_list_parse(&list, body, size))
		return -EPROTO;
	for (uint32_t i = 0; i < list.list.count; i++) {
		if (list.list.items[i].id != 0)
			continue;
		switch (list.list.items[i].type) {
		case SPICE_CHANNEL_DISPLAY: display = true; break;
		case SPICE_CHANNEL_INPUTS: client->main.has_inputs = true; break;
		case SPICE_CHANNEL_CURSOR: client->main.has_cursor = true; break;
		default: break;
		}
	}
	client_main_open_rest(client);
	if (!display)
		client_end(client, SPICE_CLIENT_DISCONNECTED,
			"%s serves no display: has its VM a SPICE graphics device?", client->where);
	return 0;
}

static int on_mouse_mode(struct client_channel *channel, const uint8_t *body, size_t size)
{
	struct msg_mouse_mode mode;

	if (!msg_mouse_mode_parse(&mode, body, size))
		return -EPROTO;
	take_mouse_mode(channel, mode.supported_modes, mode.current_mode);
	return 0;
}

static int on_time(struct client_channel *channel, const uint8_t *body, size_t size)
{
	struct msg_multi_media_time msg;

	if (!msg_multi_media_time_parse(&msg, body, size))
		return -EPROTO;
	client_streams_set_time(client_of(channel)->display.streams, msg.time);
	return 0;
}

/* The name goes into a title: what is not text in it is left out. */
static int on_name(struct client_channel *channel, const uint8_t *body, size_t size)
{
	struct msg_name msg;
	char name[NAME_MAX_BYTES + 1];
	size_t n = 0;

	if (!msg_name_parse(&msg, body, size))
		return -EPROTO;
	for (size_t i = 0; i < msg.name.size && n < NAME_MAX_BYTES && msg.name.data[i]; i++)
		if (msg.name.data[i] >= ' ' && msg.name.data[i] != 0x7f)
			name[n++] = (char)msg.name.data[i];
	name[n] = '\0';
	if (n)
		client_tell(client_of(channel), SPICE_CLIENT_NAME, name);
	return 0;
}

static int main_message(
	struct client_channel *channel, uint16_t type, const uint8_t *body, size_t size)
{
	struct spice_client *client = client_of(channel);

	switch (type) {
	case SPICE_MSG_MAIN_INIT: return on_init(channel, body, size);
	case SPICE_MSG_MAIN_CHANNELS_LIST: return on_list(channel, body, size);
	case SPICE_MSG_MAIN_MOUSE_MODE: return on_mouse_mode(channel, body, size);
	case SPICE_MSG_MAIN_MULTI_MEDIA_TIME: return on_time(channel, body, size);
	case SPICE_MSG_MAIN_NAME: return on_name(channel, body, size);
	case SPICE_MSG_MAIN_MIGRATE_BEGIN:
	case SPICE_MSG_MAIN_MIGRATE_BEGIN_SEAMLESS:
		if (!client->main.migration_logged)
			log_warn("spice", "the VM moves to another host: connect there anew");
		client->main.migration_logged = true;
		link_send(channel->link, SPICE_MSGC_MAIN_MIGRATE_CONNECT_ERROR, NULL);
		return 0;
	default: return 0; /* agent and what newer servers say */
	}
}

static const struct client_channel_ops main_ops = {
	.type = SPICE_CHANNEL_MAIN,
	.name = "main",
	.caps = 1u << SPICE_MAIN_CAP_NAME_AND_UUID | 1u << SPICE_MAIN_CAP_AGENT_CONNECTED_TOKENS,
	.message = main_message,
};

void client_main_init(struct spice_client *client)
{
	client_channel_init(&client->main.base, client, &main_ops);
}

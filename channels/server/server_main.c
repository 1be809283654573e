/* SPDX-License-Identifier: MIT */
/* The main channel: who the server is, which channels there are, whose the pointer is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "channels/server/server_internal.h"

enum {
	LAG_FIRST_MS = 100, /* before anything is known of the link */
	LAG_MAX_MS = 2000,
};

struct main_channel {
	struct channel base;
	uint32_t lag_ms; /* the viewer's multimedia clock is behind ours */
};

static struct main_channel *of_channel(struct channel *channel)
{
	return container_of(channel, struct main_channel, base);
}

uint32_t main_channel_caps(void)
{
	return 1u << SPICE_MAIN_CAP_NAME_AND_UUID | 1u << SPICE_MAIN_CAP_AGENT_CONNECTED_TOKENS;
}

static uint16_t supported_modes(const struct channel *channel)
{
	const struct input_sink *input = channel->session->server->config.input;

	return input && input->absolute ? SPICE_MOUSE_MODE_SERVER | SPICE_MOUSE_MODE_CLIENT
					: SPICE_MOUSE_MODE_SERVER;
}

static void send_mouse_mode(struct channel *channel)
{
	struct msg_mouse_mode msg = {
		.supported_modes = supported_modes(channel),
		.current_mode = (uint16_t)channel->session->mouse_mode,
	};

	link_send_mouse_mode(channel->link, SPICE_MSG_MAIN_MOUSE_MODE, &msg);
}

static void set_mouse_mode(struct channel *channel, uint32_t mode)
{
	struct channel *inputs = session_channel(channel->session, SPICE_CHANNEL_INPUTS);

	channel->session->mouse_mode = mode;
	send_mouse_mode(channel);
	if (inputs)
		inputs_channel_mouse_mode(inputs);
}

void main_channel_absolute(struct channel *channel, bool available)
{
	if (!link_is_up(channel->link))
		return;
	/* The viewer asks for its own mode, once it knows that it may. */
	if (available)
		send_mouse_mode(channel);
	else
		set_mouse_mode(channel, SPICE_MOUSE_MODE_SERVER);
}

static void send_name(struct channel *channel)
{
	struct spice_server *server = channel->session->server;
	struct msg_name name = { 0 };
	struct msg_uuid uuid;

	if (!link_peer_has_cap(channel->link, SPICE_MAIN_CAP_NAME_AND_UUID))
		return;
	if (server->name) {
		name.name.data = (const uint8_t *)server->name;
		name.name.size = strlen(server->name) + 1;
		link_send_name(channel->link, SPICE_MSG_MAIN_NAME, &name);
	}
	if (server->has_uuid) {
		memcpy(uuid.uuid.bytes, server->uuid, sizeof(uuid.uuid.bytes));
		link_send_uuid(channel->link, SPICE_MSG_MAIN_UUID, &uuid);
	}
}

static void set_lag(struct channel *channel, uint32_t lag_ms)
{
	struct main_channel *m = of_channel(channel);
	struct msg_multi_media_time msg;

	m->lag_ms = MIN(lag_ms, (uint32_t)LAG_MAX_MS);
	msg.time = server_mm_time() - m->lag_ms;
	if (link_is_up(channel->link))
		link_send_multi_media_time(channel->link, SPICE_MSG_MAIN_MULTI_MEDIA_TIME, &msg);
	log_debug(SERVER_LOG, "the viewer's clock is %u ms behind", m->lag_ms);
}

void main_channel_lag_at_least(struct channel *channel, uint32_t lag_ms)
{
	/* A little more at once, not little by little: each change is seen. */
	if (lag_ms > of_channel(channel)->lag_ms)
		set_lag(channel, lag_ms + lag_ms / 4);
}

void main_channel_lag_add(struct channel *channel, int32_t change_ms)
{
	int64_t lag_ms = (int64_t)of_channel(channel)->lag_ms + change_ms;

	lag_ms = MIN(MAX(lag_ms, 0), LAG_MAX_MS);
	if (lag_ms != of_channel(channel)->lag_ms)
		set_lag(channel, (uint32_t)lag_ms);
}

static void main_start(struct channel *channel)
{
	struct msg_main_init init = {
		.session_id = channel->session->id,
		.display_channels_hint = 1,
		.supported_mouse_modes = supported_modes(channel),
		.current_mouse_mode = channel->session->mouse_mode,
		.multi_media_time = server_mm_time() - of_channel(channel)->lag_ms,
	};
	/* The cursor before the display: the pointer is there when the picture comes. */
	struct msg_channels_list list = { .list = { .count = 3,
						  .items = { { SPICE_CHANNEL_DISPLAY, 0 },
							  { SPICE_CHANNEL_CURSOR, 0 },
							  { SPICE_CHANNEL_INPUTS, 0 } } } };

	link_send_main_init(channel->link, SPICE_MSG_MAIN_INIT, &init);
	send_name(channel);
	/* Every viewer asks for the list; sent unasked it saves a round trip. */
	link_send_channels_list(channel->link, SPICE_MSG_MAIN_CHANNELS_LIST, &list);
	link_flush(channel->link);
}

static int on_mouse_mode_request(struct channel *channel, const uint8_t *body, size_t size)
{
	struct msg_mouse_mode_request request;

	if (!msg_mouse_mode_request_parse(&request, body, size))
		return -EPROTO;
	if (request.mode != SPICE_MOUSE_MODE_SERVER && request.mode != SPICE_MOUSE_MODE_CLIENT)
		return -EPROTO;
	/* What cannot be is answered with what is. */
	if (request.mode & supported_modes(channel))
		set_mouse_mode(channel, request.mode);
	else
		send_mouse_mode(channel);
	return 0;
}

static int main_message(struct channel *channel, uint16_t type, const uint8_t *body, size_t size)
{
	struct msg_client_info info;
	struct msg_agent_tokens tokens;

	switch (type) {
	case SPICE_MSGC_MAIN_CLIENT_INFO:
		return msg_client_info_parse(&info, body, size) ? 0 : -EPROTO;
	case SPICE_MSGC_MAIN_MOUSE_MODE_REQUEST: return on_mouse_mode_request(channel, body, size);
	case SPICE_MSGC_MAIN_AGENT_START:
	case SPICE_MSGC_MAIN_AGENT_TOKEN:
		return msg_agent_tokens_parse(&tokens, body, size) ? 0 : -EPROTO;
	default:
		/* The list was sent already; there is no agent; newer viewers may say more. */
		return 0;
	}
}

static void main_destroy(struct channel *channel)
{
	free(container_of(channel, struct main_channel, base));
}

static const struct channel_ops main_ops = {
	.start = main_start,
	.message = main_message,
	.destroy = main_destroy,
};

int main_channel_create(struct channel **out, struct session *session)
{
	struct main_channel *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->lag_ms = LAG_FIRST_MS;
	channel_init(&m->base, &main_ops, session, SPICE_CHANNEL_MAIN);
	*out = &m->base;
	return 0;
}

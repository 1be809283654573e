/* SPDX-License-Identifier: MIT */
/* The session: connects its channels as soon as each can be, and says in one sentence why it ended. */
#include "channels/client/client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channels/client/client_internal.h"
#include "core/util.h"

static const char SCOPE[] = "spice";

/* ---- what the owner is told ---- */

void client_tell(struct spice_client *client, enum spice_client_event event, const char *reason)
{
	if (!client->ended)
		client->on_event(client->opaque, event, reason);
}

void client_end(struct spice_client *client, enum spice_client_event event, const char *fmt, ...)
{
	char reason[512];
	va_list args;

	if (client->ended)
		return;
	va_start(args, fmt);
	vsnprintf(reason, sizeof(reason), fmt, args);
	va_end(args);
	client->ended = true;
	client->on_event(client->opaque, event, reason);
}

/* Why a connection did not come about. */
static void end_unreachable(struct spice_client *client, int error)
{
	const char *where = client->where;
	const enum spice_client_event event = SPICE_CLIENT_DISCONNECTED;

	switch (error) {
	case -ENOENT:
		client_end(client, event, "%s does not exist: is the name right?", where);
		break;
	case -EAGAIN:
		client_end(client, event, "the name of %s cannot be looked up now", where);
		break;
	case -ECONNREFUSED:
		client_end(client, event, "%s refused the connection: is a server running there?",
			where);
		break;
	case -ETIMEDOUT:
		client_end(client, event, "%s does not answer: is a server running there?", where);
		break;
	case -EACCES: client_end(client, event, "connecting to %s is not permitted", where); break;
	default: client_end(client, event, "cannot connect to %s: %s", where, strerror(-error));
	}
}

/* Why a server let a channel not in. */
static void end_refused(struct client_channel *channel, int error, uint32_t spice_error)
{
	struct spice_client *client = channel->client;
	const char *where = client->where;
	const enum spice_client_event event = SPICE_CLIENT_DISCONNECTED;

	switch (error) {
	case -EACCES:
		client_end(client, SPICE_CLIENT_AUTH_NEEDED,
			client->password && *client->password ? "the password is wrong"
							      : "%s asks for a password",
			where);
		return;
	case -EPROTO: client_end(client, event, "%s is not a SPICE server", where); return;
	case -EPROTONOSUPPORT:
		client_end(client, event, "%s speaks another version of SPICE", where);
		return;
	case -EINVAL:
		client_end(client, SPICE_CLIENT_AUTH_NEEDED, "the password is too long for SPICE");
		return;
	case -ETIMEDOUT:
	case -ECONNRESET:
	case -EPIPE:
		client_end(client, event,
			error == -ETIMEDOUT ? "%s did not answer like a SPICE server in time"
					    : "%s closed the connection: is it a SPICE server?",
			where);
		return;
	default: break;
	}
	if (spice_error == SPICE_LINK_ERR_NEED_SECURED)
		client_end(client, event, "%s wants TLS, which spicebox cannot do yet", where);
	else if (spice_error)
		client_end(client, event, "%s refused the %s channel (SPICE error %u)", where,
			channel->ops->name, spice_error);
	else
		end_unreachable(client, error);
}

/* ---- channels ---- */

static struct client_channel *of_handler(struct link_handler *handler)
{
	return container_of(handler, struct client_channel, handler);
}

static void on_up(struct link_handler *handler)
{
	struct client_channel *channel = of_handler(handler);

	channel->up = true;
	log_debug(SCOPE, "the %s channel is up", channel->ops->name);
	if (!channel->client->ended && channel->ops->up)
		channel->ops->up(channel);
}

static int on_message(struct link_handler *handler, uint16_t type, const uint8_t *body, size_t size)
{
	struct client_channel *channel = of_handler(handler);

	if (channel->client->ended)
		return 0;
	if (type > SPICE_MSG_BASE_LAST)
		return channel->ops->message(channel, type, body, size);
	/* Waiting for other channels is only needed where several displays share a cache; we show
	 * one. Migration is asked of the main channel alone. */
	return 0;
}

static void on_closed(struct link_handler *handler, int error, uint32_t spice_error)
{
	struct client_channel *channel = of_handler(handler);
	struct spice_client *client = channel->client;
	bool was_up = channel->up;

	link_destroy(channel->link);
	channel->link = NULL;
	channel->up = false;
	if (client->ended)
		return;
	if (!was_up) {
		bool needed = channel == &client->main.base || channel == &client->display.base;

		if (needed || error == -EACCES)
			end_refused(channel, error, spice_error);
		else
			log_warn(SCOPE, "%s refused the %s channel: it is done without",
				client->where, channel->ops->name);
		return;
	}
	switch (error) {
	case 0:
	case -ECONNRESET:
	case -EPIPE:
		client_end(client, SPICE_CLIENT_DISCONNECTED, "the server closed the connection");
		break;
	case -EPROTO:
	case -EMSGSIZE:
		client_end(client, SPICE_CLIENT_DISCONNECTED,
			"the server broke the SPICE protocol on the %s channel",
			channel->ops->name);
		break;
	default:
		client_end(client, SPICE_CLIENT_DISCONNECTED, "the connection was lost: %s",
			strerror(-error));
	}
}

static const struct link_handler_ops handler_ops = {
	.up = on_up,
	.message = on_message,
	.closed = on_closed,
};

static void open_on(struct client_channel *channel, int fd)
{
	struct spice_client *client = channel->client;
	struct link_connect_config config = {
		.loop = client->loop,
		.request = { .connection_id = client->session_id,
			.channel_type = channel->ops->type,
			.channel_caps = channel->ops->caps },
		.password = client->password,
	};
	int err;

	if (client->options.mjpeg_only && channel->ops->type == SPICE_CHANNEL_DISPLAY)
		config.request.channel_caps &= ~(1u << SPICE_DISPLAY_CAP_CODEC_VP8);
	err = fd < 0 ? fd : link_connect(&channel->link, &config, fd, &channel->handler);
	if (err < 0)
		end_unreachable(client, err);
}

void client_channel_open(struct client_channel *channel)
{
	if (channel->link || channel->client->ended)
		return;
	open_on(channel, dial_again(channel->client->dial));
}

static void on_dialled(void *opaque, int fd)
{
	struct spice_client *client = opaque;

	if (fd < 0)
		end_unreachable(client, fd);
	else
		open_on(&client->main.base, fd);
}

/* ---- public ---- */

static char *describe(const struct spice_client_config *config)
{
	char *text = NULL;
	int ret;

	if (!config->host)
		return strdup(config->unix_path);
	ret = asprintf(
		&text, strchr(config->host, ':') ? "[%s]:%u" : "%s:%u", config->host, config->port);
	return ret < 0 ? NULL : text;
}

int spice_client_create(struct spice_client **out, const struct spice_client_config *config)
{
	struct spice_client *client;
	struct dial_config dial = { .loop = config->loop,
		.host = config->host,
		.port = config->port,
		.unix_path = config->unix_path,
		.done = on_dialled };
	int err = -ENOMEM;

	if ((!config->host && !config->unix_path) ||
		config->options.cache_bytes > SPICE_CLIENT_CACHE_MAX ||
		config->options.glz_window_bytes > SPICE_CLIENT_GLZ_MAX)
		return -EINVAL;
	client = calloc(1, sizeof(*client));
	if (!client)
		return -ENOMEM;
	client->loop = config->loop;
	client->hub = config->display;
	client->out = display_sink(config->display);
	client->on_event = config->on_event;
	client->opaque = config->opaque;
	client->options = config->options;
	client_main_init(client);
	client_display_init(client);
	client_inputs_init(client);
	client_cursor_init(client);
	client->where = describe(config);
	client->password = strdup(config->password ? config->password : "");
	if (!client->where || !client->password)
		goto fail;
	err = client_display_prepare(client);
	if (err < 0)
		goto fail;
	dial.opaque = client;
	err = dial_create(&client->dial, &dial);
	if (err < 0)
		goto fail;
	*out = client;
	return 0;
fail:
	spice_client_destroy(client);
	return err;
}

void client_channel_init(struct client_channel *channel, struct spice_client *client,
	const struct client_channel_ops *ops)
{
	channel->handler.ops = &handler_ops;
	channel->client = client;
	channel->ops = ops;
}

void spice_client_destroy(struct spice_client *client)
{
	if (!client)
		return;
	client->ended = true;
	link_destroy(client->inputs.base.link);
	link_destroy(client->cursor.base.link);
	link_destroy(client->display.base.link);
	link_destroy(client->main.base.link);
	dial_destroy(client->dial);
	client_display_finish(client);
	client_cursor_finish(client);
	free(client->where);
	if (client->password)
		explicit_bzero(client->password, strlen(client->password));
	free(client->password);
	free(client);
}

struct input_sink *spice_client_input(struct spice_client *client)
{
	return &client->inputs.sink;
}

/* SPDX-License-Identifier: MIT */
/* Viewers come and go: listening, admitting links, sessions and their channels. */
#include "channels/server/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channels/server/capture.h"
#include "channels/server/listener.h"
#include "channels/server/picture_share.h"
#include "channels/server/server_internal.h"
#include "channels/server/video_detector.h"
#include "channels/server/video_share.h"

enum {
	VIEWERS_MAX = 32,
	PENDING_MAX = 64, /* links that have not shown a ticket yet */
	KEYS_STOCK = 8, /* two viewers' worth of channels */
};

/* ---- channels of a session ---- */

static void session_destroy(struct session *session);

/* Adds what a channel's link has sent. */
static void count_channel(struct spice_server_stats *stats, const struct channel *channel)
{
	uint64_t messages, bytes;

	link_sent(channel->link, &messages, &bytes);
	stats->channels[channel->type].count += messages;
	stats->channels[channel->type].bytes += bytes;
}

void spice_server_stats(struct spice_server *server, struct spice_server_stats *out)
{
	*out = server->stats;
	out->backlog = 0;
	for (struct session *s = server->sessions; s; s = s->next) {
		for (struct channel *c = s->channels; c; c = c->next) {
			uint32_t backlog = link_queued_bytes(c->link) > 0;

			if (c->ops->backlog)
				backlog += c->ops->backlog(c);
			out->backlog = MAX(out->backlog, backlog);
			count_channel(out, c);
		}
	}
}

static void channel_destroy(struct channel *channel)
{
	struct link *link = channel->link;

	for (struct channel **at = &channel->session->channels; *at; at = &(*at)->next) {
		if (*at == channel) {
			*at = channel->next;
			break;
		}
	}
	count_channel(&channel->session->server->stats, channel);
	channel->ops->destroy(channel);
	link_destroy(link);
}

static struct channel *of_handler(struct link_handler *handler)
{
	return container_of(handler, struct channel, base);
}

static void channel_up(struct link_handler *handler)
{
	struct channel *channel = of_handler(handler);

	channel->ops->start(channel);
}

static int channel_message(
	struct link_handler *handler, uint16_t type, const uint8_t *body, size_t size)
{
	struct channel *channel = of_handler(handler);

	return channel->ops->message(channel, type, body, size);
}

static void channel_drained(struct link_handler *handler)
{
	struct channel *channel = of_handler(handler);

	if (channel->ops->drained)
		channel->ops->drained(channel);
}

static void channel_closed(struct link_handler *handler, int error, uint32_t spice_error)
{
	struct channel *channel = of_handler(handler);
	struct spice_server *server = channel->session->server;

	if (error < 0 && error != -ECONNRESET && error != -EPIPE)
		log_warn_limited(&server->log_limit, SERVER_LOG,
			"a viewer's channel %u was closed: %s", channel->type, strerror(-error));
	/* Without its main channel a viewer is nothing. */
	if (channel->type == SPICE_CHANNEL_MAIN)
		session_destroy(channel->session);
	else
		channel_destroy(channel);
}

static const struct link_handler_ops channel_handler_ops = {
	.up = channel_up,
	.message = channel_message,
	.drained = channel_drained,
	.closed = channel_closed,
};

void channel_init(struct channel *channel, const struct channel_ops *ops, struct session *session,
	uint8_t type)
{
	channel->base.ops = &channel_handler_ops;
	channel->ops = ops;
	channel->session = session;
	channel->type = type;
}

struct channel *session_channel(struct session *session, uint8_t type)
{
	struct channel *channel = session->channels;

	while (channel && channel->type != type)
		channel = channel->next;
	return channel;
}

/* ---- sessions ---- */

static void tell_viewers(struct spice_server *server)
{
	if (server->config.viewers_changed)
		server->config.viewers_changed(server->config.opaque, server->viewers);
}

static void session_destroy(struct session *session)
{
	struct spice_server *server = session->server;

	while (session->channels)
		channel_destroy(session->channels);
	for (struct session **at = &server->sessions; *at; at = &(*at)->next) {
		if (*at == session) {
			*at = session->next;
			break;
		}
	}
	free(session);
	server->viewers--;
	tell_viewers(server);
}

static struct session *session_find(struct spice_server *server, uint32_t id)
{
	struct session *session = server->sessions;

	while (session && session->id != id)
		session = session->next;
	return session;
}

/* A number that is not in use, and cannot be guessed. */
static uint32_t new_session_id(struct spice_server *server)
{
	uint32_t id = 0;

	while (id == 0 || session_find(server, id))
		if (getrandom(&id, sizeof(id), 0) != sizeof(id))
			id = 0;
	return id;
}

static struct session *session_create(struct spice_server *server)
{
	struct session *session = calloc(1, sizeof(*session));
	struct input_sink *input = server->config.input;

	if (!session)
		return NULL;
	session->server = server;
	session->id = new_session_id(server);
	session->mouse_mode = input && input->absolute ? SPICE_MOUSE_MODE_CLIENT
						       : SPICE_MOUSE_MODE_SERVER;
	session->next = server->sessions;
	server->sessions = session;
	server->viewers++;
	return session;
}

/* ---- links before they are admitted ---- */

struct pending {
	struct link_handler base;
	struct spice_server *server;
	struct link *link;
	struct pending *next;
};

static void pending_remove(struct pending *pending)
{
	struct spice_server *server = pending->server;

	for (struct pending **at = &server->pending; *at; at = &(*at)->next) {
		if (*at == pending) {
			*at = pending->next;
			break;
		}
	}
	server->pending_count--;
	free(pending);
}

static void pending_closed(struct link_handler *handler, int error, uint32_t spice_error)
{
	struct pending *pending = container_of(handler, struct pending, base);
	struct link *link = pending->link;

	if (error == -EACCES)
		log_warn_limited(
			&pending->server->log_limit, SERVER_LOG, "a viewer gave a wrong password");
	pending_remove(pending);
	link_destroy(link);
}

/* Its `message` is never called: messages come after admit(). */
static const struct link_handler_ops pending_ops = { .closed = pending_closed };

static void drop_oldest_pending(struct spice_server *server)
{
	struct pending *oldest = server->pending;
	struct link *link;

	while (oldest->next)
		oldest = oldest->next;
	link = oldest->link;
	pending_remove(oldest);
	link_destroy(link);
}

static uint32_t channel_caps(void *opaque, uint8_t channel_type)
{
	switch (channel_type) {
	case SPICE_CHANNEL_MAIN: return main_channel_caps();
	case SPICE_CHANNEL_DISPLAY: return display_channel_caps();
	case SPICE_CHANNEL_INPUTS: return inputs_channel_caps();
	default: return 0;
	}
}

static int create_channel(struct channel **out, struct session *session, uint8_t type)
{
	switch (type) {
	case SPICE_CHANNEL_MAIN: return main_channel_create(out, session);
	case SPICE_CHANNEL_DISPLAY: return display_channel_create(out, session);
	case SPICE_CHANNEL_INPUTS: return inputs_channel_create(out, session);
	case SPICE_CHANNEL_CURSOR: return cursor_channel_create(out, session);
	default: return -ENOENT;
	}
}

/* Finds or makes the session that the request is for; else says why not. */
static uint32_t find_session(
	struct spice_server *server, const struct link_request *request, struct session **out)
{
	if (request->channel_type == SPICE_CHANNEL_MAIN) {
		if (request->connection_id != 0)
			return SPICE_LINK_ERR_BAD_CONNECTION_ID;
		if (server->viewers >= server->config.max_viewers)
			return SPICE_LINK_ERR_ERROR;
		*out = session_create(server);
		return *out ? SPICE_LINK_ERR_OK : SPICE_LINK_ERR_ERROR;
	}
	*out = session_find(server, request->connection_id);
	if (!*out)
		return SPICE_LINK_ERR_BAD_CONNECTION_ID;
	if (request->channel_id != 0 || session_channel(*out, request->channel_type))
		return SPICE_LINK_ERR_CHANNEL_NOT_AVAILABLE;
	return SPICE_LINK_ERR_OK;
}

static uint32_t admit(void *opaque, struct link *link, const struct link_request *request)
{
	struct spice_server *server = opaque;
	struct pending *pending = server->pending;
	struct session *session;
	struct channel *channel;
	uint32_t error = find_session(server, request, &session);

	if (error != SPICE_LINK_ERR_OK)
		return error;
	if (create_channel(&channel, session, request->channel_type) < 0) {
		if (!session->channels)
			session_destroy(session);
		return SPICE_LINK_ERR_CHANNEL_NOT_AVAILABLE;
	}
	channel->link = link;
	channel->next = session->channels;
	session->channels = channel;
	link_set_handler(link, &channel->base);
	while (pending->link != link)
		pending = pending->next;
	pending_remove(pending);
	if (request->channel_type == SPICE_CHANNEL_MAIN)
		tell_viewers(server);
	return SPICE_LINK_ERR_OK;
}

int spice_server_add_client_fd(struct spice_server *server, int fd)
{
	struct link_accept_config config = {
		.loop = server->config.loop,
		.keys = server->keys,
		.password = server->password,
		.opaque = server,
		.channel_caps = channel_caps,
		.admit = admit,
	};
	struct pending *pending = calloc(1, sizeof(*pending));
	int ret;

	if (!pending) {
		close(fd);
		return -ENOMEM;
	}
	pending->base.ops = &pending_ops;
	pending->server = server;
	ret = link_accept(&pending->link, &config, fd, &pending->base);
	if (ret < 0) {
		free(pending);
		return ret;
	}
	if (server->pending_count == PENDING_MAX)
		drop_oldest_pending(server);
	pending->next = server->pending;
	server->pending = pending;
	server->pending_count++;
	return 0;
}

/* ---- listening ---- */

static void on_connection(void *opaque, int fd)
{
	spice_server_add_client_fd(opaque, fd);
}

static int keep_listener(struct spice_server *server, int fd, const char *path)
{
	struct listener *listener;
	int ret = listener_create(&listener, server->config.loop, fd, path, on_connection, server);

	if (ret < 0)
		return ret;
	listener->next = server->listeners;
	server->listeners = listener;
	return 0;
}

int spice_server_listen_tcp(struct spice_server *server, const char *address, uint16_t *port)
{
	int fd = listener_open_tcp(address, port);

	return fd < 0 ? fd : keep_listener(server, fd, NULL);
}

int spice_server_listen_unix(struct spice_server *server, const char *path)
{
	int fd = listener_open_unix(path);

	return fd < 0 ? fd : keep_listener(server, fd, path);
}

/* ---- the input sink's news ---- */

static void on_leds(struct input_listener *listener, uint32_t leds)
{
	struct spice_server *server = container_of(listener, struct spice_server, input_listener);

	for (struct session *s = server->sessions; s; s = s->next) {
		struct channel *inputs = session_channel(s, SPICE_CHANNEL_INPUTS);

		if (inputs)
			inputs_channel_leds(inputs, leds);
	}
}

static void on_absolute(struct input_listener *listener, bool available)
{
	struct spice_server *server = container_of(listener, struct spice_server, input_listener);

	for (struct session *s = server->sessions; s; s = s->next) {
		struct channel *main_channel = session_main(s);

		if (main_channel)
			main_channel_absolute(main_channel, available);
	}
}

/* ---- the whole ---- */

uint32_t server_mm_time(void)
{
	return (uint32_t)(clock_monotonic_ns() / 1000000);
}

static int copy_config(struct spice_server *server, const struct spice_server_config *config)
{
	/* Nobody could ever give a longer one. */
	if (config->password && strlen(config->password) > SPICE_MAX_PASSWORD_LENGTH)
		return -EINVAL;
	server->config = *config;
	if (!server->config.max_viewers)
		server->config.max_viewers = VIEWERS_MAX;
	if (config->name && !(server->name = strdup(config->name)))
		return -ENOMEM;
	if (config->password && !(server->password = strdup(config->password)))
		return -ENOMEM;
	server->has_uuid = config->uuid != NULL;
	if (config->uuid)
		memcpy(server->uuid, config->uuid, sizeof(server->uuid));
	return 0;
}

void spice_server_set_compression(
	struct spice_server *server, enum spice_image_compression compression)
{
	server->config.compression = compression;
}

void spice_server_set_jpeg(struct spice_server *server, enum spice_jpeg jpeg)
{
	server->config.jpeg = jpeg;
}

int spice_server_create(struct spice_server **out, const struct spice_server_config *config)
{
	struct spice_server *server = calloc(1, sizeof(*server));
	int ret;

	if (!server)
		return -ENOMEM;
	server->display_sink.ops = &server_display_ops;
	ret = copy_config(server, config);
	if (ret == 0)
		ret = ticket_keys_create(&server->keys, config->loop, config->pool,
			config->password ? KEYS_STOCK : 0);
	if (ret == 0)
		ret = picture_share_create(&server->pictures, config->loop, config->pool);
	if (ret == 0)
		ret = capture_share_create(&server->captures, config->loop, config->display);
	if (ret == 0)
		ret = video_detector_create(&server->videos, config->loop, config->display);
	if (ret == 0)
		ret = video_share_create(
			&server->video_share, config->loop, config->pool, server->videos);
	if (ret == 0) {
		video_detector_set_mode(server->videos, config->video);
		ret = display_attach(config->display, &server->display_sink);
	}
	if (ret < 0) {
		spice_server_destroy(server);
		return ret;
	}
	server->attached = true;
	server->input_listener.leds = on_leds;
	server->input_listener.absolute = on_absolute;
	if (config->input)
		input_sink_listen(config->input, &server->input_listener);
	*out = server;
	return 0;
}

void spice_server_destroy(struct spice_server *server)
{
	if (!server)
		return;
	server->config.viewers_changed = NULL;
	while (server->listeners) {
		struct listener *listener = server->listeners;

		server->listeners = listener->next;
		listener_destroy(listener);
	}
	while (server->pending)
		drop_oldest_pending(server);
	while (server->sessions)
		session_destroy(server->sessions);
	if (server->attached) {
		display_detach(server->config.display, &server->display_sink);
		if (server->config.input)
			input_sink_unlisten(server->config.input, &server->input_listener);
	}
	for (uint32_t id = 0; id < DISPLAY_MAX_SURFACES; id++)
		surface_unref(server->surfaces[id].surface);
	video_share_destroy(server->video_share);
	video_detector_destroy(server->videos);
	capture_share_destroy(server->captures);
	picture_share_destroy(server->pictures);
	ticket_keys_destroy(server->keys);
	if (server->password)
		explicit_bzero(server->password, strlen(server->password));
	free(server->password);
	free(server->name);
	free(server);
}

void spice_server_set_video(struct spice_server *server, enum spice_video video)
{
	server->config.video = video;
	video_detector_set_mode(server->videos, video);
}

/* SPDX-License-Identifier: MIT */
/* What the server's files share: sessions (one viewer each) and their channels. */
#ifndef CHANNELS_SERVER_SERVER_INTERNAL_H
#define CHANNELS_SERVER_SERVER_INTERNAL_H

#include "channels/link/link.h"
#include "channels/server/server.h"
#include "core/log.h"
#include "core/util.h"

#define SERVER_LOG "spice"

struct session;
struct channel;

struct channel_ops {
	/* The link is up. */
	void (*start)(struct channel *channel);
	/* As a link handler's. */
	int (*message)(struct channel *channel, uint16_t type, const uint8_t *body, size_t size);
	/* May be NULL: never congested, or nothing put off. */
	void (*drained)(struct channel *channel);
	/* The drawings and pictures that it has yet to hand to its link. May be NULL: none. */
	uint32_t (*backlog)(struct channel *channel);
	/* Frees what the channel holds, and itself; the link is the caller's. */
	void (*destroy)(struct channel *channel);
};

/* One channel of one viewer; embedded in main_channel, display_channel, ... */
struct channel {
	struct link_handler base;
	const struct channel_ops *ops;
	struct session *session;
	struct link *link;
	uint8_t type;
	struct channel *next; /* of the session */
};

/* A viewer: its main channel and the others that named its connection id. */
struct session {
	struct spice_server *server;
	uint32_t id;
	uint32_t mouse_mode; /* SPICE_MOUSE_MODE_* */
	struct channel *channels; /* the main channel is the last of the list */
	struct session *next;
};

/* The state that all viewers' display channels share. */
struct server_surface {
	struct surface *surface; /* NULL: none */
	uint64_t generation; /* differs between all surfaces ever shown */
};

struct spice_server {
	struct spice_server_config config;
	char *name;
	char *password;
	uint8_t uuid[16];
	bool has_uuid;
	struct ticket_keys *keys;
	struct listener *listeners;
	struct pending *pending; /* links that have not shown a ticket; the newest first */
	uint32_t pending_count;
	struct session *sessions;
	uint32_t viewers;
	struct log_limit log_limit;

	struct picture_share *pictures;
	uint64_t image_epoch; /* counts up as the guest's driver begins anew with its images' ids */
	struct capture_share *captures;
	struct video_detector *videos;
	struct video_share *video_share;
	struct display_sink display_sink;
	bool attached;
	struct server_surface surfaces[DISPLAY_MAX_SURFACES];
	uint64_t generations;
	struct rect heads[PROTO_HEADS_MAX];
	uint32_t head_count;
	struct cursor_state cursor; /* the shape is borrowed from the hub */
	struct input_listener input_listener;
	/* The channels' part is added as their links go; who encodes counts the rest. */
	struct spice_server_stats stats;
};

/* Each makes its channel; -ENOMEM. */
int main_channel_create(struct channel **out, struct session *session);
int display_channel_create(struct channel **out, struct session *session);
int inputs_channel_create(struct channel **out, struct session *session);
int cursor_channel_create(struct channel **out, struct session *session);

/* Initialises the base; called by the four. */
void channel_init(struct channel *channel, const struct channel_ops *ops, struct session *session,
	uint8_t type);

/* The session's channel of a type, or NULL. */
struct channel *session_channel(struct session *session, uint8_t type);
static inline struct channel *session_main(struct session *session)
{
	return session_channel(session, SPICE_CHANNEL_MAIN);
}

/* What the display hub and the input sink tell, for each viewer's channel. */
void main_channel_absolute(struct channel *channel, bool available);
/* By how much the viewer's multimedia clock is behind ours, so that video comes in time to be shown
 * when it is due: at least so much; so much more (or less, when negative). */
void main_channel_lag_at_least(struct channel *channel, uint32_t lag_ms);
void main_channel_lag_add(struct channel *channel, int32_t change_ms);
void inputs_channel_leds(struct channel *channel, uint32_t leds);
void inputs_channel_mouse_mode(struct channel *channel);
void cursor_channel_update(struct channel *channel);
void display_channel_surface_create(struct channel *channel, uint32_t id);
void display_channel_surface_destroy(struct channel *channel, uint32_t id);
void display_channel_draw(struct channel *channel, struct draw *draw);
void display_channel_dirty(struct channel *channel, uint32_t id, const struct rect *area);
void display_channel_monitors(struct channel *channel);

uint32_t main_channel_caps(void);
uint32_t display_channel_caps(void);
uint32_t inputs_channel_caps(void);

/* The multimedia clock that viewers are told, in milliseconds. */
uint32_t server_mm_time(void);

/* server_sink.c: the server as a display sink. */
extern const struct display_sink_ops server_display_ops;

#endif

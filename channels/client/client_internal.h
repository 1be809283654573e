/* SPDX-License-Identifier: MIT */
/* What the client's files share: the session, its channels, and the caches. Loop thread only. */
#ifndef CHANNELS_CLIENT_CLIENT_INTERNAL_H
#define CHANNELS_CLIENT_CLIENT_INTERNAL_H

#include "channels/client/client.h"
#include "channels/client/client_image.h"
#include "channels/client/client_stream.h"
#include "channels/client/dial.h"
#include "channels/link/link.h"
#include "channels/proto/messages.h"
#include "core/log.h"

struct client_channel;

struct client_channel_ops {
	uint8_t type; /* SPICE_CHANNEL_* */
	const char *name;
	uint32_t caps; /* what we can do, bit n is capability n of this channel */
	void (*up)(struct client_channel *channel); /* may be NULL */
	/* 0, or -EPROTO: the server's message is malformed. */
	int (*message)(
		struct client_channel *channel, uint16_t type, const uint8_t *body, size_t size);
};

/* Embedded first in each channel. */
struct client_channel {
	struct link_handler handler;
	const struct client_channel_ops *ops;
	struct spice_client *client;
	struct link *link; /* NULL: not connected */
	bool up;
};

struct client_main {
	struct client_channel base;
	bool initialised;
	bool migration_logged;
	bool has_inputs; /* in the server's list */
	bool has_cursor;
};

enum { CLIENT_DRAW_KINDS = 14 };

struct client_display {
	struct client_channel base;
	struct surface *surfaces[DISPLAY_MAX_SURFACES];
	uint64_t surface_bytes;
	struct client_images images;
	struct client_streams *streams;
	uint64_t drawn[CLIENT_DRAW_KINDS]; /* drawings that came, by the table in client_draw.c */
	struct log_limit log_limit;
	uint64_t skipped; /* message types that were logged as unsupported, by skip_bit() */
	bool marked; /* the first mark has come, with a primary surface */
};

struct client_inputs {
	struct client_channel base;
	struct input_sink sink;
	uint16_t buttons; /* SPICE_MOUSE_BUTTON_MASK_* */
	uint32_t unacked; /* motions sent that the server has not acknowledged */
	int32_t dx, dy; /* motion that waits for an ack */
	bool position_waits;
	int32_t x, y;
	bool leds_set;
	uint16_t leds; /* SPICE_KEYBOARD_MODIFIER_FLAGS_* that the viewer last told */
};

enum { CURSOR_CACHE_MAX = 256 };

struct client_cursor {
	struct client_channel base;
	struct cursor_state state;
	struct cursor_shape *cache[CURSOR_CACHE_MAX]; /* by `unique`; new ones replace old ones */
	uint32_t cache_next;
	struct log_limit log_limit;
};

struct spice_client {
	struct loop *loop;
	struct display *hub;
	struct display_sink *out; /* the hub's */
	void (*on_event)(void *opaque, enum spice_client_event event, const char *reason);
	void *opaque;
	char *where; /* as messages name the server */
	char *password;
	struct dial *dial;
	struct spice_client_options options;
	uint32_t session_id;
	bool ended; /* told so; nothing more happens */
	struct client_main main;
	struct client_display display;
	struct client_inputs inputs;
	struct client_cursor cursor;
};

void client_channel_init(struct client_channel *channel, struct spice_client *client,
	const struct client_channel_ops *ops);
/* Connects a channel, once; an error ends the session. */
void client_channel_open(struct client_channel *channel);
/* Ends the session with one plain sentence. */
void client_end(struct spice_client *client, enum spice_client_event event, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void client_tell(struct spice_client *client, enum spice_client_event event, const char *reason);

void client_main_init(struct spice_client *client);
/* Connects the channels that let the display go first. */
void client_main_open_rest(struct spice_client *client);
void client_display_init(struct spice_client *client);
/* Makes what is as large as the options say. -ENOMEM. */
int client_display_prepare(struct spice_client *client);
void client_display_finish(struct spice_client *client);
void client_inputs_init(struct spice_client *client);
void client_inputs_set_mouse_mode(struct spice_client *client, uint32_t mode);
void client_cursor_init(struct spice_client *client);
void client_cursor_finish(struct spice_client *client);

/* client_draw.c: one drawing message. 0 or -EPROTO. */
int client_display_draw(
	struct client_display *display, uint16_t type, const uint8_t *body, size_t size);
/* "copy 3, fill 12": how many of each have come, into `text`, which has at least one byte. */
void client_draws_describe(const struct client_display *display, char *text, size_t size);
/* Logs, once a type, that a message is not supported yet. */
void client_display_skip(struct client_display *display, uint16_t type);

#endif

/* SPDX-License-Identifier: MIT */
/* A stage for tests of the SPICE client: the client, a hub, and a server of which the test says every
 * word, all on one loop and over a UNIX socket. */
#ifndef TESTS_CHANNELS_CLIENT_STAGE_H
#define TESTS_CHANNELS_CLIENT_STAGE_H

#include "channels/client/client_internal.h"
#include "core/pool.h"

enum { STAGE_SENT_MAX = 128 };

/* The server's end of one channel. */
struct stage_channel {
	struct link_handler handler;
	struct link *link;
	struct stage *stage;
	bool up;
	/* What the client sent. */
	uint32_t count;
	uint16_t types[STAGE_SENT_MAX];
	struct buf bodies[STAGE_SENT_MAX];
};

struct stage {
	struct loop *loop;
	struct pool *pool;
	struct ticket_keys *keys;
	struct display *hub;
	struct spice_client *client;
	char folder[64];
	char path[96];
	int listen_fd;
	struct loop_fd *listener;
	const char *password; /* the server's */
	uint32_t server_caps; /* of the display channel */
	struct spice_client_options options; /* the client's */
	struct stage_channel pending[8]; /* accepted, by order */
	uint32_t accepted;
	struct stage_channel *channels[16]; /* by type, once let in */
	/* What the client told. */
	uint32_t events[8]; /* how often, by enum spice_client_event */
	char reason[512]; /* the last */
};

void stage_open(struct stage *stage);
void stage_close(struct stage *stage);
/* Makes the client, with that password. */
void stage_connect(struct stage *stage, const char *password);
/* Turns the loop until *flag is not 0. */
void stage_turn(struct stage *stage, const uint32_t *flag);
void stage_settle(struct stage *stage);
/* Connects all four channels (makes the client where there is none): INIT and the list are sent. */
void stage_bring_up(struct stage *stage);
/* Sends a raw message on a channel and lets the client take it. */
void stage_send(struct stage *stage, uint8_t channel, uint16_t type, struct buf *body);
/* The same by name: STAGE_SEND(stage, SPICE_CHANNEL_CURSOR, SPICE_MSG_CURSOR_MOVE, cursor_move, ...) */
#define STAGE_SEND(stage, channel, type, name, ...)                    \
	do {                                                           \
		struct msg_##name msg_ = __VA_ARGS__;                  \
		struct buf body_ = { 0 };                              \
		assert_int_equal(msg_##name##_pack(&body_, &msg_), 0); \
		stage_send(stage, channel, type, &body_);              \
	} while (0)
/* The body of the last message of this type on the channel; fails the test when there is none. */
const struct buf *stage_heard(struct stage *stage, uint8_t channel, uint16_t type);
uint32_t stage_heard_count(struct stage *stage, uint8_t channel, uint16_t type);
/* A pixel of a surface of the hub, drawings rendered. */
uint32_t stage_pixel(struct stage *stage, uint32_t surface, uint32_t x, uint32_t y);

#endif

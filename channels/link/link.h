/* SPDX-License-Identifier: MIT */
/*
 * One SPICE connection, of either side: the handshake (link messages, capabilities, ticket), then
 * framed messages with ack windows over a non-blocking socket on the loop. Everything on the loop's
 * thread. The peer's mistakes close its link and nothing else.
 */
#ifndef CHANNELS_LINK_LINK_H
#define CHANNELS_LINK_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channels/link/ticket.h"
#include "channels/proto/messages.h"
#include "core/buf.h"
#include "core/loop.h"

struct link;
struct link_handler;

/* Who the link is for, as the client asked in its link message. */
struct link_request {
	uint32_t connection_id; /* 0: a new session */
	uint8_t channel_type; /* SPICE_CHANNEL_* */
	uint8_t channel_id;
	uint32_t channel_caps; /* the peer's, first word; bit n is SPICE_*_CAP_ n */
	uint32_t common_caps;
};

/* The last of a link's callbacks is `closed`. Each may call link_destroy(). */
struct link_handler_ops {
	/* The handshake is done: messages may be sent. May be NULL. */
	void (*up)(struct link_handler *handler);
	/* One message; acks, pings, and lists are dealt with by the link itself. `body` is valid
	 * during the call. A negative return closes the link: -EPROTO for what is malformed. */
	int (*message)(
		struct link_handler *handler, uint16_t type, const uint8_t *body, size_t size);
	/* link_congested() was true when something was sent, and is so no more. May be NULL. */
	void (*drained)(struct link_handler *handler);
	/* The link is down (never called by link_destroy()). error: -errno, 0
	 * when the peer closed in order, -EACCES for a wrong ticket; spice_error: what the
	 * server answered (SPICE_LINK_ERR_*, a client's handshake only). The handler destroys
	 * the link, now or later. */
	void (*closed)(struct link_handler *handler, int error, uint32_t spice_error);
};

/* Embedded in what owns the link. */
struct link_handler {
	const struct link_handler_ops *ops;
};

enum {
	LINK_MESSAGE_MAX_SERVER = 1 << 20, /* what a viewer may send us at once */
	LINK_MESSAGE_MAX_CLIENT = 256 << 20, /* what a server may: one raw picture */
	LINK_QUEUE_HIGH = 256 << 10, /* congested above this */
	LINK_QUEUE_MAX = 64 << 20, /* the link is closed beyond this */
	LINK_ACK_WINDOW = 20, /* messages a viewer acknowledges at once */
	LINK_ACK_WINDOWS = 64, /* so many of these may be unacknowledged: small drawings far away */
	LINK_HANDSHAKE_TIMEOUT_MS = 10 * 1000,
};

/* ---- the server's side ---- */

struct link_accept_config {
	struct loop *loop;
	struct ticket_keys *keys;
	const char *password; /* NULL: any ticket will do. Borrowed until the link is up */
	void *opaque;
	/* The capabilities word that we offer for a channel type. */
	uint32_t (*channel_caps)(void *opaque, uint8_t channel_type);
	/* The ticket was right. Answers SPICE_LINK_ERR_OK to let the link in, after
	 * link_set_handler() with the channel that takes it; else the error the client is told. */
	uint32_t (*admit)(void *opaque, struct link *link, const struct link_request *request);
};

/* Takes an accepted socket (owned from here on, also on failure) and answers the handshake. Until
 * admit() gives the link another, `handler` is told of its end (message is never called). */
int link_accept(struct link **out, const struct link_accept_config *config, int fd,
	struct link_handler *handler);

/* ---- the client's side ---- */

struct link_connect_config {
	struct loop *loop;
	struct link_request request;
	const char *password; /* NULL: empty. Copied */
	uint32_t handshake_timeout_ms; /* 0: LINK_HANDSHAKE_TIMEOUT_MS */
};

/* Takes a non-blocking socket that is connected or whose connect() is in progress (owned from here
 * on, also on failure). Calls `up` or `closed`, never from within. */
int link_connect(struct link **out, const struct link_connect_config *config, int fd,
	struct link_handler *handler);

/* ---- both ---- */

void link_set_handler(struct link *link, struct link_handler *handler);
/* What the peer offers: bit n is capability n. Valid once up. */
bool link_peer_has_cap(const struct link *link, uint32_t channel_cap);
bool link_peer_has_common_cap(const struct link *link, uint32_t common_cap);
const struct link_request *link_request(const struct link *link);
bool link_is_up(const struct link *link);

/* Queues a message; what is queued in one turn of the loop leaves together at its end. The body's
 * bytes move into the link (*body is empty afterwards, also on failure); NULL: no body. -EPIPE when
 * the link is down; -ENOBUFS when the peer takes so little that the queue is full: the link then
 * closes by itself. link_send_NAME() below packs and queues. */
int link_send(struct link *link, uint16_t type, struct buf *body);
/* Bytes that wait to be written. */
size_t link_queued_bytes(const struct link *link);
/* The messages, and their bytes with headers, that were written since the link went up. */
void link_sent(const struct link *link, uint64_t *messages, uint64_t *bytes);
/* Whether the peer lags behind: much is queued, or its acks are missing. What can be put off should
 * be, until `drained`. */
bool link_congested(struct link *link);
/* Server: what the viewer took to answer the handshake's key with its ticket: a round trip and an
 * encryption; next door the way alone. It is known before anything is sent. Nanoseconds. */
uint64_t link_answer_ns(const struct link *link);
/* Sends what is queued as far as it goes at once, without waiting for the turn's end. */
void link_flush(struct link *link);
/* Server: asks the peer for an ack every LINK_ACK_WINDOW messages; beyond LINK_ACK_WINDOWS of
 * these nothing is sent. */
int link_start_acks(struct link *link);

/* Ends the link at once; no callback comes afterwards. NULL is ignored. */
void link_destroy(struct link *link);

#define LINK_FIELD(kind, name)
#define LINK_SENDER(name, fields)                                               \
	static inline int link_send_##name(                                     \
		struct link *link, uint16_t type, const struct msg_##name *msg) \
	{                                                                       \
		struct buf body = { 0 };                                        \
		int ret = msg_##name##_pack(&body, msg);                        \
                                                                                \
		if (ret == 0)                                                   \
			ret = link_send(link, type, &body);                     \
		buf_finish(&body);                                              \
		return ret;                                                     \
	}
/* int link_send_NAME(struct link *, uint16_t type, const struct msg_NAME *) */
PROTO_MESSAGES(LINK_SENDER, LINK_FIELD)
#undef LINK_SENDER
#undef LINK_FIELD

#endif

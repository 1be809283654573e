/* SPDX-License-Identifier: MIT */
/* What link.c (framing, queue) and handshake_*.c share. */
#ifndef CHANNELS_LINK_LINK_INTERNAL_H
#define CHANNELS_LINK_LINK_INTERNAL_H

#include "channels/link/link.h"
#include "channels/link/stream.h"
#include "core/log.h"
#include "core/util.h"

enum {
	LINK_HEADER_BYTES = 16, /* SpiceLinkHeader */
	LINK_MESS_BYTES = 18, /* SpiceLinkMess */
	LINK_REPLY_BYTES = 178, /* SpiceLinkReply */
	LINK_HANDSHAKE_MAX = 4096, /* of what follows the link header */
	LINK_CAPS_MAX = 64, /* capability words of a kind */
};

enum link_state { LINK_HANDSHAKE, LINK_UP, LINK_CLOSING, LINK_CLOSED };

struct link_item {
	struct link_item *next;
	uint8_t header[18];
	uint8_t header_bytes; /* 0: raw bytes of the handshake */
	bool counted; /* by the peer's acks */
	bool started;
	struct buf body;
	size_t done; /* bytes of header and body written */
};

struct link {
	struct loop *loop;
	struct stream stream;
	struct loop_fd *source;
	struct loop_idle *idle;
	struct loop_timer *timer; /* half-open handshake, lingering close */
	struct link_handler *handler;
	struct link_request request;
	enum link_state state;
	bool server;
	bool mini_header;
	bool want_write;
	bool congested; /* link_congested() answered so, `drained` is due */
	/* A callback runs: freeing waits until it returns. */
	uint32_t depth;
	bool destroyed;
	bool failed; /* `error` waits to be told */
	int error;
	uint32_t spice_error;
	struct log_limit log_limit;

	/* Takes from `in`: above 0 when it got further, 0 to wait for more bytes, or -errno. */
	int (*input)(struct link *link);
	struct buf in;

	struct link_item *queue;
	struct link_item **queue_end;
	size_t queued_bytes;
	uint64_t serial;
	uint64_t sent_messages, sent_bytes; /* since it went up */
	/* Server: messages since the last ack. 0 window: no acks are asked for. */
	uint32_t ack_window;
	uint32_t unacked;
	/* Client: messages until an ack is due. */
	uint32_t ack_every;
	uint32_t ack_left;

	/* Server's handshake. */
	struct link_accept_config accept;
	struct ticket_key *key;
	struct ticket_wait key_wait;
	uint64_t reply_ns; /* when the key went out */
	uint64_t answer_ns; /* what the ticket took from then on */
	/* Client's handshake. */
	char *password;
	uint32_t handshake_bytes; /* of the peer's link message */
};

int link_create(struct link **out, struct loop *loop, int fd, struct link_handler *handler);
/* Goes on with what is in `in`. */
void link_process(struct link *link);
int link_send_raw(struct link *link, const void *bytes, size_t size);
/* The handshake is done: messages from here on. */
void link_go_up(struct link *link);
/* Tells the handler (at the end of the turn) and takes nothing more. */
void link_fail(struct link *link, int error);
/* As link_fail(), after what is queued has gone out. */
void link_fail_after_flush(struct link *link, int error);
void link_watch(struct link *link);
void link_enter(struct link *link);
/* The link may be gone afterwards. */
void link_leave(struct link *link);

/* Parses the capability words at `offset` of a link message; keeps the first of each kind. */
bool link_caps_parse(const uint8_t *message, size_t size, uint32_t offset, uint32_t common_count,
	uint32_t channel_count, uint32_t *common, uint32_t *channel);

#endif

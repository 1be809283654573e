/* SPDX-License-Identifier: MIT */
/* One channel of a viewer that says exactly what a test wants, and keeps what the server says. */
#ifndef TESTS_CHANNELS_SERVER_SIDE_H
#define TESTS_CHANNELS_SERVER_SIDE_H

#include "channels/link/link.h"
#include "channels/server/server.h"
#include "core/buf.h"

enum { SIDE_MESSAGES = 4096 };

struct side {
	struct link_handler base;
	struct link *link; /* NULL: closed */
	bool up;
	bool closed;
	uint32_t spice_error; /* why it was refused */
	/* Takes the messages, which then are not kept; may be NULL. */
	void (*message)(struct side *side, uint16_t type, const uint8_t *body, size_t size);
	uint16_t types[SIDE_MESSAGES];
	struct buf bodies[SIDE_MESSAGES];
	uint32_t count;
};

/* Connects a side that is zeroed but for `message`; waits until the link is up or closed. */
void side_connect(struct side *side, struct loop *loop, struct spice_server *server, uint8_t type,
	uint32_t session, uint32_t caps);
/* Ends the link and zeroes all. */
void side_finish(struct side *side);
/* The number of the n-th message of a type; -1: there is none. */
int32_t side_seek(const struct side *side, uint16_t type, uint32_t n);

/* Parses the n-th message of a type, which must be there, into a struct msg_NAME. */
#define SIDE_GET(side, name, type, n, msg)                                                \
	do {                                                                              \
		int32_t at_ = side_seek(side, type, n);                                   \
		assert_true(at_ >= 0);                                                    \
		assert_true(msg_##name##_parse(                                           \
			msg, buf_bytes(&(side)->bodies[at_]), (side)->bodies[at_].size)); \
	} while (0)

#endif

/* SPDX-License-Identifier: MIT */
/*
 * How fast a viewer takes what it is sent, and how much may be on its way: measured end to end by
 * PINGs between the messages, whatever lies between (TCP, proxies, a viewer that decodes slowly).
 * Numbers only: the clock's readings are handed in, the pings are sent by pace.c.
 *
 * On its way may be rate x (least round trip + a little). The little, QUEUE, waits in the link's
 * queue: enough to keep the link busy, and to find out when it gets faster (the rate grows until
 * the queue shows in the round trips), and too little to be felt.
 */
#ifndef CHANNELS_SERVER_PACE_MODEL_H
#define CHANNELS_SERVER_PACE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PACE_PINGS_MAX = 64,
	PACE_WINDOW_FIRST = 32 << 10,
	PACE_WINDOW_MIN = 4 << 10,
	PACE_WINDOW_MAX = 32 << 20,
};

struct pace_ping {
	uint32_t id;
	uint64_t first_ns; /* when the first byte since the ping before was sent */
	uint64_t sent_ns;
	uint64_t position; /* the bytes sent before it */
};

struct pace_model {
	struct pace_ping pings[PACE_PINGS_MAX]; /* a ring: those without an answer, ids in a row */
	uint32_t first, count;
	uint32_t next_id;
	uint32_t clean_id; /* of the ping that measures the least round trip anew; 0: none */
	uint32_t clean_done; /* such measurements so far */
	uint32_t clean_count; /* such pings in a row that were longer than what is known, */
	uint64_t clean_ns; /* and the least of them */
	bool starting; /* no queue was seen: the window doubles with each round trip */
	bool draining; /* less is sent until the least round trip can be measured anew: */
	bool draining_all; /* also of what users wait for, as the rest alone was not enough */
	bool ramping; /* after that the window grows again as answers come, not at once */
	uint64_t draining_ns; /* since when */
	bool unanswered; /* the viewer answers no pings: nothing is held back */
	uint64_t sent; /* bytes, as all positions */
	uint64_t pinged; /* the last ping's end */
	uint64_t pinged_ns;
	uint64_t first_ns; /* as in pace_ping, for the next */
	uint64_t delivered;
	uint64_t delivered_ns;
	uint64_t held; /* what was sent by then filled the window, or what was spare */
	uint64_t rtt_ns; /* the least, of late; 0: not known */
	uint64_t rtt_known_ns; /* when it was last about that short */
	uint64_t short_ns; /* when no more than a short queue was seen last */
	uint64_t queue_ns; /* by how much the last one was longer */
	uint64_t rate; /* bytes a second; 0: not known */
	uint64_t rate_before; /* as measured last */
	/* The while that is being measured: what arrived, and for how long the link was busy. */
	uint64_t while_ns;
	uint64_t busy_bytes;
	uint64_t busy_ns;
	uint64_t window;
	uint64_t busy_until_ns; /* when the link will have taken what was sent, by its rate */
};

void pace_model_init(struct pace_model *model);
/* A message went out. Answers whether a ping is to follow it at once. */
bool pace_model_sent(struct pace_model *model, size_t bytes, uint64_t now_ns);
/* A ping of `bytes` goes out; answers its id. Only at the start, or where it was asked for. */
uint32_t pace_model_ping(struct pace_model *model, size_t bytes, uint64_t now_ns);
/* An answer came. Ids that are not waited for are ignored. Answers whether a ping is to follow. */
bool pace_model_pong(struct pace_model *model, uint32_t id, uint64_t now_ns);
/* No answer came for long: sends without bounds until one comes after all. */
void pace_model_unanswered(struct pace_model *model);
/* Before a message: whether a ping is to precede it, as the link is idle and was not measured for
 * long. */
bool pace_model_before(struct pace_model *model, uint64_t now_ns);
/* Bytes that may be sent now. */
size_t pace_model_room(struct pace_model *model);
/* Bytes that may be sent now and would hardly wait on the way. 0: *wait_ns is when there are some
 * again though no answer comes (UINT64_MAX: then only with an answer). */
size_t pace_model_spare(struct pace_model *model, uint64_t now_ns, uint64_t *wait_ns);

#endif

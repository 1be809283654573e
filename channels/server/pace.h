/* SPDX-License-Identifier: MIT */
/*
 * Paces what one viewer is sent to what its link and itself take, so that what waits on the way
 * never delays what comes next by more than some tens of milliseconds. Loop thread.
 *
 * Whoever sends asks pace_room() (drawings that a user waits for) or pace_spare() (what can wait: a
 * video's next frame, refinement), sends when it is not 0 (a message may be larger than what is
 * left, so large ones should be split), and tells pace_sent().
 */
#ifndef CHANNELS_SERVER_PACE_H
#define CHANNELS_SERVER_PACE_H

#include "channels/link/link.h"
#include "channels/server/pace_model.h"
#include "core/loop.h"

struct pace {
	struct pace_model model;
	uint64_t answer_ns; /* a round trip and a little, as the handshake had it */
	struct link *link;
	struct loop_timer *timer; /* runs until the first answer */
	struct loop_timer *spare_timer; /* runs until the link has taken what was sent */
	loop_fn *room;
	void *opaque;
	bool wants_room; /* it was answered that there is none */
	bool wants_spare;
};

/* The link is up; a first ping goes out. room(opaque) is called when pace_room() or pace_spare()
 * answered 0 and would answer more now; it may send, and may destroy the link. 0 or -ENOMEM. */
int pace_init(struct pace *pace, struct loop *loop, struct link *link, loop_fn *room, void *opaque);
/* So long another of this viewer's links took for a round trip and a little: what is longer here
 * was the viewer's being busy. */
void pace_answered_within(struct pace *pace, uint64_t answer_ns);
/* Safe on a zeroed one. */
void pace_finish(struct pace *pace);

/* After each message: its bytes, the header included or not. May put a PING behind it. */
void pace_sent(struct pace *pace, size_t bytes);
/* A SPICE_MSGC_PONG of the viewer's. 0 or -EPROTO. */
int pace_pong(struct pace *pace, const uint8_t *body, size_t size);

/* Bytes that may be queued now. */
size_t pace_room(struct pace *pace);
/* Bytes that may be queued now and leave the link room for what is more urgent. */
size_t pace_spare(struct pace *pace);
/* Bytes a second that the viewer takes; 0: not known, as all that was sent went through at once:
 * treat as fast. */
uint64_t pace_rate(const struct pace *pace);
/* The least round trip of late, with the viewer's own time to answer; before the first answer what
 * the handshake took. */
uint32_t pace_rtt_us(const struct pace *pace);
/* By how much the last round trip was longer: what waits on the way. */
uint32_t pace_queue_us(const struct pace *pace);

#endif

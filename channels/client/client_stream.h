/* SPDX-License-Identifier: MIT */
/*
 * The streams of a display channel: video that the server sends in frames. Each is decoded by a
 * worker and drawn into the hub as a picture when its time has come, so that whatever is drawn
 * later replaces it. Loop thread only.
 */
#ifndef CHANNELS_CLIENT_CLIENT_STREAM_H
#define CHANNELS_CLIENT_CLIENT_STREAM_H

#include "channels/proto/messages.h"
#include "core/loop.h"
#include "core/ports.h"

struct client_streams;

struct client_streams_config {
	struct loop *loop;
	struct display_sink *out; /* borrowed: where frames are drawn */
	/* A report is to be sent to the server. */
	void (*report)(void *opaque, const struct msg_stream_report *report);
	void *opaque;
};

/* -ENOMEM. */
int client_streams_create(struct client_streams **out, const struct client_streams_config *config);
void client_streams_destroy(struct client_streams *streams); /* NULL is ignored */

/* Whether a message is a stream's. */
bool client_streams_takes(uint16_t type);
/* One of those. 0; -EPROTO when it breaks the protocol; -ENOMEM. */
int client_streams_message(
	struct client_streams *streams, uint16_t type, const uint8_t *body, size_t size);
/* The server's multimedia time is this now. */
void client_streams_set_time(struct client_streams *streams, uint32_t mm_time);
/* Another drawing is about to be drawn: frames that came before it must not appear over it. */
void client_streams_before_draw(struct client_streams *streams, const struct draw *draw);
/* A surface goes: nothing of what its streams hold is shown any more. */
void client_streams_surface_gone(struct client_streams *streams, uint32_t surface_id);
/* What came and was shown, for a log. */
void client_streams_describe(const struct client_streams *streams, char *text, size_t size);

#endif

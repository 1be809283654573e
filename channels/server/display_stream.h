/* SPDX-License-Identifier: MIT */
/*
 * The video streams of one viewer: which videos it is sent as streams, by which codec, at which
 * quality and rate, and the messages of them. Loop thread.
 */
#ifndef CHANNELS_SERVER_DISPLAY_STREAM_H
#define CHANNELS_SERVER_DISPLAY_STREAM_H

#include "channels/server/pace.h"
#include "channels/server/server_internal.h"
#include "channels/server/video_detector.h"

struct display_streams;

struct display_streams_ops {
	/* There is something to send: display_streams_pump() is to be called soon. */
	void (*wake)(void *opaque);
	/* Whether the viewer has been sent this surface, as it is now. */
	bool (*has_surface)(void *opaque, uint32_t surface_id);
	/* A frame was sent: the viewer has inexact pixels there. */
	void (*lossy)(void *opaque, uint32_t surface_id, const struct region *area);
	/* The viewer lacks these pixels, which a stream had taken. */
	void (*dirty)(void *opaque, uint32_t surface_id, const struct rect *area);
};

/* For the display channel of a session, once the viewer's INIT came. All but `out` are borrowed;
 * pace may be NULL. -ENOMEM. */
int display_streams_create(struct display_streams **out, struct channel *channel, struct pace *pace,
	const struct display_streams_ops *ops, void *opaque);
/* Sends nothing. NULL is ignored. */
void display_streams_destroy(struct display_streams *streams);

/* For each drawing and dirty area, after the detector saw it: true when an active stream shows it,
 * or will once it is copied to where it is seen, so that nothing else is to be sent for it. */
bool display_streams_take(struct display_streams *streams);
bool display_streams_take_dirty(
	struct display_streams *streams, uint32_t surface_id, const struct rect *area);

/* Sends the stream messages that are due, as far as the link has room. Before drawings that were
 * not taken are sent: what they cover has to leave the stream's clip first. */
void display_streams_pump(struct display_streams *streams);
/* Frames that wait to be encoded or sent. */
uint32_t display_streams_backlog(const struct display_streams *streams);
/* STREAM_REPORT and PREFERRED_VIDEO_CODEC_TYPE from the viewer. 0 or -EPROTO. */
int display_streams_report(struct display_streams *streams, const uint8_t *body, size_t size);
int display_streams_prefer(struct display_streams *streams, const uint8_t *body, size_t size);

#endif

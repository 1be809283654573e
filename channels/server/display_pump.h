/* SPDX-License-Identifier: MIT */
/*
 * Brings a viewer's queue to its link: takes out what is next when there is room, begins its
 * pictures, and sends the messages in that order as the pictures get ready. Several are in the
 * making at a time, so that all of the pool works on them. Loop thread.
 */
#ifndef CHANNELS_SERVER_DISPLAY_PUMP_H
#define CHANNELS_SERVER_DISPLAY_PUMP_H

#include "channels/server/display_encode.h"
#include "channels/server/display_stream.h"
#include "channels/server/pace.h"

enum { PUMP_JOBS_MAX = 32 };

struct display_pump;

struct pump_job {
	struct display_pump *pump;
	struct queue_item *item; /* owned */
	struct encoding encoding;
	bool pixels; /* captured ones, not the guest's drawing */
	bool failed; /* no memory: its pixels are owed */
	size_t bytes; /* that it may take on the wire, about */
};

/* Embedded in the display channel, which owns what it points to. */
struct display_pump {
	struct channel *channel;
	struct display_queue *queue;
	struct image_sender *images;
	struct display_streams *streams; /* may be NULL */
	struct pace *pace;
	/* Sends the message of a QUEUE_CREATE or QUEUE_DESTROY item. */
	void (*send_surface)(struct channel *channel, const struct queue_item *item);
	struct loop_idle *idle;
	struct loop_timer *rest;
	struct pump_job jobs[PUMP_JOBS_MAX]; /* a ring */
	uint32_t first;
	uint32_t count;
	size_t begun_bytes; /* of all jobs */
	uint32_t items_in_a_row; /* sent while pixels wait */
	bool want_mark; /* a primary surface was made, its picture was not sent: */
	struct region unseen; /* what of it still lacks */
	bool running;
};

/* The members above `idle` are set. -ENOMEM. */
int display_pump_init(struct display_pump *pump);
/* Before what it points to goes. Safe on a zeroed one. */
void display_pump_finish(struct display_pump *pump);
/* Something came into the queue: it is looked at, at the end of the turn. */
void display_pump_wake(struct display_pump *pump);
/* There may be room. */
void display_pump_run(struct display_pump *pump);
/* The link was given an inexact picture just now, other than by the pump. */
void display_pump_lossy(struct display_pump *pump, uint32_t id, const struct region *region);
uint32_t display_pump_backlog(const struct display_pump *pump);

#endif

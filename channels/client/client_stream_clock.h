/* SPDX-License-Identifier: MIT */
/*
 * When to show a stream's frames: the jitter buffer's numbers. Frames are stamped with the server's
 * multimedia time; the fastest way that one took of late, and what frames usually take longer, make
 * the delay at which all are shown in the stamps' own rhythm. It follows the link: it grows at once
 * where frames come late, and shrinks slowly.
 */
#ifndef CHANNELS_CLIENT_CLIENT_STREAM_CLOCK_H
#define CHANNELS_CLIENT_CLIENT_STREAM_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

enum { STREAM_CLOCK_DELAY_MAX_MS = 500 };

/* Zero-initialised is ready. Times are the monotonic clock's. */
struct stream_clock {
	bool running;
	uint32_t mm_time; /* of the last frame */
	int64_t stamp_ns; /* its time since the first */
	int64_t least[2]; /* arrival less stamp: the least of this while, and of the one before */
	uint32_t count; /* of this while */
	int64_t jitter_ns;
	uint64_t due_ns; /* of the last frame */
};

/* A frame came; answers when to show it. */
uint64_t stream_clock_frame(struct stream_clock *clock, uint32_t mm_time, uint64_t now_ns);
/* A frame was ready to be shown by so much too late. */
void stream_clock_late(struct stream_clock *clock, uint64_t late_ns);

#endif

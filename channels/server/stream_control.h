/* SPDX-License-Identifier: MIT */
/*
 * How good the frames of one stream are to be: what its link carries, what the viewer reports, and
 * what is worth sending. Numbers only; no clock, no I/O.
 */
#ifndef CHANNELS_SERVER_STREAM_CONTROL_H
#define CHANNELS_SERVER_STREAM_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "codecs/video.h"

struct stream_control {
	enum video_codec codec;
	uint32_t width, height; /* of the video on the screen */
	uint32_t share; /* of the link, in 1/1000: what the reports leave of it */
	uint32_t shift; /* frames are sent at width >> shift */
	uint32_t bad; /* frames in a row that were worse than they should be at this size */
	uint32_t good; /* frames in a row that would bear a larger size */
	uint32_t quality; /* averaged, times 16; 0: not known */
	bool slower; /* fewer and better frames */
	uint32_t interval_us; /* at which frames are sent; 0: as they come */
};

/* What is known of the link; zeroes where it is not. */
struct stream_link {
	uint64_t rate; /* bytes a second */
	uint32_t streams; /* that share it */
};

void stream_control_init(
	struct stream_control *control, enum video_codec codec, uint32_t width, uint32_t height);
/* A report of the viewer's: how many frames came, and came too late. */
void stream_control_report(struct stream_control *control, uint32_t frames, uint32_t drops);
/* A frame went out at this quality and size. Answers whether `shift` changed. */
bool stream_control_sent(struct stream_control *control, uint32_t quality, bool may_shrink);
/* What to ask of the next frames; `video_us`: the interval at which the guest draws them. */
struct video_demand stream_control_demand(
	struct stream_control *control, const struct stream_link *link, uint32_t video_us);

/* By how much the viewer's clock is to be behind ours so that frames come in time. */
uint32_t stream_lag_ms(uint32_t queue_us, uint32_t frame_bytes, uint64_t rate, uint32_t jitter_ms);

#endif

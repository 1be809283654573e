/* SPDX-License-Identifier: MIT */
/* The control of a stream's quality. */
#include "channels/server/stream_control.h"

#include "core/util.h"

enum {
	QUALITY = 85, /* what differs from better ones only side by side */
	QUALITY_BAD = 25, /* half the size at twice the quality looks better */
	QUALITY_GOOD = 60, /* at half the size: the whole may be tried again */
	/* Of frames that stand alone: below this fewer of them look better, above that all are sent. */
	QUALITY_SLOWER = 66,
	QUALITY_FASTER = 80,
	INTERVAL_SLOWER_US = 41667, /* the cinema's */
	FRAMES_BAD = 12,
	FRAMES_GOOD = 90,
	SHIFT_MAX = 2,
	SIDE_MIN = 64, /* nothing is shrunk below */
	SHARE_MIN = 100,
	SHARE_MAX = 1000,
	AVERAGE_MS = 5000,
	AVERAGE_SLOW_MS = 700,
	LINK_PERCENT = 70, /* of the link's rate: the rest is for what users wait for */
	INTERVAL_MIN_US = 16000, /* 60 frames a second are enough for everybody */
	INTERVAL_MAX_US = 250000,
	LAG_BASE_MS = 40, /* encoding, decoding, timers */
	LAG_MAX_MS = 2000,
};

void stream_control_init(
	struct stream_control *control, enum video_codec codec, uint32_t width, uint32_t height)
{
	*control = (struct stream_control){
		.codec = codec,
		.width = width,
		.height = height,
		.share = SHARE_MAX,
	};
}

void stream_control_report(struct stream_control *control, uint32_t frames, uint32_t drops)
{
	/* One frame late now and then is the network's jitter. */
	if (drops > frames / 8)
		control->share = MAX(control->share * 7 / 10, (uint32_t)SHARE_MIN);
	else if (drops == 0)
		control->share = MIN(control->share + 50, (uint32_t)SHARE_MAX);
}

bool stream_control_sent(struct stream_control *control, uint32_t quality, bool may_shrink)
{
	uint32_t side = MIN(control->width, control->height) >> (control->shift + 1);

	control->quality = control->quality ? (control->quality * 7 + quality * 16) / 8
					    : quality * 16;
	if (!video_codec_frames_alone(control->codec) || control->quality > QUALITY_FASTER * 16)
		control->slower = false;
	else if (control->quality < QUALITY_SLOWER * 16)
		control->slower = true;
	control->bad = quality < QUALITY_BAD ? control->bad + 1 : 0;
	control->good = quality >= QUALITY_GOOD ? control->good + 1 : 0;
	if (control->bad >= FRAMES_BAD && may_shrink && control->shift < SHIFT_MAX &&
		side >= SIDE_MIN) {
		control->shift++;
	} else if (control->good >= FRAMES_GOOD && control->shift > 0) {
		control->shift--;
	} else {
		return false;
	}
	control->bad = control->good = control->quality = 0;
	return true;
}

/* More than these bytes a frame are not worth it, however fast the link is. */
static uint32_t worth(const struct stream_control *control)
{
	uint64_t pixels = ((uint64_t)control->width >> control->shift) *
		((uint64_t)control->height >> control->shift);

	/* 1.7 and 0.75 bits a pixel. */
	pixels = control->codec == VIDEO_MJPEG ? pixels * 55 / 256 : pixels * 3 / 32;
	return (uint32_t)MIN(MAX(pixels, (uint64_t)2048), (uint64_t)UINT32_MAX);
}

/* Rounded down to a quarter of a power of two, so that viewers on like links ask for the same. */
static uint32_t rounded(uint64_t bytes)
{
	uint32_t shift = 0;

	while (bytes >> shift > 7)
		shift++;
	return (uint32_t)(bytes >> shift << shift);
}

struct video_demand stream_control_demand(
	struct stream_control *control, const struct stream_link *link, uint32_t video_us)
{
	struct video_demand demand = {
		.quality = QUALITY, .bytes = worth(control), .average_ms = AVERAGE_MS
	};
	uint32_t interval_us = MAX(video_us, (uint32_t)INTERVAL_MIN_US);
	uint64_t least = demand.bytes / 16;

	if (control->slower && interval_us < INTERVAL_SLOWER_US) {
		demand.bytes =
			(uint32_t)MIN((uint64_t)demand.bytes * INTERVAL_SLOWER_US / interval_us,
				(uint64_t)UINT32_MAX);
		interval_us = INTERVAL_SLOWER_US;
	}
	if (link->rate) {
		/* In bytes a second. */
		uint64_t budget = link->rate * LINK_PERCENT / 100 * control->share / SHARE_MAX /
			MAX(link->streams, 1u);
		uint64_t bytes = budget * interval_us / 1000000;

		/* Fewer frames rather than ones that nobody can see anything in. */
		if (bytes < least && budget) {
			uint64_t stretched = least * 1000000 / budget;

			interval_us = (uint32_t)MIN(stretched, (uint64_t)INTERVAL_MAX_US);
			bytes = budget * interval_us / 1000000;
		}
		if (bytes < demand.bytes)
			demand.bytes = MAX(rounded(bytes), 256u);
		/* What a slow link is given too much of has to wait. */
		if (bytes < (uint64_t)demand.bytes * 4)
			demand.average_ms = AVERAGE_SLOW_MS;
	} else if (control->share < SHARE_MAX) {
		demand.bytes = rounded((uint64_t)demand.bytes * control->share / SHARE_MAX);
	}
	control->interval_us = interval_us > video_us ? interval_us : 0;
	demand.interval_us = interval_us;
	return demand;
}

uint32_t stream_lag_ms(uint32_t queue_us, uint32_t frame_bytes, uint64_t rate, uint32_t jitter_ms)
{
	uint64_t lag_ms = LAG_BASE_MS + queue_us / 1000 + 2 * (uint64_t)jitter_ms;

	if (rate)
		lag_ms += (uint64_t)frame_bytes * 1000 / rate;
	return (uint32_t)MIN(lag_ms, (uint64_t)LAG_MAX_MS);
}

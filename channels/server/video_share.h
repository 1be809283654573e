/* SPDX-License-Identifier: MIT */
/*
 * Encoded frames of videos, made once for all viewers that want the same. A track is a video at one
 * size, quality and codec; viewers are its members. The pool encodes; each track has one frame at
 * most under way, always the newest. Who has no room for a frame when it is complete goes without;
 * where frames build on each other, on a track of its own from then on. Loop thread.
 */
#ifndef CHANNELS_SERVER_VIDEO_SHARE_H
#define CHANNELS_SERVER_VIDEO_SHARE_H

#include "channels/server/video_detector.h"
#include "codecs/video.h"
#include "core/pool.h"

struct video_share;
struct video_track;
struct video_member;

struct encoded_frame {
	int refs; /* of the loop thread */
	uint64_t number; /* the video's frame */
	uint32_t mm_time;
	uint32_t width, height;
	uint32_t quality;
	struct buf data;
};

void encoded_frame_unref(struct encoded_frame *frame); /* NULL is ignored */

struct video_member_ops {
	/* Whether the viewer takes another frame now. */
	bool (*has_room)(struct video_member *member);
	/* The pixels were taken: what was drawn before is in the frame that will come. */
	void (*captured)(struct video_member *member);
	/* A frame; the reference is the member's. NULL: it could not be encoded. None of these may
	 * leave or join tracks. */
	void (*encoded)(struct video_member *member, struct encoded_frame *frame);
};

/* What a track is to be. */
struct video_wish {
	enum video_codec codec;
	uint32_t width, height;
	uint32_t quality;
	uint32_t bytes; /* of a frame, on the average */
	uint32_t interval_us; /* between frames; 0: as the video has it */
	uint32_t average_ms; /* over which time `bytes` has to hold */
};

/* Embedded in a viewer's stream. */
struct video_member {
	const struct video_member_ops *ops;
	struct video_track *track; /* NULL: none */
	uint64_t awaits; /* the job that makes its next frame; 0: none */
	struct video_member *next; /* of the track */
};

/* All borrowed. -ENOMEM. */
int video_share_create(struct video_share **out, struct loop *loop, struct pool *pool,
	struct video_detector *detector);
/* There are no members any more. NULL is ignored. */
void video_share_destroy(struct video_share *share);

/* Makes the member one of a track of the video as wished. 0 or -errno. */
int video_share_join(struct video_share *share, struct video_member *member, struct video *video,
	const struct video_wish *wish);
/* Before the video ends. Does nothing for who is no member. */
void video_share_leave(struct video_share *share, struct video_member *member);
/* Changes what the member gets; its size and codec stay. */
void video_share_rewish(
	struct video_share *share, struct video_member *member, const struct video_wish *wish);

/* A frame of the video is complete, or a member has room again. */
void video_share_frame(struct video_share *share, struct video *video);
void video_share_room(struct video_share *share, struct video_member *member);

#endif

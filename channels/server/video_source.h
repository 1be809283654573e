/* SPDX-License-Identifier: MIT */
/*
 * Off-screen surfaces on which pictures are drawn that are then copied to the primary surface: such
 * a copy brings a picture where, and only where, the surface got one since the copy before. And what
 * is drawn where a video comes from need not be shown until the video is. Loop thread.
 */
#ifndef CHANNELS_SERVER_VIDEO_SOURCE_H
#define CHANNELS_SERVER_VIDEO_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/draw.h"
#include "core/rect.h"

enum { VIDEO_SOURCES_MAX = 8 };

struct video_source {
	uint32_t surface_id; /* 0: none, as the primary surface is no source */
	struct region fresh; /* pictures were drawn there, and not copied yet */
	uint64_t used_ns;
	struct rect feeds; /* from there a video was copied, */
	struct point shift; /* from where it is seen to there, */
	uint64_t video; /* by its id, */
	uint64_t fed_ns; /* at that time */
};

struct video_sources {
	struct video_source all[VIDEO_SOURCES_MAX];
};

void video_sources_init(struct video_sources *sources);
void video_sources_finish(struct video_sources *sources);
/* The surface went, or is a new one. */
void video_sources_forget(struct video_sources *sources, uint32_t surface_id);

/* A picture was drawn on an off-screen surface. Answers the id of the video that was last copied
 * from there, since `since_ns`; 0: there is none. */
uint64_t video_sources_drawn(struct video_sources *sources, uint32_t surface_id,
	const struct region *region, uint64_t since_ns, uint64_t now_ns);

/* Whether the drawing brings pixels of its own that a video's frame may consist of. */
bool video_source_is_picture(const struct draw *draw);
/* Whether the drawing is a plain copy from another surface; the pixel drawn at (x, y) is the one at
 * (x + shift.x, y + shift.y) of that. */
bool video_source_of(const struct draw *draw, uint32_t *surface_id, struct point *shift);
enum video_copy {
	VIDEO_COPY_OTHER,
	VIDEO_COPY_PICTURE, /* most of it is fresh, or some where a video comes from */
	VIDEO_COPY_AGAIN, /* the video's last frame once more */
};

/* The region was copied to the primary surface (where it is given): what does that bring? *video is
 * the one of VIDEO_COPY_AGAIN. What was fresh there is so no more. What is copied from where a video
 * comes from, but elsewhere, ends that: from now on it is shown as it is drawn. */
enum video_copy video_sources_copied(struct video_sources *sources, uint32_t surface_id,
	const struct region *region, const struct point *shift, uint64_t since_ns, uint64_t now_ns,
	uint64_t *video);
/* That copy was a part of the video. */
void video_sources_feed(struct video_sources *sources, uint32_t surface_id, uint64_t video,
	const struct rect *area, const struct point *shift, uint64_t now_ns);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Finds the areas of the primary surface that change at video rate, for all viewers at once, and
 * tells when a frame of such a "video" is complete.
 *
 * The surface is divided into tiles; each counts how often in a row pictures were put there at short
 * intervals. Neighbouring tiles that all did become a video, however the drawings are cut: whole
 * frames, strips, rectangles that change. What is shown there must also look like a moving picture
 * (video_content.h): text is none, however fast it scrolls.
 *
 * Pictures that are drawn on an off-screen surface count once they are copied to the primary one.
 *
 * A frame is complete when its drawings cover the area, or no more come for some milliseconds. Its
 * pixels are the hub's at that moment. Loop thread.
 */
#ifndef CHANNELS_SERVER_VIDEO_DETECTOR_H
#define CHANNELS_SERVER_VIDEO_DETECTOR_H

#include "channels/server/server.h"
#include "core/display.h"
#include "core/loop.h"

struct video_detector;
struct video_listener;

enum { VIDEOS_MAX = 8 };

/* Lives until every listener was told its end. */
struct video {
	uint64_t id; /* differs between all videos */
	uint32_t surface_id;
	struct rect area;
	struct region shown; /* the part that its frames drew: what lies above it is not in there */
	uint64_t frame; /* the number of the newest complete frame; 0: none yet */
	uint64_t frame_ns; /* when it was complete */
	uint64_t interval_ns; /* between frames, averaged */
};

struct video_listener_ops {
	/* A new one; what is drawn there from now on is part of its frames. */
	void (*begin)(struct video_listener *listener, struct video *video);
	/* A frame is complete. */
	void (*frame)(struct video_listener *listener, struct video *video);
	/* `shown` changed: something that is no video was drawn over it, or that part is back. */
	void (*shown)(struct video_listener *listener, struct video *video);
	/* It is calm, or gone with its surface, or has another size now (then a new one follows).
	 * Not to be used any more afterwards. */
	void (*end)(struct video_listener *listener, struct video *video);
};

struct video_listener {
	const struct video_listener_ops *ops;
	struct video_listener *next;
};

/* `display` is borrowed. -ENOMEM. */
int video_detector_create(struct video_detector **out, struct loop *loop, struct display *display);
void video_detector_destroy(struct video_detector *detector); /* NULL is ignored */

/* Which areas count: none, what looks like moving pictures, or whatever changes fast. */
void video_detector_set_mode(struct video_detector *detector, enum spice_video mode);

/* What the hub tells, before the viewers' queues are told; `now_ns` is clock_monotonic_ns(). A
 * surface appeared, or went (NULL). */
void video_detector_surface(
	struct video_detector *detector, uint32_t surface_id, const struct surface *surface);
void video_detector_draw(struct video_detector *detector, const struct draw *draw, uint64_t now_ns);
void video_detector_dirty(struct video_detector *detector, uint32_t surface_id,
	const struct rect *area, uint64_t now_ns);

void video_detector_listen(struct video_detector *detector, struct video_listener *listener);
void video_detector_unlisten(struct video_detector *detector, struct video_listener *listener);

/* The video whose next frame will show all that the drawing, or dirty area, told last changed; or
 * NULL. */
struct video *video_detector_took(const struct video_detector *detector);

/* The newest complete frame's pixels, captured once for all (a reference for the caller). -EAGAIN:
 * the next frame is being drawn; `frame` is told when it is complete. -ENOENT, -ENOMEM. */
int video_picture(
	struct video_detector *detector, struct video *video, struct pixel_rows **picture);

#endif

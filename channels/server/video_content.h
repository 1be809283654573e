/* SPDX-License-Identifier: MIT */
/* Tells moving pictures from text and drawings by how their pixels differ. Pure memory. */
#ifndef CHANNELS_SERVER_VIDEO_CONTENT_H
#define CHANNELS_SERVER_VIDEO_CONTENT_H

#include "core/surface.h"

/* What a sample of the pairs of horizontal neighbours shows; shares in 1/1000. */
struct video_content {
	uint32_t equal; /* of all pairs */
	uint32_t gradual; /* of the pairs that are not equal: those that differ little */
	uint32_t colors; /* different ones in the sample, at least */
};

/* Samples `area` (inside the surface, not empty). */
struct video_content video_content_measure(const struct surface *surface, const struct rect *area);
/* Whether it is one that a video codec does better than a lossless one. */
bool video_content_moves(const struct video_content *content);

#endif

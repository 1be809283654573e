/* SPDX-License-Identifier: MIT */
/* What the video encoders share with video_encode.c. */
#ifndef CODECS_VIDEO_ENCODE_H
#define CODECS_VIDEO_ENCODE_H

#include "codecs/video.h"

/* A frame of exactly the encoder's size. */
struct video_input {
	const uint8_t *const *rows;
	uint32_t time_ms;
};

struct video_encoder_ops {
	int (*encode)(struct video_encoder *encoder, struct buf *out,
		const struct video_input *input, const struct video_demand *demand);
	void (*destroy)(struct video_encoder *encoder); /* frees it */
};

/* Embedded in each encoder. */
struct video_encoder {
	const struct video_encoder_ops *ops;
	uint32_t width;
	uint32_t height;
	uint32_t quality; /* of the last frame */
	/* Once a frame had to be scaled: */
	uint8_t *source; /* its pixels in one piece */
	size_t source_bytes;
	uint8_t *scaled; /* width * height words */
	const uint8_t **scaled_rows;
};

int video_mjpeg_create(struct video_encoder **out, uint32_t width, uint32_t height);
int video_vp8_create(struct video_encoder **out, uint32_t width, uint32_t height);

#endif

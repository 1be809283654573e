/* SPDX-License-Identifier: MIT */
/* Video of streams: MJPEG and VP8, frame by frame. Memory in, memory out. */
#ifndef CODECS_VIDEO_H
#define CODECS_VIDEO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"

enum video_codec { VIDEO_MJPEG, VIDEO_VP8, VIDEO_CODECS };

/* ---- decoders; used by one thread at a time ---- */

struct video_decoder;

/* -ENOMEM. */
int video_decoder_create(struct video_decoder **out, enum video_codec codec);
void video_decoder_destroy(struct video_decoder *decoder); /* NULL is ignored */
/* Whether each frame stands alone, so that one that is not shown need not be decoded. */
bool video_codec_frames_alone(enum video_codec codec);
/* Takes the next frame, which must stay until it was read. Its size comes out. -EPROTO when it cannot
 * be decoded, or is larger than max_pixels: the next frame may be tried all the same; -ENOMEM. */
int video_decoder_frame(struct video_decoder *decoder, const uint8_t *data, size_t size,
	uint64_t max_pixels, uint32_t *width, uint32_t *height);
/* Writes the pixels of that frame, bytes B, G, R, 255, the first row at `pixels`, the next `stride`
 * bytes further (which may be negative). -EPROTO, -ENOMEM. */
int video_decoder_read(struct video_decoder *decoder, uint8_t *pixels, ptrdiff_t stride);

/* ---- encoders; used by one thread at a time ---- */

struct video_encoder;

/* What is asked of a frame. */
struct video_demand {
	uint32_t quality; /* 1 to 100: not better than this; 100 is visually lossless */
	uint32_t bytes; /* how large frames may be on the average; 0: does not matter */
	uint32_t interval_us; /* until the next frame, about */
	uint32_t average_ms; /* over which time `bytes` has to hold; 0: 1000 */
	bool refresh; /* does not build on frames before it */
};

/* Encodes frames of this size in pixels (at most 16384 a side). -EINVAL, -ENOMEM. */
int video_encoder_create(
	struct video_encoder **out, enum video_codec codec, uint32_t width, uint32_t height);
void video_encoder_destroy(struct video_encoder *encoder); /* NULL is ignored */

/* Appends a frame made of a picture's rows of bytes B, G, R and one that is ignored; one of another
 * size than the encoder's is scaled. Nothing is appended when the encoder left the frame out.
 * `time_ms` grows from frame to frame. -EINVAL, -ENOMEM, -EIO. */
int video_encoder_encode(struct video_encoder *encoder, struct buf *out, const uint8_t *const *rows,
	uint32_t width, uint32_t height, uint32_t time_ms, const struct video_demand *demand);
/* The quality of the last frame, on the scale of the demand. */
uint32_t video_encoder_quality(const struct video_encoder *encoder);

#endif

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

#endif

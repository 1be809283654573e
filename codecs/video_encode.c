/* SPDX-License-Identifier: MIT */
/* The encoders' common part: sizes and scaling. */
#include "codecs/video_encode.h"

#include <errno.h>
#include <stdlib.h>

#include <libyuv/scale_argb.h>

#include "core/surface.h"

static bool size_acceptable(uint32_t width, uint32_t height)
{
	return width && height && width <= SURFACE_MAX_SIDE && height <= SURFACE_MAX_SIDE &&
		(uint64_t)width * height * 4 <= SURFACE_MAX_BYTES;
}

int video_encoder_create(
	struct video_encoder **out, enum video_codec codec, uint32_t width, uint32_t height)
{
	int ret;

	if (!size_acceptable(width, height))
		return -EINVAL;
	switch (codec) {
	case VIDEO_MJPEG: ret = video_mjpeg_create(out, width, height); break;
	case VIDEO_VP8: ret = video_vp8_create(out, width, height); break;
	default: return -EINVAL;
	}
	if (ret == 0) {
		(*out)->width = width;
		(*out)->height = height;
	}
	return ret;
}

void video_encoder_destroy(struct video_encoder *encoder)
{
	if (!encoder)
		return;
	free(encoder->scaled);
	encoder->ops->destroy(encoder);
}

uint32_t video_encoder_quality(const struct video_encoder *encoder)
{
	return encoder->quality;
}

static int scale(
	struct video_encoder *encoder, struct video_input *input, uint32_t width, uint32_t height)
{
	int32_t stride = (int32_t)encoder->width * 4;

	if (!encoder->scaled)
		encoder->scaled = malloc((size_t)stride * encoder->height);
	if (!encoder->scaled)
		return -ENOMEM;
	if (ARGBScale(input->pixels, (int)input->stride, (int)width, (int)height, encoder->scaled,
		    stride, (int)encoder->width, (int)encoder->height, kFilterBox) != 0)
		return -ENOMEM;
	input->pixels = encoder->scaled;
	input->stride = stride;
	return 0;
}

int video_encoder_encode(struct video_encoder *encoder, struct buf *out, const uint8_t *pixels,
	uint32_t width, uint32_t height, ptrdiff_t stride, uint32_t time_ms,
	const struct video_demand *demand)
{
	struct video_input input = { .pixels = pixels, .stride = stride, .time_ms = time_ms };
	const size_t size_before = out->size;
	int ret = 0;

	if (!size_acceptable(width, height) || demand->quality < 1 || demand->quality > 100)
		return -EINVAL;
	if (width != encoder->width || height != encoder->height)
		ret = scale(encoder, &input, width, height);
	if (ret == 0)
		ret = encoder->ops->encode(encoder, out, &input, demand);
	if (ret < 0)
		out->size = size_before;
	return ret;
}

/* SPDX-License-Identifier: MIT */
/* The encoders' common part: sizes and scaling. */
#include "codecs/video_encode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
	free(encoder->source);
	free(encoder->scaled);
	free(encoder->scaled_rows);
	encoder->ops->destroy(encoder);
}

uint32_t video_encoder_quality(const struct video_encoder *encoder)
{
	return encoder->quality;
}

/* A buffer for scaled frames. */
static int prepare_scaled(struct video_encoder *encoder)
{
	const size_t stride = (size_t)encoder->width * 4;

	if (encoder->scaled)
		return 0;
	encoder->scaled_rows = malloc(encoder->height * sizeof(*encoder->scaled_rows));
	if (!encoder->scaled_rows)
		return -ENOMEM;
	encoder->scaled = malloc(stride * encoder->height);
	if (!encoder->scaled) {
		free(encoder->scaled_rows);
		encoder->scaled_rows = NULL;
		return -ENOMEM;
	}
	for (uint32_t y = 0; y < encoder->height; y++)
		encoder->scaled_rows[y] = encoder->scaled + stride * y;
	return 0;
}

static int scale(
	struct video_encoder *encoder, struct video_input *input, uint32_t width, uint32_t height)
{
	const size_t stride = (size_t)width * 4;
	int ret = prepare_scaled(encoder);

	if (ret < 0)
		return ret;
	if (encoder->source_bytes < stride * height) {
		free(encoder->source);
		encoder->source = malloc(stride * height);
		encoder->source_bytes = encoder->source ? stride * height : 0;
	}
	if (!encoder->source)
		return -ENOMEM;
	for (uint32_t y = 0; y < height; y++)
		memcpy(encoder->source + stride * y, input->rows[y], stride);
	if (ARGBScale(encoder->source, (int)stride, (int)width, (int)height, encoder->scaled,
		    (int)encoder->width * 4, (int)encoder->width, (int)encoder->height,
		    kFilterBox) != 0)
		return -ENOMEM;
	input->rows = encoder->scaled_rows;
	return 0;
}

int video_encoder_encode(struct video_encoder *encoder, struct buf *out, const uint8_t *const *rows,
	uint32_t width, uint32_t height, uint32_t time_ms, const struct video_demand *demand)
{
	struct video_input input = { .rows = rows, .time_ms = time_ms };
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

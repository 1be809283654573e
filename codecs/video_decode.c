/* SPDX-License-Identifier: MIT */
/* Decoders of streams: MJPEG by the JPEG decoder, VP8 by libvpx. */
#include <errno.h>
#include <stdlib.h>

#define VPX_CODEC_DISABLE_COMPAT 1
#include <vpx/vp8dx.h>
#include <vpx/vpx_decoder.h>

#include "codecs/jpeg.h"
#include "codecs/video.h"
#include "codecs/video_yuv.h"

struct video_decoder {
	enum video_codec codec;
	/* The frame at hand. */
	uint32_t width;
	uint32_t height;
	/* VIDEO_MJPEG */
	const uint8_t *data;
	size_t size;
	/* VIDEO_VP8 */
	vpx_codec_ctx_t vpx;
	const vpx_image_t *picture; /* the decoder's; NULL: none */
};

bool video_codec_frames_alone(enum video_codec codec)
{
	return codec == VIDEO_MJPEG;
}

int video_decoder_create(struct video_decoder **out, enum video_codec codec)
{
	struct video_decoder *decoder = calloc(1, sizeof(*decoder));
	const vpx_codec_dec_cfg_t config = { .threads = 1 };

	if (!decoder)
		return -ENOMEM;
	decoder->codec = codec;
	if (codec == VIDEO_VP8 &&
		vpx_codec_dec_init(&decoder->vpx, vpx_codec_vp8_dx(), &config, 0) != VPX_CODEC_OK) {
		free(decoder);
		return -ENOMEM;
	}
	*out = decoder;
	return 0;
}

void video_decoder_destroy(struct video_decoder *decoder)
{
	if (!decoder)
		return;
	if (decoder->codec == VIDEO_VP8)
		vpx_codec_destroy(&decoder->vpx);
	free(decoder);
}

static int vp8_frame(
	struct video_decoder *decoder, const uint8_t *data, size_t size, uint64_t max_pixels)
{
	vpx_codec_stream_info_t info = { .sz = sizeof(info) };
	vpx_codec_iter_t iter = NULL;
	vpx_codec_err_t err;

	/* libvpx takes no data for the end of the stream. */
	if (!size || size > UINT32_MAX / 2)
		return -EPROTO;
	/* What is too large is not given to the decoder, which would allocate it. */
	if (vpx_codec_peek_stream_info(vpx_codec_vp8_dx(), data, (unsigned int)size, &info) ==
			VPX_CODEC_OK &&
		info.is_kf && (uint64_t)info.w * info.h > max_pixels)
		return -EPROTO;
	err = vpx_codec_decode(&decoder->vpx, data, (unsigned int)size, NULL, 0);
	if (err != VPX_CODEC_OK)
		return err == VPX_CODEC_MEM_ERROR ? -ENOMEM : -EPROTO;
	decoder->picture = vpx_codec_get_frame(&decoder->vpx, &iter);
	if (!decoder->picture || decoder->picture->fmt != VPX_IMG_FMT_I420 ||
		!decoder->picture->d_w || !decoder->picture->d_h ||
		(uint64_t)decoder->picture->d_w * decoder->picture->d_h > max_pixels) {
		decoder->picture = NULL;
		return -EPROTO;
	}
	decoder->width = decoder->picture->d_w;
	decoder->height = decoder->picture->d_h;
	return 0;
}

static int mjpeg_frame(
	struct video_decoder *decoder, const uint8_t *data, size_t size, uint64_t max_pixels)
{
	int err = jpeg_picture_size(data, size, &decoder->width, &decoder->height);

	if (err == 0 && (uint64_t)decoder->width * decoder->height > max_pixels)
		err = -EPROTO;
	if (err < 0)
		return err;
	decoder->data = data;
	decoder->size = size;
	return 0;
}

int video_decoder_frame(struct video_decoder *decoder, const uint8_t *data, size_t size,
	uint64_t max_pixels, uint32_t *width, uint32_t *height)
{
	int err;

	decoder->picture = NULL;
	decoder->data = NULL;
	if (decoder->codec == VIDEO_VP8)
		err = vp8_frame(decoder, data, size, max_pixels);
	else
		err = mjpeg_frame(decoder, data, size, max_pixels);
	if (err < 0)
		return err;
	*width = decoder->width;
	*height = decoder->height;
	return 0;
}

int video_decoder_read(struct video_decoder *decoder, uint8_t *pixels, ptrdiff_t stride)
{
	const vpx_image_t *picture = decoder->picture;

	if (decoder->data)
		return jpeg_picture_decode(decoder->data, decoder->size, decoder->width,
			decoder->height, pixels, stride);
	if (!picture)
		return -EPROTO;
	video_yuv_to_bgrx(pixels, stride, decoder->width, decoder->height,
		&(struct video_yuv){ { picture->planes[VPX_PLANE_Y], picture->planes[VPX_PLANE_U],
					     picture->planes[VPX_PLANE_V] },
			{ picture->stride[VPX_PLANE_Y], picture->stride[VPX_PLANE_U],
				picture->stride[VPX_PLANE_V] } });
	return 0;
}

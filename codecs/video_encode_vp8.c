/* SPDX-License-Identifier: MIT */
/*
 * VP8 by libvpx, for pictures that cannot wait: one pass, no frame looked at ahead.
 *
 * A frame may build on the last one and on the one before that (kept by turns in the golden and the
 * alternate buffer). Libvpx's own use of these buffers, a better frame now and then, gains little here,
 * while a picture that moves by half pixels finds itself exactly two frames ago.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include <vpx/vp8cx.h>
#include <vpx/vpx_encoder.h>

#include "codecs/video_encode.h"
#include "codecs/video_planes.h"
#include "core/surface.h"
#include "core/util.h"

enum {
	QUANTIZER_MAX = 58, /* of 63: beyond this nothing can be recognised */
	THREAD_PIXELS = 1280 * 720, /* larger frames are encoded by two threads */
	SPEED_BEST = 6,
	SPEED_WORST = 8, /* beyond this the older reference frames are not looked at */
	/* The error within a block of 16x16 that is left as it is: 36 dB. */
	STATIC_THRESHOLD = 4000,
	KEY_FRAME_PERCENT = 900, /* of an average one, at most */
	INTERVAL_MAX_US = 1000000,
};

struct vp8 {
	struct video_encoder base;
	vpx_codec_ctx_t codec;
	vpx_codec_enc_cfg_t config;
	bool ready; /* codec */
	vpx_image_t *image;
	bool started;
	uint32_t first_ms;
	int64_t last_pts;
	uint64_t frames;
	int speed;
	uint64_t busy_us; /* a frame, averaged */
};

static int codec_error(vpx_codec_err_t err)
{
	return err == VPX_CODEC_MEM_ERROR ? -ENOMEM : -EIO;
}

static uint64_t thread_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static unsigned int quality_quantizer(uint32_t quality)
{
	return MIN(2 + (100 - quality) * 6 / 10, (unsigned int)QUANTIZER_MAX);
}

/* ---- settings ---- */

static unsigned int demanded_kbps(const struct vp8 *vp8, const struct video_demand *demand)
{
	uint32_t interval_us = MIN(MAX(demand->interval_us, 5000u), (uint32_t)INTERVAL_MAX_US);
	uint64_t bytes = demand->bytes;

	/* As much as it takes. */
	if (!bytes)
		bytes = (uint64_t)vp8->base.width * vp8->base.height / 4;
	return (unsigned int)MIN(MAX(bytes * 8000 / interval_us, (uint64_t)20), (uint64_t)400000);
}

static void fill_config(
	struct vp8 *vp8, unsigned int kbps, unsigned int quantizer, unsigned int average_ms)
{
	vpx_codec_enc_cfg_t *config = &vp8->config;

	config->g_w = vp8->base.width;
	config->g_h = vp8->base.height;
	config->g_timebase = (struct vpx_rational){ 1, 1000 };
	config->g_lag_in_frames = 0;
	config->g_threads = vp8->base.width * vp8->base.height > THREAD_PIXELS ? 2 : 1;
	config->rc_end_usage = VPX_CBR;
	config->rc_target_bitrate = kbps;
	config->rc_min_quantizer = quantizer;
	config->rc_max_quantizer = QUANTIZER_MAX;
	config->rc_dropframe_thresh = 0; /* whoever sends drops, before encoding */
	config->rc_undershoot_pct = 100;
	config->rc_overshoot_pct = 15;
	/* Milliseconds of the rate. */
	config->rc_buf_sz = average_ms;
	config->rc_buf_initial_sz = average_ms / 2;
	config->rc_buf_optimal_sz = average_ms * 6 / 10;
	config->kf_mode = VPX_KF_DISABLED; /* they are asked for */
}

static int codec_start(struct vp8 *vp8)
{
	bool threads = vp8->config.g_threads > 1;
	vpx_codec_err_t err;

	err = vpx_codec_enc_init(&vp8->codec, vpx_codec_vp8_cx(), &vp8->config, 0);
	if (err != VPX_CODEC_OK)
		return codec_error(err);
	vp8->ready = true;
	vpx_codec_control(&vp8->codec, VP8E_SET_CPUUSED, -vp8->speed);
	vpx_codec_control(&vp8->codec, VP8E_SET_STATIC_THRESHOLD, STATIC_THRESHOLD);
	vpx_codec_control(&vp8->codec, VP8E_SET_MAX_INTRA_BITRATE_PCT, KEY_FRAME_PERCENT);
	vpx_codec_control(&vp8->codec, VP8E_SET_TOKEN_PARTITIONS,
		threads ? VP8_TWO_TOKENPARTITION : VP8_ONE_TOKENPARTITION);
	return 0;
}

static int prepare(struct vp8 *vp8, const struct video_demand *demand)
{
	unsigned int kbps = demanded_kbps(vp8, demand);
	unsigned int quantizer = quality_quantizer(demand->quality);
	unsigned int average_ms = MIN(demand->average_ms ? demand->average_ms : 1000u, 10000u);
	unsigned int old = vp8->config.rc_target_bitrate;

	if (!vp8->ready) {
		fill_config(vp8, kbps, quantizer, average_ms);
		vp8->image = vpx_img_alloc(
			NULL, VPX_IMG_FMT_I420, vp8->base.width, vp8->base.height, 32);
		return vp8->image ? codec_start(vp8) : -ENOMEM;
	}
	/* Its own control of the rate begins anew with each change. */
	if (quantizer == vp8->config.rc_min_quantizer && average_ms == vp8->config.rc_buf_sz &&
		kbps <= old + old / 8 && kbps + old / 8 >= old)
		return 0;
	fill_config(vp8, kbps, quantizer, average_ms);
	return vpx_codec_enc_config_set(&vp8->codec, &vp8->config) == VPX_CODEC_OK ? 0 : -EIO;
}

/* Gives up some of the search when a frame takes most of the time until the next one. */
static void adapt_speed(struct vp8 *vp8, uint64_t used_us, uint32_t interval_us)
{
	int speed = vp8->speed;

	vp8->busy_us = vp8->busy_us ? (vp8->busy_us * 7 + used_us) / 8 : used_us;
	if (vp8->busy_us > interval_us / 2u && speed < SPEED_WORST)
		speed++;
	else if (vp8->busy_us < interval_us / 5u && speed > SPEED_BEST)
		speed--;
	if (speed == vp8->speed)
		return;
	vp8->speed = speed;
	vp8->busy_us = 0;
	vpx_codec_control(&vp8->codec, VP8E_SET_CPUUSED, -speed);
}

/* ---- frames ---- */

static vpx_enc_frame_flags_t reference_flags(const struct vp8 *vp8, bool refresh)
{
	if (refresh || vp8->frames == 0)
		return VPX_EFLAG_FORCE_KF;
	if (vp8->frames % 2)
		return VP8_EFLAG_FORCE_ARF | VP8_EFLAG_NO_UPD_GF;
	return VP8_EFLAG_FORCE_GF | VP8_EFLAG_NO_UPD_ARF;
}

static int take_packets(struct vp8 *vp8, struct buf *out)
{
	const vpx_codec_cx_pkt_t *packet;
	vpx_codec_iter_t at = NULL;
	int ret = 0;

	while ((packet = vpx_codec_get_cx_data(&vp8->codec, &at)))
		if (packet->kind == VPX_CODEC_CX_FRAME_PKT && ret == 0)
			ret = buf_append(out, packet->data.frame.buf, packet->data.frame.sz);
	return ret;
}

static void convert(struct vp8 *vp8, const uint8_t *const *rows)
{
	const uint32_t width = vp8->base.width, height = vp8->base.height;
	const vpx_image_t *image = vp8->image;

	for (uint32_t y = 0; y < height; y += 2) {
		uint32_t next = MIN(y + 1, height - 1);
		struct video_row_pair pair = {
			.bgrx = { rows[y], rows[next] },
			.luma = { image->planes[0] + (ptrdiff_t)image->stride[0] * y,
				image->planes[0] + (ptrdiff_t)image->stride[0] * next },
			.blue = image->planes[1] + (ptrdiff_t)image->stride[1] * (y / 2),
			.red = image->planes[2] + (ptrdiff_t)image->stride[2] * (y / 2),
		};

		video_planes_pair(&pair, width, VIDEO_RANGE_VIDEO);
	}
}

static int vp8_encode(struct video_encoder *encoder, struct buf *out,
	const struct video_input *input, const struct video_demand *demand)
{
	struct vp8 *vp8 = container_of(encoder, struct vp8, base);
	uint64_t began_us = thread_us();
	vpx_image_t *image;
	vpx_codec_err_t err;
	int quantizer = 0;
	int64_t pts;
	int ret = prepare(vp8, demand);

	if (ret < 0)
		return ret;
	image = vp8->image;
	convert(vp8, input->rows);
	if (!vp8->started)
		vp8->first_ms = input->time_ms;
	pts = (int64_t)(uint32_t)(input->time_ms - vp8->first_ms);
	if (vp8->started && pts <= vp8->last_pts)
		pts = vp8->last_pts + 1;
	err = vpx_codec_encode(&vp8->codec, image, pts, MAX(demand->interval_us / 1000, 1u),
		reference_flags(vp8, demand->refresh), VPX_DL_REALTIME);
	if (err != VPX_CODEC_OK)
		return codec_error(err);
	vp8->started = true;
	vp8->last_pts = pts;
	vp8->frames = demand->refresh ? 1 : vp8->frames + 1;
	vpx_codec_control(&vp8->codec, VP8E_GET_LAST_QUANTIZER_64, &quantizer);
	encoder->quality = (uint32_t)(100 - (MIN(MAX(quantizer, 2), 60) - 2) * 10 / 6);
	adapt_speed(vp8, thread_us() - began_us, demand->interval_us);
	return take_packets(vp8, out);
}

static void vp8_destroy(struct video_encoder *encoder)
{
	struct vp8 *vp8 = container_of(encoder, struct vp8, base);

	if (vp8->ready)
		vpx_codec_destroy(&vp8->codec);
	vpx_img_free(vp8->image);
	free(vp8);
}

static const struct video_encoder_ops vp8_ops = {
	.encode = vp8_encode,
	.destroy = vp8_destroy,
};

int video_vp8_create(struct video_encoder **out, uint32_t width, uint32_t height)
{
	struct vp8 *vp8 = calloc(1, sizeof(*vp8));

	if (!vp8)
		return -ENOMEM;
	vp8->base.ops = &vp8_ops;
	vp8->speed = SPEED_BEST;
	if (vpx_codec_enc_config_default(vpx_codec_vp8_cx(), &vp8->config, 0) != VPX_CODEC_OK) {
		vp8_destroy(&vp8->base);
		return -EIO;
	}
	(void)width;
	(void)height;
	*out = &vp8->base;
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* Frames of streams are decoded as they were encoded, and broken ones do no harm. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <vpx/vp8cx.h>
#include <vpx/vpx_encoder.h>

#include "codecs/jpeg.h"
#include "codecs/video.h"
#include "codecs/video_yuv.h"
#include "core/util.h"

enum { MAX_PIXELS = 1 << 20 };

static uint32_t next(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* A smooth picture that moves with `t`, bytes B, G, R, x. */
static uint8_t *paint(uint32_t width, uint32_t height, uint32_t t)
{
	uint8_t *pixels = malloc((size_t)width * height * 4);

	assert_non_null(pixels);
	for (uint32_t y = 0; y < height; y++) {
		for (uint32_t x = 0; x < width; x++) {
			uint8_t *at = pixels + ((size_t)y * width + x) * 4;

			at[0] = (uint8_t)(40 + x * 150 / width);
			at[1] = (uint8_t)(60 + y * 150 / height);
			at[2] = (uint8_t)(128 + t * 3);
			at[3] = 0;
		}
	}
	return pixels;
}

/* The mean difference of the colours, which must all be near. */
static uint32_t difference(const uint8_t *a, const uint8_t *b, size_t pixels)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < pixels * 4; i++)
		if (i % 4 != 3)
			sum += (uint64_t)abs(a[i] - b[i]);
	return (uint32_t)(sum / pixels / 3);
}

/* Decodes a frame that must be `pixels`, in both directions. */
static void check_frame(struct video_decoder *decoder, const struct buf *frame, uint32_t width,
	uint32_t height, const uint8_t *pixels)
{
	size_t stride = (size_t)width * 4 + 12;
	uint8_t *out = malloc(stride * height);
	uint8_t *flat = malloc((size_t)width * 4 * height);
	uint32_t w, h;

	assert_int_equal(
		video_decoder_frame(decoder, buf_bytes(frame), frame->size, MAX_PIXELS, &w, &h), 0);
	assert_int_equal(w, width);
	assert_int_equal(h, height);
	for (int upwards = 0; upwards < 2; upwards++) {
		uint8_t *first = out + (upwards ? stride * (height - 1) : 0);
		ptrdiff_t step = upwards ? -(ptrdiff_t)stride : (ptrdiff_t)stride;

		memset(out, 0xaa, stride * height);
		assert_int_equal(video_decoder_read(decoder, first, step), 0);
		for (uint32_t y = 0; y < height; y++) {
			const uint8_t *row = first + step * (ptrdiff_t)y;

			memcpy(flat + (size_t)width * 4 * y, row, (size_t)width * 4);
			assert_int_equal(row[3], 255);
		}
		for (uint32_t y = 0; y < height; y++)
			for (int i = 0; i < 12; i++)
				assert_int_equal(out[stride * y + width * 4 + i], 0xaa);
		assert_in_range(difference(flat, pixels, (size_t)width * height), 0, 4);
	}
	free(flat);
	free(out);
}

static void test_mjpeg(void **state)
{
	struct video_decoder *decoder;

	(void)state;
	assert_int_equal(video_decoder_create(&decoder, VIDEO_MJPEG), 0);
	for (uint32_t i = 0; i < 6; i++) {
		uint32_t width = 16 + i * 33, height = 8 + i * 21;
		uint8_t *pixels = paint(width, height, i);
		struct buf frame = { 0 };

		assert_int_equal(
			jpeg_picture_encode(&frame, width, height, pixels, width * 4, 95, JPEG_420),
			0);
		check_frame(decoder, &frame, width, height, pixels);
		buf_finish(&frame);
		free(pixels);
	}
	video_decoder_destroy(decoder);
}

/* BT.601, as the viewers of the world expect it. */
static void fill_image(vpx_image_t *image, const uint8_t *pixels, uint32_t width, uint32_t height)
{
	for (uint32_t y = 0; y < height; y++) {
		for (uint32_t x = 0; x < width; x++) {
			const uint8_t *p = pixels + ((size_t)y * width + x) * 4;

			image->planes[0][(size_t)image->stride[0] * y + x] =
				(uint8_t)(16.5 + 0.098 * p[0] + 0.504 * p[1] + 0.257 * p[2]);
			image->planes[1][(size_t)image->stride[1] * (y / 2) + x / 2] =
				(uint8_t)(128.5 + 0.439 * p[0] - 0.291 * p[1] - 0.148 * p[2]);
			image->planes[2][(size_t)image->stride[2] * (y / 2) + x / 2] =
				(uint8_t)(128.5 - 0.071 * p[0] - 0.368 * p[1] + 0.439 * p[2]);
		}
	}
}

struct encoder {
	vpx_codec_ctx_t vpx;
	vpx_image_t *image;
	uint32_t width, height, frames;
};

static void encoder_begin(struct encoder *e, uint32_t width, uint32_t height)
{
	vpx_codec_enc_cfg_t config;

	memset(e, 0, sizeof(*e));
	e->width = width;
	e->height = height;
	assert_int_equal(vpx_codec_enc_config_default(vpx_codec_vp8_cx(), &config, 0), 0);
	config.g_w = width;
	config.g_h = height;
	config.rc_target_bitrate = 4000;
	config.g_lag_in_frames = 0;
	assert_int_equal(vpx_codec_enc_init(&e->vpx, vpx_codec_vp8_cx(), &config, 0), 0);
	e->image = vpx_img_alloc(NULL, VPX_IMG_FMT_I420, width, height, 16);
	assert_non_null(e->image);
}

static void encoder_end(struct encoder *e)
{
	vpx_img_free(e->image);
	vpx_codec_destroy(&e->vpx);
}

static void encode(struct encoder *e, const uint8_t *pixels, struct buf *frame)
{
	vpx_codec_iter_t iter = NULL;
	const vpx_codec_cx_pkt_t *packet;

	fill_image(e->image, pixels, e->width, e->height);
	assert_int_equal(vpx_codec_encode(&e->vpx, e->image, (vpx_codec_pts_t)e->frames++, 1, 0,
				 VPX_DL_REALTIME),
		0);
	while ((packet = vpx_codec_get_cx_data(&e->vpx, &iter)) != NULL)
		if (packet->kind == VPX_CODEC_CX_FRAME_PKT)
			assert_int_equal(
				buf_append(frame, packet->data.frame.buf, packet->data.frame.sz),
				0);
}

static void test_vp8(void **state)
{
	static const uint32_t sizes[][2] = { { 64, 48 }, { 161, 91 }, { 320, 201 } };
	struct video_decoder *decoder;

	(void)state;
	/* One decoder: a stream's size may change with a key frame. */
	assert_int_equal(video_decoder_create(&decoder, VIDEO_VP8), 0);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct encoder e;

		encoder_begin(&e, sizes[i][0], sizes[i][1]);
		for (uint32_t t = 0; t < 10; t++) {
			uint8_t *pixels = paint(e.width, e.height, t);
			struct buf frame = { 0 };

			encode(&e, pixels, &frame);
			check_frame(decoder, &frame, e.width, e.height, pixels);
			buf_finish(&frame);
			free(pixels);
		}
		encoder_end(&e);
	}
	video_decoder_destroy(decoder);
}

/* Whatever is wrong with a frame, the decoder says so or makes a picture of the size it told, and
 * goes on with the next. */
static void harm(enum video_codec codec, const struct buf *frame)
{
	struct video_decoder *decoder;
	uint8_t *pixels = malloc(MAX_PIXELS * 4);
	uint8_t *copy = malloc(frame->size);
	uint32_t seed = 7, w, h;

	assert_int_equal(video_decoder_create(&decoder, codec), 0);
	for (uint32_t i = 0; i < 400; i++) {
		size_t size = i < 200 ? frame->size * i / 200 : frame->size;

		memcpy(copy, buf_bytes(frame), frame->size);
		for (uint32_t n = 0; i >= 200 && n < 1 + i % 4; n++)
			copy[next(&seed) % frame->size] = (uint8_t)next(&seed);
		if (video_decoder_frame(decoder, copy, size, MAX_PIXELS, &w, &h) < 0) {
			assert_int_equal(video_decoder_read(decoder, pixels, 4), -EPROTO);
			continue;
		}
		assert_true(w && h && (uint64_t)w * h <= MAX_PIXELS);
		video_decoder_read(decoder, pixels, (ptrdiff_t)w * 4);
	}
	/* Too large for who asks. */
	assert_int_equal(
		video_decoder_frame(decoder, buf_bytes(frame), frame->size, 64 * 48 - 1, &w, &h),
		-EPROTO);
	assert_int_equal(
		video_decoder_frame(decoder, buf_bytes(frame), frame->size, 64 * 48, &w, &h), 0);
	video_decoder_destroy(decoder);
	free(copy);
	free(pixels);
}

static void test_broken_frames(void **state)
{
	uint8_t *pixels = paint(64, 48, 1);
	struct buf jpeg = { 0 }, vp8 = { 0 };
	struct encoder e;

	(void)state;
	assert_int_equal(jpeg_picture_encode(&jpeg, 64, 48, pixels, 64 * 4, 80, JPEG_420), 0);
	harm(VIDEO_MJPEG, &jpeg);
	encoder_begin(&e, 64, 48);
	encode(&e, pixels, &vp8);
	harm(VIDEO_VP8, &vp8);
	encoder_end(&e);
	buf_finish(&jpeg);
	buf_finish(&vp8);
	free(pixels);
}

static void test_colours(void **state)
{
	enum { W = 61, H = 37 };
	uint8_t y[W * H], u[(W + 1) / 2 * ((H + 1) / 2)], v[sizeof(u)];
	uint8_t a[W * H * 4], b[W * H * 4];
	const struct video_yuv yuv = { { y, u, v }, { W, (W + 1) / 2, (W + 1) / 2 } };
	/* Black, white, and the primaries of BT.601. */
	static const uint8_t known[][6] = { { 16, 128, 128, 0, 0, 0 },
		{ 235, 128, 128, 255, 255, 255 }, { 81, 90, 240, 0, 0, 255 },
		{ 145, 54, 34, 0, 255, 0 }, { 41, 240, 110, 255, 0, 0 } };
	uint32_t seed = 3;

	(void)state;
	for (uint32_t i = 0; i < 200; i++) {
		for (size_t n = 0; n < sizeof(y); n++)
			y[n] = (uint8_t)next(&seed);
		for (size_t n = 0; n < sizeof(u); n++) {
			u[n] = (uint8_t)next(&seed);
			v[n] = (uint8_t)next(&seed);
		}
		video_yuv_to_bgrx(a, W * 4, 1 + i % W, H, &yuv);
		video_yuv_to_bgrx_portable(b, W * 4, 1 + i % W, H, &yuv);
		for (uint32_t row = 0; row < H; row++)
			assert_memory_equal(a + row * W * 4, b + row * W * 4, (1 + i % W) * 4);
	}
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		memset(y, known[i][0], sizeof(y));
		memset(u, known[i][1], sizeof(u));
		memset(v, known[i][2], sizeof(v));
		video_yuv_to_bgrx(a, W * 4, W, H, &yuv);
		for (int n = 0; n < 3; n++)
			assert_in_range(abs(a[n] - known[i][3 + n]), 0, 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mjpeg),
		cmocka_unit_test(test_vp8),
		cmocka_unit_test(test_broken_frames),
		cmocka_unit_test(test_colours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

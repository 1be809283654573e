/* SPDX-License-Identifier: MIT */
/* YUV to RGB. The vectors and the plain code compute the same, in 16 bits. */
#include "codecs/video_yuv.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/*
 * In 1/64: brightness times 255/219, and what the colours add to it: 1.59603 of the second to red,
 * -0.39176 of the first and -0.81297 of the second to green, 2.01723 of the first to blue. Each
 * factor times 64, and times 256 for the half of a product that is kept.
 */
enum {
	Y_FACTOR = 19077,
	Y_OFFSET = 1192 - 32, /* of 16, without one half for rounding */
	RED_V = 26149,
	GREEN_U = 6419,
	GREEN_V = 13320,
	BLUE_U = 282, /* beyond 2 */
	SHIFT = 6,
};

static inline uint8_t clamp(int v)
{
	return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* The high half of a product of 16 bits each. */
static inline int high(int a, int b)
{
	return a * 256 * b >> 16;
}

static void row_portable(uint8_t *restrict out, const uint8_t *restrict y,
	const uint8_t *restrict u, const uint8_t *restrict v, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		int cb = u[i / 2] - 128, cr = v[i / 2] - 128;
		int bright = high(y[i], Y_FACTOR) - Y_OFFSET;

		out[4 * i] = clamp((bright + cb * 128 + high(cb, BLUE_U)) >> SHIFT);
		out[4 * i + 1] = clamp((bright - high(cb, GREEN_U) - high(cr, GREEN_V)) >> SHIFT);
		out[4 * i + 2] = clamp((bright + high(cr, RED_V)) >> SHIFT);
		out[4 * i + 3] = 255;
	}
}

#ifdef __SSE2__

/* Eight pixels: brightness and, twice each, the colours, as the high bytes of words. */
static inline void eight(uint8_t *out, __m128i y, __m128i cb, __m128i cr)
{
	const __m128i alpha = _mm_set1_epi16((short)0xff00);
	__m128i bright = _mm_sub_epi16(
		_mm_mulhi_epu16(y, _mm_set1_epi16(Y_FACTOR)), _mm_set1_epi16(Y_OFFSET));
	__m128i red = _mm_adds_epi16(bright, _mm_mulhi_epi16(cr, _mm_set1_epi16(RED_V)));
	__m128i green =
		_mm_subs_epi16(_mm_subs_epi16(bright, _mm_mulhi_epi16(cb, _mm_set1_epi16(GREEN_U))),
			_mm_mulhi_epi16(cr, _mm_set1_epi16(GREEN_V)));
	__m128i blue = _mm_adds_epi16(bright,
		_mm_add_epi16(_mm_srai_epi16(cb, 1), _mm_mulhi_epi16(cb, _mm_set1_epi16(BLUE_U))));
	__m128i b, g, r, bg, ra;

	b = _mm_packus_epi16(_mm_srai_epi16(blue, SHIFT), _mm_setzero_si128());
	g = _mm_packus_epi16(_mm_srai_epi16(green, SHIFT), _mm_setzero_si128());
	r = _mm_packus_epi16(_mm_srai_epi16(red, SHIFT), _mm_setzero_si128());
	bg = _mm_unpacklo_epi8(b, g);
	ra = _mm_or_si128(_mm_unpacklo_epi8(r, _mm_setzero_si128()), alpha);
	_mm_storeu_si128((__m128i *)(void *)out, _mm_unpacklo_epi16(bg, ra));
	_mm_storeu_si128((__m128i *)(void *)(out + 16), _mm_unpackhi_epi16(bg, ra));
}

static void row_sse2(
	uint8_t *out, const uint8_t *y, const uint8_t *u, const uint8_t *v, uint32_t count)
{
	const __m128i zero = _mm_setzero_si128(), middle = _mm_set1_epi8((char)0x80);
	uint32_t i = 0;

	for (; i + 16 <= count; i += 16) {
		__m128i bright = _mm_loadu_si128((const __m128i *)(const void *)(y + i));
		__m128i cb = _mm_loadl_epi64((const __m128i *)(const void *)(u + i / 2));
		__m128i cr = _mm_loadl_epi64((const __m128i *)(const void *)(v + i / 2));

		/* Minus 128 as signed bytes, twice each. */
		cb = _mm_xor_si128(_mm_unpacklo_epi8(cb, cb), middle);
		cr = _mm_xor_si128(_mm_unpacklo_epi8(cr, cr), middle);
		eight(out + 4 * i, _mm_unpacklo_epi8(zero, bright), _mm_unpacklo_epi8(zero, cb),
			_mm_unpacklo_epi8(zero, cr));
		eight(out + 4 * i + 32, _mm_unpackhi_epi8(zero, bright),
			_mm_unpackhi_epi8(zero, cb), _mm_unpackhi_epi8(zero, cr));
	}
	row_portable(out + 4 * i, y + i, u + i / 2, v + i / 2, count - i);
}

#endif

typedef void row_fn(
	uint8_t *out, const uint8_t *y, const uint8_t *u, const uint8_t *v, uint32_t count);

static inline void convert(uint8_t *pixels, ptrdiff_t stride, uint32_t width, uint32_t height,
	const struct video_yuv *yuv, row_fn *fn)
{
	for (uint32_t row = 0; row < height; row++)
		fn(pixels + stride * (ptrdiff_t)row,
			yuv->planes[0] + (ptrdiff_t)yuv->strides[0] * row,
			yuv->planes[1] + (ptrdiff_t)yuv->strides[1] * (row / 2),
			yuv->planes[2] + (ptrdiff_t)yuv->strides[2] * (row / 2), width);
}

void video_yuv_to_bgrx_portable(uint8_t *pixels, ptrdiff_t stride, uint32_t width, uint32_t height,
	const struct video_yuv *yuv)
{
	convert(pixels, stride, width, height, yuv, row_portable);
}

void video_yuv_to_bgrx(uint8_t *pixels, ptrdiff_t stride, uint32_t width, uint32_t height,
	const struct video_yuv *yuv)
{
#ifdef __SSE2__
	convert(pixels, stride, width, height, yuv, row_sse2);
#else
	convert(pixels, stride, width, height, yuv, row_portable);
#endif
}

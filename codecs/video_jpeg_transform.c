/* SPDX-License-Identifier: MIT */
/*
 * The discrete cosine transform of two blocks at once, by the method of Arai, Agui and Nakajima (1988):
 * what comes out still has to be divided by 8 times two factors of its frequencies, which goes with the
 * division by the step. All in 16 bits; the vectors and the plain code compute the same.
 */
#include <string.h>

#include "codecs/video_jpeg.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_AVX2 1
#include <immintrin.h>
#endif

/* In 1/32768. */
enum {
	COS_4 = 23170, /* cos(4 pi / 16) */
	COS_6 = 12540, /* cos(6 pi / 16) */
	COS_2_LESS_6 = 17734, /* cos(2 pi / 16) - cos(6 pi / 16) */
	COS_2_AND_6 = 10045, /* cos(2 pi / 16) + cos(6 pi / 16), beyond 1 */
};

/* ---- the plain code ---- */

/* The product's high half, rounded. */
static inline int16_t times(int16_t a, int16_t b)
{
	return (int16_t)((a * b + 0x4000) >> 15);
}

/* Eight values, `step` apart. */
static void dct_8(int16_t *x, uint32_t step)
{
	int16_t s[4], d[4], a, b, c, z2, z4, z5, z3, high, low;

	for (uint32_t i = 0; i < 4; i++) {
		s[i] = (int16_t)(x[i * step] + x[(7 - i) * step]);
		d[i] = (int16_t)(x[i * step] - x[(7 - i) * step]);
	}
	a = (int16_t)(s[0] + s[3]);
	b = (int16_t)(s[1] + s[2]);
	c = (int16_t)(s[0] - s[3]);
	z3 = times((int16_t)(s[1] - s[2] + c), COS_4);
	x[0] = (int16_t)(a + b);
	x[4 * step] = (int16_t)(a - b);
	x[2 * step] = (int16_t)(c + z3);
	x[6 * step] = (int16_t)(c - z3);
	a = (int16_t)(d[3] + d[2]);
	b = (int16_t)(d[2] + d[1]);
	c = (int16_t)(d[1] + d[0]);
	z5 = times((int16_t)(a - c), COS_6);
	z2 = (int16_t)(times(a, COS_2_LESS_6) + z5);
	z4 = (int16_t)(c + times(c, COS_2_AND_6) + z5);
	z3 = times(b, COS_4);
	high = (int16_t)(d[0] + z3);
	low = (int16_t)(d[0] - z3);
	x[5 * step] = (int16_t)(low + z2);
	x[3 * step] = (int16_t)(low - z2);
	x[step] = (int16_t)(high + z4);
	x[7 * step] = (int16_t)(high - z4);
}

void video_jpeg_transform_portable(const uint8_t *const blocks[2], size_t stride,
	const struct video_jpeg_factors *factors, int16_t out[2][64], uint64_t some[2])
{
	for (uint32_t block = 0; block < 2; block++) {
		int16_t *x = out[block];

		/* Columns lie one after the other. */
		for (uint32_t i = 0; i < 64; i++)
			x[i] = (int16_t)(blocks[block][i % 8 * stride + i / 8] - 128);
		for (uint32_t i = 0; i < 8; i++)
			dct_8(x + i * 8, 1);
		for (uint32_t i = 0; i < 8; i++)
			dct_8(x + i, 8);
		some[block] = 0;
		for (uint32_t i = 0; i < 64; i++) {
			x[i] = times(x[i], factors->factor[i]);
			some[block] |= (uint64_t)(x[i] != 0) << i;
		}
	}
}

/* ---- the vectors: a lane a block ---- */

#ifdef HAVE_AVX2

#define AVX2 __attribute__((target("avx2")))

AVX2 static inline __m256i load_row(const uint8_t *a, const uint8_t *b)
{
	__m128i both = _mm_unpacklo_epi64(_mm_loadl_epi64((const __m128i *)(const void *)a),
		_mm_loadl_epi64((const __m128i *)(const void *)b));

	return _mm256_sub_epi16(_mm256_cvtepu8_epi16(both), _mm256_set1_epi16(128));
}

AVX2 static inline __m256i times_256(__m256i a, int16_t b)
{
	return _mm256_mulhrs_epi16(a, _mm256_set1_epi16(b));
}

#define ADD(a, b) _mm256_add_epi16(a, b)
#define SUB(a, b) _mm256_sub_epi16(a, b)

AVX2 static inline void dct_256(__m256i x[8])
{
	__m256i s[4], d[4], a, b, c, z2, z3, z4, z5, high, low;

	for (int i = 0; i < 4; i++) {
		s[i] = ADD(x[i], x[7 - i]);
		d[i] = SUB(x[i], x[7 - i]);
	}
	a = ADD(s[0], s[3]);
	b = ADD(s[1], s[2]);
	c = SUB(s[0], s[3]);
	z3 = times_256(ADD(SUB(s[1], s[2]), c), COS_4);
	x[0] = ADD(a, b);
	x[4] = SUB(a, b);
	x[2] = ADD(c, z3);
	x[6] = SUB(c, z3);
	a = ADD(d[3], d[2]);
	b = ADD(d[2], d[1]);
	c = ADD(d[1], d[0]);
	z5 = times_256(SUB(a, c), COS_6);
	z2 = ADD(times_256(a, COS_2_LESS_6), z5);
	z4 = ADD(ADD(c, times_256(c, COS_2_AND_6)), z5);
	z3 = times_256(b, COS_4);
	high = ADD(d[0], z3);
	low = SUB(d[0], z3);
	x[5] = ADD(low, z2);
	x[3] = SUB(low, z2);
	x[1] = ADD(high, z4);
	x[7] = SUB(high, z4);
}

/* Each lane's 8x8 words. */
AVX2 static inline void transpose(__m256i x[8])
{
	__m256i a[8], b[8];

	for (int i = 0; i < 4; i++) {
		a[2 * i] = _mm256_unpacklo_epi16(x[2 * i], x[2 * i + 1]);
		a[2 * i + 1] = _mm256_unpackhi_epi16(x[2 * i], x[2 * i + 1]);
	}
	for (int i = 0; i < 2; i++) {
		for (int j = 0; j < 2; j++) {
			b[4 * i + 2 * j] = _mm256_unpacklo_epi32(a[4 * i + j], a[4 * i + j + 2]);
			b[4 * i + 2 * j + 1] =
				_mm256_unpackhi_epi32(a[4 * i + j], a[4 * i + j + 2]);
		}
	}
	for (int i = 0; i < 4; i++) {
		x[2 * i] = _mm256_unpacklo_epi64(b[i], b[i + 4]);
		x[2 * i + 1] = _mm256_unpackhi_epi64(b[i], b[i + 4]);
	}
}

AVX2 static inline __m256i factors_of(const int16_t *words)
{
	return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)words));
}

AVX2 static inline void transform_avx2(const uint8_t *const blocks[2], size_t stride,
	const struct video_jpeg_factors *factors, int16_t out[2][64], uint64_t some[2])
{
	uint64_t none[2] = { 0 };
	__m256i x[8];

	for (uint32_t i = 0; i < 8; i++)
		x[i] = load_row(blocks[0] + i * stride, blocks[1] + i * stride);
	dct_256(x);
	transpose(x);
	dct_256(x);
	for (uint32_t i = 0; i < 8; i++) {
		x[i] = _mm256_mulhrs_epi16(x[i], factors_of(factors->factor + 8 * i));
		_mm_storeu_si128((__m128i *)(void *)(out[0] + 8 * i), _mm256_castsi256_si128(x[i]));
		_mm_storeu_si128(
			(__m128i *)(void *)(out[1] + 8 * i), _mm256_extracti128_si256(x[i], 1));
	}
	for (uint32_t i = 0; i < 4; i++) {
		__m256i bytes = _mm256_packs_epi16(x[2 * i], x[2 * i + 1]);
		uint32_t zeros = (uint32_t)_mm256_movemask_epi8(
			_mm256_cmpeq_epi8(bytes, _mm256_setzero_si256()));

		none[0] |= (uint64_t)(zeros & 0xffff) << 16 * i;
		none[1] |= (uint64_t)(zeros >> 16) << 16 * i;
	}
	some[0] = ~none[0];
	some[1] = ~none[1];
}

#endif

void video_jpeg_transform(const uint8_t *const blocks[2], size_t stride,
	const struct video_jpeg_factors *factors, int16_t out[2][64], uint64_t some[2])
{
#ifdef HAVE_AVX2
	if (__builtin_cpu_supports("avx2")) {
		transform_avx2(blocks, stride, factors, out, some);
		return;
	}
#endif
	video_jpeg_transform_portable(blocks, stride, factors, out, some);
}

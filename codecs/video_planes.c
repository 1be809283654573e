/* SPDX-License-Identifier: MIT */
/*
 * RGB to YUV at a quarter of the colours. The vectors and the plain code compute the same.
 *
 * In 1/256: the factors of brightness are bytes without a sign, and go with pixels minus 128; those of
 * the colours have signs, and their sum is nought. So sums fit into 16 bits.
 */
#include "codecs/video_planes.h"

#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_AVX2 1
#include <immintrin.h>
#endif

enum { STEP = 32 }; /* pixels that the vectors take at once */

struct matrix {
	uint8_t luma[4]; /* of B, G, R, X */
	int8_t blue[4], red[4];
	uint16_t luma_offset; /* with one half for rounding, and 128 times the factors' sum */
};

static const struct matrix matrices[] = {
	[VIDEO_RANGE_FULL] = {
		.luma = { 29, 150, 77 },
		.blue = { 127, -84, -43 },
		.red = { -21, -106, 127 },
		.luma_offset = 128 + 128 * 256,
	},
	[VIDEO_RANGE_VIDEO] = {
		.luma = { 25, 129, 66 },
		.blue = { 112, -74, -38 },
		.red = { -18, -94, 112 },
		.luma_offset = 128 + 128 * 220 + 16 * 256,
	},
};

enum { COLOR_OFFSET = 128 + 128 * 256 };

/* ---- the plain code ---- */

static inline uint8_t luma_of(const struct matrix *m, const uint8_t *p)
{
	int sum = m->luma[0] * (p[0] - 128) + m->luma[1] * (p[1] - 128) + m->luma[2] * (p[2] - 128);

	return (uint8_t)((uint32_t)(sum + m->luma_offset) >> 8);
}

static inline uint8_t color_of(const int8_t factors[4], const uint8_t mean[3])
{
	int sum = factors[0] * mean[0] + factors[1] * mean[1] + factors[2] * mean[2];

	return (uint8_t)((uint32_t)(sum + COLOR_OFFSET) >> 8);
}

static inline uint8_t half(uint8_t a, uint8_t b)
{
	return (uint8_t)((a + b + 1) >> 1);
}

/* From an even pixel on. */
static void pair_from(
	const struct video_row_pair *pair, uint32_t from, uint32_t width, const struct matrix *m)
{
	for (uint32_t row = 0; row < 2; row++)
		for (uint32_t x = from; x < width; x++)
			pair->luma[row][x] = luma_of(m, pair->bgrx[row] + 4 * (size_t)x);
	for (uint32_t x = from; x < width; x += 2) {
		const uint8_t *top = pair->bgrx[0] + 4 * (size_t)x;
		const uint8_t *bottom = pair->bgrx[1] + 4 * (size_t)x;
		size_t next = x + 1 < width ? 4 : 0;
		uint8_t mean[3];

		for (size_t i = 0; i < 3; i++)
			mean[i] = half(
				half(top[i], bottom[i]), half(top[next + i], bottom[next + i]));
		pair->blue[x / 2] = color_of(m->blue, mean);
		pair->red[x / 2] = color_of(m->red, mean);
	}
}

void video_planes_pair_portable(
	const struct video_row_pair *pair, uint32_t width, enum video_range range)
{
	pair_from(pair, 0, width, &matrices[range]);
}

/* ---- the vectors ---- */

#ifdef HAVE_AVX2

#define AVX2 __attribute__((target("avx2")))

AVX2 static inline __m256i load(const uint8_t *at)
{
	return _mm256_loadu_si256((const __m256i *)(const void *)at);
}

AVX2 static inline __m256i four_bytes(const void *bytes)
{
	int word;

	memcpy(&word, bytes, sizeof(word));
	return _mm256_set1_epi32(word);
}

/* Brightness of 32 pixels. */
AVX2 static inline void luma_32(uint8_t *out, const __m256i in[4], __m256i factors, __m256i offset)
{
	const __m256i middle = _mm256_set1_epi8((char)0x80);
	/* Sums of pairs of lanes come out in the order 0, 4, 1, 5, 2, 6, 3, 7 of four pixels. */
	const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
	__m256i sums[4], low, high;

	for (int i = 0; i < 4; i++)
		sums[i] = _mm256_maddubs_epi16(factors, _mm256_xor_si256(in[i], middle));
	low = _mm256_add_epi16(_mm256_hadd_epi16(sums[0], sums[1]), offset);
	high = _mm256_add_epi16(_mm256_hadd_epi16(sums[2], sums[3]), offset);
	low = _mm256_packus_epi16(_mm256_srli_epi16(low, 8), _mm256_srli_epi16(high, 8));
	low = _mm256_permutevar8x32_epi32(low, order);
	_mm256_storeu_si256((__m256i *)(void *)out, low);
}

/* The means of eight 2x2 pixels, in the order 0, 1, 4, 5, 2, 3, 6, 7. */
AVX2 static inline __m256i means(__m256i a, __m256i b)
{
	__m256 x = _mm256_castsi256_ps(a), y = _mm256_castsi256_ps(b);

	return _mm256_avg_epu8(_mm256_castps_si256(_mm256_shuffle_ps(x, y, 0x88)),
		_mm256_castps_si256(_mm256_shuffle_ps(x, y, 0xdd)));
}

AVX2 static inline void color_16(
	uint8_t *out, __m256i a, __m256i b, __m256i factors, __m256i offset)
{
	__m256i sums = _mm256_hadd_epi16(
		_mm256_maddubs_epi16(a, factors), _mm256_maddubs_epi16(b, factors));
	__m256i bytes;

	sums = _mm256_srli_epi16(_mm256_add_epi16(sums, offset), 8);
	/* 0, 1, 4, 5 of a, and of b; then 2, 3, 6, 7 of them. */
	bytes = _mm256_packus_epi16(sums, sums);
	/* Pairs of bytes are a01 a45 b01 b45 | a23 a67 b23 b67. */
	bytes = _mm256_permute4x64_epi64(bytes, 0x08);
	bytes = _mm256_shuffle_epi8(bytes,
		_mm256_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15, 0, 1, 8, 9,
			2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15));
	_mm_storeu_si128((__m128i *)(void *)out, _mm256_castsi256_si128(bytes));
}

AVX2 static void pair_avx2(
	const struct video_row_pair *pair, uint32_t width, const struct matrix *m)
{
	const __m256i luma = four_bytes(m->luma), blue = four_bytes(m->blue);
	const __m256i red = four_bytes(m->red);
	const __m256i luma_offset = _mm256_set1_epi16((short)m->luma_offset);
	const __m256i color_offset = _mm256_set1_epi16((short)COLOR_OFFSET);
	uint32_t x = 0;

	for (; x + STEP <= width; x += STEP) {
		const uint8_t *top = pair->bgrx[0] + 4 * (size_t)x;
		const uint8_t *bottom = pair->bgrx[1] + 4 * (size_t)x;
		__m256i above[4], below[4], a, b;

		for (int i = 0; i < 4; i++) {
			above[i] = load(top + 32 * i);
			below[i] = load(bottom + 32 * i);
		}
		luma_32(pair->luma[0] + x, above, luma, luma_offset);
		luma_32(pair->luma[1] + x, below, luma, luma_offset);
		for (int i = 0; i < 4; i++)
			above[i] = _mm256_avg_epu8(above[i], below[i]);
		a = means(above[0], above[1]);
		b = means(above[2], above[3]);
		color_16(pair->blue + x / 2, a, b, blue, color_offset);
		color_16(pair->red + x / 2, a, b, red, color_offset);
	}
	if (x < width)
		pair_from(pair, x, width, m);
}

#endif

void video_planes_pair(const struct video_row_pair *pair, uint32_t width, enum video_range range)
{
#ifdef HAVE_AVX2
	if (__builtin_cpu_supports("avx2")) {
		pair_avx2(pair, width, &matrices[range]);
		return;
	}
#endif
	video_planes_pair_portable(pair, width, range);
}

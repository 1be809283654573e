/* SPDX-License-Identifier: MIT */
/* How QUIC's decoder predicts a pixel, a channel a byte of a word, with and without vectors. */
#ifndef CODECS_QUIC_NEAR_H
#define CODECS_QUIC_NEAR_H

#include <stdbool.h>
#include <stdint.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* The mean of each byte, rounded down. */
static inline uint32_t mean_bytes(uint32_t a, uint32_t b)
{
	return (a & b) + (((a ^ b) & 0xfefefe) >> 1);
}

/* The sum of each byte, modulo 256. */
static inline uint32_t add_bytes(uint32_t a, uint32_t b)
{
	return ((a & 0x7f7f7f) + (b & 0x7f7f7f)) ^ ((a ^ b) & 0x808080);
}

/* quic_unfold() of each byte. */
static inline uint32_t unfold_bytes(uint32_t v)
{
	return (v >> 1 & 0x7f7f7f) ^ (v & 0x010101) * 0xff;
}

/* The pixels around the one at hand. With vectors they leave the other registers to the reader. */
struct near {
	uint32_t left, left2, above, above_left;
#ifdef __SSE2__
	__m128i v_left, v_left2, v_above, v_above_left;
#endif
};

#ifdef __SSE2__
#define VECTORS true

static inline __m128i vector_of(uint32_t word)
{
	return _mm_cvtsi32_si128((int)word);
}

static inline void near_set_vectors(
	struct near *n, uint32_t left2, uint32_t left, uint32_t above_left)
{
	n->v_left2 = vector_of(left2);
	n->v_left = vector_of(left);
	n->v_above_left = vector_of(above_left);
}

static inline void near_behind_run_vectors(struct near *n, uint32_t differs, uint32_t above_left)
{
	n->v_left2 = _mm_xor_si128(n->v_left, vector_of(differs));
	n->v_above_left = vector_of(above_left);
}

static inline uint32_t near_left_vectors(const struct near *n)
{
	return (uint32_t)_mm_cvtsi128_si32(n->v_left);
}

static inline bool near_run_vectors(struct near *n, uint32_t above)
{
	n->v_above = vector_of(above);
	if (_mm_cvtsi128_si32(_mm_xor_si128(n->v_above, n->v_above_left)))
		return false;
	return !_mm_cvtsi128_si32(_mm_xor_si128(n->v_left, n->v_left2));
}

static inline uint32_t near_add_vectors(struct near *n, bool first, uint32_t residuals)
{
	const __m128i one = _mm_set1_epi8(1);
	__m128i v = vector_of(residuals), guess = n->v_left, half;

	if (!first) /* pavgb rounds up */
		guess = _mm_sub_epi8(_mm_avg_epu8(guess, n->v_above),
			_mm_and_si128(_mm_xor_si128(guess, n->v_above), one));
	half = _mm_and_si128(_mm_srli_epi16(v, 1), _mm_set1_epi8(127));
	v = _mm_xor_si128(half, _mm_sub_epi8(_mm_setzero_si128(), _mm_and_si128(v, one)));
	n->v_left2 = n->v_left;
	n->v_above_left = n->v_above;
	n->v_left = _mm_add_epi8(guess, v);
	return (uint32_t)_mm_cvtsi128_si32(n->v_left);
}

#else
#define VECTORS false

static inline void near_set_vectors(
	struct near *n, uint32_t left2, uint32_t left, uint32_t above_left)
{
}

static inline void near_behind_run_vectors(struct near *n, uint32_t differs, uint32_t above_left)
{
}

static inline uint32_t near_left_vectors(const struct near *n)
{
	return 0;
}

static inline bool near_run_vectors(struct near *n, uint32_t above)
{
	return false;
}

static inline uint32_t near_add_vectors(struct near *n, bool first, uint32_t residuals)
{
	return 0;
}

#endif

static inline __attribute__((always_inline)) void near_set(
	struct near *n, bool vectors, uint32_t left2, uint32_t left, uint32_t above_left)
{
	if (vectors) {
		near_set_vectors(n, left2, left, above_left);
		return;
	}
	n->left2 = left2;
	n->left = left;
	n->above_left = above_left;
}

/* Goes on behind a run. Behind an empty one there comes a pixel: it is as if the ones before differed. */
static inline __attribute__((always_inline)) void near_behind_run(
	struct near *n, bool vectors, uint32_t length, uint32_t above_left)
{
	uint32_t differs = length == 0;

	if (vectors) {
		near_behind_run_vectors(n, differs, above_left);
		return;
	}
	n->left2 = n->left ^ differs;
	n->above_left = above_left;
}

static inline __attribute__((always_inline)) uint32_t near_left(const struct near *n, bool vectors)
{
	return vectors ? near_left_vectors(n) : n->left;
}

/* A run begins when the pixels before the one at hand, and the one above, are like the ones before them. */
static inline __attribute__((always_inline)) bool near_run(
	struct near *n, bool vectors, uint32_t above)
{
	if (vectors)
		return near_run_vectors(n, above);
	n->above = above;
	return !((n->left ^ n->left2) | (n->above ^ n->above_left));
}

/* The pixel at hand, which then is the one before. */
static inline __attribute__((always_inline)) uint32_t near_add(
	struct near *n, bool vectors, bool first, uint32_t mask, uint32_t residuals)
{
	uint32_t guess;

	if (vectors)
		return near_add_vectors(n, first, residuals);
	guess = first ? n->left : mean_bytes(n->left, n->above);
	n->left2 = n->left;
	n->above_left = n->above;
	n->left = add_bytes(unfold_bytes(residuals), guess) & mask;
	return n->left;
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * What QUIC's encoder does with whole rows: words with a channel a byte, bits that say which pixels
 * equal the one before, residuals. Rows of words have QUIC_ROW_BEFORE readable words before them and
 * QUIC_ROW_BEHIND behind; what is there does not matter.
 */
#ifndef CODECS_QUIC_ROWS_H
#define CODECS_QUIC_ROWS_H

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "codecs/quic_model.h"

enum { QUIC_ROW_BEFORE = 16, QUIC_ROW_BEHIND = 64 };

/* Copies a row (the guest may change it meanwhile) as words: blue lowest, then green, red, alpha. */
void quic_row_load(enum quic_type type, const uint8_t *pixels, uint32_t width, uint32_t *words);

/* Bit i % 64 of differs[i / 64]: word i differs from word i - 1 in the bits of `mask`. Bit 0 is set; bits
 * beyond the width may be anything. */
void quic_row_differs(const uint32_t *words, uint32_t width, uint32_t mask, uint64_t *differs);
void quic_row_differs_portable(
	const uint32_t *words, uint32_t width, uint32_t mask, uint64_t *differs);

/* The first i in from..end - 1 whose bit is set, or `end`. */
static inline uint32_t quic_row_find(const uint64_t *bits, uint32_t from, uint32_t end)
{
	uint32_t n = from / 64, at = from;
	uint64_t v = bits[n] >> from % 64;

	while (!v) {
		if (++n * 64 >= end)
			return end;
		v = bits[n];
		at = n * 64;
	}
	at += (uint32_t)__builtin_ctzll(v);
	return at < end ? at : end;
}

/* The residuals of all bytes of words from to to - 1, from > 0, `bits` a channel: predicted by the
 * word before, and by the one above too unless `above` is NULL. May write four more. */
static inline __attribute__((always_inline)) void quic_row_residuals_portable(const uint32_t *row,
	const uint32_t *above, uint32_t bits, uint32_t from, uint32_t to, uint32_t *out)
{
	const uint8_t *now = (const uint8_t *)row, *up = (const uint8_t *)above;

	for (size_t i = 4 * (size_t)from; i < 4 * (size_t)to; i++) {
		uint32_t guess = up ? (uint32_t)(now[i - 4] + up[i]) >> 1 : now[i - 4];

		((uint8_t *)out)[i] = quic_fold(now[i] - guess, bits);
	}
}

#ifdef __SSE2__

static inline __attribute__((always_inline)) void quic_row_residuals_four(
	const uint32_t *row, const uint32_t *above, uint32_t bits, uint32_t *out)
{
	__m128i now = _mm_loadu_si128((const __m128i *)(const void *)row);
	__m128i guess = _mm_loadu_si128((const __m128i *)(const void *)(row - 1)), up;

	if (above) {
		up = _mm_loadu_si128((const __m128i *)(const void *)above);
		/* pavgb rounds up. */
		guess = _mm_sub_epi8(_mm_avg_epu8(guess, up),
			_mm_and_si128(_mm_xor_si128(guess, up), _mm_set1_epi8(1)));
	}
	now = _mm_sub_epi8(now, guess);
	if (bits == 5) /* as the highest bits: those of other bytes are cut off */
		now = _mm_and_si128(_mm_slli_epi16(now, 3), _mm_set1_epi8((char)0xf8));
	now = _mm_xor_si128(_mm_add_epi8(now, now), _mm_cmpgt_epi8(_mm_setzero_si128(), now));
	if (bits == 5)
		now = _mm_and_si128(_mm_srli_epi16(now, 3), _mm_set1_epi8(31));
	_mm_storeu_si128((__m128i *)(void *)out, now);
}

/* The first ones in any case: where runs are short, a branch would often be mispredicted. */
static inline __attribute__((always_inline)) void quic_row_residuals(const uint32_t *row,
	const uint32_t *above, uint32_t bits, uint32_t from, uint32_t to, uint32_t *out)
{
	quic_row_residuals_four(row + from, above ? above + from : NULL, bits, out + from);
	for (uint32_t i = from + 4; i < to; i += 4)
		quic_row_residuals_four(row + i, above ? above + i : NULL, bits, out + i);
}

#else

static inline __attribute__((always_inline)) void quic_row_residuals(const uint32_t *row,
	const uint32_t *above, uint32_t bits, uint32_t from, uint32_t to, uint32_t *out)
{
	quic_row_residuals_portable(row, above, bits, from, to, out);
}

#endif

#endif

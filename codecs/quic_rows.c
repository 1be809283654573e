/* SPDX-License-Identifier: MIT */
/* QUIC's rows as words, and where they differ. */
#include "codecs/quic_rows.h"

void quic_row_load(enum quic_type type, const uint8_t *pixels, uint32_t width, uint32_t *words)
{
	uint16_t v;

	switch (type) {
	case QUIC_GRAY:
		for (uint32_t i = 0; i < width; i++)
			words[i] = (uint32_t)pixels[i] << 16;
		return;
	case QUIC_RGB16:
		for (uint32_t i = 0; i < width; i++) {
			memcpy(&v, pixels + 2 * (size_t)i, 2);
			words[i] = (uint32_t)(v >> 10 & 31) << 16 | (uint32_t)(v >> 5 & 31) << 8 |
				(v & 31u);
		}
		return;
	case QUIC_RGB24:
		for (uint32_t i = 0; i < width; i++) {
			const uint8_t *p = pixels + 3 * (size_t)i;

			words[i] = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
		}
		return;
	default: memcpy(words, pixels, 4 * (size_t)width); return;
	}
}

void quic_row_differs_portable(
	const uint32_t *words, uint32_t width, uint32_t mask, uint64_t *differs)
{
	for (uint32_t i = 0; i < width; i += 64) {
		uint64_t bits = 0;

		for (const uint32_t *at = words + i; at < words + i + 64; at++)
			bits |= (uint64_t)(((at[0] ^ at[-1]) & mask) != 0) << (at - words - i);
		differs[i / 64] = bits;
	}
	differs[0] |= 1;
}

#ifdef __SSE2__

static inline __m128i equal_four(const uint32_t *words, __m128i mask)
{
	__m128i now = _mm_loadu_si128((const __m128i *)(const void *)words);
	__m128i before = _mm_loadu_si128((const __m128i *)(const void *)(words - 1));

	return _mm_cmpeq_epi32(
		_mm_and_si128(_mm_xor_si128(now, before), mask), _mm_setzero_si128());
}

static inline uint64_t equal_sixteen(const uint32_t *words, __m128i mask)
{
	__m128i low = _mm_packs_epi32(equal_four(words, mask), equal_four(words + 4, mask));
	__m128i high = _mm_packs_epi32(equal_four(words + 8, mask), equal_four(words + 12, mask));

	return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(low, high));
}

void quic_row_differs(const uint32_t *words, uint32_t width, uint32_t mask, uint64_t *differs)
{
	const __m128i masks = _mm_set1_epi32((int)mask);

	for (uint32_t i = 0; i < width; i += 64)
		differs[i / 64] = ~(equal_sixteen(words + i, masks) |
			equal_sixteen(words + i + 16, masks) << 16 |
			equal_sixteen(words + i + 32, masks) << 32 |
			equal_sixteen(words + i + 48, masks) << 48);
	differs[0] |= 1;
}

#else

void quic_row_differs(const uint32_t *words, uint32_t width, uint32_t mask, uint64_t *differs)
{
	quic_row_differs_portable(words, width, mask, differs);
}

#endif

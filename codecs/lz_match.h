/* SPDX-License-Identifier: MIT */
/* How the encoders of LZ and GLZ read and compare units. */
#ifndef CODECS_LZ_MATCH_H
#define CODECS_LZ_MATCH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

static inline uint64_t lz_load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

static inline uint32_t lz_load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

/* How many units of `size` bytes from a and b on are equal; at most `most`. */
static inline uint32_t lz_match_length(
	uint32_t size, const uint8_t *a, const uint8_t *b, uint32_t most)
{
	size_t bytes = (size_t)most * size, n = 0;

	while (n + 8 <= bytes) {
		uint64_t differ = lz_load64(a + n) ^ lz_load64(b + n);

		if (differ)
			return (uint32_t)((n + (size_t)__builtin_ctzll(differ) / 8) / size);
		n += 8;
	}
	while (n + size <= bytes && !memcmp(a + n, b + n, size))
		n += size;
	return (uint32_t)(n / size);
}

/* The same by vectors. Reads up to LZ_MATCH_BEHIND bytes behind the units. */
#define LZ_MATCH_BEHIND 32

#ifdef __SSE2__

static inline uint32_t lz_equal_sixteen(const uint8_t *a, const uint8_t *b)
{
	__m128i v = _mm_loadu_si128((const __m128i *)(const void *)a);
	__m128i w = _mm_loadu_si128((const __m128i *)(const void *)b);

	return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(v, w));
}

static inline uint32_t lz_match_length_wide(
	uint32_t size, const uint8_t *a, const uint8_t *b, uint32_t most)
{
	size_t bytes = (size_t)most * size, n = 8;
	uint64_t differ = lz_load64(a) ^ lz_load64(b);

	/* Many are short. */
	if (differ) {
		n = (size_t)__builtin_ctzll(differ) / 8;
		return (uint32_t)((n < bytes ? n : bytes) / size);
	}
	for (; n < bytes; n += 32) {
		uint32_t equal = lz_equal_sixteen(a + n, b + n) |
			lz_equal_sixteen(a + n + 16, b + n + 16) << 16;

		if (equal != UINT32_MAX) {
			n += (size_t)__builtin_ctz(~equal);
			break;
		}
	}
	return (uint32_t)((n < bytes ? n : bytes) / size);
}

#else

static inline uint32_t lz_match_length_wide(
	uint32_t size, const uint8_t *a, const uint8_t *b, uint32_t most)
{
	return lz_match_length(size, a, b, most);
}

#endif

#endif

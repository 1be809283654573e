/* SPDX-License-Identifier: MIT */
/* How the encoders of LZ and GLZ read and compare units. */
#ifndef CODECS_LZ_MATCH_H
#define CODECS_LZ_MATCH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

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

#endif

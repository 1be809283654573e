/* SPDX-License-Identifier: MIT */
/* QUIC's codes and model. */
#include "codecs/quic_model.h"

#include <stdatomic.h>
#include <string.h>
#ifdef __x86_64__
#include <cpuid.h>
#endif
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "core/util.h"

/* The format's pseudo-random waits. Of its 32-bit numbers no coder uses more than the low six bits:
 * the longest wait is 2^QUIC_WAIT_INDEX_MAX - 1 pixels. */
/* clang-format off */
static const uint8_t waits[256] = {
	2, 23, 19, 21, 7, 18, 40, 14, 12, 32, 47, 44, 36, 6, 18, 11,
	4, 19, 42, 29, 16, 63, 57, 51, 16, 3, 5, 14, 15, 30, 20, 9,
	36, 45, 3, 57, 61, 0, 8, 5, 41, 14, 43, 27, 43, 59, 31, 35,
	39, 60, 42, 38, 13, 54, 62, 1, 26, 3, 11, 61, 52, 34, 7, 48,
	4, 59, 22, 12, 22, 8, 50, 4, 10, 6, 44, 8, 11, 46, 31, 51,
	53, 17, 1, 43, 46, 60, 36, 54, 10, 27, 39, 44, 22, 41, 23, 2,
	44, 0, 40, 53, 40, 48, 16, 43, 32, 28, 33, 12, 20, 2, 56, 62,
	55, 58, 18, 20, 13, 55, 38, 29, 57, 19, 49, 33, 47, 63, 59, 0,
	35, 61, 19, 25, 46, 38, 60, 4, 35, 1, 26, 40, 28, 10, 5, 14,
	25, 18, 48, 49, 20, 59, 62, 34, 46, 7, 33, 52, 34, 58, 9, 29,
	8, 55, 62, 60, 37, 36, 37, 50, 6, 3, 10, 28, 48, 24, 26, 61,
	57, 30, 11, 54, 2, 6, 50, 47, 7, 17, 35, 53, 32, 12, 23, 17,
	5, 21, 49, 55, 51, 45, 52, 27, 39, 25, 39, 63, 22, 24, 42, 52,
	56, 38, 41, 41, 56, 32, 13, 24, 26, 51, 27, 56, 58, 37, 24, 42,
	15, 28, 17, 30, 31, 15, 16, 23, 25, 54, 33, 34, 1, 29, 31, 50,
	53, 21, 49, 15, 47, 9, 0, 58, 37, 45, 30, 13, 9, 45, 63, 21,
};
/* clang-format on */

/* When a bucket's best code has cost this many bits its counters are halved, by wait_index. */
static const uint16_t triggers[QUIC_WAIT_INDEX_MAX + 1] = { 110, 550, 900, 800, 550, 400, 350 };

const uint8_t quic_run_bits[QUIC_RUN_STATES] = { 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4,
	4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

const uint32_t quic_run_sums[QUIC_RUN_STATES] = { 0, 1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 28, 36,
	44, 52, 60, 76, 92, 124, 156, 220, 284, 412, 540, 796, 1308, 2332, 4380, 8476, 16668,
	33052 };

static uint32_t ceil_log2(uint32_t v)
{
	return v <= 1 ? 0 : 32 - (uint32_t)__builtin_clz(v - 1);
}

void quic_family_init(struct quic_family *family, uint32_t bits)
{
	uint32_t values = 1u << bits;

	memset(family, 0, sizeof(*family));
	memset(family->length, QUIC_MAX_CODE_BITS + 1, sizeof(family->length));
	family->bits = bits;
	for (uint32_t code = 0; code < bits; code++) {
		uint32_t longest = QUIC_LONG_PREFIX(bits);
		uint32_t prefix = MIN(longest, (1u << (bits - code)) - 1);
		uint32_t suffix = ceil_log2(values - (prefix << code));
		uint8_t *length = &family->length[0][code];

		family->escape[code] = prefix << code;
		family->escape_prefix[code] = prefix;
		family->escape_suffix[code] = suffix;
		for (uint32_t v = 0; v < prefix << code; v++)
			length[v * QUIC_MAX_CODES] = (uint8_t)((v >> code) + code + 1);
		for (uint32_t v = prefix << code; v < values; v++)
			length[v * QUIC_MAX_CODES] = (uint8_t)(prefix + suffix);
	}
}

void quic_channel_reset(struct quic_channel *channel, const struct quic_family *family)
{
	memset(channel, 0, sizeof(*channel));
	memset(channel->best, (int)family->bits - 1, sizeof(channel->best));
}

/* The best code is the highest of equals. */
bool quic_channel_learn_portable(struct quic_channel *channel, const struct quic_family *family,
	uint32_t trigger, uint32_t bucket, uint8_t value)
{
	uint16_t *counters = channel->counters[bucket];
	uint8_t best = 0, before = channel->best[bucket];

	for (uint8_t code = 0; code < QUIC_MAX_CODES; code++) {
		counters[code] = (uint16_t)(counters[code] + family->length[value][code]);
		if (counters[code] <= counters[best])
			best = code;
	}
	if (counters[best] > trigger)
		for (uint32_t code = 0; code < QUIC_MAX_CODES; code++)
			counters[code] >>= 1;
	channel->best[bucket] = best;
	return best != before;
}

#ifdef __SSE2__

bool quic_channel_learn(struct quic_channel *channel, const struct quic_family *family,
	uint32_t trigger, uint32_t bucket, uint8_t value)
{
	__m128i *at = (__m128i *)(void *)channel->counters[bucket];
	__m128i lengths = _mm_loadl_epi64((const __m128i *)(const void *)family->length[value]);
	__m128i counters = _mm_loadu_si128(at), least;
	uint8_t best, before = channel->best[bucket];
	uint32_t equal;

	counters = _mm_add_epi16(counters, _mm_unpacklo_epi8(lengths, _mm_setzero_si128()));
	least = _mm_min_epi16(counters, _mm_shuffle_epi32(counters, 0x4e));
	least = _mm_min_epi16(least, _mm_shuffle_epi32(least, 0xb1));
	least = _mm_min_epi16(
		least, _mm_or_si128(_mm_slli_epi32(least, 16), _mm_srli_epi32(least, 16)));
	equal = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi16(counters, least));
	best = (uint8_t)((31 - __builtin_clz(equal)) >> 1);
	if ((uint32_t)_mm_extract_epi16(least, 0) > trigger)
		counters = _mm_srli_epi16(counters, 1);
	_mm_storeu_si128(at, counters);
	channel->best[bucket] = best;
	return best != before;
}

#else

bool quic_channel_learn(struct quic_channel *channel, const struct quic_family *family,
	uint32_t trigger, uint32_t bucket, uint8_t value)
{
	return quic_channel_learn_portable(channel, family, trigger, bucket, value);
}

#endif

void quic_pace_reset(struct quic_pace *pace)
{
	*pace = (struct quic_pace){
		.seed = ARRAY_SIZE(waits) - 1, .trigger = triggers[0], .wait_left = QUIC_WAIT_PIXELS
	};
}

uint32_t quic_pace_next_wait(struct quic_pace *pace)
{
	pace->seed = (pace->seed + 1) % ARRAY_SIZE(waits);
	return waits[pace->seed] & ((1u << pace->wait_index) - 1);
}

void quic_pace_lengthen(struct quic_pace *pace)
{
	pace->wait_index++;
	pace->trigger = triggers[pace->wait_index];
	pace->wait_left = QUIC_WAIT_PIXELS;
}

bool quic_type_layout(enum quic_type type, uint32_t *channels, uint32_t *bits)
{
	*bits = type == QUIC_RGB16 ? 5 : 8;
	switch (type) {
	case QUIC_GRAY: *channels = 1; return true;
	case QUIC_RGB16:
	case QUIC_RGB24:
	case QUIC_RGB32: *channels = 3; return true;
	case QUIC_RGBA: *channels = 4; return true;
	}
	return false;
}

static bool fast_possible(void)
{
#ifdef QUIC_FAST_TARGET
	uint32_t eax, ebx, ecx, edx;

	/* Processors without LZCNT take it for another instruction. */
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
		__builtin_cpu_supports("bmi2") && __get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) &&
		(ecx & bit_LZCNT);
#else
	return false;
#endif
}

bool quic_fast_possible(void)
{
	/* Asked once: in a virtual machine CPUID takes longer than coding a small picture. Whichever
	 * thread asks, the answer is the same. */
	static _Atomic int known; /* 0: not yet; 1: no; 2: yes */
	int answer = atomic_load_explicit(&known, memory_order_relaxed);

	if (!answer) {
		answer = 1 + fast_possible();
		atomic_store_explicit(&known, answer, memory_order_relaxed);
	}
	return answer == 2;
}

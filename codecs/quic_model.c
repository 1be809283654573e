/* SPDX-License-Identifier: MIT */
/* QUIC's codes and model. */
#include "codecs/quic_model.h"

#include <string.h>

#include "core/util.h"

/* The format's pseudo-random waits. Of its 32-bit numbers no coder uses more than the low six bits:
 * the longest wait is 2^QUIC_WAIT_INDEX_MAX - 1 pixels. */
static const uint8_t waits[256] = {
	2,
	23,
	19,
	21,
	7,
	18,
	40,
	14,
	12,
	32,
	47,
	44,
	36,
	6,
	18,
	11,
	4,
	19,
	42,
	29,
	16,
	63,
	57,
	51,
	16,
	3,
	5,
	14,
	15,
	30,
	20,
	9,
	36,
	45,
	3,
	57,
	61,
	0,
	8,
	5,
	41,
	14,
	43,
	27,
	43,
	59,
	31,
	35,
	39,
	60,
	42,
	38,
	13,
	54,
	62,
	1,
	26,
	3,
	11,
	61,
	52,
	34,
	7,
	48,
	4,
	59,
	22,
	12,
	22,
	8,
	50,
	4,
	10,
	6,
	44,
	8,
	11,
	46,
	31,
	51,
	53,
	17,
	1,
	43,
	46,
	60,
	36,
	54,
	10,
	27,
	39,
	44,
	22,
	41,
	23,
	2,
	44,
	0,
	40,
	53,
	40,
	48,
	16,
	43,
	32,
	28,
	33,
	12,
	20,
	2,
	56,
	62,
	55,
	58,
	18,
	20,
	13,
	55,
	38,
	29,
	57,
	19,
	49,
	33,
	47,
	63,
	59,
	0,
	35,
	61,
	19,
	25,
	46,
	38,
	60,
	4,
	35,
	1,
	26,
	40,
	28,
	10,
	5,
	14,
	25,
	18,
	48,
	49,
	20,
	59,
	62,
	34,
	46,
	7,
	33,
	52,
	34,
	58,
	9,
	29,
	8,
	55,
	62,
	60,
	37,
	36,
	37,
	50,
	6,
	3,
	10,
	28,
	48,
	24,
	26,
	61,
	57,
	30,
	11,
	54,
	2,
	6,
	50,
	47,
	7,
	17,
	35,
	53,
	32,
	12,
	23,
	17,
	5,
	21,
	49,
	55,
	51,
	45,
	52,
	27,
	39,
	25,
	39,
	63,
	22,
	24,
	42,
	52,
	56,
	38,
	41,
	41,
	56,
	32,
	13,
	24,
	26,
	51,
	27,
	56,
	58,
	37,
	24,
	42,
	15,
	28,
	17,
	30,
	31,
	15,
	16,
	23,
	25,
	54,
	33,
	34,
	1,
	29,
	31,
	50,
	53,
	21,
	49,
	15,
	47,
	9,
	0,
	58,
	37,
	45,
	30,
	13,
	9,
	45,
	63,
	21,
};

/* When a bucket's best code has cost this many bits its counters are halved, by wait_index. */
static const uint16_t triggers[QUIC_WAIT_INDEX_MAX + 1] = { 110, 550, 900, 800, 550, 400, 350 };

const uint8_t quic_run_bits[QUIC_RUN_STATES] = { 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4,
	4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

static uint32_t ceil_log2(uint32_t v)
{
	return v <= 1 ? 0 : 32 - (uint32_t)__builtin_clz(v - 1);
}

void quic_family_init(struct quic_family *family, uint32_t bits)
{
	uint32_t values = 1u << bits;

	memset(family, 0, sizeof(*family));
	family->bits = bits;
	for (uint32_t code = 0; code < bits; code++) {
		uint32_t prefix = MIN(QUIC_MAX_CODE_BITS - bits, (1u << (bits - code)) - 1);
		uint32_t suffix = ceil_log2(values - (prefix << code));

		family->escape[code] = prefix << code;
		family->escape_bits[code] = prefix + suffix;
		family->escape_suffix_mask[code] = (1u << suffix) - 1;
		family->escape_below[code] = UINT32_MAX >> prefix;
		for (uint32_t v = 0; v < values; v++) {
			bool rice = v < family->escape[code];
			uint32_t word = rice ? 1u << code | (v & ((1u << code) - 1))
					     : v - family->escape[code];
			uint32_t length = rice ? (v >> code) + code + 1 : prefix + suffix;

			family->codeword[code][v] = word | length << 26;
			family->length[v][code] = (uint8_t)length;
		}
	}
}

/* Contexts 0; 1-2; 3-6; 7-14; ... share a bucket; the last one takes the rest. */
static uint32_t bucket_of(const struct quic_family *family, uint32_t context)
{
	uint32_t bucket = 31 - (uint32_t)__builtin_clz(context + 1);

	return MIN(bucket, family->bits - 1);
}

void quic_channel_reset(struct quic_channel *channel, const struct quic_family *family)
{
	memset(channel->best, (int)family->bits - 1, sizeof(channel->best));
	memset(channel->bucket_best, (int)family->bits - 1, sizeof(channel->bucket_best));
	memset(channel->counters, 0, sizeof(channel->counters));
}

static void set_best(struct quic_channel *channel, const struct quic_family *family,
	uint32_t bucket, uint32_t code)
{
	uint32_t first = (1u << bucket) - 1;
	uint32_t end = bucket == family->bits - 1 ? 1u << family->bits : 2 * first + 1;

	channel->bucket_best[bucket] = (uint8_t)code;
	memset(channel->best + first, (int)code, end - first);
}

/* Adds up what the value costs in each code. The best code, the highest of equals. */
static inline uint32_t add_lengths(uint32_t *counters, const uint8_t *lengths, uint32_t bits)
{
	uint32_t least = UINT32_MAX;

	for (uint32_t code = 0; code < bits; code++) {
		uint32_t key;

		counters[code] += lengths[code];
		key = counters[code] << 3 | (7 - code);
		least = MIN(least, key);
	}
	return 7 - (least & 7);
}

void quic_channel_learn(struct quic_channel *channel, const struct quic_family *family,
	uint32_t trigger, uint8_t context, uint8_t value)
{
	uint32_t bucket = bucket_of(family, context), best;
	uint32_t *counters = channel->counters[bucket];

	if (family->bits == 8)
		best = add_lengths(counters, family->length[value], 8);
	else
		best = add_lengths(counters, family->length[value], family->bits);
	if (counters[best] > trigger)
		for (uint32_t code = 0; code < QUIC_MAX_CODES; code++)
			counters[code] >>= 1;
	if (best != channel->bucket_best[bucket])
		set_best(channel, family, bucket, best);
}

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

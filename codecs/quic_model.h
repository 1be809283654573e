/* SPDX-License-Identifier: MIT */
/* What QUIC's encoder and decoder share: Golomb-Rice codes of limited length, the adaptive model
 * that chooses among them, and the state of a row's run coder. */
#ifndef CODECS_QUIC_MODEL_H
#define CODECS_QUIC_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "codecs/quic.h"

#define QUIC_MAGIC          0x43495551u /* "QUIC" */
#define QUIC_HEADER_BYTES   20
#define QUIC_MAX_CODES      8
#define QUIC_MAX_CODE_BITS  26
#define QUIC_BUCKETS        8
#define QUIC_WAIT_INDEX_MAX 6
#define QUIC_WAIT_PIXELS    2048

/* The codes for values of `bits` bits (8, or 5 for RGB16). */
struct quic_family {
	uint32_t bits;
	/* Per code: values below `escape` are Golomb-Rice; the others have a prefix of zeros and the
	 * rest of the value as the suffix. */
	uint32_t escape[QUIC_MAX_CODES];
	uint32_t escape_prefix[QUIC_MAX_CODES];
	uint32_t escape_suffix[QUIC_MAX_CODES];
	/* Of each value in each code. Codes that the family lacks are longer than any it has. */
	uint8_t length[256][QUIC_MAX_CODES];
};

void quic_family_init(struct quic_family *family, uint32_t bits);
/* Prefixes of this many zeros and no fewer begin codewords whose suffix is longer than the code. */
#define QUIC_LONG_PREFIX(bits) (QUIC_MAX_CODE_BITS - (bits))

/* One colour channel's statistics: for each bucket of contexts, how long the values seen would have
 * been in each code, and the code that is best now. */
struct quic_channel {
	uint8_t best[QUIC_BUCKETS];
	/* Below 32768: the least one is at most 900 before it grows, and the others' excess over 27
	 * times the least never grows but by halving, to 27. */
	uint16_t counters[QUIC_BUCKETS][QUIC_MAX_CODES];
};

/* Contexts 0; 1-2; 3-6; 7-14; ... share a bucket; the last one takes the rest. */
static inline uint32_t quic_bucket_of(uint32_t bits, uint32_t context)
{
	uint32_t bucket = 31 - (uint32_t)__builtin_clz(context + 1);

	return bucket < bits ? bucket : bits - 1;
}
static inline uint32_t quic_bucket_first(uint32_t bucket)
{
	return (1u << bucket) - 1;
}
static inline uint32_t quic_bucket_end(uint32_t bits, uint32_t bucket)
{
	return bucket == bits - 1 ? 1u << bits : (2u << bucket) - 1;
}

void quic_channel_reset(struct quic_channel *channel, const struct quic_family *family);
/* Learns that `value` came in a context of the bucket; halves the counters above `trigger`. True when
 * another code now is the best one. */
bool quic_channel_learn(struct quic_channel *channel, const struct quic_family *family,
	uint32_t trigger, uint32_t bucket, uint8_t value);
/* The same without vectors. */
bool quic_channel_learn_portable(struct quic_channel *channel, const struct quic_family *family,
	uint32_t trigger, uint32_t bucket, uint8_t value);

/* How often the model learns (seldom, later on), and the run coder's adaptation. One for the colour
 * channels together, one for alpha. */
struct quic_pace {
	uint32_t wait; /* pixels until the next learning */
	uint32_t seed;
	uint32_t trigger;
	uint32_t wait_index;
	uint32_t wait_left;
	uint32_t run_state;
};

void quic_pace_reset(struct quic_pace *pace);
/* The wait until the next learning, pseudo-random below 2^wait_index. */
uint32_t quic_pace_next_wait(struct quic_pace *pace);
/* Goes on to the next, longer waits. */
void quic_pace_lengthen(struct quic_pace *pace);

#define QUIC_RUN_STATES 32
/* log2 of the run length that one bit stands for, by run_state. */
extern const uint8_t quic_run_bits[QUIC_RUN_STATES];
/* The run length that one bit in each of the states below stands for. */
extern const uint32_t quic_run_sums[QUIC_RUN_STATES];

/* The loops over pixels exist twice: for any processor, and for those with vectors of 32 bytes and the
 * shifts and counts of zeros that take one operation (AVX2, BMI2, LZCNT). */
#ifdef __x86_64__
#define QUIC_FAST_TARGET __attribute__((target("avx2,bmi,bmi2,lzcnt")))
#endif
bool quic_fast_possible(void);
/* quic_encode() and quic_decode() in one of both ways. */
int quic_encode_as(bool fast, struct buf *out, enum quic_type type, uint32_t width, uint32_t height,
	const uint8_t *pixels, ptrdiff_t stride);
int quic_decode_as(bool fast, const uint8_t *data, size_t size, uint8_t *pixels, ptrdiff_t stride);

/* Channels and bits of a type; false when there is no such type. */
bool quic_type_layout(enum quic_type type, uint32_t *channels, uint32_t *bits);

/* A difference modulo 2^bits, folded so that small ones of either sign become small numbers. */
static inline uint8_t quic_fold(uint32_t difference, uint32_t bits)
{
	uint32_t mask = (1u << bits) - 1;
	uint32_t d = difference & mask;

	return (uint8_t)(((d << 1) ^ (0u - (d >> (bits - 1)))) & mask);
}

static inline uint32_t quic_unfold(uint32_t folded)
{
	return (folded >> 1) ^ (0u - (folded & 1));
}

#endif

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
	/* For each code, its codeword in the low 26 bits and its length above them. */
	uint32_t codeword[QUIC_MAX_CODES][256];
	uint8_t length[256][QUIC_MAX_CODES];
	/* Per code: values below `escape` are Golomb-Rice; the others have a prefix of zeros and the
	 * rest of the value in `suffix_bits`. */
	uint32_t escape[QUIC_MAX_CODES];
	uint32_t escape_bits[QUIC_MAX_CODES]; /* length of such a codeword */
	uint32_t escape_suffix_mask[QUIC_MAX_CODES]; /* of its suffix */
	uint32_t escape_below[QUIC_MAX_CODES]; /* 32 bits not above this begin one */
};

void quic_family_init(struct quic_family *family, uint32_t bits);

/* One colour channel's statistics: for each bucket of contexts, how long the values seen would have
 * been in each code. best[context] is the code now best. */
struct quic_channel {
	uint8_t best[256];
	uint8_t bucket_best[QUIC_BUCKETS];
	uint32_t counters[QUIC_BUCKETS][QUIC_MAX_CODES];
	uint8_t *residuals; /* of the row at hand, [-1] is the first context; owned by the coder */
};

void quic_channel_reset(struct quic_channel *channel, const struct quic_family *family);
/* Learns that `value` came in the context `context`; halves the counters above `trigger`. */
void quic_channel_learn(struct quic_channel *channel, const struct quic_family *family,
	uint32_t trigger, uint8_t context, uint8_t value);

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

/* SPDX-License-Identifier: MIT */
/*
 * QUIC's encoder. A row is turned into words with a channel a byte, and bits say where runs may be;
 * the residuals between runs are made many at once. What remains a pixel is looking up its codes and
 * writing them, all at once.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codecs/quic_model.h"
#include "codecs/quic_rows.h"
#include "core/surface.h"
#include "core/util.h"

enum {
	PUT_BITS_MAX = 56,
	/* Most bytes a pixel; and a run's code is shorter than the pixels it replaces, but for a few
	 * words. */
	PIXEL_BYTES_MAX = 16,
	ROW_SLACK_BYTES = 256,
	RUN_LENGTHS = 256, /* whose states are looked up */
};

struct bit_writer {
	uint64_t bits; /* still to be written, the first one highest; the others are 0 */
	uint32_t count; /* of them; below 8 between calls */
	uint8_t *at; /* takes the bits in order: words are turned round later */
};

/* Channels coded together: the three colours, or one alone. */
struct group {
	struct quic_channel *channels;
	uint16_t (*best)[256]; /* of each channel, by context: the code << 8 */
	struct quic_pace pace;
	uint32_t count; /* 1 or 3 */
	uint32_t shift; /* of the first channel in a word; the others are below it */
	uint32_t *residuals; /* of the row at hand; what a run skips stays; [-1] is the first context */
	/* Bits, one a pixel. */
	uint64_t *same; /* equal to the one before */
	uint64_t *same_above;
	uint64_t *may_run; /* a run may begin there, unless one just did: the decoder sees the same */
};

struct encoder;
typedef void code_fn(struct encoder *e, struct group *g, uint32_t from, uint32_t to);

struct encoder {
	struct quic_family family;
	/* By code << 8 | value: the codeword << 6 | its length. */
	uint16_t codes[QUIC_MAX_CODES << 8];
	uint8_t run_states[RUN_LENGTHS]; /* by length: what a run that began in state 0 leads to */
	struct quic_channel channels[4];
	uint16_t best[4][256];
	struct group groups[2];
	uint32_t group_count;
	code_fn *code;
	struct bit_writer writer;
	uint32_t *words; /* the row */
	uint32_t *above; /* NULL in the first row */
	uint32_t *spare;
	uint32_t *fresh; /* the residuals of pixels between two runs */
	uint8_t *bytes; /* the writer's */
	void *memory;
};

/* At most PUT_BITS_MAX bits. Always stores and keeps what is no whole byte: no branch to mispredict. */
static inline __attribute__((always_inline)) void put_bits(
	struct bit_writer *w, uint64_t code, uint32_t length)
{
	uint64_t stored;

	w->count += length;
	w->bits |= code << (64 - w->count);
	stored = htobe64(w->bits);
	memcpy(w->at, &stored, 8);
	w->at += w->count >> 3;
	w->bits <<= w->count & 56;
	w->count &= 7;
}

/* ---- coding ---- */

/* What the loops over a row's pixels use, apart from memory that the stored bytes might alias. */
struct row_coder {
	struct bit_writer writer;
	const uint32_t *fresh;
	uint32_t *residuals;
	const uint16_t (*best)[256];
	const uint16_t *codes;
	uint32_t context; /* residuals of the pixel before */
};

static inline __attribute__((always_inline)) uint64_t code_of(
	const struct row_coder *r, uint32_t c, uint32_t shift, uint32_t values)
{
	uint32_t entry = r->best[c][r->context >> shift & 0xff];

	return r->codes[entry + (values >> shift & 0xff)];
}

static inline __attribute__((always_inline)) void code_pixel(
	struct row_coder *r, uint32_t count, uint32_t shift, uint32_t i)
{
	uint32_t values = r->fresh[i], length;
	uint64_t first = code_of(r, 0, shift, values), second, third;

	r->residuals[i] = values;
	if (count == 1) {
		r->context = values;
		put_bits(&r->writer, first >> 6, first & 63);
		return;
	}
	second = code_of(r, 1, 8, values);
	third = code_of(r, 2, 0, values);
	r->context = values;
	length = (uint32_t)((first & 63) + (second & 63));
	first = first >> 6 << (second & 63) | second >> 6;
	if (__builtin_expect(length + (third & 63) > PUT_BITS_MAX, 0)) {
		put_bits(&r->writer, first, length);
		put_bits(&r->writer, third >> 6, third & 63);
		return;
	}
	put_bits(&r->writer, first << (third & 63) | third >> 6, length + (third & 63));
}

/* Takes over what was learnt of a bucket. */
static void spread(
	struct encoder *e, uint16_t *best, const struct quic_channel *channel, uint32_t bucket)
{
	uint32_t end = quic_bucket_end(e->family.bits, bucket);

	for (uint32_t i = quic_bucket_first(bucket); i < end; i++)
		best[i] = (uint16_t)(channel->best[bucket] << 8);
}

static void learn(struct encoder *e, struct group *g, uint32_t i)
{
	const uint32_t *at = g->residuals + i;

	for (uint32_t c = 0; c < g->count; c++) {
		uint32_t shift = g->shift - 8 * c;
		uint32_t bucket = quic_bucket_of(e->family.bits, at[-1] >> shift & 0xff);

		if (quic_channel_learn(&g->channels[c], &e->family, g->pace.trigger, bucket,
			    (uint8_t)(at[0] >> shift)))
			spread(e, g->best[c], &g->channels[c], bucket);
	}
}

/* The state that a run leads to: the last one whose sum is not above the one it ends at. */
static inline uint32_t run_state(const struct encoder *e, uint32_t sum)
{
	uint32_t state = 0;

	if (sum < RUN_LENGTHS)
		return e->run_states[sum];
	for (uint32_t step = QUIC_RUN_STATES / 2; step; step /= 2)
		if (quic_run_sums[state + step] <= sum)
			state += step;
	return state;
}

/* Rows are too short for a run to repeat the last state. */
_Static_assert(SURFACE_MAX_SIDE < 1 << 15, "run lengths");

static inline __attribute__((always_inline)) void code_run(
	const struct encoder *e, struct bit_writer *w, struct quic_pace *pace, uint32_t length)
{
	uint32_t sum = quic_run_sums[pace->run_state] + length, state = run_state(e, sum);
	uint32_t ones = state - pace->run_state, bits = quic_run_bits[state];

	put_bits(w, ((1ull << ones) - 1) << (bits + 1) | (sum - quic_run_sums[state]),
		ones + 1 + bits);
	pace->run_state = state - (state > 0);
}

/* Pixel 0 of a row. */
static void code_first(struct encoder *e, struct group *g, struct row_coder *r)
{
	const uint8_t *now = (const uint8_t *)e->words, *up = (const uint8_t *)e->above;
	struct quic_pace *pace = &g->pace;
	uint8_t values[4];

	for (int n = 0; n < 4; n++)
		values[n] = quic_fold((uint32_t)now[n] - (up ? up[n] : 0), e->family.bits);
	memcpy(e->fresh, values, 4);
	code_pixel(r, g->count, g->shift, 0);
	if (pace->wait) {
		pace->wait--;
		return;
	}
	pace->wait = quic_pace_next_wait(pace);
	learn(e, g, 0);
}

/* Pixels i to end with one wait mask. In the first row there is no pixel above and no run. */
static inline __attribute__((always_inline)) void code_segment(struct encoder *e, struct group *g,
	uint32_t count, uint32_t shift, uint32_t bits, bool first, uint32_t i, uint32_t end)
{
	struct row_coder r = { e->writer, e->fresh, g->residuals, (const uint16_t(*)[256])g->best,
		e->codes, g->residuals[(ptrdiff_t)i - 1] };
	struct quic_pace *pace = &g->pace;
	uint32_t run_at = 0, stop;

	if (i == 0)
		code_first(e, g, &r), i++;
	stop = i + pace->wait;
	while (i < end) {
		uint32_t from = i + (i == run_at), next = end, length;

		if (!first && from < end)
			next = quic_row_find(g->may_run, true, from, end);
		quic_row_residuals(e->words, first ? NULL : e->above, bits, i, next, e->fresh);
		while (i < next) {
			code_pixel(&r, count, shift, i);
			if (i++ == stop) {
				learn(e, g, stop);
				stop = i + quic_pace_next_wait(pace);
			}
		}
		if (i == end)
			break;
		run_at = i;
		length = quic_row_find(g->same, false, i, end) - i;
		code_run(e, &r.writer, pace, length);
		i += length;
		stop += length; /* a run does not count */
		r.context = g->residuals[i - 1];
	}
	pace->wait = stop - end;
	e->writer = r.writer;
}

static inline __attribute__((always_inline)) void code_any(
	struct encoder *e, struct group *g, uint32_t from, uint32_t to)
{
	bool first = !e->above;

	if (e->family.bits == 5 && first)
		code_segment(e, g, 3, 16, 5, true, from, to);
	else if (e->family.bits == 5)
		code_segment(e, g, 3, 16, 5, false, from, to);
	else if (g->count == 3 && first)
		code_segment(e, g, 3, 16, 8, true, from, to);
	else if (g->count == 3)
		code_segment(e, g, 3, 16, 8, false, from, to);
	else
		code_segment(e, g, 1, g->shift, 8, first, from, to);
}

static void code_plain(struct encoder *e, struct group *g, uint32_t from, uint32_t to)
{
	code_any(e, g, from, to);
}

#ifdef QUIC_FAST_TARGET
static QUIC_FAST_TARGET void code_fast(
	struct encoder *e, struct group *g, uint32_t from, uint32_t to)
{
	code_any(e, g, from, to);
}
#else
#define code_fast code_plain
#endif

static void find_runs(struct group *g, uint32_t width)
{
	uint64_t carry = 0;

	for (uint32_t n = 0; n * 64 < width; n++) {
		g->may_run[n] = g->same_above[n] & (g->same[n] << 1 | carry);
		carry = g->same[n] >> 63;
	}
	g->may_run[0] &= ~7ull;
}

static void code_row(struct encoder *e, struct group *g, uint32_t width)
{
	struct quic_pace *pace = &g->pace;
	uint32_t at = 0;

	g->residuals[-1] = e->above ? g->residuals[0] : 0;
	quic_row_same(e->words, width, g->count == 3 ? 0xffffff : 0xffu << g->shift, g->same);
	find_runs(g, width);
	while (pace->wait_index < QUIC_WAIT_INDEX_MAX && pace->wait_left <= width - at) {
		if (pace->wait_left)
			e->code(e, g, at, at + pace->wait_left);
		at += pace->wait_left;
		quic_pace_lengthen(pace);
	}
	if (at < width) {
		e->code(e, g, at, width);
		if (pace->wait_index < QUIC_WAIT_INDEX_MAX)
			pace->wait_left -= width - at;
	}
}

/* ---- a whole picture ---- */

static void tables_init(struct encoder *e, uint32_t bits)
{
	struct quic_family *family = &e->family;
	uint32_t state = 0;

	quic_family_init(family, bits);
	for (uint32_t code = 0; code < bits; code++) {
		for (uint32_t v = 0; v < 1u << bits; v++)
			e->codes[code << 8 | v] =
				(uint16_t)(quic_family_codeword(family, code, v) << 6 |
					family->length[v][code]);
	}
	for (uint32_t length = 0; length < RUN_LENGTHS; length++) {
		while (quic_run_sums[state + 1] <= length)
			state++;
		e->run_states[length] = (uint8_t)state;
	}
}

static int encoder_init(struct encoder *e, enum quic_type type, uint32_t width)
{
	uint32_t channels, bits, row = ALIGN_UP(width + QUIC_ROW_BEFORE + QUIC_ROW_BEHIND, 64u);
	size_t bytes = (size_t)width * PIXEL_BYTES_MAX + ROW_SLACK_BYTES;
	uint32_t *at;

	if (!quic_type_layout(type, &channels, &bits))
		return -EINVAL;
	memset(e, 0, sizeof(*e));
	tables_init(e, bits);
	/* Five rows of words, six of bits, the writer's bytes. */
	e->memory = calloc(1, (5 * 4 + 1) * (size_t)row + bytes);
	if (!e->memory)
		return -ENOMEM;
	at = (uint32_t *)e->memory + QUIC_ROW_BEFORE;
	e->words = at;
	e->spare = at + row;
	e->fresh = at + 2 * (size_t)row;
	for (uint32_t c = 0; c < channels; c++) {
		quic_channel_reset(&e->channels[c], &e->family);
		for (uint32_t bucket = 0; bucket < bits; bucket++)
			spread(e, e->best[c], &e->channels[c], bucket);
	}
	e->group_count = channels == 4 ? 2 : 1;
	for (uint32_t n = 0; n < e->group_count; n++) {
		struct group *g = &e->groups[n];

		g->count = n ? 1 : MIN(channels, 3u);
		g->shift = n ? 24 : 16;
		g->channels = &e->channels[n * 3];
		g->best = &e->best[n * 3];
		g->residuals = at + (3 + n) * (size_t)row;
		g->same = (uint64_t *)e->memory + 5 * (size_t)row / 2 + 3 * n * (row / 64);
		g->same_above = g->same + row / 64;
		g->may_run = g->same + 2 * (row / 64);
		quic_pace_reset(&g->pace);
	}
	e->bytes = (uint8_t *)e->memory + (5 * 4 + 1) * (size_t)row;
	e->writer.at = e->bytes;
	return 0;
}

/* Appends the whole words of what was written, and keeps the rest. */
static int flush(struct encoder *e, struct buf *out)
{
	size_t size = (size_t)(e->writer.at - e->bytes) & ~(size_t)3;
	uint8_t *to = buf_reserve(out, size);
	uint32_t word;

	if (!to)
		return -ENOMEM;
	for (size_t i = 0; i < size; i += 4) {
		memcpy(&word, e->bytes + i, 4);
		word = htole32(be32toh(word));
		memcpy(to + i, &word, 4);
	}
	buf_commit(out, size);
	e->writer.at -= size;
	memcpy(e->bytes, e->bytes + size, 4);
	return 0;
}

static int code_picture(struct encoder *e, struct buf *out, enum quic_type type, uint32_t width,
	uint32_t height, const uint8_t *pixels, ptrdiff_t stride)
{
	const uint32_t header[] = { QUIC_MAGIC, 0, (uint32_t)type, width, height };
	uint32_t left;
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(header); i++)
		put_bits(&e->writer, header[i], 32);
	for (uint32_t y = 0; y < height && !err; y++) {
		uint32_t *above = e->above ? e->above : e->spare;

		quic_row_load(type, pixels + stride * (ptrdiff_t)y, width, e->words);
		for (uint32_t n = 0; n < e->group_count; n++) {
			uint64_t *same = e->groups[n].same;

			code_row(e, &e->groups[n], width);
			e->groups[n].same = e->groups[n].same_above;
			e->groups[n].same_above = same;
		}
		e->above = e->words;
		e->words = above;
		err = flush(e, out);
	}
	if (err)
		return err;
	/* Fills up a word; one more, since decoders read ahead. */
	left = (uint32_t)(e->writer.at - e->bytes) * 8 + e->writer.count;
	if (left % 32)
		put_bits(&e->writer, 0, 32 - left % 32);
	put_bits(&e->writer, 0, 32);
	return flush(e, out);
}

int quic_encode_as(bool fast, struct buf *out, enum quic_type type, uint32_t width, uint32_t height,
	const uint8_t *pixels, ptrdiff_t stride)
{
	struct encoder *e;
	int err;

	if (!width || !height || width > SURFACE_MAX_SIDE || height > SURFACE_MAX_SIDE)
		return -EINVAL;
	e = malloc(sizeof(*e));
	if (!e)
		return -ENOMEM;
	err = encoder_init(e, type, width);
	if (!err) {
		e->code = fast ? code_fast : code_plain;
		err = code_picture(e, out, type, width, height, pixels, stride);
		free(e->memory);
	}
	free(e);
	return err;
}

int quic_encode(struct buf *out, enum quic_type type, uint32_t width, uint32_t height,
	const uint8_t *pixels, ptrdiff_t stride)
{
	return quic_encode_as(quic_fast_possible(), out, type, width, height, pixels, stride);
}

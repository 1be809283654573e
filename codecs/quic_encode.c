/* SPDX-License-Identifier: MIT */
/*
 * QUIC's encoder. A row is turned into words with a channel a byte, and bits say where runs may be;
 * the residuals between runs are made many at once. What remains a pixel is looking up its codes and
 * making one item of them; a row's items are then written in a loop of its own, which has no branch to
 * mispredict.
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
	ITEM_BITS_MAX = 56,
	ITEMS_PER_PIXEL = 4, /* at most: two for the colours, one for alpha, a run's before each */
	/* Most bytes a pixel; and a run's code is shorter than the pixels it replaces, but for a few
	 * words. */
	PIXEL_BYTES_MAX = 16,
	ROW_SLACK_BYTES = 256,
	SHORT_RUN = 16, /* runs below this are looked up */
};

struct bit_writer {
	uint64_t bits; /* the last `count` are still to be written; the others were */
	uint32_t count; /* below 8 between calls */
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
	uint64_t *differs; /* from the one before */
	uint64_t *differs_above;
	uint64_t *may_run; /* a run may begin there, unless one just did: the decoder sees the same */
};

struct encoder;
typedef void code_fn(struct encoder *e, struct group *g, uint32_t from, uint32_t to);

struct encoder {
	struct quic_family family;
	uint32_t codes[QUIC_MAX_CODES << 8]; /* items, by code << 8 | value */
	/* By state and length, filled in as they come: the state after the run << 24 | its item. */
	uint32_t runs[QUIC_RUN_STATES][SHORT_RUN];
	struct quic_channel channels[4];
	uint16_t best[4][256];
	struct group groups[2];
	uint32_t group_count;
	code_fn *code;
	void (*put_items)(struct encoder *e);
	struct bit_writer writer;
	/* What the row is to be written as: bits << 8 | their number, ITEM_BITS_MAX at most. */
	uint64_t *items;
	uint64_t *items_end;
	uint32_t *words; /* the row */
	uint32_t *above; /* NULL in the first row */
	uint32_t *spare;
	uint32_t *fresh; /* the residuals of pixels between two runs */
	uint8_t *bytes; /* the writer's */
	void *memory;
};

/* Always stores, and keeps what is no whole byte. */
static inline __attribute__((always_inline)) void put_item(struct bit_writer *w, uint64_t item)
{
	uint64_t stored;

	w->bits = w->bits << (item & 63) | item >> 8;
	w->count += item & 63;
	stored = htobe64(w->bits << (-w->count & 63));
	memcpy(w->at, &stored, 8);
	w->at += w->count >> 3;
	w->count &= 7;
}

static inline __attribute__((always_inline)) void put_items_any(struct encoder *e)
{
	struct bit_writer writer = e->writer;

	for (const uint64_t *item = e->items; item < e->items_end; item++)
		put_item(&writer, *item);
	e->writer = writer;
	e->items_end = e->items;
}

/* ---- coding ---- */

/* What the loops over a row's pixels use, apart from memory that the stored bytes might alias. */
struct row_coder {
	uint64_t *items_end;
	uint32_t *fresh;
	uint32_t *residuals;
	const uint16_t (*best)[256];
	const uint32_t *codes;
};

/* One of a word's bytes, from memory: cheaper than shifting all four out of it. */
static inline uint32_t channel_of(const uint32_t *word, uint32_t shift)
{
	bool little = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;

	return ((const uint8_t *)word)[little ? shift / 8 : 3 - shift / 8];
}

static inline __attribute__((always_inline)) uint64_t code_of(
	const struct row_coder *r, uint32_t c, uint32_t shift, const uint32_t *at)
{
	return r->codes[r->best[c][channel_of(at - 1, shift)] + channel_of(at, shift)];
}

/* An item for pixel i, whose residuals are in fresh[i], their contexts before them. */
static inline __attribute__((always_inline)) void code_pixel(
	struct row_coder *r, uint32_t count, uint32_t shift, uint32_t i)
{
	const uint64_t no_length = ~0xffull;
	const uint32_t *at = r->fresh + i;
	uint64_t first = code_of(r, 0, shift, at), second, third, item;

	r->residuals[i] = *at;
	if (count == 1) {
		*r->items_end++ = first;
		return;
	}
	second = code_of(r, 1, 8, at);
	third = code_of(r, 2, 0, at);
	/* Behind the bits of the one before, the next one with its length. */
	item = ((first & no_length) << (second & 63)) + second;
	item = ((item & no_length) << (third & 63)) + third + ((first + second) & 0xff);
	if (__builtin_expect((item & 0xff) > ITEM_BITS_MAX, 0)) {
		*r->items_end++ = ((first & no_length) << (second & 63)) + second + (first & 0xff);
		item = third;
	}
	*r->items_end++ = item;
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

/* Rows are too short for a run to repeat the last state. */
_Static_assert(SURFACE_MAX_SIDE < 1 << 15, "run lengths");

/* A run's item, and the state after it. */
static uint64_t run_item(uint32_t before, uint32_t length, uint32_t *after)
{
	uint32_t sum = quic_run_sums[before] + length, state = 0, ones, bits;

	/* The last state whose sum is not above the run's end. */
	for (uint32_t step = QUIC_RUN_STATES / 2; step; step /= 2)
		if (quic_run_sums[state + step] <= sum)
			state += step;
	ones = state - before;
	bits = quic_run_bits[state];
	*after = state - (state > 0);
	return (((1ull << ones) - 1) << (bits + 1) | (sum - quic_run_sums[state])) << 8 |
		(ones + 1 + bits);
}

static inline __attribute__((always_inline)) void code_run(
	struct encoder *e, struct row_coder *r, uint32_t *state, uint32_t length)
{
	uint32_t entry, after;

	if (length >= SHORT_RUN) {
		*r->items_end++ = run_item(*state, length, state);
		return;
	}
	entry = e->runs[*state][length];
	if (__builtin_expect(entry == 0, 0)) {
		entry = (uint32_t)run_item(*state, length, &after);
		entry |= after << 24;
		e->runs[*state][length] = entry;
	}
	*r->items_end++ = entry & 0xffffff;
	*state = entry >> 24;
}

static inline __attribute__((always_inline)) void row_coder_init(
	struct row_coder *r, struct encoder *e, struct group *g)
{
	*r = (struct row_coder){ e->items_end, e->fresh, g->residuals,
		(const uint16_t(*)[256])g->best, e->codes };
}

/* Pixel 0 of a row. */
static void code_first(struct encoder *e, struct group *g)
{
	const uint8_t *now = (const uint8_t *)e->words, *up = (const uint8_t *)e->above;
	struct quic_pace *pace = &g->pace;
	struct row_coder r;
	uint8_t values[4];

	for (int n = 0; n < 4; n++)
		values[n] = quic_fold((uint32_t)now[n] - (up ? up[n] : 0), e->family.bits);
	memcpy(e->fresh, values, 4);
	e->fresh[-1] = g->residuals[-1];
	row_coder_init(&r, e, g);
	code_pixel(&r, g->count, g->shift, 0);
	e->items_end = r.items_end;
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
	const uint32_t *words = e->words, *above = e->above;
	const uint64_t *may_run = g->may_run, *differs = g->differs;
	uint32_t run_at = 0, state = g->pace.run_state, stop;
	struct row_coder r;

	if (i == 0)
		code_first(e, g), i++;
	row_coder_init(&r, e, g);
	stop = i + g->pace.wait;
	while (i < end) {
		uint32_t from = i + (i == run_at), next = end, length;

		if (!first && from < end)
			next = quic_row_find(may_run, from, end);
		r.fresh[i - 1] = r.residuals[i - 1];
		quic_row_residuals(words, first ? NULL : above, bits, i, next, r.fresh);
		while (i < next) {
			uint32_t until = MIN(next, stop + 1);

			for (; i < until; i++)
				code_pixel(&r, count, shift, i);
			if (i > stop) {
				learn(e, g, stop);
				stop = i + quic_pace_next_wait(&g->pace);
			}
		}
		if (i == end)
			break;
		run_at = i;
		length = quic_row_find(differs, i, end) - i;
		code_run(e, &r, &state, length);
		i += length;
		stop += length; /* a run does not count */
	}
	g->pace.wait = stop - end;
	g->pace.run_state = state;
	e->items_end = r.items_end;
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

static void put_items_plain(struct encoder *e)
{
	put_items_any(e);
}

static void code_plain(struct encoder *e, struct group *g, uint32_t from, uint32_t to)
{
	code_any(e, g, from, to);
}

#ifdef QUIC_FAST_TARGET
static QUIC_FAST_TARGET void put_items_fast(struct encoder *e)
{
	put_items_any(e);
}

static QUIC_FAST_TARGET void code_fast(
	struct encoder *e, struct group *g, uint32_t from, uint32_t to)
{
	code_any(e, g, from, to);
}
#else
#define put_items_fast put_items_plain
#define code_fast      code_plain
#endif

static void find_runs(struct group *g, uint32_t width)
{
	uint64_t carry = 0;

	for (uint32_t n = 0; n * 64 < width; n++) {
		g->may_run[n] = ~(g->differs_above[n] | g->differs[n] << 1 | carry);
		carry = g->differs[n] >> 63;
	}
	g->may_run[0] &= ~7ull;
}

static void code_row(struct encoder *e, struct group *g, uint32_t width)
{
	struct quic_pace *pace = &g->pace;
	uint32_t at = 0;

	g->residuals[-1] = e->above ? g->residuals[0] : 0;
	quic_row_differs(e->words, width, g->count == 3 ? 0xffffff : 0xffu << g->shift, g->differs);
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

static void codes_init(struct encoder *e)
{
	const struct quic_family *f = &e->family;

	for (uint32_t code = 0; code < f->bits; code++) {
		uint32_t *codes = e->codes + (code << 8), escape = f->escape[code];
		uint32_t longest = f->escape_prefix[code] + f->escape_suffix[code];

		for (uint32_t v = 0; v < escape; v++)
			codes[v] = (1u << code | (v & ((1u << code) - 1))) << 8 |
				((v >> code) + code + 1);
		for (uint32_t v = escape; v < 1u << f->bits; v++)
			codes[v] = (v - escape) << 8 | longest;
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
	quic_family_init(&e->family, bits);
	codes_init(e);
	/* Five rows of words, six of bits, the items, the writer's bytes. */
	e->memory = calloc(1, (5 * 4 + 1 + 8 * ITEMS_PER_PIXEL) * (size_t)row + bytes);
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
		g->differs = (uint64_t *)e->memory + 5 * (size_t)row / 2 + 3 * n * (row / 64);
		g->differs_above = g->differs + row / 64;
		g->may_run = g->differs + 2 * (row / 64);
		quic_pace_reset(&g->pace);
	}
	e->items = e->items_end = (uint64_t *)e->memory + 5 * (size_t)row / 2 + 6 * (row / 64);
	e->bytes = (uint8_t *)(e->items + (size_t)row * ITEMS_PER_PIXEL);
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
		put_item(&e->writer, (uint64_t)header[i] << 8 | 32);
	for (uint32_t y = 0; y < height && !err; y++) {
		uint32_t *above = e->above ? e->above : e->spare;

		quic_row_load(type, pixels + stride * (ptrdiff_t)y, width, e->words);
		for (uint32_t n = 0; n < e->group_count; n++) {
			uint64_t *differs = e->groups[n].differs;

			code_row(e, &e->groups[n], width);
			e->put_items(e);
			e->groups[n].differs = e->groups[n].differs_above;
			e->groups[n].differs_above = differs;
		}
		e->above = e->words;
		e->words = above;
		err = flush(e, out);
	}
	if (err)
		return err;
	/* Fills up a word; one more, since decoders read ahead. */
	left = (uint32_t)(e->writer.at - e->bytes) * 8 + e->writer.count;
	put_item(&e->writer, -left % 32);
	put_item(&e->writer, 32);
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
		e->put_items = fast ? put_items_fast : put_items_plain;
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

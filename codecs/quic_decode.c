/* SPDX-License-Identifier: MIT */
/*
 * QUIC's decoder. The stream's words are turned round first, into memory with zeros behind them, so
 * that any eight bytes are the next bits; a pixel's channels are predicted together, as bytes of a
 * word.
 *
 * What takes the time is that a codeword begins where the one before ends. So the length is made of
 * few operations: the zeros that the bits begin with, no more of them than an entry's limit lets, and
 * the code. Only after QUIC_LONG_PREFIX() zeros is it another.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codecs/quic_model.h"
#include "codecs/quic_near.h"
#include "core/surface.h"
#include "core/util.h"
#include "core/wire.h"

enum {
	SHORT_RUN_BITS = 6, /* runs with codes no longer than this are looked up */
	PIXEL_BITS_MAX = 4 * QUIC_MAX_CODE_BITS + 24, /* with a run's code, rounded up */
};

struct bit_reader {
	uint64_t bits; /* the next bits, first one highest */
	uint32_t count; /* of them that are sure to be there */
	const uint8_t *at;
};

/* What the pixels' loop needs of a channel's model, by context. */
struct entries {
	uint64_t limit[256]; /* of its bits one is set: no prefix is longer */
	uint8_t after[256]; /* bits from a prefix' last zero on: the code + 1 */
};

struct group {
	struct quic_channel *channels;
	struct quic_pace pace;
	uint32_t *residuals; /* of the row at hand, a channel a byte; [-1] is the first context */
};

/* How a group's channels lie in memory. */
enum layout { LAYOUT_BYTE, LAYOUT_555, LAYOUT_BGRX, LAYOUT_BGRA, LAYOUT_ALPHA };

struct row {
	uint8_t *at;
	const uint8_t *above; /* NULL in the first row */
	uint32_t width;
};

struct decoder;
typedef void decode_fn(struct decoder *d, struct group *g, enum layout layout,
	const struct row *row, uint32_t from, uint32_t to);

struct decoder {
	struct quic_family family;
	struct quic_channel channels[4];
	struct entries entries[4]; /* one a channel */
	/* By state and next bits, what a short run's code means, filled in as they come: the run's
	 * length << 16 | the state after it << 8 | the code's length. */
	uint32_t runs[QUIC_RUN_STATES][1u << SHORT_RUN_BITS];
	uint64_t limits[QUIC_MAX_CODES];
	uint32_t ends[QUIC_MAX_CODES]; /* the bit that ends a prefix */
	uint8_t prefixes[QUIC_MAX_CODE_BITS][QUIC_MAX_CODES]; /* what zeros stand for */
	struct group groups[2];
	struct bit_reader reader;
	decode_fn *decode;
	bool broken;
	uint32_t *residuals;
	uint8_t *stream;
};

/* At least 56 bits are there afterwards. */
static inline void refill(struct bit_reader *r)
{
	uint64_t next;

	memcpy(&next, r->at, 8);
	r->bits |= be64toh(next) >> r->count;
	r->at += (63 - r->count) >> 3;
	r->count |= 56;
}

static inline void eat(struct bit_reader *r, uint32_t length)
{
	r->bits <<= length;
	r->count -= length;
}

/* Reads a codeword with a long prefix. Not inline, so that the others have the registers. */
static __attribute__((noinline, cold)) uint32_t decode_long_value(
	struct bit_reader *r, const struct quic_family *f, uint32_t code)
{
	uint32_t length = f->escape_prefix[code] + f->escape_suffix[code];
	uint32_t suffix =
		(uint32_t)(r->bits << f->escape_prefix[code] >> (64 - f->escape_suffix[code]));

	eat(r, length);
	return (f->escape[code] + suffix) & ((1u << f->bits) - 1);
}

/* The caller has seen to it that there are QUIC_MAX_CODE_BITS bits. */
static inline __attribute__((always_inline)) uint32_t decode_value(struct bit_reader *r,
	const struct decoder *d, uint32_t bits, const struct entries *entries, uint32_t context)
{
	uint32_t after = entries->after[context], code = after - 1;
	uint32_t zeros = (uint32_t)__builtin_clzll(r->bits | entries->limit[context]);
	uint32_t length = zeros + after;
	uint32_t word;

	if (__builtin_expect(zeros == QUIC_LONG_PREFIX(bits), 0)) {
		/* A copy, so that the reader itself may be in registers. */
		struct bit_reader copy = *r;
		uint32_t value = decode_long_value(&copy, &d->family, code);

		*r = copy;
		return value;
	}
	word = (uint32_t)(r->bits >> (-length & 63));
	eat(r, length);
	/* The bit behind the zeros is 1, or there would have been one zero more but for the limit. */
	return d->prefixes[zeros][code] + (word ^ d->ends[code]);
}

/* Takes over what was learnt of a bucket. */
static void spread(const struct decoder *d, struct entries *entries,
	const struct quic_channel *channel, uint32_t bucket)
{
	uint32_t end = quic_bucket_end(d->family.bits, bucket);
	uint64_t limit = d->limits[channel->best[bucket]];

	for (uint32_t i = quic_bucket_first(bucket); i < end; i++) {
		entries->after[i] = (uint8_t)(channel->best[bucket] + 1);
		entries->limit[i] = limit;
	}
}

/* Without a long prefix the last codewords differ in a suffix as long as the code alone: with the zero
 * that ends their prefix they are like the ones before them. */
static void limits_init(struct decoder *d)
{
	const struct quic_family *f = &d->family;

	for (uint32_t code = 0; code < f->bits; code++) {
		uint32_t prefix = f->escape_prefix[code];

		if (prefix < QUIC_LONG_PREFIX(f->bits))
			prefix--;
		d->limits[code] = 1ull << 63 >> prefix;
		d->ends[code] = 1u << code;
		for (uint32_t zeros = 0; zeros <= prefix; zeros++)
			d->prefixes[zeros][code] = (uint8_t)(zeros << code);
	}
}

/* The length of a run, or more than `left` when the stream is broken. Not inline, like the above. */
static __attribute__((noinline, cold)) uint32_t decode_long_run(
	struct bit_reader *r, uint32_t *state, uint32_t left)
{
	uint32_t length, ones, bits;

	/* No more ones than lead to the last state, which the loop then stays in. */
	ones = (uint32_t)__builtin_clzll(~r->bits | 1ull << (64 - QUIC_RUN_STATES + *state));
	length = quic_run_sums[*state + ones] - quic_run_sums[*state];
	*state += ones;
	bits = quic_run_bits[*state];
	eat(r, ones);
	while (r->bits >> 63) {
		length += 1u << bits;
		if (length > left)
			return length;
		eat(r, 1);
		refill(r);
	}
	eat(r, 1);
	length += (uint32_t)(r->bits >> 1 >> (63 - bits));
	eat(r, bits);
	*state -= *state > 0;
	return length;
}

/* The reader has been refilled. */
static inline __attribute__((always_inline)) uint32_t decode_run(
	struct bit_reader *r, struct decoder *d, uint32_t *state, uint32_t left)
{
	uint32_t *entry = &d->runs[*state][r->bits >> (64 - SHORT_RUN_BITS)];
	struct bit_reader copy;
	uint32_t length, after;

	if (__builtin_expect(*entry != 0, 1)) {
		eat(r, *entry & 63);
		*state = *entry >> 8 & 0xff;
		return *entry >> 16;
	}
	/* Copies, so that the originals may be in registers. */
	copy = *r;
	after = *state;
	length = decode_long_run(&copy, &after, left);
	/* Where it refilled, in the last state, it then took 16 bits: more than the refill gave. */
	if (r->count - copy.count <= SHORT_RUN_BITS)
		*entry = length << 16 | after << 8 | (r->count - copy.count);
	*r = copy;
	*state = after;
	return length;
}

/* ---- pixels: all inline, with constant layouts ---- */

static inline uint32_t layout_count(enum layout layout)
{
	return layout == LAYOUT_BYTE || layout == LAYOUT_ALPHA ? 1 : 3;
}

/* One pixel as a word with each channel in a byte of its own: channel c at bits 8 * (2 - c). */
static inline uint32_t load(enum layout layout, const uint8_t *row, uint32_t i)
{
	uint32_t word;
	uint16_t half;

	switch (layout) {
	case LAYOUT_BYTE: return (uint32_t)row[i] << 16;
	case LAYOUT_ALPHA: return (uint32_t)row[4 * (size_t)i + 3] << 16;
	case LAYOUT_555:
		memcpy(&half, row + 2 * (size_t)i, 2);
		return (uint32_t)(half >> 10 & 31) << 16 | (uint32_t)(half >> 5 & 31) << 8 |
			(half & 31);
	case LAYOUT_BGRX: memcpy(&word, row + 4 * (size_t)i, 4); return word; /* stored so */
	default: memcpy(&word, row + 4 * (size_t)i, 4); return word & 0xffffff;
	}
}

static inline void store(enum layout layout, uint8_t *row, uint32_t i, uint32_t word)
{
	uint16_t half;

	switch (layout) {
	case LAYOUT_BYTE: row[i] = (uint8_t)(word >> 16); break;
	case LAYOUT_ALPHA: row[4 * (size_t)i + 3] = (uint8_t)(word >> 16); break;
	case LAYOUT_555:
		half = (uint16_t)((word >> 16 & 31) << 10 | (word >> 8 & 31) << 5 | (word & 31));
		memcpy(row + 2 * (size_t)i, &half, 2);
		break;
	default: memcpy(row + 4 * (size_t)i, &word, 4); break;
	}
}

/* ---- rows ---- */

/* What the loops over a row's pixels use, apart from memory that the stored bytes might alias. */
struct row_decoder {
	struct bit_reader reader;
	struct decoder *d;
	uint32_t *residuals;
	uint8_t *at;
	/* Residuals of the pixel before. Each for itself: the first channel's must not wait for the
	 * last one's. */
	uint32_t contexts[3];
};

/* Reads the residuals of a pixel. The reader has been refilled. */
static inline __attribute__((always_inline)) uint32_t decode_residuals(
	struct row_decoder *r, enum layout layout)
{
	const struct entries *entries = r->d->entries + (layout == LAYOUT_ALPHA ? 3 : 0);
	uint32_t bits = layout == LAYOUT_555 ? 5 : 8, *contexts = r->contexts;
	struct bit_reader *reader = &r->reader;

	contexts[0] = decode_value(reader, r->d, bits, &entries[0], contexts[0]);
	if (layout_count(layout) == 1)
		return contexts[0] << 16;
	contexts[1] = decode_value(reader, r->d, bits, &entries[1], contexts[1]);
	if (__builtin_expect(reader->count < QUIC_MAX_CODE_BITS, 0))
		refill(reader);
	contexts[2] = decode_value(reader, r->d, bits, &entries[2], contexts[2]);
	return contexts[0] << 16 | contexts[1] << 8 | contexts[2];
}

/* Decodes pixel i. */
static inline __attribute__((always_inline)) void decode_pixel(struct row_decoder *r,
	enum layout layout, bool vectors, bool first, struct near *near, uint32_t i)
{
	uint32_t mask = layout == LAYOUT_555 ? 0x1f1f1f
		: layout_count(layout) == 3  ? 0xffffff
					     : 0xff0000;
	uint32_t values = decode_residuals(r, layout);

	r->residuals[i] = values;
	store(layout, r->at, i, near_add(near, vectors, first, mask, values));
}

static void learn(struct decoder *d, struct group *g, uint32_t count, uint32_t i)
{
	const uint32_t *residuals = g->residuals + i;

	for (uint32_t c = 0; c < count; c++) {
		uint32_t shift = 8 * (2 - c);
		uint32_t bucket = quic_bucket_of(d->family.bits, residuals[-1] >> shift & 0xff);

		if (quic_channel_learn(&g->channels[c], &d->family, g->pace.trigger, bucket,
			    (uint8_t)(residuals[0] >> shift)))
			spread(d, &d->entries[g->channels - d->channels + c], &g->channels[c],
				bucket);
	}
}

static inline void contexts_set(struct row_decoder *r, uint32_t residuals)
{
	for (uint32_t c = 0; c < 3; c++)
		r->contexts[c] = residuals >> 8 * (2 - c) & 0xff;
}

static inline void row_decoder_init(struct row_decoder *r, struct decoder *d, struct group *g,
	const struct row *row, uint32_t i)
{
	*r = (struct row_decoder){ d->reader, d, g->residuals, row->at, { 0 } };
	contexts_set(r, g->residuals[(ptrdiff_t)i - 1]);
}

/* Pixel 0 of a row. */
static void decode_first(
	struct decoder *d, struct group *g, enum layout layout, const struct row *row)
{
	struct near near = { .left = row->above ? load(layout, row->above, 0) : 0 };
	struct quic_pace *pace = &g->pace;
	struct row_decoder r;

	row_decoder_init(&r, d, g, row, 0);
	refill(&r.reader);
	decode_pixel(&r, layout, false, true, &near, 0);
	d->reader = r.reader;
	if (pace->wait) {
		pace->wait--;
		return;
	}
	pace->wait = quic_pace_next_wait(pace);
	learn(d, g, layout_count(layout), 0);
}

/* Fills pixels i to end. May write up to `room`, what is decoded later. */
static inline void fill(
	enum layout layout, uint8_t *row, uint32_t i, uint32_t end, uint32_t room, uint32_t word)
{
	uint32_t eight[8] = { word, word, word, word, word, word, word, word };

	/* Most runs are short: eight pixels in any case, since a branch would often be mispredicted. */
	if ((layout == LAYOUT_BGRX || layout == LAYOUT_BGRA) && room - end >= 8) {
		do {
			memcpy(row + 4 * (size_t)i, eight, sizeof(eight));
			i += 8;
		} while (i < end);
		return;
	}
	for (; i < end; i++)
		store(layout, row, i, word);
}

/* Pixels i to end, i > 0. */
static inline __attribute__((always_inline)) void decode_segment(struct decoder *d, struct group *g,
	enum layout layout, bool vectors, bool first, const struct row *row, uint32_t i,
	uint32_t end)
{
	uint32_t stop = i + g->pace.wait, state = g->pace.run_state;
	const uint8_t *above = row->above;
	struct row_decoder r;
	struct near near;

	row_decoder_init(&r, d, g, row, i);
	near_set(&near, vectors, i > 1 ? load(layout, row->at, i - 2) : 0,
		load(layout, row->at, i - 1), first ? 0 : load(layout, above, i - 1));
	while (i < end) {
		uint32_t length;

		refill(&r.reader);
		if (first || !near_run(&near, vectors, load(layout, above, i)) || i <= 2) {
			decode_pixel(&r, layout, vectors, first, &near, i);
			if (i++ == stop) {
				learn(d, g, layout_count(layout), stop);
				stop = i + quic_pace_next_wait(&g->pace);
			}
			continue;
		}
		length = decode_run(&r.reader, d, &state, end - i);
		if (length > end - i) {
			d->broken = true;
			return;
		}
		fill(layout, r.at, i, i + length, row->width, near_left(&near, vectors));
		i += length;
		stop += length;
		contexts_set(&r, r.residuals[i - 1]);
		near_behind_run(&near, vectors, length, load(layout, above, i - 1));
	}
	g->pace.wait = stop - end;
	g->pace.run_state = state;
	d->reader = r.reader;
}

static inline __attribute__((always_inline)) void decode_layout(struct decoder *d, struct group *g,
	enum layout layout, bool vectors, const struct row *row, uint32_t from, uint32_t to)
{
	if (from == 0) {
		decode_first(d, g, layout, row);
		from = 1;
	}
	if (row->above)
		decode_segment(d, g, layout, vectors, false, row, from, to);
	else
		decode_segment(d, g, layout, false, true, row, from, to);
}

static inline __attribute__((always_inline)) void decode_any(struct decoder *d, struct group *g,
	enum layout layout, bool vectors, const struct row *row, uint32_t from, uint32_t to)
{
	switch (layout) {
	case LAYOUT_BYTE: decode_layout(d, g, LAYOUT_BYTE, false, row, from, to); break;
	case LAYOUT_ALPHA: decode_layout(d, g, LAYOUT_ALPHA, false, row, from, to); break;
	case LAYOUT_555: decode_layout(d, g, LAYOUT_555, false, row, from, to); break;
	case LAYOUT_BGRX: decode_layout(d, g, LAYOUT_BGRX, vectors, row, from, to); break;
	case LAYOUT_BGRA: decode_layout(d, g, LAYOUT_BGRA, vectors, row, from, to); break;
	}
}

static void decode_plain(struct decoder *d, struct group *g, enum layout layout,
	const struct row *row, uint32_t from, uint32_t to)
{
	decode_any(d, g, layout, false, row, from, to);
}

#ifdef QUIC_FAST_TARGET
static QUIC_FAST_TARGET void decode_fast(struct decoder *d, struct group *g, enum layout layout,
	const struct row *row, uint32_t from, uint32_t to)
{
	decode_any(d, g, layout, VECTORS, row, from, to);
}
#else
#define decode_fast decode_plain
#endif

static void decode_row(
	struct decoder *d, struct group *g, enum layout layout, const struct row *row)
{
	struct quic_pace *pace = &g->pace;
	uint32_t at = 0;

	g->residuals[-1] = row->above ? g->residuals[0] : 0;
	while (!d->broken && pace->wait_index < QUIC_WAIT_INDEX_MAX &&
		pace->wait_left <= row->width - at) {
		if (pace->wait_left)
			d->decode(d, g, layout, row, at, at + pace->wait_left);
		at += pace->wait_left;
		quic_pace_lengthen(pace);
	}
	if (!d->broken && at < row->width) {
		d->decode(d, g, layout, row, at, row->width);
		if (pace->wait_index < QUIC_WAIT_INDEX_MAX)
			pace->wait_left -= row->width - at;
	}
}

/* ---- a whole picture ---- */

int quic_decode_header(const uint8_t *data, size_t size, struct quic_header *header)
{
	uint32_t channels, bits, magic, version, type;
	struct wire_reader r;

	wire_reader_init(&r, data, size);
	magic = wire_read_u32(&r);
	version = wire_read_u32(&r);
	type = wire_read_u32(&r);
	header->width = wire_read_u32(&r);
	header->height = wire_read_u32(&r);
	if (!wire_reader_ok(&r) || magic != QUIC_MAGIC || version != 0 || type > QUIC_RGBA)
		return -EPROTO;
	header->type = (enum quic_type)type;
	if (!quic_type_layout(header->type, &channels, &bits) || !header->width ||
		!header->height || header->width > SURFACE_MAX_SIDE ||
		header->height > SURFACE_MAX_SIDE)
		return -EPROTO;
	return 0;
}

/* The stream as bytes whose bits come in order. Behind it are as many zeros as a row may take, so that
 * it is enough to look at each row's end whether the stream was long enough. */
static uint8_t *turn_round(const uint8_t *data, size_t size, uint32_t width)
{
	size_t zeros = (size_t)width * PIXEL_BITS_MAX / 8 + 64;
	uint8_t *stream = malloc(size + zeros);

	if (!stream)
		return NULL;
	for (size_t i = 0; i < size; i += 4) {
		uint32_t word;

		memcpy(&word, data + i, 4);
		word = htobe32(le32toh(word));
		memcpy(stream + i, &word, 4);
	}
	memset(stream + size, 0, zeros);
	return stream;
}

static int decoder_init(
	struct decoder *d, const struct quic_header *header, const uint8_t *data, size_t size)
{
	size_t row = (size_t)header->width + 1;
	uint32_t channels, bits;

	memset(d, 0, sizeof(*d));
	quic_type_layout(header->type, &channels, &bits);
	quic_family_init(&d->family, bits);
	d->residuals = calloc(2 * row, sizeof(*d->residuals));
	d->stream = turn_round(data, size, header->width);
	if (!d->residuals || !d->stream)
		return -ENOMEM;
	d->reader.at = d->stream;
	limits_init(d);
	for (uint32_t c = 0; c < channels; c++) {
		quic_channel_reset(&d->channels[c], &d->family);
		for (uint32_t bucket = 0; bucket < bits; bucket++)
			spread(d, &d->entries[c], &d->channels[c], bucket);
	}
	for (uint32_t n = 0; n < 2; n++) {
		d->groups[n].channels = &d->channels[n * 3];
		d->groups[n].residuals = d->residuals + n * row + 1;
		quic_pace_reset(&d->groups[n].pace);
	}
	return 0;
}

static enum layout layout_of(enum quic_type type)
{
	switch (type) {
	case QUIC_GRAY: return LAYOUT_BYTE;
	case QUIC_RGB16: return LAYOUT_555;
	case QUIC_RGBA: return LAYOUT_BGRA;
	default: return LAYOUT_BGRX;
	}
}

int quic_decode_as(bool fast, const uint8_t *data, size_t size, uint8_t *pixels, ptrdiff_t stride)
{
	struct quic_header header;
	struct decoder *d;
	int err = quic_decode_header(data, size, &header);

	if (err)
		return err;
	d = malloc(sizeof(*d));
	if (!d)
		return -ENOMEM;
	size = (size - QUIC_HEADER_BYTES) & ~(size_t)3;
	err = decoder_init(d, &header, data + QUIC_HEADER_BYTES, size);
	if (err)
		goto out;
	d->decode = fast ? decode_fast : decode_plain;
	for (uint32_t y = 0; y < header.height && !d->broken; y++) {
		struct row row = { .at = pixels + stride * (ptrdiff_t)y, .width = header.width };

		row.above = y ? row.at - stride : NULL;
		decode_row(d, &d->groups[0], layout_of(header.type), &row);
		if (header.type == QUIC_RGBA && !d->broken)
			decode_row(d, &d->groups[1], LAYOUT_ALPHA, &row);
		/* All bits used were there. */
		d->broken |= (size_t)(d->reader.at - d->stream) - d->reader.count / 8 > size;
	}
	err = d->broken ? -EPROTO : 0;
out:
	free(d->stream);
	free(d->residuals);
	free(d);
	return err;
}

int quic_decode(const uint8_t *data, size_t size, uint8_t *pixels, ptrdiff_t stride)
{
	return quic_decode_as(quic_fast_possible(), data, size, pixels, stride);
}

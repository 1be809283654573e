/* SPDX-License-Identifier: MIT */
/*
 * QUIC's decoder. The stream's words are turned round first, into memory with zeros behind them, so
 * that any eight bytes are the next bits; short codes are looked up; a pixel's channels are predicted
 * together, as bytes of a word.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codecs/quic_model.h"
#include "core/surface.h"
#include "core/util.h"
#include "core/wire.h"

enum {
	FAST_BITS = 9, /* codes up to this length are looked up */
	PIXEL_BITS_MAX = 4 * QUIC_MAX_CODE_BITS + 24, /* with a run's code, rounded up */
};

struct bit_reader {
	uint64_t bits; /* the next bits, first one highest */
	uint32_t count; /* of them that are sure to be there */
	const uint8_t *at;
};

struct group {
	struct quic_channel *channels;
	struct quic_pace pace;
	uint32_t *residuals; /* of the row at hand, a channel a byte; [-1] is the first context */
};

struct decoder {
	struct quic_family family;
	/* By code and the next bits: length << 8 | value, 0 when it is longer. */
	uint16_t fast[QUIC_MAX_CODES][1u << FAST_BITS];
	struct quic_channel channels[4];
	struct group groups[2];
	struct bit_reader reader;
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

/* Length << 8 | value. Not inline, so that the short codes have the registers. */
static __attribute__((noinline, cold)) uint32_t decode_long_value(
	uint64_t next, const struct quic_family *f, uint32_t code)
{
	uint32_t bits = (uint32_t)(next >> 32), zeros, length;

	if (bits > f->escape_below[code]) {
		zeros = (uint32_t)__builtin_clz(bits);
		length = zeros + 1 + code;
		return length << 8 | (zeros << code | (bits >> (32 - length) & ((1u << code) - 1)));
	}
	length = f->escape_bits[code];
	return length << 8 |
		((f->escape[code] + (bits >> (32 - length) & f->escape_suffix_mask[code])) &
			((1u << f->bits) - 1));
}

/* The caller has seen to it that there are QUIC_MAX_CODE_BITS bits. */
static inline uint32_t decode_value(struct bit_reader *r, const struct decoder *d,
	const struct quic_channel *channel, uint32_t context)
{
	uint32_t code = channel->best[context];
	uint32_t found = d->fast[code][r->bits >> (64 - FAST_BITS)];

	if (__builtin_expect(!found, 0))
		found = decode_long_value(r->bits, &d->family, code);
	eat(r, found >> 8);
	return found & 0xff;
}

static void fast_init(struct decoder *d)
{
	const struct quic_family *f = &d->family;

	for (uint32_t code = 0; code < f->bits; code++) {
		for (uint32_t v = 0; v < 1u << f->bits; v++) {
			uint32_t length = f->codeword[code][v] >> 26, first, count;

			if (length > FAST_BITS)
				continue;
			count = 1u << (FAST_BITS - length);
			first = (f->codeword[code][v] & ((1u << 26) - 1)) * count;
			for (uint32_t i = 0; i < count; i++)
				d->fast[code][first + i] = (uint16_t)(length << 8 | v);
		}
	}
}

/* The length of a run, or more than `left` when the stream is broken. */
static uint32_t decode_run(struct bit_reader *r, struct quic_pace *pace, uint32_t left)
{
	uint32_t length = 0, bits;

	for (;;) {
		refill(r);
		if (!(r->bits >> 63))
			break;
		eat(r, 1);
		length += 1u << quic_run_bits[pace->run_state];
		if (pace->run_state < QUIC_RUN_STATES - 1)
			pace->run_state++;
		if (length > left)
			return length;
	}
	eat(r, 1);
	bits = quic_run_bits[pace->run_state];
	if (bits) {
		length += (uint32_t)(r->bits >> (64 - bits));
		eat(r, bits);
	}
	if (pace->run_state > 0)
		pace->run_state--;
	return length;
}

/* ---- pixels: how a group's channels lie in memory. All inline, with constant layouts. ---- */

enum layout { LAYOUT_BYTE, LAYOUT_555, LAYOUT_BGRX, LAYOUT_ALPHA };

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

struct row {
	uint8_t *at;
	const uint8_t *above; /* NULL in the first row */
	uint32_t width;
};

/* The mean of each byte, rounded down. */
static inline uint32_t mean_bytes(uint32_t a, uint32_t b)
{
	return (a & b) + (((a ^ b) & 0xfefefe) >> 1);
}

/* The sum of each byte, modulo 256. */
static inline uint32_t add_bytes(uint32_t a, uint32_t b)
{
	return ((a & 0x7f7f7f) + (b & 0x7f7f7f)) ^ ((a ^ b) & 0x808080);
}

/* quic_unfold() of each byte. */
static inline uint32_t unfold_bytes(uint32_t v)
{
	return (v >> 1 & 0x7f7f7f) ^ (v & 0x010101) * 0xff;
}

/* Reads the residuals of a pixel; `context` are those of the pixel before. */
static inline uint32_t decode_residuals(struct bit_reader *r, const struct decoder *d,
	const struct group *g, enum layout layout, uint32_t context)
{
	const struct quic_channel *channels = g->channels;
	uint32_t values;

	refill(r);
	values = decode_value(r, d, &channels[0], context >> 16) << 16;
	if (layout_count(layout) == 1)
		return values;
	values |= decode_value(r, d, &channels[1], context >> 8 & 0xff) << 8;
	if (r->count < QUIC_MAX_CODE_BITS)
		refill(r);
	return values | decode_value(r, d, &channels[2], context & 0xff);
}

/* Decodes pixel i, for which `guess` is predicted. */
static inline uint32_t decode_pixel(struct bit_reader *r, const struct decoder *d,
	const struct group *g, enum layout layout, const struct row *row, uint32_t i,
	uint32_t *context, uint32_t guess)
{
	uint32_t mask = layout == LAYOUT_555 ? 0x1f1f1f
		: layout == LAYOUT_BGRX      ? 0xffffff
					     : 0xff0000;
	uint32_t values = decode_residuals(r, d, g, layout, *context);
	uint32_t word = add_bytes(unfold_bytes(values), guess) & mask;

	g->residuals[i] = *context = values;
	store(layout, row->at, i, word);
	return word;
}

static void learn(const struct decoder *d, struct group *g, uint32_t count, uint32_t i)
{
	const uint32_t *residuals = g->residuals + i;

	for (uint32_t c = 0; c < count; c++) {
		uint32_t shift = 8 * (2 - c);

		quic_channel_learn(&g->channels[c], &d->family, g->pace.trigger,
			(uint8_t)(residuals[-1] >> shift), (uint8_t)(residuals[0] >> shift));
	}
}

/* Pixel 0 of a row. */
static void decode_first(
	struct decoder *d, struct group *g, enum layout layout, const struct row *row)
{
	uint32_t above = row->above ? load(layout, row->above, 0) : 0, context = g->residuals[-1];
	struct quic_pace *pace = &g->pace;

	decode_pixel(&d->reader, d, g, layout, row, 0, &context, above);
	if (pace->wait) {
		pace->wait--;
		return;
	}
	pace->wait = quic_pace_next_wait(pace);
	learn(d, g, layout_count(layout), 0);
}

/* Pixels i to end, i > 0. The two pixels before are kept as words, and the one above. */
static inline __attribute__((always_inline)) void decode_segment(struct decoder *d, struct group *g,
	enum layout layout, bool first, const struct row *at, uint32_t i, uint32_t end)
{
	const struct row row = *at;
	struct bit_reader r = d->reader;
	struct quic_pace *pace = &g->pace;
	uint32_t run_at = 0, stop = i + pace->wait, context = g->residuals[i - 1];
	uint32_t left = load(layout, row.at, i - 1), above = 0, above_left = 0;
	uint32_t left2 = i > 1 ? load(layout, row.at, i - 2) : ~left;

	if (!first)
		above_left = load(layout, row.above, i - 1);
	while (i < end) {
		uint32_t length, word;

		if (!first)
			above = load(layout, row.above, i);
		if (first || left != left2 || above != above_left || i == run_at || i <= 2) {
			word = decode_pixel(&r, d, g, layout, &row, i, &context,
				first ? left : mean_bytes(left, above));
			left2 = left;
			left = word;
			above_left = above;
			if (i++ == stop) {
				learn(d, g, layout_count(layout), stop);
				stop = i + quic_pace_next_wait(pace);
			}
			continue;
		}
		run_at = i;
		pace->wait = stop - i;
		d->reader = r;
		length = decode_run(&d->reader, pace, end - i);
		r = d->reader;
		if (length > end - i) {
			d->broken = true;
			return;
		}
		for (; length > 0; length--)
			store(layout, row.at, i++, left);
		if (i == end)
			return;
		context = g->residuals[i - 1];
		above_left = load(layout, row.above, i - 1);
		left2 = left;
		stop = i + pace->wait;
	}
	pace->wait = stop - end;
	d->reader = r;
}

static inline __attribute__((always_inline)) void decode_layout(struct decoder *d, struct group *g,
	enum layout layout, const struct row *row, uint32_t from, uint32_t to)
{
	if (from == 0) {
		decode_first(d, g, layout, row);
		from = 1;
	}
	if (row->above)
		decode_segment(d, g, layout, false, row, from, to);
	else
		decode_segment(d, g, layout, true, row, from, to);
}

static void decode_span(struct decoder *d, struct group *g, enum layout layout,
	const struct row *row, uint32_t from, uint32_t to)
{
	switch (layout) {
	case LAYOUT_BYTE: decode_layout(d, g, LAYOUT_BYTE, row, from, to); break;
	case LAYOUT_ALPHA: decode_layout(d, g, LAYOUT_ALPHA, row, from, to); break;
	case LAYOUT_555: decode_layout(d, g, LAYOUT_555, row, from, to); break;
	case LAYOUT_BGRX: decode_layout(d, g, LAYOUT_BGRX, row, from, to); break;
	}
}

static void decode_row(
	struct decoder *d, struct group *g, enum layout layout, const struct row *row)
{
	struct quic_pace *pace = &g->pace;
	uint32_t at = 0;

	g->residuals[-1] = row->above ? g->residuals[0] : 0;
	while (!d->broken && pace->wait_index < QUIC_WAIT_INDEX_MAX &&
		pace->wait_left <= row->width - at) {
		if (pace->wait_left)
			decode_span(d, g, layout, row, at, at + pace->wait_left);
		at += pace->wait_left;
		quic_pace_lengthen(pace);
	}
	if (!d->broken && at < row->width) {
		decode_span(d, g, layout, row, at, row->width);
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
	fast_init(d);
	d->residuals = calloc(2 * row, sizeof(*d->residuals));
	d->stream = turn_round(data, size, header->width);
	if (!d->residuals || !d->stream)
		return -ENOMEM;
	d->reader.at = d->stream;
	for (uint32_t c = 0; c < channels; c++)
		quic_channel_reset(&d->channels[c], &d->family);
	for (uint32_t n = 0; n < 2; n++) {
		d->groups[n].channels = &d->channels[n * 3];
		d->groups[n].residuals = d->residuals + n * row + 1;
		quic_pace_reset(&d->groups[n].pace);
	}
	return 0;
}

static enum layout layout_of(enum quic_type type)
{
	return type == QUIC_GRAY ? LAYOUT_BYTE : type == QUIC_RGB16 ? LAYOUT_555 : LAYOUT_BGRX;
}

int quic_decode(const uint8_t *data, size_t size, uint8_t *pixels, ptrdiff_t stride)
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

/* SPDX-License-Identifier: MIT */
/* QUIC's decoder. Reads beyond the stream's end as zeros, and says so at the end. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codecs/quic_model.h"
#include "core/surface.h"
#include "core/util.h"
#include "core/wire.h"

struct bit_reader {
	uint64_t bits; /* the next bits, first one highest */
	uint32_t count;
	const uint8_t *at;
	const uint8_t *end;
	uint32_t beyond; /* words made up behind the end */
};

struct group {
	struct quic_channel *channels;
	struct quic_pace pace;
};

struct decoder {
	struct quic_family family;
	struct quic_channel channels[4];
	struct group groups[2];
	struct bit_reader reader;
	bool broken;
	uint8_t *memory;
};

/* At least 32 bits are there afterwards. */
static inline void refill(struct bit_reader *r)
{
	uint32_t word = 0;

	if (r->count >= 32)
		return;
	if (r->at < r->end) {
		memcpy(&word, r->at, 4);
		r->at += 4;
	} else {
		r->beyond++;
	}
	r->bits |= (uint64_t)word << (32 - r->count);
	r->count += 32;
}

static inline void eat(struct bit_reader *r, uint32_t length)
{
	r->bits <<= length;
	r->count -= length;
}

static inline uint8_t decode_value(struct decoder *d, uint32_t code, uint32_t mask)
{
	const struct quic_family *f = &d->family;
	uint32_t bits, zeros, length;

	refill(&d->reader);
	bits = (uint32_t)(d->reader.bits >> 32);
	if (bits > f->escape_below[code]) {
		zeros = (uint32_t)__builtin_clz(bits);
		length = zeros + 1 + code;
		eat(&d->reader, length);
		return (uint8_t)(zeros << code | (bits >> (32 - length) & ((1u << code) - 1)));
	}
	length = f->escape_bits[code];
	eat(&d->reader, length);
	return (uint8_t)((f->escape[code] + (bits >> (32 - length) & f->escape_suffix_mask[code])) &
		mask);
}

/* The length of a run, or more than `left` when the stream is broken. */
static uint32_t decode_run(struct decoder *d, struct quic_pace *pace, uint32_t left)
{
	uint32_t length = 0, bits;

	for (;;) {
		refill(&d->reader);
		if (!(d->reader.bits >> 63))
			break;
		eat(&d->reader, 1);
		length += 1u << quic_run_bits[pace->run_state];
		if (pace->run_state < QUIC_RUN_STATES - 1)
			pace->run_state++;
		if (length > left)
			return length;
	}
	eat(&d->reader, 1);
	bits = quic_run_bits[pace->run_state];
	refill(&d->reader);
	if (bits) {
		length += (uint32_t)(d->reader.bits >> (64 - bits));
		eat(&d->reader, bits);
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

/* Decodes pixel i; `left` is the pixel before it, and the result becomes it. */
static inline uint32_t decode_pixel(struct decoder *d, struct group *g, enum layout layout,
	const struct row *row, uint32_t i, uint32_t left)
{
	uint32_t bits = layout == LAYOUT_555 ? 5 : 8;
	uint32_t mask = (1u << bits) - 1;
	uint32_t above = row->above ? load(layout, row->above, i) : 0;
	uint32_t word = 0;

	for (uint32_t c = 0; c < layout_count(layout); c++) {
		struct quic_channel *channel = &g->channels[c];
		uint32_t shift = 8 * (2 - c), guess;
		uint8_t value =
			decode_value(d, channel->best[channel->residuals[(ptrdiff_t)i - 1]], mask);

		channel->residuals[i] = value;
		if (i == 0)
			guess = above >> shift & 0xff;
		else if (row->above)
			guess = ((left >> shift & 0xff) + (above >> shift & 0xff)) >> 1;
		else
			guess = left >> shift & 0xff;
		word |= ((quic_unfold(value) + guess) & mask) << shift;
	}
	store(layout, row->at, i, word);
	return word;
}

static void learn(struct decoder *d, struct group *g, uint32_t count, uint32_t i)
{
	for (uint32_t c = 0; c < count; c++) {
		uint8_t *residuals = g->channels[c].residuals + i;

		quic_channel_learn(
			&g->channels[c], &d->family, g->pace.trigger, residuals[-1], residuals[0]);
	}
}

/* Whether a run begins at pixel i. The pixels before are kept as words: `left`, `left2`. */
static inline bool run_begins(enum layout layout, const struct row *row, uint32_t i,
	uint32_t run_at, uint32_t left, uint32_t left2)
{
	return row->above && i > 2 && i != run_at && left == left2 &&
		load(layout, row->above, i - 1) == load(layout, row->above, i);
}

static inline void decode_segment(struct decoder *d, struct group *g, enum layout layout,
	const struct row *row, uint32_t i, uint32_t end)
{
	struct quic_pace *pace = &g->pace;
	uint32_t count = layout_count(layout), run_at = 0, stop, left, left2;

	if (i == 0) {
		left = decode_pixel(d, g, layout, row, 0, 0);
		if (pace->wait) {
			pace->wait--;
		} else {
			pace->wait = quic_pace_next_wait(pace);
			learn(d, g, count, 0);
		}
		i++;
	} else {
		left = load(layout, row->at, i - 1);
	}
	left2 = i > 1 ? load(layout, row->at, i - 2) : ~left;
	stop = i + pace->wait;
	while (i < end) {
		uint32_t length;

		if (!run_begins(layout, row, i, run_at, left, left2)) {
			left2 = left;
			left = decode_pixel(d, g, layout, row, i, left);
			if (i++ == stop) {
				learn(d, g, count, stop);
				stop = i + quic_pace_next_wait(pace);
			}
			continue;
		}
		run_at = i;
		pace->wait = stop - i;
		length = decode_run(d, pace, end - i);
		if (length > end - i) {
			d->broken = true;
			return;
		}
		for (; length > 0; length--)
			store(layout, row->at, i++, left);
		if (i == end)
			return;
		left2 = left;
		stop = i + pace->wait;
	}
	pace->wait = stop - end;
}

static void decode_span(struct decoder *d, struct group *g, enum layout layout,
	const struct row *row, uint32_t from, uint32_t to)
{
	switch (layout) {
	case LAYOUT_BYTE: decode_segment(d, g, LAYOUT_BYTE, row, from, to); break;
	case LAYOUT_ALPHA: decode_segment(d, g, LAYOUT_ALPHA, row, from, to); break;
	case LAYOUT_555: decode_segment(d, g, LAYOUT_555, row, from, to); break;
	case LAYOUT_BGRX: decode_segment(d, g, LAYOUT_BGRX, row, from, to); break;
	}
}

static void decode_row(
	struct decoder *d, struct group *g, enum layout layout, const struct row *row)
{
	struct quic_pace *pace = &g->pace;
	uint32_t at = 0;

	for (uint32_t c = 0; c < layout_count(layout); c++)
		g->channels[c].residuals[-1] = row->above ? g->channels[c].residuals[0] : 0;
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

static int decoder_init(struct decoder *d, const struct quic_header *header)
{
	size_t row = ALIGN_UP((size_t)header->width + 64, (size_t)64);
	uint32_t channels, bits;

	memset(d, 0, sizeof(*d));
	quic_type_layout(header->type, &channels, &bits);
	quic_family_init(&d->family, bits);
	d->memory = calloc(channels, row);
	if (!d->memory)
		return -ENOMEM;
	for (uint32_t c = 0; c < channels; c++) {
		d->channels[c].residuals = d->memory + 32 + c * row;
		quic_channel_reset(&d->channels[c], &d->family);
	}
	for (uint32_t n = 0; n < 2; n++) {
		d->groups[n].channels = &d->channels[n * 3];
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
	err = decoder_init(d, &header);
	if (err)
		goto out;
	d->reader.at = data + QUIC_HEADER_BYTES;
	d->reader.end = data + (size & ~(size_t)3);
	for (uint32_t y = 0; y < header.height && !d->broken; y++) {
		struct row row = { .at = pixels + stride * (ptrdiff_t)y, .width = header.width };

		row.above = y ? row.at - stride : NULL;
		decode_row(d, &d->groups[0], layout_of(header.type), &row);
		if (header.type == QUIC_RGBA && !d->broken)
			decode_row(d, &d->groups[1], LAYOUT_ALPHA, &row);
		/* The last refill may look one word ahead of the closing one. */
		d->broken |= d->reader.beyond > 2;
	}
	err = d->broken ? -EPROTO : 0;
	free(d->memory);
out:
	free(d);
	return err;
}

/* SPDX-License-Identifier: MIT */
/*
 * LZ's encoder: greedy, with a hash table of the last place of each pair (or triple) of units. The
 * search is one inline function, made once for each unit.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codecs/lz_format.h"
#include "codecs/lz_match.h"
#include "core/surface.h"
#include "core/util.h"
#include "core/wire.h"

#define UNITS_BEHIND  LZ_MATCH_BEHIND
#define HASH_BITS_MIN 8
#define HASH_BITS_MAX 15
#define MISSES        64u /* units without a match that make the search's step one longer */
#define STEP_MAX      1u

struct sink {
	uint8_t *at;
};

/* Hash of the units that the shortest worthwhile match has: 3 bytes, 2 words of 16 or 32 bits. */
static inline uint32_t hash_at(enum lz_unit unit, const uint8_t *p, uint32_t bits)
{
	uint64_t v = unit == LZ_UNIT_BYTE ? lz_load32(p) & 0xffffff
		: unit == LZ_UNIT_RGB16   ? lz_load32(p)
					  : lz_load64(p);

	return (uint32_t)(v * 0x9e3779b97f4a7c15u >> (64 - bits));
}

static inline __attribute__((always_inline)) void put_literals(
	struct sink *sink, enum lz_unit unit, const uint8_t *p, uint32_t count)
{
	while (count > 0) {
		uint32_t part = MIN(count, (uint32_t)LZ_LITERALS_MAX);

		*sink->at++ = (uint8_t)(part - 1);
		if (unit == LZ_UNIT_BYTE) {
			memcpy(sink->at, p, part);
			sink->at += part;
		}
		for (uint32_t i = 0; unit == LZ_UNIT_RGB16 && i < part; i++) {
			*sink->at++ = p[2 * i + 1];
			*sink->at++ = p[2 * i];
		}
		for (uint32_t i = 0; unit == LZ_UNIT_RGB && i < part; i++) {
			memcpy(sink->at, p + 4 * (size_t)i, 4); /* the fourth is overwritten */
			sink->at += 3;
		}
		p += (size_t)part * lz_unit_bytes(unit);
		count -= part;
	}
}

/* Before most matches there are few literals, or none: four are copied in any case, since a branch would
 * often be mispredicted. */
static inline __attribute__((always_inline)) void put_few_literals(
	struct sink *sink, enum lz_unit unit, const uint8_t *p, uint32_t count)
{
	if (unit != LZ_UNIT_RGB || count > 4) {
		put_literals(sink, unit, p, count);
		return;
	}
	sink->at[0] = (uint8_t)(count - 1);
	for (uint32_t i = 0; i < 4; i++)
		memcpy(sink->at + 1 + 3 * i, p + 4 * (size_t)i, 4);
	sink->at += 3 * count + (count > 0);
}

/* Stores what may follow, and goes on behind what does. */
static inline __attribute__((always_inline)) void put_match(
	struct sink *sink, enum lz_unit unit, uint32_t distance, uint32_t length)
{
	uint32_t coded = length - lz_length_bias(unit);
	bool far = distance >= LZ_DISTANCE_FAR;
	uint32_t low = far ? LZ_DISTANCE_FAR - 1 : distance - 1, rest = distance - LZ_DISTANCE_FAR;

	*sink->at++ = (uint8_t)(MIN(coded, 7u) << 5 | low >> 8);
	if (__builtin_expect(coded >= 7 + 255, 0)) {
		for (coded -= 7; coded >= 255; coded -= 255)
			*sink->at++ = 255;
		coded += 7;
	}
	*sink->at = (uint8_t)(coded - 7);
	sink->at += coded >= 7;
	sink->at[0] = (uint8_t)low;
	sink->at[1] = (uint8_t)(rest >> 8);
	sink->at[2] = (uint8_t)rest;
	sink->at += far ? 3 : 1;
}

/* The shortest match that is no longer than its literals, with two bytes more for far ones. */
static inline uint32_t shortest_match(enum lz_unit unit, uint32_t distance)
{
	uint32_t shortest = unit == LZ_UNIT_BYTE ? 3 : unit == LZ_UNIT_RGB16 ? 2 : 1;

	if (distance >= LZ_DISTANCE_FAR)
		shortest += unit == LZ_UNIT_BYTE ? 2 : 1;
	return shortest;
}

static inline bool unit_equal(enum lz_unit unit, const uint8_t *a, const uint8_t *b)
{
	if (unit == LZ_UNIT_RGB)
		return lz_load32(a) == lz_load32(b);
	return *a == *b;
}

/*
 * ---- gathering the units ----
 * They are copied, since the guest may change the pixels meanwhile, and matches look back. Of a large
 * picture only a part is held at a time, as much as the processor's cache holds.
 */

static void gather_row(
	enum lz_type type, bool alpha, const uint8_t *row, uint32_t width, uint8_t *restrict units)
{
	uint32_t word;
	uint16_t half;

	switch (type) {
	case LZ_RGB16:
		for (uint32_t i = 0; i < width; i++) {
			memcpy(&half, row + 2 * (size_t)i, 2);
			half &= 0x7fff;
			memcpy(units + 2 * (size_t)i, &half, 2);
		}
		return;
	case LZ_RGB24:
		for (uint32_t i = 0; i < width; i++) {
			const uint8_t *pixel = row + 3 * (size_t)i;

			word = (uint32_t)pixel[0] | (uint32_t)pixel[1] << 8 |
				(uint32_t)pixel[2] << 16;
			memcpy(units + 4 * (size_t)i, &word, 4);
		}
		return;
	case LZ_RGB32:
	case LZ_RGBA:
	case LZ_XXXA:
		for (uint32_t i = 0; alpha && i < width; i++)
			units[i] = row[4 * (size_t)i + 3];
		for (uint32_t i = 0; !alpha && i < width; i++) {
			memcpy(&word, row + 4 * (size_t)i, 4);
			word &= 0xffffff;
			memcpy(units + 4 * (size_t)i, &word, 4);
		}
		return;
	default: memcpy(units, row, lz_row_bytes(type, width)); return;
	}
}

enum {
	UNITS_KEPT = 65536, /* matches reach back so far */
	UNITS_AHEAD = 1024, /* more are gathered before fewer than these are left */
	UNITS_PART = 128 * 1024, /* gathered at once, about */
};

struct units {
	uint8_t *data; /* followed by UNITS_BEHIND bytes that may be read */
	uint32_t capacity;
	uint32_t count; /* of them held */
	uint32_t base; /* the first one's place in the picture */
	/* What they are gathered from. */
	enum lz_type type;
	bool alpha;
	uint32_t width, rows_left, row_units, size;
	const uint8_t *row;
	ptrdiff_t stride;
};

/* Gathers what there is room for once the first `gone` units are dropped. */
static void units_advance(struct units *u, uint32_t gone)
{
	memmove(u->data, u->data + (size_t)gone * u->size, (size_t)(u->count - gone) * u->size);
	u->count -= gone;
	u->base += gone;
	for (; u->rows_left && u->capacity - u->count >= u->row_units; u->rows_left--) {
		gather_row(
			u->type, u->alpha, u->row, u->width, u->data + (size_t)u->count * u->size);
		u->row += u->stride;
		u->count += u->row_units;
	}
	memset(u->data + (size_t)u->count * u->size, 0, UNITS_BEHIND);
}

/* ---- searching ---- */

struct search {
	/* Places, modulo 65536: the table is to fit into the first cache. What lies further back is
	 * not found, or taken for something nearer, which then differs. */
	uint16_t last[1u << HASH_BITS_MAX];
};

/* A small picture needs no large table, which would take longer to clear than to use. */
static uint32_t hash_bits(uint32_t count)
{
	uint32_t bits = HASH_BITS_MIN;

	while (bits < HASH_BITS_MAX && count >> bits)
		bits++;
	return bits;
}

/* How far the match goes on beyond the units held, of which `at` is the end. */
static uint32_t match_beyond(struct units *u, uint32_t *at, uint32_t distance)
{
	uint32_t length = 0, more;

	do {
		const uint8_t *here;

		units_advance(u, *at - MIN(*at, (uint32_t)UNITS_KEPT));
		*at = MIN(*at, (uint32_t)UNITS_KEPT);
		here = u->data + (size_t)*at * u->size;
		more = lz_match_length_wide(
			u->size, here, here - (size_t)distance * u->size, u->count - *at);
		*at += more;
		length += more;
	} while (u->rows_left && *at == u->count);
	return length;
}

static inline __attribute__((always_inline)) void compress(
	struct sink *sink, enum lz_unit unit, struct units *u, uint32_t bits, struct search *search)
{
	uint32_t size = lz_unit_bytes(unit), at = 0, literals_from = 0, whole, gone;

	memset(search->last, 0, sizeof(search->last[0]) << bits);
more:
	for (uint32_t end = u->count - (u->rows_left ? UNITS_AHEAD : 0); at < end;) {
		const uint8_t *here = u->data + (size_t)at * size;
		uint32_t place = u->base + at, distance = 1, length = 0, hash, ref;

		if (place > 0 && unit_equal(unit, here, here - size) && u->count - at >= 3)
			length = lz_match_length_wide(size, here, here - size, u->count - at);
		if (length < 3) {
			length = 0;
			hash = hash_at(unit, here, bits);
			ref = search->last[hash];
			search->last[hash] = (uint16_t)place;
			distance = (uint16_t)(place - ref);
			if (distance - 1 < place &&
				unit_equal(unit, here, here - (size_t)distance * size))
				length = lz_match_length_wide(
					size, here, here - (size_t)distance * size, u->count - at);
		}
		if (length < shortest_match(unit, distance)) {
			/* Where nothing is found for long, as in photographs, it looks less often. */
			at += 1 + MIN((at - literals_from) / MISSES, STEP_MAX);
			continue;
		}
		put_few_literals(
			sink, unit, u->data + (size_t)literals_from * size, at - literals_from);
		at += length;
		if (__builtin_expect(at == u->count && u->rows_left, 0)) {
			length += match_beyond(u, &at, distance);
			end = u->count - (u->rows_left ? UNITS_AHEAD : 0);
		}
		put_match(sink, unit, distance, length);
		literals_from = at;
		/* What follows a match begins with its last units: remember those. */
		search->last[hash_at(unit, u->data + (size_t)(at - 1) * size, bits)] =
			(uint16_t)(u->base + at - 1);
	}
	if (u->rows_left) {
		whole = (MIN(at, u->count) - literals_from) & ~(LZ_LITERALS_MAX - 1u);
		put_literals(sink, unit, u->data + (size_t)literals_from * size, whole);
		literals_from += whole;
		gone = literals_from - MIN(literals_from, (uint32_t)UNITS_KEPT);
		units_advance(u, gone);
		at -= gone;
		literals_from -= gone;
		goto more;
	}
	put_literals(sink, unit, u->data + (size_t)literals_from * size, u->count - literals_from);
}

static void compress_units(struct sink *sink, enum lz_unit unit, struct units *units, uint32_t bits,
	struct search *search)
{
	switch (unit) {
	case LZ_UNIT_BYTE: compress(sink, LZ_UNIT_BYTE, units, bits, search); break;
	case LZ_UNIT_RGB16: compress(sink, LZ_UNIT_RGB16, units, bits, search); break;
	case LZ_UNIT_RGB: compress(sink, LZ_UNIT_RGB, units, bits, search); break;
	}
}

static enum lz_unit unit_of(enum lz_type type, bool alpha)
{
	if (type == LZ_RGB16)
		return LZ_UNIT_RGB16;
	return !alpha && type >= LZ_RGB24 && type <= LZ_RGBA ? LZ_UNIT_RGB : LZ_UNIT_BYTE;
}

/* One stream of the picture: all but alpha, or alpha. */
static int encode_stream(struct buf *out, enum lz_type type, bool alpha, uint32_t width,
	uint32_t height, const uint8_t *pixels, ptrdiff_t stride, struct search *search)
{
	enum lz_unit unit = unit_of(type, alpha);
	uint32_t row_units = lz_is_palette(type) ? lz_row_bytes(type, width) : width;
	size_t count = (size_t)row_units * height;
	struct units units = { .type = type,
		.alpha = alpha,
		.width = width,
		.rows_left = height,
		.row_units = row_units,
		.size = lz_unit_bytes(unit),
		.row = pixels,
		.stride = stride };
	/* Each literal may come with a control byte of its own; a match is no longer than its literals.
	 * What is stored in any case may lie behind that. */
	uint8_t *room = buf_reserve(out, count * (lz_literal_bytes(unit) + 1) + 32);
	struct sink sink = { room };

	units.capacity = (uint32_t)MIN(count, (size_t)UNITS_KEPT + UNITS_PART);
	units.data = malloc((size_t)units.capacity * units.size + UNITS_BEHIND);
	if (!units.data || !room) {
		free(units.data);
		return -ENOMEM;
	}
	units_advance(&units, 0);
	compress_units(&sink, unit, &units, hash_bits((uint32_t)count), search);
	buf_commit(out, (size_t)(sink.at - room));
	free(units.data);
	return 0;
}

static int put_header(
	struct buf *out, enum lz_type type, uint32_t width, uint32_t height, bool top_down)
{
	uint32_t row = lz_is_palette(type) || type == LZ_A8 ? lz_row_bytes(type, width)
		: type == LZ_RGB16                          ? width * 2
		: type == LZ_RGB24                          ? width * 3
							    : width * 4;
	uint32_t words[] = { LZ_MAGIC, LZ_VERSION, (uint32_t)type, width, height, row, top_down };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		words[i] = __builtin_bswap32(words[i]);
	return buf_append(out, words, sizeof(words));
}

int lz_encode(struct buf *out, enum lz_type type, uint32_t width, uint32_t height, bool top_down,
	const uint8_t *pixels, ptrdiff_t stride)
{
	struct search *search;
	int err;

	if (!width || !height || width > SURFACE_MAX_SIDE || height > SURFACE_MAX_SIDE ||
		type < LZ_PLT1_LE || type > LZ_A8)
		return -EINVAL;
	search = malloc(sizeof(*search));
	if (!search)
		return -ENOMEM;
	err = put_header(out, type, width, height, top_down);
	if (!err && type != LZ_XXXA)
		err = encode_stream(out, type, false, width, height, pixels, stride, search);
	if (!err && (type == LZ_XXXA || type == LZ_RGBA))
		err = encode_stream(out, type, true, width, height, pixels, stride, search);
	free(search);
	return err;
}

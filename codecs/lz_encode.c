/* SPDX-License-Identifier: MIT */
/*
 * LZ's encoder: greedy, with a hash table of the last place of each pair (or triple) of units. The
 * search is one inline function, made once for each unit.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "codecs/lz_format.h"
#include "codecs/lz_match.h"
#include "core/surface.h"
#include "core/util.h"
#include "core/wire.h"

#define HASH_BITS_MIN 8
#define HASH_BITS_MAX 14
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

static inline void put_literals(
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

static inline void put_match(
	struct sink *sink, enum lz_unit unit, uint32_t distance, uint32_t length)
{
	uint32_t coded = length - lz_length_bias(unit);
	bool far = distance >= LZ_DISTANCE_FAR;
	uint32_t low = far ? LZ_DISTANCE_FAR - 1 : distance - 1;

	*sink->at++ = (uint8_t)(MIN(coded, 7u) << 5 | low >> 8);
	if (coded >= 7) {
		for (coded -= 7; coded >= 255; coded -= 255)
			*sink->at++ = 255;
		*sink->at++ = (uint8_t)coded;
	}
	*sink->at++ = (uint8_t)low;
	if (far) {
		*sink->at++ = (uint8_t)((distance - LZ_DISTANCE_FAR) >> 8);
		*sink->at++ = (uint8_t)(distance - LZ_DISTANCE_FAR);
	}
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

struct search {
	uint32_t last[1u << HASH_BITS_MAX]; /* place + 1; 0: none */
};

/* A small picture needs no large table, which would take longer to clear than to use. */
static uint32_t hash_bits(uint32_t count)
{
	uint32_t bits = HASH_BITS_MIN;

	while (bits < HASH_BITS_MAX && count >> bits)
		bits++;
	return bits;
}

/* The units lie at p, followed by at least 8 bytes that may be read. */
static inline void compress(struct sink *sink, enum lz_unit unit, const uint8_t *p, uint32_t count,
	struct search *search)
{
	uint32_t size = lz_unit_bytes(unit), at = 0, literals_from = 0, bits = hash_bits(count);

	memset(search->last, 0, sizeof(search->last[0]) << bits);
	while (at < count) {
		const uint8_t *here = p + (size_t)at * size;
		uint32_t distance = 1, length = 0, hash, ref;

		if (at > 0 && unit_equal(unit, here, here - size) && count - at >= 3)
			length = lz_match_length(size, here, here - size, count - at);
		if (length < 3) {
			length = 0;
			hash = hash_at(unit, here, bits);
			ref = search->last[hash];
			search->last[hash] = at + 1;
			distance = at + 1 - ref;
			if (ref && distance < LZ_DISTANCE_END &&
				unit_equal(unit, here, here - (size_t)distance * size))
				length = lz_match_length(
					size, here, here - (size_t)distance * size, count - at);
		}
		if (length < shortest_match(unit, distance)) {
			/* Where nothing is found for long, as in photographs, it looks less often. */
			at += 1 + MIN((at - literals_from) / MISSES, STEP_MAX);
			continue;
		}
		put_literals(sink, unit, p + (size_t)literals_from * size, at - literals_from);
		put_match(sink, unit, distance, length);
		at += length;
		literals_from = at;
		/* What follows a match begins with its last units: remember those. */
		search->last[hash_at(unit, p + (size_t)(at - 1) * size, bits)] = at;
	}
	put_literals(sink, unit, p + (size_t)literals_from * size, count - literals_from);
}

static void compress_units(struct sink *sink, enum lz_unit unit, const uint8_t *p, uint32_t count,
	struct search *search)
{
	switch (unit) {
	case LZ_UNIT_BYTE: compress(sink, LZ_UNIT_BYTE, p, count, search); break;
	case LZ_UNIT_RGB16: compress(sink, LZ_UNIT_RGB16, p, count, search); break;
	case LZ_UNIT_RGB: compress(sink, LZ_UNIT_RGB, p, count, search); break;
	}
}

/* ---- gathering the units ---- */

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

static enum lz_unit unit_of(enum lz_type type, bool alpha)
{
	if (type == LZ_RGB16)
		return LZ_UNIT_RGB16;
	return !alpha && type >= LZ_RGB24 && type <= LZ_RGBA ? LZ_UNIT_RGB : LZ_UNIT_BYTE;
}

/* Memory for the units. In large pages, if it is much: touching many small ones for the first time
 * takes longer than compressing a page of text. */
static uint8_t *units_alloc(size_t size)
{
	const size_t large_page = (size_t)2 << 20;
	uint8_t *units;

	if (size < large_page)
		return malloc(size);
	size = ALIGN_UP(size, large_page);
	units = aligned_alloc(large_page, size);
	if (units)
		madvise(units, size, MADV_HUGEPAGE); /* a hint */
	return units;
}

/* One stream of the picture: all but alpha, or alpha. */
static int encode_stream(struct buf *out, enum lz_type type, bool alpha, uint32_t width,
	uint32_t height, const uint8_t *pixels, ptrdiff_t stride, struct search *search)
{
	enum lz_unit unit = unit_of(type, alpha);
	uint32_t row_units = lz_is_palette(type) ? lz_row_bytes(type, width) : width;
	size_t row_bytes = (size_t)row_units * lz_unit_bytes(unit);
	size_t count = (size_t)row_units * height;
	uint8_t *units = units_alloc(count * lz_unit_bytes(unit) + 8);
	/* Each literal may come with a control byte of its own; a match is no longer than its literals. */
	uint8_t *room = buf_reserve(out, count * (lz_literal_bytes(unit) + 1) + 16);
	struct sink sink = { room };

	if (!units || !room) {
		free(units);
		return -ENOMEM;
	}
	for (uint32_t y = 0; y < height; y++)
		gather_row(
			type, alpha, pixels + stride * (ptrdiff_t)y, width, units + row_bytes * y);
	memset(units + count * lz_unit_bytes(unit), 0, 8);
	compress_units(&sink, unit, units, (uint32_t)count, search);
	buf_commit(out, (size_t)(sink.at - room));
	free(units);
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

/* SPDX-License-Identifier: MIT */
/* LZ's decoder. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codecs/lz_format.h"
#include "core/surface.h"
#include "core/util.h"
#include "core/wire.h"

struct source {
	const uint8_t *at;
	const uint8_t *end;
};

static uint32_t pixels_per_byte(enum lz_type type)
{
	return type <= LZ_PLT1_BE ? 8 : type <= LZ_PLT4_BE ? 2 : 1;
}

uint32_t lz_row_bytes(enum lz_type type, uint32_t width)
{
	if (lz_is_palette(type))
		return DIV_ROUND_UP(width, pixels_per_byte(type));
	return type == LZ_A8 ? width : type == LZ_RGB16 ? 2 * width : 4 * width;
}

/* The stride that a stream's header has: without the widening of RGB24. */
static uint32_t stream_stride(enum lz_type type, uint32_t width)
{
	return type == LZ_RGB24 ? 3 * width : lz_row_bytes(type, width);
}

int lz_decode_header(const uint8_t *data, size_t size, struct lz_header *header)
{
	uint32_t words[LZ_HEADER_BYTES / 4];
	struct wire_reader r;

	wire_reader_init(&r, data, size);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		words[i] = __builtin_bswap32(wire_read_u32(&r));
	if (!wire_reader_ok(&r) || words[0] != LZ_MAGIC || words[1] != LZ_VERSION ||
		words[2] < LZ_PLT1_LE || words[2] > LZ_A8)
		return -EPROTO;
	*header = (struct lz_header){ (enum lz_type)words[2], words[3], words[4], words[6] != 0 };
	if (!header->width || !header->height || header->width > SURFACE_MAX_SIDE ||
		header->height > SURFACE_MAX_SIDE ||
		words[5] != stream_stride(header->type, header->width))
		return -EPROTO;
	return 0;
}

static inline bool have(const struct source *s, size_t bytes)
{
	return (size_t)(s->end - s->at) >= bytes;
}

/* Copies `count` literals of the stream to p; the caller has checked both ends. */
static inline void take_literals(struct source *s, enum lz_unit unit, uint8_t *p, uint32_t count)
{
	const uint8_t *at = s->at;
	uint32_t word;

	s->at += (size_t)count * lz_literal_bytes(unit);
	if (unit == LZ_UNIT_BYTE) {
		memcpy(p, at, count);
		return;
	}
	for (uint32_t i = 0; unit == LZ_UNIT_RGB16 && i < count; i++) {
		uint16_t half = (uint16_t)(at[2 * i] << 8 | at[2 * i + 1]);

		memcpy(p + 2 * (size_t)i, &half, 2);
	}
	/* With the first byte of the next one, which the last has not. */
	for (; unit == LZ_UNIT_RGB && count > 1; count--, at += 3, p += 4) {
		memcpy(&word, at, 4);
		word = le32toh(word) & 0xffffff;
		memcpy(p, &word, 4);
	}
	if (unit == LZ_UNIT_RGB) {
		word = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16;
		memcpy(p, &word, 4);
	}
}

/* Writes `count` times the same word, at most `room` of them. */
static inline void fill_words(uint8_t *to, uint32_t word, size_t count, size_t room)
{
	const uint32_t eight[8] = { word, word, word, word, word, word, word, word };
	size_t n = 0;

	for (; n < count && room - n >= ARRAY_SIZE(eight); n += ARRAY_SIZE(eight))
		memcpy(to + 4 * n, eight, sizeof(eight));
	for (; n < count; n++)
		memcpy(to + 4 * n, &word, 4);
}

/* Copies a match forwards, which repeats what it has just written where it overlaps. Up to `room` may
 * be written: what is beyond the match will be written again. */
static inline void copy_match(uint8_t *to, size_t distance_bytes, size_t bytes, size_t room)
{
	enum { SHORT = 32 };
	const uint8_t *from = to - distance_bytes;

	if (bytes <= SHORT && distance_bytes >= SHORT && room >= SHORT) { /* mostly so: no call */
		memcpy(to, from, SHORT);
		return;
	}
	while (bytes > distance_bytes) { /* the repeated piece doubles each time */
		memcpy(to, from, distance_bytes);
		to += distance_bytes;
		bytes -= distance_bytes;
		distance_bytes *= 2;
	}
	memcpy(to, from, bytes);
}

/* Reads the rest of a match whose first byte was `control`. False when the stream ends. */
static inline bool take_match(
	struct source *s, uint32_t control, uint32_t *distance, uint64_t *length)
{
	uint8_t byte;

	*length = control >> 5;
	*distance = (control & 31) << 8;
	if (*length == 7) {
		do {
			if (!have(s, 1))
				return false;
			byte = *s->at++;
			*length += byte;
		} while (byte == 255);
	}
	if (!have(s, 1))
		return false;
	*distance += *s->at++;
	if (*distance == LZ_DISTANCE_FAR - 1) {
		if (!have(s, 2))
			return false;
		*distance += (uint32_t)s->at[0] << 8 | s->at[1];
		s->at += 2;
	}
	*distance += 1;
	return true;
}

static inline int decompress(struct source *s, enum lz_unit unit, uint8_t *units, size_t count)
{
	uint32_t size = lz_unit_bytes(unit), distance;
	uint64_t length;
	size_t done = 0;

	while (done < count) {
		uint32_t control;

		if (!have(s, 1))
			return -EPROTO;
		control = *s->at++;
		if (control < LZ_LITERALS_MAX) {
			length = control + 1;
			if (length > count - done ||
				!have(s, (size_t)length * lz_literal_bytes(unit)))
				return -EPROTO;
			take_literals(s, unit, units + done * size, (uint32_t)length);
		} else {
			if (!take_match(s, control, &distance, &length))
				return -EPROTO;
			length += lz_length_bias(unit);
			if (distance > done || length > count - done)
				return -EPROTO;
			if (unit == LZ_UNIT_RGB && distance == 1) {
				uint32_t word;

				memcpy(&word, units + (done - 1) * size, 4);
				fill_words(units + done * size, word, (size_t)length, count - done);
			} else {
				copy_match(units + done * size, (size_t)distance * size,
					(size_t)length * size, (count - done) * size);
			}
		}
		done += (size_t)length;
	}
	return 0;
}

/* Decodes one stream of rows of `row_units` units. */
static int decode_units(struct source *s, enum lz_unit unit, uint8_t *units, size_t count)
{
	switch (unit) {
	case LZ_UNIT_BYTE: return decompress(s, LZ_UNIT_BYTE, units, count);
	case LZ_UNIT_RGB16: return decompress(s, LZ_UNIT_RGB16, units, count);
	default: return decompress(s, LZ_UNIT_RGB, units, count);
	}
}

static uint8_t *row_at(const struct lz_header *h, uint8_t *pixels, ptrdiff_t stride, uint32_t y)
{
	return pixels + stride * (ptrdiff_t)(h->top_down ? y : h->height - 1 - y);
}

/* Decodes into the rows themselves when they lie as the stream has them, else by way of a copy. */
static int decode_colours(
	const struct lz_header *h, struct source *s, uint8_t *pixels, ptrdiff_t stride)
{
	uint32_t row = lz_row_bytes(h->type, h->width);
	enum lz_unit unit = h->type == LZ_RGB16             ? LZ_UNIT_RGB16
		: h->type >= LZ_RGB24 && h->type <= LZ_RGBA ? LZ_UNIT_RGB
							    : LZ_UNIT_BYTE;
	size_t count = (size_t)row / lz_unit_bytes(unit) * h->height;
	uint8_t *copy;
	int err;

	if (h->top_down && stride == (ptrdiff_t)row)
		return decode_units(s, unit, pixels, count);
	copy = malloc((size_t)row * h->height);
	if (!copy)
		return -ENOMEM;
	err = decode_units(s, unit, copy, count);
	for (uint32_t y = 0; !err && y < h->height; y++)
		memcpy(row_at(h, pixels, stride, y), copy + (size_t)row * y, row);
	free(copy);
	return err;
}

static int decode_alpha(
	const struct lz_header *h, struct source *s, uint8_t *pixels, ptrdiff_t stride)
{
	uint8_t *alpha = malloc((size_t)h->width * h->height);
	int err;

	if (!alpha)
		return -ENOMEM;
	err = decode_units(s, LZ_UNIT_BYTE, alpha, (size_t)h->width * h->height);
	for (uint32_t y = 0; !err && y < h->height; y++) {
		uint8_t *row = row_at(h, pixels, stride, y);

		for (uint32_t x = 0; x < h->width; x++)
			row[4 * (size_t)x + 3] = alpha[(size_t)h->width * y + x];
	}
	free(alpha);
	return err;
}

int lz_decode(const uint8_t *data, size_t size, uint8_t *pixels, ptrdiff_t stride)
{
	struct source source;
	struct lz_header header;
	int err = lz_decode_header(data, size, &header);

	if (err)
		return err;
	source = (struct source){ data + LZ_HEADER_BYTES, data + size };
	if (header.type != LZ_XXXA)
		err = decode_colours(&header, &source, pixels, stride);
	if (!err && (header.type == LZ_RGBA || header.type == LZ_XXXA))
		err = decode_alpha(&header, &source, pixels, stride);
	return err;
}

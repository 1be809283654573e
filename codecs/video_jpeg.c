/* SPDX-License-Identifier: MIT */
/* JPEG's markers and entropy coding (ITU T.81, annexes B and F). */
#include "codecs/video_jpeg.h"

#include <errno.h>
#include <string.h>

#include "core/util.h"

enum {
	CHUNK_BYTES = 64 << 10,
	/* Six blocks of words of at most 27 bits, each byte of them stuffed; and what is in `bits`. */
	UNIT_BYTES_MAX = 6 * 64 * 27 / 8 * 2 + 32,
	END_OF_BLOCK = 0,
	RUN_OF_16 = 0xf0,
	LENGTH_BITS = 5,
	RUN_MAX = 16,
};

/* The file's order of coefficients: vertical frequency * 8 + horizontal one. */
static const uint8_t file_order[64] = { 0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12,
	19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36,
	29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62,
	63 };

/* The same by horizontal frequency first. */
static const uint8_t turned_order[64] = { 0, 8, 1, 2, 9, 16, 24, 17, 10, 3, 4, 11, 18, 25, 32, 40,
	33, 26, 19, 12, 5, 6, 13, 20, 27, 34, 41, 48, 56, 49, 42, 35, 28, 21, 14, 7, 15, 22, 29, 36,
	43, 50, 57, 58, 51, 44, 37, 30, 23, 31, 38, 45, 52, 59, 60, 53, 46, 39, 47, 54, 61, 62, 55,
	63 };

/* ---- tables ---- */

void video_jpeg_init(struct video_jpeg *jpeg)
{
	*jpeg = (struct video_jpeg){ 0 };
	for (uint32_t i = 0; i < 64; i++) {
		uint32_t from = turned_order[i];

		for (uint32_t byte = 0; byte < 256; byte++)
			if (byte >> from % 8 & 1)
				jpeg->in_order[from / 8][byte] |= UINT64_C(1) << i;
	}
}

/*
 * The file says smaller steps than coefficients are divided by. Of the values that are rounded to the
 * same multiple of the step most lie nearer to zero, the more so the higher the frequency; so the
 * decoder's pictures come out nearer to the source (by 0.4 dB) for nothing.
 */
static uint8_t said_step(uint32_t step, uint32_t frequency)
{
	uint32_t shrunk = frequency ? (step * (950 - frequency * 7) + 500) / 1000 : step;

	return (uint8_t)MAX(shrunk, 1u);
}

static void set_step(struct video_jpeg *jpeg, uint32_t table, uint32_t step)
{
	/* What the transform leaves of each frequency: 1, and cos(k pi / 16) * sqrt(2). */
	static const double scales[8] = { 1.0, 1.387039845, 1.306562965, 1.175875602, 1.0,
		0.785694958, 0.541196100, 0.275899379 };
	struct video_jpeg_factors *factors = &jpeg->factors[table];

	for (uint32_t i = 0; i < 64; i++) {
		double divisor = 8 * scales[i / 8] * scales[i % 8] * step;

		factors->factor[i] = (int16_t)(32768 / divisor + 0.5);
		jpeg->steps[table][i] = said_step(step, file_order[i] / 8u + file_order[i] % 8u);
	}
}

void video_jpeg_set_steps(struct video_jpeg *jpeg, uint32_t luma, uint32_t color)
{
	set_step(jpeg, 0, luma);
	set_step(jpeg, 1, color);
}

static inline uint32_t bits_of(int32_t value)
{
	uint32_t size = (uint32_t)(value < 0 ? -value : value);

	return size ? 32 - (uint32_t)__builtin_clz(size) : 0;
}

/* Bits and length of a code word with a value behind. */
static inline uint32_t word_of(uint32_t code, int32_t value, uint32_t bits)
{
	uint32_t low = (uint32_t)(value < 0 ? value - 1 : value) & ((1u << bits) - 1);

	return ((code >> LENGTH_BITS) << bits | low) << LENGTH_BITS |
		((code & ((1u << LENGTH_BITS) - 1)) + bits);
}

static void make_words(struct video_jpeg_words *words, const struct video_huffman *table)
{
	uint32_t code = 0, at = 0;

	memset(words, 0, sizeof(*words));
	for (uint32_t length = 1; length <= 16; length++, code <<= 1)
		for (uint32_t i = 0; i < table->bits[length]; i++)
			words->code[table->symbols[at++]] = code++ << LENGTH_BITS | length;
	for (uint32_t run = 0; run < RUN_MAX; run++) {
		for (int32_t value = -VIDEO_JPEG_SMALL; value < VIDEO_JPEG_SMALL; value++) {
			uint32_t bits = bits_of(value);

			if (value)
				words->small[run][value + VIDEO_JPEG_SMALL] =
					word_of(words->code[run << 4 | bits], value, bits);
		}
	}
}

void video_jpeg_set_huffman(
	struct video_jpeg *jpeg, const struct video_huffman tables[HUFFMAN_TABLES])
{
	memcpy(jpeg->huffman, tables, sizeof(jpeg->huffman));
	make_words(&jpeg->dc[0], &tables[HUFFMAN_DC_LUMA]);
	make_words(&jpeg->ac[0], &tables[HUFFMAN_AC_LUMA]);
	make_words(&jpeg->dc[1], &tables[HUFFMAN_DC_CHROMA]);
	make_words(&jpeg->ac[1], &tables[HUFFMAN_AC_CHROMA]);
}

/* ---- bits ---- */

static uint8_t *put_stuffed(uint8_t *at, uint32_t word)
{
	for (int shift = 24; shift >= 0; shift -= 8) {
		uint8_t byte = (uint8_t)(word >> shift);

		*at++ = byte;
		if (byte == 0xff)
			*at++ = 0;
	}
	return at;
}

/* `word` is bits << LENGTH_BITS | length, of at most 27 bits. */
static inline void put(struct video_jpeg_bits *bits, uint32_t word)
{
	uint32_t length = word & ((1u << LENGTH_BITS) - 1), full, swapped;

	bits->waiting = bits->waiting << length | word >> LENGTH_BITS;
	bits->used += length;
	if (bits->used < 32)
		return;
	bits->used -= 32;
	full = (uint32_t)(bits->waiting >> bits->used);
	/* Whether a byte is 0xff. */
	if (full & ~(full + 0x01010101) & 0x80808080) {
		bits->at = put_stuffed(bits->at, full);
		return;
	}
	swapped = __builtin_bswap32(full);
	memcpy(bits->at, &swapped, 4);
	bits->at += 4;
}

static void put_last(struct video_jpeg_bits *bits)
{
	uint32_t length = -bits->used & 7;

	put(bits, ((1u << length) - 1) << LENGTH_BITS | length);
	for (; bits->used > 0; bits->used -= 8) {
		uint8_t byte = (uint8_t)(bits->waiting >> (bits->used - 8));

		*bits->at++ = byte;
		if (byte == 0xff)
			*bits->at++ = 0;
	}
}

/* ---- blocks ---- */

static inline uint64_t in_order(const struct video_jpeg *jpeg, uint64_t some)
{
	uint64_t mask = 0;

	for (uint32_t i = 0; i < 8; i++)
		mask |= jpeg->in_order[i][some >> 8 * i & 0xff];
	return mask;
}

/* One that has no small word. */
static inline void put_value(struct video_jpeg_bits *bits, const struct video_jpeg_words *words,
	uint32_t run, int32_t value)
{
	uint32_t size = bits_of(value);

	put(bits, word_of(words->code[run << 4 | size], value, size));
}

static void put_block(struct video_jpeg *jpeg, const int16_t *values, uint64_t some, uint32_t table,
	int32_t *last_dc)
{
	const struct video_jpeg_words *words = &jpeg->ac[table];
	uint64_t mask = in_order(jpeg, some) & ~UINT64_C(1);
	struct video_jpeg_bits bits = jpeg->bits; /* in registers */
	uint32_t before = 0, at = 0;

	put_value(&bits, &jpeg->dc[table], 0, values[0] - *last_dc);
	*last_dc = values[0];
	for (; mask; mask &= mask - 1, before = at) {
		uint32_t run, index;
		int32_t value;

		at = (uint32_t)__builtin_ctzll(mask);
		value = values[turned_order[at]];
		run = at - before - 1;
		for (; run >= RUN_MAX; run -= RUN_MAX)
			put(&bits, words->code[RUN_OF_16]);
		index = (uint32_t)(value + VIDEO_JPEG_SMALL);
		if (index < 2 * VIDEO_JPEG_SMALL)
			put(&bits, words->small[run][index]);
		else
			put_value(&bits, words, run, value);
	}
	if (at < 63)
		put(&bits, words->code[END_OF_BLOCK]);
	jpeg->bits = bits;
}

static int more_room(struct video_jpeg *jpeg)
{
	if (jpeg->bits.at)
		buf_commit(jpeg->out, CHUNK_BYTES - (size_t)(jpeg->end - jpeg->bits.at));
	jpeg->bits.at = buf_reserve(jpeg->out, CHUNK_BYTES);
	if (!jpeg->bits.at)
		return -ENOMEM;
	jpeg->end = jpeg->bits.at + CHUNK_BYTES;
	return 0;
}

/* Of 16x16 pixels. */
static inline void put_unit(
	struct video_jpeg *jpeg, uint8_t *const planes[3], const uint32_t strides[3], uint32_t unit)
{
	int16_t values[2][64];
	uint64_t some[2];

	for (uint32_t half = 0; half < 2; half++) {
		const uint8_t *left = planes[0] + (size_t)strides[0] * 8 * half + 16 * (size_t)unit;
		const uint8_t *const blocks[2] = { left, left + 8 };

		video_jpeg_transform(blocks, strides[0], &jpeg->factors[0], values, some);
		put_block(jpeg, values[0], some[0], 0, &jpeg->last_dc[0]);
		put_block(jpeg, values[1], some[1], 0, &jpeg->last_dc[0]);
	}
	video_jpeg_transform((const uint8_t *const[2]){ planes[1] + 8 * (size_t)unit,
				     planes[2] + 8 * (size_t)unit },
		strides[1], &jpeg->factors[1], values, some);
	put_block(jpeg, values[0], some[0], 1, &jpeg->last_dc[1]);
	put_block(jpeg, values[1], some[1], 1, &jpeg->last_dc[2]);
}

int video_jpeg_strip(struct video_jpeg *jpeg, uint8_t *const planes[3], const uint32_t strides[3])
{
	for (uint32_t unit = 0; unit < DIV_ROUND_UP(jpeg->width, 16u); unit++) {
		if (jpeg->end - jpeg->bits.at < UNIT_BYTES_MAX && more_room(jpeg) < 0)
			return -ENOMEM;
		put_unit(jpeg, planes, strides, unit);
	}
	return 0;
}

/* ---- markers ---- */

static void marker(struct video_jpeg *jpeg, uint8_t which, const void *bytes, uint32_t size)
{
	const uint8_t head[4] = { 0xff, which, (uint8_t)((size + 2) >> 8), (uint8_t)(size + 2) };

	memcpy(jpeg->bits.at, head, 4);
	memcpy(jpeg->bits.at + 4, bytes, size);
	jpeg->bits.at += 4 + size;
}

static void huffman_marker(struct video_jpeg *jpeg, uint8_t name, uint32_t which)
{
	const struct video_huffman *table = &jpeg->huffman[which];
	uint32_t count = 0;
	uint8_t body[1 + 16 + 256];

	body[0] = name;
	memcpy(body + 1, table->bits + 1, 16);
	for (uint32_t length = 1; length <= 16; length++)
		count += table->bits[length];
	count = MIN(count, 256u);
	memcpy(body + 17, table->symbols, count);
	marker(jpeg, 0xc4, body, 17 + count);
}

int video_jpeg_begin(struct video_jpeg *jpeg, struct buf *out, uint32_t width, uint32_t height)
{
	static const uint8_t jfif[14] = { 'J', 'F', 'I', 'F', 0, 1, 1, 0, 0, 1, 0, 1, 0, 0 };
	/* Of three components, the tables. */
	static const uint8_t scan[10] = { 3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0 };
	const uint8_t frame[15] = { 8, (uint8_t)(height >> 8), (uint8_t)height,
		(uint8_t)(width >> 8), (uint8_t)width, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1 };
	uint8_t steps[65];

	jpeg->width = width;
	jpeg->out = out;
	jpeg->bits = (struct video_jpeg_bits){ 0 };
	memset(jpeg->last_dc, 0, sizeof(jpeg->last_dc));
	if (more_room(jpeg) < 0)
		return -ENOMEM;
	*jpeg->bits.at++ = 0xff;
	*jpeg->bits.at++ = 0xd8;
	marker(jpeg, 0xe0, jfif, sizeof(jfif));
	for (uint8_t i = 0; i < 2; i++) {
		steps[0] = i;
		memcpy(steps + 1, jpeg->steps[i], 64);
		marker(jpeg, 0xdb, steps, sizeof(steps));
	}
	marker(jpeg, 0xc0, frame, sizeof(frame));
	huffman_marker(jpeg, 0x00, HUFFMAN_DC_LUMA);
	huffman_marker(jpeg, 0x10, HUFFMAN_AC_LUMA);
	huffman_marker(jpeg, 0x01, HUFFMAN_DC_CHROMA);
	huffman_marker(jpeg, 0x11, HUFFMAN_AC_CHROMA);
	marker(jpeg, 0xda, scan, sizeof(scan));
	return 0;
}

int video_jpeg_end(struct video_jpeg *jpeg)
{
	if (jpeg->end - jpeg->bits.at < UNIT_BYTES_MAX && more_room(jpeg) < 0)
		return -ENOMEM;
	put_last(&jpeg->bits);
	*jpeg->bits.at++ = 0xff;
	*jpeg->bits.at++ = 0xd9;
	buf_commit(jpeg->out, CHUNK_BYTES - (size_t)(jpeg->end - jpeg->bits.at));
	jpeg->bits.at = NULL;
	return 0;
}

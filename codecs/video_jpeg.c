/* SPDX-License-Identifier: MIT */
/* JPEG's markers and entropy coding (ITU T.81, annexes B and F). */
#include "codecs/video_jpeg.h"

#include <errno.h>
#include <string.h>

#include "core/util.h"

enum {
	BLOCK_WORDS = 64 + 3 + 2, /* coefficients, runs, the end, and one of no bits */
	/* Six blocks of words of at most 27 bits; and what is written beyond. */
	UNIT_BYTES_MAX = 6 * BLOCK_WORDS * 27 / 8 + 8,
	HEAD_BYTES_MAX = 2048,
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

/* Two words, bits << LENGTH_BITS | length, of at most 27 bits each. */
static inline void put_two(struct video_jpeg_bits *bits, uint32_t first, uint32_t second)
{
	const uint32_t mask = (1u << LENGTH_BITS) - 1;
	uint32_t length = (first & mask) + (second & mask);
	uint64_t both = (uint64_t)(first >> LENGTH_BITS) << (second & mask) | second >> LENGTH_BITS;
	uint64_t swapped;

	/* A shift by 64 is none: then there are no bits. */
	bits->waiting |= both << ((64 - bits->used - length) & 63);
	bits->used += length;
	swapped = __builtin_bswap64(bits->waiting);
	memcpy(bits->at, &swapped, 8);
	bits->at += bits->used / 8;
	bits->waiting <<= bits->used & ~7u;
	bits->used &= 7;
}

/* Takes what is complete over into the file, with a 0 behind each byte of all ones. */
static int flush(struct video_jpeg *jpeg)
{
	const uint8_t *from = jpeg->bytes, *end = jpeg->bits.at;
	uint8_t *to = buf_reserve(jpeg->out, 2 * VIDEO_JPEG_BITS_BYTES), *start = to;

	if (!to)
		return -ENOMEM;
	while (from < end) {
		uint64_t eight = 0;
		size_t size = MIN((size_t)(end - from), sizeof(eight));

		memcpy(&eight, from, sizeof(eight));
		if (size == sizeof(eight) &&
			!(eight & ~(eight + 0x0101010101010101) & 0x8080808080808080)) {
			memcpy(to, &eight, sizeof(eight));
			to += sizeof(eight);
		} else {
			for (size_t i = 0; i < size; i++) {
				*to++ = from[i];
				if (from[i] == 0xff)
					*to++ = 0;
			}
		}
		from += size;
	}
	buf_commit(jpeg->out, (size_t)(to - start));
	jpeg->bits.at = jpeg->bytes;
	return 0;
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
static inline uint32_t value_word(const struct video_jpeg_words *words, uint32_t run, int32_t value)
{
	uint32_t size = bits_of(value);

	return word_of(words->code[run << 4 | size], value, size);
}

/* A block's words, and one of no bits: how many. */
static inline uint32_t block_words(const struct video_jpeg *jpeg, const int16_t *values,
	uint64_t some, uint32_t table, int32_t last_dc, uint32_t out[BLOCK_WORDS])
{
	const struct video_jpeg_words *words = &jpeg->ac[table];
	uint64_t mask = in_order(jpeg, some) & ~UINT64_C(1);
	uint32_t before = 0, count = 0;

	out[count++] = value_word(&jpeg->dc[table], 0, values[0] - last_dc);
	for (; mask; mask &= mask - 1) {
		uint32_t at = (uint32_t)__builtin_ctzll(mask), run = at - before - 1;
		int32_t value = values[turned_order[at]];
		uint32_t index = (uint32_t)(value + VIDEO_JPEG_SMALL);

		before = at;
		if (run < RUN_MAX && index < 2 * VIDEO_JPEG_SMALL) {
			out[count++] = words->small[run][index];
			continue;
		}
		for (; run >= RUN_MAX; run -= RUN_MAX)
			out[count++] = words->code[RUN_OF_16];
		out[count++] = value_word(words, run, value);
	}
	if (before < 63)
		out[count++] = words->code[END_OF_BLOCK];
	out[count] = 0;
	return count;
}

static inline void put_block(struct video_jpeg *jpeg, struct video_jpeg_bits *bits,
	const int16_t *values, uint64_t some, uint32_t component)
{
	uint32_t words[BLOCK_WORDS];
	uint32_t count =
		block_words(jpeg, values, some, component > 0, jpeg->last_dc[component], words);

	jpeg->last_dc[component] = values[0];
	for (uint32_t i = 0; i < count; i += 2)
		put_two(bits, words[i], words[i + 1]);
}

/* Of 16x16 pixels. */
static inline void put_unit(
	struct video_jpeg *jpeg, uint8_t *const planes[3], const uint32_t strides[3], uint32_t unit)
{
	struct video_jpeg_bits bits = jpeg->bits; /* in registers */
	int16_t values[2][64];
	uint64_t some[2];

	for (uint32_t half = 0; half < 2; half++) {
		const uint8_t *left = planes[0] + (size_t)strides[0] * 8 * half + 16 * (size_t)unit;
		const uint8_t *const blocks[2] = { left, left + 8 };

		video_jpeg_transform(blocks, strides[0], &jpeg->factors[0], values, some);
		put_block(jpeg, &bits, values[0], some[0], 0);
		put_block(jpeg, &bits, values[1], some[1], 0);
	}
	video_jpeg_transform((const uint8_t *const[2]){ planes[1] + 8 * (size_t)unit,
				     planes[2] + 8 * (size_t)unit },
		strides[1], &jpeg->factors[1], values, some);
	put_block(jpeg, &bits, values[0], some[0], 1);
	put_block(jpeg, &bits, values[1], some[1], 2);
	jpeg->bits = bits;
}

static inline int put_strip(
	struct video_jpeg *jpeg, uint8_t *const planes[3], const uint32_t strides[3])
{
	for (uint32_t unit = 0; unit < DIV_ROUND_UP(jpeg->width, 16u); unit++) {
		put_unit(jpeg, planes, strides, unit);
		if (jpeg->bits.at - jpeg->bytes > VIDEO_JPEG_BITS_BYTES - UNIT_BYTES_MAX &&
			flush(jpeg) < 0)
			return -ENOMEM;
	}
	return 0;
}

#if defined(__x86_64__) && defined(__GNUC__)

/* Shifts by a variable are three times as fast here. */
__attribute__((target("bmi,bmi2,lzcnt"), flatten)) static int put_strip_bmi2(
	struct video_jpeg *jpeg, uint8_t *const planes[3], const uint32_t strides[3])
{
	return put_strip(jpeg, planes, strides);
}

#endif

int video_jpeg_strip(struct video_jpeg *jpeg, uint8_t *const planes[3], const uint32_t strides[3])
{
#if defined(__x86_64__) && defined(__GNUC__)
	if (__builtin_cpu_supports("bmi2") && __builtin_cpu_supports("avx2"))
		return put_strip_bmi2(jpeg, planes, strides);
#endif
	return put_strip(jpeg, planes, strides);
}

/* ---- markers ---- */

static uint8_t *marker(uint8_t *at, uint8_t which, const void *bytes, uint32_t size)
{
	const uint8_t head[4] = { 0xff, which, (uint8_t)((size + 2) >> 8), (uint8_t)(size + 2) };

	memcpy(at, head, 4);
	memcpy(at + 4, bytes, size);
	return at + 4 + size;
}

static uint8_t *huffman_marker(uint8_t *at, uint8_t name, const struct video_huffman *table)
{
	uint32_t count = 0;
	uint8_t body[1 + 16 + 256];

	body[0] = name;
	memcpy(body + 1, table->bits + 1, 16);
	for (uint32_t length = 1; length <= 16; length++)
		count += table->bits[length];
	count = MIN(count, 256u);
	memcpy(body + 17, table->symbols, count);
	return marker(at, 0xc4, body, 17 + count);
}

int video_jpeg_begin(struct video_jpeg *jpeg, struct buf *out, uint32_t width, uint32_t height)
{
	static const uint8_t jfif[14] = { 'J', 'F', 'I', 'F', 0, 1, 1, 0, 0, 1, 0, 1, 0, 0 };
	/* Of three components, the tables. */
	static const uint8_t scan[10] = { 3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0 };
	const uint8_t frame[15] = { 8, (uint8_t)(height >> 8), (uint8_t)height,
		(uint8_t)(width >> 8), (uint8_t)width, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1 };
	uint8_t steps[65], *start, *at;

	jpeg->width = width;
	jpeg->out = out;
	jpeg->bits = (struct video_jpeg_bits){ .at = jpeg->bytes };
	memset(jpeg->last_dc, 0, sizeof(jpeg->last_dc));
	start = at = buf_reserve(out, HEAD_BYTES_MAX);
	if (!at)
		return -ENOMEM;
	*at++ = 0xff;
	*at++ = 0xd8;
	at = marker(at, 0xe0, jfif, sizeof(jfif));
	for (uint8_t i = 0; i < 2; i++) {
		steps[0] = i;
		memcpy(steps + 1, jpeg->steps[i], 64);
		at = marker(at, 0xdb, steps, sizeof(steps));
	}
	at = marker(at, 0xc0, frame, sizeof(frame));
	at = huffman_marker(at, 0x00, &jpeg->huffman[HUFFMAN_DC_LUMA]);
	at = huffman_marker(at, 0x10, &jpeg->huffman[HUFFMAN_AC_LUMA]);
	at = huffman_marker(at, 0x01, &jpeg->huffman[HUFFMAN_DC_CHROMA]);
	at = huffman_marker(at, 0x11, &jpeg->huffman[HUFFMAN_AC_CHROMA]);
	at = marker(at, 0xda, scan, sizeof(scan));
	buf_commit(out, (size_t)(at - start));
	return 0;
}

int video_jpeg_end(struct video_jpeg *jpeg)
{
	static const uint8_t end[2] = { 0xff, 0xd9 };
	uint32_t length = -jpeg->bits.used & 7;

	/* The last byte's other bits are ones. */
	put_two(&jpeg->bits, ((1u << length) - 1) << LENGTH_BITS | length, 0);
	return flush(jpeg) < 0 ? -ENOMEM : buf_append(jpeg->out, end, sizeof(end));
}

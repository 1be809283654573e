/* SPDX-License-Identifier: MIT */
/* Encoders of streams: what the decoders make of their frames, how large these are, and what is
 * asked of them while they run. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codecs/video.h"
#include "codecs/video_huffman.h"
#include "codecs/video_planes.h"
#include "core/util.h"

enum { WIDTH = 320, HEIGHT = 180, FRAMES = 24 };

static uint32_t hash(uint32_t x)
{
	x ^= x >> 16;
	x *= 0x7feb352du;
	x ^= x >> 15;
	x *= 0x846ca68bu;
	return x ^ x >> 16;
}

/* A texture that moves by (2, 1) pixels a frame: hard for a still picture's codec, easy for one that
 * looks at the frame before. */
static void paint(uint8_t *pixels, uint32_t width, uint32_t height, uint32_t frame)
{
	for (uint32_t y = 0; y < height; y++) {
		for (uint32_t x = 0; x < width; x++) {
			uint32_t u = x + 2 * frame, v = y + frame;
			uint32_t noise = hash(u * 4099 + v) & 63;
			uint8_t *at = pixels + ((size_t)y * width + x) * 4;

			at[0] = (uint8_t)(60 + noise + (u / 2) % 64);
			at[1] = (uint8_t)(50 + noise + (v % 128) / 2);
			at[2] = (uint8_t)(40 + noise + (u + v) / 3 % 64);
			at[3] = 0;
		}
	}
}

/* The mean square of the differences. */
static uint64_t error(const uint8_t *a, const uint8_t *b, size_t pixels)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < pixels * 4; i++)
		if (i % 4 != 3)
			sum += (uint64_t)((a[i] - b[i]) * (a[i] - b[i]));
	return sum / (pixels * 3);
}

/* Encodes pixels whose rows lie `stride` bytes apart. */
static int encode(struct video_encoder *encoder, struct buf *out, const uint8_t *pixels,
	uint32_t width, uint32_t height, ptrdiff_t stride, uint32_t time_ms,
	const struct video_demand *demand)
{
	const uint8_t **rows = calloc(MAX(height, 1u), sizeof(*rows));
	int ret;

	assert_non_null(rows);
	for (uint32_t y = 0; y < height; y++)
		rows[y] = pixels + stride * (ptrdiff_t)y;
	ret = video_encoder_encode(encoder, out, rows, width, height, time_ms, demand);
	free(rows);
	return ret;
}

struct coder {
	struct video_encoder *encoder;
	struct video_decoder *decoder;
	uint8_t *source, *shown;
	uint32_t width, height;
	uint32_t frame;
	size_t bytes; /* of the last frame */
};

static void coder_begin(struct coder *c, enum video_codec codec, uint32_t width, uint32_t height)
{
	*c = (struct coder){ .width = width, .height = height };
	assert_int_equal(video_encoder_create(&c->encoder, codec, width, height), 0);
	assert_int_equal(video_decoder_create(&c->decoder, codec), 0);
	c->source = calloc((size_t)width * height, 4);
	c->shown = calloc((size_t)width * height, 4);
	assert_non_null(c->source);
	assert_non_null(c->shown);
}

/* Encodes and decodes one frame; answers the error. */
static uint64_t coder_frame(struct coder *c, const struct video_demand *demand)
{
	struct buf out = { 0 };
	uint32_t width, height;

	paint(c->source, c->width, c->height, c->frame);
	assert_int_equal(encode(c->encoder, &out, c->source, c->width, c->height,
				 (ptrdiff_t)c->width * 4, 1000 + c->frame * 33, demand),
		0);
	c->frame++;
	c->bytes = out.size;
	assert_true(out.size > 0);
	assert_int_equal(video_decoder_frame(
				 c->decoder, buf_bytes(&out), out.size, 1 << 20, &width, &height),
		0);
	assert_int_equal(width, c->width);
	assert_int_equal(height, c->height);
	assert_int_equal(video_decoder_read(c->decoder, c->shown, (ptrdiff_t)c->width * 4), 0);
	buf_finish(&out);
	return error(c->source, c->shown, (size_t)c->width * c->height);
}

static void coder_end(struct coder *c)
{
	video_encoder_destroy(c->encoder);
	video_decoder_destroy(c->decoder);
	free(c->source);
	free(c->shown);
}

/* ---- what comes out ---- */

static void test_quality(void **state)
{
	for (enum video_codec codec = 0; codec < VIDEO_CODECS; codec++) {
		uint64_t errors[2] = { 0 }, bytes[2] = { 0 };

		for (int good = 0; good < 2; good++) {
			const struct video_demand demand = { .quality = good ? 90 : 30,
				.interval_us = 33000 };
			struct coder c;

			coder_begin(&c, codec, WIDTH, HEIGHT);
			for (int i = 0; i < FRAMES; i++) {
				errors[good] += coder_frame(&c, &demand);
				bytes[good] += c.bytes;
				assert_true(video_encoder_quality(c.encoder) <= demand.quality + 1);
			}
			coder_end(&c);
		}
		print_message("codec %d: error %llu, %llu bytes; error %llu, %llu bytes\n", codec,
			(unsigned long long)errors[0] / FRAMES, (unsigned long long)bytes[0],
			(unsigned long long)errors[1] / FRAMES, (unsigned long long)bytes[1]);
		assert_true(errors[1] * 2 < errors[0]);
		assert_true(bytes[1] > bytes[0]);
		/* Colours at half the resolution are some of it. */
		assert_true(errors[1] / FRAMES < 60);
	}
}

/* A frame may build on those before it, unless it must not. */
static void test_refresh(void **state)
{
	struct video_demand demand = { .quality = 70, .interval_us = 33000, .average_ms = 5000 };
	struct video_decoder *late;
	struct buf out = { 0 };
	uint32_t width, height;
	struct coder c;
	size_t first;

	coder_begin(&c, VIDEO_VP8, WIDTH, HEIGHT);
	coder_frame(&c, &demand);
	first = c.bytes;
	for (int i = 0; i < 9; i++)
		coder_frame(&c, &demand);
	assert_true(c.bytes * 2 < first);
	/* Who comes now can begin with this one. */
	demand.refresh = true;
	paint(c.source, WIDTH, HEIGHT, c.frame);
	assert_int_equal(
		encode(c.encoder, &out, c.source, WIDTH, HEIGHT, WIDTH * 4, 2000, &demand), 0);
	assert_int_equal(video_decoder_create(&late, VIDEO_VP8), 0);
	assert_int_equal(
		video_decoder_frame(late, buf_bytes(&out), out.size, 1 << 20, &width, &height), 0);
	assert_int_equal(video_decoder_read(late, c.shown, WIDTH * 4), 0);
	assert_true(error(c.source, c.shown, WIDTH * HEIGHT) < 300);
	video_decoder_destroy(late);
	buf_finish(&out);
	coder_end(&c);
}

static void test_budget(void **state)
{
	for (enum video_codec codec = 0; codec < VIDEO_CODECS; codec++) {
		const uint32_t budgets[] = { 6000, 2500, 9000 };
		struct coder c;

		coder_begin(&c, codec, WIDTH, HEIGHT);
		for (uint32_t k = 0; k < ARRAY_SIZE(budgets); k++) {
			const struct video_demand demand = {
				.quality = 85, .bytes = budgets[k], .interval_us = 33000
			};
			size_t sum = 0;

			/* It takes a while to get used to another one. */
			for (int i = 0; i < 90; i++) {
				coder_frame(&c, &demand);
				sum += i >= 45 ? c.bytes : 0;
			}
			assert_true(sum / 45 < budgets[k] * 5 / 4);
			if (codec == VIDEO_MJPEG)
				assert_true(sum / 45 > budgets[k] * 2 / 3);
		}
		coder_end(&c);
	}
}

/* Sizes that are not multiples of anything, and the least ones. */
static void test_sizes(void **state)
{
	const uint32_t sizes[][2] = { { 1, 1 }, { 2, 1 }, { 15, 17 }, { 33, 31 }, { 161, 99 },
		{ 640, 2 } };
	const struct video_demand demand = { .quality = 80, .interval_us = 33000 };

	for (enum video_codec codec = 0; codec < VIDEO_CODECS; codec++) {
		for (uint32_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			struct coder c;

			coder_begin(&c, codec, sizes[i][0], sizes[i][1]);
			for (int k = 0; k < 4; k++)
				assert_true(coder_frame(&c, &demand) < 700);
			coder_end(&c);
		}
	}
}

/* A larger picture is made to fit, rows from the bottom up too. */
static void test_scaling(void **state)
{
	const struct video_demand demand = { .quality = 90, .interval_us = 33000 };
	uint8_t *large = malloc(400 * 300 * 4);
	uint8_t small[200 * 150 * 4];

	assert_non_null(large);
	for (size_t i = 0; i < 400 * 300; i++) {
		large[i * 4] = (uint8_t)(i % 400 / 2);
		large[i * 4 + 1] = (uint8_t)(i / 400 / 2);
		large[i * 4 + 2] = 90;
		large[i * 4 + 3] = 0;
	}
	for (enum video_codec codec = 0; codec < VIDEO_CODECS; codec++) {
		for (int upwards = 0; upwards < 2; upwards++) {
			struct video_encoder *encoder;
			struct video_decoder *decoder;
			struct buf out = { 0 };
			uint32_t width, height;
			ptrdiff_t stride = upwards ? -1600 : 1600;

			assert_int_equal(video_encoder_create(&encoder, codec, 200, 150), 0);
			assert_int_equal(video_decoder_create(&decoder, codec), 0);
			assert_int_equal(encode(encoder, &out, large + (upwards ? 299 * 1600 : 0),
						 400, 300, stride, 5, &demand),
				0);
			assert_int_equal(video_decoder_frame(decoder, buf_bytes(&out), out.size,
						 1 << 20, &width, &height),
				0);
			assert_int_equal(width, 200);
			assert_int_equal(height, 150);
			assert_int_equal(video_decoder_read(decoder, small, 800), 0);
			for (uint32_t y = 10; y < 140; y += 13) {
				const uint8_t *at = small + (y * 200 + 50) * 4;
				uint32_t row = upwards ? 149 - y : y;

				assert_in_range(at[0], 40, 60);
				assert_in_range(at[1], MAX(row, 10u) - 10, row + 10);
				assert_in_range(at[2], 80, 100);
			}
			buf_finish(&out);
			video_encoder_destroy(encoder);
			video_decoder_destroy(decoder);
		}
	}
	free(large);
}

static void test_refused(void **state)
{
	const uint8_t pixel[4] = { 0 };
	struct video_demand demand = { .quality = 0 };
	struct video_encoder *encoder;
	struct buf out = { 0 };

	assert_int_equal(video_encoder_create(&encoder, VIDEO_CODECS, 16, 16), -EINVAL);
	assert_int_equal(video_encoder_create(&encoder, VIDEO_VP8, 0, 16), -EINVAL);
	assert_int_equal(video_encoder_create(&encoder, VIDEO_MJPEG, 16, 20000), -EINVAL);
	assert_int_equal(video_encoder_create(&encoder, VIDEO_MJPEG, 1, 1), 0);
	assert_int_equal(encode(encoder, &out, pixel, 1, 1, 4, 0, &demand), -EINVAL);
	demand.quality = 101;
	assert_int_equal(encode(encoder, &out, pixel, 1, 1, 4, 0, &demand), -EINVAL);
	demand.quality = 50;
	assert_int_equal(encode(encoder, &out, pixel, 0, 1, 4, 0, &demand), -EINVAL);
	assert_int_equal(out.size, 0);
	video_encoder_destroy(encoder);
	video_encoder_destroy(NULL);
}

/* ---- planes ---- */

static void check_planes(const uint8_t *pixels, uint32_t width, enum video_range range)
{
	uint8_t vectors[6][128], plain[6][128];
	struct video_row_pair pair = { .bgrx = { pixels, pixels + 512 } };

	memset(vectors, 0xee, sizeof(vectors));
	memset(plain, 0xee, sizeof(plain));
	pair.luma[0] = vectors[0];
	pair.luma[1] = vectors[1];
	pair.blue = vectors[2];
	pair.red = vectors[3];
	video_planes_pair(&pair, width, range);
	pair.luma[0] = plain[0];
	pair.luma[1] = plain[1];
	pair.blue = plain[2];
	pair.red = plain[3];
	video_planes_pair_portable(&pair, width, range);
	assert_memory_equal(vectors, plain, sizeof(plain));
	assert_int_equal(plain[0][width], 0xee);
	assert_int_equal(plain[2][DIV_ROUND_UP(width, 2u)], 0xee);
}

/* The vectors make what the plain code makes, at every width and of extreme colours, too. */
static void test_planes(void **state)
{
	uint8_t pixels[1024];

	for (uint32_t round = 0; round < 8; round++) {
		for (uint32_t i = 0; i < sizeof(pixels); i++) {
			uint32_t h = hash(i * 8 + round);

			pixels[i] = (uint8_t)(round % 2 ? (h & 1 ? 255 : 0) : h);
		}
		for (uint32_t width = 1; width <= 127; width++) {
			check_planes(pixels, width, VIDEO_RANGE_FULL);
			check_planes(pixels, width, VIDEO_RANGE_VIDEO);
		}
	}
}

/* What the standard says of some colours. */
static void test_plane_values(void **state)
{
	static const struct {
		uint8_t bgr[4], full[3], video[3];
	} cases[] = {
		{ { 0, 0, 0 }, { 0, 128, 128 }, { 16, 128, 128 } },
		{ { 255, 255, 255 }, { 255, 128, 128 }, { 235, 128, 128 } },
		{ { 128, 128, 128 }, { 128, 128, 128 }, { 126, 128, 128 } },
		{ { 255, 0, 0 }, { 29, 255, 107 }, { 41, 240, 110 } },
		{ { 0, 0, 255 }, { 76, 85, 255 }, { 82, 90, 240 } },
		{ { 0, 255, 0 }, { 150, 44, 21 }, { 144, 54, 34 } },
	};

	for (size_t c = 0; c < ARRAY_SIZE(cases); c++) {
		for (int range = 0; range < 2; range++) {
			const uint8_t *wanted = range ? cases[c].video : cases[c].full;
			uint8_t pixels[64 * 4], luma[64], blue[32], red[32];
			struct video_row_pair pair = { .bgrx = { pixels, pixels },
				.luma = { luma, luma },
				.blue = blue,
				.red = red };

			for (size_t i = 0; i < 64; i++)
				memcpy(pixels + i * 4, cases[c].bgr, 4);
			video_planes_pair(&pair, 64, range ? VIDEO_RANGE_VIDEO : VIDEO_RANGE_FULL);
			for (size_t i = 0; i < 64; i += 21) {
				assert_in_range(luma[i], MAX(wanted[0], 1) - 1, wanted[0] + 1);
				assert_in_range(blue[i / 2], wanted[1] - 2, wanted[1] + 2);
				assert_in_range(red[i / 2], wanted[2] - 2, wanted[2] + 2);
			}
		}
	}
}

/* ---- Huffman tables ---- */

/* Whether it is a code with a free word of all ones, and has each symbol once. */
static void check_table(const struct video_huffman *table, bool dc)
{
	uint32_t symbols = 0, space = 0;
	bool seen[256] = { false };

	for (uint32_t length = 1; length <= 16; length++) {
		space += (uint32_t)table->bits[length] << (16 - length);
		symbols += table->bits[length];
	}
	assert_true(space < 1u << 16);
	assert_int_equal(symbols, dc ? 12 : 162);
	for (uint32_t i = 0; i < symbols; i++) {
		uint8_t symbol = table->symbols[i];

		assert_false(seen[symbol]);
		seen[symbol] = true;
		assert_true(dc ? symbol < 12
			       : symbol == 0 || symbol == 0xf0 ||
					((symbol & 15) >= 1 && (symbol & 15) <= 10));
	}
}

static void test_huffman(void **state)
{
	struct video_huffman table;
	uint8_t bits[17] = { 0 }, symbols[256] = { 0 };

	for (uint32_t i = 0; i < HUFFMAN_TABLES; i++)
		check_table(
			&video_huffman_start[i], i == HUFFMAN_DC_LUMA || i == HUFFMAN_DC_CHROMA);
	/* One symbol alone, and a chain of ever longer codes. */
	bits[1] = 1;
	symbols[0] = 0x11;
	video_huffman_complete(&table, bits, symbols, HUFFMAN_AC_LUMA);
	check_table(&table, false);
	assert_int_equal(table.symbols[0], 0x11);
	assert_int_equal(table.bits[1], 1);
	for (uint32_t length = 1; length <= 12; length++) {
		bits[length] = 1;
		symbols[length - 1] = (uint8_t)(12 - length);
	}
	video_huffman_complete(&table, bits, symbols, HUFFMAN_DC_CHROMA);
	check_table(&table, true);
	assert_int_equal(table.symbols[0], 11);
	assert_int_equal(table.symbols[11], 0);
	/* A symbol that there is not: the starting table. */
	symbols[3] = 12;
	video_huffman_complete(&table, bits, symbols, HUFFMAN_DC_LUMA);
	assert_memory_equal(&table, &video_huffman_start[HUFFMAN_DC_LUMA], sizeof(table));
	memset(bits, 255, sizeof(bits));
	video_huffman_complete(&table, bits, symbols, HUFFMAN_AC_CHROMA);
	assert_memory_equal(&table, &video_huffman_start[HUFFMAN_AC_CHROMA], sizeof(table));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quality),
		cmocka_unit_test(test_refresh),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_scaling),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_planes),
		cmocka_unit_test(test_plane_values),
		cmocka_unit_test(test_huffman),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

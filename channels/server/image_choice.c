/* SPDX-License-Identifier: MIT */
/*
 * Measuring and choosing. The bounds were found with screenshots cut into pieces of many sizes, each
 * through all codecs: where pixels that differ mostly lie between their neighbours, QUIC needs half
 * of what the dictionary coders do; where not, it needs several times as much. Few colours packed
 * as indices beat both, up to the point where repeated shapes in earlier pictures tell more.
 */
#include "channels/server/image_choice.h"

#include <stdlib.h>
#include <string.h>

#include "channels/server/server.h"
#include "core/util.h"

enum {
	SMOOTH_MIN = 750, /* from here on QUIC */
	SMOOTH_DISTANCE = 16, /* of a colour's 255 */
	ROWS_SAMPLED = 64,
	PALETTE_PIXELS = 16, /* so many pixels a colour pay for it */
	TINY_PIXELS = 32, /* codecs' headers are more than that */
	JPEG_PIXELS = 64 * 64,
	JPEG_SAME_MAX = 700,
	RUN_PIXELS = 8, /* looked at together */
	SLOTS = 1024, /* of the table of colours; a power of 2 */
};

static uint32_t load(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

/* ---- colours ---- */

struct colour_table {
	uint32_t colours[SLOTS];
	uint16_t numbers[SLOTS]; /* and one; 0: free */
};

/* The number of a colour; IMAGE_COLOURS_MAX when it is one too many. */
static uint32_t colour_number(
	struct colour_table *table, struct image_traits *traits, uint32_t colour)
{
	uint32_t slot = (colour * 2654435761u) >> 22;

	while (table->numbers[slot] && table->colours[slot] != colour)
		slot = (slot + 1) % SLOTS;
	if (!table->numbers[slot]) {
		if (traits->colours == IMAGE_COLOURS_MAX) {
			traits->colours++;
			return IMAGE_COLOURS_MAX;
		}
		table->colours[slot] = colour;
		traits->palette[traits->colours++] = colour;
		table->numbers[slot] = (uint16_t)traits->colours;
	}
	return table->numbers[slot] - 1u;
}

struct two_colours {
	uint32_t colours[2];
	uint8_t numbers[2];
};

/* Writes the numbers of RUN_PIXELS pixels that have one of two colours, without a branch a pixel.
 * False: some have neither. */
static inline bool number_run(
	uint8_t *restrict indices, const uint8_t *restrict pixels, const struct two_colours *two)
{
	const uint32_t first = two->colours[0], second = two->colours[1];
	const uint32_t number = two->numbers[0], change = number ^ two->numbers[1];
	uint32_t words[RUN_PIXELS], numbers[RUN_PIXELS], others = 0;

	memcpy(words, pixels, sizeof(words));
	for (uint32_t i = 0; i < RUN_PIXELS; i++) {
		uint32_t colour = words[i] & 0xffffff;
		uint32_t is_first = colour == first ? UINT32_MAX : 0;
		uint32_t is_second = colour == second ? UINT32_MAX : 0;

		others |= ~(is_first | is_second);
		numbers[i] = number ^ (change & ~is_first);
	}
	for (uint32_t i = 0; i < RUN_PIXELS; i++)
		indices[i] = (uint8_t)numbers[i];
	return others == 0;
}

static void count_colours(
	struct image_traits *traits, const uint8_t *rows, uint32_t stride, uint8_t *indices)
{
	struct colour_table table = { .numbers = { 0 } };
	uint32_t first = load(rows) & 0xffffff;
	/* The last one, and the one before. */
	struct two_colours two = { { first, first }, { 0, 0 } };

	colour_number(&table, traits, first);
	for (uint32_t y = 0; y < traits->height; y++) {
		const uint8_t *row = rows + (size_t)y * stride;

		for (uint32_t x = 0, end; x < traits->width; x = end) {
			end = MIN(x + RUN_PIXELS, traits->width);
			/* Most of a text has two colours. */
			if (end - x == RUN_PIXELS &&
				number_run(indices, row + (size_t)x * 4, &two)) {
				indices += RUN_PIXELS;
				continue;
			}
			for (; x < end; x++) {
				uint32_t colour = load(row + (size_t)x * 4) & 0xffffff;

				if (colour != two.colours[0]) {
					uint32_t n = colour == two.colours[1]
						? two.numbers[1]
						: colour_number(&table, traits, colour);

					if (n == IMAGE_COLOURS_MAX)
						return;
					two = (struct two_colours){ { colour, two.colours[0] },
						{ (uint8_t)n, two.numbers[0] } };
				}
				*indices++ = two.numbers[0];
			}
		}
	}
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Equal sets of colours make equal palettes, which viewers then have already. */
static void sort_palette(struct image_traits *traits)
{
	uint32_t seen[IMAGE_COLOURS_MAX];

	memcpy(seen, traits->palette, sizeof(seen));
	qsort(traits->palette, traits->colours, sizeof(*traits->palette), compare);
	for (uint32_t i = 0; i < traits->colours; i++) {
		uint32_t low = 0, high = traits->colours;

		while (high - low > 1) {
			uint32_t middle = (low + high) / 2;

			if (traits->palette[middle] <= seen[i])
				low = middle;
			else
				high = middle;
		}
		traits->rank[i] = (uint8_t)low;
	}
}

static enum image_alpha measure_alpha(
	const uint8_t *rows, uint32_t stride, uint32_t width, uint32_t height)
{
	uint32_t all = 0xffffffff, any = 0;

	for (uint32_t y = 0; y < height; y++) {
		const uint8_t *row = rows + (size_t)y * stride;

		for (uint32_t x = 0; x < width; x++) {
			uint32_t word = load(row + (size_t)x * 4);

			all &= word;
			any |= word;
		}
		if (any >> 24 && all >> 24 != 0xff)
			return IMAGE_ALPHA_VARIES;
	}
	return any >> 24 ? IMAGE_ALPHA_OPAQUE : IMAGE_ALPHA_NONE;
}

/* ---- smoothness ---- */

static uint32_t distance(uint32_t a, uint32_t b)
{
	return a > b ? a - b : b - a;
}

/* Whether each colour of a pixel lies near the mean of its neighbours'. */
static bool is_smooth(uint32_t pixel, uint32_t left, uint32_t above)
{
	for (uint32_t shift = 0; shift < 24; shift += 8) {
		uint32_t mean = ((left >> shift & 255) + (above >> shift & 255)) / 2;

		if (distance(pixel >> shift & 255, mean) > SMOOTH_DISTANCE)
			return false;
	}
	return true;
}

void image_traits_measure_smoothness(
	struct image_traits *traits, const uint8_t *rows, uint32_t stride)
{
	uint32_t step = MAX(traits->height / ROWS_SAMPLED, 1u);
	uint64_t differ = 0, smooth = 0, all = 0;

	for (uint32_t y = 1; y < traits->height; y += step) {
		const uint8_t *row = rows + (size_t)y * stride;
		const uint8_t *above = row - stride;
		uint32_t left = load(row) & 0xffffff;

		for (uint32_t x = 1; x < traits->width; x++) {
			uint32_t pixel = load(row + (size_t)x * 4) & 0xffffff;
			uint32_t up = load(above + (size_t)x * 4) & 0xffffff;

			if (pixel != left && pixel != up) {
				differ++;
				smooth += is_smooth(pixel, left, up);
			}
			left = pixel;
		}
		all += traits->width - 1;
	}
	traits->smooth = differ ? (uint32_t)(smooth * 1000 / differ) : 0;
	traits->same = all ? (uint32_t)((all - differ) * 1000 / all) : 1000;
}

void image_traits_measure(struct image_traits *traits, const uint8_t *rows, uint32_t stride,
	uint32_t width, uint32_t height, bool has_alpha, uint8_t *indices)
{
	traits->width = width;
	traits->height = height;
	traits->colours = 0;
	traits->smooth = 0;
	traits->same = 1000;
	traits->alpha = has_alpha ? measure_alpha(rows, stride, width, height) : IMAGE_ALPHA_NONE;
	count_colours(traits, rows, stride, indices);
	if (traits->colours <= IMAGE_COLOURS_MAX)
		sort_palette(traits);
}

/* ---- the choice ---- */

static bool is_photograph(const struct image_traits *traits)
{
	return traits->colours > IMAGE_COLOURS_MAX && traits->smooth >= SMOOTH_MIN &&
		traits->same <= JPEG_SAME_MAX &&
		(uint64_t)traits->width * traits->height >= JPEG_PIXELS;
}

static enum image_codec choose_best(
	const struct image_traits *traits, const struct image_choice *choice, const char **why)
{
	uint64_t pixels = (uint64_t)traits->width * traits->height;

	if (choice->palettes && traits->colours <= IMAGE_COLOURS_FEW) {
		*why = "few colours";
		return IMAGE_CODEC_PALETTE;
	}
	if (pixels <= TINY_PIXELS) {
		*why = "tiny";
		return IMAGE_CODEC_RAW;
	}
	if (traits->smooth >= SMOOTH_MIN) {
		*why = "gradual";
		return IMAGE_CODEC_QUIC;
	}
	if (choice->glz) {
		*why = "not gradual";
		return IMAGE_CODEC_GLZ;
	}
	if (choice->palettes && traits->colours <= IMAGE_COLOURS_MAX &&
		pixels >= (uint64_t)traits->colours * PALETTE_PIXELS) {
		*why = "a palette's worth of colours";
		return IMAGE_CODEC_PALETTE;
	}
	*why = "not gradual, no dictionary";
	return IMAGE_CODEC_LZ;
}

enum image_codec image_choose(
	const struct image_traits *traits, const struct image_choice *choice, const char **why)
{
	*why = "as was asked for";
	if (choice->jpeg && is_photograph(traits)) {
		*why = "a photograph on a slow link";
		return IMAGE_CODEC_JPEG;
	}
	switch (choice->compression) {
	case SPICE_SERVER_COMPRESSION_QUIC: return IMAGE_CODEC_QUIC;
	case SPICE_SERVER_COMPRESSION_LZ: return IMAGE_CODEC_LZ;
	case SPICE_SERVER_COMPRESSION_GLZ: return choice->glz ? IMAGE_CODEC_GLZ : IMAGE_CODEC_LZ;
	case SPICE_SERVER_COMPRESSION_LZ4: return choice->lz4 ? IMAGE_CODEC_LZ4 : IMAGE_CODEC_LZ;
	case SPICE_SERVER_COMPRESSION_OFF: return IMAGE_CODEC_RAW;
	default: return choose_best(traits, choice, why);
	}
}

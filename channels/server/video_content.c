/* SPDX-License-Identifier: MIT */
/* The measure of how picture-like pixels are. */
#include "channels/server/video_content.h"

#include <stdlib.h>
#include <string.h>

#include "core/util.h"

enum {
	ROWS = 48, /* looked at, of an area */
	ROW_PIXELS = 1024, /* at most, of a row */
	COLOR_BITS = 4096,
	GRADUAL_STEP = 20, /* the largest difference of a channel that counts as gradual */
};

struct counts {
	uint32_t pairs, equal, gradual, colors;
	uint8_t seen[COLOR_BITS / 8];
};

static uint32_t step(uint32_t a, uint32_t b)
{
	int32_t most = 0;

	for (int shift = 0; shift < 24; shift += 8) {
		int32_t d = (int32_t)(a >> shift & 0xff) - (int32_t)(b >> shift & 0xff);

		most = MAX(most, abs(d));
	}
	return (uint32_t)most;
}

static void count_color(struct counts *counts, uint32_t color)
{
	uint32_t slot = (color & 0xffffff) * 2654435761u >> 20;

	if (counts->seen[slot / 8] & 1u << slot % 8)
		return;
	counts->seen[slot / 8] |= (uint8_t)(1u << slot % 8);
	counts->colors++;
}

static void count_row(struct counts *counts, const uint32_t *argb, uint32_t width)
{
	for (uint32_t x = 1; x < width; x++) {
		uint32_t d = step(argb[x - 1], argb[x]);

		counts->pairs++;
		if (d == 0) {
			counts->equal++;
			continue;
		}
		count_color(counts, argb[x]);
		if (d <= GRADUAL_STEP)
			counts->gradual++;
	}
}

struct video_content video_content_measure(const struct surface *surface, const struct rect *area)
{
	uint32_t width = MIN((uint32_t)rect_width(area), (uint32_t)ROW_PIXELS);
	/* The middle of what is wider. */
	uint32_t left = (uint32_t)area->left + ((uint32_t)rect_width(area) - width) / 2;
	uint32_t height = (uint32_t)rect_height(area);
	uint32_t rows = MIN(height, (uint32_t)ROWS);
	struct counts counts = { 0 };
	uint32_t words[ROW_PIXELS];

	for (uint32_t i = 0; i < rows; i++) {
		uint32_t y = (uint32_t)area->top + (i * 2 + 1) * height / (rows * 2);

		surface_load_words(surface, left, y, width, words);
		for (uint32_t x = 0; x < width; x++)
			words[x] = surface_word_to_argb(surface->format, words[x]);
		count_row(&counts, words, width);
	}
	return (struct video_content){
		.equal = counts.pairs ? counts.equal * 1000 / counts.pairs : 1000,
		.gradual = counts.pairs > counts.equal
			? counts.gradual * 1000 / (counts.pairs - counts.equal)
			: 0,
		.colors = counts.colors,
	};
}

bool video_content_moves(const struct video_content *content)
{
	enum { FEW_COLORS = 64 };

	if (content->colors < FEW_COLORS)
		return false;
	/* Text and windows lie on even ground with sharp edges; pictures have neither. */
	return content->equal < 400 || (content->equal < 900 && content->gradual >= 700);
}

/* SPDX-License-Identifier: MIT */
/* What a picture is like, measured, and the codec that this calls for. Pure memory; any thread. */
#ifndef CHANNELS_SERVER_IMAGE_CHOICE_H
#define CHANNELS_SERVER_IMAGE_CHOICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMAGE_COLOURS_MAX 256
/* So few are always packed as indices, where the viewer takes them. */
#define IMAGE_COLOURS_FEW 4

enum image_alpha {
	IMAGE_ALPHA_NONE, /* 0 everywhere, or the format has none */
	IMAGE_ALPHA_OPAQUE, /* 255 everywhere */
	IMAGE_ALPHA_VARIES,
};

struct image_traits {
	uint32_t width, height;
	uint32_t colours; /* IMAGE_COLOURS_MAX + 1: more than that */
	uint32_t palette[IMAGE_COLOURS_MAX]; /* 0x00RRGGBB, ascending */
	uint8_t rank[IMAGE_COLOURS_MAX]; /* the palette's index of an index in `indices` */
	enum image_alpha alpha;
	/* Of the pixels that differ from both the one above and the one at the left: how many of
	 * 1000 come near to their mean. Photographs and gradients do, text does not. */
	uint32_t smooth;
	uint32_t same; /* of 1000 pixels, those that do not differ so */
};

/* Measures a picture of 32-bit pixels, whose fourth byte counts if has_alpha. `indices` gets each
 * pixel's colour (see rank), row after row without gaps; only valid with no more than
 * IMAGE_COLOURS_MAX colours. */
void image_traits_measure(struct image_traits *traits, const uint8_t *rows, uint32_t stride,
	uint32_t width, uint32_t height, bool has_alpha, uint8_t *indices);

/* The rest of it: `smooth` and `same`. With few colours nobody asks. */
void image_traits_measure_smoothness(
	struct image_traits *traits, const uint8_t *rows, uint32_t stride);

enum image_codec {
	IMAGE_CODEC_RAW,
	IMAGE_CODEC_PALETTE, /* packed indices, through LZ or not */
	IMAGE_CODEC_LZ4,
	IMAGE_CODEC_LZ,
	IMAGE_CODEC_GLZ,
	IMAGE_CODEC_QUIC,
	IMAGE_CODEC_JPEG,
};

/* What there is to choose from. */
struct image_choice {
	uint8_t compression; /* enum spice_image_compression */
	bool palettes, lz4, glz; /* the viewer takes them */
	bool jpeg; /* it need not be exact now, and the link is slow */
};

/* The codec; *why is a few words for people who debug. */
enum image_codec image_choose(
	const struct image_traits *traits, const struct image_choice *choice, const char **why);

#endif

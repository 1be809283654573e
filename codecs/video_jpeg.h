/* SPDX-License-Identifier: MIT */
/*
 * JPEG's frames from planes: baseline, colours at half the width and height, all of a frame's
 * coefficients divided by the same step. Faster than libjpeg-turbo, which can do anything else.
 */
#ifndef CODECS_VIDEO_JPEG_H
#define CODECS_VIDEO_JPEG_H

#include "codecs/video_huffman.h"
#include "core/buf.h"

enum {
	VIDEO_JPEG_STEP_MIN = 3, /* at finer ones the transform is too coarse */
	VIDEO_JPEG_STEP_MAX = 255,
	VIDEO_JPEG_SMALL = 16, /* values nearer to 0 have words of their own in the tables */
	VIDEO_JPEG_BITS_BYTES = 16 << 10,
};

/* By which the transform's outcome is multiplied, in 1/32768, by horizontal frequency first. */
struct video_jpeg_factors {
	int16_t factor[64];
};

/* Code words, and whole words of small values with the value's bits behind: bits << 5 | length. */
struct video_jpeg_words {
	uint32_t code[256];
	uint32_t small[16][2 * VIDEO_JPEG_SMALL];
};

/* Words one after the other, before the file's stuffing. */
struct video_jpeg_bits {
	uint8_t *at; /* whole bytes end here */
	uint64_t waiting; /* the highest `used` bits, fewer than 8 between words */
	uint32_t used;
};

struct video_jpeg {
	struct video_jpeg_factors factors[2]; /* of brightness; of colours */
	uint8_t steps[2][64]; /* that the file says, in its order */
	struct video_huffman huffman[HUFFMAN_TABLES];
	struct video_jpeg_words dc[2], ac[2];
	uint64_t in_order[8][256]; /* bits by horizontal frequency first, in the file's order */
	uint32_t width;
	int32_t last_dc[3];
	struct buf *out;
	struct video_jpeg_bits bits;
	uint8_t bytes[VIDEO_JPEG_BITS_BYTES]; /* where `bits` go */
};

void video_jpeg_init(struct video_jpeg *jpeg);
/* The steps of brightness and of colours, VIDEO_JPEG_STEP_MIN to _MAX. */
void video_jpeg_set_steps(struct video_jpeg *jpeg, uint32_t luma, uint32_t color);
/* Complete tables (every symbol has a word). */
void video_jpeg_set_huffman(
	struct video_jpeg *jpeg, const struct video_huffman tables[HUFFMAN_TABLES]);

/* Appends a frame: its head, then strips of 16 rows from the top down, each with 8 rows of the colours,
 * in planes that are whole multiples of 16 (8) wide; its end. -ENOMEM. */
int video_jpeg_begin(struct video_jpeg *jpeg, struct buf *out, uint32_t width, uint32_t height);
int video_jpeg_strip(struct video_jpeg *jpeg, uint8_t *const planes[3], const uint32_t strides[3]);
int video_jpeg_end(struct video_jpeg *jpeg);

/* The coefficients of two blocks of 8x8, by horizontal frequency first, and which of them are not 0.
 * `blocks` are their first pixels, rows lie `stride` bytes apart. */
void video_jpeg_transform(const uint8_t *const blocks[2], size_t stride,
	const struct video_jpeg_factors *factors, int16_t out[2][64], uint64_t some[2]);
/* The same without vectors. */
void video_jpeg_transform_portable(const uint8_t *const blocks[2], size_t stride,
	const struct video_jpeg_factors *factors, int16_t out[2][64], uint64_t some[2]);

#endif

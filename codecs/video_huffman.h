/* SPDX-License-Identifier: MIT */
/*
 * Huffman tables for JPEG pictures whose coefficients are all divided by about the same step, which
 * the tables of JPEG's Annex K, meant for steps that grow with the frequency, make some 13 % larger.
 */
#ifndef CODECS_VIDEO_HUFFMAN_H
#define CODECS_VIDEO_HUFFMAN_H

#include <stdint.h>

enum { HUFFMAN_DC_LUMA, HUFFMAN_AC_LUMA, HUFFMAN_DC_CHROMA, HUFFMAN_AC_CHROMA, HUFFMAN_TABLES };

struct video_huffman {
	uint8_t bits[17]; /* symbols that have codes of 1, 2, ... bits; the first is unused */
	uint8_t symbols[256];
};

/* Made from counts over photographs at steps of 12 to 48; they have every symbol that a baseline
 * JPEG may need. */
extern const struct video_huffman video_huffman_start[HUFFMAN_TABLES];

/* A table that was made for one picture, whose symbols alone it has, with those added that another
 * picture may need. `which`: HUFFMAN_*. Damaged input gives the starting table. */
void video_huffman_complete(
	struct video_huffman *out, const uint8_t bits[17], const uint8_t *symbols, uint32_t which);

#endif

/* SPDX-License-Identifier: MIT */
/* Seeded pictures for the codecs' tests: noise, gradients, text-like and flat areas. */
#ifndef TESTS_CODECS_PICTURES_H
#define TESTS_CODECS_PICTURES_H

#include <stddef.h>
#include <stdint.h>

/* The test's own random numbers: the same on every machine. */
struct picture_random {
	uint32_t seed;
};

uint32_t picture_random(struct picture_random *random, uint32_t below);

enum picture_kind { PICTURE_NOISE, PICTURE_STEPS, PICTURE_TEXT, PICTURE_GRADIENT, PICTURE_KINDS };

/* Fills `size` bytes of rows that lie `stride` bytes apart, with pixels of `pixel_bytes`. */
void picture_fill(struct picture_random *random, enum picture_kind kind, uint8_t *pixels,
	size_t size, size_t stride, size_t pixel_bytes);

/* CRC-32 (IEEE 802.3), to compare with what peers made. */
uint32_t picture_crc(const uint8_t *data, size_t size);

#endif

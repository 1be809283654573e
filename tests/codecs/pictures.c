/* SPDX-License-Identifier: MIT */
/* Seeded pictures for the codecs' tests. */
#include "tests/codecs/pictures.h"

uint32_t picture_random(struct picture_random *random, uint32_t below)
{
	random->seed = random->seed * 1664525u + 1013904223u;
	return (random->seed >> 8) % below;
}

void picture_fill(struct picture_random *random, enum picture_kind kind, uint8_t *pixels,
	size_t size, size_t stride, size_t pixel_bytes)
{
	for (size_t i = 0; i < size; i++) {
		switch (kind) {
		case PICTURE_NOISE: pixels[i] = (uint8_t)picture_random(random, 256); break;
		case PICTURE_STEPS: pixels[i] = (uint8_t)(i / (pixel_bytes * 7) * 3); break;
		case PICTURE_TEXT:
			pixels[i] = picture_random(random, 30)
				? 0x20
				: (uint8_t)picture_random(random, 256);
			break;
		default:
			pixels[i] = (uint8_t)(i / stride * 5 + i % stride / pixel_bytes / 9);
			break;
		}
	}
}

uint32_t picture_crc(const uint8_t *data, size_t size)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < size; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

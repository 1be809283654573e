/* SPDX-License-Identifier: MIT */
/*
 * Pixel memory. A surface is what is drawn into and shown; an image is what a drawing brings along.
 * Both are reference-counted (atomically: encoders and windows hold them on other threads).
 */
#ifndef CORE_SURFACE_H
#define CORE_SURFACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/rect.h"

#define SURFACE_MAX_SIDE  16384
#define SURFACE_MAX_BYTES (512u << 20)

/* Surfaces' pixels are host words: XRGB8888 is 0x00RRGGBB in a uint32_t. */
enum surface_format {
	SURFACE_XRGB8888,
	SURFACE_ARGB8888, /* premultiplied alpha */
	SURFACE_RGB565,
	SURFACE_XRGB1555,
	SURFACE_A8,
	SURFACE_A1, /* bit 0 of a byte is the leftmost pixel */
};

uint32_t surface_format_bits(enum surface_format format);
pixman_format_code_t surface_format_pixman(enum surface_format format);

struct surface {
	int refs; /* atomic */
	enum surface_format format;
	uint32_t width;
	uint32_t height;
	int32_t stride; /* bytes from a row to the one below; may be negative */
	uint8_t *data; /* the top row's first byte */
	void (*release)(void *opaque); /* when the last reference goes; may be NULL */
	void *opaque;
};

/* A surface with zeroed memory of its own. -EINVAL for a side of 0 or beyond SURFACE_MAX_SIDE, or
 * more than SURFACE_MAX_BYTES; -ENOMEM. */
int surface_create(
	struct surface **out, enum surface_format format, uint32_t width, uint32_t height);
/* A surface over memory of somebody else's (guest memory, which may change at any time), which lives
 * until `release` is called. */
int surface_create_over(struct surface **out, enum surface_format format, uint32_t width,
	uint32_t height, int32_t stride, uint8_t *data, void (*release)(void *opaque),
	void *opaque);
struct surface *surface_ref(struct surface *surface);
void surface_unref(struct surface *surface); /* NULL is ignored */
static inline uint8_t *surface_row(const struct surface *s, uint32_t y)
{
	return s->data + (ptrdiff_t)s->stride * (ptrdiff_t)y;
}
static inline struct rect surface_bounds(const struct surface *s)
{
	return (struct rect){ 0, 0, (int32_t)s->width, (int32_t)s->height };
}
/* Copies `area` of `from` (inside both after clipping) to the same size at (x, y) of `to`,
 * converting between formats; formats without alpha count as opaque. */
void surface_copy(struct surface *to, int32_t x, int32_t y, const struct surface *from,
	const struct rect *area);

/* Pixels as raw words of the surface's own format (A1: 0 or 1), `count` from (x, y), all inside. */
void surface_load_words(
	const struct surface *s, uint32_t x, uint32_t y, uint32_t count, uint32_t *words);
void surface_store_words(
	struct surface *s, uint32_t x, uint32_t y, uint32_t count, const uint32_t *words);
/* One word between a surface's format and 0xAARRGGBB; formats without alpha are opaque. */
uint32_t surface_word_to_argb(enum surface_format format, uint32_t word);
uint32_t surface_word_from_argb(enum surface_format format, uint32_t argb);

enum image_format {
	IMAGE_1BIT_LE, /* palette of 2; bit 0 leftmost */
	IMAGE_1BIT_BE, /* palette of 2; bit 7 leftmost */
	IMAGE_4BIT_LE, /* palette of 16; low nibble leftmost */
	IMAGE_4BIT_BE, /* palette of 16; high nibble leftmost */
	IMAGE_8BIT, /* palette of 256 */
	IMAGE_XRGB1555,
	IMAGE_BGR24, /* bytes B, G, R */
	IMAGE_XRGB8888,
	IMAGE_ARGB8888, /* premultiplied alpha */
	IMAGE_A8,
	IMAGE_FORMATS
};

/* Bytes that one row of `width` pixels needs at the least. */
uint32_t image_format_row_bytes(enum image_format format, uint32_t width);
/* Entries of the palette that the format needs; 0 for true-colour formats. */
uint32_t image_format_palette(enum image_format format);

#define IMAGE_CACHE_ME      1u /* the guest's driver asks that viewers keep it under `id` */
#define IMAGE_HIGH_PRIORITY 2u
/* The unused byte of its pixels counts as 0xff where they are copied into a surface with alpha. */
#define IMAGE_HIGH_BITS_SET 4u

/* A host-owned picture, never changed once it is made. Rows run from the top down. */
struct image {
	int refs; /* atomic */
	enum image_format format;
	uint32_t width;
	uint32_t height;
	uint32_t stride; /* bytes, at least image_format_row_bytes() */
	uint64_t id; /* the guest's name for its contents; 0: none */
	uint32_t flags; /* IMAGE_* */
	uint32_t *palette; /* 0x00RRGGBB, image_format_palette() entries; NULL for true colour */
	uint64_t palette_id; /* 0: none */
	uint8_t *data;
	void (*release)(struct image *image); /* as the last reference goes, any thread; may be NULL */
	void *opaque; /* release's */
};

/* An image with uninitialised pixels (zeroed palette) for its maker to fill before it shares it.
 * Sizes are bounded like surfaces. */
int image_create(struct image **out, enum image_format format, uint32_t width, uint32_t height);
struct image *image_ref(struct image *image);
void image_unref(struct image *image); /* NULL is ignored */
/* A copy of a surface's area as XRGB8888 or ARGB8888. */
int image_from_surface(struct image **out, const struct surface *surface, const struct rect *area);
/* Converts one row of `width` pixels to 0xAARRGGBB words (alpha 255 where the format has none);
 * palette indices cannot go beyond the palette. */
void image_row_to_argb(
	const struct image *image, uint32_t x, uint32_t y, uint32_t width, uint32_t *out);
/* The palette index (of a 1-bit image: the bit) at a pixel inside; only for formats with a palette. */
uint32_t image_index_at(const struct image *image, uint32_t x, uint32_t y);

#endif

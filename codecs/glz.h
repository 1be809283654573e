/* SPDX-License-Identifier: MIT */
/*
 * SPICE's GLZ: LZ whose matches may also lie in earlier pictures, kept by both sides in a window that
 * all display channels of one client share. Memory in, memory out; a window or dictionary is used by
 * one thread at a time.
 */
#ifndef CODECS_GLZ_H
#define CODECS_GLZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codecs/lz.h"
#include "core/buf.h"
#include "core/surface.h"

/* The largest window, in pixels. */
#define GLZ_WINDOW_MAX (1u << 24)

/* ---- decoder ---- */

/* The pictures that later ones may refer to. */
struct glz_window;

/* `limit_pixels` is what the client told the server; memory is held for at most four times that, as
 * several channels may run ahead of each other. -EINVAL for 0 or more than GLZ_WINDOW_MAX, -ENOMEM. */
int glz_window_create(struct glz_window **out, uint32_t limit_pixels);
void glz_window_destroy(struct glz_window *window); /* NULL is ignored */
/* Forgets all pictures, as after a migration; surfaces given out live on. */
void glz_window_clear(struct glz_window *window);

struct glz_header {
	enum lz_type type; /* LZ_PLT1_LE to LZ_RGBA */
	uint32_t width; /* pixels */
	uint32_t height; /* rows */
	uint32_t row_pixels; /* pixels that the stream has for a row; more than width in palettes only */
	bool top_down;
	uint64_t id; /* one more with each picture of the dictionary */
	uint64_t head; /* id of the oldest picture that the server still has */
};

/* The header of a stream. -EPROTO when it is none, or larger than a surface may be. */
int glz_decode_header(const uint8_t *data, size_t size, struct glz_header *header);
/* Decodes a stream into a surface (XRGB8888, or ARGB8888 for RGBA) and puts it into the window. The
 * caller gets a reference in *out; the pixels are the window's too, so they may only be read.
 * Pictures with palettes need `colours`, host words of 0x00RRGGBB; an index beyond them is black.
 * -EAGAIN: it refers to a picture that another channel has still to bring, or is too far ahead of one:
 * nothing has changed, try again after the next picture of another channel.
 * -EPROTO when the stream is broken or refers to what is no more, -ENOMEM. */
int glz_decode(struct glz_window *window, const uint8_t *data, size_t size, const uint32_t *colours,
	uint32_t colour_count, struct surface **out);

/* ---- encoder ---- */

/* The server's side of the window: the pictures of all display channels of one client. */
struct glz_dictionary;

/* `limit_pixels` is the client's; more than GLZ_WINDOW_MAX is taken as that. Memory for it is reserved
 * at once, used as pictures come. -EINVAL for 0, -ENOMEM. */
int glz_dictionary_create(struct glz_dictionary **out, uint32_t limit_pixels);
void glz_dictionary_destroy(struct glz_dictionary *dictionary); /* NULL is ignored */

/* Appends the stream of a picture to `out` and remembers the picture. Type is RGB16, RGB24, RGB32 or
 * RGBA. The stream must be sent (on any of the client's channels): later ones may refer to it. The
 * rows begin at `pixels` and lie `stride` bytes apart; `top_down` is only told to the decoder. The
 * pixels are copied first, so they may change meanwhile. -EINVAL for an empty picture or another type,
 * -E2BIG for one larger than the window, -ENOMEM (no id is lost then). */
int glz_encode(struct glz_dictionary *dictionary, struct buf *out, enum lz_type type,
	uint32_t width, uint32_t height, bool top_down, const uint8_t *pixels, ptrdiff_t stride);

#endif

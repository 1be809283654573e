/* SPDX-License-Identifier: MIT */
/*
 * SPICE's LZ4 images (SPICE_IMAGE_TYPE_LZ4): a byte that says whether rows run from the top down, a
 * byte with the bitmap format, then blocks: a big-endian size and an LZ4 block each, of which later
 * ones may refer to what earlier ones made.
 */
#ifndef CODECS_LZ4_H
#define CODECS_LZ4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"

/* Appends an image of `height` rows of row_bytes each, `stride` apart, without gaps between them in
 * what is encoded. `format` goes on the wire as it is (SPICE_BITMAP_FMT_*). -ENOMEM; -EINVAL for
 * sizes that LZ4 cannot take. Any thread. */
int lz4_image_encode(struct buf *out, uint8_t format, const uint8_t *rows, uint32_t row_bytes,
	uint32_t stride, uint32_t height);

struct lz4_image {
	bool top_down;
	uint8_t format;
	const uint8_t *blocks;
	size_t size;
};

/* Takes an image's two head bytes. -EPROTO when they are not there. */
int lz4_image_parse(struct lz4_image *image, const uint8_t *data, size_t size);
/* Decodes exactly `size` bytes of rows without gaps, in the order in which they were sent.
 * -EPROTO for blocks that are malformed or give another size; `out` may be partly written then.
 * Any thread. */
int lz4_image_decode(const struct lz4_image *image, uint8_t *out, size_t size);

#endif

/* SPDX-License-Identifier: MIT */
/* zlib streams, which SPICE puts over GLZ on slow links. Memory in, memory out. */
#ifndef CODECS_ZLIB_STREAM_H
#define CODECS_ZLIB_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"

/* Appends `data` to `out` as one zlib stream. -E2BIG for 4 GiB and more, -ENOMEM. */
int zlib_stream_encode(struct buf *out, const uint8_t *data, size_t size);
/* Unpacks a stream that has to become exactly `out_size` bytes; what follows it is ignored. -EPROTO
 * when it is broken, shorter or longer, -ENOMEM. */
int zlib_stream_decode(const uint8_t *data, size_t size, uint8_t *out, size_t out_size);

#endif

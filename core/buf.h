/* SPDX-License-Identifier: MIT */
/* A growable byte buffer that is filled at its end and drained at its start. */
#ifndef CORE_BUF_H
#define CORE_BUF_H

#include <stddef.h>
#include <stdint.h>

/* Zero-initialised is empty and valid. data + start is the first byte, size the bytes held. */
struct buf {
	uint8_t *data;
	size_t start;
	size_t size;
	size_t capacity;
};

void buf_finish(struct buf *buf);
static inline uint8_t *buf_bytes(const struct buf *buf)
{
	return buf->data ? buf->data + buf->start : NULL;
}
/* Room for `size` more bytes at the end; the pointer to it, or NULL when out of memory. */
uint8_t *buf_reserve(struct buf *buf, size_t size);
/* After buf_reserve(): `size` bytes of that room are now held. */
void buf_commit(struct buf *buf, size_t size);
int buf_append(struct buf *buf, const void *bytes, size_t size);
/* Drops `size` bytes (at most buf->size) from the start. */
void buf_consume(struct buf *buf, size_t size);
void buf_clear(struct buf *buf);

#endif

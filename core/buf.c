/* SPDX-License-Identifier: MIT */
/* A growable byte buffer that is filled at its end and drained at its start. */
#include "core/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUF_FIRST_CAPACITY 256

void buf_finish(struct buf *buf)
{
	free(buf->data);
	memset(buf, 0, sizeof(*buf));
}

uint8_t *buf_reserve(struct buf *buf, size_t size)
{
	size_t capacity;
	uint8_t *data;

	if (size <= buf->capacity - buf->start - buf->size)
		return buf->data ? buf->data + buf->start + buf->size : buf_reserve(buf, 1);
	/* Moving down pays only when it frees at least as much as it moves. */
	if (buf->start >= buf->size && size <= buf->capacity - buf->size) {
		memmove(buf->data, buf->data + buf->start, buf->size);
		buf->start = 0;
		return buf->data + buf->size;
	}
	if (size > SIZE_MAX / 2 - buf->size)
		return NULL;
	capacity = buf->capacity ? buf->capacity : BUF_FIRST_CAPACITY;
	while (capacity < buf->size + size)
		capacity *= 2;
	data = malloc(capacity);
	if (!data)
		return NULL;
	if (buf->size)
		memcpy(data, buf->data + buf->start, buf->size);
	free(buf->data);
	buf->data = data;
	buf->start = 0;
	buf->capacity = capacity;
	return data + buf->size;
}

void buf_commit(struct buf *buf, size_t size)
{
	assert(size <= buf->capacity - buf->start - buf->size);
	buf->size += size;
}

int buf_append(struct buf *buf, const void *bytes, size_t size)
{
	uint8_t *room;

	if (size == 0)
		return 0;
	room = buf_reserve(buf, size);
	if (!room)
		return -ENOMEM;
	memcpy(room, bytes, size);
	buf->size += size;
	return 0;
}

void buf_consume(struct buf *buf, size_t size)
{
	assert(size <= buf->size);
	buf->start += size;
	buf->size -= size;
	if (buf->size == 0)
		buf->start = 0;
}

void buf_clear(struct buf *buf)
{
	buf->start = 0;
	buf->size = 0;
}

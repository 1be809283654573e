/* SPDX-License-Identifier: MIT */
/* Bounded little-endian reader and writer. */
#include "core/wire.h"

#include <assert.h>
#include <string.h>

const uint8_t *wire_read_bytes(struct wire_reader *r, size_t size)
{
	const uint8_t *bytes;

	if (r->failed || size > r->size - r->pos) {
		r->failed = true;
		return NULL;
	}
	bytes = r->data + r->pos;
	r->pos += size;
	return bytes;
}

uint8_t wire_read_u8(struct wire_reader *r)
{
	const uint8_t *b = wire_read_bytes(r, 1);

	return b ? b[0] : 0;
}

uint16_t wire_read_u16(struct wire_reader *r)
{
	const uint8_t *b = wire_read_bytes(r, 2);

	return b ? (uint16_t)(b[0] | b[1] << 8) : 0;
}

uint32_t wire_read_u32(struct wire_reader *r)
{
	const uint8_t *b = wire_read_bytes(r, 4);

	if (!b)
		return 0;
	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

uint64_t wire_read_u64(struct wire_reader *r)
{
	const uint8_t *b = wire_read_bytes(r, 8);
	uint64_t v = 0;

	for (int i = 7; b && i >= 0; i--)
		v = v << 8 | b[i];
	return v;
}

void wire_read_copy(struct wire_reader *r, void *out, size_t size)
{
	const uint8_t *b = wire_read_bytes(r, size);

	if (size == 0)
		return;
	if (b)
		memcpy(out, b, size);
	else
		memset(out, 0, size);
}

void wire_skip(struct wire_reader *r, size_t size)
{
	(void)wire_read_bytes(r, size);
}

void wire_seek(struct wire_reader *r, size_t pos)
{
	if (r->failed || pos > r->size)
		r->failed = true;
	else
		r->pos = pos;
}

void wire_write_bytes(struct wire_writer *w, const void *bytes, size_t size)
{
	if (!w->failed && buf_append(w->buf, bytes, size))
		w->failed = true;
}

void wire_write_zero(struct wire_writer *w, size_t size)
{
	uint8_t *room;

	if (w->failed || size == 0)
		return;
	room = buf_reserve(w->buf, size);
	if (!room) {
		w->failed = true;
		return;
	}
	memset(room, 0, size);
	buf_commit(w->buf, size);
}

static void put_le(uint8_t *out, uint64_t v, size_t size)
{
	for (size_t i = 0; i < size; i++)
		out[i] = (uint8_t)(v >> (8 * i));
}

static void write_le(struct wire_writer *w, uint64_t v, size_t size)
{
	uint8_t bytes[8];

	put_le(bytes, v, size);
	wire_write_bytes(w, bytes, size);
}

void wire_write_u8(struct wire_writer *w, uint8_t v)
{
	write_le(w, v, 1);
}

void wire_write_u16(struct wire_writer *w, uint16_t v)
{
	write_le(w, v, 2);
}

void wire_write_u32(struct wire_writer *w, uint32_t v)
{
	write_le(w, v, 4);
}

void wire_write_u64(struct wire_writer *w, uint64_t v)
{
	write_le(w, v, 8);
}

void wire_patch_u32(struct wire_writer *w, size_t pos, uint32_t v)
{
	if (w->failed)
		return;
	assert(w->buf->size >= 4 && pos <= w->buf->size - 4);
	put_le(buf_bytes(w->buf) + pos, v, 4);
}

/* SPDX-License-Identifier: MIT */
/*
 * Bounded little-endian reader and writer. A failed read is sticky: all later reads give zero, and
 * wire_reader_ok() answers false, so that a parser checks once at its end.
 */
#ifndef CORE_WIRE_H
#define CORE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"

struct wire_reader {
	const uint8_t *data;
	size_t size;
	size_t pos;
	bool failed;
};

static inline void wire_reader_init(struct wire_reader *r, const void *data, size_t size)
{
	r->data = data ? data : (const uint8_t *)""; /* NULL may be given for no bytes */
	r->size = size;
	r->pos = 0;
	r->failed = false;
}
static inline bool wire_reader_ok(const struct wire_reader *r)
{
	return !r->failed;
}
static inline size_t wire_reader_left(const struct wire_reader *r)
{
	return r->failed ? 0 : r->size - r->pos;
}
/* Marks the reader failed: the parser found a value it cannot accept. */
static inline void wire_reader_fail(struct wire_reader *r)
{
	r->failed = true;
}
uint8_t wire_read_u8(struct wire_reader *r);
uint16_t wire_read_u16(struct wire_reader *r);
uint32_t wire_read_u32(struct wire_reader *r);
uint64_t wire_read_u64(struct wire_reader *r);
static inline int32_t wire_read_i32(struct wire_reader *r)
{
	return (int32_t)wire_read_u32(r);
}
/* A view of the next `size` bytes, inside the reader's memory; NULL (and failed) when fewer remain. */
const uint8_t *wire_read_bytes(struct wire_reader *r, size_t size);
/* Copies the next `size` bytes; zeroes `out` when fewer remain. */
void wire_read_copy(struct wire_reader *r, void *out, size_t size);
void wire_skip(struct wire_reader *r, size_t size);
/* Moves to an absolute offset (SPICE's in-message pointers); fails beyond the end. */
void wire_seek(struct wire_reader *r, size_t pos);

/* Writes append to a buf; running out of memory is sticky in `failed`. */
struct wire_writer {
	struct buf *buf;
	bool failed;
};

static inline void wire_writer_init(struct wire_writer *w, struct buf *buf)
{
	w->buf = buf;
	w->failed = false;
}
void wire_write_u8(struct wire_writer *w, uint8_t v);
void wire_write_u16(struct wire_writer *w, uint16_t v);
void wire_write_u32(struct wire_writer *w, uint32_t v);
void wire_write_u64(struct wire_writer *w, uint64_t v);
static inline void wire_write_i32(struct wire_writer *w, int32_t v)
{
	wire_write_u32(w, (uint32_t)v);
}
void wire_write_bytes(struct wire_writer *w, const void *bytes, size_t size);
void wire_write_zero(struct wire_writer *w, size_t size);
/* Overwrites four bytes written before, `pos` counted from the buffer's start (a size, a pointer). */
void wire_patch_u32(struct wire_writer *w, size_t pos, uint32_t v);

#endif

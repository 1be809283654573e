/* SPDX-License-Identifier: MIT */
/* Reading and writing each kind of field; only messages.c uses it. */
#ifndef CHANNELS_PROTO_FIELDS_H
#define CHANNELS_PROTO_FIELDS_H

#include "channels/proto/types.h"

struct proto_writer;
typedef void proto_pointed_fn(struct proto_writer *w, const void *what);

/* What in-message pointers point to is written behind the fixed part, and behind that what those parts
 * point to: in the order of libspice-server, byte by byte. */
struct proto_writer {
	struct wire_writer wire;
	struct {
		size_t at; /* of the pointer */
		proto_pointed_fn *write;
		const void *what;
	} pending[6]; /* three pictures with a palette each */
	uint32_t pending_count;
};

void proto_writer_init(struct proto_writer *w, struct buf *body);
/* Writes what is pointed to. 0, or -ENOMEM and the buffer is cleared. */
int proto_writer_end(struct proto_writer *w);
/* Writes a pointer to what `write` will write; `what` NULL: a null pointer. */
void proto_write_pointer(struct proto_writer *w, proto_pointed_fn *write, const void *what);

void proto_read_u8(struct wire_reader *r, uint8_t *v);
void proto_read_u16(struct wire_reader *r, uint16_t *v);
void proto_read_u32(struct wire_reader *r, uint32_t *v);
void proto_read_u64(struct wire_reader *r, uint64_t *v);
void proto_read_i32(struct wire_reader *r, int32_t *v);
void proto_read_i64(struct wire_reader *r, int64_t *v);
void proto_read_rest(struct wire_reader *r, struct wire_bytes *v);
void proto_read_blob(struct wire_reader *r, struct wire_bytes *v);
void proto_read_uuid(struct wire_reader *r, struct proto_uuid *v);
void proto_read_point(struct wire_reader *r, struct point *v);
void proto_read_point16(struct wire_reader *r, struct point *v);
void proto_read_rect(struct wire_reader *r, struct rect *v);
void proto_read_channels(struct wire_reader *r, struct proto_channels *v);
void proto_read_heads(struct wire_reader *r, struct proto_heads *v);
void proto_read_resources(struct wire_reader *r, struct proto_resources *v);
void proto_read_waits(struct wire_reader *r, struct proto_waits *v);
void proto_read_clip(struct wire_reader *r, struct proto_clip *v);
void proto_read_base(struct wire_reader *r, struct proto_base *v);
void proto_read_image(struct wire_reader *r, struct proto_image *v);
void proto_read_brush(struct wire_reader *r, struct proto_brush *v);
void proto_read_mask(struct wire_reader *r, struct proto_mask *v);
void proto_read_path(struct wire_reader *r, struct proto_path *v);
void proto_read_line(struct wire_reader *r, struct proto_line *v);
void proto_read_string(struct wire_reader *r, struct proto_string *v);
void proto_read_composite(struct wire_reader *r, struct proto_composite *v);
void proto_read_cursor(struct wire_reader *r, struct proto_cursor *v);

void proto_write_u8(struct proto_writer *w, const uint8_t *v);
void proto_write_u16(struct proto_writer *w, const uint16_t *v);
void proto_write_u32(struct proto_writer *w, const uint32_t *v);
void proto_write_u64(struct proto_writer *w, const uint64_t *v);
void proto_write_i32(struct proto_writer *w, const int32_t *v);
void proto_write_i64(struct proto_writer *w, const int64_t *v);
void proto_write_rest(struct proto_writer *w, const struct wire_bytes *v);
void proto_write_blob(struct proto_writer *w, const struct wire_bytes *v);
void proto_write_uuid(struct proto_writer *w, const struct proto_uuid *v);
void proto_write_point(struct proto_writer *w, const struct point *v);
void proto_write_point16(struct proto_writer *w, const struct point *v);
void proto_write_rect(struct proto_writer *w, const struct rect *v);
void proto_write_channels(struct proto_writer *w, const struct proto_channels *v);
void proto_write_heads(struct proto_writer *w, const struct proto_heads *v);
void proto_write_resources(struct proto_writer *w, const struct proto_resources *v);
void proto_write_waits(struct proto_writer *w, const struct proto_waits *v);
void proto_write_clip(struct proto_writer *w, const struct proto_clip *v);
void proto_write_base(struct proto_writer *w, const struct proto_base *v);
void proto_write_image(struct proto_writer *w, const struct proto_image *v);
void proto_write_brush(struct proto_writer *w, const struct proto_brush *v);
void proto_write_mask(struct proto_writer *w, const struct proto_mask *v);
void proto_write_path(struct proto_writer *w, const struct proto_path *v);
void proto_write_line(struct proto_writer *w, const struct proto_line *v);
void proto_write_string(struct proto_writer *w, const struct proto_string *v);
void proto_write_composite(struct proto_writer *w, const struct proto_composite *v);
void proto_write_cursor(struct proto_writer *w, const struct proto_cursor *v);

#endif

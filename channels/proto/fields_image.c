/* SPDX-License-Identifier: MIT */
/* Images in drawings: in-message pointers, descriptors, bitmaps and palettes. */
#include "channels/proto/fields.h"

#include <spice/enums.h>

/* The palette of a bitmap: by id, or by a pointer to it. */
static void palette_read(struct wire_reader *r, uint8_t flags, struct proto_palette *palette)
{
	uint32_t offset;
	size_t back;

	palette->from_cache = flags & SPICE_BITMAP_FLAGS_PAL_FROM_CACHE;
	palette->cache_me = flags & SPICE_BITMAP_FLAGS_PAL_CACHE_ME;
	if (palette->from_cache) {
		palette->id = wire_read_u64(r);
		return;
	}
	offset = wire_read_u32(r);
	back = r->pos;
	if (!offset || !wire_reader_ok(r))
		return;
	wire_seek(r, offset);
	palette->id = wire_read_u64(r);
	palette->count = wire_read_u16(r);
	if (palette->count > PROTO_PALETTE_MAX)
		wire_reader_fail(r);
	palette->ents = wire_read_bytes(r, (size_t)palette->count * 4);
	wire_seek(r, back);
}

static uint8_t palette_flags(const struct proto_palette *palette, bool top_down)
{
	return (uint8_t)((palette->from_cache ? SPICE_BITMAP_FLAGS_PAL_FROM_CACHE : 0) |
		(palette->cache_me ? SPICE_BITMAP_FLAGS_PAL_CACHE_ME : 0) |
		(top_down ? SPICE_BITMAP_FLAGS_TOP_DOWN : 0));
}

static void palette_write(struct proto_writer *w, const void *what)
{
	const struct proto_palette *palette = what;

	wire_write_u64(&w->wire, palette->id);
	wire_write_u16(&w->wire, palette->count);
	wire_write_bytes(&w->wire, palette->ents, (size_t)palette->count * 4);
}

/* The id or the pointer. */
static void palette_refer(struct proto_writer *w, const struct proto_palette *palette)
{
	if (palette->from_cache)
		wire_write_u64(&w->wire, palette->id);
	else
		proto_write_pointer(w, palette_write, palette->count ? palette : NULL);
}

/* Bytes of a row of a bitmap; 0 for a format there is not. */
static uint32_t bitmap_row_bytes(uint8_t format, uint32_t width)
{
	enum image_format image = proto_image_format(format);

	return image == IMAGE_FORMATS ? 0 : image_format_row_bytes(image, width);
}

static void bitmap_read(struct wire_reader *r, struct proto_image *v)
{
	uint64_t bytes;
	uint8_t flags;

	v->bitmap.format = wire_read_u8(r);
	flags = wire_read_u8(r);
	v->bitmap.width = wire_read_u32(r);
	v->bitmap.height = wire_read_u32(r);
	v->bitmap.stride = wire_read_u32(r);
	v->bitmap.top_down = flags & SPICE_BITMAP_FLAGS_TOP_DOWN;
	palette_read(r, flags, &v->bitmap.palette);
	if (v->bitmap.width > SURFACE_MAX_SIDE || v->bitmap.height > SURFACE_MAX_SIDE ||
		v->bitmap.width == 0 || v->bitmap.height == 0 || v->bitmap.width != v->width ||
		v->bitmap.height != v->height ||
		proto_image_format(v->bitmap.format) == IMAGE_FORMATS ||
		v->bitmap.stride < bitmap_row_bytes(v->bitmap.format, v->bitmap.width)) {
		wire_reader_fail(r);
		return;
	}
	bytes = (uint64_t)v->bitmap.stride * v->bitmap.height;
	v->bitmap.data.size = bytes;
	v->bitmap.data.data = wire_read_bytes(r, bytes);
}

static void bitmap_write(struct proto_writer *writer, const struct proto_image *v)
{
	struct wire_writer *w = &writer->wire;

	wire_write_u8(w, v->bitmap.format);
	wire_write_u8(w, palette_flags(&v->bitmap.palette, v->bitmap.top_down));
	wire_write_u32(w, v->bitmap.width);
	wire_write_u32(w, v->bitmap.height);
	wire_write_u32(w, v->bitmap.stride);
	palette_refer(writer, &v->bitmap.palette);
	wire_write_bytes(w, v->bitmap.data.data, v->bitmap.data.size);
}

static void blob_read(struct wire_reader *r, struct wire_bytes *v)
{
	v->size = wire_read_u32(r);
	v->data = wire_read_bytes(r, v->size);
}

static void blob_write(struct wire_writer *w, const struct wire_bytes *v)
{
	wire_write_u32(w, (uint32_t)v->size);
	wire_write_bytes(w, v->data, v->size);
}

static void body_read(struct wire_reader *r, struct proto_image *v)
{
	uint8_t flags;

	switch (v->type) {
	case SPICE_IMAGE_TYPE_BITMAP: bitmap_read(r, v); break;
	case SPICE_IMAGE_TYPE_SURFACE: v->surface_id = wire_read_u32(r); break;
	case SPICE_IMAGE_TYPE_FROM_CACHE:
	case SPICE_IMAGE_TYPE_FROM_CACHE_LOSSLESS: break;
	case SPICE_IMAGE_TYPE_QUIC:
	case SPICE_IMAGE_TYPE_LZ_RGB:
	case SPICE_IMAGE_TYPE_GLZ_RGB:
	case SPICE_IMAGE_TYPE_JPEG:
	case SPICE_IMAGE_TYPE_LZ4: blob_read(r, &v->packed); break;
	case SPICE_IMAGE_TYPE_LZ_PLT: {
		uint32_t size;

		flags = wire_read_u8(r);
		size = wire_read_u32(r);
		v->lz_palette.top_down = flags & SPICE_BITMAP_FLAGS_TOP_DOWN;
		palette_read(r, flags, &v->lz_palette.palette);
		v->lz_palette.data.size = size;
		v->lz_palette.data.data = wire_read_bytes(r, size);
		break;
	}
	case SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB:
		v->zlib_glz.glz_size = wire_read_u32(r);
		blob_read(r, &v->zlib_glz.data);
		break;
	case SPICE_IMAGE_TYPE_JPEG_ALPHA:
		flags = wire_read_u8(r);
		v->jpeg_alpha.top_down = flags & SPICE_JPEG_ALPHA_FLAGS_TOP_DOWN;
		v->jpeg_alpha.jpeg_size = wire_read_u32(r);
		blob_read(r, &v->jpeg_alpha.data);
		if (v->jpeg_alpha.jpeg_size > v->jpeg_alpha.data.size)
			wire_reader_fail(r);
		break;
	default: wire_reader_fail(r);
	}
}

static void image_read(struct wire_reader *r, struct proto_image *v)
{
	v->present = true;
	v->id = wire_read_u64(r);
	v->type = wire_read_u8(r);
	v->flags = wire_read_u8(r);
	v->width = wire_read_u32(r);
	v->height = wire_read_u32(r);
	if (v->width > SURFACE_MAX_SIDE || v->height > SURFACE_MAX_SIDE)
		wire_reader_fail(r);
	if (wire_reader_ok(r))
		body_read(r, v);
}

static void image_write(struct proto_writer *writer, const void *what)
{
	const struct proto_image *v = what;
	struct wire_writer *w = &writer->wire;

	wire_write_u64(w, v->id);
	wire_write_u8(w, v->type);
	wire_write_u8(w, v->flags);
	wire_write_u32(w, v->width);
	wire_write_u32(w, v->height);
	switch (v->type) {
	case SPICE_IMAGE_TYPE_BITMAP: bitmap_write(writer, v); break;
	case SPICE_IMAGE_TYPE_SURFACE: wire_write_u32(w, v->surface_id); break;
	case SPICE_IMAGE_TYPE_FROM_CACHE:
	case SPICE_IMAGE_TYPE_FROM_CACHE_LOSSLESS: break;
	case SPICE_IMAGE_TYPE_LZ_PLT:
		wire_write_u8(w, palette_flags(&v->lz_palette.palette, v->lz_palette.top_down));
		wire_write_u32(w, (uint32_t)v->lz_palette.data.size);
		palette_refer(writer, &v->lz_palette.palette);
		wire_write_bytes(w, v->lz_palette.data.data, v->lz_palette.data.size);
		break;
	case SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB:
		wire_write_u32(w, v->zlib_glz.glz_size);
		blob_write(w, &v->zlib_glz.data);
		break;
	case SPICE_IMAGE_TYPE_JPEG_ALPHA:
		wire_write_u8(w, v->jpeg_alpha.top_down ? SPICE_JPEG_ALPHA_FLAGS_TOP_DOWN : 0);
		wire_write_u32(w, v->jpeg_alpha.jpeg_size);
		blob_write(w, &v->jpeg_alpha.data);
		break;
	default: blob_write(w, &v->packed);
	}
}

void proto_read_image(struct wire_reader *r, struct proto_image *v)
{
	uint32_t offset = wire_read_u32(r);
	size_t back = r->pos;

	if (!offset || !wire_reader_ok(r))
		return;
	wire_seek(r, offset);
	image_read(r, v);
	wire_seek(r, back);
}

void proto_write_image(struct proto_writer *w, const struct proto_image *v)
{
	proto_write_pointer(w, image_write, v->present ? v : NULL);
}

/* SPDX-License-Identifier: MIT */
/* Pictures from the wire: every type of image, and what is to be kept of them. */
#include "channels/client/client_image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <spice/enums.h>

#include "codecs/jpeg.h"
#include "codecs/lz.h"
#include "codecs/lz4.h"
#include "codecs/quic.h"
#include "codecs/zlib_stream.h"
#include "core/util.h"

/* Fills the image's palette; a shorter one of the wire leaves black behind it. */
static int palette_read(
	struct image *image, const struct proto_palette *wire, struct palette_cache *cache)
{
	uint32_t entries = image_format_palette(image->format);
	const struct palette *cached;
	struct palette palette = { .id = wire->id, .count = wire->count };
	struct wire_reader r;

	if (!entries)
		return 0;
	if (wire->from_cache) {
		cached = palette_cache_get(cache, wire->id);
		if (cached)
			memcpy(image->palette, cached->colors,
				MIN(cached->count, entries) * sizeof(uint32_t));
		return cached ? 0 : -ENOENT;
	}
	/* 1-bit images come without one where they are masks. */
	if (wire->count == 0)
		return entries == 2 ? 0 : -EPROTO;
	wire_reader_init(&r, wire->ents, (size_t)wire->count * 4);
	for (uint32_t i = 0; i < wire->count; i++)
		palette.colors[i] = wire_read_u32(&r) & 0xffffff;
	memcpy(image->palette, palette.colors, MIN(palette.count, entries) * sizeof(uint32_t));
	return wire->cache_me ? palette_cache_put(cache, &palette) : 0;
}

/* ---- pixels ---- */

static void copy_rows(struct image *image, const uint8_t *data, size_t stride, bool top_down)
{
	size_t bytes = image_format_row_bytes(image->format, image->width);

	for (uint32_t y = 0; y < image->height; y++) {
		uint32_t from = top_down ? y : image->height - 1 - y;

		memcpy(image->data + (size_t)image->stride * y, data + stride * from, bytes);
	}
}

static int make_bitmap(
	struct image **out, const struct proto_image *wire, struct palette_cache *palettes)
{
	struct image *image;
	int err = image_create(&image, proto_image_format(wire->bitmap.format), wire->bitmap.width,
		wire->bitmap.height);

	if (err < 0)
		return err == -EINVAL ? -EPROTO : err;
	err = palette_read(image, &wire->bitmap.palette, palettes);
	if (err < 0) {
		image_unref(image);
		return err;
	}
	copy_rows(image, wire->bitmap.data.data, wire->bitmap.stride, wire->bitmap.top_down);
	*out = image;
	return 0;
}

static int make_lz4(struct image **out, const struct proto_image *wire)
{
	struct lz4_image packed;
	struct image *image;
	enum image_format format;
	size_t row_bytes;
	uint8_t *rows;
	bool in_place;
	int err = lz4_image_parse(&packed, wire->packed.data, wire->packed.size);

	if (err < 0)
		return err;
	format = proto_image_format(packed.format);
	/* Formats with a palette are never packed so. */
	if (format == IMAGE_FORMATS || image_format_palette(format))
		return -EPROTO;
	err = image_create(&image, format, wire->width, wire->height);
	if (err < 0)
		return err == -EINVAL ? -EPROTO : err;
	row_bytes = image_format_row_bytes(format, wire->width);
	in_place = packed.top_down && image->stride == row_bytes;
	rows = in_place ? image->data : malloc(row_bytes * wire->height);
	err = rows ? lz4_image_decode(&packed, rows, row_bytes * wire->height) : -ENOMEM;
	if (err == 0 && !in_place)
		copy_rows(image, rows, row_bytes, packed.top_down);
	if (!in_place)
		free(rows);
	if (err < 0)
		image_unref(image);
	else
		*out = image;
	return err;
}

/* An image for a stream whose header says its own size, which must be the wire's. */
static int create_for_stream(struct image **out, const struct proto_image *wire,
	enum image_format format, uint32_t width, uint32_t height)
{
	int err;

	if (format == IMAGE_FORMATS || width != wire->width || height != wire->height)
		return -EPROTO;
	err = image_create(out, format, width, height);
	return err == -EINVAL ? -EPROTO : err;
}

static int make_quic(struct image **out, const struct proto_image *wire)
{
	static const enum image_format formats[] = {
		[QUIC_GRAY] = IMAGE_A8,
		[QUIC_RGB16] = IMAGE_XRGB1555,
		[QUIC_RGB24] = IMAGE_XRGB8888,
		[QUIC_RGB32] = IMAGE_XRGB8888,
		[QUIC_RGBA] = IMAGE_ARGB8888,
	};
	struct quic_header header;
	struct image *image;
	int err = quic_decode_header(wire->packed.data, wire->packed.size, &header);

	if (err == 0)
		err = create_for_stream(
			&image, wire, formats[header.type], header.width, header.height);
	if (err < 0)
		return err;
	err = quic_decode(
		wire->packed.data, wire->packed.size, image->data, (ptrdiff_t)image->stride);
	if (err < 0)
		image_unref(image);
	else
		*out = image;
	return err;
}

static enum image_format format_of_lz(enum lz_type type)
{
	switch (type) {
	case LZ_PLT1_LE: return IMAGE_1BIT_LE;
	case LZ_PLT1_BE: return IMAGE_1BIT_BE;
	case LZ_PLT4_LE: return IMAGE_4BIT_LE;
	case LZ_PLT4_BE: return IMAGE_4BIT_BE;
	case LZ_PLT8: return IMAGE_8BIT;
	case LZ_RGB16: return IMAGE_XRGB1555;
	case LZ_RGB24:
	case LZ_RGB32: return IMAGE_XRGB8888;
	case LZ_RGBA: return IMAGE_ARGB8888;
	case LZ_A8: return IMAGE_A8;
	case LZ_XXXA: break; /* only beside a JPEG */
	}
	return IMAGE_FORMATS;
}

/* `palette` is what an image of type LZ_PLT brings; NULL for LZ_RGB, which has no indices. */
static int make_lz(struct image **out, const struct proto_image *wire,
	const struct wire_bytes *data, const struct proto_palette *palette,
	struct palette_cache *palettes)
{
	struct lz_header header;
	struct image *image;
	int err = lz_decode_header(data->data, data->size, &header);

	if (err == 0)
		err = create_for_stream(
			&image, wire, format_of_lz(header.type), header.width, header.height);
	if (err < 0)
		return err;
	if (!image_format_palette(image->format) != !palette)
		err = -EPROTO;
	if (err == 0 && palette)
		err = palette_read(image, palette, palettes);
	if (err == 0)
		err = lz_decode(data->data, data->size, image->data, (ptrdiff_t)image->stride);
	if (err < 0)
		image_unref(image);
	else
		*out = image;
	return err;
}

/* ---- GLZ: the pixels are the window's, too ---- */

static void release_surface(struct image *image)
{
	image->data = NULL;
	surface_unref(image->opaque);
}

/* An image over a surface whose rows run downwards; takes over the reference on it. */
static int image_over(struct image **out, struct surface *surface)
{
	struct image *image = calloc(1, sizeof(*image));

	if (!image)
		return -ENOMEM;
	*image = (struct image){ .refs = 1,
		.format = surface->format == SURFACE_ARGB8888 ? IMAGE_ARGB8888 : IMAGE_XRGB8888,
		.width = surface->width,
		.height = surface->height,
		.stride = (uint32_t)surface->stride,
		.data = surface->data,
		.release = release_surface,
		.opaque = surface };
	*out = image;
	return 0;
}

static int make_glz(struct image **out, const struct proto_image *wire, const uint8_t *data,
	size_t size, struct client_images *images)
{
	struct glz_header header;
	struct surface *surface;
	struct rect all;
	int err = glz_decode_header(data, size, &header);

	if (err == 0 && (header.width != wire->width || header.height != wire->height))
		err = -EPROTO;
	if (err == 0)
		err = glz_decode(images->glz, data, size, NULL, 0, &surface);
	if (err < 0)
		return err == -EAGAIN ? -EPROTO : err; /* there is no other channel to wait for */
	if (surface->stride > 0) {
		err = image_over(out, surface);
		if (err < 0)
			surface_unref(surface);
		return err;
	}
	all = surface_bounds(surface);
	err = image_from_surface(out, surface, &all);
	surface_unref(surface);
	return err;
}

/* What a GLZ stream of the picture can need at the most. */
static uint64_t glz_bytes_max(const struct proto_image *wire)
{
	return 5 * (uint64_t)wire->width * wire->height + 4096;
}

static int make_zlib_glz(
	struct image **out, const struct proto_image *wire, struct client_images *images)
{
	const struct wire_bytes *packed = &wire->zlib_glz.data;
	size_t size = wire->zlib_glz.glz_size;
	uint8_t *glz;
	int err;

	/* Before there is memory taken for what the window will not take. */
	if ((uint64_t)wire->width * wire->height > images->glz_pixels || size > glz_bytes_max(wire))
		return -EPROTO;
	glz = malloc(MAX(size, (size_t)1));
	if (!glz)
		return -ENOMEM;
	err = zlib_stream_decode(packed->data, packed->size, glz, size);
	if (err == 0)
		err = make_glz(out, wire, glz, size, images);
	free(glz);
	return err;
}

/* ---- JPEG ---- */

static int make_jpeg(struct image **out, const struct proto_image *wire)
{
	uint32_t width, height;
	struct image *image;
	int err = jpeg_picture_size(wire->packed.data, wire->packed.size, &width, &height);

	if (err == 0)
		err = create_for_stream(&image, wire, IMAGE_XRGB8888, width, height);
	if (err < 0)
		return err;
	err = jpeg_picture_decode(wire->packed.data, wire->packed.size, width, height, image->data,
		(ptrdiff_t)image->stride);
	if (err < 0)
		image_unref(image);
	else
		*out = image;
	return err;
}

static int make_jpeg_alpha(struct image **out, const struct proto_image *wire)
{
	const struct wire_bytes *data = &wire->jpeg_alpha.data;
	uint32_t jpeg_size = wire->jpeg_alpha.jpeg_size, width, height;
	struct image *image;
	int err = jpeg_picture_size(data->data, jpeg_size, &width, &height);

	if (err == 0)
		err = create_for_stream(&image, wire, IMAGE_ARGB8888, width, height);
	if (err < 0)
		return err;
	err = jpeg_alpha_decode(data->data, data->size, jpeg_size, width, height, image->data,
		(ptrdiff_t)image->stride);
	if (err < 0)
		image_unref(image);
	else
		*out = image;
	return err;
}

/* ---- all types ---- */

static const struct {
	uint8_t type; /* SPICE_IMAGE_TYPE_* */
	bool lossy;
	const char *name;
} kinds[CLIENT_IMAGE_KINDS] = {
	{ SPICE_IMAGE_TYPE_BITMAP, false, "bitmap" },
	{ SPICE_IMAGE_TYPE_QUIC, false, "quic" },
	{ SPICE_IMAGE_TYPE_LZ_PLT, false, "lz_plt" },
	{ SPICE_IMAGE_TYPE_LZ_RGB, false, "lz" },
	{ SPICE_IMAGE_TYPE_GLZ_RGB, false, "glz" },
	{ SPICE_IMAGE_TYPE_FROM_CACHE, false, "from_cache" },
	{ SPICE_IMAGE_TYPE_JPEG, true, "jpeg" },
	{ SPICE_IMAGE_TYPE_FROM_CACHE_LOSSLESS, false, "from_cache_lossless" },
	{ SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB, false, "zlib_glz" },
	{ SPICE_IMAGE_TYPE_JPEG_ALPHA, true, "jpeg_alpha" },
	{ SPICE_IMAGE_TYPE_LZ4, false, "lz4" },
};

void client_images_describe(const struct client_images *images, char *text, size_t size)
{
	size_t at = 0;

	text[0] = '\0';
	for (size_t i = 0; i < CLIENT_IMAGE_KINDS && at < size; i++)
		if (images->received[i])
			at += (size_t)snprintf(text + at, size - at, "%s%s %llu", at ? ", " : "",
				kinds[i].name, (unsigned long long)images->received[i]);
}

static int from_cache(struct image **out, const struct proto_image *wire, struct image_cache *cache)
{
	struct image *image = image_cache_get(
		cache, wire->id, wire->type == SPICE_IMAGE_TYPE_FROM_CACHE_LOSSLESS);

	*out = image ? image_ref(image) : NULL;
	return image ? 0 : -ENOENT;
}

static int decode(struct image **out, const struct proto_image *wire, struct client_images *images)
{
	struct palette_cache *palettes = &images->palettes;

	switch (wire->type) {
	case SPICE_IMAGE_TYPE_BITMAP: return make_bitmap(out, wire, palettes);
	case SPICE_IMAGE_TYPE_QUIC: return make_quic(out, wire);
	case SPICE_IMAGE_TYPE_LZ_PLT:
		return make_lz(
			out, wire, &wire->lz_palette.data, &wire->lz_palette.palette, palettes);
	case SPICE_IMAGE_TYPE_LZ_RGB: return make_lz(out, wire, &wire->packed, NULL, palettes);
	case SPICE_IMAGE_TYPE_GLZ_RGB:
		return make_glz(out, wire, wire->packed.data, wire->packed.size, images);
	case SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB: return make_zlib_glz(out, wire, images);
	case SPICE_IMAGE_TYPE_JPEG: return make_jpeg(out, wire);
	case SPICE_IMAGE_TYPE_JPEG_ALPHA: return make_jpeg_alpha(out, wire);
	case SPICE_IMAGE_TYPE_LZ4: return make_lz4(out, wire);
	default: return -EPROTO; /* a surface, where there can be none */
	}
}

/* A lossy picture never takes the place of a lossless one. */
static int keep(
	struct image *image, const struct proto_image *wire, bool lossy, struct image_cache *cache)
{
	if (wire->flags & SPICE_IMAGE_FLAGS_CACHE_REPLACE_ME && lossy)
		return -EPROTO;
	if (wire->flags & (SPICE_IMAGE_FLAGS_CACHE_ME | SPICE_IMAGE_FLAGS_CACHE_REPLACE_ME))
		return image_cache_put(cache, wire->id, image, lossy);
	return 0;
}

int client_image_make(
	struct image **out, const struct proto_image *wire, struct client_images *images)
{
	struct image *image = NULL;
	bool lossy = false;
	int err;

	for (size_t i = 0; i < CLIENT_IMAGE_KINDS; i++) {
		if (kinds[i].type == wire->type) {
			images->received[i]++;
			lossy = kinds[i].lossy;
		}
	}
	if (wire->type == SPICE_IMAGE_TYPE_FROM_CACHE ||
		wire->type == SPICE_IMAGE_TYPE_FROM_CACHE_LOSSLESS)
		return from_cache(out, wire, &images->cache);
	err = decode(&image, wire, images);
	if (err < 0)
		return err;
	if (wire->flags & SPICE_IMAGE_FLAGS_HIGH_BITS_SET)
		image->flags |= IMAGE_HIGH_BITS_SET;
	err = keep(image, wire, lossy, &images->cache);
	if (err < 0)
		image_unref(image);
	else
		*out = image;
	return err;
}

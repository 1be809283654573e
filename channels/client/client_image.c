/* SPDX-License-Identifier: MIT */
/* Pictures from the wire: bitmaps, LZ4, QUIC, LZ, and the caches. */
#include "channels/client/client_image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <spice/enums.h>

#include "codecs/lz.h"
#include "codecs/lz4.h"
#include "codecs/quic.h"
#include "core/util.h"

/* ---- pixmaps ---- */

static struct image_cache_item **cache_find(struct image_cache *cache, uint64_t id)
{
	struct image_cache_item **at = &cache->buckets[(id ^ id >> 32) % IMAGE_CACHE_BUCKETS];

	while (*at && (*at)->id != id)
		at = &(*at)->next;
	return at;
}

static uint64_t image_pixels(const struct image *image)
{
	return (uint64_t)image->width * image->height;
}

static void cache_drop(struct image_cache *cache, struct image_cache_item **at)
{
	struct image_cache_item *item = *at;

	*at = item->next;
	cache->pixels -= image_pixels(item->image);
	cache->items--;
	image_unref(item->image);
	free(item);
}

int image_cache_put(struct image_cache *cache, uint64_t id, struct image *image)
{
	struct image_cache_item **at = cache_find(cache, id);
	struct image_cache_item *item;

	if (*at)
		cache_drop(cache, at);
	/* The server's count may run ahead of ours by what it removes next. */
	if (cache->pixels + image_pixels(image) > 2 * (uint64_t)IMAGE_CACHE_PIXELS ||
		cache->items == IMAGE_CACHE_ITEMS_MAX)
		return -EPROTO;
	item = malloc(sizeof(*item));
	if (!item)
		return -ENOMEM;
	at = cache_find(cache, id);
	*item = (struct image_cache_item){ .next = *at, .id = id, .image = image_ref(image) };
	*at = item;
	cache->pixels += image_pixels(image);
	cache->items++;
	return 0;
}

struct image *image_cache_get(const struct image_cache *cache, uint64_t id)
{
	struct image_cache_item *item = cache->buckets[(id ^ id >> 32) % IMAGE_CACHE_BUCKETS];

	while (item && item->id != id)
		item = item->next;
	return item ? item->image : NULL;
}

void image_cache_remove(struct image_cache *cache, uint64_t id)
{
	struct image_cache_item **at = cache_find(cache, id);

	if (*at)
		cache_drop(cache, at);
}

void image_cache_clear(struct image_cache *cache)
{
	for (uint32_t i = 0; i < IMAGE_CACHE_BUCKETS; i++)
		while (cache->buckets[i])
			cache_drop(cache, &cache->buckets[i]);
}

/* ---- palettes ---- */

void palette_cache_remove(struct palette_cache *cache, uint64_t id)
{
	for (uint32_t i = 0; cache->items && i < PALETTE_CACHE_MAX; i++)
		if (cache->items[i].count && cache->items[i].id == id)
			cache->items[i].count = 0;
}

void palette_cache_clear(struct palette_cache *cache)
{
	for (uint32_t i = 0; cache->items && i < PALETTE_CACHE_MAX; i++)
		cache->items[i].count = 0;
}

void palette_cache_finish(struct palette_cache *cache)
{
	free(cache->items);
	cache->items = NULL;
}

static int palette_cache_put(
	struct palette_cache *cache, uint64_t id, const uint32_t *colors, uint32_t count)
{
	if (!cache->items)
		cache->items = calloc(PALETTE_CACHE_MAX, sizeof(*cache->items));
	if (!cache->items)
		return -ENOMEM;
	palette_cache_remove(cache, id);
	cache->items[cache->next].id = id;
	cache->items[cache->next].count = count;
	memcpy(cache->items[cache->next].colors, colors, count * sizeof(*colors));
	cache->next = (cache->next + 1) % PALETTE_CACHE_MAX;
	return 0;
}

/* Fills the image's palette; a shorter one of the wire leaves black behind it. */
static int palette_read(
	struct image *image, const struct proto_palette *wire, struct palette_cache *cache)
{
	uint32_t entries = image_format_palette(image->format), count;
	uint32_t colors[PROTO_PALETTE_MAX];
	struct wire_reader r;

	if (!entries)
		return 0;
	if (wire->from_cache) {
		for (uint32_t i = 0; cache->items && i < PALETTE_CACHE_MAX; i++) {
			if (!cache->items[i].count || cache->items[i].id != wire->id)
				continue;
			count = MIN(cache->items[i].count, entries);
			memcpy(image->palette, cache->items[i].colors, count * sizeof(uint32_t));
			return 0;
		}
		return -ENOENT;
	}
	/* 1-bit images come without one where they are masks. */
	if (wire->count == 0)
		return entries == 2 ? 0 : -EPROTO;
	wire_reader_init(&r, wire->ents, (size_t)wire->count * 4);
	for (uint32_t i = 0; i < wire->count; i++)
		colors[i] = wire_read_u32(&r) & 0xffffff;
	memcpy(image->palette, colors, MIN((uint32_t)wire->count, entries) * sizeof(uint32_t));
	return wire->cache_me ? palette_cache_put(cache, wire->id, colors, wire->count) : 0;
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

int client_image_make(struct image **out, const struct proto_image *wire, struct image_cache *cache,
	struct palette_cache *palettes)
{
	struct image *image = NULL;
	int err;

	switch (wire->type) {
	case SPICE_IMAGE_TYPE_FROM_CACHE:
	case SPICE_IMAGE_TYPE_FROM_CACHE_LOSSLESS:
		image = image_cache_get(cache, wire->id);
		*out = image ? image_ref(image) : NULL;
		return image ? 0 : -ENOENT;
	case SPICE_IMAGE_TYPE_BITMAP: err = make_bitmap(&image, wire, palettes); break;
	case SPICE_IMAGE_TYPE_LZ4: err = make_lz4(&image, wire); break;
	case SPICE_IMAGE_TYPE_QUIC: err = make_quic(&image, wire); break;
	case SPICE_IMAGE_TYPE_LZ_RGB:
		err = make_lz(&image, wire, &wire->packed, NULL, palettes);
		break;
	case SPICE_IMAGE_TYPE_LZ_PLT:
		err = make_lz(
			&image, wire, &wire->lz_palette.data, &wire->lz_palette.palette, palettes);
		break;
	default: return -ENOTSUP;
	}
	if (err < 0)
		return err;
	if (wire->flags & (SPICE_IMAGE_FLAGS_CACHE_ME | SPICE_IMAGE_FLAGS_CACHE_REPLACE_ME)) {
		err = image_cache_put(cache, wire->id, image);
		if (err < 0) {
			image_unref(image);
			return err;
		}
	}
	*out = image;
	return 0;
}

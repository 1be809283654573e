/* SPDX-License-Identifier: MIT */
/* GLZ's decoder. Whatever the stream's type, pictures are decoded to, and matched as, 32 bit words. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codecs/glz_format.h"
#include "core/util.h"
#include "core/wire.h"

struct source {
	const uint8_t *at;
	const uint8_t *end;
};

/* What a unit of the stream is; the alpha stream changes only the words' highest byte. */
enum unit { UNIT_PALETTE, UNIT_RGB16, UNIT_RGB, UNIT_ALPHA };

struct decoding {
	const struct glz_window *window;
	const struct glz_header *header;
	const uint32_t *table; /* palettes: the words of each byte */
	struct source source;
	struct glz_image other; /* the picture last referred to */
	uint64_t other_id;
};

static uint32_t pixels_per_byte(enum lz_type type)
{
	return type <= LZ_PLT1_BE ? 8 : type <= LZ_PLT4_BE ? 2 : 1;
}

int glz_decode_header(const uint8_t *data, size_t size, struct glz_header *header)
{
	uint32_t magic, version, stride, high, distance;
	struct wire_reader r;
	uint8_t type;

	wire_reader_init(&r, data, size);
	magic = __builtin_bswap32(wire_read_u32(&r));
	version = __builtin_bswap32(wire_read_u32(&r));
	type = wire_read_u8(&r);
	*header = (struct glz_header){ .type = (enum lz_type)(type & GLZ_TYPE_MASK),
		.top_down = (type & GLZ_TOP_DOWN) != 0 };
	header->width = header->row_pixels = __builtin_bswap32(wire_read_u32(&r));
	header->height = __builtin_bswap32(wire_read_u32(&r));
	stride = __builtin_bswap32(wire_read_u32(&r));
	high = __builtin_bswap32(wire_read_u32(&r));
	header->id = (uint64_t)high << 32 | __builtin_bswap32(wire_read_u32(&r));
	distance = __builtin_bswap32(wire_read_u32(&r));
	header->head = header->id - distance;
	if (!wire_reader_ok(&r) || magic != LZ_MAGIC || version != LZ_VERSION ||
		header->type < LZ_PLT1_LE || header->type > LZ_RGBA || distance > header->id ||
		header->id == UINT64_MAX)
		return -EPROTO;
	if (!header->width || !header->height || header->width > SURFACE_MAX_SIDE ||
		header->height > SURFACE_MAX_SIDE ||
		(uint64_t)header->width * header->height > GLZ_WINDOW_MAX)
		return -EPROTO;
	if (lz_is_palette(header->type)) {
		uint32_t least = lz_row_bytes(header->type, header->width);

		if (stride < least || stride > least + 3)
			return -EPROTO;
		header->row_pixels = stride * pixels_per_byte(header->type);
	}
	return 0;
}

static inline bool have(const struct source *s, size_t bytes)
{
	return (size_t)(s->end - s->at) >= bytes;
}

static inline uint32_t widen(uint32_t component)
{
	return component << 3 | component >> 2;
}

/* Turns `count` literals into words; the caller has checked both ends. */
static inline void take_literals(
	struct decoding *d, enum unit unit, uint32_t scale, uint32_t *words, uint32_t count)
{
	const uint8_t *p = d->source.at;

	for (uint32_t i = 0; i < count; i++) {
		if (unit == UNIT_PALETTE) {
			memcpy(words, d->table + (size_t)*p++ * scale, scale * sizeof(*words));
			words += scale;
		} else if (unit == UNIT_RGB16) {
			uint32_t half = (uint32_t)p[0] << 8 | p[1];

			words[i] = widen(half >> 10 & 31) << 16 | widen(half >> 5 & 31) << 8 |
				widen(half & 31);
			p += 2;
		} else if (unit == UNIT_RGB) {
			words[i] = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
			p += 3;
		} else {
			words[i] = (words[i] & 0xffffff) | (uint32_t)*p++ << 24;
		}
	}
	d->source.at = p;
}

/* Writes `count` times the same word, at most `room` of them. */
static inline void fill_words(uint32_t *to, uint32_t word, size_t count, size_t room)
{
	const uint32_t eight[8] = { word, word, word, word, word, word, word, word };
	size_t n = 0;

	for (; n < count && room - n >= ARRAY_SIZE(eight); n += ARRAY_SIZE(eight))
		memcpy(to + n, eight, sizeof(eight));
	for (; n < count; n++)
		to[n] = word;
}

/* Copies forwards what begins `distance` words before, which repeats what it has just written where
 * the two overlap. In another picture nothing does: the distance is SIZE_MAX. Up to `room` words may
 * be read and written: what is beyond the match will be written again. */
static inline void copy_words(enum unit unit, uint32_t *to, const uint32_t *from, size_t distance,
	size_t count, size_t room)
{
	enum { SHORT = 8 };

	if (unit == UNIT_ALPHA) {
		for (size_t i = 0; i < count; i++)
			to[i] = (to[i] & 0xffffff) | (from[i] & 0xff000000);
		return;
	}
	if (distance == 1) {
		fill_words(to, *from, count, room);
		return;
	}
	if (count <= SHORT && distance >= SHORT && room >= SHORT) { /* mostly so: no call */
		memcpy(to, from, SHORT * sizeof(*to));
		return;
	}
	while (count > distance) { /* the repeated piece doubles each time */
		memcpy(to, from, distance * sizeof(*to));
		to += distance;
		count -= distance;
		distance *= 2;
	}
	memcpy(to, from, count * sizeof(*to));
}

struct match {
	uint64_t length;
	uint32_t offset;
	uint32_t image_distance;
};

/* Reads the rest of a match whose first byte was `control`. False when the stream ends. */
static inline bool take_match(struct source *s, uint32_t control, struct match *m)
{
	uint32_t byte, more, shift = 0;
	bool very_far;

	m->length = control >> 5;
	m->offset = control & 15;
	if (m->length == 7) {
		do {
			if (!have(s, 1))
				return false;
			byte = *s->at++;
			m->length += byte;
		} while (byte == 255);
	}
	if (!have(s, 2))
		return false;
	m->offset |= (uint32_t)*s->at++ << 4;
	byte = *s->at++;
	more = byte >> 6;
	very_far = control & GLZ_MATCH_FAR && byte & GLZ_VERY_FAR;
	if (!have(s, (size_t)more + very_far))
		return false;
	m->image_distance = 0;
	if (control & GLZ_MATCH_FAR) {
		m->offset |= (byte & 31) << 12;
	} else {
		m->image_distance = byte & 63;
		shift = 6;
	}
	for (; more > 0; more--, shift += 8)
		m->image_distance |= (uint32_t)*s->at++ << shift;
	if (very_far)
		m->offset |= (uint32_t)*s->at++ << 17;
	return true;
}

/* Where a match of another picture lies, and how many words there are from there on. 0, -EAGAIN or -EPROTO. */
static int find_other(struct decoding *d, const struct match *m, uint64_t length, uint32_t scale,
	const uint32_t **from, size_t *there)
{
	uint64_t id = d->header->id - m->image_distance;
	uint64_t offset = (uint64_t)m->offset * scale;
	int err;

	if (m->image_distance > d->header->id)
		return -EPROTO;
	if (!d->other.surface || d->other_id != id) {
		err = glz_window_find(d->window, id, &d->other);
		if (err) {
			d->other.surface = NULL;
			return err;
		}
		d->other_id = id;
	}
	if (offset > d->other.count || length > d->other.count - offset)
		return -EPROTO;
	*from = d->other.pixels + offset;
	*there = d->other.count - (size_t)offset;
	return 0;
}

/* Decodes a stream of units, of `scale` words each, into `count` words. */
static inline int decompress(
	struct decoding *d, enum unit unit, uint32_t scale, uint32_t *words, size_t count)
{
	const uint32_t literal_bytes = unit == UNIT_RGB ? 3 : unit == UNIT_RGB16 ? 2 : 1;
	const uint32_t bias = unit == UNIT_RGB ? 0 : unit == UNIT_RGB16 ? 1 : 2;
	struct source *s = &d->source;
	struct match m;
	size_t done = 0;

	while (done < count) {
		size_t distance = SIZE_MAX, room = count - done, there;
		const uint32_t *from;
		uint64_t length;
		uint32_t control;
		int err;

		if (!have(s, 1))
			return -EPROTO;
		control = *s->at++;
		if (control < LZ_LITERALS_MAX) {
			length = (uint64_t)(control + 1) * scale;
			if (length > count - done ||
				!have(s, (size_t)(control + 1) * literal_bytes))
				return -EPROTO;
			take_literals(d, unit, scale, words + done, control + 1);
			done += length;
			continue;
		}
		if (!take_match(s, control, &m))
			return -EPROTO;
		length = (m.length + bias) * scale;
		if (length > count - done)
			return -EPROTO;
		if (m.image_distance) {
			err = find_other(d, &m, length, scale, &from, &there);
			if (err)
				return err;
			room = MIN(room, there);
		} else {
			distance = ((size_t)m.offset + 1) * scale;
			if (distance > done)
				return -EPROTO;
			from = words + done - distance;
		}
		copy_words(unit, words + done, from, distance, length, room);
		done += length;
	}
	return 0;
}

/* The words that each byte of a palette's picture stands for. */
static uint32_t *make_table(enum lz_type type, const uint32_t *colours, uint32_t colour_count)
{
	uint32_t scale = pixels_per_byte(type), bits = 8 / scale;
	bool low_first = type == LZ_PLT1_LE || type == LZ_PLT4_LE;
	uint32_t *table = malloc(256 * (size_t)scale * sizeof(*table));

	for (uint32_t byte = 0; table && byte < 256; byte++) {
		for (uint32_t i = 0; i < scale; i++) {
			uint32_t shift = bits * (low_first ? i : scale - 1 - i);
			uint32_t index = byte >> shift & ((1u << bits) - 1);

			table[byte * scale + i] = index < colour_count ? colours[index] & 0xffffff
								       : 0;
		}
	}
	return table;
}

static int decode_words(struct decoding *d, uint32_t *words, size_t count)
{
	int err;

	switch (d->header->type) {
	case LZ_PLT1_LE:
	case LZ_PLT1_BE: return decompress(d, UNIT_PALETTE, 8, words, count);
	case LZ_PLT4_LE:
	case LZ_PLT4_BE: return decompress(d, UNIT_PALETTE, 2, words, count);
	case LZ_PLT8: return decompress(d, UNIT_PALETTE, 1, words, count);
	case LZ_RGB16: return decompress(d, UNIT_RGB16, 1, words, count);
	default: break;
	}
	err = decompress(d, UNIT_RGB, 1, words, count);
	if (!err && d->header->type == LZ_RGBA)
		err = decompress(d, UNIT_ALPHA, 1, words, count);
	return err;
}

static int wrap(const struct glz_header *h, uint32_t *words, struct surface **out)
{
	int32_t stride = (int32_t)(h->row_pixels * sizeof(*words));
	uint32_t *top = h->top_down ? words : words + (size_t)h->row_pixels * (h->height - 1);

	return surface_create_over(out, h->type == LZ_RGBA ? SURFACE_ARGB8888 : SURFACE_XRGB8888,
		h->width, h->height, h->top_down ? stride : -stride, (uint8_t *)top, free, words);
}

int glz_decode(struct glz_window *window, const uint8_t *data, size_t size, const uint32_t *colours,
	uint32_t colour_count, struct surface **out)
{
	struct glz_header header;
	struct decoding d = { .window = window, .header = &header };
	struct glz_image image = { 0 };
	uint32_t *words, *table = NULL;
	int err = glz_decode_header(data, size, &header);

	if (err)
		return err;
	image.count = (size_t)header.row_pixels * header.height;
	image.head = header.head;
	err = glz_window_admit(window, header.id, header.head, image.count);
	if (err)
		return err;
	if (lz_is_palette(header.type)) {
		table = make_table(header.type, colours, colours ? colour_count : 0);
		if (!table)
			return -ENOMEM;
	}
	words = malloc(image.count * sizeof(*words));
	if (!words) {
		free(table);
		return -ENOMEM;
	}
	d.table = table;
	d.source = (struct source){ data + GLZ_HEADER_BYTES, data + size };
	err = decode_words(&d, words, image.count);
	free(table);
	if (!err)
		err = wrap(&header, words, &image.surface);
	if (err) {
		free(words);
		return err;
	}
	image.pixels = words;
	err = glz_window_add(window, header.id, &image);
	if (err)
		surface_unref(image.surface);
	else
		*out = image.surface;
	return err;
}

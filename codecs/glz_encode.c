/* SPDX-License-Identifier: MIT */
/*
 * GLZ's encoder. The pictures' units lie in one ring, so that a place in the ring is all that the hash
 * table has to hold: whether it is still (or already) of a picture that may be referred to is looked
 * up when the units there are found equal. An entry carries some bits of the hash too, which saves
 * most of the looks at places far away in memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "codecs/glz_format.h"
#include "codecs/lz_match.h"
#include "core/util.h"
#include "core/wire.h"

enum {
	HASH_BITS = 19,
	TAG_BITS = 8, /* of an entry; the rest is the place and 1, 0 for none */
	PAIR_BITS = 14,
	IMAGES_MAX = 1 << 16,
	SLACK = 32, /* units that may be read behind the last */
};

/* Pictures whose units may be compared with each other. */
enum class { CLASS_RGB16, CLASS_RGB, CLASS_RGBA };

struct entry {
	uint32_t start; /* in the ring */
	uint32_t count;
	enum class class;
};

/* The last places of three words (or four bytes) of the same hash; and, smaller, those of two words. */
struct table {
	uint32_t entries[1u << HASH_BITS];
	uint32_t pairs[1u << PAIR_BITS];
};

struct glz_dictionary {
	uint32_t *colours; /* ring of words without alpha */
	uint8_t *alphas; /* the same ring of RGBA pictures' alpha; NULL until there is one */
	uint32_t limit; /* units of the ring, and of all pictures together */
	uint32_t end; /* of the newest picture */
	uint32_t held;
	struct entry *images; /* ring, oldest at `first` */
	uint32_t first;
	uint32_t image_count;
	uint32_t image_capacity; /* a power of two */
	uint64_t next_id;
	struct table *colour_table;
	struct table *alpha_table;
};

/* Zeroed memory that is looked at here and there: in large pages, where the host has them, and only
 * what is used of it. NULL: there is none. */
static void *area_alloc(size_t size)
{
	void *area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED)
		return NULL;
	madvise(area, size, MADV_HUGEPAGE); /* a hint: without it, it is only slower */
	return area;
}

static void area_free(void *area, size_t size)
{
	if (area)
		munmap(area, size);
}

static size_t colours_size(const struct glz_dictionary *d)
{
	return ((size_t)d->limit + SLACK) * sizeof(*d->colours);
}

static size_t alphas_size(const struct glz_dictionary *d)
{
	return (size_t)d->limit + SLACK;
}

int glz_dictionary_create(struct glz_dictionary **out, uint32_t limit_pixels)
{
	struct glz_dictionary *d = calloc(1, sizeof(*d));

	if (!limit_pixels) {
		free(d);
		return -EINVAL;
	}
	if (!d)
		return -ENOMEM;
	d->limit = MIN(limit_pixels, GLZ_WINDOW_MAX);
	d->image_capacity = 64;
	d->images = calloc(d->image_capacity, sizeof(*d->images));
	d->colours = area_alloc(colours_size(d));
	d->colour_table = area_alloc(sizeof(*d->colour_table));
	if (!d->images || !d->colours || !d->colour_table) {
		glz_dictionary_destroy(d);
		return -ENOMEM;
	}
	*out = d;
	return 0;
}

void glz_dictionary_destroy(struct glz_dictionary *d)
{
	if (!d)
		return;
	area_free(d->alpha_table, sizeof(*d->alpha_table));
	area_free(d->colour_table, sizeof(*d->colour_table));
	area_free(d->alphas, alphas_size(d));
	area_free(d->colours, colours_size(d));
	free(d->images);
	free(d);
}

/* ---- the pictures in the ring ---- */

static struct entry *image_at(const struct glz_dictionary *d, uint32_t index)
{
	return &d->images[(d->first + index) & (d->image_capacity - 1)];
}

static void evict(struct glz_dictionary *d)
{
	d->held -= image_at(d, 0)->count;
	d->first++;
	d->image_count--;
}

static int grow_images(struct glz_dictionary *d)
{
	uint32_t capacity = d->image_capacity;
	struct entry *images;

	if (d->image_count < capacity || capacity == IMAGES_MAX)
		return 0;
	images = calloc((size_t)capacity * 2, sizeof(*images));
	if (!images)
		return -ENOMEM;
	for (uint32_t i = 0; i < d->image_count; i++)
		images[i] = *image_at(d, i);
	free(d->images);
	d->images = images;
	d->image_capacity = capacity * 2;
	d->first = 0;
	return 0;
}

/* Makes room for a picture, in one piece, and enters it. There is room for one more entry. */
static struct entry place(struct glz_dictionary *d, uint32_t count, enum class class)
{
	struct entry image = { d->end, count, class };

	while (d->image_count == IMAGES_MAX || d->held + count > d->limit)
		evict(d);
	if (count > d->limit - image.start) {
		image.start = 0; /* what lies behind the newest is the oldest, and goes */
		while (d->image_count > 0 && image_at(d, 0)->start >= d->end)
			evict(d);
	}
	while (d->image_count > 0 && image_at(d, 0)->start < image.start + count &&
		image_at(d, 0)->start + image_at(d, 0)->count > image.start)
		evict(d);
	*image_at(d, d->image_count++) = image;
	d->held += count;
	d->end = image.start + count;
	return image;
}

/* Distance of a place from the oldest picture's first unit, as the ring goes: the pictures' order. */
static uint32_t order(const struct glz_dictionary *d, uint32_t place)
{
	uint32_t base = image_at(d, 0)->start;

	return place >= base ? place - base : place + d->limit - base;
}

/* How many pictures before the newest one the place is in; 0: in none of those. */
static uint32_t find_image(const struct glz_dictionary *d, uint32_t place)
{
	uint32_t low = 0, high = d->image_count - 1, key = order(d, place);

	while (low < high) { /* the first that begins behind the place, or the newest */
		uint32_t middle = (low + high) / 2;

		if (order(d, image_at(d, middle)->start) > key)
			high = middle;
		else
			low = middle + 1;
	}
	if (low == 0 || place - image_at(d, low - 1)->start >= image_at(d, low - 1)->count)
		return 0;
	return d->image_count - low;
}

/* ---- writing ---- */

struct sink {
	uint8_t *at;
};

/* A place that units are equal to: `length` of them; 0: none. */
struct reference {
	uint32_t image_distance;
	uint32_t offset; /* as it is written */
	uint32_t length;
};

/* Bytes of image distance that are not in the control bytes. */
static inline uint32_t distance_bytes(const struct reference *ref)
{
	uint32_t d = ref->image_distance;

	if (ref->offset < GLZ_OFFSET_NEAR)
		return d < 1u << 6 ? 0 : d < 1u << 14 ? 1 : 2;
	return d == 0 ? 0 : d < 1u << 8 ? 1 : 2; /* IMAGES_MAX does not ask for more */
}

static inline void put_match(struct sink *sink, enum lz_unit unit, const struct reference *ref)
{
	uint32_t coded = ref->length - lz_length_bias(unit), bytes = distance_bytes(ref);
	uint32_t offset = ref->offset, distance = ref->image_distance;
	bool far = offset >= GLZ_OFFSET_NEAR, very_far = offset >= GLZ_OFFSET_FAR;

	*sink->at++ = (uint8_t)(MIN(coded, 7u) << 5 | (far ? GLZ_MATCH_FAR : 0) | (offset & 15));
	if (coded >= 7) {
		for (coded -= 7; coded >= 255; coded -= 255)
			*sink->at++ = 255;
		*sink->at++ = (uint8_t)coded;
	}
	*sink->at++ = (uint8_t)(offset >> 4);
	if (far) {
		*sink->at++ =
			(uint8_t)(bytes << 6 | (very_far ? GLZ_VERY_FAR : 0) | (offset >> 12 & 31));
	} else {
		*sink->at++ = (uint8_t)(bytes << 6 | (distance & 63));
		distance >>= 6;
	}
	for (; bytes > 0; bytes--, distance >>= 8)
		*sink->at++ = (uint8_t)distance;
	if (very_far)
		*sink->at++ = (uint8_t)(offset >> 17);
}

static inline void put_literals(
	struct sink *sink, enum lz_unit unit, const uint8_t *p, uint32_t count)
{
	while (count > 0) {
		uint32_t part = MIN(count, (uint32_t)LZ_LITERALS_MAX);

		*sink->at++ = (uint8_t)(part - 1);
		if (unit == LZ_UNIT_BYTE) {
			memcpy(sink->at, p, part);
			sink->at += part;
			p += part;
		}
		for (uint32_t i = 0; unit == LZ_UNIT_RGB16 && i < part; i++, p += 4) {
			*sink->at++ = p[1];
			*sink->at++ = p[0];
		}
		for (uint32_t i = 0; unit == LZ_UNIT_RGB && i < part; i++, p += 4) {
			memcpy(sink->at, p, 4); /* the fourth is overwritten */
			sink->at += 3;
		}
		count -= part;
	}
}

/* ---- gathering ---- */

enum {
	UNITS_AHEAD = 1024, /* more are gathered before fewer than these are left */
	UNITS_PART = 64 *
		1024, /* gathered at once, about: what the processor's cache still holds later */
};

static void gather_row(enum lz_type type, const uint8_t *row, uint32_t width,
	uint32_t *restrict colours, uint8_t *restrict alphas)
{
	uint32_t word;
	uint16_t half;

	switch (type) {
	case LZ_RGB16:
		for (uint32_t i = 0; i < width; i++) {
			memcpy(&half, row + 2 * (size_t)i, 2);
			colours[i] = half & 0x7fff;
		}
		return;
	case LZ_RGB24:
		for (uint32_t i = 0; i < width; i++) {
			const uint8_t *pixel = row + 3 * (size_t)i;

			colours[i] = (uint32_t)pixel[0] | (uint32_t)pixel[1] << 8 |
				(uint32_t)pixel[2] << 16;
		}
		return;
	default:
		for (uint32_t i = 0; i < width; i++) {
			memcpy(&word, row + 4 * (size_t)i, 4);
			colours[i] = word & 0xffffff;
		}
		for (uint32_t i = 0; type == LZ_RGBA && i < width; i++)
			alphas[i] = row[4 * (size_t)i + 3];
	}
}

/* The picture, as far as it has been copied to the ring. */
struct source {
	enum lz_type type;
	uint32_t width, rows_left;
	const uint8_t *row;
	ptrdiff_t stride;
	uint32_t *colours; /* where the next row goes to */
	uint8_t *alphas; /* the same, for RGBA alone */
};

static void gather_part(struct source *source, uint32_t *gathered)
{
	for (uint32_t n = 0; n < UNITS_PART && source->rows_left; n += source->width) {
		gather_row(
			source->type, source->row, source->width, source->colours, source->alphas);
		source->row += source->stride;
		source->colours += source->width;
		if (source->type == LZ_RGBA)
			source->alphas += source->width;
		source->rows_left--;
		*gathered += source->width;
	}
}

/* ---- searching ---- */

/* The ring's units that matches are looked for in: words, or bytes of alpha. */
static inline uint32_t unit_bytes(enum lz_unit unit)
{
	return unit == LZ_UNIT_BYTE ? 1 : 4;
}

/* Hash of the next three words, or four bytes: above the table's index, below it the entry's tag. */
static inline uint32_t hash_at(enum lz_unit unit, const uint8_t *p)
{
	uint64_t v = unit == LZ_UNIT_BYTE
		? lz_load32(p) * 0x9e3779b97f4a7c15u
		: (lz_load64(p) ^ (uint64_t)lz_load32(p + 8) << 24) * 0x9e3779b97f4a7c15u;

	return (uint32_t)(v >> (64 - HASH_BITS - TAG_BITS));
}

/* The same of two words. */
static inline uint32_t pair_hash_at(const uint8_t *p)
{
	return (uint32_t)(lz_load64(p) * 0x9e3779b97f4a7c15u >> (64 - PAIR_BITS - TAG_BITS));
}

struct search {
	const struct glz_dictionary *dictionary;
	const uint8_t *ring;
	struct entry image;
	uint32_t at; /* units of the picture that are done */
	uint32_t gathered; /* units of it that are there; all in the second pass, of alpha */
	struct source source;
};

/* What the units at `place` are good for. */
static inline struct reference look(const struct search *s, enum lz_unit unit, uint32_t place)
{
	const struct glz_dictionary *d = s->dictionary;
	const uint8_t *here = s->ring + (size_t)(s->image.start + s->at) * unit_bytes(unit);
	const uint8_t *there = s->ring + (size_t)place * unit_bytes(unit);
	uint32_t most = s->gathered - s->at, size;
	struct reference ref = { 0 };

	if (unit == LZ_UNIT_BYTE ? lz_load32(here) != lz_load32(there)
				 : lz_load64(here) != lz_load64(there))
		return ref;
	if (place - s->image.start < s->at) {
		ref.offset = s->image.start + s->at - place - 1;
	} else {
		const struct entry *other;

		ref.image_distance = find_image(d, place);
		other = image_at(d, d->image_count - 1 - ref.image_distance);
		if (!ref.image_distance || other->class != s->image.class)
			return ref;
		ref.offset = place - other->start;
		most = MIN(most, other->count - ref.offset);
	}
	ref.length = lz_match_length_wide(unit_bytes(unit), here, there, most);
	size = 3 + distance_bytes(&ref) + (ref.offset >= GLZ_OFFSET_FAR);
	if (ref.length * lz_literal_bytes(unit) <= size)
		ref.length = 0;
	return ref;
}

/* Lets a match begin earlier, as far as the literals before it (from `from` on) are the same. */
static inline void extend_back(
	struct search *s, enum lz_unit unit, struct reference *ref, uint32_t place, uint32_t from)
{
	const uint32_t size = unit_bytes(unit);
	const uint8_t *here = s->ring + (size_t)(s->image.start + s->at) * size;
	const uint8_t *there = s->ring + (size_t)place * size;
	uint32_t most = s->at - from, n = 0;

	most = MIN(most, ref->image_distance ? ref->offset : place - s->image.start);
	while (n < most &&
		!memcmp(here - (size_t)(n + 1) * size, there - (size_t)(n + 1) * size, size))
		n++;
	s->at -= n;
	ref->length += n;
	if (ref->image_distance)
		ref->offset -= n;
}

/* Looks where this hash was last, and puts the units at hand there instead. */
static inline struct reference try(struct search *s, enum lz_unit unit, uint32_t *places,
	uint32_t hash, uint32_t literals_from)
{
	uint32_t entry = places[hash >> TAG_BITS], place = entry & (GLZ_WINDOW_MAX - 1);
	struct reference ref = { 0 };

	places[hash >> TAG_BITS] = hash << (32 - TAG_BITS) | (s->image.start + s->at);
	if (entry >> (32 - TAG_BITS) != (hash & ((1u << TAG_BITS) - 1)))
		return ref;
	ref = look(s, unit, place);
	if (ref.length)
		extend_back(s, unit, &ref, place, literals_from);
	return ref;
}

/* The length of a run of the unit before; 0 when it is too short to be worth it. */
static inline uint32_t run_length(const struct search *s, enum lz_unit unit)
{
	uint32_t size = unit_bytes(unit), most = s->gathered - s->at, length;
	const uint8_t *here = s->ring + (size_t)(s->image.start + s->at) * size;

	if (s->at == 0 || most < 3 || memcmp(here, here - size, size) != 0)
		return 0;
	length = lz_match_length_wide(size, here, here - size, most);
	return length < 3 + (unit == LZ_UNIT_BYTE) ? 0 : length;
}

static inline void remember(
	struct table *table, enum lz_unit unit, const uint8_t *ring, uint32_t place)
{
	uint32_t hash = hash_at(unit, ring + (size_t)place * unit_bytes(unit));

	table->entries[hash >> TAG_BITS] = hash << (32 - TAG_BITS) | place;
}

/* How far a match goes on that reaches the end of what has been gathered. */
static void extend_beyond(struct search *s, enum lz_unit unit, struct reference *ref)
{
	const struct glz_dictionary *d = s->dictionary;
	const uint32_t size = unit_bytes(unit), here = s->image.start + s->at;
	uint32_t there = here - ref->offset - 1, limit = s->image.count, more;

	if (ref->image_distance) {
		const struct entry *other = image_at(d, d->image_count - 1 - ref->image_distance);

		there = other->start + ref->offset;
		limit = other->count - ref->offset;
	}
	do {
		const uint8_t *a = s->ring + (size_t)(here + ref->length) * size;
		const uint8_t *b = s->ring + (size_t)(there + ref->length) * size;

		gather_part(&s->source, &s->gathered);
		more = MIN(s->gathered - s->at, limit) - ref->length;
		more = lz_match_length_wide(size, a, b, more);
		ref->length += more;
	} while (more && s->source.rows_left && s->at + ref->length == s->gathered);
}

static inline void compress(
	struct sink *sink, enum lz_unit unit, struct search *s, struct table *table)
{
	const uint32_t size = unit_bytes(unit), start = s->image.start, count = s->image.count;
	const uint8_t *p = s->ring + (size_t)start * size;
	uint32_t literals_from = 0;

	while (s->at < count) {
		struct reference ref = { 0 };

		if (s->gathered - s->at < UNITS_AHEAD && s->source.rows_left)
			gather_part(&s->source, &s->gathered);
		ref.length = run_length(s, unit);
		if (!ref.length) {
			const uint8_t *here = p + (size_t)s->at * size;

			ref = try(s, unit, table->entries, hash_at(unit, here), literals_from);
			if (!ref.length && unit != LZ_UNIT_BYTE)
				ref = try(s, unit, table->pairs, pair_hash_at(here), literals_from);
		}
		if (!ref.length) {
			s->at++;
			continue;
		}
		if (s->at + ref.length == s->gathered && s->source.rows_left)
			extend_beyond(s, unit, &ref);
		put_literals(sink, unit, p + (size_t)literals_from * size, s->at - literals_from);
		put_match(sink, unit, &ref);
		s->at += ref.length;
		literals_from = s->at;
		/* What follows a match begins with its last units: remember those. */
		remember(table, unit, s->ring, start + s->at - 1);
		remember(table, unit, s->ring, start + s->at - 2);
	}
	put_literals(sink, unit, p + (size_t)literals_from * size, count - literals_from);
}

/* ---- pictures ---- */

static int put_header(struct buf *out, enum lz_type type, uint32_t width, uint32_t height,
	bool top_down, uint64_t id, uint32_t head_distance)
{
	uint32_t pixel_bytes = type == LZ_RGB16 ? 2 : type == LZ_RGB24 ? 3 : 4;
	uint32_t words[] = { LZ_MAGIC, LZ_VERSION, width, height, width * pixel_bytes,
		(uint32_t)(id >> 32), (uint32_t)id, head_distance };
	uint8_t kind = (uint8_t)((unsigned)type | (top_down ? GLZ_TOP_DOWN : 0));
	int err;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		words[i] = __builtin_bswap32(words[i]);
	err = buf_append(out, words, 8);
	if (!err)
		err = buf_append(out, &kind, 1);
	return err ? err : buf_append(out, words + 2, sizeof(words) - 8);
}

/* All memory that a picture may need, so that nothing fails once it is entered. */
static int prepare(struct glz_dictionary *d, struct buf *out, enum lz_type type, size_t count)
{
	size_t room = count * (type == LZ_RGB16 ? 3 : type == LZ_RGBA ? 6 : 4);
	int err = grow_images(d);

	if (type == LZ_RGBA && !d->alphas)
		d->alphas = area_alloc(alphas_size(d));
	if (type == LZ_RGBA && !d->alpha_table)
		d->alpha_table = area_alloc(sizeof(*d->alpha_table));
	if (!err && type == LZ_RGBA && (!d->alphas || !d->alpha_table))
		err = -ENOMEM;
	if (!err && !buf_reserve(out, GLZ_HEADER_BYTES + room + SLACK))
		err = -ENOMEM;
	return err;
}

int glz_encode(struct glz_dictionary *d, struct buf *out, enum lz_type type, uint32_t width,
	uint32_t height, bool top_down, const uint8_t *pixels, ptrdiff_t stride)
{
	struct search search = { .dictionary = d };
	struct sink sink;
	struct entry *image = &search.image;
	int err;

	if (!width || !height || width > SURFACE_MAX_SIDE || height > SURFACE_MAX_SIDE ||
		type < LZ_RGB16 || type > LZ_RGBA)
		return -EINVAL;
	if ((uint64_t)width * height > d->limit)
		return -E2BIG;
	err = prepare(d, out, type, (size_t)width * height);
	if (err)
		return err;
	*image = place(d, width * height,
		type == LZ_RGB16          ? CLASS_RGB16
			: type == LZ_RGBA ? CLASS_RGBA
					  : CLASS_RGB);
	search.source = (struct source){ .type = type,
		.width = width,
		.rows_left = height,
		.row = pixels,
		.stride = stride,
		.colours = d->colours + image->start,
		.alphas = type == LZ_RGBA ? d->alphas + image->start : NULL };
	put_header(out, type, width, height, top_down, d->next_id++, d->image_count - 1);
	sink.at = buf_bytes(out) + out->size;
	search.ring = (const uint8_t *)d->colours;
	if (type == LZ_RGB16)
		compress(&sink, LZ_UNIT_RGB16, &search, d->colour_table);
	else
		compress(&sink, LZ_UNIT_RGB, &search, d->colour_table);
	if (type == LZ_RGBA) {
		search.ring = d->alphas;
		search.at = 0;
		compress(&sink, LZ_UNIT_BYTE, &search, d->alpha_table);
	}
	buf_commit(out, (size_t)(sink.at - (buf_bytes(out) + out->size)));
	return 0;
}

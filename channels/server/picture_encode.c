/* SPDX-License-Identifier: MIT */
/* Pictures through the codecs. */
#include "channels/server/picture_encode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <spice/enums.h>

#include "channels/proto/types.h"
#include "channels/server/server.h"
#include "codecs/jpeg.h"
#include "codecs/lz.h"
#include "codecs/lz4.h"
#include "codecs/quic.h"
#include "core/util.h"

/* The pixels at hand: the image's own words, or made from another format. */
struct source {
	const struct image *image;
	const struct encode_settings *settings;
	const uint8_t *rows;
	uint32_t stride;
	uint32_t width, height;
	bool alpha; /* its fourth byte has to arrive */
	uint32_t *words; /* owned; NULL: the image's */
};

static bool is_words(const struct image *image)
{
	return image->format == IMAGE_XRGB8888 || image->format == IMAGE_ARGB8888;
}

/* ---- as it is ---- */

static void keep_palette(struct encoded *out, const uint32_t *colours, uint32_t count)
{
	out->palette = malloc(MAX(count, 2u) * sizeof(*out->palette));
	if (!out->palette)
		return;
	memcpy(out->palette, colours, count * sizeof(*colours));
	if (count == 1)
		out->palette[1] = 0; /* viewers read two in any case */
	out->colours = MAX(count, 2u);
}

/* Its rows as they are. */
static void keep_rows(struct encoded *out, const struct image *image)
{
	buf_clear(&out->bytes);
	free(out->palette);
	out->type = SPICE_IMAGE_TYPE_BITMAP;
	out->format = image->format;
	out->left = 0;
	out->width = image->width;
	out->stride = image->stride;
	out->colours = 0;
	out->palette = NULL;
	out->high_bits_set = image->flags & IMAGE_HIGH_BITS_SET;
	if (image->palette)
		keep_palette(out, image->palette, image_format_palette(image->format));
}

/* Rows without gaps; false: out of memory. */
static bool put_raw(struct encoded *out, enum image_format format, const uint8_t *rows,
	uint32_t stride, uint32_t row_bytes)
{
	uint8_t *room = buf_reserve(&out->bytes, (size_t)row_bytes * out->height);

	if (!room)
		return false;
	for (uint32_t y = 0; y < out->height; y++)
		memcpy(room + (size_t)y * row_bytes, rows + (size_t)y * stride, row_bytes);
	buf_commit(&out->bytes, (size_t)row_bytes * out->height);
	out->type = SPICE_IMAGE_TYPE_BITMAP;
	out->format = format;
	out->stride = row_bytes;
	return true;
}

static bool encode_raw(struct encoded *out, const struct source *s)
{
	enum image_format format = s->image->format == IMAGE_ARGB8888 ? IMAGE_ARGB8888
								      : IMAGE_XRGB8888;

	out->high_bits_set = out->high_bits_set || s->image->flags & IMAGE_HIGH_BITS_SET;
	return put_raw(out, format, s->rows, s->stride, s->width * 4);
}

/* ---- indices ---- */

/* Eight bytes of 0 or 1 as the bits of one, the first the highest. */
static uint8_t pack_bits(const uint8_t *indices)
{
	uint64_t v;

	memcpy(&v, indices, 8);
	return (uint8_t)((__builtin_bswap64(v) * 0x0102040810204080ull) >> 56);
}

static void pack_row(uint8_t *out, const uint8_t *indices, uint32_t width, uint32_t bits)
{
	uint32_t x = 0;

	if (bits == 8) {
		memcpy(out, indices, width);
		return;
	}
	if (bits == 1)
		for (; x + 8 <= width; x += 8)
			*out++ = pack_bits(indices + x);
	if (bits == 4)
		for (; x + 2 <= width; x += 2)
			*out++ = (uint8_t)(indices[x] << 4 | indices[x + 1]);
	for (uint32_t shift = 8; x < width; x++) {
		if (shift == 8)
			*out = 0;
		shift -= bits;
		*out = (uint8_t)(*out | indices[x] << shift);
		if (shift == 0) {
			shift = 8;
			out++;
		}
	}
}

/* The packed rows of a picture with few colours; the caller frees them. */
static uint8_t *pack_indices(
	const struct image_traits *traits, uint8_t *indices, uint32_t bits, uint32_t row_bytes)
{
	uint8_t *packed = malloc((size_t)row_bytes * traits->height);
	size_t count = (size_t)traits->width * traits->height;
	bool in_order = true;

	if (!packed)
		return NULL;
	for (uint32_t i = 0; i < traits->colours; i++)
		in_order = in_order && traits->rank[i] == i;
	for (size_t i = 0; i < count && !in_order; i++)
		indices[i] = traits->rank[indices[i]];
	for (uint32_t y = 0; y < traits->height; y++)
		pack_row(packed + (size_t)y * row_bytes, indices + (size_t)y * traits->width,
			traits->width, bits);
	return packed;
}

/* Indices through LZ, or as a bitmap where that is not smaller. False: out of memory. */
static bool put_indices(struct encoded *out, enum image_format format, const uint8_t *rows,
	uint32_t stride, uint32_t row_bytes)
{
	static const uint8_t types[] = {
		[IMAGE_1BIT_LE] = LZ_PLT1_LE,
		[IMAGE_1BIT_BE] = LZ_PLT1_BE,
		[IMAGE_4BIT_LE] = LZ_PLT4_LE,
		[IMAGE_4BIT_BE] = LZ_PLT4_BE,
		[IMAGE_8BIT] = LZ_PLT8,
	};

	out->type = SPICE_IMAGE_TYPE_LZ_PLT;
	out->format = format;
	if (lz_encode(&out->bytes, (enum lz_type)types[format], out->width, out->height, true, rows,
		    (ptrdiff_t)stride) == 0 &&
		out->bytes.size < (size_t)row_bytes * out->height)
		return true;
	buf_clear(&out->bytes);
	return put_raw(out, format, rows, stride, row_bytes);
}

static bool encode_palette(struct encoded *out, const struct image_traits *traits, uint8_t *indices)
{
	enum image_format format = traits->colours <= 2 ? IMAGE_1BIT_BE
		: traits->colours <= 16                 ? IMAGE_4BIT_BE
							: IMAGE_8BIT;
	uint32_t bits = traits->colours <= 2 ? 1 : traits->colours <= 16 ? 4 : 8;
	uint32_t row_bytes = image_format_row_bytes(format, traits->width);
	uint8_t *packed = pack_indices(traits, indices, bits, row_bytes);
	bool done = packed != NULL;

	if (done) {
		keep_palette(out, traits->palette, traits->colours);
		done = out->palette && put_indices(out, format, packed, row_bytes, row_bytes);
	}
	free(packed);
	return done;
}

/* ---- the codecs of true colour ---- */

static bool encode_lz(struct encoded *out, const struct source *s)
{
	out->type = SPICE_IMAGE_TYPE_LZ_RGB;
	return lz_encode(&out->bytes, s->alpha ? LZ_RGBA : LZ_RGB32, s->width, s->height, true,
		       s->rows, (ptrdiff_t)s->stride) == 0;
}

static bool encode_quic(struct encoded *out, const struct source *s)
{
	out->type = SPICE_IMAGE_TYPE_QUIC;
	return quic_encode(&out->bytes, s->alpha ? QUIC_RGBA : QUIC_RGB32, s->width, s->height,
		       s->rows, (ptrdiff_t)s->stride) == 0;
}

/* Takes any fourth byte. */
static bool encode_lz4(struct encoded *out, const struct source *s)
{
	uint8_t format = s->image->format == IMAGE_ARGB8888 ? SPICE_BITMAP_FMT_RGBA
							    : SPICE_BITMAP_FMT_32BIT;

	out->type = SPICE_IMAGE_TYPE_LZ4;
	out->high_bits_set = out->high_bits_set || s->image->flags & IMAGE_HIGH_BITS_SET;
	return lz4_image_encode(&out->bytes, format, s->rows, s->width * 4, s->stride, s->height) ==
		0;
}

static bool encode_jpeg(struct encoded *out, const struct source *s)
{
	out->lossy = true;
	if (s->alpha) {
		out->type = SPICE_IMAGE_TYPE_JPEG_ALPHA;
		return jpeg_alpha_encode(&out->bytes, &out->jpeg_bytes, s->width, s->height,
			       s->rows, (ptrdiff_t)s->stride, s->settings->quality, JPEG_420) == 0;
	}
	out->type = SPICE_IMAGE_TYPE_JPEG;
	return jpeg_picture_encode(&out->bytes, s->width, s->height, s->rows, (ptrdiff_t)s->stride,
		       s->settings->quality, JPEG_420) == 0;
}

static bool run_codec(struct encoded *out, const struct source *s, enum image_codec codec,
	const struct image_traits *traits, uint8_t *indices)
{
	switch (codec) {
	case IMAGE_CODEC_PALETTE: return encode_palette(out, traits, indices);
	case IMAGE_CODEC_LZ4: return encode_lz4(out, s);
	case IMAGE_CODEC_LZ: return encode_lz(out, s);
	case IMAGE_CODEC_QUIC: return encode_quic(out, s);
	case IMAGE_CODEC_JPEG: return encode_jpeg(out, s);
	case IMAGE_CODEC_GLZ:
		out->type = SPICE_IMAGE_TYPE_GLZ_RGB;
		out->keeps_alpha = s->alpha;
		return true;
	case IMAGE_CODEC_RAW: break;
	}
	return encode_raw(out, s);
}

/* ---- the fourth byte ---- */

/* On a surface without alpha nobody sees it: what reads such a surface's fourth byte all the same is
 * not sent as a drawing. */
static bool alpha_counts(const struct source *s)
{
	return is_words(s->image) && (s->settings->dest_alpha || !s->settings->copied);
}

/* Settles what becomes of it; false: only what keeps any bits will do. */
static bool settle_alpha(struct encoded *out, struct source *s, const struct image_traits *traits)
{
	bool premade = s->image->format == IMAGE_ARGB8888;

	/* Pixels of 16 bits come out opaque where viewers get them as they are. */
	out->high_bits_set = !premade &&
		(s->image->flags & IMAGE_HIGH_BITS_SET || s->image->format == IMAGE_XRGB1555);
	if (!is_words(s->image) || out->high_bits_set || !alpha_counts(s))
		return true;
	/* A uniform one need not be sent, as viewers make zeros, or ones when told. */
	if (traits->alpha == IMAGE_ALPHA_OPAQUE) {
		out->high_bits_set = true;
		return true;
	}
	if (traits->alpha == IMAGE_ALPHA_NONE && (!premade || s->settings->copied))
		return true;
	s->alpha = premade;
	out->high_bits_set = false;
	/* The unused byte of a picture without alpha is seen only in surfaces that have it. */
	return premade || !s->settings->dest_alpha;
}

/* With these nothing has to be known of the pixels. */
static bool encode_unseen(struct encoded *out, const struct source *s)
{
	const struct image_choice *choice = &s->settings->choice;

	out->why = "as was asked for";
	out->high_bits_set = s->image->format == IMAGE_XRGB1555;
	return choice->compression == SPICE_SERVER_COMPRESSION_OFF ? encode_raw(out, s)
								   : encode_lz4(out, s);
}

static bool is_unseen(const struct image_choice *choice)
{
	return !choice->jpeg &&
		(choice->compression == SPICE_SERVER_COMPRESSION_OFF ||
			(choice->compression == SPICE_SERVER_COMPRESSION_LZ4 && choice->lz4));
}

static bool encode_measured(struct encoded *out, struct source *s)
{
	struct image_traits *traits = malloc(sizeof(*traits));
	uint8_t *indices = malloc((size_t)s->width * s->height);
	struct image_choice choice = s->settings->choice;
	enum image_codec codec = choice.lz4 ? IMAGE_CODEC_LZ4 : IMAGE_CODEC_RAW;
	bool done = false;

	if (traits && indices) {
		image_traits_measure(
			traits, s->rows, s->stride, s->width, s->height, alpha_counts(s), indices);
		out->why = "its unused bits count";
		if (settle_alpha(out, s, traits)) {
			choice.palettes = choice.palettes && s->settings->deep && !s->alpha;
			choice.jpeg = choice.jpeg && s->settings->deep;
			if (!choice.palettes || traits->colours > IMAGE_COLOURS_FEW)
				image_traits_measure_smoothness(traits, s->rows, s->stride);
			codec = image_choose(traits, &choice, &out->why);
		}
		done = run_codec(out, s, codec, traits, indices);
	}
	free(indices);
	free(traits);
	return done;
}

static bool encode_words(struct encoded *out, struct source *s)
{
	bool done = is_unseen(&s->settings->choice) ? encode_unseen(out, s)
						    : encode_measured(out, s);

	if (!done || out->type == SPICE_IMAGE_TYPE_BITMAP ||
		out->bytes.size < (size_t)s->width * 4 * s->height)
		return done;
	buf_clear(&out->bytes);
	out->lossy = false;
	out->why = "nothing makes it smaller";
	return encode_raw(out, s);
}

/* ---- other formats ---- */

/* Makes words of a part of an image in another format. False: out of memory. */
static bool convert(struct source *s, const struct rect *area)
{
	size_t width = s->width;

	s->words = malloc(width * s->height * 4);
	if (!s->words)
		return false;
	for (uint32_t y = 0; y < s->height; y++) {
		uint32_t *row = s->words + y * width;

		image_row_to_argb(
			s->image, (uint32_t)area->left, (uint32_t)area->top + y, s->width, row);
		for (uint32_t x = 0; x < s->width; x++)
			row[x] &= 0xffffff;
	}
	s->rows = (const uint8_t *)s->words;
	s->stride = s->width * 4;
	return true;
}

/* The guest's own indices, in whole rows. */
static bool encode_guest_palette(struct encoded *out, const struct image *image)
{
	out->left = 0;
	out->width = image->width;
	out->high_bits_set = image->flags & IMAGE_HIGH_BITS_SET;
	out->why = "a palette of the guest's";
	keep_palette(out, image->palette, image_format_palette(image->format));
	return out->palette &&
		put_indices(out, image->format, image->data + (size_t)out->top * image->stride,
			image->stride, image_format_row_bytes(image->format, image->width));
}

static bool takes_palette(const struct image *image, const struct encode_settings *settings)
{
	uint8_t mode = settings->choice.compression;

	return image->palette && settings->deep && settings->choice.palettes &&
		(mode == SPICE_SERVER_COMPRESSION_AUTO || mode == SPICE_SERVER_COMPRESSION_LZ ||
			mode == SPICE_SERVER_COMPRESSION_GLZ);
}

/* Pictures whose rows stay whole and raw: masks, alpha alone, 16 bits for surfaces of 16 bits. */
static bool stays(const struct image *image, const struct encode_settings *settings)
{
	return settings->as_it_is || image->format == IMAGE_A8 ||
		(image->format == IMAGE_XRGB1555 && !settings->deep) ||
		(image->palette && settings->deep && settings->choice.palettes &&
			!takes_palette(image, settings));
}

void picture_encode(struct encoded *out, const struct image *image, const struct rect *area,
	const struct encode_settings *settings)
{
	struct source s = {
		.image = image,
		.settings = settings,
		.rows = image->data + (size_t)area->top * image->stride + (size_t)area->left * 4,
		.stride = image->stride,
		.width = (uint32_t)rect_width(area),
		.height = (uint32_t)rect_height(area),
	};
	bool done = false;

	*out = (struct encoded){
		.left = (uint32_t)area->left,
		.top = (uint32_t)area->top,
		.width = s.width,
		.height = s.height,
		.why = "as it is",
	};
	if (takes_palette(image, settings) && !settings->as_it_is)
		done = encode_guest_palette(out, image);
	else if (!stays(image, settings) && (is_words(image) || convert(&s, area)))
		done = encode_words(out, &s);
	if (!done)
		keep_rows(out, image);
	free(s.words);
}

int encoded_glz(const struct encoded *encoded, const struct image *image,
	struct glz_dictionary *dictionary, struct buf *out)
{
	struct rect area = rect_make((int32_t)encoded->left, (int32_t)encoded->top,
		(int32_t)encoded->width, (int32_t)encoded->height);
	struct source s = {
		.image = image,
		.rows = image->data + (size_t)encoded->top * image->stride +
			(size_t)encoded->left * 4,
		.stride = image->stride,
		.width = encoded->width,
		.height = encoded->height,
	};
	int ret = -ENOMEM;

	if (is_words(image) || convert(&s, &area))
		ret = glz_encode(dictionary, out, encoded->keeps_alpha ? LZ_RGBA : LZ_RGB32,
			s.width, s.height, true, s.rows, (ptrdiff_t)s.stride);
	free(s.words);
	return ret;
}

void encoded_finish(struct encoded *encoded)
{
	buf_finish(&encoded->bytes);
	free(encoded->palette);
}

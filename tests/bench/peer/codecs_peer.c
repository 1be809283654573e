/* SPDX-License-Identifier: MIT */
/*
 * libspice-server's codecs behind plain functions, for bench_codecs. bench_codecs.py compiles it with
 * the sources of Debian's package `spice` into a shared library; it is part of nothing else.
 */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "common/lz.h"
#include "common/quic.h"
#include "glz-encoder.h"

#define EXPORT __attribute__((visibility("default")))

/* Only one thread uses it. Each codec's callbacks get its own context as `usr`. */
static jmp_buf failed;

#define CALLBACKS(prefix, type)                                                            \
	static SPICE_GNUC_NORETURN void prefix##_error(type *usr, const char *format, ...) \
	{                                                                                  \
		longjmp(failed, 1);                                                        \
	}                                                                                  \
	static void prefix##_say(type *usr, const char *format, ...)                       \
	{                                                                                  \
	}                                                                                  \
	static void *prefix##_malloc(type *usr, int size)                                  \
	{                                                                                  \
		return malloc(size);                                                       \
	}                                                                                  \
	static void prefix##_free(type *usr, void *memory)                                 \
	{                                                                                  \
		free(memory);                                                              \
	}                                                                                  \
	static int prefix##_more_lines(type *usr, uint8_t **lines)                         \
	{                                                                                  \
		return 0;                                                                  \
	}

CALLBACKS(quic, QuicUsrContext)
CALLBACKS(lz, LzUsrContext)
CALLBACKS(glz, GlzEncoderUsrContext)

static int quic_more_space(QuicUsrContext *usr, uint32_t **io, int rows)
{
	return 0;
}

static int lz_more_space(LzUsrContext *usr, uint8_t **io)
{
	return 0;
}

static int glz_more_space(GlzEncoderUsrContext *usr, uint8_t **io)
{
	return 0;
}

static void glz_free_image(GlzEncoderUsrContext *usr, GlzUsrImageContext *image)
{
}

static QuicUsrContext quic_usr = { quic_error, quic_say, quic_say, quic_malloc, quic_free,
	quic_more_space, quic_more_lines };
static LzUsrContext lz_usr = { lz_error, lz_say, lz_say, lz_malloc, lz_free, lz_more_space,
	lz_more_lines };
static GlzEncoderUsrContext glz_usr = { glz_error, glz_say, glz_say, glz_malloc, glz_free,
	glz_more_lines, glz_more_space, glz_free_image };

/* All pictures are RGB32. Encoders return the stream's bytes, -1 when they fail. */
EXPORT long peer_quic_encode(uint8_t *pixels, int width, int height, uint8_t *out, size_t size)
{
	static QuicContext *quic;

	if (!quic)
		quic = quic_create(&quic_usr);
	if (setjmp(failed))
		return -1;
	return 4L *
		quic_encode(quic, QUIC_IMAGE_TYPE_RGB32, width, height, pixels, height, width * 4,
			(uint32_t *)out, size / 4);
}

EXPORT int peer_quic_decode(uint8_t *stream, size_t size, int width, uint8_t *pixels)
{
	static QuicContext *quic;
	QuicImageType type;
	int w, h;

	if (!quic)
		quic = quic_create(&quic_usr);
	if (setjmp(failed) ||
		quic_decode_begin(quic, (uint32_t *)stream, size / 4, &type, &w, &h) != QUIC_OK)
		return -1;
	return quic_decode(quic, QUIC_IMAGE_TYPE_RGB32, pixels, width * 4) == QUIC_OK ? 0 : -1;
}

EXPORT long peer_lz_encode(uint8_t *pixels, int width, int height, uint8_t *out, size_t size)
{
	static LzContext *lz;

	if (!lz)
		lz = lz_create(&lz_usr);
	if (setjmp(failed))
		return -1;
	return lz_encode(
		lz, LZ_IMAGE_TYPE_RGB32, width, height, 1, pixels, height, width * 4, out, size);
}

EXPORT int peer_lz_decode(uint8_t *stream, size_t size, int width, uint8_t *pixels)
{
	static LzContext *lz;
	int w, h, count, top_down;
	LzImageType type;

	if (!lz)
		lz = lz_create(&lz_usr);
	if (setjmp(failed))
		return -1;
	lz_decode_begin(lz, stream, size, &type, &w, &h, &count, &top_down, NULL);
	lz_decode(lz, LZ_IMAGE_TYPE_RGB32, pixels);
	return 0;
}

struct peer_glz {
	GlzEncDictContext *dictionary;
	GlzEncoderContext *encoder;
};

EXPORT void *peer_glz_create(uint32_t pixels)
{
	struct peer_glz *glz = calloc(1, sizeof(*glz));

	glz->dictionary = glz_enc_dictionary_create(pixels, 1, &glz_usr);
	glz->encoder = glz_encoder_create(0, glz->dictionary, &glz_usr);
	return glz;
}

EXPORT void peer_glz_destroy(void *opaque)
{
	struct peer_glz *glz = opaque;

	glz_encoder_destroy(glz->encoder);
	glz_enc_dictionary_destroy(glz->dictionary, &glz_usr);
	free(glz);
}

/* The pixels must stay as they are while the dictionary has them. */
EXPORT long peer_glz_encode(
	void *opaque, uint8_t *pixels, int width, int height, uint8_t *out, size_t size)
{
	struct peer_glz *glz = opaque;
	GlzEncDictImageContext *image;

	if (setjmp(failed))
		return -1;
	return glz_encode(glz->encoder, LZ_IMAGE_TYPE_RGB32, width, height, 1, pixels, height,
		width * 4, out, size, NULL, &image);
}

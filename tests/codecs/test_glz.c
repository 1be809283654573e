/* SPDX-License-Identifier: MIT */
/* GLZ: pictures come back, across pictures and channels too; a peer's streams are read; broken ones
 * harm nothing; the window stays bounded. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codecs/glz.h"
#include "core/util.h"
#include "tests/codecs/pictures.h"

static uint32_t pixel_bytes(enum lz_type type)
{
	return type == LZ_RGB16 ? 2 : type == LZ_RGB24 ? 3 : 4;
}

/* What the decoder makes of a pixel. */
static uint32_t expected_word(enum lz_type type, const uint8_t *p)
{
	uint32_t half = (uint32_t)p[0] | (uint32_t)p[1] << 8, word = 0;

	if (type == LZ_RGB16) {
		for (int shift = 0; shift < 3; shift++) {
			uint32_t five = half >> (5 * shift) & 31;

			word |= (five << 3 | five >> 2) << (8 * shift);
		}
		return word;
	}
	word = half | (uint32_t)p[2] << 16;
	return type == LZ_RGBA ? word | (uint32_t)p[3] << 24 : word;
}

struct sample {
	enum lz_type type;
	uint32_t width, height;
	bool top_down;
	size_t stride;
	uint8_t *pixels;
	struct buf stream;
};

/* A seeded picture; now and then a piece of what earlier ones showed. */
static void make_sample(
	struct sample *sample, struct picture_random *random, uint8_t *past, size_t past_size)
{
	size_t size;

	sample->type = (enum lz_type)(LZ_RGB16 + picture_random(random, 4));
	sample->width = 1 + picture_random(random, picture_random(random, 3) ? 60 : 300);
	sample->height = 1 + picture_random(random, 40);
	sample->top_down = picture_random(random, 2);
	sample->stride =
		(size_t)pixel_bytes(sample->type) * sample->width + picture_random(random, 5);
	size = sample->stride * sample->height;
	sample->pixels = malloc(size);
	picture_fill(random, (enum picture_kind)picture_random(random, PICTURE_KINDS),
		sample->pixels, size, sample->stride, 4);
	if (picture_random(random, 2))
		memcpy(sample->pixels, past + picture_random(random, 50) * 60, size);
	else if (size < past_size)
		memcpy(past, sample->pixels, size);
}

static void expect_surface(const struct sample *sample, const struct surface *surface)
{
	assert_int_equal(surface->width, sample->width);
	assert_int_equal(surface->height, sample->height);
	assert_int_equal(
		surface->format, sample->type == LZ_RGBA ? SURFACE_ARGB8888 : SURFACE_XRGB8888);
	for (uint32_t y = 0; y < sample->height; y++) {
		uint32_t line = sample->top_down ? y : sample->height - 1 - y;
		const uint8_t *in = sample->pixels + sample->stride * line;
		const uint32_t *out = (const uint32_t *)(const void *)surface_row(surface, y);

		for (uint32_t x = 0; x < sample->width; x++)
			assert_int_equal(out[x],
				expected_word(
					sample->type, in + (size_t)pixel_bytes(sample->type) * x));
	}
}

static void encode_sample(struct glz_dictionary *dictionary, struct sample *s)
{
	assert_int_equal(glz_encode(dictionary, &s->stream, s->type, s->width, s->height,
				 s->top_down, s->pixels, (ptrdiff_t)s->stride),
		0);
}

static void finish_sample(struct sample *sample)
{
	buf_finish(&sample->stream);
	free(sample->pixels);
}

static void pictures_come_back(void **state)
{
	enum { PAST = 1 << 17 };
	struct picture_random random = { 77 };
	uint8_t *past = calloc(PAST, 1);

	for (int round = 0; round < 12; round++) {
		uint32_t limit = 13000 + picture_random(&random, 60000);
		struct glz_dictionary *dictionary;
		struct glz_window *window;

		assert_int_equal(glz_dictionary_create(&dictionary, limit), 0);
		assert_int_equal(glz_window_create(&window, limit), 0);
		for (int i = 0; i < 100; i++) {
			struct sample sample = { 0 };
			struct surface *surface;

			make_sample(&sample, &random, past, PAST);
			encode_sample(dictionary, &sample);
			assert_int_equal(glz_decode(window, buf_bytes(&sample.stream),
						 sample.stream.size, NULL, 0, &surface),
				0);
			expect_surface(&sample, surface);
			surface_unref(surface);
			finish_sample(&sample);
		}
		glz_dictionary_destroy(dictionary);
		glz_window_destroy(window);
	}
	free(past);
}

/* The channels of a client bring the pictures in another order; each channel keeps its own. */
/* Larger than what the encoder gathers at a time: matches and literals over the seams, in the picture and
 * in earlier ones, and once around the ring. */
static void large_pictures_come_back(void **state)
{
	static const enum lz_type types[] = { LZ_RGB16, LZ_RGB32, LZ_RGBA };
	enum { WIDTH = 700, HEIGHT = 400, PICTURES = 7, LIMIT = 3 * WIDTH * HEIGHT + 50 };
	struct picture_random random = { 404 };

	for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
		size_t stride = (size_t)WIDTH * pixel_bytes(types[t]), size = stride * HEIGHT;
		uint8_t *pixels = calloc(1, size);
		struct glz_dictionary *dictionary;
		struct glz_window *window;

		assert_int_equal(glz_dictionary_create(&dictionary, LIMIT), 0);
		assert_int_equal(glz_window_create(&window, LIMIT), 0);
		for (int n = 0; n < PICTURES; n++) {
			struct sample s = { types[t], WIDTH, HEIGHT, n % 2, stride, pixels, { 0 } };
			struct surface *surface;

			/* 0: flat; then a third of it noise; then as before but for a few bytes. */
			for (size_t i = size / 3; n == 1 && i < size / 3 * 2; i++)
				pixels[i] = (uint8_t)picture_random(&random, 256);
			for (int i = 0; n > 1 && i < 3; i++)
				pixels[picture_random(&random, (uint32_t)size)] ^= 0x11;
			encode_sample(dictionary, &s);
			if (n != 1)
				assert_true(s.stream.size < 20000);
			assert_int_equal(glz_decode(window, buf_bytes(&s.stream), s.stream.size,
						 NULL, 0, &surface),
				0);
			expect_surface(&s, surface);
			surface_unref(surface);
			buf_finish(&s.stream);
		}
		glz_dictionary_destroy(dictionary);
		glz_window_destroy(window);
		free(pixels);
	}
}

static void channels_wait_for_each_other(void **state)
{
	enum { PAST = 1 << 17, CHANNELS = 3, COUNT = 400 };
	struct picture_random random = { 4711 };
	struct sample *samples = calloc(COUNT, sizeof(*samples));
	int channel[COUNT], next[CHANNELS] = { 0 }, done = 0, waits = 0;
	uint8_t *past = calloc(PAST, 1);
	struct glz_dictionary *dictionary;
	struct glz_window *window;

	assert_int_equal(glz_dictionary_create(&dictionary, 50000), 0);
	assert_int_equal(glz_window_create(&window, 50000), 0);
	for (int i = 0; i < COUNT; i++) {
		make_sample(&samples[i], &random, past, PAST);
		encode_sample(dictionary, &samples[i]);
		channel[i] = (int)picture_random(&random, CHANNELS);
	}
	while (done < COUNT) {
		int which = (int)picture_random(&random, CHANNELS), err;
		struct surface *surface;

		while (next[which] < COUNT && channel[next[which]] != which)
			next[which]++;
		if (next[which] == COUNT)
			continue;
		err = glz_decode(window, buf_bytes(&samples[next[which]].stream),
			samples[next[which]].stream.size, NULL, 0, &surface);
		if (err == -EAGAIN) {
			waits++;
			assert_true(waits < 100 * COUNT);
			continue;
		}
		assert_int_equal(err, 0);
		expect_surface(&samples[next[which]++], surface);
		surface_unref(surface);
		done++;
	}
	assert_true(waits > 0);
	for (int i = 0; i < COUNT; i++)
		finish_sample(&samples[i]);
	free(samples);
	free(past);
	glz_dictionary_destroy(dictionary);
	glz_window_destroy(window);
}

/* A picture that was there before costs next to nothing, also when others came between. */
static void what_was_there_is_not_sent_again(void **state)
{
	enum { SIDE = 90 }; /* the noise repeats itself after 64 KiB */
	struct picture_random random = { 3 };
	uint8_t *first = malloc(SIDE * SIDE * 4), *second = malloc(SIDE * SIDE * 4);
	struct glz_dictionary *dictionary;
	struct buf stream = { 0 };

	picture_fill(&random, PICTURE_NOISE, first, SIDE * SIDE * 4, SIDE * 4, 4);
	picture_fill(&random, PICTURE_NOISE, second, SIDE * SIDE * 4, SIDE * 4, 4);
	assert_int_equal(glz_dictionary_create(&dictionary, 3 * SIDE * SIDE), 0);
	for (int i = 0; i < 4; i++) {
		buf_clear(&stream);
		assert_int_equal(glz_encode(dictionary, &stream, LZ_RGBA, SIDE, SIDE, true,
					 i % 2 ? second : first, SIDE * 4),
			0);
		if (i < 2)
			assert_true(stream.size > SIDE * SIDE * 4);
		else
			assert_true(stream.size < 500);
	}
	assert_int_equal(
		glz_encode(dictionary, &stream, LZ_RGB32, 2 * SIDE, 2 * SIDE, true, first, 0),
		-E2BIG);
	assert_int_equal(glz_encode(dictionary, &stream, LZ_A8, 1, 1, true, first, 4), -EINVAL);
	buf_finish(&stream);
	glz_dictionary_destroy(dictionary);
	free(first);
	free(second);
}

/* Made by spice-server 0.15.1: a picture, another that begins in it, and one with a palette. */
static const uint8_t peer_first[] = { 0x20, 0x20, 0x5a, 0x4c, 0x00, 0x01, 0x00, 0x01, 0x18, 0x00,
	0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x50, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x13, 0x00, 0x00, 0x00, 0x03, 0x02, 0x01,
	0x06, 0x04, 0x02, 0x09, 0x06, 0x03, 0x0c, 0x08, 0x04, 0x0f, 0x0a, 0x05, 0x12, 0x0c, 0x06,
	0x15, 0x0e, 0x07, 0x18, 0x10, 0x08, 0x1b, 0x12, 0x09, 0x1e, 0x14, 0x0a, 0x21, 0x16, 0x0b,
	0x24, 0x18, 0x0c, 0x27, 0x1a, 0x0d, 0x2a, 0x1c, 0x0e, 0x2d, 0x1e, 0x0f, 0x30, 0x20, 0x10,
	0x33, 0x22, 0x11, 0x36, 0x24, 0x12, 0x39, 0x26, 0x13 };
static const uint8_t peer_second[] = { 0x20, 0x20, 0x5a, 0x4c, 0x00, 0x01, 0x00, 0x01, 0x18, 0x00,
	0x00, 0x00, 0x0a, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x28, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x01, 0x09, 0x06, 0x03, 0x0c, 0x08, 0x04,
	0xe5, 0x08, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00, 0x03, 0x02, 0x01, 0x06, 0x04, 0x02 };
static const uint8_t peer_palette[] = { 0x20, 0x20, 0x5a, 0x4c, 0x00, 0x01, 0x00, 0x01, 0x14, 0x00,
	0x00, 0x00, 0x09, 0x00, 0x00, 0x00, 0x06, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x02, 0x05, 0x00, 0x13, 0x26, 0x39, 0x4c, 0x5f,
	0xe5, 0x0d, 0x00, 0x00, 0x01, 0x4c, 0x5f };

static void a_peers_streams_are_read(void **state)
{
	struct surface *surface;
	struct glz_window *window;
	uint32_t colours[16];

	for (uint32_t i = 0; i < 16; i++)
		colours[i] = 0x101112 * i;
	assert_int_equal(glz_window_create(&window, 1000), 0);
	assert_int_equal(
		glz_decode(window, peer_second, sizeof(peer_second), NULL, 0, &surface), -EAGAIN);
	assert_int_equal(glz_decode(window, peer_first, sizeof(peer_first), NULL, 0, &surface), 0);
	for (uint32_t x = 0; x < 20; x++)
		assert_int_equal(((uint32_t *)(void *)surface->data)[x], 0x010203 * x);
	surface_unref(surface);
	assert_int_equal(
		glz_decode(window, peer_second, sizeof(peer_second), NULL, 0, &surface), 0);
	for (uint32_t i = 0; i < 20; i++)
		assert_int_equal(((uint32_t *)(void *)surface->data)[i], 0x010203 * ((i + 3) % 20));
	surface_unref(surface);
	assert_int_equal(
		glz_decode(window, peer_palette, sizeof(peer_palette), colours, 15, &surface), 0);
	for (uint32_t i = 0; i < 54; i++) {
		uint32_t x = i % 9, y = i / 9, byte = (y * 5 + x / 2) % 6 * 0x13;
		uint32_t index = x % 2 ? byte & 15 : byte >> 4;

		assert_int_equal(((uint32_t *)(void *)surface_row(surface, y))[x],
			index < 15 ? 0x101112 * index : 0);
	}
	surface_unref(surface);
	assert_int_equal(/* the same once more */
		glz_decode(window, peer_second, sizeof(peer_second), NULL, 0, &surface), -EPROTO);
	glz_window_destroy(window);
}

static void broken_streams_are_refused_or_harmless(void **state)
{
	enum { WIDTH = 37, HEIGHT = 11 };
	struct picture_random random = { 5 };
	uint8_t pixels[WIDTH * HEIGHT * 4], *bytes;
	struct glz_dictionary *dictionary;
	struct surface *surface = NULL;
	struct glz_window *window;
	struct buf streams[2] = { { 0 } };

	picture_fill(&random, PICTURE_TEXT, pixels, sizeof(pixels), WIDTH * 4, 4);
	assert_int_equal(glz_dictionary_create(&dictionary, 1000), 0);
	for (int i = 0; i < 2; i++) {
		pixels[4 * i + 100] ^= 1;
		assert_int_equal(glz_encode(dictionary, &streams[i], LZ_RGBA, WIDTH, HEIGHT, true,
					 pixels, WIDTH * 4),
			0);
	}
	bytes = malloc(streams[1].size + 1);
	for (int round = 0; round < 6000; round++) {
		size_t size = round < (int)streams[1].size ? (size_t)round : streams[1].size;
		uint8_t *cut = malloc(size + 1); /* ends where it is cut: readers beyond are seen */
		int err;

		assert_int_equal(glz_window_create(&window, 1000), 0);
		assert_int_equal(glz_decode(window, buf_bytes(&streams[0]), streams[0].size, NULL,
					 0, &surface),
			0);
		surface_unref(surface);
		memcpy(cut, buf_bytes(&streams[1]), size);
		for (int n = 0; size == streams[1].size && n < 3; n++)
			cut[(round % 2 ? 33 : 8) + picture_random(&random, (uint32_t)size - 33)] =
				(uint8_t)picture_random(&random, 256);
		err = glz_decode(window, cut, size, NULL, 0, &surface);
		if (size < streams[1].size)
			assert_int_equal(err, -EPROTO);
		if (!err)
			surface_unref(surface);
		glz_window_destroy(window);
		free(cut);
	}
	free(bytes);
	buf_finish(&streams[0]);
	buf_finish(&streams[1]);
	glz_dictionary_destroy(dictionary);
}

/* A server that never lets a picture go: what is held ends at four windows. */
static void a_window_is_bounded(void **state)
{
	enum { WIDTH = 50, HEIGHT = 20, LIMIT = 10 * WIDTH * HEIGHT };
	static const uint8_t pixels[WIDTH * HEIGHT * 4];
	struct glz_dictionary *dictionary;
	struct surface *surface;
	struct glz_window *window;
	int held = 0, err = 0;

	assert_int_equal(glz_dictionary_create(&dictionary, 1000 * WIDTH * HEIGHT), 0);
	assert_int_equal(glz_window_create(&window, LIMIT), 0);
	for (; held < 100; held++) {
		struct buf stream = { 0 };

		glz_encode(dictionary, &stream, LZ_RGB32, WIDTH, HEIGHT, true, pixels, WIDTH * 4);
		err = glz_decode(window, buf_bytes(&stream), stream.size, NULL, 0, &surface);
		buf_finish(&stream);
		if (err)
			break;
		surface_unref(surface);
	}
	assert_int_equal(err, -EPROTO);
	assert_int_equal(held, 40);
	glz_window_clear(window);
	assert_int_equal(glz_decode(window, peer_first, sizeof(peer_first), NULL, 0, &surface), 0);
	surface_unref(surface);
	glz_window_destroy(window);
	glz_dictionary_destroy(dictionary);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pictures_come_back),
		cmocka_unit_test(large_pictures_come_back),
		cmocka_unit_test(channels_wait_for_each_other),
		cmocka_unit_test(what_was_there_is_not_sent_again),
		cmocka_unit_test(a_peers_streams_are_read),
		cmocka_unit_test(broken_streams_are_refused_or_harmless),
		cmocka_unit_test(a_window_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

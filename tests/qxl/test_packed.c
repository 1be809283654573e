/* SPDX-License-Identifier: MIT */
/* Pictures that the guest's driver packed: what reaches the codec, and what must not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <spice/qxl_dev.h>

#include "core/util.h"
#include "qxl/qxl_parse.h"

enum { WIDTH = 20, HEIGHT = 10, MEMORY = 4096, FIRST = 100, SECOND = 57 };

static const uint64_t address = UINT64_C(1) << 56;

struct guest {
	uint8_t *memory; /* of exactly MEMORY bytes, so that tools see what is read beyond */
	struct qxl_slots slots;
	struct qxl_parser parser;
};

/* Stands for the codecs: bytes 0, 1, 2, ... of the two chunks. */
static int unpack(enum qxl_packing packing, const uint8_t *data, size_t size, uint32_t width,
	uint32_t height, struct image **out)
{
	if (size != FIRST + SECOND || packing != QXL_PACKED_QUIC)
		return -EINVAL;
	for (size_t i = 0; i < size; i++)
		if (data[i] != (uint8_t)i)
			return -EINVAL;
	return image_create(out, IMAGE_XRGB8888, width, height);
}

static QXLImage *image_of(struct guest *g)
{
	return (QXLImage *)(void *)g->memory;
}

/* Offsets of what follows the descriptor; memory need not be aligned. */
enum {
	SIZE_AT = sizeof(QXLImageDescriptor),
	CHUNK_AT = SIZE_AT + 4,
	DATA_AT = CHUNK_AT + sizeof(QXLDataChunk),
	NEXT_AT = MEMORY - sizeof(QXLDataChunk) - SECOND, /* ends where the memory does */
};

static void put_chunk(struct guest *g, size_t at, uint64_t next, uint32_t size, uint8_t first)
{
	QXLDataChunk chunk = { .data_size = size, .next_chunk = next };

	memcpy(g->memory + at, &chunk, sizeof(chunk));
	for (uint32_t i = 0; i < size; i++)
		g->memory[at + sizeof(chunk) + i] = (uint8_t)(first + i);
}

static void put_size(struct guest *g, uint32_t size)
{
	memcpy(g->memory + SIZE_AT, &size, sizeof(size));
}

static int setup(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));

	g->memory = calloc(1, MEMORY);
	g->slots.slot[1] = (struct qxl_slot){ .active = true, .host = g->memory, .size = MEMORY };
	g->parser = (struct qxl_parser){ .slots = &g->slots, .unpack = unpack };
	image_of(g)->descriptor = (QXLImageDescriptor){ .id = 77,
		.type = SPICE_IMAGE_TYPE_QUIC,
		.flags = QXL_IMAGE_CACHE | QXL_IMAGE_HIGH_BITS_SET,
		.width = WIDTH,
		.height = HEIGHT };
	put_size(g, FIRST + SECOND);
	put_chunk(g, CHUNK_AT, address + NEXT_AT, FIRST, 0);
	put_chunk(g, NEXT_AT, 0, SECOND, FIRST);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct guest *g = *state;

	free(g->memory);
	free(g);
	return 0;
}

static int parse(struct guest *g, struct rect *area)
{
	struct draw_source source;
	int err = qxl_parse_image(&g->parser, address, area, false, &source);

	if (err)
		assert_null(source.image);
	image_unref(source.image);
	return err;
}

static void test_chunks(void **state)
{
	struct guest *g = *state;
	struct rect area = rect_make(3, 2, 5, 6);
	struct draw_source source;

	assert_int_equal(qxl_parse_image(&g->parser, address, &area, false, &source), 0);
	assert_non_null(source.image);
	assert_int_equal(source.image->width, WIDTH);
	assert_int_equal(source.image->id, 77);
	assert_int_equal(source.image->flags, IMAGE_CACHE_ME | IMAGE_HIGH_BITS_SET);
	assert_int_equal(area.left, 3); /* it is whole */
	assert_int_equal(area.bottom, 8);
	image_unref(source.image);
}

static void test_unknown(void **state)
{
	struct guest *g = *state;

	g->parser.unpack = NULL;
	assert_int_equal(parse(g, NULL), -ENOTSUP);
	g->parser.unpack = unpack;
	image_of(g)->descriptor.type = SPICE_IMAGE_TYPE_GLZ_RGB;
	assert_int_equal(parse(g, NULL), -ENOTSUP);
	image_of(g)->descriptor.type = SPICE_IMAGE_TYPE_LZ_RGB;
	assert_int_equal(parse(g, NULL), -EINVAL); /* the codec's own word */
}

static void test_bad_sizes(void **state)
{
	static const uint32_t bad[][2] = { { 0, 10 }, { 10, 0 }, { SURFACE_MAX_SIDE + 1, 1 },
		{ 1, SURFACE_MAX_SIDE + 1 }, { 0x80000000, 0x80000000 }, { UINT32_MAX, 1 } };
	struct guest *g = *state;
	struct rect beyond = rect_make(WIDTH - 2, 0, 3, 1), none = { 0 };

	assert_int_equal(parse(g, &beyond), -EINVAL);
	assert_int_equal(parse(g, &none), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		image_of(g)->descriptor.width = bad[i][0];
		image_of(g)->descriptor.height = bad[i][1];
		assert_int_equal(parse(g, NULL), -EINVAL);
	}
	/* A few bytes could stand for it, and hold up the machine. */
	image_of(g)->descriptor.width = image_of(g)->descriptor.height = SURFACE_MAX_SIDE;
	assert_int_equal(parse(g, NULL), -ENOTSUP);
}

static void test_bad_data(void **state)
{
	struct guest *g = *state;

	put_size(g, 0);
	assert_int_equal(parse(g, NULL), -EINVAL);
	put_size(g, UINT32_MAX);
	assert_int_equal(parse(g, NULL), -EINVAL);
	put_size(g, FIRST + SECOND + 1); /* more than there is */
	assert_int_equal(parse(g, NULL), -EINVAL);
	put_size(g, FIRST + SECOND - 1); /* less: the codec says no */
	assert_int_equal(parse(g, NULL), -EINVAL);
	put_size(g, FIRST + SECOND);
	assert_int_equal(parse(g, NULL), 0);
	put_chunk(g, NEXT_AT, 0, SECOND, 0);
	assert_int_equal(parse(g, NULL), -EINVAL);
	/* A chunk that is nowhere, one that ends beyond the memory, and a ring of them. */
	put_chunk(g, CHUNK_AT, address + MEMORY, FIRST, 0);
	assert_true(parse(g, NULL) < 0);
	put_chunk(g, CHUNK_AT, UINT64_MAX, FIRST, 0);
	assert_true(parse(g, NULL) < 0);
	put_chunk(g, CHUNK_AT, address + NEXT_AT + 1, FIRST, 0);
	assert_true(parse(g, NULL) < 0);
	put_chunk(g, CHUNK_AT, address + CHUNK_AT, 0, 0);
	assert_true(parse(g, NULL) < 0);
}

/* The header cut off at each byte of the slot. */
static void test_cut(void **state)
{
	struct guest *g = *state;

	for (uint64_t size = 0; size < MEMORY; size += size < DATA_AT + FIRST ? 1 : 97) {
		g->slots.slot[1].size = size;
		assert_true(parse(g, NULL) < 0);
	}
	g->slots.slot[1].size = MEMORY;
	assert_int_equal(parse(g, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_chunks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_data, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

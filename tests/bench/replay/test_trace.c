/* SPDX-License-Identifier: MIT */
/* The reader of recordings: every kind of record and drawing, packed and plain, and what is cut off
 * or damaged. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <spice/qxl_dev.h>
#include <zlib.h>
#include <zstd.h>

#include "core/buf.h"
#include "core/display.h"
#include "core/log.h"
#include "core/util.h"
#include "tests/bench/replay/player.h"

enum { WIDTH = 64, HEIGHT = 48, EVENT_PRIMARY = 20, EVENT_PRIMARY_ASYNC = 29 };

/* ---- writing a trace ---- */

__attribute__((format(printf, 2, 3))) static void say(struct buf *t, const char *format, ...)
{
	char text[512];
	va_list args;
	int size;

	va_start(args, format);
	size = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	assert_true(size >= 0 && (size_t)size < sizeof(text));
	assert_int_equal(buf_append(t, text, (size_t)size), 0);
}

static void block(struct buf *t, const char *name, const void *bytes, size_t size)
{
	say(t, "binary 0 %s %zu:", name, size);
	assert_int_equal(buf_append(t, bytes, size), 0);
	say(t, "\n");
}

static void zlib_block(struct buf *t, const char *name, const void *bytes, size_t size)
{
	uint8_t packed[4096];
	uLongf packed_size = sizeof(packed);

	assert_int_equal(compress(packed, &packed_size, bytes, size), Z_OK);
	say(t, "binary 1 %s %zu:%lu:", name, size, packed_size);
	assert_int_equal(buf_append(t, packed, packed_size), 0);
	say(t, "\n");
}

/* One chunk. */
static void chunk(struct buf *t, const char *name, const void *bytes, size_t size)
{
	say(t, "data_chunks 0 %zu\n", size);
	block(t, name, bytes, size);
}

static void command(struct buf *t, unsigned type)
{
	say(t, "event 7 0 %u 1000\n", type);
}

static void primary(struct buf *t, int event)
{
	uint8_t *zeros = calloc(1, (size_t)WIDTH * HEIGHT * 4);

	say(t, "event 0 1 %d 500\n%d %d %d 32\n0 1 0 0\n", event, WIDTH, HEIGHT, -WIDTH * 4);
	block(t, "data", zeros, (size_t)WIDTH * HEIGHT * 4);
	free(zeros);
}

static void begin_draw(struct buf *t, unsigned type)
{
	command(t, 1);
	say(t,
		"drawable\nrect bbox 0 0 8 8\ntype 0\neffect 1\nmm_time 77\nself_bitmap 0\n"
		"rect self_bitmap_area 0 0 0 0\nsurface_id 0\n");
	for (int i = 0; i < 3; i++)
		say(t, "surfaces_dest -1\nrect surfaces_rects 1 -2 3 4\n");
	say(t, "type %u\n", type);
}

/* 8x8 of one colour; in two chunks, the second packed. */
static void image(struct buf *t, uint32_t color)
{
	uint32_t pixels[64];

	for (int i = 0; i < 64; i++)
		pixels[i] = color;
	say(t,
		"image 1\ndescriptor.id 18446744073709551615\ndescriptor.type 0\ndescriptor.flags 1\n"
		"descriptor.width 8\ndescriptor.height 8\nbitmap.format 8\nbitmap.flags 4\n"
		"bitmap.x 8\nbitmap.y 8\nbitmap.stride 32\nhas_palette 0\ndata_chunks 1 256\n");
	block(t, "bitmap.data", pixels, 100);
	zlib_block(t, "bitmap.data", (uint8_t *)pixels + 100, 156);
}

static void palette_image(struct buf *t)
{
	const uint8_t bits[8] = { 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0 };

	say(t,
		"image 1\ndescriptor.id 5\ndescriptor.type 0\ndescriptor.flags 0\n"
		"descriptor.width 8\ndescriptor.height 8\nbitmap.format 2\nbitmap.flags 5\n"
		"bitmap.x 8\nbitmap.y 8\nbitmap.stride 1\nhas_palette 1\nqp.num_ents 2\nunique 9\n"
		"ents 255\nents 16711680\n");
	say(t, "binary 0 image_data_flat 8:");
	assert_int_equal(buf_append(t, bits, 8), 0);
	say(t, "\n");
}

static void surface_image(struct buf *t, uint32_t id)
{
	say(t,
		"image 1\ndescriptor.id 0\ndescriptor.type 104\ndescriptor.flags 0\n"
		"descriptor.width 8\ndescriptor.height 8\nsurface_image.surface_id %u\n",
		id);
}

static void area(struct buf *t)
{
	say(t, "rect src_area 0 0 8 8\n");
}

static void solid(struct buf *t, uint32_t color)
{
	say(t, "type 1\nu.color %d\n", (int32_t)color);
}

static void no_mask(struct buf *t)
{
	say(t, "flags 0\npoint 0 0\nimage 0\n");
}

static void all_drawings(struct buf *t)
{
	const uint32_t path[] = { 3, 2, 0, 0, 80, 80 }; /* flags, points */
	const uint32_t dashes[] = { 32, 32 };
	const uint32_t matrix[] = { 65536, 0, 0, 0, 65536, 0 };
	/* Two positions, 8x1 of depth 1, its bits. */
	const uint8_t glyph[21] = { [8] = 0, [16] = 8, [18] = 1, [20] = 0xff };

	begin_draw(t, QXL_DRAW_FILL);
	solid(t, 0x112233);
	say(t, "rop_descriptor 8\n");
	no_mask(t);
	begin_draw(t, QXL_DRAW_FILL);
	say(t, "type 2\n");
	palette_image(t);
	say(t, "point 1 2\nrop_descriptor 8\n");
	no_mask(t);
	begin_draw(t, QXL_DRAW_OPAQUE);
	image(t, 0x445566);
	area(t);
	solid(t, 0xffffff);
	say(t, "rop_descriptor 32\nscale_mode 1\n");
	no_mask(t);
	begin_draw(t, QXL_DRAW_COPY);
	surface_image(t, 3);
	area(t);
	say(t, "rop_descriptor 8\nscale_mode 1\n");
	no_mask(t);
	begin_draw(t, QXL_DRAW_BLEND);
	image(t, 0x778899);
	area(t);
	say(t, "rop_descriptor 8\nscale_mode 0\n");
	no_mask(t);
	begin_draw(t, QXL_COPY_BITS);
	say(t, "point 16 16\n");
	begin_draw(t, QXL_DRAW_BLACKNESS);
	no_mask(t);
	begin_draw(t, QXL_DRAW_WHITENESS);
	no_mask(t);
	begin_draw(t, QXL_DRAW_INVERS);
	say(t, "flags 1\npoint 0 0\n");
	palette_image(t);
	begin_draw(t, QXL_DRAW_ROP3);
	image(t, 0x101010);
	area(t);
	solid(t, 0x202020);
	say(t, "rop3 204\nscale_mode 1\n");
	no_mask(t);
	begin_draw(t, QXL_DRAW_STROKE);
	chunk(t, "path", path, sizeof(path));
	say(t, "attr.flags 8\nattr.style_nseg 2\n");
	block(t, "style", dashes, sizeof(dashes));
	solid(t, 0xff00ff);
	say(t, "fore_mode 8\nback_mode 8\n");
	begin_draw(t, QXL_DRAW_TEXT);
	say(t, "data_size %zu\nlength 1\nflags 1\n", sizeof(glyph));
	chunk(t, "string", glyph, sizeof(glyph));
	say(t, "rect back_area 0 0 0 0\n");
	solid(t, 0x00ff00);
	say(t, "type 0\nfore_mode 8\nback_mode 8\n");
	begin_draw(t, QXL_DRAW_TRANSPARENT);
	image(t, 0xabcdef);
	area(t);
	say(t, "src_color 1\ntrue_color 1\n");
	begin_draw(t, QXL_DRAW_ALPHA_BLEND);
	say(t, "alpha_flags 0\nalpha 128\n");
	image(t, 0xffffff);
	area(t);
	begin_draw(t, QXL_DRAW_COMPOSITE);
	say(t, "flags 3\n");
	image(t, 0xff00aa55);
	say(t, "src_transform 1\n");
	block(t, "transform", matrix, sizeof(matrix));
	say(t, "mask 0\nmask_transform 0\nsrc_origin 0 0\nmask_origin -1 -1\n");
	begin_draw(t, QXL_DRAW_NOP);
}

static const enum draw_type drawn[] = { DRAW_FILL, DRAW_FILL, DRAW_OPAQUE, DRAW_COPY, DRAW_COPY,
	DRAW_COPY_BITS, DRAW_FILL, DRAW_FILL, DRAW_FILL, DRAW_ROP3, DRAW_STROKE, DRAW_TEXT,
	DRAW_TRANSPARENT, DRAW_ALPHA_BLEND, DRAW_COMPOSITE, DRAW_ALPHA_BLEND, DRAW_COPY };

/* The first drivers' layout, a clip, and a last copy that is seen at the end. */
static void more_drawings(struct buf *t)
{
	const int32_t rects[] = { 0, 0, 8, 4, 0, 6, 8, 8 }; /* top, left, bottom, right */

	command(t, 1);
	say(t,
		"drawable\nrect bbox 8 8 16 16\ntype 0\neffect 1\nmm_time 0\nbitmap_offset 0\n"
		"rect bitmap_area 0 0 0 0\ntype %u\nalpha 255\n",
		QXL_DRAW_ALPHA_BLEND);
	image(t, 0xc0ffee);
	area(t);
	command(t, 1);
	say(t, "drawable\nrect bbox 0 0 8 8\ntype 1\nnum_rects 2\n");
	chunk(t, "clip_rects", rects, sizeof(rects));
	say(t, "effect 1\nmm_time 0\nself_bitmap 0\nrect self_bitmap_area 0 0 0 0\nsurface_id 0\n");
	for (int i = 0; i < 3; i++)
		say(t, "surfaces_dest -1\nrect surfaces_rects 0 0 0 0\n");
	say(t, "type %u\n", QXL_DRAW_COPY);
	image(t, 0x123456);
	area(t);
	say(t, "rop_descriptor 8\nscale_mode 1\n");
	no_mask(t);
}

static void other_commands(struct buf *t)
{
	const uint8_t arrow[16 * 16 * 4] = { 1 };
	uint32_t pixels[8 * 8];

	memset(pixels, 0x5a, sizeof(pixels));
	say(t, "event 1 1 1 600\nevent 2 1 22 601\n");
	command(t, 5);
	say(t,
		"surface_cmd\nsurface_id 3\ntype 0\nflags 1\nu.surface_create.format 32\n"
		"u.surface_create.width 8\nu.surface_create.height 8\n"
		"u.surface_create.stride 32\n");
	block(t, "data", pixels, sizeof(pixels));
	command(t, 3);
	say(t,
		"cursor_cmd\ntype 0\npoint16 3 4\nu.set.visible 1\nheader.unique 1\nheader.type 0\n"
		"header.width 16\nheader.height 16\nheader.hot_spot_x 1\nheader.hot_spot_y 2\n"
		"data_size 1024\n");
	chunk(t, "cursor", arrow, sizeof(arrow));
	command(t, 3);
	say(t, "cursor_cmd\ntype 1\npoint16 -5 6\n");
	command(t, 3);
	say(t, "cursor_cmd\ntype 3\nu.trail.length 1\nu.trail.frequency 2\n");
	command(t, 2);
	say(t, "update\nrect area 0 0 8 8\nupdate_id 4\nsurface_id 0\n");
	command(t, 4);
	block(t, "message", "hello", 5);
}

static void whole_trace(struct buf *t)
{
	say(t, "SPICE_REPLAY 1\n");
	primary(t, EVENT_PRIMARY);
	other_commands(t);
	all_drawings(t);
	more_drawings(t);
	command(t, 5);
	say(t, "surface_cmd\nsurface_id 3\ntype 1\nflags 0\n");
}

/* ---- playing it ---- */

struct told {
	struct display_sink sink;
	enum draw_type draws[64];
	uint32_t draw_count, cursors, creates, destroys;
	struct point pointer;
};

static struct told *of_sink(struct display_sink *sink)
{
	return container_of(sink, struct told, sink);
}

static void on_draw(struct display_sink *sink, struct draw *draw)
{
	struct told *told = of_sink(sink);

	if (told->draw_count < ARRAY_SIZE(told->draws))
		told->draws[told->draw_count++] = draw->type;
}

static void on_cursor(struct display_sink *sink, const struct cursor_state *state)
{
	of_sink(sink)->cursors++;
	of_sink(sink)->pointer = state->position;
}

static void on_create(struct display_sink *sink, uint32_t id, struct surface *surface)
{
	of_sink(sink)->creates++;
}

static void on_destroy(struct display_sink *sink, uint32_t id)
{
	of_sink(sink)->destroys++;
}

static const struct display_sink_ops told_ops = { .draw = on_draw,
	.cursor = on_cursor,
	.surface_create = on_create,
	.surface_destroy = on_destroy };

/* Plays bytes; how it ended, what was told, and the primary surface at the end (NULL: none). */
static int play(
	const void *bytes, size_t size, struct told *told, struct image **last, uint64_t *left_out)
{
	int fd = memfd_create("trace", MFD_CLOEXEC), ret;
	struct display *display;
	struct player player;
	char path[64];

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(display_create(&display), 0);
	*told = (struct told){ .sink.ops = &told_ops };
	display_attach(display, &told->sink);
	told->cursors = 0;
	ret = player_init(&player, path, display_sink(display));
	if (ret == 0) {
		while ((ret = player_peek(&player)) == 1)
			player_step(&player);
		if (left_out)
			*left_out = player.left_out;
		player_finish(&player);
	}
	if (last && display_snapshot(display, DISPLAY_PRIMARY, NULL, last) < 0)
		*last = NULL;
	display_detach(display, &told->sink);
	display_destroy(display);
	close(fd);
	return ret;
}

static uint32_t pixel(const struct image *image, uint32_t x, uint32_t y)
{
	uint32_t word;

	image_row_to_argb(image, x, y, 1, &word);
	return word & 0xffffff;
}

/* ---- the tests ---- */

static void check_whole(const void *bytes, size_t size)
{
	uint64_t left_out = 0;
	struct image *last;
	struct told told;

	assert_int_equal(play(bytes, size, &told, &last, &left_out), 0);
	assert_int_equal(left_out, 0);
	assert_int_equal(told.draw_count, ARRAY_SIZE(drawn));
	assert_memory_equal(told.draws, drawn, sizeof(drawn));
	assert_int_equal(told.creates, 2);
	assert_int_equal(told.destroys, 1);
	assert_int_equal(told.cursors, 3); /* reset, set, moved */
	assert_int_equal(told.pointer.x, -5);
	assert_non_null(last);
	assert_int_equal(last->width, WIDTH);
	/* In the clip is the last copy, between its rectangles a composition. */
	assert_int_equal(pixel(last, 0, 0), 0x123456);
	assert_int_equal(pixel(last, 7, 7), 0x123456);
	assert_int_equal(pixel(last, 5, 5), 0x00aa55);
	assert_int_equal(pixel(last, 9, 9), 0xc0ffee);
	image_unref(last);
}

static void test_every_kind(void **state)
{
	struct buf t = { 0 };

	whole_trace(&t);
	check_whole(buf_bytes(&t), t.size);
	buf_finish(&t);
}

static void test_zstd(void **state)
{
	struct buf t = { 0 };
	struct told told;
	size_t size;
	uint8_t *packed;

	whole_trace(&t);
	size = ZSTD_compressBound(t.size);
	packed = malloc(size);
	assert_non_null(packed);
	size = ZSTD_compress(packed, size, buf_bytes(&t), t.size, 3);
	assert_false(ZSTD_isError(size));
	check_whole(packed, size);
	for (size_t cut = 0; cut < size; cut++)
		assert_true(play(packed, cut, &told, NULL, NULL) < 0);
	free(packed);
	buf_finish(&t);
}

/* A picture as large as the screen: in one chunk, which a mapped file holds in place, or two. */
static void large_picture(struct buf *t, size_t first)
{
	uint32_t pixels[WIDTH * HEIGHT];

	for (uint32_t i = 0; i < ARRAY_SIZE(pixels); i++)
		pixels[i] = i * 2654435761u & 0xffffff;
	say(t, "SPICE_REPLAY 1\n");
	primary(t, EVENT_PRIMARY);
	command(t, 1);
	say(t,
		"drawable\nrect bbox 0 0 %d %d\ntype 0\neffect 1\nmm_time 77\nself_bitmap 0\n"
		"rect self_bitmap_area 0 0 0 0\nsurface_id 0\n",
		HEIGHT, WIDTH);
	for (int i = 0; i < 3; i++)
		say(t, "surfaces_dest -1\nrect surfaces_rects 0 0 0 0\n");
	say(t,
		"type %u\nimage 1\ndescriptor.id 7\ndescriptor.type 0\ndescriptor.flags 0\n"
		"descriptor.width %d\ndescriptor.height %d\nbitmap.format 8\nbitmap.flags 4\n"
		"bitmap.x %d\nbitmap.y %d\nbitmap.stride %d\nhas_palette 0\n"
		"data_chunks %d %zu\n",
		QXL_DRAW_COPY, WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH * 4, first < sizeof(pixels),
		sizeof(pixels));
	block(t, "bitmap.data", pixels, first);
	if (first < sizeof(pixels))
		block(t, "bitmap.data", (uint8_t *)pixels + first, sizeof(pixels) - first);
	say(t, "rect src_area 0 0 %d %d\nrop_descriptor 8\nscale_mode 1\n", HEIGHT, WIDTH);
	no_mask(t);
}

static void check_large(const void *bytes, size_t size)
{
	struct image *last;
	struct told told;

	assert_int_equal(play(bytes, size, &told, &last, NULL), 0);
	assert_int_equal(told.draw_count, 1);
	assert_non_null(last);
	for (uint32_t i = 0; i < WIDTH * HEIGHT; i++)
		assert_int_equal(pixel(last, i % WIDTH, i / WIDTH), i * 2654435761u & 0xffffff);
	image_unref(last);
}

static void test_large_pictures(void **state)
{
	for (size_t first = WIDTH * HEIGHT * 4; first > 0; first -= WIDTH * HEIGHT * 2) {
		struct buf t = { 0 };
		struct told told;
		uint8_t *packed;
		size_t size;

		large_picture(&t, first);
		check_large(buf_bytes(&t), t.size);
		assert_int_equal(play(buf_bytes(&t), t.size - 2000, &told, NULL, NULL), -ENODATA);
		size = ZSTD_compressBound(t.size);
		packed = malloc(size);
		assert_non_null(packed);
		size = ZSTD_compress(packed, size, buf_bytes(&t), t.size, 3);
		assert_false(ZSTD_isError(size));
		check_large(packed, size);
		free(packed);
		buf_finish(&t);
	}
}

/* Whose only chunk has less than its rows are. */
static void test_short_picture(void **state)
{
	const size_t first = WIDTH * HEIGHT * 4 - 4;
	uint64_t left_out;
	struct buf t = { 0 };
	struct told told;
	uint8_t *second;

	large_picture(&t, first);
	/* The second chunk goes, and the record's following text is not taken for pixels. */
	memcpy(memmem(buf_bytes(&t), t.size, "data_chunks 1", 13), "data_chunks 0", 13);
	second = memmem(buf_bytes(&t), t.size, "binary 0 bitmap.data 4:", 23);
	assert_non_null(second);
	memset(second, ' ', 23 + 4);
	assert_int_equal(play(buf_bytes(&t), t.size, &told, NULL, &left_out), 0);
	assert_int_equal(left_out, 1);
	assert_int_equal(told.draw_count, 0);
	buf_finish(&t);
}

static void test_primary_events(void **state)
{
	struct buf t = { 0 };
	struct image *last;
	struct told told;

	say(&t, "SPICE_REPLAY 1\n");
	primary(&t, EVENT_PRIMARY_ASYNC);
	say(&t, "event 1 1 21 2\n");
	assert_int_equal(play(buf_bytes(&t), t.size, &told, &last, NULL), 0);
	assert_int_equal(told.creates, 1);
	assert_int_equal(told.destroys, 1);
	assert_null(last);
	primary(&t, EVENT_PRIMARY);
	say(&t, "event 1 1 28 2\n"); /* all surfaces */
	assert_int_equal(play(buf_bytes(&t), t.size, &told, &last, NULL), 0);
	assert_int_equal(told.destroys, 2);
	/* Without its contents. */
	say(&t, "event 2 1 20 3\n16 16 64 32\n0 0 1 0\nbinary 0 data 0:\n");
	assert_int_equal(play(buf_bytes(&t), t.size, &told, &last, NULL), 0);
	assert_non_null(last);
	assert_int_equal(pixel(last, 3, 3), 0);
	image_unref(last);
	buf_finish(&t);
}

/* Wherever it is cut: what was before is told, the cut is, too, unless it lies between records. */
static void test_cut(void **state)
{
	struct buf t = { 0 };
	uint32_t clean = 0, told_before = 0;
	struct told told;

	whole_trace(&t);
	for (size_t cut = 0; cut < t.size; cut++) {
		int ret = play(buf_bytes(&t), cut, &told, NULL, NULL);

		assert_true(ret == 0 || ret == -ENODATA || ret == -EINVAL);
		assert_true(told.draw_count >= told_before);
		told_before = told.draw_count;
		clean += ret == 0;
		if (cut == 64) /* the primary's contents are all alike */
			cut += WIDTH * HEIGHT * 4 - 64;
	}
	/* Between records, after some numbers a shorter one would do, too. */
	assert_in_range(clean, 25, 120);
	buf_finish(&t);
}

static void test_damaged(void **state)
{
	static const char *const wrong[] = {
		"SPICE_REPLAY 2\n",
		"SPICE",
		"",
		"SPICE_REPLAY 1\nevent 1 0 1\n",
		"SPICE_REPLAY 1\nevnt 1 0 1 1\n",
		"SPICE_REPLAY 1\nevent 1 1 20 1\n4 4 16 32\n0 0 0 0\nbinary 0 data 99999999999:",
		"SPICE_REPLAY 1\nevent 1 1 20 1\n4 4 16 32\n0 0 0 0\nbinary 0 data -1:",
		"SPICE_REPLAY 1\nevent 1 1 20 1\n4 4 16 32\n0 0 0 0\nbinary 1 data 64:4:abcd\n",
		("SPICE_REPLAY 1\nevent 1 1 20 1\n1 1 1 32\n0 0 0 0\nbinary 0 data 0:\nevent 1 0 1 1\n"
		 "drawable\nrect bbox 0 0 1 1\ntype 1\nnum_rects 1\ndata_chunks 99999 1\n"),
		"SPICE_REPLAY 1\nevent 1 1 20 1\n65536 65536 262144 32\n0 0 0 0\nbinary 0 data 0:\n",
		"SPICE_REPLAY 99999999999999999999999999\n",
	};
	struct buf t = { 0 };
	uint32_t seed = 1;
	struct told told;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_true(play(wrong[i], strlen(wrong[i]), &told, NULL, NULL) < 0);
	whole_trace(&t);
	for (int run = 0; run < 3000; run++) {
		uint8_t *copy = malloc(t.size);

		assert_non_null(copy);
		memcpy(copy, buf_bytes(&t), t.size);
		for (int i = 0; i < 3; i++) {
			seed = seed * 1664525 + 1013904223;
			copy[(seed >> 8) % t.size] = "0123456789-: \nabc\xff"[seed >> 4 & 15];
		}
		play(copy, t.size, &told, NULL, NULL);
		free(copy);
	}
	buf_finish(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_kind),
		cmocka_unit_test(test_zstd),
		cmocka_unit_test(test_large_pictures),
		cmocka_unit_test(test_short_picture),
		cmocka_unit_test(test_primary_events),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_damaged),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

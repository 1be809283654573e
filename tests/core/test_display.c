/* SPDX-License-Identifier: MIT */
/* The display hub: what is pending is rendered when asked, hidden drawings never; sinks are told. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/canvas.h"
#include "core/display.h"
#include "core/util.h"

struct recorder {
	struct display_sink base;
	char text[128];
};

static void record(struct display_sink *sink, char what, uint32_t id)
{
	struct recorder *r = container_of(sink, struct recorder, base);
	size_t n = strlen(r->text);

	assert_true(n + 3 < sizeof(r->text));
	r->text[n] = what;
	r->text[n + 1] = (char)('0' + id);
	r->text[n + 2] = 0;
}

static void on_create(struct display_sink *sink, uint32_t id, struct surface *surface)
{
	record(sink, 'c', id);
}
static void on_destroy(struct display_sink *sink, uint32_t id)
{
	record(sink, 'd', id);
}
static void on_draw(struct display_sink *sink, struct draw *draw)
{
	record(sink, 'w', draw->surface_id);
}
static void on_dirty(struct display_sink *sink, uint32_t id, const struct rect *area)
{
	record(sink, 'y', id);
}
static void on_cursor(struct display_sink *sink, const struct cursor_state *state)
{
	record(sink, 'p', state->visible);
}

static const struct display_sink_ops recorder_ops = {
	.surface_create = on_create,
	.surface_destroy = on_destroy,
	.draw = on_draw,
	.dirty = on_dirty,
	.cursor = on_cursor,
};

static struct draw *fill(uint32_t id, int32_t x, int32_t y, int32_t w, int32_t h, uint32_t color)
{
	struct rect box = rect_make(x, y, w, h);
	struct draw *d;

	assert_int_equal(draw_create(&d, DRAW_FILL, id, &box), 0);
	d->fill.brush = (struct brush){ .type = BRUSH_SOLID, .color = color };
	return d;
}

static void feed(struct display *display, struct draw *d)
{
	struct display_sink *sink = display_sink(display);

	sink->ops->draw(sink, d);
	draw_unref(d);
}

static void add_surface(struct display *display, uint32_t id, uint32_t w, uint32_t h)
{
	struct display_sink *sink = display_sink(display);
	struct surface *s;

	assert_int_equal(surface_create(&s, SURFACE_XRGB8888, w, h), 0);
	sink->ops->surface_create(sink, id, s);
	surface_unref(s);
}

static uint32_t pixel(struct display *display, uint32_t id, uint32_t x, uint32_t y)
{
	struct rect area = rect_make((int32_t)x, (int32_t)y, 1, 1);
	struct surface *s;
	uint32_t word;

	display_lock(display);
	s = display_sync(display, id, &area);
	assert_non_null(s);
	surface_load_words(s, x, y, 1, &word);
	display_unlock(display);
	return word;
}

static void sinks_hear_all_and_late_ones_the_state(void **state)
{
	struct recorder early = { { &recorder_ops }, "" }, late = { { &recorder_ops }, "" };
	struct cursor_state cursor = { .visible = true };
	struct rect area = { 0, 0, 1, 1 };
	struct display *display;
	struct display_sink *sink;

	assert_int_equal(display_create(&display), 0);
	sink = display_sink(display);
	assert_int_equal(display_attach(display, &early.base), 0);
	add_surface(display, 0, 8, 8);
	add_surface(display, 3, 4, 4);
	feed(display, fill(3, 0, 0, 1, 1, 5));
	feed(display, fill(4, 0, 0, 1, 1, 5)); /* no such surface */
	sink->ops->dirty(sink, 0, &area);
	sink->ops->cursor(sink, &cursor);
	sink->ops->surface_destroy(sink, 3);
	sink->ops->surface_destroy(sink, 3);
	assert_string_equal(early.text, "p0c0c3w3y0p1d3");
	assert_int_equal(display_attach(display, &late.base), 0);
	assert_string_equal(late.text, "c0p1");
	display_detach(display, &early.base);
	feed(display, fill(0, 0, 0, 1, 1, 5));
	assert_string_equal(early.text, "p0c0c3w3y0p1d3");
	assert_string_equal(late.text, "c0p1w0");
	display_destroy(display);
}

/* Surface memory shows when something was rendered. */
static void pixels_are_made_when_asked_for(void **state)
{
	struct display *display;
	struct surface *s;
	uint32_t word;

	assert_int_equal(display_create(&display), 0);
	assert_int_equal(surface_create(&s, SURFACE_XRGB8888, 8, 8), 0);
	display_sink(display)->ops->surface_create(display_sink(display), 0, s);
	feed(display, fill(0, 0, 0, 4, 4, 7));
	surface_load_words(s, 0, 0, 1, &word);
	assert_int_equal(word, 0);
	assert_int_equal(pixel(display, 0, 6, 6), 0); /* not touched by what is pending */
	surface_load_words(s, 0, 0, 1, &word);
	assert_int_equal(word, 0);
	assert_int_equal(pixel(display, 0, 0, 0), 7);
	surface_unref(s);
	display_destroy(display);
}

static void what_is_hidden_is_never_rendered(void **state)
{
	struct display *display;
	struct draw *hidden = fill(0, 1, 1, 2, 2, 7);

	assert_int_equal(display_create(&display), 0);
	add_surface(display, 0, 8, 8);
	draw_ref(hidden);
	feed(display, hidden);
	assert_int_equal(hidden->refs, 2); /* pending */
	feed(display, fill(0, 0, 0, 4, 4, 9));
	assert_int_equal(hidden->refs, 1); /* dropped without being drawn */
	assert_int_equal(pixel(display, 0, 1, 1), 9);
	draw_unref(hidden);
	display_destroy(display);
}

/* A drawing that another one reads stays, though it is painted over later. */
static void what_is_read_before_is_not_dropped(void **state)
{
	struct rect box = rect_make(4, 4, 2, 2);
	struct display *display;
	struct draw *copy;

	assert_int_equal(display_create(&display), 0);
	add_surface(display, 0, 8, 8);
	feed(display, fill(0, 1, 1, 2, 2, 7));
	assert_int_equal(draw_create(&copy, DRAW_COPY_BITS, 0, &box), 0);
	copy->copy_bits.from = (struct point){ 1, 1 };
	feed(display, copy);
	feed(display, fill(0, 0, 0, 4, 4, 9));
	assert_int_equal(pixel(display, 0, 4, 4), 7);
	assert_int_equal(pixel(display, 0, 1, 1), 9);
	display_destroy(display);
}

/* A surface that goes is first copied to where a pending drawing wants it. */
static void a_surface_is_read_before_it_goes(void **state)
{
	struct rect box = rect_make(0, 0, 2, 2);
	struct display *display;
	struct draw *copy;

	assert_int_equal(display_create(&display), 0);
	add_surface(display, 0, 8, 8);
	add_surface(display, 1, 2, 2);
	feed(display, fill(1, 0, 0, 2, 2, 7));
	assert_int_equal(draw_create(&copy, DRAW_COPY, 0, &box), 0);
	copy->copy.source.surface_id = 1;
	copy->copy.area = box;
	feed(display, copy);
	display_sink(display)->ops->surface_destroy(display_sink(display), 1);
	assert_int_equal(pixel(display, 0, 1, 1), 7);
	display_destroy(display);
}

/* Random drawings through the hub, asked for now and then, end as drawn one by one. */
static void laziness_does_not_show(void **state)
{
	struct surface *plain, *lazy;
	struct display *display;
	uint32_t seed = 99;

	assert_int_equal(display_create(&display), 0);
	add_surface(display, 0, 32, 32);
	assert_int_equal(surface_create(&plain, SURFACE_XRGB8888, 32, 32), 0);
	for (int i = 0; i < 20000; i++) {
		struct rect box;
		struct draw *d;

		seed = seed * 1664525u + 1013904223u;
		box = rect_make(seed >> 8 & 31, seed >> 13 & 31, seed >> 18 & 15, seed >> 22 & 15);
		if (seed >> 28 < 4) {
			assert_int_equal(draw_create(&d, DRAW_COPY_BITS, 0, &box), 0);
			d->copy_bits.from = (struct point){ seed >> 3 & 31, seed >> 9 & 31 };
		} else {
			d = fill(0, box.left, box.top, rect_width(&box), rect_height(&box),
				seed >> 8);
			if (seed >> 28 < 7)
				d->fill.rop.op = ROP_XOR;
		}
		canvas_draw(plain, d, NULL, NULL);
		feed(display, d);
		if (i % 100 == 0)
			pixel(display, 0, seed >> 5 & 31, seed >> 15 & 31);
	}
	display_lock(display);
	lazy = display_sync(display, 0, NULL);
	for (uint32_t y = 0; y < 32; y++)
		assert_memory_equal(surface_row(lazy, y), surface_row(plain, y), 32 * 4);
	display_unlock(display);
	surface_unref(plain);
	display_destroy(display);
}

static void a_snapshot_is_a_copy(void **state)
{
	struct rect area = { 2, 2, 6, 12 };
	struct display *display;
	struct image *image;
	uint32_t argb[4];

	assert_int_equal(display_create(&display), 0);
	add_surface(display, 0, 8, 8);
	feed(display, fill(0, 2, 2, 4, 4, 0x102030));
	assert_int_equal(display_snapshot(display, 1, NULL, &image), -ENOENT);
	assert_int_equal(display_snapshot(display, 0, &area, &image), 0);
	assert_int_equal(image->width, 4);
	assert_int_equal(image->height, 6); /* cut to the surface */
	feed(display, fill(0, 0, 0, 8, 8, 0));
	image_row_to_argb(image, 0, 3, 4, argb);
	assert_int_equal(argb[3], 0xff102030);
	image_unref(image);
	display_destroy(display);
}

/* A copy of a 16x16 picture's part to a box of the same size; the picture's pixels tell their place. */
static struct draw *copy(struct image *image, int32_t x, int32_t y, const struct rect *area)
{
	struct rect box = rect_make(x, y, rect_width(area), rect_height(area));
	struct draw *d;

	assert_int_equal(draw_create(&d, DRAW_COPY, 0, &box), 0);
	d->copy.source.image = image_ref(image);
	d->copy.area = *area;
	return d;
}

static struct image *picture(uint32_t base)
{
	struct image *image;

	assert_int_equal(image_create(&image, IMAGE_XRGB8888, 16, 16), 0);
	for (uint32_t i = 0; i < 256; i++)
		memcpy(image->data + i * 4, &(uint32_t){ base + i }, 4);
	return image;
}

/* That rows are what a snapshot has; how many of them lie in the picture. */
static uint32_t check_rows(
	struct display *display, const struct rect *area, const struct image *image)
{
	struct pixel_rows *rows;
	struct image *snapshot;
	uint32_t inside = 0;

	assert_int_equal(display_rows(display, 0, area, &rows), 0);
	assert_int_equal(rows->width, rect_width(area));
	assert_int_equal(rows->height, rect_height(area));
	assert_int_equal(display_snapshot(display, 0, area, &snapshot), 0);
	for (uint32_t y = 0; y < rows->height; y++) {
		for (uint32_t x = 0; x < rows->width; x++) {
			uint32_t word;

			memcpy(&word, rows->rows[y] + x * 4, 4);
			assert_int_equal(word & 0xffffff,
				((const uint32_t *)(const void *)(snapshot->data +
					(size_t)snapshot->stride * y))[x] &
					0xffffff);
		}
		inside += rows->rows[y] >= image->data && rows->rows[y] < image->data + 1024;
	}
	image_unref(snapshot);
	pixel_rows_unref(rows);
	return inside;
}

static void rows_are_those_of_pictures_that_wait(void **state)
{
	const struct rect area = { 4, 4, 12, 14 }, whole = { 0, 0, 16, 16 };
	const struct rect strip = { 2, 3, 14, 7 }, shifted = { 0, 2, 8, 6 };
	struct image *below = picture(0x1000), *image = picture(0x2000);
	struct display *display;
	struct pixel_rows *rows;
	struct draw *d;

	assert_int_equal(display_create(&display), 0);
	assert_int_equal(display_rows(display, 0, &area, &rows), -ENOENT);
	add_surface(display, 0, 20, 20);
	assert_int_equal(display_rows(display, 0, &(struct rect){ 4, 4, 21, 8 }, &rows), -ENOENT);
	/* Nothing waits; then all of it, and then one strip of another picture above that. */
	feed(display, fill(0, 0, 0, 20, 20, 0x30));
	assert_int_equal(pixel(display, 0, 0, 0), 0x30);
	assert_int_equal(check_rows(display, &area, image), 0);
	feed(display, copy(below, 0, 0, &whole));
	feed(display, copy(image, 3, 5, &strip));
	assert_int_equal(check_rows(display, &area, image), 4);
	/* check_rows() has it rendered: from here on one strip waits, the rest is the surface's. */
	assert_int_equal(check_rows(display, &area, image), 0);
	feed(display, copy(image, 4, 8, &shifted));
	assert_int_equal(check_rows(display, &area, image), 4);
	/* A fill beside the area, one within another surface's pixels: no matter. */
	feed(display, copy(image, 4, 8, &shifted));
	feed(display, fill(0, 0, 0, 4, 20, 0x44));
	assert_int_equal(check_rows(display, &area, image), 4);
	/* One under the picture is, one over it is rendered. */
	feed(display, fill(0, 0, 0, 20, 6, 0x55));
	feed(display, copy(image, 2, 2, &whole));
	assert_int_equal(check_rows(display, &area, image), 10);
	feed(display, copy(image, 2, 2, &whole));
	feed(display, fill(0, 5, 5, 1, 1, 0x66));
	assert_int_equal(check_rows(display, &area, image), 0);
	/* A picture that reaches over half of the rows, or is clipped there. */
	feed(display, copy(image, 5, 2, &strip));
	assert_int_equal(check_rows(display, &area, image), 0);
	d = copy(image, 2, 2, &whole);
	d->clipped = true;
	region_add_rect(&d->clip, &(struct rect){ 0, 0, 20, 9 });
	region_add_rect(&d->clip, &(struct rect){ 0, 9, 6, 20 });
	feed(display, d);
	assert_int_equal(check_rows(display, &area, image), 0);
	/* Clipped where it does not matter; inverted. */
	d = copy(image, 2, 2, &whole);
	d->clipped = true;
	region_add_rect(&d->clip, &(struct rect){ 0, 0, 12, 20 });
	feed(display, d);
	assert_int_equal(check_rows(display, &area, image), 10);
	d = copy(image, 2, 2, &whole);
	d->copy.rop.invert_source = true;
	feed(display, d);
	assert_int_equal(check_rows(display, &area, image), 0);
	image_unref(below);
	image_unref(image);
	display_destroy(display);
}

/* Whoever holds rows has them whatever becomes of the display. */
static void rows_stay(void **state)
{
	const struct rect whole = { 0, 0, 16, 16 };
	struct image *image = picture(7);
	struct pixel_rows *rows;
	struct display *display;
	uint32_t word;

	assert_int_equal(display_create(&display), 0);
	add_surface(display, 0, 16, 16);
	feed(display, copy(image, 0, 0, &whole));
	image_unref(image);
	assert_int_equal(display_rows(display, 0, &whole, &rows), 0);
	feed(display, fill(0, 0, 0, 16, 16, 0));
	assert_int_equal(pixel(display, 0, 3, 3), 0);
	display_destroy(display);
	memcpy(&word, rows->rows[15] + 60, 4);
	assert_int_equal(word, 7 + 255);
	pixel_rows_unref(rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sinks_hear_all_and_late_ones_the_state),
		cmocka_unit_test(pixels_are_made_when_asked_for),
		cmocka_unit_test(what_is_hidden_is_never_rendered),
		cmocka_unit_test(what_is_read_before_is_not_dropped),
		cmocka_unit_test(a_surface_is_read_before_it_goes),
		cmocka_unit_test(laziness_does_not_show),
		cmocka_unit_test(a_snapshot_is_a_copy),
		cmocka_unit_test(rows_are_those_of_pictures_that_wait),
		cmocka_unit_test(rows_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

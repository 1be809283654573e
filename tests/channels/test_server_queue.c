/* SPDX-License-Identifier: MIT */
/*
 * A viewer's queue: whatever is drawn, and however slowly it is taken out, the viewer ends with the
 * hub's pixels. The viewer here is made of surfaces that the queue's items are drawn on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "channels/server/display_queue.h"
#include "core/canvas.h"
#include "tests/channels/server_random.h"
#include "tests/channels/server_scene.h"

enum { FRAMES_MAX = 16 };

struct fixture {
	struct display_sink sink;
	struct display *display;
	struct server_surface surfaces[DISPLAY_MAX_SURFACES];
	uint64_t generations;
	struct display_queue queue;
	bool queue_lives;
	struct surface *viewer[DISPLAY_MAX_SURFACES];
	uint32_t draws; /* taken as drawings */
	uint64_t draw_pixels; /* of them */
	uint32_t pieces;
	uint32_t refined; /* pieces that replaced inexact pixels */
	size_t part_bytes;
	size_t whole_bytes; /* 0: the queue's own */
	bool kept_too; /* pictures that the viewer is to keep are parted, */
	uint64_t has_id; /* but for that, which it has */
	struct rect frames[FRAMES_MAX]; /* of the parts that came */
	uint32_t frame_count;
	uint32_t seed;
	/* Drawings on the primary surface, and one that it is copied from, are shown by a stream. */
	bool streaming;
};

static struct fixture *of_sink(struct display_sink *sink)
{
	return container_of(sink, struct fixture, sink);
}

static void on_create(struct display_sink *sink, uint32_t id, struct surface *surface)
{
	struct fixture *f = of_sink(sink);

	f->surfaces[id].surface = surface;
	f->surfaces[id].generation = ++f->generations;
	if (f->queue_lives)
		display_queue_surface_create(&f->queue, id);
}

static void on_destroy(struct display_sink *sink, uint32_t id)
{
	struct fixture *f = of_sink(sink);

	f->surfaces[id] = (struct server_surface){ 0 };
	if (f->queue_lives)
		display_queue_surface_destroy(&f->queue, id);
}

static void on_draw(struct display_sink *sink, struct draw *draw)
{
	struct fixture *f = of_sink(sink);

	if (!f->queue_lives)
		return;
	if (f->streaming && draw->surface_id <= 1)
		display_queue_streamed(&f->queue, draw);
	else
		display_queue_draw(&f->queue, draw);
}

static void on_dirty(struct display_sink *sink, uint32_t id, const struct rect *area)
{
	struct fixture *f = of_sink(sink);

	if (!f->queue_lives)
		return;
	if (f->streaming)
		display_queue_streamed_area(&f->queue, id, area);
	else
		display_queue_dirty(&f->queue, id, area);
}

static void on_cursor(struct display_sink *sink, const struct cursor_state *state)
{
}

static const struct display_sink_ops sink_ops = {
	.surface_create = on_create,
	.surface_destroy = on_destroy,
	.draw = on_draw,
	.dirty = on_dirty,
	.cursor = on_cursor,
};

static const struct draw_abilities strong = { .composite = true, .a8 = true };

static struct fixture *fixture_create(void)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->sink.ops = &sink_ops;
	f->part_bytes = 1 << 20;
	assert_int_equal(display_create(&f->display), 0);
	assert_int_equal(display_attach(f->display, &f->sink), 0);
	return f;
}

static void viewer_arrives(struct fixture *f, const struct draw_abilities *abilities)
{
	assert_int_equal(display_queue_init(&f->queue, f->surfaces, abilities), 0);
	f->queue_lives = true;
}

static int setup(void **state)
{
	struct fixture *f = fixture_create();

	scene_begin(f->display);
	viewer_arrives(f, &strong);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	display_queue_finish(&f->queue);
	display_detach(f->display, &f->sink);
	display_destroy(f->display);
	for (uint32_t id = 0; id < DISPLAY_MAX_SURFACES; id++)
		surface_unref(f->viewer[id]);
	free(f);
	return 0;
}

static struct surface *viewer_surface(void *opaque, uint32_t id)
{
	struct fixture *f = opaque;

	return f->viewer[id];
}

/* As a viewer draws what the item says. */
static void draw_item(struct fixture *f, const struct queue_item *item)
{
	struct draw draw = *item->draw;

	assert_non_null(f->viewer[item->surface_id]);
	draw.clipped = true;
	draw.clip = item->region;
	canvas_draw(f->viewer[item->surface_id], &draw, viewer_surface, f);
	if (f->frame_count < FRAMES_MAX)
		f->frames[f->frame_count++] = item->frame;
	f->draws++;
	for (uint32_t i = 0; i < region_count(&item->region); i++) {
		struct rect r = region_rect(&item->region, i);

		f->draw_pixels += (uint64_t)rect_width(&r) * (uint64_t)rect_height(&r);
	}
}

static bool viewer_has(void *opaque, const struct queue_item *item, const struct image *image)
{
	struct fixture *f = opaque;

	return image->id == f->has_id;
}

static bool take_item(struct fixture *f)
{
	struct queue_parts parts = {
		.max_bytes = f->part_bytes, .kept_too = f->kept_too, .has = viewer_has, .opaque = f
	};
	struct queue_item *item = display_queue_pop(&f->queue, &parts);
	struct surface **surface;

	if (!item)
		return false;
	surface = &f->viewer[item->surface_id];
	switch (item->kind) {
	case QUEUE_CREATE:
		assert_null(*surface);
		assert_int_equal(
			surface_create(surface, item->format, item->width, item->height), 0);
		break;
	case QUEUE_DESTROY:
		assert_non_null(*surface);
		surface_unref(*surface);
		*surface = NULL;
		break;
	case QUEUE_DRAW: draw_item(f, item); break;
	case QUEUE_PIXELS: fail_msg("that is the queue's own affair");
	}
	queue_item_free(item);
	return true;
}

static bool take_dirty(struct fixture *f, bool refine)
{
	struct rect area;
	bool refined;
	uint32_t id;

	if (!display_queue_take_dirty(&f->queue, 16 << 10, 4 << 20, refine, &id, &area, &refined))
		return false;
	assert_non_null(f->viewer[id]);
	display_lock(f->display);
	surface_copy(
		f->viewer[id], area.left, area.top, display_sync(f->display, id, &area), &area);
	display_unlock(f->display);
	f->pieces++;
	f->refined += refined;
	return true;
}

static bool take_piece(struct fixture *f)
{
	return take_dirty(f, true);
}

static bool take(struct fixture *f)
{
	return take_item(f) || take_piece(f);
}

static uint32_t random_next(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* In either order. */
static bool take_any(struct fixture *f)
{
	if (random_next(&f->seed) % 2)
		return take_item(f) || take_piece(f);
	return take_dirty(f, random_next(&f->seed) % 2) || take(f);
}

/* An inexact picture reaches the viewer: nonsense. */
static void lose(struct fixture *f, uint32_t id, const struct region *region)
{
	struct surface *surface = f->viewer[id];
	struct rect bounds = surface ? surface_bounds(surface) : (struct rect){ 0 };

	for (uint32_t i = 0; i < region_count(region); i++) {
		struct rect r = region_rect(region, i);

		r = rect_intersect(&r, &bounds);
		for (int32_t y = r.top; y < r.bottom; y++)
			for (int32_t x = r.left; x < r.right; x++) {
				uint32_t word = random_next(&f->seed);

				surface_store_words(surface, (uint32_t)x, (uint32_t)y, 1, &word);
			}
	}
	display_queue_lossy(&f->queue, id, region);
	for (struct queue_item *item = f->queue.first; item; item = item->next)
		display_queue_spread(&f->queue, item);
}

/* All that waits is taken, and what is inexact comes to rest. */
static void settle(struct fixture *f)
{
	for (uint32_t i = 0; i < 4; i++) {
		display_queue_rest(&f->queue);
		while (take_any(f))
			;
	}
	assert_false(display_queue_restless(&f->queue));
	assert_int_equal(display_queue_backlog(&f->queue), 0);
}

static void check_all_equal(struct fixture *f)
{
	settle(f);
	display_lock(f->display);
	for (uint32_t id = 0; id < DISPLAY_MAX_SURFACES; id++) {
		struct surface *should = display_sync(f->display, id, NULL);

		if (!f->queue.views[id].created)
			assert_null(f->viewer[id]);
		else
			assert_true(random_equal(id, f->viewer[id], should));
	}
	display_unlock(f->display);
}

static void check_equal(struct fixture *f)
{
	struct image *image;

	while (take(f))
		;
	assert_int_equal(image_from_surface(&image, f->viewer[0],
				 &(struct rect){ 0, 0, SCENE_WIDTH, SCENE_HEIGHT }),
		0);
	assert_true(scene_equals(f->display, image));
	image_unref(image);
}

static void test_first_picture_is_whole(void **state)
{
	struct fixture *f = *state;
	struct rect area;
	bool refined;
	uint32_t id;

	scene_step(f->display, 2);
	while (take_item(f))
		;
	assert_true(
		display_queue_take_dirty(&f->queue, 1 << 10, 4 << 20, true, &id, &area, &refined));
	assert_int_equal(id, DISPLAY_PRIMARY);
	assert_int_equal(rect_width(&area), SCENE_WIDTH);
	assert_int_equal(rect_height(&area), SCENE_HEIGHT);
	/* A large one comes in pieces of whole rows. */
	assert_true(display_queue_take_dirty(&f->queue, 1600, 4 << 10, true, &id, &area, &refined));
	assert_int_equal(id, 5);
	assert_int_equal(rect_height(&area), 2);
}

/* A viewer that keeps up gets each drawing as a drawing, but those that cannot be. */
static void test_quick_viewer(void **state)
{
	struct fixture *f = *state;

	check_equal(f);
	f->pieces = 0;
	for (uint32_t step = 0; step < 20 * SCENE_STEPS; step++) {
		scene_step(f->display, step);
		while (take(f))
			;
	}
	assert_int_equal(f->draws, 20 * (SCENE_STEPS - 2));
	assert_in_range(f->pieces, 20 * 2, 20 * 8); /* a scaled picture, frame-buffer writes */
	check_equal(f);
}

/* At random paces, with an off-screen surface that comes and goes. */
static void test_random_paces(void **state)
{
	struct fixture *f = *state;
	struct display_sink *sink = display_sink(f->display);
	uint32_t seed = 4711;

	for (uint32_t round = 0; round < 60; round++) {
		uint32_t steps = random_next(&seed) % 100, pace = random_next(&seed) % 4;

		for (uint32_t i = 0; i < steps; i++) {
			scene_step(f->display, random_next(&seed));
			for (uint32_t n = random_next(&seed) % (pace + 1); n > 0; n--)
				take(f);
			if (random_next(&seed) % 40 == 0) {
				struct surface *surface;

				assert_int_equal(surface_create(&surface, SURFACE_XRGB8888,
							 200 + round, 100),
					0);
				if (random_next(&seed) % 2)
					sink->ops->surface_destroy(sink, 5);
				sink->ops->surface_create(sink, 5, surface);
				surface_unref(surface);
			}
		}
		if (round % 4 == 0)
			check_equal(f);
	}
	check_equal(f);
	assert_true(f->draws > 100);
	assert_true(f->pieces > 100);
}

/* A viewer that takes nothing costs a bounded queue, and is right once it goes on. */
static void test_stopped_viewer(void **state)
{
	struct fixture *f = *state;
	uint32_t most = 0;
	size_t most_bytes = 0;

	check_equal(f);
	for (uint32_t step = 0; step < 6000; step++) {
		scene_step(f->display, step);
		most = MAX(most, f->queue.items);
		most_bytes = MAX(most_bytes, f->queue.bytes);
	}
	assert_in_range(most, 1, 4096);
	assert_in_range(most_bytes, 1, 16 << 20);
	check_equal(f);
}

/* What is painted over before it was sent is not sent. */
static void test_hidden_are_dropped(void **state)
{
	struct fixture *f = *state;
	struct rect box = { 10, 10, 100, 100 };

	check_equal(f);
	f->draws = 0;
	for (uint32_t i = 0; i < 50; i++) {
		struct draw *draw;

		assert_int_equal(draw_create(&draw, DRAW_FILL, 0, &box), 0);
		draw->fill.brush.type = BRUSH_SOLID;
		draw->fill.brush.color = i;
		display_sink(f->display)->ops->draw(display_sink(f->display), draw);
		draw_unref(draw);
	}
	assert_int_equal(f->queue.items, 1);
	check_equal(f);
	assert_int_equal(f->draws, 1);
}

static void fill(struct fixture *f, uint32_t surface, const struct rect *box, uint32_t color)
{
	struct draw *draw;

	assert_int_equal(draw_create(&draw, DRAW_FILL, surface, box), 0);
	draw->fill.brush.type = BRUSH_SOLID;
	draw->fill.brush.color = color;
	display_sink(f->display)->ops->draw(display_sink(f->display), draw);
	draw_unref(draw);
}

/* What is painted over, but was read before, is needed. */
static void test_read_before_hidden(void **state)
{
	struct fixture *f = *state;
	struct rect from = { 10, 10, 60, 60 }, to = { 300, 300, 350, 350 };
	struct draw *draw;

	check_equal(f);
	fill(f, 0, &from, 0x123456);
	assert_int_equal(draw_create(&draw, DRAW_COPY_BITS, 0, &to), 0);
	draw->copy_bits.from = (struct point){ 10, 10 };
	display_sink(f->display)->ops->draw(display_sink(f->display), draw);
	draw_unref(draw);
	fill(f, 0, &from, 0x654321);
	assert_int_equal(f->queue.items, 3);
	check_equal(f);
}

/* A drawing from an off-screen surface of which the viewer lacks pixels. */
static void test_dirty_source(void **state)
{
	struct fixture *f = *state;
	struct rect all = { 0, 0, 200, 100 }, box = { 50, 60, 250, 160 };
	struct draw *draw;

	check_equal(f);
	fill(f, 5, &all, 0xabcdef);
	display_sink(f->display)->ops->dirty(display_sink(f->display), 5, &all);
	assert_int_equal(draw_create(&draw, DRAW_COPY, 0, &box), 0);
	draw->copy.source.surface_id = 5;
	draw->copy.area = all;
	display_sink(f->display)->ops->draw(display_sink(f->display), draw);
	draw_unref(draw);
	assert_int_equal(f->queue.items, 0); /* pixels all of it, the fill is hidden by them */
	assert_false(region_empty(&f->queue.views[0].dirty));
	check_equal(f);
}

/* The mode changes while much is waiting. */
static void test_new_primary(void **state)
{
	struct fixture *f = *state;

	take(f);
	for (uint32_t step = 0; step < 50; step++)
		scene_step(f->display, step);
	display_sink(f->display)->ops->surface_destroy(display_sink(f->display), 0);
	scene_begin(f->display);
	scene_step(f->display, 3);
	check_equal(f);
	for (uint32_t step = 0; step < 3000; step++) {
		scene_step(f->display, step);
		if (step == 1500)
			scene_begin(f->display);
	}
	check_equal(f);
}

/* Many small drawings at one place cost more than the picture that they make. */
static void test_commands_or_picture(void **state)
{
	struct fixture *f = *state;
	uint32_t seed = 1, most = 0;

	check_equal(f);
	f->draws = f->pieces = 0;
	for (uint32_t i = 0; i < 3000; i++) {
		struct rect box = rect_make((int32_t)(64 + random_next(&seed) % 48),
			(int32_t)(64 + random_next(&seed) % 48), 9, 13);
		struct draw *draw;

		assert_int_equal(draw_create(&draw, DRAW_FILL, 0, &box), 0);
		draw->fill.brush.type = BRUSH_SOLID;
		draw->fill.brush.color = i * 77777;
		draw->fill.rop.op = ROP_XOR;
		display_sink(f->display)->ops->draw(display_sink(f->display), draw);
		draw_unref(draw);
		most = MAX(most, f->queue.items);
	}
	assert_in_range(most, 40, 100);
	check_equal(f);
	assert_int_equal(f->draws, 0);
	assert_in_range(f->pieces, 1, 4);
}

/* ---- large pictures on a slow link ---- */

enum { WIDE = 200, HIGH = 120, ROWS = 16 };

static struct image *kept_image(uint64_t id)
{
	struct image *image;

	assert_int_equal(image_create(&image, IMAGE_XRGB8888, WIDE, HIGH), 0);
	for (uint32_t i = 0; i < image->stride * HIGH; i++)
		image->data[i] = (uint8_t)(i * 7 + i / 997);
	image->id = id;
	image->flags |= IMAGE_CACHE_ME;
	return image;
}

/* Copies rows of the image to the primary surface. */
static void draw_rows(struct fixture *f, struct image *image, struct image *mask, int32_t x,
	int32_t top, int32_t bottom)
{
	struct rect box = rect_make(x, 10 + top, WIDE, bottom - top);
	struct draw *draw;

	assert_int_equal(draw_create(&draw, DRAW_COPY, 0, &box), 0);
	draw->copy.source.image = image_ref(image);
	draw->copy.area = rect_make(0, top, WIDE, bottom - top);
	draw->copy.scale = SCALE_NEAREST;
	draw->copy.mask.image = mask ? image_ref(mask) : NULL;
	display_sink(f->display)->ops->draw(display_sink(f->display), draw);
	draw_unref(draw);
	f->frame_count = 0;
	f->draws = f->pieces = 0;
}

/* One that viewers are to keep goes by rows that are the same each time, in messages that are small
 * enough; or whole, when it is there or the link is fast. */
static void test_kept_in_parts(void **state)
{
	struct fixture *f = *state;
	struct image *image = kept_image(9);

	check_equal(f);
	f->part_bytes = WIDE * 4 * (ROWS + 5);
	draw_rows(f, image, NULL, 10, 0, HIGH);
	check_equal(f);
	assert_int_equal(f->draws, 1);
	assert_true(rect_empty(&f->frames[0]));
	f->kept_too = true;
	draw_rows(f, image, NULL, 20, 0, HIGH);
	check_equal(f);
	assert_int_equal(f->frame_count, (HIGH + ROWS - 1) / ROWS);
	for (uint32_t i = 0; i < f->frame_count; i++) {
		assert_int_equal(f->frames[i].top, i * ROWS);
		assert_int_equal(f->frames[i].bottom, MIN((i + 1) * ROWS, HIGH));
		assert_int_equal(rect_width(&f->frames[i]), WIDE);
	}
	draw_rows(f, image, NULL, 30, 30, 70);
	check_equal(f);
	assert_int_equal(f->frame_count, 4);
	assert_int_equal(f->frames[0].top, ROWS);
	assert_int_equal(f->frames[3].bottom, 5 * ROWS);
	f->has_id = 9;
	draw_rows(f, image, NULL, 40, 0, HIGH);
	check_equal(f);
	assert_int_equal(f->draws, 1);
	image_unref(image);
}

/* What cannot be cut and is large goes as pixels, which can. */
static void test_large_and_whole(void **state)
{
	struct fixture *f = *state;
	struct image *image = kept_image(10), *mask;

	check_equal(f);
	assert_int_equal(image_create(&mask, IMAGE_1BIT_BE, WIDE, HIGH), 0);
	memset(mask->data, 0x5a, (size_t)mask->stride * HIGH);
	draw_rows(f, image, mask, 10, 0, HIGH);
	check_equal(f);
	assert_int_equal(f->draws, 1);
	f->queue.whole_bytes = 10000;
	draw_rows(f, image, mask, 20, 0, HIGH);
	check_equal(f);
	assert_int_equal(f->draws, 0);
	draw_rows(f, image, NULL, 30, 0, HIGH);
	check_equal(f);
	assert_int_equal(f->draws, 1);
	image_unref(mask);
	image_unref(image);
}

/* ---- drawings of all kinds, at random ---- */

static struct fixture *random_fixture(
	struct random_device *device, const struct draw_abilities *abilities, uint32_t seed)
{
	struct fixture *f = fixture_create();

	f->seed = seed;
	f->part_bytes = 16 << 10;
	f->kept_too = seed % 2;
	if (seed % 3 == 0)
		f->whole_bytes = 8 << 10;
	random_begin(device, f->display, seed, 1);
	for (uint32_t i = 0; i < 20; i++)
		random_step(device);
	viewer_arrives(f, abilities);
	if (f->whole_bytes)
		f->queue.whole_bytes = f->whole_bytes;
	return f;
}

/* A stream shows the primary surface for a while; a picture is sent inexactly. */
static void random_loss(struct fixture *f)
{
	struct rect box = { 0 };
	struct region region;

	box.left = (int32_t)(random_next(&f->seed) % 100);
	box.top = (int32_t)(random_next(&f->seed) % 80);
	box.right = box.left + 1 + (int32_t)(random_next(&f->seed) % 70);
	box.bottom = box.top + 1 + (int32_t)(random_next(&f->seed) % 50);
	switch (random_next(&f->seed) % 40) {
	case 0: f->streaming = true; break;
	case 1: f->streaming = false; break;
	case 2:
	case 3: display_queue_rest(&f->queue); break;
	case 4:
		region_init_rect(&region, &box);
		lose(f, random_next(&f->seed) % RANDOM_SURFACES, &region);
		region_finish(&region);
		break;
	}
}

static void random_round(const struct draw_abilities *abilities, uint32_t seed, bool losses)
{
	struct random_device device;
	struct fixture *f = random_fixture(&device, abilities, seed);
	void *state = f;

	for (uint32_t round = 0; round < 30; round++) {
		uint32_t steps = random_next(&f->seed) % 60, pace = random_next(&f->seed) % 4;

		for (uint32_t i = 0; i < steps; i++) {
			random_step(&device);
			if (losses)
				random_loss(f);
			for (uint32_t n = random_next(&f->seed) % (pace + 1); n > 0; n--)
				take_any(f);
		}
		if (round % 3 == 0) {
			f->streaming = false;
			check_all_equal(f);
		}
	}
	f->streaming = false;
	check_all_equal(f);
	assert_true(f->draws > 50);
	random_end(&device);
	teardown(&state);
}

static void test_random_drawings(void **state)
{
	for (uint32_t seed = 1; seed <= 40; seed++)
		random_round(&strong, seed, false);
}

static void test_random_viewers(void **state)
{
	static const struct draw_abilities some[] = { { .composite = true }, { .a8 = true },
		{ .weak = true } };

	for (uint32_t seed = 1; seed <= 15; seed++)
		random_round(&some[seed % 3], 1000 + seed, seed % 2);
}

static void test_random_losses(void **state)
{
	for (uint32_t seed = 1; seed <= 40; seed++)
		random_round(&strong, 2000 + seed, true);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_first_picture_is_whole),
		T(test_quick_viewer),
		T(test_random_paces),
		T(test_stopped_viewer),
		T(test_hidden_are_dropped),
		T(test_read_before_hidden),
		T(test_dirty_source),
		T(test_new_primary),
		T(test_commands_or_picture),
		T(test_kept_in_parts),
		T(test_large_and_whole),
		cmocka_unit_test(test_random_drawings),
		cmocka_unit_test(test_random_viewers),
		cmocka_unit_test(test_random_losses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

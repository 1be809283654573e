/* SPDX-License-Identifier: MIT */
/* What several viewers keep, each as it said that it can, and viewers that say nonsense. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/log.h"
#include "core/util.h"
#include "tests/channels/server_scene.h"
#include "tests/channels/server_side.h"

enum { VIEWERS = 3, SIDE = 64, PLACE = 10 };

/* What it was sent last of the picture that is drawn here. */
struct viewer {
	struct side main, display;
	uint32_t session;
	uint8_t image_type;
	bool cache_me;
	bool marked;
	uint32_t inval_all;
};

struct fixture {
	struct loop *loop;
	struct pool *pool;
	struct display *hub;
	struct spice_server *server;
	struct viewer viewers[VIEWERS];
};

static void on_main(struct side *side, uint16_t type, const uint8_t *body, size_t size)
{
	struct viewer *viewer = container_of(side, struct viewer, main);
	struct msg_main_init init;

	if (type != SPICE_MSG_MAIN_INIT)
		return;
	assert_true(msg_main_init_parse(&init, body, size));
	viewer->session = init.session_id;
}

static void on_display(struct side *side, uint16_t type, const uint8_t *body, size_t size)
{
	struct viewer *viewer = container_of(side, struct viewer, display);
	struct msg_draw_copy copy;

	switch (type) {
	case SPICE_MSG_DISPLAY_DRAW_COPY:
		assert_true(msg_draw_copy_parse(&copy, body, size));
		if (copy.base.surface_id || copy.base.box.left != PLACE ||
			rect_width(&copy.base.box) != SIDE)
			break;
		viewer->image_type = copy.source.type;
		viewer->cache_me = copy.source.flags & SPICE_IMAGE_FLAGS_CACHE_ME;
		break;
	case SPICE_MSG_DISPLAY_MARK: viewer->marked = true; break;
	case SPICE_MSG_DISPLAY_INVAL_ALL_PIXMAPS: viewer->inval_all++; break;
	default: break;
	}
}

static void settle(struct fixture *f)
{
	for (int i = 0; i < 30; i++)
		loop_run_once(f->loop, 1);
}

/* A viewer that says so of its caches; waits for its picture, if one is to come. */
static struct viewer *arrive(
	struct fixture *f, uint32_t nth, int64_t pixmaps, int32_t window, bool served)
{
	struct viewer *viewer = &f->viewers[nth];

	viewer->main.message = on_main;
	side_connect(&viewer->main, f->loop, f->server, SPICE_CHANNEL_MAIN, 0, 0);
	settle(f);
	viewer->display.message = on_display;
	side_connect(&viewer->display, f->loop, f->server, SPICE_CHANNEL_DISPLAY, viewer->session,
		1u << SPICE_DISPLAY_CAP_COMPOSITE | 1u << SPICE_DISPLAY_CAP_A8_SURFACE);
	settle(f);
	link_send_display_init(viewer->display.link, SPICE_MSGC_DISPLAY_INIT,
		&(struct msg_display_init){ .pixmap_cache_id = 1,
			.pixmap_cache_size = pixmaps,
			.glz_dictionary_id = 1,
			.glz_window_size = window });
	for (int i = 0; i < 200 && !viewer->display.closed && !viewer->marked; i++)
		loop_run_once(f->loop, 20);
	assert_int_equal(viewer->marked, served);
	assert_int_equal(viewer->display.closed, !served);
	return viewer;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct spice_server_config config = { .video = SPICE_SERVER_VIDEO_OFF };

	log_set_level(LOG_ERROR);
	assert_int_equal(loop_create(&f->loop), 0);
	assert_int_equal(pool_create(&f->pool, 1), 0);
	assert_int_equal(display_create(&f->hub), 0);
	scene_begin(f->hub);
	config.loop = f->loop;
	config.pool = f->pool;
	config.display = f->hub;
	assert_int_equal(spice_server_create(&f->server, &config), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 5; i++)
		loop_run_once(f->loop, 20);
	spice_server_destroy(f->server);
	for (uint32_t i = 0; i < VIEWERS; i++) {
		side_finish(&f->viewers[i].main);
		side_finish(&f->viewers[i].display);
	}
	for (int i = 0; i < 5; i++)
		loop_run_once(f->loop, 20);
	display_destroy(f->hub);
	pool_destroy(f->pool);
	loop_destroy(f->loop);
	free(f);
	return 0;
}

/* The guest's picture of that id, which viewers are to keep. */
static void draw(struct fixture *f, uint64_t id)
{
	struct rect box = rect_make(PLACE, PLACE, SIDE, SIDE);
	struct image *image;
	struct draw *draw;

	assert_int_equal(image_create(&image, IMAGE_XRGB8888, SIDE, SIDE), 0);
	for (uint32_t i = 0; i < image->stride * SIDE; i++)
		image->data[i] = (uint8_t)(i * id * 2654435761u >> 24);
	image->id = id;
	image->flags |= IMAGE_CACHE_ME;
	assert_int_equal(draw_create(&draw, DRAW_COPY, 0, &box), 0);
	draw->copy.source.image = image;
	draw->copy.area = rect_make(0, 0, SIDE, SIDE);
	draw->copy.scale = SCALE_NEAREST;
	for (uint32_t i = 0; i < VIEWERS; i++)
		f->viewers[i].image_type = 0;
	display_sink(f->hub)->ops->draw(display_sink(f->hub), draw);
	draw_unref(draw);
	for (uint32_t i = 0; i < VIEWERS; i++) {
		struct viewer *viewer = &f->viewers[i];

		for (int n = 0; n < 1000 && viewer->display.link && !viewer->image_type; n++)
			loop_run_once(f->loop, 10);
	}
}

/* Each is sent what it lacks, and told to keep what it can. */
static void test_each_its_own(void **state)
{
	struct fixture *f = *state;
	struct viewer *large = arrive(f, 0, 1 << 20, 1 << 20, true);
	struct viewer *small = arrive(f, 1, SIDE * SIDE, 1 << 20, true), *late;

	draw(f, 7);
	assert_true(large->cache_me);
	assert_false(small->cache_me); /* it would have room for nothing else */
	draw(f, 7);
	assert_int_equal(large->image_type, SPICE_IMAGE_TYPE_FROM_CACHE);
	assert_int_not_equal(small->image_type, SPICE_IMAGE_TYPE_FROM_CACHE);
	assert_int_not_equal(small->image_type, 0);
	late = arrive(f, 2, 1 << 20, 0, true);
	draw(f, 7);
	assert_int_equal(large->image_type, SPICE_IMAGE_TYPE_FROM_CACHE);
	assert_true(late->cache_me);
	draw(f, 7);
	assert_int_equal(late->image_type, SPICE_IMAGE_TYPE_FROM_CACHE);
	/* The guest's driver begins anew, and with it its numbers. */
	display_sink(f->hub)->ops->surface_destroy(display_sink(f->hub), DISPLAY_PRIMARY);
	scene_begin(f->hub);
	for (uint32_t i = 0; i < VIEWERS; i++)
		f->viewers[i].marked = false;
	for (int n = 0; n < 1000 && !(large->marked && small->marked && late->marked); n++)
		loop_run_once(f->loop, 10);
	draw(f, 7);
	assert_int_not_equal(large->image_type, SPICE_IMAGE_TYPE_FROM_CACHE);
	assert_int_not_equal(late->image_type, SPICE_IMAGE_TYPE_FROM_CACHE);
	assert_int_equal(large->inval_all, 1);
	assert_int_equal(small->inval_all, 0);
	assert_int_equal(late->inval_all, 1);
}

/* Nobody is made to keep more than is sensible by who says that it keeps everything; and nonsense
 * closes the link that says it, no other. */
static void test_lies(void **state)
{
	static const struct {
		int64_t pixmaps;
		int32_t window;
	} lies[] = { { -1, 1 << 20 }, { 1 << 20, -1 }, { INT64_MIN, INT32_MIN } };
	struct fixture *f = *state;
	struct viewer *all = arrive(f, 0, INT64_MAX, INT32_MAX, true);

	for (uint32_t i = 0; i < ARRAY_SIZE(lies); i++) {
		struct viewer *liar = arrive(f, 1, lies[i].pixmaps, lies[i].window, false);

		draw(f, 100 + i);
		assert_int_not_equal(all->image_type, 0);
		assert_false(all->display.closed || all->main.closed || liar->main.closed);
		side_finish(&liar->main);
		side_finish(&liar->display);
		settle(f);
	}
	draw(f, 100);
	assert_int_equal(all->image_type, SPICE_IMAGE_TYPE_FROM_CACHE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lies, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * The server with our own viewers, over real sockets: whatever is drawn, by whatever codecs, and
 * however slowly a viewer reads, at rest it has exactly the hub's pixels on every surface.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <spice/enums.h>

#include "channels/client/client.h"
#include "channels/server/server.h"
#include "core/log.h"
#include "core/util.h"
#include "tests/channels/server_random.h"

enum { VIEWERS = 2 };

/* Has a loop of its own, so that it can be kept from reading. */
struct viewer {
	struct loop *loop;
	struct display *display;
	struct spice_client *client;
	uint32_t pace; /* 0: reads only at the end */
	bool failed;
	char reason[256];
};

struct fixture {
	char folder[64];
	char path[80];
	struct loop *loop;
	struct pool *pool;
	struct display *display;
	struct spice_server *server;
	struct random_device device;
	struct viewer viewers[VIEWERS];
	uint32_t seed; /* of what is not the device's */
};

static uint32_t chance(struct fixture *f, uint32_t end)
{
	f->seed = f->seed * 1664525u + 1013904223u;
	return (f->seed >> 8) % end;
}

static void on_event(void *opaque, enum spice_client_event event, const char *reason)
{
	struct viewer *viewer = opaque;

	if (event == SPICE_CLIENT_DISCONNECTED || event == SPICE_CLIENT_AUTH_NEEDED) {
		viewer->failed = true;
		snprintf(viewer->reason, sizeof(viewer->reason), "%s", reason);
	}
}

static void viewer_open(struct fixture *f, struct viewer *viewer)
{
	static const uint32_t caches[] = { 0, 64 << 10, 4 << 20 };
	struct spice_client_config config = {
		.unix_path = f->path,
		.options = { .cache_bytes = caches[chance(f, 3)],
			.glz_window_bytes = caches[chance(f, 3)],
			.compression = chance(f, 3) ? SPICE_CLIENT_COMPRESSION_SERVER
						    : (enum spice_client_compression)chance(f, 9) },
		.on_event = on_event,
		.opaque = viewer,
	};

	assert_int_equal(loop_create(&viewer->loop), 0);
	assert_int_equal(display_create(&viewer->display), 0);
	config.loop = viewer->loop;
	config.display = viewer->display;
	assert_int_equal(spice_client_create(&viewer->client, &config), 0);
}

static void viewer_close(struct viewer *viewer)
{
	spice_client_destroy(viewer->client);
	display_destroy(viewer->display);
	loop_destroy(viewer->loop);
}

static struct fixture *fixture_create(uint32_t seed)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct spice_server_config config = {
		.compression = (enum spice_image_compression)(seed % 6),
		.jpeg = seed % 2 ? SPICE_SERVER_JPEG_ALWAYS : SPICE_SERVER_JPEG_NEVER,
		.video = seed % 3 ? SPICE_SERVER_VIDEO_OFF : SPICE_SERVER_VIDEO_ALL,
	};

	f->seed = seed * 7919;
	strcpy(f->folder, "/tmp/spicebox-test-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->path, sizeof(f->path), "%s/socket", f->folder);
	assert_int_equal(loop_create(&f->loop), 0);
	assert_int_equal(pool_create(&f->pool, 2), 0);
	assert_int_equal(display_create(&f->display), 0);
	config.loop = f->loop;
	config.pool = f->pool;
	config.display = f->display;
	assert_int_equal(spice_server_create(&f->server, &config), 0);
	assert_int_equal(spice_server_listen_unix(f->server, f->path), 0);
	random_begin(&f->device, f->display, seed, seed % 4 == 0 ? 4 : 1);
	return f;
}

static void fixture_destroy(struct fixture *f)
{
	for (uint32_t i = 0; i < VIEWERS; i++)
		viewer_close(&f->viewers[i]);
	spice_server_destroy(f->server);
	for (int i = 0; i < 3; i++)
		loop_run_once(f->loop, 5);
	random_end(&f->device);
	display_destroy(f->display);
	pool_destroy(f->pool);
	loop_destroy(f->loop);
	rmdir(f->folder);
	free(f);
}

static void turn_viewer(struct viewer *viewer)
{
	loop_run_once(viewer->loop, 0);
	if (viewer->failed)
		fail_msg("a viewer lost its link: %s", viewer->reason);
}

static void turn(struct fixture *f)
{
	loop_run_once(f->loop, 0);
	for (uint32_t i = 0; i < VIEWERS; i++)
		for (uint32_t n = chance(f, f->viewers[i].pace + 1); n > 0; n--)
			turn_viewer(&f->viewers[i]);
}

static bool has_picture(struct viewer *viewer)
{
	bool has;

	display_lock(viewer->display);
	has = display_sync(viewer->display, DISPLAY_PRIMARY, NULL) != NULL;
	display_unlock(viewer->display);
	return has;
}

static uint32_t backlog(struct fixture *f)
{
	struct spice_server_stats stats;

	spice_server_stats(f->server, &stats);
	return stats.backlog;
}

/* Until all is sent and taken, and what was inexact was sent again. */
static void rest(struct fixture *f)
{
	uint64_t end = clock_monotonic_ns() + 60000000000u;

	for (uint32_t quiet = 0; quiet < 5; quiet++) {
		loop_run_once(f->loop, 5);
		for (uint32_t i = 0; i < VIEWERS; i++) {
			for (uint32_t n = 0; n < 20; n++)
				turn_viewer(&f->viewers[i]);
			if (!has_picture(&f->viewers[i]))
				quiet = 0;
		}
		if (backlog(f) > 0)
			quiet = 0;
		if (clock_monotonic_ns() > end)
			fail_msg("it does not come to rest: seed %u, backlog %u", f->device.seed,
				backlog(f));
	}
}

static bool known_format(enum surface_format format)
{
	return format != SURFACE_A8 && format != SURFACE_A1;
}

static void check_equal(struct fixture *f)
{
	rest(f);
	for (uint32_t i = 0; i < VIEWERS; i++) {
		display_lock(f->display);
		display_lock(f->viewers[i].display);
		for (uint32_t id = 0; id < RANDOM_SURFACES; id++) {
			struct surface *should = display_sync(f->display, id, NULL);
			struct surface *is = display_sync(f->viewers[i].display, id, NULL);

			if (is)
				assert_non_null(should);
			if (should && known_format(should->format))
				assert_non_null(is);
			if (is && !random_equal(id, is, should))
				fail_msg("seed %u, viewer %u", f->device.seed, i);
		}
		display_unlock(f->viewers[i].display);
		display_unlock(f->display);
	}
}

static void play(uint32_t seed, struct spice_server_stats *sum)
{
	struct fixture *f = fixture_create(seed);
	struct spice_server_stats stats;

	viewer_open(f, &f->viewers[0]);
	for (uint32_t i = 0; i < 30; i++)
		random_step(&f->device);
	viewer_open(f, &f->viewers[1]);
	for (uint32_t round = 0; round < 6; round++) {
		uint32_t steps = 20 + chance(f, 200);

		for (uint32_t i = 0; i < VIEWERS; i++)
			f->viewers[i].pace = chance(f, 4);
		for (uint32_t i = 0; i < steps; i++) {
			random_step(&f->device);
			if (chance(f, 3) == 0)
				turn(f);
		}
		if (chance(f, 2))
			spice_server_set_compression(
				f->server, (enum spice_image_compression)chance(f, 6));
		if (round % 2)
			check_equal(f);
	}
	spice_server_stats(f->server, &stats);
	for (uint32_t i = 0; i < SERVER_STATS_IMAGES; i++)
		sum->images[i].count += stats.images[i].count;
	sum->draws_as_commands += stats.draws_as_commands;
	sum->draws_as_pixels += stats.draws_as_pixels;
	sum->frames.count += stats.frames.count;
	fixture_destroy(f);
}

static void test_random_drawings(void **state)
{
	static const uint8_t needed[] = { SPICE_IMAGE_TYPE_BITMAP, SPICE_IMAGE_TYPE_QUIC,
		SPICE_IMAGE_TYPE_LZ_PLT, SPICE_IMAGE_TYPE_LZ_RGB, SPICE_IMAGE_TYPE_GLZ_RGB,
		SPICE_IMAGE_TYPE_LZ4, SPICE_IMAGE_TYPE_JPEG, SPICE_IMAGE_TYPE_FROM_CACHE };
	const char *seeds = getenv("SPICEBOX_SEEDS"), *first = getenv("SPICEBOX_SEED");
	uint32_t from = first ? (uint32_t)atoi(first) : 1;
	uint32_t count = seeds ? (uint32_t)atoi(seeds) : 24;
	struct spice_server_stats sum = { 0 };

	log_set_level(LOG_ERROR);
	for (uint32_t seed = from; seed < from + count; seed++)
		play(seed, &sum);
	print_message("%llu drawings, %llu pictures of pixels, %llu frames of streams\n",
		(unsigned long long)sum.draws_as_commands, (unsigned long long)sum.draws_as_pixels,
		(unsigned long long)sum.frames.count);
	for (size_t i = 0; !seeds && !first && i < ARRAY_SIZE(needed); i++)
		if (sum.images[needed[i]].count == 0)
			fail_msg("no picture of type %u was sent", needed[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_drawings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

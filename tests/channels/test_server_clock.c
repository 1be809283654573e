/* SPDX-License-Identifier: MIT */
/*
 * The server and our viewer over links of any rate and delay, in a time that is the test's own: the
 * clock stands still while anything happens, and goes on to the next timer or the next bytes'
 * arrival. So what is owed and would wait for ever, or longer than it may, is found for certain.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "channels/client/client.h"
#include "channels/server/server.h"
#include "core/pool.h"
#include "core/util.h"
#include "tests/channels/server_film.h"
#include "tests/channels/server_random.h"

#define MS 1000000ull
#define S  1000000000ull

enum {
	TIMER_FDS = 8,
	PIPES_MAX = 8, /* one a channel */
	CHUNK_BYTES = 8 << 10,
	QUIET_TURNS = 8, /* of all loops, before the clock may go on */
	IDLE_MS = 600, /* that a link may be idle while something is owed */
	SEEDS = 48,
	OFF_SCREEN = 40, /* a surface's number */
	CALM_MS = 500, /* within which a region that calms down is exact */
};

/* ---- the time ---- */

/* The linker puts these in the place of what they are named after (tests/CMakeLists.txt). */
uint64_t __wrap_clock_monotonic_ns(void);
int __wrap_timerfd_settime(
	int fd, int flags, const struct itimerspec *value, struct itimerspec *old);
int __real_timerfd_settime(
	int fd, int flags, const struct itimerspec *value, struct itimerspec *old);
int __wrap_pool_submit(
	struct pool *pool, struct loop *loop, loop_fn *work, loop_fn *done, void *opaque);

static uint64_t now_ns;
static struct {
	int fd;
	uint64_t deadline_ns; /* 0: not set */
} timer_fds[TIMER_FDS];

uint64_t __wrap_clock_monotonic_ns(void)
{
	return now_ns;
}

/* Rings those that are due. */
static void ring(void)
{
	static const struct itimerspec at_once = { .it_value = { .tv_nsec = 1 } };

	for (uint32_t i = 0; i < TIMER_FDS; i++) {
		if (!timer_fds[i].deadline_ns || timer_fds[i].deadline_ns > now_ns)
			continue;
		timer_fds[i].deadline_ns = 0;
		__real_timerfd_settime(timer_fds[i].fd, 0, &at_once, NULL);
	}
}

int __wrap_timerfd_settime(
	int fd, int flags, const struct itimerspec *value, struct itimerspec *old)
{
	static const struct itimerspec never = { 0 };
	uint32_t i = 0;

	while (i < TIMER_FDS - 1 && timer_fds[i].fd && timer_fds[i].fd != fd)
		i++;
	timer_fds[i].fd = fd;
	timer_fds[i].deadline_ns =
		(uint64_t)value->it_value.tv_sec * S + (uint64_t)value->it_value.tv_nsec;
	__real_timerfd_settime(fd, 0, &never, NULL);
	ring();
	return 0;
}

/* What workers do takes no time. */
int __wrap_pool_submit(
	struct pool *pool, struct loop *loop, loop_fn *work, loop_fn *done, void *opaque)
{
	work(opaque);
	return done ? loop_post(loop, done, opaque) : 0;
}

/* ---- the link ---- */

struct chunk {
	uint64_t arrives_ns;
	size_t bytes, taken;
	struct chunk *next;
	uint8_t data[CHUNK_BYTES];
};

/* One direction of one channel. */
struct way {
	int from, to;
	bool ended; /* nobody is there to take it */
	struct chunk *first, *last;
};

struct network {
	int listen_fd;
	struct spice_server *server;
	struct way ways[2 * PIPES_MAX]; /* the odd ones lead to the viewer */
	uint32_t ways_count;
	uint64_t rate; /* bytes a second to the viewer, for all channels */
	uint64_t delay_ns;
	uint64_t free_ns; /* when the line to the viewer is */
	uint64_t used_ns; /* when bytes were last on their way to the viewer */
};

static void add_pipe(struct network *net, int viewer_fd)
{
	int fds[2];

	assert_true(net->ways_count < 2 * PIPES_MAX);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	fcntl(viewer_fd, F_SETFL, O_NONBLOCK);
	net->ways[net->ways_count++] = (struct way){ .from = viewer_fd, .to = fds[0] };
	net->ways[net->ways_count++] = (struct way){ .from = fds[0], .to = viewer_fd };
	assert_int_equal(spice_server_add_client_fd(net->server, fds[1]), 0);
}

static bool take_in(struct network *net, struct way *way, bool to_viewer)
{
	struct chunk *chunk = malloc(sizeof(*chunk));
	ssize_t bytes = read(way->from, chunk->data, CHUNK_BYTES);

	if (bytes <= 0) {
		free(chunk);
		return false;
	}
	chunk->bytes = (size_t)bytes;
	chunk->taken = 0;
	chunk->next = NULL;
	chunk->arrives_ns = now_ns + net->delay_ns;
	if (to_viewer) {
		net->free_ns = MAX(net->free_ns, now_ns) + chunk->bytes * S / net->rate;
		chunk->arrives_ns = net->free_ns + net->delay_ns;
	}
	if (way->last)
		way->last->next = chunk;
	else
		way->first = chunk;
	way->last = chunk;
	return true;
}

static void drop_first(struct way *way)
{
	struct chunk *chunk = way->first;

	way->first = chunk->next;
	if (!way->first)
		way->last = NULL;
	free(chunk);
}

static bool bring_out(struct way *way)
{
	struct chunk *chunk = way->first;
	ssize_t bytes;

	if (!chunk || chunk->arrives_ns > now_ns)
		return false;
	bytes = send(
		way->to, chunk->data + chunk->taken, chunk->bytes - chunk->taken, MSG_NOSIGNAL);
	if (bytes < 0 && errno == EAGAIN)
		return false; /* who is there reads first */
	way->ended = bytes <= 0;
	if (bytes > 0)
		chunk->taken += (size_t)bytes;
	if (chunk->taken == chunk->bytes || way->ended)
		drop_first(way);
	return true;
}

/* Answers whether anything moved. */
static bool network_turn(struct network *net)
{
	int fd = accept(net->listen_fd, NULL, NULL);
	bool moved = fd >= 0;

	if (fd >= 0)
		add_pipe(net, fd);
	for (uint32_t i = 0; i < net->ways_count; i++) {
		while (!net->ways[i].ended && take_in(net, &net->ways[i], i % 2))
			moved = true;
		while (bring_out(&net->ways[i]))
			moved = true;
		if (net->ways[i].first && i % 2)
			net->used_ns = now_ns;
	}
	return moved;
}

/* What is there already waits for who reads it. */
static uint64_t next_arrival(const struct network *net)
{
	uint64_t next_ns = UINT64_MAX;

	for (uint32_t i = 0; i < net->ways_count; i++)
		if (net->ways[i].first && net->ways[i].first->arrives_ns > now_ns)
			next_ns = MIN(next_ns, net->ways[i].first->arrives_ns);
	return next_ns;
}

static bool network_idle(const struct network *net)
{
	for (uint32_t i = 0; i < net->ways_count; i++)
		if (net->ways[i].first)
			return false;
	return true;
}

static void network_close(struct network *net)
{
	for (uint32_t i = 0; i < net->ways_count; i++) {
		struct way *way = &net->ways[i];

		close(way->from);
		while (way->first)
			drop_first(way);
	}
	close(net->listen_fd);
}

/* ---- the scene ---- */

struct fixture {
	char folder[64];
	char path[80];
	struct loop *loop;
	struct pool *pool;
	struct display *display;
	struct spice_server *server;
	struct network net;
	struct loop *viewer_loop;
	struct display *viewer_display;
	struct spice_client *client;
	struct random_device device;
	uint32_t seed;
	uint32_t number; /* of the round, for messages */
	uint32_t frame; /* of the film */
	bool off_screen; /* it is drawn on a surface of its own, and copied */
	char lost[256]; /* why the viewer lost its link */
};

static uint32_t chance(struct fixture *f, uint32_t end)
{
	f->seed = f->seed * 1664525u + 1013904223u;
	return (f->seed >> 8) % end;
}

static void on_event(void *opaque, enum spice_client_event event, const char *reason)
{
	struct fixture *f = opaque;

	if (event == SPICE_CLIENT_DISCONNECTED || event == SPICE_CLIENT_AUTH_NEEDED)
		snprintf(f->lost, sizeof(f->lost), "%s", reason);
}

static void listen_for_viewers(struct fixture *f)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strcpy(f->folder, "/tmp/spicebox-test-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->path, sizeof(f->path), "%s/socket", f->folder);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->path);
	f->net.listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(f->net.listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(f->net.listen_fd, PIPES_MAX), 0);
}

struct setting {
	uint64_t rate; /* bytes a second */
	uint64_t delay_ns;
	enum spice_image_compression compression;
	enum spice_jpeg jpeg;
	enum spice_video video;
	uint32_t cache_bytes;
};

static struct fixture *fixture_create(const struct setting *setting, uint32_t seed)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct spice_server_config config = {
		.compression = setting->compression,
		.jpeg = setting->jpeg,
		.video = setting->video,
	};

	f->seed = seed * 7919;
	f->number = seed;
	now_ns = 1000 * S;
	memset(timer_fds, 0, sizeof(timer_fds));
	listen_for_viewers(f);
	f->net.rate = setting->rate;
	f->net.delay_ns = setting->delay_ns;
	assert_int_equal(loop_create(&f->loop), 0);
	assert_int_equal(pool_create(&f->pool, 1), 0);
	assert_int_equal(display_create(&f->display), 0);
	config.loop = f->loop;
	config.pool = f->pool;
	config.display = f->display;
	assert_int_equal(spice_server_create(&f->server, &config), 0);
	f->net.server = f->server;
	random_begin(&f->device, f->display, seed, 4);
	return f;
}

static void viewer_open(struct fixture *f, const struct setting *setting)
{
	struct spice_client_config config = {
		.unix_path = f->path,
		.options = { .cache_bytes = setting->cache_bytes,
			.compression = SPICE_CLIENT_COMPRESSION_SERVER },
		.on_event = on_event,
		.opaque = f,
	};

	assert_int_equal(loop_create(&f->viewer_loop), 0);
	assert_int_equal(display_create(&f->viewer_display), 0);
	config.loop = f->viewer_loop;
	config.display = f->viewer_display;
	assert_int_equal(spice_client_create(&f->client, &config), 0);
}

static void fixture_destroy(struct fixture *f)
{
	spice_client_destroy(f->client);
	display_destroy(f->viewer_display);
	loop_destroy(f->viewer_loop);
	spice_server_destroy(f->server);
	for (int i = 0; i < 3; i++)
		loop_run_once(f->loop, 0);
	network_close(&f->net);
	random_end(&f->device);
	display_destroy(f->display);
	pool_destroy(f->pool);
	loop_destroy(f->loop);
	unlink(f->path);
	rmdir(f->folder);
	free(f);
}

/* ---- time goes on ---- */

static uint32_t backlog(struct fixture *f)
{
	struct spice_server_stats stats;

	spice_server_stats(f->server, &stats);
	return stats.backlog;
}

/* All that can happen now happens. */
static void settle(struct fixture *f)
{
	for (uint32_t quiet = 0; quiet < QUIET_TURNS; quiet++) {
		loop_run_once(f->loop, 0);
		loop_run_once(f->viewer_loop, 0);
		if (network_turn(&f->net))
			quiet = 0;
		if (f->lost[0])
			fail_msg("seed %u: the viewer lost its link: %s", f->number, f->lost);
	}
	if (backlog(f) && now_ns - f->net.used_ns > IDLE_MS * MS)
		fail_msg("seed %u: %u owed, and the link idle for %llu ms", f->number, backlog(f),
			(unsigned long long)((now_ns - f->net.used_ns) / MS));
}

static uint64_t next_event(struct fixture *f)
{
	uint64_t next_ns = next_arrival(&f->net);

	for (uint32_t i = 0; i < TIMER_FDS; i++)
		if (timer_fds[i].deadline_ns)
			next_ns = MIN(next_ns, timer_fds[i].deadline_ns);
	return next_ns;
}

static void pass(struct fixture *f, uint64_t ns)
{
	uint64_t end_ns = now_ns + ns;

	settle(f);
	for (;;) {
		uint64_t next_ns = next_event(f);

		if (next_ns == UINT64_MAX && backlog(f))
			fail_msg("seed %u: %u owed, and nothing will ever wake it", f->number,
				backlog(f));
		if (next_ns > end_ns)
			break;
		now_ns = MAX(next_ns, now_ns);
		ring();
		settle(f);
	}
	now_ns = end_ns;
}

/* Nothing is owed, and nothing is on its way. */
static void rest(struct fixture *f)
{
	uint64_t end_ns = now_ns + 120 * S;

	do {
		pass(f, 20 * MS);
		if (now_ns > end_ns)
			fail_msg("seed %u: it does not come to rest, %u owed", f->number,
				backlog(f));
	} while (backlog(f) || !network_idle(&f->net));
}

/* Without what is unused. */
static bool row_is_equal(const struct surface *is, const struct surface *should, uint32_t y)
{
	for (uint32_t x = 0; x < should->width; x++) {
		uint32_t words[2];

		surface_load_words(is, x, y, 1, &words[0]);
		surface_load_words(should, x, y, 1, &words[1]);
		if ((words[0] ^ words[1]) & 0xffffff)
			return false;
	}
	return true;
}

/* Whether the viewer has the surface as it is. */
static bool is_shown(struct fixture *f, uint32_t id)
{
	struct surface *should, *is;
	bool equal;

	display_lock(f->display);
	display_lock(f->viewer_display);
	should = display_sync(f->display, id, NULL);
	is = display_sync(f->viewer_display, id, NULL);
	equal = is && should && is->width == should->width && is->height == should->height;
	for (uint32_t y = 0; equal && y < should->height; y++)
		equal = row_is_equal(is, should, y);
	display_unlock(f->viewer_display);
	display_unlock(f->display);
	return equal;
}

/* ---- everything, at random ---- */

/* Over the seeds each compression meets each link. No slow link is as near as next door, where
 * nothing counts as slow until it shows. */
static struct setting random_setting(uint32_t seed)
{
	static const struct {
		uint64_t rate;
		uint32_t delays_ms[2];
	} links[] = {
		{ 30000, { 20, 200 } },
		{ 250000, { 5, 100 } },
		{ 2500000, { 0, 50 } },
		{ 1000000000, { 0, 5 } },
	};
	static const uint32_t caches[] = { 64 << 10, 4 << 20, 0 };
	uint32_t link = seed / 6 % 4;

	return (struct setting){
		.rate = links[link].rate,
		.delay_ns = links[link].delays_ms[seed / 24 % 2] * MS,
		.compression = (enum spice_image_compression)(seed % 6),
		.jpeg = (enum spice_jpeg)(seed / 2 % 3),
		.video = (enum spice_video)(seed / 5 % 3),
		.cache_bytes = caches[seed / 3 % 3],
	};
}

static void put(struct fixture *f, struct draw *draw)
{
	display_sink(f->display)->ops->draw(display_sink(f->display), draw);
	draw_unref(draw);
}

static void show_frames(struct fixture *f, uint32_t first, uint32_t count)
{
	struct rect area = rect_make(40, 30, 320, 240);
	struct point origin = { 40, 30 };

	for (uint32_t i = first; i < first + count; i++) {
		struct draw *draw = film_draw(film_pixel, i, origin, &area), *copy;

		if (f->off_screen) {
			draw->surface_id = OFF_SCREEN;
			assert_int_equal(draw_create(&copy, DRAW_COPY, DISPLAY_PRIMARY, &area), 0);
			copy->copy.source.surface_id = OFF_SCREEN;
			copy->copy.area = area;
			copy->copy.rop.op = ROP_PUT;
		}
		put(f, draw);
		if (f->off_screen)
			put(f, copy);
		pass(f, 40 * MS);
	}
}

/* A burst, a steady flow, little, or a film under all that. */
static void play(struct fixture *f)
{
	uint32_t steps = 1 + chance(f, 150), kind = chance(f, 4);

	if (kind == 3)
		show_frames(f, f->frame, steps / 2);
	f->frame += kind == 3 ? steps / 2 : 0;
	for (uint32_t i = 0; i < steps; i++) {
		random_step(&f->device);
		if (kind == 1)
			pass(f, chance(f, 20) * MS);
		else if (kind == 2)
			pass(f, chance(f, 300) * MS);
	}
}

static void test_nothing_is_forgotten(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= SEEDS; seed++) {
		struct setting setting = random_setting(seed);
		struct fixture *f = fixture_create(&setting, seed);

		viewer_open(f, &setting);
		for (uint32_t round = 0; round < 2; round++) {
			play(f);
			if (round % 2 == 0)
				continue;
			rest(f);
			pass(f, 2 * S); /* what was taken for a video ends */
			rest(f);
			if (!is_shown(f, DISPLAY_PRIMARY))
				fail_msg("seed %u: not the pixels that are due", seed);
		}
		fixture_destroy(f);
	}
}

/* ---- video, and after ---- */

/* Whenever it ends, and whatever the viewer was sent of it, the last frame is shown exactly soon
 * after. */
static void check_calm(struct fixture *f)
{
	struct spice_server_stats stats;

	for (uint32_t i = 0; i < 12; i++) {
		uint64_t frames, last_ns, calm_ns;

		show_frames(f, f->frame, 40);
		f->frame += 40;
		spice_server_stats(f->server, &stats);
		frames = stats.frames.count;
		show_frames(f, f->frame, 5 + i);
		f->frame += 5 + i;
		spice_server_stats(f->server, &stats);
		assert_true(stats.frames.count > frames);
		last_ns = now_ns - 40 * MS;
		while (!is_shown(f, DISPLAY_PRIMARY) && now_ns - last_ns < 10 * S)
			pass(f, 5 * MS);
		calm_ns = now_ns - last_ns;
		assert_true(calm_ns <= CALM_MS * MS);
		pass(f, (1 + i) * 70 * MS);
	}
}

static void test_calm(void **state)
{
	struct setting setting = { .rate = 12500000, .delay_ns = 2 * MS, .cache_bytes = 4 << 20 };
	struct fixture *f = fixture_create(&setting, 1);

	(void)state;
	viewer_open(f, &setting);
	rest(f);
	check_calm(f);
	fixture_destroy(f);
}

/* The same of one that is copied from a surface of its own. While it plays, nothing goes there. */
static void test_off_screen(void **state)
{
	struct setting setting = { .rate = 12500000, .delay_ns = 2 * MS, .cache_bytes = 4 << 20 };
	struct fixture *f = fixture_create(&setting, 1);
	struct display_sink *sink = display_sink(f->display);
	struct spice_server_stats before, after;
	struct surface *surface;

	(void)state;
	f->off_screen = true;
	assert_int_equal(surface_create(&surface, SURFACE_XRGB8888, 400, 300), 0);
	sink->ops->surface_create(sink, OFF_SCREEN, surface);
	surface_unref(surface);
	viewer_open(f, &setting);
	rest(f);
	check_calm(f);
	show_frames(f, f->frame, 20);
	spice_server_stats(f->server, &before);
	show_frames(f, f->frame + 20, 20);
	spice_server_stats(f->server, &after);
	assert_in_range(after.frames.count - before.frames.count, 15, 25);
	assert_int_equal(after.draws_as_commands, before.draws_as_commands);
	assert_int_equal(after.draws_as_pixels, before.draws_as_pixels);
	pass(f, S);
	rest(f);
	assert_true(is_shown(f, DISPLAY_PRIMARY));
	assert_true(is_shown(f, OFF_SCREEN));
	fixture_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_forgotten),
		cmocka_unit_test(test_calm),
		cmocka_unit_test(test_off_screen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

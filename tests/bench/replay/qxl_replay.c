/* SPDX-License-Identifier: MIT */
/* qxl-replay: serves a recording of QXL work to SPICE viewers as the device would, and tells what
 * it took. docs/benchmarks.md says how to use it. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <spice/enums.h>

#include "channels/server/server.h"
#include "cmd/png.h"
#include "cmd/server_options.h"
#include "core/log.h"
#include "core/util.h"
#include "tests/bench/replay/player.h"

enum {
	TURN_COMMANDS = 32, /* the command ring's length */
	BACKLOG_MAX = 50, /* libspice-server, too, leaves commands in the ring beyond so many */
	SETTLE_MS = 1000, /* nothing is sent for so long: that was all */
	VIEWER_FDS = 64,
};

#define WAIT_NS UINT64_C(1000000)

struct replay {
	struct player player;
	struct loop *loop;
	struct pool *pool;
	struct display *display;
	struct spice_server *server;
	struct input_sink input;
	struct server_options options;
	const char *path, *final; /* final: where its last picture goes, or NULL */
	bool stay; /* go on serving after the end */
	int listen_fd;
	struct loop_fd *listener;
	struct loop_timer *timer; /* does nothing but end the wait for a record's time */
	/* Waiting, playing, ending: answers for how long there is nothing to do, unless something
	 * happens. */
	uint64_t (*phase)(struct replay *replay);
	bool done;
	int viewers[VIEWER_FDS]; /* copies of the viewers' sockets, to see what they have taken */
	uint32_t viewer_count;
	bool recorded_pace, flood;
	uint64_t settle_ms;
	uint64_t start_ns, first_record_ns;
	uint64_t last_bytes, quiet_since_ns; /* at the end */
	struct rusage usage;
	double wall_s;
	int error;
};

/* ---- the report ---- */

static uint64_t sent_bytes(const struct spice_server_stats *stats)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < SERVER_STATS_CHANNELS; i++)
		bytes += stats->channels[i].bytes;
	return bytes;
}

static const char *const channel_names[SERVER_STATS_CHANNELS] = {
	[SPICE_CHANNEL_MAIN] = "main",
	[SPICE_CHANNEL_DISPLAY] = "display",
	[SPICE_CHANNEL_INPUTS] = "inputs",
	[SPICE_CHANNEL_CURSOR] = "cursor",
};

static const char *const image_names[SERVER_STATS_IMAGES] = {
	[SPICE_IMAGE_TYPE_BITMAP] = "bitmap",
	[SPICE_IMAGE_TYPE_QUIC] = "quic",
	[SPICE_IMAGE_TYPE_LZ_PLT] = "lz_plt",
	[SPICE_IMAGE_TYPE_LZ_RGB] = "lz_rgb",
	[SPICE_IMAGE_TYPE_GLZ_RGB] = "glz_rgb",
	[SPICE_IMAGE_TYPE_FROM_CACHE] = "from_cache",
	[SPICE_IMAGE_TYPE_SURFACE] = "surface",
	[SPICE_IMAGE_TYPE_JPEG] = "jpeg",
	[SPICE_IMAGE_TYPE_FROM_CACHE_LOSSLESS] = "from_cache_lossless",
	[SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB] = "zlib_glz_rgb",
	[SPICE_IMAGE_TYPE_JPEG_ALPHA] = "jpeg_alpha",
	[SPICE_IMAGE_TYPE_LZ4] = "lz4",
};

static void print_counts(const char *what, const char *const *names,
	const struct server_stats_count *counts, uint32_t size)
{
	const char *comma = "";

	printf("\"%s\": {", what);
	for (uint32_t i = 0; i < size; i++) {
		if (!names[i] || !counts[i].count)
			continue;
		printf("%s\"%s\": {\"count\": %" PRIu64 ", \"bytes\": %" PRIu64 "}", comma,
			names[i], counts[i].count, counts[i].bytes);
		comma = ", ";
	}
	printf("}, ");
}

static double seconds(const struct timeval *tv)
{
	return (double)tv->tv_sec + (double)tv->tv_usec / 1e6;
}

static void print_report(struct replay *replay)
{
	const char *pace = replay->recorded_pace ? "recorded" : replay->flood ? "flood" : "fast";
	const struct rusage *usage = &replay->usage;
	struct spice_server_stats stats;
	const char *name = strrchr(replay->path, '/');

	spice_server_stats(replay->server, &stats);
	printf("{\"trace\": \"%s\", \"pace\": \"%s\", \"bytes\": %" PRIu64 ", ",
		name ? name + 1 : replay->path, pace, sent_bytes(&stats));
	print_counts("channels", channel_names, stats.channels, SERVER_STATS_CHANNELS);
	print_counts("images", image_names, stats.images, SERVER_STATS_IMAGES);
	printf("\"streams\": {\"count\": %" PRIu64 ", \"frames\": %" PRIu64 ", \"bytes\": %" PRIu64
	       "}, ",
		stats.streams, stats.frames.count, stats.frames.bytes);
	printf("\"commands\": %" PRIu64 ", \"draws\": %" PRIu64 ", \"left_out\": %" PRIu64 ", ",
		replay->player.commands, replay->player.draws, replay->player.left_out);
	printf("\"draws_as_commands\": %" PRIu64 ", \"draws_as_pixels\": %" PRIu64 ", ",
		stats.draws_as_commands, stats.draws_as_pixels);
	printf("\"cpu_s\": %.3f, \"cpu_user_s\": %.3f, \"cpu_sys_s\": %.3f, \"read_s\": %.3f, "
	       "\"wall_s\": %.3f}\n",
		seconds(&usage->ru_utime) + seconds(&usage->ru_stime), seconds(&usage->ru_utime),
		seconds(&usage->ru_stime), (double)replay->player.read_ns / 1e9, replay->wall_s);
	fflush(stdout);
}

static int save_final(struct replay *replay)
{
	struct image *image;
	int err = display_snapshot(replay->display, DISPLAY_PRIMARY, NULL, &image);

	if (!err) {
		err = png_write(replay->final, image);
		image_unref(image);
	}
	return err;
}

/* What is read of it may be used at once. */
static void tell_end(struct replay *replay)
{
	int err = replay->final ? save_final(replay) : 0;

	if (err && !replay->error)
		replay->error = err;
	print_report(replay);
}

/* ---- the end ---- */

/* Whether every viewer's end has acknowledged what was written. */
static bool all_taken(const struct replay *replay)
{
	for (uint32_t i = 0; i < replay->viewer_count; i++) {
		int bytes = 0;

		if (ioctl(replay->viewers[i], SIOCOUTQ, &bytes) == 0 && bytes > 0)
			return false;
	}
	return true;
}

static uint64_t stay(struct replay *replay)
{
	return 1000 * WAIT_NS;
}

static uint64_t end(struct replay *replay)
{
	uint64_t now = clock_monotonic_ns();
	struct spice_server_stats stats;

	spice_server_stats(replay->server, &stats);
	if (stats.backlog > 0 || sent_bytes(&stats) != replay->last_bytes || !all_taken(replay)) {
		replay->last_bytes = sent_bytes(&stats);
		replay->quiet_since_ns = now;
	}
	if (now - replay->quiet_since_ns < replay->settle_ms * 1000000)
		return 10 * WAIT_NS;
	replay->wall_s = (double)(replay->quiet_since_ns - replay->start_ns) / 1e9;
	getrusage(RUSAGE_SELF, &replay->usage);
	tell_end(replay);
	replay->done = !replay->stay;
	replay->phase = stay;
	return 0;
}

/* ---- playing ---- */

static bool held_back(struct replay *replay)
{
	struct spice_server_stats stats;

	if (replay->recorded_pace || replay->flood)
		return false;
	spice_server_stats(replay->server, &stats);
	return stats.backlog > BACKLOG_MAX;
}

/* How long until the next record's turn; 0: now. */
static uint64_t time_left(struct replay *replay)
{
	uint64_t due = replay->player.record.time_ns - replay->first_record_ns;
	uint64_t passed = clock_monotonic_ns() - replay->start_ns;

	/* A clock that went backwards would never be reached. */
	if (!replay->recorded_pace || replay->player.record.time_ns < replay->first_record_ns)
		return 0;
	return due > passed ? due - passed : 0;
}

static uint64_t play(struct replay *replay)
{
	int more = 1;

	if (held_back(replay))
		return 10 * WAIT_NS;
	for (int i = 0; i < TURN_COMMANDS && more > 0; i++) {
		uint64_t left;

		more = player_peek(&replay->player);
		if (more <= 0)
			break;
		if (!replay->first_record_ns)
			replay->first_record_ns = replay->player.record.time_ns;
		left = time_left(replay);
		if (left > 0)
			return left;
		player_step(&replay->player);
	}
	if (more > 0)
		return 0;
	replay->error = more;
	replay->quiet_since_ns = clock_monotonic_ns();
	replay->phase = end;
	return 0;
}

/* A viewer whose display channel has begun was sent something there. */
static uint64_t wait_viewer(struct replay *replay)
{
	struct spice_server_stats stats;

	spice_server_stats(replay->server, &stats);
	if (stats.channels[SPICE_CHANNEL_DISPLAY].count == 0)
		return 10 * WAIT_NS;
	replay->start_ns = clock_monotonic_ns();
	replay->phase = play;
	return 0;
}

static void on_timer(void *opaque)
{
}

static int run(struct replay *replay)
{
	int err = 0;

	while (!replay->done && !err) {
		uint64_t wait_ns = replay->phase(replay);
		int wait_ms = (int)(MIN(wait_ns, 1000 * WAIT_NS) / 1000000);

		if (replay->recorded_pace && wait_ns > 0) {
			loop_timer_arm(replay->timer, wait_ns);
			wait_ms = -1;
		}
		if (!replay->done)
			err = loop_run_once(replay->loop, wait_ms);
	}
	return err;
}

/* ---- viewers ---- */

static void on_connection(void *opaque, uint32_t events)
{
	struct replay *replay = opaque;
	int fd = accept4(replay->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (replay->viewer_count < VIEWER_FDS)
		replay->viewers[replay->viewer_count++] = dup(fd);
	spice_server_add_client_fd(replay->server, fd);
}

static int listen_on(struct replay *replay, uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	socklen_t size = sizeof(address);
	int one = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	replay->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (replay->listen_fd < 0)
		return -errno;
	setsockopt(replay->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(replay->listen_fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(replay->listen_fd, 16) < 0 ||
		getsockname(replay->listen_fd, (struct sockaddr *)&address, &size) < 0)
		return -errno;
	replay->listener =
		loop_fd_add(replay->loop, replay->listen_fd, EPOLLIN, on_connection, replay);
	fprintf(stderr, "listening on 127.0.0.1:%u\n", ntohs(address.sin_port));
	return replay->listener ? 0 : -ENOMEM;
}

/* ---- input, which goes nowhere; viewers then draw the pointer themselves ---- */

static void no_key(struct input_sink *sink, uint32_t scancode, bool down)
{
}

static void no_motion(struct input_sink *sink, int32_t dx, int32_t dy)
{
}

static void no_position(
	struct input_sink *sink, int32_t x, int32_t y, uint32_t width, uint32_t height)
{
}

static void no_button(struct input_sink *sink, enum input_button button, bool down)
{
}

static void no_leds(struct input_sink *sink, uint32_t leds)
{
}

static const struct input_sink_ops input_ops = { .key = no_key,
	.motion = no_motion,
	.position = no_position,
	.button = no_button,
	.set_leds = no_leds };

/* ---- the whole ---- */

static int start(struct replay *replay, uint16_t port)
{
	struct spice_server_config config = { .name = "qxl-replay" };
	int err = loop_create(&replay->loop);

	if (!err)
		err = pool_create(&replay->pool, 0);
	if (!err)
		err = display_create(&replay->display);
	if (!err)
		err = player_init(&replay->player, replay->path, display_sink(replay->display));
	if (err)
		return err;
	server_options_apply(&replay->options, &config);
	config.loop = replay->loop;
	config.pool = replay->pool;
	config.display = replay->display;
	input_sink_init(&replay->input, &input_ops);
	replay->input.absolute = true;
	config.input = &replay->input;
	err = spice_server_create(&replay->server, &config);
	if (!err)
		err = listen_on(replay, port);
	if (err)
		return err;
	replay->timer = loop_timer_add(replay->loop, on_timer, replay);
	if (!replay->timer)
		return -ENOMEM;
	replay->phase = wait_viewer;
	return 0;
}

static void finish(struct replay *replay)
{
	if (replay->timer)
		loop_timer_remove(replay->timer);
	loop_fd_remove(replay->listener);
	if (replay->listen_fd >= 0)
		close(replay->listen_fd);
	for (uint32_t i = 0; i < replay->viewer_count; i++)
		close(replay->viewers[i]);
	spice_server_destroy(replay->server);
	player_finish(&replay->player);
	display_destroy(replay->display);
	pool_destroy(replay->pool);
	if (replay->loop)
		loop_destroy(replay->loop);
}

static int usage(void)
{
	fprintf(stderr,
		"Usage: qxl-replay [OPTION]... TRACE\n"
		"\n"
		"Serves a recording of QXL work (.qxl, .qxl.zst) over SPICE on loopback, once a\n"
		"viewer is there, and prints what it took as JSON.\n"
		"\n"
		"      --port N            listen there (any free port, which is said)\n"
		"      --pace recorded|fast|flood\n"
		"                          as it was; as the viewers take it; without waiting\n"
		"      --final FILE.png    the last picture\n"
		"      --settle MS         how long nothing is sent at the end (1000)\n"
		"      --stay              serve on afterwards\n"
		"%s  -v, --verbose           log more (twice: everything)\n",
		server_options_help);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "pace", required_argument, NULL, 'P' },
		{ "final", required_argument, NULL, 'f' },
		{ "settle", required_argument, NULL, 's' },
		{ "image-compression", required_argument, NULL, 'o' },
		{ "jpeg", required_argument, NULL, 'o' },
		{ "video", required_argument, NULL, 'o' },
		{ "stay", no_argument, NULL, 'S' },
		{ "verbose", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	struct replay replay = { .listen_fd = -1, .settle_ms = SETTLE_MS };
	unsigned long port = 0;
	int option, err, index = 0;
	const char *wanted;

	while ((option = getopt_long(argc, argv, "p:v", options, &index)) != -1) {
		switch (option) {
		case 'p': port = strtoul(optarg, NULL, 10); break;
		case 'P':
			replay.recorded_pace = strcmp(optarg, "recorded") == 0;
			replay.flood = strcmp(optarg, "flood") == 0;
			if (!replay.recorded_pace && !replay.flood && strcmp(optarg, "fast") != 0)
				return usage();
			break;
		case 'f': replay.final = optarg; break;
		case 'o':
			if (server_options_set(
				    &replay.options, options[index].name, optarg, &wanted))
				return usage();
			break;
		case 'S': replay.stay = true; break;
		case 's': replay.settle_ms = strtoul(optarg, NULL, 10); break;
		case 'v': log_set_level(log_enabled(LOG_INFO) ? LOG_DEBUG : LOG_INFO); break;
		default: return usage();
		}
	}
	if (argc - optind != 1 || port > UINT16_MAX)
		return usage();
	replay.path = argv[optind];
	err = start(&replay, (uint16_t)port);
	if (!err)
		err = run(&replay);
	if (err || replay.error)
		fprintf(stderr, "qxl-replay: %s: %s\n", argv[optind],
			strerror(err ? -err : -replay.error));
	finish(&replay);
	return err || replay.error ? 1 : 0;
}

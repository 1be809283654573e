/* SPDX-License-Identifier: MIT */
/* replay-client: a viewer without a window that decodes all it is sent until the server closes (or
 * SIGTERM; after SIGUSR1, until nothing comes any more), saves the last picture and, when asked,
 * the frames shown in an area, and prints what it received as JSON. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/tcp.h>
#include <netinet/in.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channels/client/client.h"
#include "cmd/png.h"
#include "core/log.h"
#include "core/util.h"
#include "tests/bench/replay/frames.h"

enum {
	SAMPLE_MS = 50,
	QUIET_MS = 1500, /* nothing comes for so long: that was all */
	FDS = 256,
};

struct watcher {
	struct loop *loop;
	struct display *display;
	struct display_sink sink;
	struct spice_client *client;
	struct loop_timer *sample;
	int signal_fd;
	struct loop_fd *signals;
	struct loop_idle *shown; /* at the end of a turn that changed the area */
	uint64_t received[FDS]; /* bytes, by socket */
	uint64_t received_at_ns; /* when they last grew */
	bool ending; /* SIGUSR1 came */
	uint64_t draws, dirties;
	struct image *last; /* the primary surface as it was when it went */
	FILE *frames;
	struct rect area;
	uint32_t every;
	uint64_t changes, saved;
	bool framed;
};

/* ---- bytes ---- */

static uint64_t total(const struct watcher *w)
{
	uint64_t bytes = 0;

	for (int fd = 0; fd < FDS; fd++)
		bytes += w->received[fd];
	return bytes;
}

/* The kernel counts what a connection received. */
static void on_sample(void *opaque)
{
	struct watcher *w = opaque;
	uint64_t before = total(w);

	for (int fd = 0; fd < FDS; fd++) {
		struct tcp_info info = { 0 };
		socklen_t size = sizeof(info);

		if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
			info.tcpi_bytes_received > w->received[fd])
			w->received[fd] = info.tcpi_bytes_received;
	}
	if (total(w) != before)
		w->received_at_ns = clock_monotonic_ns();
	if (w->ending && clock_monotonic_ns() - w->received_at_ns > QUIET_MS * UINT64_C(1000000))
		loop_stop(w->loop);
	else
		loop_timer_arm(w->sample, SAMPLE_MS * UINT64_C(1000000));
}

/* ---- what is shown ---- */

static void changed(struct watcher *w, uint32_t id, const struct rect *area)
{
	struct rect common = rect_intersect(&w->area, area);

	if (id == DISPLAY_PRIMARY && w->frames && !rect_empty(&common))
		loop_idle_schedule(w->shown);
}

static struct watcher *of_sink(struct display_sink *sink)
{
	return container_of(sink, struct watcher, sink);
}

static void on_draw(struct display_sink *sink, struct draw *draw)
{
	struct watcher *w = of_sink(sink);

	w->draws++;
	changed(w, draw->surface_id, &draw->box);
}

static void on_dirty(struct display_sink *sink, uint32_t id, const struct rect *area)
{
	struct watcher *w = of_sink(sink);

	w->dirties++;
	changed(w, id, area);
}

static void on_surface_destroy(struct display_sink *sink, uint32_t id)
{
	struct watcher *w = of_sink(sink);

	if (id != DISPLAY_PRIMARY)
		return;
	image_unref(w->last);
	w->last = NULL;
	display_snapshot(w->display, id, NULL, &w->last);
}

static const struct display_sink_ops sink_ops = {
	.draw = on_draw,
	.dirty = on_dirty,
	.surface_destroy = on_surface_destroy,
};

static void save_frame(struct watcher *w, const struct image *image)
{
	uint64_t now = clock_monotonic_ns();
	uint32_t pixels[SURFACE_MAX_SIDE];
	uint8_t row[SURFACE_MAX_SIDE];

	if (image->width != (uint32_t)rect_width(&w->area) ||
		image->height != (uint32_t)rect_height(&w->area))
		return;
	fwrite(&now, sizeof(now), 1, w->frames);
	for (uint32_t y = 0; y < image->height; y++) {
		image_row_to_argb(image, 0, y, image->width, pixels);
		frames_brightness(row, pixels, image->width);
		fwrite(row, image->width, 1, w->frames);
	}
	w->saved++;
}

static void on_shown(void *opaque)
{
	struct watcher *w = opaque;
	struct image *image;

	if (w->changes++ % w->every ||
		display_snapshot(w->display, DISPLAY_PRIMARY, &w->area, &image) < 0)
		return;
	save_frame(w, image);
	image_unref(image);
}

/* ---- the end ---- */

static void on_event(void *opaque, enum spice_client_event event, const char *reason)
{
	struct watcher *w = opaque;

	switch (event) {
	case SPICE_CLIENT_FIRST_FRAME: w->framed = true; break;
	case SPICE_CLIENT_AUTH_NEEDED:
	case SPICE_CLIENT_DISCONNECTED:
		if (!w->framed)
			fprintf(stderr, "replay-client: %s\n", reason);
		loop_stop(w->loop);
		break;
	default: break;
	}
}

static void on_signal(void *opaque, uint32_t events)
{
	struct watcher *w = opaque;
	struct signalfd_siginfo info;

	if (read(w->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo != SIGUSR1) {
		loop_stop(w->loop);
		return;
	}
	w->ending = true;
	w->received_at_ns = clock_monotonic_ns();
}

static void report(const struct watcher *w)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	printf("{\"received_bytes\": %" PRIu64 ", \"draws\": %" PRIu64 ", \"dirties\": %" PRIu64
	       ", \"frames_saved\": %" PRIu64 ", \"cpu_s\": %.3f}\n",
		total(w), w->draws, w->dirties, w->saved,
		(double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
			(double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
}

static int save_last(struct watcher *w, const char *path)
{
	int err = 0;

	if (!w->last)
		err = display_snapshot(w->display, DISPLAY_PRIMARY, NULL, &w->last);
	if (!err && path)
		err = png_write(path, w->last);
	if (err)
		fprintf(stderr, "replay-client: no last picture: %s\n", strerror(-err));
	return err;
}

/* ---- the whole ---- */

static int open_frames(struct watcher *w, const char *path)
{
	struct frames_header header = { .magic = FRAMES_MAGIC,
		.x = w->area.left,
		.y = w->area.top,
		.width = (uint32_t)rect_width(&w->area),
		.height = (uint32_t)rect_height(&w->area) };

	w->frames = fopen(path, "wbe");
	if (!w->frames)
		return -errno;
	fwrite(&header, sizeof(header), 1, w->frames);
	return 0;
}

static int watch_signals(struct watcher *w)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	w->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (w->signal_fd < 0)
		return -errno;
	w->signals = loop_fd_add(w->loop, w->signal_fd, EPOLLIN, on_signal, w);
	return w->signals ? 0 : -ENOMEM;
}

static int start(struct watcher *w, struct spice_client_config *config)
{
	int err = loop_create(&w->loop);

	w->sink.ops = &sink_ops;
	if (!err)
		err = display_create(&w->display);
	if (!err)
		err = display_attach(w->display, &w->sink);
	if (!err)
		err = watch_signals(w);
	if (err)
		return err;
	w->sample = loop_timer_add(w->loop, on_sample, w);
	w->shown = loop_idle_add(w->loop, on_shown, w);
	if (!w->sample || !w->shown)
		return -ENOMEM;
	loop_timer_arm(w->sample, 0);
	config->loop = w->loop;
	config->display = w->display;
	config->on_event = on_event;
	config->opaque = w;
	return spice_client_create(&w->client, config);
}

static void finish(struct watcher *w)
{
	spice_client_destroy(w->client);
	loop_fd_remove(w->signals);
	if (w->signal_fd >= 0)
		close(w->signal_fd);
	if (w->sample)
		loop_timer_remove(w->sample);
	if (w->shown)
		loop_idle_remove(w->shown);
	if (w->frames)
		fclose(w->frames);
	image_unref(w->last);
	display_destroy(w->display);
	if (w->loop)
		loop_destroy(w->loop);
}

static bool parse_area(struct rect *area, const char *text)
{
	int width, height, x, y;

	if (sscanf(text, "%dx%d+%d+%d", &width, &height, &x, &y) != 4 || width <= 0 ||
		height <= 0 || width > SURFACE_MAX_SIDE || height > SURFACE_MAX_SIDE || x < 0 ||
		y < 0 || x > SURFACE_MAX_SIDE || y > SURFACE_MAX_SIDE)
		return false;
	*area = rect_make(x, y, width, height);
	return true;
}

static int usage(void)
{
	fputs("Usage: replay-client [--final FILE.png] [--frames FILE --area WxH+X+Y [--every N]]\n"
	      "                     [--mjpeg] [-v] HOST:PORT\n",
		stderr);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "final", required_argument, NULL, 'f' },
		{ "frames", required_argument, NULL, 'F' },
		{ "area", required_argument, NULL, 'a' },
		{ "every", required_argument, NULL, 'e' },
		{ "mjpeg", no_argument, NULL, 'm' },
		{ "verbose", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	struct watcher w = { .signal_fd = -1, .every = 1 };
	/* As if it were far away: nothing is asked of the server. */
	struct spice_client_config config = {
		.options.compression = SPICE_CLIENT_COMPRESSION_SERVER,
	};
	const char *final = NULL, *frames = NULL;
	struct spice_target target;
	int option, err = 0;

	while ((option = getopt_long(argc, argv, "v", options, NULL)) != -1) {
		switch (option) {
		case 'f': final = optarg; break;
		case 'F': frames = optarg; break;
		case 'a':
			if (!parse_area(&w.area, optarg))
				return usage();
			break;
		case 'e': w.every = MAX((uint32_t)strtoul(optarg, NULL, 10), 1u); break;
		case 'm': config.options.mjpeg_only = true; break;
		case 'v': log_set_level(log_enabled(LOG_INFO) ? LOG_DEBUG : LOG_INFO); break;
		default: return usage();
		}
	}
	if (argc - optind != 1 || spice_target_parse(&target, argv[optind]) < 0 ||
		(frames && rect_empty(&w.area)))
		return usage();
	config.host = target.host;
	config.port = target.port;
	config.unix_path = target.unix_path;
	if (frames)
		err = open_frames(&w, frames);
	if (!err)
		err = start(&w, &config);
	if (!err) {
		loop_run(w.loop);
		err = save_last(&w, final);
		report(&w);
	} else {
		fprintf(stderr, "replay-client: %s\n", strerror(-err));
	}
	finish(&w);
	spice_target_finish(&target);
	return err ? 1 : 0;
}

/* SPDX-License-Identifier: MIT */
/* spicebox screenshot: a viewer without a window that saves what it sees. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/png.h"
#include "cmd/viewer.h"
#include "core/log.h"
#include "core/util.h"

enum {
	TIMEOUT_DEFAULT_S = 10,
	TIMEOUT_MAX_S = 3600,
	REST_MS = 100, /* without a drawing: the picture is whole */
	RESTLESS_MAX_MS = 2000, /* a moving picture never is */
};

struct screenshot {
	const char *path;
	uint64_t timeout_s;
	struct spice_client_options options;
	struct loop *loop;
	struct display *display;
	struct display_sink sink; /* hears of drawings */
	struct spice_client *client;
	struct loop_timer *rest;
	struct loop_timer *deadline;
	bool framed;
	int exit_code;
};

static uint64_t ms(uint64_t value)
{
	return value * 1000000;
}

static void finish(struct screenshot *shot, int exit_code)
{
	shot->exit_code = exit_code;
	loop_stop(shot->loop);
}

static void save(void *opaque)
{
	struct screenshot *shot = opaque;
	struct image *image = NULL;
	int err = display_snapshot(shot->display, DISPLAY_PRIMARY, NULL, &image);

	if (err == -ENOENT)
		cmd_error("the VM shows nothing now");
	else if (err == 0)
		err = png_write(shot->path, image);
	if (err && err != -ENOENT)
		cmd_error("cannot write %s: %s", shot->path, strerror(-err));
	image_unref(image);
	finish(shot, err ? 1 : 0);
}

static void on_deadline(void *opaque)
{
	struct screenshot *shot = opaque;

	if (shot->framed) {
		save(shot);
		return;
	}
	cmd_error("no picture came within %llu seconds", (unsigned long long)shot->timeout_s);
	finish(shot, 1);
}

static void moved(struct display_sink *sink)
{
	struct screenshot *shot = container_of(sink, struct screenshot, sink);

	if (shot->framed)
		loop_timer_arm(shot->rest, ms(REST_MS));
}

static void on_surface_create(struct display_sink *sink, uint32_t id, struct surface *surface)
{
	moved(sink);
}

static void on_surface_destroy(struct display_sink *sink, uint32_t id)
{
	moved(sink);
}

static void on_draw(struct display_sink *sink, struct draw *draw)
{
	moved(sink);
}

static void on_dirty(struct display_sink *sink, uint32_t id, const struct rect *area)
{
	moved(sink);
}

static const struct display_sink_ops sink_ops = {
	.surface_create = on_surface_create,
	.surface_destroy = on_surface_destroy,
	.draw = on_draw,
	.dirty = on_dirty,
};

static void on_event(void *opaque, enum spice_client_event event, const char *reason)
{
	struct screenshot *shot = opaque;

	switch (event) {
	case SPICE_CLIENT_FIRST_FRAME:
		shot->framed = true;
		loop_timer_arm(shot->rest, ms(REST_MS));
		loop_timer_arm(shot->deadline, ms(RESTLESS_MAX_MS));
		break;
	case SPICE_CLIENT_AUTH_NEEDED:
		cmd_error("%s; --password-file gives it", reason);
		finish(shot, 1);
		break;
	case SPICE_CLIENT_DISCONNECTED:
		cmd_error("%s", reason);
		finish(shot, 1);
		break;
	default: break;
	}
}

static int take(struct screenshot *shot, const struct spice_target *target)
{
	int err = loop_create(&shot->loop);

	shot->sink.ops = &sink_ops;
	shot->exit_code = 1;
	if (err == 0)
		err = display_create(&shot->display);
	if (err == 0) {
		shot->rest = loop_timer_add(shot->loop, save, shot);
		shot->deadline = loop_timer_add(shot->loop, on_deadline, shot);
		err = shot->rest && shot->deadline ? 0 : -ENOMEM;
	}
	if (err == 0)
		err = display_attach(shot->display, &shot->sink);
	if (err == 0)
		err = viewer_connect(&shot->client, target, &shot->options, shot->loop,
			shot->display, on_event, shot);
	if (err) {
		cmd_error("cannot begin: %s", strerror(-err));
	} else {
		loop_timer_arm(shot->deadline, ms(shot->timeout_s * 1000));
		loop_run(shot->loop);
	}
	spice_client_destroy(shot->client);
	loop_timer_remove(shot->rest);
	loop_timer_remove(shot->deadline);
	display_destroy(shot->display);
	if (shot->loop)
		loop_destroy(shot->loop);
	return shot->exit_code;
}

static void print_help(void)
{
	puts("Usage: spicebox screenshot [OPTION]... SERVER FILE.png\n"
	     "\n"
	     "Saves what a VM that is served over SPICE shows as a PNG file.\n"
	     "\n"
	     "SERVER is HOST:PORT, [IPV6]:PORT, spice://HOST:PORT or spice+unix:///PATH.\n"
	     "\n"
	     "      --password-file F   the password is the first line of F\n"
	     "      --timeout SECONDS   give up when no picture comes (10)\n" VIEWER_OPTIONS_HELP
	     "  -v, --verbose           log more (twice: everything)\n"
	     "  -h, --help              this help");
}

int cmd_screenshot(int argc, char **argv)
{
	enum { OPT_PASSWORD_FILE = 256, OPT_TIMEOUT };
	static const struct option options[] = {
		{ "password-file", required_argument, NULL, OPT_PASSWORD_FILE },
		{ "timeout", required_argument, NULL, OPT_TIMEOUT },
		VIEWER_OPTIONS,
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct screenshot shot = { .timeout_s = TIMEOUT_DEFAULT_S };
	const char *password_file = NULL;
	struct spice_target target;
	int option, code;

	while ((option = getopt_long(argc, argv, "vh", options, NULL)) != -1) {
		switch (option) {
		case OPT_PASSWORD_FILE: password_file = optarg; break;
		case OPT_TIMEOUT:
			if (cmd_parse_number(optarg, 1, TIMEOUT_MAX_S, &shot.timeout_s)) {
				cmd_error(
					"--timeout wants seconds from 1 to 3600, not '%s'", optarg);
				return cmd_misuse("screenshot");
			}
			break;
		case 'v': log_set_level(log_enabled(LOG_INFO) ? LOG_DEBUG : LOG_INFO); break;
		case 'h': print_help(); return 0;
		default:
			if (viewer_option(&shot.options, option, optarg))
				return cmd_misuse("screenshot");
		}
	}
	if (argc - optind != 2) {
		cmd_error("screenshot wants a server and a file");
		return cmd_misuse("screenshot");
	}
	code = viewer_target(&target, argv[optind], password_file, "screenshot");
	if (code)
		return code;
	shot.path = argv[optind + 1];
	code = take(&shot, &target);
	spice_target_finish(&target);
	return code;
}

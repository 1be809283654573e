/* SPDX-License-Identifier: MIT */
/* spicebox run: a VM and its window in one process; the window reads the guest's frame in place. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/session.h"
#include "ui/window.h"

struct run {
	struct session *session;
	struct window *window;
	int exit_code;
};

static void on_request(void *opaque, enum window_request request)
{
	struct run *run = opaque;

	if (request == WINDOW_REQUEST_CLOSE)
		session_close(run->session);
}

/* The VM's thread; SDL keeps the main one. */
static void *run_session(void *opaque)
{
	struct run *run = opaque;

	run->exit_code = session_run(run->session, run->window);
	return NULL;
}

static int run_with_window(const struct vm_options *options)
{
	struct run run = { .exit_code = 1 };
	struct window_config config = {
		.full_screen = options->full_screen,
		.on_request = on_request,
		.opaque = &run,
	};
	char title[256], *error = NULL;
	pthread_t thread;
	int err;

	run.session = session_create(options, false);
	if (!run.session)
		return 1;
	snprintf(title, sizeof(title), "%s - spicebox", options->name);
	config.title = title;
	config.loop = session_loop(run.session);
	config.display = session_display(run.session);
	err = window_create(&run.window, &config, &error);
	if (err) {
		cmd_error("%s", error ? error : strerror(-err));
		free(error);
		session_destroy(run.session);
		return 1;
	}
	err = pthread_create(&thread, NULL, run_session, &run);
	if (err) {
		cmd_error("cannot start a thread: %s", strerror(err));
	} else {
		window_run(run.window);
		pthread_join(thread, NULL);
	}
	window_destroy(run.window);
	session_destroy(run.session);
	return run.exit_code;
}

int cmd_run(int argc, char **argv)
{
	struct vm_options options;
	int code = vm_options_parse(&options, "run", argc, argv);

	if (code >= 0)
		return code;
	return options.headless ? session_run_headless(&options, false) : run_with_window(&options);
}

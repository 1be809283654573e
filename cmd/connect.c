/* SPDX-License-Identifier: MIT */
/* spicebox connect: the viewer. The network has a thread with a loop of its own; SDL the main one. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/viewer.h"
#include "core/log.h"
#include "core/util.h"
#include "ui/window.h"

struct viewer {
	struct spice_target target;
	char place[512]; /* the target, without what is secret in it */
	const char *title; /* NULL: the VM's name */
	bool full_screen;
	struct spice_client_options options;
	struct loop *loop;
	sem_t running; /* posted once the loop is */
	struct display *display;
	struct window *window;
	/* Guards what the window shows while it is being opened. */
	pthread_mutex_t lock;
	char *window_title;
	char *notice;
	bool offer_reconnect;
	bool quit;
	/* The loop's thread. */
	struct spice_client *client;
	bool shown; /* a picture was there: a later loss offers to reconnect */
	bool over; /* taken down: a start that was posted before comes too late */
	int exit_code;
	int signal_fd;
	struct loop_fd *signals;
	int tty; /* asks for the password; -1: does not */
	struct loop_fd *tty_source;
	struct termios tty_modes;
};

/* ---- what the window says; it may not be open yet ---- */

static void say_title(struct viewer *viewer, const char *name)
{
	char *title = NULL;

	if (asprintf(&title, "%s - spicebox", name) < 0)
		return;
	pthread_mutex_lock(&viewer->lock);
	free(viewer->window_title);
	viewer->window_title = title;
	if (viewer->window)
		window_set_title(viewer->window, title);
	pthread_mutex_unlock(&viewer->lock);
}

static void say_notice(struct viewer *viewer, const char *text, bool offer_reconnect)
{
	pthread_mutex_lock(&viewer->lock);
	free(viewer->notice);
	viewer->notice = text ? strdup(text) : NULL;
	viewer->offer_reconnect = offer_reconnect;
	if (viewer->window)
		window_set_notice(viewer->window, text, offer_reconnect);
	pthread_mutex_unlock(&viewer->lock);
}

static void quit(struct viewer *viewer)
{
	pthread_mutex_lock(&viewer->lock);
	viewer->quit = true;
	if (viewer->window)
		window_quit(viewer->window);
	pthread_mutex_unlock(&viewer->lock);
}

/* The first failure is told, and ends the viewer. */
static void fail(struct viewer *viewer, const char *reason)
{
	bool first;

	pthread_mutex_lock(&viewer->lock);
	first = !viewer->quit && !viewer->exit_code;
	viewer->exit_code = 1;
	pthread_mutex_unlock(&viewer->lock);
	if (first)
		cmd_error("%s", reason);
	quit(viewer);
}

/* ---- connecting; the loop's thread ---- */

static void start(void *opaque);

static void tty_close(struct viewer *viewer)
{
	if (viewer->tty < 0)
		return;
	loop_fd_remove(viewer->tty_source);
	viewer->tty_source = NULL;
	tcsetattr(viewer->tty, TCSAFLUSH, &viewer->tty_modes);
	close(viewer->tty);
	viewer->tty = -1;
}

static void on_tty(void *opaque, uint32_t events)
{
	struct viewer *viewer = opaque;
	char line[CMD_PASSWORD_MAX + 2];
	ssize_t size = read(viewer->tty, line, sizeof(line) - 1);

	if (write(viewer->tty, "\n", 1) < 0)
		size = -1;
	tty_close(viewer);
	if (size <= 1) {
		fail(viewer, "no password was given");
		return;
	}
	line[size] = '\0';
	line[strcspn(line, "\r\n")] = '\0';
	free(viewer->target.password);
	viewer->target.password = strdup(line);
	explicit_bzero(line, sizeof(line));
	start(viewer);
}

/* Asks on the terminal, which sends one line; false when there is none to ask on. */
static bool ask_password(struct viewer *viewer, const char *reason)
{
	struct termios quiet;

	if (!isatty(STDIN_FILENO))
		return false;
	viewer->tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (viewer->tty < 0)
		return false;
	if (tcgetattr(viewer->tty, &viewer->tty_modes) < 0)
		goto fail;
	quiet = viewer->tty_modes;
	quiet.c_lflag &= (tcflag_t)~ECHO;
	quiet.c_lflag |= ICANON;
	viewer->tty_source = loop_fd_add(viewer->loop, viewer->tty, EPOLLIN, on_tty, viewer);
	if (!viewer->tty_source || tcsetattr(viewer->tty, TCSAFLUSH, &quiet) < 0)
		goto fail;
	dprintf(viewer->tty, "spicebox: %s. Password for %s: ", reason, viewer->place);
	return true;
fail:
	loop_fd_remove(viewer->tty_source);
	viewer->tty_source = NULL;
	close(viewer->tty);
	viewer->tty = -1;
	return false;
}

static void detach_input(struct viewer *viewer)
{
	pthread_mutex_lock(&viewer->lock);
	if (viewer->window)
		window_attach(viewer->window, NULL);
	pthread_mutex_unlock(&viewer->lock);
}

static void on_lost(struct viewer *viewer, const char *reason)
{
	char text[600];

	if (!viewer->shown) {
		fail(viewer, reason);
		return;
	}
	log_info("connect", "%s", reason);
	snprintf(text, sizeof(text), "%s.", reason);
	text[0] = (char)toupper((unsigned char)text[0]);
	detach_input(viewer);
	say_notice(viewer, text, true);
}

static void on_event(void *opaque, enum spice_client_event event, const char *reason)
{
	struct viewer *viewer = opaque;
	char text[600];

	switch (event) {
	case SPICE_CLIENT_CONNECTED: break;
	case SPICE_CLIENT_FIRST_FRAME:
		viewer->shown = true;
		say_notice(viewer, NULL, false);
		break;
	case SPICE_CLIENT_NAME:
		if (!viewer->title)
			say_title(viewer, reason);
		break;
	case SPICE_CLIENT_AUTH_NEEDED:
		if (ask_password(viewer, reason)) {
			say_notice(viewer, "The password is asked for on the terminal.", false);
			break;
		}
		snprintf(text, sizeof(text), "%s; --password-file gives it", reason);
		on_lost(viewer, text);
		break;
	case SPICE_CLIENT_DISCONNECTED: on_lost(viewer, reason); break;
	}
}

/* Connects, in place of the session before. */
static void start(void *opaque)
{
	struct viewer *viewer = opaque;
	char text[600];
	int err;

	if (viewer->over)
		return;
	detach_input(viewer);
	spice_client_destroy(viewer->client);
	viewer->client = NULL;
	snprintf(text, sizeof(text), "Connecting to %s ...", viewer->place);
	say_notice(viewer, text, false);
	err = viewer_connect(&viewer->client, &viewer->target, &viewer->options, viewer->loop,
		viewer->display, on_event, viewer);
	if (err) {
		on_lost(viewer, strerror(-err));
		return;
	}
	pthread_mutex_lock(&viewer->lock);
	if (viewer->window)
		window_attach(viewer->window, spice_client_input(viewer->client));
	pthread_mutex_unlock(&viewer->lock);
}

/* The window is open: it is told what it missed. */
static void attach_window(void *opaque)
{
	struct viewer *viewer = opaque;

	pthread_mutex_lock(&viewer->lock);
	window_attach(viewer->window, viewer->client ? spice_client_input(viewer->client) : NULL);
	pthread_mutex_unlock(&viewer->lock);
}

static void on_signal(void *opaque, uint32_t events)
{
	quit(opaque);
}

static void take_down(void *opaque)
{
	struct viewer *viewer = opaque;

	viewer->over = true;
	tty_close(viewer);
	if (viewer->window)
		window_detach(viewer->window);
	spice_client_destroy(viewer->client);
	viewer->client = NULL;
	loop_fd_remove(viewer->signals);
	loop_stop(viewer->loop);
}

static void *run_loop(void *opaque)
{
	struct viewer *viewer = opaque;

	loop_run(viewer->loop);
	return NULL;
}

static void on_running(void *opaque)
{
	sem_post(opaque);
}

/* Runs the loop on a thread of its own, and returns once it does: until then the loop takes the
 * thread that made it for its own. */
static int start_loop(struct viewer *viewer, pthread_t *thread)
{
	int err;

	sem_init(&viewer->running, 0, 0);
	err = loop_post(viewer->loop, on_running, &viewer->running);
	if (err == 0)
		err = -pthread_create(thread, NULL, run_loop, viewer);
	while (err == 0 && sem_wait(&viewer->running) < 0)
		continue;
	return err;
}

/* ---- the main thread ---- */

static void on_request(void *opaque, enum window_request request)
{
	struct viewer *viewer = opaque;

	if (request == WINDOW_REQUEST_CLOSE)
		quit(viewer);
	else
		loop_post(viewer->loop, start, viewer);
}

/* Opens the window and hands it what happened in the meantime; false when the session is over. */
static bool open_window(struct viewer *viewer)
{
	struct window_config config = { .full_screen = viewer->full_screen,
		.loop = viewer->loop,
		.display = viewer->display,
		.on_request = on_request,
		.opaque = viewer };
	char title[600], *error = NULL;
	struct window *window;
	bool over;
	int err;

	snprintf(title, sizeof(title), "%s - spicebox",
		viewer->title ? viewer->title : viewer->place);
	config.title = title;
	err = window_create(&window, &config, &error);
	if (err) {
		fail(viewer, error ? error : strerror(-err));
		free(error);
		return false;
	}
	pthread_mutex_lock(&viewer->lock);
	viewer->window = window;
	over = viewer->quit;
	if (viewer->window_title)
		window_set_title(window, viewer->window_title);
	if (viewer->notice)
		window_set_notice(window, viewer->notice, viewer->offer_reconnect);
	pthread_mutex_unlock(&viewer->lock);
	loop_call(viewer->loop, attach_window, viewer);
	return !over;
}

static int prepare(struct viewer *viewer)
{
	sigset_t signals;
	int err = loop_create(&viewer->loop);

	if (err == 0)
		err = display_create(&viewer->display);
	if (err)
		return err;
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	viewer->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	viewer->signals = viewer->signal_fd < 0
		? NULL
		: loop_fd_add(viewer->loop, viewer->signal_fd, EPOLLIN, on_signal, viewer);
	return viewer->signals ? 0 : -ENOMEM;
}

static int view(struct viewer *viewer)
{
	pthread_t thread;
	int err = prepare(viewer);

	if (err == 0)
		err = start_loop(viewer, &thread);
	if (err) {
		cmd_error("cannot begin: %s", strerror(-err));
		viewer->exit_code = 1;
	} else {
		/* The network is on its way while the window opens. */
		loop_post(viewer->loop, start, viewer);
		if (open_window(viewer))
			window_run(viewer->window);
		loop_call(viewer->loop, take_down, viewer);
		pthread_join(thread, NULL);
	}
	window_destroy(viewer->window);
	display_destroy(viewer->display);
	if (viewer->loop)
		loop_destroy(viewer->loop);
	if (viewer->signal_fd >= 0)
		close(viewer->signal_fd);
	return viewer->exit_code;
}

static void print_help(void)
{
	puts("Usage: spicebox connect [OPTION]... SERVER\n"
	     "\n"
	     "Shows a VM that is served over SPICE in a window.\n"
	     "\n"
	     "SERVER is HOST:PORT, [IPV6]:PORT, spice://HOST:PORT or spice+unix:///PATH.\n"
	     "\n"
	     "      --password-file F   the password is the first line of F; without, it is asked\n"
	     "                          for on the terminal when the server wants one\n"
	     "      --full-screen       start with the whole screen\n"
	     "      --title TEXT        the window's title (the VM's name)\n" VIEWER_OPTIONS_HELP
	     "  -v, --verbose           log more (twice: everything)\n"
	     "  -h, --help              this help\n"
	     "\n"
	     "Keys: F11 full screen; Shift+F12 releases the pointer; Ctrl+Alt+End sends\n"
	     "Ctrl+Alt+Delete.");
}

int cmd_connect(int argc, char **argv)
{
	enum { OPT_PASSWORD_FILE = 256, OPT_FULL_SCREEN, OPT_TITLE };
	static const struct option options[] = {
		{ "password-file", required_argument, NULL, OPT_PASSWORD_FILE },
		{ "full-screen", no_argument, NULL, OPT_FULL_SCREEN },
		{ "title", required_argument, NULL, OPT_TITLE },
		VIEWER_OPTIONS,
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct viewer viewer = { .tty = -1, .signal_fd = -1 };
	const char *password_file = NULL;
	int option, code;

	while ((option = getopt_long(argc, argv, "vh", options, NULL)) != -1) {
		switch (option) {
		case OPT_PASSWORD_FILE: password_file = optarg; break;
		case OPT_FULL_SCREEN: viewer.full_screen = true; break;
		case OPT_TITLE: viewer.title = optarg; break;
		case 'v': log_set_level(log_enabled(LOG_INFO) ? LOG_DEBUG : LOG_INFO); break;
		case 'h': print_help(); return 0;
		default:
			if (viewer_option(&viewer.options, option, optarg))
				return cmd_misuse("connect");
		}
	}
	if (argc - optind != 1) {
		cmd_error("connect wants one server");
		return cmd_misuse("connect");
	}
	code = viewer_target(&viewer.target, argv[optind], password_file, "connect");
	if (code)
		return code;
	if (viewer.target.host)
		snprintf(viewer.place, sizeof(viewer.place), "%s:%u", viewer.target.host,
			viewer.target.port);
	else
		snprintf(viewer.place, sizeof(viewer.place), "%s", viewer.target.unix_path);
	pthread_mutex_init(&viewer.lock, NULL);
	code = view(&viewer);
	pthread_mutex_destroy(&viewer.lock);
	free(viewer.window_title);
	free(viewer.notice);
	spice_target_finish(&viewer.target);
	return code;
}

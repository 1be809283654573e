/* SPDX-License-Identifier: MIT */
/*
 * Handshake: from connect() of the main channel to the display channel's INIT, on loopback TCP, by
 * our own links against our server and against QEMU's libspice-server, in turns. One line of JSON a
 * case: without a password, and with one.
 *
 *     bench_handshake [ROUNDS]
 */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channels/link/link.h"
#include "channels/server/server.h"
#include "core/util.h"

enum { ROUNDS = 21, ROUNDS_MAX = 1000, PAUSE_MS = 200 };

static const char password[] = "bench";

struct viewer {
	struct loop *loop;
	uint16_t port;
	const char *password;
	struct link_handler main_handler, display_handler;
	struct link *main_link, *display_link;
	uint32_t session;
	uint64_t start_ns, end_ns;
	bool failed;
};

static int open_socket(uint16_t port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0 && errno != EINPROGRESS) {
		close(fd);
		return -errno;
	}
	return fd;
}

static void viewer_link(
	struct viewer *v, struct link **link, uint8_t type, struct link_handler *handler)
{
	struct link_connect_config config = {
		.loop = v->loop,
		.request = { .connection_id = v->session, .channel_type = type },
		.password = v->password,
	};
	int fd = open_socket(v->port);

	if (fd < 0 || link_connect(link, &config, fd, handler) < 0)
		v->failed = true;
}

static int main_message(
	struct link_handler *handler, uint16_t type, const uint8_t *body, size_t size)
{
	struct viewer *v = container_of(handler, struct viewer, main_handler);
	struct msg_main_init init;

	if (type == SPICE_MSG_MAIN_INIT) {
		if (!msg_main_init_parse(&init, body, size))
			return -EPROTO;
		v->session = init.session_id;
		link_send(v->main_link, SPICE_MSGC_MAIN_ATTACH_CHANNELS, NULL);
	} else if (type == SPICE_MSG_MAIN_CHANNELS_LIST) {
		viewer_link(v, &v->display_link, SPICE_CHANNEL_DISPLAY, &v->display_handler);
	}
	return 0;
}

static void display_up(struct link_handler *handler)
{
	struct viewer *v = container_of(handler, struct viewer, display_handler);
	struct msg_display_init init = { .pixmap_cache_id = 1,
		.pixmap_cache_size = 1 << 20,
		.glz_dictionary_id = 1,
		.glz_window_size = 1 << 20 };

	link_send_display_init(v->display_link, SPICE_MSGC_DISPLAY_INIT, &init);
	v->end_ns = clock_monotonic_ns();
}

static int display_message(
	struct link_handler *handler, uint16_t type, const uint8_t *body, size_t size)
{
	return 0;
}

static void main_closed(struct link_handler *handler, int error, uint32_t spice_error)
{
	container_of(handler, struct viewer, main_handler)->failed = true;
}

static void display_closed(struct link_handler *handler, int error, uint32_t spice_error)
{
	container_of(handler, struct viewer, display_handler)->failed = true;
}

static const struct link_handler_ops main_ops = { .message = main_message, .closed = main_closed };
static const struct link_handler_ops display_ops = {
	.up = display_up,
	.message = display_message,
	.closed = display_closed,
};

static void pause_ms(struct viewer *v)
{
	uint64_t until = clock_monotonic_ns() + PAUSE_MS * 1000000u;

	while (clock_monotonic_ns() < until)
		loop_run_once(v->loop, PAUSE_MS);
}

/* Milliseconds; negative when it failed. */
static double measure(uint16_t port, const char *secret)
{
	struct viewer v = { .port = port, .password = secret };
	double ms;

	v.main_handler.ops = &main_ops;
	v.display_handler.ops = &display_ops;
	if (loop_create(&v.loop) < 0)
		return -1;
	v.start_ns = clock_monotonic_ns();
	viewer_link(&v, &v.main_link, SPICE_CHANNEL_MAIN, &v.main_handler);
	while (!v.end_ns && !v.failed && clock_monotonic_ns() - v.start_ns < 5000000000u)
		loop_run_once(v.loop, 100);
	ms = v.end_ns && !v.failed ? (double)(v.end_ns - v.start_ns) / 1e6 : -1;
	/* libspice-server ends itself when a viewer goes while its channels are being made. */
	pause_ms(&v);
	link_destroy(v.display_link);
	link_destroy(v.main_link);
	/* The server sees it end, and makes its keys, between the rounds. */
	pause_ms(&v);
	loop_destroy(v.loop);
	return ms;
}

/* ---- the servers, each a process ---- */

static void serve(int ready_fd, const char *secret)
{
	struct spice_server_config config = { .password = secret };
	struct spice_server *server;
	struct surface *surface;
	uint16_t port = 0;

	if (loop_create(&config.loop) < 0 || pool_create(&config.pool, 0) < 0 ||
		display_create(&config.display) < 0 ||
		surface_create(&surface, SURFACE_XRGB8888, 720, 400) < 0)
		_exit(1);
	display_sink(config.display)->ops->surface_create(display_sink(config.display), 0, surface);
	if (spice_server_create(&server, &config) < 0 ||
		spice_server_listen_tcp(server, "127.0.0.1", &port) < 0 ||
		write(ready_fd, &port, sizeof(port)) != sizeof(port))
		_exit(1);
	_exit(loop_run(config.loop) < 0);
}

static pid_t start_ours(uint16_t *port, const char *secret)
{
	int fds[2];
	pid_t pid;

	if (pipe(fds) < 0 || (pid = fork()) < 0)
		return -1;
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(fds[1], secret);
	}
	close(fds[1]);
	if (read(fds[0], port, sizeof(*port)) != sizeof(*port))
		pid = -1;
	close(fds[0]);
	return pid;
}

static uint16_t free_port(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
		getsockname(fd, (struct sockaddr *)&at, &length) < 0)
		at.sin_port = 0;
	close(fd);
	return ntohs(at.sin_port);
}

static pid_t start_qemu(uint16_t *port, const char *secret)
{
	char spice[128], object[64];
	pid_t pid;

	*port = free_port();
	snprintf(object, sizeof(object), "secret,id=s,data=%s", password);
	snprintf(spice, sizeof(spice), "addr=127.0.0.1,port=%u,image-compression=off,%s", *port,
		secret ? "password-secret=s" : "disable-ticketing=on");
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* It warns of each viewer that goes so soon. */
		if (!freopen("/dev/null", "w", stderr))
			_exit(1);
		execlp("qemu-system-x86_64", "qemu-system-x86_64", "-S", "-display", "none", "-vga",
			"qxl", "-object", object, "-spice", spice, (char *)NULL);
		_exit(127);
	}
	for (int i = 0; pid > 0 && i < 50; i++)
		if (measure(*port, secret) >= 0)
			return pid;
	return -1;
}

/* ---- numbers ---- */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *values, int count)
{
	qsort(values, (size_t)count, sizeof(*values), compare);
	return values[count / 2];
}

static int run_case(const char *name, const char *secret, int rounds)
{
	static double ours[ROUNDS_MAX], peers[ROUNDS_MAX];
	uint16_t our_port, qemu_port = 0;
	pid_t our_pid = start_ours(&our_port, secret);
	pid_t qemu_pid = start_qemu(&qemu_port, secret);
	int ret = 0;

	for (int i = 0; i < rounds; i++) {
		ours[i] = measure(our_port, secret);
		peers[i] = qemu_pid > 0 ? measure(qemu_port, secret) : 0;
		if (ours[i] < 0 || peers[i] < 0) {
			fprintf(stderr, "%s: round %d failed (%s)\n", name, i,
				ours[i] < 0 ? "spicebox" : "qemu");
			ret = 1;
		}
	}
	if (ret == 0) {
		double our_median = median(ours, rounds), peer_median = median(peers, rounds);

		printf("{\"case\": \"%s\", \"unit\": \"ms\", \"spicebox\": %.3f, "
		       "\"spicebox_min\": %.3f, \"spicebox_max\": %.3f, \"runs\": %d",
			name, our_median, ours[0], ours[rounds - 1], rounds);
		if (qemu_pid > 0)
			printf(", \"qemu\": %.3f, \"ratio\": %.3f", peer_median,
				our_median / peer_median);
		printf("}\n");
	}
	for (int i = 0; i < 2; i++) {
		pid_t pid = i ? qemu_pid : our_pid;

		if (pid > 0) {
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
		}
	}
	return ret;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;

	if (rounds < 1 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: bench_handshake [ROUNDS]\n");
		return 2;
	}
	return run_case("handshake to DISPLAY_INIT", NULL, rounds) |
		run_case("handshake to DISPLAY_INIT, with a password", password, rounds);
}

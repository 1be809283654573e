/* SPDX-License-Identifier: MIT */
/*
 * The far end of the serial line. The guest's bytes come from vCPU threads into a bounded buffer and
 * are written by the loop; what a far end cannot take in time is dropped, the guest never waits.
 */
#include "cmd/serial.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "core/buf.h"
#include "core/util.h"

#define OUTPUT_MAX (1u << 20)
#define INPUT_MAX  4096

struct serial {
	struct byte_port port;
	struct loop *loop;
	int in_fd;
	int out_fd;
	int listen_fd;
	bool out_is_file; /* never would block: written at once, not watched */
	struct loop_fd *in_source;
	struct loop_fd *out_source;
	struct loop_fd *listen_source;
	char *socket_path;
	struct termios saved_terminal;
	bool terminal_changed;
	int saved_out_flags; /* of a shared descriptor that was made non-blocking; -1: none */
	uint8_t input[INPUT_MAX]; /* read, but not yet taken by the device */
	size_t input_size;
	pthread_mutex_t lock; /* guards what follows */
	struct buf output;
	bool flush_posted;
};

static void flush_output(void *opaque);
static void offer_input(void *opaque);

static size_t serial_write(struct byte_port *port, const uint8_t *bytes, size_t size)
{
	struct serial *serial = container_of(port, struct serial, port);
	bool post = false;

	pthread_mutex_lock(&serial->lock);
	if (serial->output.size + size <= OUTPUT_MAX && !buf_append(&serial->output, bytes, size)) {
		post = !serial->flush_posted;
		serial->flush_posted = true;
	}
	pthread_mutex_unlock(&serial->lock);
	if (post)
		loop_post(serial->loop, flush_output, serial);
	return size;
}

static void serial_ready(struct byte_port *port)
{
	struct serial *serial = container_of(port, struct serial, port);

	loop_post(serial->loop, offer_input, serial);
}

static void close_peer(struct serial *serial)
{
	loop_fd_remove(serial->in_source);
	loop_fd_remove(serial->out_source);
	serial->in_source = serial->out_source = NULL;
	if (serial->listen_fd >= 0 && serial->in_fd >= 0) {
		close(serial->in_fd);
		serial->in_fd = serial->out_fd = -1;
		loop_fd_modify(serial->listen_source, EPOLLIN);
	}
}

static void on_writable(void *opaque, uint32_t events)
{
	flush_output(opaque);
}

/* Waits for room. A file or device that epoll cannot watch is tried again with the next byte. */
static void wait_writable(struct serial *serial)
{
	if (serial->out_source)
		return;
	if (serial->out_fd == serial->in_fd && serial->in_source)
		loop_fd_modify(serial->in_source, EPOLLIN | EPOLLOUT);
	else
		serial->out_source =
			loop_fd_add(serial->loop, serial->out_fd, EPOLLOUT, on_writable, serial);
}

static void stop_waiting(struct serial *serial)
{
	if (serial->out_source) {
		loop_fd_remove(serial->out_source);
		serial->out_source = NULL;
	} else if (serial->out_fd == serial->in_fd && serial->in_source) {
		loop_fd_modify(serial->in_source, EPOLLIN);
	}
}

static void flush_output(void *opaque)
{
	struct serial *serial = opaque;
	bool blocked = false, lost = false;

	pthread_mutex_lock(&serial->lock);
	serial->flush_posted = false;
	while (serial->output.size && serial->out_fd >= 0 && !blocked && !lost) {
		ssize_t n = write(serial->out_fd, buf_bytes(&serial->output), serial->output.size);

		if (n >= 0)
			buf_consume(&serial->output, (size_t)n);
		else if (errno == EAGAIN)
			blocked = true;
		else if (errno != EINTR)
			lost = true;
	}
	if (serial->out_fd < 0 || lost) /* nobody listens: the line is unplugged */
		buf_clear(&serial->output);
	pthread_mutex_unlock(&serial->lock);
	if (blocked && !serial->out_is_file)
		wait_writable(serial);
	else
		stop_waiting(serial);
	if (lost)
		close_peer(serial);
}

/* Gives the device what it takes; stops reading while some is left. */
static void offer_input(void *opaque)
{
	struct serial *serial = opaque;
	size_t taken;

	if (!serial->port.receive) {
		serial->input_size = 0;
		return;
	}
	if (serial->input_size) {
		taken = serial->port.receive(
			serial->port.device, serial->input, serial->input_size);
		serial->input_size -= taken;
		memmove(serial->input, serial->input + taken, serial->input_size);
	}
	if (serial->in_source)
		loop_fd_modify(serial->in_source, serial->input_size ? 0 : EPOLLIN);
}

static void on_input(void *opaque, uint32_t events)
{
	struct serial *serial = opaque;
	ssize_t n;

	if (events & EPOLLOUT)
		flush_output(serial);
	if (!serial->in_source || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	n = read(serial->in_fd, serial->input + serial->input_size,
		sizeof(serial->input) - serial->input_size);
	if (n > 0) {
		serial->input_size += (size_t)n;
		offer_input(serial);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		close_peer(serial);
	}
}

static void on_connection(void *opaque, uint32_t events)
{
	struct serial *serial = opaque;
	int fd = accept4(serial->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	serial->in_fd = serial->out_fd = fd;
	serial->in_source = loop_fd_add(serial->loop, fd, EPOLLIN, on_input, serial);
	loop_fd_modify(serial->listen_source, 0); /* the next one waits for this one's end */
	flush_output(serial);
}

static int open_stdio(struct serial *serial)
{
	struct termios raw;

	serial->in_fd = STDIN_FILENO;
	serial->out_fd = STDOUT_FILENO;
	if (tcgetattr(STDIN_FILENO, &serial->saved_terminal) == 0) {
		raw = serial->saved_terminal;
		/* Keys go to the guest as they are typed; Ctrl+C still ends spicebox. */
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		raw.c_iflag &= ~(tcflag_t)(ICRNL | IXON);
		serial->terminal_changed = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
	}
	serial->in_source = loop_fd_add(serial->loop, STDIN_FILENO, EPOLLIN, on_input, serial);
	serial->saved_out_flags = fcntl(STDOUT_FILENO, F_GETFL);
	if (serial->saved_out_flags >= 0)
		fcntl(STDOUT_FILENO, F_SETFL, serial->saved_out_flags | O_NONBLOCK);
	return 0; /* standard input that cannot be watched (a file) gives nothing */
}

static int open_file(struct serial *serial, const char *path)
{
	serial->out_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0644);
	serial->out_is_file = true;
	return serial->out_fd < 0 ? -errno : 0;
}

static int open_socket(struct serial *serial, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	mode_t mask;
	int err;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	serial->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (serial->listen_fd < 0)
		return -errno;
	mask = umask(0177);
	err = bind(serial->listen_fd, (struct sockaddr *)&address, sizeof(address)) ? -errno : 0;
	umask(mask);
	if (err)
		return err;
	serial->socket_path = strdup(path);
	if (!serial->socket_path || listen(serial->listen_fd, 1))
		return serial->socket_path ? -errno : -ENOMEM;
	serial->listen_source =
		loop_fd_add(serial->loop, serial->listen_fd, EPOLLIN, on_connection, serial);
	return serial->listen_source ? 0 : -ENOMEM;
}

int serial_create(struct serial **out, struct loop *loop, const char *target)
{
	static const struct byte_port_ops ops = { .write = serial_write };
	struct serial *serial = calloc(1, sizeof(*serial));
	int err = -EINVAL;

	if (!serial)
		return -ENOMEM;
	serial->port.ops = &ops;
	serial->port.ready = serial_ready;
	serial->loop = loop;
	serial->in_fd = serial->out_fd = serial->listen_fd = -1;
	serial->saved_out_flags = -1;
	pthread_mutex_init(&serial->lock, NULL);
	if (!strcmp(target, "stdio"))
		err = open_stdio(serial);
	else if (!strncmp(target, "file:", 5) && target[5])
		err = open_file(serial, target + 5);
	else if (!strncmp(target, "unix:", 5) && target[5])
		err = open_socket(serial, target + 5);
	else
		cmd_error("--serial wants stdio, file:PATH or unix:PATH, not '%s'", target);
	if (err) {
		if (err != -EINVAL)
			cmd_error("cannot open the serial line's %s: %s%s", target, strerror(-err),
				err == -EADDRINUSE ? "; remove it if nobody uses it" : "");
		serial_destroy(serial);
		return err;
	}
	*out = serial;
	return 0;
}

void serial_destroy(struct serial *serial)
{
	if (!serial)
		return;
	flush_output(serial);
	loop_fd_remove(serial->in_source);
	loop_fd_remove(serial->out_source);
	loop_fd_remove(serial->listen_source);
	if (serial->terminal_changed)
		tcsetattr(STDIN_FILENO, TCSANOW, &serial->saved_terminal);
	if (serial->saved_out_flags >= 0)
		fcntl(STDOUT_FILENO, F_SETFL, serial->saved_out_flags);
	if (serial->in_fd > STDERR_FILENO)
		close(serial->in_fd);
	if (serial->out_fd > STDERR_FILENO && serial->out_fd != serial->in_fd)
		close(serial->out_fd);
	if (serial->listen_fd >= 0)
		close(serial->listen_fd);
	if (serial->socket_path)
		unlink(serial->socket_path);
	free(serial->socket_path);
	buf_finish(&serial->output);
	pthread_mutex_destroy(&serial->lock);
	free(serial);
}

struct byte_port *serial_port(struct serial *serial)
{
	return &serial->port;
}

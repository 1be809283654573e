/* SPDX-License-Identifier: MIT */
/* Listening sockets. */
#include "channels/server/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/log.h"

enum { BACKLOG = 64, ACCEPTS_PER_TURN = 16, RETRY_MS = 200 };

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un local;
};

/* Numbers and "localhost" only: a static program has no resolver worth its name, and names to
 * listen on are nothing one needs. Returns the length, or 0. */
static socklen_t address_parse(union address *out, const char *text, uint16_t port)
{
	memset(out, 0, sizeof(*out));
	if (strcmp(text, "localhost") == 0)
		text = "127.0.0.1";
	if (inet_pton(AF_INET, text, &out->v4.sin_addr) == 1) {
		out->v4.sin_family = AF_INET;
		out->v4.sin_port = htons(port);
		return sizeof(out->v4);
	}
	if (inet_pton(AF_INET6, text, &out->v6.sin6_addr) == 1) {
		out->v6.sin6_family = AF_INET6;
		out->v6.sin6_port = htons(port);
		return sizeof(out->v6);
	}
	return 0;
}

int listener_open_tcp(const char *address, uint16_t *port)
{
	union address at;
	socklen_t length = address_parse(&at, address, *port);
	int fd, ret, one = 1;

	if (!length)
		return -EINVAL;
	fd = socket(at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* The port of one that ended just now may be taken again. */
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, &at.any, length) < 0 || listen(fd, BACKLOG) < 0 ||
		getsockname(fd, &at.any, &length) < 0) {
		ret = -errno;
		close(fd);
		return ret;
	}
	*port = ntohs(at.any.sa_family == AF_INET ? at.v4.sin_port : at.v6.sin6_port);
	return fd;
}

/* Whether a socket is there that nobody listens on. */
static bool is_stale(const union address *at, socklen_t length)
{
	struct stat st;
	bool stale;
	int fd;

	if (lstat(at->local.sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	stale = connect(fd, &at->any, length) < 0 && errno == ECONNREFUSED;
	close(fd);
	return stale;
}

int listener_open_unix(const char *path)
{
	union address at;
	int fd, ret;

	memset(&at, 0, sizeof(at));
	at.local.sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(at.local.sun_path))
		return -ENAMETOOLONG;
	strcpy(at.local.sun_path, path);
	if (is_stale(&at, sizeof(at.local)))
		unlink(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* Never open to others, not for a moment: what bind() makes takes the socket's mode. */
	ret = fchmod(fd, 0600) < 0 || bind(fd, &at.any, sizeof(at.local)) < 0 ? -errno : 0;
	if (ret == 0 && listen(fd, BACKLOG) < 0) {
		ret = -errno;
		unlink(path);
	}
	if (ret < 0) {
		close(fd);
		return ret;
	}
	return fd;
}

static void on_readable(void *opaque, uint32_t events)
{
	struct listener *listener = opaque;

	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			listener->accepted(listener->opaque, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			/* It stays readable: look again when there may be room. */
			log_warn("spice", "cannot take a connection: %s", strerror(errno));
			loop_fd_modify(listener->source, 0);
			loop_timer_arm(listener->retry, (uint64_t)RETRY_MS * 1000000);
		}
		if (errno != EINTR && errno != ECONNABORTED)
			return;
	}
}

static void on_retry(void *opaque)
{
	struct listener *listener = opaque;

	loop_fd_modify(listener->source, EPOLLIN);
}

int listener_create(struct listener **out, struct loop *loop, int fd, const char *path,
	listener_fn *accepted, void *opaque)
{
	struct listener *listener = calloc(1, sizeof(*listener));

	if (!listener) {
		close(fd);
		return -ENOMEM;
	}
	listener->fd = fd;
	listener->accepted = accepted;
	listener->opaque = opaque;
	listener->path = path ? strdup(path) : NULL;
	listener->source = loop_fd_add(loop, fd, EPOLLIN, on_readable, listener);
	listener->retry = loop_timer_add(loop, on_retry, listener);
	if (!listener->source || !listener->retry || (path && !listener->path)) {
		listener_destroy(listener);
		return -ENOMEM;
	}
	*out = listener;
	return 0;
}

void listener_destroy(struct listener *listener)
{
	if (listener->source)
		loop_fd_remove(listener->source);
	if (listener->retry)
		loop_timer_remove(listener->retry);
	close(listener->fd);
	if (listener->path)
		unlink(listener->path);
	free(listener->path);
	free(listener);
}

/* SPDX-License-Identifier: MIT */
/* Connecting. A name is resolved by a thread that shares nothing with the loop but a counted struct
 * and an eventfd: it may outlive whoever asked. */
#include "channels/client/dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/util.h"

enum {
	MAX_ATTEMPTS = 16,
	NEXT_ATTEMPT_MS = 250, /* RFC 8305, section 5 */
	GIVE_UP_MS = 15000,
};

struct resolve {
	atomic_int refs;
	char *host;
	char port[8];
	int event_fd;
	int error; /* of getaddrinfo() */
	struct addrinfo *result;
};

struct address {
	struct sockaddr_storage storage;
	socklen_t size;
};

struct attempt {
	struct dial *dial;
	int fd; /* -1: not running */
	struct loop_fd *source;
};

struct dial {
	struct dial_config config;
	struct resolve *resolve;
	struct loop_fd *resolved;
	struct loop_timer *next;
	struct loop_timer *give_up;
	struct address addresses[MAX_ATTEMPTS];
	struct attempt attempts[MAX_ATTEMPTS];
	uint32_t count;
	uint32_t begun;
	uint32_t running;
	int last_error;
	struct address chosen;
	bool finished;
};

/* ---- resolving ---- */

static void resolve_unref(struct resolve *resolve)
{
	if (!resolve || atomic_fetch_sub(&resolve->refs, 1) > 1)
		return;
	if (resolve->result)
		freeaddrinfo(resolve->result);
	if (resolve->event_fd >= 0)
		close(resolve->event_fd);
	free(resolve->host);
	free(resolve);
}

static int resolve_name(struct resolve *resolve, int flags)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV | flags };

	/* The name of this machine needs no file or server to tell it (RFC 6761, section 6.3); without
	 * a name getaddrinfo() gives the loopback addresses. */
	return getaddrinfo(strcasecmp(resolve->host, "localhost") ? resolve->host : NULL,
		resolve->port, &hints, &resolve->result);
}

static void *resolve_thread(void *opaque)
{
	struct resolve *resolve = opaque;
	uint64_t one = 1;

	resolve->error = resolve_name(resolve, 0);
	/* Cannot fail: an eventfd that counts to one. */
	while (write(resolve->event_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		continue;
	resolve_unref(resolve);
	return NULL;
}

static int start_resolving(struct resolve *resolve)
{
	pthread_t thread;
	pthread_attr_t attr;
	int err;

	atomic_fetch_add(&resolve->refs, 1);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	err = pthread_create(&thread, &attr, resolve_thread, resolve);
	pthread_attr_destroy(&attr);
	if (err)
		resolve_unref(resolve);
	return -err;
}

/* ---- attempts ---- */

static void stop_attempt(struct dial *dial, struct attempt *attempt)
{
	loop_fd_remove(attempt->source);
	attempt->source = NULL;
	if (attempt->fd >= 0) {
		close(attempt->fd);
		dial->running--;
	}
	attempt->fd = -1;
}

static void finish(struct dial *dial, int result)
{
	if (dial->finished)
		return;
	dial->finished = true;
	for (uint32_t i = 0; i < dial->begun; i++)
		stop_attempt(dial, &dial->attempts[i]);
	loop_timer_disarm(dial->next);
	loop_timer_disarm(dial->give_up);
	dial->config.done(dial->config.opaque, result);
}

static int open_socket(const struct address *address)
{
	int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address->storage, address->size) < 0 &&
		errno != EINPROGRESS) {
		int err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static void begin_next(void *opaque);

static void on_attempt(void *opaque, uint32_t events)
{
	struct attempt *attempt = opaque;
	struct dial *dial = attempt->dial;
	int err = 0, fd = attempt->fd;
	socklen_t size = sizeof(err);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size) < 0)
		err = errno;
	if (err) {
		stop_attempt(dial, attempt);
		dial->last_error = -err;
		begin_next(dial);
		return;
	}
	dial->chosen = dial->addresses[attempt - dial->attempts];
	loop_fd_remove(attempt->source);
	attempt->source = NULL;
	attempt->fd = -1;
	dial->running--;
	finish(dial, fd);
}

/* Begins the next attempt that can be begun; without any left and running, it failed. */
static void begin_next(void *opaque)
{
	struct dial *dial = opaque;

	while (dial->begun < dial->count) {
		struct attempt *attempt = &dial->attempts[dial->begun];
		int fd = open_socket(&dial->addresses[dial->begun++]);

		attempt->dial = dial;
		attempt->fd = fd < 0 ? -1 : fd;
		if (fd < 0) {
			dial->last_error = fd;
			continue;
		}
		dial->running++;
		attempt->source = loop_fd_add(dial->config.loop, fd, EPOLLOUT, on_attempt, attempt);
		if (!attempt->source) {
			dial->last_error = -ENOMEM;
			stop_attempt(dial, attempt);
			continue;
		}
		if (dial->begun < dial->count)
			loop_timer_arm(dial->next, (uint64_t)NEXT_ATTEMPT_MS * 1000000);
		return;
	}
	if (dial->running == 0)
		finish(dial, dial->last_error);
}

static void add_address(struct dial *dial, const struct sockaddr *address, socklen_t size)
{
	struct address *to = &dial->addresses[dial->count];

	if (dial->count == MAX_ATTEMPTS || size > sizeof(to->storage))
		return;
	memcpy(&to->storage, address, size);
	to->size = size;
	dial->count++;
}

/* The families take turns, beginning with the one that the resolver put first. */
static void add_results(struct dial *dial, const struct addrinfo *first)
{
	const struct addrinfo *same = first, *other = first;

	while (same || other) {
		while (same && same->ai_family != first->ai_family)
			same = same->ai_next;
		if (same) {
			add_address(dial, same->ai_addr, same->ai_addrlen);
			same = same->ai_next;
		}
		while (other && other->ai_family == first->ai_family)
			other = other->ai_next;
		if (other) {
			add_address(dial, other->ai_addr, other->ai_addrlen);
			other = other->ai_next;
		}
	}
}

static int resolve_errno(int error)
{
	switch (error) {
	case EAI_AGAIN: return -EAGAIN;
	case EAI_MEMORY: return -ENOMEM;
	case EAI_SYSTEM: return -EIO;
	default: return -ENOENT;
	}
}

static void on_resolved(void *opaque, uint32_t events)
{
	struct dial *dial = opaque;

	loop_fd_remove(dial->resolved);
	dial->resolved = NULL;
	dial->last_error = resolve_errno(dial->resolve->error);
	if (dial->resolve->error == 0)
		add_results(dial, dial->resolve->result);
	begin_next(dial);
}

static void on_give_up(void *opaque)
{
	finish(opaque, -ETIMEDOUT);
}

/* ---- public ---- */

static int dial_host(struct dial *dial)
{
	struct resolve *resolve = calloc(1, sizeof(*resolve));

	if (!resolve)
		return -ENOMEM;
	dial->resolve = resolve;
	atomic_init(&resolve->refs, 1);
	resolve->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	resolve->host = strdup(dial->config.host);
	snprintf(resolve->port, sizeof(resolve->port), "%u", dial->config.port);
	if (resolve->event_fd < 0 || !resolve->host)
		return -ENOMEM;
	if (resolve_name(resolve, AI_NUMERICHOST) == 0) {
		add_results(dial, resolve->result);
		return 0;
	}
	dial->resolved =
		loop_fd_add(dial->config.loop, resolve->event_fd, EPOLLIN, on_resolved, dial);
	return dial->resolved ? start_resolving(resolve) : -ENOMEM;
}

static int dial_unix(struct dial *dial)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(dial->config.unix_path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, dial->config.unix_path);
	add_address(dial, (struct sockaddr *)&address, sizeof(address));
	return 0;
}

int dial_create(struct dial **out, const struct dial_config *config)
{
	struct dial *dial = calloc(1, sizeof(*dial));
	int err = -ENOMEM;

	if (!dial)
		return -ENOMEM;
	dial->config = *config;
	dial->last_error = -ENOENT;
	for (uint32_t i = 0; i < MAX_ATTEMPTS; i++)
		dial->attempts[i].fd = -1;
	dial->next = loop_timer_add(config->loop, begin_next, dial);
	dial->give_up = loop_timer_add(config->loop, on_give_up, dial);
	if (!dial->next || !dial->give_up)
		goto fail;
	err = config->host ? dial_host(dial) : dial_unix(dial);
	if (err < 0)
		goto fail;
	loop_timer_arm(dial->give_up, (uint64_t)GIVE_UP_MS * 1000000);
	if (!dial->resolved)
		loop_timer_arm(dial->next, 0);
	*out = dial;
	return 0;
fail:
	dial_destroy(dial);
	return err;
}

void dial_destroy(struct dial *dial)
{
	if (!dial)
		return;
	for (uint32_t i = 0; i < dial->begun; i++)
		stop_attempt(dial, &dial->attempts[i]);
	loop_fd_remove(dial->resolved);
	if (dial->next)
		loop_timer_remove(dial->next);
	if (dial->give_up)
		loop_timer_remove(dial->give_up);
	resolve_unref(dial->resolve);
	free(dial);
}

int dial_again(const struct dial *dial)
{
	return open_socket(&dial->chosen);
}

bool dial_is_local(const struct dial *dial)
{
	const struct sockaddr_storage *storage = &dial->chosen.storage;

	if (storage->ss_family == AF_INET) {
		struct sockaddr_in in;
		memcpy(&in, storage, sizeof(in));
		return ntohl(in.sin_addr.s_addr) >> 24 == 127;
	}
	if (storage->ss_family == AF_INET6) {
		struct sockaddr_in6 in6;
		memcpy(&in6, storage, sizeof(in6));
		return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
	}
	return storage->ss_family == AF_UNIX;
}

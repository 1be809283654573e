/* SPDX-License-Identifier: MIT */
/* Sockets on which viewers arrive. */
#ifndef CHANNELS_SERVER_LISTENER_H
#define CHANNELS_SERVER_LISTENER_H

#include <stdint.h>

#include "core/loop.h"

/* Opened, bound and listening sockets, or -errno. */
int listener_open_tcp(const char *address, uint16_t *port);
int listener_open_unix(const char *path);

typedef void listener_fn(void *opaque, int fd);

struct listener {
	int fd;
	char *path; /* of a UNIX socket, removed at the end; or NULL */
	struct loop_fd *source;
	struct loop_timer *retry;
	listener_fn *accepted;
	void *opaque;
	struct listener *next; /* its owner's */
};

/* Owns the fd from here on, also on failure. `accepted` gets each connection's fd, to own. */
int listener_create(struct listener **out, struct loop *loop, int fd, const char *path,
	listener_fn *accepted, void *opaque);
void listener_destroy(struct listener *listener);

#endif

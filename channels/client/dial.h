/* SPDX-License-Identifier: MIT */
/* Gets sockets connected to a server: resolves its name off the loop, tries its addresses as RFC 8305
 * ("happy eyeballs") says, and remembers the one that answered. */
#ifndef CHANNELS_CLIENT_DIAL_H
#define CHANNELS_CLIENT_DIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/loop.h"

struct dial;

struct dial_config {
	struct loop *loop;
	const char *host; /* NULL: unix_path */
	uint16_t port;
	const char *unix_path;
	/* Once, never from within dial_create(): a connected, non-blocking socket (the callee's), or
	 * -errno (-ENOENT: no such host). dial_destroy() may be called within. */
	void (*done)(void *opaque, int fd);
	void *opaque;
};

int dial_create(struct dial **out, const struct dial_config *config);
void dial_destroy(struct dial *dial); /* NULL is ignored */
/* After `done` gave a socket: another one to the same address, which may still be connecting. Returns
 * the fd (the caller's) or -errno. */
int dial_again(const struct dial *dial);
/* Whether the server is on this machine. */
bool dial_is_local(const struct dial *dial);

#endif

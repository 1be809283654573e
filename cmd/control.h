/* SPDX-License-Identifier: MIT */
/*
 * The control socket of a running VM: its owner changes there how pictures are sent. Lines in, one
 * line for each out: "set SETTING VALUE", "get [SETTING]", "help"; "ok[ TEXT]" or "error: TEXT".
 */
#ifndef CMD_CONTROL_H
#define CMD_CONTROL_H

#include "cmd/server_options.h"
#include "core/loop.h"

enum {
	CONTROL_LINE_MAX = 256, /* with its line feed */
	CONTROL_REPLY_MAX = 512,
	CONTROL_CLIENTS_MAX = 8, /* one more, and the oldest is closed */
};

struct control;

/* Told on the loop thread what the settings were and what they are now. */
typedef void control_fn(
	void *opaque, const struct server_options *old, const struct server_options *now);

/* Listens on a UNIX socket that only this user may connect to (mode 0600; a stale one, on which nobody
 * listens, is replaced; anything else there is -EADDRINUSE). 0 or -errno. Loop thread, as the rest. */
int control_create(struct control **out, struct loop *loop, const char *path,
	const struct server_options *options, control_fn *changed, void *opaque);
/* Closes every client and removes the socket. NULL is ignored. */
void control_destroy(struct control *control);
/* Serves a connected stream socket as well; owns the fd from here on, also on failure. */
int control_add_client_fd(struct control *control, int fd);

#endif

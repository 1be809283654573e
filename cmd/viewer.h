/* SPDX-License-Identifier: MIT */
/* What `connect` and `screenshot` share. */
#ifndef CMD_VIEWER_H
#define CMD_VIEWER_H

#include "channels/client/client.h"

/* Reads the server's name from the command line, and the password from the first line of a file
 * (NULL: none). Says what is wrong and returns 1 or 2 (exit codes), or 0. */
int viewer_target(struct spice_target *target, const char *text, const char *password_file,
	const char *subcommand);
/* A client of that server. */
int viewer_connect(struct spice_client **out, const struct spice_target *target, struct loop *loop,
	struct display *display,
	void (*on_event)(void *opaque, enum spice_client_event event, const char *reason),
	void *opaque);

#endif

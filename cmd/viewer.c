/* SPDX-License-Identifier: MIT */
/* The viewer's target and password. */
#include "cmd/viewer.h"

#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"

int viewer_target(struct spice_target *target, const char *text, const char *password_file,
	const char *subcommand)
{
	if (spice_target_parse(target, text) < 0) {
		cmd_error("'%s' names no server: HOST:PORT, [IPV6]:PORT, spice://HOST:PORT or "
			  "spice+unix:///PATH is wanted",
			text);
		return cmd_misuse(subcommand);
	}
	if (password_file) {
		free(target->password);
		target->password = cmd_read_first_line(password_file, CMD_PASSWORD_MAX, "password");
		if (!target->password) {
			spice_target_finish(target);
			return 1;
		}
	}
	return 0;
}

int viewer_connect(struct spice_client **out, const struct spice_target *target, struct loop *loop,
	struct display *display,
	void (*on_event)(void *opaque, enum spice_client_event event, const char *reason),
	void *opaque)
{
	struct spice_client_config config = { .loop = loop,
		.display = display,
		.host = target->host,
		.port = target->port,
		.unix_path = target->unix_path,
		.password = target->password,
		.on_event = on_event,
		.opaque = opaque };

	return spice_client_create(out, &config);
}

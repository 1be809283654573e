/* SPDX-License-Identifier: MIT */
/* What `connect` and `screenshot` share. */
#ifndef CMD_VIEWER_H
#define CMD_VIEWER_H

#include <getopt.h>

#include "channels/client/client.h"

/* Options that both have, as remote-viewer names them: their lines of getopt_long()'s table, and of
 * the help. */
enum {
	VIEWER_OPT_CACHE_SIZE = 512,
	VIEWER_OPT_GLZ_WINDOW_SIZE,
	VIEWER_OPT_COMPRESSION,
	VIEWER_OPT_COLOR_DEPTH,
	VIEWER_OPT_DISABLE_EFFECTS,
};

#define VIEWER_OPTIONS                                                                            \
	{ "spice-cache-size", required_argument, NULL, VIEWER_OPT_CACHE_SIZE },                   \
		{ "spice-glz-window-size", required_argument, NULL, VIEWER_OPT_GLZ_WINDOW_SIZE }, \
		{ "spice-preferred-compression", required_argument, NULL,                         \
			VIEWER_OPT_COMPRESSION },                                                 \
		{ "spice-color-depth", required_argument, NULL, VIEWER_OPT_COLOR_DEPTH },         \
	{                                                                                         \
		"spice-disable-effects", required_argument, NULL, VIEWER_OPT_DISABLE_EFFECTS      \
	}

#define VIEWER_OPTIONS_HELP                                                                      \
	"      --spice-preferred-compression auto|server|auto-glz|auto-lz|quic|glz|lz|lz4|off\n" \
	"                          how the server should pack pictures; auto: not at all on\n"   \
	"                          this machine, else as the server likes (auto)\n"              \
	"      --spice-cache-size BYTES\n"                                                       \
	"                          pictures kept for the server to refer to (80M)\n"             \
	"      --spice-glz-window-size BYTES\n"                                                  \
	"                          pictures kept for GLZ, at most 64M (32M)\n"                   \
	"      --spice-color-depth 16|32\n"                                                      \
	"      --spice-disable-effects wallpaper,font-smooth,animation,all\n"                    \
	"                          are taken, and have no effect yet: they are wishes to\n"      \
	"                          the guest's agent\n"

/* Takes one of VIEWER_OPTIONS. 0; -EINVAL: the value is wrong, which was said; -ENOENT: it is none of
 * them. */
int viewer_option(struct spice_client_options *options, int option, const char *value);

/* Reads the server's name from the command line, and the password from the first line of a file
 * (NULL: none). Says what is wrong and returns 1 or 2 (exit codes), or 0. */
int viewer_target(struct spice_target *target, const char *text, const char *password_file,
	const char *subcommand);
/* A client of that server. */
int viewer_connect(struct spice_client **out, const struct spice_target *target,
	const struct spice_client_options *options, struct loop *loop, struct display *display,
	void (*on_event)(void *opaque, enum spice_client_event event, const char *reason),
	void *opaque);

#endif

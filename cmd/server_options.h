/* SPDX-License-Identifier: MIT */
/* How the SPICE server sends pictures, as options say it. */
#ifndef CMD_SERVER_OPTIONS_H
#define CMD_SERVER_OPTIONS_H

#include "channels/server/server.h"

/* Zero-initialised is the default: everything automatic. */
struct server_options {
	enum spice_image_compression compression;
	enum spice_jpeg jpeg;
	enum spice_video video;
};

/* The options with their values, for a help text; it ends with a line feed. */
extern const char server_options_help[];

/* Their names, and NULL. */
extern const char *const server_option_names[];

/* Sets the option of that name ("image-compression", "jpeg", "video"). 0; -ENOENT: there is no such
 * option; -EINVAL: no such value, and *wanted says which there are. */
int server_options_set(
	struct server_options *options, const char *name, const char *value, const char **wanted);
/* The value's name; NULL: there is no such option. */
const char *server_options_get(const struct server_options *options, const char *name);
void server_options_apply(const struct server_options *options, struct spice_server_config *config);
/* The same for a server that runs; what stays as it was is left alone. */
void server_options_change(struct spice_server *server, const struct server_options *old,
	const struct server_options *now);

#endif

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

/* Sets the option of that name ("image-compression", "jpeg", "video"). 0; -ENOENT: there is no such
 * option; -EINVAL: no such value, and *wanted says which there are. */
int server_options_set(
	struct server_options *options, const char *name, const char *value, const char **wanted);
void server_options_apply(const struct server_options *options, struct spice_server_config *config);

#endif

/* SPDX-License-Identifier: MIT */
/* The server's options by their names. */
#include "cmd/server_options.h"

#include <errno.h>
#include <string.h>

#include "core/util.h"

const char server_options_help[] =
	"      --image-compression auto|quic|lz|glz|lz4|off\n"
	"                          how pictures are packed (auto: by what each is like and what the\n"
	"                          link carries)\n"
	"      --jpeg auto|always|never\n"
	"                          photographs as JPEG first, exactly once they rest (auto: on slow\n"
	"                          links)\n"
	"      --video auto|all|off\n"
	"                          what changes fast as a video (auto: what looks like one)\n";

const char *const server_option_names[] = { "image-compression", "jpeg", "video", NULL };

static const char *const compressions[] = {
	[SPICE_SERVER_COMPRESSION_AUTO] = "auto",
	[SPICE_SERVER_COMPRESSION_QUIC] = "quic",
	[SPICE_SERVER_COMPRESSION_LZ] = "lz",
	[SPICE_SERVER_COMPRESSION_GLZ] = "glz",
	[SPICE_SERVER_COMPRESSION_LZ4] = "lz4",
	[SPICE_SERVER_COMPRESSION_OFF] = "off",
};
static const char *const jpegs[] = {
	[SPICE_SERVER_JPEG_AUTO] = "auto",
	[SPICE_SERVER_JPEG_ALWAYS] = "always",
	[SPICE_SERVER_JPEG_NEVER] = "never",
};
static const char *const videos[] = {
	[SPICE_SERVER_VIDEO_AUTO] = "auto",
	[SPICE_SERVER_VIDEO_ALL] = "all",
	[SPICE_SERVER_VIDEO_OFF] = "off",
};

/* The number of a name in a list; -EINVAL when it is not there. */
static int find(const char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(names[i], name))
			return (int)i;
	return -EINVAL;
}

int server_options_set(
	struct server_options *options, const char *name, const char *value, const char **wanted)
{
	int number;

	if (!strcmp(name, "image-compression")) {
		*wanted = "auto, quic, lz, glz, lz4 or off";
		number = find(compressions, ARRAY_SIZE(compressions), value);
		if (number >= 0)
			options->compression = (enum spice_image_compression)number;
	} else if (!strcmp(name, "jpeg")) {
		*wanted = "auto, always or never";
		number = find(jpegs, ARRAY_SIZE(jpegs), value);
		if (number >= 0)
			options->jpeg = (enum spice_jpeg)number;
	} else if (!strcmp(name, "video")) {
		*wanted = "auto, all or off";
		number = find(videos, ARRAY_SIZE(videos), value);
		if (number >= 0)
			options->video = (enum spice_video)number;
	} else {
		return -ENOENT;
	}
	return MIN(number, 0);
}

const char *server_options_get(const struct server_options *options, const char *name)
{
	if (!strcmp(name, "image-compression"))
		return compressions[options->compression];
	if (!strcmp(name, "jpeg"))
		return jpegs[options->jpeg];
	return strcmp(name, "video") ? NULL : videos[options->video];
}

void server_options_apply(const struct server_options *options, struct spice_server_config *config)
{
	config->compression = options->compression;
	config->jpeg = options->jpeg;
	config->video = options->video;
}

void server_options_change(struct spice_server *server, const struct server_options *old,
	const struct server_options *now)
{
	if (now->compression != old->compression)
		spice_server_set_compression(server, now->compression);
	if (now->jpeg != old->jpeg)
		spice_server_set_jpeg(server, now->jpeg);
	/* Ends the streams that run: not for nothing. */
	if (now->video != old->video)
		spice_server_set_video(server, now->video);
}

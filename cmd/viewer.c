/* SPDX-License-Identifier: MIT */
/* The viewer's target, password and options. */
#include "cmd/viewer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "core/util.h"

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

static const struct {
	const char *name;
	enum spice_client_compression compression;
} compressions[] = {
	{ "auto", SPICE_CLIENT_COMPRESSION_AUTO },
	{ "server", SPICE_CLIENT_COMPRESSION_SERVER },
	{ "off", SPICE_CLIENT_COMPRESSION_OFF },
	{ "auto-glz", SPICE_CLIENT_COMPRESSION_AUTO_GLZ },
	{ "auto-lz", SPICE_CLIENT_COMPRESSION_AUTO_LZ },
	{ "quic", SPICE_CLIENT_COMPRESSION_QUIC },
	{ "glz", SPICE_CLIENT_COMPRESSION_GLZ },
	{ "lz", SPICE_CLIENT_COMPRESSION_LZ },
	{ "lz4", SPICE_CLIENT_COMPRESSION_LZ4 },
};

static int take_compression(struct spice_client_options *options, const char *value)
{
	for (size_t i = 0; i < ARRAY_SIZE(compressions); i++) {
		if (!strcmp(compressions[i].name, value)) {
			options->compression = compressions[i].compression;
			return 0;
		}
	}
	cmd_error(
		"--spice-preferred-compression is auto, server, auto-glz, auto-lz, quic, glz, lz, "
		"lz4 or off, not '%s'",
		value);
	return -EINVAL;
}

static int take_size(const char *name, const char *value, uint32_t max, uint32_t *bytes)
{
	uint64_t size;

	if (cmd_parse_size(value, &size) || size > max) {
		cmd_error("--%s wants bytes up to %uM, not '%s'", name, max >> 20, value);
		return -EINVAL;
	}
	*bytes = (uint32_t)size;
	return 0;
}

static int take_depth(struct spice_client_options *options, const char *value)
{
	uint64_t depth;

	if (cmd_parse_number(value, 16, 32, &depth) || (depth != 16 && depth != 32)) {
		cmd_error("--spice-color-depth is 16 or 32, not '%s'", value);
		return -EINVAL;
	}
	options->color_depth = (uint8_t)depth;
	return 0;
}

/* One name of the list, `length` bytes. */
static bool take_effect(struct spice_client_options *options, const char *name, size_t length)
{
	const struct {
		const char *name;
		bool *off;
	} effects[] = {
		{ "wallpaper", &options->no_wallpaper },
		{ "font-smooth", &options->no_font_smooth },
		{ "animation", &options->no_animation },
	};
	bool all = length == 3 && !strncmp(name, "all", 3), known = all;

	for (size_t i = 0; i < ARRAY_SIZE(effects); i++) {
		if (all ||
			(strlen(effects[i].name) == length &&
				!strncmp(effects[i].name, name, length)))
			known = *effects[i].off = true;
	}
	return known;
}

static int take_effects(struct spice_client_options *options, const char *value)
{
	const char *name = value;

	for (;;) {
		size_t length = strcspn(name, ",");

		if (!take_effect(options, name, length)) {
			cmd_error("--spice-disable-effects is a list of wallpaper, font-smooth, "
				  "animation and all, not '%s'",
				value);
			return -EINVAL;
		}
		if (!name[length])
			return 0;
		name += length + 1;
	}
}

int viewer_option(struct spice_client_options *options, int option, const char *value)
{
	switch (option) {
	case VIEWER_OPT_CACHE_SIZE:
		return take_size(
			"spice-cache-size", value, SPICE_CLIENT_CACHE_MAX, &options->cache_bytes);
	case VIEWER_OPT_GLZ_WINDOW_SIZE:
		return take_size("spice-glz-window-size", value, SPICE_CLIENT_GLZ_MAX,
			&options->glz_window_bytes);
	case VIEWER_OPT_COMPRESSION: return take_compression(options, value);
	case VIEWER_OPT_COLOR_DEPTH: return take_depth(options, value);
	case VIEWER_OPT_DISABLE_EFFECTS: return take_effects(options, value);
	default: return -ENOENT;
	}
}

int viewer_connect(struct spice_client **out, const struct spice_target *target,
	const struct spice_client_options *options, struct loop *loop, struct display *display,
	void (*on_event)(void *opaque, enum spice_client_event event, const char *reason),
	void *opaque)
{
	struct spice_client_config config = { .loop = loop,
		.display = display,
		.host = target->host,
		.port = target->port,
		.unix_path = target->unix_path,
		.password = target->password,
		.options = *options,
		.on_event = on_event,
		.opaque = opaque };

	return spice_client_create(out, &config);
}

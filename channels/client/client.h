/* SPDX-License-Identifier: MIT */
/*
 * The SPICE client: connects the main, display, inputs and cursor channels of a server, and feeds
 * what it shows into a display hub of the caller's. No SDL, no threads: everything on one loop.
 */
#ifndef CHANNELS_CLIENT_CLIENT_H
#define CHANNELS_CLIENT_CLIENT_H

#include "core/display.h"
#include "core/loop.h"
#include "core/ports.h"

struct spice_client;

enum spice_client_event {
	SPICE_CLIENT_CONNECTED, /* the main channel is up */
	SPICE_CLIENT_FIRST_FRAME, /* the primary surface exists and its first mark has come */
	SPICE_CLIENT_AUTH_NEEDED, /* wrong or missing password; the link is closed */
	SPICE_CLIENT_DISCONNECTED, /* the link was lost or never came about: `reason` */
	SPICE_CLIENT_NAME, /* the VM's name came: `reason` holds it */
};

/* How the server should pack pictures; it may do otherwise. */
enum spice_client_compression {
	SPICE_CLIENT_COMPRESSION_AUTO, /* not at all on the same machine; elsewhere it is not told */
	SPICE_CLIENT_COMPRESSION_SERVER, /* it is not told */
	SPICE_CLIENT_COMPRESSION_OFF,
	SPICE_CLIENT_COMPRESSION_AUTO_GLZ,
	SPICE_CLIENT_COMPRESSION_AUTO_LZ,
	SPICE_CLIENT_COMPRESSION_QUIC,
	SPICE_CLIENT_COMPRESSION_GLZ,
	SPICE_CLIENT_COMPRESSION_LZ,
	SPICE_CLIENT_COMPRESSION_LZ4,
};

#define SPICE_CLIENT_CACHE_MAX (1u << 30)
#define SPICE_CLIENT_GLZ_MAX   (64u << 20)

/* What the user may choose; zero is the default of each. */
struct spice_client_options {
	uint32_t cache_bytes; /* of pictures at our side, 4 a pixel; at most SPICE_CLIENT_CACHE_MAX */
	uint32_t glz_window_bytes; /* 4 a pixel; at most SPICE_CLIENT_GLZ_MAX */
	enum spice_client_compression compression;
	bool mjpeg_only; /* of video: for tests, as clients without VP8 are */
	/* Wishes for the guest's agent. */
	uint8_t color_depth; /* 16 or 32; 0: as it is */
	bool no_wallpaper;
	bool no_font_smooth;
	bool no_animation;
};

struct spice_client_config {
	struct loop *loop;
	struct display *display; /* borrowed; the client is its source */
	/* Where to: TCP when host is set, else a UNIX socket path. Copied. */
	const char *host;
	uint16_t port;
	const char *unix_path;
	const char *password; /* may be NULL; copied */
	struct spice_client_options options;
	/* On the loop thread. `reason` is one plain sentence (for DISCONNECTED and AUTH_NEEDED) that
	 * says what and what to do. The client may be destroyed after, not within, the call. */
	void (*on_event)(void *opaque, enum spice_client_event event, const char *reason);
	void *opaque;
};

/* Begins to connect. Returns 0 or -errno; what goes wrong later comes as an event. */
int spice_client_create(struct spice_client **out, const struct spice_client_config *config);
void spice_client_destroy(struct spice_client *client); /* NULL is ignored */
/* Where keys and pointer go; lives as long as the client. Its `absolute` is SPICE's client mouse
 * mode. Loop thread. */
struct input_sink *spice_client_input(struct spice_client *client);

/* Parses "host:port", "[v6]:port", "host" (port 5900), "spice://host:port", "spice://host?port=N",
 * "spice+unix:///path". On success fills the target (malloc'ed strings; host or unix_path set) and
 * returns 0; else -EINVAL. */
struct spice_target {
	char *host;
	uint16_t port;
	char *unix_path;
	char *password; /* from spice://...?password=; NULL mostly */
};
int spice_target_parse(struct spice_target *target, const char *text);
void spice_target_finish(struct spice_target *target);

#endif

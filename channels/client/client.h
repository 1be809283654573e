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

struct spice_client_config {
	struct loop *loop;
	struct display *display; /* borrowed; the client is its source */
	/* Where to: TCP when host is set, else a UNIX socket path. Copied. */
	const char *host;
	uint16_t port;
	const char *unix_path;
	const char *password; /* may be NULL; copied */
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

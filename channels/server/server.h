/* SPDX-License-Identifier: MIT */
/* The SPICE server: serves one display and one input sink to any number of viewers. */
#ifndef CHANNELS_SERVER_SERVER_H
#define CHANNELS_SERVER_SERVER_H

#include "channels/server/server_stats.h"
#include "core/display.h"
#include "core/loop.h"
#include "core/pool.h"
#include "core/ports.h"

struct spice_server;

/* How pictures are compressed; AUTO: by what the picture is like and what the link carries. */
enum spice_image_compression {
	SPICE_SERVER_COMPRESSION_AUTO,
	SPICE_SERVER_COMPRESSION_QUIC,
	SPICE_SERVER_COMPRESSION_LZ,
	SPICE_SERVER_COMPRESSION_GLZ,
	SPICE_SERVER_COMPRESSION_LZ4,
	SPICE_SERVER_COMPRESSION_OFF,
};

/* Whether photographic areas go out as JPEG first, and exactly once they rest; AUTO: on slow links. */
enum spice_jpeg { SPICE_SERVER_JPEG_AUTO, SPICE_SERVER_JPEG_ALWAYS, SPICE_SERVER_JPEG_NEVER };

/* Which areas viewers are sent as video: what changes fast and looks like moving pictures,
 * whatever changes fast, or none. */
enum spice_video { SPICE_SERVER_VIDEO_AUTO, SPICE_SERVER_VIDEO_ALL, SPICE_SERVER_VIDEO_OFF };

struct spice_server_config {
	struct loop *loop;
	struct pool *pool;
	struct display *display; /* borrowed; the server attaches to it */
	struct input_sink *input; /* borrowed; may be NULL (view only) */
	const char *name; /* the VM's name, told to viewers; may be NULL */
	const uint8_t *uuid; /* 16 bytes; may be NULL */
	const char *password; /* NULL: no ticket is asked (any is accepted) */
	uint32_t max_viewers; /* 0: 32 */
	enum spice_video video;
	enum spice_image_compression compression;
	enum spice_jpeg jpeg;
	/* Told on the loop thread when the number of viewers changes; may be NULL. */
	void (*viewers_changed)(void *opaque, uint32_t viewers);
	void *opaque;
};

/* Returns 0 or -errno (-EINVAL: a password beyond 60 bytes). Loop thread, like all below. */
int spice_server_create(struct spice_server **out, const struct spice_server_config *config);
void spice_server_destroy(struct spice_server *server); /* closes every link; NULL is ignored */

/* Listens on an address ("127.0.0.1", "::1", "localhost", "0.0.0.0") and port (0: any free one; the
 * port taken is written to *port). -EADDRINUSE and so on. May be called several times. */
int spice_server_listen_tcp(struct spice_server *server, const char *address, uint16_t *port);
/* Listens on a UNIX socket, made with mode 0600; a stale one (nobody listens) is replaced. */
int spice_server_listen_unix(struct spice_server *server, const char *path);
/* Serves an already connected stream socket; owns the fd from here on, also on failure. */
int spice_server_add_client_fd(struct spice_server *server, int fd);

/* Change while it runs, for the pictures to come; a viewer's own wish goes before. */
void spice_server_set_compression(
	struct spice_server *server, enum spice_image_compression compression);
void spice_server_set_jpeg(struct spice_server *server, enum spice_jpeg jpeg);

/* What was sent so far, and what waits. */
void spice_server_stats(struct spice_server *server, struct spice_server_stats *out);
/* Changes what is sent as video from now on. */
void spice_server_set_video(struct spice_server *server, enum spice_video video);

#endif

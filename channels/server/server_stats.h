/* SPDX-License-Identifier: MIT */
/*
 * What a server has sent so far, to all its viewers, those that left included. Counted on the loop
 * thread, as a message is handed to its link.
 */
#ifndef CHANNELS_SERVER_SERVER_STATS_H
#define CHANNELS_SERVER_SERVER_STATS_H

#include <stdint.h>

enum {
	SERVER_STATS_CHANNELS = 16, /* by SPICE_CHANNEL_* */
	SERVER_STATS_IMAGES = 112, /* by SPICE_IMAGE_TYPE_* */
	SERVER_STATS_OWED = 100, /* drawings that owed pixels count as */
};

struct server_stats_count {
	uint64_t count;
	uint64_t bytes;
};

struct spice_server_stats {
	/* Messages and their bytes with headers, written to the sockets; handshakes do not count. */
	struct server_stats_count channels[SERVER_STATS_CHANNELS];
	/* Pictures within drawings; bytes: of their encoded form, palettes included. */
	struct server_stats_count images[SERVER_STATS_IMAGES];
	/* Video streams: how many were made, their frames and the frames' bytes. */
	uint64_t streams;
	struct server_stats_count frames;
	uint64_t draws_as_commands; /* drawings that left as drawings */
	uint64_t draws_as_pixels; /* messages with pixels that the server rendered */
	/* Now: the drawings and pictures that the slowest viewer has yet to be sent, and
	 * SERVER_STATS_OWED for each surface of which it is owed pixels instead of drawings; 0: every
	 * viewer was sent all there is, as far as the server knows. */
	uint32_t backlog;
};

static inline void server_stats_add(struct server_stats_count *counter, uint64_t bytes)
{
	counter->count++;
	counter->bytes += bytes;
}

#endif

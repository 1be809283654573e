/* SPDX-License-Identifier: MIT */
/* What client_stream.c (messages) and client_stream_frame.c (decoding and showing) share. */
#ifndef CHANNELS_CLIENT_CLIENT_STREAM_INTERNAL_H
#define CHANNELS_CLIENT_CLIENT_STREAM_INTERNAL_H

#include "channels/client/client_stream.h"
#include "channels/client/client_stream_clock.h"
#include "codecs/video.h"
#include "core/buf.h"
#include "core/pool.h"

enum {
	STREAMS_MAX = 256, /* ids are below; servers use some 50 */
	STREAM_FRAMES_MAX = 64, /* that wait, of one stream */
	STREAM_BYTES_MAX = 64 << 20, /* of such, of all streams */
	STREAM_AHEAD_MAX = 4, /* decoded before their time */
	STREAM_PIXELS_MAX = 7680 * 4320, /* of a frame */
};

struct stream_job;

struct stream_frame {
	struct stream_frame *next;
	uint64_t due_ns;
	uint32_t width, height; /* as the server says */
	struct rect dest;
	struct region shown; /* what of dest it may still change */
	struct buf data; /* empty once it is decoded */
	struct image *image; /* once it is decoded */
};

/* What is known of a stream since its last report. */
struct stream_report {
	bool active;
	uint32_t unique_id;
	uint32_t max_frames;
	uint32_t timeout_ms;
	uint32_t frames;
	uint32_t drops;
	uint32_t start_mm_time;
	uint64_t start_ns;
};

struct client_stream {
	struct client_streams *streams;
	struct client_stream *next; /* of all, those that only show their last frame too */
	uint32_t id;
	bool ended; /* destroyed by the server: shows what came, then goes */
	uint32_t surface_id;
	bool surface_gone;
	bool top_down;
	enum video_codec codec;
	uint32_t width, height; /* of frames that do not say theirs */
	struct rect dest;
	bool clipped;
	struct region clip;
	struct video_decoder *decoder; /* the job's while there is one */
	struct stream_job *job;
	struct stream_clock clock;
	struct loop_timer *timer;
	uint64_t shown_ns; /* when a frame was shown last */
	struct stream_frame *first; /* by age */
	struct stream_frame **end;
	uint32_t frames;
	uint32_t ready; /* of them decoded */
	uint32_t failures; /* frames in a row that could not be decoded */
	struct stream_report report;
};

struct client_streams {
	struct client_streams_config config;
	struct pool *pool; /* made with the first stream */
	struct client_stream *by_id[STREAMS_MAX];
	struct client_stream *all;
	size_t bytes; /* of frames that wait to be decoded */
	bool has_time;
	uint32_t mm_time; /* at time_ns */
	uint64_t time_ns;
	/* Ever. */
	uint32_t created[VIDEO_CODECS];
	uint64_t received[VIDEO_CODECS];
	uint64_t received_bytes;
	uint64_t sized;
	uint64_t shown;
	uint64_t dropped; /* as newer ones were due */
	uint64_t hidden; /* as later drawings covered them */
	uint64_t failed;
};

/* A frame came: takes its bytes. 0 or -ENOMEM. */
int stream_frame_add(struct client_stream *stream, uint32_t mm_time, uint32_t width,
	uint32_t height, const struct rect *dest, const uint8_t *data, size_t size);
/* Shows what is due, decodes what comes next. May free a stream that has ended. */
void stream_play(struct client_stream *stream);
/* Shows the newest decoded frame now. */
void stream_flush(struct client_stream *stream);
/* Shows all that is there as soon as it can be, then goes. */
void stream_end(struct client_stream *stream);
/* Drops all frames. */
void stream_clear(struct client_stream *stream);
/* Frees it with all it has. */
void stream_free(struct client_stream *stream);
void stream_on_timer(void *opaque);

#endif

/* SPDX-License-Identifier: MIT */
/* A display channel's streams: the server's messages about them, and the reports to it. */
#include "channels/client/client_stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <spice/enums.h>

#include "channels/client/client_stream_internal.h"
#include "core/log.h"
#include "core/util.h"

enum {
	WORKERS = 2,
	/* Beyond every surface, and far from where sums of coordinates overflow. */
	COORDINATE_MAX = 1 << 20,
	REPORT_DROPS = 3, /* dropped frames that are reported before their time */
	NO_AUDIO = -1,
};

static bool rect_ok(const struct rect *r)
{
	return r->left >= -COORDINATE_MAX && r->top >= -COORDINATE_MAX &&
		r->right <= COORDINATE_MAX && r->bottom <= COORDINATE_MAX && r->left < r->right &&
		r->top < r->bottom;
}

/* ---- reports ---- */

/* How the server is told that there is no such stream: it then sends pictures instead. */
static void refuse(struct client_streams *streams, uint32_t id)
{
	struct msg_stream_report msg = {
		.stream_id = id, .drops = UINT32_MAX, .audio_delay = (uint32_t)NO_AUDIO
	};

	streams->config.report(streams->config.opaque, &msg);
}

/* By how many ms a frame came before its time on the server's clock. */
static int32_t margin_ms(const struct client_streams *streams, uint32_t mm_time, uint64_t now_ns)
{
	uint64_t passed_ms = (now_ns - streams->time_ns) / 1000000;

	return streams->has_time ? (int32_t)(mm_time - streams->mm_time - (uint32_t)passed_ms) : 0;
}

static void count_for_report(struct client_stream *stream, uint32_t mm_time)
{
	struct stream_report *report = &stream->report;
	uint64_t now_ns = clock_monotonic_ns();
	struct msg_stream_report msg;

	if (!report->active)
		return;
	if (!report->frames++) {
		report->start_mm_time = mm_time;
		report->start_ns = now_ns;
	}
	if (report->frames < report->max_frames && report->drops < REPORT_DROPS &&
		now_ns - report->start_ns < (uint64_t)report->timeout_ms * 1000000)
		return;
	msg = (struct msg_stream_report){ .stream_id = stream->id,
		.unique_id = report->unique_id,
		.start_mm_time = report->start_mm_time,
		.end_mm_time = mm_time,
		.frames = report->frames,
		.drops = report->drops,
		.last_frame_delay = margin_ms(stream->streams, mm_time, now_ns),
		.audio_delay = (uint32_t)NO_AUDIO };
	report->frames = report->drops = 0;
	stream->streams->config.report(stream->streams->config.opaque, &msg);
}

void client_streams_set_time(struct client_streams *streams, uint32_t mm_time)
{
	streams->has_time = true;
	streams->mm_time = mm_time;
	streams->time_ns = clock_monotonic_ns();
}

/* ---- messages ---- */

static bool codec_of(uint8_t wire, enum video_codec *out)
{
	*out = wire == SPICE_VIDEO_CODEC_TYPE_VP8 ? VIDEO_VP8 : VIDEO_MJPEG;
	return wire == SPICE_VIDEO_CODEC_TYPE_MJPEG || wire == SPICE_VIDEO_CODEC_TYPE_VP8;
}

static int set_clip(struct client_stream *stream, const struct proto_clip *clip)
{
	region_clear(&stream->clip);
	stream->clipped = clip->clipped;
	return clip->clipped ? proto_clip_region(clip, &stream->clip) : 0;
}

static int add_stream(
	struct client_streams *streams, const struct msg_stream_create *msg, enum video_codec codec)
{
	struct client_stream *stream = calloc(1, sizeof(*stream));
	int err = -ENOMEM;

	if (!stream)
		return -ENOMEM;
	*stream = (struct client_stream){ .streams = streams,
		.next = streams->all,
		.id = msg->stream_id,
		.surface_id = msg->surface_id,
		.top_down = msg->flags & SPICE_STREAM_FLAGS_TOP_DOWN,
		.codec = codec,
		.width = msg->stream_width,
		.height = msg->stream_height,
		.dest = msg->dest };
	stream->end = &stream->first;
	region_init(&stream->clip);
	streams->all = stream;
	stream->timer = loop_timer_add(streams->config.loop, stream_on_timer, stream);
	if (!streams->pool)
		err = pool_create(&streams->pool, WORKERS);
	if (streams->pool && stream->timer)
		err = video_decoder_create(&stream->decoder, codec);
	if (err == 0)
		err = set_clip(stream, &msg->clip);
	if (err < 0) {
		stream_free(stream);
		return err;
	}
	streams->by_id[stream->id] = stream;
	streams->created[codec]++;
	log_debug("spice", "stream %u: %s, %ux%u of %ux%u at %d,%d %dx%d", stream->id,
		codec == VIDEO_VP8 ? "VP8" : "MJPEG", stream->width, stream->height,
		msg->source_width, msg->source_height, msg->dest.left, msg->dest.top,
		rect_width(&msg->dest), rect_height(&msg->dest));
	return 0;
}

static int on_create(struct client_streams *streams, const uint8_t *body, size_t size)
{
	struct msg_stream_create msg;
	enum video_codec codec;

	if (!msg_stream_create_parse(&msg, body, size) || msg.stream_id >= STREAMS_MAX ||
		msg.surface_id >= DISPLAY_MAX_SURFACES || !rect_ok(&msg.dest))
		return -EPROTO;
	if (streams->by_id[msg.stream_id]) {
		struct client_stream *old = streams->by_id[msg.stream_id];

		streams->by_id[msg.stream_id] = NULL;
		stream_end(old);
	}
	if (!codec_of(msg.codec, &codec)) {
		refuse(streams, msg.stream_id);
		return 0;
	}
	return add_stream(streams, &msg, codec);
}

/* NULL: the server does not know yet that there is none. */
static struct client_stream *find(struct client_streams *streams, uint32_t id)
{
	return id < STREAMS_MAX ? streams->by_id[id] : NULL;
}

static int add_frame(struct client_streams *streams, uint32_t id, uint32_t mm_time,
	const struct msg_stream_data_sized *sized, const struct wire_bytes *data)
{
	struct client_stream *stream = find(streams, id);
	int err;

	if (!stream) {
		refuse(streams, id);
		return 0;
	}
	streams->received[stream->codec]++;
	streams->received_bytes += data->size;
	streams->sized += sized != NULL;
	if (!data->size || stream->surface_gone) {
		streams->failed++;
		return 0;
	}
	err = stream_frame_add(stream, mm_time, sized ? sized->width : stream->width,
		sized ? sized->height : stream->height, sized ? &sized->dest : &stream->dest,
		data->data, data->size);
	if (err < 0)
		return err;
	stream_play(stream);
	count_for_report(stream, mm_time);
	return 0;
}

static int on_data(struct client_streams *streams, const uint8_t *body, size_t size)
{
	struct msg_stream_data msg;

	if (!msg_stream_data_parse(&msg, body, size))
		return -EPROTO;
	return add_frame(streams, msg.stream_id, msg.mm_time, NULL, &msg.data);
}

static int on_data_sized(struct client_streams *streams, const uint8_t *body, size_t size)
{
	struct msg_stream_data_sized msg;

	if (!msg_stream_data_sized_parse(&msg, body, size) || !rect_ok(&msg.dest))
		return -EPROTO;
	return add_frame(streams, msg.stream_id, msg.mm_time, &msg, &msg.data);
}

static int on_clip(struct client_streams *streams, const uint8_t *body, size_t size)
{
	struct msg_stream_clip msg;
	struct client_stream *stream;
	int err;

	if (!msg_stream_clip_parse(&msg, body, size))
		return -EPROTO;
	stream = find(streams, msg.stream_id);
	if (!stream)
		return 0;
	err = set_clip(stream, &msg.clip);
	/* What is not the stream's any more, frames that wait must not touch either. */
	for (struct stream_frame *f = stream->first; err == 0 && stream->clipped && f; f = f->next)
		region_intersect(&f->shown, &stream->clip);
	return err;
}

static void end(struct client_streams *streams, uint32_t id)
{
	struct client_stream *stream = find(streams, id);

	if (!stream)
		return;
	streams->by_id[id] = NULL;
	stream_end(stream);
}

static int on_destroy(struct client_streams *streams, const uint8_t *body, size_t size)
{
	struct msg_stream_destroy msg;

	if (!msg_stream_destroy_parse(&msg, body, size))
		return -EPROTO;
	end(streams, msg.stream_id);
	return 0;
}

static int on_activate_report(struct client_streams *streams, const uint8_t *body, size_t size)
{
	struct msg_stream_activate_report msg;
	struct client_stream *stream;

	if (!msg_stream_activate_report_parse(&msg, body, size))
		return -EPROTO;
	stream = find(streams, msg.stream_id);
	if (!stream) {
		refuse(streams, msg.stream_id);
		return 0;
	}
	stream->report = (struct stream_report){ .active = true,
		.unique_id = msg.unique_id,
		.max_frames = msg.max_window_size,
		.timeout_ms = msg.timeout_ms };
	return 0;
}

bool client_streams_takes(uint16_t type)
{
	return (type >= SPICE_MSG_DISPLAY_STREAM_CREATE &&
		       type <= SPICE_MSG_DISPLAY_STREAM_DESTROY_ALL) ||
		type == SPICE_MSG_DISPLAY_STREAM_DATA_SIZED ||
		type == SPICE_MSG_DISPLAY_STREAM_ACTIVATE_REPORT;
}

int client_streams_message(
	struct client_streams *streams, uint16_t type, const uint8_t *body, size_t size)
{
	switch (type) {
	case SPICE_MSG_DISPLAY_STREAM_CREATE: return on_create(streams, body, size);
	case SPICE_MSG_DISPLAY_STREAM_DATA: return on_data(streams, body, size);
	case SPICE_MSG_DISPLAY_STREAM_DATA_SIZED: return on_data_sized(streams, body, size);
	case SPICE_MSG_DISPLAY_STREAM_CLIP: return on_clip(streams, body, size);
	case SPICE_MSG_DISPLAY_STREAM_DESTROY: return on_destroy(streams, body, size);
	case SPICE_MSG_DISPLAY_STREAM_DESTROY_ALL:
		for (uint32_t id = 0; id < STREAMS_MAX; id++)
			end(streams, id);
		return 0;
	case SPICE_MSG_DISPLAY_STREAM_ACTIVATE_REPORT:
		return on_activate_report(streams, body, size);
	default: return 0;
	}
}

/* ---- beside other drawings ---- */

/* Whether what the drawing makes depends on the pixels of the stream's place. */
static bool reads_stream(const struct client_stream *stream, const struct draw *draw)
{
	struct rect area;

	if (!draw_reads_surface(draw, stream->surface_id))
		return false;
	area = draw_read_area(draw, stream->surface_id);
	for (struct stream_frame *f = stream->first; f; f = f->next)
		if (region_overlaps_rect(&f->shown, &area))
			return true;
	return false;
}

static void cover(struct client_stream *stream, const struct draw *draw)
{
	for (struct stream_frame *f = stream->first; f; f = f->next) {
		struct region part;

		if (!region_overlaps_rect(&f->shown, &draw->box))
			continue;
		if (!draw->clipped) {
			region_subtract_rect(&f->shown, &draw->box);
			continue;
		}
		region_init_rect(&part, &draw->box);
		region_intersect(&part, &draw->clip);
		region_subtract(&f->shown, &part);
		region_finish(&part);
	}
}

void client_streams_before_draw(struct client_streams *streams, const struct draw *draw)
{
	for (struct client_stream *s = streams->all; s; s = s->next) {
		/* What the drawing reads is as new as it can be; one that is still with a worker
		 * comes too late for it, and the server knows that place as not exact. */
		if (s->first && reads_stream(s, draw))
			stream_flush(s);
		if (s->surface_id == draw->surface_id)
			cover(s, draw);
	}
}

void client_streams_surface_gone(struct client_streams *streams, uint32_t surface_id)
{
	for (struct client_stream *s = streams->all; s; s = s->next) {
		if (s->surface_id != surface_id)
			continue;
		s->surface_gone = true;
		stream_clear(s);
		if (s->ended) /* goes with its timer: not within this list */
			loop_timer_arm(s->timer, 0);
	}
}

/* ---- all of them ---- */

int client_streams_create(struct client_streams **out, const struct client_streams_config *config)
{
	struct client_streams *streams = calloc(1, sizeof(*streams));

	if (!streams)
		return -ENOMEM;
	streams->config = *config;
	*out = streams;
	return 0;
}

void client_streams_destroy(struct client_streams *streams)
{
	if (!streams)
		return;
	while (streams->all)
		stream_free(streams->all);
	pool_destroy(streams->pool);
	free(streams);
}

void client_streams_describe(const struct client_streams *streams, char *text, size_t size)
{
	snprintf(text, size,
		"%u MJPEG with %llu frames, %u VP8 with %llu frames; %llu bytes, %llu sized, "
		"%llu shown, %llu dropped, %llu hidden, %llu failed",
		streams->created[VIDEO_MJPEG], (unsigned long long)streams->received[VIDEO_MJPEG],
		streams->created[VIDEO_VP8], (unsigned long long)streams->received[VIDEO_VP8],
		(unsigned long long)streams->received_bytes, (unsigned long long)streams->sized,
		(unsigned long long)streams->shown, (unsigned long long)streams->dropped,
		(unsigned long long)streams->hidden, (unsigned long long)streams->failed);
}

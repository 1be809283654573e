/* SPDX-License-Identifier: MIT */
/* The streams of one viewer. */
#include "channels/server/display_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "channels/server/stream_control.h"
#include "channels/server/video_share.h"

enum {
	STREAMS_MAX = 2 * VIDEOS_MAX, /* some of which end while others begin */
	FRAMES_WAITING = 2, /* encoded, not sent: the viewer takes no more */
	CODECS_PREFERRED_MAX = 8,
	REPORT_FRAMES = 15,
	REPORT_TIMEOUT_MS = 500,
	DATA_HEADER = 18 + 12, /* of a message, about */
	MARGIN_MS = 50, /* that frames should come before they are shown */
	MARGIN_MIN_MS = 15,
	MARGIN_MAX_MS = 120,
	EARLY_REPORTS = 4,
	EARLY_NS = 8000000, /* a frame that is not quite due is in time */
};

struct stream {
	struct display_streams *owner;
	struct video_member member;
	struct video *video; /* NULL: it ended, and so does the stream */
	uint32_t id;
	uint32_t surface_id;
	enum video_codec codec;
	struct stream_control control;
	struct rect area;
	struct region clip; /* of the area, what it shows */
	bool created; /* the viewer was told */
	bool clip_changed;
	bool resized; /* frames have another size from the next track on */
	bool owed; /* something was drawn since the last frame's pixels were taken */
	uint32_t width, height; /* of frames, as the viewer was told at the creation */
	uint32_t report_id;
	uint32_t early; /* reports in a row that told of frames that came much too early */
	uint64_t due_ns; /* when the next frame is, if fewer than all are sent */
	struct encoded_frame *waiting[FRAMES_WAITING];
	uint32_t waiting_count;
	uint64_t frames, bytes; /* sent */
	struct stream *next;
};

struct display_streams {
	struct video_listener listener;
	struct channel *channel;
	struct spice_server *server;
	struct link *link;
	struct pace *pace; /* NULL: the link counts as fast */
	const struct display_streams_ops *ops;
	void *opaque;
	struct stream *streams;
	uint32_t report_ids;
	uint8_t preferred[CODECS_PREFERRED_MAX]; /* SPICE_VIDEO_CODEC_TYPE_*, the best first */
	uint32_t preferred_count;
	bool broken[VIDEO_CODECS]; /* the viewer could not decode it after all */
};

static struct display_streams *of_listener(struct video_listener *listener)
{
	return container_of(listener, struct display_streams, listener);
}

static struct stream *of_member(struct video_member *member)
{
	return container_of(member, struct stream, member);
}

/* ---- codecs ---- */

static const struct {
	uint8_t wire;
	uint8_t cap;
	enum video_codec codec;
} codecs[] = {
	/* The best first. */
	{ SPICE_VIDEO_CODEC_TYPE_VP8, SPICE_DISPLAY_CAP_CODEC_VP8, VIDEO_VP8 },
	{ SPICE_VIDEO_CODEC_TYPE_MJPEG, SPICE_DISPLAY_CAP_CODEC_MJPEG, VIDEO_MJPEG },
};

static uint8_t wire_codec(enum video_codec codec)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(codecs); i++)
		if (codecs[i].codec == codec)
			return codecs[i].wire;
	return 0;
}

static bool usable(const struct display_streams *streams, uint32_t i)
{
	if (streams->broken[codecs[i].codec])
		return false;
	/* Viewers that do not say what they know know MJPEG. */
	if (!link_peer_has_cap(streams->link, SPICE_DISPLAY_CAP_MULTI_CODEC))
		return codecs[i].codec == VIDEO_MJPEG;
	return link_peer_has_cap(streams->link, codecs[i].cap);
}

/* VIDEO_CODECS: none. */
static enum video_codec choose_codec(const struct display_streams *streams)
{
	for (uint32_t p = 0; p < streams->preferred_count; p++)
		for (uint32_t i = 0; i < ARRAY_SIZE(codecs); i++)
			if (codecs[i].wire == streams->preferred[p] && usable(streams, i))
				return codecs[i].codec;
	for (uint32_t i = 0; i < ARRAY_SIZE(codecs); i++)
		if (usable(streams, i))
			return codecs[i].codec;
	return VIDEO_CODECS;
}

/* ---- the pace ---- */

static bool link_has_room(const struct display_streams *streams)
{
	return link_is_up(streams->link) && !link_congested(streams->link) &&
		(!streams->pace || pace_spare(streams->pace) > 0);
}

static void sent(struct display_streams *streams, size_t bytes)
{
	if (streams->pace)
		pace_sent(streams->pace, bytes);
}

static uint64_t link_rate(const struct display_streams *streams)
{
	return streams->pace ? pace_rate(streams->pace) : 0;
}

static struct video_wish make_wish(struct stream *stream)
{
	const struct display_streams *streams = stream->owner;
	struct stream_link link = { .rate = link_rate(streams) };
	struct video_demand demand;

	for (const struct stream *s = streams->streams; s; s = s->next)
		link.streams += s->video != NULL;
	demand = stream_control_demand(
		&stream->control, &link, (uint32_t)(stream->video->interval_ns / 1000));
	return (struct video_wish){
		.codec = stream->codec,
		.width = MAX((uint32_t)rect_width(&stream->area) >> stream->control.shift, 1u),
		.height = MAX((uint32_t)rect_height(&stream->area) >> stream->control.shift, 1u),
		.quality = demand.quality,
		.bytes = demand.bytes,
		.interval_us = stream->control.interval_us,
		.average_ms = video_codec_frames_alone(stream->codec) ? 0 : demand.average_ms,
	};
}

/* The clock that frames are shown by is set so that they come in time, and no later than needed. */
static void adapt_lag(struct stream *stream, uint32_t frame_bytes)
{
	struct display_streams *streams = stream->owner;
	struct channel *main_channel = session_main(streams->channel->session);
	uint32_t queue_us = streams->pace ? pace_queue_us(streams->pace) : 0;
	uint32_t lag_ms = stream_lag_ms(queue_us, frame_bytes, link_rate(streams), 0);

	if (main_channel)
		main_channel_lag_at_least(main_channel, lag_ms);
}

/* ---- members of tracks ---- */

static bool member_has_room(struct video_member *member)
{
	struct stream *stream = of_member(member);
	uint64_t now_ns = clock_monotonic_ns();

	if (stream->waiting_count + (member->awaits != 0) >= FRAMES_WAITING ||
		!link_has_room(stream->owner))
		return false;
	return now_ns + EARLY_NS >= stream->due_ns;
}

static void member_captured(struct video_member *member)
{
	struct stream *stream = of_member(member);

	uint64_t interval_ns = (uint64_t)stream->control.interval_us * 1000;
	uint64_t now_ns = clock_monotonic_ns();

	stream->owed = false;
	/* On the average so many, though the guest's frames come when they come. */
	stream->due_ns =
		MAX(stream->due_ns + interval_ns, now_ns > interval_ns ? now_ns - interval_ns : 0);
}

static void member_encoded(struct video_member *member, struct encoded_frame *frame)
{
	struct stream *stream = of_member(member);

	if (!frame) {
		stream->owed = true;
		return;
	}
	stream->waiting[stream->waiting_count++] = frame;
	stream->owner->ops->wake(stream->owner->opaque);
}

static const struct video_member_ops member_ops = {
	.has_room = member_has_room,
	.captured = member_captured,
	.encoded = member_encoded,
};

/* ---- beginning and ending ---- */

static struct stream *find(const struct display_streams *streams, const struct video *video)
{
	for (struct stream *s = streams->streams; s; s = s->next)
		if (s->video == video)
			return s;
	return NULL;
}

static bool free_id(const struct display_streams *streams, uint32_t *id)
{
	for (*id = 0; *id < STREAMS_MAX; ++*id) {
		const struct stream *s = streams->streams;

		while (s && s->id != *id)
			s = s->next;
		if (!s)
			return true;
	}
	return false;
}

static void drop_waiting(struct stream *stream)
{
	if (stream->waiting_count)
		stream->owed = true;
	for (uint32_t i = 0; i < stream->waiting_count; i++)
		encoded_frame_unref(stream->waiting[i]);
	stream->waiting_count = 0;
}

static void stream_free(struct stream *stream)
{
	struct stream **at = &stream->owner->streams;

	while (*at != stream)
		at = &(*at)->next;
	*at = stream->next;
	video_share_leave(stream->owner->server->video_share, &stream->member);
	drop_waiting(stream);
	region_finish(&stream->clip);
	free(stream);
}

/* The viewer is told at the next pump. */
static void stream_end(struct stream *stream)
{
	struct display_streams *streams = stream->owner;

	if (stream->member.awaits)
		stream->owed = true;
	video_share_leave(streams->server->video_share, &stream->member);
	drop_waiting(stream);
	stream->video = NULL;
	if (stream->owed)
		streams->ops->dirty(streams->opaque, stream->surface_id, &stream->area);
	stream->owed = false;
	if (!stream->created)
		stream_free(stream);
	else
		streams->ops->wake(streams->opaque);
}

static void stream_begin(struct display_streams *streams, struct video *video)
{
	enum video_codec codec = choose_codec(streams);
	struct stream *stream;
	struct video_wish wish;
	uint32_t id;

	if (codec == VIDEO_CODECS || !free_id(streams, &id) || !link_is_up(streams->link) ||
		!streams->ops->has_surface(streams->opaque, video->surface_id))
		return;
	stream = calloc(1, sizeof(*stream));
	if (!stream)
		return;
	stream->owner = streams;
	stream->member.ops = &member_ops;
	stream->video = video;
	stream->id = id;
	stream->surface_id = video->surface_id;
	stream->codec = codec;
	stream->area = video->area;
	stream_control_init(&stream->control, codec, (uint32_t)rect_width(&video->area),
		(uint32_t)rect_height(&video->area));
	region_init(&stream->clip);
	region_copy(&stream->clip, &video->shown);
	stream->next = streams->streams;
	streams->streams = stream;
	wish = make_wish(stream);
	stream->width = wish.width;
	stream->height = wish.height;
	if (video_share_join(streams->server->video_share, &stream->member, video, &wish) < 0)
		stream_free(stream);
}

/* ---- what the detector tells ---- */

static void on_begin(struct video_listener *listener, struct video *video)
{
	stream_begin(of_listener(listener), video);
}

static void on_frame(struct video_listener *listener, struct video *video)
{
	struct display_streams *streams = of_listener(listener);

	if (find(streams, video))
		video_share_frame(streams->server->video_share, video);
	else
		stream_begin(streams, video);
}

static void on_shown(struct video_listener *listener, struct video *video)
{
	struct display_streams *streams = of_listener(listener);
	struct stream *stream = find(streams, video);

	if (!stream)
		return;
	region_copy(&stream->clip, &video->shown);
	stream->clip_changed = true;
	streams->ops->wake(streams->opaque);
}

static void on_end(struct video_listener *listener, struct video *video)
{
	struct stream *stream = find(of_listener(listener), video);

	if (stream)
		stream_end(stream);
}

static const struct video_listener_ops listener_ops = {
	.begin = on_begin,
	.frame = on_frame,
	.shown = on_shown,
	.end = on_end,
};

/* ---- messages ---- */

static struct proto_clip wire_clip(const struct stream *stream)
{
	return (struct proto_clip){
		.clipped = !region_contains_rect(&stream->clip, &stream->area),
		.region = &stream->clip,
	};
}

static void send_create(struct stream *stream)
{
	struct display_streams *streams = stream->owner;
	struct msg_stream_create msg = {
		.surface_id = stream->surface_id,
		.stream_id = stream->id,
		.flags = SPICE_STREAM_FLAGS_TOP_DOWN,
		.codec = wire_codec(stream->codec),
		.stamp = server_mm_time(),
		.stream_width = stream->width,
		.stream_height = stream->height,
		.source_width = stream->width,
		.source_height = stream->height,
		.dest = stream->area,
		.clip = wire_clip(stream),
	};
	struct msg_stream_activate_report report = {
		.stream_id = stream->id,
		.unique_id = ++streams->report_ids,
		.max_window_size = REPORT_FRAMES,
		.timeout_ms = REPORT_TIMEOUT_MS,
	};

	stream->created = true;
	stream->clip_changed = false;
	log_debug(SERVER_LOG, "stream %u begins: %s, %ux%u at %d,%d", stream->id,
		stream->codec == VIDEO_VP8 ? "VP8" : "MJPEG", stream->width, stream->height,
		stream->area.left, stream->area.top);
	link_send_stream_create(streams->link, SPICE_MSG_DISPLAY_STREAM_CREATE, &msg);
	sent(streams, 64 + 16 * (size_t)region_count(&stream->clip));
	streams->server->stats.streams++;
	if (!link_peer_has_cap(streams->link, SPICE_DISPLAY_CAP_STREAM_REPORT))
		return;
	stream->report_id = report.unique_id;
	link_send_stream_activate_report(
		streams->link, SPICE_MSG_DISPLAY_STREAM_ACTIVATE_REPORT, &report);
}

static void send_destroy(struct stream *stream)
{
	struct display_streams *streams = stream->owner;
	struct msg_stream_destroy msg = { .stream_id = stream->id };

	log_debug(SERVER_LOG, "stream %u ends after %llu frames of %llu bytes, quality %u",
		stream->id, (unsigned long long)stream->frames,
		(unsigned long long)(stream->bytes / MAX(stream->frames, (uint64_t)1)),
		stream->control.quality / 16);
	link_send_stream_destroy(streams->link, SPICE_MSG_DISPLAY_STREAM_DESTROY, &msg);
	stream->created = false;
}

static void send_clip(struct stream *stream)
{
	struct msg_stream_clip msg = { .stream_id = stream->id, .clip = wire_clip(stream) };

	stream->clip_changed = false;
	link_send_stream_clip(stream->owner->link, SPICE_MSG_DISPLAY_STREAM_CLIP, &msg);
}

static void send_data(struct stream *stream, const struct encoded_frame *frame)
{
	struct link *link = stream->owner->link;
	struct wire_bytes data = { buf_bytes(&frame->data), frame->data.size };

	if (frame->width == stream->width && frame->height == stream->height) {
		struct msg_stream_data msg = {
			.stream_id = stream->id, .mm_time = frame->mm_time, .data = data
		};

		link_send_stream_data(link, SPICE_MSG_DISPLAY_STREAM_DATA, &msg);
	} else {
		struct msg_stream_data_sized msg = {
			.stream_id = stream->id,
			.mm_time = frame->mm_time,
			.width = frame->width,
			.height = frame->height,
			.dest = stream->area,
			.data = data,
		};

		link_send_stream_data_sized(link, SPICE_MSG_DISPLAY_STREAM_DATA_SIZED, &msg);
	}
}

/* Whether frames may have another size than the stream's. */
static bool may_resize(const struct stream *stream)
{
	return link_peer_has_cap(stream->owner->link, SPICE_DISPLAY_CAP_SIZED_STREAM) &&
		video_codec_frames_alone(stream->codec);
}

static void send_frame(struct stream *stream)
{
	struct display_streams *streams = stream->owner;
	struct encoded_frame *frame = stream->waiting[0];

	memmove(stream->waiting, stream->waiting + 1,
		--stream->waiting_count * sizeof(stream->waiting[0]));
	adapt_lag(stream, (uint32_t)frame->data.size);
	/* A viewer needs another decoder for another size. */
	if (stream->created && !may_resize(stream) &&
		(frame->width != stream->width || frame->height != stream->height))
		send_destroy(stream);
	if (!stream->created) {
		stream->width = frame->width;
		stream->height = frame->height;
		send_create(stream);
	}
	send_data(stream, frame);
	stream->frames++;
	stream->bytes += frame->data.size;
	server_stats_add(&streams->server->stats.frames, frame->data.size);
	streams->ops->lossy(streams->opaque, stream->surface_id, &stream->clip);
	if (stream_control_sent(&stream->control, frame->quality, true))
		stream->resized = true;
	sent(streams, frame->data.size + DATA_HEADER);
	encoded_frame_unref(frame);
}

/* Outside the share's callbacks: what the next frames are to be. */
static void update_wish(struct stream *stream)
{
	struct video_share *share = stream->owner->server->video_share;
	struct video_wish wish = make_wish(stream);

	if (stream->resized || !stream->member.track) {
		video_share_leave(share, &stream->member);
		stream->resized = false;
		if (video_share_join(share, &stream->member, stream->video, &wish) < 0)
			stream->owed = true;
	} else {
		video_share_rewish(share, &stream->member, &wish);
	}
}

static void pump_stream(struct stream *stream)
{
	struct display_streams *streams = stream->owner;

	if (!stream->video) {
		if (stream->created)
			send_destroy(stream);
		stream_free(stream);
		return;
	}
	if (stream->clip_changed && stream->created)
		send_clip(stream);
	while (stream->waiting_count && link_has_room(streams)) {
		send_frame(stream);
		update_wish(stream);
	}
	video_share_room(streams->server->video_share, &stream->member);
}

void display_streams_pump(struct display_streams *streams)
{
	struct stream *next;

	if (!streams)
		return;
	for (struct stream *s = streams->streams; s && link_is_up(streams->link); s = next) {
		next = s->next;
		pump_stream(s);
	}
}

/* ---- what the channel asks ---- */

static bool took(struct display_streams *streams)
{
	struct video *video = streams ? video_detector_took(streams->server->videos) : NULL;
	struct stream *stream = video ? find(streams, video) : NULL;

	if (!stream)
		return false;
	stream->owed = true;
	return true;
}

bool display_streams_take(struct display_streams *streams)
{
	return took(streams);
}

bool display_streams_take_dirty(
	struct display_streams *streams, uint32_t surface_id, const struct rect *area)
{
	return surface_id == DISPLAY_PRIMARY && !rect_empty(area) && took(streams);
}

uint32_t display_streams_backlog(const struct display_streams *streams)
{
	uint32_t backlog = 0;

	for (const struct stream *s = streams ? streams->streams : NULL; s; s = s->next)
		backlog += s->waiting_count + (s->member.awaits != 0) + (s->video == NULL);
	return backlog;
}

/* ---- what the viewer tells ---- */

/* How long before its time the last frame came. The clock is set back at once when frames come too
 * late, and forward when they have come much too early for a while. */
static void adapt_margin(struct stream *stream, const struct msg_stream_report *report)
{
	struct channel *main_channel = session_main(stream->owner->channel->session);
	int32_t margin = MAX(report->last_frame_delay, -1000);

	stream->early = !report->drops && margin > MARGIN_MAX_MS ? stream->early + 1 : 0;
	if (!main_channel)
		return;
	if (margin < MARGIN_MIN_MS || (report->drops && margin < MARGIN_MS)) {
		main_channel_lag_add(main_channel, MARGIN_MS - MIN(margin, MARGIN_MIN_MS));
	} else if (stream->early >= EARLY_REPORTS) {
		main_channel_lag_add(main_channel, (MARGIN_MS - margin) / 2);
		stream->early = 0;
	}
}

int display_streams_report(struct display_streams *streams, const uint8_t *body, size_t size)
{
	struct msg_stream_report report;
	struct stream *stream = streams->streams;

	if (!msg_stream_report_parse(&report, body, size))
		return -EPROTO;
	while (stream && stream->id != report.stream_id)
		stream = stream->next;
	if (!stream || !stream->video || !stream->created)
		return 0;
	/* No frames, all lost: it cannot decode this codec. */
	if (report.frames == 0 && report.drops == UINT32_MAX) {
		struct video *video = stream->video;

		log_info(SERVER_LOG, "the viewer cannot decode its video");
		streams->broken[stream->codec] = true;
		stream->owed = true;
		stream_end(stream);
		stream_begin(streams, video);
	} else if (report.unique_id == stream->report_id && stream->report_id) {
		stream_control_report(&stream->control, report.frames, report.drops);
		adapt_margin(stream, &report);
	}
	return 0;
}

int display_streams_prefer(struct display_streams *streams, const uint8_t *body, size_t size)
{
	struct msg_preferred_video_codecs msg;

	if (!msg_preferred_video_codecs_parse(&msg, body, size) || msg.codecs.size < msg.count)
		return -EPROTO;
	streams->preferred_count = MIN((uint32_t)msg.count, (uint32_t)CODECS_PREFERRED_MAX);
	memcpy(streams->preferred, msg.codecs.data, streams->preferred_count);
	/* Streams of another codec begin anew. */
	for (struct stream *s = streams->streams, *next; s; s = next) {
		struct video *video = s->video;

		next = s->next;
		if (!video || s->codec == choose_codec(streams))
			continue;
		s->owed = true;
		stream_end(s);
		stream_begin(streams, video);
	}
	return 0;
}

/* ---- the whole ---- */

void display_streams_destroy(struct display_streams *streams)
{
	if (!streams)
		return;
	while (streams->streams)
		stream_free(streams->streams);
	video_detector_unlisten(streams->server->videos, &streams->listener);
	free(streams);
}

int display_streams_create(struct display_streams **out, struct channel *channel, struct pace *pace,
	const struct display_streams_ops *ops, void *opaque)
{
	struct display_streams *streams = calloc(1, sizeof(*streams));

	if (!streams)
		return -ENOMEM;
	streams->listener.ops = &listener_ops;
	streams->channel = channel;
	streams->server = channel->session->server;
	streams->link = channel->link;
	streams->pace = pace;
	streams->ops = ops;
	streams->opaque = opaque;
	video_detector_listen(streams->server->videos, &streams->listener);
	*out = streams;
	return 0;
}

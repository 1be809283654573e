/* SPDX-License-Identifier: MIT */
/* The frames of a stream: decoded one after the other by a worker, shown when they are due. */
#include <errno.h>
#include <stdlib.h>

#include "channels/client/client_stream_internal.h"
#include "core/log.h"
#include "core/util.h"

enum { SHOW_NS = 100 * 1000 * 1000 }; /* at least so often, where decoding is slow */

/* One frame with a worker. It has the stream's decoder, and lives on when the stream goes. */
struct stream_job {
	struct client_stream *stream; /* NULL: it went */
	struct video_decoder *decoder;
	struct buf data;
	bool top_down;
	bool wanted; /* the picture, not only for the frames that build on it */
	struct image *image; /* NULL: it could not be decoded, or was not wanted */
	int err;
};

/* ---- frames ---- */

static void frame_free(struct stream_frame *frame)
{
	region_finish(&frame->shown);
	buf_finish(&frame->data);
	image_unref(frame->image);
	free(frame);
}

static void frame_drop(struct client_stream *stream, struct stream_frame **at)
{
	struct stream_frame *frame = *at;

	*at = frame->next;
	if (!*at)
		stream->end = at;
	stream->frames--;
	stream->ready -= frame->image != NULL;
	stream->streams->bytes -= frame->data.size;
	frame_free(frame);
}

void stream_clear(struct client_stream *stream)
{
	while (stream->first)
		frame_drop(stream, &stream->first);
}

static void frame_skip(struct client_stream *stream, struct stream_frame **at)
{
	if (region_empty(&(*at)->shown)) {
		stream->streams->hidden++;
	} else {
		stream->streams->dropped++;
		stream->report.drops++;
	}
	frame_drop(stream, at);
}

static struct stream_frame **first_encoded(struct client_stream *stream)
{
	struct stream_frame **at = &stream->first;

	while (*at && !(*at)->data.size)
		at = &(*at)->next;
	return at;
}

/* Makes room where frames come faster than they are decoded. */
static void limit_frames(struct client_stream *stream)
{
	struct stream_frame **at = first_encoded(stream);

	while (*at &&
		(stream->frames > STREAM_FRAMES_MAX || stream->streams->bytes > STREAM_BYTES_MAX))
		frame_skip(stream, at);
}

int stream_frame_add(struct client_stream *stream, uint32_t mm_time, uint32_t width,
	uint32_t height, const struct rect *dest, const uint8_t *data, size_t size)
{
	uint64_t now_ns = clock_monotonic_ns();
	struct stream_frame *frame = calloc(1, sizeof(*frame));

	if (!frame)
		return -ENOMEM;
	region_init_rect(&frame->shown, dest);
	if (buf_append(&frame->data, data, size) < 0) {
		frame_free(frame);
		return -ENOMEM;
	}
	frame->due_ns = stream_clock_frame(&stream->clock, mm_time, now_ns);
	frame->width = width;
	frame->height = height;
	frame->dest = *dest;
	if (stream->clipped)
		region_intersect(&frame->shown, &stream->clip);
	*stream->end = frame;
	stream->end = &frame->next;
	stream->frames++;
	stream->streams->bytes += size;
	limit_frames(stream);
	return 0;
}

/* ---- showing ---- */

static int make_draw(
	struct draw **out, const struct client_stream *stream, struct stream_frame *frame)
{
	uint32_t width = MIN(frame->width, frame->image->width);
	uint32_t height = MIN(frame->height, frame->image->height);
	int err = draw_create(out, DRAW_COPY, stream->surface_id, &frame->dest);

	if (err < 0)
		return err;
	(*out)->clipped = true;
	region_copy(&(*out)->clip, &frame->shown);
	(*out)->copy.source.image = image_ref(frame->image);
	/* Encoders may round a size up. */
	(*out)->copy.area = rect_make(0, 0, (int32_t)width, (int32_t)height);
	(*out)->copy.scale = SCALE_INTERPOLATE;
	return 0;
}

static void frame_show(struct client_stream *stream, struct stream_frame *frame)
{
	struct display_sink *out = stream->streams->config.out;
	struct draw *draw;

	if (region_empty(&frame->shown)) {
		stream->streams->hidden++;
		return;
	}
	if (make_draw(&draw, stream, frame) < 0)
		return;
	stream->streams->shown++;
	stream->shown_ns = clock_monotonic_ns();
	out->ops->draw(out, draw);
	draw_unref(draw);
}

/* Shows the newest frame that is decoded and due at `now_ns`; those before it are late. */
static void show_due(struct client_stream *stream, uint64_t now_ns)
{
	struct stream_frame *newest = NULL;

	for (struct stream_frame *f = stream->first; f; f = f->next)
		if (f->image && f->due_ns <= now_ns)
			newest = f;
	if (!newest)
		return;
	while (stream->first != newest)
		frame_skip(stream, &stream->first);
	frame_show(stream, newest);
	frame_drop(stream, &stream->first);
}

void stream_flush(struct client_stream *stream)
{
	show_due(stream, UINT64_MAX);
}

/* ---- decoding ---- */

static int decode(struct stream_job *job)
{
	uint32_t width, height;
	ptrdiff_t stride;
	uint8_t *top;
	int err = video_decoder_frame(job->decoder, buf_bytes(&job->data), job->data.size,
		STREAM_PIXELS_MAX, &width, &height);

	if (err < 0 || !job->wanted)
		return err;
	err = image_create(&job->image, IMAGE_XRGB8888, width, height);
	if (err < 0)
		return err;
	stride = (ptrdiff_t)job->image->stride;
	top = job->image->data;
	if (!job->top_down) {
		top += stride * (ptrdiff_t)(height - 1);
		stride = -stride;
	}
	err = video_decoder_read(job->decoder, top, stride);
	if (err < 0) {
		image_unref(job->image);
		job->image = NULL;
	}
	return err;
}

static void job_work(void *opaque)
{
	struct stream_job *job = opaque;

	job->err = decode(job);
	buf_finish(&job->data);
}

static void job_free(struct stream_job *job)
{
	video_decoder_destroy(job->decoder);
	image_unref(job->image);
	buf_finish(&job->data);
	free(job);
}

/* The frame that was with the worker is the first one that has neither bytes nor a picture. */
static struct stream_frame **frame_of_job(struct client_stream *stream)
{
	struct stream_frame **at = &stream->first;

	while (*at && ((*at)->image || (*at)->data.size))
		at = &(*at)->next;
	return at;
}

static void take_result(struct client_stream *stream, struct stream_job *job)
{
	struct stream_frame **at = frame_of_job(stream);
	uint64_t now_ns = clock_monotonic_ns();

	if (job->err < 0) {
		stream->streams->failed++;
		if (++stream->failures == 1)
			log_debug("spice", "stream %u: a frame cannot be decoded", stream->id);
	} else {
		stream->failures = 0;
	}
	if (!*at)
		return; /* dropped in the meantime */
	if (!job->image) {
		if (job->err < 0)
			frame_drop(stream, at);
		else
			frame_skip(stream, at);
		return;
	}
	(*at)->image = job->image;
	job->image = NULL;
	stream->ready++;
	if (now_ns > (*at)->due_ns && !stream->ended)
		stream_clock_late(&stream->clock, now_ns - (*at)->due_ns);
}

static void job_done(void *opaque)
{
	struct stream_job *job = opaque;
	struct client_stream *stream = job->stream;

	if (!stream) {
		job_free(job);
		return;
	}
	stream->job = NULL;
	stream->decoder = job->decoder;
	job->decoder = NULL;
	take_result(stream, job);
	job_free(job);
	stream_play(stream);
}

/* Whether a frame after this one is due, or this one is covered: nobody will see it. Where decoding
 * cannot keep up, some are shown all the same. */
static bool is_unwanted(
	const struct client_stream *stream, const struct stream_frame *frame, uint64_t now_ns)
{
	if (region_empty(&frame->shown))
		return true;
	return frame->next && frame->next->due_ns <= now_ns &&
		(video_codec_frames_alone(stream->codec) || now_ns - stream->shown_ns < SHOW_NS);
}

static void decode_next(struct client_stream *stream)
{
	struct stream_frame **at = first_encoded(stream);
	uint64_t now_ns = clock_monotonic_ns();
	struct stream_job *job;

	if (stream->job || stream->ready >= STREAM_AHEAD_MAX)
		return;
	while (*at && video_codec_frames_alone(stream->codec) && is_unwanted(stream, *at, now_ns))
		frame_skip(stream, at);
	if (!*at)
		return;
	job = calloc(1, sizeof(*job));
	if (!job)
		return; /* the next frame tries again */
	*job = (struct stream_job){ .stream = stream,
		.decoder = stream->decoder,
		.data = (*at)->data,
		.top_down = stream->top_down,
		.wanted = !is_unwanted(stream, *at, now_ns) };
	stream->streams->bytes -= (*at)->data.size;
	(*at)->data = (struct buf){ 0 };
	stream->job = job;
	stream->decoder = NULL;
	if (pool_submit(stream->streams->pool, stream->streams->config.loop, job_work, job_done,
		    job) < 0) {
		job_work(job);
		stream->job = NULL;
		stream->decoder = job->decoder;
		job->decoder = NULL;
		take_result(stream, job);
		job_free(job);
	}
}

/* ---- playing ---- */

static void arm(struct client_stream *stream, uint64_t now_ns)
{
	for (struct stream_frame *f = stream->first; f; f = f->next) {
		if (f->image) {
			loop_timer_arm(stream->timer, f->due_ns > now_ns ? f->due_ns - now_ns : 0);
			return;
		}
	}
	loop_timer_disarm(stream->timer);
}

void stream_play(struct client_stream *stream)
{
	uint64_t now_ns = clock_monotonic_ns();

	show_due(stream, now_ns);
	decode_next(stream);
	if (stream->ended && !stream->first) {
		stream_free(stream);
		return;
	}
	arm(stream, now_ns);
}

void stream_on_timer(void *opaque)
{
	stream_play(opaque);
}

void stream_end(struct client_stream *stream)
{
	stream->ended = true;
	for (struct stream_frame *f = stream->first; f; f = f->next)
		f->due_ns = 0;
	stream_play(stream);
}

void stream_free(struct client_stream *stream)
{
	struct client_streams *streams = stream->streams;

	for (struct client_stream **at = &streams->all; *at; at = &(*at)->next) {
		if (*at == stream) {
			*at = stream->next;
			break;
		}
	}
	if (streams->by_id[stream->id] == stream)
		streams->by_id[stream->id] = NULL;
	if (stream->job)
		stream->job->stream = NULL;
	stream_clear(stream);
	if (stream->timer)
		loop_timer_remove(stream->timer);
	video_decoder_destroy(stream->decoder);
	region_finish(&stream->clip);
	free(stream);
}

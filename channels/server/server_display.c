/* SPDX-License-Identifier: MIT */
/* The display channel: brings a viewer's queue to its socket, at the pace the viewer takes it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "channels/server/display_encode.h"
#include "channels/server/display_queue.h"
#include "channels/server/server_internal.h"

enum {
	INLINE_BYTES = 64 << 10, /* pixels encoded at once, on the loop's thread */
	PIECE_BYTES = 1 << 20, /* dirty pixels sent in one message */
	PICTURE_BYTES = 40 << 20, /* a first picture that is still sent whole: 4K is 33 MB */
	MESSAGES_PER_TURN = 256, /* before others of the loop get their turn */
};

/* Something large that a worker encodes; the viewer's later messages wait for it. */
struct encode_job {
	struct display_channel *display; /* NULL: the viewer is gone */
	struct draw *draw; /* this, or the picture below */
	struct image *image;
	uint32_t surface_id;
	int32_t x, y;
	bool lz4;
	uint16_t type;
	struct buf body;
	int ret;
};

struct display_channel {
	struct channel base;
	struct loop_idle *idle;
	struct encode_job *job; /* under way */
	bool started; /* the viewer's INIT came: the queue counts */
	bool want_mark; /* a primary surface appeared, its picture was not sent */
	bool lz4;
	struct display_queue queue;
};

static struct display_channel *of_channel(struct channel *channel)
{
	return container_of(channel, struct display_channel, base);
}

uint32_t display_channel_caps(void)
{
	return 1u << SPICE_DISPLAY_CAP_MONITORS_CONFIG | 1u << SPICE_DISPLAY_CAP_PREF_COMPRESSION;
}

/* ---- encoding ---- */

static void job_free(struct encode_job *job)
{
	draw_unref(job->draw);
	image_unref(job->image);
	buf_finish(&job->body);
	free(job);
}

static void job_work(void *opaque)
{
	struct encode_job *job = opaque;

	if (job->draw)
		job->ret = display_encode_draw(&job->body, &job->type, job->draw, job->lz4);
	else
		job->ret = display_encode_pixels(&job->body, &job->type, job->surface_id, job->x,
			job->y, job->image, job->lz4);
}

static void job_send(struct encode_job *job)
{
	struct display_channel *display = job->display;

	if (job->ret == 0) {
		link_send(display->base.link, job->type, &job->body);
	} else {
		struct rect area = job->draw ? display_queue_draw_area(job->draw)
					     : rect_make(job->x, job->y, (int32_t)job->image->width,
						       (int32_t)job->image->height);

		/* Out of memory: the pixels are owed. */
		display_queue_dirty(&display->queue, job->surface_id, &area);
	}
	if (display->want_mark && job->surface_id == DISPLAY_PRIMARY && !job->draw) {
		display->want_mark = false;
		link_send(display->base.link, SPICE_MSG_DISPLAY_MARK, NULL);
	}
}

static void job_done(void *opaque)
{
	struct encode_job *job = opaque;
	struct display_channel *display = job->display;

	if (display) {
		display->job = NULL;
		job_send(job);
		loop_idle_schedule(display->idle);
		link_flush(display->base.link);
	}
	job_free(job);
}

/* Encodes and sends: at once what is small, by a worker what is not. Takes the job. */
static void job_start(struct encode_job *job, size_t cost)
{
	struct spice_server *server = job->display->base.session->server;

	job->lz4 = job->display->lz4;
	if (cost > INLINE_BYTES) {
		job->display->job = job;
		if (pool_submit(
			    server->config.pool, server->config.loop, job_work, job_done, job) == 0)
			return;
		job->display->job = NULL;
	}
	job_work(job);
	job_send(job);
	job_free(job);
}

/* ---- the queue's items ---- */

static struct encode_job *job_create(struct display_channel *display, uint32_t surface_id)
{
	struct encode_job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->display = display;
	job->surface_id = surface_id;
	return job;
}

static void send_monitors(struct display_channel *display)
{
	struct spice_server *server = display->base.session->server;
	struct surface *primary = server->surfaces[DISPLAY_PRIMARY].surface;
	struct msg_monitors_config msg = { .list = { .max_allowed = 1 } };

	if (!primary || !link_peer_has_cap(display->base.link, SPICE_DISPLAY_CAP_MONITORS_CONFIG))
		return;
	for (uint32_t i = 0; i < server->head_count; i++) {
		const struct rect *head = &server->heads[i];

		msg.list.items[i] = (struct proto_head){
			.id = i,
			.width = (uint32_t)rect_width(head),
			.height = (uint32_t)rect_height(head),
			.x = (uint32_t)head->left,
			.y = (uint32_t)head->top,
		};
	}
	msg.list.count = (uint16_t)server->head_count;
	if (!server->head_count) {
		msg.list.count = 1;
		msg.list.items[0].width = primary->width;
		msg.list.items[0].height = primary->height;
	}
	msg.list.max_allowed = msg.list.count;
	link_send_monitors_config(display->base.link, SPICE_MSG_DISPLAY_MONITORS_CONFIG, &msg);
}

static void send_create(struct display_channel *display, const struct queue_item *item)
{
	struct msg_surface_create msg = {
		.surface_id = item->surface_id,
		.width = item->width,
		.height = item->height,
		.format = proto_surface_format(item->format),
		.flags = item->surface_id == DISPLAY_PRIMARY ? SPICE_SURFACE_FLAGS_PRIMARY : 0,
	};

	link_send_surface_create(display->base.link, SPICE_MSG_DISPLAY_SURFACE_CREATE, &msg);
	if (item->surface_id == DISPLAY_PRIMARY) {
		send_monitors(display);
		display->want_mark = true;
	}
}

static void send_item(struct display_channel *display, struct queue_item *item)
{
	struct msg_surface_destroy destroy = { .surface_id = item->surface_id };
	struct encode_job *job;

	switch (item->kind) {
	case QUEUE_CREATE: send_create(display, item); break;
	case QUEUE_DESTROY:
		link_send_surface_destroy(
			display->base.link, SPICE_MSG_DISPLAY_SURFACE_DESTROY, &destroy);
		break;
	case QUEUE_DRAW:
		job = job_create(display, item->surface_id);
		if (job) {
			job->draw = draw_ref(item->draw);
			job_start(job, display_encode_cost(item->draw));
		} else {
			struct rect area = display_queue_draw_area(item->draw);

			display_queue_dirty(&display->queue, item->surface_id, &area);
		}
		break;
	}
}

/* Sends some of what is dirty from the pixels as they are now; false: nothing is. */
static bool send_dirty(struct display_channel *display)
{
	struct spice_server *server = display->base.session->server;
	struct encode_job *job;
	struct rect area;
	uint32_t id;

	if (!display_queue_take_dirty(&display->queue, PIECE_BYTES, PICTURE_BYTES, &id, &area))
		return false;
	job = job_create(display, id);
	if (!job || display_snapshot(server->config.display, id, &area, &job->image) < 0) {
		/* No memory now. It is lost to this viewer until something is drawn there. */
		free(job);
		return true;
	}
	job->x = area.left;
	job->y = area.top;
	job_start(job, (size_t)job->image->stride * job->image->height);
	return true;
}

static void pump(struct display_channel *display)
{
	struct link *link = display->base.link;
	int budget = MESSAGES_PER_TURN;

	if (!display->started)
		return;
	while (link_is_up(link) && !display->job && !link_congested(link)) {
		struct queue_item *item;

		if (budget-- == 0) {
			loop_idle_schedule(display->idle);
			break;
		}
		item = display_queue_pop(&display->queue);
		if (item) {
			send_item(display, item);
			queue_item_free(item);
		} else if (!send_dirty(display)) {
			break;
		}
	}
	link_flush(link);
}

static void on_idle(void *opaque)
{
	pump(opaque);
}

/* ---- what the hub tells ---- */

static void wake(struct display_channel *display)
{
	/* While the viewer lags, `drained` wakes it; while a worker encodes, the end of that. */
	if (!display->job)
		loop_idle_schedule(display->idle);
}

void display_channel_surface_create(struct channel *channel, uint32_t id)
{
	struct display_channel *display = of_channel(channel);

	if (!display->started)
		return;
	display_queue_surface_create(&display->queue, id);
	wake(display);
}

void display_channel_surface_destroy(struct channel *channel, uint32_t id)
{
	struct display_channel *display = of_channel(channel);

	if (!display->started)
		return;
	display_queue_surface_destroy(&display->queue, id);
	wake(display);
}

void display_channel_draw(struct channel *channel, struct draw *draw)
{
	struct display_channel *display = of_channel(channel);

	if (!display->started)
		return;
	display_queue_draw(&display->queue, draw);
	wake(display);
}

void display_channel_dirty(struct channel *channel, uint32_t id, const struct rect *area)
{
	struct display_channel *display = of_channel(channel);

	if (!display->started)
		return;
	display_queue_dirty(&display->queue, id, area);
	wake(display);
}

void display_channel_monitors(struct channel *channel)
{
	struct display_channel *display = of_channel(channel);

	/* Before the viewer has the primary surface they would mean nothing; they come with it. */
	if (display->started && display->queue.views[DISPLAY_PRIMARY].sent)
		send_monitors(display);
}

/* ---- what the viewer tells ---- */

static int on_init(struct display_channel *display, const uint8_t *body, size_t size)
{
	struct msg_display_init init;

	if (!msg_display_init_parse(&init, body, size) || init.pixmap_cache_size < 0 ||
		init.glz_window_size < 0 || display->started)
		return -EPROTO;
	display->started = true;
	display_queue_init(&display->queue, display->base.session->server->surfaces);
	link_start_acks(display->base.link);
	pump(display);
	return 0;
}

static int on_preferred_compression(
	struct display_channel *display, const uint8_t *body, size_t size)
{
	struct msg_preferred_compression msg;

	if (!msg_preferred_compression_parse(&msg, body, size))
		return -EPROTO;
	display->lz4 = msg.compression != SPICE_IMAGE_COMPRESSION_OFF &&
		link_peer_has_cap(display->base.link, SPICE_DISPLAY_CAP_LZ4_COMPRESSION);
	return 0;
}

static int display_message(struct channel *channel, uint16_t type, const uint8_t *body, size_t size)
{
	struct display_channel *display = of_channel(channel);
	struct msg_stream_report report;
	struct msg_preferred_video_codecs codecs;

	switch (type) {
	case SPICE_MSGC_DISPLAY_INIT: return on_init(display, body, size);
	case SPICE_MSGC_DISPLAY_PREFERRED_COMPRESSION:
		return on_preferred_compression(display, body, size);
	case SPICE_MSGC_DISPLAY_STREAM_REPORT:
		return msg_stream_report_parse(&report, body, size) ? 0 : -EPROTO;
	case SPICE_MSGC_DISPLAY_PREFERRED_VIDEO_CODEC_TYPE:
		return msg_preferred_video_codecs_parse(&codecs, body, size) ? 0 : -EPROTO;
	default: return 0;
	}
}

static void display_start(struct channel *channel)
{
	/* The viewer speaks first: INIT. */
	of_channel(channel)->lz4 =
		link_peer_has_cap(channel->link, SPICE_DISPLAY_CAP_LZ4_COMPRESSION);
}

static void display_drained(struct channel *channel)
{
	pump(of_channel(channel));
}

static uint32_t display_backlog(struct channel *channel)
{
	struct display_channel *display = of_channel(channel);
	uint32_t dirty = 0;

	for (uint32_t id = 0; display->started && id < DISPLAY_MAX_SURFACES; id++)
		if (display->queue.views[id].created &&
			!region_empty(&display->queue.views[id].dirty))
			dirty += SERVER_STATS_OWED;
	return display->queue.items + dirty + (display->job ? 1 : 0);
}

static void display_destroy_channel(struct channel *channel)
{
	struct display_channel *display = of_channel(channel);

	if (display->job)
		display->job->display = NULL;
	if (display->started)
		display_queue_finish(&display->queue);
	loop_idle_remove(display->idle);
	free(display);
}

static const struct channel_ops display_ops = {
	.start = display_start,
	.message = display_message,
	.drained = display_drained,
	.backlog = display_backlog,
	.destroy = display_destroy_channel,
};

int display_channel_create(struct channel **out, struct session *session)
{
	struct display_channel *display = calloc(1, sizeof(*display));

	if (!display)
		return -ENOMEM;
	display->idle = loop_idle_add(session->server->config.loop, on_idle, display);
	if (!display->idle) {
		free(display);
		return -ENOMEM;
	}
	channel_init(&display->base, &display_ops, session, SPICE_CHANNEL_DISPLAY);
	*out = &display->base;
	return 0;
}

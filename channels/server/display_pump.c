/* SPDX-License-Identifier: MIT */
/* The way from a viewer's queue to its link. */
#include "channels/server/display_pump.h"

#include <errno.h>

#include "channels/server/capture.h"

enum {
	PIECE_BYTES = 512 << 10, /* pixels in one message, at four bytes each: all CPUs get some */
	PIECE_BYTES_LEAST = 16 << 10,
	PICTURE_BYTES = 40 << 20, /* a first picture that is still sent whole: 4K is 33 MB */
	NEAR_US = 10 * 1000, /* a shorter round trip, and nothing is slow until it shows */
	SLOW_RATE = 4 << 20, /* bytes a second: below, pieces take no longer than this: */
	PIECE_TIME_PART = 40, /* of a second */
	PACKED = 4, /* how much smaller pixels get, about */
	MESSAGE_BYTES = 100, /* without pictures, about */
	MESSAGES_PER_TURN = 256, /* before others of the loop get their turn */
	ITEMS_IN_A_ROW = 16, /* before pixels that wait get their turn */
};

/* ---- what is in the making ---- */

static struct pump_job *job_at(struct display_pump *pump, uint32_t i)
{
	return &pump->jobs[(pump->first + i) % PUMP_JOBS_MAX];
}

static void job_finish(struct pump_job *job)
{
	encoding_finish(&job->encoding);
	queue_item_free(job->item);
	job->item = NULL;
}

/* An inexact picture was sent before the jobs from number `from` on: these, and what is queued,
 * will find it. */
static void tell_lossy(
	struct display_pump *pump, uint32_t id, const struct region *region, uint32_t from)
{
	display_queue_lossy(pump->queue, id, region);
	for (uint32_t i = from; i < pump->count; i++)
		display_queue_spread(pump->queue, job_at(pump, i)->item);
	for (const struct queue_item *item = pump->queue->first; item; item = item->next)
		display_queue_spread(pump->queue, item);
}

void display_pump_lossy(struct display_pump *pump, uint32_t id, const struct region *region)
{
	tell_lossy(pump, id, region, 0);
}

/* The primary surface may be shown. */
static void send_mark(struct display_pump *pump)
{
	if (pump->want_mark)
		link_send(pump->channel->link, SPICE_MSG_DISPLAY_MARK, NULL);
	pump->want_mark = false;
}

static void await_picture(struct display_pump *pump, const struct queue_item *item)
{
	struct rect all = { 0, 0, (int32_t)item->width, (int32_t)item->height };

	pump->want_mark = true;
	region_clear(&pump->unseen);
	region_add_rect(&pump->unseen, &all);
}

static void send_draw(struct display_pump *pump, struct pump_job *job)
{
	struct spice_server *server = pump->channel->session->server;
	struct queue_item *item = job->item;
	struct buf body = { 0 };
	uint16_t type;
	size_t bytes;

	if (job->failed || encoding_pack(&job->encoding, &body, &type) < 0) {
		display_queue_owe(pump->queue, item->surface_id, &item->region);
		return;
	}
	bytes = body.size;
	link_send(pump->channel->link, type, &body);
	buf_finish(&body);
	pace_sent(pump->pace, bytes);
	if (job->pixels)
		server->stats.draws_as_pixels++;
	else
		server->stats.draws_as_commands++;
	if (encoding_lossy(&job->encoding))
		tell_lossy(pump, item->surface_id, &item->region, 1);
	if (item->surface_id != DISPLAY_PRIMARY || !pump->want_mark)
		return;
	if (job->pixels || draw_is_opaque(item->draw))
		region_subtract(&pump->unseen, &item->region);
	/* What is begun is owed no more, but not sent: this job has to be the last. */
	if (region_empty(&pump->unseen) ||
		(pump->count == 1 && region_empty(&pump->queue->views[DISPLAY_PRIMARY].owed)))
		send_mark(pump);
}

static void send_ready(struct display_pump *pump)
{
	while (pump->count > 0) {
		struct pump_job *job = job_at(pump, 0);

		if (!encoding_ready(&job->encoding))
			return;
		if (job->item->kind == QUEUE_DRAW) {
			send_draw(pump, job);
		} else {
			pump->send_surface(pump->channel, job->item);
			if (job->item->kind == QUEUE_CREATE &&
				job->item->surface_id == DISPLAY_PRIMARY)
				await_picture(pump, job->item);
		}
		pump->begun_bytes -= job->bytes;
		job_finish(job);
		pump->first = (pump->first + 1) % PUMP_JOBS_MAX;
		pump->count--;
	}
}

static void on_picture_ready(void *opaque)
{
	struct pump_job *job = opaque;

	loop_idle_schedule(job->pump->idle);
}

/* Takes the item. */
static void begin(struct display_pump *pump, struct queue_item *item, bool pixels, bool exactly)
{
	struct pump_job *job = job_at(pump, pump->count++);
	struct rect extents = region_extents(&item->region);
	const struct rect *frame = rect_empty(&item->frame) ? NULL : &item->frame;
	uint32_t flags = 0;

	*job = (struct pump_job){ .pump = pump, .item = item, .pixels = pixels };
	job->bytes = MESSAGE_BYTES;
	if (item->kind == QUEUE_DRAW) {
		if (draw_memory(item->draw))
			job->bytes += (size_t)rect_width(&extents) * (size_t)rect_height(&extents) *
				4 / PACKED;
		if (!exactly && item->draw->type == DRAW_COPY && draw_is_opaque(item->draw))
			flags = PICTURE_MAY_LOSE;
		job->failed = encoding_begin(&job->encoding, pump->images, item->draw,
				      &item->region, frame,
				      pump->queue->views[item->surface_id].sent_format, flags,
				      on_picture_ready, job) < 0;
	}
	pump->begun_bytes += job->bytes;
}

/* ---- what is next ---- */

/* How many pixels' bytes go into one message. */
static size_t piece_bytes(struct display_pump *pump)
{
	uint64_t rate = pace_rate(pump->pace);
	uint32_t rtt_us = pace_rtt_us(pump->pace);
	size_t piece = PIECE_BYTES;

	/* Of a link that may be slow no more than is sent at once anyway. */
	if (!rate && rtt_us > NEAR_US)
		piece = pace_room(pump->pace) / 2 * PACKED;
	if (rate > 0 && rate < SLOW_RATE)
		piece = (size_t)rate / PIECE_TIME_PART * PACKED;
	return MIN(MAX(piece, (size_t)PIECE_BYTES_LEAST), (size_t)PIECE_BYTES);
}

/* On a link where pictures go in pieces, what cannot be cut is no larger. */
static size_t whole_bytes(struct display_pump *pump)
{
	size_t piece = piece_bytes(pump);

	return piece < PIECE_BYTES ? piece : QUEUE_DRAW_BYTES_MAX;
}

/* Whether the viewer has what the drawing shows; as its picture will be asked for. */
static bool viewer_has(void *opaque, const struct queue_item *item, const struct image *image)
{
	struct display_pump *pump = opaque;
	bool blends = item->draw->type == DRAW_ALPHA_BLEND;

	return image_sender_has(pump->images, image,
		pump->queue->views[item->surface_id].sent_format, blends ? 0 : PICTURE_COPIED);
}

static struct queue_item *captured_item(
	struct display_pump *pump, uint32_t id, const struct rect *area)
{
	struct spice_server *server = pump->channel->session->server;
	struct queue_item *item = queue_item_create(QUEUE_DRAW, id);
	struct image *image = NULL;

	if (item && capture_share_get(server->captures, id, area, &image) == 0 &&
		draw_create(&item->draw, DRAW_COPY, id, area) == 0) {
		item->draw->copy.source.image = image_ref(image);
		item->draw->copy.area = (struct rect){ 0, 0, rect_width(area), rect_height(area) };
		item->draw->copy.scale = SCALE_NEAREST;
		region_add_rect(&item->region, area);
	} else {
		queue_item_free(item);
		item = NULL;
	}
	image_unref(image);
	return item;
}

/* Begins some of what is dirty, from the pixels as they are now; false: nothing is. */
static bool begin_dirty(struct display_pump *pump, bool refine)
{
	size_t piece = piece_bytes(pump);
	size_t first = piece < PIECE_BYTES ? piece : (size_t)PICTURE_BYTES;
	struct queue_item *item;
	struct rect area;
	bool refined;
	uint32_t id;

	if (!display_queue_take_dirty(pump->queue, piece, first, refine, &id, &area, &refined))
		return false;
	pump->items_in_a_row = 0;
	item = captured_item(pump, id, &area);
	/* Without memory it is lost to this viewer until something is drawn there. */
	if (item)
		begin(pump, item, true, refined);
	return true;
}

static bool begin_next(struct display_pump *pump)
{
	struct queue_parts parts = {
		.max_bytes = piece_bytes(pump), .has = viewer_has, .opaque = pump
	};
	struct queue_item *item;

	parts.kept_too = parts.max_bytes < PIECE_BYTES;
	if (pump->items_in_a_row >= ITEMS_IN_A_ROW && begin_dirty(pump, false))
		return true;
	item = display_queue_pop(pump->queue, &parts);
	if (item) {
		pump->items_in_a_row++;
		begin(pump, item, false, false);
		return true;
	}
	return begin_dirty(pump, false) ||
		(pace_spare(pump->pace) > pump->begun_bytes && begin_dirty(pump, true));
}

static bool has_room(struct display_pump *pump)
{
	struct link *link = pump->channel->link;

	return link_is_up(link) && pump->count < PUMP_JOBS_MAX && !link_congested(link) &&
		(pump->begun_bytes == 0 || pace_room(pump->pace) > pump->begun_bytes) &&
		pace_room(pump->pace) > 0;
}

static void watch_rest(struct display_pump *pump)
{
	if (display_queue_restless(pump->queue) && !loop_timer_armed(pump->rest))
		loop_timer_arm(pump->rest, (uint64_t)QUEUE_REST_MS * 1000000);
}

void display_pump_run(struct display_pump *pump)
{
	int budget = MESSAGES_PER_TURN;

	if (pump->running)
		return;
	pump->running = true;
	if (pump->streams && link_is_up(pump->channel->link))
		display_streams_pump(pump->streams);
	send_ready(pump);
	while (has_room(pump)) {
		if (budget-- == 0) {
			loop_idle_schedule(pump->idle);
			break;
		}
		if (!begin_next(pump))
			break;
		send_ready(pump);
	}
	if (pump->count == 0 && display_queue_backlog(pump->queue) == 0)
		send_mark(pump);
	pump->queue->whole_bytes = whole_bytes(pump);
	watch_rest(pump);
	link_flush(pump->channel->link);
	pump->running = false;
}

static void on_idle(void *opaque)
{
	display_pump_run(opaque);
}

static void on_rest(void *opaque)
{
	struct display_pump *pump = opaque;

	display_queue_rest(pump->queue);
	display_pump_run(pump);
}

void display_pump_wake(struct display_pump *pump)
{
	loop_idle_schedule(pump->idle);
}

uint32_t display_pump_backlog(const struct display_pump *pump)
{
	uint32_t backlog = pump->count + display_queue_backlog(pump->queue);

	return pump->streams ? backlog + display_streams_backlog(pump->streams) : backlog;
}

int display_pump_init(struct display_pump *pump)
{
	struct loop *loop = pump->channel->session->server->config.loop;

	pump->idle = loop_idle_add(loop, on_idle, pump);
	pump->rest = loop_timer_add(loop, on_rest, pump);
	region_init(&pump->unseen);
	return pump->idle && pump->rest ? 0 : -ENOMEM;
}

void display_pump_finish(struct display_pump *pump)
{
	for (uint32_t i = 0; i < pump->count; i++)
		job_finish(job_at(pump, i));
	pump->count = 0;
	if (pump->idle)
		loop_idle_remove(pump->idle);
	if (pump->rest)
		loop_timer_remove(pump->rest);
	pump->idle = NULL;
	pump->rest = NULL;
	region_finish(&pump->unseen);
	region_init(&pump->unseen);
}

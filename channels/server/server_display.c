/* SPDX-License-Identifier: MIT */
/* The display channel of one viewer: its surfaces, what it tells, and who brings it what is
 * drawn. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "channels/server/display_pump.h"
#include "channels/server/server_internal.h"

struct display_channel {
	struct channel base;
	uint8_t preferred; /* PREFERRED_COMPRESSION before INIT */
	bool started; /* the viewer's INIT came: what follows counts */
	struct display_queue queue;
	struct image_sender images;
	struct pace pace;
	struct display_streams *streams;
	struct display_pump pump;
};

static struct display_channel *of_channel(struct channel *channel)
{
	return container_of(channel, struct display_channel, base);
}

uint32_t display_channel_caps(void)
{
	return 1u << SPICE_DISPLAY_CAP_MONITORS_CONFIG | 1u << SPICE_DISPLAY_CAP_PREF_COMPRESSION |
		1u << SPICE_DISPLAY_CAP_STREAM_REPORT |
		1u << SPICE_DISPLAY_CAP_PREF_VIDEO_CODEC_TYPE;
}

/* ---- surfaces ---- */

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
	if (item->surface_id == DISPLAY_PRIMARY)
		send_monitors(display);
}

static void send_surface(struct channel *channel, const struct queue_item *item)
{
	struct msg_surface_destroy destroy = { .surface_id = item->surface_id };

	if (item->kind == QUEUE_CREATE)
		send_create(of_channel(channel), item);
	else
		link_send_surface_destroy(
			channel->link, SPICE_MSG_DISPLAY_SURFACE_DESTROY, &destroy);
}

/* ---- what the hub tells ---- */

void display_channel_surface_create(struct channel *channel, uint32_t id)
{
	struct display_channel *display = of_channel(channel);

	if (!display->started)
		return;
	display_queue_surface_create(&display->queue, id);
	display_pump_wake(&display->pump);
}

void display_channel_surface_destroy(struct channel *channel, uint32_t id)
{
	struct display_channel *display = of_channel(channel);

	if (!display->started)
		return;
	display_queue_surface_destroy(&display->queue, id);
	display_pump_wake(&display->pump);
}

void display_channel_draw(struct channel *channel, struct draw *draw)
{
	struct display_channel *display = of_channel(channel);

	if (!display->started)
		return;
	if (display_streams_take(display->streams))
		display_queue_streamed(&display->queue, draw);
	else
		display_queue_draw(&display->queue, draw);
	display_pump_wake(&display->pump);
}

void display_channel_dirty(struct channel *channel, uint32_t id, const struct rect *area)
{
	struct display_channel *display = of_channel(channel);

	if (!display->started)
		return;
	if (display_streams_take_dirty(display->streams, id, area))
		display_queue_streamed_area(&display->queue, id, area);
	else
		display_queue_dirty(&display->queue, id, area);
	display_pump_wake(&display->pump);
}

void display_channel_monitors(struct channel *channel)
{
	struct display_channel *display = of_channel(channel);

	/* Before the viewer has the primary surface they would mean nothing; they come with it. */
	if (display->started && display->queue.views[DISPLAY_PRIMARY].sent)
		send_monitors(display);
}

/* ---- what the viewer tells ---- */

static struct draw_abilities abilities_of(struct link *link, const struct msg_display_init *init)
{
	struct draw_abilities abilities = {
		.composite = link_peer_has_cap(link, SPICE_DISPLAY_CAP_COMPOSITE),
		.a8 = link_peer_has_cap(link, SPICE_DISPLAY_CAP_A8_SURFACE),
	};

	/* Browsers, and those who say that they cannot keep anything. */
	abilities.weak = init->pixmap_cache_size == 0 ||
		(!abilities.composite && !abilities.a8 &&
			!link_peer_has_cap(link, SPICE_DISPLAY_CAP_LZ4_COMPRESSION));
	return abilities;
}

static void on_room(void *opaque)
{
	struct display_channel *display = opaque;

	display_pump_run(&display->pump);
}

/* ---- what its streams tell ---- */

static void on_streams_wake(void *opaque)
{
	struct display_channel *display = opaque;

	display_pump_wake(&display->pump);
}

static bool on_streams_has_surface(void *opaque, uint32_t id)
{
	struct display_channel *display = opaque;
	const struct server_surface *now = &display->base.session->server->surfaces[id];

	return now->surface && display->queue.views[id].sent == now->generation;
}

static void on_streams_lossy(void *opaque, uint32_t id, const struct region *area)
{
	struct display_channel *display = opaque;

	display_pump_lossy(&display->pump, id, area);
}

static void on_streams_dirty(void *opaque, uint32_t id, const struct rect *area)
{
	struct display_channel *display = opaque;

	display_queue_dirty(&display->queue, id, area);
	display_pump_wake(&display->pump);
}

static const struct display_streams_ops streams_ops = {
	.wake = on_streams_wake,
	.has_surface = on_streams_has_surface,
	.lossy = on_streams_lossy,
	.dirty = on_streams_dirty,
};

static void learn_from_other_links(struct display_channel *display)
{
	for (struct channel *c = display->base.session->channels; c; c = c->next)
		if (c->link)
			pace_answered_within(&display->pace, link_answer_ns(c->link));
}

static int start(struct display_channel *display, const struct msg_display_init *init)
{
	struct spice_server *server = display->base.session->server;
	struct draw_abilities abilities = abilities_of(display->base.link, init);
	int ret;

	display->pump = (struct display_pump){
		.channel = &display->base,
		.queue = &display->queue,
		.images = &display->images,
		.pace = &display->pace,
		.send_surface = send_surface,
	};
	ret = display_pump_init(&display->pump);
	if (ret == 0)
		ret = pace_init(
			&display->pace, server->config.loop, display->base.link, on_room, display);
	if (ret == 0)
		learn_from_other_links(display);
	if (ret == 0)
		ret = image_sender_init(
			&display->images, server, display->base.link, init, &display->pace);
	if (ret == 0)
		ret = display_queue_init(&display->queue, server->surfaces, &abilities);
	if (ret == 0)
		ret = display_streams_create(
			&display->streams, &display->base, &display->pace, &streams_ops, display);
	display->pump.streams = display->streams;
	return ret;
}

static int on_init(struct display_channel *display, const uint8_t *body, size_t size)
{
	struct msg_display_init init;
	int ret;

	if (!msg_display_init_parse(&init, body, size) || init.pixmap_cache_size < 0 ||
		init.glz_window_size < 0 || display->started)
		return -EPROTO;
	display->started = true;
	ret = start(display, &init);
	if (ret < 0)
		return ret;
	if (display->preferred)
		ret = image_sender_prefer(&display->images, display->preferred);
	link_start_acks(display->base.link);
	display_pump_run(&display->pump);
	return ret;
}

/* Some viewers say what they prefer before INIT. */
static int on_preferred_compression(
	struct display_channel *display, const uint8_t *body, size_t size)
{
	struct msg_preferred_compression msg;

	if (!msg_preferred_compression_parse(&msg, body, size))
		return -EPROTO;
	display->preferred = msg.compression;
	return display->started ? image_sender_prefer(&display->images, msg.compression) : 0;
}

static int display_message(struct channel *channel, uint16_t type, const uint8_t *body, size_t size)
{
	struct display_channel *display = of_channel(channel);

	switch (type) {
	case SPICE_MSGC_DISPLAY_INIT: return on_init(display, body, size);
	case SPICE_MSGC_DISPLAY_PREFERRED_COMPRESSION:
		return on_preferred_compression(display, body, size);
	default: break;
	}
	if (!display->started)
		return 0;
	switch (type) {
	case SPICE_MSGC_DISPLAY_STREAM_REPORT:
		return display_streams_report(display->streams, body, size);
	case SPICE_MSGC_DISPLAY_PREFERRED_VIDEO_CODEC_TYPE:
		return display_streams_prefer(display->streams, body, size);
	case SPICE_MSGC_PONG: return pace_pong(&display->pace, body, size);
	default: return 0;
	}
}

static void display_start(struct channel *channel)
{
	/* The viewer speaks first: INIT. */
}

static void display_drained(struct channel *channel)
{
	struct display_channel *display = of_channel(channel);

	if (display->started)
		display_pump_run(&display->pump);
}

static uint32_t display_backlog(struct channel *channel)
{
	struct display_channel *display = of_channel(channel);

	return display->started ? display_pump_backlog(&display->pump) : 0;
}

static void display_destroy_channel(struct channel *channel)
{
	struct display_channel *display = of_channel(channel);

	if (display->started) {
		display_pump_finish(&display->pump);
		display_streams_destroy(display->streams);
		image_sender_finish(&display->images);
		display_queue_finish(&display->queue);
		pace_finish(&display->pace);
	}
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
	channel_init(&display->base, &display_ops, session, SPICE_CHANNEL_DISPLAY);
	*out = &display->base;
	return 0;
}

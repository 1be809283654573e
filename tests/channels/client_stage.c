/* SPDX-License-Identifier: MIT */
/* The stage: a listener, links of the server's side, and what they heard. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "client_stage.h"
#include "core/util.h"

static struct stage_channel *of_handler(struct link_handler *handler)
{
	return container_of(handler, struct stage_channel, handler);
}

static void on_up(struct link_handler *handler)
{
	of_handler(handler)->up = true;
}

static int on_message(struct link_handler *handler, uint16_t type, const uint8_t *body, size_t size)
{
	struct stage_channel *channel = of_handler(handler);

	if (channel->count == STAGE_SENT_MAX)
		return 0;
	channel->types[channel->count] = type;
	assert_int_equal(buf_append(&channel->bodies[channel->count++], body, size), 0);
	return 0;
}

static void on_closed(struct link_handler *handler, int error, uint32_t spice_error)
{
	struct stage_channel *channel = of_handler(handler);

	link_destroy(channel->link);
	channel->link = NULL;
	channel->up = false;
}

static const struct link_handler_ops handler_ops = {
	.up = on_up,
	.message = on_message,
	.closed = on_closed,
};

static uint32_t channel_caps(void *opaque, uint8_t channel_type)
{
	struct stage *stage = opaque;

	return channel_type == SPICE_CHANNEL_DISPLAY ? stage->server_caps : 0;
}

static uint32_t admit(void *opaque, struct link *link, const struct link_request *request)
{
	struct stage *stage = opaque;

	for (uint32_t i = 0; i < stage->accepted; i++)
		if (stage->pending[i].link == link && request->channel_type < 16)
			stage->channels[request->channel_type] = &stage->pending[i];
	return SPICE_LINK_ERR_OK;
}

static void on_accept(void *opaque, uint32_t events)
{
	struct stage *stage = opaque;
	struct stage_channel *channel = &stage->pending[stage->accepted];
	struct link_accept_config config = { .loop = stage->loop,
		.keys = stage->keys,
		.password = stage->password,
		.opaque = stage,
		.channel_caps = channel_caps,
		.admit = admit };
	int fd = accept4(stage->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	assert_true(stage->accepted < ARRAY_SIZE(stage->pending));
	assert_true(fd >= 0);
	stage->accepted++;
	channel->handler.ops = &handler_ops;
	channel->stage = stage;
	assert_int_equal(link_accept(&channel->link, &config, fd, &channel->handler), 0);
}

/* A key that is still being made when a test ends would be lost with the pool. */
static void wait_for_key(struct stage *stage)
{
	struct ticket_key *key;

	while (!(key = ticket_keys_take(stage->keys)))
		loop_run_once(stage->loop, 50);
	ticket_key_unref(key);
}

static void on_event(void *opaque, enum spice_client_event event, const char *reason)
{
	struct stage *stage = opaque;

	stage->events[event]++;
	snprintf(stage->reason, sizeof(stage->reason), "%s", reason ? reason : "");
}

void stage_open(struct stage *stage)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	log_set_level(LOG_ERROR);
	memset(stage, 0, sizeof(*stage));
	assert_int_equal(loop_create(&stage->loop), 0);
	assert_int_equal(pool_create(&stage->pool, 1), 0);
	assert_int_equal(ticket_keys_create(&stage->keys, stage->loop, stage->pool, 0), 0);
	wait_for_key(stage);
	assert_int_equal(display_create(&stage->hub), 0);
	strcpy(stage->folder, "/tmp/spicebox-test-XXXXXX");
	assert_non_null(mkdtemp(stage->folder));
	snprintf(stage->path, sizeof(stage->path), "%s/spice", stage->folder);
	strcpy(address.sun_path, stage->path);
	stage->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(stage->listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(stage->listen_fd, 8), 0);
	stage->listener = loop_fd_add(stage->loop, stage->listen_fd, EPOLLIN, on_accept, stage);
}

void stage_close(struct stage *stage)
{
	spice_client_destroy(stage->client);
	for (uint32_t i = 0; i < stage->accepted; i++) {
		link_destroy(stage->pending[i].link);
		for (uint32_t k = 0; k < stage->pending[i].count; k++)
			buf_finish(&stage->pending[i].bodies[k]);
	}
	loop_fd_remove(stage->listener);
	close(stage->listen_fd);
	unlink(stage->path);
	rmdir(stage->folder);
	ticket_keys_destroy(stage->keys);
	pool_destroy(stage->pool);
	display_destroy(stage->hub);
	loop_destroy(stage->loop);
}

void stage_connect(struct stage *stage, const char *password)
{
	struct spice_client_config config = { .loop = stage->loop,
		.display = stage->hub,
		.unix_path = stage->path,
		.password = password,
		.options = stage->options,
		.on_event = on_event,
		.opaque = stage };

	assert_int_equal(spice_client_create(&stage->client, &config), 0);
}

void stage_turn(struct stage *stage, const uint32_t *flag)
{
	uint64_t end = clock_monotonic_ns() + 10000000000u;

	while (!*flag && clock_monotonic_ns() < end)
		loop_run_once(stage->loop, 100);
	assert_true(*flag);
}

void stage_settle(struct stage *stage)
{
	for (int i = 0; i < 10; i++)
		loop_run_once(stage->loop, 0);
}

static void wait_channel(struct stage *stage, uint8_t type)
{
	uint64_t end = clock_monotonic_ns() + 10000000000u;

	while (!(stage->channels[type] && stage->channels[type]->up) && clock_monotonic_ns() < end)
		loop_run_once(stage->loop, 100);
	assert_non_null(stage->channels[type]);
	assert_true(stage->channels[type]->up);
}

void stage_send(struct stage *stage, uint8_t channel, uint16_t type, struct buf *body)
{
	assert_non_null(stage->channels[channel]->link);
	assert_int_equal(link_send(stage->channels[channel]->link, type, body), 0);
	stage_settle(stage);
}

void stage_bring_up(struct stage *stage)
{
	if (!stage->client)
		stage_connect(stage, NULL);
	wait_channel(stage, SPICE_CHANNEL_MAIN);
	STAGE_SEND(stage, SPICE_CHANNEL_MAIN, SPICE_MSG_MAIN_INIT, main_init,
		{ .session_id = 77,
			.supported_mouse_modes = SPICE_MOUSE_MODE_SERVER,
			.current_mouse_mode = SPICE_MOUSE_MODE_SERVER });
	STAGE_SEND(stage, SPICE_CHANNEL_MAIN, SPICE_MSG_MAIN_CHANNELS_LIST, channels_list,
		{ .list = { .count = 4,
			  .items = { { SPICE_CHANNEL_DISPLAY, 0 }, { SPICE_CHANNEL_INPUTS, 0 },
				  { SPICE_CHANNEL_CURSOR, 0 }, { SPICE_CHANNEL_PLAYBACK, 0 } } } });
	wait_channel(stage, SPICE_CHANNEL_DISPLAY);
	wait_channel(stage, SPICE_CHANNEL_INPUTS);
	wait_channel(stage, SPICE_CHANNEL_CURSOR);
	stage_settle(stage);
	assert_int_equal(
		link_request(stage->channels[SPICE_CHANNEL_DISPLAY]->link)->connection_id, 77);
}

uint32_t stage_heard_count(struct stage *stage, uint8_t channel, uint16_t type)
{
	struct stage_channel *c = stage->channels[channel];
	uint32_t count = 0;

	for (uint32_t i = 0; i < c->count; i++)
		count += c->types[i] == type;
	return count;
}

const struct buf *stage_heard(struct stage *stage, uint8_t channel, uint16_t type)
{
	struct stage_channel *c = stage->channels[channel];

	stage_settle(stage);
	for (uint32_t i = c->count; i-- > 0;)
		if (c->types[i] == type)
			return &c->bodies[i];
	fail_msg("the client did not send message %u on channel %u", type, channel);
	return NULL;
}

uint32_t stage_pixel(struct stage *stage, uint32_t surface, uint32_t x, uint32_t y)
{
	struct rect area = rect_make((int32_t)x, (int32_t)y, 1, 1);
	struct image *image;
	uint32_t pixel;

	assert_int_equal(display_snapshot(stage->hub, surface, &area, &image), 0);
	image_row_to_argb(image, 0, 0, 1, &pixel);
	image_unref(image);
	return pixel & 0xffffff;
}

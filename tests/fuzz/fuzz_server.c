/* SPDX-License-Identifier: MIT */
/* The server's channels behind the handshake: the first byte chooses the channel, the rest is
 * what an admitted viewer says, whole messages or not, while the guest draws. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channels/proto/messages.h"
#include "channels/server/server.h"
#include "core/log.h"
#include "core/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TICKET_SIZE = 128, REPLY_SIZE = 16 + 178 + 8 + 4 };

static void on_key(struct input_sink *sink, uint32_t scancode, bool down)
{
	if (scancode >= 0x300)
		abort();
}
static void on_motion(struct input_sink *sink, int32_t dx, int32_t dy)
{
}
static void on_position(struct input_sink *sink, int32_t x, int32_t y, uint32_t w, uint32_t h)
{
	if (x < 0 || y < 0 || (uint32_t)x >= w || (uint32_t)y >= h)
		abort();
}
static void on_button(struct input_sink *sink, enum input_button button, bool down)
{
	if (button > INPUT_BUTTON_EXTRA)
		abort();
}
static void on_leds(struct input_sink *sink, uint32_t leds)
{
	input_sink_set_leds(sink, leds);
}

static const struct input_sink_ops input_ops = { on_key, on_motion, on_position, on_button,
	on_leds };

static struct loop *loop;
static struct display *display;
static struct input_sink input;
static struct spice_server *server;

static void prepare(void)
{
	struct spice_server_config config = { .input = &input, .name = "fuzz" };
	struct surface *surface;

	log_set_level(LOG_ERROR);
	input_sink_init(&input, &input_ops);
	input.absolute = true;
	if (loop_create(&loop) < 0 || pool_create(&config.pool, 1) < 0 ||
		display_create(&config.display) < 0 ||
		surface_create(&surface, SURFACE_XRGB8888, 64, 48) < 0)
		abort();
	display_sink(config.display)->ops->surface_create(display_sink(config.display), 0, surface);
	surface_unref(surface);
	config.loop = loop;
	display = config.display;
	if (spice_server_create(&server, &config) < 0)
		abort();
}

/* Something new to be sent: a picture of its own to be cached, moved then. */
static void draw_something(uint32_t n)
{
	struct display_sink *sink = display_sink(display);
	struct rect box = rect_make((int32_t)(n % 40), (int32_t)(n % 24), 20, 20);
	struct draw *copy, *move;

	if (draw_create(&copy, DRAW_COPY, DISPLAY_PRIMARY, &box) < 0 ||
		draw_create(&move, DRAW_COPY_BITS, DISPLAY_PRIMARY, &box) < 0 ||
		image_create(&copy->copy.source.image, IMAGE_XRGB8888, 20, 20) < 0)
		abort();
	memset(copy->copy.source.image->data, (int)n, (size_t)20 * 20 * 4);
	copy->copy.source.image->id = 1 + n % 7;
	copy->copy.source.image->flags = IMAGE_CACHE_ME;
	copy->copy.area = (struct rect){ 0, 0, 20, 20 };
	sink->ops->draw(sink, copy);
	sink->ops->draw(sink, move);
	sink->ops->dirty(sink, DISPLAY_PRIMARY, &(struct rect){ 0, 0, 8, 8 });
	draw_unref(copy);
	draw_unref(move);
}

static size_t read_all(int fd, uint8_t *out, size_t size)
{
	size_t got = 0;
	ssize_t n;

	while (got < size && (n = recv(fd, out + got, size - got, MSG_DONTWAIT)) > 0)
		got += (size_t)n;
	return got;
}

/* A viewer's socket on which the handshake is through; *session: in and out. */
static int viewer_connect(uint8_t type, uint32_t *session)
{
	uint8_t talk[16 + 18 + 4 + TICKET_SIZE] = "REDQ\2\0\0\0\2\0\0\0\26\0\0\0";
	uint8_t answer[4096];
	size_t got = 0;
	int fds[2];

	memcpy(talk + 16, session, 4);
	talk[20] = type;
	talk[22] = 1; /* one word of common capabilities, at 18: mini headers */
	talk[30] = 18;
	talk[34] = 1 << SPICE_COMMON_CAP_MINI_HEADER;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0 ||
		spice_server_add_client_fd(server, fds[0]) < 0 ||
		write(fds[1], talk, sizeof(talk)) != sizeof(talk))
		abort();
	for (int i = 0; i < 200 && got < REPLY_SIZE + 10; i++) {
		loop_run_once(loop, got < REPLY_SIZE ? 50 : 0);
		got += read_all(fds[1], answer + got, sizeof(answer) - got);
		if (got >= REPLY_SIZE && type != SPICE_CHANNEL_MAIN)
			break;
	}
	if (got < REPLY_SIZE)
		abort();
	if (type == SPICE_CHANNEL_MAIN)
		memcpy(session, answer + REPLY_SIZE + 6, 4);
	return fds[1];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t types[] = { SPICE_CHANNEL_MAIN, SPICE_CHANNEL_DISPLAY,
		SPICE_CHANNEL_INPUTS, SPICE_CHANNEL_CURSOR };
	uint32_t session = 0;
	uint8_t drain[4096];
	int main_fd, fd;

	if (!server)
		prepare();
	if (size == 0)
		return 0;
	main_fd = viewer_connect(SPICE_CHANNEL_MAIN, &session);
	fd = data[0] % 4 ? viewer_connect(types[data[0] % 4], &session) : main_fd;
	for (size_t at = 1; at < size;) {
		ssize_t n = send(fd, data + at, size - at, MSG_DONTWAIT | MSG_NOSIGNAL);

		loop_run_once(loop, 0);
		draw_something((uint32_t)at);
		if (n <= 0)
			break;
		at += (size_t)n;
		while (read_all(fd, drain, sizeof(drain)) > 0)
			;
	}
	loop_run_once(loop, 0);
	if (fd != main_fd)
		close(fd);
	close(main_fd);
	for (int i = 0; i < 3; i++)
		loop_run_once(loop, 0);
	return 0;
}

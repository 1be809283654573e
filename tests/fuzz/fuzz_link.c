/* SPDX-License-Identifier: MIT */
/* Links: the first byte's low bit says whose handshake is tried (server's, client's), the rest
 * is what the peer says, in pieces. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channels/link/link.h"
#include "core/log.h"
#include "core/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct end {
	struct link_handler base;
	struct link *link;
};

static int on_message(struct link_handler *handler, uint16_t type, const uint8_t *body, size_t size)
{
	static volatile uint8_t sink;

	for (size_t i = 0; i < size; i += 64)
		sink = body[i];
	(void)sink;
	return type == 666 ? -EPROTO : 0;
}

static void on_closed(struct link_handler *handler, int error, uint32_t spice_error)
{
	struct end *end = container_of(handler, struct end, base);

	link_destroy(end->link);
	end->link = NULL;
}

static const struct link_handler_ops end_ops = { .message = on_message, .closed = on_closed };

static uint32_t no_caps(void *opaque, uint8_t channel_type)
{
	return 0;
}

static uint32_t admit(void *opaque, struct link *link, const struct link_request *request)
{
	return request->channel_id == 9 ? SPICE_LINK_ERR_ERROR : SPICE_LINK_ERR_OK;
}

static struct loop *loop;
static struct pool *pool;
static struct ticket_keys *keys;

static void prepare(void)
{
	struct ticket_key *key;

	log_set_level(LOG_ERROR);
	if (loop_create(&loop) < 0 || pool_create(&pool, 1) < 0 ||
		ticket_keys_create(&keys, loop, pool, 0) < 0)
		abort();
	while (!(key = ticket_keys_take(keys)))
		loop_run_once(loop, 50);
	ticket_key_unref(key);
}

static void feed(struct end *end, int fd, const uint8_t *data, size_t size)
{
	static uint8_t drain[1 << 16];

	while (size && end->link) {
		size_t part = MIN(size, (size_t)data[0] % 32 ? 4096 : 3);
		ssize_t n = send(fd, data, part, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0) {
			data += n;
			size -= (size_t)n;
		}
		loop_run_once(loop, 0);
		while (recv(fd, drain, sizeof(drain), MSG_DONTWAIT) > 0)
			;
	}
	loop_run_once(loop, 0);
	loop_run_once(loop, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct end end = { .base.ops = &end_ops };
	struct link_accept_config accept = { .channel_caps = no_caps, .admit = admit };
	struct link_connect_config connect = { .request.channel_type = SPICE_CHANNEL_MAIN };
	int fds[2], ret;

	if (!loop)
		prepare();
	if (size == 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		return 0;
	accept.loop = connect.loop = loop;
	accept.keys = keys;
	ret = data[0] & 1 ? link_connect(&end.link, &connect, fds[0], &end.base)
			  : link_accept(&end.link, &accept, fds[0], &end.base);
	if (ret < 0)
		abort();
	feed(&end, fds[1], data + 1, size - 1);
	close(fds[1]);
	loop_run_once(loop, 0);
	link_destroy(end.link);
	return 0;
}

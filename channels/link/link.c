/* SPDX-License-Identifier: MIT */
/* A link's life, its queue of what is to be sent, and its socket's events. */
#include "channels/link/link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "channels/link/frame.h"
#include "channels/link/link_internal.h"

enum {
	READ_MIN = 16 << 10,
	READ_MAX = 1 << 20,
	LINGER_MS = 2000,
	IOV_MAX_ITEMS = 32,
};

void link_enter(struct link *link)
{
	link->depth++;
}

static void link_free(struct link *link)
{
	while (link->queue) {
		struct link_item *item = link->queue;

		link->queue = item->next;
		buf_finish(&item->body);
		free(item);
	}
	if (link->key_wait.waiting)
		ticket_keys_unwait(link->accept.keys, &link->key_wait);
	ticket_key_unref(link->key);
	if (link->source)
		loop_fd_remove(link->source);
	if (link->idle)
		loop_idle_remove(link->idle);
	if (link->timer)
		loop_timer_remove(link->timer);
	stream_finish(&link->stream);
	buf_finish(&link->in);
	if (link->password)
		explicit_bzero(link->password, strlen(link->password));
	free(link->password);
	free(link);
}

void link_leave(struct link *link)
{
	if (--link->depth == 0 && link->destroyed)
		link_free(link);
}

void link_destroy(struct link *link)
{
	if (!link)
		return;
	link->destroyed = true;
	link->state = LINK_CLOSED;
	if (link->depth == 0)
		link_free(link);
}

/* ---- the end of a link ---- */

/* The socket goes; the handler is told, if it still listens. */
static void link_finish(struct link *link)
{
	link->state = LINK_CLOSED;
	if (link->source)
		loop_fd_remove(link->source);
	link->source = NULL;
	loop_timer_disarm(link->timer);
	stream_finish(&link->stream);
	if (!link->destroyed)
		link->handler->ops->closed(link->handler, link->error, link->spice_error);
}

void link_fail(struct link *link, int error)
{
	if (link->failed || link->state == LINK_CLOSED)
		return;
	link->failed = true;
	if (link->state != LINK_CLOSING)
		link->error = error;
	link->state = LINK_CLOSING;
	loop_idle_schedule(link->idle);
}

void link_fail_after_flush(struct link *link, int error)
{
	if (link->state == LINK_CLOSING || link->state == LINK_CLOSED)
		return;
	link->error = error;
	link->state = LINK_CLOSING;
	loop_timer_arm(link->timer, (uint64_t)LINGER_MS * 1000000);
	loop_idle_schedule(link->idle);
	link_watch(link);
}

static void on_timer(void *opaque)
{
	struct link *link = opaque;

	link_enter(link);
	if (link->state == LINK_HANDSHAKE)
		link->error = -ETIMEDOUT;
	if (link->state != LINK_CLOSED)
		link_finish(link);
	link_leave(link);
}

/* ---- sending ---- */

static struct link_item *item_add(struct link *link, struct buf *body)
{
	struct link_item *item = calloc(1, sizeof(*item));

	if (!item)
		return NULL;
	if (body) {
		item->body = *body;
		memset(body, 0, sizeof(*body));
	}
	*link->queue_end = item;
	link->queue_end = &item->next;
	link->queued_bytes += item->body.size;
	loop_idle_schedule(link->idle);
	return item;
}

int link_send_raw(struct link *link, const void *bytes, size_t size)
{
	struct buf body = { 0 };

	if (buf_append(&body, bytes, size) < 0 || !item_add(link, &body)) {
		buf_finish(&body);
		return -ENOMEM;
	}
	return 0;
}

int link_send(struct link *link, uint16_t type, struct buf *body)
{
	size_t size = body ? body->size : 0;
	struct link_item *item;
	int ret = -EPIPE;

	if (link->state != LINK_UP || link->destroyed)
		goto drop;
	ret = -ENOBUFS;
	if (link->queued_bytes > LINK_QUEUE_MAX || size > UINT32_MAX)
		goto fail;
	ret = -ENOMEM;
	item = item_add(link, body);
	if (!item)
		goto fail;
	item->header_bytes =
		frame_header_write(item->header, link->mini_header, ++link->serial, type, size);
	item->counted = type != SPICE_MSG_SET_ACK;
	link->queued_bytes += item->header_bytes;
	return 0;
fail:
	link_fail(link, ret);
drop:
	if (body)
		buf_finish(body);
	return ret;
}

/* Fills iov with what may be written now; returns how many. */
static int queue_gather(struct link *link, struct iovec *iov)
{
	uint32_t window = LINK_ACK_WINDOWS * link->ack_window;
	uint32_t budget = !link->ack_window ? UINT32_MAX
		: link->unacked < window    ? window - link->unacked
					    : 0;
	int count = 0;

	for (struct link_item *item = link->queue; item && count + 2 <= IOV_MAX_ITEMS;
		item = item->next) {
		size_t done = item->done;

		if (item->counted && !item->started && budget-- == 0)
			break;
		if (done < item->header_bytes) {
			iov[count].iov_base = item->header + done;
			iov[count++].iov_len = item->header_bytes - done;
			done = item->header_bytes;
		}
		if (done - item->header_bytes < item->body.size) {
			done -= item->header_bytes;
			iov[count].iov_base = buf_bytes(&item->body) + done;
			iov[count++].iov_len = item->body.size - done;
		}
	}
	return count;
}

/* `bytes` of what was gathered are written. */
static void queue_advance(struct link *link, size_t bytes)
{
	link->queued_bytes -= bytes;
	while (bytes) {
		struct link_item *item = link->queue;
		size_t left = item->header_bytes + item->body.size - item->done;

		if (item->counted && !item->started && link->ack_window)
			link->unacked++;
		item->started = true;
		if (bytes < left) {
			item->done += bytes;
			return;
		}
		bytes -= left;
		if (item->header_bytes) { /* the handshake's have none */
			link->sent_messages++;
			link->sent_bytes += item->header_bytes + item->body.size;
		}
		link->queue = item->next;
		if (!link->queue)
			link->queue_end = &link->queue;
		buf_finish(&item->body);
		free(item);
	}
}

static void queue_write(struct link *link)
{
	struct iovec iov[IOV_MAX_ITEMS];

	while (link->queue && !link->failed && link->state != LINK_CLOSED) {
		int count = queue_gather(link, iov);
		ssize_t ret;

		if (count == 0)
			break;
		ret = stream_writev(&link->stream, iov, count);
		if (ret == -EAGAIN) {
			if (!link->want_write) {
				link->want_write = true;
				link_watch(link);
			}
			return;
		}
		if (ret < 0) {
			link_fail(link, (int)ret);
			return;
		}
		queue_advance(link, (size_t)ret);
	}
	if (link->want_write) {
		link->want_write = false;
		link_watch(link);
	}
	if (link->state == LINK_CLOSING && !link->queue)
		shutdown(link->stream.fd, SHUT_WR);
}

static bool lags(const struct link *link, size_t high)
{
	return link->queued_bytes > high ||
		(link->ack_window && link->unacked >= LINK_ACK_WINDOWS * link->ack_window);
}

bool link_congested(struct link *link)
{
	if (!link->congested)
		link->congested = lags(link, LINK_QUEUE_HIGH);
	return link->congested;
}

/* Tells who holds back that it need not any more. */
static void congestion_check(struct link *link)
{
	if (!link->congested || link->state != LINK_UP || lags(link, LINK_QUEUE_HIGH / 2))
		return;
	link->congested = false;
	if (link->handler->ops->drained)
		link->handler->ops->drained(link->handler);
}

void link_flush(struct link *link)
{
	if (link->state != LINK_CLOSED)
		queue_write(link);
	/* What this made room for is not told from within. */
	if (link->congested && !lags(link, LINK_QUEUE_HIGH / 2))
		loop_idle_schedule(link->idle);
}

/* The end of a turn in which something was queued, or went wrong. */
static void on_idle(void *opaque)
{
	struct link *link = opaque;

	link_enter(link);
	if (link->state != LINK_CLOSED)
		queue_write(link);
	if (link->failed && link->state != LINK_CLOSED)
		link_finish(link);
	else
		congestion_check(link);
	link_leave(link);
}

size_t link_queued_bytes(const struct link *link)
{
	return link->queued_bytes;
}

void link_sent(const struct link *link, uint64_t *messages, uint64_t *bytes)
{
	*messages = link->sent_messages;
	*bytes = link->sent_bytes;
}

int link_start_acks(struct link *link)
{
	struct msg_set_ack ack = { .generation = 1, .window = LINK_ACK_WINDOW };

	link->ack_window = LINK_ACK_WINDOW;
	link->unacked = 0;
	return link_send_set_ack(link, SPICE_MSG_SET_ACK, &ack);
}

/* ---- receiving ---- */

void link_watch(struct link *link)
{
	if (link->source)
		loop_fd_modify(link->source, EPOLLIN | (link->want_write ? EPOLLOUT : 0u));
}

void link_process(struct link *link)
{
	int ret = 1;

	link_enter(link);
	while (ret > 0 && (link->state == LINK_HANDSHAKE || link->state == LINK_UP))
		ret = link->input(link);
	if (ret < 0)
		link_fail(link, ret);
	link_leave(link);
}

/* More than one read's worth for a large message of which the beginning is here. */
static size_t read_size(const struct link *link)
{
	size_t missing = link->state == LINK_UP ? frame_missing_bytes(link) : 0;

	return missing < READ_MIN ? READ_MIN : missing > READ_MAX ? READ_MAX : missing;
}

static void on_readable(struct link *link)
{
	size_t size = read_size(link);
	uint8_t *room = buf_reserve(&link->in, size);
	ssize_t ret;

	if (!room) {
		link_fail(link, -ENOMEM);
		return;
	}
	ret = stream_read(&link->stream, room, size);
	if (ret == -EAGAIN)
		return;
	if (ret <= 0) {
		link_fail(link, ret == 0 && link->state == LINK_HANDSHAKE ? -ECONNRESET : (int)ret);
		return;
	}
	if (link->state == LINK_CLOSING) /* only its end is waited for */
		return;
	buf_commit(&link->in, (size_t)ret);
	link_process(link);
	/* While it waits for a key, what the peer says is only kept. */
	if (link->state == LINK_HANDSHAKE && link->in.size > 2 * LINK_HANDSHAKE_MAX)
		link_fail(link, -EMSGSIZE);
}

static void on_event(void *opaque, uint32_t events)
{
	struct link *link = opaque;

	link_enter(link);
	if (events & EPOLLOUT)
		queue_write(link);
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) && !link->failed && link->state != LINK_CLOSED)
		on_readable(link);
	if (!link->failed && link->state != LINK_CLOSED)
		congestion_check(link);
	link_leave(link);
}

/* ---- making one ---- */

int link_create(struct link **out, struct loop *loop, int fd, struct link_handler *handler)
{
	struct link *link = calloc(1, sizeof(*link));

	if (!link) {
		struct stream stream = { fd };

		stream_finish(&stream);
		return -ENOMEM;
	}
	stream_init(&link->stream, fd);
	link->loop = loop;
	link->handler = handler;
	link->queue_end = &link->queue;
	link->source = loop_fd_add(loop, fd, EPOLLIN, on_event, link);
	link->idle = loop_idle_add(loop, on_idle, link);
	link->timer = loop_timer_add(loop, on_timer, link);
	if (!link->source || !link->idle || !link->timer) {
		link_free(link);
		return -ENOMEM;
	}
	*out = link;
	return 0;
}

void link_go_up(struct link *link)
{
	loop_timer_disarm(link->timer);
	link->state = LINK_UP;
	link->input = frame_input;
	link->mini_header = link_peer_has_common_cap(link, SPICE_COMMON_CAP_MINI_HEADER);
	if (link->handler->ops->up)
		link->handler->ops->up(link->handler);
}

void link_set_handler(struct link *link, struct link_handler *handler)
{
	link->handler = handler;
}

bool link_peer_has_cap(const struct link *link, uint32_t cap)
{
	return cap < 32 && link->request.channel_caps >> cap & 1;
}

bool link_peer_has_common_cap(const struct link *link, uint32_t cap)
{
	return cap < 32 && link->request.common_caps >> cap & 1;
}

const struct link_request *link_request(const struct link *link)
{
	return &link->request;
}

uint64_t link_answer_ns(const struct link *link)
{
	return link->answer_ns;
}

bool link_is_up(const struct link *link)
{
	return link->state == LINK_UP;
}

bool link_caps_parse(const uint8_t *message, size_t size, uint32_t offset, uint32_t common_count,
	uint32_t channel_count, uint32_t *common, uint32_t *channel)
{
	struct wire_reader r;

	if (common_count > LINK_CAPS_MAX || channel_count > LINK_CAPS_MAX)
		return false;
	wire_reader_init(&r, message, size);
	wire_seek(&r, offset);
	for (uint32_t i = 0; i < common_count; i++) {
		uint32_t word = wire_read_u32(&r);

		if (i == 0)
			*common = word;
	}
	for (uint32_t i = 0; i < channel_count; i++) {
		uint32_t word = wire_read_u32(&r);

		if (i == 0)
			*channel = word;
	}
	return wire_reader_ok(&r);
}

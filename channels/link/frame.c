/* SPDX-License-Identifier: MIT */
/* Framing, and the messages that every channel has. */
#include "channels/link/frame.h"

#include <ctype.h>
#include <errno.h>

#include "channels/link/link_internal.h"

enum { MINI_HEADER_BYTES = 6, DATA_HEADER_BYTES = 18, SUB_MESSAGES_MAX = 1024 };

/* A buffer that one large message made is given back. */
enum { INPUT_KEEP_BYTES = 2 << 20 };

struct frame_header {
	uint16_t type;
	uint32_t size;
	uint32_t sub_list; /* offset in the body; 0: none */
};

static uint32_t header_bytes(const struct link *link)
{
	return link->mini_header ? MINI_HEADER_BYTES : DATA_HEADER_BYTES;
}

static void put_le(uint8_t *out, uint64_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		out[i] = (uint8_t)(value >> 8 * i);
}

uint8_t frame_header_write(
	uint8_t header[18], bool mini, uint64_t serial, uint16_t type, size_t size)
{
	if (mini) {
		put_le(header, type, 2);
		put_le(header + 2, size, 4);
		return MINI_HEADER_BYTES;
	}
	put_le(header, serial, 8);
	put_le(header + 8, type, 2);
	put_le(header + 10, size, 4);
	put_le(header + 14, 0, 4);
	return DATA_HEADER_BYTES;
}

static bool header_read(const struct link *link, struct frame_header *header)
{
	struct wire_reader r;

	wire_reader_init(&r, buf_bytes(&link->in), link->in.size);
	if (!link->mini_header)
		wire_skip(&r, 8); /* the serial: nothing of ours needs it */
	header->type = wire_read_u16(&r);
	header->size = wire_read_u32(&r);
	header->sub_list = link->mini_header ? 0 : wire_read_u32(&r);
	return wire_reader_ok(&r);
}

size_t frame_missing_bytes(const struct link *link)
{
	struct frame_header header;

	if (!header_read(link, &header) ||
		link->in.size >= (size_t)header_bytes(link) + header.size)
		return 0;
	return header_bytes(link) + (size_t)header.size - link->in.size;
}

/* ---- what every channel answers by itself ---- */

static int server_common(struct link *link, uint16_t type)
{
	switch (type) {
	case SPICE_MSGC_ACK_SYNC: return 0;
	case SPICE_MSGC_ACK:
		link->unacked -= link->unacked < link->ack_window ? link->unacked
								  : link->ack_window;
		/* More may be sent now, by the turn's end. */
		loop_idle_schedule(link->idle);
		return 0;
	case SPICE_MSGC_DISCONNECTING: link_fail(link, 0); return 0;
	default: return 1;
	}
}

static int client_set_ack(struct link *link, const uint8_t *body, size_t size)
{
	struct msg_set_ack ack;

	if (!msg_set_ack_parse(&ack, body, size))
		return -EPROTO;
	link->ack_every = link->ack_left = ack.window;
	link_send_ack_sync(
		link, SPICE_MSGC_ACK_SYNC, &(struct msg_ack_sync){ .generation = ack.generation });
	return 0;
}

static int client_ping(struct link *link, const uint8_t *body, size_t size)
{
	struct msg_ping ping;

	if (!msg_ping_parse(&ping, body, size))
		return -EPROTO;
	link_send_pong(link, SPICE_MSGC_PONG,
		&(struct msg_pong){ .id = ping.id, .timestamp = ping.timestamp });
	return 0;
}

static int client_notify(struct link *link, const uint8_t *body, size_t size)
{
	struct msg_notify notify;
	char text[128];
	size_t i;

	if (!msg_notify_parse(&notify, body, size))
		return -EPROTO;
	for (i = 0; i < notify.text.size && i < sizeof(text) - 1; i++)
		text[i] = isprint(notify.text.data[i]) ? (char)notify.text.data[i] : '?';
	text[i] = '\0';
	if (log_enabled(LOG_INFO) && log_limit_pass(&link->log_limit, "spice"))
		log_info("spice", "the server says: %s", text);
	return 0;
}

static int client_common(struct link *link, uint16_t type, const uint8_t *body, size_t size)
{
	switch (type) {
	case SPICE_MSG_SET_ACK: return client_set_ack(link, body, size);
	case SPICE_MSG_PING: return client_ping(link, body, size);
	case SPICE_MSG_NOTIFY: return client_notify(link, body, size);
	case SPICE_MSG_DISCONNECTING: link_fail(link, 0); return 0;
	default: return 1;
	}
}

static int dispatch(struct link *link, uint16_t type, const uint8_t *body, size_t size)
{
	int ret = link->server ? server_common(link, type) : client_common(link, type, body, size);

	if (ret <= 0)
		return ret;
	return link->handler->ops->message(link->handler, type, body, size);
}

/* SpiceSubMessageList: a count, and where in the body each message with a header of its own is. */
static int dispatch_list(struct link *link, uint32_t offset, const uint8_t *body, size_t size)
{
	struct wire_reader list;
	uint16_t count;

	wire_reader_init(&list, body, size);
	wire_seek(&list, offset);
	count = wire_read_u16(&list);
	if (count > SUB_MESSAGES_MAX)
		return -EPROTO;
	for (uint16_t i = 0; i < count; i++) {
		struct wire_reader sub;
		const uint8_t *sub_body;
		uint32_t sub_size;
		uint16_t type;
		int ret;

		wire_reader_init(&sub, body, size);
		wire_seek(&sub, wire_read_u32(&list));
		type = wire_read_u16(&sub);
		sub_size = wire_read_u32(&sub);
		sub_body = wire_read_bytes(&sub, sub_size);
		if (!wire_reader_ok(&list) || !wire_reader_ok(&sub) || type == SPICE_MSG_LIST)
			return -EPROTO;
		ret = dispatch(link, type, sub_body, sub_size);
		if (ret < 0)
			return ret;
		if (link->state != LINK_UP)
			return 0;
	}
	return wire_reader_ok(&list) ? 0 : -EPROTO;
}

/* Client: an ack is due every so many messages, lists counting as one. */
static void count_ack(struct link *link)
{
	if (!link->ack_left || --link->ack_left)
		return;
	link->ack_left = link->ack_every;
	link_send(link, SPICE_MSGC_ACK, NULL);
}

int frame_input(struct link *link)
{
	uint32_t max = link->server ? LINK_MESSAGE_MAX_SERVER : LINK_MESSAGE_MAX_CLIENT;
	struct frame_header header;
	const uint8_t *body;
	size_t total;
	int ret = 0;

	if (!header_read(link, &header))
		return 0;
	if (header.size > max)
		return -EMSGSIZE;
	total = header_bytes(link) + (size_t)header.size;
	if (link->in.size < total)
		return 0;
	body = buf_bytes(&link->in) + header_bytes(link);
	if (!link->server)
		count_ack(link);
	if (header.sub_list)
		ret = dispatch_list(link, header.sub_list, body, header.size);
	if (ret == 0 && link->state == LINK_UP) {
		if (!link->server && header.type == SPICE_MSG_LIST)
			ret = dispatch_list(link, 0, body, header.size);
		else
			ret = dispatch(link, header.type, body, header.size);
	}
	if (ret < 0)
		return ret;
	buf_consume(&link->in, total);
	if (link->in.size == 0 && link->in.capacity > INPUT_KEEP_BYTES)
		buf_finish(&link->in);
	return 1;
}

/* SPDX-License-Identifier: MIT */
/* The handshake, as the server answers it: link message, reply with a key, ticket, result. */
#include <errno.h>
#include <string.h>

#include "channels/link/link.h"
#include "channels/link/link_internal.h"

enum {
	COMMON_CAPS = 1u << SPICE_COMMON_CAP_PROTOCOL_AUTH_SELECTION |
		1u << SPICE_COMMON_CAP_AUTH_SPICE | 1u << SPICE_COMMON_CAP_MINI_HEADER,
	NEXT_DOOR_NS = 1000 * 1000,
	BUSY_NS = 30 * 1000 * 1000,
};

static int ticket_input(struct link *link);

static int reply_send(struct link *link, uint32_t error, const uint8_t *key, uint32_t caps_words)
{
	static const uint8_t no_key[SPICE_TICKET_PUBKEY_BYTES];
	struct buf out = { 0 };
	struct wire_writer w;
	int ret = -ENOMEM;

	wire_writer_init(&w, &out);
	wire_write_bytes(&w, "REDQ", 4);
	wire_write_u32(&w, SPICE_VERSION_MAJOR);
	wire_write_u32(&w, SPICE_VERSION_MINOR);
	wire_write_u32(&w, LINK_REPLY_BYTES + 4 * caps_words);
	wire_write_u32(&w, error);
	wire_write_bytes(&w, key ? key : no_key, SPICE_TICKET_PUBKEY_BYTES);
	wire_write_u32(&w, caps_words ? 1 : 0);
	wire_write_u32(&w, caps_words ? 1 : 0);
	wire_write_u32(&w, LINK_REPLY_BYTES);
	if (caps_words) {
		wire_write_u32(&w, COMMON_CAPS);
		wire_write_u32(&w,
			link->accept.channel_caps(link->accept.opaque, link->request.channel_type));
	}
	if (!w.failed)
		ret = link_send_raw(link, buf_bytes(&out), out.size);
	buf_finish(&out);
	return ret;
}

/* Tells the client why not, and ends. */
static int refuse(struct link *link, uint32_t spice_error, int error)
{
	int ret = reply_send(link, spice_error, NULL, 0);

	if (ret == 0)
		link_fail_after_flush(link, error);
	return ret;
}

static int result_send(struct link *link, uint32_t result)
{
	uint8_t bytes[4] = { (uint8_t)result, (uint8_t)(result >> 8), (uint8_t)(result >> 16),
		(uint8_t)(result >> 24) };

	return link_send_raw(link, bytes, sizeof(bytes));
}

/* Next door, what it takes beyond the way is the viewer's being busy, unless it is so long that
 * somebody far away may be behind who passes it on. */
static uint64_t answer_time(const struct link *link)
{
	uint64_t took_ns = clock_monotonic_ns() - link->reply_ns;
	uint64_t way_ns = stream_rtt_ns(&link->stream);

	return way_ns && way_ns < NEXT_DOOR_NS && took_ns < BUSY_NS ? way_ns : took_ns;
}

static int ticket_check(struct link *link, const uint8_t *ticket)
{
	const char *password = link->accept.password;
	uint32_t result;
	int ret;

	link->answer_ns = answer_time(link);
	if (password && !ticket_key_check(link->key, ticket, password)) {
		ret = result_send(link, SPICE_LINK_ERR_PERMISSION_DENIED);
		if (ret == 0)
			link_fail_after_flush(link, -EACCES);
		return ret;
	}
	buf_consume(&link->in, TICKET_BYTES);
	ticket_key_unref(link->key);
	link->key = NULL;
	result = link->accept.admit(link->accept.opaque, link, &link->request);
	if (link->destroyed)
		return 0;
	ret = result_send(link, result);
	if (ret < 0)
		return ret;
	if (result != SPICE_LINK_ERR_OK)
		link_fail_after_flush(link, -EPROTO);
	else
		link_go_up(link);
	return 1;
}

static int ticket_input(struct link *link)
{
	if (link->in.size < TICKET_BYTES)
		return 0;
	return ticket_check(link, buf_bytes(&link->in));
}

static int mechanism_input(struct link *link)
{
	struct wire_reader r;
	uint32_t mechanism;

	wire_reader_init(&r, buf_bytes(&link->in), link->in.size);
	mechanism = wire_read_u32(&r);
	if (!wire_reader_ok(&r))
		return 0;
	if (mechanism != SPICE_COMMON_CAP_AUTH_SPICE)
		return refuse(link, SPICE_LINK_ERR_INVALID_DATA, -EPROTO);
	buf_consume(&link->in, 4);
	link->input = ticket_input;
	return 1;
}

/* Answers with a key as soon as there is one. */
static int key_input(struct link *link)
{
	int ret;

	link->key = ticket_keys_take(link->accept.keys);
	if (!link->key) {
		ticket_keys_wait(link->accept.keys, &link->key_wait);
		return 0;
	}
	ret = reply_send(link, SPICE_LINK_ERR_OK, ticket_key_public(link->key), 2);
	if (ret < 0)
		return ret;
	link->reply_ns = clock_monotonic_ns();
	link->input = link_peer_has_common_cap(link, SPICE_COMMON_CAP_PROTOCOL_AUTH_SELECTION)
		? mechanism_input
		: ticket_input;
	return 1;
}

static void on_key(struct ticket_wait *wait)
{
	link_process(container_of(wait, struct link, key_wait));
}

static int mess_input(struct link *link)
{
	uint32_t common_count, channel_count, offset;
	const uint8_t *bytes = buf_bytes(&link->in);
	struct wire_reader r;

	if (link->in.size < link->handshake_bytes)
		return 0;
	wire_reader_init(&r, bytes, link->handshake_bytes);
	link->request.connection_id = wire_read_u32(&r);
	link->request.channel_type = wire_read_u8(&r);
	link->request.channel_id = wire_read_u8(&r);
	common_count = wire_read_u32(&r);
	channel_count = wire_read_u32(&r);
	offset = wire_read_u32(&r);
	if (!wire_reader_ok(&r) || offset < LINK_MESS_BYTES ||
		!link_caps_parse(bytes, link->handshake_bytes, offset, common_count, channel_count,
			&link->request.common_caps, &link->request.channel_caps))
		return refuse(link, SPICE_LINK_ERR_INVALID_DATA, -EPROTO);
	buf_consume(&link->in, link->handshake_bytes);
	link->input = key_input;
	return 1;
}

static int header_input(struct link *link)
{
	const uint8_t *bytes = buf_bytes(&link->in);
	struct wire_reader r;
	uint32_t major;

	if (link->in.size < 4)
		return 0;
	if (memcmp(bytes, "REDQ", 4) != 0)
		return refuse(link, SPICE_LINK_ERR_INVALID_MAGIC, -EPROTO);
	if (link->in.size < LINK_HEADER_BYTES)
		return 0;
	wire_reader_init(&r, bytes + 4, LINK_HEADER_BYTES - 4);
	major = wire_read_u32(&r);
	wire_skip(&r, 4);
	link->handshake_bytes = wire_read_u32(&r);
	if (major != SPICE_VERSION_MAJOR)
		return refuse(link, SPICE_LINK_ERR_VERSION_MISMATCH, -EPROTONOSUPPORT);
	if (link->handshake_bytes < LINK_MESS_BYTES || link->handshake_bytes > LINK_HANDSHAKE_MAX)
		return refuse(link, SPICE_LINK_ERR_INVALID_DATA, -EPROTO);
	buf_consume(&link->in, LINK_HEADER_BYTES);
	link->input = mess_input;
	return 1;
}

int link_accept(struct link **out, const struct link_accept_config *config, int fd,
	struct link_handler *handler)
{
	struct link *link;
	int ret = link_create(&link, config->loop, fd, handler);

	if (ret < 0)
		return ret;
	link->server = true;
	link->accept = *config;
	link->key_wait.ready = on_key;
	link->input = header_input;
	loop_timer_arm(link->timer, (uint64_t)LINK_HANDSHAKE_TIMEOUT_MS * 1000000);
	*out = link;
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* The handshake, as the client begins it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "channels/link/link.h"
#include "channels/link/link_internal.h"

enum {
	COMMON_CAPS = 1u << SPICE_COMMON_CAP_PROTOCOL_AUTH_SELECTION |
		1u << SPICE_COMMON_CAP_AUTH_SPICE | 1u << SPICE_COMMON_CAP_MINI_HEADER,
};

/* What a server's refusal is among errno's; the number itself goes to `closed` too. */
static int refusal(struct link *link, uint32_t spice_error)
{
	link->spice_error = spice_error;
	return spice_error == SPICE_LINK_ERR_PERMISSION_DENIED ? -EACCES : -ECONNREFUSED;
}

static int mess_send(struct link *link)
{
	struct buf out = { 0 };
	struct wire_writer w;
	int ret = -ENOMEM;

	wire_writer_init(&w, &out);
	wire_write_bytes(&w, "REDQ", 4);
	wire_write_u32(&w, SPICE_VERSION_MAJOR);
	wire_write_u32(&w, SPICE_VERSION_MINOR);
	wire_write_u32(&w, LINK_MESS_BYTES + 8);
	wire_write_u32(&w, link->request.connection_id);
	wire_write_u8(&w, link->request.channel_type);
	wire_write_u8(&w, link->request.channel_id);
	wire_write_u32(&w, 1);
	wire_write_u32(&w, 1);
	wire_write_u32(&w, LINK_MESS_BYTES);
	wire_write_u32(&w, COMMON_CAPS);
	wire_write_u32(&w, link->request.channel_caps);
	if (!w.failed)
		ret = link_send_raw(link, buf_bytes(&out), out.size);
	buf_finish(&out);
	return ret;
}

static int result_input(struct link *link)
{
	struct wire_reader r;
	uint32_t result;

	wire_reader_init(&r, buf_bytes(&link->in), link->in.size);
	result = wire_read_u32(&r);
	if (!wire_reader_ok(&r))
		return 0;
	buf_consume(&link->in, 4);
	if (result != SPICE_LINK_ERR_OK)
		return refusal(link, result);
	link_go_up(link);
	return 1;
}

static int ticket_send(struct link *link, const uint8_t *public_key)
{
	uint8_t out[4 + TICKET_BYTES] = { SPICE_COMMON_CAP_AUTH_SPICE };
	/* A server from before the choice of mechanisms expects the ticket at once. */
	bool choose = link_peer_has_common_cap(link, SPICE_COMMON_CAP_PROTOCOL_AUTH_SELECTION);
	int ret = ticket_encrypt(out + 4, public_key, link->password);

	if (ret < 0)
		return ret;
	return link_send_raw(link, choose ? out : out + 4, choose ? sizeof(out) : TICKET_BYTES);
}

static int reply_input(struct link *link)
{
	uint32_t error, common_count, channel_count, offset, common = 0, channel = 0;
	const uint8_t *bytes = buf_bytes(&link->in), *key;
	struct wire_reader r;
	int ret;

	if (link->in.size < link->handshake_bytes)
		return 0;
	wire_reader_init(&r, bytes, link->handshake_bytes);
	error = wire_read_u32(&r);
	key = wire_read_bytes(&r, SPICE_TICKET_PUBKEY_BYTES);
	common_count = wire_read_u32(&r);
	channel_count = wire_read_u32(&r);
	offset = wire_read_u32(&r);
	if (error != SPICE_LINK_ERR_OK)
		return refusal(link, error);
	if (!wire_reader_ok(&r) ||
		!link_caps_parse(bytes, link->handshake_bytes, offset, common_count, channel_count,
			&common, &channel))
		return -EPROTO;
	link->request.common_caps = common;
	link->request.channel_caps = channel;
	ret = ticket_send(link, key);
	if (ret < 0)
		return ret;
	buf_consume(&link->in, link->handshake_bytes);
	link->input = result_input;
	return 1;
}

static int header_input(struct link *link)
{
	const uint8_t *bytes = buf_bytes(&link->in);
	struct wire_reader r;
	uint32_t major;

	if (link->in.size < LINK_HEADER_BYTES)
		/* Something else that speaks first (SSH, VNC) shows early. */
		return link->in.size >= 4 && memcmp(bytes, "REDQ", 4) != 0 ? -EPROTO : 0;
	if (memcmp(bytes, "REDQ", 4) != 0)
		return -EPROTO;
	wire_reader_init(&r, bytes + 4, LINK_HEADER_BYTES - 4);
	major = wire_read_u32(&r);
	wire_skip(&r, 4);
	link->handshake_bytes = wire_read_u32(&r);
	if (major != SPICE_VERSION_MAJOR)
		return -EPROTONOSUPPORT;
	/* An error's reply may end behind the error. */
	if (link->handshake_bytes < 4 || link->handshake_bytes > LINK_HANDSHAKE_MAX)
		return -EPROTO;
	buf_consume(&link->in, LINK_HEADER_BYTES);
	link->input = reply_input;
	return 1;
}

int link_connect(struct link **out, const struct link_connect_config *config, int fd,
	struct link_handler *handler)
{
	uint32_t timeout_ms = config->handshake_timeout_ms ? config->handshake_timeout_ms
							   : LINK_HANDSHAKE_TIMEOUT_MS;
	struct link *link;
	int ret = link_create(&link, config->loop, fd, handler);

	if (ret < 0)
		return ret;
	link->request = config->request;
	link->password = strdup(config->password ? config->password : "");
	link->input = header_input;
	/* Written when the socket is connected, and that tells of a connect() that failed, too. */
	ret = link->password ? mess_send(link) : -ENOMEM;
	if (ret < 0) {
		link_destroy(link);
		return ret;
	}
	loop_timer_arm(link->timer, (uint64_t)timeout_ms * 1000000);
	*out = link;
	return 0;
}

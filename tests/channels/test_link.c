/* SPDX-License-Identifier: MIT */
/* Links: our two sides against each other, and each against bytes of a peer that errs. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "channels/link/link.h"
#include "core/log.h"
#include "core/util.h"

struct end {
	struct link_handler base;
	struct link *link;
	bool up;
	bool closed;
	int error;
	uint32_t spice_error;
	uint32_t messages;
	uint32_t drained;
	uint16_t types[64];
	struct buf last; /* the last message's body */
	int answer; /* what `message` returns */
};

struct fixture {
	struct loop *loop;
	struct pool *pool;
	struct ticket_keys *keys;
	struct end server;
	struct end client;
	struct link_request admitted;
	uint32_t verdict;
	int fds[2]; /* server's, client's; -1 when a link owns it */
};

static void end_up(struct link_handler *handler)
{
	container_of(handler, struct end, base)->up = true;
}

static int end_message(
	struct link_handler *handler, uint16_t type, const uint8_t *body, size_t size)
{
	struct end *end = container_of(handler, struct end, base);

	if (end->messages < ARRAY_SIZE(end->types))
		end->types[end->messages] = type;
	end->messages++;
	buf_clear(&end->last);
	assert_int_equal(buf_append(&end->last, body, size), 0);
	return end->answer;
}

static void end_drained(struct link_handler *handler)
{
	container_of(handler, struct end, base)->drained++;
}

static void end_closed(struct link_handler *handler, int error, uint32_t spice_error)
{
	struct end *end = container_of(handler, struct end, base);

	assert_false(end->closed);
	end->closed = true;
	end->error = error;
	end->spice_error = spice_error;
	link_destroy(end->link);
	end->link = NULL;
}

static const struct link_handler_ops end_ops = {
	.up = end_up,
	.message = end_message,
	.drained = end_drained,
	.closed = end_closed,
};

static uint32_t caps(void *opaque, uint8_t channel_type)
{
	return channel_type == SPICE_CHANNEL_MAIN ? 0x5 : 0;
}

static uint32_t admit(void *opaque, struct link *link, const struct link_request *request)
{
	struct fixture *f = opaque;

	f->admitted = *request;
	return f->verdict;
}

static void turn(struct fixture *f, bool *until)
{
	uint64_t end = clock_monotonic_ns() + 5000000000u;

	while (!*until && clock_monotonic_ns() < end)
		loop_run_once(f->loop, 100);
	assert_true(*until);
}

static void settle(struct fixture *f)
{
	for (int i = 0; i < 20; i++)
		loop_run_once(f->loop, 0);
}

static struct ticket_key *wait_for_key(struct fixture *f)
{
	struct ticket_key *key;

	while (!(key = ticket_keys_take(f->keys)))
		loop_run_once(f->loop, 50);
	return key;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	log_set_level(LOG_ERROR);
	f->server.base.ops = f->client.base.ops = &end_ops;
	assert_int_equal(loop_create(&f->loop), 0);
	assert_int_equal(pool_create(&f->pool, 1), 0);
	assert_int_equal(ticket_keys_create(&f->keys, f->loop, f->pool, 0), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, f->fds), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	link_destroy(f->server.link);
	link_destroy(f->client.link);
	for (int i = 0; i < 2; i++)
		if (f->fds[i] >= 0)
			close(f->fds[i]);
	/* The key in the making must be done with before its pool goes. */
	ticket_key_unref(wait_for_key(f));
	ticket_keys_destroy(f->keys);
	pool_destroy(f->pool);
	loop_destroy(f->loop);
	buf_finish(&f->server.last);
	buf_finish(&f->client.last);
	free(f);
	return 0;
}

static void start_server(struct fixture *f, const char *password)
{
	struct link_accept_config config = {
		.loop = f->loop,
		.keys = f->keys,
		.password = password,
		.opaque = f,
		.channel_caps = caps,
		.admit = admit,
	};

	assert_int_equal(link_accept(&f->server.link, &config, f->fds[0], &f->server.base), 0);
	f->fds[0] = -1;
}

static void start_client(struct fixture *f, const char *password)
{
	struct link_connect_config config = {
		.loop = f->loop,
		.request = { .connection_id = 0x11223344,
			.channel_type = SPICE_CHANNEL_MAIN,
			.channel_id = 3,
			.channel_caps = 0x9 },
		.password = password,
	};

	assert_int_equal(link_connect(&f->client.link, &config, f->fds[1], &f->client.base), 0);
	f->fds[1] = -1;
}

static void connect_both(struct fixture *f)
{
	start_server(f, NULL);
	start_client(f, NULL);
	turn(f, &f->client.up);
	assert_true(f->server.up);
}

static void test_handshake(void **state)
{
	struct fixture *f = *state;

	start_server(f, "secret");
	start_client(f, "secret");
	turn(f, &f->client.up);
	assert_true(f->server.up);
	assert_int_equal(f->admitted.connection_id, 0x11223344);
	assert_int_equal(f->admitted.channel_type, SPICE_CHANNEL_MAIN);
	assert_int_equal(f->admitted.channel_id, 3);
	assert_true(link_peer_has_cap(f->server.link, 0));
	assert_false(link_peer_has_cap(f->server.link, 1));
	assert_true(link_peer_has_cap(f->server.link, 3));
	assert_true(link_peer_has_cap(f->client.link, 2));
	assert_true(link_peer_has_common_cap(f->client.link, SPICE_COMMON_CAP_MINI_HEADER));
}

static void test_wrong_password(void **state)
{
	struct fixture *f = *state;

	start_server(f, "secret");
	start_client(f, "secreT");
	turn(f, &f->client.closed);
	turn(f, &f->server.closed);
	assert_int_equal(f->client.error, -EACCES);
	assert_int_equal(f->client.spice_error, SPICE_LINK_ERR_PERMISSION_DENIED);
	assert_int_equal(f->server.error, -EACCES);
	assert_false(f->server.up);
	assert_int_equal(f->admitted.channel_type, 0);
}

static void test_not_admitted(void **state)
{
	struct fixture *f = *state;

	f->verdict = SPICE_LINK_ERR_CHANNEL_NOT_AVAILABLE;
	start_server(f, NULL);
	start_client(f, NULL);
	turn(f, &f->client.closed);
	assert_int_equal(f->client.spice_error, SPICE_LINK_ERR_CHANNEL_NOT_AVAILABLE);
	turn(f, &f->server.closed);
}

/* Messages both ways, in order, and a ping that the client answers by itself. */
static void test_messages(void **state)
{
	struct fixture *f = *state;
	struct msg_ping ping = { .id = 7, .timestamp = 99 };
	struct msg_pong pong;

	connect_both(f);
	for (uint16_t i = 0; i < 5; i++)
		assert_int_equal(link_send_key_code(
					 f->client.link, 101, &(struct msg_key_code){ .code = i }),
			0);
	assert_int_equal(link_send(f->client.link, 102, NULL), 0);
	assert_int_equal(link_send_ping(f->server.link, SPICE_MSG_PING, &ping), 0);
	settle(f);
	assert_int_equal(f->server.messages, 7);
	assert_int_equal(f->server.types[0], 101);
	assert_int_equal(f->server.types[5], 102);
	assert_int_equal(f->server.types[6], SPICE_MSGC_PONG);
	assert_true(msg_pong_parse(&pong, buf_bytes(&f->server.last), f->server.last.size));
	assert_int_equal(pong.id, 7);
	assert_int_equal(pong.timestamp, 99);
	assert_int_equal(f->client.messages, 0);
}

/* A message larger than any socket buffer arrives whole. */
static void test_large_message(void **state)
{
	struct fixture *f = *state;
	enum { SIZE = 9 << 20 };
	struct buf body = { 0 };
	uint8_t *bytes = buf_reserve(&body, SIZE);

	connect_both(f);
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (uint8_t)(i * 7 >> 3);
	buf_commit(&body, SIZE);
	assert_int_equal(link_send(f->server.link, 304, &body), 0);
	assert_true(link_congested(f->server.link));
	for (int i = 0; i < 10000 && !f->client.messages; i++)
		loop_run_once(f->loop, 10);
	assert_int_equal(f->client.last.size, SIZE);
	bytes = buf_bytes(&f->client.last);
	for (size_t i = 0; i < SIZE; i++)
		if (bytes[i] != (uint8_t)(i * 7 >> 3))
			fail_msg("byte %zu differs", i);
	assert_int_equal(f->server.drained, 1);
	assert_false(link_congested(f->server.link));
}

/* Without acks, some windows of messages go out and no more; acks let the rest go. */
static void test_ack_window(void **state)
{
	struct fixture *f = *state;

	connect_both(f);
	assert_int_equal(link_start_acks(f->server.link), 0);
	for (int i = 0; i < 2 * LINK_ACK_WINDOWS * LINK_ACK_WINDOW; i++)
		assert_int_equal(link_send(f->server.link, 300, NULL), 0);
	settle(f);
	for (int i = 0; i < 100; i++)
		loop_run_once(f->loop, 0);
	assert_int_equal(f->client.messages, 2 * LINK_ACK_WINDOWS * LINK_ACK_WINDOW);
	assert_int_equal(link_queued_bytes(f->server.link), 0);
}

static void read_some(int fd, struct buf *buf)
{
	uint8_t *room = buf_reserve(buf, 1 << 16);
	ssize_t n = recv(fd, room, 1 << 16, MSG_DONTWAIT);

	if (n > 0)
		buf_commit(buf, (size_t)n);
}

/* A client's side by hand: link message with the given common capabilities, no mechanism asked. */
static void raw_connect(struct fixture *f, uint32_t common)
{
	struct buf out = { 0 }, in = { 0 };
	struct wire_writer w;
	static const uint8_t ticket[TICKET_BYTES];

	start_server(f, NULL);
	wire_writer_init(&w, &out);
	wire_write_bytes(&w, "REDQ", 4);
	wire_write_u32(&w, 2);
	wire_write_u32(&w, 2);
	wire_write_u32(&w, 22);
	wire_write_u32(&w, 0);
	wire_write_u8(&w, SPICE_CHANNEL_MAIN);
	wire_write_u8(&w, 0);
	wire_write_u32(&w, 1);
	wire_write_u32(&w, 0);
	wire_write_u32(&w, 18);
	wire_write_u32(&w, common);
	wire_write_bytes(&w, ticket, sizeof(ticket));
	assert_int_equal(write(f->fds[1], buf_bytes(&out), out.size), out.size);
	turn(f, &f->server.up);
	settle(f);
	read_some(f->fds[1], &in);
	/* Header, reply with two capability words, result. */
	assert_int_equal(in.size, 16 + 178 + 8 + 4);
	assert_memory_equal(buf_bytes(&in), "REDQ\2\0\0\0\2\0\0\0\xba\0\0\0\0\0\0\0", 20);
	/* SubjectPublicKeyInfo of a 1024-bit RSA key. */
	assert_memory_equal(buf_bytes(&in) + 20, "\x30\x81\x9f\x30\x0d\x06\x09\x2a\x86\x48", 10);
	buf_finish(&out);
	buf_finish(&in);
}

static void test_no_acks_stops(void **state)
{
	struct fixture *f = *state;
	struct buf in = { 0 };

	raw_connect(f, 1u << SPICE_COMMON_CAP_MINI_HEADER);
	assert_int_equal(link_start_acks(f->server.link), 0);
	for (int i = 0; i < 2 * LINK_ACK_WINDOWS * LINK_ACK_WINDOW; i++)
		assert_int_equal(link_send(f->server.link, 300, NULL), 0);
	assert_false(link_congested(f->server.link));
	settle(f);
	read_some(f->fds[1], &in);
	assert_int_equal(in.size, 6 + 8 + LINK_ACK_WINDOWS * LINK_ACK_WINDOW * 6);
	assert_true(link_congested(f->server.link));
	/* ACK_SYNC, then one ACK: one window more. */
	assert_int_equal(write(f->fds[1], "\1\0\4\0\0\0\1\0\0\0\2\0\0\0\0\0", 16), 16);
	settle(f);
	read_some(f->fds[1], &in);
	assert_int_equal(in.size, 6 + 8 + (LINK_ACK_WINDOWS + 1) * LINK_ACK_WINDOW * 6);
	assert_int_equal(f->server.messages, 0);
	buf_finish(&in);
}

/* Room that a flush makes, and not the socket's event, is told of too. */
static void test_drained_after_flush(void **state)
{
	struct fixture *f = *state;
	struct buf body = { 0 };

	raw_connect(f, 1u << SPICE_COMMON_CAP_MINI_HEADER);
	/* More than the socket takes at once, and then some that makes it lag. */
	assert_non_null(buf_reserve(&body, LINK_QUEUE_HIGH + (512 << 10)));
	buf_commit(&body, LINK_QUEUE_HIGH + (512 << 10));
	assert_int_equal(link_send(f->server.link, 304, &body), 0);
	loop_run_once(f->loop, 0);
	assert_true(link_congested(f->server.link));
	/* The reader takes what there is between our writes, outside of the loop. */
	for (int i = 0; i < 1000 && link_queued_bytes(f->server.link); i++) {
		static uint8_t sink[1 << 20];

		link_flush(f->server.link);
		(void)recv(f->fds[1], sink, sizeof(sink), MSG_DONTWAIT);
	}
	assert_int_equal(link_queued_bytes(f->server.link), 0);
	loop_run_once(f->loop, 0);
	assert_int_equal(f->server.drained, 1);
}

/* Without mini headers: 18 bytes, serials from 1, sub-lists taken. */
static void test_full_headers(void **state)
{
	struct fixture *f = *state;
	struct buf in = { 0 };
	static const uint8_t message[] = {
		1, 0, 0, 0, 0, 0, 0, 0, 200, 0, 26, 0, 0, 0, 4, 0, 0, 0, /* header, list at 4 */
		9, 9, 9, 9, /* own body */
		2, 0, 14, 0, 0, 0, 20, 0, 0, 0, /* two at 14, 20 */
		201, 0, 0, 0, 0, 0, /* first: empty */
		202, 0, 0, 0, 0, 0, /* second */
	};
	static const uint8_t expected[] = { 1, 0, 0, 0, 0, 0, 0, 0, 44, 1, 0, 0, 0, 0, 0, 0, 0, 0,
		2, 0, 0, 0, 0, 0, 0, 0, 45, 1, 0, 0, 0, 0, 0, 0, 0, 0 };

	raw_connect(f, 0);
	link_send(f->server.link, 300, NULL);
	link_send(f->server.link, 301, NULL);
	settle(f);
	read_some(f->fds[1], &in);
	assert_int_equal(in.size, sizeof(expected));
	assert_memory_equal(buf_bytes(&in), expected, sizeof(expected));
	buf_finish(&in);

	assert_int_equal(write(f->fds[1], message, sizeof(message)), sizeof(message));
	settle(f);
	assert_int_equal(f->server.messages, 3);
	assert_int_equal(f->server.types[0], 201);
	assert_int_equal(f->server.types[1], 202);
	assert_int_equal(f->server.types[2], 200);
	assert_int_equal(f->server.last.size, 26);
}

static void expect_refusal(void **state, const void *bytes, size_t size, uint32_t spice_error)
{
	struct fixture *f = *state;
	struct buf in = { 0 };

	start_server(f, NULL);
	assert_int_equal(write(f->fds[1], bytes, size), size);
	settle(f);
	read_some(f->fds[1], &in);
	assert_int_equal(in.size, 16 + 178);
	assert_int_equal(buf_bytes(&in)[16], spice_error);
	/* The reply is followed by the end, and the server lets go when we do. */
	assert_int_equal(recv(f->fds[1], buf_bytes(&in), 1, MSG_DONTWAIT), 0);
	shutdown(f->fds[1], SHUT_RDWR);
	turn(f, &f->server.closed);
	assert_false(f->server.up);
	buf_finish(&in);
}

static void test_bad_magic(void **state)
{
	expect_refusal(state, "GET / HTTP/1.0\r\n\r\n", 18, SPICE_LINK_ERR_INVALID_MAGIC);
}

static void test_bad_version(void **state)
{
	expect_refusal(state, "REDQ\3\0\0\0\0\0\0\0\22\0\0\0", 16, SPICE_LINK_ERR_VERSION_MISMATCH);
}

static void test_too_large_mess(void **state)
{
	expect_refusal(state, "REDQ\2\0\0\0\2\0\0\0\0\0\1\0", 16, SPICE_LINK_ERR_INVALID_DATA);
}

static void test_caps_beyond_mess(void **state)
{
	expect_refusal(state,
		"REDQ\2\0\0\0\2\0\0\0\22\0\0\0" /* 18 bytes that claim a word at 18 */
		"\0\0\0\0\1\0\1\0\0\0\0\0\0\0\22\0\0\0",
		34, SPICE_LINK_ERR_INVALID_DATA);
}

static void test_too_large_message(void **state)
{
	struct fixture *f = *state;

	raw_connect(f, 1u << SPICE_COMMON_CAP_MINI_HEADER);
	assert_int_equal(write(f->fds[1], "\145\0\1\0\20\0", 6), 6); /* 1 MiB and a byte */
	turn(f, &f->server.closed);
	assert_int_equal(f->server.error, -EMSGSIZE);
}

static void test_handler_refuses_message(void **state)
{
	struct fixture *f = *state;

	f->server.answer = -EPROTO;
	raw_connect(f, 1u << SPICE_COMMON_CAP_MINI_HEADER);
	assert_int_equal(write(f->fds[1], "\145\0\0\0\0\0\146\0\0\0\0\0", 12), 12);
	turn(f, &f->server.closed);
	assert_int_equal(f->server.error, -EPROTO);
	assert_int_equal(f->server.messages, 1);
}

/* A peer that reads nothing makes the queue full, and only then the link ends. */
static void test_queue_bound(void **state)
{
	struct fixture *f = *state;
	size_t sent = 0;
	int ret = 0;

	raw_connect(f, 1u << SPICE_COMMON_CAP_MINI_HEADER);
	while (ret == 0 && sent < 4u * LINK_QUEUE_MAX) {
		struct buf body = { 0 };

		assert_non_null(buf_reserve(&body, 1 << 20));
		buf_commit(&body, 1 << 20);
		ret = link_send(f->server.link, 300, &body);
		sent += 1 << 20;
	}
	assert_int_equal(ret, -ENOBUFS);
	assert_in_range(sent, LINK_QUEUE_MAX, LINK_QUEUE_MAX + (4u << 20));
	turn(f, &f->server.closed);
	assert_int_equal(f->server.error, -ENOBUFS);
}

/* A whole client's talk, cut at every length: the server ends each such link, nothing else. */
static void test_truncated_handshake(void **state)
{
	struct fixture *f = *state;
	uint8_t talk[16 + 18 + 8 + 4 + TICKET_BYTES] =
		"REDQ\2\0\0\0\2\0\0\0\32\0\0\0\0\0\0\0\1\0\1\0\0\0\1\0\0\0\22\0\0\0\13\0\0\0\0\0\0\0\1";

	ticket_key_unref(wait_for_key(f));
	for (size_t size = 0; size <= sizeof(talk); size++) {
		close(f->fds[1]);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, f->fds), 0);
		memset(&f->server, 0, sizeof(f->server));
		f->server.base.ops = &end_ops;
		start_server(f, "x");
		assert_int_equal(write(f->fds[1], talk, size), size);
		settle(f);
		assert_int_equal(shutdown(f->fds[1], SHUT_WR), 0);
		turn(f, &f->server.closed);
		assert_false(f->server.up);
		assert_int_equal(f->server.error, size == sizeof(talk) ? -EACCES : -ECONNRESET);
	}
}

/* The client against a server that says something else. */
static void expect_client_error(
	void **state, const void *bytes, size_t size, int error, uint32_t spice_error)
{
	struct fixture *f = *state;

	start_client(f, NULL);
	assert_int_equal(write(f->fds[0], bytes, size), size);
	turn(f, &f->client.closed);
	assert_int_equal(f->client.error, error);
	assert_int_equal(f->client.spice_error, spice_error);
}

static void test_client_not_spice(void **state)
{
	expect_client_error(state, "SSH-2.0-x\r\n", 11, -EPROTO, 0);
}

static void test_client_refused(void **state)
{
	uint8_t reply[16 + 178] = "REDQ\2\0\0\0\2\0\0\0\262\0\0\0\5"; /* NEED_SECURED */

	expect_client_error(
		state, reply, sizeof(reply), -ECONNREFUSED, SPICE_LINK_ERR_NEED_SECURED);
}

static void test_client_bad_key(void **state)
{
	uint8_t reply[16 + 178] = "REDQ\2\0\0\0\2\0\0\0\262\0\0\0\0\0\0\0\x30\x81";

	reply[190] = 178;
	expect_client_error(state, reply, sizeof(reply), -EPROTO, 0);
}

/* A message that claims 2 GiB ends the link before memory is taken for it. */
static void test_client_huge_message(void **state)
{
	struct fixture *f = *state;
	uint8_t talk[16 + 178 + 4 + 4 + 6] =
		"REDQ\2\0\0\0\2\0\0\0\266\0\0\0"; /* 178 and one word of capabilities */
	struct ticket_key *key = wait_for_key(f);

	memcpy(talk + 20, ticket_key_public(key), SPICE_TICKET_PUBKEY_BYTES);
	ticket_key_unref(key);
	talk[16 + 166] = 1; /* a common word */
	talk[16 + 174] = 178;
	talk[16 + 178] = 1u << SPICE_COMMON_CAP_MINI_HEADER;
	memcpy(talk + 16 + 178 + 8, "\145\0\0\0\0\200", 6);
	expect_client_error(state, talk, sizeof(talk), -EMSGSIZE, 0);
	assert_true(f->client.up);
}

static void test_wait_for_key(void **state)
{
	struct fixture *f = *state;

	/* The link message is here before any key can be. */
	start_server(f, "secret");
	start_client(f, "secret");
	turn(f, &f->server.up);
}

static void test_flood_before_key(void **state)
{
	struct fixture *f = *state;
	static uint8_t talk[65536] = "REDQ\2\0\0\0\2\0\0\0\22\0\0\0\0\0\0\0\1";

	talk[16 + 14] = 18;
	start_server(f, NULL);
	assert_int_equal(write(f->fds[1], talk, sizeof(talk)), sizeof(talk));
	loop_run_once(f->loop, 0);
	loop_run_once(f->loop, 0);
	assert_true(f->server.closed);
	assert_int_equal(f->server.error, -EMSGSIZE);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_handshake),
		T(test_wrong_password),
		T(test_not_admitted),
		T(test_messages),
		T(test_large_message),
		T(test_drained_after_flush),
		T(test_ack_window),
		T(test_no_acks_stops),
		T(test_full_headers),
		T(test_bad_magic),
		T(test_bad_version),
		T(test_too_large_mess),
		T(test_caps_beyond_mess),
		T(test_too_large_message),
		T(test_handler_refuses_message),
		T(test_queue_bound),
		T(test_truncated_handshake),
		T(test_client_not_spice),
		T(test_client_refused),
		T(test_client_bad_key),
		T(test_client_huge_message),
		T(test_wait_for_key),
		T(test_flood_before_key),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

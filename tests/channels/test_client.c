/* SPDX-License-Identifier: MIT */
/* The session: connecting, ending, inputs and cursor, against a server of which every word is given. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "client_stage.h"
#include "core/util.h"

#define MAIN    SPICE_CHANNEL_MAIN
#define DISPLAY SPICE_CHANNEL_DISPLAY
#define INPUTS  SPICE_CHANNEL_INPUTS
#define CURSOR  SPICE_CHANNEL_CURSOR

static int setup(void **state)
{
	*state = malloc(sizeof(struct stage));
	stage_open(*state);
	return 0;
}

static int teardown(void **state)
{
	stage_close(*state);
	free(*state);
	return 0;
}

/* ---- targets ---- */

static void expect_target(const char *text, const char *host, uint16_t port, const char *unix_path,
	const char *password)
{
	struct spice_target target;

	assert_int_equal(spice_target_parse(&target, text), 0);
	if (host) {
		assert_string_equal(target.host, host);
		assert_int_equal(target.port, port);
	} else {
		assert_null(target.host);
		assert_string_equal(target.unix_path, unix_path);
	}
	if (password)
		assert_string_equal(target.password, password);
	else
		assert_null(target.password);
	spice_target_finish(&target);
}

static void test_targets(void **state)
{
	static const char *const wrong[] = { "", ":5900", "host:", "host:0", "host:65536",
		"host:59x", "[::1", "[::1]x", "[]:1", "spice://", "spice://host/path",
		"spice://host?port=x", "spice+unix://", "spice+unix://relative", "http://host",
		"host name", "spice+unix:///a%0", "spice+unix:///a%00b", "spice+unix:///%zz" };
	struct spice_target target;

	expect_target("host", "host", 5900, NULL, NULL);
	expect_target("host:5901", "host", 5901, NULL, NULL);
	expect_target("127.0.0.1:65535", "127.0.0.1", 65535, NULL, NULL);
	expect_target("[::1]:5902", "::1", 5902, NULL, NULL);
	expect_target("[::1]", "::1", 5900, NULL, NULL);
	expect_target("::1", "::1", 5900, NULL, NULL);
	expect_target("spice://host:5903", "host", 5903, NULL, NULL);
	expect_target("spice://host/?port=5904&tls-port=1", "host", 5904, NULL, NULL);
	expect_target("spice://[::1]?port=5905&password=a%20b%26", "::1", 5905, NULL, "a b&");
	expect_target("spice+unix:///run/a%20socket", NULL, 0, "/run/a socket", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		if (spice_target_parse(&target, wrong[i]) != -EINVAL)
			fail_msg("'%s' was taken", wrong[i]);
}

/* ---- coming up and ending ---- */

static void test_bring_up(void **state)
{
	struct stage *stage = *state;
	struct msg_display_init init;
	struct msg_preferred_compression preferred;
	const struct buf *body;

	stage->server_caps = 1u << SPICE_DISPLAY_CAP_PREF_COMPRESSION;
	stage_bring_up(stage);
	assert_int_equal(stage->events[SPICE_CLIENT_CONNECTED], 1);
	assert_int_equal(stage->events[SPICE_CLIENT_FIRST_FRAME], 0);
	stage_heard(stage, MAIN, SPICE_MSGC_MAIN_ATTACH_CHANNELS);
	body = stage_heard(stage, DISPLAY, SPICE_MSGC_DISPLAY_INIT);
	assert_true(msg_display_init_parse(&init, buf_bytes(body), body->size));
	assert_true(init.pixmap_cache_size > 0);
	/* The server is on this machine: packing is not worth it. */
	body = stage_heard(stage, DISPLAY, SPICE_MSGC_DISPLAY_PREFERRED_COMPRESSION);
	assert_true(msg_preferred_compression_parse(&preferred, buf_bytes(body), body->size));
	assert_int_equal(preferred.compression, SPICE_IMAGE_COMPRESSION_OFF);
	/* Only what we can do is offered. */
	assert_int_equal(link_request(stage->channels[DISPLAY]->link)->channel_caps,
		1u << SPICE_DISPLAY_CAP_MONITORS_CONFIG | 1u << SPICE_DISPLAY_CAP_LZ4_COMPRESSION |
			1u << SPICE_DISPLAY_CAP_PREF_COMPRESSION |
			1u << SPICE_DISPLAY_CAP_SIZED_STREAM |
			1u << SPICE_DISPLAY_CAP_STREAM_REPORT |
			1u << SPICE_DISPLAY_CAP_MULTI_CODEC | 1u << SPICE_DISPLAY_CAP_CODEC_MJPEG |
			1u << SPICE_DISPLAY_CAP_CODEC_VP8 |
			1u << SPICE_DISPLAY_CAP_PREF_VIDEO_CODEC_TYPE |
			1u << SPICE_DISPLAY_CAP_COMPOSITE | 1u << SPICE_DISPLAY_CAP_A8_SURFACE);
	/* The first mark counts once there is a picture, and once only. */
	stage_send(stage, DISPLAY, SPICE_MSG_DISPLAY_MARK, NULL);
	assert_int_equal(stage->events[SPICE_CLIENT_FIRST_FRAME], 0);
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_SURFACE_CREATE, surface_create,
		{ .width = 64,
			.height = 48,
			.format = SPICE_SURFACE_FMT_32_xRGB,
			.flags = SPICE_SURFACE_FLAGS_PRIMARY });
	stage_send(stage, DISPLAY, SPICE_MSG_DISPLAY_MARK, NULL);
	stage_send(stage, DISPLAY, SPICE_MSG_DISPLAY_MARK, NULL);
	assert_int_equal(stage->events[SPICE_CLIENT_FIRST_FRAME], 1);
	STAGE_SEND(stage, MAIN, SPICE_MSG_MAIN_NAME, name,
		{ .name = { (const uint8_t *)"my\n vm\0", 7 } });
	assert_int_equal(stage->events[SPICE_CLIENT_NAME], 1);
	assert_string_equal(stage->reason, "my vm");
}

/* What the user chose is what the server is told. */
static void test_options(void **state)
{
	static const struct {
		enum spice_client_compression wish;
		uint8_t told; /* INVALID: nothing */
	} cases[] = {
		{ SPICE_CLIENT_COMPRESSION_SERVER, SPICE_IMAGE_COMPRESSION_INVALID },
		{ SPICE_CLIENT_COMPRESSION_LZ4, SPICE_IMAGE_COMPRESSION_LZ4 },
	};

	stage_close(*state);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct stage *stage = *state;
		struct msg_preferred_compression preferred;
		struct msg_display_init init;
		const struct buf *body;
		const uint16_t type = SPICE_MSGC_DISPLAY_PREFERRED_COMPRESSION;

		stage_open(stage);
		stage->server_caps = 1u << SPICE_DISPLAY_CAP_PREF_COMPRESSION;
		stage->options = (struct spice_client_options){ .cache_bytes = 4 << 20,
			.glz_window_bytes = 8 << 20,
			.compression = cases[i].wish };
		stage_bring_up(stage);
		body = stage_heard(stage, DISPLAY, SPICE_MSGC_DISPLAY_INIT);
		assert_true(msg_display_init_parse(&init, buf_bytes(body), body->size));
		assert_int_equal(init.pixmap_cache_size, 1 << 20);
		assert_int_equal(init.glz_window_size, 2 << 20);
		assert_int_equal(stage_heard_count(stage, DISPLAY, type),
			cases[i].told != SPICE_IMAGE_COMPRESSION_INVALID);
		if (cases[i].told != SPICE_IMAGE_COMPRESSION_INVALID) {
			body = stage_heard(stage, DISPLAY, type);
			assert_true(msg_preferred_compression_parse(
				&preferred, buf_bytes(body), body->size));
			assert_int_equal(preferred.compression, cases[i].told);
		}
		if (i + 1 < ARRAY_SIZE(cases))
			stage_close(stage);
	}
}

static void test_password(void **state)
{
	struct stage *stage = *state;

	stage->password = "secret";
	stage_connect(stage, "wrong");
	stage_turn(stage, &stage->events[SPICE_CLIENT_AUTH_NEEDED]);
	assert_string_equal(stage->reason, "the password is wrong");
	spice_client_destroy(stage->client);
	stage_connect(stage, NULL);
	stage->events[SPICE_CLIENT_AUTH_NEEDED] = 0;
	stage_turn(stage, &stage->events[SPICE_CLIENT_AUTH_NEEDED]);
	assert_non_null(strstr(stage->reason, "asks for a password"));
	assert_int_equal(stage->events[SPICE_CLIENT_DISCONNECTED], 0);
}

static void test_unreachable(void **state)
{
	struct stage *stage = *state;

	close(stage->listen_fd); /* nobody listens on the path now */
	loop_fd_remove(stage->listener);
	stage->listener = NULL;
	stage->listen_fd = dup(0);
	stage_connect(stage, NULL);
	stage_turn(stage, &stage->events[SPICE_CLIENT_DISCONNECTED]);
	assert_non_null(strstr(stage->reason, "refused the connection"));
}

static void test_server_goes(void **state)
{
	struct stage *stage = *state;

	stage_bring_up(stage);
	link_destroy(stage->channels[DISPLAY]->link);
	stage->channels[DISPLAY]->link = NULL;
	stage_turn(stage, &stage->events[SPICE_CLIENT_DISCONNECTED]);
	assert_string_equal(stage->reason, "the server closed the connection");
	/* What the others still say is not heard. */
	STAGE_SEND(
		stage, MAIN, SPICE_MSG_MAIN_NAME, name, { .name = { (const uint8_t *)"vm", 3 } });
	assert_int_equal(stage->events[SPICE_CLIENT_NAME], 0);
	assert_int_equal(stage->events[SPICE_CLIENT_DISCONNECTED], 1);
}

static void test_server_errs(void **state)
{
	struct stage *stage = *state;
	struct buf body = { 0 };

	stage_bring_up(stage);
	assert_int_equal(buf_append(&body, "abc", 3), 0);
	stage_send(stage, CURSOR, SPICE_MSG_CURSOR_MOVE, &body);
	stage_turn(stage, &stage->events[SPICE_CLIENT_DISCONNECTED]);
	assert_string_equal(
		stage->reason, "the server broke the SPICE protocol on the cursor channel");
}

static void test_no_display(void **state)
{
	struct stage *stage = *state;

	stage_bring_up(stage);
	STAGE_SEND(stage, MAIN, SPICE_MSG_MAIN_CHANNELS_LIST, channels_list,
		{ .list = { .count = 1, .items = { { SPICE_CHANNEL_INPUTS, 0 } } } });
	stage_turn(stage, &stage->events[SPICE_CLIENT_DISCONNECTED]);
	assert_non_null(strstr(stage->reason, "serves no display"));
}

/* ---- inputs ---- */

static uint32_t key_code(struct stage *stage, uint32_t scancode, bool down)
{
	struct input_sink *input = spice_client_input(stage->client);
	struct msg_key_code msg;
	const struct buf *body;

	input->ops->key(input, scancode, down);
	body = stage_heard(
		stage, INPUTS, down ? SPICE_MSGC_INPUTS_KEY_DOWN : SPICE_MSGC_INPUTS_KEY_UP);
	assert_true(msg_key_code_parse(&msg, buf_bytes(body), body->size));
	return msg.code;
}

static void test_keys(void **state)
{
	struct stage *stage = *state;
	struct input_sink *input;
	struct msg_key_modifiers modifiers;
	const struct buf *body;

	stage_bring_up(stage);
	assert_int_equal(key_code(stage, 0x1e, true), 0x1e);
	assert_int_equal(key_code(stage, 0x1e, false), 0x9e);
	assert_int_equal(key_code(stage, 0x153, true), 0x53e0);
	assert_int_equal(key_code(stage, 0x153, false), 0xd3e0);
	assert_int_equal(key_code(stage, 0x21d, true), 0x451de1);
	assert_int_equal(key_code(stage, 0x21d, false), 0xc59de1);
	input = spice_client_input(stage->client);
	input->ops->set_leds(input, INPUT_LED_CAPS | INPUT_LED_NUM);
	body = stage_heard(stage, INPUTS, SPICE_MSGC_INPUTS_KEY_MODIFIERS);
	assert_true(msg_key_modifiers_parse(&modifiers, buf_bytes(body), body->size));
	assert_int_equal(modifiers.modifiers,
		SPICE_KEYBOARD_MODIFIER_FLAGS_CAPS_LOCK | SPICE_KEYBOARD_MODIFIER_FLAGS_NUM_LOCK);
	STAGE_SEND(stage, INPUTS, SPICE_MSG_INPUTS_KEY_MODIFIERS, key_modifiers,
		{ .modifiers = SPICE_KEYBOARD_MODIFIER_FLAGS_SCROLL_LOCK });
	assert_int_equal(input->leds, INPUT_LED_SCROLL);
}

/* The lights may be told before the channel is up: they are sent then. */
static void test_early_leds(void **state)
{
	struct stage *stage = *state;
	struct input_sink *input;
	struct msg_key_modifiers modifiers;
	const struct buf *body;

	stage_connect(stage, NULL);
	input = spice_client_input(stage->client);
	input->ops->set_leds(input, INPUT_LED_NUM);
	input->ops->key(input, 0x1e, true); /* dropped: nobody is there */
	stage_bring_up(stage);
	body = stage_heard(stage, INPUTS, SPICE_MSGC_INPUTS_KEY_MODIFIERS);
	assert_true(msg_key_modifiers_parse(&modifiers, buf_bytes(body), body->size));
	assert_int_equal(modifiers.modifiers, SPICE_KEYBOARD_MODIFIER_FLAGS_NUM_LOCK);
	assert_int_equal(stage_heard_count(stage, INPUTS, SPICE_MSGC_INPUTS_KEY_DOWN), 0);
}

static void test_motion_window(void **state)
{
	struct stage *stage = *state;
	struct input_sink *input;
	struct msg_mouse_motion motion;
	struct msg_mouse_button press;
	const struct buf *body;

	stage_bring_up(stage);
	input = spice_client_input(stage->client);
	assert_false(input->absolute);
	for (int i = 0; i < 20; i++)
		input->ops->motion(input, 1, -2);
	stage_settle(stage);
	/* Two bunches are under way, the rest is gathered. */
	assert_int_equal(stage_heard_count(stage, INPUTS, SPICE_MSGC_INPUTS_MOUSE_MOTION), 8);
	stage_send(stage, INPUTS, SPICE_MSG_INPUTS_MOUSE_MOTION_ACK, NULL);
	assert_int_equal(stage_heard_count(stage, INPUTS, SPICE_MSGC_INPUTS_MOUSE_MOTION), 9);
	body = stage_heard(stage, INPUTS, SPICE_MSGC_INPUTS_MOUSE_MOTION);
	assert_true(msg_mouse_motion_parse(&motion, buf_bytes(body), body->size));
	assert_int_equal(motion.dx, 12);
	assert_int_equal(motion.dy, -24);
	input->ops->button(input, INPUT_BUTTON_RIGHT, true);
	body = stage_heard(stage, INPUTS, SPICE_MSGC_INPUTS_MOUSE_PRESS);
	assert_true(msg_mouse_button_parse(&press, buf_bytes(body), body->size));
	assert_int_equal(press.button, SPICE_MOUSE_BUTTON_RIGHT);
	assert_int_equal(press.buttons, SPICE_MOUSE_BUTTON_MASK_RIGHT);
	input->ops->button(input, INPUT_BUTTON_RIGHT, false);
	body = stage_heard(stage, INPUTS, SPICE_MSGC_INPUTS_MOUSE_RELEASE);
	assert_true(msg_mouse_button_parse(&press, buf_bytes(body), body->size));
	assert_int_equal(press.buttons, 0);
}

static void test_mouse_modes(void **state)
{
	struct stage *stage = *state;
	struct input_sink *input;
	struct msg_mouse_position position;
	const struct buf *body;

	stage_bring_up(stage);
	input = spice_client_input(stage->client);
	/* The guest can take positions now: they are asked for, and used once granted. */
	STAGE_SEND(stage, MAIN, SPICE_MSG_MAIN_MOUSE_MODE, mouse_mode,
		{ SPICE_MOUSE_MODE_SERVER | SPICE_MOUSE_MODE_CLIENT, SPICE_MOUSE_MODE_SERVER });
	stage_heard(stage, MAIN, SPICE_MSGC_MAIN_MOUSE_MODE_REQUEST);
	assert_false(input->absolute);
	input->ops->position(input, 10, 20, 64, 48);
	STAGE_SEND(stage, MAIN, SPICE_MSG_MAIN_MOUSE_MODE, mouse_mode,
		{ SPICE_MOUSE_MODE_SERVER | SPICE_MOUSE_MODE_CLIENT, SPICE_MOUSE_MODE_CLIENT });
	assert_true(input->absolute);
	assert_int_equal(stage_heard_count(stage, MAIN, SPICE_MSGC_MAIN_MOUSE_MODE_REQUEST), 1);
	input->ops->position(input, 30, 40, 64, 48);
	body = stage_heard(stage, INPUTS, SPICE_MSGC_INPUTS_MOUSE_POSITION);
	assert_int_equal(stage_heard_count(stage, INPUTS, SPICE_MSGC_INPUTS_MOUSE_POSITION), 1);
	assert_true(msg_mouse_position_parse(&position, buf_bytes(body), body->size));
	assert_int_equal(position.x, 30);
	assert_int_equal(position.y, 40);
	input->ops->motion(input, 1, 1);
	stage_settle(stage);
	assert_int_equal(stage_heard_count(stage, INPUTS, SPICE_MSGC_INPUTS_MOUSE_MOTION), 0);
}

/* ---- cursor ---- */

static void send_cursor(
	struct stage *stage, uint16_t flags, uint64_t unique, const uint32_t *pixels)
{
	struct proto_cursor cursor = { .flags = flags,
		.unique = unique,
		.type = SPICE_CURSOR_TYPE_ALPHA,
		.width = 2,
		.height = 2,
		.hot_x = 1,
		.data = { (const uint8_t *)pixels, pixels ? 16 : 0 } };

	STAGE_SEND(stage, CURSOR, SPICE_MSG_CURSOR_SET, cursor_set,
		{ .position = { 5, 6 }, .visible = 1, .cursor = cursor });
}

static void test_cursor(void **state)
{
	static const uint32_t red[4] = { 0xffff0000, 0, 0, 0xffff0000 };
	static const uint32_t blue[4] = { 0xff0000ff, 0, 0, 0 };
	struct stage *stage = *state;
	const struct cursor_state *cursor = display_cursor(stage->hub);
	uint32_t argb[4];

	stage_bring_up(stage);
	STAGE_SEND(stage, CURSOR, SPICE_MSG_CURSOR_INIT, cursor_init,
		{ .position = { 1, 2 },
			.visible = 1,
			.cursor = { .flags = SPICE_CURSOR_FLAGS_NONE } });
	assert_null(cursor->shape);
	assert_true(cursor->visible);
	send_cursor(stage, SPICE_CURSOR_FLAGS_CACHE_ME, 9, red);
	assert_int_equal(cursor->position.x, 5);
	assert_int_equal(cursor->shape->hot_x, 1);
	cursor_shape_to_argb(cursor->shape, argb);
	assert_memory_equal(argb, red, sizeof(red));
	send_cursor(stage, 0, 10, blue);
	cursor_shape_to_argb(cursor->shape, argb);
	assert_memory_equal(argb, blue, sizeof(blue));
	send_cursor(stage, SPICE_CURSOR_FLAGS_FROM_CACHE, 9, NULL);
	cursor_shape_to_argb(cursor->shape, argb);
	assert_memory_equal(argb, red, sizeof(red));
	stage_send(stage, CURSOR, SPICE_MSG_CURSOR_HIDE, NULL);
	assert_false(cursor->visible);
	STAGE_SEND(stage, CURSOR, SPICE_MSG_CURSOR_MOVE, cursor_move, { .position = { -3, 7 } });
	assert_true(cursor->visible);
	assert_int_equal(cursor->position.x, -3);
	STAGE_SEND(stage, CURSOR, SPICE_MSG_CURSOR_INVAL_ONE, inval_one, { .id = 9 });
	send_cursor(stage, SPICE_CURSOR_FLAGS_FROM_CACHE, 9, NULL);
	assert_null(cursor->shape); /* not cached any more: none rather than a wrong one */
	assert_int_equal(stage->events[SPICE_CLIENT_DISCONNECTED], 0);
}

int main(void)
{
#define STAGED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_targets),
		STAGED(test_bring_up),
		STAGED(test_options),
		STAGED(test_password),
		STAGED(test_unreachable),
		STAGED(test_server_goes),
		STAGED(test_server_errs),
		STAGED(test_no_display),
		STAGED(test_keys),
		STAGED(test_early_leds),
		STAGED(test_motion_window),
		STAGED(test_mouse_modes),
		STAGED(test_cursor),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

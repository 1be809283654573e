/* SPDX-License-Identifier: MIT */
/* The server's channels, each against a viewer that says exactly what the test wants. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/log.h"
#include "core/util.h"
#include "tests/channels/server_scene.h"
#include "tests/channels/server_side.h"

struct fixture {
	struct loop *loop;
	struct pool *pool;
	struct display *display;
	struct input_sink input;
	struct spice_server *server;
	uint32_t viewers;
	char events[1024]; /* what reached the input sink */
	struct side main, display_side, inputs, cursor, other;
	uint32_t session;
};

/* ---- the input sink ---- */

__attribute__((format(printf, 2, 3))) static void note(
	struct input_sink *sink, const char *format, ...)
{
	struct fixture *f = container_of(sink, struct fixture, input);
	size_t used = strlen(f->events);
	va_list args;

	va_start(args, format);
	vsnprintf(f->events + used, sizeof(f->events) - used, format, args);
	va_end(args);
}

static void on_key(struct input_sink *sink, uint32_t scancode, bool down)
{
	note(sink, "%s%x ", down ? "+" : "-", scancode);
}
static void on_motion(struct input_sink *sink, int32_t dx, int32_t dy)
{
	note(sink, "m%d,%d ", dx, dy);
}
static void on_position(struct input_sink *sink, int32_t x, int32_t y, uint32_t w, uint32_t h)
{
	note(sink, "p%d,%d/%ux%u ", x, y, w, h);
}
static void on_button(struct input_sink *sink, enum input_button button, bool down)
{
	note(sink, "%sb%d ", down ? "+" : "-", (int)button);
}
static void on_set_leds(struct input_sink *sink, uint32_t leds)
{
	note(sink, "l%u ", leds);
}

static const struct input_sink_ops input_ops = {
	.key = on_key,
	.motion = on_motion,
	.position = on_position,
	.button = on_button,
	.set_leds = on_set_leds,
};

/* ---- the viewer ---- */

static void settle(struct fixture *f)
{
	for (int i = 0; i < 30; i++)
		loop_run_once(f->loop, 1);
}

/* Connects anew; waits until the link is up or refused. */
static void connect_side(
	struct fixture *f, struct side *side, uint8_t type, uint32_t session, uint32_t caps)
{
	side_finish(side);
	side_connect(side, f->loop, f->server, type, session, caps);
	settle(f);
}

static uint32_t count(const struct side *side, uint16_t type)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < side->count; i++)
		n += side->types[i] == type;
	return n;
}

static void connect_main(struct fixture *f)
{
	struct msg_main_init init;

	connect_side(f, &f->main, SPICE_CHANNEL_MAIN, 0, 1u << SPICE_MAIN_CAP_NAME_AND_UUID);
	assert_true(f->main.up);
	SIDE_GET(&f->main, main_init, SPICE_MSG_MAIN_INIT, 0, &init);
	f->session = init.session_id;
}

static void viewers_changed(void *opaque, uint32_t viewers)
{
	((struct fixture *)opaque)->viewers = viewers;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct spice_server_config config = {
		.name = "vm",
		.uuid = (const uint8_t *)"0123456789abcdef",
		.max_viewers = 2,
		.viewers_changed = viewers_changed,
		.opaque = f,
	};

	log_set_level(LOG_ERROR);
	assert_int_equal(loop_create(&f->loop), 0);
	assert_int_equal(pool_create(&f->pool, 1), 0);
	assert_int_equal(display_create(&f->display), 0);
	input_sink_init(&f->input, &input_ops);
	scene_begin(f->display);
	config.loop = f->loop;
	config.pool = f->pool;
	config.display = f->display;
	config.input = &f->input;
	assert_int_equal(spice_server_create(&f->server, &config), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	/* The key, or a picture, in the making. */
	for (int i = 0; i < 5; i++)
		loop_run_once(f->loop, 20);
	spice_server_destroy(f->server);
	side_finish(&f->main);
	side_finish(&f->display_side);
	side_finish(&f->inputs);
	side_finish(&f->cursor);
	side_finish(&f->other);
	for (int i = 0; i < 5; i++)
		loop_run_once(f->loop, 20);
	display_destroy(f->display);
	pool_destroy(f->pool);
	loop_destroy(f->loop);
	free(f);
	return 0;
}

/* ---- sessions ---- */

static void test_main(void **state)
{
	struct fixture *f = *state;
	struct msg_channels_list list;
	struct msg_main_init init;
	struct msg_name name;
	struct msg_uuid uuid;

	connect_main(f);
	assert_int_equal(f->viewers, 1);
	SIDE_GET(&f->main, main_init, SPICE_MSG_MAIN_INIT, 0, &init);
	assert_int_not_equal(init.session_id, 0);
	assert_int_equal(init.supported_mouse_modes, SPICE_MOUSE_MODE_SERVER);
	assert_int_equal(init.current_mouse_mode, SPICE_MOUSE_MODE_SERVER);
	assert_int_equal(init.agent_connected, 0);
	SIDE_GET(&f->main, channels_list, SPICE_MSG_MAIN_CHANNELS_LIST, 0, &list);
	assert_int_equal(list.list.count, 3);
	SIDE_GET(&f->main, name, SPICE_MSG_MAIN_NAME, 0, &name);
	assert_int_equal(name.name.size, 3);
	SIDE_GET(&f->main, uuid, SPICE_MSG_MAIN_UUID, 0, &uuid);
	assert_memory_equal(uuid.uuid.bytes, "0123456789abcdef", 16);
	/* Asked for once more, the list is not sent twice: viewers would connect twice. */
	link_send(f->main.link, SPICE_MSGC_MAIN_ATTACH_CHANNELS, NULL);
	settle(f);
	assert_int_equal(count(&f->main, SPICE_MSG_MAIN_CHANNELS_LIST), 1);
}

static void test_who_is_let_in(void **state)
{
	struct fixture *f = *state;

	connect_main(f);
	connect_side(f, &f->inputs, SPICE_CHANNEL_INPUTS, f->session + 1, 0);
	assert_int_equal(f->inputs.spice_error, SPICE_LINK_ERR_BAD_CONNECTION_ID);
	connect_side(f, &f->inputs, SPICE_CHANNEL_INPUTS, 0, 0);
	assert_int_equal(f->inputs.spice_error, SPICE_LINK_ERR_BAD_CONNECTION_ID);
	connect_side(f, &f->inputs, SPICE_CHANNEL_PLAYBACK, f->session, 0);
	assert_int_equal(f->inputs.spice_error, SPICE_LINK_ERR_CHANNEL_NOT_AVAILABLE);
	connect_side(f, &f->inputs, SPICE_CHANNEL_INPUTS, f->session, 0);
	assert_true(f->inputs.up);
	connect_side(f, &f->other, SPICE_CHANNEL_INPUTS, f->session, 0);
	assert_int_equal(f->other.spice_error, SPICE_LINK_ERR_CHANNEL_NOT_AVAILABLE);
	connect_side(f, &f->other, SPICE_CHANNEL_MAIN, 0, 0);
	assert_true(f->other.up);
	assert_int_equal(f->viewers, 2);
	connect_side(f, &f->cursor, SPICE_CHANNEL_MAIN, 0, 0); /* two are the most */
	assert_int_equal(f->cursor.spice_error, SPICE_LINK_ERR_ERROR);
	/* Without its main channel the first viewer's inputs end too, the second's session
	 * stays. */
	link_destroy(f->main.link);
	f->main.link = NULL;
	settle(f);
	assert_true(f->inputs.closed);
	assert_false(f->other.closed);
	assert_int_equal(f->viewers, 1);
}

static void test_malformed_closes_one_link(void **state)
{
	struct fixture *f = *state;
	struct buf body = { 0 };

	connect_main(f);
	connect_side(f, &f->inputs, SPICE_CHANNEL_INPUTS, f->session, 0);
	connect_side(f, &f->cursor, SPICE_CHANNEL_CURSOR, f->session, 0);
	assert_int_equal(buf_append(&body, "xyz", 3), 0);
	link_send(f->inputs.link, SPICE_MSGC_INPUTS_KEY_DOWN, &body);
	settle(f);
	assert_true(f->inputs.closed);
	assert_false(f->main.closed);
	assert_false(f->cursor.closed);
	/* Types that nobody knows are passed over. */
	link_send(f->main.link, 4711, NULL);
	settle(f);
	assert_false(f->main.closed);
}

/* ---- main: mouse modes ---- */

static void request_mode(struct fixture *f, uint16_t mode)
{
	link_send_mouse_mode_request(f->main.link, SPICE_MSGC_MAIN_MOUSE_MODE_REQUEST,
		&(struct msg_mouse_mode_request){ .mode = mode });
	settle(f);
}

static void test_mouse_modes(void **state)
{
	struct fixture *f = *state;
	struct msg_mouse_mode mode;

	connect_main(f);
	request_mode(f, SPICE_MOUSE_MODE_CLIENT);
	SIDE_GET(&f->main, mouse_mode, SPICE_MSG_MAIN_MOUSE_MODE, 0, &mode);
	assert_int_equal(mode.current_mode, SPICE_MOUSE_MODE_SERVER); /* it cannot be */
	input_sink_set_absolute(&f->input, true);
	settle(f);
	SIDE_GET(&f->main, mouse_mode, SPICE_MSG_MAIN_MOUSE_MODE, 1, &mode);
	assert_int_equal(mode.supported_modes, 3);
	assert_int_equal(mode.current_mode, SPICE_MOUSE_MODE_SERVER);
	request_mode(f, SPICE_MOUSE_MODE_CLIENT);
	SIDE_GET(&f->main, mouse_mode, SPICE_MSG_MAIN_MOUSE_MODE, 2, &mode);
	assert_int_equal(mode.current_mode, SPICE_MOUSE_MODE_CLIENT);
	input_sink_set_absolute(&f->input, false);
	settle(f);
	SIDE_GET(&f->main, mouse_mode, SPICE_MSG_MAIN_MOUSE_MODE, 3, &mode);
	assert_int_equal(mode.current_mode, SPICE_MOUSE_MODE_SERVER);
	assert_int_equal(mode.supported_modes, 1);
	request_mode(f, 3); /* neither */
	assert_true(f->main.closed);
}

/* ---- inputs ---- */

static void key(struct fixture *f, uint16_t type, uint32_t code)
{
	link_send_key_code(f->inputs.link, type, &(struct msg_key_code){ .code = code });
}

static void expect_events(struct fixture *f, const char *events)
{
	settle(f);
	assert_string_equal(f->events, events);
	f->events[0] = '\0';
}

static void test_keys(void **state)
{
	struct fixture *f = *state;
	struct buf body = { 0 };
	struct msg_key_modifiers leds;

	connect_main(f);
	f->input.leds = INPUT_LED_NUM;
	connect_side(f, &f->inputs, SPICE_CHANNEL_INPUTS, f->session, 0);
	SIDE_GET(&f->inputs, key_modifiers, SPICE_MSG_INPUTS_INIT, 0, &leds);
	assert_int_equal(leds.modifiers, SPICE_KEYBOARD_MODIFIER_FLAGS_NUM_LOCK);
	key(f, SPICE_MSGC_INPUTS_KEY_DOWN, 0x1e);
	key(f, SPICE_MSGC_INPUTS_KEY_UP, 0x9e);
	key(f, SPICE_MSGC_INPUTS_KEY_DOWN, 0x4de0);
	key(f, SPICE_MSGC_INPUTS_KEY_UP, 0xcde0);
	key(f, SPICE_MSGC_INPUTS_KEY_UP, 0x30); /* without the release bit */
	expect_events(f, "+1e -1e +14d -14d -30 ");
	key(f, SPICE_MSGC_INPUTS_KEY_DOWN, 0x451de1); /* Pause at once, and in two */
	key(f, SPICE_MSGC_INPUTS_KEY_UP, 0xc59de1);
	key(f, SPICE_MSGC_INPUTS_KEY_DOWN, 0x1de1);
	key(f, SPICE_MSGC_INPUTS_KEY_DOWN, 0x45);
	key(f, SPICE_MSGC_INPUTS_KEY_UP, 0x9de1);
	key(f, SPICE_MSGC_INPUTS_KEY_UP, 0xc5);
	key(f, SPICE_MSGC_INPUTS_KEY_DOWN, 0xe0); /* half a key is none */
	key(f, SPICE_MSGC_INPUTS_KEY_DOWN, 0x02);
	expect_events(f, "+21d -21d +21d -21d +2 ");
	assert_int_equal(buf_append(&body, "\xe0\x4d\xe0\xcd\x1e", 5), 0);
	link_send(f->inputs.link, SPICE_MSGC_INPUTS_KEY_SCANCODE, &body);
	link_send_key_modifiers(f->inputs.link, SPICE_MSGC_INPUTS_KEY_MODIFIERS,
		&(struct msg_key_modifiers){
			.modifiers = SPICE_KEYBOARD_MODIFIER_FLAGS_CAPS_LOCK });
	expect_events(f, "+14d -14d +1e l4 ");
	input_sink_set_leds(&f->input, INPUT_LED_CAPS);
	settle(f);
	SIDE_GET(&f->inputs, key_modifiers, SPICE_MSG_INPUTS_KEY_MODIFIERS, 0, &leds);
	assert_int_equal(leds.modifiers, SPICE_KEYBOARD_MODIFIER_FLAGS_CAPS_LOCK);
	/* What is held when the link drops is let go. */
	link_destroy(f->inputs.link);
	f->inputs.link = NULL;
	expect_events(f, "-2 -1e ");
}

static void motion(struct fixture *f, int32_t dx, int32_t dy, uint16_t buttons)
{
	link_send_mouse_motion(f->inputs.link, SPICE_MSGC_INPUTS_MOUSE_MOTION,
		&(struct msg_mouse_motion){ .dx = dx, .dy = dy, .buttons = buttons });
}

static void position(struct fixture *f, uint32_t x, uint32_t y)
{
	link_send_mouse_position(f->inputs.link, SPICE_MSGC_INPUTS_MOUSE_POSITION,
		&(struct msg_mouse_position){ .x = x, .y = y });
}

static void button(struct fixture *f, uint16_t type, uint8_t which, uint16_t state)
{
	link_send_mouse_button(f->inputs.link, type,
		&(struct msg_mouse_button){ .button = which, .buttons = state });
}

static void test_pointer(void **state)
{
	struct fixture *f = *state;

	connect_main(f);
	connect_side(f, &f->inputs, SPICE_CHANNEL_INPUTS, f->session, 0);
	motion(f, 3, -4, 0);
	position(f, 1, 1); /* not in this mode */
	button(f, SPICE_MSGC_INPUTS_MOUSE_PRESS, SPICE_MOUSE_BUTTON_RIGHT, 4);
	motion(f, 1, 1, SPICE_MOUSE_BUTTON_MASK_RIGHT);
	button(f, SPICE_MSGC_INPUTS_MOUSE_PRESS, SPICE_MOUSE_BUTTON_DOWN, 4);
	button(f, SPICE_MSGC_INPUTS_MOUSE_RELEASE, SPICE_MOUSE_BUTTON_DOWN, 4);
	button(f, SPICE_MSGC_INPUTS_MOUSE_PRESS, 200, 4); /* no such button */
	expect_events(f, "m3,-4 +b2 m1,1 +b4 -b4 ");
	assert_int_equal(count(&f->inputs, SPICE_MSG_INPUTS_MOUSE_MOTION_ACK), 0);
	motion(f, 0, 1, 0); /* the release was not seen */
	expect_events(f, "m0,1 -b2 ");
	assert_int_equal(count(&f->inputs, SPICE_MSG_INPUTS_MOUSE_MOTION_ACK), 1);
	input_sink_set_absolute(&f->input, true);
	button(f, SPICE_MSGC_INPUTS_MOUSE_PRESS, SPICE_MOUSE_BUTTON_LEFT, 1);
	settle(f);
	request_mode(f, SPICE_MOUSE_MODE_CLIENT);
	motion(f, 9, 9, 0);
	position(f, 100, 7);
	position(f, 0xffffffff, 480);
	expect_events(f, "+b0 -b0 p100,7/640x480 p639,479/640x480 ");
}

/* ---- cursor ---- */

static void set_cursor(struct fixture *f, uint64_t unique, int32_t x, bool visible)
{
	struct cursor_state cursor = { .position = { x, 20 }, .visible = visible };

	assert_int_equal(cursor_shape_create(&cursor.shape, CURSOR_ALPHA, 8, 8, 1, 2), 0);
	cursor.shape->unique = unique;
	memset(cursor.shape->data, (int)unique, cursor.shape->size_bytes);
	display_sink(f->display)->ops->cursor(display_sink(f->display), &cursor);
	cursor_shape_unref(cursor.shape);
	settle(f);
}

static void move_cursor(struct fixture *f, int32_t x, bool visible)
{
	struct cursor_state cursor = *display_cursor(f->display);

	cursor.position.x = x;
	cursor.visible = visible;
	display_sink(f->display)->ops->cursor(display_sink(f->display), &cursor);
}

static void test_cursor(void **state)
{
	struct fixture *f = *state;
	struct msg_cursor_init init;
	struct msg_cursor_move move;
	struct msg_cursor_set set;

	connect_main(f);
	set_cursor(f, 7, 10, true);
	connect_side(f, &f->cursor, SPICE_CHANNEL_CURSOR, f->session, 0);
	SIDE_GET(&f->cursor, cursor_init, SPICE_MSG_CURSOR_INIT, 0, &init);
	assert_int_equal(init.visible, 1);
	assert_int_equal(init.position.x, 10);
	assert_int_equal(init.cursor.flags, SPICE_CURSOR_FLAGS_CACHE_ME);
	assert_int_equal(init.cursor.unique, 7);
	assert_int_equal(init.cursor.hot_y, 2);
	assert_int_equal(init.cursor.data.size, 8 * 8 * 4);
	for (int x = 0; x < 5; x++) /* in one turn: one message */
		move_cursor(f, 30 + x, true);
	settle(f);
	SIDE_GET(&f->cursor, cursor_move, SPICE_MSG_CURSOR_MOVE, 0, &move);
	assert_int_equal(move.position.x, 34);
	assert_int_equal(count(&f->cursor, SPICE_MSG_CURSOR_MOVE), 1);
	set_cursor(f, 8, 34, true);
	set_cursor(f, 7, 34, true);
	SIDE_GET(&f->cursor, cursor_set, SPICE_MSG_CURSOR_SET, 0, &set);
	assert_int_equal(set.cursor.flags, SPICE_CURSOR_FLAGS_CACHE_ME);
	assert_int_equal(set.cursor.data.data[0], 8);
	SIDE_GET(&f->cursor, cursor_set, SPICE_MSG_CURSOR_SET, 1, &set);
	assert_int_equal(set.cursor.flags, SPICE_CURSOR_FLAGS_FROM_CACHE);
	assert_int_equal(set.cursor.unique, 7);
	assert_int_equal(set.cursor.data.size, 0);
	move_cursor(f, 34, false);
	settle(f);
	assert_int_equal(count(&f->cursor, SPICE_MSG_CURSOR_HIDE), 1);
	move_cursor(f, 40, true);
	settle(f);
	SIDE_GET(&f->cursor, cursor_set, SPICE_MSG_CURSOR_SET, 2, &set);
	assert_int_equal(set.position.x, 40);
}

static void test_cursor_cache_is_bounded(void **state)
{
	struct fixture *f = *state;
	struct msg_inval_one inval;
	struct msg_cursor_set set;

	connect_main(f);
	connect_side(f, &f->cursor, SPICE_CHANNEL_CURSOR, f->session, 0);
	for (uint64_t unique = 1; unique <= 65; unique++)
		set_cursor(f, unique, 1, true);
	assert_int_equal(count(&f->cursor, SPICE_MSG_CURSOR_INVAL_ONE), 1);
	SIDE_GET(&f->cursor, inval_one, SPICE_MSG_CURSOR_INVAL_ONE, 0, &inval);
	assert_int_equal(inval.id, 1);
	set_cursor(f, 2, 1, true);
	SIDE_GET(&f->cursor, cursor_set, SPICE_MSG_CURSOR_SET, 65, &set);
	assert_int_equal(set.cursor.flags, SPICE_CURSOR_FLAGS_FROM_CACHE);
	set_cursor(f, 1, 1, true); /* 3 goes, as 2 was used just now */
	SIDE_GET(&f->cursor, inval_one, SPICE_MSG_CURSOR_INVAL_ONE, 1, &inval);
	assert_int_equal(inval.id, 3);
}

/* ---- display ---- */

static void display_init(struct fixture *f)
{
	link_send_display_init(f->display_side.link, SPICE_MSGC_DISPLAY_INIT,
		&(struct msg_display_init){ .pixmap_cache_id = 1, .pixmap_cache_size = 100 });
	settle(f);
	for (int i = 0; i < 100 && !count(&f->display_side, SPICE_MSG_DISPLAY_MARK); i++)
		loop_run_once(f->loop, 20);
}

static void test_display_start(void **state)
{
	struct fixture *f = *state;
	struct side *side = &f->display_side;
	struct msg_surface_create create;
	struct msg_monitors_config heads;
	struct msg_draw_copy copy;

	connect_main(f);
	connect_side(f, side, SPICE_CHANNEL_DISPLAY, f->session,
		1u << SPICE_DISPLAY_CAP_MONITORS_CONFIG);
	assert_int_equal(side->count, 0); /* the viewer speaks first */
	display_init(f);
	SIDE_GET(side, surface_create, SPICE_MSG_DISPLAY_SURFACE_CREATE, 0, &create);
	assert_int_equal(create.surface_id, 0);
	assert_int_equal(create.width, SCENE_WIDTH);
	assert_int_equal(create.format, SPICE_SURFACE_FMT_32_xRGB);
	assert_int_equal(create.flags, SPICE_SURFACE_FLAGS_PRIMARY);
	SIDE_GET(side, monitors_config, SPICE_MSG_DISPLAY_MONITORS_CONFIG, 0, &heads);
	assert_int_equal(heads.list.count, 1);
	assert_int_equal(heads.list.items[0].height, SCENE_HEIGHT);
	/* The whole picture in one message, then the mark. */
	SIDE_GET(side, draw_copy, SPICE_MSG_DISPLAY_DRAW_COPY, 0, &copy);
	assert_int_equal(copy.base.box.right, SCENE_WIDTH);
	assert_int_equal(copy.base.box.bottom, SCENE_HEIGHT);
	assert_true(side_seek(side, SPICE_MSG_DISPLAY_MARK, 0) >
		side_seek(side, SPICE_MSG_DISPLAY_DRAW_COPY, 0));
	/* INIT twice is a mistake. */
	display_init(f);
	assert_true(side->closed);
}

static void test_display_compression(void **state)
{
	struct fixture *f = *state;
	struct side *side = &f->display_side;
	struct rect area = { 0, 0, 32, 32 }, all = { 0, 0, SCENE_WIDTH, SCENE_HEIGHT - 100 };
	struct msg_draw_copy copy;
	struct draw *draw;
	uint32_t before;

	/* The scene's noise is no smaller with LZ4; one colour is. */
	assert_int_equal(draw_create(&draw, DRAW_FILL, 0, &all), 0);
	draw->fill.brush.type = BRUSH_SOLID;
	display_sink(f->display)->ops->draw(display_sink(f->display), draw);
	draw_unref(draw);
	spice_server_set_compression(f->server, SPICE_SERVER_COMPRESSION_LZ4);
	connect_main(f);
	connect_side(f, side, SPICE_CHANNEL_DISPLAY, f->session,
		1u << SPICE_DISPLAY_CAP_LZ4_COMPRESSION);
	display_init(f);
	SIDE_GET(side, draw_copy, SPICE_MSG_DISPLAY_DRAW_COPY, 0, &copy);
	assert_int_equal(copy.source.type, SPICE_IMAGE_TYPE_LZ4); /* as the server is set */
	assert_int_equal(count(side, SPICE_MSG_DISPLAY_MONITORS_CONFIG), 0);
	link_send_preferred_compression(side->link, SPICE_MSGC_DISPLAY_PREFERRED_COMPRESSION,
		&(struct msg_preferred_compression){ .compression = SPICE_IMAGE_COMPRESSION_OFF });
	settle(f);
	before = count(side, SPICE_MSG_DISPLAY_DRAW_COPY);
	display_sink(f->display)->ops->dirty(display_sink(f->display), 0, &area);
	settle(f);
	SIDE_GET(side, draw_copy, SPICE_MSG_DISPLAY_DRAW_COPY, before, &copy);
	assert_int_equal(copy.source.type, SPICE_IMAGE_TYPE_BITMAP);
	assert_int_equal(copy.base.box.right, 32);
}

/* A new mode: the old surface goes, the new one comes with its picture and a mark of its own. */
static void test_display_mode_change(void **state)
{
	struct fixture *f = *state;
	struct side *side = &f->display_side;

	connect_main(f);
	connect_side(f, side, SPICE_CHANNEL_DISPLAY, f->session, 1u << SPICE_DISPLAY_CAP_COMPOSITE);
	display_init(f);
	display_sink(f->display)->ops->surface_destroy(display_sink(f->display), 0);
	scene_begin(f->display);
	settle(f);
	for (int i = 0; i < 100 && count(side, SPICE_MSG_DISPLAY_MARK) < 2; i++)
		loop_run_once(f->loop, 20);
	assert_int_equal(count(side, SPICE_MSG_DISPLAY_MARK), 2);
	/* The primary, and the off-screen surface that scene_begin() made anew. */
	assert_int_equal(count(side, SPICE_MSG_DISPLAY_SURFACE_DESTROY), 2);
	assert_int_equal(count(side, SPICE_MSG_DISPLAY_SURFACE_CREATE), 4);
}

/* The largest picture that is sent whole: raw, it is more than all else may queue. */
static void test_display_large_picture(void **state)
{
	struct fixture *f = *state;
	struct side *side = &f->display_side;
	struct surface *surface;
	struct msg_draw_copy copy;

	spice_server_set_compression(f->server, SPICE_SERVER_COMPRESSION_OFF);
	assert_int_equal(surface_create(&surface, SURFACE_XRGB8888, 4096, 2400), 0);
	display_sink(f->display)->ops->surface_create(display_sink(f->display), 0, surface);
	surface_unref(surface);
	connect_main(f);
	connect_side(f, side, SPICE_CHANNEL_DISPLAY, f->session, 0);
	display_init(f);
	for (int i = 0; i < 2000 && !side->closed && !count(side, SPICE_MSG_DISPLAY_MARK); i++)
		loop_run_once(f->loop, 20);
	assert_false(side->closed);
	SIDE_GET(side, draw_copy, SPICE_MSG_DISPLAY_DRAW_COPY, 0, &copy);
	assert_int_equal(copy.base.box.bottom, 2400);
	assert_int_equal(copy.source.bitmap.data.size, 4096 * 2400 * 4);
	assert_int_equal(count(side, SPICE_MSG_DISPLAY_MARK), 1);
}

/* ---- listening ---- */

static void test_listen(void **state)
{
	struct fixture *f = *state;
	char folder[] = "/tmp/spicebox-test-XXXXXX", path[64];
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	uint16_t port = 0, again;
	struct stat st;
	int fd;

	assert_int_equal(spice_server_listen_tcp(f->server, "localhost", &port), 0);
	assert_int_not_equal(port, 0);
	again = port;
	assert_int_equal(spice_server_listen_tcp(f->server, "127.0.0.1", &again), -EADDRINUSE);
	assert_int_equal(spice_server_listen_tcp(f->server, "no such place", &again), -EINVAL);

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/socket", folder);
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0); /* one that nobody listens on */
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	assert_int_equal(spice_server_listen_unix(f->server, path), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(spice_server_listen_unix(f->server, path), -EADDRINUSE);
	spice_server_destroy(f->server);
	f->server = NULL;
	assert_int_equal(stat(path, &st), -1);
	rmdir(folder);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_main),
		T(test_who_is_let_in),
		T(test_malformed_closes_one_link),
		T(test_mouse_modes),
		T(test_keys),
		T(test_pointer),
		T(test_cursor),
		T(test_cursor_cache_is_bounded),
		T(test_display_start),
		T(test_display_compression),
		T(test_display_mode_change),
		T(test_display_large_picture),
		T(test_listen),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* The inputs channel: a viewer's keys and pointer, to the machine's input sink. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "channels/server/server_internal.h"

enum {
	KEYS = 0x300, /* input_sink's scan codes: plain, E0, E1 */
	KEY_E0 = 0x100,
	KEY_PAUSE = 0x21d,
	KEY_RELEASE = 0x80,
};

/* Where in a prefixed code the bytes are. */
enum scan_state { SCAN_START, SCAN_E0, SCAN_E1, SCAN_E1_CODE };

struct inputs_channel {
	struct channel base;
	uint64_t held[KEYS / 64]; /* keys that this viewer holds down */
	uint32_t buttons; /* bit n: enum input_button n is down */
	uint32_t motions; /* since the last ack */
	enum scan_state scan;
	bool pause_release;
};

static struct inputs_channel *of_channel(struct channel *channel)
{
	return container_of(channel, struct inputs_channel, base);
}

static struct input_sink *sink_of(struct channel *channel)
{
	return channel->session->server->config.input;
}

uint32_t inputs_channel_caps(void)
{
	return 1u << SPICE_INPUTS_CAP_KEY_SCANCODE;
}

/* ---- keys ---- */

static void key(struct inputs_channel *inputs, uint32_t scancode, bool down)
{
	struct input_sink *sink = sink_of(&inputs->base);
	uint64_t bit = 1ull << scancode % 64;

	if (down)
		inputs->held[scancode / 64] |= bit;
	else
		inputs->held[scancode / 64] &= ~bit;
	if (sink)
		sink->ops->key(sink, scancode, down);
}

/* One byte of scan code set 1, as an AT keyboard would send it. */
static void scan_byte(struct inputs_channel *inputs, uint8_t byte)
{
	bool down = !(byte & KEY_RELEASE);
	uint32_t code = byte & ~(uint32_t)KEY_RELEASE;

	switch (inputs->scan) {
	case SCAN_START:
		if (byte == 0xe0)
			inputs->scan = SCAN_E0;
		else if (byte == 0xe1)
			inputs->scan = SCAN_E1;
		else if (code)
			key(inputs, code, down);
		break;
	case SCAN_E0:
		inputs->scan = SCAN_START;
		if (code)
			key(inputs, KEY_E0 | code, down);
		break;
	case SCAN_E1: /* E1 1D 45: Pause, the only one with this prefix */
		inputs->scan = SCAN_E1_CODE;
		inputs->pause_release = !down;
		break;
	case SCAN_E1_CODE:
		inputs->scan = SCAN_START;
		key(inputs, KEY_PAUSE, !inputs->pause_release);
		break;
	}
}

/* The code of a KEY_DOWN or KEY_UP: up to four bytes, the first lowest. */
static int on_key(struct inputs_channel *inputs, bool up, const uint8_t *body, size_t size)
{
	struct msg_key_code msg;

	if (!msg_key_code_parse(&msg, body, size))
		return -EPROTO;
	for (uint32_t code = msg.code; code; code >>= 8) {
		uint8_t byte = (uint8_t)code;

		/* Some viewers leave the release bit of KEY_UP to us. */
		if (up && byte != 0xe0 && byte != 0xe1)
			byte |= KEY_RELEASE;
		scan_byte(inputs, byte);
	}
	/* Pause comes in two messages (E1 1D, 45); half an E0 code is none. */
	if (inputs->scan == SCAN_E0)
		inputs->scan = SCAN_START;
	return 0;
}

static int on_scancode(struct inputs_channel *inputs, const uint8_t *body, size_t size)
{
	for (size_t i = 0; i < size; i++)
		scan_byte(inputs, body[i]);
	return 0;
}

static int on_modifiers(struct inputs_channel *inputs, const uint8_t *body, size_t size)
{
	struct input_sink *sink = sink_of(&inputs->base);
	struct msg_key_modifiers msg;

	if (!msg_key_modifiers_parse(&msg, body, size))
		return -EPROTO;
	/* SPICE_KEYBOARD_MODIFIER_FLAGS_* and INPUT_LED_* are the same bits. */
	if (sink)
		sink->ops->set_leds(sink, msg.modifiers & SPICE_KEYBOARD_MODIFIER_FLAGS_MASK);
	return 0;
}

void inputs_channel_leds(struct channel *channel, uint32_t leds)
{
	struct msg_key_modifiers msg = { .modifiers = (uint16_t)leds };

	if (link_is_up(channel->link))
		link_send_key_modifiers(channel->link, SPICE_MSG_INPUTS_KEY_MODIFIERS, &msg);
}

/* ---- pointer ---- */

static void button(struct inputs_channel *inputs, enum input_button which, bool down)
{
	struct input_sink *sink = sink_of(&inputs->base);
	uint32_t bit = 1u << which;

	if (down)
		inputs->buttons |= bit;
	else
		inputs->buttons &= ~bit;
	if (sink)
		sink->ops->button(sink, which, down);
}

/* The buttons' state that comes with motion mends a press or release that was not seen. */
static void sync_buttons(struct inputs_channel *inputs, uint16_t state)
{
	static const enum input_button kept[] = { INPUT_BUTTON_LEFT, INPUT_BUTTON_MIDDLE,
		INPUT_BUTTON_RIGHT };

	/* SPICE_MOUSE_BUTTON_MASK_* has bit n for enum input_button n. */
	for (uint32_t i = 0; i < ARRAY_SIZE(kept); i++) {
		bool down = state >> kept[i] & 1;

		if (down != (inputs->buttons >> kept[i] & 1))
			button(inputs, kept[i], down);
	}
}

static void count_motion(struct inputs_channel *inputs)
{
	if (++inputs->motions < SPICE_INPUT_MOTION_ACK_BUNCH)
		return;
	inputs->motions = 0;
	link_send(inputs->base.link, SPICE_MSG_INPUTS_MOUSE_MOTION_ACK, NULL);
}

static int on_motion(struct inputs_channel *inputs, const uint8_t *body, size_t size)
{
	struct input_sink *sink = sink_of(&inputs->base);
	struct msg_mouse_motion msg;

	if (!msg_mouse_motion_parse(&msg, body, size))
		return -EPROTO;
	count_motion(inputs);
	if (inputs->base.session->mouse_mode != SPICE_MOUSE_MODE_SERVER)
		return 0;
	if (sink && (msg.dx || msg.dy))
		sink->ops->motion(sink, msg.dx, msg.dy);
	sync_buttons(inputs, msg.buttons);
	return 0;
}

static int on_position(struct inputs_channel *inputs, const uint8_t *body, size_t size)
{
	struct spice_server *server = inputs->base.session->server;
	struct surface *screen = server->surfaces[DISPLAY_PRIMARY].surface;
	struct input_sink *sink = sink_of(&inputs->base);
	struct msg_mouse_position msg;

	if (!msg_mouse_position_parse(&msg, body, size))
		return -EPROTO;
	count_motion(inputs);
	if (inputs->base.session->mouse_mode != SPICE_MOUSE_MODE_CLIENT)
		return 0;
	if (sink && screen)
		sink->ops->position(sink, (int32_t)MIN(msg.x, screen->width - 1),
			(int32_t)MIN(msg.y, screen->height - 1), screen->width, screen->height);
	sync_buttons(inputs, msg.buttons);
	return 0;
}

static int on_button(struct inputs_channel *inputs, bool down, const uint8_t *body, size_t size)
{
	struct msg_mouse_button msg;

	if (!msg_mouse_button_parse(&msg, body, size))
		return -EPROTO;
	/* SPICE_MOUSE_BUTTON_LEFT is 1, and the others follow in our order. */
	if (msg.button >= SPICE_MOUSE_BUTTON_LEFT && msg.button <= SPICE_MOUSE_BUTTON_EXTRA)
		button(inputs, (enum input_button)(msg.button - SPICE_MOUSE_BUTTON_LEFT), down);
	return 0;
}

/* ---- the channel ---- */

/* Nothing stays pressed behind a viewer that is gone, or that changes its pointer's kind. */
static void release_buttons(struct inputs_channel *inputs)
{
	for (uint32_t i = 0; i <= INPUT_BUTTON_EXTRA; i++)
		if (inputs->buttons >> i & 1)
			button(inputs, (enum input_button)i, false);
}

void inputs_channel_mouse_mode(struct channel *channel)
{
	release_buttons(of_channel(channel));
}

static void inputs_start(struct channel *channel)
{
	struct input_sink *sink = sink_of(channel);
	struct msg_key_modifiers init = { .modifiers = (uint16_t)(sink ? sink->leds : 0) };

	link_send_key_modifiers(channel->link, SPICE_MSG_INPUTS_INIT, &init);
}

static int inputs_message(struct channel *channel, uint16_t type, const uint8_t *body, size_t size)
{
	struct inputs_channel *inputs = of_channel(channel);

	switch (type) {
	case SPICE_MSGC_INPUTS_KEY_DOWN: return on_key(inputs, false, body, size);
	case SPICE_MSGC_INPUTS_KEY_UP: return on_key(inputs, true, body, size);
	case SPICE_MSGC_INPUTS_KEY_SCANCODE: return on_scancode(inputs, body, size);
	case SPICE_MSGC_INPUTS_KEY_MODIFIERS: return on_modifiers(inputs, body, size);
	case SPICE_MSGC_INPUTS_MOUSE_MOTION: return on_motion(inputs, body, size);
	case SPICE_MSGC_INPUTS_MOUSE_POSITION: return on_position(inputs, body, size);
	case SPICE_MSGC_INPUTS_MOUSE_PRESS: return on_button(inputs, true, body, size);
	case SPICE_MSGC_INPUTS_MOUSE_RELEASE: return on_button(inputs, false, body, size);
	default: return 0;
	}
}

static void inputs_destroy(struct channel *channel)
{
	struct inputs_channel *inputs = of_channel(channel);

	for (uint32_t code = 0; code < KEYS; code++)
		if (inputs->held[code / 64] >> code % 64 & 1)
			key(inputs, code, false);
	release_buttons(inputs);
	free(inputs);
}

static const struct channel_ops inputs_ops = {
	.start = inputs_start,
	.message = inputs_message,
	.destroy = inputs_destroy,
};

int inputs_channel_create(struct channel **out, struct session *session)
{
	struct inputs_channel *inputs = calloc(1, sizeof(*inputs));

	if (!inputs)
		return -ENOMEM;
	channel_init(&inputs->base, &inputs_ops, session, SPICE_CHANNEL_INPUTS);
	*out = &inputs->base;
	return 0;
}

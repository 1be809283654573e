/* SPDX-License-Identifier: MIT */
/* The inputs channel: keys, pointer and lock lights. */
#include <errno.h>
#include <string.h>

#include "channels/client/client_internal.h"
#include "core/util.h"

/* At most so many motions are under way: two bunches, of which the server acknowledges each. */
enum { MOTIONS_MAX = 2 * SPICE_INPUT_MOTION_ACK_BUNCH };

static struct client_inputs *of_channel(struct client_channel *channel)
{
	return container_of(channel, struct client_inputs, base);
}

static struct client_inputs *of_sink(struct input_sink *sink)
{
	return container_of(sink, struct client_inputs, sink);
}

/* The bytes that a PC keyboard sends, the first in the lowest byte. */
static uint32_t wire_code(uint32_t scancode, bool down)
{
	uint32_t code = scancode & 0x7f, up = down ? 0 : 0x80;

	if (scancode & 0x200) /* Pause: E1 1D 45 */
		return 0xe1 | (0x1d | up) << 8 | (0x45 | up) << 16;
	if (scancode & 0x100)
		return 0xe0 | (code | up) << 8;
	return code | up;
}

static void on_key(struct input_sink *sink, uint32_t scancode, bool down)
{
	struct client_inputs *inputs = of_sink(sink);
	struct msg_key_code msg = { .code = wire_code(scancode, down) };

	if (inputs->base.up)
		link_send_key_code(inputs->base.link,
			down ? SPICE_MSGC_INPUTS_KEY_DOWN : SPICE_MSGC_INPUTS_KEY_UP, &msg);
}

/* Sends the motion that waits. */
static void send_motion(struct client_inputs *inputs)
{
	struct link *link = inputs->base.link;

	if (inputs->dx || inputs->dy) {
		struct msg_mouse_motion msg = {
			.dx = inputs->dx, .dy = inputs->dy, .buttons = inputs->buttons
		};
		link_send_mouse_motion(link, SPICE_MSGC_INPUTS_MOUSE_MOTION, &msg);
		inputs->dx = inputs->dy = 0;
		inputs->unacked++;
	}
	if (inputs->position_waits) {
		struct msg_mouse_position msg = { .x = (uint32_t)inputs->x,
			.y = (uint32_t)inputs->y,
			.buttons = inputs->buttons };
		link_send_mouse_position(link, SPICE_MSGC_INPUTS_MOUSE_POSITION, &msg);
		inputs->position_waits = false;
		inputs->unacked++;
	}
}

static void motion_added(struct client_inputs *inputs)
{
	if (inputs->unacked < MOTIONS_MAX)
		send_motion(inputs);
}

static void on_motion(struct input_sink *sink, int32_t dx, int32_t dy)
{
	struct client_inputs *inputs = of_sink(sink);

	if (!inputs->base.up || sink->absolute)
		return;
	if (__builtin_add_overflow(inputs->dx, dx, &inputs->dx))
		inputs->dx = dx;
	if (__builtin_add_overflow(inputs->dy, dy, &inputs->dy))
		inputs->dy = dy;
	motion_added(inputs);
}

/* Positions are the primary surface's pixels, as the window gives them. */
static void on_position(
	struct input_sink *sink, int32_t x, int32_t y, uint32_t width, uint32_t height)
{
	struct client_inputs *inputs = of_sink(sink);

	if (!inputs->base.up || !sink->absolute || x < 0 || y < 0)
		return;
	inputs->x = x;
	inputs->y = y;
	inputs->position_waits = true;
	motion_added(inputs);
}

/* A button counts where the pointer is: motion that waits for acks goes before it. */
static void on_button(struct input_sink *sink, enum input_button button, bool down)
{
	struct client_inputs *inputs = of_sink(sink);
	uint16_t bit = (uint16_t)(1u << button);
	struct msg_mouse_button msg = { .button = (uint8_t)(SPICE_MOUSE_BUTTON_LEFT + button) };

	if (!inputs->base.up)
		return;
	send_motion(inputs);
	inputs->buttons = down ? inputs->buttons | bit : inputs->buttons & (uint16_t)~bit;
	msg.buttons = inputs->buttons;
	link_send_mouse_button(inputs->base.link,
		down ? SPICE_MSGC_INPUTS_MOUSE_PRESS : SPICE_MSGC_INPUTS_MOUSE_RELEASE, &msg);
}

static void on_set_leds(struct input_sink *sink, uint32_t leds)
{
	struct client_inputs *inputs = of_sink(sink);
	struct msg_key_modifiers msg = { .modifiers = 0 };

	if (leds & INPUT_LED_SCROLL)
		msg.modifiers |= SPICE_KEYBOARD_MODIFIER_FLAGS_SCROLL_LOCK;
	if (leds & INPUT_LED_NUM)
		msg.modifiers |= SPICE_KEYBOARD_MODIFIER_FLAGS_NUM_LOCK;
	if (leds & INPUT_LED_CAPS)
		msg.modifiers |= SPICE_KEYBOARD_MODIFIER_FLAGS_CAPS_LOCK;
	inputs->leds = msg.modifiers;
	inputs->leds_set = true;
	if (inputs->base.up)
		link_send_key_modifiers(inputs->base.link, SPICE_MSGC_INPUTS_KEY_MODIFIERS, &msg);
}

static const struct input_sink_ops sink_ops = {
	.key = on_key,
	.motion = on_motion,
	.position = on_position,
	.button = on_button,
	.set_leds = on_set_leds,
};

/* ---- from the server ---- */

/* The window may have told its lights before the channel was there. */
static void inputs_up(struct client_channel *channel)
{
	struct client_inputs *inputs = of_channel(channel);
	struct msg_key_modifiers msg = { .modifiers = inputs->leds };

	if (inputs->leds_set)
		link_send_key_modifiers(channel->link, SPICE_MSGC_INPUTS_KEY_MODIFIERS, &msg);
}

static int on_modifiers(struct client_inputs *inputs, const uint8_t *body, size_t size)
{
	struct msg_key_modifiers msg;
	uint32_t leds = 0;

	if (!msg_key_modifiers_parse(&msg, body, size))
		return -EPROTO;
	if (msg.modifiers & SPICE_KEYBOARD_MODIFIER_FLAGS_SCROLL_LOCK)
		leds |= INPUT_LED_SCROLL;
	if (msg.modifiers & SPICE_KEYBOARD_MODIFIER_FLAGS_NUM_LOCK)
		leds |= INPUT_LED_NUM;
	if (msg.modifiers & SPICE_KEYBOARD_MODIFIER_FLAGS_CAPS_LOCK)
		leds |= INPUT_LED_CAPS;
	input_sink_set_leds(&inputs->sink, leds);
	return 0;
}

static int inputs_message(
	struct client_channel *channel, uint16_t type, const uint8_t *body, size_t size)
{
	struct client_inputs *inputs = of_channel(channel);

	switch (type) {
	case SPICE_MSG_INPUTS_INIT:
	case SPICE_MSG_INPUTS_KEY_MODIFIERS: return on_modifiers(inputs, body, size);
	case SPICE_MSG_INPUTS_MOUSE_MOTION_ACK:
		inputs->unacked -= MIN(inputs->unacked, (uint32_t)SPICE_INPUT_MOTION_ACK_BUNCH);
		motion_added(inputs);
		return 0;
	default: return 0;
	}
}

static const struct client_channel_ops inputs_ops = {
	.type = SPICE_CHANNEL_INPUTS,
	.name = "inputs",
	.up = inputs_up,
	.message = inputs_message,
};

void client_inputs_init(struct spice_client *client)
{
	client_channel_init(&client->inputs.base, client, &inputs_ops);
	input_sink_init(&client->inputs.sink, &sink_ops);
}

void client_inputs_set_mouse_mode(struct spice_client *client, uint32_t mode)
{
	struct client_inputs *inputs = &client->inputs;

	inputs->dx = inputs->dy = 0;
	inputs->position_waits = false;
	input_sink_set_absolute(&inputs->sink, mode == SPICE_MOUSE_MODE_CLIENT);
}

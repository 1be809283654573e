/* SPDX-License-Identifier: MIT */
/*
 * PS/2 mouse (IBM PS/2 Hardware Interface Technical Reference, "Mouse") with Microsoft's IntelliMouse
 * (wheel) and IntelliMouse Explorer (five buttons) extensions.
 */
#include "hypervisor/ps2.h"

#include "core/util.h"

enum {
	CMD_SCALING_1 = 0xe6,
	CMD_SCALING_2 = 0xe7,
	CMD_RESOLUTION = 0xe8,
	CMD_STATUS = 0xe9,
	CMD_STREAM = 0xea,
	CMD_POLL = 0xeb,
	CMD_WRAP_OFF = 0xec,
	CMD_WRAP = 0xee,
	CMD_REMOTE = 0xf0,
	CMD_ID = 0xf2,
	CMD_RATE = 0xf3,
	CMD_ENABLE = 0xf4,
	CMD_DISABLE = 0xf5,
	CMD_DEFAULTS = 0xf6,
	CMD_RESEND = 0xfe,
	CMD_RESET = 0xff,

	REPLY_ACK = 0xfa,
	REPLY_RESEND = 0xfe,
	REPLY_SELF_TEST_OK = 0xaa,

	ID_PLAIN = 0,
	ID_WHEEL = 3,
	ID_EXPLORER = 4,

	PRESSED_LEFT = 0x01,
	PRESSED_RIGHT = 0x02,
	PRESSED_MIDDLE = 0x04,
	PRESSED_SIDE = 0x10, /* as in the fourth byte of the Explorer's packet */
	PRESSED_EXTRA = 0x20,
	PRESSED_FIRST_BYTE = 0x07,

	PACKET_ALWAYS = 0x08,
	PACKET_X_NEGATIVE = 0x10,
	PACKET_Y_NEGATIVE = 0x20,

	MOTION_MAX = 1 << 14, /* what is kept for a guest that does not read */
	WHEEL_MAX = 64,
};

static void answer(struct ps2_mouse *mouse, uint8_t byte)
{
	ps2_reply_add(&mouse->reply, &byte, 1);
}

static int32_t clamp(int32_t v, int32_t low, int32_t high)
{
	return v < low ? low : v > high ? high : v;
}

/* ---- events ---- */

/* The report that motion is added to: the last one, if its buttons are those of now. */
static struct ps2_mouse_report *tail_report(struct ps2_mouse *mouse)
{
	struct ps2_mouse_report *tail = NULL;
	unsigned last = mouse->report_start + mouse->report_count - 1;

	if (mouse->report_count != 0)
		tail = &mouse->reports[last % PS2_MOUSE_REPORTS];
	if (tail && tail->buttons == mouse->buttons)
		return tail;
	if (tail && mouse->report_count == PS2_MOUSE_REPORTS) {
		/* The guest is far behind: it misses clicks, but not how the buttons are in the end. */
		tail->buttons = mouse->buttons;
		return tail;
	}
	tail = &mouse->reports[(last + 1) % PS2_MOUSE_REPORTS];
	*tail = (struct ps2_mouse_report){ .buttons = mouse->buttons };
	mouse->report_count++;
	return tail;
}

static void add_motion(struct ps2_mouse *mouse, int32_t dx, int32_t dy, int32_t dz)
{
	struct ps2_mouse_report *report;

	if (!mouse->enabled && !mouse->remote)
		return;
	report = tail_report(mouse);
	report->dx =
		clamp(report->dx + clamp(dx, -MOTION_MAX, MOTION_MAX), -MOTION_MAX, MOTION_MAX);
	report->dy =
		clamp(report->dy + clamp(dy, -MOTION_MAX, MOTION_MAX), -MOTION_MAX, MOTION_MAX);
	report->dz = clamp(report->dz + dz, -WHEEL_MAX, WHEEL_MAX);
}

void ps2_mouse_motion(struct ps2_mouse *mouse, int32_t dx, int32_t dy)
{
	if (dx != 0 || dy != 0)
		add_motion(mouse, dx, dy, 0);
}

void ps2_mouse_button(struct ps2_mouse *mouse, enum input_button button, bool down)
{
	static const uint8_t masks[] = {
		[INPUT_BUTTON_LEFT] = PRESSED_LEFT,
		[INPUT_BUTTON_MIDDLE] = PRESSED_MIDDLE,
		[INPUT_BUTTON_RIGHT] = PRESSED_RIGHT,
		[INPUT_BUTTON_UP] = 0,
		[INPUT_BUTTON_DOWN] = 0,
		[INPUT_BUTTON_SIDE] = PRESSED_SIDE,
		[INPUT_BUTTON_EXTRA] = PRESSED_EXTRA,
	};
	uint8_t buttons = mouse->buttons;

	if ((unsigned)button >= ARRAY_SIZE(masks))
		return;
	if (button == INPUT_BUTTON_UP || button == INPUT_BUTTON_DOWN) {
		if (down)
			add_motion(mouse, 0, 0, button == INPUT_BUTTON_UP ? -1 : 1);
		return;
	}
	buttons = (uint8_t)(down ? buttons | masks[button] : buttons & ~masks[button]);
	if (buttons == mouse->buttons)
		return;
	mouse->buttons = buttons;
	add_motion(mouse, 0, 0, 0);
}

/* Makes a packet of the first report, which stays as long as it has motion left. */
static void make_packet(struct ps2_mouse *mouse)
{
	struct ps2_mouse_report none = { .buttons = mouse->buttons };
	struct ps2_mouse_report *report =
		mouse->report_count != 0 ? &mouse->reports[mouse->report_start] : &none;
	int32_t dx = clamp(report->dx, -255, 255), dy = clamp(-report->dy, -255, 255), dz = 0;

	if (mouse->id == ID_WHEEL)
		dz = clamp(report->dz, -127, 127);
	else if (mouse->id == ID_EXPLORER)
		dz = clamp(report->dz, -7, 7);
	mouse->told_buttons = report->buttons;
	mouse->packet[0] = (uint8_t)(PACKET_ALWAYS | (report->buttons & PRESSED_FIRST_BYTE) |
		(dx < 0 ? PACKET_X_NEGATIVE : 0) | (dy < 0 ? PACKET_Y_NEGATIVE : 0));
	mouse->packet[1] = (uint8_t)dx;
	mouse->packet[2] = (uint8_t)dy;
	mouse->packet[3] = (uint8_t)dz;
	if (mouse->id == ID_EXPLORER)
		mouse->packet[3] = (uint8_t)((dz & 0x0f) | (report->buttons & ~PRESSED_FIRST_BYTE));
	mouse->packet_start = 0;
	mouse->packet_count = mouse->id == ID_PLAIN ? 3 : 4;

	report->dx -= dx;
	report->dy += dy;
	report->dz = mouse->id == ID_PLAIN ? 0 : report->dz - dz;
	if (report != &none && report->dx == 0 && report->dy == 0 && report->dz == 0) {
		mouse->report_start = (mouse->report_start + 1) % PS2_MOUSE_REPORTS;
		mouse->report_count--;
	}
}

static void drop_events(struct ps2_mouse *mouse)
{
	mouse->report_count = 0;
	mouse->packet_count = 0;
}

bool ps2_mouse_read(struct ps2_mouse *mouse, uint8_t *byte)
{
	/* An answer never comes into the middle of a packet. */
	if (mouse->packet_start == 0 && ps2_reply_take(&mouse->reply, byte)) {
		mouse->last_sent = *byte;
		return true;
	}
	if (mouse->packet_count == 0) {
		if (mouse->report_count == 0 || !mouse->enabled || mouse->remote || mouse->wrap)
			return false;
		make_packet(mouse);
	}
	*byte = mouse->last_sent = mouse->packet[mouse->packet_start++];
	if (mouse->packet_start == mouse->packet_count)
		mouse->packet_start = mouse->packet_count = 0;
	return true;
}

/* ---- commands ---- */

static void set_defaults(struct ps2_mouse *mouse)
{
	drop_events(mouse);
	mouse->packet_start = 0;
	mouse->rate = 100;
	mouse->resolution = 2;
	mouse->scaling = false;
	mouse->remote = false;
	mouse->wrap = false;
	mouse->enabled = false;
}

/* Rates 200, 100, 80 make a wheel mouse of it, and 200, 200, 80 an Explorer. */
static void set_rate(struct ps2_mouse *mouse, uint8_t rate)
{
	enum { KNOCK_NONE, KNOCK_200, KNOCK_200_100, KNOCK_200_200 };

	mouse->rate = rate;
	if (rate == 80 && mouse->knock == KNOCK_200_100)
		mouse->id = ID_WHEEL;
	else if (rate == 80 && mouse->knock == KNOCK_200_200)
		mouse->id = ID_EXPLORER;
	if (rate == 200)
		mouse->knock = mouse->knock == KNOCK_200 ? KNOCK_200_200 : KNOCK_200;
	else if (rate == 100 && mouse->knock == KNOCK_200)
		mouse->knock = KNOCK_200_100;
	else
		mouse->knock = KNOCK_NONE;
}

static void send_status(struct ps2_mouse *mouse)
{
	uint8_t status[4] = { REPLY_ACK };

	status[1] = (uint8_t)((mouse->buttons & PRESSED_LEFT ? 0x04 : 0) |
		(mouse->buttons & PRESSED_MIDDLE ? 0x02 : 0) |
		(mouse->buttons & PRESSED_RIGHT ? 0x01 : 0) | (mouse->scaling ? 0x10 : 0) |
		(mouse->enabled ? 0x20 : 0) | (mouse->remote ? 0x40 : 0));
	status[2] = mouse->resolution;
	status[3] = mouse->rate;
	ps2_reply_add(&mouse->reply, status, sizeof(status));
}

static void send_poll(struct ps2_mouse *mouse)
{
	answer(mouse, REPLY_ACK);
	make_packet(mouse);
	ps2_reply_add(&mouse->reply, mouse->packet, mouse->packet_count);
	mouse->packet_count = 0;
}

static void write_parameter(struct ps2_mouse *mouse, uint8_t command, uint8_t byte)
{
	if (command == CMD_RATE)
		set_rate(mouse, byte);
	else
		mouse->resolution = byte & 3;
	answer(mouse, REPLY_ACK);
}

static void reset(struct ps2_mouse *mouse)
{
	static const uint8_t done[] = { REPLY_ACK, REPLY_SELF_TEST_OK, ID_PLAIN };

	set_defaults(mouse);
	mouse->id = ID_PLAIN;
	mouse->knock = 0;
	mouse->reply.count = 0;
	ps2_reply_add(&mouse->reply, done, sizeof(done));
}

/* Commands that change a mode, and are just acknowledged; false: it is none of them. */
static bool write_mode(struct ps2_mouse *mouse, uint8_t byte)
{
	switch (byte) {
	case CMD_SCALING_1:
	case CMD_SCALING_2: mouse->scaling = byte == CMD_SCALING_2; break;
	case CMD_RESOLUTION:
	case CMD_RATE: mouse->command = byte; break;
	case CMD_STREAM:
	case CMD_REMOTE: mouse->remote = byte == CMD_REMOTE; break;
	case CMD_WRAP_OFF:
	case CMD_WRAP: mouse->wrap = byte == CMD_WRAP; break;
	case CMD_ENABLE:
		mouse->enabled = true;
		if (mouse->buttons != mouse->told_buttons)
			add_motion(mouse, 0, 0, 0);
		break;
	case CMD_DISABLE:
		mouse->enabled = false;
		mouse->report_count = 0;
		break;
	case CMD_DEFAULTS: set_defaults(mouse); break;
	default: return false;
	}
	answer(mouse, REPLY_ACK);
	return true;
}

static void write_command(struct ps2_mouse *mouse, uint8_t byte)
{
	const uint8_t id[] = { REPLY_ACK, mouse->id };

	switch (byte) {
	case CMD_STATUS: send_status(mouse); break;
	case CMD_POLL: send_poll(mouse); break;
	case CMD_ID: ps2_reply_add(&mouse->reply, id, sizeof(id)); break;
	case CMD_RESEND: answer(mouse, mouse->last_sent); break;
	case CMD_RESET: reset(mouse); break;
	default:
		if (!write_mode(mouse, byte))
			answer(mouse, REPLY_RESEND);
		break;
	}
}

void ps2_mouse_write(struct ps2_mouse *mouse, uint8_t byte)
{
	uint8_t command = mouse->command;

	mouse->command = 0;
	if (mouse->wrap && byte != CMD_WRAP_OFF && byte != CMD_RESET)
		answer(mouse, byte);
	else if (command != 0)
		write_parameter(mouse, command, byte);
	else
		write_command(mouse, byte);
}

void ps2_mouse_init(struct ps2_mouse *mouse)
{
	*mouse = (struct ps2_mouse){ .rate = 100, .resolution = 2 };
}

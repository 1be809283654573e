/* SPDX-License-Identifier: MIT */
/*
 * PS/2 keyboard (IBM PS/2 Hardware Interface Technical Reference, "Keyboards 101- and 102-key"): scan
 * code sets 1 to 3, commands and answers.
 */
#include "hypervisor/ps2.h"

#include <string.h>

#include "core/util.h"

enum {
	CMD_LEDS = 0xed,
	CMD_ECHO = 0xee,
	CMD_SCANCODE_SET = 0xf0,
	CMD_ID = 0xf2,
	CMD_TYPEMATIC = 0xf3,
	CMD_ENABLE = 0xf4,
	CMD_DISABLE = 0xf5,
	CMD_DEFAULTS = 0xf6,
	CMD_ALL_TYPEMATIC = 0xf7, /* to 0xfa: the kind of all keys of set 3 */
	CMD_KEY_TYPEMATIC = 0xfb, /* to 0xfd: the kind of one key of set 3 */
	CMD_RESEND = 0xfe,
	CMD_RESET = 0xff,

	REPLY_ACK = 0xfa,
	REPLY_RESEND = 0xfe,
	REPLY_SELF_TEST_OK = 0xaa,

	BREAK = 0xf0, /* prefix of a release in sets 2 and 3 */

	KEY_LEFT_CTRL = 0x1d,
	KEY_LEFT_SHIFT = 0x2a,
	KEY_RIGHT_SHIFT = 0x36,
	KEY_LEFT_ALT = 0x38,
	KEY_SYSRQ = 0x54,
	KEY_RIGHT_CTRL = 0x11d,
	KEY_PRINT = 0x137,
	KEY_RIGHT_ALT = 0x138,
	KEY_PAUSE = 0x21d,
	KEY_EXTENDED = 0x100,
};

/* Set 2's codes by those of set 1. */
static const uint8_t set2_codes[128] = {
	0x00,
	0x76,
	0x16,
	0x1e,
	0x26,
	0x25,
	0x2e,
	0x36,
	0x3d,
	0x3e,
	0x46,
	0x45,
	0x4e,
	0x55,
	0x66,
	0x0d,
	0x15,
	0x1d,
	0x24,
	0x2d,
	0x2c,
	0x35,
	0x3c,
	0x43,
	0x44,
	0x4d,
	0x54,
	0x5b,
	0x5a,
	0x14,
	0x1c,
	0x1b,
	0x23,
	0x2b,
	0x34,
	0x33,
	0x3b,
	0x42,
	0x4b,
	0x4c,
	0x52,
	0x0e,
	0x12,
	0x5d,
	0x1a,
	0x22,
	0x21,
	0x2a,
	0x32,
	0x31,
	0x3a,
	0x41,
	0x49,
	0x4a,
	0x59,
	0x7c,
	0x11,
	0x29,
	0x58,
	0x05,
	0x06,
	0x04,
	0x0c,
	0x03,
	0x0b,
	0x83,
	0x0a,
	0x01,
	0x09,
	0x77,
	0x7e,
	0x6c,
	0x75,
	0x7d,
	0x7b,
	0x6b,
	0x73,
	0x74,
	0x79,
	0x69,
	0x72,
	0x7a,
	0x70,
	0x71,
	0x84,
	0x60,
	0x61,
	0x78,
	0x07,
	0x0f,
	0x17,
	0x1f,
	0x27,
	0x2f,
	0x37,
	0x3f,
	0x47,
	0x4f,
	0x56,
	0x5e,
	0x08,
	0x10,
	0x18,
	0x20,
	0x28,
	0x30,
	0x38,
	0x40,
	0x48,
	0x50,
	0x57,
	0x6f,
	0x13,
	0x19,
	0x39,
	0x51,
	0x53,
	0x5c,
	0x5f,
	0x62,
	0x63,
	0x64,
	0x65,
	0x67,
	0x68,
	0x6a,
	0x6d,
	0x6e,
};

/* Set 3's codes by those of set 1; 0: the key is not on its keyboard. */
static const uint8_t set3_codes[128] = {
	0x00,
	0x08,
	0x16,
	0x1e,
	0x26,
	0x25,
	0x2e,
	0x36,
	0x3d,
	0x3e,
	0x46,
	0x45,
	0x4e,
	0x55,
	0x66,
	0x0d,
	0x15,
	0x1d,
	0x24,
	0x2d,
	0x2c,
	0x35,
	0x3c,
	0x43,
	0x44,
	0x4d,
	0x54,
	0x5b,
	0x5a,
	0x11,
	0x1c,
	0x1b,
	0x23,
	0x2b,
	0x34,
	0x33,
	0x3b,
	0x42,
	0x4b,
	0x4c,
	0x52,
	0x0e,
	0x12,
	0x5c,
	0x1a,
	0x22,
	0x21,
	0x2a,
	0x32,
	0x31,
	0x3a,
	0x41,
	0x49,
	0x4a,
	0x59,
	0x7e,
	0x19,
	0x29,
	0x14,
	0x07,
	0x0f,
	0x17,
	0x1f,
	0x27,
	0x2f,
	0x37,
	0x3f,
	0x47,
	0x4f,
	0x76,
	0x5f,
	0x6c,
	0x75,
	0x7d,
	0x84,
	0x6b,
	0x73,
	0x74,
	0x7c,
	0x69,
	0x72,
	0x7a,
	0x70,
	0x71,
	0x57,
	0x00,
	0x13,
	0x56,
	0x5e,
};

/* The same for the keys with set 1's E0 prefix, which set 3 has not. */
static const uint8_t set3_extended[128] = {
	[0x1c] = 0x79,
	[0x1d] = 0x58,
	[0x35] = 0x77,
	[0x37] = 0x57,
	[0x38] = 0x39,
	[0x47] = 0x6e,
	[0x48] = 0x63,
	[0x49] = 0x6f,
	[0x4b] = 0x61,
	[0x4d] = 0x6a,
	[0x4f] = 0x65,
	[0x50] = 0x60,
	[0x51] = 0x6d,
	[0x52] = 0x67,
	[0x53] = 0x64,
	[0x5b] = 0x8b,
	[0x5c] = 0x8c,
	[0x5d] = 0x8d,
};

/* ---- answers ---- */

void ps2_reply_add(struct ps2_reply *reply, const uint8_t *bytes, unsigned count)
{
	for (unsigned i = 0; i < count && reply->count < sizeof(reply->bytes); i++) {
		unsigned end = (reply->start + reply->count) % sizeof(reply->bytes);

		reply->bytes[end] = bytes[i];
		reply->count++;
	}
}

bool ps2_reply_take(struct ps2_reply *reply, uint8_t *byte)
{
	if (reply->count == 0)
		return false;
	*byte = reply->bytes[reply->start];
	reply->start = (reply->start + 1) % sizeof(reply->bytes);
	reply->count--;
	return true;
}

static void answer(struct ps2_keyboard *kbd, uint8_t byte)
{
	ps2_reply_add(&kbd->reply, &byte, 1);
}

/* ---- key events ---- */

static bool bit_get(const uint64_t *bits, uint32_t i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

static void bit_set(uint64_t *bits, uint32_t i, bool value)
{
	uint64_t mask = UINT64_C(1) << (i % 64);

	bits[i / 64] = value ? bits[i / 64] | mask : bits[i / 64] & ~mask;
}

static bool is_key(uint32_t scancode)
{
	uint32_t low = scancode & 0x7f;

	return scancode == KEY_PAUSE || (low != 0 && (scancode & ~0x17fu) == 0);
}

static void put(struct ps2_key_event *event, const uint8_t *bytes, unsigned count)
{
	memcpy(event->bytes + event->count, bytes, count);
	event->count = (uint8_t)(event->count + count);
}

/* One code with its prefixes. */
static void put_code(
	const struct ps2_keyboard *kbd, struct ps2_key_event *event, uint32_t scancode, bool down)
{
	uint8_t low = scancode & 0x7f, bytes[3];
	unsigned n = 0;

	if (kbd->scancode_set == 3) {
		uint8_t code = scancode & KEY_EXTENDED ? set3_extended[low] : set3_codes[low];

		if (code == 0)
			return;
		if (!down)
			bytes[n++] = BREAK;
		bytes[n++] = code;
		put(event, bytes, n);
		return;
	}
	if (scancode & KEY_EXTENDED)
		bytes[n++] = 0xe0;
	if (kbd->scancode_set == 1) {
		bytes[n++] = (uint8_t)(low | (down ? 0 : 0x80));
	} else {
		if (!down)
			bytes[n++] = BREAK;
		bytes[n++] = set2_codes[low];
	}
	put(event, bytes, n);
}

static bool any_down(const struct ps2_keyboard *kbd, uint32_t one, uint32_t other)
{
	return bit_get(kbd->down, one) || bit_get(kbd->down, other);
}

static bool ctrl_down(const struct ps2_keyboard *kbd)
{
	return any_down(kbd, KEY_LEFT_CTRL, KEY_RIGHT_CTRL);
}

/* Print Screen pretends a Shift, unless one or a Ctrl is down; with Alt it is SysRq. */
static void put_print(struct ps2_keyboard *kbd, struct ps2_key_event *event, bool down)
{
	bool shift = !ctrl_down(kbd) && !any_down(kbd, KEY_LEFT_SHIFT, KEY_RIGHT_SHIFT);

	if (kbd->scancode_set == 3) {
		put_code(kbd, event, KEY_PRINT, down);
		return;
	}
	if (down)
		kbd->sysrq = any_down(kbd, KEY_LEFT_ALT, KEY_RIGHT_ALT);
	if (kbd->sysrq) {
		put_code(kbd, event, KEY_SYSRQ, down);
		return;
	}
	if (down && shift)
		put_code(kbd, event, KEY_EXTENDED | KEY_LEFT_SHIFT, true);
	put_code(kbd, event, KEY_PRINT, down);
	if (!down && shift)
		put_code(kbd, event, KEY_EXTENDED | KEY_LEFT_SHIFT, false);
}

/* Pause sends both its codes when pressed and nothing when released; with Ctrl it is Break. */
static void put_pause(const struct ps2_keyboard *kbd, struct ps2_key_event *event, bool down)
{
	static const uint8_t pause1[] = { 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5 };
	static const uint8_t pause2[] = { 0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77 };
	static const uint8_t break1[] = { 0xe0, 0x46, 0xe0, 0xc6 };
	static const uint8_t break2[] = { 0xe0, 0x7e, 0xe0, 0xf0, 0x7e };
	static const uint8_t pause3[] = { 0x62 }, unpause3[] = { 0xf0, 0x62 };

	if (kbd->scancode_set == 3)
		put(event, down ? pause3 : unpause3, down ? 1 : 2);
	else if (!down)
		return;
	else if (kbd->scancode_set == 1 && ctrl_down(kbd))
		put(event, break1, sizeof(break1));
	else if (kbd->scancode_set == 1)
		put(event, pause1, sizeof(pause1));
	else if (ctrl_down(kbd))
		put(event, break2, sizeof(break2));
	else
		put(event, pause2, sizeof(pause2));
}

/* Puts an event at the queue's end, where there is room. */
static void queue_event(struct ps2_keyboard *kbd, uint32_t scancode, bool down)
{
	unsigned end = (kbd->event_start + kbd->event_count) % PS2_KEY_EVENTS;
	struct ps2_key_event *event = &kbd->events[end];

	*event = (struct ps2_key_event){ .scancode = (uint16_t)scancode, .down = down };
	if (scancode == KEY_PRINT)
		put_print(kbd, event, down);
	else if (scancode == KEY_PAUSE)
		put_pause(kbd, event, down);
	else
		put_code(kbd, event, scancode, down);
	bit_set(kbd->down, scancode, down);
	if (event->count != 0)
		kbd->event_count++;
}

/* Queues the releases that the guest is owed, as far as there is room. */
static void pay_owed(struct ps2_keyboard *kbd)
{
	if (!kbd->owes || !kbd->scanning)
		return;
	for (uint32_t i = 0; i < PS2_KEY_CODES; i++) {
		if (!bit_get(kbd->owed, i))
			continue;
		if (kbd->event_count == PS2_KEY_EVENTS)
			return;
		bit_set(kbd->owed, i, false);
		queue_event(kbd, i, false);
	}
	kbd->owes = false;
}

void ps2_keyboard_key(struct ps2_keyboard *kbd, uint32_t scancode, bool down)
{
	if (!is_key(scancode))
		return;
	if (!down && !bit_get(kbd->down, scancode))
		return; /* the guest never saw it pressed */
	pay_owed(kbd);
	if (kbd->scanning && !kbd->owes && kbd->event_count < PS2_KEY_EVENTS) {
		queue_event(kbd, scancode, down);
	} else if (!down) {
		bit_set(kbd->owed, scancode, true);
		kbd->owes = true;
	}
}

/* Forgets the events that the guest has not begun to read; releases among them stay owed. */
static void drop_events(struct ps2_keyboard *kbd)
{
	unsigned kept = kbd->sent != 0 ? 1 : 0;

	for (unsigned i = kept; i < kbd->event_count; i++) {
		const struct ps2_key_event *event =
			&kbd->events[(kbd->event_start + i) % PS2_KEY_EVENTS];

		bit_set(kbd->owed, event->scancode, !event->down);
		bit_set(kbd->down, event->scancode, true);
		kbd->owes |= !event->down;
	}
	kbd->event_count = MIN(kbd->event_count, kept);
}

bool ps2_keyboard_read(struct ps2_keyboard *kbd, uint8_t *byte)
{
	struct ps2_key_event *event;

	if (kbd->sent == 0 && ps2_reply_take(&kbd->reply, byte)) {
		kbd->last_sent = *byte;
		return true;
	}
	pay_owed(kbd);
	if (kbd->event_count == 0)
		return false;
	event = &kbd->events[kbd->event_start];
	*byte = kbd->last_sent = event->bytes[kbd->sent++];
	if (kbd->sent == event->count) {
		kbd->sent = 0;
		kbd->event_start = (kbd->event_start + 1) % PS2_KEY_EVENTS;
		kbd->event_count--;
	}
	return true;
}

/* ---- commands ---- */

static void set_defaults(struct ps2_keyboard *kbd)
{
	drop_events(kbd);
	kbd->scancode_set = 2;
}

static void write_parameter(struct ps2_keyboard *kbd, uint8_t command, uint8_t byte)
{
	switch (command) {
	case CMD_LEDS:
		kbd->leds = byte & (INPUT_LED_SCROLL | INPUT_LED_NUM | INPUT_LED_CAPS);
		break;
	case CMD_SCANCODE_SET:
		if (byte > 3) {
			answer(kbd, REPLY_RESEND);
			return;
		}
		if (byte == 0) {
			answer(kbd, REPLY_ACK);
			answer(kbd, kbd->scancode_set);
			return;
		}
		drop_events(kbd);
		kbd->scancode_set = byte;
		break;
	default: /* the rate of repeats, which the host's keyboard makes; kinds of keys of set 3 */
		break;
	}
	answer(kbd, REPLY_ACK);
}

static void write_command(struct ps2_keyboard *kbd, uint8_t byte)
{
	static const uint8_t id[] = { REPLY_ACK, 0xab, 0x83 };

	switch (byte) {
	case CMD_LEDS:
	case CMD_SCANCODE_SET:
	case CMD_TYPEMATIC:
	case CMD_KEY_TYPEMATIC:
	case CMD_KEY_TYPEMATIC + 1:
	case CMD_KEY_TYPEMATIC + 2:
		kbd->command = byte;
		answer(kbd, REPLY_ACK);
		break;
	case CMD_ECHO: answer(kbd, CMD_ECHO); break;
	case CMD_ID: ps2_reply_add(&kbd->reply, id, sizeof(id)); break;
	case CMD_ENABLE:
		drop_events(kbd);
		kbd->scanning = true;
		answer(kbd, REPLY_ACK);
		break;
	case CMD_DISABLE:
	case CMD_DEFAULTS:
		set_defaults(kbd);
		kbd->scanning = byte == CMD_DEFAULTS;
		answer(kbd, REPLY_ACK);
		break;
	case CMD_ALL_TYPEMATIC:
	case CMD_ALL_TYPEMATIC + 1:
	case CMD_ALL_TYPEMATIC + 2:
	case CMD_ALL_TYPEMATIC + 3: answer(kbd, REPLY_ACK); break;
	case CMD_RESEND: answer(kbd, kbd->last_sent); break;
	case CMD_RESET:
		set_defaults(kbd);
		kbd->scanning = true;
		kbd->leds = 0;
		kbd->reply.count = 0;
		answer(kbd, REPLY_ACK);
		answer(kbd, REPLY_SELF_TEST_OK);
		break;
	default: answer(kbd, REPLY_RESEND); break;
	}
}

void ps2_keyboard_write(struct ps2_keyboard *kbd, uint8_t byte)
{
	uint8_t command = kbd->command;

	kbd->command = 0;
	/* Where a parameter is due, a byte that can only be a command is one. */
	if (command == 0 || byte >= CMD_LEDS)
		write_command(kbd, byte);
	else
		write_parameter(kbd, command, byte);
}

void ps2_keyboard_init(struct ps2_keyboard *kbd)
{
	*kbd = (struct ps2_keyboard){ .scancode_set = 2, .scanning = true };
}

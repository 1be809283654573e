/* SPDX-License-Identifier: MIT */
/*
 * The two devices on the keyboard controller's wires. Neither has a lock or an interrupt of its own:
 * i8042.c calls them under its lock, asks them for bytes and hands them the guest's.
 */
#ifndef HYPERVISOR_PS2_H
#define HYPERVISOR_PS2_H

#include <stdbool.h>
#include <stdint.h>

#include "core/ports.h"

/* Answers to commands. They go before events, but never into the middle of one. */
struct ps2_reply {
	uint8_t bytes[8];
	unsigned start;
	unsigned count;
};

/* One key event, at most 8 bytes (Pause in set 2), is in the queue whole. */
enum {
	PS2_KEY_BYTES_MAX = 8,
	PS2_KEY_EVENTS = 32,
	PS2_KEY_CODES = 0x280, /* scan codes of core/ports.h */
	PS2_MOUSE_REPORTS = 16,
};

struct ps2_key_event {
	uint16_t scancode;
	bool down;
	uint8_t count;
	uint8_t bytes[PS2_KEY_BYTES_MAX];
};

struct ps2_keyboard {
	struct ps2_reply reply;
	struct ps2_key_event events[PS2_KEY_EVENTS];
	unsigned event_start;
	unsigned event_count;
	unsigned sent; /* bytes of the first event that are gone */
	uint8_t command; /* waits for its parameter; 0: none */
	uint8_t last_sent;
	uint8_t scancode_set; /* 1 to 3 */
	bool scanning;
	bool sysrq; /* Print Screen went down as SysRq, and comes up as such */
	uint8_t leds; /* INPUT_LED_* bits, which are those of the ED command */
	/* What the guest believes: keys whose press it was sent and not yet their release. */
	uint64_t down[PS2_KEY_CODES / 64];
	/* Releases that found no room, or came while scanning was off. */
	uint64_t owed[PS2_KEY_CODES / 64];
	bool owes;
};

/* Power-on state. */
void ps2_keyboard_init(struct ps2_keyboard *kbd);
void ps2_keyboard_key(struct ps2_keyboard *kbd, uint32_t scancode, bool down);
/* A byte from the guest. */
void ps2_keyboard_write(struct ps2_keyboard *kbd, uint8_t byte);
/* The next byte for the guest; false when there is none. */
bool ps2_keyboard_read(struct ps2_keyboard *kbd, uint8_t *byte);

struct ps2_mouse_report {
	int32_t dx, dy, dz; /* y downwards, z down (towards the user) */
	uint8_t buttons;
};

struct ps2_mouse {
	struct ps2_reply reply;
	/* Reports differ in their buttons; motion between is added up, so they cannot overflow. */
	struct ps2_mouse_report reports[PS2_MOUSE_REPORTS];
	unsigned report_start;
	unsigned report_count;
	uint8_t packet[4]; /* the one being sent */
	unsigned packet_start;
	unsigned packet_count;
	uint8_t command;
	uint8_t last_sent;
	uint8_t id; /* 0 plain, 3 IntelliMouse, 4 Explorer */
	uint8_t knock; /* how far the guest is in the sequence of rates that changes the id */
	uint8_t rate;
	uint8_t resolution;
	bool scaling;
	bool remote;
	bool wrap;
	bool enabled;
	uint8_t buttons;
	uint8_t told_buttons; /* as the guest was told last */
};

void ps2_mouse_init(struct ps2_mouse *mouse);
void ps2_mouse_motion(struct ps2_mouse *mouse, int32_t dx, int32_t dy);
void ps2_mouse_button(struct ps2_mouse *mouse, enum input_button button, bool down);
void ps2_mouse_write(struct ps2_mouse *mouse, uint8_t byte);
bool ps2_mouse_read(struct ps2_mouse *mouse, uint8_t *byte);

/* Puts bytes behind those of the reply; what does not fit is dropped (a guest that does not read). */
void ps2_reply_add(struct ps2_reply *reply, const uint8_t *bytes, unsigned count);
bool ps2_reply_take(struct ps2_reply *reply, uint8_t *byte);

#endif

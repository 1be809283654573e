/* SPDX-License-Identifier: MIT */
/* The i8042: keyboard with set-1 scancodes on IRQ 1, PS/2 mouse (three buttons, and a wheel where
 * the mouse has one) on IRQ 12. */
#include "cpu.h"
#include "i8042.h"
#include "machine.h"

enum {
	PORT_DATA = 0x60,
	PORT_STATUS = 0x64,
	STATUS_OUTPUT = 1,
	STATUS_INPUT = 2,
	STATUS_MOUSE = 0x20,
	TRIES = 2000,
};

static struct {
	bool extended;
	bool unsettled; /* a byte was taken, and not looked for the next */
	uint32_t events; /* how many were made */
	uint8_t packet[4], packet_used, packet_size;
	uint8_t buttons;
} i8042;

static bool i8042_write(uint16_t port, uint8_t value)
{
	for (int tries = 0; tries < TRIES; tries++) {
		if (!(port_in8(PORT_STATUS) & STATUS_INPUT)) {
			port_out8(port, value);
			return true;
		}
	}
	return false;
}

/* The next byte that a device sends, or -1. */
static int i8042_read(void)
{
	for (int tries = 0; tries < TRIES; tries++)
		if (port_in8(PORT_STATUS) & STATUS_OUTPUT)
			return port_in8(PORT_DATA);
	return -1;
}

static int mouse_command(uint8_t command)
{
	i8042_write(PORT_STATUS, 0xd4);
	i8042_write(PORT_DATA, command);
	return i8042_read();
}

/* The knock that turns on the wheel: sample rates 200, 100, 80, then the id is 3. */
static bool mouse_has_wheel(void)
{
	static const uint8_t rates[] = { 200, 100, 80, 100 };
	bool wheel = false;

	for (unsigned i = 0; i < ARRAY_SIZE(rates); i++) {
		if (i == 3 && mouse_command(0xf2) == 0xfa)
			wheel = i8042_read() == 3;
		mouse_command(0xf3);
		mouse_command(rates[i]);
	}
	return wheel;
}

void i8042_init(void)
{
	int config;

	if (port_in8(PORT_STATUS) == 0xff)
		return;
	for (int i = 0; i < 32 && port_in8(PORT_STATUS) & STATUS_OUTPUT; i++)
		port_in8(PORT_DATA);
	i8042_write(PORT_STATUS, 0xae); /* keyboard on */
	i8042_write(PORT_STATUS, 0xa8); /* mouse on */
	i8042_write(PORT_STATUS, 0x20);
	config = i8042_read();
	if (config < 0)
		return;
	/* No interrupts while we talk; then both, and translation to set 1. */
	i8042_write(PORT_STATUS, 0x60);
	i8042_write(PORT_DATA, (config & ~0x33) | 0x40);
	i8042_write(PORT_DATA, 0xf4);
	i8042_read();
	i8042.packet_size = mouse_has_wheel() ? 4 : 3;
	mouse_command(0xf4);
	i8042_write(PORT_STATUS, 0x60);
	i8042_write(PORT_DATA, (config & ~0x33) | 0x43);
	machine_irq_enable(1, false, false);
	machine_irq_enable(12, false, false);
}

static void i8042_event(const struct event *event)
{
	i8042.events++;
	machine_event_push(event);
}

static void keyboard_byte(uint8_t byte)
{
	struct event event = { .type = EVENT_KEY };

	if (byte == 0xe0) {
		i8042.extended = true;
		return;
	}
	event.key = byte | (i8042.extended ? 0xe000 : 0);
	i8042.extended = false;
	if (byte < 0xe1)
		i8042_event(&event);
}

static void mouse_byte(uint8_t byte)
{
	struct event event = { .type = EVENT_POINTER };
	const uint8_t *packet = i8042.packet;

	/* Bit 3 is always set in a packet's first byte. */
	if (!i8042.packet_used && !(byte & 8))
		return;
	i8042.packet[i8042.packet_used++] = byte;
	if (i8042.packet_used < i8042.packet_size)
		return;
	i8042.packet_used = 0;
	event.x = packet[1] - (packet[0] & 0x10 ? 256 : 0);
	event.y = (packet[0] & 0x20 ? 256 : 0) - packet[2];
	event.buttons = packet[0] & 7;
	if (i8042.packet_size == 4)
		event.wheel = (int8_t)packet[3];
	i8042_event(&event);
}

/* The byte that was read beside this status, if it was one. */
static bool i8042_byte(uint8_t status, uint8_t byte)
{
	if (!(status & STATUS_OUTPUT))
		return false;
	if (status & STATUS_MOUSE)
		mouse_byte(byte);
	else
		keyboard_byte(byte);
	return true;
}

static bool i8042_take(void)
{
	uint8_t status = port_in8(PORT_STATUS);

	return status & STATUS_OUTPUT && i8042_byte(status, port_in8(PORT_DATA));
}

void i8042_interrupt(uint8_t status, uint8_t byte)
{
	/* None: i8042_settle took it before its interrupt came. */
	i8042_byte(status, byte);
	i8042.unsettled = true;
}

bool i8042_settle(void)
{
	uint32_t events = i8042.events;

	for (int i = 0; i < 64 && i8042.unsettled; i++)
		i8042.unsettled = i8042_take();
	i8042.unsettled = false;
	return i8042.events != events;
}

/* SPDX-License-Identifier: MIT */
/*
 * Keyboard controller (IBM PS/2 Hardware Interface Technical Reference, "Keyboard/Auxiliary Device
 * Controller"): one output buffer, filled from the controller's own answers, the keyboard, the mouse.
 */
#include "hypervisor/i8042.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "hypervisor/kick.h"
#include "hypervisor/ps2.h"

enum {
	DATA_PORT = 0x60,
	COMMAND_PORT = 0x64,

	STATUS_OUTPUT_FULL = 0x01,
	STATUS_SYSTEM = 0x04,
	STATUS_COMMAND = 0x08, /* the last write was to the command port */
	STATUS_UNLOCKED = 0x10,
	STATUS_MOUSE = 0x20, /* the output buffer holds a byte of the mouse */

	MODE_KEYBOARD_INT = 0x01,
	MODE_MOUSE_INT = 0x02,
	MODE_SYSTEM = 0x04,
	MODE_KEYBOARD_OFF = 0x10,
	MODE_MOUSE_OFF = 0x20,
	MODE_TRANSLATE = 0x40,

	CMD_READ_RAM = 0x20, /* to 0x3f; the mode is byte 0 */
	CMD_WRITE_RAM = 0x60,
	CMD_PASSWORD_TEST = 0xa4,
	CMD_MOUSE_OFF = 0xa7,
	CMD_MOUSE_ON = 0xa8,
	CMD_MOUSE_TEST = 0xa9,
	CMD_SELF_TEST = 0xaa,
	CMD_KEYBOARD_TEST = 0xab,
	CMD_KEYBOARD_OFF = 0xad,
	CMD_KEYBOARD_ON = 0xae,
	CMD_READ_INPUT = 0xc0,
	CMD_READ_OUTPUT = 0xd0,
	CMD_WRITE_OUTPUT = 0xd1,
	CMD_KEYBOARD_OUTPUT = 0xd2, /* the next byte comes back as the keyboard's */
	CMD_MOUSE_OUTPUT = 0xd3,
	CMD_WRITE_MOUSE = 0xd4,
	CMD_A20_OFF = 0xdd,
	CMD_A20_ON = 0xdf,
	CMD_READ_TEST = 0xe0,
	CMD_PULSE = 0xf0, /* to 0xff: a zero in the low bits pulses that line; bit 0 is reset */

	OUTPUT_NOT_RESET = 0x01,
	OUTPUT_A20 = 0x02,
	OUTPUT_KEYBOARD_FULL = 0x10,
	OUTPUT_MOUSE_FULL = 0x20,
	OUTPUT_ONES = 0xcc, /* clock and data lines, and what nobody uses */

	RAM_SIZE = 32,
	ANSWERS_MAX = 8,

	/* Linux takes the controller for broken when more bytes than a keyboard of 16 can hold come
	 * while it empties the buffer: what was typed before it looked. So a backlog comes in bursts
	 * with a pause between, as a wire has. */
	BURST_MAX = 15,
	PAUSE_NS = 1000000,
};

struct answer {
	uint8_t byte;
	bool mouse;
};

struct i8042 {
	struct pci_host *host;
	struct system_control *control;
	struct bus_region data;
	struct bus_region command;
	void (*leds)(void *opaque, uint32_t leds);
	void *leds_opaque;
	struct kick *leds_kick;
	struct kick *pause_kick;
	struct loop_timer *pause_timer; /* the loop thread's */

	pthread_mutex_t lock;
	struct ps2_keyboard keyboard;
	struct ps2_mouse mouse;
	uint8_t leds_told;
	uint8_t status;
	uint8_t output; /* the output buffer */
	uint8_t ram[RAM_SIZE];
	uint8_t pending; /* the command that waits for a byte at the data port; 0: none */
	struct answer answers[ANSWERS_MAX];
	unsigned answer_start;
	unsigned answer_count;
	bool release; /* translation saw the prefix of a release */
	unsigned burst; /* bytes of the keyboard since it had none */
	bool pausing;
	bool keyboard_irq;
	bool mouse_irq;
};

/* ---- the output buffer ---- */

/* Set 2's codes to those of set 1: what the controller has in its ROM. 0xf0 does not come here. */
static uint8_t translate(uint8_t code)
{
	static const uint8_t table[0x85] = {
		0xff,
		0x43,
		0x41,
		0x3f,
		0x3d,
		0x3b,
		0x3c,
		0x58,
		0x64,
		0x44,
		0x42,
		0x40,
		0x3e,
		0x0f,
		0x29,
		0x59,
		0x65,
		0x38,
		0x2a,
		0x70,
		0x1d,
		0x10,
		0x02,
		0x5a,
		0x66,
		0x71,
		0x2c,
		0x1f,
		0x1e,
		0x11,
		0x03,
		0x5b,
		0x67,
		0x2e,
		0x2d,
		0x20,
		0x12,
		0x05,
		0x04,
		0x5c,
		0x68,
		0x39,
		0x2f,
		0x21,
		0x14,
		0x13,
		0x06,
		0x5d,
		0x69,
		0x31,
		0x30,
		0x23,
		0x22,
		0x15,
		0x07,
		0x5e,
		0x6a,
		0x72,
		0x32,
		0x24,
		0x16,
		0x08,
		0x09,
		0x5f,
		0x6b,
		0x33,
		0x25,
		0x17,
		0x18,
		0x0b,
		0x0a,
		0x60,
		0x6c,
		0x34,
		0x35,
		0x26,
		0x27,
		0x19,
		0x0c,
		0x61,
		0x6d,
		0x73,
		0x28,
		0x74,
		0x1a,
		0x0d,
		0x62,
		0x6e,
		0x3a,
		0x36,
		0x1c,
		0x1b,
		0x75,
		0x2b,
		0x63,
		0x76,
		0x55,
		0x56,
		0x77,
		0x78,
		0x79,
		0x7a,
		0x0e,
		0x7b,
		0x7c,
		0x4f,
		0x7d,
		0x4b,
		0x47,
		0x7e,
		0x7f,
		0x6f,
		0x52,
		0x53,
		0x50,
		0x4c,
		0x4d,
		0x48,
		0x01,
		0x45,
		0x57,
		0x4e,
		0x51,
		0x4a,
		0x37,
		0x49,
		0x46,
		0x54,
		0x80,
		0x81,
		0x82,
		0x41,
		0x54,
	};

	return code < sizeof(table) ? table[code] : code;
}

static bool next_keyboard_byte(struct i8042 *dev, uint8_t *byte)
{
	if (dev->burst == BURST_MAX && !dev->pausing) {
		dev->pausing = true;
		kick_post(dev->pause_kick);
	}
	while (!dev->pausing && ps2_keyboard_read(&dev->keyboard, byte)) {
		bool translated = dev->ram[0] & MODE_TRANSLATE;

		if (translated && *byte == 0xf0) {
			dev->release = true;
			continue;
		}
		if (translated) {
			*byte = (uint8_t)(translate(*byte) | (dev->release ? 0x80 : 0));
			dev->release = false;
		}
		dev->burst++;
		return true;
	}
	if (!dev->pausing)
		dev->burst = 0;
	return false;
}

static bool next_byte(struct i8042 *dev, struct answer *out)
{
	out->mouse = false;
	if (dev->answer_count != 0) {
		*out = dev->answers[dev->answer_start];
		dev->answer_start = (dev->answer_start + 1) % ANSWERS_MAX;
		dev->answer_count--;
		return true;
	}
	if (!(dev->ram[0] & MODE_KEYBOARD_OFF) && next_keyboard_byte(dev, &out->byte))
		return true;
	out->mouse = true;
	return !(dev->ram[0] & MODE_MOUSE_OFF) && ps2_mouse_read(&dev->mouse, &out->byte);
}

static void set_line(struct i8042 *dev, bool *line, uint32_t gsi, bool level)
{
	if (*line == level)
		return;
	*line = level;
	irq_set_gsi(dev->host->irq, gsi, level);
}

/* Refills the output buffer when it is empty, and brings the interrupt lines up to date. */
static void update(struct i8042 *dev)
{
	struct answer next;
	bool full, mouse;

	if (!(dev->status & STATUS_OUTPUT_FULL) && next_byte(dev, &next)) {
		dev->output = next.byte;
		dev->status |= STATUS_OUTPUT_FULL;
		dev->status &= (uint8_t)~STATUS_MOUSE;
		if (next.mouse)
			dev->status |= STATUS_MOUSE;
	}
	full = dev->status & STATUS_OUTPUT_FULL;
	mouse = dev->status & STATUS_MOUSE;
	set_line(dev, &dev->keyboard_irq, I8042_KEYBOARD_GSI,
		full && !mouse && (dev->ram[0] & MODE_KEYBOARD_INT));
	set_line(dev, &dev->mouse_irq, I8042_MOUSE_GSI,
		full && mouse && (dev->ram[0] & MODE_MOUSE_INT));
}

static void answer(struct i8042 *dev, uint8_t byte, bool mouse)
{
	unsigned end = (dev->answer_start + dev->answer_count) % ANSWERS_MAX;

	if (dev->answer_count == ANSWERS_MAX)
		return; /* a guest that asks without reading */
	dev->answers[end] = (struct answer){ .byte = byte, .mouse = mouse };
	dev->answer_count++;
}

/* ---- the guest's side ---- */

static uint8_t output_port(const struct i8042 *dev)
{
	bool full = dev->status & STATUS_OUTPUT_FULL, mouse = dev->status & STATUS_MOUSE;

	return (uint8_t)(OUTPUT_NOT_RESET | OUTPUT_ONES |
		(system_control_a20(dev->control) ? OUTPUT_A20 : 0) |
		(full && !mouse ? OUTPUT_KEYBOARD_FULL : 0) |
		(full && mouse ? OUTPUT_MOUSE_FULL : 0));
}

static void write_output_port(struct i8042 *dev, uint8_t byte)
{
	system_control_set_a20(dev->control, (byte & OUTPUT_A20) != 0);
	if (!(byte & OUTPUT_NOT_RESET))
		system_control_request_reset(dev->control);
}

static void set_mode_bits(struct i8042 *dev, uint8_t bits, bool on)
{
	dev->ram[0] = (uint8_t)(on ? dev->ram[0] | bits : dev->ram[0] & ~bits);
}

static void self_test(struct i8042 *dev)
{
	dev->status |= STATUS_SYSTEM;
	dev->answer_count = 0;
	answer(dev, 0x55, false);
}

/* Commands that answer with a byte or wait for one; the ranges are looked at by the caller. */
static void run_command(struct i8042 *dev, uint8_t command)
{
	switch (command) {
	case CMD_WRITE_OUTPUT:
	case CMD_KEYBOARD_OUTPUT:
	case CMD_MOUSE_OUTPUT:
	case CMD_WRITE_MOUSE: dev->pending = command; break;
	case CMD_MOUSE_OFF:
	case CMD_MOUSE_ON: set_mode_bits(dev, MODE_MOUSE_OFF, command == CMD_MOUSE_OFF); break;
	case CMD_KEYBOARD_OFF:
	case CMD_KEYBOARD_ON:
		set_mode_bits(dev, MODE_KEYBOARD_OFF, command == CMD_KEYBOARD_OFF);
		break;
	case CMD_PASSWORD_TEST:
		answer(dev, 0xf1, false); /* none is set */
		break;
	case CMD_SELF_TEST: self_test(dev); break;
	case CMD_KEYBOARD_TEST:
	case CMD_MOUSE_TEST:
	case CMD_READ_TEST: answer(dev, 0x00, false); break;
	case CMD_READ_INPUT:
		answer(dev, 0x80, false); /* keyboard not locked */
		break;
	case CMD_READ_OUTPUT: answer(dev, output_port(dev), false); break;
	case CMD_A20_OFF:
	case CMD_A20_ON: system_control_set_a20(dev->control, command == CMD_A20_ON); break;
	default: break;
	}
}

static void write_command(struct i8042 *dev, uint8_t command)
{
	dev->status |= STATUS_COMMAND;
	dev->pending = 0;
	if (command >= CMD_PULSE) {
		if (!(command & OUTPUT_NOT_RESET))
			system_control_request_reset(dev->control);
	} else if (command >= CMD_READ_RAM && command < CMD_READ_RAM + RAM_SIZE) {
		answer(dev, dev->ram[command - CMD_READ_RAM], false);
	} else if (command >= CMD_WRITE_RAM && command < CMD_WRITE_RAM + RAM_SIZE) {
		dev->pending = command;
	} else {
		run_command(dev, command);
	}
}

static void write_ram(struct i8042 *dev, unsigned at, uint8_t byte)
{
	dev->ram[at] = byte;
	if (at == 0) {
		dev->status &= (uint8_t)~STATUS_SYSTEM;
		dev->status |= byte & MODE_SYSTEM;
	}
}

static void write_data(struct i8042 *dev, uint8_t byte)
{
	uint8_t pending = dev->pending;

	dev->status &= (uint8_t)~STATUS_COMMAND;
	dev->pending = 0;
	switch (pending) {
	case 0:
		/* Talking to a device switches its wire on. */
		set_mode_bits(dev, MODE_KEYBOARD_OFF, false);
		ps2_keyboard_write(&dev->keyboard, byte);
		if (dev->keyboard.leds != dev->leds_told)
			kick_post(dev->leds_kick);
		break;
	case CMD_WRITE_MOUSE:
		set_mode_bits(dev, MODE_MOUSE_OFF, false);
		ps2_mouse_write(&dev->mouse, byte);
		break;
	case CMD_WRITE_OUTPUT: write_output_port(dev, byte); break;
	case CMD_KEYBOARD_OUTPUT:
	case CMD_MOUSE_OUTPUT: answer(dev, byte, pending == CMD_MOUSE_OUTPUT); break;
	default:
		if (pending >= CMD_WRITE_RAM && pending < CMD_WRITE_RAM + RAM_SIZE)
			write_ram(dev, pending - CMD_WRITE_RAM, byte);
		break;
	}
}

static uint64_t data_read(struct bus_region *region, uint64_t offset, unsigned size)
{
	struct i8042 *dev = container_of(region, struct i8042, data);
	uint8_t byte;

	pthread_mutex_lock(&dev->lock);
	byte = dev->output;
	if (dev->status & STATUS_OUTPUT_FULL) {
		/* The lines fall before a next byte raises them: interrupts come by edges. */
		dev->status &= (uint8_t) ~(STATUS_OUTPUT_FULL | STATUS_MOUSE);
		set_line(dev, &dev->keyboard_irq, I8042_KEYBOARD_GSI, false);
		set_line(dev, &dev->mouse_irq, I8042_MOUSE_GSI, false);
		update(dev);
	}
	pthread_mutex_unlock(&dev->lock);
	return byte;
}

static void data_write(struct bus_region *region, uint64_t offset, uint64_t value, unsigned size)
{
	struct i8042 *dev = container_of(region, struct i8042, data);

	pthread_mutex_lock(&dev->lock);
	write_data(dev, (uint8_t)value);
	update(dev);
	pthread_mutex_unlock(&dev->lock);
}

static uint64_t status_read(struct bus_region *region, uint64_t offset, unsigned size)
{
	struct i8042 *dev = container_of(region, struct i8042, command);
	uint8_t status;

	pthread_mutex_lock(&dev->lock);
	status = dev->status;
	pthread_mutex_unlock(&dev->lock);
	return status;
}

static void command_write(struct bus_region *region, uint64_t offset, uint64_t value, unsigned size)
{
	struct i8042 *dev = container_of(region, struct i8042, command);

	pthread_mutex_lock(&dev->lock);
	write_command(dev, (uint8_t)value);
	update(dev);
	pthread_mutex_unlock(&dev->lock);
}

static const struct bus_ops data_ops = { .read = data_read, .write = data_write };
static const struct bus_ops command_ops = { .read = status_read, .write = command_write };

/* ---- the host's side ---- */

void i8042_key(struct i8042 *dev, uint32_t scancode, bool down)
{
	pthread_mutex_lock(&dev->lock);
	ps2_keyboard_key(&dev->keyboard, scancode, down);
	update(dev);
	pthread_mutex_unlock(&dev->lock);
}

void i8042_motion(struct i8042 *dev, int32_t dx, int32_t dy)
{
	pthread_mutex_lock(&dev->lock);
	ps2_mouse_motion(&dev->mouse, dx, dy);
	update(dev);
	pthread_mutex_unlock(&dev->lock);
}

void i8042_button(struct i8042 *dev, enum input_button button, bool down)
{
	pthread_mutex_lock(&dev->lock);
	ps2_mouse_button(&dev->mouse, button, down);
	update(dev);
	pthread_mutex_unlock(&dev->lock);
}

static void begin_pause(void *opaque)
{
	struct i8042 *dev = opaque;

	loop_timer_arm(dev->pause_timer, PAUSE_NS);
}

static void end_pause(void *opaque)
{
	struct i8042 *dev = opaque;

	pthread_mutex_lock(&dev->lock);
	dev->pausing = false;
	dev->burst = 0;
	update(dev);
	pthread_mutex_unlock(&dev->lock);
}

static void tell_leds(void *opaque)
{
	struct i8042 *dev = opaque;
	uint8_t leds;
	bool changed;

	pthread_mutex_lock(&dev->lock);
	leds = dev->keyboard.leds;
	changed = leds != dev->leds_told;
	dev->leds_told = leds;
	pthread_mutex_unlock(&dev->lock);
	if (changed && dev->leds)
		dev->leds(dev->leds_opaque, leds);
}

/* ---- life ---- */

static void power_on(struct i8042 *dev)
{
	memset(dev->ram, 0, sizeof(dev->ram));
	/* As firmware would leave it, for guests that are booted without one. */
	dev->ram[0] = MODE_KEYBOARD_INT | MODE_MOUSE_INT | MODE_TRANSLATE;
	dev->status = STATUS_COMMAND | STATUS_UNLOCKED;
	dev->output = 0;
	dev->pending = 0;
	dev->answer_count = 0;
	dev->release = false;
	dev->pausing = false;
	dev->burst = 0;
	ps2_keyboard_init(&dev->keyboard);
	ps2_mouse_init(&dev->mouse);
	update(dev);
}

int i8042_create(struct i8042 **out, struct pci_host *host, struct system_control *control,
	void (*leds)(void *opaque, uint32_t leds), void *opaque)
{
	struct i8042 *dev = calloc(1, sizeof(*dev));
	int rc;

	if (!dev)
		return -ENOMEM;
	dev->host = host;
	dev->control = control;
	dev->leds = leds;
	dev->leds_opaque = opaque;
	dev->data = (struct bus_region){ .ops = &data_ops, .name = "i8042-data", .size = 1 };
	dev->command =
		(struct bus_region){ .ops = &command_ops, .name = "i8042-command", .size = 1 };
	pthread_mutex_init(&dev->lock, NULL);
	power_on(dev);
	rc = kick_create(&dev->leds_kick, host->loop, tell_leds, dev);
	if (rc == 0)
		rc = kick_create(&dev->pause_kick, host->loop, begin_pause, dev);
	if (rc == 0) {
		dev->pause_timer = loop_timer_add(host->loop, end_pause, dev);
		rc = dev->pause_timer ? 0 : -ENOMEM;
	}
	if (rc == 0)
		rc = bus_add(host->ports, &dev->data, DATA_PORT);
	if (rc == 0)
		rc = bus_add(host->ports, &dev->command, COMMAND_PORT);
	if (rc != 0) {
		i8042_destroy(dev);
		return rc;
	}
	*out = dev;
	return 0;
}

void i8042_destroy(struct i8042 *dev)
{
	if (!dev)
		return;
	if (dev->data.mapped)
		bus_remove(dev->host->ports, &dev->data);
	if (dev->command.mapped)
		bus_remove(dev->host->ports, &dev->command);
	kick_destroy(dev->leds_kick);
	kick_destroy(dev->pause_kick);
	if (dev->pause_timer)
		loop_timer_remove(dev->pause_timer);
	pthread_mutex_destroy(&dev->lock);
	free(dev);
}

void i8042_reset(struct i8042 *dev)
{
	pthread_mutex_lock(&dev->lock);
	power_on(dev);
	pthread_mutex_unlock(&dev->lock);
	tell_leds(dev);
}

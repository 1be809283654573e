/* SPDX-License-Identifier: MIT */
/*
 * The ports by which the folders meet without knowing each other. Each is a struct with a constant
 * table of operations; the first argument of an operation is the embedded base (container_of).
 * All operations run on the loop thread unless said otherwise.
 */
#ifndef CORE_PORTS_H
#define CORE_PORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/cursor.h"
#include "core/draw.h"
#include "core/rect.h"
#include "core/surface.h"

/* ---- display: from a graphics device (or a SPICE display channel) to who shows it ---- */

#define DISPLAY_MAX_SURFACES 1024
#define DISPLAY_PRIMARY      0u

struct display_sink;

struct display_sink_ops {
	/* A surface appears (id below DISPLAY_MAX_SURFACES; 0 is the primary, what is seen). The sink
	 * takes a reference of its own. An id in use is replaced. */
	void (*surface_create)(struct display_sink *sink, uint32_t id, struct surface *surface);
	void (*surface_destroy)(struct display_sink *sink, uint32_t id);
	/* A drawing. The sink takes a reference of its own where it keeps it. */
	void (*draw)(struct display_sink *sink, struct draw *draw);
	/* The device wrote these pixels of the surface itself (frame-buffer modes). */
	void (*dirty)(struct display_sink *sink, uint32_t id, const struct rect *area);
	/* The pointer's shape, place or visibility changed; `state` is the whole new state. */
	void (*cursor)(struct display_sink *sink, const struct cursor_state *state);
	/* May be NULL. The device asks that the pixels of `area` in the surface's memory be what all
	 * drawings so far make of it, before this returns (QXL's update area). */
	void (*update_area)(struct display_sink *sink, uint32_t id, const struct rect *area);
	/* May be NULL. Several monitors on the primary surface: `heads` rectangles. */
	void (*monitors)(struct display_sink *sink, const struct rect *heads, uint32_t count);
};

struct display_sink {
	const struct display_sink_ops *ops;
};

/* ---- input: from a window or a SPICE inputs channel to the machine ---- */

enum input_button {
	INPUT_BUTTON_LEFT,
	INPUT_BUTTON_MIDDLE,
	INPUT_BUTTON_RIGHT,
	INPUT_BUTTON_UP, /* wheel */
	INPUT_BUTTON_DOWN,
	INPUT_BUTTON_SIDE,
	INPUT_BUTTON_EXTRA,
};

enum { INPUT_LED_SCROLL = 1, INPUT_LED_NUM = 2, INPUT_LED_CAPS = 4 };

struct input_sink;

/* Told of what the machine's side changes. `base` of a listener is in a list of the sink. */
struct input_listener {
	/* LEDs of the guest's keyboard, INPUT_LED_* bits. May be NULL. */
	void (*leds)(struct input_listener *listener, uint32_t leds);
	/* Whether the guest takes absolute positions now. May be NULL. */
	void (*absolute)(struct input_listener *listener, bool available);
	struct input_listener *next;
};

struct input_sink_ops {
	/* One key: PC/AT scan code set 1 make code, 0xE0 prefix as bit 8 (0x11d: right Ctrl). Pause is
	 * 0x21d here (sent as E1 1D 45). A repeat is a press without a release between. */
	void (*key)(struct input_sink *sink, uint32_t scancode, bool down);
	/* Relative motion in mickeys, y downwards. */
	void (*motion)(struct input_sink *sink, int32_t dx, int32_t dy);
	/* Absolute position in pixels of a screen of width x height. */
	void (*position)(
		struct input_sink *sink, int32_t x, int32_t y, uint32_t width, uint32_t height);
	void (*button)(struct input_sink *sink, enum input_button button, bool down);
	/* Sets the lock LEDs as the viewer has them (by pressing lock keys where they differ). */
	void (*set_leds)(struct input_sink *sink, uint32_t leds);
};

struct input_sink {
	const struct input_sink_ops *ops;
	struct input_listener *listeners;
	uint32_t leds;
	bool absolute; /* the guest takes absolute positions */
};

void input_sink_init(struct input_sink *sink, const struct input_sink_ops *ops);
/* The listener is the caller's and must be removed before it goes. */
void input_sink_listen(struct input_sink *sink, struct input_listener *listener);
void input_sink_unlisten(struct input_sink *sink, struct input_listener *listener);
/* For the machine's side: stores the new value and tells the listeners when it differs. */
void input_sink_set_leds(struct input_sink *sink, uint32_t leds);
void input_sink_set_absolute(struct input_sink *sink, bool available);

/* ---- bytes: a serial line or a device channel to its far end ---- */

struct byte_port;

struct byte_port_ops {
	/* Bytes from the guest. May be called by any thread. Takes what it can (never waits) and
	 * returns how many; the rest is the device's to drop or keep. */
	size_t (*write)(struct byte_port *port, const uint8_t *bytes, size_t size);
};

struct byte_port {
	const struct byte_port_ops *ops;
	/* Set by the device: bytes for the guest arrive. On the loop thread; returns how many it took;
	 * the port offers the rest again when the device calls `ready`. */
	size_t (*receive)(void *device, const uint8_t *bytes, size_t size);
	void *device;
	/* Set by the port's maker, may be NULL: the device has room again. Any thread. */
	void (*ready)(struct byte_port *port);
};

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The keyboard controller at ports 0x60 and 0x64 with a PS/2 keyboard (IRQ 1) and a PS/2 mouse (IRQ
 * 12). Input functions run on the loop thread; the guest on its vCPU threads.
 */
#ifndef HYPERVISOR_I8042_H
#define HYPERVISOR_I8042_H

#include <stdbool.h>
#include <stdint.h>

#include "core/ports.h"
#include "hypervisor/pci.h"
#include "hypervisor/system_control.h"

enum { I8042_KEYBOARD_GSI = 1, I8042_MOUSE_GSI = 12 };

struct i8042;

/* leds(opaque, INPUT_LED_* bits) is called on the loop thread when the guest set other LEDs; may be
 * NULL. */
int i8042_create(struct i8042 **out, struct pci_host *host, struct system_control *control,
	void (*leds)(void *opaque, uint32_t leds), void *opaque);
/* On the loop thread. */
void i8042_destroy(struct i8042 *dev);
void i8042_reset(struct i8042 *dev);

/* As input_sink_ops' key, motion and button. A key or packet goes into the guest's queue whole or
 * not at all; a release that finds no room is kept and follows as soon as there is some. */
void i8042_key(struct i8042 *dev, uint32_t scancode, bool down);
void i8042_motion(struct i8042 *dev, int32_t dx, int32_t dy);
void i8042_button(struct i8042 *dev, enum input_button button, bool down);

#endif

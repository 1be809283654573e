/* SPDX-License-Identifier: MIT */
/* SDL's scancodes (places of keys, whatever the layout) as PC/AT set 1 scan codes. */
#ifndef UI_KEYMAP_H
#define UI_KEYMAP_H

#include <stdint.h>

/* The code as input_sink_ops.key takes it (0xE0 prefix as bit 8, Pause 0x21d); 0: no such key on a
 * PC keyboard. Any number may be asked. */
uint32_t keymap_set1(uint32_t sdl_scancode);

#endif

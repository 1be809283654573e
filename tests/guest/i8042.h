/* SPDX-License-Identifier: MIT */
/* Keyboard and PS/2 mouse. */
#ifndef GUEST_I8042_H
#define GUEST_I8042_H

#include <stdbool.h>

void i8042_init(void);
/* Takes one byte, of the mouse's interrupt or the keyboard's; more may wait until i8042_settle. */
void i8042_interrupt(bool mouse);
/* Takes the rest; true when that made an event. */
bool i8042_settle(void);

#endif

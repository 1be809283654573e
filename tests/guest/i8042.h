/* SPDX-License-Identifier: MIT */
/* Keyboard and PS/2 mouse. */
#ifndef GUEST_I8042_H
#define GUEST_I8042_H

#include <stdbool.h>

void i8042_init(void);
/* Takes one byte; more may wait until i8042_settle, so that an event is out the sooner. */
void i8042_interrupt(void);
/* Takes the rest; true when that made an event. */
bool i8042_settle(void);

#endif

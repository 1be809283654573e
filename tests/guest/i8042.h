/* SPDX-License-Identifier: MIT */
/* Keyboard and PS/2 mouse. */
#ifndef GUEST_I8042_H
#define GUEST_I8042_H

void i8042_init(void);
void i8042_interrupt(void);

#endif

/* SPDX-License-Identifier: MIT */
/* Keyboard and PS/2 mouse. */
#ifndef GUEST_I8042_H
#define GUEST_I8042_H

#include <stdbool.h>
#include <stdint.h>

void i8042_init(void);
/* Takes what an interrupt brought: the status and the data register as they were then. More may wait
 * until i8042_settle. */
void i8042_interrupt(uint8_t status, uint8_t byte);
/* Takes the rest; true when that made an event. */
bool i8042_settle(void);

#endif

/* SPDX-License-Identifier: MIT */
/* The far end of the machine's serial line: the terminal, a file, or a socket. */
#ifndef CMD_SERIAL_H
#define CMD_SERIAL_H

#include "core/loop.h"
#include "core/ports.h"

struct serial;

/* `target` is "stdio", "file:PATH" (made anew) or "unix:PATH" (listens; one peer at a time). Prints
 * what is wrong and returns -errno on failure. Loop thread. */
int serial_create(struct serial **out, struct loop *loop, const char *target);
/* Writes out what it can, puts the terminal back as it was. NULL is ignored. */
void serial_destroy(struct serial *serial);
struct byte_port *serial_port(struct serial *serial);

#endif

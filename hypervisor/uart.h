/* SPDX-License-Identifier: MIT */
/* A 16550A serial port (National PC16550D data sheet). */
#ifndef HYPERVISOR_UART_H
#define HYPERVISOR_UART_H

#include <stdint.h>

#include "core/ports.h"
#include "hypervisor/pci.h"

enum { UART_COM1_PORT = 0x3f8, UART_COM1_GSI = 4 };

struct uart;

/* Eight ports from `port`. far_end may be NULL (an unplugged line); it is borrowed, and its
 * `receive` and `device` are set here. Bytes that the far end does not take are dropped: the guest
 * never waits for it. Bytes from the far end are taken as the receive FIFO has room; when some were
 * refused, far_end->ready is called (any thread, no lock held) once the guest made room. */
int uart_create(struct uart **out, struct pci_host *host, uint16_t port, uint32_t gsi,
	struct byte_port *far_end);
/* Detaches from the far end. On the loop thread. */
void uart_destroy(struct uart *uart);
void uart_reset(struct uart *uart);

#endif

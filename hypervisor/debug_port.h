/* SPDX-License-Identifier: MIT */
/* The firmware's debug console at port 0x402 ("isa-debugcon" of QEMU). */
#ifndef HYPERVISOR_DEBUG_PORT_H
#define HYPERVISOR_DEBUG_PORT_H

#include "core/ports.h"
#include "hypervisor/pci.h"

struct debug_port;

/* What the firmware writes goes to far_end, or line by line to the log (scope "firmware", level
 * debug) when that is NULL. Make it only when somebody listens: SeaBIOS looks whether the port is
 * there, and its messages cost thousands of exits. */
int debug_port_create(struct debug_port **out, struct pci_host *host, struct byte_port *far_end);
void debug_port_destroy(struct debug_port *port);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * What the guest asks of the machine as a whole: reset (port 0xCF9, port 0x92, the keyboard
 * controller) and power-off (ACPI), and the state of the A20 gate, which several devices share. The
 * gate is only remembered: under KVM address line 20 is always open, as on QEMU.
 */
#ifndef HYPERVISOR_SYSTEM_CONTROL_H
#define HYPERVISOR_SYSTEM_CONTROL_H

#include <stdbool.h>

#include "hypervisor/pci.h"

struct system_control;

struct system_control_ops {
	/* Both run on the loop thread, once for any number of requests made before the loop came to
	 * it; when both are asked for, only power_off is called. */
	void (*reset)(void *opaque);
	void (*power_off)(void *opaque);
	/* May be NULL. One of the two was asked for just now: the vCPUs shall not go on meanwhile.
	 * On the asking thread, under a device's lock maybe. */
	void (*requested)(void *opaque);
};

/* Registers the ports 0x92 and 0xCF9. */
int system_control_create(struct system_control **out, struct pci_host *host,
	const struct system_control_ops *ops, void *opaque);
void system_control_destroy(struct system_control *control);
/* Back to the state after power-on; a request that has not been carried out is forgotten. While the
 * vCPUs are stopped, on the loop thread. */
void system_control_reset(struct system_control *control);

/* Asks for it; returns at once. Any thread, under a device's lock too. */
void system_control_request_reset(struct system_control *control);
void system_control_request_power_off(struct system_control *control);
bool system_control_a20(const struct system_control *control);
void system_control_set_a20(struct system_control *control, bool open);

#endif

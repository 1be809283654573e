/* SPDX-License-Identifier: MIT */
/*
 * ACPI power management (ACPI 6.x section 4.8, PIIX4 data sheet section 7.3): PM1a event and control
 * blocks, PM timer, an empty GPE0 block and the SMI command port.
 */
#ifndef HYPERVISOR_PM_H
#define HYPERVISOR_PM_H

#include <stdint.h>

#include "hypervisor/pci.h"
#include "hypervisor/system_control.h"

/* The PIIX4 PM function's PMBASE is fixed to PM_BASE (and enabled); the ACPI tables say the same. */
enum {
	PM_BASE = 0x600,
	PM_BLOCK_SIZE = 0x40,
	PM_EVENT_OFFSET = 0,
	PM_CONTROL_OFFSET = 4,
	PM_TIMER_OFFSET = 8,
	PM_GPE0_BASE = 0xafe0,
	PM_GPE0_SIZE = 4,
	PM_SMI_PORT = 0xb2,
	PM_ACPI_ENABLE = 0xf1, /* written to the SMI port */
	PM_ACPI_DISABLE = 0xf0,
	PM_SCI_GSI = 9, /* level-triggered, active high */
	PM_SLEEP_TYPE_S5 = 0, /* SLP_TYP of power-off, as the DSDT's _S5 says */
};

struct pm;

int pm_create(struct pm **out, struct pci_host *host, struct system_control *control);
/* On the loop thread. */
void pm_destroy(struct pm *pm);
void pm_reset(struct pm *pm);
/* Presses the power button: sets PWRBTN_STS and raises the SCI when the guest enabled it. Returns
 * false when the guest has not (nobody will answer, yet the press stays in the status). Any thread. */
bool pm_power_button(struct pm *pm);

#endif

/* SPDX-License-Identifier: MIT */
/* Power button and power-off, by the ports that the FADT names. */
#ifndef GUEST_ACPI_H
#define GUEST_ACPI_H

#include "lib.h"

/* rsdp: physical address, or 0 to search the BIOS area. */
void acpi_init(uint64_t rsdp);
uint32_t acpi_gsi(void); /* of the SCI; UINT32_MAX without ACPI */
void acpi_interrupt(void);
void acpi_power_off(void);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The ACPI tables of the machine (ACPI 6.x chapter 5): RSDP, RSDT, XSDT, FADT, FACS, MADT, DSDT, for
 * the firmware (through fw_cfg's table loader) or placed in guest memory for a direct boot.
 */
#ifndef HYPERVISOR_ACPI_TABLES_H
#define HYPERVISOR_ACPI_TABLES_H

#include <stdint.h>

#include "core/buf.h"
#include "hypervisor/fw_cfg.h"
#include "hypervisor/memory.h"

struct acpi_config {
	uint32_t cpus; /* local APIC ids are 0 to cpus - 1 */
	uint64_t ram_below_4g; /* bytes, at most 0xe0000000; PCI's 32-bit window is above it */
	uint64_t ram_above_4g;
	uint64_t pci_window64; /* start of the 64-bit window, 0: none */
	uint64_t pci_window64_size;
};

/* Fills a config for this much RAM: the 64-bit window begins at the first 64 GiB boundary above all
 * RAM. */
void acpi_config_init(
	struct acpi_config *config, uint32_t cpus, uint64_t ram_below_4g, uint64_t ram_above_4g);

/* Adds etc/acpi/tables, etc/acpi/rsdp and etc/table-loader. */
int acpi_add_to_fw_cfg(const struct acpi_config *config, struct fw_cfg *fw);
/* For a direct boot: writes the tables at tables_gpa (64-byte aligned, at most max_size bytes, below
 * 4 GiB; -ENOSPC when they need more) and the RSDP (36 bytes) at rsdp_gpa (16-byte aligned; between
 * 0xE0000 and 0xFFFFF systems find it by themselves), all pointers and checksums filled in. */
int acpi_write_to_guest(const struct acpi_config *config, struct guest_memory *memory,
	uint64_t tables_gpa, uint64_t max_size, uint64_t rsdp_gpa);

#endif

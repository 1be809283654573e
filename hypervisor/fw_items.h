/* SPDX-License-Identifier: MIT */
/* What this machine tells its firmware through fw_cfg: memory map, CPUs, boot, ACPI, SMBIOS. */
#ifndef HYPERVISOR_FW_ITEMS_H
#define HYPERVISOR_FW_ITEMS_H

#include <stddef.h>
#include <stdint.h>

#include "hypervisor/acpi_tables.h"
#include "hypervisor/fw_cfg.h"
#include "hypervisor/smbios.h"

struct fw_items_config {
	struct acpi_config acpi; /* CPUs and RAM for all of it */
	uint8_t uuid[16];
	/* Lines as SeaBIOS and OVMF read them (without "HALT"), e.g.
	 * "/pci@i0cf8/scsi@4/disk@0,0\n"; may be NULL. */
	const char *boot_order;
	/* Kernel for the firmware's own Linux loader; borrowed; NULL: boot from disk. */
	const uint8_t *kernel;
	size_t kernel_size;
	const uint8_t *initrd;
	size_t initrd_size;
	const char *append;
};

/* Adds every item. -EINVAL when the kernel is not a bzImage. */
int fw_items_add(const struct fw_items_config *config, struct fw_cfg *fw);

#endif

/* SPDX-License-Identifier: MIT */
/* SMBIOS 2.8 tables (DMTF DSP0134): what the guest may know of the machine it runs in. */
#ifndef HYPERVISOR_SMBIOS_H
#define HYPERVISOR_SMBIOS_H

#include <stdint.h>

#include "core/buf.h"
#include "hypervisor/fw_cfg.h"
#include "hypervisor/memory.h"

struct smbios_config {
	uint32_t cpus;
	uint64_t ram_below_4g;
	uint64_t ram_above_4g;
	uint8_t uuid[16];
};

/* Adds etc/smbios/smbios-anchor and etc/smbios/smbios-tables. */
int smbios_add_to_fw_cfg(const struct smbios_config *config, struct fw_cfg *fw);
/* For a direct boot: anchor (31 bytes, 16-byte aligned, in 0xF0000-0xFFFFF to be found) and tables
 * (at most max_size bytes; -ENOSPC). */
int smbios_write_to_guest(const struct smbios_config *config, struct guest_memory *memory,
	uint64_t anchor_gpa, uint64_t tables_gpa, uint64_t max_size);

#endif

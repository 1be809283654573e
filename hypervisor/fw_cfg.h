/* SPDX-License-Identifier: MIT */
/*
 * The firmware configuration device of QEMU (docs/specs/fw_cfg): named blobs that the guest reads at
 * ports 0x510 and 0x511 or by DMA (0x514).
 */
#ifndef HYPERVISOR_FW_CFG_H
#define HYPERVISOR_FW_CFG_H

#include <stddef.h>
#include <stdint.h>

#include "hypervisor/pci.h"

/* Keys of the items that have no name. */
enum fw_cfg_key {
	FW_CFG_SIGNATURE = 0x00,
	FW_CFG_ID = 0x01,
	FW_CFG_UUID = 0x02,
	FW_CFG_RAM_SIZE = 0x03,
	FW_CFG_NOGRAPHIC = 0x04,
	FW_CFG_NB_CPUS = 0x05,
	FW_CFG_MACHINE_ID = 0x06,
	FW_CFG_KERNEL_ADDR = 0x07,
	FW_CFG_KERNEL_SIZE = 0x08,
	FW_CFG_KERNEL_CMDLINE = 0x09,
	FW_CFG_INITRD_ADDR = 0x0a,
	FW_CFG_INITRD_SIZE = 0x0b,
	FW_CFG_BOOT_DEVICE = 0x0c,
	FW_CFG_NUMA = 0x0d,
	FW_CFG_BOOT_MENU = 0x0e,
	FW_CFG_MAX_CPUS = 0x0f,
	FW_CFG_KERNEL_ENTRY = 0x10,
	FW_CFG_KERNEL_DATA = 0x11,
	FW_CFG_INITRD_DATA = 0x12,
	FW_CFG_CMDLINE_ADDR = 0x13,
	FW_CFG_CMDLINE_SIZE = 0x14,
	FW_CFG_CMDLINE_DATA = 0x15,
	FW_CFG_SETUP_ADDR = 0x16,
	FW_CFG_SETUP_SIZE = 0x17,
	FW_CFG_SETUP_DATA = 0x18,
	FW_CFG_FILE_DIR = 0x19,
	FW_CFG_FILE_FIRST = 0x20,
	FW_CFG_FILE_COUNT_MAX = 0x40,
	FW_CFG_FILE_NAME_SIZE = 56, /* with its NUL */
};

/* Items of the PC. */
enum {
	FW_CFG_LOCAL = 0x8000,
	FW_CFG_IRQ0_OVERRIDE = FW_CFG_LOCAL | 0x02,
};

struct fw_cfg;

/* Registers the ports. The signature, the id and the (empty) file directory are there. */
int fw_cfg_create(struct fw_cfg **out, struct pci_host *host);
void fw_cfg_destroy(struct fw_cfg *fw);
void fw_cfg_reset(struct fw_cfg *fw);

/* Items are added before the machine runs. Bytes are copied, unless said otherwise. A key or name
 * that is there already gets the new bytes. 0, -ENOMEM, -EINVAL (key, name), -ENOSPC (too many). */
int fw_cfg_add(struct fw_cfg *fw, uint16_t key, const void *bytes, size_t size);
int fw_cfg_add_u16(struct fw_cfg *fw, uint16_t key, uint16_t value);
int fw_cfg_add_u32(struct fw_cfg *fw, uint16_t key, uint32_t value);
/* The bytes are the caller's and outlive the device (a kernel, an initrd). */
int fw_cfg_add_borrowed(struct fw_cfg *fw, uint16_t key, const void *bytes, size_t size);
int fw_cfg_add_file(struct fw_cfg *fw, const char *name, const void *bytes, size_t size);
/* A file that the guest may overwrite (by DMA), within its size. */
int fw_cfg_add_file_writable(struct fw_cfg *fw, const char *name, const void *bytes, size_t size);
/* Copies out what a file holds now (the guest may have written it): up to `size` bytes from
 * `offset`. Returns the number, or -ENOENT. Any thread. */
int64_t fw_cfg_file_read(
	struct fw_cfg *fw, const char *name, size_t offset, void *out, size_t size);

#endif

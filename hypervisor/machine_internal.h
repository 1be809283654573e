/* SPDX-License-Identifier: MIT */
/* What the parts of the machine share: life cycle (machine.c), memory and boot (machine_memory.c),
 * devices and input (machine_devices.c). */
#ifndef HYPERVISOR_MACHINE_INTERNAL_H
#define HYPERVISOR_MACHINE_INTERNAL_H

#include "core/log.h"
#include "hypervisor/acpi_tables.h"
#include "hypervisor/block.h"
#include "hypervisor/chipset.h"
#include "hypervisor/debug_port.h"
#include "hypervisor/engine.h"
#include "hypervisor/fw_cfg.h"
#include "hypervisor/i8042.h"
#include "hypervisor/kick.h"
#include "hypervisor/machine.h"
#include "hypervisor/pm.h"
#include "hypervisor/rtc.h"
#include "hypervisor/system_control.h"
#include "hypervisor/uart.h"
#include "hypervisor/virtio_blk.h"
#include "hypervisor/virtio_input.h"

#define MACHINE_DISKS_MAX 16

enum machine_state {
	MACHINE_BUILT,
	MACHINE_RUNNING,
	MACHINE_RESETTING, /* the vCPUs are coming to rest */
	MACHINE_ENDED, /* on_exit was called, or will be */
	MACHINE_STOPPED,
};

struct machine_memory {
	uint64_t below_4g; /* bytes of RAM */
	uint64_t above_4g;
	uint8_t *ram; /* all of it, without a hole */
	uint8_t *rom; /* the firmware as it stands below 4 GiB */
	uint64_t rom_size;
	struct memory_region conventional; /* up to 0xA0000 */
	struct memory_region low; /* from 0xC0000 */
	struct memory_region high; /* from 4 GiB */
	struct memory_region rom_region;
};

struct machine_disk_device {
	struct block *block;
	struct virtio_blk *device;
};

struct machine_input {
	struct input_sink sink;
	struct i8042 *i8042;
	struct virtio_input *tablet;
	uint32_t on_ps2; /* buttons that were pressed there, by their bits */
	bool leds_asked; /* lock keys were pressed and the guest has not answered */
	uint32_t leds_to; /* what its LEDs should become */
};

struct machine {
	struct machine_config config; /* disks and append are ours, the blobs are borrowed */
	char *append;
	uint8_t uuid[16];
	enum machine_state state;
	bool was_running; /* RAM is not as it was at power-on */

	struct engine *engine;
	struct pci_host host; /* memory, buses, interrupts */
	struct pci_bus *pci;
	struct machine_memory memory;
	struct acpi_config acpi;

	struct chipset chipset;
	struct system_control *control;
	struct fw_cfg *fw_cfg;
	struct pm *pm;
	struct rtc *rtc;
	struct uart *uart;
	struct debug_port *debug_port;
	struct machine_input input;
	struct machine_disk_device disks[MACHINE_DISKS_MAX];

	struct kick *rest_kick; /* the vCPUs rest */
	struct kick *fail_kick; /* the engine failed */
	pthread_mutex_t lock; /* guards what follows */
	char reason[ENGINE_REASON_MAX];
	struct log_limit fault_limit;
};

/* Sets *error when it is not set yet; returns err. */
int machine_fail(char **error, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

int machine_memory_create(struct machine *machine, char **error);
void machine_memory_destroy(struct machine *machine);
/* Firmware or kernel into memory, PCI resources where no firmware does that: at power-on and reset,
 * while the vCPUs rest. */
int machine_memory_boot(struct machine *machine, struct engine_start *start, char **error);

int machine_devices_create(
	struct machine *machine, const struct system_control_ops *ops, char **error);
/* Nothing of theirs is in flight afterwards, and disks are durable. The vCPUs rest. */
void machine_devices_stop(struct machine *machine);
void machine_devices_destroy(struct machine *machine);
void machine_devices_reset(struct machine *machine);

#endif

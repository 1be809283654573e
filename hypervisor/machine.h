/* SPDX-License-Identifier: MIT */
/* The whole machine, put together: engine, memory, chipset, legacy devices, disks, boot. */
#ifndef HYPERVISOR_MACHINE_H
#define HYPERVISOR_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/loop.h"
#include "core/ports.h"
#include "hypervisor/pci.h"

struct machine;

struct machine_blob {
	const uint8_t *data;
	size_t size;
};

struct machine_disk {
	const char *path;
	bool snapshot; /* writes are discarded at the end */
	bool read_only;
};

enum machine_exit {
	MACHINE_EXIT_POWER_OFF, /* the guest turned itself off, or was asked to and did */
	MACHINE_EXIT_FAILED, /* the engine stopped; `reason` says why */
};

/* What executes the guest. */
enum machine_engine { MACHINE_ENGINE_KVM, MACHINE_ENGINE_SOFT };

struct machine_config {
	struct loop *loop; /* the thread that creates, runs and destroys the machine */
	enum machine_engine engine;
	uint64_t memory_bytes; /* a multiple of 1 MiB, at least 16 MiB */
	uint32_t cpus; /* 1 to 64 */
	struct machine_blob firmware; /* SeaBIOS image, borrowed; used when there is no kernel */
	/* Direct boot, borrowed bytes: a Linux bzImage or a PVH ELF. */
	struct machine_blob kernel;
	struct machine_blob initrd;
	const char *append; /* may be NULL */
	const struct machine_disk *disks;
	uint32_t disk_count;
	struct byte_port *serial; /* COM1's far end; may be NULL. Borrowed */
	/* What the firmware says at its debug port (0x402); NULL: logged line by line when the log's
	 * level is debug, else there is no such port. Borrowed. */
	struct byte_port *firmware_log;
	bool reboot_is_exit; /* a guest reset ends the machine */
	/* On the loop thread, once. */
	void (*on_exit)(void *opaque, enum machine_exit exit, const char *reason);
	/* On the loop thread, after each guest reset; may be NULL. */
	void (*on_reset)(void *opaque);
	void *opaque;
};

/* Builds the machine, not yet running. On failure returns -errno and *error (malloc'ed, one plain
 * sentence that says what and what to do; the caller frees it). Devices such as QXL are plugged
 * between this and machine_start(). */
int machine_create(struct machine **out, const struct machine_config *config, char **error);
/* Starts the vCPU threads. */
int machine_start(struct machine *machine, char **error);
/* Presses the ACPI power button. False when the guest does not listen to it (no ACPI driver yet):
 * then waiting for it is in vain. */
bool machine_power_button(struct machine *machine);
/* Stops the vCPUs and waits for them, without asking the guest. Disks are flushed. Idempotent. While
 * it waits it serves posted calls, loop_call()s of vCPU threads among them. */
void machine_stop(struct machine *machine);
/* Stops and frees. NULL is ignored. Devices plugged by others are destroyed by them before. */
void machine_destroy(struct machine *machine);

/* Where devices are plugged. */
struct pci_bus *machine_pci_bus(struct machine *machine);
struct pci_host *machine_pci_host(struct machine *machine);
/* Keyboard and pointer of the machine: i8042, virtio-input tablet. */
struct input_sink *machine_input(struct machine *machine);

/* Whether /dev/kvm can be used: 0, or -errno with *error as above. */
int machine_kvm_probe(char **error);

#endif

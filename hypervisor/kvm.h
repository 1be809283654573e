/* SPDX-License-Identifier: MIT */
/* The engine on the host kernel's KVM, with its interrupt chips (PIC, IOAPIC, LAPIC, PIT). */
#ifndef HYPERVISOR_KVM_H
#define HYPERVISOR_KVM_H

#include <stdint.h>

#include "hypervisor/engine.h"

/* Opens /dev/kvm. The descriptor, or -errno with *error (malloc'ed, one plain sentence that says what
 * to do; the caller frees it). */
int kvm_open(char **error);
/* A VM with `cpus` vCPUs, at rest in their power-on state. 0, or -errno with *error as above. */
int kvm_engine_create(struct engine **out, unsigned cpus, char **error);

#endif

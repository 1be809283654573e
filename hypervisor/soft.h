/* SPDX-License-Identifier: MIT */
/* The engine in software, for hosts whose KVM cannot run a guest, or that have none. */
#ifndef HYPERVISOR_SOFT_H
#define HYPERVISOR_SOFT_H

#include "hypervisor/engine.h"

/* A VM with `cpus` (1 to 8) vCPUs, at rest in their power-on state. 0, or -errno with *error
 * (malloc'ed, one plain sentence; the caller frees it). */
int soft_engine_create(struct engine **out, unsigned cpus, char **error);

#endif

/* SPDX-License-Identifier: MIT */
/* What the files that make ACPI tables share. */
#ifndef HYPERVISOR_ACPI_INTERNAL_H
#define HYPERVISOR_ACPI_INTERNAL_H

#include "core/buf.h"
#include "hypervisor/acpi_tables.h"

/* Appends the DSDT's AML, without the table's header. 0 or -ENOMEM. */
int acpi_dsdt_append(const struct acpi_config *config, struct buf *out);

#endif

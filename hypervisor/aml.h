/* SPDX-License-Identifier: MIT */
/*
 * A writer of AML (ACPI 6.x chapter 20) and of resource descriptors (section 6.4): just what our
 * DSDT needs. Calls append in the order of the grammar; failure (memory, nesting) is sticky.
 */
#ifndef HYPERVISOR_AML_H
#define HYPERVISOR_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"

enum { AML_DEPTH_MAX = 8 };

/* Operators without a function of their own; their operands follow. */
enum aml_op {
	AML_LOCAL0 = 0x60,
	AML_ARG0 = 0x68,
	AML_STORE = 0x70, /* source, target */
	AML_AND = 0x7b, /* two operands, target (AML_NULL for none) */
	AML_OR = 0x7d,
	AML_CREATE_DWORD_FIELD = 0x8a, /* buffer, byte index, name */
	AML_LESS = 0x95,
	AML_RETURN = 0xa4,
	AML_NULL = 0x00,
};

struct aml_open {
	size_t start; /* where the package's length goes */
	bool is_template;
};

struct aml {
	struct buf bytes;
	struct aml_open open[AML_DEPTH_MAX];
	unsigned depth;
	bool failed;
};

/* Zero-initialise to begin. Answers whether all went well and everything that was begun is ended. */
bool aml_ok(const struct aml *aml);
void aml_finish(struct aml *aml);

/* Terms. Paths are like "\\_SB.PCI0.ISA"; short names are padded with '_'. */
void aml_path(struct aml *aml, const char *path);
void aml_int(struct aml *aml, uint64_t value);
void aml_string(struct aml *aml, const char *text);
void aml_eisa_id(struct aml *aml, const char *id); /* "PNP0A03" */
void aml_operator(struct aml *aml, enum aml_op op);
/* Name (name, ...): the value's term follows. */
void aml_name(struct aml *aml, const char *name);

/* These are closed by aml_end(). */
void aml_scope(struct aml *aml, const char *path);
void aml_device(struct aml *aml, const char *name);
void aml_method(struct aml *aml, const char *name, unsigned args, bool serialized);
void aml_package(struct aml *aml, uint8_t count);
void aml_if(struct aml *aml); /* the condition's terms follow first */
void aml_resources(struct aml *aml);
void aml_end(struct aml *aml);

void aml_processor(struct aml *aml, const char *name, uint8_t id);
/* An OperationRegion in PCI configuration space with a Field of one byte for each name. */
void aml_pci_config_bytes(struct aml *aml, const char *region, uint8_t offset,
	const char *const *names, uint8_t count);

/* Resource descriptors, inside aml_resources(). */
void aml_res_io(struct aml *aml, uint16_t port, uint8_t size);
void aml_res_irq(struct aml *aml, unsigned irq); /* ISA: edge-triggered, active high */
/* PCI: level-triggered, active high, shared. */
void aml_res_interrupts(struct aml *aml, const uint32_t *gsis, uint8_t count);
/* Address windows that a bridge passes on; first and last address. */
void aml_res_bus_numbers(struct aml *aml, uint16_t first, uint16_t last);
void aml_res_io_window(struct aml *aml, uint16_t first, uint16_t last);
void aml_res_memory_window(struct aml *aml, uint32_t first, uint32_t last, bool cacheable);
void aml_res_memory_window64(struct aml *aml, uint64_t first, uint64_t last, bool cacheable);

#endif

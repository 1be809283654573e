/* SPDX-License-Identifier: MIT */
/* The IOAPIC, 24 inputs (Intel 82093AA data sheet; version 0x20, with the EOI register). State only:
 * the caller holds its lock. */
#ifndef HYPERVISOR_IOAPIC_H
#define HYPERVISOR_IOAPIC_H

#include <stdbool.h>
#include <stdint.h>

enum { IOAPIC_INPUTS = 24, IOAPIC_WINDOW = 0x1000 };
#define IOAPIC_GPA UINT64_C(0xfec00000)

struct apic_message;

struct ioapic {
	/* Sends to the LAPICs; false when none of them takes it. */
	bool (*send)(void *opaque, const struct apic_message *message);
	void *opaque;
	uint8_t id;
	uint8_t selected; /* IOREGSEL */
	uint32_t lines;
	uint64_t entries[IOAPIC_INPUTS];
};

/* As at power-on; send, opaque and the levels of the inputs stay. */
void ioapic_reset(struct ioapic *ioapic);
void ioapic_set_input(struct ioapic *ioapic, unsigned input, bool level);
/* Of an input: the vector that it is set to, and whether it is masked. */
uint8_t ioapic_vector(const struct ioapic *ioapic, unsigned input);
bool ioapic_is_masked(const struct ioapic *ioapic, unsigned input);
/* A LAPIC's end of a level-triggered interrupt. */
void ioapic_eoi(struct ioapic *ioapic, uint8_t vector);
/* Offset in its window; 32-bit registers. */
uint32_t ioapic_read(struct ioapic *ioapic, uint32_t offset);
void ioapic_write(struct ioapic *ioapic, uint32_t offset, uint32_t value);

#endif

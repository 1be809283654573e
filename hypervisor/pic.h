/* SPDX-License-Identifier: MIT */
/* The PC's two 8259A interrupt controllers, cascaded at IRQ 2, with PIIX3's edge/level registers
 * (Intel 8259A data sheet; 82371SB data sheet for ELCR). State only: the caller holds its lock. */
#ifndef HYPERVISOR_PIC_H
#define HYPERVISOR_PIC_H

#include <stdbool.h>
#include <stdint.h>

enum {
	PIC_MASTER_PORT = 0x20,
	PIC_SLAVE_PORT = 0xa0,
	PIC_ELCR_PORT = 0x4d0,
	PIC_IRQS = 16,
	PIC_CASCADE_IRQ = 2
};

struct pic_chip {
	uint8_t irr;
	uint8_t isr;
	uint8_t imr;
	uint8_t lines; /* levels of the inputs */
	uint8_t elcr; /* inputs that are level-triggered */
	uint8_t base; /* vector of input 0 */
	uint8_t first; /* the input of highest priority */
	uint8_t expected_icw; /* 0: initialised */
	bool needs_icw4;
	bool auto_eoi;
	bool rotate_on_auto_eoi;
	bool special_mask;
	bool special_fully_nested;
	bool polled; /* the next read acknowledges */
	bool read_isr;
};

struct pic {
	struct pic_chip chips[2]; /* master, slave */
};

/* As at power-on, but for the levels of the inputs: those are the devices'. IRQ 9, 10 and 11, which
 * PCI and ACPI use here, are level-triggered from the start. */
void pic_reset(struct pic *pic);
void pic_set_irq(struct pic *pic, unsigned irq, bool level);
/* Whether INTR is raised. */
bool pic_output(const struct pic *pic);
/* The CPU's interrupt acknowledge: the vector. A request that is gone gives the spurious one, IRQ 7
 * or 15. */
uint8_t pic_acknowledge(struct pic *pic);
/* Ports 0x20, 0x21, 0xA0, 0xA1, 0x4D0 and 0x4D1. */
uint8_t pic_read(struct pic *pic, uint16_t port);
void pic_write(struct pic *pic, uint16_t port, uint8_t value);

#endif

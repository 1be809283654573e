/* SPDX-License-Identifier: MIT */
/* Interrupts: what devices raise, whatever chip (KVM's, or one in user space) stands behind. */
#ifndef HYPERVISOR_IRQ_H
#define HYPERVISOR_IRQ_H

#include <stdbool.h>
#include <stdint.h>

struct irq_chip;

struct irq_chip_ops {
	/* Level of a global system interrupt (0-23: ISA IRQs and the PCI ones). Any thread. */
	void (*set_gsi)(struct irq_chip *chip, uint32_t gsi, bool level);
	/* Delivers one message-signalled interrupt. Any thread. */
	void (*send_msi)(struct irq_chip *chip, uint64_t address, uint32_t data);
};

/* Embedded in the engine; tests embed one that records. */
struct irq_chip {
	const struct irq_chip_ops *ops;
};

static inline void irq_set_gsi(struct irq_chip *chip, uint32_t gsi, bool level)
{
	chip->ops->set_gsi(chip, gsi, level);
}
static inline void irq_send_msi(struct irq_chip *chip, uint64_t address, uint32_t data)
{
	chip->ops->send_msi(chip, address, data);
}

#endif

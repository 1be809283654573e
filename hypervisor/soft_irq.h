/* SPDX-License-Identifier: MIT */
/*
 * What stands between the software CPUs and their interrupt chips (PIC, PIT, IOAPIC and a LAPIC a
 * CPU, with a timer thread of its own). The chips call soft_cpu_request() (any thread): IRQ when an
 * interrupt waits, NMI, INIT, SIPI (cpu->sipi_vector set before).
 */
#ifndef HYPERVISOR_SOFT_IRQ_H
#define HYPERVISOR_SOFT_IRQ_H

#include <stdbool.h>
#include <stdint.h>

#include "hypervisor/irq.h"

struct soft_cpu;
struct soft_irq;
struct bus;

/* The chips for `count` CPUs, borrowed; chip->ops is set. 0 or -errno. */
int soft_irq_create(
	struct soft_irq **out, struct irq_chip *chip, struct soft_cpu *const *cpus, unsigned count);
/* Adds the ports (PIC, PIT, ELCR, 0x61) and the IOAPIC's registers to the buses: once, before the
 * CPUs first run. */
int soft_irq_attach(struct soft_irq *irq, struct bus *ports, struct bus *mmio);
/* All as at power-on; the CPUs rest. */
void soft_irq_reset(struct soft_irq *irq);
void soft_irq_destroy(struct soft_irq *irq);

/* The rest is called on the CPU's own thread. */

/* The vector to deliver now (LAPIC, or PIC through LINT0), taken from the chip; -1: none after all.
 * Called when SOFT_REQUEST_IRQ was set (the CPU cleared it before) and the CPU takes interrupts.
 * When more wait, sets the request again. */
int soft_irq_acknowledge(struct soft_irq *irq, unsigned cpu);
/* Whether an interrupt waits that soft_irq_acknowledge() would give (wakes HLT). */
bool soft_irq_pending(struct soft_irq *irq, unsigned cpu);

/* The LAPIC's page (at soft_cpu.apic_base), 32-bit registers; offset 0-0xfff, size 1-8. */
uint64_t soft_irq_lapic_read(struct soft_irq *irq, unsigned cpu, uint32_t offset, unsigned size);
void soft_irq_lapic_write(
	struct soft_irq *irq, unsigned cpu, uint32_t offset, uint64_t value, unsigned size);
/* MSRs of the LAPIC: APIC_BASE (0x1b; the CPU keeps its copy), TSC_DEADLINE (0x6e0), x2APIC
 * (0x800-0x8ff). 0, or -EINVAL for #GP. */
int soft_irq_msr_read(struct soft_irq *irq, unsigned cpu, uint32_t msr, uint64_t *value);
int soft_irq_msr_write(struct soft_irq *irq, unsigned cpu, uint32_t msr, uint64_t value);
/* CR8: the task priority's upper four bits. */
uint64_t soft_irq_cr8(struct soft_irq *irq, unsigned cpu);
void soft_irq_set_cr8(struct soft_irq *irq, unsigned cpu, uint64_t value);

/* The guest's time-stamp counter, and its frequency (Hz; the same for all CPUs). Any thread.
 * In soft_clock.c, for the timer of TSC-deadline mode. */
uint64_t soft_tsc(const struct soft_cpu *cpu);
uint64_t soft_tsc_hz(void);
/* The monotonic time (clock_monotonic_ns()) at which soft_tsc() reaches `tsc`. */
uint64_t soft_tsc_to_ns(const struct soft_cpu *cpu, uint64_t tsc);

#endif

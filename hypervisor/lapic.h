/* SPDX-License-Identifier: MIT */
/*
 * The local APICs of all vCPUs (Intel SDM volume 3, chapter "Advanced Programmable Interrupt
 * Controller"): xAPIC and x2APIC, interprocessor interrupts, the timer in its three modes. State
 * only: the caller holds its lock and gives the time (monotonic, nanoseconds). The timer counts
 * nanoseconds: its bus is one of 1 GHz.
 */
#ifndef HYPERVISOR_LAPIC_H
#define HYPERVISOR_LAPIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "hypervisor/engine.h"

enum {
	LAPIC_WINDOW = 0x1000,
	LAPIC_MSR_BASE = 0x1b, /* IA32_APIC_BASE */
	LAPIC_MSR_TSC_DEADLINE = 0x6e0,
	LAPIC_MSR_X2APIC = 0x800, /* to 0x8ff */
	LAPIC_BUS_KHZ = 1000000,
};
#define LAPIC_GPA UINT64_C(0xfee00000)

/* What waits for a vCPU. */
enum lapic_event {
	LAPIC_EVENT_INTR = 1, /* an interrupt, to be taken when the vCPU's IF allows */
	LAPIC_EVENT_NMI = 2,
	LAPIC_EVENT_INIT = 4,
	LAPIC_EVENT_SIPI = 8,
};

enum apic_delivery {
	APIC_FIXED,
	APIC_LOWEST_PRIORITY,
	APIC_SMI,
	APIC_NMI = 4,
	APIC_INIT,
	APIC_SIPI,
	APIC_EXTINT,
};

/* An interrupt on its way to LAPICs. */
struct apic_message {
	uint8_t vector;
	uint8_t mode; /* enum apic_delivery */
	bool logical;
	bool level; /* level-triggered: its end is told to the IOAPIC */
	bool wide; /* dest is an x2APIC's of 32 bits */
	uint32_t dest;
};

enum {
	LAPIC_LVT_TIMER,
	LAPIC_LVT_THERMAL,
	LAPIC_LVT_COUNTERS,
	LAPIC_LVT_LINT0,
	LAPIC_LVT_LINT1,
	LAPIC_LVT_ERROR,
	LAPIC_LVTS
};

struct lapic {
	_Atomic uint32_t events; /* written under the lock, read by the vCPU without it */
	unsigned index;
	uint64_t base; /* IA32_APIC_BASE */
	uint32_t id; /* as xAPICs have it, 8 bits */
	uint32_t tpr;
	uint32_t ldr;
	uint32_t dfr;
	uint32_t svr;
	uint32_t errors; /* gathered, not yet shown in ESR */
	uint32_t esr;
	uint64_t icr;
	uint32_t lvt[LAPIC_LVTS];
	uint32_t isr[8];
	uint32_t tmr[8];
	uint32_t irr[8];
	uint32_t divide;
	uint32_t initial_count;
	uint64_t tsc_deadline;
	uint64_t deadline_ns; /* 0: the timer does not run */
	bool lint0; /* the PIC's INTR */
	bool nmi;
	bool init;
	bool sipi;
	bool waits_for_sipi;
	uint8_t sipi_vector;
};

struct lapic_group;

struct lapic_group_ops {
	/* A vCPU has an event that it did not have. May be called for the running vCPU's own. */
	void (*kick)(void *opaque, unsigned cpu);
	/* A level-triggered interrupt ended. */
	void (*eoi)(void *opaque, uint8_t vector);
	/* The PIC's vector was asked for by a LAPIC that takes LINT0 as ExtINT; -1: none any more. */
	int (*acknowledge)(void *opaque);
	/* When that vCPU's time-stamp counter will read `tsc`, or now or any time before now. */
	uint64_t (*tsc_ns)(void *opaque, unsigned cpu, uint64_t tsc);
};

struct lapic_group {
	const struct lapic_group_ops *ops;
	void *opaque;
	unsigned count;
	bool x2apic; /* allowed */
	unsigned turn; /* of lowest-priority delivery among equals */
	struct lapic lapics[ENGINE_MAX_CPUS];
};

/* As at power-on: the first is the bootstrap processor's, whose LINT0 passes the PIC's interrupts on;
 * the others wait for INIT and SIPI. */
void lapic_group_reset(struct lapic_group *group);
/* To whom it may concern; false when no LAPIC takes it. */
bool lapic_group_send(struct lapic_group *group, const struct apic_message *message);
/* The PIC's INTR, which goes to every LAPIC's LINT0. */
void lapic_group_set_lint0(struct lapic_group *group, bool level);

/* The vCPU takes its interrupt: the vector, or -1 when there is none any more. */
int lapic_accept(struct lapic_group *group, unsigned cpu);
/* The vCPU takes one of LAPIC_EVENT_NMI, INIT (which resets the LAPIC) and SIPI. -1: there is none;
 * else 0, or for SIPI its vector: the code's 4 KiB page. */
int lapic_take(struct lapic_group *group, unsigned cpu, enum lapic_event event);

/* Offset in the window at the base; 32-bit registers, 16 bytes apart. */
uint32_t lapic_read(struct lapic_group *group, unsigned cpu, uint32_t offset, uint64_t now_ns);
void lapic_write(
	struct lapic_group *group, unsigned cpu, uint32_t offset, uint32_t value, uint64_t now_ns);
/* The MSRs named above. False: general protection. */
bool lapic_msr_read(
	struct lapic_group *group, unsigned cpu, uint32_t msr, uint64_t *value, uint64_t now_ns);
bool lapic_msr_write(
	struct lapic_group *group, unsigned cpu, uint32_t msr, uint64_t value, uint64_t now_ns);
/* CR8. */
void lapic_set_cr8(struct lapic_group *group, unsigned cpu, uint8_t value);

/* Does what the timer is due to do. */
void lapic_timer_run(struct lapic_group *group, unsigned cpu, uint64_t now_ns);
/* When lapic_timer_run() is to be called next; UINT64_MAX: not at all. */
uint64_t lapic_timer_next_ns(const struct lapic_group *group, unsigned cpu);

#endif

/* SPDX-License-Identifier: MIT */
/* What the delivery (lapic.c) and the registers (lapic_registers.c) of LAPICs share. */
#ifndef HYPERVISOR_LAPIC_INTERNAL_H
#define HYPERVISOR_LAPIC_INTERNAL_H

#include "hypervisor/lapic.h"

enum {
	BASE_BOOTSTRAP = 1 << 8,
	BASE_X2APIC = 1 << 10,
	BASE_ENABLED = 1 << 11,

	LVT_MODE = 7 << 8,
	LVT_MASKED = 1 << 16,
	LVT_TIMER_PERIODIC = 1 << 17,
	LVT_TIMER_DEADLINE = 1 << 18,
	LVT_TIMER_MODES = LVT_TIMER_PERIODIC | LVT_TIMER_DEADLINE,

	SVR_ENABLED = 1 << 8,

	ESR_SENT_ILLEGAL = 1 << 5,
	ESR_GOT_ILLEGAL = 1 << 6,
	ESR_ILLEGAL_REGISTER = 1 << 7,

	LOWEST_VECTOR = 16,
};

/* The ICR's destination shorthands. */
enum shorthand { SHORTHAND_NONE, SHORTHAND_SELF, SHORTHAND_ALL, SHORTHAND_OTHERS };

static inline bool lapic_is_enabled(const struct lapic *lapic)
{
	return lapic->base & BASE_ENABLED;
}
static inline bool lapic_is_x2apic(const struct lapic *lapic)
{
	return (lapic->base & (BASE_ENABLED | BASE_X2APIC)) == (BASE_ENABLED | BASE_X2APIC);
}
static inline uint32_t lapic_divider(const struct lapic *lapic)
{
	uint32_t code = (lapic->divide & 3) | (lapic->divide >> 1 & 4);

	return code == 7 ? 1 : 2u << code;
}

/* Registers as after INIT; the identity and IA32_APIC_BASE stay. */
void lapic_reset(struct lapic *lapic);
/* Recomputes what waits for the vCPU, after any change. */
void lapic_update(struct lapic_group *group, struct lapic *lapic);
uint32_t lapic_ppr(const struct lapic *lapic);
void lapic_error(struct lapic_group *group, struct lapic *lapic, uint32_t error);
/* What a local source does as its LVT entry says. */
void lapic_local(struct lapic_group *group, struct lapic *lapic, unsigned lvt);
void lapic_eoi(struct lapic_group *group, struct lapic *lapic);
bool lapic_send(struct lapic_group *group, const struct apic_message *message,
	enum shorthand shorthand, unsigned from);

#endif

/* SPDX-License-Identifier: MIT */
/* LAPICs: who takes a message, what waits for a vCPU, and how it is taken. */
#include "hypervisor/lapic.h"

#include <string.h>

#include "core/util.h"
#include "hypervisor/lapic_internal.h"

#define BROADCAST      0xffu
#define BROADCAST_WIDE 0xffffffffu

static bool vector_test(const uint32_t *bits, unsigned vector)
{
	return bits[vector / 32] >> vector % 32 & 1;
}

static void vector_set(uint32_t *bits, unsigned vector, bool on)
{
	uint32_t bit = 1u << vector % 32;

	bits[vector / 32] = on ? bits[vector / 32] | bit : bits[vector / 32] & ~bit;
}

/* -1: none. */
static int vector_highest(const uint32_t *bits)
{
	for (int i = 7; i >= 0; i--)
		if (bits[i])
			return i * 32 + 31 - __builtin_clz(bits[i]);
	return -1;
}

/* ---- what waits ---- */

uint32_t lapic_ppr(const struct lapic *lapic)
{
	int serving = vector_highest(lapic->isr);
	uint32_t class = serving < 0 ? 0 : (uint32_t)serving & 0xf0;

	return (lapic->tpr & 0xf0) >= class ? lapic->tpr : class;
}

static bool passes_pic(const struct lapic *lapic)
{
	uint32_t lint0 = lapic->lvt[LAPIC_LVT_LINT0];

	if (!lapic->lint0)
		return false;
	if (!lapic_is_enabled(lapic))
		return lapic->index == 0;
	return !(lint0 & LVT_MASKED) && (lint0 & LVT_MODE) >> 8 == APIC_EXTINT;
}

/* The vector that may be taken now; -1: none. */
static int deliverable(const struct lapic *lapic)
{
	int vector = lapic_is_enabled(lapic) ? vector_highest(lapic->irr) : -1;

	return vector >= 0 && ((uint32_t)vector & 0xf0) > (lapic_ppr(lapic) & 0xf0) ? vector : -1;
}

void lapic_update(struct lapic_group *group, struct lapic *lapic)
{
	uint32_t before = atomic_load_explicit(&lapic->events, memory_order_relaxed), now = 0;

	if (passes_pic(lapic) || deliverable(lapic) >= 0)
		now |= LAPIC_EVENT_INTR;
	now |= lapic->nmi ? LAPIC_EVENT_NMI : 0;
	now |= lapic->init ? LAPIC_EVENT_INIT : 0;
	now |= lapic->sipi ? LAPIC_EVENT_SIPI : 0;
	if (now == before)
		return;
	atomic_store(&lapic->events, now);
	if (now & ~before)
		group->ops->kick(group->opaque, lapic->index);
}

static void request(struct lapic *lapic, uint8_t vector, bool level)
{
	vector_set(lapic->irr, vector, true);
	vector_set(lapic->tmr, vector, level);
}

void lapic_error(struct lapic_group *group, struct lapic *lapic, uint32_t error)
{
	bool known = lapic->errors & error;

	lapic->errors |= error;
	if (!known)
		lapic_local(group, lapic, LAPIC_LVT_ERROR);
}

void lapic_local(struct lapic_group *group, struct lapic *lapic, unsigned lvt)
{
	uint32_t entry = lapic->lvt[lvt];
	uint8_t vector = (uint8_t)entry;
	bool has_mode = lvt != LAPIC_LVT_TIMER && lvt != LAPIC_LVT_ERROR;
	unsigned mode = has_mode ? (entry & LVT_MODE) >> 8 : APIC_FIXED;

	if ((entry & LVT_MASKED) || !lapic_is_enabled(lapic))
		return;
	if (mode == APIC_NMI)
		lapic->nmi = true;
	else if (mode == APIC_FIXED && vector >= LOWEST_VECTOR)
		request(lapic, vector, false);
	else if (mode == APIC_FIXED)
		lapic->errors |= ESR_GOT_ILLEGAL;
	lapic_update(group, lapic);
}

/* ---- messages ---- */

static bool matches_logical(const struct lapic *lapic, uint32_t dest)
{
	uint32_t id = lapic->ldr >> 24;

	if (lapic_is_x2apic(lapic))
		return dest >> 16 == lapic->ldr >> 16 && (dest & lapic->ldr & 0xffff);
	if (lapic->dfr >> 28 == 0xf)
		return (dest & id) != 0;
	/* Clusters. */
	return (dest >> 4 == id >> 4 || dest >> 4 == 0xf) && (dest & id & 0xf);
}

static bool matches(const struct lapic *lapic, const struct apic_message *message)
{
	if (message->dest == (message->wide ? BROADCAST_WIDE : BROADCAST))
		return true;
	if (message->logical)
		return matches_logical(lapic, message->dest);
	return message->dest == lapic->id;
}

static bool takes_vectors(const struct lapic *lapic)
{
	return lapic->svr & SVR_ENABLED;
}

/* Gives a message to a LAPIC that it is for. */
static bool receive(
	struct lapic_group *group, struct lapic *lapic, const struct apic_message *message)
{
	switch (message->mode) {
	case APIC_FIXED:
	case APIC_LOWEST_PRIORITY:
		if (!takes_vectors(lapic))
			return false;
		if (message->vector < LOWEST_VECTOR)
			lapic_error(group, lapic, ESR_GOT_ILLEGAL);
		else
			request(lapic, message->vector, message->level);
		break;
	case APIC_NMI: lapic->nmi = true; break;
	case APIC_INIT:
		lapic->init = true;
		lapic->sipi = false;
		break;
	case APIC_SIPI:
		if (!lapic->waits_for_sipi && !lapic->init)
			return false;
		lapic->sipi = true;
		lapic->sipi_vector = message->vector;
		break;
	default: return false; /* there is no system management mode */
	}
	lapic_update(group, lapic);
	return true;
}

static bool is_for(const struct lapic *lapic, const struct apic_message *message,
	enum shorthand shorthand, unsigned from)
{
	if (!lapic_is_enabled(lapic))
		return false;
	switch (shorthand) {
	case SHORTHAND_SELF: return lapic->index == from;
	case SHORTHAND_ALL: return true;
	case SHORTHAND_OTHERS: return lapic->index != from;
	default: return matches(lapic, message);
	}
}

/* The one of lowest priority; among equals each in its turn. */
static struct lapic *arbitrate(struct lapic_group *group, const struct apic_message *message,
	enum shorthand shorthand, unsigned from)
{
	struct lapic *best = NULL;

	for (unsigned i = 0; i < group->count; i++) {
		struct lapic *lapic = &group->lapics[(group->turn + i) % group->count];

		if (is_for(lapic, message, shorthand, from) && takes_vectors(lapic) &&
			(!best || lapic_ppr(lapic) >> 4 < lapic_ppr(best) >> 4))
			best = lapic;
	}
	if (best)
		group->turn = (best->index + 1) % group->count;
	return best;
}

bool lapic_send(struct lapic_group *group, const struct apic_message *message,
	enum shorthand shorthand, unsigned from)
{
	struct lapic *lapic;
	bool taken = false;

	if (message->mode == APIC_LOWEST_PRIORITY) {
		lapic = arbitrate(group, message, shorthand, from);
		return lapic && receive(group, lapic, message);
	}
	for (unsigned i = 0; i < group->count; i++)
		if (is_for(&group->lapics[i], message, shorthand, from))
			taken |= receive(group, &group->lapics[i], message);
	return taken;
}

bool lapic_group_send(struct lapic_group *group, const struct apic_message *message)
{
	return lapic_send(group, message, SHORTHAND_NONE, 0);
}

void lapic_group_set_lint0(struct lapic_group *group, bool level)
{
	for (unsigned i = 0; i < group->count; i++) {
		struct lapic *lapic = &group->lapics[i];
		bool rises = level && !lapic->lint0;

		lapic->lint0 = level;
		if (rises)
			lapic_local(group, lapic, LAPIC_LVT_LINT0);
		lapic_update(group, lapic);
	}
}

/* ---- the vCPU's side ---- */

int lapic_accept(struct lapic_group *group, unsigned cpu)
{
	struct lapic *lapic = &group->lapics[cpu];
	int vector = -1;

	if (passes_pic(lapic))
		vector = group->ops->acknowledge(group->opaque);
	if (vector < 0) {
		vector = deliverable(lapic);
		if (vector >= 0) {
			vector_set(lapic->irr, (unsigned)vector, false);
			vector_set(lapic->isr, (unsigned)vector, true);
		}
	}
	lapic_update(group, lapic);
	return vector;
}

int lapic_take(struct lapic_group *group, unsigned cpu, enum lapic_event event)
{
	struct lapic *lapic = &group->lapics[cpu];
	int result = -1;

	if (event == LAPIC_EVENT_NMI && lapic->nmi) {
		lapic->nmi = false;
		result = 0;
	} else if (event == LAPIC_EVENT_INIT && lapic->init) {
		lapic->init = false;
		lapic_reset(lapic);
		lapic->waits_for_sipi = cpu != 0;
		result = 0;
	} else if (event == LAPIC_EVENT_SIPI && lapic->sipi) {
		lapic->sipi = lapic->waits_for_sipi = false;
		result = lapic->sipi_vector;
	}
	lapic_update(group, lapic);
	return result;
}

void lapic_eoi(struct lapic_group *group, struct lapic *lapic)
{
	int vector = vector_highest(lapic->isr);

	if (vector < 0)
		return;
	vector_set(lapic->isr, (unsigned)vector, false);
	if (vector_test(lapic->tmr, (unsigned)vector))
		group->ops->eoi(group->opaque, (uint8_t)vector);
	lapic_update(group, lapic);
}

void lapic_reset(struct lapic *lapic)
{
	lapic->tpr = 0;
	lapic->ldr = lapic_is_x2apic(lapic) ? lapic->id >> 4 << 16 | 1u << (lapic->id & 15) : 0;
	lapic->dfr = 0xffffffff;
	lapic->svr = 0xff;
	lapic->errors = lapic->esr = 0;
	lapic->icr = 0;
	for (unsigned i = 0; i < LAPIC_LVTS; i++)
		lapic->lvt[i] = LVT_MASKED;
	/* As firmware leaves it; kernels that are started without firmware rely on it. */
	if (lapic->index == 0)
		lapic->lvt[LAPIC_LVT_LINT0] = APIC_EXTINT << 8;
	memset(lapic->isr, 0, sizeof(lapic->isr));
	memset(lapic->tmr, 0, sizeof(lapic->tmr));
	memset(lapic->irr, 0, sizeof(lapic->irr));
	lapic->divide = lapic->initial_count = 0;
	lapic->tsc_deadline = lapic->deadline_ns = 0;
}

void lapic_group_reset(struct lapic_group *group)
{
	for (unsigned i = 0; i < group->count; i++) {
		struct lapic *lapic = &group->lapics[i];

		lapic->index = lapic->id = i;
		lapic->base = LAPIC_GPA | BASE_ENABLED | (i == 0 ? BASE_BOOTSTRAP : 0);
		lapic_reset(lapic);
		lapic->nmi = lapic->init = lapic->sipi = false;
		lapic->waits_for_sipi = i != 0;
		lapic_update(group, lapic);
	}
}

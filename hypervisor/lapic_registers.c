/* SPDX-License-Identifier: MIT */
/* LAPICs: registers, MSRs and the timer. */
#include <string.h>

#include "core/util.h"
#include "hypervisor/lapic_internal.h"

enum {
	REG_ID = 0x02,
	REG_VERSION = 0x03,
	REG_TPR = 0x08,
	REG_APR = 0x09,
	REG_PPR = 0x0a,
	REG_EOI = 0x0b,
	REG_RRD = 0x0c,
	REG_LDR = 0x0d,
	REG_DFR = 0x0e,
	REG_SVR = 0x0f,
	REG_ISR = 0x10,
	REG_TMR = 0x18,
	REG_IRR = 0x20,
	REG_ESR = 0x28,
	REG_ICR = 0x30,
	REG_ICR_HIGH = 0x31,
	REG_LVT = 0x32,
	REG_INITIAL_COUNT = 0x38,
	REG_CURRENT_COUNT = 0x39,
	REG_DIVIDE = 0x3e,
	REG_SELF_IPI = 0x3f,

	VERSION = 0x14 | (LAPIC_LVTS - 1) << 16,
	SVR_WRITABLE = 0x1ff,
	ICR_WRITABLE = 0xccfff,
	ICR_LOGICAL = 1 << 11,
	ICR_ASSERT = 1 << 14,
	ICR_LEVEL = 1 << 15,
	DIVIDE_WRITABLE = 0x0b,
};

#define BASE_ADDRESS UINT64_C(0xfffffff000)
/* A guest's shorter periods must not keep the host busy. */
#define MIN_PERIOD_NS UINT64_C(200000)

static const uint32_t lvt_writable[LAPIC_LVTS] = {
	[LAPIC_LVT_TIMER] = 0x700ff,
	[LAPIC_LVT_THERMAL] = 0x107ff,
	[LAPIC_LVT_COUNTERS] = 0x107ff,
	[LAPIC_LVT_LINT0] = 0x1a7ff,
	[LAPIC_LVT_LINT1] = 0x1a7ff,
	[LAPIC_LVT_ERROR] = 0x100ff,
};

/* ---- the timer ---- */

static bool is_deadline_mode(const struct lapic *lapic)
{
	return (lapic->lvt[LAPIC_LVT_TIMER] & LVT_TIMER_MODES) == LVT_TIMER_DEADLINE;
}

void lapic_timer_run(struct lapic_group *group, unsigned cpu, uint64_t now_ns)
{
	struct lapic *lapic = &group->lapics[cpu];
	uint64_t period = (uint64_t)lapic->initial_count * lapic_divider(lapic), missed;

	if (lapic->deadline_ns == 0 || now_ns < lapic->deadline_ns)
		return;
	if (lapic->lvt[LAPIC_LVT_TIMER] & LVT_TIMER_PERIODIC) {
		period = MAX(period, MIN_PERIOD_NS);
		missed = (now_ns - lapic->deadline_ns) / period;
		lapic->deadline_ns += (missed + 1) * period;
	} else {
		lapic->deadline_ns = lapic->tsc_deadline = 0;
	}
	lapic_local(group, lapic, LAPIC_LVT_TIMER);
}

uint64_t lapic_timer_next_ns(const struct lapic_group *group, unsigned cpu)
{
	const struct lapic *lapic = &group->lapics[cpu];

	/* Masked, it is only looked at when the guest does. */
	if (lapic->deadline_ns == 0 || (lapic->lvt[LAPIC_LVT_TIMER] & LVT_MASKED))
		return UINT64_MAX;
	return lapic->deadline_ns;
}

static uint32_t current_count(const struct lapic *lapic, uint64_t now_ns)
{
	uint64_t count;

	if (is_deadline_mode(lapic) || lapic->deadline_ns <= now_ns)
		return 0;
	count = DIV_ROUND_UP(lapic->deadline_ns - now_ns, lapic_divider(lapic));
	return (uint32_t)MIN(count, lapic->initial_count);
}

static void write_initial_count(struct lapic *lapic, uint32_t value, uint64_t now_ns)
{
	if (is_deadline_mode(lapic))
		return;
	lapic->initial_count = value;
	lapic->deadline_ns = value ? now_ns + (uint64_t)value * lapic_divider(lapic) : 0;
}

static void write_divide(struct lapic *lapic, uint32_t value, uint64_t now_ns)
{
	uint32_t left = current_count(lapic, now_ns);

	lapic->divide = value & DIVIDE_WRITABLE;
	if (left)
		lapic->deadline_ns = now_ns + (uint64_t)left * lapic_divider(lapic);
}

static void write_lvt(struct lapic *lapic, unsigned lvt, uint32_t value)
{
	uint32_t before = lapic->lvt[lvt];

	value &= lvt_writable[lvt];
	if (!(lapic->svr & SVR_ENABLED))
		value |= LVT_MASKED;
	lapic->lvt[lvt] = value;
	if (lvt == LAPIC_LVT_TIMER && ((before ^ value) & LVT_TIMER_DEADLINE)) {
		lapic->initial_count = 0;
		lapic->deadline_ns = lapic->tsc_deadline = 0;
	}
}

static void write_tsc_deadline(
	struct lapic_group *group, struct lapic *lapic, uint64_t value, uint64_t now_ns)
{
	if (!is_deadline_mode(lapic))
		return;
	lapic->tsc_deadline = value;
	lapic->deadline_ns = value ? group->ops->tsc_ns(group->opaque, lapic->index, value) : 0;
	if (value && lapic->deadline_ns == 0)
		lapic->deadline_ns = 1;
	lapic_timer_run(group, lapic->index, now_ns);
}

/* ---- interprocessor interrupts ---- */

static void send_ipi(struct lapic_group *group, struct lapic *lapic)
{
	uint32_t icr = (uint32_t)lapic->icr;
	bool wide = lapic_is_x2apic(lapic);
	struct apic_message message = {
		.vector = (uint8_t)icr,
		.mode = icr >> 8 & 7,
		.logical = icr & ICR_LOGICAL,
		.wide = wide,
		.dest = (uint32_t)(lapic->icr >> (wide ? 32 : 56)),
	};

	if ((message.mode == APIC_FIXED || message.mode == APIC_LOWEST_PRIORITY) &&
		message.vector < LOWEST_VECTOR) {
		lapic_error(group, lapic, ESR_SENT_ILLEGAL);
		return;
	}
	/* INIT's de-assertion means nothing to processors of today. */
	if (message.mode == APIC_INIT && (icr & (ICR_LEVEL | ICR_ASSERT)) == ICR_LEVEL)
		return;
	lapic_send(group, &message, (enum shorthand)(icr >> 18 & 3), lapic->index);
}

/* ---- registers ---- */

static void write_svr(struct lapic *lapic, uint32_t value)
{
	lapic->svr = value & SVR_WRITABLE;
	if (lapic->svr & SVR_ENABLED)
		return;
	for (unsigned i = 0; i < LAPIC_LVTS; i++)
		lapic->lvt[i] |= LVT_MASKED;
}

/* False: there is no such register. */
static bool read_register(const struct lapic *lapic, uint32_t reg, uint64_t now_ns, uint32_t *value)
{
	if (reg >= REG_ISR && reg < REG_ESR) {
		const uint32_t *bits = reg < REG_TMR ? lapic->isr
			: reg < REG_IRR              ? lapic->tmr
						     : lapic->irr;

		*value = bits[reg & 7];
		return true;
	}
	if (reg >= REG_LVT && reg < REG_LVT + LAPIC_LVTS) {
		*value = lapic->lvt[reg - REG_LVT];
		return true;
	}
	switch (reg) {
	case REG_ID: *value = lapic_is_x2apic(lapic) ? lapic->id : lapic->id << 24; break;
	case REG_VERSION: *value = VERSION; break;
	case REG_TPR: *value = lapic->tpr; break;
	case REG_APR:
	case REG_PPR: *value = lapic_ppr(lapic); break;
	case REG_EOI:
	case REG_RRD: *value = 0; break;
	case REG_LDR: *value = lapic->ldr; break;
	case REG_DFR: *value = lapic->dfr; break;
	case REG_SVR: *value = lapic->svr; break;
	case REG_ESR: *value = lapic->esr; break;
	case REG_ICR: *value = (uint32_t)lapic->icr; break;
	case REG_ICR_HIGH: *value = (uint32_t)(lapic->icr >> 32); break;
	case REG_INITIAL_COUNT: *value = lapic->initial_count; break;
	case REG_CURRENT_COUNT: *value = current_count(lapic, now_ns); break;
	case REG_DIVIDE: *value = lapic->divide; break;
	default: return false;
	}
	return true;
}

static bool write_register(struct lapic_group *group, struct lapic *lapic, uint32_t reg,
	uint32_t value, uint64_t now_ns)
{
	if (reg >= REG_LVT && reg < REG_LVT + LAPIC_LVTS) {
		write_lvt(lapic, reg - REG_LVT, value);
		/* An INTR that is raised already is one for an LVT that now lets it through. */
		return true;
	}
	switch (reg) {
	case REG_TPR: lapic->tpr = value & 0xff; break;
	case REG_EOI: lapic_eoi(group, lapic); break;
	case REG_LDR: lapic->ldr = value & 0xff000000; break;
	case REG_DFR: lapic->dfr = value | 0x0fffffff; break;
	case REG_SVR: write_svr(lapic, value); break;
	case REG_ESR:
		lapic->esr = lapic->errors;
		lapic->errors = 0;
		break;
	case REG_ICR:
		lapic->icr = (lapic->icr >> 32 << 32) | (value & ICR_WRITABLE);
		send_ipi(group, lapic);
		break;
	case REG_ICR_HIGH:
		lapic->icr = (uint32_t)lapic->icr | (uint64_t)(value & 0xff000000) << 32;
		break;
	case REG_INITIAL_COUNT: write_initial_count(lapic, value, now_ns); break;
	case REG_DIVIDE: write_divide(lapic, value, now_ns); break;
	default: return false;
	}
	return true;
}

uint32_t lapic_read(struct lapic_group *group, unsigned cpu, uint32_t offset, uint64_t now_ns)
{
	struct lapic *lapic = &group->lapics[cpu];
	uint32_t value = 0;

	lapic_timer_run(group, cpu, now_ns);
	if (!read_register(lapic, offset >> 4, now_ns, &value))
		lapic_error(group, lapic, ESR_ILLEGAL_REGISTER);
	return value;
}

void lapic_write(
	struct lapic_group *group, unsigned cpu, uint32_t offset, uint32_t value, uint64_t now_ns)
{
	struct lapic *lapic = &group->lapics[cpu];
	uint32_t before;

	lapic_timer_run(group, cpu, now_ns);
	if (!write_register(group, lapic, offset >> 4, value, now_ns) &&
		!read_register(lapic, offset >> 4, now_ns, &before))
		lapic_error(group, lapic, ESR_ILLEGAL_REGISTER);
	lapic_update(group, lapic);
}

/* ---- MSRs ---- */

static bool write_base(struct lapic_group *group, struct lapic *lapic, uint64_t value)
{
	const uint64_t modes = BASE_ENABLED | BASE_X2APIC;
	uint64_t allowed = BASE_ADDRESS | BASE_ENABLED | BASE_BOOTSTRAP |
		(group->x2apic ? BASE_X2APIC : 0u);
	uint64_t from = lapic->base & modes, to = value & modes;

	if ((value & ~allowed) || to == BASE_X2APIC)
		return false;
	/* Out of x2APIC mode it goes only through being disabled, and into it not from there. */
	if ((from == modes && to == BASE_ENABLED) || (from == 0 && to == modes))
		return false;
	lapic->base = value;
	if (from != to && (from == 0 || to == 0))
		lapic_reset(lapic);
	if (from != to && to == modes) {
		lapic->ldr = lapic->id >> 4 << 16 | 1u << (lapic->id & 15);
		lapic->icr = 0;
	}
	lapic_update(group, lapic);
	return true;
}

bool lapic_msr_read(
	struct lapic_group *group, unsigned cpu, uint32_t msr, uint64_t *value, uint64_t now_ns)
{
	struct lapic *lapic = &group->lapics[cpu];
	uint32_t reg = msr - LAPIC_MSR_X2APIC, low;

	lapic_timer_run(group, cpu, now_ns);
	if (msr == LAPIC_MSR_BASE) {
		*value = lapic->base;
		return true;
	}
	if (msr == LAPIC_MSR_TSC_DEADLINE) {
		*value = lapic->tsc_deadline;
		return true;
	}
	if (!lapic_is_x2apic(lapic) || reg > 0xff)
		return false;
	if (reg == REG_APR || reg == REG_EOI || reg == REG_RRD || reg == REG_DFR ||
		reg == REG_ICR_HIGH)
		return false;
	if (!read_register(lapic, reg, now_ns, &low))
		return false;
	*value = reg == REG_ICR ? lapic->icr : low;
	return true;
}

/* Which bits of an x2APIC register may be written as ones. */
static uint64_t msr_writable(uint32_t reg)
{
	if (reg >= REG_LVT && reg < REG_LVT + LAPIC_LVTS)
		return lvt_writable[reg - REG_LVT];
	switch (reg) {
	case REG_TPR:
	case REG_SELF_IPI: return 0xff;
	case REG_SVR: return SVR_WRITABLE;
	case REG_ICR: return UINT64_C(0xffffffff00000000) | ICR_WRITABLE;
	case REG_INITIAL_COUNT: return 0xffffffff;
	case REG_DIVIDE: return DIVIDE_WRITABLE;
	default: return 0;
	}
}

static bool write_x2apic(struct lapic_group *group, struct lapic *lapic, uint32_t reg,
	uint64_t value, uint64_t now_ns)
{
	struct apic_message self = { .vector = (uint8_t)value };

	if ((value & ~msr_writable(reg)) || reg == REG_LDR || reg == REG_DFR || reg == REG_ICR_HIGH)
		return false;
	if (reg == REG_ICR) {
		lapic->icr = value;
		send_ipi(group, lapic);
		return true;
	}
	if (reg == REG_SELF_IPI) {
		lapic_send(group, &self, SHORTHAND_SELF, lapic->index);
		return true;
	}
	return write_register(group, lapic, reg, (uint32_t)value, now_ns);
}

bool lapic_msr_write(
	struct lapic_group *group, unsigned cpu, uint32_t msr, uint64_t value, uint64_t now_ns)
{
	struct lapic *lapic = &group->lapics[cpu];
	uint32_t reg = msr - LAPIC_MSR_X2APIC;
	bool known = true;

	lapic_timer_run(group, cpu, now_ns);
	if (msr == LAPIC_MSR_BASE)
		known = write_base(group, lapic, value);
	else if (msr == LAPIC_MSR_TSC_DEADLINE)
		write_tsc_deadline(group, lapic, value, now_ns);
	else if (!lapic_is_x2apic(lapic) || reg > 0xff)
		known = false;
	else
		known = write_x2apic(group, lapic, reg, value, now_ns);
	lapic_update(group, lapic);
	return known;
}

void lapic_set_cr8(struct lapic_group *group, unsigned cpu, uint8_t value)
{
	struct lapic *lapic = &group->lapics[cpu];

	lapic->tpr = (uint32_t)(value & 15) << 4;
	lapic_update(group, lapic);
}

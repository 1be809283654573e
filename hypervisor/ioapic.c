/* SPDX-License-Identifier: MIT */
/* The IOAPIC. */
#include "hypervisor/ioapic.h"

#include "hypervisor/lapic.h"

enum {
	WINDOW_SELECT = 0x00,
	WINDOW_DATA = 0x10,
	WINDOW_EOI = 0x40,
	REG_ID = 0x00,
	REG_VERSION = 0x01,
	REG_ARBITRATION = 0x02,
	REG_ENTRIES = 0x10,
	VERSION = 0x20,

	/* A redirection entry's lower half. */
	ENTRY_LOGICAL = 1 << 11,
	ENTRY_REMOTE_IRR = 1 << 14,
	ENTRY_LEVEL = 1 << 15,
	ENTRY_MASKED = 1 << 16,
	ENTRY_WRITABLE = 0x1afff,
};

static void deliver(struct ioapic *ioapic, unsigned input)
{
	uint64_t entry = ioapic->entries[input];
	struct apic_message message = {
		.vector = (uint8_t)entry,
		.mode = entry >> 8 & 7,
		.logical = entry & ENTRY_LOGICAL,
		.level = entry & ENTRY_LEVEL,
		.dest = (uint32_t)(entry >> 56),
	};

	if (ioapic->send(ioapic->opaque, &message) && message.level)
		ioapic->entries[input] |= ENTRY_REMOTE_IRR;
}

/* A level that is high and that no LAPIC has. */
static void serve_level(struct ioapic *ioapic, unsigned input)
{
	const uint32_t idle = ENTRY_LEVEL;

	if ((ioapic->lines >> input & 1) &&
		(ioapic->entries[input] & (ENTRY_LEVEL | ENTRY_REMOTE_IRR | ENTRY_MASKED)) == idle)
		deliver(ioapic, input);
}

void ioapic_reset(struct ioapic *ioapic)
{
	ioapic->id = ioapic->selected = 0;
	for (unsigned i = 0; i < IOAPIC_INPUTS; i++)
		ioapic->entries[i] = ENTRY_MASKED;
}

void ioapic_set_input(struct ioapic *ioapic, unsigned input, bool level)
{
	uint32_t bit;
	bool rises;

	if (input >= IOAPIC_INPUTS)
		return;
	bit = 1u << input;
	rises = level && !(ioapic->lines & bit);
	ioapic->lines = level ? ioapic->lines | bit : ioapic->lines & ~bit;
	if (ioapic->entries[input] & ENTRY_LEVEL)
		serve_level(ioapic, input);
	else if (rises && !(ioapic->entries[input] & ENTRY_MASKED))
		deliver(ioapic, input); /* an edge while masked is lost */
}

uint8_t ioapic_vector(const struct ioapic *ioapic, unsigned input)
{
	return (uint8_t)ioapic->entries[input];
}

bool ioapic_is_masked(const struct ioapic *ioapic, unsigned input)
{
	return ioapic->entries[input] & ENTRY_MASKED;
}

void ioapic_eoi(struct ioapic *ioapic, uint8_t vector)
{
	for (unsigned i = 0; i < IOAPIC_INPUTS; i++) {
		uint64_t *entry = &ioapic->entries[i];

		if ((uint8_t)*entry != vector || !(*entry & ENTRY_LEVEL))
			continue;
		*entry &= ~(uint64_t)ENTRY_REMOTE_IRR;
		serve_level(ioapic, i);
	}
}

static void write_entry(struct ioapic *ioapic, uint32_t reg, uint32_t value)
{
	unsigned input = (reg - REG_ENTRIES) / 2;
	uint64_t *entry = &ioapic->entries[input];

	if (reg & 1) {
		*entry = (uint32_t)*entry | (uint64_t)(value & 0xff000000) << 32;
		return;
	}
	*entry = (*entry & ~(uint64_t)ENTRY_WRITABLE) | (value & ENTRY_WRITABLE);
	/* Systems turn an entry to edge and back when an EOI was lost. */
	if (!(*entry & ENTRY_LEVEL))
		*entry &= ~(uint64_t)ENTRY_REMOTE_IRR;
	serve_level(ioapic, input);
}

static uint32_t read_register(const struct ioapic *ioapic)
{
	uint32_t reg = ioapic->selected;

	switch (reg) {
	case REG_ID:
	case REG_ARBITRATION: return (uint32_t)ioapic->id << 24;
	case REG_VERSION: return VERSION | (IOAPIC_INPUTS - 1) << 16;
	default: break;
	}
	if (reg < REG_ENTRIES || reg >= REG_ENTRIES + 2 * IOAPIC_INPUTS)
		return 0;
	return (uint32_t)(ioapic->entries[(reg - REG_ENTRIES) / 2] >> (reg & 1 ? 32 : 0));
}

uint32_t ioapic_read(struct ioapic *ioapic, uint32_t offset)
{
	switch (offset) {
	case WINDOW_SELECT: return ioapic->selected;
	case WINDOW_DATA: return read_register(ioapic);
	default: return 0;
	}
}

void ioapic_write(struct ioapic *ioapic, uint32_t offset, uint32_t value)
{
	uint32_t reg = ioapic->selected;

	switch (offset) {
	case WINDOW_SELECT: ioapic->selected = (uint8_t)value; break;
	case WINDOW_DATA:
		if (reg == REG_ID)
			ioapic->id = value >> 24 & 0x0f;
		else if (reg >= REG_ENTRIES && reg < REG_ENTRIES + 2 * IOAPIC_INPUTS)
			write_entry(ioapic, reg, value);
		break;
	case WINDOW_EOI: ioapic_eoi(ioapic, (uint8_t)value); break;
	default: break;
	}
}

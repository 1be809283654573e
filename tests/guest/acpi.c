/* SPDX-License-Identifier: MIT */
/* RSDP -> RSDT/XSDT -> FADT. S5's sleep type is 0 on the machines we know (i440FX). */
#include "acpi.h"
#include "cpu.h"
#include "machine.h"

enum {
	PM1_POWER_BUTTON = 1 << 8,
	PM1_SCI_ENABLE = 1,
	PM1_SLEEP_ENABLE = 1 << 13,
	FADT_SCI = 46,
	FADT_SMI_COMMAND = 48,
	FADT_ACPI_ENABLE = 52,
	FADT_PM1A_EVENT = 56,
	FADT_PM1A_CONTROL = 64,
	FADT_PM1_EVENT_LENGTH = 88,
};

static struct {
	uint32_t gsi;
	uint16_t event, control, enable;
} acpi = { .gsi = UINT32_MAX };

static uint32_t read32(uint64_t address)
{
	uint32_t value;

	memcpy(&value, (const void *)(uintptr_t)address, 4);
	return value;
}

static uint64_t acpi_find_rsdp(void)
{
	for (uint64_t at = 0xe0000; at < 0x100000; at += 16)
		if (!memcmp((const void *)(uintptr_t)at, "RSD PTR ", 8))
			return at;
	return 0;
}

static uint64_t acpi_find_fadt(uint64_t rsdp)
{
	bool wide = ((const uint8_t *)(uintptr_t)rsdp)[15] >= 2 && read32(rsdp + 24);
	uint64_t table = wide ? read32(rsdp + 24) : read32(rsdp + 16);
	uint32_t step = wide ? 8 : 4, length;

	if (!table)
		return 0;
	length = read32(table + 4);
	for (uint32_t at = 36; at + step <= length && at < 4096; at += step) {
		uint64_t entry = read32(table + at);

		if (entry && !memcmp((const void *)(uintptr_t)entry, "FACP", 4))
			return entry;
	}
	return 0;
}

void acpi_init(uint64_t rsdp)
{
	uint64_t fadt;
	uint32_t smi_command;

	if (!rsdp || rsdp >> 32)
		rsdp = acpi_find_rsdp();
	fadt = rsdp ? acpi_find_fadt(rsdp) : 0;
	if (!fadt)
		return;
	acpi.event = read32(fadt + FADT_PM1A_EVENT);
	acpi.control = read32(fadt + FADT_PM1A_CONTROL);
	acpi.gsi = read32(fadt + FADT_SCI) & 0xffff;
	acpi.enable = acpi.event + (read32(fadt + FADT_PM1_EVENT_LENGTH) & 0xff) / 2;
	smi_command = read32(fadt + FADT_SMI_COMMAND);
	if (smi_command && !(port_in16(acpi.control) & PM1_SCI_ENABLE)) {
		port_out8(smi_command, read32(fadt + FADT_ACPI_ENABLE) & 0xff);
		for (int i = 0; i < 1000 && !(port_in16(acpi.control) & PM1_SCI_ENABLE); i++)
			;
	}
	port_out16(acpi.event, PM1_POWER_BUTTON);
	port_out16(acpi.enable, PM1_POWER_BUTTON);
	machine_irq_enable(acpi.gsi, true, false);
}

uint32_t acpi_gsi(void)
{
	return acpi.gsi;
}

void acpi_interrupt(void)
{
	uint16_t status = port_in16(acpi.event);

	port_out16(acpi.event, status);
	if (status & PM1_POWER_BUTTON) {
		log_line("power button");
		machine_power_off();
	}
}

void acpi_power_off(void)
{
	if (acpi.control)
		port_out16(acpi.control, PM1_SLEEP_ENABLE);
}

/* SPDX-License-Identifier: MIT */
/*
 * The differentiated system description: the PCI root bridge with its windows and interrupt links,
 * the ISA devices, the processors, and how to turn the machine off.
 */
#include "hypervisor/acpi_internal.h"

#include <errno.h>
#include <stdio.h>

#include "core/util.h"
#include "hypervisor/aml.h"
#include "hypervisor/i8042.h"
#include "hypervisor/pm.h"
#include "hypervisor/rtc.h"
#include "hypervisor/uart.h"

enum {
	LINK_COUNT = 4,
	SLOT_COUNT = 32,
	PIN_COUNT = 4,
	ISA_SLOT = 1,
	PIRQ_REGISTERS = 0x60, /* PIRQRCA-D of the PIIX3, one byte each */
	PIRQ_DISABLED = 0x80,
	STA_ON = 0x0b, /* present, enabled, working; not shown to the user */
	STA_OFF = 0x09,
};

/* Where the interrupt's number is in a descriptor made by aml_res_interrupts(). */
#define INTERRUPT_NUMBER_OFFSET 5

static const char *const pirq_names[LINK_COUNT] = { "PRQA", "PRQB", "PRQC", "PRQD" };
static const char *const link_names[LINK_COUNT] = { "LNKA", "LNKB", "LNKC", "LNKD" };

/* ---- PCI ---- */

static void add_windows(struct aml *aml, const struct acpi_config *config)
{
	/* SeaBIOS places BARs from the top down to the end of RAM, at these steps. */
	uint32_t low = config->ram_below_4g <= 0xc0000000 ? 0xc0000000 : 0xe0000000;

	aml_name(aml, "_CRS");
	aml_resources(aml);
	aml_res_bus_numbers(aml, 0, 0xff);
	aml_res_io(aml, 0xcf8, 8);
	aml_res_io_window(aml, 0, 0xcf7);
	aml_res_io_window(aml, 0xd00, 0xffff);
	aml_res_memory_window(aml, 0xa0000, 0xbffff, true);
	aml_res_memory_window(aml, low, 0xfebfffff, false);
	if (config->pci_window64)
		aml_res_memory_window64(aml, config->pci_window64,
			config->pci_window64 + config->pci_window64_size - 1, true);
	aml_end(aml);
}

/* Each slot's pins are turned by its number, slot 1's pin A being link A. */
static void add_routes(struct aml *aml)
{
	aml_name(aml, "_PRT");
	aml_package(aml, SLOT_COUNT * PIN_COUNT);
	for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
		for (unsigned pin = 0; pin < PIN_COUNT; pin++) {
			aml_package(aml, 4);
			aml_int(aml, slot << 16 | 0xffff);
			aml_int(aml, pin);
			aml_path(aml, link_names[(slot + pin + 3) % LINK_COUNT]);
			aml_int(aml, 0);
			aml_end(aml);
		}
	}
	aml_end(aml);
}

static void add_link_status(struct aml *aml, const char *pirq)
{
	aml_method(aml, "_STA", 0, false);
	aml_if(aml);
	aml_operator(aml, AML_AND);
	aml_path(aml, pirq);
	aml_int(aml, PIRQ_DISABLED);
	aml_operator(aml, AML_NULL);
	aml_operator(aml, AML_RETURN);
	aml_int(aml, STA_OFF);
	aml_end(aml);
	aml_operator(aml, AML_RETURN);
	aml_int(aml, STA_ON);
	aml_end(aml);
}

static void add_link_current(struct aml *aml, const char *pirq)
{
	static const uint32_t none[] = { 0 };

	aml_name(aml, "CURR");
	aml_resources(aml);
	aml_res_interrupts(aml, none, 1);
	aml_end(aml);
	aml_method(aml, "_CRS", 0, true);
	aml_operator(aml, AML_CREATE_DWORD_FIELD);
	aml_path(aml, "CURR");
	aml_int(aml, INTERRUPT_NUMBER_OFFSET);
	aml_path(aml, "CNUM");
	aml_if(aml);
	aml_operator(aml, AML_LESS);
	aml_path(aml, pirq);
	aml_int(aml, PIRQ_DISABLED);
	aml_operator(aml, AML_STORE);
	aml_path(aml, pirq);
	aml_path(aml, "CNUM");
	aml_end(aml);
	aml_operator(aml, AML_RETURN);
	aml_path(aml, "CURR");
	aml_end(aml);
}

static void add_link_changes(struct aml *aml, const char *pirq)
{
	aml_method(aml, "_DIS", 0, false);
	aml_operator(aml, AML_OR);
	aml_path(aml, pirq);
	aml_int(aml, PIRQ_DISABLED);
	aml_path(aml, pirq);
	aml_end(aml);

	aml_method(aml, "_SRS", 1, true);
	aml_operator(aml, AML_CREATE_DWORD_FIELD);
	aml_operator(aml, AML_ARG0);
	aml_int(aml, INTERRUPT_NUMBER_OFFSET);
	aml_path(aml, "NEWN");
	aml_operator(aml, AML_STORE);
	aml_path(aml, "NEWN");
	aml_path(aml, pirq);
	aml_end(aml);
}

/* An interrupt link: one of the PIIX3's PIRQ lines and the register that says where it goes. */
static void add_link(struct aml *aml, unsigned i)
{
	static const uint32_t choices[] = { 5, 10, 11 };
	char pirq[32];

	snprintf(pirq, sizeof(pirq), "\\_SB.PCI0.ISA.%s", pirq_names[i]);
	aml_device(aml, link_names[i]);
	aml_name(aml, "_HID");
	aml_eisa_id(aml, "PNP0C0F");
	aml_name(aml, "_UID");
	aml_int(aml, i);
	aml_name(aml, "_PRS");
	aml_resources(aml);
	aml_res_interrupts(aml, choices, ARRAY_SIZE(choices));
	aml_end(aml);
	add_link_status(aml, pirq);
	add_link_current(aml, pirq);
	add_link_changes(aml, pirq);
	aml_end(aml);
}

/* ---- ISA ---- */

/* Begins a device and its resources. */
static void begin_isa_device(struct aml *aml, const char *name, const char *id)
{
	aml_device(aml, name);
	aml_name(aml, "_HID");
	aml_eisa_id(aml, id);
	aml_name(aml, "_CRS");
	aml_resources(aml);
}

static void end_isa_device(struct aml *aml)
{
	aml_end(aml);
	aml_end(aml);
}

static void add_isa_devices(struct aml *aml)
{
	begin_isa_device(aml, "RTC", "PNP0B00");
	aml_res_io(aml, 0x70, 2);
	aml_res_irq(aml, RTC_GSI);
	end_isa_device(aml);

	begin_isa_device(aml, "KBD", "PNP0303");
	aml_res_io(aml, 0x60, 1);
	aml_res_io(aml, 0x64, 1);
	aml_res_irq(aml, I8042_KEYBOARD_GSI);
	end_isa_device(aml);

	begin_isa_device(aml, "MOU", "PNP0F13");
	aml_res_irq(aml, I8042_MOUSE_GSI);
	end_isa_device(aml);

	begin_isa_device(aml, "COM1", "PNP0501");
	aml_res_io(aml, UART_COM1_PORT, 8);
	aml_res_irq(aml, UART_COM1_GSI);
	end_isa_device(aml);

	/* Ports that nobody may give to another device. */
	begin_isa_device(aml, "MBRD", "PNP0C02");
	aml_res_io(aml, 0x92, 1);
	aml_res_io(aml, PM_SMI_PORT, 2);
	aml_res_io(aml, PM_BASE, PM_BLOCK_SIZE);
	aml_res_io(aml, PM_GPE0_BASE, PM_GPE0_SIZE);
	end_isa_device(aml);

	aml_device(aml, "FWCF");
	aml_name(aml, "_HID");
	aml_string(aml, "QEMU0002");
	aml_name(aml, "_STA");
	aml_int(aml, STA_ON);
	aml_name(aml, "_CRS");
	aml_resources(aml);
	aml_res_io(aml, 0x510, 12);
	aml_end(aml);
	aml_end(aml);
}

static void add_root_bridge(struct aml *aml, const struct acpi_config *config)
{
	aml_device(aml, "PCI0");
	aml_name(aml, "_HID");
	aml_eisa_id(aml, "PNP0A03");
	aml_name(aml, "_UID");
	aml_int(aml, 0);
	add_windows(aml, config);
	add_routes(aml);
	aml_device(aml, "ISA");
	aml_name(aml, "_ADR");
	aml_int(aml, ISA_SLOT << 16);
	aml_pci_config_bytes(aml, "PIRQ", PIRQ_REGISTERS, pirq_names, LINK_COUNT);
	add_isa_devices(aml);
	aml_end(aml);
	aml_end(aml);
}

static void add_processors(struct aml *aml, uint32_t count)
{
	char name[8];

	for (uint32_t i = 0; i < count && i <= UINT8_MAX; i++) {
		snprintf(name, sizeof(name), "C%03X", (unsigned)(uint8_t)i);
		aml_processor(aml, name, (uint8_t)i);
	}
}

int acpi_dsdt_append(const struct acpi_config *config, struct buf *out)
{
	struct aml aml = { 0 };
	int rc = -ENOMEM;

	aml_scope(&aml, "\\_SB");
	add_root_bridge(&aml, config);
	for (unsigned i = 0; i < LINK_COUNT; i++)
		add_link(&aml, i);
	add_processors(&aml, config->cpus);
	aml_end(&aml);
	aml_name(&aml, "\\_S5");
	aml_package(&aml, 4);
	for (unsigned i = 0; i < 4; i++)
		aml_int(&aml, i < 2 ? PM_SLEEP_TYPE_S5 : 0);
	aml_end(&aml);
	if (aml_ok(&aml))
		rc = buf_append(out, buf_bytes(&aml.bytes), aml.bytes.size);
	aml_finish(&aml);
	return rc;
}

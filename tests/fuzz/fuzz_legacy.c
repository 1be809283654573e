/* SPDX-License-Identifier: MIT */
/* A guest's accesses to the legacy and firmware devices, with input from the host between. Each six
 * bytes are one event: what it is, where, and a value. */
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "hypervisor/fw_items.h"
#include "hypervisor/i8042.h"
#include "hypervisor/pm.h"
#include "hypervisor/rtc.h"
#include "hypervisor/uart.h"

enum { RAM_SIZE = 1 << 16 };

struct machine {
	struct pci_host host;
	struct irq_chip chip;
	struct memory_region ram;
	struct byte_port serial;
	struct system_control *control;
	struct uart *uart;
	struct pm *pm;
	struct rtc *rtc;
	struct i8042 *i8042;
	struct fw_cfg *fw;
	int64_t now_ns;
};

static void set_gsi(struct irq_chip *chip, uint32_t gsi, bool level)
{
	if (gsi >= 16)
		abort();
}

static const struct irq_chip_ops chip_ops = { .set_gsi = set_gsi };

static size_t serial_write(struct byte_port *port, const uint8_t *bytes, size_t size)
{
	return size;
}

static const struct byte_port_ops serial_ops = { .write = serial_write };

static void ignore(void *opaque)
{
}

static const struct system_control_ops control_ops = { .reset = ignore, .power_off = ignore };

static int64_t now(void *opaque)
{
	return ((struct machine *)opaque)->now_ns;
}

static void build(struct machine *m)
{
	struct rtc_config rtc = { .ram_below_4g = 64 << 20, .cpus = 1, .now_ns = now, .opaque = m };
	struct fw_items_config items = { 0 };

	m->chip.ops = &chip_ops;
	m->host.irq = &m->chip;
	m->serial.ops = &serial_ops;
	m->ram = (struct memory_region){ .name = "ram", .size = RAM_SIZE };
	m->ram.host = memory_region_alloc_host(RAM_SIZE);
	m->now_ns = INT64_C(1700000000000000000);
	acpi_config_init(&items.acpi, 1, 64 << 20, 0);
	if (!m->ram.host || loop_create(&m->host.loop) ||
		guest_memory_create(&m->host.memory, NULL, NULL) ||
		guest_memory_map(m->host.memory, &m->ram, 0) ||
		bus_create(&m->host.ports, false, NULL, NULL) ||
		system_control_create(&m->control, &m->host, &control_ops, NULL) ||
		uart_create(&m->uart, &m->host, UART_COM1_PORT, UART_COM1_GSI, &m->serial) ||
		pm_create(&m->pm, &m->host, m->control) || rtc_create(&m->rtc, &m->host, &rtc) ||
		i8042_create(&m->i8042, &m->host, m->control, NULL, NULL) ||
		fw_cfg_create(&m->fw, &m->host) || fw_items_add(&items, m->fw) ||
		fw_cfg_add_file_writable(m->fw, "opt/free", "12345678", 8))
		abort();
}

static void finish(struct machine *m)
{
	fw_cfg_destroy(m->fw);
	i8042_destroy(m->i8042);
	rtc_destroy(m->rtc);
	pm_destroy(m->pm);
	uart_destroy(m->uart);
	system_control_destroy(m->control);
	bus_destroy(m->host.ports);
	guest_memory_destroy(m->host.memory);
	memory_region_free_host(m->ram.host, RAM_SIZE);
	loop_destroy(m->host.loop);
}

static void reset(struct machine *m)
{
	system_control_reset(m->control);
	uart_reset(m->uart);
	pm_reset(m->pm);
	rtc_reset(m->rtc);
	i8042_reset(m->i8042);
	fw_cfg_reset(m->fw);
}

static void host_event(struct machine *m, uint8_t what, uint8_t where, uint32_t value)
{
	switch (what) {
	case 0: i8042_key(m->i8042, value & 0x3ff, where & 1); break;
	case 1: i8042_motion(m->i8042, (int32_t)value, (int32_t)(value >> where % 32)); break;
	case 2: i8042_button(m->i8042, (enum input_button)(where % 8), value & 1); break;
	case 3: m->serial.receive(m->uart, (uint8_t *)&value, where % 5); break;
	case 4: m->now_ns += (int64_t)value << where % 24; break;
	case 5: memcpy(m->ram.host + (where * 4u), &value, 4); break;
	case 6: loop_run_once(m->host.loop, 0); break;
	default:
		if (where == 0)
			reset(m);
		else
			pm_power_button(m->pm);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t ports[] = { 0x60, 0x64, 0x70, 0x71, 0x92, 0xb2, 0x3f8, 0x3f9, 0x3fa,
		0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x3ff, 0x510, 0x511, 0x514, 0x518, 0x51b, 0x600, 0x602,
		0x604, 0x608, 0x63f, 0xcf9, 0xafe0, 0xafe2, 0x3f7, 0x5ff, 0x50f, 0x6f, 0x605 };
	struct machine m = { 0 };

	build(&m);
	for (; size >= 6; data += 6, size -= 6) {
		uint16_t port = ports[data[1] % ARRAY_SIZE(ports)];
		unsigned width = 1u << (data[0] >> 6);
		uint32_t value;

		memcpy(&value, data + 2, sizeof(value));
		if (data[0] & 0x20)
			host_event(&m, data[0] & 7, data[1], value);
		else if (data[0] & 0x10)
			bus_read(m.host.ports, port, width);
		else
			bus_write(m.host.ports, port, value, width);
	}
	finish(&m);
	return 0;
}

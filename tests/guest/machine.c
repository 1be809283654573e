/* SPDX-License-Identifier: MIT */
/* Local APIC and IOAPIC by memory-mapped I/O from ring 3, waiting, and the event queue. */
#include "acpi.h"
#include "cpu.h"
#include "i8042.h"
#include "machine.h"
#include "qxl.h"
#include "time.h"
#include "virtio_input.h"

#define LAPIC  0xfee00000u
#define IOAPIC 0xfec00000u

enum {
	LAPIC_ID = 0x20,
	LAPIC_TPR = 0x80,
	LAPIC_EOI = 0xb0,
	LAPIC_SVR = 0xf0,
	LAPIC_LVT_TIMER = 0x320,
	LAPIC_LVT_LINT0 = 0x350,
	LAPIC_TIMER_INITIAL = 0x380,
	LAPIC_TIMER_DIVIDE = 0x3e0,
	LVT_MASKED = 1 << 16,
	EVENT_QUEUE = 256, /* power of two */
};

static struct {
	const struct hvm_start_info *start;
	struct qxl *qxl;
	struct event events[EVENT_QUEUE];
	uint32_t event_head, event_tail;
	uint64_t power_off_at; /* 0: never */
	bool eoi_owed; /* an interrupt was served and not yet acknowledged */
} machine;

static void ioapic_write(uint32_t reg, uint32_t value)
{
	MMIO32(IOAPIC) = reg;
	MMIO32(IOAPIC + 0x10) = value;
}

void machine_irq_enable(uint32_t gsi, bool level, bool active_low)
{
	ioapic_write(0x10 + gsi * 2 + 1, MMIO32(LAPIC + LAPIC_ID) & 0xff000000);
	ioapic_write(0x10 + gsi * 2,
		(VECTOR_IRQ0 + gsi) | (uint32_t)level << 15 | (uint32_t)active_low << 13);
}

void machine_irq_disable(uint32_t gsi)
{
	ioapic_write(0x10 + gsi * 2, LVT_MASKED);
}

void machine_init(const struct hvm_start_info *start, struct qxl *qxl)
{
	machine.start = start;
	machine.qxl = qxl;
	port_out8(0x21, 0xff);
	port_out8(0xa1, 0xff);
	MMIO32(LAPIC + LAPIC_SVR) = 0x100 | VECTOR_SPURIOUS;
	MMIO32(LAPIC + LAPIC_TPR) = 0;
	MMIO32(LAPIC + LAPIC_LVT_LINT0) = LVT_MASKED;
	MMIO32(LAPIC + LAPIC_TIMER_DIVIDE) = 0xb; /* by 1 */
	MMIO32(LAPIC + LAPIC_LVT_TIMER) = VECTOR_TIMER;
}

void machine_input_init(void)
{
	uint32_t seconds = option_number("poweroff", 0);

	if (seconds)
		machine.power_off_at = machine_time() + seconds * 1000000000ull;
	qxl_irq_init(machine.qxl);
	i8042_init();
	virtio_input_init();
	acpi_init(machine.start->rsdp);
}

/* Serves the device whose interrupt ended an idle period: what cpu_idle() returned. */
static void machine_interrupt(uint32_t taken)
{
	uint32_t vector = taken > 0xff ? taken >> 16 : taken;

	switch (vector) {
	case 0:
	case VECTOR_SPURIOUS: return;
	case VECTOR_TIMER: break;
	case VECTOR_VIRTIO: virtio_input_interrupt(); break;
	case VECTOR_KEYBOARD:
	case VECTOR_MOUSE: i8042_interrupt((uint8_t)(taken >> 8), (uint8_t)taken); break;
	default:
		if (vector == VECTOR_IRQ0 + acpi_gsi())
			acpi_interrupt();
		else
			qxl_interrupt(machine.qxl);
	}
	machine.eoi_owed = true;
}

/* Takes the next interrupt. The last one is acknowledged only now: what it brought is drawn by now,
 * and an access to the local APIC may be a slow one. */
static uint32_t machine_take(bool halt)
{
	uint32_t vector;

	if (machine.eoi_owed)
		MMIO32(LAPIC + LAPIC_EOI) = 0;
	machine.eoi_owed = false;
	vector = halt ? cpu_idle() : cpu_poll();
	machine_interrupt(vector);
	return vector;
}

void machine_wait(uint64_t ns)
{
	if (machine.power_off_at) {
		uint64_t now = machine_time();

		if (now >= machine.power_off_at)
			machine_power_off();
		if (machine.power_off_at - now < ns)
			ns = machine.power_off_at - now;
	}
	/* What the last interrupt left for later, off the way from a key to its drawing. */
	if (i8042_settle())
		return;
	/* The timer counts the bus clock, 1 GHz under KVM and QEMU; who waits for longer, or finds
	 * the clock slower, asks again. */
	if (ns != UINT64_MAX)
		MMIO32(LAPIC + LAPIC_TIMER_INITIAL) = ns > 0xffffffff ? 0xffffffff : ns ? ns : 1;
	machine_take(true);
}

void machine_wait_until(uint64_t deadline)
{
	/* Who is always late would never hear of the interrupts that wait. */
	if (deadline != UINT64_MAX && machine_time() >= deadline) {
		for (int i = 0; i < 16; i++)
			if (!machine_take(false))
				return;
	}
	while (machine.event_head == machine.event_tail) {
		uint64_t now = deadline == UINT64_MAX ? 0 : machine_time();

		if (now >= deadline)
			return;
		machine_wait(deadline == UINT64_MAX ? UINT64_MAX : deadline - now);
	}
}

bool machine_event(struct event *event)
{
	if (machine.event_head == machine.event_tail)
		return false;
	*event = machine.events[machine.event_head++ % EVENT_QUEUE];
	return true;
}

void machine_event_push(const struct event *event)
{
	if (machine.event_tail - machine.event_head < EVENT_QUEUE)
		machine.events[machine.event_tail++ % EVENT_QUEUE] = *event;
}

uint64_t machine_memory_bytes(void)
{
	const struct hvm_start_info *start = machine.start;
	const struct hvm_memory *map = (const void *)(uintptr_t)start->memory_map;
	uint64_t total = 0;

	if (start->version < 1)
		return 0;
	for (uint32_t i = 0; i < start->memory_map_entries; i++)
		if (map[i].type == 1)
			total += map[i].size;
	return total;
}

const char *machine_cpu_name(void)
{
	static char name[52];
	const char *start = name;
	uint32_t regs[4];

	cpu_cpuid(0x80000000, regs);
	if (regs[0] >= 0x80000004 && regs[0] < 0x80010000) {
		for (uint32_t i = 0; i < 3; i++) {
			cpu_cpuid(0x80000002 + i, regs);
			memcpy(name + i * 16, regs, 16);
		}
	}
	while (*start == ' ')
		start++;
	if (*start)
		return start;
	/* No name: its maker and its clock. */
	cpu_cpuid(0, regs);
	memcpy(name, &regs[1], 4);
	memcpy(name + 4, &regs[3], 4);
	memcpy(name + 8, &regs[2], 4);
	text_format(name + 12, sizeof(name) - 12, ", %u MHz", machine_tsc_khz() / 1000);
	return name;
}

void machine_power_off(void)
{
	log_line("power off");
	acpi_power_off();
	/* Without ACPI tables: the i440FX machine's PM1a control port as firmware sets it up. */
	port_out16(0x604, 0x2000);
	for (;;)
		cpu_idle();
}

/* SPDX-License-Identifier: MIT */
/* Interrupts, time and waiting. Ring 3 runs with interrupts off; they come in only while it waits,
 * and then put what happened into the event queue. */
#ifndef GUEST_MACHINE_H
#define GUEST_MACHINE_H

#include "lib.h"

enum event_type { EVENT_NONE, EVENT_KEY, EVENT_POINTER };

struct event {
	enum event_type type;
	/* EVENT_KEY: a set-1 scancode, 0xe0 prefix as 0xe000, bit 7 set on release. */
	uint16_t key;
	/* EVENT_POINTER: motion (relative) or place (absolute, 0..65535), bit 0 left, 1 right,
	 * 2 middle button; wheel steps downwards. */
	bool absolute;
	int32_t x, y, wheel;
	uint8_t buttons;
};

struct hvm_start_info {
	uint32_t magic, version, flags, module_count;
	uint64_t modules, command_line, rsdp, memory_map;
	uint32_t memory_map_entries, reserved;
};

struct hvm_memory {
	uint64_t address, size;
	uint32_t type, reserved;
};

struct qxl;

/* Masks the 8259s, sets up the local APIC. */
void machine_init(const struct hvm_start_info *start, struct qxl *qxl);
/* Keyboard, pointer and power button, once the first picture is drawn. */
void machine_input_init(void);

/* Nanoseconds since boot. The first call may take 10 ms to find out the TSC's frequency. */
uint64_t machine_time(void);
uint32_t machine_tsc_khz(void);
/* Halts until something happened or ns have passed; UINT64_MAX: no timer at all. */
void machine_wait(uint64_t ns);
/* The same until machine_time() is at least `deadline`, returning early for an event. */
void machine_wait_until(uint64_t deadline);
bool machine_event(struct event *event);
void machine_event_push(const struct event *event);
/* Wall clock of the RTC, seconds since midnight. */
uint32_t machine_seconds_of_day(void);
/* Bytes of usable memory the boot protocol told of. */
uint64_t machine_memory_bytes(void);
const char *machine_cpu_name(void);
void machine_power_off(void);
/* Lets pin `gsi` of the IOAPIC through to VECTOR_IRQ0 + gsi. */
void machine_irq_enable(uint32_t gsi, bool level, bool active_low);
void machine_irq_disable(uint32_t gsi);

#endif

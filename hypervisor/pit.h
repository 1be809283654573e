/* SPDX-License-Identifier: MIT */
/*
 * The PC's 8254 interval timer and its part of port 0x61 (Intel 8254 data sheet). A counter is not
 * stepped: its value and output follow from when it was started, in ticks of 1193182 Hz since the
 * timer was made, so that nothing drifts. State only: the caller holds its lock and gives the time
 * (monotonic, nanoseconds).
 */
#ifndef HYPERVISOR_PIT_H
#define HYPERVISOR_PIT_H

#include <stdbool.h>
#include <stdint.h>

enum {
	PIT_PORT = 0x40,
	PIT_SPEAKER_PORT = 0x61,
	PIT_HZ = 1193182,
	PIT_COUNTERS = 3,
	PIT_RISES_MAX = 32
};

struct pit_counter {
	uint8_t mode; /* 0-5 */
	uint8_t access; /* the control word's RW field: 1 low byte, 2 high byte, 3 both */
	bool bcd;
	bool gate;
	bool loaded; /* a count was written since the mode */
	bool triggered; /* modes 1 and 5: the gate rose since */
	uint32_t count; /* 1 to 65536 (BCD: 10000) */
	uint32_t next_count; /* modes 2 and 3: at the end of the period; 0: none */
	uint64_t start; /* the tick at which counting of `count` began */
	bool unseen; /* not looked at since */
	bool end_told; /* a look found it over, or was put off */
	uint64_t looked; /* the tick of the last look at the output */
	bool held; /* by the gate, since: */
	uint64_t held_at;
	bool write_high; /* the next byte written is the upper one */
	bool read_high;
	uint8_t written_low;
	uint8_t latched_bytes; /* bytes of `latched` still to be read */
	uint16_t latched;
	bool status_latched;
	uint8_t status;
};

struct pit {
	uint64_t epoch_ns;
	bool speaker;
	uint64_t edge; /* counter 0: the tick of the last rising edge that pit_run() has told */
	struct pit_counter counters[PIT_COUNTERS];
};

/* As at power-on. */
void pit_reset(struct pit *pit, uint64_t now_ns);
/* Ports 0x40 to 0x43 and 0x61. */
uint8_t pit_read(struct pit *pit, uint16_t port, uint64_t now_ns);
void pit_write(struct pit *pit, uint16_t port, uint8_t value, uint64_t now_ns);
/* How often counter 0's output rose since the last call: IRQ 0. No more than PIT_RISES_MAX. */
unsigned pit_run(struct pit *pit, uint64_t now_ns);
/* When it rises next; UINT64_MAX: never. */
uint64_t pit_next_ns(const struct pit *pit);

#endif

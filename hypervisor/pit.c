/* SPDX-License-Identifier: MIT */
/* The 8254 interval timer. */
#include "hypervisor/pit.h"

#include "core/util.h"

enum {
	READ_BACK = 3, /* the "counter" of a control word that latches */
	READ_BACK_NO_COUNT = 0x20,
	READ_BACK_NO_STATUS = 0x10,
	ACCESS_LATCH = 0,
	ACCESS_LOW = 1,
	ACCESS_HIGH = 2,
	ACCESS_BOTH = 3,
	STATUS_OUTPUT = 0x80,
	STATUS_NULL_COUNT = 0x40,

	SPEAKER_COUNTER = 2,
	SPEAKER_GATE = 0x01,
	SPEAKER_DATA = 0x02,
	SPEAKER_REFRESH = 0x10,
	SPEAKER_OUTPUT = 0x20,
	POLL_TICKS = 60, /* 50 us: longer than a turn of a loop that looks */
	REFRESH_TICKS = 18, /* memory refresh every 15 us; the bit toggles */
};

#define SECOND_NS UINT64_C(1000000000)
/* A guest's shorter periods must not keep the host busy. */
#define MIN_PERIOD_NS    UINT64_C(200000)
#define MIN_PERIOD_TICKS (MIN_PERIOD_NS * PIT_HZ / SECOND_NS)

__extension__ typedef unsigned __int128 uint128;

/* ---- time ---- */

static uint64_t tick_at(const struct pit *pit, uint64_t now_ns)
{
	uint64_t elapsed = now_ns > pit->epoch_ns ? now_ns - pit->epoch_ns : 0;

	return (uint64_t)((uint128)elapsed * PIT_HZ / SECOND_NS);
}

/* The first nanosecond of a tick. */
static uint64_t tick_ns(const struct pit *pit, uint64_t tick)
{
	return pit->epoch_ns + (uint64_t)(((uint128)tick * SECOND_NS + PIT_HZ - 1) / PIT_HZ);
}

/* ---- one counter ---- */

static bool is_periodic(const struct pit_counter *counter)
{
	return counter->mode == 2 || counter->mode == 3;
}

static bool is_triggered_by_gate(const struct pit_counter *counter)
{
	return counter->mode == 1 || counter->mode == 5;
}

static bool is_counting(const struct pit_counter *counter)
{
	return counter->loaded && (!is_triggered_by_gate(counter) || counter->triggered);
}

/* The counter as it is at `tick`: a new count is taken at the end of the period. */
static struct pit_counter settled(const struct pit_counter *counter, uint64_t tick)
{
	struct pit_counter now = *counter;

	if (now.next_count && is_periodic(&now) && !now.held && tick >= now.start + now.count) {
		now.start += now.count;
		now.count = now.next_count;
		now.next_count = 0;
	}
	return now;
}

static uint64_t elapsed(const struct pit_counter *counter, uint64_t tick)
{
	uint64_t to = counter->held ? counter->held_at : tick;

	return to > counter->start ? to - counter->start : 0;
}

static bool output(const struct pit_counter *counter, uint64_t tick)
{
	struct pit_counter now = settled(counter, tick);
	uint64_t ticks = elapsed(&now, tick);

	if (!is_counting(&now))
		return now.mode != 0;
	if (is_periodic(&now) && now.held)
		return true;
	switch (now.mode) {
	case 0:
	case 1: return ticks >= now.count;
	case 2: return ticks % now.count != now.count - 1;
	case 3: return ticks % now.count < (now.count + 1) / 2;
	default: return ticks != now.count;
	}
}

static uint16_t to_bcd(uint32_t value)
{
	return (uint16_t)(value / 1000 % 10 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 |
		value % 10);
}

static uint32_t from_bcd(uint16_t value)
{
	return (value >> 12) * 1000u + (value >> 8 & 15) * 100u + (value >> 4 & 15) * 10u +
		(value & 15);
}

/* What the guest reads. */
static uint16_t value_at(const struct pit_counter *counter, uint64_t tick)
{
	struct pit_counter now = settled(counter, tick);
	uint64_t ticks = is_counting(&now) ? elapsed(&now, tick) : 0;
	uint32_t wrap = now.bcd ? 10000 : 0x10000, value;

	if (now.count == 0)
		return 0;
	switch (now.mode) {
	case 2: value = now.count - (uint32_t)(ticks % now.count); break;
	case 3: value = (now.count - (uint32_t)(2 * ticks % now.count)) & ~1u; break;
	default: value = (now.count + wrap - (uint32_t)(ticks % wrap)) % wrap; break;
	}
	return now.bcd ? to_bcd(value) : (uint16_t)value;
}

/* The first rise of the output after `tick`. UINT64_MAX: none. */
static uint64_t next_rise(const struct pit_counter *counter, uint64_t tick)
{
	struct pit_counter now = settled(counter, tick);
	uint64_t once;

	if (!is_counting(&now) || now.held)
		return UINT64_MAX;
	if (is_periodic(&now))
		return now.start + (elapsed(&now, tick) / now.count + 1) * now.count;
	once = now.start + now.count + (now.mode >= 4);
	return once > tick ? once : UINT64_MAX;
}

static void set_mode(struct pit_counter *counter, uint8_t control)
{
	static const uint8_t modes[8] = { 0, 1, 2, 3, 4, 5, 2, 3 };

	*counter = (struct pit_counter){
		.mode = modes[control >> 1 & 7],
		.access = control >> 4 & 3,
		.bcd = control & 1,
		.gate = counter->gate,
		.count = counter->count,
	};
}

static void set_count(struct pit_counter *counter, uint16_t value, uint64_t tick)
{
	uint32_t count = counter->bcd ? from_bcd(value) : value;

	if (count == 0)
		count = counter->bcd ? 10000 : 0x10000;
	*counter = settled(counter, tick);
	if (counter->loaded && is_periodic(counter) && !counter->held) {
		counter->start += elapsed(counter, tick) / counter->count * counter->count;
		counter->next_count = count;
		return;
	}
	if (is_triggered_by_gate(counter) && counter->triggered &&
		elapsed(counter, tick) < counter->count) {
		counter->next_count = count; /* for the next trigger */
		return;
	}
	counter->next_count = 0;
	counter->count = count;
	counter->start = tick;
	counter->unseen = true;
	counter->end_told = false;
	counter->looked = tick;
	counter->loaded = true;
	counter->triggered = false;
	counter->held = !counter->gate && !is_triggered_by_gate(counter);
	counter->held_at = tick;
}

static void set_gate(struct pit_counter *counter, bool gate, uint64_t tick)
{
	bool rises = gate && !counter->gate;

	if (gate == counter->gate)
		return;
	*counter = settled(counter, tick);
	counter->gate = gate;
	if (rises && counter->next_count) {
		counter->count = counter->next_count;
		counter->next_count = 0;
	}
	if (is_triggered_by_gate(counter)) {
		if (rises) {
			counter->triggered = counter->loaded;
			counter->start = tick;
		}
	} else if (rises) {
		counter->start = is_periodic(counter) ? tick
						      : counter->start + (tick - counter->held_at);
		counter->held = false;
	} else {
		counter->held = true;
		counter->held_at = tick;
	}
}

/* A delay of the counter that only programs look at begins when they first do. They start it, read the
 * TSC, and wait for its end: were the time between that a CPU without a core of its own may lose there
 * counted, too, the TSC would seem slow, and so would all that is measured by it be wrong. */
static void see(struct pit *pit, uint64_t tick)
{
	struct pit_counter *counter = &pit->counters[SPEAKER_COUNTER];

	if (counter->unseen && counter->mode == 0 && !counter->held)
		counter->start = tick;
	counter->unseen = false;
}

/* Likewise at the end: who found it over only after having lost the CPU has no right time for that. It
 * is told once that it is not over yet, and sees by the TSC how long the last turn of its loop took. */
static bool look(struct pit_counter *counter, uint64_t tick)
{
	bool over = output(counter, tick), late = tick - counter->looked > POLL_TICKS;

	counter->looked = tick;
	if (counter->mode != 0 || !over || counter->end_told)
		return over;
	counter->end_told = true;
	return !late;
}

/* ---- latches and bytes ---- */

static void latch_count(struct pit_counter *counter, uint64_t tick)
{
	if (counter->latched_bytes != 0)
		return;
	counter->latched = value_at(counter, tick);
	counter->latched_bytes = counter->access == ACCESS_BOTH ? 2 : 1;
}

static void latch_status(struct pit_counter *counter, uint64_t tick)
{
	struct pit_counter now = settled(counter, tick);

	if (counter->status_latched)
		return;
	counter->status = (uint8_t)((output(counter, tick) ? STATUS_OUTPUT : 0) |
		(!now.loaded || now.next_count ? STATUS_NULL_COUNT : 0) | now.access << 4 |
		now.mode << 1 | now.bcd);
	counter->status_latched = true;
}

static uint8_t read_counter(struct pit_counter *counter, uint64_t tick)
{
	uint16_t value;
	bool high;

	if (counter->status_latched) {
		counter->status_latched = false;
		return counter->status;
	}
	if (counter->latched_bytes != 0) {
		value = counter->latched;
		high = counter->access == ACCESS_HIGH ||
			(counter->access == ACCESS_BOTH && counter->latched_bytes == 1);
		counter->latched_bytes--;
	} else {
		value = value_at(counter, tick);
		high = counter->access == ACCESS_HIGH ||
			(counter->access == ACCESS_BOTH && counter->read_high);
		counter->read_high = counter->access == ACCESS_BOTH && !counter->read_high;
	}
	return (uint8_t)(high ? value >> 8 : value);
}

static void write_counter(struct pit_counter *counter, uint8_t byte, uint64_t tick)
{
	switch (counter->access) {
	case ACCESS_LOW: set_count(counter, byte, tick); break;
	case ACCESS_HIGH: set_count(counter, (uint16_t)(byte << 8), tick); break;
	default:
		if (counter->write_high)
			set_count(counter, (uint16_t)(byte << 8 | counter->written_low), tick);
		counter->write_high = !counter->write_high;
		counter->written_low = byte;
		break;
	}
}

static void write_control(struct pit *pit, uint8_t value, uint64_t tick)
{
	unsigned select = value >> 6;

	if (select == READ_BACK || (value >> 4 & 3) == ACCESS_LATCH)
		see(pit, tick);
	if (select != READ_BACK) {
		if ((value >> 4 & 3) == ACCESS_LATCH)
			latch_count(&pit->counters[select], tick);
		else
			set_mode(&pit->counters[select], value);
		return;
	}
	for (unsigned i = 0; i < PIT_COUNTERS; i++) {
		if (!(value >> 1 >> i & 1))
			continue;
		if (!(value & READ_BACK_NO_COUNT))
			latch_count(&pit->counters[i], tick);
		if (!(value & READ_BACK_NO_STATUS))
			latch_status(&pit->counters[i], tick);
	}
}

/* ---- the chip ---- */

void pit_reset(struct pit *pit, uint64_t now_ns)
{
	*pit = (struct pit){ .epoch_ns = now_ns };
	for (unsigned i = 0; i < PIT_COUNTERS; i++) {
		set_mode(&pit->counters[i], ACCESS_BOTH << 4 | 3 << 1);
		pit->counters[i].gate = i != SPEAKER_COUNTER;
	}
}

static uint8_t read_speaker(struct pit *pit, uint64_t tick)
{
	struct pit_counter *counter = &pit->counters[SPEAKER_COUNTER];

	return (uint8_t)((counter->gate ? SPEAKER_GATE : 0) | (pit->speaker ? SPEAKER_DATA : 0) |
		(tick / REFRESH_TICKS & 1 ? SPEAKER_REFRESH : 0) |
		(look(counter, tick) ? SPEAKER_OUTPUT : 0));
}

uint8_t pit_read(struct pit *pit, uint16_t port, uint64_t now_ns)
{
	uint64_t tick = tick_at(pit, now_ns);

	if (port == PIT_SPEAKER_PORT || port == PIT_PORT + SPEAKER_COUNTER)
		see(pit, tick);
	if (port == PIT_SPEAKER_PORT)
		return read_speaker(pit, tick);
	if (port < PIT_PORT || port >= PIT_PORT + PIT_COUNTERS)
		return 0xff;
	return read_counter(&pit->counters[port - PIT_PORT], tick);
}

void pit_write(struct pit *pit, uint16_t port, uint8_t value, uint64_t now_ns)
{
	uint64_t tick = tick_at(pit, now_ns);

	if (port == PIT_SPEAKER_PORT) {
		see(pit, tick);
		pit->speaker = value & SPEAKER_DATA;
		set_gate(&pit->counters[SPEAKER_COUNTER], value & SPEAKER_GATE, tick);
	} else if (port == PIT_PORT + PIT_COUNTERS) {
		write_control(pit, value, tick);
	} else if (port >= PIT_PORT && port < PIT_PORT + PIT_COUNTERS) {
		write_counter(&pit->counters[port - PIT_PORT], value, tick);
	}
}

unsigned pit_run(struct pit *pit, uint64_t now_ns)
{
	uint64_t tick = tick_at(pit, now_ns), edge = pit->edge, rise;
	unsigned rises = 0;

	while (rises < PIT_RISES_MAX) {
		rise = next_rise(&pit->counters[0], edge);
		if (rise > tick)
			break;
		edge = rises ? MAX(rise, edge + MIN_PERIOD_TICKS) : rise;
		rises++;
	}
	if (rises)
		pit->edge = tick;
	return rises;
}

uint64_t pit_next_ns(const struct pit *pit)
{
	uint64_t rise = next_rise(&pit->counters[0], pit->edge), soonest;

	if (rise == UINT64_MAX)
		return UINT64_MAX;
	soonest = pit->edge ? tick_ns(pit, pit->edge) + MIN_PERIOD_NS : 0;
	return MAX(tick_ns(pit, rise), soonest);
}

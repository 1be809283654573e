/* SPDX-License-Identifier: MIT */
/*
 * MC146818 real-time clock (Motorola data sheet; registers A-D as PC guests know them). Time is the
 * host's clock plus an offset that the guest's writes change. Flags are worked out when somebody
 * looks; a timer of the loop runs only while an enabled interrupt is still to come.
 */
#include "hypervisor/rtc.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "hypervisor/kick.h"

enum rtc_register {
	RTC_SECONDS = 0,
	RTC_SECONDS_ALARM = 1,
	RTC_MINUTES = 2,
	RTC_MINUTES_ALARM = 3,
	RTC_HOURS = 4,
	RTC_HOURS_ALARM = 5,
	RTC_WEEKDAY = 6,
	RTC_DAY = 7,
	RTC_MONTH = 8,
	RTC_YEAR = 9,
	RTC_A = 10,
	RTC_B = 11,
	RTC_C = 12,
	RTC_D = 13,
	RTC_CENTURY_PS2 = 0x37,
	CMOS_SIZE = 128,
};

enum {
	A_UPDATING = 0x80,
	A_DIVIDER = 0x70,
	A_DIVIDER_RESET = 0x60, /* 11x: the divider is held */
	A_RATE = 0x0f,
	A_DEFAULT = 0x26,

	B_SET = 0x80,
	B_PERIODIC = 0x40,
	B_ALARM = 0x20,
	B_UPDATE = 0x10,
	B_INTERRUPTS = 0x70,
	B_SQUARE_WAVE = 0x08,
	B_BINARY = 0x04,
	B_24_HOURS = 0x02,

	C_INTERRUPT = 0x80, /* bits 4-6 match B's */
	D_VALID = 0x80,

	HOURS_PM = 0x80,
	ALARM_ANY = 0xc0, /* both upper bits set: any value matches */
	DAY_SECONDS = 86400,
	UPDATE_NS = 244 * 1000, /* how long before an update UIP is set */
	TICKS_PER_SEC = 32768,
};

#define NS_PER_SEC    INT64_C(1000000000)
#define LATEST_SECOND INT64_C(7000000000) /* in the year 2191 */
#define NEVER         INT64_MAX

struct rtc {
	struct pci_host *host;
	struct rtc_config config;
	struct bus_region region;
	struct kick *rearm_kick;
	struct loop_timer *timer; /* the loop thread's */

	pthread_mutex_t lock;
	uint8_t index;
	uint8_t cmos[CMOS_SIZE]; /* the time's bytes are right only while the clock stands */
	int64_t offset_ns; /* guest time minus host time */
	int64_t seen_ns; /* guest time up to which register C is right */
	bool level;
};

/* ---- time ---- */

static int64_t host_now_ns(const struct rtc *rtc)
{
	struct timespec now;

	if (rtc->config.now_ns)
		return rtc->config.now_ns(rtc->config.opaque);
	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * NS_PER_SEC + now.tv_nsec;
}

static int64_t guest_now_ns(const struct rtc *rtc)
{
	return host_now_ns(rtc) + rtc->offset_ns;
}

static int64_t floor_div(int64_t n, int64_t d)
{
	return n / d - (n % d < 0);
}

static bool divider_held(const struct rtc *rtc)
{
	return (rtc->cmos[RTC_A] & A_DIVIDER_RESET) == A_DIVIDER_RESET;
}

/* Whether the time's bytes stand still. */
static bool clock_stands(const struct rtc *rtc)
{
	return (rtc->cmos[RTC_B] & B_SET) || divider_held(rtc);
}

static uint8_t encode(const struct rtc *rtc, int value)
{
	return (uint8_t)(rtc->cmos[RTC_B] & B_BINARY ? value : value / 10 << 4 | value % 10);
}

static int decode(const struct rtc *rtc, uint8_t byte)
{
	return rtc->cmos[RTC_B] & B_BINARY ? byte : (byte >> 4) * 10 + (byte & 15);
}

static uint8_t encode_hour(const struct rtc *rtc, int hour)
{
	if (rtc->cmos[RTC_B] & B_24_HOURS)
		return encode(rtc, hour);
	return (uint8_t)(encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOURS_PM : 0));
}

static int decode_hour(const struct rtc *rtc, uint8_t byte)
{
	if (rtc->cmos[RTC_B] & B_24_HOURS)
		return decode(rtc, byte);
	return decode(rtc, byte & (uint8_t)~HOURS_PM) % 12 + (byte & HOURS_PM ? 12 : 0);
}

/* Writes the time into its bytes. */
static void time_store(struct rtc *rtc, int64_t guest_ns)
{
	time_t seconds = (time_t)floor_div(guest_ns, NS_PER_SEC);
	struct tm tm = { 0 };
	int year;

	gmtime_r(&seconds, &tm);
	year = tm.tm_year + 1900;
	rtc->cmos[RTC_SECONDS] = encode(rtc, tm.tm_sec);
	rtc->cmos[RTC_MINUTES] = encode(rtc, tm.tm_min);
	rtc->cmos[RTC_HOURS] = encode_hour(rtc, tm.tm_hour);
	rtc->cmos[RTC_WEEKDAY] = encode(rtc, tm.tm_wday + 1);
	rtc->cmos[RTC_DAY] = encode(rtc, tm.tm_mday);
	rtc->cmos[RTC_MONTH] = encode(rtc, tm.tm_mon + 1);
	rtc->cmos[RTC_YEAR] = encode(rtc, year % 100);
	rtc->cmos[RTC_CENTURY] = encode(rtc, year / 100);
}

/* Sets the clock to what its bytes say, `fraction_ns` after that second began. */
static void time_load(struct rtc *rtc, int64_t fraction_ns)
{
	struct tm tm = {
		.tm_sec = decode(rtc, rtc->cmos[RTC_SECONDS]),
		.tm_min = decode(rtc, rtc->cmos[RTC_MINUTES]),
		.tm_hour = decode_hour(rtc, rtc->cmos[RTC_HOURS]),
		.tm_mday = decode(rtc, rtc->cmos[RTC_DAY]),
		.tm_mon = decode(rtc, rtc->cmos[RTC_MONTH]) - 1,
		.tm_year = decode(rtc, rtc->cmos[RTC_CENTURY]) * 100 +
			decode(rtc, rtc->cmos[RTC_YEAR]) - 1900,
	};
	int64_t seconds = timegm(&tm); /* takes any values */

	/* 64 bits of nanoseconds hold no more; this machine was not there before 1970 anyway. */
	seconds = MAX(0, MIN(seconds, LATEST_SECOND));
	rtc->offset_ns = seconds * NS_PER_SEC + fraction_ns - host_now_ns(rtc);
	rtc->seen_ns = guest_now_ns(rtc);
}

static int64_t fraction_ns(int64_t guest_ns)
{
	return guest_ns - floor_div(guest_ns, NS_PER_SEC) * NS_PER_SEC;
}

/* ---- interrupts ---- */

/* The first second after `second` that the alarm's bytes match; NEVER when they match none. */
static int64_t next_alarm(const struct rtc *rtc, int64_t second)
{
	const uint8_t *cmos = rtc->cmos;
	int want_s = cmos[RTC_SECONDS_ALARM] >= ALARM_ANY ? -1 : decode(rtc, cmos[1]);
	int want_m = cmos[RTC_MINUTES_ALARM] >= ALARM_ANY ? -1 : decode(rtc, cmos[3]);
	int want_h = cmos[RTC_HOURS_ALARM] >= ALARM_ANY ? -1 : decode_hour(rtc, cmos[5]);
	int64_t t = second + 1;

	if (want_s > 59 || want_m > 59 || want_h > 23)
		return NEVER;
	while (t <= second + 2 * DAY_SECONDS) {
		int of_day = (int)(t - floor_div(t, DAY_SECONDS) * DAY_SECONDS);

		if (want_h >= 0 && of_day / 3600 != want_h)
			t += 3600 - of_day % 3600;
		else if (want_m >= 0 && of_day / 60 % 60 != want_m)
			t += 60 - of_day % 60;
		else if (want_s >= 0 && of_day % 60 != want_s)
			t++;
		else
			return t;
	}
	return NEVER;
}

/* Periodic interrupts come every 2^(rate - 1) ticks of the 32768 Hz crystal; 0 is none. */
static int64_t period_ticks(const struct rtc *rtc)
{
	unsigned rate = rtc->cmos[RTC_A] & A_RATE;

	if (rate == 0 || divider_held(rtc))
		return 0;
	return INT64_C(1) << (rate <= 2 ? rate + 6 : rate - 1);
}

static int64_t ns_to_ticks(int64_t ns)
{
	return floor_div(ns, NS_PER_SEC) * TICKS_PER_SEC +
		fraction_ns(ns) * TICKS_PER_SEC / NS_PER_SEC;
}

static int64_t ticks_to_ns(int64_t ticks)
{
	int64_t seconds = floor_div(ticks, TICKS_PER_SEC);

	/* Rounded up, so that the tick has come by then. */
	return seconds * NS_PER_SEC +
		((ticks - seconds * TICKS_PER_SEC) * NS_PER_SEC + TICKS_PER_SEC - 1) /
		TICKS_PER_SEC;
}

/* Sets the flags of what happened since the last look, and the interrupt line. */
static void update_flags(struct rtc *rtc)
{
	int64_t now = guest_now_ns(rtc);
	int64_t second = floor_div(now, NS_PER_SEC);
	int64_t seen = floor_div(rtc->seen_ns, NS_PER_SEC);
	int64_t period = period_ticks(rtc);
	bool level;

	if (now > rtc->seen_ns) {
		if (period && ns_to_ticks(now) / period != ns_to_ticks(rtc->seen_ns) / period)
			rtc->cmos[RTC_C] |= B_PERIODIC;
		if (!clock_stands(rtc) && second != seen) {
			rtc->cmos[RTC_C] |= B_UPDATE;
			if (next_alarm(rtc, seen) <= second)
				rtc->cmos[RTC_C] |= B_ALARM;
		}
	}
	rtc->seen_ns = now;
	level = rtc->cmos[RTC_B] & rtc->cmos[RTC_C] & B_INTERRUPTS;
	if (level)
		rtc->cmos[RTC_C] |= C_INTERRUPT;
	else
		rtc->cmos[RTC_C] &= (uint8_t)~C_INTERRUPT;
	if (level != rtc->level) {
		rtc->level = level;
		irq_set_gsi(rtc->host->irq, RTC_GSI, level);
	}
}

/* Guest time of the next interrupt. While the line is up none can come. */
static int64_t next_event_ns(const struct rtc *rtc)
{
	uint8_t wanted = rtc->cmos[RTC_B] & B_INTERRUPTS;
	int64_t second = floor_div(rtc->seen_ns, NS_PER_SEC);
	int64_t period = period_ticks(rtc);
	int64_t next = NEVER;

	if (rtc->level)
		return NEVER;
	if ((wanted & B_PERIODIC) && period)
		next = ticks_to_ns((ns_to_ticks(rtc->seen_ns) / period + 1) * period);
	if (clock_stands(rtc))
		return next;
	if (wanted & B_UPDATE)
		next = MIN(next, (second + 1) * NS_PER_SEC);
	if (wanted & B_ALARM) {
		int64_t alarm = next_alarm(rtc, second);

		if (alarm != NEVER)
			next = MIN(next, alarm * NS_PER_SEC);
	}
	return next;
}

static void rtc_rearm(void *opaque)
{
	struct rtc *rtc = opaque;
	int64_t next, now;

	pthread_mutex_lock(&rtc->lock);
	update_flags(rtc);
	next = next_event_ns(rtc);
	now = rtc->seen_ns;
	pthread_mutex_unlock(&rtc->lock);
	if (next == NEVER)
		loop_timer_disarm(rtc->timer);
	else /* at most a minute: the host's clock may be set meanwhile */
		loop_timer_arm(rtc->timer, (uint64_t)MIN(next - now, 60 * NS_PER_SEC));
}

/* ---- registers ---- */

static bool is_time(uint8_t index)
{
	return index == RTC_SECONDS || index == RTC_MINUTES || index == RTC_HOURS ||
		(index >= RTC_WEEKDAY && index <= RTC_YEAR) || index == RTC_CENTURY;
}

static uint8_t cell(uint8_t index)
{
	return index == RTC_CENTURY_PS2 ? RTC_CENTURY : index;
}

static uint8_t read_locked(struct rtc *rtc)
{
	uint8_t index = cell(rtc->index), value;
	int64_t now;

	switch (index) {
	case RTC_A:
		value = rtc->cmos[RTC_A];
		now = guest_now_ns(rtc);
		if (!clock_stands(rtc) && fraction_ns(now) >= NS_PER_SEC - UPDATE_NS)
			value |= A_UPDATING;
		return value;
	case RTC_C:
		update_flags(rtc);
		value = rtc->cmos[RTC_C];
		rtc->cmos[RTC_C] = 0;
		update_flags(rtc);
		if (rtc->cmos[RTC_B] & B_INTERRUPTS)
			kick_post(rtc->rearm_kick);
		return value;
	case RTC_D: return D_VALID;
	default:
		if (is_time(index) && !clock_stands(rtc))
			time_store(rtc, guest_now_ns(rtc));
		return rtc->cmos[index];
	}
}

static void write_a(struct rtc *rtc, uint8_t value)
{
	bool stood = clock_stands(rtc), held = divider_held(rtc);

	if (!stood)
		time_store(rtc, guest_now_ns(rtc));
	rtc->cmos[RTC_A] = value & (uint8_t)~A_UPDATING;
	/* The first update comes half a second after the divider is let go. */
	if (stood && !clock_stands(rtc))
		time_load(rtc, held ? NS_PER_SEC / 2 : fraction_ns(guest_now_ns(rtc)));
}

static void write_b(struct rtc *rtc, uint8_t value)
{
	bool stood = clock_stands(rtc);

	if (!stood)
		time_store(rtc, guest_now_ns(rtc));
	if (value & B_SET)
		value &= (uint8_t)~B_UPDATE;
	if (!stood && !(value & B_SET)) {
		/* Only the format may change: the clock goes on in the new one. */
		rtc->cmos[RTC_B] = value;
		return;
	}
	rtc->cmos[RTC_B] = value;
	if (stood && !clock_stands(rtc))
		time_load(rtc, fraction_ns(guest_now_ns(rtc)));
}

static void write_locked(struct rtc *rtc, uint8_t value)
{
	uint8_t index = cell(rtc->index);

	update_flags(rtc);
	switch (index) {
	case RTC_A: write_a(rtc, value); break;
	case RTC_B: write_b(rtc, value); break;
	case RTC_C:
	case RTC_D: return;
	default:
		if (!is_time(index) || clock_stands(rtc)) {
			rtc->cmos[index] = value;
			break;
		}
		time_store(rtc, guest_now_ns(rtc));
		rtc->cmos[index] = value;
		time_load(rtc, fraction_ns(guest_now_ns(rtc)));
		break;
	}
	if (index > RTC_B && !is_time(index))
		return;
	update_flags(rtc);
	kick_post(rtc->rearm_kick);
}

static uint64_t rtc_read(struct bus_region *region, uint64_t offset, unsigned size)
{
	struct rtc *rtc = container_of(region, struct rtc, region);
	uint64_t value = 0xff;

	pthread_mutex_lock(&rtc->lock);
	if (offset == 1)
		value = read_locked(rtc);
	pthread_mutex_unlock(&rtc->lock);
	/* The index register is write-only; a 16-bit read gives the data in its upper byte. */
	return value;
}

static void rtc_write(struct bus_region *region, uint64_t offset, uint64_t value, unsigned size)
{
	struct rtc *rtc = container_of(region, struct rtc, region);

	pthread_mutex_lock(&rtc->lock);
	if (offset == 0)
		rtc->index = value &
			(CMOS_SIZE - 1); /* bit 7 masks NMIs, of which there are none */
	if (offset == 1 || size > 1)
		write_locked(rtc, (uint8_t)(offset == 1 ? value : value >> 8));
	pthread_mutex_unlock(&rtc->lock);
}

static const struct bus_ops rtc_ops = { .read = rtc_read, .write = rtc_write };

/* ---- life ---- */

static void cmos_set16(struct rtc *rtc, unsigned at, uint64_t value)
{
	value = MIN(value, 0xffff);
	rtc->cmos[at] = (uint8_t)value;
	rtc->cmos[at + 1] = (uint8_t)(value >> 8);
}

/* What PC firmware finds in the CMOS memory; the places above 0x30 are QEMU's and SeaBIOS's. */
static void cmos_fill(struct rtc *rtc)
{
	const struct rtc_config *config = &rtc->config;
	uint64_t below = config->ram_below_4g, above = config->ram_above_4g >> 16;
	uint64_t extended = below > 0x100000 ? below - 0x100000 : 0;
	uint16_t order = config->boot_order ? config->boot_order : 0x32;

	rtc->cmos[RTC_A] = A_DEFAULT;
	rtc->cmos[RTC_B] = B_24_HOURS;
	rtc->cmos[0x10] = 0; /* no floppy drives */
	rtc->cmos[0x14] = 0x06; /* equipment: FPU, PS/2 mouse */
	cmos_set16(rtc, 0x15, MIN(below, 640 << 10) >> 10);
	cmos_set16(rtc, 0x17, extended >> 10);
	cmos_set16(rtc, 0x30, extended >> 10);
	cmos_set16(rtc, 0x34, below > 0x1000000 ? (below - 0x1000000) >> 16 : 0);
	rtc->cmos[0x5b] = (uint8_t)above;
	rtc->cmos[0x5c] = (uint8_t)(above >> 8);
	rtc->cmos[0x5d] = (uint8_t)(above >> 16);
	rtc->cmos[0x5f] = (uint8_t)(config->cpus ? config->cpus - 1 : 0);
	rtc->cmos[0x3d] = (uint8_t)order;
	/* Bit 0: do not ask floppies for a boot signature. */
	rtc->cmos[0x38] = (uint8_t)((order >> 4 & 0xf0) | 1);
}

int rtc_create(struct rtc **out, struct pci_host *host, const struct rtc_config *config)
{
	struct rtc *rtc = calloc(1, sizeof(*rtc));
	int rc;

	if (!rtc)
		return -ENOMEM;
	rtc->host = host;
	rtc->config = *config;
	rtc->region = (struct bus_region){ .ops = &rtc_ops, .name = "rtc", .size = 2 };
	pthread_mutex_init(&rtc->lock, NULL);
	cmos_fill(rtc);
	rtc->seen_ns = guest_now_ns(rtc);
	rc = kick_create(&rtc->rearm_kick, host->loop, rtc_rearm, rtc);
	if (rc == 0) {
		rtc->timer = loop_timer_add(host->loop, rtc_rearm, rtc);
		rc = rtc->timer ? 0 : -ENOMEM;
	}
	if (rc == 0)
		rc = bus_add(host->ports, &rtc->region, 0x70);
	if (rc != 0) {
		rtc_destroy(rtc);
		return rc;
	}
	*out = rtc;
	return 0;
}

void rtc_destroy(struct rtc *rtc)
{
	if (!rtc)
		return;
	if (rtc->region.mapped)
		bus_remove(rtc->host->ports, &rtc->region);
	if (rtc->timer)
		loop_timer_remove(rtc->timer);
	kick_destroy(rtc->rearm_kick);
	pthread_mutex_destroy(&rtc->lock);
	free(rtc);
}

void rtc_reset(struct rtc *rtc)
{
	pthread_mutex_lock(&rtc->lock);
	rtc->cmos[RTC_B] &= (uint8_t) ~(B_INTERRUPTS | B_SQUARE_WAVE);
	rtc->cmos[RTC_C] = 0;
	update_flags(rtc);
	pthread_mutex_unlock(&rtc->lock);
	rtc_rearm(rtc);
}

/* SPDX-License-Identifier: MIT */
/* Time: the TSC, its frequency from kvmclock, from CPUID, or measured against the PIT. The wall
 * clock from the RTC. Only frequencies are taken from kvmclock: a TSC read in ring 3 need not be
 * offset as KVM believes it is. */
#include "cpu.h"
#include "machine.h"
#include "time.h"

#define MSR_KVM_SYSTEM_TIME_NEW 0x4b564d01

struct kvmclock {
	uint32_t version, pad;
	uint64_t tsc, system_time;
	uint32_t multiplier;
	int8_t shift;
	uint8_t flags, pad2[2];
};

static struct kvmclock kvmclock __attribute__((aligned(64)));
static uint64_t tsc_start;
static uint32_t tsc_khz;

static uint32_t time_khz_from_kvmclock(void)
{
	uint32_t regs[4];
	uint64_t khz;

	cpu_cpuid(0x40000000, regs);
	if (regs[1] != 0x4b4d564b) /* "KVMK" */
		return 0;
	cpu_cpuid(0x40000001, regs);
	if (!(regs[0] & 1 << 3))
		return 0;
	cpu_wrmsr(MSR_KVM_SYSTEM_TIME_NEW, (uintptr_t)&kvmclock | 1);
	for (int tries = 0; tries < 4 && !*(volatile uint32_t *)&kvmclock.multiplier; tries++)
		port_in8(0x80);
	cpu_wrmsr(MSR_KVM_SYSTEM_TIME_NEW, 0);
	if (!kvmclock.multiplier)
		return 0;
	/* ns = (tsc << shift) * multiplier >> 32 */
	khz = (1000000ull << 32) / kvmclock.multiplier;
	return kvmclock.shift < 0 ? khz << -kvmclock.shift : khz >> kvmclock.shift;
}

static uint32_t time_khz_from_cpuid(void)
{
	uint32_t regs[4];

	cpu_cpuid(0x40000000, regs);
	if (regs[0] < 0x40000010 || regs[0] > 0x400000ff)
		return 0;
	cpu_cpuid(0x40000010, regs);
	return regs[0];
}

/* PIT channel 2, 10 ms. */
static uint32_t time_khz_from_pit(void)
{
	enum { COUNT = 11932 };
	uint64_t from, to;
	uint8_t gate = port_in8(0x61);

	port_out8(0x61, (gate & ~2) | 1);
	port_out8(0x43, 0xb0); /* channel 2, both bytes, mode 0 */
	port_out8(0x42, COUNT & 0xff);
	port_out8(0x42, COUNT >> 8);
	from = cpu_tsc();
	do {
		to = cpu_tsc();
	} while (!(port_in8(0x61) & 0x20) && to - from < 1000000000);
	port_out8(0x61, gate);
	return (to - from) / 10;
}

void time_init(void)
{
	tsc_start = cpu_tsc();
}

uint32_t machine_tsc_khz(void)
{
	if (!tsc_khz)
		tsc_khz = time_khz_from_kvmclock();
	if (!tsc_khz)
		tsc_khz = time_khz_from_cpuid();
	if (!tsc_khz)
		tsc_khz = time_khz_from_pit();
	return tsc_khz;
}

uint64_t machine_time(void)
{
	uint32_t khz = machine_tsc_khz();
	uint64_t ticks = cpu_tsc() - tsc_start;

	return ticks / khz * 1000000 + ticks % khz * 1000000 / khz;
}

static uint8_t cmos_read(uint8_t index)
{
	port_out8(0x70, index);
	return port_in8(0x71);
}

static uint32_t cmos_number(uint8_t value, bool binary)
{
	return binary ? value : (value >> 4) * 10 + (value & 15);
}

uint32_t machine_seconds_of_day(void)
{
	uint8_t seconds, minutes, hours, format;
	uint32_t hour;
	bool binary;

	/* Twice the same: no update came between. */
	do {
		seconds = cmos_read(0);
		minutes = cmos_read(2);
		hours = cmos_read(4);
	} while (seconds != cmos_read(0));
	format = cmos_read(0x0b);
	binary = format & 4;
	hour = cmos_number(hours & 0x7f, binary);
	if (!(format & 2)) /* 12 hours with a PM bit */
		hour = hour % 12 + (hours & 0x80 ? 12 : 0);
	return hour * 3600 + cmos_number(minutes, binary) * 60 + cmos_number(seconds, binary);
}

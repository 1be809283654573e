/* SPDX-License-Identifier: MIT */
/* What the guest's ring-3 code asks of its ring 0 (boot.S): ports, MSRs, CPUID, idling. */
#ifndef GUEST_CPU_H
#define GUEST_CPU_H

#include <stdint.h>
#include "layout.h"

static inline uint64_t cpu_call(uint64_t op, uint64_t edx, uint64_t ecx)
{
	__asm__ volatile("ud2" : "+a"(op), "+d"(edx), "+c"(ecx) : : "memory", "cc");
	return op;
}

static inline uint8_t port_in8(uint16_t port)
{
	return cpu_call(OP_IN8, port, 0);
}

static inline uint16_t port_in16(uint16_t port)
{
	return cpu_call(OP_IN16, port, 0);
}

static inline uint32_t port_in32(uint16_t port)
{
	return cpu_call(OP_IN32, port, 0);
}

static inline void port_out8(uint16_t port, uint8_t value)
{
	cpu_call(OP_OUT8, port, value);
}

static inline void port_out16(uint16_t port, uint16_t value)
{
	cpu_call(OP_OUT16, port, value);
}

static inline void port_out32(uint16_t port, uint32_t value)
{
	cpu_call(OP_OUT32, port, value);
}

/* Writes size bytes to one port, one after the other. */
static inline void port_write(uint16_t port, const void *bytes, uint64_t size)
{
	uint64_t op = OP_OUTS;

	__asm__ volatile("ud2" : "+a"(op), "+c"(size), "+S"(bytes) : "d"(port) : "memory", "cc");
}

static inline void cpu_cpuid(uint32_t leaf, uint32_t out[4])
{
	uint64_t op = OP_CPUID;

	__asm__ volatile("ud2"
			 : "+a"(op)
			 : "D"(leaf), "S"(out)
			 : "rcx", "rdx", "r8", "memory", "cc");
}

static inline uint64_t cpu_rdmsr(uint32_t msr)
{
	return cpu_call(OP_RDMSR, msr, 0);
}

static inline void cpu_wrmsr(uint32_t msr, uint64_t value)
{
	uint64_t op = OP_WRMSR, edx = msr;

	__asm__ volatile("ud2" : "+a"(op), "+d"(edx) : "S"(value) : "rcx", "memory", "cc");
}

/* Halts until the next interrupt; returns its vector, or 0 when something else woke us. With the
 * i8042's vectors, in bits 16 and up, come its status (bits 8-15) and its data byte, read then. */
static inline uint32_t cpu_idle(void)
{
	return cpu_call(OP_IDLE, 0, 0);
}

/* Takes one interrupt that is pending already; returns what cpu_idle() does, or 0. */
static inline uint32_t cpu_poll(void)
{
	return cpu_call(OP_POLL, 0, 0);
}

static inline uint64_t cpu_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

/* Orders our stores before our later loads, as a ring shared with a device needs. */
static inline void cpu_barrier(void)
{
	__asm__ volatile("mfence" : : : "memory");
}

#define MMIO32(address) (*(volatile uint32_t *)(uintptr_t)(address))

#endif

/* SPDX-License-Identifier: MIT */
/* The time-stamp counter: the host's own, moved. Its frequency is measured once, against the
 * monotonic clock. */
#include <pthread.h>
#include <x86intrin.h>

#include "core/util.h"
#include "hypervisor/soft_internal.h"

#define MEASURE_NS 20000000u
#define SECOND_NS  1000000000u

/* Where both clocks were when the program began to use them. Written once. */
static struct {
	pthread_once_t once;
	uint64_t hz;
	uint64_t tsc;
	uint64_t ns;
} origin = { .once = PTHREAD_ONCE_INIT };

static void measure(void)
{
	uint64_t end_ns, end_tsc;

	origin.ns = clock_monotonic_ns();
	origin.tsc = __rdtsc();
	do
		end_ns = clock_monotonic_ns();
	while (end_ns - origin.ns < MEASURE_NS);
	end_tsc = __rdtsc();
	origin.hz = (uint64_t)((unsigned __int128)(end_tsc - origin.tsc) * SECOND_NS /
		(end_ns - origin.ns));
}

uint64_t soft_tsc_hz(void)
{
	pthread_once(&origin.once, measure);
	return origin.hz;
}

uint64_t soft_tsc(const struct soft_cpu *cpu)
{
	uint64_t tsc;

	/* Not before what came before it, nor after what follows: CPUs compare their counters. */
	_mm_lfence();
	tsc = __rdtsc();
	_mm_lfence();
	return tsc + (uint64_t)cpu->tsc_offset;
}

uint64_t soft_tsc_to_ns(const struct soft_cpu *cpu, uint64_t tsc)
{
	uint64_t hz = soft_tsc_hz();
	int64_t ticks = (int64_t)(tsc - (uint64_t)cpu->tsc_offset - __rdtsc());
	uint64_t now = clock_monotonic_ns();

	/* From now on, so that the measurement's error does not add up. */
	if (ticks <= 0)
		return now;
	if ((uint64_t)ticks / hz > 0xffffffff)
		return UINT64_MAX;
	return now + (uint64_t)((unsigned __int128)ticks * SECOND_NS / hz);
}

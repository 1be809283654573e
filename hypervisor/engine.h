/* SPDX-License-Identifier: MIT */
/*
 * The boundary between the machine and what executes its CPUs (KVM, or software). The engine gives
 * operations; engine.c has the threads, one a vCPU, and lets them run and rest.
 */
#ifndef HYPERVISOR_ENGINE_H
#define HYPERVISOR_ENGINE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hypervisor/bus.h"
#include "hypervisor/irq.h"
#include "hypervisor/memory.h"

#define ENGINE_MAX_CPUS   64
#define ENGINE_REASON_MAX 320

struct engine;

enum engine_exit {
	ENGINE_EXIT_KICKED,
	ENGINE_EXIT_RESET, /* triple fault */
	ENGINE_EXIT_FAILED, /* the engine cannot go on; the reason is one plain sentence */
};

/* In which state the first vCPU begins; the others wait for INIT and SIPI. */
struct engine_start {
	/* false: at the reset vector. true: 32-bit protected mode without paging and with flat
	 * segments (CS 0x10, others 0x18), interrupts off, as both the PVH and Linux's 32-bit boot
	 * protocols want. */
	bool flat32;
	uint32_t eip;
	uint32_t ebx;
	uint32_t esi;
	uint32_t gdt_base;
	uint16_t gdt_limit;
};

struct engine_ops {
	/* Runs a vCPU, on its thread, until it is kicked or cannot go on. */
	enum engine_exit (*run)(struct engine *engine, unsigned cpu, char *reason, size_t size);
	/* on: makes run() return soon, also one that has not begun yet; any thread. Not on: on the
	 * vCPU's thread before run(). Both under the engine's lock. */
	void (*kick)(struct engine *engine, unsigned cpu, bool on);
	/* Power-on state of vCPUs and interrupt chips. While all rest. 0 or -errno. */
	int (*reset)(struct engine *engine, const struct engine_start *start);
	/* All rest; their threads are gone. */
	void (*destroy)(struct engine *engine);
};

/* Base of an engine. */
struct engine {
	const struct engine_ops *ops;
	unsigned cpus;
	struct irq_chip irq;
	/* How memory and buses tell the engine; `opaque` is the engine. */
	const struct memory_backend_ops *memory_ops;
	const struct bus_engine_ops *bus_ops;
	/* Set by the machine before engine_resume(). */
	struct bus *ports;
	struct bus *mmio;
	struct guest_memory *memory;
	/* A vCPU could not go on (RESET, FAILED). On its thread; all vCPUs are being paused. */
	void (*on_exit)(void *opaque, enum engine_exit exit, const char *reason);
	/* The last vCPU came to rest. On its thread. */
	void (*on_rest)(void *opaque);
	void *opaque;
	/* Kept by engine.c. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned threads; /* started */
	unsigned resting;
	bool running; /* they may */
	bool quit;
	pthread_t thread[ENGINE_MAX_CPUS];
};

/* For an engine's create and destroy. */
void engine_init(struct engine *engine, const struct engine_ops *ops, unsigned cpus);
void engine_finish(struct engine *engine);

/* Lets the vCPUs run; the first time it starts their threads. 0 or -errno. */
int engine_resume(struct engine *engine);
/* Asks the vCPUs to rest and returns at once; on_rest follows when any was running. Any thread. */
void engine_pause(struct engine *engine);
/* Whether every vCPU rests (or none was started). */
bool engine_resting(struct engine *engine);
/* While all rest. */
static inline int engine_reset(struct engine *engine, const struct engine_start *start)
{
	return engine->ops->reset(engine, start);
}
/* Ends the threads, which must be resting, and frees the engine. NULL is ignored. */
void engine_destroy(struct engine *engine);

#endif

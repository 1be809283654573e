/* SPDX-License-Identifier: MIT */
/* The PC's interrupt chips for the software CPUs: wiring, the one lock, and the timers' thread, which
 * sleeps until one is due. */
#include "hypervisor/soft_irq.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include "core/util.h"
#include "hypervisor/bus.h"
#include "hypervisor/ioapic.h"
#include "hypervisor/lapic.h"
#include "hypervisor/pic.h"
#include "hypervisor/pit.h"
#include "hypervisor/soft_internal.h"

enum {
	TIMER_GSI = 0,
	/* As on the PC boards that the MADT describes: the timer is where the cascade would be. */
	TIMER_INPUT = 2,

	/* A message's address and data (Intel SDM volume 3, "Message Signalled Interrupts"). */
	MSI_LOGICAL = 1 << 2,
	MSI_DATA_LEVEL = 1 << 15,
};

#define MSI_WINDOW UINT64_C(0xfee00000)
#define SECOND_NS  UINT64_C(1000000000)

/* A run of ports, or the IOAPIC's window. */
struct chip_region {
	struct bus_region region;
	struct soft_irq *irq;
	uint16_t port;
};

enum { REGION_MASTER, REGION_SLAVE, REGION_ELCR, REGION_PIT, REGION_SPEAKER, PORT_REGIONS };

struct soft_irq {
	struct soft_cpu *const *cpus;
	pthread_mutex_t lock; /* guards all below, but for what lapic.h says of events */
	struct pic pic;
	struct pit pit;
	struct ioapic ioapic;
	struct lapic_group lapics;
	struct chip_region ports[PORT_REGIONS];
	struct chip_region window;
	/* IRQ 0: one was sent that no CPU has taken yet, and those that are to follow it. */
	bool tick_sent;
	unsigned ticks_owed;
	bool attached;
	pthread_t thread;
	bool has_thread;
	pthread_cond_t wake; /* the thread is to look again */
	uint64_t sleeps_until_ns;
	bool quit;
};

/* ---- lines ---- */

static void pic_changed(struct soft_irq *irq)
{
	lapic_group_set_lint0(&irq->lapics, pic_output(&irq->pic));
}

static void set_line(struct soft_irq *irq, uint32_t gsi, bool level)
{
	if (gsi < PIC_IRQS) {
		pic_set_irq(&irq->pic, gsi, level);
		pic_changed(irq);
	}
	if (gsi != PIC_CASCADE_IRQ)
		ioapic_set_input(&irq->ioapic, gsi == TIMER_GSI ? TIMER_INPUT : gsi, level);
}

static struct soft_irq *from_chip(struct irq_chip *chip)
{
	return container_of(chip, struct soft_engine, base.irq)->chips;
}

static void set_gsi(struct irq_chip *chip, uint32_t gsi, bool level)
{
	struct soft_irq *irq = from_chip(chip);

	if (gsi >= IOAPIC_INPUTS)
		return;
	pthread_mutex_lock(&irq->lock);
	set_line(irq, gsi, level);
	pthread_mutex_unlock(&irq->lock);
}

static void send_msi(struct irq_chip *chip, uint64_t address, uint32_t data)
{
	struct soft_irq *irq = from_chip(chip);
	struct apic_message message = {
		.vector = (uint8_t)data,
		.mode = data >> 8 & 7,
		.logical = address & MSI_LOGICAL,
		.level = data & MSI_DATA_LEVEL,
		.dest = address >> 12 & 0xff,
	};

	/* The guest chose the address: that nobody is there is its own affair. */
	if ((address & ~UINT64_C(0xfffff)) != MSI_WINDOW)
		return;
	pthread_mutex_lock(&irq->lock);
	lapic_group_send(&irq->lapics, &message);
	pthread_mutex_unlock(&irq->lock);
}

static const struct irq_chip_ops chip_ops = { .set_gsi = set_gsi, .send_msi = send_msi };

/* ---- what the chips ask of each other ---- */

static bool ioapic_send(void *opaque, const struct apic_message *message)
{
	struct soft_irq *irq = opaque;

	return lapic_group_send(&irq->lapics, message);
}

/* NMI, INIT and SIPI are the CPU's from here on. */
static void lapic_kick(void *opaque, unsigned cpu)
{
	struct soft_irq *irq = opaque;
	struct lapic *lapic = &irq->lapics.lapics[cpu];
	uint32_t events = atomic_load(&lapic->events), bits = 0;
	int page;

	if (events & LAPIC_EVENT_INTR)
		bits |= SOFT_REQUEST_IRQ;
	if ((events & LAPIC_EVENT_NMI) && lapic_take(&irq->lapics, cpu, LAPIC_EVENT_NMI) == 0)
		bits |= SOFT_REQUEST_NMI;
	if ((events & LAPIC_EVENT_INIT) && lapic_take(&irq->lapics, cpu, LAPIC_EVENT_INIT) == 0)
		bits |= SOFT_REQUEST_INIT;
	if (events & LAPIC_EVENT_SIPI) {
		page = lapic_take(&irq->lapics, cpu, LAPIC_EVENT_SIPI);
		if (page >= 0) {
			__atomic_store_n(
				&irq->cpus[cpu]->sipi_vector, (uint8_t)page, __ATOMIC_SEQ_CST);
			bits |= SOFT_REQUEST_SIPI;
		}
	}
	if (bits)
		soft_cpu_request(irq->cpus[cpu], bits);
}

static void lapic_ended(void *opaque, uint8_t vector)
{
	struct soft_irq *irq = opaque;

	ioapic_eoi(&irq->ioapic, vector);
}

static int lapic_acknowledge(void *opaque)
{
	struct soft_irq *irq = opaque;
	int vector = -1;

	if (pic_output(&irq->pic))
		vector = pic_acknowledge(&irq->pic);
	pic_changed(irq);
	return vector;
}

static uint64_t lapic_tsc_ns(void *opaque, unsigned cpu, uint64_t tsc)
{
	struct soft_irq *irq = opaque;

	return soft_tsc_to_ns(irq->cpus[cpu], tsc);
}

static const struct lapic_group_ops lapic_ops = {
	.kick = lapic_kick,
	.eoi = lapic_ended,
	.acknowledge = lapic_acknowledge,
	.tsc_ns = lapic_tsc_ns,
};

/* ---- timers ---- */

static void send_tick(struct soft_irq *irq)
{
	set_line(irq, TIMER_GSI, false);
	set_line(irq, TIMER_GSI, true);
	irq->tick_sent = true;
}

static bool tick_is_masked(const struct soft_irq *irq)
{
	return (irq->pic.chips[0].imr & 1 << TIMER_GSI) &&
		ioapic_is_masked(&irq->ioapic, TIMER_INPUT);
}

/* Ticks that come while the CPU's thread waits for a CPU of the host are not lost: systems count
 * them, and Linux starts only when most of ten came. They follow one by one (tick_taken()). */
static void run_pit(struct soft_irq *irq, uint64_t now_ns)
{
	unsigned rises = pit_run(&irq->pit, now_ns);

	if (rises == 0)
		return;
	irq->ticks_owed += irq->tick_sent ? rises : rises - 1;
	irq->ticks_owed = MIN(irq->ticks_owed, (unsigned)PIT_RISES_MAX);
	if (tick_is_masked(irq))
		irq->ticks_owed = 0;
	/* Also when one was sent: that may have been dropped, by a chip's reset say. */
	send_tick(irq);
}

/* A CPU takes an interrupt: the next tick may follow when it is the last one. */
static void tick_taken(struct soft_irq *irq, int vector)
{
	if (vector != irq->pic.chips[0].base && vector != ioapic_vector(&irq->ioapic, TIMER_INPUT))
		return;
	irq->tick_sent = false;
	if (irq->ticks_owed == 0)
		return;
	irq->ticks_owed--;
	send_tick(irq);
}

static uint64_t next_ns(const struct soft_irq *irq)
{
	uint64_t next = pit_next_ns(&irq->pit), timer;

	for (unsigned i = 0; i < irq->lapics.count; i++) {
		timer = lapic_timer_next_ns(&irq->lapics, i);
		next = MIN(next, timer);
	}
	return next;
}

static uint64_t run_locked(struct soft_irq *irq)
{
	uint64_t now = clock_monotonic_ns();

	run_pit(irq, now);
	for (unsigned i = 0; i < irq->lapics.count; i++)
		lapic_timer_run(&irq->lapics, i, now);
	return next_ns(irq);
}

static void *timer_thread(void *opaque)
{
	struct soft_irq *irq = opaque;
	struct timespec until;

	pthread_setname_np(pthread_self(), "irq-timers");
	/* Else the kernel may be 50 us late. */
	prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
	pthread_mutex_lock(&irq->lock);
	while (!irq->quit) {
		uint64_t next = run_locked(irq);

		irq->sleeps_until_ns = next;
		until.tv_sec = (time_t)(next / SECOND_NS);
		until.tv_nsec = (long)(next % SECOND_NS);
		if (next == UINT64_MAX)
			pthread_cond_wait(&irq->wake, &irq->lock);
		else
			pthread_cond_timedwait(&irq->wake, &irq->lock, &until);
		irq->sleeps_until_ns = 0; /* it will look anyway */
	}
	pthread_mutex_unlock(&irq->lock);
	return NULL;
}

/* A timer may have been armed for `next_ns`: the thread is woken when it would come too late. */
static void wake_for(struct soft_irq *irq, uint64_t next_ns)
{
	if (next_ns >= irq->sleeps_until_ns)
		return;
	irq->sleeps_until_ns = 0;
	pthread_cond_signal(&irq->wake);
}

/* ---- ports and the IOAPIC's window ---- */

static uint64_t pic_region_read(struct bus_region *region, uint64_t offset, unsigned size)
{
	struct chip_region *part = container_of(region, struct chip_region, region);
	struct soft_irq *irq = part->irq;
	uint64_t value = 0;

	pthread_mutex_lock(&irq->lock);
	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)pic_read(&irq->pic, (uint16_t)(part->port + offset + i))
			<< 8 * i;
	pic_changed(irq);
	pthread_mutex_unlock(&irq->lock);
	return value;
}

static void pic_region_write(
	struct bus_region *region, uint64_t offset, uint64_t value, unsigned size)
{
	struct chip_region *part = container_of(region, struct chip_region, region);
	struct soft_irq *irq = part->irq;

	pthread_mutex_lock(&irq->lock);
	for (unsigned i = 0; i < size; i++)
		pic_write(
			&irq->pic, (uint16_t)(part->port + offset + i), (uint8_t)(value >> 8 * i));
	pic_changed(irq);
	pthread_mutex_unlock(&irq->lock);
}

static uint64_t pit_region_read(struct bus_region *region, uint64_t offset, unsigned size)
{
	struct chip_region *part = container_of(region, struct chip_region, region);
	struct soft_irq *irq = part->irq;
	uint64_t value = 0, now;

	pthread_mutex_lock(&irq->lock);
	now = clock_monotonic_ns();
	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)pit_read(&irq->pit, (uint16_t)(part->port + offset + i), now)
			<< 8 * i;
	pthread_mutex_unlock(&irq->lock);
	return value;
}

static void pit_region_write(
	struct bus_region *region, uint64_t offset, uint64_t value, unsigned size)
{
	struct chip_region *part = container_of(region, struct chip_region, region);
	struct soft_irq *irq = part->irq;
	uint64_t now;

	pthread_mutex_lock(&irq->lock);
	now = clock_monotonic_ns();
	run_pit(irq, now);
	for (unsigned i = 0; i < size; i++)
		pit_write(&irq->pit, (uint16_t)(part->port + offset + i), (uint8_t)(value >> 8 * i),
			now);
	if (part->port + offset == PIT_PORT)
		irq->ticks_owed = 0; /* another count: what was before is over */
	wake_for(irq, pit_next_ns(&irq->pit));
	pthread_mutex_unlock(&irq->lock);
}

static uint64_t window_read(struct bus_region *region, uint64_t offset, unsigned size)
{
	struct soft_irq *irq = container_of(region, struct chip_region, region)->irq;
	uint32_t value;

	pthread_mutex_lock(&irq->lock);
	value = ioapic_read(&irq->ioapic, (uint32_t)offset & ~3u);
	pthread_mutex_unlock(&irq->lock);
	return value >> 8 * (offset & 3);
}

static void window_write(struct bus_region *region, uint64_t offset, uint64_t value, unsigned size)
{
	struct soft_irq *irq = container_of(region, struct chip_region, region)->irq;

	pthread_mutex_lock(&irq->lock);
	ioapic_write(&irq->ioapic, (uint32_t)offset, (uint32_t)value);
	pthread_mutex_unlock(&irq->lock);
}

static const struct bus_ops pic_region_ops = { .read = pic_region_read, .write = pic_region_write };
static const struct bus_ops pit_region_ops = { .read = pit_region_read, .write = pit_region_write };
static const struct bus_ops window_ops = { .read = window_read, .write = window_write };

int soft_irq_attach(struct soft_irq *irq, struct bus *ports, struct bus *mmio)
{
	static const struct {
		const struct bus_ops *ops;
		uint16_t port;
		uint16_t size;
	} parts[PORT_REGIONS] = {
		[REGION_MASTER] = { &pic_region_ops, PIC_MASTER_PORT, 2 },
		[REGION_SLAVE] = { &pic_region_ops, PIC_SLAVE_PORT, 2 },
		[REGION_ELCR] = { &pic_region_ops, PIC_ELCR_PORT, 2 },
		[REGION_PIT] = { &pit_region_ops, PIT_PORT, PIT_COUNTERS + 1 },
		[REGION_SPEAKER] = { &pit_region_ops, PIT_SPEAKER_PORT, 1 },
	};
	int err = 0;

	if (irq->attached)
		return 0;
	irq->attached = true;
	for (unsigned i = 0; !err && i < PORT_REGIONS; i++) {
		irq->ports[i] = (struct chip_region){
			.region = { .ops = parts[i].ops, .name = "irq", .size = parts[i].size },
			.irq = irq,
			.port = parts[i].port,
		};
		err = bus_add(ports, &irq->ports[i].region, parts[i].port);
	}
	irq->window = (struct chip_region){
		.region = { .ops = &window_ops, .name = "ioapic", .size = IOAPIC_WINDOW },
		.irq = irq,
	};
	return err ? err : bus_add(mmio, &irq->window.region, IOAPIC_GPA);
}

/* ---- life ---- */

/* The process's signals are not for this thread. */
static int start_thread(struct soft_irq *irq)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&irq->thread, NULL, timer_thread, irq);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	irq->has_thread = err == 0;
	return -err;
}

int soft_irq_create(
	struct soft_irq **out, struct irq_chip *chip, struct soft_cpu *const *cpus, unsigned count)
{
	struct soft_irq *irq = calloc(1, sizeof(*irq));
	pthread_condattr_t attr;
	int err;

	if (!irq)
		return -ENOMEM;
	irq->cpus = cpus;
	pthread_mutex_init(&irq->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&irq->wake, &attr);
	pthread_condattr_destroy(&attr);
	irq->ioapic.send = ioapic_send;
	irq->ioapic.opaque = irq;
	irq->lapics.ops = &lapic_ops;
	irq->lapics.opaque = irq;
	irq->lapics.count = MIN(count, (unsigned)ENGINE_MAX_CPUS);
	irq->lapics.x2apic = true;
	soft_irq_reset(irq);
	err = start_thread(irq);
	if (err) {
		soft_irq_destroy(irq);
		return err;
	}
	chip->ops = &chip_ops;
	*out = irq;
	return 0;
}

void soft_irq_destroy(struct soft_irq *irq)
{
	if (!irq)
		return;
	if (irq->has_thread) {
		pthread_mutex_lock(&irq->lock);
		irq->quit = true;
		pthread_cond_signal(&irq->wake);
		pthread_mutex_unlock(&irq->lock);
		pthread_join(irq->thread, NULL);
	}
	pthread_cond_destroy(&irq->wake);
	pthread_mutex_destroy(&irq->lock);
	free(irq);
}

void soft_irq_reset(struct soft_irq *irq)
{
	pthread_mutex_lock(&irq->lock);
	pic_reset(&irq->pic);
	ioapic_reset(&irq->ioapic);
	pit_reset(&irq->pit, clock_monotonic_ns());
	irq->tick_sent = false;
	irq->ticks_owed = 0;
	lapic_group_reset(&irq->lapics);
	set_line(irq, TIMER_GSI, false);
	pic_changed(irq);
	pthread_mutex_unlock(&irq->lock);
}

/* ---- for a vCPU ---- */

bool soft_irq_pending(struct soft_irq *irq, unsigned cpu)
{
	return atomic_load(&irq->lapics.lapics[cpu].events) & LAPIC_EVENT_INTR;
}

int soft_irq_acknowledge(struct soft_irq *irq, unsigned cpu)
{
	int vector;

	pthread_mutex_lock(&irq->lock);
	vector = lapic_accept(&irq->lapics, cpu);
	tick_taken(irq, vector);
	pthread_mutex_unlock(&irq->lock);
	if (soft_irq_pending(irq, cpu))
		soft_cpu_request(irq->cpus[cpu], SOFT_REQUEST_IRQ);
	return vector;
}

uint64_t soft_irq_lapic_read(struct soft_irq *irq, unsigned cpu, uint32_t offset, unsigned size)
{
	uint32_t value;

	if (offset >= LAPIC_WINDOW || offset % 16 >= 4)
		return 0;
	pthread_mutex_lock(&irq->lock);
	value = lapic_read(&irq->lapics, cpu, offset & ~15u, clock_monotonic_ns());
	pthread_mutex_unlock(&irq->lock);
	return value >> 8 * (offset & 3);
}

/* Writes of other sizes than the registers' are dropped. */
void soft_irq_lapic_write(
	struct soft_irq *irq, unsigned cpu, uint32_t offset, uint64_t value, unsigned size)
{
	if (offset >= LAPIC_WINDOW || offset % 16 != 0 || size < 4)
		return;
	pthread_mutex_lock(&irq->lock);
	lapic_write(&irq->lapics, cpu, offset, (uint32_t)value, clock_monotonic_ns());
	wake_for(irq, lapic_timer_next_ns(&irq->lapics, cpu));
	pthread_mutex_unlock(&irq->lock);
}

int soft_irq_msr_read(struct soft_irq *irq, unsigned cpu, uint32_t msr, uint64_t *value)
{
	bool known;

	pthread_mutex_lock(&irq->lock);
	known = lapic_msr_read(&irq->lapics, cpu, msr, value, clock_monotonic_ns());
	pthread_mutex_unlock(&irq->lock);
	return known ? 0 : -EINVAL;
}

int soft_irq_msr_write(struct soft_irq *irq, unsigned cpu, uint32_t msr, uint64_t value)
{
	bool known;

	pthread_mutex_lock(&irq->lock);
	known = lapic_msr_write(&irq->lapics, cpu, msr, value, clock_monotonic_ns());
	wake_for(irq, lapic_timer_next_ns(&irq->lapics, cpu));
	pthread_mutex_unlock(&irq->lock);
	return known ? 0 : -EINVAL;
}

uint64_t soft_irq_cr8(struct soft_irq *irq, unsigned cpu)
{
	uint64_t value;

	pthread_mutex_lock(&irq->lock);
	value = irq->lapics.lapics[cpu].tpr >> 4;
	pthread_mutex_unlock(&irq->lock);
	return value;
}

void soft_irq_set_cr8(struct soft_irq *irq, unsigned cpu, uint64_t value)
{
	pthread_mutex_lock(&irq->lock);
	lapic_set_cr8(&irq->lapics, cpu, (uint8_t)value);
	pthread_mutex_unlock(&irq->lock);
}

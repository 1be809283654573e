/* SPDX-License-Identifier: MIT */
/* ACPI power management registers, as the PIIX4 has them. */
#include "hypervisor/pm.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/util.h"
#include "hypervisor/kick.h"

enum {
	/* PM1 status and enable, ACPI 4.8.4.1 */
	PM1_TIMER = 0x0001,
	PM1_POWER_BUTTON = 0x0100,
	PM1_EVENTS = 0x0521, /* timer, global lock, power button, RTC: what may be enabled */
	PM1_STATUS = 0x8d31, /* what may be cleared */
	/* PM1 control, ACPI 4.8.4.2 */
	PM1_SCI_ENABLE = 0x0001,
	PM1_SLEEP_TYPE_SHIFT = 10,
	PM1_SLEEP_ENABLE = 0x2000,
	PM1_CONTROL_KEPT = 0x1c03, /* SCI_EN, BM_RLD, SLP_TYP */

	TIMER_HZ = 3579545,
	TIMER_HALF = 0x800000, /* TMR_STS is set whenever bit 23 changes */
	TIMER_MASK = 0xffffff,
};

#define NS_PER_SEC 1000000000ull

struct pm {
	struct pci_host *host;
	struct system_control *control;
	struct bus_region block;
	struct bus_region gpe0;
	struct bus_region smi;
	struct kick *rearm_kick;
	struct loop_timer *timer; /* the loop thread's */
	uint64_t start_ns;

	pthread_mutex_t lock;
	uint16_t status, enable, pm1_control;
	uint64_t half_turns; /* changes of the timer's bit 23 that are in the status already */
	uint8_t gpe0_enable[PM_GPE0_SIZE / 2];
	uint8_t smi_command, smi_status;
	bool level;
};

static uint64_t timer_ticks(const struct pm *pm)
{
	uint64_t ns = clock_monotonic_ns() - pm->start_ns;

	return ns / NS_PER_SEC * TIMER_HZ + ns % NS_PER_SEC * TIMER_HZ / NS_PER_SEC;
}

/* Brings TMR_STS and the interrupt line up to date. */
static void update_sci(struct pm *pm)
{
	uint64_t half_turns = timer_ticks(pm) / TIMER_HALF;
	bool level;

	if (half_turns != pm->half_turns)
		pm->status |= PM1_TIMER;
	pm->half_turns = half_turns;
	level = (pm->pm1_control & PM1_SCI_ENABLE) && (pm->status & pm->enable & PM1_EVENTS);
	if (level != pm->level) {
		pm->level = level;
		irq_set_gsi(pm->host->irq, PM_SCI_GSI, level);
	}
}

/* The loop's timer runs only while the guest waits for the PM timer's interrupt. */
static void pm_rearm(void *opaque)
{
	struct pm *pm = opaque;
	uint64_t ticks, left;
	bool wanted;

	pthread_mutex_lock(&pm->lock);
	update_sci(pm);
	wanted = (pm->pm1_control & PM1_SCI_ENABLE) && (pm->enable & PM1_TIMER) &&
		!(pm->status & PM1_TIMER);
	pthread_mutex_unlock(&pm->lock);
	if (!wanted) {
		loop_timer_disarm(pm->timer);
		return;
	}
	ticks = timer_ticks(pm);
	left = TIMER_HALF - ticks % TIMER_HALF;
	loop_timer_arm(pm->timer, left * NS_PER_SEC / TIMER_HZ + 1);
}

static uint8_t block_read_byte(struct pm *pm, uint64_t offset)
{
	switch (offset) {
	case PM_EVENT_OFFSET:
	case PM_EVENT_OFFSET + 1: update_sci(pm); return (uint8_t)(pm->status >> 8 * (offset & 1));
	case PM_EVENT_OFFSET + 2:
	case PM_EVENT_OFFSET + 3: return (uint8_t)(pm->enable >> 8 * (offset & 1));
	case PM_CONTROL_OFFSET:
	case PM_CONTROL_OFFSET + 1: return (uint8_t)(pm->pm1_control >> 8 * (offset & 1));
	default: return 0;
	}
}

static uint64_t block_read(struct bus_region *region, uint64_t offset, unsigned size)
{
	struct pm *pm = container_of(region, struct pm, block);
	uint64_t value = 0;

	if (offset >= PM_TIMER_OFFSET && offset < PM_TIMER_OFFSET + 4)
		return (timer_ticks(pm) & TIMER_MASK) >> 8 * (offset - PM_TIMER_OFFSET);
	pthread_mutex_lock(&pm->lock);
	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)block_read_byte(pm, offset + i) << 8 * i;
	pthread_mutex_unlock(&pm->lock);
	return value;
}

static void control_write(struct pm *pm, unsigned shift, uint8_t byte)
{
	unsigned value = (unsigned)byte << shift;

	pm->pm1_control =
		(uint16_t)((pm->pm1_control & ~(0xffu << shift)) | (value & PM1_CONTROL_KEPT));
	if ((value & PM1_SLEEP_ENABLE) && (value >> PM1_SLEEP_TYPE_SHIFT & 7) == PM_SLEEP_TYPE_S5)
		system_control_request_power_off(pm->control);
}

static void block_write_byte(struct pm *pm, uint64_t offset, uint8_t byte)
{
	unsigned shift = 8 * (offset & 1);

	switch (offset) {
	case PM_EVENT_OFFSET:
	case PM_EVENT_OFFSET + 1:
		update_sci(pm);
		pm->status &= (uint16_t) ~(byte << shift & PM1_STATUS);
		break;
	case PM_EVENT_OFFSET + 2:
	case PM_EVENT_OFFSET + 3:
		pm->enable = (uint16_t)((pm->enable & ~(0xffu << shift)) |
			((unsigned)byte << shift & PM1_EVENTS));
		break;
	case PM_CONTROL_OFFSET:
	case PM_CONTROL_OFFSET + 1: control_write(pm, shift, byte); break;
	default: break;
	}
}

static void block_write(struct bus_region *region, uint64_t offset, uint64_t value, unsigned size)
{
	struct pm *pm = container_of(region, struct pm, block);
	bool timer_matters;

	pthread_mutex_lock(&pm->lock);
	timer_matters = pm->enable & PM1_TIMER;
	for (unsigned i = 0; i < size; i++)
		block_write_byte(pm, offset + i, (uint8_t)(value >> 8 * i));
	update_sci(pm);
	timer_matters |= pm->enable & PM1_TIMER;
	pthread_mutex_unlock(&pm->lock);
	if (timer_matters)
		kick_post(pm->rearm_kick);
}

/* General-purpose events: none ever happens, so only the enable bits are there. */
static uint64_t gpe0_read(struct bus_region *region, uint64_t offset, unsigned size)
{
	struct pm *pm = container_of(region, struct pm, gpe0);
	uint64_t value = 0;

	pthread_mutex_lock(&pm->lock);
	for (unsigned i = 0; i < size; i++)
		if (offset + i >= PM_GPE0_SIZE / 2)
			value |= (uint64_t)pm->gpe0_enable[offset + i - PM_GPE0_SIZE / 2] << 8 * i;
	pthread_mutex_unlock(&pm->lock);
	return value;
}

static void gpe0_write(struct bus_region *region, uint64_t offset, uint64_t value, unsigned size)
{
	struct pm *pm = container_of(region, struct pm, gpe0);

	pthread_mutex_lock(&pm->lock);
	for (unsigned i = 0; i < size; i++)
		if (offset + i >= PM_GPE0_SIZE / 2)
			pm->gpe0_enable[offset + i - PM_GPE0_SIZE / 2] = (uint8_t)(value >> 8 * i);
	pthread_mutex_unlock(&pm->lock);
}

/* The SMI ports (APM control and status of the PIIX4). There is no SMM: what its handler would do
 * for ACPI is done here. */
static uint64_t smi_read(struct bus_region *region, uint64_t offset, unsigned size)
{
	struct pm *pm = container_of(region, struct pm, smi);
	uint64_t value;

	pthread_mutex_lock(&pm->lock);
	value = offset == 0 ? pm->smi_command | (uint64_t)pm->smi_status << 8 : pm->smi_status;
	pthread_mutex_unlock(&pm->lock);
	return value;
}

static void smi_write(struct bus_region *region, uint64_t offset, uint64_t value, unsigned size)
{
	struct pm *pm = container_of(region, struct pm, smi);

	pthread_mutex_lock(&pm->lock);
	if (offset == 1 || size > 1)
		pm->smi_status = (uint8_t)(offset == 1 ? value : value >> 8);
	if (offset == 0) {
		pm->smi_command = (uint8_t)value;
		if (pm->smi_command == PM_ACPI_ENABLE)
			pm->pm1_control |= PM1_SCI_ENABLE;
		else if (pm->smi_command == PM_ACPI_DISABLE)
			pm->pm1_control &= (uint16_t)~PM1_SCI_ENABLE;
		update_sci(pm);
	}
	pthread_mutex_unlock(&pm->lock);
	kick_post(pm->rearm_kick);
}

static const struct bus_ops block_ops = { .read = block_read, .write = block_write };
static const struct bus_ops gpe0_ops = { .read = gpe0_read, .write = gpe0_write };
static const struct bus_ops smi_ops = { .read = smi_read, .write = smi_write };

int pm_create(struct pm **out, struct pci_host *host, struct system_control *control)
{
	struct pm *pm = calloc(1, sizeof(*pm));
	int rc;

	if (!pm)
		return -ENOMEM;
	pm->host = host;
	pm->control = control;
	pm->start_ns = clock_monotonic_ns();
	pm->block = (struct bus_region){ .ops = &block_ops, .name = "pm", .size = PM_BLOCK_SIZE };
	pm->gpe0 = (struct bus_region){ .ops = &gpe0_ops, .name = "gpe0", .size = PM_GPE0_SIZE };
	pm->smi = (struct bus_region){ .ops = &smi_ops, .name = "smi", .size = 2 };
	pthread_mutex_init(&pm->lock, NULL);
	rc = kick_create(&pm->rearm_kick, host->loop, pm_rearm, pm);
	if (rc == 0) {
		pm->timer = loop_timer_add(host->loop, pm_rearm, pm);
		rc = pm->timer ? 0 : -ENOMEM;
	}
	if (rc == 0)
		rc = bus_add(host->ports, &pm->block, PM_BASE);
	if (rc == 0)
		rc = bus_add(host->ports, &pm->gpe0, PM_GPE0_BASE);
	if (rc == 0)
		rc = bus_add(host->ports, &pm->smi, PM_SMI_PORT);
	if (rc != 0) {
		pm_destroy(pm);
		return rc;
	}
	*out = pm;
	return 0;
}

void pm_destroy(struct pm *pm)
{
	if (!pm)
		return;
	if (pm->block.mapped)
		bus_remove(pm->host->ports, &pm->block);
	if (pm->gpe0.mapped)
		bus_remove(pm->host->ports, &pm->gpe0);
	if (pm->smi.mapped)
		bus_remove(pm->host->ports, &pm->smi);
	if (pm->timer)
		loop_timer_remove(pm->timer);
	kick_destroy(pm->rearm_kick);
	pthread_mutex_destroy(&pm->lock);
	free(pm);
}

void pm_reset(struct pm *pm)
{
	pthread_mutex_lock(&pm->lock);
	pm->status = pm->enable = pm->pm1_control = 0;
	pm->gpe0_enable[0] = pm->gpe0_enable[1] = 0;
	pm->smi_command = pm->smi_status = 0;
	update_sci(pm);
	pthread_mutex_unlock(&pm->lock);
	pm_rearm(pm);
}

bool pm_power_button(struct pm *pm)
{
	bool heard;

	pthread_mutex_lock(&pm->lock);
	pm->status |= PM1_POWER_BUTTON;
	update_sci(pm);
	heard = (pm->pm1_control & PM1_SCI_ENABLE) && (pm->enable & PM1_POWER_BUTTON);
	pthread_mutex_unlock(&pm->lock);
	return heard;
}

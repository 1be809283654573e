/* SPDX-License-Identifier: MIT */
/*
 * Port 0x92 (system control port A of the PS/2: fast reset and A20) and port 0xCF9 (reset control
 * register of the PIIX3, 82371SB data sheet section 2.5.6).
 */
#include "hypervisor/system_control.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/util.h"
#include "hypervisor/kick.h"

enum {
	PORT_A_RESET = 0x01,
	PORT_A_A20 = 0x02,
	RESET_HARD = 0x02, /* only tells a hard from a soft reset, both of which are one here */
	RESET_CPU = 0x04,
};

struct system_control {
	struct pci_host *host;
	const struct system_control_ops *ops;
	void *opaque;
	struct bus_region port_a;
	struct bus_region reset_port;
	struct kick *kick;
	atomic_bool reset_wanted;
	atomic_bool power_off_wanted;
	atomic_bool a20;
	atomic_uchar reset_register;
};

static void control_carry_out(void *opaque)
{
	struct system_control *control = opaque;

	if (atomic_exchange(&control->power_off_wanted, false)) {
		atomic_store(&control->reset_wanted, false);
		control->ops->power_off(control->opaque);
	} else if (atomic_exchange(&control->reset_wanted, false)) {
		control->ops->reset(control->opaque);
	}
}

static void control_request(struct system_control *control, atomic_bool *wanted)
{
	atomic_store(wanted, true);
	if (control->ops->requested)
		control->ops->requested(control->opaque);
	kick_post(control->kick);
}

void system_control_request_reset(struct system_control *control)
{
	control_request(control, &control->reset_wanted);
}

void system_control_request_power_off(struct system_control *control)
{
	control_request(control, &control->power_off_wanted);
}

bool system_control_a20(const struct system_control *control)
{
	return atomic_load(&control->a20);
}

void system_control_set_a20(struct system_control *control, bool open)
{
	atomic_store(&control->a20, open);
}

static uint64_t port_a_read(struct bus_region *region, uint64_t offset, unsigned size)
{
	struct system_control *control = container_of(region, struct system_control, port_a);

	return system_control_a20(control) ? PORT_A_A20 : 0;
}

static void port_a_write(struct bus_region *region, uint64_t offset, uint64_t value, unsigned size)
{
	struct system_control *control = container_of(region, struct system_control, port_a);

	system_control_set_a20(control, (value & PORT_A_A20) != 0);
	if (value & PORT_A_RESET)
		system_control_request_reset(control);
}

static uint64_t reset_port_read(struct bus_region *region, uint64_t offset, unsigned size)
{
	struct system_control *control = container_of(region, struct system_control, reset_port);

	return atomic_load(&control->reset_register);
}

static void reset_port_write(
	struct bus_region *region, uint64_t offset, uint64_t value, unsigned size)
{
	struct system_control *control = container_of(region, struct system_control, reset_port);

	atomic_store(&control->reset_register, (unsigned char)(value & RESET_HARD));
	if (value & RESET_CPU)
		system_control_request_reset(control);
}

static const struct bus_ops port_a_ops = { .read = port_a_read, .write = port_a_write };
static const struct bus_ops reset_port_ops = { .read = reset_port_read, .write = reset_port_write };

int system_control_create(struct system_control **out, struct pci_host *host,
	const struct system_control_ops *ops, void *opaque)
{
	struct system_control *control = calloc(1, sizeof(*control));
	int rc;

	if (!control)
		return -ENOMEM;
	control->host = host;
	control->ops = ops;
	control->opaque = opaque;
	atomic_init(&control->a20, true);
	control->port_a = (struct bus_region){ .ops = &port_a_ops, .name = "port-92", .size = 1 };
	control->reset_port = (struct bus_region){
		.ops = &reset_port_ops,
		.name = "reset-control",
		.size = 1,
		/* It lies inside PCI's configuration address register, which is 32-bit only. */
		.priority = 1,
	};
	rc = kick_create(&control->kick, host->loop, control_carry_out, control);
	if (rc == 0)
		rc = bus_add(host->ports, &control->port_a, 0x92);
	if (rc == 0)
		rc = bus_add(host->ports, &control->reset_port, 0xcf9);
	if (rc != 0) {
		system_control_destroy(control);
		return rc;
	}
	*out = control;
	return 0;
}

void system_control_destroy(struct system_control *control)
{
	if (!control)
		return;
	if (control->port_a.mapped)
		bus_remove(control->host->ports, &control->port_a);
	if (control->reset_port.mapped)
		bus_remove(control->host->ports, &control->reset_port);
	kick_destroy(control->kick);
	free(control);
}

void system_control_reset(struct system_control *control)
{
	atomic_store(&control->reset_wanted, false);
	atomic_store(&control->power_off_wanted, false);
	atomic_store(&control->a20, true);
	atomic_store(&control->reset_register, 0);
}

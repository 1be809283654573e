/* SPDX-License-Identifier: MIT */
/* The devices of every machine: chipset, legacy devices, disks, keyboard and pointer. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/util.h"
#include "hypervisor/fw_items.h"
#include "hypervisor/machine_internal.h"

/* ---- input ---- */

static struct machine_input *from_sink(struct input_sink *sink)
{
	return container_of(sink, struct machine_input, sink);
}

static void input_key(struct input_sink *sink, uint32_t scancode, bool down)
{
	i8042_key(from_sink(sink)->i8042, scancode, down);
}

static void input_motion(struct input_sink *sink, int32_t dx, int32_t dy)
{
	i8042_motion(from_sink(sink)->i8042, dx, dy);
}

static void input_position(
	struct input_sink *sink, int32_t x, int32_t y, uint32_t width, uint32_t height)
{
	virtio_input_position(from_sink(sink)->tablet, x, y, width, height);
}

/* A button is released where it was pressed, even if the tablet came into use since. */
static void input_button(struct input_sink *sink, enum input_button button, bool down)
{
	struct machine_input *input = from_sink(sink);
	uint32_t bit = 1u << button;
	bool ps2 = down ? !sink->absolute : (input->on_ps2 & bit) != 0;

	input->on_ps2 &= ~bit;
	if (ps2 && down)
		input->on_ps2 |= bit;
	if (ps2)
		i8042_button(input->i8042, button, down);
	else
		virtio_input_button(input->tablet, button, down);
}

static void input_set_leds(struct input_sink *sink, uint32_t leds)
{
	static const struct {
		uint32_t led;
		uint32_t scancode;
	} keys[] = {
		{ INPUT_LED_SCROLL, 0x46 },
		{ INPUT_LED_NUM, 0x45 },
		{ INPUT_LED_CAPS, 0x3a },
	};
	struct machine_input *input = from_sink(sink);
	/* A guest takes a while to answer: the keys must not be pressed twice. */
	uint32_t now = input->leds_asked ? input->leds_to : sink->leds;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (!((leds ^ now) & keys[i].led))
			continue;
		i8042_key(input->i8042, keys[i].scancode, true);
		i8042_key(input->i8042, keys[i].scancode, false);
		input->leds_asked = true;
	}
	input->leds_to = leds;
}

static const struct input_sink_ops input_ops = {
	.key = input_key,
	.motion = input_motion,
	.position = input_position,
	.button = input_button,
	.set_leds = input_set_leds,
};

static void on_leds(void *opaque, uint32_t leds)
{
	struct machine_input *input = opaque;

	input->leds_asked = false;
	input_sink_set_leds(&input->sink, leds);
}

static void on_tablet(void *opaque, bool active)
{
	struct machine_input *input = opaque;

	input_sink_set_absolute(&input->sink, active);
}

static int create_input(struct machine *machine)
{
	struct machine_input *input = &machine->input;
	int err;

	input_sink_init(&input->sink, &input_ops);
	err = i8042_create(&input->i8042, &machine->host, machine->control, on_leds, input);
	if (!err)
		err = virtio_input_create(
			&input->tablet, &machine->host, machine->pci, on_tablet, input);
	return err;
}

/* ---- disks ---- */

static int create_disk(struct machine *machine, uint32_t index, char **error)
{
	const struct machine_disk *disk = &machine->config.disks[index];
	struct machine_disk_device *device = &machine->disks[index];
	struct block_config config = {
		.loop = machine->config.loop,
		.path = disk->path,
		.read_only = disk->read_only,
		.snapshot = disk->snapshot,
	};
	char serial[21];
	int err = block_open(&device->block, &config, error);

	if (err)
		return err;
	snprintf(serial, sizeof(serial), "spicebox-%u", index);
	return virtio_blk_create(
		&device->device, &machine->host, machine->pci, device->block, serial);
}

/* ---- all of them ---- */

/* Disks are plugged first: they are at slot 2 and up, in their order. */
static int create_fw_cfg(struct machine *machine)
{
	struct fw_items_config items = { .acpi = machine->acpi };
	char order[MACHINE_DISKS_MAX * 40];
	int err = fw_cfg_create(&machine->fw_cfg, &machine->host);

	for (uint32_t i = 0, used = 0; i < machine->config.disk_count; i++)
		used += (uint32_t)snprintf(
			order + used, sizeof(order) - used, "/pci@i0cf8/scsi@%x/disk@0,0\n", 2 + i);
	memcpy(items.uuid, machine->uuid, sizeof(items.uuid));
	items.boot_order = machine->config.disk_count ? order : NULL;
	return err ? err : fw_items_add(&items, machine->fw_cfg);
}

static int create_legacy(struct machine *machine, const struct system_control_ops *ops)
{
	struct pci_host *host = &machine->host;
	struct rtc_config rtc = {
		.ram_below_4g = machine->memory.below_4g,
		.ram_above_4g = machine->memory.above_4g,
		.cpus = machine->config.cpus,
	};
	int err = system_control_create(&machine->control, host, ops, machine);

	if (!err)
		err = chipset_init(&machine->chipset, host, machine->pci);
	if (!err)
		err = pm_create(&machine->pm, host, machine->control);
	if (!err)
		err = rtc_create(&machine->rtc, host, &rtc);
	if (!err)
		err = uart_create(&machine->uart, host, UART_COM1_PORT, UART_COM1_GSI,
			machine->config.serial);
	if (!err && (machine->config.firmware_log || log_enabled(LOG_DEBUG)))
		err = debug_port_create(&machine->debug_port, host, machine->config.firmware_log);
	return err;
}

int machine_devices_create(
	struct machine *machine, const struct system_control_ops *ops, char **error)
{
	int err = create_legacy(machine, ops);

	for (uint32_t i = 0; !err && i < machine->config.disk_count; i++)
		err = create_disk(machine, i, error);
	if (!err)
		err = create_input(machine);
	if (!err)
		err = create_fw_cfg(machine);
	return err;
}

void machine_devices_stop(struct machine *machine)
{
	for (uint32_t i = 0; i < MACHINE_DISKS_MAX; i++) {
		struct machine_disk_device *disk = &machine->disks[i];
		int err;

		if (disk->device)
			virtio_blk_stop(disk->device);
		if (!disk->block)
			continue;
		err = block_sync(disk->block);
		if (err)
			log_error("disk", "%s may not hold what the guest wrote last: %s",
				machine->config.disks[i].path, strerror(-err));
	}
}

void machine_devices_destroy(struct machine *machine)
{
	virtio_input_destroy(machine->input.tablet);
	for (uint32_t i = 0; i < MACHINE_DISKS_MAX; i++) {
		virtio_blk_destroy(machine->disks[i].device);
		block_close(machine->disks[i].block);
	}
	i8042_destroy(machine->input.i8042);
	fw_cfg_destroy(machine->fw_cfg);
	debug_port_destroy(machine->debug_port);
	uart_destroy(machine->uart);
	rtc_destroy(machine->rtc);
	pm_destroy(machine->pm);
	chipset_finish(&machine->chipset);
	system_control_destroy(machine->control);
}

void machine_devices_reset(struct machine *machine)
{
	system_control_reset(machine->control);
	pci_bus_reset(machine->pci);
	fw_cfg_reset(machine->fw_cfg);
	pm_reset(machine->pm);
	rtc_reset(machine->rtc);
	uart_reset(machine->uart);
	i8042_reset(machine->input.i8042);
	machine->input.leds_asked = false;
	machine->input.on_ps2 = 0;
}

/* SPDX-License-Identifier: MIT */
/* The machine's life: made, started, reset, ended. All on the loop thread but where said. */
#include "hypervisor/machine.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "core/log.h"
#include "core/util.h"
#include "hypervisor/kvm.h"
#include "hypervisor/machine_internal.h"
#include "hypervisor/soft.h"

int machine_fail(char **error, int err, const char *fmt, ...)
{
	va_list args;

	if (*error)
		return err;
	va_start(args, fmt);
	if (vasprintf(error, fmt, args) < 0)
		*error = NULL;
	va_end(args);
	return err;
}

int machine_kvm_probe(char **error)
{
	int fd;

	*error = NULL;
	fd = kvm_open(error);
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

/* ---- the end ---- */

/* The guest's end: once, and with the vCPUs on their way to rest. The callee may destroy us. */
static void end(struct machine *machine, enum machine_exit exit, const char *reason)
{
	if (machine->state == MACHINE_ENDED || machine->state == MACHINE_STOPPED)
		return;
	machine->state = MACHINE_ENDED;
	engine_pause(machine->engine);
	if (machine->config.on_exit)
		machine->config.on_exit(machine->config.opaque, exit, reason);
}

static void on_failed(void *opaque)
{
	struct machine *machine = opaque;
	char reason[ENGINE_REASON_MAX];

	pthread_mutex_lock(&machine->lock);
	memcpy(reason, machine->reason, sizeof(reason));
	pthread_mutex_unlock(&machine->lock);
	end(machine, MACHINE_EXIT_FAILED, reason);
}

static void on_power_off(void *opaque)
{
	end(opaque, MACHINE_EXIT_POWER_OFF, NULL);
}

/* ---- power-on and reset ---- */

/* Everything as at power-on, the vCPUs resting: then they run. */
static int power_on(struct machine *machine, char **error)
{
	struct engine_start start;
	int err;

	*error = NULL;
	if (machine->was_running)
		machine_devices_reset(machine);
	err = machine_memory_boot(machine, &start, error);
	machine->was_running = true;
	if (!err)
		err = engine_reset(machine->engine, &start);
	if (!err)
		err = engine_resume(machine->engine);
	if (err)
		machine_fail(error, err, "the machine cannot start: %s", strerror(-err));
	return err;
}

static void on_rest(void *opaque)
{
	struct machine *machine = opaque;
	char *error;

	if (machine->state != MACHINE_RESETTING || !engine_resting(machine->engine))
		return;
	machine->state = MACHINE_RUNNING;
	if (power_on(machine, &error))
		end(machine, MACHINE_EXIT_FAILED, error ? error : "out of memory");
	else if (machine->config.on_reset)
		machine->config.on_reset(machine->config.opaque);
	free(error);
}

static void on_reset(void *opaque)
{
	struct machine *machine = opaque;

	if (machine->state != MACHINE_RUNNING)
		return;
	if (machine->config.reboot_is_exit) {
		end(machine, MACHINE_EXIT_POWER_OFF, NULL);
		return;
	}
	machine->state = MACHINE_RESETTING;
	engine_pause(machine->engine);
	/* A vCPU that stopped by itself (triple fault) may have been the last already. */
	on_rest(machine);
}

/* ---- from the vCPU threads ---- */

/* After a reset, firmware tries other ways to reset, down to a triple fault: they must not run. */
static void on_requested(void *opaque)
{
	struct machine *machine = opaque;

	engine_pause(machine->engine);
}

static const struct system_control_ops control_ops = {
	.reset = on_reset,
	.power_off = on_power_off,
	.requested = on_requested,
};

static void engine_exited(void *opaque, enum engine_exit exit, const char *reason)
{
	struct machine *machine = opaque;

	if (exit == ENGINE_EXIT_RESET) {
		pthread_mutex_lock(&machine->lock);
		log_warn_limited(&machine->fault_limit, "machine",
			"the guest's CPU shut down (triple fault): resetting the machine");
		pthread_mutex_unlock(&machine->lock);
		system_control_request_reset(machine->control);
		return;
	}
	pthread_mutex_lock(&machine->lock);
	snprintf(machine->reason, sizeof(machine->reason), "%s", reason);
	pthread_mutex_unlock(&machine->lock);
	kick_post(machine->fail_kick);
}

static void engine_rests(void *opaque)
{
	struct machine *machine = opaque;

	kick_post(machine->rest_kick);
}

/* ---- making it ---- */

static int copy_config(struct machine *machine, const struct machine_config *config, char **error)
{
	struct machine_disk *disks;

	machine->config = *config;
	machine->config.disks = NULL;
	machine->config.disk_count = 0;
	if (config->cpus < 1 || config->cpus > ENGINE_MAX_CPUS)
		return machine_fail(
			error, -EINVAL, "the machine may have 1 to %d CPUs", ENGINE_MAX_CPUS);
	if (config->disk_count > MACHINE_DISKS_MAX)
		return machine_fail(
			error, -EINVAL, "the machine may have at most %d disks", MACHINE_DISKS_MAX);
	machine->append = strdup(config->append ? config->append : "");
	disks = calloc(MAX(1u, config->disk_count), sizeof(*disks));
	machine->config.append = machine->append;
	machine->config.disks = disks;
	if (!machine->append || !disks)
		return -ENOMEM;
	for (uint32_t i = 0; i < config->disk_count; i++) {
		disks[i] = config->disks[i];
		disks[i].path = strdup(config->disks[i].path);
		if (!disks[i].path)
			return -ENOMEM;
		machine->config.disk_count = i + 1;
	}
	return 0;
}

/* A random identity, version 4 of RFC 9562. */
static int make_uuid(struct machine *machine)
{
	if (getrandom(machine->uuid, sizeof(machine->uuid), 0) != sizeof(machine->uuid))
		return -EIO;
	machine->uuid[6] = (machine->uuid[6] & 0x0f) | 0x40;
	machine->uuid[8] = (machine->uuid[8] & 0x3f) | 0x80;
	return 0;
}

static int create_core(struct machine *machine, char **error)
{
	struct engine *engine;
	bool soft = machine->config.engine == MACHINE_ENGINE_SOFT;
	int err = (soft ? soft_engine_create : kvm_engine_create)(
		&machine->engine, machine->config.cpus, error);

	if (err)
		return err;
	engine = machine->engine;
	err = guest_memory_create(&machine->host.memory, engine->memory_ops, engine);
	if (!err)
		err = bus_create(&machine->host.ports, false, engine->bus_ops, engine);
	if (!err)
		err = bus_create(&machine->host.mmio, true, engine->bus_ops, engine);
	machine->host.loop = machine->config.loop;
	machine->host.irq = &engine->irq;
	engine->ports = machine->host.ports;
	engine->mmio = machine->host.mmio;
	engine->memory = machine->host.memory;
	engine->on_exit = engine_exited;
	engine->on_rest = engine_rests;
	engine->opaque = machine;
	if (!err)
		err = pci_bus_create(&machine->pci, &machine->host);
	if (!err)
		err = kick_create(&machine->rest_kick, machine->config.loop, on_rest, machine);
	if (!err)
		err = kick_create(&machine->fail_kick, machine->config.loop, on_failed, machine);
	return err;
}

/* Whether the kernel is one is known now, not when it is too late to say so plainly. */
static int try_boot(struct machine *machine, char **error)
{
	struct engine_start start;

	if (machine->config.kernel.size == 0 && machine->config.initrd.size > 0)
		return machine_fail(error, -EINVAL, "an initrd needs a kernel");
	return machine_memory_boot(machine, &start, error);
}

int machine_create(struct machine **out, const struct machine_config *config, char **error)
{
	struct machine *machine = calloc(1, sizeof(*machine));
	int err;

	*error = NULL;
	if (!machine)
		return machine_fail(error, -ENOMEM, "out of memory");
	pthread_mutex_init(&machine->lock, NULL);
	err = copy_config(machine, config, error);
	if (!err)
		err = make_uuid(machine);
	if (!err)
		err = create_core(machine, error);
	if (!err)
		err = machine_memory_create(machine, error);
	if (!err)
		err = machine_devices_create(machine, &control_ops, error);
	if (!err)
		err = try_boot(machine, error);
	if (err) {
		machine_fail(error, err, "the machine cannot be made: %s", strerror(-err));
		machine_destroy(machine);
		return err;
	}
	*out = machine;
	return 0;
}

int machine_start(struct machine *machine, char **error)
{
	int err;

	*error = NULL;
	if (machine->state != MACHINE_BUILT)
		return machine_fail(error, -EINVAL, "the machine was started before");
	err = power_on(machine, error);
	machine->state = err ? MACHINE_ENDED : MACHINE_RUNNING;
	return err;
}

bool machine_power_button(struct machine *machine)
{
	return pm_power_button(machine->pm);
}

void machine_stop(struct machine *machine)
{
	if (machine->state == MACHINE_STOPPED)
		return;
	machine->state = MACHINE_STOPPED;
	if (machine->engine) {
		engine_pause(machine->engine);
		/* vCPU threads may wait for us in loop_call(); the last one to rest posts. */
		while (!engine_resting(machine->engine))
			if (loop_wait_posted(machine->config.loop))
				break;
	}
	machine_devices_stop(machine);
}

void machine_destroy(struct machine *machine)
{
	if (!machine)
		return;
	machine_stop(machine);
	machine_devices_destroy(machine);
	pci_bus_destroy(machine->pci);
	machine_memory_destroy(machine);
	bus_destroy(machine->host.ports);
	bus_destroy(machine->host.mmio);
	engine_destroy(machine->engine);
	kick_destroy(machine->rest_kick);
	kick_destroy(machine->fail_kick);
	for (uint32_t i = 0; i < machine->config.disk_count; i++)
		free((char *)machine->config.disks[i].path);
	free((void *)machine->config.disks);
	free(machine->append);
	pthread_mutex_destroy(&machine->lock);
	free(machine);
}

struct pci_bus *machine_pci_bus(struct machine *machine)
{
	return machine->pci;
}

struct pci_host *machine_pci_host(struct machine *machine)
{
	return &machine->host;
}

struct input_sink *machine_input(struct machine *machine)
{
	return &machine->input.sink;
}

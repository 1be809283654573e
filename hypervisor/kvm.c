/* SPDX-License-Identifier: MIT */
/* The KVM engine's VM: memory slots, doorbells, interrupt chips (Linux's
 * Documentation/virt/kvm/api.rst). The vCPUs are in kvm_cpu.c. */
#include "hypervisor/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/log.h"
#include "core/util.h"
#include "hypervisor/kvm_internal.h"

/* Where KVM keeps pages of its own (Intel without unrestricted guests): SeaBIOS reserves them. */
#define IDENTITY_MAP_GPA 0xfeffc000u
#define TSS_GPA          0xfeffd000u

#define IOAPIC_PINS    24
#define PIC_SLAVE      1
#define PIC_LEVEL_IRQS 0x0e /* of the slave: IRQ 9, 10, 11, those of PCI and ACPI */

int kvm_open(char **error)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int err = fd < 0 ? -errno : 0;

	if (err == -ENOENT || err == -ENODEV || err == -ENXIO)
		*error = strdup(
			"there is no /dev/kvm: turn on virtualisation (VT-x, AMD-V) in this "
			"computer's firmware setup, or load the module with 'sudo modprobe "
			"kvm_intel' or 'sudo modprobe kvm_amd'");
	else if (err == -EACCES || err == -EPERM)
		*error = strdup("no permission to use /dev/kvm: add yourself to the group kvm with "
				"'sudo usermod -aG kvm $USER' and log in again");
	else if (err && asprintf(error, "cannot open /dev/kvm: %s", strerror(-err)) < 0)
		*error = NULL;
	if (err)
		return err;
	if (ioctl(fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION) {
		*error = strdup("/dev/kvm is not a KVM that this program knows");
		close(fd);
		return -ENOTSUP;
	}
	return fd;
}

/* ---- memory ---- */

static int set_slot(struct kvm_engine *kvm, const struct memory_region *region, uint64_t size)
{
	struct kvm_userspace_memory_region slot = {
		.slot = (uint32_t)region->slot,
		.flags = (region->read_only ? KVM_MEM_READONLY : 0u) |
			(region->log_dirty ? KVM_MEM_LOG_DIRTY_PAGES : 0u),
		.guest_phys_addr = region->gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)region->host,
	};

	return ioctl(kvm->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0 ? -errno : 0;
}

static int memory_map(void *opaque, struct memory_region *region)
{
	int err = set_slot(opaque, region, region->size);

	if (err)
		log_warn("kvm", "cannot map %s at 0x%llx: %s", region->name,
			(unsigned long long)region->gpa, strerror(-err));
	return err;
}

static void memory_unmap(void *opaque, struct memory_region *region)
{
	set_slot(opaque, region, 0);
}

static int memory_dirty_log(void *opaque, struct memory_region *region, uint64_t *bitmap)
{
	struct kvm_engine *kvm = opaque;
	struct kvm_dirty_log log = { .slot = (uint32_t)region->slot, .dirty_bitmap = bitmap };

	return ioctl(kvm->vm_fd, KVM_GET_DIRTY_LOG, &log) < 0 ? -errno : 0;
}

static const struct memory_backend_ops memory_ops = {
	.map = memory_map,
	.unmap = memory_unmap,
	.dirty_log = memory_dirty_log,
};

/* ---- doorbells ---- */

static int doorbell(void *opaque, bool is_mmio, uint64_t addr, unsigned size, bool match,
	uint64_t value, int event_fd, bool add)
{
	struct kvm_engine *kvm = opaque;
	struct kvm_ioeventfd bell = {
		.datamatch = match ? value : 0,
		.addr = addr,
		.len = size,
		.fd = event_fd,
		.flags = (is_mmio ? 0u : KVM_IOEVENTFD_FLAG_PIO) |
			(match ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0u) |
			(add ? 0u : KVM_IOEVENTFD_FLAG_DEASSIGN),
	};

	if (size == 0 && (match || !kvm->any_length_doorbells))
		return -ENOTSUP;
	return ioctl(kvm->vm_fd, KVM_IOEVENTFD, &bell) < 0 ? -errno : 0;
}

static const struct bus_engine_ops bus_ops = { .doorbell = doorbell };

/* ---- interrupts ---- */

static void set_gsi(struct irq_chip *chip, uint32_t gsi, bool level)
{
	struct kvm_engine *kvm = container_of(chip, struct kvm_engine, base.irq);
	struct kvm_irq_level line = { .irq = gsi, .level = level };

	if (ioctl(kvm->vm_fd, KVM_IRQ_LINE, &line) < 0)
		log_debug("kvm", "interrupt line %u: %s", gsi, strerror(errno));
}

static void send_msi(struct irq_chip *chip, uint64_t address, uint32_t data)
{
	struct kvm_engine *kvm = container_of(chip, struct kvm_engine, base.irq);
	struct kvm_msi msi = {
		.address_lo = (uint32_t)address,
		.address_hi = (uint32_t)(address >> 32),
		.data = data,
	};

	/* The guest chose the address: that nobody is there is its own affair. */
	if (ioctl(kvm->vm_fd, KVM_SIGNAL_MSI, &msi) < 0)
		log_debug("kvm", "message-signalled interrupt: %s", strerror(errno));
}

static const struct irq_chip_ops irq_ops = { .set_gsi = set_gsi, .send_msi = send_msi };

struct routing {
	struct kvm_irq_routing header;
	struct kvm_irq_routing_entry entries[16 + IOAPIC_PINS];
};

static void route(struct routing *routing, uint32_t gsi, uint32_t chip, uint32_t pin)
{
	routing->entries[routing->header.nr++] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = chip, .pin = pin },
	};
}

/* As on the PC boards that the MADT describes: the timer's IRQ 0 is at the IOAPIC's pin 2, where
 * the cascade would be; the others are where their number says. */
static int set_routing(struct kvm_engine *kvm)
{
	struct routing routing = { 0 };

	for (uint32_t irq = 0; irq < 16; irq++) {
		if (irq != 2)
			route(&routing, irq,
				irq < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, irq % 8);
		if (irq != 2)
			route(&routing, irq, KVM_IRQCHIP_IOAPIC, irq == 0 ? 2 : irq);
	}
	for (uint32_t pin = 16; pin < IOAPIC_PINS; pin++)
		route(&routing, pin, KVM_IRQCHIP_IOAPIC, pin);
	return ioctl(kvm->vm_fd, KVM_SET_GSI_ROUTING, &routing) < 0 ? -errno : 0;
}

/* Makes the chips and remembers how they are at power-on. */
static int create_chips(struct kvm_engine *kvm)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

	if (ioctl(kvm->vm_fd, KVM_CREATE_IRQCHIP, 0) < 0 ||
		ioctl(kvm->vm_fd, KVM_CREATE_PIT2, &pit) < 0)
		return -errno;
	for (uint32_t i = 0; i < ARRAY_SIZE(kvm->chips); i++) {
		kvm->chips[i].chip_id = i;
		if (ioctl(kvm->vm_fd, KVM_GET_IRQCHIP, &kvm->chips[i]) < 0)
			return -errno;
	}
	kvm->chips[PIC_SLAVE].chip.pic.elcr |= PIC_LEVEL_IRQS;
	if (ioctl(kvm->vm_fd, KVM_GET_PIT2, &kvm->pit) < 0)
		return -errno;
	return set_routing(kvm);
}

static int reset_chips(struct kvm_engine *kvm)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(kvm->chips); i++)
		if (ioctl(kvm->vm_fd, KVM_SET_IRQCHIP, &kvm->chips[i]) < 0)
			return -errno;
	return ioctl(kvm->vm_fd, KVM_SET_PIT2, &kvm->pit) < 0 ? -errno : 0;
}

/* ---- the engine ---- */

static int engine_reset_all(struct engine *engine, const struct engine_start *start)
{
	struct kvm_engine *kvm = container_of(engine, struct kvm_engine, base);
	int err = reset_chips(kvm);

	for (unsigned i = 0; !err && i < engine->cpus; i++)
		err = kvm_cpu_reset(kvm, i, start);
	return err;
}

static void engine_free(struct engine *engine)
{
	struct kvm_engine *kvm = container_of(engine, struct kvm_engine, base);

	for (unsigned i = 0; i < engine->cpus; i++)
		kvm_cpu_destroy(kvm, i);
	if (kvm->vm_fd >= 0)
		close(kvm->vm_fd);
	if (kvm->kvm_fd >= 0)
		close(kvm->kvm_fd);
	free(kvm->msrs);
	engine_finish(engine);
	free(kvm);
}

static const struct engine_ops engine_ops = {
	.run = kvm_cpu_run,
	.kick = kvm_cpu_kick,
	.reset = engine_reset_all,
	.destroy = engine_free,
};

static int missing(struct kvm_engine *kvm, const char **name)
{
	static const struct {
		int capability;
		const char *name;
	} needed[] = {
		{ KVM_CAP_IRQCHIP, "interrupt chips" },
		{ KVM_CAP_PIT2, "the interval timer" },
		{ KVM_CAP_USER_MEMORY, "user memory" },
		{ KVM_CAP_READONLY_MEM, "read-only memory" },
		{ KVM_CAP_IRQ_ROUTING, "interrupt routing" },
		{ KVM_CAP_SIGNAL_MSI, "message-signalled interrupts" },
		{ KVM_CAP_IMMEDIATE_EXIT, "immediate exits" },
		{ KVM_CAP_IOEVENTFD, "ioeventfd" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (ioctl(kvm->kvm_fd, KVM_CHECK_EXTENSION, needed[i].capability) <= 0) {
			*name = needed[i].name;
			return -ENOTSUP;
		}
	return 0;
}

/* So that we hear of a user-mode instruction that KVM cannot emulate, before the guest does. Kernels
 * without it raise the invalid opcode themselves. */
static void exit_on_emulation_failure(struct kvm_engine *kvm)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_EXIT_ON_EMULATION_FAILURE, .args = { 1 } };

	if (ioctl(kvm->vm_fd, KVM_ENABLE_CAP, &cap) < 0)
		log_debug("kvm", "emulation failures are not told: %s", strerror(errno));
}

static int create_vm(struct kvm_engine *kvm, char **error)
{
	uint64_t identity_map = IDENTITY_MAP_GPA;
	const char *what = "";
	int err, max;

	kvm->kvm_fd = kvm_open(error);
	if (kvm->kvm_fd < 0)
		return kvm->kvm_fd;
	err = missing(kvm, &what);
	if (err) {
		if (asprintf(error, "this host's KVM lacks %s: a newer kernel is needed", what) < 0)
			*error = NULL;
		return err;
	}
	max = ioctl(kvm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	if (max > 0 && kvm->base.cpus > (unsigned)max) {
		if (asprintf(error, "this host's KVM gives a VM at most %d CPUs", max) < 0)
			*error = NULL;
		return -EINVAL;
	}
	do
		kvm->vm_fd = ioctl(kvm->kvm_fd, KVM_CREATE_VM, 0);
	while (kvm->vm_fd < 0 && errno == EINTR);
	if (kvm->vm_fd < 0)
		return -errno;
	kvm->any_length_doorbells =
		ioctl(kvm->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_IOEVENTFD_ANY_LENGTH) > 0;
	kvm->run_size = (size_t)MAX(0, ioctl(kvm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0));
	exit_on_emulation_failure(kvm);
	/* Only some Intel hosts need them. */
	if (ioctl(kvm->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) < 0 ||
		ioctl(kvm->vm_fd, KVM_SET_TSS_ADDR, (unsigned long)TSS_GPA) < 0)
		log_debug("kvm", "no identity map: %s", strerror(errno));
	return create_chips(kvm);
}

int kvm_engine_create(struct engine **out, unsigned cpus, char **error)
{
	struct kvm_engine *kvm = calloc(1, sizeof(*kvm));
	int err;

	*error = NULL;
	if (!kvm)
		return -ENOMEM;
	engine_init(&kvm->base, &engine_ops, cpus);
	kvm->base.irq.ops = &irq_ops;
	kvm->base.memory_ops = &memory_ops;
	kvm->base.bus_ops = &bus_ops;
	kvm->kvm_fd = kvm->vm_fd = -1;
	for (unsigned i = 0; i < cpus; i++)
		kvm->cpus[i].fd = -1;
	err = create_vm(kvm, error);
	for (unsigned i = 0; !err && i < cpus; i++)
		err = kvm_cpu_create(kvm, i);
	if (err) {
		if (!*error && asprintf(error, "KVM cannot make the VM: %s", strerror(-err)) < 0)
			*error = NULL;
		engine_free(&kvm->base);
		return err;
	}
	*out = &kvm->base;
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* The KVM engine's vCPUs: power-on state, running, exits to the buses. */
#include <errno.h>
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

#define MSR_TSC        0x10
#define MSR_TSC_ADJUST 0x3b

#define INVALID_OPCODE_VECTOR 6
#define RETRY_AGAIN_NS        10000000u

/* ---- the kick ---- */

static int kick_signal(void)
{
	return SIGRTMIN;
}

static void on_kick_signal(int signal)
{
	/* That it came is enough: KVM_RUN returns. */
}

static int install_kick(void)
{
	struct sigaction action = { .sa_handler = on_kick_signal, .sa_flags = SA_RESTART };

	sigemptyset(&action.sa_mask);
	return sigaction(kick_signal(), &action, NULL) < 0 ? -errno : 0;
}

void kvm_cpu_kick(struct engine *engine, unsigned index, bool on)
{
	struct kvm_engine *kvm = container_of(engine, struct kvm_engine, base);
	struct kvm_cpu *cpu = &kvm->cpus[index];
	sigset_t set;

	__atomic_store_n(&cpu->run->immediate_exit, on ? 1 : 0, __ATOMIC_SEQ_CST);
	if (on && cpu->entered)
		pthread_kill(cpu->thread, kick_signal());
	if (on || cpu->entered)
		return;
	cpu->thread = pthread_self();
	cpu->entered = true;
	sigemptyset(&set);
	sigaddset(&set, kick_signal());
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* ---- state ---- */

static int read_power_on(struct kvm_cpu *cpu)
{
	struct kvm_power_on *on = &cpu->power_on;

	if (ioctl(cpu->fd, KVM_GET_REGS, &on->regs) < 0 ||
		ioctl(cpu->fd, KVM_GET_SREGS, &on->sregs) < 0 ||
		ioctl(cpu->fd, KVM_GET_FPU, &on->fpu) < 0 ||
		ioctl(cpu->fd, KVM_GET_LAPIC, &on->lapic) < 0 ||
		ioctl(cpu->fd, KVM_GET_VCPU_EVENTS, &on->events) < 0 ||
		ioctl(cpu->fd, KVM_GET_MP_STATE, &on->mp_state) < 0)
		return -errno;
	on->has_xcrs = ioctl(cpu->fd, KVM_GET_XCRS, &on->xcrs) == 0;
	on->has_debugregs = ioctl(cpu->fd, KVM_GET_DEBUGREGS, &on->debugregs) == 0;
	return 0;
}

/* Reads the MSRs that a reset brings back. The time-stamp counter goes on: systems and KVM's clock
 * take it badly when it jumps on some of the vCPUs. */
static int read_msrs(struct kvm_engine *kvm, struct kvm_cpu *cpu)
{
	struct {
		struct kvm_msr_list header;
		uint32_t indices[KVM_MSRS_MAX];
	} list = { .header.nmsrs = KVM_MSRS_MAX };
	uint32_t kept = 0;

	kvm->msrs = calloc(1, sizeof(*kvm->msrs));
	if (!kvm->msrs)
		return -ENOMEM;
	if (ioctl(kvm->kvm_fd, KVM_GET_MSR_INDEX_LIST, &list) < 0)
		return errno == E2BIG ? 0 : -errno;
	for (uint32_t i = 0; i < list.header.nmsrs; i++) {
		struct {
			struct kvm_msrs header;
			struct kvm_msr_entry entry;
		} one = { .header.nmsrs = 1, .entry.index = list.header.indices[i] };

		if (one.entry.index == MSR_TSC || one.entry.index == MSR_TSC_ADJUST)
			continue;
		/* Only those that KVM also takes back. */
		if (ioctl(cpu->fd, KVM_GET_MSRS, &one) == 1 &&
			ioctl(cpu->fd, KVM_SET_MSRS, &one) == 1)
			kvm->msrs->entries[kept++] = one.entry;
	}
	kvm->msrs->header.nmsrs = kept;
	return 0;
}

static void write_msrs(struct kvm_engine *kvm, struct kvm_cpu *cpu)
{
	int n = ioctl(cpu->fd, KVM_SET_MSRS, kvm->msrs);

	if (n < 0 || (uint32_t)n < kvm->msrs->header.nmsrs)
		log_debug("kvm", "MSR 0x%x is not reset", n < 0 ? 0 : kvm->msrs->entries[n].index);
}

static struct kvm_segment flat_segment(uint16_t selector, uint8_t type)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.db = 1,
		.s = 1,
		.g = 1,
	};
}

static void set_flat32(
	struct kvm_regs *regs, struct kvm_sregs *sregs, const struct engine_start *start)
{
	struct kvm_segment data = flat_segment(0x18, 0x3);

	sregs->cs = flat_segment(0x10, 0xb);
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
	/* A busy 32-bit TSS of the least size, as the PVH protocol says. */
	sregs->tr = (struct kvm_segment){ .limit = 0x67, .type = 0xb, .present = 1 };
	sregs->gdt = (struct kvm_dtable){ .base = start->gdt_base, .limit = start->gdt_limit };
	sregs->idt = (struct kvm_dtable){ 0 };
	sregs->cr0 = 0x11; /* PE, ET */
	sregs->cr4 = 0;
	sregs->efer = 0;
	memset(regs, 0, sizeof(*regs));
	regs->rip = start->eip;
	regs->rbx = start->ebx;
	regs->rsi = start->esi;
	regs->rflags = 2;
}

int kvm_cpu_reset(struct kvm_engine *kvm, unsigned index, const struct engine_start *start)
{
	struct kvm_cpu *cpu = &kvm->cpus[index];
	struct kvm_power_on *on = &cpu->power_on;
	struct kvm_regs regs = on->regs;
	struct kvm_sregs sregs = on->sregs;

	if (index == 0 && start->flat32)
		set_flat32(&regs, &sregs, start);
	/* KVM still has the exit of before to finish; it does so here, and nothing else. */
	__atomic_store_n(&cpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	if (cpu->entered)
		ioctl(cpu->fd, KVM_RUN, 0);
	if (ioctl(cpu->fd, KVM_SET_SREGS, &sregs) < 0 || ioctl(cpu->fd, KVM_SET_REGS, &regs) < 0 ||
		ioctl(cpu->fd, KVM_SET_FPU, &on->fpu) < 0)
		return -errno;
	write_msrs(kvm, cpu);
	if ((on->has_xcrs && ioctl(cpu->fd, KVM_SET_XCRS, &on->xcrs) < 0) ||
		(on->has_debugregs && ioctl(cpu->fd, KVM_SET_DEBUGREGS, &on->debugregs) < 0))
		log_debug("kvm", "a vCPU is not wholly reset: %s", strerror(errno));
	if (ioctl(cpu->fd, KVM_SET_LAPIC, &on->lapic) < 0 ||
		ioctl(cpu->fd, KVM_SET_VCPU_EVENTS, &on->events) < 0 ||
		ioctl(cpu->fd, KVM_SET_MP_STATE, &on->mp_state) < 0)
		return -errno;
	return 0;
}

static uint32_t tsc_khz(const struct kvm_cpu *cpu)
{
	int khz = ioctl(cpu->fd, KVM_GET_TSC_KHZ, 0);

	return khz > 0 ? (uint32_t)khz : 0;
}

static int set_cpuid(struct kvm_engine *kvm, unsigned index)
{
	struct kvm_cpuid_sized *cpuid = malloc(sizeof(*cpuid));
	int err;

	if (!cpuid)
		return -ENOMEM;
	err = kvm_cpuid_fill(kvm->kvm_fd, index, kvm->base.cpus, tsc_khz(&kvm->cpus[index]), cpuid);
	if (!err && ioctl(kvm->cpus[index].fd, KVM_SET_CPUID2, cpuid) < 0)
		err = -errno;
	free(cpuid);
	return err;
}

int kvm_cpu_create(struct kvm_engine *kvm, unsigned index)
{
	struct kvm_cpu *cpu = &kvm->cpus[index];
	void *run;
	int err;

	err = install_kick();
	if (err)
		return err;
	cpu->fd = ioctl(kvm->vm_fd, KVM_CREATE_VCPU, (unsigned long)index);
	if (cpu->fd < 0)
		return -errno;
	if (kvm->run_size < sizeof(struct kvm_run))
		return -ENOTSUP;
	run = mmap(NULL, kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu->fd, 0);
	if (run == MAP_FAILED)
		return -errno;
	cpu->run = run;
	err = set_cpuid(kvm, index);
	if (!err)
		err = read_power_on(cpu);
	if (!err && !kvm->msrs)
		err = read_msrs(kvm, cpu);
	return err;
}

void kvm_cpu_destroy(struct kvm_engine *kvm, unsigned index)
{
	struct kvm_cpu *cpu = &kvm->cpus[index];

	if (cpu->run)
		munmap(cpu->run, kvm->run_size);
	if (cpu->fd >= 0)
		close(cpu->fd);
}

/* ---- running ---- */

static void handle_io(struct kvm_engine *kvm, struct kvm_run *run)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	unsigned size = run->io.size;

	for (uint32_t i = 0; i < run->io.count; i++, data += size) {
		uint64_t value = 0;

		if (run->io.direction == KVM_EXIT_IO_OUT) {
			memcpy(&value, data, size);
			bus_write(kvm->base.ports, run->io.port, value, size);
		} else {
			value = bus_read(kvm->base.ports, run->io.port, size);
			memcpy(data, &value, size);
		}
	}
}

static void handle_mmio(struct kvm_engine *kvm, struct kvm_run *run)
{
	uint64_t addr = run->mmio.phys_addr, value = 0;
	uint32_t len = MIN(run->mmio.len, 8u);
	bool whole = len == 1 || len == 2 || len == 4 || len == 8;
	uint32_t step = whole ? len : 1;

	for (uint32_t i = 0; i < len; i += step) {
		value = 0;
		if (run->mmio.is_write) {
			memcpy(&value, run->mmio.data + i, step);
			bus_write(kvm->base.mmio, addr + i, value, step);
		} else {
			value = bus_read(kvm->base.mmio, addr + i, step);
			memcpy(run->mmio.data + i, &value, step);
		}
	}
}

static void append_bytes(char *reason, size_t size, const uint8_t *bytes, unsigned count)
{
	size_t used = strlen(reason);

	for (unsigned i = 0; i < count && used + 4 < size; i++)
		used += (size_t)snprintf(reason + used, size - used, " %02x", bytes[i]);
}

static void explain_internal_error(struct kvm_cpu *cpu, char *reason, size_t size)
{
	const struct kvm_run *run = cpu->run;
	struct kvm_regs regs = { 0 };

	ioctl(cpu->fd, KVM_GET_REGS, &regs);
	if (run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION) {
		snprintf(reason, size,
			"the host's KVM gave up on the guest at RIP 0x%llx (internal error %u)",
			(unsigned long long)regs.rip, run->internal.suberror);
		return;
	}
	snprintf(reason, size,
		"this host's KVM cannot emulate the guest's instruction at RIP 0x%llx",
		(unsigned long long)regs.rip);
	/* emulation_failure shares its place with internal: data words, flags, size, bytes. */
	if (run->emulation_failure.ndata >= 1 &&
		run->emulation_failure.flags &
			KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) {
		strncat(reason, ", bytes", size - strlen(reason) - 1);
		append_bytes(reason, size, run->emulation_failure.insn_bytes,
			MIN(run->emulation_failure.insn_size, 15u));
	}
}

/*
 * An instruction that KVM cannot emulate. It need not be emulated when it wrote to memory that was
 * only read-only for its owner to learn of writes, or that was changing hands just then: so it is
 * tried again, once. A process of the guest's then gets an invalid opcode, as KVM itself would do it;
 * for the guest's kernel there is no way on. Answers whether the vCPU goes on.
 */
static bool retry_or_inject(struct kvm_engine *kvm, struct kvm_cpu *cpu)
{
	uint64_t now = clock_monotonic_ns();
	struct kvm_vcpu_events events;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	if (ioctl(cpu->fd, KVM_GET_REGS, &regs) < 0)
		return false;
	if ((kvm->base.memory && guest_memory_thaw(kvm->base.memory)) ||
		regs.rip != cpu->retried_rip || now - cpu->retried_ns > RETRY_AGAIN_NS) {
		cpu->retried_rip = regs.rip;
		cpu->retried_ns = now;
		return true;
	}
	if (ioctl(cpu->fd, KVM_GET_SREGS, &sregs) < 0 || sregs.ss.dpl != 3 ||
		ioctl(cpu->fd, KVM_GET_VCPU_EVENTS, &events) < 0)
		return false;
	events.exception.injected = 1;
	events.exception.pending = 0;
	events.exception.nr = INVALID_OPCODE_VECTOR;
	events.exception.has_error_code = 0;
	return ioctl(cpu->fd, KVM_SET_VCPU_EVENTS, &events) == 0;
}

/* One exit. False: the vCPU goes on. */
static bool handle_exit(struct kvm_engine *kvm, struct kvm_cpu *cpu, enum engine_exit *exit,
	char *reason, size_t size)
{
	struct kvm_run *run = cpu->run;

	*exit = ENGINE_EXIT_FAILED;
	switch (run->exit_reason) {
	case KVM_EXIT_IO: handle_io(kvm, run); return false;
	case KVM_EXIT_MMIO: handle_mmio(kvm, run); return false;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN: return false;
	case KVM_EXIT_SHUTDOWN: *exit = ENGINE_EXIT_RESET; return true;
	case KVM_EXIT_SYSTEM_EVENT: *exit = ENGINE_EXIT_RESET; return true;
	case KVM_EXIT_INTERNAL_ERROR:
		if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION &&
			retry_or_inject(kvm, cpu))
			return false;
		explain_internal_error(cpu, reason, size);
		return true;
	case KVM_EXIT_FAIL_ENTRY:
		snprintf(reason, size, "the host's CPU refused to enter the guest (reason 0x%llx)",
			(unsigned long long)run->fail_entry.hardware_entry_failure_reason);
		return true;
	default:
		snprintf(reason, size, "KVM stopped the guest for a reason that is not known (%u)",
			run->exit_reason);
		return true;
	}
}

enum engine_exit kvm_cpu_run(struct engine *engine, unsigned index, char *reason, size_t size)
{
	struct kvm_engine *kvm = container_of(engine, struct kvm_engine, base);
	struct kvm_cpu *cpu = &kvm->cpus[index];
	enum engine_exit exit;

	for (;;) {
		if (ioctl(cpu->fd, KVM_RUN, 0) == 0) {
			if (handle_exit(kvm, cpu, &exit, reason, size))
				return exit;
			continue;
		}
		if (errno == EINTR || errno == EAGAIN) {
			if (__atomic_load_n(&cpu->run->immediate_exit, __ATOMIC_SEQ_CST))
				return ENGINE_EXIT_KICKED;
			continue;
		}
		snprintf(reason, size, "KVM cannot run the guest: %s", strerror(errno));
		return ENGINE_EXIT_FAILED;
	}
}

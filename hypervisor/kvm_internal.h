/* SPDX-License-Identifier: MIT */
/* What the parts of the KVM engine share: the VM, the vCPUs, their CPUID. */
#ifndef HYPERVISOR_KVM_INTERNAL_H
#define HYPERVISOR_KVM_INTERNAL_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "hypervisor/engine.h"

#define KVM_CPUID_MAX 256
#define KVM_MSRS_MAX  512

struct kvm_msr_list_sized {
	struct kvm_msrs header;
	struct kvm_msr_entry entries[KVM_MSRS_MAX];
};

struct kvm_cpuid_sized {
	struct kvm_cpuid2 header;
	struct kvm_cpuid_entry2 entries[KVM_CPUID_MAX];
};

/* The state of a vCPU at power-on, read from KVM when it was made and written back at reset. */
struct kvm_power_on {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_fpu fpu;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
	struct kvm_vcpu_events events;
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp_state;
	bool has_xcrs;
	bool has_debugregs;
};

struct kvm_cpu {
	int fd;
	struct kvm_run *run;
	pthread_t thread; /* valid while entered; under the engine's lock */
	bool entered;
	struct kvm_power_on power_on;
	uint64_t retried_rip; /* the last instruction that was tried again, and when */
	uint64_t retried_ns;
};

struct kvm_engine {
	struct engine base;
	int kvm_fd;
	int vm_fd;
	size_t run_size;
	bool any_length_doorbells;
	struct kvm_irqchip chips[3]; /* at power-on */
	struct kvm_pit_state2 pit;
	struct kvm_msr_list_sized *msrs; /* at power-on; the same for all vCPUs */
	struct kvm_cpu cpus[ENGINE_MAX_CPUS];
};

/* CPUID of one vCPU: what the host offers, with our topology. tsc_khz 0: not known. 0 or -errno. */
int kvm_cpuid_fill(
	int kvm_fd, unsigned cpu, unsigned cpus, uint32_t tsc_khz, struct kvm_cpuid_sized *cpuid);

/* A vCPU, with its power-on state. 0 or -errno. */
int kvm_cpu_create(struct kvm_engine *kvm, unsigned index);
void kvm_cpu_destroy(struct kvm_engine *kvm, unsigned index);
int kvm_cpu_reset(struct kvm_engine *kvm, unsigned index, const struct engine_start *start);
/* As engine_ops. */
enum engine_exit kvm_cpu_run(struct engine *engine, unsigned index, char *reason, size_t size);
void kvm_cpu_kick(struct engine *engine, unsigned index, bool on);

#endif

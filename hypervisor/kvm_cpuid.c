/* SPDX-License-Identifier: MIT */
/* CPUID of the KVM engine's vCPUs (Intel SDM volume 2, CPUID; KVM's leaves: Linux's
 * Documentation/virt/kvm/x86/cpuid.rst). */
#include <cpuid.h>
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "core/util.h"
#include "hypervisor/kvm_internal.h"

#define LEAF_FEATURES    0x1u
#define LEAF_CACHES      0x4u
#define LEAF_TOPOLOGY    0xbu
#define LEAF_FREQUENCY   0x15u
#define LEAF_TOPOLOGY_V2 0x1fu
#define LEAF_HYPERVISOR  0x40000000u
#define LEAF_TIMING      0x40000010u
#define LEAF_AMD_SIZES   0x80000008u
#define LEAF_AMD_CACHES  0x8000001du
#define LEAF_AMD_NODE    0x8000001eu
#define LEAF_BRAND       0x80000002u /* and the two behind it */

#define APIC_BUS_KHZ 1000000u /* KVM's LAPIC timer counts nanoseconds */

static void remove_leaf(struct kvm_cpuid_sized *cpuid, uint32_t function)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < cpuid->header.nent; i++)
		if (cpuid->entries[i].function != function)
			cpuid->entries[kept++] = cpuid->entries[i];
	cpuid->header.nent = kept;
}

static struct kvm_cpuid_entry2 *find_leaf(struct kvm_cpuid_sized *cpuid, uint32_t function)
{
	for (uint32_t i = 0; i < cpuid->header.nent; i++)
		if (cpuid->entries[i].function == function)
			return &cpuid->entries[i];
	return NULL;
}

static void add_leaf(struct kvm_cpuid_sized *cpuid, struct kvm_cpuid_entry2 entry)
{
	if (cpuid->header.nent < KVM_CPUID_MAX)
		cpuid->entries[cpuid->header.nent++] = entry;
}

static void raise_limit(struct kvm_cpuid_sized *cpuid, uint32_t base, uint32_t limit)
{
	struct kvm_cpuid_entry2 *entry = find_leaf(cpuid, base);

	if (entry && entry->eax < limit)
		entry->eax = limit;
}

/* One package with a core for each vCPU, one thread a core. */
static void set_topology(struct kvm_cpuid_sized *cpuid, unsigned cpu, unsigned cpus)
{
	uint32_t shift = 0;
	struct kvm_cpuid_entry2 *entry;

	while (1u << shift < cpus)
		shift++;
	for (uint32_t i = 0; i < cpuid->header.nent; i++) {
		entry = &cpuid->entries[i];
		switch (entry->function) {
		case LEAF_FEATURES:
			entry->ebx = (entry->ebx & 0xffff) | (1u << shift) << 16 | cpu << 24;
			entry->ecx |= 1u << 31; /* a hypervisor is there */
			entry->edx &= ~(1u << 28);
			entry->edx |= cpus > 1 ? 1u << 28 : 0;
			break;
		case LEAF_CACHES: /* caches of one core but the last level, which all share */
			entry->eax &= 0x3fff;
			if (entry->eax & 0x1f)
				entry->eax |= ((1u << shift) - 1) << 26;
			/* fall through */
		case LEAF_AMD_CACHES:
			entry->eax &= ~(0xfffu << 14);
			if ((entry->eax >> 5 & 7) >= 3)
				entry->eax |= ((1u << shift) - 1) << 14;
			break;
		case LEAF_AMD_SIZES: entry->ecx = shift << 12 | (cpus - 1); break;
		case LEAF_AMD_NODE:
			entry->eax = cpu;
			entry->ebx = cpu;
			entry->ecx = 0;
			break;
		default: break;
		}
	}
	remove_leaf(cpuid, LEAF_TOPOLOGY);
	remove_leaf(cpuid, LEAF_TOPOLOGY_V2);
	for (uint32_t level = 0; level < 3; level++)
		add_leaf(cpuid,
			(struct kvm_cpuid_entry2){
				.function = LEAF_TOPOLOGY,
				.index = level,
				.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
				.eax = level == 1 ? shift : 0,
				.ebx = level == 0    ? 1
					: level == 1 ? cpus
						     : 0,
				.ecx = level | (level < 2 ? (level + 1) << 8 : 0),
				.edx = cpu,
			});
	raise_limit(cpuid, 0, LEAF_TOPOLOGY);
}

/* KVMs without hardware virtualisation do not pass on the processor's name. */
static void set_brand(struct kvm_cpuid_sized *cpuid)
{
	for (uint32_t leaf = LEAF_BRAND; leaf < LEAF_BRAND + 3; leaf++) {
		struct kvm_cpuid_entry2 *entry = find_leaf(cpuid, leaf);

		if (entry && !(entry->eax | entry->ebx | entry->ecx | entry->edx))
			__get_cpuid(leaf, &entry->eax, &entry->ebx, &entry->ecx, &entry->edx);
	}
}

static void set_frequencies(struct kvm_cpuid_sized *cpuid, uint32_t tsc_khz)
{
	if (tsc_khz == 0)
		return;
	remove_leaf(cpuid, LEAF_FREQUENCY);
	/* The "crystal" is the LAPIC timer's clock, from which systems take it. */
	add_leaf(cpuid,
		(struct kvm_cpuid_entry2){ .function = LEAF_FREQUENCY,
			.eax = APIC_BUS_KHZ,
			.ebx = tsc_khz,
			.ecx = APIC_BUS_KHZ * 1000u });
	raise_limit(cpuid, 0, LEAF_FREQUENCY);
	if (!find_leaf(cpuid, LEAF_HYPERVISOR))
		return;
	remove_leaf(cpuid, LEAF_TIMING);
	add_leaf(cpuid,
		(struct kvm_cpuid_entry2){
			.function = LEAF_TIMING, .eax = tsc_khz, .ebx = APIC_BUS_KHZ });
	raise_limit(cpuid, LEAF_HYPERVISOR, LEAF_TIMING);
}

int kvm_cpuid_fill(
	int kvm_fd, unsigned cpu, unsigned cpus, uint32_t tsc_khz, struct kvm_cpuid_sized *cpuid)
{
	struct kvm_cpuid_entry2 *features;

	memset(cpuid, 0, sizeof(*cpuid));
	cpuid->header.nent = KVM_CPUID_MAX - 8; /* room for ours */
	if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid) < 0)
		return -errno;
	set_topology(cpuid, cpu, cpus);
	set_brand(cpuid);
	set_frequencies(cpuid, tsc_khz);
	features = find_leaf(cpuid, LEAF_FEATURES);
	if (features) {
		features->ecx |= 1u << 21; /* x2APIC, in the kernel's LAPIC */
		if (ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0)
			features->ecx |= 1u << 24;
	}
	return 0;
}

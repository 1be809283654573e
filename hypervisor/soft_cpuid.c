/* SPDX-License-Identifier: MIT */
/* What the CPU says that it is: CPUID and MSRs. x86-64-v2, nothing beyond. */
#include <errno.h>

#include "core/util.h"
#include "hypervisor/soft_internal.h"

/* ---- CPUID ---- */

/* Leaf 1. */
enum {
	EDX_FPU = 1 << 0,
	EDX_DE = 1 << 2,
	EDX_PSE = 1 << 3,
	EDX_TSC = 1 << 4,
	EDX_MSR = 1 << 5,
	EDX_PAE = 1 << 6,
	EDX_MCE = 1 << 7,
	EDX_CX8 = 1 << 8,
	EDX_APIC = 1 << 9,
	EDX_SEP = 1 << 11,
	EDX_MTRR = 1 << 12,
	EDX_PGE = 1 << 13,
	EDX_MCA = 1 << 14,
	EDX_CMOV = 1 << 15,
	EDX_PAT = 1 << 16,
	EDX_PSE36 = 1 << 17,
	EDX_CLFLUSH = 1 << 19,
	EDX_MMX = 1 << 23,
	EDX_FXSR = 1 << 24,
	EDX_SSE = 1 << 25,
	EDX_SSE2 = 1 << 26,
	EDX_HTT = 1 << 28,
	ECX_SSE3 = 1 << 0,
	ECX_SSSE3 = 1 << 9,
	ECX_CX16 = 1 << 13,
	ECX_SSE41 = 1 << 19,
	ECX_SSE42 = 1 << 20,
	ECX_X2APIC = 1 << 21,
	ECX_POPCNT = 1 << 23,
	ECX_TSC_DEADLINE = 1 << 24,
	ECX_XSAVE = 1 << 26,
	ECX_OSXSAVE = 1 << 27,
	ECX_RDRAND = 1 << 30,
};
#define ECX_HYPERVISOR (1u << 31)

#define COMMON_EDX                                                                                 \
	(EDX_FPU | EDX_DE | EDX_PSE | EDX_TSC | EDX_MSR | EDX_PAE | EDX_MCE | EDX_CX8 | EDX_APIC | \
		EDX_MTRR | EDX_PGE | EDX_MCA | EDX_CMOV | EDX_PAT | EDX_PSE36 | EDX_MMX |          \
		EDX_FXSR)

static void set_text(uint32_t out[4], const char text[static 16])
{
	memcpy(out, text, 16);
}

static void leaf_1(const struct soft_cpu *cpu, uint32_t out[4])
{
	unsigned cpus = cpu->engine->base.cpus;

	out[0] = SOFT_SIGNATURE;
	out[1] = cpu->index << 24 | cpus << 16 | 8 << 8;
	out[2] = ECX_SSE3 | ECX_SSSE3 | ECX_CX16 | ECX_SSE41 | ECX_SSE42 | ECX_X2APIC | ECX_POPCNT |
		ECX_TSC_DEADLINE | ECX_XSAVE | ECX_RDRAND | ECX_HYPERVISOR;
	if (cpu->cr4 & SOFT_CR4_OSXSAVE)
		out[2] |= ECX_OSXSAVE;
	out[3] = COMMON_EDX | EDX_SEP | EDX_CLFLUSH | EDX_SSE | EDX_SSE2;
	if (cpus > 1)
		out[3] |= EDX_HTT;
	if (!(cpu->apic_base & 0x800))
		out[3] &= ~(uint32_t)EDX_APIC;
}

/* Topology: each CPU is a core. */
static void leaf_0b(const struct soft_cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
	unsigned cpus = cpu->engine->base.cpus, shift = 0;

	while ((1u << shift) < cpus)
		shift++;
	if (subleaf == 0) {
		out[1] = 1;
		out[2] = 1 << 8;
	} else if (subleaf == 1) {
		out[0] = shift;
		out[1] = cpus;
		out[2] = 1 | 2 << 8;
	} else {
		out[2] = subleaf;
	}
	out[3] = cpu->index;
}

static void leaf_0d(const struct soft_cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
	if (subleaf == 0) {
		out[0] = 3; /* x87, SSE */
		out[1] = out[2] = 576;
	} else if (subleaf == 1) {
		out[0] = 1; /* XSAVEOPT */
	}
}

static void extended(const struct soft_cpu *cpu, uint32_t leaf, uint32_t out[4])
{
	static const char brand[48] = "spicebox software CPU";

	switch (leaf & 0xff) {
	case 0:
		set_text(out,
			"\x08\x00\x00\x80"
			"AuthcAMDenti");
		break;
	case 1:
		out[0] = SOFT_SIGNATURE;
		out[2] = 1 << 0; /* LAHF in 64-bit mode */
		if (cpu->engine->base.cpus > 1)
			out[2] |= 1 << 1;
		/* SYSCALL, NX, 1 GiB pages, RDTSCP, long mode. */
		out[3] = COMMON_EDX | 1 << 11 | 1 << 20 | 1 << 26 | 1 << 27 | 1 << 29;
		break;
	case 2:
	case 3:
	case 4: set_text(out, brand + 16 * ((leaf & 0xff) - 2)); break;
	case 5: out[2] = out[3] = 32u << 24 | 8 << 16 | 1 << 8 | 64; break;
	case 6: out[2] = 512u << 16 | 6 << 12 | 1 << 8 | 64; break;
	case 7: out[3] = 1 << 8; break; /* the TSC is invariant */
	case 8:
		out[0] = SOFT_PHYS_BITS | 48 << 8;
		out[2] = cpu->engine->base.cpus - 1;
		break;
	default: break;
	}
}

void soft_cpuid(const struct soft_cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	memset(out, 0, 4 * sizeof(out[0]));
	if ((leaf & 0x80000000u) && leaf <= 0x80000008u) {
		extended(cpu, leaf, out);
		return;
	}
	switch (leaf) {
	case 0:
		set_text(out,
			"\x0d\x00\x00\x00"
			"AuthcAMDenti");
		break;
	case 1: leaf_1(cpu, out); break;
	/* The LAPIC's timer runs at all times (ARAT): with the TSC's deadline Linux then needs no PIT,
	 * and does not insist at its start that all of the PIT's ticks come. */
	case 6: out[0] = 1 << 2; break;
	/* IA32_TSC_ADJUST: with an invariant TSC it is what Linux trusts the TSC for, instead of
	 * comparing it with ticks, some of which are lost where the host is busy. */
	case 7: out[1] = subleaf == 0 ? 1 << 1 : 0; break;
	case 0xb: leaf_0b(cpu, subleaf, out); break;
	case 0xd: leaf_0d(cpu, subleaf, out); break;
	case 0x40000000:
		set_text(out,
			"\x00\x00\x00\x40"
			"spicebox\0\0\0");
		break;
	default: break;
	}
}

/* ---- MSRs ---- */

enum {
	MSR_TSC = 0x10,
	MSR_APIC_BASE = 0x1b,
	MSR_TSC_ADJUST = 0x3b,
	MSR_UCODE = 0x8b,
	MSR_MTRR_CAP = 0xfe,
	MSR_SYSENTER_CS = 0x174,
	MSR_SYSENTER_ESP = 0x175,
	MSR_SYSENTER_EIP = 0x176,
	MSR_MCG_CAP = 0x179,
	MSR_MCG_STATUS = 0x17a,
	MSR_MISC_ENABLE = 0x1a0,
	MSR_MTRR_FIRST = 0x200,
	MSR_MTRR_LAST = 0x20f,
	MSR_MTRR_FIX64K = 0x250,
	MSR_MTRR_FIX16K = 0x258,
	MSR_MTRR_FIX4K = 0x268,
	MSR_PAT = 0x277,
	MSR_MTRR_DEFAULT = 0x2ff,
	MSR_TSC_DEADLINE = 0x6e0,
	MSR_X2APIC = 0x800,
	MSR_X2APIC_END = 0x8ff,
};
enum {
	MSR_EFER = 0xc0000080,
	MSR_STAR = 0xc0000081,
	MSR_LSTAR = 0xc0000082,
	MSR_CSTAR = 0xc0000083,
	MSR_FMASK = 0xc0000084,
	MSR_FS_BASE = 0xc0000100,
	MSR_GS_BASE = 0xc0000101,
	MSR_KERNEL_GS_BASE = 0xc0000102,
	MSR_TSC_AUX = 0xc0000103,
	/* AMD's, read by systems that see the signature; zero, and not changed by writes. */
	MSR_SYSCFG = 0xc0010010,
	MSR_HWCR = 0xc0010015,
	MSR_INT_PENDING = 0xc0010055,
};

/* MTRRs are kept and have no effect: 16 variable, 11 fixed, the default. */
static uint64_t *mtrr(struct soft_cpu *cpu, uint32_t msr)
{
	if (msr >= MSR_MTRR_FIRST && msr <= MSR_MTRR_LAST)
		return &cpu->mtrr[msr - MSR_MTRR_FIRST];
	if (msr == MSR_MTRR_FIX64K)
		return &cpu->mtrr[16];
	if (msr == MSR_MTRR_FIX16K || msr == MSR_MTRR_FIX16K + 1)
		return &cpu->mtrr[17 + msr - MSR_MTRR_FIX16K];
	if (msr >= MSR_MTRR_FIX4K && msr < MSR_MTRR_FIX4K + 8)
		return &cpu->mtrr[19 + msr - MSR_MTRR_FIX4K];
	return msr == MSR_MTRR_DEFAULT ? &cpu->mtrr[27] : NULL;
}

/* Those that are just kept. */
static uint64_t *plain(struct soft_cpu *cpu, uint32_t msr)
{
	switch (msr) {
	case MSR_SYSENTER_CS: return &cpu->sysenter_cs;
	case MSR_SYSENTER_ESP: return &cpu->sysenter_esp;
	case MSR_SYSENTER_EIP: return &cpu->sysenter_eip;
	case MSR_MCG_STATUS: return &cpu->mcg_status;
	case MSR_MISC_ENABLE: return &cpu->misc_enable;
	case MSR_STAR: return &cpu->star;
	case MSR_FMASK: return &cpu->fmask;
	case MSR_TSC_AUX: return &cpu->tsc_aux;
	case MSR_PAT: return &cpu->pat;
	default: return mtrr(cpu, msr);
	}
}

/* Those that hold a canonical address. */
static uint64_t *address(struct soft_cpu *cpu, uint32_t msr)
{
	switch (msr) {
	case MSR_LSTAR: return &cpu->lstar;
	case MSR_CSTAR: return &cpu->cstar;
	case MSR_FS_BASE: return &cpu->segs[SOFT_FS].base;
	case MSR_GS_BASE: return &cpu->segs[SOFT_GS].base;
	case MSR_KERNEL_GS_BASE: return &cpu->kernel_gs_base;
	default: return NULL;
	}
}

static bool is_apic(uint32_t msr)
{
	return msr == MSR_APIC_BASE || msr == MSR_TSC_DEADLINE ||
		(msr >= MSR_X2APIC && msr <= MSR_X2APIC_END);
}

int soft_msr_read(struct soft_cpu *cpu, uint32_t msr, uint64_t *value)
{
	const uint64_t *kept = plain(cpu, msr);

	if (!kept)
		kept = address(cpu, msr);
	if (kept) {
		*value = *kept;
		return 0;
	}
	if (is_apic(msr))
		return soft_irq_msr_read(cpu->engine->chips, cpu->index, msr, value);
	switch (msr) {
	case MSR_TSC: *value = soft_tsc(cpu); return 0;
	case MSR_TSC_ADJUST: *value = (uint64_t)cpu->tsc_offset; return 0;
	case MSR_EFER: *value = cpu->efer; return 0;
	case MSR_MTRR_CAP: *value = 8 | 1 << 8 | 1 << 10; return 0;
	case MSR_MCG_CAP:
	case MSR_UCODE:
	case MSR_SYSCFG:
	case MSR_HWCR:
	case MSR_INT_PENDING: *value = 0; return 0;
	default: return -EINVAL;
	}
}

static int write_efer(struct soft_cpu *cpu, uint64_t value)
{
	const uint64_t known = SOFT_EFER_SCE | SOFT_EFER_LME | SOFT_EFER_LMA | SOFT_EFER_NXE;

	if (value & ~known)
		return -EINVAL;
	if (((value ^ cpu->efer) & SOFT_EFER_LME) && (cpu->cr0 & SOFT_CR0_PG))
		return -EINVAL;
	value = (value & ~(uint64_t)SOFT_EFER_LMA) | (cpu->efer & SOFT_EFER_LMA);
	if ((value ^ cpu->efer) & SOFT_EFER_NXE)
		soft_tlb_flush(cpu, true);
	cpu->efer = value;
	return 0;
}

static bool pat_valid(uint64_t value)
{
	for (unsigned i = 0; i < 8; i++, value >>= 8)
		if ((value & 0xff) > 7 || (value & 0xff) == 2 || (value & 0xff) == 3)
			return false;
	return true;
}

int soft_msr_write(struct soft_cpu *cpu, uint32_t msr, uint64_t value)
{
	uint64_t *kept = address(cpu, msr);

	if (kept) {
		if (!soft_canonical(value))
			return -EINVAL;
		*kept = value;
		return 0;
	}
	kept = plain(cpu, msr);
	if (kept) {
		if (msr == MSR_PAT && !pat_valid(value))
			return -EINVAL;
		*kept = value;
		return 0;
	}
	if (is_apic(msr)) {
		int err = soft_irq_msr_write(cpu->engine->chips, cpu->index, msr, value);

		if (!err && msr == MSR_APIC_BASE)
			cpu->apic_base = value;
		return err;
	}
	switch (msr) {
	case MSR_TSC: cpu->tsc_offset += (int64_t)(value - soft_tsc(cpu)); return 0;
	case MSR_TSC_ADJUST: cpu->tsc_offset = (int64_t)value; return 0;
	case MSR_EFER: return write_efer(cpu, value);
	case MSR_UCODE:
	case MSR_SYSCFG:
	case MSR_HWCR:
	case MSR_INT_PENDING: return 0;
	default: return -EINVAL;
	}
}

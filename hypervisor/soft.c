/* SPDX-License-Identifier: MIT */
/* The software engine: its vCPUs and chips behind the boundary of engine.h. */
#include "hypervisor/soft.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/util.h"
#include "hypervisor/soft_internal.h"

/* ---- power-on ---- */

static struct soft_seg real_segment(uint16_t selector, uint64_t base, uint32_t type)
{
	return (struct soft_seg){
		.selector = selector,
		.base = base,
		.limit = 0xffff,
		.attr = SOFT_ATTR_PRESENT | SOFT_ATTR_S | type,
	};
}

/* What INIT does, and RESET, too (Intel SDM vol. 3, table 9-1). */
static void reset_core(struct soft_cpu *cpu)
{
	const uint32_t data = SOFT_ATTR_WRITABLE | SOFT_ATTR_ACCESSED;

	memset(cpu->regs, 0, sizeof(cpu->regs));
	cpu->regs[SOFT_RIP] = 0xfff0;
	cpu->regs[SOFT_RDX] = SOFT_SIGNATURE;
	cpu->cc = 0;
	cpu->eflags = 0;
	for (unsigned i = 0; i < SOFT_SEGS; i++)
		cpu->segs[i] = real_segment(0, 0, data);
	cpu->segs[SOFT_CS] = real_segment(0xf000, 0xffff0000, data | SOFT_ATTR_CODE);
	cpu->ldt = (struct soft_seg){ .limit = 0xffff, .attr = SOFT_ATTR_PRESENT | 0x200 };
	cpu->tr = (struct soft_seg){ .limit = 0xffff, .attr = SOFT_ATTR_PRESENT | 0xb00 };
	cpu->gdt = cpu->idt = (struct soft_seg){ .limit = 0xffff };
	cpu->cr0 = (cpu->cr0 & 0x60000000) | SOFT_CR0_ET;
	cpu->cr2 = cpu->cr3 = cpu->cr4 = 0;
	memset(cpu->dr, 0, sizeof(cpu->dr));
	cpu->dr[6] = 0xffff0ff0;
	cpu->dr[7] = 0x400;
	cpu->efer = 0;
	cpu->debug = 0;
	cpu->debug_hits = 0;
	cpu->halted = cpu->shadow = cpu->nmi_blocked = cpu->nmi_waits = false;
	cpu->wait_sipi = cpu->index != 0;
	cpu->op = &soft_op_none;
	soft_code_flush(cpu);
	soft_tlb_flush(cpu, true);
	soft_set_cpl(cpu, 0);
}

void soft_cpu_init_signal(struct soft_cpu *cpu)
{
	reset_core(cpu);
}

static void set_flat32(struct soft_cpu *cpu, const struct engine_start *start)
{
	for (unsigned i = 0; i < SOFT_SEGS; i++)
		cpu->segs[i] = (struct soft_seg){
			.selector = i == SOFT_CS ? 0x10 : 0x18,
			.limit = 0xffffffff,
			.attr = SOFT_ATTR_PRESENT | SOFT_ATTR_S | SOFT_ATTR_DB | SOFT_ATTR_G |
				SOFT_ATTR_WRITABLE | SOFT_ATTR_ACCESSED |
				(i == SOFT_CS ? SOFT_ATTR_CODE : 0),
		};
	cpu->tr = (struct soft_seg){ .limit = 0x67, .attr = SOFT_ATTR_PRESENT | 0xb00 };
	cpu->gdt = (struct soft_seg){ .base = start->gdt_base, .limit = start->gdt_limit };
	cpu->idt = (struct soft_seg){ 0 };
	cpu->cr0 = SOFT_CR0_PE | SOFT_CR0_ET;
	memset(cpu->regs, 0, sizeof(cpu->regs));
	cpu->regs[SOFT_RIP] = start->eip;
	cpu->regs[SOFT_RBX] = start->ebx;
	cpu->regs[SOFT_RSI] = start->esi;
	soft_update_mode(cpu);
}

void soft_cpu_reset(struct soft_cpu *cpu, const struct engine_start *start)
{
	cpu->request = 0;
	cpu->irq_waits = false;
	cpu->cr0 = 0x60000000;
	reset_core(cpu);
	memset(&cpu->fpu, 0, sizeof(cpu->fpu));
	cpu->fpu.control = 0x40;
	cpu->fpu.empty = 0; /* tags of zeros; nobody looks before FNINIT */
	memset(cpu->xmm, 0, sizeof(cpu->xmm));
	cpu->mxcsr = 0x1f80;
	cpu->xcr0 = 1;
	cpu->star = cpu->lstar = cpu->cstar = cpu->fmask = cpu->kernel_gs_base = 0;
	cpu->sysenter_cs = cpu->sysenter_esp = cpu->sysenter_eip = 0;
	cpu->pat = UINT64_C(0x0007040600070406);
	cpu->tsc_aux = cpu->mcg_status = 0;
	cpu->misc_enable = 1;
	cpu->tsc_offset = 0;
	cpu->apic_base = 0xfee00800 | (cpu->index == 0 ? 0x100 : 0);
	memset(cpu->mtrr, 0, sizeof(cpu->mtrr));
	if (cpu->index == 0 && start->flat32)
		set_flat32(cpu, start);
}

/* ---- the boundary ---- */

static enum engine_exit engine_run(struct engine *engine, unsigned index, char *reason, size_t size)
{
	struct soft_engine *soft = container_of(engine, struct soft_engine, base);

	return soft_cpu_run(soft->cpus[index], reason, size);
}

static void engine_kick(struct engine *engine, unsigned index, bool on)
{
	struct soft_engine *soft = container_of(engine, struct soft_engine, base);
	struct soft_cpu *cpu = soft->cpus[index];

	if (on)
		soft_cpu_request(cpu, SOFT_REQUEST_KICK);
	else
		__atomic_fetch_and(&cpu->request, ~(uint32_t)SOFT_REQUEST_KICK, __ATOMIC_SEQ_CST);
}

static int engine_power_on(struct engine *engine, const struct engine_start *start)
{
	struct soft_engine *soft = container_of(engine, struct soft_engine, base);
	int err = soft_irq_attach(soft->chips, engine->ports, engine->mmio);

	if (err)
		return err;
	for (unsigned i = 0; i < engine->cpus; i++)
		soft_cpu_reset(soft->cpus[i], start);
	soft_irq_reset(soft->chips);
	return 0;
}

static void cpu_destroy(struct soft_cpu *cpu)
{
	if (!cpu)
		return;
	soft_code_destroy(cpu);
	free(cpu->mmu);
	pthread_cond_destroy(&cpu->wake);
	pthread_mutex_destroy(&cpu->sleep_lock);
	free(cpu);
}

static void engine_free(struct engine *engine)
{
	struct soft_engine *soft = container_of(engine, struct soft_engine, base);

	soft_irq_destroy(soft->chips);
	for (unsigned i = 0; i < engine->cpus; i++)
		cpu_destroy(soft->cpus[i]);
	soft_tables_destroy(soft->tables);
	soft_memory_finish(soft);
	pthread_mutex_destroy(&soft->split_lock);
	engine_finish(engine);
	free(soft);
}

static const struct engine_ops engine_ops = {
	.run = engine_run,
	.kick = engine_kick,
	.reset = engine_power_on,
	.destroy = engine_free,
};

static int cpu_create(struct soft_engine *soft, unsigned index)
{
	struct soft_cpu *cpu = aligned_alloc(64, ALIGN_UP(sizeof(*cpu), (size_t)64));

	if (!cpu)
		return -ENOMEM;
	memset(cpu, 0, sizeof(*cpu));
	soft->cpus[index] = cpu;
	cpu->index = index;
	cpu->engine = soft;
	pthread_mutex_init(&cpu->sleep_lock, NULL);
	pthread_cond_init(&cpu->wake, NULL);
	cpu->mmu = calloc(1, sizeof(*cpu->mmu));
	if (!cpu->mmu)
		return -ENOMEM;
	for (unsigned user = 0; user < ARRAY_SIZE(cpu->mmu->tlbs); user++)
		for (unsigned i = 0; i < SOFT_TLB_SIZE; i++) {
			struct soft_tlb_entry *entry = &cpu->mmu->tlbs[user].entries[i];

			entry->read = entry->write = entry->exec = UINT64_MAX;
		}
	cpu->tlb = &cpu->mmu->tlbs[0];
	return soft_code_create(cpu);
}

int soft_engine_create(struct engine **out, unsigned cpus, char **error)
{
	struct soft_engine *soft;
	int err;

	*error = NULL;
	if (cpus < 1 || cpus > SOFT_MAX_CPUS) {
		if (asprintf(error, "the software CPU engine gives a VM at most %d CPUs",
			    SOFT_MAX_CPUS) < 0)
			*error = NULL;
		return -EINVAL;
	}
	soft = calloc(1, sizeof(*soft));
	if (!soft)
		return -ENOMEM;
	engine_init(&soft->base, &engine_ops, cpus);
	soft->base.memory_ops = &soft_memory_ops;
	pthread_mutex_init(&soft->split_lock, NULL);
	soft_tsc_hz();
	err = soft_memory_init(soft);
	for (unsigned i = 0; !err && i < cpus; i++)
		err = cpu_create(soft, i);
	if (!err) {
		soft->tables = soft_tables_create();
		err = soft->tables ? 0 : -ENOMEM;
	}
	if (!err)
		err = soft_irq_create(&soft->chips, &soft->base.irq, soft->cpus, cpus);
	if (err) {
		engine_free(&soft->base);
		return err;
	}
	*out = &soft->base;
	return 0;
}

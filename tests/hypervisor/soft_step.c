/* SPDX-License-Identifier: MIT */
/* One instruction at a time on the software CPU, without its run loop. */
#include "tests/hypervisor/soft_step.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "hypervisor/soft_ops.h"

enum {
	PML4 = 0x1000,
	PDPT = 0x2000,
	DIRECTORY = 0x3000,
	TABLE = 0x4000,
	TABLES_SIZE = 0x5000,
	/* Present, writable, user, accessed, dirty. */
	PAGE_BITS = 0x67,
	STEPS_MAX = 1000,
};

static int map(struct soft_step *step, struct memory_region *region, uint64_t gpa, uint64_t size)
{
	region->name = "test";
	region->gpa = gpa;
	region->size = size;
	region->host = memory_region_alloc_host(size);
	if (!region->host)
		return -ENOMEM;
	return soft_memory_ops.map(&step->engine, region);
}

static void set_entry(
	struct soft_step *step, uint64_t table, uint64_t linear, unsigned level, uint64_t to)
{
	uint64_t index = linear >> (12 + 9 * level) & 511, entry = to | PAGE_BITS;

	memcpy(step->tables.host + table + 8 * index, &entry, sizeof(entry));
}

static void make_tables(struct soft_step *step)
{
	set_entry(step, PML4, NATIVE_CODE, 3, PDPT);
	set_entry(step, PDPT, NATIVE_CODE, 2, DIRECTORY);
	set_entry(step, DIRECTORY, NATIVE_CODE, 1, TABLE);
	set_entry(step, TABLE, NATIVE_CODE, 0, NATIVE_CODE);
	for (uint64_t page = 0; page < NATIVE_DATA_SIZE; page += 0x1000)
		set_entry(step, TABLE, NATIVE_DATA + page, 0, NATIVE_DATA + page);
}

enum {
	USER_SEGMENT = SOFT_ATTR_PRESENT | 3 << SOFT_ATTR_DPL_SHIFT | SOFT_ATTR_S |
		SOFT_ATTR_ACCESSED | SOFT_ATTR_WRITABLE
};

static void set_mode(struct soft_cpu *cpu)
{
	cpu->cr0 = SOFT_CR0_PG | SOFT_CR0_WP | SOFT_CR0_NE | SOFT_CR0_ET | SOFT_CR0_MP |
		SOFT_CR0_PE;
	cpu->cr3 = PML4;
	cpu->cr4 = SOFT_CR4_PAE | SOFT_CR4_OSFXSR | SOFT_CR4_OSXMMEXCPT;
	cpu->efer = SOFT_EFER_LME | SOFT_EFER_LMA | SOFT_EFER_NXE | SOFT_EFER_SCE;
	cpu->cpl = 3;
}

static void set_code(struct soft_cpu *cpu, unsigned bits)
{
	struct soft_seg data = { .limit = UINT32_MAX,
		.attr = USER_SEGMENT | SOFT_ATTR_DB | SOFT_ATTR_G,
		.selector = 0x2b };
	struct soft_seg *code = &cpu->segs[SOFT_CS];

	if (bits == 16)
		data = (struct soft_seg){ .base = NATIVE_SEGMENT,
			.limit = 0xffff,
			.attr = USER_SEGMENT,
			.selector = 0x0f };
	cpu->segs[SOFT_DS] = cpu->segs[SOFT_ES] = cpu->segs[SOFT_SS] = data;
	*code = data;
	code->attr = (data.attr & ~(uint32_t)SOFT_ATTR_DB) | SOFT_ATTR_CODE;
	if (bits == 16)
		code->base = NATIVE_CODE;
	else
		code->attr |= bits == 32 ? SOFT_ATTR_DB : SOFT_ATTR_L;
	soft_update_mode(cpu);
}

static int make_cpu(struct soft_step *step)
{
	struct soft_cpu *cpu = aligned_alloc(64, ALIGN_UP(sizeof(*cpu), (size_t)64));

	step->engine.cpus[0] = step->cpu = cpu;
	if (!cpu)
		return -ENOMEM;
	memset(cpu, 0, sizeof(*cpu));
	cpu->engine = &step->engine;
	cpu->op = &soft_op_none;
	cpu->mmu = calloc(1, sizeof(*cpu->mmu));
	if (!cpu->mmu)
		return -ENOMEM;
	for (unsigned user = 0; user < ARRAY_SIZE(cpu->mmu->tlbs); user++)
		memset(cpu->mmu->tlbs[user].entries, 0xff, sizeof(cpu->mmu->tlbs[user].entries));
	return soft_code_create(cpu);
}

int soft_step_init(struct soft_step *step)
{
	int err;

	memset(step, 0, sizeof(*step));
	step->engine.base.cpus = 1;
	pthread_mutex_init(&step->engine.split_lock, NULL);
	step->engine.tables = soft_tables_create();
	if (!step->engine.tables)
		return -ENOMEM;
	err = soft_memory_init(&step->engine);
	if (!err)
		err = make_cpu(step);
	if (!err)
		err = map(step, &step->tables, 0, TABLES_SIZE);
	if (!err)
		err = map(step, &step->code, NATIVE_CODE, 0x1000);
	if (!err)
		err = map(step, &step->data, NATIVE_DATA, NATIVE_DATA_SIZE);
	if (err)
		return err;
	make_tables(step);
	set_mode(step->cpu);
	set_code(step->cpu, 64);
	return 0;
}

void soft_step_reset(struct soft_step *step)
{
	set_mode(step->cpu);
	set_code(step->cpu, 64);
	step->cpu->shadow = step->cpu->halted = false;
}

void soft_step_translate(struct soft_step *step, bool on)
{
	soft_code_flush(step->cpu);
	step->cpu->jit.after = on && step->cpu->translator ? 1 : 0;
	step->cpu->jit.steps = on;
}

void soft_step_finish(struct soft_step *step)
{
	struct memory_region *regions[] = { &step->tables, &step->code, &step->data };

	soft_code_destroy(step->cpu);
	for (size_t i = 0; i < ARRAY_SIZE(regions); i++) {
		soft_memory_ops.unmap(&step->engine, regions[i]);
		memory_region_free_host(regions[i]->host, regions[i]->size);
	}
	free(step->cpu->mmu);
	free(step->cpu);
	soft_memory_finish(&step->engine);
	soft_tables_destroy(step->engine.tables);
	pthread_mutex_destroy(&step->engine.split_lock);
}

/* ---- a case ---- */

static void set_fx(struct soft_cpu *cpu, const struct native_fx *fx)
{
	struct soft_fpu *fpu = &cpu->fpu;

	memset(fpu, 0, sizeof(*fpu));
	fpu->control = fx->control;
	fpu->top = fx->status >> 11 & 7;
	fpu->status = fx->status & (uint16_t) ~(7u << 11);
	fpu->empty = (uint8_t)~fx->valid;
	for (unsigned i = 0; i < 8; i++) {
		fpu->regs[(fpu->top + i) & 7].mantissa = fx->st[i].mantissa;
		fpu->regs[(fpu->top + i) & 7].exponent = fx->st[i].exponent;
	}
	cpu->mxcsr = fx->mxcsr;
	memcpy(cpu->xmm, fx->xmm, sizeof(fx->xmm));
}

static void get_fx(const struct soft_cpu *cpu, struct native_fx *fx)
{
	const struct soft_fpu *fpu = &cpu->fpu;

	memset(fx, 0, sizeof(*fx));
	fx->control = fpu->control;
	fx->status = (uint16_t)(fpu->status | fpu->top << 11);
	fx->valid = (uint8_t)~fpu->empty;
	for (unsigned i = 0; i < 8; i++) {
		fx->st[i].mantissa = fpu->regs[(fpu->top + i) & 7].mantissa;
		fx->st[i].exponent = fpu->regs[(fpu->top + i) & 7].exponent;
	}
	fx->mxcsr = cpu->mxcsr;
	memcpy(fx->xmm, cpu->xmm, sizeof(fx->xmm));
}

/* Stands for the way out behind the instruction: where the stack is then. */
static uintptr_t stack_at;

SOFT_OP(stop)
{
	stack_at = (uintptr_t)__builtin_frame_address(0);
	cpu->regs[SOFT_RIP] += op->next;
	return NULL;
}

/* Executes ops until the block is left, maybe more than once: a repeated instruction may pause. An op
 * that does not go on by a jump, where it should, has the stack grow: false. */
static bool run_ops(struct soft_cpu *cpu, const struct native_case *out)
{
	static struct soft_op nothing = { .fn = stop };
	const struct soft_op *op = &nothing;
	uintptr_t stack_before = 0;

	for (unsigned i = 0; i <= STEPS_MAX; i++) {
		struct soft_block *block;

		while (op)
			op = op->fn(cpu, op);
		if (i == 0)
			stack_before = stack_at;
		else if (!out->repeats || cpu->regs[SOFT_RIP] != out->before.rip)
			break;
		/* What is asked of the CPU keeps it from going on with what follows. */
		cpu->request = SOFT_REQUEST_STEP;
		block = soft_code_find(cpu, true);
		if (block->ops[block->count - 1].fn == soft_op_follow)
			block->ops[block->count - 1].fn = stop;
		op = block->ops;
	}
	return !SOFT_TAIL || stack_at == stack_before;
}

static bool execute(struct soft_cpu *cpu, struct native_case *out)
{
	if (_setjmp(cpu->fault)) {
		out->vector = cpu->exception;
		out->error = cpu->has_error ? cpu->error : 0;
		out->address = cpu->cr2;
		return true;
	}
	out->vector = 1;
	return run_ops(cpu, out);
}

bool soft_step_run(struct soft_step *step, struct native_case *out)
{
	struct soft_cpu *cpu = step->cpu;
	bool ok;
	uint8_t *window = step->data.host + (NATIVE_WINDOW - NATIVE_DATA);

	memcpy(step->code.host + (NATIVE_START - NATIVE_CODE), out->code, sizeof(out->code));
	soft_code_written(cpu, NATIVE_START, sizeof(out->code));
	memcpy(window, out->before.window, NATIVE_WINDOW_SIZE);
	memset(step->data.host, 0, NATIVE_EDGE);
	memset(step->data.host + NATIVE_DATA_SIZE - NATIVE_EDGE, 0, NATIVE_EDGE);
	memcpy(cpu->regs, out->before.regs, sizeof(out->before.regs));
	cpu->regs[SOFT_RIP] = out->before.rip;
	soft_set_eflags(cpu, (uint32_t)out->before.flags | SOFT_TF);
	cpu->shadow = false;
	set_code(cpu, out->bits);
	set_fx(cpu, &out->before.fx);
	ok = execute(cpu, out);
	cpu->op = &soft_op_none;
	memcpy(out->after.regs, cpu->regs, sizeof(out->after.regs));
	out->after.rip = cpu->regs[SOFT_RIP];
	out->after.flags = soft_eflags(cpu);
	get_fx(cpu, &out->after.fx);
	memcpy(out->after.window, window, NATIVE_WINDOW_SIZE);
	return ok;
}

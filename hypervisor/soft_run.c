/* SPDX-License-Identifier: MIT */
/* A software vCPU's loop: requests from outside, blocks, exceptions, sleep. */
#include <stdio.h>

#include "core/log.h"
#include "core/util.h"
#include "hypervisor/soft_ops.h"

/* ---- requests ---- */

static uint32_t load_requests(const struct soft_cpu *cpu)
{
	return __atomic_load_n(&cpu->request, __ATOMIC_SEQ_CST);
}

static void clear_requests(struct soft_cpu *cpu, uint32_t bits)
{
	__atomic_fetch_and(&cpu->request, ~bits, __ATOMIC_SEQ_CST);
}

void soft_cpu_request(struct soft_cpu *cpu, uint32_t bits)
{
	__atomic_fetch_or(&cpu->request, bits, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&cpu->sleeps, __ATOMIC_SEQ_CST))
		return;
	pthread_mutex_lock(&cpu->sleep_lock);
	pthread_cond_signal(&cpu->wake);
	pthread_mutex_unlock(&cpu->sleep_lock);
}

/* Until something is requested. */
static void sleep_until_request(struct soft_cpu *cpu)
{
	pthread_mutex_lock(&cpu->sleep_lock);
	__atomic_store_n(&cpu->sleeps, true, __ATOMIC_SEQ_CST);
	while (!load_requests(cpu))
		pthread_cond_wait(&cpu->wake, &cpu->sleep_lock);
	__atomic_store_n(&cpu->sleeps, false, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&cpu->sleep_lock);
}

/* ---- exceptions ---- */

static bool contributory(unsigned vector)
{
	return vector == SOFT_DE || (vector >= SOFT_TS && vector <= SOFT_GP);
}

/* Delivers an event, and what it raises itself (Intel SDM vol. 3, 6.15, "double fault"). False: it
 * was the third fault. */
static bool deliver(struct soft_cpu *cpu, const struct soft_event *first)
{
	/* Changed between setjmp and longjmp. */
	volatile struct {
		unsigned vector;
		bool exception;
	} now = { first->vector,
		first->kind == SOFT_EVENT_FAULT || first->kind == SOFT_EVENT_TRAP };
	struct soft_event event = *first;

	while (_setjmp(cpu->fault)) {
		unsigned second = cpu->exception;

		event = (struct soft_event){
			.vector = second,
			.kind = SOFT_EVENT_FAULT,
			.has_error = cpu->has_error,
			.error = cpu->error,
			.rip = cpu->regs[SOFT_RIP],
		};
		if (now.exception) {
			bool page = now.vector == SOFT_PAGE_FAULT;

			if (now.vector == SOFT_DOUBLE)
				return false;
			if ((contributory(now.vector) && contributory(second)) ||
				(page && (contributory(second) || second == SOFT_PAGE_FAULT))) {
				event.vector = SOFT_DOUBLE;
				event.has_error = true;
				event.error = 0;
			}
		}
		now.vector = event.vector;
		now.exception = true;
	}
	cpu->op = &soft_op_none;
	if (soft_real_mode(cpu))
		event.has_error = false;
	soft_deliver(cpu, &event);
	return true;
}

static bool deliver_exception(struct soft_cpu *cpu)
{
	struct soft_event event = {
		.vector = cpu->exception,
		.kind = SOFT_EVENT_FAULT,
		.has_error = cpu->has_error,
		.error = cpu->error,
		.rip = cpu->regs[SOFT_RIP],
	};

	return deliver(cpu, &event);
}

static bool deliver_interrupt(struct soft_cpu *cpu, unsigned vector)
{
	struct soft_event event = {
		.vector = vector,
		.kind = SOFT_EVENT_INTERRUPT,
		.rip = cpu->regs[SOFT_RIP],
	};

	cpu->halted = false;
	return deliver(cpu, &event);
}

static bool deliver_debug(struct soft_cpu *cpu, enum soft_event_kind kind)
{
	struct soft_event event = {
		.vector = SOFT_DB,
		.kind = kind,
		.rip = cpu->regs[SOFT_RIP],
	};

	return deliver(cpu, &event);
}

/* ---- between blocks ---- */

enum served { GO_ON, DELIVERED, LEAVE, SHUT_DOWN };

static void serve_memory(struct soft_cpu *cpu, uint32_t bits)
{
	if (bits & SOFT_REQUEST_STOP)
		soft_atomic_serve(cpu);
	if (bits & SOFT_REQUEST_PROTECT) {
		soft_tlb_protect_all(cpu);
		clear_requests(cpu, SOFT_REQUEST_PROTECT);
	}
	if (bits & SOFT_REQUEST_FLUSH) {
		clear_requests(cpu, SOFT_REQUEST_FLUSH);
		soft_code_flush(cpu);
		soft_tlb_flush(cpu, true);
	}
	if (bits & SOFT_REQUEST_CODE) {
		clear_requests(cpu, SOFT_REQUEST_CODE);
		soft_code_serve(cpu);
	}
}

static void serve_init(struct soft_cpu *cpu, uint32_t bits)
{
	if (bits & SOFT_REQUEST_INIT) {
		clear_requests(cpu, SOFT_REQUEST_INIT);
		soft_cpu_init_signal(cpu);
	}
	if (bits & SOFT_REQUEST_SIPI) {
		clear_requests(cpu, SOFT_REQUEST_SIPI);
		if (!cpu->wait_sipi)
			return;
		cpu->wait_sipi = false;
		soft_set_real_segment(cpu, SOFT_CS,
			(uint16_t)(__atomic_load_n(&cpu->sipi_vector, __ATOMIC_SEQ_CST) << 8));
		cpu->regs[SOFT_RIP] = 0;
	}
}

/* Interrupts, of which one is taken. */
static enum served serve_interrupts(struct soft_cpu *cpu, uint32_t bits)
{
	if (bits & SOFT_REQUEST_NMI) {
		clear_requests(cpu, SOFT_REQUEST_NMI);
		cpu->nmi_waits = true;
	}
	if (bits & SOFT_REQUEST_IRQ) {
		clear_requests(cpu, SOFT_REQUEST_IRQ);
		cpu->irq_waits = true;
	}
	if (cpu->wait_sipi || cpu->shadow)
		return GO_ON;
	if (cpu->nmi_waits && !cpu->nmi_blocked) {
		cpu->nmi_waits = false;
		cpu->nmi_blocked = true;
		return deliver_interrupt(cpu, SOFT_NMI) ? DELIVERED : SHUT_DOWN;
	}
	if (cpu->irq_waits && (cpu->eflags & SOFT_IF)) {
		int vector;

		cpu->irq_waits = false;
		vector = soft_irq_acknowledge(cpu->engine->chips, cpu->index);
		if (vector >= 0)
			return deliver_interrupt(cpu, (unsigned)vector) ? DELIVERED : SHUT_DOWN;
	}
	return GO_ON;
}

static enum served serve(struct soft_cpu *cpu)
{
	uint32_t bits = load_requests(cpu);
	enum served result;

	cpu->code->pending = NULL;
	if (bits & SOFT_REQUEST_KICK)
		return LEAVE;
	clear_requests(cpu, SOFT_REQUEST_STEP);
	serve_memory(cpu, bits);
	serve_init(cpu, bits);
	result = serve_interrupts(cpu, bits);
	if (result == GO_ON && (cpu->halted || cpu->wait_sipi) && !load_requests(cpu)) {
		if (cpu->limit)
			return LEAVE;
		__atomic_store_n(&cpu->in_guest, false, __ATOMIC_SEQ_CST);
		sleep_until_request(cpu);
		__atomic_store_n(&cpu->in_guest, true, __ATOMIC_SEQ_CST);
	}
	return result;
}

/* ---- the loop ---- */

static void run_block(struct soft_cpu *cpu, const struct soft_block *block)
{
	const struct soft_op *op = block->ops;

	/* One call where ops go on by themselves; a turn for each op where they do not. */
	do
		op = op->fn(cpu, op);
	while (op);
}

/* One instruction: before it, a breakpoint there; after it, a trap when TF was set before or when data
 * or a port was watched. */
static enum served run_step(struct soft_cpu *cpu)
{
	bool trap = cpu->eflags & SOFT_TF;
	const struct soft_block *block;

	if (unlikely(cpu->debug & SOFT_DEBUG_TASK) && soft_debug_trap(cpu, false))
		return deliver_debug(cpu, SOFT_EVENT_TRAP) ? DELIVERED : SHUT_DOWN;
	if (unlikely(cpu->debug & SOFT_DEBUG_EXEC) && !(cpu->eflags & SOFT_RF) &&
		soft_debug_instruction(cpu))
		return deliver_debug(cpu, SOFT_EVENT_FAULT) ? DELIVERED : SHUT_DOWN;
	block = soft_code_find(cpu, true);
	cpu->shadow = cpu->shadow_debug = false;
	cpu->eflags &= ~(uint32_t)SOFT_RF;
	soft_cpu_request(cpu, SOFT_REQUEST_STEP); /* so that it goes no further */
	run_block(cpu, block);
	if (cpu->shadow_debug)
		return GO_ON;
	/* INT and its like clear TF, and there is no trap after them. */
	trap = trap && ((cpu->eflags & SOFT_TF) || block->ops[0].fn != soft_op_call_jump);
	if (!trap && !cpu->debug_hits)
		return GO_ON;
	soft_debug_trap(cpu, trap);
	return deliver_debug(cpu, SOFT_EVENT_TRAP) ? DELIVERED : SHUT_DOWN;
}

static enum served not_just_blocks(struct soft_cpu *cpu)
{
	if (load_requests(cpu) || cpu->halted || cpu->wait_sipi) {
		enum served served = serve(cpu);

		if (served != GO_ON)
			return served;
	}
	if ((cpu->shadow || cpu->debug || (cpu->eflags & SOFT_TF)) && !cpu->halted &&
		!cpu->wait_sipi)
		return run_step(cpu);
	return GO_ON;
}

/* Until something was delivered, for which the place to come back to is another one. */
static enum served run_some(struct soft_cpu *cpu)
{
	if (_setjmp(cpu->fault)) {
		cpu->code->pending = NULL;
		cpu->shadow = cpu->shadow_debug = false;
		cpu->debug_hits &= (uint16_t)~0xf;
		return deliver_exception(cpu) ? DELIVERED : SHUT_DOWN;
	}
	for (;;) {
		if (cpu->limit && !--cpu->limit)
			return LEAVE;
		if (load_requests(cpu) || cpu->halted || cpu->wait_sipi || cpu->shadow ||
			cpu->debug || (cpu->eflags & SOFT_TF)) {
			enum served served = not_just_blocks(cpu);

			if (served != GO_ON)
				return served;
		} else {
			const struct soft_block *block = soft_code_find(cpu, false);

			if (unlikely(cpu->limit))
				soft_cpu_request(cpu, SOFT_REQUEST_STEP);
			run_block(cpu, block);
		}
	}
}

enum engine_exit soft_cpu_run(struct soft_cpu *cpu, char *reason, size_t size)
{
	enum served served;

	cpu->op = &soft_op_none;
	__atomic_store_n(&cpu->in_guest, true, __ATOMIC_SEQ_CST);
	do
		served = cpu->limit == 1 ? LEAVE : run_some(cpu);
	while (served == DELIVERED);
	__atomic_store_n(&cpu->in_guest, false, __ATOMIC_SEQ_CST);
	return served == LEAVE ? ENGINE_EXIT_KICKED : ENGINE_EXIT_RESET;
}

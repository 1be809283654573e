/* SPDX-License-Identifier: MIT */
/* The child that executes instructions natively. A signal ends each case, and its handler begins the
 * next one: it changes the interrupted context, and sigreturn loads all registers at once. */
#include "tests/hypervisor/native_cpu.h"

#include <asm/ldt.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "core/util.h"

enum {
	USER_CS32 = 0x23,
	USER_CS64 = 0x33,
	USER_DATA = 0x2b,
	LDT_CODE = 0x07, /* entry 0 of the LDT, */
	LDT_DATA = 0x0f, /* and 1 */
};
enum { TRAP_FLAG = 0x100, XSTATE_X87 = 1, XSTATE_SSE = 2, XSTATE_HEADER = 512, STACK_SIZE = 65536 };

struct shared {
	unsigned count;
	unsigned at;
	struct native_case cases[NATIVE_BATCH];
};

struct native_cpu {
	struct shared *shared;
	pid_t child;
	int to_child;
	int from_child;
};

/* ---- in the child ---- */

/* A signal handler has no argument of ours. */
static struct {
	struct shared *shared;
	int in;
	int out;
	bool running;
	unsigned steps;
} child;

static const int reg_names[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI,
	REG_RDI, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };

static uint64_t *xstate_bits(ucontext_t *context)
{
	return (uint64_t *)((uint8_t *)context->uc_mcontext.fpregs + XSTATE_HEADER);
}

static void get_fx(ucontext_t *context, struct native_fx *fx)
{
	uint64_t bits = *xstate_bits(context);

	memcpy(fx, context->uc_mcontext.fpregs, sizeof(*fx));
	if (!(bits & XSTATE_X87)) {
		fx->control = 0x37f;
		fx->status = 0;
		fx->valid = 0;
		memset(fx->st, 0, sizeof(fx->st));
	}
	if (!(bits & XSTATE_SSE))
		memset(fx->xmm, 0, sizeof(fx->xmm));
}

static void finish_case(struct native_case *at, ucontext_t *context)
{
	const greg_t *regs = context->uc_mcontext.gregs;

	for (unsigned i = 0; i < 16; i++)
		at->after.regs[i] = (uint64_t)regs[reg_names[i]];
	at->after.rip = (uint64_t)regs[REG_RIP];
	at->after.flags = (uint64_t)regs[REG_EFL];
	at->vector = (int)regs[REG_TRAPNO];
	at->error = (uint32_t)regs[REG_ERR];
	at->address = (uint64_t)regs[REG_CR2];
	get_fx(context, &at->after.fx);
	memcpy(at->after.window, (const void *)(uintptr_t)NATIVE_WINDOW, NATIVE_WINDOW_SIZE);
}

static void set_segments(unsigned bits, ucontext_t *context)
{
	uint64_t cs = bits == 64 ? USER_CS64 : bits == 32 ? USER_CS32 : LDT_CODE;
	uint64_t data = bits == 16 ? LDT_DATA : USER_DATA;
	greg_t *regs = context->uc_mcontext.gregs;

	/* CS in the lowest 16 bits, SS in the highest; DS and ES are as they are now. */
	regs[REG_CSGSFS] =
		(greg_t)(((uint64_t)regs[REG_CSGSFS] & UINT64_C(0xffffffff0000)) | cs | data << 48);
	__asm__ volatile("mov %0, %%ds\n\tmov %0, %%es" : : "r"((uint32_t)data));
}

static void begin_case(const struct native_case *at, ucontext_t *context)
{
	greg_t *regs = context->uc_mcontext.gregs;
	struct native_fx *fx = (struct native_fx *)context->uc_mcontext.fpregs;

	for (unsigned i = 0; i < 16; i++)
		regs[reg_names[i]] = (greg_t)at->before.regs[i];
	regs[REG_RIP] = (greg_t)at->before.rip;
	regs[REG_EFL] = (greg_t)(at->before.flags | TRAP_FLAG);
	set_segments(at->bits, context);
	memcpy(fx, &at->before.fx, offsetof(struct native_fx, rest));
	fx->mxcsr_mask = 0xffff;
	*xstate_bits(context) |= XSTATE_X87 | XSTATE_SSE;
	memcpy((void *)(uintptr_t)NATIVE_WINDOW, at->before.window, NATIVE_WINDOW_SIZE);
	memset((void *)(uintptr_t)NATIVE_DATA, 0, NATIVE_EDGE);
	memset((void *)(uintptr_t)(NATIVE_DATA + NATIVE_DATA_SIZE - NATIVE_EDGE), 0, NATIVE_EDGE);
	memcpy((void *)(uintptr_t)NATIVE_START, at->code, sizeof(at->code));
	child.running = true;
	child.steps = 0;
}

/* Waits for the parent's next batch. */
static void next_batch(void)
{
	char byte = 0;

	if (write(child.out, &byte, 1) != 1 || read(child.in, &byte, 1) != 1)
		_exit(0);
}

static void on_signal(int number, siginfo_t *info, void *opaque)
{
	ucontext_t *context = opaque;
	struct shared *shared = child.shared;
	const greg_t *regs = context->uc_mcontext.gregs;

	if (child.running) {
		struct native_case *at = &shared->cases[shared->at];

		if (at->repeats && regs[REG_TRAPNO] == 1 &&
			regs[REG_RIP] == (greg_t)at->before.rip && ++child.steps < NATIVE_STEPS_MAX)
			return;
		finish_case(at, context);
		child.running = false;
		shared->at++;
	}
	while (shared->at == shared->count)
		next_batch();
	begin_case(&shared->cases[shared->at], context);
}

static void *map_at(uintptr_t address, size_t size, int protection)
{
	return mmap((void *)address, size, protection,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

static void make_segments(void)
{
	struct user_desc code = {
		.entry_number = 0,
		.base_addr = NATIVE_CODE,
		.limit = 0xffff,
		.contents = MODIFY_LDT_CONTENTS_CODE,
		.useable = 1,
	};
	struct user_desc data = {
		.entry_number = 1, .base_addr = NATIVE_SEGMENT, .limit = 0xffff, .useable = 1
	};

	if (syscall(SYS_modify_ldt, 1, &code, sizeof(code)) != 0 ||
		syscall(SYS_modify_ldt, 1, &data, sizeof(data)) != 0)
		_exit(1);
}

static _Noreturn void run_child(void)
{
	static const int signals[] = { SIGTRAP, SIGSEGV, SIGILL, SIGFPE, SIGBUS };
	stack_t stack = { .ss_size = STACK_SIZE };
	struct sigaction action = { .sa_sigaction = on_signal,
		.sa_flags = SA_SIGINFO | SA_ONSTACK };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (map_at(NATIVE_CODE, 0x1000, PROT_READ | PROT_WRITE | PROT_EXEC) == MAP_FAILED ||
		map_at(NATIVE_DATA, NATIVE_DATA_SIZE, PROT_READ | PROT_WRITE) == MAP_FAILED)
		_exit(1);
	stack.ss_sp =
		mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sigaltstack(&stack, NULL);
	sigfillset(&action.sa_mask);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &action, NULL);
	make_segments();
	raise(SIGTRAP);
	_exit(1);
}

/* ---- in the parent ---- */

int native_cpu_create(struct native_cpu **out)
{
	struct native_cpu *native = calloc(1, sizeof(*native));
	int to[2], from[2];
	char byte;

	if (!native || pipe(to) < 0 || pipe(from) < 0)
		return -ENOMEM;
	native->shared = mmap(NULL, sizeof(*native->shared), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (native->shared == MAP_FAILED)
		return -ENOMEM;
	native->child = fork();
	if (native->child == 0) {
		child.shared = native->shared;
		child.in = to[0];
		child.out = from[1];
		close(to[1]);
		close(from[0]);
		run_child();
	}
	close(to[0]);
	close(from[1]);
	native->to_child = to[1];
	native->from_child = from[0];
	*out = native;
	return native->child > 0 && read(native->from_child, &byte, 1) == 1 ? 0 : -EIO;
}

void native_cpu_destroy(struct native_cpu *native)
{
	close(native->to_child);
	close(native->from_child);
	waitpid(native->child, NULL, 0);
	munmap(native->shared, sizeof(*native->shared));
	free(native);
}

struct native_case *native_cpu_cases(struct native_cpu *native)
{
	return native->shared->cases;
}

bool native_cpu_run(struct native_cpu *native, unsigned count, unsigned *at)
{
	char byte = 0;
	bool lives;

	native->shared->at = 0;
	native->shared->count = count;
	lives = write(native->to_child, &byte, 1) == 1 && read(native->from_child, &byte, 1) == 1;
	*at = native->shared->at;
	return lives;
}

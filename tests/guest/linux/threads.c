/* SPDX-License-Identifier: MIT */
/*
 * What threads of one process may rely on: x86's memory order, atomic instructions, futexes, code
 * that another thread changes, and translations that another thread takes away. Runs on any number
 * of CPUs; each case lasts some milliseconds and tells on one line
 *
 *     THREADS name runs allowed-but-rare wrong
 *
 * where nothing may be wrong; the last line is THREADS-END and how many cases were wrong.
 *
 * threads [MS]: how long each case lasts (150).
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))
#define LINE     64
#define PAGE     4096

static unsigned case_ms = 150, cpus, wrong_cases;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void report(const char *name, uint64_t runs, uint64_t rare, uint64_t wrong)
{
	printf("THREADS %s %llu %llu %llu\n", name, (unsigned long long)runs,
		(unsigned long long)rare, (unsigned long long)wrong);
	wrong_cases += wrong != 0;
}

/* Lets the others go on when there are not CPUs enough for all to spin. */
static void relax(unsigned *turns)
{
	if (cpus == 1 || ++*turns % 256 == 0)
		sched_yield();
	else
		__builtin_ia32_pause();
}

/* ---- threads that meet ---- */

enum { MOST = 4 };

struct meeting {
	unsigned count, arrived, round;
};

static void meet(struct meeting *m)
{
	unsigned round = __atomic_load_n(&m->round, __ATOMIC_ACQUIRE), turns = 0;

	if (__atomic_add_fetch(&m->arrived, 1, __ATOMIC_ACQ_REL) == m->count) {
		__atomic_store_n(&m->arrived, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&m->round, round + 1, __ATOMIC_RELEASE);
		return;
	}
	while (__atomic_load_n(&m->round, __ATOMIC_ACQUIRE) == round)
		relax(&turns);
}

static void start_threads(unsigned count, void *(*run)(void *), void *opaque[])
{
	pthread_t threads[MOST];

	for (unsigned i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, run, opaque[i]))
			exit(1);
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
}

/* ---- litmus shapes (Intel SDM vol. 3, 8.2.3) ---- */

/* Each variable on a line of its own. */
struct cell {
	volatile uint32_t x __attribute__((aligned(LINE)));
	volatile uint32_t y __attribute__((aligned(LINE)));
	uint32_t r[MOST] __attribute__((aligned(LINE)));
};

enum { CELLS = 512 };
static struct cell cells[CELLS];

typedef void body_fn(struct cell *c);

#define STORE(variable, value) \
	__asm__ volatile("movl %1, %0" : "=m"(c->variable) : "i"(value) : "memory")
#define LOAD(n, variable) \
	__asm__ volatile("movl %1, %0" : "=r"(c->r[n]) : "m"(c->variable) : "memory")
#define XCHG(variable, value)                                                                 \
	do {                                                                                  \
		uint32_t old = value;                                                         \
		__asm__ volatile("xchgl %1, %0" : "+m"(c->variable), "+r"(old) : : "memory"); \
	} while (0)
#define MFENCE  __asm__ volatile("mfence" : : : "memory")
#define LOCKADD __asm__ volatile("lock addl $0, (%%rsp)" : : : "memory", "cc")
#define BODY(name, ...)                           \
	static NOINLINE void name(struct cell *c) \
	{                                         \
		__VA_ARGS__;                      \
	}

BODY(sb_0, STORE(x, 1); LOAD(0, y))
BODY(sb_1, STORE(y, 1); LOAD(1, x))
BODY(sb_mfence_0, STORE(x, 1); MFENCE; LOAD(0, y))
BODY(sb_mfence_1, STORE(y, 1); MFENCE; LOAD(1, x))
BODY(sb_lock_0, STORE(x, 1); LOCKADD; LOAD(0, y))
BODY(sb_lock_1, STORE(y, 1); LOCKADD; LOAD(1, x))
BODY(sb_xchg_0, XCHG(x, 1); LOAD(0, y))
BODY(sb_xchg_1, XCHG(y, 1); LOAD(1, x))
BODY(mp_0, STORE(x, 1); STORE(y, 1))
BODY(mp_1, LOAD(0, y); LOAD(1, x))
BODY(lb_0, LOAD(0, x); STORE(y, 1))
BODY(lb_1, LOAD(1, y); STORE(x, 1))
BODY(ww_0, STORE(x, 1); STORE(y, 2))
BODY(ww_1, STORE(y, 1); STORE(x, 2))
BODY(r_0, STORE(x, 1); STORE(y, 1))
BODY(r_1, STORE(y, 2); LOAD(0, x))
BODY(r_mfence_0, STORE(x, 1); MFENCE; STORE(y, 1))
BODY(r_mfence_1, STORE(y, 2); MFENCE; LOAD(0, x))
BODY(s_0, STORE(x, 2); STORE(y, 1))
BODY(s_1, LOAD(0, y); STORE(x, 1))
BODY(rr_0, STORE(x, 1))
BODY(rr_1, LOAD(0, x); LOAD(1, x))
BODY(own_0, STORE(x, 1); LOAD(0, x); LOAD(1, y))
BODY(own_1, STORE(y, 1); LOAD(2, y); LOAD(3, x))
BODY(iriw_0, STORE(x, 1))
BODY(iriw_1, STORE(y, 1))
BODY(iriw_2, LOAD(0, x); LOAD(1, y))
BODY(iriw_3, LOAD(2, y); LOAD(3, x))
BODY(iriw_lock_0, XCHG(x, 1))
BODY(iriw_lock_1, XCHG(y, 1))
BODY(wrc_1, LOAD(0, x); STORE(y, 1))
BODY(wrc_2, LOAD(1, y); LOAD(2, x))

enum judgement { COMMON, RARE, WRONG };

static enum judgement sb(const struct cell *c)
{
	return c->r[0] == 0 && c->r[1] == 0 ? RARE : COMMON;
}
static enum judgement sb_fenced(const struct cell *c)
{
	return c->r[0] == 0 && c->r[1] == 0 ? WRONG : COMMON;
}
static enum judgement mp(const struct cell *c)
{
	return c->r[0] == 1 && c->r[1] == 0 ? WRONG : COMMON;
}
static enum judgement lb(const struct cell *c)
{
	return c->r[0] == 1 && c->r[1] == 1 ? WRONG : COMMON;
}
static enum judgement ww(const struct cell *c)
{
	return c->x == 1 && c->y == 1 ? WRONG : COMMON;
}
static enum judgement r_plain(const struct cell *c)
{
	return c->y == 2 && c->r[0] == 0 ? RARE : COMMON;
}
static enum judgement r_fenced(const struct cell *c)
{
	return c->y == 2 && c->r[0] == 0 ? WRONG : COMMON;
}
static enum judgement s_shape(const struct cell *c)
{
	return c->r[0] == 1 && c->x == 2 ? WRONG : COMMON;
}
static enum judgement own(const struct cell *c)
{
	if (c->r[0] != 1 || c->r[2] != 1)
		return WRONG;
	return c->r[1] == 0 && c->r[3] == 0 ? RARE : COMMON;
}
static enum judgement iriw(const struct cell *c)
{
	return c->r[0] == 1 && c->r[1] == 0 && c->r[2] == 1 && c->r[3] == 0 ? WRONG : COMMON;
}
static enum judgement wrc(const struct cell *c)
{
	return c->r[0] == 1 && c->r[1] == 1 && c->r[2] == 0 ? WRONG : COMMON;
}

static const struct shape {
	const char *name;
	unsigned threads;
	body_fn *bodies[MOST];
	enum judgement (*judge)(const struct cell *c);
} shapes[] = {
	{ "SB", 2, { sb_0, sb_1 }, sb },
	{ "SB+mfence", 2, { sb_mfence_0, sb_mfence_1 }, sb_fenced },
	{ "SB+lock", 2, { sb_lock_0, sb_lock_1 }, sb_fenced },
	{ "SB+xchg", 2, { sb_xchg_0, sb_xchg_1 }, sb_fenced },
	{ "MP", 2, { mp_0, mp_1 }, mp },
	{ "LB", 2, { lb_0, lb_1 }, lb },
	{ "2+2W", 2, { ww_0, ww_1 }, ww },
	{ "R", 2, { r_0, r_1 }, r_plain },
	{ "R+mfence", 2, { r_mfence_0, r_mfence_1 }, r_fenced },
	{ "S", 2, { s_0, s_1 }, s_shape },
	{ "CoRR", 2, { rr_0, rr_1 }, mp },
	{ "SB+own", 2, { own_0, own_1 }, own },
	{ "WRC", 3, { rr_0, wrc_1, wrc_2 }, wrc },
	{ "IRIW", 4, { iriw_0, iriw_1, iriw_2, iriw_3 }, iriw },
	{ "IRIW+xchg", 4, { iriw_lock_0, iriw_lock_1, iriw_2, iriw_3 }, iriw },
};

struct litmus {
	const struct shape *shape;
	struct meeting meeting;
	uint64_t end, runs, rare, wrong;
	bool over;
};

struct litmus_thread {
	struct litmus *litmus;
	unsigned number;
};

static void litmus_count(struct litmus *l)
{
	for (unsigned i = 0; i < CELLS; i++) {
		enum judgement judgement = l->shape->judge(&cells[i]);

		l->rare += judgement == RARE;
		l->wrong += judgement == WRONG;
	}
	l->runs += CELLS;
	memset(cells, 0, sizeof(cells));
	l->over = now_ns() > l->end;
}

static void *litmus_run(void *opaque)
{
	const struct litmus_thread *self = opaque;
	struct litmus *l = self->litmus;
	body_fn *body = l->shape->bodies[self->number];

	do {
		meet(&l->meeting);
		for (unsigned i = 0; i < CELLS; i++)
			body(&cells[i]);
		meet(&l->meeting);
		if (self->number == 0)
			litmus_count(l);
		meet(&l->meeting);
	} while (!l->over);
	return NULL;
}

static void litmus(const struct shape *shape)
{
	struct litmus l = { .shape = shape, .meeting.count = shape->threads };
	struct litmus_thread threads[MOST];
	void *opaque[MOST];

	memset(cells, 0, sizeof(cells));
	for (unsigned i = 0; i < MOST; i++) {
		threads[i] = (struct litmus_thread){ &l, i };
		opaque[i] = &threads[i];
	}
	l.end = now_ns() + (uint64_t)case_ms * 1000000;
	start_threads(shape->threads, litmus_run, opaque);
	report(shape->name, l.runs, l.rare, l.wrong);
}

/* ---- atomic instructions ---- */

/* What all threads change: `at` is where the case wants it. */
struct shared {
	uint8_t *at;
	void (*add)(struct shared *s); /* once */
	uint64_t lock, plain, wrong, end;
	struct meeting meeting;
	uint64_t done[MOST];
};

static void add_xadd64(struct shared *s)
{
	uint64_t one = 1;

	__asm__ volatile("lock xaddq %0, %1" : "+r"(one), "+m"(*(uint64_t *)s->at) : : "memory");
}
static void add_inc32(struct shared *s)
{
	__asm__ volatile("lock incl %0" : "+m"(*(uint32_t *)s->at) : : "memory");
}
static void add_add16(struct shared *s)
{
	__asm__ volatile("lock addw $1, %0" : "+m"(*(uint16_t *)s->at) : : "memory");
}
static void add_sub8(struct shared *s)
{
	__asm__ volatile("lock subb $-1, %0" : "+m"(*s->at) : : "memory");
}
/* By turns to a number across two pages, and to its half in the second page alone. */
static void add_mixed(struct shared *s)
{
	static _Thread_local unsigned turn;

	if (++turn % 2) {
		uint64_t upper = UINT64_C(1) << 32;

		__asm__ volatile("lock xaddq %0, %1"
				 : "+r"(upper), "+m"(*(uint64_t *)s->at)
				 :
				 : "memory");
	} else {
		__asm__ volatile("lock incl %0" : "+m"(*(uint32_t *)(s->at + 4)) : : "memory");
	}
}
static void add_cmpxchg(struct shared *s)
{
	uint64_t old = *(volatile uint64_t *)s->at;
	bool done;

	do
		__asm__ volatile("lock cmpxchgq %3, %1"
				 : "=@ccz"(done), "+m"(*(uint64_t *)s->at), "+a"(old)
				 : "r"(old + 1)
				 : "memory");
	while (!done);
}
/* The upper half is always the complement of the lower one. */
static void add_cmpxchg16b(struct shared *s)
{
	uint64_t low = ((volatile uint64_t *)s->at)[0], high = ~low;
	bool done;

	do {
		__asm__ volatile(
			"lock cmpxchg16b %1"
			: "=@ccz"(done), "+m"(*(unsigned __int128 *)s->at), "+a"(low), "+d"(high)
			: "b"(low + 1), "c"(~(low + 1))
			: "memory");
		if (high != ~low)
			__atomic_store_n(&s->wrong, 1, __ATOMIC_RELAXED);
	} while (!done);
}
static void add_under_xchg(struct shared *s)
{
	uint64_t taken = 1;
	unsigned turns = 0;

	for (;;) {
		__asm__ volatile("xchgq %0, %1" : "+r"(taken), "+m"(s->lock) : : "memory");
		if (!taken)
			break;
		relax(&turns);
	}
	++*(volatile uint64_t *)s->at;
	__asm__ volatile("movq $0, %0" : "=m"(s->lock) : : "memory");
}
static void add_under_bts(struct shared *s)
{
	unsigned turns = 0;
	bool taken;

	for (;;) {
		__asm__ volatile("lock btsq $17, %1" : "=@ccc"(taken), "+m"(s->lock) : : "memory");
		if (!taken)
			break;
		relax(&turns);
	}
	++*(volatile uint64_t *)s->at;
	__asm__ volatile("lock btrq $17, %0" : "+m"(s->lock) : : "memory", "cc");
}

struct worker {
	struct shared *shared;
	unsigned number;
};

static void *add_run(void *opaque)
{
	const struct worker *self = opaque;
	struct shared *s = self->shared;

	meet(&s->meeting);
	do {
		for (unsigned i = 0; i < 200; i++)
			s->add(s);
		s->done[self->number] += 200;
	} while (now_ns() < s->end);
	return NULL;
}

static void run_workers(struct shared *s, void *(*run)(void *), unsigned count)
{
	struct worker workers[MOST];
	void *opaque[MOST];

	for (unsigned i = 0; i < MOST; i++) {
		workers[i] = (struct worker){ s, i };
		opaque[i] = &workers[i];
	}
	s->meeting.count = count;
	s->end = now_ns() + (uint64_t)case_ms * 1000000;
	start_threads(count, run, opaque);
}

static void counter(
	const char *name, void (*add)(struct shared *s), unsigned bytes, unsigned offset)
{
	static uint8_t memory[2 * PAGE] __attribute__((aligned(PAGE)));
	struct shared s = { .at = memory + offset, .add = add };
	uint64_t sum = 0, found = 0, mask = bytes < 8 ? (UINT64_C(1) << 8 * bytes) - 1 : UINT64_MAX;

	memset(memory, 0, sizeof(memory));
	if (add == add_cmpxchg16b)
		memset(s.at + 8, 0xff, 8);
	run_workers(&s, add_run, MOST);
	for (unsigned i = 0; i < MOST; i++)
		sum += s.done[i];
	memcpy(&found, add == add_mixed ? s.at + 4 : s.at, bytes);
	report(name, sum, 0, (found != (sum & mask)) + s.wrong);
}

/* One thread stores all zeros or all ones to an aligned word; the others see nothing else. */
static void *tear_run(void *opaque)
{
	const struct worker *self = opaque;
	struct shared *s = self->shared;
	volatile uint64_t *word = (volatile uint64_t *)s->at;

	meet(&s->meeting);
	do {
		for (unsigned i = 0; i < 1000; i++) {
			uint64_t value;

			if (self->number == 0) {
				*word = i & 1 ? UINT64_MAX : 0;
				continue;
			}
			value = *word;
			if (value != 0 && value != UINT64_MAX)
				__atomic_store_n(&s->wrong, 1, __ATOMIC_RELAXED);
		}
		s->done[self->number] += 1000;
	} while (now_ns() < s->end);
	return NULL;
}

static void tear(void)
{
	static uint64_t word;
	struct shared s = { .at = (uint8_t *)&word };

	run_workers(&s, tear_run, 2);
	report("aligned-store", s.done[0] + s.done[1], 0, s.wrong);
}

/* ---- futexes ---- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;

static void add_under_mutex(struct shared *s)
{
	pthread_mutex_lock(&mutex);
	++*(volatile uint64_t *)s->at;
	pthread_mutex_unlock(&mutex);
}

/* Two threads, each waiting for the other's turn. */
static void *ping_condition(void *opaque)
{
	const struct worker *self = opaque;
	struct shared *s = self->shared;

	pthread_mutex_lock(&mutex);
	while (s->wrong == 0) {
		while ((s->plain & 1) != self->number && s->wrong == 0)
			pthread_cond_wait(&cond, &mutex);
		if (now_ns() > s->end)
			s->wrong = 1;
		s->plain++;
		s->done[self->number]++;
		pthread_cond_signal(&cond);
	}
	pthread_mutex_unlock(&mutex);
	return NULL;
}

static void futex(uint32_t *at, int operation, uint32_t value)
{
	struct timespec second = { .tv_sec = 1 };

	syscall(SYS_futex, at, operation, value, &second, NULL, 0);
}

static void *ping_futex(void *opaque)
{
	const struct worker *self = opaque;
	struct shared *s = self->shared;
	uint32_t *turn = (uint32_t *)s->at;

	for (;;) {
		uint32_t now = __atomic_load_n(turn, __ATOMIC_SEQ_CST);

		if (now & 0x80000000)
			break;
		if ((now & 1) != self->number) {
			futex(turn, FUTEX_WAIT_PRIVATE, now);
			continue;
		}
		s->done[self->number]++;
		now = now_ns() > s->end ? 0x80000000 : (now + 1) & 0x7fffffff;
		__atomic_store_n(turn, now, __ATOMIC_SEQ_CST);
		futex(turn, FUTEX_WAKE_PRIVATE, 1);
	}
	return NULL;
}

static void ping(const char *name, void *(*run)(void *))
{
	uint64_t turn = 0;
	struct shared s = { .at = (uint8_t *)&turn };
	int64_t difference;

	run_workers(&s, run, 2);
	difference = (int64_t)(s.done[0] - s.done[1]);
	report(name, s.done[0] + s.done[1], 0, difference < -1 || difference > 1);
}

/* ---- code and translations that another thread changes ---- */

static void serialize(void)
{
	uint32_t a = 0, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d) : : "memory");
}

/* Thread 0 changes what a function returns (MOV EAX, imm32 with the immediate aligned) and says so
 * afterwards; the others call it. Values never go back, and one that was told of is there. */
static void *code_run(void *opaque)
{
	const struct worker *self = opaque;
	struct shared *s = self->shared;
	uint32_t (*function)(void) = (uint32_t(*)(void))(uintptr_t)(s->at + 3);
	uint32_t last = 0;

	meet(&s->meeting);
	do {
		for (unsigned i = 0; i < 50; i++) {
			uint32_t told = (uint32_t)__atomic_load_n(&s->plain, __ATOMIC_ACQUIRE), got;

			if (self->number == 0) {
				__atomic_store_n(
					(uint32_t *)(s->at + 4), told + 1, __ATOMIC_RELEASE);
				__atomic_store_n(&s->plain, told + 1, __ATOMIC_RELEASE);
				continue;
			}
			serialize();
			got = function();
			if (got < told || got < last)
				__atomic_store_n(&s->wrong, 1, __ATOMIC_RELAXED);
			last = got;
		}
		s->done[self->number] += 50;
	} while (now_ns() < s->end);
	return NULL;
}

static uint8_t *map(uint8_t *where, int protection)
{
	uint8_t *at = mmap(where, PAGE, protection,
		MAP_PRIVATE | MAP_ANONYMOUS | (where ? MAP_FIXED : 0), -1, 0);

	if (at == MAP_FAILED)
		exit(1);
	return at;
}

static uint64_t total(const struct shared *s)
{
	return s->done[0] + s->done[1] + s->done[2] + s->done[3];
}

static void cross_code(void)
{
	static const uint8_t bytes[] = { 0x90, 0x90, 0x90, 0xb8, 0, 0, 0, 0, 0xc3 };
	struct shared s = { .at = map(NULL, PROT_READ | PROT_WRITE | PROT_EXEC) };

	memcpy(s.at, bytes, sizeof(bytes));
	run_workers(&s, code_run, 3);
	report("cross-modified-code", total(&s), 0, s.wrong);
	munmap(s.at, PAGE);
}

static struct shared *protected_page;

/* A store to the page while it may not be: waits until it may. */
static void on_fault(int number)
{
	unsigned turns = 0;

	(void)number;
	while (!__atomic_load_n(&protected_page->lock, __ATOMIC_SEQ_CST))
		relax(&turns);
}

/* Thread 0 takes the right to write away; then nobody's store may arrive. */
static void *protect_run(void *opaque)
{
	const struct worker *self = opaque;
	struct shared *s = self->shared;
	volatile uint64_t *word = (volatile uint64_t *)s->at + self->number;

	meet(&s->meeting);
	while (!__atomic_load_n(&s->plain, __ATOMIC_RELAXED)) {
		uint64_t before[MOST];

		if (self->number != 0) {
			++*word;
			continue;
		}
		__atomic_store_n(&s->lock, 0, __ATOMIC_SEQ_CST);
		mprotect(s->at, PAGE, PROT_READ);
		memcpy(before, s->at, sizeof(before));
		for (unsigned i = 0, turns = 0; i < 300; i++)
			relax(&turns);
		s->wrong += memcmp(before, s->at, sizeof(before)) != 0;
		__atomic_store_n(&s->lock, 1, __ATOMIC_SEQ_CST);
		mprotect(s->at, PAGE, PROT_READ | PROT_WRITE);
		s->done[0]++;
		__atomic_store_n(&s->plain, now_ns() > s->end, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void protect(void)
{
	struct shared s = { .at = map(NULL, PROT_READ | PROT_WRITE), .lock = 1 };
	struct sigaction action = { .sa_handler = on_fault, .sa_flags = SA_NODEFER }, old;

	protected_page = &s;
	sigaction(SIGSEGV, &action, &old);
	run_workers(&s, protect_run, 3);
	sigaction(SIGSEGV, &old, NULL);
	report("mprotect", s.done[0], 0, s.wrong);
	munmap(s.at, PAGE);
}

/* Thread 0 puts another page there and says which afterwards; nobody sees an older one. */
static void *remap_run(void *opaque)
{
	const struct worker *self = opaque;
	struct shared *s = self->shared;
	volatile uint64_t *word = (volatile uint64_t *)s->at;

	meet(&s->meeting);
	while (now_ns() < s->end) {
		uint64_t told = __atomic_load_n(&s->plain, __ATOMIC_ACQUIRE), got;

		s->done[self->number]++;
		if (self->number != 0) {
			got = *word;
			/* A page that has just come is zero still. */
			if (got < told && got != 0)
				__atomic_store_n(&s->wrong, 1, __ATOMIC_RELAXED);
			continue;
		}
		map(s->at, PROT_READ | PROT_WRITE);
		*word = told + 1;
		__atomic_store_n(&s->plain, told + 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void remap(void)
{
	struct shared s = { .at = map(NULL, PROT_READ | PROT_WRITE) };

	run_workers(&s, remap_run, 3);
	report("mmap-over", total(&s), 0, s.wrong);
	munmap(s.at, PAGE);
}

/* ---- registers and clocks ---- */

/* A thread's x87 and SSE registers are its own. */
static void *float_run(void *opaque)
{
	const struct worker *self = opaque;
	struct shared *s = self->shared;

	meet(&s->meeting);
	while (now_ns() < s->end) {
		double a = 1 + self->number, b = 0;
		long double c = 1 + self->number;

		for (unsigned i = 0; i < 20000; i++) {
			__asm__ volatile("addsd %1, %0" : "+x"(b) : "x"(a));
			__asm__ volatile("fadd %1, %0" : "+t"(c) : "u"((long double)a));
		}
		if (b != 20000 * a || c != 20001 * (long double)a)
			__atomic_store_n(&s->wrong, 1, __ATOMIC_RELAXED);
		s->done[self->number]++;
	}
	return NULL;
}

static void floats(void)
{
	struct shared s = { 0 };

	run_workers(&s, float_run, MOST);
	report("registers", total(&s), 0, s.wrong);
}

/* Whoever reads the TSC after another has told what it read does not read less. */
static void *tsc_run(void *opaque)
{
	const struct worker *self = opaque;
	struct shared *s = self->shared;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(self->number % cpus, &set);
	sched_setaffinity(0, sizeof(set), &set);
	meet(&s->meeting);
	while (now_ns() < s->end) {
		uint64_t before = __atomic_load_n(&s->plain, __ATOMIC_SEQ_CST), now;

		__asm__ volatile("lfence" : : : "memory");
		now = __builtin_ia32_rdtsc();
		if (now < before)
			__atomic_store_n(&s->wrong, 1, __ATOMIC_RELAXED);
		while (before < now &&
			!__atomic_compare_exchange_n(
				&s->plain, &before, now, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			;
		s->done[self->number]++;
	}
	return NULL;
}

static void tsc(void)
{
	struct shared s = { 0 };

	run_workers(&s, tsc_run, MOST);
	report("tsc", total(&s), 0, s.wrong);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		case_ms = (unsigned)atoi(argv[1]);
	cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("THREADS-BEGIN %u\n", cpus);
	for (unsigned i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		litmus(&shapes[i]);
	counter("xadd", add_xadd64, 8, 0);
	counter("xadd-split-line", add_xadd64, 8, LINE - 3);
	counter("xadd-split-page", add_xadd64, 8, PAGE - 5);
	counter("mixed-split-page", add_mixed, 4, PAGE - 4);
	counter("inc", add_inc32, 4, 0);
	counter("inc-split-line", add_inc32, 4, LINE - 1);
	counter("add16", add_add16, 2, 6);
	counter("sub8", add_sub8, 1, 3);
	counter("cmpxchg", add_cmpxchg, 8, 0);
	counter("cmpxchg-split-line", add_cmpxchg, 8, LINE - 4);
	counter("cmpxchg-split-page", add_cmpxchg, 8, PAGE - 4);
	counter("cmpxchg16b", add_cmpxchg16b, 8, 0);
	counter("xchg-lock", add_under_xchg, 8, 0);
	counter("bts-lock", add_under_bts, 8, 0);
	counter("mutex", add_under_mutex, 8, 0);
	tear();
	ping("condition", ping_condition);
	ping("futex", ping_futex);
	cross_code();
	protect();
	remap();
	floats();
	tsc();
	printf("THREADS-END %u\n", wrong_cases);
	return wrong_cases != 0;
}

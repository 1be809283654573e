/* SPDX-License-Identifier: MIT */
/*
 * What a guest's user space is good for: cases of fixed work, each with the time that it took by
 * CLOCK_MONOTONIC, and a number that must be the same on every CPU:
 *
 *     SPEED name microseconds checksum
 *
 * speed [SCALE]: how many times the work is done (1).
 */
#define _GNU_SOURCE
#include <emmintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

static uint32_t random_state = 1;

static uint32_t random32(void)
{
	random_state = random_state * 1664525 + 1013904223;
	return random_state ^ random_state >> 15;
}

/* Sums, shifts, multiplications, and a branch that nobody foresees. */
static uint64_t integer(void)
{
	uint64_t a = 88172645463325252, sum = 0;

	for (unsigned i = 0; i < 20000000; i++) {
		a ^= a << 13;
		a ^= a >> 7;
		a ^= a << 17;
		if (a & 64)
			sum += a * 5;
		else
			sum ^= a >> 3;
	}
	return sum;
}

static uint64_t sieve(void)
{
	enum { N = 1 << 20 };
	static uint8_t composite[N];
	uint64_t count = 0;

	for (unsigned round = 0; round < 6; round++) {
		memset(composite, 0, sizeof(composite));
		for (unsigned i = 2; i < N; i++) {
			if (composite[i])
				continue;
			count++;
			for (unsigned j = 2 * i; j < N; j += i)
				composite[j] = 1;
		}
	}
	return count;
}

enum { COPY_BYTES = 8 << 20 };

static uint8_t *copy_source, *copy_target;

static void copy_init(void)
{
	copy_source = aligned_alloc(64, COPY_BYTES);
	copy_target = aligned_alloc(64, COPY_BYTES);
	if (!copy_source || !copy_target)
		exit(1);
	for (unsigned i = 0; i < COPY_BYTES; i++)
		copy_source[i] = (uint8_t)(i * 7);
	memset(copy_target, 1, COPY_BYTES);
}

static uint64_t copied(void)
{
	uint64_t sum = (uint64_t)memcmp(copy_source, copy_target, COPY_BYTES);

	memset(copy_target, 1, COPY_BYTES);
	return sum;
}

/* As memcpy() does it on a CPU with SSE2. */
static uint64_t copy_sse(void)
{
	for (unsigned round = 0; round < 40; round++)
		for (unsigned i = 0; i < COPY_BYTES; i += 64) {
			const __m128i *from = (const __m128i *)(copy_source + i);
			__m128i *to = (__m128i *)(copy_target + i);
			__m128i a = _mm_loadu_si128(from), b = _mm_loadu_si128(from + 1);
			__m128i c = _mm_loadu_si128(from + 2), d = _mm_loadu_si128(from + 3);

			_mm_storeu_si128(to, a);
			_mm_storeu_si128(to + 1, b);
			_mm_storeu_si128(to + 2, c);
			_mm_storeu_si128(to + 3, d);
		}
	return copied();
}

static uint64_t copy_words(void)
{
	for (unsigned round = 0; round < 20; round++)
		for (unsigned i = 0; i < COPY_BYTES; i += 8) {
			uint64_t value;

			__asm__ volatile("movq (%1), %0\n\tmovq %0, (%2)"
					 : "=&r"(value)
					 : "r"(copy_source + i), "r"(copy_target + i)
					 : "memory");
		}
	return copied();
}

static uint64_t copy_rep(void)
{
	for (unsigned round = 0; round < 20; round++) {
		uint8_t *from = copy_source, *to = copy_target;
		size_t count = COPY_BYTES / 8;

		__asm__ volatile("rep movsq" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
	}
	return copied();
}

struct body {
	double x[3], v[3], mass;
};

static uint64_t doubles(void)
{
	struct body bodies[5];
	double energy = 0;

	random_state = 1;
	for (unsigned i = 0; i < 5; i++) {
		for (unsigned k = 0; k < 3; k++) {
			bodies[i].x[k] = (double)(random32() % 1000) / 10;
			bodies[i].v[k] = (double)(random32() % 1000) / 1000;
		}
		bodies[i].mass = 1 + i;
	}
	for (unsigned step = 0; step < 200000; step++) {
		for (unsigned i = 0; i < 5; i++)
			for (unsigned j = i + 1; j < 5; j++) {
				double d[3], square = 0.01, force;

				for (unsigned k = 0; k < 3; k++) {
					d[k] = bodies[i].x[k] - bodies[j].x[k];
					square += d[k] * d[k];
				}
				force = 0.001 / (square * __builtin_sqrt(square));
				for (unsigned k = 0; k < 3; k++) {
					bodies[i].v[k] -= d[k] * bodies[j].mass * force;
					bodies[j].v[k] += d[k] * bodies[i].mass * force;
				}
			}
		for (unsigned i = 0; i < 5; i++)
			for (unsigned k = 0; k < 3; k++)
				bodies[i].x[k] += 0.001 * bodies[i].v[k];
	}
	for (unsigned i = 0; i < 5; i++)
		for (unsigned k = 0; k < 3; k++)
			energy += bodies[i].mass * bodies[i].v[k] * bodies[i].v[k];
	return (uint64_t)(energy * 1e9);
}

static NOINLINE unsigned fibonacci(unsigned n)
{
	return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static uint64_t calls(void)
{
	return fibonacci(33);
}

typedef uint64_t step_fn(uint64_t);

static NOINLINE uint64_t step_a(uint64_t x)
{
	return x * 3 + 1;
}
static NOINLINE uint64_t step_b(uint64_t x)
{
	return x ^ x >> 5;
}
static NOINLINE uint64_t step_c(uint64_t x)
{
	return x + (x << 7);
}
static NOINLINE uint64_t step_d(uint64_t x)
{
	return ~x;
}

static uint64_t calls_indirect(void)
{
	static step_fn *volatile const steps[] = { step_a, step_b, step_c, step_d };
	uint64_t x = 1;

	for (unsigned i = 0; i < 10000000; i++)
		x = steps[(x >> 11 ^ i) & 3](x);
	return x;
}

/* A ring through all of the memory, in no order. */
static uint64_t chase(unsigned count, unsigned steps)
{
	uint32_t *next = malloc(count * sizeof(*next));
	uint32_t at = 0;

	if (!next)
		exit(1);
	random_state = 1;
	for (unsigned i = 0; i < count; i++)
		next[i] = i;
	for (unsigned i = count - 1; i > 0; i--) {
		unsigned other = random32() % i;
		uint32_t swap = next[i];

		next[i] = next[other];
		next[other] = swap;
	}
	for (unsigned i = 0; i < steps; i++)
		at = next[at];
	free(next);
	return at;
}

static uint64_t chase_near(void)
{
	return chase(1 << 14, 20000000);
}

static uint64_t chase_far(void)
{
	return chase(1 << 21, 3000000);
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t sort(void)
{
	enum { N = 300000 };
	static uint32_t numbers[N];

	random_state = 1;
	for (unsigned i = 0; i < N; i++)
		numbers[i] = random32();
	qsort(numbers, N, sizeof(numbers[0]), compare);
	return numbers[N / 2];
}

static uint64_t system_calls(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < 300000; i++)
		sum += (uint64_t)syscall(SYS_getppid) != 0;
	return sum;
}

static uint64_t page_faults(void)
{
	enum { BYTES = 32 << 20 };
	uint64_t sum = 0;

	for (unsigned round = 0; round < 4; round++) {
		uint8_t *at = mmap(
			NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (at == MAP_FAILED)
			exit(1);
		madvise(at, BYTES, MADV_NOHUGEPAGE);
		for (unsigned i = 0; i < BYTES; i += 4096)
			sum += ++at[i];
		munmap(at, BYTES);
	}
	return sum;
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static const struct {
	const char *name;
	uint64_t (*run)(void);
} cases[] = {
	{ "integer", integer },
	{ "sieve", sieve },
	{ "copy_sse", copy_sse },
	{ "copy_words", copy_words },
	{ "copy_rep", copy_rep },
	{ "doubles", doubles },
	{ "calls", calls },
	{ "calls_indirect", calls_indirect },
	{ "chase_near", chase_near },
	{ "chase_far", chase_far },
	{ "sort", sort },
	{ "system_calls", system_calls },
	{ "page_faults", page_faults },
};

int main(int argc, char **argv)
{
	unsigned scale = argc > 1 ? (unsigned)atoi(argv[1]) : 1;

	setvbuf(stdout, NULL, _IOLBF, 0);
	copy_init();
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t start = now_us(), sum = 0;

		for (unsigned n = 0; n < scale; n++)
			sum += cases[i].run();
		printf("SPEED %s %llu %llx\n", cases[i].name,
			(unsigned long long)(now_us() - start), (unsigned long long)sum);
	}
	printf("SPEED-END\n");
	return 0;
}

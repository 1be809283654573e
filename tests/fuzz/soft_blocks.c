/* SPDX-License-Identifier: MIT */
/*
 * Random guest code on the software CPU until so many blocks were executed, in all modes and at all
 * levels (fuzz_soft.c): bytes of chance, instructions of chance, and such that change the mode.
 *
 *     soft_blocks [--blocks N] [--seed N]
 *
 * Prints how many blocks there were. An input that does not come to an end ends the program after
 * some time, and so does whatever the sanitizers find; its number tells which it was.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
extern uint64_t fuzz_soft_blocks;

enum { HEAD = 9, SIZE_MAX_INPUT = 600, PATIENCE_S = 60 };

struct random {
	uint64_t state;
};

static uint32_t next(struct random *random)
{
	random->state = random->state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(random->state >> 32);
}

static uint32_t below(struct random *random, uint32_t limit)
{
	return (uint32_t)(((uint64_t)next(random) * limit) >> 32);
}

/* With which instructions of the system begin; 0 is followed by an opcode of the second table. */
static uint8_t system_opcode(struct random *random, bool *second)
{
	static const uint8_t first[] = { 0x8e, 0x8c, 0x9a, 0xea, 0xcb, 0xca, 0xcf, 0xcd, 0xcc, 0xf1,
		0xfa, 0xfb, 0xff, 0x9c, 0x9d, 0x07, 0x17, 0x1f, 0x6c, 0x6d, 0x6e, 0x6f, 0xe4, 0xe7,
		0xec, 0xef, 0xa4, 0xab, 0x63, 0x62, 0xc8, 0xc9, 0xd9, 0xdd };
	static const uint8_t other[] = { 0x00, 0x01, 0x02, 0x03, 0x05, 0x06, 0x07, 0x09, 0x20, 0x21,
		0x22, 0x23, 0x30, 0x31, 0x32, 0x34, 0x35, 0xa0, 0xa1, 0xa2, 0xa8, 0xa9, 0xae, 0xb2,
		0xb4, 0xb5, 0xc7, 0xb0, 0xc1, 0xab };

	*second = below(random, 2);
	return *second ? other[below(random, ARRAY_SIZE(other))]
		       : first[below(random, ARRAY_SIZE(first))];
}

/* An instruction, more or less: prefixes, an opcode, ModRM, some bytes. */
static size_t put_instruction(struct random *random, uint8_t *at, bool system)
{
	static const uint8_t prefixes[] = { 0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x48, 0x4f, 0x64, 0x2e };
	size_t n = 0, more = below(random, 5);
	bool second = below(random, 3) == 0;
	uint8_t opcode = (uint8_t)next(random);

	while (below(random, 3) == 0 && n < 4)
		at[n++] = prefixes[below(random, ARRAY_SIZE(prefixes))];
	if (system)
		opcode = system_opcode(random, &second);
	if (second) {
		at[n++] = 0x0f;
		if (!system && below(random, 5) == 0)
			at[n++] = below(random, 2) ? 0x38 : 0x3a;
	}
	at[n++] = opcode;
	at[n++] = (uint8_t)next(random);
	/* Numbers that are mostly small: selectors, ports, places nearby. */
	for (size_t i = 0; i < more; i++)
		at[n++] = below(random, 3) ? (uint8_t)below(random, 0xa0) & 0xf8
					   : (uint8_t)next(random);
	return n;
}

static size_t make_input(struct random *random, uint8_t data[SIZE_MAX_INPUT])
{
	uint32_t kind = below(random, 4);
	size_t size = HEAD + 1 + below(random, 64 << below(random, 4)), n = HEAD;

	for (size_t i = 0; i < HEAD; i++)
		data[i] = (uint8_t)next(random);
	if (kind == 0)
		while (n < size)
			data[n++] = (uint8_t)next(random);
	else
		while (n < size)
			n += put_instruction(
				random, data + n, kind == 2 || (kind == 3 && below(random, 2)));
	return n;
}

static uint64_t now_at; /* the input's number */

static void on_alarm(int number)
{
	static const char text[] = "soft_blocks: an input does not come to an end\n";

	(void)number;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(2);
	fprintf(stderr, "its number is %" PRIu64 "\n", now_at);
	_exit(1);
}

int main(int argc, char **argv)
{
	uint64_t blocks = 1000000, seed = 1, inputs = 0;
	uint8_t data[SIZE_MAX_INPUT];

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--blocks") == 0)
			blocks = strtoull(argv[i + 1], NULL, 0);
		else if (strcmp(argv[i], "--seed") == 0)
			seed = strtoull(argv[i + 1], NULL, 0);
	}
	signal(SIGALRM, on_alarm);
	while (fuzz_soft_blocks < blocks) {
		/* Each input by itself: seed and number make it. */
		struct random random = { (seed << 32) ^ inputs * UINT64_C(0x9e3779b97f4a7c15) };

		now_at = inputs++;
		if (now_at % 256 == 0)
			alarm(PATIENCE_S);
		next(&random);
		LLVMFuzzerTestOneInput(data, make_input(&random, data));
	}
	printf("%" PRIu64 " blocks of %" PRIu64 " inputs (seed %" PRIu64 ")\n", fuzz_soft_blocks,
		inputs, seed);
	return EXIT_SUCCESS;
}

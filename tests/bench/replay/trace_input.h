/* SPDX-License-Identifier: MIT */
/* The bytes of a trace file, plain or packed by zstd, and the words and numbers in them. */
#ifndef TESTS_BENCH_REPLAY_TRACE_INPUT_H
#define TESTS_BENCH_REPLAY_TRACE_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trace_input {
	int fd;
	bool mapped; /* `bytes` is the whole file */
	size_t touched; /* mapped: up to where its pages were asked for */
	struct ZSTD_DCtx_s *unpacker; /* NULL: the file is plain */
	uint8_t *packed; /* read and not unpacked yet */
	size_t packed_at, packed_size;
	uint8_t *bytes; /* read and not taken yet */
	size_t at, size;
	int error; /* sticky: -errno; what follows is zero */
};

/* "-" is the standard input. 0, -errno of open(), or -ENOMEM. */
int trace_input_open(struct trace_input *in, const char *path);
void trace_input_close(struct trace_input *in);

/* Passes over the next bytes of a mapped file, which lie at in->bytes + *at then. False: it is not
 * mapped, or has fewer. */
bool trace_input_skip(struct trace_input *in, size_t size, size_t *at);
/* Copies the next bytes; fewer are an error (-ENODATA). */
void trace_input_read(struct trace_input *in, void *out, size_t size);
/* Whether nothing but white space follows. */
bool trace_input_at_end(struct trace_input *in);
/* Whether the next word is this one. */
bool trace_input_is(struct trace_input *in, const char *word);
/* Takes white space and then this word; anything else is an error (-EINVAL). */
void trace_input_word(struct trace_input *in, const char *word);
/* White space, then a number (signed or unsigned, of 64 bits), or an error (-EINVAL). */
int64_t trace_input_number(struct trace_input *in);
/* Matches as scanf() does: white space any white space, '%' a number (signed or unsigned, of 64 bits)
 * that goes to the next int64_t *; all else itself. What does not match is an error (-EINVAL). */
void trace_input_scan(struct trace_input *in, const char *format, ...);

#endif

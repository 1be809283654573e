/* SPDX-License-Identifier: MIT */
/*
 * Reads the recordings of QXL work that libspice-server makes (SPICE_WORKER_RECORD_FILENAME): lines
 * of text, and `binary` blocks for what has no words. Each command is laid out anew in a memory of
 * our own as a guest's driver would have it, for qxl/'s parser to read. A file is not trusted: what
 * is malformed ends the reading, sizes are bounded.
 */
#ifndef TESTS_BENCH_REPLAY_TRACE_H
#define TESTS_BENCH_REPLAY_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "qxl/qxl_slots.h"

struct trace;

enum trace_kind {
	TRACE_COMMAND, /* of a ring */
	TRACE_CREATE_PRIMARY,
	TRACE_DESTROY_PRIMARY,
	TRACE_DESTROY_SURFACES, /* the primary one, too */
	TRACE_RESET_CURSOR,
	TRACE_OTHER, /* nothing to be done */
};

struct trace_record {
	enum trace_kind kind;
	uint64_t time_ns; /* of the recording machine's clock */
	uint32_t type; /* TRACE_COMMAND: QXL_CMD_* */
	bool compat; /* TRACE_COMMAND: the first drivers' layout */
	uint64_t address; /* TRACE_COMMAND: in trace_slots(); 0 for a type that has no body */
	/* TRACE_CREATE_PRIMARY */
	struct {
		uint32_t width, height;
		int32_t stride;
		uint32_t format; /* SPICE_SURFACE_FMT_* */
		uint32_t flags; /* QXL_SURF_FLAG_* */
		uint64_t memory; /* in trace_slots() */
	} primary;
};

/* Opens a trace ("-": standard input), plain or packed by zstd. -errno; -EINVAL: it is none. */
int trace_open(struct trace **out, const char *path);
void trace_close(struct trace *trace); /* NULL is ignored */
/* 1 and the next record, 0 at the end, or -errno: -EINVAL what is malformed, -ENODATA what ends
 * within a record, -E2BIG what is beyond all bounds. What a record points to lives until the next
 * call. */
int trace_next(struct trace *trace, struct trace_record *out);
/* The memory that addresses are of. */
const struct qxl_slots *trace_slots(const struct trace *trace);

#endif

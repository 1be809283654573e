/* SPDX-License-Identifier: MIT */
/* What the trace reader's files share. */
#ifndef TESTS_BENCH_REPLAY_TRACE_INTERNAL_H
#define TESTS_BENCH_REPLAY_TRACE_INTERNAL_H

#include <spice/qxl_dev.h>

#include "tests/bench/replay/trace.h"
#include "tests/bench/replay/trace_input.h"

enum {
	TRACE_SLOT_MEMORY, /* a record's memory: addresses from trace_alloc() */
	TRACE_SLOT_FILE, /* the mapped file: pictures stay where they lie */
};

#define TRACE_MEMORY_BYTES (UINT64_C(1) << 30) /* of one record; address space alone */

struct trace {
	struct trace_input in;
	struct qxl_slots slots;
	uint8_t *memory;
	uint64_t used;
};

/* Room in the record's memory: its address, or 0 (and the input's error is set) beyond all bounds. */
uint64_t trace_alloc(struct trace *trace, uint64_t size);
/* The same zeroed, for a structure. */
uint64_t trace_alloc_zeroed(struct trace *trace, uint64_t size);
/* What is at an address of the record's memory. */
static inline void *trace_at(const struct trace *trace, uint64_t address)
{
	return trace->memory + address;
}
/* A word and a number. */
int64_t trace_number(struct trace *trace, const char *name);
/* A `binary` block of that name, behind `head` zeroed bytes for a structure. */
uint64_t trace_binary(struct trace *trace, const char *name, uint64_t head, uint64_t *size);
/* A chain of data chunks, the first one's header at the end of `head` bytes. */
uint64_t trace_chunks(struct trace *trace, const char *name, uint64_t head, uint64_t *size);
/* A bitmap's chunks. A single one of a mapped file that has as much as needed stays where it lies:
 * then the address is of its bytes, without a header (*direct). */
uint64_t trace_pixels(struct trace *trace, const char *name, uint64_t needed, bool *direct);
void trace_rect(struct trace *trace, const char *name, QXLRect *out);
void trace_point(struct trace *trace, QXLPoint *out);

/* trace_draw.c: a QXLDrawable or (*compat) QXLCompatDrawable. */
uint64_t trace_drawable(struct trace *trace, bool *compat);

#endif

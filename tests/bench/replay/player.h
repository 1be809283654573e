/* SPDX-License-Identifier: MIT */
/* Plays a trace into a display sink, by the QXL device's own parser. */
#ifndef TESTS_BENCH_REPLAY_PLAYER_H
#define TESTS_BENCH_REPLAY_PLAYER_H

#include "core/ports.h"
#include "tests/bench/replay/trace.h"

struct player {
	struct trace *trace;
	struct display_sink *sink; /* borrowed */
	struct surface *surfaces[DISPLAY_MAX_SURFACES];
	struct cursor_state cursor;
	struct trace_record record; /* the next one, when `ready` */
	bool ready;
	bool warned;
	uint64_t commands, draws,
		left_out; /* carried out, and of these drawings; not carried out */
	uint64_t read_ns; /* spent on reading the file and laying out its commands */
};

/* Opens the trace; errors as trace_open(). */
int player_init(struct player *player, const char *path, struct display_sink *sink);
void player_finish(struct player *player);
/* Reads on to the next record, if it is not there yet: 1, 0 at the end, or -errno. */
int player_peek(struct player *player);
/* Carries it out. */
void player_step(struct player *player);

#endif

/* SPDX-License-Identifier: MIT */
/* The jitter buffer's numbers. */
#include "channels/client/client_stream_clock.h"

#include "core/util.h"

#define MS 1000000ll

enum {
	WHILE_FRAMES = 64,
	JUMP_MS = 2000, /* stamps that are off by so much are another clock's */
	GROW = 4, /* the share of a frame's lateness that is taken over */
	SHRINK = 64,
};

static void begin(struct stream_clock *clock, uint32_t mm_time, uint64_t now_ns)
{
	*clock = (struct stream_clock){ .running = true,
		.mm_time = mm_time,
		.least = { (int64_t)now_ns, (int64_t)now_ns },
		.due_ns = now_ns };
}

uint64_t stream_clock_frame(struct stream_clock *clock, uint32_t mm_time, uint64_t now_ns)
{
	int64_t least, late, arrival = (int64_t)now_ns;

	if (!clock->running)
		begin(clock, mm_time, now_ns);
	/* The stamps wrap. */
	clock->stamp_ns += (int32_t)(mm_time - clock->mm_time) * MS;
	clock->mm_time = mm_time;
	least = MIN(clock->least[0], clock->least[1]);
	late = arrival - clock->stamp_ns - least;
	if (late > JUMP_MS * MS || late < -JUMP_MS * MS) {
		begin(clock, mm_time, now_ns);
		return now_ns;
	}
	if (++clock->count > WHILE_FRAMES) {
		clock->least[1] = clock->least[0];
		clock->least[0] = arrival - clock->stamp_ns;
		clock->count = 1;
	}
	clock->least[0] = MIN(clock->least[0], arrival - clock->stamp_ns);
	least = MIN(clock->least[0], clock->least[1]);
	late = arrival - clock->stamp_ns - least;
	clock->jitter_ns += (late - clock->jitter_ns) / (late > clock->jitter_ns ? GROW : SHRINK);
	clock->jitter_ns = MIN(clock->jitter_ns, (int64_t)STREAM_CLOCK_DELAY_MAX_MS * MS);
	clock->due_ns = MAX(clock->due_ns, (uint64_t)(clock->stamp_ns + least + clock->jitter_ns));
	/* A frame that the clock's past due times hold back is not held for longer than the rest. */
	clock->due_ns = MIN(clock->due_ns, now_ns + (uint64_t)STREAM_CLOCK_DELAY_MAX_MS * MS);
	return clock->due_ns;
}

void stream_clock_late(struct stream_clock *clock, uint64_t late_ns)
{
	clock->jitter_ns = MIN(clock->jitter_ns + (int64_t)(late_ns / GROW),
		(int64_t)STREAM_CLOCK_DELAY_MAX_MS * MS);
}

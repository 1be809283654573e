/* SPDX-License-Identifier: MIT */
/* The event loop: order, removal within callbacks, timers, posted calls between threads. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/loop.h"
#include "core/pool.h"

#define MS 1000000u

struct trace {
	struct loop *loop;
	char text[64];
};

struct step {
	struct trace *trace;
	char name;
	struct loop_fd *victim;
	struct loop_timer *timer;
	struct loop_idle *idle;
	int again;
	int fd;
};

static void note(struct step *step)
{
	size_t n = strlen(step->trace->text);

	assert_true(n + 1 < sizeof(step->trace->text));
	step->trace->text[n] = step->name;
	step->trace->text[n + 1] = 0;
}

static void on_note(void *opaque)
{
	note(opaque);
}

static void on_last(void *opaque)
{
	struct step *step = opaque;

	note(step);
	loop_stop(step->trace->loop);
}

static int make(void **state)
{
	struct trace *trace = calloc(1, sizeof(*trace));

	assert_int_equal(loop_create(&trace->loop), 0);
	*state = trace;
	return 0;
}

static int unmake(void **state)
{
	struct trace *trace = *state;

	loop_destroy(trace->loop);
	free(trace);
	return 0;
}

static void posted_calls_run_in_order(void **state)
{
	struct trace *trace = *state;
	struct step a = { trace, .name = 'a' }, b = { trace, .name = 'b' },
		    c = { trace, .name = 'c' };

	loop_post(trace->loop, on_note, &a);
	loop_post(trace->loop, on_note, &b);
	loop_post(trace->loop, on_last, &c);
	assert_int_equal(loop_run(trace->loop), 0);
	assert_string_equal(trace->text, "abc");
}

static void timers_fire_by_deadline_and_once(void **state)
{
	struct trace *trace = *state;
	struct step steps[4];
	struct loop_timer *timers[4];

	for (int i = 0; i < 4; i++) {
		steps[i] = (struct step){ trace, .name = (char)('a' + i) };
		timers[i] = loop_timer_add(trace->loop, i == 3 ? on_last : on_note, &steps[i]);
	}
	loop_timer_arm(timers[3], 30 * MS);
	loop_timer_arm(timers[2], 1 * MS);
	loop_timer_arm(timers[1], 5 * MS);
	loop_timer_arm(timers[0], 2 * MS);
	loop_timer_disarm(timers[1]);
	assert_false(loop_timer_armed(timers[1]));
	assert_true(loop_timer_armed(timers[0]));
	assert_int_equal(loop_run(trace->loop), 0);
	assert_string_equal(trace->text, "cad");
	for (int i = 0; i < 4; i++)
		loop_timer_remove(timers[i]);
}

static void many_timers_keep_their_order(void **state)
{
	enum { COUNT = 50 };
	struct trace *trace = *state;
	struct step steps[COUNT];
	struct loop_timer *timers[COUNT];

	for (int i = 0; i < COUNT; i++) {
		int rank = i * 37 % COUNT; /* a permutation */

		steps[i] = (struct step){ trace, .name = (char)('0' + rank) };
		timers[i] = loop_timer_add(
			trace->loop, rank == COUNT - 1 ? on_last : on_note, &steps[i]);
		/* Far enough apart for a loaded machine: each counts from when it is armed. */
		loop_timer_arm(timers[i], (uint64_t)(rank + 1) * 10 * MS);
	}
	assert_int_equal(loop_run(trace->loop), 0);
	assert_int_equal(strlen(trace->text), COUNT);
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(trace->text[i], '0' + i);
}

static void on_remove_other(void *opaque, uint32_t events)
{
	struct step *step = opaque;

	note(step);
	loop_fd_remove(step->victim);
	step->victim = NULL;
}

static void a_removed_source_is_not_called_again(void **state)
{
	struct trace *trace = *state;
	int fds[2] = { eventfd(1, EFD_CLOEXEC), eventfd(1, EFD_CLOEXEC) };
	struct step a = { trace, .name = 'x' }, b = { trace, .name = 'x' };
	struct loop_fd *first, *second;

	first = loop_fd_add(trace->loop, fds[0], EPOLLIN, on_remove_other, &a);
	second = loop_fd_add(trace->loop, fds[1], EPOLLIN, on_remove_other, &b);
	assert_non_null(first);
	assert_non_null(second);
	/* Both are ready in the same turn; whichever comes first removes the other and itself. */
	a.victim = second;
	b.victim = first;
	loop_run_once(trace->loop, 0);
	assert_string_equal(trace->text, "x");
	close(fds[0]);
	close(fds[1]);
}

static void on_idle(void *opaque)
{
	struct step *step = opaque;

	note(step);
	if (step->again-- > 0)
		loop_idle_schedule(step->idle);
}

static void an_idle_call_that_repeats_starves_nobody(void **state)
{
	struct trace *trace = *state;
	struct step a = { trace, .name = 'a', .again = 3 }, b = { trace, .name = 'b' };

	b.idle = loop_idle_add(trace->loop, on_idle, &b);
	a.idle = loop_idle_add(trace->loop, on_idle, &a); /* ahead of b in the list */
	loop_idle_schedule(b.idle);
	loop_idle_schedule(a.idle);
	loop_idle_schedule(a.idle);
	loop_run_once(trace->loop, 0);
	assert_string_equal(trace->text, "ab");
	loop_run_once(trace->loop, 0);
	assert_string_equal(trace->text, "aba");
	loop_idle_remove(a.idle);
	loop_run_once(trace->loop, 0);
	assert_string_equal(trace->text, "aba");
	loop_idle_remove(b.idle);
}

static void *call_from_thread(void *opaque)
{
	struct step *step = opaque;

	assert_false(loop_is_current(step->trace->loop));
	for (int i = 0; i < 10; i++)
		assert_int_equal(loop_call(step->trace->loop, on_note, step), 0);
	loop_stop(step->trace->loop);
	return NULL;
}

static void a_call_waits_for_the_loop(void **state)
{
	struct trace *trace = *state;
	struct step step = { trace, .name = 'c' };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, call_from_thread, &step), 0);
	assert_int_equal(loop_run(trace->loop), 0);
	pthread_join(thread, NULL);
	assert_string_equal(trace->text, "cccccccccc");
}

static void pending_posts_run_at_destroy(void **state)
{
	struct trace trace = { 0 };
	struct step a = { &trace, .name = 'a' };

	assert_int_equal(loop_create(&trace.loop), 0);
	loop_post(trace.loop, on_note, &a);
	loop_destroy(trace.loop);
	assert_string_equal(trace.text, "a");
}

static void work_in_a_pool(void *opaque)
{
	struct step *step = opaque;

	step->again = !loop_is_current(step->trace->loop);
}

static void the_pool_works_elsewhere_and_is_done_here(void **state)
{
	struct trace *trace = *state;
	struct step step = { trace, .name = 'w' };
	struct pool *pool;

	assert_int_equal(pool_create(&pool, 2), 0);
	assert_int_equal(pool_submit(pool, trace->loop, work_in_a_pool, on_last, &step), 0);
	assert_int_equal(loop_run(trace->loop), 0);
	assert_true(step.again);
	assert_string_equal(trace->text, "w");
	pool_destroy(pool);
}

static void hold_up(void *opaque)
{
	struct step *step = opaque;
	uint64_t count;

	step->again = read(step->fd, &count, sizeof(count)) == sizeof(count);
}

static void count_done(void *opaque)
{
	struct step *step = opaque;

	step->trace->text[0]++;
}

static void *let_go_later(void *opaque)
{
	struct step *step = opaque;
	uint64_t one = 1;

	usleep(20000);
	assert_int_equal(write(step->fd, &one, sizeof(one)), sizeof(one));
	return NULL;
}

/* What has not begun is told that it is done, too, so that nothing of it is lost. */
static void a_destroyed_pool_ends_what_it_did_not_begin(void **state)
{
	struct trace *trace = *state;
	struct step held = { trace, .fd = eventfd(0, EFD_CLOEXEC) };
	struct step waiting = { trace, .fd = held.fd };
	pthread_t thread;
	struct pool *pool;

	assert_int_equal(pool_create(&pool, 1), 0);
	assert_int_equal(pool_submit(pool, trace->loop, hold_up, NULL, &held), 0);
	assert_int_equal(pool_submit(pool, trace->loop, hold_up, count_done, &waiting), 0);
	assert_int_equal(pool_submit(pool, trace->loop, hold_up, count_done, &waiting), 0);
	assert_int_equal(pthread_create(&thread, NULL, let_go_later, &held), 0);
	pool_destroy(pool);
	pthread_join(thread, NULL);
	assert_int_equal(trace->text[0], 2);
	assert_false(waiting.again); /* it was not worked on */
	trace->text[0] = 0;
	close(held.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(posted_calls_run_in_order, make, unmake),
		cmocka_unit_test_setup_teardown(timers_fire_by_deadline_and_once, make, unmake),
		cmocka_unit_test_setup_teardown(many_timers_keep_their_order, make, unmake),
		cmocka_unit_test_setup_teardown(a_removed_source_is_not_called_again, make, unmake),
		cmocka_unit_test_setup_teardown(
			an_idle_call_that_repeats_starves_nobody, make, unmake),
		cmocka_unit_test_setup_teardown(a_call_waits_for_the_loop, make, unmake),
		cmocka_unit_test(pending_posts_run_at_destroy),
		cmocka_unit_test_setup_teardown(
			the_pool_works_elsewhere_and_is_done_here, make, unmake),
		cmocka_unit_test_setup_teardown(
			a_destroyed_pool_ends_what_it_did_not_begin, make, unmake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * The event loop: epoll for descriptors, one timerfd for all timers, one eventfd for calls posted by
 * other threads. A loop belongs to the thread that runs it; only loop_post(), loop_call() and
 * loop_stop() may be called from elsewhere. It never polls: with nothing to do it makes no wake-up.
 */
#ifndef CORE_LOOP_H
#define CORE_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct loop;
struct loop_fd;
struct loop_timer;
struct loop_idle;

/* Creates a loop. Returns 0 or -errno. Owned by the caller, who destroys it in the thread that ran
 * it, after all its sources are removed (sources still there are freed, their callbacks not called). */
int loop_create(struct loop **loop);
void loop_destroy(struct loop *loop);

/* Runs until loop_stop(). Returns 0 or -errno. May be run again after a stop. */
int loop_run(struct loop *loop);
/* Runs what is ready now, waiting at most timeout_ms (-1: until something happens). For tests. */
int loop_run_once(struct loop *loop, int timeout_ms);
/* Waits for posted calls and runs them, and nothing else: for whoever must wait, on the loop's thread
 * and maybe inside a callback, for threads that may be in loop_call(). They post a call when they are
 * through. May return without having run any. */
int loop_wait_posted(struct loop *loop);
/* Makes loop_run() return after the callbacks at hand. Any thread; async-signal-safe. */
void loop_stop(struct loop *loop);

typedef void loop_fd_fn(void *opaque, uint32_t events);
typedef void loop_fn(void *opaque);

/* Watches fd for `events` (EPOLLIN, EPOLLOUT, ...; EPOLLERR and EPOLLHUP always come). The fd stays
 * the caller's. NULL when out of memory or the fd cannot be watched. */
struct loop_fd *loop_fd_add(
	struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *opaque);
void loop_fd_modify(struct loop_fd *source, uint32_t events);
/* Safe inside any callback, its own too: no callback of it comes afterwards. NULL is ignored. */
void loop_fd_remove(struct loop_fd *source);

/* A one-shot timer, created disarmed. NULL when out of memory. */
struct loop_timer *loop_timer_add(struct loop *loop, loop_fn *fn, void *opaque);
/* Arms it to fire once in delay_ns from now (0: at the next turn); replaces an earlier arming. */
void loop_timer_arm(struct loop_timer *timer, uint64_t delay_ns);
void loop_timer_disarm(struct loop_timer *timer);
bool loop_timer_armed(const struct loop_timer *timer);
void loop_timer_remove(struct loop_timer *timer);

/* A call that runs once at the end of the current turn, after the ready descriptors, when it was
 * scheduled (scheduling twice is one run): to batch what several callbacks caused. */
struct loop_idle *loop_idle_add(struct loop *loop, loop_fn *fn, void *opaque);
void loop_idle_schedule(struct loop_idle *idle);
void loop_idle_remove(struct loop_idle *idle);

/* Runs fn(opaque) on the loop's thread, in order of posting. Any thread. Returns 0, or -ENOMEM, or
 * -ESHUTDOWN when the loop is being destroyed; then fn is never called. Calls still pending at
 * loop_destroy() are run by it. */
int loop_post(struct loop *loop, loop_fn *fn, void *opaque);
/* Like loop_post(), and waits until fn has returned. On the loop's own thread it calls fn directly.
 * The loop's thread must never wait for a thread that may be in here. */
int loop_call(struct loop *loop, loop_fn *fn, void *opaque);
/* Whether the caller is on the thread that runs (or last ran, or made) the loop. */
bool loop_is_current(const struct loop *loop);

#endif

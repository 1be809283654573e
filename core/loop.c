/* SPDX-License-Identifier: MIT */
/* The event loop on epoll. Timers lie in a binary heap behind one timerfd. */
#include "core/loop.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "core/util.h"

#define EVENTS_PER_TURN 64

struct loop_fd {
	struct loop *loop;
	int fd;
	bool removed;
	loop_fd_fn *fn;
	void *opaque;
	struct loop_fd *prev, *next; /* all sources, or (next only) the graveyard */
};

struct loop_timer {
	struct loop *loop;
	uint64_t deadline_ns;
	size_t heap_index; /* SIZE_MAX: not armed */
	loop_fn *fn;
	void *opaque;
	struct loop_timer *prev, *next;
};

struct loop_idle {
	struct loop *loop;
	bool scheduled;
	bool due; /* scheduled when this turn's idle calls began */
	loop_fn *fn;
	void *opaque;
	struct loop_idle *prev, *next;
};

struct posted {
	loop_fn *fn;
	void *opaque;
	struct posted *next;
};

struct loop {
	int epoll_fd;
	int timer_fd;
	int wake_fd;
	_Atomic bool stop;
	_Atomic(pthread_t) thread;
	struct loop_fd *fds;
	struct loop_fd *dead_fds; /* freed at the end of the turn: epoll may still name them */
	struct loop_timer *timers;
	struct loop_timer **heap;
	size_t heap_size;
	size_t heap_capacity;
	uint64_t timer_set_ns; /* what timer_fd is set to; 0: nothing */
	struct loop_idle *idles;
	bool idle_scheduled;
	pthread_mutex_t lock; /* guards what follows */
	struct posted *posted_first;
	struct posted **posted_end;
	size_t posted_count;
	bool closed;
};

static int watch_own_fd(struct loop *loop, int fd, void *key)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = key };

	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int loop_create(struct loop **out)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int err;

	if (!loop)
		return -ENOMEM;
	loop->posted_end = &loop->posted_first;
	pthread_mutex_init(&loop->lock, NULL);
	atomic_store(&loop->thread, pthread_self());
	loop->timer_fd = loop->wake_fd = -1;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd >= 0)
		loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (loop->timer_fd >= 0)
		loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->wake_fd < 0) {
		err = -errno;
		goto fail;
	}
	err = watch_own_fd(loop, loop->timer_fd, &loop->timer_fd);
	if (!err)
		err = watch_own_fd(loop, loop->wake_fd, &loop->wake_fd);
	if (err)
		goto fail;
	*out = loop;
	return 0;
fail:
	loop_destroy(loop);
	return err;
}

static void wake(struct loop *loop)
{
	uint64_t one = 1;

	if (write(loop->wake_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it is awake already */
}

static struct posted *take_posted(struct loop *loop)
{
	struct posted *posted;

	pthread_mutex_lock(&loop->lock);
	posted = loop->posted_first;
	if (posted) {
		loop->posted_first = posted->next;
		loop->posted_count--;
	}
	if (!loop->posted_first)
		loop->posted_end = &loop->posted_first;
	pthread_mutex_unlock(&loop->lock);
	return posted;
}

/* Runs as many calls as there were at the start. Each is taken by itself, so that one of them may
 * wait in loop_wait_posted() for those behind it. */
static void run_posted(struct loop *loop)
{
	struct posted *posted;
	size_t left;

	pthread_mutex_lock(&loop->lock);
	left = loop->posted_count;
	pthread_mutex_unlock(&loop->lock);
	while (left-- > 0 && (posted = take_posted(loop))) {
		posted->fn(posted->opaque);
		free(posted);
	}
	pthread_mutex_lock(&loop->lock);
	if (loop->posted_first) /* loop_post() wakes only for the first */
		wake(loop);
	pthread_mutex_unlock(&loop->lock);
}

static void bury_fds(struct loop *loop)
{
	while (loop->dead_fds) {
		struct loop_fd *next = loop->dead_fds->next;

		free(loop->dead_fds);
		loop->dead_fds = next;
	}
}

void loop_destroy(struct loop *loop)
{
	bool more;

	if (!loop)
		return;
	do { /* what is posted may post more; once closed, nothing more comes */
		run_posted(loop);
		pthread_mutex_lock(&loop->lock);
		more = loop->posted_first;
		loop->closed = !more;
		pthread_mutex_unlock(&loop->lock);
	} while (more);
	while (loop->fds)
		loop_fd_remove(loop->fds);
	bury_fds(loop);
	while (loop->timers)
		loop_timer_remove(loop->timers);
	while (loop->idles)
		loop_idle_remove(loop->idles);
	free(loop->heap);
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
	if (loop->timer_fd >= 0)
		close(loop->timer_fd);
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}

/* ---- descriptors ---- */

struct loop_fd *loop_fd_add(
	struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *opaque)
{
	struct loop_fd *source = calloc(1, sizeof(*source));
	struct epoll_event event = { .events = events, .data.ptr = source };

	if (!source)
		return NULL;
	*source = (struct loop_fd){ .loop = loop, .fd = fd, .fn = fn, .opaque = opaque };
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		free(source);
		return NULL;
	}
	source->next = loop->fds;
	if (loop->fds)
		loop->fds->prev = source;
	loop->fds = source;
	return source;
}

void loop_fd_modify(struct loop_fd *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event);
}

void loop_fd_remove(struct loop_fd *source)
{
	struct loop *loop;

	if (!source)
		return;
	loop = source->loop;
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	source->removed = true;
	if (source->prev)
		source->prev->next = source->next;
	else
		loop->fds = source->next;
	if (source->next)
		source->next->prev = source->prev;
	source->next = loop->dead_fds;
	loop->dead_fds = source;
}

/* ---- timers ---- */

static void heap_place(struct loop *loop, size_t index, struct loop_timer *timer)
{
	loop->heap[index] = timer;
	timer->heap_index = index;
}

static void heap_rise(struct loop *loop, size_t index, struct loop_timer *timer)
{
	while (index > 0) {
		size_t parent = (index - 1) / 2;

		if (loop->heap[parent]->deadline_ns <= timer->deadline_ns)
			break;
		heap_place(loop, index, loop->heap[parent]);
		index = parent;
	}
	heap_place(loop, index, timer);
}

static void heap_sink(struct loop *loop, size_t index, struct loop_timer *timer)
{
	for (;;) {
		size_t child = 2 * index + 1;

		if (child >= loop->heap_size)
			break;
		if (child + 1 < loop->heap_size &&
			loop->heap[child + 1]->deadline_ns < loop->heap[child]->deadline_ns)
			child++;
		if (loop->heap[child]->deadline_ns >= timer->deadline_ns)
			break;
		heap_place(loop, index, loop->heap[child]);
		index = child;
	}
	heap_place(loop, index, timer);
}

struct loop_timer *loop_timer_add(struct loop *loop, loop_fn *fn, void *opaque)
{
	struct loop_timer *timer = calloc(1, sizeof(*timer));
	size_t timers = 1;

	if (!timer)
		return NULL;
	for (struct loop_timer *t = loop->timers; t; t = t->next)
		timers++;
	if (timers > loop->heap_capacity) { /* so that arming never needs memory */
		size_t capacity = MAX((size_t)16, loop->heap_capacity * 2);
		struct loop_timer **heap = realloc(loop->heap, capacity * sizeof(*heap));

		if (!heap) {
			free(timer);
			return NULL;
		}
		loop->heap = heap;
		loop->heap_capacity = capacity;
	}
	*timer = (struct loop_timer){ .loop = loop,
		.heap_index = SIZE_MAX,
		.fn = fn,
		.opaque = opaque,
		.next = loop->timers };
	if (loop->timers)
		loop->timers->prev = timer;
	loop->timers = timer;
	return timer;
}

void loop_timer_disarm(struct loop_timer *timer)
{
	struct loop *loop = timer->loop;
	size_t index = timer->heap_index;
	struct loop_timer *last;

	if (index == SIZE_MAX)
		return;
	timer->heap_index = SIZE_MAX;
	last = loop->heap[--loop->heap_size];
	if (last == timer)
		return;
	heap_rise(loop, index, last);
	heap_sink(loop, last->heap_index, last);
}

void loop_timer_arm(struct loop_timer *timer, uint64_t delay_ns)
{
	struct loop *loop = timer->loop;

	loop_timer_disarm(timer);
	timer->deadline_ns = clock_monotonic_ns() + delay_ns;
	heap_rise(loop, loop->heap_size++, timer);
}

bool loop_timer_armed(const struct loop_timer *timer)
{
	return timer->heap_index != SIZE_MAX;
}

void loop_timer_remove(struct loop_timer *timer)
{
	if (!timer)
		return;
	loop_timer_disarm(timer);
	if (timer->prev)
		timer->prev->next = timer->next;
	else
		timer->loop->timers = timer->next;
	if (timer->next)
		timer->next->prev = timer->prev;
	free(timer);
}

static void run_timers(struct loop *loop)
{
	uint64_t now = clock_monotonic_ns();

	/* A timer that arms itself anew gets a deadline after `now` and waits for the next turn. */
	while (loop->heap_size > 0 && loop->heap[0]->deadline_ns <= now) {
		struct loop_timer *timer = loop->heap[0];

		loop_timer_disarm(timer);
		timer->fn(timer->opaque);
	}
}

static void set_timer_fd(struct loop *loop)
{
	uint64_t deadline = loop->heap_size ? loop->heap[0]->deadline_ns : 0;
	struct itimerspec spec = { 0 };

	if (deadline == loop->timer_set_ns)
		return;
	spec.it_value.tv_sec = (time_t)(deadline / 1000000000u);
	spec.it_value.tv_nsec = (long)(deadline % 1000000000u);
	timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
	loop->timer_set_ns = deadline;
}

/* ---- idle calls ---- */

struct loop_idle *loop_idle_add(struct loop *loop, loop_fn *fn, void *opaque)
{
	struct loop_idle *idle = calloc(1, sizeof(*idle));

	if (!idle)
		return NULL;
	*idle = (struct loop_idle){ .loop = loop, .fn = fn, .opaque = opaque, .next = loop->idles };
	if (loop->idles)
		loop->idles->prev = idle;
	loop->idles = idle;
	return idle;
}

void loop_idle_schedule(struct loop_idle *idle)
{
	idle->scheduled = true;
	idle->loop->idle_scheduled = true;
}

void loop_idle_remove(struct loop_idle *idle)
{
	if (!idle)
		return;
	if (idle->prev)
		idle->prev->next = idle->next;
	else
		idle->loop->idles = idle->next;
	if (idle->next)
		idle->next->prev = idle->prev;
	free(idle);
}

static struct loop_idle *find_due(struct loop *loop)
{
	for (struct loop_idle *idle = loop->idles; idle; idle = idle->next)
		if (idle->due)
			return idle;
	return NULL;
}

/* Each call may add, remove and schedule others, so the search starts anew. One that schedules
 * itself again waits for the next turn. */
static void run_idles(struct loop *loop)
{
	struct loop_idle *idle;

	if (!loop->idle_scheduled)
		return;
	loop->idle_scheduled = false;
	for (idle = loop->idles; idle; idle = idle->next) {
		idle->due = idle->scheduled;
		idle->scheduled = false;
	}
	while ((idle = find_due(loop))) {
		idle->due = false;
		idle->fn(idle->opaque);
	}
}

/* ---- posted calls ---- */

int loop_post(struct loop *loop, loop_fn *fn, void *opaque)
{
	struct posted *posted = malloc(sizeof(*posted));
	bool closed, first;

	if (!posted)
		return -ENOMEM;
	*posted = (struct posted){ .fn = fn, .opaque = opaque };
	pthread_mutex_lock(&loop->lock);
	closed = loop->closed;
	first = !loop->posted_first;
	if (!closed) {
		*loop->posted_end = posted;
		loop->posted_end = &posted->next;
		loop->posted_count++;
	}
	/* Under the lock: once it is left, the loop may run the call and be destroyed. */
	if (!closed && first)
		wake(loop);
	pthread_mutex_unlock(&loop->lock);
	if (closed)
		free(posted);
	return closed ? -ESHUTDOWN : 0;
}

struct waiting_call {
	loop_fn *fn;
	void *opaque;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool done;
};

static void run_waiting_call(void *opaque)
{
	struct waiting_call *call = opaque;

	call->fn(call->opaque);
	pthread_mutex_lock(&call->lock);
	call->done = true;
	pthread_cond_signal(&call->changed);
	pthread_mutex_unlock(&call->lock);
}

int loop_call(struct loop *loop, loop_fn *fn, void *opaque)
{
	struct waiting_call call = { .fn = fn, .opaque = opaque };
	int err;

	if (loop_is_current(loop)) {
		fn(opaque);
		return 0;
	}
	pthread_mutex_init(&call.lock, NULL);
	pthread_cond_init(&call.changed, NULL);
	err = loop_post(loop, run_waiting_call, &call);
	pthread_mutex_lock(&call.lock);
	while (!err && !call.done)
		pthread_cond_wait(&call.changed, &call.lock);
	pthread_mutex_unlock(&call.lock);
	pthread_cond_destroy(&call.changed);
	pthread_mutex_destroy(&call.lock);
	return err;
}

bool loop_is_current(const struct loop *loop)
{
	return pthread_equal(atomic_load(&loop->thread), pthread_self());
}

/* ---- running ---- */

void loop_stop(struct loop *loop)
{
	atomic_store(&loop->stop, true);
	wake(loop);
}

static void drain_own_fd(int fd)
{
	uint64_t count;

	if (read(fd, &count, sizeof(count)) < 0)
		return; /* nothing was there */
}

int loop_run_once(struct loop *loop, int timeout_ms)
{
	struct epoll_event events[EVENTS_PER_TURN];
	int n;

	atomic_store(&loop->thread, pthread_self());
	set_timer_fd(loop);
	if (loop->idle_scheduled)
		timeout_ms = 0;
	n = epoll_wait(loop->epoll_fd, events, EVENTS_PER_TURN, timeout_ms);
	if (n < 0 && errno != EINTR)
		return -errno;
	for (int i = 0; i < n; i++) {
		struct loop_fd *source = events[i].data.ptr;

		if (events[i].data.ptr == &loop->timer_fd) {
			drain_own_fd(loop->timer_fd);
			loop->timer_set_ns = 0;
			run_timers(loop);
		} else if (events[i].data.ptr == &loop->wake_fd) {
			drain_own_fd(loop->wake_fd);
			run_posted(loop);
		} else if (!source->removed) {
			source->fn(source->opaque, events[i].events);
		}
	}
	run_idles(loop);
	bury_fds(loop);
	return 0;
}

int loop_wait_posted(struct loop *loop)
{
	struct pollfd wait = { .fd = loop->wake_fd, .events = POLLIN };
	bool any;

	/* Inside a posted call the wake-up for those behind it has been taken already. */
	pthread_mutex_lock(&loop->lock);
	any = loop->posted_first;
	pthread_mutex_unlock(&loop->lock);
	while (!any && poll(&wait, 1, -1) < 0)
		if (errno != EINTR)
			return -errno;
	drain_own_fd(loop->wake_fd);
	run_posted(loop);
	return 0;
}

int loop_run(struct loop *loop)
{
	int err = 0;

	while (!err && !atomic_load(&loop->stop))
		err = loop_run_once(loop, -1);
	atomic_store(&loop->stop, false);
	return err;
}

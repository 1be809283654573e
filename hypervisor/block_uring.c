/* SPDX-License-Identifier: MIT */
/*
 * The engine of io_uring: reads, writes and flushes of flat images go to the kernel without a thread
 * of ours. What is rare (discards, short transfers) is left to the threads.
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "hypervisor/block_driver.h"

enum { RING_ENTRIES = 128, RETRY_NS = 1000000 };

struct block_engine {
	struct io_uring ring;
	bool ring_made;
	int event_fd;
	struct loop_fd *watch;
	struct loop_idle *submit; /* one system call for all requests of a turn */
	struct loop_timer *retry; /* when the kernel had no memory for that */
	uint32_t in_flight;
};

static void submit_now(void *opaque)
{
	struct block_engine *engine = opaque;

	if (io_uring_submit(&engine->ring) < 0) /* the entries stay queued */
		loop_timer_arm(engine->retry, RETRY_NS);
}

/* Whether the kernel's answer is final, as an answer to the request; else the threads do it again
 * from the start: it is the same bytes at the same place. */
static bool is_final(const struct block_request *request, int answer)
{
	if (answer == -EINTR || answer == -EAGAIN || answer == -EINVAL || answer == -EOPNOTSUPP)
		return false;
	if (answer < 0 || request->stage == BLOCK_FLUSH)
		return true;
	return (uint64_t)answer == request->size;
}

static void complete_answered(struct block_engine *engine)
{
	struct io_uring_cqe *cqe;

	while (io_uring_peek_cqe(&engine->ring, &cqe) == 0) {
		struct block_request *request = io_uring_cqe_get_data(cqe);
		int answer = cqe->res;

		io_uring_cqe_seen(&engine->ring, cqe);
		engine->in_flight--;
		if (is_final(request, answer))
			block_complete(request, answer < 0 ? answer : 0);
		else
			block_threads_submit(request->block->threads, request);
	}
	if (io_uring_sq_ready(&engine->ring))
		loop_idle_schedule(engine->submit);
}

static void something_answered(void *opaque, uint32_t events)
{
	struct block_engine *engine = opaque;
	eventfd_t count;

	eventfd_read(engine->event_fd, &count);
	complete_answered(engine);
}

int block_uring_create(struct block_engine **out, struct loop *loop)
{
	struct block_engine *engine = calloc(1, sizeof(*engine));
	int err;

	if (!engine)
		return -ENOMEM;
	engine->event_fd = -1;
	err = io_uring_queue_init(RING_ENTRIES, &engine->ring, 0);
	if (err)
		goto fail;
	engine->ring_made = true;
	engine->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = engine->event_fd < 0 ? -errno
				   : io_uring_register_eventfd(&engine->ring, engine->event_fd);
	if (err)
		goto fail;
	err = -ENOMEM;
	engine->submit = loop_idle_add(loop, submit_now, engine);
	engine->retry = loop_timer_add(loop, submit_now, engine);
	if (!engine->submit || !engine->retry)
		goto fail;
	engine->watch = loop_fd_add(loop, engine->event_fd, EPOLLIN, something_answered, engine);
	if (!engine->watch)
		goto fail;
	*out = engine;
	return 0;
fail:
	block_uring_destroy(engine);
	return err;
}

void block_uring_destroy(struct block_engine *engine)
{
	if (!engine)
		return;
	loop_fd_remove(engine->watch);
	loop_idle_remove(engine->submit);
	loop_timer_remove(engine->retry);
	if (engine->ring_made)
		io_uring_queue_exit(&engine->ring);
	if (engine->event_fd >= 0)
		close(engine->event_fd);
	free(engine);
}

bool block_uring_submit(struct block_engine *engine, struct block_request *request)
{
	int fd = request->block->fd;
	struct io_uring_sqe *sqe;

	if (request->stage != BLOCK_READ && request->stage != BLOCK_WRITE &&
		request->stage != BLOCK_FLUSH)
		return false;
	/* A transfer that one answer cannot count, or a flush of what cannot be flushed. */
	if (request->size > INT32_MAX ||
		(request->stage == BLOCK_FLUSH && request->block->read_only))
		return false;
	sqe = engine->in_flight < RING_ENTRIES ? io_uring_get_sqe(&engine->ring) : NULL;
	if (!sqe)
		return false;
	if (request->stage == BLOCK_READ)
		io_uring_prep_readv(sqe, fd, request->iov, request->iov_count, request->offset);
	else if (request->stage == BLOCK_WRITE)
		io_uring_prep_writev(sqe, fd, request->iov, request->iov_count, request->offset);
	else
		io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
	io_uring_sqe_set_data(sqe, request);
	engine->in_flight++;
	loop_idle_schedule(engine->submit);
	return true;
}

void block_uring_wait(struct block_engine *engine)
{
	io_uring_submit_and_wait(&engine->ring, 1);
	complete_answered(engine);
}

bool block_uring_busy(const struct block_engine *engine)
{
	return engine->in_flight > 0;
}

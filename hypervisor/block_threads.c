/* SPDX-License-Identifier: MIT */
/* The engine of threads: each request is done by a worker of a pool, in blocking calls. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/pool.h"
#include "hypervisor/block_driver.h"

enum { WORKERS = 4 };

struct block_engine {
	struct loop *loop;
	struct pool *pool; /* starts its threads when they are first needed */
	int event_fd;
	struct loop_fd *watch;
	uint32_t in_flight; /* submitted and not yet completed; loop thread */
	pthread_mutex_t lock; /* guards finished */
	pthread_cond_t more_finished;
	struct block_request *finished;
};

/* Not the pool's own way back to the loop: block_threads_wait() must see it while the loop stands. */
static void finish(struct block_engine *engine, struct block_request *request)
{
	pthread_mutex_lock(&engine->lock);
	request->next = engine->finished;
	engine->finished = request;
	pthread_cond_signal(&engine->more_finished);
	/* Under the lock, so that the engine is not destroyed before we are done with it. */
	eventfd_write(engine->event_fd, 1);
	pthread_mutex_unlock(&engine->lock);
}

static void work(void *opaque)
{
	struct block_request *request = opaque;
	struct block *block = request->block;

	request->result = block->image->run(block, request);
	finish(block->threads, request);
}

static void complete_finished(struct block_engine *engine)
{
	struct block_request *request, *next, *in_order = NULL;

	pthread_mutex_lock(&engine->lock);
	request = engine->finished;
	engine->finished = NULL;
	pthread_mutex_unlock(&engine->lock);
	for (; request; request = next) {
		next = request->next;
		request->next = in_order;
		in_order = request;
	}
	for (request = in_order; request; request = next) {
		next = request->next;
		engine->in_flight--;
		block_complete(request, request->result);
	}
}

static void something_finished(void *opaque, uint32_t events)
{
	struct block_engine *engine = opaque;
	eventfd_t count;

	eventfd_read(engine->event_fd, &count);
	complete_finished(engine);
}

int block_threads_create(struct block_engine **out, struct loop *loop)
{
	struct block_engine *engine = calloc(1, sizeof(*engine));
	int err;

	if (!engine)
		return -ENOMEM;
	engine->loop = loop;
	pthread_mutex_init(&engine->lock, NULL);
	pthread_cond_init(&engine->more_finished, NULL);
	engine->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = engine->event_fd < 0 ? -errno : pool_create(&engine->pool, WORKERS);
	if (!err) {
		engine->watch =
			loop_fd_add(loop, engine->event_fd, EPOLLIN, something_finished, engine);
		err = engine->watch ? 0 : -ENOMEM;
	}
	if (err) {
		block_threads_destroy(engine);
		return err;
	}
	*out = engine;
	return 0;
}

void block_threads_destroy(struct block_engine *engine)
{
	if (!engine)
		return;
	if (engine->pool)
		pool_destroy(engine->pool);
	loop_fd_remove(engine->watch);
	if (engine->event_fd >= 0)
		close(engine->event_fd);
	pthread_cond_destroy(&engine->more_finished);
	pthread_mutex_destroy(&engine->lock);
	free(engine);
}

void block_threads_submit(struct block_engine *engine, struct block_request *request)
{
	engine->in_flight++;
	if (pool_submit(engine->pool, engine->loop, work, NULL, request) < 0)
		work(request); /* no memory for a thread: slow, but it goes on */
}

void block_threads_wait(struct block_engine *engine)
{
	pthread_mutex_lock(&engine->lock);
	while (!engine->finished)
		pthread_cond_wait(&engine->more_finished, &engine->lock);
	pthread_mutex_unlock(&engine->lock);
	complete_finished(engine);
}

bool block_threads_busy(const struct block_engine *engine)
{
	return engine->in_flight > 0;
}

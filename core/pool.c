/* SPDX-License-Identifier: MIT */
/* A small pool of worker threads. */
#include "core/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/util.h"

#define POOL_MAX_THREADS 8

struct pool_job {
	struct loop *loop;
	loop_fn *work;
	loop_fn *done;
	void *opaque;
	struct pool_job *next;
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct pool_job *first;
	struct pool_job **end;
	bool stopping;
	uint32_t max_threads;
	uint32_t threads;
	uint32_t waiting; /* workers with nothing to do */
	uint32_t queued;
	pthread_t ids[POOL_MAX_THREADS];
};

int pool_create(struct pool **out, uint32_t threads)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return -ENOMEM;
	if (threads == 0)
		threads = cpus > 0 ? (uint32_t)cpus : 1;
	pool->max_threads = MIN(threads, (uint32_t)POOL_MAX_THREADS);
	pool->end = &pool->first;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->changed, NULL);
	*out = pool;
	return 0;
}

static void *worker(void *opaque)
{
	struct pool *pool = opaque;

	pthread_mutex_lock(&pool->lock);
	while (!pool->stopping) {
		struct pool_job *job = pool->first;

		if (!job) {
			pool->waiting++;
			pthread_cond_wait(&pool->changed, &pool->lock);
			pool->waiting--;
			continue;
		}
		pool->first = job->next;
		if (!pool->first)
			pool->end = &pool->first;
		pool->queued--;
		pthread_mutex_unlock(&pool->lock);
		job->work(job->opaque);
		if (job->done)
			loop_post(job->loop, job->done, job->opaque);
		free(job);
		pthread_mutex_lock(&pool->lock);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* Signals are the main thread's affair. */
static int start_worker(struct pool *pool)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&pool->ids[pool->threads], NULL, worker, pool);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!err)
		pool->threads++;
	return -err;
}

int pool_submit(struct pool *pool, struct loop *loop, loop_fn *work, loop_fn *done, void *opaque)
{
	struct pool_job *job = malloc(sizeof(*job));
	int err = 0;

	if (!job)
		return -ENOMEM;
	*job = (struct pool_job){ .loop = loop, .work = work, .done = done, .opaque = opaque };
	pthread_mutex_lock(&pool->lock);
	if (pool->waiting <= pool->queued && pool->threads < pool->max_threads)
		err = start_worker(pool);
	if (!err || pool->threads > 0) { /* fewer workers than wished will do */
		err = 0;
		*pool->end = job;
		pool->end = &job->next;
		pool->queued++;
		pthread_cond_signal(&pool->changed);
	}
	pthread_mutex_unlock(&pool->lock);
	if (err)
		free(job);
	return err;
}

void pool_destroy(struct pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	pthread_cond_broadcast(&pool->changed);
	pthread_mutex_unlock(&pool->lock);
	for (uint32_t i = 0; i < pool->threads; i++)
		pthread_join(pool->ids[i], NULL);
	while (pool->first) {
		struct pool_job *job = pool->first;

		pool->first = job->next;
		if (job->done)
			job->done(job->opaque);
		free(job);
	}
	pthread_cond_destroy(&pool->changed);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

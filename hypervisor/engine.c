/* SPDX-License-Identifier: MIT */
/* The vCPU threads of any engine. */
#include "hypervisor/engine.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "core/log.h"

void engine_init(struct engine *engine, const struct engine_ops *ops, unsigned cpus)
{
	assert(cpus <= ENGINE_MAX_CPUS);
	engine->ops = ops;
	engine->cpus = cpus;
	pthread_mutex_init(&engine->lock, NULL);
	pthread_cond_init(&engine->changed, NULL);
}

void engine_finish(struct engine *engine)
{
	pthread_cond_destroy(&engine->changed);
	pthread_mutex_destroy(&engine->lock);
}

/* Waits until the vCPU may run. False: the thread shall end. */
static bool wait_for_leave(struct engine *engine, unsigned cpu, bool *rested)
{
	bool go;

	pthread_mutex_lock(&engine->lock);
	if (!engine->running && !*rested) {
		*rested = true;
		if (++engine->resting == engine->threads && engine->on_rest && !engine->quit)
			engine->on_rest(engine->opaque);
	}
	while (!engine->running && !engine->quit)
		pthread_cond_wait(&engine->changed, &engine->lock);
	go = !engine->quit;
	if (go && *rested) {
		*rested = false;
		engine->resting--;
	}
	if (go)
		engine->ops->kick(engine, cpu, false);
	pthread_mutex_unlock(&engine->lock);
	return go;
}

struct thread_start {
	struct engine *engine;
	unsigned cpu;
	pthread_mutex_t lock;
	pthread_cond_t taken_changed;
	bool taken;
};

static void *vcpu_thread(void *opaque)
{
	struct thread_start *start = opaque;
	struct engine *engine = start->engine;
	unsigned cpu = start->cpu;
	char reason[ENGINE_REASON_MAX], name[16];
	bool rested = true; /* engine_resume() counted it so */

	pthread_mutex_lock(&start->lock);
	start->taken = true;
	pthread_cond_signal(&start->taken_changed);
	pthread_mutex_unlock(&start->lock);
	snprintf(name, sizeof(name), "vcpu%u", cpu);
	pthread_setname_np(pthread_self(), name);
	while (wait_for_leave(engine, cpu, &rested)) {
		enum engine_exit exit = engine->ops->run(engine, cpu, reason, sizeof(reason));

		if (exit == ENGINE_EXIT_KICKED)
			continue;
		engine_pause(engine);
		if (engine->on_exit)
			engine->on_exit(
				engine->opaque, exit, exit == ENGINE_EXIT_FAILED ? reason : NULL);
	}
	return NULL;
}

static int start_thread(struct engine *engine, unsigned cpu)
{
	struct thread_start start = { .engine = engine, .cpu = cpu };
	int err;

	pthread_mutex_init(&start.lock, NULL);
	pthread_cond_init(&start.taken_changed, NULL);
	err = pthread_create(&engine->thread[cpu], NULL, vcpu_thread, &start);
	pthread_mutex_lock(&start.lock);
	while (!err && !start.taken)
		pthread_cond_wait(&start.taken_changed, &start.lock);
	pthread_mutex_unlock(&start.lock);
	pthread_cond_destroy(&start.taken_changed);
	pthread_mutex_destroy(&start.lock);
	return -err;
}

/* The process's signals are for its main thread; vCPU threads take none but the engine's kick,
 * which it unblocks itself. Those that a fault raises cannot be blocked in earnest. */
static int start_threads(struct engine *engine)
{
	sigset_t all, before;
	int err = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (!err && engine->threads < engine->cpus) {
		err = start_thread(engine, engine->threads);
		if (!err) {
			pthread_mutex_lock(&engine->lock);
			engine->threads++;
			engine->resting++;
			pthread_mutex_unlock(&engine->lock);
		}
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}

int engine_resume(struct engine *engine)
{
	int err = start_threads(engine);

	if (err)
		return err;
	pthread_mutex_lock(&engine->lock);
	engine->running = true;
	pthread_cond_broadcast(&engine->changed);
	pthread_mutex_unlock(&engine->lock);
	return 0;
}

void engine_pause(struct engine *engine)
{
	pthread_mutex_lock(&engine->lock);
	if (engine->running) {
		engine->running = false;
		for (unsigned i = 0; i < engine->threads; i++)
			engine->ops->kick(engine, i, true);
	}
	pthread_mutex_unlock(&engine->lock);
}

bool engine_resting(struct engine *engine)
{
	bool resting;

	pthread_mutex_lock(&engine->lock);
	resting = !engine->running && engine->resting == engine->threads;
	pthread_mutex_unlock(&engine->lock);
	return resting;
}

void engine_destroy(struct engine *engine)
{
	if (!engine)
		return;
	pthread_mutex_lock(&engine->lock);
	engine->quit = true;
	pthread_cond_broadcast(&engine->changed);
	pthread_mutex_unlock(&engine->lock);
	for (unsigned i = 0; i < engine->threads; i++)
		pthread_join(engine->thread[i], NULL);
	engine->ops->destroy(engine);
}

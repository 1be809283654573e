/* SPDX-License-Identifier: MIT */
/* A small pool of worker threads for work that must not hold up the loop: encoding, key making, disk
 * I/O where the kernel has no asynchronous one. */
#ifndef CORE_POOL_H
#define CORE_POOL_H

#include "core/loop.h"

struct pool;

/* At most `threads` workers (0: one per CPU, at most 8), started when first needed. */
int pool_create(struct pool **out, uint32_t threads);
/* Waits for what is running. What has not begun is not worked on any more, but its `done` is called
 * here, so that it can free what it has: a job must bear that after its owner went. */
void pool_destroy(struct pool *pool);
/* Runs work(opaque) on a worker, then done(opaque) on the loop's thread (done may be NULL). */
int pool_submit(struct pool *pool, struct loop *loop, loop_fn *work, loop_fn *done, void *opaque);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Work that a vCPU thread asks of the loop thread: many kicks before the loop comes round make one
 * call, so that a guest cannot fill the loop's queue, and none comes after kick_destroy().
 */
#ifndef HYPERVISOR_KICK_H
#define HYPERVISOR_KICK_H

#include "core/loop.h"

struct kick;

/* fn(opaque) will run on the loop's thread. Returns 0 or -ENOMEM. */
int kick_create(struct kick **out, struct loop *loop, loop_fn *fn, void *opaque);
/* Asks for one call. Any thread, under any lock. */
void kick_post(struct kick *kick);
/* On the loop's thread. NULL is ignored. */
void kick_destroy(struct kick *kick);

#endif

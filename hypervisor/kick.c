/* SPDX-License-Identifier: MIT */
/* Coalesced calls from vCPU threads to the loop thread. */
#include "hypervisor/kick.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

struct kick {
	struct loop *loop;
	loop_fn *fn;
	void *opaque;
	atomic_bool posted; /* kick_run() is in the loop's queue and will free a dead kick */
	bool dead; /* the loop thread's */
};

int kick_create(struct kick **out, struct loop *loop, loop_fn *fn, void *opaque)
{
	struct kick *kick = calloc(1, sizeof(*kick));

	if (!kick)
		return -ENOMEM;
	kick->loop = loop;
	kick->fn = fn;
	kick->opaque = opaque;
	atomic_init(&kick->posted, false);
	*out = kick;
	return 0;
}

static void kick_run(void *opaque)
{
	struct kick *kick = opaque;

	if (kick->dead) {
		free(kick);
		return;
	}
	/* Before the call: what is asked for while fn runs needs a call of its own. */
	atomic_store(&kick->posted, false);
	kick->fn(kick->opaque);
}

void kick_post(struct kick *kick)
{
	if (atomic_exchange(&kick->posted, true))
		return;
	if (loop_post(kick->loop, kick_run, kick) != 0)
		atomic_store(&kick->posted, false);
}

void kick_destroy(struct kick *kick)
{
	if (!kick)
		return;
	if (atomic_load(&kick->posted))
		kick->dead = true;
	else
		free(kick);
}

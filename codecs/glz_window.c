/* SPDX-License-Identifier: MIT */
/*
 * GLZ's window: pictures by id in a ring of slots. Ids have no holes, but the channels of a client
 * bring them out of order: up to `gap` all have come, and only then may old ones be let go.
 */
#include <errno.h>
#include <stdlib.h>

#include "codecs/glz_format.h"
#include "core/util.h"

enum {
	SLOTS_MIN = 64,
	SLOTS_MAX = 1 << 20, /* how far apart the ids of held pictures may be */
	AHEAD_FACTOR = 2, /* of the limit: beyond it a channel waits for the others */
	HELD_FACTOR = 4, /* of the limit: what honest servers never need */
};

struct glz_window {
	struct glz_image *slots; /* picture id lies at id modulo slot_count */
	uint64_t slot_count;
	uint64_t oldest; /* no picture before it is held */
	uint64_t gap; /* all from oldest to this, without it, are held */
	bool started;
	uint64_t held; /* pixels */
	uint64_t limit;
};

int glz_window_create(struct glz_window **out, uint32_t limit_pixels)
{
	struct glz_window *window;

	if (!limit_pixels || limit_pixels > GLZ_WINDOW_MAX)
		return -EINVAL;
	window = calloc(1, sizeof(*window));
	if (!window)
		return -ENOMEM;
	window->limit = limit_pixels;
	window->slot_count = SLOTS_MIN;
	window->slots = calloc(SLOTS_MIN, sizeof(*window->slots));
	if (!window->slots) {
		free(window);
		return -ENOMEM;
	}
	*out = window;
	return 0;
}

static struct glz_image *slot_of(const struct glz_window *window, uint64_t id)
{
	return &window->slots[id & (window->slot_count - 1)];
}

static void drop(struct glz_window *window, struct glz_image *image)
{
	if (!image->surface)
		return;
	window->held -= image->count;
	surface_unref(image->surface);
	*image = (struct glz_image){ 0 };
}

void glz_window_clear(struct glz_window *window)
{
	for (uint64_t i = 0; i < window->slot_count; i++)
		drop(window, &window->slots[i]);
	window->started = false;
	window->oldest = window->gap = 0;
}

void glz_window_destroy(struct glz_window *window)
{
	if (!window)
		return;
	glz_window_clear(window);
	free(window->slots);
	free(window);
}

int glz_window_admit(struct glz_window *window, uint64_t id, uint64_t head, size_t count)
{
	if (!window->started) {
		window->started = true;
		window->oldest = window->gap = head;
	}
	if (count > window->limit)
		return -EPROTO;
	if (id < window->oldest)
		return 0; /* late, and nothing may refer to it any more */
	if (id - window->oldest >= SLOTS_MAX)
		return -EPROTO;
	if (id - window->oldest < window->slot_count && slot_of(window, id)->surface)
		return -EPROTO;
	if (id > window->gap && window->held + count > AHEAD_FACTOR * window->limit)
		return -EAGAIN;
	return window->held + count > HELD_FACTOR * window->limit ? -EPROTO : 0;
}

int glz_window_find(const struct glz_window *window, uint64_t id, struct glz_image *out)
{
	if (id < window->oldest)
		return -EPROTO;
	if (id - window->oldest >= window->slot_count || !slot_of(window, id)->surface)
		return -EAGAIN; /* cannot be before the gap */
	*out = *slot_of(window, id);
	return 0;
}

static int grow(struct glz_window *window, uint64_t needed)
{
	uint64_t count = window->slot_count;
	struct glz_image *slots;

	while (count < needed)
		count *= 2;
	if (count == window->slot_count)
		return 0;
	slots = calloc(count, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (uint64_t id = window->oldest; id - window->oldest < window->slot_count; id++)
		slots[id & (count - 1)] = *slot_of(window, id);
	free(window->slots);
	window->slots = slots;
	window->slot_count = count;
	return 0;
}

int glz_window_add(struct glz_window *window, uint64_t id, const struct glz_image *image)
{
	uint64_t head;
	int err;

	if (id < window->oldest)
		return 0;
	err = grow(window, id - window->oldest + 1);
	if (err)
		return err;
	*slot_of(window, id) = *image;
	surface_ref(image->surface);
	window->held += image->count;
	while (window->gap - window->oldest < window->slot_count &&
		slot_of(window, window->gap)->surface)
		window->gap++;
	if (window->gap == window->oldest)
		return 0;
	head = slot_of(window, window->gap - 1)->head;
	while (window->oldest < head)
		drop(window, slot_of(window, window->oldest++));
	return 0;
}

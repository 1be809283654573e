/* SPDX-License-Identifier: MIT */
/* The queue between the window's events and the loop. */
#include "ui/input_queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/util.h"

/* A loop that stands still must not let the queue grow for ever; real hands never get there. */
enum { MAX_ITEMS = 4096 };

struct input_queue {
	struct loop *loop;
	pthread_mutex_t lock; /* guards what follows */
	int refs;
	bool posted;
	struct input_sink *sink; /* changes on the loop thread only */
	struct input_item *items;
	size_t count;
	size_t capacity;
};

int input_queue_create(struct input_queue **out, struct loop *loop)
{
	struct input_queue *queue = calloc(1, sizeof(*queue));
	if (!queue)
		return -ENOMEM;
	queue->loop = loop;
	queue->refs = 1;
	pthread_mutex_init(&queue->lock, NULL);
	*out = queue;
	return 0;
}

void input_queue_unref(struct input_queue *queue)
{
	if (!queue)
		return;
	pthread_mutex_lock(&queue->lock);
	int left = --queue->refs;
	pthread_mutex_unlock(&queue->lock);
	if (left > 0)
		return;
	pthread_mutex_destroy(&queue->lock);
	free(queue->items);
	free(queue);
}

void input_queue_connect(struct input_queue *queue, struct input_sink *sink)
{
	pthread_mutex_lock(&queue->lock);
	queue->sink = sink;
	queue->count = 0;
	pthread_mutex_unlock(&queue->lock);
}

static void deliver(struct input_sink *sink, const struct input_item *item)
{
	switch (item->kind) {
	case INPUT_KEY: sink->ops->key(sink, (uint32_t)item->a, item->b); break;
	case INPUT_MOTION: sink->ops->motion(sink, item->a, item->b); break;
	case INPUT_POSITION:
		sink->ops->position(sink, item->a, item->b, item->width, item->height);
		break;
	case INPUT_BUTTON: sink->ops->button(sink, (enum input_button)item->a, item->b); break;
	case INPUT_LEDS: sink->ops->set_leds(sink, (uint32_t)item->a); break;
	}
}

static void drain(void *opaque)
{
	struct input_queue *queue = opaque;
	pthread_mutex_lock(&queue->lock);
	struct input_sink *sink = queue->sink;
	struct input_item *items = queue->items;
	size_t count = queue->count;
	queue->items = NULL;
	queue->count = queue->capacity = 0;
	queue->posted = false;
	pthread_mutex_unlock(&queue->lock);
	for (size_t i = 0; sink && i < count; i++)
		deliver(sink, &items[i]);
	free(items);
	input_queue_unref(queue);
}

/* Whether the item became part of the newest one in the queue. */
static bool merge(struct input_queue *queue, const struct input_item *item)
{
	if (queue->count == 0)
		return false;
	struct input_item *last = &queue->items[queue->count - 1];
	if (last->kind != item->kind)
		return false;
	if (item->kind == INPUT_POSITION) {
		*last = *item;
		return true;
	}
	if (item->kind != INPUT_MOTION)
		return false;
	int32_t x, y;
	if (__builtin_add_overflow(last->a, item->a, &x) ||
		__builtin_add_overflow(last->b, item->b, &y))
		return false;
	last->a = x;
	last->b = y;
	return true;
}

static bool append(struct input_queue *queue, const struct input_item *item)
{
	if (queue->count == queue->capacity) {
		size_t capacity = queue->capacity ? queue->capacity * 2 : 16;
		if (capacity > MAX_ITEMS)
			return false;
		struct input_item *items = realloc(queue->items, capacity * sizeof(*items));
		if (!items)
			return false;
		queue->items = items;
		queue->capacity = capacity;
	}
	queue->items[queue->count++] = *item;
	return true;
}

void input_queue_push(struct input_queue *queue, const struct input_item *item)
{
	bool post = false;
	pthread_mutex_lock(&queue->lock);
	if (queue->sink && !merge(queue, item) && append(queue, item) && !queue->posted) {
		queue->posted = post = true;
		queue->refs++;
	}
	pthread_mutex_unlock(&queue->lock);
	if (post && loop_post(queue->loop, drain, queue) < 0) {
		pthread_mutex_lock(&queue->lock);
		queue->posted = false;
		pthread_mutex_unlock(&queue->lock);
		input_queue_unref(queue);
	}
}

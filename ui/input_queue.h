/* SPDX-License-Identifier: MIT */
/* Carries keys and pointer from the SDL thread to the loop thread, in order, motions merged. */
#ifndef UI_INPUT_QUEUE_H
#define UI_INPUT_QUEUE_H

#include "core/loop.h"
#include "core/ports.h"

struct input_queue;

enum input_kind {
	INPUT_KEY, /* a: scancode, b: down */
	INPUT_MOTION, /* a: dx, b: dy */
	INPUT_POSITION, /* a: x, b: y, width, height */
	INPUT_BUTTON, /* a: button, b: down */
	INPUT_LEDS, /* a: INPUT_LED_* bits */
};

struct input_item {
	enum input_kind kind;
	int32_t a;
	int32_t b;
	uint32_t width;
	uint32_t height;
};

/* Reference-counted, because a posted call may come after its maker is gone. */
int input_queue_create(struct input_queue **out, struct loop *loop);
void input_queue_unref(struct input_queue *queue); /* NULL is ignored */
/* Where items go (NULL: nowhere). What waits for the one before is dropped. Loop thread. */
void input_queue_connect(struct input_queue *queue, struct input_sink *sink);
/* Any thread. Dropped when nothing is connected or memory is short. */
void input_queue_push(struct input_queue *queue, const struct input_item *item);

#endif

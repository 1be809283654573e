/* SPDX-License-Identifier: MIT */
/* The input sink's listeners. */
#include "core/ports.h"

void input_sink_init(struct input_sink *sink, const struct input_sink_ops *ops)
{
	*sink = (struct input_sink){ .ops = ops };
}

void input_sink_listen(struct input_sink *sink, struct input_listener *listener)
{
	listener->next = sink->listeners;
	sink->listeners = listener;
}

void input_sink_unlisten(struct input_sink *sink, struct input_listener *listener)
{
	for (struct input_listener **at = &sink->listeners; *at; at = &(*at)->next) {
		if (*at == listener) {
			*at = listener->next;
			listener->next = NULL;
			return;
		}
	}
}

void input_sink_set_leds(struct input_sink *sink, uint32_t leds)
{
	struct input_listener *next;

	if (sink->leds == leds)
		return;
	sink->leds = leds;
	for (struct input_listener *l = sink->listeners; l; l = next) {
		next = l->next; /* a listener may remove itself */
		if (l->leds)
			l->leds(l, leds);
	}
}

void input_sink_set_absolute(struct input_sink *sink, bool available)
{
	struct input_listener *next;

	if (sink->absolute == available)
		return;
	sink->absolute = available;
	for (struct input_listener *l = sink->listeners; l; l = next) {
		next = l->next;
		if (l->absolute)
			l->absolute(l, available);
	}
}

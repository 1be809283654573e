/* SPDX-License-Identifier: MIT */
/*
 * Key to first drawing: bench_key PORT [KEYS]. Connects a headless viewer to a server on the loopback
 * whose guest draws at each key press (the test guest's test=bench-latency), presses keys, and prints
 * the median, least and 90th of 100 times from each press to the first drawing after it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channels/client/client.h"
#include "core/util.h"

#define KEYS_MAX    10000
#define SETTLE_NS   (500ull * 1000000u)
#define INTERVAL_NS (40ull * 1000000u)

struct bench {
	struct display_sink sink;
	struct loop *loop;
	struct spice_client *client;
	struct loop_timer *timer;
	uint64_t pressed_ns; /* 0: no press is waiting for its drawing */
	double ms[KEYS_MAX];
	unsigned keys, wanted, presses;
	bool failed;
};

static void on_draw(struct display_sink *sink, struct draw *draw)
{
	struct bench *b = container_of(sink, struct bench, sink);

	if (!b->pressed_ns)
		return;
	b->ms[b->keys++] = (double)(clock_monotonic_ns() - b->pressed_ns) / 1e6;
	b->pressed_ns = 0;
}

static void on_timer(void *opaque)
{
	struct bench *b = opaque;
	struct input_sink *input = spice_client_input(b->client);
	uint32_t scancode = 0x1e + b->presses / 2 % 9;

	if (b->keys == b->wanted || b->presses > 4 * b->wanted) {
		loop_stop(b->loop);
		return;
	}
	if (b->presses++ % 2 == 0) {
		b->pressed_ns = clock_monotonic_ns();
		input->ops->key(input, scancode, true);
	} else {
		input->ops->key(input, scancode, false);
	}
	loop_timer_arm(b->timer, INTERVAL_NS);
}

static void on_event(void *opaque, enum spice_client_event event, const char *reason)
{
	struct bench *b = opaque;

	if (event == SPICE_CLIENT_FIRST_FRAME) {
		loop_timer_arm(b->timer, SETTLE_NS);
	} else if (event == SPICE_CLIENT_DISCONNECTED || event == SPICE_CLIENT_AUTH_NEEDED) {
		fprintf(stderr, "bench_key: %s\n", reason);
		b->failed = true;
		loop_stop(b->loop);
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int run(struct bench *b, uint16_t port)
{
	static const struct display_sink_ops ops = { .draw = on_draw };
	struct spice_client_config config = {
		.host = "127.0.0.1", .port = port, .on_event = on_event, .opaque = b
	};
	struct display *display;

	b->sink.ops = &ops;
	if (loop_create(&b->loop) || display_create(&display))
		return 1;
	b->timer = loop_timer_add(b->loop, on_timer, b);
	config.loop = b->loop;
	config.display = display;
	if (!b->timer || display_attach(display, &b->sink) ||
		spice_client_create(&b->client, &config))
		return 1;
	loop_run(b->loop);
	spice_client_destroy(b->client);
	display_detach(display, &b->sink);
	loop_timer_remove(b->timer);
	display_destroy(display);
	loop_destroy(b->loop);
	return b->failed || b->keys == 0;
}

int main(int argc, char **argv)
{
	struct bench *b = calloc(1, sizeof(*b));
	int code = 1;

	if (!b || argc < 2) {
		fprintf(stderr, "usage: bench_key PORT [KEYS]\n");
		free(b);
		return 2;
	}
	b->wanted = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 100;
	b->wanted = MIN(MAX(b->wanted, 1u), (unsigned)KEYS_MAX);
	code = run(b, (uint16_t)strtoul(argv[1], NULL, 10));
	if (code == 0) {
		qsort(b->ms, b->keys, sizeof(b->ms[0]), compare);
		printf("{\"case\": \"key to first drawing\", \"unit\": \"ms\", \"median\": %.3f, "
		       "\"min\": %.3f, \"p90\": %.3f, \"keys\": %u}\n",
			b->ms[b->keys / 2], b->ms[0], b->ms[b->keys * 9 / 10], b->keys);
	}
	free(b);
	return code;
}

/* SPDX-License-Identifier: MIT */
/* The pace on a simulated link whose clock is the test's: one bottleneck with a rate, a queue
 * without end, and a delay each way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "channels/server/pace_model.h"
#include "core/util.h"

#define US 1000ull
#define MS 1000000ull
#define S  1000000000ull

enum { STEP_US = 50, PING_BYTES = 18, PONGS_MAX = 4096, ECHO_BYTES = 400 };

struct pong {
	uint32_t id;
	uint64_t at_ns;
};

struct sim {
	struct pace_model model;
	uint64_t now_ns;
	uint64_t bytes_per_s;
	uint64_t delay_ns; /* each way */
	uint64_t jitter_ns; /* at most, added each way */
	uint64_t hiccup_ns; /* one answer in eight is late by so much, and those behind it */
	bool answers;
	uint64_t busy_until_ns;
	uint64_t arrives_ns, pong_ns; /* of the last: the order is kept */
	struct pong pongs[PONGS_MAX];
	uint32_t pong_first, pong_count;
	uint32_t seed;
	uint64_t bytes; /* sent, without pings */
	uint32_t pings;
	uint64_t wait_max_ns; /* in the queue */
	/* What the sender wants: pieces as long as there is room; frames with spare room. */
	uint32_t piece_bytes;
	uint32_t frame_bytes;
	uint64_t frame_every_ns, frame_due_ns;
	uint64_t echo_every_ns, echo_due_ns;
	uint64_t echo_max_ns; /* from when it was due until it is with the viewer */
	uint32_t echoes;
};

static uint64_t jitter(struct sim *sim)
{
	sim->seed = sim->seed * 1664525 + 1013904223;
	return sim->jitter_ns ? (uint64_t)(sim->seed >> 8) * 4096 % sim->jitter_ns : 0;
}

/* Puts bytes on the link; answers when they arrive. */
static uint64_t transmit(struct sim *sim, uint64_t bytes)
{
	uint64_t begin = MAX(sim->now_ns, sim->busy_until_ns);

	sim->wait_max_ns = MAX(sim->wait_max_ns, begin - sim->now_ns);
	sim->busy_until_ns = begin + bytes * S / sim->bytes_per_s;
	sim->arrives_ns = MAX(sim->arrives_ns, sim->busy_until_ns + sim->delay_ns + jitter(sim));
	return sim->arrives_ns;
}

static void ping(struct sim *sim)
{
	uint32_t id = pace_model_ping(&sim->model, PING_BYTES, sim->now_ns);
	uint64_t arrives = transmit(sim, PING_BYTES);

	sim->pings++;
	if (!sim->answers)
		return;
	assert_true(sim->pong_count < PONGS_MAX);
	sim->pong_ns = MAX(sim->pong_ns, arrives + sim->delay_ns + jitter(sim));
	if (sim->hiccup_ns && sim->seed >> 29 == 0)
		sim->pong_ns = MAX(sim->pong_ns, arrives + sim->delay_ns + sim->hiccup_ns);
	sim->pongs[(sim->pong_first + sim->pong_count++) % PONGS_MAX] =
		(struct pong){ id, sim->pong_ns };
}

static uint64_t send(struct sim *sim, uint32_t bytes)
{
	uint64_t arrives = transmit(sim, bytes);

	sim->bytes += bytes;
	if (pace_model_sent(&sim->model, bytes, sim->now_ns))
		ping(sim);
	return arrives;
}

static size_t spare(struct sim *sim)
{
	uint64_t wait_ns;

	return pace_model_spare(&sim->model, sim->now_ns, &wait_ns);
}

static void offer(struct sim *sim)
{
	if ((sim->piece_bytes || sim->frame_bytes ||
		    (sim->echo_every_ns && sim->now_ns >= sim->echo_due_ns)) &&
		pace_model_before(&sim->model, sim->now_ns))
		ping(sim);
	while (sim->echo_every_ns && sim->now_ns >= sim->echo_due_ns &&
		pace_model_room(&sim->model)) {
		uint64_t took = send(sim, ECHO_BYTES) - sim->echo_due_ns;

		sim->echo_max_ns = MAX(sim->echo_max_ns, took);
		sim->echo_due_ns += sim->echo_every_ns;
		sim->echoes++;
	}
	if (sim->frame_bytes && sim->now_ns >= sim->frame_due_ns && spare(sim)) {
		send(sim, sim->frame_bytes);
		sim->frame_due_ns = sim->now_ns + sim->frame_every_ns;
	}
	while (sim->piece_bytes && pace_model_room(&sim->model))
		send(sim, sim->piece_bytes);
}

static void run(struct sim *sim, uint64_t ns)
{
	uint64_t end = sim->now_ns + ns;

	for (; sim->now_ns < end; sim->now_ns += STEP_US * US) {
		while (sim->pong_count && sim->pongs[sim->pong_first].at_ns <= sim->now_ns) {
			uint32_t id = sim->pongs[sim->pong_first].id;

			sim->pong_first = (sim->pong_first + 1) % PONGS_MAX;
			sim->pong_count--;
			if (pace_model_pong(&sim->model, id, sim->now_ns))
				ping(sim);
		}
		offer(sim);
	}
}

/* The share of what the link can carry that was used while it ran, in percent. */
static uint32_t used(struct sim *sim, uint64_t ns)
{
	uint64_t before = sim->bytes;

	sim->wait_max_ns = sim->echo_max_ns = 0;
	run(sim, ns);
	return (uint32_t)((sim->bytes - before) * 100 / (sim->bytes_per_s / 1000 * (ns / MS)));
}

static void begin(struct sim *sim, uint64_t kbit_s, uint64_t delay_us)
{
	memset(sim, 0, sizeof(*sim));
	sim->now_ns = 1234567 * US;
	sim->answers = true;
	sim->bytes_per_s = kbit_s * 1000 / 8;
	sim->delay_ns = delay_us * US;
	pace_model_init(&sim->model);
	ping(sim);
}

#define assert_between(value, low, high) assert_in_range((uint64_t)(value), (low), (high))

/* ---- tests ---- */

static void test_slow_link(void **state)
{
	struct sim sim;

	(void)state;
	begin(&sim, 2000, 50000);
	sim.piece_bytes = 2000;
	run(&sim, 2 * S);
	/* The first window is a guess. */
	assert_between(sim.wait_max_ns / MS, 50, 200);
	assert_between(used(&sim, 60 * S), 93, 101);
	assert_between(sim.wait_max_ns / MS, 0, 60);
	assert_between(sim.model.rate, 230000, 290000);
	assert_between(sim.model.rtt_ns / MS, 100, 105);
}

static void test_fast_links(void **state)
{
	struct sim sim;

	(void)state;
	begin(&sim, 1000 * 1000, 100);
	sim.piece_bytes = 64 << 10;
	run(&sim, S / 10);
	assert_between(used(&sim, 3 * S), 95, 101);
	begin(&sim, 100 * 1000, 50000);
	sim.piece_bytes = 8 << 10;
	run(&sim, 3 * S);
	assert_between(used(&sim, 10 * S), 90, 101);
	assert_between(sim.wait_max_ns / MS, 0, 80);
	/* Nothing hinders and nothing waits: no rate is made up. */
	begin(&sim, 1000 * 1000, 100);
	sim.echo_every_ns = 10 * MS;
	run(&sim, 20 * S);
	assert_int_equal(sim.model.rate, 0);
	assert_true(sim.model.starting);
}

static void test_very_slow_link(void **state)
{
	struct sim sim;

	(void)state;
	begin(&sim, 56, 60000);
	sim.piece_bytes = 500;
	run(&sim, 15 * S); /* the first window alone takes 9 s */
	assert_between(used(&sim, 60 * S), 85, 101);
	assert_between(sim.wait_max_ns / MS, 0, 700);
}

static void test_rate_changes(void **state)
{
	struct sim sim;

	(void)state;
	begin(&sim, 10000, 20000);
	sim.piece_bytes = 2000;
	run(&sim, 5 * S);
	sim.bytes_per_s /= 10;
	sim.wait_max_ns = 0;
	run(&sim, 2 * S);
	assert_between(sim.wait_max_ns / MS, 0, 1000);
	assert_between(used(&sim, 10 * S), 90, 101);
	assert_between(sim.wait_max_ns / MS, 0, 100);
	sim.bytes_per_s *= 10;
	run(&sim, 3 * S);
	assert_between(used(&sim, 10 * S), 90, 101);
	assert_between(sim.wait_max_ns / MS, 0, 100);
}

static void test_way_gets_longer(void **state)
{
	struct sim sim;

	(void)state;
	begin(&sim, 10000, 10000);
	sim.piece_bytes = 2000;
	run(&sim, 5 * S);
	sim.delay_ns = 100 * MS;
	run(&sim, 10 * S);
	assert_between(used(&sim, 10 * S), 85, 101);
	assert_between(sim.model.rtt_ns / MS, 195, 215);
	sim.delay_ns = 10 * MS;
	run(&sim, 5 * S);
	assert_between(used(&sim, 10 * S), 90, 101);
	assert_between(sim.wait_max_ns / MS, 0, 80);
}

static void test_jitter(void **state)
{
	struct sim sim;

	(void)state;
	begin(&sim, 5000, 30000);
	sim.jitter_ns = 20 * MS;
	sim.piece_bytes = 2000;
	run(&sim, 3 * S);
	assert_between(used(&sim, 30 * S), 70, 101);
	assert_between(sim.wait_max_ns / MS, 0, 150);
}

/* A viewer that is busy at times is not taken for another link. */
static void test_busy_viewer(void **state)
{
	static const uint32_t kbits[] = { 512, 2000, 8000 };
	struct sim sim;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kbits); i++) {
		begin(&sim, kbits[i], 5000);
		sim.hiccup_ns = 30 * MS;
		sim.frame_bytes = kbits[i] * 4;
		sim.frame_every_ns = 33 * MS;
		run(&sim, 5 * S);
		for (int n = 0; n < 60; n++) {
			run(&sim, S);
			assert_between(
				sim.model.rate, sim.bytes_per_s / 2, sim.bytes_per_s * 3 / 2);
		}
	}
}

/* Few bytes that a viewer is slow with, busy with its start, tell nothing of the link. */
static void test_slow_start(void **state)
{
	struct sim sim;

	(void)state;
	begin(&sim, 100000, 50);
	sim.echo_every_ns = 20 * MS;
	sim.echo_due_ns = sim.now_ns;
	run(&sim, 50 * MS);
	sim.delay_ns = 150 * MS;
	run(&sim, 650 * MS);
	assert_true(sim.echoes > 20);
	assert_true(!sim.model.rate || sim.model.rate > sim.bytes_per_s / 100);
}

/* A video of a little more than the link carries, and somebody who types beside it. */
static void test_echo_beside_video(void **state)
{
	struct sim sim;

	(void)state;
	begin(&sim, 2000, 50000);
	sim.frame_bytes = 9000;
	sim.frame_every_ns = 33 * MS;
	sim.echo_every_ns = 237 * MS;
	sim.echo_due_ns = sim.now_ns;
	run(&sim, 3 * S);
	assert_between(used(&sim, 60 * S), 70, 101);
	/* Half a round trip, and less than another half in the queue: 1.5 with the key's way. */
	assert_between(sim.echo_max_ns / MS, 50, 100);
	assert_true(sim.echoes > 250);
}

static void test_nothing_when_idle(void **state)
{
	struct sim sim;
	uint32_t pings;

	(void)state;
	begin(&sim, 2000, 50000);
	sim.piece_bytes = 1000;
	run(&sim, 3 * S);
	sim.piece_bytes = 0;
	run(&sim, S);
	pings = sim.pings;
	run(&sim, 30 * S);
	assert_int_equal(sim.pings, pings);
	assert_int_equal(sim.model.count, 0);
	/* What it knew it still knows. */
	sim.piece_bytes = 1000;
	assert_between(used(&sim, 5 * S), 80, 101);
	assert_between(sim.wait_max_ns / MS, 0, 150);
}

static void test_no_answers(void **state)
{
	struct sim sim;

	(void)state;
	begin(&sim, 2000, 50000);
	sim.answers = false;
	sim.piece_bytes = 4000;
	run(&sim, 10 * S);
	assert_between(sim.bytes, PACE_WINDOW_FIRST - 4000, PACE_WINDOW_FIRST + 4000);
	assert_int_equal(pace_model_room(&sim.model), 0);
	sim.piece_bytes = 0;
	pace_model_unanswered(&sim.model);
	assert_true(pace_model_room(&sim.model) > 0);
	send(&sim, 10 << 20);
	assert_true(pace_model_room(&sim.model) > 0);
	assert_true(spare(&sim) > 0);
	/* One that answers late is paced from then on. */
	pace_model_pong(&sim.model, sim.model.next_id, sim.now_ns);
	assert_false(sim.model.unanswered);
}

/* A viewer answers what it likes: no number leaves its bounds, and room comes back. */
static void test_lies(void **state)
{
	struct pace_model model;
	uint64_t now_ns = 5, wait_ns;
	uint32_t seed = 1;

	(void)state;
	pace_model_init(&model);
	pace_model_ping(&model, PING_BYTES, now_ns);
	for (uint32_t i = 0; i < 500000; i++) {
		uint32_t id;

		seed = seed * 1664525 + 1013904223;
		id = seed >> 30 == 0 ? seed >> 3 : model.next_id - (seed >> 8 & 31);
		now_ns += seed >> 20;
		if (seed >> 29 == 1)
			now_ns += (uint64_t)(seed >> 8) * 1000;
		if (seed & 1 << 7) {
			if (pace_model_pong(&model, id, now_ns))
				pace_model_ping(&model, PING_BYTES, now_ns);
		} else if (pace_model_room(&model)) {
			if (pace_model_sent(&model, seed >> 14, now_ns))
				pace_model_ping(&model, PING_BYTES, now_ns);
		}
		if (pace_model_before(&model, now_ns))
			pace_model_ping(&model, PING_BYTES, now_ns);
		if (!pace_model_spare(&model, now_ns, &wait_ns) && !model.count)
			assert_true(wait_ns != UINT64_MAX);
		assert_true(model.count <= PACE_PINGS_MAX);
		assert_true(model.sent >= model.delivered);
		assert_in_range(model.window, PACE_WINDOW_MIN, PACE_WINDOW_MAX);
		/* Never without room and without an answer to wait for. */
		assert_true(model.count || pace_model_room(&model));
	}
}

/* A message of any size, with the ring of pings full, too: room comes back. */
static void test_room_comes_back(void **state)
{
	struct sim sim;

	(void)state;
	begin(&sim, 100 * 1000, 5000);
	for (uint32_t i = 0; i < 2000; i++) {
		uint32_t size = (i * 2654435761u) >> (8 + i % 24);

		for (uint32_t waited = 0; !pace_model_room(&sim.model); waited++) {
			assert_true(waited < 10000);
			run(&sim, MS);
		}
		send(&sim, size);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slow_link),
		cmocka_unit_test(test_fast_links),
		cmocka_unit_test(test_very_slow_link),
		cmocka_unit_test(test_rate_changes),
		cmocka_unit_test(test_way_gets_longer),
		cmocka_unit_test(test_jitter),
		cmocka_unit_test(test_busy_viewer),
		cmocka_unit_test(test_slow_start),
		cmocka_unit_test(test_echo_beside_video),
		cmocka_unit_test(test_nothing_when_idle),
		cmocka_unit_test(test_no_answers),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_room_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

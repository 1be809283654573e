/* SPDX-License-Identifier: MIT */
/* Pings on a viewer's link, and who waits for room. */
#include "channels/server/pace.h"

#include <errno.h>
#include <string.h>

#include "core/log.h"
#include "core/util.h"

enum {
	PING_BYTES = 18, /* with the small header */
	UNANSWERED_MS = 5000,
};

static void ping(struct pace *pace)
{
	uint64_t now_ns = clock_monotonic_ns();
	struct msg_ping msg = { .id = pace_model_ping(&pace->model, PING_BYTES, now_ns),
		.timestamp = now_ns / 1000 };

	link_send_ping(pace->link, SPICE_MSG_PING, &msg);
}

/* All viewers known answer pings on every channel; one that does not is served all the same. */
static void on_timer(void *opaque)
{
	struct pace *pace = opaque;

	log_debug("spice", "a viewer answers no pings: what it is sent is not paced");
	pace_model_unanswered(&pace->model);
	pace->wants_room = pace->wants_spare = false;
	pace->room(pace->opaque);
}

/* There is nothing to spare: sees to it that somebody tells when there is. */
static void await_spare(struct pace *pace, uint64_t wait_ns)
{
	pace->wants_spare = true;
	if (wait_ns != UINT64_MAX)
		loop_timer_arm(pace->spare_timer, wait_ns);
	else if (!pace->model.count)
		ping(pace); /* what is on its way behind the last ping may be there already */
}

static void tell(struct pace *pace)
{
	uint64_t wait_ns = UINT64_MAX;
	bool spare = pace->wants_spare &&
		pace_model_spare(&pace->model, clock_monotonic_ns(), &wait_ns);

	if (spare || (pace->wants_room && pace_model_room(&pace->model))) {
		pace->wants_room = pace->wants_spare = false;
		pace->room(pace->opaque);
	} else if (pace->wants_spare) {
		await_spare(pace, wait_ns);
	}
}

static void on_spare_timer(void *opaque)
{
	tell(opaque);
}

int pace_init(struct pace *pace, struct loop *loop, struct link *link, loop_fn *room, void *opaque)
{
	memset(pace, 0, sizeof(*pace));
	pace->link = link;
	pace->room = room;
	pace->opaque = opaque;
	pace->answer_ns = link_answer_ns(link);
	pace_model_init(&pace->model);
	pace->timer = loop_timer_add(loop, on_timer, pace);
	pace->spare_timer = loop_timer_add(loop, on_spare_timer, pace);
	if (!pace->timer || !pace->spare_timer)
		return -ENOMEM;
	loop_timer_arm(pace->timer, (uint64_t)UNANSWERED_MS * 1000000);
	ping(pace);
	return 0;
}

void pace_answered_within(struct pace *pace, uint64_t answer_ns)
{
	pace->answer_ns = MIN(pace->answer_ns, answer_ns);
}

void pace_finish(struct pace *pace)
{
	if (pace->timer)
		loop_timer_remove(pace->timer);
	if (pace->spare_timer)
		loop_timer_remove(pace->spare_timer);
	pace->timer = pace->spare_timer = NULL;
}

void pace_sent(struct pace *pace, size_t bytes)
{
	if (pace_model_sent(&pace->model, bytes, clock_monotonic_ns()))
		ping(pace);
}

int pace_pong(struct pace *pace, const uint8_t *body, size_t size)
{
	struct msg_pong msg;

	if (!msg_pong_parse(&msg, body, size))
		return -EPROTO;
	if (pace_model_pong(&pace->model, msg.id, clock_monotonic_ns()))
		ping(pace);
	if (pace->model.rtt_ns)
		loop_timer_disarm(pace->timer);
	tell(pace);
	return 0;
}

size_t pace_room(struct pace *pace)
{
	size_t room;

	if (pace_model_before(&pace->model, clock_monotonic_ns()))
		ping(pace);
	room = pace_model_room(&pace->model);
	if (!room)
		pace->wants_room = true;
	return room;
}

size_t pace_spare(struct pace *pace)
{
	uint64_t now_ns = clock_monotonic_ns(), wait_ns;
	size_t spare;

	if (pace_model_before(&pace->model, now_ns))
		ping(pace);
	spare = pace_model_spare(&pace->model, now_ns, &wait_ns);
	if (!spare)
		await_spare(pace, wait_ns);
	return spare;
}

uint64_t pace_rate(const struct pace *pace)
{
	return pace->model.rate;
}

uint32_t pace_rtt_us(const struct pace *pace)
{
	uint64_t rtt_ns = pace->model.rtt_ns ? pace->model.rtt_ns : pace->answer_ns;

	return (uint32_t)MIN(rtt_ns / 1000, (uint64_t)UINT32_MAX);
}

uint32_t pace_queue_us(const struct pace *pace)
{
	return (uint32_t)MIN(pace->model.queue_ns / 1000, (uint64_t)UINT32_MAX);
}

/* SPDX-License-Identifier: MIT */
/* From when pings are answered to how much may be on its way. */
#include "channels/server/pace_model.h"

#include "core/util.h"

#define MS 1000000ull
#define S  1000000000ull

enum {
	QUEUE_MS = 25, /* what may wait on the way, */
	SPARE_MS = 1, /* and before what is less urgent is sent behind it */
	RTT_OLD_MS = 10 * 1000, /* a least round trip not seen for so long is measured anew, */
	RTT_YOUNG_MS = 500, /* at the beginning sooner: one measurement may be a bad one; */
	QUEUE_OLD_MS = 2 * 1000, /* and when the queue seemed too long for so long */
	RTT_NOISE_US = 500,
	DRAIN_MS = 1000, /* for so long what users wait for is sent as ever */
	CLEAN_MIN = 512,
	CLEAN_PINGS = 3,
	RTT_DRIFT_MS = 5,
	WHILE_MS = 50, /* the rate is measured for a round trip, and for so long */
	PING_INTERVAL_MS = 10, /* between pings behind few bytes */
	QUANTUM_MAX = 256 << 10, /* bytes without a ping */
	FIRST_BYTES = 16 << 10, /* fewer tell nothing of a rate: the viewer may be busy with itself */
};

void pace_model_init(struct pace_model *model)
{
	*model = (struct pace_model){ .window = PACE_WINDOW_FIRST, .starting = true };
}

static uint64_t on_the_way(const struct pace_model *model)
{
	return model->sent - model->delivered;
}

/* What a link of that rate takes in a time; both bounded, so that nothing overflows. */
static uint64_t bytes_in(uint64_t rate, uint64_t ns)
{
	return MIN(rate, 1ull << 40) / 1000 * (MIN(ns, 60 * S) / 1000) / 1000;
}

static uint64_t window_of(uint64_t bytes)
{
	return bytes < PACE_WINDOW_MIN    ? PACE_WINDOW_MIN
		: bytes > PACE_WINDOW_MAX ? PACE_WINDOW_MAX
					  : bytes;
}

/* So little on its way that none of it waits. */
static uint64_t clean_window(const struct pace_model *model)
{
	return MAX(bytes_in(model->rate, model->rtt_ns) / 4, (uint64_t)CLEAN_MIN);
}

static uint64_t window_now(const struct pace_model *model)
{
	return model->unanswered      ? UINT64_MAX
		: model->draining_all ? MIN(clean_window(model), model->window)
				      : model->window;
}

/* ---- pings ---- */

static bool rtt_is_old(const struct pace_model *model, uint64_t now_ns)
{
	uint32_t young_ms = (uint32_t)RTT_YOUNG_MS << MIN(model->clean_done, 8u);
	uint32_t old_ms = MIN((uint32_t)RTT_OLD_MS, young_ms);

	return model->rtt_ns && !model->clean_id &&
		(now_ns - model->rtt_known_ns > old_ms * MS ||
			now_ns - model->short_ns > QUEUE_OLD_MS * MS);
}

static void drain(struct pace_model *model, uint64_t now_ns)
{
	if (!model->draining)
		model->draining_ns = now_ns;
	model->draining = true;
	model->draining_all = now_ns - model->draining_ns > DRAIN_MS * MS;
}

static void end_drain(struct pace_model *model)
{
	model->draining = model->draining_all = false;
}

bool pace_model_sent(struct pace_model *model, size_t bytes, uint64_t now_ns)
{
	/* An idle link's queue has gone, seen or not. */
	if (!model->count)
		model->short_ns = now_ns;
	if (model->sent == model->pinged)
		model->first_ns = now_ns;
	model->sent += bytes;
	if (model->rate)
		model->busy_until_ns = MAX(model->busy_until_ns, now_ns) +
			(uint64_t)bytes * 1000000 / MAX(model->rate / 1000, 1ull);
	if (on_the_way(model) >= window_now(model))
		model->held = model->sent;
	if (!model->starting && rtt_is_old(model, now_ns))
		drain(model, now_ns);
	if (model->count == PACE_PINGS_MAX)
		return false;
	/* What fills the window must be answered, or there would never be room again. */
	if (on_the_way(model) >= window_now(model) ||
		model->sent - model->pinged >= MIN(model->window / 8, (uint64_t)QUANTUM_MAX))
		return true;
	return !model->count && now_ns - model->pinged_ns >= PING_INTERVAL_MS * MS;
}

uint32_t pace_model_ping(struct pace_model *model, size_t bytes, uint64_t now_ns)
{
	uint32_t at = (model->first + model->count) % PACE_PINGS_MAX;

	model->pings[at] = (struct pace_ping){
		.id = ++model->next_id,
		.first_ns = model->sent == model->pinged ? now_ns : model->first_ns,
		.sent_ns = now_ns,
		.position = model->sent,
	};
	model->count++;
	model->sent += bytes;
	model->pinged = model->sent;
	model->pinged_ns = now_ns;
	return model->next_id;
}

/* ---- answers ---- */

/* A way that became much longer is learnt as a new one, when several pings in a row say so: that a
 * viewer was busy for a moment is no reason. */
static void learn_clean(struct pace_model *model, uint64_t rtt_ns, uint64_t now_ns)
{
	model->clean_id = 0;
	model->clean_done += model->clean_done < UINT32_MAX;
	if (rtt_ns <= model->rtt_ns + model->rtt_ns / 4 + RTT_DRIFT_MS * MS) {
		model->clean_count = 0;
		model->rtt_known_ns = now_ns;
		return;
	}
	model->clean_ns = model->clean_count++ ? MIN(model->clean_ns, rtt_ns) : rtt_ns;
	if (model->clean_count < CLEAN_PINGS)
		return;
	model->clean_count = 0;
	model->rtt_ns = model->clean_ns;
	model->rtt_known_ns = now_ns;
	model->starting = true;
}

static void learn_rtt(struct pace_model *model, const struct pace_ping *ping, uint64_t now_ns)
{
	uint64_t rtt_ns = MAX(now_ns - ping->sent_ns, 1ull);

	if (!model->rtt_ns || rtt_ns < model->rtt_ns)
		model->rtt_ns = rtt_ns;
	if (rtt_ns <= model->rtt_ns + model->rtt_ns / 20 + RTT_NOISE_US * 1000)
		model->rtt_known_ns = now_ns;
	if (ping->id == model->clean_id)
		learn_clean(model, rtt_ns, now_ns);
	else if (model->clean_id && ping->id - model->clean_id <= INT32_MAX)
		model->clean_id = 0; /* its answer did not come */
	if (model->rtt_known_ns == now_ns)
		end_drain(model);
	model->queue_ns = rtt_ns - MIN(rtt_ns, model->rtt_ns);
	if (model->queue_ns <= 2 * QUEUE_MS * MS)
		model->short_ns = now_ns;
}

/* The rate is that of a busy link: from when the answer before came, or the first of these bytes
 * can have come when nothing was before it, until now, the link was busy with these bytes. */
static void measure(struct pace_model *model, const struct pace_ping *ping, uint64_t now_ns)
{
	uint64_t since_ns = MAX(model->delivered_ns, ping->first_ns + model->rtt_ns);

	model->busy_bytes += ping->position - model->delivered;
	model->busy_ns += now_ns - MIN(since_ns, now_ns);
}

static void learn_rate(struct pace_model *model, bool held, uint64_t now_ns)
{
	uint64_t passed_ns = now_ns - model->while_ns;
	uint64_t rate = model->busy_bytes * 1000 / MAX(model->busy_ns / 1000, 1000ull) * 1000;
	bool busy = model->busy_ns >= passed_ns / 2;

	if (!model->rate) {
		if (model->busy_bytes < FIRST_BYTES && !held)
			return;
		model->rate = rate;
	} else {
		if (passed_ns < MAX(model->rtt_ns, WHILE_MS * MS))
			return;
		/* What an idle link shows is less than it can do: its delays are others'. */
		if (busy || rate > model->rate) {
			model->rate = MAX(rate, model->rate_before);
			model->rate_before = rate;
		}
	}
	model->while_ns = now_ns;
	model->busy_bytes = model->busy_ns = 0;
}

static void size_window(struct pace_model *model, uint64_t arrived, bool held)
{
	uint64_t queue_ns = MAX(QUEUE_MS * MS, model->rtt_ns / 8);
	uint64_t window = window_of(bytes_in(model->rate, model->rtt_ns + queue_ns));

	if (model->starting || !model->rate) {
		if (held)
			model->window = window_of(model->window + arrived);
		return;
	}
	if (model->window >= window)
		model->ramping = false;
	model->window = model->ramping ? MIN(window, model->window + arrived) : window;
}

static void learn(struct pace_model *model, const struct pace_ping *ping, uint64_t now_ns)
{
	uint64_t arrived = ping->position - model->delivered;
	bool held = model->held > model->delivered;

	learn_rtt(model, ping, now_ns);
	measure(model, ping, now_ns);
	if (arrived && model->queue_ns > QUEUE_MS * MS)
		model->starting = false;
	if (!model->starting)
		learn_rate(model, held, now_ns);
	size_window(model, arrived, held);
	model->delivered = ping->position;
	model->delivered_ns = now_ns;
}

/* Whether now is the time to measure the least round trip; then one is under way. */
static bool wants_clean_ping(struct pace_model *model, uint64_t now_ns)
{
	if (!rtt_is_old(model, now_ns)) {
		end_drain(model);
		return false;
	}
	if (model->count && on_the_way(model) > clean_window(model))
		return false;
	model->clean_id = model->next_id + 1;
	if (model->draining_all) {
		model->ramping = true;
		model->window = window_of(clean_window(model));
	}
	end_drain(model);
	return true;
}

bool pace_model_pong(struct pace_model *model, uint32_t id, uint64_t now_ns)
{
	uint32_t nth = id - model->pings[model->first].id;
	struct pace_ping ping;

	if (nth >= model->count)
		return false;
	ping = model->pings[(model->first + nth) % PACE_PINGS_MAX];
	model->first = (model->first + nth + 1) % PACE_PINGS_MAX;
	model->count -= nth + 1;
	model->unanswered = false;
	learn(model, &ping, now_ns);
	/* What has arrived keeps the link busy no more, however slow it was thought to be. */
	if (model->rate)
		model->busy_until_ns = MIN(model->busy_until_ns,
			now_ns + on_the_way(model) * 1000000 / MAX(model->rate / 1000, 1ull));
	return wants_clean_ping(model, now_ns) ||
		(!model->count && on_the_way(model) >= window_now(model));
}

bool pace_model_before(struct pace_model *model, uint64_t now_ns)
{
	return !model->count && wants_clean_ping(model, now_ns);
}

void pace_model_unanswered(struct pace_model *model)
{
	model->unanswered = true;
	end_drain(model);
}

/* ---- room ---- */

static size_t room_in(struct pace_model *model, uint64_t window)
{
	uint64_t away = on_the_way(model);

	if (model->unanswered)
		return PACE_WINDOW_MAX;
	if (away < window)
		return window - away;
	model->held = model->sent;
	return 0;
}

size_t pace_model_room(struct pace_model *model)
{
	return room_in(model, window_now(model));
}

size_t pace_model_spare(struct pace_model *model, uint64_t now_ns, uint64_t *wait_ns)
{
	uint64_t window = model->starting || !model->rate
		? model->window / 2
		: window_of(bytes_in(model->rate, model->rtt_ns + SPARE_MS * MS));

	*wait_ns = UINT64_MAX;
	/* On a link that was idle little is on its way, and all of a burst waits for its beginning. */
	if (!model->starting && !model->unanswered &&
		model->busy_until_ns > now_ns + SPARE_MS * MS) {
		*wait_ns = model->busy_until_ns - now_ns - SPARE_MS * MS;
		return 0;
	}
	if (model->draining)
		window = clean_window(model);
	return room_in(model, MIN(window, window_now(model)));
}

/* SPDX-License-Identifier: MIT */
/* The server as a sink of the display hub: keeps what all viewers share, tells each one's
 * channels. */
#include <string.h>

#include "channels/server/capture.h"
#include "channels/server/server_internal.h"
#include "channels/server/video_detector.h"

static struct spice_server *of_sink(struct display_sink *sink)
{
	return container_of(sink, struct spice_server, display_sink);
}

#define FOR_EACH_CHANNEL(server, channel_type, channel)                                    \
	for (struct session *s_ = (server)->sessions; s_; s_ = s_->next)                   \
		for (struct channel *channel = session_channel(s_, channel_type); channel; \
			channel = NULL)

static void sink_surface_create(struct display_sink *sink, uint32_t id, struct surface *surface)
{
	struct spice_server *server = of_sink(sink);
	struct surface *old = server->surfaces[id].surface;

	server->surfaces[id].surface = surface_ref(surface);
	server->surfaces[id].generation = ++server->generations;
	surface_unref(old);
	capture_share_changed(server->captures);
	video_detector_surface(server->videos, id, surface);
	FOR_EACH_CHANNEL(server, SPICE_CHANNEL_DISPLAY, channel)
	display_channel_surface_create(channel, id);
}

static void sink_surface_destroy(struct display_sink *sink, uint32_t id)
{
	struct spice_server *server = of_sink(sink);

	surface_unref(server->surfaces[id].surface);
	server->surfaces[id] = (struct server_surface){ 0 };
	if (id == DISPLAY_PRIMARY) {
		server->head_count = 0;
		/* Another driver may come, for which the ids mean other pictures. */
		server->image_epoch++;
	}
	capture_share_changed(server->captures);
	video_detector_surface(server->videos, id, NULL);
	FOR_EACH_CHANNEL(server, SPICE_CHANNEL_DISPLAY, channel)
	display_channel_surface_destroy(channel, id);
}

static void sink_draw(struct display_sink *sink, struct draw *draw)
{
	struct spice_server *server = of_sink(sink);

	if (!server->surfaces[draw->surface_id].surface)
		return;
	capture_share_changed(server->captures);
	video_detector_draw(server->videos, draw, clock_monotonic_ns());
	FOR_EACH_CHANNEL(server, SPICE_CHANNEL_DISPLAY, channel)
	display_channel_draw(channel, draw);
}

static void sink_dirty(struct display_sink *sink, uint32_t id, const struct rect *area)
{
	struct spice_server *server = of_sink(sink);

	capture_share_changed(server->captures);
	video_detector_dirty(server->videos, id, area, clock_monotonic_ns());
	FOR_EACH_CHANNEL(server, SPICE_CHANNEL_DISPLAY, channel)
	display_channel_dirty(channel, id, area);
}

static void sink_cursor(struct display_sink *sink, const struct cursor_state *state)
{
	struct spice_server *server = of_sink(sink);

	server->cursor = *state; /* the hub keeps the shape until it gives another */
	FOR_EACH_CHANNEL(server, SPICE_CHANNEL_CURSOR, channel)
	cursor_channel_update(channel);
}

static void sink_monitors(struct display_sink *sink, const struct rect *heads, uint32_t count)
{
	struct spice_server *server = of_sink(sink);

	server->head_count = MIN(count, (uint32_t)PROTO_HEADS_MAX);
	memcpy(server->heads, heads, server->head_count * sizeof(*heads));
	FOR_EACH_CHANNEL(server, SPICE_CHANNEL_DISPLAY, channel)
	display_channel_monitors(channel);
}

const struct display_sink_ops server_display_ops = {
	.surface_create = sink_surface_create,
	.surface_destroy = sink_surface_destroy,
	.draw = sink_draw,
	.dirty = sink_dirty,
	.cursor = sink_cursor,
	.monitors = sink_monitors,
};

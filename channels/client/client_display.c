/* SPDX-License-Identifier: MIT */
/* The display channel: surfaces, marks, caches and monitors. Drawings are client_draw.c's. */
#include <errno.h>
#include <string.h>

#include "channels/client/client_internal.h"
#include "core/util.h"

enum {
	CACHE_PIXELS_DEFAULT = 20 << 20,
	GLZ_PIXELS_DEFAULT = 8 << 20,
	MONITORS_MAX = 16,
};

static struct client_display *of_channel(struct client_channel *channel)
{
	return container_of(channel, struct client_display, base);
}

/* ---- surfaces ---- */

static uint64_t surface_size(const struct surface *surface)
{
	return (uint64_t)surface->height * (uint64_t)surface->stride;
}

static void drop_surface(struct client_display *display, uint32_t id)
{
	struct display_sink *out = display->base.client->out;

	if (!display->surfaces[id])
		return;
	display->surface_bytes -= surface_size(display->surfaces[id]);
	surface_unref(display->surfaces[id]);
	display->surfaces[id] = NULL;
	if (display->streams)
		client_streams_surface_gone(display->streams, id);
	out->ops->surface_destroy(out, id);
}

static int make_surface(struct client_display *display, uint32_t id, enum surface_format format,
	uint32_t width, uint32_t height)
{
	struct display_sink *out = display->base.client->out;
	struct surface *surface;
	uint64_t bytes = (uint64_t)width * height * surface_format_bits(format) / 8;
	int err;

	/* The new one may take what the old one gives back, never more than all may have. */
	if (display->surfaces[id])
		drop_surface(display, id);
	if (bytes + display->surface_bytes > SURFACE_MAX_BYTES)
		return -EPROTO;
	err = surface_create(&surface, format, width, height);
	if (err < 0)
		return err == -EINVAL ? -EPROTO : err;
	display->surfaces[id] = surface;
	display->surface_bytes += surface_size(surface);
	out->ops->surface_create(out, id, surface);
	return 0;
}

static int on_surface_create(struct client_display *display, const uint8_t *body, size_t size)
{
	struct msg_surface_create msg;
	enum surface_format format;

	if (!msg_surface_create_parse(&msg, body, size) || msg.surface_id >= DISPLAY_MAX_SURFACES ||
		proto_surface_format_parse(msg.format, &format) < 0)
		return -EPROTO;
	if (msg.flags & SPICE_SURFACE_FLAGS_PRIMARY && msg.surface_id != DISPLAY_PRIMARY)
		return -EPROTO;
	return make_surface(display, msg.surface_id, format, msg.width, msg.height);
}

static int on_surface_destroy(struct client_display *display, const uint8_t *body, size_t size)
{
	struct msg_surface_destroy msg;

	if (!msg_surface_destroy_parse(&msg, body, size) || msg.surface_id >= DISPLAY_MAX_SURFACES)
		return -EPROTO;
	drop_surface(display, msg.surface_id);
	return 0;
}

/* The way of servers from before off-screen surfaces. */
static int on_mode(struct client_display *display, const uint8_t *body, size_t size)
{
	struct msg_display_mode msg;

	if (!msg_display_mode_parse(&msg, body, size))
		return -EPROTO;
	return make_surface(display, DISPLAY_PRIMARY,
		msg.bits == 16 ? SURFACE_XRGB1555 : SURFACE_XRGB8888, msg.width, msg.height);
}

static int on_mark(struct client_display *display)
{
	if (display->marked || !display->surfaces[DISPLAY_PRIMARY])
		return 0;
	display->marked = true;
	client_tell(display->base.client, SPICE_CLIENT_FIRST_FRAME, NULL);
	return 0;
}

/* ---- caches ---- */

static int on_inval_list(struct client_display *display, const uint8_t *body, size_t size)
{
	struct msg_inval_list msg;

	if (!msg_inval_list_parse(&msg, body, size))
		return -EPROTO;
	for (uint32_t i = 0; i < msg.list.count; i++) {
		struct proto_resource item = proto_resource(&msg.list, i);

		if (item.type == SPICE_RES_TYPE_PIXMAP)
			image_cache_remove(&display->images.cache, item.id);
	}
	return 0;
}

static int on_inval_palette(struct client_display *display, const uint8_t *body, size_t size)
{
	struct msg_inval_one msg;

	if (!msg_inval_one_parse(&msg, body, size))
		return -EPROTO;
	palette_cache_remove(&display->images.palettes, msg.id);
	return 0;
}

/* What the message says to wait for are other display channels, which we do not have. */
static int on_inval_all(struct client_display *display, const uint8_t *body, size_t size)
{
	struct msg_wait_for_channels msg;

	if (!msg_wait_for_channels_parse(&msg, body, size))
		return -EPROTO;
	image_cache_clear(&display->images.cache);
	return 0;
}

/* ---- monitors ---- */

static int on_monitors(struct client_display *display, const uint8_t *body, size_t size)
{
	struct display_sink *out = display->base.client->out;
	struct msg_monitors_config msg;
	struct rect heads[MONITORS_MAX];
	uint32_t count = 0;

	if (!msg_monitors_config_parse(&msg, body, size))
		return -EPROTO;
	for (uint32_t i = 0; i < msg.list.count && count < MONITORS_MAX; i++) {
		const struct proto_head *head = &msg.list.items[i];

		if (head->surface_id != DISPLAY_PRIMARY || head->width > SURFACE_MAX_SIDE ||
			head->height > SURFACE_MAX_SIDE || head->x > SURFACE_MAX_SIDE ||
			head->y > SURFACE_MAX_SIDE)
			continue;
		heads[count++] = rect_make((int32_t)head->x, (int32_t)head->y, (int32_t)head->width,
			(int32_t)head->height);
	}
	if (out->ops->monitors)
		out->ops->monitors(out, heads, count);
	return 0;
}

/* ---- the channel ---- */

void client_display_skip(struct client_display *display, uint16_t type)
{
	uint64_t bit = 1ull << (type % 64);

	if (display->skipped & bit)
		return;
	display->skipped |= bit;
	log_warn("spice", "display: messages of type %u are not supported yet and left out", type);
}

/* SPICE_IMAGE_COMPRESSION_* to ask the server for; INVALID: it is not asked. */
static uint8_t wanted_compression(const struct spice_client *client)
{
	static const uint8_t wanted[] = {
		[SPICE_CLIENT_COMPRESSION_SERVER] = SPICE_IMAGE_COMPRESSION_INVALID,
		[SPICE_CLIENT_COMPRESSION_OFF] = SPICE_IMAGE_COMPRESSION_OFF,
		[SPICE_CLIENT_COMPRESSION_AUTO_GLZ] = SPICE_IMAGE_COMPRESSION_AUTO_GLZ,
		[SPICE_CLIENT_COMPRESSION_AUTO_LZ] = SPICE_IMAGE_COMPRESSION_AUTO_LZ,
		[SPICE_CLIENT_COMPRESSION_QUIC] = SPICE_IMAGE_COMPRESSION_QUIC,
		[SPICE_CLIENT_COMPRESSION_GLZ] = SPICE_IMAGE_COMPRESSION_GLZ,
		[SPICE_CLIENT_COMPRESSION_LZ] = SPICE_IMAGE_COMPRESSION_LZ,
		[SPICE_CLIENT_COMPRESSION_LZ4] = SPICE_IMAGE_COMPRESSION_LZ4,
	};

	if (client->options.compression != SPICE_CLIENT_COMPRESSION_AUTO)
		return wanted[client->options.compression];
	/* On this machine packing costs more than it spares. */
	return dial_is_local(client->dial) ? SPICE_IMAGE_COMPRESSION_OFF
					   : SPICE_IMAGE_COMPRESSION_INVALID;
}

static void display_up(struct client_channel *channel)
{
	struct client_display *display = of_channel(channel);
	struct msg_display_init init = { .pixmap_cache_id = 1,
		.pixmap_cache_size = (int64_t)display->images.cache.limit_pixels,
		.glz_dictionary_id = 1,
		.glz_window_size = (int32_t)display->images.glz_pixels };
	struct msg_preferred_compression preferred = { wanted_compression(channel->client) };

	display->marked = false;
	if (preferred.compression != SPICE_IMAGE_COMPRESSION_INVALID &&
		link_peer_has_cap(channel->link, SPICE_DISPLAY_CAP_PREF_COMPRESSION))
		link_send_preferred_compression(
			channel->link, SPICE_MSGC_DISPLAY_PREFERRED_COMPRESSION, &preferred);
	link_send_display_init(channel->link, SPICE_MSGC_DISPLAY_INIT, &init);
	link_flush(channel->link);
	client_main_open_rest(channel->client);
}

static int display_message(
	struct client_channel *channel, uint16_t type, const uint8_t *body, size_t size)
{
	struct client_display *display = of_channel(channel);

	switch (type) {
	case SPICE_MSG_DISPLAY_MODE: return on_mode(display, body, size);
	case SPICE_MSG_DISPLAY_MARK: return on_mark(display);
	case SPICE_MSG_DISPLAY_RESET:
		for (uint32_t id = 0; id < DISPLAY_MAX_SURFACES; id++)
			drop_surface(display, id);
		palette_cache_clear(&display->images.palettes);
		return 0;
	case SPICE_MSG_DISPLAY_INVAL_LIST: return on_inval_list(display, body, size);
	case SPICE_MSG_DISPLAY_INVAL_ALL_PIXMAPS: return on_inval_all(display, body, size);
	case SPICE_MSG_DISPLAY_INVAL_PALETTE: return on_inval_palette(display, body, size);
	case SPICE_MSG_DISPLAY_INVAL_ALL_PALETTES:
		palette_cache_clear(&display->images.palettes);
		return 0;
	case SPICE_MSG_DISPLAY_SURFACE_CREATE: return on_surface_create(display, body, size);
	case SPICE_MSG_DISPLAY_SURFACE_DESTROY: return on_surface_destroy(display, body, size);
	case SPICE_MSG_DISPLAY_MONITORS_CONFIG: return on_monitors(display, body, size);
	default: break;
	}
	if (client_streams_takes(type))
		return client_streams_message(display->streams, type, body, size);
	return client_display_draw(display, type, body, size);
}

static const struct client_channel_ops display_ops = {
	.type = SPICE_CHANNEL_DISPLAY,
	.name = "display",
	.caps = 1u << SPICE_DISPLAY_CAP_MONITORS_CONFIG | 1u << SPICE_DISPLAY_CAP_LZ4_COMPRESSION |
		1u << SPICE_DISPLAY_CAP_PREF_COMPRESSION | 1u << SPICE_DISPLAY_CAP_SIZED_STREAM |
		1u << SPICE_DISPLAY_CAP_STREAM_REPORT | 1u << SPICE_DISPLAY_CAP_MULTI_CODEC |
		1u << SPICE_DISPLAY_CAP_CODEC_MJPEG | 1u << SPICE_DISPLAY_CAP_CODEC_VP8 |
		1u << SPICE_DISPLAY_CAP_PREF_VIDEO_CODEC_TYPE | 1u << SPICE_DISPLAY_CAP_COMPOSITE |
		1u << SPICE_DISPLAY_CAP_A8_SURFACE,
	.up = display_up,
	.message = display_message,
};

void client_display_init(struct spice_client *client)
{
	client_channel_init(&client->display.base, client, &display_ops);
}

static void send_report(void *opaque, const struct msg_stream_report *report)
{
	struct client_display *display = opaque;

	if (link_peer_has_cap(display->base.link, SPICE_DISPLAY_CAP_STREAM_REPORT))
		link_send_stream_report(
			display->base.link, SPICE_MSGC_DISPLAY_STREAM_REPORT, report);
}

int client_display_prepare(struct spice_client *client)
{
	struct client_display *display = &client->display;
	const struct client_streams_config streams = {
		.loop = client->loop, .out = client->out, .report = send_report, .opaque = display
	};
	uint32_t cache_pixels = client->options.cache_bytes / 4;
	int err;

	display->images.glz_pixels = client->options.glz_window_bytes / 4;
	if (!display->images.glz_pixels)
		display->images.glz_pixels = GLZ_PIXELS_DEFAULT;
	display->images.cache.limit_pixels = cache_pixels ? cache_pixels : CACHE_PIXELS_DEFAULT;
	err = client_streams_create(&display->streams, &streams);
	return err ? err : glz_window_create(&display->images.glz, display->images.glz_pixels);
}

static void describe(const struct client_display *display)
{
	char text[512];

	if (!log_enabled(LOG_DEBUG))
		return;
	client_images_describe(&display->images, text, sizeof(text));
	log_debug("spice", "display: images received: %s", text);
	client_draws_describe(display, text, sizeof(text));
	log_debug("spice", "display: drawings received: %s", text);
	if (!display->streams)
		return;
	client_streams_describe(display->streams, text, sizeof(text));
	log_debug("spice", "display: streams received: %s", text);
}

/* The last picture stays in the hub, for who shows it; the next session replaces it. */
void client_display_finish(struct spice_client *client)
{
	struct client_display *display = &client->display;

	for (uint32_t id = DISPLAY_PRIMARY + 1; id < DISPLAY_MAX_SURFACES; id++)
		drop_surface(display, id);
	surface_unref(display->surfaces[DISPLAY_PRIMARY]);
	describe(display);
	client_streams_destroy(display->streams);
	image_cache_clear(&display->images.cache);
	palette_cache_finish(&display->images.palettes);
	glz_window_destroy(display->images.glz);
}

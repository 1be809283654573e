/* SPDX-License-Identifier: MIT */
/* One viewer's pictures. */
#include "channels/server/picture.h"

#include <errno.h>
#include <stdlib.h>

#include "channels/server/picture_share.h"

struct picture {
	struct image_sender *sender; /* NULL: gone */
	struct image *image;
	struct rect area; /* what is sent of it */
	struct shared_picture *shared;
	struct picture_waiter waiter;
	loop_fn *ready;
	void *opaque;
};

int image_sender_init(struct image_sender *sender, struct spice_server *server, struct link *link,
	const struct msg_display_init *init, const struct pace *pace)
{
	*sender = (struct image_sender){
		.server = server,
		.link = link,
		.pace = pace,
		.preferred = SPICE_IMAGE_COMPRESSION_INVALID,
	};
	return 0;
}

void image_sender_finish(struct image_sender *sender)
{
	sender->link = NULL;
}

int image_sender_prefer(struct image_sender *sender, uint8_t compression)
{
	if (compression == SPICE_IMAGE_COMPRESSION_INVALID ||
		compression >= SPICE_IMAGE_COMPRESSION_ENUM_END)
		return -EPROTO;
	sender->preferred = compression;
	return 0;
}

static struct encode_settings settings_for(const struct image_sender *sender)
{
	struct encode_settings settings = {
		.compression = sender->server->config.compression,
		.lz4 = link_peer_has_cap(sender->link, SPICE_DISPLAY_CAP_LZ4_COMPRESSION),
	};

	if (sender->preferred == SPICE_IMAGE_COMPRESSION_OFF)
		settings.compression = SPICE_SERVER_COMPRESSION_OFF;
	return settings;
}

static void on_ready(void *opaque)
{
	struct picture *picture = opaque;

	picture->ready(picture->opaque);
}

struct picture *image_sender_begin(struct image_sender *sender, struct image *image,
	const struct rect *area, enum surface_format target, uint32_t flags, loop_fn *ready,
	void *opaque)
{
	struct rect bounds = { 0, 0, (int32_t)image->width, (int32_t)image->height };
	struct encode_settings settings = settings_for(sender);
	struct picture *picture = calloc(1, sizeof(*picture));

	if (!picture)
		return NULL;
	picture->sender = sender;
	picture->area = flags & (PICTURE_WHOLE | PICTURE_MASK) ||
			image_format_palette(image->format) || rect_empty(area) ||
			!rect_contains(&bounds, area)
		? bounds
		: *area;
	picture->ready = ready;
	picture->opaque = opaque;
	picture->waiter.ready = on_ready;
	picture->waiter.opaque = picture;
	picture->shared = picture_share_get(
		sender->server->pictures, image, &picture->area, &settings, &picture->waiter);
	if (!picture->shared) {
		free(picture);
		return NULL;
	}
	picture->image = image_ref(image);
	return picture;
}

bool picture_ready(const struct picture *picture)
{
	return shared_picture_encoded(picture->shared) != NULL;
}

bool picture_lossy(const struct picture *picture)
{
	return false;
}

size_t picture_bytes(const struct picture *picture)
{
	const struct encoded *encoded = shared_picture_encoded(picture->shared);

	if (encoded->type == SPICE_IMAGE_TYPE_BITMAP)
		return (size_t)encoded->stride * encoded->height +
			(size_t)4 * image_format_palette(encoded->format);
	return encoded->bytes.size;
}

static void describe_bitmap(
	struct proto_image *wire, const struct encoded *encoded, const struct image *image)
{
	wire->bitmap.format = proto_bitmap_format(encoded->format);
	wire->bitmap.top_down = true;
	wire->bitmap.width = encoded->width;
	wire->bitmap.height = encoded->height;
	wire->bitmap.stride = encoded->stride;
	wire->bitmap.data.data = encoded->bytes.size ? buf_bytes(&encoded->bytes) : image->data;
	wire->bitmap.data.size = (size_t)encoded->stride * encoded->height;
	wire->bitmap.palette.count = (uint16_t)image_format_palette(encoded->format);
	wire->bitmap.palette.id = image->palette_id;
	wire->bitmap.palette.ents = (const uint8_t *)image->palette;
}

void picture_describe(struct picture *picture, struct proto_image *wire, struct rect *area)
{
	const struct encoded *encoded = shared_picture_encoded(picture->shared);

	*wire = (struct proto_image){
		.present = true,
		.id = picture->image->id,
		.type = encoded->type,
		.width = encoded->width,
		.height = encoded->height,
	};
	if (encoded->type == SPICE_IMAGE_TYPE_BITMAP) {
		describe_bitmap(wire, encoded, picture->image);
	} else {
		wire->packed.data = buf_bytes(&encoded->bytes);
		wire->packed.size = encoded->bytes.size;
	}
	if (encoded->type != SPICE_IMAGE_TYPE_BITMAP || encoded->bytes.size) {
		area->left -= picture->area.left;
		area->right -= picture->area.left;
		area->top -= picture->area.top;
		area->bottom -= picture->area.top;
	}
	server_stats_add(
		&picture->sender->server->stats.images[encoded->type], picture_bytes(picture));
}

void picture_unref(struct picture *picture)
{
	if (!picture)
		return;
	shared_picture_unref(picture->shared, &picture->waiter);
	image_unref(picture->image);
	free(picture);
}

/* SPDX-License-Identifier: MIT */
/* Captured pixels, for as long as nothing changes within a turn of the loop. */
#include "channels/server/capture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"

enum { CAPTURES_MAX = 32 };

struct capture_share {
	struct display *display;
	struct loop_idle *idle;
	uint32_t count;
	uint32_t next; /* to be replaced when all are taken */
	struct {
		uint32_t id;
		struct rect area;
		struct image *image;
	} captures[CAPTURES_MAX];
};

void capture_share_changed(struct capture_share *share)
{
	for (uint32_t i = 0; i < share->count; i++)
		image_unref(share->captures[i].image);
	share->count = share->next = 0;
}

/* The turn is over: nobody asks for the same again. */
static void on_idle(void *opaque)
{
	capture_share_changed(opaque);
}

int capture_share_create(struct capture_share **out, struct loop *loop, struct display *display)
{
	struct capture_share *share = calloc(1, sizeof(*share));

	if (!share)
		return -ENOMEM;
	share->display = display;
	share->idle = loop_idle_add(loop, on_idle, share);
	if (!share->idle) {
		free(share);
		return -ENOMEM;
	}
	*out = share;
	return 0;
}

void capture_share_destroy(struct capture_share *share)
{
	if (!share)
		return;
	capture_share_changed(share);
	loop_idle_remove(share->idle);
	free(share);
}

/* Coverage stays coverage. */
static int capture_a8(struct image **out, const struct surface *surface, const struct rect *area)
{
	size_t width = (size_t)rect_width(area);
	int ret = image_create(out, IMAGE_A8, (uint32_t)width, (uint32_t)rect_height(area));

	for (uint32_t y = 0; ret == 0 && y < (*out)->height; y++)
		memcpy((*out)->data + (size_t)(*out)->stride * y,
			surface_row(surface, (uint32_t)area->top + y) + area->left, width);
	return ret;
}

static int capture(
	struct display *display, uint32_t id, const struct rect *area, struct image **out)
{
	struct surface *surface;
	struct rect bounds;
	int ret = -ENOENT;

	display_lock(display);
	surface = display_sync(display, id, area);
	bounds = surface ? surface_bounds(surface) : (struct rect){ 0 };
	if (rect_contains(&bounds, area) && !rect_empty(area))
		ret = surface->format == SURFACE_A8 ? capture_a8(out, surface, area)
						    : image_from_surface(out, surface, area);
	display_unlock(display);
	return ret;
}

int capture_share_get(
	struct capture_share *share, uint32_t id, const struct rect *area, struct image **out)
{
	uint32_t at;
	int ret;

	for (uint32_t i = 0; i < share->count; i++) {
		if (share->captures[i].id == id && rect_equal(&share->captures[i].area, area)) {
			*out = image_ref(share->captures[i].image);
			return 0;
		}
	}
	ret = capture(share->display, id, area, out);
	if (ret < 0)
		return ret;
	at = share->next++ % CAPTURES_MAX;
	if (at < share->count)
		image_unref(share->captures[at].image);
	share->count = MAX(share->count, at + 1);
	share->captures[at].id = id;
	share->captures[at].area = *area;
	share->captures[at].image = image_ref(*out);
	loop_idle_schedule(share->idle);
	return 0;
}

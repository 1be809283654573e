/* SPDX-License-Identifier: MIT */
/* What tests of the display channel draw with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client_scene.h"

struct proto_base scene_base_of(int32_t x, int32_t y, int32_t width, int32_t height)
{
	return (struct proto_base){ .box = rect_make(x, y, width, height) };
}

struct msg_draw_fill scene_fill_of(int32_t x, int32_t y, int32_t w, int32_t h, uint32_t color)
{
	return (struct msg_draw_fill){ .base = scene_base_of(x, y, w, h),
		.brush = { .type = SPICE_BRUSH_TYPE_SOLID, .color = color },
		.rop = SPICE_ROPD_OP_PUT };
}

struct proto_image scene_bitmap_of(
	uint8_t format, uint32_t width, uint32_t height, uint32_t stride, const void *data)
{
	return (struct proto_image){ .present = true,
		.type = SPICE_IMAGE_TYPE_BITMAP,
		.width = width,
		.height = height,
		.bitmap = { .format = format,
			.top_down = true,
			.width = width,
			.height = height,
			.stride = stride,
			.data = { data, (size_t)stride * height } } };
}

struct msg_draw_copy scene_copy_of(int32_t x, int32_t y, const struct proto_image *image)
{
	return (struct msg_draw_copy){ .base = scene_base_of(
					       x, y, (int32_t)image->width, (int32_t)image->height),
		.source = *image,
		.area = { 0, 0, (int32_t)image->width, (int32_t)image->height },
		.rop = SPICE_ROPD_OP_PUT };
}

void scene_send_fill(struct stage *stage, const struct msg_draw_fill *fill)
{
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_DRAW_FILL, draw_fill, *fill);
}

void scene_send_copy(struct stage *stage, const struct msg_draw_copy *copy)
{
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_DRAW_COPY, draw_copy, *copy);
}

void scene_create_surface(
	struct stage *stage, uint32_t id, uint32_t width, uint32_t height, uint32_t format)
{
	STAGE_SEND(stage, DISPLAY, SPICE_MSG_DISPLAY_SURFACE_CREATE, surface_create,
		{ id, width, height, format, id == 0 ? SPICE_SURFACE_FLAGS_PRIMARY : 0 });
}

void scene_assert_alive(struct stage *stage)
{
	assert_int_equal(stage->events[SPICE_CLIENT_DISCONNECTED], 0);
}

void scene_assert_ended(struct stage *stage)
{
	stage_turn(stage, &stage->events[SPICE_CLIENT_DISCONNECTED]);
	assert_non_null(strstr(stage->reason, "broke the SPICE protocol"));
}

int scene_setup(void **state)
{
	struct stage *stage = malloc(sizeof(*stage));

	stage_open(stage);
	stage_bring_up(stage);
	scene_create_surface(stage, 0, WIDTH, HEIGHT, SPICE_SURFACE_FMT_32_xRGB);
	*state = stage;
	return 0;
}

int scene_teardown(void **state)
{
	stage_close(*state);
	free(*state);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* A client that shows an empty surface, and short ways to say the commonest messages. */
#ifndef TESTS_CHANNELS_CLIENT_SCENE_H
#define TESTS_CHANNELS_CLIENT_SCENE_H

#include "client_stage.h"

#define DISPLAY SPICE_CHANNEL_DISPLAY

enum { WIDTH = 64, HEIGHT = 48, RED = 0xff0000, GREEN = 0x00ff00, BLUE = 0x0000ff };

/* For cmocka: the stage with all channels up and a primary surface of WIDTH x HEIGHT. */
int scene_setup(void **state);
int scene_teardown(void **state);

struct proto_base scene_base_of(int32_t x, int32_t y, int32_t width, int32_t height);
struct msg_draw_fill scene_fill_of(int32_t x, int32_t y, int32_t w, int32_t h, uint32_t color);
/* Rows from the top down. */
struct proto_image scene_bitmap_of(
	uint8_t format, uint32_t width, uint32_t height, uint32_t stride, const void *data);
/* The whole image at (x, y). */
struct msg_draw_copy scene_copy_of(int32_t x, int32_t y, const struct proto_image *image);
void scene_send_fill(struct stage *stage, const struct msg_draw_fill *fill);
void scene_send_copy(struct stage *stage, const struct msg_draw_copy *copy);
void scene_create_surface(
	struct stage *stage, uint32_t id, uint32_t width, uint32_t height, uint32_t format);
void scene_assert_alive(struct stage *stage);
/* The client ended because the server broke the protocol. */
void scene_assert_ended(struct stage *stage);

#endif

/* SPDX-License-Identifier: MIT */
/* What several scenes share. */
#include "scene.h"

void scene_ready(const struct qxl *qxl)
{
	log_line("READY %dx%d", qxl->width, qxl->height);
	machine_input_init();
	log_line("INPUT");
}

void scene_log_event(const struct event *event, int32_t x, int32_t y)
{
	static int log = -1;

	if (log < 0)
		log = option_number("log", 0);
	if (!log)
		return;
	if (event->type == EVENT_KEY)
		log_line("key %x", event->key);
	else if (event->type == EVENT_POINTER)
		log_line("mouse %d %d %x", x, y, event->buttons);
}

void scene_pointer_move(
	const struct event *event, int32_t *x, int32_t *y, int32_t width, int32_t height)
{
	if (event->absolute) {
		*x = (int64_t)event->x * (width - 1) / 65535;
		*y = (int64_t)event->y * (height - 1) / 65535;
	} else {
		*x += event->x;
		*y += event->y;
	}
	*x = min32(max32(*x, 0), width - 1);
	*y = min32(max32(*y, 0), height - 1);
}

/* 24 x 24, premultiplied ARGB: a light arrow with a dark edge. */
void scene_cursor_set(struct qxl *qxl, int32_t x, int32_t y)
{
	enum { SIZE = 24 };
	static const float tip[][2] = { { 2, 2 }, { 2, 19 }, { 6.5f, 15 }, { 10, 21.5f },
		{ 12.5f, 20 }, { 9.5f, 14 }, { 15, 13.5f } };
	static uint32_t shade[SIZE * SIZE], bits[SIZE * SIZE];
	struct image image = { shade, SIZE, SIZE, SIZE };

	/* Inside by the even-odd rule, 4 x 4 samples; the edge as lines. */
	for (int32_t i = 0; i < SIZE * SIZE; i++) {
		uint32_t inside = 0;

		for (int sample = 0; sample < 16; sample++) {
			float px = i % SIZE + (sample % 4 + 0.5f) / 4;
			float py = i / SIZE + (sample / 4 + 0.5f) / 4;
			bool in = false;

			for (unsigned a = 0, b = ARRAY_SIZE(tip) - 1; a < ARRAY_SIZE(tip);
				b = a++) {
				if ((tip[a][1] > py) != (tip[b][1] > py) &&
					px < (tip[b][0] - tip[a][0]) * (py - tip[a][1]) /
								(tip[b][1] - tip[a][1]) +
							tip[a][0])
					in = !in;
			}
			inside += in;
		}
		bits[i] = inside * 16 - (inside != 0);
		shade[i] = 0;
	}
	for (unsigned a = 0, b = ARRAY_SIZE(tip) - 1; a < ARRAY_SIZE(tip); b = a++)
		image_line(&image, tip[a][0], tip[a][1], tip[b][0], tip[b][1], 1.6f, 0xff);
	for (int32_t i = 0; i < SIZE * SIZE; i++) {
		uint32_t edge = shade[i] & 0xff, body = bits[i];
		uint32_t alpha = edge > body ? edge : body;
		uint32_t light = body * (255 - edge) / 255; /* premultiplied by the body's share */
		uint32_t dark = min32(light + alpha / 10, alpha);

		bits[i] = alpha << 24 | light << 16 | light << 8 | dark;
	}
	qxl_cursor_set(qxl, SPICE_CURSOR_TYPE_ALPHA, SIZE, SIZE, 2, 2, bits, sizeof(bits), x, y);
}

void scene_plasma(struct image *image, uint32_t frame)
{
	static float column[2560], column_far[2560];
	float t = frame * (1.0f / 240);

	for (int32_t x = 0; x < image->width && x < 2560; x++) {
		float u = (float)x / image->width;

		column[x] = sine(u * 1.1f + t * 1.3f);
		column_far[x] = sine(u * 2.3f - t * 2.1f + 0.2f);
	}
	for (int32_t y = 0; y < image->height; y++) {
		uint32_t *row = image->pixels + y * image->stride;
		float v = (float)y / image->height;
		float base = sine(v * 0.9f - t) + sine(v * 1.9f + t * 1.7f);

		for (int32_t x = 0; x < image->width; x++) {
			float h = base + column[x] + column_far[x] * (0.6f + 0.4f * v);
			float s = sine(h * 0.18f + t * 0.5f), c = sine(h * 0.31f + 0.25f);
			int32_t r = 128 + (int32_t)(s * 110), g = 70 + (int32_t)(c * 60);
			int32_t b = 150 + (int32_t)(sine(h * 0.23f + 0.6f) * 100);

			row[x] = rgb(r, g, b);
		}
	}
}

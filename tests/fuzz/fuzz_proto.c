/* SPDX-License-Identifier: MIT */
/* Every message's parser, each on the whole input. What is taken must come out of the packer so that
 * it is taken again. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "channels/proto/messages.h"
#include "codecs/lz4.h"
#include "core/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_at_image(const struct proto_image *image)
{
	static uint8_t out[1 << 16];
	struct lz4_image lz4;
	uint32_t sum = 0;

	if (!image->present)
		return;
	if (image->type == SPICE_IMAGE_TYPE_LZ4 &&
		lz4_image_parse(&lz4, image->packed.data, image->packed.size) == 0)
		(void)lz4_image_decode(&lz4, out, sizeof(out));
	if (image->type == SPICE_IMAGE_TYPE_BITMAP)
		for (size_t i = 0; i < image->bitmap.data.size; i++)
			sum += image->bitmap.data.data[i];
	if (image->type == SPICE_IMAGE_TYPE_BITMAP)
		for (size_t i = 0; i < image->bitmap.palette.count * 4u; i++)
			sum += image->bitmap.palette.ents[i];
	out[0] = (uint8_t)sum;
}

/* Views in messages are read here, so that the sanitizer sees where they lead. */
static void look_at_base(const struct proto_base *base)
{
	struct region region;

	region_init(&region);
	(void)proto_clip_region(&base->clip, &region);
	region_finish(&region);
}

static void look(const struct msg_draw_copy *copy)
{
	look_at_base(&copy->base);
	look_at_image(&copy->source);
	look_at_image(&copy->mask.image);
}

static void look_at_fill(const struct msg_draw_fill *fill)
{
	look_at_base(&fill->base);
	look_at_image(&fill->brush.pattern);
	look_at_image(&fill->mask.image);
}

static void look_at_stroke(const struct msg_draw_stroke *stroke)
{
	struct draw *draw;

	look_at_base(&stroke->base);
	look_at_image(&stroke->brush.pattern);
	for (uint32_t i = 0; i < stroke->line.dash_count; i++)
		(void)proto_line_dash(&stroke->line, i);
	if (draw_create(&draw, DRAW_STROKE, 0, &stroke->base.box) < 0 ||
		proto_path_make(&stroke->path, &draw->stroke.path) < 0)
		abort();
	draw_unref(draw);
}

static void look_at_text(const struct msg_draw_text *text)
{
	struct draw *draw;

	look_at_base(&text->base);
	look_at_image(&text->brush.pattern);
	look_at_image(&text->back_brush.pattern);
	if (draw_create(&draw, DRAW_TEXT, 0, &text->base.box) < 0 ||
		proto_string_make(&text->string, &draw->text.string) < 0)
		abort();
	draw_unref(draw);
}

#define FIELD(kind, name)
#define ONE(name, fields)                                                                     \
	static void try_##name(const uint8_t *body, size_t size)                              \
	{                                                                                     \
		struct msg_##name msg, again;                                                 \
		struct buf packed = { 0 };                                                    \
                                                                                              \
		if (msg_##name##_parse(&msg, body, size)) {                                   \
			if (msg_##name##_pack(&packed, &msg) == 0 &&                          \
				!msg_##name##_parse(&again, buf_bytes(&packed), packed.size)) \
				abort();                                                      \
		}                                                                             \
		buf_finish(&packed);                                                          \
	}
PROTO_MESSAGES(ONE, FIELD)

static void (*const tries[])(const uint8_t *, size_t) = {
#define ROW(name, fields) try_##name,
	PROTO_MESSAGES(ROW, FIELD)
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct msg_draw_copy copy;
	struct msg_draw_fill fill;
	struct msg_draw_stroke stroke;
	struct msg_draw_text text;
	struct msg_draw_composite composite;

	for (size_t i = 0; i < ARRAY_SIZE(tries); i++)
		tries[i](data, size);
	if (msg_draw_copy_parse(&copy, data, size))
		look(&copy);
	if (msg_draw_fill_parse(&fill, data, size))
		look_at_fill(&fill);
	if (msg_draw_stroke_parse(&stroke, data, size))
		look_at_stroke(&stroke);
	if (msg_draw_text_parse(&text, data, size))
		look_at_text(&text);
	if (msg_draw_composite_parse(&composite, data, size)) {
		look_at_image(&composite.composite.source);
		look_at_image(&composite.composite.mask);
	}
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* Every message's parser: the first byte chooses the message, the rest is its body. What is
 * taken must come out of the packer so that it is taken again. */
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

	if (base->clip.count > 256)
		return;
	region_init(&region);
	proto_clip_region(&base->clip, &region);
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

	if (size == 0)
		return 0;
	tries[data[0] % ARRAY_SIZE(tries)](data + 1, size - 1);
	if (msg_draw_copy_parse(&copy, data + 1, size - 1))
		look(&copy);
	if (msg_draw_fill_parse(&fill, data + 1, size - 1))
		look_at_fill(&fill);
	return 0;
}

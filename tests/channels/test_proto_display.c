/* SPDX-License-Identifier: MIT */
/* The display channel's messages: what is packed is parsed as it was, cut and damaged ones are
 * refused, and counts are capped. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "channels/proto/messages.h"
#include "core/util.h"

static const uint8_t pixels[4 * 4 * 4] = { 1, 2, 3, 4, 5 };
static const uint8_t packed[7] = { 'p', 'a', 'c', 'k', 'e', 'd', '!' };
static const uint8_t colours[4 * 4] = { 9, 8, 7, 0, 6, 5, 4, 0 };
static const struct rect box = { 10, 20, 30, 40 };

static struct proto_image image_of(uint8_t type)
{
	struct proto_image image = {
		.present = true, .id = 0x1234567890, .type = type, .width = 4, .height = 4
	};

	switch (type) {
	case SPICE_IMAGE_TYPE_BITMAP:
		image.bitmap.format = SPICE_BITMAP_FMT_32BIT;
		image.bitmap.width = image.bitmap.height = 4;
		image.bitmap.stride = 16;
		image.bitmap.data = (struct wire_bytes){ pixels, sizeof(pixels) };
		break;
	case SPICE_IMAGE_TYPE_SURFACE: image.surface_id = 7; break;
	case SPICE_IMAGE_TYPE_FROM_CACHE:
	case SPICE_IMAGE_TYPE_FROM_CACHE_LOSSLESS: break;
	case SPICE_IMAGE_TYPE_LZ_PLT:
		image.lz_palette.top_down = true;
		image.lz_palette.palette.cache_me = true;
		image.lz_palette.palette.id = 99;
		image.lz_palette.palette.count = 4;
		image.lz_palette.palette.ents = colours;
		image.lz_palette.data = (struct wire_bytes){ packed, sizeof(packed) };
		break;
	case SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB:
		image.zlib_glz.glz_size = 1234;
		image.zlib_glz.data = (struct wire_bytes){ packed, sizeof(packed) };
		break;
	case SPICE_IMAGE_TYPE_JPEG_ALPHA:
		image.jpeg_alpha.top_down = true;
		image.jpeg_alpha.jpeg_size = 5;
		image.jpeg_alpha.data = (struct wire_bytes){ packed, sizeof(packed) };
		break;
	default: image.packed = (struct wire_bytes){ packed, sizeof(packed) };
	}
	return image;
}

static struct proto_brush pattern_of(uint8_t type)
{
	return (struct proto_brush){
		.type = SPICE_BRUSH_TYPE_PATTERN, .pattern = image_of(type), .origin = { -5, 6 }
	};
}

static struct proto_mask mask(void)
{
	return (struct proto_mask){ .flags = SPICE_MASK_FLAGS_INVERS,
		.origin = { 1, 2 },
		.image = image_of(SPICE_IMAGE_TYPE_FROM_CACHE) };
}

/* ---- one message of each kind, as large as can be ---- */

static struct path_segment segments[] = {
	{ PATH_BEGIN, 0, 2 },
	{ PATH_BEZIER, 2, 3 },
	{ PATH_END | PATH_CLOSE, 5, 1 },
};
static struct path_point points[] = { { 16, -16 }, { 1, 2 }, { 3, 4 }, { 5, 6 }, { 7, 8 },
	{ -9, 1 << 30 } };
static struct draw_path path = { segments, ARRAY_SIZE(segments), points, ARRAY_SIZE(points) };
static const int32_t dashes[] = { 48, 16, 0x7fffffff };
static struct glyph glyphs[] = {
	{ .position = { 3, 4 }, .origin = { -1, -7 }, .width = 9, .height = 2, .offset = 0 },
	{ .position = { 13, 4 }, .origin = { 0, -7 }, .width = 0, .height = 5, .offset = 10 },
	{ .position = { 23, 4 }, .origin = { 1, -7 }, .width = 3, .height = 1, .offset = 10 },
};
static uint8_t bits[12] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
static struct text_string string = { .depth = 4,
	.count = ARRAY_SIZE(glyphs),
	.glyphs = glyphs,
	.bits = bits,
	.size = sizeof(bits) };

static int pack_opaque(struct buf *body)
{
	struct msg_draw_opaque msg = { .base.box = box,
		.source = image_of(SPICE_IMAGE_TYPE_GLZ_RGB),
		.area = { 1, 2, 3, 4 },
		.brush = pattern_of(SPICE_IMAGE_TYPE_JPEG),
		.rop = SPICE_ROPD_OP_AND,
		.scale_mode = SPICE_IMAGE_SCALE_MODE_NEAREST,
		.mask = mask() };

	return msg_draw_opaque_pack(body, &msg);
}

static int pack_rop3(struct buf *body)
{
	struct msg_draw_rop3 msg = { .base.box = box,
		.source = image_of(SPICE_IMAGE_TYPE_LZ_PLT),
		.brush = pattern_of(SPICE_IMAGE_TYPE_QUIC),
		.rop3 = 0xb8,
		.mask = mask() };

	return msg_draw_rop3_pack(body, &msg);
}

static int pack_transparent(struct buf *body)
{
	struct msg_draw_transparent msg = { .base.box = box,
		.source = image_of(SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB),
		.source_color = 0x1f,
		.true_color = 0xff };

	return msg_draw_transparent_pack(body, &msg);
}

static int pack_alpha_blend(struct buf *body)
{
	struct msg_draw_alpha_blend msg = { .base.box = box,
		.flags = SPICE_ALPHA_FLAGS_DEST_HAS_ALPHA,
		.alpha = 200,
		.source = image_of(SPICE_IMAGE_TYPE_JPEG_ALPHA) };

	return msg_draw_alpha_blend_pack(body, &msg);
}

static int pack_stroke(struct buf *body)
{
	struct msg_draw_stroke msg = { .base.box = box,
		.path.path = &path,
		.line = { .flags = SPICE_LINE_FLAGS_STYLED | SPICE_LINE_FLAGS_START_WITH_GAP,
			.dash_count = ARRAY_SIZE(dashes),
			.dashes = dashes },
		.brush = pattern_of(SPICE_IMAGE_TYPE_LZ4),
		.rop = SPICE_ROPD_OP_XOR,
		.back_rop = SPICE_ROPD_OP_OR };

	return msg_draw_stroke_pack(body, &msg);
}

static int pack_text(struct buf *body)
{
	struct msg_draw_text msg = { .base.box = box,
		.string = { .flags = proto_string_flags(string.depth), .string = &string },
		.back_area = { 5, 6, 7, 8 },
		.brush = pattern_of(SPICE_IMAGE_TYPE_LZ_RGB),
		.back_brush = pattern_of(SPICE_IMAGE_TYPE_BITMAP),
		.rop = SPICE_ROPD_OP_PUT,
		.back_rop = SPICE_ROPD_OP_OR };

	return msg_draw_text_pack(body, &msg);
}

static int pack_composite(struct buf *body)
{
	struct msg_draw_composite msg = { .base.box = box,
		.composite = { .flags = 3 | SPICE_COMPOSITE_HAS_MASK |
				SPICE_COMPOSITE_HAS_SRC_TRANSFORM |
				SPICE_COMPOSITE_HAS_MASK_TRANSFORM,
			.source = image_of(SPICE_IMAGE_TYPE_SURFACE),
			.mask = image_of(SPICE_IMAGE_TYPE_FROM_CACHE_LOSSLESS),
			.source_transform = { { 1, 2, 3 }, { 4, 5, -6 } },
			.mask_transform = { { 7, 8, 9 }, { 10, 11, -12 } },
			.source_origin = { -3, 4 },
			.mask_origin = { 5, -6 } } };

	return msg_draw_composite_pack(body, &msg);
}

static int pack_stream_create(struct buf *body)
{
	struct region region;
	struct msg_stream_create msg = { .surface_id = 1,
		.stream_id = 2,
		.flags = SPICE_STREAM_FLAGS_TOP_DOWN,
		.codec = SPICE_VIDEO_CODEC_TYPE_VP8,
		.stamp = 3,
		.stream_width = 4,
		.stream_height = 5,
		.source_width = 6,
		.source_height = 7,
		.dest = box,
		.clip = { .clipped = true, .region = &region } };
	int err;

	region_init_rect(&region, &box);
	err = msg_stream_create_pack(body, &msg);
	region_finish(&region);
	return err;
}

static int pack_stream_data(struct buf *body)
{
	struct msg_stream_data msg = { .stream_id = 2, .mm_time = 77, .data = { packed, 7 } };

	return msg_stream_data_pack(body, &msg);
}

static int pack_stream_data_sized(struct buf *body)
{
	struct msg_stream_data_sized msg = { .stream_id = 2,
		.mm_time = 77,
		.width = 8,
		.height = 9,
		.dest = box,
		.data = { packed, 7 } };

	return msg_stream_data_sized_pack(body, &msg);
}

static int pack_stream_clip(struct buf *body)
{
	struct region region;
	struct msg_stream_clip msg = { .stream_id = 2,
		.clip = { .clipped = true, .region = &region } };
	struct rect other = { 40, 20, 50, 40 };
	int err;

	region_init_rect(&region, &box);
	region_add_rect(&region, &other);
	err = msg_stream_clip_pack(body, &msg);
	region_finish(&region);
	return err;
}

static int pack_stream_destroy(struct buf *body)
{
	return msg_stream_destroy_pack(body, &(struct msg_stream_destroy){ .stream_id = 2 });
}

static int pack_activate_report(struct buf *body)
{
	return msg_stream_activate_report_pack(
		body, &(struct msg_stream_activate_report){ 2, 3, 4, 5 });
}

static int pack_stream_report(struct buf *body)
{
	return msg_stream_report_pack(
		body, &(struct msg_stream_report){ 2, 3, 4, 5, 6, 7, -8, 0xffffffff });
}

static int pack_inval_list(struct buf *body)
{
	static const struct proto_resource items[] = { { SPICE_RES_TYPE_PIXMAP, 1ull << 60 },
		{ SPICE_RES_TYPE_PIXMAP, 2 } };

	return msg_inval_list_pack(body, &(struct msg_inval_list){ { 2, NULL, items } });
}

static int pack_waits(struct buf *body)
{
	static const struct proto_wait items[] = { { SPICE_CHANNEL_DISPLAY, 1, 1ull << 33 } };

	return msg_wait_for_channels_pack(
		body, &(struct msg_wait_for_channels){ { 1, NULL, items } });
}

#define REPACK(name)                                                        \
	static bool repack_##name(struct buf *out, const void *b, size_t n) \
	{                                                                   \
		struct msg_##name msg;                                      \
                                                                            \
		return msg_##name##_parse(&msg, b, n) &&                    \
			(!out || msg_##name##_pack(out, &msg) == 0);        \
	}
REPACK(draw_fill)
REPACK(draw_copy)
REPACK(draw_masked)
REPACK(draw_opaque)
REPACK(draw_rop3)
REPACK(draw_transparent)
REPACK(draw_alpha_blend)
REPACK(draw_stroke)
REPACK(draw_text)
REPACK(draw_composite)
REPACK(stream_create)
REPACK(stream_data)
REPACK(stream_data_sized)
REPACK(stream_clip)
REPACK(stream_destroy)
REPACK(stream_activate_report)
REPACK(stream_report)
REPACK(inval_list)
REPACK(wait_for_channels)

static const struct {
	int (*pack)(struct buf *body);
	bool (*repack)(struct buf *out, const void *b, size_t n);
	size_t size; /* on the wire, as spice.proto adds up */
} messages[] = {
	{ pack_opaque, repack_draw_opaque, 21 + 4 + 16 + 13 + 2 + 1 + 13 + 2 * (18 + 4 + 7) + 18 },
	{ pack_rop3, repack_draw_rop3,
		21 + 4 + 16 + 13 + 1 + 1 + 13 + (18 + 9 + 7 + 10 + 16) + (18 + 4 + 7) + 18 },
	{ pack_transparent, repack_draw_transparent, 21 + 4 + 16 + 8 + 18 + 8 + 7 },
	{ pack_alpha_blend, repack_draw_alpha_blend, 21 + 2 + 4 + 16 + 18 + 9 + 7 },
	{ pack_stroke, repack_draw_stroke,
		21 + 4 + 6 + 13 + 4 + (4 + 3 * 5 + 6 * 8) + 3 * 4 + (18 + 4 + 7) },
	{ pack_text, repack_draw_text,
		21 + 4 + 16 + 2 * 13 + 4 + (3 + 3 * 20 + 12) + (18 + 4 + 7) + (18 + 18 + 64) },
	{ pack_composite, repack_draw_composite, 21 + 4 + 8 + 2 * 24 + 8 + 22 + 18 },
	{ pack_stream_create, repack_stream_create, 4 + 4 + 2 + 8 + 16 + 16 + 5 + 16 },
	{ pack_stream_data, repack_stream_data, 12 + 7 },
	{ pack_stream_data_sized, repack_stream_data_sized, 8 + 8 + 16 + 4 + 7 },
	{ pack_stream_clip, repack_stream_clip, 4 + 5 + 32 },
	{ pack_stream_destroy, repack_stream_destroy, 4 },
	{ pack_activate_report, repack_stream_activate_report, 16 },
	{ pack_stream_report, repack_stream_report, 32 },
	{ pack_inval_list, repack_inval_list, 2 + 18 },
	{ pack_waits, repack_wait_for_channels, 1 + 10 },
};

/* Packed, parsed, and packed again: the same bytes, as many as the protocol has. */
static void test_round_trip(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		struct buf body = { 0 }, again = { 0 };

		assert_int_equal(messages[i].pack(&body), 0);
		if (body.size != messages[i].size)
			fail_msg("message %zu has %zu bytes", i, body.size);
		if (!messages[i].repack(&again, buf_bytes(&body), body.size) ||
			again.size != body.size ||
			memcmp(buf_bytes(&again), buf_bytes(&body), body.size))
			fail_msg("message %zu came back otherwise", i);
		buf_finish(&body);
		buf_finish(&again);
	}
}

/* Memory of exactly that size shows a read beyond it to the sanitizer. */
static void test_truncated(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		struct buf body = { 0 };

		assert_int_equal(messages[i].pack(&body), 0);
		for (size_t cut = 0; cut < body.size; cut++) {
			uint8_t *copy = malloc(MAX(cut, (size_t)1));

			memcpy(copy, buf_bytes(&body), cut);
			if (messages[i].repack(NULL, copy, cut))
				fail_msg("message %zu of %zu bytes is taken", i, cut);
			free(copy);
		}
		buf_finish(&body);
	}
}

/* Every byte in turn made something else: what is taken can be packed, nothing is read outside. */
static void test_damaged(void **state)
{
	static const uint8_t values[] = { 0, 1, 0x7f, 0x80, 0xff };

	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		struct buf body = { 0 };
		uint8_t *copy;

		assert_int_equal(messages[i].pack(&body), 0);
		copy = malloc(body.size);
		for (size_t at = 0; at < body.size * ARRAY_SIZE(values); at++) {
			struct buf again = { 0 };

			memcpy(copy, buf_bytes(&body), body.size);
			copy[at / ARRAY_SIZE(values)] = values[at % ARRAY_SIZE(values)];
			messages[i].repack(&again, copy, body.size);
			buf_finish(&again);
		}
		free(copy);
		buf_finish(&body);
	}
}

/* ---- golden bytes ---- */

static const struct {
	uint16_t type;
	bool (*repack)(struct buf *out, const void *b, size_t n);
} golden[] = {
	{ SPICE_MSG_DISPLAY_DRAW_FILL, repack_draw_fill },
	{ SPICE_MSG_DISPLAY_DRAW_OPAQUE, repack_draw_opaque },
	{ SPICE_MSG_DISPLAY_DRAW_COPY, repack_draw_copy },
	{ SPICE_MSG_DISPLAY_DRAW_BLEND, repack_draw_copy },
	{ SPICE_MSG_DISPLAY_DRAW_BLACKNESS, repack_draw_masked },
	{ SPICE_MSG_DISPLAY_DRAW_WHITENESS, repack_draw_masked },
	{ SPICE_MSG_DISPLAY_DRAW_INVERS, repack_draw_masked },
	{ SPICE_MSG_DISPLAY_DRAW_ROP3, repack_draw_rop3 },
	{ SPICE_MSG_DISPLAY_DRAW_STROKE, repack_draw_stroke },
	{ SPICE_MSG_DISPLAY_DRAW_TEXT, repack_draw_text },
	{ SPICE_MSG_DISPLAY_DRAW_TRANSPARENT, repack_draw_transparent },
	{ SPICE_MSG_DISPLAY_DRAW_ALPHA_BLEND, repack_draw_alpha_blend },
	{ SPICE_MSG_DISPLAY_DRAW_COMPOSITE, repack_draw_composite },
};

/* One of libspice-server's: packed again it is the same, cut anywhere it is refused. */
static void check_golden(const char *name, size_t g)
{
	char file[512];
	uint8_t *data, *cut;
	size_t size;
	struct buf again = { 0 };

	snprintf(file, sizeof(file), "%s/golden/spice/%s", SPICEBOX_TESTS_DIR, name);
	assert_int_equal(file_read_all(file, 1 << 16, &data, &size), 0);
	if (!golden[g].repack(&again, data, size) || again.size != size ||
		memcmp(buf_bytes(&again), data, size))
		fail_msg("%s is packed otherwise", name);
	for (size_t n = 0; n < size; n += 1 + n / 64) {
		cut = malloc(MAX(n, (size_t)1));
		memcpy(cut, data, n);
		if (golden[g].repack(NULL, cut, n))
			fail_msg("%zu bytes of %s are taken", n, name);
		free(cut);
	}
	buf_finish(&again);
	free(data);
}

static void test_golden(void **state)
{
	struct dirent **names;
	uint32_t seen[ARRAY_SIZE(golden)] = { 0 };
	int count = scandir(SPICEBOX_TESTS_DIR "/golden/spice", &names, NULL, alphasort);

	assert_true(count > 0);
	for (int i = 0; i < count; i++) {
		const char *name = names[i]->d_name;

		/* The others' names end in numbers, and are test_proto.c's. */
		for (size_t g = 0; g < ARRAY_SIZE(golden); g++) {
			char start[64];

			snprintf(start, sizeof(start), "display-server-%u-", golden[g].type);
			if (strncmp(name, start, strlen(start)) || name[strlen(start)] <= '9')
				continue;
			check_golden(name, g);
			seen[g]++;
		}
		free(names[i]);
	}
	free(names);
	for (size_t g = 0; g < ARRAY_SIZE(golden); g++)
		assert_in_range(seen[g], 3, 99);
}

/* ---- what core gets ---- */

static void test_path(void **state)
{
	struct msg_draw_stroke msg;
	struct draw_path out = { 0 };
	struct buf body = { 0 };

	assert_int_equal(pack_stroke(&body), 0);
	assert_true(msg_draw_stroke_parse(&msg, buf_bytes(&body), body.size));
	assert_int_equal(msg.line.dash_count, ARRAY_SIZE(dashes));
	for (uint32_t i = 0; i < ARRAY_SIZE(dashes); i++)
		assert_int_equal(proto_line_dash(&msg.line, i), dashes[i]);
	assert_int_equal(proto_path_make(&msg.path, &out), 0);
	assert_int_equal(out.segment_count, path.segment_count);
	assert_int_equal(out.point_count, path.point_count);
	assert_memory_equal(out.segments, segments, sizeof(segments));
	assert_memory_equal(out.points, points, sizeof(points));
	free(out.segments);
	free(out.points);
	buf_finish(&body);
}

static void test_string(void **state)
{
	static const uint8_t depths[] = { 1, 4, 8 };
	struct msg_draw_text msg;
	struct text_string out = { 0 };
	struct buf body = { 0 };

	assert_int_equal(pack_text(&body), 0);
	assert_true(msg_draw_text_parse(&msg, buf_bytes(&body), body.size));
	assert_int_equal(proto_string_make(&msg.string, &out), 0);
	assert_int_equal(out.depth, 4);
	assert_int_equal(out.count, string.count);
	for (uint32_t i = 0; i < out.count; i++) {
		const struct glyph *glyph = &out.glyphs[i];

		assert_memory_equal(&glyph->position, &glyphs[i].position, sizeof(struct point));
		assert_memory_equal(&glyph->origin, &glyphs[i].origin, sizeof(struct point));
		assert_int_equal(glyph->width, glyphs[i].width);
		assert_int_equal(glyph->height, glyphs[i].height);
		assert_memory_equal(out.bits + glyph->offset, bits + glyphs[i].offset,
			glyph_row_bytes(4, glyph->width) * glyph->height);
	}
	for (size_t i = 0; i < ARRAY_SIZE(depths); i++)
		assert_int_equal(proto_string_depth(proto_string_flags(depths[i])), depths[i]);
	free(out.glyphs);
	free(out.bits);
	buf_finish(&body);
}

static void test_composite_without(void **state)
{
	struct msg_draw_composite msg = { .composite.source = image_of(SPICE_IMAGE_TYPE_QUIC),
		.composite.mask_origin = { 5, -6 } };
	struct msg_draw_composite again;
	struct buf body = { 0 };

	assert_int_equal(msg_draw_composite_pack(&body, &msg), 0);
	assert_int_equal(body.size, 21 + 4 + 4 + 8 + 18 + 4 + 7);
	assert_true(msg_draw_composite_parse(&again, buf_bytes(&body), body.size));
	assert_false(again.composite.mask.present);
	assert_int_equal(again.composite.mask_origin.x, 5);
	assert_int_equal(again.composite.mask_origin.y, -6);
	buf_finish(&body);
}

/* ---- counts ---- */

/* A stroke whose path says these counts, with zeros enough behind. */
static bool path_is_taken(uint32_t segment_count, uint32_t point_count)
{
	struct msg_draw_stroke msg;
	struct wire_writer w;
	struct buf body = { 0 };
	bool taken;

	wire_writer_init(&w, &body);
	wire_write_zero(&w, 21);
	wire_write_u32(&w, 40);
	wire_write_zero(&w, 15);
	wire_write_u32(&w, segment_count);
	wire_write_u8(&w, 0);
	wire_write_u32(&w, point_count);
	wire_write_zero(&w, 400000);
	taken = msg_draw_stroke_parse(&msg, buf_bytes(&body), body.size);
	buf_finish(&body);
	return taken;
}

static bool clip_is_taken(uint32_t count, bool ordered)
{
	struct msg_stream_clip msg;
	struct wire_writer w;
	struct buf body = { 0 };
	bool taken;

	wire_writer_init(&w, &body);
	wire_write_u32(&w, 1);
	wire_write_u8(&w, SPICE_CLIP_TYPE_RECTS);
	wire_write_u32(&w, count);
	for (int32_t i = 0; i < (int32_t)count; i++) {
		int32_t y = ordered ? i / 8 : -i;
		struct rect rect = rect_make(i % 8, y, 1, 1);

		wire_write_i32(&w, rect.top);
		wire_write_i32(&w, rect.left);
		wire_write_i32(&w, rect.bottom);
		wire_write_i32(&w, rect.right);
	}
	taken = msg_stream_clip_parse(&msg, buf_bytes(&body), body.size);
	if (taken) {
		struct region region;

		region_init(&region);
		assert_int_equal(proto_clip_region(&msg.clip, &region), 0);
		assert_false(region_empty(&region));
		region_finish(&region);
	}
	buf_finish(&body);
	return taken;
}

static void test_counts_are_capped(void **state)
{
	assert_true(path_is_taken(1, PATH_POINTS_MAX));
	assert_false(path_is_taken(1, PATH_POINTS_MAX + 1));
	assert_false(path_is_taken(1, 0xffffffff));
	assert_true(path_is_taken(PATH_POINTS_MAX, 0));
	assert_false(path_is_taken(PATH_POINTS_MAX + 1, 0));
	assert_true(clip_is_taken(PROTO_CLIP_ANY_MAX, false));
	assert_false(clip_is_taken(PROTO_CLIP_ANY_MAX + 1, false));
	assert_true(clip_is_taken(PROTO_CLIP_RECTS_MAX, true));
	assert_false(clip_is_taken(PROTO_CLIP_RECTS_MAX + 1, true));
}

/* A null pointer where something must be, and a string of no raster or of none known. */
static void test_refused(void **state)
{
	struct msg_draw_stroke stroke;
	struct msg_draw_text text;
	struct buf body = { 0 };
	uint8_t bytes[1024];

	assert_int_equal(pack_stroke(&body), 0);
	assert_in_range(body.size, 25, sizeof(bytes));
	memcpy(bytes, buf_bytes(&body), body.size);
	assert_true(msg_draw_stroke_parse(&stroke, bytes, body.size));
	memset(bytes + 21, 0, 4);
	assert_false(msg_draw_stroke_parse(&stroke, bytes, body.size));
	buf_clear(&body);
	assert_int_equal(pack_text(&body), 0);
	assert_true(msg_draw_text_parse(&text, buf_bytes(&body), body.size));
	buf_bytes(&body)[21 + 4 + 16 + 26 + 4 + 2] = SPICE_STRING_FLAGS_RASTER_TOP_DOWN;
	assert_false(msg_draw_text_parse(&text, buf_bytes(&body), body.size));
	buf_finish(&body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_string),
		cmocka_unit_test(test_composite_without),
		cmocka_unit_test(test_counts_are_capped),
		cmocka_unit_test(test_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

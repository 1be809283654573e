/* SPDX-License-Identifier: MIT */
/* Messages: bytes of others' programs, what we pack ourselves, and what is wrong with either. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "channels/proto/messages.h"
#include "core/util.h"

/* ---- every message of the table, by its name ---- */

union any_message {
#define FIELD(kind, name)
#define MEMBER(name, fields) struct msg_##name name;
	PROTO_MESSAGES(MEMBER, FIELD)
#undef MEMBER
};

#define THUNKS(name, fields)                                                    \
	static bool parse_##name(union any_message *m, const void *b, size_t n) \
	{                                                                       \
		return msg_##name##_parse(&m->name, b, n);                      \
	}                                                                       \
	static int pack_##name(struct buf *b, const union any_message *m)       \
	{                                                                       \
		return msg_##name##_pack(b, &m->name);                          \
	}
PROTO_MESSAGES(THUNKS, FIELD)

static const struct {
	const char *name;
	bool (*parse)(union any_message *m, const void *b, size_t n);
	int (*pack)(struct buf *b, const union any_message *m);
} messages[] = {
#define ROW(name, fields) { #name, parse_##name, pack_##name },
	PROTO_MESSAGES(ROW, FIELD)
#undef ROW
};

/* ---- golden bytes ---- */

static const struct {
	const char *file;
	const char *message;
} golden[] = {
	{ "cursor-client-1-1", "ack_sync" },
	{ "cursor-client-3-1", "pong" },
	{ "cursor-server-101-1", "cursor_init" },
	{ "cursor-server-3-1", "set_ack" },
	{ "cursor-server-4-1", "ping" },
	{ "display-client-101-1", "display_init" },
	{ "display-server-304-2", "draw_copy" },
	{ "display-server-314-1", "surface_create" },
	{ "display-server-317-1", "monitors_config" },
	{ "inputs-client-103-1", "key_modifiers" },
	{ "inputs-client-104-2", "key_scancode" },
	{ "inputs-client-112-1", "mouse_position" },
	{ "inputs-client-113-1", "mouse_button" },
	{ "inputs-client-114-1", "mouse_button" },
	{ "inputs-server-101-1", "key_modifiers" },
	{ "inputs-server-102-1", "key_modifiers" },
	{ "main-server-103-1", "main_init" },
	{ "main-server-104-1", "channels_list" },
	{ "main-server-113-1", "name" },
	{ "main-server-114-1", "uuid" },
};

static uint8_t *read_golden(const char *name, size_t *size)
{
	char path[512];
	uint8_t *data;

	snprintf(path, sizeof(path), "%s/golden/spice/%s.bin", SPICEBOX_TESTS_DIR, name);
	assert_int_equal(file_read_all(path, 1 << 16, &data, size), 0);
	return data;
}

static size_t find_message(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++)
		if (strcmp(messages[i].name, name) == 0)
			return i;
	fail_msg("no message %s", name);
	return 0;
}

/* Parsed and packed again, others' bytes come out as they were. */
static void test_golden_round_trip(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(golden); i++) {
		size_t m = find_message(golden[i].message), size;
		uint8_t *data = read_golden(golden[i].file, &size);
		struct buf body = { 0 };
		union any_message msg;

		if (!messages[m].parse(&msg, data, size))
			fail_msg("%s is refused", golden[i].file);
		assert_int_equal(messages[m].pack(&body, &msg), 0);
		if (body.size != size || memcmp(buf_bytes(&body), data, size) != 0)
			fail_msg("%s is packed otherwise", golden[i].file);
		buf_finish(&body);
		free(data);
	}
}

/* Every message of the table against every golden file cut at every length: memory of exactly that
 * size shows a read beyond to the sanitizer, and the right message cut is refused. */
static void test_golden_truncated(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(golden); i++) {
		size_t right = find_message(golden[i].message), size;
		uint8_t *data = read_golden(golden[i].file, &size);
		/* These take whatever there is. */
		bool open_end = strcmp(golden[i].message, "key_scancode") == 0 ||
			strcmp(golden[i].message, "ping") == 0;

		for (size_t cut = 0; cut <= size; cut++) {
			uint8_t *copy = malloc(cut ? cut : 1);

			memcpy(copy, data, cut);
			for (size_t m = 0; m < ARRAY_SIZE(messages); m++) {
				union any_message msg;
				bool ok = messages[m].parse(&msg, copy, cut);

				if (m == right && cut < size && !open_end && ok)
					fail_msg("%s of %zu bytes is taken", golden[i].file, cut);
			}
			free(copy);
		}
		free(data);
	}
}

static void test_golden_values(void **state)
{
	union any_message m;
	uint8_t *data;
	size_t size;

	data = read_golden("main-server-103-1", &size);
	assert_true(msg_main_init_parse(&m.main_init, data, size));
	assert_int_equal(m.main_init.session_id, 0xe33bd327);
	assert_int_equal(m.main_init.supported_mouse_modes, SPICE_MOUSE_MODE_SERVER);
	assert_int_equal(m.main_init.agent_tokens, 10);
	free(data);

	data = read_golden("main-server-104-1", &size);
	assert_true(msg_channels_list_parse(&m.channels_list, data, size));
	assert_int_equal(m.channels_list.list.count, 3);
	assert_int_equal(m.channels_list.list.items[0].type, SPICE_CHANNEL_DISPLAY);
	free(data);

	data = read_golden("main-server-113-1", &size);
	assert_true(msg_name_parse(&m.name, data, size));
	assert_int_equal(m.name.name.size, 7);
	assert_string_equal((const char *)m.name.name.data, "golden");
	free(data);

	data = read_golden("display-server-304-2", &size);
	assert_true(msg_draw_copy_parse(&m.draw_copy, data, size));
	assert_int_equal(m.draw_copy.base.box.top, 394);
	assert_int_equal(m.draw_copy.base.box.left, 360);
	assert_int_equal(m.draw_copy.base.box.bottom, 396);
	assert_int_equal(m.draw_copy.base.box.right, 378);
	assert_false(m.draw_copy.base.clip.clipped);
	assert_int_equal(m.draw_copy.rop, SPICE_ROPD_OP_PUT);
	assert_true(m.draw_copy.source.present);
	assert_int_equal(m.draw_copy.source.type, SPICE_IMAGE_TYPE_BITMAP);
	assert_int_equal(m.draw_copy.source.bitmap.format, SPICE_BITMAP_FMT_32BIT);
	assert_int_equal(m.draw_copy.source.bitmap.stride, 72);
	assert_true(m.draw_copy.source.bitmap.top_down);
	assert_int_equal(m.draw_copy.source.bitmap.data.size, 144);
	assert_int_equal(m.draw_copy.source.bitmap.data.data[12], 0xa8);
	assert_false(m.draw_copy.mask.image.present);
	free(data);

	data = read_golden("cursor-server-101-1", &size);
	assert_true(msg_cursor_init_parse(&m.cursor_init, data, size));
	assert_int_equal(m.cursor_init.visible, 1);
	assert_int_equal(m.cursor_init.cursor.flags, SPICE_CURSOR_FLAGS_NONE);
	free(data);
}

/* ---- what no capture has ---- */

static const uint8_t pixels[4 * 4 * 4] = { 1, 2, 3, 4, 5 };
static const uint8_t palette[256 * 4] = { 9, 8, 7, 0, 6, 5, 4, 0 };

static struct proto_image bitmap(uint8_t format, uint32_t stride)
{
	struct proto_image image = { .present = true, .id = 77, .width = 4, .height = 4 };

	image.bitmap.format = format;
	image.bitmap.top_down = true;
	image.bitmap.width = image.bitmap.height = 4;
	image.bitmap.stride = stride;
	image.bitmap.data.data = pixels;
	image.bitmap.data.size = 4 * stride;
	return image;
}

static void pack_full_fill(struct buf *body, struct region *clip)
{
	struct msg_draw_fill fill = {
		.base = { .surface_id = 3,
			.box = { 10, 20, 30, 40 },
			.clip = { .clipped = true, .region = clip } },
		.brush = { .type = SPICE_BRUSH_TYPE_PATTERN, .origin = { 1, -1 } },
		.rop = SPICE_ROPD_OP_XOR,
		.mask = { .flags = SPICE_MASK_FLAGS_INVERS, .origin = { 2, 3 } },
	};

	fill.brush.pattern = bitmap(SPICE_BITMAP_FMT_8BIT, 4);
	fill.brush.pattern.bitmap.palette.count = 256;
	fill.brush.pattern.bitmap.palette.id = 5;
	fill.brush.pattern.bitmap.palette.ents = palette;
	fill.mask.image = bitmap(SPICE_BITMAP_FMT_1BIT_BE, 1);
	assert_int_equal(msg_draw_fill_pack(body, &fill), 0);
}

/* Two images, a palette behind one of them, and a clip: all found again. */
static void test_pointers(void **state)
{
	struct rect a = { 10, 20, 15, 40 }, b = { 20, 20, 30, 25 };
	struct region clip, again;
	struct buf body = { 0 };
	struct msg_draw_fill fill;

	region_init(&clip);
	region_add_rect(&clip, &a);
	region_add_rect(&clip, &b);
	pack_full_fill(&body, &clip);
	assert_true(msg_draw_fill_parse(&fill, buf_bytes(&body), body.size));
	assert_int_equal(fill.base.surface_id, 3);
	assert_int_equal(fill.brush.origin.y, -1);
	assert_int_equal(fill.brush.pattern.bitmap.palette.count, 256);
	assert_int_equal(fill.brush.pattern.bitmap.palette.id, 5);
	assert_memory_equal(fill.brush.pattern.bitmap.palette.ents, palette, sizeof(palette));
	assert_memory_equal(fill.brush.pattern.bitmap.data.data, pixels, 16);
	assert_int_equal(fill.mask.flags, SPICE_MASK_FLAGS_INVERS);
	assert_int_equal(fill.mask.image.bitmap.format, SPICE_BITMAP_FMT_1BIT_BE);
	region_init(&again);
	proto_clip_region(&fill.base.clip, &again);
	assert_true(region_contains_rect(&again, &a));
	assert_true(region_contains_rect(&again, &b));
	region_subtract(&again, &clip);
	assert_true(region_empty(&again));
	region_finish(&again);
	region_finish(&clip);
	buf_finish(&body);
}

/* Every byte in turn made something else, at every length: never a read outside. */
static void test_damaged(void **state)
{
	static const uint8_t values[] = { 0, 1, 0x7f, 0x80, 0xff };
	struct rect a = { 10, 20, 15, 40 };
	struct buf body = { 0 };
	struct region clip;
	uint8_t *copy;

	region_init_rect(&clip, &a);
	pack_full_fill(&body, &clip);
	copy = malloc(body.size);
	for (size_t i = 0; i < body.size; i++) {
		for (size_t v = 0; v < ARRAY_SIZE(values); v++) {
			struct msg_draw_fill fill;

			memcpy(copy, buf_bytes(&body), body.size);
			copy[i] = values[v];
			if (msg_draw_fill_parse(&fill, copy, body.size) &&
				fill.brush.pattern.present &&
				fill.brush.pattern.type == SPICE_IMAGE_TYPE_BITMAP)
				assert_true(fill.brush.pattern.bitmap.data.data + 15 <
					copy + body.size);
		}
	}
	free(copy);
	for (size_t cut = 0; cut < body.size; cut++) {
		struct msg_draw_fill fill;

		copy = malloc(cut ? cut : 1);
		memcpy(copy, buf_bytes(&body), cut);
		assert_false(msg_draw_fill_parse(&fill, copy, cut));
		assert_int_equal(fill.base.surface_id, 0); /* zeroed */
		free(copy);
	}
	region_finish(&clip);
	buf_finish(&body);
}

static bool copy_is_taken(void (*change)(struct proto_image *image))
{
	struct msg_draw_copy copy = { .base.box = { 0, 0, 4, 4 } };
	struct msg_draw_copy again;
	struct buf body = { 0 };
	bool taken;

	copy.source = bitmap(SPICE_BITMAP_FMT_32BIT, 16);
	if (change)
		change(&copy.source);
	assert_int_equal(msg_draw_copy_pack(&body, &copy), 0);
	taken = msg_draw_copy_parse(&again, buf_bytes(&body), body.size);
	buf_finish(&body);
	return taken;
}

static void stride_too_small(struct proto_image *image)
{
	image->bitmap.stride = 15;
}
static void stride_overflows(struct proto_image *image)
{
	image->bitmap.stride = 0xfffffff0;
}
static void too_tall(struct proto_image *image)
{
	image->height = image->bitmap.height = SURFACE_MAX_SIDE + 1;
}
static void sizes_differ(struct proto_image *image)
{
	image->width = 3;
}
static void no_such_format(struct proto_image *image)
{
	image->bitmap.format = 11;
}
static void no_such_type(struct proto_image *image)
{
	image->type = 50;
	image->packed = (struct wire_bytes){ pixels, 4 };
}

static void test_bad_bitmaps(void **state)
{
	assert_true(copy_is_taken(NULL));
	assert_false(copy_is_taken(stride_too_small));
	assert_false(copy_is_taken(stride_overflows));
	assert_false(copy_is_taken(too_tall));
	assert_false(copy_is_taken(sizes_differ));
	assert_false(copy_is_taken(no_such_format));
	assert_false(copy_is_taken(no_such_type));
}

static void test_counts_are_capped(void **state)
{
	uint8_t bytes[4 + 28 * 65] = { 65 };
	union any_message m;

	assert_false(msg_channels_list_parse(&m.channels_list, bytes, sizeof(bytes)));
	assert_false(msg_monitors_config_parse(&m.monitors_config, bytes, sizeof(bytes)));
	bytes[0] = 64;
	assert_true(msg_channels_list_parse(&m.channels_list, bytes, sizeof(bytes)));
	assert_true(msg_monitors_config_parse(&m.monitors_config, bytes, sizeof(bytes)));
	memset(bytes, 0xff, 4);
	assert_false(msg_name_parse(&m.name, bytes, sizeof(bytes)));
}

static void test_lists(void **state)
{
	static const uint8_t resources[] = { 2, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 2, 9, 0, 0, 0, 0, 0,
		0, 0 };
	static const uint8_t waits[] = { 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0 };
	struct msg_wait_for_channels wait;
	struct msg_inval_list inval;

	assert_true(msg_inval_list_parse(&inval, resources, sizeof(resources)));
	assert_int_equal(inval.list.count, 2);
	assert_int_equal(proto_resource(&inval.list, 0).id, 0x0807060504030201);
	assert_int_equal(proto_resource(&inval.list, 1).type, 2);
	assert_int_equal(proto_resource(&inval.list, 1).id, 9);
	assert_true(msg_wait_for_channels_parse(&wait, waits, sizeof(waits)));
	assert_int_equal(proto_wait(&wait.list, 0).channel_id, 3);
	assert_int_equal(proto_wait(&wait.list, 0).serial, 4);
}

static void test_rops(void **state)
{
	for (int op = ROP_PUT; op <= ROP_INVERS; op++) {
		for (int bits = 0; bits < 24; bits++) {
			struct rop rop = { .op = (enum rop_op)op,
				.invert_source = bits & 1,
				.invert_dest = bits & 2,
				.invert_result = bits & 4 };
			enum proto_rop_sides sides = (enum proto_rop_sides)(bits / 8);
			struct rop again = proto_rop_parse(proto_rop(&rop, sides), sides);

			assert_int_equal(again.op, rop.op);
			assert_int_equal(again.invert_source, rop.invert_source);
			assert_int_equal(again.invert_dest, rop.invert_dest);
			assert_int_equal(again.invert_result, rop.invert_result);
		}
	}
	assert_false(proto_rop_parse(SPICE_ROPD_OP_PUT | SPICE_ROPD_INVERS_BRUSH, PROTO_ROP_SOURCE)
			     .invert_source);
	assert_true(proto_rop_parse(SPICE_ROPD_OP_PUT | SPICE_ROPD_INVERS_SRC, PROTO_ROP_OPAQUE)
			    .invert_dest);
	/* Without an operation nothing is inverted. */
	assert_false(proto_rop_parse(SPICE_ROPD_INVERS_RES, PROTO_ROP_BRUSH).invert_result);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden_round_trip),
		cmocka_unit_test(test_golden_truncated),
		cmocka_unit_test(test_golden_values),
		cmocka_unit_test(test_pointers),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_bad_bitmaps),
		cmocka_unit_test(test_counts_are_capped),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_rops),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* A hostile guest: whatever it says, the device stays whole, is latched broken or leaves it out,
 * and works again after a reset. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/util.h"
#include "tests/qxl/fake_machine.h"

static int setup(void **state)
{
	static struct fake_machine machine;

	fake_machine_init(&machine);
	guest_start(&machine, 64, 48);
	machine.header->int_mask = QXL_INTERRUPT_ERROR;
	*state = &machine;
	return 0;
}

static int teardown(void **state)
{
	fake_machine_finish(*state);
	return 0;
}

/* After a reset the device draws as if nothing had been. */
static void assert_recovers(struct fake_machine *m)
{
	uint32_t draws, before = m->sink.draws;

	guest_start(m, 64, 48);
	m->header->int_mask = QXL_INTERRUPT_ERROR;
	draws = m->sink.draws;
	assert_int_equal(draws, before);
	guest_push(m, QXL_CMD_DRAW, guest_address(m, guest_fill(m, 0, 0, 0, 1, 1, 0x123456)));
	fake_machine_run(m);
	assert_int_equal(m->sink.draws, draws + 1);
	assert_int_equal(*(uint32_t *)(void *)m->ram & 0xffffff, 0x123456);
	assert_false(m->irq_level);
	m->heap = m->rom->pages_offset;
}

static void assert_broken(struct fake_machine *m)
{
	uint32_t draws = m->sink.draws;

	fake_machine_run(m);
	assert_true(m->irq_level);
	assert_int_equal(m->header->int_pending & QXL_INTERRUPT_ERROR, QXL_INTERRUPT_ERROR);
	/* Nothing is taken any more, but who waits is answered. */
	guest_push(m, QXL_CMD_DRAW, guest_address(m, guest_fill(m, 0, 0, 0, 1, 1, 1)));
	guest_out(m, QXL_IO_NOTIFY_CMD, 0);
	guest_out(m, QXL_IO_FLUSH_SURFACES_ASYNC, 0);
	fake_machine_run(m);
	assert_int_equal(m->sink.draws, draws);
	assert_true(m->header->int_pending & QXL_INTERRUPT_IO_CMD);
	assert_recovers(m);
}

/* Left out, without being an error. */
static void assert_skipped(struct fake_machine *m, uint64_t command)
{
	uint64_t ids[8];

	fake_machine_run(m);
	assert_int_equal(m->sink.draws, 0);
	assert_false(m->irq_level);
	assert_int_equal(guest_collect(m, ids, 8), 1);
	assert_int_equal(ids[0], command);
}

static void draw(struct fake_machine *m, const QXLDrawable *d)
{
	guest_push(m, QXL_CMD_DRAW, guest_address(m, d));
	fake_machine_run(m);
}

static QXLDrawable *copy_of(struct fake_machine *m, const QXLImage *image)
{
	QXLDrawable *d = guest_drawable(m, QXL_DRAW_COPY, 0, 0, 0, 4, 4);

	d->u.copy.src_bitmap = image ? guest_address(m, image) : 0;
	d->u.copy.src_area = (QXLRect){ .right = 4, .bottom = 4 };
	d->u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
	return d;
}

static QXLImage *picture(struct fake_machine *m)
{
	static const uint32_t bits[16];

	return guest_bitmap(m, SPICE_BITMAP_FMT_32BIT, QXL_BITMAP_TOP_DOWN, 4, 4, 16, bits);
}

static void test_addresses(void **state)
{
	struct fake_machine *m = *state;
	uint64_t good = guest_address(m, guest_fill(m, 0, 0, 0, 1, 1, 1));
	const uint64_t bad[] = {
		0, /* slot 0 is not there */
		good | UINT64_C(9) << 56, /* nor is 9 */
		good | UINT64_C(0xff) << 56,
		good | UINT64_C(1) << 48, /* another generation */
		(uint64_t)SLOT_RAM << 56 | (64u << 20), /* behind the slot */
		(uint64_t)SLOT_RAM << 56 | ((64u << 20) - 8), /* its start only */
		(uint64_t)SLOT_RAM << 56 | UINT64_C(0xffffffffffff),
		UINT64_MAX,
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		for (uint32_t type = QXL_CMD_DRAW; type <= QXL_CMD_SURFACE; type++) {
			if (type == QXL_CMD_MESSAGE && i == 5)
				continue; /* a message may be short */
			guest_push(m, type, bad[i]);
			assert_broken(m);
		}
}

static void test_unknown_types(void **state)
{
	struct fake_machine *m = *state;
	QXLDrawable *d;

	guest_push(m, 77, guest_address(m, guest_fill(m, 0, 0, 0, 1, 1, 1)));
	assert_broken(m);
	d = guest_drawable(m, 200, 0, 0, 0, 1, 1);
	draw(m, d);
	assert_broken(m);
	d = guest_fill(m, 0, 0, 0, 1, 1, 1);
	d->clip.type = 9;
	draw(m, d);
	assert_broken(m);
	d = guest_fill(m, 0, 0, 0, 1, 1, 1);
	d->u.fill.brush.type = 9;
	draw(m, d);
	assert_broken(m);
	d = guest_fill(m, 0, 0, 0, 1, 1, 1);
	d->surface_id = 1024;
	draw(m, d);
	assert_broken(m);
}

static void test_boxes(void **state)
{
	struct fake_machine *m = *state;
	const QXLRect boxes[] = {
		{ .left = -1, .top = 0, .right = 4, .bottom = 4 },
		{ .left = 0, .top = 0, .right = 65, .bottom = 4 },
		{ .left = 4, .top = 0, .right = 4, .bottom = 4 },
		{ .left = 4, .top = 4, .right = 0, .bottom = 0 },
		{ .left = INT32_MIN, .top = INT32_MIN, .right = INT32_MAX, .bottom = INT32_MAX },
		{ .left = INT32_MAX, .top = 0, .right = INT32_MIN, .bottom = 4 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(boxes); i++) {
		QXLDrawable *d = guest_fill(m, 0, 0, 0, 1, 1, 1);

		d->bbox = boxes[i];
		draw(m, d);
		assert_skipped(m, guest_address(m, d));
		d = guest_drawable(m, QXL_COPY_BITS, 0, 0, 0, 4, 4);
		d->u.copy_bits.src_pos = (QXLPoint){ boxes[i].left, 60 };
		guest_push(m, QXL_CMD_DRAW, guest_address(m, d));
		fake_machine_run(m);
		assert_int_equal(m->sink.draws, 0);
		guest_start(m, 64, 48);
		m->header->int_mask = QXL_INTERRUPT_ERROR;
		m->heap = m->rom->pages_offset;
	}
}

static void test_legal_but_not_supported(void **state)
{
	struct fake_machine *m = *state;
	QXLImage *image = picture(m);
	QXLDrawable *d;

	/* Outlines of glyphs. */
	d = guest_drawable(m, QXL_DRAW_TEXT, 0, 0, 0, 4, 4);
	d->u.text.str = guest_address(m, guest_alloc(m, sizeof(QXLString)));
	draw(m, d);
	assert_skipped(m, guest_address(m, d));
	assert_int_equal(m->header->release_ring.prod, 1);
	image->descriptor.type = SPICE_IMAGE_TYPE_QUIC; /* without codecs at hand */
	d = copy_of(m, image);
	draw(m, d);
	assert_skipped(m, guest_address(m, d));
}

static void break_size(QXLImage *image)
{
	image->bitmap.y = 0xffffffff;
}
static void break_stride(QXLImage *image)
{
	image->bitmap.stride = 15;
}
static void break_stride_huge(QXLImage *image)
{
	image->bitmap.stride = 0x80000000;
}
static void break_format(QXLImage *image)
{
	image->bitmap.format = 77;
}
static void break_palette(QXLImage *image)
{
	image->bitmap.format = SPICE_BITMAP_FMT_8BIT;
}
static void break_palette_place(QXLImage *image)
{
	image->bitmap.format = SPICE_BITMAP_FMT_8BIT;
	image->bitmap.palette = (uint64_t)SLOT_RAM << 56 | ((64u << 20) - 12);
}
static void break_data(QXLImage *image)
{
	image->bitmap.data = 0;
}
static void break_direct(QXLImage *image)
{
	image->bitmap.flags |= QXL_BITMAP_DIRECT;
	image->bitmap.data = (uint64_t)SLOT_RAM << 56 | ((64u << 20) - 63);
}
static void break_type(QXLImage *image)
{
	image->descriptor.type = 99;
}
static void break_surface(QXLImage *image)
{
	image->descriptor.type = SPICE_IMAGE_TYPE_SURFACE;
	image->surface_image.surface_id = 0xffffffff;
}
static void break_empty(QXLImage *image)
{
	image->bitmap.x = 0;
}

static void test_bitmaps(void **state)
{
	struct fake_machine *m = *state;
	void (*const breaks[])(QXLImage *) = { break_size, break_stride, break_stride_huge,
		break_format, break_palette, break_palette_place, break_data, break_direct,
		break_type, break_surface, break_empty };

	for (size_t i = 0; i < ARRAY_SIZE(breaks); i++) {
		QXLImage *image = picture(m);

		m->ram[(64u << 20) - 4] = 1; /* break_palette_place()'s number of entries */
		breaks[i](image);
		draw(m, copy_of(m, image));
		assert_int_equal(m->sink.draws, i);
		assert_broken(m);
	}
	draw(m, copy_of(m, NULL));
	assert_broken(m);
}

static void test_source_areas(void **state)
{
	struct fake_machine *m = *state;
	const QXLRect areas[] = {
		{ .left = 0, .top = 0, .right = 5, .bottom = 4 },
		{ .left = -1, .top = 0, .right = 4, .bottom = 4 },
		{ .left = 3, .top = 0, .right = 1, .bottom = 4 },
		{ .left = INT32_MIN, .top = 0, .right = INT32_MAX, .bottom = 4 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(areas); i++) {
		QXLDrawable *d = copy_of(m, picture(m));

		d->u.copy.src_area = areas[i];
		draw(m, d);
		assert_broken(m);
	}
}

static QXLDataChunk *chunk_of(struct fake_machine *m, const QXLImage *image)
{
	return (QXLDataChunk *)(void *)(m->ram + (image->bitmap.data & 0xffffffff));
}

static void test_chunk_chains(void **state)
{
	struct fake_machine *m = *state;
	QXLImage *image;
	QXLDataChunk *chunk;

	/* Ends too early. */
	image = picture(m);
	chunk_of(m, image)->data_size = 63;
	draw(m, copy_of(m, image));
	assert_broken(m);
	/* Says more than there is memory. */
	image = picture(m);
	chunk_of(m, image)->data_size = 0xffffffff;
	draw(m, copy_of(m, image));
	assert_broken(m);
	/* Loops without data. */
	image = picture(m);
	chunk = chunk_of(m, image);
	chunk->data_size = 0;
	chunk->next_chunk = guest_address(m, chunk);
	draw(m, copy_of(m, image));
	assert_broken(m);
	/* The second one is nowhere. */
	image = picture(m);
	chunk = chunk_of(m, image);
	chunk->data_size = 8;
	chunk->next_chunk = (uint64_t)7 << 56;
	draw(m, copy_of(m, image));
	assert_broken(m);
	/* A loop with data is no chain but a pattern; it ends with the picture. */
	image = picture(m);
	chunk = chunk_of(m, image);
	chunk->data_size = 8;
	chunk->next_chunk = guest_address(m, chunk);
	draw(m, copy_of(m, image));
	fake_machine_run(m);
	assert_false(m->irq_level);
}

static void test_clips(void **state)
{
	struct fake_machine *m = *state;
	uint32_t counts[] = { 2, 65537, 0xffffffff };

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		QXLClipRects *clip = guest_alloc(m, sizeof(*clip) + sizeof(QXLRect));
		QXLDrawable *d = guest_fill(m, 0, 0, 0, 8, 8, 1);

		clip->num_rects = counts[i];
		clip->chunk.data_size = sizeof(QXLRect);
		d->clip.type = SPICE_CLIP_TYPE_RECTS;
		d->clip.data = guest_address(m, clip);
		draw(m, d);
		assert_broken(m);
	}
}

static void test_many_crossing_clips(void **state)
{
	struct fake_machine *m = *state;
	const uint32_t count = 4096;
	QXLClipRects *clip = guest_alloc(m, sizeof(*clip) + count * sizeof(QXLRect));
	QXLRect *rects = (QXLRect *)(void *)clip->chunk.data;
	QXLDrawable *d;

	/* Bars across and down: their union has a million pieces. */
	for (uint32_t i = 0; i < count; i++)
		rects[i] = i & 1 ? (QXLRect){ .left = 0,
			.right = 64,
			.top = (int32_t)i % 48,
			.bottom = (int32_t)i % 48 + 1 }
				 : (QXLRect){ .left = (int32_t)i % 64,
					   .right = (int32_t)i % 64 + 1,
					   .bottom = 48 };
	clip->num_rects = count;
	clip->chunk.data_size = count * sizeof(QXLRect);
	d = guest_fill(m, 0, 0, 0, 8, 8, 1);
	d->clip.type = SPICE_CLIP_TYPE_RECTS;
	d->clip.data = guest_address(m, clip);
	draw(m, d);
	assert_broken(m);
}

static void test_many_ordered_clips(void **state)
{
	struct fake_machine *m = *state;
	const uint32_t count = 32 * 48;
	QXLClipRects *clip = guest_alloc(m, sizeof(*clip) + count * sizeof(QXLRect));
	QXLRect *rects = (QXLRect *)(void *)clip->chunk.data;
	QXLDrawable *d;

	/* Every other pixel, as a driver's region lists them. */
	for (uint32_t i = 0; i < count; i++)
		rects[i] = (QXLRect){ .left = (int32_t)(i % 32 * 2),
			.right = (int32_t)(i % 32 * 2 + 1),
			.top = (int32_t)(i / 32),
			.bottom = (int32_t)(i / 32 + 1) };
	clip->num_rects = count;
	clip->chunk.data_size = count * sizeof(QXLRect);
	d = guest_fill(m, 0, 0, 0, 64, 48, 0xffffff);
	d->clip.type = SPICE_CLIP_TYPE_RECTS;
	d->clip.data = guest_address(m, clip);
	draw(m, d);
	assert_false(m->irq_level);
	for (uint32_t i = 0; i < 64 * 48; i++)
		assert_int_equal(((uint32_t *)(void *)m->ram)[i] & 0xffffff, i % 2 ? 0 : 0xffffff);
}

static void test_surfaces(void **state)
{
	struct fake_machine *m = *state;
	const struct {
		uint32_t id, format, width, height;
		int32_t stride;
		uint64_t data;
	} bad[] = {
		{ 0, 32, 16, 16, 64, 0 },
		{ 1024, 32, 16, 16, 64, 0 },
		{ 0xffffffff, 32, 16, 16, 64, 0 },
		{ 1, 33, 16, 16, 64, 0 },
		{ 1, 32, 0, 16, 64, 0 },
		{ 1, 32, 16, 0x80000000, 64, 0 },
		{ 1, 32, 0x40000001, 16, 64, 0 },
		{ 1, 32, 16, 16, 60, 0 },
		{ 1, 32, 16, 16, 66, 0 },
		{ 1, 32, 16, 16, INT32_MIN, 0 },
		{ 1, 32, 16, 16, 0, 0 },
		{ 1, 32, 16, 16, -64, (64u << 20) - 1000 },
		{ 1, 32, 16, 16, 64, (64u << 20) - 1000 },
		{ 1, 32, 4096, 16384, 16384, 0 },
		{ 1, 32, 16, 16, 64, 2 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		QXLSurfaceCmd *cmd = guest_alloc(m, sizeof(*cmd));

		cmd->surface_id = bad[i].id;
		cmd->u.surface_create = (QXLSurface){ .format = bad[i].format,
			.width = bad[i].width,
			.height = bad[i].height,
			.stride = bad[i].stride,
			.data = (uint64_t)SLOT_VRAM << 56 | bad[i].data };
		guest_push(m, QXL_CMD_SURFACE, guest_address(m, cmd));
		assert_broken(m);
		if (bad[i].id != 1)
			continue;
		m->header->create_surface = (QXLSurfaceCreate){ .format = bad[i].format,
			.width = bad[i].width,
			.height = bad[i].height,
			.stride = bad[i].stride,
			.mem = (uint64_t)SLOT_VRAM << 56 | bad[i].data };
		guest_out(m, QXL_IO_CREATE_PRIMARY, 0);
		assert_broken(m);
	}
}

static void test_cursors(void **state)
{
	struct fake_machine *m = *state;

	for (int i = 0; i < 5; i++) {
		QXLCursor *cursor = guest_alloc(m, sizeof(*cursor) + 64);
		QXLCursorCmd *cmd = guest_alloc(m, sizeof(*cmd));

		cursor->header.width = cursor->header.height = 4;
		cursor->data_size = cursor->chunk.data_size = 64;
		cmd->type = QXL_CURSOR_SET;
		cmd->u.set.shape = guest_address(m, cursor);
		switch (i) {
		case 0: cmd->type = 9; break;
		case 1: cursor->header.type = 7; break;
		case 2: cursor->data_size = 63; break;
		case 3: cursor->chunk.data_size = 10; break;
		default: cmd->u.set.shape = (uint64_t)SLOT_RAM << 56 | ((64u << 20) - 20); break;
		}
		guest_push_cursor(m, guest_address(m, cmd));
		fake_machine_run(m);
		assert_null(m->sink.cursor.shape);
		assert_broken(m);
	}
}

static void test_ring_indices(void **state)
{
	struct fake_machine *m = *state;

	m->header->cmd_ring.prod = 33;
	guest_out(m, QXL_IO_NOTIFY_CMD, 0);
	assert_broken(m);
	m->header->cursor_ring.cons = 1;
	guest_out(m, QXL_IO_NOTIFY_CURSOR, 0);
	assert_broken(m);
	/* Where the counters wrap nothing is wrong. */
	m->header->cmd_ring.prod = m->header->cmd_ring.cons = 0xffffffff;
	guest_push(m, QXL_CMD_DRAW, guest_address(m, guest_fill(m, 0, 0, 0, 1, 1, 1)));
	guest_push(m, QXL_CMD_DRAW, guest_address(m, guest_fill(m, 0, 0, 0, 1, 1, 1)));
	guest_out(m, QXL_IO_NOTIFY_CMD, 0);
	fake_machine_run(m);
	assert_false(m->irq_level);
	assert_int_equal(m->header->cmd_ring.cons, 1);
}

static void test_ports(void **state)
{
	struct fake_machine *m = *state;

	for (uint32_t port = 0; port < 32; port++) {
		m->header->update_area = (QXLRect){ .left = 5, .right = -5, .bottom = 1 };
		m->header->mem_slot = (QXLMemSlot){ 0, UINT64_MAX };
		m->header->create_surface.width = 0;
		m->header->monitors_config = UINT64_MAX;
		guest_out(m, port, 0xff);
		fake_machine_run(m);
		assert_recovers(m);
	}
	m->header->mem_slot = (QXLMemSlot){ m->ram_gpa - 4096, m->ram_gpa + 4096 };
	guest_out(m, QXL_IO_MEMSLOT_ADD, 3);
	assert_broken(m);
	m->header->mem_slot = (QXLMemSlot){ m->ram_gpa, m->ram_gpa + (64u << 20) + 1 };
	guest_out(m, QXL_IO_MEMSLOT_ADD, 3);
	assert_broken(m);
	m->header->mem_slot = (QXLMemSlot){ m->ram_gpa, m->ram_gpa + 4096 };
	guest_out(m, QXL_IO_MEMSLOT_ADD, SLOT_RAM); /* there already */
	assert_broken(m);
}

static void test_too_many_async(void **state)
{
	struct fake_machine *m = *state;

	for (int i = 0; i < 17; i++)
		guest_out(m, QXL_IO_FLUSH_SURFACES_ASYNC, 0);
	assert_broken(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown_types, setup, teardown),
		cmocka_unit_test_setup_teardown(test_boxes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_legal_but_not_supported, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bitmaps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_source_areas, setup, teardown),
		cmocka_unit_test_setup_teardown(test_chunk_chains, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clips, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_crossing_clips, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_ordered_clips, setup, teardown),
		cmocka_unit_test_setup_teardown(test_surfaces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cursors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ring_indices, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ports, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_many_async, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

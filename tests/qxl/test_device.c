/* SPDX-License-Identifier: MIT */
/* The native side of the QXL device: ports, rings, releases, interrupts, surfaces, cursor. */
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
	*state = &machine;
	return 0;
}

static int teardown(void **state)
{
	fake_machine_finish(*state);
	return 0;
}

static uint32_t pixel(const struct fake_machine *m, uint32_t surface, uint32_t x, uint32_t y)
{
	const struct surface *s = m->sink.surfaces[surface];
	uint32_t word;

	assert_non_null(s);
	memcpy(&word, surface_row(s, y) + 4 * (size_t)x, 4);
	return word & 0xffffff;
}

static void test_identity(void **state)
{
	struct fake_machine *m = *state;
	const struct pci_device *pci = (const struct pci_device *)(const void *)m->qxl;
	const QXLModes *modes = (const void *)((const uint8_t *)m->rom + m->rom->modes_offset);
	bool found = false;

	assert_int_equal(pci->config[0] | pci->config[1] << 8, 0x1b36);
	assert_int_equal(pci->config[2] | pci->config[3] << 8, 0x0100);
	assert_int_equal(pci->config[8], 4);
	assert_int_equal(pci->config[0x0b], 3);
	assert_int_equal(m->rom->n_surfaces, 1024);
	assert_int_equal(m->rom->slot_id_bits, 8);
	assert_int_equal(m->rom->surface0_area_size, 16u << 20);
	assert_true(
		m->rom->modes_offset + sizeof(*modes) + modes->n_modes * sizeof(modes->modes[0]) <=
		8192);
	for (uint32_t i = 0; i < modes->n_modes; i++)
		found |= modes->modes[i].x_res == 1920 && modes->modes[i].y_res == 1080 &&
			modes->modes[i].bits == 32;
	assert_true(found);
	assert_int_equal(m->header->magic, QXL_RAM_MAGIC);
	assert_int_equal(m->header->cmd_ring.num_items, 32);
	assert_int_equal(m->header->cmd_ring.notify_on_prod, 1);
}

static void test_primary(void **state)
{
	struct fake_machine *m = *state;

	guest_start(m, 64, 48);
	assert_non_null(m->sink.surfaces[0]);
	assert_int_equal(m->sink.surfaces[0]->width, 64);
	assert_ptr_equal(m->sink.surfaces[0]->data, m->ram);
	guest_out(m, QXL_IO_DESTROY_PRIMARY, 0);
	assert_null(m->sink.surfaces[0]);
	/* Bottom up: the top row is the last in memory. */
	m->header->create_surface.stride = -256;
	guest_out(m, QXL_IO_CREATE_PRIMARY_ASYNC, 0);
	fake_machine_run(m);
	assert_ptr_equal(m->sink.surfaces[0]->data, m->ram + 47 * 256);
	assert_int_equal(m->sink.surfaces[0]->stride, -256);
	assert_true(guest_interrupts(m) & QXL_INTERRUPT_IO_CMD);
}

static void test_fill_and_release(void **state)
{
	struct fake_machine *m = *state;
	QXLDrawable *a, *b;
	uint64_t ids[8];

	guest_start(m, 64, 48);
	guest_collect(m, ids, 8); /* asks to be told */
	a = guest_fill(m, 0, 1, 2, 11, 12, 0x00112233);
	b = guest_fill(m, 0, 5, 5, 6, 6, 0x00445566);
	guest_push(m, QXL_CMD_DRAW, guest_address(m, a));
	guest_push(m, QXL_CMD_DRAW, guest_address(m, b));
	assert_int_equal(m->sink.draws, 0);
	fake_machine_run(m);
	assert_int_equal(m->sink.draws, 2);
	assert_int_equal(pixel(m, 0, 1, 2), 0x112233);
	assert_int_equal(pixel(m, 0, 5, 5), 0x445566);
	assert_int_equal(pixel(m, 0, 11, 11), 0);
	/* In place: the guest sees it, too. */
	assert_int_equal(*(uint32_t *)(void *)(m->ram + 2 * 256 + 4) & 0xffffff, 0x112233);
	assert_int_equal(guest_collect(m, ids, 8), 2);
	assert_int_equal(ids[0], guest_address(m, a));
	assert_int_equal(ids[1], guest_address(m, b));
	assert_true(guest_interrupts(m) & QXL_INTERRUPT_DISPLAY);
	assert_int_equal(guest_collect(m, ids, 8), 0);
}

static void test_doorbell_only_when_asked(void **state)
{
	struct fake_machine *m = *state;
	volatile uint32_t *ring = (void *)&m->header->cmd_ring;

	guest_start(m, 64, 48);
	for (int i = 0; i < 100; i++) {
		guest_push(m, QXL_CMD_DRAW, guest_address(m, guest_fill(m, 0, 0, 0, 1, 1, 1)));
		fake_machine_run(m);
		assert_int_equal(m->sink.draws, i + 1);
		assert_int_equal(ring[2], ring[1] + 1);
	}
}

static void test_commands_before_the_primary(void **state)
{
	struct fake_machine *m = *state;

	guest_start(m, 0, 0);
	/* Rung while the VGA is shown, when nobody listens. */
	guest_push(m, QXL_CMD_DRAW, guest_address(m, guest_fill(m, 0, 0, 0, 1, 1, 0x0a0b0c)));
	fake_machine_run(m);
	assert_int_equal(m->sink.draws, 0);
	m->header->create_surface = (QXLSurfaceCreate){
		.width = 8,
		.height = 8,
		.stride = 32,
		.format = SPICE_SURFACE_FMT_32_xRGB,
		.mem = (uint64_t)SLOT_RAM << 56,
	};
	guest_out(m, QXL_IO_CREATE_PRIMARY, 0);
	fake_machine_run(m);
	assert_int_equal(m->sink.draws, 1);
	assert_int_equal(pixel(m, 0, 0, 0), 0x0a0b0c);
}

static void test_room_interrupt(void **state)
{
	struct fake_machine *m = *state;
	volatile uint32_t *ring = (void *)&m->header->cmd_ring;

	guest_start(m, 64, 48);
	m->header->int_mask = QXL_INTERRUPT_DISPLAY;
	ring[4] = ring[3] + 32; /* notify_on_cons */
	for (int i = 0; i < 32; i++)
		guest_push(m, QXL_CMD_DRAW, guest_address(m, guest_fill(m, 0, 0, 0, 1, 1, 1)));
	assert_false(m->irq_level);
	fake_machine_run(m);
	assert_int_equal(m->sink.draws, 32);
	assert_true(m->irq_level);
	assert_int_equal(guest_interrupts(m) & QXL_INTERRUPT_DISPLAY, QXL_INTERRUPT_DISPLAY);
	assert_false(m->irq_level);
}

static void test_release_ring_full(void **state)
{
	struct fake_machine *m = *state;
	uint64_t ids[256];
	uint32_t total = 0, got;

	guest_start(m, 64, 48);
	/* The guest does not collect: seven chains fit, the rest waits in the last. */
	for (int i = 0; i < 100; i++) {
		guest_push(m, QXL_CMD_DRAW, guest_address(m, guest_fill(m, 0, 0, 0, 1, 1, 1)));
		fake_machine_run(m);
	}
	assert_int_equal(m->sink.draws, 100);
	while ((got = guest_collect(m, ids, 256)) > 0)
		total += got;
	assert_int_equal(total, 7);
	guest_out(m, QXL_IO_NOTIFY_OOM, 0);
	while ((got = guest_collect(m, ids, 256)) > 0)
		total += got;
	assert_int_equal(total, 100);
}

static void test_copy(void **state)
{
	struct fake_machine *m = *state;
	uint32_t bits[4 * 4];
	QXLDrawable *d;
	QXLImage *image;

	for (uint32_t i = 0; i < 16; i++)
		bits[i] = 0x010101 * i;
	guest_start(m, 64, 48);
	for (int top_down = 0; top_down < 2; top_down++) {
		d = guest_drawable(m, QXL_DRAW_COPY, 0, 10, 10, 12, 13);
		image = guest_bitmap(m, SPICE_BITMAP_FMT_32BIT, top_down ? QXL_BITMAP_TOP_DOWN : 0,
			4, 4, 16, bits);
		d->u.copy.src_bitmap = guest_address(m, image);
		d->u.copy.src_area = (QXLRect){ .left = 1, .top = 1, .right = 3, .bottom = 4 };
		d->u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
		guest_push(m, QXL_CMD_DRAW, guest_address(m, d));
		fake_machine_run(m);
		for (uint32_t y = 0; y < 3; y++)
			for (uint32_t x = 0; x < 2; x++) {
				uint32_t row = top_down ? y + 1 : 3 - (y + 1);

				assert_int_equal(
					pixel(m, 0, 10 + x, 10 + y), bits[row * 4 + x + 1]);
			}
		/* Not to be cached: only what is used was copied. */
		assert_int_equal(m->sink.last_draw->copy.source.image->width, 2);
		assert_int_equal(m->sink.last_draw->copy.source.image->height, 3);
	}
}

static void test_copy_cached_chunked_palette(void **state)
{
	struct fake_machine *m = *state;
	QXLPalette *palette;
	QXLDataChunk *chunks[3];
	QXLDrawable *d;
	QXLImage *image;
	uint8_t bits[2 * 4] = { 0, 1, 2, 3, 4, 5, 6, 7 };

	guest_start(m, 64, 48);
	d = guest_drawable(m, QXL_DRAW_COPY, 0, 0, 0, 4, 2);
	image = guest_bitmap(m, SPICE_BITMAP_FMT_8BIT, QXL_BITMAP_TOP_DOWN, 4, 2, 4, bits);
	image->descriptor.flags = QXL_IMAGE_CACHE;
	image->descriptor.id = 0x1234500000001;
	palette = guest_alloc(m, sizeof(*palette) + 8 * 4);
	palette->num_ents = 8;
	for (uint32_t i = 0; i < 8; i++)
		palette->ents[i] = 0xff000000 | i << 16 | i;
	image->bitmap.palette = guest_address(m, palette);
	/* 3 bytes, none, 5 bytes. */
	for (int i = 0; i < 3; i++)
		chunks[i] = guest_alloc(m, sizeof(QXLDataChunk) + 8);
	chunks[0]->data_size = 3;
	memcpy(chunks[0]->data, bits, 3);
	chunks[0]->next_chunk = guest_address(m, chunks[1]);
	chunks[1]->next_chunk = guest_address(m, chunks[2]);
	chunks[2]->data_size = 5;
	memcpy(chunks[2]->data, bits + 3, 5);
	image->bitmap.data = guest_address(m, chunks[0]);
	d->u.copy.src_bitmap = guest_address(m, image);
	d->u.copy.src_area = (QXLRect){ .right = 4, .bottom = 2 };
	d->u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
	guest_push(m, QXL_CMD_DRAW, guest_address(m, d));
	fake_machine_run(m);
	for (uint32_t i = 0; i < 8; i++)
		assert_int_equal(pixel(m, 0, i % 4, i / 4), i << 16 | i);
	assert_true(m->sink.last_draw->copy.source.image->id == 0x1234500000001);
	assert_int_equal(m->sink.last_draw->copy.source.image->flags, IMAGE_CACHE_ME);
}

static void test_clip_mask_rop(void **state)
{
	struct fake_machine *m = *state;
	QXLClipRects *clip;
	QXLDrawable *d;
	QXLRect rects[2] = { { .left = 0, .top = 0, .right = 2, .bottom = 2 },
		{ .left = 4, .top = 0, .right = 100, .bottom = 2 } };
	const uint8_t stencil[4] = { 0x80, 0, 0, 0 };

	guest_start(m, 64, 48);
	clip = guest_alloc(m, sizeof(*clip) + sizeof(rects));
	clip->num_rects = 2;
	clip->chunk.data_size = sizeof(rects);
	memcpy(clip->chunk.data, rects, sizeof(rects));
	d = guest_fill(m, 0, 0, 0, 8, 2, 0x0000ff);
	d->clip.type = SPICE_CLIP_TYPE_RECTS;
	d->clip.data = guest_address(m, clip);
	guest_push(m, QXL_CMD_DRAW, guest_address(m, d));
	d = guest_fill(m, 0, 0, 0, 8, 2, 0xffffff);
	d->u.fill.rop_descriptor = SPICE_ROPD_OP_XOR;
	guest_push(m, QXL_CMD_DRAW, guest_address(m, d));
	d = guest_fill(m, 0, 16, 0, 18, 1, 0x123456);
	d->u.fill.mask.bitmap = guest_address(m,
		guest_bitmap(m, SPICE_BITMAP_FMT_1BIT_BE, QXL_BITMAP_TOP_DOWN, 2, 1, 4, stencil));
	guest_push(m, QXL_CMD_DRAW, guest_address(m, d));
	fake_machine_run(m);
	assert_int_equal(m->sink.draws, 3);
	assert_int_equal(pixel(m, 0, 0, 0), 0xffff00);
	assert_int_equal(pixel(m, 0, 3, 1), 0xffffff);
	assert_int_equal(pixel(m, 0, 7, 1), 0xffff00);
	assert_int_equal(pixel(m, 0, 8, 0), 0);
	assert_int_equal(pixel(m, 0, 16, 0), 0x123456);
	assert_int_equal(pixel(m, 0, 17, 0), 0);
}

static QXLSurfaceCmd *surface_cmd(
	struct fake_machine *m, uint32_t id, uint8_t type, uint32_t w, uint32_t h)
{
	QXLSurfaceCmd *cmd = guest_alloc(m, sizeof(*cmd));

	cmd->release_info.id = guest_address(m, cmd);
	cmd->surface_id = id;
	cmd->type = type;
	cmd->u.surface_create.format = SPICE_SURFACE_FMT_32_ARGB;
	cmd->u.surface_create.width = w;
	cmd->u.surface_create.height = h;
	cmd->u.surface_create.stride = (int32_t)w * 4;
	cmd->u.surface_create.data = (uint64_t)SLOT_VRAM << 56 | 4096;
	return cmd;
}

static void test_off_screen(void **state)
{
	struct fake_machine *m = *state;
	QXLDrawable *d;
	QXLImage *image;

	guest_start(m, 64, 48);
	memset(m->vram, 0xff, 1 << 16);
	guest_push(m, QXL_CMD_SURFACE,
		guest_address(m, surface_cmd(m, 7, QXL_SURFACE_CMD_CREATE, 16, 16)));
	guest_push(m, QXL_CMD_DRAW, guest_address(m, guest_fill(m, 7, 0, 0, 16, 8, 0xff00aa)));
	d = guest_drawable(m, QXL_DRAW_COPY, 0, 20, 20, 36, 36);
	image = guest_alloc(m, sizeof(*image));
	image->descriptor.type = SPICE_IMAGE_TYPE_SURFACE;
	image->surface_image.surface_id = 7;
	d->u.copy.src_bitmap = guest_address(m, image);
	d->u.copy.src_area = (QXLRect){ .right = 16, .bottom = 16 };
	d->u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
	guest_push(m, QXL_CMD_DRAW, guest_address(m, d));
	d = guest_drawable(m, QXL_COPY_BITS, 0, 0, 0, 16, 16);
	d->u.copy_bits.src_pos = (QXLPoint){ 20, 21 };
	guest_push(m, QXL_CMD_DRAW, guest_address(m, d));
	fake_machine_run(m);
	assert_ptr_equal(m->sink.surfaces[7]->data, m->vram + 4096);
	assert_int_equal(*(uint32_t *)(void *)(m->vram + 4096) & 0xffffff, 0xff00aa);
	assert_int_equal(pixel(m, 7, 0, 8), 0); /* made clear */
	assert_int_equal(pixel(m, 0, 20, 20), 0xff00aa);
	assert_int_equal(pixel(m, 0, 20, 28), 0);
	assert_int_equal(pixel(m, 0, 0, 6), 0xff00aa);
	assert_int_equal(pixel(m, 0, 0, 7), 0);
	guest_push(m, QXL_CMD_SURFACE,
		guest_address(m, surface_cmd(m, 7, QXL_SURFACE_CMD_DESTROY, 0, 0)));
	fake_machine_run(m);
	assert_null(m->sink.surfaces[7]);
	/* What draws on it now is left out, no more. */
	guest_push(m, QXL_CMD_DRAW, guest_address(m, guest_fill(m, 7, 0, 0, 1, 1, 1)));
	guest_push(m, QXL_CMD_DRAW, guest_address(m, guest_fill(m, 0, 0, 0, 1, 1, 0xabcdef)));
	fake_machine_run(m);
	assert_int_equal(pixel(m, 0, 0, 0), 0xabcdef);
	assert_int_equal(guest_interrupts(m) & QXL_INTERRUPT_ERROR, 0);
}

/* Linux' driver lays the command that destroys a surface beside the one that made it: that one stays
 * the device's until the surface goes, and comes back before its destroyer. */
static void test_creators_are_kept(void **state)
{
	struct fake_machine *m = *state;
	uint64_t ids[8], made[2], fill, gone;

	guest_start(m, 64, 48);
	made[0] = guest_address(m, surface_cmd(m, 7, QXL_SURFACE_CMD_CREATE, 16, 16));
	made[1] = guest_address(m, surface_cmd(m, 8, QXL_SURFACE_CMD_CREATE, 16, 16));
	fill = guest_address(m, guest_fill(m, 7, 0, 0, 16, 8, 0xff00aa));
	guest_push(m, QXL_CMD_SURFACE, made[0]);
	guest_push(m, QXL_CMD_SURFACE, made[1]);
	guest_push(m, QXL_CMD_DRAW, fill);
	fake_machine_run(m);
	assert_int_equal(guest_collect(m, ids, 8), 1);
	assert_int_equal(ids[0], fill);
	gone = guest_address(m, surface_cmd(m, 7, QXL_SURFACE_CMD_DESTROY, 0, 0));
	guest_push(m, QXL_CMD_SURFACE, gone);
	fake_machine_run(m);
	assert_int_equal(guest_collect(m, ids, 8), 2);
	assert_int_equal(ids[0], made[0]);
	assert_int_equal(ids[1], gone);
	/* By the port: given back at once. */
	guest_out(m, QXL_IO_DESTROY_SURFACE_WAIT, 8);
	assert_int_equal(guest_collect(m, ids, 8), 1);
	assert_int_equal(ids[0], made[1]);
	/* One that takes another's place, and all at once. */
	made[0] = guest_address(m, surface_cmd(m, 7, QXL_SURFACE_CMD_CREATE, 16, 16));
	guest_push(m, QXL_CMD_SURFACE, made[0]);
	guest_push(m, QXL_CMD_SURFACE,
		guest_address(m, surface_cmd(m, 7, QXL_SURFACE_CMD_CREATE, 8, 8)));
	fake_machine_run(m);
	assert_int_equal(guest_collect(m, ids, 8), 1);
	assert_int_equal(ids[0], made[0]);
	guest_out(m, QXL_IO_DESTROY_ALL_SURFACES, 0);
	assert_int_equal(guest_collect(m, ids, 8), 1);
	/* A reset forgets them: the ring is as new. */
	guest_start(m, 64, 48);
	guest_push(m, QXL_CMD_SURFACE, made[0]);
	fake_machine_run(m);
	guest_out(m, QXL_IO_RESET, 0);
	assert_int_equal(guest_collect(m, ids, 8), 0);
	/* So does the end of the slot. */
	guest_start(m, 64, 48);
	guest_push(m, QXL_CMD_SURFACE, made[0]);
	fake_machine_run(m);
	guest_out(m, QXL_IO_MEMSLOT_DEL, SLOT_RAM);
	guest_out(m, QXL_IO_DESTROY_SURFACE_WAIT, 7);
	assert_int_equal(guest_collect(m, ids, 8), 0);
	assert_null(m->sink.surfaces[7]);
}

static void test_update_area(void **state)
{
	struct fake_machine *m = *state;

	guest_start(m, 64, 48);
	/* Commands that were not taken yet come first. */
	guest_push(m, QXL_CMD_DRAW, guest_address(m, guest_fill(m, 0, 0, 0, 8, 8, 0x778899)));
	m->header->update_area = (QXLRect){ .left = 2, .top = 2, .right = 100, .bottom = 4 };
	m->header->update_surface = 0;
	guest_out(m, QXL_IO_UPDATE_AREA, 0);
	assert_int_equal(m->sink.draws, 1);
	assert_int_equal(m->sink.updates, 1);
	assert_int_equal(m->sink.last_update.right, 64);
	m->header->update_area.right = 3;
	guest_out(m, QXL_IO_UPDATE_AREA_ASYNC, 0);
	assert_int_equal(m->sink.updates, 1);
	/* The header may change: what it said then counts. */
	m->header->update_area.right = 60;
	fake_machine_run(m);
	assert_int_equal(m->sink.updates, 2);
	assert_int_equal(m->sink.last_update.right, 3);
	assert_true(guest_interrupts(m) & QXL_INTERRUPT_IO_CMD);
}

static void test_cursor(void **state)
{
	struct fake_machine *m = *state;
	QXLCursor *cursor;
	QXLCursorCmd *cmd;
	uint64_t ids[4];

	guest_start(m, 64, 48);
	cursor = guest_alloc(m, sizeof(*cursor) + 16);
	cursor->header = (QXLCursorHeader){ .unique = 99,
		.type = SPICE_CURSOR_TYPE_ALPHA,
		.width = 2,
		.height = 2,
		.hot_spot_x = 1,
		.hot_spot_y = 0 };
	cursor->data_size = 16;
	cursor->chunk.data_size = 16;
	memcpy(cursor->chunk.data, "0123456789abcdef", 16);
	cmd = guest_alloc(m, sizeof(*cmd));
	cmd->release_info.id = guest_address(m, cmd);
	cmd->type = QXL_CURSOR_SET;
	cmd->u.set.position = (QXLPoint16){ 5, -6 };
	cmd->u.set.visible = 1;
	cmd->u.set.shape = guest_address(m, cursor);
	guest_push_cursor(m, guest_address(m, cmd));
	fake_machine_run(m);
	assert_non_null(m->sink.cursor.shape);
	assert_memory_equal(m->sink.cursor.shape->data, "0123456789abcdef", 16);
	assert_int_equal(m->sink.cursor.shape->unique, 99);
	assert_int_equal(m->sink.cursor.position.y, -6);
	assert_true(m->sink.cursor.visible);
	assert_int_equal(guest_collect(m, ids, 4), 1);
	cmd->release_info.id = guest_address(m, cmd);
	cmd->type = QXL_CURSOR_HIDE;
	guest_push_cursor(m, guest_address(m, cmd));
	fake_machine_run(m);
	assert_false(m->sink.cursor.visible);
	cmd->type = QXL_CURSOR_MOVE;
	cmd->u.position = (QXLPoint16){ 30, 31 };
	guest_push_cursor(m, guest_address(m, cmd));
	fake_machine_run(m);
	assert_true(m->sink.cursor.visible);
	assert_int_equal(m->sink.cursor.position.x, 30);
	assert_non_null(m->sink.cursor.shape);
	guest_out(m, QXL_IO_RESET, 0);
	assert_null(m->sink.cursor.shape);
}

static void test_monitors(void **state)
{
	struct fake_machine *m = *state;
	QXLMonitorsConfig *config = guest_alloc(m, sizeof(*config) + 3 * sizeof(QXLHead));

	guest_start(m, 64, 48);
	config->count = 3;
	config->heads[0] = (QXLHead){ .width = 32, .height = 48 };
	config->heads[1] = (QXLHead){ .x = 32, .width = 100, .height = 48 };
	config->heads[2] = (QXLHead){ .x = 0xfffffff0, .width = 100, .height = 48 };
	m->header->monitors_config = guest_address(m, config);
	guest_out(m, QXL_IO_MONITORS_CONFIG_ASYNC, 0);
	fake_machine_run(m);
	assert_int_equal(m->sink.head_count, 2);
	assert_int_equal(m->sink.heads[1].left, 32);
	assert_int_equal(m->sink.heads[1].right, 64);
	guest_out(m, QXL_IO_DESTROY_PRIMARY, 0);
	assert_int_equal(m->sink.head_count, 0);
}

static void test_compat_mode(void **state)
{
	struct fake_machine *m = *state;
	QXLCompatDrawable *d;

	guest_out(m, QXL_IO_SET_MODE, 1); /* 640x480x32 */
	fake_machine_run(m);
	assert_int_equal(m->sink.surfaces[0]->width, 640);
	assert_int_equal(m->sink.surfaces[0]->stride, -640 * 4);
	d = guest_alloc(m, sizeof(*d));
	d->type = QXL_DRAW_FILL;
	d->bbox = (QXLRect){ .left = 1, .top = 1, .right = 2, .bottom = 2 };
	d->u.fill.brush.type = SPICE_BRUSH_TYPE_SOLID;
	d->u.fill.brush.u.color = 0x55aa77;
	d->u.fill.rop_descriptor = SPICE_ROPD_OP_PUT;
	/* Addresses are physical ones in slot 0. */
	guest_push(m, QXL_CMD_DRAW, m->ram_gpa + (uint64_t)((uint8_t *)d - m->ram));
	fake_machine_run(m);
	assert_int_equal(m->sink.draws, 1);
	assert_int_equal(pixel(m, 0, 1, 1), 0x55aa77);
}

static void test_back_pressure(void **state)
{
	struct fake_machine *m = *state;
	uint32_t side = 2048, got;
	QXLDataChunk *chunk;
	QXLImage *image;

	guest_start(m, 64, 48);
	/* 16 MiB each; a viewer holds them all. */
	image = guest_alloc(m, sizeof(*image));
	chunk = guest_alloc(m, sizeof(*chunk) + 4 * (size_t)side * side);
	chunk->data_size = 4 * side * side;
	image->descriptor.type = SPICE_IMAGE_TYPE_BITMAP;
	image->descriptor.flags = QXL_IMAGE_CACHE;
	image->bitmap = (QXLBitmap){ .format = SPICE_BITMAP_FMT_32BIT,
		.x = side,
		.y = side,
		.stride = 4 * side,
		.data = guest_address(m, chunk) };
	m->sink.hold_draws = true;
	for (int i = 0; i < 30; i++) {
		QXLDrawable *d = guest_drawable(m, QXL_DRAW_COPY, 0, 0, 0, 4, 4);

		d->u.copy.src_bitmap = guest_address(m, image);
		d->u.copy.src_area = (QXLRect){ .right = 4, .bottom = 4 };
		d->u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
		guest_push(m, QXL_CMD_DRAW, guest_address(m, d));
	}
	fake_machine_run(m);
	got = m->sink.draws;
	assert_true(got >= 12 && got <= 13);
	fake_machine_run(m);
	assert_int_equal(m->sink.draws, got);
	/* It goes on by itself when pictures go. */
	m->sink.hold_draws = false;
	while (m->sink.held_count > 0)
		draw_unref(m->sink.held[--m->sink.held_count]);
	fake_machine_run(m);
	assert_int_equal(m->sink.draws, 30);
}

static void test_pci_reset(void **state)
{
	struct fake_machine *m = *state;

	guest_start(m, 64, 48);
	guest_push(m, QXL_CMD_SURFACE,
		guest_address(m, surface_cmd(m, 7, QXL_SURFACE_CMD_CREATE, 16, 16)));
	fake_machine_run(m);
	pci_bus_reset(m->bus);
	/* The header is new at once, the rest with the loop. */
	assert_int_equal(m->header->cmd_ring.prod, 0);
	fake_machine_run(m);
	for (uint32_t id = 0; id < DISPLAY_MAX_SURFACES; id++)
		assert_null(m->sink.surfaces[id]);
	/* At other addresses. */
	pci_bus_assign(m->bus, UINT64_C(1) << 32);
	guest_start(m, 32, 32);
	guest_push(m, QXL_CMD_DRAW, guest_address(m, guest_fill(m, 0, 0, 0, 1, 1, 0x111111)));
	fake_machine_run(m);
	assert_int_equal(pixel(m, 0, 0, 0), 0x111111);
}

static void test_surfaces_outlive_the_device(void **state)
{
	struct fake_machine m;
	struct surface *held;

	fake_machine_init(&m);
	guest_start(&m, 64, 48);
	held = surface_ref(m.sink.surfaces[0]);
	fake_machine_finish(&m);
	memset(surface_row(held, 47), 1, 256);
	surface_unref(held);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_identity, setup, teardown),
		cmocka_unit_test_setup_teardown(test_primary, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fill_and_release, setup, teardown),
		cmocka_unit_test_setup_teardown(test_doorbell_only_when_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_commands_before_the_primary, setup, teardown),
		cmocka_unit_test_setup_teardown(test_room_interrupt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_release_ring_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_copy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_copy_cached_chunked_palette, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clip_mask_rop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_off_screen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_creators_are_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_update_area, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cursor, setup, teardown),
		cmocka_unit_test_setup_teardown(test_monitors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_compat_mode, setup, teardown),
		cmocka_unit_test_setup_teardown(test_back_pressure, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pci_reset, setup, teardown),
		cmocka_unit_test(test_surfaces_outlive_the_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

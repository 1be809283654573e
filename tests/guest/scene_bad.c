/* SPDX-License-Identifier: MIT */
/* bad=<n>: what a hostile driver might give the device. bad=all does each after a reset of the
 * device. The guest goes on in any case and says so: "bad <n> sent", "alive <seconds>". README.md
 * lists the numbers. */
#include "cpu.h"
#include "scene.h"

/* Leaves the command in the ring, room or not: a broken device takes no more. */
static void bad_push(struct qxl *qxl, uint32_t type, QXLPHYSICAL data)
{
	volatile QXLCommandRing *ring = &qxl->header->cmd_ring;

	for (int tries = 0; tries < 20 && ring->prod - ring->cons >= QXL_COMMAND_RING_SIZE; tries++)
		machine_wait(1000000);
	ring->items[ring->prod & (QXL_COMMAND_RING_SIZE - 1)].el.data = data;
	ring->items[ring->prod & (QXL_COMMAND_RING_SIZE - 1)].el.type = type;
	cpu_barrier();
	ring->prod++;
	cpu_barrier();
	qxl_out(qxl, QXL_IO_NOTIFY_CMD, 0);
}

static void bad_push_cursor(struct qxl *qxl, QXLPHYSICAL data)
{
	volatile QXLCursorRing *ring = &qxl->header->cursor_ring;

	ring->items[ring->prod & (QXL_CURSOR_RING_SIZE - 1)].el.data = data;
	ring->items[ring->prod & (QXL_CURSOR_RING_SIZE - 1)].el.type = QXL_CMD_CURSOR;
	cpu_barrier();
	ring->prod++;
	cpu_barrier();
	qxl_out(qxl, QXL_IO_NOTIFY_CURSOR, 0);
}

/* Memory for hostile commands: a page each, never reused, so that none waits for a release. */
static uint8_t *bad_memory(struct qxl *qxl, uint32_t size)
{
	uint8_t *memory = qxl->pages + qxl->page_next * QXL_PAGE_BYTES;

	qxl->page_next += (size + QXL_PAGE_BYTES - 1) / QXL_PAGE_BYTES;
	if (qxl->page_next >= qxl->page_count)
		guest_panic("bad: out of memory");
	memset(memory, 0, size);
	return memory;
}

static QXLDrawable *bad_drawable(struct qxl *qxl, uint8_t type)
{
	return qxl_drawable_init(qxl, bad_memory(qxl, 4096), 0, rect_make(10, 10, 64, 64), type);
}

static void bad_draw(struct qxl *qxl, QXLDrawable *drawable)
{
	bad_push(qxl, QXL_CMD_DRAW, qxl_address(qxl, drawable));
}

static QXLDrawable *bad_fill(struct qxl *qxl)
{
	QXLDrawable *drawable = bad_drawable(qxl, QXL_DRAW_FILL);

	drawable->u.fill.brush.type = SPICE_BRUSH_TYPE_SOLID;
	drawable->u.fill.brush.u.color = 0xff0000;
	drawable->u.fill.rop_descriptor = SPICE_ROPD_OP_PUT;
	return drawable;
}

/* A right COPY of 64 x 64; *image and *chunk for the caller to spoil. */
static QXLDrawable *bad_copy(struct qxl *qxl, QXLImage **image, QXLDataChunk **chunk)
{
	uint8_t *memory = bad_memory(qxl, 8192 + 64 * 64 * 4);
	QXLDrawable *drawable =
		qxl_drawable_init(qxl, memory, 0, rect_make(10, 10, 64, 64), QXL_DRAW_COPY);

	*image = (QXLImage *)(memory + 1024);
	*chunk = (QXLDataChunk *)(memory + 2048);
	drawable->u.copy.src_bitmap = qxl_address(qxl, *image);
	drawable->u.copy.src_area = (QXLRect){ 0, 0, 64, 64 };
	drawable->u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
	(*image)->descriptor.type = SPICE_IMAGE_TYPE_BITMAP;
	(*image)->descriptor.width = (*image)->descriptor.height = 64;
	(*image)->bitmap.format = SPICE_BITMAP_FMT_32BIT;
	(*image)->bitmap.flags = QXL_BITMAP_TOP_DOWN;
	(*image)->bitmap.x = (*image)->bitmap.y = 64;
	(*image)->bitmap.stride = 256;
	(*image)->bitmap.data = qxl_address(qxl, *chunk);
	(*chunk)->data_size = 64 * 64 * 4;
	return drawable;
}

static void bad_slot(struct qxl *qxl)
{
	bad_push(qxl, QXL_CMD_DRAW, 77ull << 56 | 0x1000);
	bad_push(qxl, QXL_CMD_DRAW, qxl_address(qxl, bad_fill(qxl)) ^ 1ull << 48);
}

static void bad_address(struct qxl *qxl)
{
	bad_push(qxl, QXL_CMD_DRAW, qxl->slot_bits[0] | 0xffffffff000);
	bad_push(qxl, QXL_CMD_DRAW, qxl->slot_bits[0] | 0xffffffffffff);
}

static void bad_chunk_loop(struct qxl *qxl)
{
	QXLImage *image;
	QXLDataChunk *chunk;
	QXLDrawable *drawable = bad_copy(qxl, &image, &chunk);

	chunk->data_size = 1;
	chunk->next_chunk = qxl_address(qxl, chunk);
	bad_draw(qxl, drawable);
	drawable = bad_copy(qxl, &image, &chunk);
	chunk->data_size = 0;
	chunk->next_chunk = qxl_address(qxl, chunk);
	bad_draw(qxl, drawable);
}

static void bad_chunk_size(struct qxl *qxl)
{
	QXLImage *image;
	QXLDataChunk *chunk;
	QXLDrawable *drawable = bad_copy(qxl, &image, &chunk);

	chunk->data_size = 0xffffffff;
	bad_draw(qxl, drawable);
	drawable = bad_copy(qxl, &image, &chunk);
	chunk->data_size = 16; /* too few for the picture, and no more come */
	bad_draw(qxl, drawable);
}

static void bad_image_size(struct qxl *qxl)
{
	static const uint32_t sizes[] = { 0, 0x10000, 0x7fffffff, 0xffffffff };

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		QXLImage *image;
		QXLDataChunk *chunk;
		QXLDrawable *drawable = bad_copy(qxl, &image, &chunk);

		image->descriptor.width = image->bitmap.x = sizes[i];
		image->descriptor.height = image->bitmap.y = sizes[i];
		image->bitmap.stride = sizes[i] * 4;
		bad_draw(qxl, drawable);
		drawable = bad_copy(qxl, &image, &chunk);
		image->bitmap.stride = sizes[i];
		bad_draw(qxl, drawable);
	}
}

static void bad_surface_id(struct qxl *qxl)
{
	static const uint32_t ids[] = { 1, 1023, 1024, 0x7fffffff, 0xffffffff };

	for (unsigned i = 0; i < ARRAY_SIZE(ids); i++) {
		QXLDrawable *drawable = bad_fill(qxl);

		drawable->surface_id = ids[i];
		bad_draw(qxl, drawable);
	}
}

static void bad_surface_gone(struct qxl *qxl)
{
	QXLImage *image;
	QXLDataChunk *chunk;
	QXLDrawable *drawable;

	qxl_surface_create(qxl, 5, 64, 64);
	qxl_surface_destroy(qxl, 5);
	drawable = bad_copy(qxl, &image, &chunk);
	image->descriptor.type = SPICE_IMAGE_TYPE_SURFACE;
	image->surface_image.surface_id = 5;
	bad_draw(qxl, drawable);
	drawable = bad_fill(qxl);
	drawable->surface_id = 5;
	bad_draw(qxl, drawable);
	qxl_surface_destroy(qxl, 5);
	qxl_surface_destroy(qxl, 0);
}

static void bad_rects(struct qxl *qxl)
{
	static const QXLRect rects[] = { { 50, 50, 10, 10 }, { -100, -100, -50, -50 },
		{ INT32_MIN, INT32_MIN, INT32_MAX, INT32_MAX },
		{ INT32_MAX, INT32_MAX, INT32_MIN, INT32_MIN }, { 0, 0, 100000, 100000 },
		{ 0, 0, 0, 0 } };

	for (unsigned i = 0; i < ARRAY_SIZE(rects); i++) {
		QXLImage *image;
		QXLDataChunk *chunk;
		QXLDrawable *drawable = bad_fill(qxl);

		drawable->bbox = rects[i];
		bad_draw(qxl, drawable);
		drawable = bad_copy(qxl, &image, &chunk);
		drawable->u.copy.src_area = rects[i];
		bad_draw(qxl, drawable);
		drawable = bad_copy(qxl, &image, &chunk);
		drawable->bbox = rects[i];
		bad_draw(qxl, drawable);
	}
}

static void bad_command_type(struct qxl *qxl)
{
	bad_push(qxl, 99, qxl_address(qxl, bad_fill(qxl)));
	bad_push(qxl, 0xffffffff, qxl_address(qxl, bad_fill(qxl)));
	bad_push(qxl, QXL_CMD_CURSOR, qxl_address(qxl, bad_fill(qxl)));
}

static void bad_draw_type(struct qxl *qxl)
{
	bad_draw(qxl, bad_drawable(qxl, 0xee));
}

static void bad_ring_indices(struct qxl *qxl)
{
	qxl->header->cmd_ring.prod = qxl->header->cmd_ring.cons + 5000;
	qxl_out(qxl, QXL_IO_NOTIFY_CMD, 0);
	qxl->header->cursor_ring.prod = qxl->header->cursor_ring.cons - 1;
	qxl_out(qxl, QXL_IO_NOTIFY_CURSOR, 0);
	qxl->header->cmd_ring.num_items = 0xffffffff;
	qxl_out(qxl, QXL_IO_NOTIFY_CMD, 0);
}

static void bad_release_ring(struct qxl *qxl)
{
	qxl->header->release_ring.prod = 0x12345678;
	qxl->header->release_ring.cons = 0x9abcdef0;
	for (int i = 0; i < 40; i++)
		bad_draw(qxl, bad_fill(qxl));
	qxl_out(qxl, QXL_IO_NOTIFY_OOM, 0);
}

static void bad_create(struct qxl *qxl, uint32_t width, uint32_t height, int32_t stride,
	uint32_t format, uint64_t mem)
{
	QXLSurfaceCreate *create = &qxl->header->create_surface;

	qxl_out(qxl, QXL_IO_DESTROY_PRIMARY, 0);
	memset(create, 0, sizeof(*create));
	create->width = width;
	create->height = height;
	create->stride = stride;
	create->format = format;
	create->mem = mem;
	qxl_out(qxl, QXL_IO_CREATE_PRIMARY, 0);
	bad_draw(qxl, bad_fill(qxl));
}

static void bad_primary_size(struct qxl *qxl)
{
	uint64_t mem = qxl_address(qxl, qxl->primary);

	bad_create(qxl, 0x7fffffff, 0x7fffffff, INT32_MIN, SPICE_SURFACE_FMT_32_xRGB, mem);
	bad_create(qxl, 0x40000000, 4, 0, SPICE_SURFACE_FMT_32_xRGB, mem);
	bad_create(qxl, 0, 0, 0, SPICE_SURFACE_FMT_32_xRGB, mem);
	bad_create(qxl, 60000, 60000, 240000, SPICE_SURFACE_FMT_32_xRGB, mem);
}

static void bad_primary_stride(struct qxl *qxl)
{
	uint64_t mem = qxl_address(qxl, qxl->primary);

	bad_create(qxl, 640, 480, 64, SPICE_SURFACE_FMT_32_xRGB, mem);
	bad_create(qxl, 640, 480, 2561, SPICE_SURFACE_FMT_32_xRGB, mem);
	bad_create(qxl, 640, 480, 2560, 12345, mem);
}

static void bad_primary_memory(struct qxl *qxl)
{
	bad_create(qxl, 640, 480, 2560, SPICE_SURFACE_FMT_32_xRGB, 77ull << 56);
	bad_create(qxl, 640, 480, 2560, SPICE_SURFACE_FMT_32_xRGB,
		qxl->slot_bits[0] | (qxl->rom->ram_header_offset - 4096));
	bad_create(qxl, 640, 480, -2560, SPICE_SURFACE_FMT_32_xRGB, qxl->slot_bits[0]);
}

static void bad_memslot(struct qxl *qxl)
{
	uint64_t start = qxl->pci.bar[QXL_RAM_RANGE_INDEX];

	qxl_memslot_add(qxl, 3, start + 8192, start);
	qxl_memslot_add(qxl, 4, 0, UINT64_MAX);
	qxl_memslot_add(qxl, 5, 0x100000, 0x200000);
	qxl_memslot_add(qxl, 6, start + 4096, start + qxl->ram_size * 4ull);
	bad_push(qxl, QXL_CMD_DRAW, 4ull << 56 | 0x1000);
}

static void bad_memslot_id(struct qxl *qxl)
{
	uint64_t start = qxl->pci.bar[QXL_RAM_RANGE_INDEX];

	qxl_memslot_add(qxl, 200, start, start + 4096);
	qxl_out(qxl, QXL_IO_MEMSLOT_DEL, 201);
	qxl_out(qxl, QXL_IO_MEMSLOT_DEL, 0);
	bad_draw(qxl, bad_fill(qxl));
}

static void bad_surface_create(struct qxl *qxl)
{
	static const uint32_t sizes[] = { 0, 0x10000, 0x80000000, 0xffffffff };

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		QXLSurfaceCmd *command = (QXLSurfaceCmd *)bad_memory(qxl, 4096);

		command->surface_id = 7 + i;
		command->u.surface_create.format = SPICE_SURFACE_FMT_32_xRGB;
		command->u.surface_create.width = sizes[i];
		command->u.surface_create.height = sizes[i];
		command->u.surface_create.stride = sizes[i] * 4;
		command->u.surface_create.data = qxl_vram_address(qxl, 0);
		bad_push(qxl, QXL_CMD_SURFACE, qxl_address(qxl, command));
	}
	qxl_surface_create(qxl, 6, 64, 64);
	qxl_surface_create(qxl, 6, 64, 64);
	qxl_surface_create(qxl, 0, 64, 64);
}

static void bad_cursor(struct qxl *qxl)
{
	static const uint16_t sizes[] = { 0, 64, 0xffff };

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint8_t *memory = bad_memory(qxl, 8192);
		QXLCursorCmd *command = (QXLCursorCmd *)memory;
		QXLCursor *cursor = (QXLCursor *)(memory + 1024);

		command->type = QXL_CURSOR_SET;
		command->u.set.shape = qxl_address(qxl, cursor);
		cursor->header.width = cursor->header.height = sizes[i];
		cursor->header.hot_spot_x = 0xffff;
		cursor->header.type = i == 2 ? 0xff : SPICE_CURSOR_TYPE_ALPHA;
		cursor->data_size = i ? 0xffffffff : 16;
		cursor->chunk.data_size = 16;
		cursor->chunk.next_chunk = qxl_address(qxl, &cursor->chunk);
		bad_push_cursor(qxl, qxl_address(qxl, command));
	}
	bad_push_cursor(qxl, 77ull << 56);
}

static void bad_update_area(struct qxl *qxl)
{
	qxl_update_area(qxl, 900, rect_make(0, 0, 64, 64));
	qxl_update_area(qxl, 0xffffffff, rect_make(0, 0, 64, 64));
	qxl_update_area(qxl, 0, rect_make(50, 50, -40, -40));
	qxl_update_area(qxl, 0, rect_make(INT32_MIN, INT32_MIN, INT32_MAX, INT32_MAX));
}

static void bad_copy_surface(struct qxl *qxl)
{
	qxl_surface_create(qxl, 8, 64, 64);
	qxl_copy_surface(qxl, 8, rect_make(0, 0, 64, 64), 8, 1, 1);
	qxl_copy_surface(qxl, 0, rect_make(0, 0, 200, 200), 8, 0, 0);
	qxl_copy_surface(qxl, 0, rect_make(0, 0, 64, 64), 8, -32, 60);
	qxl_copy_surface(qxl, 0, rect_make(0, 0, 64, 64), 4000, 0, 0);
}

static void bad_copy_bits(struct qxl *qxl)
{
	qxl_copy_bits(qxl, 0, rect_make(0, 0, 64, 64), 100000, 100000);
	qxl_copy_bits(qxl, 0, rect_make(0, 0, 64, 64), INT32_MAX, INT32_MIN);
	qxl_copy_bits(qxl, 0, rect_make(0, 0, 64, 64), -500, -1);
}

static void bad_image_type(struct qxl *qxl)
{
	static const uint8_t formats[] = { 0, 1, 3, 5, 10, 255 };
	QXLImage *image;
	QXLDataChunk *chunk;
	QXLDrawable *drawable = bad_copy(qxl, &image, &chunk);

	image->descriptor.type = 200;
	bad_draw(qxl, drawable);
	for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
		drawable = bad_copy(qxl, &image, &chunk);
		image->bitmap.format = formats[i];
		image->bitmap.palette = qxl->slot_bits[0] | 0xfffffff0000;
		bad_draw(qxl, drawable);
	}
	drawable = bad_copy(qxl, &image, &chunk);
	image->descriptor.type = SPICE_IMAGE_TYPE_QUIC;
	image->quic.data_size = 0xfffffff0;
	bad_draw(qxl, drawable);
}

static void bad_clip(struct qxl *qxl)
{
	QXLDrawable *drawable = bad_fill(qxl);
	QXLClipRects *rects = (QXLClipRects *)bad_memory(qxl, 4096);

	rects->num_rects = 0xffffffff;
	rects->chunk.data_size = 0xffffffff;
	drawable->clip.type = SPICE_CLIP_TYPE_RECTS;
	drawable->clip.data = qxl_address(qxl, rects);
	bad_draw(qxl, drawable);
	drawable = bad_fill(qxl);
	drawable->clip.type = SPICE_CLIP_TYPE_RECTS;
	drawable->clip.data = 77ull << 56;
	bad_draw(qxl, drawable);
	drawable = bad_fill(qxl);
	drawable->clip.type = 200;
	bad_draw(qxl, drawable);
}

static void bad_ports(struct qxl *qxl)
{
	uint32_t random = 0x12345678;

	for (int i = 0; i < 2000; i++)
		qxl_out(qxl, QXL_IO_NOTIFY_CMD, i);
	for (int i = 0; i < 400; i++) {
		random = random * 1664525 + 1013904223;
		switch (random >> 30) {
		case 0: port_out32(qxl->io + (random >> 8) % 29, random); break;
		case 1: port_out16(qxl->io + (random >> 8) % 31, random); break;
		case 2: port_in32(qxl->io + (random >> 8) % 29); break;
		default: port_out8(qxl->io + (random >> 8) % 32, random >> 16);
		}
	}
}

static void bad_async(struct qxl *qxl)
{
	QXLMonitorsConfig *config = (QXLMonitorsConfig *)bad_memory(qxl, 4096);

	qxl->header->monitors_config = 77ull << 56;
	qxl_out(qxl, QXL_IO_MONITORS_CONFIG_ASYNC, 0);
	config->count = 0xffff;
	qxl->header->monitors_config = qxl_address(qxl, config);
	qxl_out(qxl, QXL_IO_MONITORS_CONFIG_ASYNC, 0);
	for (uint8_t port = QXL_IO_UPDATE_AREA_ASYNC; port < QXL_IO_RANGE_SIZE; port++)
		qxl_out(qxl, port, 0xff);
}

static void bad_no_primary(struct qxl *qxl)
{
	bad_draw(qxl, bad_fill(qxl));
	qxl_out(qxl, QXL_IO_DESTROY_PRIMARY, 0);
	bad_draw(qxl, bad_fill(qxl));
	qxl_out(qxl, QXL_IO_DESTROY_PRIMARY, 0);
	qxl_update_area(qxl, 0, rect_make(0, 0, 64, 64));
}

static void bad_straddle(struct qxl *qxl)
{
	/* The command begins in the slot's last bytes; the header lies behind it. */
	for (uint32_t back = 1; back < 256; back += 37)
		bad_push(qxl, QXL_CMD_DRAW,
			qxl->slot_bits[0] | (qxl->rom->ram_header_offset - back));
}

static void bad_random(struct qxl *qxl)
{
	uint32_t random = 0xdeadbeef;
	int32_t width = qxl->width, height = qxl->height;

	for (int n = 0; n < 300; n++) {
		QXLImage *image;
		QXLDataChunk *chunk;
		QXLDrawable *drawable = bad_copy(qxl, &image, &chunk);
		uint8_t *bytes = (uint8_t *)drawable;

		/* A few bytes of a good command each time. */
		for (int i = 0; i < 6; i++) {
			random = random * 1664525 + 1013904223;
			bytes[(random >> 8) % sizeof(*drawable)] = random >> 24;
			random = random * 1664525 + 1013904223;
			if (i & 1)
				((uint8_t *)image)[(random >> 8) % sizeof(*image)] = random >> 24;
		}
		bad_draw(qxl, drawable);
		if (n % 30 == 29) {
			qxl_init(qxl);
			qxl_mode_set(qxl, width, height);
		}
	}
}

static void bad_brush(struct qxl *qxl)
{
	QXLDrawable *drawable = bad_fill(qxl);

	drawable->u.fill.brush.type = SPICE_BRUSH_TYPE_PATTERN;
	drawable->u.fill.brush.u.pattern.pat = qxl->slot_bits[0] | 0xfffffff0000;
	bad_draw(qxl, drawable);
	drawable = bad_fill(qxl);
	drawable->u.fill.brush.type = 77;
	bad_draw(qxl, drawable);
	drawable = bad_fill(qxl);
	drawable->u.fill.rop_descriptor = 0xffff;
	bad_draw(qxl, drawable);
	drawable = bad_fill(qxl);
	drawable->u.fill.mask.bitmap = 77ull << 56;
	bad_draw(qxl, drawable);
}

static const struct {
	const char *name;
	void (*send)(struct qxl *qxl);
} bads[] = {
	{ "slot", bad_slot },
	{ "address", bad_address },
	{ "chunk-loop", bad_chunk_loop },
	{ "chunk-size", bad_chunk_size },
	{ "image-size", bad_image_size },
	{ "surface-id", bad_surface_id },
	{ "surface-gone", bad_surface_gone },
	{ "rects", bad_rects },
	{ "command-type", bad_command_type },
	{ "draw-type", bad_draw_type },
	{ "ring-indices", bad_ring_indices },
	{ "release-ring", bad_release_ring },
	{ "primary-size", bad_primary_size },
	{ "primary-stride", bad_primary_stride },
	{ "primary-memory", bad_primary_memory },
	{ "memslot", bad_memslot },
	{ "memslot-id", bad_memslot_id },
	{ "surface-create", bad_surface_create },
	{ "cursor", bad_cursor },
	{ "update-area", bad_update_area },
	{ "copy-surface", bad_copy_surface },
	{ "copy-bits", bad_copy_bits },
	{ "image-type", bad_image_type },
	{ "clip", bad_clip },
	{ "ports", bad_ports },
	{ "async", bad_async },
	{ "no-primary", bad_no_primary },
	{ "straddle", bad_straddle },
	{ "random", bad_random },
	{ "brush", bad_brush },
};

/* bad=all ends by showing that a reset mends the device: a fill must reach its memory. */
static void bad_check_mended(struct qxl *qxl, int32_t width, int32_t height)
{
	if (!qxl_init(qxl))
		guest_panic("the QXL device is gone");
	qxl_mode_set(qxl, width, height);
	qxl_fill(qxl, 0, rect_make(0, 0, width, height), 0x204060);
	qxl_update_area(qxl, 0, rect_make(0, 0, width, height));
	log_line("mended %s", (qxl->primary[0] & 0xffffff) == 0x204060 ? "yes" : "no");
}

void scene_bad(struct qxl *qxl)
{
	int32_t width = qxl->width, height = qxl->height;
	uint32_t only = option_number("bad", 0);
	char name[24];

	option_text("bad", name, sizeof(name));
	qxl_fill(qxl, 0, rect_make(0, 0, width, height), 0x402020);
	scene_ready(qxl);
	for (uint32_t i = 0; i < ARRAY_SIZE(bads); i++) {
		if (!text_equal(name, "all") && only != i + 1 && !text_equal(name, bads[i].name))
			continue;
		bads[i].send(qxl);
		machine_wait(20000000);
		log_line("bad %u %s sent", i + 1, bads[i].name);
		if (text_equal(name, "all"))
			bad_check_mended(qxl, width, height);
	}
	for (uint32_t seconds = 0;; seconds++) {
		log_line("alive %u", seconds);
		machine_wait(1000000000);
	}
}

/* SPDX-License-Identifier: MIT */
/* A machine without CPUs around a QXL device. */
#include "tests/qxl/fake_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "core/canvas.h"
#include "core/log.h"
#include "core/util.h"

/* ---- the sink ---- */

static struct fake_sink *sink_of(struct display_sink *sink)
{
	return container_of(sink, struct fake_sink, base);
}

static void sink_surface_create(struct display_sink *base, uint32_t id, struct surface *surface)
{
	struct fake_sink *sink = sink_of(base);

	assert_true(id < DISPLAY_MAX_SURFACES);
	surface_ref(surface);
	surface_unref(sink->surfaces[id]);
	sink->surfaces[id] = surface;
	sink->creates++;
}

static void sink_surface_destroy(struct display_sink *base, uint32_t id)
{
	struct fake_sink *sink = sink_of(base);

	assert_non_null(sink->surfaces[id]);
	surface_unref(sink->surfaces[id]);
	sink->surfaces[id] = NULL;
	sink->destroys++;
}

static struct surface *lookup(void *opaque, uint32_t id)
{
	struct fake_sink *sink = opaque;

	return id < DISPLAY_MAX_SURFACES ? sink->surfaces[id] : NULL;
}

static void sink_draw(struct display_sink *base, struct draw *draw)
{
	struct fake_sink *sink = sink_of(base);

	assert_non_null(sink->surfaces[draw->surface_id]);
	canvas_draw(sink->surfaces[draw->surface_id], draw, lookup, sink);
	draw_unref(sink->last_draw);
	sink->last_draw = draw_ref(draw);
	sink->draws++;
	if (sink->hold_draws && sink->held_count < ARRAY_SIZE(sink->held))
		sink->held[sink->held_count++] = draw_ref(draw);
}

static void sink_dirty(struct display_sink *base, uint32_t id, const struct rect *area)
{
	struct fake_sink *sink = sink_of(base);
	struct rect bounds;

	assert_int_equal(id, 0);
	bounds = surface_bounds(sink->surfaces[0]);
	assert_true(rect_contains(&bounds, area));
	sink->dirty = rect_union(&sink->dirty, area);
	sink->dirties++;
}

static void sink_cursor(struct display_sink *base, const struct cursor_state *state)
{
	struct fake_sink *sink = sink_of(base);

	if (state->shape)
		cursor_shape_ref(state->shape);
	cursor_shape_unref(sink->cursor.shape);
	sink->cursor = *state;
	sink->cursors++;
}

static void sink_update_area(struct display_sink *base, uint32_t id, const struct rect *area)
{
	struct fake_sink *sink = sink_of(base);
	struct rect bounds = surface_bounds(sink->surfaces[id]);

	assert_true(rect_contains(&bounds, area));
	sink->last_update = *area;
	sink->updates++;
}

static void sink_monitors(struct display_sink *base, const struct rect *heads, uint32_t count)
{
	struct fake_sink *sink = sink_of(base);

	sink->head_count = MIN(count, 16u);
	memcpy(sink->heads, heads, sink->head_count * sizeof(*heads));
}

static const struct display_sink_ops sink_ops = {
	.surface_create = sink_surface_create,
	.surface_destroy = sink_surface_destroy,
	.draw = sink_draw,
	.dirty = sink_dirty,
	.cursor = sink_cursor,
	.update_area = sink_update_area,
	.monitors = sink_monitors,
};

/* ---- the machine ---- */

static void set_gsi(struct irq_chip *chip, uint32_t gsi, bool level)
{
	container_of(chip, struct fake_machine, irq)->irq_level = level;
}

static void send_msi(struct irq_chip *chip, uint64_t address, uint32_t data)
{
	fail();
}

static const struct irq_chip_ops irq_ops = { .set_gsi = set_gsi, .send_msi = send_msi };

static int engine_map(void *opaque, struct memory_region *region)
{
	((struct fake_machine *)opaque)->maps++;
	return 0;
}

static void engine_unmap(void *opaque, struct memory_region *region)
{
	struct fake_machine *m = opaque;

	/* The moment in which a vCPU's write would be lost to the dirty log. */
	if (m->on_unmap && region->host == m->ram)
		m->on_unmap();
}

static int engine_dirty_log(void *opaque, struct memory_region *region, uint64_t *bitmap)
{
	struct fake_machine *m = opaque;

	if (m->dirty_page)
		bitmap[(m->dirty_page - 1) / 64] |= UINT64_C(1) << (m->dirty_page - 1) % 64;
	m->dirty_page = 0;
	return 0;
}

static const struct memory_backend_ops engine_ops = {
	.map = engine_map, .unmap = engine_unmap, .dirty_log = engine_dirty_log
};

static uint64_t bar_address(const struct fake_machine *m, unsigned bar)
{
	/* The device is the only one: its base is the PCI device. */
	return ((const struct pci_device *)(const void *)m->qxl)->bars[bar].address;
}

static void learn_bars(struct fake_machine *m)
{
	m->ram_gpa = bar_address(m, QXL_RAM_RANGE_INDEX);
	m->vram_gpa = bar_address(m, QXL_VRAM_RANGE_INDEX);
	m->rom_gpa = bar_address(m, QXL_ROM_RANGE_INDEX);
	m->io = (uint16_t)bar_address(m, QXL_IO_RANGE_INDEX);
	m->rom = guest_pointer(m->host.memory, m->rom_gpa, sizeof(QXLRom), false);
	m->ram = guest_pointer(m->host.memory, m->ram_gpa, 64u << 20, false);
	m->vram = guest_pointer(m->host.memory, m->vram_gpa, 64u << 20, false);
	assert_non_null(m->rom);
	assert_non_null(m->ram);
	assert_non_null(m->vram);
	assert_int_equal(m->rom->magic, QXL_ROM_MAGIC);
	m->header = (QXLRam *)(void *)(m->ram + m->rom->ram_header_offset);
	m->heap = m->rom->pages_offset;
}

void fake_machine_init(struct fake_machine *m)
{
	struct qxl_config config = { 0 };

	log_set_level(LOG_ERROR);
	memset(m, 0, sizeof(*m));
	m->irq.ops = &irq_ops;
	m->sink.base.ops = &sink_ops;
	assert_int_equal(loop_create(&m->loop), 0);
	m->host.loop = m->loop;
	m->host.irq = &m->irq;
	assert_int_equal(guest_memory_create(&m->host.memory, &engine_ops, m), 0);
	assert_int_equal(bus_create(&m->host.ports, false, NULL, NULL), 0);
	assert_int_equal(bus_create(&m->host.mmio, true, NULL, NULL), 0);
	assert_int_equal(pci_bus_create(&m->bus, &m->host), 0);
	assert_int_equal(qxl_create(&m->qxl, &m->host, m->bus, &config, &m->sink.base), 0);
	pci_bus_reset(m->bus);
	pci_bus_assign(m->bus, UINT64_C(1) << 32);
	learn_bars(m);
	fake_machine_run(m);
}

void fake_machine_finish(struct fake_machine *m)
{
	qxl_destroy(m->qxl);
	pci_bus_destroy(m->bus);
	loop_destroy(m->loop);
	bus_destroy(m->host.ports);
	bus_destroy(m->host.mmio);
	guest_memory_destroy(m->host.memory);
	draw_unref(m->sink.last_draw);
	for (uint32_t i = 0; i < m->sink.held_count; i++)
		draw_unref(m->sink.held[i]);
	cursor_shape_unref(m->sink.cursor.shape);
	for (uint32_t id = 0; id < DISPLAY_MAX_SURFACES; id++)
		assert_null(m->sink.surfaces[id]);
}

void fake_machine_run(struct fake_machine *m)
{
	for (int i = 0; i < 32; i++)
		loop_run_once(m->loop, 0);
}

/* ---- the guest ---- */

void guest_out(struct fake_machine *m, uint32_t port, uint32_t value)
{
	bus_write(m->host.ports, m->io + port, value, 1);
}

void *guest_alloc(struct fake_machine *m, size_t size)
{
	uint8_t *memory = m->ram + m->heap;

	m->heap += (uint32_t)ALIGN_UP(size, (size_t)64);
	assert_true(m->heap <= m->rom->ram_header_offset);
	memset(memory, 0, size);
	return memory;
}

uint64_t guest_address(const struct fake_machine *m, const void *memory)
{
	const uint8_t *at = memory;

	if (at >= m->vram && at < m->vram + (64u << 20))
		return (uint64_t)SLOT_VRAM << 56 | (uint64_t)(at - m->vram);
	return (uint64_t)SLOT_RAM << 56 | (uint64_t)(at - m->ram);
}

static void add_slot(struct fake_machine *m, uint32_t id, uint64_t gpa)
{
	m->header->mem_slot.mem_start = gpa;
	m->header->mem_slot.mem_end = gpa + (64u << 20);
	guest_out(m, QXL_IO_MEMSLOT_ADD, id);
}

void guest_start(struct fake_machine *m, uint32_t width, uint32_t height)
{
	guest_out(m, QXL_IO_RESET, 0);
	add_slot(m, SLOT_RAM, m->ram_gpa);
	add_slot(m, SLOT_VRAM, m->vram_gpa);
	if (!width)
		return;
	m->header->create_surface = (QXLSurfaceCreate){
		.width = width,
		.height = height,
		.stride = (int32_t)width * 4,
		.format = SPICE_SURFACE_FMT_32_xRGB,
		.mem = (uint64_t)SLOT_RAM << 56,
	};
	guest_out(m, QXL_IO_CREATE_PRIMARY, 0);
	fake_machine_run(m);
}

static void push(volatile uint32_t *words, uint32_t type, uint64_t data)
{
	QXLCommand *items = (QXLCommand *)(uintptr_t)&words[5];
	uint32_t prod = words[1];

	items[prod & 31] = (QXLCommand){ .data = data, .type = type };
	words[1] = prod + 1;
}

void guest_push(struct fake_machine *m, uint32_t type, uint64_t data)
{
	volatile uint32_t *ring = (void *)&m->header->cmd_ring;

	push(ring, type, data);
	if (ring[1] == ring[2])
		guest_out(m, QXL_IO_NOTIFY_CMD, 0);
}

void guest_push_cursor(struct fake_machine *m, uint64_t data)
{
	volatile uint32_t *ring = (void *)&m->header->cursor_ring;

	push(ring, QXL_CMD_CURSOR, data);
	if (ring[1] == ring[2])
		guest_out(m, QXL_IO_NOTIFY_CURSOR, 0);
}

uint32_t guest_collect(struct fake_machine *m, uint64_t *ids, uint32_t max)
{
	QXLReleaseRing *ring = &m->header->release_ring;
	uint32_t count = 0;
	uint64_t id;

	if (ring->cons == ring->prod) {
		ring->notify_on_prod = ring->prod + 1;
		return 0;
	}
	id = ring->items[ring->cons & (QXL_RELEASE_RING_SIZE - 1)].el;
	ring->cons++;
	while (id && count < max) {
		ids[count++] = id;
		/* Our ids are addresses in the RAM BAR. */
		id = ((QXLReleaseInfo *)(void *)(m->ram + (id & 0xffffffff)))->next;
	}
	return count;
}

uint32_t guest_interrupts(struct fake_machine *m)
{
	uint32_t pending = m->header->int_pending;

	m->header->int_pending = 0;
	guest_out(m, QXL_IO_UPDATE_IRQ, 0);
	return pending;
}

QXLDrawable *guest_drawable(struct fake_machine *m, uint8_t type, uint32_t surface, int32_t left,
	int32_t top, int32_t right, int32_t bottom)
{
	QXLDrawable *d = guest_alloc(m, sizeof(*d));

	d->release_info.id = guest_address(m, d);
	d->surface_id = surface;
	d->type = type;
	d->bbox = (QXLRect){ .left = left, .top = top, .right = right, .bottom = bottom };
	for (int i = 0; i < 3; i++)
		d->surfaces_dest[i] = -1;
	return d;
}

QXLDrawable *guest_fill(struct fake_machine *m, uint32_t surface, int32_t left, int32_t top,
	int32_t right, int32_t bottom, uint32_t color)
{
	QXLDrawable *d = guest_drawable(m, QXL_DRAW_FILL, surface, left, top, right, bottom);

	d->u.fill.brush.type = SPICE_BRUSH_TYPE_SOLID;
	d->u.fill.brush.u.color = color;
	d->u.fill.rop_descriptor = SPICE_ROPD_OP_PUT;
	return d;
}

QXLImage *guest_bitmap(struct fake_machine *m, uint8_t format, uint8_t flags, uint32_t width,
	uint32_t height, uint32_t stride, const void *bits)
{
	QXLImage *image = guest_alloc(m, sizeof(*image));
	QXLDataChunk *chunk = guest_alloc(m, sizeof(*chunk) + (size_t)stride * height);

	chunk->data_size = stride * height;
	memcpy(chunk->data, bits, (size_t)stride * height);
	image->descriptor.type = SPICE_IMAGE_TYPE_BITMAP;
	image->descriptor.width = width;
	image->descriptor.height = height;
	image->bitmap.format = format;
	image->bitmap.flags = flags;
	image->bitmap.x = width;
	image->bitmap.y = height;
	image->bitmap.stride = stride;
	image->bitmap.data = guest_address(m, chunk);
	return image;
}

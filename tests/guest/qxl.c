/* SPDX-License-Identifier: MIT */
/* QXL driver: set-up, command memory, rings. The drawing commands are in qxl_draw.c. */
#include "cpu.h"
#include "machine.h"
#include "qxl.h"

/* Not cleared at boot: qxl_init clears as much as the device needs. */
static uint16_t page_runs[QXL_PAGES_MAX] __attribute__((section(".lazy")));

void qxl_out(struct qxl *qxl, uint8_t port, uint8_t value)
{
	port_out8(qxl->io + port, value);
}

void qxl_memslot_add(struct qxl *qxl, uint8_t slot, uint64_t start, uint64_t end)
{
	qxl->header->mem_slot.mem_start = start;
	qxl->header->mem_slot.mem_end = end;
	qxl_out(qxl, QXL_IO_MEMSLOT_ADD, slot);
	if (slot < 2) {
		uint64_t bits = (uint64_t)slot << qxl->rom->slot_gen_bits;

		bits |= qxl->rom->slot_generation;
		qxl->slot_bits[slot] = bits
			<< (64 - qxl->rom->slot_gen_bits - qxl->rom->slot_id_bits);
	}
}

static void qxl_memory_init(struct qxl *qxl)
{
	uint32_t end = qxl->rom->ram_header_offset;
	uint32_t at = (qxl->rom->surface0_area_size + 4095) & ~4095u;

	/* The pages between the primary surface's area and the header are the driver's. */
	qxl->commands = qxl->ram + at;
	at += QXL_COMMAND_COUNT * QXL_COMMAND_BYTES;
	qxl->pages = qxl->ram + at;
	if (at >= end)
		guest_panic("qxl: the RAM BAR is too small");
	qxl->page_count = min32((end - at) / QXL_PAGE_BYTES, QXL_PAGES_MAX);
	qxl->page_run = page_runs;
	memset(page_runs, 0, qxl->page_count * sizeof(page_runs[0]));
	for (uint32_t i = 0; i < QXL_COMMAND_COUNT; i++)
		qxl->free_commands[i] = QXL_COMMAND_COUNT - 1 - i;
	qxl->free_count = QXL_COMMAND_COUNT;
}

bool qxl_init(struct qxl *qxl)
{
	uint32_t gsi = qxl->gsi;

	memset(qxl, 0, sizeof(*qxl));
	qxl->gsi = gsi;
	if (!pci_find(&qxl->pci, REDHAT_PCI_VENDOR_ID, QXL_DEVICE_ID_STABLE, 0))
		return false;
	qxl->ram = (uint8_t *)(uintptr_t)qxl->pci.bar[QXL_RAM_RANGE_INDEX];
	qxl->vram = (uint8_t *)(uintptr_t)qxl->pci.bar[QXL_VRAM_RANGE_INDEX];
	qxl->rom = (QXLRom *)(uintptr_t)qxl->pci.bar[QXL_ROM_RANGE_INDEX];
	qxl->io = qxl->pci.bar[QXL_IO_RANGE_INDEX];
	qxl->ram_size = qxl->pci.bar_size[QXL_RAM_RANGE_INDEX];
	qxl->vram_size = qxl->pci.bar_size[QXL_VRAM_RANGE_INDEX];
	if (qxl->rom->magic != QXL_ROM_MAGIC)
		guest_panic("qxl: no magic in the ROM");
	qxl->header = (QXLRam *)(qxl->ram + qxl->rom->ram_header_offset);
	qxl_out(qxl, QXL_IO_RESET, 0);
	if (qxl->header->magic != QXL_RAM_MAGIC)
		guest_panic("qxl: no magic in the RAM header");
	qxl->header->int_mask = gsi ? QXL_INTERRUPT_ERROR : 0;
	qxl_memory_init(qxl);
	qxl_memslot_add(qxl, QXL_SLOT_RAM, qxl->pci.bar[QXL_RAM_RANGE_INDEX],
		qxl->pci.bar[QXL_RAM_RANGE_INDEX] + qxl->rom->ram_header_offset);
	qxl_memslot_add(qxl, QXL_SLOT_VRAM, qxl->pci.bar[QXL_VRAM_RANGE_INDEX],
		qxl->pci.bar[QXL_VRAM_RANGE_INDEX] + qxl->vram_size);
	return true;
}

void qxl_mode_set(struct qxl *qxl, int32_t width, int32_t height)
{
	QXLSurfaceCreate *create = &qxl->header->create_surface;

	if ((uint64_t)width * height * 4 > qxl->rom->surface0_area_size)
		guest_panic("qxl: %dx%d does not fit", width, height);
	qxl->width = width;
	qxl->height = height;
	qxl->primary = (uint32_t *)(qxl->ram + qxl->rom->draw_area_offset);
	create->width = width;
	create->height = height;
	create->stride = width * 4;
	create->format = SPICE_SURFACE_FMT_32_xRGB;
	create->position = 0;
	create->mouse_mode = 0;
	create->flags = 0;
	create->type = QXL_SURF_TYPE_PRIMARY;
	create->mem = qxl_address(qxl, qxl->primary);
	qxl_out(qxl, QXL_IO_CREATE_PRIMARY, 0);
}

QXLPHYSICAL qxl_address(const struct qxl *qxl, const void *memory)
{
	return qxl->slot_bits[QXL_SLOT_RAM] | ((const uint8_t *)memory - qxl->ram);
}

QXLPHYSICAL qxl_vram_address(const struct qxl *qxl, uint32_t offset)
{
	return qxl->slot_bits[QXL_SLOT_VRAM] | offset;
}

void qxl_free(struct qxl *qxl, void *memory)
{
	uint8_t *bytes = memory;

	if (bytes < qxl->pages)
		qxl->free_commands[qxl->free_count++] = (bytes - qxl->commands) / QXL_COMMAND_BYTES;
	else
		qxl->page_run[(bytes - qxl->pages) / QXL_PAGE_BYTES] = 0;
}

/* A device may be wrong, too: an id that we did not hand out is told and dropped. */
static bool qxl_id_is_ours(const struct qxl *qxl, uint64_t id)
{
	const uint8_t *at = (const uint8_t *)(uintptr_t)id;

	if (at >= qxl->commands && at < qxl->pages)
		return qxl->free_count < QXL_COMMAND_COUNT &&
			!((at - qxl->commands) % QXL_COMMAND_BYTES);
	return at >= qxl->pages && at < qxl->pages + qxl->page_count * QXL_PAGE_BYTES &&
		!((at - qxl->pages) % QXL_PAGE_BYTES) &&
		qxl->page_run[(at - qxl->pages) / QXL_PAGE_BYTES];
}

void qxl_collect(struct qxl *qxl)
{
	volatile QXLReleaseRing *ring = &qxl->header->release_ring;

	/* Nonsense in the ring (which scene_bad puts there) is not followed. */
	if (ring->prod - ring->cons > QXL_RELEASE_RING_SIZE)
		return;
	while (ring->cons != ring->prod) {
		uint64_t id = ring->items[ring->cons & (QXL_RELEASE_RING_SIZE - 1)].el;

		while (id) {
			QXLReleaseInfo *info = (QXLReleaseInfo *)(uintptr_t)id;

			if (!qxl_id_is_ours(qxl, id)) {
				log_line("qxl: released id %lx is not ours", id);
				break;
			}
			id = info->next;
			qxl_free(qxl, info);
			qxl->released++;
		}
		ring->cons++;
		cpu_barrier();
	}
}

/* Nothing is free: ask the device for what it holds, and give it time. */
static void qxl_wait_for_memory(struct qxl *qxl)
{
	qxl_collect(qxl);
	if (qxl->free_count > QXL_COMMAND_COUNT / 2)
		return;
	qxl_out(qxl, QXL_IO_NOTIFY_OOM, 0);
	qxl_collect(qxl);
}

void *qxl_command_alloc(struct qxl *qxl)
{
	if (!qxl->free_count)
		qxl_collect(qxl);
	while (!qxl->free_count) {
		qxl_wait_for_memory(qxl);
		if (!qxl->free_count)
			machine_wait(1000000);
	}
	return qxl->commands + qxl->free_commands[--qxl->free_count] * QXL_COMMAND_BYTES;
}

static void *qxl_pages_take(struct qxl *qxl, uint32_t count)
{
	uint32_t at = qxl->page_next, found = 0;
	bool wrapped = false;

	for (;;) {
		if (at >= qxl->page_count) {
			if (wrapped)
				return NULL;
			wrapped = true;
			at = found = 0;
		}
		if (qxl->page_run[at]) {
			at += qxl->page_run[at];
			found = 0;
			continue;
		}
		at++;
		if (++found == count)
			break;
	}
	qxl->page_run[at - count] = count;
	qxl->page_next = at;
	return qxl->pages + (at - count) * QXL_PAGE_BYTES;
}

void *qxl_bitmap_alloc(struct qxl *qxl, uint32_t size)
{
	uint32_t count = (size + QXL_PAGE_BYTES - 1) / QXL_PAGE_BYTES;
	void *memory;

	if (count > qxl->page_count || count > 0xffff)
		guest_panic("qxl: a bitmap of %u KiB", size / 1024);
	qxl_collect(qxl);
	while (!(memory = qxl_pages_take(qxl, count))) {
		qxl->page_next = 0;
		qxl_out(qxl, QXL_IO_NOTIFY_OOM, 0);
		qxl_collect(qxl);
		memory = qxl_pages_take(qxl, count);
		if (memory)
			break;
		machine_wait(1000000);
		qxl_collect(qxl);
	}
	return memory;
}

/* The device interrupts when it takes from a full ring; without its interrupt we look again soon. */
static void qxl_wait_for_ring(struct qxl *qxl, uint32_t interrupt)
{
	qxl->header->int_mask |= interrupt;
	machine_wait(qxl->gsi ? 20000000 : 1000000);
	qxl->header->int_mask &= ~interrupt;
}

void qxl_push_command(struct qxl *qxl, uint32_t type, QXLPHYSICAL data)
{
	volatile QXLCommandRing *ring = &qxl->header->cmd_ring;
	volatile QXLCommand *item;

	while (ring->prod - ring->cons >= QXL_COMMAND_RING_SIZE) {
		ring->notify_on_cons = ring->cons + 1;
		cpu_barrier();
		if (ring->prod - ring->cons >= QXL_COMMAND_RING_SIZE)
			qxl_wait_for_ring(qxl, QXL_INTERRUPT_DISPLAY);
	}
	item = &ring->items[ring->prod & (QXL_COMMAND_RING_SIZE - 1)].el;
	item->data = data;
	item->type = type;
	item->padding = 0;
	cpu_barrier();
	ring->prod++;
	cpu_barrier();
	if (ring->prod == ring->notify_on_prod)
		qxl_out(qxl, QXL_IO_NOTIFY_CMD, 0);
	qxl->drawn++;
}

void qxl_push_cursor(struct qxl *qxl, QXLPHYSICAL data)
{
	volatile QXLCursorRing *ring = &qxl->header->cursor_ring;
	volatile QXLCommand *item;

	while (ring->prod - ring->cons >= QXL_CURSOR_RING_SIZE) {
		ring->notify_on_cons = ring->cons + 1;
		cpu_barrier();
		if (ring->prod - ring->cons >= QXL_CURSOR_RING_SIZE)
			qxl_wait_for_ring(qxl, QXL_INTERRUPT_CURSOR);
	}
	item = &ring->items[ring->prod & (QXL_CURSOR_RING_SIZE - 1)].el;
	item->data = data;
	item->type = QXL_CMD_CURSOR;
	item->padding = 0;
	cpu_barrier();
	ring->prod++;
	cpu_barrier();
	if (ring->prod == ring->notify_on_prod)
		qxl_out(qxl, QXL_IO_NOTIFY_CURSOR, 0);
}

void qxl_update_area(struct qxl *qxl, uint32_t surface, struct rect area)
{
	qxl->header->update_area.left = area.x;
	qxl->header->update_area.top = area.y;
	qxl->header->update_area.right = area.x + area.width;
	qxl->header->update_area.bottom = area.y + area.height;
	qxl->header->update_surface = surface;
	qxl_out(qxl, QXL_IO_UPDATE_AREA, 0);
}

/* INTx of an i440FX machine: PCI pin -> PIRQ link -> the pin of the IOAPIC that the PIIX3 has for it,
 * which we choose where no firmware did. */
void qxl_irq_init(struct qxl *qxl)
{
	enum { PIIX3 = 0x70008086, PIRQ_A = 0x60, PIRQ_OFF = 0x80, INTERRUPT_PIN = 0x3d };
	struct pci_device bridge = { .slot = 1 };
	uint8_t pin = pci_read8(&qxl->pci, INTERRUPT_PIN), link, gsi;

	if (!qxl->header || !pin || pci_read32(&bridge, 0) != PIIX3)
		return;
	link = (pin - 1 + qxl->pci.slot - 1) & 3;
	gsi = pci_read8(&bridge, PIRQ_A + link);
	if (gsi & PIRQ_OFF || !gsi || gsi > 15) {
		uint32_t routes = pci_read32(&bridge, PIRQ_A) & ~(0xffu << link * 8);

		gsi = 10 + (link & 1);
		pci_write32(&bridge, PIRQ_A, routes | (uint32_t)gsi << link * 8);
	}
	qxl->gsi = gsi;
	qxl->header->int_mask = QXL_INTERRUPT_ERROR;
	qxl_out(qxl, QXL_IO_UPDATE_IRQ, 0);
	machine_irq_enable(gsi, true, false);
}

void qxl_interrupt(struct qxl *qxl)
{
	uint32_t pending = 0;

	if (qxl->header) {
		pending = __atomic_exchange_n(&qxl->header->int_pending, 0, __ATOMIC_SEQ_CST);
		qxl_out(qxl, QXL_IO_UPDATE_IRQ, 0);
	}
	if (pending & QXL_INTERRUPT_ERROR)
		log_line("qxl error interrupt");
	/* Another device holds the shared line, and we do not know it. */
	qxl->idle_interrupts = pending ? 0 : qxl->idle_interrupts + 1;
	if (qxl->idle_interrupts > 100) {
		machine_irq_disable(qxl->gsi);
		qxl->gsi = 0;
	}
}

/* SPDX-License-Identifier: MIT */
/*
 * The VGA inside the QXL device: its ports and window on the buses, and when its picture is looked
 * at. Writes of registers and of the window come to us and start a refresh. The linear frame buffer
 * is plain memory: while it changes, a timer reads its dirty log; when it has been still for a
 * while BAR 0 becomes read-only, so that the next write comes to us as well, and the timer stops. A
 * still screen thus costs no wake-up.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "qxl/qxl_device.h"

#define REFRESH_NS  25000000u /* 40 times a second at the most */
#define FREEZE_NS   500000000u /* after being still for so long */
#define PORTS_BASE  0x3b0
#define PORTS_SIZE  0x30
#define VBE_BASE    0x1ce
#define VBE_SIZE    4
#define HASHED_ROWS 16384
#define VGA_PAGES   (QXL_VGAMEM_BYTES / VGA_PAGE_BYTES)
#define DIRTY_BYTES (VGA_PAGES / 8)

static struct memory_region *ram_region(struct qxl *qxl)
{
	return &qxl->pci.bars[QXL_RAM_RANGE_INDEX].memory;
}

static void refresh(struct qxl *qxl);

/* ---- from the vCPUs to the loop ---- */

static void kicked(void *opaque)
{
	struct qxl *qxl = opaque;
	uint64_t since;

	if (qxl->dead || !qxl->watched)
		return; /* `kicked` stays, and qxl_set_watched() refreshes */
	since = clock_monotonic_ns() - qxl->refreshed_ns;
	loop_timer_arm(qxl->vga_timer, since < REFRESH_NS ? REFRESH_NS - since : 0);
}

/* What is shown may have changed. With the lock. */
static void kick(struct qxl *qxl)
{
	if (qxl->kicked)
		return;
	qxl->kicked = loop_post(qxl->loop, kicked, qxl) == 0;
}

static void wanted(void *opaque)
{
	struct qxl *qxl = opaque;

	if (qxl->dead)
		return;
	pthread_mutex_lock(&qxl->pci.lock);
	qxl->vga_wanted = false;
	pthread_mutex_unlock(&qxl->pci.lock);
	if (qxl_get_mode(qxl) == QXL_MODE_VGA)
		return;
	qxl_primary_destroy(qxl);
	atomic_store(&qxl->broken, false);
	qxl_vga_enter(qxl);
}

/* A write of a VGA register while the driver's surface is shown: whoever does that wants the VGA
 * (a reboot without reset, a driver's end). With the lock. */
static void want_vga(struct qxl *qxl)
{
	if (qxl->mode == QXL_MODE_VGA || qxl->vga_wanted)
		return;
	qxl->vga_wanted = loop_post(qxl->loop, wanted, qxl) == 0;
}

/* ---- the regions ---- */

static uint64_t ports_read(struct bus_region *region, uint64_t offset, unsigned size)
{
	struct qxl *qxl = container_of(region, struct qxl, ports_region);
	uint64_t value = 0;

	pthread_mutex_lock(&qxl->pci.lock);
	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)vga_port_read(&qxl->vga, (uint16_t)(PORTS_BASE + offset + i))
			<< (8 * i);
	pthread_mutex_unlock(&qxl->pci.lock);
	return value;
}

static void ports_write(struct bus_region *region, uint64_t offset, uint64_t value, unsigned size)
{
	struct qxl *qxl = container_of(region, struct qxl, ports_region);
	bool changed = false;

	pthread_mutex_lock(&qxl->pci.lock);
	want_vga(qxl);
	for (unsigned i = 0; i < size; i++)
		changed |= vga_port_write(&qxl->vga, (uint16_t)(PORTS_BASE + offset + i),
			(uint8_t)(value >> (8 * i)));
	if (changed)
		kick(qxl);
	pthread_mutex_unlock(&qxl->pci.lock);
}

static uint64_t window_read(struct bus_region *region, uint64_t offset, unsigned size)
{
	struct qxl *qxl = container_of(region, struct qxl, window_region);
	uint64_t value = 0;

	pthread_mutex_lock(&qxl->pci.lock);
	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)vga_window_read(&qxl->vga, (uint32_t)offset + i) << (8 * i);
	pthread_mutex_unlock(&qxl->pci.lock);
	return value;
}

static void window_write(struct bus_region *region, uint64_t offset, uint64_t value, unsigned size)
{
	struct qxl *qxl = container_of(region, struct qxl, window_region);
	bool changed = false;

	pthread_mutex_lock(&qxl->pci.lock);
	for (unsigned i = 0; i < size; i++)
		changed |= vga_window_write(
			&qxl->vga, (uint32_t)offset + i, (uint8_t)(value >> (8 * i)));
	if (changed)
		kick(qxl);
	pthread_mutex_unlock(&qxl->pci.lock);
}

/* The index is at 1CE; the data at 1CF, where a word is not aligned, and at 1D0. */
static uint64_t vbe_read(struct bus_region *region, uint64_t offset, unsigned size)
{
	struct qxl *qxl = container_of(region, struct qxl, vbe_region);
	uint16_t value;

	pthread_mutex_lock(&qxl->pci.lock);
	value = offset == 0 ? vga_vbe_index(&qxl->vga) : vga_vbe_read(&qxl->vga);
	pthread_mutex_unlock(&qxl->pci.lock);
	return value;
}

static void vbe_write(struct bus_region *region, uint64_t offset, uint64_t value, unsigned size)
{
	struct qxl *qxl = container_of(region, struct qxl, vbe_region);

	pthread_mutex_lock(&qxl->pci.lock);
	if (offset == 0)
		vga_vbe_select(&qxl->vga, (uint16_t)value);
	else if (vga_vbe_write(&qxl->vga, (uint16_t)value))
		kick(qxl);
	pthread_mutex_unlock(&qxl->pci.lock);
}

/* ---- the linear frame buffer ---- */

/* With the lock. */
static void set_watch(struct qxl *qxl, bool logging, bool frozen)
{
	if (qxl->logging == logging && qxl->frozen == frozen)
		return;
	if (guest_memory_set_flags(qxl->pci.host->memory, ram_region(qxl), frozen, logging))
		log_warn_limited(
			&qxl->vga_log_limit, QXL_LOG, "the frame buffer cannot be watched");
	qxl->logging = logging;
	qxl->frozen = frozen;
}

/* BAR 0 as the bus sees it: what comes here was refused by the read-only memory, or came in the
 * moment in which the memory was changed from one to the other. */
static uint64_t trap_read(struct bus_region *region, uint64_t offset, unsigned size)
{
	struct qxl *qxl = container_of(region, struct qxl, trap_region);
	uint64_t value = 0;

	memcpy(&value, qxl->memory->ram + offset, size);
	return value;
}

static void trap_write(struct bus_region *region, uint64_t offset, uint64_t value, unsigned size)
{
	struct qxl *qxl = container_of(region, struct qxl, trap_region);

	pthread_mutex_lock(&qxl->pci.lock);
	memcpy(qxl->memory->ram + offset, &value, size);
	vga_mark_dirty(&qxl->vga, offset, size);
	set_watch(qxl, qxl->logging, false);
	kick(qxl);
	pthread_mutex_unlock(&qxl->pci.lock);
}

/* A write came that KVM cannot emulate (an AVX store): the memory takes it when it is tried again,
 * and the log tells of it. */
static void thaw(struct memory_region *region)
{
	struct pci_bar *bar = container_of(region, struct pci_bar, memory);
	struct qxl *qxl = container_of(bar, struct qxl, pci.bars[QXL_RAM_RANGE_INDEX]);

	pthread_mutex_lock(&qxl->pci.lock);
	set_watch(qxl, qxl->logging, false);
	kick(qxl);
	pthread_mutex_unlock(&qxl->pci.lock);
}

static const struct bus_ops ports_ops = { .read = ports_read, .write = ports_write };
static const struct bus_ops window_ops = { .read = window_read, .write = window_write };
static const struct bus_ops vbe_ops = { .read = vbe_read, .write = vbe_write };
static const struct bus_ops trap_ops = { .read = trap_read, .write = trap_write };

void qxl_vga_bar_changed(struct qxl *qxl)
{
	const struct pci_bar *bar = &qxl->pci.bars[QXL_RAM_RANGE_INDEX];
	struct bus *mmio = qxl->pci.host->mmio;

	bus_remove(mmio, &qxl->trap_region);
	if (bar->mapped && bus_add(mmio, &qxl->trap_region, bar->address))
		log_warn(QXL_LOG, "the frame buffer cannot be watched");
}

/* Hashes of the rows shown, to find what was written while the memory changed hands. */
static uint32_t hash_rows(const struct surface *surface, uint64_t *hashes)
{
	uint32_t rows = MIN(surface->height, HASHED_ROWS);
	size_t bytes = (size_t)surface->width * surface_format_bits(surface->format) / 8;

	for (uint32_t y = 0; y < rows; y++) {
		const uint8_t *row = surface_row(surface, y);
		uint64_t hash = y, word;

		for (size_t i = 0; i < bytes; i += 8) {
			word = 0;
			memcpy(&word, row + i, MIN((size_t)8, bytes - i));
			hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
			hash ^= hash >> 29;
		}
		hashes[y] = hash;
	}
	return rows;
}

/* Takes what was written since the last time. With the lock. Answers whether anything was. */
static bool take_dirty(struct qxl *qxl, uint64_t dirty[DIRTY_BYTES / 8])
{
	uint64_t any = 0;

	memcpy(dirty, qxl->vga.dirty, DIRTY_BYTES);
	memset(qxl->vga.dirty, 0, DIRTY_BYTES);
	/* What could not be fetched is lost to us only: it is taken for written. */
	if (qxl->logging &&
		guest_memory_dirty_log(qxl->pci.host->memory, ram_region(qxl), qxl->log_bitmap))
		memset(qxl->log_bitmap, 0xff, DIRTY_BYTES);
	for (size_t i = 0; i < DIRTY_BYTES / 8; i++) {
		if (qxl->logging)
			dirty[i] |= qxl->log_bitmap[i];
		any |= dirty[i];
	}
	return any;
}

/* Marks the rows that differ from their hashes. */
static bool mark_changed_rows(struct qxl *qxl, uint32_t rows)
{
	const struct surface *surface = qxl->renderer.surface;
	uint64_t *after = qxl->row_hashes + HASHED_ROWS;
	bool changed = false;

	hash_rows(surface, after);
	for (uint32_t y = 0; y < rows; y++) {
		if (after[y] == qxl->row_hashes[y])
			continue;
		changed = true;
		vga_mark_dirty(&qxl->vga, (uint64_t)(surface_row(surface, y) - qxl->memory->ram),
			(uint64_t)abs(surface->stride));
	}
	return changed;
}

/*
 * The screen is still: from here on a write shall tell us. Answers whether something was written
 * just now after all; the timer then goes on.
 *
 * A write to the read-only memory is one that KVM must emulate, which it does for plain and SSE
 * stores; for others it calls thaw().
 */
static bool freeze(struct qxl *qxl)
{
	uint64_t dirty[DIRTY_BYTES / 8];
	struct surface *surface = qxl->renderer.surface;
	uint32_t rows = 0;
	bool changed, frozen;

	if (qxl->renderer.in_place && !qxl->row_hashes) {
		qxl->row_hashes = calloc(2 * HASHED_ROWS, sizeof(*qxl->row_hashes));
		if (!qxl->row_hashes)
			return true;
	}
	/* Nothing may be written between the hashes, which stand for what was shown, and the log
	 * that says that it was all; what comes between the log and the freezing, the hashes
	 * find. */
	if (qxl->renderer.in_place)
		rows = hash_rows(surface, qxl->row_hashes);
	pthread_mutex_lock(&qxl->pci.lock);
	changed = take_dirty(qxl, dirty);
	if (changed)
		for (size_t i = 0; i < DIRTY_BYTES / 8; i++)
			qxl->vga.dirty[i] |= dirty[i];
	else if (qxl->logging) /* no reset came between */
		set_watch(qxl, true, true);
	frozen = qxl->frozen;
	pthread_mutex_unlock(&qxl->pci.lock);
	if (changed || !frozen)
		return changed;
	if (!qxl->renderer.in_place) {
		/* The renderer compares by itself. */
		qxl->renderer.valid = false;
		refresh(qxl);
		return false;
	}
	pthread_mutex_lock(&qxl->pci.lock);
	changed = mark_changed_rows(qxl, rows);
	pthread_mutex_unlock(&qxl->pci.lock);
	if (changed)
		refresh(qxl);
	return false;
}

/* ---- refreshing; loop thread ---- */

static void tell_sink(struct qxl *qxl, const struct vga_changes *changes)
{
	struct display_sink *sink = qxl->sink;

	if (changes->replaced) {
		sink->ops->surface_create(sink, DISPLAY_PRIMARY, qxl->renderer.surface);
		return;
	}
	for (uint32_t i = 0; i < changes->count; i++)
		sink->ops->dirty(sink, DISPLAY_PRIMARY, &changes->rects[i]);
}

static void refresh(struct qxl *qxl)
{
	uint64_t dirty[DIRTY_BYTES / 8];
	struct vga_changes changes;
	struct vga_regs regs;
	bool linear;

	qxl->refreshed_ns = clock_monotonic_ns();
	pthread_mutex_lock(&qxl->pci.lock);
	qxl->kicked = false;
	regs = qxl->vga.regs;
	linear = vga_is_linear(&regs);
	/* What was written before the log was on is shown by the rendering that follows. */
	if (linear != qxl->logging)
		set_watch(qxl, linear, false);
	take_dirty(qxl, dirty);
	pthread_mutex_unlock(&qxl->pci.lock);
	if (vga_render(&qxl->renderer, &regs, dirty, &changes)) {
		log_warn_limited(&qxl->log_limit, QXL_LOG, "no memory for the VGA's picture");
		return;
	}
	if (changes.replaced || changes.count > 0) {
		qxl->changed_ns = qxl->refreshed_ns;
		tell_sink(qxl, &changes);
	}
}

static void tick(void *opaque)
{
	struct qxl *qxl = opaque;
	bool go_on;

	if (!qxl->watched || qxl_get_mode(qxl) != QXL_MODE_VGA)
		return;
	refresh(qxl);
	pthread_mutex_lock(&qxl->pci.lock);
	go_on = qxl->logging && !qxl->frozen;
	pthread_mutex_unlock(&qxl->pci.lock);
	if (go_on && qxl->refreshed_ns - qxl->changed_ns >= FREEZE_NS)
		go_on = freeze(qxl);
	if (go_on && qxl->refreshed_ns - qxl->changed_ns >= FREEZE_NS)
		qxl->changed_ns = qxl->refreshed_ns; /* written where it is not shown: try later */
	if (go_on)
		loop_timer_arm(qxl->vga_timer, REFRESH_NS);
}

void qxl_set_watched(struct qxl *qxl, bool watched)
{
	if (qxl->watched == watched)
		return;
	qxl->watched = watched;
	if (!watched)
		loop_timer_disarm(qxl->vga_timer);
	else if (qxl_get_mode(qxl) == QXL_MODE_VGA)
		loop_timer_arm(qxl->vga_timer, 0);
}

void qxl_vga_enter(struct qxl *qxl)
{
	qxl_set_mode(qxl, QXL_MODE_VGA);
	vga_renderer_drop(&qxl->renderer);
	qxl->changed_ns = clock_monotonic_ns();
	loop_timer_arm(qxl->vga_timer, 0);
}

void qxl_vga_leave(struct qxl *qxl)
{
	bool shown = qxl->renderer.surface;

	loop_timer_disarm(qxl->vga_timer);
	pthread_mutex_lock(&qxl->pci.lock);
	set_watch(qxl, false, false);
	pthread_mutex_unlock(&qxl->pci.lock);
	vga_renderer_drop(&qxl->renderer);
	if (shown)
		qxl->sink->ops->surface_destroy(qxl->sink, DISPLAY_PRIMARY);
}

void qxl_vga_reset(struct qxl *qxl)
{
	vga_reset(&qxl->vga);
	set_watch(qxl, false, false);
	kick(qxl);
}

/* ---- making and unmaking ---- */

static int add_regions(struct qxl *qxl)
{
	struct pci_host *host = qxl->pci.host;
	int err;

	qxl->window_region = (struct bus_region){
		.ops = &window_ops, .name = "vga window", .size = VGA_WINDOW_BYTES
	};
	qxl->ports_region =
		(struct bus_region){ .ops = &ports_ops, .name = "vga", .size = PORTS_SIZE };
	qxl->vbe_region = (struct bus_region){ .ops = &vbe_ops, .name = "vbe", .size = VBE_SIZE };
	qxl->trap_region = (struct bus_region){
		.ops = &trap_ops, .name = "qxl ram", .size = qxl->memory->ram_bytes
	};
	err = bus_add(host->mmio, &qxl->window_region, VGA_WINDOW_BASE);
	if (!err)
		err = bus_add(host->ports, &qxl->ports_region, PORTS_BASE);
	if (!err)
		err = bus_add(host->ports, &qxl->vbe_region, VBE_BASE);
	return err;
}

int qxl_vga_create(struct qxl *qxl)
{
	vga_init(&qxl->vga, qxl->memory->ram, QXL_VGAMEM_BYTES);
	vga_renderer_init(&qxl->renderer, qxl->memory->ram, QXL_VGAMEM_BYTES);
	qxl->renderer.hold = qxl_memory_hold;
	qxl->renderer.release = qxl_memory_release;
	qxl->renderer.opaque = qxl->memory;
	qxl->vga_timer = loop_timer_add(qxl->loop, tick, qxl);
	qxl->log_bitmap = calloc(1, qxl->memory->ram_bytes / VGA_PAGE_BYTES / 8);
	if (!qxl->vga_timer || !qxl->log_bitmap)
		return -ENOMEM;
	ram_region(qxl)->thaw = thaw;
	return add_regions(qxl);
}

void qxl_vga_destroy(struct qxl *qxl)
{
	struct pci_host *host = qxl->pci.host;

	if (qxl->vga_timer && qxl->renderer.surface)
		qxl->sink->ops->surface_destroy(qxl->sink, DISPLAY_PRIMARY);
	bus_remove(host->mmio, &qxl->window_region);
	bus_remove(host->mmio, &qxl->trap_region);
	bus_remove(host->ports, &qxl->ports_region);
	bus_remove(host->ports, &qxl->vbe_region);
	vga_renderer_finish(&qxl->renderer);
	loop_timer_remove(qxl->vga_timer);
	free(qxl->log_bitmap);
	free(qxl->row_hashes);
}

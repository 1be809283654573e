/* SPDX-License-Identifier: MIT */
/* The I/O ports of BAR 3. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/util.h"
#include "qxl/qxl_device.h"

/* Asynchronous operations that a guest may have under way; drivers have one. */
#define ASYNC_MAX 16

/* One port write on its way to the loop thread, with what the header said when it was made. */
struct call {
	struct qxl *qxl;
	uint32_t port;
	uint32_t value;
	QXLRect update_area;
	uint32_t update_surface;
	QXLMemSlot mem_slot;
	QXLSurfaceCreate create_surface;
	uint64_t monitors_config;
};

static bool is_async(uint32_t port)
{
	return port >= QXL_IO_UPDATE_AREA_ASYNC && port != QXL_IO_FLUSH_RELEASE &&
		port < QXL_IO_RANGE_SIZE;
}

/* The operation that an asynchronous port does. */
static uint32_t operation(uint32_t port)
{
	switch (port) {
	case QXL_IO_UPDATE_AREA_ASYNC: return QXL_IO_UPDATE_AREA;
	case QXL_IO_MEMSLOT_ADD_ASYNC: return QXL_IO_MEMSLOT_ADD;
	case QXL_IO_CREATE_PRIMARY_ASYNC: return QXL_IO_CREATE_PRIMARY;
	case QXL_IO_DESTROY_PRIMARY_ASYNC: return QXL_IO_DESTROY_PRIMARY;
	case QXL_IO_DESTROY_SURFACE_ASYNC: return QXL_IO_DESTROY_SURFACE_WAIT;
	case QXL_IO_DESTROY_ALL_SURFACES_ASYNC: return QXL_IO_DESTROY_ALL_SURFACES;
	default: return port;
	}
}

/* While the VGA is shown only these mean anything. */
static bool allowed_in_vga_mode(uint32_t op)
{
	switch (op) {
	case QXL_IO_RESET:
	case QXL_IO_SET_MODE:
	case QXL_IO_MEMSLOT_ADD:
	case QXL_IO_MEMSLOT_DEL:
	case QXL_IO_CREATE_PRIMARY: return true;
	default: return false;
	}
}

/* ---- the operations, on the loop thread ---- */

static int update_area(struct call *call)
{
	struct qxl *qxl = call->qxl;
	struct rect area = { call->update_area.left, call->update_area.top, call->update_area.right,
		call->update_area.bottom };
	struct rect bounds;

	if (call->update_surface >= QXL_SURFACES_MAX || area.left < 0 || area.top < 0 ||
		area.left > area.right || area.top > area.bottom)
		return -EINVAL;
	qxl_ring_drain(qxl);
	if (rect_empty(&area) || !qxl->surfaces[call->update_surface])
		return 0;
	bounds = surface_bounds(qxl->surfaces[call->update_surface]);
	area = rect_intersect(&area, &bounds);
	if (!rect_empty(&area))
		qxl_surface_update(qxl, call->update_surface, &area);
	return 0;
}

static int destroy_surface(struct call *call)
{
	struct qxl *qxl = call->qxl;

	if (call->value >= QXL_SURFACES_MAX)
		return -EINVAL;
	qxl_ring_drain(qxl);
	if (call->value == DISPLAY_PRIMARY)
		qxl_primary_destroy(qxl);
	else
		qxl_surface_drop(qxl, call->value);
	qxl_release_push(qxl);
	return 0;
}

static int destroy_primary(struct call *call)
{
	if (call->value != 0)
		return -EINVAL;
	qxl_ring_drain(call->qxl);
	qxl_primary_destroy(call->qxl);
	return 0;
}

static int destroy_all(struct call *call)
{
	qxl_ring_drain(call->qxl);
	qxl_primary_destroy(call->qxl);
	qxl_surfaces_drop_all(call->qxl);
	qxl_release_push(call->qxl);
	return 0;
}

static int flush_surfaces(struct call *call)
{
	qxl_ring_drain(call->qxl);
	qxl_surfaces_update_all(call->qxl);
	return 0;
}

static int slot_delete(struct call *call)
{
	if (call->value >= QXL_SLOT_COUNT)
		return -EINVAL;
	call->qxl->slots.slot[call->value].active = false;
	return 0;
}

static int monitors(struct call *call)
{
	int err;

	qxl_ring_drain(call->qxl);
	err = qxl_monitors_read(call->qxl, call->monitors_config);
	return err == -ERANGE ? 0 : err;
}

static int carry_out(struct call *call)
{
	struct qxl *qxl = call->qxl;

	switch (operation(call->port)) {
	case QXL_IO_UPDATE_AREA: return update_area(call);
	case QXL_IO_NOTIFY_OOM:
		qxl_ring_drain(qxl);
		qxl_release_push(qxl);
		return 0;
	case QXL_IO_FLUSH_RELEASE: qxl_release_push(qxl); return 0;
	case QXL_IO_RESET: qxl_reset_native(qxl); return 0;
	case QXL_IO_SET_MODE: return qxl_primary_set_mode(qxl, call->value);
	case QXL_IO_MEMSLOT_ADD: return qxl_slot_add(qxl, call->value, &call->mem_slot);
	case QXL_IO_MEMSLOT_DEL: return slot_delete(call);
	case QXL_IO_DETACH_PRIMARY:
	case QXL_IO_ATTACH_PRIMARY: return 0; /* of the second protocol's drafts only */
	case QXL_IO_CREATE_PRIMARY:
		return call->value ? -EINVAL : qxl_primary_create(qxl, &call->create_surface);
	case QXL_IO_DESTROY_PRIMARY: return destroy_primary(call);
	case QXL_IO_DESTROY_SURFACE_WAIT: return destroy_surface(call);
	case QXL_IO_DESTROY_ALL_SURFACES: return destroy_all(call);
	case QXL_IO_FLUSH_SURFACES_ASYNC: return flush_surfaces(call);
	case QXL_IO_MONITORS_CONFIG_ASYNC: return monitors(call);
	default: return -EINVAL;
	}
}

static void run_call(struct call *call)
{
	struct qxl *qxl = call->qxl;
	uint32_t op = operation(call->port);
	int err = 0;

	if (atomic_load(&qxl->broken) && op != QXL_IO_RESET)
		; /* nothing but a reset helps; a driver that waits goes on */
	else if (qxl_get_mode(qxl) == QXL_MODE_VGA && !allowed_in_vga_mode(op))
		; /* a driver that did not notice */
	else
		err = carry_out(call);
	if (err)
		qxl_latch_broken(
			qxl, "port %u, value %u: %s", call->port, call->value, strerror(-err));
}

static void run_sync(void *opaque)
{
	run_call(opaque);
}

static void run_async(void *opaque)
{
	struct call *call = opaque;
	struct qxl *qxl = call->qxl;

	if (!qxl->dead)
		run_call(call);
	free(call);
	if (qxl->dead)
		return;
	pthread_mutex_lock(&qxl->pci.lock);
	qxl->async_pending--;
	pthread_mutex_unlock(&qxl->pci.lock);
	qxl_send_events(qxl, QXL_INTERRUPT_IO_CMD);
}

/* ---- the vCPU's side ---- */

static void prepare(struct call *call, struct qxl *qxl, uint32_t port, uint32_t value)
{
	const uint8_t *header = qxl_header(qxl);

	*call = (struct call){ .qxl = qxl, .port = port, .value = value };
	qxl_copy_once(&call->update_area, header + offsetof(QXLRam, update_area),
		sizeof(call->update_area));
	qxl_copy_once(&call->update_surface, header + offsetof(QXLRam, update_surface),
		sizeof(call->update_surface));
	qxl_copy_once(&call->mem_slot, header + offsetof(QXLRam, mem_slot), sizeof(call->mem_slot));
	qxl_copy_once(&call->create_surface, header + offsetof(QXLRam, create_surface),
		sizeof(call->create_surface));
	qxl_copy_once(&call->monitors_config, header + offsetof(QXLRam, monitors_config),
		sizeof(call->monitors_config));
}

static void latch_flood(void *opaque)
{
	qxl_latch_broken(opaque, "too many asynchronous operations at once");
}

static void start_async(struct qxl *qxl, uint32_t port, uint32_t value)
{
	struct call *call;
	bool room;

	pthread_mutex_lock(&qxl->pci.lock);
	room = qxl->async_pending < ASYNC_MAX;
	qxl->async_pending += room;
	pthread_mutex_unlock(&qxl->pci.lock);
	if (!room) {
		loop_call(qxl->loop, latch_flood, qxl);
		return;
	}
	call = malloc(sizeof(*call));
	if (call) {
		prepare(call, qxl, port, value);
		if (loop_post(qxl->loop, run_async, call) == 0)
			return;
		free(call);
	}
	pthread_mutex_lock(&qxl->pci.lock);
	qxl->async_pending--;
	pthread_mutex_unlock(&qxl->pci.lock);
}

static void say_log(struct qxl *qxl)
{
	char text[256];

	if (!log_enabled(LOG_DEBUG))
		return;
	qxl_copy_once(text, qxl_header(qxl) + offsetof(QXLRam, log_buf), sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (char *c = text; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = ' ';
	log_debug(QXL_LOG, "guest: %s", text);
}

static void ring(struct qxl *qxl)
{
	const uint64_t one = 1;

	if (write(qxl->memory->bell_fd, &one, sizeof(one)) < 0)
		log_debug(QXL_LOG, "the doorbell is full");
}

static void io_write(struct bus_region *region, uint64_t offset, uint64_t value, unsigned size)
{
	struct pci_bar *bar = container_of(region, struct pci_bar, region);
	struct qxl *qxl = qxl_of(bar->dev);
	uint32_t port = (uint32_t)offset;
	struct call call;

	switch (port) {
	case QXL_IO_NOTIFY_CMD:
	case QXL_IO_NOTIFY_CURSOR:
		/* Usually the doorbell; here when it cannot be, or the guest writes a wider
		 * word. */
		ring(qxl);
		return;
	case QXL_IO_UPDATE_IRQ:
		pthread_mutex_lock(&qxl->pci.lock);
		qxl_update_irq(qxl);
		pthread_mutex_unlock(&qxl->pci.lock);
		return;
	case QXL_IO_LOG: say_log(qxl); return;
	default: break;
	}
	if (is_async(port)) {
		start_async(qxl, port, (uint32_t)value);
		return;
	}
	prepare(&call, qxl, port, (uint32_t)value);
	loop_call(qxl->loop, run_sync, &call);
}

const struct bus_ops qxl_io_ops = { .write = io_write };

void qxl_doorbells_move(struct qxl *qxl)
{
	const struct pci_bar *bar = &qxl->pci.bars[QXL_IO_RANGE_INDEX];
	struct bus *ports = qxl->pci.host->ports;

	for (uint32_t port = QXL_IO_NOTIFY_CMD; port <= QXL_IO_NOTIFY_CURSOR; port++) {
		if (qxl->bell_mapped)
			bus_doorbell_remove(
				ports, qxl->bell_address + port, 1, false, 0, qxl->memory->bell_fd);
		if (bar->mapped)
			bus_doorbell_add(
				ports, bar->address + port, 1, false, 0, qxl->memory->bell_fd);
	}
	qxl->bell_mapped = bar->mapped;
	qxl->bell_address = bar->address;
}

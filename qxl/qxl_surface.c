/* SPDX-License-Identifier: MIT */
/* Surfaces over the guest's memory, the primary one, its monitors and the pointer on it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "qxl/qxl_device.h"

bool qxl_surface_size(void *opaque, uint32_t id, uint32_t *width, uint32_t *height)
{
	const struct qxl *qxl = opaque;
	const struct surface *surface = id < QXL_SURFACES_MAX ? qxl->surfaces[id] : NULL;

	if (!surface)
		return false;
	*width = surface->width;
	*height = surface->height;
	return true;
}

int qxl_surface_make(struct qxl *qxl, const struct qxl_surface_cmd *cmd)
{
	struct surface *surface;
	int err;

	if (!cmd->keep_data)
		memset(cmd->block, 0, (size_t)cmd->height * (size_t)abs(cmd->stride));
	qxl_memory_hold(qxl->memory);
	err = surface_create_over(&surface, cmd->format, cmd->width, cmd->height, cmd->stride,
		cmd->top, qxl_memory_release, qxl->memory);
	if (err) {
		qxl_memory_release(qxl->memory);
		return err;
	}
	surface_unref(qxl->surfaces[cmd->id]);
	qxl->surfaces[cmd->id] = surface;
	qxl->sink->ops->surface_create(qxl->sink, cmd->id, surface);
	return 0;
}

static void release_creator(struct qxl *qxl, uint32_t id)
{
	struct qxl_creator creator = qxl->creators[id];

	qxl->creators[id].held = false;
	/* A driver may have deleted the slot meanwhile: then there is nothing to give. */
	if (creator.held && qxl_release(qxl, creator.address))
		log_debug(QXL_LOG, "the command that made surface %u is gone", id);
}

void qxl_surface_keep_creator(struct qxl *qxl, uint32_t id, uint64_t address)
{
	release_creator(qxl, id);
	qxl->creators[id] = (struct qxl_creator){ true, address };
}

void qxl_surface_drop(struct qxl *qxl, uint32_t id)
{
	struct surface *surface = qxl->surfaces[id];

	if (!surface)
		return;
	qxl->surfaces[id] = NULL;
	qxl->sink->ops->surface_destroy(qxl->sink, id);
	surface_unref(surface);
	release_creator(qxl, id);
}

void qxl_surfaces_drop_all(struct qxl *qxl)
{
	for (uint32_t id = QXL_SURFACES_MAX; id-- > 0;)
		qxl_surface_drop(qxl, id);
}

void qxl_surface_update(struct qxl *qxl, uint32_t id, const struct rect *area)
{
	if (qxl->surfaces[id] && qxl->sink->ops->update_area)
		qxl->sink->ops->update_area(qxl->sink, id, area);
}

void qxl_surfaces_update_all(struct qxl *qxl)
{
	for (uint32_t id = 0; id < QXL_SURFACES_MAX; id++) {
		struct rect bounds;

		if (!qxl->surfaces[id])
			continue;
		bounds = surface_bounds(qxl->surfaces[id]);
		qxl_surface_update(qxl, id, &bounds);
	}
}

/* ---- the primary surface ---- */

int qxl_primary_create(struct qxl *qxl, const QXLSurfaceCreate *create)
{
	struct qxl_surface_cmd cmd = {
		.create = true,
		.keep_data = create->flags & QXL_SURF_FLAG_KEEP_DATA,
		.width = create->width,
		.height = create->height,
		.stride = create->stride,
	};
	int err = qxl_parse_surface_memory(&qxl->slots, create->format, create->mem, &cmd);

	if (err)
		return err;
	if (qxl_get_mode(qxl) == QXL_MODE_VGA)
		qxl_vga_leave(qxl);
	qxl->compat = qxl->compat_16bpp = false;
	qxl_set_mode(qxl, QXL_MODE_NATIVE);
	log_debug(QXL_LOG, "primary surface of %ux%u", create->width, create->height);
	/* Nobody listened to the doorbell while the VGA was shown. */
	loop_timer_arm(qxl->ring_timer, 0);
	return qxl_surface_make(qxl, &cmd);
}

void qxl_primary_destroy(struct qxl *qxl)
{
	qxl_set_mode(qxl, QXL_MODE_UNDEFINED);
	qxl_surface_drop(qxl, DISPLAY_PRIMARY);
	qxl_cursor_reset(qxl);
	if (qxl->monitors_set && qxl->sink->ops->monitors) {
		const struct rect none = { 0 };

		qxl->sink->ops->monitors(qxl->sink, &none, 0);
	}
	qxl->monitors_set = false;
}

int qxl_primary_set_mode(struct qxl *qxl, uint32_t number)
{
	const QXLMode *mode = qxl_rom_mode(qxl, number);
	QXLSurfaceCreate create = { 0 };
	bool is_16bpp;
	int err;

	if (!mode)
		return -EINVAL;
	is_16bpp = mode->bits == 16;
	create.width = mode->x_res;
	create.height = mode->y_res;
	create.stride = -(int32_t)(mode->x_res * 4);
	create.format = SPICE_SURFACE_FMT_32_xRGB;
	qxl_reset_native(qxl);
	pthread_mutex_lock(&qxl->pci.lock);
	/* These drivers' addresses are physical ones, in slot 0. */
	qxl->slots.slot[0] = (struct qxl_slot){ .active = true,
		.host = qxl->memory->ram,
		.size = qxl->memory->ram_bytes,
		.delta = qxl->pci.bars[QXL_RAM_RANGE_INDEX].address };
	pthread_mutex_unlock(&qxl->pci.lock);
	create.mem = qxl->slots.slot[0].delta;
	err = qxl_primary_create(qxl, &create);
	if (err)
		return err;
	qxl->compat = true;
	qxl->compat_16bpp = is_16bpp;
	qxl_set_mode(qxl, QXL_MODE_COMPAT);
	qxl_rom(qxl)->mode = number;
	return 0;
}

int qxl_monitors_read(struct qxl *qxl, uint64_t address)
{
	struct rect heads[64], bounds;
	QXLMonitorsConfig config;
	uint32_t count = 0;
	QXLHead head;

	if (qxl_slots_read(&qxl->slots, address, &config, sizeof(config)))
		return -EFAULT;
	if (config.count > ARRAY_SIZE(heads))
		return -EINVAL;
	if (!qxl->surfaces[DISPLAY_PRIMARY])
		return -ERANGE;
	bounds = surface_bounds(qxl->surfaces[DISPLAY_PRIMARY]);
	for (uint32_t i = 0; i < config.count; i++) {
		struct rect area;

		if (qxl_slots_read(&qxl->slots, address + sizeof(config) + i * sizeof(head), &head,
			    sizeof(head)))
			return -EFAULT;
		if (head.surface_id != DISPLAY_PRIMARY || (head.x | head.y) >= SURFACE_MAX_SIDE ||
			head.width > SURFACE_MAX_SIDE || head.height > SURFACE_MAX_SIDE)
			continue;
		area = rect_make((int32_t)head.x, (int32_t)head.y, (int32_t)head.width,
			(int32_t)head.height);
		area = rect_intersect(&area, &bounds);
		if (!rect_empty(&area))
			heads[count++] = area;
	}
	if (count > 0 && qxl->sink->ops->monitors) {
		qxl->sink->ops->monitors(qxl->sink, heads, count);
		qxl->monitors_set = true;
	}
	return 0;
}

/* ---- the pointer ---- */

void qxl_cursor_apply(struct qxl *qxl, struct qxl_cursor_cmd *cmd)
{
	switch (cmd->op) {
	case QXL_CURSOR_OP_NONE: return;
	case QXL_CURSOR_OP_SET:
		cursor_shape_unref(qxl->cursor.shape);
		qxl->cursor.shape = cmd->shape;
		cmd->shape = NULL;
		qxl->cursor.position = cmd->position;
		qxl->cursor.visible = cmd->visible;
		break;
	case QXL_CURSOR_OP_MOVE:
		qxl->cursor.position = cmd->position;
		qxl->cursor.visible = true;
		break;
	case QXL_CURSOR_OP_HIDE: qxl->cursor.visible = false; break;
	}
	qxl->sink->ops->cursor(qxl->sink, &qxl->cursor);
}

void qxl_cursor_reset(struct qxl *qxl)
{
	bool had_one = qxl->cursor.shape || qxl->cursor.visible;
	struct cursor_shape *shape = qxl->cursor.shape;

	qxl->cursor = (struct cursor_state){ 0 };
	if (had_one)
		qxl->sink->ops->cursor(qxl->sink, &qxl->cursor);
	cursor_shape_unref(shape);
}

/* ---- memory slots ---- */

int qxl_slot_add(struct qxl *qxl, uint32_t id, const QXLMemSlot *slot)
{
	const struct {
		uint8_t bar;
		uint8_t *host;
	} places[] = {
		{ QXL_RAM_RANGE_INDEX, qxl->memory->ram },
		{ QXL_VRAM_RANGE_INDEX, qxl->memory->vram },
	};
	int err = -EINVAL;

	if (id >= QXL_SLOT_COUNT || qxl->slots.slot[id].active || slot->mem_start > slot->mem_end)
		return -EINVAL;
	pthread_mutex_lock(&qxl->pci.lock);
	for (size_t i = 0; i < ARRAY_SIZE(places) && err; i++) {
		const struct pci_bar *bar = &qxl->pci.bars[places[i].bar];

		if (!bar->mapped || slot->mem_start < bar->address ||
			slot->mem_end > bar->address + bar->size)
			continue;
		qxl->slots.slot[id] = (struct qxl_slot){ .active = true,
			.host = places[i].host + (slot->mem_start - bar->address),
			.size = slot->mem_end - slot->mem_start };
		qxl_rom(qxl)->slot_generation = QXL_SLOT_GENERATION;
		err = 0;
	}
	pthread_mutex_unlock(&qxl->pci.lock);
	return err;
}

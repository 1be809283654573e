/* SPDX-License-Identifier: MIT */
/* QXL drawing, surface and cursor commands. */
#include "qxl.h"

/* A bitmap's command, image and pixels lie together, so that they are released together. */
struct bitmap_command {
	QXLDrawable drawable;
	uint64_t pad;
	QXLImage image;
	QXLDataChunk chunk; /* pixels follow */
};

struct copy_command {
	QXLDrawable drawable;
	QXLImage image;
};

static QXLRect qxl_rect(struct rect r)
{
	return (QXLRect){
		.top = r.y, .left = r.x, .bottom = r.y + r.height, .right = r.x + r.width
	};
}

QXLDrawable *qxl_drawable_init(
	struct qxl *qxl, void *memory, uint32_t surface, struct rect area, uint8_t type)
{
	QXLDrawable *drawable = memory;

	memset(drawable, 0, sizeof(*drawable));
	drawable->release_info.id = (uintptr_t)memory;
	drawable->surface_id = surface;
	drawable->effect = QXL_EFFECT_OPAQUE;
	drawable->type = type;
	drawable->bbox = qxl_rect(area);
	drawable->clip.type = SPICE_CLIP_TYPE_NONE;
	drawable->mm_time = qxl->rom->mm_clock;
	for (int i = 0; i < 3; i++)
		drawable->surfaces_dest[i] = -1;
	return drawable;
}

void qxl_fill(struct qxl *qxl, uint32_t surface, struct rect area, uint32_t color)
{
	void *memory = qxl_command_alloc(qxl);
	QXLDrawable *drawable = qxl_drawable_init(qxl, memory, surface, area, QXL_DRAW_FILL);

	drawable->u.fill.brush.type = SPICE_BRUSH_TYPE_SOLID;
	drawable->u.fill.brush.u.color = color;
	drawable->u.fill.rop_descriptor = SPICE_ROPD_OP_PUT;
	qxl_push_command(qxl, QXL_CMD_DRAW, qxl_address(qxl, drawable));
}

/* Where the pixels of qxl_image_alloc begin; their chunk's head lies right before. */
enum { SHARED_PIXELS = 64 };

static void qxl_bitmap_init(
	struct qxl *qxl, QXLImage *image, int32_t width, int32_t height, QXLPHYSICAL chunk)
{
	memset(image, 0, sizeof(*image));
	QXL_SET_IMAGE_ID(image, QXL_IMAGE_GROUP_DRIVER_DONT_CACHE, ++qxl->unique);
	image->descriptor.type = SPICE_IMAGE_TYPE_BITMAP;
	image->descriptor.width = width;
	image->descriptor.height = height;
	image->bitmap.format = SPICE_BITMAP_FMT_32BIT;
	image->bitmap.flags = QXL_BITMAP_TOP_DOWN;
	image->bitmap.x = width;
	image->bitmap.y = height;
	image->bitmap.stride = width * 4;
	image->bitmap.data = chunk;
}

static QXLDrawable *qxl_copy_init(
	struct qxl *qxl, void *memory, uint32_t surface, struct rect area, QXLImage *image)
{
	QXLDrawable *drawable = qxl_drawable_init(qxl, memory, surface, area, QXL_DRAW_COPY);

	drawable->u.copy.src_bitmap = qxl_address(qxl, image);
	drawable->u.copy.src_area = qxl_rect(rect_make(0, 0, area.width, area.height));
	drawable->u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
	return drawable;
}

static QXLDataChunk *shared_chunk(const struct image *image)
{
	return (QXLDataChunk *)((uint8_t *)image->pixels - sizeof(QXLDataChunk));
}

struct image qxl_image_alloc(struct qxl *qxl, int32_t width, int32_t height)
{
	uint8_t *memory = qxl_bitmap_alloc(qxl, SHARED_PIXELS + width * height * 4);
	struct image image = { (uint32_t *)(memory + SHARED_PIXELS), width, height, width };
	QXLDataChunk *chunk = shared_chunk(&image);

	chunk->data_size = width * height * 4;
	chunk->prev_chunk = 0;
	chunk->next_chunk = 0;
	return image;
}

void qxl_copy_whole(struct qxl *qxl, uint32_t surface, const struct image *image)
{
	struct copy_command *command = qxl_command_alloc(qxl);

	qxl_copy_init(qxl, command, surface, image_rect(image), &command->image);
	qxl_bitmap_init(qxl, &command->image, image->width, image->height,
		qxl_address(qxl, shared_chunk(image)));
	qxl_push_command(qxl, QXL_CMD_DRAW, qxl_address(qxl, command));
}

void qxl_copy_image(struct qxl *qxl, uint32_t surface, int32_t x, int32_t y,
	const struct image *image, struct rect from)
{
	uint32_t row_bytes, size;
	struct bitmap_command *command;
	uint8_t *pixels;

	from = rect_intersect(from, image_rect(image));
	if (rect_is_empty(from))
		return;
	row_bytes = from.width * 4;
	size = row_bytes * from.height;
	command = qxl_bitmap_alloc(qxl, sizeof(*command) + size);
	qxl_copy_init(
		qxl, command, surface, rect_make(x, y, from.width, from.height), &command->image);
	qxl_bitmap_init(
		qxl, &command->image, from.width, from.height, qxl_address(qxl, &command->chunk));
	command->chunk.data_size = size;
	command->chunk.prev_chunk = 0;
	command->chunk.next_chunk = 0;
	pixels = command->chunk.data;
	for (int32_t row = 0; row < from.height; row++)
		memcpy(pixels + row * row_bytes,
			image->pixels + (from.y + row) * image->stride + from.x, row_bytes);
	qxl_push_command(qxl, QXL_CMD_DRAW, qxl_address(qxl, command));
}

void qxl_copy_surface(struct qxl *qxl, uint32_t surface, struct rect area, uint32_t from_surface,
	int32_t from_x, int32_t from_y)
{
	struct copy_command *command = qxl_command_alloc(qxl);
	QXLDrawable *drawable = qxl_copy_init(qxl, command, surface, area, &command->image);
	struct rect from = rect_make(from_x, from_y, area.width, area.height);

	drawable->u.copy.src_area = qxl_rect(from);
	drawable->surfaces_dest[0] = from_surface;
	drawable->surfaces_rects[0] = qxl_rect(from);
	memset(&command->image, 0, sizeof(command->image));
	command->image.descriptor.type = SPICE_IMAGE_TYPE_SURFACE;
	command->image.descriptor.width = area.width;
	command->image.descriptor.height = area.height;
	command->image.surface_image.surface_id = from_surface;
	qxl_push_command(qxl, QXL_CMD_DRAW, qxl_address(qxl, drawable));
}

void qxl_copy_bits(
	struct qxl *qxl, uint32_t surface, struct rect area, int32_t from_x, int32_t from_y)
{
	void *memory = qxl_command_alloc(qxl);
	QXLDrawable *drawable = qxl_drawable_init(qxl, memory, surface, area, QXL_COPY_BITS);

	drawable->u.copy_bits.src_pos.x = from_x;
	drawable->u.copy_bits.src_pos.y = from_y;
	qxl_push_command(qxl, QXL_CMD_DRAW, qxl_address(qxl, drawable));
}

void qxl_surface_create(struct qxl *qxl, uint32_t surface, int32_t width, int32_t height)
{
	QXLSurfaceCmd *command = qxl_command_alloc(qxl);
	uint32_t size = (width * height * 4 + 4095) & ~4095u;

	if (size > qxl->vram_size - qxl->vram_used)
		guest_panic("qxl: no VRAM for a surface of %dx%d", width, height);
	memset(command, 0, sizeof(*command));
	command->release_info.id = (uintptr_t)command;
	command->surface_id = surface;
	command->type = QXL_SURFACE_CMD_CREATE;
	command->u.surface_create.format = SPICE_SURFACE_FMT_32_xRGB;
	command->u.surface_create.width = width;
	command->u.surface_create.height = height;
	command->u.surface_create.stride = width * 4;
	command->u.surface_create.data = qxl_vram_address(qxl, qxl->vram_used);
	qxl->vram_used += size;
	qxl_push_command(qxl, QXL_CMD_SURFACE, qxl_address(qxl, command));
}

void qxl_surface_destroy(struct qxl *qxl, uint32_t surface)
{
	QXLSurfaceCmd *command = qxl_command_alloc(qxl);

	memset(command, 0, sizeof(*command));
	command->release_info.id = (uintptr_t)command;
	command->surface_id = surface;
	command->type = QXL_SURFACE_CMD_DESTROY;
	qxl_push_command(qxl, QXL_CMD_SURFACE, qxl_address(qxl, command));
}

static QXLCursorCmd *qxl_cursor_command(struct qxl *qxl, void *memory, uint8_t type)
{
	QXLCursorCmd *command = memory;

	(void)qxl;
	memset(command, 0, sizeof(*command));
	command->release_info.id = (uintptr_t)memory;
	command->type = type;
	return command;
}

void qxl_cursor_set(struct qxl *qxl, uint16_t type, int32_t width, int32_t height, int32_t hot_x,
	int32_t hot_y, const void *bits, uint32_t size, int32_t x, int32_t y)
{
	uint8_t *memory = qxl_bitmap_alloc(qxl, 256 + sizeof(QXLCursor) + size);
	QXLCursorCmd *command = qxl_cursor_command(qxl, memory, QXL_CURSOR_SET);
	QXLCursor *cursor = (QXLCursor *)(memory + 256);

	_Static_assert(sizeof(QXLCursorCmd) <= 256, "the cursor follows its command");
	memset(cursor, 0, sizeof(*cursor));
	cursor->header.unique = ++qxl->unique;
	cursor->header.type = type;
	cursor->header.width = width;
	cursor->header.height = height;
	cursor->header.hot_spot_x = hot_x;
	cursor->header.hot_spot_y = hot_y;
	cursor->data_size = size;
	cursor->chunk.data_size = size;
	memcpy(cursor->chunk.data, bits, size);
	command->u.set.position.x = x;
	command->u.set.position.y = y;
	command->u.set.visible = 1;
	command->u.set.shape = qxl_address(qxl, cursor);
	qxl_push_cursor(qxl, qxl_address(qxl, command));
}

void qxl_cursor_move(struct qxl *qxl, int32_t x, int32_t y)
{
	QXLCursorCmd *command = qxl_cursor_command(qxl, qxl_command_alloc(qxl), QXL_CURSOR_MOVE);

	command->u.position.x = x;
	command->u.position.y = y;
	qxl_push_cursor(qxl, qxl_address(qxl, command));
}

void qxl_cursor_hide(struct qxl *qxl)
{
	QXLCursorCmd *command = qxl_cursor_command(qxl, qxl_command_alloc(qxl), QXL_CURSOR_HIDE);

	qxl_push_cursor(qxl, qxl_address(qxl, command));
}

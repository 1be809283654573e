/* SPDX-License-Identifier: MIT */
/* A trace's records: events, surface, cursor and update commands. */
#include "tests/bench/replay/trace_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <zlib.h>

#include "core/util.h"

enum {
	FIRST_ADDRESS = 64, /* 0 says that there is none */
	BLOCK_BYTES_MAX = 256 << 20,
};

/* The numbers that libspice-server's worker gives its messages. */
enum {
	EVENT_DESTROY_SURFACES = 19,
	EVENT_CREATE_PRIMARY = 20,
	EVENT_DESTROY_PRIMARY = 21,
	EVENT_RESET_CURSOR = 22,
	EVENT_DESTROY_SURFACES_ASYNC = 28,
	EVENT_CREATE_PRIMARY_ASYNC = 29,
	EVENT_DESTROY_PRIMARY_ASYNC = 30,
};

/* ---- the record's memory ---- */

uint64_t trace_alloc(struct trace *trace, uint64_t size)
{
	uint64_t address = trace->used;

	if (size > TRACE_MEMORY_BYTES - 16 - trace->used) {
		trace->in.error = trace->in.error ? trace->in.error : -E2BIG;
		return 0;
	}
	trace->used = ALIGN_UP(trace->used + size, UINT64_C(16));
	return address;
}

uint64_t trace_alloc_zeroed(struct trace *trace, uint64_t size)
{
	uint64_t address = trace_alloc(trace, size);

	if (address)
		memset(trace_at(trace, address), 0, size);
	return address;
}

int64_t trace_number(struct trace *trace, const char *name)
{
	trace_input_word(&trace->in, name);
	return trace_input_number(&trace->in);
}

/* ---- blocks ---- */

/* The block's bytes from a zlib stream of `packed` bytes. */
static void inflate_block(struct trace *trace, void *out, uint64_t size, int64_t packed)
{
	uint8_t *bytes = NULL;
	uLongf got = size;

	if (packed < 0 || packed > BLOCK_BYTES_MAX)
		trace->in.error = -E2BIG;
	else if (!(bytes = malloc(MAX((size_t)packed, 1u))))
		trace->in.error = -ENOMEM;
	if (trace->in.error)
		return;
	trace_input_read(&trace->in, bytes, (size_t)packed);
	if (!trace->in.error &&
		(uncompress(out, &got, bytes, (uLong)packed) != Z_OK || got != size))
		trace->in.error = -EINVAL;
	free(bytes);
}

/* What stands before a block's bytes. */
struct block {
	uint64_t size;
	bool is_packed;
	int64_t packed; /* its size in the file */
};

static void read_block_head(struct trace *trace, const char *name, struct block *block)
{
	int64_t size;

	block->is_packed = trace_number(trace, "binary") != 0;
	trace_input_word(&trace->in, name);
	trace_input_scan(&trace->in, " %:", &size);
	block->packed = 0;
	if (block->is_packed)
		trace_input_scan(&trace->in, "%:", &block->packed);
	if (!trace->in.error && (size < 0 || size > BLOCK_BYTES_MAX))
		trace->in.error = -E2BIG;
	block->size = trace->in.error ? 0 : (uint64_t)size;
}

/* The bytes, behind `head` zeroed ones. */
static uint64_t read_block(struct trace *trace, const struct block *block, uint64_t head)
{
	uint64_t address = trace->in.error ? 0 : trace_alloc(trace, head + block->size);

	if (!address)
		return 0;
	memset(trace_at(trace, address), 0, head);
	if (block->is_packed)
		inflate_block(trace, trace_at(trace, address + head), block->size, block->packed);
	else
		trace_input_read(&trace->in, trace_at(trace, address + head), block->size);
	return trace->in.error ? 0 : address;
}

uint64_t trace_binary(struct trace *trace, const char *name, uint64_t head, uint64_t *size)
{
	struct block block;
	uint64_t address;

	read_block_head(trace, name, &block);
	address = read_block(trace, &block, head);
	*size = address ? block.size : 0;
	return address;
}

/* How many chunks follow on the first one. */
static int64_t read_chunk_count(struct trace *trace)
{
	int64_t count, total;

	trace_input_scan(&trace->in, " data_chunks % %", &count, &total);
	if (count < 0 || count > QXL_CHUNKS_MAX)
		trace->in.error = -E2BIG;
	return count;
}

static uint64_t read_chunks(struct trace *trace, const char *name, int64_t count,
	const struct block *block, uint64_t head, uint64_t *size)
{
	uint64_t first = read_block(trace, block, head), bytes;
	QXLDataChunk *chunk;

	*size = 0;
	if (!first)
		return 0;
	chunk = trace_at(trace, first + head - sizeof(*chunk));
	chunk->data_size = (uint32_t)block->size;
	*size = block->size;
	while (count-- > 0) {
		uint64_t next = trace_binary(trace, name, sizeof(*chunk), &bytes);

		if (!next)
			return 0;
		chunk->next_chunk = next;
		chunk = trace_at(trace, next);
		chunk->data_size = (uint32_t)bytes;
		*size += bytes;
	}
	return first;
}

uint64_t trace_chunks(struct trace *trace, const char *name, uint64_t head, uint64_t *size)
{
	int64_t count = read_chunk_count(trace);
	struct block block;

	read_block_head(trace, name, &block);
	return read_chunks(trace, name, count, &block, head, size);
}

uint64_t trace_pixels(struct trace *trace, const char *name, uint64_t needed, bool *direct)
{
	int64_t count = read_chunk_count(trace);
	struct block block;
	uint64_t size;
	size_t at;

	read_block_head(trace, name, &block);
	*direct = count == 0 && !block.is_packed && block.size >= needed &&
		trace_input_skip(&trace->in, block.size, &at);
	if (*direct)
		return (uint64_t)TRACE_SLOT_FILE << 56 | at;
	return read_chunks(trace, name, count, &block, sizeof(QXLDataChunk), &size);
}

/* ---- shapes ---- */

void trace_rect(struct trace *trace, const char *name, QXLRect *out)
{
	trace_input_word(&trace->in, "rect");
	out->top = (int32_t)trace_number(trace, name);
	out->left = (int32_t)trace_input_number(&trace->in);
	out->bottom = (int32_t)trace_input_number(&trace->in);
	out->right = (int32_t)trace_input_number(&trace->in);
}

void trace_point(struct trace *trace, QXLPoint *out)
{
	int64_t x, y;

	trace_input_scan(&trace->in, " point % %", &x, &y);
	*out = (QXLPoint){ .x = (int32_t)x, .y = (int32_t)y };
}

static QXLPoint16 read_point16(struct trace *trace)
{
	int64_t x, y;

	trace_input_scan(&trace->in, " point16 % %", &x, &y);
	return (QXLPoint16){ .x = (int16_t)x, .y = (int16_t)y };
}

/* ---- commands ---- */

static uint64_t read_update(struct trace *trace)
{
	uint64_t address = trace_alloc_zeroed(trace, sizeof(QXLUpdateCmd));
	QXLUpdateCmd *cmd = trace_at(trace, address);

	if (!address)
		return 0;
	trace_input_scan(&trace->in, " update");
	trace_rect(trace, "area", &cmd->area);
	cmd->update_id = (uint32_t)trace_number(trace, "update_id");
	cmd->surface_id = (uint32_t)trace_number(trace, "surface_id");
	return address;
}

static void read_surface(struct trace *trace, QXLSurfaceCmd *cmd)
{
	QXLSurface *surface = &cmd->u.surface_create;
	uint64_t size, got;

	surface->format = (uint32_t)trace_number(trace, "u.surface_create.format");
	surface->width = (uint32_t)trace_number(trace, "u.surface_create.width");
	surface->height = (uint32_t)trace_number(trace, "u.surface_create.height");
	surface->stride = (int32_t)trace_number(trace, "u.surface_create.stride");
	size = (uint64_t)llabs(surface->stride) * surface->height;
	if (cmd->flags & QXL_SURF_FLAG_KEEP_DATA) {
		surface->data = trace_binary(trace, "data", 0, &got);
		if (!trace->in.error && got < size)
			trace->in.error = -EINVAL;
	} else {
		surface->data = trace_alloc(trace, size);
	}
}

static uint64_t read_surface_cmd(struct trace *trace)
{
	uint64_t address = trace_alloc_zeroed(trace, sizeof(QXLSurfaceCmd));
	QXLSurfaceCmd *cmd = trace_at(trace, address);

	if (!address)
		return 0;
	trace_input_scan(&trace->in, " surface_cmd");
	cmd->surface_id = (uint32_t)trace_number(trace, "surface_id");
	cmd->type = (uint8_t)trace_number(trace, "type");
	cmd->flags = (uint32_t)trace_number(trace, "flags");
	if (cmd->type == QXL_SURFACE_CMD_CREATE)
		read_surface(trace, cmd);
	return address;
}

static uint64_t read_shape(struct trace *trace)
{
	QXLCursorHeader header = { 0 };
	uint64_t address, size;
	QXLCursor *cursor;

	header.unique = (uint64_t)trace_number(trace, "header.unique");
	header.type = (uint16_t)trace_number(trace, "header.type");
	header.width = (uint16_t)trace_number(trace, "header.width");
	header.height = (uint16_t)trace_number(trace, "header.height");
	header.hot_spot_x = (uint16_t)trace_number(trace, "header.hot_spot_x");
	header.hot_spot_y = (uint16_t)trace_number(trace, "header.hot_spot_y");
	trace_number(trace, "data_size");
	address = trace_chunks(trace, "cursor", sizeof(*cursor), &size);
	if (!address)
		return 0;
	cursor = trace_at(trace, address);
	cursor->header = header;
	cursor->data_size = (uint32_t)size;
	return address;
}

static uint64_t read_cursor_cmd(struct trace *trace)
{
	uint64_t address = trace_alloc_zeroed(trace, sizeof(QXLCursorCmd));
	QXLCursorCmd *cmd = trace_at(trace, address);

	if (!address)
		return 0;
	trace_input_scan(&trace->in, " cursor_cmd");
	cmd->type = (uint8_t)trace_number(trace, "type");
	switch (cmd->type) {
	case QXL_CURSOR_SET:
		cmd->u.set.position = read_point16(trace);
		cmd->u.set.visible = (uint8_t)trace_number(trace, "u.set.visible");
		cmd->u.set.shape = read_shape(trace);
		break;
	case QXL_CURSOR_MOVE: cmd->u.position = read_point16(trace); break;
	case QXL_CURSOR_TRAIL:
		cmd->u.trail.length = (uint16_t)trace_number(trace, "u.trail.length");
		cmd->u.trail.frequency = (uint16_t)trace_number(trace, "u.trail.frequency");
		break;
	default: break;
	}
	return address;
}

static void read_command(struct trace *trace, struct trace_record *out)
{
	uint64_t size;

	switch (out->type) {
	case QXL_CMD_DRAW: out->address = trace_drawable(trace, &out->compat); break;
	case QXL_CMD_UPDATE: out->address = read_update(trace); break;
	case QXL_CMD_SURFACE: out->address = read_surface_cmd(trace); break;
	case QXL_CMD_CURSOR: out->address = read_cursor_cmd(trace); break;
	case QXL_CMD_MESSAGE: trace_binary(trace, "message", 0, &size); break;
	default: break; /* has no body */
	}
}

/* ---- events ---- */

static void read_primary(struct trace *trace, struct trace_record *out)
{
	int64_t width, height, stride, format, position, mouse_mode, flags, type;
	uint64_t size, needed;

	trace_input_scan(&trace->in, " % % % %", &width, &height, &stride, &format);
	trace_input_scan(&trace->in, " % % % %", &position, &mouse_mode, &flags, &type);
	out->primary.memory = trace_binary(trace, "data", 0, &size);
	out->primary.width = (uint32_t)width;
	out->primary.height = (uint32_t)height;
	out->primary.stride = (int32_t)stride;
	out->primary.format = (uint32_t)format;
	out->primary.flags = (uint32_t)flags;
	needed = (uint64_t)llabs(out->primary.stride) * out->primary.height;
	if (size >= needed)
		return;
	/* Without its first contents. */
	out->primary.flags &= ~(uint32_t)QXL_SURF_FLAG_KEEP_DATA;
	out->primary.memory = trace_alloc(trace, needed);
}

static void read_event(struct trace *trace, struct trace_record *out)
{
	switch (out->type) {
	case EVENT_CREATE_PRIMARY:
	case EVENT_CREATE_PRIMARY_ASYNC:
		out->kind = TRACE_CREATE_PRIMARY;
		read_primary(trace, out);
		break;
	case EVENT_DESTROY_PRIMARY:
	case EVENT_DESTROY_PRIMARY_ASYNC: out->kind = TRACE_DESTROY_PRIMARY; break;
	case EVENT_DESTROY_SURFACES:
	case EVENT_DESTROY_SURFACES_ASYNC: out->kind = TRACE_DESTROY_SURFACES; break;
	case EVENT_RESET_CURSOR: out->kind = TRACE_RESET_CURSOR; break;
	default: out->kind = TRACE_OTHER; break;
	}
}

int trace_next(struct trace *trace, struct trace_record *out)
{
	int64_t counter, is_event, type, time;

	*out = (struct trace_record){ 0 };
	if (trace->in.error)
		return trace->in.error;
	if (trace_input_at_end(&trace->in))
		return trace->in.error;
	trace->used = FIRST_ADDRESS;
	trace_input_scan(&trace->in, " event % % % %", &counter, &is_event, &type, &time);
	out->time_ns = (uint64_t)time;
	out->type = (uint32_t)type;
	if (is_event)
		read_event(trace, out);
	else
		read_command(trace, out);
	return trace->in.error ? trace->in.error : 1;
}

/* ---- opening ---- */

int trace_open(struct trace **out, const char *path)
{
	struct trace *trace = calloc(1, sizeof(*trace));
	int err;

	if (!trace)
		return -ENOMEM;
	err = trace_input_open(&trace->in, path);
	if (err) {
		free(trace);
		return err;
	}
	trace->memory = mmap(NULL, TRACE_MEMORY_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (trace->memory == MAP_FAILED) {
		trace->memory = NULL;
		err = -ENOMEM;
	} else if (trace_number(trace, "SPICE_REPLAY") != 1 || trace->in.error) {
		err = -EINVAL;
	}
	if (err) {
		trace_close(trace);
		return err;
	}
	trace->slots.slot[TRACE_SLOT_MEMORY] = (struct qxl_slot){
		.active = true, .host = trace->memory, .size = TRACE_MEMORY_BYTES
	};
	if (trace->in.mapped)
		trace->slots.slot[TRACE_SLOT_FILE] = (struct qxl_slot){
			.active = true, .host = trace->in.bytes, .size = trace->in.size
		};
	*out = trace;
	return 0;
}

void trace_close(struct trace *trace)
{
	if (!trace)
		return;
	trace_input_close(&trace->in);
	if (trace->memory)
		munmap(trace->memory, TRACE_MEMORY_BYTES);
	free(trace);
}

const struct qxl_slots *trace_slots(const struct trace *trace)
{
	return &trace->slots;
}

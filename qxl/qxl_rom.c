/* SPDX-License-Identifier: MIT */
/* The ROM BAR's description of the device and its modes, and the header at the end of the RAM
 * BAR. */
#include <stddef.h>
#include <string.h>

#include "core/util.h"
#include "qxl/qxl_device.h"

/* What drivers of the first generation, and Windows', offer. */
static const struct {
	uint16_t width, height;
} sizes[] = {
	{ 640, 480 },
	{ 800, 480 },
	{ 800, 600 },
	{ 832, 624 },
	{ 960, 640 },
	{ 1024, 600 },
	{ 1024, 768 },
	{ 1152, 864 },
	{ 1152, 870 },
	{ 1280, 720 },
	{ 1280, 760 },
	{ 1280, 768 },
	{ 1280, 800 },
	{ 1280, 960 },
	{ 1280, 1024 },
	{ 1360, 768 },
	{ 1366, 768 },
	{ 1400, 1050 },
	{ 1440, 900 },
	{ 1600, 900 },
	{ 1600, 1200 },
	{ 1680, 1050 },
	{ 1920, 1080 },
	{ 1920, 1200 },
	{ 1920, 1440 },
	{ 2000, 2000 },
	{ 2048, 1536 },
	{ 2048, 2048 },
	{ 2560, 1440 },
	{ 2560, 1600 },
	{ 2560, 2048 },
	{ 2800, 2100 },
	{ 3200, 2400 },
	{ 3840, 2160 },
	{ 4096, 2160 },
};

enum { MODES_PER_SIZE = 4 }; /* 16 and 32 bits, upright and turned */

#define MODES_OFFSET sizeof(QXLRom)
_Static_assert(
	MODES_OFFSET + sizeof(QXLModes) + ARRAY_SIZE(sizes) * MODES_PER_SIZE * sizeof(QXLMode) <=
		QXL_ROM_BYTES,
	"the ROM is too small");

static uint8_t *mode_at(const struct qxl *qxl, uint32_t number)
{
	return qxl->rom + MODES_OFFSET + sizeof(QXLModes) + number * sizeof(QXLMode);
}

static uint32_t fill_modes(struct qxl *qxl)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < ARRAY_SIZE(sizes) * MODES_PER_SIZE; i++) {
		uint32_t width = sizes[i / MODES_PER_SIZE].width;
		uint32_t height = sizes[i / MODES_PER_SIZE].height;
		uint32_t bits = i & 1 ? 32 : 16;
		QXLMode mode = {
			.id = i,
			.x_res = width,
			.y_res = height,
			.bits = bits,
			.stride = width * bits / 8,
			/* Pixels of 0.29 mm. */
			.x_mili = width * 29 / 100,
			.y_mili = height * 29 / 100,
			.orientation = i >> 1 & 1,
		};

		if (mode.stride * height > QXL_VGAMEM_BYTES)
			continue;
		memcpy(mode_at(qxl, count++), &mode, sizeof(mode));
	}
	return count;
}

void qxl_rom_fill(struct qxl *qxl)
{
	uint32_t ram_bytes = qxl->memory->ram_bytes;
	QXLRom rom = {
		.magic = QXL_ROM_MAGIC,
		.modes_offset = MODES_OFFSET,
		.num_pages = (uint32_t)((ram_bytes - QXL_VGAMEM_BYTES - QXL_HEADER_OFFSET) / 4096),
		.pages_offset = QXL_VGAMEM_BYTES,
		.draw_area_offset = 0,
		.surface0_area_size = QXL_VGAMEM_BYTES,
		.ram_header_offset = (uint32_t)(ram_bytes - QXL_HEADER_OFFSET),
		.n_surfaces = QXL_SURFACES_MAX,
		.slots_start = 1,
		.slots_end = QXL_SLOT_COUNT - 1,
		.slot_gen_bits = 8,
		.slot_id_bits = 8,
		.slot_generation = QXL_SLOT_GENERATION,
	};
	QXLModes modes;

	modes.n_modes = fill_modes(qxl);
	memcpy(qxl->rom + MODES_OFFSET, &modes, sizeof(modes));
	memcpy(qxl->rom, &rom, sizeof(rom));
}

const QXLMode *qxl_rom_mode(const struct qxl *qxl, uint32_t number)
{
	QXLModes modes;

	memcpy(&modes, qxl->rom + MODES_OFFSET, sizeof(modes));
	return number < modes.n_modes ? (const QXLMode *)(const void *)mode_at(qxl, number) : NULL;
}

uint8_t *qxl_header(const struct qxl *qxl)
{
	return qxl->memory->ram + qxl->memory->ram_bytes - QXL_HEADER_OFFSET;
}

void qxl_header_fill(struct qxl *qxl)
{
	static const QXLRam zero;
	uint8_t *header = qxl_header(qxl);
	QXLRam ram = zero;

	ram.magic = QXL_RAM_MAGIC;
	SPICE_RING_INIT(&ram.cmd_ring);
	SPICE_RING_INIT(&ram.cursor_ring);
	SPICE_RING_INIT(&ram.release_ring);
	memcpy(header, &ram, sizeof(ram));
}

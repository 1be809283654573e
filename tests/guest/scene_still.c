/* SPDX-License-Identifier: MIT */
/* A fixed picture that uses every kind of command the driver has; the same pixels at each boot. It
 * reads the device's rendering back and tells its CRC-32 on COM1. */
#include "cpu.h"
#include "font.h"
#include "scene.h"

enum { SURFACE = 1, TILE = 96 };

/* The background: red rises to the right, green downwards, blue in diagonal waves. */
static void still_background(struct image *image)
{
	for (int32_t y = 0; y < image->height; y++)
		for (int32_t x = 0; x < image->width; x++)
			image->pixels[y * image->stride + x] = rgb(x * 255 / (image->width - 1),
				y * 255 / (image->height - 1), (x + y) & 255);
}

static void still_channels(struct qxl *qxl)
{
	static const uint32_t colors[] = { 0x000000, 0xffffff, 0xff0000, 0x00ff00, 0x0000ff,
		0xffff00, 0xff00ff, 0x00ffff, 0x800000, 0x008000, 0x000080, 0x808080, 0x010101,
		0xfefefe, 0x123456, 0xabcdef };

	for (uint32_t i = 0; i < ARRAY_SIZE(colors); i++)
		qxl_fill(qxl, 0, rect_make(16 + i * 18, 16, 18, 40), colors[i]);
}

/* 1-pixel lines at 1-pixel distances, upright and lying, and a 1-pixel frame round everything. */
static void still_lines(struct qxl *qxl)
{
	for (int32_t i = 0; i < 24; i++) {
		qxl_fill(qxl, 0, rect_make(16 + i * 2, 72, 1, 48), i & 1 ? 0xffffff : 0);
		qxl_fill(qxl, 0, rect_make(80, 72 + i * 2, 48, 1), i & 1 ? 0xffff00 : 0x0000ff);
	}
	qxl_fill(qxl, 0, rect_make(0, 0, qxl->width, 1), 0xffffff);
	qxl_fill(qxl, 0, rect_make(0, qxl->height - 1, qxl->width, 1), 0xff0000);
	qxl_fill(qxl, 0, rect_make(0, 0, 1, qxl->height), 0x00ff00);
	qxl_fill(qxl, 0, rect_make(qxl->width - 1, 0, 1, qxl->height), 0x0000ff);
}

/* An off-screen surface is drawn into and copied to the screen twice. */
static void still_surface(struct qxl *qxl, struct image *canvas)
{
	struct image tile = { canvas->pixels, TILE, TILE, TILE };

	for (int32_t y = 0; y < TILE; y++)
		for (int32_t x = 0; x < TILE; x++)
			tile.pixels[y * TILE + x] = (x ^ y) * 0x020408 & 0xffffff;
	qxl_surface_create(qxl, SURFACE, TILE, TILE);
	qxl_copy_image(qxl, SURFACE, 0, 0, &tile, image_rect(&tile));
	qxl_fill(qxl, SURFACE, rect_make(24, 24, 48, 48), 0xff8000);
	qxl_copy_bits(qxl, SURFACE, rect_make(48, 48, 40, 40), 16, 16);
	qxl_copy_surface(qxl, 0, rect_make(144, 72, TILE, TILE), SURFACE, 0, 0);
	qxl_copy_surface(qxl, 0, rect_make(248, 72, 40, 56), SURFACE, 30, 20);
}

static void still_text(struct qxl *qxl, struct image *canvas)
{
	static const char *const lines[] = { "The quick brown fox jumps", "over the lazy dog.",
		"0123456789 !\"#$%&'()*+,-./", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", ":;<=>?@[\\]^_`{|}~" };
	struct image paper = { canvas->pixels, 288, 144, 288 };

	image_fill(&paper, image_rect(&paper), 0xf4f1e8);
	font_draw(&paper, FONT_BOLD, 12, 26, 0x203040, "spicebox still pattern");
	for (uint32_t i = 0; i < ARRAY_SIZE(lines); i++)
		font_draw(&paper, i & 1 ? FONT_SMALL : FONT_NORMAL, 12, 50 + i * 20, 0x303030,
			lines[i]);
	qxl_copy_image(qxl, 0, 16, 184, &paper, image_rect(&paper));
}

void scene_still(struct qxl *qxl)
{
	struct image canvas = scene_canvas(qxl), shown;
	struct rect all = rect_make(0, 0, qxl->width, qxl->height);

	still_background(&canvas);
	qxl_copy_image(qxl, 0, 0, 0, &canvas, all);
	still_channels(qxl);
	still_lines(qxl);
	still_surface(qxl, &canvas);
	still_text(qxl, &canvas);
	/* Overlapping copies of the screen onto itself, one down and right, one up and left. */
	qxl_copy_bits(qxl, 0, rect_make(40, 90, 100, 60), 16, 72);
	qxl_copy_bits(qxl, 0, rect_make(160, 190, 120, 100), 170, 200);
	qxl_update_area(qxl, 0, all);
	shown = (struct image){ qxl->primary, qxl->width, qxl->height, qxl->width };
	log_line("FRAME crc32 %08x", image_crc(&shown));
	scene_ready(qxl);
	for (;;)
		machine_wait(UINT64_MAX);
}

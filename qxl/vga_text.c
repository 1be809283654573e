/* SPDX-License-Identifier: MIT */
/* Text modes: only cells whose character, attribute, cursor or font changed are drawn. */
#include <string.h>

#include "core/util.h"
#include "qxl/vga.h"

enum { FONT_BYTES = 8192, GLYPH_BYTES = 32, CELL_CURSOR = 1u << 16 };

struct text {
	struct vga_renderer *renderer;
	const struct vga_regs *regs;
	const struct vga_scan *scan;
	uint32_t cell_width; /* pixels */
	uint32_t cell_height; /* pixels, without doubling */
	uint32_t columns;
	uint32_t rows;
};

static uint32_t cell_dots(const struct vga_regs *regs)
{
	return regs->seq[1] & 1 ? 8 : 9;
}

void vga_text_size(
	const struct vga_regs *regs, const struct vga_scan *scan, uint32_t *width, uint32_t *height)
{
	*width = (regs->crtc[0x01] + 1u) * cell_dots(regs) * scan->dots;
	*height = scan->height;
}

/* ---- fonts ---- */

/* Offset in plane 2 of the font for attributes with bit 3 set (`second`) and clear. */
static uint32_t font_offset(const struct vga_regs *regs, bool second)
{
	uint8_t map = regs->seq[3];
	uint32_t n = second ? (map >> 2 & 3) | (map >> 5 & 1) << 2
			    : (map & 3) | (map >> 4 & 1) << 2;

	return (n & 3) << 14 | (n & 4) << 11;
}

/* Fetches both fonts; answers whether they changed. */
static bool load_fonts(struct vga_renderer *renderer, const struct vga_regs *regs)
{
	bool changed = false;

	for (int f = 0; f < 2; f++) {
		const uint8_t *plane = renderer->ram + 4 * (size_t)font_offset(regs, f) + 2;

		for (uint32_t i = 0; i < FONT_BYTES; i++) {
			changed |= renderer->fonts[f][i] != plane[4 * (size_t)i];
			renderer->fonts[f][i] = plane[4 * (size_t)i];
		}
	}
	return changed;
}

/* ---- cells ---- */

static uint32_t read_cell(const struct text *text, uint32_t count)
{
	const uint8_t *cr = text->regs->crtc;
	uint32_t offset = vga_scan_offset(text->regs, count, 0);
	const uint8_t *planes = text->renderer->ram + 4 * (size_t)offset;
	uint32_t cell = planes[0] | (uint32_t)planes[1] << 8;

	if (!(cr[0x0a] & 0x20) && (count & 0xffff) == ((uint32_t)cr[0x0e] << 8 | cr[0x0f]))
		cell |= CELL_CURSOR | (uint32_t)(cr[0x0a] & 0x1f) << 17 |
			(uint32_t)(cr[0x0b] & 0x1f) << 22;
	return cell;
}

/* The dots of one line of a cell, leftmost in bit 8. */
static uint32_t cell_line(const struct text *text, uint32_t cell, uint32_t line)
{
	const struct vga_regs *regs = text->regs;
	uint8_t character = (uint8_t)cell, attribute = (uint8_t)(cell >> 8);
	uint32_t dots = text->renderer->fonts[attribute >> 3 & 1][character * GLYPH_BYTES + line];

	dots <<= 1;
	/* The ninth dot of line-drawing characters is as the eighth. */
	if (regs->attr[0x10] & 4 && character >= 0xc0 && character <= 0xdf)
		dots |= dots >> 1 & 1;
	/* Monochrome emulation underlines. */
	if (regs->attr[0x10] & 2 && (attribute & 7) == 1 && line == (regs->crtc[0x14] & 0x1f))
		dots = 0x1ff;
	if (cell & CELL_CURSOR && line >= (cell >> 17 & 0x1f) && line <= (cell >> 22 & 0x1f))
		dots = 0x1ff;
	return dots;
}

static void draw_line(
	const struct text *text, uint32_t dots, uint32_t on, uint32_t off, uint8_t *row, uint32_t x)
{
	uint32_t wide = text->scan->dots, n = text->cell_width / wide;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t color = dots >> (8 - i) & 1 ? on : off;

		for (uint32_t j = 0; j < wide; j++)
			memcpy(row + 4 * (size_t)(x + i * wide + j), &color, 4);
	}
}

static void draw_cell(const struct text *text, uint32_t column, uint32_t row, uint32_t cell)
{
	struct surface *surface = text->renderer->surface;
	bool blinks = text->regs->attr[0x10] & 8; /* then bit 7 is not a colour; shown steady */
	uint32_t on = text->renderer->palette[cell >> 8 & 15];
	uint32_t off = text->renderer->palette[cell >> 12 & (blinks ? 7 : 15)];
	uint32_t repeat = text->scan->doubled ? 2 : 1;
	uint32_t y = row * text->cell_height * repeat;

	for (uint32_t line = 0; line < text->cell_height; line++) {
		uint32_t dots = cell_line(text, cell, line);

		for (uint32_t i = 0; i < repeat && y < surface->height; i++, y++)
			draw_line(text, dots, on, off, surface_row(surface, y),
				column * text->cell_width);
	}
}

static void render_row(const struct text *text, uint32_t row, bool all, struct vga_changes *changes)
{
	uint32_t *cells = text->renderer->cells + (size_t)row * text->columns;
	uint32_t count = text->scan->start + row * text->scan->pitch;
	uint32_t height = text->cell_height * (text->scan->doubled ? 2 : 1);
	uint32_t first = text->columns, last = 0;
	struct rect changed, bounds = surface_bounds(text->renderer->surface);

	for (uint32_t column = 0; column < text->columns; column++) {
		uint32_t cell = read_cell(text, count + column);

		if (!all && cell == cells[column])
			continue;
		cells[column] = cell;
		draw_cell(text, column, row, cell);
		first = MIN(first, column);
		last = column;
	}
	if (first == text->columns)
		return;
	changed = rect_make((int32_t)(first * text->cell_width), (int32_t)(row * height),
		(int32_t)((last - first + 1) * text->cell_width), (int32_t)height);
	changed = rect_intersect(&changed, &bounds);
	vga_changes_add(changes, &changed);
}

void vga_text_render(struct vga_renderer *renderer, const struct vga_regs *regs,
	const struct vga_scan *scan, bool all, struct vga_changes *changes)
{
	struct text text = {
		.renderer = renderer,
		.regs = regs,
		.scan = scan,
		.cell_width = cell_dots(regs) * scan->dots,
		.cell_height = scan->lines,
		.columns = regs->crtc[0x01] + 1u,
	};
	uint32_t height = scan->lines * (scan->doubled ? 2 : 1);

	text.rows =
		MIN(DIV_ROUND_UP(renderer->surface->height, height), VGA_CELLS_MAX / text.columns);
	all |= load_fonts(renderer, regs);
	for (uint32_t row = 0; row < text.rows; row++)
		render_row(&text, row, all, changes);
}

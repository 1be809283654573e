/* SPDX-License-Identifier: MIT */
/* The notice panel. */
#include "ui/overlay.h"

#include <string.h>

#include "core/util.h"
#include "ui/font.h"

enum {
	MAX_LINES = 12,
	LINE_ADVANCE = 12, /* font pixels from line to line */
	PADDING = 8, /* font pixels around the text */
	PANEL = 0x1c2026,
	PANEL_EDGE = 0x4a90d9,
	TEXT = 0xf0f0f0,
};

struct lines {
	const char *start[MAX_LINES];
	uint32_t bytes[MAX_LINES];
	uint32_t count;
	uint32_t widest; /* characters */
};

static uint32_t *pixel_at(const struct surface *s, int32_t x, int32_t y)
{
	return (uint32_t *)(void *)surface_row(s, (uint32_t)y) + x;
}

void overlay_dim(const struct surface *to, const struct rect *area)
{
	struct rect all = surface_bounds(to), part = rect_intersect(area, &all);
	for (int32_t y = part.top; y < part.bottom; y++) {
		uint32_t *row = pixel_at(to, 0, y);
		for (int32_t x = part.left; x < part.right; x++)
			row[x] = (row[x] >> 1) & 0x7f7f7f;
	}
}

static void fill(const struct surface *to, const struct rect *area, uint32_t color)
{
	struct rect all = surface_bounds(to), part = rect_intersect(area, &all);
	for (int32_t y = part.top; y < part.bottom; y++) {
		uint32_t *row = pixel_at(to, 0, y);
		for (int32_t x = part.left; x < part.right; x++)
			row[x] = color;
	}
}

/* Characters of UTF-8 text: bytes that do not continue one. */
static uint32_t count_characters(const char *text, uint32_t bytes)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < bytes; i++)
		count += ((unsigned char)text[i] & 0xc0) != 0x80;
	return count;
}

static void break_lines(struct lines *lines, const char *text, uint32_t max_characters)
{
	*lines = (struct lines){ 0 };
	while (lines->count < MAX_LINES) {
		uint32_t end = 0, space = 0;
		while (text[end] && text[end] != '\n' &&
			count_characters(text, end + 1) <= max_characters) {
			if (text[end] == ' ')
				space = end;
			end++;
		}
		if (text[end] && text[end] != '\n' && text[end] != ' ' && space > 0)
			end = space;
		lines->start[lines->count] = text;
		lines->bytes[lines->count++] = end;
		lines->widest = MAX(lines->widest, count_characters(text, end));
		text += end;
		if (!*text)
			return;
		if (*text == ' ' || *text == '\n')
			text++;
	}
}

static void draw_glyph(const struct surface *to, int32_t x, int32_t y, uint32_t code, int32_t zoom)
{
	const uint8_t *rows = font_glyph(code);
	for (int32_t row = 0; row < FONT_HEIGHT; row++)
		for (int32_t column = 0; column < FONT_WIDTH; column++)
			if (rows[row] & (0x10 >> column)) {
				struct rect dot =
					rect_make(x + column * zoom, y + row * zoom, zoom, zoom);
				fill(to, &dot, TEXT);
			}
}

static void draw_line(const struct surface *to, int32_t x, int32_t y, const char *text,
	uint32_t bytes, int32_t zoom)
{
	for (uint32_t i = 0; i < bytes; i++) {
		unsigned char c = (unsigned char)text[i];
		if ((c & 0xc0) == 0x80)
			continue;
		draw_glyph(to, x, y, c < 0x80 ? c : 0, zoom);
		x += FONT_ADVANCE * zoom;
	}
}

void overlay_notice(const struct surface *to, const char *text, uint32_t zoom)
{
	struct lines lines;
	int32_t z = (int32_t)zoom, advance = FONT_ADVANCE * z;
	int32_t room = ((int32_t)to->width - 2 * PADDING * z) / advance;
	break_lines(&lines, text, (uint32_t)MAX(room, 8));
	int32_t width = (int32_t)lines.widest * advance + 2 * PADDING * z;
	int32_t height = (int32_t)lines.count * LINE_ADVANCE * z + 2 * PADDING * z;
	struct rect panel = rect_make(((int32_t)to->width - width) / 2,
		((int32_t)to->height - height) / 2, width, height);
	struct rect edge = { panel.left - z, panel.top - z, panel.right + z, panel.bottom + z };
	fill(to, &edge, PANEL_EDGE);
	fill(to, &panel, PANEL);
	for (uint32_t i = 0; i < lines.count; i++) {
		uint32_t characters = count_characters(lines.start[i], lines.bytes[i]);
		int32_t x = ((int32_t)to->width - (int32_t)characters * advance) / 2;
		int32_t y = panel.top + (PADDING + 2) * z + (int32_t)i * LINE_ADVANCE * z;
		draw_line(to, x, y, lines.start[i], lines.bytes[i], z);
	}
}

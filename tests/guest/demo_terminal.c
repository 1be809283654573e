/* SPDX-License-Identifier: MIT */
/* Scancodes to letters (US layout), lines, and the words help, clear, about, time and off. */
#include "demo_terminal.h"
#include "font.h"
#include "machine.h"

#define PROMPT "> "

enum { LINE_HEIGHT = 20, COLOR_PAPER = 0x1b2128, KEY_LINE = 26 };

static const char letters[] =
	"\0\0331234567890-=\b\tqwertyuiop[]\n\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 ";
static const char shifted[] =
	"\0\033!@#$%^&*()_+\b\tQWERTYUIOP{}\n\0ASDFGHJKL:\"~\0|ZXCVBNM<>?\0*\0 ";

static struct rect terminal_line_rect(const struct terminal *terminal, uint32_t line)
{
	return rect_make(terminal->area.x, terminal->area.y + 8 + line * LINE_HEIGHT,
		terminal->area.width, LINE_HEIGHT);
}

static void terminal_draw_line(struct terminal *terminal, uint32_t line)
{
	struct rect r = terminal_line_rect(terminal, line);
	const char *text = terminal->lines[line];
	bool typed = !memcmp(text, PROMPT, 2);
	int32_t x = r.x + 18;

	image_fill(terminal->picture, r, COLOR_PAPER);
	if (typed) {
		x = font_draw(terminal->picture, FONT_BOLD, x, r.y + 15, 0x3fc4ae, PROMPT);
		text += 2;
	}
	x = font_draw(
		terminal->picture, FONT_NORMAL, x, r.y + 15, typed ? 0xf0f4f8 : 0x9fb0c0, text);
	if (line == terminal->line)
		image_round(terminal->picture, rect_make(x + 2, r.y + 2, 8, 16), 2, 0x3fc4ae, 256);
}

static void terminal_draw_key(struct terminal *terminal, uint16_t key)
{
	struct rect r = rect_make(terminal->area.x, terminal->area.y + terminal->area.height - 34,
		terminal->area.width, KEY_LINE);
	char text[64];

	image_fill(terminal->picture, r, COLOR_PAPER);
	image_round(terminal->picture, rect_make(r.x + 14, r.y, r.width - 28, KEY_LINE - 2), 6,
		0x262e37, 256);
	if (!terminal->keys)
		text_format(text, sizeof(text), "press a key");
	else
		text_format(text, sizeof(text), "scancode %02x %s, %u events", key & 0xff7f,
			key & 0x80 ? "released" : "pressed", terminal->keys);
	font_draw(terminal->picture, FONT_SMALL, r.x + 26, r.y + 16, 0x8795a5, text);
}

static void terminal_draw(struct terminal *terminal)
{
	for (uint32_t i = 0; i < TERMINAL_LINES; i++)
		terminal_draw_line(terminal, i);
}

static void terminal_new_line(struct terminal *terminal, const char *text)
{
	if (terminal->line + 1 == TERMINAL_LINES)
		memmove(terminal->lines[0], terminal->lines[1],
			sizeof(terminal->lines) - sizeof(terminal->lines[0]));
	else
		terminal->line++;
	text_format(terminal->lines[terminal->line], TERMINAL_COLUMNS + 1, "%s", text);
}

void terminal_init(struct terminal *terminal, struct image *picture, struct rect area)
{
	terminal->picture = picture;
	terminal->area = area;
	text_format(terminal->lines[0], TERMINAL_COLUMNS + 1, "Type something, or 'help'.");
	terminal->line = 0;
	terminal_new_line(terminal, PROMPT);
	terminal_draw(terminal);
	terminal_draw_key(terminal, 0);
}

static void terminal_command(struct terminal *terminal)
{
	const char *word = terminal->lines[terminal->line] + 2;
	char text[TERMINAL_COLUMNS + 1];

	if (text_equal(word, "help")) {
		terminal_new_line(terminal, "help, clear, about, time, off");
	} else if (text_equal(word, "clear")) {
		memset(terminal->lines, 0, sizeof(terminal->lines));
		terminal->line = 0;
		text_format(terminal->lines[0], TERMINAL_COLUMNS + 1, PROMPT);
		return;
	} else if (text_equal(word, "about")) {
		terminal_new_line(terminal, "spicebox's own guest: no firmware, no OS,");
		terminal_new_line(terminal, "a QXL driver and an afternoon's paint.");
	} else if (text_equal(word, "time")) {
		uint32_t seconds = machine_seconds_of_day();

		text_format(text, sizeof(text), "%02u:%02u:%02u by the RTC", seconds / 3600,
			seconds / 60 % 60, seconds % 60);
		terminal_new_line(terminal, text);
	} else if (text_equal(word, "off")) {
		machine_power_off();
	} else if (*word) {
		text_format(text, sizeof(text), "you said: %s", word);
		terminal_new_line(terminal, text);
	}
	terminal_new_line(terminal, PROMPT);
}

/* Returns whether the lines changed in more than the one being typed. */
static bool terminal_type(struct terminal *terminal, char c)
{
	char *line = terminal->lines[terminal->line];
	size_t length = strlen(line);

	if (c == '\n') {
		terminal_command(terminal);
		return true;
	}
	if (c == '\b') {
		if (length > 2)
			line[length - 1] = 0;
	} else if (c >= ' ' && length < TERMINAL_COLUMNS - 6) {
		line[length] = c;
		line[length + 1] = 0;
	}
	return false;
}

struct rect terminal_key(struct terminal *terminal, uint16_t key)
{
	bool release = key & 0x80;
	uint8_t code = key & 0x7f;
	char c = 0;

	terminal->keys++;
	terminal_draw_key(terminal, key);
	if (code == 0x2a || code == 0x36)
		terminal->shift = (key < 0xe000) ? !release : terminal->shift;
	else if (code == 0x1d)
		terminal->control = !release;
	else if (code == 0x3a && !release)
		terminal->caps = !terminal->caps;
	else if (!release && key < 0x80 && code < sizeof(letters))
		c = terminal->shift ? shifted[code] : letters[code];
	else if (key == 0xe01c)
		c = '\n';
	if (terminal->caps && c >= 'a' && c <= 'z')
		c -= 'a' - 'A';
	else if (terminal->caps && c >= 'A' && c <= 'Z')
		c += 'a' - 'A';
	if (c && !terminal->control) {
		if (terminal_type(terminal, c))
			terminal_draw(terminal);
		else
			terminal_draw_line(terminal, terminal->line);
	}
	return terminal->area;
}

/* SPDX-License-Identifier: MIT */
/* The demo's terminal: echoes what is typed and knows a few words. */
#ifndef GUEST_DEMO_TERMINAL_H
#define GUEST_DEMO_TERMINAL_H

#include "gfx.h"

enum { TERMINAL_LINES = 11, TERMINAL_COLUMNS = 48 };

struct terminal {
	struct image *picture;
	struct rect area;
	char lines[TERMINAL_LINES][TERMINAL_COLUMNS + 1];
	uint32_t line; /* the one being typed */
	uint32_t keys;
	bool shift, caps, control;
};

void terminal_init(struct terminal *terminal, struct image *picture, struct rect area);
/* Takes a scancode as in struct event; returns what changed in the picture. */
struct rect terminal_key(struct terminal *terminal, uint16_t key);

#endif

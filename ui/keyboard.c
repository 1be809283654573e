/* SPDX-License-Identifier: MIT */
/* Keys: by their place on the board, so that the guest's layout decides what they mean. Hot keys are
 * the window's own and never reach the guest, neither half of them. */
#include "ui/keymap.h"
#include "ui/window_impl.h"

enum { SET1_DELETE = 0x153 };

static void send_key(struct window *window, uint32_t code, bool down)
{
	struct input_item item = { .kind = INPUT_KEY, .a = (int32_t)code, .b = down };
	input_queue_push(window->queue, &item);
}

static bool hot_key(struct window *window, const SDL_KeyboardEvent *event)
{
	bool shift = event->keysym.mod & KMOD_SHIFT, ctrl = event->keysym.mod & KMOD_CTRL;
	bool alt = event->keysym.mod & KMOD_ALT, gui = event->keysym.mod & KMOD_GUI;
	bool plain = !shift && !ctrl && !alt && !gui;
	switch (event->keysym.scancode) {
	case SDL_SCANCODE_F11:
		if (!plain)
			return false;
		if (!event->repeat)
			window_toggle_full_screen(window);
		return true;
	case SDL_SCANCODE_F12:
		if (!shift || ctrl || alt || gui)
			return false;
		window_pointer_release(window);
		return true;
	case SDL_SCANCODE_END:
		if (!ctrl || !alt)
			return false;
		/* The guest has Ctrl and Alt down already. */
		send_key(window, SET1_DELETE, true);
		send_key(window, SET1_DELETE, false);
		return true;
	case SDL_SCANCODE_RETURN:
	case SDL_SCANCODE_KP_ENTER:
		if (!window->offer_reconnect)
			return false;
		window->offer_reconnect = false;
		window->on_request(window->opaque, WINDOW_REQUEST_RECONNECT);
		return true;
	default: return false;
	}
}

void window_key(struct window *window, const SDL_KeyboardEvent *event)
{
	SDL_Scancode key = event->keysym.scancode;
	uint32_t code = keymap_set1(key);
	if ((unsigned)key >= SDL_NUM_SCANCODES)
		return;
	bool down = event->type == SDL_KEYDOWN;
	if (down && !window->keys.down[key] && hot_key(window, event)) {
		window->keys.swallow[key] = true;
		return;
	}
	if (window->keys.swallow[key]) {
		window->keys.swallow[key] = down;
		return;
	}
	if (!code || (!down && !window->keys.down[key]))
		return;
	window->keys.down[key] = down;
	send_key(window, code, down);
}

void window_keys_release(struct window *window)
{
	for (uint32_t key = 0; key < SDL_NUM_SCANCODES; key++) {
		if (window->keys.down[key])
			send_key(window, keymap_set1(key), false);
		window->keys.down[key] = window->keys.swallow[key] = false;
	}
}

void window_keys_sync_leds(struct window *window)
{
	SDL_Keymod mod = SDL_GetModState();
	struct input_item item = { .kind = INPUT_LEDS };
	if (mod & KMOD_SCROLL)
		item.a |= INPUT_LED_SCROLL;
	if (mod & KMOD_NUM)
		item.a |= INPUT_LED_NUM;
	if (mod & KMOD_CAPS)
		item.a |= INPUT_LED_CAPS;
	input_queue_push(window->queue, &item);
}

/* SPDX-License-Identifier: MIT */
/*
 * The pointer. Where the guest takes absolute positions its cursor becomes the window's cursor and
 * nothing is grabbed; where it takes motions only, a click grabs the pointer, the guest's cursor is
 * painted into the picture and Shift+F12 gives the pointer back.
 */
#include "core/util.h"
#include "ui/window_impl.h"

/* X servers refuse or garble much larger ones. */
enum { MAX_CURSOR_SIDE = 256, MAX_NOTCHES = 16 };

static void send_button(struct window *window, enum input_button button, bool down)
{
	struct input_item item = { .kind = INPUT_BUTTON, .a = (int32_t)button, .b = down };
	uint32_t bit = 1u << button;
	if (down)
		window->pointer.buttons |= bit;
	else if (window->pointer.buttons & bit)
		window->pointer.buttons &= ~bit;
	else
		return;
	input_queue_push(window->queue, &item);
}

static void set_grab(struct window *window, bool grab)
{
	if (window->pointer.grabbed == grab)
		return;
	if (SDL_SetRelativeMouseMode(grab ? SDL_TRUE : SDL_FALSE) < 0 && grab)
		return;
	window->pointer.grabbed = grab;
	SDL_SetWindowKeyboardGrab(window->sdl, grab || window->full_screen ? SDL_TRUE : SDL_FALSE);
	window_show_title(window);
}

void window_pointer_motion(struct window *window, const SDL_MouseMotionEvent *event)
{
	if (!window->has_input || !window->view.guest_width)
		return;
	if (window->pointer.absolute) {
		struct point at = view_to_guest(&window->view, event->x, event->y);
		struct input_item item = { .kind = INPUT_POSITION,
			.a = at.x,
			.b = at.y,
			.width = window->view.guest_width,
			.height = window->view.guest_height };
		input_queue_push(window->queue, &item);
	} else if (window->pointer.grabbed) {
		struct input_item item = {
			.kind = INPUT_MOTION, .a = event->xrel, .b = event->yrel
		};
		input_queue_push(window->queue, &item);
	}
}

void window_pointer_button(struct window *window, const SDL_MouseButtonEvent *event)
{
	static const enum input_button buttons[] = {
		[SDL_BUTTON_LEFT] = INPUT_BUTTON_LEFT,
		[SDL_BUTTON_MIDDLE] = INPUT_BUTTON_MIDDLE,
		[SDL_BUTTON_RIGHT] = INPUT_BUTTON_RIGHT,
		[SDL_BUTTON_X1] = INPUT_BUTTON_SIDE,
		[SDL_BUTTON_X2] = INPUT_BUTTON_EXTRA,
	};
	bool down = event->type == SDL_MOUSEBUTTONDOWN;
	if (event->button < SDL_BUTTON_LEFT || event->button >= ARRAY_SIZE(buttons))
		return;
	if (down && (!window->has_input || !window->view.guest_width))
		return;
	if (down && !window->pointer.absolute && !window->pointer.grabbed) {
		set_grab(window, true);
		return;
	}
	/* The release of the click that grabbed is not the guest's: send_button() knows. */
	send_button(window, buttons[event->button], down);
}

void window_pointer_wheel(struct window *window, const SDL_MouseWheelEvent *event)
{
	int notches = event->direction == SDL_MOUSEWHEEL_FLIPPED ? -event->y : event->y;
	enum input_button button = notches > 0 ? INPUT_BUTTON_UP : INPUT_BUTTON_DOWN;
	if (!window->has_input || (!window->pointer.absolute && !window->pointer.grabbed))
		return;
	for (int i = MIN(abs(notches), MAX_NOTCHES); i > 0; i--) {
		send_button(window, button, true);
		send_button(window, button, false);
	}
}

void window_pointer_release(struct window *window)
{
	for (uint32_t button = 0; button <= INPUT_BUTTON_EXTRA; button++)
		send_button(window, (enum input_button)button, false);
	set_grab(window, false);
}

/* ---- the guest's cursor ---- */

/* The guest's shape as it is shown, scaled with the picture, into pointer.pixels. */
static void scale_shape(struct window *window)
{
	struct window_pointer *p = &window->pointer;
	const struct cursor_shape *shape = p->guest.shape;
	free(p->pixels);
	p->pixels = NULL;
	p->scaled_for = window->view;
	if (!shape)
		return;
	p->width = MIN(view_scale_length(&window->view, shape->width), MAX_CURSOR_SIDE);
	p->height = MIN(view_scale_length(&window->view, shape->height), MAX_CURSOR_SIDE);
	uint32_t *plain = malloc((size_t)shape->width * shape->height * 4);
	uint32_t *pixels = malloc((size_t)p->width * p->height * 4);
	pixman_image_t *from = NULL, *to = NULL;
	if (!plain || !pixels)
		goto done;
	cursor_shape_to_argb(shape, plain);
	from = pixman_image_create_bits_no_clear(
		PIXMAN_a8r8g8b8, shape->width, shape->height, plain, shape->width * 4);
	to = pixman_image_create_bits_no_clear(
		PIXMAN_a8r8g8b8, (int)p->width, (int)p->height, pixels, (int)p->width * 4);
	if (!from || !to)
		goto done;
	pixman_transform_t transform;
	pixman_transform_init_scale(&transform,
		pixman_double_to_fixed((double)shape->width / p->width),
		pixman_double_to_fixed((double)shape->height / p->height));
	pixman_image_set_transform(from, &transform);
	pixman_image_set_filter(from,
		window->view.factor ? PIXMAN_FILTER_NEAREST : PIXMAN_FILTER_BILINEAR, NULL, 0);
	pixman_image_composite32(
		PIXMAN_OP_SRC, from, NULL, to, 0, 0, 0, 0, 0, 0, (int)p->width, (int)p->height);
	p->hot_x =
		(uint32_t)((uint64_t)MIN(shape->hot_x, shape->width - 1) * p->width / shape->width);
	p->hot_y = (uint32_t)((uint64_t)MIN(shape->hot_y, shape->height - 1) * p->height /
		shape->height);
	p->pixels = pixels;
	pixels = NULL;
done:
	if (from)
		pixman_image_unref(from);
	if (to)
		pixman_image_unref(to);
	free(plain);
	free(pixels);
}

/* SDL wants straight alpha, where the guest's is premultiplied. */
static uint32_t straight_alpha(uint32_t pixel)
{
	uint32_t alpha = pixel >> 24;
	if (alpha == 0 || alpha == 255)
		return pixel;
	uint32_t red = MIN(((pixel >> 16) & 0xff) * 255 / alpha, 255u);
	uint32_t green = MIN(((pixel >> 8) & 0xff) * 255 / alpha, 255u);
	uint32_t blue = MIN((pixel & 0xff) * 255 / alpha, 255u);
	return alpha << 24 | red << 16 | green << 8 | blue;
}

static SDL_Cursor *make_cursor(const struct window_pointer *p)
{
	SDL_Cursor *cursor = NULL;
	SDL_Surface *surface = SDL_CreateRGBSurfaceWithFormat(
		0, (int)p->width, (int)p->height, 32, SDL_PIXELFORMAT_ARGB8888);
	if (!surface)
		return NULL;
	for (uint32_t y = 0; y < p->height; y++) {
		uint32_t *row = (uint32_t *)(void *)((uint8_t *)surface->pixels +
			(size_t)surface->pitch * y);
		for (uint32_t x = 0; x < p->width; x++)
			row[x] = straight_alpha(p->pixels[(size_t)y * p->width + x]);
	}
	cursor = SDL_CreateColorCursor(surface, (int)p->hot_x, (int)p->hot_y);
	SDL_FreeSurface(surface);
	return cursor;
}

static void show_cursor(struct window *window, bool shape_changed)
{
	struct window_pointer *p = &window->pointer;
	SDL_Cursor *old = NULL;
	if (shape_changed) {
		scale_shape(window);
		old = p->cursor;
		p->cursor = p->pixels && p->absolute ? make_cursor(p) : NULL;
		SDL_SetCursor(p->cursor ? p->cursor : SDL_GetDefaultCursor());
	}
	if (old)
		SDL_FreeCursor(old);
	bool hidden = p->absolute && window->has_input && !p->guest.visible && p->guest.shape;
	SDL_ShowCursor(hidden ? SDL_DISABLE : SDL_ENABLE);
}

void window_pointer_set_absolute(struct window *window, bool absolute)
{
	if (window->pointer.absolute == absolute)
		return;
	window_pointer_release(window);
	window->pointer.absolute = absolute;
	show_cursor(window, true);
}

void window_pointer_set_guest(struct window *window, const struct cursor_state *state)
{
	struct cursor_shape *old = window->pointer.guest.shape;
	window->pointer.guest = *state;
	show_cursor(window, old != state->shape);
	cursor_shape_unref(old);
}

void window_pointer_rescale(struct window *window)
{
	const struct view *now = &window->view, *then = &window->pointer.scaled_for;
	if (now->guest_width != then->guest_width || now->factor != then->factor ||
		rect_width(&now->place) != rect_width(&then->place))
		show_cursor(window, true);
}

struct rect window_pointer_place(const struct window *window)
{
	const struct window_pointer *p = &window->pointer;
	const struct view *view = &window->view;
	if (p->absolute || !p->guest.visible || !p->pixels || !view->guest_width)
		return (struct rect){ 0 };
	int64_t x = (int64_t)p->guest.position.x * rect_width(&view->place) / view->guest_width;
	int64_t y = (int64_t)p->guest.position.y * rect_height(&view->place) / view->guest_height;
	/* The position is the guest's word: keep it near the picture before it becomes 32 bits. */
	x = MIN(MAX(x, -MAX_CURSOR_SIDE), view->window_width);
	y = MIN(MAX(y, -MAX_CURSOR_SIDE), view->window_height);
	return rect_make(view->place.left + (int32_t)x - (int32_t)p->hot_x,
		view->place.top + (int32_t)y - (int32_t)p->hot_y, (int32_t)p->width,
		(int32_t)p->height);
}

void window_pointer_paint(const struct window *window, const struct surface *to)
{
	const struct window_pointer *p = &window->pointer;
	struct rect place = window_pointer_place(window);
	struct rect part = rect_intersect(&place, &window->view.place);
	if (rect_empty(&part))
		return;
	pixman_image_t *shape = pixman_image_create_bits_no_clear(
		PIXMAN_a8r8g8b8, (int)p->width, (int)p->height, p->pixels, (int)p->width * 4);
	pixman_image_t *picture = pixman_image_create_bits_no_clear(PIXMAN_x8r8g8b8, (int)to->width,
		(int)to->height, (uint32_t *)(void *)to->data, to->stride);
	if (shape && picture)
		pixman_image_composite32(PIXMAN_OP_OVER, shape, NULL, picture,
			part.left - place.left, part.top - place.top, 0, 0, part.left, part.top,
			rect_width(&part), rect_height(&part));
	if (shape)
		pixman_image_unref(shape);
	if (picture)
		pixman_image_unref(picture);
}

void window_pointer_finish(struct window *window)
{
	if (window->pointer.cursor)
		SDL_FreeCursor(window->pointer.cursor);
	free(window->pointer.pixels);
	cursor_shape_unref(window->pointer.guest.shape);
}

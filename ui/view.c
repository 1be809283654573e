/* SPDX-License-Identifier: MIT */
/* The picture's place in the window. Sides are at most 16384 on the guest's side and 32767 on X's, so
 * that products fit into 64 bits with room to spare. */
#include "ui/view.h"

#include "core/util.h"

/* An integral factor is taken when the picture loses at most 1/50 of the size it could have. */
enum { SNAP_PART = 50 };

void view_fit(struct view *view, uint32_t guest_width, uint32_t guest_height, uint32_t window_width,
	uint32_t window_height)
{
	*view = (struct view){ .guest_width = guest_width,
		.guest_height = guest_height,
		.window_width = window_width,
		.window_height = window_height };
	if (!guest_width || !guest_height || !window_width || !window_height) {
		view->guest_width = view->guest_height = 0;
		return;
	}
	uint64_t width = window_width, height = window_height;
	bool full_width = width * guest_height <= height * guest_width;
	uint64_t factor = full_width ? width / guest_width : height / guest_height;
	uint64_t loss = full_width ? width - factor * guest_width : height - factor * guest_height;
	if (factor > 0 && loss * SNAP_PART <= (full_width ? width : height)) {
		view->factor = (uint32_t)factor;
		width = factor * guest_width;
		height = factor * guest_height;
	} else if (full_width) {
		height = (guest_height * width + guest_width / 2) / guest_width;
	} else {
		width = (guest_width * height + guest_height / 2) / guest_height;
	}
	width = MIN(MAX(width, 1u), window_width);
	height = MIN(MAX(height, 1u), window_height);
	view->place = rect_make((int32_t)((window_width - width) / 2),
		(int32_t)((window_height - height) / 2), (int32_t)width, (int32_t)height);
}

/* floor(position * to / from) for positions that may be negative. */
static int32_t scale_down(int32_t position, int32_t to, uint32_t from)
{
	int64_t product = (int64_t)position * to;
	int64_t quotient = product / from;
	return (int32_t)(product % from < 0 ? quotient - 1 : quotient);
}

struct rect view_to_window(const struct view *view, const struct rect *area)
{
	struct rect all = { 0, 0, (int32_t)view->guest_width, (int32_t)view->guest_height };
	struct rect part = rect_intersect(area, &all);
	if (rect_empty(&part))
		return (struct rect){ 0 };
	int32_t width = rect_width(&view->place), height = rect_height(&view->place);
	/* Smooth scaling mixes a pixel with its neighbours; one more for rounding. */
	int32_t reach = view->factor ? 0 : 1;
	struct rect out = {
		scale_down(part.left - reach, width, view->guest_width) - reach,
		scale_down(part.top - reach, height, view->guest_height) - reach,
		-scale_down(-(part.right + reach), width, view->guest_width) + reach,
		-scale_down(-(part.bottom + reach), height, view->guest_height) + reach,
	};
	out.left += view->place.left;
	out.right += view->place.left;
	out.top += view->place.top;
	out.bottom += view->place.top;
	return rect_intersect(&out, &view->place);
}

struct point view_to_guest(const struct view *view, int32_t x, int32_t y)
{
	if (!view->guest_width)
		return (struct point){ 0, 0 };
	int32_t width = rect_width(&view->place), height = rect_height(&view->place);
	x = MIN(MAX(x - view->place.left, 0), width - 1);
	y = MIN(MAX(y - view->place.top, 0), height - 1);
	return (struct point){ scale_down(x, (int32_t)view->guest_width, (uint32_t)width),
		scale_down(y, (int32_t)view->guest_height, (uint32_t)height) };
}

uint32_t view_scale_length(const struct view *view, uint32_t length)
{
	if (!view->guest_width)
		return MAX(length, 1u);
	uint64_t width = (uint64_t)rect_width(&view->place);
	uint64_t scaled = (length * width + view->guest_width / 2) / view->guest_width;
	return (uint32_t)MAX(scaled, 1u);
}

void view_window_size(uint32_t guest_width, uint32_t guest_height, uint32_t zoom,
	uint32_t room_width, uint32_t room_height, uint32_t *width, uint32_t *height)
{
	struct view view;
	while (zoom > 1 &&
		((uint64_t)guest_width * zoom > room_width ||
			(uint64_t)guest_height * zoom > room_height))
		zoom--;
	*width = guest_width * zoom;
	*height = guest_height * zoom;
	if (*width <= room_width && *height <= room_height)
		return;
	view_fit(&view, guest_width, guest_height, room_width, room_height);
	*width = (uint32_t)rect_width(&view.place);
	*height = (uint32_t)rect_height(&view.place);
}

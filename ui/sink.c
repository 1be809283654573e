/* SPDX-License-Identifier: MIT */
/* What the window hears of the display and the machine's inputs: loop thread. It only notes what
 * changed and wakes the SDL thread, once until that has looked. */
#include "core/util.h"
#include "ui/window_impl.h"

/* More rectangles than this are not worth keeping apart. */
enum { MAX_RECTS = 64 };

static struct window *of_sink(struct display_sink *sink)
{
	return container_of(sink, struct window, sink);
}

static void add_dirty(struct window_news *news, const struct rect *area)
{
	struct rect all = { 0, 0, (int32_t)news->width, (int32_t)news->height };
	struct rect part = rect_intersect(area, &all);
	if (rect_empty(&part))
		return;
	region_add_rect(&news->dirty, &part);
	if (region_count(&news->dirty) > MAX_RECTS) {
		struct rect extents = region_extents(&news->dirty);
		region_add_rect(&news->dirty, &extents);
	}
}

static void set_size(struct window *window, uint32_t width, uint32_t height)
{
	struct window_news *news = &window->news;
	pthread_mutex_lock(&window->lock);
	news->size_changed = true;
	news->width = width;
	news->height = height;
	region_clear(&news->dirty);
	window_wake_locked(window);
	pthread_mutex_unlock(&window->lock);
}

static void on_surface_create(struct display_sink *sink, uint32_t id, struct surface *surface)
{
	if (id == DISPLAY_PRIMARY)
		set_size(of_sink(sink), surface->width, surface->height);
}

/* The last picture stays until there is a new one: a change of mode destroys before it creates. */
static void on_surface_destroy(struct display_sink *sink, uint32_t id)
{
	struct window *window = of_sink(sink);
	if (id != DISPLAY_PRIMARY)
		return;
	pthread_mutex_lock(&window->lock);
	region_clear(&window->news.dirty);
	pthread_mutex_unlock(&window->lock);
}

static void on_draw(struct display_sink *sink, struct draw *draw)
{
	struct window *window = of_sink(sink);
	if (draw->surface_id != DISPLAY_PRIMARY)
		return;
	pthread_mutex_lock(&window->lock);
	if (!draw->clipped) {
		add_dirty(&window->news, &draw->box);
	} else {
		for (uint32_t i = 0; i < region_count(&draw->clip); i++) {
			struct rect clip = region_rect(&draw->clip, i);
			struct rect part = rect_intersect(&clip, &draw->box);
			add_dirty(&window->news, &part);
		}
	}
	if (!region_empty(&window->news.dirty))
		window_wake_locked(window);
	pthread_mutex_unlock(&window->lock);
}

static void on_dirty(struct display_sink *sink, uint32_t id, const struct rect *area)
{
	struct window *window = of_sink(sink);
	if (id != DISPLAY_PRIMARY)
		return;
	pthread_mutex_lock(&window->lock);
	add_dirty(&window->news, area);
	if (!region_empty(&window->news.dirty))
		window_wake_locked(window);
	pthread_mutex_unlock(&window->lock);
}

static void on_cursor(struct display_sink *sink, const struct cursor_state *state)
{
	struct window *window = of_sink(sink);
	struct cursor_state *kept = &window->news.cursor;
	pthread_mutex_lock(&window->lock);
	struct cursor_shape *old = kept->shape;
	*kept = *state;
	if (state->shape)
		cursor_shape_ref(state->shape);
	window->news.cursor_changed = true;
	window_wake_locked(window);
	pthread_mutex_unlock(&window->lock);
	cursor_shape_unref(old);
}

static const struct display_sink_ops sink_ops = {
	.surface_create = on_surface_create,
	.surface_destroy = on_surface_destroy,
	.draw = on_draw,
	.dirty = on_dirty,
	.cursor = on_cursor,
};

static void set_input(struct window *window, bool has_input, bool absolute)
{
	pthread_mutex_lock(&window->lock);
	window->news.input_changed = true;
	window->news.has_input = has_input;
	window->news.absolute = absolute;
	window_wake_locked(window);
	pthread_mutex_unlock(&window->lock);
}

static void on_absolute(struct input_listener *listener, bool available)
{
	set_input(container_of(listener, struct window, listener), true, available);
}

void window_sink_init(struct window *window)
{
	window->sink.ops = &sink_ops;
	window->listener.absolute = on_absolute;
}

static void set_attached(struct window *window, bool attached)
{
	pthread_mutex_lock(&window->attach_lock);
	window->attached = attached;
	pthread_mutex_unlock(&window->attach_lock);
}

static void drop_input(struct window *window)
{
	if (window->input)
		input_sink_unlisten(window->input, &window->listener);
	window->input = NULL;
	input_queue_connect(window->queue, NULL);
}

int window_attach(struct window *window, struct input_sink *input)
{
	if (!window->attached) {
		int status = display_attach(window->display, &window->sink);
		if (status < 0)
			return status;
		set_attached(window, true);
	}
	drop_input(window);
	if (input) {
		window->input = input;
		input_sink_listen(input, &window->listener);
		input_queue_connect(window->queue, input);
	}
	set_input(window, input, input && input->absolute);
	return 0;
}

void window_detach(struct window *window)
{
	drop_input(window);
	set_input(window, false, false);
	if (!window->attached)
		return;
	display_detach(window->display, &window->sink);
	set_attached(window, false);
}

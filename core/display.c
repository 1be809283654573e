/* SPDX-License-Identifier: MIT */
/* The display hub: surfaces, the drawings not rendered yet, and who is told of both. */
#include "core/display.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/canvas.h"
#include "core/util.h"

#define MAX_SINKS 64
#define MAX_HEADS 16
/* More than this is rendered rather than kept: it bounds memory, and what a reader waits for. */
#define PENDING_MAX_DRAWS 4096
#define PENDING_MAX_BYTES (64u << 20)
/* How far back a new drawing looks for older ones that it hides. */
#define HIDE_LOOK_BACK 64

struct pending {
	struct draw *draw;
	size_t bytes;
	struct pending *prev, *next;
};

struct display {
	struct display_sink base;
	struct display_sink *sinks[MAX_SINKS]; /* with holes: a sink may detach within a call */
	struct cursor_state cursor;
	struct rect heads[MAX_HEADS];
	uint32_t head_count;
	pthread_mutex_t lock; /* guards what follows, and the surfaces' pixels */
	struct surface *surfaces[DISPLAY_MAX_SURFACES];
	struct pending *first, *last;
	uint32_t pending_draws;
	size_t pending_bytes;
};

static struct display *of_sink(struct display_sink *sink)
{
	return container_of(sink, struct display, base);
}

/* ---- pending drawings; all with the lock held ---- */

static void pending_drop(struct display *display, struct pending *p)
{
	if (p->prev)
		p->prev->next = p->next;
	else
		display->first = p->next;
	if (p->next)
		p->next->prev = p->prev;
	else
		display->last = p->prev;
	display->pending_draws--;
	display->pending_bytes -= p->bytes;
	draw_unref(p->draw);
	free(p);
}

static struct surface *lookup_surface(void *opaque, uint32_t id)
{
	struct display *display = opaque;

	return id < DISPLAY_MAX_SURFACES ? display->surfaces[id] : NULL;
}

static void render(struct display *display, const struct draw *draw)
{
	struct surface *target = lookup_surface(display, draw->surface_id);

	if (target)
		canvas_draw(target, draw, lookup_surface, display);
}

static void render_pending(struct display *display)
{
	while (display->first) {
		render(display, display->first->draw);
		pending_drop(display, display->first);
	}
}

static bool hides(const struct draw *newer, const struct draw *older)
{
	if (older->surface_id != newer->surface_id || !rect_contains(&newer->box, &older->box))
		return false;
	return !newer->clipped || region_contains_rect(&newer->clip, &older->box);
}

/* Drops what `draw` paints over before anybody saw it: back to the last drawing that reads the
 * surface. */
static void drop_hidden(struct display *display, const struct draw *draw)
{
	struct pending *prev;
	int looks = HIDE_LOOK_BACK;

	if (!draw_is_opaque(draw))
		return;
	for (struct pending *p = display->last; p && looks-- > 0; p = prev) {
		prev = p->prev;
		if (hides(draw, p->draw))
			pending_drop(display, p);
		else if (draw_reads_surface(p->draw, draw->surface_id))
			break;
	}
}

static void keep_or_render(struct display *display, struct draw *draw)
{
	struct pending *p;

	drop_hidden(display, draw);
	p = malloc(sizeof(*p));
	if (!p) {
		render_pending(display);
		render(display, draw);
		return;
	}
	*p = (struct pending){
		.draw = draw_ref(draw), .bytes = draw_memory(draw), .prev = display->last
	};
	if (display->last)
		display->last->next = p;
	else
		display->first = p;
	display->last = p;
	display->pending_draws++;
	display->pending_bytes += p->bytes;
	if (display->pending_draws > PENDING_MAX_DRAWS ||
		display->pending_bytes > PENDING_MAX_BYTES)
		render_pending(display);
}

/* Before a surface goes: what reads it is rendered, what only draws on it is dropped. */
static void settle_surface(struct display *display, uint32_t id)
{
	struct pending *next;

	for (struct pending *p = display->first; p; p = p->next) {
		if (p->draw->surface_id != id && draw_reads_surface(p->draw, id)) {
			render_pending(display);
			return;
		}
	}
	for (struct pending *p = display->first; p; p = next) {
		next = p->next;
		if (p->draw->surface_id == id)
			pending_drop(display, p);
	}
}

/* ---- what the source feeds ---- */

#define FOR_EACH_SINK(display, op, ...)                                    \
	for (uint32_t i_ = 0; i_ < MAX_SINKS; i_++)                        \
		if ((display)->sinks[i_] && (display)->sinks[i_]->ops->op) \
	(display)->sinks[i_]->ops->op((display)->sinks[i_], __VA_ARGS__)

static void replace_surface(struct display *display, uint32_t id, struct surface *surface)
{
	struct surface *old;

	pthread_mutex_lock(&display->lock);
	old = display->surfaces[id];
	if (old)
		settle_surface(display, id);
	display->surfaces[id] = surface ? surface_ref(surface) : NULL;
	pthread_mutex_unlock(&display->lock);
	surface_unref(old);
}

static void hub_surface_create(struct display_sink *sink, uint32_t id, struct surface *surface)
{
	struct display *display = of_sink(sink);

	if (id >= DISPLAY_MAX_SURFACES)
		return;
	replace_surface(display, id, surface);
	FOR_EACH_SINK(display, surface_create, id, surface);
}

static void hub_surface_destroy(struct display_sink *sink, uint32_t id)
{
	struct display *display = of_sink(sink);

	if (id >= DISPLAY_MAX_SURFACES || !display->surfaces[id])
		return;
	FOR_EACH_SINK(display, surface_destroy, id);
	replace_surface(display, id, NULL);
}

static void hub_draw(struct display_sink *sink, struct draw *draw)
{
	struct display *display = of_sink(sink);

	if (!lookup_surface(display, draw->surface_id))
		return;
	pthread_mutex_lock(&display->lock);
	keep_or_render(display, draw);
	pthread_mutex_unlock(&display->lock);
	FOR_EACH_SINK(display, draw, draw);
}

static void hub_dirty(struct display_sink *sink, uint32_t id, const struct rect *area)
{
	struct display *display = of_sink(sink);

	if (lookup_surface(display, id))
		FOR_EACH_SINK(display, dirty, id, area);
}

static void hub_cursor(struct display_sink *sink, const struct cursor_state *state)
{
	struct display *display = of_sink(sink);
	struct cursor_shape *old = display->cursor.shape;

	display->cursor = *state;
	if (state->shape)
		cursor_shape_ref(state->shape);
	cursor_shape_unref(old);
	FOR_EACH_SINK(display, cursor, &display->cursor);
}

static void hub_update_area(struct display_sink *sink, uint32_t id, const struct rect *area)
{
	struct display *display = of_sink(sink);

	display_lock(display);
	display_sync(display, id, area);
	display_unlock(display);
}

static void hub_monitors(struct display_sink *sink, const struct rect *heads, uint32_t count)
{
	struct display *display = of_sink(sink);

	display->head_count = MIN(count, (uint32_t)MAX_HEADS);
	memcpy(display->heads, heads, display->head_count * sizeof(*heads));
	FOR_EACH_SINK(display, monitors, display->heads, display->head_count);
}

static const struct display_sink_ops hub_ops = {
	.surface_create = hub_surface_create,
	.surface_destroy = hub_surface_destroy,
	.draw = hub_draw,
	.dirty = hub_dirty,
	.cursor = hub_cursor,
	.update_area = hub_update_area,
	.monitors = hub_monitors,
};

/* ---- public ---- */

int display_create(struct display **out)
{
	struct display *display = calloc(1, sizeof(*display));

	if (!display)
		return -ENOMEM;
	display->base.ops = &hub_ops;
	pthread_mutex_init(&display->lock, NULL);
	*out = display;
	return 0;
}

void display_destroy(struct display *display)
{
	if (!display)
		return;
	while (display->first)
		pending_drop(display, display->first);
	for (uint32_t id = 0; id < DISPLAY_MAX_SURFACES; id++)
		surface_unref(display->surfaces[id]);
	cursor_shape_unref(display->cursor.shape);
	pthread_mutex_destroy(&display->lock);
	free(display);
}

struct display_sink *display_sink(struct display *display)
{
	return &display->base;
}

int display_attach(struct display *display, struct display_sink *sink)
{
	uint32_t at = 0;

	while (at < MAX_SINKS && display->sinks[at])
		at++;
	if (at == MAX_SINKS)
		return -ENOSPC;
	display->sinks[at] = sink;
	for (uint32_t id = 0; id < DISPLAY_MAX_SURFACES; id++)
		if (display->surfaces[id] && sink->ops->surface_create)
			sink->ops->surface_create(sink, id, display->surfaces[id]);
	if (display->head_count && sink->ops->monitors)
		sink->ops->monitors(sink, display->heads, display->head_count);
	if (sink->ops->cursor)
		sink->ops->cursor(sink, &display->cursor);
	return 0;
}

void display_detach(struct display *display, struct display_sink *sink)
{
	for (uint32_t i = 0; i < MAX_SINKS; i++)
		if (display->sinks[i] == sink)
			display->sinks[i] = NULL;
}

void display_lock(struct display *display)
{
	pthread_mutex_lock(&display->lock);
}

void display_unlock(struct display *display)
{
	pthread_mutex_unlock(&display->lock);
}

struct surface *display_sync(struct display *display, uint32_t id, const struct rect *area)
{
	struct surface *surface = lookup_surface(display, id);

	for (struct pending *p = display->first; surface && p; p = p->next) {
		struct rect common = area ? rect_intersect(&p->draw->box, area) : p->draw->box;

		if (p->draw->surface_id == id && !rect_empty(&common)) {
			render_pending(display);
			break;
		}
	}
	return surface;
}

int display_snapshot(
	struct display *display, uint32_t id, const struct rect *area, struct image **out)
{
	struct surface *surface;
	struct rect all, part;
	int err = -ENOENT;

	display_lock(display);
	surface = display_sync(display, id, area);
	if (surface) {
		all = surface_bounds(surface);
		part = area ? rect_intersect(area, &all) : all;
		err = image_from_surface(out, surface, &part);
	}
	display_unlock(display);
	return err;
}

/* ---- rows without a copy ---- */

/* Takes the rows that the drawing brings. False: it drew on some in another way. */
static bool take_rows(struct pixel_rows *rows, const struct surface *surface,
	const struct rect *area, const struct draw *draw, uint32_t *missing)
{
	struct rect common = rect_intersect(&draw->box, area);
	const struct image *image;
	struct point origin;
	bool fits, used = false;

	if (rect_empty(&common))
		return true;
	fits = canvas_copies_picture(surface, draw, &origin) && common.left == area->left &&
		common.right == area->right &&
		(!draw->clipped || region_contains_rect(&draw->clip, &common));
	image = fits ? draw->copy.source.image : NULL;
	for (int32_t y = common.top; y < common.bottom; y++) {
		const uint8_t **row = &rows->rows[y - area->top];

		if (*row)
			continue;
		if (!fits)
			return false;
		*row = image->data + (size_t)image->stride * (size_t)(y + origin.y) +
			4 * (size_t)(area->left + origin.x);
		used = true;
		--*missing;
	}
	if (used)
		rows->images[rows->image_count++] = image_ref(draw->copy.source.image);
	return true;
}

/* Those that nothing waits for. */
static int copy_rows(struct pixel_rows *rows, const struct surface *surface,
	const struct rect *area, uint32_t missing)
{
	struct image *image;
	uint32_t at = 0;
	int err = image_create(&image, IMAGE_XRGB8888, rows->width, missing);

	if (err)
		return err;
	rows->images[rows->image_count++] = image;
	for (uint32_t y = 0; y < rows->height; y++) {
		uint8_t *to = image->data + (size_t)image->stride * at;

		if (rows->rows[y])
			continue;
		memcpy(to, surface_row(surface, (uint32_t)area->top + y) + 4 * (size_t)area->left,
			4 * (size_t)rows->width);
		rows->rows[y] = to;
		at++;
	}
	return 0;
}

/* With the lock held; the newest drawings first. -EAGAIN: they have to be rendered. */
static int gather_rows(
	struct display *display, uint32_t id, const struct rect *area, struct pixel_rows *rows)
{
	const struct surface *surface = lookup_surface(display, id);
	uint32_t missing = rows->height, looks = HIDE_LOOK_BACK;

	if (surface_format_bits(surface->format) != 32)
		return -EAGAIN;
	for (struct pending *p = display->last; p && missing; p = p->prev) {
		if (looks-- == 0)
			return -EAGAIN;
		if (p->draw->surface_id == id && !take_rows(rows, surface, area, p->draw, &missing))
			return -EAGAIN;
	}
	return missing ? copy_rows(rows, surface, area, missing) : 0;
}

static int snapshot_rows(
	struct display *display, uint32_t id, const struct rect *area, struct pixel_rows *rows)
{
	struct image *image;
	int err = image_from_surface(&image, display_sync(display, id, area), area);

	if (err)
		return err;
	for (uint32_t i = 0; i < rows->image_count; i++)
		image_unref(rows->images[i]);
	rows->images[0] = image;
	rows->image_count = 1;
	for (uint32_t y = 0; y < rows->height; y++)
		rows->rows[y] = image->data + (size_t)image->stride * y;
	return 0;
}

int display_rows(
	struct display *display, uint32_t id, const struct rect *area, struct pixel_rows **out)
{
	struct pixel_rows *rows;
	int err = pixel_rows_create(&rows, (uint32_t)rect_width(area), (uint32_t)rect_height(area));
	struct surface *surface;
	struct rect all;

	if (err)
		return err;
	display_lock(display);
	surface = lookup_surface(display, id);
	if (surface)
		all = surface_bounds(surface);
	if (!surface || !rect_contains(&all, area))
		err = -ENOENT;
	else
		err = gather_rows(display, id, area, rows);
	if (err == -EAGAIN)
		err = snapshot_rows(display, id, area, rows);
	display_unlock(display);
	if (err)
		pixel_rows_unref(rows);
	else
		*out = rows;
	return err;
}

const struct cursor_state *display_cursor(struct display *display)
{
	return &display->cursor;
}

/* SPDX-License-Identifier: MIT */
/*
 * Strokes: lines one pixel wide, which touch the same pixels whichever end they begin at, by the
 * rules of X's zero-width lines. The last pixel of each line is left to the next one.
 */
#include <stdlib.h>

#include "core/canvas_internal.h"
#include "core/util.h"

/* Points of a path once its curves are lines. */
#define LINE_POINTS_MAX 65536
#define CURVE_DEPTH_MAX 24
/* Pixels walked and rectangles of the clip looked at, beyond which a hostile stroke is cut short:
 * far more than any picture needs. */
#define WORK_MAX (1 << 27)

struct stroke {
	struct canvas *canvas;
	struct feed feed;
	struct rect extents; /* of the region */
	struct point *points; /* of the line under way */
	uint32_t count, room;
	uint32_t total;
	int64_t work;
	/* Where in the dashes the line is. */
	uint32_t dash;
	int32_t dash_left; /* pixels */
};

static int32_t pixel_of(int32_t fixed)
{
	return (fixed >> 4) + ((fixed & 15) > 8);
}

static void add_point(struct stroke *stroke, int32_t x, int32_t y)
{
	struct point *points;

	if (stroke->total == LINE_POINTS_MAX)
		return;
	if (stroke->count == stroke->room) {
		points = realloc(stroke->points, 2 * (stroke->room + 8) * sizeof(*points));
		if (!points)
			return;
		stroke->points = points;
		stroke->room = 2 * (stroke->room + 8);
	}
	stroke->points[stroke->count++] = (struct point){ x, y };
	stroke->total++;
}

/* ---- one line ---- */

/* A line by its longer side: at step i it has gone i pixels along that and `short_at(i)` along the
 * other. */
struct slope {
	int64_t longer, shorter; /* pixels; longer >= shorter >= 0 */
	int64_t bias; /* which pixel is taken halfway between two, so that both directions agree */
};

static int64_t short_at(const struct slope *slope, int64_t i)
{
	return (2 * i * slope->shorter + slope->longer - slope->bias) / (2 * slope->longer);
}

/* The steps [*first, *last) whose coordinate from + i * sign lies in [low, high). */
static void limit_steps(
	int32_t from, int32_t sign, int32_t low, int32_t high, int64_t *first, int64_t *last)
{
	int64_t a = sign > 0 ? (int64_t)low - from : (int64_t)from - high + 1;
	int64_t b = sign > 0 ? (int64_t)high - from : (int64_t)from - low + 1;

	*first = MAX(*first, a);
	*last = MIN(*last, b);
}

static void draw_span(struct stroke *stroke, int32_t x, int32_t y, int32_t width, int32_t height)
{
	struct rect r = rect_make(x, y, width, height);

	stroke->work += canvas_draw_feed_rect(
		stroke->canvas, &stroke->feed, &stroke->canvas->draw->stroke.rop, &r);
	stroke->work += 8 + (int64_t)width * height;
}

/* Steps [first, last) of the line from `a`. Steps that share the shorter coordinate are one span. */
static void draw_steps(struct stroke *stroke, const struct point *a, const struct slope *slope,
	bool steep, int32_t sx, int32_t sy, int64_t first, int64_t last)
{
	while (first < last && stroke->work < WORK_MAX) {
		int64_t across = short_at(slope, first), end = first + 1;
		int32_t n, x, y;

		while (end < last && short_at(slope, end) == across)
			end++;
		n = (int32_t)(end - first);
		if (steep) {
			x = a->x + sx * (int32_t)across;
			y = a->y + sy * (int32_t)first;
			draw_span(stroke, x, sy > 0 ? y : y - n + 1, 1, n);
		} else {
			x = a->x + sx * (int32_t)first;
			y = a->y + sy * (int32_t)across;
			draw_span(stroke, sx > 0 ? x : x - n + 1, y, n, 1);
		}
		first = end;
	}
}

/* Without its last point. */
static void draw_line(struct stroke *stroke, const struct point *a, const struct point *b)
{
	const struct rect *e = &stroke->extents;
	int64_t dx = llabs((int64_t)b->x - a->x), dy = llabs((int64_t)b->y - a->y);
	int32_t sx = b->x < a->x ? -1 : 1, sy = b->y < a->y ? -1 : 1;
	bool steep = dx <= dy;
	struct slope slope = { .longer = steep ? dy : dx,
		.shorter = steep ? dx : dy,
		.bias = steep ? sy < 0 : sx < 0 };
	int64_t first = 0, last = slope.longer;

	if (steep)
		limit_steps(a->y, sy, e->top, e->bottom, &first, &last);
	else
		limit_steps(a->x, sx, e->left, e->right, &first, &last);
	draw_steps(stroke, a, &slope, steep, sx, sy, first, last);
}

/* ---- dashes ---- */

/* Those with even numbers are drawn. A line that starts with a gap begins with number 1 of the list
 * turned by one, as libspice's canvas has it. */
static int32_t dash_length(const struct draw *draw, uint32_t i)
{
	uint32_t at = draw->stroke.start_with_gap ? (i + 1) % draw->stroke.dash_count : i;

	return pixel_of(draw->stroke.dashes[at]) & 0xff;
}

static void next_dash(struct stroke *stroke)
{
	const struct draw *draw = stroke->canvas->draw;

	stroke->dash = (stroke->dash + 1) % draw->stroke.dash_count;
	stroke->dash_left = dash_length(draw, stroke->dash);
}

/* Every pixel is a step of a dash, whatever the slope. */
static void draw_dashed_line(struct stroke *stroke, const struct point *a, const struct point *b)
{
	int64_t dx = llabs((int64_t)b->x - a->x), dy = llabs((int64_t)b->y - a->y);
	int32_t sx = b->x < a->x ? -1 : 1, sy = b->y < a->y ? -1 : 1;
	bool steep = dx <= dy;
	const struct rect *e = &stroke->extents;
	struct slope slope = { .longer = steep ? dy : dx,
		.shorter = steep ? dx : dy,
		.bias = steep ? sy < 0 : sx < 0 };

	for (int64_t at = 0; at < slope.longer && stroke->work < WORK_MAX;) {
		int64_t n = MIN((int64_t)stroke->dash_left, slope.longer - at);
		int64_t first = at, last = at + n;
		bool gap = stroke->dash & 1;

		if (steep)
			limit_steps(a->y, sy, e->top, e->bottom, &first, &last);
		else
			limit_steps(a->x, sx, e->left, e->right, &first, &last);
		if (!gap)
			draw_steps(stroke, a, &slope, steep, sx, sy, first, last);
		stroke->work++;
		at += n;
		stroke->dash_left -= (int32_t)n;
		if (stroke->dash_left == 0)
			next_dash(stroke);
	}
}

/* ---- paths ---- */

static void draw_lines(struct stroke *stroke)
{
	const struct draw *draw = stroke->canvas->draw;

	if (draw->stroke.dash_count) {
		stroke->dash = draw->stroke.start_with_gap ? 0 : draw->stroke.dash_count - 1u;
		next_dash(stroke);
	}
	for (uint32_t i = 1; i < stroke->count; i++) {
		if (draw->stroke.dash_count)
			draw_dashed_line(stroke, &stroke->points[i - 1], &stroke->points[i]);
		else
			draw_line(stroke, &stroke->points[i - 1], &stroke->points[i]);
	}
	stroke->count = 0;
}

static int64_t dot(const struct path_point *from_a, const struct path_point *a,
	const struct path_point *from_b, const struct path_point *b)
{
	int64_t ax = (int64_t)a->x - from_a->x, ay = (int64_t)a->y - from_a->y;
	int64_t bx = (int64_t)b->x - from_b->x, by = (int64_t)b->y - from_b->y;

	return (ax * bx + ay * by) >> 4;
}

/* Whether a point of control lies within half a pixel of the chord. */
static bool is_flat(const struct path_point *from, const struct path_point *control,
	const struct path_point *to)
{
	/* Products of four coordinates. */
	__int128 reach = dot(from, control, from, control);
	__int128 chord = dot(from, to, from, to);
	__int128 along = dot(from, control, from, to);

	return (reach * chord - along * along) >> 3 < chord;
}

static struct path_point middle(const struct path_point *a, const struct path_point *b)
{
	return (struct path_point){ (int32_t)(((int64_t)a->x + b->x) / 2),
		(int32_t)(((int64_t)a->y + b->y) / 2) };
}

static void add_curve(struct stroke *stroke, const struct path_point p[4], unsigned depth)
{
	struct path_point left[4], right[4], center;

	if (depth == CURVE_DEPTH_MAX || stroke->total == LINE_POINTS_MAX ||
		(is_flat(&p[0], &p[1], &p[3]) && is_flat(&p[3], &p[2], &p[0]))) {
		add_point(stroke, pixel_of(p[3].x), pixel_of(p[3].y));
		return;
	}
	center = middle(&p[1], &p[2]);
	left[0] = p[0];
	left[1] = middle(&p[0], &p[1]);
	left[2] = middle(&left[1], &center);
	right[3] = p[3];
	right[2] = middle(&p[2], &p[3]);
	right[1] = middle(&center, &right[2]);
	left[3] = right[0] = middle(&left[2], &right[1]);
	add_curve(stroke, left, depth + 1);
	add_curve(stroke, right, depth + 1);
}

static void add_curves(struct stroke *stroke, const struct path_point *points, uint32_t count)
{
	struct path_point p[4];

	for (uint32_t i = 0; i + 2 < count && stroke->count > 0; i += 3) {
		const struct point *last = &stroke->points[stroke->count - 1];

		p[0] = (struct path_point){ last->x * 16, last->y * 16 };
		p[1] = points[i];
		p[2] = points[i + 1];
		p[3] = points[i + 2];
		add_curve(stroke, p, 0);
	}
}

static void draw_segment(struct stroke *stroke, const struct path_segment *segment)
{
	const struct path_point *points = stroke->canvas->draw->stroke.path.points + segment->first;
	uint32_t count = segment->count;

	if (segment->flags & PATH_BEGIN) {
		draw_lines(stroke);
		if (count > 0) {
			add_point(stroke, pixel_of(points->x), pixel_of(points->y));
			points++;
			count--;
		}
	}
	if (segment->flags & PATH_BEZIER)
		add_curves(stroke, points, count);
	else
		for (uint32_t i = 0; i < count; i++)
			add_point(stroke, pixel_of(points[i].x), pixel_of(points[i].y));
	if (segment->flags & PATH_END) {
		if (segment->flags & PATH_CLOSE && stroke->count > 0)
			add_point(stroke, stroke->points[0].x, stroke->points[0].y);
		draw_lines(stroke);
	}
}

static bool path_in_reach(const struct draw_path *path)
{
	const int32_t most = 1 << 26;

	for (uint32_t i = 0; i < path->point_count; i++)
		if (path->points[i].x < -most || path->points[i].x > most ||
			path->points[i].y < -most || path->points[i].y > most)
			return false;
	return true;
}

static bool dashes_valid(const struct draw *draw)
{
	int32_t sum = 0;

	for (uint32_t i = 0; i < draw->stroke.dash_count; i++)
		sum += dash_length(draw, i);
	return draw->stroke.dash_count == 0 || sum > 0;
}

void canvas_draw_stroke(struct canvas *canvas)
{
	const struct draw_path *path = &canvas->draw->stroke.path;
	struct stroke stroke = { .canvas = canvas, .extents = region_extents(&canvas->region) };

	if (!path_in_reach(path) || !dashes_valid(canvas->draw) ||
		!feed_open_brush(&stroke.feed, canvas, &canvas->draw->stroke.brush))
		return;
	for (uint32_t i = 0; i < path->segment_count; i++)
		draw_segment(&stroke, &path->segments[i]);
	draw_lines(&stroke);
	feed_finish(&stroke.feed);
	free(stroke.points);
}

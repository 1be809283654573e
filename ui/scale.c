/* SPDX-License-Identifier: MIT */
/* Scaling of pixels. */
#include "ui/scale.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"

static inline uint32_t *pixel_at(const struct surface *s, int32_t x, int32_t y)
{
	return (uint32_t *)(void *)surface_row(s, (uint32_t)y) + x;
}

static inline void row_repeat(
	uint32_t *to, const uint32_t *from, int32_t first, int32_t count, int32_t factor)
{
	/* `first`: how many of the first source pixel's copies lie left of the area. */
	int32_t done = 0;
	for (int32_t i = 0; done < count; i++) {
		int32_t copies = MIN(factor - first, count - done);
		for (int32_t k = 0; k < copies; k++)
			to[done + k] = from[i];
		done += copies;
		first = 0;
	}
}

static void paint_integral(const struct surface *to, const struct view *view,
	const struct surface *from, const struct rect *area)
{
	int32_t factor = (int32_t)view->factor, width = rect_width(area);
	int32_t x = area->left - view->place.left;
	size_t bytes = (size_t)width * 4;
	int32_t painted = -1;
	for (int32_t row = area->top; row < area->bottom; row++) {
		int32_t y = (row - view->place.top) / factor;
		uint32_t *out = pixel_at(to, area->left, row);
		const uint32_t *in = pixel_at(from, x / factor, y);
		if (y == painted)
			memcpy(out, pixel_at(to, area->left, row - 1), bytes);
		else if (factor == 1)
			memcpy(out, in, bytes);
		else
			row_repeat(out, in, x % factor, width, factor);
		painted = y;
	}
}

static int paint_bilinear(const struct surface *to, const struct view *view,
	const struct surface *from, const struct rect *area)
{
	int status = -ENOMEM;
	pixman_transform_t transform;
	pixman_image_t *in, *out;
	in = pixman_image_create_bits_no_clear(PIXMAN_x8r8g8b8, (int)from->width, (int)from->height,
		(uint32_t *)(void *)from->data, from->stride);
	out = pixman_image_create_bits_no_clear(PIXMAN_x8r8g8b8, (int)to->width, (int)to->height,
		(uint32_t *)(void *)to->data, to->stride);
	if (!in || !out)
		goto done;
	pixman_transform_init_scale(&transform,
		pixman_double_to_fixed((double)view->guest_width / rect_width(&view->place)),
		pixman_double_to_fixed((double)view->guest_height / rect_height(&view->place)));
	if (!pixman_image_set_transform(in, &transform) ||
		!pixman_image_set_filter(in, PIXMAN_FILTER_BILINEAR, NULL, 0))
		goto done;
	pixman_image_set_repeat(in, PIXMAN_REPEAT_PAD);
	pixman_image_composite32(PIXMAN_OP_SRC, in, NULL, out, area->left - view->place.left,
		area->top - view->place.top, 0, 0, area->left, area->top, rect_width(area),
		rect_height(area));
	status = 0;
done:
	if (in)
		pixman_image_unref(in);
	if (out)
		pixman_image_unref(out);
	return status;
}

/* The source pixels [first, last] that an output pixel covers, and how much of the outer ones. */
struct span {
	int32_t first;
	int32_t last;
	float first_part;
	float last_part;
};

static struct span span_of(int32_t position, double step, uint32_t limit)
{
	double begin = position * step, end = (position + 1) * step;
	struct span span = { .first = (int32_t)begin, .last = (int32_t)ceil(end) - 1 };
	span.last = MIN(span.last, (int32_t)limit - 1);
	span.first = MIN(span.first, span.last);
	span.first_part = (float)(MIN(span.first + 1.0, end) - begin);
	span.last_part = (float)(end - span.last);
	return span;
}

static float span_weight(const struct span *span, int32_t i)
{
	return i == span->first ? span->first_part : i == span->last ? span->last_part : 1.0f;
}

static void row_sum(float *sums, const uint32_t *row, int32_t count, float weight)
{
	for (int32_t i = 0; i < count; i++) {
		sums[3 * i] += weight * (float)((row[i] >> 16) & 0xff);
		sums[3 * i + 1] += weight * (float)((row[i] >> 8) & 0xff);
		sums[3 * i + 2] += weight * (float)(row[i] & 0xff);
	}
}

static uint32_t span_average(const float *sums, const struct span *span, int32_t left, float scale)
{
	float red = 0.5f, green = 0.5f, blue = 0.5f;
	for (int32_t i = span->first; i <= span->last; i++) {
		float weight = span_weight(span, i) * scale;
		const float *sum = sums + 3 * (size_t)(i - left);
		red += weight * sum[0];
		green += weight * sum[1];
		blue += weight * sum[2];
	}
	return MIN((uint32_t)red, 255u) << 16 | MIN((uint32_t)green, 255u) << 8 |
		MIN((uint32_t)blue, 255u);
}

static int paint_average(const struct surface *to, const struct view *view,
	const struct surface *from, const struct rect *area)
{
	double step_x = (double)view->guest_width / rect_width(&view->place);
	double step_y = (double)view->guest_height / rect_height(&view->place);
	int32_t left = span_of(area->left - view->place.left, step_x, from->width).first;
	int32_t right = span_of(area->right - 1 - view->place.left, step_x, from->width).last + 1;
	float *sums = malloc((size_t)(right - left) * 3 * sizeof(*sums));
	if (!sums)
		return -ENOMEM;
	for (int32_t row = area->top; row < area->bottom; row++) {
		struct span rows = span_of(row - view->place.top, step_y, from->height);
		memset(sums, 0, (size_t)(right - left) * 3 * sizeof(*sums));
		for (int32_t y = rows.first; y <= rows.last; y++)
			row_sum(sums, pixel_at(from, left, y), right - left, span_weight(&rows, y));
		uint32_t *out = pixel_at(to, area->left, row);
		for (int32_t x = area->left; x < area->right; x++) {
			struct span columns = span_of(x - view->place.left, step_x, from->width);
			*out++ = span_average(
				sums, &columns, left, (float)(1.0 / (step_x * step_y)));
		}
	}
	free(sums);
	return 0;
}

int scale_paint(const struct surface *to, const struct view *view, const struct surface *from,
	const struct rect *area)
{
	struct rect part = rect_intersect(area, &view->place);
	if (rect_empty(&part))
		return 0;
	if (view->factor) {
		paint_integral(to, view, from, &part);
		return 0;
	}
	if ((uint32_t)rect_width(&view->place) < view->guest_width)
		return paint_average(to, view, from, &part);
	return paint_bilinear(to, view, from, &part);
}

/* SPDX-License-Identifier: MIT */
/* Pixels that never change again, row by row, wherever the rows lie. */
#ifndef CORE_PIXEL_ROWS_H
#define CORE_PIXEL_ROWS_H

#include "core/surface.h"

/* Images of which rows are taken, at most. */
#define PIXEL_ROWS_IMAGES 65

struct pixel_rows {
	int refs; /* atomic */
	uint32_t width, height;
	const uint8_t **rows; /* bytes B, G, R and one without meaning */
	struct image *images[PIXEL_ROWS_IMAGES]; /* that they lie in; the references are ours */
	uint32_t image_count;
};

/* The rows are NULL, for their maker to set. -ENOMEM. */
int pixel_rows_create(struct pixel_rows **out, uint32_t width, uint32_t height);
struct pixel_rows *pixel_rows_ref(struct pixel_rows *rows);
void pixel_rows_unref(struct pixel_rows *rows); /* NULL is ignored */

#endif

/* SPDX-License-Identifier: MIT */
/* Rows of pixels: their lifetime. */
#include "core/pixel_rows.h"

#include <errno.h>
#include <stdlib.h>

int pixel_rows_create(struct pixel_rows **out, uint32_t width, uint32_t height)
{
	struct pixel_rows *rows = calloc(1, sizeof(*rows));

	if (!rows)
		return -ENOMEM;
	*rows = (struct pixel_rows){ .refs = 1, .width = width, .height = height };
	rows->rows = calloc(height, sizeof(*rows->rows));
	if (!rows->rows) {
		free(rows);
		return -ENOMEM;
	}
	*out = rows;
	return 0;
}

struct pixel_rows *pixel_rows_ref(struct pixel_rows *rows)
{
	__atomic_add_fetch(&rows->refs, 1, __ATOMIC_RELAXED);
	return rows;
}

void pixel_rows_unref(struct pixel_rows *rows)
{
	if (!rows || __atomic_sub_fetch(&rows->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (uint32_t i = 0; i < rows->image_count; i++)
		image_unref(rows->images[i]);
	free(rows->rows);
	free(rows);
}

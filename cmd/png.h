/* SPDX-License-Identifier: MIT */
/* Writes pictures as PNG files. */
#ifndef CMD_PNG_H
#define CMD_PNG_H

#include "core/surface.h"

/* Writes an 8-bit RGB PNG, replacing what is there. Returns 0 or -errno; a half-written file is
 * removed. */
int png_write(const char *path, const struct image *image);

#endif

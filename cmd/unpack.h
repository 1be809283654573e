/* SPDX-License-Identifier: MIT */
/* The codecs for pictures that the guest's driver packed. */
#ifndef CMD_UNPACK_H
#define CMD_UNPACK_H

#include "qxl/qxl.h"

/* A qxl_unpack_fn. */
int unpack_image(enum qxl_packing packing, const uint8_t *data, size_t size, uint32_t width,
	uint32_t height, struct image **out);

#endif

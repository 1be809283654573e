/* SPDX-License-Identifier: MIT */
/* Ternary raster operations: any function of brush, source and destination bits. */
#ifndef CORE_ROP3_H
#define CORE_ROP3_H

#include <stdint.h>

/* Bit 4p + 2s + d of `code` is what the bits p (brush), s (source) and d (destination) make. */
static inline uint32_t rop3_word(uint8_t code, uint32_t p, uint32_t s, uint32_t d)
{
	uint32_t result = 0;

	for (unsigned i = 0; i < 8; i++)
		if (code >> i & 1)
			result |= (i & 4 ? p : ~p) & (i & 2 ? s : ~s) & (i & 1 ? d : ~d);
	return result;
}

#endif

/* SPDX-License-Identifier: MIT */
/* What LZ's encoder and decoder share. */
#ifndef CODECS_LZ_FORMAT_H
#define CODECS_LZ_FORMAT_H

#include "codecs/lz.h"

#define LZ_MAGIC        0x20205a4cu /* the header is big-endian: "  ZL" */
#define LZ_VERSION      0x00010001u
#define LZ_HEADER_BYTES 28

/* A control byte below this begins that many literals and one. */
#define LZ_LITERALS_MAX 32
/* Distances from this on need two bytes more; the format ends at LZ_DISTANCE_END. */
#define LZ_DISTANCE_FAR 8192
#define LZ_DISTANCE_END (65535 + 8191)

/* The streams that a picture consists of, by their unit. */
enum lz_unit { LZ_UNIT_BYTE, LZ_UNIT_RGB16, LZ_UNIT_RGB };

static inline bool lz_is_palette(enum lz_type type)
{
	return type <= LZ_PLT8;
}

/* A match of n units is written as n less this. */
static inline uint32_t lz_length_bias(enum lz_unit unit)
{
	return unit == LZ_UNIT_BYTE ? 2 : unit == LZ_UNIT_RGB16 ? 1 : 0;
}

/* Memory of a unit; RGB is decoded to, and encoded from, words of 0x00RRGGBB. */
static inline uint32_t lz_unit_bytes(enum lz_unit unit)
{
	return unit == LZ_UNIT_BYTE ? 1 : unit == LZ_UNIT_RGB16 ? 2 : 4;
}

static inline uint32_t lz_literal_bytes(enum lz_unit unit)
{
	return unit == LZ_UNIT_BYTE ? 1 : unit == LZ_UNIT_RGB16 ? 2 : 3;
}

#endif

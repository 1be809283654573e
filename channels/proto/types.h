/* SPDX-License-Identifier: MIT */
/* The kinds of fields that SPICE's messages are made of; see messages.h. */
#ifndef CHANNELS_PROTO_TYPES_H
#define CHANNELS_PROTO_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/cursor.h"
#include "core/draw.h"
#include "core/rect.h"
#include "core/surface.h"
#include "core/wire.h"

enum {
	PROTO_CHANNELS_MAX = 64,
	PROTO_HEADS_MAX = 64,
	PROTO_CLIP_RECTS_MAX = 1 << 16,
	/* Of rectangles that lie as they like: regions of such may grow with their square. */
	PROTO_CLIP_ANY_MAX = 1024,
	PROTO_PALETTE_MAX = 256,
};

/* A view of bytes in the message (parsed) or of the packer's. */
struct wire_bytes {
	const uint8_t *data;
	size_t size;
};

struct proto_uuid {
	uint8_t bytes[16];
};

struct proto_channels {
	uint32_t count;
	struct {
		uint8_t type;
		uint8_t id;
	} items[PROTO_CHANNELS_MAX];
};

struct proto_head {
	uint32_t id;
	uint32_t surface_id;
	uint32_t width;
	uint32_t height;
	uint32_t x;
	uint32_t y;
	uint32_t flags;
};

struct proto_heads {
	uint16_t count;
	uint16_t max_allowed;
	struct proto_head items[PROTO_HEADS_MAX];
};

struct proto_resource {
	uint8_t type; /* SPICE_RES_TYPE_* */
	uint64_t id;
};
struct proto_wait {
	uint8_t channel_type;
	uint8_t channel_id;
	uint64_t serial;
};

/* Lists. Parsed: proto_resource() and proto_wait() give the items. Packed: `items`. */
struct proto_resources {
	uint16_t count;
	const uint8_t *wire;
	const struct proto_resource *items; /* NULL: as in `wire` */
};
struct proto_waits {
	uint8_t count;
	const uint8_t *wire;
	const struct proto_wait *items; /* NULL: as in `wire` */
};

struct proto_resource proto_resource(const struct proto_resources *list, uint32_t i);
struct proto_wait proto_wait(const struct proto_waits *list, uint32_t i);

/* What of the box a drawing may touch: everything, or `count` rectangles. */
struct proto_clip {
	bool clipped;
	uint32_t count;
	const uint8_t *wire; /* parsed: proto_clip_region() makes a region of it */
	const struct region *region; /* packed, when clipped; NULL: as in `wire` */
};

struct proto_base {
	uint32_t surface_id;
	struct rect box;
	struct proto_clip clip;
};

/* Makes an initialised, empty region that of the clip's rectangles. 0 or -ENOMEM. */
int proto_clip_region(const struct proto_clip *clip, struct region *region);

struct proto_palette {
	bool from_cache; /* only `id` counts: an earlier one that was to be cached */
	bool cache_me; /* keep it under `id` */
	uint64_t id;
	uint16_t count; /* 0: none */
	const uint8_t *ents; /* count little-endian words */
};

struct proto_image {
	bool present;
	uint64_t id;
	uint8_t type; /* SPICE_IMAGE_TYPE_* */
	uint8_t flags; /* SPICE_IMAGE_FLAGS_* */
	uint32_t width;
	uint32_t height;
	union {
		struct {
			uint8_t format; /* SPICE_BITMAP_FMT_* */
			bool top_down;
			uint32_t width;
			uint32_t height;
			uint32_t stride;
			struct proto_palette palette;
			struct wire_bytes data; /* exactly stride * height */
		} bitmap;
		uint32_t surface_id; /* SURFACE */
		struct wire_bytes packed; /* LZ4, QUIC, LZ_RGB, GLZ_RGB, JPEG */
		struct {
			bool top_down;
			struct proto_palette palette;
			struct wire_bytes data;
		} lz_palette; /* LZ_PLT */
		struct {
			uint32_t glz_size;
			struct wire_bytes data;
		} zlib_glz; /* ZLIB_GLZ_RGB */
		struct {
			bool top_down;
			uint32_t jpeg_size;
			struct wire_bytes data;
		} jpeg_alpha; /* JPEG_ALPHA */
	};
};

struct proto_brush {
	uint8_t type; /* SPICE_BRUSH_TYPE_* */
	uint32_t color;
	struct proto_image pattern;
	struct point origin;
};

struct proto_mask {
	uint8_t flags; /* SPICE_MASK_FLAGS_* */
	struct point origin;
	struct proto_image image; /* not present: no mask */
};

/* A path. Parsed: proto_path_make() makes core's of it, its counts are checked. */
struct proto_path {
	uint32_t segment_count;
	uint32_t point_count;
	struct wire_bytes wire; /* of the segments */
	const struct draw_path *path; /* packed; NULL: as in `wire` */
};

/* `out` is zeroed; what it gets is the caller's, freed as a drawing's. 0 or -ENOMEM. */
int proto_path_make(const struct proto_path *path, struct draw_path *out);

struct proto_line {
	uint8_t flags; /* SPICE_LINE_FLAGS_* */
	uint8_t dash_count; /* with STYLED */
	const uint8_t *wire; /* parsed: proto_line_dash() */
	const int32_t *dashes; /* packed; NULL: as in `wire` */
};

/* The length of a dash, 1/16 of a pixel. */
int32_t proto_line_dash(const struct proto_line *line, uint32_t i);

/* A string of glyphs. Parsed: proto_string_make() makes core's of it. */
struct proto_string {
	uint8_t flags; /* SPICE_STRING_FLAGS_*; exactly one RASTER_A* */
	uint16_t count;
	struct wire_bytes wire; /* of the glyphs */
	const struct text_string *string; /* packed; NULL: as in `wire` */
};

/* SPICE_STRING_FLAGS_RASTER_A* for core's bits of coverage, and back (0: none such). */
uint8_t proto_string_flags(uint8_t depth);
uint8_t proto_string_depth(uint8_t flags);
/* `out` is zeroed; what it gets is the caller's, freed as a drawing's. 0 or -ENOMEM. */
int proto_string_make(const struct proto_string *string, struct text_string *out);

struct proto_composite {
	uint32_t flags; /* SPICE_COMPOSITE_*: says what of the following there is */
	struct proto_image source;
	struct proto_image mask; /* HAS_MASK */
	int32_t source_transform[2][3]; /* HAS_SRC_TRANSFORM */
	int32_t mask_transform[2][3]; /* HAS_MASK_TRANSFORM */
	struct point source_origin;
	struct point mask_origin;
};

struct proto_cursor {
	uint16_t flags; /* SPICE_CURSOR_FLAGS_*; NONE: nothing below counts */
	uint64_t unique;
	uint8_t type;
	uint16_t width;
	uint16_t height;
	uint16_t hot_x;
	uint16_t hot_y;
	struct wire_bytes data;
};

/* The C type of each kind in the table of messages.h. */
#define PROTO_TYPE_u8        uint8_t
#define PROTO_TYPE_u16       uint16_t
#define PROTO_TYPE_u32       uint32_t
#define PROTO_TYPE_u64       uint64_t
#define PROTO_TYPE_i32       int32_t
#define PROTO_TYPE_i64       int64_t
#define PROTO_TYPE_rest      struct wire_bytes /* all that is left of the message */
#define PROTO_TYPE_blob      struct wire_bytes /* after a 32-bit count */
#define PROTO_TYPE_uuid      struct proto_uuid
#define PROTO_TYPE_point     struct point
#define PROTO_TYPE_point16   struct point /* 16-bit signed on the wire */
#define PROTO_TYPE_rect      struct rect
#define PROTO_TYPE_channels  struct proto_channels
#define PROTO_TYPE_heads     struct proto_heads
#define PROTO_TYPE_resources struct proto_resources
#define PROTO_TYPE_waits     struct proto_waits
#define PROTO_TYPE_clip      struct proto_clip
#define PROTO_TYPE_base      struct proto_base
#define PROTO_TYPE_image     struct proto_image /* by a pointer, which may be null */
#define PROTO_TYPE_brush     struct proto_brush
#define PROTO_TYPE_mask      struct proto_mask
#define PROTO_TYPE_path      struct proto_path /* by a pointer */
#define PROTO_TYPE_line      struct proto_line
#define PROTO_TYPE_string    struct proto_string /* by a pointer */
#define PROTO_TYPE_composite struct proto_composite
#define PROTO_TYPE_cursor    struct proto_cursor

/* ---- the wire's numbers and core's ---- */

/* SPICE_BITMAP_FMT_* of an image format, and back (IMAGE_FORMATS: none such). */
uint8_t proto_bitmap_format(enum image_format format);
enum image_format proto_image_format(uint8_t bitmap_format);
/* SPICE_SURFACE_FMT_* of a surface's format, and back (-EINVAL: none such). */
uint32_t proto_surface_format(enum surface_format format);
int proto_surface_format_parse(uint32_t wire, enum surface_format *format);
/* What a drawing's operation joins, and so which bits say what of it is inverted. */
enum proto_rop_sides {
	PROTO_ROP_SOURCE, /* the source and the destination (COPY) */
	PROTO_ROP_BRUSH, /* the brush and the destination (FILL, STROKE, TEXT) */
	PROTO_ROP_OPAQUE, /* the brush and the source (OPAQUE) */
};
/* SPICE_ROPD_* bits. Without an operation among them the inversions do not count. */
uint16_t proto_rop(const struct rop *rop, enum proto_rop_sides sides);
struct rop proto_rop_parse(uint16_t wire, enum proto_rop_sides sides);

#endif

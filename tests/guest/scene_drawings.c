/* SPDX-License-Identifier: MIT */
/*
 * Random drawings of every type, the same for the same seed: each key press makes a batch, a grid of
 * cells with one opaque picture and two drawings upon it. Kinds go round, so that a cell's number tells
 * what is in it: drawing d (0, 1) of cell c in batch b is of kind (7 b + 2 c + d) % KINDS.
 */
#include "cpu.h"
#include "scene.h"

enum {
	CELL = 32,
	DRAWINGS = 2,
	PRIMARY = 0,
	SURFACE = 1, /* off-screen, a source */
	SURFACE_SIDE = 64,
	BLOCK_BYTES = 32 << 10, /* one drawing with all it points to */
};

/* What patterns.md names, in this order. */
enum kind {
	KIND_FILL,
	KIND_OPAQUE,
	KIND_COPY,
	KIND_BLEND,
	KIND_BLACKNESS,
	KIND_WHITENESS,
	KIND_INVERS,
	KIND_ROP3,
	KIND_STROKE,
	KIND_TEXT,
	KIND_TRANSPARENT,
	KIND_ALPHA_BLEND,
	KIND_COMPOSITE,
	KIND_COPY_BITS,
	KINDS
};

/* One drawing in the making. */
struct work {
	struct qxl *qxl;
	uint64_t *random;
	uint8_t *memory;
	uint32_t used;
	QXLDrawable *drawable;
	struct rect box;
};

static uint32_t below(struct work *w, uint32_t bound)
{
	uint64_t x = *w->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*w->random = x;
	return (uint32_t)((x >> 32) * bound >> 32);
}

static int32_t between(struct work *w, int32_t least, int32_t most)
{
	return least + (int32_t)below(w, (uint32_t)(most - least + 1));
}

static bool one_in(struct work *w, uint32_t n)
{
	return below(w, n) == 0;
}

static void *take(struct work *w, uint32_t size)
{
	void *memory = w->memory + w->used;

	w->used += (size + 7) & ~7u;
	if (w->used > BLOCK_BYTES)
		guest_panic("a drawing beyond its block");
	memset(memory, 0, size);
	return memory;
}

static void noise(struct work *w, uint8_t *bytes, uint32_t size)
{
	for (uint32_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)below(w, 256);
}

static QXLDataChunk *take_chunk(struct work *w, uint32_t size)
{
	QXLDataChunk *chunk = take(w, sizeof(*chunk) + size);

	chunk->data_size = size;
	return chunk;
}

static QXLRect to_qxl(struct rect r)
{
	return (QXLRect){
		.top = r.y, .left = r.x, .bottom = r.y + r.height, .right = r.x + r.width
	};
}

/* ---- pictures ---- */

static const struct {
	uint8_t format, bits;
	uint16_t colors;
} formats[] = {
	{ SPICE_BITMAP_FMT_1BIT_BE, 1, 2 },
	{ SPICE_BITMAP_FMT_4BIT_BE, 4, 16 },
	{ SPICE_BITMAP_FMT_8BIT, 8, 256 },
	{ SPICE_BITMAP_FMT_16BIT, 16, 0 },
	{ SPICE_BITMAP_FMT_24BIT, 24, 0 },
	{ SPICE_BITMAP_FMT_32BIT, 32, 0 },
	{ SPICE_BITMAP_FMT_RGBA, 32, 0 },
};
enum { FORMATS = ARRAY_SIZE(formats), FORMAT_32 = 5, FORMAT_RGBA = 6, FORMAT_MASK = 0 };

static QXLPHYSICAL take_palette(struct work *w, uint16_t colors)
{
	QXLPalette *palette = take(w, sizeof(*palette) + colors * 4u);

	palette->unique = ++w->qxl->unique;
	palette->num_ents = colors;
	for (uint16_t i = 0; i < colors; i++)
		palette->ents[i] = below(w, 1 << 24);
	return qxl_address(w->qxl, palette);
}

/* Colours are premultiplied, as all renderers assume. */
static void premultiply(struct work *w, uint8_t *pixels, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++, pixels += 4) {
		if (one_in(w, 3))
			pixels[3] = 255;
		for (uint32_t c = 0; c < 3; c++)
			pixels[c] = (uint8_t)(pixels[c] * pixels[3] / 255);
	}
}

static QXLImage *take_image(struct work *w, uint8_t type, int32_t width, int32_t height)
{
	QXLImage *image = take(w, sizeof(*image));

	QXL_SET_IMAGE_ID(image, QXL_IMAGE_GROUP_DRIVER_DONT_CACHE, ++w->qxl->unique);
	image->descriptor.type = type;
	image->descriptor.width = (uint32_t)width;
	image->descriptor.height = (uint32_t)height;
	return image;
}

static QXLPHYSICAL take_bitmap(
	struct work *w, uint32_t format, int32_t width, int32_t height, bool palette)
{
	uint32_t stride = ((uint32_t)width * formats[format].bits + 31) / 32 * 4;
	QXLImage *image = take_image(w, SPICE_IMAGE_TYPE_BITMAP, width, height);
	QXLDataChunk *chunk = take_chunk(w, stride * (uint32_t)height);

	noise(w, chunk->data, chunk->data_size);
	if (format == FORMAT_RGBA)
		premultiply(w, chunk->data, (uint32_t)(width * height));
	image->bitmap.format = formats[format].format;
	image->bitmap.flags = one_in(w, 2) ? QXL_BITMAP_TOP_DOWN : 0;
	image->bitmap.x = (uint32_t)width;
	image->bitmap.y = (uint32_t)height;
	image->bitmap.stride = stride;
	if (palette && formats[format].colors)
		image->bitmap.palette = take_palette(w, formats[format].colors);
	image->bitmap.data = qxl_address(w->qxl, chunk);
	return qxl_address(w->qxl, image);
}

/* A picture of at least width x height, now and then the off-screen surface; the part of it. */
static QXLPHYSICAL take_source(struct work *w, int32_t width, int32_t height, QXLRect *area)
{
	struct rect part = rect_make(0, 0, width, height);
	int32_t whole_width = width + between(w, 0, 9), whole_height = height + between(w, 0, 9);
	QXLPHYSICAL address;

	if (one_in(w, 5)) {
		QXLImage *image =
			take_image(w, SPICE_IMAGE_TYPE_SURFACE, SURFACE_SIDE, SURFACE_SIDE);

		whole_width = whole_height = SURFACE_SIDE;
		image->surface_image.surface_id = SURFACE;
		w->drawable->surfaces_dest[0] = SURFACE;
		w->drawable->surfaces_rects[0] =
			to_qxl(rect_make(0, 0, SURFACE_SIDE, SURFACE_SIDE));
		address = qxl_address(w->qxl, image);
	} else {
		address = take_bitmap(w, below(w, FORMATS), whole_width, whole_height, true);
	}
	part.x = between(w, 0, whole_width - width);
	part.y = between(w, 0, whole_height - height);
	*area = to_qxl(part);
	return address;
}

/* A source for the box: of its size, or of another one, which is scaled. */
static QXLPHYSICAL take_scaled(struct work *w, QXLRect *area)
{
	bool scaled = one_in(w, 3);

	return take_source(w, scaled ? between(w, 1, 20) : w->box.width,
		scaled ? between(w, 1, 20) : w->box.height, area);
}

/* ---- parts of drawings ---- */

static uint16_t random_rop(struct work *w)
{
	if (one_in(w, 3))
		return SPICE_ROPD_OP_PUT;
	return (uint16_t)(SPICE_ROPD_OP_PUT << below(w, 7) | below(w, 8) |
		(one_in(w, 2) ? SPICE_ROPD_INVERS_RES : 0));
}

/* libspice knows only the codes in which brush, source and destination all count (218 of 256), and
 * aborts at the others. */
static uint8_t random_rop3(struct work *w)
{
	for (;;) {
		uint8_t code = (uint8_t)below(w, 256);

		if ((code ^ code >> 4) & 0x0f && (code ^ code >> 2) & 0x33 &&
			(code ^ code >> 1) & 0x55)
			return code;
	}
}

static uint8_t random_scale(struct work *w)
{
	return one_in(w, 2) ? SPICE_IMAGE_SCALE_MODE_NEAREST : SPICE_IMAGE_SCALE_MODE_INTERPOLATE;
}

static void random_brush(struct work *w, QXLBrush *brush)
{
	brush->type = SPICE_BRUSH_TYPE_SOLID;
	brush->u.color = below(w, 1 << 24);
	if (one_in(w, 2))
		return;
	brush->type = SPICE_BRUSH_TYPE_PATTERN;
	brush->u.pattern.pat =
		take_bitmap(w, below(w, FORMATS), between(w, 1, 20), between(w, 1, 20), true);
	brush->u.pattern.pos.x = -between(w, 0, 5);
	brush->u.pattern.pos.y = -between(w, 0, 5);
}

static void random_mask(struct work *w, QXLQMask *mask)
{
	if (!one_in(w, 3))
		return;
	mask->flags = one_in(w, 2) ? SPICE_MASK_FLAGS_INVERS : 0;
	mask->pos.x = between(w, 0, 4);
	mask->pos.y = between(w, 0, 4);
	mask->bitmap = take_bitmap(
		w, FORMAT_MASK, w->box.width + mask->pos.x, w->box.height + mask->pos.y, false);
}

static void random_clip(struct work *w)
{
	uint32_t count = 1 + below(w, 3);
	QXLClipRects *rects;
	QXLRect *rect;

	if (!one_in(w, 3))
		return;
	rects = take(w, sizeof(*rects) + count * sizeof(QXLRect));
	rects->num_rects = count;
	rects->chunk.data_size = count * sizeof(QXLRect);
	rect = (QXLRect *)rects->chunk.data;
	/* One below the other: clips never overlap themselves. */
	for (uint32_t i = 0; i < count; i++)
		rect[i] = to_qxl(rect_make(w->box.x + between(w, -4, 8), w->box.y + (int32_t)i * 8,
			between(w, 1, 24), between(w, 1, 8)));
	w->drawable->clip.type = SPICE_CLIP_TYPE_RECTS;
	w->drawable->clip.data = qxl_address(w->qxl, rects);
}

/* ---- kinds with more to them ---- */

static void make_stroke(struct work *w)
{
	QXLStroke *stroke = &w->drawable->u.stroke;
	uint32_t segments = 1 + below(w, 3), size = 0;
	QXLPath *path = take(w, sizeof(*path) + segments * (sizeof(QXLPathSeg) + 8 * 8));

	for (uint32_t i = 0; i < segments; i++) {
		QXLPathSeg *segment = (QXLPathSeg *)(path->chunk.data + size);

		segment->flags = QXL_PATH_BEGIN | QXL_PATH_END |
			(one_in(w, 3) ? QXL_PATH_CLOSE : 0);
		segment->count = 2 + below(w, 6);
		for (uint32_t p = 0; p < segment->count; p++) {
			segment->points[p].x = (w->box.x + between(w, -4, CELL + 4)) * 16;
			segment->points[p].y = (w->box.y + between(w, -4, CELL + 4)) * 16;
		}
		size += (uint32_t)sizeof(*segment) + segment->count * (uint32_t)sizeof(QXLPointFix);
	}
	path->data_size = path->chunk.data_size = size;
	stroke->path = qxl_address(w->qxl, path);
	random_brush(w, &stroke->brush);
	stroke->fore_mode = random_rop(w);
	stroke->back_mode = SPICE_ROPD_OP_PUT;
}

static void make_text(struct work *w)
{
	static const uint16_t depths[] = { SPICE_STRING_FLAGS_RASTER_A1,
		SPICE_STRING_FLAGS_RASTER_A4 };
	QXLText *text = &w->drawable->u.text;
	uint32_t deep = below(w, 2), glyphs = 1 + below(w, 4), size = 0;
	QXLString *string = take(w, sizeof(*string) + glyphs * (sizeof(QXLRasterGlyph) + 7 * 14));

	for (uint32_t i = 0; i < glyphs; i++) {
		QXLRasterGlyph *glyph = (QXLRasterGlyph *)(string->chunk.data + size);
		uint32_t bytes;

		glyph->render_pos.x = w->box.x + between(w, 0, CELL);
		glyph->render_pos.y = w->box.y + between(w, 0, CELL);
		glyph->glyph_origin.x = between(w, -4, 4);
		glyph->glyph_origin.y = between(w, -10, 2);
		glyph->width = (uint16_t)between(w, 1, 14);
		glyph->height = (uint16_t)between(w, 1, 14);
		bytes = (glyph->width * (deep ? 4u : 1u) + 7) / 8 * glyph->height;
		noise(w, glyph->data, bytes);
		size += (uint32_t)sizeof(*glyph) + bytes;
	}
	string->length = (uint16_t)glyphs;
	string->flags = depths[deep];
	string->data_size = string->chunk.data_size = size;
	text->str = qxl_address(w->qxl, string);
	if (one_in(w, 2))
		text->back_area = to_qxl(rect_make(w->box.x + between(w, 0, 9),
			w->box.y + between(w, 0, 9), between(w, 1, 20), between(w, 1, 20)));
	random_brush(w, &text->fore_brush);
	random_brush(w, &text->back_brush);
	text->fore_mode = text->back_mode = SPICE_ROPD_OP_PUT;
}

static QXLPHYSICAL take_transform(struct work *w)
{
	QXLTransform *transform = take(w, sizeof(*transform));
	uint32_t *cells = &transform->t00;

	for (uint32_t i = 0; i < 6; i++)
		cells[i] = (uint32_t)between(w, -100000, 100000);
	return qxl_address(w->qxl, transform);
}

static void make_composite(struct work *w)
{
	static const uint8_t operators[] = { QXL_OP_CLEAR, QXL_OP_SOURCE, QXL_OP_DST, QXL_OP_OVER,
		QXL_OP_OVER_REVERSE, QXL_OP_IN, QXL_OP_IN_REVERSE, QXL_OP_OUT, QXL_OP_OUT_REVERSE,
		QXL_OP_ATOP, QXL_OP_ATOP_REVERSE, QXL_OP_XOR, QXL_OP_ADD, QXL_OP_SATURATE,
		QXL_OP_MULTIPLY, QXL_OP_SCREEN, QXL_OP_DIFFERENCE };
	QXLComposite *composite = &w->drawable->u.composite;
	QXLRect unused;

	composite->flags = operators[below(w, ARRAY_SIZE(operators))] | below(w, 2) << 8 |
		below(w, 2) << 11 | below(w, 4) << 14 | below(w, 4) << 16;
	composite->src = take_source(w, CELL, CELL, &unused);
	if (one_in(w, 3))
		composite->src_transform = take_transform(w);
	if (one_in(w, 2)) {
		composite->mask = take_bitmap(w, FORMAT_RGBA, CELL, CELL, false);
		if (one_in(w, 3))
			composite->flags |= 1 << 18; /* component alpha */
		if (one_in(w, 3))
			composite->mask_transform = take_transform(w);
	}
	composite->src_origin = (QXLPoint16){ between(w, -9, 9), between(w, -9, 9) };
	composite->mask_origin = (QXLPoint16){ between(w, -9, 9), between(w, -9, 9) };
}

/* From the cell itself, or from a neighbour's. */
static void make_copy_bits(struct work *w)
{
	w->drawable->u.copy_bits.src_pos.x = between(
		w, max32(0, w->box.x - CELL), min32(w->qxl->width - w->box.width, w->box.x + CELL));
	w->drawable->u.copy_bits.src_pos.y = between(w, max32(0, w->box.y - CELL),
		min32(w->qxl->height - w->box.height, w->box.y + CELL));
}

static const uint8_t types[KINDS] = { QXL_DRAW_FILL, QXL_DRAW_OPAQUE, QXL_DRAW_COPY, QXL_DRAW_BLEND,
	QXL_DRAW_BLACKNESS, QXL_DRAW_WHITENESS, QXL_DRAW_INVERS, QXL_DRAW_ROP3, QXL_DRAW_STROKE,
	QXL_DRAW_TEXT, QXL_DRAW_TRANSPARENT, QXL_DRAW_ALPHA_BLEND, QXL_DRAW_COMPOSITE,
	QXL_COPY_BITS };

static void fill_in(struct work *w, enum kind kind)
{
	QXLDrawable *d = w->drawable;

	switch (kind) {
	case KIND_FILL:
		random_brush(w, &d->u.fill.brush);
		d->u.fill.rop_descriptor = random_rop(w);
		random_mask(w, &d->u.fill.mask);
		break;
	case KIND_OPAQUE:
		d->u.opaque.src_bitmap = take_scaled(w, &d->u.opaque.src_area);
		random_brush(w, &d->u.opaque.brush);
		d->u.opaque.rop_descriptor = random_rop(w);
		d->u.opaque.scale_mode = random_scale(w);
		random_mask(w, &d->u.opaque.mask);
		break;
	case KIND_COPY:
	case KIND_BLEND:
		d->u.copy.src_bitmap = take_scaled(w, &d->u.copy.src_area);
		d->u.copy.rop_descriptor = random_rop(w);
		d->u.copy.scale_mode = random_scale(w);
		random_mask(w, &d->u.copy.mask);
		break;
	case KIND_BLACKNESS:
	case KIND_WHITENESS:
	case KIND_INVERS: random_mask(w, &d->u.blackness.mask); break;
	case KIND_ROP3:
		d->u.rop3.src_bitmap = take_scaled(w, &d->u.rop3.src_area);
		random_brush(w, &d->u.rop3.brush);
		d->u.rop3.rop3 = random_rop3(w);
		d->u.rop3.scale_mode = random_scale(w);
		random_mask(w, &d->u.rop3.mask);
		break;
	case KIND_STROKE: make_stroke(w); break;
	case KIND_TEXT: make_text(w); break;
	case KIND_TRANSPARENT:
		d->u.transparent.src_bitmap = take_scaled(w, &d->u.transparent.src_area);
		d->u.transparent.src_color = d->u.transparent.true_color = below(w, 1 << 24);
		break;
	case KIND_ALPHA_BLEND:
		d->u.alpha_blend.src_bitmap = take_scaled(w, &d->u.alpha_blend.src_area);
		d->u.alpha_blend.alpha = (uint8_t)(one_in(w, 3) ? 255 : below(w, 256));
		break;
	case KIND_COMPOSITE: make_composite(w); break;
	case KIND_COPY_BITS: make_copy_bits(w); break;
	case KINDS: break;
	}
}

static void begin(struct work *w, struct rect box, uint8_t type, uint8_t effect)
{
	w->memory = qxl_bitmap_alloc(w->qxl, BLOCK_BYTES);
	w->used = 0;
	w->box = box;
	w->drawable = qxl_drawable_init(w->qxl, take(w, sizeof(QXLDrawable)), PRIMARY, box, type);
	w->drawable->effect = effect;
}

static void end(struct work *w)
{
	qxl_push_command(w->qxl, QXL_CMD_DRAW, qxl_address(w->qxl, w->drawable));
}

/* What the others draw upon: noise, so that each rop shows. */
static void draw_ground(struct work *w, struct rect cell)
{
	QXLCopy *copy;

	begin(w, cell, QXL_DRAW_COPY, QXL_EFFECT_OPAQUE);
	copy = &w->drawable->u.copy;
	copy->src_bitmap = take_bitmap(w, 2 + below(w, FORMAT_32 - 1), CELL, CELL, true);
	copy->src_area = to_qxl(rect_make(0, 0, CELL, CELL));
	copy->rop_descriptor = SPICE_ROPD_OP_PUT;
	end(w);
}

static void draw_kind(struct work *w, struct rect cell, enum kind kind)
{
	struct rect box = cell;

	box.x += between(w, 0, 8);
	box.y += between(w, 0, 8);
	box.width = between(w, 1, cell.x + CELL - box.x);
	box.height = between(w, 1, cell.y + CELL - box.y);
	begin(w, box, types[kind], kind == KIND_COPY_BITS ? QXL_EFFECT_OPAQUE : QXL_EFFECT_BLEND);
	random_clip(w);
	fill_in(w, kind);
	end(w);
}

static void draw_batch(struct work *w, uint32_t batch)
{
	uint32_t columns = (uint32_t)w->qxl->width / CELL, rows = (uint32_t)w->qxl->height / CELL;

	for (uint32_t c = 0; c < columns * rows; c++) {
		struct rect cell = rect_make(
			(int32_t)(c % columns) * CELL, (int32_t)(c / columns) * CELL, CELL, CELL);

		draw_ground(w, cell);
		for (uint32_t d = 0; d < DRAWINGS; d++)
			draw_kind(w, cell, (enum kind)((7 * batch + 2 * c + d) % KINDS));
	}
	log_line("batch %u drawings %u", batch, columns * rows * (1 + DRAWINGS));
}

void scene_drawings(struct qxl *qxl)
{
	uint64_t random = 0x9e3779b97f4a7c15ull * (option_number("seed", 1) + 1ull);
	struct work w = { .qxl = qxl, .random = &random };
	struct event event;

	qxl_surface_create(qxl, SURFACE, SURFACE_SIDE, SURFACE_SIDE);
	for (int32_t i = 0; i < SURFACE_SIDE; i++)
		qxl_fill(qxl, SURFACE, rect_make(i, 0, 1, SURFACE_SIDE), below(&w, 1 << 24));
	qxl_fill(qxl, PRIMARY, rect_make(0, 0, qxl->width, qxl->height), 0x204060);
	scene_ready(qxl);
	for (uint32_t batch = 0;;) {
		while (!machine_event(&event))
			machine_wait_until(UINT64_MAX);
		if (event.type == EVENT_KEY && !(event.key & 0x80))
			draw_batch(&w, ++batch);
	}
}

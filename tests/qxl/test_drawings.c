/* SPDX-License-Identifier: MIT */
/* Every kind of drawing of the guest's on the surface, and what it must not say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/util.h"
#include "tests/qxl/fake_machine.h"

static int setup(void **state)
{
	static struct fake_machine machine;

	fake_machine_init(&machine);
	guest_start(&machine, 64, 48);
	machine.header->int_mask = QXL_INTERRUPT_ERROR;
	*state = &machine;
	return 0;
}

static int teardown(void **state)
{
	fake_machine_finish(*state);
	return 0;
}

static uint32_t pixel(struct fake_machine *m, uint32_t x, uint32_t y)
{
	uint32_t word;

	memcpy(&word, m->ram + 4 * (size_t)(y * 64 + x), 4);
	return word & 0xffffff;
}

static void run(struct fake_machine *m, const QXLDrawable *d)
{
	guest_push(m, QXL_CMD_DRAW, guest_address(m, d));
	fake_machine_run(m);
}

static void assert_drawn(struct fake_machine *m, const QXLDrawable *d)
{
	uint32_t draws = m->sink.draws;

	run(m, d);
	assert_false(m->irq_level);
	assert_int_equal(m->sink.draws, draws + 1);
}

/* The device is broken by it, and works after a reset. */
static void assert_broken(struct fake_machine *m, const QXLDrawable *d)
{
	uint32_t draws = m->sink.draws;

	run(m, d);
	assert_true(m->irq_level);
	assert_int_equal(m->sink.draws, draws);
	guest_start(m, 64, 48);
	m->header->int_mask = QXL_INTERRUPT_ERROR;
}

static uint64_t picture(struct fake_machine *m, uint32_t first)
{
	uint32_t bits[16];

	for (uint32_t i = 0; i < 16; i++)
		bits[i] = first + i;
	return guest_address(
		m, guest_bitmap(m, SPICE_BITMAP_FMT_32BIT, QXL_BITMAP_TOP_DOWN, 4, 4, 16, bits));
}

static const QXLRect four = { .right = 4, .bottom = 4 };
static const QXLBrush white = { .type = SPICE_BRUSH_TYPE_SOLID, .u.color = 0xffffff };

static void test_pictures(void **state)
{
	struct fake_machine *m = *state;
	QXLDrawable *d = guest_drawable(m, QXL_DRAW_BLEND, 0, 0, 0, 4, 4);

	d->u.blend.src_bitmap = picture(m, 0x1000);
	d->u.blend.src_area = four;
	d->u.blend.rop_descriptor = SPICE_ROPD_OP_XOR;
	assert_drawn(m, d);
	assert_int_equal(pixel(m, 1, 0), 0x1001);
	assert_drawn(m, d);
	assert_int_equal(pixel(m, 1, 0), 0);

	d = guest_drawable(m, QXL_DRAW_OPAQUE, 0, 0, 0, 4, 4);
	d->u.opaque.src_bitmap = picture(m, 0x1000);
	d->u.opaque.src_area = four;
	d->u.opaque.brush = white;
	d->u.opaque.rop_descriptor = SPICE_ROPD_OP_AND | SPICE_ROPD_INVERS_SRC;
	assert_drawn(m, d);
	assert_int_equal(pixel(m, 3, 3), 0xffffff & ~0x100fu);

	d = guest_drawable(m, QXL_DRAW_ROP3, 0, 0, 0, 4, 4);
	d->u.rop3.src_bitmap = picture(m, 0xf0);
	d->u.rop3.src_area = four;
	d->u.rop3.brush = white;
	d->u.rop3.rop3 = 0x96; /* all three against each other */
	assert_drawn(m, d);
	assert_int_equal(pixel(m, 0, 0), 0xffffff ^ 0xf0 ^ (0xffffff & ~0x1000u));

	d = guest_drawable(m, QXL_DRAW_TRANSPARENT, 0, 8, 8, 12, 12);
	d->u.transparent.src_bitmap = picture(m, 0x2000);
	d->u.transparent.src_area = four;
	d->u.transparent.true_color = 0x2005;
	assert_drawn(m, d);
	assert_int_equal(pixel(m, 8, 9), 0x2004);
	assert_int_equal(pixel(m, 9, 9), 0);

	d = guest_drawable(m, QXL_DRAW_ALPHA_BLEND, 0, 16, 16, 20, 20);
	d->u.alpha_blend.src_bitmap = picture(m, 0xff0000);
	d->u.alpha_blend.src_area = four;
	d->u.alpha_blend.alpha = 0x80;
	assert_drawn(m, d);
	assert_int_equal(pixel(m, 16, 16), 0x800000);
}

static void test_a_picture_of_the_surface_itself(void **state)
{
	struct fake_machine *m = *state;
	QXLDrawable *d = guest_fill(m, 0, 10, 10, 14, 14, 0x123456);

	assert_drawn(m, d);
	d = guest_drawable(m, QXL_DRAW_COPY, 0, 0, 0, 4, 4);
	d->self_bitmap = 1;
	d->self_bitmap_area = (QXLRect){ .left = 10, .top = 9, .right = 14, .bottom = 13 };
	d->u.copy.src_area = four;
	d->u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
	assert_drawn(m, d);
	assert_int_equal(pixel(m, 0, 0), 0);
	assert_int_equal(pixel(m, 0, 1), 0x123456);
	d->u.copy.src_area.right = 5; /* beyond it */
	assert_broken(m, d);
	d->u.copy.src_area = four;
	d->self_bitmap = 0;
	assert_broken(m, d);
}

static QXLDrawable *composite(struct fake_machine *m, uint32_t flags)
{
	QXLDrawable *d = guest_drawable(m, QXL_DRAW_COMPOSITE, 0, 0, 0, 4, 4);

	d->u.composite.flags = flags;
	d->u.composite.src = picture(m, 0x3000);
	return d;
}

static void test_compositions(void **state)
{
	struct fake_machine *m = *state;
	QXLDrawable *d = composite(m, PIXMAN_OP_SRC);
	QXLTransform *twice = guest_alloc(m, sizeof(*twice));

	assert_drawn(m, d);
	assert_int_equal(pixel(m, 1, 1), 0x3005);
	*twice = (QXLTransform){ .t00 = 1 << 15, .t11 = 1 << 15 };
	d = composite(m, PIXMAN_OP_SRC | PIXMAN_FILTER_NEAREST << 8);
	d->u.composite.src_transform = guest_address(m, twice);
	assert_drawn(m, d);
	assert_int_equal(pixel(m, 3, 3), 0x3005);
	assert_broken(m, composite(m, 0x0e)); /* no such operator */
	assert_broken(m, composite(m, 0xff));
	assert_broken(m, composite(m, PIXMAN_OP_SRC | 5 << 8)); /* a filter with parameters */
	assert_broken(m, composite(m, PIXMAN_OP_SRC | 7 << 11));
	d = composite(m, PIXMAN_OP_SRC);
	d->u.composite.src_transform = UINT64_MAX;
	assert_broken(m, d);
	d = composite(m, PIXMAN_OP_OVER);
	d->u.composite.mask = UINT64_MAX;
	assert_broken(m, d);
}

/* A path of one segment whose header and chunk say what they are told. */
static QXLDrawable *stroke(struct fake_machine *m, const QXLPointFix *points, uint32_t count,
	uint32_t said, uint32_t data_size)
{
	QXLDrawable *d = guest_drawable(m, QXL_DRAW_STROKE, 0, 0, 0, 64, 48);
	size_t size = sizeof(QXLPathSeg) + count * sizeof(*points);
	QXLPath *path = guest_alloc(m, sizeof(*path) + size);
	QXLPathSeg *segment = (void *)path->chunk.data;

	path->data_size = data_size ? data_size : (uint32_t)size;
	path->chunk.data_size = (uint32_t)size;
	segment->flags = QXL_PATH_BEGIN | QXL_PATH_END;
	segment->count = said;
	memcpy((uint8_t *)segment + sizeof(*segment), points, count * sizeof(*points));
	d->u.stroke.path = guest_address(m, path);
	d->u.stroke.brush = white;
	d->u.stroke.fore_mode = SPICE_ROPD_OP_PUT;
	return d;
}

static void test_strokes(void **state)
{
	static const QXLPointFix line[] = { { 2 << 4, 3 << 4 }, { 9 << 4, 3 << 4 } };
	static const QXLPointFix far[] = { { INT32_MIN, INT32_MAX }, { INT32_MAX, INT32_MIN } };
	struct fake_machine *m = *state;
	int32_t *dashes = guest_alloc(m, 2 * sizeof(*dashes));
	QXLDrawable *d = stroke(m, line, 2, 2, 0);

	assert_drawn(m, d);
	assert_int_equal(pixel(m, 1, 3), 0);
	for (uint32_t x = 2; x < 9; x++)
		assert_int_equal(pixel(m, x, 3), 0xffffff);
	assert_int_equal(pixel(m, 9, 3), 0);
	assert_drawn(m, stroke(m, far, 2, 2, 0)); /* draws nothing */
	assert_broken(m, stroke(m, line, 2, 3, 0)); /* more points than there are */
	assert_broken(m, stroke(m, line, 2, UINT32_MAX, 0));
	assert_broken(m, stroke(m, line, 2, 2, 25)); /* a piece of another header */
	assert_broken(m, stroke(m, line, 2, 2, UINT32_MAX));
	d = stroke(m, line, 2, 2, 0);
	d->u.stroke.path = UINT64_MAX;
	assert_broken(m, d);
	dashes[0] = 2 << 4;
	dashes[1] = 3 << 4;
	d = stroke(m, line, 2, 2, 0);
	d->u.stroke.attr.flags = SPICE_LINE_FLAGS_STYLED;
	d->u.stroke.attr.style_nseg = 2;
	d->u.stroke.attr.style = guest_address(m, dashes);
	assert_drawn(m, d);
	assert_int_equal(pixel(m, 3, 3), 0xffffff);
	dashes[0] = dashes[1] = 0; /* dashes without length */
	assert_drawn(m, d);
	d->u.stroke.attr.style = UINT64_MAX;
	assert_broken(m, d);
}

static QXLDrawable *text(struct fake_machine *m, uint16_t flags, uint16_t glyphs, uint16_t height,
	uint32_t data_size)
{
	QXLDrawable *d = guest_drawable(m, QXL_DRAW_TEXT, 0, 0, 0, 64, 48);
	uint32_t size = sizeof(QXLRasterGlyph) + 2;
	QXLString *string = guest_alloc(m, sizeof(*string) + size);
	QXLRasterGlyph *glyph = (void *)string->chunk.data;
	uint8_t *bits = (uint8_t *)glyph + sizeof(*glyph);

	string->data_size = data_size ? data_size : size;
	string->chunk.data_size = size;
	string->length = glyphs;
	string->flags = flags;
	glyph->render_pos = (QXLPoint){ 10, 20 };
	glyph->glyph_origin = (QXLPoint){ 0, -2 };
	glyph->width = 2;
	glyph->height = height;
	bits[0] = 0x40; /* the lower row */
	bits[1] = 0x80;
	d->u.text.str = guest_address(m, string);
	d->u.text.fore_brush = white;
	d->u.text.fore_mode = SPICE_ROPD_OP_PUT;
	return d;
}

static void test_text(void **state)
{
	struct fake_machine *m = *state;
	QXLDrawable *d = text(m, SPICE_STRING_FLAGS_RASTER_A1, 1, 2, 0);

	assert_drawn(m, d);
	assert_int_equal(pixel(m, 10, 18), 0xffffff);
	assert_int_equal(pixel(m, 11, 18), 0);
	assert_int_equal(pixel(m, 10, 19), 0);
	assert_int_equal(pixel(m, 11, 19), 0xffffff);
	assert_broken(m, text(m, SPICE_STRING_FLAGS_RASTER_A1, 0, 2, 0));
	assert_broken(m, text(m, SPICE_STRING_FLAGS_RASTER_A1, 2, 2, 0));
	assert_broken(m, text(m, SPICE_STRING_FLAGS_RASTER_A1, 65535, 2, 0));
	assert_broken(m, text(m, SPICE_STRING_FLAGS_RASTER_A1, 1, 3, 0));
	assert_broken(m, text(m, SPICE_STRING_FLAGS_RASTER_A8, 1, 2, 0));
	assert_broken(m, text(m, SPICE_STRING_FLAGS_RASTER_A1, 1, 65535, 0));
	assert_broken(m, text(m, SPICE_STRING_FLAGS_RASTER_A1, 1, 2, UINT32_MAX));
	assert_broken(m, text(m, SPICE_STRING_FLAGS_RASTER_A1, 1, 2, 64));
	d = text(m, SPICE_STRING_FLAGS_RASTER_A1, 1, 2, 0);
	d->u.text.back_area = (QXLRect){ .left = INT32_MIN, .right = INT32_MAX, .bottom = 1 };
	assert_broken(m, d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pictures, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_picture_of_the_surface_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(test_compositions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_strokes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_text, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

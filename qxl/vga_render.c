/* SPDX-License-Identifier: MIT */
/* From the VGA's registers and memory to a surface. */
#include "qxl/vga.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"

enum { COUNTS_MAX = 256, DOTS_MAX = (COUNTS_MAX + 1) * 8 * 2 };

enum picture { PICTURE_BLANK, PICTURE_TEXT, PICTURE_PLANAR, PICTURE_LINEAR };

/* One rendering. */
struct job {
	struct vga_renderer *renderer;
	const struct vga_regs *regs;
	const uint64_t *dirty;
	struct vga_changes *changes;
	bool all;
	enum picture picture;
	uint32_t width, height;
	/* Linear modes. */
	uint32_t bpp, pitch, start; /* bytes */
	/* Planar modes. */
	struct vga_scan scan;
};

void vga_renderer_init(struct vga_renderer *renderer, const uint8_t *ram, uint32_t ram_bytes)
{
	memset(renderer, 0, sizeof(*renderer));
	renderer->ram = ram;
	renderer->ram_bytes = ram_bytes;
}

void vga_renderer_drop(struct vga_renderer *renderer)
{
	surface_unref(renderer->surface);
	renderer->surface = NULL;
	renderer->valid = false;
}

void vga_renderer_finish(struct vga_renderer *renderer)
{
	vga_renderer_drop(renderer);
	free(renderer->cells);
	renderer->cells = NULL;
}

void vga_changes_add(struct vga_changes *changes, const struct rect *rect)
{
	struct rect *last = changes->count ? &changes->rects[changes->count - 1] : NULL;
	bool adjoins = last && last->left == rect->left && last->right == rect->right &&
		last->bottom == rect->top;

	if (adjoins || changes->count == VGA_RECTS_MAX)
		*last = rect_union(last, rect);
	else
		changes->rects[changes->count++] = *rect;
}

/* ---- colours ---- */

static uint32_t dac_color(const struct vga_regs *regs, uint8_t index)
{
	const uint8_t *entry = &regs->dac[3 * (index & regs->dac_mask)];
	uint32_t rgb = 0;

	for (int i = 0; i < 3; i++) {
		uint8_t v = entry[i];

		if (!(regs->vbe[VBE_ENABLE] & VBE_8BIT_DAC))
			v = (uint8_t)(v << 2 | v >> 4);
		rgb = rgb << 8 | v;
	}
	return rgb;
}

uint32_t vga_color_256(const struct vga_regs *regs, uint8_t pixel)
{
	return dac_color(regs, pixel);
}

uint32_t vga_color_16(const struct vga_regs *regs, uint8_t pixel)
{
	uint8_t entry = regs->attr[pixel & regs->attr[0x12] & 15];

	if (regs->attr[0x10] & 0x80)
		return dac_color(regs, (uint8_t)((entry & 0x0f) | (regs->attr[0x14] & 0x0f) << 4));
	return dac_color(regs, (uint8_t)((entry & 0x3f) | (regs->attr[0x14] & 0x0c) << 4));
}

static bool is_256(const struct vga_regs *regs)
{
	if (vga_vbe_enabled(regs))
		return regs->vbe[VBE_BPP] == 8;
	return regs->gfx[5] & 0x40;
}

static void load_palette(struct vga_renderer *renderer, const struct vga_regs *regs)
{
	for (int i = 0; i < 256; i++)
		renderer->palette[i] = is_256(regs) ? vga_color_256(regs, (uint8_t)i)
						    : vga_color_16(regs, (uint8_t)i);
}

/* ---- geometry ---- */

bool vga_is_text(const struct vga_regs *regs)
{
	return !vga_vbe_enabled(regs) && !(regs->gfx[6] & 1);
}

bool vga_scan_of(const struct vga_regs *regs, struct vga_scan *scan)
{
	const uint8_t *cr = regs->crtc;
	uint32_t height = cr[0x12] | (cr[0x07] & 0x02u) << 7 | (cr[0x07] & 0x40u) << 3;

	*scan = (struct vga_scan){
		.height = (height + 1) * (cr[0x17] & 4 ? 2 : 1),
		.lines = (cr[0x09] & 0x1fu) + 1,
		.doubled = cr[0x09] & 0x80,
		.pitch = cr[0x13] * 2u,
		.start = (uint32_t)cr[0x0c] << 8 | cr[0x0d],
		.split = cr[0x18] | (cr[0x07] & 0x10u) << 4 | (cr[0x09] & 0x40u) << 3,
		.dots = regs->seq[1] & 8 ? 2 : 1,
	};
	scan->width = (cr[0x01] + 1u) * 8 * scan->dots;
	return scan->height > 1;
}

uint32_t vga_scan_offset(const struct vga_regs *regs, uint32_t count, uint32_t line)
{
	const uint8_t *cr = regs->crtc;
	uint32_t offset = count;

	if (cr[0x14] & 0x40)
		offset = count << 2;
	else if (!(cr[0x17] & 0x40))
		offset = count << 1 | (count >> (cr[0x17] & 0x20 ? 15 : 13) & 1);
	/* The compatibility modes' scan lines lie in banks of 8 KiB. */
	if (!(cr[0x17] & 1))
		offset = (offset & ~0x2000u) | (line & 1) << 13;
	if (!(cr[0x17] & 2))
		offset = (offset & ~0x4000u) | (line & 2) << 13;
	return offset & 0xffff;
}

/* Where a VBE mode lies; false when memory does not hold it. */
static bool linear_geometry(struct job *job)
{
	const uint16_t *vbe = job->regs->vbe;
	uint32_t bytes = vbe[VBE_BPP] == 4 ? 0 : DIV_ROUND_UP(vbe[VBE_BPP], 8u);

	job->bpp = vbe[VBE_BPP];
	job->width = vbe[VBE_XRES];
	job->height = vbe[VBE_YRES];
	/* 4 bits: a byte of each plane for 8 pixels, four bytes of memory. */
	job->pitch = bytes ? vbe[VBE_VIRT_WIDTH] * bytes : vbe[VBE_VIRT_WIDTH] / 2u;
	job->start = vbe[VBE_Y_OFFSET] * job->pitch +
		(bytes ? vbe[VBE_X_OFFSET] * bytes : vbe[VBE_X_OFFSET] / 8u * 4);
	return job->width > 0 && job->height > 0 && job->pitch > 0 &&
		job->start + (uint64_t)job->pitch * job->height <= job->renderer->ram_bytes +
			(uint64_t)(job->pitch - (bytes ? job->width * bytes : job->width / 2u));
}

/* What the registers ask for. */
static void classify(struct job *job)
{
	const struct vga_regs *regs = job->regs;
	bool shown = regs->attr_enabled && !(regs->seq[1] & 0x20);

	job->picture = PICTURE_BLANK;
	if (!shown)
		return;
	if (vga_vbe_enabled(regs)) {
		if (linear_geometry(job) && job->width <= 8192)
			job->picture = PICTURE_LINEAR;
		return;
	}
	if (!vga_scan_of(regs, &job->scan))
		return;
	job->picture = vga_is_text(regs) ? PICTURE_TEXT : PICTURE_PLANAR;
	job->width = job->scan.width;
	job->height = job->scan.height;
	if (job->picture == PICTURE_TEXT)
		vga_text_size(regs, &job->scan, &job->width, &job->height);
}

/* ---- the surface ---- */

static bool in_place_format(const struct job *job, enum surface_format *format)
{
	if (job->picture != PICTURE_LINEAR || job->start & 3 || job->pitch & 3)
		return false;
	switch (job->bpp) {
	case 15: *format = SURFACE_XRGB1555; return true;
	case 16: *format = SURFACE_RGB565; return true;
	case 32: *format = SURFACE_XRGB8888; return true;
	default: return false;
	}
}

static bool surface_fits(const struct job *job, bool in_place, enum surface_format format)
{
	const struct vga_renderer *r = job->renderer;

	return r->surface && r->in_place == in_place && r->surface->format == format &&
		r->surface->width == job->width && r->surface->height == job->height &&
		(!in_place ||
			(r->surface->data == r->ram + job->start &&
				r->surface->stride == (int32_t)job->pitch));
}

static int make_surface(struct job *job)
{
	struct vga_renderer *r = job->renderer;
	enum surface_format format = SURFACE_XRGB8888;
	bool in_place = in_place_format(job, &format);
	struct surface *surface;
	int err;

	if (surface_fits(job, in_place, format))
		return 0;
	if (in_place) {
		if (r->hold)
			r->hold(r->opaque);
		/* Only the guest writes these pixels. */
		err = surface_create_over(&surface, format, job->width, job->height,
			(int32_t)job->pitch, (uint8_t *)(uintptr_t)(r->ram + job->start),
			r->release, r->opaque);
		if (err && r->release)
			r->release(r->opaque);
	} else {
		err = surface_create(&surface, format, job->width, job->height);
	}
	if (err)
		return err;
	surface_unref(r->surface);
	r->surface = surface;
	r->in_place = in_place;
	job->changes->replaced = true;
	job->all = true;
	return 0;
}

/* ---- rows ---- */

/* Whether a page of the bytes [first, last] was written. */
static bool written(const struct job *job, uint64_t first, uint64_t last)
{
	last = MIN(last, (uint64_t)job->renderer->ram_bytes - 1);
	for (uint64_t page = first / VGA_PAGE_BYTES; page <= last / VGA_PAGE_BYTES; page++)
		if (job->dirty[page / 64] >> page % 64 & 1)
			return true;
	return false;
}

/* Puts a finished row on the surface, and tells if it differs from what was there. */
static void put_row(struct job *job, uint32_t y, const uint32_t *row)
{
	uint8_t *to = surface_row(job->renderer->surface, y);
	struct rect changed = rect_make(0, (int32_t)y, (int32_t)job->width, 1);

	if (memcmp(to, row, 4 * (size_t)job->width) == 0)
		return;
	memcpy(to, row, 4 * (size_t)job->width);
	vga_changes_add(job->changes, &changed);
}

static uint32_t expand(uint32_t value, unsigned bits)
{
	value &= (1u << bits) - 1;
	return value << (8 - bits) | value >> (2 * bits - 8);
}

static void convert_linear(const struct job *job, const uint8_t *from, uint32_t *row)
{
	const uint32_t *palette = job->renderer->palette;

	for (uint32_t x = 0; x < job->width; x++) {
		const uint8_t *p = from + (size_t)x * DIV_ROUND_UP(job->bpp, 8u);
		uint32_t v = p[0];

		if (job->bpp > 8)
			v |= (uint32_t)p[1] << 8;
		if (job->bpp > 16)
			v |= (uint32_t)p[2] << 16;
		switch (job->bpp) {
		case 8: row[x] = palette[v]; break;
		case 15:
			row[x] = expand(v >> 10, 5) << 16 | expand(v >> 5, 5) << 8 | expand(v, 5);
			break;
		case 16:
			row[x] = expand(v >> 11, 5) << 16 | expand(v >> 5, 6) << 8 | expand(v, 5);
			break;
		default: row[x] = v; break;
		}
	}
}

/* Eight dots of four planes. */
static void planar_dots(const uint32_t *palette, const uint8_t planes[4], uint32_t *dots)
{
	for (int bit = 7; bit >= 0; bit--)
		*dots++ = palette[(planes[0] >> bit & 1) | (planes[1] >> bit & 1) << 1 |
			(planes[2] >> bit & 1) << 2 | (planes[3] >> bit & 1) << 3];
}

/* Eight dots of two bits each: planes 0 and 1 one after the other, 2 and 3 above them. */
static void interleaved_dots(const uint32_t *palette, const uint8_t planes[4], uint32_t *dots)
{
	for (int i = 0; i < 8; i++) {
		int shift = 6 - 2 * (i & 3), plane = i >> 2;

		dots[i] = palette[(planes[plane] >> shift & 3) |
			(planes[plane + 2] >> shift & 3) << 2];
	}
}

/* Four pixels of a byte each, two dots wide. */
static void byte_dots(const uint32_t *palette, const uint8_t planes[4], uint32_t *dots)
{
	for (int i = 0; i < 8; i++)
		dots[i] = palette[planes[i / 2]];
}

static void convert_planes(const struct job *job, const uint8_t planes[4], uint32_t *dots)
{
	uint8_t mode = vga_vbe_enabled(job->regs) ? 0 : job->regs->gfx[5];

	if (mode & 0x40)
		byte_dots(job->renderer->palette, planes, dots);
	else if (mode & 0x20)
		interleaved_dots(job->renderer->palette, planes, dots);
	else
		planar_dots(job->renderer->palette, planes, dots);
}

static void double_dots(uint32_t *dots, uint32_t count)
{
	for (uint32_t i = count; i-- > 0;)
		dots[2 * i] = dots[2 * i + 1] = dots[i];
}

/* Which count and line of its row a line of the screen begins at. */
static uint32_t line_begin(const struct job *job, uint32_t y, uint32_t *line, uint32_t *pan)
{
	const struct vga_regs *regs = job->regs;
	const struct vga_scan *scan = &job->scan;
	bool below = y > scan->split;
	uint32_t start = below ? 0 : scan->start + (regs->crtc[0x08] >> 5 & 3);
	uint32_t at = below ? y - scan->split - 1 : y;

	*pan = below && regs->attr[0x10] & 0x20 ? 0 : regs->attr[0x13] & 7;
	if (scan->doubled)
		at /= 2;
	*line = at % scan->lines;
	return start + at / scan->lines * scan->pitch;
}

static void planar_row(struct job *job, uint32_t y)
{
	const struct vga_renderer *r = job->renderer;
	uint32_t dots[DOTS_MAX], line, pan;
	uint32_t begin = line_begin(job, y, &line, &pan);
	uint32_t counts = job->width / 8 / job->scan.dots;
	uint32_t first = vga_scan_offset(job->regs, begin, line);
	uint32_t last = vga_scan_offset(job->regs, begin + counts, line);

	/* A row that goes round the end of the planes is always looked at. */
	if (!job->all && first <= last &&
		!written(job, 4 * (uint64_t)first, 4 * (uint64_t)last + 3))
		return;
	for (uint32_t i = 0; i <= counts; i++) {
		uint32_t offset = vga_scan_offset(job->regs, begin + i, line);

		convert_planes(job, r->ram + 4 * (size_t)offset, dots + 8 * (size_t)i);
	}
	if (job->scan.dots == 2)
		double_dots(dots, 8 * (counts + 1));
	pan = is_256(job->regs) ? (pan & ~1u) : pan * job->scan.dots;
	put_row(job, y, dots + pan);
}

static void linear_row(struct job *job, uint32_t y)
{
	uint32_t row[8192];
	uint64_t first = job->start + (uint64_t)job->pitch * y;
	uint32_t bytes = job->bpp == 4 ? job->width / 2 : job->width * DIV_ROUND_UP(job->bpp, 8u);
	const uint8_t *from = job->renderer->ram + first;
	struct rect changed = rect_make(0, (int32_t)y, (int32_t)job->width, 1);

	if (!job->all && !written(job, first, first + bytes - 1))
		return;
	if (job->renderer->in_place) {
		vga_changes_add(job->changes, &changed);
		return;
	}
	if (job->bpp == 4)
		for (uint32_t x = 0; x < job->width; x += 8)
			convert_planes(job, from + x / 2, row + x);
	else
		convert_linear(job, from, row);
	put_row(job, y, row);
}

static void render_blank(struct job *job)
{
	struct surface *surface = job->renderer->surface;
	struct rect bounds = surface_bounds(surface);

	for (uint32_t y = 0; y < surface->height; y++)
		memset(surface_row(surface, y), 0, 4 * (size_t)surface->width);
	vga_changes_add(job->changes, &bounds);
}

static void render_picture(struct job *job)
{
	switch (job->picture) {
	case PICTURE_BLANK:
		if (job->all)
			render_blank(job);
		break;
	case PICTURE_TEXT:
		vga_text_render(job->renderer, job->regs, &job->scan, job->all, job->changes);
		break;
	case PICTURE_PLANAR:
		for (uint32_t y = 0; y < job->height; y++)
			planar_row(job, y);
		break;
	case PICTURE_LINEAR:
		for (uint32_t y = 0; y < job->height; y++)
			linear_row(job, y);
		break;
	}
}

/* The registers without those that only say how memory is accessed, or that the text cells hold. */
static struct vga_regs shown_regs(const struct vga_regs *regs)
{
	struct vga_regs shown = *regs;

	shown.seq[0] = shown.seq[2] = shown.seq[3] = shown.seq[4] = 0;
	memset(shown.gfx, 0, sizeof(shown.gfx));
	shown.gfx[5] = regs->gfx[5] & 0x60;
	shown.gfx[6] = regs->gfx[6] & 1;
	for (int i = 0x0a; i < 0x10; i++)
		shown.crtc[i] = vga_is_text(regs) || i < 0x0c || i > 0x0d ? 0 : regs->crtc[i];
	shown.crtc[0x11] = 0;
	shown.vbe[VBE_BANK] = shown.vbe[VBE_ID] = 0;
	return shown;
}

int vga_render(struct vga_renderer *renderer, const struct vga_regs *regs, const uint64_t *dirty,
	struct vga_changes *changes)
{
	struct job job = { .renderer = renderer, .regs = regs, .dirty = dirty, .changes = changes };
	struct vga_regs shown = shown_regs(regs);
	int err;

	changes->replaced = false;
	changes->count = 0;
	job.all = !renderer->valid || memcmp(&shown, &renderer->regs, sizeof(shown)) != 0;
	classify(&job);
	if (job.picture == PICTURE_BLANK) {
		/* A screen that was never on has no size; one that goes off keeps it. */
		if (!renderer->surface)
			return 0;
		job.width = renderer->surface->width;
		job.height = renderer->surface->height;
	}
	err = make_surface(&job);
	if (!err && job.picture == PICTURE_TEXT && !renderer->cells) {
		renderer->cells = calloc(VGA_CELLS_MAX, sizeof(*renderer->cells));
		err = renderer->cells ? 0 : -ENOMEM;
	}
	if (err) {
		renderer->valid = false;
		return err;
	}
	if (job.all)
		load_palette(renderer, regs);
	render_picture(&job);
	memcpy(&renderer->regs, &shown, sizeof(shown));
	renderer->valid = true;
	return 0;
}

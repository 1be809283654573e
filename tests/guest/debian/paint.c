/* SPDX-License-Identifier: MIT */
/*
 * An X client of the standard guest (build beside it compiles it): paint +X+Y shows a window with what
 * X can draw, the same each time, and calls it "painted" when all of it is there. Fills with tiles and
 * stipples, the raster operations, lines, arcs, polygons, core text, copies within the window, images
 * and XRender's compositing, gradients, transformed pictures and trapezoids.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <X11/Xlib.h>
#include <X11/Xutil.h>
#include <X11/extensions/Xrender.h>

enum { WIDTH = 440, HEIGHT = 380 };

struct paint {
	Display *display;
	Window window;
	GC gc;
	Visual *visual;
	int depth;
};

static void color(struct paint *p, unsigned long rgb)
{
	XSetForeground(p->display, p->gc, rgb);
}

/* A picture of 32-bit pixels, as smooth as a photograph. */
static XImage *picture(struct paint *p, int width, int height)
{
	uint32_t *pixels = malloc((size_t)width * (size_t)height * 4);

	if (!pixels)
		exit(1);
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++)
			pixels[y * width + x] = (uint32_t)(x * 255 / width) << 16 |
				(uint32_t)(y * 255 / height) << 8 |
				(uint32_t)((x * x + y * y) / 40 & 255);
	return XCreateImage(p->display, p->visual, (unsigned)p->depth, ZPixmap, 0, (char *)pixels,
		(unsigned)width, (unsigned)height, 32, width * 4);
}

static Pixmap bitmap(struct paint *p)
{
	static const char bits[] = { 0x18, 0x3c, 0x66, (char)0xc3, (char)0xc3, 0x66, 0x3c, 0x18 };

	return XCreateBitmapFromData(p->display, p->window, bits, 8, 8);
}

static void fills(struct paint *p)
{
	Pixmap stipple = bitmap(p);
	Pixmap tile = XCreatePixmap(p->display, p->window, 12, 10, (unsigned)p->depth);
	XImage *image = picture(p, 12, 10);

	XPutImage(p->display, tile, p->gc, image, 0, 0, 0, 0, 12, 10);
	XDestroyImage(image);
	for (int i = 0; i < 4; i++) {
		color(p, 0x204080u + (unsigned)i * 0x302010u);
		XSetBackground(p->display, p->gc, 0xffe0a0);
		XSetStipple(p->display, p->gc, stipple);
		XSetTile(p->display, p->gc, tile);
		XSetTSOrigin(p->display, p->gc, i, 3);
		XSetFillStyle(p->display, p->gc, i);
		XFillRectangle(p->display, p->window, p->gc, 10 + 60 * i, 10, 52, 40);
		XFillArc(p->display, p->window, p->gc, 10 + 60 * i, 56, 52, 34, 30 * 64, 290 * 64);
	}
	XSetFillStyle(p->display, p->gc, FillSolid);
	color(p, 0x800020);
	XCopyPlane(p->display, stipple, p->window, p->gc, 0, 0, 8, 8, 260, 12, 1);
	XFreePixmap(p->display, tile);
	XFreePixmap(p->display, stipple);
}

static void raster_operations(struct paint *p)
{
	XImage *image = picture(p, 160, 40);

	XPutImage(p->display, p->window, p->gc, image, 0, 0, 270, 50, 160, 40);
	for (int i = 0; i < 16; i++) {
		XSetFunction(p->display, p->gc, i);
		color(p, 0x5a3cc3);
		XFillRectangle(p->display, p->window, p->gc, 270 + 10 * i, 54, 8, 14);
	}
	XSetFunction(p->display, p->gc, GXcopy);
	XDestroyImage(image);
}

static void lines(struct paint *p)
{
	static const char dashes[] = { 7, 3, 2, 3 };
	XPoint star[5];

	XSetDashes(p->display, p->gc, 1, dashes, sizeof(dashes));
	for (int i = 0; i < 12; i++) {
		color(p, 0x102030u * (unsigned)(i % 6) + 0x30u);
		XSetLineAttributes(p->display, p->gc, (unsigned)(i / 3 * 2), i % 3, i % 4, i % 3);
		XDrawLine(p->display, p->window, p->gc, 10, 100 + 7 * i, 90, 180 - 5 * i);
		XDrawArc(p->display, p->window, p->gc, 96 + 3 * i, 100 + 2 * i, 60, 50, i * 20 * 64,
			250 * 64);
	}
	for (int i = 0; i < 5; i++) {
		star[i].x = (short)(240 + 40 * sin(i * 4 * M_PI / 5));
		star[i].y = (short)(142 - 40 * cos(i * 4 * M_PI / 5));
	}
	XSetFillRule(p->display, p->gc, EvenOddRule);
	color(p, 0xb03020);
	XFillPolygon(p->display, p->window, p->gc, star, 5, Complex, CoordModeOrigin);
	XSetLineAttributes(p->display, p->gc, 5, LineSolid, CapRound, JoinRound);
	color(p, 0x103050);
	XDrawLines(p->display, p->window, p->gc, star, 5, CoordModeOrigin);
	XSetLineAttributes(p->display, p->gc, 0, LineSolid, CapButt, JoinMiter);
}

static void texts(struct paint *p)
{
	static const char text[] = "Text of the X core, 0123456789";

	color(p, 0x000000);
	XSetBackground(p->display, p->gc, 0xc0e0c0);
	XDrawString(p->display, p->window, p->gc, 10, 212, text, sizeof(text) - 1);
	XDrawImageString(p->display, p->window, p->gc, 10, 228, text, sizeof(text) - 1);
}

/* Within the window, overlapping. (Nothing is read back: what the QXL driver answers depends, under QEMU
 * too, on what it drew without the device before.) */
static void copies(struct paint *p)
{
	XRectangle clip[] = { { 0, 0, 30, 40 }, { 40, 10, 30, 40 }, { 20, 20, 30, 10 } };
	XImage *image = picture(p, 90, 60);

	XPutImage(p->display, p->window, p->gc, image, 0, 0, 220, 200, 90, 60);
	XDestroyImage(image);
	XCopyArea(p->display, p->window, p->window, p->gc, 220, 200, 80, 50, 226, 207);
	XCopyArea(p->display, p->window, p->window, p->gc, 230, 210, 70, 50, 222, 203);
	XSetClipRectangles(p->display, p->gc, 330, 200, clip, 3, Unsorted);
	XCopyArea(p->display, p->window, p->window, p->gc, 210, 110, 90, 60, 330, 200);
	XSetClipMask(p->display, p->gc, None);
}

static Picture render_picture(struct paint *p, Drawable drawable, int format)
{
	XRenderPictureAttributes none = { 0 };
	XRenderPictFormat *kind = format < 0 ? XRenderFindVisualFormat(p->display, p->visual)
					     : XRenderFindStandardFormat(p->display, format);

	return XRenderCreatePicture(p->display, drawable, kind, 0, &none);
}

static void gradients(struct paint *p, Picture window)
{
	XLinearGradient line = { { 0, 0 }, { XDoubleToFixed(90), XDoubleToFixed(30) } };
	XRadialGradient circle = { { XDoubleToFixed(40), XDoubleToFixed(30), 0 },
		{ XDoubleToFixed(45), XDoubleToFixed(30), XDoubleToFixed(35) } };
	XFixed stops[] = { 0, XDoubleToFixed(0.4), XDoubleToFixed(1) };
	XRenderColor colors[] = { { 0xffff, 0, 0, 0xffff }, { 0, 0x6000, 0x8000, 0x8000 },
		{ 0, 0x2000, 0x1000, 0x2000 } };
	Picture linear = XRenderCreateLinearGradient(p->display, &line, stops, colors, 3);
	Picture radial = XRenderCreateRadialGradient(p->display, &circle, stops, colors, 3);

	XRenderComposite(
		p->display, PictOpOver, linear, None, window, 0, 0, 0, 0, 220, 270, 90, 60);
	XRenderComposite(
		p->display, PictOpOver, radial, None, window, 0, 0, 0, 0, 320, 270, 90, 60);
	XRenderFreePicture(p->display, linear);
	XRenderFreePicture(p->display, radial);
}

static void compositing(struct paint *p)
{
	Picture window = render_picture(p, p->window, -1);
	Pixmap pixmap = XCreatePixmap(p->display, p->window, 40, 40, 32);
	Picture source = render_picture(p, pixmap, PictStandardARGB32);
	XTransform turn = { { { XDoubleToFixed(0.8), XDoubleToFixed(0.45), XDoubleToFixed(-4) },
		{ XDoubleToFixed(-0.45), XDoubleToFixed(0.8), XDoubleToFixed(12) },
		{ 0, 0, XDoubleToFixed(1) } } };
	XRenderColor clear = { 0, 0, 0, 0 }, half = { 0x2000, 0x5000, 0x1000, 0x8000 };
	XRenderColor ink = { 0x3000, 0, 0x4000, 0xc000 };
	XPointDouble corners[] = { { 330, 345 }, { 425, 352.5 }, { 352.25, 376.75 }, { 420, 335 } };
	Picture solid = XRenderCreateSolidFill(p->display, &ink);

	gradients(p, window);
	XRenderFillRectangle(p->display, PictOpSrc, source, &clear, 0, 0, 40, 40);
	XRenderFillRectangle(p->display, PictOpSrc, source, &half, 4, 4, 32, 20);
	XRenderFillRectangle(p->display, PictOpOver, source, &ink, 14, 10, 12, 26);
	XRenderComposite(
		p->display, PictOpOver, source, None, window, 0, 0, 0, 0, 225, 335, 40, 40);
	XRenderSetPictureTransform(p->display, source, &turn);
	XRenderSetPictureFilter(p->display, source, FilterBilinear, NULL, 0);
	XRenderComposite(
		p->display, PictOpOver, source, None, window, 0, 0, 0, 0, 270, 335, 44, 40);
	XRenderCompositeDoublePoly(p->display, PictOpOver, solid, window,
		XRenderFindStandardFormat(p->display, PictStandardA8), 0, 0, 0, 0, corners, 4,
		WindingRule);
	XRenderFreePicture(p->display, solid);
	XRenderFreePicture(p->display, source);
	XRenderFreePicture(p->display, window);
	XFreePixmap(p->display, pixmap);
}

static void paint(struct paint *p)
{
	XClearWindow(p->display, p->window);
	fills(p);
	raster_operations(p);
	lines(p);
	texts(p);
	copies(p);
	compositing(p);
	XSync(p->display, False);
	XStoreName(p->display, p->window, "painted");
	XFlush(p->display);
}

int main(int argc, char **argv)
{
	struct paint p = { .display = XOpenDisplay(NULL) };
	XSizeHints hints = { .flags = USPosition | PSize | PMinSize | PMaxSize };
	unsigned width, height;

	if (!p.display || argc < 2)
		return 1;
	XParseGeometry(argv[1], &hints.x, &hints.y, &width, &height);
	hints.width = hints.min_width = hints.max_width = WIDTH;
	hints.height = hints.min_height = hints.max_height = HEIGHT;
	p.visual = DefaultVisual(p.display, DefaultScreen(p.display));
	p.depth = DefaultDepth(p.display, DefaultScreen(p.display));
	p.window = XCreateSimpleWindow(p.display, DefaultRootWindow(p.display), hints.x, hints.y,
		WIDTH, HEIGHT, 0, 0, 0xf0f0e8);
	p.gc = XCreateGC(p.display, p.window, 0, NULL);
	XSetGraphicsExposures(p.display, p.gc, False);
	XSetWMNormalHints(p.display, p.window, &hints);
	XStoreName(p.display, p.window, "painting");
	XSelectInput(p.display, p.window, ExposureMask);
	XMapWindow(p.display, p.window);
	for (;;) {
		XEvent event;

		XNextEvent(p.display, &event);
		if (event.type == Expose && event.xexpose.count == 0)
			paint(&p);
	}
}

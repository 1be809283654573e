/* SPDX-License-Identifier: MIT */
/* How long a viewer takes from its start until a colour fills its window: runs the viewer, looks at
 * the X screen every 3 ms, prints the milliseconds, and ends the viewer.
 *
 *     bench_connect RRGGBB PROGRAM [ARGUMENT]...
 *
 * bench_connect.py gives it servers and viewers to compare. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <X11/Xlib.h>
#include <X11/Xutil.h>

#include "core/util.h"

enum { ROWS_APART = 64, ENOUGH_PIXELS = 300, PATIENCE_MS = 20000 };

/* Pixels of that colour in some rows of the screen. */
static uint32_t count(Display *x, unsigned long color)
{
	Window root = DefaultRootWindow(x);
	unsigned width = (unsigned)DisplayWidth(x, DefaultScreen(x));
	int height = DisplayHeight(x, DefaultScreen(x));
	uint32_t found = 0;

	for (int y = ROWS_APART / 2; y < height; y += ROWS_APART) {
		XImage *row = XGetImage(x, root, 0, y, width, 1, AllPlanes, ZPixmap);

		for (unsigned i = 0; row && i < width; i++)
			found += (XGetPixel(row, (int)i, 0) & 0xffffff) == color;
		if (row)
			XDestroyImage(row);
	}
	return found;
}

int main(int argc, char **argv)
{
	Display *x = XOpenDisplay(NULL);
	unsigned long color;
	uint64_t begin, now;
	pid_t child;

	if (argc < 3 || !x) {
		fputs("usage, on a display: bench_connect RRGGBB PROGRAM [ARGUMENT]...\n", stderr);
		return 2;
	}
	color = strtoul(argv[1], NULL, 16);
	if (count(x, color) > 0) {
		fputs("the screen shows that colour already\n", stderr);
		return 1;
	}
	begin = clock_monotonic_ns();
	child = fork();
	if (child == 0) {
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	do {
		usleep(3000);
		now = clock_monotonic_ns();
	} while (count(x, color) < ENOUGH_PIXELS && now - begin < PATIENCE_MS * 1000000ull);
	kill(child, SIGTERM);
	waitpid(child, NULL, 0);
	XCloseDisplay(x);
	if (now - begin >= PATIENCE_MS * 1000000ull)
		return 1;
	printf("%.1f\n", (double)(now - begin) / 1e6);
	return 0;
}

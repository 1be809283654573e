/* SPDX-License-Identifier: MIT */
/* What SDL does not do of X11: errors that must not end the process, and how dense the screen is. X
 * knows no scale factor; desktops leave the density of text in the resource "Xft.dpi" of the root
 * window. */
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/util.h"
#include "ui/window_impl.h"

#include <SDL_syswm.h>
#ifdef SDL_VIDEO_DRIVER_X11
#include <X11/Xlib.h>
#endif

#ifdef SDL_VIDEO_DRIVER_X11
/* Xlib's own handler ends the process. SDL wakes its loop through the X server on a connection of
 * its own, so a wake-up may reach the server after the window has gone. */
static int ignore_x_error(Display *display, XErrorEvent *error)
{
	log_debug("window", "X error %d of request %d", error->error_code, error->request_code);
	return 0;
}
#endif

void window_survive_x_errors(void)
{
#ifdef SDL_VIDEO_DRIVER_X11
	XSetErrorHandler(ignore_x_error);
#endif
}

uint32_t window_screen_zoom(SDL_Window *sdl)
{
	double dpi = 0;
#ifdef SDL_VIDEO_DRIVER_X11
	SDL_SysWMinfo info;
	SDL_VERSION(&info.version);
	if (SDL_GetWindowWMInfo(sdl, &info) && info.subsystem == SDL_SYSWM_X11) {
		const char *resources = XResourceManagerString(info.info.x11.display);
		const char *line = resources ? strstr(resources, "Xft.dpi:") : NULL;
		if (line && (line == resources || line[-1] == '\n'))
			dpi = strtod(line + strlen("Xft.dpi:"), NULL);
	}
#endif
	return dpi >= 144 && dpi < 1000 ? (uint32_t)(dpi / 96 + 0.5) : 1;
}

/* SPDX-License-Identifier: MIT */
/* How dense the screen is. X knows no scale factor; desktops leave the density of text in the
 * resource "Xft.dpi" of the root window. */
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "ui/window_impl.h"

#include <SDL_syswm.h>
#ifdef SDL_VIDEO_DRIVER_X11
#include <X11/Xlib.h>
#endif

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

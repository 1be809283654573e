/* SPDX-License-Identifier: MIT */
/* Glyphs as strokes on a grid, drawn for this guest. A point is a small letter for x (a = 0) and a
 * capital for y (A = -4, E = 0: the baseline, O = 10: a small letter's height, S = 14: a capital's).
 * Points are joined by lines, a ~ before a point makes it the control point of a quadratic curve,
 * a blank lifts the pen. */
#include "font.h"

static const char *const glyphs[95] = {
	"", /* space */
	"aSaI aEaF",
	"aSaO dSdO",
	"cEeS gEiS aIjI bNkN",
	"iP~hSeS~aSaP~aMeL~iKiI~iEeE~aEaH eCeU",
	"kSbE cO~aOaQ~aScS~eSeQ~eOcO jE~hEhG~hIjI~lIlG~lEjE",
	"kEcP~bSeS~hShP~hNeM~aKaH~aEdE~iEjJ",
	"aSaO",
	"dT~aPaK~aFdB",
	"aT~dPdK~dFaB",
	"dSdK aQgM gQaM",
	"eNeF aJiJ",
	"bFaC",
	"aJfJ",
	"aEaF",
	"aBgT",
	"eE~aEaL~aSeS~iSiL~iEeE", /* 0 */
	"bPfSfE",
	"aO~aSeS~iSiO~iLaEiE",
	"aQ~bSeS~hShP~hLdL~iLiI~iEeE~aEaH",
	"gEgSaIiI",
	"hSbSaL~bNeN~iNiJ~iEeE~aEaH",
	"hQ~gSeS~aSaJ~aEeE~iEiJ~iNeN~aNaJ",
	"aSiScE",
	"eL~bLbP~bSeS~hShP~hLeL~aLaI~aEeE~iEiI~iLeL",
	"bG~cEeE~iEiN~iSeS~aSaN~aJeJ~iJiN",
	"aEaF aMaN", /* : */
	"bFaC bMbN",
	"iNaJiF",
	"aLiL aHiH",
	"aNiJaF",
	"aP~aSdS~hShP~hMdKdI dEdF",
	"kF~iCfC~aCaK~aSgS~nSnK~nHlH~kHkJkN kK~kNhN~eNeK~eHhH~kHkK",
	"aEfSkE cJiJ", /* A */
	"aEaSeS~iSiP~iLeL aLfL~jLjI~jEfEaE",
	"jP~iSfS~aSaL~aEfE~iEjH",
	"aEaSeS~jSjL~jEeEaE",
	"iEaEaSiS aLgL",
	"aEaSiS aLgL",
	"jP~iSfS~aSaL~aEfE~jEjJjLfL",
	"aEaS jEjS aLjL",
	"aEaS",
	"gSgI~gEdE~aEaH",
	"aEaS iSaK dNjE",
	"aSaEhE",
	"aEaSfHkSkE",
	"aEaSjEjS",
	"fE~aEaL~aSfS~kSkL~kEfE",
	"aEaSeS~jSjO~jKeKaK",
	"fE~aEaL~aSfS~kSkL~kEfE gHkD",
	"aEaSeS~jSjO~jKeKaK eKjE",
	"iP~hSeS~aSaP~aMeL~iKiI~iEeE~aEaH",
	"eEeS aSiS",
	"aSaJ~aEeE~iEiJiS",
	"aSfEkS",
	"aSdEgSjEmS",
	"aSjE aEjS",
	"aSeLiS eLeE",
	"aSiSaEiE",
	"dTaTaBdB", /* [ */
	"aTgB",
	"aTdTdBaB",
	"aNeSiN",
	"aBjB",
	"aSdP",
	"bN~cOeO~hOhKhE hKdK~aKaH~aEdE~hEhH", /* a */
	"aSaE aJ~aOeO~iOiJ~iEeE~aEaJ",
	"hM~gOeO~aOaJ~aEeE~gEhG",
	"iSiE iJ~iOeO~aOaJ~aEeE~iEiJ",
	"aJiJ~iOeO~aOaJ~aEeE~gEhG",
	"fS~cScPcE aOfO",
	"iOiD~iAeA~bAaB iJ~iOeO~aOaJ~aEeE~iEiJ",
	"aSaE aJ~aOeO~hOhKhE",
	"aOaE aRaS",
	"cOcC~cAaA cRcS",
	"aSaE gOaI cKhE",
	"aSaG~aEcE",
	"aOaE aK~aOdO~gOgKgE gK~gOjO~mOmKmE",
	"aOaE aJ~aOeO~hOhKhE",
	"eE~aEaJ~aOeO~iOiJ~iEeE",
	"aOaA aJ~aOeO~iOiJ~iEeE~aEaJ",
	"iOiA iJ~iOeO~aOaJ~aEeE~iEiJ",
	"aOaE aJ~aOeO",
	"gM~fOdO~aOaM~aKdJ~gJgG~gEdE~bEaG",
	"cRcH~cEfE aOfO",
	"aOaI~aEdE~hEhJ hOhE",
	"aOeEiO",
	"aOdEgOjEmO",
	"aOhE aEhO",
	"aOeE iOdB~cAaA",
	"aOhOaEhE",
	"eT~cTcQcN~cKaK~cKcHcE~cBeB", /* { */
	"aTaB",
	"aT~cTcQcN~cKeK~cKcHcE~cBaB",
	"aJ~bMeK~hIiL",
};

static const struct {
	float scale; /* pixels for one step of the grid */
	float weight; /* of a stroke, pixels */
} styles[FONT_STYLES] = {
	[FONT_SMALL] = { 0.64f, 1.05f },
	[FONT_NORMAL] = { 0.78f, 1.25f },
	[FONT_BOLD] = { 0.80f, 1.85f },
	[FONT_LARGE] = { 1.30f, 2.2f },
	[FONT_HUGE] = { 3.0f, 4.0f },
};

enum { GLYPH_MARGIN = 2, GRID_DESCENT = 5, GRID_HEIGHT = 22, ARENA_BYTES = 512 * 1024 };

struct glyph {
	uint8_t *coverage; /* NULL: not made yet */
	uint16_t width, height;
	int16_t advance;
};

static struct glyph cache[FONT_STYLES][95];
static uint8_t arena[ARENA_BYTES] __attribute__((section(".lazy")));
static uint32_t arena_used;

/* Adds a line's coverage to the glyph: the greatest of all strokes counts. */
static void glyph_line(struct glyph *glyph, const float from[2], const float to[2], float half)
{
	float dx = to[0] - from[0], dy = to[1] - from[1], length = dx * dx + dy * dy;
	float margin = half + 1;
	int32_t left = (from[0] < to[0] ? from[0] : to[0]) - margin;
	int32_t right = (from[0] < to[0] ? to[0] : from[0]) + margin;
	int32_t top = (from[1] < to[1] ? from[1] : to[1]) - margin;
	int32_t bottom = (from[1] < to[1] ? to[1] : from[1]) + margin;

	for (int32_t y = max32(top, 0); y <= min32(bottom, glyph->height - 1); y++) {
		for (int32_t x = max32(left, 0); x <= min32(right, glyph->width - 1); x++) {
			float px = x + 0.5f - from[0], py = y + 0.5f - from[1], t = 0, c;
			uint8_t *at = glyph->coverage + y * glyph->width + x;

			if (length > 0)
				t = float_clamp((px * dx + py * dy) / length, 0, 1);
			px -= t * dx;
			py -= t * dy;
			c = float_clamp(half + 0.5f - __builtin_sqrtf(px * px + py * py), 0, 1);
			if (c * 255 > *at)
				*at = c * 255;
		}
	}
}

static void glyph_curve(struct glyph *glyph, const float from[2], const float control[2],
	const float to[2], float half)
{
	enum { STEPS = 7 };
	float last[2] = { from[0], from[1] };

	for (int step = 1; step <= STEPS; step++) {
		float t = (float)step / STEPS, s = 1 - t, next[2];

		for (int i = 0; i < 2; i++)
			next[i] = s * s * from[i] + 2 * s * t * control[i] + t * t * to[i];
		glyph_line(glyph, last, next, half);
		last[0] = next[0];
		last[1] = next[1];
	}
}

static void glyph_draw(struct glyph *glyph, const char *strokes, float scale, float weight)
{
	float baseline = (int32_t)((GRID_HEIGHT - GRID_DESCENT) * scale) + 0.0f;
	float pen[2] = { 0, 0 }, control[2], point[2];
	bool down = false, curve = false;

	for (; *strokes; strokes++) {
		if (*strokes == ' ') {
			down = false;
			continue;
		}
		if (*strokes == '~') {
			curve = true;
			continue;
		}
		point[0] = GLYPH_MARGIN + (strokes[0] - 'a') * scale;
		point[1] = baseline - (strokes[1] - 'E') * scale - weight * 0.5f;
		strokes++;
		if (curve) {
			control[0] = point[0];
			control[1] = point[1];
			/* The end point comes next. */
			point[0] = GLYPH_MARGIN + (strokes[1] - 'a') * scale;
			point[1] = baseline - (strokes[2] - 'E') * scale - weight * 0.5f;
			strokes += 2;
			glyph_curve(glyph, pen, control, point, weight * 0.5f);
			curve = false;
		} else if (down) {
			glyph_line(glyph, pen, point, weight * 0.5f);
		}
		down = true;
		pen[0] = point[0];
		pen[1] = point[1];
	}
}

static const struct glyph *glyph_get(enum font_style style, char c)
{
	uint32_t index = c < ' ' || c > '~' ? '?' - ' ' : c - ' ';
	struct glyph *glyph = &cache[style][index];
	float scale = styles[style].scale;
	const char *strokes = glyphs[index];
	int32_t right = 0, size;

	if (glyph->coverage)
		return glyph;
	for (const char *at = strokes; *at; at++)
		if (*at >= 'a' && *at <= 'z')
			right = max32(right, *at - 'a');
	/* Figures are equally wide, so that a clock does not jump. */
	if (index >= '0' - ' ' && index <= '9' - ' ')
		right = 8;
	glyph->width = (uint16_t)(right * scale + 2 * GLYPH_MARGIN + 2);
	glyph->height = (uint16_t)(GRID_HEIGHT * scale + 2);
	glyph->advance = (right + (index ? 3.2f : 5.5f)) * scale + 0.5f;
	size = glyph->width * glyph->height;
	if (arena_used + size > ARENA_BYTES)
		guest_panic("font: no room for glyphs");
	glyph->coverage = arena + arena_used;
	arena_used += size;
	memset(glyph->coverage, 0, size);
	glyph_draw(glyph, strokes, scale, styles[style].weight);
	return glyph;
}

int32_t font_line_height(enum font_style style)
{
	return GRID_HEIGHT * styles[style].scale + 1;
}

int32_t font_width(enum font_style style, const char *text)
{
	int32_t width = 0;

	for (; *text; text++)
		width += glyph_get(style, *text)->advance;
	return width;
}

int32_t font_draw(struct image *image, enum font_style style, int32_t x, int32_t y, uint32_t color,
	const char *text)
{
	int32_t up = (GRID_HEIGHT - GRID_DESCENT) * styles[style].scale;

	for (; *text; text++) {
		const struct glyph *glyph = glyph_get(style, *text);

		for (int32_t row = 0; row < glyph->height; row++) {
			const uint8_t *coverage = glyph->coverage + row * glyph->width;

			for (int32_t column = 0; column < glyph->width; column++) {
				if (coverage[column])
					image_blend(image, x + column - GLYPH_MARGIN, y - up + row,
						color, coverage[column] + 1);
			}
		}
		x += glyph->advance;
	}
	return x;
}

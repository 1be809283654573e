/* SPDX-License-Identifier: MIT */
/* The demo's pictures, computed: a lake at dusk, and a ray-traced ball. */
#include "desktop.h"

struct vec {
	float x, y, z;
};

static struct vec vec_make(float x, float y, float z)
{
	return (struct vec){ x, y, z };
}

static struct vec vec_add(struct vec a, struct vec b, float scale)
{
	return vec_make(a.x + b.x * scale, a.y + b.y * scale, a.z + b.z * scale);
}

static struct vec vec_mix(struct vec a, struct vec b, float t)
{
	return vec_make(a.x + (b.x - a.x) * t, a.y + (b.y - a.y) * t, a.z + (b.z - a.z) * t);
}

static float dot(struct vec a, struct vec b)
{
	return a.x * b.x + a.y * b.y + a.z * b.z;
}

static uint32_t hash(uint32_t v)
{
	v = (v ^ v >> 16) * 0x45d9f3b;
	v = (v ^ v >> 16) * 0x45d9f3b;
	return v ^ v >> 16;
}

static float hash_float(uint32_t v)
{
	return (hash(v) & 0xffff) * (1.0f / 65536);
}

/* Smooth one-dimensional noise, 0..1, x >= 0. */
static float noise(float x, uint32_t seed)
{
	uint32_t i = (uint32_t)x;
	float t = x - i, a = hash_float(i + seed * 7919), b = hash_float(i + 1 + seed * 7919);

	t = t * t * (3 - 2 * t);
	return a + (b - a) * t;
}

static float ridge_noise(float x, uint32_t seed)
{
	float sum = 0, weight = 0.5f;

	for (uint32_t octave = 0; octave < 6; octave++) {
		sum += noise(x, seed + octave) * weight;
		x *= 2.03f;
		weight *= 0.5f;
	}
	return sum;
}

/* Colours 0..255, with a little noise so that gradients show no bands. */
static uint32_t pixel(struct vec c, uint32_t seed)
{
	float grain = hash_float(seed) - 0.5f;

	return rgb((uint32_t)float_clamp(c.x + grain + 0.5f, 0, 255),
		(uint32_t)float_clamp(c.y + grain + 0.5f, 0, 255),
		(uint32_t)float_clamp(c.z + grain + 0.5f, 0, 255));
}

enum { RIDGES = 4 };

static const struct {
	float height, rise,
		scale; /* shares of the lake line's height; noise steps over the width */
	struct vec color, foot; /* at the crest and where mist lies */
} ridges[RIDGES] = {
	{ 0.50f, 0.30f, 4.0f, { 148, 112, 152 }, { 226, 160, 150 } },
	{ 0.64f, 0.28f, 6.0f, { 100, 82, 132 }, { 186, 130, 146 } },
	{ 0.80f, 0.22f, 8.0f, { 58, 56, 102 }, { 122, 94, 128 } },
	{ 0.97f, 0.16f, 13.0f, { 22, 28, 58 }, { 44, 44, 82 } },
};

static struct vec sky_color(float x, float v, float sun_x, float sun_v, float aspect)
{
	static const struct vec top = { 24, 28, 76 }, middle = { 120, 76, 140 };
	static const struct vec low = { 246, 150, 118 }, glow = { 255, 226, 170 };
	float dx = (x - sun_x) * aspect, dv = v - sun_v;
	float d = __builtin_sqrtf(dx * dx + dv * dv);
	struct vec c = v < 0.55f ? vec_mix(top, middle, v / 0.55f)
				 : vec_mix(middle, low, float_clamp((v - 0.55f) / 0.4f, 0, 1));
	float halo = float_clamp(1 - d * 1.5f, 0, 1);

	c = vec_mix(c, glow, halo * halo * halo * 0.9f);
	return vec_mix(c, vec_make(255, 246, 224), float_clamp((0.062f - d) * 160, 0, 1));
}

/* The nearest ridge that covers the pixel hides what is behind it. */
static struct vec land_color(
	float crest[RIDGES][2560], int32_t x, int32_t y, float u, int32_t lake, float aspect)
{
	float v = (float)y / lake, below;
	struct vec c = { 0, 0, 0 };
	int32_t i = RIDGES - 1;

	while (i >= 0 && y + 1 - crest[i][x] < 1)
		i--;
	if (i < 0) {
		uint32_t star = v < 0.45f ? hash(x * 3571 + y * 104729) : 1;

		c = sky_color(u, v, 0.412f, 0.43f, aspect);
		if (star % 1400 == 0)
			c = vec_mix(c, vec_make(255, 250, 240),
				(0.45f - v) * 1.6f * ((star >> 16 & 255) / 255.0f));
		i = 0;
	}
	for (; i < RIDGES; i++) {
		below = y + 1 - crest[i][x];
		if (below <= 0)
			continue;
		c = vec_mix(c,
			vec_mix(ridges[i].color, ridges[i].foot,
				float_clamp(below / (lake * 0.28f), 0, 1)),
			float_clamp(below, 0, 1));
	}
	return c;
}

static void wallpaper_land(struct image *image, int32_t lake)
{
	static float crest[RIDGES][2560];
	float aspect = (float)image->width / lake;

	for (int32_t i = 0; i < RIDGES; i++)
		for (int32_t x = 0; x < image->width; x++)
			crest[i][x] = lake *
				(ridges[i].height + ridges[i].rise * 0.5f -
					ridges[i].rise *
						ridge_noise(
							(float)x / image->width * ridges[i].scale,
							i * 31 + 5));
	for (int32_t y = 0; y < lake; y++)
		for (int32_t x = 0; x < image->width; x++)
			image->pixels[y * image->stride + x] = pixel(
				land_color(crest, x, y, (float)x / image->width, lake, aspect),
				x + y * 4099);
}

/* The land upside down, waved and darker. */
static void wallpaper_lake(struct image *image, int32_t lake)
{
	for (int32_t y = lake; y < image->height; y++) {
		float depth = (float)(y - lake) / (image->height - lake);
		float wave = sine(depth * depth * 2.0f + 14.0f * depth) * (1 + 5 * depth);

		for (int32_t x = 0; x < image->width; x++) {
			float ripple = sine(x * 0.004f + depth * 21) * wave +
				(noise(y * 0.6f + x * 0.02f, 77) - 0.5f) * 10 * depth;
			int32_t from_y = lake - 1 - (int32_t)((y - lake) * 1.35f + ripple);
			int32_t from_x = x + (int32_t)ripple;
			uint32_t color;

			from_y = min32(max32(from_y, 0), lake - 1);
			from_x = min32(max32(from_x, 0), image->width - 1);
			color = image->pixels[from_y * image->stride + from_x];
			color = color_mix(color, 0x141c3c, 90 + (uint32_t)(depth * 90));
			if (y == lake)
				color = color_mix(color, 0xe8c0b0, 70);
			image->pixels[y * image->stride + x] = color;
		}
	}
}

void art_wallpaper(struct image *image)
{
	int32_t lake = image->height * 7 / 10;

	wallpaper_land(image, lake);
	wallpaper_lake(image, lake);
}

/* ---- the ball ---- */

struct ray_scene {
	struct vec ball, light;
	float radius;
};

/* Distance along a ray of unit direction to the ball, or -1. */
static float ray_ball(const struct ray_scene *scene, struct vec from, struct vec along)
{
	struct vec to = vec_add(scene->ball, from, -1);
	float b = dot(to, along), h = b * b - dot(to, to) + scene->radius * scene->radius;

	return h < 0 || b < 0 ? -1 : b - __builtin_sqrtf(h);
}

static struct vec ray_sky(const struct ray_scene *scene, struct vec along)
{
	float up = float_clamp(along.y * 1.6f, 0, 1), sun = dot(along, scene->light);
	struct vec c = vec_mix(vec_make(252, 196, 150), vec_make(46, 70, 140), up);

	if (sun > 0.9f)
		c = vec_mix(c, vec_make(255, 244, 220), (sun - 0.9f) * (sun - 0.9f) * 100);
	return c;
}

static struct vec ray_floor(const struct ray_scene *scene, struct vec from, struct vec along)
{
	float distance = -from.y / along.y, shade = 1, fog;
	struct vec at = vec_add(from, along, distance), c, to_ball;
	int32_t tile;

	tile = (int32_t)(at.x + 1000) + (int32_t)(at.z + 1000);
	c = tile & 1 ? vec_make(232, 228, 220) : vec_make(38, 120, 130);
	/* Shadow: how near the way to the light passes the ball. */
	to_ball = vec_add(scene->ball, at, -1);
	if (dot(to_ball, scene->light) > 0) {
		float b = dot(to_ball, scene->light);
		float miss = __builtin_sqrtf(dot(to_ball, to_ball) - b * b) / scene->radius;

		shade = 0.35f + 0.65f * float_clamp((miss - 0.8f) * 2.5f, 0, 1);
	}
	fog = float_clamp(distance * 0.055f, 0, 1);
	return vec_mix(vec_make(c.x * shade, c.y * shade, c.z * shade), vec_make(252, 196, 150),
		fog * fog);
}

static struct vec ray_beyond(const struct ray_scene *scene, struct vec from, struct vec along)
{
	return along.y < -0.004f ? ray_floor(scene, from, along) : ray_sky(scene, along);
}

static struct vec ray_trace(const struct ray_scene *scene, struct vec from, struct vec along)
{
	float distance = ray_ball(scene, from, along), facing, light;
	struct vec at, normal, mirrored, c;

	if (distance < 0)
		return ray_beyond(scene, from, along);
	at = vec_add(from, along, distance);
	normal = vec_add(at, scene->ball, -1);
	normal = vec_make(
		normal.x / scene->radius, normal.y / scene->radius, normal.z / scene->radius);
	facing = -dot(normal, along);
	mirrored = vec_add(along, normal, 2 * facing);
	light = float_clamp(dot(normal, scene->light), 0, 1);
	c = vec_make(230 * (0.25f + 0.75f * light), 84 * (0.25f + 0.75f * light),
		64 * (0.25f + 0.75f * light));
	facing = 1 - facing;
	c = vec_mix(c, ray_beyond(scene, at, mirrored), 0.22f + 0.6f * facing * facing * facing);
	light = float_clamp((dot(mirrored, scene->light) - 0.95f) * 20, 0, 1);
	return vec_mix(c, vec_make(255, 255, 250), light * light);
}

void art_ray_frame(struct image *image, uint32_t frame)
{
	float time = frame * (1.0f / 30), hop = time * 0.9f - (int32_t)(time * 0.9f);
	float turn = time * 0.035f, scale = 2.0f / image->height;
	struct vec eye = { 4.6f * sine(turn), 1.7f, 4.6f * sine(turn + 0.25f) };
	struct ray_scene scene = { .radius = 1, .light = { 0.53f, 0.62f, 0.578f } };
	float length = __builtin_sqrtf(eye.x * eye.x + eye.z * eye.z);
	struct vec ahead = { -eye.x / length, -0.10f, -eye.z / length };
	struct vec side = { -ahead.z, 0, ahead.x };

	scene.ball = vec_make(0, 1 + 4.4f * hop * (1 - hop), 0);
	for (int32_t y = 0; y < image->height; y++) {
		uint32_t *row = image->pixels + y * image->stride;
		float v = (image->height * 0.5f - y) * scale * 0.62f;

		for (int32_t x = 0; x < image->width; x++) {
			float u = (x - image->width * 0.5f) * scale * 0.62f, n;
			struct vec along = vec_add(ahead, side, u), c;

			along.y += v;
			n = 1 / __builtin_sqrtf(dot(along, along));
			along = vec_make(along.x * n, along.y * n, along.z * n);
			c = ray_trace(&scene, eye, along);
			row[x] = rgb((uint32_t)c.x, (uint32_t)c.y, (uint32_t)c.z);
		}
	}
}

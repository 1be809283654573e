/* SPDX-License-Identifier: MIT */
/* Software drawing for what the guest then hands to the device as bitmaps. */
#include "gfx.h"

struct rect rect_intersect(struct rect a, struct rect b)
{
	int32_t left = max32(a.x, b.x), top = max32(a.y, b.y);
	int32_t right = min32(a.x + a.width, b.x + b.width);
	int32_t bottom = min32(a.y + a.height, b.y + b.height);

	return rect_make(left, top, max32(right - left, 0), max32(bottom - top, 0));
}

uint32_t color_mix(uint32_t a, uint32_t b, uint32_t t)
{
	uint32_t even = ((a & 0xff00ff) * (256 - t) + (b & 0xff00ff) * t) >> 8;
	uint32_t odd = ((a & 0x00ff00) * (256 - t) + (b & 0x00ff00) * t) >> 8;

	return (even & 0xff00ff) | (odd & 0x00ff00);
}

void image_fill(struct image *image, struct rect area, uint32_t color)
{
	area = rect_intersect(area, image_rect(image));
	for (int32_t y = area.y; y < area.y + area.height; y++) {
		uint32_t *row = image->pixels + y * image->stride + area.x;

		for (int32_t x = 0; x < area.width; x++)
			row[x] = color;
	}
}

void image_gradient(struct image *image, struct rect area, uint32_t top, uint32_t bottom)
{
	for (int32_t y = 0; y < area.height; y++) {
		uint32_t t = area.height > 1 ? y * 256 / (area.height - 1) : 0;

		image_fill(image, rect_make(area.x, area.y + y, area.width, 1),
			color_mix(top, bottom, t));
	}
}

void image_blend(struct image *image, int32_t x, int32_t y, uint32_t color, uint32_t coverage)
{
	if (x >= 0 && y >= 0 && x < image->width && y < image->height) {
		uint32_t *pixel = image->pixels + y * image->stride + x;

		*pixel = color_mix(*pixel, color, coverage);
	}
}

/* How much of the pixel at (x, y) a shape covers whose edge is `distance` away (inside < 0). */
static uint32_t edge_coverage(float distance)
{
	return (uint32_t)(float_clamp(0.5f - distance, 0, 1) * 256);
}

void image_round(
	struct image *image, struct rect area, int32_t radius, uint32_t color, uint32_t coverage)
{
	float cx = area.x + area.width * 0.5f, cy = area.y + area.height * 0.5f;
	float half_x = area.width * 0.5f - radius, half_y = area.height * 0.5f - radius;
	struct rect clip = rect_intersect(area, image_rect(image));

	for (int32_t y = clip.y; y < clip.y + clip.height; y++) {
		float dy = float_abs(y + 0.5f - cy) - half_y;

		for (int32_t x = clip.x; x < clip.x + clip.width; x++) {
			float dx = float_abs(x + 0.5f - cx) - half_x;
			uint32_t c = 256;

			if (dx > 0 && dy > 0)
				c = edge_coverage(__builtin_sqrtf(dx * dx + dy * dy) - radius);
			image_blend(image, x, y, color, c * coverage >> 8);
		}
	}
}

void image_disc(struct image *image, float x, float y, float radius, uint32_t color)
{
	image_line(image, x, y, x, y, radius * 2, color);
}

void image_line(
	struct image *image, float x0, float y0, float x1, float y1, float width, uint32_t color)
{
	float dx = x1 - x0, dy = y1 - y0, length = dx * dx + dy * dy, half = width * 0.5f;
	float margin = half + 2;
	int32_t left = (x0 < x1 ? x0 : x1) - margin, right = (x0 < x1 ? x1 : x0) + margin;
	int32_t top = (y0 < y1 ? y0 : y1) - margin, bottom = (y0 < y1 ? y1 : y0) + margin;

	for (int32_t y = max32(top, 0); y <= min32(bottom, image->height - 1); y++) {
		for (int32_t x = max32(left, 0); x <= min32(right, image->width - 1); x++) {
			float px = x + 0.5f - x0, py = y + 0.5f - y0, t = 0;

			if (length > 0)
				t = float_clamp((px * dx + py * dy) / length, 0, 1);
			px -= t * dx;
			py -= t * dy;
			image_blend(image, x, y, color,
				edge_coverage(__builtin_sqrtf(px * px + py * py) - half));
		}
	}
}

uint32_t image_crc(const struct image *image)
{
	uint32_t table[256], crc = 0xffffffff;

	for (uint32_t i = 0; i < 256; i++) {
		uint32_t value = i;

		for (int bit = 0; bit < 8; bit++)
			value = value >> 1 ^ (value & 1 ? 0xedb88320 : 0);
		table[i] = value;
	}
	for (int32_t y = 0; y < image->height; y++) {
		const uint32_t *row = image->pixels + y * image->stride;

		for (int32_t x = 0; x < image->width; x++) {
			uint32_t pixel = row[x] & 0xffffff;

			for (int byte = 0; byte < 4; byte++, pixel >>= 8)
				crc = crc >> 8 ^ table[(crc ^ pixel) & 0xff];
		}
	}
	return ~crc;
}

float sine(float turns)
{
	float t = turns - (int32_t)turns, y;

	if (t < 0)
		t += 1;
	t = t * 2 - 1; /* -1..1, sine of -pi t */
	y = 4 * t * (1 - float_abs(t));
	return -(0.775f * y + 0.225f * y * float_abs(y));
}

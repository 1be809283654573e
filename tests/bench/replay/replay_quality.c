/* SPDX-License-Identifier: MIT */
/*
 * replay-quality TRACE FRAMES: how good the frames were that replay-client was shown. The trace is
 * played into a canvas; the area is cut into bands, and each band of a shown frame is compared with
 * the source's state of it that it is nearest to (a frame may be shown while the next is drawn, and
 * which was meant is not told). Prints the mean PSNR and SSIM of the brightness as JSON, and how many
 * of the source's states were shown.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/display.h"
#include "core/util.h"
#include "tests/bench/replay/frames.h"
#include "tests/bench/replay/player.h"

enum { BAND_ROWS = 16, BANDS_MAX = 256, STATES_MAX = 1 << 16, SSIM_SIDE = 8, SEARCH_STEP = 5 };
#define PSNR_MAX 60.0 /* what counts for pixels that are the same */

/* The states that a band had, one after the other. */
struct band {
	uint8_t **states;
	uint32_t count, capacity;
	bool *shown;
	uint32_t last; /* the one that was found last: where the search begins */
};

struct quality {
	struct frames_header header;
	struct rect area;
	struct band bands[BANDS_MAX];
	uint32_t band_count;
	uint64_t frames;
	double psnr, ssim, squares;
	double *psnrs; /* of each frame */
	size_t capacity;
};

static uint32_t band_rows(const struct quality *q, uint32_t band)
{
	return MIN((uint32_t)BAND_ROWS, q->header.height - band * BAND_ROWS);
}

static size_t band_bytes(const struct quality *q, uint32_t band)
{
	return (size_t)q->header.width * band_rows(q, band);
}

/* ---- the source ---- */

static int add_state(struct band *band, const uint8_t *pixels, size_t size)
{
	uint8_t *copy;

	if (band->count && memcmp(band->states[band->count - 1], pixels, size) == 0)
		return 0;
	if (band->count == band->capacity) {
		uint32_t capacity = MAX(2 * band->capacity, 64u);
		uint8_t **grown = realloc(band->states, capacity * sizeof(*grown));

		if (!grown || capacity > STATES_MAX)
			return -ENOMEM;
		band->states = grown;
		band->capacity = capacity;
	}
	copy = malloc(size);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, pixels, size);
	band->states[band->count++] = copy;
	return 0;
}

/* The area's bands as they are now. */
static int add_states(struct quality *q, struct display *display)
{
	uint8_t *pixels;
	uint32_t *words;
	struct image *image;
	int err = display_snapshot(display, DISPLAY_PRIMARY, &q->area, &image);

	if (err)
		return err == -ENOENT ? 0 : err;
	pixels = malloc((size_t)q->header.width * BAND_ROWS);
	words = malloc((size_t)image->width * sizeof(*words));
	if (!pixels || !words)
		err = -ENOMEM;
	if (image->width != q->header.width || image->height != q->header.height)
		err = -EINVAL;
	for (uint32_t b = 0; b < q->band_count && !err; b++) {
		for (uint32_t y = 0; y < band_rows(q, b); y++) {
			image_row_to_argb(image, 0, b * BAND_ROWS + y, image->width, words);
			frames_brightness(
				pixels + (size_t)y * q->header.width, words, image->width);
		}
		err = add_state(&q->bands[b], pixels, band_bytes(q, b));
	}
	free(pixels);
	free(words);
	image_unref(image);
	return err;
}

static int play(struct quality *q, const char *path)
{
	struct display *display;
	struct player player;
	int ret = display_create(&display);
	uint64_t draws = 0;

	if (ret)
		return ret;
	ret = player_init(&player, path, display_sink(display));
	if (ret) {
		display_destroy(display);
		return ret;
	}
	for (ret = player_peek(&player); ret == 1; ret = player_peek(&player)) {
		player_step(&player);
		if (player.draws != draws && add_states(q, display) < 0) {
			ret = -ENOMEM;
			break;
		}
		draws = player.draws;
	}
	player_finish(&player);
	display_destroy(display);
	return ret;
}

/* ---- the comparison ---- */

static double squares(const uint8_t *a, const uint8_t *b, size_t size, size_t step)
{
	double sum = 0;
	size_t count = 0;

	for (size_t i = 0; i < size; i += step, count++) {
		int d = a[i] - b[i];

		sum += d * d;
	}
	return count ? sum / (double)count : 0;
}

/* The state that the shown band is nearest to. */
static uint32_t nearest(struct band *band, const uint8_t *shown, size_t size)
{
	double best = -1;
	uint32_t found = 0;

	for (uint32_t i = 0; i < band->count && best != 0; i++) {
		uint32_t at = (band->last + i) % band->count;
		double error = squares(band->states[at], shown, size, SEARCH_STEP);

		if (best < 0 || error < best) {
			best = error;
			found = at;
		}
	}
	band->last = found;
	return found;
}

/* Structural similarity (Wang and others, 2004) over windows without overlap. */
static double window_ssim(const uint8_t *a, const uint8_t *b, uint32_t stride)
{
	const double n = SSIM_SIDE * SSIM_SIDE, c1 = 6.5025, c2 = 58.5225;
	double sa = 0, sb = 0, saa = 0, sbb = 0, sab = 0;
	double ma, mb, va, vb, cov;

	for (uint32_t y = 0; y < SSIM_SIDE; y++) {
		for (uint32_t x = 0; x < SSIM_SIDE; x++) {
			double pa = a[y * stride + x], pb = b[y * stride + x];

			sa += pa;
			sb += pb;
			saa += pa * pa;
			sbb += pb * pb;
			sab += pa * pb;
		}
	}
	ma = sa / n;
	mb = sb / n;
	va = saa / n - ma * ma;
	vb = sbb / n - mb * mb;
	cov = sab / n - ma * mb;
	return (2 * ma * mb + c1) * (2 * cov + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2));
}

static void add_ssim(const struct quality *q, uint32_t band, const uint8_t *a, const uint8_t *b,
	double *sum, uint64_t *count)
{
	for (uint32_t y = 0; y + SSIM_SIDE <= band_rows(q, band); y += SSIM_SIDE) {
		for (uint32_t x = 0; x + SSIM_SIDE <= q->header.width; x += SSIM_SIDE) {
			size_t at = (size_t)y * q->header.width + x;

			*sum += window_ssim(a + at, b + at, q->header.width);
			(*count)++;
		}
	}
}

static double psnr_of(double error)
{
	return error > 0 ? MIN(10 * log10(255.0 * 255.0 / error), PSNR_MAX) : PSNR_MAX;
}

static int keep_psnr(struct quality *q, double psnr)
{
	if (q->frames == q->capacity) {
		size_t capacity = MAX(2 * q->capacity, (size_t)256);
		double *grown = realloc(q->psnrs, capacity * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		q->psnrs = grown;
		q->capacity = capacity;
	}
	q->psnrs[q->frames] = psnr;
	return 0;
}

static void judge(struct quality *q, const uint8_t *frame)
{
	double error = 0, ssim = 0, psnr;
	uint64_t windows = 0;
	size_t pixels = 0;

	for (uint32_t b = 0; b < q->band_count; b++) {
		const uint8_t *shown = frame + (size_t)b * BAND_ROWS * q->header.width;
		size_t size = band_bytes(q, b);
		uint32_t at;

		if (!q->bands[b].count)
			return;
		at = nearest(&q->bands[b], shown, size);
		q->bands[b].shown[at] = true;
		error += squares(q->bands[b].states[at], shown, size, 1) * (double)size;
		pixels += size;
		add_ssim(q, b, q->bands[b].states[at], shown, &ssim, &windows);
	}
	error /= (double)pixels;
	psnr = psnr_of(error);
	if (keep_psnr(q, psnr) < 0)
		return;
	q->psnr += psnr;
	q->squares += error;
	q->ssim += windows ? ssim / (double)windows : 1;
	q->frames++;
}

static int read_frames(struct quality *q, FILE *file)
{
	size_t size = (size_t)q->header.width * q->header.height;
	uint8_t *frame = malloc(size);
	uint64_t time_ns;

	for (uint32_t b = 0; b < q->band_count; b++) {
		q->bands[b].shown = calloc(MAX(q->bands[b].count, 1u), sizeof(bool));
		if (!q->bands[b].shown) {
			free(frame);
			return -ENOMEM;
		}
	}
	while (frame && fread(&time_ns, sizeof(time_ns), 1, file) == 1 &&
		fread(frame, size, 1, file) == 1)
		judge(q, frame);
	free(frame);
	return frame ? 0 : -ENOMEM;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The mean counts every frame alike, exact ones as PSNR_MAX; "pooled" is that of all their errors. */
static void report(const struct quality *q)
{
	uint64_t states = 0, shown = 0, n = q->frames;

	for (uint32_t b = 0; b < q->band_count; b++) {
		states += q->bands[b].count;
		for (uint32_t i = 0; i < q->bands[b].count; i++)
			shown += q->bands[b].shown && q->bands[b].shown[i];
	}
	if (n)
		qsort(q->psnrs, n, sizeof(*q->psnrs), compare);
	printf("{\"frames\": %" PRIu64 ", \"psnr_db\": %.2f, \"psnr_pooled_db\": %.2f, "
	       "\"psnr_median_db\": %.2f, \"psnr_min_db\": %.2f, \"ssim\": %.4f, "
	       "\"states_shown\": %.3f}\n",
		n, n ? q->psnr / (double)n : 0, n ? psnr_of(q->squares / (double)n) : 0,
		n ? q->psnrs[n / 2] : 0, n ? q->psnrs[0] : 0, n ? q->ssim / (double)n : 0,
		states ? (double)shown / (double)states : 0);
}

static void quality_free(struct quality *q)
{
	for (uint32_t b = 0; b < q->band_count; b++) {
		for (uint32_t i = 0; i < q->bands[b].count; i++)
			free(q->bands[b].states[i]);
		free(q->bands[b].states);
		free(q->bands[b].shown);
	}
	free(q->psnrs);
	free(q);
}

int main(int argc, char **argv)
{
	struct quality *q = calloc(1, sizeof(*q));
	FILE *file = argc == 3 ? fopen(argv[2], "rbe") : NULL;
	int err = 0;

	if (!q || !file || fread(&q->header, sizeof(q->header), 1, file) != 1 ||
		memcmp(q->header.magic, FRAMES_MAGIC, sizeof(q->header.magic)) != 0 ||
		q->header.width == 0 || q->header.height == 0 ||
		q->header.width > SURFACE_MAX_SIDE || q->header.height > BANDS_MAX * BAND_ROWS) {
		fputs("Usage: replay-quality TRACE FRAMES\n", stderr);
		free(q);
		return 2;
	}
	q->area = rect_make(
		q->header.x, q->header.y, (int32_t)q->header.width, (int32_t)q->header.height);
	q->band_count = DIV_ROUND_UP(q->header.height, (uint32_t)BAND_ROWS);
	err = play(q, argv[1]);
	if (!err)
		err = read_frames(q, file);
	if (err)
		fprintf(stderr, "replay-quality: %s\n", strerror(-err));
	else
		report(q);
	fclose(file);
	quality_free(q);
	return err ? 1 : 0;
}

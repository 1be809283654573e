/* SPDX-License-Identifier: MIT */
/*
 * What the codecs cost, beside libspice-server's own in the same run: one thread, CPU time, runs
 * interleaved, medians. bench_codecs.py gets the pictures and builds the peer.
 *
 *	bench_codecs [--peer LIBRARY] [--runs N] [--only quic|lz|glz] WIDTH HEIGHT FILE.raw...	(pixels as B, G, R, x)
 */
#include <dlfcn.h>
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "codecs/glz.h"
#include "codecs/jpeg.h"
#include "codecs/quic.h"
#include "core/util.h"

enum { RUNS_MAX = 99, GLZ_PICTURES = 3, SCROLL_ROWS = 16 };

/* tests/bench/peer/codecs_peer.c; all NULL without it. */
struct peer {
	long (*quic_encode)(uint8_t *pixels, int width, int height, uint8_t *out, size_t size);
	int (*quic_decode)(uint8_t *stream, size_t size, int width, uint8_t *pixels);
	long (*lz_encode)(uint8_t *pixels, int width, int height, uint8_t *out, size_t size);
	int (*lz_decode)(uint8_t *stream, size_t size, int width, uint8_t *pixels);
	void *(*glz_create)(uint32_t pixels);
	void (*glz_destroy)(void *glz);
	long (*glz_encode)(
		void *glz, uint8_t *pixels, int width, int height, uint8_t *out, size_t size);
};

struct bench {
	struct peer peer;
	int runs;
	const char *only; /* a codec, or NULL */
	uint32_t width, height;
	const char *name;
	uint8_t *pixels;
	uint8_t *out; /* of the peer; also what is decoded */
	size_t out_size;
	struct buf stream; /* ours */
};

/* One case: seconds of each run, and the size of the streams. */
struct result {
	double ours[RUNS_MAX], peers[RUNS_MAX];
	size_t bytes;
	long peer_bytes;
};

static double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double median(double *values, int count)
{
	qsort(values, (size_t)count, sizeof(*values), compare);
	return values[count / 2];
}

static void report(const struct bench *b, const char *what, struct result *r)
{
	double megabytes = (double)b->width * b->height * 4 / 1e6;
	double ours = median(r->ours, b->runs);

	printf("{\"case\": \"%s\", \"picture\": \"%s\", \"unit\": \"MB/s\", \"runs\": %d, "
	       "\"spicebox\": %.1f",
		what, b->name, b->runs, megabytes / ours);
	if (r->bytes)
		printf(", \"bytes\": %zu", r->bytes);
	if (r->peers[0] > 0) {
		double peers = median(r->peers, b->runs);

		printf(", \"peer\": %.1f, \"ratio\": %.3f", megabytes / peers, peers / ours);
		if (r->peer_bytes)
			printf(", \"peer_bytes\": %ld, \"bytes_ratio\": %.4f", r->peer_bytes,
				(double)r->bytes / (double)r->peer_bytes);
	}
	printf("}\n");
	fflush(stdout);
}

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "bench_codecs: %s failed\n", what);
	exit(1);
}

static void bench_quic(struct bench *b)
{
	struct result encode = { 0 }, decode = { 0 };
	ptrdiff_t stride = (ptrdiff_t)b->width * 4;

	for (int i = 0; i < b->runs; i++) {
		double start = cpu_seconds();

		buf_clear(&b->stream);
		if (quic_encode(&b->stream, QUIC_RGB32, b->width, b->height, b->pixels, stride))
			fail("quic_encode");
		encode.ours[i] = cpu_seconds() - start;
		start = cpu_seconds();
		if (quic_decode(buf_bytes(&b->stream), b->stream.size, b->out, stride))
			fail("quic_decode");
		decode.ours[i] = cpu_seconds() - start;
		encode.bytes = b->stream.size;
		if (!b->peer.quic_encode)
			continue;
		start = cpu_seconds();
		if (b->peer.quic_decode(
			    buf_bytes(&b->stream), b->stream.size, (int)b->width, b->out))
			fail("the peer's QUIC decoder");
		decode.peers[i] = cpu_seconds() - start;
		start = cpu_seconds();
		encode.peer_bytes = b->peer.quic_encode(
			b->pixels, (int)b->width, (int)b->height, b->out, b->out_size);
		encode.peers[i] = cpu_seconds() - start;
	}
	report(b, "quic_encode", &encode);
	report(b, "quic_decode", &decode);
}

static void bench_lz(struct bench *b)
{
	struct result encode = { 0 }, decode = { 0 };
	ptrdiff_t stride = (ptrdiff_t)b->width * 4;

	for (int i = 0; i < b->runs; i++) {
		double start = cpu_seconds();

		buf_clear(&b->stream);
		if (lz_encode(&b->stream, LZ_RGB32, b->width, b->height, true, b->pixels, stride))
			fail("lz_encode");
		encode.ours[i] = cpu_seconds() - start;
		start = cpu_seconds();
		if (lz_decode(buf_bytes(&b->stream), b->stream.size, b->out, stride))
			fail("lz_decode");
		decode.ours[i] = cpu_seconds() - start;
		encode.bytes = b->stream.size;
		if (!b->peer.lz_encode)
			continue;
		start = cpu_seconds();
		if (b->peer.lz_decode(buf_bytes(&b->stream), b->stream.size, (int)b->width, b->out))
			fail("the peer's LZ decoder");
		decode.peers[i] = cpu_seconds() - start;
		start = cpu_seconds();
		encode.peer_bytes = b->peer.lz_encode(
			b->pixels, (int)b->width, (int)b->height, b->out, b->out_size);
		encode.peers[i] = cpu_seconds() - start;
	}
	report(b, "lz_encode", &encode);
	report(b, "lz_decode", &decode);
}

/* ---- GLZ: dictionaries in use for long, which hold nothing of the picture at first ---- */

struct glz_pair {
	struct glz_dictionary *ours;
	void *peers;
	uint8_t *noise[2 * GLZ_PICTURES]; /* the peer refers to pixels as long as it likes */
	int next;
};

static void glz_once(
	struct bench *b, struct glz_pair *pair, uint8_t *pixels, struct result *r, int i)
{
	double start = cpu_seconds();

	buf_clear(&b->stream);
	if (glz_encode(pair->ours, &b->stream, LZ_RGB32, b->width, b->height, true, pixels,
		    (ptrdiff_t)b->width * 4))
		fail("glz_encode");
	if (r)
		r->ours[i] = cpu_seconds() - start;
	if (r)
		r->bytes = b->stream.size;
	if (!pair->peers)
		return;
	start = cpu_seconds();
	long bytes = b->peer.glz_encode(
		pair->peers, pixels, (int)b->width, (int)b->height, b->out, b->out_size);
	if (bytes < 0)
		fail("the peer's GLZ encoder");
	if (r)
		r->peers[i] = cpu_seconds() - start;
	if (r)
		r->peer_bytes = bytes;
}

static void make_noise(uint8_t *pixels, size_t size, uint64_t seed)
{
	for (size_t i = 0; i < size; i += 4) {
		uint32_t word;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		word = (uint32_t)(seed >> 40);
		memcpy(pixels + i, &word, 4);
	}
}

static void bench_glz(struct bench *b)
{
	uint32_t window = GLZ_PICTURES * b->width * b->height + 1;
	size_t size = (size_t)b->width * b->height * 4, rows = (size_t)SCROLL_ROWS * b->width * 4;
	struct result fresh = { 0 }, scroll = { 0 };
	uint8_t *scrolled = malloc(size);
	struct glz_pair pair = { 0 };

	if (!scrolled || glz_dictionary_create(&pair.ours, window))
		fail("memory");
	memcpy(scrolled, b->pixels + rows, size - rows);
	make_noise(scrolled + size - rows, rows, 99);
	pair.peers = b->peer.glz_create ? b->peer.glz_create(window) : NULL;
	for (size_t n = 0; n < ARRAY_SIZE(pair.noise); n++) {
		pair.noise[n] = malloc(size);
		if (!pair.noise[n])
			fail("memory");
		make_noise(pair.noise[n], size, n);
		glz_once(b, &pair, pair.noise[n], NULL, 0);
	}
	for (int i = 0; i < b->runs; i++) {
		for (int n = 0; n < GLZ_PICTURES - 1; n++)
			glz_once(b, &pair, pair.noise[pair.next++ % (2 * GLZ_PICTURES)], NULL, 0);
		glz_once(b, &pair, b->pixels, &fresh, i);
		glz_once(b, &pair, scrolled, &scroll, i);
	}
	report(b, "glz_encode", &fresh);
	report(b, "glz_encode_scrolled", &scroll);
	glz_dictionary_destroy(pair.ours);
	if (pair.peers)
		b->peer.glz_destroy(pair.peers);
	for (size_t n = 0; n < ARRAY_SIZE(pair.noise); n++)
		free(pair.noise[n]);
	free(scrolled);
}

/* These have no peer here: spice-gtk's decoder is in another package, JPEG is the same library. */
static void bench_alone(struct bench *b)
{
	struct result glz = { 0 }, encode = { 0 }, decode = { 0 };
	struct buf jpeg = { 0 };

	for (int i = 0; i < b->runs; i++) {
		struct glz_dictionary *dictionary = NULL;
		struct surface *surface = NULL;
		struct glz_window *window = NULL;
		double start;

		buf_clear(&b->stream);
		buf_clear(&jpeg);
		if (glz_dictionary_create(&dictionary, b->width * b->height) ||
			glz_window_create(&window, b->width * b->height) ||
			glz_encode(dictionary, &b->stream, LZ_RGB32, b->width, b->height, true,
				b->pixels, (ptrdiff_t)b->width * 4))
			fail("glz_encode");
		start = cpu_seconds();
		if (glz_decode(window, buf_bytes(&b->stream), b->stream.size, NULL, 0, &surface))
			fail("glz_decode");
		glz.ours[i] = cpu_seconds() - start;
		surface_unref(surface);
		glz_window_destroy(window);
		glz_dictionary_destroy(dictionary);
		start = cpu_seconds();
		if (jpeg_picture_encode(&jpeg, b->width, b->height, b->pixels,
			    (ptrdiff_t)b->width * 4, 85, JPEG_420))
			fail("jpeg_picture_encode");
		encode.ours[i] = cpu_seconds() - start;
		encode.bytes = jpeg.size;
		start = cpu_seconds();
		if (jpeg_picture_decode(buf_bytes(&jpeg), jpeg.size, b->width, b->height, b->out,
			    (ptrdiff_t)b->width * 4))
			fail("jpeg_picture_decode");
		decode.ours[i] = cpu_seconds() - start;
	}
	report(b, "glz_decode", &glz);
	report(b, "jpeg_encode", &encode);
	report(b, "jpeg_decode", &decode);
	buf_finish(&jpeg);
}

static void load_peer(struct peer *peer, const char *path)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	static const char *const names[] = { "peer_quic_encode", "peer_quic_decode",
		"peer_lz_encode", "peer_lz_decode", "peer_glz_create", "peer_glz_destroy",
		"peer_glz_encode" };
	void *functions[ARRAY_SIZE(names)];

	_Static_assert(sizeof(functions) == sizeof(*peer), "one pointer a name");
	for (size_t i = 0; library && i < ARRAY_SIZE(names); i++) {
		functions[i] = dlsym(library, names[i]);
		if (!functions[i])
			library = NULL;
	}
	if (!library) {
		fprintf(stderr, "bench_codecs: %s: %s\n", path, dlerror());
		exit(1);
	}
	memcpy(peer, functions, sizeof(*peer));
}

static void bench_file(struct bench *b, char *path)
{
	size_t size = (size_t)b->width * b->height * 4, found;
	char *dot;

	if (file_read_all(path, size, &b->pixels, &found) || found != size) {
		fprintf(stderr, "bench_codecs: %s is not %zu bytes\n", path, size);
		exit(1);
	}
	b->name = basename(path);
	dot = strrchr(path, '.');
	if (dot)
		*dot = 0;
	b->out_size = size * 2 + 4096;
	b->out = calloc(1, b->out_size);
	if (!b->out)
		fail("memory");
	if (!b->only || !strcmp(b->only, "quic"))
		bench_quic(b);
	if (!b->only || !strcmp(b->only, "lz"))
		bench_lz(b);
	if (!b->only || !strcmp(b->only, "glz"))
		bench_glz(b);
	if (!b->only)
		bench_alone(b);
	free(b->out);
	free(b->pixels);
}

int main(int argc, char **argv)
{
	struct bench bench = { .runs = 7 };
	int at = 1;

	for (; at + 1 < argc && !strncmp(argv[at], "--", 2); at += 2) {
		if (!strcmp(argv[at], "--peer"))
			load_peer(&bench.peer, argv[at + 1]);
		else if (!strcmp(argv[at], "--runs"))
			bench.runs = MIN(MAX(atoi(argv[at + 1]), 1), RUNS_MAX);
		else if (!strcmp(argv[at], "--only"))
			bench.only = argv[at + 1];
	}
	if (argc - at < 3) {
		fprintf(stderr,
			"usage: bench_codecs [--peer LIBRARY] [--runs N] [--only quic|lz|glz] "
			"WIDTH HEIGHT FILE.raw...\n");
		return 2;
	}
	bench.width = (uint32_t)atoi(argv[at++]);
	bench.height = (uint32_t)atoi(argv[at++]);
	if (!bench.width || bench.width > 4096 || bench.height <= SCROLL_ROWS ||
		bench.height > 4096)
		return 2;
	for (; at < argc; at++)
		bench_file(&bench, argv[at]);
	buf_finish(&bench.stream);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * main() of a fuzz target where libFuzzer is not at hand: runs the target over the files and
 * folders named on the command line, each whole, and also cut at a few lengths.
 */
#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEED_MAX_BYTES = 16 << 20, CUTS_MAX = 64 };

/* A copy of exactly `size` bytes, so that a sanitizer sees a read past the end. */
static void run_one(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	if (size)
		memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static int replay_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data;
	size_t size, step;

	if (!file) {
		perror(path);
		return -1;
	}
	data = malloc(SEED_MAX_BYTES);
	if (!data)
		abort();
	size = fread(data, 1, SEED_MAX_BYTES, file);
	fclose(file);
	step = size / CUTS_MAX + 1;
	for (size_t cut = 0; cut < size; cut += step)
		run_one(data, cut);
	run_one(data, size);
	free(data);
	return 1;
}

static int replay(const char *path)
{
	struct stat st;
	struct dirent **names;
	int count, runs = 0;

	if (stat(path, &st) < 0) {
		perror(path);
		return -1;
	}
	if (!S_ISDIR(st.st_mode))
		return replay_file(path);
	count = scandir(path, &names, NULL, alphasort);
	if (count < 0) {
		perror(path);
		return -1;
	}
	for (int i = 0; i < count; i++) {
		char child[4096];
		int ret = 0;

		snprintf(child, sizeof(child), "%s/%s", path, names[i]->d_name);
		if (names[i]->d_name[0] != '.' && runs >= 0)
			ret = replay_file(child);
		runs = ret < 0 ? -1 : runs + ret;
		free(names[i]);
	}
	free(names);
	return runs;
}

int main(int argc, char **argv)
{
	int total = 0;

	for (int i = 1; i < argc; i++) {
		int runs = replay(argv[i]);

		if (runs < 0)
			return 1;
		total += runs;
	}
	printf("replayed %d seeds (build with Clang and -DSPICEBOX_FUZZ=ON to fuzz)\n", total);
	return 0;
}

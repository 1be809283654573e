/* SPDX-License-Identifier: MIT */
/* Small helpers that every folder uses. */
#include "core/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

uint64_t clock_monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int read_all_fd(int fd, size_t max_bytes, uint8_t **data, size_t *size_bytes)
{
	size_t capacity = 65536;
	size_t size = 0;
	uint8_t *bytes = malloc(capacity + 1);

	if (!bytes)
		return -ENOMEM;
	for (;;) {
		ssize_t n;

		if (size == capacity) {
			uint8_t *grown = realloc(bytes, capacity * 2 + 1);

			if (!grown) {
				free(bytes);
				return -ENOMEM;
			}
			bytes = grown;
			capacity *= 2;
		}
		n = read(fd, bytes + size, capacity - size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || size + (size_t)n > max_bytes) {
			int err = n < 0 ? -errno : -EFBIG;

			free(bytes);
			return err;
		}
		if (n == 0)
			break;
		size += (size_t)n;
	}
	bytes[size] = 0;
	*data = bytes;
	*size_bytes = size;
	return 0;
}

int file_read_all(const char *path, size_t max_bytes, uint8_t **data, size_t *size_bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	err = read_all_fd(fd, max_bytes, data, size_bytes);
	close(fd);
	return err;
}

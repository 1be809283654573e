/* SPDX-License-Identifier: MIT */
/* Small helpers that every folder uses. */
#ifndef CORE_UTIL_H
#define CORE_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define ARRAY_SIZE(a)                   (sizeof(a) / sizeof((a)[0]))
/* spice-protocol's headers define these two too. */
#undef MIN
#undef MAX
#define MIN(a, b)          ((a) < (b) ? (a) : (b))
#define MAX(a, b)          ((a) > (b) ? (a) : (b))
#define ALIGN_UP(v, a)     (((v) + ((a)-1)) & ~((a)-1))
#define ALIGN_DOWN(v, a)   ((v) & ~((a)-1))
#define DIV_ROUND_UP(n, d) (((n) + (d)-1) / (d))

/* Monotonic clock, nanoseconds. */
uint64_t clock_monotonic_ns(void);

/* Reads a whole file of at most max_bytes into a malloc'ed buffer (one NUL is added behind it and
 * not counted). Returns 0 or -errno (-EFBIG when larger). The caller frees *data. */
int file_read_all(const char *path, size_t max_bytes, uint8_t **data, size_t *size_bytes);

#endif

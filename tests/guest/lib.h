/* SPDX-License-Identifier: MIT */
/* The little of a C library that the guest needs, the command line and the log on COM1. */
#ifndef GUEST_LIB_H
#define GUEST_LIB_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *s);

static inline int32_t min32(int32_t a, int32_t b)
{
	return a < b ? a : b;
}

static inline int32_t max32(int32_t a, int32_t b)
{
	return a > b ? a : b;
}

/* snprintf with %s %c %u %d %x %lu %lx %% and a width with 0 or blank filling. Returns the length
 * without the final NUL; longer text is cut. */
size_t text_format(char *out, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
size_t text_format_v(char *out, size_t size, const char *format, va_list args);
bool text_equal(const char *a, const char *b);

/* Keeps the command line; it must stay in memory. */
void options_init(const char *command_line);
/* The value of "name=value", or "" for a bare "name"; false when it is not there. */
bool option_text(const char *name, char *out, size_t size);
uint32_t option_number(const char *name, uint32_t missing);

void log_init(void);
/* One line on COM1; the newline is added. */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says why on COM1 and halts for good. */
__attribute__((noreturn, format(printf, 1, 2))) void guest_panic(const char *format, ...);

#endif

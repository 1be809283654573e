/* SPDX-License-Identifier: MIT */
/* Log lines on standard error: "spicebox: <scope>: <text>". Thread-safe, one write a line. */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* The lowest level that is printed; LOG_WARN at the start. The only mutable global of the program. */
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

void log_write(enum log_level level, const char *scope, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(scope, ...) log_write(LOG_ERROR, scope, __VA_ARGS__)
#define log_warn(scope, ...)  log_write(LOG_WARN, scope, __VA_ARGS__)
#define log_info(scope, ...)  log_write(LOG_INFO, scope, __VA_ARGS__)
#define log_debug(scope, ...)                                     \
	do {                                                      \
		if (log_enabled(LOG_DEBUG))                       \
			log_write(LOG_DEBUG, scope, __VA_ARGS__); \
	} while (0)

/* For lines that a guest or a peer can provoke: at most `burst` lines in any `interval_ms`; what was
 * swallowed is counted and said with the next line. Zero-initialise and set burst and interval (0
 * means 5 lines in 10 s). Embedded in the device or link; used by one thread at a time. */
struct log_limit {
	uint32_t burst;
	uint32_t interval_ms;
	uint32_t used;
	uint32_t swallowed;
	uint64_t window_start_ns;
};

/* Answers whether the next line may be printed, and counts it. */
bool log_limit_pass(struct log_limit *limit, const char *scope);

#define log_warn_limited(limit, scope, ...)                      \
	do {                                                     \
		if (log_limit_pass(limit, scope))                \
			log_write(LOG_WARN, scope, __VA_ARGS__); \
	} while (0)

#endif

/* SPDX-License-Identifier: MIT */
/* Log lines on standard error, one write() each so that lines of several threads never mix. */
#include "core/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "core/util.h"

#define LINE_MAX_BYTES    1024
#define LIMIT_BURST       5
#define LIMIT_INTERVAL_MS 10000

static _Atomic int log_level = LOG_WARN;

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&log_level, memory_order_relaxed);
}

/* What a guest or peer put into the text must not steer the terminal. */
static void replace_control_bytes(char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < 0x20 || c == 0x7f)
			text[i] = '?';
	}
}

void log_write(enum log_level level, const char *scope, const char *fmt, ...)
{
	static const char *const names[] = { "error: ", "warning: ", "", "debug: " };
	char line[LINE_MAX_BYTES];
	size_t size;
	va_list args;
	int n;

	if (!log_enabled(level))
		return;
	n = snprintf(line, sizeof(line), "spicebox: %s: %s", scope, names[level]);
	size = MIN((size_t)MAX(n, 0), sizeof(line) - 2);
	va_start(args, fmt);
	n = vsnprintf(line + size, sizeof(line) - 1 - size, fmt, args);
	va_end(args);
	size = MIN(size + (size_t)MAX(n, 0), sizeof(line) - 2);
	replace_control_bytes(line, size);
	line[size++] = '\n';
	if (write(STDERR_FILENO, line, size) < 0)
		return; /* nowhere to complain */
}

bool log_limit_pass(struct log_limit *limit, const char *scope)
{
	uint64_t now = clock_monotonic_ns();
	uint32_t burst = limit->burst ? limit->burst : LIMIT_BURST;
	uint32_t interval_ms = limit->interval_ms ? limit->interval_ms : LIMIT_INTERVAL_MS;

	if (!limit->window_start_ns ||
		now - limit->window_start_ns >= (uint64_t)interval_ms * 1000000u) {
		uint32_t swallowed = limit->swallowed;

		limit->window_start_ns = now;
		limit->used = 0;
		limit->swallowed = 0;
		if (swallowed)
			log_warn(
				scope, "%u more lines like the last ones were left out", swallowed);
	}
	if (limit->used >= burst) {
		limit->swallowed++;
		return false;
	}
	limit->used++;
	return true;
}
